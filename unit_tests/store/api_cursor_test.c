/* What lsm.h promises of cursors and estimates. */
#include <stdio.h>
#include <stdlib.h>

#include "api_kit.h"

/* ---- cursors ---------------------------------------------------------------------------------------------------------------------------- */

/* Every pair of bounds, every seek, against the plain array. */
static void must_walk(struct lsm_cursor *cursor, const struct model *rows, unsigned low, unsigned high) {
    struct lsm_slice low_key = model_key(low), high_key = model_key(high);
    MUST(lsm_cursor_rebound(cursor, low == 0 ? NULL : &low_key, high == MODEL_KEYS - 1 ? NULL : &high_key, &world.err));
    assert_false(lsm_cursor_valid(cursor));
    unsigned end = high == MODEL_KEYS - 1 ? MODEL_KEYS : high;
    MUST(lsm_cursor_first(cursor, &world.err));
    for (unsigned key = low; key < end; key++) {
        if (rows->values[key] == 0) continue;
        assert_true(lsm_cursor_valid(cursor));
        assert_true(lsm_slice_equal(lsm_cursor_key(cursor), model_key(key)));
        MUST(lsm_cursor_next(cursor, &world.err));
    }
    assert_false(lsm_cursor_valid(cursor));
    MUST(lsm_cursor_last(cursor, &world.err));
    for (unsigned key = end; key-- > low;) {
        if (rows->values[key] == 0) continue;
        assert_true(lsm_cursor_valid(cursor));
        assert_true(lsm_slice_equal(lsm_cursor_key(cursor), model_key(key)));
        MUST(lsm_cursor_prev(cursor, &world.err));
    }
    assert_false(lsm_cursor_valid(cursor));
    for (unsigned key = 0; key < MODEL_KEYS; key += 5) {
        unsigned want = key < low ? low : key;
        while (want < end && rows->values[want] == 0) want++;
        MUST(lsm_cursor_seek(cursor, model_key(key), &world.err));
        assert_int_equal(lsm_cursor_valid(cursor), want < end);
        if (want < end) assert_true(lsm_slice_equal(lsm_cursor_key(cursor), model_key(want)));
    }
}

static void cursors_keep_to_their_bounds(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        MUST(world_write(&world, 0, 40, LSM_SYNC_OFF));
        if (i != 2) MUST(world_flush(&world));
    }
    struct lsm_view *view = view_of(NULL);
    struct lsm_cursor *cursor = NULL;
    struct lsm_slice nothing = text("zz"), less = text("aa");
    MUST(lsm_cursor_open(view, tree_of(0), NULL, NULL, &cursor, &world.err));
    assert_false(lsm_cursor_valid(cursor));
    const struct model *rows = &world.history[world.commits - 1].rows[0];
    for (unsigned low = 0; low < MODEL_KEYS; low += 7)
        for (unsigned high = low; high < MODEL_KEYS; high += 5) must_walk(cursor, rows, low, high);
    must_walk(cursor, rows, 0, MODEL_KEYS - 1);
    MUST(lsm_cursor_rebound(cursor, &nothing, &less, &world.err)); /* upside down: nothing lies between */
    MUST(lsm_cursor_first(cursor, &world.err));
    assert_false(lsm_cursor_valid(cursor));
    MUST(lsm_cursor_last(cursor, &world.err));
    assert_false(lsm_cursor_valid(cursor));
    MUST(lsm_cursor_seek(cursor, less, &world.err));
    assert_false(lsm_cursor_valid(cursor));
    lsm_cursor_close(cursor);
    lsm_view_close(view);
}

