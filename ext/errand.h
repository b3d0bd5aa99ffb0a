/* errand.h: work that belongs to a statement which writes a table, for functions like lsm_create_index(), which only read as far as SQLite knows.
 *
 * The work is called from within `DELETE FROM table WHERE lsm_errand_()`, which deletes nothing. So SQLite connects the table, takes the lock, makes it part of the
 * transaction, and undoes what has to be undone: whoever is interrupted cannot run SQL to do so himself.
 */
#ifndef VT_ERRAND_H
#define VT_ERRAND_H

#include "error.h"

struct vt_connection;

struct vt_errand {
    int (*work)(void *arg, char **message);
    void *arg;
    bool begun;
    int rc; /* what it returned */
};

/* Runs the errand over a table in a savepoint of its own, or in a transaction of its own: all of it happens or nothing. SQLITE_INTERRUPT, and what SQLite never
 * undoes by halves (SQLITE_IOERR, for one), ends the whole transaction, as with ordinary tables. */
int vt_errand_run(struct vt_connection *connection, const char *schema, const char *table, struct vt_errand *errand, char **message) LSM_MUST_CHECK;

/* The function. */
void vt_errand_call(sqlite3_context *context, int argc, sqlite3_value **argv);
#define VT_ERRAND_FUNCTION "lsm_errand_"

#endif
