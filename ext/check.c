#include "check.h"

#include <stdio.h>

#include "home.h"
#include "shadow.h"

bool vt_interrupted(void *arg) {
#if SQLITE_VERSION_NUMBER >= 3041000
    struct vt_connection *connection = arg;
    return vt_sqlite_at_least(3041000) && sqlite3_is_interrupted(connection->db) != 0;
#else
    (void)arg;
    return false;
#endif
}

/* The database and the store are of one history. */
static int check_history(struct vt_space *space, lsm_check_fn found, void *arg, char **message) {
    enum vt_verdict verdict = VT_FITS;
    int rc = space->txn.state == VT_TXN_IDLE ? vt_decide_compare(space, &verdict, message) : SQLITE_OK;
    if (rc == SQLITE_OK && verdict == VT_AHEAD) found(arg, "history: the database is older than the store of its LSM tables; see lsm_accept()");
    if (rc == SQLITE_OK && verdict == VT_BEHIND) found(arg, "history: the store of the LSM tables is older than its database; see lsm_accept()");
    return rc;
}

/* Every tree a shadow table names is there. */
static int check_trees(struct vt_space *space, lsm_check_fn found, void *arg, char **message) {
    struct vt_shadow_list list;
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    for (int i = 0; i < list.count && rc == SQLITE_OK; i++) {
        struct lsm_tree_info tree = list.entries[i].shadow.tree;
        int status = vt_txn_made_tree(space, tree) ? LSM_OK : lsm_store_tree_check(space->store, tree);
        if (status == LSM_OK) continue;
        char text[160];
        (void)snprintf(text, sizeof text, "schema: a table's rows, tree %u, are not in the store: it does not belong to this state of the database",
                       (unsigned)tree.tree);
        found(arg, text);
    }
    if (rc == SQLITE_OK && list.damaged) found(arg, "schema: a shadow table (its name ends in _" VT_SHADOW_SUFFIX ") is damaged or of a newer release");
    vt_shadow_list_release(&list);
    return rc;
}

/* Every row of every table can be read: by reading them. */
static int check_rows_of(struct vt_space *space, const char *table, lsm_check_fn found, void *arg) {
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\".\"%w\"", space->schema, table);
    if (sql == NULL) return SQLITE_NOMEM;
    sqlite3 *db = space->connection->db;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE && rc != SQLITE_INTERRUPT && rc != SQLITE_NOMEM) {
        char text[512];
        (void)snprintf(text, sizeof text, "table %s: %s", table, sqlite3_errmsg(db));
        found(arg, text);
        rc = SQLITE_DONE;
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int check_rows(struct vt_space *space, lsm_check_fn found, void *arg, char **message) {
    char *sql = sqlite3_mprintf("SELECT name FROM \"%w\".sqlite_schema AS v WHERE type = 'table' AND rootpage = 0 AND EXISTS"
                                " (SELECT 1 FROM \"%w\".sqlite_schema AS s WHERE s.type = 'table' AND s.name = v.name || '_" VT_SHADOW_SUFFIX
                                "' COLLATE nocase) AND sql LIKE '%%using%%lsm%%'",
                                space->schema, space->schema);
    if (sql == NULL) return SQLITE_NOMEM;
    sqlite3 *db = space->connection->db;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    while (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW) break;
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        rc = name == NULL ? SQLITE_NOMEM : check_rows_of(space, name, found, arg);
    }
    if (rc != SQLITE_DONE && rc != SQLITE_OK) rc = vt_fail_sqlite(message, rc, db);
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int vt_check_schema(struct vt_connection *connection, const char *schema, lsm_check_fn found, void *arg, char **message) {
    struct vt_space *space = vt_space_find(connection, schema);
    if (space == NULL) return SQLITE_NOMEM;
    int rc = vt_home_open(space, VT_OPEN_EXISTING, message);
    if (rc != SQLITE_OK || space->store == NULL) return rc;
    rc = check_history(space, found, arg, message);
    if (rc == SQLITE_OK) rc = check_trees(space, found, arg, message);
    if (rc != SQLITE_OK) return rc;
    struct lsm_error err;
    vt_error_clear(&err);
    uint64_t problems = 0;
    int status = lsm_store_check(space->store, found, arg, vt_interrupted, connection, &problems, &err);
    if (status != LSM_OK) return vt_fail_engine(message, status, &err);
    return check_rows(space, found, arg, message);
}
