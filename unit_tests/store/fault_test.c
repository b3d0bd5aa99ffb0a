/* Failing operations: the N-th one, once or for good, of every kind, for N = 1, 2, ... through a workload with everything in it.
 *
 * Each call succeeds or explains itself, nothing leaks, and when the fault is gone the store opens again and holds exactly what was
 * acknowledged. Then it takes a commit at FULL that a power cut does not take away.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/base/base.h"
#include "../support/world.h"

static struct world world;
static const char *doing; /* for messages */
static unsigned long long point;
static bool for_good;     /* then what was reported as failed may be found in spite: erasing it fails too */
static unsigned failures; /* calls of this run that returned an error */
static uint64_t merged;   /* merges of a transaction's own pieces, in all runs */

/* ---- steps that may fail ------------------------------------------------------------------------------------------------- */

/* True if it succeeded; else the error must say what it is. */
static bool went(int status, const char *step) {
    if (status == LSM_OK) return true;
    failures++;
    if (status > 0 || status < LSM_INTERRUPTED) fail_msg("%s, point %llu: %s returned %d", doing, point, step, status);
    if (world.err.code != status || world.err.text[0] == 0)
        fail_msg("%s, point %llu: %s returned %s, but the error says %s '%s'", doing, point, step, lsm_status_name(status),
                 lsm_status_name(world.err.code), world.err.text);
    memset(&world.err, 0, sizeof world.err);
    return false;
}
#define WENT(step) went(step, #step)

static void write_rows(int slot, unsigned rows) {
    if (world.store == NULL || world.history[world.commits - 1].trees[slot].tree == 0) return;
    (void)WENT(world_write(&world, slot, rows, LSM_SYNC_FULL));
}

static void change_trees(int create, int drop) {
    const struct world_state *now = &world.history[world.commits - 1];
    if (world.store == NULL || (drop >= 0 && now->trees[drop].tree == 0) || !WENT(world_begin(&world))) return;
    bool ok = create < 0 || (WENT(world_create(&world, create)) && WENT(world_put(&world, create, 7)));
    if (ok && drop >= 0) ok = WENT(world_drop(&world, drop));
    if (ok)
        (void)WENT(world_commit(&world, LSM_SYNC_FULL));
    else
        (void)WENT(world_rollback(&world));
}

static void rollbacks(void) {
    if (world.store == NULL || world.history[world.commits - 1].trees[0].tree == 0) return;
    for (int i = 0; i < 2; i++) {
        if (!WENT(world_begin(&world))) return;
        bool ok = WENT(world_put(&world, 0, 3));
        struct world_state saved = world.next;
        uint64_t mark = lsm_txn_mark(world.txn);
        ok = ok && WENT(world_put(&world, 0, 4)) && WENT(world_delete_range(&world, 0, 0, 9)) && WENT(world_prepare(&world, LSM_SYNC_FULL));
        ok = ok && WENT(lsm_txn_rollback_to(world.txn, mark, &world.err));
        if (ok) world.next = saved;
        size_t undecided = ok ? 0 : world.extras_count; /* an ABORT that failed: the next rollback has nothing to say of it */
        if (ok && i == 1)
            (void)WENT(world_commit(&world, LSM_SYNC_FULL));
        else
            (void)WENT(world_rollback(&world));
        if (undecided != 0) world.extras_count = undecided;
    }
}

/* A transaction larger than memory: rolled back, or back to a mark after a prepare and then committed. */
static void write_large(bool keep) {
    if (world.store == NULL || world.history[world.commits - 1].trees[0].tree == 0 || !WENT(world_begin(&world))) return;
    bool ok = true;
    struct world_state saved = world.next;
    uint64_t mark = 0;
    for (unsigned i = 0; i < 2 * MODEL_KEYS && ok; i++) {
        if (i == MODEL_KEYS) {
            mark = lsm_txn_mark(world.txn);
            saved = world.next;
        }
        ok = i % 50 == 49 ? WENT(world_delete_range(&world, 0, i % 40, i % 40 + 20)) : WENT(world_put(&world, 0, i % MODEL_KEYS));
    }
    if (keep) ok = ok && WENT(world_prepare(&world, LSM_SYNC_FULL)) && WENT(lsm_txn_rollback_to(world.txn, mark, &world.err));
    if (keep && ok) world.next = saved;
    size_t undecided = ok ? 0 : world.extras_count;
    if (keep && ok)
        (void)WENT(world_commit(&world, LSM_SYNC_FULL));
    else
        (void)WENT(world_rollback(&world));
    if (undecided != 0) world.extras_count = undecided;
}

