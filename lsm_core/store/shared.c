/* The store among processes: joining and leaving, what the version set asks of them, removing files, reports. */
#include "../env/filename.h"
#include "../sst/sst.h"
#include "follow.h"
#include "store.h"

#include <stdio.h>

enum {
    MANIFEST_PATIENCE_US = 5000000,   /* one append and its sync; a process that is stopped in it holds up everybody */
    OPEN_PATIENCE_US = 10000000,      /* others that recover or close */
    CLOSE_PATIENCE_US = 5000000,
    FEW_FILES = 32,                   /* so many that others may need are looked at whenever a view is closed, */
    SWEEP_PAUSE_US = 50000,           /* ... more than that not so often */
    BEAT_PATIENCE_US = 4000000        /* a process that works on table files and gives no sign for so long is taken for stopped */
};

/* ---- what the version set asks ------------------------------------------------------------------------------------------ */

static int lock_manifest(void *arg, struct lsm_error *err) { return lsm_share_lock(arg, LSM_SHARE_MANIFEST, MANIFEST_PATIENCE_US, err); }
static void unlock_manifest(void *arg) { lsm_share_unlock(arg, LSM_SHARE_MANIFEST); }
static uint64_t version_of(void *arg) { return lsm_share_version(arg); }
static void publish_version(void *arg, uint64_t version) { lsm_share_set_version(arg, version); }
static uint64_t next_file(void *arg) { return lsm_share_next_file(arg); }
static uint64_t peek_next_file(void *arg) { return lsm_share_peek_next_file(arg); }
static void raise_next_file(void *arg, uint64_t least) { lsm_share_raise_next_file(arg, least); }
static bool may_remove(void *arg, uint64_t added_at, uint64_t removed_at) { return lsm_share_may_remove(arg, added_at, removed_at); }

/* ---- joining and leaving ---------------------------------------------------------------------------------------------------- */

int lsm_shared_join(struct lsm_store *store, const char *process_name, struct lsm_error *err) {
    struct lsm_share_options options = {.env = store->env, .dir = store->dir, .perm = &store->perm, .store_id = store->store_id, .process_name = process_name,
                                        .exclusive = store->options.exclusive, .detached = store->options.read_only, .timeout_us = OPEN_PATIENCE_US};
    struct lsm_error local = {0};
    int status = lsm_share_join(&options, &store->share, &local);
    if (status == LSM_READONLY) {
        /* Nothing can be written here, so nobody else writes either, or he does and is not disturbed. */
        store->options.read_only = options.detached = true;
        status = lsm_share_join(&options, &store->share, &local);
    }
    if (status != LSM_OK) {
        if (err != NULL) *err = local;
        return status;
    }
    store->alone = lsm_share_exclusive(store->share) != NULL;
    store->version_share = (struct lsm_version_share){.arg = store->share, .alone = store->alone, .lock = lock_manifest, .unlock = unlock_manifest,
                                                      .version = version_of, .publish = publish_version, .next_file = next_file,
                                                      .peek_next_file = peek_next_file, .raise_next_file = raise_next_file, .may_remove = may_remove};
    lsm_share_raise_next_file(store->share, 1);
    return LSM_OK;
}

void lsm_shared_fill(struct lsm_store *store) {
    uint64_t visible = atomic_load_explicit(&store->published, memory_order_relaxed);
    lsm_share_set_version(store->share, store->set.current->id);
    lsm_share_publish(store->share, visible);
    lsm_share_set_synced(store->share, store->replay.position);
    lsm_share_set_undecided(store->share, store->pending.state == LSM_PENDING_UNKNOWN ? store->pending.end : UINT64_MAX);
    lsm_share_append_end(store->share, store->replay.position);
}

struct freeze {
    struct lsm_store *store;
    int status;
    struct lsm_error *err;
};

static bool open_table(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct freeze *freeze = arg;
    struct lsm_sst *sst = NULL;
    (void)level;
    (void)run;
    freeze->status = lsm_version_set_table(&freeze->store->set, meta, &sst, freeze->err);
    return freeze->status == LSM_OK;
}

