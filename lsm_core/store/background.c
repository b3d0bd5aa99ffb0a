/* Worker threads, the sync helper, pacing, and errors that are kept.
 *
 * A worker sleeps on `work`. Each kind of work is done by one at a time (a worker, or a caller of lsm_store_flush() and the like): flushing,
 * merging and syncing are claims under mu. Whoever ends something signals `done`.
 */
#include "../env/os_error.h"
#include "store.h"

#include <stdio.h>

enum {
    SYNC_EVERY_US = 1000000, /* at LSM_SYNC_NORMAL: what a power cut may take, about */
    RETRY_FIRST_US = 50000,
    RETRY_LAST_US = 5000000,
    RETRY_DAMAGE_US = 60000000,  /* a damaged file does not heal by itself; somebody may put it right */
    RETRY_PATIENCE_US = 1000000, /* how long a writer waits for a retry before it reports the trouble */
    CLAIM_POLL_US = 5000,        /* between two looks at an interrupt */
    SLOW_SEALED = 2,             /* sealed generations from which writers are slowed down */
    STOP_SEALED = 4,             /* ... from which the next transaction waits for a flush */
    SLOW_RUNS = 12,              /* runs of level 0, likewise */
    STOP_RUNS = 36,
    STOP_SLICE_US = 20000,    /* the longest single wait of one commit while merges are behind */
    OTHERS_PAUSE_US = 100000, /* between two looks at work that another process does */
    SWEEP_FILES = 2,          /* removed at once: each can take as long as a flush may wait */
    SWEEP_EVERY_US = 200000,  /* between two looks at files that another process needs, or for leftovers while others are in the way */
    RATE_FLOOR = 8 << 20      /* bytes per second: no slower than this, whatever the disk did last time */
};

static bool *claim_of(struct lsm_store *store, enum lsm_work work) { return work == LSM_WORK_FLUSH ? &store->flushing : &store->merging; }

int lsm_work_claim(struct lsm_store *store, enum lsm_work work, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    int status = LSM_OK;
    bool *claim = claim_of(store, work);
    lsm_mutex_lock(&store->mu);
    while (*claim && status == LSM_OK) {
        (void)lsm_cond_wait_us(&store->done, &store->mu, CLAIM_POLL_US);
        lsm_mutex_unlock(&store->mu);
        if (interrupted != NULL && interrupted(arg)) status = lsm_fail(err, LSM_INTERRUPTED, "interrupted");
        lsm_mutex_lock(&store->mu);
    }
    if (status == LSM_OK) *claim = true;
    lsm_mutex_unlock(&store->mu);
    return status;
}

bool lsm_work_try_both(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    bool idle = !store->flushing && !store->merging;
    if (idle) store->flushing = store->merging = true;
    lsm_mutex_unlock(&store->mu);
    return idle;
}

/* Keep or forget an error. Locks: needs mu. */
static void note(struct lsm_store *store, enum lsm_work work, int status, const struct lsm_error *err) {
    struct lsm_trouble *trouble = &store->trouble[work];
    if (status == LSM_OK || status == LSM_NOTFOUND) {
        *trouble = (struct lsm_trouble){0};
        return;
    }
    if (status == LSM_WORK_SAYS_NOTHING || status == LSM_WORK_ELSEWHERE) return;
    trouble->status = status;
    trouble->error = *err;
    trouble->delay_us = trouble->delay_us == 0 ? RETRY_FIRST_US : trouble->delay_us * 2;
    if (trouble->delay_us > RETRY_LAST_US) trouble->delay_us = RETRY_LAST_US;
    if (status == LSM_CORRUPT) trouble->delay_us = RETRY_DAMAGE_US;
    trouble->retry_at_us = lsm_env_monotonic_us(store->env) + trouble->delay_us;
    store->shape_changed = true;
}

int lsm_job_outcome(int status, struct lsm_error *err) {
    if (status != LSM_NOTFOUND) return status;
    if (err != NULL) err->code = LSM_IO;
    return LSM_IO;
}

void lsm_work_done(struct lsm_store *store, enum lsm_work work, int status, const struct lsm_error *err) {
    lsm_mutex_lock(&store->mu);
    *claim_of(store, work) = false;
    note(store, work, status, err);
    lsm_cond_broadcast(&store->done);
    lsm_cond_broadcast(&store->work);
    lsm_mutex_unlock(&store->mu);
}

