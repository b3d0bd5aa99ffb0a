/* Every allocation of an operation fails once, and every mutex, condition and thread that opening a store makes: the call says that memory was out, the store holds what was
 * committed before, leaks nothing, and the next try succeeds. fault_test does it at some points of a long session; here each operation is struck everywhere. */
#include <errno.h>
#include <pthread.h>
#include <dlfcn.h>

#include "api_kit.h"

enum { BIG_ROWS = 300, POINTS_MAX = 20000 };

/* ---- what fails ------------------------------------------------------------------------------------------------------------------ */

/* In place of the C library's: the n-th of them all from now on fails. */
static int64_t inits_left;
static bool init_fails(void) { return inits_left > 0 && --inits_left == 0; }
#define IN_PLACE(name, parameters, arguments)                                                                                                        \
    int name parameters {                                                                                                                            \
        union {                                                                                                                                      \
            void *address;                                                                                                                           \
            __typeof__(name) *function;                                                                                                              \
        } own = {.address = dlsym(RTLD_NEXT, #name)};                                                                                                \
        return init_fails() ? EAGAIN : own.function arguments;                                                                                       \
    }
IN_PLACE(pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *how), (mutex, how))
IN_PLACE(pthread_mutexattr_init, (pthread_mutexattr_t * how), (how))
IN_PLACE(pthread_cond_init, (pthread_cond_t * cond, const pthread_condattr_t *how), (cond, how))
IN_PLACE(pthread_condattr_init, (pthread_condattr_t * how), (how))

enum fault { OF_MEMORY, OF_INITS };

static void arm(enum fault fault, int64_t n) {
    if (fault == OF_MEMORY)
        lsm_mem_fail_after(n, false);
    else
        inits_left = n;
}

/* ---- operations: each returns a status and, if it fails, leaves the world as it was ---------------------------------------------- */

static struct lsm_env *other_env;
static struct lsm_store *other; /* of another process; NULL: not open */

static void close_first(void) {
    if (world.store != NULL) MUST(world_close(&world));
}

static int do_open(void) { return world_open(&world); }

static int undone(int status) {
    struct lsm_error why = world.err;
    if (world.txn != NULL && status != LSM_OK) MUST(world_rollback(&world));
    if (status != LSM_OK) world.err = why;
    return status;
}

static int do_transaction(void) {
    int status = world_begin(&world);
    for (unsigned i = 0; i < 10 && status == LSM_OK; i++) status = world_put(&world, 0, i * 7);
    uint64_t mark = status == LSM_OK ? lsm_txn_mark(world.txn) : 0;
    struct world_state saved = world.next;
    if (status == LSM_OK) status = world_delete(&world, 0, 3);
    if (status == LSM_OK) status = world_delete_range(&world, 0, 10, 40);
    if (status == LSM_OK) status = world_create(&world, 1);
    if (status == LSM_OK) status = world_put(&world, 1, 5);
    if (status == LSM_OK) status = world_drop(&world, 1);
    if (status == LSM_OK) status = lsm_txn_rollback_to(world.txn, mark, &world.err);
    if (status == LSM_OK) world.next = saved;
    if (status == LSM_OK) status = world_delete_range(&world, 0, 50, 60);
    return undone(status != LSM_OK ? status : world_commit(&world, LSM_SYNC_NORMAL));
}

/* Larger than memory: pieces, their merging, back to a mark in them, and what is read meanwhile. */
static int do_large_transaction(void) {
    int status = world_begin(&world);
    struct world_state saved = world.next;
    uint64_t mark = 0;
    for (unsigned i = 0; i < BIG_ROWS && status == LSM_OK; i++) {
        if (i == BIG_ROWS / 2) {
            mark = lsm_txn_mark(world.txn);
            saved = world.next;
        }
        while (++world.next_value % 5 != 0 || world.next_value % 7 == 0) {} /* long values */
        status = world_put_bytes(&world, 0, i * 29 % MODEL_KEYS, world.next_value);
    }
    if (status == LSM_OK) status = lsm_txn_rollback_to(world.txn, mark, &world.err);
    if (status == LSM_OK) world.next = saved;
    struct lsm_value value = {0};
    if (status == LSM_OK) status = lsm_txn_get(world.txn, tree_of(0), model_key(29), &value, &world.err);
    lsm_value_release(&value);
    return undone(status != LSM_OK ? status : world_commit(&world, LSM_SYNC_NORMAL));
}

/* Prepared, and taken back. */
static int do_prepare(void) {
    int status = world_begin(&world);
    for (unsigned i = 0; i < 5 && status == LSM_OK; i++) status = world_put(&world, 0, i);
    if (status == LSM_OK) status = world_prepare(&world, LSM_SYNC_FULL);
    if (status != LSM_OK) return undone(status);
    status = world_rollback(&world);
    if (status == LSM_OK) return LSM_OK;
    /* Nobody could say any more that it was taken back: nothing is written until the store is opened again, which says it. */
    must_fail(world_begin(&world), LSM_READONLY, "out of memory");
    MUST(world_close(&world));
    MUST(world_open(&world));
    return lsm_fail_nomem(&world.err, 0);
}

static int do_read(void) {
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    struct lsm_slice low = model_key(10), high;
    uint8_t bytes[64];
    memcpy(bytes, low.data, low.size);
    low.data = bytes;
    high = model_key(80);
    int status = lsm_view_open(world.store, NULL, &view, &world.err);
    for (unsigned key = 0; key < MODEL_KEYS && status == LSM_OK; key += 13) {
        struct lsm_value value = {0};
        status = lsm_view_get(view, tree_of(0), model_key(key), &value, &world.err);
        if (status == LSM_NOTFOUND) status = LSM_OK;
        lsm_value_release(&value);
    }
    high = model_key(80);
    if (status == LSM_OK) status = lsm_cursor_open(view, tree_of(0), NULL, &high, &cursor, &world.err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &world.err);
    for (int i = 0; i < 20 && status == LSM_OK && lsm_cursor_valid(cursor); i++) status = lsm_cursor_next(cursor, &world.err);
    if (status == LSM_OK) status = lsm_cursor_rebound(cursor, &low, NULL, &world.err);
    if (status == LSM_OK) status = lsm_cursor_last(cursor, &world.err);
    for (int i = 0; i < 20 && status == LSM_OK && lsm_cursor_valid(cursor); i++) status = lsm_cursor_prev(cursor, &world.err);
    if (status == LSM_OK) status = lsm_cursor_seek(cursor, model_key(33), &world.err);
    lsm_cursor_close(cursor);
    lsm_view_close(view);
    return status;
}

static void write_a_little(void) { MUST(world_write(&world, 0, 3, LSM_SYNC_OFF)); }

static int do_flush(void) { return world_flush(&world); }

static int do_compact(void) { return world_compact(&world); }

static int do_ask(void) {
    struct lsm_tree_info *trees = NULL;
    struct lsm_file_info *files = NULL;
    struct lsm_reader_info *readers = NULL;
    size_t count = 0;
    uint64_t problems = 0;
    int status = lsm_store_trees(world.store, &trees, &count, &world.err);
    if (status == LSM_OK) status = lsm_store_files(world.store, &files, &count, &world.err);
    if (status == LSM_OK) status = lsm_store_readers(world.store, &readers, &count, &world.err);
    lsm_free(trees);
    lsm_free(files);
    lsm_free(readers);
    if (status == LSM_OK) status = lsm_store_check(world.store, NULL, NULL, NULL, NULL, &problems, &world.err);
    if (status == LSM_OK) assert_true(problems == 0);
    return status;
}

static int do_names(void) {
    char **names = NULL;
    size_t count = 0;
    int status = lsm_dir_list(world.env, world.options.dir, &names, &count, &world.err);
    if (status == LSM_OK) assert_true(count > 2);
    lsm_free(names);
    return status;
}

/* The simulated disk may be out of memory in the midst of a sync: that is a sync that failed, and ends the writing for good. */
static int without_that_disk(int status) {
    if (status == LSM_OK || strstr(world.err.text, "in the memory file system") == NULL) return status;
    (void)world_close(&world);
    MUST(world_open(&world));
    return lsm_fail_nomem(&world.err, 0);
}

/* The once-a-second sync of a log file whose writer is gone: a large transaction has ended it. */
static void let_a_second_pass(void) {
    if (without_that_disk(do_large_transaction()) != LSM_OK) MUST(do_large_transaction());
    lsm_env_sleep_us(world.env, 2000000);
}

static int do_sync(void) { return without_that_disk(world_write(&world, 0, 1, LSM_SYNC_NORMAL)); }

/* Another process reads on in log and manifest, */
static void write_for_the_other(void) {
    struct lsm_options options = world.options;
    options.env = other_env;
    if (other == NULL) MUST(lsm_store_open(&options, &other, &world.err));
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    MUST(world_write(&world, 0, 40, LSM_SYNC_OFF));
    MUST(world_flush(&world));
    MUST(world_write(&world, 0, 2, LSM_SYNC_OFF));
}

static int do_follow(void) {
    struct lsm_view *view = NULL;
    int status = lsm_view_open(other, NULL, &view, &world.err);
    lsm_view_close(view);
    return status;
}

/* and writes there. */
static int do_take_over(void) {
    struct lsm_txn *txn = NULL;
    int status = lsm_txn_begin(other, UINT64_MAX, 0, &txn, &world.err);
    if (status == LSM_OK) MUST(lsm_txn_rollback(txn, &world.err));
    return status;
}

/* ---- sweeps ------------------------------------------------------------------------------------------------------------------------ */

/* What is there to be struck: table files of several levels, log files, a tree dropped. */
static void furnish(void) {
    for (int i = 0; i < 12; i++) {
        MUST(world_write(&world, 0, 60, LSM_SYNC_NORMAL));
        if (i % 4 == 3) MUST(world_flush(&world));
    }
    MUST(world_write(&world, 0, 20, LSM_SYNC_NORMAL));
}

/* The history has an end. */
static void forget(void) {
    if (world.commits < 3) return;
    world.history[1] = world.history[world.commits - 1];
    world.commits = world.durable = world.normal = 2;
}

/* before: what is done first each time, and not struck; may be NULL. */
static void sweep(const char *name, void (*before)(void), int (*operation)(void), enum fault fault) {
    bool struck = true;
    for (int64_t n = 1; struck; n++) {
        if (before != NULL) before();
        uint64_t calls = lsm_mem_calls();
        arm(fault, n);
        int status = operation();
        struck = fault == OF_MEMORY ? lsm_mem_calls() - calls >= (uint64_t)n : inits_left == 0;
        arm(fault, 0);
        if (status != LSM_OK && (status != LSM_NOMEM || !struck || world.err.code != LSM_NOMEM || world.err.text[0] == '\0'))
            fail_msg("%s, point %lld: %s: %d '%s'", name, (long long)n, lsm_status_name(status), world.err.code, world.err.text);
        if (status != LSM_OK) MUST(operation());
        const char *wrong = world_differs(&world, world.store);
        if (wrong != NULL) fail_msg("%s, point %lld: %s", name, (long long)n, wrong);
        forget();
        assert_true(n < POINTS_MAX);
    }
}

#define SWEEP(before, operation) sweep(#operation, before, operation, OF_MEMORY)

static void an_operation_without_memory_changes_nothing(void **state) {
    (void)state;
    furnish();
    SWEEP(NULL, do_transaction);
    SWEEP(NULL, do_prepare);
    SWEEP(NULL, do_read);
    SWEEP(NULL, do_ask);
    SWEEP(NULL, do_names);
    SWEEP(write_a_little, do_flush);
    SWEEP(write_a_little, do_compact);
}

static void a_large_transaction_without_memory_is_undone_whole(void **state) {
    (void)state;
    SWEEP(NULL, do_large_transaction);
}

/* The store is not read-only for that. */
static void a_sync_without_memory_is_made_up_for_a_second_later(void **state) {
    (void)state;
    struct lsm_stats before, after;
    lsm_env_mem_set_clock(world.env, (uint64_t)1 << 60);
    SWEEP(let_a_second_pass, do_sync);
    let_a_second_pass();
    lsm_store_stats(world.store, &before);
    MUST(do_sync());
    lsm_env_sleep_us(world.env, 2000000);
    MUST(do_sync());
    lsm_store_stats(world.store, &after);
    assert_true(after.wal_syncs > before.wal_syncs);
}

static void a_store_without_memory_opens_the_next_time(void **state) {
    (void)state;
    furnish();
    SWEEP(close_first, do_open);
    sweep("do_open", close_first, do_open, OF_INITS);
    MUST(world_close(&world));
    world.options.threads = 2;
    sweep("do_open", close_first, do_open, OF_INITS);
    SWEEP(close_first, do_open);
}

static void who_follows_without_memory_follows_the_next_time(void **state) {
    (void)state;
    other_env = lsm_env_mem_process(world.env);
    SWEEP(write_for_the_other, do_follow);
    SWEEP(write_for_the_other, do_take_over);
    MUST(lsm_store_close(other, &world.err));
    lsm_env_mem_free(other_env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_operation_without_memory_changes_nothing),         TEST(a_large_transaction_without_memory_is_undone_whole),
        TEST(a_sync_without_memory_is_made_up_for_a_second_later), TEST(a_store_without_memory_opens_the_next_time),
        TEST(who_follows_without_memory_follows_the_next_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
