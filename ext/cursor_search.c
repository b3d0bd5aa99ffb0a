#include "cursor_state.h"

#include <string.h>

/* The search for the text that equals a number (plan.h), by SQLite's own rules. */
struct search {
    sqlite3_stmt *equals; /* of a text and a number */
    int column;
    struct vt_bytes *text; /* the first found */
    int count;             /* 0, 1, or 2 for more */
};

static int search_row(struct vt_cursor *cursor, struct search *search) {
    const struct vt_table *table = vt_cursor_table(cursor);
    struct vt_row_reader reader;
    struct vt_value value;
    struct lsm_slice key, record;
    int rc = vt_cursor_row(cursor, &key, &record);
    if (rc != SQLITE_OK) return rc;
    vt_row_reader_init(&reader, table->schema, key, record);
    rc = vt_row_get(&reader, search->column, &value);
    if (rc != SQLITE_OK || value.type != SQLITE_TEXT) return rc;
    if (search->count > 0 && search->text->size == value.size && memcmp(search->text->data, value.bytes, value.size) == 0) return SQLITE_OK;
    rc = sqlite3_bind_text64(search->equals, 1, (const char *)value.bytes, value.size, SQLITE_STATIC, SQLITE_UTF8);
    if (rc != SQLITE_OK) return rc;
    bool equal = sqlite3_step(search->equals) == SQLITE_ROW && sqlite3_column_int(search->equals, 0) != 0;
    rc = sqlite3_reset(search->equals);
    if (rc != SQLITE_OK || !equal) return rc;
    if (++search->count > 1) return SQLITE_OK;
    return vt_bytes_set(search->text, (struct lsm_slice){.data = value.bytes, .size = value.size});
}

static int search_ranges(struct vt_cursor *cursor, const struct vt_ranges *ranges, struct search *search) {
    struct lsm_error err;
    vt_error_clear(&err);
    int status = LSM_OK, rc = SQLITE_OK;
    for (int i = 0; i < ranges->count && rc == SQLITE_OK && status == LSM_OK; i++) {
        rc = vt_cursor_read_range(cursor, &ranges->range[i]);
        while (rc == SQLITE_OK && status == LSM_OK && search->count < 2 && lsm_cursor_valid(cursor->walk)) {
            rc = search_row(cursor, search);
            vt_cursor_forget_row(cursor);
            if (rc == SQLITE_OK) status = cursor->plan.desc ? lsm_cursor_prev(cursor->walk, &err) : lsm_cursor_next(cursor->walk, &err);
        }
        vt_cursor_drop_row(cursor);
    }
    return status == LSM_OK ? rc : vt_cursor_fail(cursor, status, &err);
}

int vt_cursor_resolve(void *arg, const struct vt_ranges *ranges, int column, sqlite3_value *number, struct vt_bytes *text, int *count) {
    struct vt_cursor *cursor = arg;
    struct search search = {.column = column, .text = text};
    const struct vt_table *table = vt_cursor_table(cursor);
    /* A comparison with an expression of numeric affinity turns the text into a number, if it looks like one; 'Inf' does not. */
    char *sql = sqlite3_mprintf("SELECT ?1 = CAST(?2 AS NUMERIC) OR ?1 = CAST(?2 AS TEXT) COLLATE %s",
                                vt_collation_name(table->schema->columns[column].collation));
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_prepare_v2(table->space->connection->db, sql, -1, &search.equals, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_OK) rc = sqlite3_bind_value(search.equals, 2, number);
    if (rc == SQLITE_OK) rc = search_ranges(cursor, ranges, &search);
    sqlite3_finalize(search.equals);
    *count = search.count;
    if (rc != SQLITE_OK || search.count < 2) return rc;
    /* A SELECT can do with several rows where one was foretold; an UPDATE or DELETE would stop after the first, and an order would be lost. */
    bool writing = table->space->txn.state != VT_TXN_IDLE && table->joined_epoch == table->space->txn.epoch;
    if (cursor->plan.unique && !writing) return SQLITE_OK;
    return vt_fail(&cursor->base.pVtab->zErrMsg, SQLITE_ERROR,
                   "several texts in key column %s of table %s equal the number it is compared with, where the plan of the statement allows one: "
                   "compare it with CAST(... AS TEXT)",
                   table->schema->columns[column].name, table->name);
}
