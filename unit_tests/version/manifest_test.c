/* The manifest and CURRENT: replay, damage, memory. Edits are told apart by next_file and checked against the list of those that were acknowledged. */
#include "manifest_kit.h"

#include "../../lsm_core/codec/hash.h"

static void a_manifest_replays_what_was_appended_and_goes_on(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct seen seen = {0};
    struct lsm_manifest_found found;
    assert_int_equal(replay(env, &seen, &found), LSM_NOTFOUND);
    struct lsm_manifest *manifest = filled(env, 3, NULL);
    for (uint64_t round = 1; round <= 20; round++) {
        uint64_t bytes = lsm_manifest_bytes(manifest);
        assert_int_equal(lsm_manifest_number(manifest), 3);
        lsm_manifest_close(manifest);
        kit_ok(replay(env, &seen, &found), &err);
        expect_seen(&seen, 2 + round);
        assert_int_equal(found.number, 3);
        assert_int_equal(found.bytes, bytes);
        assert_false(found.torn);
        assert_memory_equal(found.store_id, kit_id, sizeof kit_id);
        kit_ok(lsm_manifest_resume(env, KIT_DIR, &found, &manifest, &err), &err);
        kit_ok(append(manifest, 3 + round), &err);
    }
    lsm_manifest_close(manifest);
    lsm_manifest_close(NULL);

    seen = (struct seen){.stop_at = 4};
    assert_int_equal(replay(env, &seen, &found), LSM_INTERRUPTED);
    assert_int_equal(seen.count, 4);
    seen.count = seen.stop_at = 0;
    kit_ok(lsm_manifest_replay(env, KIT_DIR, NULL, see, &seen, &found, &err), &err);
    assert_memory_equal(found.store_id, kit_id, sizeof kit_id);
    assert_int_equal(lsm_manifest_replay(env, KIT_DIR, kit_other_id, see, &seen, &found, &err), LSM_MISMATCH);
    assert_memory_equal(found.store_id, kit_id, sizeof kit_id);
    found.bytes -= 8;
    assert_int_equal(lsm_manifest_resume(env, KIT_DIR, &found, &manifest, &err), LSM_MISUSE);
    found.torn = true;
    assert_int_equal(lsm_manifest_resume(env, KIT_DIR, &found, &manifest, &err), LSM_MISUSE);
    assert_null(manifest);
    lsm_env_mem_free(env);
}

static void a_newer_manifest_takes_over(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct seen seen = {0};
    struct lsm_manifest_found found;
    struct lsm_manifest *manifest = filled(env, 4, NULL);
    lsm_manifest_close(manifest);
    struct lsm_edit edit;
    numbered_edit(1, false, &edit);
    assert_int_equal(lsm_manifest_create(env, KIT_DIR, &kit_perm, kit_id, 4, &edit, NULL, &manifest, &err), LSM_MISUSE);
    lsm_edit_release(&edit);
    /* What a crash left of an earlier try is in nobody's way. */
    kit_write_file(env, LSM_FILE_MANIFEST, 100000000, (const uint8_t *)"rest", 4);
    uint8_t rest[300] = {'x'}; /* longer than the line that will be written there */
    kit_write_file(env, LSM_FILE_TEMP, 100000000, rest, sizeof rest);
    kit_ok(create(env, 100000000, 9, &manifest), &err);
    lsm_manifest_close(manifest);
    kit_ok(replay(env, &seen, &found), &err);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.numbers[0], 9);
    assert_int_equal(found.number, 100000000);
    /* The manifest in use is not created over. */
    assert_int_equal(create(env, 100000000, 10, &manifest), LSM_IO);
    kit_ok(replay(env, &seen, &found), &err);
    assert_int_equal(seen.numbers[0], 9);
    lsm_env_mem_free(env);
}

