/* The version set on the strict disk: what is durable, when files go, who reads them meanwhile. */
#include "version_set_kit.h"

#include "../../lsm_core/env/sync.h"
#include "../../lsm_core/sst/sst.h"

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
    recover_again(&set, env, &after);
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
        cmocka_unit_test(a_table_is_opened_once_and_stays_with_its_meta),
        cmocka_unit_test(readers_on_threads_never_miss_a_file_and_none_is_left_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
