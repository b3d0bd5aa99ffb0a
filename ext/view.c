#include "view.h"

#include "connection.h"

static int view_open(struct vt_space *space, bool of_txn, struct vt_view **out, char **message) {
    struct vt_view *view = sqlite3_malloc64(sizeof *view);
    if (view == NULL) return SQLITE_NOMEM;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_view_open(space->store, of_txn ? space->txn.engine : NULL, &view->engine, &err);
    if (status != LSM_OK) {
        sqlite3_free(view);
        return vt_fail_engine(message, status, &err);
    }
    view->refs = 1;
    view->of_txn = of_txn;
    view->tick = of_txn ? ++space->txn.tick : 0;
    view->writes = space->txn.writes;
    space->views.open++;
    *out = view;
    return SQLITE_OK;
}

int vt_view_acquire(struct vt_space *space, struct vt_view **view, char **message) {
    struct vt_views *views = &space->views;
    bool of_txn = space->txn.state != VT_TXN_IDLE;
    if (of_txn && views->txn != NULL && views->txn->writes != space->txn.writes) vt_view_forget_txn(space, 0);
    struct vt_view **kept = of_txn ? &views->txn : &views->committed;
    if (*kept == NULL) {
        int rc = view_open(space, of_txn, kept, message);
        if (rc != SQLITE_OK) {
            *kept = NULL;
            return rc;
        }
        if (of_txn) (*kept)->refs++;
    } else {
        (*kept)->refs++;
    }
    *view = *kept;
    return SQLITE_OK;
}

void vt_view_ref(struct vt_view *view) { view->refs++; }

void vt_view_unref(struct vt_space *space, struct vt_view *view) {
    if (view == NULL || --view->refs > 0) return;
    if (space->views.committed == view) space->views.committed = NULL;
    lsm_view_close(view->engine);
    space->views.open--;
    sqlite3_free(view);
}

uint64_t vt_view_position(const struct vt_space *space) {
    return space->views.committed == NULL ? UINT64_MAX : lsm_view_position(space->views.committed->engine);
}

void vt_view_forget(struct vt_space *space) {
    space->views.committed = NULL; /* its cursors hold it */
    vt_view_forget_txn(space, 0);
}

void vt_view_forget_txn(struct vt_space *space, uint64_t tick) {
    struct vt_view *view = space->views.txn;
    if (view == NULL || view->tick <= tick) return;
    space->views.txn = NULL;
    vt_view_unref(space, view);
}
