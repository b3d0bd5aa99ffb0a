/* lsmtool dump: tables as SQL. */
#include "tool.h"

#include <math.h>

#include "../../ext/index.h"
#include "../../ext/row_codec.h"

struct dump {
    const struct tool_target *target;
    const struct tool_table *table;
    struct lsm_view *view;
    sqlite3_stmt *quote; /* SELECT quote(?): as SQLite writes values */
    char *columns;       /* the head of each INSERT */
    struct vt_value *values;
    struct lsm_error err;
    uint64_t rows, damaged;
};

static void print_value(struct dump *dump, const struct vt_value *value) {
    sqlite3_stmt *quote = dump->quote;
    int rc = SQLITE_OK;
    switch (value->type) {
    case SQLITE_INTEGER: rc = sqlite3_bind_int64(quote, 1, value->i); break;
    case SQLITE_FLOAT: rc = sqlite3_bind_double(quote, 1, value->r); break;
    case SQLITE_TEXT: rc = sqlite3_bind_text64(quote, 1, (const char *)value->bytes, value->size, SQLITE_STATIC, SQLITE_UTF8); break;
    case SQLITE_BLOB: rc = sqlite3_bind_blob64(quote, 1, value->bytes, value->size, SQLITE_STATIC); break;
    default: rc = sqlite3_bind_null(quote, 1); break;
    }
    if (value->type == SQLITE_FLOAT && isinf(value->r)) {
        fputs(value->r > 0 ? "9e999" : "-9e999", stdout);
        return;
    }
    /* quote() ends a text at a zero byte; such a one is written as the bytes it is made of. */
    bool zero = value->type == SQLITE_TEXT && memchr(value->bytes, 0, value->size) != NULL;
    if (zero) rc = sqlite3_bind_blob64(quote, 1, value->bytes, value->size, SQLITE_STATIC);
    if (rc != SQLITE_OK || sqlite3_step(quote) != SQLITE_ROW) exit(tool_fail(TOOL_CANNOT, "%s", sqlite3_errmsg(dump->target->db)));
    printf(zero ? "CAST(%s AS TEXT)" : "%s", (const char *)tool_got((void *)(uintptr_t)sqlite3_column_text(quote, 0)));
    sqlite3_reset(quote);
}

/* "INSERT INTO t(rowid, a, b) VALUES(": with a rowid that is in no column, unless a column hides its name. */
static bool make_head(struct dump *dump) {
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    const struct vt_schema *schema = dump->table->schema;
    bool has_rowid = false;
    sqlite3_str *text = sqlite3_str_new(NULL);
    sqlite3_str_appendf(text, "INSERT INTO \"%w\"(", dump->table->name);
    for (size_t i = 0; i < 3 && !has_rowid && schema->kind == VT_KIND_ROWID && schema->rowid_column < 0; i++) {
        has_rowid = vt_schema_find(schema, names[i]) < 0;
        if (has_rowid) sqlite3_str_appendf(text, "%s,", names[i]);
    }
    for (int i = 0; i < schema->column_count; i++) sqlite3_str_appendf(text, "%s\"%w\"", i == 0 ? "" : ",", schema->columns[i].name);
    sqlite3_str_appendall(text, ") VALUES(");
    dump->columns = tool_got(sqlite3_str_finish(text));
    return has_rowid;
}

/* False: the row cannot be understood. */
static bool read_row(struct dump *dump, struct lsm_slice key, struct lsm_slice record, int64_t *rowid) {
    const struct vt_schema *schema = dump->table->schema;
    struct vt_row_reader reader;
    if (vt_row_check(schema, key, record) != SQLITE_OK || (schema->kind == VT_KIND_ROWID && !vt_key_get_int64(key, rowid))) return false;
    vt_row_reader_init(&reader, schema, key, record);
    for (int i = 0; i < schema->column_count; i++)
        if (vt_row_get(&reader, i, &dump->values[i]) != SQLITE_OK) return false;
    return true;
}

static void print_row(struct dump *dump, bool has_rowid, int64_t rowid) {
    fputs(dump->columns, stdout);
    if (has_rowid) printf("%" PRId64 ",", rowid);
    for (int i = 0; i < dump->table->schema->column_count; i++) {
        if (i != 0) putchar(',');
        print_value(dump, &dump->values[i]);
    }
    puts(");");
}

/* The greatest rowid that AUTOINCREMENT has given, 0: none is known. */
static int64_t last_number(struct dump *dump) {
    const struct vt_catalogue_entry *entry = vt_catalogue_find(&dump->table->catalogue, VT_CATALOGUE_SEQUENCE, "");
    struct lsm_value value = {0};
    uint64_t number = 0;
    if (entry == NULL) return 0;
    int status = lsm_view_get(dump->view, entry->tree.tree, (struct lsm_slice){.data = (const uint8_t *)"", .size = 1}, &value, &dump->err);
    for (size_t i = 0; status == LSM_OK && i < 8 && value.bytes.size == 9; i++) number = number << 8 | value.bytes.data[i];
    lsm_value_release(&value);
    return number > (uint64_t)INT64_MAX ? 0 : (int64_t)number;
}

