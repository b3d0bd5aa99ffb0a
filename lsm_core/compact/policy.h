/* policy.h: what to merge next. A pure function of the shape: no locks, no I/O, no clock.
 *
 *   level 0    [run] [run] [run] [run]      several runs, newest first, tolerated up to level0_runs
 *   base         [file][file]...            first level in use; target <= base_bytes
 *   ...            x ratio each
 *   bottom             [file][file][file]   its size is what sets the targets above it (dynamic level sizes)
 *
 * In order of urgency: level 0 has too many runs (they go to the base level, or, while they are small against it, into one bigger run:
 * only neighbours in age; never more than 32 of them at once); a level is over its target (the file that costs least to push down goes down); a file
 * is mostly tombstones; a level has come to very many small files by moves alone.
 */
#ifndef LSM_COMPACT_POLICY_H
#define LSM_COMPACT_POLICY_H

#include "shape.h"

struct lsm_policy_options {
    size_t level0_runs;  /* merge level 0 when it has this many; default 4 */
    uint64_t base_bytes; /* most that the base level should hold; default 24 memtables */
    unsigned ratio;      /* size of a level over the one above; default 10 */
    uint64_t file_bytes; /* what a merge into a level would make of its files */
};

enum lsm_plan_kind {
    LSM_PLAN_NONE,
    LSM_PLAN_LEVEL0,    /* runs [first, first + count) of level 0 into `to` (0: into one run of level 0) */
    LSM_PLAN_FILE,      /* file `first` of level `from` into level `to` = from + 1; a move if nothing overlaps */
    LSM_PLAN_NEIGHBOURS /* files [first, first + count) of level `from` into fewer ones there: `to` = from */
};

struct lsm_plan {
    enum lsm_plan_kind kind;
    int from, to;
    size_t first, count;
    double score;       /* urgency: 1 and more is due */
    const char *reason; /* static text */
};

/* targets[level]: bytes the level should hold, UINT64_MAX if it may hold any; base: the level that level 0 is merged into (1 .. LSM_LEVELS - 1):
 * the first in use. One in use that is too high up for the size of the store has a target below what it holds. */
void lsm_policy_targets(const struct lsm_shape *shape, const struct lsm_policy_options *options, uint64_t targets[LSM_LEVELS], int *base);
struct lsm_plan lsm_policy_pick(const struct lsm_shape *shape, const struct lsm_policy_options *options);

/* A transaction larger than memory leaves runs of its own. How many of the newest should become one, of `count` (4 at least) that are too many?
 * weights: how many pieces of memory each holds, newest first. A counter with a digit for each merge that a piece has been through: with 16 runs
 * allowed, 136 pieces are written twice each, 250 2.6 times, 1000 3.6 times. */
enum { LSM_FOLD_RUNS_MAX = 32 }; /* what comes out at most */
size_t lsm_policy_fold(const uint64_t *weights, size_t count);

#endif
