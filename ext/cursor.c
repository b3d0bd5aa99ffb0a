#include "cursor_state.h"

#include <string.h>

#include "index.h"

/* In an UPDATE, a value this long that is not to change is not handed to SQLite and back: write.c reads it where it is. */
#define NOCHANGE_BYTES_MIN 256

int vt_cursor_fail(struct vt_cursor *cursor, int status, const struct lsm_error *err) {
    return vt_fail_engine(&cursor->base.pVtab->zErrMsg, status, err);
}

struct lsm_slice vt_cursor_entry_key(const struct vt_cursor *cursor) {
    switch (cursor->mode) { /* LCOV_EXCL_BR_LINE: nobody asks at the end */
    case CURSOR_WALK: return lsm_cursor_key(cursor->walk);
    case CURSOR_POINT: return vt_bytes_slice(&cursor->ranges.range[cursor->range_at].low);
    case CURSOR_FOUND: return cursor->found.key;
    case CURSOR_DETACHED: return vt_bytes_slice(cursor->index == NULL ? &cursor->key : &cursor->entry);
    case CURSOR_END: break;
    }
    return (struct lsm_slice){0};
}

static struct lsm_slice entry_value(const struct vt_cursor *cursor) {
    switch (cursor->mode) { /* LCOV_EXCL_BR_LINE: nobody asks at the end */
    case CURSOR_WALK: return lsm_cursor_value(cursor->walk);
    case CURSOR_POINT: return cursor->point.bytes;
    case CURSOR_FOUND: return cursor->found.has_record ? cursor->found.record : cursor->row.bytes;
    case CURSOR_DETACHED: return vt_bytes_slice(&cursor->record);
    case CURSOR_END: break;
    }
    return (struct lsm_slice){0};
}

int vt_cursor_fail_row(struct vt_cursor *cursor, int rc) {
    if ((rc & 0xff) != SQLITE_CORRUPT) return rc;
    const struct vt_table *table = vt_cursor_table(cursor);
    return vt_fail(&cursor->base.pVtab->zErrMsg, rc, "a row of table %s is damaged: run SELECT lsm_check()", table->name);
}

/* The present row's key. */
static int find_row_key(struct vt_cursor *cursor, struct lsm_slice *key) {
    if (cursor->index == NULL || cursor->mode == CURSOR_FOUND) {
        *key = vt_cursor_entry_key(cursor);
        return SQLITE_OK;
    }
    int rc = SQLITE_OK;
    if (cursor->mode == CURSOR_DETACHED) {
        cursor->row_key = vt_bytes_slice(&cursor->key);
    } else if (!cursor->row_known) {
        rc = vt_index_row_key(cursor->index, vt_cursor_entry_key(cursor), entry_value(cursor), &cursor->row_key);
    }
    cursor->row_known = rc == SQLITE_OK;
    *key = cursor->row_key;
    return vt_cursor_fail_row(cursor, rc);
}

int vt_cursor_row(struct vt_cursor *cursor, struct lsm_slice *key, struct lsm_slice *record) {
    int rc = find_row_key(cursor, key);
    if (rc != SQLITE_OK) return rc;
    if (cursor->index == NULL || cursor->mode == CURSOR_DETACHED || cursor->mode == CURSOR_FOUND) {
        *record = entry_value(cursor);
        return SQLITE_OK;
    }
    if (!cursor->row_read) {
        struct lsm_error err;
        vt_error_clear(&err);
        int status = lsm_view_get(cursor->view->engine, vt_table_tree(vt_cursor_table(cursor)), *key, &cursor->row, &err);
        if (status == LSM_NOTFOUND) {
            return vt_fail(&cursor->base.pVtab->zErrMsg, SQLITE_CORRUPT_VTAB,
                           "index %s of table %s names a row that is not there: run SELECT lsm_check()", cursor->index->name,
                           vt_cursor_table(cursor)->name);
        }
        if (status != LSM_OK) return vt_cursor_fail(cursor, status, &err);
        cursor->row_read = true;
    }
    *record = cursor->row.bytes;
    return SQLITE_OK;
}

/* The reader of the present row of a walk over rows. */
static inline void read_walk(struct vt_cursor *cursor) {
    vt_row_reader_init(&cursor->reader, vt_cursor_table(cursor)->schema, lsm_cursor_key(cursor->walk), lsm_cursor_value(cursor->walk));
    cursor->reader_ready = true;
}