/* docs/format.md, "The manifest", Example. */
static void the_annotated_bytes_of_the_format_are_what_is_written(void **state) {
    (void)state;
    static const uint8_t expected[] = {
        0x4c, 0x53, 0x4d, 0x4d, 0x41, 0x4e, 0x0d, 0x0a, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05,
        0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x72, 0xa6, 0x1c, 0xa9, 0x8a, 0x11, 0x9d, 0x71, 0xe0, 0x58,
        0xc6, 0xa4, 0x4e, 0x99, 0x37, 0xbc, 0x01, 0xfa, 0x1c, 0x60, 0x3d, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x00, 0x00, 0x00,
        0x01, 0x01, 0x02, 0x09, 0x03, 0x80, 0x20, 0x04, 0x07, 0x05, 0x03, 0x06, 0xc0, 0x84, 0x3d, 0x07, 0x01, 0x00, 0x05, 0xd2, 0x09, 0xef,
        0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, 0x00, 0x80, 0x20, 0x0a, 0x02, 0x00, 0xd0, 0x0f, 0x01, 0x00, 0x05, 0x00, 0x00, 0x00, 0x01,
        0x61, 0x05, 0x00, 0x00, 0x00, 0x02, 0x7a, 0x09, 0x01, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x00, 0x00, 0x00,
    };
    static const char expected_current[] = "MANIFEST-00000003 000102030405060708090a0b0c0d0e0f 9af6f5a34dfc0658\n";
    struct lsm_env *env = kit_env();
    struct lsm_manifest *manifest = NULL;
    struct lsm_edit edit = {.full = true, .next_file = 9, .log_position = 4096, .log_generation = 7, .next_tree = 3, .time_us = 1000000};
    struct lsm_file_meta *meta = lsm_file_meta_new();
    assert_non_null(meta);
    meta->number = 5;
    meta->bytes = 1234;
    meta->checksum = 0x0123456789abcdef;
    meta->log_high = 4096;
    meta->entries = 10;
    meta->tombstones = 2;
    meta->raw_bytes = 2000;
    meta->compression = LSM_COMPRESS_LZ4;
    assert_int_equal(lsm_buf_set(&meta->smallest, lsm_slice_of("\0\0\0\1a", 5)), LSM_OK);
    assert_int_equal(lsm_buf_set(&meta->largest, lsm_slice_of("\0\0\0\2z", 5)), LSM_OK);
    assert_int_equal(lsm_edit_add_file(&edit, 1, 0, meta), LSM_OK);
    lsm_file_meta_unref(meta);
    assert_int_equal(lsm_edit_add_tree(&edit, (struct lsm_tree_info){.tree = 1, .nonce = 0x1111111111111111}), LSM_OK);
    kit_ok(lsm_manifest_create(env, KIT_DIR, &kit_perm, kit_id, 3, &edit, NULL, &manifest, &err), &err);
    lsm_manifest_close(manifest);
    lsm_edit_release(&edit);
    uint8_t *bytes = NULL;
    size_t size = 0;
    kit_read_file(env, LSM_FILE_MANIFEST, 3, &bytes, &size);
    assert_int_equal(size, sizeof expected);
    assert_memory_equal(bytes, expected, size);
    lsm_free(bytes);
    kit_read_file(env, LSM_FILE_CURRENT, 0, &bytes, &size);
    assert_int_equal(size, sizeof expected_current - 1);
    assert_memory_equal(bytes, expected_current, size);
    lsm_free(bytes);
    lsm_env_mem_free(env);
}

/* ---- damage ---- */

static void a_manifest_cut_at_any_byte_ends_with_its_last_whole_record(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct seen seen = {0};
    struct lsm_manifest_found found;
    uint64_t ends[8];
    uint8_t *bytes = NULL;
    size_t size = 0;
    lsm_manifest_close(filled(env, 8, ends));
    kit_read_file(env, LSM_FILE_MANIFEST, 3, &bytes, &size);
    assert_int_equal(size, ends[7]);
    for (size_t cut = 0; cut <= size; cut++) {
        kit_write_file(env, LSM_FILE_MANIFEST, 3, bytes, cut);
        int status = replay(env, &seen, &found);
        if (cut < ends[0]) {
            assert_int_equal(status, LSM_CORRUPT);
            continue;
        }
        size_t whole = 0;
        while (whole < 8 && ends[whole] <= cut) whole++;
        kit_ok(status, &err);
        expect_seen(&seen, whole);
        assert_int_equal(found.bytes, ends[whole - 1]);
        assert_int_equal(found.torn, cut != ends[whole - 1]);
    }
    lsm_free(bytes);
    lsm_env_mem_free(env);
}

