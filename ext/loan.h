/* loan.h: bytes that SQLite may have without a copy of its own, for the columns that nearly every statement by key asks for once: the key itself.
 *
 * SQLite frees what it copies at the end of each statement, and allocates it again for the next. Here it gets the same place each time, and gives it back by
 * a destructor: at the end of the statement, perhaps after the cursor and the table are gone. Threads: the connection's.
 */
#ifndef VT_LOAN_H
#define VT_LOAN_H

#include "value.h"

struct vt_loan; /* one place; NULL: none yet */

/* Hand text or a blob to SQLite: lent if it is short and *loan is not out, else as a copy. */
void vt_loan_result(struct vt_loan **loan, bool text, struct lsm_slice bytes, sqlite3_context *context);

/* Whoever has it may go on reading it. */
void vt_loan_release(struct vt_loan *loan);

#endif
