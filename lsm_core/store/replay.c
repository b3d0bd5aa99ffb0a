#include "replay.h"

#include "../version/runs.h"
#include "budget.h"
#include "store.h"

void lsm_replay_init(struct lsm_replay *replay, struct lsm_store *store) {
    *replay = (struct lsm_replay){.store = store, .position = store->state->gens[0]->start};
}

void lsm_replay_release(struct lsm_replay *replay) {
    lsm_buf_free(&replay->batch);
    lsm_buf_free(&replay->scratch);
    lsm_gen_unref(replay->files);
    replay->files = NULL;
}

static void forget_txn(struct lsm_replay *replay) {
    lsm_buf_reset(&replay->batch);
    lsm_gen_unref(replay->files);
    replay->files = NULL;
    replay->txn_end = 0;
    replay->undecided = replay->runs = false;
}

void lsm_replay_restart(struct lsm_replay *replay, uint64_t position) {
    forget_txn(replay);
    replay->position = position;
    replay->check = 0;
    replay->broken = false;
}

void lsm_replay_written(struct lsm_replay *replay, uint64_t end, uint64_t check) {
    struct lsm_pending_txn *pending = &replay->store->pending;
    forget_txn(replay);
    replay->position = end;
    replay->check = check;
    if (pending->state == LSM_PENDING_NONE) return;
    /* Still the last record. Visible: a COMMIT will follow, and no ABORT any more. Left undecided: either, and what takes it back is the replay's. */
    replay->undecided = true;
    replay->runs = pending->seals;
    replay->txn_position = pending->position;
    replay->txn_end = pending->end;
    replay->txn_base = pending->base;
    memcpy(replay->token, pending->token, sizeof replay->token);
    if (pending->held.data == NULL) return;
    lsm_buf_free(&replay->batch);
    replay->batch = pending->held;
    pending->held = (struct lsm_buf){0};
}

static int damaged(const struct lsm_replay *replay, uint64_t position, const char *what, struct lsm_error *err) {
    return lsm_fail(err, LSM_CORRUPT, "%s: log position %llu: %s; restore the store from a backup or salvage what is whole", replay->store->dir,
                    (unsigned long long)position, what);
}

/* The active generation: whoever follows the log is the only one to replace it, but a flush may replace the state around it at any time. */
static struct lsm_gen *active(const struct lsm_replay *replay) {
    struct lsm_store *store = replay->store;
    lsm_mutex_lock(&store->mu);
    struct lsm_gen *gen = store->state->gens[0];
    lsm_mutex_unlock(&store->mu);
    return gen;
}

/* ---- transactions -------------------------------------------------------------------------------------------------------- */

/* Room for the trees that the last transaction makes. */
static int reserve_trees(const struct lsm_replay *replay, struct lsm_error *err) {
    struct lsm_batch_reader reader = {.batch = lsm_buf_slice(&replay->batch)};
    struct lsm_op op;
    size_t made = 0;
    while (lsm_batch_next(&reader, &op) == LSM_OK) made += op.kind == LSM_OP_TREE_CREATE;
    if (made != 0 && lsm_store_reserve_trees(replay->store, made) != LSM_OK) return lsm_fail_nomem(err, made * sizeof(struct lsm_store_tree));
    return LSM_OK;
}

/* Files have no sequences: with them, their transaction's rows and all before must become visible. Locks: needs mu. */
static void publish_at_least(struct lsm_store *store, uint64_t position) {
    if (position > atomic_load_explicit(&store->published, memory_order_relaxed))
        atomic_store_explicit(&store->published, position, memory_order_release);
}

/* The transaction's generation is complete at `end`, and its files stand above it. */
static int stand_on_files(struct lsm_replay *replay, uint64_t end, struct lsm_error *err) {
    struct lsm_store *store = replay->store;
    struct lsm_seal seal;
    struct lsm_gen *gen = active(replay);
    int status = lsm_seal_init(store, gen, replay->files, &seal, err);
    if (status != LSM_OK) return status;
    replay->files = NULL;
    gen->charged = lsm_gen_bytes(gen);
    lsm_budget_charge((int64_t)gen->charged);
    lsm_mutex_lock(&store->mu);
    struct lsm_state *old = lsm_seal_install(store, &seal, end);
    lsm_store_publish_trees(store, lsm_buf_slice(&replay->batch), replay->txn_end);
    publish_at_least(store, replay->txn_end);
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
    lsm_seal_release(&seal);
    return LSM_OK;
}

