/* Transactions through SQLite's own calls: savepoints, statements undone, cursors that outlive their transaction, COMMIT that fails and is
 * repeated, CREATE and DROP undone, memory that runs out. */
#include "../../lsm_core/base/base.h"
#include "../support/sqlite_memory.h"
#include "database.h"

/* ---- scaffolding ----------------------------------------------------------------------------------------------- */

static sqlite3_stmt *start(const char *sql, int steps) {
    sqlite3_stmt *statement = prepare(sql);
    for (int i = 0; i < steps; i++) assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    return statement;
}

/* What is left, added up; the statement is finalized. */
static int64_t sum_rest(sqlite3_stmt *statement, int *rc) {
    int64_t sum = 0;
    while ((*rc = sqlite3_step(statement)) == SQLITE_ROW) sum += sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return sum;
}

static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE u USING lsm(k TEXT PRIMARY KEY, v);"
         "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    return 0;
}

/* ---- savepoints ------------------------------------------------------------------------------------------------ */

static void savepoints_nest(void **unused) {
    (void)unused;
    must("BEGIN; INSERT INTO t VALUES (4, 0); SAVEPOINT a; INSERT INTO t VALUES (5, 0); SAVEPOINT b; INSERT INTO t VALUES (6, 0)");
    must("ROLLBACK TO b; INSERT INTO t VALUES (7, 0); ROLLBACK TO b");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4 5");
    must("RELEASE b; INSERT INTO t VALUES (8, 0); ROLLBACK TO a; INSERT INTO t VALUES (9, 0); COMMIT");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4 9");
}

static void a_savepoint_that_began_the_transaction_takes_everything_back(void **unused) {
    (void)unused;
    must("SAVEPOINT a; INSERT INTO t VALUES (4, 0), (5, 0); ROLLBACK TO a");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
    must("INSERT INTO t VALUES (6, 0); RELEASE a");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 6");
}

static void a_table_that_joins_late_goes_back_to_each_outer_savepoint(void **unused) {
    (void)unused;
    must("SAVEPOINT a; SAVEPOINT b; SAVEPOINT c; INSERT INTO t VALUES (4, 0), (5, 0); ROLLBACK TO b");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
    must("INSERT INTO t VALUES (6, 0); INSERT INTO u VALUES ('x', 0), ('y', 0); ROLLBACK TO b");
    assert_string_equal(rows("SELECT count(*) FROM t, u"), "0");
    must("INSERT INTO t VALUES (7, 0); SAVEPOINT c; INSERT INTO u VALUES ('z', 0); ROLLBACK TO c; COMMIT");
    assert_string_equal(rows("SELECT id FROM t UNION ALL SELECT k FROM u"), "1 2 3 7");
}

static void a_late_joiner_does_not_move_the_savepoints_of_others(void **unused) {
    (void)unused;
    must("BEGIN; SAVEPOINT a; INSERT INTO t VALUES (4, 0); SAVEPOINT b; INSERT INTO t VALUES (5, 0); INSERT INTO u VALUES ('x', 0); ROLLBACK TO b");
    assert_string_equal(rows("SELECT id FROM t UNION ALL SELECT k FROM u"), "1 2 3 4");
    must("ROLLBACK TO a; COMMIT");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
}

static void a_failing_statement_takes_back_itself_only(void **unused) {
    (void)unused;
    must("BEGIN; INSERT INTO t VALUES (4, 0)");
    assert_int_equal(run("INSERT INTO t VALUES (5, 0), (6, 0), (1, 0)"), SQLITE_CONSTRAINT_PRIMARYKEY);
    assert_string_equal(sqlite3_errmsg(db), "UNIQUE constraint failed: t.id");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4");
    assert_int_equal(run("INSERT OR FAIL INTO t VALUES (5, 0), (1, 0), (6, 0)"), SQLITE_CONSTRAINT_PRIMARYKEY);
    must("INSERT OR IGNORE INTO t VALUES (1, 0), (7, 0)");
    must("COMMIT");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4 5 7");
    assert_int_equal(run("BEGIN; INSERT INTO t VALUES (8, 0); INSERT OR ROLLBACK INTO t VALUES (1, 0)"), SQLITE_CONSTRAINT_PRIMARYKEY);
    assert_int_equal(sqlite3_get_autocommit(db), 1);
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4 5 7");
}

