/* Transactions over ordinary and LSM tables through SQLite's own calls: what decides them, what is left behind in the database file, what others see between
 * SQLite's commit and ours, COMMIT that fails and is repeated, tables that go with the token, and databases and stores that do not fit together. That they
 * survive crashes is for crash_matrix_test and crash_traps_test. */
#include <pthread.h>
#include <time.h>

#include "database.h"

static const char *tokens(void) {
    return rows("SELECT value FROM t_store WHERE key = 'token' UNION ALL SELECT value FROM u_store WHERE key = 'token'");
}

static void shell(const char *format) {
    char command[512];
    (void)snprintf(command, sizeof command, "cd '%s' && (%s)", scratch_folder(), format);
    assert_int_equal(system(command), 0);
}

static const char schema[] =
    "PRAGMA synchronous = OFF; CREATE TABLE plain(a INTEGER PRIMARY KEY); INSERT INTO plain VALUES (0);"
    "CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE u USING lsm(id INTEGER PRIMARY KEY, v);"
    "INSERT INTO t VALUES (1, 'a')";

static int set_up(void **unused) {
    (void)unused;
    open_new_file();
    must(schema);
    return 0;
}

/* ---- a table that gets in the way -------------------------------------------------------------------------------- */

/* `meddler` joins transactions like ours, before or after it, and does something at xSync or xCommit. */
static struct {
    int busy; /* so many times xSync says SQLITE_BUSY */
    void (*at_sync)(void);
    void (*at_commit)(void);
} meddling;

static int m_connect(sqlite3 *on, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    (void)aux;
    (void)argc;
    (void)argv;
    (void)message;
    *vtab = sqlite3_malloc64(sizeof **vtab);
    memset(*vtab, 0, sizeof **vtab);
    return sqlite3_declare_vtab(on, "CREATE TABLE x(a)");
}
static int m_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}
static int m_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    (void)info;
    return SQLITE_OK;
}
static int m_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
    (void)vtab;
    (void)argc;
    (void)argv;
    *rowid = 1;
    return SQLITE_OK;
}
static int m_nothing(sqlite3_vtab *vtab) {
    (void)vtab;
    return SQLITE_OK;
}
static int m_sync(sqlite3_vtab *vtab) {
    (void)vtab;
    if (meddling.at_sync != NULL) meddling.at_sync();
    return meddling.busy > 0 && meddling.busy-- > 0 ? SQLITE_BUSY : SQLITE_OK;
}
static int m_commit(sqlite3_vtab *vtab) {
    (void)vtab;
    if (meddling.at_commit != NULL) meddling.at_commit();
    return SQLITE_OK;
}
static const sqlite3_module meddler = {
    .iVersion = 1,
    .xCreate = m_connect,
    .xConnect = m_connect,
    .xBestIndex = m_best_index,
    .xDisconnect = m_disconnect,
    .xDestroy = m_disconnect,
    .xUpdate = m_update,
    .xBegin = m_nothing,
    .xSync = m_sync,
    .xCommit = m_commit,
    .xRollback = m_nothing,
};

static void add_meddler(void) {
    memset(&meddling, 0, sizeof meddling);
    assert_int_equal(sqlite3_create_module(db, "meddler", &meddler, NULL), SQLITE_OK);
    must("CREATE VIRTUAL TABLE m USING meddler");
}

/* ---- what is left behind ----------------------------------------------------------------------------------------- */

static void lsm_rows_alone_leave_the_database_file_alone(void **unused) {
    (void)unused;
    const char *before = tokens();
    must("PRAGMA wal_autocheckpoint = 0");
    shell("cat test.db test.db-wal > before");
    must("INSERT INTO t VALUES (2, 'b'); BEGIN; INSERT INTO t VALUES (3, 'c'); INSERT INTO u SELECT id, v FROM t; COMMIT; DELETE FROM t WHERE id = 2;"
         "BEGIN; DELETE FROM t WHERE id = 3; UPDATE u SET v = 'd'; DELETE FROM u WHERE id = 1; COMMIT");
    shell("cat test.db test.db-wal | cmp - before");
    assert_string_equal(tokens(), before);
}

