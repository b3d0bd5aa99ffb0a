/* shadow.h: the shadow table `<name>_store` of an LSM table: the rows in the database file that say where the table's data is.
 *
 *     CREATE TABLE "<name>_store"(id INTEGER PRIMARY KEY, key TEXT, value)
 *     1  format  integer  1
 *     2  store   text     id of the store, 32 hex digits
 *     3  tree    integer  id of the tree in it
 *     4  nonce   text     the tree's nonce, 16 hex digits
 *     5  token   text     32 hex digits: of the last transaction that was decided by this row; zeros: none yet
 *        ...              other trees of the table: catalogue.h
 *
 * What stands there may have been written by anybody: it is checked, and only ever names a directory below the one the
 * database file's own name gives.
 */
#ifndef VT_SHADOW_H
#define VT_SHADOW_H

#include "catalogue.h"

#define VT_SHADOW_SUFFIX "store"
#define VT_SHADOW_FORMAT 1

struct vt_shadow {
    uint8_t store_id[LSM_STORE_ID_BYTES];
    struct lsm_tree_info tree;
    uint8_t token[LSM_TOKEN_BYTES]; /* zeros: none */
};

/* In the connection's transaction. */
int vt_shadow_create(sqlite3 *db, const char *schema, const char *table, const struct vt_shadow *shadow, char **message) LSM_MUST_CHECK;
int vt_shadow_drop(sqlite3 *db, const char *schema, const char *table, char **message) LSM_MUST_CHECK;
int vt_shadow_rename(sqlite3 *db, const char *schema, const char *table, const char *new_table, char **message) LSM_MUST_CHECK;

/* SQLITE_CORRUPT_VTAB if the shadow table is missing or damaged, SQLITE_CANTOPEN if a newer release wrote it. catalogue: empty, to be released in any case;
 * NULL: of no interest, and damage in it neither. */
int vt_shadow_read(sqlite3 *db, const char *schema, const char *table, struct vt_shadow *shadow, struct vt_catalogue *catalogue,
                   char **message) LSM_MUST_CHECK;

/* One for each tree named: of rows, then of what else the table has (catalogue.h). */
struct vt_shadow_entry {
    struct vt_shadow shadow;
    char *table; /* the shadow table's own name */
};

struct vt_shadow_list {
    struct vt_shadow_entry *entries;
    int count, capacity;
    bool damaged; /* there are others that cannot be read */
};

/* Every shadow table of the schema that can be read, whether or not its virtual table is there. list is set anew, and to be
 * released in any case. Any code but SQLITE_OK: the list is not whole and must not be relied on. */
int vt_shadow_list(sqlite3 *db, const char *schema, struct vt_shadow_list *list, char **message) LSM_MUST_CHECK;
void vt_shadow_list_release(struct vt_shadow_list *list);

/* The token of one shadow table, about to be written. */
struct vt_shadow_slot {
    sqlite3 *db;
    sqlite3_blob *blob;
    char *schema, *table; /* where there are no blob handles */
};

/* Find the place: SQLITE_NOTFOUND if there is no such shadow table. shadow_table: its own name. Release in any case. */
int vt_shadow_slot_open(struct vt_shadow_slot *slot, sqlite3 *db, const char *schema, const char *shadow_table, char **message) LSM_MUST_CHECK;
/* Neither changes() nor total_changes() nor last_insert_rowid() is touched, nor an authorizer asked; defensive mode does not mind. */
int vt_shadow_slot_write(struct vt_shadow_slot *slot, const uint8_t *token, char **message) LSM_MUST_CHECK;
void vt_shadow_slot_release(struct vt_shadow_slot *slot);

#endif
