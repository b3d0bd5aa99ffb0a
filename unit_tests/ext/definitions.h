/* definitions.h: definitions as the parser takes them, beside ordinary tables. The parser runs inside a module that only has definitions, so that SQLite splits the arguments and
 * takes the declaration. Header only: each test file is a program of its own. */
#ifndef TEST_DEFINITIONS_H
#define TEST_DEFINITIONS_H

#include "../../ext/ddl.h"
#include "database.h"

/* ---- a module that only has definitions ------------------------------------------------------------------------ */

struct probe {
    sqlite3_vtab base;
    struct vt_schema *schema;
};

static struct vt_schema *latest; /* of the table connected last */

static inline int probe_connect(sqlite3 *connection, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    (void)aux;
    struct probe *probe = sqlite3_malloc64(sizeof *probe);
    *probe = (struct probe){0};
    int rc = vt_ddl_parse(connection, argc, argv, sqlite3_limit(connection, SQLITE_LIMIT_COLUMN, -1), &probe->schema, message);
    if (rc == SQLITE_OK) {
        char *text = vt_schema_declare(probe->schema);
        rc = sqlite3_declare_vtab(connection, text);
        if (rc != SQLITE_OK) *message = sqlite3_mprintf("undeclarable: %s: %s", text, sqlite3_errmsg(connection));
        sqlite3_free(text);
    }
    if (rc != SQLITE_OK) {
        vt_schema_free(probe->schema);
        sqlite3_free(probe);
        return rc;
    }
    latest = probe->schema;
    *vtab = &probe->base;
    return SQLITE_OK;
}

static inline int probe_disconnect(sqlite3_vtab *vtab) {
    struct probe *probe = (struct probe *)(void *)vtab;
    vt_schema_free(probe->schema);
    sqlite3_free(probe);
    return SQLITE_OK;
}

static inline int probe_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    (void)info;
    return SQLITE_OK;
}
static inline int probe_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
    (void)vtab;
    (void)argc;
    (void)argv;
    (void)rowid;
    return SQLITE_READONLY;
}

static const sqlite3_module probe_module = {
    .iVersion = 2,
    .xCreate = probe_connect,
    .xConnect = probe_connect,
    .xBestIndex = probe_best_index,
    .xDisconnect = probe_disconnect,
    .xDestroy = probe_disconnect,
    .xUpdate = probe_update,
};

static inline int open_probe(void **unused) {
    if (open_with_chance(unused) != SQLITE_OK) return 1;
    return sqlite3_create_module(db, "probe", &probe_module, NULL);
}

/* Statements of a test that failed half-way would lock the tables of the next one. */
static inline int clean_up(void **unused) {
    (void)unused;
    for (sqlite3_stmt *left; (left = sqlite3_next_stmt(db, NULL)) != NULL;) sqlite3_finalize(left);
    return 0;
}

static inline int close_probe(void **unused) {
    clean_up(unused);
    (void)run("DROP TABLE IF EXISTS v");
    return close_database(unused);
}

/* ---- trying ----------------------------------------------------------------------------------------------------- */

static char refused_with[1000];

static inline void forget(void) { (void)run("DROP TABLE IF EXISTS v; DROP TABLE IF EXISTS o; DROP TABLE IF EXISTS temp.a"); }

/* CREATE VIRTUAL TABLE v with these arguments; the schema, or NULL and the message in refused_with. forget() afterwards. */
static inline const struct vt_schema *try(const char *arguments) {
    forget();
    char *sql = sqlite3_mprintf("CREATE VIRTUAL TABLE v USING probe(%s)", arguments), *message = NULL;
    latest = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    snprintf(refused_with, sizeof refused_with, "%s", message == NULL ? "" : message);
    sqlite3_free(message);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? latest : NULL;
}

/* The same, which must succeed. */
static inline const struct vt_schema *accept(const char *arguments) {
    const struct vt_schema *schema = try(arguments);
    if (schema == NULL) fail_msg("%s: %s", arguments, refused_with);
    return schema;
}

/* The same, which must fail with these words in its message. */
static inline void refuse(const char *arguments, const char *reason) {
    if (try(arguments) != NULL) fail_msg("accepted: %s", arguments);
    if (strstr(refused_with, reason) == NULL) fail_msg("%s: refused with \"%s\", not \"%s\"", arguments, refused_with, reason);
}

/* ---- beside an ordinary table ------------------------------------------------------------------------------------------ */

static inline bool ordinary_accepts(const char *arguments, bool without_rowid) {
    char *sql = sqlite3_mprintf("CREATE TABLE o(%s)%s", arguments, without_rowid ? " WITHOUT ROWID" : "");
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK;
}

