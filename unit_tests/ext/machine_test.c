/* The simulated machine itself: SQLite's locks, journals and WAL on it, and processes that are killed. What crashes leave is the matrix's
 * business. */
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
static struct process *one, *two; /* processes */
static sqlite3 *a, *b;            /* a connection of each */

static sqlite3 *connect(struct process *process) {
    sqlite3 *db = NULL;
    assert_int_equal(process_open(process, "/app.db", &db), SQLITE_OK);
    return db;
}

static int set_up(void **state) {
    (void)state;
    disk = lsm_env_mem_new_strict();
    machine = machine_new(disk);
    one = process_new(machine);
    two = process_new(machine);
    a = connect(one);
    b = connect(two);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    int rc = sqlite3_close(a) | sqlite3_close(b);
    process_free(one);
    process_free(two);
    machine_free(machine);
    lsm_env_mem_free(disk);
    return rc;
}

static bool exists(const char *path) {
    bool found = false;
    assert_int_equal(lsm_env_exists(disk, path, &found, NULL), LSM_OK);
    return found;
}

/* ---- locks ------------------------------------------------------------------------------------------------------------- */

static void a_reader_keeps_a_rollback_journal_from_its_commit(void **state) {
    (void)state;
    sql_must(a, "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    sql_must(b, "BEGIN");
    assert_string_equal(sql_rows(b, "SELECT x FROM t"), "1");
    sql_must(a, "BEGIN; UPDATE t SET x = 2");
    assert_int_equal(sql_run(a, "COMMIT"), SQLITE_BUSY);
    sql_must(b, "COMMIT");
    assert_int_equal(sql_run(b, "SELECT * FROM t"), SQLITE_BUSY); /* the writer waits with PENDING: no new readers */
    sql_must(a, "COMMIT");
    assert_string_equal(sql_rows(b, "SELECT x FROM t"), "2");
}

static void one_process_writes_at_a_time(void **state) {
    (void)state;
    sql_must(a, "CREATE TABLE t(x)");
    sql_must(a, "BEGIN IMMEDIATE");
    assert_int_equal(sql_run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    sql_must(a, "COMMIT");
    sql_must(b, "BEGIN EXCLUSIVE");
    assert_int_equal(sql_run(a, "SELECT * FROM t"), SQLITE_BUSY);
    sql_must(b, "COMMIT");
}

static void readers_of_a_wal_keep_their_snapshot(void **state) {
    (void)state;
    assert_string_equal(sql_rows(a, "PRAGMA journal_mode = WAL"), "wal");
    sql_must(a, "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    sql_must(b, "BEGIN");
    assert_string_equal(sql_rows(b, "SELECT x FROM t"), "1");
    sql_must(a, "UPDATE t SET x = 2");
    assert_string_equal(sql_rows(b, "SELECT x FROM t"), "1");
    assert_int_equal(sql_run(b, "UPDATE t SET x = 3"), SQLITE_BUSY_SNAPSHOT);
    sql_must(b, "ROLLBACK");
    assert_string_equal(sql_rows(b, "SELECT x FROM t"), "2");
    assert_string_equal(sql_rows(a, "PRAGMA wal_checkpoint(TRUNCATE)"), "0");
    sql_must(b, "UPDATE t SET x = 3");
    assert_string_equal(sql_rows(a, "SELECT x FROM t"), "3");
}

/* ---- what reaches the disk, and when ----------------------------------------------------------------------------------- */

static char trace[2000];

static void note(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    const char *name = op->kind == LSM_ENV_CREATE     ? "create"
                       : op->kind == LSM_ENV_WRITE    ? "write"
                       : op->kind == LSM_ENV_SYNC     ? "sync"
                       : op->kind == LSM_ENV_SYNC_DIR ? "syncdir"
                       : op->kind == LSM_ENV_UNLINK   ? "unlink"
                                                      : "other";
    char step[100];
    (void)snprintf(step, sizeof step, "%s %s; ", name, op->path);
    size_t used = strlen(trace), size = strlen(step);
    bool again = used >= size && strcmp(trace + used - size, step) == 0; /* several writes: one */
    if (!again && used + size < sizeof trace) strcat(trace, step);
}

static void a_journal_is_durable_with_its_name_before_the_database_is_touched(void **state) {
    (void)state;
    sql_must(a, "PRAGMA synchronous = EXTRA; CREATE TABLE t(x)");
    trace[0] = '\0';
    lsm_env_mem_on_op(disk, note, NULL);
    sql_must(a, "INSERT INTO t VALUES (1)");
    lsm_env_mem_on_op(disk, NULL, NULL);
    assert_string_equal(trace, "create /app.db-journal; write /app.db-journal; sync /app.db-journal; syncdir /; write /app.db-journal; "
                               "sync /app.db-journal; write /app.db; sync /app.db; unlink /app.db-journal; syncdir /; ");
}

static void temporary_files_are_elsewhere(void **state) {
    (void)state;
    sql_must(a, "PRAGMA temp_store = FILE; PRAGMA cache_size = 5; CREATE TABLE t(x)");
    uint64_t operations = lsm_env_mem_ops(disk);
    sql_must(a, "CREATE TEMP TABLE s(x); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000)"
                " INSERT INTO s SELECT randomblob(100) FROM c");
    assert_string_equal(sql_rows(a, "SELECT count(*) FROM (SELECT x FROM s ORDER BY x)"), "5000");
    assert_int_equal(lsm_env_mem_ops(disk), operations);
}

/* ---- processes --------------------------------------------------------------------------------------------------------------- */

static void a_killed_process_leaves_its_journal_to_the_others(void **state) {
    (void)state;
    sql_must(a, "PRAGMA cache_size = 2; CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(20000))");
    sql_must(a, "BEGIN; UPDATE t SET x = randomblob(20000)");
    assert_int_equal(sql_run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    process_kill(one);
    assert_true(exists("/app.db-journal"));
    assert_string_equal(sql_rows(b, "SELECT x = zeroblob(20000) FROM t"), "1");
    assert_false(exists("/app.db-journal"));
    sql_must(b, "INSERT INTO t VALUES (1)");
    assert_int_not_equal(sql_run(a, "COMMIT"), SQLITE_OK);
}

static void a_store_lives_on_the_same_disk(void **state) {
    (void)state;
    sql_must(a, "CREATE VIRTUAL TABLE t USING lsm(n INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one')");
    assert_true(exists("/app.db-lsm"));
    process_kill(one);
    assert_string_equal(sql_rows(b, "SELECT v FROM t WHERE n = 1"), "one");
    assert_string_equal(sql_rows(b, "SELECT lsm_check()"), "ok");
    assert_int_not_equal(sql_run(a, "INSERT INTO t VALUES (2, 'two')"), SQLITE_OK);
}

static void a_lost_store_is_told_without_a_look_at_the_real_file_system(void **state) {
    (void)state;
    sql_must(a, "CREATE VIRTUAL TABLE t USING lsm(n INTEGER PRIMARY KEY, v)");
    assert_int_equal(sqlite3_close(a), SQLITE_OK);
    struct lsm_names stores;
    char from[200];
    assert_int_equal(lsm_env_list(disk, "/app.db-lsm", &stores, NULL), LSM_OK);
    assert_int_equal(stores.count, 1);
    (void)snprintf(from, sizeof from, "/app.db-lsm/%s", stores.names[0]);
    assert_int_equal(lsm_env_rename(disk, from, "/elsewhere", NULL), LSM_OK);
    lsm_names_free(&stores);
    a = connect(one);
    assert_int_equal(sql_run(a, "SELECT * FROM t"), SQLITE_CANTOPEN);
    assert_non_null(strstr(sqlite3_errmsg(a), "the store of this database's LSM tables is missing"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_reader_keeps_a_rollback_journal_from_its_commit),
        TEST(one_process_writes_at_a_time),
        TEST(readers_of_a_wal_keep_their_snapshot),
        TEST(a_journal_is_durable_with_its_name_before_the_database_is_touched),
        TEST(temporary_files_are_elsewhere),
        TEST(a_killed_process_leaves_its_journal_to_the_others),
        TEST(a_store_lives_on_the_same_disk),
        TEST(a_lost_store_is_told_without_a_look_at_the_real_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
