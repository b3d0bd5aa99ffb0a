/* wal_file.h: the file of SQLite's WAL, frame by frame, through SQLite's own handle of it.
 *
 * Whoever opened and closed the file himself would drop SQLite's locks. Formats: sqlite.org/walformat.html. All of it belongs into a write transaction of the
 * database: then nobody else writes the file, and no reader needs what is behind its last committed frame.
 */
#ifndef VT_WAL_FILE_H
#define VT_WAL_FILE_H

#include "error.h"

struct vt_space;

#define VT_WAL_SALT_BYTES 8

struct vt_wal_file {
    sqlite3_file *database, *log; /* SQLite's, while the transaction lasts */
    uint32_t frames;              /* whole ones in the file, whatever they are worth; 0: no WAL, or nothing in it */
    uint32_t page_bytes;
    uint8_t salt[VT_WAL_SALT_BYTES];
};

/* Frames have numbers from 1. */
int vt_wal_file_look(struct vt_space *space, struct vt_wal_file *wal, char **message) LSM_MUST_CHECK;

/* *last: the last committed frame, 0 if there is none, as the WAL-index has it. Only if it is shared memory, which it is unless the database is locked
 * exclusively. SQLITE_PROTOCOL: it is not as it should be. */
int vt_wal_file_committed(const struct vt_wal_file *wal, uint32_t *last) LSM_MUST_CHECK;

/* *frame: the first one whose page holds these bytes. SQLITE_NOTFOUND. */
int vt_wal_file_find(const struct vt_wal_file *wal, const void *bytes, size_t size, uint32_t *frame) LSM_MUST_CHECK;

/* Shorten the file to what is before the first frame behind this one that ends a transaction, if there is any. */
int vt_wal_file_cut(const struct vt_wal_file *wal, uint32_t frame) LSM_MUST_CHECK;

#endif