/* The last transaction stands: make its trees known, and its files if it has any. end: where its generation does then. */
static int stand(struct lsm_replay *replay, uint64_t end, struct lsm_error *err) {
    struct lsm_store *store = replay->store;
    if (replay->txn_end == 0) return LSM_OK;
    int status = reserve_trees(replay, err);
    if (status != LSM_OK) return status;
    if (replay->files != NULL) return stand_on_files(replay, end, err);
    lsm_mutex_lock(&store->mu);
    lsm_store_publish_trees(store, lsm_buf_slice(&replay->batch), replay->txn_end);
    lsm_mutex_unlock(&store->mu);
    return LSM_OK;
}

/* Take the rows of the last transaction back. */
static int undo(struct lsm_replay *replay, struct lsm_error *err) {
    if (lsm_gen_undo(active(replay), lsm_buf_slice(&replay->batch), 0, replay->txn_base, &replay->scratch) == LSM_OK) return LSM_OK;
    replay->broken = true;
    return lsm_fail_nomem(err, 0);
}

/* All of them, or none. */
static int apply_ops(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_slice batch, const struct lsm_state *state,
                     struct lsm_error *err) {
    struct lsm_gen *gen = state->gens[0];
    const struct lsm_gen *older = state->gens_count > 1 ? state->gens[1] : NULL;
    struct lsm_batch_reader reader = {.batch = batch};
    struct lsm_op op;
    int status;
    while ((status = lsm_batch_next(&reader, &op)) == LSM_OK) {
        status = lsm_gen_apply(gen, older, &op, record->position + op.offset, &replay->scratch);
        if (status == LSM_OK) continue;
        /* It will be read again, and then applied from its beginning. */
        status = lsm_fail_nomem(err, op.key.size + op.value.size);
        return undo(replay, NULL) == LSM_OK ? status : LSM_NOMEM;
    }
    return status == LSM_NOTFOUND ? LSM_OK : damaged(replay, record->position, "a transaction that does not decode", err);
}

static int apply_batch(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_slice batch, struct lsm_error *err) {
    replay->txn_end = 0;
    if (lsm_buf_set(&replay->batch, batch) != LSM_OK) return lsm_fail_nomem(err, batch.size);
    replay->txn_position = replay->txn_base = record->position;
    /* A flush may drop the older generation meanwhile. */
    struct lsm_state *state = lsm_store_ref_state(replay->store);
    int status = apply_ops(replay, record, batch, state, err);
    lsm_state_unref(state);
    if (status == LSM_OK) replay->txn_end = record->end;
    return status;
}

static int apply_prepare(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_error *err) {
    struct lsm_slice payload = record->payload;
    if (payload.size < LSM_TOKEN_BYTES) return damaged(replay, record->position, "a PREPARE without a token", err);
    int status = apply_batch(replay, record, lsm_slice_of(payload.data + LSM_TOKEN_BYTES, payload.size - LSM_TOKEN_BYTES), err);
    if (status != LSM_OK) return status;
    memcpy(replay->token, payload.data, LSM_TOKEN_BYTES);
    replay->undecided = true;
    return LSM_OK;
}

static int apply_runs(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_error *err) {
    struct lsm_version_set *set = &replay->store->set;
    struct lsm_gen *files = NULL;
    struct lsm_runs runs;
    int status = lsm_runs_decode(record->payload, &runs, err);
    if (status == LSM_CORRUPT) return damaged(replay, record->position, "a transaction that does not decode", err);
    if (status != LSM_OK) return status;
    status = lsm_gen_new_files(set, &runs.edit, record->end, &files, err);
    if (status == LSM_OK) status = apply_batch(replay, record, runs.batch, err);
    if (status == LSM_OK) {
        lsm_version_set_raise_number(set, runs.edit.next_file);
        for (size_t i = 0; i < runs.edit.added_count; i++) lsm_version_set_raise_number(set, runs.edit.added[i].meta->number + 1);
        memcpy(replay->token, runs.token, sizeof replay->token);
        replay->undecided = runs.has_token;
        replay->runs = true;
        replay->files = files;
        files = NULL;
    }
    lsm_gen_unref(files);
    lsm_runs_release(&runs);
    return status;
}

/* COMMIT and ABORT stand right behind the record they name. */
static int check_end(const struct lsm_replay *replay, const struct lsm_wal_record *record, const char *what, struct lsm_error *err) {
    struct lsm_decoder d = lsm_decoder_of(record->payload);
    uint64_t position = lsm_get_u64(&d);
    if (!d.failed && replay->txn_end != 0 && position == replay->txn_position && record->position == replay->txn_end) return LSM_OK;
    return damaged(replay, record->position, what, err);
}

