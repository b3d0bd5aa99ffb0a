#include "table.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "cursor.h"
#include "ddl.h"
#include "home.h"
#include "hook.h"
#include "index.h"

/* ---- making and freeing the object ---------------------------------------------------------------------------- */

static void table_free(struct vt_table *table) {
    if (table == NULL) return;         /* LCOV_EXCL_BR_LINE: callers have one */
    sqlite3_free(table->base.zErrMsg); /* SQLite does not take the one of a DROP that failed */
    vt_cursor_free_spare(table);
    vt_checks_release(&table->checks);
    vt_defaults_release(&table->defaults);
    vt_statement_release(&table->statement);
    vt_schema_free(table->schema);
    sqlite3_free(table->name);
    sqlite3_free(table->shadow_table);
    sqlite3_free(table->values);
    sqlite3_free(table->old_values);
    vt_entries_release(&table->entries);
    vt_bytes_release(&table->key);
    vt_bytes_release(&table->old_key);
    vt_bytes_release(&table->record);
    sqlite3_free(table);
}

/* SQLite carries out the statement's clause, and knows none of ours: it would undo what FAIL is to keep, and count in changes() a row that IGNORE leaves out. */
static int check_conflict_clause(int conflict, const char *where, char **message) {
    if (conflict != SQLITE_FAIL && conflict != SQLITE_IGNORE) return SQLITE_OK;
    const char *name = conflict == SQLITE_FAIL ? "FAIL" : "IGNORE";
    return vt_fail(message, SQLITE_ERROR,
                   "ON CONFLICT %s of %s: SQLite carries this out for its own tables only; write INSERT OR %s in the statement", name, where, name);
}

static int check_conflict_clauses(const struct vt_schema *schema, char **message) {
    int rc = check_conflict_clause(schema->key_conflict, "PRIMARY KEY", message);
    for (int i = 0; i < schema->column_count && rc == SQLITE_OK; i++) {
        rc = check_conflict_clause(schema->columns[i].not_null_conflict, schema->columns[i].name, message);
    }
    for (int i = 0; i < schema->index_count && rc == SQLITE_OK; i++) rc = check_conflict_clause(schema->indexes[i].conflict, "UNIQUE", message);
    return rc;
}

static int declare(sqlite3 *db, const struct vt_schema *schema, char **message) {
    char *sql = vt_schema_declare(schema);
    if (sql == NULL) return SQLITE_NOMEM;
    int rc = sqlite3_declare_vtab(db, sql);
    sqlite3_free(sql);
    if (rc != SQLITE_OK) return vt_fail_sqlite(message, rc, db);
    /* Checks come before changes (write.c), so SQLite may carry out OR IGNORE and the like. The schema chooses no path and no resource. */
    rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    if (rc == SQLITE_OK) rc = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS); /* LCOV_EXCL_BR_LINE: it is asked in xCreate and xConnect */
    return rc;
}

static int table_new(sqlite3 *db, struct vt_connection *connection, int argc, const char *const *argv, struct vt_table **out, char **message) {
    *out = NULL;
    struct vt_table *table = sqlite3_malloc64(sizeof *table);
    if (table == NULL) return SQLITE_NOMEM;
    memset(table, 0, sizeof *table);
    int rc = vt_ddl_parse(db, argc, argv, sqlite3_limit(db, SQLITE_LIMIT_COLUMN, -1), &table->schema, message);
    if (rc == SQLITE_OK) rc = check_conflict_clauses(table->schema, message);
    if (rc == SQLITE_OK) rc = declare(db, table->schema, message);
    if (rc == SQLITE_OK) {
        table->name = sqlite3_mprintf("%s", argv[2]);
        table->shadow_table = sqlite3_mprintf("%s_" VT_SHADOW_SUFFIX, argv[2]);
        table->space = vt_space_find(connection, argv[1]);
        if (table->name == NULL || table->shadow_table == NULL || table->space == NULL) rc = SQLITE_NOMEM;
    }
    if (rc != SQLITE_OK) {
        table_free(table);
        return rc;
    }
    table->space->tables++;
    table->next = table->space->first;
    table->space->first = table;
    *out = table;
    return SQLITE_OK;
}

