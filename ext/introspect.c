#include "introspect.h"

#include <string.h>

#include "facts.h"
#include "module.h"
#include "report.h"

/* One of the tables, in one connection. */
struct fact_table {
    sqlite3_vtab base; /* first: SQLite's pointer is ours */
    struct vt_connection *connection;
    const struct vt_facts *facts;
};

struct fact_cursor {
    sqlite3_vtab_cursor base; /* first: SQLite's pointer is ours */
    struct vt_report report;
    size_t row;
};

static struct fact_table *table_of(sqlite3_vtab_cursor *cursor) { return (struct fact_table *)cursor->pVtab; }

static int fact_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **vtab, char **message) {
    (void)argc;
    const struct vt_facts *facts = vt_facts_find(argv[0]);
    if (facts == NULL) return vt_fail(message, SQLITE_ERROR, "no such table: %s", argv[0]); /* LCOV_EXCL_BR_LINE: of the names registered below */
    char *sql = sqlite3_mprintf("CREATE TABLE x(%s, schema HIDDEN)", facts->columns);
    if (sql == NULL) return SQLITE_NOMEM;
    int rc = sqlite3_declare_vtab(db, sql);
    sqlite3_free(sql);
    if (rc == SQLITE_OK) rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    if (rc != SQLITE_OK) return rc;
    struct fact_table *table = sqlite3_malloc64(sizeof *table);
    if (table == NULL) return SQLITE_NOMEM;
    memset(table, 0, sizeof *table);
    table->connection = aux;
    table->facts = facts;
    *vtab = &table->base;
    return SQLITE_OK;
}

static int fact_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}

/* idxNum 1: the schema is given. */
static int fact_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    int schema_column = ((struct fact_table *)vtab)->facts->column_count;
    info->estimatedCost = 1000;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *constraint = &info->aConstraint[i];
        if (constraint->iColumn != schema_column || constraint->op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
        if (!constraint->usable) return SQLITE_CONSTRAINT;
        info->aConstraintUsage[i].argvIndex = 1;
        info->aConstraintUsage[i].omit = 1;
        info->idxNum = 1;
        info->estimatedCost = 100;
        break;
    }
    return SQLITE_OK;
}

static int fact_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
    (void)vtab;
    struct fact_cursor *cursor = sqlite3_malloc64(sizeof *cursor);
    if (cursor == NULL) return SQLITE_NOMEM;
    memset(cursor, 0, sizeof *cursor);
    *out = &cursor->base;
    return SQLITE_OK;
}

static int fact_close(sqlite3_vtab_cursor *base) {
    struct fact_cursor *cursor = (struct fact_cursor *)base;
    vt_report_release(&cursor->report);
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int fact_filter(sqlite3_vtab_cursor *base, int plan, const char *text, int argc, sqlite3_value **argv) {
    (void)text;
    struct fact_cursor *cursor = (struct fact_cursor *)base;
    struct fact_table *table = table_of(base);
    const char *schema = plan == 1 && argc > 0 ? (const char *)sqlite3_value_text(argv[0]) : "main";
    vt_report_reset(&cursor->report, table->facts->column_count);
    cursor->row = 0;
    if (schema == NULL) return SQLITE_OK; /* = NULL */
    int rc = table->facts->collect(table->connection, schema, &cursor->report, &table->base.zErrMsg);
    return rc == SQLITE_OK && cursor->report.nomem ? SQLITE_NOMEM : rc;
}

static int fact_next(sqlite3_vtab_cursor *base) {
    ((struct fact_cursor *)base)->row++;
    return SQLITE_OK;
}

static int fact_eof(sqlite3_vtab_cursor *base) {
    const struct fact_cursor *cursor = (const struct fact_cursor *)base;
    return cursor->row >= vt_report_rows(&cursor->report);
}

static int fact_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const struct fact_cursor *cursor = (const struct fact_cursor *)base;
    if (column < cursor->report.column_count) vt_report_result(&cursor->report, cursor->row, column, context);
    return SQLITE_OK;
}

static int fact_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    *rowid = (sqlite3_int64)((const struct fact_cursor *)base)->row + 1;
    return SQLITE_OK;
}

static const sqlite3_module fact_module = {
    .iVersion = 1,
    .xCreate = NULL, /* eponymous only */
    .xConnect = fact_connect,
    .xBestIndex = fact_best_index,
    .xDisconnect = fact_disconnect,
    .xDestroy = fact_disconnect,
    .xOpen = fact_open,
    .xClose = fact_close,
    .xFilter = fact_filter,
    .xNext = fact_next,
    .xEof = fact_eof,
    .xColumn = fact_column,
    .xRowid = fact_rowid,
};

int vt_introspect_register(struct vt_connection *connection) {
    for (int i = 0; vt_facts_at(i) != NULL; i++) {
        int rc = vt_module_add(connection, vt_facts_at(i)->name, &fact_module);
        if (rc != SQLITE_OK) return rc;
    }
    return SQLITE_OK;
}
