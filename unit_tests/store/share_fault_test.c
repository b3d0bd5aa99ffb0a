/* Several processes with one store: what is missing or fails is said by each of them, and where nothing can be shared one has the store. */
#include <errno.h>

#include "../../lsm_core/share/page.h"
#include "share_kit.h"

/* ---- what is missing --------------------------------------------------------------------------------------------------------------- */

static void unlink_manifest(void) {
    char path[80];
    (void)snprintf(path, sizeof path, "%s/MANIFEST-%08llu", world.options.dir,
                   (unsigned long long)lsm_share_version_manifest(lsm_share_version(world.stores[1]->share)));
    MUST(lsm_env_unlink(world.disk, path, &err));
}

/* Not for ever: neither for one who reads on, nor for one who writes. */
static void a_manifest_that_is_missing_is_waited_for_and_then_said(void **state) {
    (void)state;
    struct lsm_view *view = NULL;
    struct lsm_edit nothing = {0};
    bool keep_files;
    struct lsm_txn *txn = begin(0);
    put(txn, "a", "1");
    world.stores[1]->set.manifest_bytes_max = 1; /* the next edit begins another one */
    MUST(lsm_version_set_apply(&world.stores[1]->set, &nothing, &keep_files, &err));
    unlink_manifest();
    for (int i = 0; i < PROCESSES; i += 2) {
        err.text[0] = '\0';
        assert_int_equal(lsm_view_open(world.stores[i], NULL, &view, &err), LSM_CORRUPT);
        assert_non_null(strstr(err.text, "manifest is"));
    }
    (void)lsm_txn_rollback(txn, NULL);
    for (int i = 0; i < PROCESSES; i++) bury(i);
}

/* A file cannot be made where there is no directory, which is not the same as nothing to do. */
static void a_directory_that_is_gone_is_an_error_of_whoever_flushes_or_merges(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        write_much(0, 0, 30);
        MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    }
    write_row(0, "a", "1");
    roll_without_flush(0);
    MUST(lsm_env_rename(world.disk, "db-lsm/store", "db-lsm/moved", &err));
    assert_int_equal(lsm_store_flush_turn(world.stores[0], NULL, NULL, &err), LSM_IO);
    assert_int_equal(lsm_store_flush(world.stores[0], NULL, NULL, &err), LSM_IO);
    assert_int_equal(lsm_store_compact(world.stores[0], NULL, NULL, &err), LSM_IO);
    assert_int_equal(lsm_store_quiesce(world.stores[0], &err), LSM_IO); /* it is kept, and tried again later */
    assert_true(says(0, "a", "1"));
    MUST(lsm_env_rename(world.disk, "db-lsm/moved", "db-lsm/store", &err));
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    for (int i = 0; i < PROCESSES; i++) assert_true(says(i, "a", "1"));
}

/* Others may have opened it at its new place and written. */
static void who_cannot_read_on_because_the_directory_was_moved_says_so(void **state) {
    (void)state;
    struct lsm_view *view = NULL;
    close_store(2);
    write_row(0, "a", "1");
    roll_without_flush(0);
    MUST(lsm_env_rename(world.disk, "db-lsm/store", "db-lsm/moved", &err));
    world.options.dir = "db-lsm/moved";
    MUST(open_store(2));
    write_row(2, "b", "2");
    assert_int_equal(lsm_view_open(world.stores[1], NULL, &view, &err), LSM_READONLY);
    assert_non_null(strstr(err.text, "directory was moved"));
    (void)lsm_store_close(world.stores[0], NULL);
    (void)lsm_store_close(world.stores[2], NULL);
    (void)lsm_store_close(world.stores[1], NULL); /* the last one, and the one that knows least */
    world.stores[0] = world.stores[1] = world.stores[2] = NULL;
    MUST(open_store(2));
    assert_true(says(2, "a", "1") && says(2, "b", "2"));
}

/* Nothing keeps the files that one reads who has no place among those who write. */
static unsigned merges, merges_wanted;

