#include "pragma.h"

#include <stddef.h>

/* Standing on the row, or NULL. */
static sqlite3_stmt *ask(sqlite3 *db, const char *schema, const char *pragma) {
    char *sql = schema == NULL ? sqlite3_mprintf("PRAGMA %s", pragma) : sqlite3_mprintf("PRAGMA \"%w\".%s", schema, pragma);
    if (sql == NULL) return NULL;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_OK && statement != NULL && sqlite3_step(statement) == SQLITE_ROW) return statement;
    sqlite3_finalize(statement);
    return NULL;
}

int vt_pragma_int(sqlite3 *db, const char *schema, const char *pragma, int otherwise) {
    sqlite3_stmt *statement = ask(db, schema, pragma);
    int value = statement == NULL ? otherwise : sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

char *vt_pragma_text(sqlite3 *db, const char *schema, const char *pragma) {
    sqlite3_stmt *statement = ask(db, schema, pragma);
    char *value = statement == NULL ? NULL : sqlite3_mprintf("%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return value;
}
