#include "table_file.h"

#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/sst/compress.h"

enum { READ_BYTES = 65536, SECTOR_BYTES = 512 };
#define SEARCH_BYTES_MAX ((uint64_t)1 << 33) /* looked at for blocks without an index, before the rest of a file is given up: half a minute */

/* ---- ranges of keys --------------------------------------------------------------------------------------------------- */

void key_ranges_add(struct key_ranges *ranges, struct lsm_slice low, struct lsm_slice high, bool inclusive) {
    ranges->items = tool_got(lsm_realloc(ranges->items, (ranges->count + 1) * sizeof *ranges->items));
    struct key_range *range = &ranges->items[ranges->count++];
    *range = (struct key_range){.inclusive = inclusive};
    tool_set(&range->low, low);
    tool_set(&range->high, high);
}

static bool is_below(const struct key_range *range, struct lsm_slice key) {
    int order = lsm_slice_compare(lsm_buf_slice(&range->high), key);
    return order < 0 || (order == 0 && !range->inclusive);
}

bool key_ranges_cover(const struct key_ranges *ranges, struct lsm_slice key) {
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (is_below(&ranges->items[middle], key))
            low = middle + 1;
        else
            high = middle;
    }
    return low < ranges->count && lsm_slice_compare(lsm_buf_slice(&ranges->items[low].low), key) <= 0;
}

void key_ranges_release(struct key_ranges *ranges) {
    for (size_t i = 0; i < ranges->count; i++) {
        lsm_buf_free(&ranges->items[i].low);
        lsm_buf_free(&ranges->items[i].high);
    }
    lsm_free(ranges->items);
    *ranges = (struct key_ranges){0};
}

/* ---- the bytes ---------------------------------------------------------------------------------------------------------- */

size_t table_file_read(const char *path, uint8_t **bytes) {
    struct lsm_file *file = NULL;
    uint64_t size = 0;
    *bytes = NULL;
    if (lsm_env_open(lsm_env_posix(), path, LSM_OPEN_READ, NULL, &file, NULL) != LSM_OK) return SIZE_MAX;
    if (lsm_file_size(file, &size, NULL) != LSM_OK) size = 0;
    *bytes = tool_got(lsm_calloc(1, (size_t)size + LSM_BLOCK_SLACK));
    for (uint64_t at = 0; at < size; at += READ_BYTES) {
        size_t got, want = size - at < READ_BYTES ? (size_t)(size - at) : READ_BYTES;
        if (lsm_file_read_at(file, at, *bytes + at, want, &got, NULL) == LSM_OK) continue;
        memset(*bytes + at, 0, want);
        for (uint64_t sector = at; sector < at + want; sector += SECTOR_BYTES) {
            size_t part = at + want - sector < SECTOR_BYTES ? (size_t)(at + want - sector) : SECTOR_BYTES;
            if (lsm_file_read_at(file, sector, *bytes + sector, part, &got, NULL) != LSM_OK) memset(*bytes + sector, 0, part);
        }
    }
    lsm_file_close(file);
    return (size_t)size;
}

/* Is a whole block of these stored bytes here? Takes its size when unpacked from its trailer. */
static bool is_block(const struct table_file *file, struct lsm_sst_handle *handle, enum lsm_compression *compression) {
    if (handle->offset > file->size || handle->stored > file->size - handle->offset ||
        file->size - handle->offset - handle->stored < LSM_SST_TRAILER_BYTES)
        return false;
    handle->raw = lsm_load_u64(file->bytes + handle->offset + handle->stored + 1);
    return lsm_sst_handle_is_sane(handle) && lsm_sst_trailer_check(&file->ident, handle, file->bytes + handle->offset, compression, NULL) == LSM_OK;
}

/* A whole block that is not compressed, as it lies in the file. */
static bool plain_block(const struct table_file *file, struct lsm_sst_handle handle, struct lsm_slice *payload) {
    enum lsm_compression compression;
    if (!is_block(file, &handle, &compression) || compression != LSM_COMPRESS_NONE) return false;
    *payload = lsm_slice_of(file->bytes + handle.offset, (size_t)handle.stored);
    return true;
}

