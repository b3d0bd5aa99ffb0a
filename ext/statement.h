/* statement.h: what the statement that runs says and SQLite does not pass on: INSERT ... RETURNING and OR ABORT.
 *
 * SQLite carries out RETURNING for virtual tables with the values as they were given: it shows no automatic rowid, no default, and no value as its column keeps it. Where
 * that differs from what is stored the statement has to be refused. And it says ABORT for a statement without OR clause, too, where the declaration's clause counts.
 * Nobody tells a virtual table which statement calls it; but few can be running, and their text can be read.
 */
#ifndef VT_STATEMENT_H
#define VT_STATEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "sqlite_api.h"

enum vt_returning {
    VT_RETURNING_NOTHING,
    VT_RETURNING_VALUES,
    VT_RETURNING_ROWID /* which is asked for by one of its names */
};

/* What a statement's text says. */
struct vt_statement_words {
    enum vt_returning returning;
    bool or_abort;
};

/* What was found for the row before; kept by the table. caller is to be NULL when a row has failed, or the transaction is another one or was undone in part: a
 * statement that fails between its rows is not counted in `changes`. */
struct vt_statement {
    const void *caller;
    int changes;               /* total_changes(), which SQLite moves at the end of a statement that has changed rows */
    uint64_t epoch, rollbacks; /* of the transaction (txn.h) */
    enum vt_returning returning;
    bool or_abort;
    char *text; /* read last, and what it says; NULL: none. A table of another name is another object, and has read nothing */
    struct vt_statement_words words;
};

/* Find out about the statement that writes the table. caller: what is the same in all calls of a statement, the place of its values. Costs nothing from the second
 * row on, and little when the statement is run again. returning: of an INSERT into this table itself. or_abort: of the statement whatever it writes; what stands in a trigger is not seen. */
void vt_statement_find(struct vt_statement *statement, sqlite3 *db, const void *caller, const char *schema, const char *table);

void vt_statement_release(struct vt_statement *statement);

#endif
