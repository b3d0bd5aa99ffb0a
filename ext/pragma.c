#include "pragma.h"

#include <stddef.h>

char *vt_pragma_sql(const char *schema, const char *pragma) {
    return schema == NULL ? sqlite3_mprintf("PRAGMA %s", pragma) : sqlite3_mprintf("PRAGMA \"%w\".%s", schema, pragma);
}

/* Standing on the row, or NULL. */
static sqlite3_stmt *ask(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    if (sql == NULL) return NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK && statement != NULL && sqlite3_step(statement) == SQLITE_ROW) return statement; /* LCOV_EXCL_BR_LINE: no pragma is empty */
    sqlite3_finalize(statement);
    return NULL;
}

int vt_pragma_ask(sqlite3 *db, const char *sql, int otherwise) {
    sqlite3_stmt *statement = ask(db, sql);
    int value = statement == NULL ? otherwise : sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

int vt_pragma_int(sqlite3 *db, const char *schema, const char *pragma, int otherwise) {
    char *sql = vt_pragma_sql(schema, pragma);
    int value = vt_pragma_ask(db, sql, otherwise);
    sqlite3_free(sql);
    return value;
}

char *vt_pragma_text(sqlite3 *db, const char *schema, const char *pragma) {
    char *sql = vt_pragma_sql(schema, pragma);
    sqlite3_stmt *statement = ask(db, sql);
    sqlite3_free(sql);
    char *value = statement == NULL ? NULL : sqlite3_mprintf("%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return value;
}
