/* Every allocation of a statement fails once, where the statement is the first one of its connection: whatever later ones find made, buffers, cursors, prepared statements, this
 * one makes. nomem_test does the same on a connection that has run everything before.
 *
 * The statement succeeds, or says that memory was out; it has happened or not; and the connection then does what it was asked, as if nothing had been.
 *
 * LSM_NOMEM=1 strikes every allocation; N: every N-th of each statement, from another one on in each; 61 if it does not say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../ext/sqlite_api.h"
#include "../../lsm_core/base/base.h"
#include "../support/sqlite_memory.h"
#include "statements.h"

int sqlite3_lsm_init(sqlite3 *db, char **message, const void *api);

enum { TEXT_BYTES = 60000, SQL_BYTES = 2000, POINTS_MAX = 20000 };

enum memory { OF_SQLITE, OF_THE_ENGINE, MEMORIES };

/* Which allocation fails: the n-th from where the first statement is prepared, or from where it begins to run; 0: none. */
struct strike {
    enum memory memory;
    bool running;
    int64_t n;
};

static const struct strike no_strike;
static char folder[64];
static sqlite3 *keeper; /* has the store open meanwhile: connections come and go */
static char error[400]; /* of the last statement that failed */

/* ---- scaffolding ----------------------------------------------------------------------------------------------------------------- */

static void arm(const struct strike *strike, bool running) {
    if (strike->n == 0 || strike->running != running) return;
    if (strike->memory == OF_SQLITE)
        sqlite_memory_fail_after(strike->n, false);
    else
        lsm_mem_fail_after(strike->n, false);
}

static void disarm(void) {
    sqlite_memory_fail_after(0, false);
    lsm_mem_fail_after(0, false);
}

static int step_all(sqlite3_stmt *statement, char *text, size_t *size) {
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && statement != NULL && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement) && *size < TEXT_BYTES - 200; i++) {
            const unsigned char *value = sqlite3_column_text(statement, i);
            bool lost = value == NULL && sqlite3_column_type(statement, i) != SQLITE_NULL;
            *size += (size_t)snprintf(text + *size, TEXT_BYTES - *size, "%.100s ", lost ? "(lost)" : value == NULL ? "NULL" : (const char *)value);
        }
        rc = strstr(text, "(lost)") != NULL ? SQLITE_NOMEM : SQLITE_OK; /* the text of a value had no room */
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* All values of all rows of all statements, into text; SQLite's code. */
static int run(sqlite3 *db, const char *sql, char *text, const struct strike *strike) {
    size_t size = 0;
    int rc = SQLITE_OK;
    bool first = true;
    text[0] = '\0';
    while (rc == SQLITE_OK && *sql != '\0') {
        sqlite3_stmt *statement = NULL;
        if (first) arm(strike, false);
        rc = sqlite3_prepare_v2(db, sql, -1, &statement, &sql);
        if (first) arm(strike, true);
        first = false;
        if (rc == SQLITE_OK) rc = step_all(statement, text, &size);
        if (rc != SQLITE_OK) (void)snprintf(error, sizeof error, "%s", sqlite3_errmsg(db));
        sqlite3_finalize(statement);
    }
    return rc;
}

static void must(sqlite3 *db, const char *sql, char *text) {
    int rc = run(db, sql, text, &no_strike);
    if (rc != SQLITE_OK) fail_msg("%d %s: %.200s", rc, error, sql);
}

