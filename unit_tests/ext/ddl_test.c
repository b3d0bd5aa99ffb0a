/* Definitions against SQLite itself: what is accepted, an ordinary table accepts and understands the same; what is refused for its syntax, it
 * refuses too. The parser runs inside a module, so that SQLite splits the arguments and takes the declaration. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../ext/ddl.h"
#include "../../ext/index.h"
#include "../support/sqlite_memory.h"

static uint64_t seed, state;
static sqlite3 *db;

static uint64_t rnd(void) {
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static uint64_t below(uint64_t n) { return rnd() % n; }

/* ---- a module that only has definitions ------------------------------------------------------------------------ */

struct probe {
    sqlite3_vtab base;
    struct vt_schema *schema;
};

static struct vt_schema *latest; /* of the table connected last */

static int probe_connect(sqlite3 *connection, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
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

static int probe_disconnect(sqlite3_vtab *vtab) {
    struct probe *probe = (struct probe *)(void *)vtab;
    vt_schema_free(probe->schema);
    sqlite3_free(probe);
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

static const sqlite3_module probe_module = {
    .iVersion = 2,
    .xCreate = probe_connect,
    .xConnect = probe_connect,
    .xBestIndex = probe_best_index,
    .xDisconnect = probe_disconnect,
    .xDestroy = probe_disconnect,
    .xUpdate = probe_update,
};

static int open_db(void **unused) {
    (void)unused;
    const char *given = getenv("LSM_TEST_SEED");
    seed = given != NULL ? strtoull(given, NULL, 0) : 20261122;
    state = seed;
    print_message("seed %llu\n", (unsigned long long)seed);
    sqlite_memory_take();
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) return 1;
    return sqlite3_create_module(db, "probe", &probe_module, NULL);
}

/* Statements of a test that failed half-way would lock the tables of the next one. */
static sqlite3_stmt *open_statement;

static int clean_up(void **unused) {
    (void)unused;
    sqlite3_finalize(open_statement);
    open_statement = NULL;
    return 0;
}

static int close_db(void **unused) {
    clean_up(unused);
    sqlite3_exec(db, "DROP TABLE IF EXISTS v", NULL, NULL, NULL);
    return sqlite3_close(db);
}

/* ---- trying ----------------------------------------------------------------------------------------------------- */

static char refused_with[1000];

/* CREATE VIRTUAL TABLE v with these arguments; the schema, or NULL and the message in refused_with. forget() afterwards. */
static void forget(void);
static const struct vt_schema *try(const char *arguments) {
    forget();
    char *sql = sqlite3_mprintf("CREATE VIRTUAL TABLE v USING probe(%s)", arguments), *message = NULL;
    latest = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    snprintf(refused_with, sizeof refused_with, "%s", message == NULL ? "" : message);
    sqlite3_free(message);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? latest : NULL;
}

static void forget(void) { sqlite3_exec(db, "DROP TABLE IF EXISTS v; DROP TABLE IF EXISTS o; DROP TABLE IF EXISTS temp.a", NULL, NULL, NULL); }

static const struct vt_schema *accept(const char *arguments) {
    const struct vt_schema *schema = try(arguments);
    if (schema == NULL) fail_msg("%s: %s", arguments, refused_with);
    return schema;
}

static void refuse(const char *arguments, const char *reason) {
    if (try(arguments) != NULL) fail_msg("accepted: %s", arguments);
    if (strstr(refused_with, reason) == NULL) fail_msg("%s: refused with \"%s\", not \"%s\"", arguments, refused_with, reason);
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    open_statement = statement;
    return statement;
}

static void finalize(sqlite3_stmt *statement) {
    sqlite3_finalize(statement);
    open_statement = NULL;
}

/* The ordinary table o of the same definition says the same about columns and key. */
static void compare_with_ordinary(const struct vt_schema *schema, const char *arguments) {
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
    finalize(s);
    sqlite3_exec(db, "CREATE TEMP TABLE a AS SELECT * FROM main.o", NULL, NULL, NULL);
    s = prepare("SELECT type FROM pragma_table_info('a')");
    for (int i = 0; i < schema->column_count; i++) {
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        if (strcmp(affinity_types[schema->columns[i].affinity], (const char *)sqlite3_column_text(s, 0)) != 0)
            fail_msg("%s: affinity of %d", arguments, i);
    }
    finalize(s);
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
    finalize(s);
}

static bool ordinary_accepts(const char *arguments, bool without_rowid) {
    char *sql = sqlite3_mprintf("CREATE TABLE o(%s)%s", arguments, without_rowid ? " WITHOUT ROWID" : "");
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK;
}

static bool refused_for_syntax(void) {
    static const char *const reasons[] = {
        "syntax error",       "incomplete definition", "reserved word",    "is missing here",           "malformed token",
        "ON CONFLICT takes",  "size must be",          "duplicate column", "more than one primary key", "that the table does not have",
        "columns come before"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (strstr(refused_with, reasons[i]) != NULL) return true;
    }
    return false;
}

/* SQLite drops empty arguments before the module sees them; CREATE TABLE does not like them. */
static bool has_empty_argument(const char *p) {
    bool empty = true, comma = false;
    for (; *p != '\0'; p++) {
        if (p[0] == '/' && p[1] == '*') {
            p = strstr(p + 2, "*/") + 1;
        } else if (p[0] == '-' && p[1] == '-') {
            p = strchr(p, '\n');
        } else if (*p == ',') {
            if (empty) return true;
            empty = comma = true;
        } else if (*p == '(') {
            for (int depth = 1; depth > 0;) {
                p++;
                depth += (*p == '(') - (*p == ')');
            }
            empty = false;
        } else if (*p != ' ' && *p != '\n') {
            empty = false;
        }
    }
    return comma && empty;
}

/* 1 accepted, 0 refused, and in both cases SQLite agrees. */
static int agree(const char *arguments) {
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

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void definitions_mean_what_they_mean_in_create_table(void **unused) {
    (void)unused;
    static const char *const definitions[] = {
        "a",
        "a INT",
        "a INTEGER PRIMARY KEY",
        "a integer primary key asc, b",
        "a INTEGER PRIMARY KEY DESC, b",
        "a INT PRIMARY KEY, b",
        "a BIGINT PRIMARY KEY",
        "a INTEGER, b, PRIMARY KEY(a)",
        "a INTEGER, b, PRIMARY KEY(a DESC)",
        "a INTEGER, b, PRIMARY KEY(a COLLATE NOCASE)",
        "a INTEGER, b, PRIMARY KEY(a, b)",
        "a INTEGER, b, PRIMARY KEY('a')",
        "a \"INTEGER\" PRIMARY KEY",
        "a \"my int\" NOT NULL",
        "a [text], b 'x', c x 'int', d \"r\"\"eal\"",
        "a INTEGER(5) PRIMARY KEY",
        "a INTEGER UNSIGNED PRIMARY KEY",
        "a TEXT COLLATE NOCASE PRIMARY KEY, b",
        "a TEXT PRIMARY KEY COLLATE RTRIM DEFAULT 5 NOT NULL",
        "a, b, PRIMARY KEY(b DESC, a)",
        "a COLLATE RTRIM, b, PRIMARY KEY(a, b, a, b)",
        "a COLLATE RTRIM, b, PRIMARY KEY(a, b, a COLLATE nocase, b DESC)",
        "a COLLATE rtrim COLLATE \"nocase\" COLLATE 'BINARY'",
        "device TEXT NOT NULL COLLATE NOCASE, ts INTEGER NOT NULL, value REAL, payload BLOB, PRIMARY KEY (device, ts DESC)",
        "[a b] VARCHAR(10), `c``d` DECIMAL(10, -2), \"e\"\"f\" DOUBLE PRECISION, 'g''h' NATIVE CHARACTER(70), PRIMARY KEY([a b], `c``d`)",
        "\xc3\xa4 TEXT, \xe6\x97\xa5\xe6\x9c\xac INT PRIMARY KEY, \xf0\x9f\x98\x80",
        "a /* one */ INT -- two\n NOT NULL, /* three */ b",
        "\"\" INT",
        "a 'my type'",
        "a CONSTRAINT x NOT NULL CONSTRAINT y DEFAULT 5 CONSTRAINT z, b",
        "a, CONSTRAINT pk PRIMARY KEY(a)",
        "a, CONSTRAINT x CONSTRAINT pk PRIMARY KEY(a) CONSTRAINT \"y\"",
        "a NOT NULL ON CONFLICT IGNORE PRIMARY KEY ON CONFLICT REPLACE, b NULL ON CONFLICT FAIL",
        "a, PRIMARY KEY(a) ON CONFLICT ROLLBACK",
        "key, conflict, replace, ignore, first, asc, desc, row, current, generated, always, rowid, oid, _rowid_",
        "left INT, cross TEXT, full",
        "t, v",
        "a INTEGER PRIMARY KEY NOT NULL",
        "a INTEGER NOT NULL ON CONFLICT ABORT, PRIMARY KEY(a) ON CONFLICT ABORT",
        "_pk, b PRIMARY KEY",
        "_PK, __pk INT PRIMARY KEY",
        "a,\n  b\n",
        "a$b INT$",
        "a DEFAULT NULL",
        "a BLOB NOT NULL DEFAULT x'00ff'",
        "a NOT NULL DEFAULT(5)",
        "a NOT NULL DEFAULT (-0.5)",
        "a NOT NULL DEFAULT +5 PRIMARY KEY",
        "a FLOATING POINT, b STRING, c ANY, d CHARINT, e BLOBTEXT, f XBLOBX, g REALTEXT, h DATE",
        "a INT, a2 INT, A3, PRIMARY KEY(A, \"A2\", a3)",
    };
    for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++) {
        if (agree(definitions[i]) != 1) fail_msg("%s: %s", definitions[i], refused_with);
    }
}

static void every_keyword_is_a_name_where_sqlite_takes_it_for_one(void **unused) {
    (void)unused;
    static const char *const templates[] = {"%.*s INT",
                                            "%.*s",
                                            "x %.*s",
                                            "x %.*s(5)",
                                            "x INT %.*s",
                                            "x COLLATE %.*s",
                                            "x NOT NULL DEFAULT %.*s",
                                            "x CONSTRAINT %.*s",
                                            "x, \"%.*s\" INT, PRIMARY KEY(\"%.*s\")",
                                            "a, PRIMARY KEY(%.*s)",
                                            "x, PRIMARY KEY(x) %.*s",
                                            "x PRIMARY KEY %.*s"};
    int accepted = 0;
    for (int i = 0; i < sqlite3_keyword_count(); i++) {
        const char *word;
        int size;
        sqlite3_keyword_name(i, &word, &size);
        for (size_t t = 0; t < sizeof templates / sizeof *templates; t++) {
            char text[200];
            const char *a = strstr(templates[t], "%.*s"), *b = strstr(a + 1, "%.*s");
            int n = snprintf(text, sizeof text, "%.*s%.*s", (int)(a - templates[t]), templates[t], size, word);
            if (b == NULL) {
                snprintf(text + n, sizeof text - (size_t)n, "%s", a + 4);
            } else {
                snprintf(text + n, sizeof text - (size_t)n, "%.*s%.*s%s", (int)(b - a - 4), a + 4, size, word, b + 4);
            }
            accepted += agree(text);
        }
    }
    assert_true(accepted > 400);
}

static void token_soup_is_judged_as_sqlite_judges_it(void **unused) {
    (void)unused;
    static const char *const tokens[] = {"a",
                                         "b",
                                         "c",
                                         "\"d e\"",
                                         "[f]",
                                         "`g`",
                                         "'h'",
                                         "INT",
                                         "INTEGER",
                                         "TEXT",
                                         "PRIMARY KEY",
                                         "PRIMARY KEY",
                                         "PRIMARY",
                                         "KEY",
                                         "NOT NULL",
                                         "NOT NULL",
                                         "NOT",
                                         "NULL",
                                         "COLLATE NOCASE",
                                         "COLLATE",
                                         "RTRIM",
                                         "DEFAULT 5",
                                         "NOT NULL DEFAULT 'x'",
                                         "DEFAULT",
                                         "ON CONFLICT IGNORE",
                                         "ON CONFLICT",
                                         "ON",
                                         "REPLACE",
                                         "CONSTRAINT n",
                                         "CONSTRAINT",
                                         "(a)",
                                         "(b, a DESC)",
                                         "(c COLLATE RTRIM)",
                                         "(5)",
                                         "(10, 2)",
                                         "(",
                                         ")",
                                         ",",
                                         ",",
                                         ",",
                                         ",",
                                         "DESC",
                                         "ASC",
                                         "-",
                                         "+",
                                         "5",
                                         "1.5",
                                         "x'00'",
                                         "/* c */",
                                         "-- c\n",
                                         "\xc3\xb6",
                                         "TRUE",
                                         "PRIMARY KEY(a)",
                                         ", PRIMARY KEY(a, b)",
                                         ", a",
                                         ", b TEXT",
                                         ", c REAL NOT NULL"};
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        char text[400] = "a";
        if (below(4) == 0) text[0] = '\0';
        for (uint64_t n = below(9); n > 0; n--) {
            strcat(text, below(10) ? " " : "");
            strcat(text, tokens[below(sizeof tokens / sizeof *tokens)]);
        }
        int depth = 0;
        for (const char *p = text; *p != '\0' && depth >= 0; p++) depth += (*p == '(') - (*p == ')');
        if (depth != 0 || strstr(text, "--") != NULL) strcat(text, "\n");
        if (depth == 0 && !has_empty_argument(text)) accepted += agree(text);
    }
    if (accepted < 1000) fail_msg("only %d were accepted: the soup tests nothing", accepted);
}

