/* Affinity against SQLite itself: what an ordinary column makes of a value is what vt_affinity_apply() makes of it. */
#include <math.h>

#include "../../ext/value.h"
#include "database.h"

/* ---- types ---------------------------------------------------------------------------------------------------- */

static void affinity_of_a_declared_type_is_sqlites(void **unused) {
    (void)unused;
    static const char *const parts[] = {"INT",     "CHAR", "CLOB",        "TEXT",  "BLOB", "REAL", "FLOA",    "DOUB", "in",
                                        "t",       "ch",   "ar",          "bl",    "ob",   "x",    "IntegeR", "DATE", "DECIMAL(10,5)",
                                        "numeric", "any",  "varchar(20)", "point", "re",   "al",   "boolean"};
    /* CREATE TABLE ... AS SELECT names the affinity of the source column. */
    static const char *const shown[] = {"", "TEXT", "NUM", "INT", "REAL"};
    for (int round = 0; round < 4000; round++) {
        char type[100] = "";
        size_t n = below(4);
        for (size_t i = 0; i < n; i++) {
            strcat(type, parts[below(sizeof parts / sizeof *parts)]);
            if (i + 1 < n && below(3) == 0) strcat(type, " ");
        }
        char *sql = sqlite3_mprintf("CREATE TEMP TABLE a(x \"%w\"); CREATE TEMP TABLE b AS SELECT x FROM a", type);
        if (type[0] == '\0') {
            sqlite3_free(sql);
            sql = sqlite3_mprintf("CREATE TEMP TABLE a(x); CREATE TEMP TABLE b AS SELECT x FROM a");
        }
        must(sql);
        sqlite3_free(sql);
        sqlite3_stmt *s = prepare("SELECT type FROM pragma_table_info('b')");
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        const char *got = shown[vt_affinity_of_type(type)], *want = (const char *)sqlite3_column_text(s, 0);
        if (strcmp(got, want) != 0) fail_msg("type \"%s\": %s, SQLite says %s", type, got, want);
        sqlite3_finalize(s);
        must("DROP TABLE temp.a; DROP TABLE temp.b");
    }
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static int64_t some_int(void) {
    switch (below(6)) {
    case 0: return (int64_t)below(20) - 10;
    case 1: return (int64_t)((UINT64_C(1) << 53) + below(9) - 4) * (below(2) ? 1 : -1);
    case 2: return INT64_MAX - (int64_t)below(4);
    case 3: return INT64_MIN + (int64_t)below(4);
    case 4: return (int64_t)(UINT64_C(1) << below(63)) - (int64_t)below(3);
    default: return (int64_t)rnd() >> below(64);
    }
}

static double some_real(void) {
    static const double special[] = {0.0,
                                     -0.0,
                                     1e308,
                                     -1e308,
                                     5e-324,
                                     9223372036854775807.0,
                                     -9223372036854775808.0,
                                     9.3e18,
                                     1e15,
                                     123456789012345680.0,
                                     140737488355328.0,
                                     140737488355327.0,
                                     -140737488355329.0,
                                     0.1,
                                     1e100};
    double r;
    uint64_t bits;
    switch (below(5)) {
    case 0: return special[below(sizeof special / sizeof *special)];
    case 1: return (double)some_int();
    case 2: return (double)((int64_t)below(2000) - 1000) / 8;
    case 3: return below(2) ? INFINITY : -INFINITY;
    default:
        do {
            bits = rnd();
            memcpy(&r, &bits, sizeof r);
        } while (isnan(r));
        return r;
    }
}

static int some_text(char *out, size_t size) {
    static const char *const pieces[] = {"1",
                                         "0",
                                         "9",
                                         "12",
                                         " ",
                                         "\t",
                                         "+",
                                         "-",
                                         ".",
                                         "e",
                                         "E5",
                                         "e-3",
                                         "abc",
                                         "0x10",
                                         "9223372036854775807",
                                         "9223372036854775808",
                                         "1e3",
                                         "1.0",
                                         "1.5",
                                         ".5",
                                         "5.",
                                         "\v",
                                         "\xc3\xa4",
                                         "e308",
                                         "e400",
                                         "00",
                                         "_",
                                         "inf",
                                         "nan",
                                         "1_0",
                                         "9007199254740993"};
    int n = 0;
    if (below(4) == 0) return below(2) ? snprintf(out, size, "%lld", (long long)some_int()) : snprintf(out, size, "%.17g", some_real());
    uint64_t count = below(5);
    out[0] = '\0';
    for (uint64_t i = 0; i < count; i++) n += snprintf(out + n, size - (size_t)n, "%s", pieces[below(sizeof pieces / sizeof *pieces)]);
    /* SQLite 3.53 takes a number before a zero byte for the whole text. We do not. */
    if (below(20) == 0 && sqlite3_libversion_number() < 3053000) out[n++] = '\0';
    return n;
}

static void bind_some(sqlite3_stmt *s, int at) {
    char text[400];
    switch (below(10)) {
    case 0: sqlite3_bind_null(s, at); break;
    case 1:
    case 2: sqlite3_bind_int64(s, at, some_int()); break;
    case 3:
    case 4: sqlite3_bind_double(s, at, some_real()); break;
    case 5: sqlite3_bind_blob(s, at, text, some_text(text, sizeof text), SQLITE_TRANSIENT); break;
    case 6: sqlite3_bind_zeroblob(s, at, (int)below(5)); break;
    default: {
        int n = some_text(text, sizeof text);
        sqlite3_bind_text(s, at, text, n, SQLITE_TRANSIENT);
    }
    }
}

static bool same(const struct vt_value *a, sqlite3_value *b) {
    if (a->type != sqlite3_value_type(b)) return false;
    double r = sqlite3_value_double(b);
    switch (a->type) {
    case SQLITE_INTEGER: return a->i == sqlite3_value_int64(b);
    case SQLITE_FLOAT: return memcmp(&a->r, &r, sizeof r) == 0;
    case SQLITE_NULL: return true;
    default: {
        const void *bytes = a->type == SQLITE_TEXT ? (const void *)sqlite3_value_text(b) : sqlite3_value_blob(b);
        size_t size = (size_t)sqlite3_value_bytes(b);
        return a->size == size && a->bytes != NULL && (size == 0 || memcmp(a->bytes, bytes, size) == 0);
    }
    }
}

/* lsm_apply(affinity, value): the function under test, from SQL. lsm_same(affinity, value, stored): 1 if it agrees. */
static void same_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    struct vt_value value;
    int type = sqlite3_value_type(argv[1]);
    int rc = vt_affinity_apply(argv[1], (enum vt_affinity)sqlite3_value_int(argv[0]), &value);
    if (rc != SQLITE_OK) {
        sqlite3_result_error_code(context, rc);
        return;
    }
    sqlite3_result_int(context, same(&value, argv[2]) && sqlite3_value_type(argv[1]) == type);
}

