/* Rows: whatever goes in comes out, alone or in any order; damage is told, never read past. */
#include <math.h>

#include "../../ext/row_codec.h"
#include "../support/sqlite_memory.h"
#include "schemas.h"

/* ---- schemas and values ---------------------------------------------------------------------------------------- */

#define COLUMNS_MAX 12

static struct vt_schema *some_schema(void) {
    static const char *const types[] = {"", "INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "REAL"};
    char text[COLUMNS_MAX + 1][120];
    const char *columns[COLUMNS_MAX + 1];
    int count = 1 + (int)below(COLUMNS_MAX), key = (int)below(3);
    for (int i = 0; i < count; i++) {
        snprintf(text[i], sizeof text[i], "c%d %s", i, types[below(sizeof types / sizeof *types)]);
        columns[i] = text[i];
    }
    if (key == 0) snprintf(text[0], sizeof text[0], "c0 INTEGER PRIMARY KEY");
    if (key != 1) return schema_of(count, columns);
    int n = snprintf(text[count], sizeof text[count], "PRIMARY KEY(");
    for (uint64_t i = 0, parts = 1 + below(3); i < parts; i++) {
        n += snprintf(text[count] + n, sizeof text[count] - (size_t)n, "%sc%d %s", i == 0 ? "" : ", ", (int)below((uint64_t)count),
                      below(2) ? "DESC" : "");
    }
    snprintf(text[count] + n, sizeof text[count] - (size_t)n, ")");
    columns[count] = text[count];
    return schema_of(count + 1, columns);
}

static double some_real(void) {
    static const double special[] = {
        0.0, 0.5, -1.5, 1e300, -INFINITY, INFINITY, 9223372036854775808.0, 140737488355327.0, 140737488355328.0, -140737488355328.0, 1.0};
    if (below(2)) return special[below(sizeof special / sizeof *special)];
    return (double)((int64_t)rnd() >> below(64)) / (below(2) ? 1 : 16);
}

/* A value as it would be in this column after its affinity. bytes must outlive it. */
static struct vt_value some_value(const struct vt_column *column, bool may_be_null, uint8_t *bytes, size_t bytes_max) {
    bool numeric = column->affinity >= VT_AFFINITY_NUMERIC;
    int64_t i = (int64_t)rnd() >> below(64);
    switch (below(may_be_null ? 6 : 5)) {
    case 0:
        if (column->affinity == VT_AFFINITY_REAL) return vt_value_real((double)i);
        if (column->affinity == VT_AFFINITY_TEXT) break;
        return vt_value_int(i);
    case 1: {
        double r = some_real();
        if (column->affinity == VT_AFFINITY_TEXT) break;
        if (numeric && column->affinity != VT_AFFINITY_REAL && fabs(r) < 9e18 && r == floor(r)) return vt_value_int((int64_t)r);
        return vt_value_real(r);
    }
    case 5: return vt_value_null();
    default: break;
    }
    size_t n = below(20) == 0 ? below(bytes_max) : below(12);
    for (size_t k = 0; k < n; k++) bytes[k] = (uint8_t)("\0 aAbz\xff"[below(7)]);
    return vt_value_bytes(below(3) == 0 ? SQLITE_BLOB : SQLITE_TEXT, bytes, n);
}

static bool same(const struct vt_value *a, const struct vt_value *b) {
    if (a->type != b->type || a->i != b->i || memcmp(&a->r, &b->r, sizeof a->r) != 0 || a->size != b->size) return false;
    return a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0;
}

#define BIG 700

struct row {
    struct vt_value values[COLUMNS_MAX];
    uint8_t bytes[COLUMNS_MAX][BIG];
    struct vt_bytes key, record;
};

static void make_row(const struct vt_schema *schema, struct row *row) {
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
        row->values[i] = some_value(column, !column->not_null, row->bytes[i], BIG);
        if (i == schema->rowid_column) row->values[i] = vt_value_int((int64_t)rnd() >> below(64));
    }
    vt_bytes_reset(&row->key);
    vt_bytes_reset(&row->record);
    if (schema->kind == VT_KIND_CLUSTERED) {
        assert_int_equal(vt_key_encode_row(schema, row->values, &row->key), SQLITE_OK);
    } else {
        uint8_t key[VT_KEY_INT64_BYTES_MAX];
        int64_t rowid = schema->rowid_column >= 0 ? row->values[schema->rowid_column].i : 77;
        assert_int_equal(vt_bytes_append(&row->key, key, vt_key_put_int64(key, rowid)), SQLITE_OK);
    }
    assert_int_equal(vt_row_encode(schema, row->values, &row->record), SQLITE_OK);
}

