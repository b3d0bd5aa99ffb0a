/* Several processes with one store, and one dies or is stopped: who takes over from it, who overtakes it, who removes what it leaves. */
#include "share_kit.h"

#include "../../lsm_core/share/page.h"

static void kill_process(void) { lsm_env_mem_kill(world.envs[0]); }

/* ---- dying ------------------------------------------------------------------------------------------------------------------ */

static void wherever_a_writer_dies_the_next_one_goes_on(void **state) {
    (void)state;
    unsigned died = 0, found = 0;
    for (uint64_t at = 1;; at++) {
        char key[20];
        struct lsm_txn *txn = NULL;
        (void)snprintf(key, sizeof key, "key %llu", (unsigned long long)at);
        write_row(1, "before", key);
        lsm_env_mem_kill_at(world.envs[0], at);
        int status = lsm_txn_begin(world.stores[0], UINT64_MAX, 0, &txn, NULL);
        if (status == LSM_OK && lsm_txn_put(txn, world.tree, lsm_slice_of(key, strlen(key)), lsm_slice_of("x", 1), NULL) == LSM_OK &&
            lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, NULL) == LSM_OK) {
            lsm_txn_commit(txn, true);
        } else if (txn != NULL) {
            (void)lsm_txn_rollback(txn, NULL);
        }
        bool dead = lsm_env_mem_is_killed(world.envs[0]);
        lsm_env_mem_kill_at(world.envs[0], 0);
        /* Whole or not at all, and the same for everybody. */
        write_row(1, "after", key);
        bool there = says(1, key, "x");
        assert_true(says(2, key, there ? "x" : NULL) && says(2, "before", key) && says(2, "after", key));
        if (!dead) break;
        died++;
        found += there;
        bury(0);
        MUST(open_store(0));
        assert_true(says(0, key, there ? "x" : NULL) && says(0, "after", key));
    }
    assert_true(died > 5 && found > 0);
}

/* It was about to promise that it is durable: whoever sees it must be able to rely on that, and everybody sees it. */
static void what_a_dead_writer_has_left_is_durable_and_seen_by_all_when_the_next_one_begins(void **state) {
    (void)state;
    struct stop stop = {.kind = LSM_ENV_SYNC, .suffix = ".wal", .meanwhile = kill_process};
    struct lsm_txn *txn = NULL;
    for (int i = 0; i < PROCESSES; i++) write_row(i, "a", "1");
    txn = begin(1);
    put(txn, "a", "1");
    commit(txn, LSM_SYNC_FULL); /* has nothing of its own to sync any more */
    roll_without_flush(0);
    MUST(lsm_txn_begin(world.stores[0], UINT64_MAX, 0, &txn, &err));
    put(txn, "left", "behind"); /* in a new file */
    lsm_env_mem_before_op(world.envs[0], while_stopped, &stop);
    assert_int_not_equal(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, NULL), LSM_OK);
    assert_true(stop.done);
    (void)lsm_txn_rollback(txn, NULL);
    MUST(lsm_txn_rollback(begin(1), &err));
    assert_true(says(1, "left", "behind") && says(2, "left", "behind"));
    expect_durable((const char *const[]){"a", "1", "left", "behind", NULL});
    bury(0);
}

/* CURRENT has its new name, and nobody knows whether that is durable: if it were not, a power cut would bring back a manifest whose files are gone. */
static void kill_after_current(void *arg, const struct lsm_env_op *op) {
    bool *done = arg;
    if (op->kind != LSM_ENV_RENAME || *done) return;
    *done = true;
    kill_process();
}

static void who_dies_behind_the_rename_of_current_leaves_it_to_the_next_one_to_make_that_durable(void **state) {
    (void)state;
    bool done = false;
    close_store(1);
    close_store(2);
    write_row(0, "a", "1");
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    struct lsm_txn *txn = begin(0);
    put(txn, "b", "2");
    commit(txn, LSM_SYNC_FULL);
    world.stores[0]->set.manifest_bytes_max = 1;
    lsm_env_mem_on_op(world.disk, kill_after_current, &done);
    (void)!lsm_store_flush(world.stores[0], NULL, NULL, NULL);
    lsm_env_mem_on_op(world.disk, NULL, NULL);
    assert_true(done && lsm_env_mem_is_killed(world.envs[0]));
    bury(0);
    MUST(open_store(1)); /* the log is flushed, by what that manifest says, and goes */
    for (uint64_t seed = 1; seed < 60; seed++) expect_after(LSM_CRASH_RANDOM, seed, (const char *const[]){"a", "1", "b", "2", NULL});
    write_row(1, "c", "3");
    MUST(lsm_store_compact(world.stores[1], NULL, NULL, &err));
    expect_durable((const char *const[]){"a", "1", "b", "2", "c", "3", NULL});
}

