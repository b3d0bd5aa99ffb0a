/* How connections and processes end: with statements that are not finalized, in the middle of transactions, while threads work.
 *
 * A process of its own, made by fork() before there is any thread, does the ending; this one looks at how it ended and at what it left.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/scratch.h"
#include "../support/sql.h"

/* The smallest memtables: flushes and merges are always at work. */
static sqlite3 *open_database(void) {
    char path[128];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "file:%s?lsm_write_buffer=65536", scratch_path("test.db"));
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_lsm_init(db, NULL, NULL);
    if (rc != SQLITE_OK) abort();
    sqlite3_busy_timeout(db, 20000);
    sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    return db;
}

static void must(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) return;
    fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
    abort();
}

static sqlite3_int64 number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    sqlite3_int64 found = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        found = sqlite3_column_int64(statement, 0);
    if (sqlite3_finalize(statement) != SQLITE_OK) fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
    return found;
}

#define FILL "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t(v) SELECT hex(zeroblob(100)) FROM n"

static int set_up(void **state) {
    (void)state;
    scratch_make();
    sqlite3 *db = open_database();
    must(db, "PRAGMA journal_mode = WAL; CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v, INDEX by_v (v)); CREATE TABLE acked(n)");
    must(db, FILL);
    return sqlite3_close(db);
}

static int tear_down(void **state) {
    (void)state;
    scratch_remove();
    return 0;
}

