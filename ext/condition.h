/* condition.h: may a stored value meet `column op value`?
 *
 * SQLite does not tell a virtual table what the other side of a comparison was made from, and with that not how it will compare texts with numbers. So the answer is "no" only if
 * it is that whatever the other side's affinity is; SQLite checks the rows that remain.
 */
#ifndef VT_CONDITION_H
#define VT_CONDITION_H

#include "value.h"

/* Prepare the right-hand side of SQLITE_INDEX_CONSTRAINT_EQ, _IS, _LT, _LE, _GT, _GE for a column of this affinity; of _ISNULL and _ISNOTNULL it is not looked at.
 * *never: no value of the column meets it. SQLITE_OK or SQLITE_NOMEM; out borrows from `in`. */
int vt_condition_right(sqlite3_value *in, int op, enum vt_affinity affinity, struct vt_value *out, bool *never) LSM_MUST_CHECK;

/* False if no comparison under this collation makes it true. right: of vt_condition_right(), with the same affinity. */
bool vt_condition_may_hold(const struct vt_value *left, int op, const struct vt_value *right, enum vt_affinity affinity, enum vt_collation collation);

#endif
