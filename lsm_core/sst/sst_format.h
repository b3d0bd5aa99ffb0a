/* sst_format.h: what stands around the payloads of a table file: header, block trailers, properties, footer.
 * The bytes are described in docs/format.md, "Table files".
 *
 *     header | data block ... | filter? | index | ranges? | properties | footer        a block: stored bytes, trailer
 */
#ifndef LSM_SST_SST_FORMAT_H
#define LSM_SST_SST_FORMAT_H

#include "../env/env.h"

#define LSM_SST_VERSION           1u
#define LSM_SST_HEADER_BYTES      48u
#define LSM_SST_FOOTER_BYTES      120u
#define LSM_SST_TRAILER_BYTES     17u
#define LSM_SST_INDEX_VALUE_BYTES 24u
#define LSM_SST_BLOCKS_BYTES_MIN  (LSM_SST_HEADER_BYTES + LSM_SST_FOOTER_BYTES)

/* What to tell people to do about damage. */
#define LSM_SST_ADVICE "restore the file from a backup or salvage the store"

/* Which file this is, for checksums and messages. Borrows path. */
struct lsm_sst_ident {
    const char *path;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    uint64_t number;
};

/* Where a block is: stored bytes at offset, a trailer behind them. raw: bytes of the payload. */
struct lsm_sst_handle {
    uint64_t offset, stored, raw;
};
static inline uint64_t lsm_sst_handle_end(const struct lsm_sst_handle *handle) { return handle->offset + handle->stored + LSM_SST_TRAILER_BYTES; }

struct lsm_sst_footer {
    struct lsm_sst_handle filter, index, ranges, properties; /* offset 0: there is none */
    uint64_t file_bytes;
};

struct lsm_sst_properties {
    uint64_t entries, tombstones, range_tombstones, raw_bytes, blocks;
    uint64_t log_low, log_high;
    uint64_t created_us;
    uint64_t compression, block_bytes, filter_bits_per_key;
    bool largest_exclusive;
    struct lsm_slice smallest, largest; /* borrowed from the block */
};

/* ---- header and footer ---------------------------------------------------------------------------------------- */

void lsm_sst_header_encode(const struct lsm_sst_ident *ident, uint8_t bytes[LSM_SST_HEADER_BYTES]);
/* LSM_CORRUPT: not a table file, or damaged. LSM_UNSUPPORTED: of a newer release. LSM_MISMATCH: of another store, or another number. */
int lsm_sst_header_check(const struct lsm_sst_ident *ident, const uint8_t bytes[LSM_SST_HEADER_BYTES], struct lsm_error *err) LSM_MUST_CHECK;

void lsm_sst_footer_encode(const struct lsm_sst_ident *ident, const struct lsm_sst_footer *footer, uint8_t bytes[LSM_SST_FOOTER_BYTES]);
/* Also checks that the blocks named follow one another up to the footer, and where the data blocks end (*data_end). */
int lsm_sst_footer_decode(const struct lsm_sst_ident *ident, const uint8_t bytes[LSM_SST_FOOTER_BYTES], uint64_t file_bytes,
                          struct lsm_sst_footer *footer, uint64_t *data_end, struct lsm_error *err) LSM_MUST_CHECK;

int lsm_sst_properties_encode(const struct lsm_sst_properties *properties, struct lsm_buf *out) LSM_MUST_CHECK;
int lsm_sst_properties_decode(const struct lsm_sst_ident *ident, const struct lsm_sst_handle *handle, struct lsm_slice payload,
                              struct lsm_sst_properties *properties, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- blocks --------------------------------------------------------------------------------------------------- */

/* Append the trailer to a block's stored bytes, which begin at bytes->data + start and will stand at `offset`. */
int lsm_sst_trailer_append(const struct lsm_sst_ident *ident, uint64_t offset, enum lsm_compression compression, uint64_t raw_bytes, size_t start,
                           struct lsm_buf *bytes) LSM_MUST_CHECK;
/* Verify stored bytes with the trailer behind them against their place and handle->raw. */
int lsm_sst_trailer_check(const struct lsm_sst_ident *ident, const struct lsm_sst_handle *handle, const uint8_t *bytes,
                          enum lsm_compression *compression, struct lsm_error *err) LSM_MUST_CHECK;
/* The words for a block whose checksum is right and whose content is not. */
int lsm_sst_block_corrupt(const struct lsm_sst_ident *ident, const struct lsm_sst_handle *handle, const char *wrong,
                          struct lsm_error *err) LSM_MUST_CHECK;
/* False if no payload of handle->raw bytes can be stored in so few: nothing should be allocated for it. */
bool lsm_sst_handle_is_sane(const struct lsm_sst_handle *handle);
/* pread of exactly `size` bytes; a short file is LSM_CORRUPT. */
int lsm_sst_read(const struct lsm_sst_ident *ident, struct lsm_file *file, uint64_t offset, void *bytes, size_t size,
                 struct lsm_error *err) LSM_MUST_CHECK;

/* ---- index values --------------------------------------------------------------------------------------------- */

/* What the index knows of a data block: where it is, and how many entries the blocks before it have. */
void lsm_sst_index_value_encode(const struct lsm_sst_handle *handle, uint64_t entries_before, uint8_t bytes[LSM_SST_INDEX_VALUE_BYTES]);
struct lsm_sst_handle lsm_sst_index_value_decode(const uint8_t bytes[LSM_SST_INDEX_VALUE_BYTES], uint64_t *entries_before);

#endif
