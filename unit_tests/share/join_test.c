/* Entering and leaving: who is first, who is last, who is refused, and what the death of anybody at any step leaves. */
#include <errno.h>

#include "fixture.h"

/* ---- first, later, last -------------------------------------------------------------------------------- */

static void the_first_one_builds_the_page_and_the_next_one_finds_it(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(fixture_join(fixture, 0), LSM_OK);
    struct lsm_share *first = fixture->process[0].share;
    assert_true(lsm_share_is_first(first));
    assert_null(lsm_share_exclusive(first));
    assert_true(lsm_share_published(first) == 0 && lsm_share_version(first) == 0 && lsm_share_undecided(first) == UINT64_MAX);
    lsm_share_publish(first, 4711);
    lsm_share_append_end(first, 4800);
    lsm_share_set_synced(first, 4000);
    lsm_share_set_version(first, lsm_share_version_id(3, 500));
    lsm_share_raise_next_file(first, 17);
    lsm_share_set_undecided(first, 4711);
    assert_int_equal(lsm_share_ready(first, NULL), LSM_OK);
    struct lsm_share *later = fixture_open(fixture, 1);
    assert_false(lsm_share_is_first(later));
    assert_true(lsm_share_published(later) == 4711 && lsm_share_synced(later) == 4000 && lsm_share_undecided(later) == 4711);
    assert_true(lsm_share_log_end(later).position == 4800 && !lsm_share_log_end(later).died);
    assert_true(lsm_share_version_manifest(lsm_share_version(later)) == 3 && lsm_share_version_bytes(lsm_share_version(later)) == 500);
    assert_true(lsm_share_next_file(later) == 17 && lsm_share_next_file(first) == 18);
    lsm_share_publish(later, 5000);
    lsm_share_publish(first, 4900);
    assert_true(lsm_share_published(first) == 5000);
}

static void nobody_comes_in_while_the_first_one_recovers(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(fixture_join(fixture, 0), LSM_OK);
    assert_int_equal(fixture_join(fixture, 1), LSM_BUSY);
    assert_non_null(strstr(fixture->process[1].err.text, "(test)"));
    assert_int_equal(lsm_share_ready(fixture->process[0].share, NULL), LSM_OK);
    (void)fixture_open(fixture, 1);
}

static void a_joiner_that_loads_keeps_others_from_opening_and_closing(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *first = fixture_open(fixture, 0);
    assert_int_equal(fixture_join(fixture, 1), LSM_OK);
    assert_int_equal(fixture_join(fixture, 2), LSM_BUSY);
    assert_false(lsm_share_leave(first, 1000)); /* it goes all the same, without being the last */
    fixture_close(fixture, 0);
    assert_int_equal(lsm_share_ready(fixture->process[1].share, NULL), LSM_OK);
    assert_true(lsm_share_leave(fixture->process[1].share, 1000));
}

static void only_the_last_one_is_told_so_and_nobody_comes_in_then(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    assert_false(lsm_share_leave(a, 1000));
    fixture_close(fixture, 0);
    assert_true(lsm_share_leave(b, 1000));
    assert_int_equal(fixture_join(fixture, 0), LSM_BUSY);
    fixture_close(fixture, 1);
    assert_true(lsm_share_is_first(fixture_open(fixture, 0)));
}