static void both_kinds_leave_a_token(void **unused) {
    (void)unused;
    static const char *const sql[] = {"BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT",
                                      "BEGIN; INSERT INTO u VALUES (2, 'b'); INSERT INTO plain VALUES (2); INSERT INTO t VALUES (3, 'c'); COMMIT",
                                      "BEGIN; INSERT INTO t VALUES (4, 'd'); CREATE TABLE more(a); COMMIT",
                                      "CREATE VIRTUAL TABLE w USING lsm(a)",
                                      "ALTER TABLE w RENAME TO x; BEGIN; INSERT INTO plain VALUES (3); INSERT INTO x VALUES (1); COMMIT",
                                      "PRAGMA journal_mode = DELETE; INSERT INTO t VALUES (5, 'e')"};
    char before[200];
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        (void)snprintf(before, sizeof before, "%s", tokens());
        must(sql[i]);
        if (i == 4) assert_string_equal(rows("SELECT length(replace(value, '0', '')) > 4 FROM x_store WHERE key = 'token'"), "1");
        if (i != 4) assert_string_not_equal(tokens(), before);
        open_again();
        assert_string_equal(rows("SELECT lsm_check()"), "ok");
    }
}

static void nothing_shows_of_the_token(void **unused) {
    (void)unused;
    must("CREATE TRIGGER tr AFTER INSERT ON plain BEGIN INSERT INTO t VALUES (new.a, 0), (new.a + 1, 0); END");
    sqlite3_int64 before = sqlite3_total_changes(db);
    must("BEGIN; INSERT INTO t VALUES (100, 0), (101, 0), (102, 0); INSERT INTO plain VALUES (10), (20); COMMIT");
    assert_int_equal(sqlite3_changes(db), 2);
    assert_int_equal(sqlite3_last_insert_rowid(db), 20);
    assert_int_equal(sqlite3_total_changes(db) - before, 3 + 2 + 4);
    must("INSERT INTO plain VALUES (30)");
    assert_int_equal(sqlite3_changes(db), 1);
    assert_int_equal(sqlite3_last_insert_rowid(db), 30);
    assert_int_equal(sqlite3_total_changes(db) - before, 3 + 2 + 4 + 1 + 2);
    sqlite3_set_last_insert_rowid(db, 4711);
    must("CREATE VIRTUAL TABLE w USING lsm(a INTEGER PRIMARY KEY AUTOINCREMENT)");
    assert_int_equal(sqlite3_last_insert_rowid(db), 4711);
}

static int deny_shadows(void *arg, int action, const char *a, const char *b, const char *c, const char *d) {
    (void)arg;
    (void)b;
    (void)c;
    (void)d;
    return (action == SQLITE_UPDATE || action == SQLITE_INSERT) && strstr(a, "_store") != NULL ? SQLITE_DENY : SQLITE_OK;
}

static void defensive_mode_and_authorizers_do_not_mind(void **unused) {
    (void)unused;
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL), SQLITE_OK);
    assert_int_not_equal(run("UPDATE t_store SET value = 'x' WHERE key = 'token'"), SQLITE_OK);
    sqlite3_set_authorizer(db, deny_shadows, NULL);
    const char *before = tokens();
    must("BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT");
    assert_string_not_equal(tokens(), before);
    sqlite3_set_authorizer(db, NULL, NULL);
    open_again();
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
}

static void a_shadow_table_without_rowids_holds_tokens_too(void **unused) {
    (void)unused;
    must("CREATE TEMP TABLE saved AS SELECT key, value FROM t_store; DROP TABLE t_store; CREATE TABLE t_store(key TEXT PRIMARY KEY, value) WITHOUT "
         "ROWID;"
         "INSERT INTO t_store SELECT * FROM saved; DROP TABLE saved");
    const char *before = tokens();
    must("BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT");
    assert_string_not_equal(tokens(), before);
    open_again();
    assert_string_equal(rows("SELECT id FROM t"), "1 2");
}

