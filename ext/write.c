#include "write.h"

#include <string.h>

#include "row_codec.h"
#include "table.h"
#include "unique.h"

/* SQLITE_CONSTRAINT_DATATYPE, which older headers lack. */
#define VT_CONSTRAINT_DATATYPE (SQLITE_CONSTRAINT | (12 << 8))

/* One call of xUpdate. Values, key and record are in the table's scratch space. */
struct write {
    struct vt_table *table;
    sqlite3_value **columns; /* as given; column_count of them, then the hidden key */
    struct vt_conflict conflict;
    bool update;
    struct lsm_value old_row; /* what columns that do not change are read from, and the entries of indexes */
    bool old_read;
    bool gone;     /* update: the row is not there any more */
    bool numbered; /* the rowid is chosen */
    bool
        types_late; /* SQLite looks at the types of STRICT when the first of CHECK and indexes wants the values as they will be stored: after the rowid */
    int64_t rowid;
};

static char **message_of(const struct write *w) { return &w->table->base.zErrMsg; }

/* What the statement says. Asked for only where it makes a difference: finding it among many statements of the connection takes as long as writing the row. */
static const struct vt_statement *statement_of(const struct write *w) {
    struct vt_table *table = w->table;
    const struct vt_txn *txn = &table->space->txn;
    if (table->statement.epoch != txn->epoch || table->statement.rollbacks != txn->rollbacks) table->statement.caller = NULL;
    table->statement.epoch = txn->epoch;
    table->statement.rollbacks = txn->rollbacks;
    vt_statement_find(&table->statement, table->space->connection->db, w->columns, table->space->schema, table->name);
    return &table->statement;
}

/* Has the declaration any ON CONFLICT of its own, which OR ABORT overrules and its absence does not? */
static bool declares_conflicts(const struct vt_schema *schema) {
    bool declares = schema->key_conflict != 0;
    for (int i = 0; i < schema->column_count && !declares; i++) declares = schema->columns[i].not_null_conflict != 0;
    for (int i = 0; i < schema->index_count && !declares; i++) declares = schema->indexes[i].conflict != 0;
    return declares;
}

/* ---- existing rows -------------------------------------------------------------------------------------------- */

/* The row before the update, for the columns SQLite did not read. */
static int read_old_row(struct write *w, struct vt_row_reader *reader) {
    struct lsm_slice key = vt_bytes_slice(&w->table->old_key);
    int rc = w->old_read ? SQLITE_OK : vt_txn_get(w->table->space, vt_table_tree(w->table), key, &w->old_row, message_of(w));
    if (rc == SQLITE_NOTFOUND) {
        w->gone = true;
        return SQLITE_OK;
    }
    w->old_read = rc == SQLITE_OK;
    vt_row_reader_init(reader, w->table->schema, key, w->old_row.bytes);
    return rc;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

/* A column that is not to change, if the key tells it. */
static bool take_from_key(const struct write *w, int i, struct vt_value *value) {
    bool text;
    struct lsm_slice bytes;
    if (i != w->table->schema->bytes_column || !vt_key_only_bytes(vt_bytes_slice(&w->table->old_key), &text, &bytes)) return false;
    *value = vt_value_bytes(text ? SQLITE_TEXT : SQLITE_BLOB, bytes.data, bytes.size);
    return true;
}

static int take_values(struct write *w) {
    struct vt_table *table = w->table;
    const struct vt_schema *schema = table->schema;
    vt_defaults_next_row(&table->defaults);
    if (table->values == NULL) table->values = sqlite3_malloc64((size_t)schema->column_count * sizeof *table->values);
    if (table->values == NULL) return SQLITE_NOMEM;
    struct vt_row_reader old = {0};
    int rc = SQLITE_OK;
    for (int i = 0; i < schema->column_count && rc == SQLITE_OK && !w->gone; i++) {
        if (!w->update || sqlite3_value_nochange(w->columns[i]) == 0) {
            rc = vt_affinity_apply(w->columns[i], schema->columns[i].affinity, &table->values[i]);
            continue;
        }
        if (take_from_key(w, i, &table->values[i])) continue;
        if (old.schema == NULL) rc = read_old_row(w, &old);
        if (rc == SQLITE_OK && !w->gone) rc = vt_row_get(&old, i, &table->values[i]);
    }
    return rc;
}

static int take_default(struct write *w, int i, struct vt_value *value) {
    struct vt_table *table = w->table;
    *value = table->schema->columns[i].default_value;
    if (table->schema->columns[i].default_text == NULL) return SQLITE_OK;
    return vt_defaults_get(&table->defaults, table->space->connection->db, table->space->schema, table->name, table->schema, i, value, message_of(w));
}

/* NOT NULL, and the defaults that take the place of NULL: an insert cannot tell a column left out from one given as NULL. */
static int check_not_null(struct write *w) {
    const struct vt_schema *schema = w->table->schema;
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
        struct vt_value *value = &w->table->values[i];
        if (value->type != SQLITE_NULL || !column->not_null || i == schema->rowid_column) continue;
        if (column->has_default && (!w->update || vt_conflict_resolution(&w->conflict, column->not_null_conflict) == SQLITE_REPLACE)) {
            int rc = take_default(w, i, value);
            if (rc != SQLITE_OK) return rc;
            if (value->type != SQLITE_NULL) continue;
        }
        vt_conflict_note(&w->conflict, column->not_null_conflict);
        return vt_fail(message_of(w), SQLITE_CONSTRAINT_NOTNULL, "NOT NULL constraint failed: %s.%s", w->table->name, column->name);
    }
    return SQLITE_OK;
}