void lsm_store_set_failed(struct lsm_store *store, const struct lsm_error *why) {
    lsm_mutex_lock(&store->mu);
    if (atomic_load_explicit(&store->failed, memory_order_relaxed) == LSM_OK) {
        store->failed_error = *why;
        atomic_store_explicit(&store->failed, why->code, memory_order_release);
    }
    lsm_mutex_unlock(&store->mu);
    lsm_share_set_failed(store->share);
}

/* Another process could not write the log: nobody may go on behind what may or may not be there. Or somebody has found the directory moved. */
static void fail_with_others(struct lsm_store *store) {
    struct lsm_error why;
    int status = lsm_share_check_place(store->share, &why);
    if (status != LSM_READONLY) /* the place is right, or cannot be looked at, which is no reason */
        status = lsm_fail(&why, LSM_READONLY, "%s: the log could not be written by another process; the store is read-only until all have closed it",
                          store->dir);
    (void)status;
    lsm_store_set_failed(store, &why);
}

int lsm_store_why_failed(struct lsm_store *store, struct lsm_error *err) {
    int status = atomic_load_explicit(&store->failed, memory_order_acquire);
    if (status == LSM_OK && lsm_share_failed(store->share)) {
        fail_with_others(store);
        status = LSM_READONLY;
    }
    if (status == LSM_OK || err == NULL) return status;
    lsm_mutex_lock(&store->mu);
    *err = store->failed_error;
    lsm_mutex_unlock(&store->mu);
    return status;
}

/* ---- syncing ------------------------------------------------------------------------------------------------------------ */

/* Sync the logs that are no longer written, oldest first: a later commit must not be durable before them. Needs: the claim. */
static int sync_old_logs(struct lsm_store *store, struct lsm_error *err) {
    for (;;) {
        lsm_mutex_lock(&store->mu);
        struct lsm_old_log *old = store->old_logs;
        while (old != NULL && lsm_wal_writer_synced(old->writer) == lsm_wal_writer_end(old->writer)) old = old->next;
        lsm_mutex_unlock(&store->mu);
        if (old == NULL) return LSM_OK;
        lsm_count(store, LSM_COUNT_WAL_SYNCS, 1);
        int status = lsm_wal_writer_sync(old->writer, err);
        if (status != LSM_OK) return status;
    }
}

int lsm_store_sync_logs(struct lsm_store *store, struct lsm_error *err) {
    lsm_mutex_lock(&store->mu);
    while (store->syncing) lsm_cond_wait(&store->done, &store->mu);
    store->syncing = true;
    bool normal_commits = store->normal_commits;
    store->normal_commits = false;
    struct lsm_wal_writer *log = store->log;
    uint64_t to = log != NULL ? lsm_wal_writer_end(log) : store->log_end;
    if (to < lsm_store_applied(store)) to = lsm_store_applied(store);
    lsm_mutex_unlock(&store->mu);
    /* The claim keeps every writer seen here open, also one that is rolled away meanwhile. */
    int status = sync_old_logs(store, err);
    /* Others may have gone on in the file of our own writer, who does not know. */
    bool ours = log != NULL && lsm_wal_writer_end(log) >= to;
    if (status == LSM_OK && !store->alone) status = lsm_spans_sync(store, ours ? log : NULL, to, err);
    if (status == LSM_OK && log != NULL && lsm_wal_writer_synced(log) < lsm_wal_writer_end(log)) {
        lsm_count(store, LSM_COUNT_WAL_SYNCS, 1);
        status = lsm_wal_writer_sync(log, err);
    }
    if (status == LSM_OK) {
        lsm_share_set_synced(store->share, to);
        atomic_store_explicit(&store->sync_overdue, false, memory_order_relaxed);
    }
    lsm_mutex_lock(&store->mu);
    store->syncing = false;
    if (status != LSM_OK && normal_commits) store->normal_commits = true; /* so that closing says what may be lost */
    lsm_cond_broadcast(&store->done);
    if (store->drop_wanted) lsm_cond_broadcast(&store->work); /* which a worker has left alone while this sync ran */
    lsm_mutex_unlock(&store->mu);
    return status;
}

/* For want of memory of our own, or of a descriptor, the disk was not asked. If it was in spite the writer is poisoned, which shows then. */
static bool can_sync_again(int status, const struct lsm_error *err) {
    return (status == LSM_NOMEM && err->os_errno == 0) || lsm_os_lacks_descriptor(err);
}

int lsm_store_sync_others(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_error local = {0};
    if (store->alone || !lsm_spans_wait(store)) return LSM_OK;
    int status = lsm_store_sync_logs(store, &local);
    if (status != LSM_OK && !can_sync_again(status, &local)) lsm_store_fail_log(store, &local);
    if (status != LSM_OK && err != NULL) *err = local;
    return status;
}

