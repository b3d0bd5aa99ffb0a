/* Power cuts: after each operation on the disk of a workload, what the disk could hold then is opened and looked at.
 *
 * Every such state must open, hold a state of the commit order from the last durable commit on, pass the check, take a further commit and
 * hold that after a reopening. Some of them lose power again while they recover. LSM_CRASH_STATES says how many states (default a few thousand),
 * LSM_TEST_SEED varies the rows and the random crashes.
 * Beside it, order.h watches that nothing is named before it is durable and nothing removed that is still named.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/store/store.h"
#include "../support/world.h"
#include "order.h"

enum { MORE_KEY = 90, DEFAULT_STATES = 5000, DEEP_EVERY = 24, BAD_SHOWN = 5 };

struct harness {
    struct world *world;
    struct order order;
    const char *name;
    enum lsm_sync sync;
    bool count_only;
    double per_op, credit; /* states per operation */
    uint64_t seed;
    unsigned cycle;
    /* totals */
    uint64_t ops, states, deep_states, bad;
};

static struct harness harness;

/* ---- one crashed state ------------------------------------------------------------------------------------------------- */

static void bad(const char *what, const struct lsm_env_op *op, enum lsm_crash_mode mode, uint64_t seed) {
    static const char *modes[] = {"lose", "keep", "torn", "random"};
    if (harness.bad++ >= BAD_SHOWN) return;
    print_message("BAD: %s, sync %d, operation %llu (kind %d, %s), %s, seed %llu:\n  %s\n", harness.name, (int)harness.sync,
                  (unsigned long long)op->number, (int)op->kind, op->path, modes[mode], (unsigned long long)seed, what);
}

/* Commit one row in the first tree there is, or make a tree. NULL, or what failed. */
static const char *commit_more(struct lsm_store *store, uint32_t *tree, struct lsm_error *err) {
    struct lsm_tree_info *trees = NULL, made;
    struct lsm_txn *txn = NULL;
    size_t count = 0;
    static const uint8_t bytes[] = "one more";
    if (lsm_store_trees(store, &trees, &count, err) != LSM_OK || lsm_txn_begin(store, UINT64_MAX, 0, &txn, err) != LSM_OK) return err->text;
    int status = LSM_OK;
    if (count == 0) status = lsm_txn_tree_create(txn, &made, err);
    *tree = count == 0 ? made.tree : trees[0].tree;
    lsm_free(trees);
    struct lsm_slice value = {.data = bytes, .size = sizeof bytes};
    if (status == LSM_OK) status = lsm_txn_put(txn, *tree, model_key(MORE_KEY), value, err);
    if (status == LSM_OK) status = lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, err);
    if (status != LSM_OK) {
        (void)lsm_txn_rollback(txn, NULL);
        return err->text;
    }
    lsm_txn_commit(txn, true);
    return NULL;
}

static const char *has_more(struct lsm_store *store, uint32_t tree, struct lsm_error *err) {
    struct lsm_view *view = NULL;
    struct lsm_value value = {0};
    if (lsm_view_open(store, NULL, &view, err) != LSM_OK) return err->text;
    int status = lsm_view_get(view, tree, model_key(MORE_KEY), &value, err);
    bool right = status == LSM_OK && value.bytes.size == 9 && memcmp(value.bytes.data, "one more", 9) == 0;
    lsm_value_release(&value);
    lsm_view_close(view);
    return right ? NULL : "the row committed after the recovery is gone";
}

/* Where nothing can be written the same state is read, and nothing touched. *found stays SIZE_MAX if there is no store yet. */
static const char *look_only(struct lsm_env *env, size_t *found, struct lsm_error *err) {
    struct lsm_options options = harness.world->options;
    struct lsm_store *store = NULL;
    uint64_t ops = lsm_env_mem_ops(env);
    options.env = env;
    options.read_only = true;
    int status = lsm_store_open(&options, &store, err);
    if (status != LSM_OK) return status == LSM_NOTFOUND ? NULL : err->text;
    const char *wrong = world_find(harness.world, store, harness.world->durable, found);
    if (wrong == NULL) wrong = world_check(store);
    if (lsm_store_close(store, err) != LSM_OK && wrong == NULL) wrong = err->text;
    return wrong == NULL && lsm_env_mem_ops(env) != ops ? "opened for reading only it has changed something" : wrong;
}

