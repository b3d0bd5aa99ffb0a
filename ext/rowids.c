#include "rowids.h"

#include "key_codec.h"
#include "table.h"

/* How often SQLite looks for a free rowid at random when the greatest is taken, before it says SQLITE_FULL. */
#define RANDOM_ROWID_TRIES 100

/* ---- the greatest number ---------------------------------------------------------------------------------------- */

static bool max_is_known(const struct vt_table *table) {
    return table->rowids.max_epoch == table->space->txn.epoch && table->rowids.max_rollbacks == table->space->txn.rollbacks;
}

void vt_rowids_written(struct vt_table *table, int64_t rowid) {
    struct vt_rowids *rowids = &table->rowids;
    if (!max_is_known(table) || (rowids->any && rowid <= rowids->max)) return;
    rowids->max = rowid;
    rowids->any = true;
}

void vt_rowids_removed(struct vt_table *table, int64_t rowid) {
    if (max_is_known(table) && rowid == table->rowids.max) table->rowids.max_epoch = 0;
}

static int read_max(struct vt_table *table, struct vt_view *view) {
    struct vt_rowids *rowids = &table->rowids;
    struct lsm_cursor *cursor = NULL;
    struct lsm_error err;
    vt_error_clear(&err);
    int rc = SQLITE_OK, status = lsm_cursor_open(view->engine, vt_table_tree(table), NULL, NULL, &cursor, &err);
    if (status == LSM_OK) status = lsm_cursor_last(cursor, &err);
    if (status == LSM_OK) {
        rowids->any = lsm_cursor_valid(cursor);
        if (rowids->any && !vt_key_get_int64(lsm_cursor_key(cursor), &rowids->max)) rc = SQLITE_CORRUPT_VTAB;
    } else {
        rc = vt_fail_engine(&table->base.zErrMsg, status, &err);
    }
    lsm_cursor_close(cursor);
    return rc;
}

static int find_max(struct vt_table *table) {
    if (max_is_known(table)) return SQLITE_OK;
    struct vt_view *view = NULL;
    int rc = vt_view_acquire(table->space, &view, &table->base.zErrMsg);
    if (rc != SQLITE_OK) return rc;
    rc = read_max(table, view);
    vt_view_unref(table->space, view);
    if (rc != SQLITE_OK) return rc;
    table->rowids.max_epoch = table->space->txn.epoch;
    table->rowids.max_rollbacks = table->space->txn.rollbacks;
    return SQLITE_OK;
}

/* ---- the mark ----------------------------------------------------------------------------------------------------- */

#define MARK_BYTES 9 /* the mark, big-endian; 1 if it is exact */

struct lsm_slice vt_rowids_mark_key(void) {
    static const uint8_t key[1] = {0};
    return (struct lsm_slice){.data = key, .size = sizeof key};
}

bool vt_rowids_mark_read(struct lsm_slice bytes, int64_t *mark, bool *exact) {
    uint64_t number = 0;
    if (bytes.size != MARK_BYTES) return false;
    for (int i = 0; i < 8; i++) number = number << 8 | bytes.data[i];
    *mark = (int64_t)number;
    *exact = bytes.data[8] != 0;
    return number <= INT64_MAX;
}

static int find_mark(struct vt_table *table) {
    struct vt_rowids *rowids = &table->rowids;
    if (rowids->mark_epoch == table->space->txn.epoch && rowids->mark_rollbacks == table->space->txn.rollbacks) return SQLITE_OK;
    struct lsm_value value = {0};
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_txn_get(table->space->txn.engine, table->sequence.tree, vt_rowids_mark_key(), &value, &err);
    if (status != LSM_OK && status != LSM_NOTFOUND) return vt_fail_engine(&table->base.zErrMsg, status, &err);
    rowids->mark = 0;
    rowids->exact = false;
    bool good = status == LSM_NOTFOUND || vt_rowids_mark_read(value.bytes, &rowids->mark, &rowids->exact);
    lsm_value_release(&value);
    if (!good)
        return vt_fail(&table->base.zErrMsg, SQLITE_CORRUPT_VTAB, "the AUTOINCREMENT mark of table %s is damaged: run SELECT lsm_check()",
                       table->name);
    rowids->mark_epoch = table->space->txn.epoch;
    rowids->mark_rollbacks = table->space->txn.rollbacks;
    return SQLITE_OK;
}

