/* manifest_kit.h: what the tests of the manifest share: edits that are numbered, and what a replay has seen of them. Header only. */
#ifndef TEST_MANIFEST_KIT_H
#define TEST_MANIFEST_KIT_H

#include "../wal/wal_kit.h"

#include "../../lsm_core/version/manifest.h"

static struct lsm_error err;

/* An edit that carries a number, and some weight. */
static inline void numbered_edit(uint64_t number, bool full, struct lsm_edit *edit) {
    *edit = (struct lsm_edit){.full = full, .next_file = number, .log_position = 8 * number, .log_generation = 1, .next_tree = 2, .time_us = number};
    for (uint64_t i = 0; i < number % 5; i++) {
        struct lsm_file_meta *meta = lsm_file_meta_new();
        assert_non_null(meta);
        meta->number = 10 * number + i + 1;
        meta->entries = number;
        uint8_t key[200] = {0, 0, 0, 1};
        assert_int_equal(lsm_buf_set(&meta->smallest, lsm_slice_of(key, 4 + (number * 37) % 196)), LSM_OK);
        key[3] = 2;
        assert_int_equal(lsm_buf_set(&meta->largest, lsm_slice_of(key, 4 + (number * 73) % 196)), LSM_OK);
        assert_int_equal(lsm_edit_add_file(edit, 1, 0, meta), LSM_OK);
        lsm_file_meta_unref(meta);
    }
}

/* What a replay saw. */
enum { SEEN_MAX = 512 };
struct seen {
    uint64_t numbers[SEEN_MAX];
    bool full[SEEN_MAX];
    size_t count, stop_at;
};

static inline int see(void *arg, struct lsm_edit *edit, struct lsm_error *why) {
    struct seen *seen = arg;
    assert_true(seen->count < SEEN_MAX);
    assert_int_equal(edit->added_count, edit->next_file % 5);
    seen->numbers[seen->count] = edit->next_file;
    seen->full[seen->count++] = edit->full;
    if (seen->stop_at != 0 && seen->count == seen->stop_at) return lsm_fail(why, LSM_INTERRUPTED, "stopped");
    return LSM_OK;
}

static inline int replay(struct lsm_env *env, struct seen *seen, struct lsm_manifest_found *found) {
    seen->count = 0;
    return lsm_manifest_replay(env, KIT_DIR, kit_id, see, seen, found, &err);
}

static inline int create(struct lsm_env *env, uint64_t number, uint64_t first, struct lsm_manifest **manifest) {
    struct lsm_edit edit;
    numbered_edit(first, true, &edit);
    int status = lsm_manifest_create(env, KIT_DIR, &kit_perm, kit_id, number, &edit, NULL, manifest, &err);
    lsm_edit_release(&edit);
    return status;
}

static inline int append(struct lsm_manifest *manifest, uint64_t number) {
    struct lsm_edit edit;
    numbered_edit(number, false, &edit);
    int status = lsm_manifest_append(manifest, &edit, NULL, &err);
    lsm_edit_release(&edit);
    return status;
}

/* Manifest 3 with the edits 1 (full) .. count. ends[i]: where edit i + 1 ends in the file. */
static inline struct lsm_manifest *filled(struct lsm_env *env, uint64_t count, uint64_t *ends) {
    struct lsm_manifest *manifest = NULL;
    kit_ok(create(env, 3, 1, &manifest), &err);
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) kit_ok(append(manifest, i + 1), &err);
        if (ends != NULL) ends[i] = lsm_manifest_bytes(manifest);
    }
    return manifest;
}

static inline void expect_seen(const struct seen *seen, size_t count) {
    assert_int_equal(seen->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(seen->numbers[i], i + 1);
        assert_int_equal(seen->full[i], i == 0);
    }
}

#endif
