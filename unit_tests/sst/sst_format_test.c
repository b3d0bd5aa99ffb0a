/* The annotated dump of docs/format.md, "Table files", reproduced. */
#include "table_kit.h"

static struct lsm_sst_options tiny_options(void) { return (struct lsm_sst_options){.block_bytes = 512, .compression = LSM_COMPRESS_NONE, .filter_bits_per_key = 10}; }

static void tiny_rows(struct kit_rows *rows) {
    kit_add(rows, LSM_KIND_PUT, lsm_slice_of("\0\0\0\1apple", 9), lsm_slice_of("red", 3));
    kit_add(rows, LSM_KIND_PUT, lsm_slice_of("\0\0\0\1apricots-dried", 18), lsm_slice_of("orange", 6));
    kit_add(rows, LSM_KIND_DELETE, lsm_slice_of("\0\0\0\1avocado", 11), lsm_slice_of("", 0));
    rows->ranges[rows->range_count++] = (struct lsm_sst_range){.low = lsm_slice_of("\0\0\0\1b", 5), .high = lsm_slice_of("\0\0\0\1d", 5)};
}

/* Hex digits of the example in the order of the file; other characters are ignored. */
static const char tiny_hex[] =
#include "tiny_table.inc"
    ;

static size_t parse_hex(const char *text, uint8_t *bytes, size_t limit) {
    size_t digits = 0;
    for (; *text != '\0'; text++) {
        unsigned value = *text >= '0' && *text <= '9' ? (unsigned)(*text - '0') : *text >= 'a' && *text <= 'f' ? (unsigned)(*text - 'a') + 10 : 16;
        if (value == 16) continue;
        assert_true(digits / 2 < limit);
        bytes[digits / 2] = (uint8_t)(digits % 2 == 0 ? value << 4 : bytes[digits / 2] | value);
        digits++;
    }
    return digits / 2;
}

static void the_documented_table_is_what_is_written(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct kit_rows rows = {0};
    struct lsm_sst_options options = tiny_options();
    uint8_t expected[2048], *bytes;
    size_t size;
    lsm_env_mem_set_clock(env, 1700000000000000u);
    tiny_rows(&rows);
    struct lsm_file_meta *meta = kit_write(env, KIT_PATH, 7, &rows, &options);
    assert_int_equal(lsm_env_mem_read_file(env, KIT_PATH, &bytes, &size), LSM_OK);
    size_t expected_size = parse_hex(tiny_hex, expected, sizeof expected);
    if (expected_size != size || memcmp(expected, bytes, size) != 0)
        for (size_t i = 0; i < size; i++) printf("%02x%s", bytes[i], i % 16 == 15 || i + 1 == size ? "\n" : " ");
    assert_int_equal(expected_size, size);
    assert_memory_equal(expected, bytes, size);
    lsm_free(bytes);
    lsm_file_meta_unref(meta);
    kit_free(&rows);
    lsm_env_mem_free(env);
}

static void the_documented_table_reads_back(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct kit_rows rows = {0};
    struct lsm_sst_options options = tiny_options();
    struct lsm_error err = {0};
    struct lsm_sst_iter iter;
    uint8_t bytes[2048];
    lsm_env_mem_set_clock(env, 1700000000000000u);
    tiny_rows(&rows);
    struct lsm_file_meta *meta = kit_write(env, "/other", 7, &rows, &options); /* only for its meta */
    assert_int_equal(lsm_env_mem_write_file(env, KIT_PATH, bytes, parse_hex(tiny_hex, bytes, sizeof bytes)), LSM_OK);
    struct lsm_sst *sst = kit_open(env, KIT_PATH, meta, NULL);
    lsm_sst_iter_init(&iter, sst, true);
    size_t i = 0;
    for (lsm_iter_first(&iter.base); iter.base.valid; lsm_iter_next(&iter.base)) assert_true(kit_iter_is(&iter.base, &rows, i++));
    assert_int_equal(i, 3);
    lsm_iter_release(&iter.base);
    if (lsm_sst_verify(sst, NULL, NULL, &err) != LSM_OK) fail_msg("%s", err.text);
    lsm_file_meta_unref(meta);
    kit_free(&rows);
    lsm_env_mem_free(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_table_is_what_is_written),
        cmocka_unit_test(the_documented_table_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
