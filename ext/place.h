/* place.h: where the store of a schema lives.
 *
 * Beside the schema's database file, in `<file>-lsm/<store id>/`, with the file's mode and owner; in memory if there is no file. The database file
 * itself is only stat()ed: opening and closing it here would drop SQLite's locks on it. In another environment (environment.h) not even that is done.
 */
#ifndef VT_PLACE_H
#define VT_PLACE_H

#include "environment.h"
#include "error.h"
#include "hex.h"

struct vt_place {
    bool memory;
    const struct vt_environment *environment; /* NULL: the operating system's files, or memory */
    uint64_t device, inode;                   /* of the database file; 0 where there is no telling */
    char *file;                               /* absolute name of the database file, "" in memory; owned */
    unsigned mode;                            /* of new files */
    int64_t uid, gid;                         /* -1: leave */
};

/* SQLITE_OK, SQLITE_NOMEM, or SQLITE_CANTOPEN if the database has a file name but no file. */
int vt_place_find(sqlite3 *db, const char *schema, struct vt_place *place, char **message) LSM_MUST_CHECK;
void vt_place_release(struct vt_place *place);

/* The directory with the stores of the file, and that of one of them; sqlite3_free(). NULL if out of memory. */
char *vt_place_stores(const struct vt_place *place);
char *vt_place_dir(const struct vt_place *place, const uint8_t *store_id);

/* Make `<file>-lsm`, durably, if it is not there; where there is neither mode nor owner to care for, the engine makes it. SQLITE_CANTOPEN
 * if it cannot be made, or if something else has its name. */
int vt_place_prepare(const struct vt_place *place, char **message) LSM_MUST_CHECK;

/* Make what was created or removed beside the database file durable. */
int vt_place_sync(const struct vt_place *place, char **message) LSM_MUST_CHECK;

#endif
