#include "version_set.h"

#include "../env/filename.h"
#include "../sst/sst.h"

#include <assert.h>

enum {
    MANIFEST_BYTES_MAX = 1 << 20, /* one edit is about 200 bytes a file: a few thousand edits, milliseconds to replay */
    VERSION_NUMBERS = 1 << 28     /* what an id has room for beside 36 bits of bytes */
};

static uint64_t id_of(const struct lsm_manifest *manifest) { return lsm_manifest_number(manifest) << 36 | lsm_manifest_bytes(manifest); }

int lsm_version_set_init(struct lsm_version_set *set, struct lsm_env *env, const char *dir, const struct lsm_env_perm *perm, const uint8_t *store_id,
                         struct lsm_cache *cache) {
    *set = (struct lsm_version_set){.env = env, .dir = dir, .perm = *perm, .cache = cache, .next_tree = 1, .log_generation = 1};
    set->manifest_bytes_max = MANIFEST_BYTES_MAX;
    memcpy(set->store_id, store_id, sizeof set->store_id);
    atomic_store_explicit(&set->next_file, 1, memory_order_relaxed);
    const struct lsm_edit nothing = {.full = true};
    int status = lsm_version_apply(NULL, &nothing, &set->current, NULL);
    if (status != LSM_OK) return status;
    atomic_store_explicit(&set->live_versions, 1, memory_order_relaxed);
    struct lsm_mutex *mutexes[] = {&set->append_mu, &set->manifest_mu, &set->mu, &set->removing_mu, &set->graveyard_mu};
    for (size_t i = 0; i < sizeof mutexes / sizeof mutexes[0]; i++) {
        status = lsm_mutex_init(mutexes[i]);
        if (status == LSM_OK) continue;
        while (i-- > 0) lsm_mutex_release(mutexes[i]);
        lsm_version_destroy(set->current);
        return status;
    }
    return LSM_OK;
}

void lsm_version_set_release(struct lsm_version_set *set) {
    lsm_version_set_unref(set, set->current);
    /* What others still need is theirs to remove now, or the next process's that looks through the directory. */
    while (set->obsolete != NULL) {
        struct lsm_file_meta *meta = set->obsolete;
        set->obsolete = meta->next;
        lsm_file_meta_unref(meta);
    }
    lsm_manifest_close(set->manifest);
    lsm_manifest_tail_close(set->tail);
    lsm_free(set->trees);
    lsm_free(set->doubtful);
    lsm_mutex_release(&set->append_mu);
    lsm_mutex_release(&set->manifest_mu);
    lsm_mutex_release(&set->mu);
    lsm_mutex_release(&set->removing_mu);
    lsm_mutex_release(&set->graveyard_mu);
}

/* ---- the set's own plain state: trees and positions ------------------------------------------------------------------ */

int lsm_version_set_next_trees(const struct lsm_tree_info *old, size_t old_count, const struct lsm_edit *edit, struct lsm_tree_info **out,
                               size_t *out_count, struct lsm_error *err) {
    size_t kept = edit->full ? 0 : old_count, count = 0;
    struct lsm_tree_info *trees = lsm_calloc(kept + edit->trees_count, sizeof *trees);
    if (trees == NULL) return lsm_fail_nomem(err, (kept + edit->trees_count) * sizeof *trees);
    for (size_t i = 0; i < kept + edit->trees_count; i++) {
        struct lsm_tree_info tree = i < kept ? old[i] : edit->trees[i - kept];
        bool gone = false;
        for (size_t d = 0; d < edit->dropped_count; d++) gone |= edit->dropped[d] == tree.tree;
        if (gone) continue;
        size_t at = count++;
        for (; at > 0 && trees[at - 1].tree > tree.tree; at--) trees[at] = trees[at - 1];
        trees[at] = tree;
    }
    *out = trees;
    *out_count = count;
    return LSM_OK;
}

