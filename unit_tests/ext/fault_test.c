/* Failing operations and allocations under SQL: the N-th one, once or for good, for N = 1, 2, ... through a session with everything in it: LSM tables with indexes and
 * ordinary ones in the same transactions, flushes, merges, DDL, savepoints, a transaction larger than memory, a second process, close and reopening.
 *
 * The faults strike SQLite's files as well as ours. Every ordinary table is the twin of an LSM table and written by the same transactions, so both must be equal in every view and
 * at the end; what LSM tables alone hold is counted here. Each call succeeds or says why not; what a full disk refuses works again when there is
 * space; nothing leaks; and when the fault is gone, the database opens, holds what was acknowledged, and keeps a commit through a power cut.
 *
 * LSM_FAULTS=1 strikes every single operation; N: every N-th, LSM_TEST_SEED says from which on; a few hundred points if it does not say. LSM_FAULTS_SHOW=1 tells each error.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/base/base.h"
#include "../support/given.h"
#include "../support/machine.h"
#include "../support/sql.h"
#include "../support/sqlite_memory.h"

enum { ALONE_MAX = 40, FIRST_MIXED = 18, WRITE_BUFFER_BYTES = 65536, SPACE_COMES_BACK = 60 };

/* ---- the session ----------------------------------------------------------------------------------------------------------- */

static struct run {
    const char *name, *journal, *sync;
    unsigned long long point;
    bool sticky;
    struct lsm_env *disk;
    struct machine *machine;
    struct process *one, *two;
    sqlite3 *db;
    unsigned failures;
    char first[300];                                   /* of them */
    bool acknowledged[ALONE_MAX], possible[ALONE_MAX]; /* rows of `alone`: committed; their COMMIT failed */
} run;

/* True if it went well; else the error must be one that a user can read. */
static bool went(sqlite3 *db, int rc, const char *what) {
    if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE) return true;
    run.failures++;
    if (getenv("LSM_FAULTS_SHOW") != NULL)
        print_message("  %s %s point %llu: %.60s: %d %s\n", run.name, run.journal, run.point, what, rc, sqlite3_errmsg(db));
    int primary = rc & 0xff;
    const char *text = sqlite3_errmsg(db);
    if (run.failures == 1) (void)snprintf(run.first, sizeof run.first, "%.150s: %d %.100s", what, rc, text == NULL ? "NULL" : text);
    if (primary == SQLITE_INTERNAL || primary == SQLITE_MISUSE || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ||
        primary == SQLITE_CONSTRAINT || text == NULL || text[0] == 0 || strcmp(text, "not an error") == 0)
        fail_msg("%s, point %llu: %s: %d '%s'", run.name, run.point, what, rc, text == NULL ? "NULL" : text);
    return false;
}

static bool connect(void) {
    int rc = process_open(run.one, "/app.db", &run.db);
    char sql[200];
    (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s; PRAGMA synchronous = %s; PRAGMA wal_autocheckpoint = 8; PRAGMA cache_size = 20",
                   run.journal, run.sync);
    if (rc == SQLITE_OK) rc = sql_run(run.db, sql);
    if (went(run.db, rc, "opening")) return true;
    assert_int_equal(sqlite3_close(run.db), SQLITE_OK);
    run.db = NULL;
    return false;
}

static void start(void) {
    run.machine = machine_new(run.disk);
    run.one = process_new(run.machine);
    run.two = process_new(run.machine);
    assert_true(run.one != NULL && run.two != NULL);
    process_set_write_buffer(run.one, WRITE_BUFFER_BYTES);
    process_set_write_buffer(run.two, WRITE_BUFFER_BYTES);
}

static void stop(void) {
    assert_int_equal(sqlite3_close(run.db), SQLITE_OK);
    run.db = NULL;
    process_free(run.one);
    process_free(run.two);
    machine_free(run.machine);
}

