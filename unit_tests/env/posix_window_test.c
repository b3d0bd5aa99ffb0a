/* Small writes through a map of the file (env_posix_window.c): what anybody else sees of them, and what must not be written that way. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../lsm_core/base/base.h"
#include "../../lsm_core/env/env.h"

enum { FILE_BYTES = 1 << 20, RECORD_BYTES = 120 };

static char dir[64], path[96];

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/lsm-window-test-XXXXXX");
    if (mkdtemp(dir) == NULL) return -1;
    (void)snprintf(path, sizeof path, "%s/log", dir);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

static void ok(int status, const struct lsm_error *err) {
    if (status != LSM_OK) fail_msg("%s", err->text);
}

static struct lsm_file *open_ok(unsigned flags) {
    struct lsm_error err = {0};
    struct lsm_file *file = NULL;
    ok(lsm_env_open(lsm_env_posix(), path, flags, NULL, &file, &err), &err);
    return file;
}

/* A header, and space behind it, as a log has them. */
static struct lsm_file *open_reserved(void) {
    struct lsm_error err = {0};
    struct lsm_file *file = open_ok(LSM_OPEN_WRITE | LSM_OPEN_CREATE);
    ok(lsm_file_write_at(file, 0, "header", 6, &err), &err);
    ok(lsm_file_allocate(file, 6, FILE_BYTES - 6, &err), &err);
    return file;
}

/* Are stores expected here? Elsewhere the same tests hold for system calls. */
static bool has_windows(void) {
    struct statfs fs;
    assert_int_equal(statfs(dir, &fs), 0);
    return (uint32_t)fs.f_type == 0xef53 || (uint32_t)fs.f_type == 0x01021994;
}

/* Writes that were system calls, of this process so far. */
static uint64_t write_calls(void) {
    uint64_t calls = 0;
    char line[128];
    FILE *file = fopen("/proc/self/io", "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) (void)sscanf(line, "syscw: %" SCNu64, &calls);
    (void)fclose(file);
    return calls;
}

static uint64_t next(uint64_t *random) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random >> 33;
}

static void write_ok(struct lsm_file *file, uint64_t offset, const void *bytes, size_t size) {
    struct lsm_error err = {0};
    ok(lsm_file_write_reserved(file, offset, bytes, size, &err), &err);
}

/* Records from `from` on, each filled with its number. */
static void write_records(struct lsm_file *file, uint64_t from, uint64_t count) {
    uint8_t record[RECORD_BYTES];
    for (uint64_t i = from; i < from + count; i++) {
        memset(record, (int)(i % 251), sizeof record);
        write_ok(file, 6 + i * RECORD_BYTES, record, sizeof record);
    }
}

static uint64_t records_read(struct lsm_file *file, uint64_t most) {
    uint8_t wanted[RECORD_BYTES], record[RECORD_BYTES];
    for (uint64_t i = 0; i < most; i++) {
        size_t got = 0;
        memset(wanted, (int)(i % 251), sizeof wanted);
        if (lsm_file_read_at(file, 6 + i * RECORD_BYTES, record, sizeof record, &got, NULL) != LSM_OK || got != sizeof record ||
            memcmp(record, wanted, sizeof record) != 0)
            return i;
    }
    return most;
}

static void small_writes_cost_no_system_call_and_are_read_by_any_open(void **state) {
    (void)state;
    struct lsm_file *file = open_reserved(), *other = open_ok(LSM_OPEN_READ);
    uint64_t before = write_calls(), last = 0;
    write_records(file, 0, 8000);
    uint64_t calls = write_calls() - before;
    if (has_windows()) assert_true(calls < 40);
    assert_true(records_read(other, 8000) == 8000);
    assert_int_equal(lsm_file_size(other, &last, NULL), LSM_OK);
    assert_true(last == FILE_BYTES);
    lsm_file_close(other);
    lsm_file_close(file);
    file = open_ok(LSM_OPEN_READ);
    assert_true(records_read(file, 8000) == 8000);
    lsm_file_close(file);
}

