/* What a table file does when its bytes fail. The rule for reads: exactly the right rows, or an error. */
#include "table_kit.h"

#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/codec/hash.h"
#include "../../lsm_core/sst/sst_format.h"

/* A table file as bytes. */
struct image {
    struct kit_rows rows;
    struct lsm_file_meta *meta;
    uint8_t *bytes;
    size_t size;
};

static void image_make(struct lsm_env *env, struct image *image, enum lsm_compression compression, uint64_t number) {
    struct lsm_sst_options options = kit_options(512, compression);
    uint8_t key[12] = {0, 0, 0, 5}, value[30];
    for (uint32_t i = 0; i < 40; i++) {
        key[11] = (uint8_t)(i * 3);
        memset(value, 'a' + (int)(i % 7) + (int)number, sizeof value);
        kit_add(&image->rows, i % 9 == 4 ? LSM_KIND_DELETE : LSM_KIND_PUT, lsm_slice_of(key, sizeof key), lsm_slice_of(value, sizeof value));
    }
    image->rows.ranges[image->rows.range_count++] = (struct lsm_sst_range){.low = lsm_slice_of("\0\0\0\4x", 5), .high = lsm_slice_of("\0\0\0\4y", 5)};
    image->meta = kit_write(env, KIT_PATH, number, &image->rows, &options);
    assert_int_equal(lsm_env_mem_read_file(env, KIT_PATH, &image->bytes, &image->size), LSM_OK);
    assert_int_equal(lsm_env_unlink(env, KIT_PATH, NULL), LSM_OK);
}

static void image_free(struct image *image) {
    kit_free(&image->rows);
    lsm_file_meta_unref(image->meta);
    lsm_free(image->bytes);
    *image = (struct image){0};
}

static bool is_damage_status(int status) { return status == LSM_CORRUPT || status == LSM_MISMATCH || status == LSM_UNSUPPORTED; }

static void assert_damage(int status, const struct lsm_error *err) {
    if (!is_damage_status(status) || strstr(err->text, KIT_PATH) == NULL) fail_msg("status %s: %s", lsm_status_name(status), err->text);
}

/* Every row by get, and both walks: right up to an error. Returns true if there was one. */
static bool read_all(struct lsm_sst *sst, const struct image *image, bool fill_cache) {
    bool failed = false;
    struct lsm_sst_iter iter;
    for (size_t i = 0; i < image->rows.count; i++) {
        const struct kit_row *row = &image->rows.rows[i];
        struct lsm_sst_pin pin = {0};
        struct lsm_error err = {0};
        enum lsm_kind kind;
        int status = lsm_sst_get(sst, lsm_buf_slice(&row->key), &kind, &pin, &err);
        if (status == LSM_OK)
            assert_true(kind == row->kind && lsm_slice_equal(pin.value, lsm_buf_slice(&row->value)));
        else
            assert_damage(status, &err);
        failed |= status != LSM_OK;
        lsm_sst_pin_release(&pin);
        assert_true(lsm_sst_may_contain(sst, lsm_sst_key_hash(lsm_buf_slice(&row->key))));
    }
    lsm_sst_iter_init(&iter, sst, fill_cache);
    size_t i = 0;
    for (lsm_iter_first(&iter.base); iter.base.valid; lsm_iter_next(&iter.base)) assert_true(kit_iter_is(&iter.base, &image->rows, i++));
    if (iter.base.status == LSM_OK)
        assert_int_equal(i, image->rows.count);
    else
        assert_damage(iter.base.status, &iter.base.err);
    failed |= iter.base.status != LSM_OK;
    i = image->rows.count;
    for (lsm_iter_last(&iter.base); iter.base.valid; lsm_iter_prev(&iter.base)) assert_true(kit_iter_is(&iter.base, &image->rows, --i));
    if (iter.base.status == LSM_OK) assert_int_equal(i, 0);
    lsm_iter_release(&iter.base);
    return failed;
}

