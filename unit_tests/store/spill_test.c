/* Transactions larger than memory: what they leave behind, and what they cost. */
#include "spill_kit.h"

/* ---- what is left behind ------------------------------------------------------------------------------------------------- */

static void rolled_back_it_leaves_no_file(void **state) {
    (void)state;
    start(2, 0);
    for (int way = 0; way < 3; way++) {
        MUST(world_begin(&world));
        put_much(0, 4);
        assert_true(count_tables() > 0);
        if (way == 1) MUST(world_prepare(&world, LSM_SYNC_FULL));
        if (way == 2) MUST(lsm_txn_rollback_to(world.txn, 0, &world.err));
        if (way == 2) assert_int_equal(count_tables(), 0);
        MUST(world_rollback(&world));
        assert_int_equal(count_tables(), 0);
        must_be_right("rolled back");
    }
    finish();
}

static void back_at_a_mark_the_files_since_are_gone(void **state) {
    (void)state;
    start(3, 0);
    MUST(world_begin(&world));
    put_much(0, 3);
    size_t tables = count_tables();
    uint64_t mark = lsm_txn_mark(world.txn);
    struct world_state saved = world.next;
    put_much(0, 8);
    assert_true(count_tables() > tables + 1);
    MUST(lsm_txn_rollback_to(world.txn, mark, &world.err));
    assert_true(count_tables() <= tables + 1); /* what was still in memory at the mark has been written meanwhile */
    world.next = saved;
    put_much(1, 1);
    MUST(world_commit(&world, LSM_SYNC_FULL));
    must_be_right("committed");
    finish();
}

static void killed_it_leaves_files_that_the_next_open_removes(void **state) {
    (void)state;
    for (int prepared = 0; prepared < 2; prepared++) {
        start(4, 0);
        MUST(world_begin(&world));
        put_much(0, 20);
        assert_true(count_merges() > 0);
        if (prepared == 1) MUST(lsm_txn_prepare(world.txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
        /* What another process finds on the disk when this one is killed, or when the power fails before the record is synced. */
        struct lsm_env *own = world.env, *left = lsm_env_mem_clone_crashed(own, prepared == 1 ? LSM_CRASH_LOSE : LSM_CRASH_KEEP, 1);
        struct lsm_options options = world.options;
        struct lsm_store *store = NULL;
        options.env = world.env = left;
        assert_true(count_tables() > 1);
        MUST(lsm_store_open(&options, &store, &world.err));
        assert_int_equal(count_tables(), 0);
        const char *wrong = world_differs(&world, store);
        if (wrong != NULL) fail_msg("opened again: %s", wrong);
        MUST(lsm_store_close(store, &world.err));
        lsm_env_mem_free(left);
        world.env = own;
        MUST(world_rollback(&world));
        finish();
    }
}

/* A clone of the disk on which a large transaction is committed, by its record alone, and not flushed. */
static struct lsm_env *committed_by_its_record(void) {
    start(10, 0);
    MUST(world_write(&world, 1, 3, LSM_SYNC_FULL));
    MUST(world_begin(&world));
    put_much(0, 2);
    MUST(lsm_txn_prepare(world.txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    struct lsm_env *clone = lsm_env_mem_clone_crashed(world.env, LSM_CRASH_LOSE, 1);
    assert_non_null(clone);
    MUST(world_rollback(&world));
    finish();
    world.options.env = clone;
    return clone;
}

static void a_file_that_the_log_names_and_is_gone_is_told(void **state) {
    (void)state;
    struct lsm_env *clone = committed_by_its_record();
    struct lsm_names names = {0};
    struct lsm_store *store = NULL;
    struct lsm_view *view = NULL;
    struct model rows;
    char path[100] = "";
    MUST(lsm_env_list(clone, world.options.dir, &names, &world.err));
    for (size_t i = 0; i < names.count; i++)
        if (strstr(names.names[i], ".sst") != NULL) (void)snprintf(path, sizeof path, "%s/%s", world.options.dir, names.names[i]);
    lsm_names_free(&names);
    MUST(lsm_env_unlink(clone, path, &world.err));
    MUST(lsm_store_open(&world.options, &store, &world.err));
    MUST(lsm_view_open(store, NULL, &view, &world.err));
    const char *wrong = model_read(&rows, view, world.next.trees[0].tree);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, path));
    assert_null(model_read(&rows, view, world.next.trees[1].tree)); /* others can be read */
    lsm_view_close(view);
    wrong = world_check(store);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, path));
    MUST(lsm_store_close(store, &world.err));
    lsm_env_mem_free(clone);
}

