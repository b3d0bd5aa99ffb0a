/* Following the manifest: at opening, and as other processes append to it. */
#include "../env/filename.h"
#include "version_set.h"

/* Records are gathered into one version, which is adopted as a whole: those in between were never published to this process, so nobody keeps their files
 * for it. */
struct follow {
    struct lsm_version_set *set;
    struct lsm_manifest_tail *tail;
    struct lsm_version *version; /* NULL: nothing read yet */
    struct lsm_tree_info *trees; /* the set's own, as long as version is NULL */
    size_t trees_count;
    struct lsm_edit plain;          /* positions of the last edit; no files */
    uint8_t token[LSM_TOKEN_BYTES]; /* the last one read */
    uint64_t durable;
    bool appended;
};

static uint64_t id_of(const struct lsm_manifest_found *found) { return found->number << 36 | found->bytes; }

/* A file has one meta in a process, however many edits name it: it knows the open reader, and when the file can go. */
static void use_known_metas(const struct follow *follow, struct lsm_edit *edit) {
    uint64_t id = id_of(lsm_manifest_tail_found(follow->tail));
    for (size_t i = 0; i < edit->added_count; i++) {
        struct lsm_file_meta *read = edit->added[i].meta, *have = lsm_version_find(follow->set->current, read);
        if (have == NULL && follow->version != NULL) have = lsm_version_find(follow->version, read);
        if (have != NULL) {
            lsm_file_meta_ref(have);
            edit->added[i].meta = have;
            lsm_file_meta_unref(read);
        } else if (!edit->full) {
            read->added_at = lsm_file_meta_is_spilled(read) ? 0 : id;
        }
    }
}

static int follow_one(void *arg, struct lsm_edit *edit, struct lsm_error *err) {
    struct follow *follow = arg;
    struct lsm_version_set *set = follow->set;
    struct lsm_version *before = follow->version != NULL ? follow->version : set->current, *next = NULL;
    struct lsm_tree_info *trees = NULL;
    size_t trees_count = 0;
    use_known_metas(follow, edit);
    int status = lsm_version_apply(before, edit, &next, err);
    if (status == LSM_OK) status = lsm_version_set_next_trees(follow->trees, follow->trees_count, edit, &trees, &trees_count, err);
    if (status != LSM_OK) {
        if (next != NULL) lsm_version_destroy(next);
        return status;
    }
    uint64_t least = edit->next_file;
    for (size_t i = 0; i < edit->added_count; i++)
        if (edit->added[i].meta->number >= least) least = edit->added[i].meta->number + 1;
    if (least < follow->plain.next_file) least = follow->plain.next_file;
    /* Killed before it could seal its last edit: this process will. */
    follow->appended = !edit->full && (edit->added_count + edit->removed_count + edit->trees_count + edit->dropped_count != 0 ||
                                       edit->log_position != follow->plain.log_position);
    if (edit->log_durable > follow->durable) follow->durable = edit->log_durable;
    follow->plain = (struct lsm_edit){.next_file = least,
                                      .log_position = edit->log_position,
                                      .log_generation = edit->log_generation,
                                      .next_tree = edit->next_tree,
                                      .log_durable = follow->durable,
                                      .has_token = edit->has_token || follow->plain.has_token};
    if (edit->has_token) memcpy(follow->token, edit->token, sizeof follow->token);
    memcpy(follow->plain.token, follow->token, sizeof follow->plain.token);
    if (follow->version != NULL) {
        lsm_version_destroy(follow->version);
        lsm_free(follow->trees);
    }
    follow->version = next;
    follow->trees = trees;
    follow->trees_count = trees_count;
    return LSM_OK;
}

static void begin(struct follow *follow, struct lsm_version_set *set, struct lsm_manifest_tail *tail) {
    *follow = (struct follow){.set = set, .tail = tail, .trees = set->trees, .trees_count = set->trees_count};
    follow->plain = (struct lsm_edit){.log_position = set->log_position};
}

/* The version that was gathered becomes the current one. durable: it is, and what it does not name may go. */
static void adopt(struct follow *follow, bool durable) {
    struct lsm_version_set *set = follow->set;
    const struct lsm_manifest_found *found = lsm_manifest_tail_found(follow->tail);
    if (follow->version == NULL) return;
    follow->version->id = id_of(found);
    follow->version->log_position = follow->plain.log_position;
    follow->version->log_generation = follow->plain.log_generation;
    lsm_version_set_raise_number(set, follow->plain.next_file > found->number ? follow->plain.next_file : found->number + 1);
    set->appended = follow->appended;
    lsm_version_set_adopt_plain(set, &follow->plain, follow->trees, follow->trees_count);
    lsm_version_set_adopt(set, follow->version, durable);
}