static void the_greatest_rowid_is_forgotten_with_the_row(void **unused) {
    (void)unused;
    must("BEGIN; SAVEPOINT a; INSERT INTO t(v) VALUES (0), (0), (0); ROLLBACK TO a; INSERT INTO t(v) VALUES ('x'); COMMIT");
    assert_string_equal(rows("SELECT id FROM t WHERE v = 'x'"), "4");
    must("BEGIN; DELETE FROM t WHERE id = 4; INSERT INTO t(v) VALUES ('y'); UPDATE t SET id = 100 WHERE v = 'y'; INSERT INTO t(v) VALUES ('z'); "
         "COMMIT");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 100 101");
}

/* ---- cursors --------------------------------------------------------------------------------------------------- */

static void a_cursor_goes_on_after_commit(void **unused) {
    (void)unused;
    static const char *const queries[] = {"SELECT id FROM t", "SELECT id FROM t ORDER BY id DESC", "SELECT id FROM t WHERE id IN (1, 2, 3, 4)",
                                          "SELECT id FROM t WHERE id BETWEEN 1 AND 4"};
    for (int i = 0; i < 4; i++) {
        int rc = 0;
        must("BEGIN; INSERT INTO t VALUES (4, 0)");
        sqlite3_stmt *statement = start(queries[i], 2);
        must("COMMIT; DELETE FROM t WHERE id = 4");
        int64_t sum = sum_rest(statement, &rc);
        assert_int_equal(rc, SQLITE_DONE);
        assert_int_equal(sum, i == 1 ? 2 + 1 : 3); /* row 4 is gone by then */
    }
}

static void a_cursor_is_broken_by_rollback_and_keeps_its_row_until_then(void **unused) {
    (void)unused;
    int rc = 0;
    must("BEGIN; INSERT INTO t VALUES (4, 0)");
    sqlite3_stmt *statement = start("SELECT id FROM t", 1);
    must("ROLLBACK");
    (void)sum_rest(statement, &rc);
    assert_int_equal(rc, SQLITE_ABORT_ROLLBACK);
    must("BEGIN; INSERT INTO t VALUES (4, 0); SAVEPOINT a; INSERT INTO t VALUES (5, 0)");
    statement = start("SELECT id FROM t", 1);
    must("ROLLBACK TO a");
    (void)sum_rest(statement, &rc);
    assert_int_equal(rc, SQLITE_ABORT_ROLLBACK);
    statement = start("SELECT id FROM t", 1); /* reads 1, 2, 3, 4 */
    must("SAVEPOINT b; INSERT INTO t VALUES (6, 0); ROLLBACK TO b");
    assert_int_equal(sum_rest(statement, &rc), 2 + 3 + 4);
    assert_int_equal(rc, SQLITE_DONE);
    must("COMMIT");
}

/* Lookups (ext/lookups.h) live as long as any cursor is open. */
static void a_join_after_rollback_to_sees_what_is_left(void **unused) {
    (void)unused;
    static const char join[] = "SELECT count(*) FROM t CROSS JOIN u ON u.v = t.v";
    must("DELETE FROM t; BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO t SELECT i, i FROM n;"
         "INSERT INTO u SELECT id, v FROM t");
    sqlite3_stmt *open = start("SELECT id FROM t", 1);
    must("SAVEPOINT a; DELETE FROM u WHERE v % 2");
    assert_string_equal(rows(join), "150");
    must("ROLLBACK TO a");
    assert_string_equal(rows(join), "300");
    assert_int_equal(sqlite3_finalize(open), SQLITE_OK);
    must("COMMIT");
}

static void an_older_view_survives_the_transactions_of_its_connection(void **unused) {
    (void)unused;
    int rc = 0;
    sqlite3_stmt *statement = start("SELECT id FROM t", 1);
    must("INSERT INTO t VALUES (4, 0); BEGIN; INSERT INTO t VALUES (5, 0); ROLLBACK; UPDATE t SET v = 1; DELETE FROM t WHERE id = 2");
    assert_string_equal(rows("SELECT id FROM t"), "1 3 4");
    assert_int_equal(sum_rest(statement, &rc), 2 + 3);
    assert_int_equal(rc, SQLITE_DONE);
}

static void changes_do_not_chase_themselves(void **unused) {
    (void)unused;
    must("UPDATE t SET id = id + 100");
    assert_string_equal(rows("SELECT id FROM t"), "101 102 103");
    must("INSERT INTO t(v) SELECT v FROM t; DELETE FROM t WHERE id IN (SELECT id - 3 FROM t WHERE id > 103)");
    assert_string_equal(rows("SELECT id FROM t"), "104 105 106");
}

