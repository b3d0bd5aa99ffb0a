/* Sharded hash table with a second-chance queue per shard.
 *
 * Invariants
 * 1. An entry in a table is in exactly one shard's chain and queue; only that shard's mutex moves it.
 * 2. pins goes from 0 to 1 only under the shard's mutex; so an entry seen with 0 pins under the mutex may be removed. It goes
 *    down without the mutex, and the entry is not touched afterwards by who let go of it.
 * 3. The bound is global (bytes), not per shard: a small cache is not cut into useless pieces. Eviction takes one shard after
 *    another, never holding two mutexes; memory is freed outside of them.
 * 4. What is larger than the whole bound never enters a table ("loose") and is not counted: one big value does not empty the cache.
 */
#include "cache.h"

#include "../env/sync.h"

#include <assert.h>

#define SHARDS        16u /* a power of two; more than any number of readers we expect at once */
#define BUCKETS_FIRST 64u
#define BUCKETS_PER_ENTRY 2u /* every step along a chain is a wait for memory */
#define PREFETCH_LINES 9u    /* a data block's head: entry, view, column, offsets, shared bytes */

struct shard {
    struct lsm_mutex mu;
    /* Guarded by mu. */
    struct lsm_cache_entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    struct lsm_cache_entry queue; /* ring: queue.lru_next is the youngest, queue.lru_prev the next victim */
    /* Written under mu, read anywhere. */
    _Atomic uint64_t hits, misses;
    char pad[64]; /* keeps the next shard's mutex off this cache line */
};

struct lsm_cache {
    _Atomic size_t capacity;
    _Atomic size_t bytes; /* charge of everything in a table */
    _Atomic int64_t held; /* lsm_cache_hold() */
    _Atomic uint64_t owner_next;
    _Atomic unsigned hand; /* shard to take the next victim from */
    struct shard shards[SHARDS];
};

static uint64_t mix(uint64_t owner, uint64_t offset) {
    uint64_t h = (owner * 0x9e3779b97f4a7c15u) ^ offset;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ (h >> 32);
}

static struct shard *shard_of(struct lsm_cache *cache, uint64_t hash) { return &cache->shards[hash >> 60]; }

static void count_up(_Atomic uint64_t *counter) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* ---- one shard; all of these need its mutex ------------------------------------------------------------------- */

static struct lsm_cache_entry **slot_of(struct shard *shard, uint64_t hash, uint64_t owner, uint64_t offset) {
    struct lsm_cache_entry **slot = &shard->buckets[hash & (shard->bucket_count - 1)];
    while (*slot != NULL && ((*slot)->offset != offset || (*slot)->owner != owner)) slot = &(*slot)->chain;
    return slot;
}

/* Twice the buckets; without memory the chains just get longer. */
static void grow(struct shard *shard) {
    size_t count = shard->bucket_count * 2;
    struct lsm_cache_entry **buckets = lsm_calloc(count, sizeof *buckets);
    if (buckets == NULL) return;
    for (size_t i = 0; i < shard->bucket_count; i++) {
        struct lsm_cache_entry *next;
        for (struct lsm_cache_entry *entry = shard->buckets[i]; entry != NULL; entry = next) {
            size_t bucket = mix(entry->owner, entry->offset) & (count - 1);
            next = entry->chain;
            entry->chain = buckets[bucket];
            buckets[bucket] = entry;
        }
    }
    lsm_free(shard->buckets);
    shard->buckets = buckets;
    shard->bucket_count = count;
}

static void queue_unlink(struct lsm_cache_entry *entry) {
    entry->lru_prev->lru_next = entry->lru_next;
    entry->lru_next->lru_prev = entry->lru_prev;
}

static void queue_push(struct shard *shard, struct lsm_cache_entry *entry) {
    entry->lru_prev = &shard->queue;
    entry->lru_next = shard->queue.lru_next;
    entry->lru_next->lru_prev = entry;
    shard->queue.lru_next = entry;
}

/* Take an unpinned entry out and put it on the list of what is to be freed. */
static void detach(struct lsm_cache *cache, struct shard *shard, struct lsm_cache_entry *entry, struct lsm_cache_entry **dead) {
    struct lsm_cache_entry **slot = slot_of(shard, mix(entry->owner, entry->offset), entry->owner, entry->offset);
    assert(*slot == entry);
    *slot = entry->chain;
    queue_unlink(entry);
    shard->count--;
    (void)atomic_fetch_sub_explicit(&cache->bytes, entry->charge, memory_order_relaxed);
    entry->chain = *dead;
    *dead = entry;
}