static bool is_idle(void) {
    if (run.db == NULL && !connect()) return false;
    return sqlite3_get_autocommit(run.db) != 0 || went(run.db, sql_run(run.db, "ROLLBACK"), "ROLLBACK");
}

/* One transaction. alone: it also writes that row of `alone`; 0: none. */
static bool transact(const char *sql, int alone) {
    char row[100] = "";
    if (!is_idle()) return false;
    if (alone != 0) (void)snprintf(row, sizeof row, "INSERT INTO alone VALUES (%d, 'row %d')", alone, alone);
    bool ok = went(run.db, sql_run(run.db, "BEGIN"), "BEGIN") && went(run.db, sql_run(run.db, sql), sql) && went(run.db, sql_run(run.db, row), row);
    bool tried = ok;
    ok = ok && went(run.db, sql_run(run.db, "COMMIT"), "COMMIT");
    if (!ok && sqlite3_get_autocommit(run.db) == 0) (void)went(run.db, sql_run(run.db, "ROLLBACK"), "ROLLBACK");
    if (alone != 0 && ok) run.acknowledged[alone] = true;
    if (alone != 0 && tried && !ok) run.possible[alone] = true;
    return ok;
}

/* The first value, or -1 with *ok false. */
static long long number(sqlite3 *db, const char *sql, bool *ok) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    long long value = -1;
    if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) value = sqlite3_column_int64(statement, 0);
    *ok = went(db, rc, sql);
    sqlite3_finalize(statement);
    return value;
}

/* Rows that only one of the twins has, by scans, by an index and by lookups. 0, if they can be read. */
static const char *const differences[] = {
    "SELECT count(*) FROM (SELECT * FROM (SELECT k, v, w FROM l EXCEPT SELECT k, v, w FROM o) UNION ALL SELECT * FROM (SELECT k, v, w FROM o EXCEPT "
    "SELECT k, v, w FROM l))",
    "SELECT count(*) FROM o WHERE NOT EXISTS (SELECT 1 FROM l WHERE l.k = o.k AND l.v = o.v)",
    "SELECT (SELECT count(*) FROM l WHERE w BETWEEN 2 AND 4) - (SELECT count(*) FROM o WHERE w BETWEEN 2 AND 4)",
};

static void compare_twins(sqlite3 *db, const char *when) {
    bool ok;
    if (db == NULL) return;
    long long there = number(db, "SELECT count(*) FROM sqlite_schema WHERE name IN ('l', 'o')", &ok);
    if (!ok) return;
    if (there != 0 && there != 2) fail_msg("%s, point %llu, %s: one of the twin tables is missing", run.name, run.point, when);
    for (size_t i = 0; there == 2 && i < sizeof differences / sizeof differences[0]; i++) {
        long long found = number(db, differences[i], &ok);
        if (ok && found != 0) fail_msg("%s, point %llu, %s: %lld rows differ: %s", run.name, run.point, when, found, differences[i]);
    }
}

/* Rows of the LSM table without a twin. exactly: what was reported as failed must not be there, if the log decided; SQLite's COMMIT may fail and yet have happened. */
static void compare_alone(bool exactly, const char *when) {
    bool ok;
    for (int i = 1; i < ALONE_MAX; i++) {
        char sql[80];
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM alone WHERE k = %d", i);
        if (!run.acknowledged[i] && !run.possible[i]) continue;
        long long found = number(run.db, sql, &ok);
        if (!ok) return;
        if (run.acknowledged[i] && found != 1) fail_msg("%s, point %llu, %s: row %d is lost", run.name, run.point, when, i);
        if (!run.acknowledged[i] && exactly && i < FIRST_MIXED && strcmp(run.journal, "wal") == 0 && found != 0)
            fail_msg("%s, point %llu, %s: row %d was reported as failed", run.name, run.point, when, i);
        run.acknowledged[i] = found == 1;
        run.possible[i] = run.possible[i] && found != 1;
    }
}

