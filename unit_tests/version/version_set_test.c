/* The version set on the strict disk: what is durable, what a failure leaves, when files go. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/env/sync.h"
#include "../../lsm_core/sst/sst.h"
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

static bool note_one(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct shape *shape = arg;
    (void)run;
    assert_true(meta->number < NUMBERS_MAX && !shape->files[meta->number].there);
    shape->files[meta->number] = (struct place){.there = true, .level = level};
    return true;
}

/* What the set says. */
static void take_shape(struct lsm_version_set *set, struct shape *shape) {
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

static bool same_shape(const struct shape *a, const struct shape *b) {
    for (size_t i = 0; i < NUMBERS_MAX; i++)
        if (a->files[i].there != b->files[i].there || a->files[i].level != b->files[i].level || a->files[i].run != b->files[i].run) return false;
    return memcmp(a->nonces, b->nonces, sizeof a->nonces) == 0 && a->position == b->position && a->generation == b->generation &&
           a->next_tree == b->next_tree;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static bool on_disk(struct lsm_env *env, enum lsm_file_type type, uint64_t number) {
    char path[64];
    uint64_t size;
    kit_path(type, number, path, sizeof path);
    return lsm_env_mem_file_size(env, path, &size) == LSM_OK;
}

static void put_file(struct lsm_env *env, uint64_t number) { kit_write_file(env, LSM_FILE_TABLE, number, (const uint8_t *)"table", 5); }

static void unlink_file(struct lsm_env *env, uint64_t number) {
    char path[64];
    kit_path(LSM_FILE_TABLE, number, path, sizeof path);
    (void)!lsm_env_unlink(env, path, NULL);
}

/* Each file has keys of its own, so that all of them fit into any run. */
static struct lsm_file_meta *meta_of(uint64_t number) {
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

static void edit_add(struct lsm_edit *edit, int level, uint64_t run, uint64_t number) {
    struct lsm_file_meta *meta = meta_of(number);
    assert_int_equal(lsm_edit_add_file(edit, level, run, meta), LSM_OK);
    lsm_file_meta_unref(meta);
}

static struct lsm_file_meta *find_meta(struct lsm_version *version, uint64_t number) {
    for (size_t r = 0; r < version->level0_count + LSM_LEVELS - 1; r++) {
        const struct lsm_run *run = r < version->level0_count ? &version->level0[r] : &version->levels[r - version->level0_count + 1];
        for (size_t i = 0; i < run->count; i++)
            if (run->files[i]->number == number) return run->files[i];
    }
    return NULL;
}

/* ---- sets ------------------------------------------------------------------------------------------------------- */

static void init(struct lsm_version_set *set, struct lsm_env *env) {
    assert_int_equal(lsm_version_set_init(set, env, KIT_DIR, &kit_perm, kit_id, NULL), LSM_OK);
}

static void create(struct lsm_version_set *set, struct lsm_env *env) {
    init(set, env);
    kit_ok(lsm_version_set_create(set, &err), &err);
}

static int apply(struct lsm_version_set *set, struct lsm_edit *edit, bool *keep) {
    int status = lsm_version_set_apply(set, edit, keep, &err);
    lsm_edit_release(edit);
    return status;
}

static void apply_ok(struct lsm_version_set *set, struct lsm_edit *edit) {
    bool keep = true;
    kit_ok(apply(set, edit, &keep), &err);
    assert_false(keep);
}

static void a_store_comes_back_as_it_was(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    struct shape before, after;
    init(&set, env);
    assert_int_equal(lsm_version_set_recover(&set, &err), LSM_NOTFOUND);
    kit_ok(lsm_version_set_create(&set, &err), &err);
    struct lsm_edit edit = {.log_position = 100, .log_generation = 3, .next_tree = 5};
    uint64_t a = lsm_version_set_new_number(&set), b = lsm_version_set_new_number(&set);
    edit_add(&edit, 0, 7, a);
    edit_add(&edit, 3, 0, b);
    assert_int_equal(lsm_edit_add_tree(&edit, (struct lsm_tree_info){.tree = 4, .nonce = 44}), LSM_OK);
    assert_int_equal(lsm_edit_add_tree(&edit, (struct lsm_tree_info){.tree = 2, .nonce = 22}), LSM_OK);
    apply_ok(&set, &edit);
    assert_int_equal(lsm_edit_drop_tree(&edit, 4), LSM_OK);
    assert_int_equal(lsm_edit_add_tree(&edit, (struct lsm_tree_info){.tree = 3, .nonce = 33}), LSM_OK);
    apply_ok(&set, &edit); /* zeros keep the positions */
    take_shape(&set, &before);
    assert_true(before.files[a].there && before.files[a].level == 0 && before.files[a].run == 7 && before.files[b].level == 3);
    assert_true(before.position == 100 && before.generation == 3 && before.next_tree == 5);
    assert_true(before.nonces[2] == 22 && before.nonces[3] == 33 && before.nonces[4] == 0);
    uint64_t last = lsm_version_set_new_number(&set);
    lsm_version_set_release(&set);
    for (int round = 0; round < 3; round++) {
        init(&set, env);
        kit_ok(lsm_version_set_recover(&set, &err), &err);
        take_shape(&set, &after);
        assert_true(same_shape(&before, &after));
        uint64_t next = lsm_version_set_new_number(&set);
        assert_true(next > b && next >= last); /* what no edit named may be given out again, what one did may not */
        lsm_version_set_release(&set);
    }
    static const uint8_t other[LSM_STORE_ID_BYTES] = {1};
    assert_int_equal(lsm_version_set_init(&set, env, KIT_DIR, &kit_perm, other, NULL), LSM_OK);
    assert_int_equal(lsm_version_set_recover(&set, &err), LSM_MISMATCH);
    lsm_version_set_release(&set);
    lsm_env_mem_free(env);
    assert_int_equal(lsm_mem_live(), live);
}

static void an_edit_that_does_not_fit_changes_nothing(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    bool keep = true;
    create(&set, env);
    uint64_t bytes = lsm_manifest_bytes(set.manifest);
    struct lsm_edit edit = {0};
    assert_int_equal(lsm_edit_remove_file(&edit, 77), LSM_OK);
    assert_int_equal(apply(&set, &edit, &keep), LSM_CORRUPT);
    assert_false(keep);
    assert_int_equal(lsm_manifest_bytes(set.manifest), bytes);
    edit_add(&edit, 1, 0, 80);
    apply_ok(&set, &edit);
    lsm_version_set_release(&set);
    lsm_env_mem_free(env);
}

static void a_long_manifest_is_replaced_by_a_fresh_one(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    struct shape before, after;
    create(&set, env);
    set.manifest_bytes_max = 1500;
    uint64_t number = lsm_manifest_number(set.manifest), rolls = 0, previous = 0;
    for (int i = 0; i < 100; i++) {
        struct lsm_edit edit = {.log_position = (uint64_t)i + 1};
        uint64_t file = lsm_version_set_new_number(&set);
        edit_add(&edit, 1, 0, file);
        if (previous != 0) assert_int_equal(lsm_edit_remove_file(&edit, previous), LSM_OK);
        previous = file;
        apply_ok(&set, &edit);
        assert_true(lsm_manifest_bytes(set.manifest) < 1500 + 400);
        if (lsm_manifest_number(set.manifest) == number) continue;
        assert_false(on_disk(env, LSM_FILE_MANIFEST, number));
        number = lsm_manifest_number(set.manifest);
        rolls++;
    }
    assert_true(rolls >= 5);
    assert_true(on_disk(env, LSM_FILE_MANIFEST, number));
    take_shape(&set, &before);
    lsm_version_set_release(&set);
    init(&set, env);
    kit_ok(lsm_version_set_recover(&set, &err), &err);
    take_shape(&set, &after);
    assert_true(same_shape(&before, &after));
    assert_true(lsm_version_set_new_number(&set) > number);
    lsm_version_set_release(&set);
    lsm_env_mem_free(env);
}

/* ---- files that nobody names ------------------------------------------------------------------------------------ */

static void a_removed_file_stays_as_long_as_a_version_names_it(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    create(&set, env);
    struct lsm_edit edit = {0};
    for (uint64_t n = 100; n < 103; n++) put_file(env, n), edit_add(&edit, 1, 0, n);
    apply_ok(&set, &edit);
    struct lsm_version *first = lsm_version_set_ref_current(&set);
    assert_int_equal(lsm_edit_remove_file(&edit, 100), LSM_OK);
    apply_ok(&set, &edit);
    struct lsm_version *second = lsm_version_set_ref_current(&set), *again = lsm_version_set_ref_current(&set);
    assert_ptr_equal(second, again);
    assert_int_equal(lsm_edit_remove_file(&edit, 101), LSM_OK);
    apply_ok(&set, &edit);
    assert_int_equal(atomic_load(&set.live_versions), 3);
    assert_true(on_disk(env, LSM_FILE_TABLE, 100) && on_disk(env, LSM_FILE_TABLE, 101) && on_disk(env, LSM_FILE_TABLE, 102));
    lsm_version_set_unref(&set, second); /* in any order */
    assert_true(on_disk(env, LSM_FILE_TABLE, 101));
    lsm_version_set_unref(&set, first);
    assert_false(on_disk(env, LSM_FILE_TABLE, 100));
    assert_true(on_disk(env, LSM_FILE_TABLE, 101));
    lsm_version_set_unref(&set, again);
    assert_false(on_disk(env, LSM_FILE_TABLE, 101));
    assert_true(on_disk(env, LSM_FILE_TABLE, 102));
    assert_int_equal(atomic_load(&set.live_versions), 1);
    lsm_version_set_release(&set);
    assert_true(on_disk(env, LSM_FILE_TABLE, 102));
    lsm_env_mem_free(env);
}

static void a_moved_file_is_not_removed(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    create(&set, env);
    struct lsm_edit edit = {0};
    put_file(env, 100);
    edit_add(&edit, 0, 4, 100);
    apply_ok(&set, &edit);
    for (int level = 1; level < LSM_LEVELS; level++) {
        struct lsm_version *version = lsm_version_set_ref_current(&set);
        struct lsm_file_meta *meta = find_meta(version, 100);
        assert_int_equal(lsm_edit_remove_file(&edit, 100), LSM_OK);
        assert_int_equal(lsm_edit_add_file(&edit, level, 0, meta), LSM_OK);
        apply_ok(&set, &edit);
        lsm_version_set_unref(&set, version);
        assert_true(on_disk(env, LSM_FILE_TABLE, 100));
    }
    assert_int_equal(lsm_edit_remove_file(&edit, 100), LSM_OK);
    apply_ok(&set, &edit);
    assert_false(on_disk(env, LSM_FILE_TABLE, 100));
    lsm_version_set_release(&set);
    lsm_env_mem_free(env);
}

enum { PINS_MAX = 6 };

static void at_any_time_just_the_files_of_live_versions_are_there(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    for (int round = 0; round < 20; round++) {
        struct lsm_env *env = kit_env();
        struct lsm_version_set set;
        struct lsm_version *pins[PINS_MAX] = {0};
        static struct shape shapes[PINS_MAX], now;
        create(&set, env);
        set.manifest_bytes_max = 3000;
        take_shape(&set, &now);
        uint64_t first = lsm_version_set_new_number(&set), number = first;
        for (int step = 0; step < 80; step++) {
            struct lsm_edit edit = {0};
            for (uint64_t n = first; n < number; n++) /* a few go, a few move */
                if (now.files[n].there && kit_below(&random, 6) == 0) {
                    assert_int_equal(lsm_edit_remove_file(&edit, n), LSM_OK);
                    struct lsm_file_meta *meta = find_meta(set.current, n);
                    if (kit_below(&random, 3) == 0) assert_int_equal(lsm_edit_add_file(&edit, 2, 0, meta), LSM_OK);
                }
            for (uint64_t more = kit_below(&random, 4); more > 0; more--) {
                number = lsm_version_set_new_number(&set);
                put_file(env, number);
                edit_add(&edit, (int)kit_below(&random, 3), 0, number);
            }
            number++;
            apply_ok(&set, &edit);
            take_shape(&set, &now);
            size_t p = (size_t)kit_below(&random, PINS_MAX);
            if (pins[p] != NULL) lsm_version_set_unref(&set, pins[p]);
            pins[p] = kit_below(&random, 3) == 0 ? NULL : lsm_version_set_ref_current(&set);
            shapes[p] = now;
            for (uint64_t n = first; n < number; n++) {
                bool named = now.files[n].there;
                for (size_t i = 0; i < PINS_MAX; i++) named |= pins[i] != NULL && shapes[i].files[n].there;
                assert_int_equal(on_disk(env, LSM_FILE_TABLE, n), named);
            }
        }
        for (size_t i = 0; i < PINS_MAX; i++)
            if (pins[i] != NULL) lsm_version_set_unref(&set, pins[i]);
        for (uint64_t n = first; n < number; n++) assert_int_equal(on_disk(env, LSM_FILE_TABLE, n), now.files[n].there);
        assert_int_equal(atomic_load(&set.live_versions), 1);
        lsm_version_set_release(&set);
        lsm_env_mem_free(env);
    }
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

static void a_failed_append_keeps_the_files_and_the_next_edit_starts_a_new_manifest(void **state) {
    (void)state;
    for (int keep_on_sync = 0; keep_on_sync <= 1; keep_on_sync++) {
        struct lsm_env *env = kit_env();
        struct lsm_version_set set;
        bool keep = false;
        create(&set, env);
        struct lsm_edit edit = {0};
        edit_add(&edit, 1, 0, 100);
        apply_ok(&set, &edit);
        uint64_t number = lsm_manifest_number(set.manifest);
        static struct shape before, after;
        take_shape(&set, &before);
        lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_SYNC, .keep_on_sync = keep_on_sync == 1});
        edit_add(&edit, 1, 0, 101);
        assert_int_equal(apply(&set, &edit, &keep), LSM_IO);
        assert_true(keep);
        assert_int_equal(err.code, LSM_IO);
        take_shape(&set, &after);
        assert_true(same_shape(&before, &after));
        lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_CREATE}); /* nor can the new one be made */
        edit_add(&edit, 1, 0, 102);
        assert_int_equal(apply(&set, &edit, &keep), LSM_IO);
        assert_true(keep); /* the disk may still hold the first one */
        lsm_env_mem_fail_at(env, NULL);
        edit_add(&edit, 1, 0, 103);
        apply_ok(&set, &edit);
        assert_true(lsm_manifest_number(set.manifest) > number);
        edit_add(&edit, 1, 0, 104);
        apply_ok(&set, &edit);
        assert_int_equal(lsm_edit_remove_file(&edit, 999), LSM_OK);
        keep = true;
        assert_int_equal(apply(&set, &edit, &keep), LSM_CORRUPT);
        assert_false(keep); /* all is certain again */
        lsm_version_set_release(&set);
        init(&set, env);
        kit_ok(lsm_version_set_recover(&set, &err), &err);
        take_shape(&set, &after);
        assert_true(after.files[100].there && !after.files[101].there && !after.files[102].there && after.files[103].there && after.files[104].there);
        lsm_version_set_release(&set);
        lsm_env_mem_free(env);
    }
}

