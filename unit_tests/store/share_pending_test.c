/* Several processes with one store, and transactions that the database decides: who meets them, who settles them, who forgets them. */
#include "share_kit.h"

/* ---- the database decides ------------------------------------------------------------------------------------------------------ */

static struct lsm_txn *prepare(int i, const char *key, uint8_t *token) {
    struct lsm_txn *txn = begin(i);
    put(txn, key, "x");
    MUST(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDED_BY_TOKEN, token, &err));
    return txn;
}

static void a_transaction_that_waits_is_met_and_made_visible_by_another_process(void **state) {
    (void)state;
    uint8_t token[LSM_TOKEN_BYTES], met[LSM_TOKEN_BYTES];
    struct lsm_txn *txn = prepare(0, "key", token);
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_UNKNOWN);
    assert_memory_equal(met, token, sizeof token);
    assert_true(says(1, "key", NULL));
    MUST(lsm_store_settle(world.stores[1], token, LSM_DECISION_SEEN, 0, &err));
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "key", "x"));
    lsm_txn_commit(txn, true);
    write_row(2, "more", "y");
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(says(i, "key", "x") && says(i, "more", "y"));
        assert_int_equal(lsm_store_pending(world.stores[i], met), LSM_PENDING_NONE);
        assert_true(lsm_store_last_token(world.stores[i], met));
        assert_memory_equal(met, token, sizeof token);
    }
}

static void a_transaction_that_was_taken_back_is_forgotten_by_all(void **state) {
    (void)state;
    uint8_t token[LSM_TOKEN_BYTES], met[LSM_TOKEN_BYTES];
    struct lsm_txn *txn = prepare(0, "key", token);
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_UNKNOWN);
    MUST(lsm_txn_rollback(txn, &err));
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_NONE);
    assert_true(says(1, "key", NULL));
    write_row(1, "more", "y");
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "key", NULL) && says(i, "more", "y"));
}

/* Left by process 0, which lives and has the rows; settled by it or by another one, which had met it or had not, one way or the other. */
static void settle_left(struct lsm_txn *txn, const uint8_t *token, int by, bool met, bool committed) {
    uint8_t seen[LSM_TOKEN_BYTES];
    struct lsm_txn *next = NULL;
    if (met) assert_int_equal(lsm_store_pending(world.stores[1], seen), LSM_PENDING_UNKNOWN);
    lsm_txn_leave(txn);
    assert_int_equal(lsm_store_pending(world.stores[0], seen), LSM_PENDING_UNKNOWN);
    assert_int_equal(lsm_txn_begin(world.stores[by], UINT64_MAX, 0, &next, &err), LSM_UNDECIDED);
    assert_int_equal(lsm_store_pending(world.stores[by], seen), LSM_PENDING_UNKNOWN);
    assert_memory_equal(seen, token, sizeof seen);
    MUST(lsm_store_settle(world.stores[by], token, committed ? LSM_DECISION_COMMIT : LSM_DECISION_ABORT, 0, &err));
}

static void a_transaction_that_was_left_is_settled_by_any_process(void **state) {
    (void)state;
    static const char *const keys[] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"};
    for (int i = 0; i < 8; i++) {
        uint8_t token[LSM_TOKEN_BYTES];
        bool met = (i & 2) != 0, committed = (i & 4) != 0;
        settle_left(prepare(0, keys[i], token), token, i & 1, met, committed);
        for (int p = 0; p < PROCESSES; p++) assert_true(says(p, keys[i], committed ? "x" : NULL));
        write_row(i % PROCESSES, "more", keys[i]);
        for (int p = 0; p < PROCESSES; p++) assert_true(says(p, keys[i], committed ? "x" : NULL) && says(p, "more", keys[i]));
    }
    struct lsm_txn *last = begin(1);
    put(last, "end", "of this");
    commit(last, LSM_SYNC_FULL);
    expect_durable((const char *const[]){"k4", "x", "k5", "x", "k6", "x", "k7", "x", NULL});
}

/* Its rows are in table files, which a process that has met it holds ready until it knows more. */
static struct lsm_txn *prepare_large(int i, uint8_t *token) {
    struct lsm_txn *txn = begin(i);
    put_large(txn);
    unsigned before = table_files();
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDED_BY_TOKEN, token, &err));
    assert_true(table_files() > before);
    return txn;
}

static void a_large_transaction_that_was_taken_back_is_forgotten_by_all(void **state) {
    (void)state;
    uint8_t token[LSM_TOKEN_BYTES], met[LSM_TOKEN_BYTES];
    struct lsm_txn *txn = prepare_large(0, token);
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_UNKNOWN);
    MUST(lsm_txn_rollback(txn, &err));
    assert_int_equal(table_files(), 0);
    /* One is told that nothing waits any more before it reads on. */
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_NONE);
    write_row(0, "more", "y");
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "large", NULL) && says(i, "more", "y"));
    write_row(1, "more", "z");
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "large", NULL) && says(i, "more", "z"));
}

