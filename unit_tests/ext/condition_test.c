/* Conditions: none that SQLite holds true is held impossible, whatever stands on the other side; and what is impossible is mostly seen. SQLite is asked. */
#include "../../ext/condition.h"
#include "database.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct {
    int op;
    const char *sign;
} ops[] = {{SQLITE_INDEX_CONSTRAINT_EQ, "="},  {SQLITE_INDEX_CONSTRAINT_IS, "IS"}, {SQLITE_INDEX_CONSTRAINT_LT, "<"},
           {SQLITE_INDEX_CONSTRAINT_LE, "<="}, {SQLITE_INDEX_CONSTRAINT_GT, ">"},  {SQLITE_INDEX_CONSTRAINT_GE, ">="}};

static const struct {
    const char *words;
    enum vt_affinity affinity;
    enum vt_collation collation;
} types[] = {{"", VT_AFFINITY_BLOB, VT_COLLATE_BINARY},
             {"TEXT", VT_AFFINITY_TEXT, VT_COLLATE_BINARY},
             {"TEXT COLLATE NOCASE", VT_AFFINITY_TEXT, VT_COLLATE_NOCASE},
             {"TEXT COLLATE RTRIM", VT_AFFINITY_TEXT, VT_COLLATE_RTRIM},
             {"COLLATE NOCASE", VT_AFFINITY_BLOB, VT_COLLATE_NOCASE},
             {"INTEGER", VT_AFFINITY_INTEGER, VT_COLLATE_BINARY},
             {"REAL", VT_AFFINITY_REAL, VT_COLLATE_BINARY},
             {"NUMERIC COLLATE RTRIM", VT_AFFINITY_NUMERIC, VT_COLLATE_RTRIM}};

#define NUMBERS 5 /* INTEGER */

static const char *const values[] = {"NULL",
                                     "0",
                                     "-0.0",
                                     "1",
                                     "1.0",
                                     "-1",
                                     "2.5",
                                     "'2.5'",
                                     "' 2.5'",
                                     "'25e-1'",
                                     "'1'",
                                     "'01'",
                                     "' 1 '",
                                     "'1.0'",
                                     "'a'",
                                     "'A'",
                                     "'a  '",
                                     "'A '",
                                     "'aB'",
                                     "'b'",
                                     "''",
                                     "' '",
                                     "x''",
                                     "x'61'",
                                     "x'6161'",
                                     "9007199254740993",
                                     "9007199254740992.0",
                                     "'9007199254740993'",
                                     "9223372036854775807",
                                     "9223372036854775808.0",
                                     "-9223372036854775808",
                                     "-9223372036854775808.0",
                                     "-1e300",
                                     "1e300",
                                     "'1e300'",
                                     "9e999",
                                     "-9e999",
                                     "'0.1'",
                                     "0.1",
                                     "'2024-01-31'",
                                     "'2024-02-01'",
                                     "'-x'",
                                     "'+'",
                                     "'!'",
                                     "'4x'"};

static void do_made(char *sql) {
    must(sql);
    sqlite3_free(sql);
}

static void fill(void) {
    for (int i = 0; i < COUNT(types); i++) {
        do_made(sqlite3_mprintf("CREATE TABLE v%d(c %s)", i, types[i].words));
        for (int k = 0; k < COUNT(values); k++) do_made(sqlite3_mprintf("INSERT INTO v%d VALUES (%s)", i, values[k]));
    }
}

/* Each row: what is stored, the other side, and what SQLite says of them. Counts what is false and seen to be. */
static void compare(char *sql, int type, int op, int *false_ones, int *seen) {
    sqlite3_stmt *statement = prepare(sql);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct vt_value left, right;
        bool never, truth = sqlite3_column_int(statement, 2) != 0;
        assert_int_equal(vt_value_of(sqlite3_column_value(statement, 0), &left), SQLITE_OK);
        assert_int_equal(vt_condition_right(sqlite3_column_value(statement, 1), ops[op].op, types[type].affinity, &right, &never), SQLITE_OK);
        bool may = !never && vt_condition_may_hold(&left, ops[op].op, &right, types[type].affinity, types[type].collation);
        if (truth && !may) fail_msg("%s: (%s) %s %s", sql, sqlite3_column_text(statement, 0), ops[op].sign, sqlite3_column_text(statement, 1));
        *false_ones += !truth;
        *seen += !truth && !may;
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
}

