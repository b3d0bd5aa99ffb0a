/* Transactions as lsm.h promises them where hardly anybody goes: marks that are not there, many marks, prepared again, keys as long as they can be, memory that is out. */
#include "api_kit.h"

#include <stdio.h>

enum { LONG_BYTES = 5000, MARKS = 100 };

static int put(const char *key) { return lsm_txn_put(world.txn, tree_of(0), text(key), text("x"), &world.err); }

static unsigned count_rows(struct lsm_txn *txn) {
    struct lsm_view *view = view_of(txn);
    struct lsm_cursor *cursor = NULL;
    unsigned count = 0;
    MUST(lsm_cursor_open(view, tree_of(0), NULL, NULL, &cursor, &world.err));
    MUST(lsm_cursor_first(cursor, &world.err));
    for (; lsm_cursor_valid(cursor); count++) MUST(lsm_cursor_next(cursor, &world.err));
    lsm_cursor_close(cursor);
    lsm_view_close(view);
    return count;
}

/* ---- marks -------------------------------------------------------------------------------- */

static void a_mark_that_is_not_there_is_not_gone_back_to(void **state) {
    (void)state;
    MUST(world_begin(&world));
    assert_false(lsm_txn_is_dirty(world.txn));
    lsm_txn_release(world.txn, 77); /* none at all */
    MUST(put("a"));
    must_fail(lsm_txn_rollback_to(world.txn, 1, &world.err), LSM_MISUSE, "there is no such mark");
    uint64_t first = lsm_txn_mark(world.txn);
    MUST(put("b"));
    uint64_t second = lsm_txn_mark(world.txn);
    assert_true(lsm_txn_mark(world.txn) == second); /* twice at one place */
    MUST(put("c"));
    must_fail(lsm_txn_rollback_to(world.txn, first - 1, &world.err), LSM_MISUSE, "there is no such mark");
    must_fail(lsm_txn_rollback_to(world.txn, second + 1, &world.err), LSM_MISUSE, "there is no such mark");
    assert_int_equal(count_rows(world.txn), 3); /* as before the calls */
    lsm_txn_release(world.txn, second + 1);     /* between marks: nothing is forgotten that stands before */
    lsm_txn_release(world.txn, second);
    MUST(lsm_txn_rollback_to(world.txn, second, &world.err)); /* the other one of the two */
    assert_int_equal(count_rows(world.txn), 2);
    lsm_txn_release(world.txn, second);
    assert_int_equal(lsm_txn_rollback_to(world.txn, second, NULL), LSM_MISUSE);
    MUST(lsm_txn_rollback_to(world.txn, first, &world.err));
    lsm_txn_release(world.txn, 0); /* before all */
    must_fail(lsm_txn_rollback_to(world.txn, first, &world.err), LSM_MISUSE, "there is no such mark");
    MUST(lsm_txn_rollback_to(world.txn, 0, &world.err)); /* the beginning needs none */
    assert_int_equal(count_rows(world.txn), 0);
    MUST(world_rollback(&world));
}

/* More marks than have room in the transaction itself: the change behind the last that fits makes more, or fails. */
static void many_marks_need_memory_and_are_all_there(void **state) {
    (void)state;
    uint64_t marks[MARKS];
    char key[8];
    unsigned refused = 0;
    MUST(world_begin(&world));
    for (unsigned i = 0; i < MARKS; i++) {
        (void)snprintf(key, sizeof key, "%03u", i);
        lsm_mem_fail_after(1, true);
        int status = put(key);
        lsm_mem_fail_after(0, false);
        if (status != LSM_OK) {
            must_fail(status, LSM_NOMEM, "out of memory");
            refused++;
            MUST(put(key));
        }
        marks[i] = lsm_txn_mark(world.txn);
    }
    assert_true(refused > 0);
    for (unsigned i = MARKS; i-- > 0;) {
        MUST(lsm_txn_rollback_to(world.txn, marks[i], &world.err));
        assert_int_equal(count_rows(world.txn), i + 1);
    }
    MUST(world_rollback(&world));
}

/* ---- prepared again -------------------------------------------------------------------------------- */