static int ready_reader(struct vt_cursor *cursor) {
    if (cursor->reader_ready) return SQLITE_OK;
    struct lsm_slice key, record;
    int rc = vt_cursor_row(cursor, &key, &record);
    if (rc != SQLITE_OK) return rc;
    vt_row_reader_init(&cursor->reader, vt_cursor_table(cursor)->schema, key, record);
    cursor->reader_ready = true;
    return SQLITE_OK;
}

void vt_cursor_forget_row(struct vt_cursor *cursor) {
    if (cursor->row_read) lsm_value_release(&cursor->row);
    cursor->reader_ready = cursor->row_known = cursor->row_read = cursor->rowid_told = false;
}

/* ---- opening and closing -------------------------------------------------------------------------------------- */

#define SPARE_BYTES_MAX 4096 /* what a spare cursor may keep of keys and rows it has had */

/* One that is closed is kept for the next statement: most have one cursor, and read one row. */
static struct vt_cursor *cursor_new(struct vt_table *table) {
    struct vt_cursor *cursor = table->spare;
    table->spare = NULL;
    if (cursor != NULL) return cursor;
    cursor = sqlite3_malloc64(sizeof *cursor);
    if (cursor != NULL) memset(cursor, 0, sizeof *cursor);
    return cursor;
}

static void cursor_free(struct vt_cursor *cursor) {
    vt_ranges_release(&cursor->ranges);
    vt_bytes_release(&cursor->key);
    vt_bytes_release(&cursor->record);
    vt_bytes_release(&cursor->entry);
    vt_bytes_release(&cursor->walk_name);
    vt_bytes_release(&cursor->only_bytes);
    vt_found_release(&cursor->found);
    for (int i = 0; i < 2; i++) vt_loan_release(cursor->loans[i]);
    sqlite3_free(cursor->plan_text);
    sqlite3_free(cursor);
}

/* Keep it, as good as new, if it is small. */
static void cursor_retire(struct vt_table *table, struct vt_cursor *cursor) {
    size_t bytes = cursor->key.capacity + cursor->record.capacity + cursor->entry.capacity + cursor->walk_name.capacity;
    for (int i = 0; i < cursor->ranges.capacity && bytes <= SPARE_BYTES_MAX; i++)
        bytes += cursor->ranges.range[i].low.capacity + cursor->ranges.range[i].high.capacity;
    if (table->spare != NULL || bytes > SPARE_BYTES_MAX || cursor->plan_text != NULL) {
        cursor_free(cursor);
        return;
    }
    /* Indexes come and go, and their numbers with them; the key stays. */
    cursor->plan_known = cursor->plan_known && cursor->plan.index == VT_PLAN_PRIMARY;
    cursor->index = NULL;
    cursor->broken = SQLITE_OK;
    cursor->walked = 0;
    table->spare = cursor;
}

void vt_cursor_free_spare(struct vt_table *table) {
    if (table->spare != NULL) cursor_free(table->spare);
    table->spare = NULL;
}

int vt_cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
    struct vt_space *space = ((struct vt_table *)vtab)->space;
    struct vt_cursor *cursor = cursor_new((struct vt_table *)vtab);
    if (cursor == NULL) return SQLITE_NOMEM;
    /* A subquery's cursor may be opened anew before its predecessor is closed; holding on to the view makes them see the same. */
    cursor->view = vt_view_shared(space);
    cursor->next = space->cursors;
    cursor->link = &space->cursors;
    if (cursor->next != NULL) cursor->next->link = &cursor->next;
    space->cursors = cursor;
    *out = &cursor->base;
    return SQLITE_OK;
}

void vt_cursor_drop_row(struct vt_cursor *cursor) {
    vt_cursor_forget_row(cursor);
    lsm_value_release(&cursor->point);
    cursor->mode = CURSOR_END;
}

static void drop_walk(struct vt_cursor *cursor) {
    lsm_cursor_close(cursor->walk);
    cursor->walk = NULL;
}

void vt_cursor_drop_view(struct vt_cursor *cursor) {
    vt_cursor_drop_row(cursor);
    drop_walk(cursor);
    vt_view_unref(vt_cursor_table(cursor)->space, cursor->view);
    cursor->view = NULL;
}

