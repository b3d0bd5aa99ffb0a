#include "check.h"

#include <stdio.h>
#include <string.h>

#include "ddl_constraint.h"
#include "home.h"
#include "index.h"
#include "pulse.h"
#include "row_codec.h"
#include "shadow.h"
#include "table.h"

#define INTERRUPT_ROWS 4096 /* how often a long walk looks whether it is to stop */

/* The database and the store are of one history. */
static int check_history(struct vt_space *space, lsm_check_fn found, void *arg, char **message) {
    enum vt_verdict verdict = VT_FITS;
    int rc = space->txn.state == VT_TXN_IDLE ? vt_decide_compare(space, &verdict, message) : SQLITE_OK;
    if (rc == SQLITE_OK && verdict == VT_AHEAD) found(arg, "history: the database is older than the store of its LSM tables; see lsm_accept()");
    if (rc == SQLITE_OK && verdict == VT_BEHIND) found(arg, "history: the store of the LSM tables is older than its database; see lsm_accept()");
    return rc;
}

/* Every tree a shadow table names is there. */
static int check_trees(struct vt_space *space, lsm_check_fn found, void *arg, char **message) {
    struct vt_shadow_list list;
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    if (rc == SQLITE_OK) rc = vt_decide_ask(space, message); /* who has made the last of them may not have told the store of it yet */
    for (int i = 0; i < list.count && rc == SQLITE_OK; i++) {
        struct lsm_tree_info tree = list.entries[i].shadow.tree;
        int status = vt_txn_made_tree(space, tree) ? LSM_OK : lsm_store_tree_check(space->store, tree);
        bool dropped = false;
        if (status != LSM_OK) rc = vt_decide_is_dropped(space, tree, &dropped, message);
        if (status == LSM_OK || dropped || rc != SQLITE_OK) continue;
        char text[160];
        (void)snprintf(text, sizeof text, "schema: a table's rows, tree %u, are not in the store: it does not belong to this state of the database",
                       (unsigned)tree.tree);
        found(arg, text);
    }
    if (rc == SQLITE_OK && list.damaged)
        found(arg, "schema: a shadow table (its name ends in _" VT_SHADOW_SUFFIX ") is damaged or of a newer release");
    vt_shadow_list_release(&list);
    return rc;
}