bool table_file_block(const struct table_file *file, size_t i, struct lsm_buf *payload, struct lsm_block *view) {
    struct lsm_sst_handle handle = file->blocks[i];
    enum lsm_compression compression;
    if (!is_block(file, &handle, &compression)) return false;
    lsm_buf_reset(payload);
    if (lsm_buf_reserve(payload, (size_t)handle.raw + LSM_BLOCK_SLACK) != LSM_OK) (void)tool_got(NULL);
    const uint8_t *stored = file->bytes + handle.offset;
    if (compression == LSM_COMPRESS_NONE)
        memcpy(payload->data, stored, (size_t)handle.stored);
    else if (lsm_decompress(compression, lsm_slice_of(stored, (size_t)handle.stored), payload->data, (size_t)handle.raw) != LSM_OK)
        return false;
    memset(payload->data + handle.raw, 0, LSM_BLOCK_SLACK);
    payload->size = (size_t)handle.raw;
    return lsm_block_open(view, lsm_buf_slice(payload)) == NULL;
}

static void add_block(struct table_file *file, struct lsm_sst_handle handle) {
    if ((file->blocks_count & (file->blocks_count + 1)) == 0)
        file->blocks = tool_got(lsm_realloc(file->blocks, 2 * (file->blocks_count + 1) * sizeof *file->blocks));
    file->blocks[file->blocks_count++] = handle;
}

/* ---- with an index ------------------------------------------------------------------------------------------------------ */

struct finder {
    struct table_file *file;
    table_file_found_fn found;
    void *arg;
    struct lsm_buf low, payload; /* scratch */
    uint64_t searched;           /* bytes looked at */
};

static void lose(struct finder *finder, uint64_t offset, const char *what, struct lsm_slice low, struct lsm_slice high, bool inclusive) {
    struct table_file *file = finder->file;
    key_ranges_add(&file->lost, low, high, inclusive);
    if (finder->found != NULL) finder->found(finder->arg, file, offset, what, &file->lost.items[file->lost.count - 1]);
}

/* The key of separator i, or the file's bound in front of the first. */
static void separator(const struct finder *finder, const struct lsm_block *index, size_t i, struct lsm_buf *key) {
    if (i == 0)
        tool_set(key, lsm_buf_slice(&finder->file->meta->smallest));
    else if (lsm_block_key_copy(index, i, key) != LSM_OK)
        (void)tool_got(NULL);
}

static struct lsm_sst_handle handle_of(const struct lsm_block *index, size_t i) {
    struct lsm_block_entry entry = lsm_block_entry(index, i);
    uint64_t before;
    if (entry.value.size != LSM_SST_INDEX_VALUE_BYTES) return (struct lsm_sst_handle){0};
    return lsm_sst_index_value_decode(entry.value.data, &before);
}

static void follow_index(struct finder *finder, const struct lsm_block *index) {
    struct table_file *file = finder->file;
    struct lsm_buf high = {0};
    struct lsm_block view;
    for (size_t i = 0; i < index->count; i++) {
        struct lsm_sst_handle handle = handle_of(index, i);
        add_block(file, handle);
        if (table_file_block(file, file->blocks_count - 1, &finder->payload, &view)) continue;
        file->blocks_count--;
        bool last = i + 1 == index->count;
        separator(finder, index, i, &finder->low);
        if (last)
            tool_set(&high, lsm_buf_slice(&file->meta->largest));
        else
            separator(finder, index, i + 1, &high);
        lose(finder, handle.offset, "a data block is damaged", lsm_buf_slice(&finder->low), lsm_buf_slice(&high), last);
    }
    lsm_buf_free(&high);
}

/* An index is a block that leads, from the first byte behind the header, from one place to the next. */
static bool is_index(const struct lsm_block *block) {
    uint64_t at = LSM_SST_HEADER_BYTES;
    for (size_t i = 0; i < block->count; i++) {
        struct lsm_sst_handle handle = handle_of(block, i);
        if (handle.offset != at) return false;
        at = lsm_sst_handle_end(&handle);
    }
    return block->count != 0;
}

