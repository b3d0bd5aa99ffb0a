/* tail.h: what may lie behind the end of SQLite's WAL.
 *
 * A commit in WAL mode writes its frames, syncs them, and then tells the WAL-index of them. If its process dies in between, or the sync fails and COMMIT with
 * it, no process that is alive sees the commit, and none ever will; but when all have gone, whoever comes first reads the WAL from its beginning, and finds it
 * whole. To write something else in its place is not enough: if that is rolled back, and the same transaction is tried again and dies after some frames, these
 * are what the first ones were, and make the old ones behind them valid again. So "the database does not have it" is true for good only when the frame that
 * ends it is gone from the file.
 */
#ifndef VT_TAIL_H
#define VT_TAIL_H

#include "error.h"

struct vt_space;

/* Cut it off, durably unless synchronous is OFF; nothing is changed in the database. In its write transaction; does nothing in other journal modes. Where the
 * database is locked exclusively, that takes a shadow table of the store. */
int vt_tail_cut(struct vt_space *space, char **message) LSM_MUST_CHECK;

#endif