/* STRICT: what a column holds after its affinity must be of its type. Unlike other constraints this one undoes the statement even if it says OR IGNORE, FAIL or
 * ROLLBACK. SQLite would carry those out if it were told SQLITE_CONSTRAINT: then it is told another code, with the same words. */
static int fail_type(struct write *w, const struct vt_column *column, int type) {
    static const char *const value_names[] = {"", "INT", "REAL", "TEXT", "BLOB", "NULL"};
    static const char *const column_names[] = {"", "INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"};
    int says = w->conflict.statement;
    bool undone = says == 0 || says == SQLITE_ABORT || says == SQLITE_REPLACE;
    return vt_fail(message_of(w), undone ? VT_CONSTRAINT_DATATYPE : SQLITE_MISMATCH, "cannot store %s value in %s column %s.%s", value_names[type],
                   column_names[column->strict], w->table->name, column->name);
}

static bool fits(enum vt_strict strict, int type) {
    switch (strict) { /* LCOV_EXCL_BR_LINE: no other values */
    case VT_STRICT_INT:
    case VT_STRICT_INTEGER: return type == SQLITE_INTEGER;
    case VT_STRICT_REAL: return type == SQLITE_FLOAT;
    case VT_STRICT_TEXT: return type == SQLITE_TEXT;
    case VT_STRICT_BLOB: return type == SQLITE_BLOB;
    case VT_STRICT_ANY:
    case VT_STRICT_NONE: break;
    }
    return true;
}

static int check_types(struct write *w) {
    const struct vt_schema *schema = w->table->schema;
    for (int i = 0; i < schema->column_count && schema->strict; i++) {
        int type = w->table->values[i].type;
        if (type == SQLITE_NULL || i == schema->rowid_column || fits(schema->columns[i].strict, type)) continue;
        return fail_type(w, &schema->columns[i], type);
    }
    return SQLITE_OK;
}

/* CHECK is looked at if the row is new or a column it mentions is set. */
static bool needs_checks(const struct write *w, bool moves) {
    const struct vt_schema *schema = w->table->schema;
    if (schema->check_count == 0) return false;
    bool set = !w->update || (moves && schema->rowid_checked);
    for (int i = 0; i < schema->column_count && !set; i++) set = schema->columns[i].checked && sqlite3_value_nochange(w->columns[i]) == 0;
    return set;
}

static int run_checks(struct write *w) {
    struct vt_table *table = w->table;
    struct vt_space *space = table->space;
    return vt_checks_run(&table->checks, space->connection->db, space->schema, table->name, table->schema, table->values, w->rowid, message_of(w));
}

/* ---- rowids --------------------------------------------------------------------------------------------------- */