static void hostile_text_is_an_error_or_a_table_never_a_crash(void **unused) {
    (void)unused;
    static const char *const pieces[] = {"a",       "PRIMARY KEY", "(",       ")",      "'",       "\"",         "[",
                                         "`",       "x'",          "x'0",     "--",     "/*",      "*/",         "\n",
                                         "CHECK",   "UNIQUE",      "DEFAULT", "(",      "0x",      "0xff",       "1e",
                                         "1e+",     ".",           "..",      "$",      "\x01",    "\xff",       "\xc3",
                                         "FOREIGN", "REFERENCES",  "AS",      "=",      "ttl",     ",",          "NOT NULL",
                                         "COLLATE", "ON CONFLICT", "5",       "hidden", "INTEGER", "CONSTRAINT", "CURRENT_TIME",
                                         "NULL",    "-",           "%s%n",    "%"};
    const char *argv[8] = {"probe", "main", "v"};
    for (int round = 0; round < 60000; round++) {
        char *texts[5];
        int count = (int)below(5);
        for (int i = 0; i < count; i++) {
            char text[400] = "";
            for (uint64_t n = below(8); n > 0; n--) {
                strcat(text, below(3) ? " " : "");
                strcat(text, pieces[below(sizeof pieces / sizeof *pieces)]);
            }
            size_t size = strlen(text);
            texts[i] = malloc(size + 1);
            assert_non_null(texts[i]);
            memcpy(texts[i], text, size + 1);
            for (uint64_t n = below(3); n > 0 && size > 0; n--) { texts[i][below(size)] = (char)(1 + below(255)); }
            argv[3 + i] = texts[i];
        }
        struct vt_schema *schema;
        char *message;
        int rc = vt_ddl_parse(db, 3 + count, argv, 3, &schema, &message);
        assert_true(rc == SQLITE_OK || rc == SQLITE_ERROR);
        assert_true((rc == SQLITE_OK) == (schema != NULL) && (rc == SQLITE_ERROR) == (message != NULL));
        vt_schema_free(schema);
        sqlite3_free(message);
        for (int i = 0; i < count; i++) free(texts[i]);
    }
}