#define BOTH(head, tail) head " l " tail "; " head " o " tail
#define SERIES(n)        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < " #n ") "

/* A second process sees the same, and goes. */
static void look_on(void) {
    sqlite3 *db = NULL;
    if (went(db, process_open(run.two, "/app.db", &db), "opening a second process")) compare_twins(db, "in a second process");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void reopen(void) {
    assert_int_equal(sqlite3_close(run.db), SQLITE_OK);
    run.db = NULL;
    (void)connect();
}

static void statement(const char *sql) {
    if (is_idle()) (void)went(run.db, sql_run(run.db, sql), sql);
}

static void create(void) {
    (void)transact(
        "CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY, v TEXT UNIQUE, w NOT NULL DEFAULT (2 + 1), CHECK (k > -100), INDEX by_w(w));"
        "CREATE TABLE o(k INTEGER PRIMARY KEY, v TEXT UNIQUE, w NOT NULL DEFAULT (2 + 1), CHECK (k > -100))",
        0);
    (void)transact("CREATE VIRTUAL TABLE alone USING lsm(k INTEGER PRIMARY KEY, v)", 0);
}

static void change(int from) {
    char sql[1200];
    (void)snprintf(
        sql, sizeof sql,
        SERIES(12) "INSERT INTO l SELECT %d + i, 'v' || (%d + i), i %% 7 FROM c; " SERIES(
            12) "INSERT INTO o SELECT %d + i, 'v' || (%d + i), i %% 7 FROM c;" BOTH("UPDATE",
                                                                                    "SET w = w + 1 WHERE k %% 3 = 0") ";" BOTH("DELETE FROM",
                                                                                                                               "WHERE k %% 11 = 5"),
        from, from, from, from);
    (void)transact(sql, 0);
    (void)transact("", 1 + from / 20); /* LSM tables only: the log decides */
    (void)transact(BOTH("INSERT OR REPLACE INTO", "(k, v) VALUES (7, 'again')"), 20 + from / 20);
}

static void savepoints(void) {
    (void)transact(
        "SAVEPOINT s; " BOTH("DELETE FROM", "WHERE k < 9") "; ROLLBACK TO s; " BOTH("UPDATE", "SET v = v || 'x' WHERE k = 10") "; RELEASE s", 18);
    /* A statement that fails and undoes itself. */
    if (is_idle() && sql_run(run.db, "INSERT INTO l SELECT 1000 + k, v, w FROM l WHERE k < 5") == SQLITE_OK) {
        bool ok;
        if (number(run.db, "SELECT count(*) FROM l WHERE k < 5", &ok) > 0 && ok)
            fail_msg("%s, point %llu: a duplicate was taken", run.name, run.point);
    }
}

static void tables_come_and_go(void) {
    (void)transact("CREATE VIRTUAL TABLE x USING lsm(a, b, PRIMARY KEY(a)); INSERT INTO x VALUES (1, 2)", 0);
    statement("ALTER TABLE x RENAME TO y");
    statement("SELECT lsm_create_index('l', 'late', 'w, v', 1)");
    statement("SELECT * FROM l WHERE w = 3 AND v > 'v1' ORDER BY w, v");
    statement("SELECT lsm_drop_index('l', 'late')");
    statement("DROP TABLE IF EXISTS y");
    statement("DROP TABLE IF EXISTS x");
}

static void everything(void) {
    create();
    change(0);
    statement("SELECT lsm_flush()");
    change(20);
    compare_twins(run.db, "after a flush");
    look_on();
    savepoints();
    tables_come_and_go();
    statement("SELECT lsm_flush()");
    change(40);
    statement("SELECT lsm_compact()");
    /* Larger than memory. */
    (void)transact(SERIES(40) "INSERT INTO l SELECT 2000 + i, printf('%.1900c', 'z') || i, 1 FROM c; " SERIES(
                       40) "INSERT INTO o SELECT 2000 + i, printf('%.1900c', 'z') || i, 1 FROM c",
                   19);
    compare_twins(run.db, "after a large transaction");
    reopen();
    change(60);
    statement("SELECT * FROM lsm_stats, lsm_levels, lsm_readers");
    statement("SELECT * FROM lsm_files, lsm_tables");
    statement("SELECT lsm_check()");
    statement("DELETE FROM alone WHERE k > 1000");
    compare_twins(run.db, "at the end");
}

/* ---- what must hold afterwards --------------------------------------------------------------------------------------------- */

static void must(int rc, const char *what) {
    if (rc != SQLITE_OK) fail_msg("%s, point %llu, the fault gone: %s: %d %s", run.name, run.point, what, rc, sqlite3_errmsg(run.db));
}

static void must_be_whole(bool exactly, const char *when) {
    bool ok;
    unsigned failures = run.failures;
    must(is_idle() ? SQLITE_OK : SQLITE_ERROR, "ROLLBACK");
    must(sql_run(run.db, "CREATE VIRTUAL TABLE IF NOT EXISTS alone USING lsm(k INTEGER PRIMARY KEY, v)"), "making the table");
    compare_twins(run.db, when);
    compare_alone(exactly, when);
    long long found = number(run.db, "SELECT lsm_check() = 'ok' AND (SELECT integrity_check FROM pragma_integrity_check) = 'ok'", &ok);
    if (run.failures != failures) fail_msg("%s, point %llu, %s: it cannot be read: %s", run.name, run.point, when, run.first);
    if (found != 1) fail_msg("%s, point %llu, %s: a check found something", run.name, run.point, when);
}

/* The power fails once all is closed: what was acknowledged is there, and a commit after it too. */
static void must_survive(void) {
    struct lsm_env *left = lsm_env_mem_clone_crashed(run.disk, LSM_CRASH_LOSE, 1);
    assert_non_null(left);
    lsm_env_mem_free(run.disk);
    run.disk = left;
    start();
    must(connect() ? SQLITE_OK : SQLITE_ERROR, "opening after a power cut");
    must_be_whole(true, "after a power cut");
}

static void recover(bool heals, bool power) {
    if (heals) {
        must(is_idle() ? SQLITE_OK : SQLITE_ERROR, "ROLLBACK");
        must(sql_run(run.db, "CREATE VIRTUAL TABLE IF NOT EXISTS alone USING lsm(k INTEGER PRIMARY KEY, v)"), "making the table, without reopening");
        must(sql_run(run.db, "INSERT INTO alone VALUES (38, 'healed')"), "writing without reopening");
        run.acknowledged[38] = true;
        must(sql_run(run.db, "SELECT lsm_flush(), lsm_compact()"), "flushing without reopening");
        must_be_whole(!run.sticky, "without reopening");
    }
    stop();
    start();
    must(connect() ? SQLITE_OK : SQLITE_ERROR, "opening");
    must_be_whole(!run.sticky, "opened again");
    must(sql_run(run.db, "INSERT INTO alone VALUES (39, 'one more')"), "writing");
    run.acknowledged[39] = true;
    if (power) {
        process_kill(run.one);
        (void)sqlite3_close(run.db);
        run.db = NULL;
        process_free(run.one);
        process_free(run.two);
        machine_free(run.machine);
        must_survive();
    }
    stop();
}

/* ---- faults --------------------------------------------------------------------------------------------------------------------- */

static const struct fault_kind {
    const char *name;
    struct lsm_env_fault fault;
    bool heals;   /* without reopening, when the fault is gone */
    bool sqlites; /* SQLite's own files need not survive a power cut after it */
    bool full;    /* the disk is full from that operation on, for good or for SPACE_COMES_BACK operations; only what is there can be written over */
} kinds[] = {
    {"write fails", .fault = {.ops = LSM_ENV_WRITE}},
    {"half a write", .fault = {.ops = LSM_ENV_WRITE, .short_write = true, .os_errno = ENOSPC}},
    {"sync of the store fails, bytes lost", .fault = {.ops = LSM_ENV_SYNC | LSM_ENV_SYNC_DIR, .among = "-lsm"}},
    {"sync of the store fails, bytes kept", .fault = {.ops = LSM_ENV_SYNC | LSM_ENV_SYNC_DIR, .among = "-lsm", .keep_on_sync = true}},
    {"sync fails, bytes lost", .fault = {.ops = LSM_ENV_SYNC | LSM_ENV_SYNC_DIR}, .sqlites = true},
    {"sync fails, bytes kept", .fault = {.ops = LSM_ENV_SYNC | LSM_ENV_SYNC_DIR, .keep_on_sync = true}, .sqlites = true},
    {"no space", .fault = {.ops = LSM_ENV_WRITE | LSM_ENV_CREATE | LSM_ENV_ALLOCATE | LSM_ENV_MKDIR | LSM_ENV_RENAME, .os_errno = ENOSPC}},
    {"full disk", .full = true, .heals = true},
    {"too many open files", .fault = {.ops = LSM_ENV_CREATE | LSM_ENV_OPEN, .os_errno = EMFILE}, .heals = true},
    {"names cannot be changed",
     .fault = {.ops = LSM_ENV_CREATE | LSM_ENV_RENAME | LSM_ENV_UNLINK | LSM_ENV_MKDIR | LSM_ENV_TRUNCATE | LSM_ENV_ALLOCATE}},
    {"read fails", .fault = {.ops = LSM_ENV_READ | LSM_ENV_LIST}},
    {"lock or mapping fails", .fault = {.ops = LSM_ENV_LOCK | LSM_ENV_MAP}},
};

static void begin_run(const char *name, const char *journal, unsigned long long point, bool sticky) {
    run = (struct run){.name = name,
                       .journal = journal,
                       .sync = strcmp(journal, "wal") == 0 ? "full" : "extra",
                       .point = point,
                       .sticky = sticky,
                       .disk = lsm_env_mem_new_strict()};
    assert_non_null(run.disk);
    lsm_env_mem_set_clock(run.disk, 1000000000000000u);
    (void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, NULL);
    sqlite3_randomness(0, NULL);
    start();
}

static void end_run(int64_t live, sqlite3_int64 used) {
    lsm_env_mem_free(run.disk);
    if (lsm_mem_live() != live)
        fail_msg("%s, point %llu: %lld allocations of the engine leaked", run.name, run.point, (long long)(lsm_mem_live() - live));
    if (sqlite3_memory_used() != used)
        fail_msg("%s, point %llu: %lld bytes of SQLite's leaked", run.name, run.point, (long long)(sqlite3_memory_used() - used));
}

/* The disk is full from the at-th operation on. */
static struct limit { uint64_t at, until, seen; } limit;

static void limit_space(void *arg, const struct lsm_env_op *op) {
    (void)arg, (void)op;
    limit.seen++;
    if (limit.seen == limit.at) lsm_env_mem_set_space(run.disk, 1);
    if (limit.seen == limit.until) lsm_env_mem_set_space(run.disk, UINT64_MAX);
}

static void set_fault(const struct fault_kind *kind) {
    struct lsm_env_fault fault = kind->fault;
    fault.at = run.point;
    fault.sticky = run.sticky;
    limit = (struct limit){.at = run.point, .until = run.sticky ? 0 : run.point + SPACE_COMES_BACK};
    if (kind->full)
        lsm_env_mem_on_op(run.disk, limit_space, NULL);
    else
        lsm_env_mem_fail_at(run.disk, &fault);
}

static bool clear_fault(const struct fault_kind *kind) {
    bool happened = kind->full ? limit.seen >= limit.at : lsm_env_mem_faults(run.disk) != 0;
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    lsm_env_mem_set_space(run.disk, UINT64_MAX);
    lsm_env_mem_fail_at(run.disk, NULL);
    return happened;
}

/* False: the fault never happened. */
static bool run_operation(const struct fault_kind *kind, const char *journal, uint64_t at, bool sticky) {
    int64_t live = lsm_mem_live();
    sqlite3_int64 used = sqlite3_memory_used();
    begin_run(kind->name, journal, at, sticky);
    set_fault(kind);
    everything();
    bool happened = clear_fault(kind);
    if (!happened && run.failures != 0) fail_msg("%s %s: without a fault: %s", kind->name, journal, run.first);
    recover(kind->heals, !kind->sqlites);
    end_run(live, used);
    return happened;
}

static bool run_memory(bool sqlites, const char *journal, int64_t at, bool sticky) {
    int64_t live = lsm_mem_live();
    sqlite3_int64 used = sqlite3_memory_used();
    begin_run(sqlites ? "SQLite's memory" : "the engine's memory", journal, (unsigned long long)at, sticky);
    uint64_t calls = lsm_mem_calls();
    if (sqlites)
        sqlite_memory_fail_after(at, sticky);
    else
        lsm_mem_fail_after(at, sticky);
    everything();
    sqlite_memory_fail_after(0, false);
    lsm_mem_fail_after(0, false);
    bool happened = sqlites ? sqlite_memory_failed() : lsm_mem_calls() - calls >= (uint64_t)at;
    recover(sqlites, true); /* the engine's is the simulated disk's, too */
    end_run(live, used);
    return happened;
}

/* ---- sweeps ------------------------------------------------------------------------------------------------------------------------ */

static const char *const journals[] = {"wal", "delete"};

/* The distance of points, and the first one. */
static uint64_t stride(uint64_t otherwise, uint64_t *first) {
    uint64_t every = given_stride("LSM_FAULTS", otherwise);
    *first = 1 + given_number("LSM_TEST_SEED", 0) % every;
    return every;
}

static void fail_operations(bool sticky) {
    unsigned long long points = 0;
    uint64_t first, every = stride(61, &first);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int j = 0; j < 2; j++)
            for (uint64_t at = first; run_operation(&kinds[k], journals[j], at, sticky); at += every) points++;
    print_message("  %llu points, every %llu-th operation from the %llu-th\n", points, (unsigned long long)every, (unsigned long long)first);
}