/* Put these bytes in place of the file and use it. They differ from the original, and verify must say so. */
static void check_damaged(struct lsm_env *env, const struct image *image, const uint8_t *bytes, size_t size, struct lsm_cache *cache) {
    struct lsm_error err = {0};
    struct lsm_sst *sst;
    assert_int_equal(lsm_env_mem_write_file(env, KIT_PATH, bytes, size), LSM_OK);
    int status = lsm_sst_open(env, KIT_PATH, kit_store_id, image->meta, cache, &sst, &err);
    if (status != LSM_OK) {
        assert_damage(status, &err);
        assert_null(sst);
        return;
    }
    size_t count;
    const struct lsm_sst_range *ranges = lsm_sst_ranges(sst, &count);
    assert_true(count == 1 && lsm_slice_equal(ranges[0].low, image->rows.ranges[0].low) &&
                lsm_slice_equal(ranges[0].high, image->rows.ranges[0].high));
    (void)read_all(sst, image, true);
    (void)read_all(sst, image, false);
    status = lsm_sst_verify(sst, NULL, NULL, &err);
    assert_damage(status, &err);
    lsm_sst_close(sst);
}

static void every_flipped_bit_is_noticed(void **state) {
    (void)state;
    size_t places = 0;
    for (int compression = 0; compression < 3; compression++) {
        struct lsm_env *env = lsm_env_mem_new();
        struct image image = {0};
        image_make(env, &image, (enum lsm_compression)compression, 7);
        for (size_t i = 0; i < image.size; i++)
            for (unsigned bit = 0; bit < 8; bit++, places++) {
                image.bytes[i] ^= (uint8_t)(1u << bit);
                check_damaged(env, &image, image.bytes, image.size, NULL);
                image.bytes[i] ^= (uint8_t)(1u << bit);
            }
        image_free(&image);
        lsm_env_mem_free(env);
    }
    printf("places: %zu, wrong answers: 0\n", places);
}

static void every_overwritten_byte_is_noticed_with_a_cache(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_cache *cache = lsm_cache_new(10000);
    struct image image = {0};
    image_make(env, &image, LSM_COMPRESS_LZ4, 7);
    for (size_t i = 0; i < image.size; i++) {
        uint8_t was = image.bytes[i];
        for (unsigned v = 0; v < 256; v += 51) {
            image.bytes[i] = (uint8_t)v;
            if (was != v) check_damaged(env, &image, image.bytes, image.size, cache);
        }
        image.bytes[i] = was;
    }
    image_free(&image);
    lsm_cache_free(cache);
    lsm_env_mem_free(env);
}

static void every_wrong_length_is_noticed(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct image image = {0};
    image_make(env, &image, LSM_COMPRESS_NONE, 7);
    for (size_t size = 0; size < image.size; size++) check_damaged(env, &image, image.bytes, size, NULL);
    for (size_t more = 1; more < 40; more++) {
        uint8_t *longer = lsm_calloc(image.size + more, 1);
        memcpy(longer, image.bytes, image.size);
        check_damaged(env, &image, longer, image.size + more, NULL);
        lsm_free(longer);
    }
    image_free(&image);
    lsm_env_mem_free(env);
}

static int open_bytes(struct lsm_env *env, const struct image *image, const uint8_t *bytes, size_t size, struct lsm_error *err) {
    struct lsm_sst *sst = NULL;
    assert_int_equal(lsm_env_mem_write_file(env, KIT_PATH, bytes, size), LSM_OK);
    int status = lsm_sst_open(env, KIT_PATH, kit_store_id, image->meta, NULL, &sst, err);
    lsm_sst_close(sst);
    return status;
}

/* Neither has anything to do with what is read: their checksums tell all the same, and before anything else is believed. */
static void a_damaged_header_or_footer_keeps_a_file_from_being_opened(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct image image = {0};
    image_make(env, &image, LSM_COMPRESS_NONE, 7);
    for (size_t i = 0; i < image.size; i++) {
        struct lsm_error err = {0};
        bool header = i < LSM_SST_HEADER_BYTES, magic = i < 8 || i >= image.size - 8;
        if (!header && i < image.size - LSM_SST_FOOTER_BYTES) continue;
        image.bytes[i] ^= 0x10;
        assert_damage(open_bytes(env, &image, image.bytes, image.size, &err), &err);
        if (!magic && strstr(err.text, header ? "header at offset 0: checksum" : "checksum mismatch") == NULL) fail_msg("byte %zu: %s", i, err.text);
        image.bytes[i] ^= 0x10;
    }
    image_free(&image);
    lsm_env_mem_free(env);
}

