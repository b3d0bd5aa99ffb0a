/* What a COMMIT that died leaves behind the end of SQLite's WAL, when it was taken back and then everybody dies: it must not come back. Processes on one simulated
 * machine, killed at every operation of the first try and, for each of these, of the second. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../support/machine.h"
#include "../support/sql.h"

enum { OPERATIONS_MAX = 300 };

#define ROWS  "WITH s(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM s WHERE k < 30) INSERT INTO o SELECT k, printf('%0600d', k) FROM s;"
#define BOTH  "BEGIN IMMEDIATE;" ROWS "INSERT INTO l VALUES (1, 'one'); COMMIT"
#define SEEN  "SELECT sum(k + length(v)) FROM o"
#define TABLE "CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY, v);"

/* Who comes when. */
struct story {
    const char *before;  /* what is committed in the beginning, by who stays to the end */
    const char *dies;    /* dies in its COMMIT */
    const char *settles; /* of another process: ends that for good */
    bool again;          /* the first one's transaction is repeated, and dies, too */
    bool restarts;       /* before it is settled, a checkpoint begins the log anew, and fails to cut the file */
    bool reads;          /* who stays reads all the time, at the mark that was the last one before the first try */
};

static struct {
    struct lsm_env *disk;
    struct machine *machine;
    struct process *victim;
    uint64_t operations, kill_at;
} run;

static sqlite3 *connect(struct process *process) {
    sqlite3 *db = NULL;
    assert_int_equal(process_open(process, MACHINE_DATABASE, &db), SQLITE_OK);
    return db;
}

static void kill_victim(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    (void)op;
    if (++run.operations == run.kill_at) process_kill(run.victim);
}

/* A process of its own runs the transaction and is killed after its n-th operation on the disk. False: it had no n-th. */
static bool die(const char *sql, uint64_t n) {
    run.victim = process_new(run.machine);
    sqlite3 *db = connect(run.victim);
    (void)sql_number(db, "SELECT count(*) FROM o");
    run.operations = 0;
    run.kill_at = n;
    lsm_env_mem_on_op(run.disk, kill_victim, NULL);
    (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    bool killed = run.operations >= n;
    (void)sqlite3_close(db);
    process_free(run.victim);
    return killed;
}

/* Nobody has it open any more. Both kinds of rows are there, or none. */
static void expect_whole(uint64_t n, uint64_t m) {
    struct process *process = process_new(run.machine);
    sqlite3 *db = connect(process);
    int ordinary = sql_number(db, "SELECT count(*) FROM o WHERE k = 1"),
        tables = sql_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'l'");
    if (tables == 0) sql_must(db, TABLE);
    int lsm = sql_number(db, "SELECT count(*) FROM l WHERE k = 1");
    assert_int_equal(sql_number(db, "SELECT count(*) >= 2 FROM o WHERE k > 100"), 1);
    if (ordinary != lsm) fail_msg("killed at %llu and %llu: %d and %d rows", (unsigned long long)n, (unsigned long long)m, ordinary, lsm);
    sql_must(db, "BEGIN; INSERT INTO o VALUES (5000, 0); INSERT INTO l VALUES (5000, 0); COMMIT");
    assert_int_equal(sql_number(db, "SELECT lsm_check() = 'ok'"), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    process_free(process);
}

static void fail_to_truncate(sqlite3 *db) {
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_TRUNCATE, .among = "-wal"};
    lsm_env_mem_fail_at(run.disk, &fault);
    (void)sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_TRUNCATE);
    lsm_env_mem_fail_at(run.disk, NULL);
}

/* False: the first try has no n-th operation. *second is cleared if the repetition has no m-th. */
static bool tell(const struct story *story, uint64_t n, uint64_t m, bool *second) {
    run.disk = lsm_env_mem_new_strict();
    run.machine = machine_new(run.disk);
    struct process *stays = process_new(run.machine), *settler = process_new(run.machine);
    sqlite3 *keeper = connect(stays), *db = NULL;
    sql_must(keeper, "PRAGMA journal_mode = WAL; CREATE TABLE o(k INTEGER PRIMARY KEY, v); INSERT INTO o VALUES (1000, 0)");
    sql_must(keeper, story->before);
    if (story->reads) sql_must(keeper, "BEGIN");
    int64_t seen = sql_number(keeper, SEEN);
    bool killed = die(story->dies, n);
    *second = story->again;
    if (killed) {
        db = connect(settler);
        if (story->restarts) fail_to_truncate(db);
        sql_must(db, story->settles);
        if (story->again) *second = die(story->dies, m);
        process_kill(settler);
        (void)sqlite3_close(db);
    }
    if (story->reads) assert_int_equal(sql_number(keeper, SEEN), seen);
    process_kill(stays);
    (void)sqlite3_close(keeper);
    process_free(settler);
    process_free(stays);
    if (killed) expect_whole(n, m);
    machine_free(run.machine);
    lsm_env_mem_free(run.disk);
    return killed;
}

static void tell_all(const struct story *story) {
    bool first = true;
    for (uint64_t n = 1; first; n++) {
        bool second = true;
        for (uint64_t m = 1; first && second; m++) first = tell(story, n, m, &second);
        assert_true(n < OPERATIONS_MAX);
    }
}