int lsm_shared_freeze(struct lsm_store *store, struct lsm_error *err) {
    struct freeze freeze = {.store = store, .err = err};
    struct lsm_error why;
    const struct lsm_state *state = store->state;
    lsm_version_each(state->version, open_table, &freeze);
    for (size_t i = 0; i < state->gens_count && freeze.status == LSM_OK; i++)
        if (state->gens[i]->files != NULL) lsm_version_each(state->gens[i]->files, open_table, &freeze);
    int status = lsm_fail(&why, LSM_READONLY, "%s: the store was opened for reading only", store->dir);
    (void)status;
    lsm_store_set_failed(store, &why);
    return freeze.status;
}

bool lsm_shared_leave(struct lsm_store *store) { return lsm_share_leave(store->share, CLOSE_PATIENCE_US); }

/* ---- work that one process does for all ------------------------------------------------------------------------------------- */

static enum lsm_share_lock lock_of(enum lsm_work work) { return work == LSM_WORK_FLUSH ? LSM_SHARE_FLUSH : LSM_SHARE_MERGE; }

int lsm_shared_begin_work(struct lsm_store *store, enum lsm_work work, struct lsm_shared_work *shared, struct lsm_error *err) {
    struct lsm_beat *beat = &store->beats[work];
    *shared = (struct lsm_shared_work){.work = work};
    int status = lsm_share_lock(store->share, lock_of(work), 0, err);
    shared->locked = status == LSM_OK;
    if (status == LSM_BUSY) {
        /* Whoever has it may be stopped. What he does then is found out when he is done: his edit will not fit any more. */
        uint64_t beats = lsm_share_beats(store->share, lock_of(work)), now = lsm_env_monotonic_us(store->env);
        if (beat->seen_at_us == 0 || beats != beat->beats) *beat = (struct lsm_beat){.beats = beats, .seen_at_us = now == 0 ? 1 : now};
        if (now - beat->seen_at_us < BEAT_PATIENCE_US) return LSM_WORK_ELSEWHERE;
        status = LSM_OK;
    }
    if (status != LSM_OK) return status;
    if (shared->locked) beat->seen_at_us = 0;
    lsm_share_build_begin(store->share, &shared->build);
    return LSM_OK;
}

void lsm_shared_end_work(struct lsm_store *store, struct lsm_shared_work *shared) {
    lsm_share_build_end(store->share, &shared->build);
    if (shared->locked) lsm_share_unlock(store->share, lock_of(shared->work));
    shared->locked = false;
}

bool lsm_flush_cancelled(void *arg) {
    struct lsm_store *store = arg;
    lsm_share_beat(store->share, LSM_SHARE_FLUSH);
    return lsm_store_cancelled(store);
}

bool lsm_merge_cancelled(void *arg) {
    struct lsm_store *store = arg;
    lsm_share_beat(store->share, LSM_SHARE_MERGE);
    return lsm_store_cancelled(store);
}

/* ---- removing files ------------------------------------------------------------------------------------------------------------ */

void lsm_store_sweep(struct lsm_store *store) {
    int count = atomic_load_explicit(&store->set.obsolete_count, memory_order_relaxed);
    if (count == 0) return;
    uint64_t now = count > FEW_FILES ? lsm_env_monotonic_us(store->env) : 0;
    if (count > FEW_FILES && now < atomic_load_explicit(&store->next_sweep_us, memory_order_relaxed)) return;
    lsm_version_set_sweep(&store->set);
    if (count > FEW_FILES) atomic_store_explicit(&store->next_sweep_us, now + SWEEP_PAUSE_US, memory_order_relaxed);
}

/* Is it a file that nobody alive has named or will name? bound: as of before the state was taken. */
static bool is_garbage(struct lsm_store *store, const struct lsm_state *state, enum lsm_file_type type, uint64_t number, uint64_t bound) {
    switch (type) {
    case LSM_FILE_TABLE:
        return number < bound && !lsm_state_names(state, number) && lsm_share_may_remove(store->share, 0, state->version->id);
    case LSM_FILE_WAL: return number < state->version->log_generation;
    case LSM_FILE_MANIFEST: return number < lsm_share_version_manifest(state->version->id);
    case LSM_FILE_OTHER:
    case LSM_FILE_CURRENT:
    case LSM_FILE_LOCK:
    case LSM_FILE_SHM:
    case LSM_FILE_TEMP: return false;
    }
    return false;
}

