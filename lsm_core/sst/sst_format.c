#include "sst_format.h"

#include "../codec/coding.h"
#include "../codec/hash.h"
#include "block.h"

#include <inttypes.h>

#define MAGIC_BYTES 8u
static const uint8_t header_magic[MAGIC_BYTES] = {'L', 'S', 'M', 'T', 'A', 'B', 'L', 'E'};
static const uint8_t footer_magic[MAGIC_BYTES] = {'L', 'S', 'M', 'T', 'A', 'B', 'N', 'D'};

/* How far compressed data can swell: lz4 by 255, zstd by a block of 128 KiB in 4 bytes. */
#define RAW_PER_STORED_MAX 32768u

#define CHECKED_TRAILER_BYTES 9u /* compression and raw size: covered by the checksum behind them */

/* ---- header --------------------------------------------------------------------------------------------------- */

void lsm_sst_header_encode(const struct lsm_sst_ident *ident, uint8_t bytes[LSM_SST_HEADER_BYTES]) {
    memcpy(bytes, header_magic, MAGIC_BYTES);
    lsm_store_u32(bytes + 8, LSM_SST_VERSION);
    lsm_store_u32(bytes + 12, 0);
    memcpy(bytes + 16, ident->store_id, LSM_STORE_ID_BYTES);
    lsm_store_u64(bytes + 32, ident->number);
    lsm_store_u64(bytes + 40, lsm_hash(bytes, 40, 0));
}

int lsm_sst_header_check(const struct lsm_sst_ident *ident, const uint8_t bytes[LSM_SST_HEADER_BYTES], struct lsm_error *err) {
    if (memcmp(bytes, header_magic, MAGIC_BYTES) != 0)
        return lsm_fail(err, LSM_CORRUPT, "%s: not a table file, or its header at offset 0 is damaged; " LSM_SST_ADVICE, ident->path);
    uint64_t expected = lsm_load_u64(bytes + 40), found = lsm_hash(bytes, 40, 0);
    if (expected != found)
        return lsm_fail(err, LSM_CORRUPT,
                        "%s: header at offset 0: checksum mismatch (expected %016" PRIx64 ", found %016" PRIx64 "); " LSM_SST_ADVICE, ident->path,
                        expected, found);
    uint32_t version = lsm_load_u32(bytes + 8);
    if (version != LSM_SST_VERSION)
        return lsm_fail(err, LSM_UNSUPPORTED, "%s: table file format %" PRIu32 ", this release reads %u; use the release that wrote it", ident->path,
                        version, LSM_SST_VERSION);
    if (memcmp(bytes + 16, ident->store_id, LSM_STORE_ID_BYTES) != 0)
        return lsm_fail(err, LSM_MISMATCH, "%s: table file of another store; put the store's own file back", ident->path);
    uint64_t number = lsm_load_u64(bytes + 32);
    if (number != ident->number)
        return lsm_fail(err, LSM_MISMATCH, "%s: this is table file %" PRIu64 ", expected %" PRIu64 "; put the right file back", ident->path, number,
                        ident->number);
    return LSM_OK;
}

/* ---- footer --------------------------------------------------------------------------------------------------- */

static void store_handle(uint8_t *p, const struct lsm_sst_handle *handle) {
    lsm_store_u64(p, handle->offset);
    lsm_store_u64(p + 8, handle->stored);
}

static struct lsm_sst_handle load_handle(const uint8_t *p) {
    uint64_t stored = lsm_load_u64(p + 8);
    return (struct lsm_sst_handle){.offset = lsm_load_u64(p), .stored = stored, .raw = stored};
}

void lsm_sst_footer_encode(const struct lsm_sst_ident *ident, const struct lsm_sst_footer *footer, uint8_t bytes[LSM_SST_FOOTER_BYTES]) {
    store_handle(bytes, &footer->filter);
    store_handle(bytes + 16, &footer->index);
    store_handle(bytes + 32, &footer->ranges);
    store_handle(bytes + 48, &footer->properties);
    memcpy(bytes + 64, ident->store_id, LSM_STORE_ID_BYTES);
    lsm_store_u64(bytes + 80, ident->number);
    lsm_store_u64(bytes + 88, footer->file_bytes);
    lsm_store_u32(bytes + 96, LSM_SST_VERSION);
    lsm_store_u32(bytes + 100, 0);
    lsm_store_u64(bytes + 104, lsm_hash(bytes, 104, 0));
    memcpy(bytes + 112, footer_magic, MAGIC_BYTES);
}

/* A block in front of `*end`, if there is one; moves *end to its start. */
static bool take_block(const struct lsm_sst_handle *handle, bool optional, uint64_t *end) {
    if (optional && handle->offset == 0 && handle->stored == 0) return true;
    bool fits = handle->offset >= LSM_SST_HEADER_BYTES && handle->offset < *end && *end - handle->offset >= LSM_SST_TRAILER_BYTES &&
                handle->stored == *end - handle->offset - LSM_SST_TRAILER_BYTES;
    *end = handle->offset;
    return fits;
}

