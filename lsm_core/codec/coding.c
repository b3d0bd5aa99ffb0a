#include "coding.h"

int lsm_put_u8(struct lsm_buf *buf, uint8_t v) { return lsm_buf_append(buf, &v, 1); }

int lsm_put_u16(struct lsm_buf *buf, uint16_t v) {
    uint8_t bytes[2];
    lsm_store_u16(bytes, v);
    return lsm_buf_append(buf, bytes, sizeof bytes);
}

int lsm_put_u32(struct lsm_buf *buf, uint32_t v) {
    uint8_t bytes[4];
    lsm_store_u32(bytes, v);
    return lsm_buf_append(buf, bytes, sizeof bytes);
}

int lsm_put_u64(struct lsm_buf *buf, uint64_t v) {
    uint8_t bytes[8];
    lsm_store_u64(bytes, v);
    return lsm_buf_append(buf, bytes, sizeof bytes);
}

int lsm_put_varint(struct lsm_buf *buf, uint64_t v) {
    uint8_t bytes[LSM_VARINT_BYTES_MAX];
    return lsm_buf_append(buf, bytes, lsm_store_varint(bytes, v));
}

int lsm_put_bytes(struct lsm_buf *buf, struct lsm_slice bytes) {
    uint8_t length[LSM_VARINT_BYTES_MAX];
    size_t length_size = lsm_store_varint(length, bytes.size);
    int status = lsm_buf_reserve(buf, length_size + bytes.size);
    if (status != LSM_OK) return status;
    (void)memcpy(buf->data + buf->size, length, length_size);
    if (bytes.size != 0) (void)memcpy(buf->data + buf->size + length_size, bytes.data, bytes.size);
    buf->size += length_size + bytes.size;
    return LSM_OK;
}

/* The next `size` bytes, or NULL with the error set. */
static const uint8_t *take(struct lsm_decoder *d, size_t size) {
    if (d->failed || size > (size_t)(d->end - d->p)) {
        d->failed = true;
        return NULL;
    }
    const uint8_t *bytes = d->p;
    d->p += size;
    return bytes;
}

uint8_t lsm_get_u8(struct lsm_decoder *d) {
    const uint8_t *p = take(d, 1);
    return p == NULL ? 0 : *p;
}

uint16_t lsm_get_u16(struct lsm_decoder *d) {
    const uint8_t *p = take(d, 2);
    return p == NULL ? 0 : lsm_load_u16(p);
}

uint32_t lsm_get_u32(struct lsm_decoder *d) {
    const uint8_t *p = take(d, 4);
    return p == NULL ? 0 : lsm_load_u32(p);
}

uint64_t lsm_get_u64(struct lsm_decoder *d) {
    const uint8_t *p = take(d, 8);
    return p == NULL ? 0 : lsm_load_u64(p);
}

uint64_t lsm_get_varint(struct lsm_decoder *d) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        const uint8_t *p = take(d, 1);
        if (p == NULL) return 0;
        uint64_t bits = *p & 0x7fu;
        bool overlong = *p == 0 && shift != 0;
        bool overflow = shift == 63 && bits > 1;
        if (overlong || overflow) break;
        v |= bits << shift;
        if ((*p & 0x80) == 0) return v;
    }
    d->failed = true;
    return 0;
}

struct lsm_slice lsm_get_fixed(struct lsm_decoder *d, size_t size) {
    const uint8_t *p = take(d, size);
    return p == NULL ? (struct lsm_slice){0} : lsm_slice_of(p, size);
}

struct lsm_slice lsm_get_bytes(struct lsm_decoder *d, size_t size_max) {
    uint64_t size = lsm_get_varint(d);
    if (size > size_max) d->failed = true;
    if (d->failed) return (struct lsm_slice){0};
    return lsm_get_fixed(d, (size_t)size);
}
