/* journal.h: how SQLite makes commits of a database file durable, and doing what it leaves to be done.
 *
 * At a commit SQLite writes and syncs as PRAGMA journal_mode and synchronous say; the last step of it may reach the disk later:
 *
 *     WAL       the frames of the commit, below FULL
 *     DELETE    the removal of the journal, below EXTRA: a directory entry
 *     TRUNCATE  the end of the journal, below FULL
 *     others    nothing
 *
 * And at any level if the process died in the middle of it. Our log must not go on behind a transaction of which SQLite may lose its half.
 */
#ifndef VT_JOURNAL_H
#define VT_JOURNAL_H

#include "error.h"

struct vt_space;

enum vt_journal {
    VT_JOURNAL_UNKNOWN = 0,
    VT_JOURNAL_WAL,
    VT_JOURNAL_DELETE,
    VT_JOURNAL_TRUNCATE,
    VT_JOURNAL_OTHER /* PERSIST, MEMORY, OFF */
};

/* What a space remembers between transactions: the files of a database that was found in WAL mode. While they are the same, so is the mode. */
struct vt_wal_mode {
    const void *database, *log;
};

/* SQLite's objects: the journal's, or the WAL's in WAL mode. Its pMethods is NULL while the file is not open. False: they are not to be had. */
bool vt_journal_files(const struct vt_space *space, sqlite3_file **database, sqlite3_file **log);

/* In a transaction of the database. Cheap in WAL mode. */
enum vt_journal vt_journal_mode(struct vt_space *space);

/* Is a commit durable when SQLite has made it? level: PRAGMA synchronous, 0 to 3; at 0 nothing ever is, and nothing is wanted. */
bool vt_journal_is_enough(enum vt_journal journal, int level);

/* Make durable whatever is committed. Runs no SQL. */
int vt_journal_sync(struct vt_space *space, enum vt_journal journal, char **message) LSM_MUST_CHECK;

#endif
