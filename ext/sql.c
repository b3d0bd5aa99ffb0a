#include "sql.h"

int vt_sql_run(sqlite3 *db, char **message, char *sql) {
    if (sql == NULL) return SQLITE_NOMEM;
    char *text = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &text);
    sqlite3_free(sql);
    if (rc != SQLITE_OK && rc != SQLITE_NOMEM) (void)vt_fail(message, rc, "%s", text != NULL ? text : sqlite3_errstr(rc));
    sqlite3_free(text);
    return rc;
}
