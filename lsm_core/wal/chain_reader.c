#include "chain.h"

#include <inttypes.h>

#include "../codec/coding.h"
#include "../codec/hash.h"

enum {
    READ_BYTES = 256 * 1024, /* one read of recovery: large enough to hide the call, small enough to stay in the cache */
    SCAN_BYTES = 64 * 1024   /* one read of the search for witnesses, mostly over zeros */
};

struct lsm_chain_reader {
    const struct lsm_chain_type *type;
    struct lsm_file *file;
    struct lsm_chain_header header;
    uint64_t seed;
    uint64_t file_bytes;
    uint64_t end, check, synced;

    struct lsm_buf window; /* the file's bytes from window_offset on */
    uint64_t window_offset;
};

static uint64_t offset_of(const struct lsm_chain_reader *reader, uint64_t position) {
    return LSM_CHAIN_HEADER_BYTES + (position - reader->header.start);
}

/* Forget what was read: the file may have changed. */
static int refresh(struct lsm_chain_reader *reader, struct lsm_error *err) {
    lsm_buf_reset(&reader->window);
    return lsm_file_size(reader->file, &reader->file_bytes, err);
}

/* *bytes: `size` bytes at `offset`, valid until the next call. LSM_NOTFOUND if the file has not so many; it is asked before memory is
 * taken, so a damaged length allocates no more than the file holds. */
static int need(struct lsm_chain_reader *reader, uint64_t offset, uint64_t size, const uint8_t **bytes, struct lsm_error *err) {
    struct lsm_buf *window = &reader->window;
    uint64_t skip = offset - reader->window_offset;
    if (offset >= reader->window_offset && skip <= window->size && size <= window->size - skip) {
        *bytes = window->data + skip;
        return LSM_OK;
    }
    if (offset > reader->file_bytes || size > reader->file_bytes - offset) return LSM_NOTFOUND;

    uint64_t left = reader->file_bytes - offset, wanted = size < READ_BYTES ? READ_BYTES : size;
    if (wanted > left) wanted = left;
    lsm_buf_reset(window);
    if (lsm_buf_reserve(window, (size_t)wanted) != LSM_OK) return lsm_fail_nomem(err, (size_t)wanted);
    size_t got = 0;
    int status = lsm_file_read_at(reader->file, offset, window->data, (size_t)wanted, &got, err);
    if (status != LSM_OK) return status;
    window->size = got;
    reader->window_offset = offset;
    *bytes = window->data;
    return size <= got ? LSM_OK : LSM_NOTFOUND;
}

static bool all_zero(const uint8_t *bytes, size_t size) { return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0); }

/* ---- looking for witnesses ------------------------------------------------------------------------------------- */

#define ANY_START (UINT64_C(1) << 62)

struct witness {
    struct lsm_chain_reader *reader;
    bool start_known;      /* false: the file header is damaged, and the file taken to start at ANY_START */
    uint64_t synced_above; /* a record matters that says more than this was synced */
    uint64_t budget;       /* bytes that may still be hashed */
};

/* As if it stood at the file's start plus this: what a place means does not depend on where the file starts. */
static uint64_t place_at(const struct lsm_chain_reader *reader, uint64_t offset) {
    return lsm_chain_place(reader->seed, reader->header.start + (offset - LSM_CHAIN_HEADER_BYTES));
}

/* Could the record header at `offset` be a witness, by its own fields? Cheap: nearly every place fails the first test. */
static bool witness_plausible(const struct witness *witness, uint64_t offset, const uint8_t *head) {
    const struct lsm_chain_reader *reader = witness->reader;
    uint64_t above_start = offset - LSM_CHAIN_HEADER_BYTES;
    /* Of an unknown start any will do: only the distance from it counts. */
    struct lsm_chain_record record = {.position = (witness->start_known ? reader->header.start : ANY_START) + above_start};
    if (!lsm_chain_record_decode(head, place_at(reader, offset), &record)) return false;
    if (record.kind == 0 || record.synced > record.position) return false;
    if (record.synced <= witness->synced_above) return false;
    return record.length <= LSM_CHAIN_PAYLOAD_BYTES_MAX && lsm_chain_record_bytes(record.length) <= reader->file_bytes - offset;
}

