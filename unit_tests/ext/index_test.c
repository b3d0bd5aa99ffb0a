/* Entries of indexes: their bytes, which docs/format.md shows, and which columns can be had back from them. */
#include "../../ext/index.h"
#include "schemas.h"

static struct vt_value text_value(const char *text) { return vt_value_bytes(SQLITE_TEXT, text, strlen(text)); }

static void expect_bytes(struct lsm_slice slice, const char *bytes, size_t size) {
    assert_int_equal(slice.size, size);
    assert_memory_equal(slice.data, bytes, size);
}

static const char row_key[] = "\x30p1\0\0\xdd\xfe\xd3\xff";
#define ROW_KEY_BYTES 9

static void entries_have_the_bytes_of_the_format(void **unused) {
    (void)unused;
    struct vt_schema *schema =
        table("device TEXT COLLATE NOCASE|ts INTEGER|kind TEXT|PRIMARY KEY(device, ts DESC)|INDEX by_kind(kind, ts)|UNIQUE(kind)");
    struct vt_value values[] = {text_value("P1"), vt_value_int(300), text_value("min")};
    struct lsm_slice key = {.data = (const uint8_t *)row_key, .size = ROW_KEY_BYTES}, none = {0}, found;
    struct vt_bytes entry = {0};
    bool alone;
    assert_int_equal(vt_index_entry(&schema->indexes[0], values, 0, key, &entry, &alone), SQLITE_OK);
    expect_bytes(vt_bytes_slice(&entry), "\x30min\0\0\x22\x01\x2c\x30p1\0\0\xdd\xfe\xd3\xff", 6 + 3 + ROW_KEY_BYTES);
    assert_false(alone);
    assert_int_equal(vt_index_row_key(&schema->indexes[0], vt_bytes_slice(&entry), none, &found), SQLITE_OK);
    expect_bytes(found, row_key, ROW_KEY_BYTES);
    assert_int_equal(vt_index_entry(&schema->indexes[1], values, 0, key, &entry, &alone), SQLITE_OK);
    expect_bytes(vt_bytes_slice(&entry), "\x30min\0\0", 6);
    assert_true(alone);
    assert_int_equal(vt_index_row_key(&schema->indexes[1], vt_bytes_slice(&entry), key, &found), SQLITE_OK);
    expect_bytes(found, row_key, ROW_KEY_BYTES);
    values[2] = vt_value_null(); /* any number of these */
    assert_int_equal(vt_index_entry(&schema->indexes[1], values, 0, key, &entry, &alone), SQLITE_OK);
    expect_bytes(vt_bytes_slice(&entry), "\x10\x30p1\0\0\xdd\xfe\xd3\xff", 1 + ROW_KEY_BYTES);
    assert_false(alone);
    vt_bytes_release(&entry);
    vt_schema_free(schema);
}

static void an_entry_that_is_cut_off_names_no_row(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a TEXT|b INTEGER|INDEX i(a, b)");
    struct lsm_slice none = {0}, found;
    static const char whole[] = "\x30x\0\0\x21\x05\x21\x07";
    for (size_t size = 0; size <= 8; size++) {
        struct lsm_slice key = {.data = (const uint8_t *)whole, .size = size};
        int rc = vt_index_row_key(&schema->indexes[0], key, none, &found);
        assert_int_equal(rc, size > 6 ? SQLITE_OK : SQLITE_CORRUPT_VTAB); /* what is left of the row's key does not lead to a row */
    }
    struct lsm_slice key = {.data = (const uint8_t *)whole, .size = 8};
    assert_int_equal(vt_index_row_key(&schema->indexes[0], key, key, &found), SQLITE_CORRUPT_VTAB); /* a value, and the index is not unique */
    vt_schema_free(schema);
}

/* The value of column 0 as the entry tells it, or -1 if it does not. */
static int type_from_entry(struct vt_schema *schema, struct vt_value value, struct vt_value *out) {
    struct vt_value values[] = {value};
    struct lsm_slice row = {.data = (const uint8_t *)"\x21\x07", .size = 2};
    struct vt_bytes entry = {0};
    bool alone;
    assert_int_equal(vt_index_entry(&schema->indexes[0], values, 7, row, &entry, &alone), SQLITE_OK);
    bool known = vt_index_column(schema, &schema->indexes[0], vt_bytes_slice(&entry), row, 0, out);
    int type = known ? out->type : -1;
    vt_bytes_release(&entry);
    return type;
}

static void columns_are_taken_from_an_entry_only_if_it_tells_them_exactly(void **unused) {
    (void)unused;
    struct vt_value out, one = vt_value_int(1), half = vt_value_real(0.5), big = vt_value_real(1e300), least = vt_value_int(INT64_MIN);
    struct vt_schema *schema = table("a INTEGER|INDEX i(a)");
    assert_int_equal(type_from_entry(schema, one, &out), SQLITE_INTEGER);
    assert_int_equal(type_from_entry(schema, half, &out), SQLITE_FLOAT);
    assert_int_equal(type_from_entry(schema, vt_value_null(), &out), SQLITE_NULL);
    assert_int_equal(type_from_entry(schema, least, &out), -1); /* or -9223372036854775808.0 */
    assert_true(vt_index_covers(schema, &schema->indexes[0], 0));
    assert_false(vt_index_covers(schema, &schema->indexes[0], 1) && schema->column_count > 1);
    vt_schema_free(schema);
    schema = table("a REAL|INDEX i(a DESC)");
    assert_int_equal(type_from_entry(schema, vt_value_real(1), &out), SQLITE_FLOAT);
    assert_true(out.r == 1.0);
    assert_int_equal(type_from_entry(schema, big, &out), SQLITE_FLOAT);
    vt_schema_free(schema);
    schema = table("a|INDEX i(a)");
    assert_int_equal(type_from_entry(schema, one, &out), -1); /* or 1.0 */
    assert_int_equal(type_from_entry(schema, text_value("Text"), &out), SQLITE_TEXT);
    assert_int_equal(type_from_entry(schema, vt_value_bytes(SQLITE_BLOB, "a\0b", 3), &out), -1);
    assert_false(vt_index_covers(schema, &schema->indexes[0], 0));
    vt_schema_free(schema);
    schema = table("a TEXT COLLATE NOCASE|INDEX i(a)");
    assert_int_equal(type_from_entry(schema, text_value("text"), &out), -1); /* or 'TEXT' */
    assert_int_equal(type_from_entry(schema, vt_value_bytes(SQLITE_BLOB, "ab", 2), &out), SQLITE_BLOB);
    vt_schema_free(schema);
}

static void the_rowid_comes_from_every_entry(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a|id INTEGER PRIMARY KEY|INDEX i(a)");
    struct lsm_slice row = {.data = (const uint8_t *)"\x21\x07", .size = 2}, key = {.data = (const uint8_t *)"\x10\x21\x07", .size = 3};
    struct vt_value out;
    assert_true(vt_index_column(schema, &schema->indexes[0], key, row, -1, &out) && out.i == 7);
    assert_true(vt_index_column(schema, &schema->indexes[0], key, row, 1, &out) && out.i == 7);
    vt_schema_free(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_have_the_bytes_of_the_format),
        cmocka_unit_test(an_entry_that_is_cut_off_names_no_row),
        cmocka_unit_test(columns_are_taken_from_an_entry_only_if_it_tells_them_exactly),
        cmocka_unit_test(the_rowid_comes_from_every_entry),
    };
    return cmocka_run_group_tests(tests, open_plain, close_database);
}