static void release_row(struct row *row) {
    vt_bytes_release(&row->key);
    vt_bytes_release(&row->record);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void rows_come_back_as_they_were_in_any_order_of_columns(void **unused) {
    (void)unused;
    static struct row row;
    for (int round = 0; round < 20000; round++) {
        struct vt_schema *schema = some_schema();
        for (int r = 0; r < 3; r++) {
            make_row(schema, &row);
            assert_int_equal(vt_row_check(schema, vt_bytes_slice(&row.key), vt_bytes_slice(&row.record)), SQLITE_OK);
            struct vt_row_reader reader;
            vt_row_reader_init(&reader, schema, vt_bytes_slice(&row.key), vt_bytes_slice(&row.record));
            for (int n = 0; n < 2 * schema->column_count; n++) {
                int i = n < schema->column_count ? n : (int)below((uint64_t)schema->column_count);
                struct vt_value out;
                assert_int_equal(vt_row_get(&reader, i, &out), SQLITE_OK);
                if (!same(&out, &row.values[i]))
                    fail_msg("round %d, column %d of type %s: %d for %d", round, i, schema->columns[i].type, out.type, row.values[i].type);
            }
            struct vt_value hidden;
            assert_int_equal(vt_row_get(&reader, schema->column_count, &hidden), SQLITE_OK);
            assert_true(hidden.type == (schema->kind == VT_KIND_CLUSTERED ? SQLITE_BLOB : SQLITE_NULL));
            if (hidden.type == SQLITE_BLOB) assert_true(hidden.size == row.key.size && memcmp(hidden.bytes, row.key.data, hidden.size) == 0);
            assert_int_equal(vt_row_get(&reader, -1, &hidden), SQLITE_MISUSE);
            assert_int_equal(vt_row_get(&reader, schema->column_count + 1, &hidden), SQLITE_MISUSE);
        }
        vt_schema_free(schema);
    }
    release_row(&row);
}

static void wide_rows_have_longer_headers(void **unused) {
    (void)unused;
    static char names[2000][16];
    static const char *argv[2003] = {"lsm", "main", "t"};
    static struct vt_value values[2000];
    for (int i = 0; i < 2000; i++) {
        snprintf(names[i], sizeof names[i], "c%d", i);
        argv[i + 3] = names[i];
    }
    for (int count = 120; count <= 2000; count += count < 135 ? 1 : 333) {
        struct vt_schema *schema;
        char *message;
        assert_int_equal(vt_ddl_parse(db, 3 + count, argv, 2000, &schema, &message), SQLITE_OK);
        static uint8_t bytes[300];
        for (int i = 0; i < count; i++) values[i] = below(2) ? vt_value_int((int64_t)rnd()) : vt_value_bytes(SQLITE_BLOB, bytes, below(300));
        struct vt_bytes record = {0};
        uint8_t key[VT_KEY_INT64_BYTES_MAX];
        struct lsm_slice key_slice = {.data = key, .size = vt_key_put_int64(key, 5)};
        assert_int_equal(vt_row_encode(schema, values, &record), SQLITE_OK);
        assert_int_equal(vt_row_check(schema, key_slice, vt_bytes_slice(&record)), SQLITE_OK);
        struct vt_row_reader reader;
        vt_row_reader_init(&reader, schema, key_slice, vt_bytes_slice(&record));
        for (int i = 0; i < count; i++) {
            struct vt_value out;
            assert_int_equal(vt_row_get(&reader, i, &out), SQLITE_OK);
            assert_true(same(&out, &values[i]));
        }
        vt_bytes_release(&record);
        vt_schema_free(schema);
    }
}

static void columns_younger_than_the_row_read_as_their_default(void **unused) {
    (void)unused;
    static const char *const old_columns[] = {"a INTEGER PRIMARY KEY", "b TEXT"};
    static const char *const new_columns[] = {"a INTEGER PRIMARY KEY", "b TEXT", "c TEXT NOT NULL DEFAULT 'new'", "d INTEGER",
                                              "e REAL NOT NULL DEFAULT 5"};
    struct vt_schema *before = schema_of(2, old_columns), *after = schema_of(5, new_columns);
    struct vt_value values[2] = {vt_value_int(1), vt_value_bytes(SQLITE_TEXT, "x", 1)}, out;
    struct vt_bytes record = {0};
    uint8_t key[VT_KEY_INT64_BYTES_MAX];
    struct lsm_slice key_slice = {.data = key, .size = vt_key_put_int64(key, 1)};
    assert_int_equal(vt_row_encode(before, values, &record), SQLITE_OK);
    struct vt_row_reader reader;
    vt_row_reader_init(&reader, after, key_slice, vt_bytes_slice(&record));
    assert_int_equal(vt_row_get(&reader, 4, &out), SQLITE_OK);
    assert_true(out.type == SQLITE_FLOAT && out.r > 4.9 && out.r < 5.1);
    assert_int_equal(vt_row_get(&reader, 2, &out), SQLITE_OK);
    assert_true(out.type == SQLITE_TEXT && out.size == 3 && memcmp(out.bytes, "new", 3) == 0);
    assert_int_equal(vt_row_get(&reader, 3, &out), SQLITE_OK);
    assert_int_equal(out.type, SQLITE_NULL);
    assert_int_equal(vt_row_get(&reader, 1, &out), SQLITE_OK);
    assert_true(out.type == SQLITE_TEXT && out.size == 1);
    assert_int_equal(vt_row_get(&reader, 0, &out), SQLITE_OK);
    assert_true(out.type == SQLITE_INTEGER && out.i == 1);
    assert_int_equal(vt_row_check(after, key_slice, vt_bytes_slice(&record)), SQLITE_OK);
    vt_bytes_reset(&record);
    struct vt_value more[5] = {vt_value_int(1), vt_value_null(), values[1], vt_value_int(2), vt_value_real(1)};
    assert_int_equal(vt_row_encode(after, more, &record), SQLITE_OK);
    assert_int_equal(vt_row_check(before, key_slice, vt_bytes_slice(&record)), SQLITE_CORRUPT_VTAB);
    vt_bytes_release(&record);
    vt_schema_free(before);
    vt_schema_free(after);
}

static void damaged_rows_are_refused_or_read_within_bounds(void **unused) {
    (void)unused;
    static struct row row;
    uint64_t sum = 0, refused = 0;
    for (int round = 0; round < 60000; round++) {
        struct vt_schema *schema = some_schema();
        make_row(schema, &row);
        size_t size = below(3) == 0 ? below(row.record.size + 1) : row.record.size;
        uint8_t *exact = malloc(size == 0 ? 1 : size);
        assert_non_null(exact);
        memcpy(exact, row.record.data, size);
        for (uint64_t n = below(5); n > 0 && size > 0; n--) {
            size_t at = below(2) ? below(size) : below(size < 10 ? size : 10);
            exact[at] = below(2) ? (uint8_t)rnd() : 0xff;
        }
        struct lsm_slice record = {.data = exact, .size = size};
        struct vt_row_reader reader;
        vt_row_reader_init(&reader, schema, vt_bytes_slice(&row.key), record);
        for (int n = 0; n < schema->column_count + 2; n++) {
            struct vt_value out;
            int rc = vt_row_get(&reader, (int)below((uint64_t)schema->column_count), &out);
            assert_true(rc == SQLITE_OK || rc == SQLITE_CORRUPT_VTAB);
            refused += rc != SQLITE_OK;
            for (size_t b = 0; rc == SQLITE_OK && b < out.size; b++) sum += out.bytes[b];
        }
        refused += vt_row_check(schema, vt_bytes_slice(&row.key), record) != SQLITE_OK;
        free(exact);
        vt_schema_free(schema);
    }
    release_row(&row);
    assert_true(refused > 1000 && sum > 0);
}

static void results_reach_sqlite_with_type_and_bytes(void **unused);

static void result_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    static const char *const columns[] = {"a BLOB", "b"};
    struct vt_schema *schema = schema_of(2, columns);
    struct vt_value values[2];
    struct vt_bytes record = {0};
    uint8_t key[VT_KEY_INT64_BYTES_MAX];
    struct lsm_slice key_slice = {.data = key, .size = vt_key_put_int64(key, 1)};
    values[0] = vt_value_int(12345);
    assert_int_equal(vt_value_of(argv[0], &values[1]), SQLITE_OK);
    assert_int_equal(vt_row_encode(schema, values, &record), SQLITE_OK);
    struct vt_row_reader reader;
    vt_row_reader_init(&reader, schema, key_slice, vt_bytes_slice(&record));
    assert_int_equal(vt_row_result(&reader, 1, context, SQLITE_TRANSIENT), SQLITE_OK);
    vt_bytes_release(&record);
    vt_schema_free(schema);
}

