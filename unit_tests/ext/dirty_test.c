/* "Was the database file written, too?" (ext/dirty.h) against the truth: did the file or its log change? Asked from the xSync of a module that
 * writes nothing itself, in every journal mode, with everything known to make the question hard. It rests on the order of two checks inside
 * SQLite and on counters of its page cache, so this test belongs to every SQLite the extension is to run with. */
#include "../../ext/connection.h"
#include "database.h"

/* ---- a module that asks ---------------------------------------------------------------------------------------- */

struct asker {
    sqlite3_vtab base;
    struct vt_space *space;
};

struct asker_cursor {
    sqlite3_vtab_cursor base;
    int row;
};

static int answers_yes, answers_no;

static int asker_connect(sqlite3 *connecting, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    (void)argc;
    (void)message;
    struct asker *asker = sqlite3_malloc64(sizeof *asker);
    memset(asker, 0, sizeof *asker);
    asker->space = vt_space_find(aux, argv[1]);
    *vtab = &asker->base;
    sqlite3_vtab_config(connecting, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    return sqlite3_declare_vtab(connecting, "CREATE TABLE x(a)");
}
static int asker_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}
static int asker_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    (void)info;
    return SQLITE_OK;
}
static int asker_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor) {
    (void)vtab;
    *cursor = sqlite3_malloc64(sizeof(struct asker_cursor));
    memset(*cursor, 0, sizeof(struct asker_cursor));
    return SQLITE_OK;
}
static int asker_close(sqlite3_vtab_cursor *cursor) {
    sqlite3_free(cursor);
    return SQLITE_OK;
}
static int asker_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc, sqlite3_value **argv) {
    (void)number;
    (void)text;
    (void)argc;
    (void)argv;
    ((struct asker_cursor *)cursor)->row = 0;
    return SQLITE_OK;
}
static int asker_next(sqlite3_vtab_cursor *cursor) {
    ((struct asker_cursor *)cursor)->row++;
    return SQLITE_OK;
}
static int asker_eof(sqlite3_vtab_cursor *cursor) { return ((struct asker_cursor *)cursor)->row >= 3; }
static int asker_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column) {
    (void)column;
    sqlite3_result_int(context, ((struct asker_cursor *)cursor)->row);
    return SQLITE_OK;
}
static int asker_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid) {
    *rowid = ((struct asker_cursor *)cursor)->row;
    return SQLITE_OK;
}
static int asker_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
    if (argc > 1 && sqlite3_value_type(argv[2]) == SQLITE_TEXT) return SQLITE_CONSTRAINT;
    ((struct asker *)vtab)->space->connection->changes++;
    *rowid = 1;
    return SQLITE_OK;
}
static int asker_begin(sqlite3_vtab *vtab) {
    vt_dirty_begin(((struct asker *)vtab)->space);
    return SQLITE_OK;
}
static int asker_sync(sqlite3_vtab *vtab) {
    if (vt_dirty(((struct asker *)vtab)->space)) {
        answers_yes++;
    } else {
        answers_no++;
    }
    return SQLITE_OK;
}
static int asker_end(sqlite3_vtab *vtab) {
    (void)vtab;
    return SQLITE_OK;
}
/* What txn.c does with a partial rollback. */
static uint64_t marks[64];
static int asker_savepoint(sqlite3_vtab *vtab, int number) {
    marks[number] = ((struct asker *)vtab)->space->connection->changes;
    return SQLITE_OK;
}
static int asker_release(sqlite3_vtab *vtab, int number) {
    (void)vtab;
    (void)number;
    return SQLITE_OK;
}
static int asker_rollback_to(sqlite3_vtab *vtab, int number) {
    ((struct asker *)vtab)->space->connection->changes = marks[number];
    return SQLITE_OK;
}