/* The once-a-second sync. Its failure poisons the log: commits must not go on as if the past were safe. But what can be done again is left to the next commit,
 * which has to wait for it, or to the next second. */
static void sync_in_background(struct lsm_store *store) {
    struct lsm_error err = {0}, why;
    int status = lsm_store_sync_logs(store, &err);
    bool again = can_sync_again(status, &err);
    if (again) atomic_store_explicit(&store->sync_overdue, true, memory_order_relaxed);
    if (status == LSM_OK || again) return;
    status = lsm_fail(&why, LSM_READONLY, "the log could not be synced (%s); the store is read-only until it is closed and opened again", err.text);
    (void)status;
    lsm_store_set_failed(store, &why);
}

/* ---- workers -------------------------------------------------------------------------------------------------------------- */

/* May this kind of work be tried now? Locks: needs mu. */
static bool is_ready(const struct lsm_store *store, enum lsm_work work, uint64_t now) {
    return now >= store->wait_until_us[work] && (store->trouble[work].status == LSM_OK || now >= store->trouble[work].retry_at_us);
}

/* A drop that may yet be taken back, or come back after a crash, waits for its end in the log. Locks: needs mu. */
static bool is_drop_due(const struct lsm_store *store) { return store->drop_wanted && store->pending.state == LSM_PENDING_NONE; }

/* Do one job and give the claim back. Locks: needs mu, which is let go of meanwhile. */
static void do_work(struct lsm_store *store, enum lsm_work work, int (*job)(struct lsm_store *, struct lsm_error *)) {
    struct lsm_error err = {0};
    *claim_of(store, work) = true;
    lsm_mutex_unlock(&store->mu);
    int status = job(store, &err);
    bool elsewhere = status == LSM_WORK_ELSEWHERE;
    if (job == lsm_store_drop_job && status == LSM_OK) status = LSM_WORK_SAYS_NOTHING;
    lsm_work_done(store, work, status, &err);
    uint64_t wait_until = elsewhere ? lsm_env_monotonic_us(store->env) + OTHERS_PAUSE_US : 0;
    lsm_mutex_lock(&store->mu);
    store->wait_until_us[work] = wait_until;
    if (elsewhere && work == LSM_WORK_MERGE) store->shape_changed = true;
}

/* One piece of work, the most urgent that is due. False: nothing is. Locks: needs mu, which is let go of meanwhile. */
static bool work_once(struct lsm_store *store, uint64_t now) {
    if (lsm_store_cancelled(store)) return false;
    if (!store->flushing && lsm_store_flush_is_due(store) && is_ready(store, LSM_WORK_FLUSH, now)) {
        do_work(store, LSM_WORK_FLUSH, lsm_store_flush_job);
        return true;
    }
    if (store->merging || !is_ready(store, LSM_WORK_MERGE, now)) return false;
    if (is_drop_due(store) && !store->syncing) {
        do_work(store, LSM_WORK_MERGE, lsm_store_drop_job);
        return true;
    }
    if (!store->shape_changed) return false;
    store->shape_changed = false;
    do_work(store, LSM_WORK_MERGE, lsm_store_merge_job);
    return true;
}

/* Does this process have files to remove, now or when others need them no more? */
static bool has_obsolete(const struct lsm_store *store) { return atomic_load(&store->set.obsolete_count) != 0; }

/* Look for the dead, and remove what nobody needs. A few files at most: a flush may be due. True: there may be more. Locks: needs mu, which is let go of meanwhile. */
static bool sweep(struct lsm_store *store, uint64_t now) {
    bool looks = now >= store->look_at_us, directory = store->sweep_wanted && now >= store->sweep_at_us;
    if (lsm_store_cancelled(store) || (!looks && !directory && !has_obsolete(store))) return false;
    if (looks) store->look_at_us = UINT64_MAX; /* the other thread need not */
    lsm_mutex_unlock(&store->mu);
    if (looks) lsm_shared_look_for_dead(store);
    bool more = lsm_version_set_sweep(&store->set, SWEEP_FILES) == SWEEP_FILES;
    if (directory && !lsm_shared_sweep_directory(store, NULL, NULL)) { /* Others are in the way: it stays wanted. */
    }
    lsm_mutex_lock(&store->mu);
    return more;
}

