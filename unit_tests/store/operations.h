/* operations.h: what can be done to a store, one function each, for tests that let every step of it fail: each returns a status and, if it fails, leaves the world as it was. */
#ifndef TEST_OPERATIONS_H
#define TEST_OPERATIONS_H

#include "api_kit.h"

enum { BIG_ROWS = 300 };

static struct lsm_env *other_env;
static struct lsm_store *other; /* of another process; NULL: not open */

static inline void close_first(void) {
    if (world.store != NULL) MUST(world_close(&world));
}

static inline int do_open(void) { return world_open(&world); }

static inline int undone(int status) {
    struct lsm_error why = world.err;
    if (world.txn != NULL && status != LSM_OK) MUST(world_rollback(&world));
    if (status != LSM_OK) world.err = why;
    return status;
}

static inline int do_transaction(void) {
    int status = world_begin(&world);
    for (unsigned i = 0; i < 10 && status == LSM_OK; i++) status = world_put(&world, 0, i * 7);
    uint64_t mark = status == LSM_OK ? lsm_txn_mark(world.txn) : 0;
    struct world_state saved = world.next;
    if (status == LSM_OK) status = world_delete(&world, 0, 3);
    if (status == LSM_OK) status = world_delete_range(&world, 0, 10, 40);
    if (status == LSM_OK) status = world_create(&world, 1);
    if (status == LSM_OK) status = world_put(&world, 1, 5);
    if (status == LSM_OK) status = world_drop(&world, 1);
    if (status == LSM_OK) status = lsm_txn_rollback_to(world.txn, mark, &world.err);
    if (status == LSM_OK) world.next = saved;
    if (status == LSM_OK) status = world_delete_range(&world, 0, 50, 60);
    return undone(status != LSM_OK ? status : world_commit(&world, LSM_SYNC_NORMAL));
}

/* Larger than memory: pieces, their merging, back to a mark in them, and what is read meanwhile. */
static inline int do_large_transaction(void) {
    int status = world_begin(&world);
    struct world_state saved = world.next;
    uint64_t mark = 0;
    for (unsigned i = 0; i < BIG_ROWS && status == LSM_OK; i++) {
        if (i == BIG_ROWS / 2) {
            mark = lsm_txn_mark(world.txn);
            saved = world.next;
        }
        while (++world.next_value % 5 != 0 || world.next_value % 7 == 0) {} /* long values */
        status = world_put_bytes(&world, 0, i * 29 % MODEL_KEYS, world.next_value);
    }
    if (status == LSM_OK) status = lsm_txn_rollback_to(world.txn, mark, &world.err);
    if (status == LSM_OK) world.next = saved;
    struct lsm_value value = {0};
    if (status == LSM_OK) status = lsm_txn_get(world.txn, tree_of(0), model_key(29), &value, &world.err);
    lsm_value_release(&value);
    return undone(status != LSM_OK ? status : world_commit(&world, LSM_SYNC_NORMAL));
}

/* Prepared, and taken back. */
static inline int do_prepare(void) {
    int status = world_begin(&world);
    for (unsigned i = 0; i < 5 && status == LSM_OK; i++) status = world_put(&world, 0, i);
    if (status == LSM_OK) status = world_prepare(&world, LSM_SYNC_FULL);
    if (status != LSM_OK) return undone(status);
    status = world_rollback(&world);
    if (status == LSM_OK) return LSM_OK;
    /* Nobody could say any more that it was taken back: nothing is written until the store is opened again, which says it. */
    must_fail(world_begin(&world), LSM_READONLY, "out of memory");
    MUST(world_close(&world));
    MUST(world_open(&world));
    return lsm_fail_nomem(&world.err, 0);
}

static inline int do_read(void) {
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    struct lsm_slice low = model_key(10), high;
    uint8_t bytes[64];
    memcpy(bytes, low.data, low.size);
    low.data = bytes;
    high = model_key(80);
    int status = lsm_view_open(world.store, NULL, &view, &world.err);
    for (unsigned key = 0; key < MODEL_KEYS && status == LSM_OK; key += 13) {
        struct lsm_value value = {0};
        status = lsm_view_get(view, tree_of(0), model_key(key), &value, &world.err);
        if (status == LSM_NOTFOUND) status = LSM_OK;
        lsm_value_release(&value);
    }
    high = model_key(80);
    if (status == LSM_OK) status = lsm_cursor_open(view, tree_of(0), NULL, &high, &cursor, &world.err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &world.err);
    for (int i = 0; i < 20 && status == LSM_OK && lsm_cursor_valid(cursor); i++) status = lsm_cursor_next(cursor, &world.err);
    if (status == LSM_OK) status = lsm_cursor_rebound(cursor, &low, NULL, &world.err);
    if (status == LSM_OK) status = lsm_cursor_last(cursor, &world.err);
    for (int i = 0; i < 20 && status == LSM_OK && lsm_cursor_valid(cursor); i++) status = lsm_cursor_prev(cursor, &world.err);
    if (status == LSM_OK) status = lsm_cursor_seek(cursor, model_key(33), &world.err);
    lsm_cursor_close(cursor);
    lsm_view_close(view);
    return status;
}