static void others_merge(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    size_t length = path == NULL ? 0 : strlen(path);
    (void)arg;
    (void)process;
    if (merges == merges_wanted || kind != LSM_ENV_OPEN || length < 4 || strcmp(path + length - 4, ".sst") != 0) return;
    merges++;
    write_much(0, 0, 20);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
}

static void whoever_opens_for_reading_tries_again_when_files_vanish(void **state) {
    (void)state;
    close_store(2);
    close_store(1);
    write_row(0, "a", "1");
    write_much(0, 0, 50);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    world.options.read_only = true;
    lsm_env_mem_before_op(world.envs[2], others_merge, NULL);
    merges = 0;
    merges_wanted = 3;
    MUST(open_store(2));
    assert_true(says(2, "a", "1"));
    close_store(2);
    assert_int_equal(merges, merges_wanted);
    merges_wanted = 1000;
    assert_int_equal(open_store(2), LSM_BUSY);
    assert_non_null(strstr(err.text, "faster than it can be read"));
    assert_true(merges < 100);
    lsm_env_mem_before_op(world.envs[2], NULL, NULL);
    /* What is missing for good is said at once. */
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    char path[80];
    MUST(lsm_store_files(world.stores[0], &files, &count, &err));
    (void)snprintf(path, sizeof path, "%s/%08llu.sst", world.options.dir, (unsigned long long)files[0].number);
    lsm_free(files);
    MUST(lsm_env_unlink(world.disk, path, &err));
    assert_int_equal(open_store(2), LSM_CORRUPT);
    assert_non_null(strstr(err.text, "missing"));
    world.options.read_only = false;
}

/* It does not know how far the log goes, and must not cut off what others have committed. */
static void the_last_one_that_cannot_read_what_others_wrote_leaves_the_log_alone(void **state) {
    (void)state;
    const struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_OPEN | LSM_ENV_READ, .os_errno = EMFILE, .sticky = true};
    write_row(0, "a", "1");
    write_row(1, "b", "2");
    close_store(1);
    close_store(2);
    lsm_env_mem_fail_at(world.disk, &fault);
    (void)lsm_store_close(world.stores[0], NULL);
    world.stores[0] = NULL;
    assert_true(lsm_env_mem_faults(world.disk) > 0);
    lsm_env_mem_fail_at(world.disk, NULL);
    MUST(open_store(0));
    assert_true(says(0, "a", "1") && says(0, "b", "2"));
}

/* A process that is stopped in an append to the manifest is no damage. */
static void a_check_that_others_hold_up_finds_nothing_but_is_busy(void **state) {
    (void)state;
    uint64_t problems = 1;
    write_row(0, "a", "1");
    MUST(lsm_version_set_lock(&world.stores[0]->set, &err));
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk));
    assert_int_equal(lsm_store_check(world.stores[1], NULL, NULL, NULL, NULL, &problems, &err), LSM_BUSY);
    lsm_env_mem_set_clock(world.disk, 0);
    assert_int_equal(problems, 0);
    assert_non_null(strstr(err.text, "is changing the manifest"));
    lsm_version_set_unlock(&world.stores[0]->set);
    MUST(lsm_store_check(world.stores[1], NULL, NULL, NULL, NULL, &problems, &err));
    assert_int_equal(problems, 0);
}

static void who_may_not_write_is_told_which_permission_is_missing(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    const struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_CREATE, .among = "LOCK", .os_errno = EACCES};
    write_row(0, "a", "1");
    for (int i = 0; i < PROCESSES; i++) close_store(i);
    MUST(lsm_env_unlink(world.disk, "db-lsm/store/LOCK", &err));
    lsm_env_mem_fail_at(world.disk, &fault);
    MUST(open_store(2));
    lsm_env_mem_fail_at(world.disk, NULL);
    assert_true(says(2, "a", "1"));
    assert_int_equal(lsm_txn_begin(world.stores[2], UINT64_MAX, 0, &txn, &err), LSM_READONLY);
    assert_non_null(strstr(err.text, "reading only: "));
    assert_non_null(strstr(err.text, "LOCK: "));
    assert_non_null(strstr(err.text, "permissions"));
}

