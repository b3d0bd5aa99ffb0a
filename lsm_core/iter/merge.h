/* merge.h: several sources as one, newest version of each key first and only.
 *
 * Sources are ordered by age, newest at index 0, each with one version per key. The merge yields every key once, from its newest
 * source, tombstones included; what range tombstones hide is for the caller to decide, who sees which source an entry came from.
 */
#ifndef LSM_ITER_MERGE_H
#define LSM_ITER_MERGE_H

#include "iter.h"

struct lsm_merge_item {
    uint64_t prefix; /* 8 key bytes behind `skip`, big-endian: decides most comparisons */
    struct lsm_iter *iter;
    uint32_t source;
};

struct lsm_merge_iter {
    struct lsm_iter base;
    uint32_t source;           /* of the current entry */
    struct lsm_iter **sources; /* borrowed: array and iterators belong to the caller */
    size_t count;
    size_t skip; /* key bytes that all entries share, from the start */
    bool backward;
    struct lsm_merge_item *heap; /* sources that stand on an entry; the current one first */
    size_t live;
    struct lsm_buf key; /* the current key, kept across a change of direction */
};

/* sources must outlive the iterator; it releases none of them. skip: bytes known to be shared by all keys (0 is always right).
 * LSM_NOMEM: nothing to release. */
int lsm_merge_iter_init(struct lsm_merge_iter *merge, struct lsm_iter **sources, size_t count, size_t skip) LSM_MUST_CHECK;

#endif