int vt_cursor_close(sqlite3_vtab_cursor *base) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    struct vt_space *space = vt_cursor_table(cursor)->space;
    vt_cursor_count_stray(cursor);
    vt_cursor_drop_view(cursor);
    *cursor->link = cursor->next;
    if (cursor->next != NULL) cursor->next->link = cursor->link;
    vt_found_release(&cursor->found);
    if (space->cursors == NULL) vt_lookups_clear(&space->lookups);
    cursor_retire(vt_cursor_table(cursor), cursor);
    return SQLITE_OK;
}

/* ---- walking -------------------------------------------------------------------------------------------------- */

static uint32_t tree_of(const struct vt_cursor *cursor) {
    return cursor->index == NULL ? vt_table_tree(vt_cursor_table(cursor)) : cursor->index->tree.tree;
}

static int open_walk(struct vt_cursor *cursor, const struct lsm_slice *low, const struct lsm_slice *high) {
    struct lsm_error err;
    vt_error_clear(&err);
    int status;
    if (cursor->walk != NULL && cursor->walk_tree != tree_of(cursor)) drop_walk(cursor);
    if (cursor->walk == NULL) {
        status = lsm_cursor_open(cursor->view->engine, tree_of(cursor), low, high, &cursor->walk, &err);
        if (status != LSM_OK) cursor->walk = NULL;
        cursor->walk_tree = tree_of(cursor);
    } else {
        status = lsm_cursor_rebound(cursor->walk, low, high, &err);
    }
    if (status == LSM_OK) status = cursor->plan.desc ? lsm_cursor_last(cursor->walk, &err) : lsm_cursor_first(cursor->walk, &err);
    return vt_cursor_fail(cursor, status, &err);
}

static int read_point(struct vt_cursor *cursor, const struct vt_range *range) {
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_view_get(cursor->view->engine, tree_of(cursor), vt_bytes_slice(&range->low), &cursor->point, &err);
    if (status == LSM_NOTFOUND) return SQLITE_OK;
    if (status == LSM_OK) cursor->mode = CURSOR_POINT;
    return vt_cursor_fail(cursor, status, &err);
}

int vt_cursor_read_range(struct vt_cursor *cursor, const struct vt_range *range) {
    struct lsm_slice low = vt_bytes_slice(&range->low), high = vt_bytes_slice(&range->high);
    int rc = open_walk(cursor, range->has_low ? &low : NULL, range->has_high ? &high : NULL);
    if (rc == SQLITE_OK && lsm_cursor_valid(cursor->walk)) cursor->mode = CURSOR_WALK;
    return rc;
}

/* Stand on the first row of range range_at or of those after it. */
static int enter_range(struct vt_cursor *cursor) {
    vt_cursor_drop_row(cursor);
    int step = cursor->plan.desc ? -1 : 1;
    for (; cursor->range_at >= 0 && cursor->range_at < cursor->ranges.count; cursor->range_at += step) {
        const struct vt_range *range = &cursor->ranges.range[cursor->range_at];
        int rc = range->point ? read_point(cursor, range) : vt_cursor_read_range(cursor, range);
        if (rc != SQLITE_OK || cursor->mode != CURSOR_END) return rc;
    }
    return SQLITE_OK;
}

int vt_cursor_start(struct vt_cursor *cursor) {
    cursor->range_at = cursor->plan.desc ? cursor->ranges.count - 1 : 0;
    return enter_range(cursor);
}

static int next_range(struct vt_cursor *cursor) {
    cursor->range_at += cursor->plan.desc ? -1 : 1;
    return enter_range(cursor);
}

static bool is_gone(struct vt_space *space, struct lsm_tree_info tree) {
    return lsm_store_tree_check(space->store, tree) != LSM_OK && !vt_txn_made_tree(space, tree);
}