static void an_operation_that_fails_once_keeps_both_kinds_of_tables_whole(void **state) {
    (void)state;
    fail_operations(false);
}

static void operations_that_fail_for_good_keep_both_kinds_of_tables_whole(void **state) {
    (void)state;
    fail_operations(true);
}

static void fail_memory(bool sqlites) {
    unsigned long long points = 0;
    uint64_t first, every = stride(sqlites ? 1501 : 509, &first);
    for (int j = 0; j < 2; j++)
        for (int sticky = 0; sticky < 2; sticky++)
            for (uint64_t at = first; run_memory(sqlites, journals[j], (int64_t)at, sticky == 1); at += every) points++;
    print_message("  %llu points, every %llu-th allocation from the %llu-th\n", points, (unsigned long long)every, (unsigned long long)first);
}

static void running_out_of_the_engines_memory_keeps_both_kinds_of_tables_whole(void **state) {
    (void)state;
    fail_memory(false);
}

static void running_out_of_sqlites_memory_keeps_both_kinds_of_tables_whole(void **state) {
    (void)state;
    fail_memory(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_that_fails_once_keeps_both_kinds_of_tables_whole),
        cmocka_unit_test(operations_that_fail_for_good_keep_both_kinds_of_tables_whole),
        cmocka_unit_test(running_out_of_the_engines_memory_keeps_both_kinds_of_tables_whole),
        cmocka_unit_test(running_out_of_sqlites_memory_keeps_both_kinds_of_tables_whole),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