static void cursors_turn_round_anywhere(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        MUST(world_write(&world, 0, 30, LSM_SYNC_OFF));
        if (i % 2 == 0) MUST(world_flush(&world));
    }
    const struct model *rows = &world.history[world.commits - 1].rows[0];
    struct lsm_view *view = view_of(NULL);
    struct lsm_cursor *cursor = NULL;
    MUST(lsm_cursor_open(view, tree_of(0), NULL, NULL, &cursor, &world.err));
    MUST(lsm_cursor_first(cursor, &world.err));
    unsigned at = 0;
    while (rows->values[at] == 0) at++;
    for (int i = 0; i < 3000; i++) {
        unsigned next = at;
        if (model_below(&world.random, 2) == 0) {
            do next++;
            while (next < MODEL_KEYS && rows->values[next] == 0);
            MUST(lsm_cursor_next(cursor, &world.err));
        } else {
            do next--;
            while (next < MODEL_KEYS && rows->values[next] == 0);
            MUST(lsm_cursor_prev(cursor, &world.err));
        }
        assert_int_equal(lsm_cursor_valid(cursor), next < MODEL_KEYS);
        if (next < MODEL_KEYS) {
            at = next;
            assert_true(lsm_slice_equal(lsm_cursor_key(cursor), model_key(at)));
        } else {
            MUST(lsm_cursor_seek(cursor, model_key(at), &world.err));
        }
    }
    lsm_cursor_close(cursor);
    lsm_view_close(view);
}

static void put_all(const char *keys, const char *value) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    for (const char *key = keys; *key != '\0'; key++) {
        struct lsm_slice bytes = {.data = (const uint8_t *)key, .size = 1};
        if (value == NULL)
            MUST(lsm_txn_delete(txn, tree_of(0), bytes, &world.err));
        else
            MUST(lsm_txn_put(txn, tree_of(0), bytes, text(value), &world.err));
    }
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
}

/* A walk has come to where only one table has rows left, and goes back: what is newer there counts again. */
static void what_had_run_out_counts_again_after_a_turn(void **state) {
    (void)state;
    static const char rows[] = "abcdefghijklmnop";
    put_all(rows, "old");
    MUST(world_flush(&world));
    for (int in_table = 0; in_table < 2; in_table++) {
        put_all("c", "new");
        put_all("d", NULL);
        if (in_table) MUST(world_flush(&world));
        struct lsm_view *view = view_of(NULL);
        struct lsm_cursor *cursor = NULL;
        MUST(lsm_cursor_open(view, tree_of(0), NULL, NULL, &cursor, &world.err));
        MUST(lsm_cursor_seek(cursor, text("f"), &world.err));
        for (int turn = 0; turn < 6; turn++) {
            bool up = turn % 2 == 0;
            for (const char *want = turn == 0 ? "ghijk" : up ? "bcefghijk" : "jihgfecba"; *want != '\0'; want++) {
                MUST(up ? lsm_cursor_next(cursor, &world.err) : lsm_cursor_prev(cursor, &world.err));
                assert_true(lsm_cursor_valid(cursor));
                assert_true(lsm_slice_equal(lsm_cursor_key(cursor), lsm_slice_of((const uint8_t *)want, 1)));
                assert_true(lsm_slice_equal(lsm_cursor_value(cursor), text(*want == 'c' ? "new" : "old")));
            }
        }
        lsm_cursor_close(cursor);
        lsm_view_close(view);
    }
}

/* Bounds and keys around 8 bytes, where numbers made of them could tell less than the bytes. */
enum { EDGE_KEYS = 55, EDGE_BYTES_MAX = 10 };
static uint8_t edge_bytes[EDGE_KEYS][EDGE_BYTES_MAX];
static struct lsm_slice edge_keys[EDGE_KEYS];

static int by_key(const void *a, const void *b) { return lsm_slice_compare(*(const struct lsm_slice *)a, *(const struct lsm_slice *)b); }

/* Sorted; some are there twice. */
static void make_edge_keys(void) {
    static const uint8_t fills[] = {0x00, 0xff, 'a', 'a', 'a'}, lasts[] = {0x00, 0xff, 'a', 0x00, 0xff};
    for (size_t i = 0; i < EDGE_KEYS; i++) {
        size_t size = i % (EDGE_BYTES_MAX + 1), pattern = i / (EDGE_BYTES_MAX + 1);
        memset(edge_bytes[i], fills[pattern], EDGE_BYTES_MAX);
        if (size > 0) edge_bytes[i][size - 1] = lasts[pattern];
        edge_keys[i] = lsm_slice_of(edge_bytes[i], size);
    }
    qsort(edge_keys, EDGE_KEYS, sizeof edge_keys[0], by_key);
}