static void a_new_manifest_that_cannot_be_named_leaves_the_old_one_in_use(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    bool keep = true;
    static struct shape before, after;
    create(&set, env);
    set.manifest_bytes_max = 0; /* every edit wants a new one */
    uint64_t number = lsm_manifest_number(set.manifest);
    static const unsigned early[] = {LSM_ENV_CREATE, LSM_ENV_WRITE, LSM_ENV_SYNC, LSM_ENV_RENAME};
    for (size_t i = 0; i < 4; i++) {
        struct lsm_edit edit = {0};
        lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = early[i]});
        edit_add(&edit, 1, 0, 100);
        assert_int_equal(apply(&set, &edit, &keep), LSM_IO);
        assert_false(keep);
        assert_int_equal(lsm_manifest_number(set.manifest), number);
    }
    set.manifest_bytes_max = 1 << 20;
    struct lsm_edit edit = {0};
    edit_add(&edit, 1, 0, 101);
    apply_ok(&set, &edit);
    take_shape(&set, &before);
    lsm_version_set_release(&set);
    init(&set, env);
    kit_ok(lsm_version_set_recover(&set, &err), &err);
    take_shape(&set, &after);
    assert_true(same_shape(&before, &after));
    lsm_version_set_release(&set);
    lsm_env_mem_free(env);
}

