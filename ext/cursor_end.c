/* The end of the transaction that a cursor has read in: the row it stands on is kept, or what was undone breaks it. */
#include "cursor_state.h"

static int keep_row(struct vt_cursor *cursor) {
    struct lsm_slice key, record;
    int rc = vt_cursor_row(cursor, &key, &record);
    if (rc == SQLITE_OK) rc = vt_bytes_set(&cursor->key, key);
    if (rc == SQLITE_OK) rc = vt_bytes_set(&cursor->record, record);
    if (rc == SQLITE_OK && cursor->index != NULL) rc = vt_bytes_set(&cursor->entry, vt_cursor_entry_key(cursor));
    return rc;
}

/* A lookup needs no view, but for a record that it does not have. */
static int keep_found(struct vt_cursor *cursor) {
    if (!cursor->row_read) return SQLITE_OK;
    int rc = vt_bytes_set(&cursor->record, cursor->row.bytes);
    cursor->found.record = vt_bytes_slice(&cursor->record);
    cursor->found.has_record = true;
    return rc;
}

void vt_cursor_detach(struct vt_cursor *cursor) {
    if (cursor->view == NULL || !cursor->view->of_txn) return;
    enum cursor_mode mode = cursor->mode == CURSOR_END || cursor->mode == CURSOR_FOUND ? cursor->mode : CURSOR_DETACHED;
    int rc = SQLITE_OK;
    if (mode == CURSOR_DETACHED) rc = keep_row(cursor);
    if (mode == CURSOR_FOUND) rc = keep_found(cursor);
    vt_cursor_drop_view(cursor);
    cursor->mode = mode;
    cursor->broken = rc;
}

void vt_cursor_break(struct vt_cursor *cursor, uint64_t tick) {
    if (cursor->view == NULL || !cursor->view->of_txn || cursor->view->tick <= tick) return;
    bool on_row = cursor->mode != CURSOR_END;
    vt_cursor_drop_view(cursor);
    if (on_row) cursor->broken = SQLITE_ABORT_ROLLBACK;
}
