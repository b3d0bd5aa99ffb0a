#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lsm_core/env/env.h"

/* In place of the C library's: does a sync of a directory reach the kernel, and for that directory? */
static unsigned syncs;
static ino_t synced;
int fsync(int fd) {
    struct stat st;
    syncs++;
    synced = fstat(fd, &st) == 0 ? st.st_ino : 0;
    return (int)syscall(SYS_fsync, fd);
}

static char dir[64];
static char path_space[8][128];
static const struct lsm_env_perm owner_only = {.mode = 0600, .uid = -1, .gid = -1};
static const struct lsm_env_perm shared_perm = {.mode = 0664, .uid = -1, .gid = -1};
#define RW_CREATE (LSM_OPEN_WRITE | LSM_OPEN_CREATE)

/* A path in the test's directory; the last eight stay valid. */
static const char *in_dir(const char *name) {
    static unsigned next;
    char *path = path_space[next++ % 8];
    (void)snprintf(path, sizeof path_space[0], "%s/%s", dir, name);
    return path;
}

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/lsm-posix-test-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    (void)state;
    struct lsm_names names;
    if (lsm_env_list(lsm_env_posix(), dir, &names, NULL) != LSM_OK) return -1;
    for (size_t i = 0; i < names.count; i++)
        if (unlink(in_dir(names.names[i])) != 0) (void)rmdir(in_dir(names.names[i]));
    lsm_names_free(&names);
    return rmdir(dir);
}

static struct lsm_file *open_ok(const char *name, unsigned flags, const struct lsm_env_perm *perm) {
    struct lsm_file *file;
    struct lsm_error err = {0};
    if (lsm_env_open(lsm_env_posix(), in_dir(name), flags, perm, &file, &err) != LSM_OK) fail_msg("%s", err.text);
    assert_non_null(file);
    return file;
}

static unsigned mode_of(const char *name) {
    struct stat st;
    assert_int_equal(stat(in_dir(name), &st), 0);
    return st.st_mode & 0777;
}

static void what_is_written_is_read(void **state) {
    (void)state;
    struct lsm_file *file = open_ok("data", RW_CREATE, &owner_only);
    char back[16];
    size_t got = 99;
    uint64_t size = 99;
    assert_int_equal(lsm_file_write_at(file, 3, "hello", 5, NULL), LSM_OK);
    assert_int_equal(lsm_file_size(file, &size, NULL), LSM_OK);
    assert_true(size == 8);
    assert_int_equal(lsm_file_read_at(file, 0, back, sizeof back, &got, NULL), LSM_OK);
    assert_int_equal(got, 8);
    assert_memory_equal(back, "\0\0\0hello", 8);
    assert_int_equal(lsm_file_read_at(file, 100, back, sizeof back, &got, NULL), LSM_OK);
    assert_int_equal(got, 0);
    assert_int_equal(lsm_file_truncate(file, 4, NULL), LSM_OK);
    assert_int_equal(lsm_file_read_at(file, 0, back, sizeof back, &got, NULL), LSM_OK);
    assert_int_equal(got, 4);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    assert_string_equal(file->path, in_dir("data"));
    lsm_file_close(file);
    lsm_file_close(NULL);
}

static void allocating_grows_with_zeros_and_keeps_what_is_there(void **state) {
    (void)state;
    struct lsm_file *file = open_ok("alloc", RW_CREATE, &owner_only);
    struct stat st;
    char back[4];
    size_t got;
    assert_int_equal(lsm_file_write_at(file, 0, "abc", 3, NULL), LSM_OK);
    assert_int_equal(lsm_file_allocate(file, 0, 100000, NULL), LSM_OK);
    assert_int_equal(stat(in_dir("alloc"), &st), 0);
    assert_int_equal(st.st_size, 100000);
    assert_true(st.st_blocks * 512 >= 100000);
    assert_int_equal(lsm_file_read_at(file, 0, back, 4, &got, NULL), LSM_OK);
    assert_memory_equal(back, "abc\0", 4);
    assert_int_equal(lsm_file_allocate(file, 10, 10, NULL), LSM_OK);
    assert_int_equal(stat(in_dir("alloc"), &st), 0);
    assert_int_equal(st.st_size, 100000);
    lsm_file_close(file);
}