/* CURRENT names the new manifest, but the directory could not be synced: either may be found after a crash. */
static void a_new_manifest_named_but_perhaps_not_durably_is_not_gone_back_behind(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    bool keep = false;
    static struct shape before, after;
    create(&set, env);
    set.manifest_bytes_max = 0;
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 2, .ops = LSM_ENV_SYNC_DIR});
    struct lsm_edit edit = {0};
    edit_add(&edit, 1, 0, 100);
    assert_int_equal(apply(&set, &edit, &keep), LSM_IO);
    assert_true(keep); /* CURRENT's manifest names it */
    set.manifest_bytes_max = 1 << 20;
    edit_add(&edit, 1, 0, 101);
    apply_ok(&set, &edit);
    take_shape(&set, &before);
    assert_true(!before.files[100].there && before.files[101].there);
    lsm_version_set_release(&set);
    init(&set, env);
    kit_ok(lsm_version_set_recover(&set, &err), &err);
    take_shape(&set, &after);
    assert_true(same_shape(&before, &after));
    lsm_version_set_release(&set);
    lsm_env_mem_free(env);
}

static void out_of_memory_leaves_the_set_as_it_was_and_nothing_leaks(void **state) {
    (void)state;
    for (int roll = 0; roll <= 1; roll++) {
        int64_t start = lsm_mem_live();
        int failures = 0;
        struct lsm_version_set set;
        for (int64_t n = 1;; n++) {
            struct lsm_env *env = kit_env();
            static struct shape before, after;
            bool keep = false;
            create(&set, env);
            struct lsm_edit edit = {0};
            edit_add(&edit, 1, 0, 100);
            apply_ok(&set, &edit);
            if (roll) set.manifest_bytes_max = 0;
            take_shape(&set, &before);
            assert_int_equal(lsm_edit_remove_file(&edit, 100), LSM_OK);
            edit_add(&edit, 0, 3, 101);
            assert_int_equal(lsm_edit_add_tree(&edit, (struct lsm_tree_info){.tree = 1, .nonce = 1}), LSM_OK);
            lsm_mem_fail_after(n, false);
            int status = apply(&set, &edit, &keep);
            lsm_mem_fail_after(0, false);
            take_shape(&set, &after);
            assert_int_equal(same_shape(&before, &after), status != LSM_OK);
            failures += status != LSM_OK;
            if (status != LSM_OK) assert_true(err.code == status);
            edit_add(&edit, 0, 4, 102);
            apply_ok(&set, &edit); /* and goes on */
            take_shape(&set, &before);
            lsm_version_set_release(&set);
            init(&set, env);
            kit_ok(lsm_version_set_recover(&set, &err), &err);
            take_shape(&set, &after);
            assert_true(same_shape(&before, &after));
            lsm_version_set_release(&set);
            lsm_env_mem_free(env);
            assert_int_equal(lsm_mem_live(), start);
            if (status == LSM_OK && n > 60) break; /* some allocations may fail without harm */
        }
        assert_true(failures >= 8);
    }
}