/* LSM_OK if the record at offset verifies by itself, else LSM_NOTFOUND or an error. */
static int verify_alone(struct lsm_chain_reader *reader, uint64_t offset, struct lsm_error *err) {
    struct lsm_chain_record record = {0};
    const uint8_t *bytes = NULL;
    uint64_t place = place_at(reader, offset);
    int status = need(reader, offset, LSM_CHAIN_RECORD_BYTES, &bytes, err);
    if (status != LSM_OK) return status;
    if (!lsm_chain_record_decode(bytes, place, &record) || record.length > LSM_CHAIN_PAYLOAD_BYTES_MAX) return LSM_NOTFOUND;
    status = need(reader, offset, lsm_chain_record_bytes(record.length), &bytes, err);
    if (status != LSM_OK) return status;
    return lsm_chain_record_stands(bytes, place, &record) ? LSM_OK : LSM_NOTFOUND;
}

/* One chunk of the file. LSM_OK: a witness stands in it. */
static int scan_chunk(struct witness *witness, uint64_t offset, const uint8_t *chunk, size_t size, struct lsm_error *err) {
    for (size_t i = 0; i + LSM_CHAIN_RECORD_BYTES <= size; i += LSM_CHAIN_ALIGN) {
        if (!witness_plausible(witness, offset + i, chunk + i)) continue;
        uint64_t cost = lsm_chain_record_bytes(lsm_load_u32(chunk + i + 12));
        /* Only a file made for it holds so many claims; whatever is wrong with it, it is no torn tail. */
        if (cost > witness->budget) return LSM_OK;
        witness->budget -= cost;
        int status = verify_alone(witness->reader, offset + i, err);
        if (status != LSM_NOTFOUND) return status;
    }
    return LSM_NOTFOUND;
}