static void kill_behind_a_table(void *arg, const struct lsm_env_op *op) {
    bool *done = arg;
    size_t length = strlen(op->path);
    if (op->kind != LSM_ENV_SYNC || *done || length < 4 || strcmp(op->path + length - 4, ".sst") != 0) return;
    *done = true;
    kill_process();
}

/* A crash leaves a table file that nothing names, and a page that says what it likes: also of a manifest that would be longer. What the page really said is kept. */
static void a_page_that_a_crash_has_spoilt_vouches_for_nothing(void **state) {
    (void)state;
    for (int spoilt = 0; spoilt < 3; spoilt++) {
        bool done = false;
        close_store(1);
        close_store(2);
        write_row(0, "a", spoilt == 0 ? "0" : spoilt == 1 ? "1" : "2");
        lsm_env_mem_on_op(world.disk, kill_behind_a_table, &done);
        (void)!lsm_store_flush(world.stores[0], NULL, NULL, NULL);
        lsm_env_mem_on_op(world.disk, NULL, NULL);
        assert_true(done);
        bury(0);
        struct lsm_file *shm = NULL;
        void *bytes = NULL;
        MUST(lsm_env_open(world.envs[1], "db-lsm/store/SHM", LSM_OPEN_READ | LSM_OPEN_WRITE, NULL, &shm, &err));
        MUST(lsm_file_map(shm, PAGE_BYTES, &bytes, &err));
        struct lsm_share_page *page = bytes;
        if (spoilt == 1) (void)atomic_fetch_add(&page->version, 4096);
        if (spoilt == 2) atomic_store(&page->version, UINT64_MAX);
        lsm_file_close(shm);
        MUST(open_store(0));
        assert_true(says(0, "a", spoilt == 0 ? "0" : spoilt == 1 ? "1" : "2"));
        assert_int_not_equal(lsm_share_left_version(world.stores[0]->share) == 0, spoilt == 0);
        MUST(open_store(1));
        MUST(open_store(2));
    }
}

/* Its number is taken, and it is not the file that the log goes on in. */
static void a_log_file_that_a_dead_process_left_without_a_header_is_stepped_over(void **state) {
    (void)state;
    struct stop stop = {.kind = LSM_ENV_WRITE, .suffix = ".wal", .meanwhile = kill_process};
    struct lsm_txn *txn = NULL;
    for (int i = 0; i < PROCESSES; i++) write_row(i, "a", "1");
    MUST(lsm_store_lock_writer(world.stores[0], 0, &err));
    MUST(lsm_store_roll(world.stores[0], &err));
    lsm_store_unlock_writer(world.stores[0]);
    MUST(lsm_txn_begin(world.stores[0], UINT64_MAX, 0, &txn, &err));
    put(txn, "a", "2");
    lsm_env_mem_before_op(world.envs[0], while_stopped, &stop);
    assert_int_not_equal(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, NULL), LSM_OK);
    lsm_env_mem_before_op(world.envs[0], NULL, NULL);
    assert_true(stop.done);
    (void)lsm_txn_rollback(txn, NULL);
    write_row(1, "b", "1"); /* at the first attempt */
    write_row(2, "c", "1");
    bury(0);
    for (int i = 1; i < PROCESSES; i++) assert_true(says(i, "a", "1") && says(i, "b", "1") && says(i, "c", "1"));
    MUST(open_store(0));
    assert_true(says(0, "a", "1") && says(0, "b", "1") && says(0, "c", "1"));
}

static void wherever_a_flusher_or_merger_dies_the_next_one_does_it(void **state) {
    (void)state;
    unsigned died = 0;
    for (uint64_t at = 1;; at += 3) {
        write_much(1, (unsigned)at % 50, 20);
        lsm_env_mem_kill_at(world.envs[0], at);
        (void)!lsm_store_compact(world.stores[0], NULL, NULL, NULL);
        bool dead = lsm_env_mem_is_killed(world.envs[0]);
        lsm_env_mem_kill_at(world.envs[0], 0);
        MUST(lsm_store_compact(world.stores[1], NULL, NULL, &err));
        char key[16];
        (void)snprintf(key, sizeof key, "much-%06u", (unsigned)at % 50);
        assert_false(says(2, key, NULL));
        struct lsm_view *view = look(2);
        struct lsm_cursor *cursor = NULL;
        MUST(lsm_cursor_open(view, world.tree, NULL, NULL, &cursor, &err));
        for (MUST(lsm_cursor_first(cursor, &err)); lsm_cursor_valid(cursor); MUST(lsm_cursor_next(cursor, &err)))
            assert_int_equal(lsm_cursor_value(cursor).size, 899);
        lsm_cursor_close(cursor);
        lsm_view_close(view);
        if (!dead) break;
        died++;
        bury(0);
        MUST(open_store(0));
    }
    assert_true(died > 5);
    /* What the dead have left behind is gone when a sweep has looked. */
    assert_true(lsm_shared_sweep_directory(world.stores[1], NULL, NULL));
    assert_int_equal(table_files(), named_files(1));
}

