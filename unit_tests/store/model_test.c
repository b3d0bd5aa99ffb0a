/* Random transactions against a plain array, with savepoints, long-lived views, flushes, merges, reopenings and crashes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/env/env_mem.h"
#include "../support/model.h"

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "model-test-store";

enum { VIEWS = 3, HISTORY = 4000 };

struct run {
    struct lsm_env *env;
    struct lsm_options options;
    struct lsm_store *store;
    struct model_random random;
    uint32_t tree, next_value;
    struct model committed;
    struct model history[HISTORY]; /* after each commit */
    size_t commits, durable;       /* history[durable - 1] is safe from power cuts */
    struct {
        struct lsm_view *view;
        struct model model;
    } views[VIEWS];
    struct {
        unsigned commits, rollbacks, savepoints, flushes, compactions, reopens, crashes, old_views;
    } counts;
};

static void must(int status, const struct lsm_error *err) {
    if (status != LSM_OK) fail_msg("%s: %s", lsm_status_name(status), err->text);
}

static void must_equal(const struct model *model, struct lsm_view *view, uint32_t tree) {
    const char *wrong = model_differs(model, view, tree);
    if (wrong != NULL) fail_msg("%s", wrong);
}

static void open_store(struct run *run) {
    struct lsm_error err = {0};
    must(lsm_store_open(&run->options, &run->store, &err), &err);
}

static void make_tree(struct run *run) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info tree;
    must(lsm_txn_begin(run->store, UINT64_MAX, 0, &txn, &err), &err);
    must(lsm_txn_tree_create(txn, &tree, &err), &err);
    must(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), &err);
    lsm_txn_commit(txn, true);
    run->tree = tree.tree;
    run->history[run->commits++] = run->committed;
    run->durable = run->commits;
}

/* One random change, in the store and in the model. */
static void change(struct run *run, struct lsm_txn *txn, struct model *model) {
    static uint8_t buffer[MODEL_VALUE_BYTES_MAX];
    struct lsm_error err = {0};
    unsigned key = (unsigned)model_below(&run->random, MODEL_KEYS), kind = (unsigned)model_below(&run->random, 40);
    if (kind == 0) {
        unsigned high = key + (unsigned)model_below(&run->random, 20);
        if (high >= MODEL_KEYS) high = MODEL_KEYS - 1;
        must(lsm_txn_delete_range(txn, run->tree, model_key(key), model_key(high), &err), &err);
        for (; key < high; key++) model->values[key] = 0;
    } else if (kind < 10) {
        must(lsm_txn_delete(txn, run->tree, model_key(key), &err), &err);
        model->values[key] = 0;
    } else {
        uint32_t value = ++run->next_value;
        must(lsm_txn_put(txn, run->tree, model_key(key), model_value(value, buffer), &err), &err);
        model->values[key] = value;
    }
}

static void transaction(struct run *run) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    struct model now = run->committed, saved = run->committed;
    uint64_t mark = 0;
    must(lsm_txn_begin(run->store, UINT64_MAX, 0, &txn, &err), &err);
    unsigned changes = (unsigned)model_below(&run->random, model_below(&run->random, 8) == 0 ? 200 : 12);
    for (unsigned i = 0; i < changes; i++) {
        unsigned what = (unsigned)model_below(&run->random, 30);
        if (what == 0) {
            mark = lsm_txn_mark(txn);
            saved = now;
        } else if (what == 1) {
            must(lsm_txn_rollback_to(txn, mark, &err), &err);
            now = saved;
            run->counts.savepoints++;
        } else if (what == 2) {
            must(lsm_txn_prepare(txn, (enum lsm_sync)model_below(&run->random, 3), LSM_DECIDES_ITSELF, NULL, &err), &err); /* and then more changes */
        } else if (what == 3) {
            struct lsm_view *view = NULL;
            struct model before = now;
            must(lsm_view_open(run->store, txn, &view, &err), &err);
            change(run, txn, &now);
            must_equal(&before, view, run->tree);
            lsm_view_close(view);
        } else {
            change(run, txn, &now);
        }
    }
    if (model_below(&run->random, 5) == 0) {
        if (model_below(&run->random, 2) == 0) must(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), &err);
        must(lsm_txn_rollback(txn, &err), &err);
        run->counts.rollbacks++;
        return;
    }
    enum lsm_sync sync = (enum lsm_sync)model_below(&run->random, 3);
    must(lsm_txn_prepare(txn, sync, LSM_DECIDES_ITSELF, NULL, &err), &err);
    bool dirty = lsm_txn_is_dirty(txn);
    lsm_txn_commit(txn, true);
    run->committed = now;
    run->history[run->commits++] = now;
    if (sync == LSM_SYNC_FULL && dirty) run->durable = run->commits;
    run->counts.commits++;
}

static void drop_view(struct run *run, size_t i) {
    if (run->views[i].view == NULL) return;
    must_equal(&run->views[i].model, run->views[i].view, run->tree);
    lsm_view_close(run->views[i].view);
    run->views[i].view = NULL;
    run->counts.old_views++;
}