static const sqlite3_module asker_module = {
    .iVersion = 2,
    .xCreate = asker_connect,
    .xConnect = asker_connect,
    .xBestIndex = asker_best_index,
    .xDisconnect = asker_disconnect,
    .xDestroy = asker_disconnect,
    .xOpen = asker_open,
    .xClose = asker_close,
    .xFilter = asker_filter,
    .xNext = asker_next,
    .xEof = asker_eof,
    .xColumn = asker_column,
    .xRowid = asker_rowid,
    .xUpdate = asker_update,
    .xBegin = asker_begin,
    .xSync = asker_sync,
    .xCommit = asker_end,
    .xRollback = asker_end,
    .xSavepoint = asker_savepoint,
    .xRelease = asker_release,
    .xRollbackTo = asker_rollback_to,
};

/* ---- scaffolding ----------------------------------------------------------------------------------------------- */

static struct vt_connection *connection;
static sqlite3_stmt *prepared; /* run by the function again() */

/* run(sql): whatever an application's function may do on its connection. */
static void run_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    sqlite3_result_int(context, sqlite3_exec(db, (const char *)sqlite3_value_text(argv[0]), NULL, NULL, NULL));
}
/* Fails after it has done something, and leaves the error behind. */
static void run_and_fail_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    run_function(context, argc, argv);
    (void)sqlite3_exec(db, "SELECT nothing_of_that_name", NULL, NULL, NULL);
}
static void again_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    while (sqlite3_step(prepared) == SQLITE_ROW) continue;
    sqlite3_result_int(context, sqlite3_reset(prepared));
}
static void blob_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static int value;
    char bytes[16];
    (void)argc;
    (void)argv;
    sqlite3_blob *blob = NULL;
    (void)snprintf(bytes, sizeof bytes, "%07d", ++value);
    int rc = sqlite3_blob_open(db, "main", "blobs", "b", 1, 1, &blob);
    if (rc == SQLITE_OK) rc = sqlite3_blob_write(blob, bytes, 7, 0);
    sqlite3_blob_close(blob);
    sqlite3_result_int(context, rc);
}
static void flush_function(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    sqlite3_result_int(context, sqlite3_db_cacheflush(db));
}

static void open_asker(const char *pragmas) {
    assert_int_equal(sqlite3_open(scratch_path("test.db"), &db), SQLITE_OK);
    connection = vt_connection_ref(db);
    assert_int_equal(sqlite3_create_module(db, "asker", &asker_module, connection), SQLITE_OK);
    sqlite3_create_function(db, "run", 1, SQLITE_UTF8, NULL, run_function, NULL, NULL);
    sqlite3_create_function(db, "run_and_fail", 1, SQLITE_UTF8, NULL, run_and_fail_function, NULL, NULL);
    sqlite3_create_function(db, "again", 0, SQLITE_UTF8, NULL, again_function, NULL, NULL);
    sqlite3_create_function(db, "write_blob", 0, SQLITE_UTF8, NULL, blob_function, NULL, NULL);
    sqlite3_create_function(db, "flush", 0, SQLITE_UTF8, NULL, flush_function, NULL, NULL);
    must("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; PRAGMA trusted_schema = ON");
    must(pragmas);
    must("CREATE TABLE plain(a, b); INSERT INTO plain VALUES (1, 1), (2, 2), (3, 3); CREATE TABLE other(a); CREATE VIRTUAL TABLE p USING asker;"
         "CREATE TABLE fires(a); CREATE TRIGGER t AFTER INSERT ON fires WHEN new.a > 0 BEGIN INSERT INTO p VALUES (new.a); END;"
         "CREATE VIEW v AS SELECT 1 AS a; CREATE TRIGGER vt INSTEAD OF INSERT ON v BEGIN INSERT INTO p VALUES (new.a); END;"
         "CREATE TABLE blobs(b); INSERT INTO blobs VALUES ('0123456'); CREATE TABLE big(a); INSERT INTO big VALUES (zeroblob(100000)); DELETE FROM "
         "big;"
         "CREATE VIRTUAL TABLE fts USING fts5(x, content='', columnsize=0); CREATE TEMP TABLE fleeting(a);"
         "CREATE VIEW both AS SELECT 1 AS a; CREATE TRIGGER bt INSTEAD OF INSERT ON both BEGIN INSERT INTO p VALUES (1); INSERT INTO fts(rowid, x) "
         "VALUES (1, 'x'); END");
    char attach[200];
    (void)snprintf(attach, sizeof attach, "ATTACH '%s' AS aux", scratch_path("other.db"));
    must(attach);
    must(pragmas);
    must("PRAGMA aux.wal_autocheckpoint = 0; CREATE TABLE aux.far(a); INSERT INTO aux.far VALUES (1)");
}

