/* Space that is held back: on a full disk rows can be deleted, that gives space back, and then rows can be added again; how much it is, and what it survives. */
#include "reserve_kit.h"

/* ---- a full disk ----------------------------------------------------------------------------------------------------------- */

/* In portions, as large as they may be. */
static void delete_all(uint32_t rows) {
    uint32_t portion = rows;
    for (uint32_t low = 0; low < rows;) {
        uint32_t high = rows - low < portion ? rows : low + portion;
        int status = change(low, high, 1, false);
        if (status == LSM_OK) {
            low = high;
            continue;
        }
        if (status != LSM_FULL || portion <= 1) fail_msg("%u of %u rows deleted: %s", low, rows, world.err.text);
        portion /= 2;
    }
}

static void deleting_gives_space_back(size_t buffer, uint64_t space) {
    reopen(buffer);
    uint32_t rows = fill(space);
    assert_true(rows > 100);
    assert_int_equal(change(rows, rows + 2000, 1, true), LSM_FULL);
    assert_int_equal(count_rows(), rows);
    assert_true(lsm_reserve_bytes(world.store) >= STEP);
    delete_all(rows);
    assert_int_equal(count_rows(), 0);
    lsm_env_mem_set_space(world.env,
                          used()); /* what the log has been given and not used is gone, too: there is no space for an edit of the manifest */
    MUST(world_compact(&world));
    must_be_well();
    lsm_env_mem_set_space(world.env, space);
    MUST(change(0, rows / 2, 1, true));
    assert_int_equal(count_rows(), rows / 2);
    MUST(world_close(&world));
    MUST(world_open(&world));
    assert_int_equal(count_rows(), rows / 2);
    must_be_well();
}

static void rows_in_memory_are_deleted_on_a_full_disk(void **state) {
    (void)state;
    deleting_gives_space_back(32 << 20, 6 << 20);
}

static void rows_in_files_are_deleted_on_a_full_disk(void **state) {
    (void)state;
    deleting_gives_space_back(4 << 20, 24 << 20);
}

/* Half of them: what is left goes into the reserve, though nothing packs it. */
static void half_of_the_rows_are_deleted_on_a_full_disk(void **state) {
    (void)state;
    reopen(32 << 20);
    uint32_t rows = fill(6 << 20);
    MUST(change(0, rows, 2, false));
    fill_disk();
    MUST(world_flush(&world));
    MUST(world_compact(&world));
    assert_int_equal(count_rows(), rows / 2);
    lsm_env_mem_set_space(world.env, 6 << 20);
    MUST(change(0, rows / 4, 2, true));
    must_be_well();
}

static void deleting_too_much_at_once_says_what_to_do(void **state) {
    (void)state;
    world.options.reserve_bytes = 2 * STEP;
    reopen(32 << 20);
    uint32_t rows = fill(6 << 20);
    assert_int_equal(change(0, rows, 1, false), LSM_FULL);
    assert_non_null(strstr(world.err.text, "No space left on device; free some space and try again, or delete fewer rows at a time"));
    MUST(change(0, rows / 10, 1, false));
    assert_int_equal(count_rows(), rows - rows / 10);
}

/* The disk is full but for what somebody gives up of the reserve. */
static void give_space(void *arg, const struct lsm_env_op *op) {
    unsigned *times = arg;
    if (op->kind != LSM_ENV_TRUNCATE || strstr(op->path, "RESERVE") == NULL) return;
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    ++*times;
}

/* All that was in memory is deleted: nothing goes to a table file, but the manifest must know. */
static void manifest_finds_space(bool fresh) {
    unsigned times = 0;
    reopen(32 << 20);
    add(0, 60);
    MUST(change(0, 60 * ROWS_AT_ONCE, 1, false));
    roll();
    lsm_env_mem_set_space(world.env, 1);
    if (fresh) world.store->set.manifest_bytes_max = 0;
    lsm_env_mem_on_op(world.env, give_space, &times);
    MUST(world_flush(&world));
    lsm_env_mem_on_op(world.env, NULL, NULL);
    assert_int_equal(times, 1);
    must_be_well();
}

static void the_manifest_finds_space(void **state) {
    (void)state;
    manifest_finds_space(false);
}

static void a_new_manifest_finds_space(void **state) {
    (void)state;
    manifest_finds_space(true);
}

