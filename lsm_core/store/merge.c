/* Merging: build the shape, ask the policy, run the job, write the edit. */
#include "merge.h"

#include <stdlib.h>

enum {
    FILTER_BITS_PER_KEY = 10,
    FILES_AIMED_AT = 256, /* file size grows with the store, so that open files stay in the hundreds */
    BOTTOM = LSM_LEVELS - 1,
    BASE_MEMTABLES = 24, /* up to six times what level 0 holds, rewriting one level costs fewer bytes than pushing files through two */
    LEVEL0_RUNS = 4,
    LEVEL_RATIO = 10
};

bool lsm_store_cancelled(void *arg) {
    struct lsm_store *store = arg;
    return atomic_load_explicit(&store->stop, memory_order_relaxed);
}

/* ---- ranges of files ------------------------------------------------------------------------------------------------------ */

/* The files of a run that share keys with [low, high] (high_open: high itself is not in): [*first, *first + *count). */
static void overlapping(const struct lsm_run *run, struct lsm_slice low, struct lsm_slice high, bool high_open, size_t *first, size_t *count) {
    *first = lsm_run_find(run, low);
    size_t end = *first;
    for (; end < run->count; end++) {
        int order = lsm_slice_compare(lsm_buf_slice(&run->files[end]->smallest), high);
        if (order > 0 || (order == 0 && high_open)) break;
    }
    *count = end - *first;
}

static void overlapping_file(const struct lsm_run *run, const struct lsm_file_meta *meta, size_t *first, size_t *count) {
    overlapping(run, lsm_buf_slice(&meta->smallest), lsm_buf_slice(&meta->largest), meta->largest_exclusive, first, count);
}

/* ---- shape ------------------------------------------------------------------------------------------------------------------ */

static void release_shape(struct lsm_shape *shape) {
    lsm_free(shape->level0);
    for (int level = 1; level < LSM_LEVELS; level++) lsm_free(shape->levels[level].files);
}

static int shape_level(const struct lsm_version *version, int level, struct lsm_shape_level *out) {
    const struct lsm_run *run = &version->levels[level];
    out->bytes = run->bytes;
    out->files = lsm_calloc(run->count, sizeof *out->files);
    if (out->files == NULL) return LSM_NOMEM;
    for (size_t i = 0; i < run->count; i++) {
        const struct lsm_file_meta *meta = run->files[i];
        struct lsm_shape_file *file = &out->files[out->count++];
        *file = (struct lsm_shape_file){
            .bytes = meta->bytes, .entries = meta->entries, .tombstones = meta->tombstones, .range_tombstones = meta->range_tombstones};
        if (level == BOTTOM) continue;
        size_t first, count;
        overlapping_file(&version->levels[level + 1], meta, &first, &count);
        for (size_t f = first; f < first + count; f++) file->overlap_bytes += version->levels[level + 1].files[f]->bytes;
    }
    return LSM_OK;
}

static int build_shape(const struct lsm_version *version, struct lsm_shape *shape) {
    *shape = (struct lsm_shape){0};
    shape->level0 = lsm_calloc(version->level0_count, sizeof *shape->level0);
    if (shape->level0 == NULL) return LSM_NOMEM;
    for (size_t r = 0; r < version->level0_count; r++) {
        const struct lsm_run *run = &version->level0[r];
        shape->level0[shape->level0_count++] = (struct lsm_shape_run){.bytes = run->bytes, .files = run->count};
    }
    for (int level = 1; level < LSM_LEVELS; level++)
        if (shape_level(version, level, &shape->levels[level]) != LSM_OK) return LSM_NOMEM;
    return LSM_OK;
}

/* ---- one merge -------------------------------------------------------------------------------------------------------------- */

static uint64_t file_bytes_of(const struct lsm_store *store, const struct lsm_version *version) {
    uint64_t share = version->bytes / FILES_AIMED_AT;
    return store->options.file_bytes > share ? store->options.file_bytes : share;
}

enum lsm_compression lsm_store_compression(const struct lsm_store *store, int level) {
    enum lsm_compression wanted = store->options.compression;
    return level == 0 && wanted != LSM_COMPRESS_NONE ? LSM_COMPRESS_LZ4 : wanted;
}

