/* Sealed generations become runs of level 0, neighbours in memory one run together, and the log files behind them can go. */
#include "../compact/job.h"
#include "../env/filename.h"
#include "store.h"

#include <assert.h>

enum { FILTER_BITS_PER_KEY = 10, BUSY_PAUSE_US = 5000 };

/* ---- the jobs ----------------------------------------------------------------------------------------------------------- */

/* Neighbouring generations in memory, written as one run. */
struct stretch {
    size_t first, count; /* flush->gens[first .. first + count - 1], newest first */
    struct lsm_gen_iter *gens;
    struct lsm_iter **sources;
    const uint64_t **sequences;
    struct lsm_job job;
    struct lsm_run made; /* what came out; the files are the job's */
};

struct flush {
    struct lsm_store *store;
    struct lsm_state *state;
    struct lsm_gen **gens; /* to be flushed, newest first: the last `count` of the state's */
    size_t count;
    bool spends;               /* the reserve, if the disk is full */
    struct stretch *stretches; /* oldest first */
    size_t stretches_count;
    const struct lsm_run **below; /* what is older than the stretch at hand */
    size_t below_count;
    uint64_t bytes_written;
};

static int collect_sources(struct flush *flush, struct stretch *stretch) {
    stretch->gens = lsm_calloc(stretch->count, sizeof *stretch->gens);
    stretch->sources = lsm_calloc(stretch->count, sizeof(struct lsm_iter *));
    stretch->sequences = lsm_calloc(stretch->count, sizeof(const uint64_t *));
    if (stretch->gens == NULL || stretch->sources == NULL || stretch->sequences == NULL) return LSM_NOMEM;
    for (size_t i = 0; i < stretch->count; i++) {
        const struct lsm_gen *gen = flush->gens[stretch->first + i];
        if (lsm_gen_iter_init(&stretch->gens[i], gen, 0, UINT64_MAX) != LSM_OK) return LSM_NOMEM;
        stretch->sources[i] = &stretch->gens[i].base;
        stretch->sequences[i] = &stretch->gens[i].sequence;
        if (lsm_gen_add_ranges(gen, 0, UINT64_MAX, (uint32_t)i, &stretch->job.ranges) != LSM_OK) return LSM_NOMEM;
    }
    return LSM_OK;
}

static int run_stretch(struct flush *flush, struct stretch *stretch, struct lsm_error *err) {
    struct lsm_store *store = flush->store;
    const struct lsm_options *options = &store->options;
    struct lsm_job *job = &stretch->job;
    if (collect_sources(flush, stretch) != LSM_OK) return lsm_fail_nomem(err, 0);
    job->set = &store->set;
    job->sources = stretch->sources;
    job->sequences = stretch->sequences;
    job->count = stretch->count;
    job->below = flush->below;
    job->below_count = flush->below_count;
    job->sst = (struct lsm_sst_options){
        .block_bytes = options->block_bytes, .compression = lsm_store_compression(store, 0), .filter_bits_per_key = FILTER_BITS_PER_KEY};
    job->file_bytes = options->file_bytes > options->write_buffer_bytes ? options->file_bytes : options->write_buffer_bytes;
    job->log_low = flush->gens[stretch->first + stretch->count - 1]->start;
    job->log_high = flush->gens[stretch->first]->end;
    if (flush->spends) job->sst.spare = store->set.spare;
    job->cancelled = lsm_flush_cancelled;
    job->cancelled_arg = store;
    int status = lsm_job_run(job, err);
    if (status != LSM_OK) return status;
    stretch->made = (struct lsm_run){.files = job->files, .count = job->files_count};
    flush->below[flush->below_count++] = &stretch->made;
    flush->bytes_written += job->bytes_written;
    return LSM_OK;
}

/* Room for all that may lie below the newest stretch. */
static int find_below(struct flush *flush) {
    const struct lsm_version *version = flush->state->version;
    size_t most = version->level0_count + LSM_LEVELS + flush->count;
    for (size_t i = 0; i < flush->count; i++)
        if (flush->gens[i]->files != NULL) most += flush->gens[i]->files->level0_count;
    flush->below = lsm_calloc(most, sizeof(const struct lsm_run *));
    flush->stretches = lsm_calloc(flush->count, sizeof *flush->stretches);
    if (flush->below == NULL || flush->stretches == NULL) return LSM_NOMEM;
    for (size_t r = 0; r < version->level0_count; r++) flush->below[flush->below_count++] = &version->level0[r];
    for (int level = 1; level < LSM_LEVELS; level++) flush->below[flush->below_count++] = &version->levels[level];
    return LSM_OK;
}

