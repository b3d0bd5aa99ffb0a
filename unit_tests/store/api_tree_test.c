/* What lsm.h promises of trees and of the keys and values in them. */
#include <stdlib.h>

#include "api_kit.h"

/* ---- sizes ------------------------------------------------------------------------------------------------------------------------ */

static void keys_and_values_over_the_limit_are_refused(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    uint8_t *big = calloc(1, LSM_KEY_BYTES_MAX + 1);
    assert_non_null(big);
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    must_fail(lsm_txn_put(txn, tree_of(0), lsm_slice_of(big, LSM_KEY_BYTES_MAX + 1), text("v"), &world.err), LSM_TOOBIG, "key");
    must_fail(lsm_txn_delete(txn, tree_of(0), lsm_slice_of(big, LSM_KEY_BYTES_MAX + 1), &world.err), LSM_TOOBIG, "key");
    must_fail(lsm_txn_delete_range(txn, tree_of(0), text(""), lsm_slice_of(big, LSM_KEY_BYTES_MAX + 1), &world.err), LSM_TOOBIG, "key");
    must_fail(lsm_txn_put(txn, tree_of(0), text("k"), lsm_slice_of(big, LSM_VALUE_BYTES_MAX + 1), &world.err), LSM_TOOBIG, "value");
    assert_false(lsm_txn_is_dirty(txn));
    MUST(lsm_txn_put(txn, tree_of(0), lsm_slice_of(big, LSM_KEY_BYTES_MAX), text("longest"), &world.err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
    for (int i = 0; i < 3; i++) {
        struct lsm_view *view = view_of(NULL);
        MUST(lsm_view_get(view, tree_of(0), lsm_slice_of(big, LSM_KEY_BYTES_MAX), NULL, &world.err));
        assert_int_equal(lsm_view_get(view, tree_of(0), lsm_slice_of(big, LSM_KEY_BYTES_MAX + 1), NULL, &world.err), LSM_NOTFOUND);
        assert_int_equal(lsm_view_get(view, tree_of(0), lsm_slice_of(big, LSM_KEY_BYTES_MAX - 1), NULL, &world.err), LSM_NOTFOUND);
        lsm_view_close(view);
        if (i == 0) MUST(world_flush(&world));
        if (i == 1) MUST(world_close(&world));
        if (i == 1) MUST(world_open(&world));
    }
    free(big);
}

static void long_keys_and_values_come_back_from_everywhere(void **state) {
    (void)state;
    enum { KEY_BYTES = 1 << 20, VALUE_BYTES = 10 << 20 };
    uint8_t *bytes = malloc(VALUE_BYTES);
    assert_non_null(bytes);
    for (size_t i = 0; i < VALUE_BYTES; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    commit_row(tree_of(0), lsm_slice_of(bytes, KEY_BYTES), lsm_slice_of(bytes, VALUE_BYTES));
    commit_row(tree_of(0), lsm_slice_of(bytes, KEY_BYTES - 1), text("shorter"));
    commit_row(tree_of(0), text(""), text(""));
    for (int step = 0; step < 4; step++) {
        struct lsm_view *view = view_of(NULL);
        struct lsm_value value = {0};
        struct lsm_cursor *cursor = NULL;
        MUST(lsm_view_get(view, tree_of(0), lsm_slice_of(bytes, KEY_BYTES), &value, &world.err));
        assert_true(lsm_slice_equal(value.bytes, lsm_slice_of(bytes, VALUE_BYTES)));
        MUST(lsm_view_get(view, tree_of(0), text(""), &value, &world.err));
        assert_int_equal(value.bytes.size, 0);
        lsm_value_release(&value);
        MUST(lsm_cursor_open(view, tree_of(0), NULL, NULL, &cursor, &world.err));
        MUST(lsm_cursor_first(cursor, &world.err));
        assert_int_equal(lsm_cursor_key(cursor).size, 0);
        assert_int_equal(lsm_cursor_value(cursor).size, 0);
        MUST(lsm_cursor_next(cursor, &world.err));
        assert_true(lsm_slice_equal(lsm_cursor_key(cursor), lsm_slice_of(bytes, KEY_BYTES - 1)));
        MUST(lsm_cursor_next(cursor, &world.err));
        assert_true(lsm_slice_equal(lsm_cursor_key(cursor), lsm_slice_of(bytes, KEY_BYTES)));
        assert_true(lsm_slice_equal(lsm_cursor_value(cursor), lsm_slice_of(bytes, VALUE_BYTES)));
        MUST(lsm_cursor_next(cursor, &world.err));
        assert_false(lsm_cursor_valid(cursor));
        lsm_cursor_close(cursor);
        lsm_view_close(view);
        if (step == 0) MUST(world_close(&world));
        if (step == 0) MUST(world_open(&world));
        if (step == 1) MUST(world_flush(&world));
        if (step == 2) MUST(world_compact(&world));
    }
    const char *finding = world_check(world.store);
    if (finding != NULL) fail_msg("%s", finding);
    free(bytes);
}

/* ---- trees --------------------------------------------------------------------------------------------------------------------------- */

static void trees_are_known_by_id_and_nonce(void **state) {
    (void)state;
    struct lsm_tree_info tree = world.history[world.commits - 1].trees[0], other = tree;
    assert_int_equal(lsm_store_tree_check(world.store, tree), LSM_OK);
    other.nonce ^= 1;
    assert_int_equal(lsm_store_tree_check(world.store, other), LSM_MISMATCH);
    other.tree = 1234;
    assert_int_equal(lsm_store_tree_check(world.store, other), LSM_NOTFOUND);
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info made;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_tree_create(txn, &made, &world.err));
    assert_int_equal(lsm_store_tree_check(world.store, made), LSM_NOTFOUND); /* not committed */
    must_fail(lsm_txn_tree_drop(txn, 1234, &world.err), LSM_NOTFOUND, "1234");
    MUST(lsm_txn_tree_drop(txn, made.tree, &world.err));
    must_fail(lsm_txn_tree_drop(txn, made.tree, &world.err), LSM_NOTFOUND, "no tree");
    MUST(lsm_txn_rollback(txn, &world.err));
    MUST(world_close(&world));
    MUST(world_open(&world));
    assert_int_equal(lsm_store_tree_check(world.store, tree), LSM_OK);
}

static void a_dropped_tree_cannot_be_dropped_again_in_the_same_transaction(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_tree_drop(txn, tree_of(0), &world.err));
    must_fail(lsm_txn_tree_drop(txn, tree_of(0), &world.err), LSM_NOTFOUND, "no tree");
    MUST(lsm_txn_rollback(txn, &world.err));
    must_be_right();
}

static void ids_of_trees_are_not_used_twice(void **state) {
    (void)state;
    uint32_t last = tree_of(0);
    for (int i = 0; i < 12; i++) {
        MUST(world_begin(&world));
        MUST(world_create(&world, 1));
        if (i % 5 == 4) MUST(world_drop(&world, 1));
        uint32_t made = i % 5 == 4 ? last + 1 : world.next.trees[1].tree;
        MUST(world_commit(&world, LSM_SYNC_OFF));
        assert_true(made > last);
        last = made;
        if (i % 3 == 0) MUST(world_flush(&world));
        if (tree_of(1) != 0) {
            MUST(world_begin(&world));
            MUST(world_drop(&world, 1));
            MUST(world_commit(&world, LSM_SYNC_OFF));
        }
        if (i % 4 == 1) MUST(world_flush(&world));
        if (i % 2 == 0) MUST(world_close(&world));
        if (i % 2 == 0) MUST(world_open(&world));
        must_be_right();
    }
}

static void many_trees_are_made_in_one_transaction(void **state) {
    (void)state;
    enum { MANY = 50 };
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info made[MANY], *trees = NULL;
    size_t count = 0;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    for (int i = 0; i < MANY; i++) {
        MUST(lsm_txn_tree_create(txn, &made[i], &world.err));
        MUST(lsm_txn_put(txn, made[i].tree, text("k"), lsm_slice_of(&made[i].nonce, 8), &world.err));
    }
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
    for (int step = 0; step < 4; step++) {
        MUST(lsm_store_trees(world.store, &trees, &count, &world.err));
        assert_int_equal(count, MANY + 1);
        struct lsm_view *view = view_of(NULL);
        for (int i = 0; i < MANY; i++) {
            struct lsm_value value = {0};
            assert_int_equal(trees[i + 1].tree, made[i].tree);
            assert_true(trees[i + 1].nonce == made[i].nonce);
            assert_int_equal(lsm_store_tree_check(world.store, made[i]), LSM_OK);
            MUST(lsm_view_get(view, made[i].tree, text("k"), &value, &world.err));
            assert_memory_equal(value.bytes.data, &made[i].nonce, 8);
            lsm_value_release(&value);
        }
        lsm_view_close(view);
        lsm_free(trees);
        if (step == 1) MUST(world_flush(&world));
        if (step != 1) MUST(world_close(&world));
        if (step != 1) MUST(world_open(&world));
    }
}

/* The files of a run hold several trees: a walk in one must not stumble over the keys of the next. */
static void a_walk_stays_in_its_tree(void **state) {
    (void)state;
    MUST(world_begin(&world));
    MUST(world_create(&world, 1));
    MUST(world_commit(&world, LSM_SYNC_OFF));
    uint32_t low = tree_of(0), high = tree_of(1);
    commit_row(low, text("a"), text("1"));
    commit_row(high, text("b"), text("1"));
    MUST(world_flush(&world));
    commit_row(low, text("d"), text("1"));
    commit_row(high, text("a"), text("1"));
    for (int step = 0; step < 3; step++) {
        static const char *want[2] = {"ad", "ab"};
        for (int t = 0; t < 2; t++) {
            struct lsm_view *view = view_of(NULL);
            struct lsm_cursor *cursor = NULL;
            MUST(lsm_cursor_open(view, t == 0 ? low : high, NULL, NULL, &cursor, &world.err));
            MUST(lsm_cursor_first(cursor, &world.err));
            for (int i = 0; i < 2; i++) {
                assert_true(lsm_cursor_valid(cursor));
                assert_int_equal(lsm_cursor_key(cursor).data[0], want[t][i]);
                MUST(lsm_cursor_next(cursor, &world.err));
            }
            assert_false(lsm_cursor_valid(cursor));
            MUST(lsm_cursor_last(cursor, &world.err));
            for (int i = 2; i-- > 0;) {
                assert_true(lsm_cursor_valid(cursor));
                assert_int_equal(lsm_cursor_key(cursor).data[0], want[t][i]);
                MUST(lsm_cursor_prev(cursor, &world.err));
            }
            assert_false(lsm_cursor_valid(cursor));
            lsm_cursor_close(cursor);
            lsm_view_close(view);
        }
        if (step == 0) MUST(world_flush(&world));
        if (step == 1) MUST(world_compact(&world));
    }
}

static void random_changes_in_several_trees_read_back(void **state) {
    (void)state;
    for (int slot = 1; slot < WORLD_TREES; slot++) {
        MUST(world_begin(&world));
        MUST(world_create(&world, slot));
        MUST(world_commit(&world, LSM_SYNC_OFF));
    }
    for (unsigned round = 0; round < 150; round++) {
        MUST(world_write(&world, (int)(model_next(&world.random) % WORLD_TREES), 1 + (unsigned)model_below(&world.random, 40), LSM_SYNC_OFF));
        if (round % 4 == 0) MUST(world_flush(&world));
        if (round % 31 == 30) MUST(world_compact(&world));
        if (round % 50 == 49) {
            int slot = (int)model_below(&world.random, WORLD_TREES);
            MUST(world_begin(&world));
            MUST(world_drop(&world, slot));
            MUST(world_create(&world, slot));
            MUST(world_commit(&world, LSM_SYNC_OFF));
        }
        struct lsm_view *view = view_of(NULL);
        for (int slot = 0; slot < WORLD_TREES; slot++) {
            const char *wrong = model_differs(&world.history[world.commits - 1].rows[slot], view, tree_of(slot));
            if (wrong != NULL) fail_msg("round %u, tree %u: %s", round, (unsigned)tree_of(slot), wrong);
        }
        lsm_view_close(view);
        if (round % 20 == 19) must_be_right();
    }
}

static uint64_t table_bytes(void) {
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    return stats.table_bytes;
}

static void dropping_a_tree_gives_its_space_back(void **state) {
    (void)state;
    for (int flushed = 0; flushed < 2; flushed++) {
        MUST(world_begin(&world));
        MUST(world_create(&world, 1));
        for (unsigned key = 0; key < MODEL_KEYS; key++) MUST(world_put(&world, 1, key));
        MUST(world_commit(&world, LSM_SYNC_OFF));
        MUST(world_flush(&world));
        assert_true(table_bytes() > 10000);
        MUST(world_begin(&world));
        MUST(world_drop(&world, 1));
        MUST(world_commit(&world, LSM_SYNC_OFF));
        if (flushed) MUST(world_flush(&world));
        MUST(lsm_store_quiesce(world.store, &world.err));
        assert_true(table_bytes() < 5000);
        must_be_right();
    }
    assert_int_equal(table_bytes() < 5000, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(keys_and_values_over_the_limit_are_refused),
        TEST(long_keys_and_values_come_back_from_everywhere),
        TEST(trees_are_known_by_id_and_nonce),
        TEST(a_dropped_tree_cannot_be_dropped_again_in_the_same_transaction),
        TEST(ids_of_trees_are_not_used_twice),
        TEST(many_trees_are_made_in_one_transaction),
        TEST(a_walk_stays_in_its_tree),
        TEST(random_changes_in_several_trees_read_back),
        TEST(dropping_a_tree_gives_its_space_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
