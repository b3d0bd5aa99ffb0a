/* The file system in memory as programs see it: the plain and the strict one must not differ. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/env/sync.h"

#define RW_CREATE (LSM_OPEN_WRITE | LSM_OPEN_CREATE)

static int set_up_plain(void **state) {
    *state = lsm_env_mem_new();
    return *state == NULL;
}

static int set_up_strict(void **state) {
    *state = lsm_env_mem_new_strict();
    return *state == NULL;
}

static int tear_down(void **state) {
    lsm_env_mem_free(*state);
    return lsm_mem_live() == 0 ? 0 : -1;
}

static struct lsm_file *open_ok(struct lsm_env *env, const char *path, unsigned flags) {
    struct lsm_file *file;
    struct lsm_error err = {0};
    if (lsm_env_open(env, path, flags, NULL, &file, &err) != LSM_OK) fail_msg("%s", err.text);
    return file;
}

static void expect_content(struct lsm_env *env, const char *path, const char *bytes, size_t size) {
    uint8_t *found;
    size_t found_size;
    assert_int_equal(lsm_env_mem_read_file(env, path, &found, &found_size), LSM_OK);
    assert_int_equal(found_size, size);
    assert_memory_equal(found, bytes, size);
    lsm_free(found);
}

static void what_is_written_is_read(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = open_ok(env, "f", RW_CREATE);
    char back[16];
    size_t got;
    uint64_t size;
    assert_int_equal(lsm_file_write_at(file, 3, "hello", 5, NULL), LSM_OK);
    assert_int_equal(lsm_file_size(file, &size, NULL), LSM_OK);
    assert_true(size == 8);
    assert_int_equal(lsm_file_read_at(file, 0, back, sizeof back, &got, NULL), LSM_OK);
    assert_int_equal(got, 8);
    assert_memory_equal(back, "\0\0\0hello", 8);
    assert_int_equal(lsm_file_read_at(file, 8, back, sizeof back, &got, NULL), LSM_OK);
    assert_int_equal(got, 0);
    assert_int_equal(lsm_file_truncate(file, 5, NULL), LSM_OK);
    assert_int_equal(lsm_file_truncate(file, 7, NULL), LSM_OK);
    expect_content(env, "f", "\0\0\0he\0\0", 7);
    assert_int_equal(lsm_file_write_at(file, 0, NULL, 0, NULL), LSM_OK);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    lsm_file_close(file);
}

static void directories_list_what_is_in_them(void **state) {
    struct lsm_env *env = *state;
    struct lsm_names names;
    struct lsm_error err = {0};
    assert_int_equal(lsm_env_mkdir(env, "d", NULL, NULL), LSM_OK);
    lsm_file_close(open_ok(env, "d/one", RW_CREATE));
    lsm_file_close(open_ok(env, "two", RW_CREATE));
    assert_int_equal(lsm_env_list(env, "d", &names, NULL), LSM_OK);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.names[0], "one");
    lsm_names_free(&names);
    assert_int_equal(lsm_env_list(env, "/", &names, NULL), LSM_OK);
    assert_int_equal(names.count, 2);
    lsm_names_free(&names);
    assert_int_equal(lsm_env_list(env, "e", &names, NULL), LSM_NOTFOUND);
    assert_int_equal(lsm_env_list(env, "two", &names, NULL), LSM_IO);
    assert_int_equal(lsm_env_rmdir(env, "d", &err), LSM_IO);
    assert_int_equal(err.os_errno, ENOTEMPTY);
    assert_int_equal(lsm_env_rmdir(env, "two", NULL), LSM_IO);
    assert_int_equal(lsm_env_unlink(env, "d", NULL), LSM_IO);
    assert_int_equal(lsm_env_unlink(env, "d/one", NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(env, "d/one", NULL), LSM_NOTFOUND);
    assert_int_equal(lsm_env_rmdir(env, "d", NULL), LSM_OK);
    assert_int_equal(lsm_env_sync_dir(env, "d", NULL), LSM_NOTFOUND);
    assert_int_equal(lsm_env_sync_dir(env, ".", NULL), LSM_OK);
    assert_int_equal(lsm_env_rmdir(env, "/", NULL), LSM_IO);
}

static void renaming_replaces_and_moves_between_directories(void **state) {
    struct lsm_env *env = *state;
    struct lsm_error err = {0};
    bool exists;
    assert_int_equal(lsm_env_mkdir(env, "d", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_mkdir(env, "d/sub", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_mem_write_file(env, "new", "new", 3), LSM_OK);
    assert_int_equal(lsm_env_mem_write_file(env, "d/old", "old", 3), LSM_OK);
    assert_int_equal(lsm_env_rename(env, "new", "d/old", NULL), LSM_OK);
    expect_content(env, "d/old", "new", 3);
    assert_int_equal(lsm_env_exists(env, "new", &exists, NULL), LSM_OK);
    assert_false(exists);
    assert_int_equal(lsm_env_rename(env, "d/old", "d/old", NULL), LSM_OK);
    assert_int_equal(lsm_env_rename(env, "nothing", "d/old", &err), LSM_NOTFOUND);
    assert_int_equal(lsm_env_rename(env, "d/old", "no/where", &err), LSM_NOTFOUND);
    assert_non_null(strstr(err.text, "no/where"));
    assert_int_equal(lsm_env_rename(env, "d/old", "d/sub", &err), LSM_IO);
    assert_int_equal(lsm_env_rename(env, "d/sub", "d/old", &err), LSM_IO);
    assert_int_equal(lsm_env_rename(env, "d", "d/sub/d", &err), LSM_IO);
    assert_int_equal(lsm_env_rename(env, "d", "e", NULL), LSM_OK);
    expect_content(env, "e/old", "new", 3);
}

static void a_removed_file_lives_while_it_is_open(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *old = open_ok(env, "f", RW_CREATE);
    char back[3];
    size_t got;
    assert_int_equal(lsm_file_write_at(old, 0, "old", 3, NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(env, "f", NULL), LSM_OK);
    struct lsm_file *new = open_ok(env, "f", RW_CREATE | LSM_OPEN_EXCL);
    assert_int_equal(lsm_file_write_at(new, 0, "new", 3, NULL), LSM_OK);
    assert_int_equal(lsm_file_read_at(old, 0, back, 3, &got, NULL), LSM_OK);
    assert_memory_equal(back, "old", 3);
    assert_int_equal(lsm_file_sync(old, NULL), LSM_OK);
    lsm_file_close(old);
    expect_content(env, "f", "new", 3);
    lsm_file_close(new);
}

static void a_file_opened_for_reading_is_not_written(void **state) {
    struct lsm_env *env = *state;
    struct lsm_error err = {0};
    lsm_file_close(open_ok(env, "f", RW_CREATE));
    struct lsm_file *file = open_ok(env, "f", LSM_OPEN_READ);
    assert_int_equal(lsm_file_write_at(file, 0, "x", 1, &err), LSM_IO);
    assert_int_equal(err.os_errno, EBADF);
    assert_int_equal(lsm_file_truncate(file, 0, NULL), LSM_IO);
    assert_int_equal(lsm_file_allocate(file, 0, 10, NULL), LSM_IO);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_IO);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    lsm_file_close(file);
}

static void reserving_gigabytes_costs_nothing_and_nonsense_is_refused(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = open_ok(env, "f", RW_CREATE);
    uint8_t back[3] = {1, 1, 1};
    size_t got;
    uint64_t calls = lsm_mem_calls(), gigabytes = (uint64_t)100 << 30;
    assert_int_equal(lsm_file_allocate(file, 0, gigabytes, NULL), LSM_OK);
    assert_int_equal(lsm_file_read_at(file, gigabytes - 2, back, 3, &got, NULL), LSM_OK);
    assert_int_equal(got, 2);
    assert_memory_equal(back, "\0\0\1", 3);
    assert_int_equal(lsm_file_truncate(file, 1, NULL), LSM_OK);
    assert_int_equal(lsm_file_allocate(file, 0, 0, NULL), LSM_OK);
    assert_true(lsm_mem_calls() - calls < 5);
    assert_int_equal(lsm_file_truncate(file, UINT64_MAX, NULL), LSM_FULL);
    assert_int_equal(lsm_file_allocate(file, UINT64_MAX, 2, NULL), LSM_FULL);
    assert_int_equal(lsm_file_allocate(file, 2, UINT64_MAX - 1, NULL), LSM_FULL);
    assert_int_equal(lsm_file_write_at(file, UINT64_MAX, "ab", 2, NULL), LSM_FULL);
    assert_int_equal(lsm_env_mem_file_size(env, "f", &calls), LSM_OK);
    assert_true(calls == 1);
    lsm_file_close(file);
}

static void locks_exclude_other_opens(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *a = open_ok(env, "lock", RW_CREATE), *b = open_ok(env, "lock", LSM_OPEN_WRITE);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_BUSY);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_SHARED, NULL), LSM_BUSY);
    assert_int_equal(lsm_file_lock(b, 1, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_BUSY);
    assert_int_equal(lsm_file_lock(b, 0, LSM_UNLOCK, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 7, LSM_UNLOCK, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_file_close(a);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_file_close(b);
    b = open_ok(env, "lock", LSM_OPEN_WRITE);
    assert_int_equal(lsm_file_lock(b, 1, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_file_close(b);
}

static void the_clock_can_be_set(void **state) {
    struct lsm_env *env = *state;
    assert_true(lsm_env_now_us(env) > (uint64_t)1600000000 * 1000000);
    lsm_env_mem_set_clock(env, 5000);
    assert_true(lsm_env_now_us(env) == 5000);
    uint64_t start = lsm_env_monotonic_us(env);
    lsm_env_sleep_us(env, 1000000);
    assert_true(lsm_env_now_us(env) == 1005000);
    assert_true(lsm_env_monotonic_us(env) >= start);
    lsm_env_mem_set_clock(env, (uint64_t)1 << 60);
    uint64_t later = lsm_env_monotonic_us(env);
    assert_true(later == (uint64_t)1 << 60);
    lsm_env_mem_set_clock(env, 0);
    assert_true(lsm_env_monotonic_us(env) >= later);
}

static void space_runs_out_and_comes_back(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *a = open_ok(env, "a", RW_CREATE), *b = open_ok(env, "b", RW_CREATE);
    struct lsm_error err = {0};
    uint64_t size;
    lsm_env_mem_set_space(env, 10);
    assert_int_equal(lsm_file_write_at(a, 0, "123456", 6, NULL), LSM_OK);
    assert_int_equal(lsm_file_write_at(b, 0, "123456", 6, &err), LSM_FULL);
    assert_int_equal(err.os_errno, ENOSPC);
    expect_content(env, "b", "1234", 4);
    assert_int_equal(lsm_file_write_at(b, 4, "x", 1, NULL), LSM_FULL);
    assert_int_equal(lsm_file_allocate(b, 0, 5, NULL), LSM_FULL);
    assert_int_equal(lsm_file_write_at(b, 0, "abcd", 4, NULL), LSM_OK); /* no growth */
    assert_int_equal(lsm_env_unlink(env, "a", NULL), LSM_OK);
    assert_int_equal(lsm_file_write_at(b, 4, "x", 1, NULL), LSM_FULL); /* still open */
    lsm_file_close(a);
    assert_int_equal(lsm_file_write_at(b, 4, "123456", 6, NULL), LSM_OK);
    assert_int_equal(lsm_file_write_at(b, 10, "x", 1, NULL), LSM_FULL);
    lsm_env_mem_set_space(env, UINT64_MAX);
    assert_int_equal(lsm_file_write_at(b, 10, "x", 1, NULL), LSM_OK);
    assert_int_equal(lsm_env_mem_file_size(env, "b", &size), LSM_OK);
    assert_true(size == 11);
    lsm_file_close(b);
}

