/* A table file is written front to back in one pass. What has to be kept until the end: 8 bytes of hash a key (filter), a
 * separator and a handle a block (index), the range tombstones.
 */
#include "sst.h"

#include "../codec/coding.h"
#include "../codec/hash.h"
#include "block.h"
#include "compress.h"
#include "filter.h"
#include "sst_format.h"

#include <assert.h>

#define OUT_BYTES      ((size_t)256 * 1024)             /* one write of the file */
#define KEEP_BYTES     ((size_t)1024 * 1024)            /* buffers a huge block has swollen are given back */
#define ENTRY_OVERHEAD (LSM_BLOCK_COLUMN_BYTES + 2 + 1) /* column, offset, head */

/* The data block being filled. Keys are kept as their difference to the block's first. */
struct pending_block {
    struct lsm_block_item *items;
    size_t count, item_capacity;
    uint8_t *bytes; /* tails and values of the items; fixed size, so that the items may point into it */
    size_t used, capacity;
    struct lsm_buf first;
    size_t key_bytes, value_bytes;
};

struct lsm_sst_writer {
    struct lsm_env *env;
    struct lsm_file *file;
    char *path;
    struct lsm_sst_ident ident;
    struct lsm_sst_options options;
    int status; /* of the first failure; nothing works afterwards */

    struct lsm_hasher *hasher; /* whole-file checksum */
    struct lsm_buf out;        /* bytes not yet written; they stand at `written` */
    uint64_t written;

    struct pending_block pending;
    struct lsm_buf payload, packed; /* scratch of write_block() */
    struct lsm_compressor compressor;

    struct lsm_buf separators;                                 /* of blocks 1, 2, ...: length-prefixed, see separator_add() */
    struct lsm_buf index_values;                               /* LSM_SST_INDEX_VALUE_BYTES a block */
    struct lsm_buf hashes;                                     /* u64 a key */
    struct lsm_buf ranges;                                     /* the encoded pairs */
    struct lsm_buf first_key, last_key, range_low, range_high; /* first and last key; first low and last high */
    uint64_t blocks, entries, tombstones, range_count, raw_bytes;
};

/* ---- bytes to the file ---------------------------------------------------------------------------------------- */

static int write_out(struct lsm_sst_writer *writer, struct lsm_slice bytes, struct lsm_error *err) {
    if (bytes.size == 0) return LSM_OK;
    lsm_hasher_add(writer->hasher, bytes.data, bytes.size);
    int status = lsm_file_write_sparing(writer->file, writer->written, bytes.data, bytes.size, &writer->options.spare, err);
    if (status == LSM_OK) writer->written += bytes.size;
    return status;
}

static int flush_out(struct lsm_sst_writer *writer, struct lsm_error *err) {
    int status = write_out(writer, lsm_buf_slice(&writer->out), err);
    lsm_buf_reset(&writer->out);
    return status;
}

static int emit(struct lsm_sst_writer *writer, struct lsm_slice bytes, struct lsm_error *err) {
    if (writer->out.size + bytes.size > OUT_BYTES) {
        int status = flush_out(writer, err);
        if (status != LSM_OK) return status;
        if (bytes.size >= OUT_BYTES) return write_out(writer, bytes, err);
    }
    assert(writer->out.capacity >= writer->out.size + bytes.size); /* reserved at open */
    return lsm_buf_append(&writer->out, bytes.data, bytes.size);
}

static uint64_t offset_now(const struct lsm_sst_writer *writer) { return writer->written + writer->out.size; }

static void shrink(struct lsm_buf *buf) {
    if (buf->capacity > KEEP_BYTES) lsm_buf_free(buf);
}

/* A failure to build a block, in words. */
static int build_failed(const struct lsm_sst_writer *writer, int status, struct lsm_error *err) {
    if (status == LSM_NOMEM) return lsm_fail_nomem(err, writer->payload.size); /* LCOV_EXCL_BR_LINE: too large are only gigabytes */
    return lsm_fail(err, status, "%s: a block would be larger than the format allows; use smaller table files", writer->path);
}

