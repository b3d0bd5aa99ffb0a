/* What a transaction sees: the same from BEGIN to its end, whatever others commit meanwhile; and what it may write then. Two connections of one process. */
#include <pthread.h>
#include <unistd.h>

#include "database.h"

static sqlite3 *other;

/* Another connection that waits. */
static sqlite3 *open_patient(void) {
    sqlite3 *opened = open_beside();
    sqlite3_busy_timeout(opened, 10000);
    sql_must(opened, "PRAGMA synchronous = OFF");
    return opened;
}

/* other_commits(sql): somebody else writes in the middle of a statement of ours. */
static void other_commits(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    sqlite3_result_int(context, sql_run(other, (const char *)sqlite3_value_text(argv[0])));
}

static int set_up(void **unused) {
    (void)unused;
    scratch_make();
    db = open_patient();
    must("PRAGMA journal_mode = WAL; CREATE TABLE plain(a); INSERT INTO plain VALUES (0);"
         "CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE u USING lsm(k TEXT PRIMARY KEY, v);"
         "INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO u VALUES ('x', 1)");
    other = open_patient();
    sqlite3_create_function(db, "other_commits", 1, SQLITE_UTF8, NULL, other_commits, NULL, NULL);
    return 0;
}

static int tear_down(void **unused) {
    assert_int_equal(sqlite3_get_autocommit(db), 1);
    assert_string_equal(rows("SELECT value FROM lsm_stats WHERE name = 'pinned_views'"), "0");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    return close_whole(unused);
}

/* ---- repeatable reads ------------------------------------------------------------------------------------------ */

static void a_transaction_that_reads_sees_one_state(void **unused) {
    (void)unused;
    static const char *const ends[] = {"COMMIT", "ROLLBACK", "COMMIT", "ROLLBACK"};
    for (int i = 0; i < 4; i++) {
        char before[64], sql[160];
        must("BEGIN");
        (void)snprintf(before, sizeof before, "%s", rows("SELECT count(*) FROM t"));
        (void)snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, 0); REPLACE INTO u VALUES ('x', %d)", 10 + i, 10 + i);
        sql_must(other, sql);
        assert_string_equal(rows("SELECT count(*) FROM t"), before);
        assert_string_equal(rows("SELECT v < 10 + (SELECT count(*) FROM t) - 2 FROM u"), "1"); /* another table, of the same state */
        must(ends[i]);
        assert_string_not_equal(rows("SELECT count(*) FROM t"), before);
    }
}

static void savepoints_begin_transactions_too(void **unused) {
    (void)unused;
    must("SAVEPOINT a");
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
    sql_must(other, "INSERT INTO t VALUES (3, 0)");
    must("SAVEPOINT b");
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
    must("ROLLBACK TO b");
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
    must("ROLLBACK TO a"); /* takes back the table that was made to watch the transaction */
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
    sql_must(other, "INSERT INTO t VALUES (4, 0)");
    must("ROLLBACK TO a");
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
    must("RELEASE a; BEGIN");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3 4");
    must("COMMIT; BEGIN; SAVEPOINT a");
    assert_string_equal(rows("SELECT count(*) FROM t"), "4");
    sql_must(other, "INSERT INTO t VALUES (5, 0)");
    must("ROLLBACK TO a; COMMIT");
    assert_string_equal(rows("SELECT count(*) FROM t"), "5");
    must("BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t"), "5");
    sql_must(other, "INSERT INTO t VALUES (6, 0)");
    assert_string_equal(rows("SELECT count(*) FROM t"), "5");
    must("COMMIT");
}

static void every_attached_store_is_seen_as_it_was(void **unused) {
    (void)unused;
    char sql[160];
    (void)snprintf(sql, sizeof sql, "ATTACH '%s' AS aux; PRAGMA aux.journal_mode = WAL", scratch_path("aux.db"));
    must(sql);
    must("CREATE VIRTUAL TABLE aux.w USING lsm(x); INSERT INTO w VALUES (1)");
    sql_must(other, sql);
    must("BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t UNION ALL SELECT count(*) FROM w"), "2 1");
    sql_must(other, "BEGIN; INSERT INTO t VALUES (3, 0); INSERT INTO w VALUES (2); COMMIT");
    assert_string_equal(rows("SELECT count(*) FROM t UNION ALL SELECT count(*) FROM w"), "2 1");
    must("COMMIT");
    assert_string_equal(rows("SELECT count(*) FROM t UNION ALL SELECT count(*) FROM w"), "3 2");
    must("DETACH aux");
}

