/* sql.h: SQL in tests: connections that have the extension, statements that must succeed, and what queries give, as a number or as text. */
#ifndef TEST_SQL_H
#define TEST_SQL_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

/* The extension's entry point, linked in. */
int sqlite3_lsm_init(sqlite3 *db, char **message, const void *api);

/* Opens for reading and writing, and makes the file if it is not there, with these flags of sqlite3_open_v2() besides; extended result codes are on. Fails the test if it
 * cannot. */
sqlite3 *sql_open(const char *path, int flags);

/* Each of these fails the test, with SQLite's words, if a statement fails. */
void sql_must(sqlite3 *db, const char *sql);
sqlite3_stmt *sql_prepare(sqlite3 *db, const char *sql);
int64_t sql_number(sqlite3 *db, const char *sql); /* the first value of the first row, which must be there */

/* SQLite's code, the rows unseen. */
int sql_run(sqlite3 *db, const char *sql);

/* The first column of all rows with blanks between, or what sqlite3_errmsg() says; valid until the same thread's fourth call after this one. */
const char *sql_rows(sqlite3 *db, const char *sql);

/* sqlite3_step(); a row's values are added to `text`, with a blank behind each, as far as they go into it. SQLITE_NOMEM also if there was no memory for the text of a value. */
int sql_step(sqlite3_stmt *statement, char *text, size_t size);

/* All values of all rows of all statements, as sql_step() writes them. SQLite's code: the first one that is not SQLITE_OK ends it, and sqlite3_errmsg() says
 * why. */
int sql_dump(sqlite3 *db, const char *sql, char *text, size_t size);

#endif
