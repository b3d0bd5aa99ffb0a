/* Transactions that the database decides: what becomes of a PREPARE, in the process that wrote it and after that one is gone. */
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
#include "../../lsm_core/store/store.h"

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "pending-test----";
static struct lsm_env *env;
static struct lsm_store *store;
static struct lsm_options options;
static struct lsm_error err;
static uint32_t tree;
static uint8_t token[LSM_TOKEN_BYTES];

#define MUST(step)                                                                                                                                   \
    do {                                                                                                                                             \
        if ((step) != LSM_OK) fail_msg("%s: %s", #step, err.text);                                                                                   \
    } while (0)

static struct lsm_slice text(const char *s) { return (struct lsm_slice){.data = (const uint8_t *)s, .size = strlen(s)}; }

static bool large; /* every transaction is larger than memory: its record is a RUNS */

static int put(struct lsm_txn *txn, const char *key) {
    static uint8_t filler[3000];
    char name[20];
    int status = LSM_OK;
    for (unsigned i = 0; large && i < 40 && status == LSM_OK; i++) {
        (void)snprintf(name, sizeof name, "filler-%02u", i);
        status = lsm_txn_put(txn, tree, text(name), lsm_slice_of(filler, sizeof filler), &err);
    }
    return status == LSM_OK ? lsm_txn_put(txn, tree, text(key), text("value"), &err) : status;
}

static struct lsm_txn *begin(void) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    return txn;
}

static void commit_row(const char *key) {
    struct lsm_txn *txn = begin();
    MUST(put(txn, key));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

static struct lsm_txn *prepare_row(const char *key, enum lsm_sync sync) {
    struct lsm_txn *txn = begin();
    MUST(put(txn, key));
    MUST(lsm_txn_prepare(txn, sync, LSM_DECIDED_BY_TOKEN, token, &err));
    return txn;
}

static int set_up(void **state) {
    (void)state;
    struct lsm_tree_info info;
    env = lsm_env_mem_new_strict();
    lsm_options_init(&options);
    options.env = env;
    options.dir = "store";
    options.store_id = store_id;
    options.create = true;
    options.threads = 0;
    options.write_buffer_bytes = 65536;
    MUST(lsm_store_open(&options, &store, &err));
    struct lsm_txn *txn = begin();
    MUST(lsm_txn_tree_create(txn, &info, &err));
    tree = info.tree;
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
    commit_row("first");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)lsm_store_close(store, NULL);
    lsm_env_mem_free(env);
    return 0;
}

static bool found(const char *key) {
    struct lsm_view *view = NULL;
    MUST(lsm_view_open(store, NULL, &view, &err));
    int status = lsm_view_get(view, tree, text(key), NULL, &err);
    assert_true(status == LSM_OK || status == LSM_NOTFOUND);
    lsm_view_close(view);
    return status == LSM_OK;
}

/* The machine goes down and comes up again. The handle is of no use then, nor a transaction on it. */
static void crash(enum lsm_crash_mode mode, struct lsm_txn *txn) {
    MUST(lsm_env_mem_crash(env, mode, 1));
    if (txn != NULL) (void)lsm_txn_rollback(txn, NULL);
    (void)lsm_store_close(store, NULL);
    store = NULL;
    MUST(lsm_store_open(&options, &store, &err));
}

static void check_store(void) {
    uint64_t problems = 0;
    MUST(lsm_store_check(store, NULL, NULL, NULL, NULL, &problems, &err));
    assert_int_equal(problems, 0);
}

static void it_is_seen_once_it_is_committed(void **state) {
    (void)state;
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_NORMAL);
    uint8_t present[LSM_TOKEN_BYTES];
    assert_int_equal(lsm_store_pending(store, present), LSM_PENDING_UNKNOWN);
    assert_memory_equal(present, token, sizeof token);
    assert_false(found("second"));
    lsm_txn_commit(txn, true);
    assert_true(found("second"));
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_NONE);
    assert_true(lsm_store_last_token(store, present));
    assert_memory_equal(present, token, sizeof token);
    commit_row("third");
    crash(LSM_CRASH_LOSE, NULL);
    assert_true(found("second") && found("third"));
    assert_true(lsm_store_last_token(store, present));
    assert_memory_equal(present, token, sizeof token);
    check_store();
}