static void remove_garbage(struct lsm_store *store, const struct lsm_state *state, const struct lsm_names *names, uint64_t bound) {
    for (size_t i = 0; i < names->count; i++) {
        uint64_t number;
        enum lsm_file_type type = lsm_file_parse(names->names[i], &number);
        if (!is_garbage(store, state, type, number, bound)) continue;
        char *path = lsm_file_path(store->dir, type, number);
        bool foreign = path != NULL && type == LSM_FILE_TABLE && lsm_sst_identify(store->env, path, store->store_id, number, NULL) == LSM_MISMATCH;
        if (path != NULL && !foreign && lsm_env_unlink(store->env, path, NULL) != LSM_OK) {
            /* It does no harm: the next sweep tries again. */
        }
        lsm_free(path);
    }
}

/* Needs: the writer, so that no transaction is about to name files, and nothing undecided that may. */
static void sweep_directory(struct lsm_store *store) {
    struct lsm_names names = {0};
    /* In this order: what is being made; then what is named, by an edit that a dead process wrote and did not publish, too; then what is there. */
    uint64_t bound = lsm_share_build_bound(store->share);
    if (lsm_version_set_lock(&store->set, NULL) != LSM_OK) return;
    lsm_version_set_unlock(&store->set);
    if (lsm_follow(store, NULL) != LSM_OK) return;
    struct lsm_state *state = lsm_store_ref_state(store);
    if (lsm_env_list(store->env, store->dir, &names, NULL) == LSM_OK && state->version->id == lsm_share_version(store->share))
        remove_garbage(store, state, &names, bound);
    lsm_names_free(&names);
    lsm_state_unref(state);
}

void lsm_shared_sweep_directory(struct lsm_store *store) {
    if (store->alone || lsm_share_lock(store->share, LSM_SHARE_SWEEP, 0, NULL) != LSM_OK) return;
    if (lsm_store_lock_writer(store, 0, NULL) == LSM_OK) {
        if (lsm_store_pending(store, NULL) == LSM_PENDING_NONE && lsm_store_check_failed(store, NULL) == LSM_OK) {
            atomic_store_explicit(&store->sweep_wanted, false, memory_order_relaxed);
            sweep_directory(store);
        }
        lsm_store_unlock_writer(store);
    }
    lsm_share_unlock(store->share, LSM_SHARE_SWEEP);
}

/* ---- reports -------------------------------------------------------------------------------------------------------------------- */

enum lsm_mode lsm_store_mode(const struct lsm_store *store, const char **why) {
    const char *reason = lsm_share_exclusive(store->share);
    if (why != NULL) *why = reason == NULL ? "" : reason;
    if (store->options.read_only) return LSM_MODE_READ_ONLY;
    return reason == NULL ? LSM_MODE_SHARED : LSM_MODE_EXCLUSIVE;
}

static void fill_reader(struct lsm_store *store, const struct lsm_share_process *process, struct lsm_reader_info *info) {
    uint64_t present = lsm_share_version(store->share), now = lsm_env_now_us(store->env);
    *info = (struct lsm_reader_info){.pid = process->pid, .own = process->own, .opened_at_us = process->opened_at_us, .views = process->pinned};
    (void)snprintf(info->name, sizeof info->name, "%s", process->name);
    info->versions = (int)process->versions_count;
    for (size_t i = 0; i < process->versions_count; i++)
        if (process->versions[i].version < present) info->old_versions++;
    if (process->oldest_us != 0 && process->oldest_us < now) info->oldest_view_us = now - process->oldest_us;
}

int lsm_store_readers(struct lsm_store *store, struct lsm_reader_info **readers, size_t *count, struct lsm_error *err) {
    struct lsm_share_process *processes = NULL;
    *readers = NULL;
    *count = 0;
    int status = lsm_store_guard(store, err);
    size_t found = 0;
    if (status == LSM_OK) status = lsm_share_list(store->share, &processes, &found, err);
    if (status != LSM_OK) return status;
    *readers = lsm_calloc(found, sizeof **readers);
    if (*readers == NULL) status = lsm_fail_nomem(err, found * sizeof **readers);
    for (size_t i = 0; i < found && status == LSM_OK; i++) fill_reader(store, &processes[i], &(*readers)[(*count)++]);
    lsm_free(processes);
    return status;
}
