/* sqlite_api.h: the one way to SQLite for every file of ext/.
 *
 * Loaded into a host, all sqlite3_* calls go through the routine table SQLite hands to the entry point. The pointer to it has a
 * name of our own and is hidden, so that it cannot be mixed up with the pointer of another extension; extension.c defines it,
 * sets it once, and refuses a second, different SQLite in the same process before touching it.
 * Built with -DSQLITE_CORE (static linking, unit tests) the calls are ordinary calls and there is no pointer.
 *
 * The headers are of SQLite 3.40 or later, the host may be older, and its table shorter: whatever came after 3.34 is called only
 * behind vt_sqlite_at_least().
 */
#ifndef VT_SQLITE_API_H
#define VT_SQLITE_API_H

#ifdef SQLITE_CORE
#include <sqlite3.h>
#else
#define sqlite3_api vt_sqlite_api
#include <sqlite3ext.h>
extern const sqlite3_api_routines *vt_sqlite_api __attribute__((visibility("hidden")));
#endif

/* True if the host is SQLite `version` (3038000 is 3.38.0) or newer. */
#define vt_sqlite_at_least(version) (sqlite3_libversion_number() >= (version))

/* The oldest host the extension runs in. */
#define VT_SQLITE_OLDEST 3034000

#endif