/* ThreadSanitizer's shadow memory has faults of its own. */
#if defined(MADV_POPULATE_WRITE) && !defined(__SANITIZE_THREAD__)
#define FAULTS_CAN_BE_COUNTED

static long faults(void) {
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}
#endif

/* Where the kernel gives all pages of a map in one call, no write into a window that is open waits for one. */
static void writes_into_an_open_window_meet_no_fault(void **state) {
    (void)state;
    struct lsm_file *file = open_reserved();
    write_records(file, 0, 200);
#ifdef FAULTS_CAN_BE_COUNTED
    long page = sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    bool can = madvise(memory, (size_t)page, MADV_POPULATE_WRITE) == 0;
    assert_int_equal(munmap(memory, (size_t)page), 0);
    long before = faults();
    write_records(file, 200, 8000);
    if (can && has_windows()) assert_true(faults() - before < 4);
#endif
    lsm_file_close(file);
}

static uint8_t model[2 * FILE_BYTES], back[2 * FILE_BYTES];

static void must_be_as_the_model(struct lsm_file *file, size_t size) {
    size_t got = 0;
    struct lsm_error err = {0};
    ok(lsm_file_read_at(file, 0, back, sizeof back, &got, &err), &err);
    assert_true(got >= size);
    assert_memory_equal(model, back, size);
}

/* Writes of all sizes one behind the other, now and then from an earlier place on, with syncs, growth and other kinds of writes between, against the same
 * bytes in memory. */
static void a_random_mixture_reads_as_it_was_written(void **state) {
    (void)state;
    const char *given = getenv("LSM_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL), random = seed;
    print_message("LSM_TEST_SEED=%" PRIu64 "\n", seed);
    static uint8_t bytes[20000];
    struct lsm_error err = {0};
    struct lsm_file *file = open_reserved(), *other = open_ok(LSM_OPEN_WRITE);
    memcpy(model, "header", 6);
    uint64_t size = FILE_BYTES, at = 6;
    for (int i = 0; i < 20000; i++) {
        uint64_t what = next(&random) % 1000;
        size_t length = what < 20 ? next(&random) % sizeof bytes : next(&random) % 300;
        if (what > 995 || at + length > size) {
            must_be_as_the_model(other, at);
            at = what % 2 == 0 ? 6 : 6 + next(&random) % (at - 5); /* what is behind may be zeros from now on */
        }
        memset(bytes, (int)next(&random), length);
        ok(what % 10 == 9 ? lsm_file_write_at(what % 20 == 9 ? file : other, at, bytes, length, &err)
                          : lsm_file_write_reserved(file, at, bytes, length, &err),
           &err);
        memcpy(model + at, bytes, length);
        at += length;
        if (what == 500) ok(lsm_file_sync(file, &err), &err);
        if (what == 501 && size < sizeof model - 50000) {
            ok(lsm_file_allocate(other, size, 40001, &err), &err);
            size += 40001;
        }
    }
    must_be_as_the_model(other, at);
    uint64_t bytes_now = 0;
    ok(lsm_file_size(other, &bytes_now, &err), &err);
    assert_true(bytes_now == size);
    lsm_file_close(other);
    lsm_file_close(file);
}

static void after_each_sync_it_begins_with_calls_again(void **state) {
    (void)state;
    struct lsm_file *file = open_reserved();
    write_records(file, 0, 100);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    uint64_t before = write_calls();
    for (uint64_t i = 100; i < 140; i++) {
        write_records(file, i, 1);
        assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    }
    if (before != 0) assert_true(write_calls() - before >= 40); /* a store into a page that was written back is a fault */
    assert_true(records_read(file, 140) == 140);
    lsm_file_close(file);
}

static void a_file_that_was_cut_is_written_behind_its_end_by_calls(void **state) {
    (void)state;
    struct lsm_file *file = open_reserved();
    write_records(file, 0, 1000);
    assert_int_equal(lsm_file_truncate(file, 6 + 500 * RECORD_BYTES, NULL), LSM_OK);
    write_records(file, 500, 1000); /* a store would raise SIGBUS */
    assert_true(records_read(file, 1500) == 1500);
    assert_int_equal(lsm_file_truncate(file, 0, NULL), LSM_OK);
    assert_int_equal(lsm_file_allocate(file, 0, FILE_BYTES, NULL), LSM_OK);
    write_records(file, 0, 2000);
    assert_true(records_read(file, 2000) == 2000);
    lsm_file_close(file);
}

/* A copy may have holes where the file had reserved blocks. A store into one would ask for space when there may be none. */
static void holes_are_filled_before_anything_is_stored_there(void **state) {
    (void)state;
    if (!has_windows()) skip();
    struct lsm_file *file = open_ok(LSM_OPEN_WRITE | LSM_OPEN_CREATE);
    struct stat st;
    assert_int_equal(lsm_file_truncate(file, FILE_BYTES, NULL), LSM_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 < 8192);
    write_records(file, 0, 100);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 >= 256 * 1024);
    assert_true(st.st_size == FILE_BYTES);
    assert_true(records_read(file, 100) == 100);
    lsm_file_close(file);
}