/* The rowid to be, from the rowid given and the INTEGER PRIMARY KEY column. *automatic: nobody chose it, so it is free. */
static int choose_rowid(struct write *w, sqlite3_value *old, sqlite3_value *given, bool *automatic) {
    const struct vt_schema *schema = w->table->schema;
    const struct vt_value *column = schema->rowid_column < 0 ? NULL : &w->table->values[schema->rowid_column];
    *automatic = false;
    bool given_counts = sqlite3_value_type(given) != SQLITE_NULL;
    /* In an update both are always given: the one that differs from the old rowid is meant. */
    if (w->update && column != NULL && sqlite3_value_int64(given) == sqlite3_value_int64(old)) given_counts = false;
    if (given_counts) {
        if (sqlite3_value_type(given) != SQLITE_INTEGER) return SQLITE_MISMATCH;
        w->rowid = sqlite3_value_int64(given);
        return SQLITE_OK;
    }
    if (column != NULL && column->type == SQLITE_INTEGER) {
        w->rowid = column->i;
        return SQLITE_OK;
    }
    if (w->update || (column != NULL && column->type != SQLITE_NULL)) return SQLITE_MISMATCH;
    *automatic = true;
    return vt_rowids_next(w->table, &w->rowid);
}

/* ---- keys ----------------------------------------------------------------------------------------------------- */

/* SQLite takes a WITHOUT ROWID row by its hidden key; nobody else may write that column. */
static int check_hidden_key(struct write *w) {
    const struct vt_table *table = w->table;
    sqlite3_value *hidden = w->columns[table->schema->column_count];
    if (sqlite3_value_type(hidden) == SQLITE_NULL || sqlite3_value_nochange(hidden) != 0) return SQLITE_OK;
    struct lsm_slice given = {.data = sqlite3_value_blob(hidden), .size = (size_t)sqlite3_value_bytes(hidden)};
    const struct vt_bytes *known[2] = {&table->key, &table->old_key};
    for (int i = 0; i < (w->update ? 2 : 1); i++) {
        if (known[i]->size == given.size && memcmp(known[i]->data, given.data, given.size) == 0) return SQLITE_OK;
    }
    return vt_fail(message_of(w), SQLITE_ERROR, "column %s is made from the primary key and cannot be written", table->schema->hidden_name);
}

/* The new key into table->key, and NOT NULL checked: in SQLite's order. *fresh: the key is known to be free. */
static int make_key(struct write *w, sqlite3_value *old, sqlite3_value *given, bool *fresh) {
    struct vt_table *table = w->table;
    vt_bytes_reset(&table->key);
    *fresh = false;
    if (table->schema->kind == VT_KIND_CLUSTERED) {
        int rc = check_not_null(w);
        if (rc == SQLITE_OK) rc = vt_key_encode_row(table->schema, table->values, &table->key);
        return rc == SQLITE_OK ? check_hidden_key(w) : rc;
    }
    int rc = choose_rowid(w, old, given, fresh);
    w->numbered = rc == SQLITE_OK;
    if (rc == SQLITE_OK) rc = vt_bytes_reserve(&table->key, VT_KEY_INT64_BYTES_MAX);
    if (rc == SQLITE_OK) table->key.size = vt_key_put_int64(table->key.data, w->rowid);
    return rc == SQLITE_OK ? check_not_null(w) : rc;
}

static int take_old_key(struct vt_table *table, sqlite3_value *old) {
    if (table->schema->kind == VT_KIND_CLUSTERED) {
        struct lsm_slice bytes = {.data = sqlite3_value_blob(old), .size = (size_t)sqlite3_value_bytes(old)};
        return vt_bytes_set(&table->old_key, bytes);
    }
    vt_bytes_reset(&table->old_key);
    int rc = vt_bytes_reserve(&table->old_key, VT_KEY_INT64_BYTES_MAX);
    if (rc == SQLITE_OK) table->old_key.size = vt_key_put_int64(table->old_key.data, sqlite3_value_int64(old));
    return rc;
}

static bool key_changes(const struct vt_table *table) {
    return table->key.size != table->old_key.size || memcmp(table->key.data, table->old_key.data, table->key.size) != 0;
}

/* ---- the three kinds of change -------------------------------------------------------------------------------- */

