/* What stands between the parentheses of CREATE VIRTUAL TABLE t USING lsm(...), or, behind a zero byte, the columns of an index added to that table.
 *
 * Promised: what is refused is refused with words; what is accepted SQLite can declare, and an ordinary table of the same text has the same columns; an index
 * says its definition in words that make the same index.
 */
#include "fuzz.h"

#include "../ext/ddl.h"
#include "../ext/index.h"

enum { DDL_BYTES_MAX = 2000 };

static sqlite3 *db;
static struct vt_schema *latest; /* of the table connected last; it is the test's */

static int probe_connect(sqlite3 *connection, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    (void)aux;
    struct vt_schema *schema = NULL;
    int rc = vt_ddl_parse(connection, argc, argv, sqlite3_limit(connection, SQLITE_LIMIT_COLUMN, -1), &schema, message);
    FUZZ_CHECK((rc == SQLITE_OK) == (schema != NULL), "status %d", rc);
    FUZZ_CHECK(rc != SQLITE_ERROR || *message != NULL, "refused without a word");
    if (rc != SQLITE_OK) return rc;
    char *text = vt_schema_declare(schema);
    FUZZ_CHECK(text != NULL, "no memory");
    rc = sqlite3_declare_vtab(connection, text);
    FUZZ_CHECK(rc == SQLITE_OK, "accepted, but SQLite does not declare %s: %s", text, sqlite3_errmsg(connection));
    sqlite3_free(text);
    latest = schema;
    *vtab = sqlite3_malloc64(sizeof **vtab);
    FUZZ_CHECK(*vtab != NULL, "no memory");
    memset(*vtab, 0, sizeof **vtab);
    return SQLITE_OK;
}

static int probe_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}

static int probe_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    (void)info;
    return SQLITE_OK;
}

static int probe_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
    (void)vtab;
    (void)argc;
    (void)argv;
    (void)rowid;
    return SQLITE_READONLY;
}

static const sqlite3_module probe = {.iVersion = 2,
                                     .xCreate = probe_connect,
                                     .xConnect = probe_connect,
                                     .xBestIndex = probe_best_index,
                                     .xDisconnect = probe_disconnect,
                                     .xDestroy = probe_disconnect,
                                     .xUpdate = probe_update};

static void open_db(void) {
    if (db != NULL) return;
    FUZZ_CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK && sqlite3_create_module(db, "probe", &probe, NULL) == SQLITE_OK, "no database");
}

/* The columns of table o are those of the schema. */
static void compare_columns(const struct vt_schema *schema, const char *arguments) {
    sqlite3_stmt *columns = NULL;
    FUZZ_CHECK(sqlite3_prepare_v2(db, "SELECT name, \"notnull\" FROM pragma_table_info('o')", -1, &columns, NULL) == SQLITE_OK, "%s",
               sqlite3_errmsg(db));
    for (int i = 0; i < schema->column_count; i++) {
        FUZZ_CHECK(sqlite3_step(columns) == SQLITE_ROW, "%s: more columns than an ordinary table", arguments);
        const struct vt_column *column = &schema->columns[i];
        FUZZ_CHECK(strcmp(column->name, (const char *)sqlite3_column_text(columns, 0)) == 0, "%s: column %s", arguments, column->name);
        FUZZ_CHECK(i == schema->rowid_column || column->not_null == (sqlite3_column_int(columns, 1) != 0), "%s: NOT NULL of %s", arguments,
                   column->name);
    }
    FUZZ_CHECK(sqlite3_step(columns) == SQLITE_DONE, "%s: fewer columns than an ordinary table", arguments);
    sqlite3_finalize(columns);
}

/* INDEX and STRICT among the arguments are ours, and so is where a CHECK is split; what else is accepted is CREATE TABLE's. */
static void compare_with_ordinary(const struct vt_schema *schema, const char *arguments) {
    for (int i = 0; i < schema->index_count; i++)
        if (!schema->indexes[i].unique) return;
    if (schema->strict || schema->check_count != 0) return;
    char *sql = sqlite3_mprintf("CREATE TABLE o(%s\n)%s", arguments, schema->kind == VT_KIND_CLUSTERED ? " WITHOUT ROWID" : "");
    FUZZ_CHECK(sql != NULL, "no memory");
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) compare_columns(schema, arguments);
    sqlite3_free(sql);
    sqlite3_exec(db, "DROP TABLE IF EXISTS o", NULL, NULL, NULL);
}

static bool same_index(const struct vt_index *a, const struct vt_index *b) {
    if (a->unique != b->unique || a->column_count != b->column_count || a->key_count != b->key_count) return false;
    for (int i = 0; i < a->key_count; i++)
        if (a->key[i].column != b->key[i].column || a->key[i].desc != b->key[i].desc || a->key[i].collation != b->key[i].collation) return false;
    return true;
}