int lsm_sst_footer_decode(const struct lsm_sst_ident *ident, const uint8_t bytes[LSM_SST_FOOTER_BYTES], uint64_t file_bytes,
                          struct lsm_sst_footer *footer, uint64_t *data_end, struct lsm_error *err) {
    uint64_t at = file_bytes - LSM_SST_FOOTER_BYTES, expected = lsm_load_u64(bytes + 104), found = lsm_hash(bytes, 104, 0);
    if (memcmp(bytes + 112, footer_magic, MAGIC_BYTES) != 0)
        return lsm_fail(err, LSM_CORRUPT, "%s: no footer at offset %" PRIu64 ", the file is cut or damaged; " LSM_SST_ADVICE, ident->path, at);
    if (expected != found)
        return lsm_fail(err, LSM_CORRUPT,
                        "%s: footer at offset %" PRIu64 ": checksum mismatch (expected %016" PRIx64 ", found %016" PRIx64 "); " LSM_SST_ADVICE,
                        ident->path, at, expected, found);
    *footer = (struct lsm_sst_footer){.filter = load_handle(bytes),
                                      .index = load_handle(bytes + 16),
                                      .ranges = load_handle(bytes + 32),
                                      .properties = load_handle(bytes + 48),
                                      .file_bytes = lsm_load_u64(bytes + 88)};
    bool same = memcmp(bytes + 64, ident->store_id, LSM_STORE_ID_BYTES) == 0 && lsm_load_u64(bytes + 80) == ident->number &&
                footer->file_bytes == file_bytes && lsm_load_u32(bytes + 96) == LSM_SST_VERSION;
    uint64_t end = at;
    if (!same || !take_block(&footer->properties, false, &end) || !take_block(&footer->ranges, true, &end) ||
        !take_block(&footer->index, false, &end) || !take_block(&footer->filter, true, &end))
        return lsm_fail(err, LSM_CORRUPT, "%s: footer at offset %" PRIu64 " does not describe this file; " LSM_SST_ADVICE, ident->path, at);
    *data_end = end;
    return LSM_OK;
}

/* ---- properties ----------------------------------------------------------------------------------------------- */

int lsm_sst_properties_encode(const struct lsm_sst_properties *properties, struct lsm_buf *out) {
    const uint64_t numbers[] = {properties->entries,
                                properties->tombstones,
                                properties->range_tombstones,
                                properties->raw_bytes,
                                properties->blocks,
                                properties->log_low,
                                properties->log_high,
                                properties->created_us,
                                properties->compression,
                                properties->block_bytes,
                                properties->filter_bits_per_key,
                                properties->largest_exclusive};
    int status = LSM_OK;
    /* LCOV_EXCL_BR_LINE: the blocks before have left room for numbers */
    for (size_t i = 0; status == LSM_OK && i < sizeof numbers / sizeof numbers[0]; i++) status = lsm_put_varint(out, numbers[i]);
    if (status == LSM_OK) status = lsm_put_bytes(out, properties->smallest); /* LCOV_EXCL_BR_LINE: the same */
    /* LCOV_EXCL_BR_LINE: the same; a block before it has held the smallest key */
    if (status == LSM_OK) status = lsm_put_bytes(out, properties->largest);
    return status;
}

int lsm_sst_properties_decode(const struct lsm_sst_ident *ident, const struct lsm_sst_handle *handle, struct lsm_slice payload,
                              struct lsm_sst_properties *properties, struct lsm_error *err) {
    struct lsm_decoder d = lsm_decoder_of(payload);
    uint64_t exclusive;
    uint64_t *const numbers[] = {&properties->entries,
                                 &properties->tombstones,
                                 &properties->range_tombstones,
                                 &properties->raw_bytes,
                                 &properties->blocks,
                                 &properties->log_low,
                                 &properties->log_high,
                                 &properties->created_us,
                                 &properties->compression,
                                 &properties->block_bytes,
                                 &properties->filter_bits_per_key,
                                 &exclusive};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) *numbers[i] = lsm_get_varint(&d);
    properties->smallest = lsm_get_bytes(&d, LSM_BLOCK_KEY_BYTES_MAX);
    properties->largest = lsm_get_bytes(&d, LSM_BLOCK_KEY_BYTES_MAX);
    properties->largest_exclusive = exclusive != 0;
    if (d.failed || d.p != d.end || exclusive > 1) return lsm_sst_block_corrupt(ident, handle, "malformed properties", err);
    return LSM_OK;
}

/* ---- blocks --------------------------------------------------------------------------------------------------- */

