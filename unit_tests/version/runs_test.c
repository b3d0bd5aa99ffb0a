/* The payload of a RUNS record: round trips, the bytes of the document, and hostile ones. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/version/runs.h"

static struct lsm_error err;

static void add_file(struct lsm_edit *edit, int level, uint64_t run, uint64_t number, const char *low, const char *high) {
    struct lsm_file_meta *meta = lsm_file_meta_new();
    assert_non_null(meta);
    meta->number = number;
    meta->bytes = 1234;
    meta->checksum = 0x0123456789abcdef;
    meta->log_low = meta->log_high = 4096;
    meta->entries = 10;
    meta->tombstones = 2;
    meta->raw_bytes = 2000;
    meta->compression = LSM_COMPRESS_LZ4;
    assert_int_equal(lsm_buf_append(&meta->smallest, "\0\0\0\1", 4), LSM_OK);
    assert_int_equal(lsm_buf_append(&meta->smallest, low, strlen(low)), LSM_OK);
    assert_int_equal(lsm_buf_append(&meta->largest, "\0\0\0\1", 4), LSM_OK);
    assert_int_equal(lsm_buf_append(&meta->largest, high, strlen(high)), LSM_OK);
    assert_int_equal(lsm_edit_add_file(edit, level, run, meta), LSM_OK);
    lsm_file_meta_unref(meta);
}

/* docs/format.md, "Payload of RUNS", Example. */
static const uint8_t example[] = {
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0x06, 0x81,
    0x02, 0x01, 0x61, 0x01, 0x78, 0x01, 0x02, 0x09, 0x03, 0x00, 0x04, 0x00, 0x05, 0x00, 0x06, 0xc0, 0x84, 0x3d, 0x07,
    0x00, 0x01, 0x05, 0xd2, 0x09, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, 0x80, 0x20, 0x80, 0x20, 0x0a, 0x02,
    0x00, 0xd0, 0x0f, 0x01, 0x00, 0x05, 0x00, 0x00, 0x00, 0x01, 0x61, 0x05, 0x00, 0x00, 0x00, 0x01, 0x7a,
};

static void make_example(struct lsm_runs *runs) {
    static const uint8_t token[] = {0, 0, 0, 0, 0, 0, 0x10, 0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8};
    *runs = (struct lsm_runs){.has_token = true, .batch = lsm_slice_of("\x81\2\1a\1x", 6), .edit = {.next_file = 9, .time_us = 1000000}};
    memcpy(runs->token, token, sizeof token);
    add_file(&runs->edit, 0, 1, 5, "a", "z");
}

static void the_example_of_the_document_is_what_is_written(void **state) {
    (void)state;
    struct lsm_runs runs;
    struct lsm_buf bytes = {0};
    make_example(&runs);
    assert_int_equal(lsm_runs_encode(&runs, &bytes), LSM_OK);
    assert_int_equal(bytes.size, sizeof example);
    assert_memory_equal(bytes.data, example, sizeof example);
    lsm_buf_free(&bytes);
    lsm_runs_release(&runs);
}

static void a_record_survives_its_encoding(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    for (int way = 0; way < 4; way++) {
        struct lsm_runs runs, back;
        struct lsm_buf bytes = {0};
        make_example(&runs);
        if ((way & 1) != 0) runs.has_token = false;
        if ((way & 2) != 0) runs.batch = (struct lsm_slice){0};
        add_file(&runs.edit, 0, 2, 7, "b", "c");
        assert_int_equal(lsm_runs_encode(&runs, &bytes), LSM_OK);
        assert_int_equal(lsm_runs_decode(lsm_buf_slice(&bytes), &back, &err), LSM_OK);
        assert_int_equal(back.has_token, runs.has_token);
        if (runs.has_token) assert_memory_equal(back.token, runs.token, sizeof back.token);
        assert_true(lsm_slice_equal(back.batch, runs.batch));
        assert_int_equal(back.edit.next_file, 9);
        assert_int_equal(back.edit.added_count, 2);
        assert_int_equal(back.edit.added[1].run, 2);
        assert_int_equal(back.edit.added[1].meta->number, 7);
        lsm_runs_release(&back);
        lsm_runs_release(&runs);
        lsm_buf_free(&bytes);
    }
    assert_int_equal(lsm_mem_live(), live);
}

