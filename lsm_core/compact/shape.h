/* shape.h: the store's shape in plain numbers: all that a compaction policy sees. */
#ifndef LSM_COMPACT_SHAPE_H
#define LSM_COMPACT_SHAPE_H

#include "../version/edit.h"

struct lsm_shape_run {
    uint64_t bytes;
    size_t files;
};

struct lsm_shape_file {
    uint64_t bytes;
    uint64_t entries, tombstones, range_tombstones;
    uint64_t overlap_bytes; /* of the files in the next level that share its key range */
};

struct lsm_shape_level {
    uint64_t bytes;
    struct lsm_shape_file *files; /* ascending by key */
    size_t count;
};

struct lsm_shape {
    struct lsm_shape_run *level0; /* newest first */
    size_t level0_count;
    struct lsm_shape_level levels[LSM_LEVELS]; /* [0] unused */
};

#endif
