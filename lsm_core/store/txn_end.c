/* The end of a transaction: the record in the log, making it visible, or taking it all back. */
#include "../version/runs.h"
#include "txn.h"

#include <assert.h>

enum { MEASURE_EVERY_BYTES = 16384, WHY_BYTES_MAX = 440 /* of an error that something is added to */ };

/* The writer is another one from now on. */
static void end_txn(struct lsm_txn *txn) {
    struct lsm_store *store = txn->store;
    struct lsm_state *state = txn->state;
    struct lsm_share_pin pin = txn->pin;
    lsm_txn_recycle(txn);
    lsm_store_unlock_writer(store);
    lsm_store_unuse_state(store, state, &pin);
}

/* ---- the log ---------------------------------------------------------------------------------------------------------------- */

/* Append an ABORT behind the prepared record, and make it durable in every sync mode: the record before it may reach the disk by itself,
 * and would then decide itself, or meet its token. */
static int append_abort(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_error local = {0};
    int status = lsm_store_append_end(store, LSM_WAL_ABORT, txn->record.position, &local);
    if (status != LSM_OK) lsm_wal_writer_erase(store->log, &txn->record); /* at least whoever opens the store next shall not find it */
    if (status == LSM_OK) status = lsm_store_sync_logs(store, &local);
    if (status != LSM_OK) {
        txn->keep_files = true;
        lsm_store_fail_log(store, &local);
        if (err != NULL) *err = local;
    }
    return status;
}

int lsm_txn_unprepare(struct lsm_txn *txn, struct lsm_error *err) {
    if (!txn->prepared) return LSM_OK;
    txn->prepared = false;
    if (txn->record.end == 0) return LSM_OK;
    if (txn->decider != LSM_DECIDES_ITSELF) lsm_pending_clear(txn->store);
    lsm_seal_release(&txn->seal);
    int status = append_abort(txn, err);
    txn->record = (struct lsm_wal_record){0};
    return status;
}

/* The token names the place of the record, so that a store can tell whether it ever had it. */
static int make_token(struct lsm_txn *txn, struct lsm_error *err) {
    uint64_t position = lsm_wal_writer_end(txn->store->log);
    memset(txn->token, 0, sizeof txn->token);
    if (txn->decider == LSM_DECIDED_BY_ABSENCE) return LSM_OK;
    lsm_store_be32(txn->token, (uint32_t)(position >> 32));
    lsm_store_be32(txn->token + 4, (uint32_t)position);
    int status = lsm_env_random(txn->store->env, txn->token + 8, 8, err);
    txn->token[8] |= 1; /* never all zero */
    return status;
}

/* Rows are added only with the reserve whole, for as much of the log as is asked for. */
static int make_room_to_add(struct lsm_txn *txn, uint64_t bytes, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    uint64_t ahead = lsm_wal_writer_ahead(store->log, bytes);
    int status = ahead == 0 ? LSM_OK : lsm_reserve_keep(store, ahead, NULL);
    if (status != LSM_OK) status = lsm_reserve_keep(store, bytes, err); /* without the next MiB or so the log does, too */
    return status == LSM_OK ? lsm_wal_writer_reserve(store->log, bytes, err) : status;
}

/* When the disk is full rows are deleted at the expense of the reserve. */
static int make_room_to_delete(struct lsm_txn *txn, uint64_t bytes, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_error why = {0};
    int status = lsm_wal_writer_reserve(store->log, bytes, &why);
    if (status == LSM_FULL && lsm_reserve_lend(store, bytes, &why)) {
        store->log_is_lent = true;
        status = lsm_wal_writer_reserve(store->log, bytes, &why);
    }
    if (status != LSM_OK && err != NULL) *err = why;
    if (status == LSM_FULL && err != NULL) status = lsm_fail(err, LSM_FULL, "%.*s, or delete fewer rows at a time", WHY_BYTES_MAX, why.text);
    return status;
}

