/* ranges.h: the range tombstones of several sources, as readers and merges ask for them. */
#ifndef LSM_COMPACT_RANGES_H
#define LSM_COMPACT_RANGES_H

#include "../base/base.h"

struct lsm_range {
    struct lsm_slice low, high; /* [low, high), full keys, borrowed from the source */
    uint32_t source;            /* age of the source it came from: 0 is the newest */
    uint64_t sequence;          /* within a memtable, to set it against its neighbours; 0 from a table file */
};

/* Zero-initialise. Usually empty: ask lsm_ranges_empty() first. */
struct lsm_ranges {
    struct lsm_range *items;
    size_t count, capacity;
};

void lsm_ranges_release(struct lsm_ranges *ranges);
int lsm_ranges_add(struct lsm_ranges *ranges, struct lsm_range range) LSM_MUST_CHECK;
static inline bool lsm_ranges_empty(const struct lsm_ranges *ranges) { return ranges->count == 0; }

/* Is an entry of `source` with `sequence` hidden? A range hides what comes from older sources, and, within its own source, what has a smaller
 * sequence. Entries of table files have sequence UINT64_MAX: nothing of their own file hides them. */
bool lsm_ranges_cover(const struct lsm_ranges *ranges, struct lsm_slice key, uint32_t source, uint64_t sequence);

/* Sort by low and join what overlaps or touches, so that the items ascend without overlap (source and sequence lose their meaning).
 * The order of age between ranges is no matter once the entries they hide are gone. */
void lsm_ranges_flatten(struct lsm_ranges *ranges);

#endif
