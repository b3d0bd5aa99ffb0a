#include "block.h"

#include "../codec/coding.h"

#include <assert.h>

#define PREFETCH_ENTRIES 48u /* of the column: six lines */
#define PREFETCH_STEP    8u
#define NARROW_BYTES_MAX 0xffffu /* payloads up to this size have 2-byte offsets */

/* The first 8 bytes of a suffix as a number, zeros behind the end: orders as the bytes do, up to ties. */
static uint64_t column_of(struct lsm_slice suffix) {
    uint64_t v = 0;
    if (suffix.size >= LSM_BLOCK_COLUMN_BYTES) {
        memcpy(&v, suffix.data, sizeof v);
#if __BYTE_ORDER__ != __ORDER_BIG_ENDIAN__
        v = __builtin_bswap64(v);
#endif
        return v;
    }
    for (size_t i = 0; i < suffix.size; i++) v |= (uint64_t)suffix.data[i] << (56 - 8 * i);
    return v;
}

/* ---- checking ------------------------------------------------------------------------------------------------- */

/* The varint before a suffix that is no single byte, and how many bytes it leaves; false if it is malformed. Out of line: nearly all are single bytes. */
static __attribute__((noinline)) bool load_long_head(struct lsm_slice entry, uint64_t *head, size_t *left) {
    struct lsm_decoder d = lsm_decoder_of(entry);
    *head = lsm_get_varint(&d);
    *left = lsm_decoder_left(&d);
    return !d.failed;
}

/* The varint before a suffix, checked. */
static const char *check_entry(const struct lsm_block *block, size_t i, size_t *suffix_bytes) {
    size_t start = lsm_block_offset(block, i), end = lsm_block_offset(block, i + 1);
    if (start >= end || end > block->size) return "an entry's offsets are out of order";
    uint64_t head = block->bytes[start];
    size_t left = end - start - 1;
    bool known = head < 0x80;
    if (!known) {
        uint64_t long_head = 0; /* copies: what others have can stay in registers */
        size_t behind = 0;
        known = load_long_head(lsm_slice_of(block->bytes + start, end - start), &long_head, &behind);
        head = long_head;
        left = behind;
    }
    uint64_t kind = head & 3, suffix = head >> 2;
    if (!known || (kind != LSM_KIND_PUT && kind != LSM_KIND_DELETE)) return "an entry's head is malformed";
    if (suffix > LSM_BLOCK_KEY_BYTES_MAX - block->shared.size) return "a key is longer than keys can be";
    size_t rest = suffix > LSM_BLOCK_COLUMN_BYTES ? (size_t)suffix - LSM_BLOCK_COLUMN_BYTES : 0;
    if (rest > left) return "a key overruns its entry";
    if (kind == LSM_KIND_DELETE && rest != left) return "a tombstone has a value";
    bool padded = suffix == 0 ? lsm_block_column(block, i) == 0 : suffix >= LSM_BLOCK_COLUMN_BYTES || lsm_block_column(block, i) << (8 * suffix) == 0;
    if (!padded) return "a short key has bytes behind its end";
    *suffix_bytes = (size_t)suffix;
    return NULL;
}

const char *lsm_block_open(struct lsm_block *block, struct lsm_slice payload) {
    *block = (struct lsm_block){.bytes = payload.data, .size = payload.size, .wide = payload.size > NARROW_BYTES_MAX};
    if (payload.size < LSM_BLOCK_HEAD_BYTES) return "the block is too short";
    if (payload.size > LSM_BLOCK_BYTES_MAX) return "the block is too long";
    size_t offset_bytes = block->wide ? 4 : 2, left = payload.size - LSM_BLOCK_HEAD_BYTES;
    block->count = lsm_load_u32(payload.data);
    size_t shared = lsm_load_u32(payload.data + 4);
    if (left < offset_bytes || block->count > (left - offset_bytes) / (LSM_BLOCK_COLUMN_BYTES + offset_bytes))
        return "the entry count overruns the block";
    left -= block->count * (LSM_BLOCK_COLUMN_BYTES + offset_bytes) + offset_bytes;
    if (shared > left || shared > LSM_BLOCK_KEY_BYTES_MAX) return "the shared key bytes overrun the block";
    block->column = payload.data + LSM_BLOCK_HEAD_BYTES;
    block->offsets = block->column + block->count * LSM_BLOCK_COLUMN_BYTES;
    block->shared = lsm_slice_of(block->offsets + (block->count + 1) * offset_bytes, shared);
    if (lsm_block_offset(block, 0) != payload.size - left + shared) return "the first entry is not where it must be";
    if (lsm_block_offset(block, block->count) != payload.size) return "the last entry does not end with the block";
    for (size_t i = 0; i < block->count; i++) {
        size_t suffix = 0;
        const char *wrong = check_entry(block, i, &suffix);
        if (wrong != NULL) return wrong;
        if (suffix > block->suffix_bytes_max) block->suffix_bytes_max = suffix;
    }
    return NULL;
}

