/* SQL: statements as somebody may send them, in a database on a simulated disk whose store has the smallest memtables there are and no threads of its own, so
 * that an input does the same each time. Behind a '!' they may write to shadow tables and to the schema, too; then errors are all that lsm_check() can be asked for.
 *
 * Promised: no crash, no leak, an end; afterwards, and after the database was closed and opened by another process, lsm_check() finds nothing, and each LSM table
 * has the rows forwards that it has backwards and by its key, as many as before. Statements may take steps and memory in moderation.
 */
#include "fuzz.h"

#include "../unit_tests/support/machine.h"

enum { SQL_BYTES_MAX = 4000, STEPS_MAX = 500, STEP_INSTRUCTIONS = 1000, ROWS_MAX = 5000, WRITE_BUFFER_BYTES = 65536 };

static int steps; /* left, of STEP_INSTRUCTIONS each, for all statements of an input */

static int count_step(void *arg) {
    (void)arg;
    return --steps < 0;
}

/* Other files, other memory, and what is not deterministic on purpose stay out. */
static int authorize(void *arg, int action, const char *first, const char *second, const char *database, const char *trigger) {
    static const char *const pragmas[] = {"foreign_keys",
                                          "table_info",
                                          "table_xinfo",
                                          "index_list",
                                          "index_info",
                                          "integrity_check",
                                          "quick_check",
                                          "recursive_triggers",
                                          "synchronous",
                                          "journal_mode",
                                          "reverse_unordered_selects",
                                          "table_list",
                                          "user_version",
                                          "writable_schema",
                                          "schema_version",
                                          "legacy_alter_table",
                                          "case_sensitive_like",
                                          "count_changes",
                                          "query_only"};
    (void)arg;
    (void)database;
    (void)trigger;
    if (action == SQLITE_ATTACH) return first != NULL && (first[0] == 0 || strcmp(first, ":memory:") == 0) ? SQLITE_OK : SQLITE_DENY;
    if (action == SQLITE_FUNCTION && second != NULL &&
        (sqlite3_stricmp(second, "load_extension") == 0 || sqlite3_stricmp(second, "fts3_tokenizer") == 0))
        return SQLITE_DENY;
    if (action == SQLITE_PRAGMA) {
        for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
            if (sqlite3_stricmp(first, pragmas[i]) == 0) return SQLITE_OK;
        return SQLITE_DENY;
    }
    return SQLITE_OK;
}

static void limit(sqlite3 *db) {
    static const int limits[][2] = {{SQLITE_LIMIT_LENGTH, 200000},  {SQLITE_LIMIT_SQL_LENGTH, 2 * SQL_BYTES_MAX},
                                    {SQLITE_LIMIT_EXPR_DEPTH, 50},  {SQLITE_LIMIT_COMPOUND_SELECT, 8},
                                    {SQLITE_LIMIT_VDBE_OP, 25000},  {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100},
                                    {SQLITE_LIMIT_ATTACHED, 1},     {SQLITE_LIMIT_COLUMN, 60},
                                    {SQLITE_LIMIT_TRIGGER_DEPTH, 5}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) sqlite3_limit(db, limits[i][0], limits[i][1]);
    sqlite3_progress_handler(db, STEP_INSTRUCTIONS, count_step, NULL);
    sqlite3_set_authorizer(db, authorize, NULL);
}

static bool has_words(const char *sql, const char *first, const char *second) {
    const char *at = NULL;
    for (const char *p = sql; *p != 0 && at == NULL; p++)
        if (sqlite3_strnicmp(p, first, (int)strlen(first)) == 0) at = p;
    for (; at != NULL && *at != 0; at++)
        if (sqlite3_strnicmp(at, second, (int)strlen(second)) == 0) return true;
    return false;
}

/* The statements one after the other; some are left open until the end, so that others run beside them. */
static void run_statements(sqlite3 *db, const char *sql) {
    sqlite3_stmt *open[4] = {NULL};
    for (size_t n = 0; *sql != 0; n++) {
        sqlite3_stmt *statement = NULL;
        const char *tail = NULL;
        if (sqlite3_prepare_v2(db, sql, -1, &statement, &tail) != SQLITE_OK) {
            /* Go on behind the next semicolon. */
            tail = strchr(sql, ';');
            if (tail == NULL) break;
            sql = tail + 1;
            continue;
        }
        sql = tail;
        if (statement == NULL) continue;
        bool leave = n % 5 == 3;
        for (int rows = 0; rows < (leave ? 2 : ROWS_MAX); rows++) {
            if (sqlite3_step(statement) != SQLITE_ROW) break;
            for (int i = 0; i < sqlite3_column_count(statement); i++) (void)sqlite3_column_text(statement, i);
        }
        if (leave) {
            sqlite3_finalize(open[n / 5 % 4]);
            open[n / 5 % 4] = statement;
        } else {
            sqlite3_finalize(statement);
        }
    }
    for (size_t i = 0; i < 4; i++) sqlite3_finalize(open[i]);
}