static void the_token_names_its_place_in_the_log(void **state) {
    (void)state;
    uint64_t end = lsm_store_writers_end(store), position = 0;
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_FULL);
    for (int i = 0; i < 8; i++) position = position << 8 | token[i];
    assert_int_equal(position, end);
    assert_true(lsm_store_writers_end(store) > end);
    lsm_txn_commit(txn, true);
}

static void after_a_crash_it_waits_and_nothing_passes_it(void **state) {
    (void)state;
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_NORMAL);
    uint8_t present[LSM_TOKEN_BYTES];
    crash(LSM_CRASH_LOSE, txn);
    assert_int_equal(lsm_store_pending(store, present), LSM_PENDING_UNKNOWN);
    assert_memory_equal(present, token, sizeof token);
    assert_false(found("second"));
    assert_int_equal(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err), LSM_UNDECIDED);
    assert_int_equal(lsm_store_flush(store, NULL, NULL, &err), LSM_BUSY);
    check_store();
    /* It goes on waiting over any number of openings. */
    MUST(lsm_store_close(store, &err));
    MUST(lsm_store_open(&options, &store, &err));
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_UNKNOWN);
    assert_true(found("first"));
}

static void after_a_crash_it_is_committed_if_the_database_says_so(void **state) {
    (void)state;
    crash(LSM_CRASH_LOSE, prepare_row("second", LSM_SYNC_NORMAL));
    MUST(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err));
    assert_true(found("second"));
    MUST(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err)); /* once more does no harm */
    commit_row("third");
    MUST(lsm_store_flush(store, NULL, NULL, &err));
    crash(LSM_CRASH_LOSE, NULL);
    assert_true(found("second") && found("third"));
    uint8_t present[LSM_TOKEN_BYTES];
    assert_true(lsm_store_last_token(store, present)); /* from the manifest now */
    assert_memory_equal(present, token, sizeof token);
    check_store();
}

static void after_a_crash_it_is_taken_back_if_the_database_does_not_know_it(void **state) {
    (void)state;
    uint8_t present[LSM_TOKEN_BYTES];
    crash(LSM_CRASH_LOSE, prepare_row("second", LSM_SYNC_NORMAL));
    MUST(lsm_store_settle(store, token, LSM_DECISION_ABORT, 0, &err));
    assert_false(found("second"));
    crash(LSM_CRASH_LOSE, NULL); /* the ABORT is durable */
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_NONE);
    commit_row("third");
    assert_false(found("second"));
    assert_true(found("third"));
    assert_false(lsm_store_last_token(store, present));
    check_store();
}

static void a_reader_that_saw_the_token_makes_it_visible_and_a_writer_still_settles_it(void **state) {
    (void)state;
    crash(LSM_CRASH_LOSE, prepare_row("second", LSM_SYNC_NORMAL));
    MUST(lsm_store_settle(store, token, LSM_DECISION_SEEN, 0, &err));
    assert_true(found("second"));
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_COMMITTED);
    struct lsm_txn *txn = NULL;
    assert_int_equal(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err), LSM_UNDECIDED);
    assert_int_equal(lsm_store_settle(store, token, LSM_DECISION_ABORT, 0, &err), LSM_MISUSE);
    MUST(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err));
    commit_row("third");
    assert_true(found("second") && found("third"));
    check_store();
}

static void a_reader_may_see_it_between_the_databases_commit_and_ours(void **state) {
    (void)state;
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_NORMAL);
    MUST(lsm_store_settle(store, token, LSM_DECISION_SEEN, 0, &err));
    assert_true(found("second"));
    lsm_txn_commit(txn, true);
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_NONE);
    assert_true(found("second"));
    commit_row("third");
}

static void what_is_not_durable_in_the_database_keeps_the_log_waiting(void **state) {
    (void)state;
    lsm_txn_commit(prepare_row("second", LSM_SYNC_NORMAL), false);
    assert_true(found("second"));
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_COMMITTED);
    /* The power goes: the database may have lost its commit, and then this one must go too. */
    crash(LSM_CRASH_LOSE, NULL);
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_UNKNOWN);
    assert_false(found("second"));
    MUST(lsm_store_settle(store, token, LSM_DECISION_ABORT, 0, &err));
    assert_false(found("second"));
}

static void a_commit_that_cannot_be_written_is_left_to_the_next_writer(void **state) {
    (void)state;
    const struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_WRITE, .os_errno = EIO};
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_NORMAL);
    lsm_env_mem_fail_at(env, &fault);
    lsm_txn_commit(txn, true);
    lsm_env_mem_fail_at(env, NULL);
    assert_true(found("second"));
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_COMMITTED);
    MUST(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err));
    commit_row("third");
    crash(LSM_CRASH_LOSE, NULL);
    assert_true(found("second") && found("third"));
}

