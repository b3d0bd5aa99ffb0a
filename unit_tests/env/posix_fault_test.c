/* System calls that fail or are interrupted under env_posix: what is interrupted is made again, and what fails says so, of which file, and leaves nothing behind. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../../lsm_core/base/base.h"
#include "../../lsm_core/env/env.h"
#include "../../lsm_core/env/sync.h"
#include "sys_calls.h"

#define RW_CREATE (LSM_OPEN_WRITE | LSM_OPEN_CREATE)
enum { WINDOW_AFTER = 8, RECORD_BYTES = 100, RECORDS = 40, FILE_BYTES = 1 << 20, MAGIC_TMPFS = 0x01021994, MAGIC_XFS = 0x58465342 };

static char dir[64], path[96], other[96];
static struct lsm_env *env;
static struct lsm_file *file;
static struct lsm_error err;
static const struct lsm_env_perm as_owner = {.mode = 0640, .uid = 12345, .gid = 54321};
static const struct lsm_env_perm plain = {.mode = 0600, .uid = -1, .gid = -1};

static int set_up(void **state) {
    (void)state;
    env = lsm_env_posix();
    (void)snprintf(dir, sizeof dir, "/tmp/lsm-posix-fault-XXXXXX");
    if (mkdtemp(dir) == NULL) return -1;
    (void)snprintf(path, sizeof path, "%s/file", dir);
    (void)snprintf(other, sizeof other, "%s/other", dir);
    return lsm_env_open(env, path, RW_CREATE, &plain, &file, &err);
}

static int tear_down(void **state) {
    (void)state;
    sys_heal();
    sys.fs_type = 0;
    lsm_file_close(file);
    (void)unlink(path);
    (void)unlink(other);
    return rmdir(dir);
}

/* ---- one operation of each kind, by name --------------------------------------------------------------------------------------- */

static int do_open(void) {
    struct lsm_file *opened = NULL;
    int status = lsm_env_open(env, path, LSM_OPEN_WRITE, NULL, &opened, &err);
    assert_true((opened != NULL) == (status == LSM_OK));
    lsm_file_close(opened);
    return status;
}

static int create(const struct lsm_env_perm *perm, unsigned *mode) {
    struct lsm_file *opened = NULL;
    struct stat st = {0};
    (void)unlink(other);
    int status = lsm_env_open(env, other, RW_CREATE, perm, &opened, &err);
    lsm_file_close(opened);
    sys_heal();
    assert_true((stat(other, &st) == 0) == (status == LSM_OK)); /* a file that did not get its permissions does not stay */
    *mode = st.st_mode & 0777;
    return status;
}

static int do_create(void) {
    unsigned mode;
    return create(&plain, &mode);
}

static int do_create_as_owner(void) {
    unsigned mode;
    return create(&as_owner, &mode);
}

static int do_read(void) {
    char bytes[4] = "";
    size_t got = 0;
    int status = lsm_file_write_at(file, 0, "abc", 3, &err);
    assert_int_equal(status, LSM_OK);
    status = lsm_file_read_at(file, 0, bytes, 3, &got, &err);
    if (status == LSM_OK) assert_true(got == 3 && strcmp(bytes, "abc") == 0);
    return status;
}

static int do_write(void) {
    struct stat st;
    int status = lsm_file_write_at(file, 10, "abc", 3, &err);
    if (status != LSM_OK) return status;
    assert_true(stat(path, &st) == 0 && st.st_size == 13);
    return status;
}

static int do_sync(void) { return lsm_file_sync(file, &err); }

static int do_truncate(void) {
    struct stat st;
    int status = lsm_file_truncate(file, 77, &err);
    if (status != LSM_OK) return status;
    assert_true(stat(path, &st) == 0 && st.st_size == 77);
    return status;
}

static int do_allocate(void) {
    struct stat st;
    int status = lsm_file_allocate(file, 0, 5000, &err);
    if (status != LSM_OK) return status;
    assert_true(stat(path, &st) == 0 && st.st_size == 5000);
    return status;
}