static void a_file_of_another_length_is_told_by_its_length(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct image image = {0};
    struct lsm_error err = {0};
    struct lsm_sst *sst = NULL;
    image_make(env, &image, LSM_COMPRESS_NONE, 7);
    assert_damage(open_bytes(env, &image, image.bytes, image.size - 1, &err), &err);
    assert_non_null(strstr(err.text, "bytes, expected"));
    /* Grown while it is open: everything that is read is right, and yet it is not the file that was written. */
    assert_int_equal(lsm_env_mem_write_file(env, KIT_PATH, image.bytes, image.size), LSM_OK);
    assert_int_equal(lsm_sst_open(env, KIT_PATH, kit_store_id, image.meta, NULL, &sst, &err), LSM_OK);
    uint8_t *longer = lsm_calloc(image.size + 1, 1);
    memcpy(longer, image.bytes, image.size);
    assert_int_equal(lsm_env_mem_write_file(env, KIT_PATH, longer, image.size + 1), LSM_OK);
    assert_false(read_all(sst, &image, false));
    assert_damage(lsm_sst_verify(sst, NULL, NULL, &err), &err);
    lsm_sst_close(sst);
    lsm_free(longer);
    image_free(&image);
    lsm_env_mem_free(env);
}

/* As when a file is restored from another time of the same store: every checksum is right. */
static void another_file_with_the_same_number_and_length_is_not_taken_for_it(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct image image = {0}, other = {0};
    struct lsm_sst_options options = kit_options(512, LSM_COMPRESS_NONE);
    struct lsm_error err = {0};
    image_make(env, &image, LSM_COMPRESS_NONE, 7);
    for (size_t i = 0; i < image.rows.count; i++) {
        struct kit_row *row = &image.rows.rows[i];
        uint8_t key[12];
        memcpy(key, row->key.data, sizeof key);
        key[11] = (uint8_t)(key[11] + 1);
        kit_add(&other.rows, row->kind, lsm_slice_of(key, sizeof key), lsm_buf_slice(&row->value));
    }
    other.rows.ranges[other.rows.range_count++] = image.rows.ranges[0];
    other.meta = kit_write(env, KIT_PATH, 7, &other.rows, &options);
    assert_int_equal(lsm_env_mem_read_file(env, KIT_PATH, &other.bytes, &other.size), LSM_OK);
    assert_int_equal(other.size, image.size);
    assert_damage(open_bytes(env, &image, other.bytes, other.size, &err), &err);
    assert_non_null(strstr(err.text, "not the one the manifest names"));
    image_free(&image);
    image_free(&other);
    lsm_env_mem_free(env);
}

static void a_file_that_shrinks_while_open_gives_errors(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct image image = {0};
    struct lsm_error err = {0};
    image_make(env, &image, LSM_COMPRESS_NONE, 7);
    for (size_t size = 0; size < image.size; size += 37) {
        assert_int_equal(lsm_env_mem_write_file(env, KIT_PATH, image.bytes, image.size), LSM_OK);
        struct lsm_sst *sst = NULL;
        assert_int_equal(lsm_sst_open(env, KIT_PATH, kit_store_id, image.meta, NULL, &sst, &err), LSM_OK);
        assert_int_equal(lsm_env_mem_write_file(env, KIT_PATH, image.bytes, size), LSM_OK);
        (void)read_all(sst, &image, false);
        assert_damage(lsm_sst_verify(sst, NULL, NULL, &err), &err);
        lsm_sst_close(sst);
    }
    image_free(&image);
    lsm_env_mem_free(env);
}

