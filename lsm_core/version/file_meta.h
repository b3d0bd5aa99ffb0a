/* file_meta.h: what the manifest knows of one table file; shared by reference among versions. */
#ifndef LSM_VERSION_FILE_META_H
#define LSM_VERSION_FILE_META_H

#include "../base/base.h"

#include <stdatomic.h>

struct lsm_sst;

struct lsm_file_meta {
    /* Immutable once the file is finished. */
    uint64_t number;            /* names the file: <number, 8 digits at least>.sst; never used twice in a store */
    uint64_t bytes;             /* exact size */
    uint64_t checksum;          /* XXH3-64, seed 0, of the whole file */
    uint64_t log_low, log_high; /* its entries came from the log positions [low, high) */
    uint64_t entries;           /* tombstones included, range tombstones not */
    uint64_t tombstones;
    uint64_t range_tombstones;
    uint64_t raw_bytes;      /* full keys and values before compression */
    uint8_t compression;     /* enum lsm_compression of its data blocks */
    struct lsm_buf smallest; /* first full key; or a range tombstone's low, if smaller */
    struct lsm_buf largest;  /* last full key; or a range tombstone's high, if greater (then exclusive, see next) */
    bool largest_exclusive;  /* largest is the end of a range tombstone and itself not in the file */

    /* Set by the version set before others see it. Ids of versions, see version.h. */
    uint64_t added_at;          /* the version that brought it; 0: unknown, it was there when this process came */
    uint64_t removed_at;        /* the first version that does not name it; counts once obsolete is set */
    uint64_t stamp;             /* guarded by manifest_mu of the set: scratch of comparing versions */
    struct lsm_file_meta *next; /* guarded by graveyard_mu of the set: in the list of what waits to be removed; or the sweep's that took it out */

    _Atomic int refs;
    _Atomic bool obsolete;       /* no version to come names it: the file goes with the last reference (version_set sees to it) */
    struct lsm_sst *_Atomic sst; /* the open reader, NULL until first used; owned by the meta, closed with it */
};

struct lsm_file_meta *lsm_file_meta_new(void); /* zeroed, one reference; NULL: out of memory */
/* The last unref closes the reader and frees the memory; it does not touch the file on disk. */
void lsm_file_meta_ref(struct lsm_file_meta *meta);
void lsm_file_meta_unref(struct lsm_file_meta *meta);

/* A transaction's own file, named by the log before any version: its interval of the log is empty. Who pins an older version may need it. */
static inline bool lsm_file_meta_is_spilled(const struct lsm_file_meta *meta) { return meta->log_low == meta->log_high; }

/* May b stand behind a in one run? Then they share no key, and no range tombstone of one reaches into the other. */
bool lsm_file_meta_precedes(const struct lsm_file_meta *a, const struct lsm_file_meta *b);
/* True if a key of the file may lie in [low, high]; NULL: open. Both inclusive. */
bool lsm_file_meta_overlaps(const struct lsm_file_meta *meta, const struct lsm_slice *low, const struct lsm_slice *high);

#endif