static int do_size(void) {
    uint64_t size;
    return lsm_file_size(file, &size, &err);
}

static int do_sync_dir(void) { return lsm_env_sync_dir(env, dir, &err); }

static int do_list(void) {
    struct lsm_names names;
    int status = lsm_env_list(env, dir, &names, &err);
    lsm_names_free(&names);
    return status;
}

static int do_exists(void) {
    bool exists;
    return lsm_env_exists(env, path, &exists, &err);
}

static int do_mkdir(void) {
    struct stat st;
    int status = lsm_env_mkdir(env, other, &as_owner, &err);
    sys_heal();
    assert_true((stat(other, &st) == 0) == (status == LSM_OK));
    (void)rmdir(other);
    return status;
}

static int do_lock(void) {
    int status = lsm_file_lock(file, 3, LSM_LOCK_EXCLUSIVE, &err);
    if (status == LSM_OK) assert_int_equal(lsm_file_lock(file, 3, LSM_UNLOCK, &err), LSM_OK);
    return status;
}

static int do_look_at_lock(void) {
    bool locked = true;
    int status = lsm_file_locked(file, 3, &locked, &err);
    assert_false(locked);
    return status;
}

static int do_lock_dir(void) {
    struct lsm_file *opened = NULL;
    assert_int_equal(lsm_env_open(env, dir, LSM_OPEN_DIR, NULL, &opened, &err), LSM_OK);
    int status = lsm_file_lock(opened, 0, LSM_LOCK_EXCLUSIVE, &err);
    lsm_file_close(opened);
    return status;
}

static int do_map(void) {
    void *bytes = NULL;
    assert_int_equal(ftruncate(open(path, O_RDWR), 4096), 0);
    int status = lsm_file_map(file, 4096, &bytes, &err);
    assert_true((bytes != NULL) == (status == LSM_OK));
    return status;
}

static int do_same(void) {
    bool same = false;
    int status = lsm_file_same(file, &same, &err);
    assert_true(same == (status == LSM_OK));
    return status;
}

static int do_can_share(void) {
    const char *why;
    return lsm_env_can_share(env, dir, &why, &err);
}

static int do_random(void) {
    uint8_t bytes[64] = {0}, zeros[64] = {0};
    int status = lsm_env_random(env, bytes, sizeof bytes, &err);
    if (status == LSM_OK) assert_memory_not_equal(bytes, zeros, sizeof zeros);
    return status;
}

static int do_sleep(void) {
    uint64_t start = lsm_env_monotonic_us(env);
    lsm_env_sleep_us(env, 1000);
    assert_true(lsm_env_monotonic_us(env) - start >= 1000);
    return LSM_OK;
}

/* ---- tests --------------------------------------------------------------------------------------------------------------------- */

static void what_is_interrupted_is_made_again(void **state) {
    (void)state;
    static const struct {
        const char *call;
        int (*operation)(void);
    } cases[] = {{"open", do_open},        {"create", do_create},    {"open", do_sync_dir},      {"pread", do_read},
                 {"pwrite", do_write},     {"fdatasync", do_sync},   {"ftruncate", do_truncate}, {"fallocate", do_allocate},
                 {"fsync", do_sync_dir},   {"fcntl", do_lock},       {"fcntl", do_look_at_lock}, {"flock", do_lock_dir},
                 {"statfs", do_can_share}, {"getrandom", do_random}, {"nanosleep", do_sleep}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sys_fail(cases[i].call, EINTR, 2);
        int status = cases[i].operation();
        if (status != LSM_OK || (sys.fault[0].call != NULL && sys_seen() < 3))
            fail_msg("%s, case %zu: %s, %u calls", cases[i].call, i, err.text, sys_seen());
    }
}

