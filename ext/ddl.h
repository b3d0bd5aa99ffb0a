/* ddl.h: the arguments of CREATE VIRTUAL TABLE ... USING lsm(...) -> struct vt_schema.
 *
 * Column definitions and PRIMARY KEY as in CREATE TABLE, same rules, same quirks. What is not built yet and what cannot be is
 * refused with the place and the reason; nothing is accepted and then ignored. Hostile text (the schema of a foreign database)
 * gives an error like any other text.
 */
#ifndef VT_DDL_H
#define VT_DDL_H

#include "schema.h"

/* Parse argv[3] .. argv[argc - 1] of xCreate and xConnect (argv[0..2]: module, database, table). column_max is
 * sqlite3_limit(db, SQLITE_LIMIT_COLUMN, -1). db evaluates DEFAULT literals (SELECT without FROM, tables are never touched).
 * SQLITE_OK: *schema is the caller's (vt_schema_free). Otherwise *schema is NULL; with SQLITE_ERROR *message (never NULL then) says
 * `in argument 3, near "FOREIGN": ...` and is the caller's (sqlite3_free); SQLITE_NOMEM has no message. */
int vt_ddl_parse(sqlite3 *db, int argc, const char *const *argv, int column_max, struct vt_schema **schema, char **message) LSM_MUST_CHECK;

/* Add an index to a table's schema, as lsm_create_index() describes it: `a, b DESC`, `(a, b DESC)`, `UNIQUE (a)`. The result as above; the schema is not
 * changed on failure. */
int vt_ddl_add_index(struct vt_schema *schema, const char *name, const char *definition, char **message) LSM_MUST_CHECK;

#endif
