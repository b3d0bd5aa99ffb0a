/* lookup.h: a transient index: copies of rows, found by a number (value_hash.h), in the order in which they were added.
 *
 * In memory up to a limit, beyond it in a private database of SQLite's own kind for such things: a temporary file that has no name, a bounded cache
 * in front of it, and goes away by itself. It knows no table and no view: what is in it stays true of the moment it was made.
 */
#ifndef VT_LOOKUP_H
#define VT_LOOKUP_H

#include "error.h"
#include "value.h"

/* Longer records are not copied: whoever finds the key reads the row. */
#define VT_LOOKUP_RECORD_MAX 1024

struct vt_lookup_file;
struct vt_lookup_chunk;

struct vt_lookup_entry {
    uint64_t hash;
    const uint8_t *key; /* and then the record */
    uint32_t key_size;
    uint32_t record_size; /* LSM_VALUE_BYTES_MAX + 1: not here */
    uint32_t next;        /* 1 + that of the next entry in the same bucket; 0: none */
};

struct vt_lookup {
    int refs;
    struct vt_bytes name;   /* what it is a lookup of, for its owner */
    struct vt_lookup *next; /* its owner's */
    size_t bytes, bytes_max;
    uint32_t count, capacity;
    struct vt_lookup_entry *entries;
    struct vt_lookup_chunk *chunks;
    uint32_t *buckets; /* when finished */
    uint32_t bucket_mask;
    int64_t filed; /* entries in the file */
    struct vt_lookup_file *file;
};

/* Empty; NULL if out of memory. bytes_max: of memory, roughly. */
struct vt_lookup *vt_lookup_new(size_t bytes_max);
void vt_lookup_ref(struct vt_lookup *lookup);
void vt_lookup_unref(struct vt_lookup *lookup); /* NULL is allowed */

/* Add a row, before it is finished. The bytes are copied. SQLITE_NOMEM, or what SQLite says to the temporary file. */
int vt_lookup_add(struct vt_lookup *lookup, uint64_t hash, struct lsm_slice key, struct lsm_slice record, char **message) LSM_MUST_CHECK;
int vt_lookup_finish(struct vt_lookup *lookup, char **message) LSM_MUST_CHECK;

/* A walk over the rows with one hash. Zero-initialise. */
struct vt_found {
    struct vt_lookup *lookup; /* counted */
    uint64_t hash;
    uint32_t next;           /* in memory */
    sqlite3_stmt *statement; /* in the file */
    /* The present row; the bytes live until the walk goes on. */
    bool on;
    struct lsm_slice key, record;
    bool has_record;
};
void vt_found_release(struct vt_found *found);
/* Begin, before the first row. The walk keeps the lookup it had if it is the same. */
int vt_found_seek(struct vt_found *found, struct vt_lookup *lookup, uint64_t hash, char **message) LSM_MUST_CHECK;
/* To the next row; found->on is false behind the last one. */
int vt_found_next(struct vt_found *found, char **message) LSM_MUST_CHECK;

#endif