static void what_fails_says_of_which_file_and_why(void **state) {
    (void)state;
    static const struct {
        const char *call;
        int error;
        int (*operation)(void);
        int status;
        const char *words;
    } cases[] = {
        {"open", EMFILE, do_open, LSM_IO, "cannot open file: Too many open files"},
        {"fstat", EIO, do_open, LSM_IO, "cannot open file"},
        {"fstat", EIO, do_create, LSM_IO, "cannot open or create file"},
        {"create", EACCES, do_create, LSM_READONLY, "cannot open or create file"},
        {"create", EEXIST, do_create, LSM_IO, "cannot open or create file: File exists"},
        {"fchmod", EIO, do_create, LSM_IO, "cannot open or create file"},
        {"fchown", EIO, do_create_as_owner, LSM_IO, "cannot open or create file"},
        {"fchown", EIO, do_mkdir, LSM_IO, "set permissions of new directory"},
        {"open", EMFILE, do_mkdir, LSM_IO, "set permissions of new directory"},
        {"pread", EIO, do_read, LSM_IO, "cannot read 3 bytes at offset 0"},
        {"pwrite", 0, do_write, LSM_IO, "cannot write 3 bytes at offset 10"},
        {"pwrite", ENOSPC, do_write, LSM_FULL, "cannot write 3 bytes at offset 10"},
        {"pwrite", EDQUOT, do_write, LSM_FULL, "the user's disk quota is used up"},
        {"ftruncate", EIO, do_truncate, LSM_IO, "cannot set size of file"},
        {"fstat", EIO, do_size, LSM_IO, "cannot get size of file"},
        {"fallocate", ENOSPC, do_allocate, LSM_FULL, "cannot reserve 5000 bytes at offset 0"},
        {"fdopendir", EIO, do_list, LSM_IO, "cannot list directory"},
        {"readdir", EIO, do_list, LSM_IO, "cannot list directory"},
        {"open", EACCES, do_sync_dir, LSM_READONLY, "cannot sync directory"},
        {"open", EMFILE, do_sync_dir, LSM_IO, "cannot sync directory: Too many open files; raise the process's limit of open files (ulimit -n)"},
        {"open", ENFILE, do_sync_dir, LSM_IO, "the system's limit of open files is reached"},
        {"open", EROFS, do_open, LSM_READONLY, "cannot open file: Read-only file system"},
        {"create", EROFS, do_create, LSM_READONLY, "cannot open or create file: Read-only file system"},
        {"pwrite", EFBIG, do_write, LSM_FULL, "the process's file size limit"},
        {"fsync", EIO, do_sync_dir, LSM_IO, "cannot sync directory"},
        {"lstat", EACCES, do_exists, LSM_IO, "cannot look for file"},
        {"fcntl", EIO, do_lock, LSM_IO, "cannot lock file"},
        {"fcntl", EACCES, do_lock, LSM_BUSY, "byte 3 is locked by somebody else"},
        {"fcntl", EIO, do_look_at_lock, LSM_IO, "cannot look at lock of file"},
        {"fstat", EIO, do_map, LSM_IO, "cannot map file"},
        {"mmap", ENOMEM, do_map, LSM_NOMEM, "cannot map file"},
        {"madvise", EINVAL, do_map, LSM_IO, "cannot keep the map of file from forks"},
        {"fstat", EIO, do_same, LSM_IO, "cannot look at open file"},
        {"lstat", EACCES, do_same, LSM_IO, "cannot look at file"},
        {"statfs", EACCES, do_can_share, LSM_IO, "cannot look at the file system of directory"},
        {"getrandom", ENOSYS, do_random, LSM_IO, "cannot get random bytes"},
        {"getrandom", 0, do_random, LSM_IO, "cannot get random bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t live = lsm_mem_live();
        sys_fail(cases[i].call, cases[i].error, UINT32_MAX);
        int status = cases[i].operation();
        sys_heal();
        if (status != cases[i].status || strstr(err.text, cases[i].words) == NULL)
            fail_msg("%s, case %zu: %s '%s'", cases[i].call, i, lsm_status_name(status), err.text);
        assert_true(lsm_mem_live() == live);
    }
}

static void a_file_system_without_owners_and_modes_does_for_new_files(void **state) {
    (void)state;
    static const int refusals[] = {EPERM, EINVAL, EOPNOTSUPP};
    unsigned mode;
    for (size_t i = 0; i < 3; i++) {
        sys_fail("fchown", refusals[i], 1);
        assert_int_equal(create(&as_owner, &mode), LSM_OK);
        assert_int_equal(mode, 0640);
        if (refusals[i] == EINVAL) continue;
        sys_fail("fchmod", refusals[i], 1);
        assert_int_equal(create(&plain, &mode), LSM_OK);
        assert_int_equal(mode & ~0600u, 0);
    }
}

static void an_owner_or_a_group_alone_is_given(void **state) {
    (void)state;
    if (geteuid() != 0) skip();
    for (int i = 0; i < 2; i++) {
        struct lsm_env_perm perm = {.mode = 0600, .uid = i == 0 ? 12345 : -1, .gid = i == 0 ? -1 : 54321};
        unsigned mode;
        struct stat st;
        assert_int_equal(create(&perm, &mode), LSM_OK);
        assert_int_equal(stat(other, &st), 0);
        assert_int_equal(st.st_uid, i == 0 ? 12345 : geteuid());
        assert_int_equal(st.st_gid, i == 0 ? getegid() : 54321);
    }
}

static void a_file_that_comes_and_goes_is_not_tried_for_ever(void **state) {
    (void)state;
    sys_fail("create", EEXIST, UINT32_MAX);
    assert_int_not_equal(do_create(), LSM_OK);
    struct lsm_file *opened = NULL;
    sys_fail("create", EEXIST, 5);
    (void)unlink(other);
    assert_int_equal(lsm_env_open(env, other, RW_CREATE, NULL, &opened, &err), LSM_OK);
    assert_int_equal(sys_seen(), 6);
    lsm_file_close(opened);
    sys_fail("create", EEXIST, 1);
    assert_int_equal(lsm_env_open(env, other, RW_CREATE | LSM_OPEN_EXCL, NULL, &opened, &err), LSM_IO);
    assert_int_equal(sys_seen(), 1);
}

static void space_that_cannot_be_reserved_is_written_and_what_is_there_stays(void **state) {
    (void)state;
    static const int refusals[] = {EOPNOTSUPP, EINVAL, ENOSYS};
    static uint8_t bytes[70001];
    for (size_t i = 0; i < 3; i++) {
        size_t got;
        assert_int_equal(lsm_file_truncate(file, 0, &err), LSM_OK);
        assert_int_equal(lsm_file_write_at(file, 0, "here", 4, &err), LSM_OK);
        sys_fail("fallocate", refusals[i], 1);
        assert_int_equal(lsm_file_allocate(file, 0, 70000, &err), LSM_OK);
        memset(bytes, 1, sizeof bytes);
        assert_int_equal(lsm_file_read_at(file, 0, bytes, sizeof bytes, &got, &err), LSM_OK);
        assert_int_equal(got, 70000);
        assert_memory_equal(bytes, "here", 4);
        for (size_t at = 4; at < got; at++) assert_int_equal(bytes[at], 0);
    }
    sys_fail("fallocate", EOPNOTSUPP, 1);
    sys_fail_too("pwrite", ENOSPC, 1);
    assert_int_equal(lsm_file_allocate(file, 0, 100000, &err), LSM_FULL);
    sys_fail("fallocate", EOPNOTSUPP, 1);
    sys_fail_too("fstat", EIO, 1);
    assert_int_equal(lsm_file_allocate(file, 0, 100000, &err), LSM_IO);
    sys_fail("fallocate", ENOSPC, 1);
    assert_int_equal(lsm_file_allocate(file, 0, 0, &err), LSM_OK); /* nothing is nothing */
    assert_int_equal(sys_seen(), 0);
}

static void an_unsynced_directory_that_the_file_system_does_not_know_is_synced(void **state) {
    (void)state;
    sys_fail("fsync", EINVAL, 1);
    assert_int_equal(lsm_env_sync_dir(env, dir, &err), LSM_OK);
}

/* No descriptor is left: the one that holds the lock does it, interrupted or not, and its failure counts. */
static void a_locked_directory_is_synced_by_its_own_descriptor(void **state) {
    (void)state;
    struct lsm_file *locked = NULL, *elsewhere = NULL;
    assert_int_equal(lsm_env_open(env, dir, LSM_OPEN_DIR, NULL, &locked, &err), LSM_OK);
    assert_int_equal(lsm_env_open(env, "/tmp", LSM_OPEN_DIR, NULL, &elsewhere, &err), LSM_OK);
    assert_int_equal(lsm_file_lock(locked, 0, LSM_LOCK_SHARED, &err), LSM_OK);
    assert_int_equal(lsm_file_lock(elsewhere, 0, LSM_LOCK_SHARED, &err), LSM_OK);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_SHARED, &err), LSM_OK);
    sys_fail("open", ENFILE, 1);
    assert_int_equal(lsm_env_sync_dir(env, dir, &err), LSM_OK);
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sys_fail("fsync", EINTR, 1);
    int interrupted = lsm_env_sync_dir(env, dir, &err);
    unsigned calls = sys_seen();
    sys_fail("fsync", EIO, 1);
    int failed = lsm_env_sync_dir(env, dir, &err);
    sys_heal();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(interrupted, LSM_OK);
    assert_int_equal(calls, 2);
    assert_int_equal(failed, LSM_IO);
    lsm_file_close(elsewhere);
    lsm_file_close(locked);
}

