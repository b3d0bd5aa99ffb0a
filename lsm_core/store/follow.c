#include "follow.h"

#include "../env/filename.h"
#include "store.h"

#include <stdlib.h>

enum {
    TRIES_MAX = 200,     /* looks at files that are gone, while nothing newer is published, ... */
    TRY_PAUSE_US = 5000, /* ... and the pause between them: a second in all, then they are missing */
    GRACE_US = 500000    /* whoever has sealed a generation is the first to flush it */
};

/* ---- the files of the log ------------------------------------------------------------------------------------------- */

static void close_reader(struct lsm_store *store) {
    lsm_wal_reader_close(store->log_reader);
    store->log_reader = NULL;
}

/* A log file that begins where the reading stands. */
struct candidate {
    uint64_t number; /* 0: none */
    struct lsm_wal_reader *reader;
};

/* Is this file the one, or a better one? At one position the newest counts, if it repeats the checksum of the last record. The manifest does not keep that: who
 * came by it to this position does not know it, asks for none, and writes 0 where it begins a file. */
static int consider(struct lsm_store *store, uint64_t number, struct candidate *best, struct lsm_error *err) {
    uint64_t check = store->replay.check;
    struct lsm_wal_reader *reader = NULL;
    int status = lsm_wal_reader_open(store->env, store->dir, store->store_id, number, &reader, err);
    if (status == LSM_NOTFOUND || (status == LSM_OK && reader == NULL)) return LSM_OK;
    if (status != LSM_OK) return status;
    uint64_t prev = lsm_wal_reader_prev_check(reader);
    bool fits = lsm_wal_reader_start(reader) == store->replay.position && (check == 0 || prev == 0 || prev == check);
    if (!fits) {
        lsm_wal_reader_close(reader);
        return LSM_OK;
    }
    lsm_wal_reader_close(best->reader);
    *best = (struct candidate){.number = number, .reader = reader};
    return LSM_OK;
}

static int by_number(const void *a_void, const void *b_void) {
    uint64_t a = *(const uint64_t *)a_void, b = *(const uint64_t *)b_void;
    return a < b ? -1 : a > b;
}

/* The log files after `above`, ascending. */
static int list_logs(struct lsm_store *store, uint64_t above, uint64_t **numbers, size_t *count, struct lsm_error *err) {
    struct lsm_names names = {0};
    *count = 0;
    *numbers = NULL;
    int status = lsm_env_list(store->env, store->dir, &names, err);
    if (status != LSM_OK) return status;
    *numbers = lsm_calloc(names.count, sizeof **numbers);
    for (size_t i = 0; i < names.count && *numbers != NULL; i++) {
        uint64_t number;
        if (lsm_file_parse(names.names[i], &number) == LSM_FILE_WAL && number > above) (*numbers)[(*count)++] = number;
    }
    lsm_names_free(&names);
    if (*numbers == NULL) return lsm_fail_nomem(err, sizeof **numbers);
    if (*count > 1) qsort(*numbers, *count, sizeof **numbers, by_number);
    return LSM_OK;
}

/* Go on in the file that follows. LSM_NOTFOUND: there is none. */
static int next_file(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_replay *replay = &store->replay;
    struct candidate best = {0};
    uint64_t *numbers = NULL;
    size_t count = 0;
    int status = list_logs(store, replay->number, &numbers, &count, err);
    for (size_t i = 0; i < count && status == LSM_OK; i++) {
        if (numbers[i] >= store->next_log) store->next_log = numbers[i] + 1; /* also one that has no header: its maker died */
        status = consider(store, numbers[i], &best, err);
    }
    lsm_free(numbers);
    if (status == LSM_OK && best.reader == NULL) status = LSM_NOTFOUND;
    if (status == LSM_OK) status = lsm_spans_note(store, best.number, replay->position, err);
    if (status == LSM_OK) status = lsm_replay_enter_file(replay, best.number, err);
    if (status != LSM_OK) {
        lsm_wal_reader_close(best.reader);
        return status;
    }
    replay->check = lsm_wal_reader_prev_check(best.reader);
    close_reader(store);
    store->log_reader = best.reader;
    return LSM_OK;
}