static int decode(struct lsm_slice bytes) {
    struct lsm_runs runs;
    int status = lsm_runs_decode(bytes, &runs, &err);
    if (status == LSM_OK)
        lsm_runs_release(&runs);
    else
        assert_int_equal(err.code, status);
    return status;
}

static void what_is_cut_short_is_refused(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    for (size_t size = 0; size < sizeof example; size++) {
        uint8_t *exact = malloc(size + 1); /* so that a read beyond shows */
        assert_non_null(exact);
        memcpy(exact, example, size);
        assert_int_not_equal(decode(lsm_slice_of(exact, size)), LSM_OK);
        free(exact);
    }
    assert_int_equal(lsm_mem_live(), live);
}

static void hostile_bytes_do_no_harm(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    int64_t live = lsm_mem_live();
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[sizeof example];
        memcpy(bytes, example, sizeof bytes);
        for (uint64_t flips = 1 + kit_below(&random, 4); flips-- > 0;) bytes[kit_below(&random, sizeof bytes)] = (uint8_t)kit_random(&random);
        (void)decode(lsm_slice_of(bytes, (size_t)kit_below(&random, sizeof bytes + 1)));
        (void)decode(lsm_slice_of(bytes, sizeof bytes));
    }
    assert_int_equal(lsm_mem_live(), live);
}

static void an_edit_that_does_more_than_name_runs_is_refused(void **state) {
    (void)state;
    for (int way = 0; way < 8; way++) {
        struct lsm_runs runs;
        struct lsm_buf bytes = {0};
        make_example(&runs);
        if (way == 0) runs.edit.full = true;
        if (way == 1) assert_int_equal(lsm_edit_remove_file(&runs.edit, 3), LSM_OK);
        if (way == 2) assert_int_equal(lsm_edit_add_tree(&runs.edit, (struct lsm_tree_info){.tree = 1, .nonce = 2}), LSM_OK);
        if (way == 3) assert_int_equal(lsm_edit_drop_tree(&runs.edit, 1), LSM_OK);
        if (way == 4) runs.edit.log_durable = 8;
        if (way == 5) runs.edit.has_token = true;
        if (way == 6) add_file(&runs.edit, 1, 0, 7, "b", "c");
        if (way == 7) lsm_edit_release(&runs.edit);
        assert_int_equal(lsm_runs_encode(&runs, &bytes), LSM_OK);
        assert_int_equal(decode(lsm_buf_slice(&bytes)), LSM_CORRUPT);
        lsm_runs_release(&runs);
        lsm_buf_free(&bytes);
    }
    assert_int_equal(decode(lsm_slice_of("\2", 1)), LSM_UNSUPPORTED);
}

static void running_out_of_memory_leaves_nothing(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    for (int64_t at = 1;; at++) {
        struct lsm_runs runs;
        lsm_mem_fail_after(at, false);
        int status = lsm_runs_decode(lsm_slice_of(example, sizeof example), &runs, &err);
        lsm_mem_fail_after(0, false);
        if (status == LSM_OK) lsm_runs_release(&runs);
        assert_int_equal(lsm_mem_live(), live);
        if (status == LSM_OK) break;
        assert_int_equal(status, LSM_NOMEM);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_document_is_what_is_written),
        cmocka_unit_test(a_record_survives_its_encoding),
        cmocka_unit_test(what_is_cut_short_is_refused),
        cmocka_unit_test(hostile_bytes_do_no_harm),
        cmocka_unit_test(an_edit_that_does_more_than_name_runs_is_refused),
        cmocka_unit_test(running_out_of_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
