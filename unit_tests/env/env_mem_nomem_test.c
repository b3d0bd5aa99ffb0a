/* Memory that the host does not have, for the strict file system: what fails has changed nothing, and the next try gives what the first one would have.
 * What crashes and copies need most of all: a crash test that goes on with half a disk would find what no disk does. */
#include "env_mem_kit.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- what fails ------------------------------------------------------------------------------------------------ */

/* In place of the C library's: the one that is named fails. */
static const char *failing;
static bool fails(const char *name, int error) {
    if (failing == NULL || strcmp(failing, name) != 0) return false;
    errno = error;
    return true;
}
#define OWN(name)                                                                                                                                    \
    union {                                                                                                                                          \
        void *address;                                                                                                                               \
        __typeof__(name) *function;                                                                                                                  \
    } own = {.address = dlsym(RTLD_NEXT, #name)}

int pthread_mutexattr_init(pthread_mutexattr_t *how) {
    OWN(pthread_mutexattr_init);
    return fails("pthread_mutexattr_init", ENOMEM) ? ENOMEM : own.function(how);
}
int memfd_create(const char *name, unsigned flags) {
    OWN(memfd_create);
    return fails("memfd_create", EMFILE) ? -1 : own.function(name, flags);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    OWN(pwrite);
    return fails("pwrite", ENOMEM) ? -1 : own.function(fd, bytes, size, offset);
}
off_t lseek(int fd, off_t offset, int whence) {
    OWN(lseek);
    return fails("lseek", EIO) ? -1 : own.function(fd, offset, whence);
}
int ftruncate(int fd, off_t size) {
    OWN(ftruncate);
    return fails("ftruncate", ENOMEM) ? -1 : own.function(fd, size);
}
void *mmap(void *memory, size_t size, int protection, int flags, int fd, off_t offset) {
    OWN(mmap);
    return fails("mmap", ENOMEM) ? MAP_FAILED : own.function(memory, size, protection, flags, fd, offset);
}

/* ---- crashes and copies ---------------------------------------------------------------------------------------- */

enum { FILES = 6, PATH_BYTES = 8 };

/* Every kind of change that a crash has to decide about: writes, stores into maps, growth, cuts, made, moved and removed files. */
static struct lsm_env *busy_disk(struct lsm_file *files[FILES]) {
    struct lsm_env *env = lsm_env_mem_new_strict();
    assert_non_null(env);
    for (int i = 0; i < FILES; i++) {
        char path[PATH_BYTES] = {'f', (char)('0' + i)};
        files[i] = open_ok(env, path, RW_CREATE);
        write_ok(files[i], 0, 'a' + i, 20000);
        if (i % 2 == 0) assert_int_equal(lsm_file_sync(files[i], NULL), LSM_OK);
        if (i == 2) assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    }
    assert_int_equal(lsm_file_write_reserved(files[0], 4000, "a store into a map", 18, NULL), LSM_OK);
    assert_int_equal(lsm_file_truncate(files[0], 9000, NULL), LSM_OK);
    assert_int_equal(lsm_file_allocate(files[1], 0, 40000, NULL), LSM_OK);
    write_ok(files[2], 19000, 'x', 20000);
    assert_int_equal(lsm_env_rename(env, "f3", "g3", NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(env, "f4", NULL), LSM_OK);
    return env;
}

static void free_disk(struct lsm_env *env, struct lsm_file *files[FILES]) {
    for (int i = 0; i < FILES; i++) lsm_file_close(files[i]);
    lsm_env_mem_free(env);
}

static void expect_equal_disks(struct lsm_env *a, struct lsm_env *b) {
    for (int i = 0; i < 2 * FILES; i++) {
        char path[PATH_BYTES] = {i < FILES ? 'f' : 'g', (char)('0' + i % FILES)};
        uint8_t *bytes[2] = {NULL, NULL};
        size_t size[2];
        int status = lsm_env_mem_read_file(a, path, &bytes[0], &size[0]);
        assert_int_equal(lsm_env_mem_read_file(b, path, &bytes[1], &size[1]), status);
        if (status == LSM_OK) assert_int_equal(size[0], size[1]);
        if (status == LSM_OK) assert_memory_equal(bytes[0], bytes[1], size[0]);
        lsm_free(bytes[0]);
        lsm_free(bytes[1]);
    }
}

/* What a crash is to leave is worked out first; then the same crash runs out of memory everywhere, until it succeeds. */
static void crash_without_memory(enum lsm_crash_mode mode, uint64_t seed) {
    struct lsm_file *files[FILES];
    struct lsm_env *env = busy_disk(files), *before = crashed(env, LSM_CRASH_KEEP, 0), *after = crashed(env, mode, seed);
    int status = LSM_NOMEM, failed = -1;
    for (int64_t n = 1; status == LSM_NOMEM; n++, failed++) {
        lsm_mem_fail_after(n, false);
        status = lsm_env_mem_crash(env, mode, seed);
        lsm_mem_fail_after(0, false);
        if (status == LSM_NOMEM && n % 8 == 1) expect_equal_disks(env, before);
    }
    assert_int_equal(status, LSM_OK);
    assert_true(failed >= 4);
    expect_equal_disks(env, after);
    lsm_env_mem_free(before);
    lsm_env_mem_free(after);
    free_disk(env, files);
}

static void a_crash_without_memory_has_not_happened(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) crash_without_memory(LSM_CRASH_RANDOM, seed);
    crash_without_memory(LSM_CRASH_LOSE, 1);
    crash_without_memory(LSM_CRASH_KEEP, 1);
    crash_without_memory(LSM_CRASH_TORN, 1);
}

/* One of a crash, or of a kill, in the middle of a write too, of files that are mapped and that are not. */
static struct lsm_env *clone_of(struct lsm_env *env, int kind) {
    return kind == 0 ? lsm_env_mem_clone_crashed(env, LSM_CRASH_RANDOM, 3) : lsm_env_mem_clone_killed(env, kind == 2);
}

static void a_copy_without_memory_is_none(void **state) {
    (void)state;
    struct lsm_file *files[FILES];
    struct lsm_env *env = busy_disk(files);
    void *mapped;
    assert_int_equal(lsm_file_map(files[5], 8192, &mapped, NULL), LSM_OK);
    memset(mapped, 'm', 8192);
    for (int kind = 0; kind < 3; kind++) {
        struct lsm_env *whole = clone_of(env, kind), *clone = NULL;
        int failed = -1;
        assert_non_null(whole);
        for (int64_t n = 1; clone == NULL; n++, failed++) {
            int64_t live = lsm_mem_live();
            lsm_mem_fail_after(n, false);
            clone = clone_of(env, kind);
            lsm_mem_fail_after(0, false);
            if (clone == NULL) assert_true(lsm_mem_live() == live);
        }
        assert_true(failed > 20);
        expect_equal_disks(clone, whole);
        lsm_env_mem_free(clone);
        lsm_env_mem_free(whole);
    }
    free_disk(env, files);
}

/* A file that has grown behind its map, and a disk on which nothing waits for a sync. */
static void a_kill_copies_what_is_behind_a_map_and_needs_no_write(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 4096, true);
    void *mapped;
    size_t size;
    assert_int_equal(lsm_file_map(file, 4096, &mapped, NULL), LSM_OK);
    memset(mapped, 'm', 4096);
    write_ok(file, 4096, 'b', 4096);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    struct lsm_env *killed = lsm_env_mem_clone_killed(env, true); /* no write is under way */
    assert_non_null(killed);
    uint8_t *bytes;
    assert_int_equal(lsm_env_mem_read_file(killed, "f", &bytes, &size), LSM_OK);
    assert_true(size == 8192 && bytes[0] == 'm' && bytes[4095] == 'm' && bytes[4096] == 'b' && bytes[8191] == 'b');
    lsm_free(bytes);
    lsm_env_mem_free(killed);
    lsm_file_close(file);
}

/* ---- single calls ---------------------------------------------------------------------------------------------- */

static void a_disk_without_its_mutex_and_a_process_without_memory_are_none(void **state) {
    int64_t live = lsm_mem_live();
    failing = "pthread_mutexattr_init";
    assert_null(lsm_env_mem_new());
    assert_null(lsm_env_mem_new_strict());
    failing = NULL;
    lsm_mem_fail_after(1, false);
    assert_null(lsm_env_mem_process(*state));
    assert_true(lsm_mem_live() == live);
}

/* The ninth name that nobody has synced needs room in the list of those, besides the name. */
static void a_name_that_cannot_be_noted_is_not_changed(void **state) {
    struct lsm_env *env = *state;
    int status = LSM_NOMEM, failed = -1;
    for (int i = 0; i < 8; i++) lsm_file_close(open_ok(env, (const char[]){(char)('a' + i), 0}, RW_CREATE));
    for (int64_t n = 1; status == LSM_NOMEM; n++, failed++) {
        lsm_mem_fail_after(n, false);
        status = lsm_env_rename(env, "a", "z", NULL);
        lsm_mem_fail_after(0, false);
        assert_true(exists(env, "a") == (status != LSM_OK) && exists(env, "z") == (status == LSM_OK));
    }
    assert_true(failed == 2);
}

/* What is behind a store becomes zeros; so may be the place of one that has failed. */
static void a_store_into_a_map_without_memory_has_not_stored_its_bytes(void **state) {
    struct lsm_env *env = *state;
    int status = LSM_NOMEM, failed = -1;
    for (int64_t n = 1; status == LSM_NOMEM; n++, failed++) {
        struct lsm_file *file = file_with(env, "f", 'a', 20000, true);
        size_t size;
        lsm_mem_fail_after(n, false);
        status = lsm_file_write_reserved(file, 0, "bc", 2, NULL);
        lsm_mem_fail_after(0, false);
        int byte = first_byte(env, "f", &size);
        lsm_file_close(file);
        assert_true(size == 20000 && (status == LSM_OK ? byte == 'b' : byte == 'a' || byte == 0));
        if (status != LSM_OK) assert_int_equal(lsm_env_unlink(env, "f", NULL), LSM_OK);
    }
    assert_int_equal(failed, 2); /* what becomes zeros, and what is stored */
}

/* A store before the first one needs a window of its own; a plain file system has none. */
static void stores_before_and_behind_each_other_are_all_read(void **state) {
    struct lsm_env *envs[] = {*state, lsm_env_mem_new()};
    for (int i = 0; i < 2; i++) {
        struct lsm_file *file = file_with(envs[i], "f", 'a', 20000, true);
        uint8_t *bytes;
        size_t size;
        assert_int_equal(lsm_file_write_reserved(file, 15000, "2", 1, NULL), LSM_OK);
        assert_int_equal(lsm_file_write_reserved(file, 15001, "3", 1, NULL), LSM_OK);
        assert_int_equal(lsm_file_write_reserved(file, 100, "1", 1, NULL), LSM_OK);
        assert_int_equal(lsm_env_mem_read_file(envs[i], "f", &bytes, &size), LSM_OK);
        assert_true(size == 20000 && bytes[99] == 'a' && bytes[100] == '1' && bytes[14999] == 'a' && bytes[15000] == '2' && bytes[15001] == '3');
        assert_int_equal(bytes[15002], i == 0 ? 0 : 'a');
        lsm_free(bytes);
        assert_int_equal(lsm_file_write_reserved(file, 20000, "4", 1, NULL), LSM_OK); /* what was not reserved is a write */
        expect_file(envs[i], "f", 'a', 20001);
        lsm_file_close(file);
    }
    lsm_env_mem_free(envs[1]);
}

/* The sync fails, but all reached the disk: unless there is no memory to say so, and nothing has. */
static void a_failing_sync_without_memory_keeps_nothing(void **state) {
    struct lsm_env *env = *state;
    for (int kept = 0; kept < 2; kept++) {
        struct lsm_file *file = file_with(env, "f", 'a', 10, true);
        write_ok(file, 0, 'b', 20000);
        lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_SYNC, .keep_on_sync = true});
        lsm_mem_fail_after(kept ? 0 : 1, true);
        assert_int_equal(lsm_file_sync(file, NULL), LSM_IO);
        lsm_mem_fail_after(0, false);
        struct lsm_env *left = crashed(env, LSM_CRASH_KEEP, 0);
        expect_file(left, "f", kept ? 'b' : 'a', kept ? 20000 : 10);
        lsm_env_mem_free(left);
        lsm_file_close(file);
        assert_int_equal(lsm_env_unlink(env, "f", NULL), LSM_OK);
    }
}