/* Write writer->payload as a block, compressed if that pays. */
static int write_block(struct lsm_sst_writer *writer, enum lsm_compression compression, struct lsm_sst_handle *handle, struct lsm_error *err) {
    struct lsm_buf *bytes = &writer->payload;
    uint64_t raw = bytes->size;
    bool saved = false;
    lsm_buf_reset(&writer->packed);
    int status = lsm_compress(&writer->compressor, compression, lsm_buf_slice(bytes), &writer->packed, &saved);
    if (saved) bytes = &writer->packed;
    *handle = (struct lsm_sst_handle){.offset = offset_now(writer), .stored = bytes->size, .raw = raw};
    if (status == LSM_OK) status = lsm_sst_trailer_append(&writer->ident, handle->offset, saved ? compression : LSM_COMPRESS_NONE, raw, 0, bytes);
    if (status != LSM_OK) return build_failed(writer, status, err);
    status = emit(writer, lsm_buf_slice(bytes), err);
    lsm_buf_reset(&writer->payload);
    shrink(&writer->payload);
    shrink(&writer->packed);
    return status;
}

/* ---- data blocks ---------------------------------------------------------------------------------------------- */

/* The shortest bytes s with last < s <= next: what the two have in common and one byte more of next. */
static struct lsm_slice separator_of(struct lsm_slice last, struct lsm_slice next) {
    return lsm_slice_of(next.data, lsm_slice_common(last, next) + 1);
}

/* Encode items into a data block, write it and note it for the index. */
static int write_data(struct lsm_sst_writer *writer, struct lsm_slice first, const struct lsm_block_item *items, size_t count,
                      struct lsm_error *err) {
    struct lsm_sst_handle handle;
    uint8_t value[LSM_SST_INDEX_VALUE_BYTES];
    int status = lsm_buf_reserve(&writer->index_values, sizeof value);
    if (status == LSM_OK) status = lsm_block_encode(first, items, count, &writer->payload);
    if (status != LSM_OK) return build_failed(writer, status, err);
    status = write_block(writer, writer->options.compression, &handle, err);
    if (status != LSM_OK) return status;
    lsm_sst_index_value_encode(&handle, writer->entries, value);
    writer->blocks++;
    writer->entries += count;
    return lsm_buf_append(&writer->index_values, value, sizeof value);
}

static int flush_pending(struct lsm_sst_writer *writer, struct lsm_error *err) {
    struct pending_block *pending = &writer->pending;
    if (pending->count == 0) return LSM_OK;
    int status = write_data(writer, lsm_buf_slice(&pending->first), pending->items, pending->count, err);
    pending->count = pending->used = pending->key_bytes = pending->value_bytes = 0;
    return status;
}

/* About the payload's size with one more entry; never less than the tails and values that have to be kept. */
static size_t pending_bytes(const struct pending_block *pending, size_t common, size_t key_bytes, size_t value_bytes) {
    size_t count = pending->count + 1, suffixes = pending->key_bytes + key_bytes - count * common, columns = count * LSM_BLOCK_COLUMN_BYTES;
    size_t keys = suffixes > columns ? suffixes : columns;
    return LSM_BLOCK_HEAD_BYTES + 2 + common + keys + count * (ENTRY_OVERHEAD - LSM_BLOCK_COLUMN_BYTES) + pending->value_bytes + value_bytes;
}

static struct lsm_slice keep(struct pending_block *pending, struct lsm_slice bytes) {
    uint8_t *copy = pending->bytes + pending->used;
    assert(bytes.size <= pending->capacity - pending->used);
    if (bytes.size != 0) memcpy(copy, bytes.data, bytes.size);
    pending->used += bytes.size;
    return lsm_slice_of(copy, bytes.size);
}

/* Between blocks: the separator that leads to the one that begins with key. */
static int separator_add(struct lsm_sst_writer *writer, struct lsm_slice key) {
    if (writer->blocks == 0) return LSM_OK; /* block 0's is made at the end */
    return lsm_put_bytes(&writer->separators, separator_of(lsm_buf_slice(&writer->last_key), key));
}