/* The data blocks' places, from the index in the image. */
static size_t find_blocks(const struct image *image, struct lsm_sst_handle *handles, size_t limit) {
    struct lsm_sst_ident ident = {.path = KIT_PATH, .number = image->meta->number};
    struct lsm_sst_footer footer;
    struct lsm_block index;
    uint64_t data_end, before;
    memcpy(ident.store_id, kit_store_id, sizeof kit_store_id);
    assert_int_equal(lsm_sst_footer_decode(&ident, image->bytes + image->size - LSM_SST_FOOTER_BYTES, image->size, &footer, &data_end, NULL), LSM_OK);
    assert_null(lsm_block_open(&index, lsm_slice_of(image->bytes + footer.index.offset, (size_t)footer.index.stored)));
    for (size_t i = 0; i < index.count && i < limit; i++) handles[i] = lsm_sst_index_value_decode(lsm_block_entry(&index, i).value.data, &before);
    return index.count;
}

static void blocks_swapped_within_and_between_files_are_noticed(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct image image = {0}, other = {0};
    struct lsm_sst_handle handles[16];
    size_t swaps = 0;
    image_make(env, &image, LSM_COMPRESS_NONE, 7);
    image_make(env, &other, LSM_COMPRESS_NONE, 8);
    size_t count = find_blocks(&image, handles, 16);
    assert_true(count >= 3 && image.size == other.size);
    uint8_t *bytes = lsm_malloc(image.size);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            if (handles[i].stored != handles[j].stored) continue;
            size_t size = (size_t)handles[i].stored + LSM_SST_TRAILER_BYTES;
            memcpy(bytes, image.bytes, image.size);
            memcpy(bytes + handles[i].offset, (i == j ? other.bytes : image.bytes) + handles[j].offset, size);
            if (i != j) memcpy(bytes + handles[j].offset, image.bytes + handles[i].offset, size);
            check_damaged(env, &image, bytes, image.size, NULL);
            struct lsm_sst *sst;
            assert_int_equal(lsm_sst_open(env, KIT_PATH, kit_store_id, image.meta, NULL, &sst, NULL), LSM_OK);
            assert_true(read_all(sst, &image, false));
            lsm_sst_close(sst);
            swaps++;
        }
    assert_true(swaps > count);
    check_damaged(env, &image, other.bytes, other.size, NULL); /* a whole file in the other's place */
    lsm_free(bytes);
    image_free(&image);
    image_free(&other);
    lsm_env_mem_free(env);
}

/* ---- hostile bytes -------------------------------------------------------------------------------------------- */

/* Whatever the answers are: no crash, no endless walk. */
static void use_hostile(struct lsm_env *env, const struct image *image, const uint8_t *bytes, size_t *opened) {
    struct lsm_error err = {0};
    struct lsm_sst *sst;
    if (lsm_env_mem_write_file(env, KIT_PATH, bytes, image->size) != LSM_OK) fail();
    if (lsm_sst_open(env, KIT_PATH, kit_store_id, image->meta, NULL, &sst, &err) != LSM_OK) return;
    (*opened)++;
    for (size_t i = 0; i < image->rows.count; i += 7) {
        struct lsm_sst_pin pin = {0};
        enum lsm_kind kind;
        struct lsm_slice key = lsm_buf_slice(&image->rows.rows[i].key);
        if (lsm_sst_get(sst, key, &kind, &pin, &err) == LSM_OK) (void)lsm_hash(pin.value.data, pin.value.size, 0);
        lsm_sst_pin_release(&pin);
        double rows, size;
        lsm_sst_estimate(sst, &key, NULL, &size, &rows);
        (void)lsm_sst_may_contain(sst, lsm_sst_key_hash(key));
    }
    struct lsm_sst_iter iter;
    lsm_sst_iter_init(&iter, sst, false);
    size_t steps = 0;
    for (lsm_iter_first(&iter.base); iter.base.valid; lsm_iter_next(&iter.base), steps++)
        (void)(lsm_hash(iter.base.key.data, iter.base.key.size, 0) + lsm_hash(iter.base.value.data, iter.base.value.size, 0));
    for (lsm_iter_last(&iter.base); iter.base.valid; lsm_iter_prev(&iter.base), steps++) (void)lsm_hash(iter.base.key.data, iter.base.key.size, 0);
    assert_true(steps <= 2 * image->rows.count);
    for (size_t i = 0; i < image->rows.count; i += 11) {
        lsm_iter_seek(&iter.base, lsm_buf_slice(&image->rows.rows[i].key));
        lsm_iter_seek_before(&iter.base, lsm_buf_slice(&image->rows.rows[i].key));
    }
    lsm_iter_release(&iter.base);
    assert_int_not_equal(lsm_sst_verify(sst, NULL, NULL, &err), LSM_OK);
    lsm_sst_close(sst);
}