/* How long a worker may sleep. Locks: needs mu. */
static uint64_t nap_us(struct lsm_store *store, uint64_t now, uint64_t next_sync) {
    uint64_t until = UINT64_MAX;
    if (store->normal_commits) until = next_sync;
    for (int work = 0; work < LSM_WORK_KINDS; work++)
        if (store->trouble[work].status != LSM_OK && store->trouble[work].retry_at_us < until) until = store->trouble[work].retry_at_us;
    bool due[LSM_WORK_KINDS] = {[LSM_WORK_FLUSH] = lsm_store_flush_is_due(store), [LSM_WORK_MERGE] = store->shape_changed || is_drop_due(store)};
    for (int work = 0; work < LSM_WORK_KINDS; work++)
        if (due[work] && store->wait_until_us[work] > now && store->wait_until_us[work] < until) until = store->wait_until_us[work];
    uint64_t sweep_at = store->sweep_at_us > now + SWEEP_EVERY_US ? store->sweep_at_us : now + SWEEP_EVERY_US;
    if (store->sweep_wanted && sweep_at < until) until = sweep_at;
    /* Who adds a file and finds this false signals, which needs mu: either that is seen here, or the signal wakes. */
    atomic_store(&store->sweep_told, false);
    if (has_obsolete(store)) {
        atomic_store(&store->sweep_told, true);
        if (now + SWEEP_EVERY_US < until) until = now + SWEEP_EVERY_US;
    }
    if (store->look_at_us < until) until = store->look_at_us;
    if (until == UINT64_MAX) return UINT64_MAX;
    return until > now ? until - now : 1000;
}

static void worker(void *arg) {
    struct lsm_store *store = arg;
    uint64_t next_sync = lsm_env_monotonic_us(store->env) + SYNC_EVERY_US;
    lsm_mutex_lock(&store->mu);
    while (!store->closing) {
        uint64_t now = lsm_env_monotonic_us(store->env);
        if (store->normal_commits && !store->syncing && now >= next_sync) {
            lsm_mutex_unlock(&store->mu);
            sync_in_background(store);
            next_sync = lsm_env_monotonic_us(store->env) + SYNC_EVERY_US;
            lsm_mutex_lock(&store->mu);
            continue;
        }
        bool more = sweep(store, now);
        /* From here on mu is held until the wait: nothing that is signalled is missed. */
        if (store->closing) break;
        if (work_once(store, now) || more) continue;
        uint64_t us = nap_us(store, now, next_sync);
        if (us == UINT64_MAX)
            lsm_cond_wait(&store->work, &store->mu);
        else
            (void)lsm_cond_wait_us(&store->work, &store->mu, us);
    }
    lsm_mutex_unlock(&store->mu);
}

int lsm_background_start(struct lsm_store *store, struct lsm_error *err) {
    int wanted = store->options.threads > LSM_THREADS_MAX ? LSM_THREADS_MAX : store->options.threads;
    for (; store->threads_count < wanted; store->threads_count++) {
        int status = lsm_thread_start(&store->threads[store->threads_count], "lsm-worker", worker, store);
        /* One is enough to live; none: the work is done inside the writer's calls. */
        if (status != LSM_OK) break;
    }
    (void)err;
    return LSM_OK;
}

void lsm_background_stop(struct lsm_store *store) {
    atomic_store_explicit(&store->stop, true, memory_order_relaxed);
    lsm_mutex_lock(&store->mu);
    store->closing = true;
    lsm_cond_broadcast(&store->work);
    lsm_mutex_unlock(&store->mu);
    while (store->threads_count > 0) lsm_thread_join(&store->threads[--store->threads_count]);
}

/* ---- pacing ------------------------------------------------------------------------------------------------------------------ */

/* Without threads: flush and merge here, until nothing is due, and sync if the last time is long ago. */
static void work_inline(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    uint64_t now = lsm_env_monotonic_us(store->env);
    if (store->normal_commits && now >= store->inline_sync_us) {
        store->inline_sync_us = now + SYNC_EVERY_US;
        lsm_mutex_unlock(&store->mu);
        sync_in_background(store);
        lsm_mutex_lock(&store->mu);
    }
    while (work_once(store, lsm_env_monotonic_us(store->env))) {}
    while (sweep(store, now)) {}
    lsm_mutex_unlock(&store->mu);
}

