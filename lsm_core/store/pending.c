/* Transactions that the database decides: between PREPARE (or RUNS) and COMMIT or ABORT, in this process or left behind by one that is gone.
 *
 * PREPARE is the last record of the log meanwhile, and its rows are in the active generation, at or above what is published. So making it visible
 * is one store, whoever finds out; taking it back is what any rollback does. The files of a RUNS come with a seal that is ready to be installed.
 */
#include "store.h"

/* ---- what others use ----------------------------------------------------------------------------------------------- */

void lsm_store_publish_trees(struct lsm_store *store, struct lsm_slice batch, uint64_t position) {
    struct lsm_batch_reader reader = {.batch = batch};
    struct lsm_op op;
    while (lsm_batch_next(&reader, &op) == LSM_OK) {
        if (op.kind != LSM_OP_TREE_CREATE && op.kind != LSM_OP_TREE_DROP) continue;
        struct lsm_store_tree *tree = lsm_store_find_tree(store, op.tree);
        if (op.kind == LSM_OP_TREE_CREATE && tree == NULL) {
            struct lsm_store_tree made = {.info = {.tree = op.tree, .nonce = op.nonce}, .created_at = position, .dropped_at = UINT64_MAX};
            lsm_store_add_tree(store, &made);
            if (op.tree >= store->next_tree) store->next_tree = op.tree + 1;
        } else if (op.kind == LSM_OP_TREE_DROP && tree != NULL) {
            tree->dropped_at = position;
            store->drop_wanted = true;
            lsm_cond_signal(&store->work);
        }
    }
}

void lsm_pending_set(struct lsm_store *store, const struct lsm_pending_txn *pending) {
    lsm_mutex_lock(&store->mu);
    struct lsm_pending_txn old = store->pending;
    store->pending = *pending;
    atomic_store_explicit(&store->pending_state, (int)pending->state, memory_order_release);
    lsm_mutex_unlock(&store->mu);
    /* Its record is in the log whole: other processes can read it, and ask the database. */
    if (pending->owner != NULL) lsm_share_set_undecided(store->share, pending->end);
    lsm_buf_free(&old.held);
    lsm_seal_release(&old.seal);
}

void lsm_pending_forget(struct lsm_store *store) {
    const struct lsm_pending_txn none = {.state = LSM_PENDING_NONE};
    if (atomic_load_explicit(&store->pending_state, memory_order_relaxed) != (int)LSM_PENDING_NONE) lsm_pending_set(store, &none);
}

void lsm_pending_clear(struct lsm_store *store) {
    lsm_share_set_undecided(store->share, UINT64_MAX);
    lsm_pending_forget(store);
    /* A drop whose COMMIT is written can go on to the files, and what is sealed can be flushed. */
    lsm_mutex_lock(&store->mu);
    if (store->drop_wanted || store->state->gens_count > 1) lsm_cond_signal(&store->work);
    lsm_mutex_unlock(&store->mu);
}

struct lsm_state *lsm_pending_publish(struct lsm_store *store) {
    struct lsm_pending_txn *pending = &store->pending;
    struct lsm_state *old = NULL;
    if (pending->state != LSM_PENDING_UNKNOWN) return NULL;
    pending->state = LSM_PENDING_COMMITTED;
    lsm_store_publish_trees(store, pending->batch, pending->end);
    store->has_token = true;
    memcpy(store->token, pending->token, sizeof store->token);
    pending->gen->has_token = true;
    memcpy(pending->gen->token, pending->token, sizeof store->token);
    if (pending->seals) old = lsm_seal_install(store, &pending->seal, pending->end);
    atomic_store_explicit(&store->pending_state, (int)LSM_PENDING_COMMITTED, memory_order_release);
    /* Pairs with the acquire in lsm_view_open(): who sees the position sees the rows. */
    atomic_store_explicit(&store->published, pending->end, memory_order_release);
    lsm_share_publish(store->share, pending->end);
    return old;
}

/* ---- the public side ------------------------------------------------------------------------------------------------ */

