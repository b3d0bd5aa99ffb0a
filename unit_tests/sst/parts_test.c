/* The parts of a table file that need no file: filters and packed bytes, sizes that no file should have. */
#include "table_kit.h"

#include "../../lsm_core/env/sync.h"
#include "../../lsm_core/sst/compress.h"
#include "../../lsm_core/sst/filter.h"
#include "../../lsm_core/sst/sst_format.h"

/* ---- filters -------------------------------------------------------------------------------- */

static void a_filter_of_few_keys_knows_them(void **state) {
    (void)state;
    static const uint64_t hashes[] = {1, UINT64_MAX, 0x123456789abcdef0u};
    for (unsigned bits = 1; bits <= 64; bits += 9)
        for (size_t count = 0; count <= 3; count++) {
            struct lsm_buf out = {0};
            struct lsm_filter filter;
            assert_int_equal(lsm_filter_encode(hashes, count, bits, &out), LSM_OK);
            assert_true(out.size % LSM_FILTER_LINE_BYTES == 1);
            assert_true(lsm_filter_open(&filter, lsm_buf_slice(&out)));
            for (size_t i = 0; i < count; i++) assert_true(lsm_filter_may_contain(&filter, hashes[i]));
            if (count == 0) assert_false(lsm_filter_may_contain(&filter, hashes[2]));
            lsm_buf_free(&out);
        }
}

/* No hash is looked at. */
static void a_filter_that_would_be_too_large_is_refused(void **state) {
    (void)state;
    struct lsm_buf out = {0};
    assert_int_equal(lsm_filter_encode(NULL, 1, 0, &out), LSM_TOOBIG);
    assert_int_equal(lsm_filter_encode(NULL, 1, 65, &out), LSM_TOOBIG);
    assert_int_equal(lsm_filter_encode(NULL, SIZE_MAX, 10, &out), LSM_TOOBIG);
    assert_int_equal(lsm_filter_encode(NULL, (size_t)1 << 33, 10, &out), LSM_TOOBIG);
    lsm_mem_fail_after(1, false);
    assert_int_equal(lsm_filter_encode(NULL, 0, 10, &out), LSM_NOMEM);
    lsm_mem_fail_after(0, false);
    assert_int_equal(out.size, 0);
}

static void a_filter_of_another_form_is_refused(void **state) {
    (void)state;
    uint8_t bytes[2 * LSM_FILTER_LINE_BYTES + 1] = {0};
    struct lsm_filter filter;
    bytes[LSM_FILTER_LINE_BYTES] = bytes[2 * LSM_FILTER_LINE_BYTES] = 6;
    for (size_t size = 0; size <= sizeof bytes; size++)
        assert_true(lsm_filter_open(&filter, lsm_slice_of(bytes, size)) == (size == LSM_FILTER_LINE_BYTES + 1 || size == sizeof bytes));
    assert_false(lsm_filter_open(&filter, lsm_slice_of(bytes, ((size_t)1 << 32) + 1))); /* not read */
    bytes[LSM_FILTER_LINE_BYTES] = 0;
    assert_false(lsm_filter_open(&filter, lsm_slice_of(bytes, LSM_FILTER_LINE_BYTES + 1)));
    bytes[LSM_FILTER_LINE_BYTES] = 17;
    assert_false(lsm_filter_open(&filter, lsm_slice_of(bytes, LSM_FILTER_LINE_BYTES + 1)));
}

/* ---- packed bytes -------------------------------------------------------------------------------- */

static void what_is_packed_unpacks_to_its_own_size_only(void **state) {
    (void)state;
    uint8_t raw[500], back[600];
    memset(raw, 'r', sizeof raw);
    for (int compression = LSM_COMPRESS_LZ4; compression <= LSM_COMPRESS_ZSTD; compression++) {
        struct lsm_compressor compressor = {0};
        struct lsm_buf out = {0};
        bool saved;
        assert_int_equal(lsm_compress(&compressor, (enum lsm_compression)compression, lsm_slice_of(raw, sizeof raw), &out, &saved), LSM_OK);
        assert_true(saved && out.size < sizeof raw / 2);
        for (size_t size = 490; size <= 510; size++)
            assert_int_equal(lsm_decompress((enum lsm_compression)compression, lsm_buf_slice(&out), back, size),
                             size == sizeof raw ? LSM_OK : LSM_CORRUPT);
        assert_int_equal(lsm_decompress(LSM_COMPRESS_NONE, lsm_buf_slice(&out), back, sizeof raw), LSM_CORRUPT);
        lsm_compressor_release(&compressor);
        lsm_buf_free(&out);
    }
}