static void out_of_memory_while_opening_leaks_nothing(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    create(&set, env);
    for (uint64_t n = 100; n < 105; n++) {
        struct lsm_edit edit = {0};
        edit_add(&edit, 1, 0, n);
        apply_ok(&set, &edit);
    }
    lsm_version_set_release(&set);
    int64_t live = lsm_mem_live();
    int failures = 0, status;
    do {
        lsm_mem_fail_after(++failures, false);
        status = lsm_version_set_init(&set, env, KIT_DIR, &kit_perm, kit_id, NULL);
        if (status == LSM_OK) {
            status = lsm_version_set_recover(&set, &err);
            lsm_version_set_release(&set);
        }
        lsm_mem_fail_after(0, false);
        assert_true(status == LSM_OK || status == LSM_NOMEM);
        assert_int_equal(lsm_mem_live(), live);
    } while (status != LSM_OK);
    assert_true(failures > 20);
    lsm_env_mem_free(env);
}

/* ---- faults and crashes together -------------------------------------------------------------------------------- */

enum { EDITS = 14, CANDIDATES_MAX = EDITS + 1 };

struct run {
    struct lsm_env *env;
    struct lsm_version_set set;
    uint64_t random;
    struct shape acked, candidates[CANDIDATES_MAX]; /* what failed edits may have left on the disk since the last good one */
    size_t candidates_count;
    uint64_t first, number; /* files made */
};

