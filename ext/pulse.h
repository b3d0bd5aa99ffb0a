/* pulse.h: long work inside one call of ours stops and reports as a long statement of SQLite does.
 *
 * SQLite looks for sqlite3_interrupt() and calls the progress handler only while its own machine runs. So long work lets it run a small statement every few
 * milliseconds: an interrupt ends that, and its instructions count for the progress handler, which may end it as well.
 */
#ifndef VT_PULSE_H
#define VT_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "sqlite_api.h"

/* Zeroed but for db. One for each piece of work: the statement must not outlive it, or the connection could not be closed. */
struct vt_pulse {
    sqlite3 *db;
    sqlite3_stmt *statement;
    bool tried;    /* the statement was asked for; an authorizer may have refused it */
    int64_t at_ms; /* of the last beat */
};

/* True: the work is to stop. Takes a struct vt_pulse * as void *, to serve the engine. Threads: that of the connection, which is in the midst of a statement. */
bool vt_pulse_stops(void *pulse);

void vt_pulse_release(struct vt_pulse *pulse);

#endif
