/* Threads: one writer moves money between accounts, readers add it up in their views, somebody flushes, merges, checks and asks for figures.
 *
 * In every view the sum of all balances is what it was at the beginning, whichever way it is read, and two readings of one view are the same. Also beside other
 * processes that move money, each with a reading thread of its own.
 * LSM_TEST_SECONDS: how long (default 2 for each environment). Made for the sanitizers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../lsm_core/base/base.h"
#include "../../lsm_core/env/env.h"
#include "../support/model.h"

enum { ACCOUNTS = 150, START_BALANCE = 1000, TOTAL = ACCOUNTS * START_BALANCE, READERS = 3, PADDING = 150, OTHERS = 2 };

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "concurrency-test";

struct shared {
    struct lsm_store *store;
    uint32_t tree;
    bool others; /* other processes move money, too: what the accounts hold is to be read in each transaction */
    struct timespec end;
    _Atomic bool stop;
    _Atomic unsigned commits, rollbacks, views, passes;
    pthread_mutex_t mu;
    char wrong[700]; /* Guarded by mu */
};

static struct shared shared;

static void wrong(const char *what, const char *detail) {
    pthread_mutex_lock(&shared.mu);
    if (shared.wrong[0] == 0) (void)snprintf(shared.wrong, sizeof shared.wrong, "%s: %s", what, detail);
    pthread_mutex_unlock(&shared.mu);
    atomic_store(&shared.stop, true);
}

/* Beside other processes the time is over for who has had a turn: where there are few processors somebody may have had none yet. */
static bool over(void) {
    struct timespec now;
    if (shared.others && (atomic_load(&shared.commits) == 0 || atomic_load(&shared.views) == 0)) return atomic_load(&shared.stop);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec > shared.end.tv_sec || (now.tv_sec == shared.end.tv_sec && now.tv_nsec > shared.end.tv_nsec)) atomic_store(&shared.stop, true);
    return atomic_load(&shared.stop);
}

static struct lsm_slice account_key(unsigned account, char *buffer, size_t size) {
    int length = snprintf(buffer, size, "account-%05u", account);
    return lsm_slice_of(buffer, (size_t)length);
}

static struct lsm_slice balance_value(int64_t balance, unsigned account, uint8_t *buffer) {
    memset(buffer, (int)('a' + account % 26), 8 + PADDING);
    memcpy(buffer, &balance, sizeof balance);
    return lsm_slice_of(buffer, 8 + PADDING);
}

static int64_t balance_of(struct lsm_slice value) {
    int64_t balance = INT64_MIN / 2;
    if (value.size == 8 + PADDING) memcpy(&balance, value.data, sizeof balance);
    return balance;
}

/* ---- the writer -------------------------------------------------------------------------------------------------------------- */

static int put_balance(struct lsm_txn *txn, unsigned account, int64_t balance, struct lsm_error *err) {
    char key[32];
    uint8_t value[8 + PADDING];
    return lsm_txn_put(txn, shared.tree, account_key(account, key, sizeof key), balance_value(balance, account, value), err);
}

/* Some moves of one transaction; the balances they lead to. An account of 0 is deleted, to be there again when money comes. */
static int moves(struct lsm_txn *txn, struct model_random *random, int64_t *balances, struct lsm_error *err) {
    int status = LSM_OK;
    for (unsigned n = 1 + (unsigned)model_below(random, 6); n > 0 && status == LSM_OK; n--) {
        unsigned pair[2] = {(unsigned)model_below(random, ACCOUNTS), (unsigned)model_below(random, ACCOUNTS)};
        int64_t amount = model_below(random, 4) == 0 ? balances[pair[0]] : (int64_t)model_below(random, 50);
        if (amount > balances[pair[0]]) amount = balances[pair[0]];
        balances[pair[0]] -= amount;
        balances[pair[1]] += amount;
        for (unsigned i = 0; i < 2 && status == LSM_OK; i++) {
            char key[32];
            if (balances[pair[i]] != 0)
                status = put_balance(txn, pair[i], balances[pair[i]], err);
            else
                status = lsm_txn_delete(txn, shared.tree, account_key(pair[i], key, sizeof key), err);
        }
    }
    return status;
}