/* ---- DEFAULT (expression), CHECK, STRICT, AUTOINCREMENT --------------------------------------------------------------------------------- */

static void expect_constraint(const struct vt_schema *schema, int i, const char *name, const char *text) {
    assert_true(i < schema->check_count);
    assert_string_equal(schema->checks[i].name, name);
    assert_string_equal(schema->checks[i].text, text);
}

static void checks_keep_their_text_and_have_the_name_sqlite_shows(void **unused) {
    (void)unused;
    const struct vt_schema *schema = accept("a CHECK (a > 0) CONSTRAINT c CHECK ( (a) < ')' /* ) */ ), b CHECK (\"a\"\"b\" > '(')");
    assert_int_equal(schema->check_count, 3);
    expect_constraint(schema, 0, "a > 0", "a > 0");
    expect_constraint(schema, 1, "c", "(a) < ')' /* ) */");
    expect_constraint(schema, 2, "a\"b", "\"a\"\"b\" > '('");
    assert_true(schema->columns[0].checked);
    assert_false(schema->columns[1].checked);
    schema = accept("a CONSTRAINT one NOT NULL, CHECK (a), CONSTRAINT [t w o] CHECK (rowid) ON CONFLICT IGNORE, CHECK (1)");
    expect_constraint(schema, 0, "one", "a"); /* SQLite's quirk */
    expect_constraint(schema, 1, "t w o", "rowid");
    expect_constraint(schema, 2, "1", "1");
    assert_true(schema->rowid_checked);
    assert_false(accept("rowid, CHECK (rowid > 1)")->rowid_checked);
    assert_true(accept("id INTEGER PRIMARY KEY, CHECK (Id > 1)")->rowid_checked);
    assert_int_equal(agree("a CHECK (a > 0), b CHECK (b LIKE 'x%')"), 1);
    assert_int_equal(agree("a, CHECK (a > 0) CHECK (a < 9)"), 1);
    assert_int_equal(agree("a CHECK ()"), 0);
    assert_int_equal(agree("a CHECK (a > 0"), 0);
    assert_int_equal(agree("a CHECK a > 0"), 0);
}

