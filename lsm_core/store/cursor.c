/* Ordered reads: the merge of everything a view pins, without what is deleted, between two bounds. */
#include "../compact/job.h"
#include "../iter/merge.h"
#include "store.h"

#include <assert.h>

enum {
    READ_AHEAD_BYTES = 16 << 20, /* of all sources together: a large transaction with keys in random order leaves hundreds of runs */
    READ_AHEAD_FEW = 64          /* so many may read ahead as if they were alone */
};

struct lsm_cursor {
    struct lsm_view *view;
    uint32_t tree;
    bool valid;
    struct lsm_buf low, high; /* full keys; low is always set, high is the next tree if open */
    /* Their 8 bytes behind the tree's, or zeros: what has less there than high lies below it, what has more than low above it; else only the bytes tell. */
    uint64_t low_number, high_number;
    struct lsm_merge_iter merge;
    /* Where one table is all that is left to walk in this direction, its entries show as they stand, as far as its present block lies within the bounds: */
    struct lsm_sst_iter *table;   /* NULL: the merge shows */
    size_t table_low, table_high; /* these entries of the block */
    const struct lsm_iter *entry; /* what shows */
    struct lsm_iter **sources;    /* newest first: generations (memtables and runs), level 0 runs, levels */
    const uint64_t **sequences;   /* of each source: where its current entry's sequence stands; NULL for a run */
    size_t count;
    struct lsm_memtable_iter *mem; /* of the sources that are memtables */
    struct lsm_run_iter *runs;     /* of the others */
    size_t mem_count, runs_count;
    struct lsm_ranges ranges;
    struct lsm_buf scratch;
};

static inline uint64_t number_of(struct lsm_slice key) {
    if (key.size >= LSM_TREE_BYTES + sizeof(uint64_t)) return lsm_load_be64(key.data + LSM_TREE_BYTES);
    uint8_t bytes[sizeof(uint64_t)] = {0};
    memcpy(bytes, key.data + LSM_TREE_BYTES, key.size - LSM_TREE_BYTES);
    return lsm_load_be64(bytes);
}

static int set_bounds(struct lsm_cursor *cursor, const struct lsm_slice *low, const struct lsm_slice *high, struct lsm_error *err) {
    cursor->valid = false;
    int status = lsm_full_key(&cursor->low, cursor->tree, low == NULL ? (struct lsm_slice){0} : *low);
    if (status == LSM_OK && high != NULL) status = lsm_full_key(&cursor->high, cursor->tree, *high);
    if (status == LSM_OK && high == NULL) status = lsm_full_key(&cursor->high, cursor->tree + 1, (struct lsm_slice){0});
    if (status != LSM_OK) return lsm_fail_nomem(err, 0);
    cursor->high_number = high == NULL ? UINT64_MAX : number_of(lsm_buf_slice(&cursor->high));
    cursor->low_number = number_of(lsm_buf_slice(&cursor->low));
    return LSM_OK;
}

/* Entries come from one tree, so that most are known to lie within the bounds by one comparison of numbers. */
static bool is_below_high(const struct lsm_cursor *cursor, struct lsm_slice key) {
    return number_of(key) < cursor->high_number || lsm_slice_compare(key, lsm_buf_slice(&cursor->high)) < 0;
}

static bool is_below_low(const struct lsm_cursor *cursor, struct lsm_slice key) {
    return number_of(key) <= cursor->low_number && lsm_slice_compare(key, lsm_buf_slice(&cursor->low)) < 0;
}

/* Does the run have anything of the tree? */
static bool run_matters(const struct lsm_run *run, uint32_t tree) {
    uint8_t bytes[2 * LSM_TREE_BYTES];
    lsm_store_be32(bytes, tree);
    lsm_store_be32(bytes + LSM_TREE_BYTES, tree + 1);
    size_t at = lsm_run_find(run, lsm_slice_of(bytes, LSM_TREE_BYTES));
    return at < run->count && lsm_slice_compare(lsm_buf_slice(&run->files[at]->smallest), lsm_slice_of(bytes + LSM_TREE_BYTES, LSM_TREE_BYTES)) < 0;
}

