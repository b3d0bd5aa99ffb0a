/* A statement that waits for a writer of another process ends when it is interrupted, and not when the patience does. The other process is a second opening of the store. */
#include <dirent.h>

#include "../../ext/hex.h"
#include "../../lsm_core/lsm.h"
#include "database.h"

static struct lsm_store *other;
static struct lsm_txn *writing;
static struct lsm_error err;

/* The one store of the database, and its id. */
static void find_store(char *dir, size_t dir_bytes, uint8_t *id) {
    const char *stores = scratch_path("test.db-lsm");
    DIR *list = opendir(stores);
    const struct dirent *entry;
    assert_non_null(list);
    while ((entry = readdir(list)) != NULL && entry->d_name[0] == '.') continue;
    assert_non_null(entry);
    assert_true(vt_hex_read(entry->d_name, strlen(entry->d_name), id, LSM_STORE_ID_BYTES));
    (void)snprintf(dir, dir_bytes, "%s/%s", stores, entry->d_name);
    assert_int_equal(closedir(list), 0);
}

static int set_up(void **unused) {
    (void)unused;
    struct lsm_options options;
    static char dir[300];
    static uint8_t id[LSM_STORE_ID_BYTES];
    open_new_file();
    must("CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)");
    find_store(dir, sizeof dir, id);
    lsm_options_init(&options);
    options.dir = dir;
    options.store_id = id;
    options.threads = 0;
    assert_int_equal(lsm_store_open(&options, &other, &err), LSM_OK);
    assert_int_equal(lsm_txn_begin(other, UINT64_MAX, 0, &writing, &err), LSM_OK);
    return 0;
}

static int tear_down(void **unused) {
    assert_int_equal(lsm_txn_rollback(writing, &err), LSM_OK);
    must("INSERT INTO t VALUES (2, 2)");
    assert_int_equal(number("SELECT count(*) FROM t"), 2);
    assert_int_equal(lsm_store_close(other, &err), LSM_OK);
    return close_whole(unused);
}

static int stop(void *asked) {
    ++*(int *)asked;
    return 1;
}

/* Fewer instructions than any statement of the test has are not asked about. */
static void must_be_interrupted(const char *sql) {
    int asked = 0;
    sqlite3_progress_handler(db, 2000, stop, &asked);
    int rc = run(sql);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (rc != SQLITE_INTERRUPT || asked == 0) fail_msg("%s: %d %s", sql, rc, sqlite3_errmsg(db));
}

static void a_write_that_waits_is_interrupted(void **state) {
    (void)state;
    must_be_interrupted("INSERT INTO t VALUES (3, 3)");
    assert_int_equal(sqlite3_get_autocommit(db), 1);
}

static void a_read_under_the_write_lock_that_waits_is_interrupted(void **state) {
    (void)state;
    must("BEGIN IMMEDIATE");
    must_be_interrupted("SELECT * FROM t");
    must("ROLLBACK");
}

static void it_is_refused_when_the_patience_is_over(void **state) {
    (void)state;
    assert_int_equal(run("INSERT INTO t VALUES (3, 3)"), SQLITE_BUSY);
    assert_non_null(strstr(sqlite3_errmsg(db), "is writing"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_write_that_waits_is_interrupted),
        TEST(a_read_under_the_write_lock_that_waits_is_interrupted),
        TEST(it_is_refused_when_the_patience_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
