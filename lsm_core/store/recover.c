/* Recovery: the log from where the manifest says to its end.
 *
 * Which files, and where the log ends:
 * - A file belongs to the log if it starts at the position where what was read so far ends, and repeats the last record's checksum. Others are
 *   leftovers: numbers are used again, and a file whose removal was not durable can come back after a power cut.
 * - At such a position the newer file is followed, whatever may stand behind it in the older one: that was cut off by an earlier recovery.
 * - The log ends at the first record that does not verify and chain, when no file follows.
 * - If that leaves out a position that any record, of whatever file, knew to be durable, it is damage, not an end.
 * - The newest file may be empty or half-written: it was being made when the power went.
 */
#include "recover.h"

#include "../env/filename.h"
#include "../sst/sst.h"
#include "../wal/chain.h"

#include <stdlib.h>

/* ---- finding the files ------------------------------------------------------------------------------------------------------- */

struct logs {
    uint64_t *numbers;               /* ascending */
    struct lsm_wal_reader **readers; /* NULL: no header */
    size_t count;
};

static int by_number(const void *a_void, const void *b_void) {
    uint64_t a = *(const uint64_t *)a_void, b = *(const uint64_t *)b_void;
    return a < b ? -1 : a > b;
}

static void release_logs(struct logs *logs) {
    for (size_t i = 0; i < logs->count && logs->readers != NULL; i++) lsm_wal_reader_close(logs->readers[i]);
    lsm_free(logs->readers);
    lsm_free(logs->numbers);
}

static int list_logs(struct lsm_store *store, struct logs *logs, struct lsm_error *err) {
    struct lsm_names names = {0};
    int status = lsm_env_list(store->env, store->dir, &names, err);
    if (status != LSM_OK) return status;
    logs->numbers = lsm_calloc(names.count, sizeof *logs->numbers);
    logs->readers = lsm_calloc(names.count, sizeof(struct lsm_wal_reader *));
    if (logs->numbers == NULL || logs->readers == NULL) status = lsm_fail_nomem(err, names.count * sizeof *logs->numbers);
    for (size_t i = 0; i < names.count && status == LSM_OK; i++) {
        uint64_t number;
        if (lsm_file_parse(names.names[i], &number) != LSM_FILE_WAL) continue;
        if (number >= store->set.log_generation) logs->numbers[logs->count++] = number;
    }
    lsm_names_free(&names);
    if (status == LSM_OK && logs->count > 1) qsort(logs->numbers, logs->count, sizeof *logs->numbers, by_number);
    return status;
}

/* Open all, up to the first that never got its header. That one and what follows hold nothing durable, or the chain of positions shows it. */
static int open_logs(struct lsm_store *store, struct logs *logs, struct lsm_error *err) {
    size_t all = logs->count;
    logs->count = 0;
    for (size_t i = 0; i < all; i++) {
        int status = lsm_wal_reader_open(store->env, store->dir, store->store_id, logs->numbers[i], &logs->readers[i], err);
        if (status != LSM_OK) return status;
        if (logs->readers[i] == NULL) continue;
        logs->readers[logs->count] = logs->readers[i];
        logs->numbers[logs->count++] = logs->numbers[i];
    }
    return LSM_OK;
}

/* ---- reading them ------------------------------------------------------------------------------------------------------------ */

static int damaged(const struct lsm_replay *replay, uint64_t position, const char *what, struct lsm_error *err) {
    return lsm_fail(err, LSM_CORRUPT, "%s: log position %llu: %s; restore the store from a backup or salvage what is whole", replay->store->dir,
                    (unsigned long long)position, what);
}

/* Everything that a later generation says to be durable. */
static int max_synced(struct lsm_wal_reader *reader, uint64_t *synced, struct lsm_error *err) {
    struct lsm_wal_record record;
    int status;
    while ((status = lsm_wal_reader_next(reader, 0, &record, err)) == LSM_OK)
        if (record.synced > *synced) *synced = record.synced;
    return status == LSM_NOTFOUND ? LSM_OK : status;
}

/* The file that goes on where the log ends now, or SIZE_MAX. */
static size_t follower(const struct lsm_replay *replay, const struct logs *logs, size_t from) {
    for (size_t i = from; i < logs->count; i++) {
        const struct lsm_wal_reader *reader = logs->readers[i];
        if (lsm_wal_reader_start(reader) != replay->position) continue;
        /* The manifest does not keep the checksum of the last record it covers: the first file is known by its position. */
        if (replay->check == 0 || lsm_wal_reader_prev_check(reader) == replay->check) return i;
    }
    return SIZE_MAX;
}

/* The records of one file, until another follows or none is left. */
static int replay_log(struct lsm_replay *replay, const struct logs *logs, size_t at, struct lsm_error *err) {
    struct lsm_wal_reader *reader = logs->readers[at];
    struct lsm_wal_record record;
    int status = lsm_replay_enter_file(replay, logs->numbers[at], err);
    replay->check = lsm_wal_reader_prev_check(reader);
    while (status == LSM_OK && follower(replay, logs, at + 1) == SIZE_MAX) {
        status = lsm_wal_reader_next(reader, replay->synced, &record, err);
        if (status == LSM_OK) status = lsm_replay_record(replay, &record, err);
    }
    return status == LSM_NOTFOUND ? LSM_OK : status;
}

