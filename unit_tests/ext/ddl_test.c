/* Definitions against SQLite itself: what is accepted, an ordinary table accepts and understands the same; what is refused for its syntax, it
 * refuses too, whatever the text. ddl_clauses_test has what each clause means. */
#include "../support/sqlite_memory.h"
#include "definitions.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(definitions_mean_what_they_mean_in_create_table, clean_up),
        cmocka_unit_test_teardown(every_keyword_is_a_name_where_sqlite_takes_it_for_one, clean_up),
        cmocka_unit_test_teardown(token_soup_is_judged_as_sqlite_judges_it, clean_up),
        cmocka_unit_test_teardown(hostile_text_is_an_error_or_a_table_never_a_crash, clean_up),
        cmocka_unit_test_teardown(the_limit_of_columns_counts_the_hidden_one, clean_up),
        cmocka_unit_test_teardown(out_of_memory_is_returned_and_nothing_leaks, clean_up),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, open_probe, close_probe);
}
