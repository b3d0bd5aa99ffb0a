/* What lsm.h promises, point by point: opening, one writer, and maintenance. Rows and trees: api_tree_test.c; cursors: api_cursor_test.c. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api_kit.h"

/* ---- opening and options ------------------------------------------------------------------------------------------------------ */

static void options_out_of_range_are_refused(void **state) {
    (void)state;
    struct lsm_options good = world.options, bad;
    struct lsm_store *store = NULL;
    good.dir = "another/store";
#define REFUSED(change)                                                                                                                              \
    do {                                                                                                                                             \
        bad = good;                                                                                                                                  \
        change;                                                                                                                                      \
        assert_int_equal(lsm_store_open(&bad, &store, &world.err), LSM_MISUSE);                                                                      \
        assert_null(store);                                                                                                                          \
        assert_int_equal(world.err.code, LSM_MISUSE);                                                                                                \
    } while (0)
    REFUSED(bad.dir = NULL);
    REFUSED(bad.dir = "");
    REFUSED(bad.store_id = NULL);
    REFUSED(bad.write_buffer_bytes = 65535);
    REFUSED(bad.write_buffer_bytes = ((size_t)1 << 30) + 1);
    REFUSED(bad.block_bytes = 511);
    REFUSED(bad.block_bytes = 65537);
    REFUSED(bad.file_bytes = 100);
    REFUSED(bad.compression = (enum lsm_compression)3);
#undef REFUSED
    bool exists = true;
    MUST(lsm_env_exists(world.env, "another", &exists, &world.err));
    assert_false(exists);
}

static void a_store_that_is_not_there_is_not_found(void **state) {
    (void)state;
    struct lsm_options options = world.options;
    struct lsm_store *store = NULL;
    bool exists = true;
    options.create = false;
    options.dir = "nowhere/store";
    must_fail(lsm_store_open(&options, &store, &world.err), LSM_NOTFOUND, "nowhere/store");
    MUST(lsm_env_exists(world.env, "nowhere", &exists, &world.err));
    assert_false(exists);
    MUST(world_close(&world));
    world.options.create = false;
    MUST(world_open(&world));
}

static void a_second_opener_shares_unless_one_wants_the_store_for_itself(void **state) {
    (void)state;
    struct lsm_store *second = NULL;
    struct lsm_options options = world.options;
    MUST(world_close(&world));
    world.options.process_name = "the first one";
    world.options.exclusive = true;
    MUST(world_open(&world));
    const char *why = NULL;
    assert_int_equal(lsm_store_mode(world.store, &why), LSM_MODE_EXCLUSIVE);
    assert_non_null(strstr(why, "asked for"));
    char pid[32];
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    must_fail(lsm_store_open(&options, &second, &world.err), LSM_BUSY, "the first one");
    assert_non_null(strstr(world.err.text, pid));
    assert_null(second);
    MUST(world_write(&world, 0, 3, LSM_SYNC_OFF)); /* the first one is not harmed */
    must_be_right();
    MUST(world_close(&world));
    MUST(lsm_store_open(&options, &second, &world.err));
    assert_int_equal(lsm_store_mode(second, &why), LSM_MODE_SHARED);
    assert_string_equal(why, "");
    must_fail(world_open(&world), LSM_BUSY, "");
    world.options.exclusive = false;
    MUST(world_open(&world));
    MUST(lsm_store_close(second, &world.err));
}

static void another_stores_id_does_not_match(void **state) {
    (void)state;
    uint8_t other[LSM_STORE_ID_BYTES] = "quite another id";
    struct lsm_options options = world.options;
    struct lsm_store *store = NULL;
    MUST(world_write(&world, 0, 3, LSM_SYNC_FULL));
    MUST(world_close(&world));
    options.store_id = other;
    must_fail(lsm_store_open(&options, &store, &world.err), LSM_MISMATCH, world.options.dir);
    MUST(world_open(&world));
    must_be_right();
}

static void closing_nothing_is_fine(void **state) {
    (void)state;
    assert_int_equal(lsm_store_close(NULL, NULL), LSM_OK);
    lsm_view_close(NULL);
    lsm_cursor_close(NULL);
    lsm_free(NULL);
    struct lsm_value value = {0};
    lsm_value_release(&value);
    lsm_value_release(&value);
    assert_string_equal(lsm_store_dir(world.store), "db-lsm/store");
    MUST(world_close(&world));
    MUST(world_open(&world));
    MUST(world_close(&world));
}

