/* The files of a run, one after the other. */
#include "job_kit.h"

static void expect_at(const struct world *world, const struct lsm_iter *iter, int k, int low, int high) {
    assert_int_equal(iter->status, LSM_OK);
    assert_int_equal(iter->valid, k >= low && k < high);
    if (!iter->valid) return;
    assert_int_equal(key_number(iter->key), k);
    assert_int_equal(iter->kind, world->contents[0].kinds[k]);
    assert_true(lsm_slice_equal(iter->value, value_of(world, &world->contents[0], k)));
}

static int step(const struct world *world, int k, int by, int low, int high) {
    do k += by;
    while (k >= low && k < high && world->contents[0].kinds[k] == 0);
    return k;
}

static void a_run_reads_like_one_file_forward_and_backward(void **state) {
    (void)state;
    uint64_t seed = kit_seed();
    static struct world world;
    for (uint64_t round = 0; round < 200; round++) {
        open_world(&world, seed * 1000 + round);
        world.sources = world.all = 1;
        random_content(&world, &world.contents[0], false, 1);
        write_run(&world, 0);
        struct lsm_run_iter run;
        struct lsm_iter *iter = &run.base;
        lsm_run_iter_init(&run, &world.set, world.files[0], world.files_count[0], round % 2 == 0);
        int low = 0, high = KEYS, at = -1;
        if (round % 2 == 1) { /* one tree of it: seeks stay in the tree, as its cursors' do */
            run.tree = 1 + (uint32_t)below(&world, TREES);
            low = (int)(run.tree - 1) * TREE_KEYS;
            high = low + TREE_KEYS;
        }
        for (int i = 0; i < 200; i++) {
            uint64_t move = below(&world, 16);
            int wanted = low + (int)below(&world, (uint64_t)(high - low));
            if (move == 0 && run.tree == 0)
                lsm_iter_first(iter), at = step(&world, -1, 1, low, high);
            else if (move == 1 && run.tree == 0)
                lsm_iter_last(iter), at = step(&world, KEYS, -1, low, high);
            else if (move <= 2)
                lsm_iter_seek(iter, key_of(wanted)), at = step(&world, wanted - 1, 1, low, high);
            else if (move == 3)
                lsm_iter_seek_before(iter, key_of(wanted)), at = step(&world, wanted, -1, low, high);
            else if (!iter->valid)
                continue;
            else if (move < 10)
                lsm_iter_next(iter), at = step(&world, at, 1, low, high);
            else
                lsm_iter_prev(iter), at = step(&world, at, -1, low, high);
            expect_at(&world, iter, at, low, high);
        }
        lsm_iter_release(iter);
        close_world(&world);
    }
}

static void a_run_with_a_missing_file_says_so(void **state) {
    (void)state;
    static struct world world;
    full_world(&world, 10);
    lsm_file_meta_unref(world.files[0][0]);
    world.files[0][0] = write_table(&world, &world.contents[0], 0, 50);
    world.files[0][1] = write_table(&world, &world.contents[0], 50, KEYS);
    world.files_count[0] = 2;
    char path[64];
    kit_path(LSM_FILE_TABLE, world.files[0][1]->number, path, sizeof path);
    kit_ok(lsm_env_unlink(world.env, path, &err), &err);
    struct lsm_run_iter run;
    lsm_run_iter_init(&run, &world.set, world.files[0], 2, false);
    int read = 0;
    for (lsm_iter_first(&run.base); run.base.valid; lsm_iter_next(&run.base)) read++;
    assert_int_equal(read, 50);
    assert_int_not_equal(run.base.status, LSM_OK);
    assert_non_null(strstr(run.base.err.text, path));
    lsm_iter_seek(&run.base, key_of(60));
    assert_false(run.base.valid);
    assert_int_not_equal(run.base.status, LSM_OK);
    lsm_iter_seek(&run.base, key_of(7)); /* what is there can still be read */
    assert_true(run.base.valid);
    lsm_iter_release(&run.base);
    static struct bench bench;
    size_t before = count_tables(world.env);
    kit_ok(set_up(&world, &bench), &err);
    assert_int_not_equal(lsm_job_run(&bench.job, &err), LSM_OK);
    assert_int_equal(count_tables(world.env), before);
    tear_down(&world, &bench);
    close_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_reads_like_one_file_forward_and_backward),
        cmocka_unit_test(a_run_with_a_missing_file_says_so),
    };
    return cmocka_run_group_tests(tests, number_keys, NULL);
}
