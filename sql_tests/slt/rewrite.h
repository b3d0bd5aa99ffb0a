#ifndef SLT_REWRITE_H
#define SLT_REWRITE_H

#include <stdbool.h>

#include <sqlite3.h>

#include "script.h"

/* Ordinary DDL turned into what LSM tables have for it. */

enum rewritten {
    REWRITE_NONE,     /* run the statement as it is */
    REWRITE_CHANGED,  /* run *out */
    REWRITE_SKIP,     /* nothing to run: it would have succeeded */
    REWRITE_DECLARED, /* nothing to run: the index came with the table */
    REWRITE_NO_INDEX, /* fails: "no such index" */
};

/* Which index stands on which table. */
struct indexes {
    struct index_name {
        struct index_name *next;
        char *index, *table;
    } * first;
    bool available;  /* the library has functions for indexes */
    bool declarable; /* it has not, but takes indexes in the declaration: those that the script makes later are put there */
    const struct script *script;
    size_t record; /* of the script: the one that is run */
    long skipped;
};

/* *out: from sqlite3_malloc. sql is one statement. */
enum rewritten rewrite(struct indexes *indexes, const char *sql, char **out);
void indexes_release(struct indexes *indexes);

#endif
