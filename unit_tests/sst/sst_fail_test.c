/* What a table file does when memory or its environment fail: an error that says so, no leak, no half a file; and a writer that has failed has failed. */
#include "table_kit.h"

#include <dlfcn.h>
#include <zstd.h>

#include "../../lsm_core/sst/compress.h"

/* In place of the library's own, which take their memory from the C library. */
static bool zstd_fails;
ZSTD_CCtx *ZSTD_createCCtx(void) {
    union {
        void *address;
        __typeof__(ZSTD_createCCtx) *function;
    } own = {.address = dlsym(RTLD_NEXT, "ZSTD_createCCtx")};
    return zstd_fails ? NULL : own.function();
}
ZSTD_DCtx *ZSTD_createDCtx(void) {
    union {
        void *address;
        __typeof__(ZSTD_createDCtx) *function;
    } own = {.address = dlsym(RTLD_NEXT, "ZSTD_createDCtx")};
    return zstd_fails ? NULL : own.function();
}

/* Write, open, read, verify; the first failure. */
static int run_all(struct lsm_env *env, const struct kit_rows *rows, enum lsm_compression compression, struct lsm_cache *cache,
                   struct lsm_error *err) {
    struct lsm_sst_options options = kit_options(512, compression);
    struct lsm_sst *sst = NULL;
    struct lsm_file_meta *meta = lsm_file_meta_new();
    if (meta == NULL) return LSM_NOMEM;
    int status = kit_write_status(env, KIT_PATH, 7, rows, &options, meta, err);
    if (status == LSM_OK) status = lsm_sst_open(env, KIT_PATH, kit_store_id, meta, cache, &sst, err);
    for (size_t i = 0; status == LSM_OK && i < rows->count; i += 9) {
        struct lsm_sst_pin pin = {0};
        enum lsm_kind kind;
        status = lsm_sst_get(sst, lsm_buf_slice(&rows->rows[i].key), &kind, &pin, err);
        if (status == LSM_OK) assert_true(lsm_slice_equal(pin.value, lsm_buf_slice(&rows->rows[i].value)));
        lsm_sst_pin_release(&pin);
    }
    for (int fill_cache = 0; status == LSM_OK && fill_cache < 2; fill_cache++) {
        struct lsm_sst_iter iter;
        lsm_sst_iter_init(&iter, sst, fill_cache != 0);
        size_t i = 0;
        for (lsm_iter_first(&iter.base); iter.base.valid; lsm_iter_next(&iter.base)) assert_true(kit_iter_is(&iter.base, rows, i++));
        status = iter.base.status;
        if (status != LSM_OK)
            *err = iter.base.err;
        else
            assert_int_equal(i, rows->count);
        lsm_iter_release(&iter.base);
    }
    if (status == LSM_OK) status = lsm_sst_verify(sst, NULL, NULL, err);
    lsm_sst_close(sst);
    lsm_file_meta_unref(meta);
    return status;
}

static void running_out_of_memory_anywhere_leaks_nothing(void **state) {
    (void)state;
    uint64_t random = 3;
    struct kit_rows rows = {0};
    kit_random_rows(&rows, &random, KIT_RANDOM, 60, 2000);
    rows.ranges[rows.range_count++] = (struct lsm_sst_range){.low = lsm_slice_of("b", 1), .high = lsm_slice_of("c", 1)};
    for (int compression = 0; compression < 3; compression++)
        for (int sticky = 0; sticky < 2; sticky++) {
            int64_t points = 0;
            for (int status = LSM_NOMEM; status != LSM_OK; points++) {
                struct lsm_error err = {0};
                struct lsm_env *env = lsm_env_mem_new();
                struct lsm_cache *cache = lsm_cache_new(3000);
                assert_true(env != NULL && cache != NULL);
                lsm_mem_fail_after(points + 1, sticky != 0);
                status = run_all(env, &rows, (enum lsm_compression)compression, cache, &err);
                lsm_mem_fail_after(0, false);
                assert_true(status == LSM_OK || status == LSM_NOMEM);
                lsm_cache_free(cache);
                lsm_env_mem_free(env);
            }
            assert_true(points > 50);
        }
    kit_free(&rows);
    assert_int_equal(lsm_mem_live(), 0);
}