static void without_a_size_limit_to_be_learnt_there_is_none(void **state) {
    (void)state;
    struct lsm_file *opened = NULL;
    sys_fail("getrlimit", EINVAL, 1);
    assert_int_equal(lsm_env_open(env, other, RW_CREATE, NULL, &opened, &err), LSM_OK);
    assert_int_equal(lsm_file_write_at(opened, 100, "x", 1, &err), LSM_OK);
    lsm_file_close(opened);
}

static void what_no_offset_can_name_is_refused(void **state) {
    (void)state;
    uint8_t byte;
    size_t got;
    bool locked;
    assert_int_equal(lsm_file_read_at(file, UINT64_MAX, &byte, 1, &got, &err), LSM_IO);
    assert_int_equal(lsm_file_read_at(file, INT64_MAX, &byte, 1, &got, &err), LSM_IO);
    assert_int_equal(lsm_file_write_at(file, INT64_MAX, "x", 1, &err), LSM_FULL);
    assert_int_equal(lsm_file_lock(file, INT64_MAX, LSM_LOCK_SHARED, &err), LSM_IO);
    assert_int_equal(lsm_file_locked(file, UINT64_MAX, &locked, &err), LSM_IO);
}

static void a_directory_in_the_way_of_another_is_told_from_a_file(void **state) {
    (void)state;
    assert_int_equal(lsm_env_mkdir(env, dir, NULL, &err), LSM_OK);
    assert_int_not_equal(lsm_env_mkdir(env, path, NULL, &err), LSM_OK);
    assert_non_null(strstr(err.text, "Not a directory"));
    sys_fail("stat", EACCES, 1);
    assert_int_not_equal(lsm_env_mkdir(env, dir, NULL, &err), LSM_OK);
    assert_non_null(strstr(err.text, "File exists"));
    (void)snprintf(other, sizeof other, "%s/none/below", dir);
    assert_int_equal(lsm_env_mkdir(env, other, NULL, &err), LSM_NOTFOUND);
}

