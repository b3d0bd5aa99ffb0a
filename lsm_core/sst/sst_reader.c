#include "sst_reader.h"

#include "../codec/coding.h"
#include "../codec/hash.h"
#include "compress.h"

#include <inttypes.h>
#include <stddef.h>

uint64_t lsm_sst_key_hash(struct lsm_slice key) { return lsm_hash(key.data, key.size, 0); }

/* ---- data blocks ---------------------------------------------------------------------------------------------- */

static struct lsm_sst_block *block_new(const struct lsm_sst *sst, size_t bytes) {
    return (struct lsm_sst_block *)lsm_cache_entry_new(sst->cache, sizeof(struct lsm_sst_block) + bytes);
}

static void block_free(struct lsm_sst_block *block) { lsm_cache_entry_free(&block->entry); }

int lsm_sst_block_view(const struct lsm_sst *sst, size_t i, const struct lsm_sst_handle *handle, struct lsm_slice payload, struct lsm_block *view,
                       struct lsm_error *err) {
    const char *wrong = lsm_block_open(view, payload);
    if (wrong != NULL) return lsm_sst_block_corrupt(&sst->ident, handle, wrong, err);
    uint64_t before, after = sst->meta->entries;
    (void)lsm_sst_handle_of(sst, i, &before);
    if (i + 1 < lsm_sst_block_count(sst)) (void)lsm_sst_handle_of(sst, i + 1, &after);
    if (view->count != after - before)
        return lsm_sst_block_corrupt(&sst->ident, handle, "it does not have the number of entries that the index says", err);
    return LSM_OK;
}

int lsm_sst_block_unpack(const struct lsm_sst *sst, const struct lsm_sst_handle *handle, enum lsm_compression compression, const uint8_t *stored,
                         uint8_t *raw, struct lsm_error *err) {
    int status = lsm_decompress(compression, lsm_slice_of(stored, (size_t)handle->stored), raw, (size_t)handle->raw);
    if (status == LSM_NOMEM) return lsm_fail_nomem(err, (size_t)handle->raw);
    if (status != LSM_OK) return lsm_sst_block_corrupt(&sst->ident, handle, "its compressed bytes do not unpack to the size noted", err);
    memset(raw + handle->raw, 0, LSM_BLOCK_SLACK);
    return LSM_OK;
}

int lsm_sst_block_make(const struct lsm_sst *sst, size_t i, const struct lsm_sst_handle *handle, const uint8_t *stored,
                       struct lsm_sst_block **block_out, struct lsm_error *err) {
    enum lsm_compression compression;
    int status = lsm_sst_trailer_check(&sst->ident, handle, stored, &compression, err);
    if (status != LSM_OK) return status;
    bool stays = compression == LSM_COMPRESS_NONE && sst->map != NULL && stored == sst->map + handle->offset;
    size_t room = stays ? 0 : (size_t)handle->raw + LSM_SST_TRAILER_BYTES;
    struct lsm_sst_block *block = block_new(sst, room);
    if (block == NULL) return lsm_fail_nomem(err, room);
    if (compression != LSM_COMPRESS_NONE)
        status = lsm_sst_block_unpack(sst, handle, compression, stored, block->bytes, err);
    else if (!stays)
        memcpy(block->bytes, stored, room);
    const uint8_t *payload = stays ? stored : block->bytes;
    if (status == LSM_OK) status = lsm_sst_block_view(sst, i, handle, lsm_slice_of(payload, (size_t)handle->raw), &block->block, err);
    if (status == LSM_OK)
        *block_out = block;
    else
        block_free(block);
    return status;
}

