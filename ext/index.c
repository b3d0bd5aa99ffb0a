#include "index.h"

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static bool has_column(const struct vt_key_column *key, int count, const struct vt_key_column *column) {
    for (int i = 0; i < count; i++) {
        if (key[i].column == column->column && key[i].collation == column->collation) return true;
    }
    return false;
}

/* The columns and then the table's key. */
static bool set_key(const struct vt_schema *schema, struct vt_index *index, const struct vt_key_column *columns) {
    bool rowid = schema->kind == VT_KIND_ROWID;
    const struct vt_key_column *row_key = rowid ? vt_rowid_key : schema->key;
    int row_key_count = rowid ? 1 : schema->key_count;
    index->key_count = index->column_count + row_key_count;
    index->key = sqlite3_malloc64((size_t)index->key_count * sizeof *index->key);
    if (index->key == NULL) return false;
    memcpy(index->key, columns, (size_t)index->column_count * sizeof *columns);
    memcpy(index->key + index->column_count, row_key, (size_t)row_key_count * sizeof *row_key);
    /* A column that comes twice is only searched for once. */
    index->seek_count = index->column_count;
    while (index->seek_count < index->key_count && !has_column(index->key, index->seek_count, &index->key[index->seek_count])) index->seek_count++;
    return true;
}

struct vt_index *vt_index_add(struct vt_schema *schema, char *name, struct vt_key_column *columns, int column_count, struct vt_key_column *named,
                              int named_count) {
    struct vt_index *grown = sqlite3_realloc64(schema->indexes, ((size_t)schema->index_count + 1) * sizeof *grown);
    struct vt_index *index = NULL;
    if (grown != NULL) schema->indexes = grown;
    if (grown != NULL && name != NULL && columns != NULL && named != NULL) {
        index = &grown[schema->index_count];
        *index = (struct vt_index){.name = name, .column_count = column_count, .named = named, .named_count = named_count};
        if (!set_key(schema, index, columns)) index = NULL;
    }
    sqlite3_free(columns);
    if (index == NULL) {
        sqlite3_free(name);
        sqlite3_free(named);
        return NULL;
    }
    schema->index_count++;
    return index;
}

void vt_index_drop_last(struct vt_schema *schema) {
    struct vt_index *index = &schema->indexes[--schema->index_count];
    sqlite3_free(index->name);
    sqlite3_free(index->key);
    sqlite3_free(index->named);
}

int vt_index_find(const struct vt_schema *schema, const char *name) {
    for (int i = 0; i < schema->index_count; i++) {
        if (sqlite3_stricmp(schema->indexes[i].name, name) == 0) return i;
    }
    return -1;
}

void vt_index_settle(struct vt_schema *schema) {
    for (int i = 0; i < schema->column_count; i++) schema->columns[i].indexed = false;
    for (int i = 0; i < schema->index_count; i++) {
        const struct vt_index *index = &schema->indexes[i];
        for (int k = 0; k < index->column_count; k++) {
            if (index->key[k].column >= 0) schema->columns[index->key[k].column].indexed = true;
        }
    }
}

char *vt_index_definition(const struct vt_schema *schema, const struct vt_index *index) {
    sqlite3_str *text = sqlite3_str_new(NULL);
    sqlite3_str_appendall(text, index->unique ? "UNIQUE (" : "(");
    for (int i = 0; i < index->named_count; i++) {
        const struct vt_key_column *column = &index->named[i];
        int at = column->column < 0 ? schema->rowid_column : column->column;
        sqlite3_str_appendf(text, "%s\"%w\"", i == 0 ? "" : ", ", schema->columns[at].name);
        if (column->collation != schema->columns[at].collation) sqlite3_str_appendf(text, " COLLATE %s", vt_collation_name(column->collation));
        if (column->desc) sqlite3_str_appendall(text, " DESC");
    }
    sqlite3_str_appendall(text, ")");
    return sqlite3_str_finish(text);
}