/* With the room for its end, so that taking the transaction back cannot fail for lack of space. */
static int append_record(struct lsm_txn *txn, enum lsm_wal_kind kind, struct lsm_slice first, struct lsm_slice second, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    uint64_t bytes = lsm_wal_record_bytes((uint64_t)first.size + second.size) + lsm_store_end_room();
    int status = lsm_txn_adds_rows(txn) ? make_room_to_add(txn, bytes, err) : make_room_to_delete(txn, bytes, err);
    if (status != LSM_OK) return status;
    status = lsm_wal_writer_append(store->log, kind, lsm_env_now_us(store->env), first, second, &txn->record, err);
    if (status != LSM_OK) txn->record = (struct lsm_wal_record){0};
    /* Half a write is taken back, but whether that went well nobody knows: the next open decides about files that such a record names. */
    if (status != LSM_OK && status != LSM_NOMEM && status != LSM_TOOBIG) txn->keep_files = true;
    txn->record.payload = (struct lsm_slice){0};
    return status;
}

/* Everything so far, in one record. */
static int append_batch(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_slice batch = lsm_buf_slice(&txn->batch), token = lsm_slice_of(txn->token, sizeof txn->token);
    int status = lsm_store_open_log(txn->store, txn->gen, err);
    if (status != LSM_OK) return status;
    if (txn->decider == LSM_DECIDES_ITSELF) return append_record(txn, LSM_WAL_TXN, batch, (struct lsm_slice){0}, err);
    status = make_token(txn, err);
    return status == LSM_OK ? append_record(txn, LSM_WAL_PREPARE, token, batch, err) : status;
}

/* The generations that a RUNS record makes must fit in: flush, if that many wait for it. */
static int make_gens_room(struct lsm_store *store, struct lsm_error *err) {
    for (;;) {
        lsm_mutex_lock(&store->mu);
        bool fits = store->state->gens_count + 2 <= LSM_GENS_MAX;
        lsm_mutex_unlock(&store->mu);
        if (fits) return LSM_OK;
        int status = lsm_store_flush_turn(store, NULL, NULL, err);
        if (status != LSM_OK) return status;
    }
}

static int encode_runs(struct lsm_txn *txn, struct lsm_runs *runs, struct lsm_buf *payload, struct lsm_error *err) {
    int status = lsm_store_open_log(txn->store, txn->gen, err);
    runs->has_token = txn->decider != LSM_DECIDES_ITSELF;
    runs->batch = lsm_buf_slice(&txn->batch);
    if (status == LSM_OK && runs->has_token) status = make_token(txn, err);
    memcpy(runs->token, txn->token, sizeof runs->token);
    if (status != LSM_OK) return status;
    return lsm_runs_encode(runs, payload) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, txn->batch.size);
}

/* The same with the rows in files. Everything that a commit needs is had first: it cannot fail. */
static int append_runs(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_runs runs = {.edit = {.next_file = lsm_version_set_peek_number(&store->set), .time_us = lsm_env_now_us(store->env)}};
    struct lsm_buf payload = {0};
    struct lsm_gen *files = NULL;
    int status = make_gens_room(store, err);
    if (status == LSM_OK && lsm_txn_collect_runs(txn, &runs.edit) != LSM_OK) status = lsm_fail_nomem(err, 0);
    if (status == LSM_OK) status = lsm_gen_new_files(&store->set, &runs.edit, txn->base, &files, err);
    if (status == LSM_OK) status = lsm_seal_init(store, txn->gen, files, &txn->seal, err);
    if (status != LSM_OK) lsm_gen_unref(files);
    if (status == LSM_OK) status = encode_runs(txn, &runs, &payload, err);
    if (status == LSM_OK) status = append_record(txn, LSM_WAL_RUNS, lsm_buf_slice(&payload), (struct lsm_slice){0}, err);
    if (status != LSM_OK) lsm_seal_release(&txn->seal);
    lsm_buf_free(&payload);
    lsm_runs_release(&runs);
    return status;
}

/* From now on others may ask the database about it. */
static void set_pending(struct lsm_txn *txn) {
    struct lsm_pending_txn pending = {.state = LSM_PENDING_UNKNOWN,
                                      .owner = txn,
                                      .position = txn->record.position,
                                      .end = txn->record.end,
                                      .base = txn->base,
                                      .batch = lsm_buf_slice(&txn->batch),
                                      .gen = txn->gen,
                                      .seals = txn->seals,
                                      .seal = txn->seal};
    memcpy(pending.token, txn->token, sizeof pending.token);
    txn->seal = (struct lsm_seal){0};
    lsm_pending_set(txn->store, &pending);
}