static void strict_gives_each_column_its_type(void **unused) {
    (void)unused;
    const struct vt_schema *schema = accept("a INT, b integer, c REAL, d \"TEXT\", e [blob], f ANY NOT NULL DEFAULT '05', STRICT");
    static const enum vt_strict wanted[] = {VT_STRICT_INT, VT_STRICT_INTEGER, VT_STRICT_REAL, VT_STRICT_TEXT, VT_STRICT_BLOB, VT_STRICT_ANY};
    for (int i = 0; i < 6; i++) assert_int_equal(schema->columns[i].strict, wanted[i]);
    assert_int_equal(schema->columns[5].affinity, VT_AFFINITY_BLOB);
    assert_int_equal(schema->columns[5].default_value.type, SQLITE_TEXT);
    assert_int_equal(accept("a ANY")->columns[0].affinity, VT_AFFINITY_NUMERIC);
    assert_int_equal(accept("a ANY")->columns[0].strict, VT_STRICT_NONE);
}

static void autoincrement_is_taken_where_sqlite_takes_it(void **unused) {
    (void)unused;
    assert_true(accept("a INTEGER PRIMARY KEY AUTOINCREMENT")->autoincrement);
    assert_true(accept("a INTEGER PRIMARY KEY ASC ON CONFLICT REPLACE AUTOINCREMENT, b")->autoincrement);
    assert_true(accept("a INTEGER, PRIMARY KEY(a AUTOINCREMENT)")->autoincrement);
    assert_false(accept("a INTEGER PRIMARY KEY")->autoincrement);
    assert_int_equal(agree("a INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, b"), 1);
    assert_int_equal(agree("a INTEGER PRIMARY KEY AUTOINCREMENT AUTOINCREMENT"), 0);
}