/* Everything that must hold of a crashed disk. NULL if it does. */
static const char *look(struct lsm_env *env, bool cleanly, struct lsm_error *err) {
    struct lsm_options options = harness.world->options;
    struct lsm_store *store = NULL;
    const char *wrong;
    size_t found = 0, only_found = SIZE_MAX;
    uint32_t tree = 0;
    options.env = env;
    bool only = harness.states % 4 == 1;
    wrong = only ? look_only(env, &only_found, err) : NULL;
    if (wrong != NULL) return wrong;
    if (lsm_store_open(&options, &store, err) != LSM_OK) return err->text;
    wrong = world_find(harness.world, store, harness.world->durable, &found);
    if (wrong == NULL && only && found != (only_found == SIZE_MAX ? 0 : only_found)) wrong = "opened for reading only it was in another state";
    if (wrong == NULL) wrong = world_check(store);
    if (wrong == NULL) wrong = commit_more(store, &tree, err);
    if (wrong == NULL && !cleanly && lsm_env_mem_crash(env, LSM_CRASH_LOSE, 1) != LSM_OK) wrong = "no memory";
    int closed = lsm_store_close(store, err);
    if (wrong == NULL && cleanly && closed != LSM_OK) wrong = err->text;
    if (wrong != NULL) return wrong;
    if (lsm_store_open(&options, &store, err) != LSM_OK) return err->text;
    wrong = has_more(store, tree, err);
    if (wrong == NULL) wrong = world_check(store);
    closed = lsm_store_close(store, err);
    return wrong != NULL ? wrong : closed == LSM_OK ? NULL : err->text;
}

struct second {
    struct lsm_env *env;
    const struct lsm_env_op *first;
    unsigned turn;
};

/* The power fails again during recovery. */
static void second_cut(void *arg, const struct lsm_env_op *op) {
    struct second *second = arg;
    struct lsm_error err = {0};
    enum lsm_crash_mode mode = (enum lsm_crash_mode)(second->turn++ % 4);
    struct lsm_env *env = lsm_env_mem_clone_crashed(second->env, mode, harness.seed + second->turn);
    assert_non_null(env);
    const char *wrong = look(env, true, &err);
    harness.deep_states++;
    if (wrong != NULL) {
        print_message("(cut again after operation %llu of the recovery, kind %d, %s)\n", (unsigned long long)op->number, (int)op->kind, op->path);
        bad(wrong, second->first, mode, harness.seed + second->turn);
    }
    lsm_env_mem_free(env);
}

static void look_deep(struct lsm_env *env, const struct lsm_env_op *op) {
    struct lsm_options options = harness.world->options;
    struct lsm_store *store = NULL;
    struct lsm_error err = {0};
    struct second second = {.env = env, .first = op, .turn = (unsigned)harness.states};
    options.env = env;
    lsm_env_mem_on_op(env, second_cut, &second);
    if (lsm_store_open(&options, &store, &err) != LSM_OK) bad(err.text, op, LSM_CRASH_KEEP, 0);
    if (store != NULL) (void)lsm_store_close(store, NULL);
    lsm_env_mem_on_op(env, NULL, NULL);
}

static void try_state(const struct lsm_env_op *op, enum lsm_crash_mode mode) {
    struct lsm_error err = {0};
    uint64_t seed = ++harness.seed * 0x9e3779b97f4a7c15u;
    struct lsm_env *env = lsm_env_mem_clone_crashed(harness.world->env, mode, seed);
    assert_non_null(env);
    if (++harness.states % DEEP_EVERY == 0) look_deep(env, op);
    const char *wrong = look(env, harness.states % 3 != 0, &err);
    if (wrong != NULL) bad(wrong, op, mode, seed);
    lsm_env_mem_free(env);
}

static void after_op(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    static const enum lsm_crash_mode turns[] = {LSM_CRASH_RANDOM, LSM_CRASH_LOSE, LSM_CRASH_RANDOM, LSM_CRASH_TORN, LSM_CRASH_RANDOM, LSM_CRASH_KEEP};
    harness.ops++;
    order_see(&harness.order, op);
    if (harness.count_only) return;
    for (harness.credit += harness.per_op; harness.credit >= 1; harness.credit -= 1) try_state(op, turns[harness.cycle++ % 6]);
}

