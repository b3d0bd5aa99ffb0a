/* Who takes of the space that is held back, and gives it back: the log, flushes, merges, large transactions. */
#include "reserve_kit.h"

/* No job of this kind begins by itself. */
static void hold(enum lsm_work work) {
    lsm_mutex_lock(&world.store->mu);
    world.store->wait_until_us[work] = UINT64_MAX;
    lsm_mutex_unlock(&world.store->mu);
}

static uint64_t flushes(void) {
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    return stats.flushes;
}

/* How often RESERVE was made smaller. */
static void count_cuts(void *arg, const struct lsm_env_op *op) {
    unsigned *cuts = arg;
    *cuts += op->kind == LSM_ENV_TRUNCATE && strstr(op->path, "RESERVE") != NULL;
}

static void the_log_can_be_ended_on_a_full_disk(void **state) {
    (void)state;
    reopen(32 << 20);
    add(0, 60);
    reopen(32 << 20); /* the log has no room behind its end */
    MUST(change(0, 60 * ROWS_AT_ONCE - 300, 1, false));
    reopen(32 << 20);
    fill_disk();
    MUST(world_flush(&world));
    assert_int_equal(count_rows(), 300);
}

/* Its log is sealed with the commit, so that a flush gives back what it took. */
static void a_deletion_on_a_full_disk_is_flushed_soon(void **state) {
    (void)state;
    reopen(32 << 20);
    add(0, 60);
    reopen(32 << 20); /* the log has no room behind its end */
    hold(LSM_WORK_FLUSH);
    uint64_t before = lsm_reserve_bytes(world.store), flushed = flushes();
    fill_disk();
    MUST(change(0, 10, 1, false));
    uint64_t lent = lsm_reserve_bytes(world.store);
    assert_true(lent < before);
    assert_null(world.store->log);
    assert_int_equal(flushes(), flushed);
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    add(60, 61); /* who adds rows makes it whole first */
    assert_true(lsm_reserve_bytes(world.store) >= before);
}

static void what_the_log_took_is_made_up_for_behind_its_flush(void **state) {
    (void)state;
    reopen(4 << 20);
    add(0, 900);
    MUST(world_compact(&world));
    reopen(32 << 20);
    hold(LSM_WORK_FLUSH);
    uint64_t before = lsm_reserve_bytes(world.store);
    fill_disk();
    MUST(change(0, 10, 1, false));
    assert_true(lsm_reserve_bytes(world.store) < before);
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    roll();
    MUST(lsm_store_flush_job(world.store, &world.err));
    assert_true(lsm_reserve_bytes(world.store) >= before);
}

/* Larger than memory: its tombstones go to files of its own. One that adds rows gets nothing for its files. */
static void a_large_deletion_takes_of_it_for_its_files(void **state) {
    (void)state;
    reopen(4 << 20);
    uint32_t rows = fill(24 << 20);
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    MUST(world_compact(&world));
    reopen(65536);
    hold(LSM_WORK_FLUSH);
    hold(LSM_WORK_MERGE);
    fill_disk();
    unsigned cuts = 0;
    lsm_env_mem_on_op(world.env, count_cuts, &cuts);
    assert_int_equal(change(rows, rows + 2000, 1, true), LSM_FULL);
    assert_int_equal(cuts, 0);
    MUST(change(0, rows / 3, 1, false));
    lsm_env_mem_on_op(world.env, NULL, NULL);
    assert_true(cuts != 0);
    assert_int_equal(count_rows(), rows - rows / 3);
}

static void a_large_transaction_that_adds_rows_needs_it_whole(void **state) {
    (void)state;
    reopen(4 << 20);
    add(0, 600);
    MUST(world_compact(&world));
    reopen(65536);
    MUST(lsm_env_unlink(world.env, RESERVE, &world.err));
    lsm_env_mem_fail_at(world.env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_ALLOCATE, .among = RESERVE, .os_errno = ENOSPC, .sticky = true});
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    int status = LSM_OK;
    for (uint32_t number = 100000; number < 101000 && status == LSM_OK; number++) status = put(txn, number);
    assert_int_equal(status, LSM_FULL);
    lsm_env_mem_fail_at(world.env, NULL);
    MUST(put(txn, 0));
    MUST(lsm_txn_rollback(txn, NULL));
    assert_int_equal(count_rows(), 600 * ROWS_AT_ONCE);
}

/* Two memtables that do not fit in together, each of them does. */
static void the_oldest_memtable_makes_room_for_the_next(void **state) {
    (void)state;
    reopen(32 << 20);
    hold(LSM_WORK_FLUSH);
    add(0, 100);
    roll();
    add(100, 200);
    roll();
    fill_disk();
    assert_true(lsm_reserve_bytes(world.store) < used() / 2);
    MUST(world_flush(&world));
    assert_int_equal(flushes(), 2);
    assert_int_equal(count_rows(), 200 * ROWS_AT_ONCE);
}

