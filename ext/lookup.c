#include "lookup.h"

#include <stdlib.h>

#include "lookup_file.h"

#define CHUNK_BYTES_MIN 4096u
#define CHUNK_BYTES_MAX (1u << 20)
#define NO_RECORD       ((uint32_t)LSM_VALUE_BYTES_MAX + 1)
/* A bucket takes 4 bytes, and there are up to twice as many as entries. */
#define BUCKET_BYTES 8u

struct vt_lookup_chunk {
    struct vt_lookup_chunk *next;
    size_t used, size;
    uint8_t bytes[];
};

struct vt_lookup *vt_lookup_new(size_t bytes_max) {
    struct vt_lookup *lookup = sqlite3_malloc64(sizeof *lookup);
    if (lookup != NULL) *lookup = (struct vt_lookup){.refs = 1, .bytes_max = bytes_max};
    return lookup;
}

/* All rows in memory. */
static void drop_rows(struct vt_lookup *lookup) {
    while (lookup->chunks != NULL) {
        struct vt_lookup_chunk *chunk = lookup->chunks;
        lookup->chunks = chunk->next;
        sqlite3_free(chunk);
    }
    sqlite3_free(lookup->entries);
    lookup->entries = NULL;
    lookup->count = lookup->capacity = 0;
    lookup->bytes = 0;
}

void vt_lookup_ref(struct vt_lookup *lookup) { lookup->refs++; }

void vt_lookup_unref(struct vt_lookup *lookup) {
    if (lookup == NULL || --lookup->refs > 0) return;
    drop_rows(lookup);
    sqlite3_free(lookup->buckets);
    vt_bytes_release(&lookup->name);
    vt_lookup_file_close(lookup->file);
    sqlite3_free(lookup);
}

/* ---- adding ---------------------------------------------------------------------------------------------------- */

/* Room for so many bytes that do not move. */
static uint8_t *take_bytes(struct vt_lookup *lookup, size_t size) {
    struct vt_lookup_chunk *chunk = lookup->chunks;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t want = chunk == NULL ? CHUNK_BYTES_MIN : 2 * chunk->size;
        if (want > CHUNK_BYTES_MAX) want = CHUNK_BYTES_MAX;
        if (want < size) want = size;
        chunk = sqlite3_malloc64(sizeof *chunk + want);
        if (chunk == NULL) return NULL;
        *chunk = (struct vt_lookup_chunk){.next = lookup->chunks, .size = want};
        lookup->chunks = chunk;
        lookup->bytes += sizeof *chunk + want;
    }
    uint8_t *taken = chunk->bytes + chunk->used;
    chunk->used += size;
    return taken;
}

static int more_entries(struct vt_lookup *lookup) {
    uint32_t capacity = lookup->capacity == 0 ? 64 : 2 * lookup->capacity;
    struct vt_lookup_entry *entries = sqlite3_realloc64(lookup->entries, (size_t)capacity * sizeof *entries);
    if (entries == NULL) return SQLITE_NOMEM;
    lookup->bytes += (size_t)(capacity - lookup->capacity) * (sizeof *entries + BUCKET_BYTES);
    lookup->entries = entries;
    lookup->capacity = capacity;
    return SQLITE_OK;
}

static int compare_entries(const void *left, const void *right) {
    const struct vt_lookup_entry *a = left, *b = right;
    if (a->hash != b->hash) return (int64_t)a->hash < (int64_t)b->hash ? -1 : 1;
    return (a->next > b->next) - (a->next < b->next);
}

/* The rows in memory go to the file, in its order, which makes that cheap. */
static int file_rows(struct vt_lookup *lookup, char **message) {
    int rc = lookup->file == NULL ? vt_lookup_file_open(&lookup->file, message) : SQLITE_OK;
    for (uint32_t i = 0; i < lookup->count; i++) lookup->entries[i].next = i;
    if (lookup->count > 0) qsort(lookup->entries, lookup->count, sizeof *lookup->entries, compare_entries);
    for (uint32_t i = 0; i < lookup->count && rc == SQLITE_OK; i++) {
        const struct vt_lookup_entry *entry = &lookup->entries[i];
        struct lsm_slice key = {.data = entry->key, .size = entry->key_size};
        struct lsm_slice record = {.data = entry->record_size == NO_RECORD ? NULL : entry->key + entry->key_size, .size = entry->record_size};
        rc = vt_lookup_file_add(lookup->file, entry->hash, lookup->filed + entry->next, key, record, message);
    }
    lookup->filed += lookup->count;
    drop_rows(lookup);
    return rc;
}