/* The ordinary table o of the same definition says the same about columns and key. */
static inline void compare_with_ordinary(const struct vt_schema *schema, const char *arguments) {
    static const char *const affinity_types[] = {"", "TEXT", "NUM", "INT", "REAL"};
    sqlite3_stmt *s = prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info('o')");
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
        if (sqlite3_step(s) != SQLITE_ROW) fail_msg("%s: more columns than the ordinary table", arguments);
        const char *type = (const char *)sqlite3_column_text(s, 1), *collation;
        if (strcmp(column->name, (const char *)sqlite3_column_text(s, 0)) != 0) fail_msg("%s: name %s", arguments, column->name);
        bool quoted = column->type[0] != '\0' && strchr("'\"`[", column->type[0]) != NULL;
        if (!quoted && sqlite3_stricmp(column->type, type) != 0) fail_msg("%s: type \"%s\" for \"%s\"", arguments, column->type, type);
        if (i != schema->rowid_column && column->not_null != sqlite3_column_int(s, 2)) fail_msg("%s: NOT NULL of %s", arguments, column->name);
        if ((i == schema->rowid_column) != (schema->kind == VT_KIND_ROWID && sqlite3_column_int(s, 3) > 0)) fail_msg("%s: rowid", arguments);
        assert_int_equal(sqlite3_table_column_metadata(db, "main", "o", column->name, NULL, &collation, NULL, NULL, NULL), SQLITE_OK);
        if (sqlite3_stricmp(collation, vt_collation_name(column->collation)) != 0) fail_msg("%s: collation of %s", arguments, column->name);
    }
    assert_int_equal(sqlite3_step(s), SQLITE_DONE);
    sqlite3_finalize(s);
    sqlite3_exec(db, "CREATE TEMP TABLE a AS SELECT * FROM main.o", NULL, NULL, NULL);
    s = prepare("SELECT type FROM pragma_table_info('a')");
    for (int i = 0; i < schema->column_count; i++) {
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        if (strcmp(affinity_types[schema->columns[i].affinity], (const char *)sqlite3_column_text(s, 0)) != 0)
            fail_msg("%s: affinity of %d", arguments, i);
    }
    sqlite3_finalize(s);
    sqlite3_exec(db, "DROP TABLE temp.a", NULL, NULL, NULL);
    s = prepare("SELECT x.cid, x.desc, x.coll FROM pragma_index_list('o') i, pragma_index_xinfo(i.name) x WHERE i.origin = 'pk' AND x.key");
    for (int i = 0; i < schema->key_count; i++) {
        if (sqlite3_step(s) != SQLITE_ROW) fail_msg("%s: key has more columns than the ordinary table's", arguments);
        const struct vt_key_column *key = &schema->key[i];
        bool same = key->column == sqlite3_column_int(s, 0) && key->desc == sqlite3_column_int(s, 1) &&
                    sqlite3_stricmp(vt_collation_name(key->collation), (const char *)sqlite3_column_text(s, 2)) == 0;
        if (!same) fail_msg("%s: key column %d", arguments, i);
    }
    if (sqlite3_step(s) != SQLITE_DONE) fail_msg("%s: key has fewer columns than the ordinary table's, or is no rowid there", arguments);
    sqlite3_finalize(s);
}

static inline bool refused_for_syntax(void) {
    static const char *const reasons[] = {
        "syntax error",       "incomplete definition", "reserved word",    "is missing here",           "malformed token",
        "ON CONFLICT takes",  "size must be",          "duplicate column", "more than one primary key", "that the table does not have",
        "columns come before"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (strstr(refused_with, reasons[i]) != NULL) return true;
    }
    return false;
}

/* 1 accepted, 0 refused, and in both cases SQLite agrees. */
static inline int agree(const char *arguments) {
    const struct vt_schema *schema = try(arguments);
    if (schema != NULL) {
        if (ordinary_accepts(arguments, schema->kind == VT_KIND_CLUSTERED)) {
            compare_with_ordinary(schema, arguments);
        } else if (schema->default_count == 0) { /* CREATE VIRTUAL TABLE asks SQLite whether an expression can be a default */
            fail_msg("accepted, but not by SQLite: %s", arguments);
        } else {
            forget();
            return 0;
        }
    } else if (refused_for_syntax() && ordinary_accepts(arguments, false)) {
        fail_msg("SQLite accepts: %s; refused: %s", arguments, refused_with);
    } else if (strstr(refused_with, "undeclarable") != NULL) {
        fail_msg("%s: %s", arguments, refused_with);
    }
    forget();
    return schema != NULL;
}

#endif
