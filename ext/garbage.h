/* garbage.h: trees that no schema names any more.
 *
 * They come from a CREATE whose commit was lost, from a DROP in a schema the hook does not reach, from power cuts. They may be removed only
 * when it is certain that no shadow table names them: under the database file's write lock, and with no DROP or RENAME of the same transaction
 * that could still be rolled back to a savepoint, so only where the statement is a transaction of its own.
 */
#ifndef VT_GARBAGE_H
#define VT_GARBAGE_H

#include "error.h"

struct vt_space;

/* At the beginning of a write transaction, before its first change. Looks once per opening of the store, and when asked to.
 * What cannot be decided stays. */
int vt_garbage_collect(struct vt_space *space, char **message) LSM_MUST_CHECK;

#endif
