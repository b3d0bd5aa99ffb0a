/* version_set.h: the current version, the manifest behind it, and the files that nobody needs any more.
 *
 * Locks, all inside, in order: `append` and (shared) a lock among processes: one edit at a time; `manifest`: what is known of the manifest, held over
 * I/O; `mu` guards `current` for a few instructions; version destruction happens under `graveyard`, taken last.
 *
 * Several processes may have a set each over the same manifest (share below). One appends at a time, under a lock of theirs, and publishes the
 * id of the version it has made; the others read on from where they are. What a set knows is then some version that was published once, and its
 * files are there as long as somebody has told the others that he needs them (share/share.h, pins).
 */
#ifndef LSM_VERSION_VERSION_SET_H
#define LSM_VERSION_VERSION_SET_H

#include "../cache/cache.h"
#include "../env/sync.h"
#include "../sst/sst.h"
#include "manifest.h"
#include "version.h"

/* Not an error: since the version that an edit was worked out from, somebody else has done work that it does not fit any more. */
#define LSM_OVERTAKEN 1

/* What the processes that share a store agree on. All functions may be called by any thread. */
struct lsm_version_share {
    void *arg;
    bool alone;                                    /* nobody else can come: what was written need not be looked for */
    int (*lock)(void *arg, struct lsm_error *err); /* keep all other processes from appending to the manifest */
    void (*unlock)(void *arg);
    uint64_t (*version)(void *arg); /* id of the present version */
    void (*publish)(void *arg, uint64_t version);
    uint64_t (*next_file)(void *arg); /* a number for a file, used by nobody else */
    uint64_t (*peek_next_file)(void *arg);
    void (*raise_next_file)(void *arg, uint64_t at_least);
    bool (*may_remove)(void *arg, uint64_t added_at,
                       uint64_t removed_at); /* does no other process need a file that these versions brought and removed? */
};

struct lsm_version_set {
    /* Immutable after init. */
    struct lsm_env *env;
    const char *dir; /* the store's */
    struct lsm_env_perm perm;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    struct lsm_cache *cache;
    struct lsm_sst_maps maps;              /* its limit may be raised at any time */
    struct lsm_spare spare;                /* of the disk, for the manifest. Set once, likewise */
    const struct lsm_version_share *share; /* NULL: nobody else is there. Set once, before a second thread looks */

    struct lsm_mutex append_mu; /* Held around the lock that keeps other processes from appending. */

    /* Guarded by manifest_mu. */
    struct lsm_mutex manifest_mu;
    struct lsm_manifest *manifest;  /* for appending. NULL: the next edit starts a new one (shared: or opens the one that is there) */
    struct lsm_manifest_tail *tail; /* for reading what others append; NULL: the next look reads it all */
    struct lsm_tree_info *trees;    /* as the manifest knows them, ascending */
    size_t trees_count;
    uint32_t next_tree;
    uint64_t log_position, log_generation;
    uint64_t log_durable;           /* greatest position that an edit said to be durable in the log */
    bool has_token;                 /* a transaction in table files was decided by the database */
    uint8_t token[LSM_TOKEN_BYTES]; /* the last one's */
    uint64_t manifest_bytes_max;    /* a longer one is replaced by a fresh one */
    bool uncertain;                 /* an append failed, or a new manifest did after CURRENT named it: the disk may hold an edit that
                                          memory does not; files that it may name must stay until a new manifest stands, or (shared) until the
                                          edit was read back or its place overwritten */

    bool appended;      /* an edit was, that nothing stands behind yet */
    uint64_t *doubtful; /* tables that such an edit may name: they go when a new manifest stands */
    size_t doubtful_count;

    /* Guarded by mu. */
    struct lsm_mutex mu;
    struct lsm_version *current;
    uint64_t edits; /* applied since open */

    struct lsm_mutex removing_mu;   /* Held while files are removed, one thread at a time. */
    struct lsm_mutex graveyard_mu;  /* Guards destruction of versions: see lsm_version_set_unref(). */
    struct lsm_file_meta *obsolete; /* shared: files that this process needs no more; guarded by graveyard_mu, one reference each */

    /* Atomic. */
    _Atomic int live_versions;  /* 1: nothing but the current version pins files; those of lsm_version_set_make() count too */
    _Atomic uint64_t next_file; /* not shared: the next number */
    _Atomic int obsolete_count; /* in the list, or taken out of it and being removed */
};

/* Nothing on disk is touched. LSM_NOMEM leaves nothing to release. */
int lsm_version_set_init(struct lsm_version_set *set, struct lsm_env *env, const char *dir, const struct lsm_env_perm *perm, const uint8_t *store_id,
                         struct lsm_cache *cache) LSM_MUST_CHECK;
/* Needs: every version returned. */
void lsm_version_set_release(struct lsm_version_set *set);

/* Make the first manifest of a new store. */
int lsm_version_set_create(struct lsm_version_set *set, struct lsm_error *err) LSM_MUST_CHECK;
/* Read CURRENT and its manifest. LSM_NOTFOUND: there is no CURRENT. Makes durable what was read and goes on with it; read(): touches nothing. */
int lsm_version_set_recover(struct lsm_version_set *set, struct lsm_error *err) LSM_MUST_CHECK;
int lsm_version_set_read(struct lsm_version_set *set, struct lsm_error *err) LSM_MUST_CHECK;