static size_t count_files(struct lsm_env *env) {
    struct lsm_names names = {0};
    kit_ok(lsm_env_list(env, KIT_DIR, &names, &err), &err);
    size_t count = names.count;
    lsm_names_free(&names);
    return count;
}

/* What a power cut or a kill leaves right now must be one of the states it may be, with all its files. */
static void check_crash(struct run *run, enum lsm_crash_mode mode) {
    struct lsm_env *copy = lsm_env_mem_clone_crashed(run->env, mode, kit_random(&run->random));
    struct lsm_version_set set;
    static struct shape found;
    assert_non_null(copy);
    size_t files = count_files(copy);
    init(&set, copy);
    kit_ok(lsm_version_set_recover(&set, &err), &err);
    assert_int_equal(count_files(copy), files); /* recovery alone removes nothing: what it read may not be durable yet */
    take_shape(&set, &found);
    bool known = same_shape(&found, &run->acked);
    for (size_t i = 0; i < run->candidates_count; i++) known |= same_shape(&found, &run->candidates[i]);
    assert_true(known);
    for (uint64_t n = 0; n < NUMBERS_MAX; n++)
        if (found.files[n].there) assert_true(on_disk(copy, LSM_FILE_TABLE, n));
    struct lsm_edit edit = {0}; /* and it goes on */
    edit_add(&edit, 0, 50, lsm_version_set_new_number(&set));
    apply_ok(&set, &edit);
    lsm_version_set_release(&set);
    lsm_env_mem_free(copy);
}

