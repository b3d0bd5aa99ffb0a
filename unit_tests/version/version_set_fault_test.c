/* The version set when operations and memory fail, and when the power does then. */
#include "version_set_kit.h"

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
        recover_again(&set, env, &after);
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
    recover_again(&set, env, &after);
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
    recover_again(&set, env, &after);
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
            recover_again(&set, env, &after);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_append_keeps_the_files_and_the_next_edit_starts_a_new_manifest),
        cmocka_unit_test(a_new_manifest_that_cannot_be_named_leaves_the_old_one_in_use),
        cmocka_unit_test(a_new_manifest_named_but_perhaps_not_durably_is_not_gone_back_behind),
        cmocka_unit_test(out_of_memory_leaves_the_set_as_it_was_and_nothing_leaks),
        cmocka_unit_test(out_of_memory_while_opening_leaks_nothing),
        cmocka_unit_test(whatever_fails_a_crash_leaves_what_was_acknowledged_or_what_was_tried),
        cmocka_unit_test(behind_a_torn_record_a_new_manifest_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