static void one_program_may_be_two_processes(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0);
    struct lsm_share_options options = fixture_options(fixture, 1);
    options.env = fixture->process[0].env;
    assert_int_equal(fixture_join_with(fixture, 1, &options), LSM_OK);
    assert_false(lsm_share_is_first(fixture->process[1].share));
    assert_int_equal(lsm_share_ready(fixture->process[1].share, NULL), LSM_OK);
    assert_int_equal(lsm_share_lock(a, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    assert_int_equal(lsm_share_lock(fixture->process[1].share, LSM_SHARE_WRITER, 0, NULL), LSM_BUSY);
    lsm_share_unlock(a, LSM_SHARE_WRITER);
}

/* ---- alone -------------------------------------------------------------------------------- */

static void exclusive_lets_nobody_in_and_waits_for_nobody(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share_options options = fixture_options(fixture, 0);
    options.exclusive = true;
    assert_int_equal(fixture_join_with(fixture, 0, &options), LSM_OK);
    struct lsm_share *alone = fixture->process[0].share;
    assert_non_null(strstr(lsm_share_exclusive(alone), "asked for"));
    assert_int_equal(lsm_share_ready(alone, NULL), LSM_OK);
    assert_int_equal(fixture_join(fixture, 1), LSM_BUSY);
    assert_non_null(strstr(fixture->process[1].err.text, "alone: exclusive access was asked for"));
    assert_int_equal(lsm_share_lock(alone, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    lsm_share_unlock(alone, LSM_SHARE_WRITER);
    assert_true(lsm_share_leave(alone, 0));
    fixture_close(fixture, 0);
    (void)fixture_open(fixture, 1);
    assert_int_equal(fixture_join_with(fixture, 0, &options), LSM_BUSY);
    assert_non_null(strstr(fixture->process[0].err.text, "one process alone"));
}

static void a_file_system_that_cannot_share_is_used_by_one(void **state) {
    struct fixture *fixture = *state;
    uint64_t size;
    lsm_env_mem_set_unshareable(fixture->disk, "NFS");
    struct lsm_share *alone = fixture_open(fixture, 0);
    assert_string_equal(lsm_share_exclusive(alone), "NFS");
    assert_int_equal(lsm_env_mem_file_size(fixture->disk, FIXTURE_SHM, &size), LSM_NOTFOUND);
    assert_int_equal(fixture_join(fixture, 1), LSM_BUSY);
    assert_non_null(strstr(fixture->process[1].err.text, "NFS"));
}

/* OPEN is the first thing that is locked. */
static int join_without_locks_of_bytes(struct fixture *fixture, int process, int os_errno) {
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_LOCK, .os_errno = os_errno};
    struct lsm_share_options options = fixture_options(fixture, process);
    uint64_t faults = lsm_env_mem_faults(fixture->disk);
    lsm_env_mem_fail_at(fixture->disk, &fault);
    int status = fixture_join_with(fixture, process, &options);
    assert_true(lsm_env_mem_faults(fixture->disk) > faults);
    lsm_env_mem_fail_at(fixture->disk, NULL);
    return status;
}

static void where_the_bytes_of_a_file_cannot_be_locked_one_has_the_directory(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(join_without_locks_of_bytes(fixture, 0, EINVAL), LSM_OK);
    struct lsm_share *share = fixture->process[0].share;
    assert_true(lsm_share_is_first(share) && strstr(lsm_share_exclusive(share), "cannot lock") != NULL);
    assert_int_equal(lsm_share_ready(share, NULL), LSM_OK);
    assert_int_equal(join_without_locks_of_bytes(fixture, 1, EINVAL), LSM_BUSY);
    assert_non_null(strstr(fixture->process[1].err.text, "open in another process"));
    assert_int_equal(fixture_join(fixture, 1), LSM_BUSY); /* nor one for whom they can be locked */
    assert_int_equal(lsm_share_lock(share, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    lsm_share_unlock(share, LSM_SHARE_WRITER);
    assert_true(lsm_share_leave(share, 0));
    fixture_close(fixture, 0);
    (void)fixture_open(fixture, 1);
    assert_int_equal(join_without_locks_of_bytes(fixture, 0, EINVAL), LSM_BUSY);
    fixture_close(fixture, 1);
    /* Where nothing can be locked, nobody comes in, and is told why. */
    assert_int_equal(join_without_locks_of_bytes(fixture, 0, true), LSM_IO);
    assert_non_null(strstr(fixture->process[0].err.text, "LOCK"));
}

/* What file systems say that have no such locks; whatever else fails is an error. */
static void only_what_means_that_there_are_no_locks_lets_one_go_on_without(void **state) {
    struct fixture *fixture = *state;
    static const int unsupported[] = {EBADF, EINVAL, ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP};
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        assert_int_equal(join_without_locks_of_bytes(fixture, 0, unsupported[i]), LSM_OK);
        assert_non_null(strstr(lsm_share_exclusive(fixture->process[0].share), "cannot lock"));
        fixture_close(fixture, 0);
    }
    assert_int_equal(join_without_locks_of_bytes(fixture, 0, EDEADLK), LSM_IO);
    assert_int_equal(fixture->process[0].err.os_errno, EDEADLK);
}

static void without_space_or_shared_memory_one_goes_on_alone(void **state) {
    struct fixture *fixture = *state;
    const struct lsm_env_fault no_space = {.at = 1, .ops = LSM_ENV_ALLOCATE, .os_errno = ENOSPC},
                               no_map = {.at = 1, .ops = LSM_ENV_MAP, .os_errno = ENODEV};
    lsm_env_mem_fail_at(fixture->disk, &no_space);
    assert_non_null(strstr(lsm_share_exclusive(fixture_open(fixture, 0)), "space"));
    fixture_close(fixture, 0);
    lsm_env_mem_fail_at(fixture->disk, &no_map);
    assert_non_null(strstr(lsm_share_exclusive(fixture_open(fixture, 0)), "memory"));
}

static void detached_touches_no_file(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share_options options = fixture_options(fixture, 0);
    uint64_t size;
    options.detached = true;
    assert_int_equal(fixture_join_with(fixture, 0, &options), LSM_OK);
    struct lsm_share *share = fixture->process[0].share;
    lsm_share_set_version(share, 5);
    assert_int_equal(lsm_share_ready(share, NULL), LSM_OK);
    struct lsm_share_pin pin;
    assert_true(lsm_share_pin(share, 5, &pin));
    lsm_share_unpin(share, &pin);
    assert_int_equal(lsm_share_lock(share, LSM_SHARE_MANIFEST, 0, NULL), LSM_OK); /* there is no place that could be another's */
    lsm_share_unlock(share, LSM_SHARE_MANIFEST);
    assert_false(lsm_share_leave(share, 0));
    assert_int_equal(lsm_env_mem_file_size(fixture->disk, FIXTURE_LOCK, &size), LSM_NOTFOUND);
    assert_true(lsm_share_is_first(fixture_open(fixture, 1)));
}

static void a_release_that_cannot_share_and_we_keep_each_other_out(void **state) {
    struct fixture *fixture = *state;
    struct lsm_file *old;
    const unsigned flags = LSM_OPEN_WRITE | LSM_OPEN_CREATE;
    assert_int_equal(lsm_env_open(fixture->disk, FIXTURE_LOCK, flags, NULL, &old, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(old, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(fixture_join(fixture, 0), LSM_BUSY);
    lsm_file_close(old);
    (void)fixture_open(fixture, 0);
    assert_int_equal(lsm_env_open(fixture->disk, FIXTURE_LOCK, flags, NULL, &old, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(old, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_BUSY);
    lsm_file_close(old);
}

/* ---- SHM and LOCK as they should not be -------------------------------------------------------------------------------- */

static void expect_refused(struct fixture *fixture, const char *word) {
    assert_int_equal(fixture_join(fixture, 1), LSM_BUSY);
    if (strstr(fixture->process[1].err.text, word) == NULL) fail_msg("no \"%s\" in: %s", word, fixture->process[1].err.text);
    /* Those who are in go on. */
    struct lsm_share *first = fixture->process[0].share;
    assert_int_equal(lsm_share_lock(first, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    lsm_share_unlock(first, LSM_SHARE_WRITER);
}

/* The page the living ones use, changed at an offset. */
static void damage_page(struct fixture *fixture, size_t offset) {
    struct lsm_file *file;
    void *bytes;
    assert_int_equal(lsm_env_open(fixture->disk, FIXTURE_SHM, LSM_OPEN_WRITE, NULL, &file, NULL), LSM_OK);
    assert_int_equal(lsm_file_map(file, 40960, &bytes, NULL), LSM_OK);
    ((uint8_t *)bytes)[offset] ^= 0x40;
    lsm_file_close(file);
}

static void whatever_stands_in_SHM_the_first_one_builds_it_anew(void **state) {
    struct fixture *fixture = *state;
    static uint8_t garbage[40000];
    memset(garbage, 0xa5, sizeof garbage);
    assert_int_equal(lsm_env_mem_write_file(fixture->disk, FIXTURE_SHM, garbage, sizeof garbage), LSM_OK);
    struct lsm_share_process *processes;
    size_t count;
    assert_true(lsm_share_is_first(fixture_open(fixture, 0)));
    (void)fixture_open(fixture, 1);
    assert_int_equal(lsm_share_list(fixture->process[1].share, &processes, &count, NULL), LSM_OK);
    assert_int_equal(count, 2);
    lsm_free(processes);
    fixture_kill(fixture, 0);
    fixture_kill(fixture, 1);
    assert_int_equal(lsm_env_mem_write_file(fixture->disk, FIXTURE_SHM, "x", 1), LSM_OK);
    assert_true(lsm_share_is_first(fixture_open(fixture, 0)));
}

static void a_missing_page_refuses_those_who_want_to_join(void **state) {
    struct fixture *fixture = *state;
    (void)fixture_open(fixture, 0);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_SHM, NULL), LSM_OK);
    expect_refused(fixture, "missing");
    fixture_close(fixture, 0);
    assert_true(lsm_share_is_first(fixture_open(fixture, 1)));
}

static void a_replaced_page_refuses_those_who_want_to_join(void **state) {
    struct fixture *fixture = *state;
    static uint8_t copy[40960];
    (void)fixture_open(fixture, 0);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_SHM, NULL), LSM_OK);
    assert_int_equal(lsm_env_mem_write_file(fixture->disk, FIXTURE_SHM, copy, sizeof copy), LSM_OK);
    expect_refused(fixture, "replaced");
}

/* Somebody else makes a page in its place just now. */
static void a_page_in_the_making_beside_living_processes_refuses_those_who_want_to_join(void **state) {
    struct fixture *fixture = *state;
    struct lsm_file *file;
    (void)fixture_open(fixture, 0);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_SHM, NULL), LSM_OK);
    assert_int_equal(lsm_env_open(fixture->disk, FIXTURE_SHM, LSM_OPEN_WRITE | LSM_OPEN_CREATE, NULL, &file, NULL), LSM_OK);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    expect_refused(fixture, "replaced");
    lsm_file_close(file);
}

static void a_page_that_is_not_ours_refuses_those_who_want_to_join(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        size_t offset;
        const char *word;
    } cases[] = {{0, "not a page"},       {8, "another release"}, {12, "another release"},
                 {16, "another release"}, {24, "another store"},  {39, "another store"}};
    (void)fixture_open(fixture, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        damage_page(fixture, cases[i].offset);
        expect_refused(fixture, cases[i].word);
        damage_page(fixture, cases[i].offset);
    }
    (void)fixture_open(fixture, 1);
}

static void a_page_that_is_too_short_refuses_those_who_want_to_join(void **state) {
    struct fixture *fixture = *state;
    struct lsm_file *file;
    (void)fixture_open(fixture, 0);
    assert_int_equal(lsm_env_open(fixture->disk, FIXTURE_SHM, LSM_OPEN_WRITE, NULL, &file, NULL), LSM_OK);
    assert_int_equal(lsm_file_truncate(file, 40959, NULL), LSM_OK);
    lsm_file_close(file);
    expect_refused(fixture, "too short");
}

static void a_deleted_LOCK_is_found_out_by_the_page(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *first = fixture_open(fixture, 0);
    assert_int_equal(lsm_share_check_place(first, NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_LOCK, NULL), LSM_OK);
    expect_refused(fixture, "LOCK was deleted");
    struct lsm_share_options options = fixture_options(fixture, 1);
    options.exclusive = true;
    assert_int_equal(fixture_join_with(fixture, 1, &options), LSM_BUSY);
    assert_int_equal(lsm_share_lock(first, LSM_SHARE_MANIFEST, 0, NULL), LSM_OK); /* nobody else can be in */
    lsm_share_unlock(first, LSM_SHARE_MANIFEST);
    fixture_close(fixture, 0);
    assert_true(lsm_share_is_first(fixture_open(fixture, 1)));
}

/* Ten seconds are for a process that is dying; nobody has come in by a new LOCK, so nobody needs as long. One that has a note may be its own. */
static void a_deleted_LOCK_is_not_waited_for_as_long_as_a_busy_one(void **state) {
    struct fixture *fixture = *state;
    char bytes[640] = {0};
    struct lsm_share_options options = fixture_options(fixture, 1);
    options.timeout_us = 10000000;
    (void)fixture_open(fixture, 0);
    for (int note = 0; note < 2; note++) {
        assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_LOCK, NULL), LSM_OK);
        if (note) (void)strcpy(bytes + 512, "process 77");
        if (note) assert_int_equal(lsm_env_mem_write_file(fixture->disk, FIXTURE_LOCK, bytes, sizeof bytes), LSM_OK);
        uint64_t start = lsm_env_monotonic_us(fixture->disk); /* simulated */
        assert_int_equal(fixture_join_with(fixture, 1, &options), LSM_BUSY);
        assert_int_equal(lsm_env_monotonic_us(fixture->disk) - start, note ? 10000000 : 200000);
        assert_non_null(strstr(fixture->process[1].err.text, "LOCK was deleted"));
    }
}

static void nobody_comes_in_when_LOCK_and_SHM_are_both_gone(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0);
    struct lsm_share_options options = fixture_options(fixture, 2);
    (void)fixture_open(fixture, 1);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_LOCK, NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_SHM, NULL), LSM_OK);
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        options.exclusive = exclusive;
        assert_int_equal(fixture_join_with(fixture, 2, &options), LSM_BUSY);
        assert_non_null(strstr(fixture->process[2].err.text, "LOCK was deleted"));
    }
    assert_int_equal(lsm_share_lock(a, LSM_SHARE_MANIFEST, 0, NULL), LSM_OK);
    lsm_share_unlock(a, LSM_SHARE_MANIFEST);
    fixture_close(fixture, 0);
    assert_int_equal(fixture_join(fixture, 2), LSM_BUSY);
    fixture_close(fixture, 1);
    assert_true(lsm_share_is_first(fixture_open(fixture, 2)));
    (void)fixture_open(fixture, 1);
}