/* Every row of every table can be read: by reading them. */
static int check_rows_of(struct vt_space *space, const char *table, lsm_check_fn found, void *arg) {
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\".\"%w\"", space->schema, table);
    if (sql == NULL) return SQLITE_NOMEM;
    sqlite3 *db = space->connection->db;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) rc = sqlite3_step(statement);
    /* Another connection has dropped it since this statement began: there is nothing to be read. */
    if (rc != SQLITE_DONE && sqlite3_extended_errcode(db) == SQLITE_BUSY_SNAPSHOT) rc = SQLITE_DONE;
    if (rc != SQLITE_DONE && rc != SQLITE_INTERRUPT && rc != SQLITE_NOMEM) {
        char text[512];
        (void)snprintf(text, sizeof text, "table %s: %s", table, sqlite3_errmsg(db));
        found(arg, text);
        rc = SQLITE_DONE;
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- indexes and the mark of AUTOINCREMENT ---------------------------------------------------------------------- */

struct tree_check {
    struct vt_table *table;
    struct vt_view *view;
    lsm_check_fn found;
    void *arg;
    char **message;
    struct vt_value *values;
    struct vt_bytes entry;
    uint64_t rows, missing[VT_INDEXES_MAX];
    struct vt_pulse pulse;
};

static int check_row(struct tree_check *check, struct lsm_slice key, struct lsm_slice record) {
    const struct vt_schema *schema = check->table->schema;
    struct vt_indexed_row row;
    int rc = vt_entries_read(check->table, key, record, check->values, &row);
    if (rc == SQLITE_OK) rc = vt_row_check(schema, key, record); /* the SELECT may have been content with an index */
    if ((rc & 0xff) == SQLITE_CORRUPT) {
        char text[512];
        (void)snprintf(text, sizeof text, "table %s: row %llu in key order is damaged", check->table->name, (unsigned long long)check->rows + 1);
        check->found(check->arg, text);
        check->rows++;
        return SQLITE_OK;
    }
    if (rc != SQLITE_OK) return rc;
    check->rows++;
    for (int i = 0; i < schema->index_count && rc == SQLITE_OK; i++) {
        const struct vt_index *index = &schema->indexes[i];
        struct lsm_value value = {0};
        struct lsm_error err;
        bool alone;
        vt_error_clear(&err);
        rc = vt_index_entry(index, row.values, row.rowid, key, &check->entry, &alone);
        if (rc != SQLITE_OK) return rc;
        int status = lsm_view_get(check->view->engine, index->tree.tree, vt_bytes_slice(&check->entry), &value, &err);
        if (status != LSM_OK && status != LSM_NOTFOUND) return vt_fail_engine(check->message, status, &err);
        size_t wanted = alone ? key.size : 0;
        bool right = status == LSM_OK && value.bytes.size == wanted && (wanted == 0 || memcmp(value.bytes.data, key.data, wanted) == 0);
        if (!right) check->missing[i]++;
        lsm_value_release(&value);
    }
    return rc;
}

/* Walk a tree: its rows, if there is something to do with them, or only to count them. */
static int walk_tree(struct tree_check *check, uint32_t tree, int (*visit)(struct tree_check *check, struct lsm_slice key, struct lsm_slice record),
                     uint64_t *count) {
    struct lsm_cursor *cursor = NULL;
    struct lsm_error err;
    vt_error_clear(&err);
    int rc = SQLITE_OK, status = lsm_cursor_open(check->view->engine, tree, NULL, NULL, &cursor, &err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &err);
    *count = 0;
    while (status == LSM_OK && rc == SQLITE_OK && lsm_cursor_valid(cursor)) {
        if (visit != NULL) rc = visit(check, lsm_cursor_key(cursor), lsm_cursor_value(cursor));
        if (++*count % INTERRUPT_ROWS == 0 && rc == SQLITE_OK && vt_pulse_stops(&check->pulse)) rc = SQLITE_INTERRUPT;
        if (rc == SQLITE_OK) status = lsm_cursor_next(cursor, &err);
    }
    lsm_cursor_close(cursor);
    return status == LSM_OK ? rc : vt_fail_engine(check->message, status, &err);
}

/* Another connection has dropped the index since the state of the database that this one reads: the rows' view may have none of it any more. */
static int is_dropped(const struct vt_table *table, struct lsm_tree_info tree, bool *dropped, char **message) {
    *dropped = false;
    return lsm_store_tree_check(table->space->store, tree) == LSM_NOTFOUND ? vt_decide_is_dropped(table->space, tree, dropped, message) : SQLITE_OK;
}

/* Every row has its entry in each index, and there are no others. */
static int check_entries(struct tree_check *check) {
    const struct vt_schema *schema = check->table->schema;
    uint64_t count;
    int rc = walk_tree(check, vt_table_tree(check->table), check_row, &count);
    for (int i = 0; i < schema->index_count && rc == SQLITE_OK; i++) {
        char text[512];
        const char *table = check->table->name, *index = schema->indexes[i].name;
        rc = walk_tree(check, schema->indexes[i].tree.tree, NULL, &count);
        bool dropped = false;
        if (rc == SQLITE_OK && (check->missing[i] > 0 || count != check->rows))
            rc = is_dropped(check->table, schema->indexes[i].tree, &dropped, check->message);
        if (rc != SQLITE_OK) break;
        if (dropped) continue;
        if (check->missing[i] > 0) {
            (void)snprintf(text, sizeof text, "index %s of table %s: the entries of %llu rows are missing or wrong", index, table,
                           (unsigned long long)check->missing[i]);
            check->found(check->arg, text);
        }
        if (count == check->rows) continue;
        (void)snprintf(text, sizeof text, "index %s of table %s: %llu entries for %llu rows", index, table, (unsigned long long)count,
                       (unsigned long long)check->rows);
        check->found(check->arg, text);
    }
    return rc;
}

static int check_mark(struct tree_check *check) {
    struct lsm_value value = {0};
    struct lsm_error err;
    int64_t mark;
    bool exact;
    vt_error_clear(&err);
    int status = lsm_view_get(check->view->engine, check->table->sequence.tree, vt_rowids_mark_key(), &value, &err);
    if (status == LSM_OK && !vt_rowids_mark_read(value.bytes, &mark, &exact)) {
        char text[512];
        (void)snprintf(text, sizeof text, "table %s: the AUTOINCREMENT mark is damaged", check->table->name);
        check->found(check->arg, text);
    }
    lsm_value_release(&value);
    return status == LSM_NOTFOUND ? SQLITE_OK : vt_fail_engine(check->message, status, &err);
}

/* The trees of a table besides that of its rows. */
static int check_others_of(struct vt_space *space, const char *name, lsm_check_fn found, void *arg, char **message) {
    struct vt_table *table = vt_table_find(space, name);
    if (table == NULL || vt_table_bind(table, NULL) != SQLITE_OK) return SQLITE_OK;
    if (table->schema->index_count == 0 && !table->schema->autoincrement) return SQLITE_OK;
    struct tree_check check = {.table = table, .found = found, .arg = arg, .message = message, .pulse = {.db = space->connection->db}};
    check.values = sqlite3_malloc64((size_t)table->schema->column_count * sizeof *check.values);
    int rc = check.values == NULL ? SQLITE_NOMEM : vt_view_acquire(space, &check.view, message);
    if (rc == SQLITE_OK && table->schema->autoincrement) rc = check_mark(&check);
    if (rc == SQLITE_OK && table->schema->index_count > 0) rc = check_entries(&check);
    vt_view_unref(space, check.view);
    vt_pulse_release(&check.pulse);
    vt_bytes_release(&check.entry);
    sqlite3_free(check.values);
    return rc;
}

static int check_rows(struct vt_space *space, lsm_check_fn found, void *arg, char **message) {
    char *sql = sqlite3_mprintf("SELECT name FROM \"%w\".sqlite_schema AS v WHERE type = 'table' AND rootpage = 0 AND EXISTS"
                                " (SELECT 1 FROM \"%w\".sqlite_schema AS s WHERE s.type = 'table' AND s.name = v.name || '_" VT_SHADOW_SUFFIX
                                "' COLLATE nocase) AND sql LIKE '%%using%%lsm%%'",
                                space->schema, space->schema);
    if (sql == NULL) return SQLITE_NOMEM;
    sqlite3 *db = space->connection->db;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK) rc = vt_fail_sqlite(message, rc, db);
    sqlite3_free(sql);
    while (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW) {
            if (rc != SQLITE_DONE) rc = vt_fail_sqlite(message, rc, db);
            break;
        }
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        rc = name == NULL ? SQLITE_NOMEM : check_rows_of(space, name, found, arg);
        if (rc == SQLITE_OK) rc = check_others_of(space, name, found, arg, message);
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int vt_check_schema(struct vt_connection *connection, const char *schema, lsm_check_fn found, void *arg, char **message) {
    struct vt_space *space = vt_space_find(connection, schema);
    if (space == NULL) return SQLITE_NOMEM;
    int rc = vt_home_open(space, VT_OPEN_EXISTING, message);
    if (rc != SQLITE_OK || space->store == NULL) return rc;
    rc = check_history(space, found, arg, message);
    if (rc == SQLITE_OK) rc = check_trees(space, found, arg, message);
    if (rc != SQLITE_OK) return rc;
    struct lsm_error err;
    vt_error_clear(&err);
    uint64_t problems = 0;
    struct vt_pulse pulse = {.db = connection->db};
    int status = lsm_store_check(space->store, found, arg, vt_pulse_stops, &pulse, &problems, &err);
    vt_pulse_release(&pulse);
    if (status != LSM_OK) return vt_fail_engine(message, status, &err);
    connection->checking = true;
    rc = check_rows(space, found, arg, message);
    connection->checking = false;
    return rc;
}

static void add_line(void *arg, const char *text) {
    sqlite3_str *lines = arg;
    sqlite3_str_appendf(lines, "%sLSM %s", sqlite3_str_length(lines) > 0 ? "\n" : "", text);
}

int vt_check_integrity(sqlite3_vtab *vtab, const char *schema, const char *name, int flags, char **problem) {
    (void)schema;
    struct vt_table *table = (struct vt_table *)vtab;
    char *message = NULL;
    bool quick = (flags & 1) != 0;
    sqlite3_str *lines = sqlite3_str_new(NULL);
    table->space->connection->checking = true;
    int rc = check_rows_of(table->space, name, add_line, lines);
    if (rc == SQLITE_OK && !quick) rc = check_others_of(table->space, name, add_line, lines, &message);
    table->space->connection->checking = false;
    if (rc == SQLITE_OK) rc = sqlite3_str_errcode(lines);
    *problem = sqlite3_str_finish(lines);
    sqlite3_free(message);
    return rc;
}