static void a_failing_environment_is_reported_and_leaves_no_file(void **state) {
    (void)state;
    uint64_t random = 4;
    struct kit_rows rows = {0};
    static const int errnos[] = {5 /* EIO */, 28 /* ENOSPC */};
    kit_random_rows(&rows, &random, KIT_RANDOM, 200, 300000); /* several writes */
    for (size_t e = 0; e < 2; e++)
        for (int sticky = 0; sticky < 2; sticky++) {
            uint64_t points = 0;
            for (;; points++) {
                struct lsm_env *env = lsm_env_mem_new();
                struct lsm_error err = {0};
                struct lsm_env_fault fault = {.at = points + 1,
                                              .ops = LSM_ENV_ALL & ~(unsigned)LSM_ENV_UNLINK,
                                              .os_errno = errnos[e],
                                              .sticky = sticky != 0,
                                              .short_write = true};
                bool exists = true;
                lsm_env_mem_fail_at(env, &fault);
                int status = run_all(env, &rows, LSM_COMPRESS_LZ4, NULL, &err);
                uint64_t faults = lsm_env_mem_faults(env);
                lsm_env_mem_fail_at(env, NULL);
                if (faults != 0) {
                    assert_true(status == LSM_IO || status == LSM_FULL);
                    assert_non_null(strstr(err.text, KIT_PATH));
                }
                struct lsm_file_meta meta = {.number = 7};
                struct lsm_sst *sst;
                assert_int_equal(lsm_env_exists(env, KIT_PATH, &exists, NULL), LSM_OK);
                if (exists && faults != 0) /* then writing was over before the fault */
                    assert_int_equal(lsm_sst_open(env, KIT_PATH, kit_store_id, &meta, NULL, &sst, NULL), LSM_CORRUPT);
                lsm_env_mem_free(env);
                if (faults == 0) {
                    assert_int_equal(status, LSM_OK);
                    break;
                }
            }
            assert_true(points > 10);
        }
    kit_free(&rows);
}

static void a_failed_write_removes_the_file(void **state) {
    (void)state;
    uint64_t random = 4, points = 0;
    struct kit_rows rows = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_ZSTD);
    kit_random_rows(&rows, &random, KIT_RANDOM, 300, 300000);
    for (;; points++) {
        struct lsm_env *env = lsm_env_mem_new();
        struct lsm_file_meta *meta = lsm_file_meta_new();
        struct lsm_env_fault fault = {.at = points + 1, .ops = LSM_ENV_CREATE | LSM_ENV_WRITE | LSM_ENV_SYNC};
        bool exists = true;
        lsm_env_mem_fail_at(env, &fault);
        int status = kit_write_status(env, KIT_PATH, 7, &rows, &options, meta, NULL);
        assert_int_equal(lsm_env_exists(env, KIT_PATH, &exists, NULL), LSM_OK);
        assert_true(exists == (status == LSM_OK));
        lsm_file_meta_unref(meta);
        lsm_env_mem_free(env);
        if (status == LSM_OK) break;
    }
    assert_true(points >= 4);
    kit_free(&rows);
}

static void an_existing_file_is_not_overwritten(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    struct lsm_sst_writer *writer;
    uint64_t size = 0;
    assert_int_equal(lsm_env_mem_write_file(env, KIT_PATH, "precious", 8), LSM_OK);
    assert_int_not_equal(lsm_sst_writer_open(env, KIT_PATH, &kit_perm, kit_store_id, 7, &options, &writer, NULL), LSM_OK);
    assert_null(writer);
    assert_int_equal(lsm_env_mem_file_size(env, KIT_PATH, &size), LSM_OK);
    assert_int_equal(size, 8);
    lsm_env_mem_free(env);
}

