/* Bytes in a store that are whole, and yet no row, entry or mark of the table they stand in: whatever reads them says so, with the table's name, and changes nothing; lsm_check()
 * and PRAGMA integrity_check list them; the rest stays readable. Only a fault of this library or of the memory can write such bytes; here the test does. */
#include "../../ext/check.h"
#include "../../ext/table.h"
#include "database.h"

enum { QUERIES_MAX = 12 };

static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v TEXT, w, UNIQUE (w), INDEX by_v (v));"
         "CREATE VIRTUAL TABLE c USING lsm(a TEXT, b INT, d, PRIMARY KEY (a, b));"
         "CREATE VIRTUAL TABLE n USING lsm(id INTEGER PRIMARY KEY AUTOINCREMENT, v, INDEX n_by_v (v));"
         "INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30); INSERT INTO c VALUES ('x', 1, 'd'), ('y', 2, 'e'); INSERT INTO n(v) VALUES "
         "(1), (2)");
    return 0;
}

static struct vt_table *table_of(const char *name) {
    struct vt_connection *connection = vt_connection_ref(db);
    struct vt_table *table = vt_table_find(connection->spaces, name);
    vt_connection_unref(connection);
    assert_non_null(table);
    return table;
}

/* ---- what is planted --------------------------------------------------------------------------------------------------------------- */

enum tree { OF_ROWS, OF_UNIQUE, OF_BY_V, OF_MARK };

#define BYTES(text)                                                                                                                                  \
    { text, sizeof(text) - 1 }
struct bytes {
    const char *bytes;
    size_t size;
};

struct planted {
    const char *table;
    enum tree tree;
    struct bytes key, value;
    const char *check; /* what lsm_check() must say, */
    const char *words; /* what each query must say */
    const char *queries[QUERIES_MAX];
    const char *integrity; /* and PRAGMA integrity_check */
};

static void plant(const struct planted *planted) {
    char *message = NULL;
    /* Any write joins the table to a transaction; DELETE of nothing does. */
    must("BEGIN; DELETE FROM t WHERE id = 77; DELETE FROM c WHERE a = 'none'; DELETE FROM n WHERE id = 77");
    const struct vt_table *table = table_of(planted->table);
    uint32_t tree = vt_table_tree(table);
    if (planted->tree == OF_MARK) tree = table->sequence.tree;
    for (int i = 0; i < table->schema->index_count; i++) {
        bool meant = planted->tree == (table->schema->indexes[i].unique ? OF_UNIQUE : OF_BY_V);
        if (meant) tree = table->schema->indexes[i].tree.tree;
    }
    struct lsm_slice key = {.data = (const uint8_t *)planted->key.bytes, .size = planted->key.size};
    struct lsm_slice value = {.data = (const uint8_t *)planted->value.bytes, .size = planted->value.size};
    assert_int_equal(vt_txn_put(table->space, tree, key, value, &message), SQLITE_OK);
    must("COMMIT");
}

#define ROW_DAMAGED  "a row of table t is damaged: run SELECT lsm_check()"
#define NO_ROW       "names a row that is not there: run SELECT lsm_check()"
#define MARK_DAMAGED "the AUTOINCREMENT mark of table n is damaged: run SELECT lsm_check()"

