#include "hook.h"

#include <assert.h>
#include <string.h>

struct hook {
    sqlite3_vtab base;
    struct vt_connection *connection;
};

static struct vt_space *hook_space(sqlite3_vtab *vtab) {
    struct vt_space *space = ((struct hook *)vtab)->connection->spaces;
    while (space != NULL && !vt_hook_serves(space)) space = space->next; /* LCOV_EXCL_BR_LINE: main's is there: vt_hook_join() */
    return space;
}

bool vt_hook_serves(const struct vt_space *space) { return sqlite3_stricmp(space->schema, "main") == 0; }

static int run(struct vt_connection *connection, const char *sql, char **text) {
    connection->hook_allowed = true;
    int rc = sqlite3_exec(connection->db, sql, NULL, NULL, text);
    connection->hook_allowed = false;
    return rc;
}

int vt_hook_join(struct vt_space *space, char **message) {
    struct vt_connection *connection = space->connection;
    if (connection->hook_joined) return SQLITE_OK;
    char *text = NULL;
    int rc = run(connection, "DELETE FROM \"" VT_HOOK_NAME "\" WHERE 0", &text);
    /* A real table of that name would have been written instead of ours. */
    if (rc == SQLITE_OK && !connection->hook_joined) rc = SQLITE_ERROR;
    if (rc != SQLITE_OK && message != NULL) (void)vt_fail(message, rc, "%s", text != NULL ? text : sqlite3_errstr(rc));
    sqlite3_free(text);
    return rc;
}

static int make(sqlite3 *db, struct vt_connection *connection, sqlite3_vtab **vtab, char **message) {
    int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(unused)");
    if (rc != SQLITE_OK) return vt_fail_sqlite(message, rc, db);
    struct hook *hook = sqlite3_malloc64(sizeof *hook);
    if (hook == NULL) return SQLITE_NOMEM;
    memset(hook, 0, sizeof *hook);
    hook->connection = connection;
    *vtab = &hook->base;
    return SQLITE_OK;
}

static int hook_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    (void)argc;
    (void)argv;
    struct vt_connection *connection = aux;
    if (!connection->hook_allowed) return vt_fail(message, SQLITE_ERROR, VT_HOOK_NAME " is internal to the lsm extension");
    return make(db, connection, vtab, message);
}

static int hook_disconnect(sqlite3_vtab *vtab) {
    struct vt_space *space = hook_space(vtab);
    if (space != NULL && space->txn.leader == vtab) space->txn.leader = NULL; /* LCOV_EXCL_BR_LINE: main's is there: vt_hook_join() */
    sqlite3_free(vtab);
    return SQLITE_OK;
}

static int hook_begin(sqlite3_vtab *vtab) {
    struct vt_connection *connection = ((struct hook *)vtab)->connection;
    struct vt_space *space = hook_space(vtab);
    if (!connection->hook_allowed || space == NULL) return vt_fail(&vtab->zErrMsg, SQLITE_READONLY, VT_HOOK_NAME " is internal to the lsm extension");
    int rc = vt_txn_begin(space, &vtab->zErrMsg);
    if (rc != SQLITE_OK) return rc;
    connection->hook_joined = true;
    space->txn.joined++;
    return SQLITE_OK;
}

/* SQLite calls the rest only after hook_begin() has found the space, which lives as long as the connection. */
static struct vt_space *joined_space(sqlite3_vtab *vtab) {
    struct vt_space *space = hook_space(vtab);
    assert(space != NULL);
    return space;
}

static int hook_sync(sqlite3_vtab *vtab) { return vt_txn_prepare(joined_space(vtab), vtab, NULL, &vtab->zErrMsg); }

static int hook_commit(sqlite3_vtab *vtab) {
    vt_txn_commit(joined_space(vtab));
    return SQLITE_OK;
}

static int hook_rollback(sqlite3_vtab *vtab) {
    vt_txn_rollback(joined_space(vtab));
    return SQLITE_OK;
}

static int hook_savepoint(sqlite3_vtab *vtab, int number) { return vt_txn_savepoint(joined_space(vtab), number, &vtab->zErrMsg); }

