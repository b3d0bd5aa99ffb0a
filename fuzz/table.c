/* A table file, or one of its parts by itself: the first byte says which (enum part), the rest are the bytes.
 *
 * Promised: whatever opens is walked forwards and backwards in as many steps as the file says it has entries, and every block that is taken is taken without a
 * byte read beyond it; a file that verifies has its keys in order, finds each of them, and written again from its entries reads the same.
 */
#include "fuzz.h"

#include "../lsm_core/codec/coding.h"
#include "../lsm_core/codec/hash.h"
#include "../lsm_core/sst/compress.h"
#include "../lsm_core/sst/sst_reader.h"

enum { TABLE_BYTES_MAX = 16384, TABLE_NUMBER = 7, RAW_BYTES_MAX = 1 << 16 };
enum part { PART_FILE, PART_BLOCK, PART_FILTER, PART_LZ4, PART_ZSTD, PARTS };
#define TABLE_PATH "s/00000007.sst"

static const struct lsm_sst_ident ident = {
    .path = TABLE_PATH, .store_id = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, .number = TABLE_NUMBER};

/* ---- parts by themselves ------------------------------------------------------------------------------------------- */

static void check_block(struct lsm_slice bytes) {
    struct lsm_block block;
    struct lsm_buf key = {0}, memory = {0};
    static const uint8_t slack[LSM_BLOCK_SLACK];
    /* As it lies in memory: with readable bytes behind it. */
    FUZZ_CHECK(lsm_buf_append(&memory, bytes.data, bytes.size) == LSM_OK && lsm_buf_append(&memory, slack, sizeof slack) == LSM_OK, "no memory");
    if (lsm_block_open(&block, lsm_slice_of(memory.data, bytes.size)) == NULL) {
        bool exact;
        FUZZ_CHECK(block.count <= bytes.size, "%zu entries in %zu bytes", block.count, bytes.size);
        for (size_t i = 0; i < block.count; i++) {
            struct lsm_block_entry entry = lsm_block_entry(&block, i);
            FUZZ_CHECK(entry.value.size <= bytes.size, "a value of %zu bytes", entry.value.size);
            FUZZ_CHECK(lsm_block_key_copy(&block, i, &key) == LSM_OK, "no memory");
            FUZZ_CHECK(key.size == block.shared.size + entry.suffix_bytes, "a key of %zu bytes", key.size);
            FUZZ_CHECK(lsm_block_seek(&block, lsm_buf_slice(&key), &exact) <= block.count, "beyond the end");
        }
        FUZZ_CHECK(lsm_block_seek(&block, bytes, &exact) <= block.count, "beyond the end");
    }
    lsm_buf_free(&key);
    lsm_buf_free(&memory);
}

static void check_filter(struct lsm_slice bytes) {
    struct lsm_filter filter;
    if (!lsm_filter_open(&filter, bytes)) return;
    for (uint64_t hash = 1; hash != 0; hash <<= 1) (void)lsm_filter_may_contain(&filter, hash * 0x9e3779b97f4a7c15u);
    (void)lsm_filter_may_contain(&filter, UINT64_MAX);
}

