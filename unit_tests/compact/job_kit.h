/* job_kit.h: what the tests of jobs share: worlds of sources at several ages over runs that lie below, and a job over one. Header only: each test file is a program of its own. */
#ifndef TEST_JOB_KIT_H
#define TEST_JOB_KIT_H

#include "../wal/wal_kit.h"

#include "../../lsm_core/compact/job.h"

static struct lsm_error err;

/* ---- keys: three trees of 40 --------------------------------------------------------------------------------- */

enum { TREES = 3, TREE_KEYS = 40, KEYS = TREES * TREE_KEYS, KEY_BYTES = LSM_TREE_BYTES + 2, RANGES_MAX = 6, FILES_MAX = 4, RUNS_MAX = 5 };

static uint8_t key_bytes[KEYS + 1][KEY_BYTES];

static inline int number_keys(void **state) {
    (void)state;
    for (int k = 0; k <= KEYS; k++) {
        lsm_store_be32(key_bytes[k], (uint32_t)(1 + k / TREE_KEYS));
        key_bytes[k][4] = (uint8_t)(k % TREE_KEYS);
        key_bytes[k][5] = 7;
    }
    return 0;
}

static inline struct lsm_slice key_of(int k) { return lsm_slice_of(key_bytes[k], KEY_BYTES); }
/* A place in front of key k: the first of a tree begins at the tree itself. */
static inline struct lsm_slice bound(int k) { return lsm_slice_of(key_bytes[k], k % TREE_KEYS == 0 ? LSM_TREE_BYTES : KEY_BYTES); }

static inline int key_number(struct lsm_slice key) {
    assert_int_equal(key.size, KEY_BYTES);
    int k = (int)(lsm_load_be32(key.data) - 1) * TREE_KEYS + key.data[4];
    assert_true(k >= 0 && k < KEYS && lsm_slice_equal(key, key_of(k)));
    return k;
}

/* ---- what one run or memtable says ------------------------------------------------------------------------------ */

struct range {
    int low, high;
    uint64_t sequence;
};

struct content {
    bool memory;     /* a memtable: has sequences, ranges overlap */
    int kinds[KEYS]; /* 0: nothing */
    uint64_t sequences[KEYS];
    struct range ranges[RANGES_MAX * FILES_MAX];
    int ranges_count;
    uint8_t mark; /* first byte of its values */
};

struct world {
    struct lsm_env *env;
    struct lsm_version_set set;
    uint64_t random;
    size_t value_bytes;
    struct content contents[RUNS_MAX]; /* newest first: sources, then what lies below */
    struct lsm_file_meta *files[RUNS_MAX][FILES_MAX];
    size_t files_count[RUNS_MAX];
    size_t sources, all;
};

static inline uint64_t below(struct world *world, uint64_t limit) { return kit_below(&world->random, limit); }

static inline void random_content(struct world *world, struct content *content, bool memory, uint8_t mark) {
    *content = (struct content){.memory = memory, .mark = mark};
    int low = (int)below(world, KEYS), high = low + 1 + (int)below(world, KEYS), density = 1 + (int)below(world, 6);
    if (below(world, 4) == 0) low = KEYS; /* ranges only, or nothing */
    for (int k = low; k < high && k < KEYS; k++) {
        if (below(world, (uint64_t)density) != 0) continue;
        content->kinds[k] = below(world, 3) == 0 ? LSM_KIND_DELETE : LSM_KIND_PUT;
        content->sequences[k] = below(world, 20) * 2;
    }
    int at = 0, wanted = below(world, 2) == 0 ? 0 : (int)below(world, RANGES_MAX);
    for (int i = 0; i < wanted; i++) { /* ascending, touching at times; of a memtable anywhere */
        struct range range = {.low = at + (int)below(world, 20), .sequence = memory ? below(world, 20) * 2 + 1 : 0};
        range.high = range.low + 1 + (int)below(world, below(world, 4) == 0 ? 60 : 12);
        if (range.high > KEYS) range.high = KEYS;
        if (range.low >= range.high) continue;
        content->ranges[content->ranges_count++] = range;
        at = memory ? (int)below(world, KEYS) : range.high;
    }
}

