#include "journal.h"

#include <string.h>

#include "connection.h"
#include "pragma.h"

enum { LEVEL_OFF, LEVEL_NORMAL, LEVEL_FULL, LEVEL_EXTRA }; /* PRAGMA synchronous */

static enum vt_journal named(const char *mode) {
    if (mode == NULL) return VT_JOURNAL_UNKNOWN;
    if (sqlite3_stricmp(mode, "wal") == 0) return VT_JOURNAL_WAL;
    if (sqlite3_stricmp(mode, "delete") == 0) return VT_JOURNAL_DELETE;
    if (sqlite3_stricmp(mode, "truncate") == 0) return VT_JOURNAL_TRUNCATE;
    return VT_JOURNAL_OTHER;
}

bool vt_journal_files(const struct vt_space *space, sqlite3_file **database, sqlite3_file **log) {
    sqlite3 *db = space->connection->db;
    return sqlite3_file_control(db, space->schema, SQLITE_FCNTL_FILE_POINTER, (void *)database) == SQLITE_OK && *database != NULL &&
           sqlite3_file_control(db, space->schema, SQLITE_FCNTL_JOURNAL_POINTER, (void *)log) == SQLITE_OK && *log != NULL;
}

enum vt_journal vt_journal_mode(struct vt_space *space) {
    sqlite3_file *database = NULL, *log = NULL;
    bool known = vt_journal_files(space, &database, &log);
    /* The WAL's object is made when the mode becomes WAL and dies with it, and no journal's object can be where it was. */
    if (known && log->pMethods != NULL && space->wal_mode.database == database && space->wal_mode.log == log) return VT_JOURNAL_WAL;
    char *text = vt_pragma_text(space->connection->db, space->schema, "journal_mode");
    enum vt_journal mode = named(text);
    sqlite3_free(text);
    if (mode == VT_JOURNAL_WAL && (!known || log->pMethods == NULL)) mode = VT_JOURNAL_UNKNOWN;
    space->wal_mode = mode == VT_JOURNAL_WAL ? (struct vt_wal_mode){.database = database, .log = log} : (struct vt_wal_mode){0};
    return mode;
}

bool vt_journal_is_enough(enum vt_journal journal, int level) {
    if (level <= LEVEL_OFF) return true;
    switch (journal) { /* LCOV_EXCL_BR_LINE: no other values */
    case VT_JOURNAL_WAL:
    case VT_JOURNAL_TRUNCATE: return level >= LEVEL_FULL;
    case VT_JOURNAL_DELETE: return level >= LEVEL_EXTRA;
    case VT_JOURNAL_OTHER: return true;
    case VT_JOURNAL_UNKNOWN: break;
    }
    return false;
}

/* SQLite closes the journal with the end of the transaction. An empty one does not "exist" for a VFS, but can be written. */
static int sync_closed_journal(struct vt_space *space) {
    sqlite3_vfs *vfs = NULL;
    const char *name = sqlite3_db_filename(space->connection->db, space->schema);
    if (sqlite3_file_control(space->connection->db, space->schema, SQLITE_FCNTL_VFS_POINTER, (void *)&vfs) != SQLITE_OK || vfs == NULL)
        return SQLITE_IOERR_FSYNC;
    if (name == NULL || name[0] == '\0') return SQLITE_OK; /* LCOV_EXCL_BR_LINE: it has a file */
    const char *journal = sqlite3_filename_journal(name);
    int exists = 0, flags = 0;
    int rc = vfs->xAccess(vfs, journal, SQLITE_ACCESS_READWRITE, &exists);
    if (rc != SQLITE_OK || exists == 0) return rc;
    sqlite3_file *file = sqlite3_malloc64((sqlite3_uint64)vfs->szOsFile);
    if (file == NULL) return SQLITE_NOMEM;
    memset(file, 0, (size_t)vfs->szOsFile);
    rc = vfs->xOpen(vfs, journal, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_JOURNAL, &flags);
    if (rc == SQLITE_OK) rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    if (file->pMethods != NULL) file->pMethods->xClose(file);
    sqlite3_free(file);
    return rc;
}

int vt_journal_sync(struct vt_space *space, enum vt_journal journal, char **message) {
    if (space->place.memory) return SQLITE_OK; /* LCOV_EXCL_BR_LINE: stores in memory wait for no database */
    sqlite3_file *database = NULL, *log = NULL;
    int rc = vt_journal_files(space, &database, &log) ? SQLITE_OK : SQLITE_IOERR_FSYNC; /* LCOV_EXCL_BR_LINE: SQLite answers while it is open */
    bool open = rc == SQLITE_OK && log->pMethods != NULL;
    if (open) rc = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    if (rc == SQLITE_OK && !open) rc = sync_closed_journal(space);
    if (rc != SQLITE_OK) return vt_fail(message, rc, "the log of the database %s could not be synced", space->place.file);
    return journal == VT_JOURNAL_WAL ? SQLITE_OK : vt_place_sync(&space->place, message);
}