int lsm_merge_init(struct lsm_merge *merge, struct lsm_store *store, struct lsm_version *version) {
    size_t most = version->level0_count + LSM_LEVELS;
    *merge = (struct lsm_merge){.store = store, .version = version};
    merge->inputs = lsm_calloc(most, sizeof *merge->inputs);
    merge->below = lsm_calloc(most, sizeof(const struct lsm_run *));
    merge->iters = lsm_calloc(most, sizeof *merge->iters);
    merge->gen_iters = lsm_calloc(LSM_GENS_MAX, sizeof *merge->gen_iters);
    merge->sources = lsm_calloc(most + LSM_GENS_MAX, sizeof(struct lsm_iter *));
    merge->sequences = lsm_calloc(most + LSM_GENS_MAX, sizeof(const uint64_t *));
    bool ok = merge->inputs != NULL && merge->below != NULL && merge->iters != NULL && merge->gen_iters != NULL && merge->sources != NULL &&
              merge->sequences != NULL;
    return ok ? LSM_OK : LSM_NOMEM;
}

void lsm_merge_release(struct lsm_merge *merge) {
    if (merge->iters != NULL)
        for (size_t i = 0; i < merge->inputs_count; i++) lsm_iter_release(&merge->iters[i].base);
    for (size_t i = 0; i < merge->gen_iters_count; i++) lsm_iter_release(&merge->gen_iters[i].base);
    lsm_job_release(&merge->job);
    lsm_free(merge->inputs);
    lsm_free(merge->below);
    lsm_free(merge->iters);
    lsm_free(merge->gen_iters);
    lsm_free(merge->sources);
    lsm_free(merge->sequences);
}

void lsm_merge_add(struct lsm_merge *merge, struct lsm_file_meta *const *files, size_t count) {
    if (count != 0) merge->inputs[merge->inputs_count++] = (struct lsm_merge_input){.files = files, .count = count};
}

/* Smallest and largest key of all inputs. */
static void input_bounds(const struct lsm_merge *merge, struct lsm_slice *low, struct lsm_slice *high, bool *high_open) {
    for (size_t i = 0; i < merge->inputs_count; i++) {
        const struct lsm_merge_input *input = &merge->inputs[i];
        const struct lsm_file_meta *last = input->files[input->count - 1];
        struct lsm_slice first_key = lsm_buf_slice(&input->files[0]->smallest), last_key = lsm_buf_slice(&last->largest);
        if (i == 0 || lsm_slice_compare(first_key, *low) < 0) *low = first_key;
        int order = i == 0 ? 1 : lsm_slice_compare(last_key, *high);
        if (order > 0) *high_open = last->largest_exclusive;
        if (order == 0) *high_open = *high_open && last->largest_exclusive;
        if (order > 0) *high = last_key;
    }
}

/* Turn a plan into inputs and what lies below them. */
static void plan_inputs(struct lsm_merge *merge, const struct lsm_plan *plan) {
    const struct lsm_version *version = merge->version;
    merge->to = plan->to;
    merge->rewrites = plan->kind == LSM_PLAN_NEIGHBOURS;
    if (plan->kind == LSM_PLAN_LEVEL0) {
        for (size_t r = plan->first; r < plan->first + plan->count; r++) lsm_merge_add(merge, version->level0[r].files, version->level0[r].count);
        merge->run = version->level0[plan->first].number;
        for (size_t r = plan->first + plan->count; r < version->level0_count; r++) merge->below[merge->below_count++] = &version->level0[r];
    } else {
        lsm_merge_add(merge, &version->levels[plan->from].files[plan->first], plan->count);
    }
    if (plan->to > 0 && plan->kind != LSM_PLAN_NEIGHBOURS) {
        struct lsm_slice low = {0}, high = {0};
        bool high_open = false;
        size_t first, count;
        input_bounds(merge, &low, &high, &high_open);
        overlapping(&version->levels[plan->to], low, high, high_open, &first, &count);
        if (count != 0) lsm_merge_add(merge, &version->levels[plan->to].files[first], count);
    }
    for (int level = plan->to + 1; level < LSM_LEVELS; level++) merge->below[merge->below_count++] = &version->levels[level];
}

static size_t input_files(const struct lsm_merge *merge) {
    size_t count = 0;
    for (size_t i = 0; i < merge->inputs_count; i++) count += merge->inputs[i].count;
    return count;
}

static int by_smallest(const void *a_void, const void *b_void) {
    const struct lsm_file_meta *a = *(struct lsm_file_meta *const *)a_void, *b = *(struct lsm_file_meta *const *)b_void;
    return lsm_slice_compare(lsm_buf_slice(&a->smallest), lsm_buf_slice(&b->smallest));
}

