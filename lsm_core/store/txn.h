/* txn.h: the inside of a transaction, for the rooms it is cut into.
 *
 *   phase 1   rows go straight into the active generation, and into the batch that will be the record
 *   phase 2   past the batch's share: rows go into a generation in memory that is the transaction's own (`own`), and their keys into `undo`
 *   spill     past that one's share: it is written to table files, cut at every mark that may still be rolled back to, and begun anew
 *
 *      0        S                                          position L of the transaction: grows with every operation
 *      | batch  | spilled | spilled | ... | own, undo      S: where phase 2 began; [low, high) of each piece
 *
 * A row has the sequence base + L of its operation, base being the end of the log when the transaction began. The record is longer than the batch
 * and begins at base or later, so rows of phase 1 lie at or above what is published and below what the commit publishes. What is
 * the transaction's own is seen by nobody else before, whatever its sequences. Rows of phase 1 never move: views of the transaction stand on them.
 *
 *   txn.c        begin, changes, marks                  txn_end.c    prepare, commit, rollback
 *   txn_spill.c  phase 2                                 txn_fold.c   its pieces are kept few
 */
#ifndef LSM_STORE_TXN_H
#define LSM_STORE_TXN_H

#include "store.h"

enum {
    TXN_MARKS_KEPT = 8,
    TXN_BYTES_KEPT = 256 * 1024 /* the largest buffer that a spent transaction keeps */
};

/* A place that may be rolled back to. Places are pushed ascending; a place taken several times stands once. */
struct txn_mark {
    uint64_t position; /* L */
    uint64_t count;    /* marks taken and not released */
    size_t batch_size; /* of the batch, which in phase 2 still takes trees */
};

/* Table files of the operations [low, high). */
struct txn_piece {
    struct lsm_gen *files; /* one run */
    uint64_t low, high;
    uint64_t weight; /* pieces that it was made of, as they were written from memory */
};

/* A state to read from, and its pin. */
struct txn_source {
    struct lsm_state *state;
    struct lsm_share_pin pin;
};

struct lsm_txn {
    struct lsm_store *store;
    struct lsm_gen *gen;         /* the active one: the writer alone could replace it */
    const struct lsm_gen *older; /* for key shape hints; alive in phase 1 */
    struct lsm_share_pin pin;    /* of the version in state */
    struct lsm_state *state;     /* what it reads from: the store's when it began; in phase 2 its own pieces on top of the store's */
    uint64_t base;
    struct lsm_buf batch;
    struct lsm_buf scratch; /* a full key */
    uint32_t selected;      /* tree of the last operation in the batch, or in phase 2 in undo; 0: none, say it again */

    /* Phase 2. */
    struct lsm_gen *own;      /* NULL: phase 1 */
    struct lsm_buf undo;      /* its operations without their values */
    uint64_t own_low;         /* L where it begins */
    uint64_t phase2_low;      /* S */
    struct txn_piece *pieces; /* oldest first */
    size_t pieces_count, pieces_capacity;
    struct lsm_asker asker;  /* about merging them */
    size_t pieces_tolerated; /* so many are not too many, because merging them has failed; 0: it has not */
    size_t unmeasured;       /* bytes written since own's size was last looked at */
    bool keep_files;         /* a record that names the pieces may be in the log though it should not: they stay for the next open */

    struct txn_mark *marks; /* one more always fits: taking a mark cannot fail */
    size_t marks_count, marks_capacity;

    /* Of the last prepare. */
    bool prepared;
    uint64_t prepared_position;   /* L that the record holds */
    struct lsm_wal_record record; /* end 0: there was nothing to write */
    enum lsm_sync sync;
    enum lsm_decider decider;
    uint8_t token[LSM_TOKEN_BYTES];
    struct lsm_seal seal; /* of a RUNS record that decides itself */
    bool seals;           /* the record is RUNS */

    uint64_t puts, deletes, range_deletes;
    bool has_trees;
    size_t trees_made; /* rolled back ones included: room is kept for so many */

    struct txn_mark few_marks[TXN_MARKS_KEPT]; /* the first of marks; last, because it need not be cleared */
};

/* ---- txn.c ---- */
/* Keep the memory of a transaction for the next. Needs: the writer. */
void lsm_txn_recycle(struct lsm_txn *txn);

/* L. */
static inline uint64_t txn_position(const struct lsm_txn *txn) { return txn->own == NULL ? txn->batch.size : txn->own_low + txn->undo.size; }

/* Has it done more than delete? Rows that were added and rolled back count, too. */
static inline bool lsm_txn_adds_rows(const struct lsm_txn *txn) { return txn->puts != 0; }

/* ---- txn_end.c ---- */
/* Before anything but commit follows a prepare: an ABORT. */
int lsm_txn_unprepare(struct lsm_txn *txn, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- txn_spill.c ---- */
/* Would the batch outgrow its share with so many bytes more? */
bool lsm_txn_is_large(const struct lsm_txn *txn, size_t more);
/* Go over to phase 2. On error nothing has changed. */
int lsm_txn_enter_phase2(struct lsm_txn *txn, struct lsm_error *err) LSM_MUST_CHECK;
/* Spill if own has reached its share, and merge pieces if they are too many. Before an operation. On error no row has changed. */
int lsm_txn_spill_if_full(struct lsm_txn *txn, size_t more, struct lsm_error *err) LSM_MUST_CHECK;
/* Spill what there is. */
int lsm_txn_spill(struct lsm_txn *txn, struct lsm_error *err) LSM_MUST_CHECK;
/* Roll back to a position in or before phase 2, whose batch had this size. LSM_NOMEM: nothing has changed. */
int lsm_txn_undo_phase2(struct lsm_txn *txn, const struct txn_mark *mark, struct lsm_error *err) LSM_MUST_CHECK;
/* Let go of everything of phase 2. abandon: the files go too. */
void lsm_txn_release_phase2(struct lsm_txn *txn, bool abandon);
/* What the transaction reads from: its generation, these pieces, and what is the store's now. */
int lsm_txn_compose(const struct lsm_txn *txn, struct lsm_gen *own, const struct txn_piece *pieces, size_t count, struct txn_source *out,
                    struct lsm_error *err) LSM_MUST_CHECK;
/* From now on; the source is handed over. */
void lsm_txn_set_source(struct lsm_txn *txn, const struct txn_source *source);

/* ---- txn_fold.c ---- */
/* Join pieces and merge them until there are few. Without space or memory for it they stay many. On error (LSM_INTERRUPTED, too) some may be merged, all
 * say the same. Not within a commit, which is not to be interrupted. */
int lsm_txn_fold(struct lsm_txn *txn, struct lsm_error *err) LSM_MUST_CHECK;
/* The pieces as the runs of a record, neighbours that do not overlap joined to one. */
int lsm_txn_collect_runs(const struct lsm_txn *txn, struct lsm_edit *edit) LSM_MUST_CHECK;

#endif
