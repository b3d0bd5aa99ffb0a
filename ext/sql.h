/* sql.h: SQL of ours on the user's connection. */
#ifndef VT_SQL_H
#define VT_SQL_H

#include "error.h"

/* Run `sql`, memory of sqlite3_mprintf() that is freed here; NULL says that there was none for it. Where it fails, *message (error.h) says what SQLite says. */
int vt_sql_run(sqlite3 *db, char **message, char *sql) LSM_MUST_CHECK;

#endif