static void one_statement_sees_one_state_of_all_tables(void **unused) {
    (void)unused;
    assert_string_equal(
        rows("SELECT (SELECT count(*) FROM t) || other_commits('INSERT INTO t(v) VALUES (0); DELETE FROM u') || (SELECT count(*) FROM u) ||"
             " (SELECT count(*) FROM t)"),
        "2012");
    assert_string_equal(
        rows("SELECT (SELECT v FROM u WHERE k = 'x') FROM (SELECT id, other_commits('REPLACE INTO u VALUES (''x'', ' || id || ')') AS o FROM t)"
             " WHERE o = 0"),
        "NULL NULL NULL");
    assert_string_equal(rows("SELECT v FROM u"), "3");
    assert_string_equal(rows("SELECT count(*) FROM t UNION ALL SELECT other_commits('INSERT INTO t(v) VALUES (1)') UNION ALL SELECT count(*) FROM t"),
                        "3 0 3");
}

static void a_select_left_open_keeps_its_state_and_no_other(void **unused) {
    (void)unused;
    sqlite3_stmt *reading = NULL;
    must("BEGIN");
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT id FROM t", -1, &reading, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(reading), SQLITE_ROW);
    sql_must(other, "INSERT INTO t VALUES (3, 0)");
    must("COMMIT");
    assert_int_equal(sqlite3_step(reading), SQLITE_ROW);
    assert_int_equal(sqlite3_step(reading), SQLITE_DONE);
    sqlite3_finalize(reading);
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static void a_write_on_a_state_that_is_out_of_date_is_refused(void **unused) {
    (void)unused;
    must("BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t"), "2");
    sql_must(other, "INSERT INTO t VALUES (3, 0)");
    assert_int_equal(sql_run(db, "INSERT INTO t VALUES (4, 0)"), SQLITE_BUSY_SNAPSHOT);
    assert_string_equal(rows("SELECT count(*) FROM t"), "2");
    assert_int_equal(sql_run(db, "INSERT INTO u VALUES ('y', 0)"), SQLITE_BUSY_SNAPSHOT);
    must("ROLLBACK; BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t"), "3");
    must("INSERT INTO t VALUES (4, 0)");
    assert_string_equal(rows("SELECT count(*) FROM t"), "4");
    must("COMMIT");
    assert_string_equal(sql_rows(other, "SELECT id FROM t"), "1 2 3 4");
}

static void ordinary_rows_that_follow_from_a_state_out_of_date_are_refused(void **unused) {
    (void)unused;
    must("BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t"), "2");
    sql_must(other, "INSERT INTO t VALUES (3, 0)"); /* the database file is not written */
    must("INSERT INTO plain SELECT count(*) FROM t");
    assert_int_equal(sql_run(db, "COMMIT"), SQLITE_BUSY_SNAPSHOT);
    assert_int_equal(sqlite3_get_autocommit(db), 1);
    assert_string_equal(rows("SELECT a FROM plain"), "0");
    must("BEGIN; INSERT INTO plain SELECT count(*) FROM t");
    must("COMMIT");
    assert_string_equal(rows("SELECT a FROM plain"), "0 3");
}

static void own_writes_are_seen_and_savepoints_undone(void **unused) {
    (void)unused;
    must("BEGIN");
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
    must("SAVEPOINT a; INSERT INTO t VALUES (3, 0)");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
    must("ROLLBACK TO a");
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
    must("INSERT INTO t VALUES (4, 0); RELEASE a");
    assert_string_equal(rows("SELECT id FROM t"), "1 2 4");
    must("ROLLBACK");
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
}

/* ---- where nobody can be told of the end ------------------------------------------------------------------------- */

static int deny_temporary(void *arg, int action, const char *a, const char *b, const char *c, const char *d) {
    (void)arg;
    (void)action;
    (void)b;
    (void)d;
    bool ours = a != NULL && strcmp(a, "lsm_watch_") == 0;
    return ours || (c != NULL && strcmp(c, "temp") == 0) ? SQLITE_DENY : SQLITE_OK;
}