static void errors_may_be_ignored_by_passing_null(void **state) {
    (void)state;
    struct lsm_options options = world.options;
    struct lsm_store *store = NULL;
    struct lsm_txn *txn = NULL;
    options.exclusive = true;
    assert_int_equal(lsm_store_open(&options, &store, NULL), LSM_BUSY);
    assert_int_equal(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, NULL), LSM_OK);
    assert_int_equal(lsm_txn_tree_drop(txn, 77, NULL), LSM_NOTFOUND);
    assert_int_equal(lsm_txn_rollback(txn, NULL), LSM_OK);
    assert_int_equal(lsm_store_flush(world.store, NULL, NULL, NULL), LSM_OK);
}

/* A failing inside a thread that is not cmocka's would not be seen: the child's exit code says it. */
static void a_child_of_fork_touches_nothing(void **state) {
    (void)state;
    char top[] = "/tmp/lsm-fork-XXXXXX", dir[64], command[80];
    assert_non_null(mkdtemp(top));
    (void)snprintf(dir, sizeof dir, "%s/store", top);
    struct lsm_options options = world.options;
    struct lsm_store *store = NULL;
    struct lsm_txn *txn = NULL;
    struct lsm_view *view = NULL;
    struct lsm_error err = {0};
    options.env = lsm_env_posix();
    options.dir = dir;
    options.threads = 2;
    MUST(lsm_store_open(&options, &store, &world.err));
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &world.err));
    struct lsm_tree_info tree;
    MUST(lsm_txn_tree_create(txn, &tree, &world.err));
    MUST(lsm_txn_put(txn, tree.tree, text("k"), text("v"), &world.err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    MUST(lsm_view_open(store, NULL, &view, &world.err));
    struct lsm_cursor *cursor = NULL;
    MUST(lsm_cursor_open(view, tree.tree, NULL, NULL, &cursor, &world.err));
    pid_t child = fork();
    if (child == 0) {
        struct lsm_txn *other = NULL;
        struct lsm_view *another = NULL;
        struct lsm_tree_info *trees = NULL;
        struct lsm_file_info *files = NULL;
        struct lsm_stats stats;
        size_t count;
        uint64_t problems;
        int bad = 0;
        bad |= lsm_txn_begin(store, UINT64_MAX, 0, &other, &err) != LSM_MISUSE || err.code != LSM_MISUSE;
        bad |= lsm_view_open(store, NULL, &another, NULL) != LSM_MISUSE;
        bad |= lsm_view_get(view, tree.tree, text("k"), NULL, NULL) != LSM_MISUSE;
        bad |= lsm_txn_put(txn, tree.tree, text("k"), text("w"), NULL) != LSM_MISUSE;
        bad |= lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, NULL) != LSM_MISUSE;
        bad |= lsm_store_flush(store, NULL, NULL, NULL) != LSM_MISUSE;
        bad |= lsm_store_compact(store, NULL, NULL, NULL) != LSM_MISUSE;
        bad |= lsm_store_quiesce(store, NULL) != LSM_MISUSE;
        bad |= lsm_store_check(store, NULL, NULL, NULL, NULL, &problems, NULL) != LSM_MISUSE;
        bad |= lsm_store_trees(store, &trees, &count, NULL) != LSM_MISUSE;
        bad |= lsm_store_files(store, &files, &count, NULL) != LSM_MISUSE;
        bad |= lsm_store_tree_check(store, tree) != LSM_MISUSE;
        lsm_store_stats(store, &stats);
        struct lsm_estimate estimate = {.rows = 1};
        struct lsm_cursor *own = NULL;
        bad |= lsm_cursor_open(view, tree.tree, NULL, NULL, &own, NULL) != LSM_MISUSE;
        bad |= lsm_cursor_first(cursor, NULL) != LSM_MISUSE || lsm_cursor_last(cursor, NULL) != LSM_MISUSE;
        bad |= lsm_cursor_seek(cursor, text("k"), NULL) != LSM_MISUSE;
        lsm_view_estimate(view, tree.tree, NULL, NULL, &estimate);
        bad |= estimate.rows != 0;
        bad |= lsm_txn_rollback_to(txn, 0, NULL) != LSM_MISUSE;
        bad |= lsm_store_pending(store, NULL) != LSM_PENDING_NONE;
        bad |= lsm_store_await_writer(store, 0, NULL) != LSM_MISUSE;
        bad |= lsm_txn_rollback(txn, NULL) != LSM_MISUSE;
        lsm_cursor_close(cursor);
        lsm_view_close(view);
        bad |= lsm_store_close(store, NULL) != LSM_MISUSE;
        _exit(bad);
    }
    int code = -1;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    lsm_txn_commit(txn, true);
    lsm_cursor_close(cursor);
    lsm_view_close(view);
    MUST(lsm_view_open(store, NULL, &view, &world.err));
    MUST(lsm_view_get(view, tree.tree, text("k"), NULL, &world.err));
    lsm_view_close(view);
    MUST(lsm_store_close(store, &world.err));
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    assert_int_equal(system(command), 0);
}

