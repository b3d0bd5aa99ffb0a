/* Entering and leaving, and the byte locks.
 *
 *   OPEN held?  PRESENT           so
 *   yes         exclusive: got    nobody else is in, and nobody comes in: we are the first, or the last
 *   yes         exclusive: busy   somebody is in: the page is theirs; what they lock is locked, what they map is mapped
 *
 * SHM has a lock of its own, byte 0: shared by all who map it, exclusive while the first one builds it. If LOCK says that we are alone and SHM says
 * that we are not, LOCK was deleted or replaced under living processes; if it is the other way round, SHM was. Against both being gone, the store's
 * directory is locked like PRESENT: nobody can delete that and keep the store. All this can also be a process that is just dying, whose files the kernel
 * closes one by one: so it is looked at again for a while.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../env/filename.h"
#include "page.h"

enum {
    NOTE_OFFSET = 512, /* in LOCK, behind the lock bytes: who came last, for messages only */
    NOTE_BYTES = 120,
    SHM_BYTE = 0,
    REPLACED_PATIENCE_US = 200000 /* instead of all the time that a dying process may take */
};

#define LOCK_REPLACED "%s: the file LOCK was deleted or replaced while the store is open: close the store in every process, then open it again"

static const uint64_t poll_first_us = 100, poll_max_us = 10000;

/* ---- waiting ------------------------------------------------------------------------------------------------------------------------- */

struct wait {
    struct lsm_env *env;
    uint64_t timeout_us, until_us, pause_us; /* until 0: not waited yet, so no clock was asked */
};

static struct wait wait_begin(struct lsm_env *env, uint64_t timeout_us) {
    return (struct wait){.env = env, .timeout_us = timeout_us, .pause_us = poll_first_us};
}

/* False: the time is over. Else a moment has passed, each longer than the one before. */
static bool wait_more(struct wait *wait) {
    if (wait->timeout_us == 0) return false;
    uint64_t now = lsm_env_monotonic_us(wait->env);
    if (wait->until_us == 0) wait->until_us = wait->timeout_us > UINT64_MAX - now ? UINT64_MAX : now + wait->timeout_us;
    if (now >= wait->until_us) return false;
    uint64_t left = wait->until_us - now;
    lsm_env_sleep_us(wait->env, wait->pause_us < left ? wait->pause_us : left);
    wait->pause_us = wait->pause_us * 2 < poll_max_us ? wait->pause_us * 2 : poll_max_us;
    return true;
}

static int take(struct lsm_share *share, uint64_t byte, struct wait *wait, struct lsm_error *err) {
    int status;
    do status = lsm_file_lock(share->lock_file, byte, LSM_LOCK_EXCLUSIVE, err);
    while (status == LSM_BUSY && wait_more(wait));
    return status;
}

/* ---- the note ------------------------------------------------------------------------------------------------------------------------ */

static void note_write(struct lsm_share *share, const char *name) {
    char note[NOTE_BYTES] = {0};
    const char *alone = share->exclusive != NULL ? ", alone: " : "", *why = share->exclusive != NULL ? share->exclusive : "";
    (void)snprintf(note, sizeof note, "process %ld (%s)%s%s", (long)getpid(), name == NULL ? "unnamed" : name, alone, why);
    if (lsm_file_write_at(share->lock_file, NOTE_OFFSET, note, sizeof note, NULL) != LSM_OK) { /* Only a message would be poorer. */
    }
}

/* "" if nobody has come in by this file, as far as one can read. */
static void note_find(struct lsm_share *share, char note[NOTE_BYTES + 1]) {
    size_t got = 0;
    memset(note, 0, NOTE_BYTES + 1);
    if (lsm_file_read_at(share->lock_file, NOTE_OFFSET, note, NOTE_BYTES, &got, NULL) != LSM_OK) note[0] = '\0';
}

static void note_read(struct lsm_share *share, char note[NOTE_BYTES + 1]) {
    note_find(share, note);
    if (note[0] == '\0') (void)snprintf(note, NOTE_BYTES + 1, "another process");
}

