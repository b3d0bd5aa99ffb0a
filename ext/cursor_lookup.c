#include "cursor_state.h"

#include "condition.h"
#include "pulse.h"
#include "value_hash.h"

#define INTERRUPT_ROWS      1024 /* how often making a lookup looks whether it is to stop */
#define CONDITION_BYTES_MAX 1024 /* longer values are not compared with by us */

/* What is asked for. */
struct asked {
    const char *place; /* the plan's text as SQLite has it: another one for each place of a statement */
    uint64_t hash;     /* of what to look up by */
    bool none;         /* no row can match */
    bool unfit;        /* hashes do not tell (value_hash.h) */
};

/* ---- the name of a walk ------------------------------------------------------------------------------------------ */

static int append_number(struct vt_bytes *name, uint64_t number) { return vt_bytes_append(name, &number, sizeof number); }

static int append_bound(struct vt_bytes *name, bool has, const struct vt_bytes *bound) {
    int rc = append_number(name, has ? 1 + (uint64_t)bound->size : 0);
    return rc == SQLITE_OK && has ? vt_bytes_append(name, bound->data, bound->size) : rc;
}

static bool is_kept(const struct vt_cursor *cursor, int only) { return (cursor->changing >> only & 1) == 0; }

static int append_value(struct vt_bytes *name, const struct vt_value *value) {
    uint64_t bits = value->type == SQLITE_INTEGER ? (uint64_t)value->i : value->size;
    if (value->type == SQLITE_FLOAT) memcpy(&bits, &value->r, sizeof bits);
    int rc = append_number(name, (uint64_t)value->type);
    if (rc == SQLITE_OK) rc = append_number(name, bits);
    return rc == SQLITE_OK && (value->type == SQLITE_TEXT || value->type == SQLITE_BLOB) ? vt_bytes_append(name, value->bytes, value->size) : rc;
}

static int append_ranges(struct vt_cursor *cursor, struct vt_bytes *name) {
    int rc = SQLITE_OK;
    for (int i = 0; i < cursor->ranges.count && rc == SQLITE_OK; i++) {
        const struct vt_range *range = &cursor->ranges.range[i];
        rc = append_bound(name, range->has_low, &range->low);
        if (rc == SQLITE_OK) rc = append_bound(name, range->has_high, &range->high);
    }
    return rc;
}

/* What all names begin with. The index is named by its tree: another one may have its place, and its name, in the same transaction. */
static int begin_name(struct vt_cursor *cursor, uint64_t ranges, uint64_t conditions) {
    const struct vt_space *space = vt_cursor_table(cursor)->space;
    const struct vt_plan *plan = &cursor->plan;
    struct vt_bytes *name = &cursor->walk_name;
    uint32_t tree = vt_table_tree(vt_cursor_table(cursor)), walked = cursor->index == NULL ? tree : cursor->index->tree.tree;
    uint64_t kind = (uint64_t)plan->desc << 1 | (uint64_t)cursor->view->of_txn;
    vt_bytes_reset(name);
    int rc = append_number(name, (uint64_t)tree << 32 | walked);
    if (rc == SQLITE_OK) rc = append_number(name, cursor->view->of_txn ? space->txn.epoch : cursor->view->id);
    if (rc == SQLITE_OK) rc = append_number(name, cursor->view->of_txn ? vt_lookups_writes(&space->lookups, tree) : 0);
    /* How many there are of all: no list of columns, conditions and ranges reads like another one. */
    if (rc == SQLITE_OK) rc = append_number(name, conditions << 56 | kind << 48 | (uint64_t)plan->lookup_count << 32 | ranges);
    for (int i = 0; i < plan->lookup_count && rc == SQLITE_OK; i++)
        rc = append_number(name, (uint64_t)plan->lookup[i].column << 1 | (uint64_t)plan->lookup[i].nulls);
    return rc;
}

