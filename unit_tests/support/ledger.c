#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 4, BIG_BYTES = 2500 };

static const char *bare(const char *table) {
    const char *dot = strchr(table, '.');
    return dot == NULL ? table : dot + 1;
}

bool ledger_is_lsm(const struct ledger_plan *plan, int table) { return bare(plan->tables[table])[0] == 'l'; }
bool ledger_is_aux(const struct ledger_plan *plan, int table) { return strncmp(plan->tables[table], "aux.", 4) == 0; }

static int run(sqlite3 *db, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *sql = sqlite3_vmprintf(format, args);
    va_end(args);
    if (sql == NULL) return SQLITE_NOMEM;
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc;
}

/* The text of row n: long in every fourth, so that pages overflow and records cross sectors. */
static void filler(int n, char *text) {
    int size = n % 4 == 0 ? BIG_BYTES : 20 + n;
    int used = snprintf(text, BIG_BYTES, "%d:", n);
    memset(text + used, 'a' + n % 26, (size_t)(size - used));
    text[size] = '\0';
}

/* True if the text found is the filler of row n, of whatever variant. */
static bool is_filler(int n, const char *found) {
    char text[BIG_BYTES + 1];
    filler(n, text);
    size_t size = strlen(text);
    return found != NULL && strncmp(found, text, size) == 0 && found[size] == '/';
}

/* ---- schema ------------------------------------------------------------------------------------------------------------------ */

int ledger_attach(const struct ledger_plan *plan, sqlite3 *db) { return plan->attached ? run(db, "ATTACH '" LEDGER_AUX "' AS aux") : SQLITE_OK; }

static int pragma(const struct ledger_plan *plan, sqlite3 *db, const char *name, const char *value) {
    int rc = run(db, "PRAGMA main.%s = %s", name, value);
    return rc == SQLITE_OK && plan->attached ? run(db, "PRAGMA aux.%s = %s", name, value) : rc;
}

int ledger_configure(const struct ledger_plan *plan, sqlite3 *db, const char *journal, const char *sync) {
    int rc = pragma(plan, db, "page_size", "1024");
    if (rc == SQLITE_OK) rc = pragma(plan, db, "journal_mode", journal);
    return rc == SQLITE_OK ? pragma(plan, db, "synchronous", sync) : rc;
}

/* One trigger per file writes its tables, so that single statements outside of BEGIN are transactions like the others. */
static int create_view(const struct ledger_plan *plan, sqlite3 *db) {
    char sql[1200] = "CREATE VIEW b AS SELECT 0 AS n, 0 AS v; CREATE TRIGGER main.bt INSTEAD OF INSERT ON b BEGIN ";
    size_t used = strlen(sql);
    for (int i = 0; i < LEDGER_TABLES && plan->tables[i] != NULL; i++)
        used += (size_t)snprintf(sql + used, sizeof sql - used, "INSERT INTO %s VALUES (new.n, new.v); UPDATE %s SET v = new.n WHERE n = 0; ",
                                 bare(plan->tables[i]), bare(plan->tables[i]));
    (void)snprintf(sql + used, sizeof sql - used, "END");
    return run(db, "%s", sql);
}

int ledger_create(const struct ledger_plan *plan, sqlite3 *db) {
    int rc = run(db, "BEGIN");
    for (int i = 0; i < LEDGER_TABLES && plan->tables[i] != NULL && rc == SQLITE_OK; i++) {
        bool indexed = bare(plan->tables[i])[1] == 'x';
        if (ledger_is_lsm(plan, i))
            rc = run(db, "CREATE VIRTUAL TABLE %s USING lsm(n INTEGER PRIMARY KEY, v%s)", plan->tables[i],
                     indexed ? ", UNIQUE (v, n), INDEX by_v(v)" : "");
        else
            rc = run(db, "CREATE TABLE %s(n INTEGER PRIMARY KEY, v)", plan->tables[i]);
        if (rc == SQLITE_OK) rc = run(db, "INSERT INTO %s VALUES (0, 0)", plan->tables[i]);
    }
    if (rc == SQLITE_OK && !plan->attached) rc = create_view(plan, db);
    return rc == SQLITE_OK ? run(db, "COMMIT") : rc;
}

/* ---- transactions -------------------------------------------------------------------------------------------------------------- */

static bool is_single_statement(const struct ledger_plan *plan, int k) {
    return k % 3 == 2 && !plan->begins && !plan->attached && plan->ddl == LEDGER_NO_DDL && plan->rows == 0;
}

static const char *ddl_schema(const struct ledger_plan *plan) { return plan->attached ? "aux" : "main"; }