static void remember_token(struct lsm_replay *replay) {
    struct lsm_store *store = replay->store;
    struct lsm_gen *gen = active(replay);
    lsm_mutex_lock(&store->mu);
    store->has_token = gen->has_token = true;
    memcpy(store->token, replay->token, sizeof store->token);
    memcpy(gen->token, replay->token, sizeof store->token);
    lsm_mutex_unlock(&store->mu);
}

/* A pending RUNS has its COMMIT, which ends at `end`: its files, which went with the pending transaction, stand there. */
static void stand_on_pending(struct lsm_replay *replay, uint64_t end) {
    struct lsm_store *store = replay->store;
    lsm_mutex_lock(&store->mu);
    struct lsm_state *old = lsm_pending_publish(store);
    lsm_seal_set_end(&store->pending.seal, end);
    store->pending.gen->last_log = replay->number;
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
}

/* Whoever waited for it need not any more. */
static void clear_pending(struct lsm_replay *replay) { lsm_pending_forget(replay->store); }

static int apply_commit(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_error *err) {
    int status =
        replay->undecided ? check_end(replay, record, "a COMMIT of nothing", err) : damaged(replay, record->position, "a COMMIT of nothing", err);
    bool waited = replay->runs && replay->files == NULL;
    if (status != LSM_OK) return status;
    if (waited) {
        stand_on_pending(replay, record->end);
    } else {
        remember_token(replay); /* in the generation that the rows are in, before it is sealed */
        status = stand(replay, record->end, err);
    }
    if (status != LSM_OK) return status;
    replay->ended = replay->runs;
    replay->undecided = replay->runs = false;
    replay->txn_end = 0;
    clear_pending(replay);
    return LSM_OK;
}

static int apply_abort(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_error *err) {
    int status = check_end(replay, record, "an ABORT of nothing", err);
    if (status != LSM_OK) return status;
    clear_pending(replay);
    status = undo(replay, err);
    if (status != LSM_OK) return status;
    lsm_gen_unref(replay->files); /* whoever wrote the ABORT removes them; else they are nobody's, and cleaned away */
    replay->files = NULL;
    replay->txn_end = 0;
    replay->undecided = replay->runs = false;
    return LSM_OK;
}

/* ---- sealing --------------------------------------------------------------------------------------------------------------- */

/* What the file has filled is complete. With too many generations, or if it is empty, it goes on instead: a reader does not see the difference, and a
 * flush then takes both in one. */
static int seal(struct lsm_replay *replay, uint64_t end, struct lsm_error *err) {
    struct lsm_store *store = replay->store;
    struct lsm_state *state = lsm_store_ref_state(store);
    struct lsm_gen *gen = state->gens[0];
    size_t gens = state->gens_count;
    lsm_state_unref(state);
    gen->end = end;
    if ((gen->trees == 0 && gen->first_log == 0) || gens >= LSM_GENS_MAX - 1) return LSM_OK;
    struct lsm_state *spare = lsm_store_spare(store, err);
    struct lsm_gen *fresh = spare == NULL ? NULL : lsm_gen_new(end);
    if (fresh == NULL) {
        lsm_free(spare);
        return lsm_fail_nomem(err, sizeof *fresh);
    }
    gen->charged = lsm_gen_bytes(gen);
    lsm_budget_charge((int64_t)gen->charged);
    lsm_store_install(store, spare, fresh, 0);
    return LSM_OK;
}

int lsm_replay_enter_file(struct lsm_replay *replay, uint64_t number, struct lsm_error *err) {
    /* A RUNS that decided itself was the last record of its file; another one may begin with the end of one that did not. */
    if (replay->files != NULL && !replay->undecided) {
        int status = stand(replay, replay->txn_end, err);
        if (status != LSM_OK) return status;
        replay->txn_end = 0;
        replay->runs = false;
    }
    /* A transaction that waits is in the active generation, where its ABORT looks for it. */
    if (active(replay)->last_log != 0 && active(replay)->start != replay->position && !replay->undecided) {
        int status = seal(replay, replay->position, err);
        if (status != LSM_OK) return status;
    }
    replay->number = number;
    replay->start = replay->position;
    replay->ended = false;
    return LSM_OK;
}

/* ---- records ---------------------------------------------------------------------------------------------------------------- */