/* The limit may be lowered by the host when the file is there already. Beyond it a call would raise SIGXFSZ. */
static void a_window_stays_below_the_file_size_limit(void **state) {
    (void)state;
    struct rlimit before, small;
    struct lsm_file *file = open_reserved();
    write_records(file, 0, 20);
    lsm_file_close(file);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 300000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    file = open_ok(LSM_OPEN_WRITE);
    uint64_t count = 40, i = 20;
    while (i < count && lsm_file_write_reserved(file, 6 + i * RECORD_BYTES, model, RECORD_BYTES, NULL) == LSM_OK) i++;
    struct lsm_error err = {0};
    int status = lsm_file_write_reserved(file, 310000, model, RECORD_BYTES, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(i == count);
    assert_int_equal(status, LSM_FULL);
    lsm_file_close(file);
}

static int child_of(pid_t child) {
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return how;
}

static void the_child_of_a_fork_does_not_have_the_window(void **state) {
    (void)state;
    struct lsm_file *file = open_reserved();
    write_records(file, 0, 200);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        write_records(file, 200, 100);
        lsm_file_close(file);
        _exit(0);
    }
    int how = child_of(child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    write_records(file, 300, 100);
    assert_true(records_read(file, 400) == 400);
    lsm_file_close(file);
}

static void what_was_stored_stays_when_the_process_is_killed(void **state) {
    (void)state;
    int told[2];
    assert_int_equal(pipe(told), 0);
    struct lsm_file *file = open_reserved();
    lsm_file_close(file);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct lsm_file *mine = open_ok(LSM_OPEN_WRITE);
        for (uint64_t i = 0; i < 8000; i++) {
            write_records(mine, i, 1);
            if (i % 100 == 99 && write(told[1], &i, sizeof i) != sizeof i) _exit(1);
        }
        (void)pause();
        _exit(1);
    }
    uint64_t last = 0;
    while (last < 5000) assert_int_equal(read(told[0], &last, sizeof last), sizeof last);
    assert_int_equal(kill(child, SIGKILL), 0);
    int how = child_of(child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    file = open_ok(LSM_OPEN_READ);
    assert_true(records_read(file, 8000) > last);
    lsm_file_close(file);
    (void)close(told[0]);
    (void)close(told[1]);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(small_writes_cost_no_system_call_and_are_read_by_any_open),
        TEST(writes_into_an_open_window_meet_no_fault),
        TEST(a_random_mixture_reads_as_it_was_written),
        TEST(after_each_sync_it_begins_with_calls_again),
        TEST(a_file_that_was_cut_is_written_behind_its_end_by_calls),
        TEST(holes_are_filled_before_anything_is_stored_there),
        TEST(a_window_stays_below_the_file_size_limit),
        TEST(the_child_of_a_fork_does_not_have_the_window),
        TEST(what_was_stored_stays_when_the_process_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
