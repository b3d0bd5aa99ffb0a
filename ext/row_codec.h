/* row_codec.h: a row's record: the value stored under its key.
 *
 * Format: docs/format.md, "Keys and rows": after SQLite's record format, a header with the types and sizes of the columns, then
 * their bytes. A column whose value the key gives back is not stored again. Columns are decoded one by one, when asked
 * for. A record with fewer columns than the schema (a column was added later) reads as the column's default, or NULL. Damaged
 * or hostile bytes give SQLITE_CORRUPT_VTAB.
 */
#ifndef VT_ROW_CODEC_H
#define VT_ROW_CODEC_H

#include <limits.h>

#include "key_codec.h"

/* Append the record of a row to out. values: column_count of them, affinity applied; the rowid column's is not looked at. The key of the row
 * must be vt_key_encode_row() of the same values (or the rowid): what it keeps is not in the record.
 * SQLITE_OK, SQLITE_NOMEM, or SQLITE_TOOBIG over LSM_VALUE_BYTES_MAX. */
int vt_row_encode(const struct vt_schema *schema, const struct vt_value *values, struct vt_bytes *out) LSM_MUST_CHECK;

#define VT_ROW_UNREAD INT_MAX

/* Reads columns of one row. Cheap to initialise: the record is not looked at before a column of it is asked for; asking for columns in ascending order costs one pass over the header. */
struct vt_row_reader {
    /* Immutable after init. */
    const struct vt_schema *schema;
    struct lsm_slice key, record;
    /* Where the walk over the types of the header stands, and the bytes of the column it has come to. VT_ROW_UNREAD: it has not begun. */
    int next_column;
    const uint8_t *types, *types_end, *body;
    bool corrupt;
};

/* key and record must outlive the use of the reader (of what it hands out, too). Never fails: damage shows when columns are read. */
static inline void vt_row_reader_init(struct vt_row_reader *reader, const struct vt_schema *schema, struct lsm_slice key, struct lsm_slice record) {
    reader->schema = schema;
    reader->key = key;
    reader->record = record;
    reader->next_column = VT_ROW_UNREAD;
}

/* Column i, 0 .. column_count - 1; column_count is the hidden key column of a clustered table. Bytes borrow from key, record or
 * schema. SQLITE_OK or SQLITE_CORRUPT_VTAB. */
int vt_row_get(struct vt_row_reader *reader, int i, struct vt_value *out) LSM_MUST_CHECK;

/* The same, as the result of xColumn. destructor: SQLITE_STATIC only if key and record outlive SQLite's use of the result, which is not over
 * when the cursor moves: min() and max() keep a static value's pointer to the end of the scan. SQLITE_TRANSIENT copies. */
int vt_row_result(struct vt_row_reader *reader, int i, sqlite3_context *context, sqlite3_destructor_type destructor) LSM_MUST_CHECK;

/* Everything about a stored row: the key is well formed and not too long, the record has no more columns than the schema, each decodes, and
 * nothing is left over. SQLITE_OK or SQLITE_CORRUPT_VTAB. For lsm_check(). */
int vt_row_check(const struct vt_schema *schema, struct lsm_slice key, struct lsm_slice record) LSM_MUST_CHECK;

#endif
