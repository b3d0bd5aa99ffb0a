/* Several processes with one store: who sees what, what is durable, who keeps which file. */
#include <pthread.h>
#include <stdatomic.h>

#include "share_kit.h"

/* ---- seeing each other --------------------------------------------------------------------------------------------------- */

static void a_commit_is_seen_by_the_next_view_of_everybody(void **state) {
    (void)state;
    struct lsm_view *old = look(1);
    for (int i = 0; i < 30; i++) {
        char value[20];
        (void)snprintf(value, sizeof value, "value %d", i);
        write_row(i % PROCESSES, "key", value);
        for (int other = 0; other < PROCESSES; other++) assert_true(says(other, "key", value));
        if (i % 7 == 6) MUST(lsm_store_flush(world.stores[i % PROCESSES], NULL, NULL, &err));
    }
    assert_true(view_says(old, "key", NULL));
    lsm_view_close(old);
    /* Trees, too. */
    struct lsm_txn *txn = begin(2);
    struct lsm_tree_info tree;
    MUST(lsm_txn_tree_create(txn, &tree, &err));
    assert_int_equal(lsm_store_tree_check(world.stores[0], tree), LSM_NOTFOUND);
    commit(txn, LSM_SYNC_OFF);
    assert_int_equal(lsm_store_tree_check(world.stores[0], tree), LSM_OK);
}

static void one_process_writes_at_a_time(void **state) {
    (void)state;
    struct lsm_txn *txn = begin(0), *second = NULL;
    put(txn, "a", "1");
    assert_int_equal(lsm_txn_begin(world.stores[1], UINT64_MAX, 0, &second, &err), LSM_BUSY);
    assert_int_equal(lsm_store_await_writer(world.stores[1], 0, &err), LSM_BUSY);
    assert_true(says(1, "a", NULL));
    struct lsm_view *view = look(1);
    uint64_t position = lsm_view_position(view);
    commit(txn, LSM_SYNC_OFF);
    MUST(lsm_store_await_writer(world.stores[1], 0, &err));
    assert_int_equal(lsm_txn_begin(world.stores[1], position, 0, &second, &err), LSM_BUSY_SNAPSHOT);
    lsm_view_close(view);
    write_row(1, "b", "2");
    assert_true(says(0, "a", "1") && says(0, "b", "2"));
}

static void a_joiner_sees_everything_and_the_last_one_leaves_it_in_order(void **state) {
    (void)state;
    close_store(2);
    write_much(0, 0, 100);
    write_row(1, "last", "one");
    MUST(open_store(2));
    assert_true(says(2, "last", "one"));
    close_store(0);
    write_row(2, "last", "two");
    close_store(1);
    close_store(2);
    MUST(open_store(0));
    assert_true(says(0, "last", "two"));
}

static void commit_durably(int i, const char *key, const char *value) {
    struct lsm_txn *txn = begin(i);
    put(txn, key, value);
    commit(txn, LSM_SYNC_FULL);
}

static void a_full_commit_is_durable_with_all_that_others_wrote_before(void **state) {
    (void)state;
    write_row(0, "a", "1");
    write_much(1, 0, 100); /* several log files */
    write_row(2, "b", "2");
    commit_durably(0, "c", "3");
    expect_durable((const char *const[]){"a", "1", "b", "2", "c", "3", NULL});
    /* In files that the one who commits has never written to. */
    write_row(1, "d", "4");
    roll_without_flush(1);
    write_row(2, "e", "5");
    roll_without_flush(2);
    commit_durably(0, "f", "6");
    expect_durable((const char *const[]){"d", "4", "e", "5", "f", "6", NULL});
}

static void kill_all(void) {
    for (int i = 0; i < PROCESSES; i++) lsm_env_mem_kill(world.envs[i]);
    for (int i = 0; i < PROCESSES; i++) bury(i);
}

/* What they wrote without a sync is in the files, and not on the disk: who recovers builds on it. */
static void a_full_commit_is_durable_with_all_that_was_recovered_before(void **state) {
    (void)state;
    write_row(0, "a", "1");
    roll_without_flush(0);
    write_row(1, "b", "2");
    roll_without_flush(1);
    kill_all();
    for (int i = 0; i < PROCESSES; i++) MUST(open_store(i));
    roll_without_flush(0);
    commit_durably(2, "c", "3");
    expect_durable((const char *const[]){"a", "1", "b", "2", "c", "3", NULL});
}