static int write_record(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_error local;
    bool overdue = atomic_load_explicit(&store->sync_overdue, memory_order_relaxed);
    bool durable = txn->sync == LSM_SYNC_FULL || (txn->sync == LSM_SYNC_NORMAL && (txn->decider != LSM_DECIDES_ITSELF || overdue));
    txn->seals = txn->pieces_count != 0;
    int status = durable ? lsm_store_sync_others(store, err) : LSM_OK;
    if (status == LSM_OK) status = txn->seals ? append_runs(txn, err) : append_batch(txn, err);
    if (status != LSM_OK) return status;
    if (durable) status = lsm_store_sync_logs(store, &local);
    if (status == LSM_OK && txn->decider != LSM_DECIDES_ITSELF) set_pending(txn);
    if (status == LSM_OK) return LSM_OK;
    /* The record may or may not be durable. Taking it back settles that for everybody but a power cut right now. */
    lsm_store_fail_log(store, &local);
    (void)append_abort(txn, NULL);
    txn->keep_files = true;
    lsm_seal_release(&txn->seal);
    txn->record = (struct lsm_wal_record){0};
    if (err != NULL) *err = local;
    return status;
}

int lsm_txn_prepare(struct lsm_txn *txn, enum lsm_sync sync, enum lsm_decider decider, uint8_t *token, struct lsm_error *err) {
    int status = lsm_store_guard(txn->store, err);
    if (status != LSM_OK) return status;
    bool again = txn->prepared && txn->prepared_position == txn_position(txn) && sync <= txn->sync && decider == txn->decider;
    if (!again) status = lsm_store_check_failed(txn->store, err);
    if (!again && status == LSM_OK) status = lsm_txn_unprepare(txn, err);
    if (status == LSM_OK && txn->own != NULL) status = lsm_txn_spill(txn, err);
    if (status != LSM_OK) return status;
    txn->sync = sync;
    txn->decider = decider;
    txn->prepared_position = txn_position(txn);
    if (!again && lsm_txn_is_dirty(txn)) status = write_record(txn, err);
    if (status != LSM_OK) return status;
    txn->prepared = true;
    if (token != NULL) memcpy(token, txn->token, sizeof txn->token);
    return LSM_OK;
}

/* ---- the end ---------------------------------------------------------------------------------------------------------------------- */

/* Seal a generation that is full, or whose log has taken of the reserve. A failure (no space, no memory) leaves it open: the next commit tries again. */
static void roll_if_full(struct lsm_store *store, struct lsm_gen *gen, uint64_t bytes) {
    /* Adding up the memtables costs more than a small commit: not every time. */
    gen->unmeasured += bytes;
    if (gen->unmeasured < MEASURE_EVERY_BYTES && !store->log_is_lent) return;
    gen->unmeasured = 0;
    bool due = store->log_is_lent || lsm_gen_bytes(gen) >= store->options.write_buffer_bytes;
    if (due && lsm_store_roll(store, NULL) != LSM_OK) return;
}

/* The log may go on behind a transaction that the database has decided. A failure leaves that to the next writer. */
static void end_pending(struct lsm_txn *txn, bool durable) {
    struct lsm_store *store = txn->store;
    if (!durable || lsm_store_append_end(store, LSM_WAL_COMMIT, txn->record.position, NULL) != LSM_OK) return;
    if (txn->seals) lsm_seal_log(store, &store->pending.seal);
    lsm_pending_clear(store);
}

/* Everybody may see it from now on. */
static void publish(struct lsm_txn *txn) {
    struct lsm_store *store = txn->store;
    struct lsm_state *old = NULL;
    lsm_mutex_lock(&store->mu);
    if (txn->decider != LSM_DECIDES_ITSELF) {
        old = lsm_pending_publish(store);
        store->pending.owner = NULL;
        store->pending.batch = (struct lsm_slice){0};
    } else {
        /* The state and the position in one: who has the one without the other would see half of it. */
        if (txn->seals) old = lsm_seal_install(store, &txn->seal, txn->record.end);
        if (txn->has_trees) lsm_store_publish_trees(store, lsm_buf_slice(&txn->batch), txn->record.end);
        atomic_store_explicit(&store->published, txn->record.end, memory_order_release);
    }
    if (txn->sync == LSM_SYNC_NORMAL && !store->normal_commits) {
        store->normal_commits = true;
        lsm_cond_signal(&store->work); /* whoever sleeps without end has a sync to do in a while */
    }
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
}