static void what_is_committed_by_its_record_alone_is_kept_by_many_openings(void **state) {
    (void)state;
    struct lsm_env *clone = committed_by_its_record();
    struct world_state *last = &world.history[world.commits - 1];
    world.env = clone;
    *last = world.next; /* the transaction stands */
    for (int i = 0; i < 6; i++) {
        MUST(world_open(&world));
        must_be_right("opened");
        if (i == 2 || i == 4) MUST(world_write(&world, 0, 4, LSM_SYNC_FULL));
        if (i == 3) MUST(world_flush(&world));
        if (i == 4) MUST(lsm_env_mem_crash(clone, LSM_CRASH_LOSE, 1));
        if (i == 4)
            (void)lsm_store_close(world.store, NULL);
        else
            MUST(world_close(&world));
    }
    lsm_env_mem_free(clone);
}

static void a_log_file_that_goes_on_behind_a_large_transaction_is_damaged(void **state) {
    (void)state;
    struct lsm_store *store = NULL;
    start(11, 0);
    MUST(world_begin(&world));
    put_much(0, 2);
    MUST(lsm_txn_prepare(world.txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    MUST(lsm_wal_writer_append(world.store->log, LSM_WAL_ROLL, 1, (struct lsm_slice){0}, (struct lsm_slice){0}, NULL, &world.err));
    struct lsm_env *clone = lsm_env_mem_clone_crashed(world.env, LSM_CRASH_KEEP, 1);
    struct lsm_options options = world.options;
    options.env = clone;
    assert_int_equal(lsm_store_open(&options, &store, &world.err), LSM_CORRUPT);
    assert_non_null(strstr(world.err.text, "behind a RUNS"));
    lsm_env_mem_free(clone);
    (void)lsm_txn_rollback(world.txn, NULL);
    (void)lsm_store_close(world.store, NULL);
    lsm_env_mem_free(world.env);
}

static void a_mark_that_is_released_does_not_cut_the_files(void **state) {
    (void)state;
    size_t tables[2];
    for (int released = 0; released < 2; released++) {
        start(5, 0);
        MUST(world_begin(&world));
        put_much(0, 1);
        for (unsigned i = 0; i < 200; i++) {
            uint64_t mark = lsm_txn_mark(world.txn);
            MUST(world_put_bytes(&world, 0, i % MODEL_KEYS, 1));
            if (released == 1) lsm_txn_release(world.txn, mark);
        }
        put_much(0, 1);
        tables[released] = count_tables();
        MUST(world_commit(&world, LSM_SYNC_OFF));
        must_be_right("committed");
        finish();
    }
    assert_true(tables[0] > 150);
    assert_true(tables[1] < 8);
}

static void a_tree_dropped_before_its_files_were_flushed_leaves_none(void **state) {
    (void)state;
    start(12, 0);
    struct lsm_trouble *trouble = &world.store->trouble[LSM_WORK_FLUSH];
    MUST(world_begin(&world));
    put_much(1, 1);
    *trouble = (struct lsm_trouble){.status = LSM_IO, .retry_at_us = UINT64_MAX}; /* flushes wait */
    MUST(world_commit(&world, LSM_SYNC_FULL));
    assert_true(count_tables() > 0);
    MUST(world_begin(&world));
    MUST(world_drop(&world, 1));
    MUST(world_put(&world, 0, 1));
    MUST(world_commit(&world, LSM_SYNC_FULL));
    assert_int_equal(world.store->state->version->files, 0);
    *trouble = (struct lsm_trouble){0};
    MUST(world_flush(&world));
    MUST(lsm_store_quiesce(world.store, &world.err));
    assert_int_equal(count_tables(), 1); /* the other tree's */
    must_be_right("dropped");
    finish();
}

/* ---- what it costs --------------------------------------------------------------------------------------------------------- */

struct written {
    uint64_t tables, logs;
};

static void add_up(void *arg, const struct lsm_env_op *op) {
    struct written *written = arg;
    if (op->kind != LSM_ENV_WRITE) return;
    if (strstr(op->path, ".sst") != NULL) written->tables += op->size;
    if (strstr(op->path, ".wal") != NULL) written->logs += op->size;
}

static void put_row(unsigned number, size_t bytes) {
    static uint8_t value[1000];
    char key[20];
    int size = snprintf(key, sizeof key, "%010u", number);
    for (size_t i = 0; i < bytes; i++) value[i] = (uint8_t)(number * 2654435761u >> (i % 24));
    MUST(lsm_txn_put(world.txn, world.next.trees[0].tree, (struct lsm_slice){.data = (uint8_t *)key, .size = (size_t)size},
                     (struct lsm_slice){.data = value, .size = bytes}, &world.err));
}

static void sorted_rows_are_written_once_and_never_merged(void **state) {
    (void)state;
    struct written written = {0};
    start(6, 0);
    lsm_env_mem_on_op(world.env, add_up, &written);
    MUST(world_begin(&world));
    for (unsigned i = 0; i < 20000; i++) put_row(i, 100);
    MUST(lsm_txn_prepare(world.txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(world.txn, true);
    MUST(world_flush(&world));
    MUST(lsm_store_quiesce(world.store, &world.err));
    lsm_env_mem_on_op(world.env, NULL, NULL);
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    print_message("  %llu bytes of rows, %llu in table files, %llu written to them, %llu to the log, %d runs\n", 20000ull * 114,
                  (unsigned long long)stats.table_bytes, (unsigned long long)written.tables, (unsigned long long)written.logs, stats.level0_runs);
    assert_true((double)written.tables <= 1.1 * (double)stats.table_bytes);
    assert_true(written.logs < 65536);   /* the first rows, and the names of the files */
    assert_true(stats.level0_runs <= 2); /* all files of the transaction are one run */
    assert_int_equal(stats.merges, 0);
    finish();
}

static void memory_stays_within_its_share(void **state) {
    (void)state;
    size_t most = 0;
    start(7, 0);
    world.options.write_buffer_bytes = 1 << 20;
    MUST(world_close(&world));
    MUST(world_open(&world));
    MUST(world_begin(&world));
    for (unsigned i = 0; i < 60000; i++) {
        struct lsm_stats stats;
        put_row(i * 7919 % 60000, 200);
        if (i % 16 != 0) continue;
        lsm_store_stats(world.store, &stats);
        if (stats.memtable_bytes > most) most = stats.memtable_bytes;
    }
    print_message("  13 MB of rows, %zu bytes in memory at most, write buffer %zu\n", most, world.options.write_buffer_bytes);
    /* The first rows, a quarter, which stay; and those since the last spill. */
    assert_true(most < world.options.write_buffer_bytes + world.options.write_buffer_bytes / 2);
    MUST(world_rollback(&world));
    must_be_right("rolled back");
    finish();
}

static void a_row_larger_than_any_share_goes_in_and_out(void **state) {
    (void)state;
    static uint8_t value[300000];
    start(8, 0);
    struct lsm_slice bytes = {.data = value, .size = sizeof value};
    for (unsigned i = 0; i < sizeof value; i++) value[i] = (uint8_t)(i * i >> 7);
    MUST(world_begin(&world));
    for (unsigned key = 0; key < 5; key++) MUST(lsm_txn_put(world.txn, world.next.trees[1].tree, model_key(key), bytes, &world.err));
    for (unsigned key = 0; key < 5; key++) {
        struct lsm_value found = {0};
        MUST(lsm_txn_get(world.txn, world.next.trees[1].tree, model_key(key), &found, &world.err));
        assert_int_equal(found.bytes.size, sizeof value);
        assert_memory_equal(found.bytes.data, value, sizeof value);
        lsm_value_release(&found);
    }
    MUST(lsm_txn_delete_range(world.txn, world.next.trees[1].tree, model_key(0), model_key(6), &world.err));
    put_much(0, 1);
    MUST(world_commit(&world, LSM_SYNC_FULL));
    must_be_right("committed");
    finish();
}

static void generations_that_wait_are_flushed_to_make_room(void **state) {
    (void)state;
    struct lsm_seal seal;
    start(9, 0);
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    while (world.store->state->gens_count < LSM_GENS_MAX) {
        MUST(lsm_seal_init(world.store, world.store->state->gens[0], NULL, &seal, &world.err));
        lsm_mutex_lock(&world.store->mu);
        struct lsm_state *old = lsm_seal_install(world.store, &seal, lsm_store_writers_end(world.store));
        lsm_mutex_unlock(&world.store->mu);
        lsm_state_unref(old);
        lsm_seal_release(&seal);
    }
    MUST(world_begin(&world));
    put_much(0, 1);
    MUST(world_commit(&world, LSM_SYNC_OFF));
    must_be_right("at the end");
    finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rolled_back_it_leaves_no_file),
        cmocka_unit_test(back_at_a_mark_the_files_since_are_gone),
        cmocka_unit_test(killed_it_leaves_files_that_the_next_open_removes),
        cmocka_unit_test(a_file_that_the_log_names_and_is_gone_is_told),
        cmocka_unit_test(what_is_committed_by_its_record_alone_is_kept_by_many_openings),
        cmocka_unit_test(a_log_file_that_goes_on_behind_a_large_transaction_is_damaged),
        cmocka_unit_test(a_mark_that_is_released_does_not_cut_the_files),
        cmocka_unit_test(a_tree_dropped_before_its_files_were_flushed_leaves_none),
        cmocka_unit_test(sorted_rows_are_written_once_and_never_merged),
        cmocka_unit_test(memory_stays_within_its_share),
        cmocka_unit_test(a_row_larger_than_any_share_goes_in_and_out),
        cmocka_unit_test(generations_that_wait_are_flushed_to_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
