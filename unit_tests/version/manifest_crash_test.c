/* The manifest when the power fails, and when operations do: every acknowledged edit is in the old or in the new one. */
#include "manifest_kit.h"

/* A random life of manifests; after every operation the disk is looked at as a power cut could leave it. */
struct life {
    struct lsm_env *env;
    struct lsm_manifest *manifest;
    uint64_t random, next;    /* next: number of the next edit */
    uint64_t number;          /* of the manifest in use, 0: none yet */
    uint64_t first, last;     /* acknowledged edits of the manifest in use: first is its full one */
    bool appending, creating; /* an edit `next`, a manifest number + 1 that begins with `next`, is under way or failed without a clear answer */
    uint64_t states;
};
static struct life life;

static void check_disk(struct lsm_env *env) {
    struct seen seen = {0};
    struct lsm_manifest_found found;
    int status = replay(env, &seen, &found);
    life.states++;
    if (life.number == 0 && status == LSM_NOTFOUND) return;
    kit_ok(status, &err);
    if (life.creating && found.number == life.number + 1) {
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.numbers[0], life.next);
        assert_false(found.torn);
        return;
    }
    assert_int_equal(found.number, life.number);
    size_t acknowledged = (size_t)(life.last - life.first + 1);
    assert_true(seen.count >= acknowledged && seen.count <= acknowledged + (life.appending ? 1 : 0));
    for (size_t i = 0; i < seen.count; i++) assert_int_equal(seen.numbers[i], i < acknowledged ? life.first + i : life.next);
    if (!life.appending) assert_false(found.torn);
}

static void check_crashes(uint64_t random_states) {
    for (uint64_t i = 0; i < 3 + random_states; i++) {
        enum lsm_crash_mode mode = i == 0 ? LSM_CRASH_LOSE : i == 1 ? LSM_CRASH_KEEP : i == 2 ? LSM_CRASH_TORN : LSM_CRASH_RANDOM;
        struct lsm_env *crashed = lsm_env_mem_clone_crashed(life.env, mode, kit_random(&life.random));
        assert_non_null(crashed);
        check_disk(crashed);
        lsm_env_mem_free(crashed);
    }
}

static void on_op(void *arg, const struct lsm_env_op *op) {
    (void)op;
    check_crashes(*(const uint64_t *)arg);
}

static int life_create(void) {
    struct lsm_manifest *manifest = NULL;
    life.creating = true;
    int status = create(life.env, life.number + 1, life.next, &manifest);
    if (status != LSM_OK) {
        assert_null(manifest);
        return status; /* the old one stands, or nobody knows: creating stays */
    }
    lsm_manifest_close(life.manifest);
    life.manifest = manifest;
    life.number++;
    life.first = life.last = life.next++;
    life.creating = life.appending = false;
    return LSM_OK;
}

static int life_append(void) {
    life.appending = true;
    int status = append(life.manifest, life.next);
    if (status != LSM_OK) return status;
    life.last = life.next++;
    life.appending = false;
    return LSM_OK;
}

static int life_step(void) { return kit_below(&life.random, 7) == 0 ? life_create() : life_append(); }

static void life_start(uint64_t seed) { life = (struct life){.env = kit_env(), .random = seed, .next = 1}; }

static void life_stop(void) {
    lsm_manifest_close(life.manifest);
    lsm_env_mem_free(life.env);
}

static void a_power_cut_leaves_the_old_or_the_new_manifest_with_every_acknowledged_edit(void **state) {
    (void)state;
    uint64_t seed = kit_seed(), random_states = 6, states = 0;
    for (int round = 0; round < 25; round++) {
        life_start(kit_random(&seed));
        lsm_env_mem_on_op(life.env, on_op, &random_states);
        kit_ok(life_create(), &err);
        for (int i = 0; i < 25; i++) kit_ok(life_step(), &err);
        lsm_env_mem_on_op(life.env, NULL, NULL);
        states += life.states;
        life_stop();
    }
    print_message("%llu crash states\n", (unsigned long long)states);
}

/* An operation fails. An append: its manifest is dead, the next one takes over with what was acknowledged and what was not.
 * A create: it says so, and the store as it was can be opened. */
static bool one_faulty_life(uint64_t seed, const struct lsm_env_fault *fault, uint64_t *errors) {
    life_start(seed);
    lsm_env_mem_fail_at(life.env, fault);
    for (int i = 0; i < 12; i++) {
        int status = life.manifest == NULL ? life_create() : life_step();
        if (status == LSM_OK) continue;
        (*errors)++;
        assert_int_equal(status, err.code);
        check_crashes(3);
        if (life.creating) break; /* whether CURRENT names the new one is open: a store stops here */
        uint64_t bytes = lsm_manifest_bytes(life.manifest);
        assert_int_equal(append(life.manifest, life.next), LSM_IO);
        assert_non_null(strstr(err.text, "not used any more"));
        assert_int_equal(lsm_manifest_bytes(life.manifest), bytes);
        check_crashes(3);
        if (life_create() != LSM_OK) break;
        check_crashes(3);
    }
    check_crashes(3);
    return lsm_env_mem_faults(life.env) > 0;
}

