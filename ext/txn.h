/* txn.h: the write transaction of one space: a checked state machine between SQLite's virtual-table calls and the engine.
 *
 *            begin                    prepare (xSync)
 *     IDLE ---------> OPEN --------------------------> PREPARED
 *      ^               ^ |       <----------------------  |
 *      |   rollback    | |   write, rollback_to, failure  |
 *      +---------------+-+-----------> IDLE <-------------+  commit, rollback
 *
 * One engine transaction serves all tables of the space; each of them gets SQLite's calls, the first one acts and the others find it
 * done. Whatever can fail in a commit happens in prepare: SQLite ignores what xCommit returns. xSync can come twice with writes
 * in between, or be followed by xRollback; after xCreate it comes without xBegin.
 *
 * Savepoints have SQLite's numbers. Numbers above n end when n is released or rolled back to; n itself survives the latter. A table that
 * joins late is told only the innermost one: the outer ones not marked yet hold nothing of this space then. The savepoint that began the transaction
 * itself has the number -1; nobody announces it, so it is marked at the beginning.
 */
#ifndef VT_TXN_H
#define VT_TXN_H

#include "dirty.h"
#include "pulse.h"
#include "journal.h"

struct vt_space;

enum vt_txn_state { VT_TXN_IDLE = 0, VT_TXN_OPEN, VT_TXN_PREPARED };

struct vt_mark {
    int number;       /* SQLite's */
    uint64_t mark;    /* the engine's */
    uint64_t epoch;   /* of vt_txn.epoch */
    uint64_t tick;    /* of vt_txn.tick, to tell older views from younger ones */
    uint64_t writes;  /* of vt_txn.writes */
    uint64_t changes; /* of vt_connection.changes */
};

struct vt_txn {
    enum vt_txn_state state;
    struct lsm_txn *engine; /* NULL exactly when IDLE */
    struct vt_mark *marks;  /* ascending numbers, from -1 */
    int mark_count, mark_capacity;
    struct lsm_tree_info *created; /* trees made in this transaction: not yet among the store's */
    int created_count;
    int joined;         /* tables, and the hook, that SQLite will call at the end */
    bool collected;     /* garbage was looked for and will be gone with this commit */
    uint64_t epoch;     /* number of this transaction in the space; never 0 while one is open */
    uint64_t rollbacks; /* partial ones, in this transaction */
    uint64_t writes;    /* changes so far */
    uint64_t tick;      /* counts views and marks */
    struct vt_dirty dirty;
    struct vt_pulse pulse; /* beats while the engine merges what a large transaction has written */
    /* Of the last prepare. */
    const void *leader;  /* the table, or the hook, whose xSync did it; NULL: gone */
    bool decides_itself; /* otherwise the database does (decide.h) */
    enum vt_journal journal;
    int level; /* PRAGMA synchronous */
};

/* SQLite lets go of its own write lock before it calls xCommit, so a predecessor may be just about to publish. That takes
 * microseconds, and longer only if its thread is not given the processor: so this is waited for whatever the busy timeout. */
#define VT_PREDECESSOR_WAIT_MS 2000
/* Do what the engine may refuse with LSM_BUSY: at once, then in short turns, for that long, or for the busy timeout if it is longer. In between
 * sqlite3_interrupt() and the progress handler end it: LSM_INTERRUPTED. Returns what the last turn did. */
typedef int (*vt_turn_fn)(struct vt_space *space, void *arg, int wait_ms, struct lsm_error *err);
int vt_txn_await(struct vt_space *space, vt_turn_fn turn, void *arg, struct lsm_error *err);

/* Asserts that the fields fit together. */
void vt_txn_check(const struct vt_space *space);

/* OPEN from IDLE; SQLITE_OK if it was not idle. The space's store must be open. Under the database's write lock; settles what a predecessor
 * has left undecided. SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT as the engine. */
int vt_txn_begin(struct vt_space *space, char **message) LSM_MUST_CHECK;
/* xSync of `member`, a table with this shadow table or the hook (NULL). SQLite calls every member once for each COMMIT that is tried: the first one acts. */
int vt_txn_prepare(struct vt_space *space, const void *member, const char *shadow_table, char **message) LSM_MUST_CHECK;
void vt_txn_commit(struct vt_space *space);
void vt_txn_rollback(struct vt_space *space);

int vt_txn_savepoint(struct vt_space *space, int number, char **message) LSM_MUST_CHECK;
void vt_txn_release(struct vt_space *space, int number);
int vt_txn_rollback_to(struct vt_space *space, int number, char **message) LSM_MUST_CHECK;

/* A private mark, for a statement of ours that may fail half way. SQL that fails for lack of memory or on I/O takes the whole transaction with it:
 * then there is nothing left to undo. */
struct vt_mark vt_txn_mark(struct vt_space *space);
/* It went well: the mark is needed no more. A large transaction keeps apart what marks separate, so those made for every row must go. */
void vt_txn_unmark(struct vt_space *space, const struct vt_mark *mark);
int vt_txn_undo(struct vt_space *space, const struct vt_mark *mark, char **message) LSM_MUST_CHECK;

/* The value of a key as the transaction sees it, open or prepared; value may be NULL. What is read lives until it is released, before the transaction ends.
 * SQLITE_NOTFOUND. */
int vt_txn_get(struct vt_space *space, uint32_t tree, struct lsm_slice key, struct lsm_value *value, char **message) LSM_MUST_CHECK;

/* Changes, in a transaction that is open or prepared. */
int vt_txn_put(struct vt_space *space, uint32_t tree, struct lsm_slice key, struct lsm_slice value, char **message) LSM_MUST_CHECK;
int vt_txn_delete(struct vt_space *space, uint32_t tree, struct lsm_slice key, char **message) LSM_MUST_CHECK;
/* Every key with low <= key < high. */
int vt_txn_delete_range(struct vt_space *space, uint32_t tree, struct lsm_slice low, struct lsm_slice high, char **message) LSM_MUST_CHECK;
int vt_txn_tree_create(struct vt_space *space, struct lsm_tree_info *tree, char **message) LSM_MUST_CHECK;
int vt_txn_tree_drop(struct vt_space *space, uint32_t tree, char **message) LSM_MUST_CHECK;

/* True if the transaction made this tree. */
bool vt_txn_made_tree(const struct vt_space *space, struct lsm_tree_info tree);

#endif