/* Would rewriting the file make it any better? Tombstones that hide nothing, or blocks not packed as the level wants them. */
static bool gains_by_rewrite(const struct lsm_merge *merge, const struct lsm_file_meta *meta) {
    if (meta->compression != lsm_store_compression(merge->store, merge->to)) return true;
    if (meta->tombstones == 0 && meta->range_tombstones == 0) return false;
    for (size_t i = 0; i < merge->below_count; i++) {
        size_t first, count;
        overlapping_file(merge->below[i], meta, &first, &count);
        if (count != 0) return false;
    }
    return true;
}

int lsm_merge_is_move(const struct lsm_merge *merge, bool *moves) {
    size_t count = 0, total = input_files(merge);
    struct lsm_file_meta **all = lsm_calloc(total, sizeof(struct lsm_file_meta *));
    if (all == NULL) return LSM_NOMEM;
    for (size_t i = 0; i < merge->inputs_count; i++)
        for (size_t f = 0; f < merge->inputs[i].count; f++) all[count++] = merge->inputs[i].files[f];
    if (count > 1) qsort(all, count, sizeof(struct lsm_file_meta *), by_smallest);
    *moves = true;
    for (size_t i = 0; i < count && *moves; i++) {
        *moves = !gains_by_rewrite(merge, all[i]);
        if (i > 0 && *moves) *moves = lsm_file_meta_precedes(all[i - 1], all[i]);
    }
    lsm_free(all);
    return LSM_OK;
}

/* Out with the inputs, in with `files`; and the log need not keep the memtables that were taken along. */
static int write_edit(struct lsm_merge *merge, struct lsm_file_meta *const *files, size_t count, bool move, struct lsm_error *err) {
    struct lsm_store *store = merge->store;
    struct lsm_edit edit = {.base = merge->version};
    struct lsm_state *spare = lsm_store_spare(store, err);
    bool keep_files = false;
    int status = spare == NULL ? LSM_NOMEM : LSM_OK;
    uint64_t run = merge->to == 0 ? merge->run : 0, covered = merge->gens_count == 0 ? 0 : merge->gens[0]->end;
    if (merge->gens_count != 0 && status == LSM_OK) status = lsm_flush_edit(store, merge->gens, merge->gens_count, &edit);
    for (size_t i = 0; i < merge->inputs_count; i++)
        for (size_t f = 0; f < merge->inputs[i].count && status == LSM_OK; f++) {
            status = lsm_edit_remove_file(&edit, merge->inputs[i].files[f]->number);
            if (status == LSM_OK && move) status = lsm_edit_add_file(&edit, merge->to, run, merge->inputs[i].files[f]);
        }
    for (size_t i = 0; i < count && status == LSM_OK; i++) status = lsm_edit_add_file(&edit, merge->to, run, files[i]);
    status = status == LSM_OK ? lsm_version_set_apply(&store->set, &edit, &keep_files, err) : lsm_fail_nomem(err, 0);
    lsm_edit_release(&edit);
    if (status != LSM_OK && !keep_files) lsm_job_discard(&merge->job);
    if (status == LSM_OK)
        lsm_store_install(store, spare, NULL, covered);
    else
        lsm_free(spare);
    if (status == LSM_OK) lsm_flush_remove_logs(store, merge->gens, merge->gens_count);
    return status;
}

static int open_memtables(struct lsm_merge *merge) {
    struct lsm_job *job = &merge->job;
    for (size_t i = 0; i < merge->gens_count; i++) {
        const struct lsm_gen *gen = merge->gens[i];
        struct lsm_gen_iter *iter = &merge->gen_iters[i];
        if (lsm_gen_iter_init(iter, gen, 0, UINT64_MAX) != LSM_OK) return LSM_NOMEM;
        merge->gen_iters_count++;
        merge->sources[i] = &iter->base;
        merge->sequences[i] = &iter->sequence;
        if (lsm_gen_add_ranges(gen, 0, UINT64_MAX, (uint32_t)i, &job->ranges) != LSM_OK) return LSM_NOMEM;
        if (gen->start < job->log_low) job->log_low = gen->start;
        if (gen->end > job->log_high) job->log_high = gen->end;
    }
    return LSM_OK;
}