static void tests_can_damage_a_file_under_an_open_handle(void **state) {
    struct lsm_env *env = *state;
    char back[8];
    size_t got;
    uint64_t size;
    assert_int_equal(lsm_env_mem_write_file(env, "p/q/f", "before", 6), LSM_OK);
    struct lsm_file *file = open_ok(env, "p/q/f", LSM_OPEN_WRITE);
    assert_int_equal(lsm_file_write_at(file, 6, "!", 1, NULL), LSM_OK);
    assert_int_equal(lsm_env_mem_write_file(env, "p/q/f", "after", 5), LSM_OK);
    assert_int_equal(lsm_file_read_at(file, 0, back, sizeof back, &got, NULL), LSM_OK);
    assert_int_equal(got, 5);
    assert_memory_equal(back, "after", 5);
    lsm_file_close(file);
    assert_int_equal(lsm_env_mem_write_file(env, "p/q", "x", 1), LSM_NOTFOUND);
    assert_int_equal(lsm_env_mem_write_file(env, "p/q/f/g", "x", 1), LSM_NOTFOUND);
    uint8_t *bytes;
    assert_int_equal(lsm_env_mem_read_file(env, "p/q", &bytes, &got), LSM_NOTFOUND);
    assert_int_equal(lsm_env_mem_file_size(env, "nothing", &size), LSM_NOTFOUND);
}