/* ---- what must hold afterwards ---------------------------------------------------------------------------------------- */

/* Two queries, one number each, which is returned. */
static long long same(sqlite3 *db, const char *table, const char *what, const char *left, const char *right) {
    char *sql = sqlite3_mprintf(left, table), *other = sqlite3_mprintf(right, table);
    long long numbers[2] = {0, 0};
    bool good = true;
    for (int i = 0; i < 2 && good; i++) {
        sqlite3_stmt *statement = NULL;
        good = sqlite3_prepare_v2(db, i == 0 ? sql : other, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW;
        if (good) numbers[i] = sqlite3_column_int64(statement, 0);
        good &= sqlite3_finalize(statement) == SQLITE_OK;
    }
    FUZZ_CHECK(!good || numbers[0] == numbers[1], "table %s, %s: %lld and %lld", table, what, numbers[0], numbers[1]);
    sqlite3_free(sql);
    sqlite3_free(other);
    return good ? numbers[0] : 0;
}

/* How many rows all LSM tables have. */
static long long check_tables(sqlite3 *db) {
    sqlite3_stmt *tables = NULL;
    long long rows = 0;
    if (sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE sql LIKE 'create virtual table%using lsm(%'", -1, &tables, NULL) != SQLITE_OK)
        return 0;
    while (sqlite3_step(tables) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(tables, 0);
        rows += same(db, name, "backwards", "SELECT count(*) FROM (SELECT * FROM main.\"%w\" ORDER BY 1)",
                     "SELECT count(*) FROM (SELECT * FROM main.\"%w\" ORDER BY 1 DESC)");
        (void)same(db, name, "counted", "SELECT count(*) FROM main.\"%w\"", "SELECT total(1) FROM (SELECT * FROM main.\"%w\")");
    }
    sqlite3_finalize(tables);
    return rows;
}

static long long check(sqlite3 *db, bool hostile) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, "SELECT lsm_check()", -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *said = (const char *)sqlite3_column_text(statement, 0);
        FUZZ_CHECK(hostile || (said != NULL && strcmp(said, "ok") == 0), "lsm_check: %s", said == NULL ? "NULL" : said);
    }
    sqlite3_finalize(statement);
    return hostile ? 0 : check_tables(db);
}

static void end_transaction(sqlite3 *db) {
    sqlite3_set_authorizer(db, NULL, NULL);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (sqlite3_get_autocommit(db) == 0) sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (sqlite3_get_autocommit(db) == 0) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_exec(db, "PRAGMA query_only = 0", NULL, NULL, NULL);
}

static void close_all(struct process *process, sqlite3 *db) {
    FUZZ_CHECK(sqlite3_close(db) == SQLITE_OK, "the database stays open");
    process_free(process);
}

static struct process *open_new(struct machine *machine, sqlite3 **db) {
    struct process *process = process_new(machine);
    FUZZ_CHECK(process != NULL, "no process");
    process_set_write_buffer(process, WRITE_BUFFER_BYTES);
    FUZZ_CHECK(process_open(process, "/s/fuzz.db", db) == SQLITE_OK, "no database: %s", sqlite3_errmsg(*db));
    return process;
}

static void run(const uint8_t *bytes, size_t size) {
    static char sql[SQL_BYTES_MAX + 1];
    sqlite3 *db = NULL;
    bool hostile = size != 0 && bytes[0] == '!';
    memcpy(sql, bytes + hostile, size - hostile);
    sql[size - hostile] = 0;
    if (has_words(sql, "vacuum", "into") || has_words(sql, "file:", "file:")) return;
    struct lsm_env *disk = lsm_env_mem_new();
    FUZZ_CHECK(disk != NULL && lsm_env_mkdir(disk, "/s", &fuzz_perm, NULL) == LSM_OK, "no disk");
    struct machine *machine = machine_new(disk);
    FUZZ_CHECK(machine != NULL, "no machine");
    sqlite3_hard_heap_limit64(64 << 20);
    struct process *process = open_new(machine, &db);
    steps = STEPS_MAX;
    limit(db);
    if (!hostile) sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    run_statements(db, sql);
    end_transaction(db);
    long long rows = check(db, hostile);
    close_all(process, db);
    process = open_new(machine, &db);
    long long reopened = check(db, hostile);
    FUZZ_CHECK(rows == reopened, "%lld rows, and %lld after the database was opened again", rows, reopened);
    close_all(process, db);
    machine_free(machine);
    lsm_env_mem_free(disk);
}

