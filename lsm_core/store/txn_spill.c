/* Phase 2 of a transaction: memory of its own, and table files when that is full. */
#include "budget.h"
#include "txn.h"

#include <assert.h>

enum {
    BATCH_SHARE = 4,                  /* of the write buffer: what phase 1 may take, and a record at most (but for trees) */
    OWN_SHARE = 2,                    /* ... and what phase 2 may hold in memory */
    MEASURES_PER_SHARE = 64           /* how often own's size is looked at while it fills: adding up memtables costs more than a row */
};

bool lsm_txn_is_large(const struct lsm_txn *txn, size_t more) { return txn->batch.size + more > txn->store->options.write_buffer_bytes / BATCH_SHARE; }

static size_t own_share(const struct lsm_txn *txn) { return txn->store->options.write_buffer_bytes / OWN_SHARE; }

static void tell_bytes(struct lsm_txn *txn) {
    size_t bytes = txn->own == NULL ? 0 : lsm_gen_bytes(txn->own) + txn->undo.capacity;
    atomic_store_explicit(&txn->store->own_bytes, bytes, memory_order_relaxed);
}

/* A generation for the transaction alone, counted as a whole against the cache from its first row on. */
static struct lsm_gen *new_own(const struct lsm_txn *txn) {
    struct lsm_gen *gen = lsm_gen_new(txn->base);
    if (gen == NULL) return NULL;
    gen->charged = own_share(txn);
    lsm_budget_charge((int64_t)gen->charged);
    return gen;
}

/* A state to read from, and its pin. */
struct source {
    struct lsm_state *state;
    struct lsm_share_pin pin;
};

/* What the transaction reads from: its generation, the pieces, and what is the store's now. */
static int compose(const struct lsm_txn *txn, struct lsm_gen *own, size_t pieces, struct source *out, struct lsm_error *err) {
    struct lsm_state *below = NULL;
    int status = lsm_store_use_state(txn->store, &below, &out->pin, NULL, err);
    if (status != LSM_OK) return status;
    struct lsm_state *state = lsm_state_new(txn->store, 1 + pieces + below->gens_count);
    if (state == NULL) {
        lsm_store_unuse_state(txn->store, below, &out->pin);
        return lsm_fail_nomem(err, sizeof *state);
    }
    state->gens[state->gens_count++] = own;
    for (size_t i = pieces; i-- > 0;) state->gens[state->gens_count++] = txn->pieces[i].files;
    for (size_t i = 0; i < below->gens_count; i++) state->gens[state->gens_count++] = below->gens[i];
    for (size_t i = 0; i < state->gens_count; i++) lsm_gen_ref(state->gens[i]);
    lsm_version_ref(below->version);
    state->version = below->version;
    lsm_state_unref(below);
    out->state = state;
    return LSM_OK;
}

static void set_source(struct lsm_txn *txn, const struct source *source) {
    lsm_store_unuse_state(txn->store, txn->state, &txn->pin);
    txn->state = source->state;
    txn->pin = source->pin;
}

int lsm_txn_enter_phase2(struct lsm_txn *txn, struct lsm_error *err) {
    struct lsm_gen *own = new_own(txn);
    struct source source = {0};
    int status = own == NULL ? lsm_fail_nomem(err, sizeof *own) : compose(txn, own, 0, &source, err);
    if (status != LSM_OK) {
        lsm_gen_unref(own);
        return status;
    }
    set_source(txn, &source);
    txn->own = own;
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
    txn->pieces[txn->pieces_count++] = (struct txn_piece){.files = files, .low = low, .high = high};
    return LSM_OK;
}

static void drop_pieces(struct lsm_txn *txn, size_t from, bool abandon) {
    while (txn->pieces_count > from) {
        struct lsm_gen *files = txn->pieces[--txn->pieces_count].files;
        if (abandon && !txn->keep_files) lsm_gen_abandon(files);
        lsm_gen_unref(files);
    }
}

