/* value.h: bytes and SQL values as plain data, and SQLite's affinity rules.
 *
 * Return codes are SQLite's. Threads: the connection's. Memory: sqlite3_malloc64.
 */
#ifndef VT_VALUE_H
#define VT_VALUE_H

#include <string.h>

#include "../lsm_core/lsm.h"
#include "sqlite_api.h"

/* A function kept out of its callers, so that these stay short. */
#define VT_APART __attribute__((noinline))

/* ---- growable bytes ------------------------------------------------------------------------------------------- */

/* Owns data. Zero-initialise. Appending succeeds or returns SQLITE_NOMEM and changes nothing. */
struct vt_bytes {
    uint8_t *data;
    size_t size, capacity;
};

void vt_bytes_release(struct vt_bytes *bytes);                                 /* leaves it empty and usable */
int vt_bytes_grow(struct vt_bytes *bytes, size_t more) LSM_MUST_CHECK;         /* slow path of vt_bytes_reserve() */
static inline void vt_bytes_reset(struct vt_bytes *bytes) { bytes->size = 0; } /* keeps the memory */
static inline struct lsm_slice vt_bytes_slice(const struct vt_bytes *bytes) { return (struct lsm_slice){.data = bytes->data, .size = bytes->size}; }
/* Room for `more` bytes behind size, data not NULL. */
static inline int vt_bytes_reserve(struct vt_bytes *bytes, size_t more) {
    return bytes->data != NULL && bytes->capacity - bytes->size >= more ? SQLITE_OK : vt_bytes_grow(bytes, more);
}
int vt_bytes_append(struct vt_bytes *bytes, const void *data, size_t size) LSM_MUST_CHECK;
int vt_bytes_put(struct vt_bytes *bytes, uint8_t byte) LSM_MUST_CHECK;
int vt_bytes_set(struct vt_bytes *bytes, struct lsm_slice content) LSM_MUST_CHECK; /* replaces the content */

/* ---- values --------------------------------------------------------------------------------------------------- */

/* One SQL value. Borrows: text and blob bytes belong to what the value was made from (an sqlite3_value: until it is changed or
 * goes away; a row: as the row says). Text is UTF-8, not NUL-terminated. A double is never NaN. */
struct vt_value {
    int type;             /* SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT, SQLITE_BLOB, SQLITE_NULL */
    int64_t i;            /* SQLITE_INTEGER */
    double r;             /* SQLITE_FLOAT */
    const uint8_t *bytes; /* SQLITE_TEXT, SQLITE_BLOB; never NULL for them */
    size_t size;
};

static inline struct vt_value vt_value_null(void) { return (struct vt_value){.type = SQLITE_NULL}; }
static inline struct vt_value vt_value_int(int64_t i) { return (struct vt_value){.type = SQLITE_INTEGER, .i = i}; }
static inline struct vt_value vt_value_real(double r) { return (struct vt_value){.type = SQLITE_FLOAT, .r = r}; }
static inline struct vt_value vt_value_bytes(int type, const void *bytes, size_t size) {
    static const uint8_t nothing;
    return (struct vt_value){.type = type, .bytes = size == 0 ? &nothing : bytes, .size = size};
}

/* The value as it is. SQLITE_OK or SQLITE_NOMEM (UTF-16 text and zeroblobs are converted on demand). */
int vt_value_of(sqlite3_value *in, struct vt_value *out) LSM_MUST_CHECK;

/* Hand the value to SQLite. destructor (SQLITE_TRANSIENT or SQLITE_STATIC) is for text and blob bytes. */
void vt_value_result(sqlite3_context *context, const struct vt_value *value, sqlite3_destructor_type destructor);

/* ---- affinity ------------------------------------------------------------------------------------------------- */

enum vt_affinity { VT_AFFINITY_BLOB = 0, VT_AFFINITY_TEXT, VT_AFFINITY_NUMERIC, VT_AFFINITY_INTEGER, VT_AFFINITY_REAL };

/* The affinity SQLite gives a column of this declared type; NULL or "" is no type, hence BLOB. */
enum vt_affinity vt_affinity_of_type(const char *type);

/* The value an ordinary column of this affinity would hold after storing `in`: '1e3' -> 1000 in INTEGER and NUMERIC, 1 -> 1.0 and
 * -0.0 -> 0.0 in REAL, 1.5 -> '1.5' in TEXT. SQLITE_OK or SQLITE_NOMEM. `in` keeps its type and value (it may cache a text form
 * of itself); out borrows from it. Nothing is allocated but for numbers written as text in other than plain decimal digits. */
int vt_affinity_apply(sqlite3_value *in, enum vt_affinity affinity, struct vt_value *out) LSM_MUST_CHECK;

/* The value to search a column of this affinity for, given the right-hand side of a comparison. As vt_affinity_apply(), but an
 * integer stays an integer for a REAL column: SQLite compares 9007199254740993 with 9007199254740992.0 exactly, and so do keys.
 *
 * What cannot be seen here: compared with an expression that itself has numeric affinity (a column of a joined or outer table),
 * SQLite turns the *stored* texts of a TEXT or BLOB column into numbers, so '05' = 5. A numeric right-hand side that
 * is not known to be a literal may therefore match any text of such a column: vt_compare_is_exact() is false, and the
 * constraint must be widened to the whole of text (VT_TYPES_TEXT of key_codec.h) as well and left to SQLite to check. */
int vt_affinity_compare(sqlite3_value *in, enum vt_affinity affinity, struct vt_value *out) LSM_MUST_CHECK;

/* True if SQLite would take the whole text for a number. *number: that number if it is a plain integer, else of type SQLITE_NULL: its value is SQLite's to say. */
bool vt_text_is_number(const uint8_t *text, size_t size, struct vt_value *number);

/* True if a right-hand side of this type selects exactly what the key range for it holds, whatever expression it came from. */
static inline bool vt_compare_is_exact(int rhs_type, enum vt_affinity affinity) {
    return affinity >= VT_AFFINITY_NUMERIC || (rhs_type != SQLITE_INTEGER && rhs_type != SQLITE_FLOAT);
}

/* ---- collation ------------------------------------------------------------------------------------------------ */

/* SQLite's three built-in ones: the only ones whose order can be put into bytes. */
enum vt_collation { VT_COLLATE_BINARY = 0, VT_COLLATE_NOCASE, VT_COLLATE_RTRIM };

/* By name, without regard to case: false if it is none of the three. */
bool vt_collation_of_name(const char *name, enum vt_collation *collation);
const char *vt_collation_name(enum vt_collation collation);

#endif