static int add_memtable(struct lsm_cursor *cursor, const struct lsm_memtable *mt) {
    struct lsm_memtable_iter *iter = &cursor->mem[cursor->mem_count++];
    uint32_t source = (uint32_t)cursor->count;
    lsm_memtable_iter_init(iter, mt, cursor->view->position);
    cursor->sequences[cursor->count] = &iter->sequence;
    cursor->sources[cursor->count++] = &iter->base;
    for (const struct lsm_mem_range *range = lsm_memtable_ranges(mt, cursor->view->position); range != NULL; range = lsm_memtable_range_next(range)) {
        struct lsm_range item = {.low = range->low, .high = range->high, .source = source, .sequence = range->sequence};
        if (lsm_ranges_add(&cursor->ranges, item) != LSM_OK) return LSM_NOMEM;
    }
    return LSM_OK;
}

static int add_run(struct lsm_cursor *cursor, const struct lsm_run *run, struct lsm_error *err) {
    if (run->count == 0 || !run_matters(run, cursor->tree)) return LSM_OK;
    struct lsm_run_iter *iter = &cursor->runs[cursor->runs_count++];
    lsm_run_iter_init(iter, &cursor->view->store->set, run->files, run->count, true);
    iter->tree = cursor->tree; /* the merge below compares without the tree: no other may come up */
    uint32_t source = (uint32_t)cursor->count;
    cursor->sources[cursor->count++] = &iter->base;
    return lsm_job_add_file_ranges(&cursor->view->store->set, run->files, run->count, source, &cursor->ranges, err);
}

static int add_version(struct lsm_cursor *cursor, const struct lsm_version *version, struct lsm_error *err) {
    int status = LSM_OK;
    for (size_t r = 0; r < version->level0_count && status == LSM_OK; r++) status = add_run(cursor, &version->level0[r], err);
    for (int level = 1; level < LSM_LEVELS && status == LSM_OK; level++) status = add_run(cursor, &version->levels[level], err);
    return status;
}

static size_t count_runs(const struct lsm_version *version) {
    size_t runs = version->level0_count;
    for (int level = 1; level < LSM_LEVELS; level++) runs += version->levels[level].count > 0;
    return runs;
}

/* Room for every source that there may be, and no more: what walks a run is large, and to zero one costs more than a small scan. */
static int make_room(struct lsm_cursor *cursor, struct lsm_error *err) {
    const struct lsm_state *state = cursor->view->state;
    size_t runs = count_runs(state->version), memtables = 0;
    for (size_t i = 0; i < state->gens_count; i++) {
        if (state->gens[i]->files != NULL)
            runs += count_runs(state->gens[i]->files);
        else
            memtables++;
    }
    cursor->sources = lsm_calloc(memtables + runs, sizeof(struct lsm_iter *));
    cursor->sequences = lsm_calloc(memtables + runs, sizeof(const uint64_t *));
    cursor->mem = lsm_calloc(memtables, sizeof *cursor->mem);
    cursor->runs = lsm_calloc(runs, sizeof *cursor->runs);
    bool ok = cursor->sources != NULL && cursor->sequences != NULL && cursor->mem != NULL && cursor->runs != NULL;
    return ok ? LSM_OK : lsm_fail_nomem(err, runs * sizeof *cursor->runs);
}

static int add_sources(struct lsm_cursor *cursor, struct lsm_error *err) {
    const struct lsm_state *state = cursor->view->state;
    int status = make_room(cursor, err);
    for (size_t i = 0; i < state->gens_count && status == LSM_OK; i++) {
        const struct lsm_gen *gen = state->gens[i];
        const struct lsm_memtable *mt = gen->files != NULL ? NULL : lsm_gen_find(gen, cursor->tree);
        if (gen->files != NULL)
            status = add_version(cursor, gen->files, err);
        else if (mt != NULL && add_memtable(cursor, mt) != LSM_OK)
            status = lsm_fail_nomem(err, sizeof(struct lsm_range));
    }
    if (status == LSM_OK) status = add_version(cursor, state->version, err);
    for (size_t i = 0; i < cursor->runs_count && cursor->runs_count > READ_AHEAD_FEW; i++)
        cursor->runs[i].window_most = READ_AHEAD_BYTES / cursor->runs_count;
    if (status == LSM_OK && lsm_merge_iter_init(&cursor->merge, cursor->sources, cursor->count, LSM_TREE_BYTES) != LSM_OK)
        status = lsm_fail_nomem(err, 0);
    return status;
}

