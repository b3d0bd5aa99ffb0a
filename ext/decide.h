/* decide.h: transactions that the database file decides, and whether the file and the store belong to one history.
 *
 * A store's log holds at most one PREPARE whose end is not known (lsm.h). It was committed if and only if its token stands in a shadow table of
 * the store; with a token of zeros, if no shadow table names the store. Any snapshot of the database may say yes. Only one under the database's
 * write lock may say no.
 */
#ifndef VT_DECIDE_H
#define VT_DECIDE_H

#include "shadow.h"

struct vt_space;

/* The last question to the database that was answered with no; the same answer holds in the same snapshot. */
struct vt_asked {
    bool valid;
    unsigned data_version;
    uint8_t token[LSM_TOKEN_BYTES];
};

/* For readers: make what the connection's snapshot of the database shows as committed visible in the store, too. Quick when nothing is pending.
 * What cannot be asked has not been seen; fails only if SQLite has undone the transaction meanwhile. */
int vt_decide_ask(struct vt_space *space, char **message) LSM_MUST_CHECK;

/* For writers, under the database's write lock: end what is pending, if anything is. */
int vt_decide_settle(struct vt_space *space, char **message) LSM_MUST_CHECK;

/* Make what this snapshot of the database shows as durable as it gets; at synchronous = OFF that is nothing to do. */
int vt_decide_make_durable(struct vt_space *space, char **message) LSM_MUST_CHECK;

enum vt_verdict { VT_FITS, VT_NOTHING_TO_COMPARE, VT_AHEAD /* the store of its database */, VT_BEHIND };

/* A verdict against them is one on the present; fails if that cannot be looked at: SQLITE_BUSY, SQLITE_CANTOPEN ... */
int vt_decide_compare(struct vt_space *space, enum vt_verdict *verdict, char **message) LSM_MUST_CHECK;

/* Do the database and the store belong together? Looks once per opening of a store and database file. SQLITE_CORRUPT_VTAB if one is older than
 * the other, with a message that says which; SQLITE_BUSY_SNAPSHOT if this snapshot is too old to tell. */
int vt_decide_check(struct vt_space *space, char **message) LSM_MUST_CHECK;

/* COMMIT was tried and is now rolled back: has the database kept it nevertheless? An error can come after the point of no return, when the end of the
 * journal is made durable. Between xSync and the end of a transaction that the database decides, after SQLite's own rollback. In WAL mode nobody can
 * tell before the database is written again, or opened by the first one (tail.h), nor where the database cannot be read. */
enum vt_outcome { VT_OUTCOME_UNKNOWN = 0, VT_OUTCOME_COMMITTED, VT_OUTCOME_NOTHING };
enum vt_outcome vt_decide_outcome(struct vt_space *space);

/* The store does not have this tree: because the table, or its index, was dropped after the snapshot that this connection reads? Fails if the present
 * cannot be looked at. */
int vt_decide_is_dropped(struct vt_space *space, struct lsm_tree_info tree, bool *dropped, char **message) LSM_MUST_CHECK;

/* Before a table is dropped: what its shadow table knows of the store's last transaction goes to that of another one. heir: a table that is likely to have one,
 * or NULL: all are read, which takes long where there are many. */
int vt_decide_hand_over(struct vt_space *space, const char *table, const char *heir, char **message) LSM_MUST_CHECK;

/* The place for a token: in the given shadow table (NULL: none is preferred) or in any other of the store. SQLITE_NOTFOUND: no shadow table names the
 * store. The slot is to be released in any case. */
int vt_decide_slot(struct vt_space *space, const char *shadow_table, struct vt_shadow_slot *slot, char **message) LSM_MUST_CHECK;

/* Write the token into the row of one shadow table, in the database's write transaction. */
int vt_decide_write(struct vt_space *space, const char *shadow_table, const uint8_t *token, char **message) LSM_MUST_CHECK;
/* The same token into all of them. */
int vt_decide_write_all(struct vt_space *space, const uint8_t *token, char **message) LSM_MUST_CHECK;

#endif
