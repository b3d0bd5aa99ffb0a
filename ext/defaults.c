#include "defaults.h"

#include "sql.h"

/* Prepared and thrown away: SQLite judges what can be a default, as it would in a table of its own. */
static int judge(sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, char **message) {
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendf(sql, "CREATE TABLE \"%w\".\"%w_" VT_DEFAULTS_SUFFIX "\"(", schema_name, table);
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
        /* A comment at the end of the expression must not swallow what follows. */
        if (column->default_text != NULL) sqlite3_str_appendf(sql, "\"%w\" DEFAULT (%s\n), ", column->name, column->default_text);
    }
    sqlite3_str_appendall(sql, "CHECK (1))");
    char *text = sqlite3_str_finish(sql);
    sqlite3_stmt *statement = NULL;
    int rc = text == NULL ? SQLITE_NOMEM : sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_NO_VTAB, &statement, NULL);
    if (rc != SQLITE_OK && rc != SQLITE_NOMEM) rc = vt_fail(message, rc, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    sqlite3_free(text);
    return rc;
}

static int make_view(sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, char **message) {
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendf(sql, "CREATE VIEW \"%w\".\"%w_" VT_DEFAULTS_SUFFIX "\" AS SELECT ", schema_name, table);
    bool first = true;
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
        if (column->default_text == NULL) continue;
        sqlite3_str_appendf(sql, "%s(%s\n) AS \"%w\"", first ? "" : ", ", column->default_text, column->name);
        first = false;
    }
    return vt_sql_run(db, message, sqlite3_str_finish(sql));
}

int vt_defaults_create(sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, char **message) {
    if (schema->default_count == 0) return SQLITE_OK;
    int rc = judge(db, schema_name, table, schema, message);
    return rc == SQLITE_OK ? make_view(db, schema_name, table, schema, message) : rc;
}

int vt_defaults_drop(struct vt_defaults *defaults, sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema,
                     char **message) {
    vt_defaults_release(defaults);
    if (schema->default_count == 0) return SQLITE_OK;
    return vt_sql_run(db, message, sqlite3_mprintf("DROP VIEW IF EXISTS \"%w\".\"%w_" VT_DEFAULTS_SUFFIX "\"", schema_name, table));
}

int vt_defaults_rename(struct vt_defaults *defaults, sqlite3 *db, const char *schema_name, const char *table, const char *new_table,
                       const struct vt_schema *schema, char **message) {
    int rc = vt_defaults_drop(defaults, db, schema_name, table, schema, message);
    return rc == SQLITE_OK && schema->default_count > 0 ? make_view(db, schema_name, new_table, schema, message) : rc;
}

/* ---- evaluating ------------------------------------------------------------------------------------------------- */

void vt_defaults_next_row(struct vt_defaults *defaults) {
    for (int i = 0; i < defaults->count; i++) sqlite3_value_free(defaults->values[i]);
    defaults->count = 0;
}

void vt_defaults_release(struct vt_defaults *defaults) {
    vt_defaults_next_row(defaults);
    sqlite3_finalize(defaults->select);
    sqlite3_free(defaults->values);
    *defaults = (struct vt_defaults){0};
}

static int prepare(struct vt_defaults *defaults, sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema,
                   char **message) {
    if (defaults->select != NULL) return SQLITE_OK;
    defaults->values = sqlite3_malloc64((size_t)schema->default_count * sizeof *defaults->values);
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\".\"%w_" VT_DEFAULTS_SUFFIX "\"", schema_name, table);
    int rc = sql == NULL || defaults->values == NULL ? SQLITE_NOMEM : SQLITE_OK;
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT | SQLITE_PREPARE_NO_VTAB, &defaults->select, NULL);
        if (rc != SQLITE_OK) rc = vt_fail_sqlite(message, rc, db);
    }
    sqlite3_free(sql);
    if (rc != SQLITE_OK) vt_defaults_release(defaults);
    return rc;
}

static int evaluate(struct vt_defaults *defaults, sqlite3 *db, const char *table, const struct vt_schema *schema, char **message) {
    int rc = sqlite3_step(defaults->select);
    if (rc == SQLITE_ROW && sqlite3_column_count(defaults->select) != schema->default_count) rc = SQLITE_DONE;
    if (rc == SQLITE_ROW) {
        for (rc = SQLITE_OK; rc == SQLITE_OK && defaults->count < schema->default_count; defaults->count++) {
            sqlite3_value *copy = sqlite3_value_dup(sqlite3_column_value(defaults->select, defaults->count));
            defaults->values[defaults->count] = copy;
            if (copy == NULL) rc = SQLITE_NOMEM;
        }
    } else if (rc == SQLITE_DONE) {
        rc = vt_fail(message, SQLITE_CORRUPT_VTAB, "the shadow view %s_" VT_DEFAULTS_SUFFIX " does not have the defaults of the table", table);
    } else {
        rc = vt_fail_sqlite(message, sqlite3_extended_errcode(db), db);
    }
    (void)sqlite3_reset(defaults->select); /* says again what step said */
    return rc;
}

int vt_defaults_get(struct vt_defaults *defaults, sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, int column,
                    struct vt_value *value, char **message) {
    int rc = SQLITE_OK, at = 0;
    if (defaults->count == 0) {
        rc = prepare(defaults, db, schema_name, table, schema, message);
        if (rc == SQLITE_OK) rc = evaluate(defaults, db, table, schema, message);
        if (rc != SQLITE_OK) vt_defaults_next_row(defaults);
    }
    if (rc != SQLITE_OK) return rc;
    for (int i = 0; i < column; i++) at += schema->columns[i].default_text != NULL;
    return vt_affinity_apply(defaults->values[at], schema->columns[column].affinity, value);
}