static void seeds(fuzz_emit_fn emit, void *arg) {
    static const char *const scripts[] = {
        "CREATE VIRTUAL TABLE t USING lsm(a, b TEXT, c REAL); INSERT INTO t VALUES(1, 'x', 2.5),(2, 'y', NULL),(3, 'z', -1); UPDATE t SET b = b || "
        "'q' WHERE a > 1;"
        "DELETE FROM t WHERE a = 2; SELECT *, rowid FROM t ORDER BY rowid DESC; DROP TABLE t;",
        "CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY AUTOINCREMENT, k UNIQUE, v, INDEX by_v(v)); INSERT INTO t(k, v) VALUES(1, 2),(2, "
        "2),(3, 1);"
        "INSERT OR REPLACE INTO t VALUES(9, 2, 5); INSERT OR IGNORE INTO t(k) VALUES(1); SELECT k FROM t WHERE v = 2 ORDER BY k; SELECT lsm_check();",
        "CREATE VIRTUAL TABLE t USING lsm(d TEXT COLLATE NOCASE, ts INTEGER, x, PRIMARY KEY(d, ts DESC)); BEGIN; INSERT INTO t VALUES('a', 1, "
        "2),('A', 2, 3),('b', 1, 1);"
        "SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; UPDATE t SET ts = ts + 1; COMMIT; SELECT * FROM t WHERE d = 'a' AND ts < 3; SELECT lsm_flush(), "
        "lsm_compact();",
        "CREATE VIRTUAL TABLE t USING lsm(a INT CHECK(a > 0), b NOT NULL DEFAULT 5, STRICT); INSERT INTO t(a) VALUES(1); INSERT INTO t VALUES(-1, 1);"
        "INSERT OR FAIL INTO t VALUES(2, NULL); SELECT * FROM lsm_stats; SELECT * FROM lsm_levels; SELECT * FROM lsm_files; SELECT * FROM "
        "lsm_readers;",
        "CREATE VIRTUAL TABLE t USING lsm(a, b); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT "
        "i, "
        "hex(zeroblob(60)) FROM n; SELECT lsm_create_index('t', 'by_a', 'a DESC'); SELECT count(*) FROM t WHERE a BETWEEN 10 AND 20; SELECT "
        "lsm_drop_index('t', 'by_a');",
        "CREATE VIRTUAL TABLE t USING lsm(a PRIMARY KEY, b); CREATE TABLE o(a PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO o VALUES(x'00', 1),('', "
        "2),(1e19, 3);"
        "INSERT INTO t SELECT * FROM o; SELECT * FROM t JOIN o USING(a) WHERE t.b IN (1, 2, 3); ALTER TABLE t RENAME TO u; SELECT max(a), min(a) "
        "FROM u;",
        "CREATE VIRTUAL TABLE temp.t USING lsm(a); INSERT INTO t VALUES(1); ATTACH ':memory:' AS x; CREATE VIRTUAL TABLE x.t USING lsm(a, b);"
        "BEGIN; INSERT INTO x.t VALUES(1, 2); INSERT INTO temp.t VALUES(5); ROLLBACK; DETACH x;",
        "!CREATE VIRTUAL TABLE t USING lsm(a); UPDATE t_store SET value = 7 WHERE id = 3; DELETE FROM t_store; SELECT * FROM t; DROP TABLE t_store; "
        "SELECT 1 FROM t;",
        "CREATE VIRTUAL TABLE t USING lsm(a INTEGER PRIMARY KEY, b); BEGIN; SAVEPOINT a; INSERT INTO t VALUES(1, zeroblob(70000)),(2, "
        "zeroblob(70000)); SAVEPOINT b;"
        "INSERT INTO t VALUES(3, zeroblob(90000)); ROLLBACK TO b; UPDATE t SET a = a + 10; RELEASE a; COMMIT; SELECT a, length(b) FROM t; SELECT "
        "lsm_check();",
        "CREATE VIRTUAL TABLE t USING lsm(a, b); EXPLAIN QUERY PLAN SELECT * FROM t WHERE rowid IN (SELECT a FROM t) OR rowid > 5 ORDER BY rowid "
        "LIMIT 3 OFFSET 1;",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) emit(arg, scripts[i], strlen(scripts[i]));
}

const struct fuzz_target fuzz_target = {.name = "sql", .size_max = SQL_BYTES_MAX, .run = run, .seeds = seeds};