static void expect_index(const struct vt_schema *schema, int i, const char *name, const char *definition) {
    assert_true(i < schema->index_count);
    assert_string_equal(schema->indexes[i].name, name);
    char *text = vt_index_definition(schema, &schema->indexes[i]);
    assert_string_equal(text, definition);
    sqlite3_free(text);
}

static void unique_and_index_make_indexes(void **unused) {
    (void)unused;
    const struct vt_schema *schema =
        accept("id INTEGER PRIMARY KEY, a UNIQUE COLLATE NOCASE, b, CONSTRAINT two UNIQUE (b, a COLLATE BINARY DESC) ON CONFLICT REPLACE,"
               "INDEX \"by b\" (b DESC, id, B)");
    assert_int_equal(schema->index_count, 3);
    expect_index(schema, 0, "unique_1", "UNIQUE (\"a\")");
    expect_index(schema, 1, "two", "UNIQUE (\"b\", \"a\" COLLATE BINARY DESC)");
    expect_index(schema, 2, "by b", "(\"b\" DESC, \"id\", \"b\")");
    assert_int_equal(schema->indexes[1].conflict, SQLITE_REPLACE);
    assert_int_equal(schema->indexes[2].key_count, 3);
    assert_int_equal(schema->indexes[2].seek_count, 2);
}

static void a_column_that_stands_twice_is_kept_once_and_named_twice(void **unused) {
    (void)unused;
    const struct vt_schema *schema = accept("a, b, UNIQUE (a, b, a), INDEX i (b DESC, b COLLATE NOCASE, b)");
    expect_index(schema, 0, "unique_1", "UNIQUE (\"a\", \"b\", \"a\")");
    assert_int_equal(schema->indexes[0].column_count, 2);
    expect_index(schema, 1, "i", "(\"b\" DESC, \"b\" COLLATE NOCASE, \"b\")");
    assert_int_equal(schema->indexes[1].column_count, 2);
}

static void what_says_the_same_twice_is_one_index(void **unused) {
    (void)unused;
    assert_int_equal(accept("a PRIMARY KEY UNIQUE, b UNIQUE, UNIQUE (a), UNIQUE (b)")->index_count, 1);
    assert_int_equal(accept("a PRIMARY KEY, b, UNIQUE (a) ON CONFLICT REPLACE")->key_conflict, SQLITE_REPLACE);
    assert_int_equal(accept("id INTEGER PRIMARY KEY UNIQUE, b, UNIQUE (id, b)")->index_count, 1);
    assert_int_equal(accept("a TEXT, UNIQUE (a), UNIQUE (a COLLATE NOCASE)")->index_count, 2);
    assert_int_equal(accept("a UNIQUE, b, UNIQUE (b), PRIMARY KEY (a, b), UNIQUE (b, a)")->key_place, 2);
    assert_int_equal(accept("a, PRIMARY KEY (a, a), UNIQUE (a), UNIQUE (a, a), UNIQUE (a)")->index_count, 2);
    refuse("a UNIQUE ON CONFLICT REPLACE, UNIQUE (a) ON CONFLICT ABORT", "conflicting ON CONFLICT clauses specified");
    refuse("a, INDEX i(a), INDEX I(a)", "index I already exists");
    refuse("a, INDEX (a)", "near \"(\"");
    refuse("a, UNIQUE (a + 1)", "near \"+\": a key takes columns");
    refuse("a, INDEX i(nosuch)", "that the table does not have");
    refuse("a, INDEX i(a) WHERE a > 1", "partial indexes");
    refuse("a, INDEX i(a COLLATE german)", "only the collations");
    assert_int_equal(agree("a UNIQUE, b UNIQUE ON CONFLICT REPLACE, UNIQUE (a, b)"), 1);
    assert_int_equal(agree("a, UNIQUE ()"), 0);
    assert_int_equal(agree("a, UNIQUE (a"), 0);
    assert_int_equal(agree("a UNIQUE (a)"), 0);
}

