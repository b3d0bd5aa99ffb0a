#include "index_ddl.h"

#include "catalogue.h"
#include "cursor.h"
#include "ddl.h"
#include "entries.h"
#include "errand.h"
#include "index.h"
#include "pulse.h"
#include "sql.h"
#include "table.h"

#define INTERRUPT_ROWS 1024 /* how often building looks whether it is to stop */

static int find(struct vt_space *space, const struct vt_index_name *which, struct vt_table **table, char **message) {
    *table = vt_table_joined(space, which->table);
    if (*table == NULL) return vt_fail(message, SQLITE_ERROR, "%s.%s is no LSM table", which->schema, which->table);
    for (struct vt_cursor *cursor = space->cursors; cursor != NULL; cursor = vt_cursor_after(cursor)) {
        if (vt_cursor_is_of(cursor, &(*table)->base))
            return vt_fail(message, SQLITE_LOCKED, "table %s is being read by this connection", which->table);
    }
    return SQLITE_OK;
}

/* Everybody is to look again. A change of the schema that leaves nothing behind is what SQLite tells all connections of; and of its being undone: then it
 * connects the table anew. */
static int announce(struct vt_table *table, const struct vt_index_name *which, char **message) {
    uint64_t random;
    sqlite3_randomness((int)sizeof random, &random);
    return vt_sql_run(
        table->space->connection->db, message,
        sqlite3_mprintf("CREATE VIEW \"%w\".\"lsm_%llx\" AS SELECT 1; DROP VIEW \"%w\".\"lsm_%llx\"", which->schema, random, which->schema, random));
}

/* ---- building ------------------------------------------------------------------------------------------------------- */

struct build {
    struct vt_table *table;
    const struct vt_index *index;
    struct vt_value *values;
    struct vt_bytes entry;
    uint64_t rows;
    struct vt_pulse pulse;
    char **message;
};

static int add_row(struct build *build, struct lsm_slice key, struct lsm_slice record) {
    struct vt_space *space = build->table->space;
    struct vt_indexed_row row;
    bool alone;
    int rc = vt_entries_read(build->table, key, record, build->values, &row);
    if (rc == SQLITE_OK) rc = vt_index_entry(build->index, row.values, row.rowid, key, &build->entry, &alone);
    if (rc != SQLITE_OK)
        return (rc & 0xff) == SQLITE_CORRUPT ? vt_fail(build->message, rc, "a row of table %s is damaged: run SELECT lsm_check()", build->table->name)
                                             : rc;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = alone ? lsm_txn_get(space->txn.engine, build->index->tree.tree, vt_bytes_slice(&build->entry), NULL, &err) : LSM_NOTFOUND;
    if (status == LSM_OK) return vt_index_fail_unique(build->table->schema, build->index, build->table->name, build->message);
    if (status != LSM_NOTFOUND) return vt_fail_engine(build->message, status, &err);
    struct lsm_slice value = alone ? key : (struct lsm_slice){0};
    return vt_txn_put(space, build->index->tree.tree, vt_bytes_slice(&build->entry), value, build->message);
}

static int add_rows(struct build *build, struct vt_view *view) {
    struct lsm_cursor *cursor = NULL;
    struct lsm_error err;
    vt_error_clear(&err);
    int rc = SQLITE_OK, status = lsm_cursor_open(view->engine, vt_table_tree(build->table), NULL, NULL, &cursor, &err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &err);
    while (status == LSM_OK && rc == SQLITE_OK && lsm_cursor_valid(cursor)) {
        rc = add_row(build, lsm_cursor_key(cursor), lsm_cursor_value(cursor));
        if (++build->rows % INTERRUPT_ROWS == 0 && rc == SQLITE_OK && vt_pulse_stops(&build->pulse)) rc = SQLITE_INTERRUPT;
        if (rc == SQLITE_OK) status = lsm_cursor_next(cursor, &err);
    }
    lsm_cursor_close(cursor);
    return status == LSM_OK ? rc : vt_fail_engine(build->message, status, &err);
}