static void stored_values_are_what_an_ordinary_column_holds(void **unused) {
    (void)unused;
    must("CREATE TABLE t(v, a BLOB, b TEXT, c NUMERIC, d INTEGER, e REAL); PRAGMA encoding");
    sqlite3_create_function(db, "lsm_same", 3, SQLITE_UTF8, NULL, same_function, NULL, NULL);
    sqlite3_stmt *insert = prepare("INSERT INTO t VALUES(?1, ?1, ?1, ?1, ?1, ?1)");
    must("BEGIN");
    for (int round = 0; round < 60000; round++) {
        bind_some(insert, 1);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    must("COMMIT");
    sqlite3_stmt *s = prepare("SELECT typeof(v), quote(v), quote(a), quote(b), quote(c), quote(d), quote(e), lsm_same(0, v, a), lsm_same(1, v, b), "
                              "lsm_same(2, v, c), lsm_same(3, v, d), lsm_same(4, v, e) FROM t");
    int rows = 0;
    while (sqlite3_step(s) == SQLITE_ROW) {
        rows++;
        for (int i = 0; i < 5; i++) {
            if (sqlite3_column_int(s, 7 + i) == 1) continue;
            fail_msg("%s %s stored with affinity %d is %s, not so here", sqlite3_column_text(s, 0), sqlite3_column_text(s, 1), i,
                     sqlite3_column_text(s, 2 + i));
        }
    }
    assert_int_equal(rows, 60000);
    sqlite3_finalize(s);
    must("DROP TABLE t");
}

/* Comparing the converted value with the stored one as it is gives what SQLite's comparison with the column gives. */
static void compare_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    struct vt_value value;
    if (vt_affinity_compare(argv[1], (enum vt_affinity)sqlite3_value_int(argv[0]), &value) == SQLITE_OK)
        vt_value_result(context, &value, SQLITE_TRANSIENT);
}

