/* Transactions larger than memory, at random, against a model: marks, releases, old views and cursors. */
#include "spill_kit.h"

enum { MARKS = 6, VIEWS = 4 };

struct place {
    uint64_t mark;
    struct world_state state;
    size_t views; /* those opened before it */
};

struct old_view {
    struct lsm_view *view;
    struct lsm_cursor *cursor; /* on tree 0, opened when the view was, and read bit by bit */
    struct model rows;
    int key; /* the cursor stands on it, MODEL_KEYS: at the end */
};

/* One transaction. */
struct run {
    struct place marks[MARKS];
    size_t marks_count;
    struct old_view views[VIEWS];
    size_t views_count;
    struct lsm_view *present; /* renewed before each read; NULL: none */
    struct {
        unsigned spills, merges, rollbacks, releases, reads, renewed, renewals_refused;
    } counts;
};

static int next_key(const struct model *rows, int key) {
    for (key++; key < MODEL_KEYS && rows->values[key] == 0;) key++;
    return key;
}

static void check_cursor(const struct old_view *old) {
    uint8_t buffer[MODEL_VALUE_BYTES_MAX];
    assert_int_equal(lsm_cursor_valid(old->cursor), old->key < MODEL_KEYS);
    if (old->key == MODEL_KEYS) return;
    struct lsm_slice key = lsm_cursor_key(old->cursor), value = lsm_cursor_value(old->cursor), want = model_key((unsigned)old->key);
    struct lsm_slice bytes = model_value(old->rows.values[old->key], buffer);
    assert_int_equal(key.size, want.size);
    if (key.size != 0) assert_memory_equal(key.data, want.data, key.size);
    assert_int_equal(value.size, bytes.size);
    assert_memory_equal(value.data, bytes.data, bytes.size);
}

static void open_view(struct run *run) {
    if (run->views_count == VIEWS) return;
    struct old_view *old = &run->views[run->views_count++];
    *old = (struct old_view){.rows = world.next.rows[0]};
    MUST(lsm_view_open(world.store, world.txn, &old->view, &world.err));
    MUST(lsm_cursor_open(old->view, world.next.trees[0].tree, NULL, NULL, &old->cursor, &world.err));
    MUST(lsm_cursor_first(old->cursor, &world.err));
    old->key = next_key(&old->rows, -1);
    check_cursor(old);
}

static void close_views(struct run *run, size_t keep) {
    while (run->views_count > keep) {
        struct old_view *old = &run->views[--run->views_count];
        lsm_cursor_close(old->cursor);
        lsm_view_close(old->view);
    }
}

/* What was opened long ago still shows what was there then. */
static void read_views(struct run *run) {
    for (size_t i = 0; i < run->views_count; i++) {
        struct old_view *old = &run->views[i];
        run->counts.reads++;
        for (unsigned steps = (unsigned)model_below(&world.random, 30); steps-- > 0 && old->key < MODEL_KEYS;) {
            MUST(lsm_cursor_next(old->cursor, &world.err));
            old->key = next_key(&old->rows, old->key);
            check_cursor(old);
        }
        if (model_below(&world.random, 6) != 0) continue;
        const char *wrong = model_differs(&old->rows, old->view, world.next.trees[0].tree);
        if (wrong != NULL) fail_msg("a view of an open transaction: %s", wrong);
    }
}

/* One view that is made to follow the transaction, and is replaced where that cannot be: it shows what the transaction does. */
static void read_present(struct run *run) {
    bool renewed = run->present != NULL && lsm_view_renew(run->present, world.txn);
    if (run->present != NULL) *(renewed ? &run->counts.renewed : &run->counts.renewals_refused) += 1;
    if (!renewed) {
        lsm_view_close(run->present);
        MUST(lsm_view_open(world.store, world.txn, &run->present, &world.err));
    }
    const char *wrong = model_differs(&world.next.rows[0], run->present, world.next.trees[0].tree);
    if (wrong != NULL) fail_msg("a view that follows its transaction: %s", wrong);
}

static void get_one(void) {
    uint8_t buffer[MODEL_VALUE_BYTES_MAX];
    unsigned key = (unsigned)model_below(&world.random, MODEL_KEYS);
    int slot = (int)model_below(&world.random, 2);
    struct lsm_value value = {0};
    int status = lsm_txn_get(world.txn, world.next.trees[slot].tree, model_key(key), &value, &world.err);
    uint32_t want = world.next.rows[slot].values[key];
    assert_int_equal(status, want == 0 ? LSM_NOTFOUND : LSM_OK);
    if (want == 0) return;
    struct lsm_slice bytes = model_value(want, buffer);
    /* It stays what it is while the transaction goes on. */
    for (int i = 0; i < 40; i++) MUST(world_put(&world, slot, (unsigned)model_below(&world.random, MODEL_KEYS)));
    assert_int_equal(value.bytes.size, bytes.size);
    assert_memory_equal(value.bytes.data, bytes.data, bytes.size);
    lsm_value_release(&value);
}

