#include "plan.h"

#include "error.h"

const struct vt_key_column *vt_plan_key(const struct vt_schema *schema, int *count) {
    if (schema->kind == VT_KIND_ROWID) {
        *count = 1;
        return vt_rowid_key;
    }
    *count = schema->key_count;
    return schema->key;
}

static enum vt_affinity key_affinity(const struct vt_schema *schema, const struct vt_key_column *key) {
    return key->column < 0 ? VT_AFFINITY_INTEGER : schema->columns[key->column].affinity;
}

/* The INTEGER PRIMARY KEY and the rowid are the same thing. */
static int plain_column(const struct vt_schema *schema, int column) {
    return schema->kind == VT_KIND_ROWID && column == schema->rowid_column ? -1 : column;
}

/* ---- choosing ------------------------------------------------------------------------------------------------- */

enum term_use { USE_NONE, USE_EQUAL, USE_LOWER, USE_UPPER };

static enum term_use use_of(int op) {
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
    case SQLITE_INDEX_CONSTRAINT_IS: /* the same here: keys hold no NULL */
        return USE_EQUAL;
    case SQLITE_INDEX_CONSTRAINT_GT:
    case SQLITE_INDEX_CONSTRAINT_GE:
        return USE_LOWER;
    case SQLITE_INDEX_CONSTRAINT_LT:
    case SQLITE_INDEX_CONSTRAINT_LE:
        return USE_UPPER;
    default: /* LIKE, LIMIT, those of versions to come: SQLite's business */
        return USE_NONE;
    }
}

/* The first usable term of this kind on a key column, or -1. */
static int find_term(const struct vt_schema *schema, const struct vt_key_column *key, const struct vt_term *terms, int term_count, enum term_use use) {
    for (int i = 0; i < term_count; i++) {
        const struct vt_term *term = &terms[i];
        if (!term->usable || use_of(term->op) != use || plain_column(schema, term->column) != key->column) continue;
        if (key->column >= 0 && (!term->collates || term->collation != key->collation)) continue;
        return i;
    }
    return -1;
}

/* The range of this constraint will be exact, or xFilter may refuse: so one may build on it. */
static bool can_build_on(const struct vt_term *term, enum vt_affinity affinity) {
    if (affinity >= VT_AFFINITY_NUMERIC) return true;
    if (term->rhs_type == SQLITE_INTEGER || term->rhs_type == SQLITE_FLOAT) return false;
    return affinity == VT_AFFINITY_TEXT || term->rhs_type != 0;
}

static void take_term(struct vt_plan *plan, int at, int term, enum vt_affinity affinity) {
    plan->terms[at] = term;
    plan->omit[at] = affinity >= VT_AFFINITY_NUMERIC;
}

/* True if walking the key gives this order. constant: the first equal_count key columns have one value each. */
static bool gives_order(const struct vt_schema *schema, const struct vt_plan *plan, bool constant, const struct vt_order_term *orders, int order_count,
                        bool *desc) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, &key_count);
    int at = constant ? plan->equal_count : 0;
    bool directed = false;
    *desc = false;
    for (int i = 0; i < order_count && at < key_count; i++) {
        int column = plain_column(schema, orders[i].column);
        int place = 0; /* in the key; before `at`: it has one value only, or came before */
        while (place < at && key[place].column != column) place++;
        if (key[place].column != column) return false;
        if (column >= 0 && key[place].collation != schema->columns[column].collation) return false;
        if (place < at) continue;
        bool down = orders[i].desc != key[at].desc;
        if (directed && down != *desc) return false;
        *desc = down;
        directed = true;
        at++;
    }
    return true; /* beyond the whole key nothing is left to order */
}

