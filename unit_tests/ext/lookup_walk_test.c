/* The walk inside of a join that looks rows up, and what may happen to it: rows and entries of indexes that are damaged, an interrupt while the lookup is made or searched, the end of the
 * transaction while it stands on a row that was found. */
#include "../../ext/table.h"
#include "database.h"

enum { TEXT_BYTES = 4000, ROWS = 9000 };

static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must("CREATE VIRTUAL TABLE b USING lsm(id INTEGER PRIMARY KEY, a, c, d TEXT, INDEX by_c (c)); CREATE TABLE o(x, y);"
         "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 90) INSERT INTO b SELECT i, i % 3, i, 'd' || i FROM r;"
         "INSERT INTO o VALUES (1, 'a'), (1, 'b'), (0, 'c'), (2, 'd')");
    return 0;
}

/* ---- damage ------------------------------------------------------------------------------------------------------------------------ */

#define ID_30    "\x21\x1e"
#define NOT_HERE "\x21\x63\x21\x63" /* an entry of row 99, whose c is 99 */
#define TORN     "\x30zz"           /* one that ends in the midst of a text */

static struct vt_table *table_of(const char *name) {
    struct vt_connection *connection = vt_connection_ref(db);
    struct vt_table *table = vt_table_find(connection->spaces, name);
    vt_connection_unref(connection);
    assert_non_null(table);
    return table;
}

static struct lsm_slice slice(const char *bytes, size_t size) { return (struct lsm_slice){.data = (const uint8_t *)bytes, .size = size}; }

/* Row 30 loses so many bytes of its record, or all of it is nonsense. */
static void damage_row(size_t lost) {
    must("BEGIN; DELETE FROM b WHERE id = 777");
    struct vt_table *table = table_of("b");
    struct lsm_slice key = slice(ID_30, 2), nonsense = slice("\xff\xff\xff", 3);
    struct lsm_value value = {0};
    assert_int_equal(vt_txn_get(table->space, vt_table_tree(table), key, &value, NULL), SQLITE_OK);
    struct lsm_slice rest = {.data = value.bytes.data, .size = value.bytes.size - lost};
    assert_int_equal(vt_txn_put(table->space, vt_table_tree(table), key, lost == 0 ? nonsense : rest, NULL), SQLITE_OK);
    lsm_value_release(&value);
    must("COMMIT");
}

static void add_entry(const char *bytes, size_t size) {
    must("BEGIN; DELETE FROM b WHERE id = 777");
    struct vt_table *table = table_of("b");
    assert_int_equal(vt_txn_put(table->space, table->schema->indexes[0].tree.tree, slice(bytes, size), slice("", 0), NULL), SQLITE_OK);
    must("COMMIT");
}

static void expect_corrupt(const char *sql, const char *words) {
    int rc = run(sql);
    if ((rc & 0xff) != SQLITE_CORRUPT || strstr(sqlite3_errmsg(db), words) == NULL) fail_msg("%s: %d %s", sql, rc, sqlite3_errmsg(db));
}

/* The first walk ends before the damage; the second one makes the lookup, of all rows. */
static void who_makes_a_lookup_of_damaged_rows_says_so(void **unused) {
    (void)unused;
    static const char *const queries[] = {
        "SELECT (SELECT b.id FROM b WHERE b.a = o.x LIMIT 1) FROM o",
        "SELECT (SELECT b.id FROM b WHERE b.a = o.x AND b.d > 'd' LIMIT 1) FROM o",
        "SELECT (SELECT b.id FROM b WHERE b.a = o.x AND b.c > o.x - 2 LIMIT 1) FROM o",
    };
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) assert_string_equal(rows(queries[i]), "1 1 3 2");
    damage_row(0);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) expect_corrupt(queries[i], "a row of table b is damaged: run SELECT lsm_check()");
    expect_corrupt("SELECT lsm_create_index('b', 'by_a', 'a')", "a row of table b is damaged: run SELECT lsm_check()");
}