/* In a file whose name nobody has made durable either. */
static void what_is_found_when_a_store_is_opened_is_durable_from_then_on(void **state) {
    (void)state;
    write_row(0, "a", "1");
    roll_without_flush(0);
    write_row(1, "b", "2");
    kill_all();
    MUST(open_store(0));
    expect_durable((const char *const[]){"a", "1", "b", "2", NULL});
    /* And those who come are told so: their records say how far the log is durable, which is how damage is told from an end. */
    uint64_t end = world.stores[0]->replay.position;
    assert_true(lsm_share_synced(world.stores[0]->share) == end && lsm_share_log_end(world.stores[0]->share).position == end);
}

/* By a ROLL, or by a RUNS, behind which nothing may stand. Alone, too, where nobody looks for the end of the log before he writes. */
static void a_log_whose_last_file_was_ended_goes_on_in_another(void **state) {
    (void)state;
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        const char *b = exclusive ? "alone" : "shared";
        write_row(0, "a", "1");
        roll_without_flush(0);
        struct lsm_txn *txn = begin(0);
        put_large(txn);
        commit(txn, LSM_SYNC_OFF);
        for (int i = 0; i < PROCESSES; i++)
            if (world.stores[i] != NULL) lsm_env_mem_kill(world.envs[i]);
        for (int i = 0; i < PROCESSES; i++)
            if (world.stores[i] != NULL) bury(i);
        world.options.exclusive = exclusive;
        MUST(open_store(0));
        write_row(0, "b", b);
        if (!exclusive) MUST(open_store(1));
        if (!exclusive) assert_true(says(1, "a", "1") && says(1, "large", "x") && says(1, "b", b));
        if (!exclusive) bury(1);
        bury(0);
        MUST(open_store(0));
        assert_true(says(0, "a", "1") && says(0, "large", "x") && says(0, "b", b));
    }
    close_store(0);
    world.options.exclusive = false;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------- */

static void a_file_stays_as_long_as_any_process_reads_from_it(void **state) {
    (void)state;
    write_row(0, "a", "old");
    write_much(0, 0, 50);
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    struct lsm_view *view = look(1);
    write_row(0, "a", "new");
    write_much(0, 0, 50);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    assert_true(table_files() > 1);
    assert_true(view_says(view, "a", "old")); /* opened only now */
    lsm_view_close(view);
    assert_true(says(1, "a", "new"));
    MUST(lsm_store_quiesce(world.stores[0], &err));
    lsm_store_sweep(world.stores[0]);
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    MUST(lsm_store_files(world.stores[0], &files, &count, &err));
    lsm_free(files);
    assert_int_equal(table_files(), count);
    /* Who keeps what is to be seen. */
    view = look(1);
    write_row(0, "a", "newer");
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    struct lsm_reader_info *readers = NULL;
    MUST(lsm_store_readers(world.stores[0], &readers, &count, &err));
    assert_int_equal(count, PROCESSES);
    int old = 0;
    for (size_t i = 0; i < count; i++) old += readers[i].old_versions;
    assert_int_equal(old, 1);
    lsm_free(readers);
    lsm_view_close(view);
}

static void tell(void *arg, const char *text) {
    (void)arg;
    print_message("%s\n", text);
}

/* Whoever lets go of a version puts its files on the list of what goes, and takes them away a moment later, or when nobody needs them. */
static void a_file_that_waits_to_be_removed_is_no_finding(void **state) {
    (void)state;
    struct lsm_store *store = world.stores[0];
    struct lsm_share_pin pin = {0};
    uint64_t problems = 0;
    for (int i = 1; i < PROCESSES; i++) close_store(i);
    write_much(0, 0, 50);
    MUST(lsm_store_flush(store, NULL, NULL, &err));
    assert_true(lsm_share_pin(store->share, lsm_share_version(store->share), &pin));
    write_much(0, 0, 50);
    MUST(lsm_store_compact(store, NULL, NULL, &err));
    assert_true(table_files() > named_files(0));
    MUST(lsm_store_check(store, tell, NULL, NULL, NULL, &problems, &err));
    assert_int_equal(problems, 0);
    lsm_share_unpin(store->share, &pin);
    MUST(lsm_store_check(store, tell, NULL, NULL, NULL, &problems, &err));
    assert_int_equal(problems, 0);
    assert_int_equal(table_files(), named_files(0));
}