/* The transaction that ends at `end` was met, and its process does not wait for the database any more, nor has it committed: it is not asked about, and its
 * rows are not visible. Its ABORT is read with the next commit, so the files of a RUNS go back to whoever reads on. */
static void forget_taken_back(struct lsm_store *store, uint64_t end) {
    struct lsm_pending_txn *pending = &store->pending, old = {.state = LSM_PENDING_NONE};
    lsm_mutex_lock(&store->follow_mu);
    lsm_mutex_lock(&store->mu);
    if (pending->state == LSM_PENDING_UNKNOWN && pending->owner == NULL && pending->end == end) {
        old = *pending;
        *pending = (struct lsm_pending_txn){.state = LSM_PENDING_NONE};
        if (old.seals) store->replay.files = old.seal.files;
        old.seal.files = NULL;
        atomic_store_explicit(&store->pending_state, (int)LSM_PENDING_NONE, memory_order_release);
    }
    lsm_mutex_unlock(&store->mu);
    lsm_buf_free(&old.held);
    lsm_seal_release(&old.seal);
    lsm_mutex_unlock(&store->follow_mu);
}

/* Know what other processes have prepared, and what became of it. A failure leaves what was known; whoever reads on meets it again. */
static void refresh(struct lsm_store *store) {
    uint64_t waits = lsm_share_undecided(store->share);
    bool waiting = waits != UINT64_MAX && waits > lsm_share_published(store->share);
    bool known = atomic_load_explicit(&store->pending_state, memory_order_acquire) == (int)LSM_PENDING_UNKNOWN;
    if (!waiting && !known) return;
    lsm_mutex_lock(&store->mu);
    uint64_t end = store->pending.end;
    bool owned = store->pending.owner != NULL;
    lsm_mutex_unlock(&store->mu);
    if (known && (owned || (waiting && end == waits))) return;
    int status = waiting ? lsm_follow_undecided(store, NULL) : lsm_follow(store, NULL);
    if (status == LSM_OK && !waiting) forget_taken_back(store, end);
}

enum lsm_pending lsm_store_pending(struct lsm_store *store, uint8_t *token) {
    if (store->fork_epoch != lsm_fork_epoch()) return LSM_PENDING_NONE; /* what is shared is not there */
    if (!store->alone) refresh(store);
    /* Acquire pairs with the release of lsm_pending_set(): what led to it, such as main's commit, is not asked about before. */
    enum lsm_pending state = (enum lsm_pending)atomic_load_explicit(&store->pending_state, memory_order_acquire);
    if (state == LSM_PENDING_NONE || token == NULL) return state;
    lsm_mutex_lock(&store->mu);
    state = store->pending.state;
    memcpy(token, store->pending.token, LSM_TOKEN_BYTES);
    lsm_mutex_unlock(&store->mu);
    return state;
}

static bool is_pending(struct lsm_store *store, const uint8_t *token) {
    uint8_t present[LSM_TOKEN_BYTES];
    return lsm_store_pending(store, present) != LSM_PENDING_NONE && memcmp(present, token, sizeof present) == 0;
}

/* Needs: the writer. */
static int settle_commit(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_pending_txn *pending = &store->pending;
    int status = lsm_store_open_log(store, pending->gen, err);
    if (status == LSM_OK) status = lsm_store_append_end(store, LSM_WAL_COMMIT, pending->position, err);
    if (status != LSM_OK) return status;
    lsm_mutex_lock(&store->mu);
    struct lsm_state *old = lsm_pending_publish(store);
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
    if (pending->seals)
        lsm_seal_log(store, &pending->seal);
    else
        pending->gen->end = lsm_wal_writer_end(store->log);
    lsm_pending_clear(store);
    return LSM_OK;
}