/* ---- commits that fail ----------------------------------------------------------------------------------------- */

static int veto(void *arg) {
    (void)arg;
    return 1;
}

static void a_commit_hook_can_still_say_no(void **unused) {
    (void)unused;
    sqlite3_commit_hook(db, veto, NULL);
    assert_int_equal(run("INSERT INTO t VALUES (4, 0)"), SQLITE_CONSTRAINT_COMMITHOOK);
    sqlite3_commit_hook(db, NULL, NULL);
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
    must("INSERT INTO t VALUES (5, 0)");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 5");
}

static void a_commit_that_is_busy_can_be_repeated_with_more_rows_or_rolled_back(void **unused) {
    (void)unused;
    must("PRAGMA journal_mode = DELETE; CREATE TABLE plain(a); INSERT INTO plain VALUES (0)");
    sqlite3 *reader = open_beside();
    sqlite3_stmt *reading = NULL;
    assert_int_equal(sqlite3_prepare_v2(reader, "SELECT a FROM plain UNION ALL SELECT 1", -1, &reading, NULL), SQLITE_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(sqlite3_step(reading), SQLITE_ROW); /* holds a shared lock: COMMIT cannot have its exclusive one */
        must("BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (4, 0)");
        assert_int_equal(run("COMMIT"), SQLITE_BUSY);
        must("INSERT INTO t VALUES (5, 0)");
        assert_int_equal(run("COMMIT"), SQLITE_BUSY);
        sqlite3_reset(reading);
        assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4 5");
        if (round == 0) must("ROLLBACK");
        if (round == 0) assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
    }
    must("COMMIT");
    sqlite3_finalize(reading);
    assert_string_equal(sql_rows(reader, "SELECT id FROM t"), "1 2 3 4 5");
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
}