static int write_mark(struct vt_table *table, int64_t mark, bool exact) {
    uint8_t bytes[MARK_BYTES];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)mark >> (56 - 8 * i));
    bytes[8] = exact;
    struct lsm_slice value = {.data = bytes, .size = sizeof bytes};
    int rc = vt_txn_put(table->space, table->sequence.tree, vt_rowids_mark_key(), value, &table->base.zErrMsg);
    if (rc != SQLITE_OK) return rc;
    table->rowids.mark = mark;
    table->rowids.exact = exact;
    return SQLITE_OK;
}

static int find_both(struct vt_table *table) {
    int rc = find_mark(table);
    return rc == SQLITE_OK ? find_max(table) : rc;
}

/* The greatest number inserted so far, if the mark is not exact. */
static int64_t mark_of_rows(const struct vt_rowids *rowids) { return rowids->any && rowids->max > rowids->mark ? rowids->max : rowids->mark; }

int vt_rowids_insert(struct vt_table *table, int64_t rowid) {
    if (!table->schema->autoincrement) return SQLITE_OK;
    int rc = find_mark(table);
    if (rc != SQLITE_OK || !table->rowids.exact || rowid <= table->rowids.mark) return rc;
    return write_mark(table, rowid, true);
}

int vt_rowids_remove(struct vt_table *table, int64_t rowid) {
    if (!table->schema->autoincrement) return SQLITE_OK;
    int rc = find_mark(table);
    if (rc != SQLITE_OK || table->rowids.exact || rowid <= table->rowids.mark) return rc;
    rc = find_max(table);
    return rc == SQLITE_OK ? write_mark(table, mark_of_rows(&table->rowids), false) : rc;
}

int vt_rowids_move(struct vt_table *table, int64_t from, int64_t to) {
    int rc = vt_rowids_remove(table, from);
    if (rc != SQLITE_OK || !table->schema->autoincrement || table->rowids.exact || to <= table->rowids.mark) return rc;
    rc = find_max(table);
    int64_t mark = mark_of_rows(&table->rowids);
    return rc == SQLITE_OK && to > mark ? write_mark(table, mark, true) : rc;
}

int vt_rowids_skip(struct vt_table *table, int64_t rowid) {
    if (!table->schema->autoincrement) return SQLITE_OK;
    int rc = find_both(table);
    if (rc != SQLITE_OK) return rc;
    int64_t mark = table->rowids.exact ? table->rowids.mark : mark_of_rows(&table->rowids);
    return rowid > mark ? write_mark(table, rowid, table->rowids.exact) : SQLITE_OK;
}

/* ---- new numbers -------------------------------------------------------------------------------------------------- */

static int random_rowid(struct vt_table *table, int64_t *rowid) {
    uint8_t key[VT_KEY_INT64_BYTES_MAX];
    struct lsm_error err;
    vt_error_clear(&err);
    for (int i = 0; i < RANDOM_ROWID_TRIES; i++) { /* LCOV_EXCL_BR_LINE: random numbers that are all taken */
        uint64_t random;
        sqlite3_randomness((int)sizeof random, &random);
        *rowid = (int64_t)(random >> 2) + 1; /* positive, and small enough that its successors are free */
        struct lsm_slice slice = {.data = key, .size = vt_key_put_int64(key, *rowid)};
        int status = lsm_txn_get(table->space->txn.engine, vt_table_tree(table), slice, NULL, &err);
        if (status == LSM_NOTFOUND) return SQLITE_OK;
        if (status != LSM_OK) return vt_fail_engine(&table->base.zErrMsg, status, &err);
    }
    return SQLITE_FULL;
}

int vt_rowids_next(struct vt_table *table, int64_t *rowid) {
    const struct vt_rowids *rowids = &table->rowids;
    int rc = table->schema->autoincrement ? find_both(table) : find_max(table);
    if (rc != SQLITE_OK) return rc;
    if (table->schema->autoincrement) {
        int64_t mark = mark_of_rows(rowids);
        if (mark == INT64_MAX) return SQLITE_FULL;
        *rowid = mark + 1;
        return SQLITE_OK;
    }
    if (rowids->any && rowids->max == INT64_MAX) return random_rowid(table, rowid);
    *rowid = rowids->any ? rowids->max + 1 : 1;
    return SQLITE_OK;
}