/* Into the pending block, or a block of its own. The status only; the caller words it. */
static int add_entry(struct lsm_sst_writer *writer, enum lsm_kind kind, struct lsm_slice key, struct lsm_slice value, struct lsm_error *err) {
    struct pending_block *pending = &writer->pending;
    size_t common = pending->count == 0 ? key.size : lsm_slice_common(lsm_buf_slice(&pending->first), key), limit = writer->options.block_bytes;
    /* LCOV_EXCL_BR_LINE: each entry's overhead counts, so the bytes are too many first */
    bool full = pending->count == pending->item_capacity || pending_bytes(pending, common, key.size, value.size) > limit;
    if (pending->count != 0 && full) {
        int status = flush_pending(writer, err);
        if (status != LSM_OK) return status;
        common = key.size;
    }
    if (pending->count == 0) {
        int status = separator_add(writer, key);
        if (status != LSM_OK) return lsm_fail_nomem(err, key.size);
        if (pending_bytes(pending, key.size, key.size, value.size) > limit) {
            struct lsm_block_item item = {.common = key.size, .kind = kind, .value = value};
            return write_data(writer, key, &item, 1, err);
        }
        if (lsm_buf_set(&pending->first, key) != LSM_OK) return lsm_fail_nomem(err, key.size);
    }
    struct lsm_block_item *item = &pending->items[pending->count++];
    item->common = common;
    item->kind = kind;
    item->tail = keep(pending, lsm_slice_of(key.data + common, key.size - common));
    item->value = keep(pending, value);
    pending->key_bytes += key.size;
    pending->value_bytes += value.size;
    return LSM_OK;
}

int lsm_sst_writer_add(struct lsm_sst_writer *writer, enum lsm_kind kind, struct lsm_slice key, struct lsm_slice value, struct lsm_error *err) {
    static const uint8_t nothing;
    if (key.data == NULL) key.data = &nothing;
    assert(kind == LSM_KIND_PUT || (kind == LSM_KIND_DELETE && value.size == 0));
    assert(lsm_sst_writer_empty(writer) || writer->hashes.size == 0 || lsm_slice_compare(lsm_buf_slice(&writer->last_key), key) < 0);
    if (writer->status != LSM_OK) return lsm_fail(err, writer->status, "%s: writing this table file has failed before", writer->path);
    if (key.size > LSM_BLOCK_KEY_BYTES_MAX || value.size > LSM_VALUE_BYTES_MAX)
        return lsm_fail(err, LSM_TOOBIG, "%s: a key of %zu or a value of %zu bytes is over the limit", writer->path, key.size, value.size);

    uint64_t hash = lsm_sst_key_hash(key);
    bool first = writer->hashes.size == 0;
    int status = add_entry(writer, kind, key, value, err);
    if (status == LSM_OK) {
        status = lsm_buf_append(&writer->hashes, &hash, sizeof hash);
        if (status == LSM_OK) status = lsm_buf_set(&writer->last_key, key);
        if (status == LSM_OK && first) status = lsm_buf_set(&writer->first_key, key);
        if (status != LSM_OK) status = lsm_fail_nomem(err, key.size);
    }
    writer->status = status;
    if (status != LSM_OK) return status;
    writer->tombstones += kind == LSM_KIND_DELETE;
    writer->raw_bytes += key.size + value.size;
    return LSM_OK;
}

int lsm_sst_writer_add_range(struct lsm_sst_writer *writer, struct lsm_slice low, struct lsm_slice high, struct lsm_error *err) {
    assert(lsm_slice_compare(low, high) < 0);
    assert(writer->range_count == 0 || lsm_slice_compare(lsm_buf_slice(&writer->range_high), low) <= 0);
    if (writer->status != LSM_OK) return lsm_fail(err, writer->status, "%s: writing this table file has failed before", writer->path);
    int status = writer->range_count == 0 ? lsm_buf_set(&writer->range_low, low) : LSM_OK;
    if (status == LSM_OK) status = lsm_put_bytes(&writer->ranges, low);
    if (status == LSM_OK) status = lsm_put_bytes(&writer->ranges, high);
    if (status == LSM_OK) status = lsm_buf_set(&writer->range_high, high);
    writer->status = status;
    if (status != LSM_OK) return lsm_fail_nomem(err, low.size + high.size);
    writer->range_count++;
    return LSM_OK;
}