static void what_sqlite_holds_true_is_never_left_out(void **unused) {
    (void)unused;
    int columns_false = 0, columns_seen = 0, literals_false = 0, literals_seen = 0;
    fill();
    for (int op = 0; op < COUNT(ops); op++) {
        for (int pair = 0; pair < COUNT(types) * COUNT(types); pair++) {
            int left = pair % COUNT(types), right = pair / COUNT(types);
            compare(sqlite3_mprintf("SELECT l.c, r.c, l.c %s r.c FROM v%d AS l, v%d AS r", ops[op].sign, left, right), left, op, &columns_false,
                    &columns_seen);
        }
        /* Numbers in the first SELECT, and texts behind that look like numbers, which are compared as if they were of its column. */
        for (int left = 0; left < COUNT(types); left++) {
            compare(
                sqlite3_mprintf(
                    "SELECT l.c, t.c, l.c %s r.c FROM v%d AS l, v0 AS t, (SELECT c, 0 AS i FROM v%d WHERE 0 UNION ALL SELECT c, rowid FROM v0) AS r "
                    "WHERE t.rowid = r.i",
                    ops[op].sign, left, NUMBERS),
                left, op, &columns_false, &columns_seen);
        }
        for (int i = 0; i < COUNT(types) * COUNT(values); i++) {
            int type = i % COUNT(types);
            const char *value = values[i / COUNT(types)];
            compare(sqlite3_mprintf("SELECT c, %s, c %s %s FROM v%d", value, ops[op].sign, value, type), type, op, &literals_false, &literals_seen);
        }
    }
    print_message("seen to be false: %d of %d beside columns, %d of %d beside literals\n", columns_seen, columns_false, literals_seen,
                  literals_false);
    assert_true(columns_seen > columns_false / 2);
    assert_true(literals_seen > literals_false / 2);
}

/* Dates are kept as texts, and codes of digits, numbers as numbers: conditions on them are to be of use. */
static void what_is_false_of_numbers_and_dates_is_seen(void **unused) {
    (void)unused;
    struct vt_value date = vt_value_bytes(SQLITE_TEXT, "2024-01-31", 10), later = vt_value_bytes(SQLITE_TEXT, "2024-02-01", 10),
                    code = vt_value_bytes(SQLITE_TEXT, "12345", 5), next_code = vt_value_bytes(SQLITE_TEXT, "12346", 5), four = vt_value_int(4),
                    five = vt_value_real(5);
    assert_false(vt_condition_may_hold(&later, SQLITE_INDEX_CONSTRAINT_LE, &date, VT_AFFINITY_TEXT, VT_COLLATE_BINARY));
    assert_false(vt_condition_may_hold(&code, SQLITE_INDEX_CONSTRAINT_EQ, &next_code, VT_AFFINITY_TEXT, VT_COLLATE_BINARY));
    assert_false(vt_condition_may_hold(&code, SQLITE_INDEX_CONSTRAINT_GE, &next_code, VT_AFFINITY_TEXT, VT_COLLATE_BINARY));
    assert_false(vt_condition_may_hold(&date, SQLITE_INDEX_CONSTRAINT_GE, &later, VT_AFFINITY_BLOB, VT_COLLATE_BINARY));
    assert_false(vt_condition_may_hold(&four, SQLITE_INDEX_CONSTRAINT_GE, &five, VT_AFFINITY_INTEGER, VT_COLLATE_BINARY));
    assert_false(vt_condition_may_hold(&five, SQLITE_INDEX_CONSTRAINT_EQ, &four, VT_AFFINITY_BLOB, VT_COLLATE_BINARY));
    assert_true(vt_condition_may_hold(&four, SQLITE_INDEX_CONSTRAINT_LT, &five, VT_AFFINITY_REAL, VT_COLLATE_BINARY));
}

static void null_tests_look_at_the_stored_value_alone(void **unused) {
    (void)unused;
    struct vt_value null = vt_value_null(), four = vt_value_int(4);
    assert_true(vt_condition_may_hold(&null, SQLITE_INDEX_CONSTRAINT_ISNULL, &null, VT_AFFINITY_TEXT, VT_COLLATE_BINARY));
    assert_false(vt_condition_may_hold(&four, SQLITE_INDEX_CONSTRAINT_ISNULL, &null, VT_AFFINITY_TEXT, VT_COLLATE_BINARY));
    assert_false(vt_condition_may_hold(&null, SQLITE_INDEX_CONSTRAINT_ISNOTNULL, &null, VT_AFFINITY_TEXT, VT_COLLATE_BINARY));
    assert_true(vt_condition_may_hold(&four, SQLITE_INDEX_CONSTRAINT_ISNOTNULL, &null, VT_AFFINITY_TEXT, VT_COLLATE_BINARY));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_sqlite_holds_true_is_never_left_out),
        cmocka_unit_test(what_is_false_of_numbers_and_dates_is_seen),
        cmocka_unit_test(null_tests_look_at_the_stored_value_alone),
    };
    return cmocka_run_group_tests(tests, open_plain, close_database);
}