/* ---- steps of workloads -------------------------------------------------------------------------------------------------- */

#define MUST(step) must(step, #step)
static void must(int status, const char *step) {
    if (status != LSM_OK) fail_msg("%s: %s: %s: %s", harness.name, step, lsm_status_name(status), harness.world->err.text);
}

static void open_store(void) {
    order_pause(&harness.order);
    MUST(world_open(harness.world));
    order_resume(&harness.order, harness.world->env, harness.world->options.dir);
}

static void reopen(void) {
    MUST(world_close(harness.world));
    open_store();
}

static void begin(void) { MUST(world_begin(harness.world)); }
static void put(int slot, unsigned key) { MUST(world_put(harness.world, slot, key)); }

static void commit(enum lsm_sync sync) {
    MUST(world_commit(harness.world, sync));
    if (sync == LSM_SYNC_FULL) order_committed(&harness.order);
}

static void write_rows(int slot, unsigned rows, enum lsm_sync sync) { MUST(world_write(harness.world, slot, rows, sync)); }

static void make_tree(int slot) {
    begin();
    MUST(world_create(harness.world, slot));
    put(slot, 1);
    commit(harness.sync);
}

/* Enough for a generation to roll by itself: values of 2 KiB and more are those divisible by 5. */
static void write_much(int slot) {
    for (unsigned round = 0; round < 3; round++) {
        begin();
        for (unsigned key = 0; key < MODEL_KEYS; key++) put(slot, key);
        commit(harness.sync);
    }
}

/* Power goes off and comes back. */
static void power_cut(enum lsm_crash_mode mode) {
    struct world *world = harness.world;
    size_t found = 0;
    must(lsm_env_mem_crash(world->env, mode, harness.seed++), "crash");
    (void)lsm_store_close(world->store, NULL);
    struct lsm_env *again = lsm_env_mem_clone_crashed(world->env, LSM_CRASH_KEEP, 1);
    struct lsm_options options = world->options;
    struct lsm_store *store = NULL;
    assert_non_null(again);
    options.env = again;
    MUST(lsm_store_open(&options, &store, &world->err)); /* which state is it? Cuts during the recovery may end in no other. */
    const char *wrong = world_find(world, store, world->durable, &found);
    (void)lsm_store_close(store, NULL);
    lsm_env_mem_free(again);
    if (wrong != NULL) fail_msg("%s: %s", harness.name, wrong);
    world_rewind(world, found);
    open_store();
}

/* ---- workloads ---------------------------------------------------------------------------------------------------------------- */

static void work_create(void) {
    open_store();
    make_tree(0);
    reopen();
    write_rows(0, 2, harness.sync);
}

static void work_commits(void) {
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 12; i++) write_rows(0, 1 + i, harness.sync);
}

static void work_mixed_sync(void) {
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 18; i++) write_rows(0, 3, (enum lsm_sync)(i * 7 % 3));
}

static void work_rollback(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 5; i++) {
        begin();
        put(0, i);
        put(0, 20 + i);
        MUST(world_prepare(world, harness.sync));
        if (i % 2 == 0) {
            MUST(world_rollback(world));
            continue;
        }
        put(0, 40 + i); /* takes the prepare back */
        MUST(world_prepare(world, harness.sync));
        MUST(world_prepare(world, harness.sync));
        MUST(world_delete(world, 0, i));
        commit(harness.sync);
    }
    begin();
    for (unsigned key = 0; key < MODEL_KEYS; key++) put(0, key);
    MUST(world_rollback(world));
    write_rows(0, 4, harness.sync);
}

static void work_savepoints(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 4; i++) {
        begin();
        put(0, 3 * i);
        uint64_t mark = lsm_txn_mark(world->txn);
        struct world_state saved = world->next;
        put(0, 3 * i + 1);
        MUST(world_delete_range(world, 0, 0, 30));
        if (i % 2 == 0) MUST(world_prepare(world, harness.sync));
        MUST(lsm_txn_rollback_to(world->txn, mark, &world->err));
        world->next = saved;
        put(0, 3 * i + 2);
        commit(harness.sync);
    }
    MUST(world_flush(world));
}

