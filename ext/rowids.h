/* rowids.h: the numbers of a rowid table's rows: finding new ones, and what AUTOINCREMENT must remember.
 *
 * A new row gets one more than the greatest present number. With AUTOINCREMENT, one more than the greatest that was ever inserted, the `mark`, and the rows
 * themselves say it as long as they are there: so it is only written, into a tree of its own, when the row with the greatest number goes
 * (or is refused under OR IGNORE, which uses its number up). An UPDATE that gives a row a greater number does not count; from the first one
 * on, the rows say nothing any more and each insert writes the mark (`exact`).
 */
#ifndef VT_ROWIDS_H
#define VT_ROWIDS_H

#include "error.h"

struct vt_table;

/* Kept by the table. All of it holds in one transaction, until part of that is undone. */
struct vt_rowids {
    uint64_t max_epoch, max_rollbacks;
    int64_t max; /* the greatest rowid */
    bool any;    /* there are rows */
    uint64_t mark_epoch, mark_rollbacks;
    int64_t mark; /* as it is written; 0 if it is not */
    bool exact;
};

/* A number for a new row. SQLITE_FULL if there is none left. */
int vt_rowids_next(struct vt_table *table, int64_t *rowid) LSM_MUST_CHECK;

/* Before a row with this number is inserted, is removed, is given another number. */
int vt_rowids_insert(struct vt_table *table, int64_t rowid) LSM_MUST_CHECK;
int vt_rowids_remove(struct vt_table *table, int64_t rowid) LSM_MUST_CHECK;
int vt_rowids_move(struct vt_table *table, int64_t from, int64_t to) LSM_MUST_CHECK;
/* A new row was refused, and the statement goes on with the next one. */
int vt_rowids_skip(struct vt_table *table, int64_t rowid) LSM_MUST_CHECK;

/* The mark as it stands in its tree: its key, and its value read. False: these bytes are no mark. */
struct lsm_slice vt_rowids_mark_key(void);
bool vt_rowids_mark_read(struct lsm_slice bytes, int64_t *mark, bool *exact) LSM_MUST_CHECK;

/* After a row was written, or removed. */
void vt_rowids_written(struct vt_table *table, int64_t rowid);
void vt_rowids_removed(struct vt_table *table, int64_t rowid);

#endif