/* Met while it waits by one who is told by the database, by one who is not, and not at all; then it is committed. */
static void a_large_transaction_that_waits_is_met_and_made_visible_by_another_process(void **state) {
    (void)state;
    for (int seen = 0; seen < 2; seen++) {
        uint8_t token[LSM_TOKEN_BYTES], met[LSM_TOKEN_BYTES];
        const char *key = seen ? "later" : "sooner";
        struct lsm_txn *txn = prepare_large(0, token);
        stop_flushing();
        assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_UNKNOWN);
        assert_memory_equal(met, token, sizeof token);
        assert_true(says(1, "large", seen ? "x" : NULL));
        if (seen) MUST(lsm_store_settle(world.stores[1], token, LSM_DECISION_SEEN, 0, &err));
        if (seen) assert_true(says(1, "large", "x") && says(2, "large", "x"));
        lsm_txn_commit(txn, true);
        for (int i = PROCESSES - 1; i >= 0; i--) assert_true(says(i, "large", "x"));
        for (int writer = 0; writer < PROCESSES; writer++) {
            write_row(writer, key, writer == 0 ? "0" : writer == 1 ? "1" : "2");
            for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "large", "x") && says(i, key, writer == 0 ? "0" : writer == 1 ? "1" : "2"));
        }
        for (int i = 0; i < PROCESSES; i++) assert_int_equal(lsm_store_pending(world.stores[i], met), LSM_PENDING_NONE);
        MUST(lsm_store_flush(world.stores[1], NULL, NULL, &err));
        for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "large", "x") && says(i, key, "2"));
        txn = begin(2);
        put(txn, "end", "of this");
        commit(txn, LSM_SYNC_FULL);
        expect_durable((const char *const[]){"large", "x", key, "2", "end", "of this", NULL});
    }
}

static void a_large_transaction_that_was_left_is_settled_by_any_process(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        uint8_t token[LSM_TOKEN_BYTES];
        bool met = (i & 2) != 0, committed = (i & 4) != 0;
        struct lsm_txn *txn = prepare_large(0, token);
        settle_left(txn, token, i & 1, met, committed);
        for (int p = 0; p < PROCESSES; p++) assert_true(says(p, "large", committed ? "x" : NULL));
        if (i < 4) assert_int_equal(table_files(), 0);
        write_row(i % PROCESSES, "more", i % 2 == 0 ? "y" : "z");
        for (int p = 0; p < PROCESSES; p++) assert_true(says(p, "large", committed ? "x" : NULL) && says(p, "more", i % 2 == 0 ? "y" : "z"));
        if (committed) {
            txn = begin(2);
            MUST(lsm_txn_delete(txn, world.tree, lsm_slice_of("large", 5), &err));
            commit(txn, LSM_SYNC_FULL);
        }
    }
}

static void a_large_transaction_whose_process_died_committing_is_settled_by_the_next_writer(void **state) {
    (void)state;
    uint8_t token[LSM_TOKEN_BYTES], met[LSM_TOKEN_BYTES];
    struct lsm_txn *txn = prepare_large(0, token), *next = NULL;
    stop_flushing();
    assert_int_equal(lsm_store_pending(world.stores[2], met), LSM_PENDING_UNKNOWN);
    lsm_env_mem_kill(world.envs[0]);
    assert_int_equal(lsm_txn_begin(world.stores[1], UINT64_MAX, 0, &next, &err), LSM_UNDECIDED);
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_UNKNOWN);
    MUST(lsm_store_settle(world.stores[1], token, LSM_DECISION_COMMIT, 0, &err));
    write_row(1, "more", "y");
    assert_true(says(1, "large", "x") && says(2, "large", "x") && says(2, "more", "y"));
    write_row(2, "more", "z");
    assert_true(says(1, "large", "x") && says(1, "more", "z"));
    (void)lsm_txn_rollback(txn, NULL);
    bury(0);
    MUST(open_store(0));
    assert_true(says(0, "large", "x") && says(0, "more", "z"));
}

static void die_before_the_abort(void) {
    uint8_t met[LSM_TOKEN_BYTES];
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_NONE);
    lsm_env_mem_kill(world.envs[0]);
}

static void a_large_transaction_whose_process_died_taking_it_back_is_settled_by_the_next_writer(void **state) {
    (void)state;
    uint8_t token[LSM_TOKEN_BYTES], met[LSM_TOKEN_BYTES];
    struct stop stop = {.kind = LSM_ENV_WRITE, .suffix = ".wal", .meanwhile = die_before_the_abort};
    struct lsm_txn *txn = prepare_large(0, token), *next = NULL;
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_UNKNOWN);
    lsm_env_mem_before_op(world.envs[0], while_stopped, &stop);
    assert_int_not_equal(lsm_txn_rollback(txn, NULL), LSM_OK);
    assert_true(stop.done);
    lsm_env_mem_before_op(world.envs[0], NULL, NULL);
    /* Nothing may be written behind it, also by one who has forgotten it meanwhile. */
    assert_int_equal(lsm_txn_begin(world.stores[1], UINT64_MAX, 0, &next, &err), LSM_UNDECIDED);
    assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_UNKNOWN);
    assert_memory_equal(met, token, sizeof token);
    MUST(lsm_store_settle(world.stores[1], token, LSM_DECISION_ABORT, 0, &err));
    assert_int_equal(table_files(), 0);
    write_row(1, "more", "y");
    assert_true(says(1, "large", NULL) && says(2, "large", NULL) && says(2, "more", "y"));
    bury(0);
    MUST(open_store(0));
    assert_true(says(0, "large", NULL) && says(0, "more", "y"));
}

