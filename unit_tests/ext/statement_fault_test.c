/* Every operation of a statement on the files of database and store fails once, its reads, opening and locks included: statements of every kind (statements.h), each on a
 * connection that has read nothing yet.
 *
 * The statement succeeds and has happened whole, or says what failed; then all of it has happened, or nothing. The connection goes on, and who opens the database next sees the
 * same. fault_test does it to what writes within long sessions, nomem_test to memory.
 *
 * LSM_FAULTS=1 strikes every operation; N: every N-th of each statement, from another one on in each; 5 if it does not say.
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
#include "statements.h"

enum { TEXT_BYTES = 60000, POINTS_MAX = 5000 };

static struct lsm_env *furnished; /* a disk with the database on it; each point has a copy */

/* ---- a connection ---------------------------------------------------------------------------------------------------------------- */

static struct world {
    struct lsm_env *disk;
    struct machine *machine;
    struct process *process;
    sqlite3 *db;
    char error[300]; /* of the last statement that failed */
} world;

static int start(void) {
    world.process = process_new(world.machine);
    assert_non_null(world.process);
    return process_open(world.process, "/app.db", &world.db);
}

static void stop(void) {
    assert_int_equal(sqlite3_close(world.db), SQLITE_OK);
    world.db = NULL;
    process_free(world.process);
}

static void begin(struct lsm_env *disk) {
    world.disk = disk;
    assert_non_null(disk);
    world.machine = machine_new(disk);
    assert_non_null(world.machine);
    assert_int_equal(start(), SQLITE_OK);
}

static void end(void) {
    stop();
    machine_free(world.machine);
    lsm_env_mem_free(world.disk);
}

/* All values of all rows of all statements, into text; SQLite's code. */
static int run(const char *sql, char *text) {
    size_t size = 0;
    int rc = SQLITE_OK;
    text[0] = '\0';
    while (rc == SQLITE_OK && *sql != '\0') {
        sqlite3_stmt *statement = NULL;
        rc = sqlite3_prepare_v2(world.db, sql, -1, &statement, &sql);
        while (rc == SQLITE_OK && statement != NULL && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(statement) && size < TEXT_BYTES - 200; i++) {
                const char *value = (const char *)sqlite3_column_text(statement, i);
                size += (size_t)snprintf(text + size, TEXT_BYTES - size, "%.100s ", value == NULL ? "NULL" : value);
            }
            rc = SQLITE_OK;
        }
        if (rc == SQLITE_DONE) rc = SQLITE_OK;
        if (rc != SQLITE_OK) (void)snprintf(world.error, sizeof world.error, "%s", sqlite3_errmsg(world.db));
        sqlite3_finalize(statement);
    }
    return rc;
}

static void must(const char *sql, char *text) {
    int rc = run(sql, text);
    if (rc != SQLITE_OK) fail_msg("%.200s: %d %s", sql, rc, world.error);
}

static int set_up(void **unused) {
    (void)unused;
    static char text[TEXT_BYTES];
    begin(lsm_env_mem_new_strict());
    must("PRAGMA journal_mode = WAL", text);
    must(furniture, text);
    must("SELECT lsm_flush()", text);
    furnished = lsm_env_mem_clone_killed(world.disk, false);
    end();
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    lsm_env_mem_free(furnished);
    return 0;
}

/* ---- one statement ----------------------------------------------------------------------------------------------------------------- */

static uint64_t stride(void) {
    const char *text = getenv("LSM_FAULTS");
    int n = text == NULL ? 5 : atoi(text);
    return n < 1 ? 1 : (uint64_t)n;
}

static void must_be_explained(int rc, const char *sql, uint64_t n) {
    int primary = rc & 0xff;
    if (primary != SQLITE_INTERNAL && primary != SQLITE_MISUSE && primary != SQLITE_CORRUPT && primary != SQLITE_NOTADB &&
        primary != SQLITE_CONSTRAINT && world.error[0] != '\0' && strcmp(world.error, "not an error") != 0)
        return;
    fail_msg("%s: operation %llu: %d '%s'", sql, (unsigned long long)n, rc, world.error);
}

/* A check succeeds, and tells what it could not read. */
static bool tells(const char *sql, const char *got) {
    if (strstr(sql, "integrity_check") != NULL) return strstr(got, "error code=") != NULL;
    return strstr(sql, "lsm_check") != NULL && strstr(got, ": cannot ") != NULL;
}

static void sweep(const char *sql) {
    static uint64_t sweeps;
    static char before[TEXT_BYTES], after[TEXT_BYTES], wanted[TEXT_BYTES], got[TEXT_BYTES], now[TEXT_BYTES];
    begin(lsm_env_mem_clone_killed(furnished, false));
    must(state_query, before);
    must(sql, wanted);
    must(state_query, after);
    end();
    bool hit = true;
    for (uint64_t n = 1 + sweeps++ % stride(); hit; n += stride()) {
        begin(lsm_env_mem_clone_killed(furnished, false));
        struct lsm_env_fault fault = {.at = n, .ops = LSM_ENV_ALL};
        lsm_env_mem_fail_at(world.disk, &fault);
        int rc = run(sql, got);
        hit = lsm_env_mem_faults(world.disk) > 0;
        lsm_env_mem_fail_at(world.disk, NULL);
        if (rc != SQLITE_OK)
            must_be_explained(rc, sql, n);
        else if (strcmp(got, wanted) != 0 && !tells(sql, got))
            fail_msg("%s: operation %llu: got '%s'", sql, (unsigned long long)n, got);
        if (!hit) assert_int_equal(rc, SQLITE_OK);
        if (sqlite3_get_autocommit(world.db) == 0) must("ROLLBACK", got);
        for (int again = 0; again < 2; again++) { /* and by who comes next */
            must(state_query, now);
            if (strcmp(now, after) != 0 && (rc == SQLITE_OK || strcmp(now, before) != 0))
                fail_msg("%s: operation %llu, %d %s: '%s' and before '%s'", sql, (unsigned long long)n, rc, world.error, now, before);
            stop();
            assert_int_equal(start(), SQLITE_OK);
        }
        must("SELECT lsm_check()", now);
        assert_string_equal(now, "ok ");
        end();
        assert_true(n < POINTS_MAX);
    }
}

static void a_statement_that_writes_has_happened_or_not(void **unused) {
    (void)unused;
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) sweep(writes[i][0]);
}

static void a_statement_that_reads_gives_its_rows_or_an_error(void **unused) {
    (void)unused;
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) sweep(reads[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_statement_that_writes_has_happened_or_not),
        TEST(a_statement_that_reads_gives_its_rows_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
