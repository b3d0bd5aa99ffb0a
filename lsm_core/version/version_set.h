/* version_set.h: the current version, the manifest behind it, and the files that nobody needs any more.
 *
 * Two locks, both inside: `manifest` serialises edits and is held over I/O; `mu` guards `current` for a few instructions.
 * Order: manifest before mu. Version destruction happens under a third, `graveyard`, taken last.
 */
#ifndef LSM_VERSION_VERSION_SET_H
#define LSM_VERSION_VERSION_SET_H

#include "../cache/cache.h"
#include "../env/sync.h"
#include "manifest.h"
#include "version.h"

struct lsm_version_set {
    /* Immutable after init. */
    struct lsm_env *env;
    const char *dir;                   /* the store's */
    struct lsm_env_perm perm;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    struct lsm_cache *cache;

    /* Guarded by manifest_mu. */
    struct lsm_mutex manifest_mu;
    struct lsm_manifest *manifest;     /* NULL: the next edit starts a new one */
    struct lsm_tree_info *trees;       /* as the manifest knows them, ascending */
    size_t trees_count;
    uint32_t next_tree;
    uint64_t log_position, log_generation;
    uint64_t log_durable;              /* greatest position that an edit said to be durable in the log */
    bool has_token;                    /* a transaction in table files was decided by the database */
    uint8_t token[LSM_TOKEN_BYTES];    /* the last one's */
    uint64_t manifest_bytes_max;       /* a longer one is replaced by a fresh one */
    bool uncertain;                    /* an append failed, or a new manifest did after CURRENT named it: the disk may hold an edit that
                                          memory does not; files that it may name must stay until a new manifest stands */

    bool appended;                     /* an edit was, that nothing stands behind yet */
    uint64_t *doubtful;                /* tables that such an edit may name: they go when a new manifest stands */
    size_t doubtful_count;

    /* Guarded by mu. */
    struct lsm_mutex mu;
    struct lsm_version *current;
    uint64_t edits;                    /* applied since open */

    struct lsm_mutex graveyard_mu;     /* Guards destruction of versions: see lsm_version_set_unref(). */

    /* Atomic. */
    _Atomic int live_versions;         /* 1: nothing but the current version pins files; those of lsm_version_set_make() count too */
    _Atomic uint64_t next_file;
};

/* Nothing on disk is touched. LSM_NOMEM leaves nothing to release. */
int lsm_version_set_init(struct lsm_version_set *set, struct lsm_env *env, const char *dir, const struct lsm_env_perm *perm, const uint8_t *store_id,
                         struct lsm_cache *cache) LSM_MUST_CHECK;
/* Needs: every version returned. */
void lsm_version_set_release(struct lsm_version_set *set);

/* Make the first manifest of a new store. */
int lsm_version_set_create(struct lsm_version_set *set, struct lsm_error *err) LSM_MUST_CHECK;
/* Read CURRENT and its manifest. LSM_NOTFOUND: there is no CURRENT. */
int lsm_version_set_recover(struct lsm_version_set *set, struct lsm_error *err) LSM_MUST_CHECK;

/* A version of its own, of nothing but the files that an edit adds: those of a transaction, which the manifest does not name yet. One reference, which
 * lsm_version_set_unref() takes back. LSM_CORRUPT: files of a run overlap. */
int lsm_version_set_make(struct lsm_version_set *set, const struct lsm_edit *edit, struct lsm_version **version, struct lsm_error *err) LSM_MUST_CHECK;

/* Make an edit durable, then current. On error nothing has changed in memory. On disk the edit may have happened, if its sync failed: the
 * next edit writes a whole new manifest without it, and until then the files it adds must stay: *keep_files is set. edit->next_file is filled in; log_position, log_generation and next_tree of 0
 * keep their values. Locks: takes manifest_mu, mu. */
int lsm_version_set_apply(struct lsm_version_set *set, struct lsm_edit *edit, bool *keep_files, struct lsm_error *err) LSM_MUST_CHECK;

/* The last call before the release: a last edit that is damaged from now on is told from one that was never finished, and so is a log that ends
 * before log_durable. Not synced. Locks: takes manifest_mu. */
void lsm_version_set_seal(struct lsm_version_set *set, uint64_t log_durable);

uint64_t lsm_version_set_new_number(struct lsm_version_set *set);
/* Locks: takes mu. */
struct lsm_version *lsm_version_set_ref_current(struct lsm_version_set *set);
/* The last reference of an old version removes the files that only it named. Locks: takes graveyard_mu for the last one. */
void lsm_version_set_unref(struct lsm_version_set *set, struct lsm_version *version);

/* Give back a job's own reference to a table it made. A merge may have replaced the table meanwhile, and the last reference removes it. */
void lsm_version_set_unref_file(struct lsm_version_set *set, struct lsm_file_meta *meta);

/* The open reader of a table file, opened on first use and kept with its meta. Any thread. */
int lsm_version_set_table(struct lsm_version_set *set, struct lsm_file_meta *meta, struct lsm_sst **sst, struct lsm_error *err) LSM_MUST_CHECK;

#endif
