/* cache.h: decoded blocks kept in memory, shared by all stores of the process, bounded in bytes.
 *
 * An entry is found by (owner, offset): owner is a number given to one open table file by lsm_cache_owner_new(), never used twice.
 * Entries in use are pinned and do not go; what is over the bound then goes at release. Threads welcome; sharded locks, each
 * held for a few instructions.
 */
#ifndef LSM_CACHE_CACHE_H
#define LSM_CACHE_CACHE_H

#include "../base/base.h"

#include <stdatomic.h>

struct lsm_cache;

/* First member of what is cached. The cache owns it from insert on and calls free_fn when nobody holds it any more. */
struct lsm_cache_entry {
    struct lsm_cache_entry *chain;           /* private */
    struct lsm_cache_entry *lru_prev, *lru_next; /* private (or whatever the replacement policy wants) */
    uint64_t owner, offset;                  /* private */
    size_t charge;                           /* private: bytes it counts for */
    _Atomic uint32_t pins;                   /* private */
    bool used;                               /* private: asked for since the queue last came by */
    bool loose;                              /* private: not in a table, freed at its only unpin */
    void (*free_fn)(struct lsm_cache_entry *entry);
};

struct lsm_cache *lsm_cache_new(size_t capacity_bytes); /* NULL: out of memory */
void lsm_cache_free(struct lsm_cache *cache);           /* needs: nothing pinned */
void lsm_cache_set_capacity(struct lsm_cache *cache, size_t capacity_bytes);
size_t lsm_cache_capacity(const struct lsm_cache *cache);
/* Memory that belongs to the cached blocks but does not go with them (indexes and filters of open tables) was taken, or given back (negative). It counts
 * against the capacity, for a half of it at most. */
void lsm_cache_hold(struct lsm_cache *cache, int64_t bytes);

uint64_t lsm_cache_owner_new(struct lsm_cache *cache);
/* Drop every entry of an owner; none of them may be pinned. */
void lsm_cache_owner_drop(struct lsm_cache *cache, uint64_t owner);
/* Drop one entry, if it is there and not pinned: cheaper than owner_drop for who knows his offsets. */
void lsm_cache_erase(struct lsm_cache *cache, uint64_t owner, uint64_t offset);

/* The entry, pinned, or NULL. */
struct lsm_cache_entry *lsm_cache_lookup(struct lsm_cache *cache, uint64_t owner, uint64_t offset);
/* Put an entry in and pin it. If another got there first, that one is returned pinned and `entry` is freed. Never fails. */
struct lsm_cache_entry *lsm_cache_insert(struct lsm_cache *cache, uint64_t owner, uint64_t offset, size_t charge,
                                         void (*free_fn)(struct lsm_cache_entry *), struct lsm_cache_entry *entry);
void lsm_cache_unpin(struct lsm_cache *cache, struct lsm_cache_entry *entry);

struct lsm_cache_stats { uint64_t hits, misses; size_t bytes; };
void lsm_cache_stats(const struct lsm_cache *cache, struct lsm_cache_stats *stats);

#endif