static void what_was_taken_back_stays_so_though_it_is_repeated_and_dies_again(void **state) {
    (void)state;
    static const char *const settles[] = {
        "BEGIN; INSERT INTO l VALUES (77, 7); ROLLBACK",
        /* After frames of the transaction itself. */
        "PRAGMA cache_size = 10; BEGIN; CREATE TABLE big(x); WITH s(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM s WHERE k < 400) "
        "INSERT INTO big SELECT zeroblob(3000) FROM s; INSERT INTO l VALUES (77, 7); ROLLBACK"};
    for (size_t i = 0; i < sizeof settles / sizeof settles[0]; i++) {
        struct story story = {.before = TABLE "BEGIN; INSERT INTO o VALUES (1001, 0); INSERT INTO l VALUES (1001, 0); COMMIT",
                              .dies = BOTH,
                              .settles = settles[i],
                              .again = true};
        tell_all(&story);
    }
}

/* A checkpointer beside them: the log begins anew over what the dead one has left, or not, because somebody reads; the settler has written frames of its own, or none. */
static void what_was_taken_back_stays_so_beside_a_checkpoint_and_a_reader(void **state) {
    (void)state;
    static const char *const settles[] = {
        "PRAGMA wal_checkpoint(RESTART); BEGIN; INSERT INTO l VALUES (77, 7); ROLLBACK",
        "PRAGMA wal_checkpoint(RESTART); PRAGMA cache_size = 10; BEGIN; CREATE TABLE big(x); "
        "WITH s(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM s WHERE k < 40) INSERT INTO big SELECT zeroblob(3000) FROM s; INSERT INTO l VALUES (77, "
        "7); ROLLBACK",
        "PRAGMA wal_checkpoint(TRUNCATE); BEGIN; INSERT INTO l VALUES (77, 7); ROLLBACK; PRAGMA wal_checkpoint(TRUNCATE)"};
    for (size_t i = 0; i < 2 * (sizeof settles / sizeof settles[0]); i++) {
        struct story story = {.before = TABLE "BEGIN; INSERT INTO o VALUES (1001, 0); INSERT INTO l VALUES (1001, 0); COMMIT",
                              .dies = BOTH,
                              .settles = settles[i / 2],
                              .again = true,
                              .reads = i % 2 != 0};
        tell_all(&story);
    }
}

/* The WAL-index has no frames and another salt than the file. */
static void what_was_taken_back_stays_so_where_the_log_began_anew_but_for_its_file(void **state) {
    (void)state;
    struct story story = {.before = TABLE "BEGIN; INSERT INTO o VALUES (1001, 0); INSERT INTO l VALUES (1001, 0); COMMIT",
                          .dies = BOTH,
                          .settles = "BEGIN; INSERT INTO l VALUES (77, 7); ROLLBACK",
                          .restarts = true,
                          .again = true};
    tell_all(&story);
}

static void a_first_create_that_was_taken_back_stays_so(void **state) {
    (void)state;
    struct story story = {.before = "INSERT INTO o VALUES (1001, 0)",
                          .dies = "BEGIN IMMEDIATE;" TABLE ROWS "INSERT INTO l VALUES (1, 'one'); COMMIT",
                          .settles = "BEGIN; CREATE VIRTUAL TABLE other USING lsm(k INTEGER PRIMARY KEY); ROLLBACK"};
    tell_all(&story);
}

/* ---- locked exclusively --------------------------------------------------------------------------------------------------------- */

static int sync_in_vain(sqlite3_file *file, int flags) {
    (void)file;
    (void)flags;
    return SQLITE_IOERR_FSYNC;
}

/* COMMIT fails, because the WAL cannot be synced: all of it is in the file. */
static void fail_to_sync(sqlite3 *db, const char *sql) {
    sqlite3_file *log = NULL;
    assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log), SQLITE_OK);
    const sqlite3_io_methods *methods = log->pMethods;
    sqlite3_io_methods in_vain = *methods;
    in_vain.xSync = sync_in_vain;
    log->pMethods = &in_vain;
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_IOERR_FSYNC);
    log->pMethods = methods;
    assert_int_equal(sqlite3_get_autocommit(db), 1);
}

/* The WAL-index is SQLite's own memory. A frame that is taken for another one, because the rows there are all zeros, would be the end of what was committed behind it.
 * False: the repetition had no m-th operation. */
static bool tell_exclusively(uint64_t m) {
    run.disk = lsm_env_mem_new_strict();
    run.machine = machine_new(run.disk);
    run.victim = process_new(run.machine);
    sqlite3 *db = connect(run.victim);
    sql_must(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE o(k INTEGER PRIMARY KEY, v)");
    sql_must(db, "INSERT INTO o VALUES (1000, printf('%0600d', 0));" TABLE "INSERT INTO o VALUES (1001, 0)");
    fail_to_sync(db, BOTH);
    sql_must(db, "BEGIN; INSERT INTO l VALUES (77, 7); ROLLBACK");
    assert_int_equal(sql_number(db, "SELECT count(*) FROM o"), 2);
    run.operations = 0;
    run.kill_at = m;
    lsm_env_mem_on_op(run.disk, kill_victim, NULL);
    (void)sqlite3_exec(db, BOTH, NULL, NULL, NULL);
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    process_kill(run.victim);
    (void)sqlite3_close(db);
    process_free(run.victim);
    expect_whole(0, m);
    machine_free(run.machine);
    lsm_env_mem_free(run.disk);
    return run.operations >= m;
}

static void under_an_exclusive_lock_it_stays_so_too(void **state) {
    (void)state;
    for (uint64_t m = 1; tell_exclusively(m); m++) assert_true(m < OPERATIONS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_back_stays_so_though_it_is_repeated_and_dies_again),
        cmocka_unit_test(what_was_taken_back_stays_so_beside_a_checkpoint_and_a_reader),
        cmocka_unit_test(what_was_taken_back_stays_so_where_the_log_began_anew_but_for_its_file),
        cmocka_unit_test(a_first_create_that_was_taken_back_stays_so),
        cmocka_unit_test(under_an_exclusive_lock_it_stays_so_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
