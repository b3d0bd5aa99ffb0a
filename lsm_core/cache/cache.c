/* Slots that point at entries; who is in them is noted in the rings of a few shards, for a hand that goes round and pushes out what was not asked for.
 *
 * Invariants
 * 1. A filled slot stands in the ring of its shard, once; only that shard's mutex fills it, empties it and moves it there.
 * 2. Pinning is counted first and looks second; emptying looks at the count, empties the slot, and looks at the count again. All of it is sequentially
 *    consistent, so one of the two sees the other: either the reader finds the slot empty, or the hand finds the pin and puts the entry back.
 *    An entry that was taken out with no pin at the second look is nobody's, and its memory is free.
 * 3. Who unpins does not touch the entry any more after the count went down. The slot it was in is its owner's, who is still there.
 * 4. The bound is global (bytes), not per shard: a small cache is not cut into useless pieces. The hand takes one shard after another, never holding
 *    two mutexes.
 * 5. What is larger than the whole bound never gets a slot and is not counted: one big value does not empty the cache.
 */
#include "cache.h"

#include "../env/sync.h"

#include <assert.h>

#define SHARDS             16u /* a power of two; more than any number of readers we expect at once */
#define RING_FIRST         64u
#define PREFETCH_LINES     9u   /* a data block's head: entry, view, column, offsets, shared bytes */
#define PREFETCH_LINES_MAX 128u /* of what is wanted next: more would push out what is used now */
#define ENTRY_STEP         64u  /* sizes of entries are rounded up to this, ... */
#define SPARE_WASTE        16u  /* ... and one may lie where another was that was larger by this part of it */
#define SPARES             4u   /* pieces of memory a shard keeps for the next entries */
#define SPARE_BYTES_MAX    16384u
#define PIN                2u
#define USED               1u

struct shard {
    struct lsm_mutex mu;
    /* Guarded by mu. */
    struct lsm_cache_slot **ring;
    uint32_t count, room, hand;
    struct lsm_cache_entry *spares[SPARES];
    unsigned spares_count;
    /* Atomic; an increment may be lost. */
    _Atomic uint64_t hits, misses;
    char pad[64]; /* keeps the next shard's mutex off this cache line */
};

struct lsm_cache {
    _Atomic size_t capacity;
    _Atomic size_t bytes;        /* of all entries in slots */
    _Atomic int64_t held;        /* lsm_cache_hold() */
    _Atomic unsigned next;       /* shard to take the next victim from */
    _Atomic unsigned next_spare; /* shard to look for spare memory in */
    struct shard shards[SHARDS];
};

static struct shard *shard_of(struct lsm_cache *cache, const struct lsm_cache_slot *slot) {
    uint64_t hash = (uint64_t)(uintptr_t)slot * 0x9e3779b97f4a7c15u;
    return &cache->shards[hash >> 60];
}

static void count_up(_Atomic uint64_t *counter) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* The smallest spare that fits, or NULL. Needs the shard's mutex. */
static struct lsm_cache_entry *take_spare(struct shard *shard, size_t size) {
    unsigned best = SPARES;
    for (unsigned i = 0; i < shard->spares_count; i++) {
        size_t spare = shard->spares[i]->bytes;
        if (spare < size || spare > size + size / SPARE_WASTE) continue;
        if (best == SPARES || spare < shard->spares[best]->bytes) best = i;
    }
    if (best == SPARES) return NULL;
    struct lsm_cache_entry *entry = shard->spares[best];
    shard->spares[best] = shard->spares[--shard->spares_count];
    return entry;
}

/* Keep memory for the next entries; returns what is to be freed, if anything: of too many the smallest, which fits the fewest. Needs the shard's mutex. */
static struct lsm_cache_entry *keep_spare(struct shard *shard, struct lsm_cache_entry *entry) {
    if (entry->bytes > SPARE_BYTES_MAX) return entry;
    if (shard->spares_count < SPARES) {
        shard->spares[shard->spares_count++] = entry;
        return NULL;
    }
    for (unsigned i = 0; i < SPARES; i++) {
        struct lsm_cache_entry *spare = shard->spares[i];
        if (spare->bytes >= entry->bytes) continue;
        shard->spares[i] = entry;
        entry = spare;
    }
    return entry;
}

struct lsm_cache_entry *lsm_cache_entry_new(struct lsm_cache *cache, size_t bytes) {
    if (bytes > SIZE_MAX - ENTRY_STEP) return NULL; /* LCOV_EXCL_BR_LINE: no block is so large */
    size_t size = (bytes + ENTRY_STEP - 1) / ENTRY_STEP * ENTRY_STEP;
    struct lsm_cache_entry *entry = NULL;
    if (cache != NULL && size <= SPARE_BYTES_MAX) {
        unsigned at = atomic_load_explicit(&cache->next_spare, memory_order_relaxed);
        struct shard *shard = &cache->shards[at % SHARDS];
        lsm_mutex_lock(&shard->mu);
        entry = take_spare(shard, size);
        lsm_mutex_unlock(&shard->mu);
        if (entry != NULL) size = entry->bytes;
    }
    if (entry == NULL) entry = lsm_malloc(size);
    if (entry != NULL) *entry = (struct lsm_cache_entry){.bytes = size};
    return entry;
}

