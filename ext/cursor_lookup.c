#include "cursor_state.h"

#include "pulse.h"
#include "value_hash.h"

#define INTERRUPT_ROWS 1024 /* how often making a lookup looks whether it is to stop */

/* ---- the name of a walk ------------------------------------------------------------------------------------------ */

static int append_number(struct vt_bytes *name, uint64_t number) { return vt_bytes_append(name, &number, sizeof number); }

static int append_bound(struct vt_bytes *name, bool has, const struct vt_bytes *bound) {
    int rc = append_number(name, has ? 1 + (uint64_t)bound->size : 0);
    return rc == SQLITE_OK && has ? vt_bytes_append(name, bound->data, bound->size) : rc;
}

/* wide: without the ranges, as if all were walked. */
static int make_name(struct vt_cursor *cursor, bool wide) {
    const struct vt_space *space = vt_cursor_table(cursor)->space;
    const struct vt_plan *plan = &cursor->plan;
    struct vt_bytes *name = &cursor->walk_name;
    uint32_t tree = vt_table_tree(vt_cursor_table(cursor));
    vt_bytes_reset(name);
    int rc = append_number(name, (uint64_t)tree << 32 | (uint64_t)(plan->index + 1) << 2 | (uint64_t)plan->desc << 1 | (uint64_t)cursor->view->of_txn);
    if (rc == SQLITE_OK) rc = append_number(name, cursor->view->of_txn ? space->txn.epoch : cursor->view->id);
    if (rc == SQLITE_OK) rc = append_number(name, cursor->view->of_txn ? vt_lookups_writes(&space->lookups, tree) : 0);
    /* How many there are of both: no list of columns and ranges reads like another one. */
    if (rc == SQLITE_OK) rc = append_number(name, (uint64_t)plan->lookup_count << 32 | (uint64_t)(wide ? 0 : cursor->ranges.count));
    for (int i = 0; i < plan->lookup_count && rc == SQLITE_OK; i++) rc = append_number(name, (uint64_t)plan->lookup[i].column << 1 | (uint64_t)plan->lookup[i].nulls);
    for (int i = 0; i < cursor->ranges.count && rc == SQLITE_OK && !wide; i++) {
        const struct vt_range *range = &cursor->ranges.range[i];
        rc = append_bound(name, range->has_low, &range->low);
        if (rc == SQLITE_OK) rc = append_bound(name, range->has_high, &range->high);
    }
    return rc;
}

/* ---- making a lookup --------------------------------------------------------------------------------------------- */

/* The hash of what the present row is looked up by. *none: no value finds it. */
static int hash_row(struct vt_cursor *cursor, struct vt_hasher *hasher, struct lsm_slice key, struct lsm_slice record, uint64_t *hash, bool *none) {
    struct vt_row_reader reader;
    vt_row_reader_init(&reader, vt_cursor_table(cursor)->schema, key, record);
    int rc = SQLITE_OK;
    *hash = 0;
    *none = false;
    for (int i = 0; i < cursor->plan.lookup_count && rc == SQLITE_OK && !*none; i++) {
        struct vt_value value;
        rc = vt_row_get(&reader, cursor->plan.lookup[i].column, &value);
        *none = rc == SQLITE_OK && value.type == SQLITE_NULL && !cursor->plan.lookup[i].nulls;
        if (rc == SQLITE_OK) rc = vt_hash_value(hasher, &value, hash);
    }
    return vt_cursor_fail_row(cursor, rc);
}

static int add_rows(struct vt_cursor *cursor, struct vt_hasher *hasher, struct vt_lookup *lookup) {
    struct vt_table *table = vt_cursor_table(cursor);
    struct vt_pulse pulse = {.db = table->space->connection->db};
    int rc = vt_cursor_start(cursor);
    for (int64_t rows = 0; rc == SQLITE_OK && cursor->mode != CURSOR_END; rows++) {
        struct lsm_slice key, record;
        uint64_t hash;
        bool none;
        rc = vt_cursor_row(cursor, &key, &record);
        if (rc == SQLITE_OK) rc = hash_row(cursor, hasher, key, record, &hash, &none);
        if (rc == SQLITE_OK && !none) rc = vt_lookup_add(lookup, hash, key, record, &table->base.zErrMsg);
        if (rc == SQLITE_OK && rows % INTERRUPT_ROWS == INTERRUPT_ROWS - 1 && vt_pulse_stops(&pulse)) rc = SQLITE_INTERRUPT;
        if (rc == SQLITE_OK) rc = vt_cursor_next(&cursor->base);
    }
    vt_pulse_release(&pulse);
    vt_cursor_drop_row(cursor);
    return rc;
}

static int make_lookup(struct vt_cursor *cursor, struct vt_lookup **out) {
    struct vt_space *space = vt_cursor_table(cursor)->space;
    struct vt_hasher hasher = {.db = space->connection->db};
    struct vt_lookup *lookup = vt_lookup_new(vt_lookups_room(&space->lookups));
    *out = NULL;
    if (lookup == NULL) return SQLITE_NOMEM;
    int rc = vt_bytes_set(&lookup->name, vt_bytes_slice(&cursor->walk_name));
    if (rc == SQLITE_OK) rc = add_rows(cursor, &hasher, lookup);
    if (rc == SQLITE_OK) rc = vt_lookup_finish(lookup, &cursor->base.pVtab->zErrMsg);
    vt_hasher_release(&hasher);
    if (rc == SQLITE_OK) {
        vt_lookups_add(&space->lookups, lookup);
        *out = lookup;
    }
    vt_lookup_unref(lookup);
    return rc;
}

/* ---- looking up -------------------------------------------------------------------------------------------------- */

