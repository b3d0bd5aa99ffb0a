/* entries.h: the entries of a table's indexes, kept as its rows come and go.
 *
 * All in the table's transaction. A function that fails may have done half of its work: the caller undoes it (vt_txn_undo()).
 */
#ifndef VT_ENTRIES_H
#define VT_ENTRIES_H

#include "error.h"
#include "value.h"

struct vt_table;

/* A row as far as indexes are concerned. */
struct vt_indexed_row {
    struct lsm_slice key;
    int64_t rowid;                 /* rowid tables */
    const struct vt_value *values; /* of the columns that are in indexes, at least */
};

/* Kept by the table for their memory. */
struct vt_entries {
    struct vt_value *values; /* of one row that was read */
    struct vt_bytes entry, old_entry;
};
void vt_entries_release(struct vt_entries *entries);

/* Decode the indexed columns of a stored row into values (column_count of them), which borrow from key and record. */
int vt_entries_read(struct vt_table *table, struct lsm_slice key, struct lsm_slice record, struct vt_value *values,
                    struct vt_indexed_row *row) LSM_MUST_CHECK;

/* Look for a row with the same columns in unique index i. old is the row before an update, or NULL: if its columns are the same nothing is looked for.
 * SQLITE_NOTFOUND, or SQLITE_OK and its key in *found, which is replaced. */
int vt_entries_conflict(struct vt_table *table, int i, const struct vt_indexed_row *row, const struct vt_indexed_row *old,
                        struct vt_bytes *found) LSM_MUST_CHECK;

/* Put the entries of a new row, in the place of those of the old one (NULL: there is none). */
int vt_entries_put(struct vt_table *table, const struct vt_indexed_row *row, const struct vt_indexed_row *old) LSM_MUST_CHECK;
/* Delete the entries of the stored row with this key. SQLITE_NOTFOUND: there is no such row. */
int vt_entries_delete(struct vt_table *table, struct lsm_slice key) LSM_MUST_CHECK;

#endif
