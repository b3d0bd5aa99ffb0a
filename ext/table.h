/* table.h: one virtual table of one connection: its definition and the tree that holds its rows.
 *
 * SQLite makes and drops these objects at will (every schema change, every ROLLBACK of one), so nothing that must last is kept here: transactions,
 * views and the store are the space's. Connecting touches neither the store nor the shadow table; both come with the first use ("binding").
 */
#ifndef VT_TABLE_H
#define VT_TABLE_H

#include "checks.h"
#include "connection.h"
#include "defaults.h"
#include "entries.h"
#include "rowids.h"
#include "schema.h"
#include "shadow.h"
#include "statement.h"

struct vt_table {
    sqlite3_vtab base; /* first: SQLite's pointer is ours */
    struct vt_space *space;
    struct vt_table *next; /* in vt_space.first */
    char *name, *shadow_table;
    struct vt_schema *schema;
    struct vt_checks checks;
    struct vt_defaults defaults;
    struct vt_statement statement;
    /* Binding. */
    bool shadow_known;
    struct vt_shadow shadow;
    struct lsm_tree_info sequence; /* AUTOINCREMENT: the tree of its mark */
    bool bound;                    /* the store is open and has the tree; holds while `serial` is the space's */
    uint32_t serial;
    uint64_t view_known; /* a view (vt_view.opened) with the rows of this table */
    /* The transaction. */
    uint64_t joined_epoch; /* of the transaction SQLite will tell us the end of; 0: none */
    struct vt_rowids rowids;
    /* Of the write at hand; kept for their memory. */
    struct vt_value *values;
    struct vt_value *old_values;
    struct vt_bytes key, old_key, record;
    struct vt_entries entries;
    struct vt_cursor *spare; /* one that is closed, kept for its memory */
    /* Planning. */
    double rows_estimated;
    int sources_estimated;
    int64_t estimated_at_ms; /* 0: never */
};

/* The methods of the module that concern the table as such; see SQLite's documentation. */
int vt_table_create(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message);
int vt_table_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message);
int vt_table_disconnect(sqlite3_vtab *vtab);
int vt_table_destroy(sqlite3_vtab *vtab);
int vt_table_begin(sqlite3_vtab *vtab);
int vt_table_sync(sqlite3_vtab *vtab);
int vt_table_commit(sqlite3_vtab *vtab);
int vt_table_rollback(sqlite3_vtab *vtab);
int vt_table_rename(sqlite3_vtab *vtab, const char *new_name);
int vt_table_savepoint(sqlite3_vtab *vtab, int number);
int vt_table_release(sqlite3_vtab *vtab, int number);
int vt_table_rollback_to(sqlite3_vtab *vtab, int number);
int vt_table_shadow_name(const char *suffix);

/* Have the store open and the tree found in it. SQLITE_CANTOPEN, SQLITE_CORRUPT_VTAB: the store is missing or not this
 * database's, with a message that says so. */
int vt_table_bind(struct vt_table *table, char **message) LSM_MUST_CHECK;

/* What the shadow table says may have changed: bind anew, at the next use. No cursor may be open. */
void vt_table_forget(struct vt_table *table);

static inline uint32_t vt_table_tree(const struct vt_table *table) { return table->shadow.tree.tree; }

/* The connected table of this name, or NULL. */
struct vt_table *vt_table_find(struct vt_space *space, const char *name);
/* The same, if it takes part in the transaction. Another connection may have dropped a table which is still connected, and have made one of another kind in its place. */
struct vt_table *vt_table_joined(struct vt_space *space, const char *name);

/* Rows in the table and places a lookup has to consider, roughly and not always fresh; never fails (the store may be out of reach:
 * then a guess). */
void vt_table_estimate(struct vt_table *table, double *rows, int *sources);

#endif