/* Files that do not belong to the log: what they say was durable must be in it, or it has lost its end. */
static int check_leftover(struct lsm_replay *replay, const struct logs *logs, const bool *used, struct lsm_error *err) {
    uint64_t synced = replay->synced;
    for (size_t i = 0; i < logs->count; i++) {
        int status = used[i] ? LSM_OK : max_synced(logs->readers[i], &synced, err);
        if (status != LSM_OK) return status;
    }
    if (synced <= replay->position) return LSM_OK;
    return damaged(replay, replay->position, "the log ends here, but more of it was durable: a log file is missing or cut short", err);
}

/* Where in its file the part of the log begins that nobody knew to be durable. */
static uint64_t unsure_from(const struct lsm_wal_reader *reader, uint64_t synced) {
    uint64_t start = lsm_wal_reader_start(reader), end = lsm_wal_reader_end(reader);
    if (synced <= start) return 0;
    return LSM_WAL_HEADER_BYTES + (synced < end ? synced : end) - start;
}

/* Records that the power cut has taken the one before from would be records again behind one that is like it, and by a clock that begins anew with each
 * start of the machine it may be. */
static int cut_behind(struct lsm_file *file, uint64_t end, struct lsm_error *err) {
    uint64_t size = 0;
    int status = lsm_file_size(file, &size, err);
    if (status == LSM_OK && size > end) status = lsm_file_truncate(file, end, err);
    return status;
}

/* Make durable what was read but may only be in the system's cache, and that it ends there: commits to come build on it. */
static int sync_replayed(struct lsm_replay *replay, const struct logs *logs, const bool *used, size_t last, struct lsm_error *err) {
    struct lsm_store *store = replay->store;
    int status = LSM_OK;
    bool any = false;
    for (size_t i = 0; i < logs->count && status == LSM_OK; i++) {
        struct lsm_file *file = NULL;
        if (!used[i]) continue;
        any = true;
        char *path = lsm_file_path(store->dir, LSM_FILE_WAL, logs->numbers[i]);
        if (path == NULL) return lsm_fail_nomem(err, 0);
        status = lsm_env_open(store->env, path, LSM_OPEN_READ | LSM_OPEN_WRITE, NULL, &file, err);
        const struct lsm_wal_reader *reader = logs->readers[i];
        uint64_t to = LSM_WAL_HEADER_BYTES + lsm_wal_reader_end(reader) - lsm_wal_reader_start(reader);
        if (status == LSM_OK) status = lsm_chain_rewrite(file, unsure_from(reader, replay->synced), to, err);
        if (status == LSM_OK && i == last && !replay->ended) status = cut_behind(file, to, err);
        if (status == LSM_OK || (status == LSM_FULL && file != NULL)) status = lsm_file_sync(file, err);
        lsm_file_close(file);
        lsm_free(path);
    }
    if (status == LSM_OK && any) status = lsm_env_sync_dir(store->env, store->dir, err);
    return status;
}

/* Follow the log from file to file. *last: the file it ends in, SIZE_MAX if there is none. */
static int replay_all(struct lsm_replay *replay, struct logs *logs, bool *used, size_t *last, struct lsm_error *err) {
    int status = LSM_OK;
    *last = SIZE_MAX;
    for (size_t at = follower(replay, logs, 0); at != SIZE_MAX && status == LSM_OK; at = follower(replay, logs, at + 1)) {
        used[at] = true;
        *last = at;
        status = replay_log(replay, logs, at, err);
    }
    /* What is there whole is committed, unless its database is to say so. */
    if (status == LSM_OK) status = lsm_replay_settle(replay, replay->undecided ? replay->txn_position : replay->position, err);
    if (status == LSM_OK) status = check_leftover(replay, logs, used, err);
    return status;
}