/* All is whole, and there are `rows` rows (-1: any number). */
static void look(sqlite3_int64 rows) {
    sqlite3 *db = open_database();
    assert_int_equal(number(db, "SELECT lsm_check() = 'ok'"), 1);
    if (rows >= 0) assert_int_equal(number(db, "SELECT count(*) FROM t"), rows);
    assert_int_equal(number(db, "SELECT count(*) FROM lsm_readers"), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---- connections ------------------------------------------------------------------------------------------------------- */

static void close_is_refused_while_a_statement_is_left_and_close_v2_waits_for_it(void **state) {
    (void)state;
    sqlite3 *db = open_database();
    sqlite3_stmt *select = NULL;
    int rows = 0;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT id, v FROM t ORDER BY id", -1, &select, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(select), SQLITE_ROW);
    assert_int_equal(sqlite3_close(db), SQLITE_BUSY);
    assert_int_equal(sqlite3_step(select), SQLITE_ROW);
    assert_int_equal(sqlite3_close_v2(db), SQLITE_OK);
    /* It is there until its last statement goes, and reads what it read. */
    for (rows = 2; sqlite3_step(select) == SQLITE_ROW; rows++) assert_int_equal(sqlite3_column_int(select, 0), rows + 1);
    assert_int_equal(rows, 3000);
    assert_int_equal(sqlite3_finalize(select), SQLITE_OK);
    look(3000);
}

static void close_v2_with_rows_half_read_lets_others_write_and_merge(void **state) {
    (void)state;
    sqlite3 *db = open_database(), *other = open_database();
    sqlite3_stmt *left[2] = {NULL};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sqlite3_prepare_v2(db, i == 0 ? "SELECT id FROM t" : "SELECT v FROM t WHERE v > ''", -1, &left[i], NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(left[i]), SQLITE_ROW);
    }
    assert_int_equal(sqlite3_close_v2(db), SQLITE_OK);
    must(other, "DELETE FROM t WHERE id > 10; SELECT lsm_compact()");
    int rows = 1;
    while (sqlite3_step(left[0]) == SQLITE_ROW) rows++;
    assert_int_equal(rows, 3000);
    assert_int_equal(sqlite3_finalize(left[0]), SQLITE_OK);
    assert_int_equal(sqlite3_finalize(left[1]), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    look(10);
}

static void close_in_the_middle_of_a_transaction_undoes_it(void **state) {
    (void)state;
    for (int v2 = 0; v2 < 2; v2++) {
        sqlite3 *db = open_database();
        sqlite3_stmt *insert = NULL;
        must(db, "BEGIN; DELETE FROM t WHERE id % 2");
        must(db, FILL); /* large enough to have spilled */
        assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO t(v) SELECT v FROM t", -1, &insert, NULL), SQLITE_OK);
        if (v2) assert_int_equal(sqlite3_close_v2(db), SQLITE_OK);
        assert_int_equal(sqlite3_finalize(insert), SQLITE_OK);
        if (!v2) assert_int_equal(sqlite3_close(db), SQLITE_OK);
        look(3000);
    }
}

/* ---- processes ----------------------------------------------------------------------------------------------------------- */

/* SQLite hands its write lock to whoever happens to ask in the gap between two transactions, so beside a thread that writes for ever
 * another one may ask in vain for longer than any timeout: the one that writes for ever begins nothing new while this is set. */
static atomic_bool asked;

/* Writes until the end, each commit told in the same transaction. */
static void *write_for_ever(void *unused) {
    sqlite3 *db = open_database();
    for (;;) {
        while (atomic_load(&asked)) (void)usleep(100);
        must(db, "BEGIN IMMEDIATE; INSERT INTO acked VALUES (3000)");
        must(db, FILL "; COMMIT");
        while (atomic_load(&asked)) (void)usleep(100);
        must(db, "UPDATE t SET v = v || 'x' WHERE id % 100 = 0");
    }
    return unused;
}

static void *read_for_ever(void *unused) {
    sqlite3 *db = open_database();
    for (;;) (void)number(db, "SELECT count(*), max(v) FROM t");
    return unused;
}

static unsigned random_us(unsigned *seed) { return (unsigned)rand_r(seed) % 150000; }

/* How it ends: whatever is at work then. */
enum end { END_EXIT, END_EXIT_IN_A_TRANSACTION, END_BY_A_SIGNAL, ENDS };

static void end(enum end how, unsigned *seed) {
    pthread_t threads[2];
    sqlite3 *db = open_database();
    if (pthread_create(&threads[0], NULL, write_for_ever, NULL) != 0 || pthread_create(&threads[1], NULL, read_for_ever, NULL) != 0) abort();
    (void)usleep(random_us(seed));
    if (how == END_EXIT_IN_A_TRANSACTION) {
        atomic_store(&asked, true);
        must(db, "BEGIN IMMEDIATE");
        atomic_store(&asked, false); /* from here on it waits for the lock */
        must(db, "DELETE FROM t");
    }
    if (how == END_BY_A_SIGNAL) (void)raise(SIGTERM);
    exit(0);
}

static void a_process_that_exits_while_its_threads_write_read_and_merge_ends_in_peace(void **state) {
    unsigned seed = (unsigned)getpid();
    (void)state;
    print_message("  seed %u\n", seed);
    fflush(stdout);
    for (int round = 0; round < 2 * ENDS; round++) {
        enum end how = (enum end)(round % ENDS);
        int status = 0;
        seed = seed * 31 + 1;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) end(how, &seed);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (how == END_BY_A_SIGNAL)
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        else
            assert_int_equal(status, 0);
        sqlite3 *db = open_database();
        assert_int_equal(number(db, "SELECT (SELECT count(*) FROM t) - (SELECT total(n) FROM acked)"), 3000);
        assert_int_equal(number(db, "SELECT lsm_check() = 'ok'"), 1);
        must(db, "DELETE FROM t WHERE id > 3000; DELETE FROM acked");
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
    look(3000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(close_is_refused_while_a_statement_is_left_and_close_v2_waits_for_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(close_v2_with_rows_half_read_lets_others_write_and_merge, set_up, tear_down),
        cmocka_unit_test_setup_teardown(close_in_the_middle_of_a_transaction_undoes_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_process_that_exits_while_its_threads_write_read_and_merge_ends_in_peace, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