/* The number is used once, by a row that goes again: the first row, so that the constraints are content. */
static void print_number(struct dump *dump) {
    const struct vt_schema *schema = dump->table->schema;
    int64_t number = schema->autoincrement ? last_number(dump) : 0;
    if (number <= 0) return;
    struct vt_value own = dump->values[schema->rowid_column];
    dump->values[schema->rowid_column] = vt_value_int(number);
    print_row(dump, false, 0);
    dump->values[schema->rowid_column] = own;
    char *name =
        tool_got(sqlite3_mprintf("DELETE FROM \"%w\" WHERE \"%w\" = %lld;", dump->table->name, schema->columns[schema->rowid_column].name, number));
    puts(name);
    sqlite3_free(name);
}

static void print_rows(struct dump *dump) {
    struct lsm_cursor *cursor = NULL;
    bool has_rowid = make_head(dump);
    int64_t rowid = 0;
    int status = lsm_cursor_open(dump->view, dump->table->shadow.tree.tree, NULL, NULL, &cursor, &dump->err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &dump->err);
    while (status == LSM_OK && lsm_cursor_valid(cursor)) {
        if (read_row(dump, lsm_cursor_key(cursor), lsm_cursor_value(cursor), &rowid)) {
            if (dump->rows++ == 0) print_number(dump);
            print_row(dump, has_rowid, rowid);
        } else {
            dump->damaged++;
        }
        status = lsm_cursor_next(cursor, &dump->err);
    }
    lsm_cursor_close(cursor);
    sqlite3_free(dump->columns);
    if (dump->damaged != 0)
        (void)tool_fail(0, "table %s: %" PRIu64 " rows are left out, because they make no sense", dump->table->name, dump->damaged);
    if (status != LSM_OK) (void)tool_fail(0, "table %s: %s", dump->table->name, dump->err.text);
    if (status != LSM_OK) dump->damaged++;
}

static void print_indexes(const struct tool_table *table) {
    const struct vt_schema *schema = table->schema;
    for (int i = schema->declared_index_count; i < schema->index_count; i++) {
        char *definition = tool_got(vt_index_definition(schema, &schema->indexes[i]));
        char *sql = tool_got(sqlite3_mprintf("SELECT lsm_create_index(%Q, %Q, %Q);", table->name, schema->indexes[i].name, definition));
        puts(sql);
        sqlite3_free(sql);
        sqlite3_free(definition);
    }
}

static bool is_wanted(const struct tool_table *table, char **tables, int count) {
    for (int i = 0; i < count; i++)
        if (sqlite3_stricmp(tables[i], table->name) == 0) return true;
    return count == 0;
}

static int dump_tables(struct dump *dump, char **tables, int count) {
    int code = TOOL_OK;
    puts("BEGIN TRANSACTION;");
    for (size_t i = 0; i < dump->target->tables_count; i++) {
        const struct tool_table *table = &dump->target->tables[i];
        if (!is_wanted(table, tables, count)) continue;
        if (table->wrong != NULL) {
            code = TOOL_DAMAGE;
            continue;
        }
        dump->table = table;
        dump->rows = dump->damaged = 0;
        dump->values = tool_got(lsm_calloc((size_t)table->schema->column_count, sizeof *dump->values));
        printf("%s;\n", table->sql);
        print_rows(dump);
        print_indexes(table);
        lsm_free(dump->values);
        if (dump->damaged != 0) code = TOOL_DAMAGE;
    }
    puts("COMMIT;");
    return code;
}

int tool_dump(const struct tool_target *target, char **tables, int tables_count) {
    struct dump dump = {.target = target};
    struct lsm_options options;
    struct lsm_store *store = NULL;
    if (target->database == NULL) return tool_fail(TOOL_CANNOT, "%s: give the database file: a store does not know what its bytes mean", target->dir);
    for (int i = 0; i < tables_count; i++) {
        bool known = false;
        for (size_t k = 0; k < target->tables_count; k++) known |= sqlite3_stricmp(tables[i], target->tables[k].name) == 0;
        if (!known) return tool_fail(TOOL_CANNOT, "there is no LSM table %s", tables[i]);
    }
    lsm_options_init(&options);
    options.dir = target->dir;
    options.store_id = target->store_id;
    options.read_only = true;
    int code = TOOL_OK, status = lsm_store_open(&options, &store, &dump.err);
    if (status != LSM_OK) return tool_fail(TOOL_DAMAGE, "%s", dump.err.text);
    if (lsm_store_pending(store, NULL) == LSM_PENDING_UNKNOWN)
        (void)tool_fail(
            0, "note: a transaction was interrupted in its COMMIT and is left out: open the database once with the extension, and dump again");
    status = lsm_view_open(store, NULL, &dump.view, &dump.err);
    if (status != LSM_OK) code = tool_fail(TOOL_DAMAGE, "%s", dump.err.text);
    if (status == LSM_OK && sqlite3_prepare_v2(target->db, "SELECT quote(?)", -1, &dump.quote, NULL) != SQLITE_OK)
        code = tool_fail(TOOL_CANNOT, "%s", sqlite3_errmsg(target->db));
    if (code == TOOL_OK) code = dump_tables(&dump, tables, tables_count);
    sqlite3_finalize(dump.quote);
    if (dump.view != NULL) lsm_view_close(dump.view);
    (void)lsm_store_close(store, NULL);
    return code;
}
