/* Every allocation of a statement fails once, where the statement is the first one of its connection: whatever later ones find made, buffers, cursors, prepared statements, this
 * one makes. nomem_test does the same on a connection that has run everything before.
 *
 * The statement succeeds, or says that memory was out; it has happened or not; and the connection then does what it was asked, as if nothing had been.
 *
 * LSM_NOMEM=1 strikes every allocation; N: every N-th of each statement, from another one on in each; 61 if it does not say.
 */
#include "statements.h"
#include "steps.h"

enum { TEXT_BYTES = 60000, SQL_BYTES = 2000, POINTS_MAX = 20000 };

/* Which allocation fails: the n-th from where the first statement is prepared, or from where it begins to run. */
struct strike {
    enum kind memory;
    bool running;
    uint64_t n;
};

/* ---- scaffolding ----------------------------------------------------------------------------------------------------------------- */

/* db has the store open meanwhile: connections come and go. */
static sqlite3 *connect(void) {
    sqlite3 *made = open_beside();
    sql_must(made, "PRAGMA synchronous = OFF; SELECT 1 FROM sqlite_schema");
    return made;
}

static void must_give(sqlite3 *on, const char *sql, char *text) {
    int rc = sql_dump(on, sql, text, TEXT_BYTES);
    if (rc != SQLITE_OK) fail_msg("%d %s: %.200s", rc, sqlite3_errmsg(on), sql);
}

/* sql_dump(), struck in its first statement. */
static int dump_struck(sqlite3 *on, const char *sql, char *text, const struct strike *strike) {
    sqlite3_stmt *statement = NULL;
    text[0] = '\0';
    if (!strike->running) arm(strike->memory, strike->n);
    int rc = sqlite3_prepare_v2(on, sql, -1, &statement, &sql);
    if (strike->running) arm(strike->memory, strike->n);
    if (rc == SQLITE_OK) {
        do rc = sql_step(statement, text, TEXT_BYTES);
        while (rc == SQLITE_ROW);
    }
    int end_code = sqlite3_finalize(statement);
    if (rc == SQLITE_DONE) rc = end_code;
    size_t used = strlen(text);
    if (rc == SQLITE_OK) rc = sql_dump(on, sql, text + used, TEXT_BYTES - used);
    if (rc != SQLITE_OK) (void)snprintf(last_error, sizeof last_error, "%s", sqlite3_errmsg(on));
    return rc;
}

static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must(furniture);
    return 0;
}

/* ---- one statement ----------------------------------------------------------------------------------------------------------------- */

static uint64_t stride(void) { return given_stride("LSM_NOMEM", 61); }

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
    sqlite3 *first = connect();
    int rc = dump_struck(first, sql, got, strike);
    bool hit = disarm(strike->memory, strike->n);
    if (!hit) assert_int_equal(rc, SQLITE_OK);
    if (rc != SQLITE_OK) {
        if ((rc & 0xff) != SQLITE_NOMEM && rc != SQLITE_IOERR_NOMEM && strstr(last_error, "out of memory") == NULL)
            fail_msg("%s: allocation %lld of %d, running %d: %d '%s'", sql, (long long)strike->n, strike->memory, strike->running, rc, last_error);
        if (sqlite3_get_autocommit(first) == 0) sql_must(first, "ROLLBACK");
    } else if (strike->running ? strcmp(got, wanted) != 0 : !same_words(got, wanted)) {
        fail_msg("%s: allocation %lld of %d, running %d: got '%s'", sql, (long long)strike->n, strike->memory, strike->running, got);
    }
    if (rc != SQLITE_OK) {
        must_give(first, sql, got);
        assert_string_equal(got, wanted);
    }
    assert_int_equal(sqlite3_close(first), SQLITE_OK);
    return hit;
}

/* undo: takes back what the statement does. */
static void sweep(const char *sql, const char *undo, bool running) {
    static uint64_t sweeps;
    static char before[TEXT_BYTES], after[TEXT_BYTES], wanted[TEXT_BYTES], now[TEXT_BYTES];
    must_give(db, state_query, before);
    must_give(db, sql, wanted);
    must_give(db, state_query, after);
    must(undo);
    for (enum kind memory = OF_SQLITE; memory < KINDS; memory++) {
        struct strike strike = {.memory = memory, .running = running, .n = 1 + sweeps++ / 2 % stride()};
        for (; strike_at(sql, &strike, wanted); strike.n += stride()) {
            assert_true(strike.n < POINTS_MAX);
            must_give(db, state_query, now);
            if (strcmp(now, after) != 0) fail_msg("%s: allocation %lld of %d: '%s'", sql, (long long)strike.n, memory, now);
            must(undo);
        }
        must(undo);
    }
    must_give(db, state_query, now);
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
    char sql[SQL_BYTES];
    must("CREATE VIRTUAL TABLE j USING lsm(id INTEGER PRIMARY KEY, a, b, c, d, e, f, s);"
         "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 9)"
         " INSERT INTO j SELECT x, x % 2, x % 2, x % 2, 0, 'e', 2.5, printf('%.90c', 'a' + x % 2) FROM r");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_whole)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_first_statement_that_writes_can_be_repeated),
        TEST(a_first_statement_that_reads_can_be_repeated),
        TEST(a_join_that_looks_up_by_any_number_of_columns_can_be_repeated),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
