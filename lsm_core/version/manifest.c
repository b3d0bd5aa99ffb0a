#include "manifest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "../codec/coding.h"
#include "../codec/hash.h"
#include "../env/filename.h"
#include "../wal/chain.h"

enum { RECORD_EDIT = 1 };
/* A name, an id, a check, two spaces and a line feed; the number takes 8 to 20 digits. */
enum { CURRENT_BYTES_MAX = 9 + 20 + 1 + 2 * LSM_STORE_ID_BYTES + 1 + 16 + 1 };

struct lsm_manifest {
    struct lsm_file *file;
    uint64_t number, seed;
    uint64_t end, check; /* position behind the last record and its check */
    uint64_t last;       /* offset of the last record, 0 if it is the first */
    struct lsm_buf buffer;
    bool unusable;
    struct lsm_error why;
};

static void manifest_free(struct lsm_manifest *manifest) {
    lsm_file_close(manifest->file);
    lsm_buf_free(&manifest->buffer);
    lsm_free(manifest);
}

/* ---- CURRENT ---------------------------------------------------------------------------------------------------- */

/* Writes the line that names the manifest, at most CURRENT_BYTES_MAX bytes and a NUL; returns its length. */
static size_t current_encode(const char *name, const uint8_t *store_id, char *line, size_t line_bytes) {
    char id[2 * LSM_STORE_ID_BYTES + 1];
    for (size_t i = 0; i < LSM_STORE_ID_BYTES; i++) (void)snprintf(id + 2 * i, 3, "%02x", (unsigned)store_id[i]);
    int length = snprintf(line, line_bytes, "%s %s ", name, id);
    assert(length > 0 && (size_t)length + 17 < line_bytes);
    uint64_t check = lsm_hash(line, (size_t)length, 0);
    length += snprintf(line + length, line_bytes - (size_t)length, "%016" PRIx64 "\n", check);
    return (size_t)length;
}

static bool hex_decode(const char *hex, uint8_t *bytes, size_t count) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 2 * count; i++) {
        const char *digit = hex[i] == '\0' ? NULL : strchr(digits, hex[i]);
        if (digit == NULL) return false;
        uint8_t value = (uint8_t)(digit - digits);
        bytes[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : bytes[i / 2] | value);
    }
    return true;
}

/* `line` is NUL-terminated. Fills number and id; accepts exactly what current_encode() writes. */
static bool current_decode(char *line, size_t length, uint64_t *number, uint8_t *store_id) {
    char again[CURRENT_BYTES_MAX + 1];
    char *space = strchr(line, ' ');
    if (space == NULL || (size_t)(space - line) + 1 + 2 * LSM_STORE_ID_BYTES + 1 + 16 + 1 != length) return false;
    *space = '\0';
    bool ok = lsm_file_parse(line, number) == LSM_FILE_MANIFEST && hex_decode(space + 1, store_id, LSM_STORE_ID_BYTES);
    ok = ok && current_encode(line, store_id, again, sizeof again) == length;
    *space = ' ';
    return ok && memcmp(line, again, length) == 0;
}

int lsm_manifest_named(struct lsm_env *env, const char *dir, uint64_t *number, uint8_t *store_id, struct lsm_error *err) {
    char line[CURRENT_BYTES_MAX + 2] = {0};
    struct lsm_file *file = NULL;
    size_t got = 0;
    char *path = lsm_file_path(dir, LSM_FILE_CURRENT, 0);
    if (path == NULL) return lsm_fail_nomem(err, strlen(dir));
    int status = lsm_env_open(env, path, LSM_OPEN_READ, NULL, &file, err);
    if (status == LSM_OK) status = lsm_file_read_at(file, 0, line, sizeof line - 1, &got, err);
    if (status == LSM_OK && !current_decode(line, got, number, store_id)) {
        status = lsm_fail(err, LSM_CORRUPT, "%s: damaged: it should be one line naming the manifest; restore the store from a backup", path);
    }
    lsm_file_close(file);
    lsm_free(path);
    return status;
}

static void unlink_quietly(struct lsm_env *env, const char *path) {
    int ignored = lsm_env_unlink(env, path, NULL);
    (void)ignored;
}