static int come_and_go(const char *schema, sqlite3 *db, int k) {
    switch (k % 3) {
    case 1: return run(db, "CREATE VIRTUAL TABLE %s.d%d USING lsm(n INTEGER PRIMARY KEY, v); INSERT INTO d%d VALUES (%d, 'd')", schema, k, k, k);
    case 2: return run(db, "ALTER TABLE %s.d%d RENAME TO e%d; INSERT INTO e%d VALUES (%d, 'e')", schema, k - 1, k - 1, k - 1, k);
    default: return run(db, "DROP TABLE %s.e%d", schema, k - 2);
    }
}

static int change_schema(const struct ledger_plan *plan, sqlite3 *db, int k) {
    const char *schema = ddl_schema(plan);
    if (plan->ddl == LEDGER_TABLES_COME_AND_GO) return come_and_go(schema, db, k);
    if (plan->ddl == LEDGER_NO_DDL) return SQLITE_OK;
    if (k % 2 == 0) return run(db, "DROP TABLE %s.last", schema);
    return run(db, "CREATE VIRTUAL TABLE %s.last USING lsm(n INTEGER PRIMARY KEY, v); INSERT INTO last VALUES (%d, 'last')", schema, k);
}

/* The tables take turns in being first. */
static const char *table_of(const struct ledger_plan *plan, int k, int i) {
    int tables = 0;
    while (tables < LEDGER_TABLES && plan->tables[tables] != NULL) tables++;
    return i >= tables ? NULL : plan->tables[k % 3 == 0 ? tables - 1 - i : i];
}

int ledger_insert(const struct ledger_plan *plan, sqlite3 *db, int k, int variant) {
    char text[BIG_BYTES + 1];
    const char *table;
    int rc = SQLITE_OK;
    filler(k, text);
    for (int i = 0; (table = table_of(plan, k, i)) != NULL && rc == SQLITE_OK; i++) {
        rc = run(db, "INSERT INTO %s VALUES (%d, '%s/%d')", table, k, text, variant);
        if (rc == SQLITE_OK && plan->rows > 0)
            rc = run(db,
                     "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i + 1 < %u)"
                     " INSERT INTO %s SELECT %d + i, printf('%%d:%%040d', %d, i) FROM c",
                     plan->rows, table, 10000 * k, k);
    }
    return rc;
}

int ledger_update(const struct ledger_plan *plan, sqlite3 *db, int k) {
    const char *table;
    int rc = SQLITE_OK;
    for (int i = 0; (table = table_of(plan, k, i)) != NULL && rc == SQLITE_OK; i++) {
        rc = run(db, "UPDATE %s SET v = %d WHERE n = 0; DELETE FROM %s WHERE n BETWEEN 1 AND %d", table, k, table, k - KEPT);
        if (rc == SQLITE_OK && plan->rows > 0) rc = run(db, "DELETE FROM %s WHERE n BETWEEN 10000 AND %d", table, 10000 * k - 1);
    }
    return rc == SQLITE_OK ? change_schema(plan, db, k) : rc;
}

