/* Transactions: one writer, rows straight into the memtable, one log record at prepare, one store at commit.
 *
 * A transaction's row has the sequence base + its offset in the batch, where base is the end of the log when the transaction began. Since the
 * record that will hold the batch is longer than the batch and starts at base or later, every sequence lies at or above what is published
 * and below the position published by the commit.
 */
#include "budget.h"
#include "store.h"

#include <assert.h>

struct lsm_txn {
    struct lsm_store *store;
    struct lsm_gen *gen;              /* the active one: the writer alone could replace it */
    const struct lsm_gen *older;      /* for key shape hints; kept alive by state */
    struct lsm_state *state;
    uint64_t base;
    struct lsm_buf batch;
    struct lsm_buf scratch;           /* a full key */
    uint32_t selected;                /* tree of the last operation; 0: none, say it again */
    bool prepared;
    size_t prepared_size;             /* batch bytes that the record holds */
    struct lsm_wal_record record;
    enum lsm_sync sync;               /* of the last prepare */
    enum lsm_decider decider;
    uint8_t token[LSM_TOKEN_BYTES];
    uint64_t puts, deletes, range_deletes;
    bool has_trees;
    size_t trees_made;                /* rolled back ones included: room is kept for so many */
};

enum {
    END_PAYLOAD_BYTES = 8,            /* of COMMIT and ABORT */
    MEASURE_EVERY_BYTES = 16384,
    SEALED_MAX = 4                    /* so many sealed generations, and flushing fails: no more rows are taken in */
};

/* ---- helpers on generations ------------------------------------------------------------------------------------------- */

int lsm_full_key(struct lsm_buf *out, uint32_t tree, struct lsm_slice key) {
    out->size = 0;
    int status = lsm_buf_reserve(out, LSM_TREE_BYTES + key.size);
    if (status != LSM_OK) return status;
    lsm_store_be32(out->data, tree);
    if (key.size != 0) memcpy(out->data + LSM_TREE_BYTES, key.data, key.size);
    out->size = LSM_TREE_BYTES + key.size;
    return LSM_OK;
}

/* Both ends of a range delete in one buffer: low, then high. */
static int range_keys(struct lsm_buf *out, const struct lsm_op *op, struct lsm_slice *low, struct lsm_slice *high) {
    uint8_t tree_bytes[LSM_TREE_BYTES];
    size_t low_size = LSM_TREE_BYTES + op->key.size;
    int status = lsm_full_key(out, op->tree, op->key);
    lsm_store_be32(tree_bytes, op->kind == LSM_OP_TREE_DROP ? op->tree + 1 : op->tree);
    if (status == LSM_OK) status = lsm_buf_append(out, tree_bytes, sizeof tree_bytes);
    if (status == LSM_OK) status = lsm_buf_append(out, op->value.data, op->value.size);
    if (status != LSM_OK) return status;
    *low = lsm_slice_of(out->data, low_size);
    *high = lsm_slice_of(out->data + low_size, out->size - low_size);
    return LSM_OK;
}

int lsm_gen_apply(struct lsm_gen *gen, const struct lsm_gen *older, const struct lsm_op *op, uint64_t sequence, struct lsm_buf *scratch) {
    struct lsm_slice low, high;
    struct lsm_memtable *mt = NULL;
    if (op->kind == LSM_OP_SELECT || op->kind == LSM_OP_TREE_CREATE) return LSM_OK;
    mt = lsm_gen_open(gen, op->tree, older);
    if (mt == NULL) return LSM_NOMEM;
    if (op->kind == LSM_OP_PUT || op->kind == LSM_OP_DELETE) {
        int status = lsm_full_key(scratch, op->tree, op->key);
        if (status != LSM_OK) return status;
        return lsm_memtable_put(mt, op->kind == LSM_OP_PUT ? LSM_KIND_PUT : LSM_KIND_DELETE, lsm_buf_slice(scratch), op->value, sequence);
    }
    int status = range_keys(scratch, op, &low, &high);
    return status == LSM_OK ? lsm_memtable_delete_range(mt, low, high, sequence) : status;
}