/* ---- COMMIT that fails, and is repeated or given up -------------------------------------------------------------- */

static void a_repeated_commit_asks_anew_what_was_written(void **unused) {
    (void)unused;
    add_meddler();
    const char *before = tokens();
    /* First LSM rows alone; then COMMIT fails, and ordinary rows come. */
    must("BEGIN; INSERT INTO t VALUES (2, 'b'); INSERT INTO u VALUES (2, 'b'); INSERT INTO m VALUES (1)");
    meddling.busy = 2;
    assert_int_equal(run("COMMIT"), SQLITE_BUSY);
    assert_int_equal(run("COMMIT"), SQLITE_BUSY);
    must("PRAGMA user_version = 7; COMMIT");
    const char *after = tokens();
    assert_string_not_equal(after, before);
    /* The token's row itself is undone, and must be written again. */
    must("BEGIN; INSERT INTO t VALUES (3, 'c'); INSERT INTO m VALUES (1); SAVEPOINT s; INSERT INTO plain VALUES (1)");
    meddling.busy = 1;
    assert_int_equal(run("COMMIT"), SQLITE_BUSY);
    must("ROLLBACK TO s; INSERT INTO plain VALUES (2); COMMIT");
    assert_string_not_equal(tokens(), after);
    open_again();
    assert_int_equal(sqlite3_create_module(db, "meddler", &meddler, NULL), SQLITE_OK);
    assert_string_equal(rows("SELECT id FROM t"), "1 2 3");
}

static void after_a_commit_that_failed_everything_can_be_taken_back(void **unused) {
    (void)unused;
    add_meddler();
    char before[200];
    (void)snprintf(before, sizeof before, "%s", tokens());
    for (int i = 0; i < 3; i++) {
        must("BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); INSERT INTO m VALUES (1)");
        meddling.busy = 1;
        assert_int_equal(run("COMMIT"), SQLITE_BUSY);
        if (i > 0) must("INSERT INTO t VALUES (3, 'c'); INSERT INTO plain VALUES (2)");
        if (i == 2) assert_int_equal(run("COMMIT; ROLLBACK; BEGIN"), SQLITE_ERROR); /* committed: no transaction to roll back */
        if (i < 2) must("ROLLBACK");
        if (i < 2) assert_string_equal(rows("SELECT id FROM t UNION ALL SELECT a FROM plain"), "1 0");
        if (i < 2) assert_string_equal(tokens(), before);
    }
    assert_string_equal(rows("SELECT id FROM t UNION ALL SELECT a FROM plain"), "1 2 3 0 1 2");
}

static int veto(void *arg) {
    (void)arg;
    return 1;
}

static void a_commit_hook_vetoes_both(void **unused) {
    (void)unused;
    sqlite3_commit_hook(db, veto, NULL);
    assert_int_equal(run("BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT"), SQLITE_CONSTRAINT_COMMITHOOK);
    sqlite3_commit_hook(db, NULL, NULL);
    assert_string_equal(rows("SELECT id FROM t UNION ALL SELECT a FROM plain"), "1 0");
    must("BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT");
    open_again();
    assert_string_equal(rows("SELECT id FROM t UNION ALL SELECT a FROM plain"), "1 2 0 1");
}

/* ---- between SQLite's commit and ours ---------------------------------------------------------------------------- */

static sqlite3 *reader;
static char seen[3][64];
static int looks;

static void look(void) {
    (void)snprintf(seen[looks++ % 3], sizeof seen[0], "%s", sql_rows(reader, "SELECT count(*) FROM plain UNION ALL SELECT count(*) FROM t"));
}