static void table_gone(struct vt_table *table) {
    struct vt_space *space = table->space;
    struct vt_table **link = &space->first;
    while (*link != table) link = &(*link)->next;
    *link = table->next;
    space->tables--;
    if (table->bound && table->serial == space->serial) space->bound--;
    if (space->txn.leader == table) space->txn.leader = NULL;
    /* SQLite holds on to a table until it has told it how the transaction ended. Only where CREATE failed half way, or after DROP, it does
     * not; and then nobody else may be left to be told. */
    if (space->txn.state != VT_TXN_IDLE && table->joined_epoch == space->txn.epoch && --space->txn.joined == 0) vt_txn_rollback(space);
    vt_watch_release(space->connection);
    table_free(table);
}

struct vt_table *vt_table_find(struct vt_space *space, const char *name) {
    struct vt_table *table = space->first;
    while (table != NULL && sqlite3_stricmp(table->name, name) != 0) table = table->next;
    return table;
}

struct vt_table *vt_table_joined(struct vt_space *space, const char *name) {
    struct vt_table *table = space->txn.state == VT_TXN_IDLE ? NULL : space->first;
    while (table != NULL && (table->joined_epoch != space->txn.epoch || sqlite3_stricmp(table->name, name) != 0)) table = table->next;
    return table;
}

int vt_table_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    struct vt_table *table;
    int rc = table_new(db, aux, argc, argv, &table, message);
    if (rc == SQLITE_OK) *vtab = &table->base;
    return rc;
}

int vt_table_disconnect(sqlite3_vtab *vtab) {
    table_gone((struct vt_table *)vtab);
    return SQLITE_OK;
}

int vt_table_shadow_name(const char *suffix) {
    return sqlite3_stricmp(suffix, VT_SHADOW_SUFFIX) == 0 || sqlite3_stricmp(suffix, VT_CHECKS_SUFFIX) == 0 ||
           sqlite3_stricmp(suffix, VT_DEFAULTS_SUFFIX) == 0;
}

static int drop_shadows(struct vt_table *table, char **message) {
    sqlite3 *db = table->space->connection->db;
    vt_checks_release(&table->checks);
    int rc = vt_checks_drop(db, table->space->schema, table->name, table->schema, message);
    if (rc == SQLITE_OK) rc = vt_defaults_drop(&table->defaults, db, table->space->schema, table->name, table->schema, message);
    return rc == SQLITE_OK ? vt_shadow_drop(db, table->space->schema, table->name, message) : rc;
}

/* ---- binding -------------------------------------------------------------------------------------------------- */

static int check_tree(struct vt_table *table, struct lsm_tree_info tree, char **message) {
    struct vt_space *space = table->space;
    if (space->txn.state != VT_TXN_IDLE && vt_txn_made_tree(space, tree)) return SQLITE_OK;
    bool dropped = false;
    int status = lsm_store_tree_check(space->store, tree);
    int rc = status == LSM_NOTFOUND ? vt_decide_is_dropped(space, tree, &dropped, message) : SQLITE_OK;
    if (rc != SQLITE_OK) return rc;
    if (dropped) {
        return vt_fail(message, SQLITE_BUSY_SNAPSHOT, "table %s, or its index, was dropped by another connection: end this transaction", table->name);
    }
    if (status == LSM_NOTFOUND) {
        return vt_fail(message, SQLITE_CORRUPT_VTAB,
                       "the store %s does not have the rows of table %s: it is older than the database, or was put together with another copy of it. "
                       "Restore database and store from the same backup, or DROP the table",
                       lsm_store_dir(space->store), table->name);
    }
    if (status == LSM_MISMATCH) {
        return vt_fail(
            message, SQLITE_CORRUPT_VTAB,
            "the store %s has another table's rows in the place of table %s: it belongs to another copy of this database. Restore database and "
            "store from the same backup, or DROP the table",
            lsm_store_dir(space->store), table->name);
    }
    return vt_fail_engine(message, status, NULL);
}

/* Take an index's tree from its entry, and an index that was added to the table as a whole. */
static int take_index(struct vt_table *table, const struct vt_catalogue_entry *entry, char **message) {
    const char *name = entry->key + strlen(VT_CATALOGUE_INDEX);
    int i = vt_index_find(table->schema, name);
    if (i < 0) {
        int rc = vt_ddl_add_index(table->schema, name, entry->definition, message);
        if (rc != SQLITE_OK) return rc;
        i = table->schema->index_count - 1;
    }
    table->schema->indexes[i].tree = entry->tree;
    return SQLITE_OK;
}

