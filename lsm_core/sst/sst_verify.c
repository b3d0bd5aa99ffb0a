/* Reads a table file twice from the file, never from the cache: once as bytes for the whole-file checksum, once block by block. */
#include "sst_reader.h"

#include "../codec/hash.h"

#include <inttypes.h>

#define CHUNK_BYTES ((size_t)256 * 1024)

struct verifier {
    const struct lsm_sst *sst;
    lsm_interrupt_fn interrupted;
    void *arg;
    struct lsm_error *err;
    struct lsm_buf first, last, key; /* the first key, the one before, the one at hand */
    uint64_t entries, tombstones, raw_bytes;
};

static int check_interrupt(const struct verifier *v) {
    if (v->interrupted == NULL || !v->interrupted(v->arg)) return LSM_OK;
    return lsm_fail(v->err, LSM_INTERRUPTED, "%s: verification stopped", v->sst->path);
}

static int verify_checksum(struct verifier *v) {
    const struct lsm_sst *sst = v->sst;
    struct lsm_hasher *hasher = lsm_hasher_new(0);
    uint8_t *chunk = lsm_malloc(CHUNK_BYTES);
    int status = hasher == NULL || chunk == NULL ? lsm_fail_nomem(v->err, CHUNK_BYTES) : LSM_OK;
    for (uint64_t offset = 0; status == LSM_OK && offset < sst->meta->bytes;) {
        uint64_t left = sst->meta->bytes - offset;
        size_t size = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
        status = check_interrupt(v);
        if (status == LSM_OK) status = lsm_sst_read(&sst->ident, sst->file, offset, chunk, size, v->err);
        if (status == LSM_OK) lsm_hasher_add(hasher, chunk, size);
        offset += size;
    }
    uint64_t found = status == LSM_OK ? lsm_hasher_digest(hasher) : 0, size = 0;
    lsm_hasher_free(hasher);
    lsm_free(chunk);
    if (status == LSM_OK) status = lsm_file_size(sst->file, &size, v->err);
    if (status != LSM_OK) return status;
    if (size != sst->meta->bytes)
        return lsm_fail(v->err, LSM_CORRUPT, "%s: the file has %" PRIu64 " bytes, expected %" PRIu64 "; " LSM_SST_ADVICE, sst->path, size,
                        sst->meta->bytes);
    if (found == sst->meta->checksum) return LSM_OK;
    return lsm_fail(v->err, LSM_CORRUPT, "%s: checksum of the whole file mismatches (expected %016" PRIx64 ", found %016" PRIx64 "); " LSM_SST_ADVICE,
                    sst->path, sst->meta->checksum, found);
}

/* One entry against the one before and the filter; v->key is its key. */
static const char *check_entry(const struct verifier *v) {
    struct lsm_slice key = lsm_buf_slice(&v->key);
    if (v->entries != 0 && lsm_slice_compare(lsm_buf_slice(&v->last), key) >= 0) return "keys are not in ascending order";
    if (!lsm_sst_may_contain(v->sst, lsm_sst_key_hash(key))) return "the filter does not know a key";
    return NULL;
}

static int verify_entries(struct verifier *v, const struct lsm_block *block, const struct lsm_sst_handle *handle) {
    for (size_t i = 0; i < block->count; i++) {
        struct lsm_block_entry entry = lsm_block_entry(block, i);
        if (lsm_block_key_copy(block, i, &v->key) != LSM_OK) return lsm_fail_nomem(v->err, lsm_block_key_room(block));
        if (v->entries == 0 && lsm_buf_set(&v->first, lsm_buf_slice(&v->key)) != LSM_OK) return lsm_fail_nomem(v->err, v->key.size);
        const char *wrong = check_entry(v);
        if (wrong != NULL) return lsm_sst_block_corrupt(&v->sst->ident, handle, wrong, v->err);
        v->entries++;
        v->tombstones += entry.kind == LSM_KIND_DELETE;
        v->raw_bytes += v->key.size + entry.value.size;
        struct lsm_buf swap = v->last;
        v->last = v->key;
        v->key = swap;
    }
    return LSM_OK;
}