/* ---- one writer ----------------------------------------------------------------------------------------------------------------- */

static void a_second_writer_waits_as_long_as_it_wants(void **state) {
    (void)state;
    struct lsm_txn *first = NULL, *second = (struct lsm_txn *)&first;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &first, &world.err));
    uint64_t started = lsm_env_monotonic_us(lsm_env_posix());
    must_fail(lsm_txn_begin(world.store, UINT64_MAX, 0, &second, &world.err), LSM_BUSY, "another transaction");
    assert_null(second);
    assert_true(lsm_env_monotonic_us(lsm_env_posix()) - started < 500000);
    started = lsm_env_monotonic_us(lsm_env_posix());
    must_fail(lsm_txn_begin(world.store, UINT64_MAX, 60, &second, &world.err), LSM_BUSY, "another transaction");
    assert_true(lsm_env_monotonic_us(lsm_env_posix()) - started >= 60000);
    MUST(lsm_txn_rollback(first, &world.err));
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &second, &world.err));
    MUST(lsm_txn_rollback(second, &world.err));
}

static void *release_soon(void *txn) {
    (void)usleep(30000);
    return lsm_txn_rollback(txn, NULL) == LSM_OK ? NULL : txn;
}

static void a_waiting_writer_gets_its_turn(void **state) {
    (void)state;
    struct lsm_txn *first = NULL, *second = NULL;
    pthread_t thread;
    void *failed = NULL;
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &first, &world.err));
    assert_int_equal(pthread_create(&thread, NULL, release_soon, first), 0);
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 20000, &second, &world.err));
    pthread_join(thread, &failed);
    assert_null(failed);
    MUST(lsm_txn_rollback(second, &world.err));
}