/* It is whole again behind a flush that fails, and is left alone until there is another memtable, or somebody asks. */
static void what_does_not_fit_is_not_tried_again_and_again(void **state) {
    (void)state;
    unsigned cuts = 0;
    world.options.reserve_bytes = 18 * STEP;
    reopen(32 << 20);
    hold(LSM_WORK_FLUSH);
    add(0, 100);
    roll();
    fill_disk();
    uint64_t before = lsm_reserve_bytes(world.store);
    assert_int_equal(before, 18 * STEP);
    lsm_env_mem_on_op(world.env, count_cuts, &cuts);
    assert_int_equal(lsm_store_flush_job(world.store, &world.err), LSM_FULL);
    assert_true(cuts != 0);
    assert_true(lsm_reserve_bytes(world.store) == before);
    cuts = 0;
    assert_int_equal(lsm_store_flush_job(world.store, &world.err), LSM_FULL);
    assert_int_equal(cuts, 0);
    assert_int_equal(world_flush(&world), LSM_FULL);
    assert_true(cuts != 0);
    lsm_env_mem_on_op(world.env, NULL, NULL);
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    MUST(world_flush(&world));
    assert_int_equal(count_rows(), 100 * ROWS_AT_ONCE);
}

/* Four runs of level 0 between each other, of which little is left, or all. */
static void write_runs(bool deletes) {
    hold(LSM_WORK_MERGE);
    for (uint32_t i = 0; i < 4; i++) {
        MUST(change(i, 240 * ROWS_AT_ONCE, 4, true));
        MUST(lsm_store_flush(world.store, NULL, NULL, &world.err));
    }
    if (!deletes) return;
    MUST(change(100, 240 * ROWS_AT_ONCE, 1, false));
    MUST(lsm_store_flush(world.store, NULL, NULL, &world.err));
}

static void a_compaction_by_hand_takes_of_it(void **state) {
    (void)state;
    reopen(32 << 20);
    write_runs(true);
    assert_true(lsm_reserve_bytes(world.store) != 0);
    fill_disk();
    MUST(world_compact(&world));
    assert_int_equal(count_rows(), 100);
    must_be_well();
}

/* A merge that nobody has asked for: only if it is sure to fit. */
static void a_merge_takes_of_it_if_it_fits(void **state) {
    (void)state;
    unsigned cuts = 0;
    reopen(32 << 20);
    write_runs(false);
    fill_disk();
    lsm_env_mem_on_op(world.env, count_cuts, &cuts);
    assert_true(lsm_reserve_bytes(world.store) != 0);
    assert_int_equal(lsm_store_merge_job(world.store, &world.err), LSM_FULL);
    assert_int_equal(cuts, 0);
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    hold(LSM_WORK_FLUSH);
    add(300, 900); /* with so much in the log it does */
    fill_disk();
    MUST(lsm_store_merge_job(world.store, &world.err));
    lsm_env_mem_on_op(world.env, NULL, NULL);
    assert_true(cuts != 0);
    must_be_well();
}

/* Memtables that cannot be flushed, because there are tombstones for files below, go to the bottom with these. */
static void a_compaction_takes_memtables_along_that_cannot_be_flushed(void **state) {
    (void)state;
    reopen(32 << 20);
    write_runs(false);
    hold(LSM_WORK_FLUSH);
    for (uint32_t i = 0; i < 4; i++) {
        MUST(change(i * 3000, (i + 1) * 3000, 1, false));
        roll();
    }
    MUST(lsm_env_unlink(world.env, RESERVE, &world.err));
    lsm_env_mem_set_space(world.env, used() + 4096); /* for the manifest */
    assert_int_equal(world_flush(&world), LSM_FULL);
    MUST(world_compact(&world));
    assert_int_equal(count_rows(), 0);
    must_be_well();
}

/* What is left of the rows fits in the reserve, the tombstones that would have to be flushed do not. */
static void and_takes_of_it_for_them(void **state) {
    (void)state;
    world.options.reserve_bytes = STEP;
    reopen(32 << 20);
    write_runs(false);
    hold(LSM_WORK_FLUSH);
    MUST(change(100, 240 * ROWS_AT_ONCE, 1, false));
    roll();
    fill_disk();
    assert_int_equal(world_flush(&world), LSM_FULL);
    MUST(world_compact(&world));
    assert_int_equal(count_rows(), 100);
    must_be_well();
}

/* The directory may be somebody else's by then. */
static void a_store_that_has_failed_leaves_it_alone(void **state) {
    (void)state;
    bool there = true;
    reopen(32 << 20);
    for (uint32_t i = 0; i < 60; i++) MUST(change_durably(i * ROWS_AT_ONCE, (i + 1) * ROWS_AT_ONCE, true));
    MUST(lsm_env_unlink(world.env, RESERVE, &world.err));
    struct lsm_error why;
    assert_int_equal(lsm_fail(&why, LSM_READONLY, "for a test"), LSM_READONLY);
    lsm_store_set_failed(world.store, &why);
    lsm_reserve_fit(world.store);
    MUST(lsm_env_exists(world.env, RESERVE, &there, &world.err));
    assert_false(there);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_log_can_be_ended_on_a_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deletion_on_a_full_disk_is_flushed_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_log_took_is_made_up_for_behind_its_flush, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_deletion_takes_of_it_for_its_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_transaction_that_adds_rows_needs_it_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_memtable_makes_room_for_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_not_tried_again_and_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_compaction_by_hand_takes_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_merge_takes_of_it_if_it_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_compaction_takes_memtables_along_that_cannot_be_flushed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(and_takes_of_it_for_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_store_that_has_failed_leaves_it_alone, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