static void a_link_to_a_directory_that_now_leads_to_another_disk_is_noticed(void **state) {
    (void)state;
    struct lsm_file *opened = NULL;
    bool same = false;
    assert_int_equal(symlink(dir, other), 0);
    assert_int_equal(lsm_env_open(env, other, LSM_OPEN_DIR, NULL, &opened, &err), LSM_OK);
    assert_int_equal(lsm_file_same(opened, &same, &err), LSM_OK);
    assert_true(same);
    assert_int_equal(unlink(other) | symlink("/proc", other), 0);
    assert_int_equal(lsm_file_same(opened, &same, &err), LSM_OK);
    assert_false(same);
    lsm_file_close(opened);
}

static void no_sleep_is_longer_than_a_day(void **state) {
    (void)state;
    sys_fail("nanosleep", EINVAL, 1);
    lsm_env_sleep_us(env, UINT64_MAX);
    assert_int_equal(sys.slept_s, 86400);
    assert_int_equal(sys_seen(), 1);
}

/* What the child was right about it tells by ending with 0. */
static void must_be_right(pid_t child) {
    int how;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void a_process_whose_forks_cannot_be_watched_takes_no_locks(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct lsm_mutex mutex;
        struct lsm_thread thread;
        struct lsm_file *first = NULL;
        sys_fail("pthread_atfork", 0, UINT32_MAX);
        bool ok = lsm_env_open(lsm_env_posix(), "/etc/passwd", LSM_OPEN_READ, NULL, &first, &err) == LSM_OK &&
                  lsm_file_lock(first, 1, LSM_LOCK_SHARED, &err) == LSM_NOMEM && lsm_mutex_init(&mutex) == LSM_NOMEM &&
                  lsm_mutex_init_recursive(&mutex) == LSM_NOMEM && lsm_thread_start(&thread, "none", NULL, NULL) == LSM_NOMEM;
        _exit(ok ? 0 : 1);
    }
    must_be_right(child);
}

