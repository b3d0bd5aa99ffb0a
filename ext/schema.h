/* schema.h: the definition of one LSM table, as data.
 *
 * Made by ddl.h from the arguments of CREATE VIRTUAL TABLE; afterwards only indexes that were added to the table come and go.
 */
#ifndef VT_SCHEMA_H
#define VT_SCHEMA_H

#include "value.h"

/* What a column of a STRICT table takes, after its affinity. */
enum vt_strict { VT_STRICT_NONE = 0, VT_STRICT_INT, VT_STRICT_INTEGER, VT_STRICT_REAL, VT_STRICT_TEXT, VT_STRICT_BLOB, VT_STRICT_ANY };

struct vt_column {
    char *name; /* unquoted */
    char *type; /* as declared, quotes included, "" if none */
    enum vt_affinity affinity;
    enum vt_collation collation;
    bool not_null;                 /* declared NOT NULL, or in the key of a clustered table; false for the rowid column */
    int not_null_conflict;         /* ON CONFLICT clause of NOT NULL: SQLITE_ROLLBACK, _IGNORE, _FAIL, _ABORT, _REPLACE; 0: none given */
    bool has_default;              /* only ever with not_null */
    struct vt_value default_value; /* affinity applied; owns its bytes; SQLITE_NULL without has_default */
    char *default_text;            /* instead of default_value: an expression (defaults.h); NULL: none */
    enum vt_strict strict;         /* NONE unless the table is STRICT */
    bool checked;                  /* a CHECK mentions it */
    bool indexed;                  /* in a secondary index; known when the table is bound */
    int key_index;                 /* place in vt_schema.key of its first mention there, -1 if it is in no key */
};

struct vt_key_column {
    int column;
    enum vt_collation collation; /* may differ from the column's */
    bool desc;
};

struct vt_check {
    char *name; /* as messages show it */
    char *text; /* the expression */
};

#define VT_INDEX_SAMPLED 4

/* Rows that agree in the first 1, 2, ... columns of a key, on average; 0: not looked yet. */
struct vt_key_rows {
    double rows[VT_INDEX_SAMPLED];
};

/* A secondary index (index.h). */
struct vt_index {
    char *name;
    bool unique;
    int conflict;       /* ON CONFLICT clause of UNIQUE, as vt_column.not_null_conflict */
    int conflict_place; /* in the declaration, of the constraint that has the clause: another one of the same columns, perhaps */
    int column_count;
    int key_count;             /* with the table's key behind the columns */
    int seek_count;            /* of these can be searched for: up to the first that comes a second time; if unique, column_count */
    struct vt_key_column *key; /* the rowid, and the INTEGER PRIMARY KEY, is column -1 */
    int named_count;
    struct vt_key_column *named; /* the columns as they were declared: one that stands twice, too */
    struct lsm_tree_info tree;   /* known when the table is bound */
    struct vt_key_rows equal;
};

enum vt_kind {
    VT_KIND_ROWID = 0, /* key: the rowid, as vt_key_put_int64() writes it */
    VT_KIND_CLUSTERED  /* key: vt_key_encode_row(); as WITHOUT ROWID, no part of it is NULL */
};

struct vt_schema {
    enum vt_kind kind;
    int column_count; /* declared ones; the hidden key column of a clustered table has this number */
    struct vt_column *columns;
    int rowid_column;          /* rowid table: the INTEGER PRIMARY KEY, which is the rowid; -1 if there is none */
    int key_count;             /* clustered: >= 1; rowid: 0 */
    struct vt_key_column *key; /* clustered */
    struct vt_key_rows equal;  /* clustered */
    int bytes_column; /* clustered: the only column of the key, if its texts and blobs are there byte for byte (BINARY, ascending); else -1 */
    int key_conflict; /* ON CONFLICT clause of PRIMARY KEY, as not_null_conflict */
    bool strict;
    bool autoincrement; /* of the rowid column */
    bool rowid_checked; /* a CHECK mentions the rowid, by whatever name */
    int default_count;  /* columns with default_text */
    int check_count;
    struct vt_check *checks; /* in the order they were declared */
    int index_count;         /* the declared ones first */
    int declared_index_count;
    int key_place;          /* clustered: how many unique indexes are declared before the key */
    int key_conflict_place; /* as vt_index.conflict_place */
    struct vt_index *indexes;
    char *hidden_name; /* clustered: name of the hidden key column: "_pk", or the like if a column is called so */
};

/* Zeroed, with rowid_column -1. NULL if out of memory. */
struct vt_schema *vt_schema_new(void);
void vt_schema_free(struct vt_schema *schema);

/* The declared column of this name (ASCII case ignored, as SQLite does), or -1. */
int vt_schema_find(const struct vt_schema *schema, const char *name);

/* The text for sqlite3_declare_vtab(), to be freed with sqlite3_free(); NULL if out of memory. Types, COLLATE and NOT NULL as
 * declared, so that PRAGMA table_info tells them; PRIMARY KEY on the rowid column; a clustered table ends with
 * `"_pk" BLOB HIDDEN PRIMARY KEY) WITHOUT ROWID`. */
char *vt_schema_declare(const struct vt_schema *schema);

#endif
