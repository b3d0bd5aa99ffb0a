/* Operations that fail on demand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "../../lsm_core/env/env_mem.h"

#define RW_CREATE (LSM_OPEN_WRITE | LSM_OPEN_CREATE)

static int set_up(void **state) {
    *state = lsm_env_mem_new_strict();
    return *state == NULL;
}

static int tear_down(void **state) {
    lsm_env_mem_free(*state);
    return lsm_mem_live() == 0 ? 0 : -1;
}

static struct lsm_file *open_ok(struct lsm_env *env, const char *path) {
    struct lsm_file *file;
    assert_int_equal(lsm_env_open(env, path, RW_CREATE, NULL, &file, NULL), LSM_OK);
    return file;
}

static void expect_size(struct lsm_env *env, const char *path, uint64_t size) {
    uint64_t found;
    assert_int_equal(lsm_env_mem_file_size(env, path, &found), LSM_OK);
    assert_true(found == size);
}

/* Ten operations; the status of the first that fails. */
static int ten_operations(struct lsm_env *env) {
    struct lsm_file *file = NULL;
    int status = lsm_env_mkdir(env, "d", NULL, NULL);
    if (status == LSM_OK) status = lsm_env_open(env, "d/f", RW_CREATE, NULL, &file, NULL);
    if (status == LSM_OK) status = lsm_file_allocate(file, 0, 100, NULL);
    if (status == LSM_OK) status = lsm_file_write_at(file, 0, "0123456789", 10, NULL);
    if (status == LSM_OK) status = lsm_file_truncate(file, 10, NULL);
    if (status == LSM_OK) status = lsm_file_sync(file, NULL);
    lsm_file_close(file);
    if (status == LSM_OK) status = lsm_env_rename(env, "d/f", "d/g", NULL);
    if (status == LSM_OK) status = lsm_env_sync_dir(env, "d", NULL);
    if (status == LSM_OK) status = lsm_env_unlink(env, "d/g", NULL);
    if (status == LSM_OK) status = lsm_env_rmdir(env, "d", NULL);
    return status;
}

static void each_mutating_operation_has_a_number_and_can_fail(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 11; n++) {
        struct lsm_env *env = lsm_env_mem_new_strict();
        lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = n});
        int status = ten_operations(env);
        assert_int_equal(status, n <= 10 ? LSM_IO : LSM_OK);
        assert_true(lsm_env_mem_ops(env) == (n <= 10 ? n : 10));
        assert_true(lsm_env_mem_faults(env) == (n <= 10));
        lsm_env_mem_free(env);
    }
}

struct journal {
    struct lsm_env_op ops[16];
    size_t count;
};

static void write_down(void *arg, const struct lsm_env_op *op) {
    struct journal *journal = arg;
    if (journal->count < 16) journal->ops[journal->count++] = *op;
}

static void the_listener_hears_operations_in_order(void **state) {
    struct lsm_env *env = *state;
    struct journal journal = {.count = 0};
    const enum lsm_env_op_kind kinds[] = {LSM_ENV_MKDIR, LSM_ENV_CREATE, LSM_ENV_ALLOCATE, LSM_ENV_WRITE,  LSM_ENV_TRUNCATE,
                                          LSM_ENV_SYNC,  LSM_ENV_RENAME, LSM_ENV_SYNC_DIR, LSM_ENV_UNLINK, LSM_ENV_RMDIR};
    lsm_env_mem_on_op(env, write_down, &journal);
    assert_int_equal(ten_operations(env), LSM_OK);
    assert_int_equal(journal.count, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(journal.ops[i].kind, kinds[i]);
        assert_true(journal.ops[i].number == i + 1);
        assert_int_equal(journal.ops[i].status, LSM_OK);
    }
    assert_string_equal(journal.ops[0].path, "d");
    assert_true(journal.ops[2].size == 100);
    assert_true(journal.ops[3].offset == 0 && journal.ops[3].size == 10);
    assert_string_equal(journal.ops[6].new_path, "d/g");
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .os_errno = ENOSPC});
    assert_int_equal(lsm_env_mkdir(env, "d", NULL, NULL), LSM_FULL);
    assert_int_equal(journal.ops[10].status, LSM_FULL);
    lsm_env_mem_on_op(env, NULL, NULL);
    assert_int_equal(lsm_env_mkdir(env, "d", NULL, NULL), LSM_OK);
    assert_int_equal(journal.count, 11);
}

static void crash_clones(void *arg, const struct lsm_env_op *op) {
    struct lsm_env **env = arg;
    struct lsm_env *left = lsm_env_mem_clone_crashed(*env, LSM_CRASH_RANDOM, op->number);
    assert_non_null(left);
    lsm_env_mem_free(left);
}