void vt_plan_choose(const struct vt_schema *schema, const struct vt_term *terms, int term_count, const struct vt_order_term *orders, int order_count,
                    struct vt_plan *plan) {
    *plan = (struct vt_plan){0};
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, &key_count);
    bool constant = true;
    while (plan->equal_count < key_count && plan->equal_count < VT_PLAN_EQUAL_MAX) {
        const struct vt_key_column *column = &key[plan->equal_count];
        enum vt_affinity affinity = key_affinity(schema, column);
        int term = find_term(schema, column, terms, term_count, USE_EQUAL);
        if (term < 0) break;
        constant = constant && can_build_on(&terms[term], affinity);
        take_term(plan, plan->equal_count++, term, affinity);
    }
    int args = plan->equal_count;
    if (plan->equal_count < key_count) {
        const struct vt_key_column *column = &key[plan->equal_count];
        enum vt_affinity affinity = key_affinity(schema, column);
        int lower = find_term(schema, column, terms, term_count, USE_LOWER), upper = find_term(schema, column, terms, term_count, USE_UPPER);
        if (lower >= 0) plan->lower = terms[lower].op;
        if (upper >= 0) plan->upper = terms[upper].op;
        if (lower >= 0) take_term(plan, args++, lower, affinity);
        if (upper >= 0) take_term(plan, args++, upper, affinity);
    }
    plan->unique = constant && plan->equal_count == key_count;
    plan->single = plan->unique;
    if (order_count == 0) return;
    plan->ordered = gives_order(schema, plan, false, orders, order_count, &plan->desc);
    if (plan->ordered || !constant || plan->equal_count == 0) return;
    plan->ordered = plan->single = gives_order(schema, plan, true, orders, order_count, &plan->desc);
    plan->single = plan->single || plan->unique;
}

/* ---- idxNum and idxStr ---------------------------------------------------------------------------------------- */

/* bits 0-7 equal_count, 8-9 lower, 10-11 upper (0 none, 1 with the bound itself, 2 without), 12 desc, 13 ordered, 14 single, 15 unique */
enum { LOWER_AT = 8, UPPER_AT = 10, DESC_BIT = 1 << 12, ORDERED_BIT = 1 << 13, SINGLE_BIT = 1 << 14, UNIQUE_BIT = 1 << 15, PLAN_BITS = (1 << 16) - 1 };

static int bound_code(int op, int inclusive_op) { return op == 0 ? 0 : op == inclusive_op ? 1 : 2; }

int vt_plan_write(const struct vt_plan *plan) {
    int number = plan->equal_count;
    number |= bound_code(plan->lower, SQLITE_INDEX_CONSTRAINT_GE) << LOWER_AT;
    number |= bound_code(plan->upper, SQLITE_INDEX_CONSTRAINT_LE) << UPPER_AT;
    if (plan->desc) number |= DESC_BIT;
    if (plan->ordered) number |= ORDERED_BIT;
    if (plan->single) number |= SINGLE_BIT;
    if (plan->unique) number |= UNIQUE_BIT;
    return number;
}

bool vt_plan_read(const struct vt_schema *schema, int number, struct vt_plan *plan) {
    static const int lower_ops[] = {0, SQLITE_INDEX_CONSTRAINT_GE, SQLITE_INDEX_CONSTRAINT_GT};
    static const int upper_ops[] = {0, SQLITE_INDEX_CONSTRAINT_LE, SQLITE_INDEX_CONSTRAINT_LT};
    *plan = (struct vt_plan){0};
    int key_count;
    (void)vt_plan_key(schema, &key_count);
    int lower = number >> LOWER_AT & 3, upper = number >> UPPER_AT & 3;
    plan->equal_count = number & 0xff;
    if ((number & ~PLAN_BITS) != 0 || lower > 2 || upper > 2 || plan->equal_count > key_count || plan->equal_count > VT_PLAN_EQUAL_MAX) return false;
    if (plan->equal_count == key_count && (lower != 0 || upper != 0)) return false;
    plan->lower = lower_ops[lower];
    plan->upper = upper_ops[upper];
    plan->desc = (number & DESC_BIT) != 0;
    plan->ordered = (number & ORDERED_BIT) != 0;
    plan->single = (number & SINGLE_BIT) != 0;
    plan->unique = (number & UNIQUE_BIT) != 0;
    return true;
}

