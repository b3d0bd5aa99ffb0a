/* Opening and closing a store. */
#include "../env/filename.h"
#include "budget.h"
#include "recover.h"

enum { READ_ONLY_TRIES = 20 };

/* ---- options ------------------------------------------------------------------------------------------------------------------------ */

void lsm_options_init(struct lsm_options *options) {
    *options = (struct lsm_options){.file_mode = 0644,
                                    .owner_uid = -1,
                                    .owner_gid = -1,
                                    .write_buffer_bytes = 32u << 20,
                                    .cache_bytes = 64u << 20,
                                    .block_bytes = 4096,
                                    .file_bytes = 16u << 20,
                                    .reserve_bytes = 32u << 20,
                                    .compression = LSM_COMPRESS_LZ4,
                                    .threads = 2};
}

static int check_options(const struct lsm_options *options, struct lsm_error *err) {
    if (options->dir == NULL || options->dir[0] == 0 || options->store_id == NULL)
        return lsm_fail(err, LSM_MISUSE, "a store needs a directory and an id");
    if (options->write_buffer_bytes < 65536 || options->write_buffer_bytes > (size_t)1 << 30)
        return lsm_fail(err, LSM_MISUSE, "write_buffer_bytes is %zu; it must be 64 KiB to 1 GiB", options->write_buffer_bytes);
    if (options->block_bytes < 512 || options->block_bytes > 65536)
        return lsm_fail(err, LSM_MISUSE, "block_bytes is %zu; it must be 512 to 65536", options->block_bytes);
    if (options->file_bytes < 65536) return lsm_fail(err, LSM_MISUSE, "file_bytes is %zu; it must be at least 64 KiB", options->file_bytes);
    if ((unsigned)options->compression > LSM_COMPRESS_ZSTD) return lsm_fail(err, LSM_MISUSE, "unknown compression %d", (int)options->compression);
    return LSM_OK;
}

void lsm_store_allow_map(struct lsm_store *store, uint64_t bytes) {
    _Atomic uint64_t *limit = &store->set.maps.limit;
    uint64_t before = atomic_load_explicit(limit, memory_order_relaxed);
    /* LCOV_EXCL_BR_LINE: another thread raises it in the same moment */
    while (before < bytes && !atomic_compare_exchange_weak_explicit(limit, &before, bytes, memory_order_relaxed, memory_order_relaxed)) continue;
}

int lsm_store_guard(const struct lsm_store *store, struct lsm_error *err) {
    if (store->fork_epoch == lsm_fork_epoch()) return LSM_OK;
    return lsm_fail(err, LSM_MISUSE, "the store was opened before fork(); close the connection in the parent only, and open a new one in the child");
}

/* ---- the directory -------------------------------------------------------------------------------------------------------- */

/* The directory above, as a new string; NULL: no memory. */
static char *parent_of(const char *dir) {
    const char *slash = strrchr(dir, '/');
    if (slash == NULL) return lsm_strdup(".");
    char *parent = lsm_strdup(dir);
    if (parent != NULL) parent[slash == dir ? 1 : slash - dir] = 0;
    return parent;
}

/* Make the directory, and the one above it, durably. */
static int make_dir(struct lsm_store *store, struct lsm_error *err) {
    char *parent = parent_of(store->dir), *above = parent == NULL ? NULL : parent_of(parent);
    if (above == NULL) {
        lsm_free(parent);
        return lsm_fail_nomem(err, strlen(store->dir));
    }
    int status = lsm_env_mkdir(store->env, store->dir, &store->perm, err);
    if (status == LSM_NOTFOUND) {
        status = lsm_env_mkdir(store->env, parent, &store->perm, err);
        if (status == LSM_OK) status = lsm_env_mkdir(store->env, store->dir, &store->perm, err);
    }
    /* Both, whoever made them: a process that was killed may have left them unsynced. */
    if (status == LSM_OK) status = lsm_env_sync_dir(store->env, above, err);
    if (status == LSM_OK) status = lsm_env_sync_dir(store->env, parent, err);
    lsm_free(above);
    lsm_free(parent);
    return status;
}

