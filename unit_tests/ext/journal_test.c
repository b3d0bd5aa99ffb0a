/* The end of a transaction under a rollback journal, which SQLite closes, and we sync where its level does not (journal.c): each operation on files and each allocation of such a COMMIT
 * fails once. Both kinds of rows are there or none, for who committed and for who comes next, also when everybody is killed; and the next COMMIT succeeds.
 *
 * LSM_FAULTS=1 strikes every point; N: every N-th; 3 if it does not say.
 */
#include "steps.h"

enum { POINTS_MAX = 3000, SQL_BYTES = 200 };

/* Transaction k with the n-th step failing; false: there is none. *rc: what became of it. */
static bool transact(int k, enum kind kind, uint64_t n, int *rc) {
    char sql[SQL_BYTES];
    (void)snprintf(sql, sizeof sql, "BEGIN; INSERT INTO o VALUES (%d); INSERT INTO l VALUES (%d, 'both'); COMMIT", k, k);
    arm(kind, n);
    *rc = run(sql);
    bool hit = disarm(kind, n);
    if (*rc != SQLITE_OK && sqlite3_get_autocommit(db) == 0) must("ROLLBACK");
    return hit;
}

static bool strike(const char *pragmas, enum kind kind, uint64_t n) {
    int rc;
    begin(lsm_env_mem_new_strict());
    must(pragmas);
    must("CREATE TABLE o(k INTEGER PRIMARY KEY); CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY, v); "
         "BEGIN; INSERT INTO o VALUES (1); INSERT INTO l VALUES (1, 'first'); COMMIT");
    bool hit = transact(2, kind, n, &rc);
    if (!hit) assert_int_equal(rc, SQLITE_OK);
    for (int again = 0; again < 3; again++) { /* the same connection, one after it was closed, and one after everybody was killed */
        int ordinary = number("SELECT count(*) FROM o WHERE k = 2"), lsm = number("SELECT count(*) FROM l WHERE k = 2");
        if (ordinary != lsm || (rc == SQLITE_OK && lsm != 1) || number("SELECT count(*) FROM l WHERE k = 1") != 1)
            fail_msg("%s, kind %d, point %llu: %d, %d ordinary and %d rows", pragmas, kind, (unsigned long long)n, rc, ordinary, lsm);
        if (again == 1) process_kill(computer.process);
        if (again < 2) {
            come_next();
            must(pragmas);
        }
    }
    (void)transact(3, KINDS, 0, &rc);
    assert_int_equal(rc, SQLITE_OK);
    assert_int_equal(number("SELECT count(*) FROM o, l WHERE o.k = 3 AND l.k = 3"), 1);
    assert_int_equal(number("SELECT lsm_check() = 'ok'"), 1);
    end();
    return hit;
}

static uint64_t stride(void) { return given_stride("LSM_FAULTS", 3); }

static void a_commit_under_a_rollback_journal_has_happened_or_not(void **state) {
    (void)state;
    static const char *const modes[] = {
        "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL", "PRAGMA journal_mode = DELETE; PRAGMA synchronous = NORMAL",
        "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL",     "PRAGMA journal_mode = PERSIST; PRAGMA synchronous = NORMAL",
        "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = EXTRA",
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        for (enum kind kind = OPERATION; kind < KINDS; kind++) {
            for (uint64_t n = 1 + i % stride(); strike(modes[i], kind, n); n += stride()) assert_true(n < POINTS_MAX);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_commit_under_a_rollback_journal_has_happened_or_not)};
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