/* An uncompressed block that ends with a trailer at `trailer`, if there is one. */
static bool block_before(const struct table_file *file, size_t trailer, struct lsm_sst_handle *handle, struct lsm_slice *payload) {
    uint64_t raw = lsm_load_u64(file->bytes + trailer + 1);
    if (file->bytes[trailer] != LSM_COMPRESS_NONE || raw == 0 || raw > trailer) return false;
    *handle = (struct lsm_sst_handle){.offset = trailer - raw, .stored = raw, .raw = raw};
    return handle->offset >= LSM_SST_HEADER_BYTES && plain_block(file, *handle, payload);
}

/* Without a footer: from the end of the file back, where indexes are. */
static bool look_for_index(const struct table_file *file, struct lsm_sst_handle *handle, struct lsm_block *index) {
    struct lsm_slice payload;
    if (file->size < LSM_SST_HEADER_BYTES + LSM_SST_TRAILER_BYTES) return false;
    for (size_t at = file->size - LSM_SST_TRAILER_BYTES; at > LSM_SST_HEADER_BYTES; at--)
        if (block_before(file, at, handle, &payload) && lsm_block_open(index, payload) == NULL && is_index(index)) return true;
    return false;
}

/* ---- without one ---------------------------------------------------------------------------------------------------------- */

/* The block that begins at `from`, by trying every place that looks like a trailer. */
static bool block_at(struct finder *finder, size_t from, struct lsm_sst_handle *handle) {
    const struct table_file *file = finder->file;
    enum lsm_compression compression;
    for (size_t at = from; at + LSM_SST_TRAILER_BYTES <= file->size && finder->searched < SEARCH_BYTES_MAX; at++) {
        finder->searched++;
        uint64_t raw = lsm_load_u64(file->bytes + at + 1), stored = at - from;
        uint8_t type = file->bytes[at];
        if (type > LSM_COMPRESS_ZSTD || raw > LSM_BLOCK_BYTES_MAX || raw < stored || (type == LSM_COMPRESS_NONE) != (raw == stored)) continue;
        *handle = (struct lsm_sst_handle){.offset = from, .stored = stored};
        if (stored == 0) continue;
        finder->searched += stored;
        if (is_block(file, handle, &compression)) return true;
    }
    return false;
}

/* Keys of a block found by chance: in order, behind what came before, within the file's bounds. Fills in its first and last key. */
static bool is_data(const struct table_file *file, const struct lsm_block *view, const struct lsm_buf *before, struct lsm_buf *first,
                    struct lsm_buf *last) {
    struct lsm_slice largest = lsm_buf_slice(&file->meta->largest), smallest = lsm_buf_slice(&file->meta->smallest);
    if (view->count == 0 || is_index(view)) return false;
    if (lsm_block_key_copy(view, 0, first) != LSM_OK || lsm_block_key_copy(view, view->count - 1, last) != LSM_OK) (void)tool_got(NULL);
    if (before->size != 0 && lsm_slice_compare(lsm_buf_slice(before), lsm_buf_slice(first)) >= 0) return false;
    return lsm_slice_compare(smallest, lsm_buf_slice(first)) <= 0 && lsm_slice_compare(lsm_buf_slice(last), largest) <= 0;
}

/* Where the next block may begin, behind something damaged at `from`: behind any whole trailer, so behind any place that looks like one. */
static bool next_start(struct finder *finder, size_t from, size_t *start, struct lsm_sst_handle *handle) {
    const struct table_file *file = finder->file;
    for (size_t at = from; at + LSM_SST_TRAILER_BYTES < file->size; at++) {
        uint64_t raw = lsm_load_u64(file->bytes + at + 1);
        if (file->bytes[at] > LSM_COMPRESS_ZSTD || raw == 0 || raw > LSM_BLOCK_BYTES_MAX) continue;
        *start = at + LSM_SST_TRAILER_BYTES;
        if (block_at(finder, *start, handle)) return true;
    }
    return false;
}