/* A block that is stored as it is: read to where it stays. */
static int read_plain(const struct lsm_sst *sst, size_t i, const struct lsm_sst_handle *handle, struct lsm_sst_block **block_out,
                      struct lsm_error *err) {
    size_t room = (size_t)handle->stored + LSM_SST_TRAILER_BYTES;
    enum lsm_compression compression;
    struct lsm_sst_block *block = block_new(sst, room);
    if (block == NULL) return lsm_fail_nomem(err, room);
    int status = lsm_sst_read(&sst->ident, sst->file, handle->offset, block->bytes, room, err);
    if (status == LSM_OK) status = lsm_sst_trailer_check(&sst->ident, handle, block->bytes, &compression, err);
    if (status == LSM_OK) status = lsm_sst_block_view(sst, i, handle, lsm_slice_of(block->bytes, (size_t)handle->raw), &block->block, err);
    if (status == LSM_OK)
        *block_out = block;
    else
        block_free(block);
    return status;
}

static int read_packed(const struct lsm_sst *sst, size_t i, const struct lsm_sst_handle *handle, struct lsm_sst_block **block,
                       struct lsm_error *err) {
    uint8_t small[8192], *stored = small;
    size_t size = (size_t)handle->stored + LSM_SST_TRAILER_BYTES;
    if (size > sizeof small && (stored = lsm_malloc(size)) == NULL) return lsm_fail_nomem(err, size);
    int status = lsm_sst_read(&sst->ident, sst->file, handle->offset, stored, size, err);
    if (status == LSM_OK) status = lsm_sst_block_make(sst, i, handle, stored, block, err);
    if (stored != small) lsm_free(stored);
    return status;
}

struct lsm_sst_block *lsm_sst_block_cached(const struct lsm_sst *sst, size_t i) {
    return sst->slots == NULL ? NULL : (struct lsm_sst_block *)lsm_cache_pin(sst->cache, &sst->slots[i]);
}

struct lsm_sst_block *lsm_sst_block_publish(const struct lsm_sst *sst, size_t i, struct lsm_sst_block *block) {
    return (struct lsm_sst_block *)lsm_cache_insert(sst->cache, &sst->slots[i], &block->entry);
}

void lsm_sst_block_release(const struct lsm_sst *sst, struct lsm_sst_block *block, bool cached) {
    if (block == NULL) return;
    if (cached)
        lsm_cache_unpin(sst->cache, &block->entry);
    else
        block_free(block);
}

