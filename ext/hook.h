/* hook.h: two virtual tables nobody sees, through which we learn how transactions end.
 *
 * SQLite calls neither xCommit nor xRollback for a table that was dropped, and does not tell a table made inside a savepoint about ROLLBACK
 * TO. So xCreate and xDestroy first run a statement of their own that writes, in form only, the eponymous table "lsm_hook_": it joins
 * the transaction and is called to its end. It lives in main and takes main's write lock, so it serves the schema main only.
 *
 * Nor is there any word of a transaction that only reads. So the first read of an LSM table inside of BEGIN writes, in form only, the table temp.lsm_watch_,
 * which is made for it: no lock but that of the connection's own temporary database, and that has no page written once it is made. What shows of it: its name,
 * and that of an empty table with an index, among the temporary tables, changes() is 0 after that statement, and a commit hook is called for the COMMIT.
 */
#ifndef VT_HOOK_H
#define VT_HOOK_H

#include "connection.h"

#define VT_HOOK_NAME "lsm_hook_"

extern const sqlite3_module vt_hook_module; /* its pAux: struct vt_connection * */

/* Join the transaction that the calling method runs in; begins the engine transaction of `space`, which must be main's, if it is idle. SQLITE_OK if
 * it has joined already. On failure nothing has happened and the method may go on without. */
int vt_hook_join(struct vt_space *space, char **message) LSM_MUST_CHECK;

#define VT_WATCH_NAME "lsm_watch_"

extern const sqlite3_module vt_watch_module; /* likewise */

/* Be told of the end of the transaction of BEGIN that the connection is in: vt_connection.watching until then, and then vt_view_let_go() on every space. Fails
 * where nothing may be written: PRAGMA query_only, an authorizer. */
int vt_watch_join(struct vt_connection *connection) LSM_MUST_CHECK;
/* Let go of the prepared statement for it. Whenever an LSM table of the connection is disconnected: a statement that is left keeps a connection from being closed. */
void vt_watch_release(struct vt_connection *connection);

/* True if the hook can serve this schema. */
bool vt_hook_serves(const struct vt_space *space);

#endif