static int delete_row(struct vt_table *table, struct lsm_slice key) {
    if (table->schema->kind == VT_KIND_CLUSTERED) return vt_txn_delete(table->space, vt_table_tree(table), key, &table->base.zErrMsg);
    int64_t rowid;
    if (!vt_key_get_int64(key, &rowid)) return SQLITE_CORRUPT_VTAB;
    int rc = vt_rowids_remove(table, rowid);
    if (rc == SQLITE_OK) rc = vt_txn_delete(table->space, vt_table_tree(table), key, &table->base.zErrMsg);
    if (rc == SQLITE_OK) vt_rowids_removed(table, rowid);
    return rc;
}

/* The end of a change in several steps. Half of one must not be committed: SQLITE_IOERR makes SQLite roll back everything. */
static int end_change(struct vt_table *table, const struct vt_mark *mark, int rc) {
    if (rc != SQLITE_OK && vt_txn_undo(table->space, mark, NULL) != SQLITE_OK) return SQLITE_IOERR;
    vt_txn_unmark(table->space, mark);
    return rc;
}

static int delete_old_row(struct vt_table *table) {
    struct lsm_slice key = vt_bytes_slice(&table->old_key);
    if (table->schema->index_count == 0) return delete_row(table, key);
    struct vt_mark mark = vt_txn_mark(table->space);
    int rc = vt_entries_delete(table, key);
    if (rc == SQLITE_OK) rc = delete_row(table, key);
    return end_change(table, &mark, rc == SQLITE_NOTFOUND ? SQLITE_OK : rc);
}

static int put_row(struct write *w) {
    struct vt_table *table = w->table;
    bool numbered = table->schema->kind == VT_KIND_ROWID;
    int rc = numbered && !w->update ? vt_rowids_insert(table, w->rowid) : SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = vt_txn_put(table->space, vt_table_tree(table), vt_bytes_slice(&table->key), vt_bytes_slice(&table->record), message_of(w));
    if (rc == SQLITE_OK && numbered) vt_rowids_written(table, w->rowid);
    return rc;
}

/* Put the row under its new key in the place of the old one: half a change if it fails. */
static int move_row(struct write *w) {
    int64_t from;
    struct lsm_slice old_key = vt_bytes_slice(&w->table->old_key);
    bool numbered = w->table->schema->kind == VT_KIND_ROWID && vt_key_get_int64(old_key, &from);
    int rc = numbered ? vt_rowids_move(w->table, from, w->rowid) : SQLITE_OK;
    if (rc == SQLITE_OK) rc = delete_row(w->table, old_key);
    return rc == SQLITE_OK ? put_row(w) : rc;
}

static int encode_record(struct write *w) {
    struct vt_table *table = w->table;
    vt_bytes_reset(&table->record);
    int rc = vt_row_encode(table->schema, table->values, &table->record);
    if (rc != SQLITE_OK) return rc;
    size_t limit = (size_t)sqlite3_limit(table->space->connection->db, SQLITE_LIMIT_LENGTH, -1);
    return table->record.size > limit || table->key.size > limit - table->record.size ? SQLITE_TOOBIG : SQLITE_OK;
}

/* ---- uniqueness ------------------------------------------------------------------------------------------------- */

