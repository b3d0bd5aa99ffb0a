/* The end of a transaction under a rollback journal, which SQLite closes, and we sync where its level does not (journal.c): each operation on files and each allocation of such a COMMIT
 * fails once. Both kinds of rows are there or none, for who committed and for who comes next, also when everybody is killed; and the next COMMIT succeeds.
 *
 * LSM_FAULTS=1 strikes every point; N: every N-th; 3 if it does not say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/base/base.h"
#include "../support/machine.h"
#include "../support/sqlite_memory.h"

enum { POINTS_MAX = 3000, SQL_BYTES = 200 };

static struct {
    struct lsm_env *disk;
    struct machine *machine;
    struct process *process;
    sqlite3 *db;
} run;

static void must(const char *sql) {
    if (sqlite3_exec(run.db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %d %s", sql, sqlite3_extended_errcode(run.db), sqlite3_errmsg(run.db));
}

static int number(const char *sql) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(run.db, sql, -1, &statement, NULL), SQLITE_OK);
    int rc = sqlite3_step(statement), value = rc == SQLITE_ROW ? sqlite3_column_int(statement, 0) : -1;
    if (sqlite3_finalize(statement) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(run.db));
    return value;
}

static void connect(const char *pragmas) {
    run.process = process_new(run.machine);
    assert_int_equal(process_open(run.process, "/app.db", &run.db), SQLITE_OK);
    must(pragmas);
}

static void disconnect(void) {
    (void)sqlite3_close(run.db);
    process_free(run.process);
}

enum kind { OPERATION, OF_SQLITE, OF_THE_ENGINE, KINDS };

/* Transaction k with the n-th step failing; false: there is none. *rc: what became of it. */
static bool transact(int k, enum kind kind, uint64_t n, int *rc) {
    char sql[SQL_BYTES];
    struct lsm_env_fault fault = {.at = n, .ops = LSM_ENV_ALL};
    (void)snprintf(sql, sizeof sql, "BEGIN; INSERT INTO o VALUES (%d); INSERT INTO l VALUES (%d, 'both'); COMMIT", k, k);
    uint64_t calls = lsm_mem_calls();
    if (kind == OPERATION) lsm_env_mem_fail_at(run.disk, &fault);
    if (kind == OF_SQLITE) sqlite_memory_fail_after((int64_t)n, false);
    if (kind == OF_THE_ENGINE) lsm_mem_fail_after((int64_t)n, false);
    *rc = sqlite3_exec(run.db, sql, NULL, NULL, NULL);
    bool hit = kind == OPERATION ? lsm_env_mem_faults(run.disk) > 0 : kind == OF_SQLITE ? sqlite_memory_failed() : lsm_mem_calls() - calls >= n;
    lsm_env_mem_fail_at(run.disk, NULL);
    sqlite_memory_fail_after(0, false);
    lsm_mem_fail_after(0, false);
    if (*rc != SQLITE_OK && sqlite3_get_autocommit(run.db) == 0) must("ROLLBACK");
    return hit;
}

static bool strike(const char *pragmas, enum kind kind, uint64_t n) {
    int rc, later;
    run.disk = lsm_env_mem_new_strict();
    run.machine = machine_new(run.disk);
    connect(pragmas);
    must("CREATE TABLE o(k INTEGER PRIMARY KEY); CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY, v); "
         "BEGIN; INSERT INTO o VALUES (1); INSERT INTO l VALUES (1, 'first'); COMMIT");
    bool hit = transact(2, kind, n, &rc);
    if (!hit) assert_int_equal(rc, SQLITE_OK);
    for (int again = 0; again < 3; again++) { /* the same connection, one after it was closed, and one after everybody was killed */
        int ordinary = number("SELECT count(*) FROM o WHERE k = 2"), lsm = number("SELECT count(*) FROM l WHERE k = 2");
        if (ordinary != lsm || (rc == SQLITE_OK && lsm != 1) || number("SELECT count(*) FROM l WHERE k = 1") != 1)
            fail_msg("%s, kind %d, point %llu: %d, %d ordinary and %d rows", pragmas, kind, (unsigned long long)n, rc, ordinary, lsm);
        if (again == 1) process_kill(run.process);
        if (again < 2) {
            disconnect();
            connect(pragmas);
        }
    }
    (void)transact(3, KINDS, 0, &later);
    assert_int_equal(later, SQLITE_OK);
    assert_int_equal(number("SELECT count(*) FROM o, l WHERE o.k = 3 AND l.k = 3"), 1);
    assert_int_equal(number("SELECT lsm_check() = 'ok'"), 1);
    disconnect();
    machine_free(run.machine);
    lsm_env_mem_free(run.disk);
    return hit;
}

static uint64_t stride(void) {
    const char *text = getenv("LSM_FAULTS");
    int n = text == NULL ? 3 : atoi(text);
    return n < 1 ? 1 : (uint64_t)n;
}

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