static void a_reader_sees_both_kinds_or_neither(void **unused) {
    (void)unused;
    add_meddler();
    reader = open_beside();
    assert_int_equal(sqlite3_create_module(reader, "meddler", &meddler, NULL), SQLITE_OK);
    looks = 0;
    meddling.at_sync = look;
    meddling.at_commit = look;
    /* Before ours in the order of joining: its xCommit comes when SQLite has committed and we have not. */
    must("BEGIN; INSERT INTO m VALUES (1); INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT");
    assert_int_equal(looks, 2);
    assert_string_equal(seen[0], "1 1");
    assert_string_equal(seen[1], "2 2");
    /* After ours: PREPARE and the token are there, and not committed. */
    looks = 0;
    must("BEGIN; INSERT INTO t VALUES (3, 'c'); INSERT INTO plain VALUES (2); INSERT INTO m VALUES (1)");
    meddling.busy = 1;
    assert_int_equal(run("COMMIT"), SQLITE_BUSY);
    look();
    assert_string_equal(seen[0], "2 2");
    assert_string_equal(seen[1], "2 2");
    assert_string_equal(rows("SELECT count(*) FROM plain UNION ALL SELECT count(*) FROM t"), "3 3"); /* its own */
    must("ROLLBACK");
    assert_string_equal(rows("SELECT count(*) FROM plain UNION ALL SELECT count(*) FROM t"), "2 2");
    memset(&meddling, 0, sizeof meddling);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
}

static void who_reads_uncommitted_rows_publishes_nothing(void **unused) {
    (void)unused;
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = sql_open(scratch_path("test.db"), SQLITE_OPEN_SHAREDCACHE);
    reader = sql_open(scratch_path("test.db"), SQLITE_OPEN_SHAREDCACHE);
    add_meddler();
    assert_int_equal(sqlite3_create_module(reader, "meddler", &meddler, NULL), SQLITE_OK);
    sql_must(reader, "PRAGMA read_uncommitted = ON");
    looks = 0;
    must("BEGIN; INSERT INTO t VALUES (2, 'b'); INSERT INTO plain VALUES (1); INSERT INTO m VALUES (1)");
    meddling.busy = 1;
    assert_int_equal(run("COMMIT"), SQLITE_BUSY);
    look();
    assert_string_equal(seen[0], "2 1"); /* ordinary rows are shown uncommitted, as asked for */
    must("ROLLBACK");
    assert_string_equal(rows("SELECT id FROM t"), "1");
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
}

/* Another connection that writes while the one at hand ends its COMMIT. */
static struct {
    pthread_mutex_t mu;
    pthread_cond_t done;
    pthread_t thread;
    bool is_done;
    int code;
} late;

static void *write_late(void *unused) {
    (void)unused;
    int code = sql_run(reader, "INSERT INTO u VALUES (9, 'late')");
    pthread_mutex_lock(&late.mu);
    late.is_done = true;
    late.code = code;
    pthread_cond_signal(&late.done);
    pthread_mutex_unlock(&late.mu);
    return NULL;
}

/* It is given the time to be refused; otherwise it waits until this returns. */
static void let_another_one_write(void) {
    struct timespec until;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_nsec += 300 * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    assert_int_equal(pthread_create(&late.thread, NULL, write_late, NULL), 0);
    pthread_mutex_lock(&late.mu);
    int waited = 0;
    while (!late.is_done && waited == 0) waited = pthread_cond_timedwait(&late.done, &late.mu, &until);
    pthread_mutex_unlock(&late.mu);
}