/* Random reads, writes and size changes against an array. */
#define MODEL_BYTES_MAX 60000

static void a_file_behaves_like_an_array(void **state) {
    struct lsm_env *env = *state;
    static uint8_t model[MODEL_BYTES_MAX], buf[MODEL_BYTES_MAX];
    uint64_t seed = lsm_env_now_us(env), model_size = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    struct lsm_file *file = open_ok(env, "f", RW_CREATE);
    memset(model, 0, sizeof model);
    for (int step = 0; step < 3000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t offset = (random >> 20) % MODEL_BYTES_MAX, size = (random >> 40) % 20000;
        if (size > MODEL_BYTES_MAX - offset) size = MODEL_BYTES_MAX - offset;
        size_t got;
        uint64_t end = offset + size, size_now;
        switch (random >> 60) {
        case 0:
            assert_int_equal(lsm_file_truncate(file, offset, NULL), LSM_OK);
            if (offset < model_size) memset(model + offset, 0, model_size - offset);
            model_size = offset;
            break;
        case 1:
            assert_int_equal(lsm_file_allocate(file, offset, size, NULL), LSM_OK);
            if (size > 0 && end > model_size) model_size = end;
            break;
        case 2: assert_int_equal(lsm_file_sync(file, NULL), LSM_OK); break;
        case 3:
        case 4:
        case 5:
        case 6:
            memset(buf, (int)(random >> 30), size);
            assert_int_equal(lsm_file_write_at(file, offset, buf, size, NULL), LSM_OK);
            if (size > 0) memcpy(model + offset, buf, size);
            if (size > 0 && end > model_size) model_size = end;
            break;
        default:
            assert_int_equal(lsm_file_read_at(file, offset, buf, size, &got, NULL), LSM_OK);
            if (end > model_size) end = model_size;
            assert_int_equal(got, end > offset ? end - offset : 0);
            assert_memory_equal(buf, model + offset, got);
        }
        assert_int_equal(lsm_file_size(file, &size_now, NULL), LSM_OK);
        assert_true(size_now == model_size);
    }
    lsm_file_close(file);
}