/* LSM_OK if a witness stands at `offset` (a multiple of LSM_CHAIN_ALIGN) or behind, LSM_NOTFOUND if none does. */
static int scan(struct witness *witness, uint64_t offset, struct lsm_error *err) {
    uint64_t file_bytes = witness->reader->file_bytes;
    int status = LSM_NOTFOUND;
    if (offset >= file_bytes || file_bytes - offset < LSM_CHAIN_RECORD_BYTES) return LSM_NOTFOUND;
    size_t chunk_bytes = file_bytes - offset < SCAN_BYTES ? (size_t)(file_bytes - offset) : SCAN_BYTES;
    uint8_t *chunk = lsm_malloc(chunk_bytes);
    if (chunk == NULL) return lsm_fail_nomem(err, chunk_bytes);

    witness->budget = file_bytes > UINT64_MAX / 8 ? UINT64_MAX : 4 * file_bytes; /* LCOV_EXCL_BR_LINE: no file is so large */
    while (status == LSM_NOTFOUND) {
        size_t got = 0;
        status = lsm_file_read_at(witness->reader->file, offset, chunk, chunk_bytes, &got, err);
        if (status != LSM_OK) break;
        status = LSM_NOTFOUND;
        if (got < LSM_CHAIN_RECORD_BYTES) break;
        if (!all_zero(chunk, got)) status = scan_chunk(witness, offset, chunk, got, err);
        /* The next chunk begins with the first place whose header this one did not hold whole. */
        offset += (got - LSM_CHAIN_RECORD_BYTES) / LSM_CHAIN_ALIGN * LSM_CHAIN_ALIGN + LSM_CHAIN_ALIGN;
    }
    lsm_free(chunk);
    return status;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

/* The header does not verify. LSM_OK: it was never finished; LSM_CORRUPT: it was. `head` is what stands in its place. */
static int judge_header(struct lsm_chain_reader *reader, const uint8_t *head, const uint8_t *store_id, struct lsm_error *err) {
    struct witness witness = {.reader = reader, .start_known = false, .synced_above = ANY_START - 1};
    bool written = memcmp(head, reader->type->magic, 8) == 0 || memcmp(head + 16, store_id, LSM_STORE_ID_BYTES) == 0;
    int status = written ? verify_alone(reader, LSM_CHAIN_HEADER_BYTES, err) : LSM_NOTFOUND;
    if (status == LSM_NOTFOUND) status = scan(&witness, LSM_CHAIN_HEADER_BYTES, err);
    if (status == LSM_NOTFOUND) return LSM_OK;
    if (status != LSM_OK) return status;
    return lsm_fail(err, LSM_CORRUPT, "%s: offset 0: the %s's header is damaged, but valid records are behind it; restore this file from a backup",
                    reader->file->path, reader->type->name);
}

static int check_header(const struct lsm_chain_reader *reader, const uint8_t *store_id, uint64_t number, struct lsm_error *err) {
    const struct lsm_chain_header *header = &reader->header;
    const char *path = reader->file->path, *name = reader->type->name;
    if (header->version != LSM_CHAIN_VERSION) {
        return lsm_fail(err, LSM_UNSUPPORTED, "%s: %s format version %" PRIu32 ", this release knows version %d; use %s", path, name, header->version,
                        LSM_CHAIN_VERSION,
                        header->version > LSM_CHAIN_VERSION ? "a newer release" : "what it was written with, which was no release");
    }
    if (header->flags != 0) {
        return lsm_fail(err, LSM_UNSUPPORTED, "%s: %s with unknown format flags 0x%" PRIx32 "; use a newer release", path, name, header->flags);
    }
    if (memcmp(header->store_id, store_id, LSM_STORE_ID_BYTES) != 0) {
        return lsm_fail(err, LSM_MISMATCH, "%s: this %s belongs to another store", path, name);
    }
    if (header->number != number) {
        return lsm_fail(err, LSM_CORRUPT, "%s: the header says that this is %s number %" PRIu64 ", not %" PRIu64 "; was the file renamed?", path,
                        name, header->number, number);
    }
    if (header->start % LSM_CHAIN_ALIGN != 0 || header->start > (uint64_t)INT64_MAX) {
        return lsm_fail(err, LSM_CORRUPT, "%s: offset 40: impossible start position %" PRIu64, path, header->start);
    }
    return LSM_OK;
}

/* *unfinished: LSM_OK, but there is no header yet. */
static int read_header(struct lsm_chain_reader *reader, const uint8_t *store_id, uint64_t number, bool *unfinished, struct lsm_error *err) {
    const uint8_t *bytes = NULL;
    uint8_t head[LSM_CHAIN_HEADER_BYTES];
    int status = refresh(reader, err);
    if (status != LSM_OK) return status;
    status = need(reader, 0, sizeof head, &bytes, err);
    *unfinished = status == LSM_NOTFOUND;
    if (status == LSM_NOTFOUND) return LSM_OK;
    if (status != LSM_OK) return status;

    memcpy(head, bytes, sizeof head);
    if (!lsm_chain_header_decode(reader->type, head, &reader->header)) {
        *unfinished = true;
        return judge_header(reader, head, store_id, err);
    }
    status = check_header(reader, store_id, number, err);
    reader->seed = lsm_chain_seed(reader->type, store_id, number, reader->header.start);
    reader->end = reader->header.start;
    reader->check = reader->header.prev_check;
    return status;
}

int lsm_chain_open(struct lsm_env *env, const char *path, const struct lsm_chain_type *type, const uint8_t *store_id, uint64_t number,
                   struct lsm_chain_reader **reader, struct lsm_error *err) {
    *reader = NULL;
    struct lsm_chain_reader *opened = lsm_calloc(1, sizeof *opened);
    if (opened == NULL) return lsm_fail_nomem(err, sizeof *opened);
    opened->type = type;
    opened->seed = lsm_chain_seed(type, store_id, number, 0);

    bool unfinished = false;
    int status = lsm_env_open(env, path, LSM_OPEN_READ, NULL, &opened->file, err);
    if (status == LSM_OK) status = read_header(opened, store_id, number, &unfinished, err);
    if (status != LSM_OK || unfinished) {
        lsm_chain_close(opened);
        return status;
    }
    *reader = opened;
    return LSM_OK;
}

void lsm_chain_close(struct lsm_chain_reader *reader) {
    if (reader == NULL) return;
    lsm_file_close(reader->file);
    lsm_buf_free(&reader->window);
    lsm_free(reader);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* The record at the reader's end, not yet taken. LSM_NOTFOUND: none that verifies and chains. */
static int load(struct lsm_chain_reader *reader, struct lsm_chain_record *record, struct lsm_error *err) {
    uint64_t offset = offset_of(reader, reader->end), place = lsm_chain_place(reader->seed, reader->end);
    const uint8_t *bytes = NULL;
    int status = need(reader, offset, LSM_CHAIN_RECORD_BYTES, &bytes, err);
    if (status != LSM_OK) return status;
    *record = (struct lsm_chain_record){.position = reader->end, .prev = reader->check};
    if (!lsm_chain_record_decode(bytes, place, record) || record->length > LSM_CHAIN_PAYLOAD_BYTES_MAX) return LSM_NOTFOUND;

    size_t length = record->length, size = (size_t)lsm_chain_record_bytes(length), body = LSM_CHAIN_RECORD_BYTES + length;
    status = need(reader, offset, size, &bytes, err);
    if (status != LSM_OK) return status;
    uint64_t check = lsm_chain_check_of(lsm_hash(bytes + 8, body - 8, place), record->prev);
    if (check != record->check || !all_zero(bytes + body, size - body)) return LSM_NOTFOUND;

    const char *path = reader->file->path, *name = reader->type->name;
    if (record->kind >= 32 || (reader->type->kinds >> record->kind & 1u) == 0) {
        return lsm_fail(err, LSM_UNSUPPORTED, "%s: offset %" PRIu64 ": %s record of unknown kind %u; use a newer release", path, offset, name,
                        (unsigned)record->kind);
    }
    if (record->synced > record->position) {
        return lsm_fail(err, LSM_CORRUPT, "%s: offset %" PRIu64 ": %s record at position %" PRIu64 " claims that something below 0 was synced", path,
                        offset, name, record->position);
    }
    record->end = record->position + size;
    record->payload = lsm_slice_of(bytes + LSM_CHAIN_RECORD_BYTES, length);
    return LSM_OK;
}

/* Nothing verifies at the reader's end. LSM_OK: yet it was durable once; LSM_NOTFOUND: nobody says so. (Records before it cannot know: what
 * they say was synced is not above their own position.) */
static int was_durable(struct lsm_chain_reader *reader, uint64_t known_synced, struct lsm_error *err) {
    if (reader->end < known_synced) return LSM_OK;
    struct witness witness = {.reader = reader, .start_known = true, .synced_above = reader->end};
    return scan(&witness, offset_of(reader, reader->end) + LSM_CHAIN_ALIGN, err);
}

static int load_anew(struct lsm_chain_reader *reader, struct lsm_chain_record *record, struct lsm_error *err) {
    int status = refresh(reader, err);
    return status == LSM_OK ? load(reader, record, err) : status;
}

/* Is there a next record, an end, or damage? The file may be growing while we look: what was read before is looked at again before it
 * is called the end, and once more before it is called damage, because a witness may have been appended after we looked. */
static int find(struct lsm_chain_reader *reader, uint64_t known_synced, struct lsm_chain_record *record, struct lsm_error *err) {
    int status = load(reader, record, err);
    if (status == LSM_NOTFOUND) status = load_anew(reader, record, err);
    if (status != LSM_NOTFOUND) return status;
    status = was_durable(reader, known_synced, err);
    if (status != LSM_OK) return status;
    status = load_anew(reader, record, err);
    if (status != LSM_NOTFOUND) return status;
    return lsm_fail(err, LSM_CORRUPT,
                    "%s: offset %" PRIu64 ": the %s record at position %" PRIu64 " is damaged or missing, though it was durable once; restore this "
                    "file from a backup",
                    reader->file->path, offset_of(reader, reader->end), reader->type->name, reader->end);
}

static void take(struct lsm_chain_reader *reader, const struct lsm_chain_record *record) {
    reader->end = record->end;
    reader->check = record->check;
    if (record->synced > reader->synced) reader->synced = record->synced;
}

int lsm_chain_next(struct lsm_chain_reader *reader, uint64_t known_synced, struct lsm_chain_record *record, struct lsm_error *err) {
    int status = find(reader, known_synced, record, err);
    if (status == LSM_OK) take(reader, record);
    return status;
}

int lsm_chain_next_below(struct lsm_chain_reader *reader, uint64_t limit, struct lsm_chain_record *record, struct lsm_error *err) {
    if (reader->end >= limit) return LSM_NOTFOUND;
    /* What is below the limit does not change any more, so the window is good for ever; what is behind it is not looked at, so it never gets old. */
    uint64_t window_end = reader->window_offset + reader->window.size;
    if (window_end > offset_of(reader, limit)) lsm_buf_reset(&reader->window);
    reader->file_bytes = offset_of(reader, limit);
    int status = load(reader, record, err);
    if (status == LSM_NOTFOUND) {
        /* Read before it was published, in a call without a limit. */
        lsm_buf_reset(&reader->window);
        status = load(reader, record, err);
    }
    if (status == LSM_OK && record->end > limit) /* LCOV_EXCL_BR_LINE: what is behind the limit is not read */
        status = LSM_NOTFOUND;
    else if (status == LSM_OK) {
        take(reader, record);
        return LSM_OK;
    }
    if (status != LSM_NOTFOUND) return status;
    return lsm_fail(err, LSM_CORRUPT,
                    "%s: offset %" PRIu64 ": the %s record at position %" PRIu64 " is damaged or missing, though it was published up to %" PRIu64
                    "; restore this file from a backup",
                    reader->file->path, offset_of(reader, reader->end), reader->type->name, reader->end, limit);
}

void lsm_chain_skip(struct lsm_chain_reader *reader, uint64_t end, uint64_t check) {
    reader->end = end;
    reader->check = check;
}

int lsm_chain_torn(struct lsm_chain_reader *reader, struct lsm_chain_record *record, bool *torn, struct lsm_error *err) {
    const uint8_t *bytes = NULL;
    *torn = false;
    int status = need(reader, offset_of(reader, reader->end), LSM_CHAIN_RECORD_BYTES, &bytes, err);
    if (status == LSM_NOTFOUND) return LSM_OK;
    if (status != LSM_OK) return status;
    *record = (struct lsm_chain_record){.position = reader->end, .prev = reader->check};
    *torn = lsm_chain_record_decode(bytes, lsm_chain_place(reader->seed, reader->end), record);
    record->end = record->position + lsm_chain_record_bytes(record->length);
    return LSM_OK;
}

const struct lsm_chain_header *lsm_chain_header(const struct lsm_chain_reader *reader) { return &reader->header; }
uint64_t lsm_chain_end(const struct lsm_chain_reader *reader) { return reader->end; }
uint64_t lsm_chain_end_offset(const struct lsm_chain_reader *reader) { return offset_of(reader, reader->end); }
uint64_t lsm_chain_check(const struct lsm_chain_reader *reader) { return reader->check; }
uint64_t lsm_chain_synced(const struct lsm_chain_reader *reader) { return reader->synced; }
uint64_t lsm_chain_file_bytes(const struct lsm_chain_reader *reader) { return reader->file_bytes; }