/* *none: no row can match. *unfit: hashes do not tell (value_hash.h). */
static int hash_values(struct vt_cursor *cursor, sqlite3_value **values, uint64_t *hash, bool *none, bool *unfit) {
    const struct vt_schema *schema = vt_cursor_table(cursor)->schema;
    struct vt_hasher hasher = {.db = vt_cursor_table(cursor)->space->connection->db};
    int rc = SQLITE_OK;
    *hash = 0;
    *none = *unfit = false;
    for (int i = 0; i < cursor->plan.lookup_count && rc == SQLITE_OK; i++) {
        const struct vt_plan_lookup *by = &cursor->plan.lookup[i];
        struct vt_value value;
        int type = sqlite3_value_type(values[i]);
        if (type == SQLITE_NULL && !by->nulls) *none = true;
        if (type == SQLITE_FLOAT && schema->columns[by->column].affinity == VT_AFFINITY_TEXT) *unfit = true;
        rc = vt_affinity_apply(values[i], VT_AFFINITY_NUMERIC, &value);
        if (rc == SQLITE_OK) rc = vt_hash_value(&hasher, &value, hash);
    }
    vt_hasher_release(&hasher);
    return rc;
}

void vt_cursor_count_stray(struct vt_cursor *cursor) {
    if (cursor->stray != 0) (void)vt_lookups_stray(&vt_cursor_table(cursor)->space->lookups, cursor->stray, cursor->walked);
    cursor->stray = 0;
}

/* The lookup that is called walk_name, if there is one. */
static struct vt_lookup *find_made(struct vt_cursor *cursor) {
    struct lsm_slice name = vt_bytes_slice(&cursor->walk_name);
    struct vt_lookup *last = cursor->found.lookup;
    if (last != NULL && last->name.size == name.size && memcmp(last->name.data, name.data, name.size) == 0) return last;
    return vt_lookups_find(&vt_cursor_table(cursor)->space->lookups, name);
}

static int make_wide(struct vt_cursor *cursor, struct vt_lookup **lookup) {
    struct vt_range all = {0};
    struct vt_ranges kept = cursor->ranges;
    cursor->ranges = (struct vt_ranges){.count = 1, .capacity = 1, .range = &all};
    int rc = make_lookup(cursor, lookup);
    cursor->ranges = kept;
    return rc;
}

/* The lookup of the walk at hand, made if it is asked for the second time, or if walks like it have cost more than to make one of all rows. */
static int find_lookup(struct vt_cursor *cursor, struct vt_lookup **lookup) {
    struct vt_table *table = vt_cursor_table(cursor);
    vt_cursor_count_stray(cursor);
    int rc = make_name(cursor, false);
    if (rc != SQLITE_OK) return rc;
    *lookup = find_made(cursor);
    if (*lookup != NULL) return SQLITE_OK;
    if (vt_lookups_seen(&table->space->lookups, vt_bytes_slice(&cursor->walk_name))) return make_lookup(cursor, lookup);
    if (vt_plan_walk_args(&cursor->plan) == 0) return SQLITE_OK;
    rc = make_name(cursor, true);
    if (rc != SQLITE_OK) return rc;
    *lookup = find_made(cursor);
    if (*lookup != NULL) return SQLITE_OK;
    double rows;
    int sources;
    vt_table_estimate(table, &rows, &sources);
    cursor->stray = vt_hash_bytes(cursor->walk_name.data, cursor->walk_name.size) | 1;
    if (vt_lookups_stray(&table->space->lookups, cursor->stray, 0) > rows) rc = make_wide(cursor, lookup);
    cursor->walked = 0;
    return rc;
}

int vt_cursor_look_up(struct vt_cursor *cursor, sqlite3_value **values, bool *served) {
    uint64_t hash;
    bool none, unfit;
    *served = false;
    int rc = hash_values(cursor, values, &hash, &none, &unfit);
    /* Where there is no range there are no rows; and only the walk of all rows is named without ranges. */
    if (rc != SQLITE_OK || none || cursor->ranges.count == 0) {
        *served = true;
        return rc;
    }
    if (unfit) return SQLITE_OK;
    struct vt_lookup *lookup = NULL;
    rc = find_lookup(cursor, &lookup);
    if (rc != SQLITE_OK || lookup == NULL) return rc;
    *served = true;
    rc = vt_found_seek(&cursor->found, lookup, hash, &cursor->base.pVtab->zErrMsg);
    return rc == SQLITE_OK ? vt_cursor_find_next(cursor) : rc;
}

/* The row of the key that was found. *gone: it was deleted, which only a cursor that outlived its transaction sees. */
static int read_found(struct vt_cursor *cursor, bool *gone) {
    struct lsm_error err;
    vt_error_clear(&err);
    int rc = cursor->view == NULL ? vt_cursor_take_view(cursor) : SQLITE_OK;
    if (rc != SQLITE_OK) return rc;
    int status = lsm_view_get(cursor->view->engine, vt_table_tree(vt_cursor_table(cursor)), cursor->found.key, &cursor->row, &err);
    *gone = status == LSM_NOTFOUND;
    cursor->row_read = status == LSM_OK;
    return *gone ? SQLITE_OK : vt_cursor_fail(cursor, status, &err);
}

int vt_cursor_find_next(struct vt_cursor *cursor) {
    bool gone = true;
    vt_cursor_drop_row(cursor);
    while (gone) {
        int rc = vt_found_next(&cursor->found, &cursor->base.pVtab->zErrMsg);
        if (rc != SQLITE_OK || !cursor->found.on) return rc;
        gone = false;
        if (!cursor->found.has_record) rc = read_found(cursor, &gone);
        if (rc != SQLITE_OK) return rc;
    }
    cursor->mode = CURSOR_FOUND;
    return SQLITE_OK;
}
