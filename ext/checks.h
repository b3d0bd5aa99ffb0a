/* checks.h: the CHECK constraints of a table, carried out by SQLite itself.
 *
 * A table with CHECK constraints has a second shadow table, `<name>_check`: an ordinary table of the columns the constraints mention, with their types and
 * collations, and of the constraints. A row is checked by inserting it there. So everything is as in an ordinary table of this SQLite release: which
 * expressions are taken, affinities, collations, what functions may be called, PRAGMA ignore_check_constraints, and the words of the errors.
 * Nothing is ever inserted, and no page of the database file changes: the table has one row, exempt from the constraints, whose key is that of every
 * other one, and ON CONFLICT IGNORE; uniqueness is looked at last.
 *
 *     CREATE TABLE "<name>_check"("_key" PRIMARY KEY ON CONFLICT IGNORE, "_row", <column> <type> COLLATE <collation>, ...,
 *                                 CONSTRAINT <name> CHECK ("_row" IS NULL OR (<expression>)), ...) WITHOUT ROWID
 */
#ifndef VT_CHECKS_H
#define VT_CHECKS_H

#include "error.h"
#include "schema.h"

#define VT_CHECKS_SUFFIX "check"

/* Set what is known of columns only when all checks are: `checked` and `rowid_checked`. */
void vt_checks_settle(struct vt_schema *schema);

/* The prepared insert; kept by the table, made when it is first needed. */
struct vt_checks {
    sqlite3_stmt *insert;
    int *columns; /* parameter i + 1 is this column of the table, -1 the rowid */
    int count;
};

/* In the connection's transaction; nothing is done for a schema without CHECK. */
int vt_checks_create(sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, char **message) LSM_MUST_CHECK;
int vt_checks_drop(sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, char **message) LSM_MUST_CHECK;
/* Also lets go of the prepared insert, as dropping needs to do first. */
int vt_checks_rename(struct vt_checks *checks, sqlite3 *db, const char *schema_name, const char *table, const char *new_table,
                     const struct vt_schema *schema, char **message) LSM_MUST_CHECK;

/* SQLITE_CONSTRAINT_CHECK with SQLite's message if the row (values of all columns, affinities applied, and its rowid) fails. */
int vt_checks_run(struct vt_checks *checks, sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema,
                  const struct vt_value *values, int64_t rowid, char **message) LSM_MUST_CHECK;
void vt_checks_release(struct vt_checks *checks);

#endif
