/* ledger.h: a database in which every transaction leaves the same mark in several tables, so that one can tell from each of them alone how many
 * transactions it holds.
 *
 * A ledger table has the columns n and v. Transaction k inserts row k, writes k into row 0, and mostly removes rows that have become old. Which
 * tables take part is the plan's: ordinary and LSM ones, in the main and in an attached file, tables that come and go.
 */
#ifndef TEST_LEDGER_H
#define TEST_LEDGER_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LEDGER_TABLES = 4, LEDGER_TRANSACTIONS_MAX = 64, LEDGER_TEXT = 700 };

enum ledger_ddl {
    LEDGER_NO_DDL,
    LEDGER_TABLES_COME_AND_GO, /* CREATE, RENAME, DROP of another LSM table in turn, in the transactions */
    LEDGER_LAST_TABLE          /* the only LSM table comes and goes; its rows are not counted */
};

struct ledger_plan {
    const char *name;
    const char *tables[LEDGER_TABLES]; /* with their schema; an LSM table's name begins with l, with lx if it has an index */
    enum ledger_ddl ddl;               /* in the attached file if there is one */
    unsigned rows;                     /* more rows per transaction, for large ones */
    bool attached;                     /* schema aux is the file LEDGER_AUX */
    bool begins;                       /* every transaction is BEGIN ... COMMIT; else some are single statements */
};

#define LEDGER_MAIN "/app.db"
#define LEDGER_AUX  "/aux.db"

/* What was found. */
struct ledger_found {
    int count[LEDGER_TABLES]; /* transactions in each table; -1: it could not be read (code, text) */
    int code;                 /* the first error, SQLITE_OK if none */
    bool of_sqlite;           /* the error came from an ordinary table or the file itself */
    char text[LEDGER_TEXT];   /* why; empty if all tables hold what they should for their count */
};

/* All of these return SQLite's code, and leave the reason in sqlite3_errmsg(db) or *text. */
int ledger_attach(const struct ledger_plan *plan, sqlite3 *db);
int ledger_configure(const struct ledger_plan *plan, sqlite3 *db, const char *journal, const char *sync);
int ledger_create(const struct ledger_plan *plan, sqlite3 *db);
/* Transaction k, its first or its second half, or with BEGIN and COMMIT. Who does one again that a crash has taken gives another variant:
 * SQLite's WAL would otherwise be continued by what a lost transaction after it had left in the file, every checksum being right again. */
int ledger_insert(const struct ledger_plan *plan, sqlite3 *db, int k, int variant);
int ledger_update(const struct ledger_plan *plan, sqlite3 *db, int k);
int ledger_transact(const struct ledger_plan *plan, sqlite3 *db, int k, int variant);
/* The number of the last transaction in every table, and whether each holds just what belongs there. */
void ledger_read(const struct ledger_plan *plan, sqlite3 *db, struct ledger_found *found);
/* Are the files of SQLite whole? "ok" or what is wrong. */
void ledger_integrity(const struct ledger_plan *plan, sqlite3 *db, char *text);
/* A number for what SQLite itself keeps in the file of a schema: the same if that is the same. */
uint64_t ledger_digest(sqlite3 *db, const char *schema);
/* What lsm_check() says of the schemas with LSM tables. */
void ledger_check(const struct ledger_plan *plan, sqlite3 *db, char *text);

bool ledger_is_lsm(const struct ledger_plan *plan, int table);
bool ledger_is_aux(const struct ledger_plan *plan, int table);

#endif