static int open_sources(struct lsm_merge *merge, struct lsm_error *err) {
    struct lsm_job *job = &merge->job;
    size_t newer = merge->gens_count;
    job->log_low = UINT64_MAX;
    if (open_memtables(merge) != LSM_OK) return lsm_fail_nomem(err, 0);
    for (size_t i = 0; i < merge->inputs_count; i++) {
        const struct lsm_merge_input *input = &merge->inputs[i];
        lsm_run_iter_init(&merge->iters[i], &merge->store->set, input->files, input->count, false);
        merge->sources[newer + i] = &merge->iters[i].base;
        int status = lsm_job_add_file_ranges(&merge->store->set, input->files, input->count, (uint32_t)(newer + i), &job->ranges, err);
        if (status != LSM_OK) return status;
        for (size_t f = 0; f < input->count; f++) {
            lsm_count(merge->store, LSM_COUNT_MERGE_READ, input->files[f]->bytes);
            if (input->files[f]->log_low < job->log_low) job->log_low = input->files[f]->log_low;
            if (input->files[f]->log_high > job->log_high) job->log_high = input->files[f]->log_high;
        }
    }
    return LSM_OK;
}

int lsm_merge_run(struct lsm_merge *merge, bool (*cancelled)(void *), void *cancelled_arg, struct lsm_error *err) {
    struct lsm_store *store = merge->store;
    struct lsm_job *job = &merge->job;
    bool moves = false;
    if (!merge->rewrites && merge->gens_count == 0 && lsm_merge_is_move(merge, &moves) != LSM_OK) return lsm_fail_nomem(err, 0);
    if (moves) {
        lsm_count(store, LSM_COUNT_TRIVIAL_MOVES, input_files(merge));
        return write_edit(merge, NULL, 0, true, err);
    }
    job->set = &store->set;
    int status = open_sources(merge, err);
    if (status != LSM_OK) return status;
    job->sources = merge->sources;
    job->sequences = merge->sequences;
    job->count = merge->gens_count + merge->inputs_count;
    job->below = merge->below;
    job->below_count = merge->below_count;
    job->sst = (struct lsm_sst_options){.block_bytes = store->options.block_bytes,
                                        .compression = lsm_store_compression(store, merge->to),
                                        .filter_bits_per_key = FILTER_BITS_PER_KEY};
    job->file_bytes = file_bytes_of(store, merge->version);
    if (merge->spends) job->sst.spare = store->set.spare;
    job->cancelled = cancelled;
    job->cancelled_arg = cancelled_arg;
    status = lsm_job_run(job, err);
    if (status == LSM_OK) status = write_edit(merge, job->files, job->files_count, false, err);
    if (status != LSM_OK) return status;
    lsm_count(store, LSM_COUNT_MERGES, 1);
    lsm_count(store, LSM_COUNT_MERGE_WRITTEN, job->bytes_written);
    return LSM_OK;
}

int lsm_merge_with_version(struct lsm_store *store, int (*fn)(struct lsm_store *, struct lsm_version *, void *, struct lsm_error *), void *arg,
                           struct lsm_error *err) {
    struct lsm_shared_work shared;
    struct lsm_state *state = NULL;
    struct lsm_share_pin pin = {0};
    int status = lsm_shared_begin_work(store, LSM_WORK_MERGE, &shared, err);
    if (status != LSM_OK) return status;
    status = lsm_follow_version(store, err);
    if (status == LSM_OK) status = lsm_store_use_state(store, &state, &pin, NULL, err);
    if (status == LSM_OK) status = fn(store, state->version, arg, err);
    lsm_reserve_refill(store);
    lsm_shared_end_work(store, &shared);
    lsm_store_unuse_state(store, state, &pin);
    if (status != LSM_OVERTAKEN) return status;
    /* A process that was taken for stopped has gone on, or we have: what it did counts, and there may be something else to do. */
    status = lsm_follow(store, err);
    return status == LSM_OK ? LSM_NOTFOUND : status;
}

static uint64_t input_bytes(const struct lsm_merge *merge) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < merge->inputs_count; i++)
        for (size_t f = 0; f < merge->inputs[i].count; f++) bytes += merge->inputs[i].files[f]->bytes;
    return bytes;
}

