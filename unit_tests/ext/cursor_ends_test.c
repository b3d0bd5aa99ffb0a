/* Cursors whose transaction ends while they are on a row, as the outer loop of a join above all: after COMMIT they keep the row, its columns and its rowid and go on behind it,
 * after ROLLBACK they break, and without memory for the row the statement says so. */
#include "../../lsm_core/base/base.h"
#include "../support/sqlite_memory.h"
#include "database.h"

enum { TEXT_BYTES = 16000, POINTS_MAX = 2000 };

static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must("CREATE TABLE plain(x); INSERT INTO plain VALUES (1), (2), (3);"
         "CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v TEXT, w, UNIQUE (w), INDEX by_v (v));"
         "CREATE VIRTUAL TABLE c USING lsm(k TEXT, n, v, PRIMARY KEY (k, n));"
         "INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30), (4, 'd', 40); INSERT INTO c SELECT v, id, w FROM t;"
         "CREATE VIRTUAL TABLE l USING lsm(id INTEGER PRIMARY KEY, v TEXT, long);"
         "WITH RECURSIVE n(i) AS (SELECT 5 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO l SELECT i, 'none', 0 FROM n;"
         "INSERT INTO l SELECT id, v, printf('%01100d', w) FROM t WHERE id > 1");
    return 0;
}

/* Outer loops of every kind; each is on its first row when the transaction ends, and the inner loop, over an ordinary table, is not at its end. */
static const char *const queries[] = {
    "SELECT t.v, t.w, t.rowid, x FROM t CROSS JOIN plain",
    "SELECT t.rowid, x FROM t CROSS JOIN plain",
    "SELECT t.v, t.w, t.rowid, x FROM t CROSS JOIN plain ORDER BY t.id DESC",
    "SELECT t.v, t.w, t.rowid, x FROM t CROSS JOIN plain WHERE t.id = 2",
    "SELECT t.v, t.w, t.rowid, x FROM t CROSS JOIN plain WHERE t.id IN (1, 3, 4)",
    "SELECT t.v, t.w, t.rowid, x FROM t CROSS JOIN plain WHERE t.v > 'a'",
    "SELECT t.v, t.w, t.rowid, x FROM t CROSS JOIN plain WHERE t.v BETWEEN 'c' AND 'cc' ORDER BY t.v DESC",
    "SELECT t.v, t.w, t.rowid, x FROM t CROSS JOIN plain WHERE t.w IN (10, 30)",
    "SELECT t.v, x FROM t CROSS JOIN plain WHERE t.v BETWEEN 'b' AND 'c'",
    "SELECT c.k, c.n, c.v, x FROM c CROSS JOIN plain WHERE c.k >= 'b'",
    "SELECT c.n, c.v, x FROM c CROSS JOIN plain WHERE c.k = 'd' AND c.n < 9",
    "SELECT a.id, b.v, b.rowid, x FROM t AS a CROSS JOIN t AS b ON b.v || '' = a.v CROSS JOIN plain",
    /* The first row has none; for the second one there is a lookup, which does not have the records: they are too long for it. */
    "SELECT a.id, b.long, b.rowid, x FROM t AS a CROSS JOIN l AS b ON b.v = a.v CROSS JOIN plain",
};
enum { QUERIES = sizeof queries / sizeof queries[0] };

static uint64_t engine_calls; /* while armed */

/* The rows of a query in the midst of which the transaction ends; what it has written changes nothing. armed: allocations fail from there on. */
static int ended(const char *sql, const char *end, char *text, void (*arm)(int64_t n), int64_t n) {
    text[0] = '\0';
    must("BEGIN; UPDATE t SET w = w; UPDATE c SET v = v");
    sqlite3_stmt *statement = prepare(sql);
    assert_int_equal(sql_step(statement, text, TEXT_BYTES), SQLITE_ROW);
    if (arm != NULL) arm(n);
    engine_calls = lsm_mem_calls();
    int ending = run(end), rc = SQLITE_ROW;
    while (ending == SQLITE_OK && rc == SQLITE_ROW) rc = sql_step(statement, text, TEXT_BYTES);
    engine_calls = lsm_mem_calls() - engine_calls;
    if (arm != NULL) arm(0);
    sqlite3_finalize(statement);
    if (sqlite3_get_autocommit(db) == 0) must("ROLLBACK");
    return ending != SQLITE_OK ? ending : rc;
}