/* A random edit, and what the shape is if it succeeds. */
static void random_edit(struct run *run, struct lsm_edit *edit, struct shape *wanted) {
    uint64_t *random = &run->random;
    *wanted = run->acked;
    *edit = (struct lsm_edit){.log_position = wanted->position = run->acked.position + 1};
    for (uint64_t n = run->first; n < run->number; n++) {
        if (!run->acked.files[n].there || kit_below(random, 4) != 0) continue;
        assert_int_equal(lsm_edit_remove_file(edit, n), LSM_OK);
        wanted->files[n] = (struct place){0};
        if (kit_below(random, 3) != 0) continue;
        assert_int_equal(lsm_edit_add_file(edit, 4, 0, find_meta(run->set.current, n)), LSM_OK);
        wanted->files[n] = (struct place){.there = true, .level = 4};
    }
    uint64_t file = lsm_version_set_new_number(&run->set);
    run->number = file + 1;
    put_file(run->env, file);
    int level = (int)kit_below(random, 3);
    edit_add(edit, level, level == 0 ? file : 0, file);
    wanted->files[file] = (struct place){.there = true, .level = level, .run = level == 0 ? file : 0};
    uint32_t tree = 1 + (uint32_t)kit_below(random, TREES_MAX - 1);
    if (wanted->nonces[tree] == 0)
        assert_int_equal(lsm_edit_add_tree(edit, (struct lsm_tree_info){.tree = tree, .nonce = file}), LSM_OK);
    else
        assert_int_equal(lsm_edit_drop_tree(edit, tree), LSM_OK);
    wanted->nonces[tree] = wanted->nonces[tree] == 0 ? file : 0;
}

/* As a flush does it: if the edit fails and the files need not stay, they go. */
static void do_edit(struct run *run) {
    static struct shape wanted, now;
    struct lsm_edit edit;
    bool keep = false;
    random_edit(run, &edit, &wanted);
    uint64_t added = edit.added[edit.added_count - 1].meta->number;
    if (apply(&run->set, &edit, &keep) == LSM_OK) {
        assert_false(keep);
        run->acked = wanted;
        run->candidates_count = 0;
    } else if (keep) {
        run->candidates[run->candidates_count++] = wanted;
    } else {
        unlink_file(run->env, added);
    }
    take_shape(&run->set, &now);
    assert_true(same_shape(&now, &run->acked));
}

/* False: the fault was never met. */
static bool run_with_fault(const struct lsm_env_fault *fault, uint64_t seed, uint64_t *crashes) {
    static struct run run;
    memset(&run, 0, sizeof run);
    run.env = kit_env();
    run.random = seed;
    create(&run.set, run.env);
    run.set.manifest_bytes_max = 1000;
    run.first = run.number = lsm_version_set_new_number(&run.set);
    take_shape(&run.set, &run.acked);
    lsm_env_mem_fail_at(run.env, fault);
    for (int i = 0; i < EDITS; i++) {
        uint64_t faults = lsm_env_mem_faults(run.env);
        do_edit(&run);
        if (fault->sticky && lsm_env_mem_faults(run.env) > 3) lsm_env_mem_fail_at(run.env, NULL); /* the disk heals */
        if (lsm_env_mem_faults(run.env) == faults && i % 5 != 0) continue;
        check_crash(&run, LSM_CRASH_LOSE);
        check_crash(&run, LSM_CRASH_KEEP);
        for (int r = 0; r < 3; r++) check_crash(&run, LSM_CRASH_RANDOM);
        *crashes += 5;
    }
    bool met = lsm_env_mem_faults(run.env) != 0;
    lsm_env_mem_fail_at(run.env, NULL);
    lsm_version_set_release(&run.set);
    check_crash(&run, LSM_CRASH_KEEP);
    lsm_env_mem_free(run.env);
    return met;
}