/* A reader of the present file, where the replay stands. LSM_NOTFOUND: the file is gone. */
static int open_reader(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_replay *replay = &store->replay;
    if (store->log_reader != NULL) return LSM_OK;
    int status = lsm_wal_reader_open(store->env, store->dir, store->store_id, replay->number, &store->log_reader, err);
    if (status == LSM_OK && store->log_reader == NULL) status = LSM_NOTFOUND;
    if (status == LSM_OK) lsm_wal_reader_skip(store->log_reader, replay->position, replay->check);
    return status;
}

/* One record. LSM_NOTFOUND: a file is missing, or, with limit UINT64_MAX, there is none. */
static int read_one(struct lsm_store *store, uint64_t limit, struct lsm_error *err) {
    struct lsm_replay *replay = &store->replay;
    struct lsm_wal_record record;
    int status = replay->number == 0 || replay->ended ? next_file(store, err) : open_reader(store, err);
    if (status != LSM_OK) return status;
    if (limit == UINT64_MAX)
        status = lsm_wal_reader_next(store->log_reader, replay->synced, &record, err);
    else
        status = lsm_wal_reader_next_below(store->log_reader, limit, &record, err);
    if (status == LSM_NOTFOUND || status == LSM_CORRUPT) {
        /* A transaction in table files ends its log file without a ROLL, and so did recoveries: the log goes on in another. */
        struct lsm_error local = {0};
        int next = next_file(store, &local);
        if (next == LSM_NOTFOUND) return status;
        if (next != LSM_OK && err != NULL) *err = local;
        return next;
    }
    if (status != LSM_OK) return status;
    status = lsm_replay_record(replay, &record, err);
    if (status != LSM_OK) lsm_wal_reader_skip(store->log_reader, replay->position, replay->check);
    return status;
}

/* The records up to `limit`. LSM_NOTFOUND: a file of them is gone. */
static int read_to(struct lsm_store *store, uint64_t limit, struct lsm_error *err) {
    int status = LSM_OK;
    while (status == LSM_OK && store->replay.position < limit) status = read_one(store, limit, err);
    return status;
}

/* ---- the version ------------------------------------------------------------------------------------------------------ */

/* Start anew behind the current version: what it covers need not be in memory, and what is behind it is read again. Needs: no transaction of this process. */
static int jump(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_replay *replay = &store->replay;
    struct lsm_version_content content;
    int status = lsm_version_set_content(&store->set, &content, err);
    if (status != LSM_OK) return status;
    uint64_t position = content.version->log_position;
    struct lsm_store_tree *trees = lsm_calloc(content.trees_count, sizeof *trees), *old_trees = NULL;
    struct lsm_state *state = lsm_state_new(store, 1), *old;
    struct lsm_gen *gen = lsm_gen_new(position);
    if (trees == NULL || state == NULL || gen == NULL) {
        lsm_free(trees);
        lsm_free(state);
        lsm_gen_unref(gen);
        lsm_version_set_unref(&store->set, content.version);
        lsm_free(content.trees);
        return lsm_fail_nomem(err, sizeof *gen);
    }
    for (size_t i = 0; i < content.trees_count; i++)
        trees[i] = (struct lsm_store_tree){.info = content.trees[i], .dropped_at = UINT64_MAX, .in_manifest = true};
    state->gens[0] = gen;
    state->gens_count = 1;
    state->version = content.version;
    lsm_pending_forget(store);
    lsm_mutex_lock(&store->mu);
    old_trees = store->trees;
    store->trees = trees;
    store->trees_count = content.trees_count;
    store->trees_capacity = content.trees_count == 0 ? 1 : content.trees_count;
    if (content.next_tree > store->next_tree) store->next_tree = content.next_tree;
    store->has_token = content.has_token;
    memcpy(store->token, content.token, sizeof store->token);
    old = lsm_store_replace(store, state);
    store->applied = position;
    /* Also if it was more: what is built anew is not in memory again before the log was read, and if that fails the next view has to try it. */
    atomic_store_explicit(&store->published, position, memory_order_release);
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
    lsm_free(old_trees);
    lsm_free(content.trees);
    close_reader(store);
    lsm_replay_restart(replay, position);
    replay->number = content.version->log_generation == 0 ? 0 : content.version->log_generation - 1;
    replay->ended = true;
    return LSM_OK;
}

static void note_applied(struct lsm_store *store, uint64_t position) {
    lsm_mutex_lock(&store->mu);
    if (position > store->applied) store->applied = position;
    lsm_mutex_unlock(&store->mu);
}

