/* Jobs against an oracle: random sources at several ages, table files and memtables, with tombstones and range tombstones, over runs that lie
 * below. What must come out is known for every key. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/compact/job.h"

static struct lsm_error err;

/* ---- keys: three trees of 40 --------------------------------------------------------------------------------- */

enum { TREES = 3, TREE_KEYS = 40, KEYS = TREES * TREE_KEYS, KEY_BYTES = LSM_TREE_BYTES + 2, RANGES_MAX = 6, FILES_MAX = 4, RUNS_MAX = 5 };

static uint8_t key_bytes[KEYS + 1][KEY_BYTES];

static int number_keys(void **state) {
    (void)state;
    for (int k = 0; k <= KEYS; k++) {
        lsm_store_be32(key_bytes[k], (uint32_t)(1 + k / TREE_KEYS));
        key_bytes[k][4] = (uint8_t)(k % TREE_KEYS);
        key_bytes[k][5] = 7;
    }
    return 0;
}

static struct lsm_slice key_of(int k) { return lsm_slice_of(key_bytes[k], KEY_BYTES); }
/* A place in front of key k: the first of a tree begins at the tree itself. */
static struct lsm_slice bound(int k) { return lsm_slice_of(key_bytes[k], k % TREE_KEYS == 0 ? LSM_TREE_BYTES : KEY_BYTES); }