/* ---- LOCK ---------------------------------------------------------------------------------------------------------------------------- */

static int open_lock_file(struct lsm_share *share, struct lsm_error *err) {
    char *path = lsm_file_path(share->dir, LSM_FILE_LOCK, 0);
    if (path == NULL) return lsm_fail_nomem(err, 0);
    int status = lsm_env_open(share->env, path, LSM_OPEN_READ | LSM_OPEN_WRITE | LSM_OPEN_CREATE, &share->perm, &share->lock_file, err);
    lsm_free(path);
    return status;
}

/* Open LOCK and take OPEN; again if it was replaced while we waited. */
static int take_open(struct lsm_share *share, struct wait *wait, struct lsm_error *err) {
    char note[NOTE_BYTES + 1];
    for (;;) {
        bool same = false;
        int status = open_lock_file(share, err);
        if (status == LSM_OK) status = take(share, LSM_SHARE_OPEN, wait, err);
        if (status == LSM_BUSY) {
            note_read(share, note);
            return lsm_fail(err, LSM_BUSY,
                            "%s: a process opens or closes the store and does not get done: is it stopped? (fuser -v %s/LOCK lists who is there; the "
                            "last one that got in was %s); try again later",
                            share->dir, share->dir, note);
        }
        if (status == LSM_OK) status = lsm_file_same(share->lock_file, &same, err);
        if (status != LSM_OK || same) return status;
        lsm_file_close(share->lock_file);
        share->lock_file = NULL;
        if (!wait_more(wait)) return lsm_fail(err, LSM_BUSY, "%s: the file LOCK is replaced again and again: leave it alone", share->dir);
    }
}

/* ---- the directory ------------------------------------------------------------------------------------------------------------------- */

static bool is_unsupported(int os_errno) {
    /* LCOV_EXCL_BR_LINE: the last two are one number on Linux */
    return os_errno == EBADF || os_errno == EINVAL || os_errno == ENOLCK || os_errno == ENOSYS || os_errno == ENOTSUP || os_errno == EOPNOTSUPP;
}

/* Where directories cannot be locked, it is not. LSM_NOTFOUND: it is somebody's, which may change. */
static int lock_dir(struct lsm_share *share, enum lsm_lock lock, struct lsm_error *err) {
    int status = share->dir_file != NULL ? LSM_OK : lsm_env_open(share->env, share->dir, LSM_OPEN_DIR, NULL, &share->dir_file, err);
    if (status != LSM_OK) return status;
    struct lsm_error local = {0};
    status = lsm_file_lock(share->dir_file, 0, lock, &local);
    if (status == LSM_OK) return status;
    lsm_file_close(share->dir_file);
    share->dir_file = NULL;
    if (status == LSM_BUSY) return LSM_NOTFOUND;
    if (status == LSM_IO && is_unsupported(local.os_errno)) return LSM_OK;
    if (err != NULL) *err = local;
    return status;
}

/* ---- SHM ----------------------------------------------------------------------------------------------------------------------------- */

static int open_shm_file(struct lsm_share *share, bool create, struct lsm_error *err) {
    char *path = lsm_file_path(share->dir, LSM_FILE_SHM, 0);
    if (path == NULL) return lsm_fail_nomem(err, 0);
    unsigned flags = LSM_OPEN_READ | LSM_OPEN_WRITE | (create ? LSM_OPEN_CREATE : 0u);
    int status = lsm_env_open(share->env, path, flags, &share->perm, &share->shm_file, err);
    lsm_free(path);
    return status;
}

static void close_shm_file(struct lsm_share *share) {
    lsm_file_close(share->shm_file);
    share->shm_file = NULL;
    if (share->block == NULL) share->page = NULL;
}

/* LSM_BUSY: somebody maps SHM, or what is left of one. */
static int check_unused(struct lsm_share *share, struct lsm_error *err) {
    bool used = false;
    int status = open_shm_file(share, false, err);
    if (status == LSM_NOTFOUND) return LSM_OK;
    if (status == LSM_OK) status = lsm_file_locked(share->shm_file, SHM_BYTE, &used, err);
    close_shm_file(share);
    return status == LSM_OK && used ? LSM_BUSY : status;
}