int lsm_gen_undo(struct lsm_gen *gen, struct lsm_slice batch, size_t from, uint64_t base, struct lsm_buf *scratch) {
    struct lsm_batch_reader reader = {.batch = batch, .at = from};
    struct lsm_op op;
    int status;
    while ((status = lsm_batch_next(&reader, &op)) == LSM_OK) {
        if (op.kind == LSM_OP_SELECT || op.kind == LSM_OP_TREE_CREATE) continue;
        struct lsm_memtable *mt = lsm_gen_find(gen, op.tree);
        if (mt == NULL) continue;
        if (op.kind == LSM_OP_DELETE_RANGE || op.kind == LSM_OP_TREE_DROP) {
            lsm_memtable_undo_ranges(mt, base + from);
            continue;
        }
        status = lsm_full_key(scratch, op.tree, op.key);
        if (status != LSM_OK) return status;
        lsm_memtable_undo(mt, lsm_buf_slice(scratch), base + from);
    }
    return status == LSM_NOTFOUND ? LSM_OK : status;
}

/* ---- being the writer ---------------------------------------------------------------------------------------------------- */

int lsm_store_lock_writer(struct lsm_store *store, uint64_t timeout_us, struct lsm_error *err) {
    uint64_t deadline = lsm_env_monotonic_us(store->env) + timeout_us;
    int status = LSM_OK;
    lsm_mutex_lock(&store->mu);
    while (store->writer_active && status == LSM_OK) {
        uint64_t now = timeout_us == 0 ? deadline : lsm_env_monotonic_us(store->env);
        if (now >= deadline) status = lsm_fail(err, LSM_BUSY, "%s: another transaction is writing; try again when it has ended", store->dir);
        else (void)lsm_cond_wait_us(&store->writer_free, &store->mu, deadline - now);
    }
    if (status == LSM_OK) store->writer_active = true;
    lsm_mutex_unlock(&store->mu);
    return status;
}

void lsm_store_unlock_writer(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    store->writer_active = false;
    lsm_cond_signal(&store->writer_free);
    lsm_mutex_unlock(&store->mu);
}

/* Writes are refused after a failure of the log, and while flushing fails and memory fills. Needs: the writer. */
static int check_writable(struct lsm_store *store, struct lsm_error *err) {
    int status = lsm_store_check_failed(store, err);
    lsm_mutex_lock(&store->mu);
    struct lsm_trouble *trouble = &store->trouble[LSM_WORK_FLUSH];
    bool stuck = store->state->gens_count > SEALED_MAX && trouble->status != LSM_OK;
    if (status == LSM_OK && stuck) {
        lsm_mutex_unlock(&store->mu);
        lsm_background_retry(store);
        lsm_mutex_lock(&store->mu);
        stuck = store->state->gens_count > SEALED_MAX && trouble->status != LSM_OK;
        if (stuck) status = trouble->status;
        if (stuck && err != NULL) *err = trouble->error;
    }
    lsm_mutex_unlock(&store->mu);
    return status;
}

static uint64_t log_end(const struct lsm_store *store) { return store->log == NULL ? store->log_end : lsm_wal_writer_end(store->log); }

int lsm_txn_begin(struct lsm_store *store, uint64_t snapshot_position, int busy_timeout_ms, struct lsm_txn **out, struct lsm_error *err) {
    *out = NULL;
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) return status;
    struct lsm_txn *txn = lsm_calloc(1, sizeof *txn);
    if (txn == NULL) return lsm_fail_nomem(err, sizeof *txn);
    status = lsm_store_lock_writer(store, busy_timeout_ms < 0 ? 0 : (uint64_t)busy_timeout_ms * 1000, err);
    if (status != LSM_OK) {
        lsm_free(txn);
        return status;
    }
    status = check_writable(store, err);
    if (status == LSM_OK && lsm_store_pending(store, NULL) != LSM_PENDING_NONE)
        status = lsm_fail(err, LSM_UNDECIDED, "%s: a transaction that the database decides has not been settled yet", store->dir);
    if (status == LSM_OK && snapshot_position != UINT64_MAX && snapshot_position < atomic_load_explicit(&store->published, memory_order_acquire))
        status = lsm_fail(err, LSM_BUSY_SNAPSHOT, "%s: the transaction reads an older state than the newest commit; roll back and start again", store->dir);
    if (status != LSM_OK) {
        lsm_store_unlock_writer(store);
        lsm_free(txn);
        return status;
    }
    txn->store = store;
    txn->state = lsm_store_ref_state(store);
    txn->gen = txn->state->gens[0];
    txn->older = txn->state->gens_count > 1 ? txn->state->gens[1] : NULL;
    txn->base = log_end(store);
    *out = txn;
    return LSM_OK;
}