static void results_reach_sqlite_with_type_and_bytes(void **unused) {
    (void)unused;
    sqlite3_create_function(db, "through_row", 1, SQLITE_UTF8, NULL, result_function, NULL, NULL);
    static const char *const literals[] = {"NULL",
                                           "0",
                                           "1",
                                           "-1",
                                           "127",
                                           "128",
                                           "-129",
                                           "8388608",
                                           "2147483648",
                                           "140737488355328",
                                           "9223372036854775807",
                                           "(-9223372036854775807 - 1)",
                                           "1.0",
                                           "-0.5",
                                           "9e999",
                                           "''",
                                           "'text'",
                                           "x''",
                                           "x'00ff'",
                                           "zeroblob(1000)"};
    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
        char *sql = sqlite3_mprintf("SELECT v IS w AND typeof(v) = typeof(w) FROM (SELECT %s AS v, through_row(%s) AS w)", literals[i], literals[i]);
        sqlite3_stmt *s = NULL;
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        if (sqlite3_column_int(s, 0) != 1) fail_msg("%s", literals[i]);
        sqlite3_finalize(s);
        sqlite3_free(sql);
    }
}

static void out_of_memory_leaves_keys_and_rows_as_they_were(void **unused) {
    (void)unused;
    static struct row row;
    for (int round = 0; round < 3000; round++) {
        struct vt_schema *schema = some_schema();
        make_row(schema, &row);
        for (int64_t n = 1; n < 20; n++) {
            struct vt_bytes key = {0}, record = {0};
            sqlite_memory_fail_after(n, true);
            int rc = vt_row_encode(schema, row.values, &record);
            bool failed = rc != SQLITE_OK;
            assert_true(rc == SQLITE_OK || (rc == SQLITE_NOMEM && record.size == 0));
            rc = schema->kind == VT_KIND_CLUSTERED ? vt_key_encode_row(schema, row.values, &key) : SQLITE_OK;
            failed |= rc != SQLITE_OK;
            assert_true(rc == SQLITE_OK || (rc == SQLITE_NOMEM && key.size == 0));
            sqlite_memory_fail_after(0, false);
            vt_bytes_release(&key);
            vt_bytes_release(&record);
            if (!failed) break;
        }
        vt_schema_free(schema);
    }
    release_row(&row);
}

