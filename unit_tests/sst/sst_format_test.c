/* The annotated dump of docs/format.md, "Table files", reproduced. */
#include "table_kit.h"

static struct lsm_sst_options tiny_options(void) {
    return (struct lsm_sst_options){.block_bytes = 512, .compression = LSM_COMPRESS_NONE, .filter_bits_per_key = 10};
}

static void tiny_rows(struct kit_rows *rows) {
    kit_add(rows, LSM_KIND_PUT, lsm_slice_of("\0\0\0\1apple", 9), lsm_slice_of("red", 3));
    kit_add(rows, LSM_KIND_PUT, lsm_slice_of("\0\0\0\1apricots-dried", 18), lsm_slice_of("orange", 6));
    kit_add(rows, LSM_KIND_DELETE, lsm_slice_of("\0\0\0\1avocado", 11), lsm_slice_of("", 0));
    rows->ranges[rows->range_count++] = (struct lsm_sst_range){.low = lsm_slice_of("\0\0\0\1b", 5), .high = lsm_slice_of("\0\0\0\1d", 5)};
}

/* Hex digits of the example in the order of the file; other characters are ignored. */
static const char tiny_hex[] = "4c 53 4d 54 41 42 4c 45"                         /* header: "LSMTABLE" */
                               "01 00 00 00"                                     /* format version 1 */
                               "00 00 00 00"                                     /* reserved */
                               "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f" /* store id */
                               "07 00 00 00 00 00 00 00"                         /* file number 7 */
                               "a0 c2 a7 b7 3d 48 f1 4c"                         /* checksum of the 40 bytes before */
                               "03 00 00 00"                                     /* data block: 3 entries */
                               "05 00 00 00"                                     /* 5 shared key bytes */
                               "00 00 00 00 65 6c 70 70"                         /* column: "pple" */
                               "2d 73 74 6f 63 69 72 70"                         /* column: "pricots-" */
                               "00 00 6f 64 61 63 6f 76"                         /* column: "vocado" */
                               "2d 00"                                           /* entry 0 at 45 */
                               "31 00"                                           /* entry 1 at 49 */
                               "3d 00"                                           /* entry 2 at 61 */
                               "3e 00"                                           /* end at 62 */
                               "00 00 00 01 61"                                  /* shared: tree 1, "a" */
                               "11"                                              /* entry 0: suffix of 4 bytes, put */
                               "72 65 64"                                        /* value "red" */
                               "35"                                              /* entry 1: suffix of 13 bytes, put */
                               "64 72 69 65 64"                                  /* rest of the suffix, "dried" */
                               "6f 72 61 6e 67 65"                               /* value "orange" */
                               "1a"                                              /* entry 2: suffix of 6 bytes, tombstone */
                               "00"                                              /* trailer: not compressed */
                               "3e 00 00 00 00 00 00 00"                         /* 62 bytes raw */
                               "42 db 2b ec be f6 c9 dc"                         /* checksum */
                               "40 20 00 00 80 00 00 02 00 10 10 08 00 80 00 00" /* filter: one line */
                               "00 40 00 00 01 00 00 00 00 00 00 80 10 00 00 00"
                               "10 00 00 80 00 00 00 00 10 00 00 00 00 00 00 00"
                               "00 01 01 00 00 00 00 00 00 00 00 00 20 00 00 00"
                               "06"                                              /* 6 probes */
                               "00"                                              /* trailer: not compressed */
                               "41 00 00 00 00 00 00 00"                         /* 65 bytes raw */
                               "70 ee d7 8e e3 24 57 16"                         /* checksum */
                               "01 00 00 00"                                     /* index: 1 entry */
                               "00 00 00 00"                                     /* 0 shared key bytes */
                               "00 00 00 00 00 00 00 00"                         /* column: the empty separator */
                               "14 00"                                           /* entry 0 at 20 */
                               "2d 00"                                           /* end at 45 */
                               "01"                                              /* entry 0: suffix of 0 bytes, put */
                               "30 00 00 00 00 00 00 00"                         /* data block at 48 */
                               "3e 00 00 00"                                     /* 62 bytes stored */
                               "3e 00 00 00"                                     /* 62 bytes raw */
                               "00 00 00 00 00 00 00 00"                         /* 0 entries before it */
                               "00"                                              /* trailer: not compressed */
                               "2d 00 00 00 00 00 00 00"                         /* 45 bytes raw */
                               "ff 46 7b e9 49 36 4c bf"                         /* checksum */
                               "01"                                              /* range tombstones: 1 */
                               "05 00 00 00 01 62"                               /* low: 5 bytes, tree 1, "b" */
                               "05 00 00 00 01 64"                               /* high: 5 bytes, tree 1, "d" */
                               "00"                                              /* trailer: not compressed */
                               "0d 00 00 00 00 00 00 00"                         /* 13 bytes raw */
                               "07 a3 a2 55 08 93 dd 6b"                         /* checksum */
                               "03"                                              /* properties: 3 entries */
                               "01"                                              /* 1 tombstone */
                               "01"                                              /* 1 range tombstone */
                               "2f"                                              /* 47 bytes of keys and values */
                               "01"                                              /* 1 data block */
                               "64"                                              /* log interval: from 100 */
                               "c8 01"                                           /* to 200 */
                               "80 80 f9 c0 c1 c4 82 03"                         /* created 1700000000000000 us after 1970 */
                               "00"                                              /* compression: none */
                               "80 04"                                           /* block size 512 */
                               "0a"                                              /* 10 filter bits a key */
                               "01"                                              /* largest is exclusive */
                               "09 00 00 00 01 61 70 70 6c 65"                   /* smallest: 9 bytes, tree 1, "apple" */
                               "05 00 00 00 01 64"                               /* largest: 5 bytes, tree 1, "d" */
                               "00"                                              /* trailer: not compressed */
                               "25 00 00 00 00 00 00 00"                         /* 37 bytes raw */
                               "1d 2d dd aa a9 fe 3d 8a"                         /* checksum */
                               "7f 00 00 00 00 00 00 00 41 00 00 00 00 00 00 00" /* footer: filter at 127, 65 bytes */
                               "d1 00 00 00 00 00 00 00 2d 00 00 00 00 00 00 00" /* index at 209, 45 bytes */
                               "0f 01 00 00 00 00 00 00 0d 00 00 00 00 00 00 00" /* range tombstones at 271, 13 bytes */
                               "2d 01 00 00 00 00 00 00 25 00 00 00 00 00 00 00" /* properties at 301, 37 bytes */
                               "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f" /* store id */
                               "07 00 00 00 00 00 00 00"                         /* file number 7 */
                               "db 01 00 00 00 00 00 00"                         /* file of 475 bytes */
                               "01 00 00 00"                                     /* format version 1 */
                               "00 00 00 00"                                     /* reserved */
                               "70 db 9a 77 79 c6 b4 e0"                         /* checksum of the 104 bytes before */
                               "4c 53 4d 54 41 42 4e 44" /* "LSMTABND" */;

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
