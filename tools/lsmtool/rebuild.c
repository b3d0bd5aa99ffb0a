#include "rebuild.h"

#include "../../ext/index.h"
#include "../../ext/row_codec.h"

struct rebuild {
    const struct tool_table *table;
    struct lsm_store *store;
    struct lsm_txn *txn;
    struct vt_value *values;
    struct vt_bytes entry;
    uint64_t rows, damaged;
    struct lsm_error err;
};

bool rebuild_makes(const struct tool_target *target, uint32_t tree) {
    int index;
    const struct tool_table *table = tool_table_of(target, tree, &index);
    return table != NULL && index >= 0 && table->wrong == NULL;
}

/* The entries of one row. LSM_CORRUPT: the row cannot be read. */
static int add_row(struct rebuild *rebuild, struct lsm_slice key, struct lsm_slice record) {
    const struct vt_schema *schema = rebuild->table->schema;
    struct vt_row_reader reader;
    int64_t rowid = 0;
    int status = LSM_OK;
    if (vt_row_check(schema, key, record) != SQLITE_OK || (schema->kind == VT_KIND_ROWID && !vt_key_get_int64(key, &rowid))) return LSM_CORRUPT;
    vt_row_reader_init(&reader, schema, key, record);
    for (int i = 0; i < schema->column_count; i++)
        if (vt_row_get(&reader, i, &rebuild->values[i]) != SQLITE_OK) return LSM_CORRUPT;
    for (int i = 0; i < schema->index_count && status == LSM_OK; i++) {
        const struct vt_index *index = &schema->indexes[i];
        bool alone;
        if (vt_index_entry(index, rebuild->values, rowid, key, &rebuild->entry, &alone) != SQLITE_OK) (void)tool_got(NULL);
        struct lsm_slice entry = {.data = rebuild->entry.data, .size = rebuild->entry.size};
        status = lsm_txn_put(rebuild->txn, index->tree.tree, entry, alone ? key : (struct lsm_slice){0}, &rebuild->err);
    }
    return status;
}

static int add_rows(struct rebuild *rebuild) {
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    int status = lsm_view_open(rebuild->store, NULL, &view, &rebuild->err);
    if (status == LSM_OK) status = lsm_cursor_open(view, rebuild->table->shadow.tree.tree, NULL, NULL, &cursor, &rebuild->err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &rebuild->err);
    while (status == LSM_OK && lsm_cursor_valid(cursor)) {
        int added = add_row(rebuild, lsm_cursor_key(cursor), lsm_cursor_value(cursor));
        rebuild->rows++;
        if (added == LSM_CORRUPT) rebuild->damaged++;
        status = added == LSM_OK || added == LSM_CORRUPT ? lsm_cursor_next(cursor, &rebuild->err) : added;
    }
    lsm_cursor_close(cursor);
    if (view != NULL) lsm_view_close(view);
    return status;
}

static bool rebuild_table(struct lsm_store *store, const struct tool_table *table) {
    struct rebuild rebuild = {.table = table, .store = store};
    rebuild.values = tool_got(lsm_calloc((size_t)table->schema->column_count, sizeof *rebuild.values));
    int status = lsm_txn_begin(store, UINT64_MAX, 0, &rebuild.txn, &rebuild.err);
    if (status == LSM_OK) status = add_rows(&rebuild);
    if (status == LSM_OK) status = lsm_txn_prepare(rebuild.txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &rebuild.err);
    if (status == LSM_OK)
        lsm_txn_commit(rebuild.txn, true);
    else if (rebuild.txn != NULL)
        (void)lsm_txn_rollback(rebuild.txn, NULL);
    vt_bytes_release(&rebuild.entry);
    lsm_free(rebuild.values);
    if (status != LSM_OK)
        (void)tool_fail(0, "the indexes of table %s: %s", table->name, rebuild.err.text);
    else
        printf("made anew: %d indexes of table %s, of %" PRIu64 " rows\n", table->schema->index_count, table->name, rebuild.rows);
    if (rebuild.damaged != 0)
        printf("lost: %" PRIu64 " rows of table %s are whole, but make no sense: no index has them\n", rebuild.damaged, table->name);
    return status == LSM_OK;
}

bool rebuild_indexes(const struct tool_target *target, const char *dir, const struct tool_state *state) {
    struct lsm_options options;
    struct lsm_store *store = NULL;
    struct lsm_error err = {0};
    bool good = true;
    lsm_options_init(&options);
    options.dir = dir;
    options.store_id = target->store_id;
    options.file_mode = 0600;
    options.process_name = "lsmtool";
    int status = lsm_store_open(&options, &store, &err);
    for (size_t i = 0; i < target->tables_count && status == LSM_OK && good; i++) {
        const struct tool_table *table = &target->tables[i];
        if (table->wrong == NULL && table->schema->index_count != 0 && tool_state_has_tree(state, table->shadow.tree.tree))
            good = rebuild_table(store, table);
    }
    if (status == LSM_OK) status = lsm_store_close(store, &err);
    if (status != LSM_OK) (void)tool_fail(0, "what was saved does not open: %s", err.text);
    return good && status == LSM_OK;
}
