/* What recovery makes of the last file of the log, which is written on: what is behind the end of it is gone for good, and files with it. */
#include "api_kit.h"

#include <errno.h>
#include <stdlib.h>

#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/store/store.h"
#include "../../lsm_core/wal/wal.h"

#define LOG      "db-lsm/store/00000001.wal"
#define NEXT_LOG "db-lsm/store/00000002.wal"

enum { VALUE_BYTES = 10000 }; /* such a record is written by a call, not through a map, which would leave zeros behind it */

/* The disk that a power cut, or the end of the process, has left; the store that was open goes on elsewhere and is closed. */
static void crash(uint64_t lost_from, uint64_t lost_to) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct lsm_env *left = lsm_env_mem_clone_crashed(world.env, LSM_CRASH_KEEP, 1), *gone = world.env;
    assert_non_null(left);
    MUST(lsm_store_close(world.store, &world.err));
    world.store = NULL;
    lsm_env_mem_free(gone);
    world.env = left;
    world.options.env = left;
    assert_int_equal(lsm_env_mem_read_file(left, LOG, &bytes, &size), LSM_OK);
    uint64_t before = LSM_WAL_HEADER_BYTES - lsm_load_u64(bytes + 40);
    assert_true(before + lost_to <= size);
    memset(bytes + before + lost_from, 0, (size_t)(lost_to - lost_from));
    assert_int_equal(lsm_env_mem_write_file(left, LOG, bytes, size), LSM_OK);
    lsm_free(bytes);
}

static void go_on_after_a_crash(uint64_t lost_from, uint64_t lost_to) {
    crash(lost_from, lost_to);
    MUST(lsm_store_open(&world.options, &world.store, &world.err));
}

static bool has(const char *key) {
    struct lsm_view *view = view_of(NULL);
    int status = lsm_view_get(view, tree_of(0), text(key), NULL, &world.err);
    lsm_view_close(view);
    return status == LSM_OK;
}

static void commit(const char *key, char value) {
    uint8_t *bytes = malloc(VALUE_BYTES);
    assert_non_null(bytes);
    memset(bytes, value, VALUE_BYTES);
    commit_row(tree_of(0), text(key), lsm_slice_of(bytes, VALUE_BYTES));
    free(bytes);
}

/* Transactions one, two and three; the power cut takes the first of them from the disk. Then come the first, or one like it, and the second once more, at the
 * same time by a clock that begins anew with each start of the machine: to the record of the third nothing has changed. */
static void lose_and_repeat(char first) {
    lsm_env_mem_set_clock(world.env, 5000000);
    uint64_t low = lsm_store_writers_end(world.store);
    commit("one", 'x');
    uint64_t high = lsm_store_writers_end(world.store);
    commit("two", '2');
    commit("three", '3');
    go_on_after_a_crash(low, high);
    assert_true(!has("one") && !has("two") && !has("three"));
    lsm_env_mem_set_clock(world.env, 5000000);
    commit("one", first);
    assert_int_equal(lsm_store_writers_end(world.store), high);
    commit("two", '2');
    go_on_after_a_crash(low, low);
    assert_true(has("one") && has("two"));
    assert_false(has("three"));
}

static void what_was_lost_does_not_come_back_behind_the_same_transactions(void **state) {
    (void)state;
    lose_and_repeat('x');
}

static void what_was_lost_does_not_come_back_behind_others(void **state) {
    (void)state;
    lose_and_repeat('y');
}

/* A transaction in the first file and one in the second. */
static void commit_in_two_files(uint64_t *low, uint64_t *high) {
    bool there = false;
    *low = lsm_store_writers_end(world.store);
    commit("one", 'x');
    *high = lsm_store_writers_end(world.store);
    world.store->wait_until_us[LSM_WORK_FLUSH] = UINT64_MAX;
    MUST(lsm_store_lock_writer(world.store, 0, &world.err));
    MUST(lsm_store_roll(world.store, &world.err));
    lsm_store_unlock_writer(world.store);
    commit("two", '2');
    MUST(lsm_env_sync_dir(world.env, "db-lsm/store", &world.err));
    MUST(lsm_env_exists(world.env, NEXT_LOG, &there, &world.err));
    assert_true(there);
}

/* A later file goes with what was lost before it. If it came back with the next power cut, it would go on behind transactions that are like those. */
static void a_file_behind_what_was_lost_is_gone_for_good(void **state) {
    (void)state;
    bool there = true;
    uint64_t low, high;
    commit_in_two_files(&low, &high);
    go_on_after_a_crash(low, high);
    assert_true(!has("one") && !has("two"));
    struct lsm_env *after = lsm_env_mem_clone_crashed(world.env, LSM_CRASH_LOSE, 1);
    assert_non_null(after);
    MUST(lsm_env_exists(after, NEXT_LOG, &there, &world.err));
    lsm_env_mem_free(after);
    assert_false(there);
}

/* Who cannot remove it does not write in front of it. */
static void a_file_behind_what_was_lost_that_cannot_be_removed_is_told(void **state) {
    (void)state;
    uint64_t low, high;
    commit_in_two_files(&low, &high);
    crash(low, high);
    lsm_env_mem_fail_at(world.env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_UNLINK, .among = NEXT_LOG, .os_errno = EACCES, .sticky = true});
    assert_int_equal(lsm_store_open(&world.options, &world.store, &world.err), LSM_READONLY);
    assert_non_null(strstr(world.err.text, NEXT_LOG));
    lsm_env_mem_fail_at(world.env, NULL);
    MUST(lsm_store_open(&world.options, &world.store, &world.err));
    assert_true(!has("one") && !has("two"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_was_lost_does_not_come_back_behind_the_same_transactions),
        TEST(what_was_lost_does_not_come_back_behind_others),
        TEST(a_file_behind_what_was_lost_is_gone_for_good),
        TEST(a_file_behind_what_was_lost_that_cannot_be_removed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
