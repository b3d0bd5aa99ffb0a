/* index.h: secondary indexes: their definitions, and what their trees hold. Format: docs/format.md, "Indexes".
 *
 * An index is a tree of its own. An entry's key is the index's columns and then the key of the row; so entries of equal columns lie in the order of the rows.
 * Where the index is UNIQUE and no column is NULL the key is the columns alone, and the value the key of the row: whether a value is taken is one lookup.
 * Struct vt_index itself is in schema.h.
 */
#ifndef VT_INDEX_H
#define VT_INDEX_H

#include "error.h"
#include "key_codec.h"

/* Add an index with these columns to the schema; the table's own key must be settled: it goes behind the columns. named: the columns with repetitions.
 * Takes name, columns and named, also when it fails. NULL if out of memory. */
struct vt_index *vt_index_add(struct vt_schema *schema, char *name, struct vt_key_column *columns, int column_count, struct vt_key_column *named,
                              int named_count);
/* Remove the last one. */
void vt_index_drop_last(struct vt_schema *schema);
/* The index of this name, or -1. */
int vt_index_find(const struct vt_schema *schema, const char *name);

/* Set vt_column.indexed, when all indexes are known. */
void vt_index_settle(struct vt_schema *schema);

/* The entry of a row. values: of all columns, affinity applied, that of the INTEGER PRIMARY KEY not looked at. key is replaced. *alone: the key is the columns
 * alone, and row_key belongs into the value. */
int vt_index_entry(const struct vt_index *index, const struct vt_value *values, int64_t rowid, struct lsm_slice row_key, struct vt_bytes *key,
                   bool *alone) LSM_MUST_CHECK;

/* The row's key, from an entry. SQLITE_CORRUPT_VTAB if it is not well formed. */
int vt_index_row_key(const struct vt_index *index, struct lsm_slice key, struct lsm_slice value, struct lsm_slice *row_key) LSM_MUST_CHECK;

/* The value of a column of the table, if the entry tells it for sure; false: the row must be read. column may be the rowid (-1) or the hidden key. */
bool vt_index_column(const struct vt_schema *schema, const struct vt_index *index, struct lsm_slice key, struct lsm_slice row_key, int column,
                     struct vt_value *out);
/* True if vt_index_column() will mostly succeed, for planning. */
bool vt_index_covers(const struct vt_schema *schema, const struct vt_index *index, int column);

/* The definition as lsm_create_index() takes it: `UNIQUE (a, b COLLATE NOCASE DESC)`; sqlite3_free(). */
char *vt_index_definition(const struct vt_schema *schema, const struct vt_index *index);

/* SQLITE_CONSTRAINT_UNIQUE, with SQLite's words for this index of the table called `table`. */
int vt_index_fail_unique(const struct vt_schema *schema, const struct vt_index *index, const char *table, char **message) LSM_MUST_CHECK;

#endif