/* Ties a checksum to its place: the same bytes elsewhere, or in another file or store, do not verify. */
static uint64_t block_seed(const struct lsm_sst_ident *ident, uint64_t offset, uint64_t stored) {
    uint8_t place[LSM_STORE_ID_BYTES + 24];
    memcpy(place, ident->store_id, LSM_STORE_ID_BYTES);
    lsm_store_u64(place + 16, ident->number);
    lsm_store_u64(place + 24, offset);
    lsm_store_u64(place + 32, stored);
    return lsm_hash(place, sizeof place, 0);
}

int lsm_sst_trailer_append(const struct lsm_sst_ident *ident, uint64_t offset, enum lsm_compression compression, uint64_t raw_bytes, size_t start,
                           struct lsm_buf *bytes) {
    size_t stored = bytes->size - start;
    uint8_t trailer[LSM_SST_TRAILER_BYTES];
    int status = lsm_buf_reserve(bytes, sizeof trailer);
    if (status != LSM_OK) return status;
    trailer[0] = (uint8_t)compression;
    lsm_store_u64(trailer + 1, raw_bytes);
    memcpy(bytes->data + bytes->size, trailer, CHECKED_TRAILER_BYTES);
    lsm_store_u64(trailer + 9, lsm_hash(bytes->data + start, stored + CHECKED_TRAILER_BYTES, block_seed(ident, offset, stored)));
    return lsm_buf_append(bytes, trailer, sizeof trailer);
}

int lsm_sst_block_corrupt(const struct lsm_sst_ident *ident, const struct lsm_sst_handle *handle, const char *wrong, struct lsm_error *err) {
    return lsm_fail(err, LSM_CORRUPT, "%s: block at offset %" PRIu64 ": %s; " LSM_SST_ADVICE, ident->path, handle->offset, wrong);
}

int lsm_sst_trailer_check(const struct lsm_sst_ident *ident, const struct lsm_sst_handle *handle, const uint8_t *bytes,
                          enum lsm_compression *compression, struct lsm_error *err) {
    size_t stored = (size_t)handle->stored;
    uint64_t expected = lsm_load_u64(bytes + stored + CHECKED_TRAILER_BYTES);
    uint64_t found = lsm_hash(bytes, stored + CHECKED_TRAILER_BYTES, block_seed(ident, handle->offset, handle->stored));
    if (expected != found)
        return lsm_fail(err, LSM_CORRUPT,
                        "%s: block at offset %" PRIu64 ": checksum mismatch (expected %016" PRIx64 ", found %016" PRIx64 "); " LSM_SST_ADVICE,
                        ident->path, handle->offset, expected, found);
    uint8_t type = bytes[stored];
    uint64_t raw = lsm_load_u64(bytes + stored + 1);
    if (type > LSM_COMPRESS_ZSTD || raw != handle->raw || (type == LSM_COMPRESS_NONE) != (raw == handle->stored))
        return lsm_sst_block_corrupt(ident, handle, "its trailer and the index disagree", err);
    *compression = (enum lsm_compression)type;
    return LSM_OK;
}

bool lsm_sst_handle_is_sane(const struct lsm_sst_handle *handle) {
    if (handle->stored > LSM_BLOCK_BYTES_MAX || handle->raw > LSM_BLOCK_BYTES_MAX) return false;
    return handle->raw == handle->stored || (handle->raw > handle->stored && handle->raw / RAW_PER_STORED_MAX <= handle->stored);
}

int lsm_sst_read(const struct lsm_sst_ident *ident, struct lsm_file *file, uint64_t offset, void *bytes, size_t size, struct lsm_error *err) {
    size_t got = 0;
    int status = lsm_file_read_at(file, offset, bytes, size, &got, err);
    if (status != LSM_OK) return status;
    if (got == size) return LSM_OK;
    return lsm_fail(err, LSM_CORRUPT, "%s: the file ends at offset %" PRIu64 ", %zu more bytes were expected; " LSM_SST_ADVICE, ident->path,
                    offset + got, size - got);
}

/* ---- index values --------------------------------------------------------------------------------------------- */

void lsm_sst_index_value_encode(const struct lsm_sst_handle *handle, uint64_t entries_before, uint8_t bytes[LSM_SST_INDEX_VALUE_BYTES]) {
    lsm_store_u64(bytes, handle->offset);
    lsm_store_u32(bytes + 8, (uint32_t)handle->stored);
    lsm_store_u32(bytes + 12, (uint32_t)handle->raw);
    lsm_store_u64(bytes + 16, entries_before);
}

struct lsm_sst_handle lsm_sst_index_value_decode(const uint8_t bytes[LSM_SST_INDEX_VALUE_BYTES], uint64_t *entries_before) {
    *entries_before = lsm_load_u64(bytes + 16);
    return (struct lsm_sst_handle){.offset = lsm_load_u64(bytes), .stored = lsm_load_u32(bytes + 8), .raw = lsm_load_u32(bytes + 12)};
}
