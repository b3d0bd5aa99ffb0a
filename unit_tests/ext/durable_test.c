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

static void must(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3 *connect(struct process *process, const char *sync) {
    sqlite3 *db = NULL;
    char sql[80];
    assert_int_equal(process_open(process, "/app.db", &db), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s", sync);
    must(db, sql);
    return db;
}

static const char *value(sqlite3 *db, const char *sql) {
    static char text[300];
    sqlite3_stmt *statement = NULL;
    (void)snprintf(text, sizeof text, "%s", "no row");
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        (void)snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(statement, 0));
    if (sqlite3_finalize(statement) != SQLITE_OK) (void)snprintf(text, sizeof text, "%s", sqlite3_errmsg(db));
    return text;
}

/* On what a power cut would leave now. */
static void expect_after_power_cut(const char *sql, const char *wanted) {
    struct lsm_env *left = lsm_env_mem_clone_crashed(disk, LSM_CRASH_LOSE, 1);
    struct machine *after = machine_new(left);
    struct process *process = process_new(after);
    sqlite3 *db = NULL;
    assert_int_equal(process_open(process, "/app.db", &db), SQLITE_OK);
    assert_string_equal(value(db, sql), wanted);
    assert_string_equal(value(db, "SELECT lsm_check()"), "ok");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    process_free(process);
    machine_free(after);
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
    must(
        a,
        "CREATE TABLE o(k); CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY); PRAGMA wal_checkpoint; INSERT INTO o VALUES (0); DELETE FROM o");
    must(b, "SELECT * FROM l");
    lsm_env_mem_before_op(process_env(one), kill_at_sync, &done);
    (void)sqlite3_exec(a, "BEGIN; INSERT INTO o VALUES (1); INSERT INTO l VALUES (1); COMMIT", NULL, NULL, NULL);
    assert_true(done);
    must(b, "INSERT INTO l VALUES (2)"); /* asks the database, and is durable itself */
    assert_string_equal(value(b, "SELECT (SELECT count(*) FROM o) || (SELECT count(*) FROM l)"), "12");
    expect_after_power_cut("SELECT (SELECT count(*) FROM o) || (SELECT count(*) FROM l)", "12");
    (void)sqlite3_close(a);
    assert_int_equal(sqlite3_close(b), SQLITE_OK);
}

static void rows_of_a_dropped_table_go_when_the_drop_is_durable(void **state) {
    (void)state;
    sqlite3 *a = connect(one, "NORMAL");
    must(a, "CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY); CREATE VIRTUAL TABLE gone USING lsm(k INTEGER PRIMARY KEY)");
    must(a, "INSERT INTO gone VALUES (1), (2); PRAGMA wal_checkpoint");
    must(a, "DROP TABLE gone"); /* in SQLite's log, and not synced */
    must(a, "PRAGMA synchronous = FULL; INSERT INTO l VALUES (1)");
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