/* ---- failures, and places where nothing can be shared --------------------------------------------------------------------------- */

static void a_failed_sync_stops_all_writers_until_all_have_closed(void **state) {
    (void)state;
    write_row(1, "a", "1");
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_SYNC, .sticky = true};
    struct lsm_txn *txn = begin(0);
    put(txn, "b", "2");
    lsm_env_mem_fail_at(world.disk, &fault);
    assert_int_not_equal(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), LSM_OK);
    (void)lsm_txn_rollback(txn, NULL);
    lsm_env_mem_fail_at(world.disk, NULL);
    assert_int_equal(lsm_txn_begin(world.stores[1], UINT64_MAX, 0, &txn, &err), LSM_READONLY);
    assert_true(says(1, "a", "1") && says(1, "b", NULL));
    for (int i = 0; i < PROCESSES; i++) {
        (void)lsm_store_close(world.stores[i], NULL);
        world.stores[i] = NULL;
    }
    MUST(open_store(0));
    write_row(0, "c", "3");
    assert_true(says(0, "a", "1") && says(0, "c", "3"));
}

static uint64_t store_bytes(void) {
    struct lsm_names names = {0};
    uint64_t sum = 0;
    MUST(lsm_env_list(world.disk, world.options.dir, &names, &err));
    for (size_t i = 0; i < names.count; i++) {
        char path[80];
        struct lsm_file *file = NULL;
        uint64_t bytes = 0;
        (void)snprintf(path, sizeof path, "%s/%s", world.options.dir, names.names[i]);
        MUST(lsm_env_open(world.disk, path, LSM_OPEN_READ, NULL, &file, &err));
        MUST(lsm_file_size(file, &bytes, &err));
        lsm_file_close(file);
        sum += bytes;
    }
    lsm_names_free(&names);
    return sum;
}

/* As docs/operations.md says: as much as what is merged has, and no more; without it everything stays as it was. */
static void merging_everything_takes_the_space_of_the_store_once_more(void **state) {
    (void)state;
    for (int i = 0; i < PROCESSES; i++) close_store(i);
    world.options.compression = LSM_COMPRESS_NONE;
    MUST(open_store(0));
    for (int turn = 0; turn < 3; turn++) {
        write_much(0, (unsigned)turn * 100, 400);
        MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    }
    write_much(0, 0, 30);
    uint64_t before = store_bytes();
    lsm_env_mem_set_space(world.disk, before + 20000);
    assert_int_equal(lsm_store_compact(world.stores[0], NULL, NULL, &err), LSM_FULL);
    assert_true(store_bytes() <= before + 20000);
    assert_int_equal(named_files(0), table_files()); /* no output stays */
    lsm_env_mem_set_space(world.disk, 2 * before);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    lsm_env_mem_set_space(world.disk, UINT64_MAX);
    assert_int_equal(named_files(0), table_files());
    assert_true(store_bytes() < before);
}

/* Of a file that could not be opened nothing is lost: the commit fails and no more, and the next one is durable, with all that others wrote before. */
static void a_log_file_of_others_that_cannot_be_opened_to_be_synced_ends_nothing(void **state) {
    (void)state;
    const struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_OPEN | LSM_ENV_CREATE, .os_errno = EMFILE, .sticky = true};
    write_row(0, "a", "1");
    roll_without_flush(0);
    write_row(0, "b", "2");
    write_row(1, "c", "3");
    for (int i = 0; i < 3; i++) {
        struct lsm_txn *txn = begin(1);
        put(txn, "d", "4");
        lsm_env_mem_fail_at(world.envs[1], &fault);
        int status = lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err);
        assert_true(lsm_env_mem_faults(world.envs[1]) > 0);
        assert_int_equal(status, LSM_IO);
        assert_non_null(strstr(err.text, "ulimit -n"));
        lsm_env_mem_fail_at(world.envs[1], NULL);
        MUST(lsm_txn_rollback(txn, &err));
        assert_true(says(1, "d", NULL));
    }
    struct lsm_txn *txn = begin(1);
    put(txn, "d", "5");
    commit(txn, LSM_SYNC_FULL);
    expect_durable((const char *const[]){"a", "1", "b", "2", "c", "3", "d", "5", NULL});
}