/* What the accounts hold now, as the transaction sees it. */
static int read_balances(struct lsm_txn *txn, int64_t *balances, struct lsm_error *err) {
    int status = LSM_OK;
    for (unsigned account = 0; account < ACCOUNTS && status == LSM_OK; account++) {
        char key[32];
        struct lsm_value value = {0};
        status = lsm_txn_get(txn, shared.tree, account_key(account, key, sizeof key), &value, err);
        balances[account] = status == LSM_OK ? balance_of(value.bytes) : 0;
        lsm_value_release(&value);
        if (status == LSM_NOTFOUND) status = LSM_OK;
    }
    return status;
}

static bool transaction(struct model_random *random, int64_t *balances) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    int64_t next[ACCOUNTS], saved[ACCOUNTS];
    memcpy(next, balances, sizeof next);
    int status = lsm_txn_begin(shared.store, UINT64_MAX, 5000, &txn, &err);
    if (status == LSM_BUSY) return true;
    if (status == LSM_OK && shared.others) status = read_balances(txn, next, &err);
    if (status == LSM_OK) status = moves(txn, random, next, &err);
    if (status == LSM_OK && model_below(random, 4) == 0) {
        memcpy(saved, next, sizeof next);
        uint64_t mark = lsm_txn_mark(txn);
        status = moves(txn, random, next, &err);
        if (status == LSM_OK) status = lsm_txn_rollback_to(txn, mark, &err);
        memcpy(next, saved, sizeof next);
    }
    if (status == LSM_OK && model_below(random, 5) == 0) {
        status = lsm_txn_rollback(txn, &err);
        (void)atomic_fetch_add(&shared.rollbacks, 1);
        if (status != LSM_OK) wrong("rollback", err.text);
        return status == LSM_OK;
    }
    uint64_t sync = model_below(random, 20);
    if (status == LSM_OK)
        status = lsm_txn_prepare(txn, sync == 0 ? LSM_SYNC_FULL : sync < 5 ? LSM_SYNC_NORMAL : LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err);
    if (status != LSM_OK) {
        wrong("transaction", err.text);
        if (txn != NULL) (void)lsm_txn_rollback(txn, NULL);
        return false;
    }
    lsm_txn_commit(txn, true);
    memcpy(balances, next, sizeof next);
    (void)atomic_fetch_add(&shared.commits, 1);
    return true;
}

/* Now and then a tree comes, fills and goes. */
static void other_tree(struct model_random *random, struct lsm_tree_info *tree) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    uint8_t buffer[MODEL_VALUE_BYTES_MAX];
    if (lsm_txn_begin(shared.store, UINT64_MAX, 5000, &txn, &err) != LSM_OK) return;
    int status = LSM_OK;
    if (tree->tree == 0) {
        status = lsm_txn_tree_create(txn, tree, &err);
        for (unsigned key = 0; key < MODEL_KEYS && status == LSM_OK; key++)
            status = lsm_txn_put(txn, tree->tree, model_key(key), model_value((uint32_t)model_next(random) | 1u, buffer), &err);
        if (status == LSM_OK) status = lsm_txn_delete_range(txn, tree->tree, model_key(10), model_key(40), &err);
    } else {
        status = lsm_txn_tree_drop(txn, tree->tree, &err);
        tree->tree = 0;
    }
    if (status == LSM_OK) status = lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err);
    if (status == LSM_OK)
        lsm_txn_commit(txn, true);
    else
        wrong("another tree", err.text);
}

static void *write_thread(void *arg) {
    struct model_random random = {.state = 11 + (uint64_t)getpid()};
    struct lsm_tree_info tree = {0};
    int64_t *balances = arg;
    while (!over()) {
        if (!transaction(&random, balances)) break;
        if (model_below(&random, 40) == 0) other_tree(&random, &tree);
    }
    return NULL;
}

/* ---- readers -------------------------------------------------------------------------------------------------------------------- */

static bool sum_by_keys(struct lsm_view *view, int64_t *sum) {
    *sum = 0;
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        char key[32];
        struct lsm_value value = {0};
        struct lsm_error err = {0};
        int status = lsm_view_get(view, shared.tree, account_key(account, key, sizeof key), &value, &err);
        if (status == LSM_OK) *sum += balance_of(value.bytes);
        lsm_value_release(&value);
        if (status == LSM_OK || status == LSM_NOTFOUND) continue;
        wrong("get", err.text);
        return false;
    }
    return true;
}

