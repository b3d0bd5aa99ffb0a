/* The log on a healthy disk: what goes in comes out, and where files begin and end. */
#include "wal_kit.h"

static struct kit_model model;
static struct lsm_error err;

static struct lsm_wal_writer *create(struct lsm_env *env, uint64_t generation, uint64_t start, uint64_t prev_check, bool sync) {
    struct lsm_wal_writer *writer = NULL;
    kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, generation, start, prev_check, sync, &writer, &err), &err);
    return writer;
}

static void a_log_gives_back_what_was_appended(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    uint64_t random = 1;
    static const size_t sizes[] = {
        0, 1, 7, 8, 9, 40, 100, 65536, 300000, 1024 * 1024 - LSM_WAL_RECORD_HEADER_BYTES, 1024 * 1024, 3 * 1024 * 1024 + 5};
    static const enum lsm_wal_kind kinds[] = {LSM_WAL_TXN, LSM_WAL_PREPARE, LSM_WAL_COMMIT, LSM_WAL_ABORT};
    struct lsm_wal_writer *writer = create(env, 1, 0, 0, true);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        kit_ok(kit_append(writer, &model, &random, kinds[i % 4], sizes[i], &err), &err);
        assert_int_equal(model.records[i].end - model.records[i].position, lsm_wal_record_bytes(sizes[i]));
        assert_int_equal(lsm_wal_writer_end(writer), model.records[i].end);
        assert_int_equal(lsm_wal_writer_check(writer), model.records[i].check);
        if (i == 5) {
            kit_ok(lsm_wal_writer_sync(writer, &err), &err);
            assert_int_equal(lsm_wal_writer_synced(writer), lsm_wal_writer_end(writer));
        }
        assert_int_equal(model.records[i].synced, i > 5 ? model.records[5].end : 0);
    }
    kit_ok(lsm_wal_writer_close(writer, false, &err), &err);

    size_t read = 0;
    assert_int_equal(kit_read(env, 1, model.records[model.count - 1].end, &model, 0, &read), LSM_NOTFOUND);
    assert_int_equal(read, model.count);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

/* Any sequence of appends, syncs, rolls and reopenings reads back as the model says. */
static void random_logs_equal_their_oracle(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    for (int round = 0; round < 20; round++) {
        struct lsm_env *env = kit_env();
        uint64_t generation = 1, start = LSM_WAL_ALIGN * kit_below(&random, 1000), prev = kit_random(&random);
        size_t firsts[64] = {0}, generations = 1;
        uint64_t starts[64] = {start}, prevs[64] = {prev};
        struct lsm_wal_writer *writer = create(env, generation, start, prev, kit_below(&random, 2) == 0);
        for (int step = 0; step < 150; step++) {
            uint64_t what = kit_below(&random, 20);
            if (what == 0) {
                kit_ok(lsm_wal_writer_sync(writer, &err), &err);
            } else if (what == 1) {
                kit_ok(lsm_wal_writer_reserve(writer, kit_below(&random, 200000), &err), &err);
            } else if (what == 2 && generations < 60) {
                kit_ok(kit_append(writer, &model, &random, LSM_WAL_ROLL, 0, &err), &err);
                kit_ok(lsm_wal_writer_sync(writer, &err), &err);
                start = lsm_wal_writer_end(writer);
                prev = lsm_wal_writer_check(writer);
                kit_ok(lsm_wal_writer_close(writer, kit_below(&random, 2) == 0, &err), &err);
                firsts[generations] = model.count;
                prevs[generations] = prev;
                starts[generations++] = start;
                writer = create(env, ++generation, start, prev, true);
                assert_int_equal(lsm_wal_writer_synced(writer), start);
            } else if (what == 3) {
                uint64_t end = lsm_wal_writer_end(writer), check = lsm_wal_writer_check(writer), synced = lsm_wal_writer_synced(writer);
                kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
                kit_ok(lsm_wal_writer_attach(env, KIT_DIR, kit_id, generation, start, end, check, synced, &writer, &err), &err);
                assert_int_equal(lsm_wal_writer_end(writer), end);
                /* Whether the header is durable, too, is not known. */
                assert_int_equal(lsm_wal_writer_synced(writer), synced == start && start != 0 ? start - LSM_WAL_ALIGN : synced);
            } else {
                size_t bytes = (size_t)(kit_below(&random, 10) == 0 ? kit_below(&random, 100000) : kit_below(&random, 200));
                kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, bytes, &err), &err);
            }
        }
        kit_ok(lsm_wal_writer_close(writer, kit_below(&random, 2) == 0, &err), &err);
        size_t total = 0, read = 0;
        for (size_t g = 0; g < generations; g++) {
            struct lsm_wal_reader *reader = NULL;
            kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, g + 1, &reader, &err), &err);
            assert_int_equal(lsm_wal_reader_start(reader), starts[g]);
            assert_int_equal(lsm_wal_reader_prev_check(reader), prevs[g]);
            lsm_wal_reader_close(reader);
            assert_int_equal(kit_read(env, g + 1, 0, &model, firsts[g], &read), LSM_NOTFOUND);
            total += read;
        }
        assert_int_equal(total, model.count);
        kit_model_clear(&model);
        lsm_env_mem_free(env);
    }
}