static int write_synced(struct lsm_env *env, const char *path, const struct lsm_env_perm *perm, const char *bytes, size_t size,
                        const struct lsm_spare *spare, struct lsm_error *err) {
    struct lsm_file *file = NULL;
    int status = lsm_env_open(env, path, LSM_OPEN_WRITE | LSM_OPEN_CREATE, perm, &file, err);
    if (status == LSM_OK) status = lsm_file_truncate(file, 0, err); /* a crash may have left one */
    if (status == LSM_OK) status = lsm_file_write_sparing(file, 0, bytes, size, spare, err);
    if (status == LSM_OK) status = lsm_file_sync(file, err);
    lsm_file_close(file);
    return status;
}

/* Make CURRENT name the manifest at `path`. *renamed: it does, though perhaps not durably. */
static int current_replace(struct lsm_env *env, const char *dir, const struct lsm_env_perm *perm, const uint8_t *store_id, uint64_t number,
                           const char *path, const struct lsm_spare *spare, bool *renamed, struct lsm_error *err) {
    char line[CURRENT_BYTES_MAX + 1];
    uint8_t named_id[LSM_STORE_ID_BYTES];
    uint64_t named = 0;
    const char *slash = strrchr(path, '/');
    size_t length = current_encode(slash == NULL ? path : slash + 1, store_id, line, sizeof line);
    char *temp = lsm_file_path(dir, LSM_FILE_TEMP, number), *current = lsm_file_path(dir, LSM_FILE_CURRENT, 0);
    int status = temp == NULL || current == NULL ? lsm_fail_nomem(err, strlen(dir)) : LSM_OK;
    *renamed = false;
    if (status != LSM_OK) goto out;
    status = write_synced(env, temp, perm, line, length, spare, err);
    if (status == LSM_OK) {
        status = lsm_env_rename(env, temp, current, err);
        /* A rename that failed may have happened all the same; if nobody can tell, it counts as done, so that nothing it names is removed. */
        *renamed = status == LSM_OK;
        if (status != LSM_OK) {
            int told = lsm_manifest_named(env, dir, &named, named_id, NULL);
            *renamed = told == LSM_OK ? named == number : told != LSM_NOTFOUND;
        }
    }
    if (status != LSM_OK) unlink_quietly(env, temp);
    if (status == LSM_OK) {
        struct lsm_error why = {0};
        status = lsm_env_sync_dir(env, dir, &why);
        if (status != LSM_OK) {
            status = lsm_fail(err, status, "%s: now names manifest %" PRIu64 ", but a crash may bring the old one back: %.300s", current, number,
                              why.text);
        }
    }
out:
    lsm_free(temp);
    lsm_free(current);
    return status;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static uint64_t offset_of(uint64_t position) { return LSM_CHAIN_HEADER_BYTES + position; }

/* Put the edit's record behind what the buffer holds. Moves the manifest's end, which counts only if the write succeeds. */
static int put_record(struct lsm_manifest *manifest, const struct lsm_edit *edit, struct lsm_error *err) {
    struct lsm_buf payload = {0};
    int status = lsm_edit_encode(edit, &payload);
    if (status != LSM_OK) {
        status = lsm_fail_nomem(err, payload.capacity);
    } else if (payload.size > LSM_CHAIN_PAYLOAD_BYTES_MAX) { /* LCOV_EXCL_BR_LINE: four gigabytes of edits */
        status = lsm_fail(err, LSM_TOOBIG, "%s: an edit of %zu bytes does not fit into one record", manifest->file->path, payload.size);
    } else {
        struct lsm_chain_record record = {
            .position = manifest->end, .prev = manifest->check, .synced = manifest->end, .time_us = edit->time_us, .kind = RECORD_EDIT};
        status = lsm_chain_record_put(&manifest->buffer, manifest->seed, &record, lsm_buf_slice(&payload), lsm_slice_of(NULL, 0));
        if (status == LSM_OK) {
            manifest->last = record.position == 0 ? 0 : offset_of(record.position);
            manifest->end = record.end;
            manifest->check = record.check;
        } else {
            status = lsm_fail_nomem(err, payload.size);
        }
    }
    lsm_buf_free(&payload);
    return status;
}

/* Create the file. One that is there already, and not named by CURRENT, is what a crash left of an earlier try. */
static int open_new(struct lsm_env *env, const char *dir, const char *path, const struct lsm_env_perm *perm, uint64_t number, struct lsm_file **file,
                    struct lsm_error *err) {
    unsigned flags = LSM_OPEN_WRITE | LSM_OPEN_CREATE | LSM_OPEN_EXCL;
    bool exists = false;
    uint8_t named_id[LSM_STORE_ID_BYTES];
    uint64_t named = 0;
    int status = lsm_env_open(env, path, flags, perm, file, err);
    if (status == LSM_OK || lsm_env_exists(env, path, &exists, NULL) != LSM_OK || !exists) return status;
    int told = lsm_manifest_named(env, dir, &named, named_id, NULL);
    if (told != LSM_NOTFOUND && (told != LSM_OK || named == number)) return status;
    status = lsm_env_unlink(env, path, err);
    return status == LSM_OK ? lsm_env_open(env, path, flags, perm, file, err) : status;
}

static int write_first(struct lsm_manifest *manifest, const uint8_t *store_id, const struct lsm_edit *full, const struct lsm_spare *spare,
                       struct lsm_error *err) {
    struct lsm_chain_header header = {.number = manifest->number};
    uint8_t bytes[LSM_CHAIN_HEADER_BYTES];
    memcpy(header.store_id, store_id, LSM_STORE_ID_BYTES);
    lsm_chain_header_encode(&lsm_chain_manifest, &header, bytes);
    int status = lsm_buf_append(&manifest->buffer, bytes, sizeof bytes) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, sizeof bytes);
    if (status == LSM_OK) status = put_record(manifest, full, err);
    if (status == LSM_OK) status = lsm_file_write_sparing(manifest->file, 0, manifest->buffer.data, manifest->buffer.size, spare, err);
    if (status == LSM_OK) status = lsm_file_sync(manifest->file, err);
    return status;
}

