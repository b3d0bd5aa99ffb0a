/* Cursors: one that is closed is kept for the next statement, which sees nothing of it; and texts are keys, however they were made. */
#include "database.h"

/* The first column of all rows, with blanks between; the statement is reset. */
static const char *rows_of(sqlite3_stmt *statement) {
    static char text[4096];
    size_t size = 0;
    text[0] = '\0';
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *value = (const char *)sqlite3_column_text(statement, 0);
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%s", size == 0 ? "" : " ", value == NULL ? "NULL" : value);
    }
    assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    return text;
}

static void make_table(void) {
    must("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, a, b);"
         "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT INTO t SELECT printf('k%03d', i), i % 10, i FROM n");
}

static const char *bound(sqlite3_stmt *statement, const char *text) {
    if (text == NULL)
        assert_int_equal(sqlite3_bind_null(statement, 1), SQLITE_OK);
    else
        assert_int_equal(sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC), SQLITE_OK);
    return rows_of(statement);
}

static void a_lookup_finds_its_own_key_whatever_was_looked_for_before(void **unused) {
    (void)unused;
    make_table();
    sqlite3_stmt *point = prepare("SELECT b FROM t WHERE k = ?1");
    assert_string_equal(bound(point, "k007"), "7");
    assert_string_equal(bound(point, NULL), "");
    assert_string_equal(bound(point, "k00"), "");
    assert_string_equal(bound(point, "k0077"), "");
    assert_string_equal(bound(point, "k999"), "999");
    assert_int_equal(sqlite3_bind_int(point, 1, 7), SQLITE_OK);
    assert_string_equal(rows_of(point), "");
    assert_string_equal(rows("SELECT b FROM t WHERE k > 'k997'"), "998 999");
    assert_string_equal(bound(point, "k123"), "123");
    assert_string_equal(rows("SELECT b FROM t WHERE k IN ('k500', 'nothing', 'k400') ORDER BY k DESC"), "500 400");
    assert_string_equal(bound(point, ""), "");
    assert_int_equal(sqlite3_finalize(point), SQLITE_OK);
}

static void an_index_that_takes_another_ones_number_is_walked_as_it_is(void **unused) {
    (void)unused;
    make_table();
    must("SELECT lsm_create_index('t', 'one', 'a, b')");
    assert_string_equal(rows("SELECT k FROM t WHERE a = 3 AND b < 20"), "k003 k013");
    must("SELECT lsm_drop_index('t', 'one'); SELECT lsm_create_index('t', 'other', 'b DESC', 1)");
    assert_string_equal(rows("SELECT k FROM t WHERE b = 33"), "k033");
    assert_string_equal(rows("SELECT k FROM t WHERE b > 997 ORDER BY b"), "k998 k999");
    assert_string_equal(rows("SELECT k FROM t WHERE b IS NULL"), "");
}

static void a_cursor_broken_by_rollback_breaks_no_other(void **unused) {
    (void)unused;
    make_table();
    must("BEGIN; DELETE FROM t WHERE k = 'k005'");
    sqlite3_stmt *walk = prepare("SELECT b FROM t WHERE k >= 'k004'");
    assert_int_equal(sqlite3_step(walk), SQLITE_ROW);
    must("ROLLBACK");
    assert_int_not_equal(sqlite3_step(walk), SQLITE_ROW);
    assert_int_not_equal(sqlite3_finalize(walk), SQLITE_OK);
    assert_string_equal(rows("SELECT b FROM t WHERE k >= 'k004' AND k < 'k007'"), "4 5 6");
    assert_string_equal(rows("SELECT b FROM t WHERE k = 'k005'"), "5");
}