static int merge_once(struct lsm_store *store, struct lsm_version *version, void *arg, struct lsm_error *err) {
    (void)arg;
    struct lsm_policy_options options = {.level0_runs = LEVEL0_RUNS,
                                         .base_bytes = (uint64_t)store->options.write_buffer_bytes * BASE_MEMTABLES,
                                         .ratio = LEVEL_RATIO,
                                         .file_bytes = file_bytes_of(store, version)};
    struct lsm_shape shape;
    struct lsm_merge merge = {0};
    int status = build_shape(version, &shape) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, 0);
    struct lsm_plan plan = {.kind = LSM_PLAN_NONE};
    if (status == LSM_OK) plan = lsm_policy_pick(&shape, &options);
    if (status == LSM_OK && plan.kind == LSM_PLAN_NONE) status = LSM_NOTFOUND;
    if (status == LSM_OK && lsm_merge_init(&merge, store, version) != LSM_OK) status = lsm_fail_nomem(err, 0);
    if (status == LSM_OK) {
        plan_inputs(&merge, &plan);
        merge.spends = input_bytes(&merge) <= lsm_reserve_bytes(store);
        status = lsm_job_outcome(lsm_merge_run(&merge, lsm_merge_cancelled, store, err), err);
    }
    lsm_merge_release(&merge);
    release_shape(&shape);
    return status;
}

int lsm_store_merge_job(struct lsm_store *store, struct lsm_error *err) { return lsm_merge_with_version(store, merge_once, NULL, err); }

/* ---- dropped trees ------------------------------------------------------------------------------------------------------------ */

struct drop_search {
    struct lsm_store *store;
    struct lsm_edit edit;
    uint64_t durable; /* drops up to this position are */
    int status;
};

/* Is every key of the file in one tree that is not alive, and durably so? Ids are not used twice, so what no live tree owns is garbage.
 * Locks: needs mu. */
static bool is_dropped(const struct drop_search *search, const struct lsm_file_meta *meta) {
    uint32_t tree = lsm_load_be32(meta->smallest.data), last = lsm_load_be32(meta->largest.data);
    bool boundary = meta->largest_exclusive && meta->largest.size == LSM_TREE_BYTES;
    if (last != tree && !(boundary && last == tree + 1)) return false;
    const struct lsm_store_tree *found = lsm_store_find_tree(search->store, tree);
    if (found == NULL || found->dropped_at <= search->durable) return true;
    if (found->dropped_at != UINT64_MAX) search->store->drop_wanted = true; /* since the sync: next time */
    return false;
}

static bool drop_one(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct drop_search *search = arg;
    (void)level;
    (void)run;
    if (meta->smallest.size < LSM_TREE_BYTES || meta->largest.size < LSM_TREE_BYTES) return true;
    if (is_dropped(search, meta)) search->status = lsm_edit_remove_file(&search->edit, meta->number);
    return search->status == LSM_OK;
}

static int drop_once(struct lsm_store *store, struct lsm_version *version, void *arg, struct lsm_error *err) {
    struct drop_search *search = arg;
    search->edit.base = version;
    lsm_mutex_lock(&store->mu);
    store->drop_wanted = false;
    lsm_version_each(version, drop_one, search);
    lsm_mutex_unlock(&store->mu);
    if (search->status != LSM_OK) return lsm_fail_nomem(err, 0);
    if (search->edit.removed_count == 0) return LSM_OK;
    bool keep_files;
    struct lsm_state *spare = lsm_store_spare(store, err);
    int status = spare == NULL ? LSM_NOMEM : lsm_job_outcome(lsm_version_set_apply(&store->set, &search->edit, &keep_files, err), err);
    if (status == LSM_OK)
        lsm_store_install(store, spare, NULL, 0);
    else
        lsm_free(spare);
    return status;
}

int lsm_store_drop_job(struct lsm_store *store, struct lsm_error *err) {
    /* The drop must be durable before the files are gone, or a power cut would bring the tree back without its rows. */
    struct drop_search search = {.store = store, .durable = atomic_load_explicit(&store->published, memory_order_acquire)};
    if (lsm_store_pending(store, NULL) != LSM_PENDING_NONE) return LSM_OK; /* it stays wanted until that is settled */
    int status = lsm_store_sync_logs(store, err);
    if (status == LSM_OK) status = lsm_merge_with_version(store, drop_once, &search, err);
    if (status != LSM_OK) {
        lsm_mutex_lock(&store->mu);
        store->drop_wanted = true; /* they are still there */
        lsm_mutex_unlock(&store->mu);
    }
    lsm_edit_release(&search.edit);
    return status;
}
