#include "wal.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "../codec/coding.h"
#include "../codec/hash.h"
#include "../env/filename.h"
#include "../env/os_error.h"
#include "../env/sync.h"
#include "chain.h"

_Static_assert((int)LSM_WAL_HEADER_BYTES == (int)LSM_CHAIN_HEADER_BYTES, "a log is a chained file");
_Static_assert((int)LSM_WAL_RECORD_HEADER_BYTES == (int)LSM_CHAIN_RECORD_BYTES, "a log is a chained file");
_Static_assert((int)LSM_WAL_ALIGN == (int)LSM_CHAIN_ALIGN, "a log is a chained file");
_Static_assert(LSM_WAL_PAYLOAD_BYTES_MAX == LSM_CHAIN_PAYLOAD_BYTES_MAX, "a log is a chained file");

enum {
    STEP_BYTES_MIN = 64 * 1024,       /* first preallocation: a small database should not pay for a large one */
    STEP_BYTES_MAX = 4 * 1024 * 1024, /* later ones: rare enough to cost nothing, and not much to give back */
    GATHER_BYTES_MAX = 1024 * 1024,   /* a larger record is written piece by piece instead of being copied */
    BUFFER_BYTES_MIN = 4096           /* had from the start, so that a COMMIT or ABORT never fails for want of memory */
};

struct lsm_wal_writer {
    /* Immutable after open. */
    struct lsm_env *env;
    char *dir;
    struct lsm_file *file;
    uint64_t generation, start, seed;

    /* Appending thread only. */
    uint64_t check;     /* of the last record */
    uint64_t allocated; /* file size that needs no more space */
    uint64_t step_bytes;
    struct lsm_buf buffer;
    bool spoilt; /* at `end` a record may lie, on the disk too, whose append has failed */

    /* Guarded by mutex: one sync at a time. */
    struct lsm_mutex mutex;
    bool named; /* the directory entry is durable */

    /* Atomic. end is stored (release) after the record's bytes are written and loaded (acquire) before a sync: what it counts is synced.
     * poisoned is stored (release) after why is written, which never changes again. */
    _Atomic uint64_t end, synced;
    _Atomic bool poisoned;
    struct lsm_error why;
};

static uint64_t offset_of(const struct lsm_wal_writer *writer, uint64_t position) { return LSM_WAL_HEADER_BYTES + (position - writer->start); }

static void writer_free(struct lsm_wal_writer *writer) {
    lsm_file_close(writer->file);
    lsm_mutex_release(&writer->mutex);
    lsm_buf_free(&writer->buffer);
    lsm_free(writer->dir);
    lsm_free(writer);
}

