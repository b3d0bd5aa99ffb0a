/* sst.h: table files. One version per key, no sequence numbers; which file is newer is the version's business.
 * The bytes are described in docs/format.md, "Table files".
 */
#ifndef LSM_SST_SST_H
#define LSM_SST_SST_H

#include "../cache/cache.h"
#include "../env/env.h"
#include "../iter/iter.h"
#include "../version/file_meta.h"
#include "block.h"

/* ---- writing -------------------------------------------------------------------------------------------------- */

struct lsm_sst_options {
    size_t block_bytes; /* a data block is closed when its entries reach this */
    enum lsm_compression compression;
    unsigned filter_bits_per_key; /* 0: no filter */
    struct lsm_spare spare;       /* of the disk, for this file */
};

struct lsm_sst_writer;

/* Creates the file (it must not exist). On error nothing is left, on disk neither. */
int lsm_sst_writer_open(struct lsm_env *env, const char *path, const struct lsm_env_perm *perm, const uint8_t *store_id, uint64_t number,
                        const struct lsm_sst_options *options, struct lsm_sst_writer **writer, struct lsm_error *err) LSM_MUST_CHECK;
/* Keys strictly ascending (asserted). The bytes are copied. */
int lsm_sst_writer_add(struct lsm_sst_writer *writer, enum lsm_kind kind, struct lsm_slice key, struct lsm_slice value,
                       struct lsm_error *err) LSM_MUST_CHECK;
/* Range tombstones [low, high), ascending and not overlapping; at any time between adds. They delete in older runs only, never in this file. */
int lsm_sst_writer_add_range(struct lsm_sst_writer *writer, struct lsm_slice low, struct lsm_slice high, struct lsm_error *err) LSM_MUST_CHECK;
/* About what the file would have if finished now. */
uint64_t lsm_sst_writer_bytes(const struct lsm_sst_writer *writer);
bool lsm_sst_writer_empty(const struct lsm_sst_writer *writer);
/* Write the rest and sync the file (the directory is the caller's business). Fills every immutable field of meta but log_low and
 * log_high, which are given. Frees the writer whatever is returned; on error the file is removed. */
int lsm_sst_writer_finish(struct lsm_sst_writer *writer, uint64_t log_low, uint64_t log_high, struct lsm_file_meta *meta,
                          struct lsm_error *err) LSM_MUST_CHECK;
/* Free the writer and remove the file. NULL is allowed. */
void lsm_sst_writer_abandon(struct lsm_sst_writer *writer);

/* ---- reading -------------------------------------------------------------------------------------------------- */

struct lsm_sst;
struct lsm_sst_block;

/* Open and verify footer, properties, index and filter against meta (size, number, counts) and store_id; they stay in memory.
 * cache may be NULL. meta is borrowed and must outlive the reader. */