static void modes_are_exact_whatever_the_umask(void **state) {
    (void)state;
    mode_t before = umask(077);
    lsm_file_close(open_ok("shared", RW_CREATE, &shared_perm));
    assert_int_equal(lsm_env_mkdir(lsm_env_posix(), in_dir("shared-dir"), &shared_perm, NULL), LSM_OK);
    assert_int_equal(umask(before), 077);
    assert_int_equal(mode_of("shared"), 0664);
    assert_int_equal(mode_of("shared-dir"), 0775);
    lsm_file_close(open_ok("shared", RW_CREATE, &owner_only)); /* there already: as it was */
    assert_int_equal(mode_of("shared"), 0664);
    struct lsm_env_perm mine = {.mode = 0640, .uid = (int64_t)getuid(), .gid = (int64_t)getgid()};
    lsm_file_close(open_ok("mine", RW_CREATE, &mine));
    assert_int_equal(mode_of("mine"), 0640);
}

static void expect_open(const char *name, unsigned flags, int status, int os_errno) {
    struct lsm_file *file;
    struct lsm_error err = {0};
    assert_int_equal(lsm_env_open(lsm_env_posix(), in_dir(name), flags, &owner_only, &file, &err), status);
    assert_null(file);
    assert_int_equal(err.code, status);
    assert_int_equal(err.os_errno, os_errno);
    assert_non_null(strstr(err.text, in_dir(name)));
}

static void opening_fails_with_a_reason(void **state) {
    (void)state;
    expect_open("missing", LSM_OPEN_READ, LSM_NOTFOUND, ENOENT);
    expect_open("missing", LSM_OPEN_WRITE, LSM_NOTFOUND, ENOENT);
    expect_open("no/dir", RW_CREATE, LSM_NOTFOUND, ENOENT);
    lsm_file_close(open_ok("there", RW_CREATE | LSM_OPEN_EXCL, &owner_only));
    expect_open("there", RW_CREATE | LSM_OPEN_EXCL, LSM_IO, EEXIST);
    assert_int_equal(symlink("there", in_dir("link")), 0);
    expect_open("link", LSM_OPEN_READ, LSM_IO, ELOOP);
    expect_open("link", RW_CREATE, LSM_IO, ELOOP);
    assert_int_equal(mkdir(in_dir("subdir"), 0700), 0);
    expect_open("subdir", LSM_OPEN_READ, LSM_IO, EISDIR);
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    expect_open("fifo", LSM_OPEN_READ, LSM_IO, 0);
}

static void writing_to_a_file_opened_for_reading_fails(void **state) {
    (void)state;
    struct lsm_error err = {0};
    lsm_file_close(open_ok("ro", RW_CREATE, &owner_only));
    struct lsm_file *file = open_ok("ro", LSM_OPEN_READ, NULL);
    assert_int_equal(lsm_file_write_at(file, 0, "x", 1, &err), LSM_IO);
    assert_int_equal(err.os_errno, EBADF);
    assert_non_null(strstr(err.text, "1 bytes at offset 0"));
    lsm_file_close(file);
}