/* An edit that describes everything as it is after `edit` made `version` and `trees`. */
static int full_edit(const struct lsm_version *version, const struct lsm_tree_info *trees, size_t trees_count, const struct lsm_edit *edit,
                     struct lsm_edit *full) {
    int status = LSM_OK;
    *full = (struct lsm_edit){.full = true,
                              .next_file = edit->next_file,
                              .log_position = edit->log_position,
                              .log_generation = edit->log_generation,
                              .next_tree = edit->next_tree,
                              .time_us = edit->time_us,
                              .log_durable = edit->log_durable,
                              .has_token = edit->has_token};
    memcpy(full->token, edit->token, sizeof full->token);
    for (size_t r = 0; r < version->level0_count; r++)
        for (size_t i = 0; i < version->level0[r].count && status == LSM_OK; i++)
            status = lsm_edit_add_file(full, 0, version->level0[r].number, version->level0[r].files[i]);
    for (int level = 1; level < LSM_LEVELS; level++)
        for (size_t i = 0; i < version->levels[level].count && status == LSM_OK; i++)
            status = lsm_edit_add_file(full, level, 0, version->levels[level].files[i]);
    for (size_t i = 0; i < trees_count && status == LSM_OK; i++) status = lsm_edit_add_tree(full, trees[i]);
    if (status != LSM_OK) lsm_edit_release(full);
    return status;
}

void lsm_version_set_adopt_plain(struct lsm_version_set *set, const struct lsm_edit *edit, struct lsm_tree_info *trees, size_t trees_count) {
    lsm_free(set->trees);
    set->trees = trees;
    set->trees_count = trees_count;
    set->log_position = edit->log_position;
    set->log_generation = edit->log_generation;
    set->next_tree = edit->next_tree;
    if (edit->log_durable > set->log_durable) set->log_durable = edit->log_durable;
    if (!edit->has_token) return;
    set->has_token = true;
    memcpy(set->token, edit->token, sizeof set->token);
}

static bool stamp(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    (void)level;
    (void)run;
    meta->stamp = *(const uint64_t *)arg;
    return true;
}

/* Names the present version, whose files are all stamped. */
struct gone {
    uint64_t stamp, version;
};

static bool mark_if_gone(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    const struct gone *gone = arg;
    (void)level;
    (void)run;
    if (meta->stamp == gone->stamp || atomic_load_explicit(&meta->obsolete, memory_order_relaxed)) return true;
    meta->removed_at = gone->version;
    atomic_store_explicit(&meta->obsolete, true, memory_order_release);
    return true;
}

/* What is not durable stays on the disk: after a power cut the files would be named again. */
void lsm_version_set_adopt(struct lsm_version_set *set, struct lsm_version *version, bool durable) {
    struct lsm_version *old;
    (void)atomic_fetch_add_explicit(&set->live_versions, 1, memory_order_relaxed);
    lsm_mutex_lock(&set->mu);
    old = set->current;
    set->current = version;
    struct gone gone = {.stamp = ++set->edits, .version = version->id};
    lsm_mutex_unlock(&set->mu);
    if (durable) {
        lsm_version_each(version, stamp, &gone.stamp);
        lsm_version_each(old, mark_if_gone, &gone);
    }
    lsm_version_set_unref(set, old);
}

/* ---- edits ----------------------------------------------------------------------------------------------------------- */

/* A manifest could not be created. Its file is gone unless CURRENT names it by now or may do so after a crash: then what is appended to the
 * old one would never be read, and what the new one names must stay. Locks: needs manifest_mu. */
static void judge_failed_create(struct lsm_version_set *set, uint64_t number) {
    bool exists = true;
    char *path = lsm_file_path(set->dir, LSM_FILE_MANIFEST, number);
    if (path != NULL && lsm_env_exists(set->env, path, &exists, NULL) != LSM_OK) exists = true;
    lsm_free(path);
    if (!exists) return;
    lsm_manifest_close(set->manifest);
    set->manifest = NULL;
    set->uncertain = true;
}