static inline void write_a_little(void) { MUST(world_write(&world, 0, 3, LSM_SYNC_OFF)); }

static inline int do_flush(void) { return world_flush(&world); }

static inline int do_compact(void) { return world_compact(&world); }

static inline int do_ask(void) {
    struct lsm_tree_info *trees = NULL;
    struct lsm_file_info *files = NULL;
    struct lsm_reader_info *readers = NULL;
    size_t count = 0;
    uint64_t problems = 0;
    int status = lsm_store_trees(world.store, &trees, &count, &world.err);
    if (status == LSM_OK) status = lsm_store_files(world.store, &files, &count, &world.err);
    if (status == LSM_OK) status = lsm_store_readers(world.store, &readers, &count, &world.err);
    lsm_free(trees);
    lsm_free(files);
    lsm_free(readers);
    if (status == LSM_OK) status = lsm_store_check(world.store, NULL, NULL, NULL, NULL, &problems, &world.err);
    if (status == LSM_OK) assert_true(problems == 0);
    return status;
}

static inline int do_names(void) {
    char **names = NULL;
    size_t count = 0;
    int status = lsm_dir_list(world.env, world.options.dir, &names, &count, &world.err);
    if (status == LSM_OK) assert_true(count > 2);
    lsm_free(names);
    return status;
}

/* The simulated disk may be out of memory in the midst of a sync: that is a sync that failed, and ends the writing for good. */
static inline int without_that_disk(int status) {
    if (status == LSM_OK || strstr(world.err.text, "in the memory file system") == NULL) return status;
    (void)world_close(&world);
    MUST(world_open(&world));
    return lsm_fail_nomem(&world.err, 0);
}

/* The once-a-second sync of a log file whose writer is gone: a large transaction has ended it. */
static inline void let_a_second_pass(void) {
    if (without_that_disk(do_large_transaction()) != LSM_OK) MUST(do_large_transaction());
    lsm_env_sleep_us(world.env, 2000000);
}

static inline int do_sync(void) { return without_that_disk(world_write(&world, 0, 1, LSM_SYNC_NORMAL)); }

/* Another process reads on in log and manifest, */
static inline void write_for_the_other(void) {
    struct lsm_options options = world.options;
    options.env = other_env;
    if (other == NULL) MUST(lsm_store_open(&options, &other, &world.err));
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    MUST(world_write(&world, 0, 40, LSM_SYNC_OFF));
    MUST(world_flush(&world));
    MUST(world_write(&world, 0, 2, LSM_SYNC_OFF));
}

static inline int do_follow(void) {
    struct lsm_view *view = NULL;
    int status = lsm_view_open(other, NULL, &view, &world.err);
    lsm_view_close(view);
    return status;
}

/* which has never seen large transactions, transactions prepared and taken back or committed, trees that come and go; and, the second time, log files that are covered by table files, */
static inline void write_everything_for_the_other(void) {
    static unsigned times;
    write_for_the_other();
    MUST(do_transaction());
    MUST(do_large_transaction());
    MUST(world_begin(&world));
    MUST(world_put(&world, 0, 9));
    MUST(world_prepare(&world, LSM_SYNC_FULL));
    MUST(world_rollback(&world));
    world.extras_count = 0;
    MUST(world_write(&world, 0, 60, LSM_SYNC_OFF));
    if (++times % 3 == 0) return;
    MUST(world_write(&world, 0, 60, LSM_SYNC_OFF));
    MUST(do_large_transaction());
    MUST(world_flush(&world));
    if (times % 3 == 1) MUST(world_compact(&world));
    MUST(world_write(&world, 0, 60, LSM_SYNC_OFF));
}

/* and writes there. */
static inline int do_take_over(void) {
    struct lsm_txn *txn = NULL;
    int status = lsm_txn_begin(other, UINT64_MAX, 0, &txn, &world.err);
    if (status == LSM_OK) MUST(lsm_txn_rollback(txn, &world.err));
    return status;
}

/* What is there to be struck: table files of several levels, log files, a tree dropped. */
static inline void furnish(void) {
    for (int i = 0; i < 12; i++) {
        MUST(world_write(&world, 0, 60, LSM_SYNC_NORMAL));
        if (i % 4 == 3) MUST(world_flush(&world));
    }
    MUST(world_write(&world, 0, 20, LSM_SYNC_NORMAL));
}

/* The history has an end. */
static inline void forget(void) {
    if (world.commits < 3) return;
    world.history[1] = world.history[world.commits - 1];
    world.commits = world.durable = world.normal = 2;
}

#endif