static void the_listener_may_clone_a_crash(void **state) {
    struct lsm_env *env = *state;
    lsm_env_mem_on_op(env, crash_clones, &env);
    assert_int_equal(ten_operations(env), LSM_OK);
}

static void a_fault_heals_unless_it_is_sticky(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = open_ok(env, "f");
    struct lsm_error err = {0};
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 2, .os_errno = ENOSPC});
    assert_int_equal(lsm_file_write_at(file, 0, "a", 1, NULL), LSM_OK);
    assert_int_equal(lsm_file_write_at(file, 1, "b", 1, &err), LSM_FULL);
    assert_int_equal(err.os_errno, ENOSPC);
    assert_non_null(strstr(err.text, "f: cannot write"));
    expect_size(env, "f", 1);
    assert_int_equal(lsm_file_write_at(file, 1, "b", 1, NULL), LSM_OK);
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .sticky = true});
    assert_int_equal(lsm_file_write_at(file, 2, "c", 1, NULL), LSM_IO);
    assert_int_equal(lsm_file_write_at(file, 2, "c", 1, NULL), LSM_IO);
    lsm_env_mem_fail_at(env, NULL);
    assert_int_equal(lsm_file_write_at(file, 2, "c", 1, NULL), LSM_OK);
    lsm_file_close(file);
}

static void a_fault_strikes_only_the_paths_asked_for(void **state) {
    struct lsm_env *env = *state;
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 2, .ops = LSM_ENV_MKDIR, .among = "-x"});
    assert_int_equal(lsm_env_mkdir(env, "a-x", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_mkdir(env, "b", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_mkdir(env, "a-x/c", NULL, NULL), LSM_IO);
    assert_int_equal(lsm_env_mkdir(env, "a-x/c", NULL, NULL), LSM_OK);
}

static void a_fault_strikes_only_the_kinds_asked_for(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = open_ok(env, "f"), *other;
    char byte;
    size_t got;
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 2, .ops = LSM_ENV_READ});
    assert_int_equal(lsm_file_write_at(file, 0, "a", 1, NULL), LSM_OK);
    assert_int_equal(lsm_file_read_at(file, 0, &byte, 1, &got, NULL), LSM_OK);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    assert_int_equal(lsm_file_read_at(file, 0, &byte, 1, &got, NULL), LSM_IO);
    assert_int_equal(got, 0);
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_OPEN | LSM_ENV_CREATE, .os_errno = EMFILE, .sticky = true});
    assert_int_equal(lsm_env_open(env, "f", LSM_OPEN_READ, NULL, &other, NULL), LSM_IO);
    assert_int_equal(lsm_env_open(env, "g", RW_CREATE, NULL, &other, NULL), LSM_IO);
    assert_int_equal(lsm_file_write_at(file, 0, "a", 1, NULL), LSM_OK);
    lsm_file_close(file);
}

static void a_short_write_leaves_its_first_half(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = open_ok(env, "f");
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_WRITE, .os_errno = ENOSPC, .short_write = true});
    assert_int_equal(lsm_file_write_at(file, 0, "0123456789", 10, NULL), LSM_FULL);
    expect_size(env, "f", 5);
    lsm_file_close(file);
}

/* What the file holds after a failed sync, good ones on new handles, and a crash. */
static uint64_t size_after_failed_sync(struct lsm_env *env, bool keep) {
    uint64_t size;
    struct lsm_file *file = open_ok(env, "f");
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    assert_int_equal(lsm_file_write_at(file, 0, "0123456789", 10, NULL), LSM_OK);
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_SYNC, .keep_on_sync = keep});
    assert_int_equal(lsm_file_sync(file, NULL), LSM_IO);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_IO); /* poisoned */
    expect_size(env, "f", 10);
    struct lsm_file *again = open_ok(env, "f");
    assert_int_equal(lsm_file_sync(again, NULL), LSM_OK); /* and yet it is not on the disk */
    lsm_file_close(again);
    lsm_file_close(file);
    assert_int_equal(lsm_env_mem_crash(env, LSM_CRASH_KEEP, 1), LSM_OK);
    assert_int_equal(lsm_env_mem_file_size(env, "f", &size), LSM_OK);
    return size;
}

static void a_failed_sync_poisons_and_may_lose_the_data(void **state) {
    assert_true(size_after_failed_sync(*state, false) == 0);
    assert_true(size_after_failed_sync(*state, true) == 10);
}

