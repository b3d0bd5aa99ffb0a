/* A program in C with SQLite and the extension linked in: nothing is loaded. Its connections get the extension by sqlite3_auto_extension(). */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int sqlite3_lsm_init(sqlite3 *db, char **message, const void *api);

static const char counts[] = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)";

static void need(int good, sqlite3 *db) {
    if (good) return;
    fprintf(stderr, "%s\n", db == NULL ? "?" : sqlite3_errmsg(db));
    exit(1);
}

static sqlite3 *connect_here(int timeout) {
    sqlite3 *db = NULL;
    need(sqlite3_open("test.db", &db) == SQLITE_OK, db);
    sqlite3_busy_timeout(db, timeout);
    return db;
}

static void run(sqlite3 *db, const char *sql) { need(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, db); }

static const char *refused(sqlite3 *db, const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? "no error" : sqlite3_errmsg(db);
}

static void say(const char *word, sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    need(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW, db);
    printf("%s %s\n", word, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
}

static void insert_rows(sqlite3 *db, const char *table) {
    static const unsigned char blob[] = {0, 255, 16};
    char *sql = sqlite3_mprintf("INSERT INTO %s(k, v) VALUES (?, ?)", table);
    sqlite3_stmt *insert = NULL;
    need(sqlite3_prepare_v2(db, sql, -1, &insert, NULL) == SQLITE_OK, db);
    sqlite3_free(sql);
    for (int i = 0; i < 7; i++) {
        static const char *const keys[] = {"integer", "negative", "real", "text", "日本", "blob", "null"};
        sqlite3_bind_text(insert, 1, keys[i], -1, SQLITE_STATIC);
        if (i == 0) sqlite3_bind_int64(insert, 2, 9223372036854775807);
        if (i == 1) sqlite3_bind_int64(insert, 2, -9007199254740993);
        if (i == 2) sqlite3_bind_double(insert, 2, 1.5);
        if (i == 3) sqlite3_bind_text(insert, 2, "it's zażółć", -1, SQLITE_STATIC);
        if (i == 4) sqlite3_bind_text(insert, 2, "😀𝄞", -1, SQLITE_STATIC);
        if (i == 5) sqlite3_bind_blob(insert, 2, blob, sizeof blob, SQLITE_STATIC);
        if (i == 6) sqlite3_bind_null(insert, 2);
        need(sqlite3_step(insert) == SQLITE_DONE, db);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
}

static void show_rows(sqlite3 *db) {
    sqlite3_stmt *select = NULL, *back = NULL;
    need(sqlite3_prepare_v2(db, "SELECT k, v FROM t ORDER BY k", -1, &select, NULL) == SQLITE_OK, db);
    need(sqlite3_prepare_v2(db, "SELECT typeof(?1) || ' ' || quote(?1)", -1, &back, NULL) == SQLITE_OK, db);
    while (sqlite3_step(select) == SQLITE_ROW) {
        sqlite3_bind_value(back, 1, sqlite3_column_value(select, 1));
        need(sqlite3_step(back) == SQLITE_ROW, db);
        printf("row %s %s\n", (const char *)sqlite3_column_text(select, 0), (const char *)sqlite3_column_text(back, 0));
        sqlite3_reset(back);
    }
    sqlite3_finalize(select);
    sqlite3_finalize(back);
}

static void *in_thread(void *unused) {
    sqlite3 *db = connect_here(10000);
    run(db, "BEGIN");
    for (int n = 0; n < 100; n++) {
        char *sql = sqlite3_mprintf("INSERT INTO t(k) VALUES ('thread %d')", n);
        run(db, sql);
        sqlite3_free(sql);
    }
    run(db, "COMMIT");
    need(sqlite3_close(db) == SQLITE_OK, db);
    return unused;
}

static void fork_here(sqlite3 *db) {
    int status = 1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) _exit(strstr(refused(db, "SELECT count(*) FROM t"), "before fork") != NULL ? 0 : 1);
    need(waitpid(child, &status, 0) == child, NULL);
    run(db, "INSERT INTO t(k) VALUES ('forked')");
    say(status == 0 ? "fork refused" : "fork allowed", db, "SELECT count(*) FROM t WHERE k = 'forked'");
}

int main(void) {
    need(sqlite3_auto_extension((void (*)(void))sqlite3_lsm_init) == SQLITE_OK, NULL);
    printf("sqlite %s\n", sqlite3_libversion());
    sqlite3 *db = connect_here(10000);
    run(db, "PRAGMA journal_mode = WAL; CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n));"
            "CREATE TABLE o(k TEXT PRIMARY KEY, v); BEGIN");
    insert_rows(db, "t");
    insert_rows(db, "o");
    run(db, "COMMIT");
    show_rows(db);
    run(db, "BEGIN; DELETE FROM t; INSERT INTO o VALUES ('lost', 1); ROLLBACK");
    say("rollback", db, counts);
    run(db, "BEGIN; INSERT INTO t(k, v) VALUES ('c', 1); INSERT INTO o VALUES ('c', 1); COMMIT");
    say("commit", db, counts);
    run(db, "BEGIN; INSERT INTO t(k) VALUES ('d'); SAVEPOINT s; DELETE FROM t; INSERT INTO t(k) VALUES ('lost'); ROLLBACK TO s; RELEASE s; COMMIT");
    say("savepoint", db, counts);
    printf("error %s\n", refused(db, "INSERT INTO t(k) VALUES ('c')"));
    need(sqlite3_close(db) == SQLITE_OK, db);

    db = connect_here(10000);
    say("reopened", db, counts);
    sqlite3 *other = connect_here(0);
    run(other, "INSERT INTO t(k) VALUES ('second')");
    say("second", db, counts);
    run(db, "BEGIN IMMEDIATE; INSERT INTO t(k) VALUES ('undone')");
    printf("error %s\n", refused(other, "INSERT INTO t(k) VALUES ('busy')"));
    run(db, "ROLLBACK");
    need(sqlite3_close(other) == SQLITE_OK, other);

    pthread_t thread;
    need(pthread_create(&thread, NULL, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0, NULL);
    say("thread", db, "SELECT count(*) FROM t WHERE k LIKE 'thread%'");
    fork_here(db);
    run(db, "DELETE FROM t WHERE k LIKE 'thread%' OR k = 'forked'");
    say("check", db, "SELECT lsm_check() || ' ' || count(*) FROM t");
    need(sqlite3_close(db) == SQLITE_OK, db);

    db = connect_here(10000);
    run(db, "INSERT INTO t(k) VALUES ('left open')");
    puts("left open");
    return 0;
}