int lsm_manifest_create(struct lsm_env *env, const char *dir, const struct lsm_env_perm *perm, const uint8_t *store_id, uint64_t number,
                        const struct lsm_edit *full, const struct lsm_spare *spare, struct lsm_manifest **manifest, struct lsm_error *err) {
    *manifest = NULL;
    if (!full->full) return lsm_fail(err, LSM_MISUSE, "a manifest begins with a full edit");
    struct lsm_manifest *made = lsm_calloc(1, sizeof *made);
    char *path = lsm_file_path(dir, LSM_FILE_MANIFEST, number);
    bool renamed = false;
    int status = made == NULL || path == NULL ? lsm_fail_nomem(err, sizeof *made) : LSM_OK;
    if (status == LSM_OK) status = open_new(env, dir, path, perm, number, &made->file, err);
    if (status != LSM_OK) goto out;
    made->number = number;
    made->seed = lsm_chain_seed(&lsm_chain_manifest, store_id, number, 0);
    status = write_first(made, store_id, full, spare, err);
    if (status == LSM_OK) status = lsm_env_sync_dir(env, dir, err);
    if (status == LSM_OK) status = current_replace(env, dir, perm, store_id, number, path, spare, &renamed, err);
    if (status == LSM_OK) {
        *manifest = made;
        made = NULL;
    } else if (!renamed) {
        unlink_quietly(env, path);
    }
out:
    if (made != NULL) manifest_free(made);
    lsm_free(path);
    return status;
}

int lsm_manifest_append(struct lsm_manifest *manifest, const struct lsm_edit *edit, const struct lsm_spare *spare, struct lsm_error *err) {
    if (manifest->unusable) {
        return lsm_fail(err, LSM_IO, "%s: not used any more since an earlier failure: %.300s", manifest->file->path, manifest->why.text);
    }
    uint64_t begin = manifest->end, check = manifest->check, last = manifest->last;
    struct lsm_error why = {0};
    lsm_buf_reset(&manifest->buffer);
    int status = put_record(manifest, edit, &why);
    if (status == LSM_OK)
        status = lsm_file_write_sparing(manifest->file, offset_of(begin), manifest->buffer.data, manifest->buffer.size, spare, &why);
    if (status == LSM_OK) status = lsm_file_sync(manifest->file, &why);
    if (status == LSM_OK) return LSM_OK;
    manifest->end = begin;
    manifest->check = check;
    manifest->last = last;
    manifest->unusable = true;
    manifest->why = why;
    if (err != NULL) *err = why;
    return status;
}