static void close_asker(void) {
    assert_int_equal(sqlite3_finalize(prepared), SQLITE_OK);
    prepared = NULL;
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    vt_connection_unref(connection);
}

static int set_up(void **unused) {
    (void)unused;
    scratch_make();
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    scratch_remove();
    return 0;
}

/* Something that changes when the file does. */
static uint64_t file_state(const char *name) {
    uint64_t state = 14695981039346656037u;
    FILE *file = fopen(scratch_path(name), "rb"); /* closing it drops SQLite's locks on the file: nobody else is here to mind */
    if (file == NULL) return state;
    for (int c; (c = getc(file)) != EOF;) state = (state ^ (uint64_t)(unsigned char)c) * 1099511628211u;
    fclose(file);
    return state;
}

static uint64_t files_state(void) {
    return file_state("test.db") * 3 + file_state("test.db-wal") * 5 + file_state("other.db") * 7 + file_state("other.db-wal") * 11;
}

/* ---- the questions --------------------------------------------------------------------------------------------- */

enum wanted { CLEAN, WRITTEN, EITHER };

struct question {
    const char *sql;
    enum wanted wanted; /* the answer in WAL mode; EITHER: errs towards yes, or may */
};

static const struct question questions[] = {
    {"INSERT INTO p VALUES (1)", CLEAN},
    {"INSERT INTO p VALUES (1), (2), (3)", CLEAN},
    {"UPDATE p SET a = 5 WHERE a > 1", CLEAN},
    {"DELETE FROM p", CLEAN},
    {"DELETE FROM p WHERE a = 77", CLEAN},
    {"INSERT INTO p SELECT a FROM plain", CLEAN},
    {"INSERT INTO p SELECT a FROM plain ORDER BY b DESC LIMIT 2", CLEAN},
    {"UPDATE p SET a = plain.b FROM plain WHERE plain.a = p.a", CLEAN},
    {"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 9) INSERT INTO p SELECT i FROM n", CLEAN},
    {"BEGIN; INSERT INTO p VALUES (1); COMMIT", CLEAN},
    {"BEGIN; INSERT INTO p VALUES (1); INSERT INTO p SELECT a FROM plain; SELECT * FROM plain; UPDATE p SET a = 1; COMMIT", CLEAN},
    {"BEGIN; SELECT * FROM plain; INSERT INTO p VALUES (1); COMMIT", CLEAN},
    {"BEGIN; SELECT * FROM aux.far; INSERT INTO p VALUES (1); COMMIT", CLEAN},
    {"BEGIN; SAVEPOINT s; INSERT INTO p VALUES (1); RELEASE s; COMMIT", CLEAN},
    {"SAVEPOINT s; INSERT INTO p VALUES (1); RELEASE s", CLEAN},
    {"BEGIN; INSERT INTO p VALUES (1); INSERT OR IGNORE INTO p VALUES (2), ('fails'), (3); COMMIT", CLEAN},
    {"BEGIN; DELETE FROM plain WHERE a = 77; UPDATE plain SET b = 1 WHERE a = 77; INSERT INTO p VALUES (1); COMMIT", EITHER},
    /* ordinary rows, before and after, in every way */
    {"BEGIN; INSERT INTO plain VALUES (4, 4); INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); INSERT INTO plain VALUES (4, 4); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1), (2), (3); DELETE FROM plain WHERE a = 4; COMMIT", WRITTEN},
    {"BEGIN; DELETE FROM plain WHERE a = 4; INSERT INTO p VALUES (1), (2), (3); COMMIT", EITHER},
    {"SAVEPOINT s; INSERT INTO plain VALUES (5, 5); INSERT INTO p VALUES (1); RELEASE s", WRITTEN},
    {"BEGIN; UPDATE plain SET b = b + 1; INSERT INTO p SELECT a FROM p; COMMIT", WRITTEN},
    {"BEGIN; UPDATE plain SET b = b; INSERT INTO p VALUES (1); COMMIT", EITHER},
    {"BEGIN; INSERT INTO p VALUES (1); UPDATE plain SET b = b; COMMIT", EITHER},
    {"BEGIN; SAVEPOINT s; INSERT INTO plain VALUES (6, 6); ROLLBACK TO s; INSERT INTO p VALUES (1); COMMIT", EITHER},
    {"BEGIN; INSERT INTO p VALUES (1); SAVEPOINT s; INSERT INTO plain VALUES (6, 6); ROLLBACK TO s; COMMIT", EITHER},
    {"BEGIN; INSERT INTO p VALUES (1); SAVEPOINT s; INSERT INTO p VALUES (2); ROLLBACK TO s; COMMIT", EITHER},
    {"BEGIN; INSERT INTO p VALUES (1); SAVEPOINT s; INSERT INTO p VALUES (2); ROLLBACK TO s; INSERT INTO plain VALUES (6, 6); COMMIT", WRITTEN},
    {"INSERT INTO fires VALUES (1)", WRITTEN},
    {"INSERT INTO fires VALUES (-1)", WRITTEN}, /* joins all the same */
    {"INSERT INTO v VALUES (1)", EITHER},
    {"BEGIN; INSERT INTO v VALUES (1); COMMIT", CLEAN},
    {"BEGIN; INSERT INTO fires VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO other SELECT 1; DELETE FROM other; INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    /* what SQLite does not count as changes */
    {"BEGIN; PRAGMA user_version = 11; INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); PRAGMA user_version = 12; COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); PRAGMA application_id = 13; COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); PRAGMA schema_version = 1400; COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); PRAGMA incremental_vacuum(1); COMMIT", WRITTEN},
    {"BEGIN; PRAGMA incremental_vacuum(1); INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); CREATE VIEW w AS SELECT 2; COMMIT", WRITTEN},
    {"BEGIN; DROP VIEW w; INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; CREATE TABLE made(a); INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); CREATE INDEX made_a ON made(a); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); ALTER TABLE made ADD COLUMN b; COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); CREATE TABLE copy AS SELECT * FROM plain; DROP TABLE copy; COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); DROP TABLE made; COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); ANALYZE plain; COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); SELECT write_blob(); COMMIT", WRITTEN},
    {"BEGIN; SELECT write_blob(); INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO plain VALUES (7, 7); SELECT flush(); INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); SELECT flush(); COMMIT", CLEAN},
    {"BEGIN; INSERT INTO p VALUES (1); INSERT INTO plain VALUES (8, zeroblob(3000000)); DELETE FROM plain WHERE a = 8; COMMIT", WRITTEN},
    /* functions that run SQL in the middle of the one statement */
    {"INSERT INTO p VALUES (run('SELECT 1'))", CLEAN},
    {"INSERT INTO p VALUES (run('INSERT INTO plain VALUES (9, 9)'))", WRITTEN},
    {"INSERT INTO p VALUES (run('PRAGMA user_version = 21'))", WRITTEN},
    {"INSERT INTO p VALUES (run_and_fail('PRAGMA user_version = 22'))", WRITTEN},
    {"INSERT INTO p VALUES (run('PRAGMA application_id = 23'))", WRITTEN},
    {"INSERT INTO p VALUES (run('CREATE VIEW w AS SELECT 2'))", WRITTEN},
    {"INSERT INTO p VALUES (run('DROP VIEW w'))", WRITTEN},
    {"INSERT INTO p VALUES (run('PRAGMA incremental_vacuum(1)'))", WRITTEN},
    {"INSERT INTO p VALUES (again())", WRITTEN},
    {"INSERT INTO p VALUES (write_blob())", WRITTEN},
    {"INSERT INTO p SELECT run('INSERT INTO plain VALUES (10, 10)') FROM p", WRITTEN},
    {"INSERT INTO p SELECT run('INSERT INTO fts(rowid, x) VALUES (2, ''y'')') FROM p", WRITTEN},
    {"DELETE FROM p WHERE run('UPDATE plain SET b = b + 1')", WRITTEN},
    /* a module that writes its pages in its own xSync, before or after ours */
    {"BEGIN; INSERT INTO fts(rowid, x) VALUES (3, 'a b c'); INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1); INSERT INTO fts(rowid, x) VALUES (3, 'a b c'); COMMIT", WRITTEN},
    {"BEGIN; INSERT INTO p VALUES (1), (2); INSERT INTO fts(rowid, x) VALUES (4, 'd'); COMMIT", WRITTEN},
    {"INSERT INTO both VALUES (1)", WRITTEN},
    {"BEGIN; INSERT INTO both VALUES (1); COMMIT", WRITTEN},
    /* other databases */
    {"BEGIN; INSERT INTO p VALUES (1); INSERT INTO aux.far VALUES (2); COMMIT", WRITTEN},
    {"BEGIN; PRAGMA aux.user_version = 31; INSERT INTO p VALUES (1); COMMIT", WRITTEN},
    {"INSERT INTO p VALUES (run('INSERT INTO aux.far VALUES (3)'))", WRITTEN},
    {"BEGIN IMMEDIATE; INSERT INTO p VALUES (1); COMMIT", EITHER},
    {"BEGIN; INSERT INTO fleeting VALUES (1); INSERT INTO p VALUES (1); COMMIT", CLEAN},
    {"BEGIN; INSERT INTO p VALUES (1); INSERT INTO fleeting VALUES (1); COMMIT", EITHER},
};

static void ask(const struct question *question, bool wal, const char *where) {
    answers_yes = answers_no = 0;
    uint64_t before = files_state();
    must(question->sql);
    bool changed = files_state() != before;
    if (answers_yes + answers_no != 1) fail_msg("%s: asked %d times: %s", where, answers_yes + answers_no, question->sql);
    if (changed && answers_no > 0) fail_msg("%s: written, and said not to be: %s", where, question->sql);
    if (!wal && answers_no > 0) fail_msg("%s: no token although COMMIT can still fail: %s", where, question->sql);
    if (wal && question->wanted == WRITTEN && !changed) fail_msg("%s: this should have written: %s", where, question->sql);
    if (wal && question->wanted == CLEAN && answers_yes > 0) fail_msg("%s: not written, and said to be: %s", where, question->sql);
}

static void ask_all(const char *pragmas, bool wal, const char *where) {
    open_asker(pragmas);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version = 4711", -1, &prepared, NULL), SQLITE_OK);
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) ask(&questions[i], wal, where);
    close_asker();
}