static void free_txn(struct lsm_txn *txn) {
    lsm_state_unref(txn->state);
    lsm_buf_free(&txn->batch);
    lsm_buf_free(&txn->scratch);
    lsm_free(txn);
}

/* ---- the log ---------------------------------------------------------------------------------------------------------------- */

int lsm_store_open_log(struct lsm_store *store, struct lsm_gen *gen, struct lsm_error *err) {
    struct lsm_wal_writer *log = NULL;
    if (store->log != NULL) return LSM_OK;
    uint64_t number = store->resume.number;
    int status;
    if (number != 0) {
        status = lsm_wal_writer_resume(store->env, store->dir, store->store_id, number, store->resume.start, store->log_end, store->log_check,
                                       store->log_synced, &log, err);
    } else {
        number = store->next_log++; /* also if it fails: its file may be there, and cannot be made twice */
        status = lsm_wal_writer_create(store->env, store->dir, &store->perm, store->store_id, number, store->log_end, store->log_check, false, &log, err);
    }
    if (status != LSM_OK) return status;
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

int lsm_store_append_end(struct lsm_store *store, enum lsm_wal_kind kind, uint64_t position, struct lsm_error *err) {
    uint8_t payload[END_PAYLOAD_BYTES];
    lsm_store_u64(payload, position);
    return lsm_wal_writer_append(store->log, kind, lsm_env_now_us(store->env), lsm_slice_of(payload, sizeof payload), (struct lsm_slice){0}, NULL, err);
}

/* Append an ABORT behind the prepared record, and make it durable in every sync mode: the record before it may reach the disk by itself,
 * and would then decide itself, or meet its token. */
static int append_abort(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_error local = {0};
    int status = lsm_store_append_end(store, LSM_WAL_ABORT, txn->record.position, &local);
    if (status != LSM_OK) lsm_wal_writer_erase(store->log, &txn->record); /* at least whoever opens the store next shall not find it */
    if (status == LSM_OK) status = lsm_store_sync_logs(store, &local);
    if (status != LSM_OK) {
        lsm_store_fail_log(store, &local);
        if (err != NULL) *err = local;
    }
    return status;
}

/* Before anything but commit follows a prepare. */
static int unprepare(struct lsm_txn *txn, struct lsm_error *err) {
    if (!txn->prepared) return LSM_OK;
    txn->prepared = false;
    if (txn->record.end == 0) return LSM_OK;
    if (txn->decider != LSM_DECIDES_ITSELF) lsm_pending_clear(txn->store);
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

/* The record of everything so far, with the room for its end, so that taking the transaction back cannot fail for lack of space. */
static int append_txn(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_slice batch = lsm_buf_slice(&txn->batch), none = {0}, token = {0};
    int status = lsm_store_open_log(store, txn->gen, err);
    if (status == LSM_OK && txn->decider != LSM_DECIDES_ITSELF) {
        status = make_token(txn, err);
        token = lsm_slice_of(txn->token, sizeof txn->token);
    }
    uint64_t room = lsm_wal_record_bytes(token.size + batch.size) + lsm_wal_record_bytes(END_PAYLOAD_BYTES);
    if (status == LSM_OK) status = lsm_wal_writer_reserve(store->log, room, err);
    if (status == LSM_OK)
        status = lsm_wal_writer_append(store->log, token.size == 0 ? LSM_WAL_TXN : LSM_WAL_PREPARE, lsm_env_now_us(store->env),
                                       token.size == 0 ? batch : token, token.size == 0 ? none : batch, &txn->record, err);
    if (status != LSM_OK) txn->record = (struct lsm_wal_record){0};
    txn->record.payload = none;
    return status;
}

int lsm_txn_prepare(struct lsm_txn *txn, enum lsm_sync sync, enum lsm_decider decider, uint8_t *token, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_error local = {0};
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) return status;
    bool again = txn->prepared && txn->prepared_size == txn->batch.size && sync <= txn->sync && decider == txn->decider;
    if (!again) status = lsm_store_check_failed(store, err);
    if (!again && status == LSM_OK) status = unprepare(txn, err);
    if (status != LSM_OK) return status;
    txn->sync = sync;
    txn->decider = decider;
    txn->prepared_size = txn->batch.size;
    if (!again && txn->batch.size != 0) status = append_txn(txn, err);
    if (status != LSM_OK) return status;
    bool durable = sync == LSM_SYNC_FULL || (sync == LSM_SYNC_NORMAL && decider != LSM_DECIDES_ITSELF);
    if (!again && txn->batch.size != 0 && durable) status = lsm_store_sync_logs(store, &local);
    if (status != LSM_OK) {
        /* The record may or may not be durable. Taking it back settles that for everybody but a power cut right now. */
        lsm_store_fail_log(store, &local);
        (void)append_abort(txn, NULL);
        txn->record = (struct lsm_wal_record){0};
        if (err != NULL) *err = local;
        return status;
    }
    if (!again && txn->batch.size != 0 && decider != LSM_DECIDES_ITSELF) {
        struct lsm_pending_txn pending = {.state = LSM_PENDING_UNKNOWN, .owner = txn, .position = txn->record.position, .end = txn->record.end,
                                          .base = txn->base, .batch = lsm_buf_slice(&txn->batch)};
        memcpy(pending.token, txn->token, sizeof pending.token);
        lsm_pending_set(store, &pending);
    }
    txn->prepared = true;
    if (token != NULL) memcpy(token, txn->token, sizeof txn->token);
    return LSM_OK;
}

/* ---- changes ------------------------------------------------------------------------------------------------------------------ */

/* Put one operation into the memtable and the batch. */
static int change(struct lsm_txn *txn, struct lsm_op *op, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) return status;
    if (op->key.size > LSM_KEY_BYTES_MAX) return lsm_fail(err, LSM_TOOBIG, "a key of %zu bytes; the most is %zu", op->key.size, LSM_KEY_BYTES_MAX);
    if (op->value.size > LSM_VALUE_BYTES_MAX) return lsm_fail(err, LSM_TOOBIG, "a value of %zu bytes; the most is %zu", op->value.size, LSM_VALUE_BYTES_MAX);
    size_t room = lsm_op_bytes_max(op->key.size, op->value.size);
    if (txn->batch.size + room > LSM_WAL_PAYLOAD_BYTES_MAX)
        return lsm_fail(err, LSM_TOOBIG, "a transaction may write at most %llu bytes; commit more often", (unsigned long long)LSM_WAL_PAYLOAD_BYTES_MAX);
    status = lsm_store_check_failed(store, err);
    if (status == LSM_OK) status = unprepare(txn, err);
    if (status != LSM_OK) return status;
    if (lsm_buf_reserve(&txn->batch, room) != LSM_OK) return lsm_fail_nomem(err, room);
    size_t before = txn->batch.size;
    uint32_t selected_before = txn->selected;
    if (op->kind <= LSM_OP_DELETE_RANGE && txn->selected != op->tree) {
        struct lsm_op select = {.kind = LSM_OP_SELECT, .tree = op->tree};
        lsm_batch_add(&txn->batch, &select);
        txn->selected = op->tree;
    }
    status = lsm_gen_apply(txn->gen, txn->older, op, txn->base + txn->batch.size, &txn->scratch);
    if (status != LSM_OK) {
        txn->batch.size = before;
        txn->selected = selected_before;
        return lsm_fail_nomem(err, op->key.size + op->value.size);
    }
    lsm_batch_add(&txn->batch, op);
    return LSM_OK;
}