static void nobody_comes_in_beside_one_that_is_alone_and_whose_LOCK_is_gone(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share_options options = fixture_options(fixture, 0);
    options.exclusive = true;
    assert_int_equal(fixture_join_with(fixture, 0, &options), LSM_OK);
    assert_int_equal(lsm_share_ready(fixture->process[0].share, NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_LOCK, NULL), LSM_OK);
    expect_refused(fixture, "LOCK was deleted");
    options.env = fixture_options(fixture, 1).env;
    assert_int_equal(fixture_join_with(fixture, 1, &options), LSM_BUSY);
    assert_int_equal(lsm_share_check_place(fixture->process[0].share, NULL), LSM_OK);
}

static void nobody_writes_any_more_when_the_directory_was_moved(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    struct lsm_error err = {0};
    assert_int_equal(lsm_env_rename(fixture->disk, FIXTURE_DIR, FIXTURE_DIR "-moved", NULL), LSM_OK);
    assert_int_equal(lsm_env_mkdir(fixture->disk, FIXTURE_DIR, NULL, NULL), LSM_OK);
    assert_true(lsm_share_is_first(fixture_open(fixture, 2))); /* of another one */
    assert_int_equal(lsm_share_lock(a, LSM_SHARE_MANIFEST, 0, &err), LSM_READONLY);
    assert_non_null(strstr(err.text, "directory was moved"));
    assert_true(lsm_share_failed(b) && !lsm_share_failed(fixture->process[2].share));
}