/* The operations [low, high) of own become one more piece, if they have left anything. */
static int write_piece(struct lsm_txn *txn, uint64_t low, uint64_t high, struct lsm_error *err) {
    struct lsm_gen *files = NULL;
    int status = lsm_spill(txn->store, txn->own, txn->base + low, txn->base + high, &files, err);
    if (status != LSM_OK || files == NULL) return status;
    if (add_piece(txn, files, low, high) == LSM_OK) return LSM_OK;
    lsm_gen_abandon(files);
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

int lsm_txn_spill(struct lsm_txn *txn, struct lsm_error *err) {
    if (txn->undo.size == 0) return LSM_OK;
    size_t before = txn->pieces_count;
    struct lsm_gen *fresh = new_own(txn);
    struct source source = {0};
    int status = fresh == NULL ? lsm_fail_nomem(err, sizeof *fresh) : LSM_OK;
    atomic_store_explicit(&txn->store->spilling, true, memory_order_relaxed);
    if (status == LSM_OK) status = write_pieces(txn, err);
    if (status == LSM_OK) status = compose(txn, fresh, txn->pieces_count, &source, err);
    if (status != LSM_OK) {
        drop_pieces(txn, before, true);
        lsm_gen_unref(fresh);
        return status;
    }
    txn->own_low = txn_position(txn);
    set_source(txn, &source);
    lsm_gen_unref(txn->own);
    txn->own = fresh;
    lsm_buf_reset(&txn->undo);
    txn->selected = 0;
    txn->unmeasured = 0;
    tell_bytes(txn);
    return LSM_OK;
}

int lsm_txn_spill_if_full(struct lsm_txn *txn, size_t more, struct lsm_error *err) {
    txn->unmeasured += more;
    if (txn->unmeasured < own_share(txn) / MEASURES_PER_SHARE) return LSM_OK;
    tell_bytes(txn);
    txn->unmeasured = 0;
    size_t bytes = atomic_load_explicit(&txn->store->own_bytes, memory_order_relaxed);
    /* The operation that comes counts too, unless it is too large for any share: then it goes in by itself. */
    return bytes + more > own_share(txn) ? lsm_txn_spill(txn, err) : LSM_OK;
}

/* ---- back ------------------------------------------------------------------------------------------------------------------- */

/* Everything of phase 2 goes: the transaction reads what the store has. */
static int back_to_phase1(struct lsm_txn *txn, struct lsm_error *err) {
    struct source source = {0};
    int status = lsm_store_use_state(txn->store, &source.state, &source.pin, NULL, err);
    if (status != LSM_OK) return status;
    set_source(txn, &source);
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
    struct lsm_gen *fresh = new_own(txn);
    struct source source = {0};
    int status = fresh == NULL ? lsm_fail_nomem(err, sizeof *fresh) : compose(txn, fresh, keep, &source, err);
    if (status != LSM_OK) {
        lsm_gen_unref(fresh);
        return status;
    }
    set_source(txn, &source);
    lsm_gen_unref(txn->own);
    txn->own = fresh;
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

/* ---- runs ------------------------------------------------------------------------------------------------------------------- */

/* Keys that a run under construction covers. */
struct span {
    struct lsm_slice low, high;
    bool has_ranges;
};

static struct span span_of(const struct lsm_run *run) {
    struct span span = {.low = lsm_buf_slice(&run->files[0]->smallest), .high = lsm_buf_slice(&run->files[run->count - 1]->largest)};
    for (size_t i = 0; i < run->count; i++) span.has_ranges |= run->files[i]->range_tombstones != 0;
    return span;
}

/* Can a newer piece stand in the same run? Then no key is in both, and nothing of one hides anything of the other. */
static bool joins(struct span *run, const struct span *piece) {
    if (run->has_ranges || piece->has_ranges) return false;
    bool above = lsm_slice_compare(run->high, piece->low) < 0, below = lsm_slice_compare(piece->high, run->low) < 0;
    if (above) run->high = piece->high;
    if (below) run->low = piece->low;
    return above || below;
}

int lsm_txn_collect_runs(const struct lsm_txn *txn, struct lsm_edit *edit) {
    struct span run = {0};
    uint64_t number = 0;
    int status = LSM_OK;
    for (size_t i = 0; i < txn->pieces_count && status == LSM_OK; i++) {
        const struct lsm_run *files = &txn->pieces[i].files->files->level0[0];
        struct span span = span_of(files);
        if (i == 0 || !joins(&run, &span)) {
            run = span;
            number++;
        }
        for (size_t f = 0; f < files->count && status == LSM_OK; f++) status = lsm_edit_add_file(edit, 0, number, files->files[f]);
    }
    return status;
}