/* At NORMAL, too: nobody waits for the sync that cannot be made, but the next commits do until it is. */
static void commits_wait_for_a_sync_of_others_that_was_due_and_could_not_be_made(void **state) {
    (void)state;
    const uint64_t now_us = UINT64_C(4000000000000000);
    const struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_OPEN | LSM_ENV_CREATE, .os_errno = EMFILE, .sticky = true};
    lsm_env_mem_set_clock(world.disk, now_us);
    struct lsm_txn *txn = begin(1);
    commit(txn, LSM_SYNC_NORMAL);
    write_row(0, "a", "1");
    roll_without_flush(0);
    write_row(1, "b", "2");
    lsm_env_mem_set_clock(world.disk, now_us + 2000000);
    txn = begin(1);
    put(txn, "c", "3");
    lsm_env_mem_fail_at(world.envs[1], &fault);
    commit(txn, LSM_SYNC_NORMAL); /* the sync comes behind it */
    assert_true(lsm_env_mem_faults(world.envs[1]) > 0);
    txn = begin(1);
    put(txn, "d", "4");
    assert_int_equal(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDES_ITSELF, NULL, &err), LSM_IO);
    assert_non_null(strstr(err.text, "ulimit -n"));
    lsm_env_mem_fail_at(world.envs[1], NULL);
    MUST(lsm_txn_rollback(txn, &err));
    txn = begin(1);
    put(txn, "d", "5");
    commit(txn, LSM_SYNC_NORMAL);
    expect_durable((const char *const[]){"a", "1", "b", "2", "c", "3", "d", "5", NULL});
    lsm_env_mem_set_clock(world.disk, 0);
}

static void where_the_file_system_cannot_share_one_process_has_the_store_and_says_why(void **state) {
    (void)state;
    const char *why = NULL;
    assert_int_equal(lsm_store_mode(world.stores[0], &why), LSM_MODE_SHARED);
    for (int i = 0; i < PROCESSES; i++) close_store(i);
    lsm_env_mem_set_unshareable(world.disk, "NFS");
    MUST(open_store(0));
    assert_int_equal(lsm_store_mode(world.stores[0], &why), LSM_MODE_EXCLUSIVE);
    assert_string_equal(why, "NFS");
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk));
    assert_int_equal(open_store(1), LSM_BUSY);
    assert_non_null(strstr(err.text, "NFS"));
    lsm_env_mem_set_clock(world.disk, 0);
    write_row(0, "a", "1");
    assert_true(says(0, "a", "1"));
    lsm_env_mem_set_unshareable(world.disk, NULL);
}

static void without_the_page_those_who_are_in_go_on_and_nobody_joins(void **state) {
    (void)state;
    close_store(2);
    MUST(lsm_env_unlink(world.disk, "db-lsm/store/SHM", &err));
    write_row(0, "a", "1");
    assert_true(says(1, "a", "1"));
    lsm_env_mem_set_clock(world.disk, lsm_env_now_us(world.disk));
    assert_int_equal(open_store(2), LSM_BUSY);
    lsm_env_mem_set_clock(world.disk, 0);
    close_store(0);
    close_store(1);
    MUST(open_store(2));
    assert_true(says(2, "a", "1"));
}

