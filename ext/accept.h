/* accept.h: going on with a database and a store that are not of one history (decide.h): on purpose, and said so. */
#ifndef VT_ACCEPT_H
#define VT_ACCEPT_H

#include "error.h"

struct vt_connection;
struct vt_space;

enum vt_accept { VT_ACCEPT_NOTHING = 0, VT_ACCEPT_WANTED, VT_ACCEPT_DONE };

/* What lsm_accept(schema) does: a transaction of its own, which puts a fresh token into the store and into every shadow table of it. *report: what was
 * accepted, in words; sqlite3_free(). SQLITE_ERROR inside of BEGIN. */
int vt_accept(struct vt_connection *connection, const char *schema, char **report, char **message) LSM_MUST_CHECK;

/* For txn.c: at the beginning of that transaction, something for the log to hold. */
int vt_accept_begin(struct vt_space *space, char **message) LSM_MUST_CHECK;

#endif