static void a_file_that_cannot_be_looked_at_for_want_of_memory_is_there_still(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 100, true);
    struct lsm_error err = {0};
    const void *mapped;
    uint8_t *bytes;
    size_t size;
    lsm_mem_fail_after(1, false);
    assert_int_equal(lsm_env_mem_read_file(env, "f", &bytes, &size), LSM_NOMEM);
    assert_null(bytes);
    lsm_mem_fail_after(1, false);
    assert_int_equal(lsm_file_map_read(file, 100, &mapped, &err), LSM_NOMEM);
    assert_int_equal(err.code, LSM_NOMEM);
    assert_null(mapped);
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_READ});
    assert_int_equal(lsm_file_map_read(file, 100, &mapped, &err), LSM_IO);
    assert_null(mapped);
    assert_int_equal(lsm_file_map_read(file, 100, &mapped, NULL), LSM_OK);
    assert_memory_equal(mapped, "aaaa", 4);
    lsm_file_close(file);
}

/* The memory that processes share is the operating system's. */
static void memory_that_cannot_be_shared_is_an_error_and_nothing_else(void **state) {
    struct lsm_env *env = *state;
    static const char *const calls[] = {"memfd_create", "pwrite", "lseek", "ftruncate", "mmap"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct lsm_file *file = open_ok(env, calls[i], RW_CREATE);
        struct lsm_error err = {0};
        void *mapped = &err;
        write_ok(file, 0, 'a', 6000);
        assert_int_equal(lsm_file_allocate(file, 0, 8192, NULL), LSM_OK);
        if (strcmp(calls[i], "ftruncate") == 0) { /* asked only of a file that is mapped shorter already */
            struct lsm_file *shorter = open_ok(env, calls[i], LSM_OPEN_WRITE);
            assert_int_equal(lsm_file_map(shorter, 4096, &mapped, NULL), LSM_OK);
            lsm_file_close(shorter);
            assert_int_equal(lsm_file_allocate(file, 0, 16384, NULL), LSM_OK);
        }
        failing = calls[i];
        size_t size = strcmp(calls[i], "ftruncate") == 0 ? 16384 : 8192;
        int status = lsm_file_map(file, size, &mapped, &err);
        failing = NULL;
        assert_true(status != LSM_OK && err.code == status && err.os_errno != 0 && mapped == NULL);
        assert_int_equal(lsm_file_map(file, size, &mapped, NULL), LSM_OK);
        ((volatile char *)mapped)[size - 1] = 'z'; /* all of it is there */
        assert_true(((const char *)mapped)[0] == 'a' && ((const char *)mapped)[5999] == 'a' && ((const char *)mapped)[6000] == 0);
        lsm_file_close(file);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_crash_without_memory_has_not_happened),
        TEST(a_copy_without_memory_is_none),
        TEST(a_kill_copies_what_is_behind_a_map_and_needs_no_write),
        TEST(a_disk_without_its_mutex_and_a_process_without_memory_are_none),
        TEST(a_name_that_cannot_be_noted_is_not_changed),
        TEST(a_store_into_a_map_without_memory_has_not_stored_its_bytes),
        TEST(stores_before_and_behind_each_other_are_all_read),
        TEST(a_failing_sync_without_memory_keeps_nothing),
        TEST(a_file_that_cannot_be_looked_at_for_want_of_memory_is_there_still),
        TEST(memory_that_cannot_be_shared_is_an_error_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