/* We are the first: make the page, whatever stands there. Without a page and an error, there can be none, and *why says so. */
static int make_shm(struct lsm_share *share, const uint8_t *store_id, const char **why, struct lsm_error *err) {
    void *bytes = NULL;
    int status = open_shm_file(share, true, err);
    if (status == LSM_OK) status = lsm_file_lock(share->shm_file, SHM_BYTE, LSM_LOCK_EXCLUSIVE, err);
    if (status == LSM_OK) {
        status = lsm_file_allocate(share->shm_file, 0, PAGE_BYTES, err);
        if (status == LSM_FULL) *why = "there is no space for the file SHM";
    }
    if (status == LSM_OK) {
        status = lsm_file_map(share->shm_file, PAGE_BYTES, &bytes, err);
        if (status == LSM_IO) *why = "the file system has no memory that processes share";
    }
    if (status == LSM_OK) {
        share->page = bytes;
        share->left_version = lsm_page_left_version(share->page, store_id);
        SHARE_POINT(share, "build page");
        lsm_page_build(share->page, store_id);
        return LSM_OK;
    }
    close_shm_file(share);
    return *why != NULL ? LSM_OK : status;
}

static int refuse_shm(struct lsm_share *share, const char *what, struct lsm_error *err) {
    close_shm_file(share);
    return lsm_fail(
        err, LSM_BUSY,
        "%s: other processes have the store open, but the file SHM %s; they can go on, but nobody can join them: close the store in all of "
        "them, then open it again",
        share->dir, what);
}

/* Others are in: their page. LSM_NOTFOUND: SHM is nobody's, which may change. */
static int map_shm(struct lsm_share *share, const uint8_t *store_id, struct lsm_error *err) {
    bool used = false;
    uint64_t size = 0;
    void *bytes = NULL;
    int status = open_shm_file(share, false, err);
    if (status == LSM_NOTFOUND) return refuse_shm(share, "is missing", err);
    if (status == LSM_OK) status = lsm_file_locked(share->shm_file, SHM_BYTE, &used, err);
    if (status == LSM_OK && used) status = lsm_file_lock(share->shm_file, SHM_BYTE, LSM_LOCK_SHARED, err);
    if (status == LSM_BUSY || (status == LSM_OK && !used)) {
        close_shm_file(share);
        return LSM_NOTFOUND;
    }
    if (status == LSM_OK) status = lsm_file_size(share->shm_file, &size, err);
    if (status == LSM_OK && size < PAGE_BYTES) return refuse_shm(share, "is too short", err);
    if (status == LSM_OK) status = lsm_file_map(share->shm_file, PAGE_BYTES, &bytes, err);
    if (status != LSM_OK) {
        close_shm_file(share);
        return status;
    }
    share->page = bytes;
    const char *refused = lsm_page_refuse(share->page, store_id);
    return refused == NULL ? LSM_OK : refuse_shm(share, refused, err);
}

/* ---- joining ------------------------------------------------------------------------------------------------------------------------- */

/* Got PRESENT exclusively. LSM_NOTFOUND: SHM is somebody's, which may change. */
static int enter_first(struct lsm_share *share, const uint8_t *store_id, struct lsm_error *err) {
    share->first = true;
    int status = lock_dir(share, LSM_LOCK_EXCLUSIVE, err);
    if (status == LSM_OK) status = share->exclusive == NULL ? make_shm(share, store_id, &share->exclusive, err) : check_unused(share, err);
    if (status == LSM_BUSY) return LSM_NOTFOUND;
    if (status != LSM_OK || share->page != NULL) return status;
    status = lsm_page_new(share, err);
    if (status == LSM_OK) lsm_page_build(share->page, store_id);
    return status;
}