/* wide: without the ranges, as if all were walked. */
static int make_name(struct vt_cursor *cursor, bool wide) {
    const struct vt_plan *plan = &cursor->plan;
    struct vt_bytes *name = &cursor->walk_name;
    uint64_t kept = 0;
    for (int i = 0; i < plan->only_count; i++) kept += is_kept(cursor, i);
    int rc = begin_name(cursor, wide ? 0 : (uint64_t)cursor->ranges.count, kept);
    for (int i = 0; i < plan->only_count && rc == SQLITE_OK; i++) {
        if (!is_kept(cursor, i)) continue;
        rc = append_number(name, (uint64_t)plan->only[i].column << 8 | (uint64_t)plan->only[i].op);
        if (rc == SQLITE_OK) rc = append_value(name, &cursor->only[i]);
    }
    return rc == SQLITE_OK && !wide ? append_ranges(cursor, name) : rc;
}

/* What is known of such walks, whatever their ranges and values: of those that this place of a statement asks for. */
static int find_kind(struct vt_cursor *cursor, const struct asked *asked, struct vt_lookups_kind **kind, bool *fresh) {
    struct vt_bytes *name = &cursor->walk_name;
    int rc = begin_name(cursor, 0, 0);
    if (rc == SQLITE_OK) rc = append_number(name, (uint64_t)(uintptr_t)asked->place); /* LCOV_EXCL_BR_LINE: make_name() had more room */
    if (rc == SQLITE_OK) *kind = vt_lookups_kind(&vt_cursor_table(cursor)->space->lookups, vt_hash_bytes(name->data, name->size), fresh);
    return rc;
}

/* ---- making a lookup --------------------------------------------------------------------------------------------- */

/* *none: the row does not meet one of the conditions that lookups are made with (kept), or one of the others. */
static int check_row(struct vt_cursor *cursor, struct vt_row_reader *reader, bool kept, bool *none) {
    int rc = SQLITE_OK;
    for (int i = 0; i < cursor->plan.only_count && rc == SQLITE_OK && !*none; i++) {
        const struct vt_plan_only *only = &cursor->plan.only[i];
        const struct vt_column *column = &reader->schema->columns[only->column];
        struct vt_value value;
        if (is_kept(cursor, i) != kept || cursor->only[i].type == 0) continue;
        rc = vt_row_get(reader, only->column, &value);
        *none = rc == SQLITE_OK && !vt_condition_may_hold(&value, only->op, &cursor->only[i], column->affinity, column->collation);
    }
    return rc;
}

