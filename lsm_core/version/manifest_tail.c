/* Reading a manifest: all of it, or on from where it was last read to the end. */
#include <assert.h>
#include <inttypes.h>

#include "../env/filename.h"
#include "../wal/chain.h"
#include "manifest.h"

enum { SECTOR_BYTES = 512 /* what a disk writes whole or not at all */ };

struct lsm_manifest_tail {
    struct lsm_chain_reader *chain;
    char *path;
    struct lsm_manifest_found found; /* as far as it was read; torn is judged at the end only */
};

static uint64_t offset_of(uint64_t position) { return LSM_CHAIN_HEADER_BYTES + position; }

int lsm_manifest_tail_open(struct lsm_env *env, const char *dir, const uint8_t *store_id, uint64_t number, struct lsm_manifest_tail **tail,
                           struct lsm_error *err) {
    *tail = NULL;
    struct lsm_manifest_tail *opened = lsm_calloc(1, sizeof *opened);
    if (opened == NULL) return lsm_fail_nomem(err, sizeof *opened);
    opened->found.number = number;
    memcpy(opened->found.store_id, store_id, LSM_STORE_ID_BYTES);
    opened->path = lsm_file_path(dir, LSM_FILE_MANIFEST, number);
    int status = opened->path == NULL ? lsm_fail_nomem(err, strlen(dir)) : LSM_OK;
    if (status == LSM_OK) status = lsm_chain_open(env, opened->path, &lsm_chain_manifest, store_id, number, &opened->chain, err);
    if (status == LSM_MISMATCH) status = lsm_fail(err, LSM_CORRUPT, "%s: belongs to another store than the CURRENT that names it", opened->path);
    if (status == LSM_OK && opened->chain == NULL)
        status = lsm_fail(err, LSM_CORRUPT, "%s: offset 0: the header is damaged or missing; restore the store from a backup", opened->path);
    if (status != LSM_OK) {
        lsm_manifest_tail_close(opened);
        return status;
    }
    opened->found.bytes = lsm_chain_end_offset(opened->chain);
    *tail = opened;
    return LSM_OK;
}

void lsm_manifest_tail_close(struct lsm_manifest_tail *tail) {
    if (tail == NULL) return;
    lsm_chain_close(tail->chain);
    lsm_free(tail->path);
    lsm_free(tail);
}

const struct lsm_manifest_found *lsm_manifest_tail_found(const struct lsm_manifest_tail *tail) { return &tail->found; }

void lsm_manifest_tail_skip(struct lsm_manifest_tail *tail, const struct lsm_manifest *manifest) {
    uint64_t check = 0, end = lsm_manifest_bytes(manifest) - LSM_CHAIN_HEADER_BYTES;
    tail->found.last = lsm_manifest_last(manifest, &check);
    lsm_chain_skip(tail->chain, end, check);
    tail->found.bytes = lsm_manifest_bytes(manifest);
    tail->found.check = check;
    tail->found.torn = false;
}

static int replay_record(const struct lsm_chain_record *record, const char *path, lsm_manifest_apply_fn apply, void *arg, struct lsm_error *err) {
    struct lsm_edit edit = {0};
    struct lsm_error why = {0};
    uint64_t offset = offset_of(record->position);
    int status = lsm_edit_decode(record->payload, &edit, &why);
    if (status != LSM_OK) return lsm_fail(err, status, "%s: offset %" PRIu64 ": %.300s", path, offset, why.text);
    if (record->position == 0 && !edit.full) {
        status = lsm_fail(err, LSM_CORRUPT, "%s: offset %" PRIu64 ": the first record is not a full one", path, offset);
    } else {
        status = apply(arg, &edit, err);
    }
    lsm_edit_release(&edit);
    return status;
}