static void renew_view(struct run *run) {
    struct lsm_error err = {0};
    size_t i = (size_t)model_below(&run->random, VIEWS);
    drop_view(run, i);
    must(lsm_view_open(run->store, NULL, &run->views[i].view, &err), &err);
    run->views[i].model = run->committed;
}

static void reopen(struct run *run, bool crash) {
    struct lsm_error err = {0};
    for (size_t i = 0; i < VIEWS; i++) drop_view(run, i);
    if (!crash) {
        must(lsm_store_close(run->store, &err), &err);
        open_store(run);
        run->counts.reopens++;
        return;
    }
    must(lsm_env_mem_crash(run->env, (enum lsm_crash_mode)model_below(&run->random, 4), model_next(&run->random)), &err);
    (void)lsm_store_close(run->store, NULL);
    open_store(run);
    run->counts.crashes++;
    struct lsm_view *view = NULL;
    struct model found;
    must(lsm_view_open(run->store, NULL, &view, &err), &err);
    const char *wrong = model_read(&found, view, run->tree);
    if (wrong != NULL) fail_msg("after a crash: %s", wrong);
    lsm_view_close(view);
    size_t at = run->commits;
    while (at >= run->durable && memcmp(&run->history[at - 1], &found, sizeof found) != 0) at--;
    if (at < run->durable) {
        const struct model *last = &run->history[run->commits - 1];
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            if (last->values[key] != found.values[key]) print_message("  key %u: %u, not %u\n", key, found.values[key], last->values[key]);
    }
    if (at < run->durable) fail_msg("after a crash: not a state from commit %zu on (of %zu)", run->durable, run->commits);
    run->committed = run->history[at - 1];
    run->commits = run->durable = at;
}

static void say(void *arg, const char *text) {
    (void)arg;
    print_message("  check: %s\n", text);
}

static void check(struct run *run) {
    struct lsm_error err = {0};
    uint64_t problems = 0;
    struct lsm_view *view = NULL;
    must(lsm_view_open(run->store, NULL, &view, &err), &err);
    must_equal(&run->committed, view, run->tree);
    lsm_view_close(view);
    must(lsm_store_check(run->store, say, NULL, NULL, NULL, &problems, &err), &err);
    assert_int_equal(problems, 0);
}

static void step(struct run *run) {
    struct lsm_error err = {0};
    unsigned what = (unsigned)model_below(&run->random, 100);
    if (what < 80) {
        transaction(run);
    } else if (what < 88) {
        renew_view(run);
    } else if (what < 91) {
        must(lsm_store_flush(run->store, NULL, NULL, &err), &err);
        run->durable = run->commits;
        run->counts.flushes++;
    } else if (what == 91) {
        must(lsm_store_compact(run->store, NULL, NULL, &err), &err);
        run->counts.compactions++;
        run->durable = run->commits;
    } else if (what < 95) {
        check(run);
    } else if (what < 98) {
        reopen(run, false);
    } else {
        reopen(run, true);
    }
}

static void run_model(uint64_t seed, int threads, unsigned steps) {
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    run->random.state = seed;
    run->env = lsm_env_mem_new_strict();
    lsm_options_init(&run->options);
    run->options.env = run->env;
    run->options.dir = "db-lsm/store";
    run->options.store_id = store_id;
    run->options.create = true;
    run->options.write_buffer_bytes = 65536;
    run->options.file_bytes = 65536;
    run->options.block_bytes = (size_t)512 << model_below(&run->random, 4);
    run->options.compression = (enum lsm_compression)model_below(&run->random, 3);
    run->options.threads = threads;
    run->options.map_bytes = (uint64_t[]){0, 200000, UINT64_MAX}[model_below(&run->random, 3)];
    print_message("seed %llu, threads %d\n", (unsigned long long)seed, threads);
    open_store(run);
    make_tree(run);
    while (steps-- > 0 && run->commits < HISTORY - 1) step(run);
    check(run);
    for (size_t i = 0; i < VIEWS; i++) drop_view(run, i);
    struct lsm_error err = {0};
    must(lsm_store_close(run->store, &err), &err);
    lsm_env_mem_free(run->env);
    print_message("  %u commits, %u rollbacks, %u savepoints, %u old views, %u flushes, %u compactions, %u reopenings, %u crashes\n",
                  run->counts.commits, run->counts.rollbacks, run->counts.savepoints, run->counts.old_views, run->counts.flushes,
                  run->counts.compactions, run->counts.reopens, run->counts.crashes);
    free(run);
}

/* LSM_TEST_SEED repeats one run, LSM_TEST_RUNS asks for more of them. */
static void the_store_equals_the_model(int threads) {
    const char *seed = getenv("LSM_TEST_SEED"), *runs = getenv("LSM_TEST_RUNS");
    uint64_t first = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    uint64_t count = seed != NULL ? 1 : runs == NULL ? 6 : strtoull(runs, NULL, 10);
    for (uint64_t i = 0; i < count; i++) run_model(first + i, threads, 700);
}

static void the_store_equals_the_model_without_threads(void **state) {
    (void)state;
    the_store_equals_the_model(0);
}

static void the_store_equals_the_model_with_threads(void **state) {
    (void)state;
    the_store_equals_the_model(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_equals_the_model_without_threads),
        cmocka_unit_test(the_store_equals_the_model_with_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
