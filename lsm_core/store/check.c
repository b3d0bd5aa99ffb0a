/* Verify every byte: an "ok" means that all of it was read and found right. */
#include "../compact/job.h"
#include "../env/filename.h"
#include "../version/runs.h"
#include "store.h"

#include <stdarg.h>
#include <stdio.h>

struct check {
    struct lsm_store *store;
    lsm_check_fn found;
    void *found_arg;
    lsm_interrupt_fn interrupted;
    void *arg;
    uint64_t problems;
    int status; /* of the check itself */
    struct lsm_error *err;
    struct lsm_state *state;
};

static void report(struct check *check, const char *format, ...) LSM_PRINTF(2, 3);
static void report(struct check *check, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->problems++;
    if (check->found != NULL) check->found(check->found_arg, text);
}

/* Sort an outcome: a finding, a reason to stop, or nothing. */
static bool outcome(struct check *check, int status, const struct lsm_error *err) {
    if (status == LSM_OK) return true;
    if (status == LSM_INTERRUPTED || status == LSM_NOMEM || status == LSM_BUSY) {
        check->status = status;
        if (check->err != NULL) *check->err = *err;
        return false;
    }
    report(check, "%s", err->text);
    return true;
}

static bool check_table(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct check *check = arg;
    struct lsm_error err = {0};
    struct lsm_sst *sst = NULL;
    (void)level;
    (void)run;
    /* A reader of its own: what is wrong with index or filter on disk must show, though an older open has them right in memory. */
    char *path = lsm_file_path(check->store->dir, LSM_FILE_TABLE, meta->number);
    if (path == NULL) return outcome(check, lsm_fail_nomem(&err, 0), &err);
    int status = lsm_sst_open(check->store->env, path, check->store->store_id, meta, NULL, &sst, &err);
    if (status == LSM_OK) status = lsm_sst_verify(sst, check->interrupted, check->arg, &err);
    lsm_sst_close(sst);
    lsm_free(path);
    return outcome(check, status, &err);
}

static void check_tables(struct check *check) {
    lsm_version_each(check->state->version, check_table, check);
    for (size_t i = 0; i < check->state->gens_count && check->status == LSM_OK; i++) {
        if (check->state->gens[i]->files != NULL) lsm_version_each(check->state->gens[i]->files, check_table, check);
    }
}

/* Nothing but the present state pins table files: what it does not name should not be there. */
static bool is_alone(const struct check *check) {
    int versions = 1;
    struct lsm_share_process *processes = NULL;
    size_t count = 0;
    if (!check->store->alone && lsm_share_list(check->store->share, &processes, &count, NULL) != LSM_OK) return false;
    lsm_free(processes);
    if (count > 1) return false;
    if (atomic_load_explicit(&check->store->spilling, memory_order_relaxed)) return false;
    for (size_t i = 0; i < check->state->gens_count; i++) versions += check->state->gens[i]->files != NULL;
    lsm_mutex_lock(&check->store->mu);
    versions += check->store->pending.seal.files != NULL && !check->store->pending.seal.installed;
    lsm_mutex_unlock(&check->store->mu);
    return atomic_load_explicit(&check->store->set.live_versions, memory_order_acquire) == versions;
}

/* Only now: another thread may have let go of the last old version a moment ago, and not have come to remove its files. None is added any more. */
static bool nothing_waits(struct lsm_store *store) {
    (void)lsm_version_set_sweep(&store->set, SIZE_MAX);
    return atomic_load_explicit(&store->set.obsolete_count, memory_order_relaxed) == 0;
}

/* The manifest on disk says what memory says. */
struct manifest_check {
    struct lsm_version *version;
};

static int replay_edit(void *arg, struct lsm_edit *edit, struct lsm_error *err) {
    struct manifest_check *check = arg;
    struct lsm_version *next = NULL;
    int status = lsm_version_apply(check->version, edit, &next, err);
    if (status != LSM_OK) return status;
    /* LCOV_EXCL_BR_LINE: nobody else has one that was just made */
    if (check->version != NULL && lsm_version_unref(check->version)) lsm_version_destroy(check->version);
    check->version = next;
    return LSM_OK;
}

/* Needs: a set that is not uncertain. */
static void compare_manifest(struct check *check, const struct lsm_version_set *set, const struct lsm_manifest_found *found,
                             const struct lsm_version *replayed) {
    const struct lsm_version *current = set->current;
    uint64_t number = lsm_share_version_manifest(current->id), bytes = lsm_share_version_bytes(current->id);
    /* Over a record that a dead process has left half written the next edit begins a new manifest. */
    if (found->torn && set->manifest != NULL)
        report(check, "%s: MANIFEST-%08llu ends in a torn record", check->store->dir, (unsigned long long)found->number);
    if (found->number != number || found->bytes != bytes)
        report(
            check,
            "%s: MANIFEST-%08llu on disk ends at offset %llu, but MANIFEST-%08llu was written up to offset %llu: it was set back while the store is "
            "open; the next flush or merge writes it anew",
            check->store->dir, (unsigned long long)found->number, (unsigned long long)found->bytes, (unsigned long long)number,
            (unsigned long long)bytes);
    else if (replayed == NULL || replayed->files != current->files || replayed->bytes != current->bytes)
        report(check, "%s: the manifest on disk describes other table files than the store is using; close the store and open it again",
               check->store->dir);
}