int ledger_transact(const struct ledger_plan *plan, sqlite3 *db, int k, int variant) {
    char text[BIG_BYTES + 1];
    if (is_single_statement(plan, k)) {
        filler(k, text);
        return run(db, "INSERT INTO b VALUES (%d, '%s/%d')", k, text, variant);
    }
    int rc = run(db, k % 2 == 0 ? "BEGIN IMMEDIATE" : "BEGIN");
    if (rc == SQLITE_OK) rc = ledger_insert(plan, db, k, variant);
    if (rc == SQLITE_OK) rc = ledger_update(plan, db, k);
    return rc == SQLITE_OK ? run(db, "COMMIT") : rc;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------------- */

/* The rows that a table holds after k transactions. */
static void rows_after(const struct ledger_plan *plan, int k, bool *present) {
    memset(present, 0, LEDGER_TRANSACTIONS_MAX * sizeof *present);
    for (int i = 1; i <= k; i++) {
        present[i] = true;
        for (int old = 1; old <= i - KEPT && !is_single_statement(plan, i); old++) present[old] = false;
    }
}

static const char *compare_row(const struct ledger_plan *plan, const bool *present, int k, sqlite3_stmt *row) {
    static char why[200];
    int n = sqlite3_column_int(row, 0);
    const char *found = (const char *)sqlite3_column_text(row, 1);
    if (n >= 10000) {
        char text[80];
        (void)snprintf(text, sizeof text, "%d:%040d", k, n - 10000 * k);
        if (n / 10000 == k && (unsigned)n % 10000 < plan->rows && found != NULL && strcmp(found, text) == 0) return NULL;
    } else if (n > 0 && n < LEDGER_TRANSACTIONS_MAX && present[n] && is_filler(n, found)) {
        return NULL;
    }
    (void)snprintf(why, sizeof why, "row %d (%.20s) does not belong to the state after transaction %d", n, found == NULL ? "NULL" : found, k);
    return why;
}

static const char *compare_rows(const struct ledger_plan *plan, sqlite3_stmt *statement, int *count, int *rc) {
    static char why[100];
    bool present[LEDGER_TRANSACTIONS_MAX];
    int expected = 0, found = 0;
    *rc = sqlite3_step(statement);
    if (*rc != SQLITE_ROW && *rc != SQLITE_DONE) return NULL;
    if (*rc == SQLITE_DONE || sqlite3_column_int(statement, 0) != 0) return "row 0 is missing";
    *count = sqlite3_column_int(statement, 1);
    if (*count < 0 || *count >= LEDGER_TRANSACTIONS_MAX) return "row 0 holds no number of a transaction";
    rows_after(plan, *count, present);
    for (int i = 0; i < LEDGER_TRANSACTIONS_MAX; i++) expected += present[i];
    if (*count > 0) expected += (int)plan->rows;
    while ((*rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *wrong = compare_row(plan, present, *count, statement);
        if (wrong != NULL) return wrong;
        found++;
    }
    if (*rc != SQLITE_DONE || found == expected) return NULL;
    (void)snprintf(why, sizeof why, "%d rows instead of %d after transaction %d", found, expected, *count);
    return why;
}

static void read_table(const struct ledger_plan *plan, sqlite3 *db, int table, struct ledger_found *found) {
    sqlite3_stmt *statement = NULL;
    char sql[100];
    (void)snprintf(sql, sizeof sql, "SELECT n, v FROM %s ORDER BY n", plan->tables[table]);
    const char *wrong = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) wrong = compare_rows(plan, statement, &found->count[table], &rc);
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) {
        found->count[table] = -1;
        if (found->code == SQLITE_OK) {
            found->code = sqlite3_extended_errcode(db);
            found->of_sqlite =
                !ledger_is_lsm(plan, table) || found->code == SQLITE_CORRUPT || found->code == SQLITE_NOTADB || (found->code & 0xff) == SQLITE_IOERR;
            (void)snprintf(found->text, sizeof found->text, "%s: %d %s", plan->tables[table], found->code, sqlite3_errmsg(db));
        }
    }
    if (wrong != NULL && found->text[0] == '\0') {
        found->of_sqlite = !ledger_is_lsm(plan, table);
        (void)snprintf(found->text, sizeof found->text, "%s: %s", plan->tables[table], wrong);
    }
    sqlite3_finalize(statement);
}

/* Which tables come and go there are after k transactions: the name of the one, if any. */
static void come_or_gone(const struct ledger_plan *plan, int k, char *name, size_t size) {
    name[0] = '\0';
    if (plan->ddl == LEDGER_TABLES_COME_AND_GO && k % 3 == 1) (void)snprintf(name, size, "d%d", k);
    if (plan->ddl == LEDGER_TABLES_COME_AND_GO && k % 3 == 2) (void)snprintf(name, size, "e%d", k - 1);
    if (plan->ddl == LEDGER_LAST_TABLE && k % 2 == 1) (void)snprintf(name, size, "last");
}

static int count_of_schema(const struct ledger_plan *plan, const struct ledger_found *found) {
    for (int i = 0; i < LEDGER_TABLES && plan->tables[i] != NULL; i++)
        if (ledger_is_aux(plan, i) == plan->attached) return found->count[i];
    return 0;
}

/* The schema's changes must be those of as many transactions as the tables of its file hold. */
static void read_schema(const struct ledger_plan *plan, sqlite3 *db, struct ledger_found *found) {
    char wanted[64], sql[200], there[200] = "";
    sqlite3_stmt *statement = NULL;
    int k = count_of_schema(plan, found), rows = 1;
    come_or_gone(plan, k, wanted, sizeof wanted);
    if (wanted[0] == 'e') rows = 2;
    (void)snprintf(sql, sizeof sql,
                   "SELECT group_concat(name) FROM %s.sqlite_schema WHERE name GLOB '[de][0-9]*' AND name NOT LIKE '%%store' OR name = 'last'",
                   ddl_schema(plan));
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_TEXT)
        (void)snprintf(there, sizeof there, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    if (strcmp(there, wanted) != 0) {
        (void)snprintf(found->text, sizeof found->text, "tables '%s' instead of '%s' after transaction %d", there, wanted, k);
        return;
    }
    if (wanted[0] == '\0') return;
    (void)snprintf(sql, sizeof sql, "SELECT count(*), max(n) FROM %s", wanted);
    rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    if (rc != SQLITE_ROW) {
        found->code = sqlite3_extended_errcode(db);
        (void)snprintf(found->text, sizeof found->text, "%s: %d %s", wanted, found->code, sqlite3_errmsg(db));
    } else if (sqlite3_column_int(statement, 0) != rows || sqlite3_column_int(statement, 1) != k) {
        (void)snprintf(found->text, sizeof found->text, "table %s does not hold what belongs there after transaction %d", wanted, k);
    }
    sqlite3_finalize(statement);
}

