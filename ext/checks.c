#include "checks.h"

#include "ddl_token.h"
#include "sql.h"

/* ---- which columns are mentioned ------------------------------------------------------------------------------- */

static bool text_mentions(const char *text, const char *name) {
    for (;;) {
        struct vt_token token = vt_token_scan(text);
        if (token.kind == VT_TOKEN_END || token.kind == VT_TOKEN_BAD) return false; /* LCOV_EXCL_BR_LINE: the declaration was read whole */
        text = token.start + token.size;
        if ((token.kind == VT_TOKEN_ID || token.kind == VT_TOKEN_STRING) && vt_token_names(&token, name)) return true;
    }
}

static bool is_mentioned(const struct vt_schema *schema, const char *name) {
    for (int i = 0; i < schema->check_count; i++) {
        if (text_mentions(schema->checks[i].text, name)) return true;
    }
    return false;
}

static const char *const rowid_names[] = {"rowid", "oid", "_rowid_"};
#define ROWID_NAMES 3

/* A row's number can be asked for by these names, unless a column has the name. */
static bool rowid_is_mentioned(const struct vt_schema *schema, const char *name) {
    return schema->kind == VT_KIND_ROWID && vt_schema_find(schema, name) < 0 && is_mentioned(schema, name);
}

void vt_checks_settle(struct vt_schema *schema) {
    for (int i = 0; i < schema->column_count && schema->check_count > 0; i++)
        schema->columns[i].checked = is_mentioned(schema, schema->columns[i].name);
    schema->rowid_checked = schema->rowid_column >= 0 && schema->columns[schema->rowid_column].checked;
    for (int i = 0; i < ROWID_NAMES && !schema->rowid_checked; i++) schema->rowid_checked = rowid_is_mentioned(schema, rowid_names[i]);
}

/* A name for a column of ours: `name`, with underscores before it until nobody means another thing by it. */
static char *free_name(const struct vt_schema *schema, const char *name) {
    char *found = sqlite3_mprintf("%s", name);
    while (found != NULL && (vt_schema_find(schema, found) >= 0 || is_mentioned(schema, found))) {
        char *longer = sqlite3_mprintf("_%s", found);
        sqlite3_free(found);
        found = longer;
    }
    return found;
}

/* ---- the shadow table ------------------------------------------------------------------------------------------- */

static void put_columns(sqlite3_str *sql, const struct vt_schema *schema) {
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
        if (!column->checked) continue;
        /* ANY converts nothing in a STRICT table, and would elsewhere. */
        const char *type = column->strict == VT_STRICT_ANY ? "BLOB" : column->type;
        sqlite3_str_appendf(sql, ", \"%w\" %s COLLATE %s", column->name, type, vt_collation_name(column->collation));
    }
    for (int i = 0; i < ROWID_NAMES; i++) {
        if (rowid_is_mentioned(schema, rowid_names[i])) sqlite3_str_appendf(sql, ", \"%w\" INTEGER", rowid_names[i]);
    }
}

static void put_table(sqlite3_str *sql, const struct vt_schema *schema, const char *schema_name, const char *table, const char *key,
                      const char *row) {
    sqlite3_str_appendf(sql, "CREATE TABLE \"%w\".\"%w_" VT_CHECKS_SUFFIX "\"(\"%w\" PRIMARY KEY ON CONFLICT IGNORE, \"%w\"", schema_name, table, key,
                        row);
    put_columns(sql, schema);
    for (int i = 0; i < schema->check_count; i++) {
        const struct vt_check *check = &schema->checks[i];
        /* A comment at the end of the expression must not swallow what follows. */
        sqlite3_str_appendf(sql, ", CONSTRAINT \"%w\" CHECK (\"%w\" IS NULL OR (%s\n))", check->name, row, check->text);
    }
    sqlite3_str_appendall(sql, ") WITHOUT ROWID");
}

int vt_checks_create(sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, char **message) {
    if (schema->check_count == 0) return SQLITE_OK;
    char *key = free_name(schema, "_key"), *row = free_name(schema, "_row"), *text = NULL;
    if (key != NULL && row != NULL) {
        sqlite3_str *sql = sqlite3_str_new(db);
        put_table(sql, schema, schema_name, table, key, row);
        sqlite3_str_appendf(sql, ";INSERT INTO \"%w\".\"%w_" VT_CHECKS_SUFFIX "\"(\"%w\") VALUES(0)", schema_name, table, key);
        text = sqlite3_str_finish(sql);
    }
    sqlite3_free(key);
    sqlite3_free(row);
    return vt_sql_run(db, message, text);
}

int vt_checks_drop(sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, char **message) {
    if (schema->check_count == 0) return SQLITE_OK;
    return vt_sql_run(db, message, sqlite3_mprintf("DROP TABLE IF EXISTS \"%w\".\"%w_" VT_CHECKS_SUFFIX "\"", schema_name, table));
}