struct worker {
    struct lsm_env *env;
    char name[16];
    int failures;
};

static void work(void *arg) {
    struct worker *worker = arg;
    char other[20], byte = 0;
    size_t got;
    (void)snprintf(other, sizeof other, "%s.new", worker->name);
    for (int i = 0; i < 300; i++) {
        struct lsm_file *file;
        if (lsm_env_open(worker->env, worker->name, RW_CREATE, NULL, &file, NULL) != LSM_OK) {
            worker->failures++;
            continue;
        }
        if (lsm_file_write_at(file, (uint64_t)i, "x", 1, NULL) != LSM_OK) worker->failures++;
        if (lsm_file_sync(file, NULL) != LSM_OK) worker->failures++;
        if (lsm_file_read_at(file, (uint64_t)i, &byte, 1, &got, NULL) != LSM_OK || got != 1 || byte != 'x') worker->failures++;
        lsm_file_close(file);
        if (lsm_env_rename(worker->env, worker->name, other, NULL) != LSM_OK) worker->failures++;
        if (lsm_env_sync_dir(worker->env, "/", NULL) != LSM_OK) worker->failures++;
        if (lsm_env_unlink(worker->env, other, NULL) != LSM_OK) worker->failures++;
        struct lsm_env *clone = i % 10 == 0 ? lsm_env_mem_clone_crashed(worker->env, LSM_CRASH_RANDOM, (uint64_t)i) : NULL;
        if (clone != NULL) lsm_env_mem_free(clone);
    }
}

static void many_threads_may_use_it(void **state) {
    struct worker workers[4];
    struct lsm_thread threads[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){.env = *state};
        (void)snprintf(workers[i].name, sizeof workers[i].name, "file%d", i);
        assert_int_equal(lsm_thread_start(&threads[i], "worker", work, &workers[i]), LSM_OK);
    }
    for (int i = 0; i < 4; i++) {
        lsm_thread_join(&threads[i]);
        assert_int_equal(workers[i].failures, 0);
    }
}

