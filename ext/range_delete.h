/* range_delete.h: lsm_truncate() and lsm_delete_range(): many rows deleted at the cost of one write.
 *
 * Part of the transaction they stand in, or one of their own. They count no rows: changes() does not tell of them.
 */
#ifndef VT_RANGE_DELETE_H
#define VT_RANGE_DELETE_H

#include "connection.h"

/* All rows, and the entries of all indexes. */
int vt_range_truncate(struct vt_connection *connection, const char *schema, const char *table, char **message) LSM_MUST_CHECK;

/* The rows whose first key column, or rowid, is >= low and < high, compared as in SQL; a NULL is no bound. Where there are indexes, row by row. */
int vt_range_delete(struct vt_connection *connection, const char *schema, const char *table, sqlite3_value *low, sqlite3_value *high,
                    char **message) LSM_MUST_CHECK;

#endif