static void in_wal_mode_no_is_certain_and_the_usual_answer(void **unused) {
    (void)unused;
    ask_all("PRAGMA journal_mode = WAL", true, "WAL");
}

static void in_wal_mode_with_a_private_index_too(void **unused) {
    (void)unused;
    ask_all("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL", true, "WAL, exclusive");
}

static void with_other_journals_the_answer_is_yes(void **unused) {
    (void)unused;
    static const char *const modes[] = {"DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char pragma[64];
        (void)snprintf(pragma, sizeof pragma, "PRAGMA journal_mode = %s", modes[i]);
        ask_all(pragma, false, modes[i]);
        assert_int_equal(tear_down(NULL) + set_up(NULL), 0);
    }
}

static void a_select_that_is_still_open_changes_nothing(void **unused) {
    (void)unused;
    open_asker("PRAGMA journal_mode = WAL");
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version = 4711", -1, &prepared, NULL), SQLITE_OK);
    sqlite3_stmt *reading = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT * FROM plain, sqlite_schema", -1, &reading, NULL), SQLITE_OK);
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        const char *sql = questions[i].sql;
        if (strstr(sql, "DROP") != NULL || strstr(sql, "made") != NULL || strstr(sql, "vacuum") != NULL || strstr(sql, "VIEW") != NULL) continue;
        assert_int_equal(sqlite3_step(reading), SQLITE_ROW);
        ask(&questions[i], true, "WAL, with a SELECT open");
        sqlite3_reset(reading);
    }
    sqlite3_finalize(reading);
    close_asker();
}