void lsm_cache_entry_free(struct lsm_cache_entry *entry) { lsm_free(entry); }

/* ---- one shard; all of these need its mutex ------------------------------------------------------------------- */

static void ring_remove(struct shard *shard, const struct lsm_cache_slot *slot) {
    struct lsm_cache_slot *last = shard->ring[--shard->count];
    shard->ring[slot->place] = last;
    last->place = slot->place;
}

/* Without memory the ring stays as it is. */
static bool ring_add(struct shard *shard, struct lsm_cache_slot *slot) {
    if (shard->count == shard->room) {
        struct lsm_cache_slot **ring = lsm_realloc(shard->ring, (size_t)shard->room * 2 * sizeof(struct lsm_cache_slot *));
        if (ring == NULL) return false;
        shard->ring = ring;
        shard->room *= 2;
    }
    slot->place = shard->count;
    shard->ring[shard->count++] = slot;
    return true;
}

/* Empty a filled slot (invariant 2). The entry, or NULL if it is pinned. */
static struct lsm_cache_entry *empty_slot(struct lsm_cache *cache, struct shard *shard, struct lsm_cache_slot *slot) {
    struct lsm_cache_entry *entry = atomic_load_explicit(&slot->entry, memory_order_relaxed);
    if (atomic_load(&slot->pins) >= PIN) return NULL;
    atomic_store(&slot->entry, NULL);
    if (atomic_load(&slot->pins) >= PIN) { /* LCOV_EXCL_BR_LINE: pinned since the look above */
        atomic_store(&slot->entry, entry);
        return NULL;
    }
    (void)atomic_fetch_and_explicit(&slot->pins, ~USED, memory_order_relaxed); /* the next one in it has not been asked for yet */
    ring_remove(shard, slot);
    (void)atomic_fetch_sub_explicit(&cache->bytes, entry->bytes, memory_order_relaxed);
    return entry;
}

/* One victim at most, for the caller to free, or kept as spare memory. False: everything is pinned, or was asked for since the last visit; then
 * it is no longer marked so. */
static bool evict_one(struct lsm_cache *cache, struct shard *shard, struct lsm_cache_entry **victim) {
    *victim = NULL;
    for (uint32_t left = shard->count; left > 0; left--) {
        if (shard->hand >= shard->count) shard->hand = 0;
        struct lsm_cache_slot *slot = shard->ring[shard->hand];
        uint32_t pins = atomic_load_explicit(&slot->pins, memory_order_relaxed);
        if (pins == USED) (void)atomic_fetch_and_explicit(&slot->pins, ~USED, memory_order_relaxed);
        struct lsm_cache_entry *entry = pins == 0 ? empty_slot(cache, shard, slot) : NULL;
        shard->hand++; /* the youngest, which took the victim's place, is the last to be visited again */
        if (entry == NULL) continue;
        if (shard->hand < shard->count) __builtin_prefetch(shard->ring[shard->hand]); /* the next one to go is not in the processor's cache */
        *victim = keep_spare(shard, entry);
        return true;
    }
    return false;
}

/* ---- the whole cache ------------------------------------------------------------------------------------------ */

/* Capacity that is left for entries. */
static int64_t bound(const struct lsm_cache *cache) {
    int64_t capacity = (int64_t)atomic_load_explicit(&cache->capacity, memory_order_relaxed),
            held = atomic_load_explicit(&cache->held, memory_order_relaxed);
    if (held > capacity / 2) held = capacity / 2;
    return capacity - held;
}

static bool is_over(const struct lsm_cache *cache) { return (int64_t)atomic_load_explicit(&cache->bytes, memory_order_relaxed) > bound(cache); }

/* Until the bound holds or two whole rounds (the first may only have unmarked) found nothing that may go.
 * Locks: takes shard mutexes, one at a time. */
static void trim(struct lsm_cache *cache) {
    unsigned barren = 0;
    while (barren < 2 * SHARDS && is_over(cache)) {
        struct lsm_cache_entry *victim;
        unsigned at = atomic_fetch_add_explicit(&cache->next, 1, memory_order_relaxed);
        struct shard *shard = &cache->shards[at % SHARDS];
        lsm_mutex_lock(&shard->mu);
        barren = evict_one(cache, shard, &victim) ? 0 : barren + 1;
        lsm_mutex_unlock(&shard->mu);
        atomic_store_explicit(&cache->next_spare, at, memory_order_relaxed);
        lsm_free(victim);
    }
}