static void a_laggard_jumps_over_what_was_flushed(void **state) {
    (void)state;
    write_row(0, "a", "1");
    assert_true(says(1, "a", "1"));
    for (int i = 0; i < 5; i++) {
        write_much(0, 0, 100);
        MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    }
    world.stores[0]->set.manifest_bytes_max = 1; /* and the manifest is another one */
    write_row(0, "a", "2");
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    write_row(0, "b", "3");
    assert_true(says(1, "a", "2") && says(1, "b", "3"));
    write_row(2, "c", "4"); /* one that never looked writes */
    assert_true(says(0, "c", "4") && says(1, "c", "4") && says(2, "a", "2"));
}

/* While one follows, at its n-th operation, another flushes what it has not read yet, and the log files go. */
static unsigned operations, flush_at;

static void other_flushes(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    (void)arg;
    (void)process;
    (void)kind;
    (void)path;
    if (++operations != flush_at) return;
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    write_row(0, "b", "later");
}

/* A transaction in table files ends its log file without a ROLL: what is written next stands in another file. False: there was no n-th operation. */
static bool follow_while_flushed(unsigned n) {
    stop_flushing();
    write_row(0, "a", "1");
    assert_true(says(1, "a", "1"));
    struct lsm_txn *txn = begin(0);
    put_large(txn);
    commit(txn, LSM_SYNC_OFF);
    write_row(0, "a", "2");
    operations = 0;
    flush_at = n;
    lsm_env_mem_before_op(world.envs[1], other_flushes, NULL);
    assert_true(says(1, "a", "2"));
    lsm_env_mem_before_op(world.envs[1], NULL, NULL);
    assert_true(says(1, "large", "x") && (operations < n || says(1, "b", "later")));
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    return operations >= n;
}

static void what_is_flushed_and_goes_while_one_follows_is_found_in_the_tables(void **state) {
    (void)state;
    unsigned n = 1;
    while (follow_while_flushed(n)) n++;
    assert_true(n > 5);
}

/* ---- following and flushing in one process ----------------------------------------------------------------------------------- */

static _Atomic bool written;
static _Atomic unsigned flushes;

static void *flush_thread(void *arg) {
    struct lsm_error local = {0};
    while (!atomic_load(&written)) {
        uint64_t before = atomic_load(&world.stores[1]->counters[LSM_COUNT_FLUSHES]);
        if (lsm_store_flush_turn(world.stores[1], NULL, NULL, &local) != LSM_OK) return &flushes;
        atomic_fetch_add(&flushes, atomic_load(&world.stores[1]->counters[LSM_COUNT_FLUSHES]) != before);
    }
    (void)arg;
    return NULL;
}

/* What another process writes comes in record by record while a thread of ours takes the older generations away. */
static void a_process_flushes_what_it_follows(void **state) {
    (void)state;
    pthread_t thread;
    void *wrong = NULL;
    atomic_store(&written, false);
    assert_int_equal(pthread_create(&thread, NULL, flush_thread, NULL), 0);
    for (unsigned round = 0; round < 300 || (atomic_load(&flushes) < 20 && round < 30000); round++) {
        char value[20];
        (void)snprintf(value, sizeof value, "%u", round);
        write_much(0, round % 7 * 10, 8);
        write_row(0, "a", value);
        MUST(lsm_store_lock_writer(world.stores[0], 0, &err));
        int status = lsm_store_roll(world.stores[0], &err);
        lsm_store_unlock_writer(world.stores[0]);
        if (status == LSM_BUSY) status = lsm_store_flush_turn(world.stores[0], NULL, NULL, &err); /* the thread gets no time */
        MUST(status);
        assert_true(says(1, "a", value));
    }
    atomic_store(&written, true);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    assert_true(atomic_load(&flushes) >= 20);
}

/* Nobody can flush while one settles his memtables into the bottom: somebody else who fills his, or commits what is larger, must not wait for the end of it. */
struct settler {
    void (*meanwhile)(void);
    bool asked;
};

static void other_fills_a_memtable(void) {
    write_much(1, 5000, 100);
    assert_true(atomic_load(&world.stores[1]->sealed) > 1);
}

static void other_commits_more_than_memory(void) {
    struct lsm_txn *txn = begin(1);
    put_large(txn);
    commit(txn, LSM_SYNC_OFF);
}