/* What an ABORT needs, before there is one: nothing may fail for want of memory between it and what is taken back. Needs: the writer. */
static int prepare_abort(struct lsm_store *store, struct lsm_buf *scratch, struct lsm_error *err) {
    struct lsm_pending_txn *pending = &store->pending;
    int status = lsm_store_open_log(store, pending->gen, err);
    size_t key_bytes = pending->batch.size < LSM_KEY_BYTES_MAX ? pending->batch.size : LSM_KEY_BYTES_MAX;
    if (status == LSM_OK && lsm_buf_reserve(scratch, LSM_TREE_BYTES + key_bytes) != LSM_OK) status = lsm_fail_nomem(err, key_bytes);
    return status == LSM_OK ? lsm_store_sync_others(store, err) : status;
}

/* Needs: the writer. */
static int settle_abort(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_pending_txn *pending = &store->pending;
    struct lsm_gen *active = pending->gen;
    struct lsm_buf scratch = {0};
    if (pending->state == LSM_PENDING_COMMITTED)
        return lsm_fail(err, LSM_MISUSE, "%s: the last transaction was committed, and is now said not to be", store->dir);
    int status = prepare_abort(store, &scratch, err);
    if (status == LSM_OK) status = lsm_store_append_end(store, LSM_WAL_ABORT, pending->position, err);
    if (status == LSM_OK) status = lsm_store_sync_logs(store, err);
    if (status == LSM_OK && lsm_gen_undo(active, pending->batch, 0, pending->base, &scratch) != LSM_OK) status = lsm_fail_nomem(err, 0);
    lsm_buf_free(&scratch);
    /* Half an end is none: nobody may append behind it. */
    if (status != LSM_OK && store->log != NULL && lsm_wal_writer_end(store->log) != pending->end) lsm_store_fail_log(store, err);
    if (status != LSM_OK) return status;
    active->end = lsm_wal_writer_end(store->log);
    if (pending->seals) lsm_gen_abandon(pending->seal.files, NULL, 0);
    lsm_pending_clear(store);
    return LSM_OK;
}

int lsm_store_settle(struct lsm_store *store, const uint8_t *token, enum lsm_decision decision, int busy_timeout_ms, struct lsm_error *err) {
    struct lsm_error local = {0};
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK || !is_pending(store, token)) return status;
    if (decision == LSM_DECISION_SEEN) {
        struct lsm_state *old = NULL;
        lsm_mutex_lock(&store->mu);
        if (memcmp(store->pending.token, token, LSM_TOKEN_BYTES) == 0) old = lsm_pending_publish(store);
        lsm_mutex_unlock(&store->mu);
        lsm_state_unref(old);
        return LSM_OK;
    }
    status = lsm_store_lock_writer(store, busy_timeout_ms < 0 ? 0 : (uint64_t)busy_timeout_ms * 1000, err);
    if (status != LSM_OK) return status;
    status = lsm_store_check_failed(store, &local);
    if (status == LSM_OK && is_pending(store, token))
        status = decision == LSM_DECISION_COMMIT ? settle_commit(store, &local) : settle_abort(store, &local);
    lsm_store_unlock_writer(store);
    if (status != LSM_OK && err != NULL) *err = local;
    return status;
}

bool lsm_store_last_token(struct lsm_store *store, uint8_t *token) {
    static const uint8_t none[LSM_TOKEN_BYTES];
    if (lsm_follow_if_behind(store, NULL) != LSM_OK) { /* What was known before is the answer. */
    }
    lsm_mutex_lock(&store->mu);
    bool has = store->has_token && memcmp(store->token, none, sizeof none) != 0;
    if (has) memcpy(token, store->token, LSM_TOKEN_BYTES);
    lsm_mutex_unlock(&store->mu);
    return has;
}

int lsm_store_await_writer(struct lsm_store *store, int timeout_ms, struct lsm_error *err) {
    int status = lsm_store_guard(store, err);
    if (status == LSM_OK && lsm_store_check_failed(store, NULL) != LSM_OK) return LSM_OK; /* nobody writes any more */
    if (status == LSM_OK) status = lsm_store_lock_writer(store, timeout_ms < 0 ? 0 : (uint64_t)timeout_ms * 1000, err);
    if (status == LSM_OK) lsm_store_unlock_writer(store);
    return status;
}
