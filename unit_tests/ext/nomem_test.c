/* Every allocation of a statement fails once, SQLite's and the engine's: statements of every kind, over tables with everything that a declaration can have.
 *
 * The statement succeeds, or says that memory was out; either all of it has happened or nothing, for SELECT the rows are right or there is an error, and
 * what undoes it works at once. txn_test does the same with memory that stays out, fault_test within long sessions.
 *
 * LSM_NOMEM=1 strikes every allocation; N: every N-th of each statement, from another one on in each; 11 if it does not say.
 */
#include "statements.h"
#include "steps.h"

enum { TEXT_BYTES = 60000, POINTS_MAX = 20000 };

/* ---- scaffolding ----------------------------------------------------------------------------------------------------------------- */

static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must(furniture);
    return 0;
}

/* ---- one statement ----------------------------------------------------------------------------------------------------------------- */

static uint64_t stride(void) { return given_stride("LSM_NOMEM", 11); }

static const char *const memory_names[KINDS] = {[OF_SQLITE] = "SQLite's", [OF_THE_ENGINE] = "the engine's"};

static void must_be_want_of_memory(int rc, const char *sql, enum kind memory, uint64_t n) {
    if ((rc & 0xff) == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM || strstr(last_error, "out of memory") != NULL) return;
    fail_msg("%s: allocation %lld of %s: %d '%s'", sql, (long long)n, memory_names[memory], rc, last_error);
}

/* undo: takes back what the statement does, or nothing where it has not happened. */
static void sweep(const char *sql, const char *undo, enum kind memory) {
    static uint64_t sweeps;
    static char before[TEXT_BYTES], after[TEXT_BYTES], wanted[TEXT_BYTES], got[TEXT_BYTES], now[TEXT_BYTES];
    assert_int_equal(dump(state_query, before, TEXT_BYTES), SQLITE_OK);
    int rc = dump(sql, wanted, TEXT_BYTES);
    if (rc != SQLITE_OK) fail_msg("%s: %s", sql, last_error);
    assert_int_equal(dump(state_query, after, TEXT_BYTES), SQLITE_OK);
    must(undo);
    assert_int_equal(dump(state_query, now, TEXT_BYTES), SQLITE_OK);
    assert_string_equal(now, before);
    bool hit = true;
    for (uint64_t n = 1 + sweeps++ % stride(); hit; n += stride()) {
        arm(memory, n);
        rc = dump(sql, got, TEXT_BYTES);
        hit = disarm(memory, n);
        if (rc != SQLITE_OK)
            must_be_want_of_memory(rc, sql, memory, n);
        else if (strcmp(got, wanted) != 0)
            fail_msg("%s: allocation %lld of %s: got '%s'", sql, (long long)n, memory_names[memory], got);
        if (!hit) assert_int_equal(rc, SQLITE_OK);
        if (sqlite3_get_autocommit(db) == 0) must("ROLLBACK");
        assert_int_equal(dump(state_query, now, TEXT_BYTES), SQLITE_OK);
        if (strcmp(now, after) != 0 && (rc == SQLITE_OK || strcmp(now, before) != 0))
            fail_msg("%s: allocation %lld of %s, %d %s: '%s' and before '%s'", sql, (long long)n, memory_names[memory], rc, last_error, now, before);
        if (undo[0] == '\0') continue;
        must(undo);
        assert_int_equal(dump(state_query, now, TEXT_BYTES), SQLITE_OK);
        if (strcmp(now, before) != 0) fail_msg("%s: allocation %lld of %s: undone to '%s'", sql, (long long)n, memory_names[memory], now);
        assert_true(n < POINTS_MAX);
    }
}

static void sweep_all(enum kind memory) {
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) sweep(writes[i][0], writes[i][1], memory);
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) sweep(reads[i], "", memory);
}

static void a_statement_without_sqlites_memory_has_happened_or_not(void **unused) {
    (void)unused;
    sweep_all(OF_SQLITE);
}

static void a_statement_without_the_engines_memory_has_happened_or_not(void **unused) {
    (void)unused;
    sweep_all(OF_THE_ENGINE);
}

/* What its CHECKs mention is the same for who makes the shadow table and who fills it. */
static void a_table_made_while_memory_is_short_takes_rows_and_checks_them(void **unused) {
    (void)unused;
    static char text[TEXT_BYTES];
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        arm(OF_SQLITE, n);
        int rc = dump("CREATE VIRTUAL TABLE w USING lsm(x, \"y\"\"z\", CHECK (x > 0 AND [rowid] < 100 AND \"y\"\"z\" <> '_KEY'))", text, TEXT_BYTES);
        hit = disarm(OF_SQLITE, n);
        if (rc != SQLITE_OK) continue;
        must("INSERT INTO w(rowid, x, \"y\"\"z\") VALUES (7, 1, 'a')");
        assert_int_equal(dump("INSERT INTO w VALUES (0, 'a')", text, TEXT_BYTES), SQLITE_CONSTRAINT_CHECK);
        assert_int_equal(dump("INSERT INTO w VALUES (1, '_KEY')", text, TEXT_BYTES), SQLITE_CONSTRAINT_CHECK);
        assert_int_equal(dump("INSERT INTO w(rowid, x) VALUES (100, 1)", text, TEXT_BYTES), SQLITE_CONSTRAINT_CHECK);
        must("DROP TABLE w");
    }
}

/* ---- connections ------------------------------------------------------------------------------------------------------------------- */

/* The extension loaded and the tables seen for the first time, by a connection of its own. */
static int first_look(char *text) {
    sqlite3 *old = db;
    int rc = sqlite3_open(scratch_path("test.db"), &db);
    if (rc == SQLITE_OK) rc = sqlite3_lsm_init(db, NULL, NULL);
    if (rc == SQLITE_OK) rc = dump("SELECT * FROM t; DELETE FROM u WHERE k = 'none'; SELECT lsm_version()", text, TEXT_BYTES);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = old;
    return rc;
}

static void a_connection_without_memory_harms_nobody(void **unused) {
    (void)unused;
    static char wanted[TEXT_BYTES], got[TEXT_BYTES];
    assert_int_equal(first_look(wanted), SQLITE_OK);
    for (enum kind memory = OF_SQLITE; memory < KINDS; memory++) {
        for (int alone = 0; alone < 2; alone++) { /* beside one that has everything open, and as the first */
            if (alone == 1) assert_int_equal(sqlite3_close(db), SQLITE_OK);
            db = alone == 1 ? NULL : db;
            bool hit = true;
            for (uint64_t n = 1; hit; n += stride()) {
                arm(memory, n);
                int rc = first_look(got);
                hit = disarm(memory, n);
                if (rc != SQLITE_OK) assert_true(hit);
                if (rc == SQLITE_OK) assert_string_equal(got, wanted);
            }
            if (alone == 1) open_file();
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_whole)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_statement_without_sqlites_memory_has_happened_or_not),
        TEST(a_statement_without_the_engines_memory_has_happened_or_not),
        TEST(a_table_made_while_memory_is_short_takes_rows_and_checks_them),
        TEST(a_connection_without_memory_harms_nobody),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