static bool others_write(void *arg) {
    struct settler *settler = arg;
    if (!settler->asked) {
        settler->asked = true;
        settler->meanwhile();
    }
    return false;
}

static void settle_while(void (*meanwhile)(void)) {
    struct settler settler = {.meanwhile = meanwhile};
    for (unsigned row = 0; row < 1200; row++) {
        char key[20];
        (void)snprintf(key, sizeof key, "few-%06u", row);
        write_row(0, key, "old");
    }
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    write_row(0, "few-000007", "new");
    uint64_t flushed = atomic_load(&world.stores[0]->counters[LSM_COUNT_FLUSH_BYTES]);
    MUST(lsm_store_compact(world.stores[0], others_write, &settler, &err));
    /* Given up: what was sealed is flushed, and merged then. */
    assert_true(atomic_load(&world.stores[0]->counters[LSM_COUNT_FLUSH_BYTES]) > flushed);
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "few-000007", "new") && says(i, "few-000008", "old"));
}

static void one_who_settles_gives_way_to_others_who_fill_their_memory(void **state) {
    (void)state;
    settle_while(other_fills_a_memtable);
    assert_true(says(0, "much-005099", NULL) == false);
    settle_while(other_commits_more_than_memory);
    assert_true(says(0, "large", "x"));
}

/* Writers would wait for the flush of so many, from the first moment on. */
static void more_than_two_memtables_that_wait_are_flushed_and_not_settled(void **state) {
    (void)state;
    for (unsigned sealed = 1; sealed <= 4; sealed++) {
        char value[20];
        (void)snprintf(value, sizeof value, "%u", sealed);
        for (unsigned i = 0; i < sealed; i++) {
            write_row(0, "a", value);
            roll_without_flush(0);
        }
        uint64_t flushed = atomic_load(&world.stores[0]->counters[LSM_COUNT_FLUSH_BYTES]);
        MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
        assert_int_equal(atomic_load(&world.stores[0]->counters[LSM_COUNT_FLUSH_BYTES]) > flushed, sealed > 2);
        assert_int_equal(atomic_load(&world.stores[0]->sealed), 0);
        for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "a", value));
    }
}

/* ---- threads of one process -------------------------------------------------------------------------------------------- */

static struct lsm_view *meanwhile;

/* As another thread would, between the moment when one has WRITER and that when it has read what others wrote. */
static void look_meanwhile(void *arg, struct lsm_share *share, const char *what) {
    (void)arg;
    if (share == world.stores[1]->share && strcmp(what, "catch up") == 0 && meanwhile == NULL) meanwhile = look(1);
}

static void a_view_that_is_opened_while_another_thread_begins_to_write_sees_what_others_committed_before(void **state) {
    (void)state;
    write_row(1, "key", "old");
    write_row(0, "key", "new");
    lsm_share_on_point(look_meanwhile, NULL);
    struct lsm_txn *txn = begin(1);
    lsm_share_on_point(NULL, NULL);
    assert_non_null(meanwhile);
    assert_true(view_says(meanwhile, "key", "new"));
    lsm_view_close(meanwhile);
    put(txn, "key", "newest");
    commit(txn, LSM_SYNC_OFF);
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "key", "newest"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_commit_is_seen_by_the_next_view_of_everybody),
        TEST(one_process_writes_at_a_time),
        TEST(a_joiner_sees_everything_and_the_last_one_leaves_it_in_order),
        TEST(a_full_commit_is_durable_with_all_that_others_wrote_before),
        TEST(a_full_commit_is_durable_with_all_that_was_recovered_before),
        TEST(what_is_found_when_a_store_is_opened_is_durable_from_then_on),
        TEST(a_log_whose_last_file_was_ended_goes_on_in_another),
        TEST(a_file_stays_as_long_as_any_process_reads_from_it),
        TEST(a_file_that_waits_to_be_removed_is_no_finding),
        TEST(a_laggard_jumps_over_what_was_flushed),
        TEST(what_is_flushed_and_goes_while_one_follows_is_found_in_the_tables),
        TEST(a_process_flushes_what_it_follows),
        TEST(one_who_settles_gives_way_to_others_who_fill_their_memory),
        TEST(more_than_two_memtables_that_wait_are_flushed_and_not_settled),
        TEST(a_view_that_is_opened_while_another_thread_begins_to_write_sees_what_others_committed_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
