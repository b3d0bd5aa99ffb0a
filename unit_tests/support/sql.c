#include "sql.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_BYTES = 4096 };

sqlite3 *sql_open(const char *path, int flags) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | flags, NULL), SQLITE_OK);
    sqlite3_extended_result_codes(db, 1);
    assert_int_equal(sqlite3_lsm_init(db, NULL, NULL), SQLITE_OK);
    return db;
}

int sql_run(sqlite3 *db, const char *sql) { return sqlite3_exec(db, sql, NULL, NULL, NULL); }

void sql_must(sqlite3 *db, const char *sql) {
    int rc = sql_run(db, sql);
    if (rc != SQLITE_OK) fail_msg("%.300s: %d %s", sql, rc, sqlite3_errmsg(db));
}

sqlite3_stmt *sql_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK) fail_msg("%.300s: %d %s", sql, rc, sqlite3_errmsg(db));
    return statement;
}

int64_t sql_number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = sql_prepare(db, sql);
    bool there = sqlite3_step(statement) == SQLITE_ROW;
    int64_t value = sqlite3_column_int64(statement, 0);
    int rc = sqlite3_finalize(statement);
    if (!there || rc != SQLITE_OK) fail_msg("%.300s: %d %s", sql, rc, rc == SQLITE_OK ? "no row" : sqlite3_errmsg(db));
    return value;
}

const char *sql_rows(sqlite3 *db, const char *sql) {
    static _Thread_local char texts[4][ROWS_BYTES];
    static _Thread_local unsigned turn;
    char *text = texts[turn++ % 4];
    sqlite3_stmt *statement = NULL;
    size_t used = 0;
    text[0] = '\0';
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) return sqlite3_errmsg(db);
    while (sqlite3_step(statement) == SQLITE_ROW && used < ROWS_BYTES) {
        const char *value = (const char *)sqlite3_column_text(statement, 0);
        used += (size_t)snprintf(text + used, ROWS_BYTES - used, "%s%s", used == 0 ? "" : " ", value == NULL ? "NULL" : value);
    }
    return sqlite3_finalize(statement) == SQLITE_OK ? text : sqlite3_errmsg(db);
}

int sql_step(sqlite3_stmt *statement, char *text, size_t size) {
    int rc = sqlite3_step(statement);
    size_t used = strlen(text);
    for (int i = 0; rc == SQLITE_ROW && i < sqlite3_column_count(statement); i++) {
        bool null = sqlite3_column_type(statement, i) == SQLITE_NULL;
        const char *value = null ? "NULL" : (const char *)sqlite3_column_text(statement, i);
        if (value == NULL) return SQLITE_NOMEM;
        if (used < size) used += (size_t)snprintf(text + used, size - used, "%s ", value);
    }
    return rc;
}

int sql_dump(sqlite3 *db, const char *sql, char *text, size_t size) {
    int rc = SQLITE_OK;
    text[0] = '\0';
    while (rc == SQLITE_OK && *sql != '\0') {
        sqlite3_stmt *statement = NULL;
        rc = sqlite3_prepare_v2(db, sql, -1, &statement, &sql);
        if (rc != SQLITE_OK || statement == NULL) continue;
        do rc = sql_step(statement, text, size);
        while (rc == SQLITE_ROW);
        int end = sqlite3_finalize(statement);
        if (rc == SQLITE_DONE) rc = end;
    }
    return rc;
}