static void a_transaction_on_an_old_view_is_refused(void **state) {
    (void)state;
    struct lsm_view *view = view_of(NULL);
    struct lsm_txn *txn = NULL;
    uint64_t position = lsm_view_position(view);
    MUST(lsm_txn_begin(world.store, position, 0, &txn, &world.err));
    MUST(lsm_txn_rollback(txn, &world.err));
    MUST(world_write(&world, 0, 1, LSM_SYNC_OFF));
    must_fail(lsm_txn_begin(world.store, position, 0, &txn, &world.err), LSM_BUSY_SNAPSHOT, "older state");
    assert_null(txn);
    lsm_view_close(view);
    view = view_of(NULL);
    assert_true(lsm_view_position(view) > position);
    MUST(lsm_txn_begin(world.store, lsm_view_position(view), 0, &txn, &world.err));
    MUST(lsm_txn_put(txn, tree_of(0), text("x"), text("y"), &world.err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    MUST(lsm_txn_rollback(txn, &world.err)); /* a rollback is no commit: the view is still the newest */
    MUST(lsm_txn_begin(world.store, lsm_view_position(view), 0, &txn, &world.err));
    MUST(lsm_txn_rollback(txn, &world.err));
    lsm_view_close(view);
}

static void an_empty_transaction_changes_nothing(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    struct lsm_stats before, after;
    lsm_store_stats(world.store, &before);
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    assert_false(lsm_txn_is_dirty(txn));
    uint64_t mark = lsm_txn_mark(txn);
    MUST(lsm_txn_put(txn, tree_of(0), text("a"), text("b"), &world.err));
    assert_true(lsm_txn_is_dirty(txn));
    MUST(lsm_txn_rollback_to(txn, mark, &world.err));
    assert_false(lsm_txn_is_dirty(txn));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
    lsm_store_stats(world.store, &after);
    assert_int_equal(after.position, before.position);
    must_be_right();
}

static void a_transaction_sees_itself_and_nobody_else_does(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    struct lsm_value value = {0};
    commit_row(tree_of(0), text("a"), text("old"));
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_put(txn, tree_of(0), text("a"), text("new"), &world.err));
    struct lsm_view *inner = view_of(txn), *outer = view_of(NULL);
    MUST(lsm_txn_put(txn, tree_of(0), text("a"), text("newer"), &world.err));
    MUST(lsm_txn_put(txn, tree_of(0), text("b"), text("too late"), &world.err));
    MUST(lsm_view_get(inner, tree_of(0), text("a"), &value, &world.err));
    assert_memory_equal(value.bytes.data, "new", 3);
    assert_int_equal(lsm_view_get(inner, tree_of(0), text("b"), NULL, &world.err), LSM_NOTFOUND);
    MUST(lsm_view_get(outer, tree_of(0), text("a"), &value, &world.err));
    assert_memory_equal(value.bytes.data, "old", 3);
    lsm_value_release(&value);
    lsm_view_close(inner);
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
    MUST(lsm_view_get(outer, tree_of(0), text("a"), &value, &world.err));
    assert_memory_equal(value.bytes.data, "old", 3);
    lsm_value_release(&value);
    lsm_view_close(outer);
}

/* ---- maintenance ------------------------------------------------------------------------------------------------------------------------- */

static void counters_count(void **state) {
    (void)state;
    struct lsm_stats before, after;
    struct lsm_txn *txn = NULL;
    lsm_store_stats(world.store, &before);
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_put(txn, tree_of(0), text("a"), text("1"), &world.err));
    MUST(lsm_txn_put(txn, tree_of(0), text("b"), text("1"), &world.err));
    MUST(lsm_txn_delete(txn, tree_of(0), text("c"), &world.err));
    MUST(lsm_txn_delete_range(txn, tree_of(0), text("x"), text("y"), &world.err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_rollback(txn, &world.err));
    MUST(world_flush(&world));
    struct lsm_view *view = view_of(NULL);
    MUST(lsm_view_get(view, tree_of(0), text("a"), NULL, &world.err));
    assert_int_equal(lsm_view_get(view, tree_of(0), text("q"), NULL, &world.err), LSM_NOTFOUND);
    lsm_store_stats(world.store, &after);
    assert_int_equal(after.commits - before.commits, 1);
    assert_int_equal(after.rollbacks - before.rollbacks, 1);
    assert_int_equal(after.puts - before.puts, 2);
    assert_int_equal(after.deletes - before.deletes, 1);
    assert_int_equal(after.range_deletes - before.range_deletes, 1);
    assert_int_equal(after.gets - before.gets, 2);
    assert_int_equal(after.get_hits - before.get_hits, 1);
    assert_int_equal(after.flushes - before.flushes, 1);
    assert_true(after.flush_bytes > before.flush_bytes);
    assert_true(after.wal_bytes > before.wal_bytes);
    assert_int_equal(after.wal_syncs - before.wal_syncs, 1);
    assert_true(after.position > before.position);
    assert_int_equal(after.pinned_views, 1);
    assert_int_equal(after.level0_runs, 1);
    assert_int_equal(after.sealed_memtables, 0);
    assert_int_equal(after.background_status, LSM_OK);
    assert_true(after.version > before.version);
    lsm_view_close(view);
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    MUST(lsm_store_files(world.store, &files, &count, &world.err));
    assert_int_equal(count, 1);
    assert_int_equal(files[0].level, 0);
    assert_int_equal(files[0].bytes, after.table_bytes);
    assert_int_equal(files[0].tree_low, tree_of(0));
    assert_int_equal(files[0].rows, 2);
    lsm_free(files);
}

static bool at_once(void *arg) {
    ++*(unsigned *)arg;
    return true;
}

static void long_work_stops_when_asked_to(void **state) {
    (void)state;
    unsigned asked = 0;
    uint64_t problems = 0;
    for (int i = 0; i < 4; i++) {
        MUST(world_write(&world, 0, 90, LSM_SYNC_OFF));
        if (i < 3) MUST(world_flush(&world));
    }
    MUST(world_write(&world, 0, 9, LSM_SYNC_OFF)); /* those before may have gone to files, and to the bottom, by themselves */
    int status = lsm_store_compact(world.store, at_once, &asked, &world.err);
    must_fail(status, LSM_INTERRUPTED, "");
    assert_true(asked > 0);
    asked = 0;
    status = lsm_store_check(world.store, NULL, NULL, at_once, &asked, &problems, &world.err);
    must_fail(status, LSM_INTERRUPTED, "");
    assert_true(asked > 0);
    must_be_right();
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    assert_int_equal(stats.background_status, LSM_OK);
    MUST(world_compact(&world));
    must_be_right();
}

static void flushing_twice_flushes_once(void **state) {
    (void)state;
    MUST(world_write(&world, 0, 5, LSM_SYNC_NORMAL));
    MUST(world_flush(&world));
    MUST(world_flush(&world)); /* nothing to do */
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    assert_int_equal(stats.flushes, 1);
    must_be_right();
}

static void ranges_upside_down_or_empty_delete_nothing(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    commit_row(tree_of(0), text("m"), text("1"));
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_delete_range(txn, tree_of(0), text("z"), text("a"), &world.err));
    MUST(lsm_txn_delete_range(txn, tree_of(0), text("m"), text("m"), &world.err));
    assert_false(lsm_txn_is_dirty(txn));
    MUST(lsm_txn_rollback(txn, &world.err));
    struct lsm_view *view = view_of(NULL);
    MUST(lsm_view_get(view, tree_of(0), text("m"), NULL, &world.err));
    lsm_view_close(view);
}

