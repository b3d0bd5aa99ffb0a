#include "policy.h"

enum {
    BOTTOM = LSM_LEVELS - 1,
    SMALL_AGAINST_BASE =
        3,                 /* level 0 smaller than a third of the base level: rewriting that would cost 4 bytes for each byte, and less if it waits */
    LEVEL0_RUNS_LIMIT = 3, /* but with 3 times too many runs it goes down whatever it costs: reads suffer */
    RUNS_AT_ONCE = 32,     /* each run that a merge reads takes some 300 KiB; a transaction larger than memory can leave hundreds */
    FILES_LIMIT = 400,     /* of a level: each that is read is an open file, and a process often may have 1024 */
    NEIGHBOURS = 16,       /* files that become ... */
    NEIGHBOURS_LEFT = 8,   /* ... so many at most, or it is not worth it */
    FOLD_RUNS_MIN = 4,     /* fewer would not make room for long, and be read and written again at once */
    LEAVING_SCORE = 2      /* of a level that should be empty: before level 0, unless that has twice too many runs */
};

void lsm_policy_targets(const struct lsm_shape *shape, const struct lsm_policy_options *options, uint64_t targets[LSM_LEVELS], int *base) {
    int deepest = BOTTOM;
    /* The last level in use sets the measure. A level that was skipped on the way down stays skipped. */
    uint64_t bytes = shape->levels[deepest].bytes;
    for (int level = 1; level < LSM_LEVELS; level++) {
        targets[level] = UINT64_MAX;
        if (shape->levels[level].bytes > bytes) bytes = shape->levels[level].bytes;
    }
    targets[0] = UINT64_MAX;
    /* From the bottom up, each a ratio smaller, until one is small enough to be merged with all of level 0: one level
     * of n times level 0 costs n + 1 bytes for each byte, two of them about 2 + 2 * sqrt(n), which is more up to n = 6. */
    *base = deepest;
    while (*base > 1 && bytes > options->base_bytes) {
        bytes /= options->ratio;
        (*base)--;
        targets[*base] = bytes;
    }
    /* Levels above the base should be empty. What still holds something (the bottom shrank) is over its target until it has gone down: as the
     * base of a store that grows again it would be rewritten whole at each merge. Meanwhile nothing may pass it. */
    for (int level = *base - 1; level >= 1; level--)
        if (shape->levels[level].count != 0) {
            *base = level;
            targets[level] = shape->levels[level].bytes / LEAVING_SCORE;
        }
}

/* More runs than one merge should read: the smallest neighbours become one. */
static struct lsm_plan plan_neighbours(const struct lsm_shape *shape, double score) {
    struct lsm_plan plan = {.kind = LSM_PLAN_LEVEL0, .count = RUNS_AT_ONCE, .score = score, .reason = "more runs in level 0 than one merge reads"};
    uint64_t sum = 0, least = UINT64_MAX;
    for (size_t i = 0; i < shape->level0_count; i++) {
        sum += shape->level0[i].bytes;
        if (i + 1 < RUNS_AT_ONCE) continue;
        if (sum < least) plan.first = i + 1 - RUNS_AT_ONCE;
        if (sum < least) least = sum;
        sum -= shape->level0[i + 1 - RUNS_AT_ONCE].bytes;
    }
    return plan;
}

/* Level 0 into the base, or its youngest comparable runs into one. */
static struct lsm_plan plan_level0(const struct lsm_shape *shape, const struct lsm_policy_options *options, int base) {
    struct lsm_plan plan = {.kind = LSM_PLAN_LEVEL0, .from = 0, .to = base, .first = 0, .count = shape->level0_count};
    plan.score = (double)shape->level0_count / (double)options->level0_runs;
    plan.reason = "level 0 has too many runs";
    if (shape->level0_count > RUNS_AT_ONCE) return plan_neighbours(shape, plan.score);
    uint64_t bytes = 0;
    for (size_t i = 0; i < shape->level0_count; i++) bytes += shape->level0[i].bytes;
    bool small = bytes < shape->levels[base].bytes / SMALL_AGAINST_BASE;
    if (!small || shape->level0_count >= LEVEL0_RUNS_LIMIT * options->level0_runs) return plan;
    /* From the newest on, runs not much larger than all before them together: as in a binary counter, each byte is rewritten
     * log(n) times before it goes down. */
    uint64_t sum = shape->level0[0].bytes;
    size_t count = 1;
    while (count < shape->level0_count && shape->level0[count].bytes <= 2 * sum) sum += shape->level0[count++].bytes;
    if (count < options->level0_runs / 2 || count < 2) return plan;
    plan.to = 0;
    plan.count = count;
    plan.reason = "small runs of level 0";
    return plan;
}

