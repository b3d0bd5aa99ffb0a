/* Shadow tables that name another store than the one in use, as of tables that were put into this database from another one: they take no part in how this store's transactions
 * end, are no heirs, and say nothing of its trees. And two stores are never mixed. */
#include <sys/stat.h>
#include <unistd.h>

#include "database.h"

static sqlite3 *other;

/* Tables a_own, m_own, z_own, and before and behind them in every list b_far and y_far, which are of a store that is nowhere. */
static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must("CREATE TABLE o(v);"
         "CREATE VIRTUAL TABLE b_far USING lsm(k INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE a_own USING lsm(k INTEGER PRIMARY KEY, v);"
         "CREATE VIRTUAL TABLE m_own USING lsm(k INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE z_own USING lsm(k INTEGER PRIMARY KEY, v);"
         "CREATE VIRTUAL TABLE y_far USING lsm(k INTEGER PRIMARY KEY, v);"
         "BEGIN; INSERT INTO o VALUES (0); INSERT INTO a_own VALUES (0, 0); COMMIT;"
         /* Their tokens are newer than any. */
         "UPDATE b_far_store SET value = '00000000000000000000000000000bad' WHERE key = 'store';"
         "UPDATE b_far_store SET value = 'ffffffffffffffffffffffffffffffff' WHERE key = 'token';"
         "UPDATE y_far_store SET value = '00000000000000000000000000000bad' WHERE key = 'store';"
         "UPDATE y_far_store SET value = 'ffffffffffffffffffffffffffffffff' WHERE key = 'token'");
    other = open_beside();
    return 0;
}

static int tear_down(void **unused) {
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    return close_and_remove(unused);
}

/* As they were, token and all. */
static void expect_untouched(void) {
    assert_string_equal(
        rows("SELECT count(*) FROM b_far_store WHERE value IN ('00000000000000000000000000000bad', 'ffffffffffffffffffffffffffffffff')"), "2");
    assert_string_equal(
        rows("SELECT count(*) FROM y_far_store WHERE value IN ('00000000000000000000000000000bad', 'ffffffffffffffffffffffffffffffff')"), "2");
}

static void tables_of_this_store_are_read_and_written_beside_them(void **unused) {
    (void)unused;
    sql_must(other, "BEGIN; INSERT INTO o VALUES (1); INSERT INTO m_own VALUES (1, 1); COMMIT");
    assert_string_equal(rows("SELECT v FROM m_own"), "1");
    /* The hook leads here, which has no shadow table of its own. */
    must("BEGIN; CREATE VIRTUAL TABLE n USING lsm(v); INSERT INTO n VALUES (2); INSERT INTO o VALUES (2); COMMIT");
    must("BEGIN; DROP TABLE n; INSERT INTO m_own VALUES (2, 2); INSERT INTO o VALUES (3); COMMIT");
    assert_string_equal(sql_rows(other, "SELECT count(*) FROM m_own, o"), "8");
    expect_untouched();
}

/* Their tokens, newer than the store's, do not make it the older half. */
static void who_opens_the_store_finds_that_it_fits(void **unused) {
    (void)unused;
    must("INSERT INTO a_own VALUES (5, 5)");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    open_again();
    other = open_beside();
    assert_string_equal(sql_rows(other, "SELECT v FROM a_own WHERE k = 5"), "5");
    must("BEGIN; INSERT INTO o VALUES (1); INSERT INTO m_own VALUES (1, 1); COMMIT");
    expect_untouched();
}

static void they_inherit_no_token(void **unused) {
    (void)unused;
    must("BEGIN; INSERT INTO o VALUES (1); INSERT INTO m_own VALUES (1, 1); COMMIT");
    const char *token = rows("SELECT value FROM m_own_store WHERE key = 'token'");
    sql_must(other, "BEGIN; DROP TABLE m_own"); /* who knows no heir looks through the list; COMMIT will write a token of its own */
    expect_untouched();
    char sql[300];
    (void)snprintf(sql, sizeof sql,
                   "SELECT max(t) >= '%s' FROM (SELECT value AS t FROM a_own_store WHERE key = 'token' UNION ALL "
                   "SELECT value FROM z_own_store WHERE key = 'token')",
                   token);
    assert_string_equal(sql_rows(other, sql), "1");
    sql_must(other, "COMMIT");
    must("DROP TABLE z_own; DROP TABLE a_own"); /* the last ones of this store */
    expect_untouched();
}

/* Nor does one that was of this store, and in use as such, before it was made another's. */
static void who_has_become_a_stranger_inherits_nothing(void **unused) {
    (void)unused;
    assert_string_equal(rows("SELECT count(*) FROM a_own, m_own, z_own"), "0");
    must("BEGIN; INSERT INTO o VALUES (1); INSERT INTO m_own VALUES (1, 1); COMMIT");
    sql_must(other, "UPDATE z_own_store SET value = '00000000000000000000000000000bad' WHERE key = 'store'");
    sql_must(other, "UPDATE a_own_store SET value = '00000000000000000000000000000bad' WHERE key = 'store'");
    must("DROP TABLE m_own");
    assert_string_equal(
        rows("SELECT (SELECT count(*) FROM z_own_store WHERE value GLOB '*bad') + (SELECT count(*) FROM a_own_store WHERE value GLOB '*bad')"), "2");
}