static const struct planted all[] = {
    /* A record that claims a header longer than itself. */
    {"t",
     OF_ROWS,
     BYTES("\x21\x02"),
     BYTES("\xff\xff\xff"),
     "table t: row 2 in key order is damaged",
     "damaged",
     {"SELECT w FROM t", "SELECT w FROM t WHERE id = 2", "SELECT w FROM t ORDER BY id DESC", "SELECT w FROM t WHERE v = 'b'",
      "UPDATE t SET v = 'x' WHERE id = 2", "SELECT count(x.v) FROM t AS x, t AS y WHERE x.v || '' = y.v || ''", "SELECT id FROM t WHERE +w = 20"},
     "LSM table t: "},
    /* Not what a rowid looks like, behind all of them. */
    {"t",
     OF_ROWS,
     BYTES("\xfe"),
     BYTES("\x02\x01"),
     "table t: ",
     "damaged",
     {"SELECT id, w FROM t", "SELECT rowid FROM t WHERE +w = 'none'", "SELECT max(id) FROM t", "DELETE FROM t WHERE id > 2"},
     "LSM table t: "},
    {"t", OF_ROWS, BYTES("\xfe"), BYTES("\x02\x01"), "table t: ", "malformed", {"INSERT INTO t(v) VALUES ('new')"}, "LSM table t: "},
    /* An entry of a row that is not there. */
    {"t",
     OF_BY_V,
     BYTES("\x30zz\0\0\x21\x63"),
     BYTES(""),
     "index by_v of table t: 4 entries for 3 rows",
     NO_ROW,
     {"SELECT w FROM t WHERE v = 'zz'", "SELECT w FROM t WHERE v > 'c'", "SELECT w FROM t WHERE v BETWEEN 'y' AND 'zzz' ORDER BY v DESC"},
     "LSM index by_v of table t: 4 entries for 3 rows"},
    {"t",
     OF_UNIQUE,
     BYTES("\x30zz\0\0"),
     BYTES("\x21\x63"),
     "index unique_1 of table t: 4 entries for 3 rows",
     NO_ROW,
     {"SELECT v FROM t WHERE w = 'zz'", "REPLACE INTO t VALUES (5, 'q', 'zz')"},
     "LSM index unique_1 of table t: 4 entries for 3 rows"},
    /* An entry that ends in the midst of its text, and one that names its row as only unique ones do. */
    {"t",
     OF_BY_V,
     BYTES("\x30zz"),
     BYTES(""),
     "index by_v of table t: 4 entries for 3 rows",
     ROW_DAMAGED,
     {"SELECT w FROM t WHERE v > 'c'", "SELECT rowid FROM t WHERE v > 'c'", "SELECT id FROM t WHERE v > 'c'"},
     "LSM index by_v of table t: 4 entries"},
    {"t",
     OF_BY_V,
     BYTES("\x30zz\0\0\x21\x01"),
     BYTES("\x21\x01"),
     "index by_v of table t: 4 entries for 3 rows",
     ROW_DAMAGED,
     {"SELECT w FROM t WHERE v = 'zz'"},
     "LSM index by_v of table t: 4 entries"},
    /* An entry of another row than the one that has the value. */
    {"t",
     OF_UNIQUE,
     BYTES("\x21\x14"),
     BYTES("\x21\x03"),
     "index unique_1 of table t: the entries of 1 rows are missing or wrong",
     NULL,
     {NULL},
     "LSM index unique_1 of table t: the entries of 1 rows are missing or wrong"},
    /* The key of a clustered table. */
    {"c",
     OF_ROWS,
     BYTES("\x30zz"),
     BYTES("\x02\x01"),
     "table c: ",
     "a row of table c is damaged: run SELECT lsm_check()",
     {"SELECT * FROM c", "SELECT b FROM c WHERE a > 'y'", "SELECT DISTINCT a FROM c", "SELECT count(d) FROM c AS x, t WHERE x.d = t.v || t.w"},
     "LSM table c: "},
    /* A mark of three bytes, and one greater than any rowid. */
    {"n",
     OF_MARK,
     BYTES("\0"),
     BYTES("\1\2\3"),
     "table n: the AUTOINCREMENT mark is damaged",
     MARK_DAMAGED,
     {"INSERT INTO n(v) VALUES (3)", "DELETE FROM n WHERE id = 2", "INSERT INTO n VALUES (9, 9)", "UPDATE n SET id = 5 WHERE id = 1"},
     "LSM table n: the AUTOINCREMENT mark"},
    {"n",
     OF_MARK,
     BYTES("\0"),
     BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\1"),
     "table n: the AUTOINCREMENT mark is damaged",
     MARK_DAMAGED,
     {"INSERT INTO n(v) VALUES (3)", "INSERT OR IGNORE INTO n VALUES (1, 1)"},
     "LSM table n: the AUTOINCREMENT mark"},
};

/* ---- tests --------------------------------------------------------------------------------------------------------------------------- */