static int take_indexes(struct vt_table *table, const struct vt_catalogue *catalogue, char **message) {
    struct vt_schema *schema = table->schema;
    int rc = SQLITE_OK;
    while (schema->index_count > schema->declared_index_count) vt_index_drop_last(schema);
    for (int i = 0; i < schema->index_count; i++) schema->indexes[i].tree.tree = 0;
    for (int i = 0; i < catalogue->count && rc == SQLITE_OK; i++) {
        if (strncmp(catalogue->entries[i].key, VT_CATALOGUE_INDEX, strlen(VT_CATALOGUE_INDEX)) == 0)
            rc = take_index(table, &catalogue->entries[i], message);
    }
    for (int i = 0; i < schema->index_count && rc == SQLITE_OK; i++) {
        if (schema->indexes[i].tree.tree != 0) continue;
        rc = vt_fail(message, SQLITE_CORRUPT_VTAB, "the shadow table %s_" VT_SHADOW_SUFFIX " is damaged: it does not name the tree of index %s",
                     table->name, schema->indexes[i].name);
    }
    vt_index_settle(schema);
    return rc;
}

/* Where the rows are, and the trees besides theirs. */
static int read_shadow(struct vt_table *table, char **message) {
    struct vt_catalogue catalogue = {0};
    int rc = vt_shadow_read(table->space->connection->db, table->space->schema, table->name, &table->shadow, &catalogue, message);
    if (rc == SQLITE_OK && table->schema->autoincrement) {
        const struct vt_catalogue_entry *entry = vt_catalogue_find(&catalogue, VT_CATALOGUE_SEQUENCE, "");
        if (entry == NULL) {
            rc = vt_fail(message, SQLITE_CORRUPT_VTAB, "the shadow table %s is damaged: it does not name the tree of AUTOINCREMENT",
                         table->shadow_table);
        } else {
            table->sequence = entry->tree;
        }
    }
    if (rc == SQLITE_OK) rc = take_indexes(table, &catalogue, message);
    vt_catalogue_release(&catalogue);
    return rc;
}

static int check_trees(struct vt_table *table, char **message) {
    int rc = check_tree(table, table->shadow.tree, message);
    if (rc == SQLITE_OK && table->schema->autoincrement) rc = check_tree(table, table->sequence, message);
    for (int i = 0; i < table->schema->index_count && rc == SQLITE_OK; i++) rc = check_tree(table, table->schema->indexes[i].tree, message);
    return rc;
}

int vt_table_bind(struct vt_table *table, char **message) {
    struct vt_space *space = table->space;
    if (table->bound && table->serial == space->serial) return SQLITE_OK;
    table->bound = false;
    if (!table->shadow_known) {
        int rc = read_shadow(table, message);
        if (rc != SQLITE_OK) return rc;
        table->shadow_known = true;
    }
    int rc = vt_space_open(space, table->shadow.store_id, VT_OPEN_EXISTING, message);
    if (rc == SQLITE_OK) rc = vt_decide_ask(space, message); /* it may have made this table */
    if (rc == SQLITE_OK) rc = vt_decide_check(space, message);
    if (rc == SQLITE_OK && space->accept != VT_ACCEPT_WANTED) rc = check_trees(table, message);
    if (rc != SQLITE_OK) return rc;
    table->bound = true;
    table->serial = space->serial;
    table->estimated_at_ms = 0;
    space->bound++;
    return SQLITE_OK;
}

void vt_table_forget(struct vt_table *table) {
    if (table->bound && table->serial == table->space->serial) table->space->bound--;
    table->bound = table->shadow_known = false;
}

/* ---- CREATE --------------------------------------------------------------------------------------------------- */

static int make_sequence(struct vt_table *table, char **message) {
    struct vt_space *space = table->space;
    int rc = vt_txn_tree_create(space, &table->sequence, message);
    if (rc != SQLITE_OK) return rc;
    return vt_catalogue_add(space->connection->db, space->schema, table->name, VT_CATALOGUE_SEQUENCE, "", table->sequence, "", message);
}