static const char *key_name(const struct vt_schema *schema, const struct vt_key_column *key) {
    int column = key->column < 0 ? schema->rowid_column : key->column;
    return column < 0 ? "rowid" : schema->columns[column].name;
}

char *vt_plan_text(const struct vt_schema *schema, const struct vt_plan *plan) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, &key_count);
    sqlite3_str *text = sqlite3_str_new(NULL);
    const char *between = " (";
    sqlite3_str_appendall(text, "key");
    for (int i = 0; i < plan->equal_count; i++) {
        sqlite3_str_appendf(text, "%s%s=?", between, key_name(schema, &key[i]));
        between = " AND ";
    }
    if (plan->lower != 0) {
        sqlite3_str_appendf(text, "%s%s>%s?", between, key_name(schema, &key[plan->equal_count]), plan->lower == SQLITE_INDEX_CONSTRAINT_GE ? "=" : "");
        between = " AND ";
    }
    if (plan->upper != 0) {
        sqlite3_str_appendf(text, "%s%s<%s?", between, key_name(schema, &key[plan->equal_count]), plan->upper == SQLITE_INDEX_CONSTRAINT_LE ? "=" : "");
    }
    if (vt_plan_arg_count(plan) > 0) sqlite3_str_appendall(text, ")");
    if (plan->desc) sqlite3_str_appendall(text, " desc");
    return sqlite3_str_finish(text);
}

/* ---- carrying out --------------------------------------------------------------------------------------------- */

void vt_ranges_release(struct vt_ranges *ranges) {
    for (int i = 0; i < 2; i++) {
        vt_bytes_release(&ranges->range[i].low);
        vt_bytes_release(&ranges->range[i].high);
    }
    ranges->count = 0;
}

/* The values of a plan, as keys compare them. */
struct plan_values {
    struct vt_value equal[VT_PLAN_EQUAL_MAX], lower, upper;
    int inexact; /* the first key column whose range has to be widened, or -1 */
    bool lower_inexact, upper_inexact;
};

/* Convert one right-hand side. A bound parameter has no affinity of its own, so the column's is all that counts. */
static int convert(sqlite3_value *in, enum vt_affinity affinity, struct vt_value *out, bool *inexact) {
    *inexact = !vt_compare_is_exact(sqlite3_value_type(in), affinity) && sqlite3_value_frombind(in) == 0;
    return vt_affinity_compare(in, affinity, out);
}

/* *nothing: one of them is NULL, which equals and exceeds nothing. */
static int convert_all(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value **in, struct plan_values *out, bool *nothing) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, &key_count);
    int rc = SQLITE_OK, arg = 0;
    bool inexact = false;
    out->inexact = -1;
    out->lower_inexact = out->upper_inexact = false;
    *nothing = false;
    for (int i = 0; i < vt_plan_arg_count(plan) && !*nothing; i++) *nothing = sqlite3_value_type(in[i]) == SQLITE_NULL;
    if (*nothing) return SQLITE_OK;
    for (; arg < plan->equal_count && rc == SQLITE_OK; arg++) {
        rc = convert(in[arg], key_affinity(schema, &key[arg]), &out->equal[arg], &inexact);
        if (inexact && out->inexact < 0) out->inexact = arg;
    }
    if (plan->lower != 0 && rc == SQLITE_OK) rc = convert(in[arg++], key_affinity(schema, &key[plan->equal_count]), &out->lower, &out->lower_inexact);
    if (plan->upper != 0 && rc == SQLITE_OK) rc = convert(in[arg], key_affinity(schema, &key[plan->equal_count]), &out->upper, &out->upper_inexact);
    return rc;
}

static int add_range(const struct vt_schema *schema, const struct vt_key_query *query, struct vt_ranges *ranges) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, &key_count);
    struct vt_range *range = &ranges->range[ranges->count];
    bool empty = false;
    int rc = vt_key_range(key, key_count, query, &range->low, &range->has_low, &range->high, &range->has_high, &empty);
    if (rc == SQLITE_OK && !empty) ranges->count++;
    return rc;
}