bool lsm_sst_writer_empty(const struct lsm_sst_writer *writer) { return writer->hashes.size == 0 && writer->range_count == 0; }

uint64_t lsm_sst_writer_bytes(const struct lsm_sst_writer *writer) {
    const struct pending_block *pending = &writer->pending;
    uint64_t filter = writer->hashes.size / sizeof(uint64_t) * writer->options.filter_bits_per_key / 8;
    return offset_now(writer) + pending->used + pending->count * ENTRY_OVERHEAD + filter + writer->separators.size + writer->index_values.size +
           writer->ranges.size + LSM_SST_FOOTER_BYTES;
}

/* ---- the end of the file -------------------------------------------------------------------------------------- */

static int write_filter(struct lsm_sst_writer *writer, struct lsm_sst_handle *handle, struct lsm_error *err) {
    if (writer->options.filter_bits_per_key == 0 || writer->hashes.size == 0) return LSM_OK;
    const uint64_t *hashes = (const void *)writer->hashes.data;
    int status = lsm_filter_encode(hashes, writer->hashes.size / sizeof *hashes, writer->options.filter_bits_per_key, &writer->payload);
    if (status != LSM_OK) return build_failed(writer, status, err);
    return write_block(writer, LSM_COMPRESS_NONE, handle, err);
}

/* The index is a block whose keys are the separators. That of block 0 only has to be <= the first key and short. */
static int encode_index(struct lsm_sst_writer *writer) {
    struct lsm_decoder d = lsm_decoder_of(lsm_buf_slice(&writer->separators));
    struct lsm_block_item *items = lsm_calloc((size_t)writer->blocks, sizeof *items);
    struct lsm_slice first = {0};
    if (items == NULL) return LSM_NOMEM;
    for (size_t i = 0; i < writer->blocks; i++) {
        struct lsm_slice separator = i == 0 ? (struct lsm_slice){0} : lsm_get_bytes(&d, LSM_BLOCK_KEY_BYTES_MAX);
        if (i == 1) {
            size_t common = lsm_slice_common(lsm_buf_slice(&writer->first_key), separator) + 1;
            first = lsm_slice_of(writer->first_key.data, common < writer->first_key.size ? common : writer->first_key.size);
            items[0].common = first.size;
        }
        size_t common = i == 0 ? 0 : lsm_slice_common(first, separator);
        if (i != 0) items[i].common = common;
        items[i].kind = LSM_KIND_PUT;
        if (i != 0) items[i].tail = lsm_slice_of(separator.data + common, separator.size - common);
        items[i].value = lsm_slice_of(writer->index_values.data + i * LSM_SST_INDEX_VALUE_BYTES, LSM_SST_INDEX_VALUE_BYTES);
    }
    assert(!d.failed && d.p == d.end);
    int status = lsm_block_encode(first, items, (size_t)writer->blocks, &writer->payload);
    lsm_free(items);
    return status;
}

static int write_index(struct lsm_sst_writer *writer, struct lsm_sst_handle *handle, struct lsm_error *err) {
    int status = encode_index(writer);
    if (status != LSM_OK) return build_failed(writer, status, err);
    return write_block(writer, LSM_COMPRESS_NONE, handle, err);
}

static int write_ranges(struct lsm_sst_writer *writer, struct lsm_sst_handle *handle, struct lsm_error *err) {
    if (writer->range_count == 0) return LSM_OK;
    int status = lsm_put_varint(&writer->payload, writer->range_count);
    /* LCOV_EXCL_BR_LINE: the index has left room for a number */
    if (status == LSM_OK) status = lsm_buf_append(&writer->payload, writer->ranges.data, writer->ranges.size);
    if (status != LSM_OK) return build_failed(writer, status, err);
    return write_block(writer, LSM_COMPRESS_NONE, handle, err);
}