static int build_index(struct vt_table *table, const struct vt_index *index, char **message) {
    struct build build = {.table = table, .index = index, .message = message, .pulse = {.db = table->space->connection->db}};
    struct vt_view *view = NULL;
    build.values = sqlite3_malloc64((size_t)table->schema->column_count * sizeof *build.values);
    int rc = build.values == NULL ? SQLITE_NOMEM : vt_view_acquire(table->space, &view, message);
    if (rc == SQLITE_OK) rc = add_rows(&build, view);
    vt_view_unref(table->space, view);
    vt_pulse_release(&build.pulse);
    vt_bytes_release(&build.entry);
    sqlite3_free(build.values);
    return rc;
}

/* ---- the two commands ----------------------------------------------------------------------------------------------- */

static int add_to_catalogue(struct vt_table *table, const struct vt_index *index, const struct vt_index_name *which, char **message) {
    char *definition = vt_index_definition(table->schema, index), *text = definition == NULL ? NULL : sqlite3_mprintf(" %s", definition);
    int rc = text == NULL ? SQLITE_NOMEM
                          : vt_catalogue_add(table->space->connection->db, which->schema, which->table, VT_CATALOGUE_INDEX, which->name, index->tree,
                                             text, message);
    sqlite3_free(definition);
    sqlite3_free(text);
    return rc;
}

static int create(struct vt_space *space, const struct vt_index_name *which, const struct vt_index_request *request, char **message) {
    struct vt_table *table;
    int rc = find(space, which, &table, message);
    if (rc == SQLITE_OK) rc = vt_ddl_add_index(table->schema, which->name, request->columns, message);
    if (rc != SQLITE_OK) return rc;
    struct vt_index *index = &table->schema->indexes[table->schema->index_count - 1];
    if (request->unique) index->unique = true;
    vt_index_settle(table->schema);
    rc = vt_txn_tree_create(space, &index->tree, message);
    if (rc == SQLITE_OK) rc = build_index(table, index, message);
    if (rc == SQLITE_OK) rc = add_to_catalogue(table, index, which, message);
    if (rc == SQLITE_OK) rc = announce(table, which, message);
    table->estimated_at_ms = 0;
    if (rc == SQLITE_OK) return rc;
    vt_index_drop_last(table->schema);
    vt_index_settle(table->schema);
    return rc;
}

static int drop(struct vt_space *space, const struct vt_index_name *which, char **message) {
    struct vt_table *table;
    int rc = find(space, which, &table, message);
    if (rc != SQLITE_OK) return rc;
    int i = vt_index_find(table->schema, which->name);
    if (i < 0) return vt_fail(message, SQLITE_ERROR, "no such index: %s", which->name);
    if (i < table->schema->declared_index_count) {
        return vt_fail(message, SQLITE_ERROR, "index %s belongs to the declaration of table %s and goes with it", which->name, which->table);
    }
    rc = vt_txn_tree_drop(space, table->schema->indexes[i].tree.tree, message);
    if (rc == SQLITE_OK) rc = vt_catalogue_remove(space->connection->db, which->schema, which->table, VT_CATALOGUE_INDEX, which->name, message);
    vt_table_forget(table);
    return rc == SQLITE_OK ? announce(table, which, message) : rc;
}

struct request {
    struct vt_connection *connection;
    const struct vt_index_name *which;
    const struct vt_index_request *index; /* NULL: drop it */
};

static int work(void *arg, char **message) {
    const struct request *request = arg;
    struct vt_space *space = vt_space_find(request->connection, request->which->schema);
    if (space == NULL) return SQLITE_NOMEM;
    return request->index == NULL ? drop(space, request->which, message) : create(space, request->which, request->index, message);
}

static int carry_out(struct request *request, char **message) {
    struct vt_errand errand = {.work = work, .arg = request};
    return vt_errand_run(request->connection, request->which->schema, request->which->table, &errand, message);
}

int vt_index_create(struct vt_connection *connection, const struct vt_index_name *which, const struct vt_index_request *index, char **message) {
    return carry_out(&(struct request){.connection = connection, .which = which, .index = index}, message);
}

int vt_index_drop(struct vt_connection *connection, const struct vt_index_name *which, char **message) {
    return carry_out(&(struct request){.connection = connection, .which = which}, message);
}