static void hostile_bytes_with_right_checksums_crash_nothing(void **state) {
    (void)state;
    uint64_t random = kit_seed(__func__);
    size_t opened = 0, trials = 0;
    for (int compression = 0; compression < 3; compression++) {
        struct lsm_env *env = lsm_env_mem_new();
        struct image image = {0};
        struct lsm_sst_handle handles[32];
        struct lsm_sst_ident ident = {.path = KIT_PATH, .number = 7};
        struct lsm_sst_footer footer;
        uint64_t data_end;
        memcpy(ident.store_id, kit_store_id, sizeof kit_store_id);
        image_make(env, &image, (enum lsm_compression)compression, 7);
        size_t count = find_blocks(&image, handles, 16);
        assert_int_equal(lsm_sst_footer_decode(&ident, image.bytes + image.size - LSM_SST_FOOTER_BYTES, image.size, &footer, &data_end, NULL),
                         LSM_OK);
        struct lsm_sst_handle others[] = {footer.index, footer.index, footer.index, footer.filter, footer.ranges, footer.properties};
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) handles[count++] = others[i];
        uint8_t *bytes = lsm_malloc(image.size);
        for (size_t n = 0; n < 15000; n++, trials++) {
            memcpy(bytes, image.bytes, image.size);
            size_t pick = kit_below(&random, count + 1);
            bool is_footer = pick == count;
            size_t start = is_footer ? image.size - LSM_SST_FOOTER_BYTES : (size_t)handles[pick].offset;
            size_t size = is_footer ? 104 : (size_t)handles[pick].stored;
            size_t span = size + (is_footer || kit_below(&random, 8) != 0 ? 0 : 9); /* now and then the trailer, too */
            for (size_t k = 1 + kit_below(&random, 3); k > 0; k--) {
                size_t head = kit_below(&random, 2) == 0 && span > 40 ? 40 : span; /* the structure is at the beginning */
                static const uint8_t edges[] = {0, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff};
                size_t at = start + kit_below(&random, head);
                bytes[at] = kit_below(&random, 2) == 0 ? edges[kit_below(&random, sizeof edges)] : (uint8_t)kit_random(&random);
            }
            if (is_footer) {
                lsm_store_u64(bytes + start + 104, lsm_hash(bytes + start, 104, 0));
            } else {
                struct lsm_buf block = {0};
                assert_int_equal(lsm_buf_append(&block, bytes + start, size), LSM_OK);
                assert_int_equal(lsm_sst_trailer_append(&ident, start, (enum lsm_compression)bytes[start + size],
                                                        lsm_load_u64(bytes + start + size + 1), 0, &block),
                                 LSM_OK);
                memcpy(bytes + start, block.data, block.size);
                lsm_buf_free(&block);
            }
            if (memcmp(bytes, image.bytes, image.size) != 0) use_hostile(env, &image, bytes, &opened);
        }
        lsm_free(bytes);
        image_free(&image);
        lsm_env_mem_free(env);
    }
    printf("trials: %zu, opened: %zu\n", trials, opened);
    assert_true(opened > trials / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(every_overwritten_byte_is_noticed_with_a_cache),
        cmocka_unit_test(every_wrong_length_is_noticed),
        cmocka_unit_test(a_damaged_header_or_footer_keeps_a_file_from_being_opened),
        cmocka_unit_test(a_file_of_another_length_is_told_by_its_length),
        cmocka_unit_test(another_file_with_the_same_number_and_length_is_not_taken_for_it),
        cmocka_unit_test(a_file_that_shrinks_while_open_gives_errors),
        cmocka_unit_test(blocks_swapped_within_and_between_files_are_noticed),
        cmocka_unit_test(hostile_bytes_with_right_checksums_crash_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
