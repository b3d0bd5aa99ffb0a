/* Sealed generations become one run of level 0; the log files behind them can go. */
#include "../compact/job.h"
#include "../env/filename.h"
#include "store.h"

#include <assert.h>

enum { FILTER_BITS_PER_KEY = 10 };

/* All memtables of a generation, tree after tree. Goes forward only: first() and next() are all a job asks for. */
struct gen_iter {
    struct lsm_iter base;
    struct lsm_gen_tree **trees;
    size_t count, at;
    uint64_t sequence;
    struct lsm_memtable_iter table;
};

/* Copy the place in tree `at`, or go on to the next tree that has something. */
static void gen_show(struct gen_iter *iter) {
    while (!iter->table.base.valid && ++iter->at < iter->count) {
        lsm_memtable_iter_init(&iter->table, iter->trees[iter->at]->memtable, UINT64_MAX);
        lsm_iter_first(&iter->table.base);
    }
    iter->base.valid = iter->table.base.valid;
    iter->base.kind = iter->table.base.kind;
    iter->base.key = iter->table.base.key;
    iter->base.value = iter->table.base.value;
    iter->sequence = iter->table.sequence;
}

static void gen_first(struct lsm_iter *base) {
    struct gen_iter *iter = (struct gen_iter *)base;
    iter->at = SIZE_MAX;
    iter->table.base.valid = false;
    gen_show(iter);
}

static void gen_next(struct lsm_iter *base) {
    struct gen_iter *iter = (struct gen_iter *)base;
    lsm_iter_next(&iter->table.base);
    gen_show(iter);
}

static void gen_release(struct lsm_iter *base) { lsm_free(((struct gen_iter *)base)->trees); }

static int gen_iter_init(struct gen_iter *iter, const struct lsm_gen *gen) {
    static const struct lsm_iter_ops ops = {.first = gen_first, .next = gen_next, .release = gen_release};
    memset(iter, 0, sizeof *iter);
    iter->base.ops = &ops;
    iter->trees = lsm_gen_sorted(gen);
    iter->count = gen->trees;
    return iter->trees == NULL ? LSM_NOMEM : LSM_OK;
}

/* ---- the job ------------------------------------------------------------------------------------------------------------ */

struct flush {
    struct lsm_store *store;
    struct lsm_state *state;
    size_t count;                    /* sealed generations: state->gens[1 .. count] */
    struct gen_iter *gens;
    struct lsm_iter **sources;
    const uint64_t **sequences;
    const struct lsm_run **below;
    struct lsm_job job;
};

static int collect_ranges(struct flush *flush, uint32_t source) {
    const struct gen_iter *gen = &flush->gens[source];
    for (size_t t = 0; t < gen->count; t++) {
        const struct lsm_mem_range *range = lsm_memtable_ranges(gen->trees[t]->memtable, UINT64_MAX);
        for (; range != NULL; range = lsm_memtable_range_next(range)) {
            struct lsm_range item = {.low = range->low, .high = range->high, .source = source, .sequence = range->sequence};
            if (lsm_ranges_add(&flush->job.ranges, item) != LSM_OK) return LSM_NOMEM;
        }
    }
    return LSM_OK;
}

static int collect_sources(struct flush *flush) {
    const struct lsm_version *version = flush->state->version;
    flush->gens = lsm_calloc(flush->count, sizeof *flush->gens);
    flush->sources = lsm_calloc(flush->count, sizeof(struct lsm_iter *));
    flush->sequences = lsm_calloc(flush->count, sizeof(const uint64_t *));
    flush->below = lsm_calloc(version->level0_count + LSM_LEVELS, sizeof(const struct lsm_run *));
    if (flush->gens == NULL || flush->sources == NULL || flush->sequences == NULL || flush->below == NULL) return LSM_NOMEM;
    for (size_t i = 0; i < flush->count; i++) {
        if (gen_iter_init(&flush->gens[i], flush->state->gens[i + 1]) != LSM_OK) return LSM_NOMEM;
        flush->sources[i] = &flush->gens[i].base;
        flush->sequences[i] = &flush->gens[i].sequence;
        if (collect_ranges(flush, (uint32_t)i) != LSM_OK) return LSM_NOMEM;
    }
    for (size_t r = 0; r < version->level0_count; r++) flush->below[flush->job.below_count++] = &version->level0[r];
    for (int level = 1; level < LSM_LEVELS; level++) flush->below[flush->job.below_count++] = &version->levels[level];
    return LSM_OK;
}

