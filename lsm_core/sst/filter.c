#include "filter.h"

#define LINE_BITS  ((uint64_t)LSM_FILTER_LINE_BYTES * 8)
#define PROBES_MAX 16u

int lsm_filter_encode(const uint64_t *hashes, size_t count, unsigned bits_per_key, struct lsm_buf *out) {
    if (bits_per_key == 0 || count > UINT64_MAX / 128 || bits_per_key > 64) return LSM_TOOBIG;
    uint64_t line_count = ((uint64_t)count * bits_per_key + LINE_BITS - 1) / LINE_BITS;
    if (line_count == 0) line_count = 1;
    if (line_count >= UINT32_MAX / LSM_FILTER_LINE_BYTES) return LSM_TOOBIG;
    /* 0.6 per bit: a little under ln 2, because the keys of a line are unevenly many. */
    unsigned probes = (bits_per_key * 3 + 2) / 5;
    probes = probes < 1 ? 1 : probes > PROBES_MAX ? PROBES_MAX : probes; /* LCOV_EXCL_BR_LINE: one bit a key makes one already */

    size_t bytes = (size_t)line_count * LSM_FILTER_LINE_BYTES;
    int status = lsm_buf_reserve(out, bytes + 1);
    if (status != LSM_OK) return status;
    uint8_t *lines = out->data + out->size;
    memset(lines, 0, bytes);
    for (size_t i = 0; i < count; i++) {
        uint8_t *line = lines + (size_t)lsm_filter_line(hashes[i], (uint32_t)line_count) * LSM_FILTER_LINE_BYTES;
        uint32_t h = (uint32_t)hashes[i];
        for (unsigned k = 0; k < probes; k++) {
            h = lsm_filter_step(h);
            line[h >> 26] = (uint8_t)(line[h >> 26] | (1u << ((h >> 23) & 7)));
        }
    }
    lines[bytes] = (uint8_t)probes;
    out->size += bytes + 1;
    return LSM_OK;
}

bool lsm_filter_open(struct lsm_filter *filter, struct lsm_slice payload) {
    if (payload.size <= LSM_FILTER_LINE_BYTES || payload.size > UINT32_MAX || payload.size % LSM_FILTER_LINE_BYTES != 1) return false;
    *filter = (struct lsm_filter){
        .lines = payload.data, .line_count = (uint32_t)(payload.size / LSM_FILTER_LINE_BYTES), .probes = payload.data[payload.size - 1]};
    return filter->probes >= 1 && filter->probes <= PROBES_MAX;
}