static int make_indexes(struct vt_table *table, char **message) {
    struct vt_space *space = table->space;
    int rc = SQLITE_OK;
    for (int i = 0; i < table->schema->index_count && rc == SQLITE_OK; i++) {
        struct vt_index *index = &table->schema->indexes[i];
        rc = vt_txn_tree_create(space, &index->tree, message);
        if (rc != SQLITE_OK) break;
        rc = vt_catalogue_add(space->connection->db, space->schema, table->name, VT_CATALOGUE_INDEX, index->name, index->tree, "", message);
    }
    vt_index_settle(table->schema);
    return rc;
}

/* The tree and the rows that name it. */
static int make_tree(struct vt_table *table, char **message) {
    struct vt_space *space = table->space;
    memcpy(table->shadow.store_id, space->store_id, LSM_STORE_ID_BYTES);
    int rc = vt_txn_tree_create(space, &table->shadow.tree, message);
    if (rc == SQLITE_OK) rc = vt_shadow_create(space->connection->db, space->schema, table->name, &table->shadow, message);
    if (rc == SQLITE_OK && table->schema->autoincrement) rc = make_sequence(table, message);
    if (rc == SQLITE_OK) rc = make_indexes(table, message);
    if (rc == SQLITE_OK) rc = vt_defaults_create(space->connection->db, space->schema, table->name, table->schema, message);
    return rc == SQLITE_OK ? vt_checks_create(space->connection->db, space->schema, table->name, table->schema, message) : rc;
}

/* Can go without the hook: somebody keeps us from it (an authorizer, a real table of that name), not the state of things. */
static int join_hook(struct vt_space *space, char **message) {
    if (!vt_hook_serves(space)) return SQLITE_OK;
    int rc = vt_hook_join(space, message);
    if ((rc & 0xff) != SQLITE_AUTH && rc != SQLITE_ERROR) return rc;
    sqlite3_free(*message);
    *message = NULL;
    return SQLITE_OK;
}

static int create_in_txn(struct vt_table *table, char **message) {
    struct vt_space *space = table->space;
    int rc = join_hook(space, message);
    if (rc == SQLITE_OK) rc = vt_txn_begin(space, message);
    if (rc != SQLITE_OK) return rc;
    struct vt_mark mark = vt_txn_mark(space);
    rc = make_tree(table, message);
    if (rc == SQLITE_OK) {
        table->joined_epoch = space->txn.epoch;
        space->txn.joined++;
        return SQLITE_OK;
    }
    if (space->txn.joined == 0) {
        vt_txn_rollback(space);
    } else if (vt_txn_undo(space, &mark, NULL) != SQLITE_OK) {
        rc = SQLITE_IOERR; /* makes SQLite roll back the whole transaction */
    }
    return rc;
}