struct lsm_cache *lsm_cache_new(size_t capacity_bytes) {
    struct lsm_cache *cache = lsm_calloc(1, sizeof *cache);
    if (cache == NULL) return NULL;
    atomic_init(&cache->capacity, capacity_bytes);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        shard->room = RING_FIRST;
        shard->ring = lsm_calloc(RING_FIRST, sizeof(struct lsm_cache_slot *));
        if (shard->ring != NULL && lsm_mutex_init(&shard->mu) == LSM_OK) continue;
        lsm_free(shard->ring);
        while (i-- > 0) {
            lsm_mutex_release(&cache->shards[i].mu);
            lsm_free(cache->shards[i].ring);
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
        assert(shard->count == 0);
        while (shard->spares_count > 0) lsm_free(shard->spares[--shard->spares_count]);
        lsm_mutex_release(&shard->mu);
        lsm_free(shard->ring);
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

size_t lsm_cache_room(const struct lsm_cache *cache) {
    int64_t room = bound(cache) - (int64_t)atomic_load_explicit(&cache->bytes, memory_order_relaxed);
    return room < 0 ? 0 : (size_t)room;
}

/* The lines of what is there, all at once: one wait for memory instead of one after the other. */
static void prefetch(const struct lsm_cache_entry *entry, size_t lines) {
    uintptr_t line = (uintptr_t)entry; /* a number: there may be no entry, and the lines may reach beyond it */
    for (size_t i = 0; i < lines; i++, line += 64) __builtin_prefetch((const void *)line);
}

void lsm_cache_prefetch(const struct lsm_cache_slot *slot, size_t bytes) {
    const struct lsm_cache_entry *entry = atomic_load_explicit(&slot->entry, memory_order_relaxed);
    size_t lines = bytes / 64;
    if (entry != NULL) prefetch(entry, lines < PREFETCH_LINES_MAX ? lines : PREFETCH_LINES_MAX);
}

struct lsm_cache_entry *lsm_cache_pin(struct lsm_cache *cache, struct lsm_cache_slot *slot) {
    struct shard *shard = shard_of(cache, slot);
    struct lsm_cache_entry *entry = atomic_load_explicit(&slot->entry, memory_order_relaxed);
    if (entry != NULL) {
        prefetch(entry, PREFETCH_LINES);
        uint32_t before = atomic_fetch_add(&slot->pins, PIN);
        entry = atomic_load(&slot->entry);
        if (entry == NULL)
            (void)atomic_fetch_sub(&slot->pins, PIN);
        else if ((before & USED) == 0)
            (void)atomic_fetch_or_explicit(&slot->pins, USED, memory_order_relaxed);
    }
    count_up(entry != NULL ? &shard->hits : &shard->misses);
    return entry;
}

struct lsm_cache_entry *lsm_cache_insert(struct lsm_cache *cache, struct lsm_cache_slot *slot, struct lsm_cache_entry *entry) {
    struct shard *shard = shard_of(cache, slot);
    if (entry->bytes > atomic_load_explicit(&cache->capacity, memory_order_relaxed)) return entry;
    lsm_mutex_lock(&shard->mu);
    struct lsm_cache_entry *first = atomic_load_explicit(&slot->entry, memory_order_relaxed);
    bool added = first == NULL && ring_add(shard, slot);
    if (first != NULL || added) (void)atomic_fetch_add(&slot->pins, PIN);
    if (added) {
        entry->slot = slot;
        (void)atomic_fetch_add_explicit(&cache->bytes, entry->bytes, memory_order_relaxed);
        atomic_store(&slot->entry, entry);
    }
    lsm_mutex_unlock(&shard->mu);
    if (first != NULL) {
        lsm_free(entry);
        return first;
    }
    if (added && is_over(cache)) trim(cache);
    return entry;
}

void lsm_cache_unpin(struct lsm_cache *cache, struct lsm_cache_entry *entry) {
    if (entry->slot == NULL) {
        lsm_free(entry);
        return;
    }
    uint32_t before = atomic_fetch_sub(&entry->slot->pins, PIN);
    assert(before >= PIN); /* from here on another thread may have freed the entry (invariant 3) */
    if (before < 2 * PIN && is_over(cache)) trim(cache);
}

void lsm_cache_erase(struct lsm_cache *cache, struct lsm_cache_slot *slot) {
    struct shard *shard = shard_of(cache, slot);
    lsm_mutex_lock(&shard->mu); /* for an empty slot, too: the hand may have emptied it just now, and still looks at its pins */
    bool filled = atomic_load_explicit(&slot->entry, memory_order_relaxed) != NULL;
    struct lsm_cache_entry *entry = filled ? empty_slot(cache, shard, slot) : NULL;
    lsm_mutex_unlock(&shard->mu);
    lsm_free(entry);
}

void lsm_cache_stats(const struct lsm_cache *cache, struct lsm_cache_stats *stats) {
    *stats = (struct lsm_cache_stats){.bytes = atomic_load_explicit(&cache->bytes, memory_order_relaxed)};
    for (unsigned i = 0; i < SHARDS; i++) {
        stats->hits += atomic_load_explicit(&cache->shards[i].hits, memory_order_relaxed);
        stats->misses += atomic_load_explicit(&cache->shards[i].misses, memory_order_relaxed);
    }
}
