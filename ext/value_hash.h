/* value_hash.h: numbers for values, the same for any two that SQLite may hold equal.
 *
 * Whatever the affinities and the (built-in) collation of a comparison are: 5, 5.0, '5' and ' 05' are alike, and so are 'a', 'A' and 'a  '. So who looks for
 * a value among hashes misses nothing, and has to compare what is found. One thing is not covered: a REAL compared with a TEXT column becomes a text of 15 digits first.
 */
#ifndef VT_VALUE_HASH_H
#define VT_VALUE_HASH_H

#include "value.h"

/* Zero-initialise, but for db. */
struct vt_hasher {
    sqlite3 *db;
    sqlite3_stmt *number; /* SQLite's own way from text to number; made when first needed */
};
void vt_hasher_release(struct vt_hasher *hasher);

/* Mix the value into *hash, which begins with any number. SQLITE_OK, SQLITE_NOMEM, or what SQLite says to a statement of its own. */
int vt_hash_value(struct vt_hasher *hasher, const struct vt_value *value, uint64_t *hash) LSM_MUST_CHECK;

/* Of plain bytes, each one counting. */
uint64_t vt_hash_bytes(const uint8_t *bytes, size_t size);

#endif
