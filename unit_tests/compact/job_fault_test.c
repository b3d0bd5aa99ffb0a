/* Jobs that are stopped, that fail at any operation or allocation, and that lose their power: no file is left, or all that was written is there. */
#include "job_oracle.h"

/* A source with many entries, so that the job asks several times. */
struct endless {
    struct lsm_iter base;
    uint32_t at, count;
    uint8_t key[8];
};

static void endless_show(struct endless *endless) {
    lsm_store_be32(endless->key, 1);
    lsm_store_be32(endless->key + 4, endless->at);
    endless->base.valid = endless->at < endless->count;
    endless->base.kind = LSM_KIND_PUT;
    endless->base.key = lsm_slice_of(endless->key, 8);
    endless->base.value = lsm_slice_of(endless->key, 8);
}
static void endless_first(struct lsm_iter *iter) { ((struct endless *)iter)->at = 0, endless_show((struct endless *)iter); }
static void endless_next(struct lsm_iter *iter) { ((struct endless *)iter)->at++, endless_show((struct endless *)iter); }

static bool count_down(void *arg) {
    int *left = arg;
    return (*left)-- == 0;
}

static void a_job_that_is_stopped_leaves_no_file(void **state) {
    (void)state;
    static struct world world;
    static const struct lsm_iter_ops ops = {.first = endless_first, .next = endless_next};
    int64_t live = lsm_mem_live();
    open_world(&world, 1);
    int asked = 0, status = LSM_INTERRUPTED;
    while (status != LSM_OK) {
        struct endless endless = {.base.ops = &ops, .count = 3000};
        struct lsm_iter *sources[] = {&endless.base};
        int left = asked;
        struct lsm_job job = {.set = &world.set,
                              .sources = sources,
                              .count = 1,
                              .sst = sst_options,
                              .file_bytes = 9000,
                              .cancelled = count_down,
                              .cancelled_arg = &left};
        status = lsm_job_run(&job, &err);
        assert_true(status == LSM_OK || status == LSM_INTERRUPTED);
        if (status != LSM_OK) {
            assert_int_equal(err.code, LSM_INTERRUPTED);
            assert_int_equal(job.files_count, 0);
            assert_int_equal(count_tables(world.env), 0);
            asked++;
        } else {
            assert_true(job.files_count > 3);
        }
        lsm_job_release(&job);
    }
    assert_true(asked >= 3000 / 1000);
    close_world(&world);
    assert_int_equal(lsm_mem_live(), live);
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

/* Three sources over one run, values that make several files. */
static void failing_world(struct world *world) {
    uint64_t seed = 77;
    do {
        open_world(world, ++seed);
        world->value_bytes = 150;
        fill_world(world, 3, 1);
        bool tables = true, ranges = false;
        for (size_t r = 0; r < world->all; r++) {
            tables &= !world->contents[r].memory && world->files_count[r] != 0;
            ranges |= world->contents[r].ranges_count != 0;
        }
        if (tables && ranges) return;
        close_world(world);
    } while (true);
}

static void an_operation_that_fails_fails_the_job_and_no_file_is_left(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    static const unsigned ops[] = {LSM_ENV_MUTATING, LSM_ENV_READ, LSM_ENV_OPEN};
    failing_world(&world);
    size_t before = count_tables(world.env), failures = 0;
    for (size_t o = 0; o < 3; o++)
        for (uint64_t at = 1;; at++) {
            for (size_t r = 0; r < world.all; r++) /* readers are opened again: that may fail, too */
                for (size_t i = 0; i < world.files_count[r]; i++) {
                    lsm_sst_close(atomic_load(&world.files[r][i]->sst));
                    atomic_store(&world.files[r][i]->sst, NULL);
                }
            lsm_env_mem_fail_at(world.env, &(struct lsm_env_fault){.at = at, .ops = ops[o], .short_write = at % 2 == 0});
            uint64_t met = lsm_env_mem_faults(world.env);
            int status = set_up(&world, &bench);
            bench.job.file_bytes = 3000;
            if (status == LSM_OK) status = lsm_job_run(&bench.job, &err);
            met = lsm_env_mem_faults(world.env) - met;
            lsm_env_mem_fail_at(world.env, NULL);
            assert_int_equal(status, met == 0 ? LSM_OK : LSM_IO);
            if (status == LSM_OK) check_output(&world, &bench.job);
            if (status == LSM_OK)
                lsm_job_discard(&bench.job);
            else
                assert_true(err.code == LSM_IO && err.text[0] != '\0');
            assert_int_equal(bench.job.files_count, 0);
            assert_int_equal(count_tables(world.env), before);
            tear_down(&world, &bench);
            if (met == 0) break;
            failures++;
        }
    print_message("%zu failures\n", failures);
    assert_true(failures > 30);
    close_world(&world);
}

static void no_allocation_that_fails_leaves_a_file_or_memory(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    failing_world(&world);
    kit_ok(set_up(&world, &bench), &err); /* once for the readers, which stay open */
    kit_ok(lsm_job_run(&bench.job, &err), &err);
    lsm_job_discard(&bench.job);
    tear_down(&world, &bench);
    size_t before = count_tables(world.env);
    kit_ok(lsm_env_sync_dir(world.env, KIT_DIR, &err), &err);
    int64_t live = lsm_mem_live(), n = 0;
    int status;
    do {
        lsm_mem_fail_after(++n, false);
        status = set_up(&world, &bench);
        bench.job.file_bytes = 3000;
        if (status == LSM_OK) status = lsm_job_run(&bench.job, &err);
        lsm_mem_fail_after(0, false);
        assert_true(status == LSM_OK || status == LSM_NOMEM);
        if (status == LSM_OK) check_output(&world, &bench.job);
        if (status == LSM_OK) lsm_job_discard(&bench.job);
        tear_down(&world, &bench);
        assert_int_equal(count_tables(world.env), before);
        kit_ok(lsm_env_sync_dir(world.env, KIT_DIR, &err), &err); /* the disk forgets what was unlinked */
        assert_int_equal(lsm_mem_live(), live);
    } while (status != LSM_OK);
    print_message("%d allocations\n", (int)n);
    assert_true(n > 50);
    close_world(&world);
}

static void what_a_job_has_written_survives_a_power_cut(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    failing_world(&world);
    kit_ok(set_up(&world, &bench), &err);
    bench.job.file_bytes = 3000;
    kit_ok(lsm_job_run(&bench.job, &err), &err);
    assert_true(bench.job.files_count > 1);
    struct lsm_env *copy = lsm_env_mem_clone_crashed(world.env, LSM_CRASH_LOSE, 1);
    assert_non_null(copy);
    for (size_t i = 0; i < bench.job.files_count; i++) {
        char path[64];
        struct lsm_sst *sst;
        kit_path(LSM_FILE_TABLE, bench.job.files[i]->number, path, sizeof path);
        kit_ok(lsm_sst_open(copy, path, kit_id, bench.job.files[i], NULL, &sst, &err), &err);
        kit_ok(lsm_sst_verify(sst, NULL, NULL, &err), &err);
        lsm_sst_close(sst);
    }
    lsm_env_mem_free(copy);
    tear_down(&world, &bench);
    close_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_is_stopped_leaves_no_file),
        cmocka_unit_test(an_operation_that_fails_fails_the_job_and_no_file_is_left),
        cmocka_unit_test(no_allocation_that_fails_leaves_a_file_or_memory),
        cmocka_unit_test(what_a_job_has_written_survives_a_power_cut),
    };
    return cmocka_run_group_tests(tests, number_keys, NULL);
}
