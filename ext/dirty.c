#include "dirty.h"

#include <string.h>

#include "connection.h"

/* No database can have this name: a call that names it fails, and so leaves a known message behind. */
#define NOBODY                                                                                                                                       \
    "\x01"                                                                                                                                           \
    "lsm"
#define NOBODY_MESSAGE "unknown database: " NOBODY

static int64_t rows_changed(sqlite3 *db) { return vt_sqlite_at_least(3037000) ? sqlite3_total_changes64(db) : sqlite3_total_changes(db); }

static int pages_asked_for(sqlite3 *db) {
    int hits = 0, misses = 0, high = 0;
    if (sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_HIT, &hits, &high, 0) != SQLITE_OK) return 0;    /* LCOV_EXCL_BR_LINE: of a known kind */
    if (sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_MISS, &misses, &high, 0) != SQLITE_OK) return 0; /* LCOV_EXCL_BR_LINE: of a known kind */
    return (int)((unsigned)hits + (unsigned)misses);
}

/* A function, a trigger of another statement or a blob handle could change the first page, which every transaction holds, without asking for a page:
 * PRAGMA user_version does. But no call on the connection leaves its error message as it was, the end of another statement neither. So one is left
 * there, silently, to be looked for. */
static void leave_mark(sqlite3 *db) { (void)sqlite3_wal_checkpoint_v2(db, NOBODY, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL); }

static bool mark_is_there(sqlite3 *db) { return sqlite3_errcode(db) == SQLITE_ERROR && strcmp(sqlite3_errmsg(db), NOBODY_MESSAGE) == 0; }

void vt_dirty_begin(struct vt_space *space) {
    sqlite3 *db = space->connection->db;
    struct vt_dirty *dirty = &space->txn.dirty;
    memset(dirty, 0, sizeof *dirty);
    if (space->place.memory) return;
    dirty->autocommit = sqlite3_get_autocommit(db) != 0;
    dirty->changes = rows_changed(db);
    dirty->own = space->connection->changes;
    if (!dirty->autocommit) return;
    leave_mark(db);
    dirty->pages = pages_asked_for(db);
}

/* ---- other databases ------------------------------------------------------------------------------------------ */

static bool is_written(const struct vt_space *space, const char *schema) {
    sqlite3 *db = space->connection->db;
    if (sqlite3_stricmp(schema, space->schema) == 0 || sqlite3_stricmp(schema, "temp") == 0) return false;
    if (sqlite3_txn_state(db, schema) != SQLITE_TXN_WRITE) return false;
    const char *file = sqlite3_db_filename(db, schema);
    return file != NULL && file[0] != '\0';
}

/* For hosts before sqlite3_db_name(). What cannot be listed is written. */
static bool any_listed_is_written(const struct vt_space *space) {
    sqlite3_stmt *statement = NULL;
    bool written = sqlite3_prepare_v2(space->connection->db, "PRAGMA database_list", -1, &statement, NULL) != SQLITE_OK;
    int rc = SQLITE_ROW;
    while (!written && (rc = sqlite3_step(statement)) == SQLITE_ROW) { /* LCOV_EXCL_BR_LINE: as its caller */
        const char *schema = (const char *)sqlite3_column_text(statement, 1);
        written = schema == NULL || is_written(space, schema); /* LCOV_EXCL_BR_LINE: as its caller */
    }
    sqlite3_finalize(statement);
    return written || (rc != SQLITE_ROW && rc != SQLITE_DONE); /* LCOV_EXCL_BR_LINE: as its caller */
}

static bool another_is_written(const struct vt_space *space) {
    if (!vt_sqlite_at_least(3039000)) return any_listed_is_written(space); /* LCOV_EXCL_BR_LINE: no SQLite tested is so old */
    const char *schema;
    for (int i = 0; (schema = sqlite3_db_name(space->connection->db, i)) != NULL; i++) {
        if (is_written(space, schema)) return true;
    }
    return false;
}

/* ---- the probe ------------------------------------------------------------------------------------------------ */

/* Only in xSync, where the statement that commits is still at work: outside of one the pragma would change the mode. */
static bool probe(struct vt_space *space) {
    sqlite3 *db = space->connection->db;
    char *sql = sqlite3_mprintf("PRAGMA \"%w\".journal_mode = DELETE", space->schema);
    if (sql == NULL) return true;
    sqlite3_stmt *statement = NULL;
    bool clean = false;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && statement != NULL) {
        clean = sqlite3_step(statement) == SQLITE_ERROR && strstr(sqlite3_errmsg(db), "wal mode from within a transaction") != NULL;
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return !clean;
}

bool vt_dirty(struct vt_space *space) {
    sqlite3 *db = space->connection->db;
    const struct vt_dirty *dirty = &space->txn.dirty;
    if (space->place.memory) return false;
    /* First, for the mark's sake. */
    bool quiet = dirty->autocommit && mark_is_there(db) && pages_asked_for(db) == dirty->pages;
    if (dirty->known || vt_journal_mode(space) != VT_JOURNAL_WAL || another_is_written(space)) return true;
    /* Rows of the statement at work are not counted yet. */
    uint64_t own = dirty->autocommit ? 0 : space->connection->changes - dirty->own;
    if ((uint64_t)(rows_changed(db) - dirty->changes) > own) return true;
    return quiet ? false : probe(space);
}