static void a_transaction_whose_process_died_is_settled_by_the_next_writer(void **state) {
    (void)state;
    for (int committed = 0; committed < 2; committed++) {
        uint8_t token[LSM_TOKEN_BYTES], met[LSM_TOKEN_BYTES];
        struct lsm_txn *txn = prepare(0, "key", token), *next = NULL;
        lsm_env_mem_kill(world.envs[0]);
        assert_int_equal(lsm_store_pending(world.stores[2], met), LSM_PENDING_UNKNOWN);
        assert_int_equal(lsm_txn_begin(world.stores[1], UINT64_MAX, 0, &next, &err), LSM_UNDECIDED);
        assert_int_equal(lsm_store_pending(world.stores[1], met), LSM_PENDING_UNKNOWN);
        assert_memory_equal(met, token, sizeof token);
        MUST(lsm_store_settle(world.stores[1], token, committed ? LSM_DECISION_COMMIT : LSM_DECISION_ABORT, 0, &err));
        write_row(1, "more", "y");
        assert_true(says(1, "key", committed ? "x" : NULL) && says(2, "key", committed ? "x" : NULL) && says(2, "more", "y"));
        (void)lsm_txn_rollback(txn, NULL);
        bury(0);
        MUST(open_store(0));
        assert_true(says(0, "key", committed ? "x" : NULL));
    }
}

/* The n-th allocation of settling fails, and the next try succeeds. The log files of another process wait to be synced. False: there was no n-th. */
static bool settle_without_memory(int64_t n, enum lsm_decision decision) {
    uint8_t token[LSM_TOKEN_BYTES];
    bool committed = decision == LSM_DECISION_COMMIT;
    assert_int_equal(set_up(NULL), 0);
    write_row(0, "before", "w");
    roll_without_flush(0);
    write_row(0, "there", "w");
    struct lsm_txn *txn = begin(0);
    put(txn, "a key that is longer than what a small buffer holds, if it is not made for it", "x");
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDED_BY_TOKEN, token, &err));
    lsm_txn_leave(txn);
    assert_int_equal(lsm_store_pending(world.stores[1], token), LSM_PENDING_UNKNOWN);
    uint64_t calls = lsm_mem_calls();
    lsm_mem_fail_after(n, false);
    int status = lsm_store_settle(world.stores[1], token, decision, 0, &err);
    bool struck = lsm_mem_calls() - calls >= (uint64_t)n;
    lsm_mem_fail_after(0, false);
    if (status != LSM_OK && status != LSM_NOMEM) fail_msg("allocation %lld: %s", (long long)n, err.text);
    bool of_the_disk = status != LSM_OK && strstr(err.text, "in the memory file system") != NULL; /* a sync that failed is not repeated */
    if (of_the_disk) return tear_down(NULL) == 0;
    MUST(lsm_store_settle(world.stores[1], token, decision, 0, &err));
    write_row(1, "more", "y");
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(says(i, "there", "w") && says(i, "more", "y"));
        assert_true(says(i, "a key that is longer than what a small buffer holds, if it is not made for it", committed ? "x" : NULL));
    }
    if (!committed) expect_durable((const char *const[]){"before", "w", "there", "w", NULL});
    return struck & (tear_down(NULL) == 0);
}

static void an_allocation_that_fails_while_it_is_settled_is_forgotten_by_the_next_try(void **state) {
    (void)state;
    for (int64_t n = 1; settle_without_memory(n, LSM_DECISION_ABORT); n++) {}
    for (int64_t n = 1; settle_without_memory(n, LSM_DECISION_COMMIT); n++) {}
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_that_waits_is_met_and_made_visible_by_another_process),
        TEST(a_transaction_that_was_taken_back_is_forgotten_by_all),
        TEST(a_transaction_that_was_left_is_settled_by_any_process),
        TEST(a_large_transaction_that_was_left_is_settled_by_any_process),
        TEST(a_large_transaction_that_was_taken_back_is_forgotten_by_all),
        TEST(a_large_transaction_that_waits_is_met_and_made_visible_by_another_process),
        TEST(a_large_transaction_whose_process_died_committing_is_settled_by_the_next_writer),
        TEST(a_large_transaction_whose_process_died_taking_it_back_is_settled_by_the_next_writer),
        TEST(a_transaction_whose_process_died_is_settled_by_the_next_writer),
        cmocka_unit_test(an_allocation_that_fails_while_it_is_settled_is_forgotten_by_the_next_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
