/* What processes share through the environment: locks, mapped memory, names; in memory and on the operating system. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/env/sync.h"

#define RW_CREATE (LSM_OPEN_WRITE | LSM_OPEN_CREATE)

enum { PAGE = 8192 };

/* The same tests run on both: `dir` is a prefix of every path. */
struct place {
    struct lsm_env *disk, *other; /* two processes in memory; twice the same on the operating system */
    char dir[64];
    char path[96];
};

static int set_up_memory(void **state) {
    static struct place place;
    place = (struct place){.disk = lsm_env_mem_new_strict()};
    place.other = lsm_env_mem_process(place.disk);
    (void)snprintf(place.path, sizeof place.path, "f");
    *state = &place;
    return place.other == NULL;
}

static int tear_down_memory(void **state) {
    struct place *place = *state;
    lsm_env_mem_free(place->other);
    lsm_env_mem_free(place->disk);
    return lsm_mem_live() == 0 ? 0 : -1;
}

static int set_up_posix(void **state) {
    static struct place place;
    place = (struct place){.disk = lsm_env_posix(), .other = lsm_env_posix(), .dir = "/tmp/lsm-process-test-XXXXXX"};
    if (mkdtemp(place.dir) == NULL) return -1;
    (void)snprintf(place.path, sizeof place.path, "%s/f", place.dir);
    *state = &place;
    return 0;
}

static int tear_down_posix(void **state) {
    struct place *place = *state;
    (void)unlink(place->path);
    (void)rmdir(place->dir);
    return lsm_mem_live() == 0 ? 0 : -1;
}

static struct lsm_file *open_ok(struct lsm_env *env, const char *path, unsigned flags) {
    struct lsm_file *file;
    struct lsm_error err = {0};
    if (lsm_env_open(env, path, flags, NULL, &file, &err) != LSM_OK) fail_msg("%s", err.text);
    return file;
}

static _Atomic uint64_t *map_ok(struct lsm_file *file) {
    void *bytes;
    struct lsm_error err = {0};
    if (lsm_file_allocate(file, 0, PAGE, &err) != LSM_OK || lsm_file_map(file, PAGE, &bytes, &err) != LSM_OK) fail_msg("%s", err.text);
    return bytes;
}

static bool is_locked(struct lsm_file *file, uint64_t byte) {
    bool locked;
    assert_int_equal(lsm_file_locked(file, byte, &locked, NULL), LSM_OK);
    return locked;
}

/* ---- both ---------------------------------------------------------------------------------------------------------------------------- */