static void roll_back_to_a_mark(struct run *run) {
    if (run->marks_count == 0) return;
    size_t at = (size_t)model_below(&world.random, run->marks_count);
    close_views(run, run->marks[at].views);
    lsm_view_close(run->present);
    run->present = NULL;
    MUST(lsm_txn_rollback_to(world.txn, run->marks[at].mark, &world.err));
    world.next = run->marks[at].state;
    run->marks_count = at + 1;
    run->counts.rollbacks++;
}

static void change_much(void) {
    int slot = (int)model_below(&world.random, 4) == 0;
    unsigned rows = 1 + (unsigned)model_below(&world.random, model_below(&world.random, 8) == 0 ? 1500 : 120),
             low = (unsigned)model_below(&world.random, MODEL_KEYS);
    unsigned kind = (unsigned)model_below(&world.random, 10);
    if (kind == 0)
        MUST(world_delete_range(&world, slot, low, low + (MODEL_KEYS - 1 - low) / 2));
    else if (kind == 1)
        MUST(world_delete(&world, slot, low));
    else
        while (rows-- > 0) MUST(world_put(&world, slot, (unsigned)model_below(&world.random, MODEL_KEYS)));
}

static void step(struct run *run) {
    unsigned what = (unsigned)model_below(&world.random, 16);
    if (what < 6)
        change_much();
    else if (what < 8)
        get_one();
    else if (what == 8)
        open_view(run);
    else if (what == 9)
        roll_back_to_a_mark(run);
    else if (what == 10)
        MUST(lsm_txn_prepare(world.txn, (enum lsm_sync)model_below(&world.random, 3), LSM_DECIDES_ITSELF, NULL, &world.err));
    else if (what < 13 && run->marks_count < MARKS)
        run->marks[run->marks_count++] = (struct place){.mark = lsm_txn_mark(world.txn), .state = world.next, .views = run->views_count};
    else if (what > 13)
        read_present(run);
    else if (what == 13 && run->marks_count != 0) {
        size_t at = (size_t)model_below(&world.random, run->marks_count);
        while (run->marks_count > at) lsm_txn_release(world.txn, run->marks[--run->marks_count].mark);
        run->counts.releases++;
    }
    read_views(run);
}

static void transaction(struct run *run) {
    size_t tables = count_tables();
    uint64_t merges = count_merges();
    run->marks_count = run->views_count = 0;
    MUST(world_begin(&world));
    for (unsigned steps = (unsigned)model_below(&world.random, 30); steps-- > 0;) step(run);
    run->counts.spills += count_tables() > tables;
    run->counts.merges += (unsigned)(count_merges() - merges);
    close_views(run, 0);
    lsm_view_close(run->present);
    run->present = NULL;
    if (model_below(&world.random, 4) == 0) {
        MUST(world_rollback(&world));
        if (world.options.threads == 0) assert_true(count_tables() <= tables);
    } else {
        MUST(world_commit(&world, (enum lsm_sync)model_below(&world.random, 3)));
    }
}

static void run_model(uint64_t seed, int threads) {
    static struct run run;
    memset(&run, 0, sizeof run);
    print_message("seed %llu, threads %d\n", (unsigned long long)seed, threads);
    start(seed, threads);
    for (unsigned i = 0; i < 60; i++) {
        transaction(&run);
        unsigned what = (unsigned)model_below(&world.random, 12);
        if (what == 0) MUST(world_flush(&world));
        if (what == 1) MUST(world_compact(&world));
        if (what <= 3) {
            MUST(world_close(&world));
            MUST(world_open(&world));
        }
        if (what == 4 || what == 5) {
            size_t found = 0;
            MUST(lsm_env_mem_crash(world.env, (enum lsm_crash_mode)model_below(&world.random, 4), seed + i));
            (void)lsm_store_close(world.store, NULL);
            size_t durable = world.durable;
            MUST(world_open(&world));
            const char *wrong = world_find(&world, world.store, durable, &found);
            if (wrong != NULL) fail_msg("transaction %u, after a power cut: %s", i, wrong);
            world_rewind(&world, found);
        }
        char when[40];
        (void)snprintf(when, sizeof when, "transaction %u", i);
        if (threads != 0) MUST(lsm_store_quiesce(world.store, &world.err));
        must_be_right(when);
    }
    print_message("  %u transactions spilled, %u merges of pieces, %u rollbacks to marks, %u releases, %u reads of old views, %u renewed, %u not\n",
                  run.counts.spills, run.counts.merges, run.counts.rollbacks, run.counts.releases, run.counts.reads, run.counts.renewed,
                  run.counts.renewals_refused);
    assert_true(run.counts.renewed > 0 && run.counts.renewals_refused > 0);
    assert_true(run.counts.spills > 10 && run.counts.merges > 10 && run.counts.rollbacks > 10 && run.counts.reads > 100);
    finish();
}

static uint64_t first_seed(void) {
    const char *given = getenv("LSM_TEST_SEED");
    return given == NULL ? 1 : strtoull(given, NULL, 10);
}

static void a_large_transaction_equals_the_model_without_threads(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 4; i++) run_model(first_seed() * 100 + i, 0);
}

static void a_large_transaction_equals_the_model_with_threads(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 2; i++) run_model(first_seed() * 100 + 50 + i, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_transaction_equals_the_model_without_threads),
        cmocka_unit_test(a_large_transaction_equals_the_model_with_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