/* From the oldest on: a stretch must know everything that is older than it. */
static int run_stretches(struct flush *flush, struct lsm_error *err) {
    int status = find_below(flush) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, 0);
    for (size_t i = flush->count; i-- > 0 && status == LSM_OK;) {
        const struct lsm_version *files = flush->gens[i]->files;
        for (size_t r = 0; files != NULL && r < files->level0_count; r++) flush->below[flush->below_count++] = &files->level0[r];
        if (files != NULL) continue;
        struct stretch *stretch = &flush->stretches[flush->stretches_count++];
        stretch->count = 1;
        for (; i > 0 && flush->gens[i - 1]->files == NULL; i--) stretch->count++;
        stretch->first = i;
        status = run_stretch(flush, stretch, err);
    }
    return status;
}

/* The files of the generations become runs of level 0, a greater number for a newer one. */
static int collect_files(struct flush *flush, struct lsm_edit *edit) {
    struct lsm_version_set *set = &flush->store->set;
    size_t next = 0;
    int status = LSM_OK;
    for (size_t i = flush->count; i-- > 0 && status == LSM_OK;) {
        const struct lsm_version *files = flush->gens[i]->files;
        if (files == NULL) {
            const struct stretch *stretch = &flush->stretches[next++];
            uint64_t run = lsm_version_set_new_number(set);
            for (size_t f = 0; f < stretch->made.count && status == LSM_OK; f++) status = lsm_edit_add_file(edit, 0, run, stretch->made.files[f]);
            i = stretch->first;
            continue;
        }
        for (size_t r = files->level0_count; r-- > 0;) {
            uint64_t run = lsm_version_set_new_number(set);
            for (size_t f = 0; f < files->level0[r].count && status == LSM_OK; f++) {
                status = lsm_edit_add_file(edit, 0, run, files->level0[r].files[f]);
                if (status == LSM_OK) edit->added[edit->added_count - 1].lent = true;
            }
        }
    }
    return status;
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
static void collect_token(struct lsm_gen *const *gens, size_t count, struct lsm_edit *edit) {
    for (size_t i = 0; i < count && !edit->has_token; i++) {
        const struct lsm_gen *gen = gens[i];
        edit->has_token = gen->has_token;
        memcpy(edit->token, gen->token, sizeof edit->token);
    }
}

/* The log files behind the generations; 0 and 0 if there are none: a generation of nothing but undone rows has none. */
static void log_files(struct lsm_gen *const *gens, size_t count, uint64_t *first, uint64_t *last) {
    *first = *last = 0;
    for (size_t i = count; i-- > 0;) {
        const struct lsm_gen *gen = gens[i];
        if (*first == 0) *first = gen->first_log;
        if (gen->last_log != 0) *last = gen->last_log;
    }
}

int lsm_flush_edit(struct lsm_store *store, struct lsm_gen *const *gens, size_t count, struct lsm_edit *edit) {
    uint64_t first_log, last_log;
    log_files(gens, count, &first_log, &last_log);
    edit->log_position = gens[0]->end;
    edit->log_generation = last_log == 0 ? 0 : last_log + 1;
    lsm_mutex_lock(&store->set.manifest_mu);
    edit->next_tree = store->set.next_tree;
    lsm_mutex_unlock(&store->set.manifest_mu);
    collect_token(gens, count, edit);
    return collect_trees(store, gens[0]->end, edit);
}

/* Remove what was written, but not the files that generations brought: those are still theirs. */
static void discard(struct flush *flush) {
    for (size_t i = 0; i < flush->stretches_count; i++) lsm_job_discard(&flush->stretches[i].job);
}

static int write_edit(struct flush *flush, struct lsm_error *err) {
    struct lsm_store *store = flush->store;
    struct lsm_edit edit = {.base = flush->state->version};
    bool keep_files = false;
    int status = lsm_flush_edit(store, flush->gens, flush->count, &edit);
    if (status == LSM_OK) status = collect_files(flush, &edit);
    status = status == LSM_OK ? lsm_version_set_apply(&store->set, &edit, &keep_files, err) : lsm_fail_nomem(err, 0);
    lsm_edit_release(&edit);
    if (status != LSM_OK && !keep_files) discard(flush);
    return status;
}

void lsm_flush_remove_logs(struct lsm_store *store, struct lsm_gen *const *gens, size_t count) {
    struct lsm_old_log *gone = NULL, *next;
    uint64_t first, last;
    log_files(gens, count, &first, &last);
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

/* Once the edit is made, the version holds the files. A reference of ours would keep a merge that is done with one soon from removing it. */
static void release_stretches(struct flush *flush) {
    for (size_t s = 0; s < flush->stretches_count; s++) {
        struct stretch *stretch = &flush->stretches[s];
        for (size_t i = 0; i < stretch->count && stretch->gens != NULL; i++) lsm_iter_release(&stretch->gens[i].base);
        lsm_job_release(&stretch->job);
        lsm_free(stretch->gens);
        lsm_free(stretch->sources);
        lsm_free(stretch->sequences);
    }
    lsm_free(flush->stretches);
    lsm_free(flush->below);
    flush->stretches = NULL;
    flush->stretches_count = 0;
    flush->below = NULL;
}

/* Those of a transaction that is visible and not settled yet wait. */
size_t lsm_flush_count_due(const struct lsm_store *store) {
    const struct lsm_state *state = store->state;
    uint64_t limit = store->pending.state == LSM_PENDING_NONE ? UINT64_MAX : store->pending.position;
    size_t first = 1;
    while (first < state->gens_count && state->gens[first]->end > limit) first++;
    return state->gens_count - first;
}

bool lsm_store_flush_is_due(const struct lsm_store *store) { return lsm_flush_count_due(store) != 0; }

/* The oldest generation, and those that end where it ends: they are one transaction's, and go with the same edit. */
static size_t count_oldest(const struct lsm_state *state, size_t due) {
    size_t count = 1, oldest = state->gens_count - 1;
    while (count < due && state->gens[oldest - count]->end == state->gens[oldest]->end) count++;
    return count;
}

/* All that are due, or the oldest only. spends: the reserve, if the disk is full. */
static int run_flush(struct lsm_store *store, bool all, bool spends, struct lsm_error *err) {
    struct flush flush = {.store = store, .spends = spends};
    lsm_mutex_lock(&store->mu);
    flush.state = store->state;
    flush.count = lsm_flush_count_due(store);
    if (!all && flush.count != 0) flush.count = count_oldest(flush.state, flush.count);
    lsm_state_ref(flush.state);
    lsm_mutex_unlock(&store->mu);
    flush.gens = &flush.state->gens[flush.state->gens_count - flush.count];
    struct lsm_state *spare = NULL;
    uint64_t started = lsm_env_monotonic_us(store->env);
    int status = LSM_NOTFOUND;
    if (flush.count == 0) goto out;
    spare = lsm_store_spare(store, err);
    status = spare == NULL ? LSM_NOMEM : run_stretches(&flush, err);
    if (status != LSM_OK) discard(&flush);
    if (status == LSM_OK) status = write_edit(&flush, err);
    status = lsm_job_outcome(status, err);
    release_stretches(&flush);
    if (status != LSM_OK) goto out;
    lsm_store_install(store, spare, NULL, flush.gens[0]->end);
    spare = NULL;
    lsm_flush_remove_logs(store, flush.gens, flush.count);
    uint64_t us = lsm_env_monotonic_us(store->env) - started + 1;
    lsm_mutex_lock(&store->mu);
    store->flush_rate = flush.bytes_written * 1000000 / us;
    lsm_mutex_unlock(&store->mu);
    lsm_count(store, LSM_COUNT_FLUSHES, 1);
    lsm_count(store, LSM_COUNT_FLUSH_BYTES, flush.bytes_written);
out:
    lsm_free(spare);
    release_stretches(&flush);
    lsm_state_unref(flush.state);
    return status;
}

/* Where the newest that is due ends; 0: none is. Locks: takes mu */
static uint64_t end_of_due(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    size_t due = lsm_flush_count_due(store);
    uint64_t end = due == 0 ? 0 : store->state->gens[store->state->gens_count - due]->end;
    lsm_mutex_unlock(&store->mu);
    return end;
}

/* On a full disk all of them together, because what the younger ones delete in the older ones takes no space; if that is too much the oldest alone: what that
 * gives back, its log, is there for the next. If that is too much as well, the reserve is not tried again before there is another one: meanwhile it is for those who
 * delete. */
static int flush_with_reserve(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_error why = {0};
    uint64_t end = end_of_due(store);
    bool spends = end > atomic_load_explicit(&store->too_full, memory_order_relaxed);
    int status = run_flush(store, true, spends, &why);
    if (status == LSM_FULL && spends) {
        lsm_reserve_refill(store);
        status = run_flush(store, false, true, &why);
        if (status == LSM_FULL) atomic_store_explicit(&store->too_full, end, memory_order_relaxed);
    }
    lsm_reserve_refill(store);
    if (status != LSM_OK && err != NULL) *err = why;
    return status;
}

int lsm_store_flush_job(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_shared_work shared;
    int status = lsm_shared_begin_work(store, LSM_WORK_FLUSH, &shared, err);
    if (status != LSM_OK) return status;
    /* Another process may have done it. */
    status = lsm_follow_version(store, err);
    if (status == LSM_OK) status = flush_with_reserve(store, err);
    if (status == LSM_OVERTAKEN) {
        status = lsm_follow(store, err);
        if (status == LSM_OK) status = LSM_NOTFOUND;
    }
    lsm_shared_end_work(store, &shared);
    return status;
}

int lsm_store_flush_turn(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    struct lsm_error local = {0};
    int status = lsm_work_claim(store, LSM_WORK_FLUSH, interrupted, arg, err);
    if (status != LSM_OK) return status;
    status = lsm_store_flush_job(store, &local);
    lsm_work_done(store, LSM_WORK_FLUSH, status, &local);
    if (status == LSM_NOTFOUND) return LSM_OK;
    if (status == LSM_WORK_ELSEWHERE) {
        /* Another process is at it: what it flushes is flushed. */
        lsm_env_sleep_us(store->env, BUSY_PAUSE_US);
        if (interrupted != NULL && interrupted(arg)) return lsm_fail(err, LSM_INTERRUPTED, "interrupted");
        return lsm_follow(store, err);
    }
    if (status != LSM_OK && err != NULL) *err = local;
    return status;
}

/* ---- on demand -------------------------------------------------------------------------------------------------------------- */

enum {
    WRITER_PATIENCE_US = 10000000 /* how long a flush by hand waits for a running transaction */,
    ASK_EVERY_US = 100000 /* whether to go on waiting */
};

static bool is_due(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    bool due = lsm_store_flush_is_due(store);
    lsm_mutex_unlock(&store->mu);
    return due;
}

static int wait_for_writer(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    uint64_t asked = lsm_env_monotonic_us(store->env), deadline = asked + WRITER_PATIENCE_US, now;
    int status;
    while ((status = lsm_store_lock_writer(store, ASK_EVERY_US, err)) == LSM_BUSY) {
        now = lsm_env_monotonic_us(store->env);
        if (now >= deadline || now - asked < ASK_EVERY_US / 2) break; /* what is refused at once is not about a writer who will be done */
        if (interrupted != NULL && interrupted(arg)) return lsm_fail(err, LSM_INTERRUPTED, "interrupted");
        asked = now;
    }
    return status;
}

int lsm_flush_lock_writer(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    int status = lsm_store_guard(store, err);
    if (status == LSM_OK) status = wait_for_writer(store, interrupted, arg, err);
    if (status != LSM_OK) return status;
    status = lsm_store_check_failed(store, err);
    if (status != LSM_OK) lsm_store_unlock_writer(store);
    return status;
}

int lsm_store_flush(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    int status = lsm_flush_lock_writer(store, interrupted, arg, err);
    if (status != LSM_OK) return status;
    atomic_store_explicit(&store->too_full, 0, memory_order_relaxed);
    status = lsm_store_roll(store, err);
    lsm_store_unlock_writer(store);
    while (status == LSM_OK && is_due(store)) status = lsm_store_flush_turn(store, interrupted, arg, err);
    if (status == LSM_OK) lsm_reserve_fit(store);
    return status;
}
