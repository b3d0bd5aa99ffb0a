/* What the parser makes of each clause of a definition, and what it refuses, with place and reason. */
#include "../../ext/index.h"
#include "definitions.h"

/* ---- columns and keys ------------------------------------------------------------------------------------------- */

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
    sqlite3_finalize(s);
    forget();
    schema = accept("id INTEGER PRIMARY KEY, t TEXT COLLATE NOCASE, u");
    text = vt_schema_declare(schema);
    assert_string_equal(text, "CREATE TABLE x(\"id\" INTEGER PRIMARY KEY, \"t\" TEXT COLLATE NOCASE, \"u\")");
    sqlite3_free(text);
    assert_int_equal(schema->rowid_column, 0);
    assert_null(schema->hidden_name);
    forget();
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

/* ---- DEFAULT and CHECK ------------------------------------------------------------------------------------------- */

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
            sqlite3_finalize(s);
            forget();
        }
    }
}

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

/* ---- UNIQUE and INDEX -------------------------------------------------------------------------------------------- */

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

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(conflict_clauses_are_kept, clean_up),
        cmocka_unit_test_teardown(the_declaration_hides_the_key_under_a_free_name, clean_up),
        cmocka_unit_test_teardown(strict_gives_each_column_its_type, clean_up),
        cmocka_unit_test_teardown(autoincrement_is_taken_where_sqlite_takes_it, clean_up),
        cmocka_unit_test_teardown(a_default_is_a_literal_or_an_expression, clean_up),
        cmocka_unit_test_teardown(defaults_are_what_an_ordinary_table_inserts, clean_up),
        cmocka_unit_test_teardown(checks_keep_their_text_and_have_the_name_sqlite_shows, clean_up),
        cmocka_unit_test_teardown(unique_and_index_make_indexes, clean_up),
        cmocka_unit_test_teardown(a_column_that_stands_twice_is_kept_once_and_named_twice, clean_up),
        cmocka_unit_test_teardown(what_says_the_same_twice_is_one_index, clean_up),
        cmocka_unit_test_teardown(what_is_not_supported_is_refused_with_place_and_reason, clean_up),
    };
    return cmocka_run_group_tests(tests, open_probe, close_probe);
}