static void work_trees(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    make_tree(1);
    make_tree(2);
    write_rows(1, 20, harness.sync);
    MUST(world_flush(world));
    write_rows(2, 20, harness.sync);
    begin();
    MUST(world_drop(world, 1));
    put(0, 5);
    commit(harness.sync);
    write_rows(0, 3, harness.sync);
    MUST(world_flush(world));
    begin();
    MUST(world_create(world, 1));
    put(1, 9);
    MUST(world_drop(world, 2));
    MUST(world_create(world, 2));
    MUST(world_drop(world, 2));
    commit(harness.sync);
    reopen();
    make_tree(2);
    begin();
    MUST(world_drop(world, 0));
    MUST(world_rollback(world));
    MUST(world_compact(world));
    begin();
    MUST(world_drop(world, 0));
    commit(harness.sync);
    begin();
    MUST(world_drop(world, 1));
    commit(harness.sync);
    write_rows(2, 3, harness.sync);
}

static void work_roll(void) {
    open_store();
    make_tree(0);
    write_much(0);
    write_rows(0, 5, harness.sync);
}

/* Sealed, and not flushed before the next commit: what is in several logs must become durable in their order. */
static void work_sealed(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned rolls = 0; rolls < 1 + i % 2; rolls++) {
            write_rows(0, 3, i % 2 == 0 ? LSM_SYNC_OFF : harness.sync);
            MUST(lsm_store_lock_writer(world->store, 0, &world->err));
            MUST(lsm_store_roll(world->store, &world->err));
            lsm_store_unlock_writer(world->store);
        }
        if (i == 2) reopen();
        if (i == 3) power_cut(LSM_CRASH_RANDOM);
        if (world->history[world->commits - 1].trees[0].tree == 0) make_tree(0);
        write_rows(0, 2, LSM_SYNC_FULL);
    }
}

static void work_merges(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    make_tree(1);
    for (unsigned i = 0; i < 9; i++) {
        write_rows((int)(i % 2), 30, harness.sync);
        MUST(world_flush(world));
        write_rows((int)(i % 2), 2, harness.sync);
    }
    MUST(lsm_store_quiesce(world->store, &world->err));
}

static void work_compact(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 3; i++) {
        write_rows(0, 40, harness.sync);
        begin();
        MUST(world_delete_range(world, 0, 10 * i, 10 * i + 30));
        commit(harness.sync);
        MUST(world_compact(world));
    }
    begin();
    MUST(world_delete_range(world, 0, 0, MODEL_KEYS - 1));
    MUST(world_delete(world, 0, MODEL_KEYS - 1));
    commit(harness.sync);
    MUST(world_compact(world));
    write_rows(0, 3, harness.sync);
}

static void work_reopen(void) {
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 6; i++) {
        write_rows(0, 2 + i, harness.sync);
        reopen();
        if (i == 3) MUST(world_flush(harness.world));
        if (i == 4) reopen();
    }
}

static void work_recovery(void) {
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 14; i++) {
        write_rows(0, 4, harness.sync);
        write_rows(0, 1, LSM_SYNC_OFF);
        power_cut((enum lsm_crash_mode)(i % 4));
        if (harness.world->history[harness.world->commits - 1].trees[0].tree == 0) make_tree(0);
        if (i % 5 == 4) MUST(world_flush(harness.world));
    }
}

static void work_recovery_and_flush(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    MUST(world_flush(world));
    for (unsigned i = 0; i < 6; i++) {
        write_rows(0, 30, harness.sync);
        if (i % 2 == 0) MUST(world_flush(world));
        write_rows(0, 3, LSM_SYNC_OFF);
        power_cut(LSM_CRASH_RANDOM);
        write_rows(0, 2, harness.sync);
        MUST(world_flush(world));
    }
}

/* A new manifest every few edits. */
static void work_manifest(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 6; i++) {
        world->store->set.manifest_bytes_max = 700;
        write_rows(0, 10, harness.sync);
        MUST(world_flush(world));
        if (i == 3) reopen();
    }
    power_cut(LSM_CRASH_TORN);
    write_rows(0, 10, harness.sync);
    MUST(world_flush(world));
}