/* A version of its own, of nothing but the files that an edit adds: those of a transaction, which the manifest does not name yet. One reference, which
 * lsm_version_set_unref() takes back. LSM_CORRUPT: files of a run overlap. */
int lsm_version_set_make(struct lsm_version_set *set, const struct lsm_edit *edit, struct lsm_version **version,
                         struct lsm_error *err) LSM_MUST_CHECK;

/* Make an edit durable, then current. On error nothing has changed in memory. On disk the edit may have happened, if its sync failed: the
 * next edit writes a whole new manifest without it (shared: finds it and takes it over), and until then the files it adds must stay: *keep_files
 * is set. edit->next_file is filled in; log_position, log_generation and next_tree of 0 keep their values.
 * LSM_OVERTAKEN: the edit does not fit what has become of its base: a flush (log_position set), if another was made since, anything else if other than
 * flushes was. Shared: others' edits are applied first, whatever is returned. Locks: takes append_mu, manifest_mu, mu. */
int lsm_version_set_apply(struct lsm_version_set *set, struct lsm_edit *edit, bool *keep_files, struct lsm_error *err) LSM_MUST_CHECK;

/* The last call before the release: a last edit that is damaged from now on is told from one that was never finished, and so is a log that ends
 * before log_durable. Not synced. Needs: no other process is there. Locks: takes append_mu, manifest_mu. */
void lsm_version_set_seal(struct lsm_version_set *set, uint64_t log_durable);

uint64_t lsm_version_set_new_number(struct lsm_version_set *set);
/* The next one; and a promise that it is no smaller. */
uint64_t lsm_version_set_peek_number(struct lsm_version_set *set);
void lsm_version_set_raise_number(struct lsm_version_set *set, uint64_t at_least);
/* Locks: takes mu. */
struct lsm_version *lsm_version_set_ref_current(struct lsm_version_set *set);
/* The last reference of an old version removes the files that only it named. Locks: takes graveyard_mu for the last one. */
void lsm_version_set_unref(struct lsm_version_set *set, struct lsm_version *version);

/* Give back a job's own reference to a table it made. A merge may have replaced the table meanwhile, and the last reference removes it. */
void lsm_version_set_unref_file(struct lsm_version_set *set, struct lsm_file_meta *meta);

/* The open reader of a table file, opened on first use and kept with its meta. Any thread. */
int lsm_version_set_table(struct lsm_version_set *set, struct lsm_file_meta *meta, struct lsm_sst **sst, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- several processes (version_follow.c) ----------------------------------------------------------------------- */

/* Make a version that was published the current one; nothing if it is, or a later one is. LSM_NOTFOUND: its manifest is gone, because a later one
 * was published meanwhile: ask for that. Locks: takes manifest_mu, mu. */
int lsm_version_set_catch_up(struct lsm_version_set *set, uint64_t version, struct lsm_error *err) LSM_MUST_CHECK;
/* The current version, and what else the manifest says of that very moment. */
struct lsm_version_content {
    struct lsm_version *version; /* one reference */
    struct lsm_tree_info *trees; /* to be freed */
    size_t trees_count;
    uint32_t next_tree;
    bool has_token;
    uint8_t token[LSM_TOKEN_BYTES];
};
/* Locks: takes manifest_mu, mu. */
int lsm_version_set_content(struct lsm_version_set *set, struct lsm_version_content *content, struct lsm_error *err) LSM_MUST_CHECK;
/* Remove from the disk what no version of this set names any more and no other process needs, `most` files at most; how many went. When it returns nobody else is
 * removing what was obsolete before. Cheap if there is nothing, else it can take tenths of a second a file. Locks: takes removing_mu, graveyard_mu. */
size_t lsm_version_set_sweep(struct lsm_version_set *set, size_t most);

/* Private to the set's two files. */
/* Take append_mu, the lock among processes, manifest_mu; be where the manifest ends, whether that was published or not. */
int lsm_version_set_lock(struct lsm_version_set *set, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_version_set_unlock(struct lsm_version_set *set);
/* The trees after an edit, as a new array. The rest needs manifest_mu. */
int lsm_version_set_next_trees(const struct lsm_tree_info *trees, size_t trees_count, const struct lsm_edit *edit, struct lsm_tree_info **out,
                               size_t *out_count, struct lsm_error *err) LSM_MUST_CHECK;
/* Tables of edits that failed, and did not happen in spite, leave the disk. */
void lsm_version_set_remove_doubtful(struct lsm_version_set *set);
/* Take over what an edit says of trees (owned now) and positions. */
void lsm_version_set_adopt_plain(struct lsm_version_set *set, const struct lsm_edit *edit, struct lsm_tree_info *trees, size_t trees_count);
/* Make `version` current. durable: what it does not name any more may leave the disk. */
void lsm_version_set_adopt(struct lsm_version_set *set, struct lsm_version *version, bool durable);

#endif