/* A little of everything; stops at the first error. */
static int use_everything(struct lsm_env *env) {
    struct lsm_file *file = NULL;
    struct lsm_names names;
    static const uint8_t bytes[20000];
    int status = lsm_env_mkdir(env, "d", NULL, NULL);
    if (status == LSM_OK) status = lsm_env_open(env, "d/f", RW_CREATE, NULL, &file, NULL);
    if (status == LSM_OK) status = lsm_file_write_at(file, 0, bytes, sizeof bytes, NULL);
    if (status == LSM_OK) status = lsm_file_sync(file, NULL);
    if (status == LSM_OK) status = lsm_file_truncate(file, 10, NULL);
    if (status == LSM_OK) status = lsm_file_lock(file, 1, LSM_LOCK_EXCLUSIVE, NULL);
    if (status == LSM_OK) status = lsm_env_list(env, "d", &names, NULL);
    if (status == LSM_OK) lsm_names_free(&names);
    if (status == LSM_OK) status = lsm_env_rename(env, "d/f", "d/g", NULL);
    if (status == LSM_OK) status = lsm_env_sync_dir(env, "d", NULL);
    lsm_file_close(file);
    if (status == LSM_OK) status = lsm_env_mem_write_file(env, "d/h/i", bytes, sizeof bytes);
    if (status == LSM_OK) status = lsm_env_mem_crash(env, LSM_CRASH_RANDOM, 1);
    struct lsm_env *clone = status == LSM_OK ? lsm_env_mem_clone_crashed(env, LSM_CRASH_KEEP, 1) : NULL;
    if (status == LSM_OK && clone == NULL) status = LSM_NOMEM;
    lsm_env_mem_free(clone);
    return status;
}

static void running_out_of_memory_anywhere_leaks_nothing(void **state) {
    bool strict = *state != NULL;
    int64_t live = lsm_mem_live();
    int status = LSM_NOMEM, rounds = 0;
    for (int64_t n = 1; status == LSM_NOMEM; n++, rounds++) {
        lsm_mem_fail_after(n, false);
        struct lsm_env *env = strict ? lsm_env_mem_new_strict() : lsm_env_mem_new();
        status = env != NULL ? use_everything(env) : LSM_NOMEM;
        lsm_mem_fail_after(0, false);
        lsm_env_mem_free(env);
        assert_true(lsm_mem_live() == live);
    }
    assert_int_equal(status, LSM_OK);
    assert_true(rounds > 20);
}

static void a_call_without_memory_changes_nothing(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = open_ok(env, "f", RW_CREATE);
    static uint8_t bytes[30000];
    int status = LSM_NOMEM;
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(lsm_file_write_at(file, 0, "abc", 3, NULL), LSM_OK);
    for (int64_t n = 1; status == LSM_NOMEM; n++) {
        lsm_mem_fail_after(n, false);
        status = lsm_file_write_at(file, 1, bytes, sizeof bytes, NULL);
        lsm_mem_fail_after(0, false);
        if (status == LSM_NOMEM) expect_content(env, "f", "abc", 3);
    }
    assert_int_equal(status, LSM_OK);
    status = LSM_NOMEM;
    for (int64_t n = 1; status == LSM_NOMEM; n++) {
        bool exists;
        lsm_mem_fail_after(n, false);
        status = lsm_env_rename(env, "f", "g", NULL);
        lsm_mem_fail_after(0, false);
        assert_int_equal(lsm_env_exists(env, "f", &exists, NULL), LSM_OK);
        assert_true(exists == (status == LSM_NOMEM));
    }
    assert_int_equal(status, LSM_OK);
    lsm_file_close(file);
}

int main(void) {
#define BOTH(name)                                                                                                                                   \
    {#name " (plain)", name, set_up_plain, tear_down, NULL}, { #name " (strict)", name, set_up_strict, tear_down, NULL }
    const struct CMUnitTest tests[] = {
        BOTH(what_is_written_is_read),
        BOTH(directories_list_what_is_in_them),
        BOTH(renaming_replaces_and_moves_between_directories),
        BOTH(a_removed_file_lives_while_it_is_open),
        BOTH(a_file_opened_for_reading_is_not_written),
        BOTH(reserving_gigabytes_costs_nothing_and_nonsense_is_refused),
        BOTH(locks_exclude_other_opens),
        BOTH(the_clock_can_be_set),
        BOTH(space_runs_out_and_comes_back),
        BOTH(tests_can_damage_a_file_under_an_open_handle),
        BOTH(a_file_behaves_like_an_array),
        BOTH(many_threads_may_use_it),
        BOTH(a_call_without_memory_changes_nothing),
        {"running_out_of_memory_anywhere_leaks_nothing (plain)", running_out_of_memory_anywhere_leaks_nothing, NULL, NULL, NULL},
        BOTH(running_out_of_memory_anywhere_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
