#include "hash.h"

#define XXH_INLINE_ALL
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wcast-align"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#include <xxhash.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/* The state wants 64-byte alignment, which malloc does not promise. */
struct lsm_hasher {
    void *memory;
    XXH3_state_t state;
};

uint64_t lsm_hash(const void *data, size_t size, uint64_t seed) { return XXH3_64bits_withSeed(data, size, seed); }

struct lsm_hasher *lsm_hasher_new(uint64_t seed) {
    size_t alignment = _Alignof(struct lsm_hasher);
    uint8_t *memory = lsm_malloc(sizeof(struct lsm_hasher) + alignment);
    if (memory == NULL) return NULL;
    uintptr_t address = ((uintptr_t)memory + alignment - 1) / alignment * alignment;
    struct lsm_hasher *hasher = (void *)(memory + (address - (uintptr_t)memory));
    hasher->memory = memory;
    XXH3_INITSTATE(&hasher->state);
    (void)XXH3_64bits_reset_withSeed(&hasher->state, seed);
    return hasher;
}

void lsm_hasher_add(struct lsm_hasher *hasher, const void *data, size_t size) { (void)XXH3_64bits_update(&hasher->state, data, size); }

uint64_t lsm_hasher_digest(const struct lsm_hasher *hasher) { return XXH3_64bits_digest(&hasher->state); }

void lsm_hasher_free(struct lsm_hasher *hasher) {
    if (hasher != NULL) lsm_free(hasher->memory);
}
