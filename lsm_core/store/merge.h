/* merge.h: one merge and its parts, for what decides on merges (merge.c) and what is asked for by hand (settle.c). Private to this folder. */
#ifndef LSM_STORE_MERGE_H
#define LSM_STORE_MERGE_H

#include "../compact/job.h"
#include "store.h"

/* Each a stretch of files of one run. */
struct lsm_merge_input {
    struct lsm_file_meta *const *files;
    size_t count;
};

struct lsm_merge {
    struct lsm_store *store;
    struct lsm_version *version;
    struct lsm_gen *const *gens; /* memtables taken along, newest first; newer than all inputs */
    size_t gens_count;
    struct lsm_merge_input *inputs; /* newest first */
    size_t inputs_count;
    int to;
    bool spends;   /* the reserve, if the disk is full */
    bool rewrites; /* the inputs stay in their level: there is nothing to move */
    uint64_t run;  /* of the output, if it stays in level 0 */
    const struct lsm_run **below;
    size_t below_count;
    struct lsm_gen_iter *gen_iters;
    size_t gen_iters_count;
    struct lsm_run_iter *iters;
    struct lsm_iter **sources; /* of the memtables, then of the inputs */
    const uint64_t **sequences;
    struct lsm_job job;
};

/* Room for all that a version and its memtables can be. LSM_NOMEM; to be released in any case. */
int lsm_merge_init(struct lsm_merge *merge, struct lsm_store *store, struct lsm_version *version) LSM_MUST_CHECK;
void lsm_merge_release(struct lsm_merge *merge);
/* The next older input; nothing is nothing. */
void lsm_merge_add(struct lsm_merge *merge, struct lsm_file_meta *const *files, size_t count);
/* Can the inputs go to their new level as they are? LSM_OK and *moves, or LSM_NOMEM. */
int lsm_merge_is_move(const struct lsm_merge *merge, bool *moves) LSM_MUST_CHECK;
/* Write or move, and make the edit. Locks: takes what an edit takes; needs the claim of the work */
int lsm_merge_run(struct lsm_merge *merge, bool (*cancelled)(void *), void *cancelled_arg, struct lsm_error *err) LSM_MUST_CHECK;
/* Work on the table files that are in use now: fn(store, version, arg), one process at a time. Needs: the claim */
int lsm_merge_with_version(struct lsm_store *store, int (*fn)(struct lsm_store *, struct lsm_version *, void *, struct lsm_error *), void *arg,
                           struct lsm_error *err) LSM_MUST_CHECK;

#endif