/* All the memory a writer needs. NULL: out of memory. */
static struct lsm_wal_writer *writer_new(struct lsm_env *env, const char *dir, const uint8_t *store_id, uint64_t generation, uint64_t start) {
    struct lsm_wal_writer *writer = lsm_calloc(1, sizeof *writer);
    if (writer == NULL) return NULL;
    if (lsm_mutex_init(&writer->mutex) != LSM_OK) {
        lsm_free(writer);
        return NULL;
    }
    writer->env = env;
    writer->generation = generation;
    writer->start = start;
    writer->seed = lsm_chain_seed(&lsm_chain_log, store_id, generation, start);
    writer->step_bytes = STEP_BYTES_MIN;
    atomic_init(&writer->end, start);
    atomic_init(&writer->synced, 0);
    atomic_init(&writer->poisoned, false);
    writer->dir = lsm_strdup(dir);
    if (writer->dir == NULL || lsm_buf_reserve(&writer->buffer, BUFFER_BYTES_MIN) != LSM_OK) {
        writer_free(writer);
        return NULL;
    }
    return writer;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static int write_header(struct lsm_wal_writer *writer, const uint8_t *store_id, bool sync, struct lsm_error *err) {
    struct lsm_chain_header header = {.number = writer->generation, .start = writer->start, .prev_check = writer->check};
    uint8_t bytes[LSM_CHAIN_HEADER_BYTES];
    memcpy(header.store_id, store_id, LSM_STORE_ID_BYTES);
    lsm_chain_header_encode(&lsm_chain_log, &header, bytes);
    int status = lsm_file_write_at(writer->file, 0, bytes, sizeof bytes, err);
    if (status == LSM_OK && sync) status = lsm_file_sync(writer->file, err);
    if (status == LSM_OK && sync) status = lsm_env_sync_dir(writer->env, writer->dir, err);
    return status;
}

int lsm_wal_writer_create(struct lsm_env *env, const char *dir, const struct lsm_env_perm *perm, const uint8_t *store_id, uint64_t generation,
                          uint64_t start, uint64_t prev_check, bool sync, struct lsm_wal_writer **writer, struct lsm_error *err) {
    *writer = NULL;
    if (start % LSM_WAL_ALIGN != 0 || start > (uint64_t)INT64_MAX) return lsm_fail(err, LSM_MISUSE, "a log started at position %" PRIu64, start);
    struct lsm_wal_writer *made = writer_new(env, dir, store_id, generation, start);
    if (made == NULL) return lsm_fail_nomem(err, sizeof *made);
    char *path = lsm_file_path(dir, LSM_FILE_WAL, generation);
    int status = path == NULL ? lsm_fail_nomem(err, strlen(dir)) : LSM_OK;

    /* An existing file is somebody's log: it is neither overwritten nor removed here. */
    if (status == LSM_OK) status = lsm_env_open(env, path, LSM_OPEN_WRITE | LSM_OPEN_CREATE | LSM_OPEN_EXCL, perm, &made->file, err);
    if (status != LSM_OK) goto out;
    made->check = prev_check;
    made->allocated = LSM_WAL_HEADER_BYTES;
    made->named = sync;
    if (sync) atomic_store(&made->synced, start);
    status = write_header(made, store_id, sync, err);
    if (status == LSM_OK) {
        *writer = made;
        made = NULL;
    } else {
        int ignored = lsm_env_unlink(env, path, NULL); /* the first error is the one to tell */
        (void)ignored;
    }
out:
    if (made != NULL) writer_free(made);
    lsm_free(path);
    return status;
}

/* Does the open file carry this generation's header and end at `end` or behind it? *size: its size. */
static int check_attachable(const struct lsm_wal_writer *writer, const uint8_t *store_id, uint64_t end, uint64_t *size, struct lsm_error *err) {
    struct lsm_chain_header header;
    uint8_t bytes[LSM_CHAIN_HEADER_BYTES] = {0};
    size_t got = 0;
    int status = lsm_file_size(writer->file, size, err);
    if (status == LSM_OK) status = lsm_file_read_at(writer->file, 0, bytes, sizeof bytes, &got, err);
    if (status != LSM_OK) return status;
    const char *path = writer->file->path;
    if (!lsm_chain_header_decode(&lsm_chain_log, bytes, &header) || header.number != writer->generation || header.start != writer->start ||
        memcmp(header.store_id, store_id, LSM_STORE_ID_BYTES) != 0) {
        return lsm_fail(err, LSM_CORRUPT, "%s: offset 0: the header is not the one read before", path);
    }
    if (end < writer->start || end % LSM_WAL_ALIGN != 0 || *size < offset_of(writer, end)) {
        return lsm_fail(err, LSM_MISUSE, "%s: %" PRIu64 " bytes long, but the log ends at position %" PRIu64 "; start a new generation", path, *size,
                        end);
    }
    return LSM_OK;
}

/* Writer only. The log ends at `end`, in a file of `size` bytes. */
static void stand_at(struct lsm_wal_writer *writer, uint64_t size, uint64_t end, uint64_t check, uint64_t synced) {
    writer->check = check;
    writer->allocated = size;
    atomic_store(&writer->end, end);
    /* Who created the file may never have synced its directory: named stays false and the first sync does it. Nor its header: as long as nothing behind that is
     * known to be durable no record may tell that what is before it is, because that proves a durable header (format.md). Before the start is enough: no record
     * ends between the two. */
    if (synced > end) synced = end;
    if (synced == writer->start && synced > 0) synced -= LSM_WAL_ALIGN;
    if (synced > lsm_wal_writer_synced(writer)) atomic_store(&writer->synced, synced);
}

/* Open a file that is there. */
static int writer_open(struct lsm_wal_writer *writer, const uint8_t *store_id, uint64_t end, uint64_t *size, struct lsm_error *err) {
    char *path = lsm_file_path(writer->dir, LSM_FILE_WAL, writer->generation);
    int status = path == NULL ? lsm_fail_nomem(err, strlen(writer->dir)) : LSM_OK;
    if (status == LSM_OK) status = lsm_env_open(writer->env, path, LSM_OPEN_WRITE, NULL, &writer->file, err);
    if (status == LSM_OK) status = check_attachable(writer, store_id, end, size, err);
    lsm_free(path);
    return status;
}

int lsm_wal_writer_attach(struct lsm_env *env, const char *dir, const uint8_t *store_id, uint64_t generation, uint64_t start, uint64_t end,
                          uint64_t prev_check, uint64_t synced, struct lsm_wal_writer **writer, struct lsm_error *err) {
    *writer = NULL;
    uint64_t size = 0;
    struct lsm_wal_writer *made = writer_new(env, dir, store_id, generation, start);
    if (made == NULL) return lsm_fail_nomem(err, sizeof *made);
    int status = writer_open(made, store_id, end, &size, err);
    if (status != LSM_OK) {
        writer_free(made);
        return status;
    }
    stand_at(made, size, end, prev_check, synced);
    *writer = made;
    return LSM_OK;
}

int lsm_wal_writer_advance(struct lsm_wal_writer *writer, uint64_t end, uint64_t check, uint64_t synced, struct lsm_error *err) {
    uint64_t size = 0;
    if (end < lsm_wal_writer_end(writer)) return lsm_fail(err, LSM_MISUSE, "%s: a log does not go back", writer->file->path);
    /* The others may have preallocated more: what they have written behind our idea of the size must not be written over by an allocation. */
    int status = lsm_file_size(writer->file, &size, err);
    if (status == LSM_OK && size < offset_of(writer, end))
        status = lsm_fail(err, LSM_CORRUPT, "%s: %" PRIu64 " bytes long, but the log ends at position %" PRIu64, writer->file->path, size, end);
    if (status == LSM_OK) stand_at(writer, size, end, check, synced);
    return status;
}

int lsm_wal_sync_generation(struct lsm_env *env, const char *dir, uint64_t generation, struct lsm_error *err) {
    struct lsm_file *file = NULL;
    char *path = lsm_file_path(dir, LSM_FILE_WAL, generation);
    if (path == NULL) return lsm_fail_nomem(err, strlen(dir));
    int status = lsm_env_open(env, path, LSM_OPEN_WRITE, NULL, &file, err);
    if (status == LSM_OK) status = lsm_file_sync(file, err);
    if (status == LSM_OK) status = lsm_env_sync_dir(env, dir, err);
    lsm_file_close(file);
    lsm_free(path);
    return status;
}

/* ---- poison ---------------------------------------------------------------------------------------------------- */

bool lsm_wal_writer_poisoned(const struct lsm_wal_writer *writer) { return atomic_load_explicit(&writer->poisoned, memory_order_acquire); }

/* Needs a poisoned writer. */
static int refuse(const struct lsm_wal_writer *writer, struct lsm_error *err) {
    return lsm_fail(err, LSM_IO, "%s: not used any more after a failure: %.300s", writer->file->path, writer->why.text);
}

/* ---- syncing --------------------------------------------------------------------------------------------------- */

/* always: even if all that was appended is synced. */
static int sync_file(struct lsm_wal_writer *writer, bool always, struct lsm_error *err) {
    int status = LSM_OK;
    lsm_mutex_lock(&writer->mutex);
    uint64_t end = lsm_wal_writer_end(writer); /* before the sync: what is appended meanwhile may miss it */
    if (lsm_wal_writer_poisoned(writer)) {
        status = refuse(writer, err);
    } else if (always || !writer->named || lsm_wal_writer_synced(writer) < end) {
        struct lsm_error why = {0};
        status = lsm_file_sync(writer->file, &why);
        if (status == LSM_OK && !writer->named) status = lsm_env_sync_dir(writer->env, writer->dir, &why);
        if (status == LSM_OK) {
            writer->named = true;
            atomic_store_explicit(&writer->synced, end, memory_order_release);
        } else if (!lsm_os_lacks_descriptor(&why)) { /* else it was the directory that could not be opened: the next sync does all of it again */
            writer->why = why;
            atomic_store_explicit(&writer->poisoned, true, memory_order_release);
        }
        if (status != LSM_OK && err != NULL) *err = why;
    }
    lsm_mutex_unlock(&writer->mutex);
    return status;
}

int lsm_wal_writer_sync(struct lsm_wal_writer *writer, struct lsm_error *err) { return sync_file(writer, false, err); }

/* ---- appending ------------------------------------------------------------------------------------------------- */

int lsm_wal_writer_reserve(struct lsm_wal_writer *writer, uint64_t bytes, struct lsm_error *err) {
    if (lsm_wal_writer_poisoned(writer)) return refuse(writer, err);
    uint64_t used = offset_of(writer, atomic_load_explicit(&writer->end, memory_order_relaxed)), wanted = used + bytes;
    if (wanted <= writer->allocated) return LSM_OK;
    if (wanted > (uint64_t)INT64_MAX - STEP_BYTES_MAX) { /* LCOV_EXCL_BR_LINE: nobody reserves more than a record */
        return lsm_fail(err, LSM_TOOBIG, "%s: %" PRIu64 " more bytes do not fit into one file", writer->file->path, bytes);
    }
    uint64_t ahead = writer->allocated + writer->step_bytes;
    if (ahead < wanted) ahead = wanted;
    int status = lsm_file_allocate(writer->file, writer->allocated, ahead - writer->allocated, err);
    if (status == LSM_OK) {
        if (writer->step_bytes < STEP_BYTES_MAX) writer->step_bytes *= 2;
        writer->allocated = ahead;
        return LSM_OK;
    }
    if (status != LSM_FULL || ahead == wanted) return status;
    /* No room to be generous: take what is needed and no more. */
    status = lsm_file_allocate(writer->file, writer->allocated, wanted - writer->allocated, err);
    if (status == LSM_OK) writer->allocated = wanted;
    return status;
}

uint64_t lsm_wal_writer_ahead(const struct lsm_wal_writer *writer, uint64_t bytes) {
    uint64_t used = offset_of(writer, atomic_load_explicit(&writer->end, memory_order_relaxed));
    uint64_t ahead = writer->allocated + writer->step_bytes;
    if (used + bytes <= writer->allocated) return 0;
    return used + bytes > ahead ? bytes : ahead - used;
}

static int write_gathered(struct lsm_wal_writer *writer, struct lsm_chain_record *record, struct lsm_slice first, struct lsm_slice second,
                          struct lsm_error *err) {
    lsm_buf_reset(&writer->buffer);
    if (lsm_chain_record_put(&writer->buffer, writer->seed, record, first, second) != LSM_OK) return lsm_fail_nomem(err, first.size + second.size);
    return lsm_file_write_reserved(writer->file, offset_of(writer, record->position), writer->buffer.data, writer->buffer.size, err);
}

static int write_slice(struct lsm_wal_writer *writer, uint64_t offset, struct lsm_slice bytes, struct lsm_error *err) {
    return bytes.size == 0 ? LSM_OK : lsm_file_write_at(writer->file, offset, bytes.data, bytes.size, err);
}

/* Payload first, header last: until the last write there is nothing that looks like a record. */
static int write_pieces(struct lsm_wal_writer *writer, struct lsm_chain_record *record, struct lsm_slice first, struct lsm_slice second,
                        struct lsm_error *err) {
    static const uint8_t zeros[LSM_CHAIN_ALIGN];
    uint8_t head[LSM_CHAIN_RECORD_BYTES];
    uint64_t place = lsm_chain_place(writer->seed, record->position);
    struct lsm_hasher *hasher = lsm_hasher_new(place);
    if (hasher == NULL) return lsm_fail_nomem(err, sizeof head);
    uint64_t payload = (uint64_t)first.size + second.size, offset = offset_of(writer, record->position);
    record->length = (uint32_t)payload;
    record->end = record->position + lsm_chain_record_bytes(payload);
    lsm_chain_record_encode(record, place, head);
    lsm_hasher_add(hasher, head + 8, sizeof head - 8);
    if (first.size > 0) lsm_hasher_add(hasher, first.data, first.size);
    if (second.size > 0) lsm_hasher_add(hasher, second.data, second.size);
    record->check = lsm_chain_check_of(lsm_hasher_digest(hasher), record->prev);
    lsm_hasher_free(hasher);
    lsm_store_u64(head, record->check);

