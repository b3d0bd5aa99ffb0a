/* pragma.h: what a connection is set to, as far as only a PRAGMA tells. An authorizer may deny them all. */
#ifndef VT_PRAGMA_H
#define VT_PRAGMA_H

#include "sqlite_api.h"

/* The value of a PRAGMA that gives one integer, or `otherwise` if it cannot be had. schema may be NULL. */
int vt_pragma_int(sqlite3 *db, const char *schema, const char *pragma, int otherwise);
/* The same in two steps, for what is asked often: sqlite3_free(); NULL without memory, for which the value cannot be had. */
char *vt_pragma_sql(const char *schema, const char *pragma);
int vt_pragma_ask(sqlite3 *db, const char *sql, int otherwise);
/* Of one that gives one text: sqlite3_free(). NULL if it cannot be had. */
char *vt_pragma_text(sqlite3 *db, const char *schema, const char *pragma);

#endif