static void commit_record(struct lsm_txn *txn, bool durable) {
    struct lsm_store *store = txn->store;
    bool decided = txn->decider != LSM_DECIDES_ITSELF;
    /* Before the generation can be flushed: the flush closes the logs it makes superfluous. */
    if (txn->seals && !decided) lsm_seal_log(store, &txn->seal);
    if (decided || txn->has_trees || txn->seals || txn->sync == LSM_SYNC_NORMAL) publish(txn);
    /* Pairs with the acquire in lsm_view_open(): who sees the position sees the rows. */
    else
        atomic_store_explicit(&store->published, txn->record.end, memory_order_release);
    if (decided) end_pending(txn, durable);
    if (!txn->seals) txn->gen->end = lsm_wal_writer_end(store->log);
    lsm_count_alone(store, LSM_COUNT_WAL_BYTES, txn->record.end - txn->record.position);
    if (!txn->seals) return;
    lsm_mutex_lock(&store->mu);
    lsm_cond_broadcast(&store->work);
    lsm_mutex_unlock(&store->mu);
}

void lsm_txn_commit(struct lsm_txn *txn, bool durable) {
    struct lsm_store *store = txn->store;
    assert(!lsm_txn_is_dirty(txn) || (txn->prepared && txn->prepared_position == txn_position(txn)));
    uint64_t bytes = txn->batch.size;
    bool seals = txn->record.end != 0 && txn->seals;
    if (txn->record.end != 0) commit_record(txn, durable);
    lsm_seal_release(&txn->seal);
    lsm_count_alone(store, LSM_COUNT_COMMITS, 1);
    lsm_count_alone(store, LSM_COUNT_PUTS, txn->puts);
    lsm_count_alone(store, LSM_COUNT_DELETES, txn->deletes);
    lsm_count_alone(store, LSM_COUNT_RANGE_DELETES, txn->range_deletes);
    if (!seals) roll_if_full(store, txn->gen, bytes);
    lsm_txn_release_phase2(txn, false);
    end_txn(txn);
    if (bytes != 0 || seals) lsm_background_pace(store, bytes);
}

void lsm_txn_leave(struct lsm_txn *txn) {
    struct lsm_store *store = txn->store;
    struct lsm_pending_txn *pending = &store->pending;
    if (lsm_store_guard(store, NULL) != LSM_OK) return;
    assert(txn->prepared && txn->decider != LSM_DECIDES_ITSELF);
    if (txn->record.end == 0) {
        (void)lsm_txn_rollback(txn, NULL); /* there is nothing to take back */
        return;
    }
    lsm_mutex_lock(&store->mu);
    pending->owner = NULL;
    pending->held = txn->batch;
    txn->batch = (struct lsm_buf){0};
    lsm_mutex_unlock(&store->mu);
    txn->gen->end = lsm_wal_writer_end(store->log);
    lsm_count_alone(store, LSM_COUNT_ROLLBACKS, 1);
    lsm_txn_release_phase2(txn, false);
    end_txn(txn);
}

int lsm_txn_rollback(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) {
        /* In a forked child: the parent's memory is a copy here, the store is not ours to touch. */
        return status;
    }
    status = lsm_txn_unprepare(txn, err);
    if (lsm_gen_undo(txn->gen, lsm_buf_slice(&txn->batch), 0, txn->base, &txn->scratch) != LSM_OK) {
        /* No memory to name a row that must go: it must not become visible by a later commit, so there is none. */
        struct lsm_error why;
        int nomem = lsm_fail(&why, LSM_NOMEM, "a transaction could not be rolled back for lack of memory");
        if (status == LSM_OK) status = nomem;
        lsm_store_fail_log(store, &why);
    }
    lsm_count_alone(store, LSM_COUNT_ROLLBACKS, 1);
    roll_if_full(store, txn->gen, txn->batch.size);
    lsm_txn_release_phase2(txn, true);
    end_txn(txn);
    return status;
}