/* So large that its pieces are merged. */
static void write_merged(void) {
    if (world.store == NULL || world.history[world.commits - 1].trees[0].tree == 0 || !WENT(world_begin(&world))) return;
    bool ok = true;
    struct lsm_stats before, after;
    lsm_store_stats(world.store, &before);
    for (unsigned i = 0; i < 300 && ok; i++) {
        while (++world.next_value % 5 != 0 || world.next_value % 7 == 0) {} /* long values */
        if (i % 50 == 49)
            ok = WENT(world_delete_range(&world, 0, i % 40, i % 40 + 20));
        else
            ok = WENT(world_put_bytes(&world, 0, i * 29 % MODEL_KEYS, world.next_value));
    }
    lsm_store_stats(world.store, &after);
    merged += after.merges - before.merges;
    if (ok)
        (void)WENT(world_commit(&world, LSM_SYNC_FULL));
    else
        (void)WENT(world_rollback(&world));
}

/* What can be read is right. */
static void read_all(void) {
    struct lsm_view *view = NULL;
    if (world.store == NULL || !WENT(lsm_view_open(world.store, NULL, &view, &world.err))) return;
    const struct world_state *now = &world.history[world.commits - 1];
    for (size_t slot = 0; slot < WORLD_TREES; slot++) {
        struct lsm_cursor *cursor = NULL;
        if (now->trees[slot].tree == 0) continue;
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            struct lsm_value value = {0};
            int status = lsm_view_get(view, now->trees[slot].tree, model_key(key), &value, &world.err);
            bool there = now->rows[slot].values[key] != 0;
            lsm_value_release(&value);
            if (status != LSM_NOTFOUND && !went(status, "get")) continue;
            if ((status == LSM_OK) != there) fail_msg("%s, point %llu: key %u of tree %zu is %s", doing, point, key, slot, there ? "gone" : "back");
        }
        if (!WENT(lsm_cursor_open(view, now->trees[slot].tree, NULL, NULL, &cursor, &world.err))) continue;
        size_t rows = 0, want = 0;
        int status = lsm_cursor_first(cursor, &world.err);
        for (; status == LSM_OK && lsm_cursor_valid(cursor); rows++) status = lsm_cursor_next(cursor, &world.err);
        for (unsigned key = 0; key < MODEL_KEYS; key++) want += now->rows[slot].values[key] != 0;
        if (went(status, "scan") && rows != want) fail_msg("%s, point %llu: a scan found %zu rows of %zu", doing, point, rows, want);
        lsm_cursor_close(cursor);
    }
    lsm_view_close(view);
}

static void check_all(void) {
    uint64_t problems;
    if (world.store != NULL) (void)WENT(lsm_store_check(world.store, NULL, NULL, NULL, NULL, &problems, &world.err));
}

/* Which state is it? exactly: what was reported as failed must not be there. */
static void must_match(bool exactly, const char *when) {
    size_t found = 0;
    const char *wrong = world_find(&world, world.store, world.commits, &found);
    if (wrong == NULL && exactly && found >= world.commits && world.extras_count != 0) wrong = "a transaction that was not acknowledged";
    if (wrong != NULL) fail_msg("%s, point %llu, %s: %s", doing, point, when, wrong);
    if (found >= world.commits) world_rewind(&world, found);
    world.extras_count = 0;
}

static void open_again(void) {
    if (world.store != NULL) (void)WENT(world_close(&world));
    if (!WENT(world_open(&world))) (void)WENT(world_open(&world));
    if (world.store != NULL && world.extras_count != 0) must_match(!for_good, "opened again");
}

