/* api_kit.h: what the tests of lsm.h's promises share: a store with one tree in the strict environment in memory (../support/world.h), and what is done and
 * asked in every test. Header only: each test file is a program of its own. */
#ifndef TEST_API_KIT_H
#define TEST_API_KIT_H

#include <stdio.h>
#include <string.h>

#include "../../lsm_core/base/base.h"
#include "world_kit.h"

/* Runs a test on an open store, and sees that it gives its memory back. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int64_t live_before;

static inline struct lsm_slice text(const char *bytes) { return lsm_slice_of(bytes, strlen(bytes)); }

/* An open store with a tree in slot 0. */
static inline int set_up(void **state) {
    (void)state;
    live_before = lsm_mem_live();
    world_init(&world, lsm_env_mem_new_strict(), 17);
    open_with_trees(1);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    if (world.store != NULL) MUST(world_close(&world));
    lsm_env_mem_free(world.env);
    assert_int_equal(lsm_mem_live(), live_before);
    return 0;
}

static inline uint32_t tree_of(int slot) { return world.history[world.commits - 1].trees[slot].tree; }

static inline void must_be_right(void) {
    const char *wrong = world_differs(&world, world.store);
    if (wrong != NULL) fail_msg("%s", wrong);
}

/* Expect a failure with this status whose message holds these words. */
static inline void must_fail(int status, int wanted, const char *words) {
    if (status != wanted) fail_msg("%s, not %s (%s)", lsm_status_name(status), lsm_status_name(wanted), world.err.text);
    assert_int_equal(world.err.code, wanted);
    if (strstr(world.err.text, words) == NULL) fail_msg("'%s' does not say '%s'", world.err.text, words);
}

static inline struct lsm_view *view_of(struct lsm_txn *txn) {
    struct lsm_view *view = NULL;
    MUST(lsm_view_open(world.store, txn, &view, &world.err));
    return view;
}

/* One row, committed. */
static inline void commit_row(uint32_t tree, struct lsm_slice key, struct lsm_slice value) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_put(txn, tree, key, value, &world.err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
}

static inline void path_of(char path[64], const char *name) { (void)snprintf(path, 64, "%s/%s", world.options.dir, name); }

/* The only file of the store whose name ends so. */
static inline void find_file(const char *end, char path[64]) {
    struct lsm_names names;
    unsigned found = 0;
    MUST(lsm_env_list(world.env, world.options.dir, &names, &world.err));
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.names[i]), end_size = strlen(end);
        if (size < end_size || strcmp(names.names[i] + size - end_size, end) != 0) continue;
        path_of(path, names.names[i]);
        found++;
    }
    lsm_names_free(&names);
    assert_int_equal(found, 1);
}

#endif