    uint64_t body = offset + sizeof head, padding = record->end - record->position - sizeof head - payload;
    int status = write_slice(writer, body, first, err);
    if (status == LSM_OK) status = write_slice(writer, body + first.size, second, err);
    if (status == LSM_OK) status = write_slice(writer, body + payload, lsm_slice_of(zeros, (size_t)padding), err);
    if (status == LSM_OK) status = lsm_file_write_at(writer->file, offset, head, sizeof head, err);
    return status;
}

static int erase_header(const struct lsm_wal_writer *writer, uint64_t position) {
    static const uint8_t zeros[LSM_CHAIN_RECORD_BYTES];
    return lsm_file_write_at(writer->file, offset_of(writer, position), zeros, sizeof zeros, NULL);
}

/* If the write reached the file in spite, a crash would bring back what was reported as failed: before the next append, or behind it, if the power goes and
 * of the writes to the same place only the first one has reached the disk. So the zeros are synced; if they cannot be written, what comes in their place is. */
static void take_back(struct lsm_wal_writer *writer) {
    writer->spoilt = erase_header(writer, lsm_wal_writer_end(writer)) != LSM_OK;
    if (writer->spoilt) return;
    int poisons = sync_file(writer, true, NULL);
    (void)poisons;
}

void lsm_wal_writer_erase(struct lsm_wal_writer *writer, const struct lsm_wal_record *record) {
    int ignored = erase_header(writer, record->position);
    (void)ignored;
    lsm_mutex_lock(&writer->mutex);
    if (!lsm_wal_writer_poisoned(writer)) {
        int status = lsm_fail(&writer->why, LSM_IO, "a record had to be taken back");
        (void)status;
        atomic_store_explicit(&writer->poisoned, true, memory_order_release);
    }
    lsm_mutex_unlock(&writer->mutex);
}

int lsm_wal_writer_append(struct lsm_wal_writer *writer, enum lsm_wal_kind kind, uint64_t time_us, struct lsm_slice first, struct lsm_slice second,
                          struct lsm_wal_record *record, struct lsm_error *err) {
    if (lsm_wal_writer_poisoned(writer)) return refuse(writer, err);
    if (first.size > LSM_WAL_PAYLOAD_BYTES_MAX || second.size > LSM_WAL_PAYLOAD_BYTES_MAX - first.size) {
        return lsm_fail(err, LSM_TOOBIG, "transaction too large for one log record (%" PRIu64 " bytes at most); commit in smaller pieces",
                        LSM_WAL_PAYLOAD_BYTES_MAX);
    }
    uint64_t bytes = lsm_wal_record_bytes((uint64_t)first.size + second.size);
    int status = lsm_wal_writer_reserve(writer, bytes, err);
    if (status != LSM_OK) return status;

