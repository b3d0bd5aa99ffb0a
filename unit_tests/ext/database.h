/* database.h: the database of a test, and SQL on it (support/sql.h) that does not name it each time. Header only: each test file is a program of its own. */
#ifndef TEST_DATABASE_H
#define TEST_DATABASE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/given.h"
#include "../support/random.h"
#include "../support/scratch.h"
#include "../support/sql.h"

static sqlite3 *db;

static inline int run(const char *sql) { return sql_run(db, sql); }
static inline void must(const char *sql) { sql_must(db, sql); }
static inline sqlite3_stmt *prepare(const char *sql) { return sql_prepare(db, sql); }
static inline int64_t number(const char *sql) { return sql_number(db, sql); }
static inline const char *rows(const char *sql) { return sql_rows(db, sql); }

static char last_error[400]; /* what SQLite said when dump() failed the last time */
static inline int dump(const char *sql, char *text, size_t size) {
    int rc = sql_dump(db, sql, text, size);
    if (rc != SQLITE_OK) (void)snprintf(last_error, sizeof last_error, "%s", sqlite3_errmsg(db));
    return rc;
}

/* ---- how it begins and ends: set-ups and tear-downs of cmocka ------------------------------------------------------- */

/* In memory, with SQLite alone. */
static inline int open_plain(void **unused) {
    (void)unused;
    return sqlite3_open(":memory:", &db);
}

/* The same, and the numbers of rnd() begin: LSM_TEST_SEED repeats a run. */
static uint64_t chance;
static inline int open_with_chance(void **unused) {
    chance = given_seed(20261122);
    return open_plain(unused);
}
static inline uint64_t rnd(void) { return random_next(&chance); }
static inline uint64_t below(uint64_t n) { return random_below(&chance, n); }

/* In memory, with the extension. */
static inline int open_in_memory(void **unused) {
    (void)unused;
    db = sql_open(":memory:", 0);
    return 0;
}

/* The file test.db of the scratch folder. */
static inline void open_file(void) { db = sql_open(scratch_path("test.db"), 0); }

/* The same in a new folder, in WAL mode and without syncs. */
static inline void open_new_file(void) {
    scratch_make();
    open_file();
    must("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
}

/* Another connection to it. */
static inline sqlite3 *open_beside(void) { return sql_open(scratch_path("test.db"), 0); }

/* Closes it, and opens it as open_file() does. */
static inline void open_again(void) {
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    open_file();
}

/* Every statement must be finalized. */
static inline int close_database(void **unused) {
    (void)unused;
    return sqlite3_close(db);
}

static inline int close_and_remove(void **unused) {
    assert_int_equal(close_database(unused), SQLITE_OK);
    scratch_remove();
    return 0;
}

/* The same, and lsm_check() finds nothing. */
static inline int close_whole(void **unused) {
    assert_string_equal(rows("SELECT lsm_check()"), "ok");
    return close_and_remove(unused);
}

#endif
