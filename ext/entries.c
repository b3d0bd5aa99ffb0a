#include "entries.h"

#include "index.h"
#include "row_codec.h"
#include "table.h"

void vt_entries_release(struct vt_entries *entries) {
    sqlite3_free(entries->values);
    vt_bytes_release(&entries->entry);
    vt_bytes_release(&entries->old_entry);
    *entries = (struct vt_entries){0};
}

int vt_entries_read(struct vt_table *table, struct lsm_slice key, struct lsm_slice record, struct vt_value *values, struct vt_indexed_row *row) {
    const struct vt_schema *schema = table->schema;
    struct vt_row_reader reader;
    *row = (struct vt_indexed_row){.key = key, .values = values};
    if (schema->kind == VT_KIND_ROWID && !vt_key_get_int64(key, &row->rowid)) return SQLITE_CORRUPT_VTAB;
    vt_row_reader_init(&reader, schema, key, record);
    int rc = SQLITE_OK;
    for (int i = 0; i < schema->column_count && rc == SQLITE_OK; i++) {
        if (schema->columns[i].indexed) rc = vt_row_get(&reader, i, &values[i]);
    }
    return rc;
}

static bool same(const struct vt_bytes *a, const struct vt_bytes *b) { return a->size == b->size && memcmp(a->data, b->data, a->size) == 0; }

int vt_entries_conflict(struct vt_table *table, int i, const struct vt_indexed_row *row, const struct vt_indexed_row *old, struct vt_bytes *found) {
    const struct vt_index *index = &table->schema->indexes[i];
    struct vt_entries *entries = &table->entries;
    bool alone, old_alone;
    int rc = vt_index_entry(index, row->values, row->rowid, row->key, &entries->entry, &alone);
    if (rc != SQLITE_OK || !alone) return rc == SQLITE_OK ? SQLITE_NOTFOUND : rc;
    if (old != NULL) {
        rc = vt_index_entry(index, old->values, old->rowid, old->key, &entries->old_entry, &old_alone);
        if (rc != SQLITE_OK) return rc;
        if (old_alone && same(&entries->entry, &entries->old_entry)) return SQLITE_NOTFOUND;
    }
    struct lsm_value value = {0};
    rc = vt_txn_get(table->space, index->tree.tree, vt_bytes_slice(&entries->entry), &value, &table->base.zErrMsg);
    if (rc == SQLITE_OK) rc = vt_bytes_set(found, value.bytes);
    lsm_value_release(&value);
    return rc;
}

static int put_entry(struct vt_table *table, const struct vt_index *index, const struct vt_indexed_row *row, const struct vt_indexed_row *old) {
    struct vt_entries *entries = &table->entries;
    bool alone, old_alone;
    int rc = vt_index_entry(index, row->values, row->rowid, row->key, &entries->entry, &alone);
    if (rc == SQLITE_OK && old != NULL) {
        rc = vt_index_entry(index, old->values, old->rowid, old->key, &entries->old_entry, &old_alone);
        bool same_entry = rc == SQLITE_OK && same(&entries->entry, &entries->old_entry);
        /* Alone, the entry says in its value which row it means. */
        bool same_row = old->key.size == row->key.size && memcmp(old->key.data, row->key.data, row->key.size) == 0;
        if (same_entry && (!alone || same_row)) return SQLITE_OK;
        if (rc == SQLITE_OK && !same_entry)
            rc = vt_txn_delete(table->space, index->tree.tree, vt_bytes_slice(&entries->old_entry), &table->base.zErrMsg);
    }
    if (rc != SQLITE_OK) return rc;
    struct lsm_slice value = alone ? row->key : (struct lsm_slice){0};
    return vt_txn_put(table->space, index->tree.tree, vt_bytes_slice(&entries->entry), value, &table->base.zErrMsg);
}

int vt_entries_put(struct vt_table *table, const struct vt_indexed_row *row, const struct vt_indexed_row *old) {
    int rc = SQLITE_OK;
    for (int i = 0; i < table->schema->index_count && rc == SQLITE_OK; i++) rc = put_entry(table, &table->schema->indexes[i], row, old);
    return rc;
}

static int delete_entries(struct vt_table *table, const struct vt_indexed_row *row) {
    int rc = SQLITE_OK;
    for (int i = 0; i < table->schema->index_count && rc == SQLITE_OK; i++) {
        const struct vt_index *index = &table->schema->indexes[i];
        bool alone;
        rc = vt_index_entry(index, row->values, row->rowid, row->key, &table->entries.entry, &alone);
        if (rc == SQLITE_OK) rc = vt_txn_delete(table->space, index->tree.tree, vt_bytes_slice(&table->entries.entry), &table->base.zErrMsg);
    }
    return rc;
}

int vt_entries_delete(struct vt_table *table, struct lsm_slice key) {
    struct vt_entries *entries = &table->entries;
    if (entries->values == NULL) entries->values = sqlite3_malloc64((size_t)table->schema->column_count * sizeof *entries->values);
    if (entries->values == NULL) return SQLITE_NOMEM;
    struct lsm_value record = {0};
    struct vt_indexed_row row;
    int rc = vt_txn_get(table->space, vt_table_tree(table), key, &record, &table->base.zErrMsg);
    if (rc != SQLITE_OK) return rc;
    rc = vt_entries_read(table, key, record.bytes, entries->values, &row);
    if (rc == SQLITE_OK) rc = delete_entries(table, &row);
    lsm_value_release(&record);
    return rc;
}
