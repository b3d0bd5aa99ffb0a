#include "chain.h"

#include "../codec/coding.h"
#include "../codec/hash.h"

#define REWRITE_BYTES ((size_t)LSM_FORGET_BYTES)
#define PLACE_FACTOR  0x9e3779b97f4a7c15u /* odd, its bits mixed: neighbouring places have seeds that share nothing */

/* The last word of a record's header: how far below its position everything is durable, in units of LSM_CHAIN_ALIGN, then the time. */
enum {
    KIND_BITS = 8, /* of the word before; the rest of it is the tag of the place */
    GAP_BITS = 29
};
#define GAP_UNTOLD ((UINT64_C(1) << GAP_BITS) - 1)

/* CR LF at the end of a magic shows a transfer in text mode. */
const struct lsm_chain_type lsm_chain_log = {
    .name = "log", .magic = {'L', 'S', 'M', 'L', 'O', 'G', '\r', '\n'}, .kinds = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6};
const struct lsm_chain_type lsm_chain_manifest = {.name = "manifest", .magic = {'L', 'S', 'M', 'M', 'A', 'N', '\r', '\n'}, .kinds = 1u << 1};

uint64_t lsm_chain_seed(const struct lsm_chain_type *type, const uint8_t *store_id, uint64_t number, uint64_t start) {
    uint8_t bytes[8 + LSM_STORE_ID_BYTES + 8];
    memcpy(bytes, type->magic, 8);
    memcpy(bytes + 8, store_id, LSM_STORE_ID_BYTES);
    lsm_store_u64(bytes + 24, number);
    return lsm_hash(bytes, sizeof bytes, 0) - start * PLACE_FACTOR;
}

uint64_t lsm_chain_place(uint64_t seed, uint64_t position) { return seed + position * PLACE_FACTOR; }

void lsm_chain_header_encode(const struct lsm_chain_type *type, const struct lsm_chain_header *header, uint8_t *bytes) {
    memcpy(bytes, type->magic, 8);
    lsm_store_u32(bytes + 8, LSM_CHAIN_VERSION);
    lsm_store_u32(bytes + 12, 0);
    memcpy(bytes + 16, header->store_id, LSM_STORE_ID_BYTES);
    lsm_store_u64(bytes + 32, header->number);
    lsm_store_u64(bytes + 40, header->start);
    lsm_store_u64(bytes + 48, header->prev_check);
    lsm_store_u64(bytes + 56, lsm_hash(bytes, 56, 0));
}

bool lsm_chain_header_decode(const struct lsm_chain_type *type, const uint8_t *bytes, struct lsm_chain_header *header) {
    if (memcmp(bytes, type->magic, 8) != 0 || lsm_load_u64(bytes + 56) != lsm_hash(bytes, 56, 0)) return false;
    header->version = lsm_load_u32(bytes + 8);
    header->flags = lsm_load_u32(bytes + 12);
    memcpy(header->store_id, bytes + 16, LSM_STORE_ID_BYTES);
    header->number = lsm_load_u64(bytes + 32);
    header->start = lsm_load_u64(bytes + 40);
    header->prev_check = lsm_load_u64(bytes + 48);
    return true;
}

/* Told for every place, verified or not: a search throws nearly all away by it. */
static uint32_t tag_of(uint64_t place) { return (uint32_t)(place >> 32) >> KIND_BITS; }

void lsm_chain_record_encode(const struct lsm_chain_record *record, uint64_t place, uint8_t *bytes) {
    uint64_t gap = (record->position - record->synced) / LSM_CHAIN_ALIGN;
    /* Nothing is known durable: without this it would look like the start of a file that starts at 0. */
    if (record->synced == 0 || gap > GAP_UNTOLD) gap = GAP_UNTOLD;
    lsm_store_u64(bytes, 0);
    lsm_store_u32(bytes + 8, tag_of(place) << KIND_BITS | record->kind);
    lsm_store_u32(bytes + 12, record->length);
    lsm_store_u64(bytes + 16, record->time_us / LSM_CHAIN_TIME_UNIT_US << GAP_BITS | gap);
}

