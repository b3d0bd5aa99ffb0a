/* key_codec.h: key columns <-> bytes whose memcmp order is SQLite's order of the values.
 *
 * Format: docs/format.md, "Keys and rows". What the callers build on:
 * - A key is its columns' encodings, one after the other. Values SQLite holds equal under the column's collation (1 and 1.0, 'a' and
 *   'A' with NOCASE) have the same bytes; otherwise memcmp, shorter first on a tie, gives SQLite's order, reversed for DESC.
 * - A column begins with a byte in 0x01 .. 0xfe. So for a prefix P made of k columns, k < all, the keys that begin with those columns
 *   are exactly those with P <= key < P 0xff: vt_key_after(). (Never "P with its last byte incremented":
 *   1.5 is stored as the bytes of 1, 0xff, and the fraction.)
 * - For a full key K, what follows K begins at K 0x00: vt_key_after() with full.
 * - The last column, if ascending text or blob, is stored as it is, without escapes or end mark.
 * Use vt_key_range() and none of this needs to be known.
 *
 * Return codes are SQLite's: SQLITE_OK, SQLITE_NOMEM, and SQLITE_TOOBIG for a key over LSM_KEY_BYTES_MAX.
 */
#ifndef VT_KEY_CODEC_H
#define VT_KEY_CODEC_H

#include "schema.h"

#define VT_KEY_INT64_BYTES_MAX 9

/* ---- making keys ---------------------------------------------------------------------------------------------- */

/* A rowid. Writes at most VT_KEY_INT64_BYTES_MAX bytes to `out`, returns how many. The same bytes as an ascending key column. */
size_t vt_key_put_int64(uint8_t *out, int64_t value);
/* The inverse; false if key is not exactly what vt_key_put_int64() writes. */
bool vt_key_get_int64(struct lsm_slice key, int64_t *value);

/* Append one key column. last: it is the last column of the key. */
int vt_key_append(struct vt_bytes *out, const struct vt_value *value, const struct vt_key_column *column, bool last) LSM_MUST_CHECK;

/* The whole key of a row of a clustered table, appended to out. values: column_count of them, affinity applied. */
int vt_key_encode_row(const struct vt_schema *schema, const struct vt_value *values, struct vt_bytes *out) LSM_MUST_CHECK;

/* ---- bounds --------------------------------------------------------------------------------------------------- */

/* Turn out from a column prefix (full: a whole key) into the smallest byte string above all keys that begin with it. */
int vt_key_after(struct vt_bytes *out, bool full) LSM_MUST_CHECK;

/* Whole classes of values, for a column nothing closer is known of. The order is SQLite's: NULL, numbers, text, blobs. */
enum vt_types { VT_TYPES_ALL = 0, VT_TYPES_NOT_NULL, VT_TYPES_TEXT };

/* One side of a range. value NULL: no bound on this side. */
struct vt_bound {
    const struct vt_value *value;
    bool inclusive;
};

/* What is asked of the key columns, left to right: equal_count columns equal to `equal` (a NULL there matches NULL: IS), then,
 * if there are more columns, the next one within lower .. upper in SQL's terms (DESC is dealt with here) and within `types`.
 * A lower or upper of NULL matches nothing. A bound or types other than ALL excludes NULL. */
struct vt_key_query {
    const struct vt_value *equal; /* vt_affinity_compare() applied */
    int equal_count;
    struct vt_bound lower, upper;
    enum vt_types types;
};

/* The keys low <= key < high that are asked for: exactly those, no superset. low and high are replaced; *has_low, *has_high false: that side is
 * open. *empty: nothing can match (then low and high mean nothing). columns: vt_schema.key, or vt_rowid_key for a rowid table. */
int vt_key_range(const struct vt_key_column *columns, int column_count, const struct vt_key_query *query, struct vt_bytes *low, bool *has_low,
                 struct vt_bytes *high, bool *has_high, bool *empty) LSM_MUST_CHECK;

/* The key of every rowid table: one ascending column. column is -1. */
extern const struct vt_key_column vt_rowid_key[1];

/* ---- reading keys --------------------------------------------------------------------------------------------- */

/* True if the value of this key column can be had back from the key (so row_codec leaves it out of the record): integers and
 * fractions, texts and blobs that stand there as they are. Depends on nothing but its arguments. */
bool vt_key_keeps(const struct vt_value *value, const struct vt_key_column *column, bool last);

/* The first byte of a column that is text or a blob, if it is ascending. */
enum { VT_KEY_TEXT = 0x30, VT_KEY_BLOB = 0x40 };

/* The shortest way to the value of vt_schema.bytes_column, the key's only one: true if it is text or a blob, which stands in the key as it is. */
static inline bool vt_key_only_bytes(struct lsm_slice key, bool *text, struct lsm_slice *bytes) {
    if (key.size == 0 || (key.data[0] != VT_KEY_TEXT && key.data[0] != VT_KEY_BLOB)) return false;
    *text = key.data[0] == VT_KEY_TEXT;
    *bytes = (struct lsm_slice){.data = key.data + 1, .size = key.size - 1};
    return true;
}

/* Key column `index`'s value, of one vt_key_keeps() was true for. Bytes borrow from key. SQLITE_OK, or SQLITE_CORRUPT_VTAB if the key is not
 * well formed up to there or does not keep it. */
int vt_key_read(const struct vt_key_column *columns, int column_count, struct lsm_slice key, int index, struct vt_value *out) LSM_MUST_CHECK;

/* How many bytes the first `count` columns take. False if the key is not well formed up to there. */
bool vt_key_prefix(const struct vt_key_column *columns, int column_count, struct lsm_slice key, int count, size_t *bytes);

/* SQLITE_OK if key is well formed to its last byte, SQLITE_CORRUPT_VTAB if not. */
int vt_key_check(const struct vt_key_column *columns, int column_count, struct lsm_slice key) LSM_MUST_CHECK;

#endif
