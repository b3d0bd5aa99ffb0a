/* Transactions: one writer, rows straight into memory, one log record at prepare, one store at commit. This room: beginning, changes, marks. */
#include "txn.h"

#include <assert.h>

enum { SEALED_MAX = 4 /* so many sealed generations, and flushing fails: no more rows are taken in */ };

/* ---- beginning --------------------------------------------------------------------------------------------------------------- */

/* Writes are refused after a failure of the log, and while flushing fails and memory fills. Needs: the writer. */
static int check_writable(struct lsm_store *store, uint64_t timeout_us, struct lsm_error *err) {
    int status = lsm_store_check_failed(store, err);
    if (status != LSM_OK || atomic_load_explicit(&store->sealed, memory_order_relaxed) < SEALED_MAX) return status;
    uint64_t until = lsm_env_monotonic_us(store->env) + timeout_us;
    struct lsm_trouble *trouble = &store->trouble[LSM_WORK_FLUSH];
    bool tried = false;
    for (;;) {
        lsm_mutex_lock(&store->mu);
        bool stuck = store->state->gens_count > SEALED_MAX && trouble->status != LSM_OK;
        status = stuck ? trouble->status : LSM_OK;
        if (stuck && err != NULL) *err = trouble->error;
        lsm_mutex_unlock(&store->mu);
        /* A process that is stopped in the middle of an append to the manifest holds up all flushes: that is waited for like a writer. */
        if (status == LSM_OK || (tried && (status != LSM_BUSY || lsm_env_monotonic_us(store->env) >= until))) return status;
        tried = true;
        lsm_background_retry(store);
    }
}

void lsm_txn_recycle(struct lsm_txn *txn) {
    struct lsm_store *store = txn->store;
    struct lsm_buf batch = txn->batch, scratch = txn->scratch;
    if (txn->marks != txn->few_marks) lsm_free(txn->marks);
    if (batch.capacity > TXN_BYTES_KEPT) lsm_buf_free(&batch);
    if (scratch.capacity > TXN_BYTES_KEPT) lsm_buf_free(&scratch);
    batch.size = scratch.size = 0;
    memset(txn, 0, offsetof(struct lsm_txn, few_marks));
    txn->store = store;
    txn->batch = batch;
    txn->scratch = scratch;
    store->spent_txn = txn;
}

void lsm_txn_release_spent(struct lsm_store *store) {
    struct lsm_txn *txn = store->spent_txn;
    if (txn == NULL) return;
    store->spent_txn = NULL;
    lsm_buf_free(&txn->batch);
    lsm_buf_free(&txn->scratch);
    lsm_free(txn);
}

/* An empty one. Needs: the writer. */
static struct lsm_txn *new_txn(struct lsm_store *store) {
    struct lsm_txn *txn = store->spent_txn;
    store->spent_txn = NULL;
    if (txn == NULL) txn = lsm_calloc(1, sizeof *txn);
    if (txn == NULL) return NULL;
    txn->store = store;
    txn->marks = txn->few_marks;
    txn->marks_capacity = TXN_MARKS_KEPT;
    return txn;
}

/* Needs: the writer. */
static int begin(struct lsm_txn *txn, uint64_t snapshot_position, uint64_t timeout_us, struct lsm_error *err) {
    struct lsm_store *store = txn->store;
    int status = check_writable(store, timeout_us, err);
    if (status == LSM_OK && lsm_store_pending(store, NULL) != LSM_PENDING_NONE)
        status = lsm_fail(err, LSM_UNDECIDED, "%s: a transaction that the database decides has not been settled yet", store->dir);
    if (status == LSM_OK && snapshot_position != UINT64_MAX && snapshot_position < atomic_load_explicit(&store->published, memory_order_acquire))
        status = lsm_fail(err, LSM_BUSY_SNAPSHOT, "%s: the transaction reads an older state than the newest commit; roll back and start again",
                          store->dir);
    if (status == LSM_OK) status = lsm_store_use_state(store, &txn->state, &txn->pin, NULL, err);
    if (status != LSM_OK) return status;
    txn->gen = txn->state->gens[0];
    txn->older = txn->state->gens_count > 1 ? txn->state->gens[1] : NULL;
    txn->base = lsm_store_writers_end(store);
    return LSM_OK;
}

int lsm_txn_begin(struct lsm_store *store, uint64_t snapshot_position, int busy_timeout_ms, struct lsm_txn **out, struct lsm_error *err) {
    *out = NULL;
    int status = lsm_store_await_room(store, NULL, NULL, err);
    if (status != LSM_OK) return status;
    uint64_t timeout_us = busy_timeout_ms < 0 ? 0 : (uint64_t)busy_timeout_ms * 1000;
    status = lsm_store_lock_writer(store, timeout_us, err);
    if (status != LSM_OK) return status;
    struct lsm_txn *txn = new_txn(store);
    status = txn == NULL ? lsm_fail_nomem(err, sizeof *txn) : begin(txn, snapshot_position, timeout_us, err);
    if (status == LSM_OK) {
        *out = txn;
        return LSM_OK;
    }
    if (txn != NULL) lsm_txn_recycle(txn);
    lsm_store_unlock_writer(store);
    return status;
}

