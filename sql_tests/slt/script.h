#ifndef SLT_SCRIPT_H
#define SLT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

/* A file of the sqllogictest corpus, read into records. What is for other engines than SQLite is left out. */

enum record_kind { RECORD_STATEMENT, RECORD_QUERY };
enum record_sort { SORT_NONE, SORT_ROWS, SORT_VALUES };

struct record {
    enum record_kind kind;
    enum record_sort sort;
    bool wants_error;  /* statement error */
    int line;          /* of its first line */
    const char *types; /* query: a letter of I R T for each column */
    const char *label; /* query: results of one label are equal; NULL without one */
    const char *sql;
    const char *wanted; /* query: the expected lines; "" for no rows, NULL if nothing is stated */
};

struct script {
    char *text; /* owns all strings */
    struct record *records;
    size_t count;
};

/* False, with a line on stderr, if the file cannot be read or understood. */
bool script_read(struct script *script, const char *path);
void script_release(struct script *script);

#endif