int vt_lookup_add(struct vt_lookup *lookup, uint64_t hash, struct lsm_slice key, struct lsm_slice record, char **message) {
    if (lookup->bytes > lookup->bytes_max || lookup->count == UINT32_MAX / 4) { /* LCOV_EXCL_BR_LINE: so many take more than memory allows first */
        int rc = file_rows(lookup, message);
        if (rc != SQLITE_OK) return rc;
    }
    if (lookup->count == lookup->capacity && more_entries(lookup) != SQLITE_OK) return SQLITE_NOMEM;
    bool copied = record.size <= VT_LOOKUP_RECORD_MAX;
    uint8_t *bytes = take_bytes(lookup, key.size + (copied ? record.size : 0));
    if (bytes == NULL) return SQLITE_NOMEM;
    memcpy(bytes, key.data, key.size);
    if (copied && record.size > 0) memcpy(bytes + key.size, record.data, record.size);
    lookup->entries[lookup->count++] = (struct vt_lookup_entry){
        .hash = hash, .key = bytes, .key_size = (uint32_t)key.size, .record_size = copied ? (uint32_t)record.size : NO_RECORD};
    return SQLITE_OK;
}

int vt_lookup_finish(struct vt_lookup *lookup, char **message) {
    if (lookup->file != NULL) return file_rows(lookup, message);
    uint32_t buckets = 1;
    while (buckets < lookup->count) buckets *= 2;
    lookup->buckets = sqlite3_malloc64(buckets * sizeof *lookup->buckets);
    if (lookup->buckets == NULL) return SQLITE_NOMEM;
    memset(lookup->buckets, 0, buckets * sizeof *lookup->buckets);
    lookup->bucket_mask = buckets - 1;
    /* From the last to the first, so that each bucket lists them as they came. */
    for (uint32_t i = lookup->count; i > 0; i--) {
        struct vt_lookup_entry *entry = &lookup->entries[i - 1];
        uint32_t *bucket = &lookup->buckets[entry->hash & lookup->bucket_mask];
        entry->next = *bucket;
        *bucket = i;
    }
    return SQLITE_OK;
}

/* ---- finding ---------------------------------------------------------------------------------------------------- */

void vt_found_release(struct vt_found *found) {
    sqlite3_finalize(found->statement); /* before its database, which the lookup holds */
    vt_lookup_unref(found->lookup);
    *found = (struct vt_found){0};
}

int vt_found_seek(struct vt_found *found, struct vt_lookup *lookup, uint64_t hash, char **message) {
    if (found->lookup != lookup) {
        vt_lookup_ref(lookup);
        vt_found_release(found);
        found->lookup = lookup;
    }
    found->on = false;
    found->hash = hash;
    if (lookup->file != NULL) return vt_lookup_file_seek(lookup->file, hash, &found->statement, message);
    found->next = lookup->buckets[hash & lookup->bucket_mask];
    return SQLITE_OK;
}

int vt_found_next(struct vt_found *found, char **message) {
    const struct vt_lookup *lookup = found->lookup;
    if (lookup->file != NULL) {
        int rc = vt_lookup_file_next(lookup->file, found->statement, &found->on, &found->key, &found->record, message);
        found->has_record = found->record.data != NULL;
        return rc;
    }
    while (found->next != 0 && lookup->entries[found->next - 1].hash != found->hash) found->next = lookup->entries[found->next - 1].next;
    found->on = found->next != 0;
    if (!found->on) return SQLITE_OK;
    const struct vt_lookup_entry *entry = &lookup->entries[found->next - 1];
    found->next = entry->next;
    found->key = (struct lsm_slice){.data = entry->key, .size = entry->key_size};
    found->has_record = entry->record_size != NO_RECORD;
    found->record = (struct lsm_slice){.data = entry->key + entry->key_size, .size = found->has_record ? entry->record_size : 0};
    return SQLITE_OK;
}
