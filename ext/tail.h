/* tail.h: what may lie behind the end of SQLite's WAL.
 *
 * A commit in WAL mode writes its frames, syncs them, and then tells the WAL-index of them. If its process dies in between, or the sync fails and COMMIT with
 * it, no process that is alive sees the commit, and none ever will; but when all have gone, whoever comes first reads the WAL from its beginning, and finds it
 * whole. So "the database does not have it" is true for good only when something else stands in that place.
 */
#ifndef VT_TAIL_H
#define VT_TAIL_H

#include "error.h"

struct vt_space;

/* Write over it, durably unless synchronous is OFF; nothing is changed in the database. In its write transaction; does nothing in other journal modes. */
int vt_tail_overwrite(struct vt_space *space, char **message) LSM_MUST_CHECK;

#endif