static void a_lock_is_seen_by_others_and_not_by_its_owner(void **state) {
    struct place *place = *state;
    struct lsm_file *a = open_ok(place->disk, place->path, RW_CREATE), *b = open_ok(place->other, place->path, LSM_OPEN_WRITE);
    assert_int_equal(lsm_file_lock(a, 7, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 8, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_true(is_locked(b, 7) && is_locked(a, 8));
    assert_false(is_locked(a, 7) || is_locked(b, 8) || is_locked(a, 9));
    lsm_file_close(b);
    assert_false(is_locked(a, 8));
    lsm_file_close(a);
}

static void a_lock_changes_between_shared_and_exclusive_in_one_step(void **state) {
    struct place *place = *state;
    struct lsm_file *a = open_ok(place->disk, place->path, RW_CREATE), *b = open_ok(place->other, place->path, LSM_OPEN_WRITE);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_SHARED, NULL), LSM_BUSY);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_BUSY);
    assert_true(is_locked(b, 0)); /* refused, it has what it had */
    assert_int_equal(lsm_file_lock(b, 0, LSM_UNLOCK, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_file_close(a);
    lsm_file_close(b);
}

/* Whatever stands or stood in it: it cannot be deleted and made anew without what is in it. */
static void a_directory_is_locked_as_a_whole(void **state) {
    struct place *place = *state;
    char path[128];
    bool same = false;
    (void)snprintf(path, sizeof path, "%s-dir", place->path);
    assert_int_equal(lsm_env_mkdir(place->disk, path, NULL, NULL), LSM_OK);
    struct lsm_file *a = open_ok(place->disk, path, LSM_OPEN_DIR), *b = open_ok(place->other, path, LSM_OPEN_DIR), *none = NULL;
    assert_int_equal(lsm_file_lock(a, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 1, LSM_LOCK_SHARED, NULL), LSM_BUSY);
    assert_int_equal(lsm_file_lock(a, 2, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_BUSY);
    lsm_file_close(a);
    assert_int_equal(lsm_file_lock(b, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 0, LSM_UNLOCK, NULL), LSM_OK);
    assert_int_equal(lsm_file_same(b, &same, NULL), LSM_OK);
    assert_true(same);
    assert_int_equal(lsm_env_rmdir(place->disk, path, NULL), LSM_OK);
    assert_int_equal(lsm_file_same(b, &same, NULL), LSM_OK);
    assert_false(same);
    lsm_file_close(b);
    assert_int_equal(lsm_env_open(place->disk, path, LSM_OPEN_DIR, NULL, &none, NULL), LSM_NOTFOUND);
    lsm_file_close(open_ok(place->disk, place->path, RW_CREATE));
    assert_int_not_equal(lsm_env_open(place->disk, place->path, LSM_OPEN_DIR, NULL, &none, NULL), LSM_OK);
}

static void mapped_memory_is_one_for_all_who_map_the_file(void **state) {
    struct place *place = *state;
    struct lsm_file *a = open_ok(place->disk, place->path, RW_CREATE), *b = open_ok(place->other, place->path, LSM_OPEN_WRITE);
    _Atomic uint64_t *at_a = map_ok(a), *at_b = map_ok(b);
    assert_ptr_not_equal(at_a, at_b);
    assert_true(at_a[3] == 0 && at_b[PAGE / 8 - 1] == 0);
    at_a[3] = 4711;
    assert_true(at_b[3] == 4711);
    lsm_file_close(a);
    at_b[4] = 5;
    a = open_ok(place->disk, place->path, LSM_OPEN_WRITE);
    at_a = map_ok(a);
    assert_true(at_a[3] == 4711 && at_a[4] == 5);
    void *bytes;
    assert_int_equal(lsm_file_map(a, PAGE, &bytes, NULL), LSM_MISUSE);
    lsm_file_close(a);
    lsm_file_close(b);
}

static void what_a_file_does_not_have_is_not_mapped(void **state) {
    struct place *place = *state;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE);
    void *bytes;
    struct lsm_error err = {0};
    assert_int_equal(lsm_file_truncate(file, PAGE - 1, NULL), LSM_OK);
    assert_int_equal(lsm_file_map(file, PAGE, &bytes, &err), LSM_IO);
    assert_null(bytes);
    assert_non_null(strstr(err.text, "8191"));
    lsm_file_close(file);
    file = open_ok(place->disk, place->path, LSM_OPEN_READ);
    assert_int_equal(lsm_file_map(file, 4096, &bytes, NULL), LSM_READONLY);
    lsm_file_close(file);
}

static void a_file_is_mapped_to_be_read_and_outlives_its_name(void **state) {
    struct place *place = *state;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE);
    const void *bytes;
    struct lsm_error err = {0};
    assert_int_equal(lsm_file_write_at(file, 5000, "read me", 7, NULL), LSM_OK);
    lsm_file_close(file);
    file = open_ok(place->disk, place->path, LSM_OPEN_READ);
    assert_int_equal(lsm_file_map_read(file, 5008, &bytes, &err), LSM_IO);
    assert_null(bytes);
    assert_non_null(strstr(err.text, "5007"));
    assert_int_equal(lsm_file_map_read(file, 5007, &bytes, NULL), LSM_OK);
    assert_memory_equal((const char *)bytes + 5000, "read me", 7);
    const void *again;
    assert_int_equal(lsm_file_map_read(file, 5007, &again, NULL), LSM_MISUSE);
    assert_int_equal(lsm_env_unlink(place->disk, place->path, NULL), LSM_OK);
    assert_memory_equal((const char *)bytes + 5000, "read me", 7);
    lsm_file_close(file);
    file = open_ok(place->disk, place->path, RW_CREATE); /* for the tear-down */
    lsm_file_close(file);
}