static int hook_release(sqlite3_vtab *vtab, int number) {
    vt_txn_release(joined_space(vtab), number);
    return SQLITE_OK;
}

static int hook_rollback_to(sqlite3_vtab *vtab, int number) { return vt_txn_rollback_to(joined_space(vtab), number, &vtab->zErrMsg); }

/* ---- the end of transactions that read ------------------------------------------------------------------------ */

/* Prepared once: each transaction that reads runs it. */
static int write_watch(struct vt_connection *connection) {
    static const char sql[] = "DELETE FROM temp.\"" VT_WATCH_NAME "\" WHERE 0";
    connection->hook_allowed = connection->watch_runs = true;
    int rc = connection->watch != NULL ? SQLITE_OK : sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &connection->watch, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_step(connection->watch); /* what came of it the reset says */
        rc = sqlite3_reset(connection->watch);
    }
    connection->hook_allowed = connection->watch_runs = false;
    /* What it was made for may be gone, or the last LSM table meanwhile. */
    if (rc != SQLITE_OK || connection->watch_unwanted) vt_watch_release(connection);
    return rc;
}

void vt_watch_release(struct vt_connection *connection) {
    connection->watch_unwanted = connection->watch_runs; /* write_watch() sees to it */
    if (connection->watch_unwanted) return;
    sqlite3_stmt *watch = connection->watch;
    connection->watch = NULL;
    sqlite3_finalize(watch);
}

/* Whatever is made in temp has every statement that runs stopped when it next opens a table (SQLITE_ABORT_ROLLBACK), the one that reads at this moment included. A
 * new index lets them run to their end before they are prepared anew: so one is made last. */
static int make_watch(struct vt_connection *connection) {
    int rc = run(connection, "CREATE VIRTUAL TABLE temp.\"" VT_WATCH_NAME "\" USING " VT_WATCH_NAME, NULL);
    char *sql = rc != SQLITE_OK ? NULL
                                : sqlite3_mprintf("CREATE TABLE IF NOT EXISTS temp.\"" VT_WATCH_NAME "index\"(x);"
                                                  "CREATE INDEX temp.\"" VT_WATCH_NAME "index_%u\" ON \"" VT_WATCH_NAME "index\"(x)",
                                                  ++connection->watches_made);
    if (sql != NULL) (void)run(connection, sql, NULL);
    sqlite3_free(sql);
    return rc;
}

int vt_watch_join(struct vt_connection *connection) {
    if (connection->watching) return SQLITE_OK;
    /* Asked for, not tried: a statement that names no table has SQLite look whether a schema of the connection is out of date, and then read all of them anew, that of
     * temp included, where a CREATE TABLE temp.x AS SELECT that runs at this moment has half a row. */
    bool there = connection->watch != NULL ||
                 sqlite3_table_column_metadata(connection->db, "temp", VT_WATCH_NAME, NULL, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
    int rc = there ? write_watch(connection) : SQLITE_ERROR;
    /* A check can do without. PRAGMA integrity_check, which goes on to temp afterwards, would take the pages of what is made there for lost ones. */
    if (rc == SQLITE_ERROR && !connection->checking) rc = make_watch(connection);
    return rc == SQLITE_OK && !connection->watching ? SQLITE_ERROR : rc;
}

/* Without the permission the hook asks for: PRAGMA integrity_check and the like connect every table there is. */
static int watch_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    (void)argc;
    (void)argv;
    return make(db, aux, vtab, message);
}

static int watch_create(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    struct vt_connection *connection = aux;
    int rc = hook_connect(db, aux, argc, argv, vtab, message);
    /* SQLite calls a new table to the end of the transaction without telling it of the beginning. */
    if (rc == SQLITE_OK) connection->watching = true;
    return rc;
}

static int watch_begin(sqlite3_vtab *vtab) {
    struct vt_connection *connection = ((struct hook *)vtab)->connection;
    if (!connection->hook_allowed) return vt_fail(&vtab->zErrMsg, SQLITE_READONLY, VT_WATCH_NAME " is internal to the lsm extension");
    connection->watching = true;
    return SQLITE_OK;
}