int lsm_sst_open(struct lsm_env *env, const char *path, const uint8_t *store_id, const struct lsm_file_meta *meta, struct lsm_cache *cache,
                 struct lsm_sst **sst, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_sst_close(struct lsm_sst *sst); /* NULL is allowed; needs: no iterator or pin on it */
size_t lsm_sst_memory(const struct lsm_sst *sst);

/* How many bytes of table files may be mapped, and how many are. */
struct lsm_sst_maps {
    _Atomic uint64_t limit, used;
};
/* If there is room, read data blocks through a map of the file from now on, but for walks that leave the cache alone (merges). Needs a cache, and that nobody else
 * has the reader yet. maps must outlive the reader. What cannot be mapped is read as before. */
void lsm_sst_map(struct lsm_sst *sst, struct lsm_sst_maps *maps);

/* Before a file is deleted: LSM_OK if its header proves that it is table file `number` of this store; LSM_MISMATCH, LSM_CORRUPT or
 * LSM_UNSUPPORTED if it does not; LSM_NOTFOUND, LSM_IO. */
int lsm_sst_identify(struct lsm_env *env, const char *path, const uint8_t *store_id, uint64_t number, struct lsm_error *err) LSM_MUST_CHECK;

/* Hash of a full key for the filter: compute once, ask many files. */
uint64_t lsm_sst_key_hash(struct lsm_slice key);
/* False: the key is certainly not an entry of the file. */
bool lsm_sst_may_contain(const struct lsm_sst *sst, uint64_t key_hash);
/* That is going to be asked: fetch the one line of memory that it looks at. */
void lsm_sst_prefetch(const struct lsm_sst *sst, uint64_t key_hash);

/* A value with the block it lies in. Zero-initialise. */
struct lsm_sst_pin {
    struct lsm_slice value;
    struct lsm_cache *cache;       /* private */
    struct lsm_cache_entry *entry; /* private */
};
void lsm_sst_pin_release(struct lsm_sst_pin *pin); /* idempotent */
/* Find the entry of a full key (the filter is NOT asked). LSM_OK with *kind and the pinned value, LSM_NOTFOUND, or an error. pin may be NULL. */
int lsm_sst_get(struct lsm_sst *sst, struct lsm_slice key, enum lsm_kind *kind, struct lsm_sst_pin *pin, struct lsm_error *err) LSM_MUST_CHECK;

/* The file's range tombstones, ascending, not overlapping; the array lives as long as the reader. */
struct lsm_sst_range {
    struct lsm_slice low, high;
};
const struct lsm_sst_range *lsm_sst_ranges(const struct lsm_sst *sst, size_t *count);

/* Iterator over the entries. fill_cache: put blocks read into the cache (merges say no). A long walk over a table that is large for the cache
 * reads ahead and leaves the cache alone in any case: filling it would cost more than the walk and push out what others use. */
struct lsm_sst_iter {
    struct lsm_iter base;
    struct lsm_sst *sst;
    bool fill_cache;
    /* Private. */
    bool forward;                /* the last move was towards greater keys */
    bool cached;                 /* block is the cache's, else ours */
    struct lsm_sst_block *block; /* what `view` lies in, pinned; NULL: in the window or in raw, or there is none */
    struct lsm_block view;       /* the current block if loaded */
    bool loaded;
    size_t block_no, entry_no;
    struct lsm_buf key;    /* the current key put together */
    struct lsm_buf raw;    /* the current block decompressed */
    struct lsm_buf window; /* bytes of the file read ahead, beginning at window_offset */
    uint64_t window_offset;
    size_t window_want; /* how much to read next time; grows while the walk goes on */
    size_t window_most; /* ... up to here; may be set after init, by who walks many tables at once */
    size_t next_miss;   /* block whose absence from the cache would continue the walk */
    size_t walked;      /* blocks missed in a row: how long the walk is */
};
void lsm_sst_iter_init(struct lsm_sst_iter *iter, struct lsm_sst *sst, bool fill_cache);
/* Another table for the same iterator, which stands nowhere afterwards. Its memory stays: cheaper than release and init. */
void lsm_sst_iter_move(struct lsm_sst_iter *iter, struct lsm_sst *sst);

/* To the next entry of the present block, or back to the one before: the caller knows that there is one. Cheaper than lsm_iter_next(). */
void lsm_sst_iter_step(struct lsm_sst_iter *iter, bool forward);

/* Bytes of data blocks that may hold keys of [low, high), and entries as a share of them; NULL bounds are open. No I/O. */
void lsm_sst_estimate(const struct lsm_sst *sst, const struct lsm_slice *low, const struct lsm_slice *high, double *bytes, double *entries);

/* Read the whole file and check everything: whole-file checksum, every block, order, counts, filter (no false negative), key range,
 * range tombstones. LSM_OK, or LSM_CORRUPT with the first thing wrong; LSM_INTERRUPTED. */
int lsm_sst_verify(struct lsm_sst *sst, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) LSM_MUST_CHECK;

#endif