static sqlite3 *connect(void) {
    sqlite3 *db;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/test.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_extended_result_codes(db, 1);
    assert_int_equal(sqlite3_lsm_init(db, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA synchronous = OFF; SELECT 1 FROM sqlite_schema", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static int set_up(void **unused) {
    (void)unused;
    static char text[TEXT_BYTES];
    strcpy(folder, "/tmp/lsm-cold-XXXXXX");
    if (mkdtemp(folder) == NULL) return 1;
    keeper = connect();
    must(keeper, "PRAGMA journal_mode = WAL", text);
    must(keeper, furniture, text);
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    static char text[TEXT_BYTES], command[128];
    must(keeper, "SELECT lsm_check()", text);
    assert_string_equal(text, "ok ");
    assert_int_equal(sqlite3_close(keeper), SQLITE_OK);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* ---- one statement ----------------------------------------------------------------------------------------------------------------- */

static int64_t stride(void) {
    const char *text = getenv("LSM_NOMEM");
    int64_t n = text == NULL ? 61 : atoi(text);
    return n < 1 ? 1 : n;
}

/* Has the allocation been asked for? */
static bool struck(const struct strike *strike, uint64_t calls_before) {
    return strike->memory == OF_SQLITE ? sqlite_memory_failed() : lsm_mem_calls() - calls_before >= (uint64_t)strike->n;
}

/* A plan that was made without memory for an estimate may be another one, and what has no ORDER BY come in another order. */
static bool same_words(const char *a, const char *b) {
    int counts[256] = {0};
    if (strlen(a) != strlen(b)) return false;
    for (; *a != '\0'; a++, b++) {
        counts[(unsigned char)*a]++;
        counts[(unsigned char)*b]--;
    }
    for (int i = 0; i < 256; i++) {
        if (counts[i] != 0) return false;
    }
    return true;
}

/* The statement with this strike on a connection of its own, and once more without it if it failed. False: there is no such allocation. */
static bool strike_at(const char *sql, const struct strike *strike, const char *wanted) {
    static char got[TEXT_BYTES];
    sqlite3 *db = connect();
    uint64_t calls = lsm_mem_calls();
    sqlite_memory_fail_after(1000000000, false); /* forgets the last strike */
    int rc = run(db, sql, got, strike);
    disarm();
    bool hit = struck(strike, calls);
    if (!hit) assert_int_equal(rc, SQLITE_OK);
    if (rc != SQLITE_OK) {
        if ((rc & 0xff) != SQLITE_NOMEM && rc != SQLITE_IOERR_NOMEM && strstr(error, "out of memory") == NULL)
            fail_msg("%s: allocation %lld of %d, running %d: %d '%s'", sql, (long long)strike->n, strike->memory, strike->running, rc, error);
        if (sqlite3_get_autocommit(db) == 0) must(db, "ROLLBACK", got);
    } else if (strike->running ? strcmp(got, wanted) != 0 : !same_words(got, wanted)) {
        fail_msg("%s: allocation %lld of %d, running %d: got '%s'", sql, (long long)strike->n, strike->memory, strike->running, got);
    }
    if (rc != SQLITE_OK) {
        must(db, sql, got);
        assert_string_equal(got, wanted);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return hit;
}

/* undo: takes back what the statement does. */
static void sweep(const char *sql, const char *undo, bool running) {
    static int64_t sweeps;
    static char before[TEXT_BYTES], after[TEXT_BYTES], wanted[TEXT_BYTES], now[TEXT_BYTES];
    must(keeper, state_query, before);
    must(keeper, sql, wanted);
    must(keeper, state_query, after);
    must(keeper, undo, now);
    for (enum memory memory = OF_SQLITE; memory < MEMORIES; memory++) {
        struct strike strike = {.memory = memory, .running = running, .n = 1 + sweeps++ / MEMORIES % stride()};
        for (; strike_at(sql, &strike, wanted); strike.n += stride()) {
            assert_true(strike.n < POINTS_MAX);
            must(keeper, state_query, now);
            if (strcmp(now, after) != 0) fail_msg("%s: allocation %lld of %d: '%s'", sql, (long long)strike.n, memory, now);
            must(keeper, undo, now);
        }
        must(keeper, undo, now);
    }
    must(keeper, state_query, now);
    assert_string_equal(now, before);
}

static void a_first_statement_that_writes_can_be_repeated(void **unused) {
    (void)unused;
    for (int running = 0; running < 2; running++) {
        for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) sweep(writes[i][0], writes[i][1], running == 1);
    }
}

static void a_first_statement_that_reads_can_be_repeated(void **unused) {
    (void)unused;
    for (int running = 0; running < 2; running++) {
        for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) sweep(reads[i], "", running == 1);
    }
}

/* ---- joins ------------------------------------------------------------------------------------------------------------------------- */

/* What a lookup is called has room for more with each column, condition and range: so that each of them is once the one that asks for memory. */
static void a_join_that_looks_up_by_any_number_of_columns_can_be_repeated(void **unused) {
    (void)unused;
    static const char *const ranges[] = {"", " AND y.id > x.id", " AND y.id BETWEEN x.id AND x.id + 4", " AND y.id IN (x.id, x.id + 1, 3)"};
    char sql[SQL_BYTES], text[200];
    must(keeper,
         "CREATE VIRTUAL TABLE j USING lsm(id INTEGER PRIMARY KEY, a, b, c, d, e, f, s);"
         "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 9)"
         " INSERT INTO j SELECT x, x % 2, x % 2, x % 2, 0, 'e', 2.5, printf('%.90c', 'a' + x % 2) FROM r",
         text);
    for (int columns = 1; columns <= 6; columns++) {
        for (int conditions = 0; conditions <= 3; conditions++) {
            for (size_t range = 0; range < sizeof ranges / sizeof ranges[0]; range++) {
                int size = snprintf(sql, sizeof sql, "SELECT sum(x.id), sum(y.id), max(y.s) FROM j AS x CROSS JOIN j AS y ON 1%s", ranges[range]);
                for (int i = 0; i < columns; i++)
                    size += snprintf(sql + size, sizeof sql - (size_t)size, " AND y.%c = x.%c", "abcdef"[i], "abcdef"[i]);
                if (conditions > 0) size += snprintf(sql + size, sizeof sql - (size_t)size, " AND y.f < x.f + 1");
                if (conditions > 1) size += snprintf(sql + size, sizeof sql - (size_t)size, " AND y.e >= 'd' AND y.d <> 7");
                if (conditions > 2) size += snprintf(sql + size, sizeof sql - (size_t)size, " AND y.s <= x.s");
                sweep(sql, "", true);
            }
        }
    }
    /* The first walk is called by the shortest value, and the others of a place where it changes by none. */
    sweep("SELECT sum(y.id) FROM (SELECT id, a, printf('%.*c', id * 100, 'a') AS s FROM j) AS x CROSS JOIN j AS y ON y.id > x.id AND y.a = x.a AND "
          "y.s >= x.s",
          "", true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_first_statement_that_writes_can_be_repeated),
        TEST(a_first_statement_that_reads_can_be_repeated),
        TEST(a_join_that_looks_up_by_any_number_of_columns_can_be_repeated),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