static void what_is_tiny_or_dense_is_not_packed(void **state) {
    (void)state;
    uint8_t raw[20];
    for (size_t i = 0; i < sizeof raw; i++) raw[i] = (uint8_t)(i * 37);
    for (int compression = LSM_COMPRESS_NONE; compression <= LSM_COMPRESS_ZSTD; compression++) {
        struct lsm_compressor compressor = {0};
        struct lsm_buf out = {0};
        for (size_t size = 0; size <= sizeof raw; size++) {
            bool saved = true;
            assert_int_equal(lsm_compress(&compressor, (enum lsm_compression)compression, lsm_slice_of(raw, size), &out, &saved), LSM_OK);
            assert_true(!saved && out.size == 0);
        }
        lsm_compressor_release(&compressor);
        lsm_buf_free(&out);
    }
}

/* More threads than the contexts that are kept: what one too many brings back is freed. */
enum { THREADS = 12, TIMES = 200, RAW_BYTES = 40000 };
struct unpack {
    struct lsm_slice stored;
    int wrong;
};

static void unpack_often(void *arg) {
    struct unpack *unpack = arg;
    uint8_t *back = lsm_malloc(RAW_BYTES);
    for (int i = 0; i < TIMES; i++) {
        int status = lsm_decompress(LSM_COMPRESS_ZSTD, unpack->stored, back, RAW_BYTES);
        unpack->wrong += status != LSM_OK || back[0] != 'r' || back[RAW_BYTES - 1] != 'r';
    }
    lsm_free(back);
}

static void many_threads_unpack_at_once(void **state) {
    (void)state;
    struct lsm_compressor compressor = {0};
    struct lsm_buf out = {0};
    struct lsm_thread threads[THREADS];
    struct unpack unpacks[THREADS];
    bool saved;
    uint8_t *raw = lsm_malloc(RAW_BYTES);
    memset(raw, 'r', RAW_BYTES);
    for (size_t i = 1; i < RAW_BYTES - 1; i++) raw[i] = (uint8_t)(i * i >> 7);
    assert_int_equal(lsm_compress(&compressor, LSM_COMPRESS_ZSTD, lsm_slice_of(raw, RAW_BYTES), &out, &saved), LSM_OK);
    assert_true(saved);
    for (int i = 0; i < THREADS; i++) {
        unpacks[i] = (struct unpack){.stored = lsm_buf_slice(&out)};
        assert_int_equal(lsm_thread_start(&threads[i], "unpack", unpack_often, &unpacks[i]), LSM_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        lsm_thread_join(&threads[i]);
        assert_int_equal(unpacks[i].wrong, 0);
    }
    lsm_compressor_release(&compressor);
    lsm_buf_free(&out);
    lsm_free(raw);
}

/* ---- places -------------------------------------------------------------------------------- */

static void places_larger_than_blocks_can_be_are_not_sane(void **state) {
    (void)state;
    const struct lsm_sst_handle sane = {.stored = UINT32_MAX, .raw = UINT32_MAX}, stored = {.stored = (uint64_t)1 << 32, .raw = (uint64_t)1 << 32},
                                raw = {.stored = UINT32_MAX, .raw = (uint64_t)1 << 32}, packed = {.stored = 100, .raw = 1000},
                                bomb = {.stored = 1, .raw = UINT32_MAX}, grown = {.stored = 1000, .raw = 100};
    assert_true(lsm_sst_handle_is_sane(&sane) && lsm_sst_handle_is_sane(&packed));
    assert_false(lsm_sst_handle_is_sane(&stored) || lsm_sst_handle_is_sane(&raw));
    assert_false(lsm_sst_handle_is_sane(&bomb) || lsm_sst_handle_is_sane(&grown));
}

/* A footer with a right checksum that names a block of no place but a length. */
static void a_block_that_is_not_there_has_no_length(void **state) {
    (void)state;
    struct lsm_sst_ident ident = {.path = KIT_PATH, .number = 7};
    const struct lsm_sst_handle index = {.offset = 100, .stored = 50}, properties = {.offset = 167, .stored = 33};
    struct lsm_sst_footer footer = {.index = index, .properties = properties, .file_bytes = 217 + LSM_SST_FOOTER_BYTES}, found;
    uint8_t bytes[LSM_SST_FOOTER_BYTES];
    uint64_t data_end;
    for (uint64_t stored = 0; stored < 2; stored++) {
        footer.filter.stored = stored;
        lsm_sst_footer_encode(&ident, &footer, bytes);
        int status = lsm_sst_footer_decode(&ident, bytes, footer.file_bytes, &found, &data_end, NULL);
        assert_int_equal(status, stored == 0 ? LSM_OK : LSM_CORRUPT);
        if (status == LSM_OK) assert_true(data_end == 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_of_few_keys_knows_them),
        cmocka_unit_test(a_filter_that_would_be_too_large_is_refused),
        cmocka_unit_test(a_filter_of_another_form_is_refused),
        cmocka_unit_test(what_is_packed_unpacks_to_its_own_size_only),
        cmocka_unit_test(what_is_tiny_or_dense_is_not_packed),
        cmocka_unit_test(many_threads_unpack_at_once),
        cmocka_unit_test(places_larger_than_blocks_can_be_are_not_sane),
        cmocka_unit_test(a_block_that_is_not_there_has_no_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
