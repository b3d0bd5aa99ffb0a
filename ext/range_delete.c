#include "range_delete.h"

#include "errand.h"
#include "key_codec.h"
#include "table.h"

/* No key begins with this byte, nor with a greater one. */
static const uint8_t behind_all[1] = {0xff};

struct request {
    struct vt_connection *connection;
    const char *schema, *table;
    sqlite3_value *low, *high; /* NULL: truncate */
    char *by_rows;             /* there are indexes: left to SQLite, by this column */
};

static int find(const struct request *request, struct vt_table **table, char **message) {
    struct vt_space *space = vt_space_find(request->connection, request->schema);
    if (space == NULL) return SQLITE_NOMEM;
    *table = vt_table_joined(space, request->table);
    return *table != NULL ? SQLITE_OK : vt_fail(message, SQLITE_ERROR, "%s.%s is no LSM table", request->schema, request->table);
}

static int delete_rows(struct vt_table *table, struct lsm_slice low, struct lsm_slice high, char **message) {
    /* As if the row with the greatest number were deleted; SQLite hands the message of an errand over, not that of the table. */
    int rc = vt_rowids_remove(table, INT64_MAX);
    if (rc == SQLITE_OK) rc = vt_txn_delete_range(table->space, vt_table_tree(table), low, high, message);
    table->rowids.max_epoch = 0;
    return rc;
}

static int truncate_all(struct vt_table *table, char **message) {
    struct lsm_slice none = {0}, all = {.data = behind_all, .size = sizeof behind_all};
    int rc = delete_rows(table, none, all, message);
    for (int i = 0; i < table->schema->index_count && rc == SQLITE_OK; i++) {
        rc = vt_txn_delete_range(table->space, table->schema->indexes[i].tree.tree, none, all, message);
    }
    return rc;
}

static int bound(struct vt_bound *out, struct vt_value *value, sqlite3_value *given, enum vt_affinity affinity) {
    if (sqlite3_value_type(given) == SQLITE_NULL) return SQLITE_OK;
    int rc = vt_affinity_compare(given, affinity, value);
    out->value = value;
    return rc;
}

static int delete_range(const struct request *request, struct vt_table *table, char **message) {
    const struct vt_schema *schema = table->schema;
    bool rowid = schema->kind == VT_KIND_ROWID;
    const struct vt_key_column *key = rowid ? vt_rowid_key : schema->key;
    enum vt_affinity affinity = rowid ? VT_AFFINITY_INTEGER : schema->columns[key->column].affinity;
    struct vt_value values[2];
    struct vt_key_query query = {.lower = {.inclusive = true}};
    struct vt_bytes low = {0}, high = {0};
    bool has_low, has_high, empty = false;
    int rc = bound(&query.lower, &values[0], request->low, affinity);
    if (rc == SQLITE_OK) rc = bound(&query.upper, &values[1], request->high, affinity);
    if (rc == SQLITE_OK) rc = vt_key_range(key, rowid ? 1 : schema->key_count, &query, &low, &has_low, &high, &has_high, &empty);
    if (rc == SQLITE_OK && !empty) {
        struct lsm_slice from = has_low ? vt_bytes_slice(&low) : (struct lsm_slice){0};
        struct lsm_slice to = has_high ? vt_bytes_slice(&high) : (struct lsm_slice){.data = behind_all, .size = sizeof behind_all};
        rc = delete_rows(table, from, to, message);
    }
    vt_bytes_release(&low);
    vt_bytes_release(&high);
    return rc;
}

/* The name of the first key column, as SQL takes it. */
static char *key_name(const struct vt_table *table) {
    const struct vt_schema *schema = table->schema;
    if (schema->kind == VT_KIND_ROWID) return sqlite3_mprintf("_rowid_");
    const struct vt_key_column *key = schema->key;
    return sqlite3_mprintf("\"%w\" COLLATE %s", schema->columns[key->column].name, vt_collation_name(key->collation));
}

static int work(void *arg, char **message) {
    struct request *request = arg;
    struct vt_table *table;
    int rc = find(request, &table, message);
    if (rc != SQLITE_OK) return rc;
    if (request->low == NULL) return truncate_all(table, message);
    if (table->schema->index_count == 0) return delete_range(request, table, message);
    request->by_rows = key_name(table);
    return request->by_rows == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static int delete_by_rows(const struct request *request, char **message) {
    sqlite3 *db = request->connection->db;
    sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf("DELETE FROM \"%w\".\"%w\" WHERE (?1 IS NULL OR %s >= ?1) AND (?2 IS NULL OR %s < ?2)", request->schema,
                                request->table, request->by_rows, request->by_rows);
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_value(statement, 1, request->low);
    if (rc == SQLITE_OK) rc = sqlite3_bind_value(statement, 2, request->high);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE) rc = vt_fail_sqlite(message, rc, db);
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int carry_out(struct request *request, char **message) {
    struct vt_errand errand = {.work = work, .arg = request};
    int rc = vt_errand_run(request->connection, request->schema, request->table, &errand, message);
    if (rc == SQLITE_OK && request->by_rows != NULL) rc = delete_by_rows(request, message);
    sqlite3_free(request->by_rows);
    return rc;
}

int vt_range_truncate(struct vt_connection *connection, const char *schema, const char *table, char **message) {
    return carry_out(&(struct request){.connection = connection, .schema = schema, .table = table}, message);
}

int vt_range_delete(struct vt_connection *connection, const char *schema, const char *table, sqlite3_value *low, sqlite3_value *high,
                    char **message) {
    return carry_out(&(struct request){.connection = connection, .schema = schema, .table = table, .low = low, .high = high}, message);
}