static int key_number(struct lsm_slice key) {
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

static uint64_t below(struct world *world, uint64_t limit) { return kit_below(&world->random, limit); }

static void random_content(struct world *world, struct content *content, bool memory, uint8_t mark) {
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

static struct lsm_slice value_of(const struct world *world, const struct content *content, int k) {
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
static struct lsm_file_meta *write_table(struct world *world, const struct content *content, int low, int high) {
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
static void split_ranges(struct content *content, int cut) {
    for (int i = 0; i < content->ranges_count; i++) {
        struct range *range = &content->ranges[i];
        if (range->low >= cut || range->high <= cut) continue;
        memmove(range + 1, range, (size_t)(content->ranges_count - i) * sizeof *range);
        content->ranges_count++;
        range[0].high = range[1].low = cut;
        return;
    }
}

static void write_run(struct world *world, size_t r) {
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

static void open_world(struct world *world, uint64_t seed) {
    *world = (struct world){.env = kit_env(), .random = seed, .value_bytes = 10};
    assert_int_equal(lsm_version_set_init(&world->set, world->env, KIT_DIR, &kit_perm, kit_id, NULL), LSM_OK);
    kit_ok(lsm_version_set_create(&world->set, &err), &err);
}

static void fill_world(struct world *world, size_t sources, size_t older) {
    world->sources = sources;
    world->all = sources + older;
    bool memory = below(world, 3) == 0; /* a flush or a merge */
    for (size_t r = 0; r < world->all; r++) {
        random_content(world, &world->contents[r], memory && r < sources, (uint8_t)(r + 1));
        if (!world->contents[r].memory) write_run(world, r);
    }
}

static void close_world(struct world *world) {
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

static void memory_next(struct lsm_iter *iter) {
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

static void memory_first(struct lsm_iter *iter) {
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
static int set_up(struct world *world, struct bench *bench) {
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

static void tear_down(struct world *world, struct bench *bench) {
    for (size_t r = 0; r < world->sources; r++)
        if (bench->runs[r].base.ops != NULL) lsm_iter_release(&bench->runs[r].base);
    lsm_job_release(&bench->job);
    lsm_job_release(&bench->job); /* twice does no harm */
}

static size_t count_tables(struct lsm_env *env) {
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

/* ---- the oracle ------------------------------------------------------------------------------------------------- */

static bool range_covers(const struct range *range, int k) { return range->low <= k && k < range->high; }

/* Which content's value a reader of contents [from, all) sees; -1: none. */
static int visible(const struct world *world, size_t from, int k) {
    for (size_t r = from; r < world->all; r++) {
        const struct content *content = &world->contents[r];
        bool covered = false, hidden = false;
        for (int i = 0; i < content->ranges_count; i++) {
            covered |= range_covers(&content->ranges[i], k);
            hidden |= range_covers(&content->ranges[i], k) && content->memory && content->ranges[i].sequence > content->sequences[k];
        }
        if (content->kinds[k] != 0 && !hidden) return content->kinds[k] == LSM_KIND_PUT ? (int)r : -1;
        if (covered) return -1;
    }
    return -1;
}

static bool file_may_hold(const struct lsm_file_meta *meta, struct lsm_slice low, struct lsm_slice high_exclusive) {
    int order = lsm_slice_compare(lsm_buf_slice(&meta->largest), low);
    return lsm_slice_compare(lsm_buf_slice(&meta->smallest), high_exclusive) < 0 && (order > 0 || (order == 0 && !meta->largest_exclusive));
}

static bool older_may_hold(const struct world *world, struct lsm_slice low, struct lsm_slice high_exclusive) {
    for (size_t r = world->sources; r < world->all; r++)
        for (size_t i = 0; i < world->files_count[r]; i++)
            if (file_may_hold(world->files[r][i], low, high_exclusive)) return true;
    return false;
}

struct expected {
    int kinds[KEYS]; /* 0: no entry */
    size_t from[KEYS];
    bool ranged[KEYS];
};

/* Key by key, as drop.h draws it. */
static void expect(const struct world *world, struct expected *expected) {
    memset(expected, 0, sizeof *expected);
    for (int k = 0; k < KEYS; k++) {
        size_t newest = 0;
        while (newest < world->sources && world->contents[newest].kinds[k] == 0) newest++;
        bool covered = false;
        for (size_t r = 0; r < world->sources; r++)
            for (int i = 0; i < world->contents[r].ranges_count; i++) {
                const struct range *range = &world->contents[r].ranges[i];
                if (!range_covers(range, k)) continue;
                covered |= r < newest || (r == newest && world->contents[r].memory && range->sequence > world->contents[r].sequences[k]);
                expected->ranged[k] |= older_may_hold(world, bound(range->low), bound(range->high));
            }
        if (newest == world->sources || covered) continue;
        uint8_t after[KEY_BYTES + 1] = {0};
        memcpy(after, key_bytes[k], KEY_BYTES);
        if (world->contents[newest].kinds[k] == LSM_KIND_DELETE && !older_may_hold(world, key_of(k), lsm_slice_of(after, sizeof after))) continue;
        expected->kinds[k] = world->contents[newest].kinds[k];
        expected->from[k] = newest;
    }
}

/* What the files say. kinds, values and ranges of each key; files must not overlap and verify. */
static void read_output(struct world *world, const struct lsm_job *job, int kinds[KEYS], uint8_t marks[KEYS], bool ranged[KEYS]) {
    struct lsm_edit edit = {0};
    struct lsm_version *version;
    int last = -1;
    memset(kinds, 0, KEYS * sizeof kinds[0]);
    memset(ranged, 0, KEYS * sizeof ranged[0]);
    for (size_t i = 0; i < job->files_count; i++) {
        struct lsm_file_meta *meta = job->files[i];
        struct lsm_sst *sst;
        struct lsm_sst_iter iter;
        size_t ranges_count;
        assert_true(meta->log_low == 5 && meta->log_high == 50);
        assert_int_equal(lsm_edit_add_file(&edit, 6, 0, meta), LSM_OK);
        kit_ok(lsm_version_set_table(&world->set, meta, &sst, &err), &err);
        kit_ok(lsm_sst_verify(sst, NULL, NULL, &err), &err);
        lsm_sst_iter_init(&iter, sst, false);
        for (lsm_iter_first(&iter.base); iter.base.valid; lsm_iter_next(&iter.base)) {
            int k = key_number(iter.base.key);
            assert_true(k > last);
            last = k;
            kinds[k] = iter.base.kind;
            marks[k] = iter.base.kind == LSM_KIND_PUT ? iter.base.value.data[0] : 0;
            if (iter.base.kind != LSM_KIND_PUT) continue;
            assert_true(lsm_slice_equal(iter.base.value, value_of(world, &world->contents[marks[k] - 1], k)));
        }
        assert_int_equal(iter.base.status, LSM_OK);
        lsm_iter_release(&iter.base);
        const struct lsm_sst_range *ranges = lsm_sst_ranges(sst, &ranges_count);
        assert_true(meta->entries != 0 || ranges_count != 0);
        for (size_t r = 0; r < ranges_count; r++) {
            assert_true(lsm_slice_compare(lsm_buf_slice(&meta->smallest), ranges[r].low) <= 0);
            assert_true(lsm_slice_compare(ranges[r].high, lsm_buf_slice(&meta->largest)) <= 0);
            for (int k = 0; k < KEYS; k++)
                ranged[k] |= lsm_slice_compare(ranges[r].low, key_of(k)) <= 0 && lsm_slice_compare(key_of(k), ranges[r].high) < 0;
        }
    }
    kit_ok(lsm_version_apply(NULL, &edit, &version, &err), &err); /* refuses overlap */
    for (size_t i = 0; i < job->files_count; i++) assert_ptr_equal(version->levels[6].files[i], job->files[i]);
    assert_true(lsm_version_unref(version));
    lsm_version_destroy(version);
    lsm_edit_release(&edit);
}

static void check_output(struct world *world, const struct lsm_job *job) {
    static struct expected expected;
    int kinds[KEYS];
    uint8_t marks[KEYS];
    bool ranged[KEYS];
    expect(world, &expected);
    read_output(world, job, kinds, marks, ranged);
    uint64_t entries = 0, bytes = 0;
    for (int k = 0; k < KEYS; k++) {
        assert_int_equal(kinds[k], expected.kinds[k]);
        assert_int_equal(ranged[k], expected.ranged[k]);
        if (kinds[k] == LSM_KIND_PUT) assert_int_equal(marks[k], expected.from[k] + 1);
        /* And what it is all about: a reader sees the same as before. */
        int now = kinds[k] == LSM_KIND_PUT ? marks[k] - 1 : kinds[k] == LSM_KIND_DELETE || ranged[k] ? -1 : visible(world, world->sources, k);
        assert_int_equal(now, visible(world, 0, k));
        entries += kinds[k] != 0;
    }
    assert_int_equal(job->entries_written, entries);
    assert_true(job->entries_read >= entries);
    for (size_t i = 0; i < job->files_count; i++) bytes += job->files[i]->bytes;
    assert_int_equal(job->bytes_written, bytes);
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void whatever_goes_in_what_comes_out_reads_the_same_and_holds_no_more_than_it_must(void **state) {
    (void)state;
    uint64_t seed = kit_seed();
    int64_t live = lsm_mem_live();
    size_t files = 0, several = 0, nothing = 0, only_ranges = 0;
    static struct world world;
    static struct bench bench;
    for (uint64_t round = 0; round < 1000; round++) {
        open_world(&world, seed * 1000 + round);
        if (round % 3 == 0) world.value_bytes = 200;
        size_t sources = 1 + (size_t)below(&world, 3);
        fill_world(&world, sources, (size_t)below(&world, RUNS_MAX - sources + 1));
        kit_ok(set_up(&world, &bench), &err);
        if (round % 2 == 0) bench.job.file_bytes = 600 + below(&world, 6000);
        size_t before = count_tables(world.env);
        kit_ok(lsm_job_run(&bench.job, &err), &err);
        assert_int_equal(count_tables(world.env), before + bench.job.files_count);
        check_output(&world, &bench.job);
        files += bench.job.files_count;
        several += bench.job.files_count > 1;
        nothing += bench.job.files_count == 0;
        only_ranges += bench.job.files_count == 1 && bench.job.files[0]->entries == 0;
        if (round % 5 == 0) {
            lsm_job_discard(&bench.job);
            assert_int_equal(bench.job.files_count, 0);
            assert_int_equal(count_tables(world.env), before);
        }
        tear_down(&world, &bench);
        close_world(&world);
    }
    print_message("%zu files; jobs with several: %zu, with none: %zu, with ranges only: %zu\n", files, several, nothing, only_ranges);
    assert_true(several > 50 && nothing > 0 && only_ranges > 0);
    assert_int_equal(lsm_mem_live(), live);
}

/* All keys put, with values of this size. */
static void full_world(struct world *world, size_t value_bytes) {
    open_world(world, 1);
    world->value_bytes = value_bytes;
    world->sources = world->all = 1;
    world->contents[0] = (struct content){.mark = 1};
    for (int k = 0; k < KEYS; k++) world->contents[0].kinds[k] = LSM_KIND_PUT;
    world->files[0][world->files_count[0]++] = write_table(world, &world->contents[0], 0, KEYS);
}

static void files_end_at_their_size(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    full_world(&world, 1000);
    for (uint64_t file_bytes = 4000; file_bytes <= 20000; file_bytes += 1700) {
        kit_ok(set_up(&world, &bench), &err);
        bench.job.file_bytes = file_bytes;
        kit_ok(lsm_job_run(&bench.job, &err), &err);
        check_output(&world, &bench.job);
        assert_true(bench.job.files_count >= 120000 / (file_bytes + 2000) && bench.job.files_count <= 120000 / (file_bytes - 1500) + TREES);
        for (size_t i = 0; i < bench.job.files_count; i++) {
            const struct lsm_file_meta *meta = bench.job.files[i], *next = i + 1 < bench.job.files_count ? bench.job.files[i + 1] : NULL;
            assert_true(meta->bytes <= file_bytes + 2000);
            bool tree_ends = next != NULL && lsm_load_be32(meta->largest.data) != lsm_load_be32(next->smallest.data);
            if (next != NULL) assert_true(meta->bytes + 1500 >= (tree_ends ? file_bytes / 8 : file_bytes));
        }
        lsm_job_discard(&bench.job);
        tear_down(&world, &bench);
    }
    close_world(&world);
}

static void a_tree_worth_it_gets_files_of_its_own(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    full_world(&world, 1000);
    static const struct {
        uint64_t file_bytes;
        size_t files;
    } cases[] = {{100000, 3}, {300000, 3}, {1 << 20, 1}}; /* a tree has about 41,000 bytes: more than an 8th, or not */
    for (size_t c = 0; c < 3; c++) {
        kit_ok(set_up(&world, &bench), &err);
        bench.job.file_bytes = cases[c].file_bytes;
        kit_ok(lsm_job_run(&bench.job, &err), &err);
        assert_int_equal(bench.job.files_count, cases[c].files);
        for (size_t i = 0; i < bench.job.files_count && cases[c].files == 3; i++) {
            assert_int_equal(lsm_load_be32(bench.job.files[i]->smallest.data), i + 1);
            assert_int_equal(lsm_load_be32(bench.job.files[i]->largest.data), i + 1);
        }
        check_output(&world, &bench.job);
        lsm_job_discard(&bench.job);
        tear_down(&world, &bench);
    }
    close_world(&world);
}

/* One range over everything, cut into many files, over something at both ends only. */
static void a_range_is_cut_with_the_files_and_leaves_no_gap(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    full_world(&world, 1000);
    world.contents[0].ranges[0] = (struct range){.low = 0, .high = KEYS};
    world.contents[0].ranges_count = 1;
    lsm_file_meta_unref(world.files[0][0]);
    world.files[0][0] = write_table(&world, &world.contents[0], 0, KEYS);
    world.all = 2;
    world.contents[1] = (struct content){.mark = 2, .kinds = {[0] = LSM_KIND_PUT, [KEYS - 1] = LSM_KIND_PUT}};
    world.files[1][0] = write_table(&world, &world.contents[1], 0, 1);
    world.files[1][1] = write_table(&world, &world.contents[1], 1, KEYS);
    world.files_count[1] = 2;
    kit_ok(set_up(&world, &bench), &err);
    bench.job.file_bytes = 8000;
    kit_ok(lsm_job_run(&bench.job, &err), &err);
    size_t count = bench.job.files_count;
    assert_true(count > 10);
    for (size_t i = 0; i < count; i++) {
        struct lsm_file_meta *meta = bench.job.files[i];
        assert_int_equal(meta->range_tombstones, 1);
        assert_true(meta->largest_exclusive);
        struct lsm_slice end = i + 1 == count ? bound(KEYS) : lsm_buf_slice(&bench.job.files[i + 1]->smallest);
        assert_true(lsm_slice_equal(lsm_buf_slice(&meta->largest), end));
    }
    assert_true(lsm_slice_equal(lsm_buf_slice(&bench.job.files[0]->smallest), bound(0)));
    check_output(&world, &bench.job);
    tear_down(&world, &bench);
    close_world(&world);
}

/* ---- stopping --------------------------------------------------------------------------------------------------- */

/* A source with many entries, so that the job asks several times. */
struct endless {
    struct lsm_iter base;
    uint32_t at, count;
    uint8_t key[8];
};

static void endless_show(struct endless *endless) {
    lsm_store_be32(endless->key, 1);
    lsm_store_be32(endless->key + 4, endless->at);
    endless->base.valid = endless->at < endless->count;
    endless->base.kind = LSM_KIND_PUT;
    endless->base.key = lsm_slice_of(endless->key, 8);
    endless->base.value = lsm_slice_of(endless->key, 8);
}
static void endless_first(struct lsm_iter *iter) { ((struct endless *)iter)->at = 0, endless_show((struct endless *)iter); }
static void endless_next(struct lsm_iter *iter) { ((struct endless *)iter)->at++, endless_show((struct endless *)iter); }

static bool count_down(void *arg) {
    int *left = arg;
    return (*left)-- == 0;
}

static void a_job_that_is_stopped_leaves_no_file(void **state) {
    (void)state;
    static struct world world;
    static const struct lsm_iter_ops ops = {.first = endless_first, .next = endless_next};
    int64_t live = lsm_mem_live();
    open_world(&world, 1);
    int asked = 0, status = LSM_INTERRUPTED;
    while (status != LSM_OK) {
        struct endless endless = {.base.ops = &ops, .count = 3000};
        struct lsm_iter *sources[] = {&endless.base};
        int left = asked;
        struct lsm_job job = {.set = &world.set,
                              .sources = sources,
                              .count = 1,
                              .sst = sst_options,
                              .file_bytes = 9000,
                              .cancelled = count_down,
                              .cancelled_arg = &left};
        status = lsm_job_run(&job, &err);
        assert_true(status == LSM_OK || status == LSM_INTERRUPTED);
        if (status != LSM_OK) {
            assert_int_equal(err.code, LSM_INTERRUPTED);
            assert_int_equal(job.files_count, 0);
            assert_int_equal(count_tables(world.env), 0);
            asked++;
        } else {
            assert_true(job.files_count > 3);
        }
        lsm_job_release(&job);
    }
    assert_true(asked >= 3000 / 1000);
    close_world(&world);
    assert_int_equal(lsm_mem_live(), live);
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

/* Three sources over one run, values that make several files. */
static void failing_world(struct world *world) {
    uint64_t seed = 77;
    do {
        open_world(world, ++seed);
        world->value_bytes = 150;
        fill_world(world, 3, 1);
        bool tables = true, ranges = false;
        for (size_t r = 0; r < world->all; r++) {
            tables &= !world->contents[r].memory && world->files_count[r] != 0;
            ranges |= world->contents[r].ranges_count != 0;
        }
        if (tables && ranges) return;
        close_world(world);
    } while (true);
}

static void an_operation_that_fails_fails_the_job_and_no_file_is_left(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    static const unsigned ops[] = {LSM_ENV_MUTATING, LSM_ENV_READ, LSM_ENV_OPEN};
    failing_world(&world);
    size_t before = count_tables(world.env), failures = 0;
    for (size_t o = 0; o < 3; o++)
        for (uint64_t at = 1;; at++) {
            for (size_t r = 0; r < world.all; r++) /* readers are opened again: that may fail, too */
                for (size_t i = 0; i < world.files_count[r]; i++) {
                    lsm_sst_close(atomic_load(&world.files[r][i]->sst));
                    atomic_store(&world.files[r][i]->sst, NULL);
                }
            lsm_env_mem_fail_at(world.env, &(struct lsm_env_fault){.at = at, .ops = ops[o], .short_write = at % 2 == 0});
            uint64_t met = lsm_env_mem_faults(world.env);
            int status = set_up(&world, &bench);
            bench.job.file_bytes = 3000;
            if (status == LSM_OK) status = lsm_job_run(&bench.job, &err);
            met = lsm_env_mem_faults(world.env) - met;
            lsm_env_mem_fail_at(world.env, NULL);
            assert_int_equal(status, met == 0 ? LSM_OK : LSM_IO);
            if (status == LSM_OK) check_output(&world, &bench.job);
            if (status == LSM_OK)
                lsm_job_discard(&bench.job);
            else
                assert_true(err.code == LSM_IO && err.text[0] != '\0');
            assert_int_equal(bench.job.files_count, 0);
            assert_int_equal(count_tables(world.env), before);
            tear_down(&world, &bench);
            if (met == 0) break;
            failures++;
        }
    print_message("%zu failures\n", failures);
    assert_true(failures > 30);
    close_world(&world);
}

static void no_allocation_that_fails_leaves_a_file_or_memory(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    failing_world(&world);
    kit_ok(set_up(&world, &bench), &err); /* once for the readers, which stay open */
    kit_ok(lsm_job_run(&bench.job, &err), &err);
    lsm_job_discard(&bench.job);
    tear_down(&world, &bench);
    size_t before = count_tables(world.env);
    kit_ok(lsm_env_sync_dir(world.env, KIT_DIR, &err), &err);
    int64_t live = lsm_mem_live(), n = 0;
    int status;
    do {
        lsm_mem_fail_after(++n, false);
        status = set_up(&world, &bench);
        bench.job.file_bytes = 3000;
        if (status == LSM_OK) status = lsm_job_run(&bench.job, &err);
        lsm_mem_fail_after(0, false);
        assert_true(status == LSM_OK || status == LSM_NOMEM);
        if (status == LSM_OK) check_output(&world, &bench.job);
        if (status == LSM_OK) lsm_job_discard(&bench.job);
        tear_down(&world, &bench);
        assert_int_equal(count_tables(world.env), before);
        kit_ok(lsm_env_sync_dir(world.env, KIT_DIR, &err), &err); /* the disk forgets what was unlinked */
        assert_int_equal(lsm_mem_live(), live);
    } while (status != LSM_OK);
    print_message("%d allocations\n", (int)n);
    assert_true(n > 50);
    close_world(&world);
}

static void what_a_job_has_written_survives_a_power_cut(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    failing_world(&world);
    kit_ok(set_up(&world, &bench), &err);
    bench.job.file_bytes = 3000;
    kit_ok(lsm_job_run(&bench.job, &err), &err);
    assert_true(bench.job.files_count > 1);
    struct lsm_env *copy = lsm_env_mem_clone_crashed(world.env, LSM_CRASH_LOSE, 1);
    assert_non_null(copy);
    for (size_t i = 0; i < bench.job.files_count; i++) {
        char path[64];
        struct lsm_sst *sst;
        kit_path(LSM_FILE_TABLE, bench.job.files[i]->number, path, sizeof path);
        kit_ok(lsm_sst_open(copy, path, kit_id, bench.job.files[i], NULL, &sst, &err), &err);
        kit_ok(lsm_sst_verify(sst, NULL, NULL, &err), &err);
        lsm_sst_close(sst);
    }
    lsm_env_mem_free(copy);
    tear_down(&world, &bench);
    close_world(&world);
}

/* ---- the files of a run, one after the other -------------------------------------------------------------------- */

static void expect_at(const struct world *world, const struct lsm_iter *iter, int k, int low, int high) {
    assert_int_equal(iter->status, LSM_OK);
    assert_int_equal(iter->valid, k >= low && k < high);
    if (!iter->valid) return;
    assert_int_equal(key_number(iter->key), k);
    assert_int_equal(iter->kind, world->contents[0].kinds[k]);
    assert_true(lsm_slice_equal(iter->value, value_of(world, &world->contents[0], k)));
}

static int step(const struct world *world, int k, int by, int low, int high) {
    do k += by;
    while (k >= low && k < high && world->contents[0].kinds[k] == 0);
    return k;
}

static void a_run_reads_like_one_file_forward_and_backward(void **state) {
    (void)state;
    uint64_t seed = kit_seed();
    static struct world world;
    for (uint64_t round = 0; round < 200; round++) {
        open_world(&world, seed * 1000 + round);
        world.sources = world.all = 1;
        random_content(&world, &world.contents[0], false, 1);
        write_run(&world, 0);
        struct lsm_run_iter run;
        struct lsm_iter *iter = &run.base;
        lsm_run_iter_init(&run, &world.set, world.files[0], world.files_count[0], round % 2 == 0);
        int low = 0, high = KEYS, at = -1;
        if (round % 2 == 1) { /* one tree of it: seeks stay in the tree, as its cursors' do */
            run.tree = 1 + (uint32_t)below(&world, TREES);
            low = (int)(run.tree - 1) * TREE_KEYS;
            high = low + TREE_KEYS;
        }
        for (int i = 0; i < 200; i++) {
            uint64_t move = below(&world, 16);
            int wanted = low + (int)below(&world, (uint64_t)(high - low));
            if (move == 0 && run.tree == 0)
                lsm_iter_first(iter), at = step(&world, -1, 1, low, high);
            else if (move == 1 && run.tree == 0)
                lsm_iter_last(iter), at = step(&world, KEYS, -1, low, high);
            else if (move <= 2)
                lsm_iter_seek(iter, key_of(wanted)), at = step(&world, wanted - 1, 1, low, high);
            else if (move == 3)
                lsm_iter_seek_before(iter, key_of(wanted)), at = step(&world, wanted, -1, low, high);
            else if (!iter->valid)
                continue;
            else if (move < 10)
                lsm_iter_next(iter), at = step(&world, at, 1, low, high);
            else
                lsm_iter_prev(iter), at = step(&world, at, -1, low, high);
            expect_at(&world, iter, at, low, high);
        }
        lsm_iter_release(iter);
        close_world(&world);
    }
}

static void a_run_with_a_missing_file_says_so(void **state) {
    (void)state;
    static struct world world;
    full_world(&world, 10);
    lsm_file_meta_unref(world.files[0][0]);
    world.files[0][0] = write_table(&world, &world.contents[0], 0, 50);
    world.files[0][1] = write_table(&world, &world.contents[0], 50, KEYS);
    world.files_count[0] = 2;
    char path[64];
    kit_path(LSM_FILE_TABLE, world.files[0][1]->number, path, sizeof path);
    kit_ok(lsm_env_unlink(world.env, path, &err), &err);
    struct lsm_run_iter run;
    lsm_run_iter_init(&run, &world.set, world.files[0], 2, false);
    int read = 0;
    for (lsm_iter_first(&run.base); run.base.valid; lsm_iter_next(&run.base)) read++;
    assert_int_equal(read, 50);
    assert_int_not_equal(run.base.status, LSM_OK);
    assert_non_null(strstr(run.base.err.text, path));
    lsm_iter_seek(&run.base, key_of(60));
    assert_false(run.base.valid);
    assert_int_not_equal(run.base.status, LSM_OK);
    lsm_iter_seek(&run.base, key_of(7)); /* what is there can still be read */
    assert_true(run.base.valid);
    lsm_iter_release(&run.base);
    static struct bench bench;
    size_t before = count_tables(world.env);
    kit_ok(set_up(&world, &bench), &err);
    assert_int_not_equal(lsm_job_run(&bench.job, &err), LSM_OK);
    assert_int_equal(count_tables(world.env), before);
    tear_down(&world, &bench);
    close_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_goes_in_what_comes_out_reads_the_same_and_holds_no_more_than_it_must),
        cmocka_unit_test(files_end_at_their_size),
        cmocka_unit_test(a_tree_worth_it_gets_files_of_its_own),
        cmocka_unit_test(a_range_is_cut_with_the_files_and_leaves_no_gap),
        cmocka_unit_test(a_job_that_is_stopped_leaves_no_file),
        cmocka_unit_test(an_operation_that_fails_fails_the_job_and_no_file_is_left),
        cmocka_unit_test(no_allocation_that_fails_leaves_a_file_or_memory),
        cmocka_unit_test(what_a_job_has_written_survives_a_power_cut),
        cmocka_unit_test(a_run_reads_like_one_file_forward_and_backward),
        cmocka_unit_test(a_run_with_a_missing_file_says_so),
    };
    return cmocka_run_group_tests(tests, number_keys, NULL);
}
