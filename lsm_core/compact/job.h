/* job.h: the mechanics of writing sorted entries to table files: a flush and a merge differ only in their sources. */
#ifndef LSM_COMPACT_JOB_H
#define LSM_COMPACT_JOB_H

#include "../iter/iter.h"
#include "../sst/sst.h"
#include "../version/version_set.h"
#include "ranges.h"

/* Zero-initialise, fill in the first part, run, read the second part, release. */
struct lsm_job {
    /* What to do. All borrowed. */
    struct lsm_version_set *set;
    struct lsm_iter **sources;  /* newest first */
    const uint64_t **sequences; /* of each source: where its current entry's sequence stands; NULL for a table file */
    size_t count;
    struct lsm_ranges ranges;           /* of the sources; owned by the job */
    const struct lsm_run *const *below; /* runs older than every source */
    size_t below_count;
    bool keep_tombstones; /* what is older is not known here: keep every tombstone, below or not */
    struct lsm_sst_options sst;
    uint64_t file_bytes; /* start a new file at this size */
    uint64_t tree_bytes; /* ... and before a key of another tree at this; 0: an 8th of it, the next tree is worth a file of its own */
    uint64_t log_low, log_high;
    bool (*cancelled)(void *arg); /* asked every few hundred entries */
    void *cancelled_arg;

    /* What came out. */
    struct lsm_file_meta **files; /* one reference each, ascending */
    size_t files_count, files_capacity;
    uint64_t bytes_written, entries_read, entries_written;
};

/* Write the merged entries to new files and make them and their directory entries durable. On error (LSM_INTERRUPTED if cancelled) no file
 * is left and files_count is 0. */
int lsm_job_run(struct lsm_job *job, struct lsm_error *err) LSM_MUST_CHECK;
/* Remove the files written (when the edit that should name them failed). */
void lsm_job_discard(struct lsm_job *job);
void lsm_job_release(struct lsm_job *job);

/* Reading the files of a run, one after the other. */
struct lsm_run_iter {
    struct lsm_iter base;
    struct lsm_version_set *set;
    struct lsm_file_meta *const *files; /* borrowed */
    size_t count, at;
    bool fill_cache, open;
    size_t window_most;        /* set after init: most to read ahead; 0: as much as a table alone would */
    uint32_t tree;             /* set after init: not valid on entries of other trees; 0: all trees */
    struct lsm_sst_iter table; /* on files[at], if open */
};
void lsm_run_iter_init(struct lsm_run_iter *iter, struct lsm_version_set *set, struct lsm_file_meta *const *files, size_t count, bool fill_cache);

/* Add the range tombstones of files to a set, as source `source`. The files stay open as long as their metas live. */
int lsm_job_add_file_ranges(struct lsm_version_set *set, struct lsm_file_meta *const *files, size_t count, uint32_t source, struct lsm_ranges *ranges,
                            struct lsm_error *err) LSM_MUST_CHECK;

#endif