void lsm_manifest_seal(struct lsm_manifest *manifest, const struct lsm_edit *edit) {
    struct lsm_edit nothing = {.next_file = edit->next_file,
                               .log_position = edit->log_position,
                               .log_generation = edit->log_generation,
                               .next_tree = edit->next_tree,
                               .time_us = edit->time_us,
                               .log_durable = edit->log_durable};
    uint64_t begin = manifest->end, check = manifest->check, last = manifest->last;
    lsm_buf_reset(&manifest->buffer);
    int status = put_record(manifest, &nothing, NULL);
    if (status == LSM_OK) status = lsm_file_write_at(manifest->file, offset_of(begin), manifest->buffer.data, manifest->buffer.size, NULL);
    if (status == LSM_OK) return;
    /* What a write that failed has left is overwritten by the next edit. */
    manifest->end = begin;
    manifest->check = check;
    manifest->last = last;
}

uint64_t lsm_manifest_number(const struct lsm_manifest *manifest) { return manifest->number; }
uint64_t lsm_manifest_bytes(const struct lsm_manifest *manifest) { return offset_of(manifest->end); }

uint64_t lsm_manifest_last(const struct lsm_manifest *manifest, uint64_t *check) {
    *check = manifest->check;
    return manifest->last;
}

void lsm_manifest_close(struct lsm_manifest *manifest) {
    if (manifest != NULL) manifest_free(manifest);
}

/* ---- going on -------------------------------------------------------------------------------------------------- */

/* What replay read may still be on its way to the disk (its writer was killed); from now on it is built upon, so it must be there. */
static int settle(struct lsm_env *env, const char *dir, struct lsm_file *file, const struct lsm_manifest_found *found, struct lsm_error *err) {
    uint64_t size = 0;
    int status = lsm_file_size(file, &size, err);
    if (status != LSM_OK) return status;
    if (size != found->bytes) {
        return lsm_fail(err, LSM_MISUSE, "%s: %" PRIu64 " bytes, but %" PRIu64 " were replayed", file->path, size, found->bytes);
    }
    /* All but the last record were durable before what follows them was written. */
    status = lsm_chain_rewrite(file, found->last, found->bytes, err);
    if (status == LSM_OK || status == LSM_FULL) status = lsm_file_sync(file, err);
    return status == LSM_OK ? lsm_env_sync_dir(env, dir, err) : status;
}

static int open_found(struct lsm_env *env, const char *dir, const struct lsm_manifest_found *found, bool durable, struct lsm_manifest **manifest,
                      struct lsm_error *err) {
    *manifest = NULL;
    if (found->torn) return lsm_fail(err, LSM_MISUSE, "a torn manifest is not appended to: create another");
    struct lsm_manifest *made = lsm_calloc(1, sizeof *made);
    char *path = lsm_file_path(dir, LSM_FILE_MANIFEST, found->number);
    int status = made == NULL || path == NULL ? lsm_fail_nomem(err, sizeof *made) : LSM_OK;
    if (status == LSM_OK) status = lsm_env_open(env, path, LSM_OPEN_WRITE, NULL, &made->file, err);
    if (status == LSM_OK && !durable) status = settle(env, dir, made->file, found, err);
    if (status == LSM_OK) {
        made->number = found->number;
        made->seed = lsm_chain_seed(&lsm_chain_manifest, found->store_id, found->number, 0);
        made->end = found->bytes - LSM_CHAIN_HEADER_BYTES;
        made->check = found->check;
        made->last = found->last;
        *manifest = made;
        made = NULL;
    }
    if (made != NULL) manifest_free(made);
    lsm_free(path);
    return status;
}

int lsm_manifest_resume(struct lsm_env *env, const char *dir, const struct lsm_manifest_found *found, struct lsm_manifest **manifest,
                        struct lsm_error *err) {
    return open_found(env, dir, found, false, manifest, err);
}

int lsm_manifest_attach(struct lsm_env *env, const char *dir, const struct lsm_manifest_found *found, struct lsm_manifest **manifest,
                        struct lsm_error *err) {
    return open_found(env, dir, found, true, manifest, err);
}

void lsm_manifest_advance(struct lsm_manifest *manifest, const struct lsm_manifest_found *found) {
    assert(manifest->number == found->number && !found->torn);
    manifest->end = found->bytes - LSM_CHAIN_HEADER_BYTES;
    manifest->check = found->check;
    manifest->last = found->last;
}