/* What goes into the manifest and, the same, into the properties. */
static int fill_meta(struct lsm_sst_writer *writer, uint64_t log_low, uint64_t log_high, struct lsm_file_meta *meta) {
    bool has_entries = writer->entries != 0, has_ranges = writer->range_count != 0;
    struct lsm_slice smallest = lsm_buf_slice(&writer->first_key), largest = lsm_buf_slice(&writer->last_key);
    struct lsm_slice low = lsm_buf_slice(&writer->range_low), high = lsm_buf_slice(&writer->range_high);
    if (has_ranges && (!has_entries || lsm_slice_compare(low, smallest) < 0)) smallest = low;
    meta->largest_exclusive = has_ranges && (!has_entries || lsm_slice_compare(high, largest) > 0);
    if (meta->largest_exclusive) largest = high;
    meta->number = writer->ident.number;
    meta->log_low = log_low;
    meta->log_high = log_high;
    meta->entries = writer->entries;
    meta->tombstones = writer->tombstones;
    meta->range_tombstones = writer->range_count;
    meta->raw_bytes = writer->raw_bytes;
    meta->compression = (uint8_t)writer->options.compression;
    int status = lsm_buf_set(&meta->smallest, smallest);
    return status == LSM_OK ? lsm_buf_set(&meta->largest, largest) : status;
}

static int write_properties(struct lsm_sst_writer *writer, const struct lsm_file_meta *meta, struct lsm_sst_handle *handle, struct lsm_error *err) {
    struct lsm_sst_properties properties = {.entries = meta->entries,
                                            .tombstones = meta->tombstones,
                                            .range_tombstones = meta->range_tombstones,
                                            .raw_bytes = meta->raw_bytes,
                                            .blocks = writer->blocks,
                                            .log_low = meta->log_low,
                                            .log_high = meta->log_high,
                                            .created_us = lsm_env_now_us(writer->env),
                                            .compression = meta->compression,
                                            .block_bytes = writer->options.block_bytes,
                                            .filter_bits_per_key = writer->options.filter_bits_per_key,
                                            .largest_exclusive = meta->largest_exclusive,
                                            .smallest = lsm_buf_slice(&meta->smallest),
                                            .largest = lsm_buf_slice(&meta->largest)};
    int status = lsm_sst_properties_encode(&properties, &writer->payload);
    if (status != LSM_OK) return build_failed(writer, status, err);
    return write_block(writer, LSM_COMPRESS_NONE, handle, err);
}

static int write_footer(struct lsm_sst_writer *writer, struct lsm_sst_footer *footer, struct lsm_error *err) {
    uint8_t bytes[LSM_SST_FOOTER_BYTES];
    footer->file_bytes = offset_now(writer) + sizeof bytes;
    lsm_sst_footer_encode(&writer->ident, footer, bytes);
    int status = emit(writer, lsm_slice_of(bytes, sizeof bytes), err);
    return status == LSM_OK ? flush_out(writer, err) : status;
}