/* Remember the tables of a failed edit that may be on disk in spite. Without memory they stay until the next open. */
static void doubt_files(struct lsm_version_set *set, const struct lsm_edit *edit) {
    if (edit->added_count == 0) return;
    uint64_t *grown = lsm_realloc(set->doubtful, (set->doubtful_count + edit->added_count) * sizeof *grown);
    if (grown == NULL) return;
    set->doubtful = grown;
    for (size_t i = 0; i < edit->added_count; i++) {
        uint64_t number = edit->added[i].meta->number;
        bool stays = edit->added[i].lent; /* it may be named again, by the edit that takes the place of this one */
        for (size_t r = 0; r < edit->removed_count; r++) stays |= edit->removed[r] == number;
        if (!stays) set->doubtful[set->doubtful_count++] = number;
    }
}

static void remove_table(struct lsm_version_set *set, uint64_t number) {
    char *path = lsm_file_path(set->dir, LSM_FILE_TABLE, number);
    if (path != NULL && lsm_env_unlink(set->env, path, NULL) != LSM_OK) {
        /* Left over until the next open, which removes what the manifest does not name; or another process was faster. */
    }
    lsm_free(path);
}

struct number_search {
    uint64_t number;
    bool found;
};

static bool is_number(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct number_search *search = arg;
    (void)level;
    (void)run;
    search->found = meta->number == search->number;
    return !search->found;
}

/* A file that the current version does not name: the edit did not happen; or another process found it and took it over, and it was merged away since,
 * but not for everybody perhaps. */
static bool is_doubtful_still(const struct lsm_version_set *set, uint64_t number, bool *named) {
    struct number_search search = {.number = number};
    lsm_version_each(set->current, is_number, &search);
    *named = search.found;
    return !search.found && set->share != NULL && !set->share->may_remove(set->share->arg, 0, set->current->id);
}

void lsm_version_set_remove_doubtful(struct lsm_version_set *set) {
    size_t kept = 0;
    for (size_t i = 0; i < set->doubtful_count; i++) {
        bool named = false;
        if (is_doubtful_still(set, set->doubtful[i], &named))
            set->doubtful[kept++] = set->doubtful[i];
        else if (!named)
            remove_table(set, set->doubtful[i]);
    }
    set->doubtful_count = kept;
}

/* Write the edit to the manifest, or, when there is none to append to, everything to a new one. Locks: needs manifest_mu. */
static int write_edit(struct lsm_version_set *set, const struct lsm_edit *edit, const struct lsm_version *version, const struct lsm_tree_info *trees,
                      size_t trees_count, struct lsm_error *err) {
    if (set->manifest != NULL && lsm_manifest_bytes(set->manifest) < set->manifest_bytes_max) {
        int status = lsm_manifest_append(set->manifest, edit, &set->spare, err);
        if (status == LSM_OK) {
            set->appended = true;
            if (set->tail != NULL) lsm_manifest_tail_skip(set->tail, set->manifest);
            return LSM_OK;
        }
        /* It cannot be appended to any more, nor is it known what it holds: the next edit writes a new one. */
        lsm_manifest_close(set->manifest);
        set->manifest = NULL;
        set->uncertain = true;
        return status;
    }
    struct lsm_edit full;
    struct lsm_manifest *fresh = NULL;
    uint64_t old_number = set->manifest != NULL ? lsm_manifest_number(set->manifest)
                          : set->tail != NULL   ? lsm_manifest_tail_found(set->tail)->number
                                                : 0;
    uint64_t number = lsm_version_set_new_number(set);
    /* LCOV_EXCL_BR_LINE: 2^28 manifests */
    if (number >= VERSION_NUMBERS) return lsm_fail(err, LSM_TOOBIG, "%s: all file numbers are used up; copy the tables to a new database", set->dir);
    int status = full_edit(version, trees, trees_count, edit, &full);
    if (status != LSM_OK) return lsm_fail_nomem(err, 0);
    full.next_file = number + 1 > full.next_file ? number + 1 : full.next_file;
    if (full.log_durable < set->log_durable) full.log_durable = set->log_durable;
    if (!full.has_token && set->has_token) {
        full.has_token = true;
        memcpy(full.token, set->token, sizeof full.token);
    }
    status = lsm_manifest_create(set->env, set->dir, &set->perm, set->store_id, number, &full, &set->spare, &fresh, err);
    lsm_edit_release(&full);
    if (status != LSM_OK) {
        judge_failed_create(set, number);
        return status;
    }
    lsm_manifest_close(set->manifest);
    lsm_manifest_tail_close(set->tail);
    set->tail = NULL;
    set->manifest = fresh;
    set->appended = false;
    set->uncertain = false;
    lsm_version_set_remove_doubtful(set);
    char *old_path = old_number == 0 ? NULL : lsm_file_path(set->dir, LSM_FILE_MANIFEST, old_number);
    if (old_path != NULL && lsm_env_unlink(set->env, old_path, NULL) != LSM_OK) {
        /* Nobody names it any more: recovery removes what is left over. */
    }
    lsm_free(old_path);
    return LSM_OK;
}