static bool sum_by_scan(struct lsm_view *view, bool backward, int64_t *sum) {
    struct lsm_cursor *cursor = NULL;
    struct lsm_error err = {0};
    *sum = 0;
    int status = lsm_cursor_open(view, shared.tree, NULL, NULL, &cursor, &err);
    if (status == LSM_OK) status = backward ? lsm_cursor_last(cursor, &err) : lsm_cursor_first(cursor, &err);
    while (status == LSM_OK && lsm_cursor_valid(cursor)) {
        *sum += balance_of(lsm_cursor_value(cursor));
        status = backward ? lsm_cursor_prev(cursor, &err) : lsm_cursor_next(cursor, &err);
    }
    lsm_cursor_close(cursor);
    if (status != LSM_OK) wrong("scan", err.text);
    return status == LSM_OK;
}

/* From somewhere in the middle up, then down: the two halves make the whole. */
static bool sum_by_halves(struct lsm_view *view, unsigned middle, int64_t *sum) {
    struct lsm_cursor *cursor = NULL;
    struct lsm_error err = {0};
    char buffer[32];
    struct lsm_slice key = account_key(middle, buffer, sizeof buffer);
    *sum = 0;
    int status = lsm_cursor_open(view, shared.tree, &key, NULL, &cursor, &err);
    if (status == LSM_OK) status = lsm_cursor_seek(cursor, key, &err);
    for (; status == LSM_OK && lsm_cursor_valid(cursor); status = lsm_cursor_next(cursor, &err)) *sum += balance_of(lsm_cursor_value(cursor));
    if (status == LSM_OK) status = lsm_cursor_rebound(cursor, NULL, &key, &err);
    if (status == LSM_OK) status = lsm_cursor_last(cursor, &err);
    for (; status == LSM_OK && lsm_cursor_valid(cursor); status = lsm_cursor_prev(cursor, &err)) *sum += balance_of(lsm_cursor_value(cursor));
    lsm_cursor_close(cursor);
    if (status != LSM_OK) wrong("half scans", err.text);
    return status == LSM_OK;
}

static bool read_view(struct lsm_view *view, struct model_random *random) {
    static const char *ways[] = {"get", "scan up", "scan down", "halves"};
    int64_t sum = 0;
    unsigned way = (unsigned)model_below(random, 4);
    bool done;
    if (way == 0)
        done = sum_by_keys(view, &sum);
    else if (way == 3)
        done = sum_by_halves(view, (unsigned)model_below(random, ACCOUNTS), &sum);
    else
        done = sum_by_scan(view, way == 2, &sum);
    if (done && sum != TOTAL) {
        char text[100];
        (void)snprintf(text, sizeof text, "the sum is %lld, not %d", (long long)sum, (int)TOTAL);
        wrong(ways[way], text);
    }
    return done && sum == TOTAL;
}

static void *read_thread(void *arg) {
    struct model_random random = {.state = 100 + (uint64_t)(uintptr_t)arg};
    struct lsm_view *old = NULL;
    uint64_t last = 0;
    while (!over()) {
        struct lsm_error err = {0};
        struct lsm_view *view = NULL;
        if (lsm_view_open(shared.store, NULL, &view, &err) != LSM_OK) {
            wrong("view", err.text);
            break;
        }
        if (lsm_view_position(view) < last) wrong("view", "an older state than before");
        last = lsm_view_position(view);
        bool ok = read_view(view, &random);
        if (ok && old != NULL) ok = read_view(old, &random);
        (void)atomic_fetch_add(&shared.views, 1);
        if (model_below(&random, 30) == 0) {
            lsm_view_close(old);
            old = view;
        } else {
            lsm_view_close(view);
        }
        if (!ok) break;
    }
    lsm_view_close(old);
    return NULL;
}

/* ---- maintenance ------------------------------------------------------------------------------------------------------------------ */

static void finding(void *arg, const char *text) {
    (void)arg;
    wrong("check", text);
}