/* What is too long to be kept for the next walk is compared by SQLite. */
static void a_condition_longer_than_others_counts_all_the_same(void **unused) {
    (void)unused;
    must("UPDATE b SET d = printf('%.1500c', 'd') || id WHERE id < 20");
    assert_string_equal(rows("SELECT count(*) FROM o CROSS JOIN b ON b.a = o.x AND b.d > printf('%.1500c', 'd') || o.y"), "0");
    assert_string_equal(rows("SELECT count(*) FROM o CROSS JOIN b ON b.a = o.x AND b.d >= printf('%.1500c', 'd') || (o.x + 8) AND b.id < 20"), "7");
}

/* The lookup is made of whole columns; what each row found is compared with anew is not. */
static void who_finds_a_row_with_a_damaged_column_says_so(void **unused) {
    (void)unused;
    assert_string_equal(rows("SELECT count(*) FROM o CROSS JOIN b ON b.a = o.x AND b.d > o.y"), "120");
    damage_row(1);
    assert_string_equal(rows("SELECT count(*) FROM o CROSS JOIN b ON b.a = o.x AND b.d > o.y WHERE o.x = 1"), "60");
    expect_corrupt("SELECT count(*) FROM o CROSS JOIN b ON b.a = o.x AND b.d > o.y", "a row of table b is damaged: run SELECT lsm_check()");
}

static void who_makes_a_lookup_of_an_index_without_its_rows_says_so(void **unused) {
    (void)unused;
    static const char sql[] = "SELECT (SELECT b.d FROM b WHERE b.c > 80 AND b.a = o.x LIMIT 1) FROM o";
    assert_string_equal(rows(sql), "d82 d82 d81 d83");
    add_entry(NOT_HERE, 4);
    expect_corrupt(sql, "index by_c of table b names a row that is not there: run SELECT lsm_check()");
    must("DELETE FROM b WHERE id > 80 AND id < 99");
    add_entry(TORN, 3);
    expect_corrupt("SELECT (SELECT b.d FROM b WHERE b.c > 'a' AND b.a = o.x LIMIT 1) FROM o", "run SELECT lsm_check()");
    expect_corrupt("UPDATE b SET d = 'x' WHERE c > 'a'", "run SELECT lsm_check()");
    expect_corrupt("UPDATE b SET a = id WHERE c > 'a'", "run SELECT lsm_check()");
}

/* ---- interrupts ---------------------------------------------------------------------------------------------------------------------- */

static int beats_left; /* of the statement that a long walk runs now and then, to learn if it is to stop (pulse.c): the last one is interrupted */
static bool due;       /* that one has begun */

static const char *interrupted_sql = "WITH RECURSIVE n(i) AS (VALUES (1)"; /* its beginning; or that of another one that a statement runs inside */

static int when_it_begins(unsigned what, void *unused, void *statement, void *text) {
    (void)what, (void)unused, (void)text;
    const char *sql = sqlite3_sql(statement);
    if (sql != NULL && strncmp(sql, interrupted_sql, strlen(interrupted_sql)) == 0 && --beats_left == 0) due = true;
    return 0;
}

static int at_each_operation(void *unused) {
    (void)unused;
    bool stops = due;
    due = false;
    return stops;
}

/* Interrupted at each of its beats, until there are fewer. Returns how many there were. */
static int interrupt_all(const char *sql, const char *wanted) {
    static char text[TEXT_BYTES];
    int interrupted = 0;
    for (int rc = SQLITE_INTERRUPT; rc != SQLITE_OK; interrupted++) {
        sqlite3_trace_v2(db, SQLITE_TRACE_STMT, when_it_begins, NULL);
        sqlite3_progress_handler(db, 1, at_each_operation, NULL);
        beats_left = interrupted + 1;
        rc = dump(sql, text, sizeof text);
        sqlite3_progress_handler(db, 0, NULL, NULL);
        sqlite3_trace_v2(db, 0, NULL, NULL);
        if (rc != SQLITE_OK && rc != SQLITE_INTERRUPT) fail_msg("%s: %d %s", sql, rc, sqlite3_errmsg(db));
        assert_true(interrupted < 1000);
    }
    assert_string_equal(text, wanted);
    return interrupted - 1;
}

