#include "cursor.h"

#include <string.h>

#include "plan.h"
#include "row_codec.h"
#include "table.h"

/* In an UPDATE, a value this long that is not to change is not handed to SQLite and back: write.c reads it where it is. */
#define NOCHANGE_BYTES_MIN 256

enum cursor_mode {
    CURSOR_END,      /* no row */
    CURSOR_POINT,    /* on the one row of a point read */
    CURSOR_WALK,     /* on the engine cursor's row */
    CURSOR_DETACHED  /* on a row of a transaction that is committed: `key`, `record` */
};

struct vt_cursor {
    sqlite3_vtab_cursor base; /* first: SQLite's pointer is ours */
    struct vt_cursor *next, **link; /* in vt_space.cursors */
    enum cursor_mode mode;
    int broken;               /* not SQLITE_OK: what every step returns */
    struct vt_view *view;     /* counted; may be held without a row */
    struct lsm_cursor *walk;  /* on `view` and the table's tree */
    struct lsm_value point;   /* of `view` */
    struct vt_plan plan;
    struct vt_ranges ranges;
    int range_at;
    struct vt_bytes key, record;
    struct vt_row_reader reader; /* of the present row, if reader_ready */
    bool reader_ready;
};

static struct vt_table *table_of(const struct vt_cursor *cursor) { return (struct vt_table *)cursor->base.pVtab; }

static int fail_engine(struct vt_cursor *cursor, int status, const struct lsm_error *err) {
    return vt_fail_engine(&cursor->base.pVtab->zErrMsg, status, err);
}

/* ---- opening and closing -------------------------------------------------------------------------------------- */

int vt_cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
    struct vt_space *space = ((struct vt_table *)vtab)->space;
    struct vt_cursor *cursor = sqlite3_malloc64(sizeof *cursor);
    if (cursor == NULL) return SQLITE_NOMEM;
    memset(cursor, 0, sizeof *cursor);
    /* A subquery's cursor may be opened anew before its predecessor is closed; holding on to the view makes them see the same. */
    if (space->views.committed != NULL) {
        cursor->view = space->views.committed;
        vt_view_ref(cursor->view);
    }
    cursor->next = space->cursors;
    cursor->link = &space->cursors;
    if (cursor->next != NULL) cursor->next->link = &cursor->next;
    space->cursors = cursor;
    *out = &cursor->base;
    return SQLITE_OK;
}

/* Everything that was read from the view. */
static void drop_row(struct vt_cursor *cursor) {
    lsm_value_release(&cursor->point);
    cursor->mode = CURSOR_END;
    cursor->reader_ready = false;
}

static void drop_walk(struct vt_cursor *cursor) {
    lsm_cursor_close(cursor->walk);
    cursor->walk = NULL;
}

static void drop_view(struct vt_cursor *cursor) {
    drop_row(cursor);
    drop_walk(cursor);
    vt_view_unref(table_of(cursor)->space, cursor->view);
    cursor->view = NULL;
}

int vt_cursor_close(sqlite3_vtab_cursor *base) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    drop_view(cursor);
    *cursor->link = cursor->next;
    if (cursor->next != NULL) cursor->next->link = cursor->link;
    vt_ranges_release(&cursor->ranges);
    vt_bytes_release(&cursor->key);
    vt_bytes_release(&cursor->record);
    sqlite3_free(cursor);
    return SQLITE_OK;
}

/* ---- walking -------------------------------------------------------------------------------------------------- */

static int open_walk(struct vt_cursor *cursor, const struct lsm_slice *low, const struct lsm_slice *high) {
    struct lsm_error err = {0};
    int status;
    if (cursor->walk == NULL) {
        status = lsm_cursor_open(cursor->view->engine, vt_table_tree(table_of(cursor)), low, high, &cursor->walk, &err);
        if (status != LSM_OK) cursor->walk = NULL;
    } else {
        status = lsm_cursor_rebound(cursor->walk, low, high, &err);
    }
    if (status == LSM_OK) status = cursor->plan.desc ? lsm_cursor_last(cursor->walk, &err) : lsm_cursor_first(cursor->walk, &err);
    return fail_engine(cursor, status, &err);
}