/* ---- tests --------------------------------------------------------------------------------------------------------------------------- */

static void after_commit_a_join_has_the_rows_that_it_has_without(void **unused) {
    (void)unused;
    static char wanted[TEXT_BYTES], got[TEXT_BYTES];
    for (int i = 0; i < QUERIES; i++) {
        assert_int_equal(ended(queries[i], "SELECT 1", wanted, NULL, 0), SQLITE_DONE);
        assert_int_equal(ended(queries[i], "COMMIT", got, NULL, 0), SQLITE_DONE);
        if (strcmp(got, wanted) != 0) fail_msg("%s: '%s', not '%s'", queries[i], got, wanted);
    }
}

static void after_rollback_its_next_row_is_an_error(void **unused) {
    (void)unused;
    static char got[TEXT_BYTES], first[TEXT_BYTES];
    for (int i = 0; i < QUERIES; i++) {
        int rc = ended(queries[i], "ROLLBACK", got, NULL, 0);
        if (rc != SQLITE_ABORT_ROLLBACK) fail_msg("%s: %d '%s'", queries[i], rc, got);
        sqlite3_stmt *statement = prepare(queries[i]);
        first[0] = '\0';
        assert_int_equal(sql_step(statement, first, sizeof first), SQLITE_ROW);
        assert_string_equal(got, first); /* what it had is no other row */
        sqlite3_finalize(statement);
    }
}

/* Where the inner loop has come to its end, what is left to be told is of the outer one, whose table is an ordinary one. */
static void what_is_at_its_end_does_not_mind(void **unused) {
    (void)unused;
    static const char sql[] = "SELECT x, t.v FROM plain LEFT JOIN t ON t.id = x + 2 ORDER BY x DESC";
    static const char *const ends[] = {"SELECT 1", "COMMIT", "ROLLBACK"};
    static char got[TEXT_BYTES];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        assert_int_equal(ended(sql, ends[i], got, NULL, 0), SQLITE_DONE);
        assert_string_equal(got, "3 NULL 2 d 1 c ");
    }
}

static void arm_sqlites(int64_t n) { sqlite_memory_fail_after(n, false); }
static void arm_the_engines(int64_t n) { lsm_mem_fail_after(n, false); }

static void without_memory_for_the_row_it_says_so(void **unused) {
    (void)unused;
    static char wanted[TEXT_BYTES], got[TEXT_BYTES];
    for (int i = 0; i < 2 * QUERIES; i++) {
        const char *sql = queries[i / 2];
        assert_int_equal(ended(sql, "COMMIT", wanted, NULL, 0), SQLITE_DONE);
        bool hit = true;
        for (int64_t n = 1; hit; n++) {
            int rc = ended(sql, "COMMIT", got, i % 2 == 0 ? arm_sqlites : arm_the_engines, n);
            hit = i % 2 == 0 ? sqlite_memory_failed() : engine_calls >= (uint64_t)n;
            if (rc == SQLITE_DONE && strcmp(got, wanted) != 0) fail_msg("%s, allocation %d: '%s', not '%s'", sql, (int)n, got, wanted);
            if (rc != SQLITE_DONE && (rc & 0xff) != SQLITE_NOMEM && rc != SQLITE_IOERR_NOMEM)
                fail_msg("%s, allocation %d: %d %s", sql, (int)n, rc, sqlite3_errmsg(db));
            assert_true(n < POINTS_MAX);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_and_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(after_commit_a_join_has_the_rows_that_it_has_without),
        TEST(after_rollback_its_next_row_is_an_error),
        TEST(what_is_at_its_end_does_not_mind),
        TEST(without_memory_for_the_row_it_says_so),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