/* ---- what the dead leave, and who removes it ------------------------------------------------------------------------------------- */

/* Process 0 dies with a table file half written that nobody names. */
static void die_merging(void) {
    struct stop stop = {.kind = LSM_ENV_SYNC, .suffix = ".sst", .meanwhile = kill_process};
    write_much(0, 0, 50);
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    write_much(0, 20, 50);
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    lsm_env_mem_before_op(world.envs[0], while_stopped, &stop);
    assert_int_not_equal(lsm_store_compact(world.stores[0], NULL, NULL, NULL), LSM_OK);
    assert_true(stop.done);
    lsm_env_mem_before_op(world.envs[0], NULL, NULL);
    assert_int_equal(table_files(), named_files(1) + 1);
}

/* Some seconds pass, and a process does something, as its threads would by themselves. */
static void live_on(int i) {
    lsm_env_sleep_us(world.disk, 6000000);
    for (int n = 0; n < 2; n++) write_row(i, "on", "and on");
}

static void what_a_dead_merger_has_left_is_removed_by_who_goes_on(void **state) {
    (void)state;
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk)); /* sleeping moves it */
    for (int i = 0; i < PROCESSES; i++) write_row(i, "a", "1");
    die_merging();
    write_row(1, "a", "2");
    assert_int_equal(table_files(), named_files(1) + 1); /* not at once */
    live_on(1);
    assert_int_equal(table_files(), named_files(1));
}

static void what_a_dead_merger_has_left_is_removed_by_who_comes_to_its_place(void **state) {
    (void)state;
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk));
    for (int i = 0; i < PROCESSES; i++) write_row(i, "a", "1");
    die_merging();
    bury(0);
    MUST(open_store(0));
    for (int n = 0; n < 2; n++) write_row(0, "on", "and on");
    assert_int_equal(table_files(), named_files(0));
}

/* A table file of another store that somebody has put here, under a number that was ours once. What has no header at all is a file that a power cut has spoilt. */
static void put_stranger(uint64_t number) {
    static const uint8_t other_id[LSM_STORE_ID_BYTES] = "another store.";
    struct lsm_options options = world.options;
    struct lsm_store *other = NULL;
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info tree;
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    options.env = world.disk;
    options.dir = "db-lsm/other";
    options.store_id = other_id;
    MUST(lsm_store_open(&options, &other, &err));
    MUST(lsm_txn_begin(other, UINT64_MAX, 0, &txn, &err));
    MUST(lsm_txn_tree_create(txn, &tree, &err));
    MUST(lsm_txn_put(txn, tree.tree, lsm_slice_of("k", 1), lsm_slice_of("v", 1), &err));
    commit(txn, LSM_SYNC_FULL);
    MUST(lsm_store_flush(other, NULL, NULL, &err));
    MUST(lsm_store_files(other, &files, &count, &err));
    assert_int_equal(count, 1);
    char from[60], to[60];
    (void)snprintf(from, sizeof from, "%s/%08llu.sst", options.dir, (unsigned long long)files[0].number);
    (void)snprintf(to, sizeof to, "%s/%08llu.sst", world.options.dir, (unsigned long long)number);
    lsm_free(files);
    MUST(lsm_store_close(other, &err));
    MUST(lsm_env_rename(world.disk, from, to, &err));
}

static void a_table_file_of_another_store_is_removed_by_nobody(void **state) {
    (void)state;
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    write_row(0, "a", "1");
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    MUST(lsm_store_files(world.stores[0], &files, &count, &err));
    uint64_t number = files[0].number; /* which a merge makes free */
    lsm_free(files);
    write_row(0, "a", "2");
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    assert_int_equal(table_files(), named_files(0));
    put_stranger(number);
    assert_true(lsm_shared_sweep_directory(world.stores[1], NULL, NULL));
    assert_int_equal(table_files(), named_files(1) + 1);
    for (int i = 0; i < PROCESSES; i++) close_store(i);
    MUST(open_store(0)); /* who is first removes what he finds, too */
    assert_int_equal(table_files(), named_files(0) + 1);
    assert_true(says(0, "a", "2"));
}