static void search_values_compare_as_sqlite_compares_with_the_column(void **unused) {
    (void)unused;
    must("CREATE TABLE t(a BLOB, b TEXT, c NUMERIC, d INTEGER, e REAL)");
    sqlite3_create_function(db, "lsm_compare", 2, SQLITE_UTF8, NULL, compare_function, NULL, NULL);
    sqlite3_stmt *insert = prepare("INSERT INTO t VALUES(?1, ?1, ?1, ?1, ?1)"), *clear = prepare("DELETE FROM t");
    sqlite3_stmt *check[5];
    for (int i = 0; i < 5; i++) {
        /* +column and a function result have no affinity: nothing is converted on the right-hand side of IS. */
        char *sql = sqlite3_mprintf(
            "SELECT (%c < ?1) IS (+%c < lsm_compare(%d, ?1)) AND (%c = ?1) IS (+%c = lsm_compare(%d, ?1)), quote(%c), quote(?1) FROM t", 'a' + i,
            'a' + i, i, 'a' + i, 'a' + i, i, 'a' + i);
        check[i] = prepare(sql);
        sqlite3_free(sql);
    }
    for (int round = 0; round < 30000; round++) {
        bind_some(insert, 1);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
        sqlite3_reset(insert);
        for (int i = 0; i < 5; i++) {
            bind_some(check[i], 1);
            assert_int_equal(sqlite3_step(check[i]), SQLITE_ROW);
            if (sqlite3_column_int(check[i], 0) != 1) {
                fail_msg("affinity %d: %s against %s", i, sqlite3_column_text(check[i], 1), sqlite3_column_text(check[i], 2));
            }
            sqlite3_reset(check[i]);
        }
        sqlite3_step(clear);
        sqlite3_reset(clear);
    }
    for (int i = 0; i < 5; i++) sqlite3_finalize(check[i]);
    sqlite3_finalize(insert);
    sqlite3_finalize(clear);
    must("DROP TABLE t");
}

static void bytes_grow_and_keep_what_they_hold(void **unused) {
    (void)unused;
    struct vt_bytes bytes = {0};
    for (int i = 0; i < 1000; i++) assert_int_equal(vt_bytes_put(&bytes, (uint8_t)i), SQLITE_OK);
    assert_int_equal(vt_bytes_append(&bytes, NULL, 0), SQLITE_OK);
    assert_int_equal(vt_bytes_append(&bytes, "end", 3), SQLITE_OK);
    assert_int_equal(bytes.size, 1003);
    for (int i = 0; i < 1000; i++) assert_int_equal(bytes.data[i], i & 0xff);
    assert_int_equal(vt_bytes_grow(&bytes, SIZE_MAX - 5), SQLITE_NOMEM);
    assert_int_equal(bytes.size, 1003);
    assert_int_equal(vt_bytes_set(&bytes, (struct lsm_slice){.data = (const uint8_t *)"ab", .size = 2}), SQLITE_OK);
    assert_int_equal(bytes.size, 2);
    vt_bytes_release(&bytes);
    assert_null(bytes.data);
    assert_int_equal(vt_bytes_reserve(&bytes, 0), SQLITE_OK);
    assert_non_null(bytes.data);
    vt_bytes_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affinity_of_a_declared_type_is_sqlites),
        cmocka_unit_test(stored_values_are_what_an_ordinary_column_holds),
        cmocka_unit_test(search_values_compare_as_sqlite_compares_with_the_column),
        cmocka_unit_test(bytes_grow_and_keep_what_they_hold),
    };
    return cmocka_run_group_tests(tests, open_with_chance, close_database);
}
