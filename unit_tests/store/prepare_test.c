/* Preparing again, what must not be written behind a record that could not be taken back, and the syncs that nobody waits for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/env/filename.h"
#include "../../lsm_core/store/store.h"

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "prepare-test----";
static struct lsm_env *env;
static struct lsm_store *store;
static struct lsm_options options;
static struct lsm_error err;
static uint32_t tree;

#define MUST(step)                                                                                                                                   \
    do {                                                                                                                                             \
        if ((step) != LSM_OK) fail_msg("%s: %s", #step, err.text);                                                                                   \
    } while (0)

static struct lsm_slice text(const char *s) { return (struct lsm_slice){.data = (const uint8_t *)s, .size = strlen(s)}; }

static int put(struct lsm_txn *txn, const char *key) { return lsm_txn_put(txn, tree, text(key), text("value"), &err); }

static void make_store(void) {
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info info;
    MUST(lsm_store_open(&options, &store, &err));
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(lsm_txn_tree_create(txn, &info, &err));
    tree = info.tree;
    MUST(put(txn, "first"));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

static int set_up(void **state) {
    (void)state;
    env = lsm_env_mem_new_strict();
    lsm_options_init(&options);
    options.env = env;
    options.dir = "store";
    options.store_id = store_id;
    options.create = true;
    options.threads = 0;
    options.write_buffer_bytes = 65536;
    make_store();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)lsm_store_close(store, NULL);
    lsm_env_mem_free(env);
    return 0;
}

static void lose_power(enum lsm_crash_mode mode) {
    MUST(lsm_env_mem_crash(env, mode, 1));
    (void)lsm_store_close(store, NULL);
    store = NULL;
    MUST(lsm_store_open(&options, &store, &err));
}

static bool is_there(const char *key) {
    struct lsm_view *view = NULL;
    MUST(lsm_view_open(store, NULL, &view, &err));
    int status = lsm_view_get(view, tree, text(key), NULL, &err);
    assert_true(status == LSM_OK || status == LSM_NOTFOUND);
    lsm_view_close(view);
    return status == LSM_OK;
}

/* After a power cut that keeps (or loses) what was not synced, is the key there? */
static bool found_after(enum lsm_crash_mode mode, const char *key) {
    lose_power(mode);
    return is_there(key);
}

static void the_next_write_fails(void) {
    const struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_WRITE, .os_errno = ENOSPC};
    lsm_env_mem_fail_at(env, &fault);
}

static void preparing_again_at_full_syncs(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(put(txn, "second"));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
    assert_true(found_after(LSM_CRASH_LOSE, "second"));
}

static void after_an_abort_that_failed_nothing_is_written_any_more(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(put(txn, "second"));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    the_next_write_fails();
    assert_int_not_equal(put(txn, "third"), LSM_OK);
    lsm_env_mem_fail_at(env, NULL);
    assert_int_equal(put(txn, "third"), LSM_READONLY);
    assert_int_equal(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), LSM_READONLY);
    (void)lsm_txn_rollback(txn, NULL);
    assert_int_equal(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err), LSM_READONLY);
    assert_true(found_after(LSM_CRASH_KEEP, "first"));
}

static void a_large_transaction_whose_abort_failed_leaves_a_store_that_opens(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    char *value = calloc(1, 100000);
    assert_non_null(value);
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(lsm_txn_put(txn, tree, text("large"), (struct lsm_slice){.data = (const uint8_t *)value, .size = 100000}, &err));
    free(value);
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    the_next_write_fails();
    assert_int_not_equal(lsm_txn_rollback(txn, &err), LSM_OK);
    lsm_env_mem_fail_at(env, NULL);
    assert_true(found_after(LSM_CRASH_KEEP, "first"));
}

static void commit_at_normal(const char *key) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(put(txn, key));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

static void without_threads_normal_still_syncs_once_a_second(void **state) {
    (void)state;
    const uint64_t now_us = UINT64_C(4000000000000000);
    lsm_env_mem_set_clock(env, now_us);
    commit_at_normal("second"); /* syncs: the last time is long ago */
    commit_at_normal("third");
    lsm_env_mem_set_clock(env, now_us + 2000000);
    commit_at_normal("fourth");
    assert_true(found_after(LSM_CRASH_LOSE, "third"));
}

/* What the kernel has of that file cannot be relied on, and nobody may build on it. */
static void a_sync_that_nobody_waited_for_and_failed_is_the_end_of_writing(void **state) {
    (void)state;
    const uint64_t now_us = UINT64_C(4000000000000000);
    struct lsm_txn *txn = NULL;
    lsm_env_mem_set_clock(env, now_us);
    commit_at_normal("second");
    commit_at_normal("third");
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_SYNC});
    lsm_env_mem_set_clock(env, now_us + 2000000);
    commit_at_normal("fourth"); /* the sync comes behind it */
    assert_int_equal(lsm_env_mem_faults(env), 1);
    int status = lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err);
    if (status == LSM_OK) status = put(txn, "fifth");
    if (status == LSM_OK) status = lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err);
    assert_int_equal(status, LSM_READONLY);
    assert_non_null(strstr(err.text, "could not be synced"));
    if (txn != NULL) (void)lsm_txn_rollback(txn, NULL);
}

/* ---- logs of another history ------------------------------------------------------------------------------------------------- */

