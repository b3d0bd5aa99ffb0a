/* Several processes with one store: who sees what, who takes over from whom, who is overtaken, who keeps which file. */
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

#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/env/filename.h"
#include "../../lsm_core/store/store.h"

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "share-unit-tests";
static struct lsm_error err;

enum { PROCESSES = 3 };

/* Guarded by nothing: one thread. */
static struct {
    struct lsm_env *disk, *envs[PROCESSES];
    struct lsm_options options;
    struct lsm_store *stores[PROCESSES];
    uint32_t tree;
} world;

#define MUST(step) must(step, #step)
static void must(int status, const char *step) {
    if (status != LSM_OK) fail_msg("%s: %s: %s", step, lsm_status_name(status), err.text);
}

static int open_store(int i) {
    struct lsm_options options = world.options;
    if (world.envs[i] == NULL) world.envs[i] = lsm_env_mem_process(world.disk);
    assert_non_null(world.envs[i]);
    options.env = world.envs[i];
    return lsm_store_open(&options, &world.stores[i], &err);
}

static void close_store(int i) {
    struct lsm_store *store = world.stores[i];
    world.stores[i] = NULL;
    MUST(lsm_store_close(store, &err));
}

/* It does nothing any more, and its memory is given back. */
static void bury(int i) {
    if (!lsm_env_mem_is_killed(world.envs[i])) lsm_env_mem_kill(world.envs[i]);
    (void)lsm_store_close(world.stores[i], NULL);
    lsm_env_mem_free(world.envs[i]);
    world.stores[i] = NULL;
    world.envs[i] = NULL;
}

static struct lsm_txn *begin(int i) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(world.stores[i], UINT64_MAX, 0, &txn, &err));
    return txn;
}

static void put(struct lsm_txn *txn, const char *key, const char *value) {
    MUST(lsm_txn_put(txn, world.tree, lsm_slice_of(key, strlen(key)), lsm_slice_of(value, strlen(value)), &err));
}

