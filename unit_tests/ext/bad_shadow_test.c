/* What the shadow tables of the database file say is written by anybody: where it makes no sense, whoever needs it says so, lsm_check() lists it, the other tables and lsm_tables
 * can be read, nothing that is not named any more is taken for garbage, and when the right rows stand there again everything is as it was. */
#include "database.h"

static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must("CREATE VIRTUAL TABLE other USING lsm(k TEXT PRIMARY KEY, v);"
         "CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v TEXT, w, UNIQUE (w), INDEX by_v (v));"
         "CREATE VIRTUAL TABLE n USING lsm(id INTEGER PRIMARY KEY AUTOINCREMENT, v);"
         "CREATE VIRTUAL TABLE d USING lsm(id INTEGER PRIMARY KEY, v NOT NULL DEFAULT (1 + 1), w NOT NULL DEFAULT (2 + 2), CHECK (v > 0));"
         "CREATE VIRTUAL TABLE gone USING lsm(k, v); SELECT lsm_create_index('t', 'added', 'w DESC');"
         "INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30); INSERT INTO n(v) VALUES (1), (2); INSERT INTO d(id) VALUES (1);"
         "INSERT INTO gone VALUES (1, 1); CREATE TABLE kept_t AS SELECT * FROM t_store; CREATE TABLE kept_n AS SELECT * FROM n_store; CREATE TABLE "
         "plain(x);"
         /* The last token is in a shadow table that stays whole. */
         "BEGIN; INSERT INTO other VALUES ('x', 1), ('y', 2); INSERT INTO plain VALUES (1); COMMIT");
    return 0;
}

/* ---- what is written there ----------------------------------------------------------------------------------------------------------- */

#define NO_SENSE "the shadow table main.t_store is damaged: it does not say which store and tree hold the rows"
#define NO_TOKEN "the shadow table main.t_store is damaged: it does not say which transaction was the last one"
#define NO_INDEX "the shadow table main.t_store is damaged: what it says of an index cannot be understood"
#define LISTED   "schema: a shadow table (its name ends in _store) is damaged or of a newer release"