int vt_cursor_take_view(struct vt_cursor *cursor) {
    struct vt_table *table = vt_cursor_table(cursor);
    struct vt_space *space = table->space;
    struct vt_view *view = NULL;
    int rc = vt_view_acquire(space, &view, &cursor->base.pVtab->zErrMsg);
    if (rc != SQLITE_OK) return rc;
    /* SQLite's snapshot may still have a table, or an index, that another connection has dropped: its rows are gone, which is not the same as none. A view that
     * was seen to have them has them for good. */
    bool gone = view->opened != table->view_known && is_gone(space, table->shadow.tree);
    if (!gone && cursor->index != NULL && view != cursor->view) gone = is_gone(space, cursor->index->tree);
    if (gone) {
        vt_view_unref(space, view);
        return vt_fail(&cursor->base.pVtab->zErrMsg, SQLITE_BUSY_SNAPSHOT,
                       "table %s, or its index, was dropped by another connection: end this transaction", table->name);
    }
    table->view_known = view->opened;
    if (view != cursor->view) drop_walk(cursor);
    vt_view_unref(space, cursor->view);
    cursor->view = view;
    return SQLITE_OK;
}

/* ---- xFilter and xNext -------------------------------------------------------------------------------------------- */

/* The plan of this number and text. A cursor mostly gets the same one again. */
static int read_plan(struct vt_cursor *cursor, int number, const char *text) {
    const struct vt_schema *schema = vt_cursor_table(cursor)->schema;
    bool has_more = vt_plan_has_more(number), known = cursor->plan_known && cursor->plan_number == number && cursor->plan.index < schema->index_count;
    if (known && !has_more) return SQLITE_OK;
    if (known && cursor->plan_text != NULL && text != NULL && strcmp(cursor->plan_text, text) == 0) return SQLITE_OK;
    sqlite3_free(cursor->plan_text);
    cursor->plan_text = NULL;
    cursor->plan_known = false;
    cursor->changing = 0;
    if (!vt_plan_read(schema, number, &cursor->plan)) return SQLITE_INTERNAL; /* LCOV_EXCL_BR_LINE: what vt_plan_write() has written */
    int rc = SQLITE_OK;
    if (has_more) rc = text == NULL ? SQLITE_INTERNAL : vt_plan_read_more(schema, number, text, &cursor->plan);
    if (rc != SQLITE_OK) return rc;
    if (has_more) cursor->plan_text = sqlite3_mprintf("%s", text);
    if (has_more && cursor->plan_text == NULL) return SQLITE_NOMEM;
    cursor->plan_number = number;
    cursor->plan_known = true;
    return SQLITE_OK;
}

int vt_cursor_filter(sqlite3_vtab_cursor *base, int number, const char *text, int argc, sqlite3_value **argv) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    struct vt_table *table = vt_cursor_table(cursor);
    char **message = &table->base.zErrMsg;
    vt_cursor_drop_row(cursor);
    cursor->broken = SQLITE_OK;
    /* Only an UPDATE leaves columns as they are, and that has joined the transaction before it reads. */
    cursor->updating = table->space->txn.state != VT_TXN_IDLE && table->joined_epoch == table->space->txn.epoch;
    int rc = vt_table_bind(table, message); /* first: it knows the indexes */
    if (rc == SQLITE_OK) rc = read_plan(cursor, number, text);
    if (rc == SQLITE_INTERNAL || (rc == SQLITE_OK && argc != vt_plan_arg_count(&cursor->plan))) { /* LCOV_EXCL_BR_LINE: of vt_best_index() */
        return vt_fail(message, SQLITE_INTERNAL, "the query plan %d with %d values is none of table %s", number, argc, table->name);
    }
    if (rc != SQLITE_OK) return rc;
    cursor->index = cursor->plan.index == VT_PLAN_PRIMARY ? NULL : &table->schema->indexes[cursor->plan.index];
    rc = vt_cursor_take_view(cursor);
    bool point = false;
    if (rc == SQLITE_OK && cursor->plan.lookup_count == 0) rc = vt_plan_point(table->schema, &cursor->plan, argv, &cursor->ranges, &point);
    if (rc == SQLITE_OK && !point) rc = vt_plan_ranges(table->schema, &cursor->plan, argv, vt_cursor_resolve, cursor, &cursor->ranges);
    bool served = false;
    if (rc == SQLITE_OK && cursor->plan.lookup_count > 0) rc = vt_cursor_look_up(cursor, argv + vt_plan_walk_args(&cursor->plan), text, &served);
    return rc == SQLITE_OK && !served ? vt_cursor_start(cursor) : rc;
}

