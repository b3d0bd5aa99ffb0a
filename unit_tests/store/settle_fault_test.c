/* A transaction that waits for the database's word, after everything else that a log can hold; then its process dies, or the machine. Each allocation, and each operation on
 * files, of who comes next fails once while he recovers or follows the log and settles that transaction: he is told, nothing is half, and the next try does what was said.
 * LSM_FAULTS=1 strikes every one of them, N every N-th; 3 if it does not say. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/base/base.h"
#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/lsm.h"

enum { POINTS_MAX = 5000, FILLERS = 40, FILLER_BYTES = 3000 };

struct scene {
    bool large;      /* the transaction is larger than memory: its rows are in files, its record is a RUNS */
    bool makes_tree; /* and makes a tree besides */
    bool crash;      /* the machine goes down; otherwise another process is there that has seen nothing but the empty store */
    bool seen;       /* a reader has found the token before a writer settles */
    enum lsm_decision decision;
};

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "settle-fault----";
static struct lsm_env *disk, *first_env, *env; /* env: of who comes next */
static struct lsm_options options;
static struct lsm_store *store; /* his */
static struct lsm_error err;
static uint32_t tree;
static struct lsm_tree_info made;
static uint8_t token[LSM_TOKEN_BYTES];

#define MUST(step)                                                                                                                                   \
    do {                                                                                                                                             \
        if ((step) != LSM_OK) fail_msg("%s: %s", #step, err.text);                                                                                   \
    } while (0)

static struct lsm_slice text(const char *s) { return lsm_slice_of(s, strlen(s)); }

/* ---- what the log holds ------------------------------------------------------------------------------------------------------------ */

static struct lsm_txn *begin(struct lsm_store *first) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(first, UINT64_MAX, 0, &txn, &err));
    return txn;
}

static void put(struct lsm_txn *txn, const char *key, bool large) {
    static uint8_t filler[FILLER_BYTES];
    char name[20];
    for (unsigned i = 0; large && i < FILLERS; i++) {
        (void)snprintf(name, sizeof name, "filler-%02u", i);
        MUST(lsm_txn_put(txn, tree, text(name), lsm_slice_of(filler, sizeof filler), &err));
    }
    MUST(lsm_txn_put(txn, tree, text(key), text("value"), &err));
}

static void commit(struct lsm_store *first, const char *key, bool large, bool makes_tree) {
    struct lsm_txn *txn = begin(first);
    struct lsm_tree_info info;
    if (makes_tree) MUST(lsm_txn_tree_create(txn, &info, &err));
    put(txn, key, large);
    MUST(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

static struct lsm_txn *prepare(struct lsm_store *first, const char *key, bool large, bool makes_tree) {
    struct lsm_txn *txn = begin(first);
    if (makes_tree) MUST(lsm_txn_tree_create(txn, &made, &err));
    put(txn, key, large);
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDED_BY_TOKEN, token, &err));
    return txn;
}

/* Decided by themselves and by tokens, committed and taken back, small and large, with trees and without. */
static void fill_log(struct lsm_store *first) {
    commit(first, "one", false, true);
    for (int large = 0; large < 2; large++) {
        MUST(lsm_txn_rollback(prepare(first, "never", large != 0, true), &err));
        lsm_txn_commit(prepare(first, "two", large != 0, true), true);
        commit(first, "three", large != 0, true);
    }
    commit(first, "four", false, false);
}

static void start(const struct scene *scene) {
    struct lsm_tree_info info;
    store = NULL;
    struct lsm_store *first = NULL;
    disk = lsm_env_mem_new_strict();
    first_env = lsm_env_mem_process(disk);
    lsm_options_init(&options);
    options.dir = "store";
    options.store_id = store_id;
    options.create = true;
    options.threads = 0;
    options.write_buffer_bytes = 65536;
    options.env = first_env;
    MUST(lsm_store_open(&options, &first, &err));
    struct lsm_txn *txn = begin(first);
    MUST(lsm_txn_tree_create(txn, &info, &err));
    tree = info.tree;
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
    env = options.env = lsm_env_mem_process(disk);
    if (!scene->crash) MUST(lsm_store_open(&options, &store, &err));
    fill_log(first);
    made = (struct lsm_tree_info){0};
    txn = prepare(first, "last", scene->large, scene->makes_tree);
    lsm_env_mem_kill(first_env);
    if (scene->crash) MUST(lsm_env_mem_crash(disk, LSM_CRASH_KEEP, 1));
    (void)lsm_txn_rollback(txn, NULL);
    (void)lsm_store_close(first, NULL);
}

static void end(void) {
    MUST(lsm_store_close(store, &err));
    store = NULL;
    lsm_env_mem_free(env);
    lsm_env_mem_free(first_env);
    lsm_env_mem_free(disk);
}

/* ---- who comes next ---------------------------------------------------------------------------------------------------------------- */

static int write_row(void) {
    struct lsm_txn *txn = NULL;
    int status = lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err);
    if (status != LSM_OK) return status;
    status = lsm_txn_put(txn, tree, text("after"), text("value"), &err);
    if (status == LSM_OK) status = lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err);
    if (status == LSM_OK)
        lsm_txn_commit(txn, true);
    else
        (void)lsm_txn_rollback(txn, NULL);
    return status;
}

