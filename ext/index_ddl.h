/* index_ddl.h: lsm_create_index() and lsm_drop_index(): indexes added to a table that is there.
 *
 * Each is a savepoint in the connection's transaction, or a transaction of its own: all of it happens or nothing. The schema cookie of the database file
 * changes with it, so every other connection prepares its statements anew and reads the catalogue again before it writes.
 */
#ifndef VT_INDEX_DDL_H
#define VT_INDEX_DDL_H

#include "connection.h"

/* Which index of which table. */
struct vt_index_name {
    const char *schema, *table, *name;
};

/* An index to be. */
struct vt_index_request {
    const char *columns; /* as vt_ddl_add_index() takes them */
    bool unique;         /* also if `columns` does not say so */
};

/* SQLITE_CONSTRAINT_UNIQUE in SQLite's words if rows that are there are not unique,
 * SQLITE_LOCKED while a statement of this connection reads the table. */
int vt_index_create(struct vt_connection *connection, const struct vt_index_name *which, const struct vt_index_request *request,
                    char **message) LSM_MUST_CHECK;
/* SQLITE_ERROR if there is none, or it belongs to the declaration of the table. */
int vt_index_drop(struct vt_connection *connection, const struct vt_index_name *which, char **message) LSM_MUST_CHECK;

#endif