/* Does the edit still fit, whatever became of the version it was worked out from? A flush leaves out tombstones that hide nothing in its base, so
 * nothing may have been flushed since; a merge takes its sources' place, so they must stand where they stood. */
static bool is_overtaken(const struct lsm_version_set *set, const struct lsm_edit *edit) {
    if (edit->base == NULL || edit->base == set->current) return false;
    /* A transaction's files that somebody else has handed in already. */
    for (size_t i = 0; i < edit->added_count; i++)
        if (edit->added[i].lent && lsm_version_find(set->current, edit->added[i].meta) != NULL) return true;
    if (edit->log_position != 0 && edit->base->log_position != set->log_position) return true;
    bool merges = edit->log_position == 0 || edit->removed_count != 0;
    return merges && !lsm_version_only_flushed(edit->base, set->current);
}

/* Locks: needs manifest_mu. */
static int apply_locked(struct lsm_version_set *set, struct lsm_edit *edit, struct lsm_error *err) {
    struct lsm_version *version = NULL;
    struct lsm_tree_info *trees = NULL;
    size_t trees_count = 0;
    if (is_overtaken(set, edit)) return LSM_OVERTAKEN;
    edit->next_file = lsm_version_set_peek_number(set);
    edit->time_us = lsm_env_now_us(set->env);
    if (edit->log_position == 0) edit->log_position = set->log_position;
    if (edit->log_generation == 0) edit->log_generation = set->log_generation;
    if (edit->next_tree == 0) edit->next_tree = set->next_tree;
    int status = lsm_version_apply(set->current, edit, &version, err);
    if (status == LSM_OK) status = lsm_version_set_next_trees(set->trees, set->trees_count, edit, &trees, &trees_count, err);
    if (status == LSM_OK) status = write_edit(set, edit, version, trees, trees_count, err);
    if (status != LSM_OK) {
        if (version != NULL) lsm_version_destroy(version);
        lsm_free(trees);
        return status;
    }
    version->id = id_of(set->manifest);
    version->log_position = edit->log_position;
    version->log_generation = edit->log_generation;
    for (size_t i = 0; i < edit->added_count; i++)
        if (lsm_version_find(set->current, edit->added[i].meta) == NULL && !lsm_file_meta_is_spilled(edit->added[i].meta))
            edit->added[i].meta->added_at = version->id;
    lsm_version_set_adopt_plain(set, edit, trees, trees_count);
    lsm_version_set_adopt(set, version, true);
    return LSM_OK;
}

/* Locks: needs manifest_mu, and what keeps other processes out. */
static int apply_and_publish(struct lsm_version_set *set, struct lsm_edit *edit, bool *keep_files, struct lsm_error *err) {
    int status = apply_locked(set, edit, err);
    *keep_files = status < 0 && set->uncertain;
    if (*keep_files) doubt_files(set, edit);
    if (status == LSM_OK && set->share != NULL) set->share->publish(set->share->arg, set->current->id);
    return status;
}

