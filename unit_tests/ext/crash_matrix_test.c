/* The crash matrix (support/matrix.h): plain work on ordinary and LSM tables, alone and together, crashed at every operation.
 *
 * `make matrix` takes 1000 crashes a cell, `make check` a sample.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "../support/matrix.h"
#include "../support/model.h"

enum { TRANSACTIONS = 9, SAMPLE = 10 };

static const struct ledger_plan ordinary[] = {
    {.name = "ordinary", .tables = {"main.o", "main.o2"}},
    {.name = "ordinary-attached", .tables = {"main.o", "aux.o"}, .attached = true},
};
static const struct ledger_plan lsm_only[] = {
    {.name = "lsm-only", .tables = {"main.l", "main.l2"}},
    {.name = "lsm-only-large", .tables = {"main.l", "main.l2"}, .rows = 500},
};
static const struct ledger_plan with_garbage = {
    .name = "ddl-attached", .tables = {"main.o", "aux.l", "aux.o"}, .ddl = LEDGER_TABLES_COME_AND_GO, .attached = true};
static const struct ledger_plan together[] = {
    {.name = "mixed", .tables = {"main.o", "main.l"}},
    {.name = "attached", .tables = {"main.l", "aux.o"}, .attached = true},
    {.name = "attached-both", .tables = {"main.o", "main.l", "aux.o", "aux.l"}, .attached = true},
    {.name = "ddl", .tables = {"main.l", "main.o"}, .ddl = LEDGER_TABLES_COME_AND_GO},
    {.name = "last-table-attached", .tables = {"main.o", "aux.o"}, .ddl = LEDGER_LAST_TABLE, .attached = true},
    {.name = "last-table", .tables = {"main.o"}, .ddl = LEDGER_LAST_TABLE},
    {.name = "mixed-large", .tables = {"main.o", "main.l"}, .rows = 500},
    {.name = "indexed", .tables = {"main.lx", "main.o", "main.lx2"}},
};

/* A DROP outside of BEGIN leaves its rows in an attached file's store to the next statement that writes there. */
static void leave_garbage(sqlite3 *db) {
    static const char sql[] = "CREATE VIRTUAL TABLE aux.g USING lsm(n INTEGER PRIMARY KEY, v); INSERT INTO aux.g VALUES (1, 1);"
                              "DROP TABLE aux.g; DELETE FROM aux.l WHERE n = -1";
    matrix_must(db, sqlite3_exec(db, sql, NULL, NULL, NULL), "garbage");
}

/* Nine transactions, with a checkpoint, a flush, and a closing in between. */
static void work(void) {
    struct matrix_session session;
    int rc = matrix_open(&session, matrix.disk, matrix_sync_name());
    matrix_must(session.db, rc, "opening");
    for (int k = 1; k <= TRANSACTIONS; k++) {
        matrix.begun = k;
        matrix_must(session.db, ledger_transact(matrix.plan, session.db, k, 0), "transaction");
        matrix_acknowledge(session.db, k);
        if (matrix.plan == &with_garbage) leave_garbage(session.db);
        if (k == 3) matrix_must(session.db, sqlite3_exec(session.db, "PRAGMA wal_checkpoint", NULL, NULL, NULL), "checkpoint");
        if (k == 4) matrix_must(session.db, sqlite3_exec(session.db, "SELECT lsm_flush()", NULL, NULL, NULL), "flush");
        if (k != 6) continue;
        assert_int_equal(matrix_close(&session, false), SQLITE_OK);
        rc = matrix_open(&session, matrix.disk, matrix_sync_name());
        matrix_must(session.db, rc, "opening again");
    }
    assert_int_equal(matrix_close(&session, false), SQLITE_OK);
}