static void a_stale_view_cannot_begin_to_write(void **unused) {
    (void)unused;
    sqlite3 *other = open_beside();
    sqlite3_stmt *reading = start("SELECT id FROM t", 1);
    assert_int_equal(sql_run(other, "INSERT INTO t VALUES (4, 0)"), SQLITE_OK);
    assert_int_equal(run("INSERT INTO t VALUES (5, 0)"), SQLITE_BUSY_SNAPSHOT);
    sqlite3_finalize(reading);
    must("INSERT INTO t VALUES (5, 0)");
    assert_string_equal(sql_rows(other, "SELECT id FROM t"), "1 2 3 4 5");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* ---- CREATE and DROP ------------------------------------------------------------------------------------------- */

static void a_drop_that_is_undone_leaves_the_rows(void **unused) {
    (void)unused;
    must("BEGIN; INSERT INTO t VALUES (4, 0); DROP TABLE t; ROLLBACK");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
    must("BEGIN; INSERT INTO t VALUES (4, 0); SAVEPOINT a; DROP TABLE t; ROLLBACK TO a; COMMIT");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4");
    must("DROP TABLE t");
    assert_string_equal(rows("SELECT id FROM t"), "no such table: t");
}

static void a_create_that_is_undone_leaves_nothing(void **unused) {
    (void)unused;
    must("SAVEPOINT a; CREATE VIRTUAL TABLE w USING lsm(x); INSERT INTO w VALUES (1); ROLLBACK TO a; INSERT INTO t VALUES (4, 0); RELEASE a");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4");
    must("BEGIN; SAVEPOINT a; SAVEPOINT b; CREATE VIRTUAL TABLE w USING lsm(x); INSERT INTO w VALUES (1); ROLLBACK TO b; COMMIT");
    must("CREATE VIRTUAL TABLE w USING lsm(x)");
    assert_string_equal(rows("SELECT count(*) FROM w"), "0");
    must("BEGIN; CREATE VIRTUAL TABLE x USING lsm(x); INSERT INTO x VALUES (1); ALTER TABLE x RENAME TO y; INSERT INTO y VALUES (2); DROP TABLE y; "
         "COMMIT");
    assert_string_equal(rows("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'y%' OR name LIKE 'x%'"), "0");
}

static void an_attached_table_with_uncommitted_rows_is_not_dropped(void **unused) {
    (void)unused;
    char sql[160];
    (void)snprintf(sql, sizeof sql, "ATTACH '%s' AS aux; CREATE VIRTUAL TABLE aux.w USING lsm(x)", scratch_path("aux.db"));
    must(sql);
    must("BEGIN; INSERT INTO w VALUES (1)");
    assert_int_equal(run("DROP TABLE w"), SQLITE_LOCKED);
    must("COMMIT; DROP TABLE w; CREATE VIRTUAL TABLE aux.w USING lsm(x); INSERT INTO w VALUES (2)");
    assert_string_equal(rows("SELECT x FROM w"), "2");
    must("DETACH aux");
}

static void rows_of_a_dropped_attached_table_go_with_the_next_statement_that_succeeds(void **unused) {
    (void)unused;
    static const char nameless[] = "SELECT count(*) FROM lsm_tables('aux') WHERE name IS NULL";
    char sql[200];
    (void)snprintf(sql, sizeof sql, "ATTACH '%s' AS aux", scratch_path("aux.db"));
    must(sql);
    must("CREATE VIRTUAL TABLE aux.g USING lsm(x); CREATE VIRTUAL TABLE aux.w USING lsm(id INTEGER PRIMARY KEY); INSERT INTO aux.g VALUES (1);"
         "INSERT INTO aux.w VALUES (1); DROP TABLE aux.g");
    assert_string_equal(rows(nameless), "1");
    assert_int_equal(run("INSERT INTO aux.w VALUES (1)"), SQLITE_CONSTRAINT_PRIMARYKEY); /* they were dropped in it, and are back */
    assert_string_equal(rows(nameless), "1");
    must("INSERT INTO aux.w VALUES (2)");
    assert_string_equal(rows(nameless), "0");
}

static void the_hook_is_nobodys_table(void **unused) {
    (void)unused;
    assert_int_not_equal(run("DELETE FROM lsm_hook_"), SQLITE_OK);
    assert_int_not_equal(run("INSERT INTO lsm_hook_ VALUES (1)"), SQLITE_OK);
    must("DROP TABLE u");
    assert_int_not_equal(run("DELETE FROM lsm_hook_"), SQLITE_OK);
    assert_int_not_equal(run("INSERT INTO lsm_hook_ VALUES (1)"), SQLITE_OK);
    assert_string_equal(rows("SELECT unused FROM lsm_hook_ WHERE unused > 0"), ""); /* who asks for its rows is told of none */
    must("CREATE TABLE lsm_hook_(x); INSERT INTO lsm_hook_ VALUES (1); DROP TABLE t; CREATE VIRTUAL TABLE t USING lsm(x)");
    assert_string_equal(rows("SELECT count(*) FROM lsm_hook_"), "1");
}

static void count_update(void *count, int operation, const char *schema, const char *table, sqlite3_int64 rowid) {
    (void)operation, (void)schema, (void)table, (void)rowid;
    ++*(int *)count;
}

static void sqlite_neither_opens_values_as_blobs_nor_calls_the_update_hook(void **unused) {
    (void)unused;
    sqlite3_blob *blob = NULL;
    must("CREATE TABLE plain(a)");
    assert_int_equal(sqlite3_blob_open(db, "main", "t", "v", 1, 0, &blob), SQLITE_ERROR);
    assert_string_equal(sqlite3_errmsg(db), "cannot open virtual table: t");
    int count = 0;
    sqlite3_update_hook(db, count_update, &count);
    must("INSERT INTO t VALUES (4, 'd'); UPDATE t SET v = 'e' WHERE id = 4; DELETE FROM t WHERE id = 4");
    assert_int_equal(count, 0);
    must("INSERT INTO plain VALUES (1)");
    assert_int_equal(count, 1);
    sqlite3_update_hook(db, NULL, NULL);
}

/* ---- out of memory --------------------------------------------------------------------------------------------- */

/* The table is as before, or as after; a transaction that is open can be ended; the next statement works. */
static void expect_whole(const char *before, const char *after) {
    if (sqlite3_get_autocommit(db) == 0) must("ROLLBACK");
    const char *now = rows("SELECT id || v FROM t");
    if (strcmp(now, before) != 0) assert_string_equal(now, after);
    if (strstr(rows("SELECT part FROM lsm_tables"), "by_v") != NULL) {
        assert_string_equal(rows("SELECT lsm_check()"), "ok");
        must("SELECT lsm_drop_index('t', 'by_v')");
    }
    must("DELETE FROM t; INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'); DROP TABLE IF EXISTS w");
}

static const char *const sweeps[][2] = {
    {"INSERT INTO t VALUES (4, 'd')", "1a 2b 3c 4d"},
    {"BEGIN; INSERT INTO t VALUES (4, 'd'); SAVEPOINT s; UPDATE t SET id = id + 10; ROLLBACK TO s; COMMIT", "1a 2b 3c 4d"},
    {"CREATE VIRTUAL TABLE w USING lsm(a TEXT, b, PRIMARY KEY(a)); INSERT INTO w VALUES (1, 2); SELECT * FROM w WHERE a = '1'; DROP TABLE w",
     "1a 2b 3c"},
    {"SELECT * FROM t WHERE id IN (1, 2) ORDER BY id DESC; UPDATE t SET v = v || 'x' WHERE id BETWEEN 1 AND 2", "1ax 2bx 3c"},
    {"SELECT lsm_create_index('t', 'by_v', 'v', 1); SELECT id FROM t WHERE v = 'b'; UPDATE t SET v = 'x' WHERE id = 3; SELECT lsm_drop_index('t', "
     "'by_v')",
     "1a 2b 3x"},
    {"BEGIN; UPDATE t SET v = 'x' WHERE id = 3; SELECT lsm_create_index('t', 'by_v', 'v'); COMMIT; SELECT lsm_drop_index('t', 'by_v')", "1a 2b 3x"},
    {"BEGIN; DELETE FROM t; SELECT lsm_check(); SELECT * FROM lsm_stats; SELECT * FROM lsm_files; COMMIT", ""},
    /* The next write looks for trees that nobody names any more. */
    {"CREATE VIRTUAL TABLE w USING lsm(x); DROP TABLE w; INSERT INTO t VALUES (4, 'd')", "1a 2b 3c 4d"},
};

static void sweep_sqlites_memory(bool once) {
    for (size_t i = 0; i < sizeof sweeps / sizeof sweeps[0]; i++) {
        int64_t n = 1;
        for (;; n++) {
            sqlite_memory_fail_after(n, !once);
            int rc = run(sweeps[i][0]);
            sqlite_memory_fail_after(0, false);
            if (!sqlite_memory_failed()) assert_int_equal(rc, SQLITE_OK);
            /* What is said to have failed has not happened: of one statement that can be told. */
            expect_whole("1a 2b 3c", rc != SQLITE_OK && i == 0 ? "1a 2b 3c" : sweeps[i][1]);
            if (!sqlite_memory_failed()) break;
        }
        assert_true(n > 20);
    }
}

static void running_out_of_sqlites_memory_leaves_things_whole(void **unused) {
    (void)unused;
    sweep_sqlites_memory(false);
}

/* A statement of ours that fails inside another takes everything back, and the other one goes on. */
static void an_allocation_of_sqlites_that_fails_once_leaves_things_whole(void **unused) {
    (void)unused;
    sweep_sqlites_memory(true);
}

static void running_out_of_the_engines_memory_leaves_things_whole(void **unused) {
    (void)unused;
    for (size_t i = 0; i < sizeof sweeps / sizeof sweeps[0]; i++) {
        for (int64_t n = 1; n < 2000; n++) {
            uint64_t calls = lsm_mem_calls();
            lsm_mem_fail_after(n, false);
            int rc = run(sweeps[i][0]);
            bool reached = lsm_mem_calls() - calls >= (uint64_t)n;
            lsm_mem_fail_after(0, false);
            expect_whole("1a 2b 3c", sweeps[i][1]);
            if (!reached && rc == SQLITE_OK) break;
        }
    }
}

/* Either none or all of it; and the next transaction finds things as they should be. */
static void expect_together(int rc, bool undisturbed) {
    if (sqlite3_get_autocommit(db) == 0) must("ROLLBACK");
    const char *now = rows("SELECT (SELECT count(*) FROM plain) || (SELECT count(*) FROM t WHERE id > 3) || (SELECT count(*) FROM u)");
    if (strcmp(now, "000") != 0) assert_string_equal(now, "121");
    if (undisturbed) assert_int_equal(rc, SQLITE_OK);
    if (rc == SQLITE_OK) assert_string_equal(rows("SELECT count(*) FROM plain"), "1");
    must("BEGIN; DELETE FROM plain; DELETE FROM t WHERE id > 3; DELETE FROM u; COMMIT");
}

static void running_out_of_memory_keeps_both_kinds_of_rows_together(void **unused) {
    (void)unused;
    static const char *const sql[] = {
        "BEGIN; SELECT * FROM t; INSERT INTO t VALUES (4, 'd'), (5, 'e'); INSERT INTO u VALUES ('x', 1); INSERT INTO plain VALUES (1); COMMIT",
        "INSERT INTO plain VALUES (1)", /* and a trigger */
    };
    must("CREATE TABLE plain(a)");
    for (int i = 0; i < 2; i++) {
        if (i == 1) must("CREATE TRIGGER tr AFTER INSERT ON plain BEGIN INSERT INTO t VALUES (4, 'd'), (5, 'e'); INSERT INTO u VALUES ('x', 1); END");
        for (int once = 0; once < 2; once++) {
            for (int64_t n = 1;; n++) {
                sqlite_memory_fail_after(n, once == 0);
                int rc = run(sql[i]);
                sqlite_memory_fail_after(0, false);
                expect_together(rc, !sqlite_memory_failed());
                if (!sqlite_memory_failed()) break;
            }
        }
        for (int64_t n = 1; n < 2000; n++) {
            uint64_t calls = lsm_mem_calls();
            lsm_mem_fail_after(n, false);
            int rc = run(sql[i]);
            bool reached = lsm_mem_calls() - calls >= (uint64_t)n;
            lsm_mem_fail_after(0, false);
            expect_together(rc, !reached);
            if (!reached) break;
        }
    }
}

static void opening_survives_running_out_of_memory(void **unused) {
    (void)unused;
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (int64_t n = 1;; n++) {
        assert_int_equal(sqlite3_open(scratch_path("test.db"), &db), SQLITE_OK);
        sqlite_memory_fail_after(n, true);
        int rc = sqlite3_lsm_init(db, NULL, NULL);
        if (rc == SQLITE_OK) rc = run("SELECT * FROM t; REPLACE INTO t VALUES (4, 0); DELETE FROM t WHERE id = 4");
        sqlite_memory_fail_after(0, false);
        sqlite3_close(db);
        if (!sqlite_memory_failed()) {
            assert_int_equal(rc, SQLITE_OK);
            break;
        }
    }
    open_file();
    must("DELETE FROM t WHERE id > 3");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(savepoints_nest, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_savepoint_that_began_the_transaction_takes_everything_back, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_table_that_joins_late_goes_back_to_each_outer_savepoint, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_late_joiner_does_not_move_the_savepoints_of_others, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_failing_statement_takes_back_itself_only, set_up, close_whole),
        cmocka_unit_test_setup_teardown(the_greatest_rowid_is_forgotten_with_the_row, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_cursor_goes_on_after_commit, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_cursor_is_broken_by_rollback_and_keeps_its_row_until_then, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_join_after_rollback_to_sees_what_is_left, set_up, close_whole),
        cmocka_unit_test_setup_teardown(an_older_view_survives_the_transactions_of_its_connection, set_up, close_whole),
        cmocka_unit_test_setup_teardown(changes_do_not_chase_themselves, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_commit_hook_can_still_say_no, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_commit_that_is_busy_can_be_repeated_with_more_rows_or_rolled_back, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_stale_view_cannot_begin_to_write, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_drop_that_is_undone_leaves_the_rows, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_create_that_is_undone_leaves_nothing, set_up, close_whole),
        cmocka_unit_test_setup_teardown(an_attached_table_with_uncommitted_rows_is_not_dropped, set_up, close_whole),
        cmocka_unit_test_setup_teardown(rows_of_a_dropped_attached_table_go_with_the_next_statement_that_succeeds, set_up, close_whole),
        cmocka_unit_test_setup_teardown(the_hook_is_nobodys_table, set_up, close_whole),
        cmocka_unit_test_setup_teardown(sqlite_neither_opens_values_as_blobs_nor_calls_the_update_hook, set_up, close_whole),
        cmocka_unit_test_setup_teardown(running_out_of_sqlites_memory_leaves_things_whole, set_up, close_whole),
        cmocka_unit_test_setup_teardown(an_allocation_of_sqlites_that_fails_once_leaves_things_whole, set_up, close_whole),
        cmocka_unit_test_setup_teardown(running_out_of_the_engines_memory_leaves_things_whole, set_up, close_whole),
        cmocka_unit_test_setup_teardown(running_out_of_memory_keeps_both_kinds_of_rows_together, set_up, close_whole),
        cmocka_unit_test_setup_teardown(opening_survives_running_out_of_memory, set_up, close_whole),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