/* docs/format.md, "The log", Example. */
static void the_annotated_bytes_of_the_format_are_what_is_written(void **state) {
    (void)state;
    static const uint8_t expected[] = {
        0x4c, 0x53, 0x4d, 0x4c, 0x4f, 0x47, 0x0d, 0x0a, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03,
        0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x68, 0xf5, 0xe0, 0xc3,
        0xa1, 0x7f, 0x17, 0xb4, 0xfb, 0xed, 0xb0, 0x6f, 0x18, 0xfb, 0xc3, 0x33, 0x01, 0x8c, 0x68, 0x99, 0x05, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x00, 0x00, 0x00, 0x77, 0xa7, 0x00, 0xfb,
        0xb1, 0x33, 0xbb, 0xaa, 0x05, 0xc3, 0x57, 0x60, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00,
    };
    struct lsm_env *env = kit_env();
    struct lsm_wal_writer *writer = create(env, 7, 4096, 0x1122334455667788, true);
    kit_ok(lsm_wal_writer_append(writer, LSM_WAL_TXN, 1000000, lsm_slice_of("hel", 3), lsm_slice_of("lo", 2), NULL, &err), &err);
    kit_ok(lsm_wal_writer_append(writer, LSM_WAL_ROLL, 1000005, lsm_slice_of(NULL, 0), lsm_slice_of(NULL, 0), NULL, &err), &err);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    uint8_t *bytes = NULL;
    size_t size = 0;
    kit_read_file(env, LSM_FILE_WAL, 7, &bytes, &size);
    assert_int_equal(size, sizeof expected);
    assert_memory_equal(bytes, expected, size);
    lsm_free(bytes);
    lsm_env_mem_free(env);
}

static void files_are_preallocated_and_trimmed_at_close(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    uint64_t random = 2, size = 0;
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    struct lsm_wal_writer *writer = create(env, 3, 64, 5, false);
    assert_int_equal(lsm_wal_writer_synced(writer), 0);
    for (int i = 0; i < 3; i++) kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 30000, &err), &err);
    assert_int_equal(lsm_env_mem_file_size(env, KIT_DIR "/00000003.wal", &size), LSM_OK);
    assert_int_equal(size, LSM_WAL_HEADER_BYTES + 64 * 1024 + 128 * 1024);

    for (int trimmed = 0; trimmed <= 1; trimmed++) {
        if (trimmed) kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
        kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 3, &reader, &err), &err);
        for (size_t i = 0; i < model.count; i++) kit_ok(lsm_wal_reader_next(reader, 0, &record, &err), &err);
        assert_int_equal(lsm_wal_reader_next(reader, 0, &record, &err), LSM_NOTFOUND);
        lsm_wal_reader_close(reader);
    }
    uint64_t end = model.records[2].end, check = model.records[2].check;
    assert_int_equal(lsm_env_mem_file_size(env, KIT_DIR "/00000003.wal", &size), LSM_OK);
    assert_int_equal(size, LSM_WAL_HEADER_BYTES + end - 64);
    /* Only this file, and up to its end, may be gone on with. */
    assert_int_equal(lsm_wal_writer_attach(env, KIT_DIR, kit_id, 3, 64, end + LSM_WAL_ALIGN, check, 0, &writer, &err), LSM_MISUSE);
    assert_int_equal(lsm_wal_writer_attach(env, KIT_DIR, kit_other_id, 3, 64, end, check, 0, &writer, &err), LSM_CORRUPT);
    assert_null(writer);
    kit_ok(lsm_wal_writer_attach(env, KIT_DIR, kit_id, 3, 64, end, check, 0, &writer, &err), &err);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void a_generation_that_is_there_is_not_created_over(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    uint64_t random = 3;
    size_t read = 0;
    struct lsm_wal_writer *writer = create(env, 1, 0, 0, false), *second = NULL;
    kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 20, &err), &err);
    assert_int_equal(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 0, 0, false, &second, &err), LSM_IO);
    assert_null(second);
    assert_int_equal(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 2, 3, 0, false, &second, &err), LSM_MISUSE);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    assert_int_equal(kit_read(env, 1, 0, &model, 0, &read), LSM_NOTFOUND);
    assert_int_equal(read, 1);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void a_reader_at_the_end_follows_what_is_appended(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    uint64_t random = 4;
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    struct lsm_wal_writer *writer = create(env, 1, 0, 0, true);
    kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(lsm_wal_reader_next(reader, 0, &record, &err), LSM_NOTFOUND);
        kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, (size_t)kit_below(&random, 4000), &err), &err);
        if (i % 7 == 0) kit_ok(lsm_wal_writer_sync(writer, &err), &err);
        kit_ok(lsm_wal_reader_next(reader, lsm_wal_writer_synced(writer), &record, &err), &err);
        kit_same(&record, &model.records[i]);
    }
    assert_int_equal(lsm_wal_reader_synced(reader), model.records[199].synced);
    lsm_wal_reader_close(reader);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void a_roll_ends_its_generation_whatever_is_known_beyond(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    uint64_t random = 5;
    size_t read = 0;
    struct lsm_wal_writer *writer = create(env, 1, 0, 0, true);
    kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 20, &err), &err);
    kit_ok(kit_append(writer, &model, &random, LSM_WAL_ROLL, 0, &err), &err);
    kit_ok(lsm_wal_writer_close(writer, false, &err), &err);
    assert_int_equal(kit_read(env, 1, 1000000, &model, 0, &read), LSM_NOTFOUND);
    assert_int_equal(read, 2);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void a_long_tail_of_zeros_is_passed_quickly(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    uint64_t random = 6;
    size_t read = 0;
    struct lsm_wal_writer *writer = create(env, 1, 0, 0, true);
    kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 20, &err), &err);
    kit_ok(lsm_wal_writer_reserve(writer, 64 * 1024 * 1024, &err), &err);
    clock_t begin = clock();
    assert_int_equal(kit_read(env, 1, 0, &model, 0, &read), LSM_NOTFOUND);
    print_message("64 MiB of zeros: %.1f ms\n", 1000.0 * (double)(clock() - begin) / CLOCKS_PER_SEC);
    assert_int_equal(read, 1);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void a_payload_over_the_limit_is_refused(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_wal_writer *writer = create(env, 1, 0, 0, true);
    static const uint8_t byte = 0;
    struct lsm_slice most = lsm_slice_of(&byte, (size_t)LSM_WAL_PAYLOAD_BYTES_MAX); /* refused before it is read */
    assert_int_equal(lsm_wal_writer_append(writer, LSM_WAL_TXN, 0, most, lsm_slice_of(&byte, 1), NULL, &err), LSM_TOOBIG);
    assert_int_equal(lsm_wal_writer_append(writer, LSM_WAL_TXN, 0, lsm_slice_of(&byte, 1), lsm_slice_of(&byte, SIZE_MAX), NULL, &err), LSM_TOOBIG);
    assert_int_equal(lsm_wal_writer_end(writer), 0);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    lsm_env_mem_free(env);
}