/* Join where directories cannot be locked, which is tried behind OPEN and PRESENT (refused exclusively, if not first). */
static void open_without_dir(struct fixture *fixture, int process, bool first, const struct lsm_share_options *options) {
    struct lsm_env_fault fault = {.at = first ? 3 : 4, .ops = LSM_ENV_LOCK, .os_errno = ENOLCK};
    uint64_t faults = lsm_env_mem_faults(fixture->disk);
    lsm_env_mem_fail_at(fixture->disk, &fault);
    assert_int_equal(fixture_join_with(fixture, process, options), LSM_OK);
    assert_int_equal(lsm_env_mem_faults(fixture->disk), faults + 1);
    lsm_env_mem_fail_at(fixture->disk, NULL);
    assert_true(lsm_share_is_first(fixture->process[process].share) == first);
    if (first) lsm_share_set_version(fixture->process[process].share, 10);
    assert_int_equal(lsm_share_ready(fixture->process[process].share, NULL), LSM_OK);
}

static void without_locks_of_directories_nobody_writes_any_more_when_LOCK_and_SHM_are_both_gone(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share_options plain[] = {fixture_options(fixture, 0), fixture_options(fixture, 1), fixture_options(fixture, 2)};
    for (int i = 0; i < 2; i++) open_without_dir(fixture, i, i == 0, &plain[i]);
    struct lsm_share *a = fixture->process[0].share, *b = fixture->process[1].share;
    struct lsm_error err = {0};
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_LOCK, NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_SHM, NULL), LSM_OK);
    open_without_dir(fixture, 2, true, &plain[2]); /* it cannot know */
    assert_int_equal(lsm_share_lock(a, LSM_SHARE_MANIFEST, 0, &err), LSM_READONLY);
    assert_non_null(strstr(err.text, "LOCK was deleted"));
    assert_true(lsm_share_failed(b) && !lsm_share_failed(fixture->process[2].share));
    assert_int_equal(lsm_share_lock(b, LSM_SHARE_MANIFEST, 0, NULL), LSM_READONLY); /* and holds nothing */
    struct lsm_share_options options = fixture_options(fixture, 3);
    fixture_close(fixture, 2);
    options.exclusive = true;
    open_without_dir(fixture, 3, true, &options);
    assert_int_equal(lsm_share_check_place(fixture->process[3].share, NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_LOCK, NULL), LSM_OK);
    assert_int_equal(lsm_share_lock(fixture->process[3].share, LSM_SHARE_MANIFEST, 0, NULL), LSM_READONLY);
}