static void a_statement_that_writes_and_is_not_finished_counts(void **unused) {
    (void)unused;
    if (sqlite3_libversion_number() < 3035000) skip();
    open_asker("PRAGMA journal_mode = WAL");
    sqlite3_stmt *writing = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO plain VALUES (1, 1) RETURNING a", -1, &writing, NULL), SQLITE_OK);
    answers_yes = answers_no = 0;
    assert_int_equal(sqlite3_step(writing), SQLITE_ROW);
    must("INSERT INTO p VALUES (1)");
    assert_int_equal(sqlite3_finalize(writing), SQLITE_OK);
    assert_int_equal(answers_yes, 1);
    assert_int_equal(answers_no, 0);
    /* the same the other way round: something is run between the rows of ours */
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO p VALUES (1) RETURNING a", -1, &writing, NULL), SQLITE_OK);
    answers_yes = answers_no = 0;
    assert_int_equal(sqlite3_step(writing), SQLITE_ROW);
    must("PRAGMA user_version = 99");
    assert_int_equal(sqlite3_finalize(writing), SQLITE_OK);
    assert_int_equal(answers_yes, 1);
    assert_int_equal(answers_no, 0);
    close_asker();
}

static int deny_pragmas(void *arg, int action, const char *a, const char *b, const char *c, const char *d) {
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return action == SQLITE_PRAGMA ? *(int *)arg : SQLITE_OK;
}

