/* dirty.h: was the database file of a schema written, too, in the transaction of its space?
 *
 * Asked in xSync. "No" is certain: the transaction then decides itself, at the cost of one sync and nothing in the database file. "Yes" may be wrong
 * and costs a commit of the database file. What is known to be true is not probed for:
 *
 *     in memory                                             no    nothing of it lasts
 *     DDL of ours, or a token written                       yes
 *     journal mode other than WAL                           yes   COMMIT can still fail with SQLITE_BUSY, and take more writes
 *     another database with a file is being written         yes
 *     SQLite counts more changed rows than we wrote         yes   also rows of a module that writes its pages only in its own xSync, after ours
 *     one statement, nothing else ran, no page was touched  no    the usual case; nothing is run for it
 *     "PRAGMA journal_mode = DELETE"                         -    refused: no page was written. Without effect: one was. Anything else: yes
 *
 * The pragma is sound because SQLite looks for written pages before it looks for a transaction in progress, and there is always one in xSync;
 * unit_tests/ext/dirty_test.c holds each SQLite it is linked with to that. A refusal shows as one line in the host's error log (SQLITE_CONFIG_LOG).
 */
#ifndef VT_DIRTY_H
#define VT_DIRTY_H

#include "error.h"

struct vt_space;

/* Since the transaction began; part of struct vt_txn. */
struct vt_dirty {
    bool known;      /* written, for certain */
    bool autocommit; /* the transaction is one statement */
    int pages;       /* pages SQLite had asked its caches for */
    int64_t changes; /* rows SQLite had counted */
    uint64_t own;    /* of vt_connection.changes */
};

/* At the beginning of the transaction, as the last thing: statements of ours after it make the answer slower. */
void vt_dirty_begin(struct vt_space *space);

/* In xSync, before anything else is run there. */
bool vt_dirty(struct vt_space *space);

#endif
