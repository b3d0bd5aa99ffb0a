#include "view.h"

#include "connection.h"
#include "hook.h"

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
    view->id = view->opened = ++space->views.last_id;
    view->of_txn = of_txn;
    view->tick = of_txn ? ++space->txn.tick : 0;
    view->writes = space->txn.writes;
    space->views.open++;
    *out = view;
    return SQLITE_OK;
}

/* As good as another one: what was found out about its rows does not count any more. */
static bool renew(struct vt_space *space, struct vt_view *view) {
    if (view->refs != 1 || !lsm_view_renew(view->engine, space->txn.engine)) return false;
    view->id = ++space->views.last_id;
    view->tick = ++space->txn.tick;
    view->writes = space->txn.writes;
    return true;
}

static int view_of_txn(struct vt_space *space, struct vt_view **view, char **message) {
    struct vt_views *views = &space->views;
    if (views->txn != NULL && views->txn->writes != space->txn.writes && !renew(space, views->txn)) vt_view_forget_txn(space, 0);
    if (views->txn == NULL) {
        int rc = view_open(space, true, &views->txn, message);
        if (rc != SQLITE_OK) {
            views->txn = NULL;
            return rc;
        }
    }
    views->txn->refs++;
    *view = views->txn;
    return SQLITE_OK;
}

static int writer_turn(struct vt_space *space, void *unused, int timeout_ms, struct lsm_error *err) {
    (void)unused;
    return lsm_store_await_writer(space->store, timeout_ms, err);
}

/* What the connection sees in the database it shall see in the store. Under the database's write lock that is everything: a predecessor that has let go of the lock
 * may still be about to publish, and is waited for. So nobody's write is refused who began with BEGIN IMMEDIATE. */
static int catch_up(struct vt_space *space, char **message) {
    if (space->place.memory) return SQLITE_OK;
    if (sqlite3_txn_state(space->connection->db, space->schema) == SQLITE_TXN_WRITE) {
        struct lsm_error err;
        vt_error_clear(&err);
        int status = vt_txn_await(space, writer_turn, NULL, &err);
        if (status != LSM_OK) return vt_fail_engine(message, status, &err);
    }
    return vt_decide_ask(space, message);
}

/* Keep this view to the end of the transaction, if there is a way to learn of it. */
static int keep(struct vt_space *space, struct vt_view *view) {
    int rc = vt_watch_join(space->connection);
    if (vt_error_undoes(rc)) return rc;
    if (rc != SQLITE_OK || space->views.kept != NULL) return SQLITE_OK;
    view->refs++;
    space->views.kept = view;
    return SQLITE_OK;
}

/* Where the end of the transaction was not told: what watches it can be dropped in its middle. */
static void end_untold(struct vt_space *space) {
    if (space->views.kept != NULL && sqlite3_get_autocommit(space->connection->db) != 0) vt_view_let_go(space);
}

struct vt_view *vt_view_shared(struct vt_space *space) {
    end_untold(space);
    if (space->views.committed != NULL) space->views.committed->refs++;
    return space->views.committed;
}

int vt_view_glance(struct vt_space *space, struct vt_view **view, char **message) {
    struct vt_views *views = &space->views;
    if (space->txn.state != VT_TXN_IDLE) return view_of_txn(space, view, message);
    if (views->committed == NULL) {
        int rc = view_open(space, false, &views->committed, message);
        if (rc != SQLITE_OK) views->committed = NULL;
        if (rc != SQLITE_OK) return rc;
    } else {
        views->committed->refs++;
    }
    *view = views->committed;
    return SQLITE_OK;
}

int vt_view_acquire(struct vt_space *space, struct vt_view **view, char **message) {
    if (space->txn.state != VT_TXN_IDLE) return view_of_txn(space, view, message);
    struct vt_connection *connection = space->connection;
    bool explicit_txn = sqlite3_get_autocommit(connection->db) == 0;
    end_untold(space);
    if (space->views.committed == NULL) {
        int rc = catch_up(space, message);
        if (rc != SQLITE_OK) return rc;
    }
    int rc = vt_view_glance(space, view, message);
    if (rc != SQLITE_OK || !explicit_txn || (space->views.kept != NULL && connection->watching)) return rc;
    rc = keep(space, *view);
    if (rc != SQLITE_OK) vt_view_unref(space, *view);
    return rc;
}

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

void vt_view_let_go(struct vt_space *space) {
    struct vt_view *view = space->views.kept;
    if (view == NULL) return;
    space->views.kept = NULL;
    vt_view_unref(space, view);
}

int vt_view_check(struct vt_space *space, char **message) {
    if (space->views.kept == NULL || space->place.memory || space->txn.state != VT_TXN_IDLE) return SQLITE_OK;
    if (sqlite3_txn_state(space->connection->db, space->schema) != SQLITE_TXN_WRITE) return SQLITE_OK;
    struct lsm_view *now = NULL;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_view_open(space->store, NULL, &now, &err);
    if (status != LSM_OK) return vt_fail_engine(message, status, &err);
    bool stale = lsm_view_position(now) > lsm_view_position(space->views.kept->engine);
    lsm_view_close(now);
    if (!stale) return SQLITE_OK;
    return vt_fail(message, SQLITE_BUSY_SNAPSHOT,
                   "LSM tables that this transaction has read were written by another connection: roll back and start again");
}

void vt_view_forget(struct vt_space *space) {
    vt_view_let_go(space);
    space->views.committed = NULL; /* its cursors hold it */
    vt_view_forget_txn(space, 0);
}

void vt_view_forget_txn(struct vt_space *space, uint64_t tick) {
    struct vt_view *view = space->views.txn;
    if (view == NULL || view->tick <= tick) return;
    space->views.txn = NULL;
    vt_view_unref(space, view);
}
