/* version_set_kit.h: what the tests of the version set share: shapes as the model, table files that are names only, sets on the strict disk. Header only. */
#ifndef TEST_VERSION_SET_KIT_H
#define TEST_VERSION_SET_KIT_H

#include "../wal/wal_kit.h"

#include "../../lsm_core/version/version_set.h"

static struct lsm_error err;

/* ---- the model: where each file should be ----------------------------------------------------------------------- */

enum { NUMBERS_MAX = 1000, TREES_MAX = 16 };

struct place {
    bool there;
    int level;
    uint64_t run;
};

struct shape {
    struct place files[NUMBERS_MAX];
    uint64_t nonces[TREES_MAX]; /* 0: no such tree */
    uint64_t position, generation;
    uint32_t next_tree;
};

static inline bool note_one(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct shape *shape = arg;
    (void)run;
    assert_true(meta->number < NUMBERS_MAX && !shape->files[meta->number].there);
    shape->files[meta->number] = (struct place){.there = true, .level = level};
    return true;
}

/* What the set says. */
static inline void take_shape(struct lsm_version_set *set, struct shape *shape) {
    memset(shape, 0, sizeof *shape);
    struct lsm_version *version = lsm_version_set_ref_current(set);
    lsm_version_each(version, note_one, shape);
    for (size_t r = 0; r < version->level0_count; r++)
        for (size_t i = 0; i < version->level0[r].count; i++) shape->files[version->level0[r].files[i]->number].run = version->level0[r].number;
    lsm_version_set_unref(set, version);
    for (size_t i = 0; i < set->trees_count; i++) {
        assert_true(i == 0 || set->trees[i - 1].tree < set->trees[i].tree);
        shape->nonces[set->trees[i].tree] = set->trees[i].nonce;
    }
    shape->position = set->log_position;
    shape->generation = set->log_generation;
    shape->next_tree = set->next_tree;
}

static inline bool same_shape(const struct shape *a, const struct shape *b) {
    for (size_t i = 0; i < NUMBERS_MAX; i++)
        if (a->files[i].there != b->files[i].there || a->files[i].level != b->files[i].level || a->files[i].run != b->files[i].run) return false;
    return memcmp(a->nonces, b->nonces, sizeof a->nonces) == 0 && a->position == b->position && a->generation == b->generation &&
           a->next_tree == b->next_tree;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static inline bool on_disk(struct lsm_env *env, enum lsm_file_type type, uint64_t number) {
    char path[64];
    uint64_t size;
    kit_path(type, number, path, sizeof path);
    return lsm_env_mem_file_size(env, path, &size) == LSM_OK;
}

static inline void put_file(struct lsm_env *env, uint64_t number) { kit_write_file(env, LSM_FILE_TABLE, number, (const uint8_t *)"table", 5); }

static inline void unlink_file(struct lsm_env *env, uint64_t number) {
    char path[64];
    kit_path(LSM_FILE_TABLE, number, path, sizeof path);
    (void)!lsm_env_unlink(env, path, NULL);
}

/* Each file has keys of its own, so that all of them fit into any run. */
static inline struct lsm_file_meta *meta_of(uint64_t number) {
    struct lsm_file_meta *meta = lsm_file_meta_new();
    uint8_t key[8] = {0, 0, 0, 1};
    assert_non_null(meta);
    meta->number = number;
    meta->bytes = 5;
    lsm_store_be32(key + 4, (uint32_t)number * 2);
    assert_int_equal(lsm_buf_set(&meta->smallest, lsm_slice_of(key, 8)), LSM_OK);
    lsm_store_be32(key + 4, (uint32_t)number * 2 + 1);
    assert_int_equal(lsm_buf_set(&meta->largest, lsm_slice_of(key, 8)), LSM_OK);
    return meta;
}

static inline void edit_add(struct lsm_edit *edit, int level, uint64_t run, uint64_t number) {
    struct lsm_file_meta *meta = meta_of(number);
    assert_int_equal(lsm_edit_add_file(edit, level, run, meta), LSM_OK);
    lsm_file_meta_unref(meta);
}

static inline struct lsm_file_meta *find_meta(struct lsm_version *version, uint64_t number) {
    for (size_t r = 0; r < version->level0_count + LSM_LEVELS - 1; r++) {
        const struct lsm_run *run = r < version->level0_count ? &version->level0[r] : &version->levels[r - version->level0_count + 1];
        for (size_t i = 0; i < run->count; i++)
            if (run->files[i]->number == number) return run->files[i];
    }
    return NULL;
}

/* ---- sets ------------------------------------------------------------------------------------------------------- */

static inline void init(struct lsm_version_set *set, struct lsm_env *env) {
    assert_int_equal(lsm_version_set_init(set, env, KIT_DIR, &kit_perm, kit_id, NULL), LSM_OK);
}

static inline void create(struct lsm_version_set *set, struct lsm_env *env) {
    init(set, env);
    kit_ok(lsm_version_set_create(set, &err), &err);
}

/* As the next process finds it. */
static inline void recover_again(struct lsm_version_set *set, struct lsm_env *env, struct shape *found) {
    lsm_version_set_release(set);
    init(set, env);
    kit_ok(lsm_version_set_recover(set, &err), &err);
    take_shape(set, found);
}

static inline int apply(struct lsm_version_set *set, struct lsm_edit *edit, bool *keep) {
    int status = lsm_version_set_apply(set, edit, keep, &err);
    lsm_edit_release(edit);
    return status;
}

static inline void apply_ok(struct lsm_version_set *set, struct lsm_edit *edit) {
    bool keep = true;
    kit_ok(apply(set, edit, &keep), &err);
    assert_false(keep);
}

#endif