static int apply_record(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_error *err) {
    bool ends = record->kind == LSM_WAL_ABORT || record->kind == LSM_WAL_COMMIT;
    if (!ends && replay->undecided) return damaged(replay, record->position, "a record behind a transaction that nobody has decided", err);
    if ((!ends && replay->runs) || replay->ended) return damaged(replay, record->position, "a record behind a RUNS, which ends its file", err);
    int status = ends ? LSM_OK : stand(replay, replay->txn_end, err);
    if (status != LSM_OK) return status;
    if (!ends) replay->txn_end = 0;
    switch (record->kind) { /* LCOV_EXCL_BR_LINE: the log's reader refuses other kinds */
    case LSM_WAL_TXN: return apply_batch(replay, record, record->payload, err);
    case LSM_WAL_PREPARE: return apply_prepare(replay, record, err);
    case LSM_WAL_COMMIT: return apply_commit(replay, record, err);
    case LSM_WAL_ABORT: return apply_abort(replay, record, err);
    case LSM_WAL_ROLL: replay->ended = true; return LSM_OK;
    case LSM_WAL_RUNS: return apply_runs(replay, record, err);
    }
    return damaged(replay, record->position, "a record of unknown kind", err);
}

int lsm_replay_record(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_error *err) {
    /* The end of a RUNS that waited belongs to its generation, which may be sealed already. */
    bool waited = record->kind == LSM_WAL_COMMIT && replay->runs && replay->files == NULL;
    struct lsm_gen *gen = active(replay);
    /* First, since the record may seal it, and a flush begins at once. One that fails is read again. */
    if (!waited) {
        if (gen->first_log == 0) gen->first_log = replay->number;
        gen->last_log = replay->number;
        gen->end = record->end;
    }
    int status = apply_record(replay, record, err);
    if (status != LSM_OK) return status;
    if (replay->ended) status = seal(replay, record->end, err);
    if (status != LSM_OK) {
        replay->ended = false;
        return status;
    }
    if (record->synced > replay->synced) replay->synced = record->synced;
    replay->position = record->end;
    replay->check = record->check;
    replay->unsettled = true;
    return LSM_OK;
}

/* A RUNS that its database decides: the files go with the pending transaction, which installs them when it is found to be committed. */
static int wait_with_files(struct lsm_replay *replay, uint64_t visible, struct lsm_error *err) {
    struct lsm_store *store = replay->store;
    struct lsm_state *old = NULL;
    int status = reserve_trees(replay, err);
    if (status == LSM_OK && replay->files != NULL) {
        struct lsm_pending_txn pending = {.state = LSM_PENDING_UNKNOWN,
                                          .position = replay->txn_position,
                                          .end = replay->txn_end,
                                          .base = replay->txn_base,
                                          .batch = lsm_buf_slice(&replay->batch),
                                          .gen = active(replay),
                                          .seals = true};
        status = lsm_seal_init(store, active(replay), replay->files, &pending.seal, err);
        if (status != LSM_OK) return status;
        replay->files = NULL;
        memcpy(pending.token, replay->token, sizeof pending.token);
        lsm_pending_set(store, &pending);
    }
    lsm_mutex_lock(&store->mu);
    if (status == LSM_OK && replay->txn_end <= visible) old = lsm_pending_publish(store);
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
    return status;
}

static int settle(struct lsm_replay *replay, uint64_t visible, struct lsm_error *err) {
    struct lsm_store *store = replay->store;
    if (replay->txn_end == 0) return LSM_OK;
    if (replay->runs && replay->undecided) return wait_with_files(replay, visible, err);
    int status = replay->txn_end <= visible ? stand(replay, replay->txn_end, err) : reserve_trees(replay, err);
    if (status != LSM_OK) return status;
    if (!replay->undecided) {
        if (replay->txn_end <= visible) {
            replay->ended = replay->ended || replay->runs;
            replay->runs = false;
            replay->txn_end = 0;
        }
        return LSM_OK;
    }
    /* The rows are there, and the batch stays for its ABORT. */
    struct lsm_pending_txn pending = {.state = replay->txn_end <= visible ? LSM_PENDING_COMMITTED : LSM_PENDING_UNKNOWN,
                                      .position = replay->txn_position,
                                      .end = replay->txn_end,
                                      .base = replay->txn_base,
                                      .batch = lsm_buf_slice(&replay->batch),
                                      .gen = active(replay)};
    memcpy(pending.token, replay->token, sizeof pending.token);
    if (pending.state == LSM_PENDING_COMMITTED) remember_token(replay);
    lsm_pending_set(store, &pending);
    return LSM_OK;
}

int lsm_replay_settle(struct lsm_replay *replay, uint64_t visible, struct lsm_error *err) {
    int status = settle(replay, visible, err);
    if (status == LSM_OK) replay->unsettled = false;
    return status;
}
