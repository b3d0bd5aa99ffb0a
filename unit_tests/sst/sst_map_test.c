/* Table files that are mapped: the same rows and the same errors as from those that are read, in the room that is given. */
#include "../../lsm_core/iter/iter.h"
#include "../../lsm_core/sst/sst_reader.h"
#include "table_kit.h"

#define PATH        "s/00000007.sst"
#define CACHE_BYTES (1 << 20)

static struct lsm_env *env;
static struct lsm_cache *cache;
static int64_t live_before;

static int set_up(void **state) {
    (void)state;
    live_before = lsm_mem_live();
    struct lsm_env_perm perm = {.mode = 0755, .uid = -1, .gid = -1};
    env = lsm_env_mem_new();
    cache = lsm_cache_new(CACHE_BYTES);
    return env == NULL || cache == NULL || lsm_env_mkdir(env, "s", &perm, NULL) != LSM_OK;
}

static int tear_down(void **state) {
    (void)state;
    lsm_cache_free(cache);
    lsm_env_mem_free(env);
    assert_int_equal(lsm_mem_live(), live_before);
    return 0;
}

/* All rows by walks both ways, with and without the cache, and each by its key. */
static void must_have(struct lsm_sst *sst, const struct kit_rows *rows) {
    struct lsm_error err = {0};
    for (int fill = 0; fill < 2; fill++) {
        struct lsm_sst_iter iter;
        lsm_sst_iter_init(&iter, sst, fill == 1);
        lsm_iter_first(&iter.base);
        for (size_t i = 0; i <= rows->count; i++) {
            if (!kit_iter_is(&iter.base, rows, i)) fail_msg("row %zu: %s", i, iter.base.err.text);
            if (i < rows->count) lsm_iter_next(&iter.base);
        }
        lsm_iter_last(&iter.base);
        for (size_t i = rows->count; i-- > 0; lsm_iter_prev(&iter.base))
            if (!kit_iter_is(&iter.base, rows, i)) fail_msg("row %zu: %s", i, iter.base.err.text);
        assert_false(iter.base.valid);
        lsm_iter_release(&iter.base);
    }
    for (size_t i = 0; i < rows->count; i++) {
        struct lsm_sst_pin pin = {0};
        enum lsm_kind kind;
        assert_int_equal(lsm_sst_get(sst, lsm_buf_slice(&rows->rows[i].key), &kind, &pin, &err), LSM_OK);
        assert_int_equal(kind, rows->rows[i].kind);
        assert_true(lsm_slice_equal(pin.value, lsm_buf_slice(&rows->rows[i].value)));
        lsm_sst_pin_release(&pin);
    }
}

static void a_mapped_file_has_the_rows_of_one_that_is_read(void **state) {
    (void)state;
    uint64_t random = 11;
    print_message("seed %llu\n", (unsigned long long)random);
    for (int round = 0; round < 30; round++) {
        struct kit_rows rows = {0};
        struct lsm_sst_maps maps = {.limit = UINT64_MAX};
        struct lsm_sst_options options = kit_options((size_t)512 << kit_below(&random, 4), (enum lsm_compression)(round % 3));
        kit_random_rows(&rows, &random, (enum kit_shape)(round % KIT_SHAPES), 1 + kit_below(&random, 3000), 20000);
        struct lsm_file_meta *meta = kit_write(env, PATH, 7, &rows, &options);
        struct lsm_sst *sst = kit_open(env, PATH, meta, cache);
        lsm_sst_map(sst, &maps);
        assert_non_null(sst->map);
        assert_int_equal(atomic_load(&maps.used), meta->bytes);
        must_have(sst, &rows);
        must_have(sst, &rows); /* from the cache */
        lsm_file_meta_unref(meta);
        assert_int_equal(atomic_load(&maps.used), 0);
        assert_int_equal(lsm_env_unlink(env, PATH, NULL), LSM_OK);
        kit_free(&rows);
    }
}

static void blocks_that_are_mapped_as_they_are_take_no_room_in_the_cache(void **state) {
    (void)state;
    uint64_t random = 12;
    for (int mapped = 0; mapped < 2; mapped++) {
        struct kit_rows rows = {0};
        struct lsm_sst_maps maps = {.limit = mapped ? UINT64_MAX : 0};
        struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
        kit_random_rows(&rows, &random, KIT_RANDOM, 4000, 100);
        struct lsm_file_meta *meta = kit_write(env, PATH, 7, &rows, &options);
        struct lsm_sst *sst = kit_open(env, PATH, meta, cache);
        lsm_sst_map(sst, &maps);
        must_have(sst, &rows);
        struct lsm_cache_stats stats;
        lsm_cache_stats(cache, &stats);
        if (mapped)
            assert_true(stats.bytes <= lsm_sst_block_count(sst) * 256);
        else
            assert_true(stats.bytes >= meta->bytes * 3 / 4);
        lsm_file_meta_unref(meta);
        assert_int_equal(lsm_env_unlink(env, PATH, NULL), LSM_OK);
        kit_free(&rows);
    }
}

