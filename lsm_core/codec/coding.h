/* coding.h: integers in bytes, and a bounded decoder whose error sticks.
 *
 * Fixed integers are little-endian. A varint is LEB128: 7 bits a byte, low bits first, at most 10 bytes, no more bytes than
 * needed (an overlong one is an error, so that every value has one encoding).
 */
#ifndef LSM_CODEC_CODING_H
#define LSM_CODEC_CODING_H

#include "../base/base.h"

#define LSM_VARINT_BYTES_MAX 10

static inline void lsm_store_u16(uint8_t *p, uint16_t v) { for (int i = 0; i < 2; i++) p[i] = (uint8_t)(v >> (8 * i)); }
static inline void lsm_store_u32(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i)); }
static inline void lsm_store_u64(uint8_t *p, uint64_t v) { for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (8 * i)); }
static inline uint16_t lsm_load_u16(const uint8_t *p) { return (uint16_t)(p[0] | (uint16_t)(p[1] << 8)); }
static inline uint32_t lsm_load_u32(const uint8_t *p) { uint32_t v = 0; for (int i = 3; i >= 0; i--) v = v << 8 | p[i]; return v; }
static inline uint64_t lsm_load_u64(const uint8_t *p) { uint64_t v = 0; for (int i = 7; i >= 0; i--) v = v << 8 | p[i]; return v; }
/* Big-endian, for bytes that must sort as numbers. */
static inline void lsm_store_be32(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i)); }
static inline uint32_t lsm_load_be32(const uint8_t *p) { uint32_t v = 0; for (int i = 0; i < 4; i++) v = v << 8 | p[i]; return v; }
static inline uint64_t lsm_load_be64(const uint8_t *p) { uint64_t v = 0; for (int i = 0; i < 8; i++) v = v << 8 | p[i]; return v; }

/* Writes v and returns the number of bytes, 1 .. LSM_VARINT_BYTES_MAX. */
static inline size_t lsm_store_varint(uint8_t *p, uint64_t v) {
    size_t n = 0;
    while (v >= 0x80) { p[n++] = (uint8_t)(v | 0x80); v >>= 7; }
    p[n++] = (uint8_t)v;
    return n;
}

/* Appending to a buffer; LSM_NOMEM or LSM_OK. */
int lsm_put_u8(struct lsm_buf *buf, uint8_t v) LSM_MUST_CHECK;
int lsm_put_u16(struct lsm_buf *buf, uint16_t v) LSM_MUST_CHECK;
int lsm_put_u32(struct lsm_buf *buf, uint32_t v) LSM_MUST_CHECK;
int lsm_put_u64(struct lsm_buf *buf, uint64_t v) LSM_MUST_CHECK;
int lsm_put_varint(struct lsm_buf *buf, uint64_t v) LSM_MUST_CHECK;
/* Varint length, then the bytes. */
int lsm_put_bytes(struct lsm_buf *buf, struct lsm_slice bytes) LSM_MUST_CHECK;

/* Reads from [p, end). Once anything is out of bounds or malformed, failed is set, every later read returns 0 or an empty slice
 * and moves nothing: check once, at the end (or before trusting a length). Nothing read is ever outside the range. */
struct lsm_decoder {
    const uint8_t *p, *end;
    bool failed;
};

static inline struct lsm_decoder lsm_decoder_of(struct lsm_slice bytes) {
    static const uint8_t nothing;
    const uint8_t *p = bytes.data == NULL ? &nothing : bytes.data;
    return (struct lsm_decoder){.p = p, .end = p + bytes.size, .failed = false};
}
static inline size_t lsm_decoder_left(const struct lsm_decoder *d) { return d->failed ? 0 : (size_t)(d->end - d->p); }

uint8_t lsm_get_u8(struct lsm_decoder *d);
uint16_t lsm_get_u16(struct lsm_decoder *d);
uint32_t lsm_get_u32(struct lsm_decoder *d);
uint64_t lsm_get_u64(struct lsm_decoder *d);
uint64_t lsm_get_varint(struct lsm_decoder *d);
struct lsm_slice lsm_get_fixed(struct lsm_decoder *d, size_t size);
/* Length-prefixed bytes, at most size_max of them. */
struct lsm_slice lsm_get_bytes(struct lsm_decoder *d, size_t size_max);

#endif