/* Is there anything in the directory that only a store with a CURRENT can have? */
static int check_fresh(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_names names = {0};
    int status = lsm_env_list(store->env, store->dir, &names, err);
    for (size_t i = 0; i < names.count && status == LSM_OK; i++) {
        uint64_t number;
        enum lsm_file_type type = lsm_file_parse(names.names[i], &number);
        if (type == LSM_FILE_TABLE || type == LSM_FILE_WAL)
            status = lsm_fail(err, LSM_CORRUPT,
                              "%s: there are data files but no CURRENT to say which of them count; restore CURRENT or salvage the store", store->dir);
    }
    lsm_names_free(&names);
    return status;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------------------ */

static int init_locks(struct lsm_store *store) {
    if (lsm_mutex_init(&store->mu) != LSM_OK) return LSM_NOMEM;
    if (lsm_mutex_init(&store->follow_mu) != LSM_OK) {
        lsm_mutex_release(&store->mu);
        return LSM_NOMEM;
    }
    struct lsm_cond *conds[] = {&store->writer_free, &store->work, &store->done};
    for (size_t i = 0; i < 3; i++)
        if (lsm_cond_init(conds[i]) != LSM_OK) {
            while (i-- > 0) lsm_cond_release(conds[i]);
            lsm_mutex_release(&store->follow_mu);
            lsm_mutex_release(&store->mu);
            return LSM_NOMEM;
        }
    return LSM_OK;
}

static void release_locks(struct lsm_store *store) {
    lsm_cond_release(&store->writer_free);
    lsm_cond_release(&store->work);
    lsm_cond_release(&store->done);
    lsm_mutex_release(&store->follow_mu);
    lsm_mutex_release(&store->mu);
}

/* The manifest: read it, or make the first one. */
static int open_manifest(struct lsm_store *store, bool create, struct lsm_error *err) {
    int status = store->options.read_only ? lsm_version_set_read(&store->set, err) : lsm_version_set_recover(&store->set, err);
    if (status == LSM_NOTFOUND && create && !store->options.read_only) {
        status = check_fresh(store, err);
        if (status == LSM_OK) status = lsm_version_set_create(&store->set, err);
    }
    return status;
}

/* Trees as the manifest knows them. */
static int adopt_trees(struct lsm_store *store, struct lsm_error *err) {
    store->next_tree = store->set.next_tree == 0 ? 1 : store->set.next_tree;
    for (size_t i = 0; i < store->set.trees_count; i++) {
        struct lsm_store_tree tree = {.info = store->set.trees[i], .dropped_at = UINT64_MAX, .in_manifest = true};
        if (lsm_store_reserve_trees(store, 1) != LSM_OK) return lsm_fail_nomem(err, sizeof tree);
        lsm_mutex_lock(&store->mu);
        lsm_store_add_tree(store, &tree);
        lsm_mutex_unlock(&store->mu);
        if (tree.info.tree >= store->next_tree) store->next_tree = tree.info.tree + 1;
    }
    return LSM_OK;
}

/* The first state: one empty generation on the manifest's version. */
static int first_state(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_state *state = lsm_state_new(store, 1);
    struct lsm_gen *gen = lsm_gen_new(store->set.log_position);
    if (state == NULL || gen == NULL) {
        lsm_gen_unref(gen);
        lsm_free(state);
        return lsm_fail_nomem(err, sizeof *gen);
    }
    state->gens[0] = gen;
    state->gens_count = 1;
    state->version = lsm_version_set_ref_current(&store->set);
    atomic_store_explicit(&store->level0_runs, (int)state->version->level0_count, memory_order_relaxed);
    store->state = state;
    store->shape_changed = true;
    store->drop_wanted = state->version->files != 0; /* what was dropped but not removed before the last close or crash */
    return LSM_OK;
}

/* Nobody else is there: what is on disk is the truth, and is put in order. */
static int open_first(struct lsm_store *store, bool create, struct lsm_error *err) {
    int status = open_manifest(store, create, err);
    if (status == LSM_OK) status = first_state(store, err);
    if (status == LSM_OK) status = adopt_trees(store, err);
    if (status == LSM_OK) status = lsm_recover_log(store, err);
    if (status != LSM_OK) return status;
    if (store->options.read_only) return lsm_shared_freeze(store, err);
    status = lsm_recover_check_manifest(store, err);
    if (status != LSM_OK) return status;
    status = lsm_recover_clean(store, err);
    if (status != LSM_OK) return status;
    lsm_shared_fill(store);
    return LSM_OK;
}

/* Others are there: what they have published is the truth, and nothing is touched. */
static int open_joined(struct lsm_store *store, struct lsm_error *err) {
    store->next_log = 1;
    store->next_tree = 1;
    int status = first_state(store, err);
    return status == LSM_OK ? lsm_follow_join(store, err) : status;
}

static int open_steps(struct lsm_store *store, const struct lsm_options *options, bool *set_up, struct lsm_error *err) {
    bool exists = false, create = options->create && !options->read_only;
    int status = create ? make_dir(store, err) : lsm_env_exists(store->env, store->dir, &exists, err);
    if (status == LSM_OK && !create && !exists) status = lsm_fail(err, LSM_NOTFOUND, "%s: there is no such store", store->dir);
    if (status == LSM_OK) status = lsm_shared_join(store, options->process_name, err);
    if (status != LSM_OK) return status;
    store->cache = lsm_budget_join(options->cache_bytes, options->write_buffer_bytes);
    if (store->cache == NULL) return lsm_fail_nomem(err, 0);
    if (lsm_version_set_init(&store->set, store->env, store->dir, &store->perm, store->store_id, store->cache) != LSM_OK)
        return lsm_fail_nomem(err, 0);
    *set_up = true;
    lsm_store_allow_map(store, options->map_bytes);
    store->set.share = &store->version_share;
    store->set.spare = (struct lsm_spare){.find = lsm_reserve_find, .arg = store};
    status = lsm_share_is_first(store->share) ? open_first(store, create, err) : open_joined(store, err);
    if (status == LSM_OK) status = lsm_share_ready(store->share, err);
    if (status != LSM_OK || store->options.read_only) return status;
    return lsm_background_start(store, err);
}

/* What open_steps() and the life of the store have built, in reverse. */
static void tear_down(struct lsm_store *store, bool set_up) {
    lsm_background_stop(store);
    lsm_seal_release(&store->pending.seal);
    lsm_replay_release(&store->replay);
    lsm_wal_reader_close(store->log_reader);
    lsm_state_unref(store->state);
    while (store->old_logs != NULL) {
        struct lsm_old_log *old = store->old_logs;
        store->old_logs = old->next;
        (void)lsm_wal_writer_close(old->writer, false, NULL);
        lsm_free(old);
    }
    if (set_up && !store->options.read_only) (void)lsm_version_set_sweep(&store->set, SIZE_MAX);
    /* What could not be removed is now looked for by somebody who stays. */
    bool undone = store->sweep_wanted || (set_up && atomic_load_explicit(&store->set.obsolete_count, memory_order_relaxed) != 0);
    if (undone && store->share != NULL) lsm_share_leave_trace(store->share);
    if (set_up) lsm_version_set_release(&store->set);
    if (store->cache != NULL) lsm_budget_leave(store->options.write_buffer_bytes);
    lsm_share_free(store->share);
    lsm_txn_release_spent(store);
    lsm_free(store->trees);
    lsm_buf_free(&store->pending.held);
    release_locks(store);
    lsm_free(store->dir);
    lsm_free(store);
}

/* read_only: whether it was, or would have been, opened for reading only. */
static int open_once(const struct lsm_options *options, struct lsm_store **out, bool *read_only, struct lsm_error *err) {
    struct lsm_store *store = lsm_calloc(1, sizeof *store);
    if (store == NULL) return lsm_fail_nomem(err, sizeof *store);
    bool set_up = false;
    int status;
    store->env = options->env == NULL ? lsm_env_posix() : options->env;
    store->options = *options;
    store->perm = (struct lsm_env_perm){.mode = options->file_mode, .uid = options->owner_uid, .gid = options->owner_gid};
    store->fork_epoch = lsm_fork_epoch();
    memcpy(store->store_id, options->store_id, sizeof store->store_id);
    store->dir = lsm_strdup(options->dir);
    if (store->dir == NULL || init_locks(store) != LSM_OK) {
        lsm_free(store->dir);
        lsm_free(store);
        return lsm_fail_nomem(err, sizeof *store);
    }
    store->options.dir = store->dir;
    store->options.store_id = store->store_id;
    store->options.process_name = NULL;
    status = open_steps(store, options, &set_up, err);
    *read_only = store->options.read_only;
    if (status != LSM_OK) {
        tear_down(store, set_up);
        return status;
    }
    *out = store;
    return LSM_OK;
}

/* Which manifest counts, and how long it is: every flush and merge changes that. 0: not to be found out. */
static uint64_t manifest_stamp(const struct lsm_options *options) {
    struct lsm_env *env = options->env == NULL ? lsm_env_posix() : options->env;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    uint64_t number = 0, bytes = 0;
    struct lsm_file *file = NULL;
    if (lsm_manifest_named(env, options->dir, &number, store_id, NULL) != LSM_OK) return 0;
    char *path = lsm_file_path(options->dir, LSM_FILE_MANIFEST, number);
    int status = path == NULL ? LSM_NOMEM : lsm_env_open(env, path, LSM_OPEN_READ, NULL, &file, NULL);
    if (status == LSM_OK) status = lsm_file_size(file, &bytes, NULL);
    lsm_file_close(file);
    lsm_free(path);
    return status == LSM_OK ? lsm_share_version_id(number, bytes) : 0;
}

int lsm_store_open(const struct lsm_options *options, struct lsm_store **out, struct lsm_error *err) {
    struct lsm_error local = {0};
    bool read_only = options->read_only;
    *out = NULL;
    int status = check_options(options, err);
    if (status != LSM_OK) return status;
    for (int tries = 0; tries < READ_ONLY_TRIES; tries++) {
        uint64_t before = read_only ? manifest_stamp(options) : 0;
        status = open_once(options, out, &read_only, &local);
        /* Without a place among those who write, nothing keeps them from removing what is just being read. */
        bool moved = read_only && (status == LSM_CORRUPT || status == LSM_NOTFOUND) && manifest_stamp(options) != before;
        if (!moved) {
            if (status != LSM_OK && err != NULL) *err = local;
            return status;
        }
    }
    return lsm_fail(err, LSM_BUSY,
                    "%s: other processes change the store faster than it can be read where nothing can be written (%s); try again later",
                    options->dir, local.text);
}

/* Is there a row in memory, and no tree that it could belong to? */
static bool is_all_garbage(struct lsm_store *store) {
    bool alive = false;
    lsm_mutex_lock(&store->mu);
    for (size_t i = 0; i < store->trees_count; i++) alive |= store->trees[i].dropped_at == UINT64_MAX;
    bool rows = store->state->gens_count > 1 || store->state->gens[0]->trees != 0;
    lsm_mutex_unlock(&store->mu);
    return rows && !alive;
}

/* What was dropped leaves the disk now: the next open may be far away. A failure leaves it for that. */
static void remove_dropped(struct lsm_store *store) {
    if (lsm_store_check_failed(store, NULL) != LSM_OK) return;
    bool garbage = is_all_garbage(store);
    if (garbage && lsm_store_flush(store, NULL, NULL, NULL) != LSM_OK) return;
    lsm_mutex_lock(&store->mu);
    bool wanted = store->drop_wanted || garbage;
    lsm_mutex_unlock(&store->mu);
    atomic_store_explicit(&store->stop, true, memory_order_relaxed); /* a merge that runs gives up */
    if (!wanted || lsm_work_claim(store, LSM_WORK_MERGE, NULL, NULL, NULL) != LSM_OK) return;
    struct lsm_error err = {0};
    int status = lsm_store_drop_job(store, &err);
    lsm_work_done(store, LSM_WORK_MERGE, status == LSM_OK ? LSM_WORK_SAYS_NOTHING : status, &err);
}

/* The last process leaves the store as the next one likes to find it. False: what others have written last could not be read, so nobody knows here where the
 * log ends. Needs: nobody else is there, no threads. */
static bool tidy_up(struct lsm_store *store) {
    if (lsm_store_lock_writer(store, 0, NULL) != LSM_OK) return false;
    /* Whoever wrote last is gone: the file's preallocated rest is ours to cut. */
    if (store->resume.number != 0 && lsm_store_check_failed(store, NULL) == LSM_OK &&
        lsm_store_open_log(store, store->state->gens[0], NULL) != LSM_OK) {
        /* It stays longer than it needs to be. */
    }
    lsm_store_unlock_writer(store);
    atomic_store_explicit(&store->stop, false, memory_order_relaxed);
    remove_dropped(store);
    lsm_reserve_fit(store);
    return true;
}

int lsm_store_close(struct lsm_store *store, struct lsm_error *err) {
    if (store == NULL) return LSM_OK;
    /* In a forked child: locks may be held by threads that are not there, and the files are the parent's. The memory is left alone. */
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) return status;
    lsm_background_stop(store);
    bool last = lsm_shared_leave(store) && !store->options.read_only;
    bool at_end = last && tidy_up(store);
    bool failed = lsm_store_check_failed(store, NULL) != LSM_OK;
    if (store->normal_commits) status = failed ? lsm_store_check_failed(store, err) : lsm_store_sync_logs(store, err);
    uint64_t durable = failed ? 0 : lsm_share_synced(store->share);
    if (store->log != NULL) {
        int closed = lsm_wal_writer_close(store->log, at_end && !failed, status == LSM_OK ? err : NULL);
        if (status == LSM_OK) status = closed;
        store->log = NULL;
    }
    if (last) lsm_version_set_seal(&store->set, durable);
    tear_down(store, true);
    return status;
}

const char *lsm_store_dir(const struct lsm_store *store) { return store->dir; }

int lsm_dir_list(struct lsm_env *env, const char *dir, char ***names, size_t *count, struct lsm_error *err) {
    struct lsm_names found = {0};
    size_t bytes = 0;
    *names = NULL;
    *count = 0;
    int status = lsm_env_list(env == NULL ? lsm_env_posix() : env, dir, &found, err);
    if (status != LSM_OK) return status == LSM_NOTFOUND ? LSM_OK : status;
    for (size_t i = 0; i < found.count; i++) bytes += sizeof(char *) + strlen(found.names[i]) + 1;
    char **list = lsm_malloc(bytes), *text = (char *)list;
    if (list != NULL) text += found.count * sizeof *list;
    for (size_t i = 0; i < found.count && list != NULL; i++) {
        size_t size = strlen(found.names[i]) + 1;
        memcpy(text, found.names[i], size);
        list[i] = text;
        text += size;
    }
    *names = list;
    *count = list == NULL ? 0 : found.count;
    status = list == NULL ? lsm_fail_nomem(err, bytes) : LSM_OK;
    lsm_names_free(&found);
    return status;
}