static void a_transaction_that_adds_a_row_is_no_deletion(void **state) {
    (void)state;
    reopen(32 << 20);
    uint32_t rows = fill(6 << 20);
    uint64_t before = lsm_reserve_bytes(world.store);
    struct lsm_txn *txn = NULL;
    uint8_t key[4] = {0};
    assert_true(before >= STEP);
    /* More tombstones than fit in without the reserve, and a row. */
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    for (uint32_t number = 0; number < rows; number++) {
        lsm_store_be32(key, number);
        MUST(lsm_txn_delete(txn, tree, lsm_slice_of(key, sizeof key), &world.err));
    }
    MUST(put(txn, rows));
    assert_int_equal(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDES_ITSELF, NULL, &world.err), LSM_FULL);
    MUST(lsm_txn_rollback(txn, NULL));
    assert_true(lsm_reserve_bytes(world.store) == before);
    assert_int_equal(count_rows(), rows);
    MUST(change(0, rows, 1, false));
    assert_true(lsm_reserve_bytes(world.store) < before);
}

/* ---- power cuts ---------------------------------------------------------------------------------------------------------------- */

static struct {
    uint32_t low, high; /* rows [low, high) are there, or about to be */
    unsigned states;
} cut;

/* The power goes right behind what was done to RESERVE. */
static void cut_behind_reserve(void *arg, const struct lsm_env_op *op) {
    static const enum lsm_crash_mode modes[] = {LSM_CRASH_LOSE, LSM_CRASH_KEEP, LSM_CRASH_TORN, LSM_CRASH_RANDOM};
    (void)arg;
    if (strstr(op->path, "RESERVE") == NULL) return;
    struct lsm_store *whole = world.store;
    struct lsm_env *disk = world.env;
    for (unsigned i = 0; i < 4; i++) {
        world.env = world.options.env = lsm_env_mem_clone_crashed(disk, modes[i], cut.states++);
        assert_non_null(world.env);
        lsm_env_mem_set_space(world.env, UINT64_MAX);
        MUST(lsm_store_open(&world.options, &world.store, &world.err));
        uint32_t rows = count_rows();
        if (rows < cut.low || rows > cut.high) fail_msg("state %u: %u rows of %u to %u", cut.states, rows, cut.low, cut.high);
        must_be_well();
        MUST(change(0, 300, 1, true));
        MUST(lsm_store_close(world.store, &world.err));
        lsm_env_mem_free(world.env);
    }
    world.env = world.options.env = disk;
    world.store = whole;
}

static void a_power_cut_behind_a_change_of_it_does_no_harm(void **state) {
    (void)state;
    uint32_t rows = 60 * ROWS_AT_ONCE;
    reopen(32 << 20);
    memset(&cut, 0, sizeof cut);
    lsm_env_mem_on_op(world.env, cut_behind_reserve, NULL);
    for (cut.high = ROWS_AT_ONCE; cut.high <= rows; cut.high += ROWS_AT_ONCE) {
        MUST(change_durably(cut.low, cut.high, true));
        cut.low = cut.high;
    }
    unsigned made = cut.states;
    roll(); /* or there would be room in the log */
    cut.low = 0;
    cut.high = rows;
    fill_disk();
    MUST(change_durably(0, rows, false));
    unsigned lent = cut.states;
    cut.high = 0;
    MUST(world_compact(&world));
    unsigned gone = cut.states;
    lsm_env_mem_on_op(world.env, NULL, NULL);
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    print_message("  %u, %u and %u states\n", made, lent - made, gone - lent);
    assert_true(made >= 16 && lent > made && gone > lent);
}

/* ---- its size ------------------------------------------------------------------------------------------------------------------ */

static void it_grows_with_the_log_and_goes_with_it(void **state) {
    (void)state;
    reopen(32 << 20);
    assert_int_equal(lsm_reserve_bytes(world.store), 0);
    add(0, 100);
    uint64_t log = lsm_store_writers_end(world.store), bytes = lsm_reserve_bytes(world.store);
    assert_true(bytes % STEP == 0 && bytes >= log / 8 * 5 - STEP && bytes <= 2 * log); /* for what was asked for ahead, too */
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    assert_true(stats.reserve_bytes == bytes);
    MUST(world_flush(&world));
    lsm_store_stats(world.store, &stats);
    assert_true(lsm_reserve_bytes(world.store) == stats.table_bytes / 32 / STEP * STEP);
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &world.txn, &world.err));
    MUST(lsm_txn_delete_range(world.txn, tree, lsm_slice_of(NULL, 0), lsm_slice_of((const uint8_t *)"\xff", 1), &world.err));
    MUST(world_commit(&world, LSM_SYNC_FULL));
    MUST(world_compact(&world));
    bool there = true;
    MUST(lsm_env_exists(world.env, RESERVE, &there, &world.err));
    assert_false(there);
}