static void preparing_again_gives_another_token(void **state) {
    (void)state;
    uint8_t first[LSM_TOKEN_BYTES], present[LSM_TOKEN_BYTES];
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_NORMAL);
    memcpy(first, token, sizeof first);
    MUST(put(txn, "third"));
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_NONE);
    MUST(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDED_BY_TOKEN, token, &err));
    assert_memory_not_equal(first, token, sizeof first);
    MUST(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDED_BY_TOKEN, present, &err)); /* nothing new: the same */
    assert_memory_equal(present, token, sizeof token);
    crash(LSM_CRASH_LOSE, txn);
    assert_int_equal(lsm_store_pending(store, present), LSM_PENDING_UNKNOWN);
    assert_memory_equal(present, token, sizeof token);
    MUST(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err));
    assert_true(found("second") && found("third"));
    check_store();
}

static void rolled_back_it_leaves_nothing(void **state) {
    (void)state;
    uint8_t present[LSM_TOKEN_BYTES];
    MUST(lsm_txn_rollback(prepare_row("second", LSM_SYNC_NORMAL), &err));
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_NONE);
    assert_false(lsm_store_last_token(store, present));
    crash(LSM_CRASH_KEEP, NULL);
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_NONE);
    assert_false(found("second"));
    commit_row("third");
}

/* Nobody knows what became of it. Rows begin at the log's end, the record behind an ABORT: their sequences are not counted from the record. */
static void leave_row(void) {
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_NORMAL);
    MUST(put(txn, "third"));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDED_BY_TOKEN, token, &err));
    lsm_txn_leave(txn);
}

static void left_it_waits_until_a_writer_settles_it(void **state) {
    (void)state;
    static const enum lsm_decision decisions[] = {LSM_DECISION_ABORT, LSM_DECISION_COMMIT};
    for (int i = 0; i < 2; i++) {
        uint8_t present[LSM_TOKEN_BYTES];
        struct lsm_txn *txn = NULL;
        bool committed = decisions[i] == LSM_DECISION_COMMIT;
        leave_row();
        assert_int_equal(lsm_store_pending(store, present), LSM_PENDING_UNKNOWN);
        assert_memory_equal(present, token, sizeof token);
        assert_false(found("second") || found("third"));
        assert_int_equal(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err), LSM_UNDECIDED);
        MUST(lsm_store_settle(store, token, decisions[i], 0, &err));
        assert_true(found("second") == committed && found("third") == committed);
        commit_row(committed ? "fifth" : "fourth");
        MUST(lsm_store_flush(store, NULL, NULL, &err));
        crash(LSM_CRASH_LOSE, NULL);
        assert_true(found("second") == committed && found("third") == committed && found("fourth") && found("fifth") == committed);
        check_store();
    }
}

static void left_it_may_be_found_to_be_committed(void **state) {
    (void)state;
    leave_row();
    MUST(lsm_store_settle(store, token, LSM_DECISION_SEEN, 0, &err));
    assert_true(found("second") && found("third"));
    assert_int_equal(lsm_store_settle(store, token, LSM_DECISION_ABORT, 0, &err), LSM_MISUSE);
    MUST(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err));
    commit_row("fourth");
    check_store();
}

static void left_it_waits_over_openings(void **state) {
    (void)state;
    leave_row();
    MUST(lsm_store_close(store, &err));
    MUST(lsm_store_open(&options, &store, &err));
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_UNKNOWN);
    assert_false(found("second"));
    MUST(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err));
    assert_true(found("second") && found("third"));
}

static void left_without_a_row_it_is_nothing(void **state) {
    (void)state;
    struct lsm_txn *txn = begin();
    MUST(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDED_BY_TOKEN, token, &err));
    lsm_txn_leave(txn);
    assert_int_equal(lsm_store_pending(store, NULL), LSM_PENDING_NONE);
    commit_row("second");
}

