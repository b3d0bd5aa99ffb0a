/* block.h: the payload of a data block or an index block, laid out so that it is used in place (docs/format.md, "Table files").
 *
 * A block is entries in ascending key order. What all keys begin with is stored once ("shared"); of what follows ("suffix") the
 * first 8 bytes stand in a column of numbers, the rest with the entry. A lookup is a binary search over the column.
 */
#ifndef LSM_SST_BLOCK_H
#define LSM_SST_BLOCK_H

#include "../base/base.h"

/* Readable bytes there must be behind a payload, so that short copies may be made in one move. The trailer is that long. */
#define LSM_BLOCK_SLACK         16u
#define LSM_BLOCK_COLUMN_BYTES  8u
#define LSM_BLOCK_HEAD_BYTES    8u
#define LSM_BLOCK_KEY_BYTES_MAX (LSM_KEY_BYTES_MAX + LSM_TREE_BYTES)
#define LSM_BLOCK_BYTES_MAX     ((uint64_t)UINT32_MAX)

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* A checked payload; borrows its bytes. */
struct lsm_block {
    const uint8_t *bytes;
    size_t size;
    size_t count;
    const uint8_t *column;  /* count little-endian u64 */
    const uint8_t *offsets; /* count + 1 of u16, or u32 if wide */
    struct lsm_slice shared;
    size_t suffix_bytes_max; /* longest key without shared */
    bool wide;
};

struct lsm_block_entry {
    enum lsm_kind kind;
    size_t suffix_bytes;
    const uint8_t *rest; /* the suffix behind its first 8 bytes */
    struct lsm_slice value;
};

/* Check every length once, so that nothing read later can leave the payload. NULL, or what is wrong. Order is not checked. */
const char *lsm_block_open(struct lsm_block *block, struct lsm_slice payload) LSM_MUST_CHECK;

/* Number of the first entry >= key, count if there is none. *exact: it is equal. */
size_t lsm_block_seek(const struct lsm_block *block, struct lsm_slice key, bool *exact);

static inline uint64_t lsm_block_native64(uint64_t v) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(v);
#else
    return v;
#endif
}

static inline uint64_t lsm_block_column(const struct lsm_block *block, size_t i) {
    uint64_t v;
    memcpy(&v, block->column + i * LSM_BLOCK_COLUMN_BYTES, sizeof v);
    return lsm_block_native64(v);
}

static inline size_t lsm_block_offset(const struct lsm_block *block, size_t i) {
    if (!block->wide) {
        const uint8_t *p = block->offsets + i * 2;
        return (size_t)(p[0] | (uint32_t)p[1] << 8);
    }
    const uint8_t *p = block->offsets + i * 4;
    return (size_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/* Entry i of a checked block. */
static inline struct lsm_block_entry lsm_block_entry(const struct lsm_block *block, size_t i) {
    const uint8_t *p = block->bytes + lsm_block_offset(block, i), *end = block->bytes + lsm_block_offset(block, i + 1);
    size_t head = *p++;
    if (head >= 0x80) {
        head &= 0x7f;
        for (unsigned shift = 7;; shift += 7) {
            size_t byte = *p++;
            head |= (byte & 0x7f) << shift;
            if (byte < 0x80) break;
        }
    }
    struct lsm_block_entry entry;
    entry.kind = (enum lsm_kind)(head & 3);
    entry.suffix_bytes = head >> 2;
    entry.rest = p;
    if (entry.suffix_bytes > LSM_BLOCK_COLUMN_BYTES) p += entry.suffix_bytes - LSM_BLOCK_COLUMN_BYTES;
    entry.value = lsm_slice_of(p, (size_t)(end - p));
    return entry;
}

/* Bytes of memory lsm_block_key() may write to for any key of the block. */
static inline size_t lsm_block_key_room(const struct lsm_block *block) {
    return block->shared.size + block->suffix_bytes_max + LSM_BLOCK_COLUMN_BYTES + LSM_BLOCK_SLACK;
}

/* Put the key of an entry together behind the shared bytes, which already stand at key[0 .. shared). Returns its length. */
static inline size_t lsm_block_key(const struct lsm_block *block, size_t i, const struct lsm_block_entry *entry, uint8_t *key) {
    uint8_t *suffix = key + block->shared.size;
    uint64_t column = lsm_block_column(block, i);
#if __BYTE_ORDER__ != __ORDER_BIG_ENDIAN__
    column = __builtin_bswap64(column);
#endif
    memcpy(suffix, &column, sizeof column);
    if (entry->suffix_bytes > LSM_BLOCK_COLUMN_BYTES) {
        size_t rest = entry->suffix_bytes - LSM_BLOCK_COLUMN_BYTES;
        if (rest <= LSM_BLOCK_SLACK)
            memcpy(suffix + LSM_BLOCK_COLUMN_BYTES, entry->rest, LSM_BLOCK_SLACK);
        else
            memcpy(suffix + LSM_BLOCK_COLUMN_BYTES, entry->rest, rest);
    }
    return block->shared.size + entry->suffix_bytes;
}

/* The whole key of entry i into a buffer. */
int lsm_block_key_copy(const struct lsm_block *block, size_t i, struct lsm_buf *key) LSM_MUST_CHECK;

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* One entry to encode: its key is the first `common` bytes of the block's first key, then tail. */
struct lsm_block_item {
    size_t common;
    enum lsm_kind kind;
    struct lsm_slice tail, value;
};

/* Append a payload to out. `common` must be the longest common prefix with `first`, and so does not grow along the items.
 * LSM_NOMEM, or LSM_TOOBIG if it would be larger than LSM_BLOCK_BYTES_MAX. */
int lsm_block_encode(struct lsm_slice first, const struct lsm_block_item *items, size_t count, struct lsm_buf *out) LSM_MUST_CHECK;

#endif