/* Microseconds that this commit should wait, by how far the workers are behind; sets the reason. Locks: needs mu. */
static uint64_t debt_us(struct lsm_store *store, uint64_t bytes) {
    int sealed = (int)store->state->gens_count - 1, runs = (int)store->state->version->level0_count;
    uint64_t rate = store->flush_rate < RATE_FLOOR ? RATE_FLOOR : store->flush_rate;
    uint64_t at_rate = bytes * 1000000 / rate;
    uint64_t us = 0;
    const char *reason = "";
    if (runs >= SLOW_RUNS) {
        us = at_rate * (uint64_t)(runs - SLOW_RUNS + 1) / 4;
        reason = "merging is behind: many runs in level 0";
    }
    if (runs >= STOP_RUNS) us += 1000;
    if (sealed >= SLOW_SEALED && at_rate * (uint64_t)(sealed - SLOW_SEALED + 1) > us) {
        us = at_rate * (uint64_t)(sealed - SLOW_SEALED + 1);
        reason = "flushing is behind: memtables wait for it";
    }
    if (us != 0) (void)snprintf(store->stall_reason, sizeof store->stall_reason, "%s", reason);
    return us > STOP_SLICE_US ? STOP_SLICE_US : us;
}

void lsm_background_pace(struct lsm_store *store, uint64_t bytes) {
    int sealed = atomic_load_explicit(&store->sealed, memory_order_relaxed), runs = atomic_load_explicit(&store->level0_runs, memory_order_relaxed);
    if (store->threads_count == 0) {
        work_inline(store);
        return;
    }
    if (sealed < SLOW_SEALED && runs < SLOW_RUNS) return;
    uint64_t started = lsm_env_monotonic_us(store->env);
    lsm_mutex_lock(&store->mu);
    uint64_t us = debt_us(store, bytes);
    lsm_mutex_unlock(&store->mu);
    if (us > 0) lsm_env_sleep_us(store->env, us);
    lsm_count(store, LSM_COUNT_STALL_US, lsm_env_monotonic_us(store->env) - started);
}

/* Is a flush on its way that will make room? If flushing fails, lsm_txn_begin() says so. Locks: needs mu. */
static bool is_room_coming(const struct lsm_store *store) {
    if ((int)store->state->gens_count - 1 < STOP_SEALED || store->trouble[LSM_WORK_FLUSH].status != LSM_OK || store->closing) return false;
    return store->flushing || lsm_store_flush_is_due(store);
}

/* Memory has an end. Before a transaction and not behind a commit: there nobody could be told that the wait was interrupted. */
int lsm_store_await_room(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK || store->threads_count == 0 || atomic_load_explicit(&store->sealed, memory_order_relaxed) < STOP_SEALED) return status;
    uint64_t started = lsm_env_monotonic_us(store->env);
    bool stops = false;
    lsm_mutex_lock(&store->mu);
    while (!stops && is_room_coming(store)) {
        (void)lsm_cond_wait_us(&store->done, &store->mu, STOP_SLICE_US);
        lsm_mutex_unlock(&store->mu);
        stops = interrupted != NULL && interrupted(arg);
        lsm_mutex_lock(&store->mu);
    }
    lsm_mutex_unlock(&store->mu);
    lsm_count(store, LSM_COUNT_STALL_US, lsm_env_monotonic_us(store->env) - started);
    return stops ? lsm_fail(err, LSM_INTERRUPTED, "interrupted") : LSM_OK;
}

void lsm_background_retry(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    for (int work = 0; work < LSM_WORK_KINDS; work++) store->trouble[work].retry_at_us = 0;
    if (store->threads_count != 0) {
        lsm_cond_broadcast(&store->work);
        (void)lsm_cond_wait_us(&store->done, &store->mu, RETRY_PATIENCE_US);
    }
    lsm_mutex_unlock(&store->mu);
    if (store->threads_count == 0) work_inline(store);
}

/* ---- waiting for quiet --------------------------------------------------------------------------------------------------------- */

int lsm_store_quiesce(struct lsm_store *store, struct lsm_error *err) {
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) return status;
    for (;;) {
        if (store->threads_count == 0) work_inline(store);
        lsm_mutex_lock(&store->mu);
        for (int work = 0; work < LSM_WORK_KINDS && status == LSM_OK; work++) {
            status = store->trouble[work].status;
            if (status != LSM_OK && err != NULL) *err = store->trouble[work].error;
        }
        bool busy = store->flushing || store->merging || lsm_store_flush_is_due(store) || store->shape_changed || is_drop_due(store);
        if (status == LSM_OK && busy) {
            lsm_cond_broadcast(&store->work);
            (void)lsm_cond_wait_us(&store->done, &store->mu, CLAIM_POLL_US);
        }
        lsm_mutex_unlock(&store->mu);
        if (!busy) lsm_store_sweep(store);
        if (status != LSM_OK || !busy) return status;
    }
}