static void check_index(struct vt_schema *schema, const char *definition) {
    char *message = NULL;
    int rc = vt_ddl_add_index(schema, "added", definition, &message);
    FUZZ_CHECK(rc != SQLITE_ERROR || message != NULL, "refused without a word");
    sqlite3_free(message);
    if (rc != SQLITE_OK) return;
    const struct vt_index *index = &schema->indexes[schema->index_count - 1];
    char *words = vt_index_definition(schema, index);
    FUZZ_CHECK(words != NULL, "no memory");
    message = NULL;
    rc = vt_ddl_add_index(schema, "again", words, &message);
    FUZZ_CHECK(rc == SQLITE_OK, "%s: its own words are refused: %s: %s", definition, words, message);
    FUZZ_CHECK(same_index(&schema->indexes[schema->index_count - 2], &schema->indexes[schema->index_count - 1]), "%s is not %s", definition, words);
    sqlite3_free(words);
    vt_index_drop_last(schema);
    vt_index_drop_last(schema);
}

static void run(const uint8_t *bytes, size_t size) {
    static char text[DDL_BYTES_MAX + 2];
    open_db();
    memcpy(text, bytes, size);
    memset(text + size, 0, 2);
    const char *arguments = text, *definition = text + strlen(text) + 1;
    char *sql = sqlite3_mprintf("CREATE VIRTUAL TABLE v USING probe(%s\n)", arguments);
    FUZZ_CHECK(sql != NULL, "no memory");
    latest = NULL;
    sqlite3_stmt *create = NULL;
    /* One statement: what is behind it in the input is not SQL. */
    if (sqlite3_prepare_v2(db, sql, -1, &create, NULL) == SQLITE_OK && create != NULL) sqlite3_step(create);
    sqlite3_finalize(create);
    sqlite3_free(sql);
    struct vt_schema *schema = latest;
    if (schema != NULL) {
        compare_with_ordinary(schema, arguments);
        if (definition < text + size) check_index(schema, definition);
    }
    sqlite3_exec(db, "DROP TABLE IF EXISTS v", NULL, NULL, NULL);
    vt_schema_free(schema);
}

static void seeds(fuzz_emit_fn emit, void *arg) {
    static const char *const definitions[] = {
        "a",
        "id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL DEFAULT 'x', UNIQUE(body)",
        "device TEXT COLLATE NOCASE, ts INTEGER, kind TEXT, value REAL, payload BLOB, note, PRIMARY KEY(device, ts DESC)",
        "a INT, b TEXT COLLATE RTRIM, c, PRIMARY KEY(a, b DESC), UNIQUE(c COLLATE NOCASE) ON CONFLICT IGNORE, INDEX by_b(b, c DESC)",
        "a INTEGER CHECK(a > 0), CONSTRAINT positive CHECK(a + b > 1), b REAL DEFAULT -1.5, STRICT",
        "[a b] VARCHAR(10), `c``d` DECIMAL(10, -2), \"e\"\"f\" DOUBLE PRECISION, 'g''h' NATIVE CHARACTER(70), PRIMARY KEY([a b], `c``d`)",
        "a NOT NULL ON CONFLICT IGNORE PRIMARY KEY ON CONFLICT REPLACE, b NULL ON CONFLICT FAIL /* x */ -- y\n",
        "a CONSTRAINT x UNIQUE, b DEFAULT (1 + (2)), c DEFAULT x'00ff', d DEFAULT CURRENT_TIMESTAMP, e GENERATED ALWAYS AS (a)",
        "a REFERENCES b(c), FOREIGN KEY(a) REFERENCES x(y) ON DELETE CASCADE",
        "a INTEGER PRIMARY KEY DESC, b ANY, c TEXT COLLATE nosuch",
    };
    static const char *const indexes[] = {"a", "UNIQUE (a)", "(a, b DESC)", "UNIQUE (\"a\" COLLATE NOCASE)", "a COLLATE RTRIM DESC, rowid", "(a"};
    for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++) {
        char text[DDL_BYTES_MAX];
        size_t size = strlen(definitions[i]);
        const char *index = indexes[i % (sizeof indexes / sizeof *indexes)];
        emit(arg, definitions[i], size);
        memcpy(text, definitions[i], size + 1);
        memcpy(text + size + 1, index, strlen(index));
        emit(arg, text, size + 1 + strlen(index));
    }
}

const struct fuzz_target fuzz_target = {.name = "ddl", .size_max = DDL_BYTES_MAX, .run = run, .seeds = seeds};
