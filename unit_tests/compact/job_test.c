/* Jobs against an oracle: random sources at several ages, table files and memtables, with tombstones and range tombstones, over runs that lie
 * below. What must come out is known for every key. */
#include "job_oracle.h"

static void whatever_goes_in_what_comes_out_reads_the_same_and_holds_no_more_than_it_must(void **state) {
    (void)state;
    uint64_t seed = kit_seed();
    int64_t live = lsm_mem_live();
    size_t files = 0, several = 0, nothing = 0, only_ranges = 0;
    static struct world world;
    static struct bench bench;
    for (uint64_t round = 0; round < 1000; round++) {
        open_world(&world, seed * 1000 + round);
        if (round % 3 == 0) world.value_bytes = 200;
        size_t sources = 1 + (size_t)below(&world, 3);
        fill_world(&world, sources, (size_t)below(&world, RUNS_MAX - sources + 1));
        kit_ok(set_up(&world, &bench), &err);
        if (round % 2 == 0) bench.job.file_bytes = 600 + below(&world, 6000);
        size_t before = count_tables(world.env);
        kit_ok(lsm_job_run(&bench.job, &err), &err);
        assert_int_equal(count_tables(world.env), before + bench.job.files_count);
        check_output(&world, &bench.job);
        files += bench.job.files_count;
        several += bench.job.files_count > 1;
        nothing += bench.job.files_count == 0;
        only_ranges += bench.job.files_count == 1 && bench.job.files[0]->entries == 0;
        if (round % 5 == 0) {
            lsm_job_discard(&bench.job);
            assert_int_equal(bench.job.files_count, 0);
            assert_int_equal(count_tables(world.env), before);
        }
        tear_down(&world, &bench);
        close_world(&world);
    }
    print_message("%zu files; jobs with several: %zu, with none: %zu, with ranges only: %zu\n", files, several, nothing, only_ranges);
    assert_true(several > 50 && nothing > 0 && only_ranges > 0);
    assert_int_equal(lsm_mem_live(), live);
}

static void files_end_at_their_size(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    full_world(&world, 1000);
    for (uint64_t file_bytes = 4000; file_bytes <= 20000; file_bytes += 1700) {
        kit_ok(set_up(&world, &bench), &err);
        bench.job.file_bytes = file_bytes;
        kit_ok(lsm_job_run(&bench.job, &err), &err);
        check_output(&world, &bench.job);
        assert_true(bench.job.files_count >= 120000 / (file_bytes + 2000) && bench.job.files_count <= 120000 / (file_bytes - 1500) + TREES);
        for (size_t i = 0; i < bench.job.files_count; i++) {
            const struct lsm_file_meta *meta = bench.job.files[i], *next = i + 1 < bench.job.files_count ? bench.job.files[i + 1] : NULL;
            assert_true(meta->bytes <= file_bytes + 2000);
            bool tree_ends = next != NULL && lsm_load_be32(meta->largest.data) != lsm_load_be32(next->smallest.data);
            if (next != NULL) assert_true(meta->bytes + 1500 >= (tree_ends ? file_bytes / 8 : file_bytes));
        }
        lsm_job_discard(&bench.job);
        tear_down(&world, &bench);
    }
    close_world(&world);
}

static void a_tree_worth_it_gets_files_of_its_own(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    full_world(&world, 1000);
    static const struct {
        uint64_t file_bytes;
        size_t files;
    } cases[] = {{100000, 3}, {300000, 3}, {1 << 20, 1}}; /* a tree has about 41,000 bytes: more than an 8th, or not */
    for (size_t c = 0; c < 3; c++) {
        kit_ok(set_up(&world, &bench), &err);
        bench.job.file_bytes = cases[c].file_bytes;
        kit_ok(lsm_job_run(&bench.job, &err), &err);
        assert_int_equal(bench.job.files_count, cases[c].files);
        for (size_t i = 0; i < bench.job.files_count && cases[c].files == 3; i++) {
            assert_int_equal(lsm_load_be32(bench.job.files[i]->smallest.data), i + 1);
            assert_int_equal(lsm_load_be32(bench.job.files[i]->largest.data), i + 1);
        }
        check_output(&world, &bench.job);
        lsm_job_discard(&bench.job);
        tear_down(&world, &bench);
    }
    close_world(&world);
}

/* One range over everything, cut into many files, over something at both ends only. */
static void a_range_is_cut_with_the_files_and_leaves_no_gap(void **state) {
    (void)state;
    static struct world world;
    static struct bench bench;
    full_world(&world, 1000);
    world.contents[0].ranges[0] = (struct range){.low = 0, .high = KEYS};
    world.contents[0].ranges_count = 1;
    lsm_file_meta_unref(world.files[0][0]);
    world.files[0][0] = write_table(&world, &world.contents[0], 0, KEYS);
    world.all = 2;
    world.contents[1] = (struct content){.mark = 2, .kinds = {[0] = LSM_KIND_PUT, [KEYS - 1] = LSM_KIND_PUT}};
    world.files[1][0] = write_table(&world, &world.contents[1], 0, 1);
    world.files[1][1] = write_table(&world, &world.contents[1], 1, KEYS);
    world.files_count[1] = 2;
    kit_ok(set_up(&world, &bench), &err);
    bench.job.file_bytes = 8000;
    kit_ok(lsm_job_run(&bench.job, &err), &err);
    size_t count = bench.job.files_count;
    assert_true(count > 10);
    for (size_t i = 0; i < count; i++) {
        struct lsm_file_meta *meta = bench.job.files[i];
        assert_int_equal(meta->range_tombstones, 1);
        assert_true(meta->largest_exclusive);
        struct lsm_slice end = i + 1 == count ? bound(KEYS) : lsm_buf_slice(&bench.job.files[i + 1]->smallest);
        assert_true(lsm_slice_equal(lsm_buf_slice(&meta->largest), end));
    }
    assert_true(lsm_slice_equal(lsm_buf_slice(&bench.job.files[0]->smallest), bound(0)));
    check_output(&world, &bench.job);
    tear_down(&world, &bench);
    close_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_goes_in_what_comes_out_reads_the_same_and_holds_no_more_than_it_must),
        cmocka_unit_test(files_end_at_their_size),
        cmocka_unit_test(a_tree_worth_it_gets_files_of_its_own),
        cmocka_unit_test(a_range_is_cut_with_the_files_and_leaves_no_gap),
    };
    return cmocka_run_group_tests(tests, number_keys, NULL);
}