static void a_page_that_names_no_version_is_damage(void **state) {
    (void)state;
    struct lsm_file *file = NULL;
    void *page = NULL;
    close_store(2);
    MUST(lsm_env_open(world.disk, "db-lsm/store/SHM", LSM_OPEN_READ | LSM_OPEN_WRITE, NULL, &file, &err));
    MUST(lsm_file_map(file, PAGE_BYTES, &page, &err));
    memset((uint8_t *)page + 128, 0, 8);
    lsm_file_close(file);
    assert_int_equal(open_store(2), LSM_CORRUPT);
    assert_non_null(strstr(err.text, "SHM: offset 128"));
    close_store(0);
    close_store(1);
    MUST(open_store(2));
}

static void opened_for_reading_it_is_the_store_of_that_moment(void **state) {
    (void)state;
    write_row(0, "a", "1");
    write_much(0, 0, 50);
    MUST(lsm_store_flush(world.stores[0], NULL, NULL, &err));
    write_row(0, "b", "2");
    close_store(2);
    world.options.read_only = true;
    uint64_t ops = lsm_env_mem_ops(world.disk);
    MUST(open_store(2));
    assert_int_equal(lsm_env_mem_ops(world.disk), ops); /* nothing was touched */
    const char *why = NULL;
    struct lsm_txn *txn = NULL;
    assert_int_equal(lsm_store_mode(world.stores[2], &why), LSM_MODE_READ_ONLY);
    write_row(0, "a", "3");
    write_much(0, 0, 50);
    MUST(lsm_store_compact(world.stores[0], NULL, NULL, &err));
    assert_true(says(2, "a", "1") && says(2, "b", "2"));
    assert_int_equal(lsm_txn_begin(world.stores[2], UINT64_MAX, 0, &txn, &err), LSM_READONLY);
    ops = lsm_env_mem_ops(world.disk);
    close_store(2);
    assert_int_equal(lsm_env_mem_ops(world.disk), ops);
    world.options.read_only = false;
}

/* Numbers of log files that could not be made are used by others: whoever failed finds those files. */
static void whoever_could_not_make_a_log_file_finds_the_one_that_another_makes(void **state) {
    (void)state;
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_CREATE, .os_errno = ENOSPC};
    write_row(0, "a", "1");
    roll_without_flush(0);
    for (int i = 0; i < 3; i++) {
        struct lsm_txn *txn = begin(0);
        put(txn, "a", "2");
        lsm_env_mem_fail_at(world.disk, &fault);
        assert_int_equal(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, NULL), LSM_FULL);
        lsm_env_mem_fail_at(world.disk, NULL);
        MUST(lsm_txn_rollback(txn, &err));
    }
    for (int i = 0; i < 5; i++) {
        const char *value = i % 2 == 0 ? "even" : "odd";
        write_row(1, "b", value);
        assert_true(says(0, "b", value) && says(2, "b", value));
        write_row(0, "c", value);
        roll_without_flush(0);
        assert_true(says(1, "c", value) && says(2, "c", value));
    }
}

/* Why nobody writes does not depend on whether the directory can be looked at just then. */
static void a_log_that_another_process_could_not_write_is_the_reason_though_nothing_can_be_read(void **state) {
    (void)state;
    struct lsm_txn *txn = begin(0), *other = NULL;
    struct lsm_env_fault log = {.at = 1, .ops = LSM_ENV_SYNC, .among = ".wal", .sticky = true}, all = {.at = 1, .ops = LSM_ENV_ALL, .sticky = true};
    put(txn, "a", "1");
    lsm_env_mem_fail_at(world.disk, &log);
    assert_int_not_equal(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), LSM_OK);
    (void)lsm_txn_rollback(txn, NULL);
    lsm_env_mem_fail_at(world.disk, &all);
    assert_int_equal(lsm_store_why_failed(world.stores[1], &err), LSM_READONLY);
    lsm_env_mem_fail_at(world.disk, NULL);
    for (int i = 0; i < 2; i++) { /* what was found out stays */
        assert_int_equal(err.code, LSM_READONLY);
        assert_non_null(strstr(err.text, "the log could not be written by another process"));
        assert_int_equal(lsm_txn_begin(world.stores[1], UINT64_MAX, 0, &other, &err), LSM_READONLY);
    }
    for (int i = 0; i < PROCESSES; i++) bury(i);
}