/* Stand on the first row of range range_at or of those after it. */
static int enter_range(struct vt_cursor *cursor) {
    drop_row(cursor);
    for (; cursor->range_at >= 0 && cursor->range_at < cursor->ranges.count; cursor->range_at += cursor->plan.desc ? -1 : 1) {
        const struct vt_range *range = &cursor->ranges.range[cursor->range_at];
        struct lsm_slice low = vt_bytes_slice(&range->low), high = vt_bytes_slice(&range->high);
        int rc = open_walk(cursor, range->has_low ? &low : NULL, range->has_high ? &high : NULL);
        if (rc != SQLITE_OK) return rc;
        if (lsm_cursor_valid(cursor->walk)) {
            cursor->mode = CURSOR_WALK;
            return SQLITE_OK;
        }
    }
    return SQLITE_OK;
}

static int read_point(struct vt_cursor *cursor) {
    struct lsm_error err = {0};
    struct lsm_slice key = vt_bytes_slice(&cursor->ranges.range[0].low);
    int status = lsm_view_get(cursor->view->engine, vt_table_tree(table_of(cursor)), key, &cursor->point, &err);
    if (status == LSM_NOTFOUND) return SQLITE_OK;
    if (status == LSM_OK) cursor->mode = CURSOR_POINT;
    return fail_engine(cursor, status, &err);
}

/* Have the view this scan reads. */
static int take_view(struct vt_cursor *cursor) {
    struct vt_space *space = table_of(cursor)->space;
    struct vt_view *view = NULL;
    int rc = vt_view_acquire(space, &view, &cursor->base.pVtab->zErrMsg);
    if (rc != SQLITE_OK) return rc;
    if (view != cursor->view) drop_walk(cursor);
    vt_view_unref(space, cursor->view);
    cursor->view = view;
    return SQLITE_OK;
}

int vt_cursor_filter(sqlite3_vtab_cursor *base, int number, const char *text, int argc, sqlite3_value **argv) {
    (void)text;
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    struct vt_table *table = table_of(cursor);
    char **message = &table->base.zErrMsg;
    drop_row(cursor);
    cursor->broken = SQLITE_OK;
    if (!vt_plan_read(table->schema, number, &cursor->plan) || argc != vt_plan_arg_count(&cursor->plan)) {
        return vt_fail(message, SQLITE_INTERNAL, "the query plan %d with %d values is none of table %s", number, argc, table->name);
    }
    int rc = vt_table_bind(table, message);
    if (rc == SQLITE_OK) rc = vt_plan_ranges(table->schema, &cursor->plan, argv, &cursor->ranges, message);
    if (rc == SQLITE_OK) rc = take_view(cursor);
    if (rc != SQLITE_OK || cursor->ranges.count == 0) return rc;
    if (cursor->ranges.point) return read_point(cursor);
    cursor->range_at = cursor->plan.desc ? cursor->ranges.count - 1 : 0;
    return enter_range(cursor);
}

/* Go on behind the row that was kept. */
static int resume(struct vt_cursor *cursor) {
    struct vt_range *range = &cursor->ranges.range[cursor->range_at];
    struct vt_bytes *bound = cursor->plan.desc ? &range->high : &range->low;
    int rc = vt_bytes_set(bound, vt_bytes_slice(&cursor->key));
    if (rc == SQLITE_OK && !cursor->plan.desc) rc = vt_bytes_put(bound, 0);
    if (rc != SQLITE_OK) return rc;
    if (cursor->plan.desc) range->has_high = true;
    if (!cursor->plan.desc) range->has_low = true;
    rc = vt_table_bind(table_of(cursor), &cursor->base.pVtab->zErrMsg);
    if (rc == SQLITE_OK) rc = take_view(cursor);
    return rc == SQLITE_OK ? enter_range(cursor) : rc;
}

int vt_cursor_next(sqlite3_vtab_cursor *base) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    if (cursor->broken != SQLITE_OK) return cursor->broken;
    cursor->reader_ready = false;
    if (cursor->mode == CURSOR_DETACHED && !cursor->ranges.point) return resume(cursor);
    if (cursor->mode != CURSOR_WALK) {
        drop_row(cursor);
        return SQLITE_OK;
    }
    struct lsm_error err = {0};
    int status = cursor->plan.desc ? lsm_cursor_prev(cursor->walk, &err) : lsm_cursor_next(cursor->walk, &err);
    if (status != LSM_OK) {
        drop_row(cursor);
        return fail_engine(cursor, status, &err);
    }
    if (lsm_cursor_valid(cursor->walk)) return SQLITE_OK;
    cursor->range_at += cursor->plan.desc ? -1 : 1;
    return enter_range(cursor);
}

