/* The store among processes: joining and leaving, what the version set asks of them, removing files, reports. */
#include "../env/filename.h"
#include "../sst/sst.h"
#include "follow.h"
#include "store.h"

#include <stdio.h>

enum {
    MANIFEST_PATIENCE_US = 5000000, /* one append and its sync; a process that is stopped in it holds up everybody */
    OPEN_PATIENCE_US = 10000000,    /* others that recover or close */
    CLOSE_PATIENCE_US = 5000000,
    FEW_FILES = 32,            /* so many that others may need are looked at whenever a view is closed, */
    SWEEP_PAUSE_US = 50000,    /* ... more than that not so often */
    LOOK_EVERY_US = 5000000,   /* between two looks for the dead, and for what could not be removed yet */
    BEAT_PATIENCE_US = 4000000 /* a process that works on table files and gives no sign for so long is taken for stopped */
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
    struct lsm_share_options options = {.env = store->env,
                                        .dir = store->dir,
                                        .perm = &store->perm,
                                        .store_id = store->store_id,
                                        .process_name = process_name,
                                        .exclusive = store->options.exclusive,
                                        .detached = store->options.read_only,
                                        .timeout_us = OPEN_PATIENCE_US};
    struct lsm_error local = {0};
    int status = lsm_share_join(&options, &store->share, &local);
    if (status == LSM_READONLY) {
        /* Nothing can be written here, so nobody else writes either, or he does and is not disturbed. */
        store->failed_error = local;
        store->options.read_only = options.detached = true;
        status = lsm_share_join(&options, &store->share, &local);
    }
    if (status != LSM_OK) {
        if (err != NULL) *err = local;
        return status;
    }
    store->alone = lsm_share_exclusive(store->share) != NULL;
    store->version_share = (struct lsm_version_share){.arg = store->share,
                                                      .alone = store->alone,
                                                      .lock = lock_manifest,
                                                      .unlock = unlock_manifest,
                                                      .version = version_of,
                                                      .publish = publish_version,
                                                      .next_file = next_file,
                                                      .peek_next_file = peek_next_file,
                                                      .raise_next_file = raise_next_file,
                                                      .may_remove = may_remove};
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
    bool denied = store->failed_error.text[0] != 0;
    int status = lsm_fail(&why, LSM_READONLY, "%s: the store was opened for reading only%s%s", store->dir, denied ? ": " : "",
                          denied ? store->failed_error.text : "");
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
        /* LCOV_EXCL_BR_LINE: no clock says 0 */
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
    (void)lsm_version_set_sweep(&store->set, SIZE_MAX);
    if (count > FEW_FILES) atomic_store_explicit(&store->next_sweep_us, now + SWEEP_PAUSE_US, memory_order_relaxed);
}

void lsm_store_sweep_soon(struct lsm_store *store) {
    if (atomic_load(&store->set.obsolete_count) == 0) return;
    if (store->options.threads == 0 || store->options.read_only) {
        lsm_store_sweep(store);
        return;
    }
    if (atomic_exchange(&store->sweep_told, true)) return;
    lsm_mutex_lock(&store->mu);
    lsm_cond_signal(&store->work);
    lsm_mutex_unlock(&store->mu);
}

/* What a look through the directory finds out. */
struct look {
    struct lsm_store *store;
    struct lsm_state *state;
    uint64_t bound;  /* table files from here on may be in the making; as of before the state was taken */
    bool unfinished; /* a table file that nobody names, and somebody alive may need: he dies, or it is removed later */
    lsm_stuck_fn stuck;
    void *arg;
};

/* Is it a file that nobody alive has named or will name? */
static bool is_garbage(struct look *look, enum lsm_file_type type, uint64_t number) {
    switch (type) { /* LCOV_EXCL_BR_LINE: the compiler's default */
    case LSM_FILE_TABLE:
        if (lsm_state_names(look->state, number)) return false;
        if (number < look->bound && lsm_share_may_remove(look->store->share, 0, look->state->version->id)) return true;
        look->unfinished = true;
        return false;
    case LSM_FILE_WAL: return number < look->state->version->log_generation;
    case LSM_FILE_MANIFEST: return number < lsm_share_version_manifest(look->state->version->id);
    case LSM_FILE_OTHER:
    case LSM_FILE_CURRENT:
    case LSM_FILE_LOCK:
    case LSM_FILE_SHM:
    case LSM_FILE_RESERVE:
    case LSM_FILE_TEMP: return false;
    }
    return false;
}

