/* view.h: the engine views of one space, counted.
 *
 * Outside a transaction all cursors of the connection share one view of what is committed, for as long as any of them is open: so one
 * statement sees one view over all tables. After an own commit newcomers get a new one. Inside a transaction a cursor gets what was
 * written before it was started, and nothing later; the last such view is kept and reused until something is written.
 */
#ifndef VT_VIEW_H
#define VT_VIEW_H

#include "error.h"

struct vt_space;

struct vt_view {
    struct lsm_view *engine;
    int refs;
    bool of_txn;
    uint64_t tick, writes; /* of the transaction when it was opened */
};

struct vt_views {
    struct vt_view *committed; /* shared by newcomers; not counted here: gone when the last cursor lets go */
    struct vt_view *txn;       /* the last of the transaction; counted here */
    int open;                  /* views that exist, these and others that cursors still hold */
};

/* The view a cursor starting now reads. Counted: vt_view_unref(). */
int vt_view_acquire(struct vt_space *space, struct vt_view **view, char **message) LSM_MUST_CHECK;
void vt_view_ref(struct vt_view *view);
void vt_view_unref(struct vt_space *space, struct vt_view *view); /* NULL is allowed */

/* Position of the committed view that is in use, or UINT64_MAX. */
uint64_t vt_view_position(const struct vt_space *space);

/* Newcomers get new views from now on. */
void vt_view_forget(struct vt_space *space);
/* The same for the transaction's view, if it was opened after tick. */
void vt_view_forget_txn(struct vt_space *space, uint64_t tick);

#endif