static bool impatient(void *arg) {
    unsigned *left = arg;
    return *left == 0 || --*left == 0;
}

static void *care_thread(void *arg) {
    struct model_random random = {.state = 7};
    (void)arg;
    while (!over()) {
        struct lsm_error err = {0};
        struct lsm_stats stats;
        struct lsm_file_info *files = NULL;
        struct lsm_tree_info *trees = NULL;
        size_t count = 0;
        uint64_t problems = 0;
        unsigned patience = 1 + (unsigned)model_below(&random, 30);
        int status = LSM_OK;
        switch (model_below(&random, 6)) {
        case 0: status = lsm_store_flush(shared.store, NULL, NULL, &err); break;
        case 1: status = lsm_store_compact(shared.store, NULL, NULL, &err); break;
        case 2: status = lsm_store_compact(shared.store, impatient, &patience, &err); break;
        case 3: status = lsm_store_check(shared.store, finding, NULL, NULL, NULL, &problems, &err); break;
        case 4: status = lsm_store_files(shared.store, &files, &count, &err); break;
        default: status = lsm_store_trees(shared.store, &trees, &count, &err); break;
        }
        lsm_free(files);
        lsm_free(trees);
        lsm_store_stats(shared.store, &stats);
        if (status != LSM_OK && status != LSM_BUSY && status != LSM_INTERRUPTED) wrong("maintenance", err.text);
        if (stats.background_status != LSM_OK) wrong("background", stats.background_error);
        (void)atomic_fetch_add(&shared.passes, 1);
        (void)usleep(2000);
    }
    return NULL;
}

/* ---- together ----------------------------------------------------------------------------------------------------------------------- */

#define MUST(call) must(call, &err, #call)
static void must(int status, const struct lsm_error *err, const char *what) {
    if (status != LSM_OK) fail_msg("%s: %s", what, err->text);
}

static void make_accounts(int64_t *balances) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info tree;
    MUST(lsm_txn_begin(shared.store, UINT64_MAX, 0, &txn, &err));
    MUST(lsm_txn_tree_create(txn, &tree, &err));
    shared.tree = tree.tree;
    for (unsigned account = 0; account < ACCOUNTS; account++) MUST(put_balance(txn, account, balances[account] = START_BALANCE, &err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

static void prepare(struct lsm_options *options, struct lsm_env *env, const char *dir) {
    const char *seconds = getenv("LSM_TEST_SECONDS");
    memset(&shared, 0, sizeof shared);
    pthread_mutex_init(&shared.mu, NULL);
    lsm_options_init(options);
    options->env = env;
    options->dir = dir;
    options->store_id = store_id;
    options->create = true;
    options->write_buffer_bytes = 65536;
    options->file_bytes = 65536;
    options->cache_bytes = 1 << 18;
    options->block_bytes = 512;
    options->map_bytes = env == lsm_env_posix() ? 1 << 19 : 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &shared.end);
    shared.end.tv_sec += seconds == NULL ? 2 : atoi(seconds);
}

/* To the end of the time. */
static void run_threads(int64_t *balances) {
    pthread_t threads[READERS + 2];
    assert_int_equal(pthread_create(&threads[0], NULL, write_thread, balances), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, care_thread, NULL), 0);
    for (uintptr_t i = 0; i < READERS; i++) assert_int_equal(pthread_create(&threads[2 + i], NULL, read_thread, (void *)i), 0);
    for (size_t i = 0; i < READERS + 2; i++) pthread_join(threads[i], NULL);
    print_message("  %u commits, %u rollbacks, %u views, %u passes of maintenance\n", shared.commits, shared.rollbacks, shared.views, shared.passes);
    if (shared.wrong[0] != 0) fail_msg("%s", shared.wrong);
}

