/* lsm_accept() where database and store are of two ages: what it reports, and that every step of it can fail: memory of SQLite's and of the engine, operations on files. Then
 * it says what failed, and the next try succeeds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../lsm_core/base/base.h"
#include "../support/machine.h"
#include "../support/sqlite_memory.h"

enum { POINTS_MAX = 5000 };

static struct world {
    struct lsm_env *disk;
    struct machine *machine;
    struct process *process;
    sqlite3 *db;
} world;

static struct lsm_env *older, *newer; /* the same database at two moments, closed */

/* ---- scaffolding ----------------------------------------------------------------------------------------------------------------- */

static void begin(struct lsm_env *disk) {
    world.disk = disk;
    assert_non_null(disk);
    world.machine = machine_new(disk);
    world.process = process_new(world.machine);
    assert_non_null(world.process);
    assert_int_equal(process_open(world.process, "/app.db", &world.db), SQLITE_OK);
}

static void leave(void) {
    assert_int_equal(sqlite3_close(world.db), SQLITE_OK);
    process_free(world.process);
    machine_free(world.machine);
}

/* The values of all rows, or the error. */
static int ask(const char *sql, char *text, size_t size) {
    sqlite3_stmt *statement = NULL;
    size_t used = 0;
    text[0] = '\0';
    int rc = sqlite3_prepare_v2(world.db, sql, -1, &statement, NULL);
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW && used < size - 1) {
        const char *value = (const char *)sqlite3_column_text(statement, 0);
        used += (size_t)snprintf(text + used, size - used, "%s%s", used == 0 ? "" : " ", value == NULL ? "NULL" : value);
    }
    rc = rc == SQLITE_OK ? sqlite3_finalize(statement) : rc;
    if (rc != SQLITE_OK) (void)snprintf(text, size, "%s", sqlite3_errmsg(world.db));
    return rc;
}

static void must(const char *sql) {
    int rc = sqlite3_exec(world.db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK) fail_msg("%s: %d %s", sql, rc, sqlite3_errmsg(world.db));
}

static void must_say(const char *sql, const char *wanted) {
    char text[1000];
    if (ask(sql, text, sizeof text) != SQLITE_OK || strncmp(text, wanted, strlen(wanted)) != 0) fail_msg("%s: '%s', not '%s'", sql, text, wanted);
}

static int set_up(void **unused) {
    (void)unused;
    begin(lsm_env_mem_new_strict());
    must("PRAGMA journal_mode = WAL; CREATE TABLE o(x); CREATE VIRTUAL TABLE \"l \"\"1\" USING lsm(k PRIMARY KEY, v, UNIQUE (v)); CREATE VIRTUAL "
         "TABLE l2 USING lsm(v);"
         "BEGIN; INSERT INTO o VALUES (1); INSERT INTO \"l \"\"1\" VALUES (1, 1); COMMIT; INSERT INTO l2 VALUES (1)");
    leave();
    older = lsm_env_mem_clone_killed(world.disk, false);
    begin(world.disk);
    must("CREATE VIRTUAL TABLE l3 USING lsm(v); CREATE VIRTUAL TABLE l4 USING lsm(v, UNIQUE (v)); BEGIN; INSERT INTO o VALUES (2); INSERT INTO \"l "
         "\"\"1\" VALUES (2, 2); COMMIT");
    leave();
    newer = world.disk;
    return older == NULL;
}

static int tear_down(void **unused) {
    (void)unused;
    lsm_env_mem_free(older);
    lsm_env_mem_free(newer);
    return 0;
}

/* A disk with the store of one and the database file of the other. */
static struct lsm_env *mixed(struct lsm_env *store, struct lsm_env *database) {
    uint8_t *bytes;
    size_t size;
    struct lsm_env *disk = lsm_env_mem_clone_killed(store, false);
    assert_non_null(disk);
    assert_int_equal(lsm_env_mem_read_file(database, "/app.db", &bytes, &size), LSM_OK);
    assert_int_equal(lsm_env_mem_write_file(disk, "/app.db", bytes, size), LSM_OK);
    lsm_free(bytes);
    return disk;
}

/* ---- what it says ------------------------------------------------------------------------------------------------------------------ */

#define OLDER_DATABASE "accepted: the database is older than the store; rows of LSM tables may be newer than those of ordinary tables"
#define OLDER_STORE    "accepted: the store is older than the database; rows of LSM tables may be older than those of ordinary tables"