int vt_cursor_eof(sqlite3_vtab_cursor *base) {
    const struct vt_cursor *cursor = (const struct vt_cursor *)base;
    return cursor->mode == CURSOR_END && cursor->broken == SQLITE_OK;
}

/* ---- the row -------------------------------------------------------------------------------------------------- */

static struct lsm_slice row_key(const struct vt_cursor *cursor) {
    switch (cursor->mode) {
    case CURSOR_WALK: return lsm_cursor_key(cursor->walk);
    case CURSOR_POINT: return vt_bytes_slice(&cursor->ranges.range[0].low);
    case CURSOR_DETACHED: return vt_bytes_slice(&cursor->key);
    case CURSOR_END: break;
    }
    return (struct lsm_slice){0};
}

static struct lsm_slice row_record(const struct vt_cursor *cursor) {
    switch (cursor->mode) {
    case CURSOR_WALK: return lsm_cursor_value(cursor->walk);
    case CURSOR_POINT: return cursor->point.bytes;
    case CURSOR_DETACHED: return vt_bytes_slice(&cursor->record);
    case CURSOR_END: break;
    }
    return (struct lsm_slice){0};
}

static int fail_row(struct vt_cursor *cursor, int rc) {
    if ((rc & 0xff) != SQLITE_CORRUPT) return rc;
    const struct vt_table *table = table_of(cursor);
    return vt_fail(&cursor->base.pVtab->zErrMsg, rc, "a row of table %s is damaged: run SELECT lsm_check()", table->name);
}

int vt_cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    if (cursor->broken != SQLITE_OK) return cursor->broken;
    if (cursor->mode == CURSOR_END) return SQLITE_OK;
    if (!cursor->reader_ready) {
        vt_row_reader_init(&cursor->reader, table_of(cursor)->schema, row_key(cursor), row_record(cursor));
        cursor->reader_ready = true;
    }
    if (sqlite3_vtab_nochange(context) == 0) return fail_row(cursor, vt_row_result(&cursor->reader, column, context, SQLITE_TRANSIENT));
    struct vt_value value;
    int rc = vt_row_get(&cursor->reader, column, &value);
    if (rc != SQLITE_OK) return fail_row(cursor, rc);
    bool is_long = (value.type == SQLITE_TEXT || value.type == SQLITE_BLOB) && value.size >= NOCHANGE_BYTES_MIN;
    if (!is_long) vt_value_result(context, &value, SQLITE_TRANSIENT);
    return SQLITE_OK;
}

int vt_cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    struct vt_cursor *cursor = (struct vt_cursor *)base;
    if (cursor->broken != SQLITE_OK) return cursor->broken;
    int64_t value = 0;
    if (!vt_key_get_int64(row_key(cursor), &value)) return fail_row(cursor, SQLITE_CORRUPT_VTAB);
    *rowid = value;
    return SQLITE_OK;
}

/* ---- the transaction ends ------------------------------------------------------------------------------------- */

struct vt_cursor *vt_cursor_after(const struct vt_cursor *cursor) { return cursor->next; }

void vt_cursor_detach(struct vt_cursor *cursor) {
    if (cursor->view == NULL || !cursor->view->of_txn) return;
    enum cursor_mode mode = cursor->mode == CURSOR_END ? CURSOR_END : CURSOR_DETACHED;
    int rc = SQLITE_OK;
    if (mode == CURSOR_DETACHED) {
        rc = vt_bytes_set(&cursor->key, row_key(cursor));
        if (rc == SQLITE_OK) rc = vt_bytes_set(&cursor->record, row_record(cursor));
    }
    drop_view(cursor);
    cursor->mode = mode;
    cursor->broken = rc;
}

void vt_cursor_break(struct vt_cursor *cursor, uint64_t tick) {
    if (cursor->view == NULL || !cursor->view->of_txn || cursor->view->tick <= tick) return;
    bool on_row = cursor->mode != CURSOR_END;
    drop_view(cursor);
    if (on_row) cursor->broken = SQLITE_ABORT_ROLLBACK;
}