int lsm_txn_put(struct lsm_txn *txn, uint32_t tree, struct lsm_slice key, struct lsm_slice value, struct lsm_error *err) {
    struct lsm_op op = {.kind = LSM_OP_PUT, .tree = tree, .key = key, .value = value};
    int status = change(txn, &op, err);
    txn->puts += status == LSM_OK;
    return status;
}

int lsm_txn_delete(struct lsm_txn *txn, uint32_t tree, struct lsm_slice key, struct lsm_error *err) {
    struct lsm_op op = {.kind = LSM_OP_DELETE, .tree = tree, .key = key};
    int status = change(txn, &op, err);
    txn->deletes += status == LSM_OK;
    return status;
}

int lsm_txn_delete_range(struct lsm_txn *txn, uint32_t tree, struct lsm_slice low, struct lsm_slice high, struct lsm_error *err) {
    if (lsm_slice_compare(low, high) >= 0) return LSM_OK;
    if (high.size > LSM_KEY_BYTES_MAX) return lsm_fail(err, LSM_TOOBIG, "a key of %zu bytes; the most is %zu", high.size, LSM_KEY_BYTES_MAX);
    struct lsm_op op = {.kind = LSM_OP_DELETE_RANGE, .tree = tree, .key = low, .value = high};
    int status = change(txn, &op, err);
    txn->range_deletes += status == LSM_OK;
    return status;
}