/* The database's write lock is free again before the store is. No busy handler is needed for that. */
static void who_writes_next_waits_for_what_the_database_has_committed(void **unused) {
    (void)unused;
    add_meddler();
    reader = open_beside();
    assert_int_equal(sqlite3_create_module(reader, "meddler", &meddler, NULL), SQLITE_OK);
    assert_string_equal(sql_rows(reader, "SELECT count(*) FROM u"), "0");
    memset(&late, 0, sizeof late);
    pthread_mutex_init(&late.mu, NULL);
    pthread_cond_init(&late.done, NULL);
    meddling.at_commit = let_another_one_write;
    must("BEGIN; INSERT INTO m VALUES (1); INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT");
    assert_int_equal(pthread_join(late.thread, NULL), 0);
    meddling.at_commit = NULL;
    assert_int_equal(late.code, SQLITE_OK);
    assert_string_equal(rows("SELECT id FROM t UNION ALL SELECT id FROM u"), "1 2 9");
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    pthread_cond_destroy(&late.done);
    pthread_mutex_destroy(&late.mu);
}

/* ---- tables that go ---------------------------------------------------------------------------------------------- */

static void attach_aux(void) {
    char sql[200];
    (void)snprintf(sql, sizeof sql, "ATTACH '%s' AS aux", scratch_path("aux.db"));
    must(sql);
}

static void a_dropped_table_hands_its_token_over(void **unused) {
    (void)unused;
    for (int i = 0; i < 2; i++) {
        must("BEGIN; INSERT INTO plain(a) SELECT max(a) + 1 FROM plain; INSERT INTO u(v) VALUES ('x'); COMMIT");
        if (i == 0) must("DROP TABLE u");
        if (i == 1) must("BEGIN; INSERT INTO t VALUES (9, 0); DROP TABLE u; DELETE FROM t WHERE id = 9; COMMIT");
        open_again();
        assert_string_equal(rows("SELECT id FROM t"), "1");
        must("CREATE VIRTUAL TABLE u USING lsm(id INTEGER PRIMARY KEY, v)");
    }
    attach_aux();
    must("PRAGMA aux.journal_mode = WAL; CREATE VIRTUAL TABLE aux.a USING lsm(x); CREATE VIRTUAL TABLE aux.b USING lsm(x); CREATE TABLE aux.p(x)");
    must("BEGIN; INSERT INTO aux.p VALUES (1); INSERT INTO b VALUES (1); COMMIT; BEGIN; INSERT INTO aux.p VALUES (2); INSERT INTO a VALUES (2); "
         "COMMIT");
    const char *token = rows("SELECT value FROM aux.a_store WHERE key = 'token'");
    must("DROP TABLE aux.a"); /* no hook there: nothing of the store takes part */
    assert_string_equal(rows("SELECT value FROM aux.b_store WHERE key = 'token'"), token);
    open_again();
    attach_aux();
    assert_string_equal(rows("SELECT x FROM aux.b"), "1");
    must("DROP TABLE aux.b; DETACH aux");
}

/* Nothing of the store takes part in a DROP TABLE of an attached database: the token is all that tells of the transactions before. */
static void a_token_goes_to_a_table_that_nobody_has_opened(void **unused) {
    (void)unused;
    attach_aux();
    must("CREATE VIRTUAL TABLE aux.a USING lsm(x); CREATE VIRTUAL TABLE aux.b USING lsm(x); CREATE VIRTUAL TABLE aux.c USING lsm(x); CREATE TABLE "
         "aux.p(x)");
    must("BEGIN; INSERT INTO p VALUES (1); INSERT INTO b VALUES (1); COMMIT; BEGIN; INSERT INTO p VALUES (2); INSERT INTO a VALUES (2); COMMIT; "
         "DETACH aux");
    attach_aux();
    const char *token = rows("SELECT value FROM aux.a_store WHERE key = 'token'");
    must("DROP TABLE aux.a");
    assert_string_equal(rows("SELECT value FROM aux.b_store WHERE key = 'token'"), token); /* it had the newest of those that stay */
    must("DETACH aux");
    attach_aux();
    assert_string_equal(rows("SELECT x FROM aux.b"), "1");
    assert_string_equal(rows("SELECT lsm_check('aux')"), "ok");
    must("DETACH aux");
}