/* ---- changes ------------------------------------------------------------------------------------------------------------------ */

/* A mark after this change needs a place. */
static int reserve_mark(struct lsm_txn *txn) {
    if (txn->marks_count < txn->marks_capacity) return LSM_OK;
    size_t capacity = txn->marks_capacity * 2;
    struct txn_mark *marks = lsm_malloc(capacity * sizeof *marks);
    if (marks == NULL) return LSM_NOMEM;
    memcpy(marks, txn->marks, txn->marks_count * sizeof *marks);
    if (txn->marks != txn->few_marks) lsm_free(txn->marks);
    txn->marks = marks;
    txn->marks_capacity = capacity;
    return LSM_OK;
}

/* Where the operation is noted: in phase 2 without its value, which taking it back does not need. */
static struct lsm_buf *notes_of(struct lsm_txn *txn) { return txn->own == NULL ? &txn->batch : &txn->undo; }

static void note(struct lsm_txn *txn, const struct lsm_op *op) {
    if (txn->own == NULL) {
        lsm_batch_add(&txn->batch, op);
        return;
    }
    struct lsm_op bare = *op;
    bare.value = (struct lsm_slice){0};
    if (op->kind == LSM_OP_PUT) bare.kind = LSM_OP_DELETE;
    if (op->kind == LSM_OP_DELETE_RANGE) bare.key = bare.value;
    lsm_batch_add(&txn->undo, &bare);
    /* Trees are the record's business in any case. Dropped here, not in the active generation: its rows stay as they are. */
    if (op->kind > LSM_OP_DELETE_RANGE) lsm_batch_add(&txn->batch, op);
}

/* Put one operation into memory and note it. Needs: room in the notes. */
static int apply(struct lsm_txn *txn, struct lsm_op *op) {
    struct lsm_buf *notes = notes_of(txn);
    size_t before = notes->size;
    uint32_t selected_before = txn->selected;
    if (op->kind <= LSM_OP_DELETE_RANGE && txn->selected != op->tree) {
        struct lsm_op select = {.kind = LSM_OP_SELECT, .tree = op->tree};
        lsm_batch_add(notes, &select);
        txn->selected = op->tree;
    }
    struct lsm_gen *gen = txn->own == NULL ? txn->gen : txn->own;
    const struct lsm_gen *older = txn->own == NULL ? txn->older : txn->gen;
    int status = lsm_gen_apply(gen, older, op, txn->base + txn_position(txn), &txn->scratch);
    if (status != LSM_OK) {
        notes->size = before;
        txn->selected = selected_before;
        return status;
    }
    note(txn, op);
    return LSM_OK;
}

/* Room for the operation, in memory or by going over to files. */
static int make_room(struct lsm_txn *txn, const struct lsm_op *op, size_t room, struct lsm_error *err) {
    bool is_row = op->kind <= LSM_OP_DELETE_RANGE;
    int status = LSM_OK;
    if (txn->own == NULL && is_row && lsm_txn_is_large(txn, room)) status = lsm_txn_enter_phase2(txn, err);
    if (status == LSM_OK && txn->own != NULL) status = lsm_txn_spill_if_full(txn, room, err);
    if (status != LSM_OK) return status;
    if (txn->batch.size + room > LSM_WAL_PAYLOAD_BYTES_MAX && (txn->own == NULL || !is_row)) /* LCOV_EXCL_BR_LINE: four gigabytes of changes */
        return lsm_fail(err, LSM_TOOBIG, "a transaction may make and drop trees in %llu bytes at most; commit more often",
                        (unsigned long long)LSM_WAL_PAYLOAD_BYTES_MAX);
    size_t note_room = txn->own == NULL || !is_row ? room : room - op->value.size;
    if (lsm_buf_reserve(notes_of(txn), note_room) != LSM_OK || reserve_mark(txn) != LSM_OK) return lsm_fail_nomem(err, room);
    if (!is_row && lsm_buf_reserve(&txn->batch, room) != LSM_OK) return lsm_fail_nomem(err, room);
    return LSM_OK;
}