static inline struct lsm_slice value_of(const struct world *world, const struct content *content, int k) {
    static uint8_t value[4096];
    if (content->kinds[k] == LSM_KIND_DELETE) return (struct lsm_slice){0};
    assert_true(world->value_bytes >= 2 && world->value_bytes <= sizeof value);
    uint64_t random = (uint64_t)k * 1000 + content->mark;
    for (size_t i = 0; i < world->value_bytes; i++) value[i] = (uint8_t)kit_random(&random);
    value[0] = content->mark;
    value[1] = (uint8_t)k;
    return lsm_slice_of(value, world->value_bytes);
}

static const struct lsm_sst_options sst_options = {.block_bytes = 512, .compression = LSM_COMPRESS_NONE, .filter_bits_per_key = 10};

/* Write the keys [low, high) and the parts of the ranges there to a table file; NULL if there is nothing. */
static inline struct lsm_file_meta *write_table(struct world *world, const struct content *content, int low, int high) {
    char path[64];
    struct lsm_sst_writer *writer;
    uint64_t number = lsm_version_set_new_number(&world->set);
    kit_path(LSM_FILE_TABLE, number, path, sizeof path);
    kit_ok(lsm_sst_writer_open(world->env, path, &kit_perm, kit_id, number, &sst_options, &writer, &err), &err);
    for (int k = low; k < high; k++)
        if (content->kinds[k] != 0)
            kit_ok(lsm_sst_writer_add(writer, (enum lsm_kind)content->kinds[k], key_of(k), value_of(world, content, k), &err), &err);
    for (int i = 0; i < content->ranges_count; i++) {
        int from = content->ranges[i].low < low ? low : content->ranges[i].low, to = content->ranges[i].high > high ? high : content->ranges[i].high;
        if (from < to) kit_ok(lsm_sst_writer_add_range(writer, bound(from), bound(to), &err), &err);
    }
    if (lsm_sst_writer_empty(writer)) {
        lsm_sst_writer_abandon(writer);
        return NULL;
    }
    struct lsm_file_meta *meta = lsm_file_meta_new();
    assert_non_null(meta);
    kit_ok(lsm_sst_writer_finish(writer, 10, 20, meta, &err), &err);
    return meta;
}

/* As the files have them: no range goes from one file to the next. */
static inline void split_ranges(struct content *content, int cut) {
    for (int i = 0; i < content->ranges_count; i++) {
        struct range *range = &content->ranges[i];
        if (range->low >= cut || range->high <= cut) continue;
        memmove(range + 1, range, (size_t)(content->ranges_count - i) * sizeof *range);
        content->ranges_count++;
        range[0].high = range[1].low = cut;
        return;
    }
}

static inline void write_run(struct world *world, size_t r) {
    int low = 0, files = 0;
    while (low < KEYS) {
        bool last = ++files == FILES_MAX || below(world, 3) == 0;
        int high = last ? KEYS : low + 1 + (int)below(world, 60);
        if (high > KEYS) high = KEYS;
        split_ranges(&world->contents[r], high);
        struct lsm_file_meta *meta = write_table(world, &world->contents[r], low, high);
        if (meta != NULL) world->files[r][world->files_count[r]++] = meta;
        low = high;
    }
}

static inline void open_world(struct world *world, uint64_t seed) {
    *world = (struct world){.env = kit_env(), .random = seed, .value_bytes = 10};
    assert_int_equal(lsm_version_set_init(&world->set, world->env, KIT_DIR, &kit_perm, kit_id, NULL), LSM_OK);
    kit_ok(lsm_version_set_create(&world->set, &err), &err);
}

static inline void fill_world(struct world *world, size_t sources, size_t older) {
    world->sources = sources;
    world->all = sources + older;
    bool memory = below(world, 3) == 0; /* a flush or a merge */
    for (size_t r = 0; r < world->all; r++) {
        random_content(world, &world->contents[r], memory && r < sources, (uint8_t)(r + 1));
        if (!world->contents[r].memory) write_run(world, r);
    }
}

static inline void close_world(struct world *world) {
    for (size_t r = 0; r < world->all; r++)
        for (size_t i = 0; i < world->files_count[r]; i++) lsm_file_meta_unref(world->files[r][i]);
    lsm_version_set_release(&world->set);
    lsm_env_mem_free(world->env);
}

/* ---- a memtable as a source ------------------------------------------------------------------------------------- */

struct memory_iter {
    struct lsm_iter base;
    const struct world *world;
    const struct content *content;
    int at;
    uint64_t sequence;
    uint8_t value[4096];
};