static int finish(struct lsm_sst_writer *writer, uint64_t log_low, uint64_t log_high, struct lsm_file_meta *meta, struct lsm_error *err) {
    struct lsm_sst_footer footer = {0};
    int status = flush_pending(writer, err);
    if (status == LSM_OK) status = write_filter(writer, &footer.filter, err);
    if (status == LSM_OK) status = write_index(writer, &footer.index, err);
    if (status == LSM_OK) status = write_ranges(writer, &footer.ranges, err);
    if (status == LSM_OK && fill_meta(writer, log_low, log_high, meta) != LSM_OK) status = lsm_fail_nomem(err, writer->last_key.size);
    if (status == LSM_OK) status = write_properties(writer, meta, &footer.properties, err);
    if (status == LSM_OK) status = write_footer(writer, &footer, err);
    if (status == LSM_OK) status = lsm_file_sync(writer->file, err);
    meta->bytes = writer->written;
    meta->checksum = lsm_hasher_digest(writer->hasher);
    return status;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

static void writer_free(struct lsm_sst_writer *writer) {
    lsm_file_close(writer->file);
    lsm_hasher_free(writer->hasher);
    lsm_compressor_release(&writer->compressor);
    lsm_free(writer->pending.items);
    lsm_free(writer->pending.bytes);
    struct lsm_buf *const bufs[] = {&writer->out,        &writer->pending.first, &writer->payload,   &writer->packed,
                                    &writer->separators, &writer->index_values,  &writer->hashes,    &writer->ranges,
                                    &writer->first_key,  &writer->last_key,      &writer->range_low, &writer->range_high};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) lsm_buf_free(bufs[i]);
    lsm_free(writer->path);
    lsm_free(writer);
}

void lsm_sst_writer_abandon(struct lsm_sst_writer *writer) {
    if (writer == NULL) return;
    lsm_file_close(writer->file);
    writer->file = NULL;
    int status = lsm_env_unlink(writer->env, writer->path, NULL);
    (void)status; /* nothing better to do: cleanup finds a file that nobody names */
    writer_free(writer);
}

int lsm_sst_writer_finish(struct lsm_sst_writer *writer, uint64_t log_low, uint64_t log_high, struct lsm_file_meta *meta, struct lsm_error *err) {
    int status = writer->status != LSM_OK ? lsm_fail(err, writer->status, "%s: writing this table file has failed before", writer->path)
                                          : finish(writer, log_low, log_high, meta, err);
    if (status != LSM_OK)
        lsm_sst_writer_abandon(writer);
    else
        writer_free(writer);
    return status;
}

static bool writer_init(struct lsm_sst_writer *writer, struct lsm_env *env, const char *path, const struct lsm_sst_options *options) {
    struct pending_block *pending = &writer->pending;
    writer->env = env;
    writer->options = *options;
    writer->path = lsm_strdup(path);
    writer->hasher = lsm_hasher_new(0);
    pending->item_capacity = options->block_bytes / ENTRY_OVERHEAD + 1;
    pending->items = lsm_calloc(pending->item_capacity, sizeof *pending->items);
    pending->capacity = options->block_bytes + 1;
    pending->bytes = lsm_malloc(pending->capacity);
    return writer->path != NULL && writer->hasher != NULL && pending->items != NULL && pending->bytes != NULL &&
           lsm_buf_reserve(&writer->out, OUT_BYTES) == LSM_OK;
}

int lsm_sst_writer_open(struct lsm_env *env, const char *path, const struct lsm_env_perm *perm, const uint8_t *store_id, uint64_t number,
                        const struct lsm_sst_options *options, struct lsm_sst_writer **writer_out, struct lsm_error *err) {
    *writer_out = NULL;
    struct lsm_sst_writer *writer = lsm_calloc(1, sizeof *writer);
    if (writer == NULL) return lsm_fail_nomem(err, sizeof *writer);
    if (!writer_init(writer, env, path, options)) {
        writer_free(writer);
        return lsm_fail_nomem(err, OUT_BYTES);
    }
    writer->ident.path = writer->path;
    writer->ident.number = number;
    memcpy(writer->ident.store_id, store_id, LSM_STORE_ID_BYTES);
    int status = lsm_env_open(env, path, LSM_OPEN_WRITE | LSM_OPEN_CREATE | LSM_OPEN_EXCL, perm, &writer->file, err);
    if (status != LSM_OK) {
        writer->file = NULL;
        writer_free(writer);
        return status;
    }
    uint8_t header[LSM_SST_HEADER_BYTES];
    lsm_sst_header_encode(&writer->ident, header);
    status = lsm_buf_append(&writer->out, header, sizeof header);
    assert(status == LSM_OK); /* reserved above */
    *writer_out = writer;
    return status;
}