/* Forget what was gathered, and the place in the file with it: next time it is read from its beginning. */
static void drop(struct follow *follow) {
    if (follow->version != NULL) {
        lsm_version_destroy(follow->version);
        lsm_free(follow->trees);
    }
    if (follow->set->tail == follow->tail) follow->set->tail = NULL;
    lsm_manifest_tail_close(follow->tail);
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static int open_tail(struct lsm_version_set *set, uint64_t number, struct lsm_manifest_tail **tail, struct lsm_error *err) {
    return lsm_manifest_tail_open(set->env, set->dir, set->store_id, number, tail, err);
}

/* Which manifest counts, on disk. */
static int named(struct lsm_version_set *set, uint64_t *number, struct lsm_error *err) {
    uint8_t store_id[LSM_STORE_ID_BYTES];
    int status = lsm_manifest_named(set->env, set->dir, number, store_id, err);
    if (status == LSM_OK && memcmp(store_id, set->store_id, sizeof store_id) != 0)
        status = lsm_fail(err, LSM_MISMATCH, "%s: holds another store than the one asked for", set->dir);
    return status;
}

static int missing(const struct lsm_version_set *set, uint64_t number, struct lsm_error *err) {
    return lsm_fail(err, LSM_CORRUPT, "%s: MANIFEST-%08llu is missing, though CURRENT names it; restore the store from a backup", set->dir,
                    (unsigned long long)number);
}

static int read_all(struct lsm_version_set *set, bool append, struct lsm_error *err) {
    struct follow follow;
    struct lsm_manifest_tail *tail = NULL;
    uint64_t number = 0;
    int status = named(set, &number, err);
    if (status != LSM_OK) return status;
    status = open_tail(set, number, &tail, err);
    if (status == LSM_NOTFOUND) status = missing(set, number, err);
    if (status != LSM_OK) return status;
    begin(&follow, set, tail);
    status = lsm_manifest_tail_read(tail, UINT64_MAX, follow_one, &follow, err);
    if (status != LSM_OK) {
        drop(&follow);
        return status;
    }
    adopt(&follow, false);
    /* Behind a torn record nothing may be appended: the next edit starts a new manifest. */
    const struct lsm_manifest_found *found = lsm_manifest_tail_found(tail);
    if (append && !found->torn) status = lsm_manifest_resume(set->env, set->dir, found, &set->manifest, err);
    lsm_manifest_tail_close(tail);
    return status;
}

int lsm_version_set_recover(struct lsm_version_set *set, struct lsm_error *err) {
    lsm_mutex_lock(&set->manifest_mu);
    int status = read_all(set, true, err);
    lsm_mutex_unlock(&set->manifest_mu);
    return status;
}

int lsm_version_set_read(struct lsm_version_set *set, struct lsm_error *err) {
    lsm_mutex_lock(&set->manifest_mu);
    int status = read_all(set, false, err);
    lsm_mutex_unlock(&set->manifest_mu);
    return status;
}

/* ---- catching up -------------------------------------------------------------------------------------------------------- */

/* Read manifest `number` on, or from its beginning if it is another one, up to `bytes`. What was read waits in *follow. Locks: needs manifest_mu. */
static int gather(struct lsm_version_set *set, uint64_t number, uint64_t bytes, struct follow *follow, struct lsm_error *err) {
    struct lsm_manifest_tail *tail = set->tail;
    int status = LSM_OK;
    if (tail == NULL || lsm_manifest_tail_found(tail)->number != number) status = open_tail(set, number, &tail, err);
    if (status != LSM_OK) return status;
    begin(follow, set, tail);
    status = lsm_manifest_tail_read(tail, bytes, follow_one, follow, err);
    if (status != LSM_OK) drop(follow);
    return status;
}

/* What was gathered counts. */
static void take(struct follow *follow, bool durable) {
    struct lsm_version_set *set = follow->set;
    adopt(follow, durable);
    if (set->tail != follow->tail) lsm_manifest_tail_close(set->tail);
    set->tail = follow->tail;
    if (set->manifest != NULL && lsm_manifest_number(set->manifest) != lsm_manifest_tail_found(set->tail)->number) {
        lsm_manifest_close(set->manifest);
        set->manifest = NULL;
    }
}

int lsm_version_set_catch_up(struct lsm_version_set *set, uint64_t version, struct lsm_error *err) {
    struct follow follow;
    int status = LSM_OK;
    lsm_mutex_lock(&set->manifest_mu);
    if (version > set->current->id) {
        status = gather(set, version >> 36, version & (((uint64_t)1 << 36) - 1), &follow, err);
        if (status == LSM_OK) take(&follow, true);
    }
    lsm_mutex_unlock(&set->manifest_mu);
    return status;
}

/* Have the manifest that was read to its end open for appending. What nobody has published is made durable first: its writer died, or could not sync it. */
static int be_at_end(struct lsm_version_set *set, const struct lsm_manifest_found *found, bool published, struct lsm_error *err) {
    bool same = set->manifest != NULL && lsm_manifest_number(set->manifest) == found->number;
    if (same && published && !found->torn) {
        lsm_manifest_advance(set->manifest, found);
        return LSM_OK;
    }
    lsm_manifest_close(set->manifest);
    set->manifest = NULL;
    /* Never appended to: the edit that is to come starts a new one. What counts of this one was durable before the torn record was begun. */
    if (found->torn) return LSM_OK;
    return published ? lsm_manifest_attach(set->env, set->dir, found, &set->manifest, err)
                     : lsm_manifest_resume(set->env, set->dir, found, &set->manifest, err);
}

/* Read the manifest that CURRENT names to its end. Locks: needs all of the set's that concern the manifest. */
static int go_to_end(struct lsm_version_set *set, struct lsm_error *err) {
    struct follow follow;
    uint64_t number = 0;
    int status = named(set, &number, err);
    if (status == LSM_NOTFOUND) return lsm_fail(err, LSM_CORRUPT, "%s: CURRENT is missing; restore the store from a backup", set->dir);
    if (status != LSM_OK) return status;
    /* The present one was named before it was published. What an older one does not name must not be removed. */
    uint64_t present = set->current->id >> 36;
    if (number < present)
        return lsm_fail(
            err, LSM_CORRUPT,
            "%s/CURRENT: names MANIFEST-%08llu, but MANIFEST-%08llu is in use: it was set back while the store is open; close the store in every "
            "process and restore it from a backup",
            set->dir, (unsigned long long)number, (unsigned long long)present);
    status = gather(set, number, UINT64_MAX, &follow, err);
    if (status == LSM_NOTFOUND) return missing(set, number, err);
    if (status != LSM_OK) return status;
    const struct lsm_manifest_found *found = lsm_manifest_tail_found(follow.tail);
    bool published = set->share->version(set->share->arg) >= id_of(found);
    status = be_at_end(set, found, published, err);
    if (status != LSM_OK) {
        drop(&follow);
        return status;
    }
    /* Before a torn record stands nothing that was not durable; if it does in spite, the new manifest will say it. */
    bool durable = published || !found->torn;
    take(&follow, durable);
    if (durable && !published) set->share->publish(set->share->arg, set->current->id);
    set->uncertain = false; /* what a failed append has become is known now */
    if (durable) lsm_version_set_remove_doubtful(set);
    return LSM_OK;
}

int lsm_version_set_lock(struct lsm_version_set *set, struct lsm_error *err) {
    lsm_mutex_lock(&set->append_mu);
    int status = set->share == NULL ? LSM_OK : set->share->lock(set->share->arg, err);
    if (status != LSM_OK) {
        lsm_mutex_unlock(&set->append_mu);
        return status;
    }
    lsm_mutex_lock(&set->manifest_mu);
    if (set->share != NULL && !set->share->alone) status = go_to_end(set, err);
    if (status != LSM_OK) lsm_version_set_unlock(set);
    return status;
}

void lsm_version_set_unlock(struct lsm_version_set *set) {
    lsm_mutex_unlock(&set->manifest_mu);
    if (set->share != NULL) set->share->unlock(set->share->arg);
    lsm_mutex_unlock(&set->append_mu);
}

int lsm_version_set_content(struct lsm_version_set *set, struct lsm_version_content *content, struct lsm_error *err) {
    int status = LSM_OK;
    *content = (struct lsm_version_content){0};
    lsm_mutex_lock(&set->manifest_mu);
    content->trees = lsm_calloc(set->trees_count, sizeof *content->trees);
    if (content->trees == NULL) {
        status = lsm_fail_nomem(err, set->trees_count * sizeof *content->trees);
    } else {
        if (set->trees_count != 0) memcpy(content->trees, set->trees, set->trees_count * sizeof *content->trees);
        content->trees_count = set->trees_count;
        content->next_tree = set->next_tree;
        content->has_token = set->has_token;
        memcpy(content->token, set->token, sizeof content->token);
        content->version = lsm_version_set_ref_current(set);
    }
    lsm_mutex_unlock(&set->manifest_mu);
    return status;
}