static inline void memory_next(struct lsm_iter *iter) {
    struct memory_iter *memory = (struct memory_iter *)iter;
    do memory->at++;
    while (memory->at < KEYS && memory->content->kinds[memory->at] == 0);
    iter->valid = memory->at < KEYS;
    if (!iter->valid) return;
    iter->key = key_of(memory->at);
    iter->kind = (enum lsm_kind)memory->content->kinds[memory->at];
    iter->value = value_of(memory->world, memory->content, memory->at);
    if (iter->value.size != 0) memcpy(memory->value, iter->value.data, iter->value.size);
    iter->value.data = memory->value;
    memory->sequence = memory->content->sequences[memory->at];
}

static inline void memory_first(struct lsm_iter *iter) {
    ((struct memory_iter *)iter)->at = -1;
    memory_next(iter);
}

static const struct lsm_iter_ops memory_ops = {.first = memory_first, .next = memory_next};

/* ---- a job over a world ----------------------------------------------------------------------------------------- */

struct bench {
    struct lsm_job job;
    struct lsm_run_iter runs[RUNS_MAX];
    struct memory_iter memories[RUNS_MAX];
    struct lsm_iter *sources[RUNS_MAX];
    const uint64_t *sequences[RUNS_MAX];
    struct lsm_run older[RUNS_MAX];
    const struct lsm_run *below[RUNS_MAX];
};

/* Everything but running it; may run out of memory. */
static inline int set_up(struct world *world, struct bench *bench) {
    memset(bench, 0, sizeof *bench);
    struct lsm_job *job = &bench->job;
    *job = (struct lsm_job){.set = &world->set,
                            .sources = bench->sources,
                            .count = world->sources,
                            .below = bench->below,
                            .sst = sst_options,
                            .file_bytes = 1 << 20,
                            .log_low = 5,
                            .log_high = 50};
    for (size_t r = 0; r < world->sources; r++) {
        const struct content *content = &world->contents[r];
        bench->sources[r] = content->memory ? &bench->memories[r].base : &bench->runs[r].base;
        if (!content->memory) {
            lsm_run_iter_init(&bench->runs[r], &world->set, world->files[r], world->files_count[r], false);
            int status = lsm_job_add_file_ranges(&world->set, world->files[r], world->files_count[r], (uint32_t)r, &job->ranges, &err);
            if (status != LSM_OK) return status;
            continue;
        }
        bench->memories[r] = (struct memory_iter){.base.ops = &memory_ops, .world = world, .content = content};
        bench->sequences[r] = &bench->memories[r].sequence;
        job->sequences = bench->sequences;
        for (int i = 0; i < content->ranges_count; i++) {
            const struct range *range = &content->ranges[i];
            struct lsm_range item = {.low = bound(range->low), .high = bound(range->high), .source = (uint32_t)r, .sequence = range->sequence};
            if (lsm_ranges_add(&job->ranges, item) != LSM_OK) return LSM_NOMEM;
        }
    }
    for (size_t r = world->sources; r < world->all; r++) {
        bench->older[r] = (struct lsm_run){.files = world->files[r], .count = world->files_count[r]};
        bench->below[job->below_count++] = &bench->older[r];
    }
    return LSM_OK;
}

static inline void tear_down(struct world *world, struct bench *bench) {
    for (size_t r = 0; r < world->sources; r++)
        if (bench->runs[r].base.ops != NULL) lsm_iter_release(&bench->runs[r].base);
    lsm_job_release(&bench->job);
    lsm_job_release(&bench->job); /* twice does no harm */
}

static inline size_t count_tables(struct lsm_env *env) {
    struct lsm_names names = {0};
    size_t count = 0;
    kit_ok(lsm_env_list(env, KIT_DIR, &names, &err), &err);
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        count += lsm_file_parse(names.names[i], &number) == LSM_FILE_TABLE;
    }
    lsm_names_free(&names);
    return count;
}

/* All keys put, with values of this size. */
static inline void full_world(struct world *world, size_t value_bytes) {
    open_world(world, 1);
    world->value_bytes = value_bytes;
    world->sources = world->all = 1;
    world->contents[0] = (struct content){.mark = 1};
    for (int k = 0; k < KEYS; k++) world->contents[0].kinds[k] = LSM_KIND_PUT;
    world->files[0][world->files_count[0]++] = write_table(world, &world->contents[0], 0, KEYS);
}

#endif
