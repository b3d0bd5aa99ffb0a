/* Everything into the bottom, asked for by hand: what lies in table files, and the memtables along with it where that saves writing them twice. */
#include "merge.h"

enum {
    BUSY_PAUSE_US = 5000, /* between two looks at another process that merges */
    SEALED_MAX = 2,       /* with more, writers are held up at once, and wait for a flush */
    BOTTOM = LSM_LEVELS - 1
};

static void add_all(struct lsm_merge *merge) {
    const struct lsm_version *version = merge->version;
    for (size_t r = 0; r < version->level0_count; r++) lsm_merge_add(merge, version->level0[r].files, version->level0[r].count);
    for (int level = 1; level < LSM_LEVELS; level++) lsm_merge_add(merge, version->levels[level].files, version->levels[level].count);
    merge->to = BOTTOM;
}

/* Is there nothing to gain: one level only, well packed, no tombstones? */
static bool is_compact(const struct lsm_store *store, const struct lsm_version *version) {
    if (version->level0_count != 0) return false;
    for (int level = 1; level < BOTTOM; level++)
        if (version->levels[level].count != 0) return false;
    for (size_t i = 0; i < version->levels[BOTTOM].count; i++) {
        const struct lsm_file_meta *meta = version->levels[BOTTOM].files[i];
        if (meta->tombstones != 0 || meta->range_tombstones != 0 || meta->compression != (uint8_t)store->options.compression) return false;
    }
    return true;
}

struct stop_asker {
    struct lsm_store *store;
    bool full; /* the disk: all memtables are taken along, however many, and the reserve is spent */
    lsm_interrupt_fn interrupted;
    void *arg;
};

static bool must_stop(void *arg) {
    const struct stop_asker *asker = arg;
    return lsm_merge_cancelled(asker->store) || (asker->interrupted != NULL && asker->interrupted(asker->arg));
}

static int compact_once(struct lsm_store *store, struct lsm_version *version, void *arg, struct lsm_error *err) {
    struct lsm_merge merge = {0};
    int status = LSM_NOTFOUND;
    if (is_compact(store, version)) goto out;
    status = lsm_merge_init(&merge, store, version) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, 0);
    if (status != LSM_OK) goto out;
    add_all(&merge);
    merge.spends = true;
    status = lsm_job_outcome(lsm_merge_run(&merge, must_stop, arg, err), err);
out:
    lsm_merge_release(&merge);
    return status;
}

/* LSM_WORK_ELSEWHERE: another process merges; and while it does, nothing here can be promised to be one bottom run. */
static int compact_turn(struct stop_asker *asker, struct lsm_error *err) {
    struct lsm_store *store = asker->store;
    struct lsm_error local = {0};
    int status = lsm_work_claim(store, LSM_WORK_MERGE, asker->interrupted, asker->arg, err);
    if (status != LSM_OK) return status;
    status = lsm_merge_with_version(store, compact_once, asker, &local);
    lsm_work_done(store, LSM_WORK_MERGE, status == LSM_NOTFOUND ? LSM_WORK_SAYS_NOTHING : status, &local);
    if (status == LSM_NOTFOUND) return LSM_OK;
    if (status != LSM_OK && err != NULL) *err = local;
    if (status != LSM_WORK_ELSEWHERE) return status;
    lsm_env_sleep_us(store->env, BUSY_PAUSE_US);
    if (asker->interrupted != NULL && asker->interrupted(asker->arg)) return lsm_fail(err, LSM_INTERRUPTED, "interrupted");
    return LSM_WORK_ELSEWHERE;
}

/* The memtables that were sealed just now go straight to the bottom, instead of into a run of level 0 that would be read and written again at once. No flush
 * can be made meanwhile, by any process; so if a writer in any of them fills another memtable it is given up, and done the other way. */
struct settling {
    struct stop_asker *asker;
    int sealed; /* generations when it began */
    bool gave_way;
};

static bool must_give_way(void *arg) {
    struct settling *settling = arg;
    struct lsm_store *store = settling->asker->store;
    lsm_share_beat(store->share, LSM_SHARE_FLUSH);
    if (lsm_follow_if_behind(store, NULL) != LSM_OK) { /* What another process has written cannot be read now: who reads it will say why. */
    }
    settling->gave_way = atomic_load_explicit(&store->sealed, memory_order_relaxed) > settling->sealed;
    return settling->gave_way || must_stop(settling->asker);
}

/* Keys of a memtable, and whether some file may have one of them. */
struct meeting {
    struct lsm_buf low;
    struct lsm_slice high;
    bool found;
};

static bool meets_file(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct meeting *meeting = arg;
    struct lsm_slice low = lsm_buf_slice(&meeting->low);
    (void)level;
    (void)run;
    meeting->found = lsm_file_meta_overlaps(meta, &low, &meeting->high);
    return !meeting->found;
}

static int meets_memtable(const struct lsm_version *version, const struct lsm_memtable *memtable, bool *meets) {
    struct meeting meeting = {.found = lsm_memtable_ranges(memtable, UINT64_MAX) != NULL};
    struct lsm_memtable_iter iter;
    lsm_memtable_iter_init(&iter, memtable, UINT64_MAX);
    lsm_iter_first(&iter.base);
    int status = iter.base.valid ? lsm_buf_set(&meeting.low, iter.base.key) : LSM_OK;
    lsm_iter_last(&iter.base);
    meeting.high = iter.base.key;
    if (iter.base.valid && status == LSM_OK && !meeting.found) lsm_version_each(version, meets_file, &meeting);
    *meets = *meets || meeting.found;
    lsm_buf_free(&meeting.low);
    lsm_iter_release(&iter.base);
    return status;
}