int lsm_txn_tree_create(struct lsm_txn *txn, struct lsm_tree_info *tree, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_op op = {.kind = LSM_OP_TREE_CREATE, .tree = store->next_tree};
    if (op.tree == UINT32_MAX) return lsm_fail(err, LSM_TOOBIG, "%s: all 4294967294 tree numbers are used up", store->dir);
    int status = lsm_env_random(store->env, &op.nonce, sizeof op.nonce, err);
    if (status == LSM_OK && lsm_store_reserve_trees(store, txn->trees_made + 1) != LSM_OK) status = lsm_fail_nomem(err, sizeof(struct lsm_store_tree));
    if (status == LSM_OK) status = change(txn, &op, err);
    if (status != LSM_OK) return status;
    /* Not given back on rollback: a number names one tree for ever, as far as anybody has seen it. */
    store->next_tree++;
    txn->trees_made++;
    txn->has_trees = true;
    *tree = (struct lsm_tree_info){.tree = op.tree, .nonce = op.nonce};
    return LSM_OK;
}

/* Is the tree there, with what this very transaction has made and dropped so far? known: it was before. */
static bool is_there(const struct lsm_txn *txn, uint32_t tree, bool known) {
    struct lsm_batch_reader reader = {.batch = lsm_buf_slice(&txn->batch)};
    struct lsm_op op;
    while (txn->has_trees && lsm_batch_next(&reader, &op) == LSM_OK) {
        if (op.tree != tree) continue;
        if (op.kind == LSM_OP_TREE_CREATE) known = true;
        if (op.kind == LSM_OP_TREE_DROP) known = false;
    }
    return known;
}

int lsm_txn_tree_drop(struct lsm_txn *txn, uint32_t tree, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    struct lsm_op op = {.kind = LSM_OP_TREE_DROP, .tree = tree};
    lsm_mutex_lock(&store->mu);
    const struct lsm_store_tree *found = lsm_store_find_tree(store, tree);
    bool known = found != NULL && found->dropped_at == UINT64_MAX;
    lsm_mutex_unlock(&store->mu);
    if (!is_there(txn, tree, known)) return lsm_fail(err, LSM_NOTFOUND, "%s: there is no tree %u", store->dir, (unsigned)tree);
    int status = change(txn, &op, err);
    if (status == LSM_OK) txn->has_trees = true;
    return status;
}

uint64_t lsm_txn_mark(struct lsm_txn *txn) {
    /* What follows a mark must be readable from there. */
    txn->selected = 0;
    return txn->batch.size;
}

uint64_t lsm_txn_position(const struct lsm_txn *txn) { return txn->base + txn->batch.size; }