int lsm_cursor_open(struct lsm_view *view, uint32_t tree, const struct lsm_slice *low, const struct lsm_slice *high, struct lsm_cursor **out,
                    struct lsm_error *err) {
    *out = NULL;
    int status = lsm_store_guard(view->store, err);
    if (status != LSM_OK) return status;
    struct lsm_cursor *cursor = lsm_calloc(1, sizeof *cursor);
    if (cursor == NULL) return lsm_fail_nomem(err, sizeof *cursor);
    cursor->view = view;
    cursor->tree = tree;
    status = set_bounds(cursor, low, high, err);
    if (status == LSM_OK) status = add_sources(cursor, err);
    if (status != LSM_OK) {
        lsm_cursor_close(cursor);
        return status;
    }
    *out = cursor;
    return LSM_OK;
}

void lsm_cursor_close(struct lsm_cursor *cursor) {
    if (cursor == NULL) return;
    lsm_iter_release(&cursor->merge.base);
    for (size_t i = 0; i < cursor->count; i++) lsm_iter_release(cursor->sources[i]);
    lsm_free(cursor->sources);
    lsm_free(cursor->sequences);
    lsm_free(cursor->mem);
    lsm_free(cursor->runs);
    lsm_ranges_release(&cursor->ranges);
    lsm_buf_free(&cursor->low);
    lsm_buf_free(&cursor->high);
    lsm_buf_free(&cursor->scratch);
    lsm_free(cursor);
}

int lsm_cursor_rebound(struct lsm_cursor *cursor, const struct lsm_slice *low, const struct lsm_slice *high, struct lsm_error *err) {
    return set_bounds(cursor, low, high, err);
}

/* Is the current entry deleted, by its own tombstone or by a range? */
static bool is_hidden(const struct lsm_cursor *cursor) {
    const struct lsm_iter *entry = &cursor->merge.base;
    if (entry->kind == LSM_KIND_DELETE) return true;
    if (lsm_ranges_empty(&cursor->ranges)) return false;
    const uint64_t *sequence = cursor->sequences[cursor->merge.source];
    return lsm_ranges_cover(&cursor->ranges, entry->key, cursor->merge.source, sequence == NULL ? UINT64_MAX : *sequence);
}

/* An entry that shows if it lies within the bounds: nearly all do, and need no more than this and a comparison of numbers. */
static inline bool is_plain(const struct lsm_cursor *cursor) {
    const struct lsm_iter *entry = &cursor->merge.base;
    return entry->valid && entry->kind == LSM_KIND_PUT && lsm_ranges_empty(&cursor->ranges);
}

static int failed(struct lsm_cursor *cursor, struct lsm_error *err) {
    const struct lsm_iter *entry = &cursor->merge.base;
    cursor->valid = false;
    if (entry->status != LSM_OK && err != NULL) *err = entry->err;
    return entry->status;
}

/* From where the merge stands to the first entry that shows, going up. */
static int settle_forward(struct lsm_cursor *cursor, struct lsm_error *err) {
    struct lsm_iter *entry = &cursor->merge.base;
    for (; entry->valid; lsm_iter_next(entry)) {
        if (!is_below_high(cursor, entry->key)) break;
        if (is_hidden(cursor)) continue;
        cursor->valid = true;
        return LSM_OK;
    }
    return failed(cursor, err);
}

static int settle_backward(struct lsm_cursor *cursor, struct lsm_error *err) {
    struct lsm_iter *entry = &cursor->merge.base;
    for (; entry->valid; lsm_iter_prev(entry)) {
        if (is_below_low(cursor, entry->key)) break;
        if (is_hidden(cursor)) continue;
        cursor->valid = true;
        return LSM_OK;
    }
    return failed(cursor, err);
}

static int start(struct lsm_cursor *cursor, struct lsm_error *err) {
    cursor->valid = false;
    cursor->table = NULL;
    cursor->entry = &cursor->merge.base;
    lsm_count_read(cursor->view->store, LSM_COUNT_SEEKS);
    return lsm_store_guard(cursor->view->store, err);
}

int lsm_cursor_first(struct lsm_cursor *cursor, struct lsm_error *err) {
    int status = start(cursor, err);
    if (status != LSM_OK) return status;
    lsm_iter_seek(&cursor->merge.base, lsm_buf_slice(&cursor->low));
    return settle_forward(cursor, err);
}