static void there_is_a_limit_and_none_is_one(void **state) {
    (void)state;
    const uint64_t limits[] = {0, STEP - 1, STEP, 5 * STEP + 1};
    for (size_t i = 0; i < 4; i++) {
        MUST(world_close(&world));
        world.options.write_buffer_bytes = 32 << 20;
        world.options.reserve_bytes = limits[i];
        MUST(world_open(&world));
        add(0, 40);
        assert_true(lsm_reserve_bytes(world.store) == limits[i] / STEP * STEP);
    }
}

/* Its content is nobody's, and any size will do. */
static void what_somebody_makes_of_it_does_no_harm(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        MUST(world_close(&world));
        world.options.write_buffer_bytes = 32 << 20;
        if (i == 0) MUST(lsm_env_mem_write_file(world.env, RESERVE, "not of any use", 14));
        if (i == 1) MUST(lsm_env_unlink(world.env, RESERVE, &world.err));
        if (i == 2) {
            MUST(lsm_env_unlink(world.env, RESERVE, &world.err));
            MUST(lsm_env_mkdir(world.env, RESERVE, &(struct lsm_env_perm){.mode = 0644, .uid = -1, .gid = -1}, &world.err));
        }
        if (i == 3) MUST(lsm_env_rmdir(world.env, RESERVE, &world.err));
        MUST(world_open(&world));
        add(0, 40);
        uint64_t bytes = lsm_reserve_bytes(world.store);
        if (i == 2)
            assert_true(bytes == 0);
        else
            assert_true(bytes >= STEP && bytes % STEP == 0);
        assert_int_equal(count_rows(), 40 * ROWS_AT_ONCE);
        must_be_well();
    }
}

/* A quarter of a MiB for a database that drops a table, if the disk is full; else nothing. */
static void it_makes_way_on_a_full_disk_only(void **state) {
    (void)state;
    reopen(32 << 20);
    add(0, 60);
    uint64_t bytes = lsm_reserve_bytes(world.store);
    assert_true(bytes > 4 * STEP);
    lsm_store_make_way(world.store);
    assert_true(lsm_reserve_bytes(world.store) == bytes);
    fill_disk();
    lsm_store_make_way(world.store);
    assert_true(lsm_reserve_bytes(world.store) == bytes - 4 * STEP);
    uint64_t now = lsm_env_monotonic_us(world.env);
    assert_true(world.store->wait_until_us[LSM_WORK_FLUSH] > now && world.store->wait_until_us[LSM_WORK_MERGE] > now);
    assert_true(!world.store->flushing && !world.store->merging);
    /* Who adds rows makes it whole first, or not at all. */
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    add(60, 120);
    assert_true(lsm_reserve_bytes(world.store) > bytes);
}

/* While it is less than it should be, and cannot be had, rows are kept out, of another process, too; a quota is a full disk, a limit of the size of one file is not. */
static void rows_are_kept_out_while_it_cannot_be_had(void **state) {
    (void)state;
    reopen(32 << 20);
    add(0, 60);
    MUST(lsm_env_unlink(world.env, RESERVE, &world.err));
    const int reasons[] = {ENOSPC, EDQUOT, EFBIG, EIO};
    for (size_t i = 0; i < 4; i++) {
        int status = LSM_OK;
        lsm_env_mem_fail_at(world.env,
                            &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_ALLOCATE, .among = RESERVE, .os_errno = reasons[i], .sticky = true});
        for (uint32_t at = 0; at < 60 && status == LSM_OK; at++) status = change(at * ROWS_AT_ONCE, (at + 1) * ROWS_AT_ONCE, 1, true);
        lsm_env_mem_fail_at(world.env, NULL);
        assert_int_equal(status, i < 2 ? LSM_FULL : LSM_OK);
        if (i < 2) assert_non_null(strstr(world.err.text, "RESERVE: no space left"));
        if (i < 2) assert_non_null(strstr(world.err.text, "lsm_compact()"));
        assert_true(lsm_reserve_bytes(world.store) == 0);
    }
    add(0, 400);
    assert_true(lsm_reserve_bytes(world.store) != 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_in_memory_are_deleted_on_a_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_in_files_are_deleted_on_a_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(half_of_the_rows_are_deleted_on_a_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deleting_too_much_at_once_says_what_to_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_manifest_finds_space, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_manifest_finds_space, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_that_adds_a_row_is_no_deletion, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_power_cut_behind_a_change_of_it_does_no_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_grows_with_the_log_and_goes_with_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_is_a_limit_and_none_is_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_somebody_makes_of_it_does_no_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_makes_way_on_a_full_disk_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_are_kept_out_while_it_cannot_be_had, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