static void a_locked_file_is_closed_in_the_child_of_a_fork(void **state) {
    (void)state;
    assert_int_equal(lsm_file_lock(file, 1, LSM_LOCK_SHARED, &err), LSM_OK);
    pid_t child = fork();
    if (child == 0) {
        uint8_t byte;
        size_t got;
        bool ok = lsm_file_read_at(file, 0, &byte, 1, &got, &err) == LSM_IO && err.os_errno == EBADF;
        lsm_file_close(file);
        _exit(ok ? 0 : 1);
    }
    must_be_right(child);
}

static void fork_and_end(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    must_be_right(child);
}

/* Opened before a fork, locked behind it: it is opened again, by its path, which must lead to the same file. A try that fails says so, and the next one may succeed. */
static void a_file_that_cannot_be_opened_again_behind_a_fork_is_not_locked(void **state) {
    (void)state;
    static const struct {
        const char *call;
        int error;
        unsigned spared; /* so many calls before it succeed */
    } faults[] = {{"open", EMFILE, 0}, {"fstat", EIO, 0}, {"fstat", EIO, 1}, {"dup3", EBUSY, 0}};
    struct lsm_file *reopened;
    fork_and_end();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sys_fail(faults[i].call, faults[i].error, 1);
        sys.fault[0].spared = faults[i].spared;
        assert_int_equal(lsm_file_lock(file, 1, LSM_LOCK_EXCLUSIVE, &err), LSM_IO);
        assert_non_null(strstr(err.text, "opened before a fork"));
        sys_heal();
    }
    /* Another file of that name. */
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(lsm_file_lock(file, 1, LSM_LOCK_EXCLUSIVE, &err), LSM_IO);
    assert_int_equal(lsm_env_open(env, path, RW_CREATE, &plain, &reopened, &err), LSM_OK);
    lsm_file_close(reopened);
    assert_int_equal(lsm_file_lock(file, 1, LSM_LOCK_EXCLUSIVE, &err), LSM_IO);
    assert_int_equal(rename(other, path), 0);
    sys_fail("open", EINTR, 1);
    assert_int_equal(lsm_file_lock(file, 1, LSM_LOCK_EXCLUSIVE, &err), LSM_OK);
    assert_int_equal(sys_seen(), 2);
}