struct lsm_state *lsm_txn_state(const struct lsm_txn *txn) { return txn->state; }

bool lsm_txn_is_dirty(const struct lsm_txn *txn) { return txn->batch.size != 0; }

int lsm_txn_rollback_to(struct lsm_txn *txn, uint64_t mark, struct lsm_error *err) {
    assert(mark <= txn->batch.size);
    int status = lsm_store_guard(txn->store, err);
    if (status != LSM_OK) return status;
    status = unprepare(txn, err);
    /* The rows go whatever became of the ABORT: the transaction can only be rolled back then. */
    int undone = lsm_gen_undo(txn->gen, lsm_buf_slice(&txn->batch), (size_t)mark, txn->base, &txn->scratch);
    if (undone != LSM_OK) return lsm_fail_nomem(err, 0);
    txn->batch.size = (size_t)mark;
    txn->selected = 0;
    return status;
}

/* ---- the end -------------------------------------------------------------------------------------------------------------------- */

/* Seal a generation that is full. A failure (no space, no memory) leaves it open: the next commit tries again. */
static void roll_if_full(struct lsm_store *store, struct lsm_gen *gen, uint64_t bytes) {
    /* Adding up the memtables costs more than a small commit: not every time. */
    gen->unmeasured += bytes;
    if (gen->unmeasured < MEASURE_EVERY_BYTES) return;
    gen->unmeasured = 0;
    if (lsm_gen_bytes(gen) >= store->options.write_buffer_bytes && lsm_store_roll(store, NULL) != LSM_OK) return;
}

/* The log may go on behind a transaction that the database has decided. A failure leaves that to the next writer. */
static void end_pending(struct lsm_txn *txn, bool durable) {
    struct lsm_store *store = txn->store;
    if (durable && lsm_store_append_end(store, LSM_WAL_COMMIT, txn->record.position, NULL) == LSM_OK) lsm_pending_clear(store);
}

/* Everybody may see it from now on. */
static void publish(struct lsm_txn *txn) {
    struct lsm_store *store = txn->store;
    lsm_mutex_lock(&store->mu);
    if (txn->decider != LSM_DECIDES_ITSELF) {
        lsm_pending_publish(store);
        store->pending.owner = NULL;
        store->pending.batch = (struct lsm_slice){0};
    } else if (txn->has_trees) {
        lsm_store_publish_trees(store, lsm_buf_slice(&txn->batch), txn->record.end);
    }
    if (txn->sync == LSM_SYNC_NORMAL && !store->normal_commits) {
        store->normal_commits = true;
        lsm_cond_signal(&store->work); /* whoever sleeps without end has a sync to do in a while */
    }
    lsm_mutex_unlock(&store->mu);
}

void lsm_txn_commit(struct lsm_txn *txn, bool durable) {
    struct lsm_store *store = txn->store;
    assert(txn->batch.size == 0 || (txn->prepared && txn->prepared_size == txn->batch.size));
    uint64_t bytes = txn->batch.size;
    if (txn->record.end != 0) {
        bool decided = txn->decider != LSM_DECIDES_ITSELF;
        if (decided || txn->has_trees || txn->sync == LSM_SYNC_NORMAL) publish(txn);
        /* Pairs with the acquire in lsm_view_open(): who sees the position sees the rows. */
        if (!decided) atomic_store_explicit(&store->published, txn->record.end, memory_order_release);
        if (decided) end_pending(txn, durable);
        txn->gen->end = lsm_wal_writer_end(store->log);
        lsm_count(store, LSM_COUNT_WAL_BYTES, txn->record.end - txn->record.position);
    }
    lsm_count(store, LSM_COUNT_COMMITS, 1);
    lsm_count(store, LSM_COUNT_PUTS, txn->puts);
    lsm_count(store, LSM_COUNT_DELETES, txn->deletes);
    lsm_count(store, LSM_COUNT_RANGE_DELETES, txn->range_deletes);
    roll_if_full(store, txn->gen, bytes);
    lsm_store_unlock_writer(store);
    free_txn(txn);
    if (bytes != 0) lsm_background_pace(store, bytes);
}