static void a_flipped_byte_before_the_last_record_is_damage(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct seen seen = {0};
    struct lsm_manifest_found found;
    uint64_t ends[6];
    uint8_t *bytes = NULL;
    size_t size = 0, torn = 0, damage = 0;
    lsm_manifest_close(filled(env, 6, ends));
    kit_read_file(env, LSM_FILE_MANIFEST, 3, &bytes, &size);
    for (size_t place = 0; place < size; place++) {
        static const uint8_t flips[] = {0x01, 0x80, 0xff};
        for (size_t f = 0; f < sizeof flips; f++) {
            bytes[place] ^= flips[f];
            kit_write_file(env, LSM_FILE_MANIFEST, 3, bytes, size);
            int status = replay(env, &seen, &found);
            bytes[place] ^= flips[f];
            if (place < ends[4]) {
                assert_int_equal(status, LSM_CORRUPT);
                damage++;
            } else if (status == LSM_OK) { /* the last record: like a torn append */
                expect_seen(&seen, 5);
                assert_true(found.torn);
                torn++;
            } else {
                assert_int_equal(status, LSM_CORRUPT);
                damage++;
            }
        }
    }
    print_message("%zu damages, %zu torn\n", damage, torn);
    /* What lies behind the length the last record claims was never an append. */
    uint8_t longer[8192] = {0};
    assert_true(size + 8 < sizeof longer);
    memcpy(longer, bytes, size);
    longer[size - 9] ^= 1;
    kit_write_file(env, LSM_FILE_MANIFEST, 3, longer, size);
    kit_ok(replay(env, &seen, &found), &err);
    kit_write_file(env, LSM_FILE_MANIFEST, 3, longer, size + 8);
    assert_int_equal(replay(env, &seen, &found), LSM_CORRUPT);
    lsm_free(bytes);
    lsm_env_mem_free(env);
}

static void current_is_read_strictly(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct seen seen = {0};
    struct lsm_manifest_found found;
    uint8_t *bytes = NULL;
    size_t size = 0;
    lsm_manifest_close(filled(env, 2, NULL));
    kit_read_file(env, LSM_FILE_CURRENT, 0, &bytes, &size);
    for (size_t cut = 0; cut < size; cut++) {
        kit_write_file(env, LSM_FILE_CURRENT, 0, bytes, cut);
        assert_int_equal(replay(env, &seen, &found), LSM_CORRUPT);
    }
    for (size_t place = 0; place < size; place++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            bytes[place] ^= (uint8_t)flip;
            kit_write_file(env, LSM_FILE_CURRENT, 0, bytes, size);
            assert_int_equal(replay(env, &seen, &found), LSM_CORRUPT);
            bytes[place] ^= (uint8_t)flip;
        }
    }
    uint8_t longer[256] = {0};
    memcpy(longer, bytes, size);
    kit_write_file(env, LSM_FILE_CURRENT, 0, longer, size);
    kit_ok(replay(env, &seen, &found), &err);
    for (size_t more = 1; more < 100; more += 7) {
        kit_write_file(env, LSM_FILE_CURRENT, 0, longer, size + more);
        assert_int_equal(replay(env, &seen, &found), LSM_CORRUPT);
    }
    lsm_free(bytes);
    lsm_env_mem_free(env);
}

/* A manifest made by hand, all checks right, with one payload. */
static int replay_crafted(struct lsm_env *env, const uint8_t *payload, size_t payload_bytes, const uint8_t *store_id, uint8_t kind) {
    struct lsm_buf file = {0};
    struct seen seen = {0};
    struct lsm_manifest_found found;
    struct lsm_chain_header header = {.number = 3};
    struct lsm_chain_record record = {.kind = kind};
    uint8_t head[LSM_CHAIN_HEADER_BYTES];
    memcpy(header.store_id, store_id, sizeof kit_id);
    lsm_chain_header_encode(&lsm_chain_manifest, &header, head);
    assert_int_equal(lsm_buf_append(&file, head, sizeof head), LSM_OK);
    assert_int_equal(lsm_chain_record_put(&file, lsm_chain_seed(&lsm_chain_manifest, store_id, 3, 0), &record, lsm_slice_of(payload, payload_bytes),
                                          lsm_slice_of(NULL, 0)),
                     LSM_OK);
    kit_write_file(env, LSM_FILE_MANIFEST, 3, file.data, file.size);
    lsm_buf_free(&file);
    return replay(env, &seen, &found);
}