static void what_one_who_left_could_not_remove_yet_others_remove(void **state) {
    (void)state;
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk));
    write_much(0, 0, 50);
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    struct lsm_view *view = look(1);
    write_much(0, 20, 50);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    close_store(0);
    assert_true(says(2, "on", NULL)); /* one that has never known the old files */
    unsigned named = named_files(2);
    assert_true(table_files() > named);
    live_on(2);
    assert_true(table_files() > named); /* still read */
    lsm_view_close(view);
    live_on(2);
    assert_int_equal(table_files(), named_files(2));
}

static void count_problem(void *arg, const char *text) {
    (void)text;
    ++*(unsigned *)arg;
}

static void a_check_beside_others_removes_what_the_dead_left_and_says_what_does_not_go(void **state) {
    (void)state;
    unsigned told = 0;
    uint64_t problems = 0;
    die_merging();
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_UNLINK, .os_errno = 13, .sticky = true};
    lsm_env_mem_fail_at(world.disk, &fault);
    MUST(lsm_store_check(world.stores[1], count_problem, &told, NULL, NULL, &problems, &err));
    lsm_env_mem_fail_at(world.disk, NULL);
    assert_true(told == 1 && problems == 1);
    MUST(lsm_store_check(world.stores[1], count_problem, &told, NULL, NULL, &problems, &err));
    assert_true(told == 1 && problems == 0);
    assert_int_equal(table_files(), named_files(1));
}

/* ---- being stopped ----------------------------------------------------------------------------------------------------------- */

/* Another process waits until it takes the stopped one for that, and does the work itself. */
static void others_compact(void) {
    write_row(1, "meanwhile", "written");
    MUST(lsm_store_compact(world.stores[1], NULL, NULL, &err));
}

static void a_flusher_that_was_stopped_is_overtaken_and_does_no_harm(void **state) {
    (void)state;
    struct stop stop = {.kind = LSM_ENV_SYNC, .suffix = ".sst", .meanwhile = others_compact};
    write_row(0, "a", "1");
    write_much(0, 0, 30);
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk)); /* sleeping moves it */
    lsm_env_mem_before_op(world.envs[0], while_stopped, &stop);
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    assert_true(stop.done);
    lsm_env_mem_before_op(world.envs[0], NULL, NULL);
    lsm_env_mem_set_clock(world.disk, 0);
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "a", "1") && says(i, "meanwhile", "written") && says(i, "much-000030", NULL));
    MUST(lsm_store_compact(world.stores[2], NULL, NULL, &err));
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "a", "1") && says(i, "meanwhile", "written"));
}

static void a_merger_that_was_stopped_is_overtaken_and_does_no_harm(void **state) {
    (void)state;
    struct stop stop = {.kind = LSM_ENV_SYNC, .suffix = ".sst", .meanwhile = others_compact};
    for (int i = 0; i < 3; i++) {
        write_row(0, "a", i == 2 ? "1" : "0");
        write_much(0, 0, 30);
        MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    }
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk));
    lsm_env_mem_before_op(world.envs[0], while_stopped, &stop);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    assert_true(stop.done);
    lsm_env_mem_before_op(world.envs[0], NULL, NULL);
    lsm_env_mem_set_clock(world.disk, 0);
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "a", "1") && says(i, "meanwhile", "written"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(wherever_a_writer_dies_the_next_one_goes_on),
        TEST(what_a_dead_writer_has_left_is_durable_and_seen_by_all_when_the_next_one_begins),
        TEST(who_dies_behind_the_rename_of_current_leaves_it_to_the_next_one_to_make_that_durable),
        TEST(a_page_that_a_crash_has_spoilt_vouches_for_nothing),
        TEST(a_log_file_that_a_dead_process_left_without_a_header_is_stepped_over),
        TEST(wherever_a_flusher_or_merger_dies_the_next_one_does_it),
        TEST(what_a_dead_merger_has_left_is_removed_by_who_goes_on),
        TEST(what_a_dead_merger_has_left_is_removed_by_who_comes_to_its_place),
        TEST(a_table_file_of_another_store_is_removed_by_nobody),
        TEST(what_one_who_left_could_not_remove_yet_others_remove),
        TEST(a_check_beside_others_removes_what_the_dead_left_and_says_what_does_not_go),
        TEST(a_flusher_that_was_stopped_is_overtaken_and_does_no_harm),
        TEST(a_merger_that_was_stopped_is_overtaken_and_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
