/* world.h: a store with a few trees, beside what they should hold after each commit.
 *
 * Every step returns the engine's status and changes what is expected only if it succeeded, so the same workload serves crashes and faults.
 * The history says which states a power cut may leave: from history[durable - 1] on, plus what is just being committed.
 */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include "../../lsm_core/env/env_mem.h"
#include "model.h"

enum { WORLD_TREES = 3, WORLD_HISTORY = 1500, WORLD_EXTRAS = 8 };

struct world_state {
    struct lsm_tree_info trees[WORLD_TREES]; /* id 0: not there */
    struct model rows[WORLD_TREES];
};

struct world {
    struct lsm_env *env;
    struct lsm_options options;
    struct lsm_store *store;
    struct lsm_txn *txn;
    struct model_random random;
    uint32_t next_value;
    struct lsm_error err;                      /* of the last failure */
    struct world_state next;                   /* what the open transaction makes of it */
    struct world_state history[WORLD_HISTORY]; /* [0]: the empty store */
    size_t commits;                            /* history[commits - 1] is committed */
    size_t durable;                            /* history[durable - 1] is safe from power cuts */
    size_t normal;                             /* commits at LSM_SYNC_NORMAL or above so far, that a clean close makes durable */
    struct world_state extras[WORLD_EXTRAS];   /* prepared on top of the last commit and not decided: may be found, need not */
    size_t extras_count;
};

/* Strict memory environment, threads 0, smallest buffers, "db-lsm/store". The store is not opened. */
void world_init(struct world *world, struct lsm_env *env, uint64_t seed);

int world_open(struct world *world); /* everything found is durable then */
int world_close(struct world *world);
int world_begin(struct world *world);
int world_put(struct world *world, int slot, unsigned key);
int world_put_bytes(struct world *world, int slot, unsigned key, uint32_t value); /* this very value */
int world_delete(struct world *world, int slot, unsigned key);
int world_delete_range(struct world *world, int slot, unsigned low, unsigned high);
int world_create(struct world *world, int slot);
int world_drop(struct world *world, int slot);
int world_prepare(struct world *world, enum lsm_sync sync);
int world_commit(struct world *world, enum lsm_sync sync); /* prepares; if that fails the transaction is rolled back */
int world_rollback(struct world *world);
int world_flush(struct world *world);
int world_compact(struct world *world);
/* begin, `rows` random changes in the tree, commit. */
int world_write(struct world *world, int slot, unsigned rows, enum lsm_sync sync);

/* Which state does the store hold? *found: index into history, or commits + i for extras[i]. NULL, or why none from `low` on is it (static). */
const char *world_find(const struct world *world, struct lsm_store *store, size_t low, size_t *found);
/* After a crash the world goes on from the state that was found. */
void world_rewind(struct world *world, size_t found);
/* NULL if the store holds exactly the last commit and lsm_store_check() finds nothing. */
const char *world_differs(const struct world *world, struct lsm_store *store);
/* NULL if lsm_store_check() finds nothing, else its first finding (static). */
const char *world_check(struct lsm_store *store);

#endif