/* One victim at most. False: everything is pinned, or was asked for since the last visit; then it is no longer marked so. */
static bool evict_one(struct lsm_cache *cache, struct shard *shard, struct lsm_cache_entry **dead) {
    for (size_t left = shard->count; left > 0; left--) {
        struct lsm_cache_entry *entry = shard->queue.lru_prev;
        bool pinned = atomic_load_explicit(&entry->pins, memory_order_acquire) != 0;
        if (!pinned && !entry->used) {
            detach(cache, shard, entry, dead);
            return true;
        }
        if (!pinned) entry->used = false;
        queue_unlink(entry);
        queue_push(shard, entry);
    }
    return false;
}

/* ---- the whole cache ------------------------------------------------------------------------------------------ */

static void free_all(struct lsm_cache_entry *dead) {
    struct lsm_cache_entry *next;
    for (; dead != NULL; dead = next) {
        next = dead->chain;
        dead->free_fn(dead);
    }
}

static bool is_over(const struct lsm_cache *cache) {
    int64_t capacity = (int64_t)atomic_load_explicit(&cache->capacity, memory_order_relaxed), held = atomic_load_explicit(&cache->held, memory_order_relaxed);
    if (held > capacity / 2) held = capacity / 2;
    return (int64_t)atomic_load_explicit(&cache->bytes, memory_order_relaxed) > capacity - held;
}

/* Until the bound holds or two whole rounds (the first may only have unmarked) found nothing that may go.
 * Locks: takes shard mutexes, one at a time. */
static void trim(struct lsm_cache *cache) {
    struct lsm_cache_entry *dead = NULL;
    unsigned barren = 0;
    while (barren < 2 * SHARDS && is_over(cache)) {
        struct shard *shard = &cache->shards[atomic_fetch_add_explicit(&cache->hand, 1, memory_order_relaxed) % SHARDS];
        lsm_mutex_lock(&shard->mu);
        barren = evict_one(cache, shard, &dead) ? 0 : barren + 1;
        lsm_mutex_unlock(&shard->mu);
    }
    free_all(dead);
}

struct lsm_cache *lsm_cache_new(size_t capacity_bytes) {
    struct lsm_cache *cache = lsm_calloc(1, sizeof *cache);
    if (cache == NULL) return NULL;
    atomic_init(&cache->capacity, capacity_bytes);
    atomic_init(&cache->owner_next, 1);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        shard->bucket_count = BUCKETS_FIRST;
        shard->buckets = lsm_calloc(BUCKETS_FIRST, sizeof *shard->buckets);
        shard->queue.lru_next = shard->queue.lru_prev = &shard->queue;
        if (shard->buckets != NULL && lsm_mutex_init(&shard->mu) == LSM_OK) continue;
        lsm_free(shard->buckets);
        while (i-- > 0) {
            lsm_mutex_release(&cache->shards[i].mu);
            lsm_free(cache->shards[i].buckets);
        }
        lsm_free(cache);
        return NULL;
    }
    return cache;
}

void lsm_cache_free(struct lsm_cache *cache) {
    if (cache == NULL) return;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        struct lsm_cache_entry *dead = NULL;
        while (shard->queue.lru_prev != &shard->queue) {
            assert(atomic_load_explicit(&shard->queue.lru_prev->pins, memory_order_acquire) == 0);
            detach(cache, shard, shard->queue.lru_prev, &dead);
        }
        free_all(dead);
        lsm_mutex_release(&shard->mu);
        lsm_free(shard->buckets);
    }
    lsm_free(cache);
}

void lsm_cache_set_capacity(struct lsm_cache *cache, size_t capacity_bytes) {
    atomic_store_explicit(&cache->capacity, capacity_bytes, memory_order_relaxed);
    trim(cache);
}

void lsm_cache_hold(struct lsm_cache *cache, int64_t bytes) {
    (void)atomic_fetch_add_explicit(&cache->held, bytes, memory_order_relaxed);
    if (is_over(cache)) trim(cache);
}

size_t lsm_cache_capacity(const struct lsm_cache *cache) { return atomic_load_explicit(&cache->capacity, memory_order_relaxed); }

uint64_t lsm_cache_owner_new(struct lsm_cache *cache) { return atomic_fetch_add_explicit(&cache->owner_next, 1, memory_order_relaxed); }