/* ---- searching ------------------------------------------------------------------------------------------------ */

/* First entry whose column is >= target. No branch depends on the data: mispredictions would cost more than the loads. */
static size_t lower_bound(const struct lsm_block *block, uint64_t target) {
    size_t base = 0, left = block->count;
    for (; left > PREFETCH_ENTRIES; left -= left / 2) base += (size_t)(lsm_block_column(block, base + left / 2 - 1) < target) * (left / 2);
    /* An index is larger than the nearest caches: its last steps wait for memory once, not one after the other. */
    for (size_t i = 0; block->count > PREFETCH_ENTRIES && i < PREFETCH_ENTRIES; i += PREFETCH_STEP)
        __builtin_prefetch(block->column + (base + i) * LSM_BLOCK_COLUMN_BYTES);
    while (left > 1) {
        size_t half = left / 2;
        base += (size_t)(lsm_block_column(block, base + half - 1) < target) * half;
        left -= half;
    }
    return base + (size_t)(left == 1 && lsm_block_column(block, base) < target);
}

/* Order of entry i and a key suffix with the same column value. */
static int compare_tie(const struct lsm_block *block, size_t i, struct lsm_slice suffix) {
    struct lsm_block_entry entry = lsm_block_entry(block, i);
    if (entry.suffix_bytes < LSM_BLOCK_COLUMN_BYTES || suffix.size < LSM_BLOCK_COLUMN_BYTES)
        return entry.suffix_bytes < suffix.size ? -1 : entry.suffix_bytes > suffix.size;
    return lsm_slice_compare(lsm_slice_of(entry.rest, entry.suffix_bytes - LSM_BLOCK_COLUMN_BYTES),
                             lsm_slice_of(suffix.data + LSM_BLOCK_COLUMN_BYTES, suffix.size - LSM_BLOCK_COLUMN_BYTES));
}