static const struct bad {
    const char *sql, *query, *words;
    const char *check; /* NULL: nothing, because it is no damage to the store */
} all[] = {
    {"UPDATE t_store SET value = 2 WHERE key = 'format'", "SELECT * FROM t",
     "this LSM table was made by a newer release of the extension (format 2; this one, ", LISTED},
    {"UPDATE t_store SET value = 0 WHERE key = 'format'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = '1' WHERE key = 'format'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = 0 WHERE key = 'tree'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = 4294967296 WHERE key = 'tree'", "INSERT INTO t(v) VALUES (1)", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = 'x' WHERE key = 'tree'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = x'00' WHERE key = 'store'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = substr(value, 2) WHERE key = 'store'", "DELETE FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = '/' || substr(value, 2) WHERE key = 'store'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = 'A' || substr(value, 2) WHERE key = 'store'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = substr(value, 2) || 'g' WHERE key = 'nonce'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = 'abc' WHERE key = 'nonce'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET key = NULL WHERE key = 'nonce'", "SELECT * FROM t", NO_SENSE, LISTED},
    {"UPDATE t_store SET value = 'x' || substr(value, 2) WHERE key = 'token'", "SELECT * FROM t", NO_TOKEN, LISTED},
    {"UPDATE t_store SET value = substr(value, 2) WHERE key = 'token'", "INSERT INTO t(v) VALUES (1)", NO_TOKEN, LISTED},
    {"UPDATE t_store SET value = NULL WHERE key = 'token'", "SELECT * FROM t", NO_TOKEN, LISTED},
    {"UPDATE t_store SET key = 'tokens' WHERE key = 'token'", "SELECT * FROM t", NO_TOKEN, LISTED},
    {"DELETE FROM t_store", "SELECT * FROM t", "the shadow table main.t_store is empty", NULL},
    {"DROP TABLE t_store", "SELECT * FROM t", "cannot read the shadow table main.t_store: ", NULL},
    {"UPDATE t_store SET value = '' WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = NULL WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = 7 WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = '0 0123456789abcdef' WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = '4294967296 0123456789abcdef' WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = '12345678901 0123456789abcdef' WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = '- 0123456789abcdef' WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = '5 0123456789abcde' WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = '5 0123456789abcdeX' WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"UPDATE t_store SET value = '5 0123456789abcdef(v)' WHERE key = 'index by_v'", "SELECT * FROM t", NO_INDEX, LISTED},
    {"DELETE FROM t_store WHERE key = 'index by_v'", "SELECT * FROM t",
     "the shadow table t_store is damaged: it does not name the tree of index by_v", "table t: "},
    {"UPDATE t_store SET value = substr(value, 1, instr(value, '(')) || 'nosuch)' WHERE key = 'index added'", "SELECT * FROM t", "nosuch",
     "table t: "},
    {"DELETE FROM n_store WHERE key = 'sequence'", "INSERT INTO n(v) VALUES (1)",
     "the shadow table n_store is damaged: it does not name the tree of AUTOINCREMENT", "table n: "},
    {"UPDATE n_store SET key = 'index nosuch' WHERE key = 'sequence'", "SELECT * FROM n", "is damaged: it does not name the tree of AUTOINCREMENT",
     "table n: "},
    {"UPDATE t_store SET value = 99 WHERE key = 'tree'", "SELECT * FROM t", "does not have the rows of table t: it is older than the database",
     "schema: a table's rows, tree 99, are not in the store"},
    {"UPDATE t_store SET value = '0123456789abcdef' WHERE key = 'nonce'", "SELECT * FROM t", "has another table's rows in the place of table t",
     "schema: a table's rows, tree "},
    {"DROP VIEW d_default; CREATE VIEW d_default AS SELECT 7 AS v", "INSERT INTO d(id) VALUES (5)",
     "the shadow view d_default does not have the defaults of the table", NULL},
    {"DROP VIEW d_default; CREATE VIEW d_default AS SELECT 7 AS v, 8 AS w WHERE 0", "INSERT INTO d(id) VALUES (5)",
     "the shadow view d_default does not have the defaults", NULL},
    {"DROP VIEW d_default", "INSERT INTO d(id) VALUES (5)", "d_default", NULL},
    {"DROP TABLE d_check", "INSERT INTO d(id) VALUES (5)", "d_check", NULL},
};

static const char mend[] =
    "CREATE TABLE IF NOT EXISTS t_store(id INTEGER PRIMARY KEY, key TEXT, value);"
    "DELETE FROM t_store; INSERT INTO t_store SELECT * FROM kept_t; DELETE FROM n_store; INSERT INTO n_store SELECT * FROM kept_n";

static void whoever_needs_it_says_so_and_it_can_be_mended(void **state) {
    static const char all_rows[] = "SELECT * FROM t WHERE v >= '' UNION ALL SELECT *, 0 FROM n UNION ALL SELECT * FROM d";
    static char before[1000], text[4000];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct bad *bad = &all[i];
        if (i > 0) assert_int_equal(set_up(state), 0);
        assert_int_equal(dump(all_rows, before, sizeof before), SQLITE_OK);
        must(bad->sql);
        open_again();
        int rc = dump(bad->query, text, sizeof text);
        if (rc == SQLITE_OK || strstr(sqlite3_errmsg(db), bad->words) == NULL)
            fail_msg("%s: %d '%s', not '%s'", bad->sql, rc, sqlite3_errmsg(db), bad->words);
        if (dump("SELECT * FROM other", text, sizeof text) != SQLITE_OK) fail_msg("%s: another table: %s", bad->sql, sqlite3_errmsg(db));
        assert_string_equal(text, "x 1 y 2 ");
        assert_int_equal(dump("SELECT count(*) FROM lsm_tables WHERE name = 'other'", text, sizeof text), SQLITE_OK);
        assert_string_equal(text, "1 ");
        assert_int_equal(dump("SELECT lsm_check()", text, sizeof text), SQLITE_OK);
        if (bad->check != NULL && strstr(text, bad->check) == NULL) fail_msg("%s: lsm_check() says '%s', not '%s'", bad->sql, text, bad->check);
        /* A table goes, and who writes next looks for trees that nobody names; where the shadow table names none, these are garbage. */
        must("DROP TABLE gone; INSERT INTO other VALUES ('z', 3)");
        open_again();
        must("INSERT INTO other VALUES ('zz', 4)");
        must(mend);
        open_again();
        if (bad->check == NULL && strstr(bad->sql, "t_store") != NULL) { /* nothing said any more that there were rows */
            assert_int_not_equal(dump(all_rows, text, sizeof text), SQLITE_OK);
        } else if (strncmp(bad->check == NULL ? "" : bad->check, "schema: a table's", 17) != 0 && strncmp(bad->sql, "DELETE FROM ", 12) != 0 &&
                   strstr(bad->sql, "n_store") == NULL) {
            assert_int_equal(dump(all_rows, text, sizeof text), SQLITE_OK);
            if (strcmp(text, before) != 0) fail_msg("%s: mended it holds '%s', and before '%s'", bad->sql, text, before);
        }
        if (i + 1 < sizeof all / sizeof all[0]) assert_int_equal(close_and_remove(state), 0);
    }
}

static void other_tables_can_be_read_though_it_held_the_last_token(void **unused) {
    (void)unused;
    char text[1000];
    must("BEGIN; UPDATE t SET v = 'z' WHERE id = 1; INSERT INTO plain VALUES (2); COMMIT; DROP TABLE kept_t; CREATE TABLE kept_t AS SELECT * FROM "
         "t_store;"
         "UPDATE t_store SET value = 'x' WHERE key = 'tree'");
    open_again();
    if (dump("SELECT * FROM other", text, sizeof text) != SQLITE_OK) fail_msg("%s", sqlite3_errmsg(db));
    assert_string_equal(text, "x 1 y 2 ");
    assert_int_not_equal(dump("SELECT * FROM t", text, sizeof text), SQLITE_OK);
    assert_non_null(strstr(sqlite3_errmsg(db), NO_SENSE));
    assert_int_equal(dump("SELECT lsm_check()", text, sizeof text), SQLITE_OK);
    assert_non_null(strstr(text, LISTED));
    assert_null(strstr(text, "history"));
    must("INSERT INTO other VALUES ('z', 3)");
    must("DELETE FROM t_store; INSERT INTO t_store SELECT * FROM kept_t");
    open_again();
    assert_int_equal(dump("SELECT v, (SELECT count(*) FROM other) FROM t WHERE id = 1", text, sizeof text), SQLITE_OK);
    assert_string_equal(text, "z 3 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_and_remove)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(whoever_needs_it_says_so_and_it_can_be_mended),
                                       TEST(other_tables_can_be_read_though_it_held_the_last_token)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