/* What comes between two transactions of the random work. */
static const char *const chores[] = {
    "SELECT lsm_flush()",
    "SELECT lsm_compact()",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "BEGIN; INSERT INTO lx VALUES (900, 'undone'); SAVEPOINT s; DELETE FROM lx; ROLLBACK TO s; UPDATE o SET v = 'undone'; ROLLBACK",
    "SAVEPOINT s; DELETE FROM lx WHERE n < 9; DELETE FROM o; ROLLBACK TO s; RELEASE s",
    "SELECT lsm_create_index('lx', 'late', 'n DESC, v')",
    "SELECT lsm_drop_index('lx', 'late')",
    "INSERT INTO lx SELECT 901, 'undone' UNION ALL SELECT 0, 'a duplicate'",
    "CREATE VIRTUAL TABLE g USING lsm(a PRIMARY KEY, b); INSERT INTO g VALUES (1, 2); DROP TABLE g",
    "SELECT count(*) FROM lx, o WHERE lx.n = o.n",
};

/* Transactions with chores between them, opened anew now and then; the same for the same LSM_TEST_SEED. */
static void work_at_random(void) {
    struct matrix_session session;
    const char *seed = getenv("LSM_TEST_SEED");
    struct model_random random = {1000003 * (seed == NULL ? 0 : strtoull(seed, NULL, 10)) + (uint64_t)matrix.journal * 10 + (uint64_t)matrix.sync};
    int rc = matrix_open(&session, matrix.disk, matrix_sync_name());
    matrix_must(session.db, rc, "opening");
    for (int k = 1; k <= TRANSACTIONS; k++) {
        matrix.begun = k;
        matrix_must(session.db, ledger_transact(matrix.plan, session.db, k, 0), "transaction");
        matrix_acknowledge(session.db, k);
        /* Some of them are refused, as an index that is not there is. */
        for (uint64_t i = model_below(&random, 3); i > 0; i--)
            (void)sqlite3_exec(session.db, chores[model_below(&random, sizeof chores / sizeof chores[0])], NULL, NULL, NULL);
        if (sqlite3_get_autocommit(session.db) == 0) matrix_must(session.db, sqlite3_exec(session.db, "ROLLBACK", NULL, NULL, NULL), "ROLLBACK");
        if (model_below(&random, 4) != 0) continue;
        assert_int_equal(matrix_close(&session, model_below(&random, 2) == 0), SQLITE_OK);
        rc = matrix_open(&session, matrix.disk, matrix_sync_name());
        matrix_must(session.db, rc, "opening again");
    }
    assert_int_equal(matrix_close(&session, false), SQLITE_OK);
}

static const struct ledger_plan at_random = {.name = "random", .tables = {"main.lx", "main.o"}};

static void run_plan(const struct ledger_plan *plan, struct matrix_counts *total) {
    struct matrix_job job = {.plan = plan, .work = work, .first = MATRIX_READ_OR_WRITE, .crashes = plan->rows > 0 ? SAMPLE / 3 : SAMPLE};
    matrix_run(&job, total);
}

/* If this fails, the disk or the promises are wrong, not the extension. */
static void ordinary_tables_alone_hold_what_sqlite_promises(void **state) {
    (void)state;
    struct matrix_counts total = {0};
    for (size_t i = 0; i < sizeof ordinary / sizeof ordinary[0]; i++) run_plan(&ordinary[i], &total);
    matrix_conclude(&total);
}

static void lsm_tables_alone_hold_what_is_promised(void **state) {
    (void)state;
    struct matrix_counts total = {0};
    for (size_t i = 0; i < sizeof lsm_only / sizeof lsm_only[0]; i++) run_plan(&lsm_only[i], &total);
    matrix_conclude(&total);
}

static void ordinary_and_lsm_tables_hold_together(void **state) {
    (void)state;
    struct matrix_counts total = {0};
    for (size_t i = 0; i < sizeof together / sizeof together[0]; i++) run_plan(&together[i], &total);
    run_plan(&with_garbage, &total);
    matrix_run(&(struct matrix_job){.plan = &at_random, .work = work_at_random, .first = MATRIX_READ_OR_WRITE, .crashes = SAMPLE}, &total);
    matrix_conclude(&total);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_tables_alone_hold_what_sqlite_promises),
        cmocka_unit_test(lsm_tables_alone_hold_what_is_promised),
        cmocka_unit_test(ordinary_and_lsm_tables_hold_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