/* The same record does for less; for more, for another decider and after a change it is taken back and written anew. */
static void who_prepares_again_gets_another_token_if_anything_is_different(void **state) {
    (void)state;
    uint8_t token[LSM_TOKEN_BYTES], next[LSM_TOKEN_BYTES];
    MUST(world_begin(&world));
    MUST(put("a"));
    MUST(lsm_txn_prepare(world.txn, LSM_SYNC_NORMAL, LSM_DECIDED_BY_TOKEN, token, &world.err));
    static const struct {
        enum lsm_sync sync;
        enum lsm_decider decider;
        bool same, change;
    } steps[] = {{LSM_SYNC_NORMAL, LSM_DECIDED_BY_TOKEN, true, false},
                 {LSM_SYNC_OFF, LSM_DECIDED_BY_TOKEN, true, false},
                 {LSM_SYNC_FULL, LSM_DECIDED_BY_TOKEN, false, false},
                 {LSM_SYNC_FULL, LSM_DECIDED_BY_TOKEN, false, true}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i].change) MUST(put("b"));
        MUST(lsm_txn_prepare(world.txn, steps[i].sync, steps[i].decider, next, &world.err));
        assert_true((memcmp(token, next, sizeof token) == 0) == steps[i].same);
        memcpy(token, next, sizeof token);
    }
    MUST(lsm_txn_prepare(world.txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err)); /* its record is a commit now */
    MUST(world_rollback(&world));
    assert_int_equal(count_rows(NULL), 0);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void a_negative_timeout_is_none(void **state) {
    (void)state;
    struct lsm_txn *second = NULL;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, -1, &world.txn, &world.err));
    must_fail(lsm_txn_begin(world.store, UINT64_MAX, -5, &second, &world.err), LSM_BUSY, "");
    assert_null(second);
    MUST(lsm_txn_rollback(world.txn, &world.err));
    world.txn = NULL;
}

/* Left undecided, and settled by who does not want to wait; a second time there is nothing to settle. */
static void who_settles_without_patience_settles_if_nobody_writes(void **state) {
    (void)state;
    for (int decision = LSM_DECISION_SEEN; decision <= LSM_DECISION_ABORT; decision++) {
        uint8_t token[LSM_TOKEN_BYTES];
        unsigned before = count_rows(NULL);
        MUST(lsm_store_await_writer(world.store, -1, &world.err));
        MUST(world_begin(&world));
        MUST(put((const char *[]){"a", "b", "c"}[decision]));
        MUST(lsm_txn_prepare(world.txn, LSM_SYNC_NORMAL, LSM_DECIDED_BY_TOKEN, token, &world.err));
        if (decision == LSM_DECISION_COMMIT) must_fail(lsm_store_await_writer(world.store, -1, &world.err), LSM_BUSY, "");
        lsm_txn_leave(world.txn);
        world.txn = NULL;
        assert_int_equal(count_rows(NULL), before);
        for (int again = 0; again < 2; again++) MUST(lsm_store_settle(world.store, token, (enum lsm_decision)decision, -1, &world.err));
        if (decision == LSM_DECISION_SEEN) MUST(lsm_store_settle(world.store, token, LSM_DECISION_COMMIT, -1, &world.err));
        assert_int_equal(count_rows(NULL), before + (decision != LSM_DECISION_ABORT));
    }
}

/* ---- long keys -------------------------------------------------------------------------------- */

static struct lsm_slice long_key(char first) {
    static uint8_t keys[8][LONG_BYTES];
    uint8_t *key = keys[first - 'a'];
    memset(key, first, LONG_BYTES);
    return lsm_slice_of(key, LONG_BYTES);
}

