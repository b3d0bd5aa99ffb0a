#include "errand.h"

#include "connection.h"

#define SAVEPOINT "\"lsm_errand\""

static int run(sqlite3 *db, char **message, char *sql) {
    if (sql == NULL) return SQLITE_NOMEM;
    char *text = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &text);
    sqlite3_free(sql);
    if (rc != SQLITE_OK && rc != SQLITE_NOMEM && *message == NULL) (void)vt_fail(message, rc, "%s", text != NULL ? text : sqlite3_errstr(rc));
    sqlite3_free(text);
    return rc;
}

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
    sqlite3_result_int(context, 0);
    if (message != NULL) sqlite3_result_error(context, message, -1);
    if (errand->rc != SQLITE_OK) sqlite3_result_error_code(context, errand->rc);
    sqlite3_free(message);
}

int vt_errand_run(struct vt_connection *connection, const char *schema, const char *table, struct vt_errand *errand, char **message) {
    sqlite3 *db = connection->db;
    int rc = run(db, message, sqlite3_mprintf("SAVEPOINT " SAVEPOINT));
    if (rc != SQLITE_OK) return rc;
    connection->errand = errand;
    rc = run(db, message, sqlite3_mprintf("DELETE FROM \"%w\".\"%w\" WHERE " VT_ERRAND_FUNCTION "()", schema, table));
    connection->errand = NULL;
    if (rc != SQLITE_OK && errand->rc != SQLITE_OK) rc = errand->rc; /* the extended code */
    if (rc == SQLITE_OK && !errand->begun) rc = vt_fail(message, SQLITE_ERROR, "SQLite did not begin with the work");
    if (rc == SQLITE_OK) rc = run(db, message, sqlite3_mprintf("RELEASE " SAVEPOINT));
    /* After an error that took the whole transaction there is no savepoint to go back to. */
    if (rc != SQLITE_OK && sqlite3_get_autocommit(db) == 0) {
        (void)sqlite3_exec(db, "ROLLBACK TO " SAVEPOINT "; RELEASE " SAVEPOINT, NULL, NULL, NULL);
    }
    return rc;
}
