/* What one process has committed without a sync, as SQLite does at NORMAL, is durable before another one builds on it durably: else a power cut would leave the
 * store ahead of its database. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../support/machine.h"
#include "../support/sql.h"

static struct lsm_env *disk;
static struct machine *machine;
static struct process *one, *two;

static int set_up(void **state) {
    (void)state;
    disk = lsm_env_mem_new_strict();
    machine = machine_new(disk);
    one = process_new(machine);
    two = process_new(machine);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    process_free(one);
    process_free(two);
    machine_free(machine);
    lsm_env_mem_free(disk);
    return 0;
}

static sqlite3 *connect(struct process *process, const char *sync) {
    sqlite3 *db = NULL;
    char sql[80];
    assert_int_equal(process_open(process, "/app.db", &db), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s", sync);
    sql_must(db, sql);
    return db;
}

/* On what a power cut would leave now. */
static void expect_after_power_cut(const char *sql, const char *wanted) {
    struct lsm_env *left = lsm_env_mem_clone_crashed(disk, LSM_CRASH_LOSE, 1);
    struct computer after;
    assert_int_equal(computer_start(&after, left), SQLITE_OK);
    assert_string_equal(sql_rows(after.db, sql), wanted);
    assert_string_equal(sql_rows(after.db, "SELECT lsm_check()"), "ok");
    computer_stop(&after);
    lsm_env_mem_free(left);
}

/* The first process dies when SQLite has committed, instead of making that durable. */
static void kill_at_sync(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    bool *done = arg;
    (void)process;
    if (*done || kind != LSM_ENV_SYNC || strcmp(path, "/app.db-wal") != 0) return;
    *done = true;
    process_kill(one);
}

static void what_a_dead_process_has_committed_is_made_durable_by_who_settles_it(void **state) {
    (void)state;
    bool done = false;
    sqlite3 *a = connect(one, "NORMAL"), *b = connect(two, "FULL");
    sql_must(
        a,
        "CREATE TABLE o(k); CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY); PRAGMA wal_checkpoint; INSERT INTO o VALUES (0); DELETE FROM o");
    sql_must(b, "SELECT * FROM l");
    lsm_env_mem_before_op(process_env(one), kill_at_sync, &done);
    (void)sqlite3_exec(a, "BEGIN; INSERT INTO o VALUES (1); INSERT INTO l VALUES (1); COMMIT", NULL, NULL, NULL);
    assert_true(done);
    sql_must(b, "INSERT INTO l VALUES (2)"); /* asks the database, and is durable itself */
    assert_string_equal(sql_rows(b, "SELECT (SELECT count(*) FROM o) || (SELECT count(*) FROM l)"), "12");
    expect_after_power_cut("SELECT (SELECT count(*) FROM o) || (SELECT count(*) FROM l)", "12");
    (void)sqlite3_close(a);
    assert_int_equal(sqlite3_close(b), SQLITE_OK);
}

static void rows_of_a_dropped_table_go_when_the_drop_is_durable(void **state) {
    (void)state;
    sqlite3 *a = connect(one, "NORMAL");
    sql_must(a, "CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY); CREATE VIRTUAL TABLE gone USING lsm(k INTEGER PRIMARY KEY)");
    sql_must(a, "INSERT INTO gone VALUES (1), (2); PRAGMA wal_checkpoint");
    sql_must(a, "DROP TABLE gone"); /* in SQLite's log, and not synced */
    sql_must(a, "PRAGMA synchronous = FULL; INSERT INTO l VALUES (1)");
    expect_after_power_cut("SELECT count(*) FROM sqlite_schema WHERE name = 'gone'", "0");
    assert_int_equal(sqlite3_close(a), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_dead_process_has_committed_is_made_durable_by_who_settles_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_of_a_dropped_table_go_when_the_drop_is_durable, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