/* PRESENT is somebody else's too. */
static int enter_later(struct lsm_share *share, const uint8_t *store_id, struct lsm_error *err) {
    char note[NOTE_BYTES + 1];
    share->first = false;
    int status = lsm_file_lock(share->lock_file, LSM_SHARE_PRESENT, LSM_LOCK_SHARED, err);
    if (status == LSM_BUSY) {
        note_read(share, note);
        return lsm_fail(err, LSM_BUSY, "%s: the store is open in %s, which lets nobody else in: close it there, or try again later", share->dir,
                        note);
    }
    if (status != LSM_OK) return status;
    if (share->exclusive == NULL) {
        status = lock_dir(share, LSM_LOCK_SHARED, err);
        return status == LSM_OK ? map_shm(share, store_id, err) : status;
    }
    note_read(share, note);
    return lsm_fail(err, LSM_BUSY, "%s: one process alone is to open the store here (%s), but it is open in %s: close it there, or try again later",
                    share->dir, share->exclusive, note);
}

/* Whoever uses what is beside LOCK has come in by another LOCK, unless the kernel is just closing his files. */
static bool is_replaced(struct lsm_share *share) {
    char note[NOTE_BYTES + 1];
    if (!share->first) return false;
    note_find(share, note);
    return note[0] == '\0';
}

/* Needs OPEN. */
static int enter(struct lsm_share *share, const uint8_t *store_id, struct wait *wait, struct lsm_error *err) {
    struct wait brief = wait_begin(share->env, wait->timeout_us < REPLACED_PATIENCE_US ? wait->timeout_us : REPLACED_PATIENCE_US);
    for (;;) {
        int status = lsm_file_lock(share->lock_file, LSM_SHARE_PRESENT, LSM_LOCK_EXCLUSIVE, err);
        if (status == LSM_OK)
            status = enter_first(share, store_id, err);
        else if (status == LSM_BUSY)
            status = enter_later(share, store_id, err);
        if (status != LSM_NOTFOUND) return status;
        if (wait_more(is_replaced(share) ? &brief : wait)) continue;
        if (share->first) return lsm_fail(err, LSM_BUSY, LOCK_REPLACED, share->dir);
        return refuse_shm(share, "is not the one they use: it was replaced", err);
    }
}

/* A private page: nobody else can come. */
static int enter_alone(struct lsm_share *share, const uint8_t *store_id, const char *why, struct lsm_error *err) {
    share->exclusive = why;
    share->first = true;
    int status = lsm_page_new(share, err);
    if (status == LSM_OK) lsm_page_build(share->page, store_id);
    return status;
}

/* The bytes of LOCK cannot be locked, as `why` says: the directory alone keeps others out, if it can be. */
static int enter_by_dir(struct lsm_share *share, const uint8_t *store_id, struct wait *wait, const struct lsm_error *why, struct lsm_error *err) {
    int status;
    lsm_file_close(share->lock_file);
    share->lock_file = NULL;
    do status = lock_dir(share, LSM_LOCK_EXCLUSIVE, err);
    while (status == LSM_NOTFOUND && wait_more(wait));
    if (status == LSM_NOTFOUND)
        return lsm_fail(err, LSM_BUSY,
                        "%s: the store is open in another process, and the file system does not let two share it: close it there, or try again later",
                        share->dir);
    if (status == LSM_OK && share->dir_file == NULL) {
        if (err != NULL) *err = *why;
        return why->code;
    }
    return status == LSM_OK ? enter_alone(share, store_id, "its file system cannot lock parts of a file", err) : status;
}