void lsm_cache_erase(struct lsm_cache *cache, uint64_t owner, uint64_t offset) {
    uint64_t hash = mix(owner, offset);
    struct shard *shard = shard_of(cache, hash);
    struct lsm_cache_entry *dead = NULL;
    lsm_mutex_lock(&shard->mu);
    struct lsm_cache_entry *entry = *slot_of(shard, hash, owner, offset);
    if (entry != NULL && atomic_load_explicit(&entry->pins, memory_order_acquire) == 0) detach(cache, shard, entry, &dead);
    lsm_mutex_unlock(&shard->mu);
    free_all(dead);
}

void lsm_cache_owner_drop(struct lsm_cache *cache, uint64_t owner) {
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        struct lsm_cache_entry *dead = NULL, *next;
        lsm_mutex_lock(&shard->mu);
        for (struct lsm_cache_entry *entry = shard->queue.lru_next; entry != &shard->queue; entry = next) {
            next = entry->lru_next;
            if (entry->owner != owner) continue;
            assert(atomic_load_explicit(&entry->pins, memory_order_acquire) == 0);
            detach(cache, shard, entry, &dead);
        }
        lsm_mutex_unlock(&shard->mu);
        free_all(dead);
    }
}

/* The first lines of what is probably meant, all at once: one wait for memory instead of one after the other. */
static void prefetch(const struct lsm_cache_entry *entry) {
    uintptr_t line = (uintptr_t)entry; /* a number: there may be no entry, and the lines may reach beyond it */
    for (unsigned i = 0; i < PREFETCH_LINES; i++, line += 64) __builtin_prefetch((const void *)line);
}

struct lsm_cache_entry *lsm_cache_lookup(struct lsm_cache *cache, uint64_t owner, uint64_t offset) {
    uint64_t hash = mix(owner, offset);
    struct shard *shard = shard_of(cache, hash);
    lsm_mutex_lock(&shard->mu);
    prefetch(shard->buckets[hash & (shard->bucket_count - 1)]);
    struct lsm_cache_entry *entry = *slot_of(shard, hash, owner, offset);
    if (entry != NULL) {
        (void)atomic_fetch_add_explicit(&entry->pins, 1, memory_order_relaxed);
        entry->used = true;
    }
    count_up(entry != NULL ? &shard->hits : &shard->misses);
    lsm_mutex_unlock(&shard->mu);
    return entry;
}

struct lsm_cache_entry *lsm_cache_insert(struct lsm_cache *cache, uint64_t owner, uint64_t offset, size_t charge,
                                         void (*free_fn)(struct lsm_cache_entry *), struct lsm_cache_entry *entry) {
    uint64_t hash = mix(owner, offset);
    struct shard *shard = shard_of(cache, hash);
    bool loose = charge > atomic_load_explicit(&cache->capacity, memory_order_relaxed);
    entry->owner = owner;
    entry->offset = offset;
    entry->charge = charge;
    entry->free_fn = free_fn;
    entry->used = false;
    entry->loose = loose;
    entry->chain = NULL;
    atomic_init(&entry->pins, 1);
    if (loose) return entry;

    lsm_mutex_lock(&shard->mu);
    struct lsm_cache_entry **slot = slot_of(shard, hash, owner, offset), *first = *slot;
    if (first != NULL) {
        (void)atomic_fetch_add_explicit(&first->pins, 1, memory_order_relaxed);
    } else {
        *slot = entry;
        queue_push(shard, entry);
        shard->count++;
        (void)atomic_fetch_add_explicit(&cache->bytes, charge, memory_order_relaxed);
        if (shard->count * BUCKETS_PER_ENTRY > shard->bucket_count) grow(shard);
    }
    lsm_mutex_unlock(&shard->mu);
    if (first != NULL) {
        free_fn(entry);
        return first;
    }
    if (is_over(cache)) trim(cache);
    return entry;
}

void lsm_cache_unpin(struct lsm_cache *cache, struct lsm_cache_entry *entry) {
    if (entry->loose) {
        assert(atomic_load_explicit(&entry->pins, memory_order_relaxed) == 1);
        entry->free_fn(entry);
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&entry->pins, 1, memory_order_release);
    assert(before > 0); /* from here on another thread may have freed the entry (invariant 2) */
    if (before == 1 && is_over(cache)) trim(cache);
}

void lsm_cache_stats(const struct lsm_cache *cache, struct lsm_cache_stats *stats) {
    *stats = (struct lsm_cache_stats){.bytes = atomic_load_explicit(&cache->bytes, memory_order_relaxed)};
    for (unsigned i = 0; i < SHARDS; i++) {
        stats->hits += atomic_load_explicit(&cache->shards[i].hits, memory_order_relaxed);
        stats->misses += atomic_load_explicit(&cache->shards[i].misses, memory_order_relaxed);
    }
}