/* Not the tables that are damaged: these must stay readable. */
static const char *others_of(const char *table) {
    if (strcmp(table, "t") == 0) return "SELECT a, b, d FROM c UNION ALL SELECT id, v, 0 FROM n";
    if (strcmp(table, "c") == 0) return "SELECT id, v, w FROM t UNION ALL SELECT id, v, 0 FROM n";
    return "SELECT id, v, w FROM t UNION ALL SELECT a, b, d FROM c UNION ALL SELECT id, v, 0 FROM n";
}

static void whoever_reads_them_says_so_and_changes_nothing(void **state) {
    static char before[2000], after[2000], text[4000];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct planted *planted = &all[i];
        if (i > 0) assert_int_equal(set_up(state), 0);
        plant(planted);
        assert_int_equal(dump(others_of(planted->table), before, sizeof before), SQLITE_OK);
        for (int q = 0; q < QUERIES_MAX && planted->queries[q] != NULL; q++) {
            int rc = dump(planted->queries[q], text, sizeof text);
            if ((rc & 0xff) != SQLITE_CORRUPT || strstr(sqlite3_errmsg(db), planted->words) == NULL)
                fail_msg("%zu: %s: %d '%s', not '%s'", i, planted->queries[q], rc, sqlite3_errmsg(db), planted->words);
        }
        assert_int_equal(dump(others_of(planted->table), after, sizeof after), SQLITE_OK);
        assert_string_equal(after, before);
        assert_int_equal(dump("SELECT lsm_check()", text, sizeof text), SQLITE_OK);
        if (strstr(text, planted->check) == NULL) fail_msg("%zu: lsm_check() says '%s', not '%s'", i, text, planted->check);
        if (i + 1 < sizeof all / sizeof all[0]) assert_int_equal(close_and_remove(state), 0);
    }
}

/* OR FAIL keeps what the statement has done before, so the row at which it fails must have undone itself: its entry was there before the mark was looked at. */
static void a_row_that_fails_half_way_leaves_no_half(void **unused) {
    (void)unused;
    static const char *const statements[] = {"INSERT OR FAIL INTO n VALUES (9, 'half')", "UPDATE OR FAIL n SET id = 9, v = 'half' WHERE id = 1"};
    static const struct planted mark = {.table = "n", .tree = OF_MARK, .key = BYTES("\0"), .value = BYTES("\1\2\3")};
    plant(&mark);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        must("BEGIN; INSERT INTO c VALUES ('z', 3, 'f')");
        assert_int_equal(run(statements[i]) & 0xff, SQLITE_CORRUPT);
        must("COMMIT; DELETE FROM c WHERE a = 'z'");
        assert_string_equal(rows("SELECT id FROM n WHERE v = 'half'"), "");
        assert_string_equal(rows("SELECT id FROM n WHERE v = 1"), "1");
        assert_string_equal(rows("SELECT lsm_check()"), "table n: the AUTOINCREMENT mark is damaged");
    }
}

/* As PRAGMA integrity_check and quick_check (flag 1) call it, in a SQLite that knows xIntegrity. */
static void integrity_check_lists_them_and_quick_check_only_rows(void **state) {
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct planted *planted = &all[i];
        if (i > 0) assert_int_equal(set_up(state), 0);
        plant(planted);
        for (int quick = 0; quick < 2; quick++) {
            char *problem = NULL;
            struct vt_table *table = table_of(planted->table);
            assert_int_equal(vt_check_integrity(&table->base, "main", planted->table, quick, &problem), SQLITE_OK);
            bool told = quick == 0 || planted->tree == OF_ROWS;
            if (told != (problem != NULL) || (told && strstr(problem, planted->integrity) == NULL))
                fail_msg("%zu, quick %d: '%s', not '%s'", i, quick, problem == NULL ? "NULL" : problem, told ? planted->integrity : "NULL");
            sqlite3_free(problem);
        }
        if (i + 1 < sizeof all / sizeof all[0]) assert_int_equal(close_and_remove(state), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_and_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(whoever_reads_them_says_so_and_changes_nothing),
        TEST(a_row_that_fails_half_way_leaves_no_half),
        TEST(integrity_check_lists_them_and_quick_check_only_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