static void what_cannot_be_watched_is_read_statement_by_statement(void **unused) {
    (void)unused;
    for (int how = 0; how < 3; how++) {
        if (how == 0) must("PRAGMA query_only = ON");
        if (how == 1) sqlite3_set_authorizer(db, deny_temporary, NULL);
        if (how == 2) must("CREATE TEMP TABLE lsm_watch_(a)");
        char before[16];
        (void)snprintf(before, sizeof before, "%s", rows("SELECT count(*) FROM t"));
        must("BEGIN");
        assert_string_equal(rows("SELECT count(*) FROM t"), before);
        sql_must(other, "INSERT INTO t(v) VALUES (0)");
        assert_string_not_equal(rows("SELECT count(*) FROM t"), before);
        must("COMMIT");
        if (how == 0) must("PRAGMA query_only = OFF");
        if (how == 1) sqlite3_set_authorizer(db, NULL, NULL);
        if (how == 2) must("DROP TABLE lsm_watch_");
    }
    must("BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t"), "5");
    sql_must(other, "INSERT INTO t(v) VALUES (0)");
    assert_string_equal(rows("SELECT count(*) FROM t"), "5");
    must("COMMIT");
}

static void the_watch_is_nobodys_table_and_in_nobodys_way(void **unused) {
    (void)unused;
    must("BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t"), "2");
    must("COMMIT");
    assert_string_equal(rows("SELECT name FROM sqlite_temp_schema"), "lsm_watch_ lsm_watch_index lsm_watch_index_1");
    assert_int_not_equal(sql_run(db, "DELETE FROM lsm_watch_"), SQLITE_OK);
    assert_int_not_equal(sql_run(db, "INSERT INTO lsm_watch_ VALUES (1)"), SQLITE_OK);
    assert_int_not_equal(sql_run(db, "CREATE VIRTUAL TABLE mine USING lsm_watch_"), SQLITE_OK);
    assert_string_equal(rows("PRAGMA integrity_check"), "ok");
    must("ALTER TABLE plain RENAME TO simple; ALTER TABLE simple RENAME COLUMN a TO b");
    must("DROP TABLE lsm_watch_; BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t"), "2");
    sql_must(other, "INSERT INTO t(v) VALUES (0)");
    assert_string_equal(rows("SELECT count(*) FROM t"), "2");
    must("DROP TABLE lsm_watch_");
    assert_string_equal(rows("SELECT count(*) FROM t"), "2");
    must("COMMIT; VACUUM; BEGIN");
    assert_string_equal(rows("SELECT count(*) FROM t"), "3");
    must("ROLLBACK");
    assert_string_equal(rows("SELECT total_changes()"), rows("SELECT total_changes()"));
}

