/* hash.h: XXH3-64 from xxHash, for checksums and filters. */
#ifndef LSM_CODEC_HASH_H
#define LSM_CODEC_HASH_H

#include "../base/base.h"

/* XXH3 64-bit of the bytes with a seed. The value is part of the file formats (docs/format.md). */
uint64_t lsm_hash(const void *data, size_t size, uint64_t seed);

/* The same over pieces. Opaque state, lives on the heap. */
struct lsm_hasher;
struct lsm_hasher *lsm_hasher_new(uint64_t seed); /* NULL: out of memory */
void lsm_hasher_add(struct lsm_hasher *hasher, const void *data, size_t size);
uint64_t lsm_hasher_digest(const struct lsm_hasher *hasher);
void lsm_hasher_free(struct lsm_hasher *hasher);

#endif