int lsm_txn_rollback(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) {
        /* In a forked child: the parent's memory is a copy here, the store is not ours to touch. */
        return status;
    }
    status = unprepare(txn, err);
    if (lsm_gen_undo(txn->gen, lsm_buf_slice(&txn->batch), 0, txn->base, &txn->scratch) != LSM_OK) {
        /* No memory to name a row that must go: it must not become visible by a later commit, so there is none. */
        struct lsm_error why;
        int nomem = lsm_fail(&why, LSM_NOMEM, "a transaction could not be rolled back for lack of memory");
        if (status == LSM_OK) status = nomem;
        lsm_store_fail_log(store, &why);
    }
    lsm_count(store, LSM_COUNT_ROLLBACKS, 1);
    roll_if_full(store, txn->gen, txn->batch.size);
    lsm_store_unlock_writer(store);
    free_txn(txn);
    return status;
}

/* ---- rolling -------------------------------------------------------------------------------------------------------------------- */

int lsm_store_roll(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_state *state = lsm_store_ref_state(store);
    struct lsm_gen *active = state->gens[0];
    struct lsm_old_log *old = NULL;
    struct lsm_gen *fresh = NULL;
    struct lsm_state *spare = NULL;
    int status = LSM_OK;
    /* Behind what could not be taken back nothing may be appended. */
    status = lsm_store_check_failed(store, err);
    if (status != LSM_OK || (active->trees == 0 && active->first_log == 0)) goto out;
    if (lsm_store_pending(store, NULL) != LSM_PENDING_NONE) {
        status = lsm_fail(err, LSM_BUSY, "%s: the last transaction has not been settled yet; write to one of its tables first", store->dir);
        goto out;
    }
    if (state->gens_count == LSM_GENS_MAX) {
        status = lsm_fail(err, LSM_BUSY, "%s: %d memtables wait to be flushed; try again later", store->dir, LSM_GENS_MAX - 1);
        goto out;
    }
    if (store->log != NULL) {
        old = lsm_calloc(1, sizeof *old);
        if (old == NULL) status = lsm_fail_nomem(err, sizeof *old);
        if (old == NULL) goto out;
    }
    fresh = lsm_gen_new(0);
    if (fresh == NULL) status = lsm_fail_nomem(err, sizeof *fresh);
    if (status == LSM_OK && (spare = lsm_store_spare(store, err)) == NULL) status = LSM_NOMEM;
    /* Nothing may fail after this: what is appended behind a ROLL is no record. */
    if (status == LSM_OK && store->log != NULL)
        status = lsm_wal_writer_append(store->log, LSM_WAL_ROLL, lsm_env_now_us(store->env), (struct lsm_slice){0}, (struct lsm_slice){0}, NULL, err);
    if (status != LSM_OK) goto out;
    active->end = log_end(store);
    active->charged = lsm_gen_bytes(active);
    lsm_budget_charge((int64_t)active->charged);
    fresh->start = fresh->end = active->end;
    store->resume.number = 0;
    if (store->log != NULL) {
        old->writer = store->log;
        store->log_end = lsm_wal_writer_end(store->log);
        store->log_check = lsm_wal_writer_check(store->log);
        store->log_synced = lsm_wal_writer_synced(store->log);
        /* Before the generation can be flushed: the flush closes the logs it makes superfluous. */
        lsm_mutex_lock(&store->mu);
        struct lsm_old_log **end = &store->old_logs;
        while (*end != NULL) end = &(*end)->next;
        *end = old;
        old = NULL;
        store->log = NULL;
        lsm_mutex_unlock(&store->mu);
    }
    lsm_store_install(store, spare, fresh, 0);
    spare = NULL;
    fresh = NULL;
    lsm_mutex_lock(&store->mu);
    lsm_cond_broadcast(&store->work);
    lsm_mutex_unlock(&store->mu);
out:
    lsm_free(old);
    lsm_free(spare);
    lsm_gen_unref(fresh);
    lsm_state_unref(state);
    return status;
}
