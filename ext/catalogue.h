/* catalogue.h: the trees a table has besides that of its rows: rows of its shadow table (shadow.h).
 *
 *     sequence       text   `<tree> <nonce>`: of AUTOINCREMENT
 *     index <name>   text   `<tree> <nonce>`, the definition: of an index; the definition is empty if it stands in CREATE VIRTUAL TABLE, otherwise
 *                           ` (a, b DESC)` or ` UNIQUE (a)`
 *
 * The tree is a decimal number, the nonce 16 hex digits. What stands there may have been written by anybody.
 */
#ifndef VT_CATALOGUE_H
#define VT_CATALOGUE_H

#include "error.h"

#define VT_CATALOGUE_SEQUENCE "sequence"
#define VT_CATALOGUE_INDEX    "index "

struct vt_catalogue_entry {
    char *key;
    char *definition; /* behind the nonce; "" if there is none */
    struct lsm_tree_info tree;
};

struct vt_catalogue {
    struct vt_catalogue_entry *entries; /* by the number of the tree, hence in the order they were added */
    int count, capacity;
};

void vt_catalogue_release(struct vt_catalogue *catalogue); /* leaves it empty */

/* Take in a row of a shadow table, if it is one of these; key and value are copied. vt_shadow_read() does so. SQLITE_CORRUPT_VTAB for what cannot be understood. */
int vt_catalogue_take(struct vt_catalogue *catalogue, const char *key, const char *value) LSM_MUST_CHECK;

/* The entry of this key, or NULL. Names of indexes are compared as SQLite compares names. */
const struct vt_catalogue_entry *vt_catalogue_find(const struct vt_catalogue *catalogue, const char *kind, const char *name);

/* In the connection's transaction; the shadow table of `table`. name is "" for the sequence. */
int vt_catalogue_add(sqlite3 *db, const char *schema, const char *table, const char *kind, const char *name, struct lsm_tree_info tree,
                     const char *definition, char **message) LSM_MUST_CHECK;
int vt_catalogue_remove(sqlite3 *db, const char *schema, const char *table, const char *kind, const char *name, char **message) LSM_MUST_CHECK;

#endif
