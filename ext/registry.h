/* registry.h: the stores this process has open, one per environment and directory, shared by all connections and threads.
 *
 * Opening and closing may take long (recovery, joining threads) and are done outside the registry's lock: who asks for the same directory
 * meanwhile waits, others do not. The last release closes the store. A child of fork() never gets a store of its parent.
 */
#ifndef VT_REGISTRY_H
#define VT_REGISTRY_H

#include "../lsm_core/lsm.h"

struct vt_shared;

/* The store at options->dir of options->env: the one already open (the other options are then not looked at, but the id must match: LSM_MISMATCH), or
 * opened now. A single one (in an environment of its own) is neither looked for nor found by others.
 * Owned by the caller: vt_registry_release(). Status and err as lsm_store_open(). Locks: takes the registry's. */
int vt_registry_acquire(const struct lsm_options *options, bool single, struct vt_shared **shared, struct lsm_error *err) LSM_MUST_CHECK;
/* NULL is allowed. */
void vt_registry_release(struct vt_shared *shared);

struct lsm_store *vt_shared_store(const struct vt_shared *shared);

/* "There may be trees that no schema names": true from the opening on until somebody has looked, and again whenever a
 * tree may have been left behind. Threads: any. */
bool vt_shared_garbage_due(const struct vt_shared *shared);
void vt_shared_garbage_set(struct vt_shared *shared, bool due);

/* "This database file and the store belong to one history" (decide.h), found once for all connections. Locks: takes the registry's. */
bool vt_shared_fits(struct vt_shared *shared, uint64_t device, uint64_t inode);
void vt_shared_set_fits(struct vt_shared *shared, uint64_t device, uint64_t inode);

#endif