/* Let new views have the current version, if the generations fit it. */
static int install_version(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_version *current = lsm_version_set_ref_current(&store->set);
    lsm_mutex_lock(&store->mu);
    bool news = store->state->version != current;
    lsm_mutex_unlock(&store->mu);
    lsm_version_set_unref(&store->set, current);
    if (!news) return LSM_OK;
    struct lsm_state *spare = lsm_store_spare(store, err);
    if (spare == NULL) return LSM_NOMEM;
    lsm_store_install(store, spare, NULL, 0);
    lsm_mutex_lock(&store->mu);
    lsm_cond_signal(&store->work); /* there may be something to merge */
    lsm_mutex_unlock(&store->mu);
    return LSM_OK;
}

/* Generations that another process has sealed are first of all its own business. */
static void leave_flush_to_others(struct lsm_store *store) {
    uint64_t now = lsm_env_monotonic_us(store->env);
    lsm_mutex_lock(&store->mu);
    if (store->wait_until_us[LSM_WORK_FLUSH] < now + GRACE_US) store->wait_until_us[LSM_WORK_FLUSH] = now + GRACE_US;
    lsm_cond_signal(&store->work);
    lsm_mutex_unlock(&store->mu);
}

/* What this process has written itself since the replay stood where the log ended: it need not be read. Needs: the replay. */
static void advance_replay(struct lsm_store *store) {
    struct lsm_replay *replay = &store->replay;
    if (!store->replay_lags) return;
    store->replay_lags = false;
    uint64_t end = lsm_store_writers_end(store);
    if (end == replay->position && !replay->broken) return;
    uint64_t check = store->log != NULL ? lsm_wal_writer_check(store->log) : store->log_check;
    bool ended = store->log == NULL;
    /* Of one that was ended, the number before it does: the next file is known by its start. next_log would not do: it counts files that could not be made
     * here, whose numbers are still free for others. */
    uint64_t number = ended ? replay->number : lsm_wal_writer_generation(store->log);
    if (store->log_reader != NULL && number == replay->number && !ended)
        lsm_wal_reader_skip(store->log_reader, end, check);
    else
        close_reader(store);
    replay->number = number;
    if (!ended) replay->start = lsm_wal_writer_start(store->log);
    replay->ended = ended;
    lsm_gen_unref(replay->files); /* not under mu: files may go with it */
    replay->files = NULL;
    lsm_mutex_lock(&store->mu);
    lsm_replay_written(replay, end, check);
    if (end > store->applied) store->applied = end;
    lsm_mutex_unlock(&store->mu);
}

/* ---- catching up ------------------------------------------------------------------------------------------------------- */

/* How far to read. */
enum extent { TO_PUBLISHED, TO_UNDECIDED, TO_END };

static uint64_t limit_of(struct lsm_store *store, enum extent extent, uint64_t published) {
    uint64_t more = 0;
    if (extent == TO_END) more = lsm_share_log_end(store->share).position;
    if (extent == TO_UNDECIDED) more = lsm_share_undecided(store->share);
    return more != UINT64_MAX && more > published ? more : published;
}

/* Everything that was read and is published becomes visible. */
static int make_visible(struct lsm_store *store, uint64_t published, struct lsm_error *err) {
    int status = lsm_replay_settle(&store->replay, published, err);
    if (status != LSM_OK) return status;
    /* Pairs with the acquire in lsm_view_open(): who sees the position sees the rows. */
    if (published > atomic_load_explicit(&store->published, memory_order_relaxed))
        atomic_store_explicit(&store->published, published, memory_order_release);
    return LSM_OK;
}

/* One try. LSM_NOTFOUND: something is gone, which a newer version explains. */
static int try_follow(struct lsm_store *store, enum extent extent, struct lsm_error *err) {
    uint64_t published = lsm_share_published(store->share);
    int status = lsm_version_set_catch_up(&store->set, lsm_share_version(store->share), err);
    if (status != LSM_OK) return status;
    struct lsm_version *current = lsm_version_set_ref_current(&store->set);
    bool ahead = current->log_position > store->replay.position;
    lsm_version_set_unref(&store->set, current);
    if (ahead || store->replay.broken) status = jump(store, err);
    int sealed = atomic_load_explicit(&store->sealed, memory_order_relaxed);
    if (status == LSM_OK) status = read_to(store, limit_of(store, extent, published), err);
    if (status == LSM_OK) status = make_visible(store, published, err);
    if (atomic_load_explicit(&store->sealed, memory_order_relaxed) > sealed) leave_flush_to_others(store);
    if (status == LSM_OK) note_applied(store, store->replay.position);
    return status == LSM_OK ? install_version(store, err) : status;
}