static void whichever_operation_fails_acknowledged_edits_stay(void **state) {
    (void)state;
    uint64_t seed = kit_seed(), states = 0, lives = 0, errors = 0;
    for (int round = 0; round < 4; round++) {
        uint64_t life_seed = kit_random(&seed);
        for (unsigned variant = 0; variant < KIT_FAULTS; variant++) {
            bool more = true;
            for (uint64_t at = 1; more; at++) {
                struct lsm_env_fault fault = kit_fault(at, variant);
                more = one_faulty_life(life_seed, &fault, &errors);
                lives++;
                states += life.states;
                life_stop();
            }
        }
    }
    print_message("%llu lives, %llu errors, %llu crash states\n", (unsigned long long)lives, (unsigned long long)errors, (unsigned long long)states);
}

static void a_failed_create_leaves_no_file_and_the_old_current(void **state) {
    (void)state;
    /* create, write, sync, directory sync; temporary: create, truncate, write, sync; rename; then the last directory sync, when it is too late. */
    for (uint64_t at = 1; at <= 10; at++) {
        struct lsm_env *env = kit_env();
        struct lsm_manifest *manifest = NULL;
        struct seen seen = {0};
        struct lsm_manifest_found found;
        struct lsm_names names = {0};
        lsm_manifest_close(filled(env, 2, NULL));
        struct lsm_env_fault fault = {.at = at};
        lsm_env_mem_fail_at(env, &fault);
        assert_int_equal(create(env, 4, 9, &manifest), LSM_IO);
        assert_int_equal(lsm_env_mem_faults(env), 1);
        assert_null(manifest);
        struct lsm_error told = err;
        kit_ok(replay(env, &seen, &found), &err);
        kit_ok(lsm_env_list(env, KIT_DIR, &names, &err), &err);
        assert_int_equal(found.number, at == 10 ? 4 : 3);
        assert_int_equal(names.count, at == 10 ? 3 : 2);
        if (at == 10) assert_non_null(strstr(told.text, "may bring the old one back"));
        lsm_names_free(&names);
        lsm_env_mem_free(env);
    }
}

/* A writer was killed between write and sync: what replay saw is made durable before anybody builds on it. */
static void resume_makes_what_was_replayed_durable(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct seen seen = {0};
    struct lsm_manifest_found found;
    struct lsm_manifest *manifest = filled(env, 2, NULL);
    struct lsm_buf record = {0}, payload = {0};
    struct lsm_edit edit;
    struct lsm_file *file = NULL;
    kit_ok(replay(env, &seen, &found), &err);
    numbered_edit(3, false, &edit);
    assert_int_equal(lsm_edit_encode(&edit, &payload), LSM_OK);
    struct lsm_chain_record put = {.position = found.bytes - 64, .prev = found.check, .synced = found.bytes - 64, .kind = 1};
    uint64_t seed = lsm_chain_seed(&lsm_chain_manifest, kit_id, 3, 0);
    assert_int_equal(lsm_chain_record_put(&record, seed, &put, lsm_buf_slice(&payload), lsm_slice_of(NULL, 0)), LSM_OK);
    kit_ok(lsm_env_open(env, KIT_DIR "/MANIFEST-00000003", LSM_OPEN_WRITE, NULL, &file, &err), &err);
    kit_ok(lsm_file_write_at(file, found.bytes, record.data, record.size, &err), &err);
    lsm_file_close(file);
    lsm_manifest_close(manifest);

    kit_ok(replay(env, &seen, &found), &err);
    expect_seen(&seen, 3);
    kit_ok(lsm_manifest_resume(env, KIT_DIR, &found, &manifest, &err), &err);
    lsm_manifest_close(manifest);
    assert_int_equal(lsm_env_mem_crash(env, LSM_CRASH_LOSE, 1), LSM_OK);
    kit_ok(replay(env, &seen, &found), &err);
    expect_seen(&seen, 3);
    lsm_edit_release(&edit);
    lsm_buf_free(&payload);
    lsm_buf_free(&record);
    lsm_env_mem_free(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new_manifest_with_every_acknowledged_edit),
        cmocka_unit_test(whichever_operation_fails_acknowledged_edits_stay),
        cmocka_unit_test(a_failed_create_leaves_no_file_and_the_old_current),
        cmocka_unit_test(resume_makes_what_was_replayed_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