/* Would all files be left where they are, or only be moved, if the memtables became files themselves? Then nothing is read and written but these. */
static int has_files_to_move(const struct lsm_merge *merge, bool *moves) {
    bool meets = false;
    int status = lsm_merge_is_move(merge, moves);
    for (size_t i = 0; i < merge->gens_count && status == LSM_OK && *moves; i++) {
        struct lsm_gen_tree **trees = lsm_gen_sorted(merge->gens[i]);
        status = trees == NULL ? LSM_NOMEM : LSM_OK;
        for (size_t t = 0; t < merge->gens[i]->trees && status == LSM_OK; t++) status = meets_memtable(merge->version, trees[t]->memtable, &meets);
        lsm_free(trees);
    }
    /* A file of memtables is packed as what is young is; where the bottom is packed otherwise it would be written again, and all others with it. */
    bool packed = lsm_store_compression(merge->store, 0) == lsm_store_compression(merge->store, merge->to);
    *moves = *moves && packed && !meets && merge->inputs_count != 0;
    return status;
}

/* LSM_NOTFOUND: there is nothing to take along, or not all of it can be, or it is not worth it. */
static int settle_state(struct stop_asker *asker, struct lsm_state *state, struct lsm_error *err) {
    struct lsm_store *store = asker->store;
    struct settling settling = {.asker = asker, .sealed = (int)state->gens_count - 1};
    lsm_mutex_lock(&store->mu);
    size_t due = store->state == state ? lsm_flush_count_due(store) : 0;
    lsm_mutex_unlock(&store->mu);
    if (due == 0 || due != state->gens_count - 1 || (due > SEALED_MAX && !asker->full)) return LSM_NOTFOUND;
    for (size_t i = 1; i <= due; i++)
        if (state->gens[i]->files != NULL) return LSM_NOTFOUND;
    struct lsm_merge merge;
    bool moves = false;
    int status = lsm_merge_init(&merge, store, state->version);
    if (status == LSM_OK) {
        merge.gens = &state->gens[1];
        merge.gens_count = due;
        merge.spends = asker->full;
        add_all(&merge);
        status = has_files_to_move(&merge, &moves);
    }
    if (status != LSM_OK)
        status = lsm_fail_nomem(err, 0);
    else
        status = moves ? LSM_NOTFOUND : lsm_job_outcome(lsm_merge_run(&merge, must_give_way, &settling, err), err);
    lsm_merge_release(&merge);
    if (status == LSM_OK) lsm_count(store, LSM_COUNT_FLUSHES, 1);
    return settling.gave_way ? LSM_NOTFOUND : status;
}

/* Needs: both claims. */
static int settle(struct stop_asker *asker, struct lsm_error *err) {
    struct lsm_store *store = asker->store;
    struct lsm_shared_work flush, merge;
    struct lsm_state *state = NULL;
    struct lsm_share_pin pin = {0};
    int status = lsm_shared_begin_work(store, LSM_WORK_FLUSH, &flush, err);
    if (status != LSM_OK) return status;
    status = lsm_shared_begin_work(store, LSM_WORK_MERGE, &merge, err);
    if (status == LSM_OK) {
        status = lsm_follow_version(store, err);
        if (status == LSM_OK) status = lsm_store_use_state(store, &state, &pin, NULL, err);
        if (status == LSM_OK) status = settle_state(asker, state, err);
        lsm_shared_end_work(store, &merge);
        lsm_store_unuse_state(store, state, &pin);
    }
    lsm_shared_end_work(store, &flush);
    return status;
}

/* *settled: all is done. If not, the way through a flush is tried next, and reports what is wrong. */
static int try_settle(struct stop_asker *asker, bool *settled, struct lsm_error *err) {
    struct lsm_store *store = asker->store;
    int status = lsm_flush_lock_writer(store, asker->interrupted, asker->arg, err);
    if (status != LSM_OK) return status;
    bool claimed = lsm_work_try_both(store); /* before there is something to flush, or a worker would */
    status = lsm_store_roll(store, err);
    lsm_store_unlock_writer(store);
    if (!claimed) return status;
    int outcome = status == LSM_OK ? settle(asker, err) : status;
    *settled = outcome == LSM_OK;
    lsm_work_done(store, LSM_WORK_MERGE, *settled ? LSM_OK : LSM_WORK_SAYS_NOTHING, NULL);
    lsm_work_done(store, LSM_WORK_FLUSH, *settled ? LSM_OK : LSM_WORK_SAYS_NOTHING, NULL);
    if (outcome == LSM_OVERTAKEN) return lsm_follow(store, err);
    return outcome == LSM_INTERRUPTED ? outcome : status;
}

int lsm_store_compact(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    struct stop_asker asker = {.store = store, .interrupted = interrupted, .arg = arg};
    bool settled = false;
    int status = try_settle(&asker, &settled, err);
    if (status == LSM_OK && !settled) status = lsm_store_flush(store, interrupted, arg, err);
    /* What is deleted in memory need not be written, nor what it deletes, if all goes at once. */
    asker.full = status == LSM_FULL;
    if (asker.full && try_settle(&asker, &settled, NULL) == LSM_OK && settled) status = LSM_OK;
    while (status == LSM_OK && !settled) {
        status = compact_turn(&asker, err);
        settled = status == LSM_OK;
        if (status == LSM_WORK_ELSEWHERE) status = LSM_OK;
    }
    /* Who asked for it looks at the disk next. */
    lsm_store_sweep(store);
    lsm_reserve_fit(store);
    return status;
}