/* A finished file survives a power cut whole: everything is synced but its name. */
static void a_finished_file_is_durable_once_its_directory_is_synced(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new_strict();
    struct kit_rows rows = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    struct lsm_error err = {0};
    uint64_t random = 8;
    kit_random_rows(&rows, &random, KIT_RANDOM, 300, 500);
    struct lsm_file_meta *meta = kit_write(env, KIT_PATH, 7, &rows, &options);
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    assert_int_equal(lsm_env_mem_crash(env, LSM_CRASH_LOSE, 1), LSM_OK);
    struct lsm_sst *sst = kit_open(env, KIT_PATH, meta, NULL);
    if (lsm_sst_verify(sst, NULL, NULL, &err) != LSM_OK) fail_msg("%s", err.text);
    lsm_file_meta_unref(meta);
    kit_free(&rows);
    lsm_env_mem_free(env);
}

/* Status of a write in which each allocation fails once: a file is there if it succeeded. Returns how many there were. */
static int64_t write_without_memory(const struct kit_rows *rows) {
    struct lsm_sst_options options = kit_options(256, LSM_COMPRESS_NONE);
    int64_t points = 0;
    for (bool struck = true; struck; points++) {
        struct lsm_error err = {0};
        struct lsm_env *env = lsm_env_mem_new();
        struct lsm_file_meta *meta = lsm_file_meta_new();
        bool exists;
        assert_true(env != NULL && meta != NULL);
        uint64_t calls = lsm_mem_calls();
        lsm_mem_fail_after(points + 1, false);
        int status = kit_write_status(env, KIT_PATH, 7, rows, &options, meta, &err);
        lsm_mem_fail_after(0, false);
        struck = lsm_mem_calls() - calls > (uint64_t)points;
        assert_true(status == LSM_OK || (struck && status == LSM_NOMEM && err.code == LSM_NOMEM));
        assert_int_equal(lsm_env_exists(env, KIT_PATH, &exists, NULL), LSM_OK);
        assert_true(exists == (status == LSM_OK));
        lsm_file_meta_unref(meta);
        lsm_env_mem_free(env);
    }
    return points;
}

/* What is larger than the blocks before it grows the writer's buffers at the end: a filter of many keys, ranges, and two long bounds. */
static void a_writer_whose_last_blocks_are_the_largest_may_run_out_of_memory_there(void **state) {
    (void)state;
    enum { LONG_BYTES = 3000 };
    static uint8_t long_keys[6][LONG_BYTES];
    uint64_t random = 5;
    struct kit_rows rows = {0}, bounds = {0};
    for (size_t i = 0; i < 6; i++) memset(long_keys[i], (int)(0xf0 + i), LONG_BYTES);
    kit_random_rows(&rows, &random, KIT_INTEGERS, 900, 20);
    for (size_t i = 0; i < 6; i += 2)
        rows.ranges[rows.range_count++] =
            (struct lsm_sst_range){.low = lsm_slice_of(long_keys[i], LONG_BYTES), .high = lsm_slice_of(long_keys[i + 1], LONG_BYTES)};
    assert_true(write_without_memory(&rows) > 30);
    for (size_t i = 0; i < 6; i += 5) kit_add(&bounds, LSM_KIND_DELETE, lsm_slice_of(long_keys[i], LONG_BYTES), (struct lsm_slice){0});
    assert_true(write_without_memory(&bounds) > 15);
    kit_free(&rows);
    kit_free(&bounds);
    assert_int_equal(lsm_mem_live(), 0);
}