static void everything(void) {
    open_again();
    change_trees(0, -1);
    change_trees(1, -1);
    write_rows(0, 20);
    rollbacks();
    for (unsigned i = 0; i < 5; i++) {
        write_rows((int)(i % 2), 12);
        if (world.store != NULL) (void)WENT(world_flush(&world));
        write_rows(0, 2);
    }
    read_all();
    change_trees(2, 1);
    if (world.store != NULL) (void)WENT(world_compact(&world));
    check_all();
    write_large(false);
    write_rows(0, 5);
    write_large(true);
    write_merged();
    open_again();
    write_rows(2, 5);
    read_all();
    open_again();
    if (world.store != NULL) (void)WENT(world_flush(&world));
}

/* ---- what must hold afterwards --------------------------------------------------------------------------------------------- */

static void must(int status, const char *step) {
    if (status != LSM_OK) fail_msg("%s, point %llu, the fault gone: %s: %s: %s", doing, point, step, lsm_status_name(status), world.err.text);
}
#define MUST(step) must(step, #step)

static void must_be_whole(bool exactly, const char *when) {
    must_match(exactly, when);
    const char *wrong = world_check(world.store);
    if (wrong != NULL) fail_msg("%s, point %llu, %s: %s", doing, point, when, wrong);
}

/* The fault is cleared. */
static void recover(void) {
    if (world.store != NULL) (void)WENT(world_close(&world));
    MUST(world_open(&world));
    must_be_whole(!for_good, "reopened");
    if (world.history[world.commits - 1].trees[0].tree == 0) change_trees(0, -1);
    size_t before = world.commits;
    write_rows(0, 3);
    assert_true(world.commits > before);
    must(lsm_env_mem_crash(world.env, LSM_CRASH_LOSE, point), "crash");
    (void)lsm_store_close(world.store, NULL);
    MUST(world_open(&world));
    must_be_whole(true, "after a power cut that followed");
    MUST(world_close(&world));
}

/* ---- faults of the environment ------------------------------------------------------------------------------------------------ */

static const struct fault_kind {
    const char *name;
    struct lsm_env_fault fault;
} kinds[] = {
    {"write fails", {.ops = LSM_ENV_WRITE}},
    {"half a write", {.ops = LSM_ENV_WRITE, .short_write = true, .os_errno = ENOSPC}},
    {"sync fails, bytes lost", {.ops = LSM_ENV_SYNC | LSM_ENV_SYNC_DIR}},
    {"sync fails, bytes kept", {.ops = LSM_ENV_SYNC | LSM_ENV_SYNC_DIR, .keep_on_sync = true}},
    {"no space", {.ops = LSM_ENV_WRITE | LSM_ENV_CREATE | LSM_ENV_ALLOCATE | LSM_ENV_MKDIR | LSM_ENV_RENAME, .os_errno = ENOSPC}},
    {"too many open files", {.ops = LSM_ENV_CREATE | LSM_ENV_OPEN, .os_errno = EMFILE}},
    {"create, rename, unlink, mkdir, truncate, allocate fail",
     {.ops = LSM_ENV_CREATE | LSM_ENV_RENAME | LSM_ENV_UNLINK | LSM_ENV_MKDIR | LSM_ENV_TRUNCATE | LSM_ENV_ALLOCATE}},
    {"read fails", {.ops = LSM_ENV_READ}},
    {"list fails", {.ops = LSM_ENV_LIST}},
    {"lock fails", {.ops = LSM_ENV_LOCK}},
    {"anything fails", {.ops = LSM_ENV_ALL}},
};

/* One run with the fault at its at-th operation. False: it never happened. */
static bool run_fault(const struct fault_kind *kind, uint64_t at, bool sticky) {
    int64_t live = lsm_mem_live();
    struct lsm_env_fault fault = kind->fault;
    world_init(&world, lsm_env_mem_new_strict(), 5);
    assert_non_null(world.env);
    doing = kind->name;
    for_good = sticky;
    point = at;
    failures = 0;
    fault.at = at;
    fault.sticky = sticky;
    lsm_env_mem_fail_at(world.env, &fault);
    everything();
    bool happened = lsm_env_mem_faults(world.env) != 0;
    lsm_env_mem_fail_at(world.env, NULL);
    recover();
    lsm_env_mem_free(world.env);
    if (lsm_mem_live() != live) fail_msg("%s, point %llu: %lld allocations leaked", doing, point, (long long)(lsm_mem_live() - live));
    return happened;
}