/* The file of a level that is cheapest to push down: least overlap for its size. */
static size_t cheapest_file(const struct lsm_shape_level *level) {
    size_t best = 0;
    double best_cost = -1;
    for (size_t i = 0; i < level->count; i++) {
        double cost = (double)level->files[i].overlap_bytes / (double)(level->files[i].bytes + 1);
        if (best_cost < 0 || cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    return best;
}

/* A file above the bottom that is mostly tombstones: they cost reads and hold dead rows below. */
static struct lsm_plan plan_tombstones(const struct lsm_shape *shape) {
    for (int level = 1; level < BOTTOM; level++)
        for (size_t i = 0; i < shape->levels[level].count; i++) {
            const struct lsm_shape_file *file = &shape->levels[level].files[i];
            if (file->range_tombstones == 0 && file->tombstones * 2 <= file->entries) continue;
            return (struct lsm_plan){
                .kind = LSM_PLAN_FILE, .from = level, .to = level + 1, .first = i, .count = 1, .score = 1, .reason = "mostly tombstones"};
        }
    return (struct lsm_plan){.kind = LSM_PLAN_NONE, .reason = "nothing is due"};
}

/* A large load in order leaves files of the size of its pieces, which are moved and never written again. The smallest neighbours become larger. */
static struct lsm_plan plan_small_files(const struct lsm_shape *shape, const struct lsm_policy_options *options, int base) {
    struct lsm_plan plan = {.kind = LSM_PLAN_NONE, .reason = "nothing is due"};
    uint64_t least = NEIGHBOURS_LEFT * options->file_bytes;
    size_t files0 = 0;
    for (size_t i = 0; i < shape->level0_count; i++) files0 += shape->level0[i].files;
    if (files0 > FILES_LIMIT && shape->level0_count <= RUNS_AT_ONCE)
        return (struct lsm_plan){.kind = LSM_PLAN_LEVEL0, .to = base, .count = shape->level0_count, .score = 1, .reason = "many files in level 0"};
    for (int level = 1; level < LSM_LEVELS; level++) {
        const struct lsm_shape_level *at = &shape->levels[level];
        uint64_t sum = 0;
        for (size_t i = 0; i < at->count && at->count > FILES_LIMIT; i++) {
            sum += at->files[i].bytes;
            if (i >= NEIGHBOURS) sum -= at->files[i - NEIGHBOURS].bytes;
            if (i + 1 < NEIGHBOURS || sum >= least) continue;
            least = sum;
            plan = (struct lsm_plan){.kind = LSM_PLAN_NEIGHBOURS,
                                     .from = level,
                                     .to = level,
                                     .first = i + 1 - NEIGHBOURS,
                                     .count = NEIGHBOURS,
                                     .score = 1,
                                     .reason = "many small files"};
        }
    }
    return plan;
}

struct lsm_plan lsm_policy_pick(const struct lsm_shape *shape, const struct lsm_policy_options *options) {
    uint64_t targets[LSM_LEVELS];
    int base;
    struct lsm_plan best = {.kind = LSM_PLAN_NONE, .reason = "nothing is due"};
    lsm_policy_targets(shape, options, targets, &base);
    if (shape->level0_count >= options->level0_runs) best = plan_level0(shape, options, base);
    for (int level = 1; level < BOTTOM; level++) {
        const struct lsm_shape_level *at = &shape->levels[level];
        if (at->count == 0 || targets[level] == UINT64_MAX) continue;
        double score = (double)at->bytes / (double)(targets[level] + 1);
        if (score < 1 || score <= best.score) continue;
        best = (struct lsm_plan){.kind = LSM_PLAN_FILE,
                                 .from = level,
                                 .to = level + 1,
                                 .first = cheapest_file(at),
                                 .count = 1,
                                 .score = score,
                                 .reason = "level over its target"};
    }
    if (best.kind == LSM_PLAN_NONE) best = plan_tombstones(shape);
    return best.kind != LSM_PLAN_NONE ? best : plan_small_files(shape, options, base);
}

size_t lsm_policy_fold(const uint64_t *weights, size_t count) {
    /* Runs not heavier than all before them together, or, if those are too few, not much heavier. */
    for (uint64_t factor = 1;; factor *= 2) {
        uint64_t sum = weights[0];
        size_t runs = 1;
        while (runs < count && runs < LSM_FOLD_RUNS_MAX && (weights[runs] + factor - 1) / factor <= sum) sum += weights[runs++];
        if (runs == count || runs >= FOLD_RUNS_MIN) return runs;
    }
}