static void a_writer_that_has_failed_writes_no_more(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_sst_options options = kit_options(512, LSM_COMPRESS_NONE);
    struct lsm_slice a = lsm_slice_of("\0\0\0\1a", 5), b = lsm_slice_of("\0\0\0\1b", 5);
    for (int by_range = 0; by_range < 2; by_range++) {
        struct lsm_sst_writer *writer;
        struct lsm_error err = {0};
        struct lsm_file_meta *meta = lsm_file_meta_new();
        bool exists;
        assert_int_equal(lsm_sst_writer_open(env, KIT_PATH, &kit_perm, kit_store_id, 7, &options, &writer, NULL), LSM_OK);
        lsm_mem_fail_after(1, false);
        int status = by_range ? lsm_sst_writer_add_range(writer, a, b, &err) : lsm_sst_writer_add(writer, LSM_KIND_PUT, a, b, &err);
        lsm_mem_fail_after(0, false);
        assert_int_equal(status, LSM_NOMEM);
        assert_int_equal(lsm_sst_writer_add(writer, LSM_KIND_PUT, b, a, &err), LSM_NOMEM);
        assert_non_null(strstr(err.text, "has failed before"));
        err = (struct lsm_error){0};
        assert_int_equal(lsm_sst_writer_add_range(writer, a, b, &err), LSM_NOMEM);
        assert_non_null(strstr(err.text, "has failed before"));
        err = (struct lsm_error){0};
        assert_int_equal(lsm_sst_writer_finish(writer, 1, 2, meta, &err), LSM_NOMEM);
        assert_non_null(strstr(err.text, "has failed before"));
        assert_int_equal(lsm_env_exists(env, KIT_PATH, &exists, NULL), LSM_OK);
        assert_false(exists);
        lsm_file_meta_unref(meta);
    }
    lsm_env_mem_free(env);
}

/* Blocks larger than the writer's own buffer are written as they are, one behind the other; the disk is full somewhere. */
static void blocks_larger_than_the_buffer_are_written_or_the_disk_is_full(void **state) {
    (void)state;
    enum { VALUE_BYTES = 1500000 };
    static uint8_t value[VALUE_BYTES];
    struct kit_rows rows = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    struct lsm_error err = {0};
    for (size_t i = 0; i < sizeof value; i++) value[i] = (uint8_t)(i * i >> 3);
    for (uint8_t i = 0; i < 4; i++) kit_add(&rows, LSM_KIND_PUT, lsm_slice_of((uint8_t[]){0, 0, 0, 1, i}, 5), lsm_slice_of(value, sizeof value));
    struct lsm_env *env = lsm_env_mem_new();
    for (uint64_t space = 0; space < 4 * VALUE_BYTES; space += VALUE_BYTES / 2) {
        struct lsm_file_meta *meta = lsm_file_meta_new();
        lsm_env_mem_set_space(env, space);
        assert_int_equal(kit_write_status(env, KIT_PATH, 7, &rows, &options, meta, &err), LSM_FULL);
        lsm_file_meta_unref(meta);
    }
    lsm_env_mem_set_space(env, UINT64_MAX);
    struct lsm_file_meta *meta = kit_write(env, KIT_PATH, 7, &rows, &options);
    struct lsm_sst *sst = kit_open(env, KIT_PATH, meta, NULL);
    if (lsm_sst_verify(sst, NULL, NULL, &err) != LSM_OK) fail_msg("%s", err.text);
    struct lsm_sst_iter iter;
    lsm_sst_iter_init(&iter, sst, false);
    lsm_iter_first(&iter.base);
    for (size_t i = 0; i <= rows.count; i++) {
        assert_true(kit_iter_is(&iter.base, &rows, i));
        if (i < rows.count) lsm_iter_next(&iter.base);
    }
    lsm_iter_release(&iter.base);
    lsm_file_meta_unref(meta);
    kit_free(&rows);
    lsm_env_mem_free(env);
}