int lsm_version_set_apply(struct lsm_version_set *set, struct lsm_edit *edit, bool *keep_files, struct lsm_error *err) {
    *keep_files = false;
    int status = lsm_version_set_lock(set, err);
    if (status != LSM_OK) return status;
    status = apply_and_publish(set, edit, keep_files, err);
    lsm_version_set_unlock(set);
    return status;
}

int lsm_version_set_create(struct lsm_version_set *set, struct lsm_error *err) {
    struct lsm_edit nothing = {0};
    bool keep_files;
    lsm_mutex_lock(&set->manifest_mu);
    int status = apply_and_publish(set, &nothing, &keep_files, err);
    lsm_mutex_unlock(&set->manifest_mu);
    return status;
}

void lsm_version_set_seal(struct lsm_version_set *set, uint64_t log_durable) {
    /* Shared: the last one here may never have appended. */
    if (lsm_version_set_lock(set, NULL) != LSM_OK) return;
    const struct lsm_edit nothing = {.next_file = lsm_version_set_peek_number(set),
                                     .log_position = set->log_position,
                                     .log_generation = set->log_generation,
                                     .next_tree = set->next_tree,
                                     .time_us = lsm_env_now_us(set->env),
                                     .log_durable = log_durable};
    if (set->manifest != NULL && (set->appended || log_durable > set->log_durable)) lsm_manifest_seal(set->manifest, &nothing);
    set->appended = false;
    lsm_version_set_unlock(set);
}

/* ---- references ------------------------------------------------------------------------------------------------------ */

int lsm_version_set_make(struct lsm_version_set *set, const struct lsm_edit *edit, struct lsm_version **version, struct lsm_error *err) {
    int status = lsm_version_apply(NULL, edit, version, err);
    if (status == LSM_OK) (void)atomic_fetch_add_explicit(&set->live_versions, 1, memory_order_relaxed);
    return status;
}

uint64_t lsm_version_set_new_number(struct lsm_version_set *set) {
    if (set->share != NULL) return set->share->next_file(set->share->arg);
    return atomic_fetch_add_explicit(&set->next_file, 1, memory_order_relaxed);
}

uint64_t lsm_version_set_peek_number(struct lsm_version_set *set) {
    return set->share != NULL ? set->share->peek_next_file(set->share->arg) : atomic_load_explicit(&set->next_file, memory_order_relaxed);
}

void lsm_version_set_raise_number(struct lsm_version_set *set, uint64_t at_least) {
    if (set->share != NULL)
        set->share->raise_next_file(set->share->arg, at_least);
    else if (at_least > atomic_load_explicit(&set->next_file, memory_order_relaxed))
        atomic_store_explicit(&set->next_file, at_least, memory_order_relaxed);
}

struct lsm_version *lsm_version_set_ref_current(struct lsm_version_set *set) {
    lsm_mutex_lock(&set->mu);
    struct lsm_version *version = set->current;
    lsm_version_ref(version);
    lsm_mutex_unlock(&set->mu);
    return version;
}

static bool may_remove(const struct lsm_version_set *set, const struct lsm_file_meta *meta) {
    /* What was never in a version is its maker's own. */
    return set->share == NULL || meta->removed_at == 0 || set->share->may_remove(set->share->arg, meta->added_at, meta->removed_at);
}

static bool remove_if_last(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct lsm_version_set *set = arg;
    (void)level;
    (void)run;
    if (!atomic_load_explicit(&meta->obsolete, memory_order_acquire)) return true;
    if (atomic_load_explicit(&meta->refs, memory_order_acquire) != 1) return true;
    /* One that no version ever named belonged to a transaction of ours, and nobody else knows it. */
    if (set->share == NULL || meta->removed_at == 0) {
        remove_table(set, meta->number);
        return true;
    }
    /* Whoever comes last here may still be asked by another process to wait: the sweep looks. */
    lsm_file_meta_ref(meta);
    meta->next = set->obsolete;
    set->obsolete = meta;
    (void)atomic_fetch_add(&set->obsolete_count, 1); /* ordered before the question whether somebody has been told */
    return true;
}