static void a_path_through_a_file_leads_nowhere(void **state) {
    (void)state;
    bool exists = true;
    char below[128];
    (void)snprintf(below, sizeof below, "%s/below", path);
    assert_int_equal(lsm_env_exists(env, below, &exists, &err), LSM_OK);
    assert_false(exists);
    bool same = true;
    sys_fail("lstat", ENOTDIR, 1);
    assert_int_equal(lsm_file_same(file, &same, &err), LSM_OK);
    assert_false(same);
}

static void file_systems_of_several_machines_are_told_by_name(void **state) {
    (void)state;
    const char *why = NULL;
    sys.fs_type = 0x6969;
    assert_int_equal(lsm_env_can_share(env, "", &why, &err), LSM_OK);
    assert_string_equal(why, "NFS");
    sys.fs_type = (long)0xff534d42;
    assert_int_equal(lsm_env_can_share(env, dir, &why, &err), LSM_OK);
    assert_string_equal(why, "CIFS");
    sys.fs_type = MAGIC_TMPFS;
    assert_int_equal(lsm_env_can_share(env, dir, &why, &err), LSM_OK);
    assert_null(why);
}

/* Writes records, and tells how many of them were system calls. */
static unsigned calls_for_records(void) {
    uint8_t record[RECORD_BYTES], back[RECORD_BYTES];
    const char *call = sys.fault[0].call;
    int error = sys.fault[0].error;
    unsigned times = sys.fault[0].times, calls = 0;
    sys_heal();
    assert_int_equal(lsm_file_allocate(file, 0, FILE_BYTES, &err), LSM_OK);
    for (unsigned i = 0; i < RECORDS; i++) {
        memset(record, (int)i + 1, sizeof record);
        if (i == WINDOW_AFTER) sys_fail(call, error, times);
        if (i > WINDOW_AFTER) sys_fail("pwrite", 0, 0);
        assert_int_equal(lsm_file_write_reserved(file, i * sizeof record, record, sizeof record, &err), LSM_OK);
        if (i > WINDOW_AFTER) calls += sys_seen();
    }
    sys_heal();
    for (unsigned i = 0; i < RECORDS; i++) {
        size_t got;
        memset(record, (int)i + 1, sizeof record);
        assert_int_equal(lsm_file_read_at(file, i * sizeof record, back, sizeof back, &got, &err), LSM_OK);
        assert_memory_equal(back, record, sizeof record);
    }
    return calls;
}

