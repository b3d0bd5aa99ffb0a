/* Disk space that is held back, because deleting takes space before it gives any back.
 *
 *   RESERVE   blocks and nothing in them: allocated, never written, read or synced. What a crash makes of it does not matter, nor whether it is there
 *
 *   who adds rows                    makes it whole before the log takes more of the disk, or is refused: what a flush or merge took comes back first
 *   who only deletes                 when the disk is full the log takes of it, down to the half
 *   a flush, a spill, a compaction   when the disk is full they take of it what they need, all of it if need be; behind them it is made whole as far as that goes
 *   a merge nobody has asked for     the same, if it is sure to fit
 *
 * So a disk that is full has room for tombstones, and for the flush and the merge that turn them into free space, if what is left of the rows fits in.
 * Processes do not agree on it. Whoever looks sees the file as it is; two who change it at a time make it larger or smaller than it should be, until the next one looks.
 */
#include "../env/filename.h"
#include "../env/os_error.h"
#include "store.h"

enum {
    STEP_BYTES = 64 * 1024, /* by which it grows and shrinks; a smaller one is none */
    LOG_EIGHTHS = 5,        /* of what is in the log and not flushed: what is packed takes about half of that, and rows that cannot be packed are */
                            /* flushed when half of them are deleted */
    TABLES_SHARE = 32,      /* one part in so many of the table files: for tombstones */
    KEPT_SHARE = 2,         /* one part in so many the log leaves to the flush, where tombstones take up to four fifths as much */
    CHUNK_BYTES = 16 * STEP_BYTES, /* what a job takes at once: the rest nobody else can take meanwhile */
    DROP_BYTES = 4 * STEP_BYTES,
    WAY_PATIENCE_MS = 500, /* for jobs of this process at work */
    WAY_OPEN_US = 1000000  /* in which none begins: SQLite writes to the disk */
};

/* How large it should be when the log has `more` bytes more. Locks: takes mu. */
static uint64_t wanted(struct lsm_store *store, uint64_t more) {
    struct lsm_state *state = lsm_store_ref_state(store);
    uint64_t start = state->gens[state->gens_count - 1]->start, end = atomic_load_explicit(&store->published, memory_order_relaxed);
    uint64_t log = (end > start ? end - start : 0) + more;
    uint64_t bytes = log / 8 * LOG_EIGHTHS + state->version->bytes / TABLES_SHARE;
    lsm_state_unref(state);
    if (bytes > store->options.reserve_bytes) bytes = store->options.reserve_bytes;
    return bytes / STEP_BYTES * STEP_BYTES;
}

/* The file and its size; LSM_NOTFOUND: there is none. Not where writing has failed: the directory may not be the store's any more. */
static int open_reserve(struct lsm_store *store, unsigned flags, struct lsm_file **file, uint64_t *size) {
    char *path = lsm_file_path(store->dir, LSM_FILE_RESERVE, 0);
    *file = NULL;
    *size = 0;
    int status = path == NULL ? LSM_NOMEM : lsm_store_check_failed(store, NULL);
    if (status == LSM_OK) status = lsm_env_open(store->env, path, flags, &store->perm, file, NULL);
    if (status == LSM_OK) status = lsm_file_size(*file, size, NULL);
    lsm_free(path);
    return status;
}

/* Make it `size` bytes long, if it is longer. False: it is as long as it was. */
static bool cut(struct lsm_file *file, uint64_t before, uint64_t size) { return size < before && lsm_file_truncate(file, size, NULL) == LSM_OK; }

/* LSM_FULL: there is no space for so much. Whatever else keeps it small is no reason to keep rows out. */
static int grow(struct lsm_file *file, uint64_t before, uint64_t size, struct lsm_error *err) {
    struct lsm_error why = {0};
    int status = lsm_file_allocate(file, before, size - before, &why);
    if (status == LSM_OK || !lsm_os_lacks_space(&why)) return LSM_OK;
    return lsm_fail(
        err, LSM_FULL,
        "%s: no space left for %llu bytes that are held back for deleting rows on a full disk; free some space and try again: by other means, or "
        "delete rows and SELECT lsm_compact()",
        file->path, (unsigned long long)size);
}

int lsm_reserve_keep(struct lsm_store *store, uint64_t more, struct lsm_error *err) {
    struct lsm_file *file;
    uint64_t size, bytes = wanted(store, more);
    int status = LSM_OK;
    if (bytes == 0) return LSM_OK;
    if (open_reserve(store, LSM_OPEN_WRITE | LSM_OPEN_CREATE, &file, &size) == LSM_OK && size < bytes) status = grow(file, size, bytes, err);
    lsm_file_close(file);
    return status;
}