/* Nothing but the lock on SHM tells it. */
static void without_locks_of_directories_a_deleted_LOCK_is_found_out_by_the_page(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share_options options = fixture_options(fixture, 0);
    open_without_dir(fixture, 0, true, &options);
    assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_LOCK, NULL), LSM_OK);
    expect_refused(fixture, "LOCK was deleted");
    options = fixture_options(fixture, 1);
    options.exclusive = true;
    assert_int_equal(fixture_join_with(fixture, 1, &options), LSM_BUSY);
    fixture_close(fixture, 0);
    assert_int_equal(fixture_join_with(fixture, 1, &options), LSM_OK); /* though its SHM lies there */
}

/* ---- death at every step -------------------------------------------------------------------------------- */

/* What a process does from the first to the last; false: it was killed on the way, or refused because it was. */
static bool live(struct fixture *fixture, int process, bool *was_last) {
    struct fixture_process *p = &fixture->process[process];
    *was_last = false;
    if (fixture_join(fixture, process) != LSM_OK) return false;
    if (lsm_share_is_first(p->share)) lsm_share_set_version(p->share, 10);
    if (lsm_share_ready(p->share, NULL) != LSM_OK) return false;
    if (lsm_share_lock(p->share, LSM_SHARE_WRITER, 1000, NULL) != LSM_OK) return false;
    lsm_share_unlock(p->share, LSM_SHARE_WRITER);
    *was_last = lsm_share_leave(p->share, 1000);
    return !lsm_env_mem_is_killed(p->env);
}