/* A lost sync at LSM_SYNC_NORMAL is said at the latest when the store is closed. */
static void closing_says_that_commits_may_be_lost(void **state) {
    (void)state;
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_SYNC, .sticky = true};
    MUST(world_begin(&world));
    MUST(world_create(&world, 1));
    MUST(world_commit(&world, LSM_SYNC_FULL));
    lsm_env_mem_fail_at(world.env, &fault);
    MUST(world_begin(&world));
    MUST(world_drop(&world, 1));
    int status = world_commit(&world, LSM_SYNC_NORMAL); /* the drop wants to be durable before files go: that fails in the background */
    if (status == LSM_OK)
        status = world_close(&world);
    else
        (void)world_close(&world);
    assert_int_not_equal(status, LSM_OK);
    assert_true(world.err.text[0] != 0);
    lsm_env_mem_fail_at(world.env, NULL);
}

/* ---- removing files ------------------------------------------------------------------------------------------------------------ */

static struct {
    pthread_t caller;
    _Atomic unsigned by_caller, by_others; /* table files removed */
} removals;

static void note_removal(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    if (op->kind != LSM_ENV_UNLINK || strstr(op->path, ".sst") == NULL) return;
    bool own = pthread_equal(pthread_self(), removals.caller) != 0;
    (void)atomic_fetch_add(own ? &removals.by_caller : &removals.by_others, 1);
}

/* Giving the blocks of a merge's input back to the disk can take seconds: not those of whoever had them last. */
static void the_last_to_use_table_files_leaves_their_removal_to_a_helper(void **state) {
    (void)state;
    enum { FILES = 5, PATIENCE_MS = 60000 };
    MUST(world_close(&world));
    world.options.threads = 1;
    removals.caller = pthread_self();
    atomic_store(&removals.by_caller, 0);
    atomic_store(&removals.by_others, 0);
    lsm_env_mem_on_op(world.env, note_removal, NULL);
    MUST(world_open(&world));
    for (int i = 0; i < FILES; i++) {
        commit_row(tree_of(0), text("k"), text("v"));
        MUST(lsm_store_flush(world.store, NULL, NULL, &world.err));
    }
    MUST(lsm_store_quiesce(world.store, &world.err));
    struct lsm_view *view = view_of(NULL);
    commit_row(tree_of(0), text("k"), text("w"));
    MUST(lsm_store_compact(world.store, NULL, NULL, &world.err)); /* what the view stands on stays */
    unsigned by_caller = atomic_load(&removals.by_caller), by_others = atomic_load(&removals.by_others);
    lsm_view_close(view);
    for (int ms = 0; ms < PATIENCE_MS && atomic_load(&removals.by_others) == by_others; ms++) (void)usleep(1000);
    assert_true(atomic_load(&removals.by_others) > by_others);
    assert_int_equal(atomic_load(&removals.by_caller), by_caller);
    MUST(world_close(&world));
    lsm_env_mem_on_op(world.env, NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(options_out_of_range_are_refused),
        TEST(a_store_that_is_not_there_is_not_found),
        TEST(a_second_opener_shares_unless_one_wants_the_store_for_itself),
        TEST(another_stores_id_does_not_match),
        TEST(closing_nothing_is_fine),
        TEST(errors_may_be_ignored_by_passing_null),
        TEST(a_child_of_fork_touches_nothing),
        TEST(a_second_writer_waits_as_long_as_it_wants),
        TEST(a_waiting_writer_gets_its_turn),
        TEST(a_transaction_on_an_old_view_is_refused),
        TEST(an_empty_transaction_changes_nothing),
        TEST(a_transaction_sees_itself_and_nobody_else_does),
        TEST(counters_count),
        TEST(long_work_stops_when_asked_to),
        TEST(flushing_twice_flushes_once),
        TEST(ranges_upside_down_or_empty_delete_nothing),
        TEST(closing_says_that_commits_may_be_lost),
        TEST(the_last_to_use_table_files_leaves_their_removal_to_a_helper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
