/* filter.h: a Bloom filter whose bits for one key lie in one 64-byte line (docs/format.md, "Table files").
 * No false negatives; about 1 % false positives at 10 bits a key.
 */
#ifndef LSM_SST_FILTER_H
#define LSM_SST_FILTER_H

#include "../base/base.h"

#define LSM_FILTER_LINE_BYTES 64u

/* Append the payload for these key hashes. LSM_NOMEM, LSM_TOOBIG. */
int lsm_filter_encode(const uint64_t *hashes, size_t count, unsigned bits_per_key, struct lsm_buf *out) LSM_MUST_CHECK;

/* A checked payload; borrows the bytes. */
struct lsm_filter {
    const uint8_t *lines;
    uint32_t line_count;
    unsigned probes;
};

/* False: malformed. */
bool lsm_filter_open(struct lsm_filter *filter, struct lsm_slice payload) LSM_MUST_CHECK;

/* Which line, from the upper half of the hash; which bits of it, from the lower half. */
static inline uint32_t lsm_filter_line(uint64_t hash, uint32_t line_count) { return (uint32_t)(((hash >> 32) * line_count) >> 32); }
static inline uint32_t lsm_filter_step(uint32_t h) { return h * 0x9e3779b9u; }

static inline bool lsm_filter_may_contain(const struct lsm_filter *filter, uint64_t hash) {
    const uint8_t *line = filter->lines + (size_t)lsm_filter_line(hash, filter->line_count) * LSM_FILTER_LINE_BYTES;
    uint32_t h = (uint32_t)hash;
    for (unsigned i = 0; i < filter->probes; i++) {
        h = lsm_filter_step(h);
        if ((line[h >> 26] & (1u << ((h >> 23) & 7))) == 0) return false;
    }
    return true;
}

#endif
