/* The pieces of a large transaction are kept few: every read of the transaction asks them all, and whoever reads what it has left, too.
 *
 *   keys in order    [1][2] [3]       neighbours that share no key are one run of files: nothing is written again
 *   any order        [5][4][1 1 1 1]  when there are too many, the newest become one (compact/policy.h), file by file that overlaps another
 *   marks            [..]|[...]|[..]  never across a place that may still be rolled back to
 */
#include "txn.h"

enum {
    PIECES_MAX = 16,
    PIECES_MIN = 4, /* the smallest buffers allow so many: a merge reads each through a window */
    BYTES_PER_PIECE = 16 << 10
};

static size_t pieces_allowed(const struct lsm_txn *txn) {
    size_t allowed = txn->store->options.write_buffer_bytes / BYTES_PER_PIECE;
    allowed = allowed > PIECES_MAX ? PIECES_MAX : allowed < PIECES_MIN ? PIECES_MIN : allowed;
    return allowed > txn->pieces_tolerated ? allowed : txn->pieces_tolerated;
}

/* Pieces [first, first + count). */
struct stretch {
    size_t first, count;
};

static const struct lsm_run *run_of(const struct txn_piece *piece) { return &piece->files->files->level0[0]; }

/* Could a rollback have to tell piece `at` from the one before it? */
static bool is_cut(const struct lsm_txn *txn, size_t at) {
    size_t low = 0, high = txn->marks_count; /* the last mark that does not lie behind where the piece begins */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (txn->marks[middle].position <= txn->pieces[at].low)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && txn->marks[low - 1].position >= txn->pieces[at - 1].high;
}

/* The first piece of those behind the same marks as piece `last`. */
static size_t start_of_interval(const struct lsm_txn *txn, size_t last) {
    while (last > 0 && !is_cut(txn, last)) last--;
    return last;
}

static bool overlaps_any(const struct lsm_txn *txn, size_t first, size_t end, const struct lsm_run *run) {
    for (size_t i = end; i-- > first;)
        if (lsm_run_overlaps(run_of(&txn->pieces[i]), run)) return true;
    return false;
}

/* Neighbours that are one run as they are. */
static bool find_joinable(const struct lsm_txn *txn, struct stretch *out) {
    for (size_t end = txn->pieces_count; end > 1; end--) {
        size_t first = end - 1;
        while (first > 0 && end - first < LSM_FOLD_RUNS_MAX && !is_cut(txn, first)) {
            if (overlaps_any(txn, first, end, run_of(&txn->pieces[first - 1]))) break;
            first--;
        }
        *out = (struct stretch){.first = first, .count = end - first};
        if (out->count > 1) return true;
    }
    return false;
}

/* How many of the newest pieces of the interval [first, end) to merge. */
static size_t plan_interval(const struct lsm_txn *txn, size_t first, size_t end) {
    uint64_t weights[LSM_FOLD_RUNS_MAX];
    size_t count = 0;
    for (size_t i = end; i-- > first && count < LSM_FOLD_RUNS_MAX;) weights[count++] = txn->pieces[i].weight;
    return lsm_policy_fold(weights, count);
}

/* An interval that has too many. */
static bool find_crowded(const struct lsm_txn *txn, size_t allowed, struct stretch *out) {
    for (size_t end = txn->pieces_count, first; end > 0; end = first) {
        first = start_of_interval(txn, end - 1);
        if (end - first <= allowed) continue;
        *out = (struct stretch){.count = plan_interval(txn, first, end)};
        out->first = end - out->count;
        return true;
    }
    return false;
}

/* All of an interval that no more will come to, where that costs least for each piece less. */
static bool find_closed(const struct lsm_txn *txn, struct stretch *out) {
    double least = 0;
    out->count = 0;
    for (size_t end = start_of_interval(txn, txn->pieces_count - 1), first; end > 0; end = first) {
        uint64_t weight = 0;
        first = start_of_interval(txn, end - 1);
        size_t count = end - first > LSM_FOLD_RUNS_MAX ? LSM_FOLD_RUNS_MAX : end - first;
        for (size_t i = end - count; i < end; i++) weight += txn->pieces[i].weight;
        if (count < 2 || (out->count != 0 && (double)weight / (double)(count - 1) >= least)) continue;
        *out = (struct stretch){.first = end - count, .count = count};
        least = (double)weight / (double)(count - 1);
    }
    return out->count != 0;
}

