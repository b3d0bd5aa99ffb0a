/* Phase 2 of a transaction: memory of its own, and table files when that is full. */
#include "budget.h"
#include "txn.h"

#include <assert.h>

enum {
    BATCH_SHARE = 4,        /* of the write buffer: what phase 1 may take, and a record at most (but for trees) */
    PATIENCE_SHARE = 16,    /* of what phase 2 may hold: so much more, to spill where no mark is */
    MEASURES_PER_SHARE = 64 /* how often own's size is looked at while it fills: adding up memtables costs more than a row */
};

bool lsm_txn_is_large(const struct lsm_txn *txn, size_t more) {
    return txn->batch.size + more > txn->store->options.write_buffer_bytes / BATCH_SHARE;
}

/* What phase 2 may hold in memory besides: large pieces are few pieces. */
static size_t own_share(const struct lsm_txn *txn) { return txn->store->options.write_buffer_bytes; }

static void tell_bytes(struct lsm_txn *txn) {
    size_t bytes = txn->own == NULL ? 0 : lsm_gen_bytes(txn->own) + txn->undo.capacity;
    atomic_store_explicit(&txn->store->own_bytes, bytes, memory_order_relaxed);
}

/* The generation for the transaction alone, counted as a whole against the cache from its first row on. Its predecessor goes, unless a view has it. */
static void set_own(struct lsm_txn *txn, struct lsm_gen *gen) {
    lsm_gen_unref(txn->own);
    txn->own = gen;
    gen->charged = own_share(txn);
    lsm_budget_charge((int64_t)gen->charged);
}

int lsm_txn_compose(const struct lsm_txn *txn, struct lsm_gen *own, const struct txn_piece *pieces, size_t count, struct txn_source *out,
                    struct lsm_error *err) {
    struct lsm_state *below = NULL;
    int status = lsm_store_use_state(txn->store, &below, &out->pin, NULL, err);
    if (status != LSM_OK) return status;
    struct lsm_state *state = lsm_state_new(txn->store, 1 + count + below->gens_count);
    if (state == NULL) {
        lsm_store_unuse_state(txn->store, below, &out->pin);
        return lsm_fail_nomem(err, sizeof *state);
    }
    state->gens[state->gens_count++] = own;
    for (size_t i = count; i-- > 0;) state->gens[state->gens_count++] = pieces[i].files;
    for (size_t i = 0; i < below->gens_count; i++) state->gens[state->gens_count++] = below->gens[i];
    for (size_t i = 0; i < state->gens_count; i++) lsm_gen_ref(state->gens[i]);
    lsm_version_ref(below->version);
    state->version = below->version;
    lsm_state_unref(below);
    out->state = state;
    return LSM_OK;
}

void lsm_txn_set_source(struct lsm_txn *txn, const struct txn_source *source) {
    lsm_store_unuse_state(txn->store, txn->state, &txn->pin);
    txn->state = source->state;
    txn->pin = source->pin;
}

int lsm_txn_enter_phase2(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_gen *own = lsm_gen_new(txn->base);
    struct txn_source source = {0};
    int status = own == NULL ? lsm_fail_nomem(err, sizeof *own) : lsm_txn_compose(txn, own, NULL, 0, &source, err);
    if (status != LSM_OK) {
        lsm_gen_unref(own);
        return status;
    }
    lsm_txn_set_source(txn, &source);
    set_own(txn, own);
    txn->own_low = txn->phase2_low = txn->batch.size;
    txn->selected = 0;
    txn->older = NULL;
    txn->unmeasured = 0;
    return LSM_OK;
}

/* ---- spilling -------------------------------------------------------------------------------------------------------------- */

static int add_piece(struct lsm_txn *txn, struct lsm_gen *files, uint64_t low, uint64_t high) {
    if (txn->pieces_count == txn->pieces_capacity) {
        size_t capacity = txn->pieces_capacity == 0 ? 8 : txn->pieces_capacity * 2;
        struct txn_piece *pieces = lsm_realloc(txn->pieces, capacity * sizeof *pieces);
        if (pieces == NULL) return LSM_NOMEM;
        txn->pieces = pieces;
        txn->pieces_capacity = capacity;
    }
    txn->pieces[txn->pieces_count++] = (struct txn_piece){.files = files, .low = low, .high = high, .weight = 1};
    return LSM_OK;
}

static void drop_pieces(struct lsm_txn *txn, size_t from, bool abandon) {
    while (txn->pieces_count > from) {
        struct lsm_gen *files = txn->pieces[--txn->pieces_count].files;
        if (abandon && !txn->keep_files) lsm_gen_abandon(files, NULL, 0);
        lsm_gen_unref(files);
    }
}

/* The operations [low, high) of own become one more piece, if they have left anything. */
static int write_piece(struct lsm_txn *txn, uint64_t low, uint64_t high, struct lsm_error *err) {
    struct lsm_gen *files = NULL;
    int status = lsm_spill(txn->store, txn->own, txn->base + low, txn->base + high, !lsm_txn_adds_rows(txn), &files, err);
    if (status != LSM_OK || files == NULL) return status;
    if (add_piece(txn, files, low, high) == LSM_OK) return LSM_OK;
    lsm_gen_abandon(files, NULL, 0);
    lsm_gen_unref(files);
    return lsm_fail_nomem(err, sizeof *txn->pieces);
}