static void what_is_not_supported_is_refused_with_place_and_reason(void **unused) {
    (void)unused;
    refuse("a, b, FOREIGN KEY(a) REFERENCES x(y)", "in argument 3, near \"FOREIGN\": foreign keys are not supported");
    refuse("a REFERENCES x", "in argument 1, near \"REFERENCES\": foreign keys");
    refuse("a INT PRIMARY KEY AUTOINCREMENT", "AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY");
    refuse("a INTEGER PRIMARY KEY DESC AUTOINCREMENT", "AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY");
    refuse("a INTEGER, b, PRIMARY KEY(a, b AUTOINCREMENT)", "AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY");
    refuse("a INTEGER AUTOINCREMENT", "near \"AUTOINCREMENT\": AUTOINCREMENT belongs behind INTEGER PRIMARY KEY");
    refuse("a, b AS (a + 1)", "generated columns are not possible");
    refuse("a, b INT GENERATED ALWAYS AS (a + 1) STORED", "in argument 2, near \"GENERATED\": generated columns");
    refuse("a NOT DEFERRABLE", "foreign keys");
    refuse("a COLLATE german", "in argument 1, near \"german\": only the collations");
    refuse("a, PRIMARY KEY(a COLLATE german)", "only the collations");
    refuse("a, ttl = '30 days' ON a", "in argument 2, near \"ttl\": this option is not built yet");
    refuse("a, compression = 'zstd'", "this option is not built yet");
    refuse("a, colour=3", "in argument 2, near \"colour\": unknown option");
    refuse("STRICT, a INT", "in argument 1, near \"STRICT\": STRICT stands behind the columns");
    refuse("a, STRICT", "missing datatype for column \"a\"");
    refuse("a INT, b FOO, STRICT", "unknown datatype for column \"b\": \"FOO\"");
    refuse("a INT(5), STRICT", "unknown datatype for column \"a\": \"INT(5)\"");
    refuse("a INT, STRICT, b INT", "in argument 3, near \"b\": columns come before");
    refuse("a, WITHOUT ROWID", "without rowid");
    refuse("a NOT NULL DEFAULT *", "near \"*\": an expression as a default stands in parentheses");
    refuse("a NOT NULL DEFAULT (1 + 1", "incomplete input"); /* SQLite's own words: it sees the text before us */
    refuse("a NOT NULL DEFAULT ()", "syntax error");
    refuse("a DEFAULT (1 + 1)", "column \"a\": DEFAULT needs NOT NULL");
    refuse("a INTEGER PRIMARY KEY DEFAULT (1 + 1)", "takes no DEFAULT");
    refuse("a DEFAULT 5", "column \"a\": DEFAULT needs NOT NULL");
    refuse("a INTEGER PRIMARY KEY DEFAULT 5", "takes no DEFAULT");
    refuse("a, A", "in argument 2, near \"A\": duplicate column name");
    refuse("a PRIMARY KEY, b PRIMARY KEY", "in argument 2, near \"PRIMARY\": the table has more than one primary key");
    refuse("a, PRIMARY KEY(b)", "in argument 2, near \"b\": the key names a column that the table does not have");
    refuse("a, PRIMARY KEY(a + 1)", "near \"+\": a key takes columns");
    refuse("a, PRIMARY KEY(lower(a))", "near \"lower\": a key takes columns");
    refuse("a, PRIMARY KEY((a))", "near \"(\": a key takes columns");
    refuse("a, PRIMARY KEY(a DESC NULLS LAST)", "NULLS FIRST and NULLS LAST");
    refuse("a, PRIMARY KEY()", "a key takes columns");
    refuse("a, PRIMARY KEY(a), b", "in argument 3, near \"b\": columns come before");
    refuse("select INT", "near \"select\": a reserved word");
    refuse("a INT HIDDEN", "HIDDEN");
    refuse("a [x] INT", "a quoted type is a single word");
    refuse("a 'x'(5)", "a quoted type is a single word");
    refuse("a x hidden y", "HIDDEN");
    refuse("a INT b c 5", "near \"5\": syntax error");
    refuse("a NOT", "at the end of argument 1: NULL is missing here");
    refuse("a ON CONFLICT x", "near \"ON\": syntax error");
    refuse("a NOT NULL ON CONFLICT x", "near \"x\": ON CONFLICT takes");
    refuse("a VARCHAR(max)", "near \"max\": a type's size must be a number");
    refuse("a DEFAULT", "at the end of argument 1: incomplete definition");
    refuse("PRIMARY KEY(a)", "the key names a column");
    refuse("", "at least one column");
    assert_null(try("a, b"
                    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4 UNIQUE = 3"));
    forget();
}

static void the_limit_of_columns_counts_the_hidden_one(void **unused) {
    (void)unused;
    static const char *const argv[] = {"probe", "main", "v", "a", "b", "c PRIMARY KEY"};
    struct vt_schema *schema;
    char *message;
    assert_int_equal(vt_ddl_parse(db, 5, argv, 2, &schema, &message), SQLITE_OK);
    vt_schema_free(schema);
    assert_int_equal(vt_ddl_parse(db, 5, argv, 1, &schema, &message), SQLITE_ERROR);
    sqlite3_free(message);
    assert_int_equal(vt_ddl_parse(db, 6, argv, 3, &schema, &message), SQLITE_ERROR);
    assert_non_null(strstr(message, "too many columns"));
    sqlite3_free(message);
    assert_int_equal(vt_ddl_parse(db, 6, argv, 4, &schema, &message), SQLITE_OK);
    vt_schema_free(schema);
}

static void defaults_are_what_an_ordinary_table_inserts(void **unused) {
    (void)unused;
    static const char *const literals[] = {"5",
                                           "-5",
                                           "+5",
                                           "5.0",
                                           "-1.5e3",
                                           "1e400",
                                           "0x10",
                                           "-0x10",
                                           "9223372036854775807",
                                           "9223372036854775808",
                                           "-9223372036854775808",
                                           "'12'",
                                           "'abc'",
                                           "'it''s'",
                                           "\"quoted\"",
                                           "word",
                                           "TRUE",
                                           "false",
                                           "x'4142'",
                                           "X''",
                                           "''",
                                           "(7)",
                                           "('x')",
                                           "(-7)",
                                           "( TRUE )",
                                           ".5",
                                           "5.",
                                           "\xc3\xa4",
                                           "'1e3'",
                                           "' 5 '",
                                           "123456789012345678901234567890",
                                           "0.1",
                                           "-0.0",
                                           "[br]"};
    static const char *const types[] = {"", "INT", "TEXT", "REAL", "BLOB", "NUMERIC"};
    for (size_t l = 0; l < sizeof literals / sizeof *literals; l++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            char text[200];
            snprintf(text, sizeof text, "a, b %s NOT NULL DEFAULT %s", types[t], literals[l]);
            const struct vt_schema *schema = accept(text);
            if (!ordinary_accepts(text, false)) fail_msg("SQLite does not accept %s", text);
            assert_int_equal(sqlite3_exec(db, "INSERT INTO o(a) VALUES(1)", NULL, NULL, NULL), SQLITE_OK);
            sqlite3_stmt *s = prepare("SELECT b FROM o");
            assert_int_equal(sqlite3_step(s), SQLITE_ROW);
            struct vt_value want;
            const struct vt_value *got = &schema->columns[1].default_value;
            assert_int_equal(vt_value_of(sqlite3_column_value(s, 0), &want), SQLITE_OK);
            bool same = want.type == got->type && want.i == got->i && memcmp(&want.r, &got->r, sizeof want.r) == 0 && want.size == got->size;
            if (!same || (want.size > 0 && memcmp(want.bytes, got->bytes, want.size) != 0))
                fail_msg("%s: SQLite stores %s", text, sqlite3_column_text(s, 0));
            assert_true(schema->columns[1].has_default);
            finalize(s);
            forget();
        }
    }
}

static void conflict_clauses_are_kept(void **unused) {
    (void)unused;
    const struct vt_schema *schema =
        accept("a NOT NULL ON CONFLICT IGNORE, b INT NOT NULL ON CONFLICT REPLACE DEFAULT 1, c NOT NULL, PRIMARY KEY(a, c) ON CONFLICT ROLLBACK");
    assert_int_equal(schema->key_conflict, SQLITE_ROLLBACK);
    assert_int_equal(schema->columns[0].not_null_conflict, SQLITE_IGNORE);
    assert_int_equal(schema->columns[1].not_null_conflict, SQLITE_REPLACE);
    assert_int_equal(schema->columns[2].not_null_conflict, 0);
    assert_int_equal(schema->columns[0].key_index, 0);
    assert_int_equal(schema->columns[1].key_index, -1);
    assert_int_equal(schema->columns[2].key_index, 1);
    forget();
    schema = accept("a INTEGER PRIMARY KEY ON CONFLICT FAIL");
    assert_int_equal(schema->key_conflict, SQLITE_FAIL);
    forget();
}

static void the_declaration_hides_the_key_under_a_free_name(void **unused) {
    (void)unused;
    const struct vt_schema *schema = accept("_PK TEXT, \"a\"\"b\" INT NOT NULL, PRIMARY KEY(_pk COLLATE NOCASE)");
    char *text = vt_schema_declare(schema);
    assert_string_equal(text, "CREATE TABLE x(\"_PK\" TEXT NOT NULL, \"a\"\"b\" INT NOT NULL, \"__pk\" BLOB HIDDEN PRIMARY KEY) WITHOUT ROWID");
    sqlite3_free(text);
    sqlite3_stmt *s = prepare("SELECT group_concat(name || hidden || pk, ' ') FROM pragma_table_xinfo('v')");
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(s, 0), "_PK00 a\"b00 __pk11");
    finalize(s);
    forget();
    schema = accept("id INTEGER PRIMARY KEY, t TEXT COLLATE NOCASE, u");
    text = vt_schema_declare(schema);
    assert_string_equal(text, "CREATE TABLE x(\"id\" INTEGER PRIMARY KEY, \"t\" TEXT COLLATE NOCASE, \"u\")");
    sqlite3_free(text);
    assert_int_equal(schema->rowid_column, 0);
    assert_null(schema->hidden_name);
    forget();
}