static void work_abandoned(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 4; i++) {
        begin();
        put(0, i);
        put(0, i + 30);
        MUST(world_prepare(world, harness.sync));
        must(lsm_env_mem_crash(world->env, (enum lsm_crash_mode)i, 77 + i), "crash"); /* power fails between prepare and commit */
        (void)lsm_txn_rollback(world->txn, NULL);
        world->txn = NULL;
        power_cut(LSM_CRASH_KEEP);
        if (world->history[world->commits - 1].trees[0].tree == 0) make_tree(0);
        write_rows(0, 2, harness.sync);
    }
}

static uint64_t count_merges(void) {
    struct lsm_stats stats;
    lsm_store_stats(harness.world->store, &stats);
    return stats.merges;
}

/* More than a transaction may hold in memory: it goes to table files of its own several times. */
static void put_much(int slot, unsigned rounds) {
    while (rounds-- > 0)
        for (unsigned key = 0; key < MODEL_KEYS; key++) put(slot, key);
}

static void work_large(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    begin();
    put_much(0, 3);
    commit(harness.sync);
    write_rows(0, 5, harness.sync);
    begin();
    put_much(0, 2);
    uint64_t mark = lsm_txn_mark(world->txn);
    struct world_state saved = world->next;
    put_much(0, 1);
    MUST(world_delete_range(world, 0, 10, 70));
    MUST(lsm_txn_rollback_to(world->txn, mark, &world->err));
    world->next = saved;
    put(0, 9);
    commit(harness.sync);
    if (harness.sync != LSM_SYNC_NORMAL) reopen();
    begin();
    MUST(world_create(world, 1));
    put_much(1, 1);
    MUST(world_delete_range(world, 0, 20, 60));
    put_much(0, 1);
    commit(harness.sync);
    begin();
    put_much(1, 1);
    MUST(world_drop(world, 1));
    put_much(0, 1);
    commit(harness.sync);
    MUST(world_compact(world));
}

/* Pieces that are merged while it goes on, behind marks and across those that are released. */
static void work_large_merged(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    write_rows(0, 5, harness.sync);
    begin();
    put_much(0, 12);
    uint64_t mark = lsm_txn_mark(world->txn);
    struct world_state saved = world->next;
    put_much(0, 4);
    MUST(world_delete_range(world, 0, 10, 70));
    MUST(lsm_txn_rollback_to(world->txn, mark, &world->err));
    world->next = saved;
    put_much(0, 4);
    lsm_txn_release(world->txn, mark);
    MUST(world_prepare(world, harness.sync)); /* names pieces that are merged afterwards */
    put_much(0, 6);
    assert_true(count_merges() > 1);
    commit(harness.sync);
    begin();
    put_much(0, 12);
    MUST(world_rollback(world));
    write_rows(0, 2, harness.sync);
}

static void work_large_taken_back(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    begin();
    put_much(0, 2);
    MUST(world_prepare(world, harness.sync));
    MUST(world_rollback(world));
    write_rows(0, 3, harness.sync);
    begin();
    put_much(0, 1);
    MUST(world_prepare(world, harness.sync));
    put_much(0, 1);
    MUST(world_prepare(world, harness.sync));
    MUST(world_delete(world, 0, 5));
    commit(harness.sync);
    begin();
    put_much(0, 2);
    MUST(world_rollback(world));
    begin();
    put_much(0, 1);
    MUST(world_prepare(world, harness.sync));
    must(lsm_env_mem_crash(world->env, LSM_CRASH_RANDOM, 5), "crash");
    (void)lsm_txn_rollback(world->txn, NULL);
    world->txn = NULL;
    power_cut(LSM_CRASH_KEEP);
    if (world->history[world->commits - 1].trees[0].tree == 0) make_tree(0);
    write_rows(0, 2, harness.sync);
}

static void work_random(void) {
    struct world *world = harness.world;
    open_store();
    make_tree(0);
    for (unsigned i = 0; i < 40; i++) {
        unsigned what = (unsigned)model_below(&world->random, 17), slot = (unsigned)model_below(&world->random, WORLD_TREES);
        if (world->history[world->commits - 1].trees[slot].tree == 0) make_tree((int)slot);
        if (what == 16) {
            begin();
            MUST(world_drop(world, (int)slot));
            commit((enum lsm_sync)model_below(&world->random, 3));
        } else if (what < 10)
            write_rows((int)slot, 1 + (unsigned)model_below(&world->random, 40), (enum lsm_sync)model_below(&world->random, 3));
        else if (what < 12)
            MUST(world_flush(world));
        else if (what == 12)
            MUST(world_compact(world));
        else if (what == 13)
            reopen();
        else
            power_cut((enum lsm_crash_mode)model_below(&world->random, 4));
    }
}

