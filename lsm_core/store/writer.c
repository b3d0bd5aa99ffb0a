/* Being the one writer, and what only the writer does: the log, and sealing the active generation.
 *
 * A generation is sealed by a ROLL record, or by the commit of a transaction larger than memory, whose RUNS record (and COMMIT) ends its log file the same way.
 */
#include <errno.h>

#include "../env/filename.h"
#include "budget.h"
#include "store.h"

enum {
    END_PAYLOAD_BYTES = 8, /* of COMMIT and ABORT */
    LOGS_TAKEN_MAX = 1000  /* each dead process leaves one at most */
};

static void release_writer(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    store->writer_active = false;
    lsm_cond_signal(&store->writer_free);
    lsm_mutex_unlock(&store->mu);
}

int lsm_store_lock_writer(struct lsm_store *store, uint64_t timeout_us, struct lsm_error *err) {
    uint64_t deadline = 0; /* 0: nothing was waited for yet, and no clock looked at */
    int status = LSM_OK;
    lsm_mutex_lock(&store->mu);
    while (store->writer_active && status == LSM_OK) {
        uint64_t now = timeout_us == 0 ? 0 : lsm_env_monotonic_us(store->env);
        if (deadline == 0) deadline = now + timeout_us;
        if (now >= deadline)
            status = lsm_fail(err, LSM_BUSY, "%s: another transaction is writing; try again when it has ended", store->dir);
        else
            (void)lsm_cond_wait_us(&store->writer_free, &store->mu, deadline - now);
    }
    if (status == LSM_OK) store->writer_active = true;
    lsm_mutex_unlock(&store->mu);
    if (status != LSM_OK) return status;
    uint64_t now = deadline == 0 ? 0 : lsm_env_monotonic_us(store->env), left = deadline == 0 ? timeout_us : now < deadline ? deadline - now : 0;
    status = lsm_follow_begin_write(store, left, err);
    if (status != LSM_OK) release_writer(store);
    return status;
}

void lsm_store_unlock_writer(struct lsm_store *store) {
    lsm_follow_end_write(store);
    release_writer(store);
}

/* ---- the log ---------------------------------------------------------------------------------------------------------------- */

/* A new file behind all others. Where one is already, somebody died before he wrote a record into it: a reader finds ours behind it, at the same position. */
static int create_log(struct lsm_store *store, uint64_t *number, struct lsm_wal_writer **log, struct lsm_error *err) {
    struct lsm_error why = {0};
    int status, taken = 0;
    do {
        /* Also if it fails: its file may be there, and cannot be made twice. */
        *number = store->next_log++;
        status =
            lsm_wal_writer_create(store->env, store->dir, &store->perm, store->store_id, *number, store->log_end, store->log_check, false, log, &why);
    } while (status != LSM_OK && why.os_errno == EEXIST && ++taken < LOGS_TAKEN_MAX);
    status = lsm_job_outcome(status, &why);
    if (status != LSM_OK && err != NULL) *err = why;
    return status;
}

/* The same on a full disk, which leaves room for a file without a record in any case. */
static int make_log(struct lsm_store *store, uint64_t *number, struct lsm_wal_writer **log, struct lsm_error *err) {
    struct lsm_error why = {0};
    int status = create_log(store, number, log, &why);
    if (status == LSM_FULL && lsm_reserve_lend(store, 1, &why)) status = create_log(store, number, log, &why);
    if (status != LSM_OK && err != NULL) *err = why;
    return status;
}

int lsm_store_open_log(struct lsm_store *store, struct lsm_gen *gen, struct lsm_error *err) {
    struct lsm_wal_writer *log = NULL;
    if (store->log != NULL) return LSM_OK;
    uint64_t number = store->resume.number;
    int status;
    if (number != 0) {
        status = lsm_wal_writer_attach(store->env, store->dir, store->store_id, number, store->resume.start, store->log_end, store->log_check,
                                       store->log_synced, &log, err);
    } else {
        status = make_log(store, &number, &log, err);
    }
    if (status == LSM_OK && !store->alone) status = lsm_spans_note(store, number, lsm_wal_writer_start(log), err);
    if (status != LSM_OK) {
        (void)lsm_wal_writer_close(log, false, NULL);
        return status;
    }
    store->resume.number = 0;
    if (number >= store->next_log) store->next_log = number + 1;
    if (gen->first_log == 0) gen->first_log = number;
    gen->last_log = number;
    lsm_mutex_lock(&store->mu);
    store->log = log;
    lsm_mutex_unlock(&store->mu);
    return LSM_OK;
}

void lsm_store_fail_log(struct lsm_store *store, const struct lsm_error *why) {
    struct lsm_error err;
    int status = lsm_fail(&err, LSM_READONLY, "the log could not be written (%s); the store is read-only until it is closed and opened again",
                          why == NULL ? "" : why->text);
    (void)status;
    lsm_store_set_failed(store, &err);
}

