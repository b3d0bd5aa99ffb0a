/* cache.h: decoded blocks kept in memory, shared by all stores of the process, bounded in bytes.
 *
 * Whoever has something to cache has a slot for it: an open table file has one for each of its blocks. So a block that is there is found by
 * one load, without a lock or a search. Entries in use are pinned and do not go; what is over the bound then goes at release. Threads welcome.
 */
#ifndef LSM_CACHE_CACHE_H
#define LSM_CACHE_CACHE_H

#include "../base/base.h"

#include <stdatomic.h>

struct lsm_cache;
struct lsm_cache_slot;

/* First member of what is cached. */
struct lsm_cache_entry {
    struct lsm_cache_slot *slot; /* private; NULL: not cached */
    size_t bytes;                /* private: of memory, from here on */
};

/* Zero-initialise. Does not move or go before lsm_cache_erase(). */
struct lsm_cache_slot {
    struct lsm_cache_entry *_Atomic entry; /* private */
    _Atomic uint32_t pins;                 /* private: twice their number, and 1 if asked for since the hand last came by */
    uint32_t place;                        /* private: in the shard's ring */
};

struct lsm_cache *lsm_cache_new(size_t capacity_bytes); /* NULL: out of memory */
void lsm_cache_free(struct lsm_cache *cache);           /* needs: every slot erased */
void lsm_cache_set_capacity(struct lsm_cache *cache, size_t capacity_bytes);
size_t lsm_cache_capacity(const struct lsm_cache *cache);
/* Bytes that could be put in without pushing something out. */
size_t lsm_cache_room(const struct lsm_cache *cache);
/* Memory that belongs to the cached blocks but does not go with them (indexes and filters of open tables) was taken, or given back (negative). It counts
 * against the capacity, for a half of it at most. */
void lsm_cache_hold(struct lsm_cache *cache, int64_t bytes);

/* Memory for an entry and what follows it, `bytes` in all, not initialised behind the entry; of something that was pushed out, if that fits.
 * NULL: out of memory. cache may be NULL: there is none. */
struct lsm_cache_entry *lsm_cache_entry_new(struct lsm_cache *cache, size_t bytes);
void lsm_cache_entry_free(struct lsm_cache_entry *entry); /* of an entry that was never put in. NULL is allowed */

/* What is in the slot, pinned, or NULL. Locks: none. */
struct lsm_cache_entry *lsm_cache_pin(struct lsm_cache *cache, struct lsm_cache_slot *slot);
/* Put an entry in and pin it; it belongs to the cache from here on. If another got there first, that one is returned pinned and `entry` is freed. Never
 * fails: what finds no room in the cache's books lives until it is unpinned. */
struct lsm_cache_entry *lsm_cache_insert(struct lsm_cache *cache, struct lsm_cache_slot *slot, struct lsm_cache_entry *entry);
/* The first `bytes` of what may be in the slot are wanted soon. A hint: nothing is pinned or read. */
void lsm_cache_prefetch(const struct lsm_cache_slot *slot, size_t bytes);
void lsm_cache_unpin(struct lsm_cache *cache, struct lsm_cache_entry *entry);
/* Empty the slot, unless it is empty or pinned. Before a slot goes, it must have been erased unpinned. */
void lsm_cache_erase(struct lsm_cache *cache, struct lsm_cache_slot *slot);

/* hits and misses: what threads count at the same moment may be lost. */
struct lsm_cache_stats {
    uint64_t hits, misses;
    size_t bytes;
};
void lsm_cache_stats(const struct lsm_cache *cache, struct lsm_cache_stats *stats);

#endif