static const struct workload {
    const char *name;
    void (*run)(void);
    bool one_mode; /* the sync mode makes no difference */
} workloads[] = {
    {"create", work_create, false},
    {"commits", work_commits, false},
    {"mixed sync", work_mixed_sync, true},
    {"rollback", work_rollback, false},
    {"savepoints", work_savepoints, false},
    {"trees", work_trees, false},
    {"roll", work_roll, false},
    {"sealed", work_sealed, false},
    {"merges", work_merges, false},
    {"compact", work_compact, false},
    {"reopen", work_reopen, false},
    {"recovery", work_recovery, false},
    {"recovery and flush", work_recovery_and_flush, false},
    {"manifest", work_manifest, false},
    {"abandoned", work_abandoned, false},
    {"random", work_random, false},
    {"large", work_large, false},
    {"large taken back", work_large_taken_back, false},
    {"large merged", work_large_merged, false},
};

static uint64_t first_seed; /* LSM_TEST_SEED */

static void run_once(const struct workload *workload, enum lsm_sync sync, bool count_only) {
    static struct world world;
    struct lsm_env *env = lsm_env_mem_new_strict();
    assert_non_null(env);
    world_init(&world, env, 1 + (uint64_t)sync + first_seed);
    harness.seed += first_seed;
    harness.world = &world;
    harness.name = workload->name;
    harness.sync = sync;
    harness.count_only = count_only;
    order_init(&harness.order);
    lsm_env_mem_set_clock(env, 1000000000000000u);
    lsm_env_mem_on_op(env, after_op, NULL);
    uint64_t states = harness.states, ops = harness.ops;
    workload->run();
    MUST(world_close(&world));
    lsm_env_mem_on_op(env, NULL, NULL);
    MUST(world_open(&world));
    const char *wrong = world_differs(&world, world.store);
    if (wrong != NULL) fail_msg("%s, sync %d: at the end: %s", workload->name, (int)sync, wrong);
    MUST(world_close(&world));
    lsm_env_mem_free(env);
    if (harness.order.wrong[0] != 0) fail_msg("%s, sync %d: %s", workload->name, (int)sync, harness.order.wrong);
    if (!count_only && getenv("LSM_CRASH_STATES") != NULL)
        print_message("  %-20s sync %d: %4llu operations, %6llu states, %zu commits\n", workload->name, (int)sync,
                      (unsigned long long)(harness.ops - ops), (unsigned long long)(harness.states - states), world.commits - 1);
}

static void run_all(bool count_only) {
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        for (int sync = LSM_SYNC_OFF; sync <= LSM_SYNC_FULL; sync++)
            if (!workloads[i].one_mode || sync == LSM_SYNC_FULL) run_once(&workloads[i], (enum lsm_sync)sync, count_only);
}

static void what_a_power_cut_leaves_is_a_prefix_with_all_that_was_promised(void **state) {
    (void)state;
    const char *wanted = getenv("LSM_CRASH_STATES");
    const char *seed = getenv("LSM_TEST_SEED");
    first_seed = seed == NULL ? 0 : strtoull(seed, NULL, 10) * 1000;
    print_message("seed %llu\n", (unsigned long long)first_seed / 1000);
    memset(&harness, 0, sizeof harness);
    run_all(true);
    uint64_t ops = harness.ops, aim = wanted == NULL ? DEFAULT_STATES : strtoull(wanted, NULL, 10);
    memset(&harness, 0, sizeof harness);
    harness.per_op = (double)aim / (double)ops;
    run_all(false);
    print_message("%llu operations, %llu states after a power cut, %llu after a second one during recovery, %llu bad\n",
                  (unsigned long long)harness.ops, (unsigned long long)harness.states, (unsigned long long)harness.deep_states,
                  (unsigned long long)harness.bad);
    assert_int_equal(harness.bad, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_power_cut_leaves_is_a_prefix_with_all_that_was_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