/* Process 1 dies at its n-th operation while process 0 is there or not: everybody else finds the store as if it had never been. */
static void die_at_every_step(struct fixture *fixture, bool others) {
    uint64_t n = 1;
    bool whole = false, was_last;
    if (others) (void)fixture_open(fixture, 0);
    for (; !whole; n++) {
        (void)fixture_options(fixture, 1); /* makes the process */
        lsm_env_mem_kill_at(fixture->process[1].env, n);
        whole = live(fixture, 1, &was_last);
        if (whole) assert_true(was_last == !others);
        fixture_kill(fixture, 1);
        struct lsm_share *next = fixture_open(fixture, 2);
        assert_true(lsm_share_is_first(next) == !others);
        assert_int_equal(lsm_share_lock(next, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
        lsm_share_unlock(next, LSM_SHARE_WRITER);
        struct lsm_share_process *processes;
        size_t count;
        assert_int_equal(lsm_share_list(next, &processes, &count, NULL), LSM_OK);
        assert_int_equal(count, others ? 2 : 1);
        lsm_free(processes);
        assert_true(lsm_share_leave(next, 1000) == !others);
        fixture_close(fixture, 2);
    }
    printf("%llu steps, %s\n", (unsigned long long)n - 1, others ? "others there" : "alone");
    assert_true(n > 12);
}

static void whoever_dies_at_whatever_step_of_the_only_one_leaves_nothing(void **state) { die_at_every_step(*state, false); }

static void whoever_dies_at_whatever_step_among_others_leaves_nothing(void **state) { die_at_every_step(*state, true); }

/* Every operation fails once: an error, nothing held, and the next one comes in. */
static void a_failing_operation_leaves_nothing_behind(void **state) {
    struct fixture *fixture = *state;
    uint64_t before = UINT64_MAX, tried = 0;
    for (uint64_t n = 1; lsm_env_mem_faults(fixture->disk) != before; n++, tried++) {
        struct lsm_env_fault fault = {.at = n, .ops = LSM_ENV_ALL};
        bool was_last;
        before = lsm_env_mem_faults(fixture->disk);
        lsm_env_mem_fail_at(fixture->disk, &fault);
        (void)live(fixture, 1, &was_last);
        lsm_env_mem_fail_at(fixture->disk, NULL);
        fixture_close(fixture, 1);
        assert_true(lsm_share_is_first(fixture_open(fixture, 2)));
        fixture_close(fixture, 2);
    }
    assert_true(tried > 12);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_one_builds_the_page_and_the_next_one_finds_it),
        TEST(nobody_comes_in_while_the_first_one_recovers),
        TEST(a_joiner_that_loads_keeps_others_from_opening_and_closing),
        TEST(only_the_last_one_is_told_so_and_nobody_comes_in_then),
        TEST(one_program_may_be_two_processes),
        TEST(exclusive_lets_nobody_in_and_waits_for_nobody),
        TEST(a_file_system_that_cannot_share_is_used_by_one),
        TEST(where_the_bytes_of_a_file_cannot_be_locked_one_has_the_directory),
        TEST(only_what_means_that_there_are_no_locks_lets_one_go_on_without),
        TEST(without_space_or_shared_memory_one_goes_on_alone),
        TEST(detached_touches_no_file),
        TEST(a_release_that_cannot_share_and_we_keep_each_other_out),
        TEST(whatever_stands_in_SHM_the_first_one_builds_it_anew),
        TEST(a_missing_page_refuses_those_who_want_to_join),
        TEST(a_replaced_page_refuses_those_who_want_to_join),
        TEST(a_page_in_the_making_beside_living_processes_refuses_those_who_want_to_join),
        TEST(a_page_that_is_not_ours_refuses_those_who_want_to_join),
        TEST(a_page_that_is_too_short_refuses_those_who_want_to_join),
        TEST(a_deleted_LOCK_is_found_out_by_the_page),
        TEST(a_deleted_LOCK_is_not_waited_for_as_long_as_a_busy_one),
        TEST(nobody_comes_in_when_LOCK_and_SHM_are_both_gone),
        TEST(nobody_comes_in_beside_one_that_is_alone_and_whose_LOCK_is_gone),
        TEST(nobody_writes_any_more_when_the_directory_was_moved),
        TEST(without_locks_of_directories_nobody_writes_any_more_when_LOCK_and_SHM_are_both_gone),
        TEST(without_locks_of_directories_a_deleted_LOCK_is_found_out_by_the_page),
        TEST(whoever_dies_at_whatever_step_of_the_only_one_leaves_nothing),
        TEST(whoever_dies_at_whatever_step_among_others_leaves_nothing),
        TEST(a_failing_operation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