/* The first two bytes: how much is to come out. */
static void check_compressed(enum lsm_compression compression, struct lsm_slice bytes) {
    struct fuzz_input input = {.p = bytes.data, .left = bytes.size};
    size_t raw_bytes = fuzz_take8(&input) | (size_t)fuzz_take8(&input) << 8;
    uint8_t *raw = malloc(raw_bytes + LSM_BLOCK_SLACK);
    FUZZ_CHECK(raw != NULL, "no memory");
    if (lsm_decompress(compression, lsm_slice_of(input.p, input.left), raw, raw_bytes) == LSM_OK) {
        struct lsm_compressor compressor = {0};
        struct lsm_buf out = {0};
        bool saved = false;
        FUZZ_CHECK(lsm_compress(&compressor, compression, lsm_slice_of(raw, raw_bytes), &out, &saved) == LSM_OK, "no memory");
        uint8_t *again = malloc(raw_bytes + LSM_BLOCK_SLACK);
        FUZZ_CHECK(again != NULL, "no memory");
        if (saved)
            FUZZ_CHECK(lsm_decompress(compression, lsm_buf_slice(&out), again, raw_bytes) == LSM_OK && memcmp(raw, again, raw_bytes) == 0,
                       "compressed and back it is not what it was");
        free(again);
        lsm_buf_free(&out);
        lsm_compressor_release(&compressor);
    }
    free(raw);
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

/* The footer, if the file has one. */
static bool read_footer(struct lsm_slice file, struct lsm_sst_footer *footer) {
    uint64_t data_end;
    if (file.size < LSM_SST_BLOCKS_BYTES_MIN) return false;
    const uint8_t *bytes = file.data + file.size - LSM_SST_FOOTER_BYTES;
    return lsm_sst_footer_decode(&ident, bytes, file.size, footer, &data_end, NULL) == LSM_OK;
}

/* What a manifest would say of the file: what its own properties say. NULL: there is no telling. */
static struct lsm_file_meta *meta_of(struct lsm_slice file) {
    struct lsm_sst_footer footer;
    struct lsm_sst_properties p;
    if (!read_footer(file, &footer)) return NULL;
    struct lsm_slice payload = lsm_slice_of(file.data + footer.properties.offset, (size_t)footer.properties.stored);
    if (lsm_sst_properties_decode(&ident, &footer.properties, payload, &p, NULL) != LSM_OK) return NULL;
    struct lsm_file_meta *meta = lsm_file_meta_new();
    FUZZ_CHECK(meta != NULL, "no memory");
    meta->number = TABLE_NUMBER;
    meta->bytes = file.size;
    meta->checksum = lsm_hash(file.data, file.size, 0);
    meta->log_low = p.log_low;
    meta->log_high = p.log_high;
    meta->entries = p.entries;
    meta->tombstones = p.tombstones;
    meta->range_tombstones = p.range_tombstones;
    meta->raw_bytes = p.raw_bytes;
    meta->compression = (uint8_t)p.compression;
    meta->largest_exclusive = p.largest_exclusive;
    FUZZ_CHECK(lsm_buf_append(&meta->smallest, p.smallest.data, p.smallest.size) == LSM_OK, "no memory");
    FUZZ_CHECK(lsm_buf_append(&meta->largest, p.largest.data, p.largest.size) == LSM_OK, "no memory");
    return meta;
}

/* Of a file that verified. */
struct content {
    uint64_t entries, hash;
};

static void check_entry(struct lsm_sst *sst, const struct lsm_iter *at, struct lsm_buf *before, bool first) {
    struct lsm_sst_pin pin = {0};
    enum lsm_kind kind;
    FUZZ_CHECK(first || lsm_slice_compare(lsm_buf_slice(before), at->key) < 0, "keys out of order in a file that verified");
    FUZZ_CHECK(lsm_buf_set(before, at->key) == LSM_OK, "no memory");
    FUZZ_CHECK(lsm_sst_may_contain(sst, lsm_sst_key_hash(at->key)), "the filter does not know a key");
    FUZZ_CHECK(lsm_sst_get(sst, at->key, &kind, &pin, NULL) == LSM_OK && kind == at->kind && lsm_slice_equal(pin.value, at->value),
               "a key is not found");
    lsm_sst_pin_release(&pin);
}

static struct content walk(struct lsm_sst *sst, bool forward, bool verified) {
    struct lsm_sst_iter iter;
    struct lsm_buf before = {0};
    struct content content = {0};
    lsm_sst_iter_init(&iter, sst, false);
    if (forward)
        lsm_iter_first(&iter.base);
    else
        lsm_iter_last(&iter.base);
    while (iter.base.valid) {
        FUZZ_CHECK(content.entries < sst->meta->entries, "more entries than %llu", (unsigned long long)sst->meta->entries);
        if (forward && verified) check_entry(sst, &iter.base, &before, content.entries == 0);
        content.entries++;
        content.hash += lsm_hash(iter.base.value.data, iter.base.value.size, lsm_hash(iter.base.key.data, iter.base.key.size, iter.base.kind));
        if (forward)
            lsm_iter_next(&iter.base);
        else
            lsm_iter_prev(&iter.base);
    }
    FUZZ_CHECK(iter.base.status == LSM_OK || iter.base.err.text[0] != 0, "no words");
    FUZZ_CHECK(!verified || iter.base.status == LSM_OK, "a file that verified: %s", iter.base.err.text);
    lsm_iter_release(&iter.base);
    lsm_buf_free(&before);
    return content;
}

/* Seeks of all kinds: to where keys are, between them, beyond. */
static void seek_about(struct lsm_sst *sst) {
    struct lsm_sst_iter iter;
    struct lsm_buf key = {0};
    lsm_sst_iter_init(&iter, sst, true);
    for (size_t i = 0; i < lsm_sst_block_count(sst); i++) {
        if (lsm_block_key_copy(&sst->index, i, &key) != LSM_OK) break;
        lsm_iter_seek(&iter.base, lsm_buf_slice(&key));
        if (iter.base.valid) lsm_iter_prev(&iter.base);
        lsm_iter_seek_before(&iter.base, lsm_buf_slice(&key));
        if (iter.base.valid) lsm_iter_next(&iter.base);
        enum lsm_kind kind;
        if (lsm_sst_get(sst, lsm_buf_slice(&key), &kind, NULL, NULL) != LSM_OK) continue;
    }
    double bytes = 0, entries = 0;
    struct lsm_slice low = lsm_buf_slice(&sst->meta->smallest), high = lsm_buf_slice(&key);
    lsm_sst_estimate(sst, &low, &high, &bytes, &entries);
    FUZZ_CHECK(bytes >= 0 && entries >= 0, "%g bytes, %g entries", bytes, entries);
    lsm_iter_release(&iter.base);
    lsm_buf_free(&key);
}

/* Its entries, written to another file, are the same there. */
static void write_again(struct lsm_env *env, struct lsm_sst *sst, const struct content *content) {
    struct lsm_sst_options options = {.block_bytes = 512, .compression = LSM_COMPRESS_LZ4, .filter_bits_per_key = 10};
    struct lsm_sst_writer *writer = NULL;
    struct lsm_sst_iter iter;
    struct lsm_sst *copy = NULL;
    struct lsm_error err = {0};
    size_t ranges_count = 0;
    const struct lsm_sst_range *ranges = lsm_sst_ranges(sst, &ranges_count);
    if (content->entries == 0 && ranges_count == 0) return;
    int status = lsm_sst_writer_open(env, "s/00000008.sst", &fuzz_perm, fuzz_store_id, 8, &options, &writer, &err);
    lsm_sst_iter_init(&iter, sst, false);
    for (lsm_iter_first(&iter.base); status == LSM_OK && iter.base.valid; lsm_iter_next(&iter.base))
        status = lsm_sst_writer_add(writer, iter.base.kind, iter.base.key, iter.base.value, &err);
    for (size_t i = 0; status == LSM_OK && i < ranges_count; i++) status = lsm_sst_writer_add_range(writer, ranges[i].low, ranges[i].high, &err);
    lsm_iter_release(&iter.base);
    struct lsm_file_meta *meta = lsm_file_meta_new();
    FUZZ_CHECK(status == LSM_OK && meta != NULL, "%s", err.text);
    FUZZ_CHECK(lsm_sst_writer_finish(writer, sst->meta->log_low, sst->meta->log_high, meta, &err) == LSM_OK, "%s", err.text);
    FUZZ_CHECK(lsm_sst_open(env, "s/00000008.sst", fuzz_store_id, meta, NULL, &copy, &err) == LSM_OK, "%s", err.text);
    FUZZ_CHECK(lsm_sst_verify(copy, NULL, NULL, &err) == LSM_OK, "%s", err.text);
    struct content again = walk(copy, true, true);
    FUZZ_CHECK(again.entries == content->entries && again.hash == content->hash, "written again it is not what it was");
    lsm_sst_close(copy);
    lsm_file_meta_unref(meta);
}

static void check_file(struct lsm_slice file) {
    struct lsm_file_meta *meta = meta_of(file);
    struct lsm_env *env = fuzz_disk();
    struct lsm_sst *sst = NULL;
    struct lsm_error err = {0};
    fuzz_write(env, TABLE_PATH, file.data, file.size);
    int status = lsm_sst_identify(env, TABLE_PATH, fuzz_store_id, TABLE_NUMBER, &err);
    FUZZ_CHECK(status == LSM_OK || err.text[0] != 0, "no words");
    status = meta == NULL ? LSM_CORRUPT : lsm_sst_open(env, TABLE_PATH, fuzz_store_id, meta, NULL, &sst, &err);
    if (status == LSM_OK) {
        bool verified = lsm_sst_verify(sst, NULL, NULL, &err) == LSM_OK;
        FUZZ_CHECK(verified || err.text[0] != 0, "no words");
        struct content forward = walk(sst, true, verified), backward = walk(sst, false, verified);
        if (verified) FUZZ_CHECK(forward.entries == meta->entries && forward.hash == backward.hash, "forwards and backwards differ");
        seek_about(sst);
        if (verified) write_again(env, sst, &forward);
        lsm_sst_close(sst);
    }
    if (meta != NULL) lsm_file_meta_unref(meta);
    lsm_env_mem_free(env);
}

static void run(const uint8_t *bytes, size_t size) {
    if (size == 0) return;
    struct lsm_slice rest = lsm_slice_of(bytes + 1, size - 1);
    switch ((enum part)(bytes[0] % PARTS)) {
    case PART_FILE: check_file(rest); break;
    case PART_BLOCK: check_block(rest); break;
    case PART_FILTER: check_filter(rest); break;
    case PART_LZ4: check_compressed(LSM_COMPRESS_LZ4, rest); break;
    case PART_ZSTD: check_compressed(LSM_COMPRESS_ZSTD, rest); break;
    case PARTS: break;
    }
}

/* ---- mending ------------------------------------------------------------------------------------------------------- */

/* The trailer of stored bytes at this place; false if there is no room for it. */
static bool mend_block(uint8_t *file, uint64_t end, uint64_t offset, uint64_t stored, bool plain, uint64_t raw) {
    uint8_t place[LSM_STORE_ID_BYTES + 24];
    if (offset > end || stored > end - offset || end - offset - stored < LSM_SST_TRAILER_BYTES) return false;
    uint8_t *trailer = file + offset + stored;
    if (plain) trailer[0] = LSM_COMPRESS_NONE;
    lsm_store_u64(trailer + 1, plain ? stored : raw);
    memcpy(place, ident.store_id, LSM_STORE_ID_BYTES);
    lsm_store_u64(place + 16, TABLE_NUMBER);
    lsm_store_u64(place + 24, offset);
    lsm_store_u64(place + 32, stored);
    lsm_store_u64(trailer + 9, lsm_hash(file + offset, stored + 9, lsm_hash(place, sizeof place, 0)));
    return true;
}

/* Every data block that the index can be understood to name. All are read first: a block may lie over the index. */
static void mend_data(uint8_t *file, uint64_t end, uint64_t offset, uint64_t stored) {
    enum { BLOCKS_MAX = 64 };
    struct lsm_block index;
    struct lsm_sst_handle handles[BLOCKS_MAX];
    size_t count = 0;
    if (lsm_block_open(&index, lsm_slice_of(file + offset, (size_t)stored)) != NULL) return;
    for (size_t i = 0; i < index.count && count < BLOCKS_MAX; i++) {
        struct lsm_block_entry entry = lsm_block_entry(&index, i);
        uint64_t before;
        if (entry.value.size == LSM_SST_INDEX_VALUE_BYTES) handles[count++] = lsm_sst_index_value_decode(entry.value.data, &before);
    }
    for (size_t i = 0; i < count; i++)
        (void)mend_block(file, end, handles[i].offset, handles[i].stored, handles[i].raw == handles[i].stored, handles[i].raw);
}

/* The blocks behind the data follow one another up to the footer, in the sizes that the footer gives them, as far as there is room. */
static void mend_file(uint8_t *file, size_t size, uint64_t choice) {
    static const size_t order[] = {48, 32, 16, 0}; /* properties, ranges, index, filter: from behind */
    if (size < LSM_SST_BLOCKS_BYTES_MIN) return;
    uint8_t *footer = file + size - LSM_SST_FOOTER_BYTES;
    uint64_t end = size - LSM_SST_FOOTER_BYTES, at = end, index_offset = 0, index_stored = 0;
    lsm_sst_header_encode(&ident, file);
    for (size_t i = 0; i < 4; i++) {
        uint8_t *handle = footer + order[i];
        uint64_t offset = lsm_load_u64(handle), stored = lsm_load_u64(handle + 8);
        bool optional = order[i] == 32 || order[i] == 0;
        if (optional && offset == 0) continue;
        if (choice % 32 != 1 && at >= LSM_SST_HEADER_BYTES + LSM_SST_TRAILER_BYTES) {
            uint64_t room = at - LSM_SST_HEADER_BYTES - LSM_SST_TRAILER_BYTES;
            if (stored > room) stored = room;
            offset = at - LSM_SST_TRAILER_BYTES - stored;
            at = offset;
        }
        lsm_store_u64(handle, offset);
        lsm_store_u64(handle + 8, stored);
        bool whole = mend_block(file, end, offset, stored, true, stored);
        if (whole && order[i] == 16) {
            index_offset = offset;
            index_stored = stored;
        }
    }
    if (index_offset != 0) mend_data(file, end, index_offset, index_stored);
    memcpy(footer + 64, ident.store_id, LSM_STORE_ID_BYTES);
    lsm_store_u64(footer + 80, TABLE_NUMBER);
    lsm_store_u64(footer + 88, size);
    lsm_store_u32(footer + 96, LSM_SST_VERSION);
    lsm_store_u32(footer + 100, 0);
    lsm_store_u64(footer + 104, lsm_hash(footer, 104, 0));
    memcpy(footer + 112, "LSMTABND", 8);
}

static size_t mend(uint8_t *bytes, size_t size, size_t room, uint64_t choice) {
    (void)room;
    if (size > 1 && bytes[0] % PARTS == PART_FILE) mend_file(bytes + 1, size - 1, choice);
    return size;
}

/* ---- seeds --------------------------------------------------------------------------------------------------------- */

static void make_table(struct lsm_env *env, const char *path, unsigned rows, size_t value_bytes, const struct lsm_sst_options *options, bool ranges) {
    struct lsm_sst_writer *writer = NULL;
    struct lsm_error err = {0};
    uint8_t value[2000];
    int status = lsm_sst_writer_open(env, path, &fuzz_perm, fuzz_store_id, TABLE_NUMBER, options, &writer, &err);
    for (unsigned n = 0; status == LSM_OK && n < rows; n++) {
        char key[48] = "\0\0\0\1";
        int key_bytes =
            4 + snprintf(key + 4, sizeof key - 4, "%s%04u%s", n % 3 == 0 ? "a" : "a common beginning ", n, n % 5 == 0 ? "\1\2\3\4\5\6\7\10\11" : "");
        memset(value, (int)n, sizeof value);
        key[4] = (char)('a' + n / 8);
        key[5] = (char)n;
        enum lsm_kind kind = n % 7 == 3 ? LSM_KIND_DELETE : LSM_KIND_PUT;
        status =
            lsm_sst_writer_add(writer, kind, lsm_slice_of(key, (size_t)key_bytes), lsm_slice_of(value, kind == LSM_KIND_PUT ? value_bytes : 0), &err);
    }
    if (status == LSM_OK && ranges) status = lsm_sst_writer_add_range(writer, lsm_slice_of("\0\0\0\1b", 5), lsm_slice_of("\0\0\0\1c", 5), &err);
    if (status == LSM_OK && ranges) status = lsm_sst_writer_add_range(writer, lsm_slice_of("\0\0\0\1y", 5), lsm_slice_of("\0\0\0\2", 4), &err);
    struct lsm_file_meta *meta = lsm_file_meta_new();
    FUZZ_CHECK(status == LSM_OK && meta != NULL, "%s", err.text);
    FUZZ_CHECK(lsm_sst_writer_finish(writer, 100, 200, meta, &err) == LSM_OK, "%s", err.text);
    lsm_file_meta_unref(meta);
}

static void emit_table(struct lsm_env *env, unsigned rows, size_t value_bytes, enum lsm_compression compression, bool ranges, fuzz_emit_fn emit,
                       void *arg) {
    struct lsm_sst_options options = {.block_bytes = 512, .compression = compression, .filter_bits_per_key = rows == 1 ? 0 : 10};
    uint8_t *file = NULL, seed[TABLE_BYTES_MAX] = {PART_FILE};
    size_t size = 0;
    make_table(env, "s/t", rows, value_bytes, &options, ranges);
    FUZZ_CHECK(lsm_env_mem_read_file(env, "s/t", &file, &size) == LSM_OK && size < sizeof seed, "a seed of %zu bytes", size);
    memcpy(seed + 1, file, size);
    emit(arg, seed, size + 1);
    /* Its first block, by itself. */
    if (compression == LSM_COMPRESS_NONE && rows > 1) {
        seed[0] = PART_BLOCK;
        memmove(seed + 1, seed + 1 + LSM_SST_HEADER_BYTES, 500);
        emit(arg, seed, 501);
    }
    lsm_free(file);
    FUZZ_CHECK(lsm_env_unlink(env, "s/t", NULL) == LSM_OK, "unlink");
}

static void emit_compressed(enum part part, enum lsm_compression compression, fuzz_emit_fn emit, void *arg) {
    struct lsm_compressor compressor = {0};
    struct lsm_buf out = {0};
    bool saved;
    static const uint8_t raw[300] = {1, 2, 3, 4, 5, 1, 2, 3, 4, 5};
    uint8_t head[] = {(uint8_t)part, (uint8_t)sizeof raw, (uint8_t)(sizeof raw >> 8)};
    FUZZ_CHECK(lsm_buf_append(&out, head, sizeof head) == LSM_OK, "no memory");
    FUZZ_CHECK(lsm_compress(&compressor, compression, lsm_slice_of(raw, sizeof raw), &out, &saved) == LSM_OK && saved, "no memory");
    emit(arg, out.data, out.size);
    lsm_buf_free(&out);
    lsm_compressor_release(&compressor);
}

static void seeds(fuzz_emit_fn emit, void *arg) {
    struct lsm_env *env = fuzz_disk();
    emit_table(env, 1, 5, LSM_COMPRESS_NONE, false, emit, arg);
    emit_table(env, 40, 20, LSM_COMPRESS_NONE, true, emit, arg);
    emit_table(env, 30, 150, LSM_COMPRESS_LZ4, true, emit, arg);
    emit_table(env, 30, 150, LSM_COMPRESS_ZSTD, false, emit, arg);
    emit_table(env, 3, 1500, LSM_COMPRESS_NONE, false, emit, arg);
    emit_table(env, 0, 0, LSM_COMPRESS_NONE, true, emit, arg);
    lsm_env_mem_free(env);

    uint64_t hashes[] = {1, 2, 3, 1ull << 40, UINT64_MAX};
    static const uint8_t head = PART_FILTER;
    struct lsm_buf filter = {0};
    FUZZ_CHECK(lsm_buf_append(&filter, &head, 1) == LSM_OK && lsm_filter_encode(hashes, 5, 10, &filter) == LSM_OK, "no memory");
    emit(arg, filter.data, filter.size);
    lsm_buf_free(&filter);
    emit_compressed(PART_LZ4, LSM_COMPRESS_LZ4, emit, arg);
    emit_compressed(PART_ZSTD, LSM_COMPRESS_ZSTD, emit, arg);
}

const struct fuzz_target fuzz_target = {.name = "table", .size_max = TABLE_BYTES_MAX, .run = run, .mend = mend, .seeds = seeds};