static void an_update_leaves_long_values_of_another_walk_alone(void **unused) {
    (void)unused;
    make_table();
    must("UPDATE t SET a = printf('%.400c', 'x') WHERE k < 'k002'");
    must("UPDATE t SET b = -1 WHERE k < 'k002'");
    assert_string_equal(rows("SELECT length(a) || ':' || b FROM t WHERE k < 'k003'"), "400:-1 400:-1 1:2");
    must("BEGIN; UPDATE t SET b = -2 WHERE k = 'k000'");
    assert_string_equal(rows("SELECT length(a) || ':' || b FROM t WHERE k = 'k000'"), "400:-2");
    must("COMMIT");
}

static void what_is_kept_is_small(void **unused) {
    (void)unused;
    make_table();
    assert_string_equal(rows("SELECT b FROM t WHERE k = 'k007'"), "7");
    sqlite3_int64 before = sqlite3_memory_used();
    assert_string_equal(rows("SELECT count(*) FROM t WHERE k = printf('%.*c', 1000000, 'k')"), "0");
    assert_string_equal(rows("SELECT count(*) FROM t WHERE k IN (SELECT printf('k%03d', b) FROM t) AND b + 0 < 500"), "500");
    sqlite3_int64 kept = sqlite3_memory_used() - before;
    if (kept > 64 * 1024) fail_msg("%d bytes are kept", (int)kept);
}

/* Its argument, made of UTF-16. */
static void wide_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    sqlite3_result_text16(context, sqlite3_value_text16(argv[0]), -1, SQLITE_TRANSIENT);
}

static void a_text_is_a_key_however_it_was_made(void **unused) {
    (void)unused;
    must("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v)");
    assert_int_equal(sqlite3_create_function(db, "wide", 1, SQLITE_UTF8, NULL, wide_function, NULL, NULL), SQLITE_OK);
    must("INSERT INTO t VALUES (wide(''), 0), (wide('a'), 1), (wide('\xc3\xa4'), 2), (wide('\xf0\x9f\x8c\x8d'), 3), (12, 4)");
    assert_string_equal(rows("SELECT hex(k) FROM t ORDER BY k"), "3132 61 C3A4 F09F8C8D");
    sqlite3_stmt *point = prepare("SELECT v FROM t WHERE k = ?1"), *wide = prepare("SELECT v FROM t WHERE k = wide(?1)");
    const char *texts[] = {"", "a", "\xc3\xa4", "\xf0\x9f\x8c\x8d", "12", "b"}, *values[] = {"0", "1", "2", "3", "4", ""};
    for (int i = 0; i < 6; i++) {
        assert_string_equal(bound(point, texts[i]), values[i]);
        assert_string_equal(bound(wide, texts[i]), values[i]);
        /* No NUL behind it. */
        char open_ended[] = "........";
        memcpy(open_ended, texts[i], strlen(texts[i]));
        assert_int_equal(sqlite3_bind_text(point, 1, open_ended, (int)strlen(texts[i]), SQLITE_STATIC), SQLITE_OK);
        assert_string_equal(rows_of(point), values[i]);
    }
    assert_int_equal(sqlite3_bind_int(point, 1, 12), SQLITE_OK);
    assert_string_equal(rows_of(point), "4");
    assert_int_equal(sqlite3_finalize(point), SQLITE_OK);
    assert_int_equal(sqlite3_finalize(wide), SQLITE_OK);
}

