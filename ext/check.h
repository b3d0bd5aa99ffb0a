/* check.h: is a schema's store whole, and does it fit the schema's tables? Reads every byte. */
#ifndef VT_CHECK_H
#define VT_CHECK_H

#include "connection.h"

/* Calls found() for each problem. SQLITE_OK if the check itself ran, whatever it found. A schema without LSM tables has no problems. */
int vt_check_schema(struct vt_connection *connection, const char *schema, lsm_check_fn found, void *arg, char **message) LSM_MUST_CHECK;

/* xIntegrity, for PRAGMA integrity_check and quick_check, which reads the rows only: one table, its rows, the entries of its indexes and its AUTOINCREMENT mark, not all bytes of the
 * store. What is wrong goes into *problem. */
int vt_check_integrity(sqlite3_vtab *vtab, const char *schema, const char *table, int flags, char **problem);

#endif