/* Write and read a little log; every allocation fails in turn. */
static int small_life(struct lsm_env *env, uint64_t generation) {
    struct lsm_wal_writer *writer = NULL;
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    static uint8_t large[2 * 1024 * 1024];
    int status = lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, generation, 0, 0, true, &writer, &err);
    for (size_t i = 0; status == LSM_OK && i < 4; i++) {
        size_t bytes = i == 1 ? 50000 : i == 2 ? sizeof large : 10;
        uint64_t end = lsm_wal_writer_end(writer);
        status = lsm_wal_writer_append(writer, LSM_WAL_TXN, 1, lsm_slice_of(large, bytes), lsm_slice_of(NULL, 0), NULL, &err);
        if (status != LSM_OK) assert_int_equal(lsm_wal_writer_end(writer), end);
    }
    if (status == LSM_OK) status = lsm_wal_writer_sync(writer, &err);
    int closed = lsm_wal_writer_close(writer, true, status == LSM_OK ? &err : NULL);
    if (status == LSM_OK) status = closed;
    if (status == LSM_OK) status = lsm_wal_reader_open(env, KIT_DIR, kit_id, generation, &reader, &err);
    for (int i = 0; status == LSM_OK && i < 4; i++) status = lsm_wal_reader_next(reader, 0, &record, &err);
    if (status == LSM_OK) {
        status = lsm_wal_reader_next(reader, 0, &record, &err);
        if (status == LSM_NOTFOUND) status = LSM_OK;
    }
    lsm_wal_reader_close(reader);
    return status;
}

static void running_out_of_memory_anywhere_leaves_nothing_behind(void **state) {
    (void)state;
    int64_t before = lsm_mem_live();
    int failures = 0;
    for (int64_t n = 1;; n++) {
        struct lsm_env *env = kit_env();
        lsm_mem_fail_after(n, false);
        int status = small_life(env, 1);
        lsm_mem_fail_after(0, false);
        lsm_env_mem_free(env);
        assert_int_equal(lsm_mem_live(), before);
        if (status == LSM_OK) break;
        assert_int_equal(status, LSM_NOMEM);
        assert_int_equal(err.code, LSM_NOMEM);
        failures++;
    }
    assert_true(failures > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_gives_back_what_was_appended),
        cmocka_unit_test(random_logs_equal_their_oracle),
        cmocka_unit_test(the_annotated_bytes_of_the_format_are_what_is_written),
        cmocka_unit_test(files_are_preallocated_and_trimmed_at_close),
        cmocka_unit_test(a_generation_that_is_there_is_not_created_over),
        cmocka_unit_test(a_reader_at_the_end_follows_what_is_appended),
        cmocka_unit_test(a_roll_ends_its_generation_whatever_is_known_beyond),
        cmocka_unit_test(a_long_tail_of_zeros_is_passed_quickly),
        cmocka_unit_test(a_payload_over_the_limit_is_refused),
        cmocka_unit_test(running_out_of_memory_anywhere_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