/* Something was gone when `version` was the present one, for who had come as far as `position`: LSM_OK if it is worth another try. */
static int try_again(struct lsm_store *store, uint64_t version, uint64_t position, unsigned *tries, struct lsm_error *err) {
    if (lsm_share_version(store->share) != version) {
        *tries = 0;
        return LSM_OK;
    }
    if (++*tries > TRIES_MAX) {
        int status = lsm_share_check_place(store->share, err); /* nothing is missing where the directory is now */
        return status != LSM_OK
                   ? status
                   : lsm_fail(err, LSM_CORRUPT,
                              "%s: log position %llu: the log file that goes on here is missing, or the manifest is; restore the store from a backup",
                              store->dir, (unsigned long long)position);
    }
    lsm_env_sleep_us(store->env, TRY_PAUSE_US);
    return LSM_OK;
}

/* Needs: the replay. */
static int follow_locked(struct lsm_store *store, enum extent extent, struct lsm_error *err) {
    advance_replay(store);
    unsigned tries = 0;
    for (;;) {
        uint64_t version = lsm_share_version(store->share);
        int status = try_follow(store, extent, err);
        /* A file that ended without a ROLL looks cut short when the next one has been flushed and is gone: a newer version tells that from damage. */
        if (status == LSM_CORRUPT && lsm_share_version(store->share) != version) status = LSM_NOTFOUND;
        if (status != LSM_NOTFOUND) return status;
        status = try_again(store, version, store->replay.position, &tries, err);
        if (status != LSM_OK) return status;
    }
}

/* While a transaction of this process writes: what others may have done is a new version, or the discovery that the transaction is committed.
 * Needs: follow_mu. Leaves the replay alone, which is the writer's. */
static int follow_beside_writer(struct lsm_store *store, struct lsm_error *err) {
    unsigned tries = 0;
    bool done = false;
    while (!done) {
        uint64_t version = lsm_share_version(store->share);
        int status = lsm_version_set_catch_up(&store->set, version, err);
        done = status == LSM_OK;
        if (status == LSM_NOTFOUND) status = try_again(store, version, lsm_share_published(store->share), &tries, err);
        if (status != LSM_OK) return status;
    }
    lsm_mutex_lock(&store->mu);
    struct lsm_state *old = NULL;
    if (store->pending.state == LSM_PENDING_UNKNOWN && store->pending.end <= lsm_share_published(store->share)) old = lsm_pending_publish(store);
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
    return install_version(store, err);
}

/* Who follows says so and then looks for a writer; who begins to write and has nothing to read says so and then looks for somebody who follows
 * (lsm_follow_begin_write()). One of them sees the other, because all four accesses are sequentially consistent. Who has something to read says so when he has, under
 * follow_mu: beside him nobody reads the log, and a view would not have what he has not read yet. */
static int follow(struct lsm_store *store, enum extent extent, struct lsm_error *err) {
    lsm_mutex_lock(&store->follow_mu);
    atomic_store_explicit(&store->following, true, memory_order_seq_cst);
    bool writing = atomic_load_explicit(&store->writing, memory_order_seq_cst);
    int status = writing ? follow_beside_writer(store, err) : follow_locked(store, extent, err);
    atomic_store_explicit(&store->following, false, memory_order_release); /* acquired by is_quiet() */
    lsm_mutex_unlock(&store->follow_mu);
    return status;
}

int lsm_follow(struct lsm_store *store, struct lsm_error *err) {
    if (store->alone) return LSM_OK;
    return follow(store, TO_PUBLISHED, err);
}

int lsm_follow_version(struct lsm_store *store, struct lsm_error *err) {
    if (store->alone) return LSM_OK;
    lsm_mutex_lock(&store->mu);
    uint64_t known = store->state->version->id;
    lsm_mutex_unlock(&store->mu);
    return lsm_share_version(store->share) == known ? LSM_OK : follow(store, TO_PUBLISHED, err);
}

