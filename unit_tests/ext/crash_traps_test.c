/* Crashes where commits are known to go wrong: a COMMIT that fails after xSync and is repeated with more rows, a vetoed one, a table that is dropped
 * or renamed before the transaction that its token decides is settled. As the matrix (support/matrix.h), with other work. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../support/matrix.h"
#include "../support/sql.h"

enum { TRANSACTIONS = 5, SAMPLE = 8 };

static const struct ledger_plan mixed = {.name = "mixed", .tables = {"main.o", "main.l"}, .begins = true};
static const struct ledger_plan lsm_only = {.name = "lsm-only", .tables = {"main.l", "main.l2"}, .begins = true};
static const struct ledger_plan attached = {.name = "attached", .tables = {"main.o", "main.l", "aux.o", "aux.l"}, .attached = true, .begins = true};
static const struct ledger_plan two_tables = {.name = "two-tables", .tables = {"main.o", "main.l", "main.l2"}, .begins = true};

static void open_session(struct matrix_session *session) {
    int rc = matrix_open(session, matrix.disk, matrix_sync_name());
    matrix_must(session->db, rc, "opening");
}

static void begin_with_rows(sqlite3 *db, int k, int variant) {
    matrix_must(db, sql_run(db, "BEGIN"), "BEGIN");
    matrix_must(db, ledger_insert(matrix.plan, db, k, variant), "first half");
}

/* ---- COMMIT that is busy ------------------------------------------------------------------------------------------------------- */

/* A reader of the database file lets xSync pass, but not the commit. Half of the transaction comes after that. */
static void commit_behind_a_reader(sqlite3 *db, sqlite3 *reader, int k) {
    matrix_must(reader, sql_run(reader, "BEGIN; SELECT count(*) FROM main.sqlite_schema"), "reader");
    begin_with_rows(db, k, 0);
    assert_int_equal(sql_run(db, "COMMIT"), SQLITE_BUSY);
    matrix_must(db, ledger_update(matrix.plan, db, k), "second half");
    assert_int_equal(sql_run(db, "COMMIT"), SQLITE_BUSY);
    if (k % 2 == 0) { /* given up after all */
        matrix_must(db, sql_run(db, "ROLLBACK"), "ROLLBACK");
        matrix_must(reader, sql_run(reader, "COMMIT"), "reader's end");
        matrix_must(db, ledger_transact(matrix.plan, db, k, 2), "once more");
        return;
    }
    matrix_must(reader, sql_run(reader, "COMMIT"), "reader's end");
    matrix_must(db, sql_run(db, "COMMIT"), "COMMIT at last");
}

static void work_behind_readers(void) {
    struct matrix_session session;
    sqlite3 *reader = NULL;
    open_session(&session);
    int rc = matrix_connect(session.process, matrix_sync_name(), &reader);
    matrix_must(reader, rc, "reader's connection");
    for (int k = 1; k <= TRANSACTIONS; k++) {
        matrix.begun = k;
        commit_behind_a_reader(session.db, reader, k);
        matrix_acknowledge(session.db, k);
    }
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    assert_int_equal(matrix_close(&session, false), SQLITE_OK);
}

static void a_commit_that_was_busy_and_is_repeated_with_more_rows_is_whole_or_not_there(void **state) {
    (void)state;
    static const struct ledger_plan *const all[] = {&mixed, &lsm_only, &attached};
    struct matrix_counts total = {0};
    for (size_t i = 0; i < 3; i++) {
        struct matrix_job job = {.plan = all[i], .work = work_behind_readers, .first = MATRIX_READ_OR_WRITE, .crashes = SAMPLE, .no_wal = true};
        matrix_run(&job, &total);
    }
    matrix_conclude(&total);
}

/* ---- COMMIT that is vetoed ------------------------------------------------------------------------------------------------------- */

static int veto(void *arg) {
    int *left = arg;
    return (*left)-- > 0;
}

/* Where only a store is written and the database is in WAL mode, the store's log decides, which is before the hook: a crash before the hook's answer
 * has reached the log may leave the transaction, whole. Nobody was told anything then. Everywhere else it must never show up. */
static void be_vetoed(sqlite3 *db, int *vetoes, int k) {
    bool log_decides = matrix.journal == MATRIX_WAL && matrix.plan == &lsm_only;
    begin_with_rows(db, k, 3);
    if (log_decides) matrix_must(db, ledger_update(matrix.plan, db, k), "second half"); /* else half of it: if that shows up it is wrong */
    if (log_decides) matrix.begun = k;
    *vetoes = 1;
    assert_int_equal(sql_run(db, "COMMIT"), SQLITE_CONSTRAINT_COMMITHOOK);
    *vetoes = 0;
    matrix.begun = k - 1;
}

static void work_with_vetoes(void) {
    struct matrix_session session;
    int vetoes = 0;
    open_session(&session);
    sqlite3_commit_hook(session.db, veto, &vetoes);
    for (int k = 1; k <= TRANSACTIONS; k++) {
        be_vetoed(session.db, &vetoes, k);
        if (k == 3) {
            sqlite3_commit_hook(session.db, NULL, NULL);
            assert_int_equal(matrix_close(&session, false), SQLITE_OK);
            open_session(&session);
            sqlite3_commit_hook(session.db, veto, &vetoes);
        }
        matrix.begun = k;
        matrix_must(session.db, ledger_transact(matrix.plan, session.db, k, 0), "transaction");
        matrix_acknowledge(session.db, k);
    }
    assert_int_equal(matrix_close(&session, false), SQLITE_OK);
}

static void a_vetoed_commit_never_comes_back(void **state) {
    (void)state;
    static const struct ledger_plan *const all[] = {&mixed, &lsm_only, &attached};
    struct matrix_counts total = {0};
    for (size_t i = 0; i < 3; i++) {
        struct matrix_job job = {.plan = all[i], .work = work_with_vetoes, .first = MATRIX_READ_OR_WRITE, .crashes = SAMPLE};
        matrix_run(&job, &total);
    }
    matrix_conclude(&total);
}

/* ---- tables that go before the transaction is settled ------------------------------------------------------------------------------ */

static void work_plainly(void) {
    struct matrix_session session;
    open_session(&session);
    for (int k = 1; k <= TRANSACTIONS; k++) {
        matrix.begun = k;
        matrix_must(session.db, ledger_transact(matrix.plan, session.db, k, 0), "transaction");
        matrix_acknowledge(session.db, k);
    }
    assert_int_equal(matrix_close(&session, false), SQLITE_OK);
}

static void first_of_all(enum matrix_first first) {
    struct matrix_counts total = {0};
    struct matrix_job job = {.plan = &two_tables, .work = work_plainly, .first = first, .crashes = 2 * SAMPLE};
    matrix_run(&job, &total);
    matrix_conclude(&total);
}

static void a_table_dropped_before_the_settling_takes_no_decision_along(void **state) {
    (void)state;
    first_of_all(MATRIX_DROP);
}

static void a_table_renamed_before_the_settling_still_decides(void **state) {
    (void)state;
    first_of_all(MATRIX_RENAME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_that_was_busy_and_is_repeated_with_more_rows_is_whole_or_not_there),
        cmocka_unit_test(a_vetoed_commit_never_comes_back),
        cmocka_unit_test(a_table_dropped_before_the_settling_takes_no_decision_along),
        cmocka_unit_test(a_table_renamed_before_the_settling_still_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
