#include "index.h"

struct vt_schema *vt_schema_new(void) {
    struct vt_schema *schema = sqlite3_malloc64(sizeof *schema);
    if (schema == NULL) return NULL;
    *schema = (struct vt_schema){.kind = VT_KIND_ROWID, .rowid_column = -1, .bytes_column = -1};
    return schema;
}

void vt_schema_free(struct vt_schema *schema) {
    if (schema == NULL) return;
    for (int i = 0; i < schema->column_count; i++) {
        struct vt_column *column = &schema->columns[i];
        sqlite3_free(column->name);
        sqlite3_free(column->type);
        sqlite3_free(column->default_text);
        if (column->default_value.size > 0) sqlite3_free((void *)(uintptr_t)column->default_value.bytes);
    }
    for (int i = 0; i < schema->check_count; i++) {
        sqlite3_free(schema->checks[i].name);
        sqlite3_free(schema->checks[i].text);
    }
    sqlite3_free(schema->checks);
    while (schema->index_count > 0) vt_index_drop_last(schema);
    sqlite3_free(schema->indexes);
    sqlite3_free(schema->columns);
    sqlite3_free(schema->key);
    sqlite3_free(schema->hidden_name);
    sqlite3_free(schema);
}

int vt_schema_find(const struct vt_schema *schema, const char *name) {
    for (int i = 0; i < schema->column_count; i++) {
        if (sqlite3_stricmp(schema->columns[i].name, name) == 0) return i;
    }
    return -1;
}

static void declare_column(sqlite3_str *sql, const struct vt_schema *schema, int i) {
    const struct vt_column *column = &schema->columns[i];
    sqlite3_str_appendf(sql, "%s\"%w\"", i == 0 ? "" : ", ", column->name);
    bool untyped = column->strict == VT_STRICT_ANY; /* which has no affinity, but would have NUMERIC in a table SQLite does not know to be STRICT */
    if (column->type[0] != '\0' && !untyped) sqlite3_str_appendf(sql, " %s", column->type);
    if (i == schema->rowid_column) sqlite3_str_appendall(sql, " PRIMARY KEY");
    if (column->not_null) sqlite3_str_appendall(sql, " NOT NULL");
    if (column->collation != VT_COLLATE_BINARY) sqlite3_str_appendf(sql, " COLLATE %s", vt_collation_name(column->collation));
}

char *vt_schema_declare(const struct vt_schema *schema) {
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    for (int i = 0; i < schema->column_count; i++) declare_column(sql, schema, i);
    if (schema->kind == VT_KIND_CLUSTERED) {
        sqlite3_str_appendf(sql, ", \"%w\" BLOB HIDDEN PRIMARY KEY) WITHOUT ROWID", schema->hidden_name);
    } else {
        sqlite3_str_appendall(sql, ")");
    }
    return sqlite3_str_finish(sql);
}
