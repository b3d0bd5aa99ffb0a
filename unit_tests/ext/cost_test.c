/* What a table has not declared costs it nothing: counted in statements and in reads of the engine. */
#include "database.h"

static int traced; /* statements that began, those of the extension's own among them */

static int trace(unsigned what, void *arg, void *statement, void *text) {
    (void)what;
    (void)arg;
    (void)statement;
    (void)text;
    traced++;
    return 0;
}

/* Statements that begin while this one is carried out, and statements that exist after it. */
static void count_statements(const char *sql, int *begun, int *kept) {
    traced = *kept = 0;
    assert_int_equal(sqlite3_trace_v2(db, SQLITE_TRACE_STMT, trace, NULL), SQLITE_OK);
    must(sql);
    assert_int_equal(sqlite3_trace_v2(db, 0, NULL, NULL), SQLITE_OK);
    *begun = traced;
    for (sqlite3_stmt *each = sqlite3_next_stmt(db, NULL); each != NULL; each = sqlite3_next_stmt(db, each)) ++*kept;
}

#define TEN " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i, i FROM n"

static void a_check_costs_only_the_table_that_has_it(void **unused) {
    (void)unused;
    int begun, kept, plain, plain_kept;
    must("CREATE VIRTUAL TABLE plain USING lsm(id INTEGER PRIMARY KEY, v)");
    must("INSERT INTO plain VALUES (100, 0)");
    count_statements("INSERT INTO plain" TEN, &plain, &plain_kept);
    must("CREATE VIRTUAL TABLE checked USING lsm(id INTEGER PRIMARY KEY, v CHECK (v >= 0))");
    must("INSERT INTO checked VALUES (100, 0)");
    count_statements("INSERT INTO checked" TEN, &begun, &kept);
    assert_true(begun >= plain + 10);
    assert_true(kept > plain_kept);
    /* The same connection has a checked table now: the other one has nothing of it. */
    int kept_before = kept;
    count_statements("INSERT OR REPLACE INTO plain" TEN, &begun, &kept);
    assert_int_equal(begun, plain);
    assert_int_equal(kept, kept_before);
    count_statements("UPDATE plain SET v = v + 1", &begun, &kept);
    assert_int_equal(begun, 1);
    count_statements("DELETE FROM plain", &begun, &kept);
    assert_int_equal(begun, 1);
}

/* Reads of the engine that this takes: of keys, scans, and blocks. */
static sqlite3_int64 reads_of(const char *sql) {
    static const char count[] = "SELECT sum(value) FROM lsm_stats WHERE name IN ('gets', 'seeks', 'cache_hits', 'cache_misses')";
    sqlite3_int64 before = number(count);
    must(sql);
    return number(count) - before;
}

static void replace_reads_nothing_where_nothing_needs_it(void **unused) {
    (void)unused;
    must("CREATE VIRTUAL TABLE r USING lsm(id INTEGER PRIMARY KEY, v);"
         "CREATE VIRTUAL TABLE c USING lsm(k TEXT, n INT, v, PRIMARY KEY (k, n));"
         "CREATE VIRTUAL TABLE u USING lsm(id INTEGER PRIMARY KEY, v UNIQUE);"
         "CREATE VIRTUAL TABLE i USING lsm(id INTEGER PRIMARY KEY, v, INDEX by_v (v))");
    must("INSERT INTO r" TEN);
    must("INSERT INTO c SELECT 'k', value, value FROM (SELECT 1 AS value UNION SELECT 2 UNION SELECT 3)");
    must("INSERT INTO u" TEN);
    must("INSERT INTO i" TEN);
    number("SELECT lsm_flush() IS NOT NULL"); /* there are files to be read now */
    assert_int_equal(reads_of("INSERT OR REPLACE INTO r" TEN), 0);
    assert_int_equal(reads_of("REPLACE INTO r VALUES (5, 'again'), (500, 'new'), (5, 'once more')"), 0);
    assert_int_equal(reads_of("REPLACE INTO c VALUES ('k', 1, 'again'), ('l', 9, 'new')"), 0);
    assert_int_equal(number("SELECT count(*) FROM r") * 100 + number("SELECT count(*) FROM c"), 1104);
    /* And where something does: what is there is to be found, for an error, or for the entries of an index. */
    assert_true(reads_of("INSERT INTO r VALUES (501, 'new')") > 0);
    assert_true(reads_of("REPLACE INTO u VALUES (3, 'again')") > 0);
    assert_true(reads_of("REPLACE INTO i VALUES (3, 'again')") > 0);
    assert_int_equal(number("SELECT count(*) FROM i WHERE v = 3 OR v = 'again'"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_check_costs_only_the_table_that_has_it, open_in_memory, close_database),
        cmocka_unit_test_setup_teardown(replace_reads_nothing_where_nothing_needs_it, open_in_memory, close_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