static void search_blocks(struct finder *finder) {
    struct table_file *file = finder->file;
    struct lsm_buf last = {0}, first = {0}, end = {0};
    struct lsm_block view;
    struct lsm_sst_handle handle;
    size_t at = LSM_SST_HEADER_BYTES;
    uint64_t entries = 0;
    bool gap = false, more = true;
    tool_set(&finder->low, lsm_buf_slice(&file->meta->smallest));
    while (more) {
        size_t start = at;
        more = block_at(finder, at, &handle) || next_start(finder, at, &start, &handle);
        gap |= !more || start != at;
        if (!more) break;
        add_block(file, handle);
        if (table_file_block(file, file->blocks_count - 1, &finder->payload, &view) && is_data(file, &view, &last, &first, &end)) {
            entries += view.count;
            if (gap) lose(finder, at, "data blocks are damaged, and so is the index", lsm_buf_slice(&finder->low), lsm_buf_slice(&first), false);
            tool_set(&last, lsm_buf_slice(&end));
            tool_set(&finder->low, lsm_buf_slice(&end));
            tool_append(&finder->low, "", 1); /* the next key there can be */
            gap = false;
        } else {
            file->blocks_count--; /* what stands behind the data */
        }
        at = (size_t)lsm_sst_handle_end(&handle);
    }
    bool all = entries == file->meta->entries;
    if (all) key_ranges_release(&file->lost); /* gaps between blocks that were all found */
    if (!all && lsm_slice_compare(lsm_buf_slice(&finder->low), lsm_buf_slice(&file->meta->largest)) <= 0)
        lose(finder, at, "data blocks may be missing, and the index is damaged", lsm_buf_slice(&finder->low), lsm_buf_slice(&file->meta->largest),
             true);
    lsm_buf_free(&last);
    lsm_buf_free(&first);
    lsm_buf_free(&end);
}

/* ---- what stands beside the data -------------------------------------------------------------------------------------------- */

static bool read_deletes(struct table_file *file, struct lsm_slice payload) {
    struct lsm_decoder d = lsm_decoder_of(payload);
    uint64_t count = lsm_get_varint(&d);
    if (count != file->meta->range_tombstones) return false;
    for (uint64_t i = 0; i < count && !d.failed; i++) {
        struct lsm_slice low = lsm_get_bytes(&d, LSM_BLOCK_KEY_BYTES_MAX), high = lsm_get_bytes(&d, LSM_BLOCK_KEY_BYTES_MAX);
        if (!d.failed) key_ranges_add(&file->deletes, low, high, false);
    }
    if (!d.failed && d.p == d.end) return true;
    key_ranges_release(&file->deletes);
    return false;
}

static void open_deletes(struct finder *finder, const struct lsm_sst_footer *footer, uint64_t index_end) {
    struct table_file *file = finder->file;
    struct lsm_slice payload;
    struct lsm_sst_handle handle = {.offset = index_end};
    if (file->meta->range_tombstones == 0) return;
    bool found = footer != NULL ? plain_block(file, footer->ranges, &payload)
                                : index_end != 0 && block_at(finder, (size_t)index_end, &handle) && plain_block(file, handle, &payload);
    if (found && read_deletes(file, payload)) return;
    file->deletes_unknown = true;
    struct key_range all = {.low = file->meta->smallest, .high = file->meta->largest, .inclusive = !file->meta->largest_exclusive};
    if (finder->found != NULL) finder->found(finder->arg, file, footer == NULL ? 0 : footer->ranges.offset, "its range tombstones are damaged", &all);
}

/* A filter lies at a cache line. */
static void open_filter(struct table_file *file, const struct lsm_sst_footer *footer) {
    struct lsm_slice payload;
    if (footer == NULL || footer->filter.offset == 0 || !plain_block(file, footer->filter, &payload)) return;
    file->filter_memory = tool_got(lsm_malloc(payload.size + LSM_FILTER_LINE_BYTES));
    uint8_t *aligned = file->filter_memory + (LSM_FILTER_LINE_BYTES - (uintptr_t)file->filter_memory % LSM_FILTER_LINE_BYTES) % LSM_FILTER_LINE_BYTES;
    memcpy(aligned, payload.data, payload.size);
    file->has_filter = lsm_filter_open(&file->filter, lsm_slice_of(aligned, payload.size));
}