/* The trees made and dropped below a position, which the manifest must know before the log forgets them. */
static int collect_trees(struct lsm_store *store, uint64_t position, struct lsm_edit *edit) {
    int status = LSM_OK;
    lsm_mutex_lock(&store->mu);
    for (size_t i = 0; i < store->trees_count && status == LSM_OK; i++) {
        const struct lsm_store_tree *tree = &store->trees[i];
        bool made = !tree->in_manifest && tree->created_at <= position;
        bool dropped = tree->dropped_at <= position;
        if (made && !dropped) status = lsm_edit_add_tree(edit, tree->info);
        if (dropped && tree->in_manifest) status = lsm_edit_drop_tree(edit, tree->info.tree);
        if (tree->created_at <= position && tree->info.tree >= edit->next_tree) edit->next_tree = tree->info.tree + 1;
    }
    lsm_mutex_unlock(&store->mu);
    return status;
}

/* The last token among them: the log that has it goes. */
static void collect_token(const struct flush *flush, struct lsm_edit *edit) {
    for (size_t i = 1; i <= flush->count && !edit->has_token; i++) {
        const struct lsm_gen *gen = flush->state->gens[i];
        edit->has_token = gen->has_token;
        memcpy(edit->token, gen->token, sizeof edit->token);
    }
}

static void settle_trees(struct lsm_store *store, uint64_t position) {
    lsm_mutex_lock(&store->mu);
    size_t kept = 0;
    for (size_t i = 0; i < store->trees_count; i++) {
        struct lsm_store_tree tree = store->trees[i];
        if (tree.created_at <= position) tree.in_manifest = true;
        if (tree.dropped_at > position) store->trees[kept++] = tree;
    }
    store->trees_count = kept;
    lsm_mutex_unlock(&store->mu);
}

/* The log files behind the generations; 0 and 0 if there are none: a generation of nothing but undone rows has none. */
static void log_files(const struct flush *flush, uint64_t *first, uint64_t *last) {
    *first = *last = 0;
    for (size_t i = flush->count; i >= 1; i--) {
        const struct lsm_gen *gen = flush->state->gens[i];
        if (*first == 0) *first = gen->first_log;
        if (gen->last_log != 0) *last = gen->last_log;
    }
}

static int write_edit(struct flush *flush, uint64_t last_log, struct lsm_error *err) {
    struct lsm_store *store = flush->store;
    const struct lsm_gen *newest = flush->state->gens[1];
    struct lsm_edit edit = {.log_position = newest->end, .log_generation = last_log == 0 ? 0 : last_log + 1};
    bool keep_files = false;
    uint64_t run = lsm_version_set_new_number(&store->set);
    lsm_mutex_lock(&store->set.manifest_mu);
    edit.next_tree = store->set.next_tree;
    lsm_mutex_unlock(&store->set.manifest_mu);
    collect_token(flush, &edit);
    int status = collect_trees(store, newest->end, &edit);
    for (size_t i = 0; i < flush->job.files_count && status == LSM_OK; i++) status = lsm_edit_add_file(&edit, 0, run, flush->job.files[i]);
    status = status == LSM_OK ? lsm_version_set_apply(&store->set, &edit, &keep_files, err) : lsm_fail_nomem(err, 0);
    lsm_edit_release(&edit);
    if (status == LSM_OK) settle_trees(store, newest->end);
    else if (!keep_files) lsm_job_discard(&flush->job);
    return status;
}

/* Forget the log files up to `last`: close those still open, then unlink. */
static void remove_logs(struct lsm_store *store, uint64_t first, uint64_t last) {
    struct lsm_old_log *gone = NULL, *next;
    if (last == 0) return;
    lsm_mutex_lock(&store->mu);
    while (store->syncing) lsm_cond_wait(&store->done, &store->mu);
    while (store->old_logs != NULL && lsm_wal_writer_generation(store->old_logs->writer) <= last) {
        next = store->old_logs->next;
        store->old_logs->next = gone;
        gone = store->old_logs;
        store->old_logs = next;
    }
    lsm_mutex_unlock(&store->mu);
    for (; gone != NULL; gone = next) {
        next = gone->next;
        (void)lsm_wal_writer_close(gone->writer, false, NULL);
        lsm_free(gone);
    }
    for (uint64_t number = first; number <= last; number++) {
        char *path = lsm_file_path(store->dir, LSM_FILE_WAL, number);
        if (path != NULL && lsm_env_unlink(store->env, path, NULL) != LSM_OK) {
            /* Below the manifest's first generation: the next open removes it. */
        }
        lsm_free(path);
    }
}

