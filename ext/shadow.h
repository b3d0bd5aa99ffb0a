/* shadow.h: the shadow table `<name>_store` of an LSM table: the rows in the database file that say where the table's data is.
 *
 *     CREATE TABLE "<name>_store"(key TEXT PRIMARY KEY, value) WITHOUT ROWID
 *     format  integer  1
 *     store   text     id of the store, 32 hex digits
 *     tree    integer  id of the tree in it
 *     nonce   text     the tree's nonce, 16 hex digits
 *     token   NULL     for commits that span ordinary tables
 *     ...              other trees of the table: catalogue.h
 *
 * What stands there may have been written by anybody: it is checked, and only ever names a directory below the one the
 * database file's own name gives.
 */
#ifndef VT_SHADOW_H
#define VT_SHADOW_H

#include "error.h"

#define VT_SHADOW_SUFFIX "store"
#define VT_SHADOW_FORMAT 1

struct vt_shadow {
    uint8_t store_id[LSM_STORE_ID_BYTES];
    struct lsm_tree_info tree;
};

/* In the connection's transaction. */
int vt_shadow_create(sqlite3 *db, const char *schema, const char *table, const struct vt_shadow *shadow, char **message) LSM_MUST_CHECK;
int vt_shadow_drop(sqlite3 *db, const char *schema, const char *table, char **message) LSM_MUST_CHECK;
int vt_shadow_rename(sqlite3 *db, const char *schema, const char *table, const char *new_table, char **message) LSM_MUST_CHECK;

/* SQLITE_CORRUPT_VTAB if the shadow table is missing or damaged, SQLITE_CANTOPEN if a newer release wrote it. */
int vt_shadow_read(sqlite3 *db, const char *schema, const char *table, struct vt_shadow *shadow, char **message) LSM_MUST_CHECK;

struct vt_shadow_list {
    struct vt_shadow *shadows; /* one for each tree named: of rows, then of what else the table has (catalogue.h); sqlite3_free() */
    int count, capacity;
    bool damaged;              /* there are others that cannot be read */
};

/* Every shadow table of the schema that can be read, whether or not its virtual table is there. list is set anew, and the caller's to
 * release in any case. Any code but SQLITE_OK: the list is not whole and must not be relied on. */
int vt_shadow_list(sqlite3 *db, const char *schema, struct vt_shadow_list *list, char **message) LSM_MUST_CHECK;

#endif
