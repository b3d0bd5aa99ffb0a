/* reserve_kit.h: a store on a disk whose space is limited. Header only: each test file is a program of its own. */
#ifndef TEST_RESERVE_KIT_H
#define TEST_RESERVE_KIT_H

#include "world_kit.h"

#include <errno.h>
#include <stdio.h>

#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/store/store.h"

#define RESERVE "db-lsm/store/RESERVE"

enum { VALUE_BYTES = 400, ROWS_AT_ONCE = 50, ROWS_MAX = 100000, STEP = 65536 };

static uint32_t tree;
static uint64_t noise;

static inline int set_up(void **state) {
    (void)state;
    world_init(&world, lsm_env_mem_new_strict(), 17);
    noise = 17;
    open_with_trees(1);
    tree = world.history[world.commits - 1].trees[0].tree;
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    finish();
    return 0;
}

static inline void reopen(size_t write_buffer) {
    MUST(world_close(&world));
    world.options.write_buffer_bytes = write_buffer;
    MUST(world_open(&world));
}

/* What no compression makes shorter. */
static inline int put(struct lsm_txn *txn, uint32_t number) {
    uint8_t key[4], value[VALUE_BYTES];
    lsm_store_be32(key, number);
    for (size_t i = 0; i < sizeof value; i++) {
        noise = noise * 6364136223846793005u + 1442695040888963407u;
        value[i] = (uint8_t)(noise >> 56);
    }
    return lsm_txn_put(txn, tree, lsm_slice_of(key, sizeof key), lsm_slice_of(value, sizeof value), &world.err);
}

/* Rows [low, high), every `step`-th, in one transaction: added, or deleted. */
static inline int change_in(enum lsm_sync sync, uint32_t low, uint32_t high, uint32_t step, bool adds) {
    struct lsm_txn *txn = NULL;
    uint8_t key[4];
    int status = lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err);
    if (status != LSM_OK) return status;
    for (uint32_t number = low; number < high && status == LSM_OK; number += step) {
        lsm_store_be32(key, number);
        status = adds ? put(txn, number) : lsm_txn_delete(txn, tree, lsm_slice_of(key, sizeof key), &world.err);
    }
    if (status == LSM_OK) status = lsm_txn_prepare(txn, sync, LSM_DECIDES_ITSELF, NULL, &world.err);
    if (status == LSM_OK)
        lsm_txn_commit(txn, true);
    else
        MUST(lsm_txn_rollback(txn, NULL));
    return status;
}

static inline int change(uint32_t low, uint32_t high, uint32_t step, bool adds) { return change_in(LSM_SYNC_NORMAL, low, high, step, adds); }

static inline int change_durably(uint32_t low, uint32_t high, bool adds) { return change_in(LSM_SYNC_FULL, low, high, 1, adds); }

/* Transactions [low, high), of so many rows each. */
static inline void add(uint32_t low, uint32_t high) {
    for (uint32_t i = low; i < high; i++) MUST(change(i * ROWS_AT_ONCE, (i + 1) * ROWS_AT_ONCE, 1, true));
}

/* How many rows there are. */
static inline uint32_t count_rows(void) {
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    uint32_t count = 0;
    MUST(lsm_view_open(world.store, NULL, &view, &world.err));
    MUST(lsm_cursor_open(view, tree, NULL, NULL, &cursor, &world.err));
    MUST(lsm_cursor_first(cursor, &world.err));
    while (lsm_cursor_valid(cursor)) {
        count++;
        MUST(lsm_cursor_next(cursor, &world.err));
    }
    lsm_cursor_close(cursor);
    lsm_view_close(view);
    return count;
}

static inline uint64_t used(void) {
    struct lsm_names names = {0};
    uint64_t bytes = 0;
    MUST(lsm_env_list(world.env, "db-lsm/store", &names, &world.err));
    for (size_t i = 0; i < names.count; i++) {
        char path[80];
        uint64_t size = 0;
        struct lsm_file *file = NULL;
        (void)snprintf(path, sizeof path, "db-lsm/store/%s", names.names[i]);
        MUST(lsm_env_open(world.env, path, LSM_OPEN_READ, NULL, &file, &world.err));
        MUST(lsm_file_size(file, &size, &world.err));
        lsm_file_close(file);
        bytes += size;
    }
    lsm_names_free(&names);
    return bytes;
}

/* The disk has `bytes`, and rows are added until it is full; then somebody else takes what is free. How many rows went in. */
static inline uint32_t fill(uint64_t bytes) {
    uint32_t rows = 0;
    int status = LSM_OK;
    lsm_env_mem_set_space(world.env, bytes);
    for (; rows < ROWS_MAX && status == LSM_OK; rows += status == LSM_OK ? ROWS_AT_ONCE : 0) status = change(rows, rows + ROWS_AT_ONCE, 1, true);
    assert_int_equal(status, LSM_FULL);
    lsm_env_mem_set_space(world.env, used());
    return rows;
}

static inline void must_be_well(void) {
    const char *wrong = world_check(world.store);
    if (wrong != NULL) fail_msg("%s", wrong);
}

static inline void roll(void) {
    MUST(lsm_store_lock_writer(world.store, 0, &world.err));
    MUST(lsm_store_roll(world.store, &world.err));
    lsm_store_unlock_writer(world.store);
}

/* Somebody else takes what is free. */
static inline void fill_disk(void) { lsm_env_mem_set_space(world.env, used()); }

#endif