static void release(struct flush *flush) {
    for (size_t i = 0; i < flush->count && flush->gens != NULL; i++) lsm_iter_release(&flush->gens[i].base);
    lsm_job_release(&flush->job);
    lsm_free(flush->gens);
    lsm_free(flush->sources);
    lsm_free(flush->sequences);
    lsm_free(flush->below);
    lsm_state_unref(flush->state);
}

int lsm_store_flush_job(struct lsm_store *store, struct lsm_error *err) {
    struct flush flush = {.store = store, .state = lsm_store_ref_state(store)};
    flush.count = flush.state->gens_count - 1;
    struct lsm_state *spare = NULL;
    uint64_t started = lsm_env_monotonic_us(store->env), first_log = 0, last_log = 0;
    int status = LSM_NOTFOUND;
    if (flush.count == 0) goto out;
    flush.job.set = &store->set;
    spare = lsm_store_spare(store, err);
    if (spare == NULL || collect_sources(&flush) != LSM_OK) {
        status = lsm_fail_nomem(err, 0);
        goto out;
    }
    flush.job.sources = flush.sources;
    flush.job.sequences = flush.sequences;
    flush.job.count = flush.count;
    flush.job.below = flush.below;
    flush.job.sst = (struct lsm_sst_options){.block_bytes = store->options.block_bytes, .compression = LSM_COMPRESS_NONE,
                                             .filter_bits_per_key = FILTER_BITS_PER_KEY};
    flush.job.file_bytes = store->options.file_bytes > store->options.write_buffer_bytes ? store->options.file_bytes : store->options.write_buffer_bytes;
    flush.job.log_low = flush.state->gens[flush.count]->start;
    flush.job.log_high = flush.state->gens[1]->end;
    flush.job.cancelled = lsm_store_cancelled;
    flush.job.cancelled_arg = store;
    status = lsm_job_run(&flush.job, err);
    log_files(&flush, &first_log, &last_log);
    if (status == LSM_OK) status = write_edit(&flush, last_log, err);
    uint64_t bytes_written = flush.job.bytes_written;
    /* From here on the version holds the files. A reference of ours would keep a merge that is done with one soon from removing it. */
    lsm_job_release(&flush.job);
    if (status != LSM_OK) goto out;
    lsm_store_install(store, spare, NULL, flush.job.log_high);
    spare = NULL;
    remove_logs(store, first_log, last_log);
    uint64_t us = lsm_env_monotonic_us(store->env) - started + 1;
    lsm_mutex_lock(&store->mu);
    store->flush_rate = bytes_written * 1000000 / us;
    lsm_mutex_unlock(&store->mu);
    lsm_count(store, LSM_COUNT_FLUSHES, 1);
    lsm_count(store, LSM_COUNT_FLUSH_BYTES, bytes_written);
out:
    lsm_free(spare);
    release(&flush);
    return status;
}

/* ---- on demand -------------------------------------------------------------------------------------------------------------- */

enum { WRITER_PATIENCE_US = 10000000 }; /* how long a flush by hand waits for a running transaction */

int lsm_store_flush(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    int status = lsm_store_guard(store, err);
    if (status == LSM_OK) status = lsm_store_lock_writer(store, WRITER_PATIENCE_US, err);
    if (status != LSM_OK) return status;
    status = lsm_store_check_failed(store, err);
    if (status == LSM_OK) status = lsm_store_roll(store, err);
    lsm_store_unlock_writer(store);
    while (status == LSM_OK && atomic_load_explicit(&store->sealed, memory_order_relaxed) > 0) {
        struct lsm_error local = {0};
        status = lsm_work_claim(store, LSM_WORK_FLUSH, interrupted, arg, err);
        if (status != LSM_OK) break;
        status = lsm_store_flush_job(store, &local);
        lsm_work_done(store, LSM_WORK_FLUSH, status, &local);
        if (status == LSM_NOTFOUND) status = LSM_OK;
        if (status != LSM_OK && err != NULL) *err = local;
    }
    return status;
}