/* A database in UTF-16 orders text by other bytes than ours. */
static int check_encoding(sqlite3 *db, char **message) {
    sqlite3_stmt *statement = NULL;
    bool utf8 = true;
    if (sqlite3_prepare_v2(db, "PRAGMA encoding", -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        utf8 = name == NULL || sqlite3_stricmp(name, "UTF-8") == 0;
    }
    sqlite3_finalize(statement);
    return utf8 ? SQLITE_OK : vt_fail(message, SQLITE_ERROR, "LSM tables need a database in UTF-8; this one is in UTF-16 (PRAGMA encoding)");
}

int vt_table_create(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    struct vt_table *table;
    int rc = table_new(db, aux, argc, argv, &table, message);
    if (rc != SQLITE_OK) return rc;
    rc = check_encoding(db, message);
    if (rc == SQLITE_OK) rc = vt_home_open(table->space, VT_OPEN_CREATE, message);
    if (rc == SQLITE_OK) rc = vt_decide_check(table->space, message);
    if (rc == SQLITE_OK) rc = create_in_txn(table, message);
    if (rc != SQLITE_OK) {
        table_gone(table);
        return rc;
    }
    table->shadow_known = true;
    table->bound = true;
    table->serial = table->space->serial;
    table->space->bound++;
    *vtab = &table->base;
    return SQLITE_OK;
}

/* ---- DROP ----------------------------------------------------------------------------------------------------- */

/* The data is out of reach for good, as far as one can tell: the table can still be dropped. */
static bool is_hopeless(int rc) { return rc == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_CORRUPT || rc == SQLITE_ERROR; }

/* Nobody but this table will be told of the end of the transaction, and it will not either. */
static int leave_txn(struct vt_table *table, char **message) {
    struct vt_space *space = table->space;
    if (space->txn.state == VT_TXN_IDLE || table->joined_epoch != space->txn.epoch || space->txn.joined > 1) return SQLITE_OK;
    if (!lsm_txn_is_dirty(space->txn.engine)) return SQLITE_OK; /* ended by table_gone() */
    return vt_fail(message, SQLITE_LOCKED, "table %s has rows written in this transaction: COMMIT before DROP TABLE", table->name);
}

static int drop_data(struct vt_table *table, bool in_txn, char **message) {
    struct vt_space *space = table->space;
    int others = space->txn.joined - (table->joined_epoch == space->txn.epoch ? 1 : 0);
    if (in_txn && others > 0) {
        int rc = vt_txn_tree_drop(space, vt_table_tree(table), message);
        if (rc == SQLITE_OK && table->schema->autoincrement) rc = vt_txn_tree_drop(space, table->sequence.tree, message);
        for (int i = 0; i < table->schema->index_count && rc == SQLITE_OK; i++)
            rc = vt_txn_tree_drop(space, table->schema->indexes[i].tree.tree, message);
        return rc;
    }
    vt_shared_garbage_set(space->shared, true); /* found by the next write transaction after this one */
    return SQLITE_OK;
}

/* The shadow table may be the one that knows how the store's last transaction ended. */
static int leave_history(struct vt_table *table, char **message) {
    struct vt_space *space = table->space;
    const struct vt_table *heir = space->first;
    /* Not one of the same name either: where the schema was read anew within a transaction, the same table as it was known before. */
    while (heir != NULL && (heir == table || !heir->bound || sqlite3_stricmp(heir->name, table->name) == 0)) heir = heir->next;
    int rc = space->txn.state == VT_TXN_IDLE ? vt_decide_settle(space, message) : SQLITE_OK;
    return rc == SQLITE_OK ? vt_decide_hand_over(space, table->name, heir == NULL ? NULL : heir->name, message) : rc;
}

static int drop_all(struct vt_table *table, char **message) {
    struct vt_space *space = table->space;
    int rc = join_hook(space, message);
    if (rc == SQLITE_OK) rc = leave_txn(table, message);
    if (rc != SQLITE_OK) return rc;
    bool in_txn = space->txn.state != VT_TXN_IDLE;
    struct vt_mark mark = {0};
    if (in_txn) mark = vt_txn_mark(space);
    lsm_store_make_way(space->store); /* SQLite writes to the same disk first */
    rc = leave_history(table, message);
    if (rc == SQLITE_OK) rc = drop_data(table, in_txn, message);
    if (rc == SQLITE_OK) rc = drop_shadows(table, message);
    /* The statement fails but not the transaction, which must not go on to drop the tree. SQLITE_IOERR makes SQLite roll back all of it. */
    if (rc != SQLITE_OK && in_txn && vt_txn_undo(space, &mark, NULL) != SQLITE_OK) rc = SQLITE_IOERR;
    return rc;
}

int vt_table_destroy(sqlite3_vtab *vtab) {
    struct vt_table *table = (struct vt_table *)vtab;
    int rc = vt_table_bind(table, &vtab->zErrMsg);
    if (rc == SQLITE_OK) {
        rc = drop_all(table, &vtab->zErrMsg);
    } else if (is_hopeless(rc)) {
        if (table->space->store != NULL) (void)leave_history(table, NULL);
        rc = drop_shadows(table, &vtab->zErrMsg);
    }
    if (rc != SQLITE_OK) return rc;
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg = NULL;
    table_gone(table);
    return SQLITE_OK;
}

int vt_table_rename(sqlite3_vtab *vtab, const char *new_name) {
    struct vt_table *table = (struct vt_table *)vtab;
    char *name = sqlite3_mprintf("%s", new_name), *shadow_table = sqlite3_mprintf("%s_" VT_SHADOW_SUFFIX, new_name);
    int rc = name == NULL || shadow_table == NULL ? SQLITE_NOMEM : SQLITE_OK;
    sqlite3 *db = table->space->connection->db;
    if (rc == SQLITE_OK) rc = vt_shadow_rename(db, table->space->schema, table->name, new_name, &vtab->zErrMsg);
    if (rc == SQLITE_OK) rc = vt_defaults_rename(&table->defaults, db, table->space->schema, table->name, new_name, table->schema, &vtab->zErrMsg);
    if (rc == SQLITE_OK) rc = vt_checks_rename(&table->checks, db, table->space->schema, table->name, new_name, table->schema, &vtab->zErrMsg);
    if (rc != SQLITE_OK) {
        sqlite3_free(name);
        sqlite3_free(shadow_table);
        return rc;
    }
    sqlite3_free(table->name);
    sqlite3_free(table->shadow_table);
    table->name = name;
    table->shadow_table = shadow_table;
    return SQLITE_OK;
}

/* ---- transactions --------------------------------------------------------------------------------------------- */

int vt_table_begin(sqlite3_vtab *vtab) {
    struct vt_table *table = (struct vt_table *)vtab;
    int rc = vt_table_bind(table, &vtab->zErrMsg);
    if (rc == SQLITE_OK) rc = vt_txn_begin(table->space, &vtab->zErrMsg);
    if (rc != SQLITE_OK) return rc;
    table->joined_epoch = table->space->txn.epoch;
    table->space->txn.joined++;
    return SQLITE_OK;
}

int vt_table_sync(sqlite3_vtab *vtab) {
    struct vt_table *table = (struct vt_table *)vtab;
    return vt_txn_prepare(table->space, table, table->shadow_table, &vtab->zErrMsg);
}

int vt_table_commit(sqlite3_vtab *vtab) {
    vt_txn_commit(((struct vt_table *)vtab)->space);
    return SQLITE_OK;
}

int vt_table_rollback(sqlite3_vtab *vtab) {
    vt_txn_rollback(((struct vt_table *)vtab)->space);
    return SQLITE_OK;
}

int vt_table_savepoint(sqlite3_vtab *vtab, int number) { return vt_txn_savepoint(((struct vt_table *)vtab)->space, number, &vtab->zErrMsg); }

int vt_table_release(sqlite3_vtab *vtab, int number) {
    vt_txn_release(((struct vt_table *)vtab)->space, number);
    return SQLITE_OK;
}

int vt_table_rollback_to(sqlite3_vtab *vtab, int number) { return vt_txn_rollback_to(((struct vt_table *)vtab)->space, number, &vtab->zErrMsg); }

/* ---- planning ------------------------------------------------------------------------------------------------- */

/* Plans survive a table's growth, so figures this old are as good as new ones. */
#define ESTIMATE_FRESH_MS   1000
#define ESTIMATE_GUESS_ROWS 1000000.0

static int64_t now_ms(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0) return 1; /* LCOV_EXCL_BR_LINE: Linux always has it */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

static bool estimate_now(struct vt_table *table) {
    struct vt_view *view = NULL;
    if (vt_table_bind(table, NULL) != SQLITE_OK || vt_view_glance(table->space, &view, NULL) != SQLITE_OK) return false;
    struct lsm_estimate estimate = {0};
    lsm_view_estimate(view->engine, vt_table_tree(table), NULL, NULL, &estimate);
    vt_view_unref(table->space, view);
    table->rows_estimated = estimate.rows;
    memset(&table->schema->equal, 0, sizeof table->schema->equal);
    for (int i = 0; i < table->schema->index_count; i++) memset(&table->schema->indexes[i].equal, 0, sizeof table->schema->indexes[i].equal);
    table->sources_estimated = estimate.sources;
    return true;
}

void vt_table_estimate(struct vt_table *table, double *rows, int *sources) {
    int64_t now = now_ms();
    if (table->estimated_at_ms == 0 || now - table->estimated_at_ms > ESTIMATE_FRESH_MS) {
        if (!estimate_now(table)) {
            table->rows_estimated = ESTIMATE_GUESS_ROWS;
            table->sources_estimated = 1;
        }
        table->estimated_at_ms = now;
    }
    *rows = table->rows_estimated < 1 ? 1 : table->rows_estimated;
    *sources = table->sources_estimated < 1 ? 1 : table->sources_estimated;
}
