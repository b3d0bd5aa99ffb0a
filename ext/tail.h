/* tail.h: what may lie behind the end of SQLite's WAL.
 *
 * A commit in WAL mode writes its frames, syncs them, and then tells the WAL-index of them. If its process dies in between, or the sync fails and COMMIT with
 * it, no process that is alive sees the commit, and none ever will; but when all have gone, whoever comes first reads the WAL from its beginning, and finds it
 * whole. So "the database does not have it" is true for good only when something else stands in that place.
 *
 * Two cases are not covered, since the frame that is written over it is not committed; whoever opens the database then is told that the store is older:
 * - who settles is rolled back, and then the dead transaction is repeated and dies after some frames: those equal the first ones byte for byte, which
 *   makes the old ones behind them valid again;
 * - the dead one made the first LSM table, and the CREATE that settles it is rolled back: there is no page yet to write.
 * What it takes is to cut the WAL's file behind the frame, before the ABORT.
 */
#ifndef VT_TAIL_H
#define VT_TAIL_H

#include "error.h"

struct vt_space;

/* Write over it, durably unless synchronous is OFF; nothing is changed in the database. In its write transaction; does nothing in other journal modes. */
int vt_tail_overwrite(struct vt_space *space, char **message) LSM_MUST_CHECK;

#endif
