/* A COMMIT has failed because SQLite's WAL could not be synced, and what it wrote is in the file (tail_test). Whoever writes an LSM table next cuts that off: each operation on files and
 * each allocation of that fails once, and it is refused where the place cannot be found for sure. Nothing of the transaction that failed is ever seen, and the next try succeeds.
 *
 * LSM_FAULTS=1 strikes every point; N: every N-th; 2 if it does not say.
 */
#include "steps.h"

enum { POINTS_MAX = 3000 };

#define TABLE "CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY, v);"
#define LOST  "BEGIN IMMEDIATE; INSERT INTO o VALUES (1, 'lost'); INSERT INTO l VALUES (1, 'lost'); COMMIT"
#define NEXT  "INSERT INTO l VALUES (77, 7)"

static int sync_in_vain(sqlite3_file *file, int flags) {
    (void)file;
    (void)flags;
    return SQLITE_IOERR_FSYNC;
}

static sqlite3_file *file_of(int which) {
    sqlite3_file *file = NULL;
    assert_int_equal(sqlite3_file_control(db, "main", which, (void *)&file), SQLITE_OK);
    return file;
}

static void fail_to_sync(const char *sql) {
    sqlite3_file *log = file_of(SQLITE_FCNTL_JOURNAL_POINTER);
    const sqlite3_io_methods *methods = log->pMethods;
    sqlite3_io_methods in_vain = *methods;
    in_vain.xSync = sync_in_vain;
    log->pMethods = &in_vain;
    assert_int_equal(run(sql), SQLITE_IOERR_FSYNC);
    log->pMethods = methods;
    assert_int_equal(sqlite3_get_autocommit(db), 1);
}

static void configure(bool exclusive) {
    if (exclusive) must("PRAGMA locking_mode = EXCLUSIVE");
    must("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS o(k INTEGER PRIMARY KEY, v)");
}

static void reconnect(void) {
    come_next();
    configure(false);
}

/* `committed`, and then a transaction that has failed. */
static void begin_and_lose(bool exclusive, const char *committed, const char *lost) {
    begin(lsm_env_mem_new_strict());
    configure(exclusive);
    must(committed);
    fail_to_sync(lost);
}

/* It is as if it had never been, for who had it, and for who comes next, when everybody was killed: SQLite reads its log from the beginning then. */
static void end_without_it(int count) {
    for (int again = 0; again < 2; again++) {
        assert_int_equal(number("SELECT count(*) FROM o WHERE v = 'lost'"), 0);
        assert_int_equal(number("SELECT count(*) FROM l WHERE v = 'lost'"), 0);
        assert_int_equal(number("SELECT count(*) FROM l"), count);
        assert_string_equal(rows("SELECT lsm_check()"), "ok");
        if (again > 0) break;
        process_kill(computer.process);
        reconnect();
    }
    end();
}

/* ---- every step fails once --------------------------------------------------------------------------------------------------------- */

static bool strike(bool exclusive, const char *before, enum kind kind, uint64_t n) {
    begin_and_lose(exclusive, "INSERT INTO o VALUES (1000, 0);" TABLE "BEGIN; INSERT INTO o VALUES (1001, 0); INSERT INTO l VALUES (1001, 0); COMMIT",
                   LOST);
    must(before);
    arm(kind, n);
    int rc = run(NEXT);
    char text[200];
    (void)snprintf(text, sizeof text, "%s", sqlite3_errmsg(db));
    bool hit = disarm(kind, n);
    if (!hit) assert_int_equal(rc, SQLITE_OK);
    if (rc != SQLITE_OK && ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_MISUSE || strcmp(text, "not an error") == 0))
        fail_msg("kind %d, point %llu: %d %s", kind, (unsigned long long)n, rc, text);
    if (sqlite3_get_autocommit(db) == 0) must("ROLLBACK");
    if (rc != SQLITE_OK) rc = number("SELECT count(*) FROM l") == 1 ? run(NEXT) : SQLITE_OK;
    if (rc !=
        SQLITE_OK) { /* a file that could not be synced, or a log that could not be written, stays unsure until it is opened again, and says so */
        if (kind != OPERATION || (rc != SQLITE_IOERR_FSYNC && strstr(sqlite3_errmsg(db), "until it is closed and opened again") == NULL))
            fail_msg("kind %d, point %llu: first '%s', then '%s'", kind, (unsigned long long)n, text, sqlite3_errmsg(db));
        reconnect();
        must(NEXT);
    }
    end_without_it(2);
    return hit;
}

static uint64_t stride(void) { return given_stride("LSM_FAULTS", 2); }

static void strike_all(bool exclusive, const char *before) {
    for (enum kind kind = OPERATION; kind < KINDS; kind++) {
        for (uint64_t n = 1; strike(exclusive, before, kind, n); n += stride()) assert_true(n < POINTS_MAX);
    }
}

