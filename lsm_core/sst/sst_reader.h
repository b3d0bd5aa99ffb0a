/* sst_reader.h: the open table file and its blocks in memory, shared by reader, iterator and verifier. Private to this folder. */
#ifndef LSM_SST_SST_READER_H
#define LSM_SST_SST_READER_H

#include "block.h"
#include "filter.h"
#include "sst.h"
#include "sst_format.h"

/* A data block in the file, and the number of entries in front of it. */
struct lsm_sst_place {
    uint64_t offset;
    uint32_t stored, raw;
    uint64_t entries_before;
};

/* Immutable after open. */
struct lsm_sst {
    struct lsm_file *file;
    char *path;
    struct lsm_sst_ident ident;
    const struct lsm_file_meta *meta;
    struct lsm_cache *cache;                           /* may be NULL */
    uint8_t *filter_bytes, *index_bytes, *range_bytes; /* memory the payloads lie in */
    bool has_filter;
    struct lsm_filter filter;
    struct lsm_block index;       /* for searching */
    struct lsm_sst_place *places; /* its values, decoded: one array access instead of two more waits for memory */
    uint64_t data_end;            /* where the data blocks end */
    struct lsm_sst_range *ranges;
    size_t range_count;
    size_t memory;
    const uint8_t *map;           /* the whole file; NULL: it is read */
    struct lsm_sst_maps *maps;    /* where its bytes are counted */
    struct lsm_cache_slot *slots; /* of the data blocks; NULL if there is no cache. Not immutable, but the cache's business */
};

/* A data block in memory: cached, or of whoever read it. One that is mapped and not compressed is looked at where it lies in the file: it is verified each time
 * that it comes into the cache, and is small there. */
struct lsm_sst_block {
    struct lsm_cache_entry entry; /* first */
    struct lsm_block block;
    uint8_t bytes[];
};

static inline size_t lsm_sst_block_count(const struct lsm_sst *sst) { return sst->index.count; }

/* Where data block i is, and how many entries come before it. i < count. */
static inline struct lsm_sst_handle lsm_sst_handle_of(const struct lsm_sst *sst, size_t i, uint64_t *entries_before) {
    const struct lsm_sst_place *place = &sst->places[i];
    *entries_before = place->entries_before;
    return (struct lsm_sst_handle){.offset = place->offset, .stored = place->stored, .raw = place->raw};
}

/* The only block that can hold key; there must be a block. */
static inline size_t lsm_sst_block_for(const struct lsm_sst *sst, struct lsm_slice key) {
    bool exact;
    size_t i = lsm_block_seek(&sst->index, key, &exact);
    return exact || i == 0 ? i : i - 1;
}

/* Decompress stored bytes, whose trailer has been checked, to handle->raw bytes and LSM_BLOCK_SLACK zeros at raw. */
int lsm_sst_block_unpack(const struct lsm_sst *sst, const struct lsm_sst_handle *handle, enum lsm_compression compression, const uint8_t *stored,
                         uint8_t *raw, struct lsm_error *err) LSM_MUST_CHECK;
/* Check and unpack stored bytes (with trailer), which may lie in the map, into new memory. *block is the caller's. */
int lsm_sst_block_make(const struct lsm_sst *sst, size_t i, const struct lsm_sst_handle *handle, const uint8_t *stored, struct lsm_sst_block **block,
                       struct lsm_error *err) LSM_MUST_CHECK;
/* Look at a payload as data block i: lengths, and the number of entries the index has for it. */
int lsm_sst_block_view(const struct lsm_sst *sst, size_t i, const struct lsm_sst_handle *handle, struct lsm_slice payload, struct lsm_block *view,
                       struct lsm_error *err) LSM_MUST_CHECK;
/* Data block i from the cache or the file, pinned; it goes into the cache if there is one. */
int lsm_sst_block_get(const struct lsm_sst *sst, size_t i, struct lsm_sst_block **block, struct lsm_error *err) LSM_MUST_CHECK;
/* Block i if it is cached, pinned, or NULL. */
struct lsm_sst_block *lsm_sst_block_cached(const struct lsm_sst *sst, size_t i);
/* Hand a block made here to the cache; returns it, or the one that was there first, pinned. */
struct lsm_sst_block *lsm_sst_block_publish(const struct lsm_sst *sst, size_t i, struct lsm_sst_block *block);
/* Let go of a block: of the cache's if `cached`, else free it. NULL is allowed. */
void lsm_sst_block_release(const struct lsm_sst *sst, struct lsm_sst_block *block, bool cached);

#endif