static bool find_mergeable(const struct lsm_txn *txn, struct stretch *out) {
    size_t allowed = pieces_allowed(txn);
    if (txn->pieces_count <= allowed) return false;
    return find_crowded(txn, allowed, out) || (txn->pieces_count > 2 * allowed && find_closed(txn, out));
}

/* Let `fresh` take the place of the pieces that it was made of. Their files go with their last reader, unless they are its files now. */
static void replace(struct lsm_txn *txn, const struct stretch *stretch, const struct txn_piece *fresh) {
    struct txn_piece *at = &txn->pieces[stretch->first];
    for (size_t i = 0; i < stretch->count; i++) {
        lsm_gen_abandon(at[i].files, &fresh->files, 1);
        lsm_gen_unref(at[i].files);
    }
    *at = *fresh;
    size_t behind = stretch->first + stretch->count;
    memmove(at + 1, &txn->pieces[behind], (txn->pieces_count - behind) * sizeof *at);
    txn->pieces_count -= stretch->count - 1;
}

/* What the transaction reads from when `fresh` has taken their place. */
static int compose_with(const struct lsm_txn *txn, const struct stretch *stretch, const struct txn_piece *fresh, struct txn_source *source,
                        struct lsm_error *err) {
    size_t behind = stretch->first + stretch->count, count = 0;
    struct txn_piece *pieces = lsm_calloc(txn->pieces_count, sizeof *pieces);
    if (pieces == NULL) return lsm_fail_nomem(err, txn->pieces_count * sizeof *pieces);
    for (size_t i = 0; i < stretch->first; i++) pieces[count++] = txn->pieces[i];
    pieces[count++] = *fresh;
    for (size_t i = behind; i < txn->pieces_count; i++) pieces[count++] = txn->pieces[i];
    int status = lsm_txn_compose(txn, txn->own, pieces, count, source, err);
    lsm_free(pieces);
    return status;
}

static int fold(struct lsm_txn *txn, const struct stretch *stretch, struct lsm_error *err) {
    struct lsm_gen *gens[LSM_FOLD_RUNS_MAX];
    const struct txn_piece *oldest = &txn->pieces[stretch->first], *newest = &oldest[stretch->count - 1];
    struct txn_piece fresh = {.low = oldest->low, .high = newest->high};
    struct txn_source source = {0};
    for (size_t i = 0; i < stretch->count; i++) {
        gens[i] = oldest[stretch->count - 1 - i].files;
        fresh.weight += oldest[i].weight;
    }
    int status = lsm_fold(txn->store, gens, stretch->count, &txn->asker, &fresh.files, err);
    if (status == LSM_OK) status = compose_with(txn, stretch, &fresh, &source, err);
    if (status != LSM_OK) {
        if (fresh.files != NULL) lsm_gen_abandon(fresh.files, gens, stretch->count);
        lsm_gen_unref(fresh.files);
        return status;
    }
    lsm_txn_set_source(txn, &source);
    replace(txn, stretch, &fresh);
    return LSM_OK;
}

int lsm_txn_fold(struct lsm_txn *txn, struct lsm_error *err) {
    struct stretch stretch;
    while (!txn->keep_files && (find_joinable(txn, &stretch) || find_mergeable(txn, &stretch))) {
        struct lsm_error local = {0};
        int status = fold(txn, &stretch, &local);
        if (status == LSM_FULL || status == LSM_NOMEM) {
            /* It goes on with more pieces than it should have, and does not try again at once what takes up all that is left. */
            txn->pieces_tolerated = 2 * txn->pieces_count;
            return LSM_OK;
        }
        if (status != LSM_OK && err != NULL) *err = local;
        if (status != LSM_OK) return status;
    }
    return LSM_OK;
}

int lsm_txn_collect_runs(const struct lsm_txn *txn, struct lsm_edit *edit) {
    size_t first = 0; /* of the run under construction: marks are no matter any more */
    uint64_t number = 1;
    int status = LSM_OK;
    for (size_t i = 0; i < txn->pieces_count && status == LSM_OK; i++) {
        const struct lsm_run *files = run_of(&txn->pieces[i]);
        if (overlaps_any(txn, first, i, files)) {
            first = i;
            number++;
        }
        for (size_t f = 0; f < files->count && status == LSM_OK; f++) status = lsm_edit_add_file(edit, 0, number, files->files[f]);
    }
    return status;
}