static void a_long_walk_stops_when_it_is_interrupted_and_can_be_repeated(void **unused) {
    (void)unused;
    char sql[300], count[32];
    (void)snprintf(sql, sizeof sql,
                   "CREATE VIRTUAL TABLE l USING lsm(id INTEGER PRIMARY KEY, a, v TEXT, w, INDEX by_w (w));"
                   "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < %d) INSERT INTO l SELECT i, 7, 'v', i FROM r",
                   ROWS);
    must(sql);
    (void)snprintf(count, sizeof count, "%d ", ROWS);
    /* Making a lookup, and passing over what it has that does not meet a condition. */
    assert_true(interrupt_all("SELECT count((SELECT y.id FROM l AS y WHERE y.a = x.a LIMIT 1)) FROM l AS x WHERE x.id < 9", "8 ") > 0);
    assert_true(
        interrupt_all("SELECT count(y.id) FROM l AS x LEFT JOIN l AS y ON y.a = x.a AND y.v < 'v' || x.id AND y.v > 'w' || x.id WHERE x.id < 9",
                      "0 ") > 0);
    assert_true(interrupt_all("SELECT lsm_check()", "ok ") > 0);
    assert_true(interrupt_all("SELECT lsm_create_index('l', 'by_a', 'a, id')", "ok ") > 0);
    assert_true(interrupt_all("SELECT count(*) FROM l WHERE a = 7", count) >= 0);
    assert_true(interrupt_all("SELECT lsm_drop_index('l', 'by_a')", "ok ") >= 0);
}

/* What it reads of each table it reads by a SELECT, whose interruption is no damage of the table. */
static void a_check_that_is_interrupted_while_it_reads_a_table_says_so(void **unused) {
    (void)unused;
    const char *kept = interrupted_sql;
    interrupted_sql = "SELECT * FROM";
    int interrupted = interrupt_all("SELECT lsm_check()", "ok ");
    interrupted_sql = kept;
    assert_true(interrupted > 0);
}

/* ---- the end of the transaction ------------------------------------------------------------------------------------------------------ */

/* Rows too long to be copied are read where they are: after COMMIT, in the state of that moment. */
static void after_commit_what_was_found_is_read_as_it_is_then(void **unused) {
    (void)unused;
    must("UPDATE b SET d = printf('%.1100c', 'x') || id; BEGIN; UPDATE b SET c = c WHERE id = 1");
    sqlite3_stmt *statement = prepare("SELECT b.id, length(b.d) FROM o CROSS JOIN b ON b.a = o.x WHERE b.id < 13 AND o.rowid > 0 ORDER BY o.rowid");
    /* Of the first row of o that is the walk itself, of the second the lookup. */
    static const int first[] = {1, 4, 7, 10, 1, 4};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(statement, 0), first[i]);
    }
    must("COMMIT; DELETE FROM b WHERE id IN (4, 7); UPDATE b SET d = 'short' WHERE id = 10");
    assert_int_equal(sqlite3_column_int(statement, 1), 1101); /* the row that it stands on is kept */
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 10); /* 7 is gone */
    assert_int_equal(sqlite3_column_int(statement, 1), 5);
    while (sqlite3_step(statement) == SQLITE_ROW) assert_true(sqlite3_column_int(statement, 0) % 3 != 1);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_and_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_makes_a_lookup_of_damaged_rows_says_so),
        TEST(a_condition_longer_than_others_counts_all_the_same),
        TEST(who_finds_a_row_with_a_damaged_column_says_so),
        TEST(who_makes_a_lookup_of_an_index_without_its_rows_says_so),
        TEST(a_long_walk_stops_when_it_is_interrupted_and_can_be_repeated),
        TEST(a_check_that_is_interrupted_while_it_reads_a_table_says_so),
        TEST(after_commit_what_was_found_is_read_as_it_is_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