/* First entry >= suffix among those from `low` on that have its column value. */
static size_t seek_ties(const struct lsm_block *block, size_t low, uint64_t target, struct lsm_slice suffix, bool *exact) {
    size_t high = low + 1;
    if (high < block->count && lsm_block_column(block, high) == target) high = target == UINT64_MAX ? block->count : lower_bound(block, target + 1);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_tie(block, middle, suffix);
        if (order == 0) {
            *exact = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t lsm_block_seek(const struct lsm_block *block, struct lsm_slice key, bool *exact) {
    size_t shared = block->shared.size, common = key.size < shared ? key.size : shared;
    int order = common == 0 ? 0 : memcmp(key.data, block->shared.data, common);
    *exact = false;
    if (order > 0) return block->count;
    if (order < 0 || key.size < shared) return 0;
    struct lsm_slice suffix = lsm_slice_of(shared == 0 ? key.data : key.data + shared, key.size - shared);
    uint64_t target = column_of(suffix);
    size_t at = lower_bound(block, target);
    if (at == block->count || lsm_block_column(block, at) != target) return at;
    return seek_ties(block, at, target, suffix, exact);
}

int lsm_block_key_copy(const struct lsm_block *block, size_t i, struct lsm_buf *key) {
    struct lsm_block_entry entry = lsm_block_entry(block, i);
    lsm_buf_reset(key);
    int status = lsm_buf_reserve(key, lsm_block_key_room(block));
    if (status != LSM_OK) return status;
    if (block->shared.size != 0) memcpy(key->data, block->shared.data, block->shared.size);
    key->size = lsm_block_key(block, i, &entry, key->data);
    return LSM_OK;
}

/* ---- encoding ------------------------------------------------------------------------------------------------- */

static size_t suffix_bytes(const struct lsm_block_item *item, size_t shared) { return item->common - shared + item->tail.size; }

static uint64_t head_of(const struct lsm_block_item *item, size_t shared) { return (uint64_t)suffix_bytes(item, shared) << 2 | (uint64_t)item->kind; }

static size_t varint_bytes(uint64_t v) {
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

/* Bytes of the entry itself: head, the suffix behind the column, value. */
static size_t entry_bytes(const struct lsm_block_item *item, size_t shared) {
    size_t suffix = suffix_bytes(item, shared);
    return varint_bytes(head_of(item, shared)) + (suffix > LSM_BLOCK_COLUMN_BYTES ? suffix - LSM_BLOCK_COLUMN_BYTES : 0) + item->value.size;
}

static uint8_t *append(uint8_t *p, const uint8_t *bytes, size_t size) {
    if (size != 0) memcpy(p, bytes, size);
    return p + size;
}

/* Writes an entry at p and its number into the column; returns the end. */
static uint8_t *encode_entry(struct lsm_slice first, const struct lsm_block_item *item, size_t shared, uint8_t *column, uint8_t *p) {
    /* The suffix is two pieces: bytes it has in common with the first key, then its own. */
    struct lsm_slice own = item->tail, inherited = lsm_slice_of(item->common == shared ? NULL : first.data + shared, item->common - shared);
    uint8_t head[LSM_BLOCK_COLUMN_BYTES] = {0};
    size_t from_inherited = inherited.size < sizeof head ? inherited.size : sizeof head;
    size_t from_own = own.size < sizeof head - from_inherited ? own.size : sizeof head - from_inherited;
    (void)append(append(head, inherited.data, from_inherited), own.data, from_own);
    lsm_store_u64(column, lsm_load_be64(head));
    p += lsm_store_varint(p, head_of(item, shared));
    if (inherited.size > from_inherited) p = append(p, inherited.data + from_inherited, inherited.size - from_inherited);
    if (own.size > from_own) p = append(p, own.data + from_own, own.size - from_own);
    return append(p, item->value.data, item->value.size);
}

int lsm_block_encode(struct lsm_slice first, const struct lsm_block_item *items, size_t count, struct lsm_buf *out) {
    size_t shared = count == 0 ? 0 : items[count - 1].common;
    uint64_t body = shared, size;
    for (size_t i = 0; i < count; i++) {
        assert(items[i].common >= shared);
        body += entry_bytes(&items[i], shared);
        if (body > LSM_BLOCK_BYTES_MAX) return LSM_TOOBIG;
    }
    size_t offset_bytes = 2;
    size = LSM_BLOCK_HEAD_BYTES + count * LSM_BLOCK_COLUMN_BYTES + (count + 1) * offset_bytes + body;
    if (size > NARROW_BYTES_MAX) {
        size += (count + 1) * 2;
        offset_bytes = 4;
    }
    if (size > LSM_BLOCK_BYTES_MAX) return LSM_TOOBIG;
    int status = lsm_buf_reserve(out, (size_t)size + LSM_BLOCK_SLACK);
    if (status != LSM_OK) return status;

    uint8_t *start = out->data + out->size, *column = start + LSM_BLOCK_HEAD_BYTES;
    uint8_t *offset = column + count * LSM_BLOCK_COLUMN_BYTES, *p = offset + (count + 1) * offset_bytes;
    lsm_store_u32(start, (uint32_t)count);
    lsm_store_u32(start + 4, (uint32_t)shared);
    p = append(p, first.data, shared);
    for (size_t i = 0; i <= count; i++, column += LSM_BLOCK_COLUMN_BYTES, offset += offset_bytes) {
        if (offset_bytes == 2)
            lsm_store_u16(offset, (uint16_t)(p - start));
        else
            lsm_store_u32(offset, (uint32_t)(p - start));
        if (i < count) p = encode_entry(first, &items[i], shared, column, p);
    }
    assert((uint64_t)(p - start) == size);
    out->size += (size_t)size;
    return LSM_OK;
}