/* Buffers that short keys have never made grow do so here, one after the other. */
static int use_long_keys(void) {
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    struct lsm_slice a = long_key('a'), c = long_key('c'), d = long_key('d');
    struct lsm_value value = {0};
    int status = lsm_txn_put(world.txn, tree_of(0), a, text("1"), &world.err);
    uint64_t mark = lsm_txn_mark(world.txn);
    if (status == LSM_OK) status = lsm_txn_put(world.txn, tree_of(0), c, text("2"), &world.err);
    if (status == LSM_OK) status = lsm_txn_delete_range(world.txn, tree_of(0), long_key('b'), c, &world.err);
    if (status == LSM_OK) status = lsm_view_open(world.store, world.txn, &view, &world.err);
    if (status == LSM_OK) status = lsm_view_get(view, tree_of(0), c, &value, &world.err);
    if (status == LSM_OK) assert_true(lsm_slice_equal(value.bytes, text("2")));
    lsm_value_release(&value);
    if (status == LSM_OK) status = lsm_cursor_open(view, tree_of(0), &a, &d, &cursor, &world.err);
    if (status == LSM_OK) status = lsm_cursor_seek(cursor, long_key('b'), &world.err);
    if (status == LSM_OK) assert_true(lsm_cursor_valid(cursor) && lsm_slice_equal(lsm_cursor_key(cursor), c));
    if (status == LSM_OK) status = lsm_cursor_prev(cursor, &world.err);
    if (status == LSM_OK) assert_true(lsm_cursor_valid(cursor) && lsm_slice_equal(lsm_cursor_key(cursor), a));
    if (status == LSM_OK) status = lsm_cursor_rebound(cursor, &c, NULL, &world.err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &world.err);
    lsm_cursor_close(cursor);
    lsm_view_close(view);
    if (status == LSM_OK) status = lsm_txn_rollback_to(world.txn, mark, &world.err);
    return status;
}

static void long_keys_without_memory_are_refused_and_nothing_is_lost(void **state) {
    (void)state;
    bool struck = true;
    unsigned refused = 0;
    for (int64_t n = 1; struck; n++) {
        MUST(world_begin(&world));
        uint64_t calls = lsm_mem_calls();
        world.err = (struct lsm_error){0};
        lsm_mem_fail_after(n, false);
        int status = use_long_keys();
        lsm_mem_fail_after(0, false);
        struck = lsm_mem_calls() - calls >= (uint64_t)n;
        if (status != LSM_OK) must_fail(status, LSM_NOMEM, "out of memory");
        refused += status != LSM_OK;
        if (status == LSM_OK) assert_int_equal(count_rows(world.txn), 1);
        int undone = world_rollback(&world);
        if (undone != LSM_OK) fail_msg("%s", world.err.text);
    }
    assert_true(refused >= 5);
    assert_int_equal(count_rows(NULL), 0);
}

/* Of long bounds, and without memory for them: then it says nothing. */
static void an_estimate_is_never_an_error(void **state) {
    (void)state;
    struct lsm_estimate estimate;
    struct lsm_slice a = long_key('a'), c = long_key('c');
    MUST(world_begin(&world));
    for (char first = 'a'; first < 'f'; first++) MUST(lsm_txn_put(world.txn, tree_of(0), long_key(first), text("1"), &world.err));
    struct lsm_view *view = view_of(world.txn);
    lsm_view_estimate(view, tree_of(0), NULL, NULL, &estimate);
    assert_true(estimate.rows >= 5 && estimate.bytes > 5 * LONG_BYTES);
    lsm_view_estimate(view, tree_of(0), &a, &c, &estimate);
    assert_true(estimate.rows > 0 && estimate.rows < 5);
    lsm_view_estimate(view, tree_of(0), NULL, &a, &estimate);
    assert_true(estimate.rows == 0);
    for (int64_t n = 1; n <= 2; n++) {
        lsm_mem_fail_after(n, false);
        lsm_view_estimate(view, tree_of(0), &a, &c, &estimate);
        lsm_mem_fail_after(0, false);
        assert_true(estimate.rows == 0 && estimate.bytes == 0);
    }
    lsm_view_close(view);
    MUST(world_rollback(&world));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_mark_that_is_not_there_is_not_gone_back_to),
        TEST(many_marks_need_memory_and_are_all_there),
        TEST(who_prepares_again_gets_another_token_if_anything_is_different),
        TEST(a_negative_timeout_is_none),
        TEST(who_settles_without_patience_settles_if_nobody_writes),
        TEST(long_keys_without_memory_are_refused_and_nothing_is_lost),
        TEST(an_estimate_is_never_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