static void find_all(struct finder *finder) {
    struct table_file *file = finder->file;
    struct lsm_sst_footer footer;
    struct lsm_slice payload;
    struct lsm_block index;
    struct lsm_sst_handle handle = {0};
    uint64_t data_end, size = file->meta->bytes;
    bool has_footer = size >= LSM_SST_BLOCKS_BYTES_MIN && size <= file->size &&
                      lsm_sst_footer_decode(&file->ident, file->bytes + size - LSM_SST_FOOTER_BYTES, size, &footer, &data_end, NULL) == LSM_OK;
    bool has_index = has_footer && plain_block(file, footer.index, &payload) && lsm_block_open(&index, payload) == NULL;
    if (has_index)
        handle = footer.index;
    else
        has_index = look_for_index(file, &handle, &index);
    if (has_index)
        follow_index(finder, &index);
    else if (file->meta->entries != 0)
        search_blocks(finder);
    open_filter(file, has_footer ? &footer : NULL);
    open_deletes(finder, has_footer ? &footer : NULL, has_index ? lsm_sst_handle_end(&handle) : 0);
}

void table_file_open(struct table_file *file, const struct tool_target *target, const struct lsm_file_meta *meta, table_file_found_fn found,
                     void *arg) {
    *file = (struct table_file){.meta = meta, .path = tool_got(lsm_file_path(target->dir, LSM_FILE_TABLE, meta->number))};
    struct finder finder = {.file = file, .found = found, .arg = arg};
    file->ident = (struct lsm_sst_ident){.path = file->path, .number = meta->number};
    memcpy(file->ident.store_id, target->store_id, sizeof file->ident.store_id);
    file->size = table_file_read(file->path, &file->bytes);
    if (file->size == SIZE_MAX) {
        file->size = 0;
        file->deletes_unknown = meta->range_tombstones != 0;
        lose(&finder, 0, "the file is missing, or cannot be opened", lsm_buf_slice(&meta->smallest), lsm_buf_slice(&meta->largest),
             !meta->largest_exclusive);
    } else {
        find_all(&finder);
    }
    lsm_buf_free(&finder.low);
    lsm_buf_free(&finder.payload);
}

void table_file_release(struct table_file *file) {
    lsm_free(file->path);
    lsm_free(file->bytes);
    lsm_free(file->blocks);
    lsm_free(file->filter_memory);
    key_ranges_release(&file->lost);
    key_ranges_release(&file->deletes);
    *file = (struct table_file){0};
}

bool table_file_may_hide(const struct table_file *file, struct lsm_slice key) {
    if (!key_ranges_cover(&file->lost, key)) return false;
    return !file->has_filter || lsm_filter_may_contain(&file->filter, lsm_sst_key_hash(key));
}

struct lsm_file_meta *table_file_describe(const struct tool_target *target, uint64_t number) {
    struct lsm_file_meta *meta = tool_got(lsm_file_meta_new());
    struct table_file file = {.meta = meta, .path = tool_got(lsm_file_path(target->dir, LSM_FILE_TABLE, number))};
    struct lsm_sst_footer footer;
    struct lsm_sst_properties p;
    struct lsm_slice payload;
    uint64_t data_end;
    file.ident = (struct lsm_sst_ident){.path = file.path, .number = number};
    memcpy(file.ident.store_id, target->store_id, sizeof file.ident.store_id);
    file.size = table_file_read(file.path, &file.bytes);
    bool good = file.size != SIZE_MAX && file.size >= LSM_SST_BLOCKS_BYTES_MIN &&
                lsm_sst_footer_decode(&file.ident, file.bytes + file.size - LSM_SST_FOOTER_BYTES, file.size, &footer, &data_end, NULL) == LSM_OK &&
                plain_block(&file, footer.properties, &payload) &&
                lsm_sst_properties_decode(&file.ident, &footer.properties, payload, &p, NULL) == LSM_OK;
    if (good) {
        meta->number = number;
        meta->bytes = file.size;
        meta->entries = p.entries;
        meta->range_tombstones = p.range_tombstones;
        meta->raw_bytes = p.raw_bytes;
        meta->log_low = p.log_low;
        meta->log_high = p.log_high;
        meta->largest_exclusive = p.largest_exclusive;
        tool_set(&meta->smallest, p.smallest);
        tool_set(&meta->largest, p.largest);
    }
    table_file_release(&file);
    if (good) return meta;
    lsm_file_meta_unref(meta);
    return NULL;
}