static void check_manifest(struct check *check) {
    struct lsm_store *store = check->store;
    struct manifest_check replay = {0};
    struct lsm_manifest_found found = {0};
    struct lsm_error err = {0};
    /* No other process appends meanwhile, and what others have appended is known. Who cannot write stands where the manifest was when he came. */
    bool follows = !store->options.read_only;
    int status = follows ? lsm_version_set_lock(&store->set, &err) : LSM_OK;
    if (!outcome(check, status, &err) || status != LSM_OK) return;
    status = lsm_manifest_replay(store->env, store->dir, store->store_id, replay_edit, &replay, &found, &err);
    if (outcome(check, status, &err) && status == LSM_OK && follows && !store->set.uncertain)
        compare_manifest(check, &store->set, &found, replay.version);
    if (follows) lsm_version_set_unlock(&store->set);
    if (replay.version != NULL && lsm_version_unref(replay.version)) lsm_version_destroy(replay.version); /* LCOV_EXCL_BR_LINE: the same */
}

/* Do the operations of the record's transaction, if it has one, make sense? */
static bool decodes(const struct lsm_wal_record *record) {
    bool prepare = record->kind == LSM_WAL_PREPARE, runs = record->kind == LSM_WAL_RUNS;
    if (record->kind != LSM_WAL_TXN && !prepare && !runs) return true;
    size_t skip = prepare ? LSM_TOKEN_BYTES : 0;
    struct lsm_runs decoded = {0};
    if (record->payload.size < skip || (runs && lsm_runs_decode(record->payload, &decoded, NULL) != LSM_OK)) return false;
    struct lsm_batch_reader batch = {.batch = runs ? decoded.batch : lsm_slice_of(record->payload.data + skip, record->payload.size - skip)};
    struct lsm_op op;
    int status;
    lsm_edit_release(&decoded.edit);
    while ((status = lsm_batch_next(&batch, &op)) == LSM_OK) {}
    return status == LSM_NOTFOUND;
}

/* Every record verifies, decodes and chains. Needs: the claim of flushes, which remove logs, and for the newest log (is_writer) the writer, so that
 * it stands still. */
static void check_logs(struct check *check, bool is_writer) {
    struct lsm_store *store = check->store;
    struct lsm_error err = {0};
    uint64_t first = 0, last = 0, position = UINT64_MAX, end;
    for (size_t i = check->state->gens_count; i-- > (is_writer ? 0 : 1);) {
        const struct lsm_gen *gen = check->state->gens[i];
        if (gen->first_log != 0 && first == 0) {
            first = gen->first_log;
            position = gen->start;
        }
        if (gen->last_log != 0) last = gen->last_log;
    }
    end = !is_writer ? 0 : store->log == NULL ? store->log_end : lsm_wal_writer_end(store->log);
    for (uint64_t number = first; number != 0 && number <= last; number++) {
        struct lsm_wal_reader *reader = NULL;
        int status = lsm_wal_reader_open(store->env, store->dir, store->store_id, number, &reader, &err);
        if (status == LSM_NOTFOUND) continue; /* a number whose file could not be made; a file that is missing shows in the positions */
        if (!outcome(check, status, &err) || status != LSM_OK) return;
        /* Whoever made it died before it had a header: it was passed by. If there was one, the positions show that, too; but not of the last file while a
         * transaction is open. */
        if (reader == NULL) continue;
        if (lsm_wal_reader_start(reader) != position) {
            report(check, "%s: log file %08llu.wal does not follow its predecessor", store->dir, (unsigned long long)number);
            lsm_wal_reader_close(reader);
            return;
        }
        struct lsm_wal_record record;
        while ((status = lsm_wal_reader_next(reader, 0, &record, &err)) == LSM_OK) {
            if (!decodes(&record))
                report(check, "%s: log position %llu: a transaction that does not decode", store->dir, (unsigned long long)record.position);
        }
        position = lsm_wal_reader_end(reader);
        lsm_wal_reader_close(reader);
        if (status != LSM_NOTFOUND && !outcome(check, status, &err)) return;
    }
    if (position != UINT64_MAX && position < end)
        report(check, "%s: the log on disk ends at position %llu, but %llu was written; rows since the last flush are only in memory: flush now",
               store->dir, (unsigned long long)position, (unsigned long long)end);
}