int lsm_sst_block_get(const struct lsm_sst *sst, size_t i, struct lsm_sst_block **block_out, struct lsm_error *err) {
    struct lsm_sst_block *block = lsm_sst_block_cached(sst, i);
    int status = LSM_OK;
    if (block == NULL) {
        uint64_t before;
        struct lsm_sst_handle handle = lsm_sst_handle_of(sst, i, &before);
        if (sst->map != NULL)
            status = lsm_sst_block_make(sst, i, &handle, sst->map + handle.offset, &block, err);
        else
            status = handle.raw == handle.stored ? read_plain(sst, i, &handle, &block, err) : read_packed(sst, i, &handle, &block, err);
        if (status == LSM_OK && sst->cache != NULL) block = lsm_sst_block_publish(sst, i, block);
    }
    if (status == LSM_OK) *block_out = block;
    return status;
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

/* A block that stays in memory: *memory is to be freed, *payload lies in it so that a filter's lines are cache lines. */
static int read_resident(struct lsm_sst *sst, const struct lsm_sst_handle *handle, uint8_t **memory, struct lsm_slice *payload,
                         struct lsm_error *err) {
    enum lsm_compression compression;
    /* LCOV_EXCL_BR_LINE: only in a file of more than four gigabytes */
    if (handle->stored > LSM_BLOCK_BYTES_MAX) return lsm_sst_block_corrupt(&sst->ident, handle, "it is larger than the format allows", err);
    size_t size = (size_t)handle->stored + LSM_SST_TRAILER_BYTES, line = LSM_FILTER_LINE_BYTES;
    *memory = lsm_malloc(size + line);
    if (*memory == NULL) return lsm_fail_nomem(err, size);
    uint8_t *bytes = *memory + (line - (uintptr_t)*memory % line) % line;
    int status = lsm_sst_read(&sst->ident, sst->file, handle->offset, bytes, size, err);
    if (status == LSM_OK) status = lsm_sst_trailer_check(&sst->ident, handle, bytes, &compression, err);
    if (status != LSM_OK) return status;
    *payload = lsm_slice_of(bytes, (size_t)handle->stored);
    sst->memory += size + line;
    return LSM_OK;
}

/* The index's blocks must fill the file from the header to data_end, each with entries. Fills places. */
static const char *decode_places(struct lsm_sst *sst) {
    uint64_t offset = LSM_SST_HEADER_BYTES, entries = 0;
    for (size_t i = 0; i < sst->index.count; i++) {
        struct lsm_slice value = lsm_block_entry(&sst->index, i).value;
        if (value.size != LSM_SST_INDEX_VALUE_BYTES) return "an index entry has the wrong size";
        uint64_t before;
        struct lsm_sst_handle handle = lsm_sst_index_value_decode(value.data, &before);
        if (handle.offset != offset || !lsm_sst_handle_is_sane(&handle)) return "an index entry names an impossible block";
        if (i == 0 ? before != 0 : before <= entries) return "an index entry counts wrong";
        sst->places[i] =
            (struct lsm_sst_place){.offset = offset, .stored = (uint32_t)handle.stored, .raw = (uint32_t)handle.raw, .entries_before = before};
        offset = lsm_sst_handle_end(&handle);
        entries = before;
    }
    if (offset != sst->data_end) return "the index does not cover the data blocks";
    if (sst->index.count == 0 ? sst->meta->entries != 0 : sst->meta->entries <= entries) return "the index counts more entries than the file has";
    return NULL;
}

static int open_index(struct lsm_sst *sst, const struct lsm_sst_handle *handle, struct lsm_error *err) {
    struct lsm_slice payload;
    int status = read_resident(sst, handle, &sst->index_bytes, &payload, err);
    if (status != LSM_OK) return status;
    const char *wrong = lsm_block_open(&sst->index, payload);
    if (wrong == NULL) {
        size_t bytes = sst->index.count * sizeof *sst->places;
        sst->places = lsm_malloc(bytes);
        if (sst->places == NULL) return lsm_fail_nomem(err, bytes);
        sst->memory += bytes;
        wrong = decode_places(sst);
    }
    return wrong == NULL ? LSM_OK : lsm_sst_block_corrupt(&sst->ident, handle, wrong, err);
}

static int open_filter(struct lsm_sst *sst, const struct lsm_sst_handle *handle, struct lsm_error *err) {
    struct lsm_slice payload;
    if (handle->offset == 0) return LSM_OK;
    int status = read_resident(sst, handle, &sst->filter_bytes, &payload, err);
    if (status != LSM_OK) return status;
    sst->has_filter = true;
    if (lsm_filter_open(&sst->filter, payload)) return LSM_OK;
    return lsm_sst_block_corrupt(&sst->ident, handle, "malformed filter", err);
}

static int open_ranges(struct lsm_sst *sst, const struct lsm_sst_handle *handle, struct lsm_error *err) {
    struct lsm_slice payload;
    if (handle->offset == 0)
        return sst->meta->range_tombstones == 0 ? LSM_OK : lsm_fail(err, LSM_CORRUPT, "%s: range tombstones missing; " LSM_SST_ADVICE, sst->path);
    int status = read_resident(sst, handle, &sst->range_bytes, &payload, err);
    if (status != LSM_OK) return status;
    struct lsm_decoder d = lsm_decoder_of(payload);
    uint64_t count = lsm_get_varint(&d);
    /* Each takes two bytes at least: what could not be there is not allocated for. */
    if (count != sst->meta->range_tombstones || count > handle->stored / 2)
        return lsm_sst_block_corrupt(&sst->ident, handle, "wrong number of range tombstones", err);
    sst->ranges = lsm_calloc((size_t)count, sizeof *sst->ranges);
    if (sst->ranges == NULL) return lsm_fail_nomem(err, (size_t)count * sizeof *sst->ranges);
    sst->memory += (size_t)count * sizeof *sst->ranges;
    for (; sst->range_count < count && !d.failed; sst->range_count++) {
        struct lsm_sst_range *range = &sst->ranges[sst->range_count];
        range->low = lsm_get_bytes(&d, LSM_BLOCK_KEY_BYTES_MAX);
        range->high = lsm_get_bytes(&d, LSM_BLOCK_KEY_BYTES_MAX);
        bool ordered =
            lsm_slice_compare(range->low, range->high) < 0 && (sst->range_count == 0 || lsm_slice_compare(range[-1].high, range->low) <= 0);
        if (!ordered) d.failed = true;
    }
    if (!d.failed && d.p == d.end) return LSM_OK;
    return lsm_sst_block_corrupt(&sst->ident, handle, "malformed range tombstones", err);
}

/* The properties must say what the manifest says. */
static int check_properties(struct lsm_sst *sst, const struct lsm_sst_handle *handle, struct lsm_error *err) {
    uint8_t *bytes = NULL;
    size_t memory = sst->memory;
    struct lsm_slice payload = {0};
    struct lsm_sst_properties p;
    const struct lsm_file_meta *meta = sst->meta;
    int status = read_resident(sst, handle, &bytes, &payload, err);
    sst->memory = memory; /* it does not stay */
    if (status == LSM_OK) status = lsm_sst_properties_decode(&sst->ident, handle, payload, &p, err);
    bool same = status == LSM_OK && p.entries == meta->entries && p.tombstones == meta->tombstones && p.range_tombstones == meta->range_tombstones &&
                p.raw_bytes == meta->raw_bytes && p.log_low == meta->log_low && p.log_high == meta->log_high && p.compression == meta->compression &&
                p.largest_exclusive == meta->largest_exclusive && lsm_slice_equal(p.smallest, lsm_buf_slice(&meta->smallest)) &&
                lsm_slice_equal(p.largest, lsm_buf_slice(&meta->largest));
    if (status == LSM_OK && !same)
        status = lsm_fail(err, LSM_CORRUPT, "%s: the file is not the one the manifest names (properties differ); " LSM_SST_ADVICE, sst->path);
    lsm_free(bytes);
    return status;
}

static int open_blocks(struct lsm_sst *sst, struct lsm_error *err) {
    uint8_t header[LSM_SST_HEADER_BYTES], footer_bytes[LSM_SST_FOOTER_BYTES];
    struct lsm_sst_footer footer;
    uint64_t size = 0;
    int status = lsm_file_size(sst->file, &size, err);
    if (status != LSM_OK) return status;
    if (size != sst->meta->bytes || size < LSM_SST_BLOCKS_BYTES_MIN)
        return lsm_fail(err, LSM_CORRUPT, "%s: the file has %" PRIu64 " bytes, expected %" PRIu64 "; " LSM_SST_ADVICE, sst->path, size,
                        sst->meta->bytes);
    status = lsm_sst_read(&sst->ident, sst->file, 0, header, sizeof header, err);
    if (status == LSM_OK) status = lsm_sst_header_check(&sst->ident, header, err);
    if (status == LSM_OK) status = lsm_sst_read(&sst->ident, sst->file, size - sizeof footer_bytes, footer_bytes, sizeof footer_bytes, err);
    if (status == LSM_OK) status = lsm_sst_footer_decode(&sst->ident, footer_bytes, size, &footer, &sst->data_end, err);
    if (status == LSM_OK) status = check_properties(sst, &footer.properties, err);
    if (status == LSM_OK) status = open_index(sst, &footer.index, err);
    if (status == LSM_OK) status = open_filter(sst, &footer.filter, err);
    if (status == LSM_OK) status = open_ranges(sst, &footer.ranges, err);
    return status;
}

static int open_slots(struct lsm_sst *sst, struct lsm_cache *cache, struct lsm_error *err) {
    size_t count = lsm_sst_block_count(sst);
    sst->slots = lsm_calloc(count == 0 ? 1 : count, sizeof *sst->slots);
    if (sst->slots == NULL) return lsm_fail_nomem(err, count * sizeof *sst->slots);
    sst->memory += count * sizeof *sst->slots;
    sst->cache = cache;
    lsm_cache_hold(cache, (int64_t)sst->memory);
    return LSM_OK;
}

int lsm_sst_open(struct lsm_env *env, const char *path, const uint8_t *store_id, const struct lsm_file_meta *meta, struct lsm_cache *cache,
                 struct lsm_sst **sst_out, struct lsm_error *err) {
    *sst_out = NULL;
    struct lsm_sst *sst = lsm_calloc(1, sizeof *sst);
    if (sst == NULL || (sst->path = lsm_strdup(path)) == NULL) {
        lsm_free(sst);
        return lsm_fail_nomem(err, sizeof *sst);
    }
    sst->memory = sizeof *sst + strlen(path) + 1;
    sst->meta = meta;
    sst->ident = (struct lsm_sst_ident){.path = sst->path, .number = meta->number};
    memcpy(sst->ident.store_id, store_id, LSM_STORE_ID_BYTES);
    int status = lsm_env_open(env, path, LSM_OPEN_READ, NULL, &sst->file, err);
    if (status != LSM_OK) sst->file = NULL;
    if (status == LSM_OK) status = open_blocks(sst, err);
    if (status == LSM_OK && cache != NULL) status = open_slots(sst, cache, err);
    if (status != LSM_OK) {
        lsm_sst_close(sst);
        return status;
    }
    *sst_out = sst;
    return LSM_OK;
}

void lsm_sst_map(struct lsm_sst *sst, struct lsm_sst_maps *maps) {
    uint64_t bytes = sst->meta->bytes, used = atomic_fetch_add_explicit(&maps->used, bytes, memory_order_relaxed);
    const void *map = NULL;
    bool room = used + bytes <= atomic_load_explicit(&maps->limit, memory_order_relaxed) && bytes <= SIZE_MAX;
    if (room && lsm_file_map_read(sst->file, (size_t)bytes, &map, NULL) == LSM_OK) {
        sst->map = map;
        sst->maps = maps;
    } else {
        (void)atomic_fetch_sub_explicit(&maps->used, bytes, memory_order_relaxed);
    }
}

void lsm_sst_close(struct lsm_sst *sst) {
    if (sst == NULL) return;
    if (sst->cache != NULL) {
        for (size_t i = 0; i < lsm_sst_block_count(sst); i++) lsm_cache_erase(sst->cache, &sst->slots[i]);
        lsm_cache_hold(sst->cache, -(int64_t)sst->memory);
    }
    if (sst->map != NULL) (void)atomic_fetch_sub_explicit(&sst->maps->used, sst->meta->bytes, memory_order_relaxed);
    lsm_file_close(sst->file);
    lsm_free(sst->filter_bytes);
    lsm_free(sst->index_bytes);
    lsm_free(sst->range_bytes);
    lsm_free(sst->places);
    lsm_free(sst->slots);
    lsm_free(sst->ranges);
    lsm_free(sst->path);
    lsm_free(sst);
}

size_t lsm_sst_memory(const struct lsm_sst *sst) { return sst->memory; }

int lsm_sst_identify(struct lsm_env *env, const char *path, const uint8_t *store_id, uint64_t number, struct lsm_error *err) {
    struct lsm_sst_ident ident = {.path = path, .number = number};
    uint8_t header[LSM_SST_HEADER_BYTES];
    struct lsm_file *file = NULL;
    memcpy(ident.store_id, store_id, LSM_STORE_ID_BYTES);
    int status = lsm_env_open(env, path, LSM_OPEN_READ, NULL, &file, err);
    if (status != LSM_OK) return status;
    status = lsm_sst_read(&ident, file, 0, header, sizeof header, err);
    if (status == LSM_OK) status = lsm_sst_header_check(&ident, header, err);
    lsm_file_close(file);
    return status;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

bool lsm_sst_may_contain(const struct lsm_sst *sst, uint64_t key_hash) {
    return lsm_sst_block_count(sst) != 0 && (!sst->has_filter || lsm_filter_may_contain(&sst->filter, key_hash));
}

void lsm_sst_prefetch(const struct lsm_sst *sst, uint64_t key_hash) {
    if (sst->has_filter) __builtin_prefetch(sst->filter.lines + (size_t)lsm_filter_line(key_hash, sst->filter.line_count) * LSM_FILTER_LINE_BYTES);
}

void lsm_sst_pin_release(struct lsm_sst_pin *pin) {
    struct lsm_cache_entry *entry = pin->entry;
    if (entry != NULL && pin->cache != NULL)
        lsm_cache_unpin(pin->cache, entry);
    else
        lsm_cache_entry_free(entry);
    *pin = (struct lsm_sst_pin){0};
}

int lsm_sst_get(struct lsm_sst *sst, struct lsm_slice key, enum lsm_kind *kind, struct lsm_sst_pin *pin, struct lsm_error *err) {
    struct lsm_sst_block *block = NULL;
    bool exact;
    if (lsm_sst_block_count(sst) == 0) return LSM_NOTFOUND;
    int status = lsm_sst_block_get(sst, lsm_sst_block_for(sst, key), &block, err);
    if (status != LSM_OK) return status;
    size_t i = lsm_block_seek(&block->block, key, &exact);
    if (exact) {
        struct lsm_block_entry entry = lsm_block_entry(&block->block, i);
        *kind = entry.kind;
        if (pin != NULL) {
            *pin = (struct lsm_sst_pin){.value = entry.value, .cache = sst->cache, .entry = &block->entry};
            return LSM_OK;
        }
    }
    lsm_sst_block_release(sst, block, sst->cache != NULL);
    return exact ? LSM_OK : LSM_NOTFOUND;
}

const struct lsm_sst_range *lsm_sst_ranges(const struct lsm_sst *sst, size_t *count) {
    *count = sst->range_count;
    return sst->ranges;
}

/* ---- estimate ------------------------------------------------------------------------------------------------- */

void lsm_sst_estimate(const struct lsm_sst *sst, const struct lsm_slice *low, const struct lsm_slice *high, double *bytes, double *entries) {
    size_t count = lsm_sst_block_count(sst);
    *bytes = *entries = 0;
    bool empty = low != NULL && high != NULL && lsm_slice_compare(*low, *high) >= 0;
    if (count == 0 || empty || !lsm_file_meta_overlaps(sst->meta, low, high)) return;
    size_t first = low == NULL ? 0 : lsm_sst_block_for(sst, *low), last = high == NULL ? count - 1 : lsm_sst_block_for(sst, *high);
    uint64_t first_before, last_before, end = sst->meta->entries;
    struct lsm_sst_handle first_handle = lsm_sst_handle_of(sst, first, &first_before), last_handle = lsm_sst_handle_of(sst, last, &last_before);
    /* LCOV_EXCL_BR_LINE: a search for a larger key never ends earlier, in whatever order */
    if (last < first) return; /* only with an index out of order */
    if (last + 1 < count) (void)lsm_sst_handle_of(sst, last + 1, &end);
    *bytes = (double)(lsm_sst_handle_end(&last_handle) - first_handle.offset);
    *entries = (double)(end - first_before);
    /* A bound lies somewhere in its block: half of it, as far as anybody knows. */
    double first_entries = first == last ? *entries : 0;
    if (first != last) {
        uint64_t second_before;
        (void)lsm_sst_handle_of(sst, first + 1, &second_before);
        first_entries = (double)(second_before - first_before);
    }
    if (low != NULL) *entries -= first_entries / 2;
    if (high != NULL) *entries -= (double)(end - last_before) / (first == last && low != NULL ? 4 : 2);
}