static void commit(struct lsm_txn *txn, enum lsm_sync sync) {
    MUST(lsm_txn_prepare(txn, sync, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

static void write_row(int i, const char *key, const char *value) {
    struct lsm_txn *txn = begin(i);
    put(txn, key, value);
    commit(txn, LSM_SYNC_OFF);
}

/* Fills a write buffer or so, and rolls. */
static void write_much(int i, unsigned from, unsigned rows) {
    static char value[900];
    memset(value, 'v', sizeof value - 1);
    for (unsigned row = from; row < from + rows; row++) {
        char key[20];
        (void)snprintf(key, sizeof key, "much-%06u", row);
        write_row(i, key, value);
    }
}

static bool view_says(struct lsm_view *view, const char *key, const char *value) {
    struct lsm_value found = {0};
    int status = lsm_view_get(view, world.tree, lsm_slice_of(key, strlen(key)), &found, &err);
    bool right = value == NULL ? status == LSM_NOTFOUND
                               : status == LSM_OK && found.bytes.size == strlen(value) && memcmp(found.bytes.data, value, found.bytes.size) == 0;
    if (status != LSM_OK && status != LSM_NOTFOUND) print_message("%s: %s\n", key, err.text);
    lsm_value_release(&found);
    return right;
}

static struct lsm_view *look(int i) {
    struct lsm_view *view = NULL;
    MUST(lsm_view_open(world.stores[i], NULL, &view, &err));
    return view;
}

static bool says(int i, const char *key, const char *value) {
    struct lsm_view *view = look(i);
    bool right = view_says(view, key, value);
    lsm_view_close(view);
    return right;
}

static unsigned table_files(void) {
    struct lsm_names names = {0};
    unsigned count = 0;
    MUST(lsm_env_list(world.disk, world.options.dir, &names, &err));
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        count += lsm_file_parse(names.names[i], &number) == LSM_FILE_TABLE;
    }
    lsm_names_free(&names);
    return count;
}

static unsigned named_files(int i) {
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    MUST(lsm_follow(world.stores[i], &err));
    MUST(lsm_store_files(world.stores[i], &files, &count, &err));
    lsm_free(files);
    return (unsigned)count;
}

static int set_up(void **state) {
    (void)state;
    memset(&world, 0, sizeof world);
    world.disk = lsm_env_mem_new_strict();
    assert_non_null(world.disk);
    lsm_options_init(&world.options);
    world.options.dir = "db-lsm/store";
    world.options.store_id = store_id;
    world.options.create = true;
    world.options.threads = 0;
    world.options.write_buffer_bytes = world.options.file_bytes = 65536;
    for (int i = 0; i < PROCESSES; i++) MUST(open_store(i));
    struct lsm_txn *txn = begin(0);
    struct lsm_tree_info tree;
    MUST(lsm_txn_tree_create(txn, &tree, &err));
    commit(txn, LSM_SYNC_FULL);
    world.tree = tree.tree;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (int i = 0; i < PROCESSES; i++)
        if (world.stores[i] != NULL) close_store(i);
    for (int i = 0; i < PROCESSES; i++) lsm_env_mem_free(world.envs[i]);
    lsm_env_mem_free(world.disk);
    return 0;
}

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
    uint64_t size = 0;
    MUST(open_store(0));
    assert_true(says(0, "last", "two"));
    (void)size;
}

static void commit_durably(int i, const char *key, const char *value) {
    struct lsm_txn *txn = begin(i);
    put(txn, key, value);
    commit(txn, LSM_SYNC_FULL);
}

/* After a power cut right now these keys have these values; a list that ends with NULL. */
static void expect_durable(const char *const *rows) {
    struct lsm_env *after = lsm_env_mem_clone_crashed(world.disk, LSM_CRASH_LOSE, 1);
    struct lsm_options options = world.options;
    struct lsm_store *store = NULL;
    struct lsm_view *view = NULL;
    options.env = after;
    MUST(lsm_store_open(&options, &store, &err));
    MUST(lsm_view_open(store, NULL, &view, &err));
    for (size_t i = 0; rows[i] != NULL; i += 2) assert_true(view_says(view, rows[i], rows[i + 1]));
    lsm_view_close(view);
    MUST(lsm_store_close(store, &err));
    lsm_env_mem_free(after);
}

/* The log goes on in another file, and nobody flushes what is in the one before. */
static void roll_without_flush(int i) {
    for (int n = 0; n < PROCESSES; n++)
        if (world.stores[n] != NULL) world.stores[n]->wait_until_us[LSM_WORK_FLUSH] = UINT64_MAX;
    MUST(lsm_store_lock_writer(world.stores[i], 0, &err));
    MUST(lsm_store_roll(world.stores[i], &err));
    lsm_store_unlock_writer(world.stores[i]);
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

/* More rows than a transaction may keep in memory. */
static void put_large(struct lsm_txn *txn) {
    static char value[900];
    memset(value, 'v', sizeof value - 1);
    for (unsigned row = 0; row < 200; row++) {
        char key[20];
        (void)snprintf(key, sizeof key, "large-%06u", row);
        put(txn, key, value);
    }
    put(txn, "large", "x");
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

struct stop {
    enum lsm_env_op_kind kind;
    const char *suffix;
    void (*meanwhile)(void);
    bool done;
};

static void while_stopped(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    struct stop *stop = arg;
    size_t length = path == NULL ? 0 : strlen(path), suffix = strlen(stop->suffix);
    (void)process;
    if (stop->done || kind != stop->kind || length < suffix || strcmp(path + length - suffix, stop->suffix) != 0) return;
    stop->done = true;
    stop->meanwhile();
}

static void kill_process(void) { lsm_env_mem_kill(world.envs[0]); }

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
        assert_true(says(2, "much-000049", NULL) || true);
        struct lsm_view *view = look(2);
        struct lsm_cursor *cursor = NULL;
        MUST(lsm_cursor_open(view, world.tree, NULL, NULL, &cursor, &err));
        for (MUST(lsm_cursor_first(cursor, &err)); lsm_cursor_valid(cursor); MUST(lsm_cursor_next(cursor, &err))) assert_int_equal(lsm_cursor_value(cursor).size, 899);
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
    assert_true(lsm_store_log_end(world.stores[2]) > 0);
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

/* ---- what is missing --------------------------------------------------------------------------------------------------------------- */

static void unlink_manifest(void) {
    char path[80];
    (void)snprintf(path, sizeof path, "%s/MANIFEST-%08llu", world.options.dir, (unsigned long long)lsm_share_version_manifest(lsm_share_version(world.stores[1]->share)));
    MUST(lsm_env_unlink(world.disk, path, &err));
}

/* Not for ever: neither for one who reads on, nor for one who writes. */
static void a_manifest_that_is_missing_is_waited_for_and_then_said(void **state) {
    (void)state;
    struct lsm_view *view = NULL;
    struct lsm_edit nothing = {0};
    bool keep_files;
    struct lsm_txn *txn = begin(0);
    put(txn, "a", "1");
    world.stores[1]->set.manifest_bytes_max = 1; /* the next edit begins another one */
    MUST(lsm_version_set_apply(&world.stores[1]->set, &nothing, &keep_files, &err));
    unlink_manifest();
    for (int i = 0; i < PROCESSES; i += 2) {
        err.text[0] = '\0';
        assert_int_equal(lsm_view_open(world.stores[i], NULL, &view, &err), LSM_CORRUPT);
        assert_non_null(strstr(err.text, "manifest is"));
    }
    (void)lsm_txn_rollback(txn, NULL);
    for (int i = 0; i < PROCESSES; i++) bury(i);
}

/* A file cannot be made where there is no directory, which is not the same as nothing to do. */
static void a_directory_that_is_gone_is_an_error_of_whoever_flushes_or_merges(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        write_much(0, 0, 30);
        MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    }
    write_row(0, "a", "1");
    roll_without_flush(0);
    MUST(lsm_env_rename(world.disk, "db-lsm/store", "db-lsm/moved", &err));
    assert_int_equal(lsm_store_flush_turn(world.stores[0], NULL, NULL, &err), LSM_IO);
    assert_int_equal(lsm_store_flush(world.stores[0], NULL, NULL, &err), LSM_IO);
    assert_int_equal(lsm_store_compact(world.stores[0], NULL, NULL, &err), LSM_IO);
    assert_int_equal(lsm_store_quiesce(world.stores[0], &err), LSM_IO); /* it is kept, and tried again later */
    assert_true(says(0, "a", "1"));
    MUST(lsm_env_rename(world.disk, "db-lsm/moved", "db-lsm/store", &err));
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "a", "1"));
}