void ledger_read(const struct ledger_plan *plan, sqlite3 *db, struct ledger_found *found) {
    memset(found, 0, sizeof *found);
    for (int i = 0; i < LEDGER_TABLES && plan->tables[i] != NULL; i++) read_table(plan, db, i, found);
    if (plan->ddl != LEDGER_NO_DDL && found->text[0] == '\0') read_schema(plan, db, found);
}

/* The first column of all rows, or the error, cut to LEDGER_TEXT. */
static void first_column(sqlite3 *db, const char *sql, char *text) {
    sqlite3_stmt *statement = NULL;
    size_t used = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    text[0] = '\0';
    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *value = (const char *)sqlite3_column_text(statement, 0);
        if (value == NULL) value = "NULL";
        if (used < LEDGER_TEXT / 2) used += (size_t)snprintf(text + used, LEDGER_TEXT - used, "%s%.300s", used == 0 ? "" : "; ", value);
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_DONE) (void)snprintf(text, LEDGER_TEXT, "%d %.600s", sqlite3_extended_errcode(db), sqlite3_errmsg(db));
    sqlite3_finalize(statement);
}

void ledger_integrity(const struct ledger_plan *plan, sqlite3 *db, char *text) {
    first_column(db, "PRAGMA main.integrity_check", text);
    if (strcmp(text, "ok") == 0 && plan->attached) first_column(db, "PRAGMA aux.integrity_check", text);
}

void ledger_check(const struct ledger_plan *plan, sqlite3 *db, char *text) {
    bool in_main = plan->ddl != LEDGER_NO_DDL && !plan->attached, in_aux = plan->ddl != LEDGER_NO_DDL && plan->attached;
    for (int i = 0; i < LEDGER_TABLES && plan->tables[i] != NULL; i++) {
        if (!ledger_is_lsm(plan, i)) continue;
        if (ledger_is_aux(plan, i))
            in_aux = true;
        else
            in_main = true;
    }
    (void)snprintf(text, LEDGER_TEXT, "ok");
    if (in_main) first_column(db, "SELECT lsm_check('main')", text);
    if (in_aux && strcmp(text, "ok") == 0) first_column(db, "SELECT lsm_check('aux')", text);
}

/* ---- digest ------------------------------------------------------------------------------------------------------------------------- */

static uint64_t add_bytes(uint64_t digest, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) digest = (digest ^ ((const uint8_t *)bytes)[i]) * 1099511628211u; /* FNV-1a */
    return digest;
}

/* All rows; 0 if they cannot be read. */
static uint64_t add_rows(uint64_t digest, sqlite3 *db, char *sql) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            int type = sqlite3_column_type(statement, i);
            digest = add_bytes(digest, &type, sizeof type);
            digest = add_bytes(digest, sqlite3_column_blob(statement, i), (size_t)sqlite3_column_bytes(statement, i));
        }
    return sqlite3_finalize(statement) == SQLITE_OK ? digest : 0;
}

uint64_t ledger_digest(sqlite3 *db, const char *schema) {
    sqlite3_stmt *names = NULL;
    char *sql = sqlite3_mprintf("SELECT name FROM %s.sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name", schema);
    uint64_t digest = add_rows(14695981039346656037u, db, sqlite3_mprintf("SELECT type, name, sql FROM %s.sqlite_schema ORDER BY name", schema));
    int rc = sqlite3_prepare_v2(db, sql, -1, &names, NULL);
    sqlite3_free(sql);
    while (rc == SQLITE_OK && digest != 0 && sqlite3_step(names) == SQLITE_ROW)
        digest = add_rows(digest, db, sqlite3_mprintf("SELECT * FROM %s.\"%w\"", schema, sqlite3_column_text(names, 0)));
    return sqlite3_finalize(names) == SQLITE_OK ? digest : 0;
}