static int join_steps(struct lsm_share *share, const struct lsm_share_options *options, struct lsm_error *err) {
    struct wait wait = wait_begin(share->env, options->timeout_us);
    struct lsm_error local = {0};
    const char *why = NULL;
    int status;
    if (options->detached) {
        status = enter_alone(share, options->store_id, "the store is read where nothing can be written", err);
        return status == LSM_OK ? lsm_slot_claim(share, options->process_name, err) : status;
    }
    status = lsm_env_can_share(share->env, share->dir, &why, err);
    if (status != LSM_OK) return status;
    share->exclusive = options->exclusive ? "exclusive access was asked for" : why;
    status = take_open(share, &wait, &local);
    if (status == LSM_IO && share->lock_file != NULL && is_unsupported(local.os_errno)) {
        status = enter_by_dir(share, options->store_id, &wait, &local, err);
    } else if (status == LSM_OK) {
        status = enter(share, options->store_id, &wait, err);
        if (status == LSM_OK) note_write(share, options->process_name);
    } else if (err != NULL) {
        *err = local;
    }
    return status == LSM_OK ? lsm_slot_claim(share, options->process_name, err) : status;
}

int lsm_share_join(const struct lsm_share_options *options, struct lsm_share **out, struct lsm_error *err) {
    *out = NULL;
    struct lsm_share *share = lsm_calloc(1, sizeof *share);
    if (share == NULL) return lsm_fail_nomem(err, sizeof *share);
    share->env = options->env;
    share->perm = *options->perm;
    share->dir = lsm_strdup(options->dir);
    bool has_mu = share->dir != NULL && lsm_mutex_init(&share->mu) == LSM_OK;
    if (!has_mu || lsm_mutex_init(&share->dead_mu) != LSM_OK) {
        if (has_mu) lsm_mutex_release(&share->mu);
        lsm_free(share->dir);
        lsm_free(share);
        return lsm_fail_nomem(err, sizeof *share);
    }
    int status = join_steps(share, options, err);
    if (status != LSM_OK)
        lsm_share_free(share);
    else
        *out = share;
    return status;
}

bool lsm_share_is_first(const struct lsm_share *share) { return share->first; }

uint64_t lsm_share_left_version(const struct lsm_share *share) { return share->left_version; }

const char *lsm_share_exclusive(const struct lsm_share *share) { return share->exclusive; }

int lsm_share_ready(struct lsm_share *share, struct lsm_error *err) {
    int status = LSM_OK;
    if (share->first) {
        SHARE_POINT(share, "magic");
        atomic_store_explicit(&share->page->magic, PAGE_MAGIC, memory_order_release); /* acquired by lsm_page_refuse() */
    }
    if (share->first && share->exclusive == NULL) {
        status = lsm_file_lock(share->shm_file, SHM_BYTE, LSM_LOCK_SHARED, err);
        if (status == LSM_OK && share->dir_file != NULL) status = lsm_file_lock(share->dir_file, 0, LSM_LOCK_SHARED, err);
        if (status == LSM_OK) status = lsm_file_lock(share->lock_file, LSM_SHARE_PRESENT, LSM_LOCK_SHARED, err);
    }
    if (status == LSM_OK && share->lock_file != NULL) status = lsm_file_lock(share->lock_file, LSM_SHARE_OPEN, LSM_UNLOCK, err);
    share->ready = status == LSM_OK;
    return status;
}

bool lsm_share_leave(struct lsm_share *share, uint64_t timeout_us) {
    if (share->exclusive != NULL) return share->lock_file != NULL || share->dir_file != NULL;
    struct wait wait = wait_begin(share->env, timeout_us);
    if (take(share, LSM_SHARE_OPEN, &wait, NULL) != LSM_OK) return false;
    return lsm_file_lock(share->lock_file, LSM_SHARE_PRESENT, LSM_LOCK_EXCLUSIVE, NULL) == LSM_OK;
}

/* LOCK last: who finds it free shall find the others free. */
void lsm_share_free(struct lsm_share *share) {
    if (share == NULL) return;
    if (share->left_version != 0 && !share->ready && share->page != NULL) { /* LCOV_EXCL_BR_LINE: the version came from the page */
        /* The store was not opened: the next one that comes shall know what we know. */
        lsm_page_leave_version(share->page, share->left_version);
        atomic_store_explicit(&share->page->magic, PAGE_MAGIC, memory_order_release);
    }
    lsm_slot_release(share);
    close_shm_file(share);
    lsm_file_close(share->dir_file);
    lsm_file_close(share->lock_file);
    lsm_mutex_release(&share->dead_mu);
    lsm_mutex_release(&share->mu);
    lsm_free(share->block);
    lsm_free(share->dir);
    lsm_free(share);
}