int lsm_recover_log(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_replay *replay = &store->replay;
    struct logs logs = {0};
    bool *used = NULL;
    size_t last = SIZE_MAX;
    lsm_replay_init(replay, store);
    replay->synced = store->set.log_durable > store->set.log_position ? store->set.log_durable : store->set.log_position;
    store->has_token = store->set.has_token;
    memcpy(store->token, store->set.token, sizeof store->token);
    int status = list_logs(store, &logs, err);
    if (status == LSM_OK) status = open_logs(store, &logs, err);
    if (status == LSM_OK) {
        used = lsm_calloc(logs.count, sizeof *used);
        status = used == NULL ? lsm_fail_nomem(err, logs.count) : replay_all(replay, &logs, used, &last, err);
    }
    if (status == LSM_OK && !store->options.read_only) status = sync_replayed(replay, &logs, used, last, err);
    if (status != LSM_OK) goto out;
    /* What is behind is discarded and removed; its numbers are used again. */
    store->next_log = last == SIZE_MAX ? store->set.log_generation : logs.numbers[last] + 1;
    if (last != SIZE_MAX && !replay->ended) {
        store->resume.number = logs.numbers[last];
        store->resume.start = lsm_wal_reader_start(logs.readers[last]);
    }
    store->log_end = store->log_synced = replay->position;
    store->log_check = replay->check;
    store->applied = replay->position;
    atomic_store_explicit(&store->published, replay->undecided ? replay->txn_position : replay->position, memory_order_release);
    /* All of it is durable, but others may go on in the last file. */
    if (last != SIZE_MAX && !store->alone) status = lsm_spans_note(store, logs.numbers[last], lsm_wal_reader_start(logs.readers[last]), err);
    /* Whether it is full is looked at with the next commit. */
    store->state->gens[0]->unmeasured = store->options.write_buffer_bytes;
out:
    lsm_free(used);
    release_logs(&logs);
    return status;
}

/* ---- leftovers ----------------------------------------------------------------------------------------------------------------- */

static bool is_leftover(struct lsm_store *store, enum lsm_file_type type, uint64_t number) {
    switch (type) { /* LCOV_EXCL_BR_LINE: the compiler's default */
    case LSM_FILE_TEMP: return true;
    case LSM_FILE_WAL: return number < store->set.log_generation || number >= store->next_log;
    case LSM_FILE_MANIFEST: return store->set.manifest != NULL && number != lsm_manifest_number(store->set.manifest);
    case LSM_FILE_TABLE: return !lsm_state_names(store->state, number) && !lsm_pending_names(store, number);
    case LSM_FILE_OTHER:
    case LSM_FILE_CURRENT:
    case LSM_FILE_LOCK:
    case LSM_FILE_SHM:
    case LSM_FILE_RESERVE: return false;
    }
    return false;
}

int lsm_recover_check_manifest(struct lsm_store *store, struct lsm_error *err) {
    uint64_t said = lsm_share_left_version(store->share), found = store->state->version->id;
    struct lsm_names names = {0};
    if (said <= found) return LSM_OK;
    int status = lsm_env_list(store->env, store->dir, &names, err);
    for (size_t i = 0; i < names.count && status == LSM_OK; i++) {
        uint64_t number;
        enum lsm_file_type type = lsm_file_parse(names.names[i], &number);
        if (type != LSM_FILE_TABLE || !is_leftover(store, type, number)) continue;
        char *path = lsm_file_path(store->dir, type, number);
        if (path != NULL && lsm_sst_identify(store->env, path, store->store_id, number, NULL) == LSM_OK)
            status = lsm_fail(err, LSM_CORRUPT,
                              "%s/MANIFEST-%08llu: it ends at offset %llu, but more of it was there when the store was last in use, and nothing that "
                              "is left of it names "
                              "%s; restore this file from a backup, or salvage the store",
                              store->dir, (unsigned long long)lsm_share_version_manifest(found), (unsigned long long)lsm_share_version_bytes(found),
                              names.names[i]);
        lsm_free(path);
    }
    lsm_names_free(&names);
    return status;
}

static int remove_leftover(struct lsm_store *store, enum lsm_file_type type, uint64_t number, struct lsm_error *err) {
    char *path = lsm_file_path(store->dir, type, number);
    if (path == NULL) return lsm_fail_nomem(err, strlen(store->dir));
    /* Another store's table was put here by hand: not ours to remove. One without a whole header was being written when the power went. */
    bool foreign = type == LSM_FILE_TABLE && lsm_sst_identify(store->env, path, store->store_id, number, NULL) == LSM_MISMATCH;
    int status = foreign ? LSM_OK : lsm_env_unlink(store->env, path, err);
    lsm_free(path);
    return status == LSM_NOTFOUND ? LSM_OK : status;
}

int lsm_recover_clean(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_names names = {0};
    bool shortened = false; /* the log has lost a file of its end */
    int status = LSM_OK;
    if (lsm_env_list(store->env, store->dir, &names, NULL) != LSM_OK) return LSM_OK;
    for (size_t i = 0; i < names.count && status == LSM_OK; i++) {
        uint64_t number;
        enum lsm_file_type type = lsm_file_parse(names.names[i], &number);
        if (!is_leftover(store, type, number)) continue;
        bool behind = type == LSM_FILE_WAL && number >= store->next_log;
        int removed = remove_leftover(store, type, number, behind ? err : NULL);
        if (behind) status = removed; /* the others do no harm: the next open tries again */
        shortened |= behind;
    }
    lsm_names_free(&names);
    if (status != LSM_OK) return status;
    /* All others are leftovers again if the power goes and they come back. But that file goes on behind the transactions before it, if these are committed once more at
     * the same times: see cut_behind(). */
    return shortened ? lsm_env_sync_dir(store->env, store->dir, err) : LSM_OK;
}