/* Numbers come before texts, in a DESC column after them. */
static void put_in_order(struct vt_ranges *ranges, bool desc) {
    if (ranges->count != 2 || !desc) return;
    struct vt_range first = ranges->range[0];
    ranges->range[0] = ranges->range[1];
    ranges->range[1] = first;
}

/* Key column `column` is compared for equality with a number, and texts may equal it. */
static int widen_equal(const struct vt_schema *schema, const struct vt_plan *plan, const struct plan_values *values, struct vt_ranges *ranges,
                       char **message) {
    int key_count, column = values->inexact;
    const struct vt_key_column *key = vt_plan_key(schema, &key_count);
    if (plan->single) {
        return vt_fail(message, SQLITE_ERROR,
                       "key column %s holds text and is compared with a number that is an expression or another column, in a way that would need every "
                       "text of the table: compare it with CAST(... AS TEXT)",
                       key_name(schema, &key[column]));
    }
    int rc = SQLITE_OK;
    if (key_affinity(schema, &key[column]) == VT_AFFINITY_BLOB) {
        struct vt_key_query number = {.equal = values->equal, .equal_count = column + 1};
        rc = add_range(schema, &number, ranges);
    }
    struct vt_key_query texts = {.equal = values->equal, .equal_count = column, .types = VT_TYPES_TEXT};
    if (rc == SQLITE_OK) rc = add_range(schema, &texts, ranges);
    put_in_order(ranges, key[column].desc);
    return rc;
}

/* The bounds of the column after the equal ones; a bound that is a number leaves the texts to SQLite. */
static int bounded(const struct vt_schema *schema, const struct vt_plan *plan, const struct plan_values *values, struct vt_ranges *ranges) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, &key_count);
    struct vt_key_query query = {.equal = values->equal, .equal_count = plan->equal_count};
    if (plan->lower != 0) query.lower = (struct vt_bound){.value = &values->lower, .inclusive = plan->lower == SQLITE_INDEX_CONSTRAINT_GE};
    if (plan->upper != 0) query.upper = (struct vt_bound){.value = &values->upper, .inclusive = plan->upper == SQLITE_INDEX_CONSTRAINT_LE};
    if (!values->lower_inexact && !values->upper_inexact) return add_range(schema, &query, ranges);
    if (key_affinity(schema, &key[plan->equal_count]) == VT_AFFINITY_TEXT) {
        if (values->lower_inexact) query.lower.value = NULL;
        if (values->upper_inexact) query.upper.value = NULL;
        if (query.lower.value == NULL && query.upper.value == NULL) query.types = VT_TYPES_NOT_NULL;
        return add_range(schema, &query, ranges);
    }
    /* Untyped: above a number are all texts and blobs anyway; below one there may be texts that SQLite reads as smaller numbers. */
    int rc = add_range(schema, &query, ranges);
    if (rc != SQLITE_OK || !values->upper_inexact) return rc;
    struct vt_key_query texts = {.equal = values->equal, .equal_count = plan->equal_count, .types = VT_TYPES_TEXT};
    rc = add_range(schema, &texts, ranges);
    put_in_order(ranges, key[plan->equal_count].desc);
    return rc;
}

int vt_plan_ranges(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value **values, struct vt_ranges *ranges, char **message) {
    ranges->count = 0;
    ranges->point = false;
    struct plan_values converted;
    bool nothing;
    int rc = convert_all(schema, plan, values, &converted, &nothing);
    if (rc != SQLITE_OK || nothing) return rc;
    if (converted.inexact >= 0) return widen_equal(schema, plan, &converted, ranges, message);
    rc = bounded(schema, plan, &converted, ranges);
    int key_count;
    (void)vt_plan_key(schema, &key_count);
    ranges->point = rc == SQLITE_OK && ranges->count == 1 && plan->equal_count == key_count;
    return rc;
}