/* The rows of lost and w are gone with the younger store. lsm_accept() takes the number of the one for a moment, v gets the other's; its rows are not w's. */
static void a_dropped_table_with_the_number_of_a_lost_one_is_removed(void **unused) {
    (void)unused;
    attach_aux();
    must("CREATE VIRTUAL TABLE aux.a USING lsm(x)");
    open_again();
    shell("cp -r aux.db-lsm old");
    attach_aux();
    must("CREATE VIRTUAL TABLE aux.lost USING lsm(x); CREATE VIRTUAL TABLE aux.w USING lsm(x); INSERT INTO w VALUES (1)");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    shell("rm -rf aux.db-lsm; mv old aux.db-lsm");
    open_file();
    attach_aux();
    must("SELECT lsm_accept('aux'); CREATE VIRTUAL TABLE aux.v USING lsm(x); INSERT INTO v VALUES (2)");
    assert_string_equal(rows("SELECT count(DISTINCT value) FROM (SELECT * FROM aux.v_store UNION ALL SELECT * FROM aux.w_store) WHERE key = 'tree'"),
                        "1");
    must("DROP TABLE aux.v; INSERT INTO aux.a VALUES (3)");
    assert_string_equal(rows("SELECT name FROM lsm_tables('aux')"), "a");
    must("DROP TABLE aux.w; DROP TABLE aux.lost; DETACH aux");
}

static void the_last_table_goes_without_a_token(void **unused) {
    (void)unused;
    must("BEGIN; INSERT INTO plain VALUES (1); DROP TABLE t; DROP TABLE u; COMMIT");
    open_again();
    must("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (5); BEGIN; INSERT INTO plain VALUES (2); INSERT INTO t "
         "VALUES (6); COMMIT");
    must("BEGIN; DROP TABLE t; ROLLBACK");
    open_again();
    assert_string_equal(rows("SELECT id FROM t"), "5 6");
}

/* ---- what does not fit together ------------------------------------------------------------------------------------ */

static void expect_refused(const char *part) {
    static const char *const sql[] = {"SELECT * FROM t", "INSERT INTO t VALUES (50, 0)", "BEGIN; SELECT * FROM plain; SELECT * FROM t",
                                      "CREATE VIRTUAL TABLE one_more USING lsm(a)"};
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        assert_int_equal(run(sql[i]) & 0xff, SQLITE_CORRUPT);
        if (strstr(sqlite3_errmsg(db), part) == NULL) fail_msg("%s: %s", sql[i], sqlite3_errmsg(db));
        if (sqlite3_get_autocommit(db) == 0) must("ROLLBACK");
    }
    if (strstr(rows("SELECT lsm_check()"), part) == NULL) fail_msg("lsm_check(): %s", rows("SELECT lsm_check()"));
}

static void an_older_half_is_refused_until_it_is_accepted(void **unused) {
    (void)unused;
    for (int i = 0; i < 2; i++) {
        bool older_store = i == 1;
        must("BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT");
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        shell("rm -rf old; mkdir old; cp -r test.db test.db-lsm old");
        open_file();
        must("BEGIN; INSERT INTO plain VALUES (2); INSERT INTO u VALUES (3, 'c'); COMMIT; INSERT INTO t VALUES (3, 'c')");
        if (older_store) must("CREATE VIRTUAL TABLE w USING lsm(a); INSERT INTO w VALUES (1)");
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        shell(older_store ? "rm -rf test.db-lsm; cp -r old/test.db-lsm ." : "cp old/test.db .");
        open_file();
        expect_refused(older_store ? "is older than its database" : "the database is older than the store");
        open_again();
        must("PRAGMA locking_mode = EXCLUSIVE"); /* no other connection can look at the present, nor need it */
        expect_refused(older_store ? "is older than its database" : "the database is older than the store");
        open_again();
        assert_int_equal(run("BEGIN; SELECT lsm_accept()"), SQLITE_ERROR);
        must("ROLLBACK");
        assert_string_equal(
            rows("SELECT lsm_accept('main')"),
            older_store
                ? "accepted: the store is older than the database; rows of LSM tables may be older than those of ordinary tables; the rows of 1 "
                  "table are not there at all: DROP"
                : "accepted: the database is older than the store; rows of LSM tables may be newer than those of ordinary tables");
        assert_string_equal(rows("SELECT lsm_accept()"), "nothing to accept: the database and its LSM tables fit together");
        assert_string_equal(rows("SELECT id FROM t UNION ALL SELECT id FROM u"), older_store ? "1 2" : "1 2 3 3");
        assert_string_equal(rows("SELECT a FROM plain"), older_store ? "0 1 2" : "0 1");
        if (older_store) assert_int_equal(run("SELECT * FROM w") & 0xff, SQLITE_CORRUPT);
        if (older_store) must("DROP TABLE w");
        must("DELETE FROM t WHERE id > 1; DELETE FROM u; DELETE FROM plain WHERE a > 0; CREATE VIRTUAL TABLE w USING lsm(a); DROP TABLE w");
        open_again();
        assert_string_equal(rows("SELECT lsm_check()"), "ok");
    }
}

