/* connection.h: what the extension keeps of one SQLite connection, and of each schema in it ("space").
 *
 * A vt_connection is shared by everything registered on one sqlite3 handle and lives until SQLite destroys the last of it, at close. A vt_space
 * is one schema (main, temp, an attached database) with its store, its write transaction, its views and its open cursors; virtual
 * tables come and go (SQLite reconnects them at will), the space stays.
 * Threads: as SQLite's connection, one at a time.
 */
#ifndef VT_CONNECTION_H
#define VT_CONNECTION_H

#include "accept.h"
#include "decide.h"
#include "error.h"
#include "journal.h"
#include "lookups.h"
#include "place.h"
#include "registry.h"
#include "txn.h"
#include "view.h"

struct vt_cursor;
struct vt_errand;
struct vt_table;

struct vt_connection {
    sqlite3 *db;
    int refs;                   /* guarded by the list's mutex */
    struct vt_connection *next; /* guarded by the list's mutex */
    struct vt_space *spaces;
    bool hook_allowed;   /* our own statement on the hook table is running (hook.h) */
    bool hook_joined;    /* the hook table takes part in the transaction */
    bool watching;       /* we shall be told of the end of the transaction of BEGIN (hook.h) */
    sqlite3_stmt *watch; /* writes the table for that; NULL: not made yet. Only while an LSM table is connected */
    unsigned watches_made;
    bool watch_runs;
    bool checking;            /* lsm_check() or PRAGMA integrity_check is reading */
    bool watch_unwanted;      /* it is to be let go of when it has run */
    struct vt_errand *errand; /* for the statement that runs (errand.h) */
    uint64_t changes;         /* rows of LSM tables changed, as SQLite counts them: calls of xUpdate that went well */
};

struct vt_space {
    struct vt_connection *connection;
    struct vt_space *next;
    char *schema;
    char *synchronous_sql;  /* asks for PRAGMA synchronous of the schema */
    int tables;             /* virtual tables connected */
    struct vt_table *first; /* these */
    int bound;              /* of these, how many rely on the open store (table.h) */
    /* The store: NULL until first use. */
    struct vt_place place;  /* of the open store */
    struct lsm_env *memory; /* the file system of a store in memory; kept while the space lives */
    struct vt_shared *shared;
    struct lsm_store *store;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    uint32_t serial; /* changes whenever `store` becomes another one */
    /* What is going on in it. */
    struct vt_txn txn;
    struct vt_views views;
    struct vt_cursor *cursors; /* open ones */
    struct vt_lookups lookups;
    struct vt_wal_mode wal_mode;
    struct vt_asked asked;
    enum vt_accept accept;
};

/* The one object of this handle; made if need be. Counts a reference. NULL if out of memory. Locks: takes the list's. */
struct vt_connection *vt_connection_ref(sqlite3 *db);
/* Takes void * to serve as the destructor of modules and functions. The last one closes the stores. */
void vt_connection_unref(void *connection);

/* The space of a schema; made if need be. NULL if out of memory. Also lets go of stores whose database was detached. */
struct vt_space *vt_space_find(struct vt_connection *connection, const char *schema);

enum vt_open_mode {
    VT_OPEN_EXISTING, /* the store must be there */
    VT_OPEN_CREATE    /* it may be made */
};

/* Have the store with this id open in the space. An open one with another id is let go of if nobody uses it.
 * SQLITE_CANTOPEN: there is none, with a message that says what happened and what to do. */
int vt_space_open(struct vt_space *space, const uint8_t *store_id, enum vt_open_mode mode, char **message) LSM_MUST_CHECK;

/* True if a transaction or a view of the space's store is open. */
bool vt_space_is_busy(const struct vt_space *space);

#endif