static void a_manifest_that_verifies_is_still_not_trusted(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct seen seen = {0};
    struct lsm_manifest_found found;
    static const uint8_t full[] = {1, 1, 2, 5, 3, 8, 4, 7, 5, 3, 6, 1}, partial[] = {1, 2, 5, 3, 8, 4, 7, 5, 3, 6, 1}, newer[] = {2};
    lsm_manifest_close(filled(env, 1, NULL));
    assert_int_equal(replay_crafted(env, full, sizeof full, kit_id, 1), LSM_OK);
    assert_int_equal(replay_crafted(env, partial, sizeof partial, kit_id, 1), LSM_CORRUPT);
    assert_int_equal(replay_crafted(env, newer, sizeof newer, kit_id, 1), LSM_UNSUPPORTED);
    assert_int_equal(replay_crafted(env, full, sizeof full - 1, kit_id, 1), LSM_CORRUPT);
    assert_int_equal(replay_crafted(env, full, sizeof full, kit_id, 2), LSM_UNSUPPORTED);
    assert_int_equal(replay_crafted(env, full, sizeof full, kit_other_id, 1), LSM_CORRUPT);
    kit_ok(lsm_env_unlink(env, KIT_DIR "/MANIFEST-00000003", &err), &err);
    assert_int_equal(replay(env, &seen, &found), LSM_CORRUPT);
    assert_non_null(strstr(err.text, "missing"));
    lsm_env_mem_free(env);
}

/* ---- memory ---- */

static void running_out_of_memory_anywhere_leaves_nothing_behind(void **state) {
    (void)state;
    struct lsm_edit full, edit;
    numbered_edit(4, true, &full);
    numbered_edit(9, false, &edit);
    int64_t before = lsm_mem_live();
    int failures = 0, status = LSM_NOMEM;
    for (int64_t n = 1; status != LSM_OK; n++) {
        struct lsm_env *env = kit_env();
        struct lsm_manifest *manifest = NULL;
        struct lsm_manifest_found found;
        struct seen seen = {0};
        lsm_mem_fail_after(n, false);
        status = lsm_manifest_create(env, KIT_DIR, &kit_perm, kit_id, 3, &full, NULL, &manifest, &err);
        if (status == LSM_OK) status = lsm_manifest_append(manifest, &edit, NULL, &err);
        lsm_manifest_close(manifest);
        manifest = NULL;
        if (status == LSM_OK) status = lsm_manifest_replay(env, KIT_DIR, kit_id, see, &seen, &found, &err);
        if (status == LSM_OK) status = lsm_manifest_resume(env, KIT_DIR, &found, &manifest, &err);
        lsm_manifest_close(manifest);
        lsm_mem_fail_after(0, false);
        if (status != LSM_OK) {
            assert_int_equal(status, LSM_NOMEM);
            assert_int_equal(err.code, LSM_NOMEM);
            failures++;
        }
        lsm_env_mem_free(env);
        assert_int_equal(lsm_mem_live(), before);
    }
    assert_true(failures > 30);
    lsm_edit_release(&full);
    lsm_edit_release(&edit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_replays_what_was_appended_and_goes_on),
        cmocka_unit_test(a_newer_manifest_takes_over),
        cmocka_unit_test(the_annotated_bytes_of_the_format_are_what_is_written),
        cmocka_unit_test(a_manifest_cut_at_any_byte_ends_with_its_last_whole_record),
        cmocka_unit_test(a_flipped_byte_before_the_last_record_is_damage),
        cmocka_unit_test(current_is_read_strictly),
        cmocka_unit_test(a_manifest_that_verifies_is_still_not_trusted),
        cmocka_unit_test(running_out_of_memory_anywhere_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