/* Make the range begin behind the row that was kept. */
static int cut_range(struct vt_cursor *cursor, struct vt_range *range) {
    struct vt_bytes *bound = cursor->plan.desc ? &range->high : &range->low;
    int rc = vt_bytes_set(bound, vt_cursor_entry_key(cursor));
    if (rc == SQLITE_OK && !cursor->plan.desc) rc = vt_bytes_put(bound, 0);
    if (cursor->plan.desc) range->has_high = true;
    if (!cursor->plan.desc) range->has_low = true;
    return rc;
}

/* Go on in a new view. */
static int resume(struct vt_cursor *cursor) {
    struct vt_range *range = &cursor->ranges.range[cursor->range_at];
    int rc = range->point ? SQLITE_OK : cut_range(cursor, range);
    if (rc == SQLITE_OK) rc = vt_table_bind(vt_cursor_table(cursor), &cursor->base.pVtab->zErrMsg);
    if (rc == SQLITE_OK) rc = vt_cursor_take_view(cursor);
    if (rc != SQLITE_OK) return rc;
    return range->point ? next_range(cursor) : enter_range(cursor);
}

/* A walk has come to its end, or has failed. */
static VT_APART int end_walk(struct vt_cursor *cursor, int status, const struct lsm_error *err) {
    if (status == LSM_OK) return next_range(cursor);
    vt_cursor_drop_row(cursor);
    return vt_cursor_fail(cursor, status, err);
}

static inline int step(struct vt_cursor *cursor) {
    struct lsm_error err;
    vt_error_clear(&err);
    cursor->walked++;
    int status = cursor->plan.desc ? lsm_cursor_prev(cursor->walk, &err) : lsm_cursor_next(cursor->walk, &err);
    return status == LSM_OK && lsm_cursor_valid(cursor->walk) ? SQLITE_OK : end_walk(cursor, status, &err);
}

static int pass_over(struct vt_cursor *cursor) {
    int rc = vt_cursor_pass_over(cursor);
    if (rc == SQLITE_OK && !lsm_cursor_valid(cursor->walk)) return next_range(cursor);
    if (rc != SQLITE_OK) vt_cursor_drop_row(cursor);
    return rc;
}

/* Whatever is not a step to the next row of a walk. */
static VT_APART int next_elsewhere(struct vt_cursor *cursor) {
    if (cursor->broken != SQLITE_OK) return cursor->broken;
    bool passes_over = cursor->plan.distinct > 0 && !cursor->rowid_told;
    vt_cursor_forget_row(cursor);
    if (cursor->mode == CURSOR_FOUND) return vt_cursor_find_next(cursor);
    if (cursor->mode == CURSOR_DETACHED) return resume(cursor);
    if (cursor->mode != CURSOR_WALK) return next_range(cursor);
    return passes_over ? pass_over(cursor) : step(cursor);
}

int vt_cursor_next(sqlite3_vtab_cursor *base) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    if (cursor->mode != CURSOR_WALK || cursor->plan.distinct > 0) return next_elsewhere(cursor);
    vt_cursor_forget_row(cursor);
    return step(cursor);
}

int vt_cursor_eof(sqlite3_vtab_cursor *base) {
    const struct vt_cursor *cursor = (const struct vt_cursor *)base;
    return cursor->mode == CURSOR_END && cursor->broken == SQLITE_OK; /* LCOV_EXCL_BR_LINE: after an error SQLite does not ask */
}

/* ---- the row -------------------------------------------------------------------------------------------------- */

/* From the entry of an index; false if the row must be read. */
static bool column_of_entry(struct vt_cursor *cursor, int column, struct vt_value *value, int *rc) {
    if (cursor->index == NULL || cursor->reader_ready || cursor->mode == CURSOR_DETACHED || cursor->mode == CURSOR_FOUND) return false;
    struct lsm_slice key;
    *rc = find_row_key(cursor, &key);
    return *rc == SQLITE_OK && vt_index_column(vt_cursor_table(cursor)->schema, cursor->index, vt_cursor_entry_key(cursor), key, column, value);
}

/* A column that the row's key tells byte for byte: this part of it. */
static inline bool part_of_key(const struct vt_schema *schema, struct lsm_slice key, int column, bool *text, struct lsm_slice *bytes) {
    *text = false;
    *bytes = key;
    if (column == schema->bytes_column) return vt_key_only_bytes(key, text, bytes);
    return column == schema->column_count && schema->kind == VT_KIND_CLUSTERED; /* LCOV_EXCL_BR_LINE: only clustered tables have that column */
}