void lsm_reserve_refill(struct lsm_store *store) {
    if (atomic_load_explicit(&store->reserve_used, memory_order_relaxed) && lsm_reserve_keep(store, 0, NULL) == LSM_OK)
        atomic_store_explicit(&store->reserve_used, false, memory_order_relaxed);
}

void lsm_reserve_fit(struct lsm_store *store) {
    struct lsm_file *file;
    uint64_t size;
    if (lsm_store_guard(store, NULL) != LSM_OK) return;
    uint64_t bytes = wanted(store, 0);
    int status = open_reserve(store, bytes == 0 ? LSM_OPEN_WRITE : LSM_OPEN_WRITE | LSM_OPEN_CREATE, &file, &size);
    if (status == LSM_OK && size < bytes) status = grow(file, size, bytes, NULL);
    if (status == LSM_OK && bytes != 0) (void)cut(file, size, bytes);
    if (status == LSM_OK && bytes == 0) status = lsm_env_unlink(store->env, file->path, NULL);
    lsm_file_close(file);
    if (status != LSM_OK) { /* It is too large or too small until somebody looks again. */
    }
}

/* Let go of `bytes`, in steps, but keep `least`. True: so many may be had now. */
static bool give(struct lsm_store *store, uint64_t bytes, uint64_t least) {
    struct lsm_file *file;
    uint64_t size, share = (bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    bool given =
        open_reserve(store, LSM_OPEN_WRITE, &file, &size) == LSM_OK && size >= share && size - share >= least && cut(file, size, size - share);
    lsm_file_close(file);
    return given;
}

bool lsm_reserve_lend(struct lsm_store *store, uint64_t bytes, const struct lsm_error *why) {
    bool lent = lsm_os_lacks_space(why) && give(store, bytes, wanted(store, 0) / KEPT_SHARE);
    if (lent) atomic_store_explicit(&store->reserve_used, true, memory_order_relaxed);
    return lent;
}

bool lsm_reserve_find(void *arg, uint64_t bytes, const struct lsm_error *why) {
    struct lsm_store *store = arg;
    bool found = lsm_os_lacks_space(why) && (give(store, bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES, 0) || give(store, bytes, 0));
    if (found) atomic_store_explicit(&store->reserve_used, true, memory_order_relaxed);
    return found;
}

uint64_t lsm_reserve_bytes(struct lsm_store *store) {
    struct lsm_file *file;
    uint64_t size;
    if (open_reserve(store, LSM_OPEN_READ, &file, &size) != LSM_OK) size = 0;
    lsm_file_close(file);
    return size;
}

/* Is there no space for one step more? */
static bool is_full(struct lsm_store *store) {
    struct lsm_file *file;
    uint64_t size;
    struct lsm_error why = {0};
    bool full = open_reserve(store, LSM_OPEN_WRITE, &file, &size) == LSM_OK && lsm_file_allocate(file, size, STEP_BYTES, &why) != LSM_OK &&
                lsm_os_lacks_space(&why);
    if (file != NULL) (void)cut(file, UINT64_MAX, size);
    lsm_file_close(file);
    return full;
}

void lsm_store_make_way(struct lsm_store *store) {
    if (lsm_store_guard(store, NULL) != LSM_OK || store->options.read_only || !is_full(store)) return;
    /* A flush or merge that is at work may have the reserve in hand, and would take what is given up: on a full disk it soon ends. */
    bool claimed = lsm_work_try_both(store);
    for (int i = 0; i < WAY_PATIENCE_MS && !claimed; i++) {
        lsm_env_sleep_us(store->env, 1000);
        claimed = lsm_work_try_both(store);
    }
    lsm_reserve_refill(store);
    bool given = give(store, DROP_BYTES, 0) || give(store, STEP_BYTES, 0);
    uint64_t until = lsm_env_monotonic_us(store->env) + WAY_OPEN_US;
    lsm_mutex_lock(&store->mu);
    for (int work = 0; work < LSM_WORK_KINDS && given; work++)
        if (store->wait_until_us[work] < until) store->wait_until_us[work] = until;
    lsm_mutex_unlock(&store->mu);
    for (int work = 0; work < LSM_WORK_KINDS && claimed; work++) lsm_work_done(store, (enum lsm_work)work, LSM_WORK_SAYS_NOTHING, NULL);
}
