/* arena.h: memory that is only ever added to and goes all at once, addressed by 32-bit offsets.
 *
 * An offset counts units of 8 bytes; 0 is never given out and means "none". One thread allocates; any thread may turn an offset
 * it has learned (through an acquire load or a lock) into a pointer, without locks, while the allocating thread goes on.
 *
 * Two lanes draw from separate chunks, so that what is searched together lies together; while the arena is small they share.
 * Chunks grow with the arena, from 4 KiB to 4 MiB; what would waste much of a chunk gets one of its own.
 */
#ifndef LSM_BASE_ARENA_H
#define LSM_BASE_ARENA_H

#include <stdatomic.h>

#include "base.h"

/* Each chunk owns 4 MiB of offsets, however much of them it has: 8192 chunks in all. */
#define LSM_ARENA_UNIT_BYTES  8u
#define LSM_ARENA_CHUNK_SHIFT 19 /* units: 4 MiB */
#define LSM_ARENA_LEAF_SHIFT  6  /* chunks per leaf of the chunk table: 64, so that an arena takes 1.5 KiB before its first chunk */
#define LSM_ARENA_LEAVES      128

enum lsm_arena_lane { LSM_ARENA_DATA = 0, LSM_ARENA_INDEX = 1 };
#define LSM_ARENA_LANES 2

struct lsm_arena_leaf {
    _Atomic(uint8_t *) chunk[1u << LSM_ARENA_LEAF_SHIFT];
};

/* Where the next allocation of a lane goes. */
struct lsm_arena_cursor {
    uint8_t *memory; /* the lane's current chunk, NULL before the first */
    uint32_t number; /* of that chunk */
    size_t used, bytes;
};

/* A state to come back to. */
struct lsm_arena_mark {
    struct lsm_arena_cursor cursor[LSM_ARENA_LANES];
    uint32_t chunks, leaves; /* leaves: of the chunk table, beyond the first */
    size_t bytes;
};

struct lsm_arena {
    struct lsm_arena_mark now;                               /* allocating thread only */
    _Atomic size_t bytes;                                    /* now.bytes, for everybody */
    _Atomic(struct lsm_arena_leaf *) leaf[LSM_ARENA_LEAVES]; /* an entry changes from NULL once, before any offset needs it */
    struct lsm_arena_leaf first;
};

/* Takes no memory. The arena must not be moved afterwards. */
void lsm_arena_init(struct lsm_arena *arena);
/* Frees every chunk; leaves it as after lsm_arena_init(). */
void lsm_arena_release(struct lsm_arena *arena);

/* bytes of memory, aligned to 8, not cleared; *offset (may be NULL) is its offset. NULL: out of memory or of offsets, nothing
 * changed. Offsets inside the piece are offset + n / 8 for every n a multiple of 8 below 64 KiB, no further. */
void *lsm_arena_alloc(struct lsm_arena *arena, enum lsm_arena_lane lane, size_t bytes, uint32_t *offset);

/* Give back everything allocated since the mark. Allocating thread only, and only what no other thread was told of. */
static inline struct lsm_arena_mark lsm_arena_mark(const struct lsm_arena *arena) { return arena->now; }
void lsm_arena_rewind(struct lsm_arena *arena, const struct lsm_arena_mark *mark);

/* Needs: an offset given by lsm_arena_alloc(). Relaxed loads suffice: whoever handed the offset over also handed over the table. */
static inline void *lsm_arena_at(const struct lsm_arena *arena, uint32_t offset) {
    uint32_t number = offset >> LSM_ARENA_CHUNK_SHIFT;
    struct lsm_arena_leaf *leaf = atomic_load_explicit(&arena->leaf[number >> LSM_ARENA_LEAF_SHIFT], memory_order_relaxed);
    uint8_t *chunk = atomic_load_explicit(&leaf->chunk[number & ((1u << LSM_ARENA_LEAF_SHIFT) - 1)], memory_order_relaxed);
    return chunk + (size_t)(offset & ((1u << LSM_ARENA_CHUNK_SHIFT) - 1)) * LSM_ARENA_UNIT_BYTES;
}

/* Bytes held by chunks and tables, the struct itself not counted. Any thread. */
static inline size_t lsm_arena_bytes(const struct lsm_arena *arena) { return atomic_load_explicit(&arena->bytes, memory_order_relaxed); }

#endif