static void who_fails_to_cut_it_off_can_try_again(void **state) {
    (void)state;
    strike_all(false, "SELECT 1");
}

static void under_an_exclusive_lock_too(void **state) {
    (void)state;
    strike_all(true, "SELECT 1");
}

static void where_pages_are_not_written_before_the_commit_too(void **state) {
    (void)state;
    strike_all(true, "PRAGMA cache_spill = OFF");
    strike_all(false, "PRAGMA cache_spill = OFF");
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------------------ */

static void expect(const char *sql, int code, const char *words) {
    int rc = run(sql);
    if (rc != code || strstr(sqlite3_errmsg(db), words) == NULL) fail_msg("%s: %d %s", sql, rc, sqlite3_errmsg(db));
    if (sqlite3_get_autocommit(db) == 0) must("ROLLBACK");
}

#define LEFT "what a COMMIT that failed has left in the log of /app.db cannot be "

static void without_an_index_that_all_share_it_is_refused(void **state) {
    (void)state;
    begin_and_lose(false, TABLE, LOST);
    sqlite3_file *database = file_of(SQLITE_FCNTL_FILE_POINTER);
    const sqlite3_io_methods *methods = database->pMethods;
    sqlite3_io_methods old = *methods;
    old.iVersion = 1;
    database->pMethods = &old;
    expect(NEXT, SQLITE_PROTOCOL, LEFT "cut off: locking protocol");
    database->pMethods = methods;
    must(NEXT);
    end_without_it(1);
}

/* A page that is to be found in the log must be written: inside of BEGIN nothing can change that it is not. */
static void inside_of_begin_without_spilling_it_is_refused(void **state) {
    (void)state;
    begin_and_lose(true, TABLE, LOST);
    must("PRAGMA cache_spill = OFF");
    expect("BEGIN; INSERT INTO o VALUES (5, 5); INSERT INTO l VALUES (77, 7)", SQLITE_BUSY,
           LEFT "found: table l_store is being read, or PRAGMA cache_spill is off inside of BEGIN; write to an LSM table outside of it first");
    assert_int_equal(number("SELECT count(*) FROM o"), 0);
    must("INSERT INTO l VALUES (77, 7)");
    assert_int_equal(number("PRAGMA cache_spill"), 0); /* as it was */
    end_without_it(1);
}

static void before_there_is_a_table_it_is_refused_under_an_exclusive_lock(void **state) {
    (void)state;
    begin_and_lose(true, "INSERT INTO o VALUES (1000, 0)",
                   "BEGIN IMMEDIATE; INSERT INTO o VALUES (1, 'lost');" TABLE "INSERT INTO l VALUES (1, 'lost'); COMMIT");
    expect(TABLE, SQLITE_BUSY, LEFT "found under PRAGMA locking_mode = EXCLUSIVE before there is an LSM table: open the database without it");
    reconnect();
    must(TABLE NEXT);
    end_without_it(1);
}

static const sqlite3_io_methods *real;
static bool scrambling;
static int write_page(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset) {
    scrambling = scrambling || size > 100;
    return real->xWrite(file, bytes, size, offset);
}

static int read_scrambled(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset) {
    int rc = real->xRead(file, bytes, size, offset);
    for (int i = 0; i < size && size > 100 && scrambling; i++) ((uint8_t *)bytes)[i] ^= 0x55;
    return rc;
}

/* From the page on that is written to be found: SQLite has read by then what it wants of the others. */
static void in_a_log_that_is_not_written_as_it_is_read_it_is_refused(void **state) {
    (void)state;
    begin_and_lose(true, TABLE, LOST);
    sqlite3_file *log = file_of(SQLITE_FCNTL_JOURNAL_POINTER);
    real = log->pMethods;
    sqlite3_io_methods scrambled = *real;
    scrambled.xRead = read_scrambled;
    scrambled.xWrite = write_page;
    log->pMethods = &scrambled;
    expect("INSERT INTO l VALUES (77, 7)", SQLITE_BUSY, LEFT "found: its pages are not what SQLite hands out, encrypted perhaps");
    log->pMethods = real;
    must(NEXT);
    end_without_it(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_fails_to_cut_it_off_can_try_again),
        cmocka_unit_test(under_an_exclusive_lock_too),
        cmocka_unit_test(where_pages_are_not_written_before_the_commit_too),
        cmocka_unit_test(without_an_index_that_all_share_it_is_refused),
        cmocka_unit_test(inside_of_begin_without_spilling_it_is_refused),
        cmocka_unit_test(before_there_is_a_table_it_is_refused_under_an_exclusive_lock),
        cmocka_unit_test(in_a_log_that_is_not_written_as_it_is_read_it_is_refused),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