static void remove_garbage(struct look *look, const struct lsm_names *names) {
    struct lsm_store *store = look->store;
    for (size_t i = 0; i < names->count; i++) {
        uint64_t number;
        enum lsm_file_type type = lsm_file_parse(names->names[i], &number);
        if (!is_garbage(look, type, number)) continue;
        char *path = lsm_file_path(store->dir, type, number);
        bool foreign = path != NULL && type == LSM_FILE_TABLE && lsm_sst_identify(store->env, path, store->store_id, number, NULL) == LSM_MISMATCH;
        int status = path == NULL || foreign ? LSM_MISMATCH : lsm_env_unlink(store->env, path, NULL);
        /* It does no harm: the next sweep tries again. */
        if (status != LSM_OK && status != LSM_NOTFOUND && type == LSM_FILE_TABLE && look->stuck != NULL) look->stuck(look->arg, names->names[i]);
        lsm_free(path);
    }
}

/* Needs: the writer, so that no transaction is about to name files, and nothing undecided that may. */
static bool sweep_directory(struct look *look) {
    struct lsm_store *store = look->store;
    struct lsm_names names = {0};
    /* In this order: what is being made; then what is named, by an edit that a dead process wrote and did not publish, too; then what is there. */
    look->bound = lsm_share_build_bound(store->share);
    if (lsm_version_set_lock(&store->set, NULL) != LSM_OK) return false;
    lsm_version_set_unlock(&store->set);
    if (lsm_follow(store, NULL) != LSM_OK) return false;
    look->state = lsm_store_ref_state(store);
    bool done = lsm_env_list(store->env, store->dir, &names, NULL) == LSM_OK && look->state->version->id == lsm_share_version(store->share);
    if (done) remove_garbage(look, &names);
    lsm_names_free(&names);
    lsm_state_unref(look->state);
    return done;
}

/* SWEEP does not tell two threads apart. */
static bool claim_sweep(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    bool free = !store->sweeping;
    store->sweeping = true;
    lsm_mutex_unlock(&store->mu);
    return free;
}

bool lsm_shared_sweep_directory(struct lsm_store *store, lsm_stuck_fn stuck, void *arg) {
    struct look look = {.store = store, .stuck = stuck, .arg = arg};
    bool done = false;
    /* While a transaction waits for its database nothing can be swept: not a reason to hold up writers, even for a moment. */
    if (store->alone || lsm_share_undecided(store->share) != UINT64_MAX || !claim_sweep(store)) return false;
    if (lsm_share_lock(store->share, LSM_SHARE_SWEEP, 0, NULL) == LSM_OK) {
        if (lsm_store_lock_writer(store, 0, NULL) == LSM_OK) {
            if (lsm_store_pending(store, NULL) == LSM_PENDING_NONE && lsm_store_check_failed(store, NULL) == LSM_OK) done = sweep_directory(&look);
            lsm_store_unlock_writer(store);
        }
        lsm_share_unlock(store->share, LSM_SHARE_SWEEP);
    }
    uint64_t now = lsm_env_monotonic_us(store->env);
    lsm_mutex_lock(&store->mu);
    store->sweeping = false;
    if (done) store->sweep_wanted = look.unfinished;
    if (look.unfinished) store->sweep_at_us = now + LOOK_EVERY_US;
    lsm_mutex_unlock(&store->mu);
    return done;
}

void lsm_shared_want_sweep(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    store->sweep_wanted = true;
    store->sweep_at_us = 0;
    lsm_mutex_unlock(&store->mu);
}

void lsm_shared_look_for_dead(struct lsm_store *store) {
    if (!store->alone && lsm_share_find_dead(store->share)) lsm_shared_want_sweep(store);
    lsm_mutex_lock(&store->mu);
    store->look_at_us = store->alone ? UINT64_MAX : lsm_env_monotonic_us(store->env) + LOOK_EVERY_US;
    lsm_mutex_unlock(&store->mu);
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
