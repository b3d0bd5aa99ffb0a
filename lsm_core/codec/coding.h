/* coding.h: integers in bytes, and a bounded decoder whose error sticks.
 *
 * Fixed integers are little-endian. A varint is LEB128: 7 bits a byte, low bits first, at most 10 bytes, no more bytes than
 * needed (an overlong one is an error, so that every value has one encoding).
 */
#ifndef LSM_CODEC_CODING_H
#define LSM_CODEC_CODING_H

#include "../base/base.h"

#define LSM_VARINT_BYTES_MAX 10

/* A number and its bytes, by copies of known size: the compiler makes one instruction of each, which of loops over bytes it does not. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LSM_LITTLE(bits, v) (v)
#define LSM_BIG(bits, v)    __builtin_bswap##bits(v)
#else
#define LSM_LITTLE(bits, v) __builtin_bswap##bits(v)
#define LSM_BIG(bits, v)    (v)
#endif

static inline void lsm_store_u16(uint8_t *p, uint16_t v) {
    v = LSM_LITTLE(16, v);
    memcpy(p, &v, sizeof v);
}
static inline void lsm_store_u32(uint8_t *p, uint32_t v) {
    v = LSM_LITTLE(32, v);
    memcpy(p, &v, sizeof v);
}
static inline void lsm_store_u64(uint8_t *p, uint64_t v) {
    v = LSM_LITTLE(64, v);
    memcpy(p, &v, sizeof v);
}
static inline uint16_t lsm_load_u16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return LSM_LITTLE(16, v);
}
static inline uint32_t lsm_load_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return LSM_LITTLE(32, v);
}
static inline uint64_t lsm_load_u64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return LSM_LITTLE(64, v);
}
/* Big-endian, for bytes that must sort as numbers. */
static inline void lsm_store_be32(uint8_t *p, uint32_t v) {
    v = LSM_BIG(32, v);
    memcpy(p, &v, sizeof v);
}
static inline uint32_t lsm_load_be32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return LSM_BIG(32, v);
}
static inline uint64_t lsm_load_be64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return LSM_BIG(64, v);
}

/* Writes v and returns the number of bytes, 1 .. LSM_VARINT_BYTES_MAX. */
static inline size_t lsm_store_varint(uint8_t *p, uint64_t v) {
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
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