static void whatever_fails_a_crash_leaves_what_was_acknowledged_or_what_was_tried(void **state) {
    (void)state;
    uint64_t seed = kit_seed(), points = 0, crashes = 0;
    for (int variant = 0; variant < 4; variant++) {
        struct lsm_env_fault fault = {.at = 1, .sticky = (variant & 1) != 0, .keep_on_sync = (variant & 2) != 0, .short_write = (variant & 2) != 0};
        for (; run_with_fault(&fault, seed, &crashes); fault.at++) points++;
    }
    print_message("%llu faults, %llu crashes\n", (unsigned long long)points, (unsigned long long)crashes);
    assert_true(points > 100);
}

static void behind_a_torn_record_a_new_manifest_is_written(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    uint8_t *bytes;
    size_t size;
    static struct shape shape;
    create(&set, env);
    struct lsm_edit edit = {0};
    edit_add(&edit, 1, 0, 100);
    apply_ok(&set, &edit);
    uint64_t good = lsm_manifest_bytes(set.manifest), number = lsm_manifest_number(set.manifest);
    edit_add(&edit, 1, 0, 101);
    apply_ok(&set, &edit);
    lsm_version_set_release(&set);
    kit_read_file(env, LSM_FILE_MANIFEST, number, &bytes, &size);
    kit_write_file(env, LSM_FILE_MANIFEST, number, bytes, (size_t)good + (size - (size_t)good) / 2);
    lsm_free(bytes);
    for (int round = 0; round < 2; round++) {
        init(&set, env);
        kit_ok(lsm_version_set_recover(&set, &err), &err);
        take_shape(&set, &shape);
        assert_true(shape.files[100].there && !shape.files[101].there && shape.files[102].there == (round == 1));
        if (round == 0) {
            edit_add(&edit, 1, 0, 102);
            apply_ok(&set, &edit);
            assert_true(lsm_manifest_number(set.manifest) > number);
        }
        lsm_version_set_release(&set);
    }
    lsm_env_mem_free(env);
}

/* ---- readers ---------------------------------------------------------------------------------------------------- */

static void a_table_is_opened_once_and_stays_with_its_meta(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_env *env = kit_env();
    struct lsm_version_set set;
    struct lsm_sst_writer *writer;
    struct lsm_sst *first, *second;
    const struct lsm_sst_options options = {.block_bytes = 4096, .compression = LSM_COMPRESS_NONE, .filter_bits_per_key = 10};
    char path[64];
    create(&set, env);
    struct lsm_file_meta *meta = lsm_file_meta_new();
    kit_path(LSM_FILE_TABLE, 100, path, sizeof path);
    kit_ok(lsm_sst_writer_open(env, path, &kit_perm, kit_id, 100, &options, &writer, &err), &err);
    kit_ok(lsm_sst_writer_add(writer, LSM_KIND_PUT, lsm_slice_of("\0\0\0\1k", 5), lsm_slice_of("v", 1), &err), &err);
    kit_ok(lsm_sst_writer_finish(writer, 0, 1, meta, &err), &err);
    struct lsm_edit edit = {0};
    assert_int_equal(lsm_edit_add_file(&edit, 1, 0, meta), LSM_OK);
    lsm_file_meta_unref(meta);
    apply_ok(&set, &edit);
    for (int64_t n = 1;; n++) {
        lsm_mem_fail_after(n, false);
        int status = lsm_version_set_table(&set, meta, &first, &err);
        lsm_mem_fail_after(0, false);
        if (status == LSM_OK) break;
        assert_int_equal(status, LSM_NOMEM);
        assert_null(atomic_load(&meta->sst));
    }
    kit_ok(lsm_version_set_table(&set, meta, &second, &err), &err);
    assert_ptr_equal(first, second);
    struct lsm_file_meta *missing = meta_of(101);
    assert_int_not_equal(lsm_version_set_table(&set, missing, &first, &err), LSM_OK);
    assert_non_null(strstr(err.text, "00000101.sst"));
    lsm_file_meta_unref(missing);
    lsm_version_set_release(&set);
    lsm_env_mem_free(env);
    assert_int_equal(lsm_mem_live(), live);
}