int lsm_share_check_place(struct lsm_share *share, struct lsm_error *err) {
    bool same = true;
    struct lsm_file *file = share->dir_file != NULL ? share->dir_file : share->lock_file;
    int status = file == NULL ? LSM_OK : lsm_file_same(file, &same, err);
    /* Who comes by another LOCK finds SHM locked, if it is ours. */
    if (status == LSM_OK && !same && share->dir_file == NULL && share->shm_file != NULL) status = lsm_file_same(share->shm_file, &same, err);
    if (status != LSM_OK || same) return status;
    lsm_share_set_failed(share);
    if (share->dir_file == NULL) return lsm_fail(err, LSM_READONLY, LOCK_REPLACED, share->dir);
    return lsm_fail(
        err, LSM_READONLY,
        "%s: the directory was moved, deleted or replaced while the store is open: close the store in every process, put it back, then open it again",
        share->dir);
}

/* ---- locks --------------------------------------------------------------------------------------------------------------------------- */

static int lock_busy(struct lsm_share *share, enum lsm_share_lock lock, struct lsm_error *err) {
    static const char *const doing[LSM_SHARE_LOCKS] = {[LSM_SHARE_WRITER] = "is writing",
                                                       [LSM_SHARE_MANIFEST] = "is changing the manifest",
                                                       [LSM_SHARE_FLUSH] = "is writing memtables to table files",
                                                       [LSM_SHARE_MERGE] = "is merging table files",
                                                       [LSM_SHARE_SWEEP] = "is removing files"};
    char who[LSM_SHARE_NAME_BYTES + 40];
    uint64_t holder = lock == LSM_SHARE_WRITER ? lsm_writer_owner(share) : atomic_load_explicit(&share->page->holders[lock], memory_order_relaxed);
    lsm_slot_describe(share, holder, who, sizeof who);
    return lsm_fail(err, LSM_BUSY, "%s: %s %s; try again later", share->dir, who, doing[lock]);
}

int lsm_share_lock(struct lsm_share *share, enum lsm_share_lock lock, uint64_t timeout_us, struct lsm_error *err) {
    assert(lock >= LSM_SHARE_WRITER && lock < LSM_SHARE_LOCKS && !atomic_load(&share->held[lock]));
    if (share->exclusive == NULL && lock == LSM_SHARE_WRITER) {
        if (!lsm_writer_take(share, timeout_us)) return lock_busy(share, lock, err);
    } else if (share->exclusive == NULL) {
        struct wait wait = wait_begin(share->env, timeout_us);
        int status = take(share, (uint64_t)lock, &wait, err);
        if (status == LSM_BUSY) return lock_busy(share, lock, err);
        if (status != LSM_OK) return status;
        SHARE_POINT(share, "holder");
        atomic_store_explicit(&share->page->holders[lock], share->slot + 1, memory_order_relaxed);
    }
    atomic_store_explicit(&share->held[lock], true, memory_order_relaxed);
    int status = lock == LSM_SHARE_MANIFEST ? lsm_share_check_place(share, err) : LSM_OK;
    if (status != LSM_OK) lsm_share_unlock(share, lock);
    return status;
}

void lsm_share_unlock(struct lsm_share *share, enum lsm_share_lock lock) {
    assert(atomic_load(&share->held[lock]));
    atomic_store_explicit(&share->held[lock], false, memory_order_relaxed); /* first: another thread may take it as soon as it is free */
    if (share->exclusive != NULL) return;
    if (lock == LSM_SHARE_WRITER) {
        lsm_writer_give(share);
        return;
    }
    if (lsm_file_lock(share->lock_file, (uint64_t)lock, LSM_UNLOCK, NULL) != LSM_OK) { /* Unlocking fails only on a file that is dead already. */
    }
}
