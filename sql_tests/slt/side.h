#ifndef SLT_SIDE_H
#define SLT_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "rewrite.h"
#include "script.h"

/* What one record came to. */
enum verdict {
    VERDICT_RIGHT,
    VERDICT_WRONG,
    VERDICT_SKIPPED, /* an index statement, and the library has no indexes */
    VERDICT_KEPT,    /* the library refused the table: it is an ordinary one */
    VERDICT_REFUSED, /* SQLite has no such thing for virtual tables */
};

struct outcome {
    enum verdict verdict;
    int rc;
    bool declared;        /* an index that came with its table */
    uint64_t rows;        /* of a query */
    uint64_t fingerprint; /* of all its rows with their types, whatever their order */
    char *message;        /* why it is wrong; from sqlite3_malloc */
};

/* How a side runs; the same for both. */
struct habits {
    const char *folder;          /* of the database file; NULL: in memory */
    long reopen, flush, compact; /* after so many records; 0: never */
    const char *extension;
};

/* One database with ordinary tables or with LSM tables. */
struct side {
    const struct habits *habits;
    bool lsm;
    sqlite3 *db;
    struct indexes indexes;
    long records;
    double seconds, cpu_seconds; /* spent in SQLite, reopenings and flushes included */
    struct label {
        struct label *next;
        const char *name; /* the script's */
        char hex[33];
    } * labels;
};

/* Opens a new database. False, with a line on stderr: it could not be had. */
bool side_open(struct side *side, const struct habits *habits, const struct script *script, bool lsm);
void side_run(struct side *side, size_t record, struct outcome *outcome);
void side_close(struct side *side);

#endif
