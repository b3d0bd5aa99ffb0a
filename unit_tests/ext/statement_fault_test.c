/* Every operation of a statement on the files of database and store fails once, its reads, opening and locks included: statements of every kind (statements.h), each on a
 * connection that has read nothing yet.
 *
 * The statement succeeds and has happened whole, or says what failed; then all of it has happened, or nothing. The connection goes on, and who opens the database next sees the
 * same. fault_test does it to what writes within long sessions, nomem_test to memory.
 *
 * LSM_FAULTS=1 strikes every operation; N: every N-th of each statement, from another one on in each; 5 if it does not say.
 */
#include "statements.h"
#include "steps.h"

enum { TEXT_BYTES = 60000, POINTS_MAX = 5000 };

static struct lsm_env *furnished; /* a disk with the database on it; each point has a copy */

static void must_give(const char *sql, char *text) {
    int rc = dump(sql, text, TEXT_BYTES);
    if (rc != SQLITE_OK) fail_msg("%.200s: %d %s", sql, rc, last_error);
}

static int set_up(void **unused) {
    (void)unused;
    begin(lsm_env_mem_new_strict());
    must("PRAGMA journal_mode = WAL");
    must(furniture);
    must("SELECT lsm_flush()");
    furnished = lsm_env_mem_clone_killed(computer.disk, false);
    end();
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    lsm_env_mem_free(furnished);
    return 0;
}

/* ---- one statement ----------------------------------------------------------------------------------------------------------------- */

static void must_be_explained(int rc, const char *sql, uint64_t n) {
    int primary = rc & 0xff;
    if (primary != SQLITE_INTERNAL && primary != SQLITE_MISUSE && primary != SQLITE_CORRUPT && primary != SQLITE_NOTADB &&
        primary != SQLITE_CONSTRAINT && last_error[0] != '\0' && strcmp(last_error, "not an error") != 0)
        return;
    fail_msg("%s: operation %llu: %d '%s'", sql, (unsigned long long)n, rc, last_error);
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
    must_give(state_query, before);
    must_give(sql, wanted);
    must_give(state_query, after);
    end();
    bool hit = true;
    for (uint64_t n = 1 + sweeps++ % given_stride("LSM_FAULTS", 5); hit; n += given_stride("LSM_FAULTS", 5)) {
        begin(lsm_env_mem_clone_killed(furnished, false));
        arm(OPERATION, n);
        int rc = dump(sql, got, sizeof got);
        hit = disarm(OPERATION, n);
        if (rc != SQLITE_OK)
            must_be_explained(rc, sql, n);
        else if (strcmp(got, wanted) != 0 && !tells(sql, got))
            fail_msg("%s: operation %llu: got '%s'", sql, (unsigned long long)n, got);
        if (!hit) assert_int_equal(rc, SQLITE_OK);
        if (sqlite3_get_autocommit(db) == 0) must_give("ROLLBACK", got);
        for (int again = 0; again < 2; again++) { /* and by who comes next */
            must_give(state_query, now);
            if (strcmp(now, after) != 0 && (rc == SQLITE_OK || strcmp(now, before) != 0))
                fail_msg("%s: operation %llu, %d %s: '%s' and before '%s'", sql, (unsigned long long)n, rc, last_error, now, before);
            come_next();
        }
        must_give("SELECT lsm_check()", now);
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