static void they_can_be_dropped_and_take_nothing_along(void **unused) {
    (void)unused;
    must("INSERT INTO a_own VALUES (5, 5)");
    must("DROP TABLE b_far; DROP TABLE y_far");
    assert_string_equal(rows("SELECT v FROM a_own WHERE k = 5"), "5");
    assert_string_equal(rows("SELECT count(*) FROM sqlite_schema WHERE name GLOB '*_far*'"), "0");
    assert_string_equal(rows("SELECT lsm_check()"), "ok");
}

static void within_one_transaction_there_is_one_store(void **unused) {
    (void)unused;
    sql_must(other, "BEGIN; INSERT INTO a_own VALUES (5, 5)");
    assert_string_equal(sql_rows(other, "SELECT * FROM b_far"), "the LSM tables of schema main name different stores");
    sql_must(other, "COMMIT");
    assert_non_null(strstr(sql_rows(other, "SELECT * FROM b_far"), "the store of this database's LSM tables is missing"));
    assert_string_equal(sql_rows(other, "SELECT v FROM a_own WHERE k = 5"), "5");
}

/* Written by somebody else, who knows no better: it is left as it is, and the token goes where there is one. */
static void a_token_of_another_length_is_left_alone(void **unused) {
    (void)unused;
    must("UPDATE a_own_store SET value = 'short' WHERE key = 'token'; UPDATE m_own_store SET value = 'short' WHERE key = 'token'");
    must("BEGIN; INSERT INTO o VALUES (1); INSERT INTO a_own VALUES (1, 1); COMMIT");
    assert_string_equal(rows("SELECT value FROM a_own_store WHERE key = 'token'"), "short");
    assert_string_equal(rows("SELECT value FROM m_own_store WHERE key = 'token'"), "short");
    assert_string_equal(rows("SELECT value > '0000000000000000' AND length(value) = 32 FROM z_own_store WHERE key = 'token'"), "1");
    assert_string_equal(rows("SELECT v FROM a_own WHERE k = 1"), "1");
    assert_non_null(strstr(sql_rows(other, "SELECT v FROM a_own WHERE k = 1"), "does not say which transaction was the last one"));
    assert_string_equal(sql_rows(other, "SELECT count(*) FROM z_own"), "0");
}

/* The check tells of them, and of nothing else; of a connection that has this store open. */
static void a_check_names_what_is_not_in_the_store(void **unused) {
    (void)unused;
    sql_must(other, "INSERT INTO a_own VALUES (5, 5)");
    const char *found = sql_rows(other, "SELECT lsm_check()");
    assert_non_null(strstr(found, "table b_far: the store of this database's LSM tables is missing"));
    assert_non_null(strstr(found, "table y_far: "));
    assert_null(strstr(found, "_own"));
}

/* Beside the stores, as who looks for a store to use again finds them. */
static void files_of_others_in_the_stores_directory_are_left_alone(void **unused) {
    (void)unused;
    const char *stores = scratch_path("fresh.db-lsm"), *notes = scratch_path("fresh.db-lsm/notes");
    sqlite3 *fresh = sql_open(scratch_path("fresh.db"), 0);
    FILE *file = fopen(stores, "w"); /* a file where the directory should be */
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(sql_run(fresh, "CREATE VIRTUAL TABLE t USING lsm(v)") & 0xff, SQLITE_CANTOPEN);
    assert_non_null(strstr(sqlite3_errmsg(fresh), "fresh.db-lsm is in the way: it is no directory"));
    assert_int_equal(unlink(stores), 0);
    assert_int_equal(mkdir(stores, 0700), 0);
    assert_int_equal(mkdir(notes, 0700), 0);
    assert_int_equal(mkdir(scratch_path("fresh.db-lsm/000000000000000000000000000bad00"), 0700), 0); /* the name of a store */
    sql_must(fresh, "CREATE VIRTUAL TABLE t USING lsm(v); INSERT INTO t VALUES (1)");
    assert_string_equal(sql_rows(fresh, "SELECT v FROM t"), "1");
    assert_string_equal(sql_rows(fresh, "SELECT lsm_check()"), "ok");
    assert_int_equal(sqlite3_close(fresh), SQLITE_OK);
    assert_int_equal(rmdir(notes), 0); /* still there, and empty */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(tables_of_this_store_are_read_and_written_beside_them),
        TEST(who_opens_the_store_finds_that_it_fits),
        TEST(they_inherit_no_token),
        TEST(who_has_become_a_stranger_inherits_nothing),
        TEST(they_can_be_dropped_and_take_nothing_along),
        TEST(within_one_transaction_there_is_one_store),
        TEST(a_token_of_another_length_is_left_alone),
        TEST(a_check_names_what_is_not_in_the_store),
        TEST(files_of_others_in_the_stores_directory_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