/* The last bytes of a file begin a write of their own if the buffer is full just then, which may fail as any other. */
static void a_footer_that_does_not_fit_into_the_buffer_may_find_the_disk_full(void **state) {
    (void)state;
    enum { BUFFER_BYTES = 256 * 1024, STEP_BYTES = 50 };
    static uint8_t value[BUFFER_BYTES];
    struct lsm_sst_options options = {.block_bytes = 4096, .compression = LSM_COMPRESS_NONE};
    uint64_t full = 0;
    for (size_t bytes = BUFFER_BYTES - 800; bytes < BUFFER_BYTES; bytes += STEP_BYTES) {
        struct kit_rows rows = {0};
        struct lsm_env *env = lsm_env_mem_new();
        struct lsm_file_meta *meta = lsm_file_meta_new();
        bool exists;
        kit_add(&rows, LSM_KIND_PUT, lsm_slice_of("\0\0\0\1", 4), lsm_slice_of(value, bytes));
        lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_WRITE, .os_errno = 28});
        assert_int_equal(kit_write_status(env, KIT_PATH, 7, &rows, &options, meta, NULL), LSM_FULL);
        assert_int_equal(lsm_env_exists(env, KIT_PATH, &exists, NULL), LSM_OK);
        full += !exists;
        lsm_file_meta_unref(meta);
        lsm_env_mem_free(env);
        kit_free(&rows);
    }
    assert_int_equal(full, 16);
}

static void what_zstd_has_no_memory_for_is_neither_packed_nor_unpacked(void **state) {
    (void)state;
    uint64_t random = 6;
    struct kit_rows rows = {0};
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_sst_options options = kit_options(100000, LSM_COMPRESS_ZSTD);
    struct lsm_file_meta *meta = lsm_file_meta_new();
    struct lsm_error err = {0};
    enum lsm_kind kind;
    kit_random_rows(&rows, &random, KIT_RANDOM, 1500, 300);
    zstd_fails = true; /* this test is the first one of its program: no context is kept yet */
    assert_int_equal(kit_write_status(env, KIT_PATH, 7, &rows, &options, meta, &err), LSM_NOMEM);
    lsm_file_meta_unref(meta);
    zstd_fails = false;
    meta = kit_write(env, KIT_PATH, 7, &rows, &options);
    struct lsm_sst *sst = kit_open(env, KIT_PATH, meta, NULL);
    zstd_fails = true;
    err = (struct lsm_error){0};
    assert_int_equal(lsm_sst_get(sst, lsm_buf_slice(&rows.rows[0].key), &kind, NULL, &err), LSM_NOMEM);
    assert_int_equal(err.code, LSM_NOMEM);
    zstd_fails = false;
    for (int64_t n = 1, status = LSM_NOMEM; status != LSM_OK; n++) { /* the stored bytes are too many for the stack */
        lsm_mem_fail_after(n, false);
        status = lsm_sst_get(sst, lsm_buf_slice(&rows.rows[0].key), &kind, NULL, &err);
        lsm_mem_fail_after(0, false);
        assert_true(status == LSM_OK || (status == LSM_NOMEM && n <= 3));
    }
    assert_int_equal(kind, rows.rows[0].kind);
    lsm_file_meta_unref(meta);
    kit_free(&rows);
    lsm_env_mem_free(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_zstd_has_no_memory_for_is_neither_packed_nor_unpacked),
        cmocka_unit_test(running_out_of_memory_anywhere_leaks_nothing),
        cmocka_unit_test(a_failing_environment_is_reported_and_leaves_no_file),
        cmocka_unit_test(a_failed_write_removes_the_file),
        cmocka_unit_test(an_existing_file_is_not_overwritten),
        cmocka_unit_test(a_finished_file_is_durable_once_its_directory_is_synced),
        cmocka_unit_test(a_writer_whose_last_blocks_are_the_largest_may_run_out_of_memory_there),
        cmocka_unit_test(a_writer_that_has_failed_writes_no_more),
        cmocka_unit_test(blocks_larger_than_the_buffer_are_written_or_the_disk_is_full),
        cmocka_unit_test(a_footer_that_does_not_fit_into_the_buffer_may_find_the_disk_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
