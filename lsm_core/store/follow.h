/* follow.h: catching up with other processes: first the manifest, then the log behind what it covers.
 *
 * A process knows some version that was published and the log up to some position; both only grow. When the version covers more than was read of the log,
 * the generations are dropped and the log is followed from the version's position on ("jump"). A file that is gone was flushed, or
 * replaced by a new manifest, since its name was learned: then there is a newer version to ask for.
 *
 * While a transaction of this process writes, it is the one to add to the active generation, and nobody else writes to the log: only the version is followed.
 * Lock order: writer -> WRITER -> follow_mu -> what the version set takes -> mu.
 */
#ifndef LSM_STORE_FOLLOW_H
#define LSM_STORE_FOLLOW_H

#include "../share/share.h"
#include "replay.h"

struct lsm_state;
struct lsm_wal_writer;

/* See everything that is committed and published at the time of the call. Cheap if nothing has changed. Locks: takes follow_mu and mu if something has. */
int lsm_follow(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* The same, if another version is the present one: before work on table files. */
int lsm_follow_version(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* The same, if others have published commits that are not seen here yet: a load or two if not. */
int lsm_follow_if_behind(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* The same, and the record of a transaction that waits for its database, if one does. */
int lsm_follow_undecided(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* The first look of a process that has joined others: the present version, and the log behind it. Needs: an empty store. */
int lsm_follow_join(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;

/* The WRITER lock, for whoever is this process's writer: waits at most timeout_us for another process. Everything written so far is read then, including what a
 * process left that died while it wrote, and the store's log fields are ready for the first append. Needs: writer_active is the caller's. */
int lsm_follow_begin_write(struct lsm_store *store, uint64_t timeout_us, struct lsm_error *err) LSM_MUST_CHECK;
/* Tell the others what was written, and let them write. */
void lsm_follow_end_write(struct lsm_store *store);

/* The present state, referenced, and pinned for as long as its table files may be read. position, if not NULL: up to where this very state holds the log; what other
 * processes had published when this was called is in it. */
int lsm_store_use_state(struct lsm_store *store, struct lsm_state **state, struct lsm_share_pin *pin, uint64_t *position,
                        struct lsm_error *err) LSM_MUST_CHECK;
/* Gives both back; what nobody needs any more may leave the disk. NULL and a zero pin are allowed. */
void lsm_store_unuse_state(struct lsm_store *store, struct lsm_state *state, struct lsm_share_pin *pin);

/* ---- log files that may not be durable ---- */
/* The log goes on in this file. Locks: takes mu. */
int lsm_spans_note(struct lsm_store *store, uint64_t number, uint64_t start, struct lsm_error *err) LSM_MUST_CHECK;
/* Is there any that we do not write? Locks: takes mu. */
bool lsm_spans_wait(struct lsm_store *store);
/* Make durable what other processes wrote below `to`, in all files but that of `own`. Locks: takes mu. */
int lsm_spans_sync(struct lsm_store *store, const struct lsm_wal_writer *own, uint64_t to, struct lsm_error *err) LSM_MUST_CHECK;

#endif