    struct lsm_chain_record put = {.position = atomic_load_explicit(&writer->end, memory_order_relaxed),
                                   .prev = writer->check,
                                   .synced = lsm_wal_writer_synced(writer),
                                   .time_us = time_us,
                                   .kind = (uint8_t)kind};
    status = bytes <= GATHER_BYTES_MAX ? write_gathered(writer, &put, first, second, err) : write_pieces(writer, &put, first, second, err);
    if (status == LSM_OK && writer->spoilt) status = sync_file(writer, true, err);
    if (status != LSM_OK) {
        take_back(writer);
        return status;
    }
    writer->spoilt = false;
    writer->check = put.check;
    atomic_store_explicit(&writer->end, put.end, memory_order_release);
    if (record != NULL) {
        *record = (struct lsm_wal_record){
            .kind = kind, .position = put.position, .end = put.end, .synced = put.synced, .time_us = time_us, .check = put.check};
    }
    return LSM_OK;
}

uint64_t lsm_wal_writer_generation(const struct lsm_wal_writer *writer) { return writer->generation; }
uint64_t lsm_wal_writer_start(const struct lsm_wal_writer *writer) { return writer->start; }
uint64_t lsm_wal_writer_end(const struct lsm_wal_writer *writer) { return atomic_load_explicit(&writer->end, memory_order_acquire); }
uint64_t lsm_wal_writer_synced(const struct lsm_wal_writer *writer) { return atomic_load_explicit(&writer->synced, memory_order_acquire); }
uint64_t lsm_wal_writer_check(const struct lsm_wal_writer *writer) { return writer->check; }

int lsm_wal_writer_close(struct lsm_wal_writer *writer, bool trim, struct lsm_error *err) {
    if (writer == NULL) return LSM_OK;
    int status = LSM_OK;
    /* A poisoned file is left as it is: nothing more is known about it. */
    if (trim && !lsm_wal_writer_poisoned(writer)) status = lsm_file_truncate(writer->file, offset_of(writer, lsm_wal_writer_end(writer)), err);
    writer_free(writer);
    return status;
}