static void a_database_without_any_token_does_not_fit_a_store_with_one(void **unused) {
    (void)unused;
    must("UPDATE t_store SET value = printf('%032d', 0) WHERE key = 'token'; UPDATE u_store SET value = printf('%032d', 0) WHERE key = 'token'");
    open_again();
    expect_refused("the database is older than the store");
    assert_string_equal(rows("SELECT lsm_accept() LIKE 'accepted: the database is older%'"), "1");
    assert_string_equal(rows("SELECT id FROM t"), "1");
}

static void a_database_put_back_under_an_open_store_is_noticed(void **unused) {
    (void)unused;
    must("PRAGMA wal_checkpoint(TRUNCATE)");
    shell("cp test.db old.db");
    must("BEGIN; INSERT INTO plain VALUES (1); INSERT INTO t VALUES (2, 'b'); COMMIT");
    shell("mkdir aside; mv test.db test.db-wal test.db-shm aside; cp old.db test.db");
    sqlite3 *other = open_beside();
    assert_int_equal(sql_run(other, "SELECT * FROM t") & 0xff, SQLITE_CORRUPT);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    shell("rm -f test.db*-wal test.db-shm; mv aside/* .");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lsm_rows_alone_leave_the_database_file_alone, set_up, close_whole),
        cmocka_unit_test_setup_teardown(both_kinds_leave_a_token, set_up, close_whole),
        cmocka_unit_test_setup_teardown(nothing_shows_of_the_token, set_up, close_whole),
        cmocka_unit_test_setup_teardown(defensive_mode_and_authorizers_do_not_mind, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_shadow_table_without_rowids_holds_tokens_too, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_repeated_commit_asks_anew_what_was_written, set_up, close_whole),
        cmocka_unit_test_setup_teardown(after_a_commit_that_failed_everything_can_be_taken_back, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_commit_hook_vetoes_both, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_reader_sees_both_kinds_or_neither, set_up, close_whole),
        cmocka_unit_test_setup_teardown(who_writes_next_waits_for_what_the_database_has_committed, set_up, close_whole),
        cmocka_unit_test_setup_teardown(who_reads_uncommitted_rows_publishes_nothing, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_dropped_table_hands_its_token_over, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_token_goes_to_a_table_that_nobody_has_opened, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_dropped_table_with_the_number_of_a_lost_one_is_removed, set_up, close_whole),
        cmocka_unit_test_setup_teardown(the_last_table_goes_without_a_token, set_up, close_whole),
        cmocka_unit_test_setup_teardown(an_older_half_is_refused_until_it_is_accepted, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_database_without_any_token_does_not_fit_a_store_with_one, set_up, close_whole),
        cmocka_unit_test_setup_teardown(a_database_put_back_under_an_open_store_is_noticed, set_up, close_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