static void what_is_denied_is_yes(void **unused) {
    (void)unused;
    for (int how = SQLITE_DENY; how <= SQLITE_IGNORE; how++) {
        open_asker("PRAGMA journal_mode = WAL");
        sqlite3_set_authorizer(db, deny_pragmas, &how);
        static const struct question denied = {"BEGIN; INSERT INTO p VALUES (1); COMMIT", EITHER};
        ask(&denied, true, "denied");
        assert_int_equal(answers_yes, 1);
        sqlite3_set_authorizer(db, NULL, NULL);
        must("PRAGMA schema_version");
        ask(&questions[9], true, "no longer denied");
        sqlite3_set_authorizer(db, deny_pragmas, &how);
        ask(&questions[0], true, "denied, but not needed");
        assert_int_equal(answers_no, 1);
        close_asker();
        assert_int_equal(tear_down(NULL) + set_up(NULL), 0);
    }
}

static void the_probe_leaves_the_mode_alone_and_is_followed_by_a_change_of_it(void **unused) {
    (void)unused;
    open_asker("PRAGMA journal_mode = WAL");
    ask(&questions[0], true, "WAL");
    ask(&questions[9], true, "WAL");
    sqlite3_stmt *mode = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA main.journal_mode", -1, &mode, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(mode), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(mode, 0), "wal");
    sqlite3_finalize(mode);
    for (int i = 0; i < 3; i++) {
        must("PRAGMA main.journal_mode = PERSIST");
        ask(&questions[0], false, "PERSIST after WAL");
        ask(&questions[17], false, "PERSIST after WAL");
        must("PRAGMA main.journal_mode = WAL");
        ask(&questions[0], true, "WAL after PERSIST");
        ask(&questions[17], true, "WAL after PERSIST");
    }
    close_asker();
}

static void the_mark_is_gone_when_the_statement_is(void **unused) {
    (void)unused;
    open_asker("PRAGMA journal_mode = WAL");
    must("INSERT INTO p VALUES (1)");
    assert_int_equal(sqlite3_errcode(db), SQLITE_OK);
    assert_string_equal(sqlite3_errmsg(db), "not an error");
    assert_int_equal(sqlite3_exec(db, "INSERT INTO p VALUES ('fails')", NULL, NULL, NULL), SQLITE_CONSTRAINT);
    assert_string_equal(sqlite3_errmsg(db), "constraint failed");
    close_asker();
}

int main(void) {
    printf("SQLite %s\n", sqlite3_libversion());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_wal_mode_no_is_certain_and_the_usual_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_wal_mode_with_a_private_index_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_other_journals_the_answer_is_yes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_select_that_is_still_open_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_statement_that_writes_and_is_not_finished_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_denied_is_yes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_probe_leaves_the_mode_alone_and_is_followed_by_a_change_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_mark_is_gone_when_the_statement_is, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