/* It may be in the midst of a row that lies there. */
static void what_is_mapped_to_be_read_is_there_in_the_child_of_a_fork(void **state) {
    struct place *place = *state;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE);
    const void *bytes;
    assert_int_equal(lsm_file_write_at(file, 0, "read me", 7, NULL), LSM_OK);
    assert_int_equal(lsm_file_map_read(file, 7, &bytes, NULL), LSM_OK);
    pid_t child = fork();
    if (child == 0) _exit(memcmp(bytes, "read me", 7) == 0 ? 0 : 1);
    int code = -1;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    lsm_file_close(file);
}

static void a_path_that_leads_elsewhere_is_noticed(void **state) {
    struct place *place = *state;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE);
    bool same;
    assert_int_equal(lsm_file_same(file, &same, NULL), LSM_OK);
    assert_true(same);
    assert_int_equal(lsm_env_unlink(place->disk, place->path, NULL), LSM_OK);
    assert_int_equal(lsm_file_same(file, &same, NULL), LSM_OK);
    assert_false(same);
    lsm_file_close(open_ok(place->disk, place->path, RW_CREATE));
    assert_int_equal(lsm_file_same(file, &same, NULL), LSM_OK);
    assert_false(same);
    lsm_file_close(file);
}

static void this_directory_can_be_shared(void **state) {
    struct place *place = *state;
    const char *why = "?";
    assert_int_equal(lsm_env_can_share(place->disk, place->dir, &why, NULL), LSM_OK);
    assert_null(why);
}

/* ---- processes in memory ------------------------------------------------------------------------------------------------------------------ */