int lsm_cursor_last(struct lsm_cursor *cursor, struct lsm_error *err) {
    int status = start(cursor, err);
    if (status != LSM_OK) return status;
    lsm_iter_seek_before(&cursor->merge.base, lsm_buf_slice(&cursor->high));
    return settle_backward(cursor, err);
}

int lsm_cursor_seek(struct lsm_cursor *cursor, struct lsm_slice key, struct lsm_error *err) {
    int status = start(cursor, err);
    if (status != LSM_OK) return status;
    if (lsm_full_key(&cursor->scratch, cursor->tree, key) != LSM_OK) return lsm_fail_nomem(err, key.size);
    struct lsm_slice full = lsm_buf_slice(&cursor->scratch), low = lsm_buf_slice(&cursor->low);
    lsm_iter_seek(&cursor->merge.base, lsm_slice_compare(full, low) < 0 ? low : full);
    return settle_forward(cursor, err);
}

/* Is one table all that is left to walk? Told by the merge, so that it is so in the direction it goes. */
static void find_table(struct lsm_cursor *cursor) {
    const struct lsm_merge_iter *merge = &cursor->merge;
    if (merge->live != 1 || cursor->sequences[merge->source] != NULL || !lsm_ranges_empty(&cursor->ranges)) return;
    struct lsm_sst_iter *table = &((struct lsm_run_iter *)merge->heap[0].iter)->table;
    bool exact;
    cursor->table_low = lsm_block_seek(&table->view, lsm_buf_slice(&cursor->low), &exact);
    cursor->table_high = lsm_block_seek(&table->view, lsm_buf_slice(&cursor->high), &exact);
    cursor->table = table;
    cursor->entry = &table->base;
}

/* The merge shows again. */
static void leave_table(struct lsm_cursor *cursor) {
    if (cursor->table == NULL) return;
    cursor->merge.base.key = cursor->table->base.key;
    cursor->merge.base.value = cursor->table->base.value;
    cursor->merge.base.kind = cursor->table->base.kind;
    cursor->entry = &cursor->merge.base;
    cursor->table = NULL;
}

static int next_of_merge(struct lsm_cursor *cursor, bool stepped, struct lsm_error *err) {
    leave_table(cursor);
    if (!stepped) lsm_iter_next(&cursor->merge.base);
    cursor->valid = is_plain(cursor) && number_of(cursor->merge.base.key) < cursor->high_number;
    int status = cursor->valid ? LSM_OK : settle_forward(cursor, err);
    if (cursor->valid) find_table(cursor);
    return status;
}

static int prev_of_merge(struct lsm_cursor *cursor, bool stepped, struct lsm_error *err) {
    leave_table(cursor);
    if (!stepped) lsm_iter_prev(&cursor->merge.base);
    cursor->valid = is_plain(cursor) && number_of(cursor->merge.base.key) > cursor->low_number;
    int status = cursor->valid ? LSM_OK : settle_backward(cursor, err);
    if (cursor->valid) find_table(cursor);
    return status;
}

int lsm_cursor_next(struct lsm_cursor *cursor, struct lsm_error *err) {
    assert(cursor->valid);
    struct lsm_sst_iter *table = cursor->table;
    bool here = table != NULL && table->entry_no + 1 < cursor->table_high && !cursor->merge.backward;
    if (!here) return next_of_merge(cursor, false, err);
    lsm_sst_iter_step(table, true);
    return table->base.kind == LSM_KIND_PUT ? LSM_OK : next_of_merge(cursor, true, err);
}

int lsm_cursor_prev(struct lsm_cursor *cursor, struct lsm_error *err) {
    assert(cursor->valid);
    struct lsm_sst_iter *table = cursor->table;
    bool here = table != NULL && table->entry_no > cursor->table_low && cursor->merge.backward;
    if (!here) return prev_of_merge(cursor, false, err);
    lsm_sst_iter_step(table, false);
    return table->base.kind == LSM_KIND_PUT ? LSM_OK : prev_of_merge(cursor, true, err);
}

bool lsm_cursor_valid(const struct lsm_cursor *cursor) { return cursor->valid; }

struct lsm_slice lsm_cursor_key(const struct lsm_cursor *cursor) {
    const struct lsm_iter *entry = cursor->entry;
    return lsm_slice_of(entry->key.data + LSM_TREE_BYTES, entry->key.size - LSM_TREE_BYTES);
}

struct lsm_slice lsm_cursor_value(const struct lsm_cursor *cursor) {
    return cursor->entry->value;
}