enum { READERS = 3, THREAD_EDITS = 300 };

struct crowd {
    struct lsm_version_set set;
    struct lsm_env *env;
    _Atomic bool stop;
    _Atomic uint64_t missing, looks;
};

static bool look(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct crowd *crowd = arg;
    (void)level, (void)run;
    if (!on_disk(crowd->env, LSM_FILE_TABLE, meta->number)) (void)atomic_fetch_add(&crowd->missing, 1);
    (void)atomic_fetch_add(&crowd->looks, 1);
    return true;
}

static void reader(void *arg) {
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->stop)) {
        struct lsm_version *one = lsm_version_set_ref_current(&crowd->set), *two = lsm_version_set_ref_current(&crowd->set);
        lsm_version_each(one, look, crowd);
        lsm_version_set_unref(&crowd->set, one);
        lsm_version_each(two, look, crowd);
        lsm_version_set_unref(&crowd->set, two);
    }
}

static void readers_on_threads_never_miss_a_file_and_none_is_left_over(void **state) {
    (void)state;
    static struct crowd crowd;
    struct lsm_thread threads[READERS];
    crowd.env = kit_env();
    create(&crowd.set, crowd.env);
    for (int i = 0; i < READERS; i++) assert_int_equal(lsm_thread_start(&threads[i], "reader", reader, &crowd), LSM_OK);
    uint64_t files[4] = {0}, first = lsm_version_set_new_number(&crowd.set), last = first;
    for (int i = 0; i < THREAD_EDITS; i++) {
        struct lsm_edit edit = {0};
        uint64_t *slot = &files[i % 4];
        if (*slot != 0) assert_int_equal(lsm_edit_remove_file(&edit, *slot), LSM_OK);
        *slot = last = lsm_version_set_new_number(&crowd.set);
        put_file(crowd.env, *slot);
        edit_add(&edit, 1, 0, *slot);
        apply_ok(&crowd.set, &edit);
    }
    /* On a busy machine the readers may not have had a turn yet; four files are there to be looked at. */
    while (atomic_load(&crowd.looks) == 0) lsm_env_sleep_us(crowd.env, 100);
    atomic_store(&crowd.stop, true);
    for (int i = 0; i < READERS; i++) lsm_thread_join(&threads[i]);
    assert_int_equal(atomic_load(&crowd.missing), 0);
    for (uint64_t n = first; n <= last; n++) {
        bool named = n == files[0] || n == files[1] || n == files[2] || n == files[3];
        assert_int_equal(on_disk(crowd.env, LSM_FILE_TABLE, n), named);
    }
    lsm_version_set_release(&crowd.set);
    lsm_env_mem_free(crowd.env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_comes_back_as_it_was),
        cmocka_unit_test(an_edit_that_does_not_fit_changes_nothing),
        cmocka_unit_test(a_long_manifest_is_replaced_by_a_fresh_one),
        cmocka_unit_test(a_removed_file_stays_as_long_as_a_version_names_it),
        cmocka_unit_test(a_moved_file_is_not_removed),
        cmocka_unit_test(at_any_time_just_the_files_of_live_versions_are_there),
        cmocka_unit_test(a_failed_append_keeps_the_files_and_the_next_edit_starts_a_new_manifest),
        cmocka_unit_test(a_new_manifest_that_cannot_be_named_leaves_the_old_one_in_use),
        cmocka_unit_test(a_new_manifest_named_but_perhaps_not_durably_is_not_gone_back_behind),
        cmocka_unit_test(out_of_memory_leaves_the_set_as_it_was_and_nothing_leaks),
        cmocka_unit_test(out_of_memory_while_opening_leaks_nothing),
        cmocka_unit_test(whatever_fails_a_crash_leaves_what_was_acknowledged_or_what_was_tried),
        cmocka_unit_test(behind_a_torn_record_a_new_manifest_is_written),
        cmocka_unit_test(a_table_is_opened_once_and_stays_with_its_meta),
        cmocka_unit_test(readers_on_threads_never_miss_a_file_and_none_is_left_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