/* What was read of a space is out of date, and the same transaction writes ordinary tables of the database: SQLite itself would not have let it begin to. */
static int watch_sync(sqlite3_vtab *vtab) {
    int rc = SQLITE_OK;
    for (struct vt_space *space = ((struct hook *)vtab)->connection->spaces; space != NULL && rc == SQLITE_OK; space = space->next) {
        rc = vt_view_check(space, &vtab->zErrMsg);
    }
    return rc;
}

static int watch_end(sqlite3_vtab *vtab) {
    struct vt_connection *connection = ((struct hook *)vtab)->connection;
    connection->watching = false;
    for (struct vt_space *space = connection->spaces; space != NULL; space = space->next) vt_view_let_go(space);
    return SQLITE_OK;
}

/* The table may be taken away before the transaction ends, by ROLLBACK TO for one. Then the next read joins anew. */
static int watch_disconnect(sqlite3_vtab *vtab) {
    ((struct hook *)vtab)->connection->watching = false;
    sqlite3_free(vtab);
    return SQLITE_OK;
}

/* ---- the rest of a table that has no rows --------------------------------------------------------------------- */

static int hook_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    (void)info;
    return SQLITE_OK;
}

static int hook_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor) {
    (void)vtab;
    *cursor = sqlite3_malloc64(sizeof **cursor);
    if (*cursor == NULL) return SQLITE_NOMEM;
    memset(*cursor, 0, sizeof **cursor);
    return SQLITE_OK;
}

static int hook_close(sqlite3_vtab_cursor *cursor) {
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int hook_filter(sqlite3_vtab_cursor *cursor, int plan, const char *text, int argc, sqlite3_value **argv) {
    (void)cursor;
    (void)plan;
    (void)text;
    (void)argc;
    (void)argv;
    return SQLITE_OK;
}

static int hook_next(sqlite3_vtab_cursor *cursor) {
    (void)cursor;
    return SQLITE_OK;
}

static int hook_eof(sqlite3_vtab_cursor *cursor) {
    (void)cursor;
    return 1;
}

static int hook_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column) {
    (void)cursor;
    (void)context;
    (void)column;
    return SQLITE_OK;
}

static int hook_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid) {
    (void)cursor;
    *rowid = 0;
    return SQLITE_OK;
}

static int hook_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
    (void)argc;
    (void)argv;
    (void)rowid;
    return vt_fail(&vtab->zErrMsg, SQLITE_READONLY, VT_HOOK_NAME " is internal to the lsm extension");
}

const sqlite3_module vt_hook_module = {
    .iVersion = 2,
    .xCreate = NULL, /* eponymous only */
    .xConnect = hook_connect,
    .xDisconnect = hook_disconnect,
    .xDestroy = hook_disconnect,
    .xBestIndex = hook_best_index,
    .xOpen = hook_open,
    .xClose = hook_close,
    .xFilter = hook_filter,
    .xNext = hook_next,
    .xEof = hook_eof,
    .xColumn = hook_column,
    .xRowid = hook_rowid,
    .xUpdate = hook_update,
    .xBegin = hook_begin,
    .xSync = hook_sync,
    .xCommit = hook_commit,
    .xRollback = hook_rollback,
    .xSavepoint = hook_savepoint,
    .xRelease = hook_release,
    .xRollbackTo = hook_rollback_to,
};

const sqlite3_module vt_watch_module = {
    .iVersion = 1,
    .xCreate = watch_create,
    .xConnect = watch_connect,
    .xDisconnect = watch_disconnect,
    .xDestroy = watch_disconnect,
    .xBestIndex = hook_best_index,
    .xOpen = hook_open,
    .xClose = hook_close,
    .xFilter = hook_filter,
    .xNext = hook_next,
    .xEof = hook_eof,
    .xColumn = hook_column,
    .xRowid = hook_rowid,
    .xUpdate = hook_update,
    .xBegin = watch_begin,
    .xSync = watch_sync,
    .xCommit = watch_end,
    .xRollback = watch_end,
};