/* Nothing keeps the files that one reads who has no place among those who write. */
static unsigned merges, merges_wanted;

static void others_merge(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    size_t length = path == NULL ? 0 : strlen(path);
    (void)arg;
    (void)process;
    if (merges == merges_wanted || kind != LSM_ENV_OPEN || length < 4 || strcmp(path + length - 4, ".sst") != 0) return;
    merges++;
    write_much(0, 0, 20);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
}

static void whoever_opens_for_reading_tries_again_when_files_vanish(void **state) {
    (void)state;
    close_store(2);
    close_store(1);
    write_row(0, "a", "1");
    write_much(0, 0, 50);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    world.options.read_only = true;
    lsm_env_mem_before_op(world.envs[2], others_merge, NULL);
    merges = 0;
    merges_wanted = 3;
    MUST(open_store(2));
    assert_true(says(2, "a", "1"));
    close_store(2);
    assert_int_equal(merges, merges_wanted);
    merges_wanted = 1000;
    assert_int_equal(open_store(2), LSM_BUSY);
    assert_non_null(strstr(err.text, "faster than it can be read"));
    assert_true(merges < 100);
    lsm_env_mem_before_op(world.envs[2], NULL, NULL);
    /* What is missing for good is said at once. */
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    char path[80];
    MUST(lsm_store_files(world.stores[0], &files, &count, &err));
    (void)snprintf(path, sizeof path, "%s/%08llu.sst", world.options.dir, (unsigned long long)files[0].number);
    lsm_free(files);
    MUST(lsm_env_unlink(world.disk, path, &err));
    assert_int_equal(open_store(2), LSM_CORRUPT);
    assert_non_null(strstr(err.text, "missing"));
    world.options.read_only = false;
}

/* ---- failures, and places where nothing can be shared --------------------------------------------------------------------------- */

static void a_failed_sync_stops_all_writers_until_all_have_closed(void **state) {
    (void)state;
    write_row(1, "a", "1");
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_SYNC, .sticky = true};
    struct lsm_txn *txn = begin(0);
    put(txn, "b", "2");
    lsm_env_mem_fail_at(world.disk, &fault);
    assert_int_not_equal(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), LSM_OK);
    (void)lsm_txn_rollback(txn, NULL);
    lsm_env_mem_fail_at(world.disk, NULL);
    assert_int_equal(lsm_txn_begin(world.stores[1], UINT64_MAX, 0, &txn, &err), LSM_READONLY);
    assert_true(says(1, "a", "1") && says(1, "b", NULL));
    for (int i = 0; i < PROCESSES; i++) {
        (void)lsm_store_close(world.stores[i], NULL);
        world.stores[i] = NULL;
    }
    MUST(open_store(0));
    write_row(0, "c", "3");
    assert_true(says(0, "a", "1") && says(0, "c", "3"));
}