static void out_of_memory_is_returned_and_nothing_leaks(void **unused) {
    (void)unused;
    static const char *const argv[] = {
        "probe", "main", "v", "[a b] TEXT COLLATE NOCASE NOT NULL DEFAULT 'text'", "b INTEGER NOT NULL DEFAULT -5", "c", "d", "e", "f", "g",
        "h",     "i",    "j", "CONSTRAINT x PRIMARY KEY([a b], b DESC, c, d, e)"};
    sqlite3_int64 before = sqlite3_memory_used();
    int64_t n = 1;
    for (int rc = SQLITE_NOMEM; rc == SQLITE_NOMEM; n++) {
        struct vt_schema *schema;
        char *message, *text = NULL;
        sqlite_memory_fail_after(n, true);
        rc = vt_ddl_parse(db, 14, argv, 100, &schema, &message);
        if (rc == SQLITE_OK) {
            text = vt_schema_declare(schema);
            if (text == NULL) rc = SQLITE_NOMEM;
        }
        sqlite_memory_fail_after(0, false);
        assert_null(message);
        assert_true(rc == SQLITE_OK || rc == SQLITE_NOMEM);
        sqlite3_free(text);
        vt_schema_free(schema);
        sqlite3_db_release_memory(db);
    }
    assert_true(n > 20);
    for (int64_t m = 1; m < 6; m++) {
        static const char *const bad[] = {"probe", "main", "v", "a UNIQUE"};
        struct vt_schema *schema;
        char *message;
        sqlite_memory_fail_after(m, true);
        int rc = vt_ddl_parse(db, 4, bad, 100, &schema, &message);
        sqlite_memory_fail_after(0, false);
        assert_true((rc == SQLITE_ERROR) == (message != NULL) && (rc == SQLITE_ERROR || rc == SQLITE_NOMEM));
        sqlite3_free(message);
    }
    assert_true(sqlite3_memory_used() - before < 2000); /* what the connection itself keeps */
}