/* balances: what each account must hold, NULL if that is not known. */
static void look_at_the_end(const struct lsm_options *options, const int64_t *balances) {
    struct lsm_error err = {0};
    struct lsm_view *view = NULL;
    int64_t sum = 0;
    MUST(lsm_store_open(options, &shared.store, &err));
    MUST(lsm_view_open(shared.store, NULL, &view, &err));
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        char key[32];
        struct lsm_value value = {0};
        int status = lsm_view_get(view, shared.tree, account_key(account, key, sizeof key), &value, &err);
        int64_t balance = status == LSM_NOTFOUND ? 0 : balance_of(value.bytes);
        if (balances != NULL) assert_int_equal(balance, balances[account]);
        sum += balance;
        lsm_value_release(&value);
    }
    lsm_view_close(view);
    assert_int_equal(sum, TOTAL);
    uint64_t problems = 0;
    MUST(lsm_store_check(shared.store, finding, NULL, NULL, NULL, &problems, &err));
    if (problems != 0) fail_msg("%s", shared.wrong);
    MUST(lsm_store_close(shared.store, &err));
    pthread_mutex_destroy(&shared.mu);
}

static void run(struct lsm_env *env, const char *dir) {
    static int64_t balances[ACCOUNTS];
    struct lsm_error err = {0};
    struct lsm_options options;
    prepare(&options, env, dir);
    MUST(lsm_store_open(&options, &shared.store, &err));
    make_accounts(balances);
    run_threads(balances);
    MUST(lsm_store_quiesce(shared.store, &err));
    MUST(lsm_store_close(shared.store, &err));
    look_at_the_end(&options, balances);
}

/* In a process of its own: a writer and a reader. Does not return. */
static void run_other(const struct lsm_options *options) {
    int64_t balances[ACCOUNTS] = {0};
    struct lsm_error err = {0};
    pthread_t reader;
    if (lsm_store_open(options, &shared.store, &err) != LSM_OK) wrong("open", err.text);
    if (shared.store != NULL && pthread_create(&reader, NULL, read_thread, NULL) == 0) {
        (void)write_thread(balances);
        pthread_join(reader, NULL);
    }
    if (lsm_store_close(shared.store, &err) != LSM_OK) wrong("close", err.text);
    print_message("  another process: %u commits, %u views%s%s\n", shared.commits, shared.views, shared.wrong[0] == 0 ? "" : ": ", shared.wrong);
    exit(shared.wrong[0] == 0 && shared.commits != 0 && shared.views != 0 ? 0 : 1);
}

/* The processes are made before this one has threads. */
static void run_beside_others(const char *dir) {
    static int64_t balances[ACCOUNTS];
    struct lsm_error err = {0};
    struct lsm_options options;
    pid_t others[OTHERS];
    prepare(&options, lsm_env_posix(), dir);
    shared.others = true;
    MUST(lsm_store_open(&options, &shared.store, &err));
    make_accounts(balances);
    MUST(lsm_store_close(shared.store, &err));
    options.create = false;
    fflush(stdout);
    for (int i = 0; i < OTHERS; i++) {
        shared.store = NULL;
        others[i] = fork();
        assert_true(others[i] >= 0);
        if (others[i] == 0) run_other(&options);
    }
    MUST(lsm_store_open(&options, &shared.store, &err));
    run_threads(balances);
    MUST(lsm_store_close(shared.store, &err));
    for (int i = 0; i < OTHERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(others[i], &status, 0), others[i]);
        assert_int_equal(status, 0);
    }
    look_at_the_end(&options, NULL);
}

static void readers_see_whole_transactions_in_memory(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_env *env = lsm_env_mem_new();
    assert_non_null(env);
    run(env, "store");
    lsm_env_mem_free(env);
    assert_int_equal(lsm_mem_live(), live);
}

static void in_a_folder(void (*work)(const char *dir)) {
    char top[] = "/tmp/lsm-concurrent-XXXXXX", dir[64], command[80];
    assert_non_null(mkdtemp(top));
    (void)snprintf(dir, sizeof dir, "%s/store", top);
    work(dir);
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    assert_int_equal(system(command), 0);
}

static void run_on_disk(const char *dir) { run(lsm_env_posix(), dir); }

static void readers_see_whole_transactions_on_disk(void **state) {
    (void)state;
    in_a_folder(run_on_disk);
}

static void readers_and_a_writer_beside_other_processes_that_commit(void **state) {
    (void)state;
    in_a_folder(run_beside_others);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_whole_transactions_in_memory),
        cmocka_unit_test(readers_see_whole_transactions_on_disk),
        cmocka_unit_test(readers_and_a_writer_beside_other_processes_that_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