/* The hash of what the present row is looked up by. *none: no value finds it. */
static int hash_row(struct vt_cursor *cursor, struct vt_hasher *hasher, uint64_t *hash, bool *none) {
    struct lsm_slice key, record;
    struct vt_row_reader reader;
    int rc = vt_cursor_row(cursor, &key, &record);
    if (rc != SQLITE_OK) return rc;
    vt_row_reader_init(&reader, vt_cursor_table(cursor)->schema, key, record);
    *hash = 0;
    *none = false;
    rc = check_row(cursor, &reader, true, none);
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
        rc = hash_row(cursor, hasher, &hash, &none);
        if (rc == SQLITE_OK && !none) rc = vt_cursor_row(cursor, &key, &record);
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

static int hash_values(struct vt_cursor *cursor, sqlite3_value **values, struct asked *asked) {
    const struct vt_schema *schema = vt_cursor_table(cursor)->schema;
    struct vt_hasher hasher = {.db = vt_cursor_table(cursor)->space->connection->db};
    int rc = SQLITE_OK;
    for (int i = 0; i < cursor->plan.lookup_count && rc == SQLITE_OK; i++) {
        const struct vt_plan_lookup *by = &cursor->plan.lookup[i];
        struct vt_value value;
        int type = sqlite3_value_type(values[i]);
        if (type == SQLITE_NULL && !by->nulls) asked->none = true;
        if (type == SQLITE_FLOAT && schema->columns[by->column].affinity == VT_AFFINITY_TEXT) asked->unfit = true;
        rc = vt_affinity_apply(values[i], VT_AFFINITY_NUMERIC, &value);
        if (rc == SQLITE_OK) rc = vt_hash_value(&hasher, &value, &asked->hash);
    }
    vt_hasher_release(&hasher);
    return rc;
}

void vt_cursor_count_stray(struct vt_cursor *cursor) {
    bool fresh;
    if (cursor->stray != 0) vt_lookups_kind(&vt_cursor_table(cursor)->space->lookups, cursor->stray, &fresh)->rows += cursor->walked;
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

/* The values that the conditions compare with, kept until the next walk. *none: no row meets them. */
static int read_conditions(struct vt_cursor *cursor, sqlite3_value **values, bool *none) {
    size_t bytes = 0;
    int rc = SQLITE_OK;
    for (int i = 0; i < cursor->plan.only_count && rc == SQLITE_OK; i++) {
        const struct vt_plan_only *only = &cursor->plan.only[i];
        struct vt_value *value = &cursor->only[i];
        bool never;
        rc = vt_condition_right(values[i], only->op, vt_cursor_table(cursor)->schema->columns[only->column].affinity, value, &never);
        if (rc != SQLITE_OK) return rc;
        if (never) *none = true;
        if (value->size > CONDITION_BYTES_MAX) {
            *value = (struct vt_value){0};
            cursor->changing |= 1u << i;
        }
        bytes += value->size;
    }
    vt_bytes_reset(&cursor->only_bytes);
    if (bytes > 0) rc = vt_bytes_reserve(&cursor->only_bytes, bytes);
    for (int i = 0; i < cursor->plan.only_count && rc == SQLITE_OK; i++) {
        struct vt_value *value = &cursor->only[i];
        size_t at = cursor->only_bytes.size;
        if (value->size == 0) continue;
        rc = vt_bytes_append(&cursor->only_bytes, value->bytes, value->size);
        if (rc == SQLITE_OK) value->bytes = cursor->only_bytes.data + at;
    }
    return rc;
}

/* See which conditions have other values than in the last walk of this kind. *again: there was one, and it was over the same keys. */
static int note_conditions(struct vt_cursor *cursor, const struct asked *asked, bool *again) {
    struct vt_bytes *name = &cursor->walk_name;
    struct vt_lookups_kind *kind;
    bool fresh;
    int rc = find_kind(cursor, asked, &kind, &fresh);
    for (int i = 0; i < cursor->plan.only_count && rc == SQLITE_OK; i++) {
        vt_bytes_reset(name);
        rc = append_value(name, &cursor->only[i]);
        uint64_t value = vt_hash_bytes(name->data, name->size);
        if (!fresh && kind->values[i] != value) kind->changing |= 1u << i;
        kind->values[i] = value;
    }
    if (rc != SQLITE_OK) return rc;
    cursor->changing |= kind->changing;
    *again = !fresh && vt_plan_walk_args(&cursor->plan) == 0;
    return SQLITE_OK;
}

/* Of walks whose ranges are others each time: the lookup of all rows, made if they have cost more than that does. */
static int find_wide(struct vt_cursor *cursor, const struct asked *asked, struct vt_lookup **lookup) {
    int rc = make_name(cursor, true);
    if (rc != SQLITE_OK) return rc; /* LCOV_EXCL_BR_LINE: make_name() had more room */
    *lookup = find_made(cursor);
    if (*lookup != NULL) return SQLITE_OK;
    struct vt_lookups_kind *kind;
    bool fresh;
    double rows;
    int sources;
    rc = find_kind(cursor, asked, &kind, &fresh);
    if (rc != SQLITE_OK) return rc; /* LCOV_EXCL_BR_LINE: make_name() had more room */
    vt_table_estimate(vt_cursor_table(cursor), &rows, &sources);
    cursor->stray = kind->hash;
    cursor->walked = 0;
    if (kind->rows <= rows) return SQLITE_OK;
    rc = make_name(cursor, true);
    return rc == SQLITE_OK ? make_wide(cursor, lookup) : rc; /* LCOV_EXCL_BR_LINE: make_name() had more room */
}

/* The lookup of the walk at hand, made if it is asked for the second time, or if walks like it have cost more than to make one of all rows. */
static int find_lookup(struct vt_cursor *cursor, const struct asked *asked, struct vt_lookup **lookup) {
    bool again = false;
    vt_cursor_count_stray(cursor);
    int rc = make_name(cursor, false);
    if (rc != SQLITE_OK) return rc;
    *lookup = find_made(cursor);
    if (*lookup == NULL && cursor->plan.only_count > 0) {
        rc = note_conditions(cursor, asked, &again);
        if (rc == SQLITE_OK) rc = make_name(cursor, false);
        if (rc != SQLITE_OK) return rc;
        *lookup = find_made(cursor);
    }
    if (*lookup != NULL) return SQLITE_OK;
    bool seen = vt_lookups_seen(&vt_cursor_table(cursor)->space->lookups, vt_bytes_slice(&cursor->walk_name));
    if (seen || again) return make_lookup(cursor, lookup);
    return vt_plan_walk_args(&cursor->plan) == 0 ? SQLITE_OK : find_wide(cursor, asked, lookup);
}

int vt_cursor_look_up(struct vt_cursor *cursor, sqlite3_value **values, const char *place, bool *served) {
    struct asked asked = {.place = place};
    *served = false;
    int rc = hash_values(cursor, values, &asked);
    if (rc == SQLITE_OK) rc = read_conditions(cursor, values + cursor->plan.lookup_count, &asked.none);
    /* Where there is no range there are no rows; and only the walk of all rows is named without ranges. */
    if (rc != SQLITE_OK || asked.none || cursor->ranges.count == 0) {
        *served = true;
        return rc;
    }
    if (asked.unfit) return SQLITE_OK;
    struct vt_lookup *lookup = NULL;
    rc = find_lookup(cursor, &asked, &lookup);
    if (rc != SQLITE_OK || lookup == NULL) return rc;
    *served = true;
    rc = vt_found_seek(&cursor->found, lookup, asked.hash, &cursor->base.pVtab->zErrMsg);
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

/* *gone: the row that was found does not meet a condition that the lookup was not made with. */
static int check_found(struct vt_cursor *cursor, bool *gone) {
    if (cursor->changing == 0) return SQLITE_OK;
    struct vt_row_reader reader;
    vt_row_reader_init(&reader, vt_cursor_table(cursor)->schema, cursor->found.key,
                       cursor->found.has_record ? cursor->found.record : cursor->row.bytes);
    return vt_cursor_fail_row(cursor, check_row(cursor, &reader, false, gone));
}

int vt_cursor_find_next(struct vt_cursor *cursor) {
    struct vt_pulse pulse = {.db = vt_cursor_table(cursor)->space->connection->db};
    bool gone = true;
    int rc = SQLITE_OK;
    for (int64_t rows = 1; gone && rc == SQLITE_OK; rows++) {
        vt_cursor_drop_row(cursor);
        rc = vt_found_next(&cursor->found, &cursor->base.pVtab->zErrMsg);
        if (rc != SQLITE_OK || !cursor->found.on) break;
        gone = false;
        if (!cursor->found.has_record) rc = read_found(cursor, &gone);
        if (rc == SQLITE_OK && !gone) rc = check_found(cursor, &gone);
        if (rc == SQLITE_OK && rows % INTERRUPT_ROWS == 0 && vt_pulse_stops(&pulse)) rc = SQLITE_INTERRUPT;
    }
    vt_pulse_release(&pulse);
    if (rc != SQLITE_OK) vt_cursor_drop_row(cursor);
    if (rc == SQLITE_OK && !gone) cursor->mode = CURSOR_FOUND;
    return rc;
}