/* As the extension does: what waits is met at the latest by who begins to write. */
static int come_next(const struct scene *scene) {
    uint8_t met[LSM_TOKEN_BYTES];
    struct lsm_view *view = NULL;
    int status = store == NULL ? lsm_store_open(&options, &store, &err) : LSM_OK;
    if (status == LSM_OK) status = lsm_view_open(store, NULL, &view, &err);
    if (status == LSM_OK) lsm_view_close(view);
    if (status == LSM_OK && scene->seen) status = lsm_store_settle(store, token, LSM_DECISION_SEEN, 0, &err);
    if (status == LSM_OK) status = write_row();
    if (status != LSM_UNDECIDED) return status;
    err = (struct lsm_error){0};
    if (lsm_store_pending(store, met) == LSM_PENDING_NONE) return LSM_OK;
    assert_memory_equal(met, token, sizeof met);
    status = lsm_store_settle(store, met, scene->decision, 0, &err);
    return status == LSM_OK ? write_row() : status;
}

static bool found(const char *key) {
    struct lsm_view *view = NULL;
    MUST(lsm_view_open(store, NULL, &view, &err));
    int status = lsm_view_get(view, tree, text(key), NULL, &err);
    lsm_view_close(view);
    if (status != LSM_NOTFOUND) MUST(status);
    return status == LSM_OK;
}

static void expect_whole(const struct scene *scene) {
    uint64_t problems = 0;
    bool stands = scene->decision == LSM_DECISION_COMMIT;
    assert_true(found("one") && found("two") && found("three") && found("four") && found("after"));
    assert_false(found("never"));
    assert_int_equal(found("last"), stands);
    if (scene->makes_tree) assert_int_equal(lsm_store_tree_check(store, made), stands ? LSM_OK : LSM_NOTFOUND);
    MUST(lsm_store_check(store, NULL, NULL, NULL, NULL, &problems, &err));
    assert_int_equal(problems, 0);
}

/* ---- what fails ------------------------------------------------------------------------------------------------------------------------ */

static uint64_t stride(void) {
    const char *given = getenv("LSM_FAULTS");
    int n = given == NULL ? 3 : atoi(given);
    return n < 1 ? 1 : (uint64_t)n;
}

/* The log may be given up after a failure, and is whole for who opens it anew. */
static void try_again(const struct scene *scene) {
    int status = come_next(scene);
    if (status == LSM_READONLY) {
        MUST(lsm_store_close(store, &err));
        store = NULL;
        status = come_next(scene);
    }
    if (status != LSM_OK) fail_msg("the next try: %s: %s", lsm_status_name(status), err.text);
}

/* False: there was no n-th. */
static bool strike(const struct scene *scene, bool memory, uint64_t n) {
    start(scene);
    struct lsm_env_fault fault = {.at = n, .ops = LSM_ENV_OPEN | LSM_ENV_READ | LSM_ENV_LIST | LSM_ENV_MAP | LSM_ENV_WRITE | LSM_ENV_SYNC};
    uint64_t faults = lsm_env_mem_faults(disk), calls = lsm_mem_calls();
    err = (struct lsm_error){0};
    if (memory)
        lsm_mem_fail_after((int64_t)n, false);
    else
        lsm_env_mem_fail_at(disk, &fault);
    int status = come_next(scene);
    bool struck = memory ? lsm_mem_calls() - calls >= n : lsm_env_mem_faults(disk) != faults;
    lsm_mem_fail_after(0, false);
    lsm_env_mem_fail_at(disk, NULL);
    if (status != LSM_OK && (!struck || err.code != status || err.text[0] == '\0' || (status == LSM_CORRUPT)))
        fail_msg("point %llu: %s: %d '%s'", (unsigned long long)n, lsm_status_name(status), err.code, err.text);
    if (status != LSM_OK) try_again(scene);
    expect_whole(scene);
    end();
    return struck;
}

static void sweep(bool crash, enum lsm_decision decision, bool memory) {
    for (int i = 0; i < 8; i++) {
        struct scene scene = {.large = (i & 1) != 0, .makes_tree = (i & 2) != 0, .crash = crash, .seen = (i & 4) != 0, .decision = decision};
        if (scene.seen && decision == LSM_DECISION_ABORT) continue; /* what was seen is final */
        for (uint64_t n = 1 + (uint64_t)i % stride(); strike(&scene, memory, n); n += stride()) assert_true(n < POINTS_MAX);
    }
}

static void a_survivor_without_memory_settles_the_next_time(void **state) {
    (void)state;
    sweep(false, LSM_DECISION_COMMIT, true);
    sweep(false, LSM_DECISION_ABORT, true);
}

static void a_survivor_whose_files_fail_settles_the_next_time(void **state) {
    (void)state;
    sweep(false, LSM_DECISION_COMMIT, false);
    sweep(false, LSM_DECISION_ABORT, false);
}

static void who_recovers_without_memory_settles_the_next_time(void **state) {
    (void)state;
    sweep(true, LSM_DECISION_COMMIT, true);
    sweep(true, LSM_DECISION_ABORT, true);
}

static void who_recovers_while_files_fail_settles_the_next_time(void **state) {
    (void)state;
    sweep(true, LSM_DECISION_COMMIT, false);
    sweep(true, LSM_DECISION_ABORT, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_survivor_without_memory_settles_the_next_time),
        cmocka_unit_test(a_survivor_whose_files_fail_settles_the_next_time),
        cmocka_unit_test(who_recovers_without_memory_settles_the_next_time),
        cmocka_unit_test(who_recovers_while_files_fail_settles_the_next_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
