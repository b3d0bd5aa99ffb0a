#include "unique.h"

#include <limits.h>
#include <string.h>

#include "index.h"
#include "table.h"

/* ---- what is done about it -------------------------------------------------------------------------------------- */

int vt_conflict_resolution(const struct vt_conflict *conflict, int declared) {
    if (conflict->statement != 0) return conflict->statement;
    return declared != 0 ? declared : SQLITE_ABORT;
}

void vt_conflict_note(struct vt_conflict *conflict, int declared) { conflict->rolls_back = conflict->statement == 0 && declared == SQLITE_ROLLBACK; }

static int add_victim(struct vt_victims *victims, struct lsm_slice key) {
    for (int i = 0; i < victims->count; i++) {
        if (victims->keys[i].size == key.size && memcmp(victims->keys[i].data, key.data, key.size) == 0) return SQLITE_OK;
    }
    int rc = vt_bytes_set(&victims->keys[victims->count], key);
    if (rc == SQLITE_OK) victims->count++;
    return rc;
}

void vt_victims_release(struct vt_victims *victims) {
    for (int i = 0; i < victims->count; i++) vt_bytes_release(&victims->keys[i]);
}

static int fail_key(struct vt_table *table, struct vt_conflict *conflict) {
    const struct vt_schema *schema = table->schema;
    char **message = &table->base.zErrMsg;
    vt_conflict_note(conflict, schema->key_conflict);
    if (schema->kind == VT_KIND_ROWID) {
        bool named = schema->rowid_column >= 0;
        return vt_fail(message, named ? SQLITE_CONSTRAINT_PRIMARYKEY : SQLITE_CONSTRAINT_ROWID, "UNIQUE constraint failed: %s.%s", table->name,
                       named ? schema->columns[schema->rowid_column].name : "rowid");
    }
    sqlite3_str *columns = sqlite3_str_new(NULL);
    for (int i = 0; i < schema->key_count; i++) {
        sqlite3_str_appendf(columns, "%s%s.%s", i == 0 ? "" : ", ", table->name, schema->columns[schema->key[i].column].name);
    }
    char *text = sqlite3_str_finish(columns);
    int rc = vt_fail(message, SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE constraint failed: %s", text == NULL ? table->name : text);
    sqlite3_free(text);
    return rc;
}

static int fail_index(struct vt_table *table, const struct vt_index *index, struct vt_conflict *conflict) {
    vt_conflict_note(conflict, index->conflict);
    return vt_index_fail_unique(table->schema, index, table->name, &table->base.zErrMsg);
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

static int conflict_place(const struct vt_schema *schema, int i) {
    if (i != VT_PLAN_PRIMARY) return schema->indexes[i].conflict_place;
    return schema->kind == VT_KIND_CLUSTERED ? schema->key_conflict_place : INT_MAX;
}

static bool comes_last(const struct vt_schema *schema, bool rowid_last, int i) {
    if (i != VT_PLAN_PRIMARY) return schema->indexes[i].conflict == SQLITE_REPLACE;
    return schema->key_conflict == SQLITE_REPLACE && (rowid_last || schema->kind == VT_KIND_CLUSTERED);
}

/* The rowid comes first; then what was declared later, or added. Constraints that replace come last, the rowid only if the statement does not say otherwise, and
 * of them that one first which was the last to be declared so: SQLite puts a constraint there when it learns that it replaces. */
int vt_unique_order(const struct vt_schema *schema, bool rowid_last, int *order) {
    int count = 0, declared[VT_INDEXES_MAX + 1], declared_count = 0;
    bool clustered = schema->kind == VT_KIND_CLUSTERED;
    if (!clustered) declared[declared_count++] = VT_PLAN_PRIMARY;
    for (int i = schema->index_count; i >= 0; i--) {
        if (clustered && i == schema->key_place) declared[declared_count++] = VT_PLAN_PRIMARY;
        if (i > 0 && schema->indexes[i - 1].unique) declared[declared_count++] = i - 1;
    }
    for (int i = 0; i < declared_count; i++) {
        if (!comes_last(schema, rowid_last, declared[i])) order[count++] = declared[i];
    }
    int first_last = count;
    for (int i = 0; i < declared_count; i++) {
        if (!comes_last(schema, rowid_last, declared[i])) continue;
        int at = count++;
        for (; at > first_last && conflict_place(schema, order[at - 1]) < conflict_place(schema, declared[i]); at--) order[at] = order[at - 1];
        order[at] = declared[i];
    }
    return count;
}

int vt_unique_check_key(struct vt_table *table, struct vt_conflict *conflict, struct vt_victims *victims) {
    struct lsm_slice key = vt_bytes_slice(&table->key);
    int rc = vt_txn_get(table->space, vt_table_tree(table), key, NULL, &table->base.zErrMsg);
    if (rc != SQLITE_OK) return rc == SQLITE_NOTFOUND ? SQLITE_OK : rc;
    return vt_conflict_resolution(conflict, table->schema->key_conflict) == SQLITE_REPLACE ? add_victim(victims, key) : fail_key(table, conflict);
}

int vt_unique_check_index(struct vt_table *table, int i, struct vt_conflict *conflict, const struct vt_indexed_row *row,
                          const struct vt_indexed_row *old, struct vt_victims *victims) {
    const struct vt_index *index = &table->schema->indexes[i];
    struct vt_bytes found = {0};
    int rc = vt_entries_conflict(table, i, row, old, &found);
    if (rc == SQLITE_OK) {
        bool replace = vt_conflict_resolution(conflict, index->conflict) == SQLITE_REPLACE;
        rc = replace ? add_victim(victims, vt_bytes_slice(&found)) : fail_index(table, index, conflict);
    }
    vt_bytes_release(&found);
    return rc == SQLITE_NOTFOUND ? SQLITE_OK : rc;
}