static void a_killed_process_has_no_locks_and_can_do_nothing(void **state) {
    struct place *place = *state;
    struct lsm_file *a = open_ok(place->disk, "f", RW_CREATE), *b = open_ok(place->other, "f", LSM_OPEN_WRITE);
    struct lsm_file *made;
    struct lsm_error err = {0};
    char byte;
    size_t got;
    assert_int_equal(lsm_file_write_at(b, 0, "x", 1, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(b, 1, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_false(lsm_env_mem_is_killed(place->other));
    lsm_env_mem_kill(place->other);
    lsm_env_mem_kill(place->other);
    assert_true(lsm_env_mem_is_killed(place->other) && !lsm_env_mem_is_killed(place->disk));
    assert_false(is_locked(a, 1));
    assert_int_equal(lsm_file_write_at(b, 0, "y", 1, &err), LSM_IO);
    assert_non_null(strstr(err.text, "dead"));
    assert_int_equal(lsm_file_lock(b, 1, LSM_LOCK_SHARED, NULL), LSM_IO);
    assert_int_equal(lsm_env_open(place->other, "g", RW_CREATE, NULL, &made, NULL), LSM_IO);
    assert_int_equal(lsm_env_unlink(place->other, "f", NULL), LSM_IO);
    assert_int_equal(lsm_file_read_at(a, 0, &byte, 1, &got, NULL), LSM_OK);
    assert_true(got == 1 && byte == 'x');
    assert_int_equal(lsm_file_lock(a, 1, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_file_close(b); /* takes no lock of the living */
    b = open_ok(place->disk, "f", LSM_OPEN_WRITE);
    assert_true(is_locked(b, 1));
    lsm_file_close(b);
    lsm_file_close(a);
}

static void what_a_killed_process_still_writes_nobody_sees(void **state) {
    struct place *place = *state;
    struct lsm_file *a = open_ok(place->disk, "f", RW_CREATE), *b = open_ok(place->other, "f", LSM_OPEN_WRITE);
    _Atomic uint64_t *at_a = map_ok(a), *at_b = map_ok(b);
    at_b[0] = 1;
    lsm_env_mem_kill(place->other);
    assert_true(at_b[0] == 1);
    at_b[0] = 2;
    assert_true(at_a[0] == 1 && at_b[0] == 2);
    at_a[0] = 3;
    assert_true(at_b[0] == 2);
    lsm_file_close(a);
    lsm_file_close(b);
}

static void what_a_killed_process_sleeps_passes_for_itself_only(void **state) {
    struct place *place = *state;
    lsm_env_mem_set_clock(place->disk, 5000);
    uint64_t start = lsm_env_monotonic_us(place->other);
    assert_true(lsm_env_monotonic_us(place->disk) == start);
    lsm_env_mem_kill(place->other);
    lsm_env_sleep_us(place->other, 1000000);
    assert_true(lsm_env_monotonic_us(place->other) == start + 1000000); /* so that it does not wait for ever */
    assert_true(lsm_env_monotonic_us(place->disk) == start && lsm_env_now_us(place->disk) == 5000);
}

static void a_process_dies_at_the_operation_it_was_told(void **state) {
    struct place *place = *state;
    struct lsm_file *a = open_ok(place->disk, "f", RW_CREATE);
    struct lsm_file *b = open_ok(place->other, "f", LSM_OPEN_WRITE);
    uint64_t size;
    lsm_env_mem_kill_at(place->other, 3);
    assert_int_equal(lsm_file_lock(b, 1, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(lsm_file_size(a, &size, NULL), LSM_OK); /* another process's operations do not count */
    assert_int_equal(lsm_file_size(b, &size, NULL), LSM_OK);
    assert_true(is_locked(a, 1));
    assert_int_equal(lsm_file_write_at(b, 0, "x", 1, NULL), LSM_IO);
    assert_false(is_locked(a, 1));
    assert_int_equal(lsm_env_mem_file_size(place->disk, "f", &size), LSM_OK);
    assert_true(size == 0);
    lsm_file_close(b);
    lsm_file_close(a);
}

static void note_operation(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    unsigned *kinds = arg;
    (void)process;
    (void)path;
    *kinds |= (unsigned)kind;
}

static void who_wants_to_know_is_told_before_every_operation(void **state) {
    struct place *place = *state;
    unsigned kinds = 0;
    lsm_env_mem_before_op(place->other, note_operation, &kinds);
    struct lsm_file *file = open_ok(place->disk, "f", RW_CREATE);
    assert_true(kinds == 0);
    lsm_file_close(file);
    file = open_ok(place->other, "f", LSM_OPEN_WRITE);
    assert_int_equal(lsm_file_write_at(file, 0, "x", 1, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    lsm_env_sleep_us(place->other, 1);
    (void)map_ok(file);
    assert_true(kinds == (LSM_ENV_OPEN | LSM_ENV_WRITE | LSM_ENV_LOCK | LSM_ENV_SLEEP | LSM_ENV_MAP | LSM_ENV_ALLOCATE));
    lsm_file_close(file);
}

/* As the real one's callers want it: a word that has changed is not waited for. */
static void who_waits_at_a_word_that_has_changed_does_not_sleep(void **state) {
    struct place *place = *state;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE);
    _Atomic uint32_t *word = (_Atomic uint32_t *)(void *)map_ok(file);
    lsm_env_mem_set_clock(place->disk, 1000);
    word[0] = 7;
    lsm_env_wait_word(place->disk, word, 6, 500);
    assert_true(lsm_env_monotonic_us(place->disk) == 1000);
    lsm_env_wait_word(place->disk, word, 7, 500);
    assert_true(lsm_env_monotonic_us(place->disk) == 1500);
    lsm_file_close(file);
}

static void after_a_power_cut_nothing_mapped_is_shared_any_more(void **state) {
    struct place *place = *state;
    struct lsm_file *a = open_ok(place->disk, "f", RW_CREATE);
    _Atomic uint64_t *at_a = map_ok(a);
    at_a[0] = 77;
    assert_int_equal(lsm_env_mem_crash(place->disk, LSM_CRASH_KEEP, 1), LSM_OK);
    struct lsm_file *b = open_ok(place->other, "f", LSM_OPEN_WRITE);
    _Atomic uint64_t *at_b = map_ok(b);
    assert_true(at_b[0] == 0);
    at_b[0] = 5;
    assert_true(at_a[0] == 77);
    lsm_file_close(a);
    lsm_file_close(b);
}

static void a_file_written_before_it_is_mapped_is_what_was_written(void **state) {
    struct place *place = *state;
    uint64_t words[PAGE / 8] = {[1] = 42};
    assert_int_equal(lsm_env_mem_write_file(place->disk, "f", words, sizeof words), LSM_OK);
    struct lsm_file *file = open_ok(place->disk, "f", LSM_OPEN_WRITE);
    _Atomic uint64_t *at = map_ok(file);
    assert_true(at[1] == 42);
    words[1] = 43;
    assert_int_equal(lsm_env_mem_write_file(place->disk, "f", words, sizeof words), LSM_OK);
    assert_true(at[1] == 43);
    lsm_file_close(file);
}

/* ---- processes of the operating system ------------------------------------------------------------------------------------------------------ */

/* Ends the child with 0 if the condition holds. */
static void child_ends(bool ok) { _exit(ok ? 0 : 1); }

static bool child_was_right(pid_t child) {
    int result = -1;
    return waitpid(child, &result, 0) == child && WIFEXITED(result) && WEXITSTATUS(result) == 0;
}

static void a_child_of_a_fork_holds_no_lock_of_its_parent(void **state) {
    struct place *place = *state;
    int ready[2], go[2];
    char byte = 0;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE), *plain = open_ok(place->disk, place->path, LSM_OPEN_READ);
    assert_int_equal(lsm_file_lock(file, 3, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    (void)map_ok(file);
    assert_int_equal(pipe(ready) | pipe(go), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        size_t got;
        /* The locked one is closed here and refuses everything, the other one is as it was; closing them hurts nobody. */
        bool ok = lsm_file_lock(file, 3, LSM_LOCK_SHARED, NULL) != LSM_OK && lsm_file_read_at(plain, 0, &byte, 1, &got, NULL) == LSM_OK;
        ok = ok && write(ready[1], "r", 1) == 1 && read(go[0], &byte, 1) == 1;
        lsm_file_close(file);
        lsm_file_close(plain);
        child_ends(ok);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct lsm_file *other = open_ok(place->disk, place->path, LSM_OPEN_WRITE);
    assert_true(is_locked(other, 3));
    lsm_file_close(file);
    assert_false(is_locked(other, 3)); /* though the child lives */
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_true(child_was_right(child));
    lsm_file_close(other);
    lsm_file_close(plain);
    for (int i = 0; i < 2; i++) (void)(close(ready[i]) | close(go[i]));
}

static void a_child_of_a_fork_holds_no_directory_of_its_parent(void **state) {
    struct place *place = *state;
    int go[2];
    char byte = 0;
    struct lsm_file *file = open_ok(place->disk, place->dir, LSM_OPEN_DIR), *other = open_ok(place->disk, place->dir, LSM_OPEN_DIR);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) child_ends(read(go[0], &byte, 1) == 1);
    assert_int_equal(lsm_file_lock(other, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_BUSY);
    lsm_file_close(file);
    int status = LSM_BUSY;
    for (int i = 0; i < 5000 && status == LSM_BUSY; i++) { /* the child closes its copy when it first runs */
        status = lsm_file_lock(other, 0, LSM_LOCK_EXCLUSIVE, NULL);
        if (status == LSM_BUSY) lsm_env_sleep_us(lsm_env_posix(), 1000);
    }
    assert_int_equal(status, LSM_OK);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_true(child_was_right(child));
    lsm_file_close(other);
    for (int i = 0; i < 2; i++) (void)close(go[i]);
}

/* Opened, forked, then locked for the first time: the child, which lives on, has what was opened, but not what is locked. */
static void a_child_of_a_fork_before_the_first_lock_does_not_hold_it(void **state) {
    struct place *place = *state;
    int go[2];
    char byte = 0;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE), *dir = open_ok(place->disk, place->dir, LSM_OPEN_DIR);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) child_ends(read(go[0], &byte, 1) == 1);
    assert_int_equal(lsm_file_lock(file, 3, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(dir, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_write_at(file, 0, "x", 1, NULL), LSM_OK);
    struct lsm_file *other = open_ok(place->disk, place->path, LSM_OPEN_WRITE), *other_dir = open_ok(place->disk, place->dir, LSM_OPEN_DIR);
    assert_true(is_locked(other, 3));
    assert_int_equal(lsm_file_lock(other_dir, 0, LSM_LOCK_SHARED, NULL), LSM_BUSY);
    lsm_file_close(file);
    lsm_file_close(dir);
    assert_false(is_locked(other, 3));
    assert_int_equal(lsm_file_lock(other_dir, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_true(child_was_right(child));
    /* A file that is not there any more under its name cannot be opened again. */
    file = open_ok(place->disk, place->path, LSM_OPEN_WRITE);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) child_ends(true);
    assert_true(child_was_right(child));
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(lsm_file_lock(file, 3, LSM_LOCK_EXCLUSIVE, NULL), LSM_IO);
    lsm_file_close(file);
    lsm_file_close(other);
    lsm_file_close(other_dir);
    for (int i = 0; i < 2; i++) (void)close(go[i]);
}

static void a_killed_process_leaves_its_locks_and_a_living_one_keeps_its_memory(void **state) {
    struct place *place = *state;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE);
    _Atomic uint64_t *at = map_ok(file);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct lsm_file *own = NULL;
        void *bytes = NULL;
        bool ok = lsm_env_open(lsm_env_posix(), place->path, LSM_OPEN_WRITE, NULL, &own, NULL) == LSM_OK;
        ok = ok && lsm_file_lock(own, 9, LSM_LOCK_EXCLUSIVE, NULL) == LSM_OK && lsm_file_map(own, PAGE, &bytes, NULL) == LSM_OK;
        if (!ok) child_ends(false);
        ((_Atomic uint64_t *)bytes)[5] = 1;
        for (;;) (void)pause();
    }
    while (at[5] == 0) lsm_env_sleep_us(lsm_env_posix(), 1000);
    assert_true(is_locked(file, 9));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_false(child_was_right(child));
    assert_false(is_locked(file, 9));
    assert_true(at[5] == 1);
    lsm_file_close(file);
}

/* If nobody woke it, the child would wait for an hour. */
static void who_waits_at_a_word_is_woken_by_another_process(void **state) {
    struct place *place = *state;
    struct lsm_file *file = open_ok(place->disk, place->path, RW_CREATE);
    _Atomic uint32_t *word = (_Atomic uint32_t *)(void *)map_ok(file);
    word[0] = 7;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct lsm_file *own = NULL;
        void *bytes = NULL;
        bool ok =
            lsm_env_open(lsm_env_posix(), place->path, LSM_OPEN_WRITE, NULL, &own, NULL) == LSM_OK && lsm_file_map(own, PAGE, &bytes, NULL) == LSM_OK;
        if (!ok) child_ends(false);
        _Atomic uint32_t *there = bytes;
        lsm_env_wait_word(lsm_env_posix(), there, 6, 3600000000u); /* it is not 6: no wait */
        lsm_env_wait_word(lsm_env_posix(), there, 7, 1000);        /* a short one ends by itself */
        there[1] = 1;
        while (there[0] == 7) lsm_env_wait_word(lsm_env_posix(), there, 7, 3600000000u);
        child_ends(true);
    }
    while (word[1] == 0) lsm_env_sleep_us(lsm_env_posix(), 1000);
    lsm_env_sleep_us(lsm_env_posix(), 20000); /* most likely it sleeps by now; if not, it sees that the word has changed */
    word[0] = 8;
    lsm_env_wake_word(lsm_env_posix(), word);
    assert_true(child_was_right(child));
    lsm_file_close(file);
}

static void forks_while_files_are_locked_and_closed_never_hang(void **state) {
    struct place *place = *state;
    struct lsm_file *held = open_ok(place->disk, place->path, RW_CREATE);
    for (int round = 0; round < 50; round++) {
        struct lsm_file *file = open_ok(place->disk, place->path, LSM_OPEN_WRITE);
        assert_int_equal(lsm_file_lock(file, (uint64_t)round, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
        if (round % 10 == 0) {
            pid_t child = fork();
            if (child == 0) {
                struct lsm_file *own = NULL;
                bool ok = lsm_env_open(lsm_env_posix(), place->path, LSM_OPEN_WRITE, NULL, &own, NULL) == LSM_OK;
                ok = ok && lsm_file_lock(own, (uint64_t)round, LSM_LOCK_SHARED, NULL) == LSM_BUSY; /* the parent's, not ours */
                ok = ok && lsm_file_lock(own, 1000, LSM_LOCK_EXCLUSIVE, NULL) == LSM_OK;
                lsm_file_close(own);
                child_ends(ok);
            }
            assert_true(child_was_right(child));
        }
        lsm_file_close(file);
    }
    lsm_file_close(held);
}

int main(void) {
#define BOTH(name)                                                                                                                                   \
    cmocka_unit_test_setup_teardown(name, set_up_memory, tear_down_memory), cmocka_unit_test_setup_teardown(name, set_up_posix, tear_down_posix)
#define MEMORY(name) cmocka_unit_test_setup_teardown(name, set_up_memory, tear_down_memory)
#define POSIX(name)  cmocka_unit_test_setup_teardown(name, set_up_posix, tear_down_posix)
    const struct CMUnitTest tests[] = {
        BOTH(a_lock_is_seen_by_others_and_not_by_its_owner),
        BOTH(a_lock_changes_between_shared_and_exclusive_in_one_step),
        BOTH(a_directory_is_locked_as_a_whole),
        BOTH(mapped_memory_is_one_for_all_who_map_the_file),
        BOTH(what_a_file_does_not_have_is_not_mapped),
        BOTH(a_file_is_mapped_to_be_read_and_outlives_its_name),
        BOTH(what_is_mapped_to_be_read_is_there_in_the_child_of_a_fork),
        BOTH(a_path_that_leads_elsewhere_is_noticed),
        BOTH(this_directory_can_be_shared),
        MEMORY(a_killed_process_has_no_locks_and_can_do_nothing),
        MEMORY(what_a_killed_process_still_writes_nobody_sees),
        MEMORY(what_a_killed_process_sleeps_passes_for_itself_only),
        MEMORY(a_process_dies_at_the_operation_it_was_told),
        MEMORY(who_wants_to_know_is_told_before_every_operation),
        MEMORY(who_waits_at_a_word_that_has_changed_does_not_sleep),
        MEMORY(after_a_power_cut_nothing_mapped_is_shared_any_more),
        MEMORY(a_file_written_before_it_is_mapped_is_what_was_written),
        POSIX(a_child_of_a_fork_holds_no_lock_of_its_parent),
        POSIX(a_child_of_a_fork_holds_no_directory_of_its_parent),
        POSIX(a_child_of_a_fork_before_the_first_lock_does_not_hold_it),
        POSIX(a_killed_process_leaves_its_locks_and_a_living_one_keeps_its_memory),
        POSIX(who_waits_at_a_word_is_woken_by_another_process),
        POSIX(forks_while_files_are_locked_and_closed_never_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
