/* lsm_accept() where database and store are of two ages: what it reports, and that every step of it can fail: memory of SQLite's and of the engine, operations on files. Then
 * it says what failed, and the next try succeeds. */
#include "steps.h"

enum { POINTS_MAX = 5000 };

static struct lsm_env *older, *newer; /* the same database at two moments, closed */

/* ---- scaffolding ----------------------------------------------------------------------------------------------------------------- */

/* The values of all rows, or the error. */
static int ask(const char *sql, char *text, size_t size) {
    int rc = dump(sql, text, size);
    if (rc != SQLITE_OK) (void)snprintf(text, size, "%s", last_error);
    return rc;
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
    computer_stop(&computer);
    older = lsm_env_mem_clone_killed(computer.disk, false);
    begin(computer.disk);
    must("CREATE VIRTUAL TABLE l3 USING lsm(v); CREATE VIRTUAL TABLE l4 USING lsm(v, UNIQUE (v)); BEGIN; INSERT INTO o VALUES (2); INSERT INTO \"l "
         "\"\"1\" VALUES (2, 2); COMMIT");
    computer_stop(&computer);
    newer = computer.disk;
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
    assert_int_equal(run("BEGIN"), SQLITE_OK);
    assert_int_equal(ask("SELECT lsm_accept()", text, sizeof text), SQLITE_ERROR);
    assert_string_equal(text, "lsm_accept() is a transaction of its own: COMMIT first");
    must("ROLLBACK");
    must_say("SELECT lsm_accept()", OLDER_DATABASE);
    must_say("SELECT k FROM \"l \"\"1\"", "1 2");
    must_say("SELECT lsm_accept('main')", "nothing to accept: the database and its LSM tables fit together");
    end();
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
    end();
}

static void a_schema_without_lsm_tables_has_nothing_to_accept(void **unused) {
    (void)unused;
    begin(lsm_env_mem_new_strict());
    must("CREATE TABLE o(x)");
    must_say("SELECT lsm_accept()", "nothing to accept");
    must_say("SELECT lsm_accept('temp')", "nothing to accept");
    end();
}

/* ---- what fails ---------------------------------------------------------------------------------------------------------------------- */

static void sweep(enum kind kind, struct lsm_env *store, struct lsm_env *database, const char *report) {
    bool hit = true;
    for (uint64_t n = 1; hit; n += 2) {
        char text[1000];
        begin(mixed(store, database));
        arm(kind, n);
        int rc = ask("SELECT lsm_accept()", text, sizeof text);
        hit = disarm(kind, n);
        bool said = rc == SQLITE_OK && strncmp(text, report, strlen(report)) == 0;
        if (!said && (rc == SQLITE_OK || text[0] == '\0' || strcmp(text, "not an error") == 0 || !hit))
            fail_msg("kind %d at %llu: %d '%s'", kind, (unsigned long long)n, rc, text);
        /* A sync that failed ends the writing until the store is opened again. */
        if (!said && kind == OPERATION) {
            computer_stop(&computer);
            begin(computer.disk);
        }
        /* A failure of the last steps may come after it was done. */
        if (!said && (ask("SELECT lsm_accept()", text, sizeof text) != SQLITE_OK ||
                      (strncmp(text, report, strlen(report)) != 0 && strncmp(text, "nothing to accept", 17) != 0)))
            fail_msg("kind %d at %llu, the fault gone: '%s'", kind, (unsigned long long)n, text);
        must_say("SELECT k FROM \"l \"\"1\"", store == newer ? "1 2" : "1");
        end();
        assert_true(n < POINTS_MAX);
    }
}

static void every_step_of_it_can_fail(void **unused) {
    (void)unused;
    for (enum kind kind = OPERATION; kind < KINDS; kind++) {
        sweep(kind, newer, older, OLDER_DATABASE);
        sweep(kind, older, newer, OLDER_STORE "; the rows of 2 tables");
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