static void expect_default(const char *declaration, const char *text) {
    const struct vt_schema *schema = accept(declaration);
    assert_true(schema->columns[0].has_default);
    assert_int_equal(schema->default_count, text != NULL);
    if (text == NULL) assert_null(schema->columns[0].default_text);
    if (text != NULL) assert_string_equal(schema->columns[0].default_text, text);
    forget();
}

static void a_default_is_a_literal_or_an_expression(void **unused) {
    (void)unused;
    expect_default("a NOT NULL DEFAULT (-5)", NULL);
    expect_default("a NOT NULL DEFAULT ( 'x' )", NULL);
    expect_default("a NOT NULL DEFAULT word", NULL);
    expect_default("a NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (a <> '')", "CURRENT_TIMESTAMP");
    expect_default("a NOT NULL DEFAULT (1 + 1)", "1 + 1");
    expect_default("a NOT NULL DEFAULT ((5))", "(5)");
    expect_default("a NOT NULL DEFAULT ('(' || 1 /* ) */) COLLATE NOCASE", "'(' || 1 /* ) */");
    expect_default("a NOT NULL DEFAULT (1 + 1) DEFAULT (2 + 2)", "2 + 2");
    expect_default("a NOT NULL DEFAULT (1 + 1) DEFAULT 5", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(definitions_mean_what_they_mean_in_create_table, clean_up),
        cmocka_unit_test_teardown(every_keyword_is_a_name_where_sqlite_takes_it_for_one, clean_up),
        cmocka_unit_test_teardown(token_soup_is_judged_as_sqlite_judges_it, clean_up),
        cmocka_unit_test_teardown(hostile_text_is_an_error_or_a_table_never_a_crash, clean_up),
        cmocka_unit_test_teardown(a_default_is_a_literal_or_an_expression, clean_up),
        cmocka_unit_test_teardown(checks_keep_their_text_and_have_the_name_sqlite_shows, clean_up),
        cmocka_unit_test_teardown(strict_gives_each_column_its_type, clean_up),
        cmocka_unit_test_teardown(autoincrement_is_taken_where_sqlite_takes_it, clean_up),
        cmocka_unit_test_teardown(unique_and_index_make_indexes, clean_up),
        cmocka_unit_test_teardown(a_column_that_stands_twice_is_kept_once_and_named_twice, clean_up),
        cmocka_unit_test_teardown(what_says_the_same_twice_is_one_index, clean_up),
        cmocka_unit_test_teardown(what_is_not_supported_is_refused_with_place_and_reason, clean_up),
        cmocka_unit_test_teardown(the_limit_of_columns_counts_the_hidden_one, clean_up),
        cmocka_unit_test_teardown(defaults_are_what_an_ordinary_table_inserts, clean_up),
        cmocka_unit_test_teardown(conflict_clauses_are_kept, clean_up),
        cmocka_unit_test_teardown(the_declaration_hides_the_key_under_a_free_name, clean_up),
        cmocka_unit_test_teardown(out_of_memory_is_returned_and_nothing_leaks, clean_up),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