/* As on ext4, where the pages of the failed write pass for written once and their blocks for never written. */
static void what_is_written_over_pages_that_failed_is_lost_too_unless_they_are_forgotten(void **state) {
    for (unsigned forgotten = 0; forgotten < 2; forgotten++) {
        struct lsm_env *env = *state;
        uint64_t size;
        struct lsm_file *file = open_ok(env, "f");
        assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
        assert_int_equal(lsm_file_write_at(file, 0, "0123456789", 10, NULL), LSM_OK);
        lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_SYNC});
        assert_int_equal(lsm_file_sync(file, NULL), LSM_IO);
        struct lsm_file *again = open_ok(env, "f");
        if (forgotten == 1) lsm_file_forget(again, 0, LSM_FORGET_BYTES);
        assert_int_equal(lsm_file_write_at(again, 0, "0123456789", 10, NULL), LSM_OK);
        assert_int_equal(lsm_file_sync(again, NULL), LSM_OK);
        lsm_file_close(again);
        lsm_file_close(file);
        assert_int_equal(lsm_env_mem_crash(env, LSM_CRASH_KEEP, 1), LSM_OK);
        assert_int_equal(lsm_env_mem_file_size(env, "f", &size), LSM_OK);
        assert_true(size == forgotten * 10);
    }
}

static void a_failed_directory_sync_leaves_names_undecided(void **state) {
    struct lsm_env *env = *state;
    bool exists;
    lsm_file_close(open_ok(env, "f"));
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1});
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_IO);
    struct lsm_env *left = lsm_env_mem_clone_crashed(env, LSM_CRASH_LOSE, 1);
    assert_int_equal(lsm_env_exists(left, "f", &exists, NULL), LSM_OK);
    assert_false(exists);
    lsm_env_mem_free(left);
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    left = lsm_env_mem_clone_crashed(env, LSM_CRASH_LOSE, 1);
    assert_int_equal(lsm_env_exists(left, "f", &exists, NULL), LSM_OK);
    assert_true(exists);
    lsm_env_mem_free(left);
}

static void after_the_cut_everything_fails(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = open_ok(env, "f"), *other;
    struct lsm_names names;
    struct lsm_error err = {0};
    char byte;
    size_t got;
    bool exists;
    lsm_env_mem_cut_at(env, 2);
    assert_int_equal(lsm_file_write_at(file, 0, "a", 1, NULL), LSM_OK);
    assert_int_equal(lsm_file_read_at(file, 0, &byte, 1, &got, NULL), LSM_OK);
    assert_int_equal(lsm_file_write_at(file, 1, "b", 1, &err), LSM_IO);
    assert_non_null(strstr(err.text, "power"));
    expect_size(env, "f", 1);
    assert_int_equal(lsm_file_read_at(file, 0, &byte, 1, &got, NULL), LSM_IO);
    assert_int_equal(lsm_env_open(env, "f", LSM_OPEN_READ, NULL, &other, NULL), LSM_IO);
    assert_int_equal(lsm_env_list(env, "/", &names, NULL), LSM_IO);
    assert_int_equal(lsm_env_exists(env, "f", &exists, NULL), LSM_IO);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_SHARED, NULL), LSM_IO);
    assert_int_equal(lsm_env_unlink(env, "f", NULL), LSM_IO);
    lsm_env_mem_cut_at(env, 0);
    assert_int_equal(lsm_file_read_at(file, 0, &byte, 1, &got, NULL), LSM_OK);
    lsm_file_close(file);
}

static void the_strict_environment_repeats_itself(void **state) {
    (void)state;
    uint8_t a[16], b[16], c[16];
    struct lsm_env *one = lsm_env_mem_new_strict(), *two = lsm_env_mem_new_strict();
    assert_int_equal(lsm_env_random(one, a, sizeof a, NULL), LSM_OK);
    assert_int_equal(lsm_env_random(two, b, sizeof b, NULL), LSM_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(lsm_env_random(one, c, sizeof c, NULL), LSM_OK);
    assert_memory_not_equal(a, c, sizeof a);
    lsm_env_mem_free(one);
    lsm_env_mem_free(two);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_mutating_operation_has_a_number_and_can_fail),
        TEST(the_listener_hears_operations_in_order),
        TEST(the_listener_may_clone_a_crash),
        TEST(a_fault_heals_unless_it_is_sticky),
        TEST(a_fault_strikes_only_the_kinds_asked_for),
        TEST(a_fault_strikes_only_the_paths_asked_for),
        TEST(a_short_write_leaves_its_first_half),
        TEST(a_failed_sync_poisons_and_may_lose_the_data),
        TEST(what_is_written_over_pages_that_failed_is_lost_too_unless_they_are_forgotten),
        TEST(a_failed_directory_sync_leaves_names_undecided),
        TEST(after_the_cut_everything_fails),
        TEST(the_strict_environment_repeats_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
