#include "tail.h"

#include <string.h>

#include "connection.h"
#include "decide.h"
#include "pragma.h"

/* Pages of all databases of the connection that were written to a file, by frames of a WAL or otherwise. */
static int pages_written(sqlite3 *db) {
    int count = 0, high = 0;
    return sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_WRITE, &count, &high, 0) == SQLITE_OK ? count : 0;
}

/* Pages that somebody is reading stay back, and SQLITE_BUSY says nothing of which. */
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

/* A frame with the same bytes as the one that was there would leave the next ones valid, since checksums go on from frame to frame: so the page says
 * something random meanwhile. */
static int flush_noise(struct vt_space *space, const char *table, const uint8_t *token, char **message) {
    sqlite3 *db = space->connection->db;
    uint8_t noise[LSM_TOKEN_BYTES];
    sqlite3_randomness(sizeof noise, noise);
    int rc = flush_though_kept(db); /* then it is this page that counts */
    if (rc == SQLITE_OK) rc = vt_decide_write(space, table, noise, message);
    if (rc != SQLITE_OK) return rc;
    int before = pages_written(db);
    rc = flush_though_kept(db);
    if (rc == SQLITE_OK && pages_written(db) == before)
        rc = vt_fail(message, SQLITE_BUSY, "what a COMMIT that failed has left in the log of %s cannot be written over: table %s is being read, or PRAGMA cache_spill is off "
                     "inside of BEGIN; write to an LSM table outside of it first", space->place.file, table);
    int restored = vt_decide_write(space, table, token, rc == SQLITE_OK ? message : NULL);
    return rc == SQLITE_OK ? restored : rc;
}

static const struct vt_shadow_entry *any_of_store(const struct vt_space *space, const struct vt_shadow_list *list) {
    for (int i = 0; i < list->count; i++)
        if (memcmp(list->entries[i].shadow.store_id, space->store_id, LSM_STORE_ID_BYTES) == 0) return &list->entries[i];
    return NULL;
}

int vt_tail_overwrite(struct vt_space *space, char **message) {
    struct vt_shadow_list list;
    enum vt_journal journal = vt_journal_mode(space);
    if (space->place.memory || (journal != VT_JOURNAL_WAL && journal != VT_JOURNAL_UNKNOWN)) return SQLITE_OK;
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    const struct vt_shadow_entry *entry = any_of_store(space, &list);
    /* None: the first one is being made, and no page of ours is there. What lies behind the end is then the end of an earlier try, and gone with this one's COMMIT. */
    if (rc == SQLITE_OK && entry != NULL) rc = flush_noise(space, entry->table, entry->shadow.token, message);
    if (rc == SQLITE_OK && entry != NULL) rc = vt_decide_make_durable(space, message);
    vt_shadow_list_release(&list);
    return rc;
}