/* A window that cannot be had costs nothing but system calls. */
static void without_a_window_records_are_written_by_calls(void **state) {
    (void)state;
    static const struct {
        const char *call;
        int error;
        unsigned times, calls;
    } cases[] = {{NULL, 0, 0, 0},        {"fstatfs", EINTR, 1, 0},    {"fallocate", EINTR, 1, 0}, {"pwrite", EINTR, 1, 0},
                 {"fstatfs", EIO, 1, 1}, {"fallocate", ENOSPC, 1, 1}, {"pwrite", 0, 1, 1},        {"pwrite", ENOSPC, 1, 1},
                 {"mmap", ENOMEM, 1, 1}, {"madvise", EINVAL, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lsm_file_close(file);
        assert_int_equal(lsm_env_open(env, path, RW_CREATE, NULL, &file, &err), LSM_OK);
        sys.fs_type = MAGIC_TMPFS; /* the promise is kept well enough for a test anywhere */
        sys_fail(cases[i].call, cases[i].error, cases[i].times);
        unsigned calls = calls_for_records();
        if (calls != cases[i].calls * (RECORDS - WINDOW_AFTER - 1)) fail_msg("%s, case %zu: %u calls", cases[i].call, i, calls);
    }
    lsm_file_close(file);
    assert_int_equal(lsm_env_open(env, path, RW_CREATE, NULL, &file, &err), LSM_OK);
    sys.fs_type = MAGIC_XFS;
    assert_int_equal(calls_for_records(), RECORDS - WINDOW_AFTER - 1);
    /* Where its size cannot be learnt there is none for this record, and one for the next. */
    lsm_file_close(file);
    assert_int_equal(lsm_env_open(env, path, RW_CREATE, NULL, &file, &err), LSM_OK);
    sys.fs_type = MAGIC_TMPFS;
    sys_fail("fstat", EIO, 1);
    assert_int_equal(calls_for_records(), 4); /* the zeros that a window is filled with, a MiB in pieces */
}

/* A record behind the end of the file: the window would have to begin where nothing is. */
static void behind_the_end_of_the_file_is_no_window(void **state) {
    (void)state;
    uint8_t back[3];
    size_t got;
    sys.fs_type = MAGIC_TMPFS;
    (void)calls_for_records();
    assert_int_equal(lsm_file_truncate(file, 5000, &err), LSM_OK);
    sys_fail("pwrite", 0, 0);
    assert_int_equal(lsm_file_write_reserved(file, 100000, "far", 3, &err), LSM_OK);
    assert_int_equal(sys_seen(), 1);
    assert_int_equal(lsm_file_read_at(file, 100000, back, 3, &got, &err), LSM_OK);
    assert_memory_equal(back, "far", 3);
}

/* What waits to be written is written, else it could not leave; it is a request: what the system says to it is nobody's business, and the bytes are the same. */
static void what_is_forgotten_is_written_and_leaves_memory(void **state) {
    (void)state;
    static const char *const calls[] = {"sync_file_range", "posix_fadvise"};
    uint8_t back[3];
    size_t got;
    assert_int_equal(lsm_file_write_at(file, 100, "old", 3, &err), LSM_OK);
    for (unsigned i = 0; i < 4; i++) {
        sys_fail(calls[i / 2], EIO, i % 2);
        lsm_file_forget(file, 0, LSM_FORGET_BYTES);
        assert_int_equal(sys_seen(), 1);
        assert_int_equal(lsm_file_read_at(file, 100, back, 3, &got, &err), LSM_OK);
        assert_memory_equal(back, "old", 3);
    }
    sys_heal();
    assert_int_equal(lsm_file_sync(file, &err), LSM_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_whose_forks_cannot_be_watched_takes_no_locks), /* the first, and nothing set up: no file was opened yet */
        TEST(what_is_interrupted_is_made_again),
        TEST(what_fails_says_of_which_file_and_why),
        TEST(a_file_system_without_owners_and_modes_does_for_new_files),
        TEST(an_owner_or_a_group_alone_is_given),
        TEST(a_file_that_comes_and_goes_is_not_tried_for_ever),
        TEST(space_that_cannot_be_reserved_is_written_and_what_is_there_stays),
        TEST(an_unsynced_directory_that_the_file_system_does_not_know_is_synced),
        TEST(a_locked_directory_is_synced_by_its_own_descriptor),
        TEST(without_a_size_limit_to_be_learnt_there_is_none),
        TEST(what_no_offset_can_name_is_refused),
        TEST(a_directory_in_the_way_of_another_is_told_from_a_file),
        TEST(a_link_to_a_directory_that_now_leads_to_another_disk_is_noticed),
        TEST(no_sleep_is_longer_than_a_day),
        TEST(a_locked_file_is_closed_in_the_child_of_a_fork),
        TEST(a_file_that_cannot_be_opened_again_behind_a_fork_is_not_locked),
        TEST(a_path_through_a_file_leads_nowhere),
        TEST(file_systems_of_several_machines_are_told_by_name),
        TEST(without_a_window_records_are_written_by_calls),
        TEST(behind_the_end_of_the_file_is_no_window),
        TEST(what_is_forgotten_is_written_and_leaves_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
