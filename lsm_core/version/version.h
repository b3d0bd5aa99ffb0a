/* version.h: which table files make up the store at one moment. Immutable once made, shared by reference.
 *
 * Order of age, newest first: level 0's runs by falling number, then levels 1, 2, ... Within a run files do not overlap and ascend.
 */
#ifndef LSM_VERSION_VERSION_H
#define LSM_VERSION_VERSION_H

#include "edit.h"

struct lsm_run {
    uint64_t number;              /* level 0: greater is newer; other levels 0 */
    struct lsm_file_meta **files; /* ascending; one reference each */
    size_t count;
    uint64_t bytes;
};

struct lsm_version {
    _Atomic int refs;

    /* Filled in by the version set. */
    uint64_t id; /* number of the manifest << 36 | how many of its bytes say this: a later version has a greater one. 0: empty, of no store */
    uint64_t log_position;   /* everything below is in the files */
    uint64_t log_generation; /* first log file still needed */

    struct lsm_run *level0; /* newest first */
    size_t level0_count;
    struct lsm_run levels[LSM_LEVELS]; /* [0] unused */
    uint64_t bytes;
    size_t files;
};

/* The empty version, or base changed by edit (an edit with full set starts from nothing). One reference. LSM_CORRUPT if the edit does not
 * fit: removes what is not there, adds what overlaps. */
int lsm_version_apply(const struct lsm_version *base, const struct lsm_edit *edit, struct lsm_version **version,
                      struct lsm_error *err) LSM_MUST_CHECK;
void lsm_version_ref(struct lsm_version *version);
/* True if that was the last reference: the caller then destroys it (version_set.h, which also removes obsolete files). */
bool lsm_version_unref(struct lsm_version *version) LSM_MUST_CHECK;
void lsm_version_destroy(struct lsm_version *version);

/* Have only new runs come into level 0 since base? Then a merge worked out from base still fits: nothing older than its sources has moved. */
bool lsm_version_only_flushed(const struct lsm_version *base, const struct lsm_version *now);
/* The version's own meta of that file (by number and first key), borrowed, or NULL. */
struct lsm_file_meta *lsm_version_find(const struct lsm_version *version, const struct lsm_file_meta *meta);

/* Index of the first file whose range ends at or behind key (count if none): the only one that can hold the key. */
size_t lsm_run_find(const struct lsm_run *run, struct lsm_slice key);
/* The file that may hold key, or NULL. */
struct lsm_file_meta *lsm_run_file(const struct lsm_run *run, struct lsm_slice key);
/* Does a file of one share keys with a file of the other? If not, all their files may stand in one run. */
bool lsm_run_overlaps(const struct lsm_run *a, const struct lsm_run *b);

/* Calls fn for every file, newest first, until it returns false. run: index within level 0. */
void lsm_version_each(const struct lsm_version *version, bool (*fn)(void *arg, int level, size_t run, struct lsm_file_meta *meta), void *arg);

#endif