/* Not if a transaction of another thread has begun to write files of its own since they were listed, or has taken them back. */
static bool is_still_left(const struct check *check, uint64_t number) {
    bool exists = true;
    char *path = lsm_file_path(check->store->dir, LSM_FILE_TABLE, number);
    if (path != NULL && lsm_env_exists(check->store->env, path, &exists, NULL) != LSM_OK) exists = true;
    lsm_free(path);
    return exists && is_alone(check);
}

/* No file that the state names is missing (opening them has shown that), and none is there that was left over by a finished merge. */
static void check_leftovers(struct check *check, bool swept) {
    struct lsm_store *store = check->store;
    struct lsm_names names = {0};
    struct lsm_error err = {0};
    int status = lsm_env_list(store->env, store->dir, &names, &err);
    if (!outcome(check, status, &err) || status != LSM_OK) return;
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        enum lsm_file_type type = lsm_file_parse(names.names[i], &number);
        if (type == LSM_FILE_OTHER) report(check, "%s/%s: not a file of the store; move it elsewhere", store->dir, names.names[i]);
        /* Where nothing is written, or no sweep could be made (another thread is at it, a transaction is open), it may be in the making by somebody else, or wait for
         * one who removes it. */
        if (type != LSM_FILE_TABLE || store->options.read_only || !(swept || store->alone)) continue;
        if (!lsm_state_names(check->state, number) && !lsm_pending_names(store, number) && is_still_left(check, number))
            report(check, "%s/%s: a table file that nothing names; it goes when the store is opened again", store->dir, names.names[i]);
    }
    lsm_names_free(&names);
}

/* What the dead have left goes when it is found; what does not go is a finding. */
static void report_stuck(void *arg, const char *name) {
    struct check *check = arg;
    report(check, "%s/%s: a table file that nothing names, and that cannot be removed; remove it by hand", check->store->dir, name);
}

/* Nothing is merged or flushed meanwhile, by other processes either, so that what is on disk can be held against what should be. */
static void check_at_rest(struct check *check) {
    struct lsm_store *store = check->store;
    check->state = lsm_store_ref_state(store);
    check_manifest(check);
    lsm_state_unref(check->state);
    if (check->status != LSM_OK) return;
    struct lsm_shared_work flush, merge;
    if (lsm_shared_begin_work(store, LSM_WORK_FLUSH, &flush, NULL) != LSM_OK) return;
    bool quiet = lsm_shared_begin_work(store, LSM_WORK_MERGE, &merge, NULL) == LSM_OK;
    bool swept = quiet && lsm_shared_sweep_directory(store, NULL, NULL), alone = false;
    if (quiet && lsm_follow(store, NULL) == LSM_OK) {
        /* A transaction that is open (the caller's own, perhaps) leaves out the newest log. */
        bool is_writer = lsm_store_lock_writer(store, 0, NULL) == LSM_OK;
        check->state = lsm_store_ref_state(store);
        alone = is_alone(check) && nothing_waits(store);
        if (alone) check_leftovers(check, swept);
        if (check->status == LSM_OK) check_logs(check, is_writer);
        lsm_state_unref(check->state);
        if (is_writer) lsm_store_unlock_writer(store);
    }
    if (swept && !alone && !lsm_shared_sweep_directory(store, report_stuck, check)) { /* Others are in the way now: nothing can be said. */
    }
    if (quiet) lsm_shared_end_work(store, &merge);
    lsm_shared_end_work(store, &flush);
}

int lsm_store_check(struct lsm_store *store, lsm_check_fn found, void *found_arg, lsm_interrupt_fn interrupted, void *arg, uint64_t *problems,
                    struct lsm_error *err) {
    struct check check = {.store = store, .found = found, .found_arg = found_arg, .interrupted = interrupted, .arg = arg, .err = err};
    struct lsm_share_pin pin;
    *problems = 0;
    int status = lsm_store_guard(store, err);
    if (status == LSM_OK) status = lsm_follow_if_behind(store, err);
    if (status == LSM_OK) status = lsm_store_use_state(store, &check.state, &pin, NULL, err);
    if (status != LSM_OK) return status;
    /* The long part holds up nobody: the state keeps its files. */
    check_tables(&check);
    lsm_store_unuse_state(store, check.state, &pin);
    *problems = check.problems;
    if (check.status != LSM_OK) return check.status;
    status = lsm_work_claim(store, LSM_WORK_MERGE, interrupted, arg, err);
    if (status != LSM_OK) return status;
    status = lsm_work_claim(store, LSM_WORK_FLUSH, interrupted, arg, err);
    if (status == LSM_OK) {
        check_at_rest(&check);
        status = check.status;
        lsm_work_done(store, LSM_WORK_FLUSH, LSM_INTERRUPTED, NULL);
    }
    lsm_work_done(store, LSM_WORK_MERGE, LSM_INTERRUPTED, NULL);
    *problems = check.problems;
    return status;
}