static void what_has_no_room_is_read(void **state) {
    (void)state;
    uint64_t random = 13;
    struct kit_rows rows = {0};
    struct lsm_sst_options options = kit_options(1024, LSM_COMPRESS_NONE);
    kit_random_rows(&rows, &random, KIT_INTEGERS, 2000, 500);
    struct lsm_file_meta *meta = kit_write(env, PATH, 7, &rows, &options), *other = kit_write(env, "s/00000008.sst", 8, &rows, &options);
    struct lsm_sst_maps maps = {.limit = meta->bytes + other->bytes - 1};
    struct lsm_sst *first = kit_open(env, PATH, meta, cache), *second = kit_open(env, "s/00000008.sst", other, cache);
    lsm_sst_map(first, &maps);
    lsm_sst_map(second, &maps);
    assert_non_null(first->map);
    assert_null(second->map);
    assert_int_equal(atomic_load(&maps.used), meta->bytes);
    must_have(first, &rows);
    must_have(second, &rows);
    assert_int_equal(lsm_sst_verify(first, NULL, NULL, NULL), LSM_OK); /* which reads the file all the same */
    lsm_file_meta_unref(meta);
    assert_int_equal(atomic_load(&maps.used), 0);
    lsm_mem_fail_after(1, false);
    lsm_sst_map(second, &maps); /* there is room, but it cannot be mapped */
    lsm_mem_fail_after(0, false);
    assert_null(second->map);
    assert_int_equal(atomic_load(&maps.used), 0);
    must_have(second, &rows);
    lsm_file_meta_unref(other);
    kit_free(&rows);
}

static void flip(uint64_t offset) {
    struct lsm_file *file = NULL;
    struct lsm_error err = {0};
    uint8_t byte = 0;
    size_t got = 0;
    assert_int_equal(lsm_env_open(env, PATH, LSM_OPEN_WRITE, NULL, &file, &err), LSM_OK);
    assert_int_equal(lsm_file_read_at(file, offset, &byte, 1, &got, &err), LSM_OK);
    byte ^= 4;
    assert_int_equal(lsm_file_write_at(file, offset, &byte, 1, &err), LSM_OK);
    lsm_file_close(file);
}

static void damage_is_told_by_file_and_offset(void **state) {
    (void)state;
    uint64_t random = 14;
    for (int packed = 0; packed < 2; packed++) {
        struct kit_rows rows = {0};
        struct lsm_sst_maps maps = {.limit = UINT64_MAX};
        struct lsm_sst_options options = kit_options(1024, packed ? LSM_COMPRESS_LZ4 : LSM_COMPRESS_NONE);
        kit_random_rows(&rows, &random, KIT_INTEGERS, 2000, 500);
        struct lsm_file_meta *meta = kit_write(env, PATH, 7, &rows, &options);
        struct lsm_error err = {0};
        flip(5000);
        struct lsm_sst *sst = kit_open(env, PATH, meta, cache);
        lsm_sst_map(sst, &maps);
        assert_non_null(sst->map);
        size_t bad = 0;
        for (size_t i = 0; i < rows.count; i++) {
            enum lsm_kind kind;
            int status = lsm_sst_get(sst, lsm_buf_slice(&rows.rows[i].key), &kind, NULL, &err);
            if (status == LSM_OK) continue;
            assert_int_equal(status, LSM_CORRUPT);
            assert_non_null(strstr(err.text, PATH));
            assert_non_null(strstr(err.text, "offset"));
            bad++;
        }
        assert_true(bad > 0 && bad < rows.count / 10);
        struct lsm_sst_iter iter;
        lsm_sst_iter_init(&iter, sst, true);
        for (lsm_iter_first(&iter.base); iter.base.valid;) lsm_iter_next(&iter.base);
        assert_int_equal(iter.base.status, LSM_CORRUPT);
        lsm_iter_release(&iter.base);
        lsm_file_meta_unref(meta);
        assert_int_equal(lsm_env_unlink(env, PATH, NULL), LSM_OK);
        kit_free(&rows);
    }
}

/* The map here is a copy: what is done to the file later is seen by those who read it, and by them only. */
static void a_merge_reads_the_file_also_where_the_map_is_in_the_cache(void **state) {
    (void)state;
    uint64_t random = 15;
    struct kit_rows rows = {0};
    struct lsm_sst_maps maps = {.limit = UINT64_MAX};
    struct lsm_sst_options options = kit_options(1024, LSM_COMPRESS_NONE);
    kit_random_rows(&rows, &random, KIT_INTEGERS, 2000, 500);
    struct lsm_file_meta *meta = kit_write(env, PATH, 7, &rows, &options);
    struct lsm_sst *sst = kit_open(env, PATH, meta, cache);
    lsm_sst_map(sst, &maps);
    assert_non_null(sst->map);
    must_have(sst, &rows);
    flip(5000);
    for (int fill = 0; fill < 2; fill++) {
        struct lsm_sst_iter iter;
        lsm_sst_iter_init(&iter, sst, fill == 1);
        for (lsm_iter_first(&iter.base); iter.base.valid;) lsm_iter_next(&iter.base);
        assert_int_equal(iter.base.status, fill == 1 ? LSM_OK : LSM_CORRUPT);
        lsm_iter_release(&iter.base);
    }
    lsm_file_meta_unref(meta);
    assert_int_equal(lsm_env_unlink(env, PATH, NULL), LSM_OK);
    kit_free(&rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mapped_file_has_the_rows_of_one_that_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blocks_that_are_mapped_as_they_are_take_no_room_in_the_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_no_room_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_told_by_file_and_offset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_merge_reads_the_file_also_where_the_map_is_in_the_cache, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