static void roll_without_flush(void) {
    store->wait_until_us[LSM_WORK_FLUSH] = UINT64_MAX;
    MUST(lsm_store_lock_writer(store, 0, &err));
    MUST(lsm_store_roll(store, &err));
    lsm_store_unlock_writer(store);
}

static void commit_unsynced(const char *key) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(put(txn, key));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

/* A file that begins where the log ends, but continues what a power cut has taken: by its checksums all is well with it. */
static void a_log_file_that_continues_another_history_is_not_read(void **state) {
    (void)state;
    uint8_t *bytes = NULL;
    size_t size = 0;
    commit_unsynced("lost");
    roll_without_flush();
    commit_unsynced("stale");
    uint64_t number = lsm_wal_writer_generation(store->log);
    char *path = lsm_file_path(options.dir, LSM_FILE_WAL, number);
    assert_non_null(path);
    assert_int_equal(lsm_env_mem_read_file(env, path, &bytes, &size), LSM_OK);
    lose_power(LSM_CRASH_LOSE);
    commit_unsynced("else");
    roll_without_flush();
    assert_int_equal(lsm_env_mem_crash(env, LSM_CRASH_KEEP, 1), LSM_OK);
    (void)lsm_store_close(store, NULL);
    assert_int_equal(lsm_env_mem_write_file(env, path, bytes, size), LSM_OK);
    MUST(lsm_store_open(&options, &store, &err));
    assert_true(is_there("else"));
    assert_false(is_there("stale") || is_there("lost"));
    lsm_free(bytes);
    lsm_free(path);
}

static bool drop_is_wanted(void) {
    lsm_mutex_lock(&store->mu);
    bool wanted = store->drop_wanted;
    lsm_mutex_unlock(&store->mu);
    return wanted;
}

static void set_syncing(bool syncing) {
    lsm_mutex_lock(&store->mu);
    store->syncing = syncing;
    lsm_mutex_unlock(&store->mu);
}

static void a_drop_that_meets_a_sync_is_not_forgotten(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    MUST(lsm_store_close(store, &err));
    options.threads = 2;
    MUST(lsm_store_open(&options, &store, &err));
    MUST(lsm_store_quiesce(store, &err));
    set_syncing(true);
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(lsm_txn_tree_drop(txn, tree, &err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
    lsm_env_sleep_us(lsm_env_posix(), 50000); /* the workers look, see the sync, and sleep */
    assert_true(drop_is_wanted());
    set_syncing(false);
    MUST(lsm_store_sync_logs(store, &err));
    for (int i = 0; i < 500 && drop_is_wanted(); i++) lsm_env_sleep_us(lsm_env_posix(), 10000);
    assert_false(drop_is_wanted());
}

/* The log was only read so far; a large record is written without being copied, so nothing of the writer's memory is of use to the ABORT. */
static bool take_back_without_memory(int64_t n, size_t bytes, enum lsm_sync sync) {
    struct lsm_txn *txn = NULL;
    uint8_t *value = calloc(1, bytes);
    assert_non_null(value);
    MUST(lsm_store_close(store, &err));
    MUST(lsm_store_open(&options, &store, &err));
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(lsm_txn_put(txn, tree, text("large"), (struct lsm_slice){.data = value, .size = bytes}, &err));
    MUST(lsm_txn_prepare(txn, sync, LSM_DECIDED_BY_TOKEN, (uint8_t[LSM_TOKEN_BYTES]){0}, &err));
    uint64_t calls = lsm_mem_calls();
    lsm_mem_fail_after(n, true);
    int status = lsm_txn_rollback(txn, &err);
    bool struck = lsm_mem_calls() - calls >= (uint64_t)n;
    lsm_mem_fail_after(0, false);
    if (status != LSM_OK) fail_msg("%zu bytes, sync %d, allocation %d: %s", bytes, (int)sync, (int)n, err.text);
    free(value);
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(put(txn, "next"));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
    return struck;
}

static void taking_back_what_was_prepared_takes_no_memory(void **state) {
    (void)state;
    static const enum lsm_sync syncs[] = {LSM_SYNC_OFF, LSM_SYNC_NORMAL, LSM_SYNC_FULL};
    char folder[] = "/tmp/lsm-prepare-XXXXXX", dir[60], command[60];
    /* Real files: those in memory take memory themselves. */
    MUST(lsm_store_close(store, &err));
    assert_non_null(mkdtemp(folder));
    (void)snprintf(dir, sizeof dir, "%s/store", folder);
    options.env = NULL;
    options.dir = dir;
    make_store();
    for (int i = 0; i < 6; i++)
        for (int64_t n = 1; take_back_without_memory(n, i < 3 ? 2000000 : 10, syncs[i % 3]); n++) assert_true(n < 100);
    MUST(lsm_store_close(store, &err));
    store = NULL;
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(taking_back_what_was_prepared_takes_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(preparing_again_at_full_syncs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(after_an_abort_that_failed_nothing_is_written_any_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_transaction_whose_abort_failed_leaves_a_store_that_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_threads_normal_still_syncs_once_a_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sync_that_nobody_waited_for_and_failed_is_the_end_of_writing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_log_file_that_continues_another_history_is_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_drop_that_meets_a_sync_is_not_forgotten, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
