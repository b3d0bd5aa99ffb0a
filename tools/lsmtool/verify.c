/* lsmtool verify: every file by itself, then the store as a whole, then the rows. */
#include "tool.h"

#include "../../ext/index.h"
#include "../../ext/row_codec.h"
#include "../../lsm_core/sst/sst.h"

struct verify {
    const struct tool_target *target;
    struct lsm_store *store;
    struct lsm_view *view;
    uint64_t problems;
    struct lsm_error err;
};

static void problem(void *arg, const char *text) {
    struct verify *verify = arg;
    puts(text);
    verify->problems++;
}

static bool verify_file(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct verify *verify = arg;
    struct lsm_sst *sst = NULL;
    char *path = tool_got(lsm_file_path(verify->target->dir, LSM_FILE_TABLE, meta->number));
    (void)level;
    (void)run;
    int status = lsm_sst_open(lsm_env_posix(), path, verify->target->store_id, meta, NULL, &sst, &verify->err);
    if (status == LSM_OK) status = lsm_sst_verify(sst, NULL, NULL, &verify->err);
    if (status != LSM_OK) problem(verify, verify->err.text);
    lsm_sst_close(sst);
    lsm_free(path);
    return true;
}

/* The store does not open: what its manifest names is looked at all the same. */
static void verify_files(struct verify *verify) {
    struct tool_state state;
    if (tool_state_read(verify->target, &state, &verify->err) != LSM_OK) return;
    lsm_version_each(state.version, verify_file, verify);
    tool_state_release(&state);
}

/* The store opens without the last record of a manifest that is not whole. */
static void verify_manifest_end(struct verify *verify) {
    struct tool_state state;
    if (tool_state_read(verify->target, &state, &verify->err) != LSM_OK) return;
    if (state.torn) {
        int status =
            lsm_fail(&verify->err, LSM_CORRUPT,
                     "%s/MANIFEST-%08" PRIu64 ": byte %" PRIu64 ": what begins here is no whole record: it was never finished, or it is damaged; "
                     "whoever opens the store for writing goes on without it",
                     verify->target->dir, state.number, state.bytes);
        if (status != LSM_OK) problem(verify, verify->err.text);
    }
    tool_state_release(&state);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

struct rows {
    struct verify *verify;
    const struct tool_table *table;
    struct vt_value *values;
    struct vt_bytes entry;
    uint64_t rows, damaged, missing;
};

static void verify_row(struct rows *rows, struct lsm_slice key, struct lsm_slice record) {
    const struct vt_schema *schema = rows->table->schema;
    struct vt_row_reader reader;
    int64_t rowid = 0;
    bool good = vt_row_check(schema, key, record) == SQLITE_OK && (schema->kind == VT_KIND_CLUSTERED || vt_key_get_int64(key, &rowid));
    vt_row_reader_init(&reader, schema, key, record);
    for (int i = 0; i < schema->column_count && good; i++) good = vt_row_get(&reader, i, &rows->values[i]) == SQLITE_OK;
    rows->rows++;
    if (!good) rows->damaged++;
    for (int i = 0; i < schema->index_count && good; i++) {
        struct lsm_value value = {0};
        bool alone;
        if (vt_index_entry(&schema->indexes[i], rows->values, rowid, key, &rows->entry, &alone) != SQLITE_OK) (void)tool_got(NULL);
        struct lsm_slice entry = {.data = rows->entry.data, .size = rows->entry.size};
        int status = lsm_view_get(rows->verify->view, schema->indexes[i].tree.tree, entry, &value, &rows->verify->err);
        bool there = status == LSM_OK && lsm_slice_equal(value.bytes, alone ? key : (struct lsm_slice){0});
        if (!there) rows->missing++;
        lsm_value_release(&value);
    }
}

/* Every row, or only how many. */
static bool walk(struct rows *rows, uint32_t tree, bool is_table, uint64_t *count) {
    struct lsm_cursor *cursor = NULL;
    struct lsm_error *err = &rows->verify->err;
    int status = lsm_cursor_open(rows->verify->view, tree, NULL, NULL, &cursor, err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, err);
    for (*count = 0; status == LSM_OK && lsm_cursor_valid(cursor); ++*count) {
        if (is_table) verify_row(rows, lsm_cursor_key(cursor), lsm_cursor_value(cursor));
        status = lsm_cursor_next(cursor, err);
    }
    lsm_cursor_close(cursor);
    return status == LSM_OK;
}

static void verify_table(struct verify *verify, const struct tool_table *table) {
    struct rows rows = {.verify = verify, .table = table};
    char text[400];
    uint64_t count;
    rows.values = tool_got(lsm_calloc((size_t)table->schema->column_count, sizeof *rows.values));
    bool whole = walk(&rows, table->shadow.tree.tree, true, &count);
    if (!whole) (void)snprintf(text, sizeof text, "table %s: it cannot be read beyond row %" PRIu64, table->name, count);
    if (!whole) problem(verify, text);
    (void)snprintf(text, sizeof text, "table %s: %" PRIu64 " rows make no sense", table->name, rows.damaged);
    if (rows.damaged != 0) problem(verify, text);
    (void)snprintf(text, sizeof text, "table %s: %" PRIu64 " entries of its indexes are missing or wrong", table->name, rows.missing);
    if (rows.missing != 0) problem(verify, text);
    for (int i = 0; i < table->schema->index_count && whole; i++) {
        if (walk(&rows, table->schema->indexes[i].tree.tree, false, &count) && count == rows.rows) continue;
        (void)snprintf(text, sizeof text, "index %s of table %s: %" PRIu64 " entries for %" PRIu64 " rows", table->schema->indexes[i].name,
                       table->name, count, rows.rows);
        problem(verify, text);
    }
    vt_bytes_release(&rows.entry);
    lsm_free(rows.values);
}

static void verify_tables(struct verify *verify) {
    const struct tool_target *target = verify->target;
    for (size_t i = 0; i < target->tables_count; i++) {
        const struct tool_table *table = &target->tables[i];
        char text[400];
        if (table->wrong != NULL) verify->problems++; /* said when it was read */
        if (table->wrong != NULL) continue;
        if (lsm_store_tree_check(verify->store, table->shadow.tree) == LSM_OK) {
            verify_table(verify, table);
            continue;
        }
        (void)snprintf(text, sizeof text, "table %s: its rows, tree %" PRIu32 ", are not in the store: it belongs to another state of the database",
                       table->name, table->shadow.tree.tree);
        problem(verify, text);
    }
}

int tool_verify(const struct tool_target *target) {
    struct verify verify = {.target = target};
    struct lsm_options options;
    uint64_t found = 0;
    lsm_options_init(&options);
    options.dir = target->dir;
    options.store_id = target->store_id;
    options.read_only = true;
    int status = lsm_store_open(&options, &verify.store, &verify.err);
    if (status != LSM_OK) {
        problem(&verify, verify.err.text);
        verify_files(&verify);
    } else {
        status = lsm_store_check(verify.store, problem, &verify, NULL, NULL, &found, &verify.err);
        if (status != LSM_OK) problem(&verify, verify.err.text);
        verify_manifest_end(&verify);
        if (lsm_view_open(verify.store, NULL, &verify.view, &verify.err) == LSM_OK) {
            verify_tables(&verify);
            lsm_view_close(verify.view);
        }
        (void)lsm_store_close(verify.store, NULL);
    }
    if (verify.problems == 0)
        puts("ok");
    else
        printf("%" PRIu64 " problems\n", verify.problems);
    return verify.problems == 0 ? TOOL_OK : TOOL_DAMAGE;
}
