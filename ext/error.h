/* error.h: engine statuses -> SQLite result codes, and messages on their way to zErrMsg.
 *
 * Everywhere in ext/ a failing function returns SQLite's (extended) code and puts the text, if there is more to say than the code does,
 * into `char **message`: sqlite3_malloc memory, the caller's. &vtab->zErrMsg and the pzErr of xCreate are such places. A NULL place is allowed.
 */
#ifndef VT_ERROR_H
#define VT_ERROR_H

#include "../lsm_core/lsm.h"
#include "sqlite_api.h"

/* The SQLite code for an engine status. LSM_NOTFOUND becomes SQLITE_CORRUPT_VTAB: callers who expect it deal with it before. */
int vt_error_code(int status);

/* Make err say nothing. Zeroing all of it would cost more than many a call it is made for. */
static inline void vt_error_clear(struct lsm_error *err) {
    err->code = LSM_OK;
    err->os_errno = 0;
    err->text[0] = '\0';
}

/* Put the text into *message (what was there is freed) and return rc. Out of memory for the text: rc without text. */
int vt_fail(char **message, int rc, const char *format, ...) LSM_PRINTF(3, 4);

/* The engine's status and its text. LSM_OK gives SQLITE_OK and leaves *message alone. */
int vt_fail_engine(char **message, int status, const struct lsm_error *err);

/* True for the errors after which SQLite has rolled back everything that the connection had open, even if the statement that failed was one of ours
 * inside another, which is not told. So they are never passed over in silence. */
bool vt_error_undoes(int rc);

/* What SQLite says about its last failed call on db. */
int vt_fail_sqlite(char **message, int rc, sqlite3 *db);

#endif