/* Take what may be removed out of the list. Locks: takes graveyard_mu. */
static struct lsm_file_meta *take_removable(struct lsm_version_set *set, size_t most) {
    struct lsm_file_meta *taken = NULL;
    lsm_mutex_lock(&set->graveyard_mu);
    for (struct lsm_file_meta **link = &set->obsolete; *link != NULL && most > 0;) {
        struct lsm_file_meta *meta = *link;
        if (!may_remove(set, meta)) {
            link = &meta->next;
            continue;
        }
        *link = meta->next;
        meta->next = taken;
        taken = meta;
        most--;
    }
    lsm_mutex_unlock(&set->graveyard_mu);
    return taken;
}

size_t lsm_version_set_sweep(struct lsm_version_set *set, size_t most) {
    size_t removed = 0;
    if (atomic_load(&set->obsolete_count) == 0) return 0;
    /* Without graveyard_mu: giving a file's blocks back can take tenths of a second, and who ends a transaction comes by there. */
    lsm_mutex_lock(&set->removing_mu);
    struct lsm_file_meta *meta = take_removable(set, most), *next;
    for (; meta != NULL; meta = next) {
        next = meta->next;
        remove_table(set, meta->number);
        lsm_file_meta_unref(meta);
        (void)atomic_fetch_sub(&set->obsolete_count, 1); /* only now: who finds 0 must not meet a file that is being removed */
        removed++;
    }
    lsm_mutex_unlock(&set->removing_mu);
    return removed;
}

void lsm_version_set_unref(struct lsm_version_set *set, struct lsm_version *version) {
    if (!lsm_version_unref(version)) return;
    /* One at a time: two versions that share an obsolete file must not each think the other still has it. No new version can take
     * it up again, so once the count is 1 it is ours. */
    lsm_mutex_lock(&set->graveyard_mu);
    lsm_version_each(version, remove_if_last, set);
    lsm_version_destroy(version);
    /* Release: who finds it gone finds its files on the list. */
    (void)atomic_fetch_sub_explicit(&set->live_versions, 1, memory_order_release);
    lsm_mutex_unlock(&set->graveyard_mu);
}

void lsm_version_set_unref_file(struct lsm_version_set *set, struct lsm_file_meta *meta) {
    lsm_mutex_lock(&set->graveyard_mu);
    (void)remove_if_last(set, 0, 0, meta);
    lsm_file_meta_unref(meta);
    lsm_mutex_unlock(&set->graveyard_mu);
}

int lsm_version_set_table(struct lsm_version_set *set, struct lsm_file_meta *meta, struct lsm_sst **out, struct lsm_error *err) {
    struct lsm_sst *sst = atomic_load_explicit(&meta->sst, memory_order_acquire);
    if (sst == NULL) {
        char *path = lsm_file_path(set->dir, LSM_FILE_TABLE, meta->number);
        if (path == NULL) return lsm_fail_nomem(err, 0);
        int status = lsm_sst_open(set->env, path, set->store_id, meta, set->cache, &sst, err);
        /* "Not found" would be taken for an answer about the key. */
        if (status == LSM_NOTFOUND) status = lsm_fail(err, LSM_CORRUPT, "%s: missing, though the manifest names it; restore it from a backup", path);
        lsm_free(path);
        if (status != LSM_OK) return status;
        lsm_sst_map(sst, &set->maps);
        struct lsm_sst *first = NULL;
        /* Release publishes the opened reader to the acquire load above; who comes second uses the first one's. */
        if (!atomic_compare_exchange_strong_explicit(&meta->sst, &first, sst, memory_order_acq_rel, memory_order_acquire)) {
            lsm_sst_close(sst);
            sst = first;
        }
    }
    *out = sst;
    return LSM_OK;
}
