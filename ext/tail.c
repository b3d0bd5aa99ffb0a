#include "tail.h"

#include <assert.h>
#include <string.h>

#include "connection.h"
#include "decide.h"
#include "pragma.h"
#include "wal_file.h"

/* Pages of all databases of the connection that were written to a file, by frames of a WAL or otherwise. */
static int pages_written(sqlite3 *db) {
    int count = 0, high = 0;
    return sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_WRITE, &count, &high, 0) == SQLITE_OK ? count : 0; /* LCOV_EXCL_BR_LINE: of a known kind */
}

/* Pages that somebody is reading stay back, and SQLITE_BUSY says nothing of which. SQLite has this call for all databases of the connection only: uncommitted pages of an attached one are
 * written early, too, as when its cache is full. */
static int flush_pages(sqlite3 *db) {
    int rc = sqlite3_db_cacheflush(db);
    return rc == SQLITE_BUSY ? SQLITE_OK : rc;
}

/* Under PRAGMA cache_spill = OFF no page is written before the commit. Inside of BEGIN nothing changes that. */
static int flush_though_kept(sqlite3 *db) {
    bool kept = vt_pragma_int(db, NULL, "cache_spill", 1) == 0;
    int rc = kept ? sqlite3_exec(db, "PRAGMA cache_spill = ON", NULL, NULL, NULL) : SQLITE_OK;
    if (rc == SQLITE_OK) rc = flush_pages(db);
    if (kept) {
        int restored = sqlite3_exec(db, "PRAGMA cache_spill = OFF", NULL, NULL, NULL);
        if (rc == SQLITE_OK) rc = restored;
    }
    return rc;
}

static int fail(const struct vt_space *space, int rc, char **message) {
    return vt_fail(message, rc, "what a COMMIT that failed has left in the log of %s cannot be cut off: %s", space->place.file, sqlite3_errstr(rc));
}

/* The WAL-index of a database that is locked exclusively may be memory of SQLite's alone. Then a page is flushed which says something that no other one does: its frame is
 * behind the last committed one, and what was written there before is gone. */
static int flush_mark(struct vt_space *space, const struct vt_shadow_entry *entry, uint8_t *mark, char **message) {
    sqlite3 *db = space->connection->db;
    sqlite3_randomness(LSM_TOKEN_BYTES, mark);
    int rc = flush_though_kept(db); /* then it is this page that counts */
    if (rc == SQLITE_OK) rc = vt_decide_write(space, entry->table, mark, message);
    if (rc != SQLITE_OK) return rc;
    int before = pages_written(db);
    rc = flush_though_kept(db);
    if (rc == SQLITE_OK && pages_written(db) == before)
        rc = vt_fail(message, SQLITE_BUSY,
                     "what a COMMIT that failed has left in the log of %s cannot be found: table %s is being read, or PRAGMA cache_spill is off "
                     "inside of BEGIN; write to an LSM table outside of it first",
                     space->place.file, entry->table);
    int restored = vt_decide_write(space, entry->table, entry->shadow.token, rc == SQLITE_OK ? message : NULL);
    return rc == SQLITE_OK ? restored : rc;
}

static const struct vt_shadow_entry *any_of_store(const struct vt_space *space, const struct vt_shadow_list *list) {
    for (int i = 0; i < list->count; i++)
        if (memcmp(list->entries[i].shadow.store_id, space->store_id, LSM_STORE_ID_BYTES) == 0) return &list->entries[i];
    return NULL;
}

/* A shadow table holds its token in hexadecimal digits. */
static int find_by_mark(struct vt_space *space, struct vt_wal_file *wal, uint32_t *frame, char **message) {
    struct vt_shadow_list list;
    uint8_t mark[LSM_TOKEN_BYTES];
    char hex[2 * LSM_TOKEN_BYTES + 1];
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    const struct vt_shadow_entry *entry = any_of_store(space, &list);
    if (rc == SQLITE_OK && entry == NULL) {
        rc = vt_fail(
            message, SQLITE_BUSY,
            "what a COMMIT that failed has left in the log of %s cannot be found under PRAGMA locking_mode = EXCLUSIVE before there is an LSM table: "
            "open the database without it",
            space->place.file);
    }
    if (rc == SQLITE_OK) rc = flush_mark(space, entry, mark, message);
    vt_shadow_list_release(&list);
    if (rc != SQLITE_OK) return rc;
    vt_hex_write(mark, sizeof mark, hex);
    rc = vt_wal_file_look(space, wal, message);
    if (rc != SQLITE_OK) return rc;
    rc = vt_wal_file_find(wal, hex, sizeof hex - 1, frame);
    if (rc == SQLITE_NOTFOUND) {
        return vt_fail(message, SQLITE_BUSY,
                       "what a COMMIT that failed has left in the log of %s cannot be found: its pages are not what SQLite hands out, "
                       "encrypted perhaps; open the database without PRAGMA locking_mode = EXCLUSIVE",
                       space->place.file);
    }
    return rc == SQLITE_OK ? rc : fail(space, rc, message);
}

static bool is_locked_exclusively(const struct vt_space *space) {
    char *mode = vt_pragma_text(space->connection->db, space->schema, "locking_mode");
    bool shared = mode != NULL && sqlite3_stricmp(mode, "normal") == 0;
    sqlite3_free(mode);
    return !shared;
}

int vt_tail_cut(struct vt_space *space, char **message) {
    struct vt_wal_file wal;
    uint32_t frame;
    if (space->place.memory) return SQLITE_OK; /* LCOV_EXCL_BR_LINE: stores in memory wait for no database */
    assert(sqlite3_txn_state(space->connection->db, space->schema) == SQLITE_TXN_WRITE);
    int rc = vt_wal_file_look(space, &wal, message);
    if (rc != SQLITE_OK || wal.frames == 0) return rc;
    bool exclusive = is_locked_exclusively(space);
    rc = exclusive ? find_by_mark(space, &wal, &frame, message) : vt_wal_file_committed(&wal, &frame);
    if (exclusive && rc != SQLITE_OK) return rc;
    /* Frames of this transaction may have been written already: none of them ends one. */
    if (rc == SQLITE_OK) rc = vt_wal_file_cut(&wal, frame);
    return rc == SQLITE_OK ? vt_decide_make_durable(space, message) : fail(space, rc, message);
}
