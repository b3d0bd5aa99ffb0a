#include "errand.h"

#include "connection.h"
#include "sql.h"

#define SAVEPOINT "\"lsm_errand\""

void vt_errand_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    struct vt_connection *connection = sqlite3_user_data(context);
    struct vt_errand *errand = connection->errand;
    if (errand == NULL || errand->begun) {
        sqlite3_result_error(context, VT_ERRAND_FUNCTION "() is internal to the lsm extension", -1);
        return;
    }
    errand->begun = true;
    char *message = NULL;
    errand->rc = errand->work(errand->arg, &message);
    /* A code without a message brings SQLite's words with it, but only where no result was set. */
    if (errand->rc == SQLITE_OK) sqlite3_result_int(context, 0);
    if (message != NULL) sqlite3_result_error(context, message, -1);
    if (errand->rc != SQLITE_OK) sqlite3_result_error_code(context, errand->rc);
    sqlite3_free(message);
}

/* Takes sql. */
static int prepare(sqlite3 *db, char **message, char *sql, sqlite3_stmt **statement) {
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_prepare_v2(db, sql, -1, statement, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK || rc == SQLITE_NOMEM ? rc : vt_fail_sqlite(message, rc, db);
}

static int step(struct vt_connection *connection, struct vt_errand *errand, sqlite3_stmt *statement, char **message) {
    connection->errand = errand;
    int rc = sqlite3_step(statement);
    connection->errand = NULL;
    if (rc != SQLITE_DONE) return vt_fail_sqlite(message, errand->rc != SQLITE_OK ? errand->rc : rc, connection->db);
    return errand->begun ? SQLITE_OK : vt_fail(message, SQLITE_ERROR, "SQLite did not begin with the work");
}

/* What preparing reads of the table, it reads before the transaction begins: one that has read already is not let wait for the lock. */
int vt_errand_run(struct vt_connection *connection, const char *schema, const char *table, struct vt_errand *errand, char **message) {
    sqlite3 *db = connection->db;
    sqlite3_stmt *statement = NULL;
    bool alone = sqlite3_get_autocommit(db) != 0;
    int rc = prepare(db, message, sqlite3_mprintf("DELETE FROM \"%w\".\"%w\" WHERE " VT_ERRAND_FUNCTION "()", schema, table), &statement);
    if (rc == SQLITE_OK) rc = vt_sql_run(db, message, sqlite3_mprintf("SAVEPOINT " SAVEPOINT));
    if (rc != SQLITE_OK) {
        sqlite3_finalize(statement);
        return rc;
    }
    rc = step(connection, errand, statement, message);
    sqlite3_finalize(statement);
    if (rc == SQLITE_OK) rc = vt_sql_run(db, message, sqlite3_mprintf("RELEASE " SAVEPOINT));
    /* After an error that took the whole transaction there is no savepoint to go back to. To release the outermost one is to commit, which may be what has failed. */
    if (rc != SQLITE_OK && sqlite3_get_autocommit(db) == 0) {
        (void)sqlite3_exec(db, alone ? "ROLLBACK" : "ROLLBACK TO " SAVEPOINT "; RELEASE " SAVEPOINT, NULL, NULL, NULL);
    }
    return rc;
}
