/* lookup_file.h: where the rows of a lookup go that are too many for memory: a table of a private temporary database.
 *
 * SQLite keeps such a database in a file without a name, with a small cache, and removes it with the connection.
 */
#ifndef VT_LOOKUP_FILE_H
#define VT_LOOKUP_FILE_H

#include "error.h"
#include "value.h"

struct vt_lookup_file;

int vt_lookup_file_open(struct vt_lookup_file **file, char **message) LSM_MUST_CHECK;
void vt_lookup_file_close(struct vt_lookup_file *file); /* NULL is allowed */

/* number: the row's place in the order; no two have the same. record.data NULL: it has none. */
int vt_lookup_file_add(struct vt_lookup_file *file, uint64_t hash, int64_t number, struct lsm_slice key, struct lsm_slice record,
                       char **message) LSM_MUST_CHECK;

/* Begin to read the rows with this hash. *statement is made if it is NULL, and the caller's to finalize. */
int vt_lookup_file_seek(struct vt_lookup_file *file, uint64_t hash, sqlite3_stmt **statement, char **message) LSM_MUST_CHECK;
/* The next one, whose bytes live until the next call; *on is false behind the last. */
int vt_lookup_file_next(struct vt_lookup_file *file, sqlite3_stmt *statement, bool *on, struct lsm_slice *key, struct lsm_slice *record,
                        char **message) LSM_MUST_CHECK;

#endif
