/* hook.h: a virtual table nobody sees, through which CREATE and DROP learn how their transaction ends.
 *
 * SQLite calls neither xCommit nor xRollback for a table that was dropped, and does not tell a table made inside a savepoint about ROLLBACK
 * TO. So xCreate and xDestroy first run a statement of their own that writes, in form only, the eponymous table "lsm_hook_": it joins
 * the transaction and is called to its end. It lives in main and takes main's write lock, so it serves the schema main only.
 */
#ifndef VT_HOOK_H
#define VT_HOOK_H

#include "connection.h"

#define VT_HOOK_NAME "lsm_hook_"

extern const sqlite3_module vt_hook_module; /* its pAux: struct vt_connection * */

/* Join the transaction that the calling method runs in; begins the engine transaction of `space`, which must be main's, if it is idle. SQLITE_OK if
 * it has joined already. On failure nothing has happened and the method may go on without. */
int vt_hook_join(struct vt_space *space, char **message) LSM_MUST_CHECK;

/* True if the hook can serve this schema. */
bool vt_hook_serves(const struct vt_space *space);

#endif