int lsm_follow_if_behind(struct lsm_store *store, struct lsm_error *err) {
    if (store->alone || lsm_share_published(store->share) <= atomic_load_explicit(&store->published, memory_order_relaxed)) return LSM_OK;
    return follow(store, TO_PUBLISHED, err);
}

int lsm_follow_undecided(struct lsm_store *store, struct lsm_error *err) {
    if (store->alone) return LSM_OK;
    return follow(store, TO_UNDECIDED, err);
}

int lsm_follow_join(struct lsm_store *store, struct lsm_error *err) {
    lsm_replay_init(&store->replay, store);
    store->replay.broken = true; /* there is nothing yet */
    int status = follow(store, TO_PUBLISHED, err);
    /* Before anybody can join, the first one has published a version; and 0 is nothing to follow. */
    if (status == LSM_OK && store->state->version->id == 0)
        return lsm_fail(err, LSM_CORRUPT, "%s/SHM: offset 128: it names no version: it is damaged; close the database everywhere and open it again",
                        store->dir);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

/* A writer died between its first append and telling the others of the end: what stands whole in the log counts, and what does not is written over.
 * Needs: WRITER, follow_mu; the log read up to the end that was told last. */
static int take_over(struct lsm_store *store, struct lsm_error *err) {
    struct lsm_replay *replay = &store->replay;
    int status = LSM_OK;
    while (status == LSM_OK) status = read_one(store, UINT64_MAX, err);
    if (status != LSM_NOTFOUND) return status;
    lsm_mutex_lock(&store->mu);
    store->applied = replay->position;
    lsm_mutex_unlock(&store->mu);
    /* It may have promised its commit to be durable, or been about to. */
    status = lsm_store_sync_logs(store, err);
    if (status != LSM_OK) return status;
    uint64_t visible = replay->undecided ? replay->txn_position : replay->position, published = lsm_share_published(store->share);
    if (published > visible) visible = published;
    lsm_share_set_undecided(store->share, replay->undecided && replay->txn_end > visible ? replay->txn_end : UINT64_MAX);
    lsm_share_publish(store->share, visible);
    lsm_share_append_end(store->share, replay->position);
    lsm_shared_want_sweep(store);
    return make_visible(store, visible, err);
}

/* The file of our own log writer is not the last one any more: others have gone on in another. Its sync is the business of whoever syncs next. */
static void leave_log(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    while (store->syncing) lsm_cond_wait(&store->done, &store->mu);
    struct lsm_wal_writer *log = store->log;
    store->log = NULL;
    lsm_mutex_unlock(&store->mu);
    (void)lsm_wal_writer_close(log, false, NULL);
}

/* The store's log fields as the writer wants them. Needs: WRITER, follow_mu, everything read. */
static int stand_at_end(struct lsm_store *store, struct lsm_error *err) {
    const struct lsm_replay *replay = &store->replay;
    /* A file may have been made for the next record, which was never written. */
    int status = replay->ended ? next_file(store, err) : LSM_OK;
    if (status != LSM_OK && status != LSM_NOTFOUND) return status;
    uint64_t synced = lsm_share_synced(store->share);
    bool ours = store->log != NULL && lsm_wal_writer_generation(store->log) == replay->number && !replay->ended;
    if (ours && lsm_wal_writer_end(store->log) != replay->position) {
        status = lsm_wal_writer_advance(store->log, replay->position, replay->check, synced, err);
        if (status != LSM_OK) return status;
    }
    if (store->log != NULL && !ours) leave_log(store);
    lsm_mutex_lock(&store->mu);
    store->log_end = replay->position;
    store->log_check = replay->check;
    store->log_synced = synced < replay->position ? synced : replay->position;
    store->resume.number = store->log == NULL && !replay->ended ? replay->number : 0;
    store->resume.start = replay->start;
    if (store->next_log <= replay->number) store->next_log = replay->number + 1;
    lsm_mutex_unlock(&store->mu);
    return LSM_OK;
}

/* Everything that others have written is to be read, and the log to be stood at its end; then `writing` is set. Needs: WRITER. Locks: takes follow_mu. */
static LSM_RARE int catch_up(struct lsm_store *store, struct lsm_share_end told, uint64_t published, struct lsm_error *err) {
    SHARE_POINT(store->share, "catch up");
    lsm_mutex_lock(&store->follow_mu);
    uint64_t end = told.position;
    advance_replay(store);
    bool news = told.died || end != store->replay.position || published > atomic_load_explicit(&store->published, memory_order_relaxed);
    /* Nobody may write behind a transaction that was read, and is not known to wait. */
    int status = news || store->replay.broken || store->replay.unsettled ? follow_locked(store, TO_END, err) : LSM_OK;
    if (status == LSM_OK && told.died) status = take_over(store, err);
    /* A view may have read on since the last time, so that the log is known and its writer is not where it ends. */
    if (status == LSM_OK && (news || store->log == NULL || lsm_wal_writer_end(store->log) != end)) status = stand_at_end(store, err);
    atomic_store_explicit(&store->writing, status == LSM_OK, memory_order_release);
    lsm_mutex_unlock(&store->follow_mu);
    return status;
}

/* Has nobody written since this process did? Then there is nothing to read. Needs: WRITER. */
static bool is_at_end(struct lsm_store *store, struct lsm_share_end told, uint64_t published) {
    return store->log != NULL && !told.died && told.position == lsm_wal_writer_end(store->log) &&
           published <= atomic_load_explicit(&store->published, memory_order_relaxed);
}

/* Is nobody reading the log here, and nothing left to do about what was read? Needs: `writing`. */
static bool is_quiet(struct lsm_store *store) {
    return !atomic_load_explicit(&store->following, memory_order_seq_cst) && !store->replay.broken &&
           atomic_load_explicit(&store->pending_state, memory_order_acquire) == (int)LSM_PENDING_NONE;
}

int lsm_follow_begin_write(struct lsm_store *store, uint64_t timeout_us, struct lsm_error *err) {
    struct lsm_share_end told;
    uint64_t published;
    int status = lsm_share_begin_write(store->share, timeout_us, &told, &published, err);
    if (status != LSM_OK || store->alone) return status;
    /* What a writer whose log failed has left at its end is for the next first opener to judge. */
    status = lsm_store_check_failed(store, err);
    if (status == LSM_OK) {
        bool at_end = is_at_end(store, told, published);
        if (at_end) atomic_store_explicit(&store->writing, true, memory_order_seq_cst);
        if (!at_end || !is_quiet(store)) status = catch_up(store, told, published, err);
    }
    if (status == LSM_OK)
        lsm_share_append_begin(store->share);
    else
        lsm_share_unlock(store->share, LSM_SHARE_WRITER);
    return status;
}

void lsm_follow_end_write(struct lsm_store *store) {
    if (store->alone) {
        lsm_share_unlock(store->share, LSM_SHARE_WRITER);
        return;
    }
    uint64_t end = lsm_store_writers_end(store);
    store->replay_lags = true;
    atomic_store_explicit(&store->writing, false, memory_order_release); /* acquired by follow() */
    lsm_share_end_write(store->share, atomic_load_explicit(&store->published, memory_order_relaxed), end);
}

/* ---- states -------------------------------------------------------------------------------------------------------------- */

/* The page names an older version than `known`, which this process stands on: a thread of ours has made that and publishes it in a moment, or the page is
 * damaged, and no pin will ever hold. `tries`: how often that was seen. */
static int wait_for_version(struct lsm_store *store, uint64_t known, unsigned tries, struct lsm_error *err) {
    uint64_t said = lsm_share_version(store->share);
    if (said >= known || tries < TRIES_MAX) return LSM_OK;
    if (tries < 2 * TRIES_MAX) {
        lsm_env_sleep_us(store->env, TRY_PAUSE_US);
        return LSM_OK;
    }
    return lsm_fail(
        err, LSM_CORRUPT,
        "%s/SHM: offset 128: it says %llu, but version %llu was read before: it is damaged; close the database everywhere and open it again",
        store->dir, (unsigned long long)said, (unsigned long long)known);
}

int lsm_store_use_state(struct lsm_store *store, struct lsm_state **state, struct lsm_share_pin *pin, uint64_t *position, struct lsm_error *err) {
    /* Also of a state that is just being built anew (jump()). Not waited for: a transaction of this process that others know to be committed before it does. */
    uint64_t wanted = position == NULL || store->alone ? 0 : lsm_share_published(store->share);
    *pin = (struct lsm_share_pin){0};
    for (unsigned tries = 0;; tries++) {
        lsm_mutex_lock(&store->mu);
        *state = store->state;
        lsm_state_ref(*state);
        /* Under the lock that a roll takes, so that no later commit can be in a generation that this state does not have. */
        if (position != NULL) *position = atomic_load_explicit(&store->published, memory_order_acquire);
        lsm_mutex_unlock(&store->mu);
        bool whole = position == NULL || *position >= wanted || tries > 0;
        if (whole && (store->alone || lsm_share_pin(store->share, (*state)->version->id, pin))) return LSM_OK;
        uint64_t known = (*state)->version->id;
        lsm_state_unref(*state);
        *state = NULL;
        int status = lsm_follow(store, err);
        if (status == LSM_OK) status = wait_for_version(store, known, tries, err);
        if (status != LSM_OK) return status;
    }
}

void lsm_store_unuse_state(struct lsm_store *store, struct lsm_state *state, struct lsm_share_pin *pin) {
    if (pin->version != 0) lsm_share_unpin(store->share, pin);
    lsm_state_unref(state);
    lsm_store_sweep_soon(store);
}

/* ---- spans ----------------------------------------------------------------------------------------------------------------- */

int lsm_spans_note(struct lsm_store *store, uint64_t number, uint64_t start, struct lsm_error *err) {
    int status = LSM_OK;
    lsm_mutex_lock(&store->mu);
    size_t count = store->spans_count;
    if (count == 0 || store->spans[count - 1].number < number) {
        /* What table files cover is of no interest any more, and what is durable neither. */
        uint64_t synced = lsm_share_synced(store->share), needed = store->state->version->log_generation;
        size_t gone = 0;
        while (gone + 1 < count && (store->spans[gone].number < needed || store->spans[gone + 1].start <= synced)) gone++;
        memmove(store->spans, store->spans + gone, (count - gone) * sizeof *store->spans);
        store->spans_count = count -= gone;
        if (count == LSM_SPANS_MAX)
            status = lsm_fail(err, LSM_BUSY, "%s: more than %d log files wait to be synced", store->dir, LSM_SPANS_MAX);
        else
            store->spans[store->spans_count++] = (struct lsm_log_span){.number = number, .start = start};
    }
    lsm_mutex_unlock(&store->mu);
    return status;
}

/* Those before `to` that wait for a sync and are not our own writers', who sync theirs. Locks: needs mu. */
static size_t waiting_spans(const struct lsm_store *store, const struct lsm_wal_writer *own, uint64_t to, struct lsm_log_span *spans) {
    size_t count = 0;
    uint64_t synced = lsm_share_synced(store->share), own_number = own == NULL ? 0 : lsm_wal_writer_generation(own);
    for (size_t i = 0; i < store->spans_count; i++) {
        uint64_t number = store->spans[i].number, end = i + 1 < store->spans_count ? store->spans[i + 1].start : UINT64_MAX;
        bool ours = number == own_number;
        for (const struct lsm_old_log *old = store->old_logs; old != NULL; old = old->next) ours |= lsm_wal_writer_generation(old->writer) == number;
        if (!ours && end > synced && store->spans[i].start < to) spans[count++] = store->spans[i];
    }
    return count;
}

bool lsm_spans_wait(struct lsm_store *store) {
    struct lsm_log_span spans[LSM_SPANS_MAX];
    lsm_mutex_lock(&store->mu);
    size_t count = waiting_spans(store, store->log, UINT64_MAX, spans);
    lsm_mutex_unlock(&store->mu);
    return count != 0;
}

int lsm_spans_sync(struct lsm_store *store, const struct lsm_wal_writer *own, uint64_t to, struct lsm_error *err) {
    struct lsm_log_span spans[LSM_SPANS_MAX];
    lsm_mutex_lock(&store->mu);
    size_t count = waiting_spans(store, own, to, spans);
    lsm_mutex_unlock(&store->mu);
    for (size_t i = 0; i < count; i++) {
        int status = lsm_wal_sync_generation(store->env, store->dir, spans[i].number, err);
        /* Removed since: table files cover it. */
        if (status != LSM_OK && status != LSM_NOTFOUND) return status;
        lsm_count(store, LSM_COUNT_WAL_SYNCS, 1);
    }
    return LSM_OK;
}