static void a_full_disk_says_full(void **state) {
    (void)state;
    struct lsm_file *file = open_ok("limited", RW_CREATE, &owner_only);
    struct lsm_error err = {0};
    /* The file size limit stands in for the disk. SIGXFSZ must not be raised: it would kill this test. */
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct lsm_file *limited = open_ok("limited", LSM_OPEN_WRITE, NULL);
    int within = lsm_file_write_at(limited, 0, "x", 1, NULL), over = lsm_file_write_at(limited, 1000, "x", 1, &err);
    int cut = lsm_file_truncate(limited, 1001, NULL), reserved = lsm_file_allocate(limited, 0, 2000, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(within, LSM_OK);
    assert_int_equal(over, LSM_FULL);
    assert_int_equal(err.os_errno, EFBIG);
    assert_int_equal(cut, LSM_FULL);
    assert_int_equal(reserved, LSM_FULL);
    assert_int_equal(lsm_file_write_at(limited, 1000, "x", 1, NULL), LSM_OK); /* heals when the limit goes */
    assert_int_equal(lsm_file_write_at(file, UINT64_MAX - 1, "xyz", 3, &err), LSM_FULL);
    lsm_file_close(limited);
    lsm_file_close(file);
    if (access("/dev/full", W_OK) == 0) { /* not a regular file: only the opening can be tried */
        struct lsm_file *none;
        assert_int_equal(lsm_env_open(lsm_env_posix(), "/dev/full", LSM_OPEN_WRITE, NULL, &none, NULL), LSM_IO);
    }
}

static int name_order(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void directories_are_made_listed_renamed_and_removed(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_posix();
    struct lsm_names names;
    struct lsm_error err = {0};
    bool exists;
    assert_int_equal(lsm_env_mkdir(env, in_dir("d"), &owner_only, NULL), LSM_OK);
    assert_int_equal(mode_of("d"), 0700);
    assert_int_equal(lsm_env_mkdir(env, in_dir("d"), &owner_only, NULL), LSM_OK);
    lsm_file_close(open_ok("d/one", RW_CREATE, &owner_only));
    lsm_file_close(open_ok("d/two", RW_CREATE, &owner_only));
    assert_int_equal(lsm_env_mkdir(env, in_dir("d/one"), &owner_only, &err), LSM_IO);
    assert_int_equal(lsm_env_rename(env, in_dir("d/two"), in_dir("d/three"), NULL), LSM_OK);
    assert_int_equal(lsm_env_rename(env, in_dir("d/two"), in_dir("d/four"), &err), LSM_NOTFOUND);
    assert_non_null(strstr(err.text, "d/four"));
    assert_int_equal(lsm_env_list(env, in_dir("d"), &names, NULL), LSM_OK);
    assert_int_equal(names.count, 2);
    qsort(names.names, names.count, sizeof *names.names, name_order);
    assert_string_equal(names.names[0], "one");
    assert_string_equal(names.names[1], "three");
    lsm_names_free(&names);
    assert_int_equal(lsm_env_exists(env, in_dir("d/one"), &exists, NULL), LSM_OK);
    assert_true(exists);
    assert_int_equal(lsm_env_exists(env, in_dir("d/two"), &exists, NULL), LSM_OK);
    assert_false(exists);
    assert_int_equal(lsm_env_sync_dir(env, in_dir("d"), NULL), LSM_OK);
    assert_int_equal(lsm_env_rmdir(env, in_dir("d"), &err), LSM_IO);
    assert_int_equal(err.os_errno, ENOTEMPTY);
    assert_int_equal(lsm_env_unlink(env, in_dir("d/one"), NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(env, in_dir("d/one"), NULL), LSM_NOTFOUND);
    assert_int_equal(lsm_env_unlink(env, in_dir("d/three"), NULL), LSM_OK);
    assert_int_equal(lsm_env_rmdir(env, in_dir("d"), NULL), LSM_OK);
    assert_int_equal(lsm_env_list(env, in_dir("d"), &names, NULL), LSM_NOTFOUND);
    assert_int_equal(names.count, 0);
    assert_int_equal(lsm_env_sync_dir(env, in_dir("d"), NULL), LSM_NOTFOUND);
    assert_int_equal(lsm_env_sync_dir(env, "", NULL), LSM_OK);
}

static void locks_exclude_other_opens_in_this_process(void **state) {
    (void)state;
    struct lsm_file *a = open_ok("lock", RW_CREATE, &owner_only), *b = open_ok("lock", LSM_OPEN_WRITE, NULL);
    struct lsm_error err = {0};
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_EXCLUSIVE, &err), LSM_BUSY);
    assert_non_null(strstr(err.text, "locked"));
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_SHARED, NULL), LSM_BUSY);
    assert_int_equal(lsm_file_lock(b, 1, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_file_close(open_ok("lock", LSM_OPEN_READ, NULL)); /* closing another open drops nothing */
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_SHARED, NULL), LSM_BUSY);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_BUSY);
    assert_int_equal(lsm_file_lock(b, 0, LSM_UNLOCK, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_file_close(a);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_file_close(b);
}

static void a_lock_dies_with_its_process(void **state) {
    (void)state;
    int ready[2], how;
    char byte;
    struct lsm_file *mine = open_ok("lock2", RW_CREATE, &owner_only);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct lsm_file *file;
        int status = lsm_env_open(lsm_env_posix(), in_dir("lock2"), LSM_OPEN_WRITE, NULL, &file, NULL);
        if (status == LSM_OK) status = lsm_file_lock(file, 5, LSM_LOCK_EXCLUSIVE, NULL);
        if (status == LSM_OK && write(ready[1], "x", 1) == 1) (void)pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(lsm_file_lock(mine, 5, LSM_LOCK_SHARED, NULL), LSM_BUSY);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(lsm_file_lock(mine, 5, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    (void)close(ready[0]);
    (void)close(ready[1]);
    lsm_file_close(mine);
}

static void files_stay_off_the_standard_streams(void **state) {
    (void)state;
    int how;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct lsm_file *file;
        (void)close(1);
        int status = lsm_env_open(lsm_env_posix(), in_dir("streams"), RW_CREATE, &owner_only, &file, NULL);
        _exit(status == LSM_OK && fcntl(1, F_GETFD) == -1 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

/* The descriptor under an open file. */
static int fd_of(const char *name) {
    struct stat wanted, st;
    assert_int_equal(stat(in_dir(name), &wanted), 0);
    for (int fd = 3; fd < 256; fd++)
        if (fstat(fd, &st) == 0 && st.st_dev == wanted.st_dev && st.st_ino == wanted.st_ino) return fd;
    fail();
    return -1;
}

static void a_failed_sync_poisons_the_file(void **state) {
    (void)state;
    int ends[2];
    struct lsm_error err = {0};
    struct lsm_file *file = open_ok("poison", RW_CREATE, &owner_only);
    int fd = fd_of("poison"), saved = dup(fd);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], fd), fd); /* a pipe cannot be synced */
    assert_int_equal(lsm_file_sync(file, &err), LSM_IO);
    assert_true(err.os_errno != 0);
    assert_int_equal(dup2(saved, fd), fd);
    assert_int_equal(lsm_file_sync(file, &err), LSM_IO);
    assert_non_null(strstr(err.text, "earlier sync"));
    lsm_file_close(file);
    file = open_ok("poison", LSM_OPEN_WRITE, NULL);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    lsm_file_close(file);
    (void)close(saved);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void clocks_run_and_chance_differs(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_posix();
    uint8_t a[32], b[32];
    uint64_t start = lsm_env_monotonic_us(env);
    lsm_env_sleep_us(env, 2000);
    assert_true(lsm_env_monotonic_us(env) - start >= 2000);
    assert_true(lsm_env_now_us(env) > (uint64_t)1600000000 * 1000000);
    assert_int_equal(lsm_env_random(env, a, sizeof a, NULL), LSM_OK);
    assert_int_equal(lsm_env_random(env, b, sizeof b, NULL), LSM_OK);
    assert_memory_not_equal(a, b, sizeof a);
}

static void running_out_of_memory_leaks_nothing(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    int status = LSM_NOMEM;
    for (int64_t n = 1; status == LSM_NOMEM; n++) {
        struct lsm_file *file;
        lsm_mem_fail_after(n, false);
        status = lsm_env_open(lsm_env_posix(), in_dir("nomem"), RW_CREATE, &owner_only, &file, NULL);
        lsm_mem_fail_after(0, false);
        if (status == LSM_OK) lsm_file_close(file);
        assert_true(lsm_mem_live() == live);
    }
    assert_int_equal(status, LSM_OK);
    status = LSM_NOMEM;
    for (int64_t n = 1; status == LSM_NOMEM; n++) {
        struct lsm_names names;
        lsm_mem_fail_after(n, false);
        status = lsm_env_list(lsm_env_posix(), dir, &names, NULL);
        lsm_mem_fail_after(0, false);
        lsm_names_free(&names);
        assert_true(lsm_mem_live() == live);
    }
    assert_int_equal(status, LSM_OK);
}

static void a_directory_is_synced_in_the_kernel(void **state) {
    (void)state;
    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    syncs = 0;
    assert_int_equal(lsm_env_sync_dir(lsm_env_posix(), dir, NULL), LSM_OK);
    assert_true(syncs == 1 && synced == st.st_ino);
}

static void a_directory_that_is_locked_is_synced_without_another_descriptor(void **state) {
    (void)state;
    struct rlimit before, none;
    struct lsm_file *file = NULL;
    assert_int_equal(lsm_env_open(lsm_env_posix(), dir, LSM_OPEN_DIR, NULL, &file, NULL), LSM_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int unlocked = lsm_env_sync_dir(lsm_env_posix(), dir, NULL);
    int status = lsm_file_lock(file, 0, LSM_LOCK_SHARED, NULL);
    syncs = 0;
    int locked = lsm_env_sync_dir(lsm_env_posix(), dir, NULL), other = lsm_env_sync_dir(lsm_env_posix(), "/tmp", NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(unlocked != LSM_OK && status == LSM_OK && locked == LSM_OK && other != LSM_OK && syncs == 1);
    lsm_file_close(file);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(allocating_grows_with_zeros_and_keeps_what_is_there),
        TEST(modes_are_exact_whatever_the_umask),
        TEST(opening_fails_with_a_reason),
        TEST(writing_to_a_file_opened_for_reading_fails),
        TEST(a_full_disk_says_full),
        TEST(directories_are_made_listed_renamed_and_removed),
        TEST(locks_exclude_other_opens_in_this_process),
        TEST(a_lock_dies_with_its_process),
        TEST(files_stay_off_the_standard_streams),
        TEST(a_failed_sync_poisons_the_file),
        TEST(a_directory_is_synced_in_the_kernel),
        TEST(a_directory_that_is_locked_is_synced_without_another_descriptor),
        TEST(clocks_run_and_chance_differs),
        TEST(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