/* A table made in temp has SQLite stop what runs, when it next opens a table: the statement itself, and others under way. */
static void statements_that_open_a_table_late_go_on_when_the_watch_is_made(void **unused) {
    (void)unused;
    static const char late[] = "SELECT (SELECT count(*) FROM plain WHERE a >= x.id) FROM %s AS x";
    char sql[128];
    must("INSERT INTO plain VALUES (1), (2), (3)");
    for (int round = 0; round < 3; round++) {
        sqlite3_stmt *running = NULL;
        must("BEGIN");
        assert_int_equal(sqlite3_prepare_v2(db, "SELECT 1 UNION ALL SELECT a FROM plain", -1, &running, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(running), SQLITE_ROW);
        (void)snprintf(sql, sizeof sql, late, "t");
        assert_string_equal(rows(sql), "3 2");
        while (sqlite3_step(running) == SQLITE_ROW) continue; /* what has stopped it sqlite3_finalize() says */
        assert_int_equal(sqlite3_finalize(running), SQLITE_OK);
        must(round == 0 ? "ROLLBACK" : "COMMIT"); /* and with it what was made, once */
        if (round == 1) must("DROP TABLE temp.lsm_watch_");
    }
}

static void a_closed_connection_lets_go(void **unused) {
    (void)unused;
    sql_must(other, "BEGIN");
    assert_string_equal(sql_rows(other, "SELECT count(*) FROM t"), "2");
    assert_string_equal(rows("SELECT value FROM lsm_stats WHERE name = 'pinned_views'"), "1");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_string_equal(rows("SELECT value FROM lsm_stats WHERE name = 'pinned_views'"), "0");
    other = open_patient();
}

/* ---- BEGIN IMMEDIATE ------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 150 };

/* Reads under SQLite's write lock, then writes what follows: every number once, and no refusal. mixed: through the database file, too. */
static void *count_up(void *arg) {
    static char text[200];
    bool mixed = *(bool *)arg;
    sqlite3 *mine = NULL;
    if (sqlite3_open(scratch_path("test.db"), &mine) != SQLITE_OK || sqlite3_lsm_init(mine, NULL, NULL) != SQLITE_OK) return strcpy(text, "open");
    sqlite3_extended_result_codes(mine, 1);
    sqlite3_busy_timeout(mine, 60000);
    int rc = sql_run(mine, "PRAGMA synchronous = OFF");
    for (int i = 0; i < ROUNDS && rc == SQLITE_OK; i++) {
        rc = sql_run(mine, "BEGIN IMMEDIATE; SELECT max(id) FROM t; SELECT * FROM u");
        if (rc == SQLITE_OK && mixed) rc = sql_run(mine, "INSERT INTO plain SELECT 1 + max(id) FROM t");
        if (rc == SQLITE_OK) rc = sql_run(mine, "INSERT INTO t SELECT 1 + max(id), 'n' FROM t; COMMIT");
    }
    if (rc != SQLITE_OK) (void)snprintf(text, sizeof text, "%d %s", rc, sqlite3_errmsg(mine));
    sqlite3_close(mine);
    return rc == SQLITE_OK ? NULL : text;
}

static void begin_immediate_is_never_too_late(void **unused) {
    (void)unused;
    for (int i = 0; i < 2; i++) {
        pthread_t threads[THREADS];
        bool mixed = i == 1;
        char expected[32];
        for (int n = 0; n < THREADS; n++) assert_int_equal(pthread_create(&threads[n], NULL, count_up, &mixed), 0);
        for (int n = 0; n < THREADS; n++) {
            void *error = NULL;
            pthread_join(threads[n], &error);
            if (error != NULL) fail_msg("%s", (const char *)error);
        }
        (void)snprintf(expected, sizeof expected, "%d", 2 + (i + 1) * THREADS * ROUNDS);
        assert_string_equal(rows("SELECT max(id) FROM t"), expected);
        assert_string_equal(rows("SELECT count(*) FROM t"), expected);
    }
    assert_string_equal(rows("SELECT count(DISTINCT a) - 1 FROM plain"), "600");
}

/* The statement that watches is prepared once, and must not be in the way of closing, of schema changes, or of its table's end. */
static void what_watches_is_let_go_with_the_last_table(void **unused) {
    (void)unused;
    for (int round = 0; round < 3; round++) {
        must("BEGIN");
        assert_string_equal(rows("SELECT v FROM t ORDER BY id"), "a b");
        sql_must(other, "UPDATE t SET v = 'c' WHERE id = 1");
        assert_string_equal(rows("SELECT v FROM t ORDER BY id"), "a b");
        must("COMMIT");
        assert_string_equal(rows("SELECT v FROM t ORDER BY id"), "c b");
        sql_must(other, "UPDATE t SET v = 'a' WHERE id = 1");
        if (round == 0) sql_must(other, "CREATE TABLE another(a)");
        if (round == 1) must("DROP TABLE temp.lsm_watch_");
    }
    must("BEGIN; SAVEPOINT s");
    assert_string_equal(rows("SELECT v FROM u"), "1");
    must("ROLLBACK TO s");
    assert_string_equal(rows("SELECT v FROM u"), "1");
    must("COMMIT; DROP TABLE t");
    must("BEGIN");
    assert_string_equal(rows("SELECT v FROM u"), "1");
    must("COMMIT");
    assert_non_null(sqlite3_next_stmt(db, NULL));
    must("DROP TABLE u");
    assert_null(sqlite3_next_stmt(db, NULL));
    sqlite3 *third = open_patient();
    sql_must(third, "CREATE VIRTUAL TABLE w USING lsm(a); BEGIN; SELECT * FROM w; COMMIT");
    assert_int_equal(sqlite3_close(third), SQLITE_OK);
}

/* The watch that the first transaction of a connection makes goes with ROLLBACK TO, and somebody may drop it: then nobody is told of the end, and what was seen does not
 * outlive it all the same. */
static void what_was_seen_ends_with_a_transaction_whose_watch_is_gone(void **unused) {
    (void)unused;
    static const struct {
        const char *begin, *take_watch_away, *end;
    } ways[] = {{"SAVEPOINT a", "ROLLBACK TO a", "RELEASE a"},
                {"BEGIN", "DROP TABLE temp.lsm_watch_", "COMMIT"},
                {"BEGIN", "DROP TABLE temp.lsm_watch_", "ROLLBACK; DROP TABLE IF EXISTS temp.lsm_watch_"},
                {"BEGIN; SAVEPOINT a", "ROLLBACK TO a", "COMMIT"}};
    for (int i = 0; i < 4; i++) {
        const char *before = rows("SELECT count(*) FROM t");
        must(ways[i].begin);
        assert_string_equal(rows("SELECT count(*) FROM t"), before);
        must(ways[i].take_watch_away);
        sql_must(other, "INSERT INTO t(v) VALUES ('c')");
        must(ways[i].end);
        assert_int_equal(number("SELECT count(*) FROM t"), 3 + i);
        if (i == 1) must("INSERT INTO u VALUES ('y', 1)");
    }
}

/* The words of a statement are kept with its text by the table that it wrote: kept for all tables, they would be the ones of the trigger's statement. */
static void a_text_that_comes_to_mean_another_table_is_read_again(void **unused) {
    static const char sql[] = "INSERT INTO name(v) VALUES ('x') RETURNING rowid";
    (void)unused;
    must("CREATE TABLE name(v); CREATE TRIGGER tr AFTER INSERT ON name BEGIN INSERT INTO t(v) VALUES (new.v); END");
    for (int i = 0; i < 2; i++) must(sql);
    must("DROP TABLE name; ALTER TABLE t RENAME TO name");
    for (int i = 0; i < 2; i++) assert_int_not_equal(sql_run(db, sql), SQLITE_OK); /* an automatic rowid, which SQLite would not show */
    must("INSERT INTO name(v) VALUES ('y')");
    assert_string_equal(rows("SELECT v FROM name ORDER BY id"), "a b x x y");
}

/* ---- table files that are mapped --------------------------------------------------------------------------------- */

static long mapped_bytes(void) { return strtol(rows("SELECT value FROM lsm_stats WHERE name = 'mapped_bytes'"), NULL, 10); }

static void table_files_are_mapped_as_far_as_somebody_maps_the_database(void **unused) {
    (void)unused;
    must("PRAGMA mmap_size = 0; WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) INSERT INTO t SELECT i, "
         "hex(randomblob(40)) FROM n");
    must("SELECT lsm_compact()");
    assert_string_equal(rows("SELECT count(*) FROM t WHERE v > ''"), "9992");
    assert_int_equal(mapped_bytes(), 0);
    /* Another connection of this process allows it: for files that are opened from then on. */
    sql_must(other, "PRAGMA mmap_size = 268435456");
    assert_string_equal(sql_rows(other, "SELECT count(*) FROM t WHERE v > ''"), "9992");
    must("DELETE FROM t WHERE id = 5000; SELECT lsm_compact()");
    assert_string_equal(rows("SELECT count(*) FROM t WHERE v > ''"), "9991");
    assert_true(mapped_bytes() > 100000);
    /* A walk goes on in files that are removed under it. */
    sqlite3_stmt *walk = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT id, v FROM t", -1, &walk, NULL), SQLITE_OK);
    for (int i = 1; i <= 100; i++) assert_int_equal(sqlite3_step(walk), SQLITE_ROW);
    sql_must(other, "DELETE FROM t WHERE id > 9; SELECT lsm_compact()");
    for (int id = 108; id < 10000; id++) {
        if (id == 5000) continue;
        assert_int_equal(sqlite3_step(walk), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(walk, 0), id);
        assert_int_equal(sqlite3_column_bytes(walk, 1), 80);
    }
    assert_int_equal(sqlite3_step(walk), SQLITE_DONE);
    assert_int_equal(sqlite3_finalize(walk), SQLITE_OK);
    assert_string_equal(rows("SELECT count(*) FROM t WHERE v > ''"), "2");
    /* A thread that merged may hold the old files a moment longer. */
    for (int i = 0; i < 10000 && mapped_bytes() >= 100000; i++) (void)usleep(1000);
    assert_true(mapped_bytes() < 100000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_transaction_that_reads_sees_one_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(savepoints_begin_transactions_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_attached_store_is_seen_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_statement_sees_one_state_of_all_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_select_left_open_keeps_its_state_and_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_on_a_state_that_is_out_of_date_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ordinary_rows_that_follow_from_a_state_out_of_date_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_writes_are_seen_and_savepoints_undone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_watched_is_read_statement_by_statement, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_watch_is_nobodys_table_and_in_nobodys_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(statements_that_open_a_table_late_go_on_when_the_watch_is_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_closed_connection_lets_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_watches_is_let_go_with_the_last_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_seen_ends_with_a_transaction_whose_watch_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_that_comes_to_mean_another_table_is_read_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(begin_immediate_is_never_too_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(table_files_are_mapped_as_far_as_somebody_maps_the_database, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
