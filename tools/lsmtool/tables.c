/* The definitions of a database's LSM tables, without their store: a module of the same name, in a connection of its own, takes them from SQLite and only
 * parses them. */
#include "tool.h"

#include "../../ext/ddl.h"
#include "../../ext/index.h"

static struct tool_table *connecting; /* the table whose definition SQLite is about to tell */

static int take_definition(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    (void)aux;
    struct vt_schema *schema = NULL;
    int rc = vt_ddl_parse(db, argc, argv, sqlite3_limit(db, SQLITE_LIMIT_COLUMN, -1), &schema, message);
    if (rc != SQLITE_OK) return rc;
    char *text = tool_got(vt_schema_declare(schema));
    rc = sqlite3_declare_vtab(db, text);
    sqlite3_free(text);
    *vtab = rc == SQLITE_OK ? tool_got(sqlite3_malloc64(sizeof **vtab)) : NULL;
    if (rc == SQLITE_OK) memset(*vtab, 0, sizeof **vtab);
    if (rc == SQLITE_OK && connecting != NULL && connecting->schema == NULL)
        connecting->schema = schema;
    else
        vt_schema_free(schema);
    return rc;
}

static int forget(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}

static int best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    (void)info;
    return SQLITE_OK;
}

static const sqlite3_module definitions = {.iVersion = 1, .xConnect = take_definition, .xBestIndex = best_index, .xDisconnect = forget};

/* Make SQLite connect the table. */
static void read_schema(struct tool_target *target, struct tool_table *table) {
    sqlite3_stmt *statement = NULL;
    char *sql = tool_got(sqlite3_mprintf("SELECT 1 FROM main.\"%w\"", table->name));
    connecting = table;
    int rc = sqlite3_prepare_v2(target->db, sql, -1, &statement, NULL);
    connecting = NULL;
    if (rc != SQLITE_OK || table->schema == NULL) table->wrong = tool_got(sqlite3_mprintf("%s", sqlite3_errmsg(target->db)));
    sqlite3_finalize(statement);
    sqlite3_free(sql);
}

/* Which trees its indexes are, those included that were added to the table. */
static void read_indexes(struct tool_target *target, struct tool_table *table) {
    char *message = NULL;
    if (vt_shadow_read(target->db, "main", table->name, &table->shadow, &table->catalogue, &message) != SQLITE_OK)
        table->wrong = tool_got(sqlite3_mprintf("%s", message == NULL ? "its shadow table cannot be read" : message));
    size_t prefix = strlen(VT_CATALOGUE_INDEX);
    for (int i = 0; i < table->catalogue.count && table->wrong == NULL; i++) {
        const struct vt_catalogue_entry *entry = &table->catalogue.entries[i];
        if (strncmp(entry->key, VT_CATALOGUE_INDEX, prefix) != 0) continue;
        char *refused = NULL;
        if (entry->definition[0] != 0 && vt_ddl_add_index(table->schema, entry->key + prefix, entry->definition, &refused) != SQLITE_OK)
            table->wrong = refused == NULL ? tool_got(sqlite3_mprintf("index %s: out of memory", entry->key + prefix)) : refused;
        int at = vt_index_find(table->schema, entry->key + prefix);
        if (at >= 0)
            table->schema->indexes[at].tree = entry->tree;
        else if (table->wrong == NULL)
            table->wrong = tool_got(sqlite3_mprintf("its declaration has no index %s", entry->key + prefix));
    }
    sqlite3_free(message);
}

static void read_table(struct tool_target *target, const char *name, const char *sql) {
    struct tool_table table = {.name = tool_got(lsm_strdup(name)), .sql = tool_got(lsm_strdup(sql))};
    char *message = NULL;
    if (vt_shadow_read(target->db, "main", name, &table.shadow, NULL, &message) != SQLITE_OK) {
        (void)tool_fail(0, "table %s: %s", name, message == NULL ? "its shadow table cannot be read" : message);
        sqlite3_free(message);
        lsm_free(table.name);
        lsm_free(table.sql);
        return;
    }
    read_schema(target, &table);
    if (table.wrong == NULL) read_indexes(target, &table);
    if (table.wrong != NULL) (void)tool_fail(0, "table %s: %s", name, table.wrong);
    target->tables = tool_got(lsm_realloc(target->tables, (target->tables_count + 1) * sizeof table));
    target->tables[target->tables_count++] = table;
}

bool tool_tables_read(struct tool_target *target) {
    sqlite3_stmt *tables = NULL;
    static const char find[] =
        "SELECT v.name, v.sql FROM sqlite_schema AS v JOIN sqlite_schema AS s ON s.name = v.name || '_" VT_SHADOW_SUFFIX "' COLLATE nocase"
        " WHERE v.type = 'table' AND v.rootpage = 0 AND s.type = 'table' AND v.sql LIKE 'create%virtual%table%using%lsm%' ORDER BY v.rowid";
    int rc = sqlite3_create_module(target->db, "lsm", &definitions, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(target->db, find, -1, &tables, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(tables)) == SQLITE_ROW) {
        read_table(target, (const char *)sqlite3_column_text(tables, 0), (const char *)sqlite3_column_text(tables, 1));
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_DONE) (void)tool_fail(0, "the database cannot be read: %s", sqlite3_errmsg(target->db));
    sqlite3_finalize(tables);
    return rc == SQLITE_DONE;
}

void tool_tables_release(struct tool_target *target) {
    for (size_t i = 0; i < target->tables_count; i++) {
        struct tool_table *table = &target->tables[i];
        lsm_free(table->name);
        lsm_free(table->sql);
        vt_schema_free(table->schema);
        vt_catalogue_release(&table->catalogue);
        sqlite3_free(table->wrong);
    }
    lsm_free(target->tables);
    target->tables = NULL;
    target->tables_count = 0;
}