static int change(struct lsm_txn *txn, struct lsm_op *op, struct lsm_error *err) {
    int status = lsm_store_guard(txn->store, err);
    if (status != LSM_OK) return status;
    if (op->key.size > LSM_KEY_BYTES_MAX) return lsm_fail(err, LSM_TOOBIG, "a key of %zu bytes; the most is %zu", op->key.size, LSM_KEY_BYTES_MAX);
    if (op->value.size > LSM_VALUE_BYTES_MAX)
        return lsm_fail(err, LSM_TOOBIG, "a value of %zu bytes; the most is %zu", op->value.size, LSM_VALUE_BYTES_MAX);
    size_t room = lsm_op_bytes_max(op->key.size, op->value.size);
    status = lsm_store_check_failed(txn->store, err);
    if (status == LSM_OK) status = lsm_txn_unprepare(txn, err);
    if (status == LSM_OK) status = make_room(txn, op, room, err);
    if (status != LSM_OK) return status;
    return apply(txn, op) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, op->key.size + op->value.size);
}

void lsm_txn_set_interrupt(struct lsm_txn *txn, lsm_interrupt_fn interrupted, void *arg) {
    txn->asker = (struct lsm_asker){.interrupted = interrupted, .arg = arg};
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
    /* LCOV_EXCL_BR_LINE: four billion trees */
    if (op.tree > LSM_TREE_MAX) return lsm_fail(err, LSM_TOOBIG, "%s: all 4294967294 tree numbers are used up", store->dir);
    int status = lsm_env_random(store->env, &op.nonce, sizeof op.nonce, err);
    if (status == LSM_OK && lsm_store_reserve_trees(store, txn->trees_made + 1) != LSM_OK)
        status = lsm_fail_nomem(err, sizeof(struct lsm_store_tree));
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

/* ---- marks -------------------------------------------------------------------------------------------------------------------- */

uint64_t lsm_txn_mark(struct lsm_txn *txn) {
    uint64_t position = txn_position(txn);
    struct txn_mark *last = txn->marks_count == 0 ? NULL : &txn->marks[txn->marks_count - 1];
    /* What follows a mark must be readable from there. */
    txn->selected = 0;
    if (last != NULL && last->position == position) {
        last->count++;
        return position;
    }
    assert(txn->marks_count < txn->marks_capacity);
    txn->marks[txn->marks_count++] = (struct txn_mark){.position = position, .count = 1, .batch_size = txn->batch.size};
    return position;
}

/* Forget the marks behind a position; the one that stands there, or NULL. */
static struct txn_mark *forget_behind(struct lsm_txn *txn, uint64_t position) {
    while (txn->marks_count > 0 && txn->marks[txn->marks_count - 1].position > position) txn->marks_count--;
    if (txn->marks_count == 0 || txn->marks[txn->marks_count - 1].position != position) return NULL;
    return &txn->marks[txn->marks_count - 1];
}

void lsm_txn_release(struct lsm_txn *txn, uint64_t mark) {
    struct txn_mark *found = forget_behind(txn, mark);
    if (found != NULL && --found->count == 0) txn->marks_count--;
}

uint64_t lsm_txn_position(const struct lsm_txn *txn) { return txn->base + txn_position(txn); }

struct lsm_state *lsm_txn_state(const struct lsm_txn *txn) {
    return txn->state;
}

const struct lsm_share_pin *lsm_txn_pin(const struct lsm_txn *txn) { return &txn->pin; }

bool lsm_txn_is_dirty(const struct lsm_txn *txn) { return txn_position(txn) != 0; }

int lsm_txn_rollback_to(struct lsm_txn *txn, uint64_t position, struct lsm_error *err) {
    assert(position <= txn_position(txn));
    int status = lsm_store_guard(txn->store, err);
    if (status != LSM_OK) return status;
    status = lsm_txn_unprepare(txn, err);
    struct lsm_error local = {0};
    size_t at = txn->marks_count;
    while (at > 0 && txn->marks[at - 1].position > position) at--;
    bool found = at > 0 && txn->marks[at - 1].position == position;
    if (!found && position != 0) return lsm_fail(err, LSM_MISUSE, "there is no such mark in the transaction");
    const struct txn_mark mark = found ? txn->marks[at - 1] : (struct txn_mark){0}; /* the beginning needs none */
    /* The rows go whatever became of the ABORT: the transaction can only be rolled back then. */
    int undone = txn->own != NULL ? lsm_txn_undo_phase2(txn, &mark, &local) : LSM_OK;
    if (undone == LSM_OK && txn->own == NULL)
        undone = lsm_gen_undo(txn->gen, lsm_buf_slice(&txn->batch), (size_t)position, txn->base, &txn->scratch) == LSM_OK ? LSM_OK
                                                                                                                          : lsm_fail_nomem(&local, 0);
    if (undone != LSM_OK) {
        if (status == LSM_OK && err != NULL) *err = local;
        return status == LSM_OK ? undone : status;
    }
    txn->batch.size = mark.batch_size;
    txn->marks_count = at;
    txn->selected = 0;
    return status;
}
