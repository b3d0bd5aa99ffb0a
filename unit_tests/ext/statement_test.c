/* What a statement's text says when a row is written within it, whoever wrote the text and however; and rows that the statement at work has taken away itself. */
#include "database.h"

enum { TEXT_BYTES = 2000, LONG = 70000 };

/* SQL within SQL. */
static void run_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    if (run((const char *)sqlite3_value_text(argv[0])) != SQLITE_OK) sqlite3_result_error(context, sqlite3_errmsg(db), -1);
}

static int set_up(void **unused) {
    (void)open_in_memory(unused);
    assert_int_equal(sqlite3_create_function(db, "run", 1, SQLITE_UTF8, NULL, run_function, NULL, NULL), SQLITE_OK);
    must("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, a TEXT, b); CREATE VIRTUAL TABLE i USING lsm(id INTEGER PRIMARY KEY, a TEXT, b, "
         "INDEX by_a (a));"
         "CREATE VIRTUAL TABLE k USING lsm(k TEXT PRIMARY KEY, a TEXT, b); CREATE TABLE o(x INTEGER PRIMARY KEY, y)");
    return 0;
}

#define REFUSED "INSERT ... RETURNING would show the values as they were given"

/* All values of all rows, or the error, begin so. */
static void expect(const char *sql, const char *wanted) {
    static char text[TEXT_BYTES];
    const char *got = dump(sql, text, sizeof text) == SQLITE_OK ? text : last_error;
    if (strncmp(got, wanted, strlen(wanted)) != 0) fail_msg("%.200s: '%s', not '%s'", sql, got, wanted);
}

static void a_text_too_long_to_be_kept_is_read_each_time(void **unused) {
    (void)unused;
    for (int again = 0; again < 2; again++) {
        char *sql = sqlite3_mprintf("INSERT INTO t(a, b) VALUES ('%.*c', 1) RETURNING id", LONG, 'x');
        expect(sql, REFUSED);
        sqlite3_free(sql);
        sql = sqlite3_mprintf("INSERT INTO t(id, a, b) VALUES (%d, '%.*c', 1) RETURNING id, a", again, LONG, 'x');
        expect(sql, again == 0 ? "0 xxxx" : "1 xxxx");
        sqlite3_free(sql);
    }
    expect("SELECT count(*), sum(length(a)) FROM t", "2 140000 ");
}

/* What returns something is then another statement, or another table's. */
static void returning_of_others_is_no_reason_to_refuse(void **unused) {
    (void)unused;
    must("CREATE TRIGGER inserted AFTER INSERT ON o BEGIN INSERT INTO t(a) VALUES (new.y); END;"
         "CREATE TRIGGER deleted AFTER DELETE ON o BEGIN INSERT INTO t(a) VALUES ('gone ' || old.y); END;"
         "CREATE TEMP TABLE t2(y); CREATE TEMP TRIGGER copied AFTER INSERT ON t2 BEGIN INSERT INTO t(a) VALUES (new.y); END;"
         "CREATE TABLE t3(y)");
    expect("INSERT INTO o(y) VALUES ('one') RETURNING x, y", "1 one ");
    expect("DELETE FROM o RETURNING y", "one ");
    expect("INSERT INTO temp.t2(y) VALUES ('two') RETURNING rowid, y", "1 two ");
    expect("INSERT INTO t3(y) SELECT run('INSERT INTO t(a) VALUES (''three'')') RETURNING rowid", "1 ");
    expect("SELECT run('INSERT INTO t(a) VALUES (''four'')')", "NULL ");
    expect("SELECT run('INSERT INTO t(a) VALUES (''five'') RETURNING id')", REFUSED);
    expect("SELECT a FROM t ORDER BY id", "one gone one two three four ");
}

/* The row is written anew from what the statement gives and what it leaves as it is; where that is gone, so is the row, as it is for an ordinary table. */
static void a_row_that_is_deleted_while_it_is_updated_stays_deleted(void **unused) {
    (void)unused;
    static const char *const tables[][2] = {{"t", "id"}, {"i", "id"}, {"k", "k"}};
    char sql[600];
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const char *table = tables[i][0], *key = tables[i][1];
        (void)snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (1, printf('%%.500c', 'a'), 'b'), (2, printf('%%.500c', 'c'), 'd'), (3, 'e', 'f')",
                       table);
        must(sql);
        /* b is set; a, which is long, is left to us. */
        (void)snprintf(sql, sizeof sql, "UPDATE %s SET b = coalesce(run('DELETE FROM %s WHERE %s = 2'), 'new') WHERE %s = 2", table, table, key, key);
        must(sql);
        (void)snprintf(sql, sizeof sql, "SELECT %s, length(a), b FROM %s", key, table);
        expect(sql, "1 500 b 3 1 f ");
        /* Under another key, too. */
        (void)snprintf(sql, sizeof sql, "UPDATE %s SET %s = coalesce(run('DELETE FROM %s WHERE %s = 1'), 9) WHERE %s = 1", table, key, table, key,
                       key);
        must(sql);
        (void)snprintf(sql, sizeof sql, "SELECT %s, length(a), b FROM %s", key, table);
        expect(sql, "3 1 f ");
    }
    expect("SELECT count(*) FROM i WHERE a > ''", "1 ");
    expect("SELECT lsm_check()", "ok ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_database)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_text_too_long_to_be_kept_is_read_each_time),
        TEST(returning_of_others_is_no_reason_to_refuse),
        TEST(a_row_that_is_deleted_while_it_is_updated_stays_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