/* NULL: no bound. */
static void must_keep_to(struct lsm_cursor *cursor, const struct lsm_slice *low, const struct lsm_slice *high) {
    size_t from = 0, to = EDGE_KEYS;
    while (low != NULL && from < to && lsm_slice_compare(edge_keys[from], *low) < 0) from++;
    while (high != NULL && to > from && lsm_slice_compare(edge_keys[to - 1], *high) >= 0) to--;
    MUST(lsm_cursor_rebound(cursor, low, high, &world.err));
    MUST(lsm_cursor_first(cursor, &world.err));
    for (size_t i = from; i < to; i++) {
        if (i > from && lsm_slice_equal(edge_keys[i], edge_keys[i - 1])) continue;
        assert_true(lsm_cursor_valid(cursor));
        assert_true(lsm_slice_equal(lsm_cursor_key(cursor), edge_keys[i]) && lsm_slice_equal(lsm_cursor_value(cursor), edge_keys[i]));
        MUST(lsm_cursor_next(cursor, &world.err));
    }
    assert_false(lsm_cursor_valid(cursor));
    MUST(lsm_cursor_last(cursor, &world.err));
    for (size_t i = to; i-- > from;) {
        if (i > from && lsm_slice_equal(edge_keys[i], edge_keys[i - 1])) continue;
        assert_true(lsm_cursor_valid(cursor));
        assert_true(lsm_slice_equal(lsm_cursor_key(cursor), edge_keys[i]));
        MUST(lsm_cursor_prev(cursor, &world.err));
    }
    assert_false(lsm_cursor_valid(cursor));
}

static void bounds_hold_whatever_their_length(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    make_edge_keys();
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    for (size_t i = 0; i < EDGE_KEYS; i++) MUST(lsm_txn_put(txn, tree_of(0), edge_keys[i], edge_keys[i], &world.err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
    for (int flushed = 0; flushed < 2; flushed++) {
        if (flushed) MUST(world_flush(&world));
        struct lsm_view *view = view_of(NULL);
        struct lsm_cursor *cursor = NULL;
        MUST(lsm_cursor_open(view, tree_of(0), NULL, NULL, &cursor, &world.err));
        must_keep_to(cursor, NULL, NULL);
        for (size_t i = 0; i < EDGE_KEYS; i++) {
            must_keep_to(cursor, &edge_keys[i], NULL);
            must_keep_to(cursor, NULL, &edge_keys[i]);
            for (size_t j = i; j < EDGE_KEYS; j++) must_keep_to(cursor, &edge_keys[i], &edge_keys[j]);
        }
        lsm_cursor_close(cursor);
        lsm_view_close(view);
    }
}

static void estimates_are_about_right(void **state) {
    (void)state;
    enum { ROWS = 5000 };
    struct lsm_txn *txn = NULL;
    for (int step = 0; step < 3; step++) {
        MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
        for (unsigned i = 0; step == 0 && i < ROWS; i++) {
            char key[16], value[64] = {0};
            (void)snprintf(key, sizeof key, "%08u", i);
            MUST(lsm_txn_put(txn, tree_of(0), text(key), lsm_slice_of(value, sizeof value), &world.err));
        }
        MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
        lsm_txn_commit(txn, true);
        struct lsm_view *view = view_of(NULL);
        struct lsm_estimate all, half, none;
        struct lsm_slice middle = text("00002500"), end = text("9");
        lsm_view_estimate(view, tree_of(0), NULL, NULL, &all);
        lsm_view_estimate(view, tree_of(0), NULL, &middle, &half);
        lsm_view_estimate(view, tree_of(0), &end, NULL, &none);
        if (all.rows < ROWS * 0.7 || all.rows > ROWS * 1.4) fail_msg("step %d: %f rows of %d", step, all.rows, (int)ROWS);
        if (half.rows < ROWS * 0.3 || half.rows > ROWS * 0.7) fail_msg("step %d: %f rows of %d", step, half.rows, (int)ROWS / 2);
        if (none.rows > ROWS * 0.05) fail_msg("step %d: %f rows of none", step, none.rows);
        assert_true(all.bytes > 0 && all.sources >= 1);
        lsm_view_close(view);
        if (step == 0) MUST(world_flush(&world));
        if (step == 1) MUST(world_compact(&world));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(cursors_keep_to_their_bounds),      TEST(cursors_turn_round_anywhere), TEST(what_had_run_out_counts_again_after_a_turn),
        TEST(bounds_hold_whatever_their_length), TEST(estimates_are_about_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
