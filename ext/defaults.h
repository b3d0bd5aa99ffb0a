/* defaults.h: DEFAULT (expression), and CURRENT_TIME and its kin, evaluated by SQLite itself.
 *
 * A table with such defaults has a shadow view, `<name>_default`: SELECT (<expression>), ... for the columns that have one, in their order. What stands in a view is
 * evaluated with the rights of what stands in DEFAULT: functions that a schema may not call it may not call either. Literals need no view.
 */
#ifndef VT_DEFAULTS_H
#define VT_DEFAULTS_H

#include "error.h"
#include "schema.h"

#define VT_DEFAULTS_SUFFIX "default"

/* Kept by the table. */
struct vt_defaults {
    sqlite3_stmt *select;   /* made when it is first needed */
    sqlite3_value **values; /* of the row at hand; one for each column of the view */
    int count;              /* of these; 0: not evaluated for this row */
};

/* In the connection's transaction; nothing is done for a schema without such defaults. SQLITE_ERROR in SQLite's words for what it takes for no default. */
int vt_defaults_create(sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, char **message) LSM_MUST_CHECK;
/* These two also let go of the prepared statement. */
int vt_defaults_drop(struct vt_defaults *defaults, sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema,
                     char **message) LSM_MUST_CHECK;
int vt_defaults_rename(struct vt_defaults *defaults, sqlite3 *db, const char *schema_name, const char *table, const char *new_table,
                       const struct vt_schema *schema, char **message) LSM_MUST_CHECK;

/* The default of a column that has an expression, affinity applied; valid until the next row. All of a row's are evaluated together. */
int vt_defaults_get(struct vt_defaults *defaults, sqlite3 *db, const char *schema_name, const char *table, const struct vt_schema *schema, int column,
                    struct vt_value *value, char **message) LSM_MUST_CHECK;
/* A new row begins. */
void vt_defaults_next_row(struct vt_defaults *defaults);
void vt_defaults_release(struct vt_defaults *defaults);

#endif