/* The chain has ended. Was its end torn off, or is that damage? Every append was durable before the next, so only the last can be torn. */
static int judge_end(struct lsm_manifest_tail *tail, struct lsm_error *err) {
    struct lsm_chain_record last;
    bool torn = false;
    uint64_t offset = lsm_chain_end_offset(tail->chain), file_bytes = lsm_chain_file_bytes(tail->chain);
    tail->found.torn = offset != file_bytes;
    if (offset == LSM_CHAIN_HEADER_BYTES) {
        return lsm_fail(err, LSM_CORRUPT, "%s: offset %" PRIu64 ": the first record is damaged; restore the store from a backup", tail->path, offset);
    }
    if (!tail->found.torn) return LSM_OK;
    int status = lsm_chain_torn(tail->chain, &last, &torn, err);
    if (status != LSM_OK || !torn) return status;
    /* A header that lies in two sectors can be torn itself, and its length be zeros. */
    bool one_sector = offset / SECTOR_BYTES == (offset + LSM_CHAIN_RECORD_BYTES - 1) / SECTOR_BYTES;
    if (one_sector && offset_of(last.end) < file_bytes) {
        return lsm_fail(err, LSM_CORRUPT, "%s: offset %" PRIu64 ": a record is damaged and not the last; restore the store from a backup", tail->path,
                        offset);
    }
    return LSM_OK;
}

/* One record. LSM_NOTFOUND: there is none up to `bytes`. */
static int read_one(struct lsm_manifest_tail *tail, uint64_t bytes, struct lsm_chain_record *record, struct lsm_error *err) {
    if (bytes == UINT64_MAX) return lsm_chain_next(tail->chain, 0, record, err);
    return lsm_chain_next_below(tail->chain, bytes - LSM_CHAIN_HEADER_BYTES, record, err);
}

int lsm_manifest_tail_read(struct lsm_manifest_tail *tail, uint64_t bytes, lsm_manifest_apply_fn apply, void *arg, struct lsm_error *err) {
    struct lsm_chain_record record;
    int status = LSM_OK;
    while (status == LSM_OK) {
        status = read_one(tail, bytes, &record, err);
        if (status != LSM_OK) break;
        struct lsm_manifest_found before = tail->found;
        tail->found.last = record.position == 0 ? 0 : offset_of(record.position);
        tail->found.bytes = lsm_chain_end_offset(tail->chain);
        tail->found.check = lsm_chain_check(tail->chain);
        tail->found.torn = false;
        status = replay_record(&record, tail->path, apply, arg, err);
        if (status == LSM_OK) continue;
        /* It is read again next time. */
        tail->found = before;
        lsm_chain_skip(tail->chain, record.position, record.prev);
    }
    if (status != LSM_NOTFOUND) return status;
    return bytes == UINT64_MAX ? judge_end(tail, err) : LSM_OK;
}

int lsm_manifest_replay(struct lsm_env *env, const char *dir, const uint8_t *store_id, lsm_manifest_apply_fn apply, void *arg,
                        struct lsm_manifest_found *found, struct lsm_error *err) {
    struct lsm_manifest_tail *tail = NULL;
    *found = (struct lsm_manifest_found){0};
    int status = lsm_manifest_named(env, dir, &found->number, found->store_id, err);
    if (status != LSM_OK) return status;
    if (store_id != NULL && memcmp(store_id, found->store_id, LSM_STORE_ID_BYTES) != 0) {
        return lsm_fail(err, LSM_MISMATCH, "%s: holds another store than the one asked for", dir);
    }
    status = lsm_manifest_tail_open(env, dir, found->store_id, found->number, &tail, err);
    if (status == LSM_NOTFOUND)
        return lsm_fail(err, LSM_CORRUPT, "%s: MANIFEST-%08" PRIu64 " is missing, though CURRENT names it; restore the store from a backup", dir,
                        found->number);
    if (status == LSM_OK) status = lsm_manifest_tail_read(tail, UINT64_MAX, apply, arg, err);
    if (tail != NULL) *found = tail->found;
    lsm_manifest_tail_close(tail);
    return status;
}