static void a_key_that_is_read_stays_while_other_statements_read_others(void **unused) {
    (void)unused;
    make_table();
    sqlite3_stmt *one = prepare("SELECT k, b FROM t WHERE k = ?1"), *other = prepare("SELECT k || k FROM t WHERE k = ?1");
    assert_int_equal(sqlite3_bind_text(one, 1, "k007", -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(one), SQLITE_ROW);
    assert_string_equal(bound(other, "k123"), "k123k123");
    assert_string_equal(rows("SELECT k FROM t WHERE k = 'k456'"), "k456");
    must("UPDATE t SET b = -1 WHERE k = 'k008'; DELETE FROM t WHERE k = 'k009'");
    assert_string_equal((const char *)sqlite3_column_text(one, 0), "k007");
    assert_string_equal((const char *)sqlite3_column_text(one, 1), "7");
    assert_int_equal(sqlite3_reset(one), SQLITE_OK);
    assert_string_equal(bound(one, "k008"), "k008");
    assert_string_equal(bound(one, "k009"), "");
    assert_int_equal(sqlite3_finalize(one), SQLITE_OK);
    assert_int_equal(sqlite3_finalize(other), SQLITE_OK);
    /* The row before is compared with this one. */
    assert_string_equal(rows("SELECT k || count(*) FROM t WHERE k IN ('k001', 'k002', 'k003') GROUP BY k"), "k0011 k0021 k0031");
}

static void an_update_leaves_keys_of_every_type_alone(void **unused) {
    (void)unused;
    static const char all[] = "SELECT hex(k) || typeof(k) || v FROM t ORDER BY k";
    must("CREATE VIRTUAL TABLE t USING lsm(k PRIMARY KEY, v, w, INDEX by_w (w));"
         "INSERT INTO t VALUES (1, 0, 0), (2.5, 0, 1), ('a', 0, 0), ('', 0, 1), (x'', 0, 0), (x'00ff', 0, 1)");
    must("UPDATE t SET v = 1 WHERE k = 1; UPDATE t SET v = 1 WHERE k = 'a'; UPDATE t SET v = 1 WHERE k = ''; UPDATE t SET v = 1 WHERE k = x'00ff'");
    assert_string_equal(rows(all), "31integer1 322E35real0 text1 61text1 blob0 00FFblob1");
    must("UPDATE t SET v = v + 2");
    assert_string_equal(rows(all), "31integer3 322E35real2 text3 61text3 blob2 00FFblob3");
    must("UPDATE t SET v = v + 2, w = w + 1 WHERE w = 1");
    assert_string_equal(rows(all), "31integer3 322E35real4 text5 61text3 blob2 00FFblob5");
    assert_string_equal(rows("SELECT hex(k) FROM t WHERE w = 2 ORDER BY k"), "322E35  00FF");
    must("UPDATE t SET k = k || 'b', v = k WHERE k = 'a'");
    assert_string_equal(rows("SELECT k || v FROM t WHERE k = 'ab'"), "aba");
    assert_string_equal(rows("SELECT lsm_check()"), "ok");
    /* Longer than what is lent. */
    must("CREATE VIRTUAL TABLE u USING lsm(k TEXT PRIMARY KEY, v);"
         "INSERT INTO u SELECT printf('%.*c', i, 'x'), i FROM (SELECT 255 AS i UNION SELECT 256 UNION SELECT 257)");
    must("UPDATE u SET v = -v WHERE k = printf('%.257c', 'x'); UPDATE u SET v = -v WHERE k = printf('%.256c', 'x')");
    must("DELETE FROM u WHERE k = printf('%.255c', 'x')");
    assert_string_equal(rows("SELECT length(k) || v FROM u ORDER BY k"), "256-256 257-257");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lookup_finds_its_own_key_whatever_was_looked_for_before, open_in_memory, close_database),
        cmocka_unit_test_setup_teardown(an_index_that_takes_another_ones_number_is_walked_as_it_is, open_in_memory, close_database),
        cmocka_unit_test_setup_teardown(a_cursor_broken_by_rollback_breaks_no_other, open_in_memory, close_database),
        cmocka_unit_test_setup_teardown(an_update_leaves_long_values_of_another_walk_alone, open_in_memory, close_database),
        cmocka_unit_test_setup_teardown(what_is_kept_is_small, open_in_memory, close_database),
        cmocka_unit_test_setup_teardown(a_text_is_a_key_however_it_was_made, open_in_memory, close_database),
        cmocka_unit_test_setup_teardown(a_key_that_is_read_stays_while_other_statements_read_others, open_in_memory, close_database),
        cmocka_unit_test_setup_teardown(an_update_leaves_keys_of_every_type_alone, open_in_memory, close_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
