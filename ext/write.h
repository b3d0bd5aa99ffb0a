/* write.h: xUpdate: one row inserted, updated or deleted, as an ordinary table would.
 *
 * Everything that can be objected to is found out before the first change, so that SQLite can carry out OR IGNORE, OR FAIL and the rest.
 */
#ifndef VT_WRITE_H
#define VT_WRITE_H

#include "sqlite_api.h"

int vt_write_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid);

#endif