/* The key of a row that was looked for by it. */
static inline bool column_of_point(struct vt_cursor *cursor, sqlite3_context *context, int column) {
    if (cursor->mode != CURSOR_POINT || cursor->index != NULL) return false;
    const struct vt_schema *schema = vt_cursor_table(cursor)->schema;
    bool text;
    struct lsm_slice bytes;
    if (!part_of_key(schema, vt_cursor_entry_key(cursor), column, &text, &bytes)) return false;
    vt_loan_result(&cursor->loans[column != schema->bytes_column], text, bytes, context);
    return true;
}

/* A column that an UPDATE may not be going to change. What the key tells, write.c has from the key. */
static int column_of_update(struct vt_cursor *cursor, sqlite3_context *context, int column) {
    const struct vt_table *table = vt_cursor_table(cursor);
    struct vt_value value;
    int rc = SQLITE_OK;
    bool text, left = sqlite3_vtab_nochange(context) != 0;
    struct lsm_slice key, bytes;
    if (left && find_row_key(cursor, &key) == SQLITE_OK && part_of_key(table->schema, key, column, &text, &bytes)) return SQLITE_OK;
    if (column_of_point(cursor, context, column)) return SQLITE_OK;
    bool known = column_of_entry(cursor, column, &value, &rc);
    if (rc == SQLITE_OK && !known) rc = ready_reader(cursor);
    if (rc == SQLITE_OK && !known) rc = vt_row_get(&cursor->reader, column, &value);
    if (rc != SQLITE_OK) return vt_cursor_fail_row(cursor, rc);
    bool is_long = (value.type == SQLITE_TEXT || value.type == SQLITE_BLOB) && value.size >= NOCHANGE_BYTES_MIN;
    /* A CHECK is not looked at again unless its columns are set. */
    bool checked = column < table->schema->column_count && table->schema->columns[column].checked;
    if (!left || (!is_long && !checked)) vt_value_result(context, &value, SQLITE_TRANSIENT);
    return SQLITE_OK;
}

/* A column of the present row, which has not been looked at yet, or is of an entry or in an UPDATE. */
static VT_APART int column_elsewhere(struct vt_cursor *cursor, sqlite3_context *context, int column) {
    if (cursor->broken != SQLITE_OK) return cursor->broken;
    if (cursor->mode == CURSOR_END) return SQLITE_OK; /* LCOV_EXCL_BR_LINE: SQLite asks for no column there */
    if (cursor->updating) return column_of_update(cursor, context, column);
    if (column_of_point(cursor, context, column)) return SQLITE_OK;
    struct vt_value value;
    int rc = SQLITE_OK;
    bool known = column_of_entry(cursor, column, &value, &rc);
    if (known) vt_value_result(context, &value, SQLITE_TRANSIENT);
    if (rc == SQLITE_OK && !known) rc = ready_reader(cursor);
    if (rc == SQLITE_OK && !known) rc = vt_cursor_fail_row(cursor, vt_row_result(&cursor->reader, column, context, SQLITE_TRANSIENT));
    return rc;
}

int vt_cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    if (!cursor->reader_ready || cursor->updating) {
        if (cursor->mode != CURSOR_WALK || cursor->index != NULL || cursor->updating) return column_elsewhere(cursor, context, column);
        read_walk(cursor);
    }
    int rc = vt_row_result(&cursor->reader, column, context, SQLITE_TRANSIENT);
    return rc == SQLITE_OK ? SQLITE_OK : vt_cursor_fail_row(cursor, rc);
}

int vt_cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    if (cursor->broken != SQLITE_OK) return cursor->broken;
    int64_t value = 0;
    struct lsm_slice key;
    int rc = find_row_key(cursor, &key);
    if (rc != SQLITE_OK) return rc;
    if (!vt_key_get_int64(key, &value)) return vt_cursor_fail_row(cursor, SQLITE_CORRUPT_VTAB);
    *rowid = value;
    cursor->rowid_told = true;
    return SQLITE_OK;
}

/* ---- the cursors of a space ----------------------------------------------------------------------------------- */

struct vt_cursor *vt_cursor_after(const struct vt_cursor *cursor) {
    return cursor->next;
}

bool vt_cursor_is_of(const struct vt_cursor *cursor, const sqlite3_vtab *vtab) { return cursor->base.pVtab == vtab; }