static void trees_of_a_pending_transaction_come_with_it(void **state) {
    (void)state;
    struct lsm_tree_info made;
    struct lsm_txn *txn = begin();
    MUST(lsm_txn_tree_create(txn, &made, &err));
    MUST(lsm_txn_tree_drop(txn, tree, &err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDED_BY_TOKEN, token, &err));
    struct lsm_tree_info old = {.tree = tree};
    crash(LSM_CRASH_LOSE, txn);
    assert_int_equal(lsm_store_tree_check(store, made), LSM_NOTFOUND);
    assert_int_equal(lsm_store_tree_check(store, old), LSM_MISMATCH);
    MUST(lsm_store_settle(store, token, LSM_DECISION_SEEN, 0, &err));
    MUST(lsm_store_tree_check(store, made));
    assert_int_equal(lsm_store_tree_check(store, old), LSM_NOTFOUND);
    MUST(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err));
    MUST(lsm_store_quiesce(store, &err));
    check_store();
}

static void decided_by_absence_it_has_a_token_of_zeros(void **state) {
    (void)state;
    static const uint8_t zeros[LSM_TOKEN_BYTES];
    uint8_t present[LSM_TOKEN_BYTES];
    lsm_txn_commit(prepare_row("second", LSM_SYNC_FULL), true);
    struct lsm_txn *txn = begin();
    MUST(lsm_txn_tree_drop(txn, tree, &err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDED_BY_ABSENCE, NULL, &err));
    crash(LSM_CRASH_LOSE, txn);
    assert_int_equal(lsm_store_pending(store, present), LSM_PENDING_UNKNOWN);
    assert_memory_equal(present, zeros, sizeof zeros);
    MUST(lsm_store_settle(store, zeros, LSM_DECISION_COMMIT, 0, &err));
    assert_false(lsm_store_last_token(store, present));
    MUST(lsm_store_flush(store, NULL, NULL, &err));
    crash(LSM_CRASH_LOSE, NULL);
    assert_false(lsm_store_last_token(store, present));
}

static void a_log_that_goes_on_behind_an_undecided_transaction_is_damaged(void **state) {
    (void)state;
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_NORMAL);
    MUST(lsm_wal_writer_append(store->log, LSM_WAL_ROLL, 1, (struct lsm_slice){0}, (struct lsm_slice){0}, NULL, &err));
    MUST(lsm_env_mem_crash(env, LSM_CRASH_KEEP, 1));
    (void)lsm_txn_rollback(txn, NULL);
    (void)lsm_store_close(store, NULL);
    store = NULL;
    assert_int_equal(lsm_store_open(&options, &store, &err), LSM_CORRUPT);
    assert_non_null(strstr(err.text, "nobody has decided"));
}

static void nobody_writes_while_it_is_waited_for(void **state) {
    (void)state;
    struct lsm_txn *txn = prepare_row("second", LSM_SYNC_NORMAL);
    assert_int_equal(lsm_store_await_writer(store, 0, &err), LSM_BUSY);
    assert_int_equal(lsm_store_settle(store, token, LSM_DECISION_COMMIT, 0, &err), LSM_BUSY);
    lsm_txn_commit(txn, true);
    MUST(lsm_store_await_writer(store, 0, &err));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_is_seen_once_it_is_committed),
        TEST(the_token_names_its_place_in_the_log),
        TEST(after_a_crash_it_waits_and_nothing_passes_it),
        TEST(after_a_crash_it_is_committed_if_the_database_says_so),
        TEST(after_a_crash_it_is_taken_back_if_the_database_does_not_know_it),
        TEST(a_reader_that_saw_the_token_makes_it_visible_and_a_writer_still_settles_it),
        TEST(a_reader_may_see_it_between_the_databases_commit_and_ours),
        TEST(what_is_not_durable_in_the_database_keeps_the_log_waiting),
        TEST(a_commit_that_cannot_be_written_is_left_to_the_next_writer),
        TEST(preparing_again_gives_another_token),
        TEST(rolled_back_it_leaves_nothing),
        TEST(left_it_waits_until_a_writer_settles_it),
        TEST(left_it_may_be_found_to_be_committed),
        TEST(left_it_waits_over_openings),
        TEST(left_without_a_row_it_is_nothing),
        TEST(trees_of_a_pending_transaction_come_with_it),
        TEST(decided_by_absence_it_has_a_token_of_zeros),
        TEST(a_log_that_goes_on_behind_an_undecided_transaction_is_damaged),
        TEST(nobody_writes_while_it_is_waited_for),
    };
    int failed = cmocka_run_group_tests_name("records with their rows", tests, NULL, NULL);
    large = true;
    return failed + cmocka_run_group_tests_name("records that name table files", tests, NULL, NULL);
}