/* The first key of a block lies at or behind its separator, the last key of the block before in front of it. */
static int verify_separator(struct verifier *v, size_t i, const struct lsm_block *block, const struct lsm_sst_handle *handle) {
    bool exact;
    if (lsm_block_key_copy(&v->sst->index, i, &v->key) != LSM_OK) return lsm_fail_nomem(v->err, lsm_block_key_room(&v->sst->index));
    struct lsm_slice separator = lsm_buf_slice(&v->key);
    bool behind_last = i == 0 || lsm_slice_compare(lsm_buf_slice(&v->last), separator) < 0;
    if (behind_last && lsm_block_seek(block, separator, &exact) == 0 && lsm_sst_block_for(v->sst, separator) == i) return LSM_OK;
    return lsm_sst_block_corrupt(&v->sst->ident, handle, "the index leads to it for the wrong keys", v->err);
}

static int verify_block(struct verifier *v, size_t i, uint8_t *stored) {
    const struct lsm_sst *sst = v->sst;
    uint64_t before;
    struct lsm_sst_handle handle = lsm_sst_handle_of(sst, i, &before);
    struct lsm_sst_block *block = NULL;
    int status = lsm_sst_read(&sst->ident, sst->file, handle.offset, stored, (size_t)handle.stored + LSM_SST_TRAILER_BYTES, v->err);
    if (status == LSM_OK) status = lsm_sst_block_make(sst, i, &handle, stored, &block, v->err);
    if (status != LSM_OK) return status;
    status = verify_separator(v, i, &block->block, &handle);
    if (status == LSM_OK) status = verify_entries(v, &block->block, &handle);
    lsm_sst_block_release(sst, block, false);
    return status;
}

/* Counts and bounds of the manifest against what was read. */
static int verify_totals(const struct verifier *v) {
    const struct lsm_sst *sst = v->sst;
    const struct lsm_file_meta *meta = sst->meta;
    struct lsm_slice smallest = lsm_buf_slice(&v->first), largest = lsm_buf_slice(&v->last);
    bool has_entries = v->entries != 0, exclusive = false;
    if (sst->range_count != 0) {
        struct lsm_slice low = sst->ranges[0].low, high = sst->ranges[sst->range_count - 1].high;
        if (!has_entries || lsm_slice_compare(low, smallest) < 0) smallest = low;
        exclusive = !has_entries || lsm_slice_compare(high, largest) > 0;
        if (exclusive) largest = high;
    }
    bool same = v->entries == meta->entries && v->tombstones == meta->tombstones && v->raw_bytes == meta->raw_bytes &&
                /* LCOV_EXCL_BR_LINE: entries: the blocks' counts have been checked against them */
                exclusive == meta->largest_exclusive && lsm_slice_equal(smallest, lsm_buf_slice(&meta->smallest)) &&
                lsm_slice_equal(largest, lsm_buf_slice(&meta->largest));
    if (same) return LSM_OK;
    return lsm_fail(v->err, LSM_CORRUPT,
                    "%s: counts or key range differ from the manifest's (%" PRIu64 " entries, expected %" PRIu64 "); " LSM_SST_ADVICE, sst->path,
                    v->entries, meta->entries);
}

static int verify_blocks(struct verifier *v) {
    const struct lsm_sst *sst = v->sst;
    struct lsm_buf stored = {0};
    int status = LSM_OK;
    for (size_t i = 0; status == LSM_OK && i < lsm_sst_block_count(sst); i++) {
        uint64_t before;
        struct lsm_sst_handle handle = lsm_sst_handle_of(sst, i, &before);
        status = check_interrupt(v);
        if (status == LSM_OK && lsm_buf_reserve(&stored, (size_t)handle.stored + LSM_SST_TRAILER_BYTES) != LSM_OK)
            status = lsm_fail_nomem(v->err, (size_t)handle.stored);
        if (status == LSM_OK) status = verify_block(v, i, stored.data);
    }
    if (status == LSM_OK) status = verify_totals(v);
    lsm_buf_free(&stored);
    return status;
}

int lsm_sst_verify(struct lsm_sst *sst, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) {
    struct verifier v = {.sst = sst, .interrupted = interrupted, .arg = arg, .err = err};
    int status = verify_checksum(&v);
    if (status == LSM_OK) status = verify_blocks(&v);
    lsm_buf_free(&v.first);
    lsm_buf_free(&v.last);
    lsm_buf_free(&v.key);
    return status;
}