/* Memory ran out while a transaction was taken back, so that all is read anew; and then again, at each place. */
static void what_is_in_memory_is_not_lost_when_reading_it_anew_fails(void **state) {
    (void)state;
    struct lsm_txn *txn = NULL;
    int status = LSM_NOMEM;
    write_row(1, "b", "2");
    write_row(0, "a", "1");
    for (int64_t n = 1; status != LSM_OK; n++) {
        world.stores[0]->replay.broken = true;
        lsm_mem_fail_after(n, false);
        status = lsm_txn_begin(world.stores[0], UINT64_MAX, 0, &txn, &err);
        lsm_mem_fail_after(0, false);
        assert_true(status == LSM_OK || status == LSM_NOMEM);
        assert_true(says(0, "a", "1"));
        assert_true(says(0, "b", "2"));
    }
    MUST(lsm_txn_rollback(txn, &err));
}

/* Memory runs out for another thread that reads all anew, just when a view is about to take the state. */
static void fail_to_read_anew(void *arg, struct lsm_share *share, const char *what) {
    int64_t *nth = arg;
    struct lsm_txn *txn = NULL;
    struct lsm_error ignored;
    if (share != world.stores[0]->share || strcmp(what, "published?") != 0 || *nth == 0) return;
    int64_t n = *nth;
    *nth = 0;
    world.stores[0]->replay.broken = true;
    lsm_mem_fail_after(n, false);
    int status = lsm_txn_begin(world.stores[0], UINT64_MAX, 0, &txn, &ignored);
    lsm_mem_fail_after(0, false);
    if (status == LSM_OK) MUST(lsm_txn_rollback(txn, &err));
    *nth = status == LSM_OK ? -1 : 0;
}

static void a_view_takes_no_state_that_is_being_built_anew(void **state) {
    (void)state;
    bool done = false;
    write_row(1, "b", "2");
    write_row(0, "a", "1");
    for (int64_t n = 1; !done; n++) {
        int64_t nth = n;
        assert_true(n < 1000);
        lsm_share_on_point(fail_to_read_anew, &nth);
        struct lsm_view *view = look(0);
        lsm_share_on_point(NULL, NULL);
        done = nth == -1;
        assert_true(view_says(view, "a", "1") && view_says(view, "b", "2"));
        lsm_view_close(view);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_manifest_that_is_missing_is_waited_for_and_then_said),
        TEST(a_directory_that_is_gone_is_an_error_of_whoever_flushes_or_merges),
        TEST(a_log_that_another_process_could_not_write_is_the_reason_though_nothing_can_be_read),
        TEST(who_cannot_read_on_because_the_directory_was_moved_says_so),
        TEST(whoever_opens_for_reading_tries_again_when_files_vanish),
        TEST(the_last_one_that_cannot_read_what_others_wrote_leaves_the_log_alone),
        TEST(a_check_that_others_hold_up_finds_nothing_but_is_busy),
        TEST(who_may_not_write_is_told_which_permission_is_missing),
        TEST(a_failed_sync_stops_all_writers_until_all_have_closed),
        TEST(merging_everything_takes_the_space_of_the_store_once_more),
        TEST(a_log_file_of_others_that_cannot_be_opened_to_be_synced_ends_nothing),
        TEST(commits_wait_for_a_sync_of_others_that_was_due_and_could_not_be_made),
        TEST(where_the_file_system_cannot_share_one_process_has_the_store_and_says_why),
        TEST(without_the_page_those_who_are_in_go_on_and_nobody_joins),
        TEST(a_page_that_names_no_version_is_damage),
        TEST(opened_for_reading_it_is_the_store_of_that_moment),
        TEST(whoever_could_not_make_a_log_file_finds_the_one_that_another_makes),
        TEST(what_is_in_memory_is_not_lost_when_reading_it_anew_fails),
        TEST(a_view_takes_no_state_that_is_being_built_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