/* The example of docs/format.md, "Keys and rows". */
static void the_format_is_as_written_down(void **unused) {
    (void)unused;
    static const char *const columns[] = {"device TEXT COLLATE NOCASE",  "ts INTEGER", "kind TEXT", "value REAL", "payload BLOB", "note",
                                          "PRIMARY KEY(device, ts DESC)"};
    static const uint8_t want_key[] = {0x30, 'p', '1', 0x00, 0x00, 0xdd, 0xfe, 0xd3, 0xff};
    static const uint8_t want_record[] = {0x07, 0x11, 0x0a, 0x13, 0x01, 0x10, 0x00, 'P', '1', 'm', 'i', 'n', 0x15, 0xca, 0xfe};
    struct vt_schema *schema = schema_of(7, columns);
    struct vt_value values[] = {vt_value_bytes(SQLITE_TEXT, "P1", 2),       vt_value_int(300),
                                vt_value_bytes(SQLITE_TEXT, "min", 3),      vt_value_real(21.0),
                                vt_value_bytes(SQLITE_BLOB, "\xca\xfe", 2), vt_value_null()};
    struct vt_bytes key = {0}, record = {0};
    assert_int_equal(vt_key_encode_row(schema, values, &key), SQLITE_OK);
    assert_int_equal(vt_row_encode(schema, values, &record), SQLITE_OK);
    assert_int_equal(key.size, sizeof want_key);
    assert_memory_equal(key.data, want_key, sizeof want_key);
    assert_int_equal(record.size, sizeof want_record);
    assert_memory_equal(record.data, want_record, sizeof want_record);
    /* One more than six bytes hold: no shorter as an integer. */
    values[3] = vt_value_real(140737488355328.0);
    vt_bytes_reset(&record);
    assert_int_equal(vt_row_encode(schema, values, &record), SQLITE_OK);
    assert_int_equal(record.data[4], 7);
    values[3] = vt_value_real(-140737488355327.0);
    vt_bytes_reset(&record);
    assert_int_equal(vt_row_encode(schema, values, &record), SQLITE_OK);
    assert_int_equal(record.data[4], 5);
    vt_bytes_release(&key);
    vt_bytes_release(&record);
    vt_schema_free(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format_is_as_written_down),
        cmocka_unit_test(rows_come_back_as_they_were_in_any_order_of_columns),
        cmocka_unit_test(wide_rows_have_longer_headers),
        cmocka_unit_test(columns_younger_than_the_row_read_as_their_default),
        cmocka_unit_test(damaged_rows_are_refused_or_read_within_bounds),
        cmocka_unit_test(results_reach_sqlite_with_type_and_bytes),
        cmocka_unit_test(out_of_memory_leaves_keys_and_rows_as_they_were),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, open_with_chance, close_database);
}