/* One piece for each interval between marks. */
static int write_pieces(struct lsm_txn *txn, struct lsm_error *err) {
    uint64_t low = txn->own_low, end = txn_position(txn);
    int status = LSM_OK;
    for (size_t i = 0; i < txn->marks_count && status == LSM_OK; i++) {
        uint64_t position = txn->marks[i].position;
        if (position <= low || position >= end) continue;
        status = write_piece(txn, low, position, err);
        low = position;
    }
    return status == LSM_OK ? write_piece(txn, low, end, err) : status;
}

static int spill(struct lsm_txn *txn, struct lsm_error *err) {
    size_t before = txn->pieces_count;
    struct lsm_gen *fresh = lsm_gen_new(txn->base);
    struct txn_source source = {0};
    int status = fresh == NULL ? lsm_fail_nomem(err, sizeof *fresh) : LSM_OK;
    atomic_store_explicit(&txn->store->spilling, true, memory_order_relaxed);
    if (status == LSM_OK) status = write_pieces(txn, err);
    if (status == LSM_OK) status = lsm_txn_compose(txn, fresh, txn->pieces, txn->pieces_count, &source, err);
    if (status != LSM_OK) {
        drop_pieces(txn, before, true);
        lsm_gen_unref(fresh);
        return status;
    }
    txn->own_low = txn_position(txn);
    lsm_txn_set_source(txn, &source);
    set_own(txn, fresh);
    lsm_buf_reset(&txn->undo);
    txn->selected = 0;
    txn->unmeasured = 0;
    tell_bytes(txn);
    return LSM_OK;
}

int lsm_txn_spill(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_error why = {0};
    if (txn->undo.size == 0) return LSM_OK;
    int status = lsm_txn_adds_rows(txn) ? lsm_reserve_keep(txn->store, 0, &why) : LSM_OK;
    if (status == LSM_OK) status = spill(txn, &why);
    if (status != LSM_OK && err != NULL) *err = why;
    if (!lsm_txn_adds_rows(txn)) lsm_reserve_refill(txn->store);
    return status;
}

/* A mark that has just been taken, for a row and its index entries, is released in a moment. A spill right now would be cut there. */
static bool is_behind_mark(const struct lsm_txn *txn) {
    if (txn->marks_count == 0) return false;
    uint64_t mark = txn->marks[txn->marks_count - 1].position;
    return mark > txn->own_low && mark < txn_position(txn) && txn_position(txn) - mark < own_share(txn) / PATIENCE_SHARE;
}

int lsm_txn_spill_if_full(struct lsm_txn *txn, size_t more, struct lsm_error *err) {
    txn->unmeasured += more;
    if (txn->unmeasured < own_share(txn) / MEASURES_PER_SHARE) return LSM_OK;
    tell_bytes(txn);
    txn->unmeasured = 0;
    size_t bytes = atomic_load_explicit(&txn->store->own_bytes, memory_order_relaxed);
    /* The operation that comes counts too, unless it is too large for any share: then it goes in by itself. */
    if (bytes + more <= own_share(txn)) return LSM_OK;
    if (bytes + more <= own_share(txn) + own_share(txn) / PATIENCE_SHARE && is_behind_mark(txn)) {
        txn->unmeasured = own_share(txn); /* look again at once */
        return LSM_OK;
    }
    int status = lsm_txn_spill(txn, err);
    return status == LSM_OK ? lsm_txn_fold(txn, err) : status;
}

/* ---- back ------------------------------------------------------------------------------------------------------------------- */

/* Everything of phase 2 goes: the transaction reads what the store has. */
static int back_to_phase1(struct lsm_txn *txn, struct lsm_error *err) {
    struct txn_source source = {0};
    int status = lsm_store_use_state(txn->store, &source.state, &source.pin, NULL, err);
    if (status != LSM_OK) return status;
    lsm_txn_set_source(txn, &source);
    lsm_txn_release_phase2(txn, true);
    return LSM_OK;
}

int lsm_txn_undo_phase2(struct lsm_txn *txn, const struct txn_mark *mark, struct lsm_error *err) {
    uint64_t position = mark->position, base = txn->base + txn->own_low;
    if (position <= txn->phase2_low) return back_to_phase1(txn, err);
    if (position >= txn->own_low) {
        size_t from = (size_t)(position - txn->own_low);
        if (lsm_gen_undo(txn->own, lsm_buf_slice(&txn->undo), from, base, &txn->scratch) != LSM_OK) return lsm_fail_nomem(err, 0);
        txn->undo.size = from;
        return LSM_OK;
    }
    size_t keep = txn->pieces_count;
    while (keep > 0 && txn->pieces[keep - 1].low >= position) keep--;
    assert(keep == 0 || txn->pieces[keep - 1].high <= position);
    struct lsm_gen *fresh = lsm_gen_new(txn->base);
    struct txn_source source = {0};
    int status = fresh == NULL ? lsm_fail_nomem(err, sizeof *fresh) : lsm_txn_compose(txn, fresh, txn->pieces, keep, &source, err);
    if (status != LSM_OK) {
        lsm_gen_unref(fresh);
        return status;
    }
    lsm_txn_set_source(txn, &source);
    set_own(txn, fresh);
    txn->own_low = position;
    lsm_buf_reset(&txn->undo);
    drop_pieces(txn, keep, true);
    return LSM_OK;
}

void lsm_txn_release_phase2(struct lsm_txn *txn, bool abandon) {
    drop_pieces(txn, 0, abandon);
    lsm_free(txn->pieces);
    txn->pieces = NULL;
    txn->pieces_capacity = 0;
    lsm_gen_unref(txn->own);
    txn->own = NULL;
    lsm_buf_free(&txn->undo);
    tell_bytes(txn);
    atomic_store_explicit(&txn->store->spilling, false, memory_order_relaxed);
}