static void where_the_file_system_cannot_share_one_process_has_the_store_and_says_why(void **state) {
    (void)state;
    const char *why = NULL;
    assert_int_equal(lsm_store_mode(world.stores[0], &why), LSM_MODE_SHARED);
    for (int i = 0; i < PROCESSES; i++) close_store(i);
    lsm_env_mem_set_unshareable(world.disk, "NFS");
    MUST(open_store(0));
    assert_int_equal(lsm_store_mode(world.stores[0], &why), LSM_MODE_EXCLUSIVE);
    assert_string_equal(why, "NFS");
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk));
    assert_int_equal(open_store(1), LSM_BUSY);
    assert_non_null(strstr(err.text, "NFS"));
    lsm_env_mem_set_clock(world.disk, 0);
    write_row(0, "a", "1");
    assert_true(says(0, "a", "1"));
    lsm_env_mem_set_unshareable(world.disk, NULL);
}

static void without_the_page_those_who_are_in_go_on_and_nobody_joins(void **state) {
    (void)state;
    close_store(2);
    MUST(lsm_env_unlink(world.disk, "db-lsm/store/SHM", &err));
    write_row(0, "a", "1");
    assert_true(says(1, "a", "1"));
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk));
    assert_int_equal(open_store(2), LSM_BUSY);
    lsm_env_mem_set_clock(world.disk, 0);
    close_store(0);
    close_store(1);
    MUST(open_store(2));
    assert_true(says(2, "a", "1"));
}

static void opened_for_reading_it_is_the_store_of_that_moment(void **state) {
    (void)state;
    write_row(0, "a", "1");
    write_much(0, 0, 50);
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    write_row(0, "b", "2");
    close_store(2);
    world.options.read_only = true;
    uint64_t ops = lsm_env_mem_ops(world.disk);
    MUST(open_store(2));
    assert_int_equal(lsm_env_mem_ops(world.disk), ops); /* nothing was touched */
    const char *why = NULL;
    struct lsm_txn *txn = NULL;
    assert_int_equal(lsm_store_mode(world.stores[2], &why), LSM_MODE_READ_ONLY);
    write_row(0, "a", "3");
    write_much(0, 0, 50);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    assert_true(says(2, "a", "1") && says(2, "b", "2"));
    assert_int_equal(lsm_txn_begin(world.stores[2], UINT64_MAX, 0, &txn, &err), LSM_READONLY);
    ops = lsm_env_mem_ops(world.disk);
    close_store(2);
    assert_int_equal(lsm_env_mem_ops(world.disk), ops);
    world.options.read_only = false;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_commit_is_seen_by_the_next_view_of_everybody),
        TEST(one_process_writes_at_a_time),
        TEST(a_joiner_sees_everything_and_the_last_one_leaves_it_in_order),
        TEST(a_full_commit_is_durable_with_all_that_others_wrote_before),
        TEST(a_full_commit_is_durable_with_all_that_was_recovered_before),
        TEST(a_log_whose_last_file_was_ended_goes_on_in_another),
        TEST(wherever_a_writer_dies_the_next_one_goes_on),
        TEST(a_log_file_that_a_dead_process_left_without_a_header_is_stepped_over),
        TEST(wherever_a_flusher_or_merger_dies_the_next_one_does_it),
        TEST(what_a_dead_merger_has_left_is_removed_by_who_goes_on),
        TEST(what_a_dead_merger_has_left_is_removed_by_who_comes_to_its_place),
        TEST(what_one_who_left_could_not_remove_yet_others_remove),
        TEST(a_check_beside_others_removes_what_the_dead_left_and_says_what_does_not_go),
        TEST(a_flusher_that_was_stopped_is_overtaken_and_does_no_harm),
        TEST(a_merger_that_was_stopped_is_overtaken_and_does_no_harm),
        TEST(a_file_stays_as_long_as_any_process_reads_from_it),
        TEST(a_laggard_jumps_over_what_was_flushed),
        TEST(a_process_flushes_what_it_follows),
        TEST(a_transaction_that_waits_is_met_and_made_visible_by_another_process),
        TEST(a_transaction_that_was_taken_back_is_forgotten_by_all),
        TEST(a_large_transaction_that_was_taken_back_is_forgotten_by_all),
        TEST(a_large_transaction_whose_process_died_taking_it_back_is_settled_by_the_next_writer),
        TEST(a_transaction_whose_process_died_is_settled_by_the_next_writer),
        TEST(a_manifest_that_is_missing_is_waited_for_and_then_said),
        TEST(a_directory_that_is_gone_is_an_error_of_whoever_flushes_or_merges),
        TEST(whoever_opens_for_reading_tries_again_when_files_vanish),
        TEST(a_failed_sync_stops_all_writers_until_all_have_closed),
        TEST(where_the_file_system_cannot_share_one_process_has_the_store_and_says_why),
        TEST(without_the_page_those_who_are_in_go_on_and_nobody_joins),
        TEST(opened_for_reading_it_is_the_store_of_that_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