int vt_checks_rename(struct vt_checks *checks, sqlite3 *db, const char *schema_name, const char *table, const char *new_table,
                     const struct vt_schema *schema, char **message) {
    vt_checks_release(checks);
    if (schema->check_count == 0) return SQLITE_OK;
    return vt_sql_run(
        db, message,
        sqlite3_mprintf("ALTER TABLE \"%w\".\"%w_" VT_CHECKS_SUFFIX "\" RENAME TO \"%w_" VT_CHECKS_SUFFIX "\"", schema_name, table, new_table));
}

/* ---- checking a row --------------------------------------------------------------------------------------------- */

static int prepare(struct vt_checks *checks, sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema,
                   char **message) {
    char *key = free_name(schema, "_key"), *row = free_name(schema, "_row");
    checks->columns = sqlite3_malloc64(((size_t)schema->column_count + ROWID_NAMES) * sizeof *checks->columns);
    int rc = key == NULL || row == NULL || checks->columns == NULL ? SQLITE_NOMEM : SQLITE_OK;
    if (rc == SQLITE_OK) {
        sqlite3_str *sql = sqlite3_str_new(db);
        checks->count = 0;
        sqlite3_str_appendf(sql, "INSERT INTO \"%w\".\"%w_" VT_CHECKS_SUFFIX "\"(\"%w\", \"%w\"", schema_name, table, key, row);
        for (int i = 0; i < schema->column_count; i++) {
            if (!schema->columns[i].checked) continue;
            checks->columns[checks->count++] = i;
            sqlite3_str_appendf(sql, ", \"%w\"", schema->columns[i].name);
        }
        for (int i = 0; i < ROWID_NAMES; i++) {
            if (!rowid_is_mentioned(schema, rowid_names[i])) continue;
            checks->columns[checks->count++] = -1;
            sqlite3_str_appendf(sql, ", \"%w\"", rowid_names[i]);
        }
        sqlite3_str_appendall(sql, ") VALUES (0, 0");
        for (int i = 0; i < checks->count; i++) sqlite3_str_appendall(sql, ", ?");
        sqlite3_str_appendall(sql, ")");
        char *text = sqlite3_str_finish(sql);
        rc =
            text == NULL ? SQLITE_NOMEM : sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT | SQLITE_PREPARE_NO_VTAB, &checks->insert, NULL);
        sqlite3_free(text);
        if (rc != SQLITE_OK) rc = vt_fail_sqlite(message, rc, db);
    }
    sqlite3_free(key);
    sqlite3_free(row);
    if (rc != SQLITE_OK) vt_checks_release(checks);
    return rc;
}

static int bind(sqlite3_stmt *statement, int at, const struct vt_value *value) {
    switch (value->type) {
    case SQLITE_INTEGER: return sqlite3_bind_int64(statement, at, value->i);
    case SQLITE_FLOAT: return sqlite3_bind_double(statement, at, value->r);
    case SQLITE_TEXT: return sqlite3_bind_text64(statement, at, (const char *)value->bytes, value->size, SQLITE_STATIC, SQLITE_UTF8);
    case SQLITE_BLOB: return sqlite3_bind_blob64(statement, at, value->bytes, value->size, SQLITE_STATIC);
    default: return sqlite3_bind_null(statement, at);
    }
}

int vt_checks_run(struct vt_checks *checks, sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema,
                  const struct vt_value *values, int64_t rowid, char **message) {
    if (schema->check_count == 0) return SQLITE_OK; /* LCOV_EXCL_BR_LINE: needs_checks() has asked */
    int rc = checks->insert == NULL ? prepare(checks, db, schema_name, table, schema, message) : SQLITE_OK;
    for (int i = 0; i < checks->count && rc == SQLITE_OK; i++) {
        int column = checks->columns[i];
        bool number = column < 0 || column == schema->rowid_column;
        rc = number ? sqlite3_bind_int64(checks->insert, i + 1, rowid) : bind(checks->insert, i + 1, &values[column]);
    }
    if (rc != SQLITE_OK) return rc;
    rc = sqlite3_step(checks->insert);
    if (rc == SQLITE_DONE && sqlite3_changes(db) != 0) {
        rc = vt_fail(message, SQLITE_CORRUPT_VTAB, "the shadow table %s_" VT_CHECKS_SUFFIX " is damaged: it took a row", table);
    } else if (rc != SQLITE_DONE) {
        rc = vt_fail_sqlite(message, sqlite3_extended_errcode(db), db);
    }
    (void)sqlite3_reset(checks->insert); /* says again what step said */
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void vt_checks_release(struct vt_checks *checks) {
    sqlite3_finalize(checks->insert);
    sqlite3_free(checks->columns);
    *checks = (struct vt_checks){0};
}