/* A record that adds no rows: on a full disk there is room for it. */
static int append_mark(struct lsm_store *store, enum lsm_wal_kind kind, struct lsm_slice payload, struct lsm_error *err) {
    struct lsm_error why = {0};
    uint64_t bytes = lsm_wal_record_bytes(payload.size);
    int status = lsm_wal_writer_reserve(store->log, bytes, &why);
    if (status == LSM_FULL && lsm_reserve_lend(store, bytes, &why)) status = lsm_wal_writer_reserve(store->log, bytes, &why);
    if (status == LSM_OK) return lsm_wal_writer_append(store->log, kind, lsm_env_now_us(store->env), payload, (struct lsm_slice){0}, NULL, err);
    if (err != NULL) *err = why;
    return status;
}

int lsm_store_append_end(struct lsm_store *store, enum lsm_wal_kind kind, uint64_t position, struct lsm_error *err) {
    uint8_t payload[END_PAYLOAD_BYTES];
    lsm_store_u64(payload, position);
    return append_mark(store, kind, lsm_slice_of(payload, sizeof payload), err);
}

uint64_t lsm_store_end_room(void) { return lsm_wal_record_bytes(END_PAYLOAD_BYTES); }

/* ---- sealing ---------------------------------------------------------------------------------------------------------------- */

int lsm_seal_init(struct lsm_store *store, struct lsm_gen *gen, struct lsm_gen *files, struct lsm_seal *seal, struct lsm_error *err) {
    *seal = (struct lsm_seal){.gen = gen, .files = files};
    seal->fresh = lsm_gen_new(0);
    seal->old = lsm_calloc(1, sizeof *seal->old);
    seal->spare = lsm_store_spare(store, err);
    if (seal->fresh != NULL && seal->old != NULL && seal->spare != NULL) return LSM_OK;
    seal->files = NULL;
    lsm_seal_release(seal);
    return lsm_fail_nomem(err, sizeof *seal->fresh);
}

void lsm_seal_release(struct lsm_seal *seal) {
    if (!seal->installed) {
        lsm_gen_unref(seal->fresh);
        lsm_gen_unref(seal->files);
        lsm_free(seal->spare);
    }
    lsm_free(seal->old);
    *seal = (struct lsm_seal){0};
}

void lsm_seal_set_end(struct lsm_seal *seal, uint64_t end) {
    if (seal->gen == NULL) return;
    seal->gen->end = end;
    seal->fresh->start = seal->fresh->end = end;
    if (seal->files != NULL) seal->files->start = seal->files->end = end;
}

struct lsm_state *lsm_seal_install(struct lsm_store *store, struct lsm_seal *seal, uint64_t end) {
    lsm_seal_set_end(seal, end);
    seal->installed = true;
    return lsm_store_swap(store, seal->spare, seal->fresh, seal->files, 0);
}

void lsm_seal_log(struct lsm_store *store, struct lsm_seal *seal) {
    size_t charged = lsm_gen_bytes(seal->gen);
    uint64_t end = lsm_store_writers_end(store);
    lsm_budget_charge((int64_t)charged);
    lsm_mutex_lock(&store->mu);
    seal->gen->charged = charged;
    lsm_seal_set_end(seal, end);
    store->resume.number = 0;
    store->log_is_lent = false;
    if (store->log != NULL) {
        store->log_end = end;
        store->log_check = lsm_wal_writer_check(store->log);
        store->log_synced = lsm_wal_writer_synced(store->log);
        seal->old->writer = store->log;
        struct lsm_old_log **last = &store->old_logs;
        while (*last != NULL) last = &(*last)->next;
        *last = seal->old;
        seal->old = NULL;
        store->log = NULL;
    }
    lsm_mutex_unlock(&store->mu);
}

int lsm_store_roll(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_state *state = lsm_store_ref_state(store);
    struct lsm_gen *active = state->gens[0];
    size_t gens = state->gens_count;
    struct lsm_seal seal = {0};
    lsm_state_unref(state); /* nobody but the writer, who we are, replaces the active one */
    /* Behind what could not be taken back nothing may be appended. */
    int status = lsm_store_check_failed(store, err);
    if (status != LSM_OK || (active->trees == 0 && active->first_log == 0)) return status;
    if (lsm_store_pending(store, NULL) != LSM_PENDING_NONE)
        return lsm_fail(err, LSM_BUSY, "%s: the last transaction has not been settled yet; write to one of its tables first", store->dir);
    if (gens >= LSM_GENS_MAX) return lsm_fail(err, LSM_BUSY, "%s: %zu memtables wait to be flushed; try again later", store->dir, gens - 1);
    /* A file that was only read so far gets its ROLL too: other processes seal there. */
    if (store->log == NULL && store->resume.number != 0) status = lsm_store_open_log(store, active, err);
    if (status == LSM_OK) status = lsm_seal_init(store, active, NULL, &seal, err);
    if (status != LSM_OK) return status;
    /* Nothing may fail after this: what is appended behind a ROLL is no record. */
    if (store->log != NULL) status = append_mark(store, LSM_WAL_ROLL, (struct lsm_slice){0}, err);
    if (status == LSM_OK) {
        /* Before the generation can be flushed: the flush closes the logs it makes superfluous. */
        lsm_seal_log(store, &seal);
        lsm_mutex_lock(&store->mu);
        state = lsm_seal_install(store, &seal, lsm_store_writers_end(store));
        lsm_cond_broadcast(&store->work);
        lsm_mutex_unlock(&store->mu);
        lsm_state_unref(state);
    }
    lsm_seal_release(&seal);
    return status;
}