static void an_older_database_gets_the_newer_rows(void **unused) {
    (void)unused;
    begin(mixed(newer, older));
    char text[1000];
    assert_int_equal(ask("SELECT k FROM \"l \"\"1\"", text, sizeof text) & 0xff, SQLITE_CORRUPT);
    assert_non_null(strstr(text, "the database is older than the store of its LSM tables"));
    assert_int_equal(sqlite3_exec(world.db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(ask("SELECT lsm_accept()", text, sizeof text), SQLITE_ERROR);
    assert_string_equal(text, "lsm_accept() is a transaction of its own: COMMIT first");
    must("ROLLBACK");
    must_say("SELECT lsm_accept()", OLDER_DATABASE);
    must_say("SELECT k FROM \"l \"\"1\"", "1 2");
    must_say("SELECT lsm_accept('main')", "nothing to accept: the database and its LSM tables fit together");
    leave();
    lsm_env_mem_free(world.disk);
}

static void an_older_store_lacks_tables_and_says_how_many(void **unused) {
    (void)unused;
    begin(mixed(older, newer));
    must_say("SELECT lsm_accept()", OLDER_STORE "; the rows of 2 tables are not there at all: DROP");
    must_say("SELECT k FROM \"l \"\"1\"", "1");
    must("DROP TABLE l3");
    must_say("SELECT lsm_check()", "schema: a table's rows, tree ");
    must("DROP TABLE l4");
    must_say("SELECT lsm_check()", "ok");
    leave();
    lsm_env_mem_free(world.disk);
}

static void a_schema_without_lsm_tables_has_nothing_to_accept(void **unused) {
    (void)unused;
    begin(lsm_env_mem_new_strict());
    must("CREATE TABLE o(x)");
    must_say("SELECT lsm_accept()", "nothing to accept");
    must_say("SELECT lsm_accept('temp')", "nothing to accept");
    leave();
    lsm_env_mem_free(world.disk);
}

/* ---- what fails ---------------------------------------------------------------------------------------------------------------------- */

enum fault { SQLITES_MEMORY, ENGINES_MEMORY, FILES };

static void arm(enum fault fault, uint64_t n) {
    struct lsm_env_fault operation = {.at = n, .ops = LSM_ENV_ALL};
    if (fault == SQLITES_MEMORY) sqlite_memory_fail_after((int64_t)n, false);
    if (fault == ENGINES_MEMORY) lsm_mem_fail_after((int64_t)n, false);
    if (fault == FILES) lsm_env_mem_fail_at(world.disk, n == 0 ? NULL : &operation);
}

static void sweep(enum fault fault, struct lsm_env *store, struct lsm_env *database, const char *report) {
    bool hit = true;
    for (uint64_t n = 1; hit; n += 2) {
        char text[1000];
        begin(mixed(store, database));
        uint64_t calls = lsm_mem_calls();
        arm(fault, n);
        int rc = ask("SELECT lsm_accept()", text, sizeof text);
        arm(fault, 0);
        hit = fault == SQLITES_MEMORY   ? sqlite_memory_failed()
              : fault == ENGINES_MEMORY ? lsm_mem_calls() - calls >= n
                                        : lsm_env_mem_faults(world.disk) > 0;
        bool said = rc == SQLITE_OK && strncmp(text, report, strlen(report)) == 0;
        if (!said && (rc == SQLITE_OK || text[0] == '\0' || strcmp(text, "not an error") == 0 || !hit))
            fail_msg("fault %d at %llu: %d '%s'", fault, (unsigned long long)n, rc, text);
        /* A sync that failed ends the writing until the store is opened again. */
        if (!said && fault == FILES) {
            leave();
            begin(world.disk);
        }
        /* A failure of the last steps may come after it was done. */
        if (!said && (ask("SELECT lsm_accept()", text, sizeof text) != SQLITE_OK ||
                      (strncmp(text, report, strlen(report)) != 0 && strncmp(text, "nothing to accept", 17) != 0)))
            fail_msg("fault %d at %llu, the fault gone: '%s'", fault, (unsigned long long)n, text);
        must_say("SELECT k FROM \"l \"\"1\"", store == newer ? "1 2" : "1");
        leave();
        lsm_env_mem_free(world.disk);
        assert_true(n < POINTS_MAX);
    }
}

static void every_step_of_it_can_fail(void **unused) {
    (void)unused;
    for (enum fault fault = SQLITES_MEMORY; fault <= FILES; fault++) {
        sweep(fault, newer, older, OLDER_DATABASE);
        sweep(fault, older, newer, OLDER_STORE "; the rows of 2 tables");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_older_database_gets_the_newer_rows),
        TEST(an_older_store_lacks_tables_and_says_how_many),
        TEST(a_schema_without_lsm_tables_has_nothing_to_accept),
        TEST(every_step_of_it_can_fail),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