static void fail_everywhere(bool sticky) {
    unsigned long long points = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        uint64_t at = 1;
        /* Once it is clear what a fault for good does, every third place will do. */
        while (run_fault(&kinds[k], at, sticky)) at += sticky && at > 40 ? 3 : 1, points++;
    }
    print_message("  %llu points\n", points);
}

static void an_operation_that_fails_once_harms_nothing(void **state) {
    (void)state;
    fail_everywhere(false);
    assert_true(merged > 1000);
}

static void operations_that_fail_for_good_harm_nothing(void **state) {
    (void)state;
    fail_everywhere(true);
}

/* ---- no space ------------------------------------------------------------------------------------------------------------------- */

/* The limit comes at the n-th mutating operation. */
struct limit {
    uint64_t at, seen;
};

static void limit_space(void *arg, const struct lsm_env_op *op) {
    struct limit *limit = arg;
    (void)op;
    if (++limit->seen == limit->at) lsm_env_mem_set_space(world.env, 1);
}

static void a_full_disk_heals_without_reopening_when_space_returns(void **state) {
    (void)state;
    unsigned long long runs = 0;
    for (uint64_t at = 12;; at += 3, runs++) {
        struct limit limit = {.at = at};
        int64_t live = lsm_mem_live();
        world_init(&world, lsm_env_mem_new_strict(), 9);
        doing = "full disk";
        for_good = false;
        point = at;
        failures = 0;
        MUST(world_open(&world));
        change_trees(0, -1);
        lsm_env_mem_on_op(world.env, limit_space, &limit);
        for (unsigned i = 0; i < 5; i++) {
            write_rows(0, 12);
            (void)WENT(world_flush(&world));
        }
        (void)WENT(world_compact(&world));
        write_rows(0, 60);
        read_all();
        lsm_env_mem_on_op(world.env, NULL, NULL);
        lsm_env_mem_set_space(world.env, UINT64_MAX);
        size_t before = world.commits;
        unsigned failed = failures;
        MUST(world_write(&world, 0, 5, LSM_SYNC_FULL));
        assert_int_equal(world.commits, before + 1);
        MUST(world_flush(&world));
        MUST(world_compact(&world));
        const char *wrong = world_differs(&world, world.store);
        if (wrong != NULL) fail_msg("full disk, point %llu: %s", point, wrong);
        struct lsm_stats stats;
        lsm_store_stats(world.store, &stats);
        assert_int_equal(stats.background_status, LSM_OK);
        recover();
        lsm_env_mem_free(world.env);
        assert_int_equal(lsm_mem_live(), live);
        if (failed == 0 && limit.seen < at) break;
    }
    print_message("  %llu points\n", runs);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------------- */

static bool run_nomem(int64_t at, bool sticky) {
    int64_t live = lsm_mem_live();
    world_init(&world, lsm_env_mem_new_strict(), 5);
    doing = sticky ? "no memory any more" : "no memory once";
    for_good = sticky;
    point = (unsigned long long)at;
    failures = 0;
    uint64_t calls = lsm_mem_calls();
    lsm_mem_fail_after(at, sticky);
    everything();
    bool happened = lsm_mem_calls() - calls >= (uint64_t)at;
    lsm_mem_fail_after(0, false);
    recover();
    lsm_env_mem_free(world.env);
    if (lsm_mem_live() != live) fail_msg("%s, point %llu: %lld allocations leaked", doing, point, (long long)(lsm_mem_live() - live));
    return happened;
}

static void an_allocation_that_fails_once_harms_nothing(void **state) {
    (void)state;
    int64_t at = 1;
    while (run_nomem(at, false)) at += at < 400 ? 1 : at < 2000 ? 3 : 11;
    print_message("  up to allocation %lld\n", (long long)at);
}

static void allocations_that_fail_for_good_harm_nothing(void **state) {
    (void)state;
    int64_t at = 1;
    while (run_nomem(at, true)) at += at < 100 ? 1 : at < 2000 ? 7 : 31;
    print_message("  up to allocation %lld\n", (long long)at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_that_fails_once_harms_nothing),
        cmocka_unit_test(operations_that_fail_for_good_harm_nothing),
        cmocka_unit_test(a_full_disk_heals_without_reopening_when_space_returns),
        cmocka_unit_test(an_allocation_that_fails_once_harms_nothing),
        cmocka_unit_test(allocations_that_fail_for_good_harm_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