bool lsm_chain_record_decode(const uint8_t *bytes, uint64_t place, struct lsm_chain_record *record) {
    uint32_t tagged = lsm_load_u32(bytes + 8);
    uint64_t last = lsm_load_u64(bytes + 16), gap = (last & GAP_UNTOLD) * LSM_CHAIN_ALIGN;
    record->check = lsm_load_u64(bytes);
    record->length = lsm_load_u32(bytes + 12);
    record->kind = (uint8_t)tagged;
    record->synced = (last & GAP_UNTOLD) == GAP_UNTOLD ? 0 : gap > record->position ? UINT64_MAX : record->position - gap;
    record->time_us = (last >> GAP_BITS) * LSM_CHAIN_TIME_UNIT_US;
    return tagged >> KIND_BITS == tag_of(place);
}

uint64_t lsm_chain_check_of(uint64_t hash, uint64_t prev) { return hash ^ prev << 32; }

bool lsm_chain_record_stands(const uint8_t *bytes, uint64_t place, const struct lsm_chain_record *record) {
    return (uint32_t)lsm_hash(bytes + 8, LSM_CHAIN_RECORD_BYTES - 8 + (size_t)record->length, place) == (uint32_t)record->check;
}

int lsm_chain_record_put(struct lsm_buf *out, uint64_t seed, struct lsm_chain_record *record, struct lsm_slice first, struct lsm_slice second) {
    size_t payload = first.size + second.size, bytes = (size_t)lsm_chain_record_bytes(payload);
    int status = lsm_buf_reserve(out, bytes);
    if (status != LSM_OK) return status;

    uint64_t place = lsm_chain_place(seed, record->position);
    uint8_t *p = out->data + out->size;
    record->length = (uint32_t)payload;
    record->end = record->position + bytes;
    lsm_chain_record_encode(record, place, p);
    if (first.size > 0) memcpy(p + LSM_CHAIN_RECORD_BYTES, first.data, first.size);
    if (second.size > 0) memcpy(p + LSM_CHAIN_RECORD_BYTES + first.size, second.data, second.size);
    memset(p + LSM_CHAIN_RECORD_BYTES + payload, 0, bytes - LSM_CHAIN_RECORD_BYTES - payload);
    record->check = lsm_chain_check_of(lsm_hash(p + 8, LSM_CHAIN_RECORD_BYTES - 8 + payload, place), record->prev);
    lsm_store_u64(p, record->check);
    out->size += bytes;
    return LSM_OK;
}

int lsm_chain_rewrite(struct lsm_file *file, uint64_t from, uint64_t to, struct lsm_error *err) {
    if (from >= to) return LSM_OK;
    size_t chunk_bytes = to - from < REWRITE_BYTES ? (size_t)(to - from) : REWRITE_BYTES;
    uint8_t *chunk = lsm_malloc(chunk_bytes);
    int status = chunk == NULL ? lsm_fail_nomem(err, chunk_bytes) : LSM_OK;
    while (status == LSM_OK && from < to) {
        uint64_t base = from / REWRITE_BYTES * REWRITE_BYTES, left = base + REWRITE_BYTES - from;
        size_t wanted = to - from < left ? (size_t)(to - from) : (size_t)left, got = 0;
        status = lsm_file_read_at(file, from, chunk, wanted, &got, err);
        if (status == LSM_OK && got < wanted) status = lsm_fail(err, LSM_IO, "%s: became shorter while it was read", file->path);
        /* Over the system's own copy it would not do: ext4 takes new blocks of which the first write failed for written then, and gives back zeros later. */
        if (status == LSM_OK) lsm_file_forget(file, base, REWRITE_BYTES);
        if (status == LSM_OK) status = lsm_file_write_at(file, from, chunk, wanted, err);
        from += wanted;
    }
    lsm_free(chunk);
    return status;
}
