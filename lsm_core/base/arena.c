#include "arena.h"

#include <assert.h>

#define CHUNK_BYTES_MIN    ((size_t)4096)                                          /* many tables hold a few rows only */
#define CHUNK_BYTES_MAX    ((size_t)LSM_ARENA_UNIT_BYTES << LSM_ARENA_CHUNK_SHIFT) /* what a chunk's offsets can reach */
#define CHUNKS_MAX         ((uint32_t)LSM_ARENA_LEAVES << LSM_ARENA_LEAF_SHIFT)
#define LANES_APART_BYTES  ((size_t)65536) /* below this a second current chunk would only waste memory */
#define PREFAULT_BYTES_MIN ((size_t)65536) /* a smaller chunk is few faults, and may stay empty in many small tables */
#define BYTES_MAX          (SIZE_MAX / 2)

/* A new chunk is at most this part of what the arena holds (as a shift), so that the unused end stays small beside the whole. */
static const unsigned lane_share[LSM_ARENA_LANES] = {[LSM_ARENA_DATA] = 3, [LSM_ARENA_INDEX] = 5};

void lsm_arena_init(struct lsm_arena *arena) {
    memset(&arena->now, 0, sizeof arena->now);
    atomic_init(&arena->bytes, 0);
    for (size_t i = 0; i < LSM_ARENA_LEAVES; i++) atomic_init(&arena->leaf[i], NULL);
    for (size_t i = 0; i < 1u << LSM_ARENA_LEAF_SHIFT; i++) atomic_init(&arena->first.chunk[i], NULL);
    atomic_store_explicit(&arena->leaf[0], &arena->first, memory_order_relaxed);
}

static _Atomic(uint8_t *) *chunk_slot(struct lsm_arena *arena, uint32_t number) {
    struct lsm_arena_leaf *leaf = atomic_load_explicit(&arena->leaf[number >> LSM_ARENA_LEAF_SHIFT], memory_order_relaxed);
    return &leaf->chunk[number & ((1u << LSM_ARENA_LEAF_SHIFT) - 1)];
}

static void free_chunks_from(struct lsm_arena *arena, uint32_t first) {
    for (uint32_t number = first; number < arena->now.chunks; number++) {
        _Atomic(uint8_t *) *slot = chunk_slot(arena, number);
        lsm_free(atomic_load_explicit(slot, memory_order_relaxed));
        atomic_store_explicit(slot, NULL, memory_order_relaxed);
    }
}

static void free_leaves_from(struct lsm_arena *arena, uint32_t first) {
    for (uint32_t i = first + 1; i <= arena->now.leaves; i++) {
        lsm_free(atomic_load_explicit(&arena->leaf[i], memory_order_relaxed));
        atomic_store_explicit(&arena->leaf[i], NULL, memory_order_relaxed);
    }
}

void lsm_arena_release(struct lsm_arena *arena) {
    free_chunks_from(arena, 0);
    free_leaves_from(arena, 0);
    lsm_arena_init(arena);
}

static void set_bytes(struct lsm_arena *arena, size_t bytes) {
    arena->now.bytes = bytes;
    atomic_store_explicit(&arena->bytes, bytes, memory_order_relaxed);
}

/* Makes sure that the table has a place for the next chunk. */
static bool reserve_slot(struct lsm_arena *arena) {
    uint32_t number = arena->now.chunks;
    if (number >= CHUNKS_MAX) return false; /* LCOV_EXCL_BR_LINE: more than any memory */
    _Atomic(struct lsm_arena_leaf *) *place = &arena->leaf[number >> LSM_ARENA_LEAF_SHIFT];
    if (atomic_load_explicit(place, memory_order_relaxed) != NULL) return true;
    struct lsm_arena_leaf *leaf = lsm_calloc(1, sizeof *leaf);
    if (leaf == NULL) return false;
    atomic_store_explicit(place, leaf, memory_order_relaxed);
    arena->now.leaves++;
    set_bytes(arena, arena->now.bytes + sizeof *leaf);
    return true;
}

/* A chunk of its own number; *number says which. */
static uint8_t *add_chunk(struct lsm_arena *arena, size_t bytes, uint32_t *number) {
    if (!reserve_slot(arena)) return NULL;
    uint8_t *memory = lsm_malloc(bytes);
    if (memory == NULL) return NULL;
    /* A fault for each page would be the longest wait that one insert in thirty has. */
    if (bytes >= PREFAULT_BYTES_MIN) lsm_prefault(memory, bytes);
    *number = arena->now.chunks;
    atomic_store_explicit(chunk_slot(arena, *number), memory, memory_order_relaxed);
    arena->now.chunks++;
    set_bytes(arena, arena->now.bytes + bytes);
    return memory;
}

static size_t next_chunk_bytes(const struct lsm_arena *arena, enum lsm_arena_lane lane) {
    size_t bytes = CHUNK_BYTES_MIN, share = arena->now.bytes >> lane_share[lane];
    while (bytes < CHUNK_BYTES_MAX && bytes * 2 <= share) bytes *= 2;
    return bytes;
}

static uint32_t offset_of(uint32_t number, size_t byte) { return number << LSM_ARENA_CHUNK_SHIFT | (uint32_t)(byte / LSM_ARENA_UNIT_BYTES); }

/* The lane's current chunk has no room. */
static void *alloc_elsewhere(struct lsm_arena *arena, enum lsm_arena_lane lane, size_t bytes, uint32_t *offset) {
    struct lsm_arena_cursor *cursor = &arena->now.cursor[lane];
    size_t chunk_bytes = next_chunk_bytes(arena, lane);
    uint32_t number;
    /* The very first unit of the arena is lost, so that no offset is 0. */
    size_t head = arena->now.chunks == 0 ? LSM_ARENA_UNIT_BYTES : 0;
    if (bytes > chunk_bytes / 4) {
        uint8_t *memory = add_chunk(arena, bytes + head, &number);
        if (memory == NULL) return NULL;
        if (offset != NULL) *offset = offset_of(number, head);
        return memory + head;
    }
    uint8_t *memory = add_chunk(arena, chunk_bytes, &number);
    if (memory == NULL) return NULL;
    *cursor = (struct lsm_arena_cursor){.memory = memory, .number = number, .used = head + bytes, .bytes = chunk_bytes};
    if (offset != NULL) *offset = offset_of(number, head);
    return memory + head;
}

void *lsm_arena_alloc(struct lsm_arena *arena, enum lsm_arena_lane lane, size_t bytes, uint32_t *offset) {
    if (bytes > BYTES_MAX) return NULL;
    bytes = (bytes + LSM_ARENA_UNIT_BYTES - 1) / LSM_ARENA_UNIT_BYTES * LSM_ARENA_UNIT_BYTES;
    if (arena->now.bytes < LANES_APART_BYTES) lane = LSM_ARENA_DATA;
    struct lsm_arena_cursor *cursor = &arena->now.cursor[lane];
    if (cursor->bytes - cursor->used < bytes || cursor->memory == NULL) return alloc_elsewhere(arena, lane, bytes, offset);
    if (offset != NULL) *offset = offset_of(cursor->number, cursor->used);
    void *memory = cursor->memory + cursor->used;
    cursor->used += bytes;
    return memory;
}

void lsm_arena_rewind(struct lsm_arena *arena, const struct lsm_arena_mark *mark) {
    assert(mark->chunks <= arena->now.chunks);
    free_chunks_from(arena, mark->chunks);
    free_leaves_from(arena, mark->leaves);
    arena->now = *mark;
    set_bytes(arena, mark->bytes);
}
