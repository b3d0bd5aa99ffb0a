/* view.h: the engine views of one space, counted.
 *
 * Outside of BEGIN all cursors of the connection share one view of what is committed, for as long as any of them is open: so one
 * statement sees one view over all tables. After an own commit newcomers get a new one. Between BEGIN and the end the first view is kept (hook.h): all
 * statements see it, and a write that would build on it when it is out of date is refused. In a transaction that has written LSM tables a cursor gets
 * what was written before it was started, and nothing later; the last such view is kept and reused until something is written.
 */
#ifndef VT_VIEW_H
#define VT_VIEW_H

#include "error.h"

struct vt_space;

struct vt_view {
    struct lsm_view *engine;
    int refs;
    bool of_txn;
    uint64_t id;           /* no other view of the space has it; never 0 */
    uint64_t opened;       /* the first id it had: renewed, it has other rows, but nobody else has made or dropped a table meanwhile */
    uint64_t tick, writes; /* of the transaction when it was opened */
};

struct vt_views {
    struct vt_view *committed; /* shared by newcomers; not counted here: gone when the last cursor lets go */
    struct vt_view *kept;      /* until the end of the transaction; counted here */
    struct vt_view *txn;       /* the last of the transaction; counted here */
    uint64_t last_id;
    int open; /* views that exist, these and others that cursors still hold */
};

/* The committed view that is in use, counted: vt_view_unref(). NULL: none. */
struct vt_view *vt_view_shared(struct vt_space *space);
/* The view a cursor starting now reads. Counted: vt_view_unref(). In a statement at work. */
int vt_view_acquire(struct vt_space *space, struct vt_view **view, char **message) LSM_MUST_CHECK;
/* The same for a look that binds nobody, as the planner's. */
int vt_view_glance(struct vt_space *space, struct vt_view **view, char **message) LSM_MUST_CHECK;
void vt_view_unref(struct vt_space *space, struct vt_view *view); /* NULL is allowed */

/* Position of the committed view that is in use, or UINT64_MAX. */
uint64_t vt_view_position(const struct vt_space *space);

/* Newcomers get new views from now on. */
void vt_view_forget(struct vt_space *space);
/* The same for the transaction's view, if it was opened after tick. */
void vt_view_forget_txn(struct vt_space *space, uint64_t tick);

/* The transaction of BEGIN has ended: nothing is kept for it any more. */
void vt_view_let_go(struct vt_space *space);
/* At its COMMIT: SQLITE_BUSY_SNAPSHOT if it has written ordinary tables of the database, and others have since written LSM tables it has read. */
int vt_view_check(struct vt_space *space, char **message) LSM_MUST_CHECK;

#endif