int vt_index_fail_unique(const struct vt_schema *schema, const struct vt_index *index, const char *table, char **message) {
    sqlite3_str *columns = sqlite3_str_new(NULL);
    for (int i = 0; i < index->named_count; i++) {
        int column = index->named[i].column < 0 ? schema->rowid_column : index->named[i].column;
        sqlite3_str_appendf(columns, "%s%s.%s", i == 0 ? "" : ", ", table, schema->columns[column].name);
    }
    char *text = sqlite3_str_finish(columns);
    int rc = vt_fail(message, SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: %s", text == NULL ? index->name : text);
    sqlite3_free(text);
    return rc;
}

/* ---- entries ------------------------------------------------------------------------------------------------------- */

int vt_index_entry(const struct vt_index *index, const struct vt_value *values, int64_t rowid, struct lsm_slice row_key, struct vt_bytes *key,
                   bool *alone) {
    vt_bytes_reset(key);
    *alone = index->unique;
    for (int i = 0; i < index->column_count; i++) {
        const struct vt_key_column *column = &index->key[i];
        struct vt_value number = vt_value_int(rowid);
        const struct vt_value *value = column->column < 0 ? &number : &values[column->column];
        if (value->type == SQLITE_NULL) *alone = false;
        int rc = vt_key_append(key, value, column, false);
        if (rc != SQLITE_OK) return rc;
    }
    int rc = *alone ? SQLITE_OK : vt_bytes_append(key, row_key.data, row_key.size);
    return rc == SQLITE_OK && key->size >= LSM_KEY_BYTES_MAX ? SQLITE_TOOBIG : rc;
}

int vt_index_row_key(const struct vt_index *index, struct lsm_slice key, struct lsm_slice value, struct lsm_slice *row_key) {
    if (value.size > 0) {
        *row_key = value;
        return index->unique ? SQLITE_OK : SQLITE_CORRUPT_VTAB;
    }
    size_t columns;
    if (!vt_key_prefix(index->key, index->key_count, key, index->column_count, &columns) || columns == key.size) return SQLITE_CORRUPT_VTAB;
    *row_key = (struct lsm_slice){.data = key.data + columns, .size = key.size - columns};
    return SQLITE_OK;
}

/* Keys forget what does not change the order: whether a whole number was an integer or a real (the column's affinity may tell), and what a collation overlooks. */
static bool is_exact(const struct vt_column *column, const struct vt_key_column *key, struct vt_value *value) {
    switch (value->type) {
    case SQLITE_INTEGER:
        if (column->affinity == VT_AFFINITY_REAL) *value = vt_value_real((double)value->i);
        /* The least integer may have been a real, which SQLite does not turn into one. */
        return column->affinity >= VT_AFFINITY_NUMERIC && value->i != INT64_MIN;
    case SQLITE_TEXT: return key->collation == VT_COLLATE_BINARY;
    default: return true;
    }
}

static bool read_column(const struct vt_schema *schema, const struct vt_key_column *columns, int count, struct lsm_slice key, int at,
                        struct vt_value *out) {
    if (vt_key_read(columns, count, key, at, out) != SQLITE_OK) return false;
    return columns[at].column < 0 || is_exact(&schema->columns[columns[at].column], &columns[at], out);
}

static bool column_of_rowid_table(const struct vt_schema *schema, struct lsm_slice row_key, int column, struct vt_value *out) {
    int64_t rowid;
    if (schema->kind != VT_KIND_ROWID || (column >= 0 && column != schema->rowid_column)) return false;
    if (!vt_key_get_int64(row_key, &rowid)) return false;
    *out = vt_value_int(rowid);
    return true;
}

bool vt_index_column(const struct vt_schema *schema, const struct vt_index *index, struct lsm_slice key, struct lsm_slice row_key, int column,
                     struct vt_value *out) {
    if (column_of_rowid_table(schema, row_key, column, out)) return true;
    for (int i = 0; i < index->column_count; i++) {
        if (index->key[i].column == column) return read_column(schema, index->key, index->key_count, key, i, out);
    }
    if (schema->kind != VT_KIND_CLUSTERED || column < 0) return false;
    if (column == schema->column_count) {
        *out = vt_value_bytes(SQLITE_BLOB, row_key.data, row_key.size);
        return true;
    }
    int at = schema->columns[column].key_index;
    return at >= 0 && read_column(schema, schema->key, schema->key_count, row_key, at, out);
}

static bool may_be_read(const struct vt_schema *schema, const struct vt_key_column *key) {
    if (key->column < 0) return true;
    enum vt_affinity affinity = schema->columns[key->column].affinity;
    if (affinity >= VT_AFFINITY_NUMERIC) return true;
    return key->collation == VT_COLLATE_BINARY && !key->desc && affinity == VT_AFFINITY_TEXT;
}

bool vt_index_covers(const struct vt_schema *schema, const struct vt_index *index, int column) {
    if (schema->kind == VT_KIND_ROWID && (column < 0 || column == schema->rowid_column)) return true;
    if (column == schema->column_count) return true;
    for (int i = 0; i < index->key_count; i++) {
        if (index->key[i].column == column) return may_be_read(schema, &index->key[i]);
    }
    return false;
}