/* look: the key is new, and not known to be free. */
static int check_unique(struct write *w, bool look, const struct vt_indexed_row *row, const struct vt_indexed_row *old, struct vt_victims *victims) {
    int order[VT_INDEXES_MAX + 1], rc = SQLITE_OK, count = vt_unique_order(w->table->schema, w->conflict.statement == 0, order);
    bool types = w->types_late;
    for (int i = 0; i < count && rc == SQLITE_OK; i++) {
        bool primary = order[i] == VT_PLAN_PRIMARY;
        if (types && !primary) {
            rc = check_types(w);
            types = false;
        }
        if (rc != SQLITE_OK) break;
        if (!primary)
            rc = vt_unique_check_index(w->table, order[i], &w->conflict, row, old, victims);
        else if (look)
            rc = vt_unique_check_key(w->table, &w->conflict, victims);
    }
    return rc == SQLITE_OK && types ? check_types(w) : rc;
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

static bool is_new_key(const struct vt_table *table, struct lsm_slice key) {
    return key.size == table->key.size && memcmp(key.data, table->key.data, key.size) == 0;
}

static int change_rows(struct write *w, bool moves, const struct vt_indexed_row *row, const struct vt_indexed_row *old,
                       const struct vt_victims *victims) {
    struct vt_table *table = w->table;
    int rc = SQLITE_OK;
    for (int i = 0; i < victims->count && rc == SQLITE_OK; i++) {
        struct lsm_slice key = vt_bytes_slice(&victims->keys[i]);
        rc = vt_entries_delete(table, key);
        if (rc == SQLITE_NOTFOUND) {
            rc = vt_fail(message_of(w), SQLITE_CORRUPT_VTAB, "an index of table %s names a row that is not there: run SELECT lsm_check()",
                         table->name);
        }
        if (rc == SQLITE_OK && !is_new_key(table, key)) rc = delete_row(table, key); /* otherwise it is overwritten */
    }
    if (rc == SQLITE_OK) rc = vt_entries_put(table, row, old);
    if (rc == SQLITE_OK) rc = moves ? move_row(w) : put_row(w);
    return rc;
}

/* The old row of an update as its indexes have it; *old is NULL for an insert. */
static int take_old_row(struct write *w, struct vt_indexed_row *row, const struct vt_indexed_row **old) {
    struct vt_table *table = w->table;
    struct vt_row_reader reader;
    *old = NULL;
    if (!w->update) return SQLITE_OK;
    if (table->old_values == NULL) table->old_values = sqlite3_malloc64((size_t)table->schema->column_count * sizeof *table->old_values);
    if (table->old_values == NULL) return SQLITE_NOMEM;
    int rc = read_old_row(w, &reader);
    if (rc != SQLITE_OK || w->gone) return rc;
    *old = row;
    return vt_entries_read(table, vt_bytes_slice(&table->old_key), w->old_row.bytes, table->old_values, row);
}

static int write_indexed(struct write *w, bool moves, bool look) {
    struct vt_table *table = w->table;
    struct vt_indexed_row row = {.key = vt_bytes_slice(&table->key), .rowid = w->rowid, .values = table->values}, old_row;
    const struct vt_indexed_row *old;
    struct vt_victims victims = {0};
    int rc = take_old_row(w, &old_row, &old);
    if (rc != SQLITE_OK || w->gone) return rc;
    rc = check_unique(w, look, &row, old, &victims);
    if (rc == SQLITE_OK) rc = encode_record(w);
    if (rc == SQLITE_OK) {
        struct vt_mark mark = vt_txn_mark(table->space);
        rc = end_change(table, &mark, change_rows(w, moves, &row, old, &victims));
    }
    vt_victims_release(&victims);
    return rc;
}

/* Without indexes, OR REPLACE need not know what was there. */
static int write_plain(struct write *w, bool moves, bool look) {
    struct vt_table *table = w->table;
    bool replaces = vt_conflict_resolution(&w->conflict, table->schema->key_conflict) == SQLITE_REPLACE;
    int rc = look && !replaces ? vt_unique_check_key(table, &w->conflict, NULL) : SQLITE_OK;
    if (rc == SQLITE_OK && w->types_late) rc = check_types(w);
    if (rc == SQLITE_OK) rc = encode_record(w);
    if (rc != SQLITE_OK || !moves) return rc == SQLITE_OK ? put_row(w) : rc;
    struct vt_mark mark = vt_txn_mark(table->space);
    return end_change(table, &mark, move_row(w));
}

static int fail_returning(const struct write *w) {
    return vt_fail(message_of(w), SQLITE_ERROR,
                   "INSERT ... RETURNING would show the values as they were given, not as table %s keeps them: SQLite does not ask a virtual "
                   "table. Leave out RETURNING and SELECT the row, by last_insert_rowid() or its key",
                   w->table->name);
}

/* RETURNING shows the values as they were given. fresh: the rowid was not. */
static int check_returning(struct write *w, bool fresh) {
    struct vt_table *table = w->table;
    const struct vt_schema *schema = table->schema;
    if (w->update) return SQLITE_OK;
    bool same = !fresh;
    for (int i = 0; i < schema->column_count && same; i++) {
        same = sqlite3_value_type(w->columns[i]) == (i == schema->rowid_column ? SQLITE_INTEGER : table->values[i].type);
    }
    /* A clustered table has no rowid that could be shown. */
    if (same && schema->kind == VT_KIND_CLUSTERED) return SQLITE_OK;
    enum vt_returning returning = statement_of(w)->returning;
    return returning == VT_RETURNING_NOTHING || (returning == VT_RETURNING_VALUES && same) ? SQLITE_OK : fail_returning(w);
}

static int write_row(struct write *w, sqlite3_value *old, sqlite3_value *given) {
    struct vt_table *table = w->table;
    bool fresh;
    int rc = take_values(w);
    if (rc != SQLITE_OK || w->gone) return rc;
    rc = make_key(w, old, given, &fresh);
    if (rc == SQLITE_OK) rc = check_returning(w, fresh);
    if (rc != SQLITE_OK) return rc;
    bool moves = w->update && key_changes(table);
    bool checks = needs_checks(w, moves);
    w->types_late = table->schema->kind == VT_KIND_ROWID && !checks;
    if (!w->types_late) rc = check_types(w);
    if (rc == SQLITE_OK && checks) rc = run_checks(w);
    if (rc != SQLITE_OK) return rc;
    bool look = (!w->update || moves) && !fresh;
    return table->schema->index_count > 0 ? write_indexed(w, moves, look) : write_plain(w, moves, look);
}

/* ON CONFLICT ROLLBACK of the declaration. SQLite lets a statement within a statement end the transaction, and then finds nothing left to undo. */
static int roll_back(sqlite3 *db, int failure, char **message) {
    if (sqlite3_get_autocommit(db) != 0) return failure; /* the statement is the transaction */
    char *text = NULL;
    int rc = sqlite3_exec(db, "ROLLBACK", NULL, NULL, &text);
    if (rc != SQLITE_OK) failure = vt_fail(message, rc, "ON CONFLICT ROLLBACK: %s", text != NULL ? text : sqlite3_errstr(rc));
    sqlite3_free(text);
    return failure;
}

int vt_write_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
    struct vt_table *table = (struct vt_table *)vtab;
    sqlite3 *db = table->space->connection->db;
    int rc = vt_table_bind(table, &vtab->zErrMsg);
    if (rc == SQLITE_OK) rc = vt_txn_begin(table->space, &vtab->zErrMsg); /* open already, but for a host that leaves out xBegin */
    if (rc != SQLITE_OK) return rc;
    bool update = argc > 1 && sqlite3_value_type(argv[0]) != SQLITE_NULL;
    if (argc == 1 || update) rc = take_old_key(table, argv[0]);
    if (rc != SQLITE_OK) return rc;
    if (argc == 1) {
        rc = delete_old_row(table);
        if (rc == SQLITE_OK) table->space->connection->changes++;
        return rc;
    }
    struct write w = {.table = table, .columns = argv + 2, .conflict.statement = sqlite3_vtab_on_conflict(db), .update = update};
    if (w.conflict.statement == SQLITE_ABORT && (!declares_conflicts(table->schema) || !statement_of(&w)->or_abort)) w.conflict.statement = 0;
    rc = write_row(&w, argv[0], argv[1]);
    lsm_value_release(&w.old_row);
    if (w.conflict.rolls_back) rc = roll_back(db, rc, &vtab->zErrMsg);
    /* SQLite goes on with the next row, and the number of this one is used up. */
    bool ignored = (rc & 0xff) == SQLITE_CONSTRAINT && w.conflict.statement == SQLITE_IGNORE && !update;
    if (ignored && statement_of(&w)->returning != VT_RETURNING_NOTHING) {
        rc = fail_returning(&w); /* it would show this row, too */
    } else if (ignored && w.numbered) {
        int skipped = vt_rowids_skip(table, w.rowid);
        if (skipped != SQLITE_OK) rc = skipped;
    }
    /* Without words of its own an error would be reported with those of a row that was ignored before it. */
    if (rc != SQLITE_OK && rc != SQLITE_NOMEM && vtab->zErrMsg == NULL) (void)vt_fail(&vtab->zErrMsg, rc, "%s", sqlite3_errstr(rc));
    if (rc != SQLITE_OK) table->statement.caller = NULL;
    if (rc == SQLITE_OK) table->space->connection->changes++;
    if (rc == SQLITE_OK && !update) *rowid = table->schema->kind == VT_KIND_ROWID ? w.rowid : sqlite3_last_insert_rowid(db);
    return rc;
}
