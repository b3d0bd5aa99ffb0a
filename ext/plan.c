#include "plan.h"

#include <stdlib.h>
#include <string.h>

const struct vt_key_column *vt_plan_key(const struct vt_schema *schema, int index, int *count) {
    if (index != VT_PLAN_PRIMARY) {
        *count = schema->indexes[index].key_count;
        return schema->indexes[index].key;
    }
    if (schema->kind == VT_KIND_ROWID) {
        *count = 1;
        return vt_rowid_key;
    }
    *count = schema->key_count;
    return schema->key;
}

int vt_plan_seek_count(const struct vt_schema *schema, int index) {
    int count;
    (void)vt_plan_key(schema, index, &count);
    if (index == VT_PLAN_PRIMARY) return count;
    /* Behind the columns of a unique entry there is nothing. */
    return schema->indexes[index].unique ? schema->indexes[index].column_count : schema->indexes[index].seek_count;
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
    case SQLITE_INDEX_CONSTRAINT_IS:
    case SQLITE_INDEX_CONSTRAINT_ISNULL:
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

/* The first usable term of this kind on a column of the plan's key, or -1. The table's own key has no NULLs to look for. */
static int find_term(const struct vt_schema *schema, const struct vt_plan *plan, const struct vt_key_column *key, const struct vt_question *question,
                     enum term_use use) {
    for (int i = 0; i < question->term_count; i++) {
        const struct vt_term *term = &question->terms[i];
        if (!term->usable || use_of(term->op) != use || plain_column(schema, term->column) != key->column) continue;
        if (term->op == SQLITE_INDEX_CONSTRAINT_ISNULL) {
            if (plan->index == VT_PLAN_PRIMARY || key->column < 0) continue;
            return i;
        }
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

/* If a column before this one may have to be widened, this one's constraint would be lost: then SQLite has to check it. */
static void take_term(struct vt_plan *plan, int at, int term, enum vt_affinity affinity) {
    plan->terms[at] = term;
    plan->omit[at] = affinity >= VT_AFFINITY_NUMERIC && (at == 0 || plan->omit[at - 1]);
}

static bool comes_before(const struct vt_key_column *key, int at, int column) {
    for (int i = 0; i < at; i++) {
        if (key[i].column == column) return true;
    }
    return false;
}

/* True if walking the key gives this order, the first `constant` key columns having one value each. */
static bool gives_order(const struct vt_schema *schema, int index, int constant, const struct vt_question *question, bool *desc) {
    int key_count, at = constant;
    const struct vt_key_column *key = vt_plan_key(schema, index, &key_count);
    bool directed = false;
    *desc = false;
    for (int i = 0; i < question->order_count; i++) {
        int column = plain_column(schema, question->orders[i].column);
        while (at < key_count && comes_before(key, at, key[at].column)) at++;
        if (at == key_count) break; /* beyond the whole key nothing is left to order */
        int place = 0; /* in the key; before `at`: it has one value only, or came before */
        while (place < at && key[place].column != column) place++;
        if (key[place].column != column) return false;
        if (column >= 0 && key[place].collation != schema->columns[column].collation) return false;
        if (place < at) continue;
        bool down = question->orders[i].desc != key[at].desc;
        if (directed && down != *desc) return false;
        *desc = down;
        directed = true;
        at++;
    }
    return true;
}

/* Take equalities for as many leading key columns as there are. Returns how many of them, from the first, have one value each. */
static int choose_equal(const struct vt_schema *schema, const struct vt_question *question, struct vt_plan *plan) {
    int key_count, constant = 0, seek_count = vt_plan_seek_count(schema, plan->index);
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    while (plan->equal_count < seek_count && plan->equal_count < VT_PLAN_EQUAL_MAX) {
        int at = plan->equal_count;
        enum vt_affinity affinity = key_affinity(schema, &key[at]);
        int at_term = find_term(schema, plan, &key[at], question, USE_EQUAL);
        if (at_term < 0) break;
        const struct vt_term *term = &question->terms[at_term];
        bool list = term->list && plan->list_at < 0;
        if (list) plan->list_at = at;
        if (constant == at && !term->list && can_build_on(term, affinity)) constant++;
        if (plan->index != VT_PLAN_PRIMARY && term->op != SQLITE_INDEX_CONSTRAINT_EQ) plan->nulls = true;
        take_term(plan, at, at_term, affinity);
        plan->equal_count++;
    }
    /* Where NULLs are read, only SQLite tells = from IS. */
    for (int i = 0; i < plan->equal_count && plan->nulls; i++) {
        if (question->terms[plan->terms[i]].op == SQLITE_INDEX_CONSTRAINT_EQ) plan->omit[i] = false;
    }
    return constant;
}

static void choose_bounds(const struct vt_schema *schema, const struct vt_question *question, struct vt_plan *plan) {
    int key_count, args = plan->equal_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    if (plan->equal_count >= vt_plan_seek_count(schema, plan->index)) return;
    const struct vt_key_column *column = &key[plan->equal_count];
    enum vt_affinity affinity = key_affinity(schema, column);
    int lower = find_term(schema, plan, column, question, USE_LOWER), upper = find_term(schema, plan, column, question, USE_UPPER);
    if (lower >= 0) {
        plan->lower = question->terms[lower].op;
        take_term(plan, args++, lower, affinity);
    }
    if (upper >= 0) {
        plan->upper = question->terms[upper].op;
        plan->upper_plain = question->terms[upper].rhs_type == SQLITE_TEXT;
        take_term(plan, args, upper, affinity);
    }
}

/* Equalities on all columns that are unique together: on those of a unique index, unless NULLs are looked for, of which there may be many. */
static bool is_unique(const struct vt_schema *schema, const struct vt_plan *plan, int constant) {
    int key_count;
    (void)vt_plan_key(schema, plan->index, &key_count);
    if (plan->index == VT_PLAN_PRIMARY) return constant == key_count;
    const struct vt_index *index = &schema->indexes[plan->index];
    return index->unique && !plan->nulls && constant == index->column_count;
}

void vt_plan_choose(const struct vt_schema *schema, int index, const struct vt_question *question, struct vt_plan *plan) {
    *plan = (struct vt_plan){.index = index, .list_at = -1};
    int constant = choose_equal(schema, question, plan);
    choose_bounds(schema, question, plan);
    plan->unique = plan->single = is_unique(schema, plan, constant);
    if (question->order_count == 0) return;
    plan->ordered = plan->unique || gives_order(schema, index, 0, question, &plan->desc);
    if (plan->ordered || constant == 0) return;
    plan->ordered = gives_order(schema, index, constant, question, &plan->desc);
    if (plan->ordered) plan->single = true;
}

/* ---- idxNum and idxStr ---------------------------------------------------------------------------------------- */

/* bits 0-7 equal_count, 8-9 lower, 10-11 upper (0 none, 1 with the bound itself, 2 without), 12 desc, 13 ordered, 14 single, 15 unique,
 * 16-22 list_at + 1, 23 upper_plain, 24 nulls, 25-30 index + 1 */
enum {
    LOWER_AT = 8,
    UPPER_AT = 10,
    DESC_BIT = 1 << 12,
    ORDERED_BIT = 1 << 13,
    SINGLE_BIT = 1 << 14,
    UNIQUE_BIT = 1 << 15,
    LIST_AT = 16,
    LIST_BITS = 0x7f,
    UPPER_PLAIN_BIT = 1 << 23,
    NULLS_BIT = 1 << 24,
    INDEX_AT = 25,
    INDEX_BITS = 0x3f
};

static int bound_code(int op, int inclusive_op) { return op == 0 ? 0 : op == inclusive_op ? 1 : 2; }

int vt_plan_write(const struct vt_plan *plan) {
    int number = plan->equal_count;
    number |= bound_code(plan->lower, SQLITE_INDEX_CONSTRAINT_GE) << LOWER_AT;
    number |= bound_code(plan->upper, SQLITE_INDEX_CONSTRAINT_LE) << UPPER_AT;
    if (plan->desc) number |= DESC_BIT;
    if (plan->ordered) number |= ORDERED_BIT;
    if (plan->single) number |= SINGLE_BIT;
    if (plan->unique) number |= UNIQUE_BIT;
    if (plan->upper_plain) number |= UPPER_PLAIN_BIT;
    if (plan->nulls) number |= NULLS_BIT;
    number |= (plan->list_at + 1) << LIST_AT;
    number |= (plan->index + 1) << INDEX_AT;
    return number;
}

bool vt_plan_read(const struct vt_schema *schema, int number, struct vt_plan *plan) {
    static const int lower_ops[] = {0, SQLITE_INDEX_CONSTRAINT_GE, SQLITE_INDEX_CONSTRAINT_GT};
    static const int upper_ops[] = {0, SQLITE_INDEX_CONSTRAINT_LE, SQLITE_INDEX_CONSTRAINT_LT};
    *plan = (struct vt_plan){0};
    if (number < 0) return false;
    plan->index = (number >> INDEX_AT & INDEX_BITS) - 1;
    if (plan->index >= schema->index_count) return false;
    int seek_count = vt_plan_seek_count(schema, plan->index);
    int lower = number >> LOWER_AT & 3, upper = number >> UPPER_AT & 3;
    plan->equal_count = number & 0xff;
    if (lower > 2 || upper > 2 || plan->equal_count > seek_count || plan->equal_count > VT_PLAN_EQUAL_MAX) return false;
    if (plan->equal_count == seek_count && (lower != 0 || upper != 0)) return false;
    plan->nulls = (number & NULLS_BIT) != 0;
    if (plan->nulls && (plan->index == VT_PLAN_PRIMARY || plan->equal_count == 0)) return false;
    plan->list_at = (number >> LIST_AT & LIST_BITS) - 1;
    if (plan->list_at >= plan->equal_count) return false;
    plan->lower = lower_ops[lower];
    plan->upper = upper_ops[upper];
    plan->desc = (number & DESC_BIT) != 0;
    plan->ordered = (number & ORDERED_BIT) != 0;
    plan->single = (number & SINGLE_BIT) != 0;
    plan->unique = (number & UNIQUE_BIT) != 0;
    plan->upper_plain = (number & UPPER_PLAIN_BIT) != 0;
    return plan->upper != 0 || !plan->upper_plain;
}

static const char *key_name(const struct vt_schema *schema, const struct vt_key_column *key) {
    int column = key->column < 0 ? schema->rowid_column : key->column;
    return column < 0 ? "rowid" : schema->columns[column].name;
}

char *vt_plan_text(const struct vt_schema *schema, const struct vt_plan *plan) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    sqlite3_str *text = sqlite3_str_new(NULL);
    const char *between = " (";
    if (plan->index == VT_PLAN_PRIMARY) {
        sqlite3_str_appendall(text, "key");
    } else {
        sqlite3_str_appendf(text, "index %s", schema->indexes[plan->index].name);
    }
    for (int i = 0; i < plan->equal_count; i++) {
        sqlite3_str_appendf(text, i == plan->list_at ? "%s%s IN (?)" : "%s%s=?", between, key_name(schema, &key[i]));
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

/* ---- carrying out: values --------------------------------------------------------------------------------------- */

/* The values of a plan, as keys compare them. */
struct plan_values {
    struct vt_bytes *texts; /* equal_count of them, if any number was replaced by a text */
    struct vt_value equal[VT_PLAN_EQUAL_MAX], lower, upper;
    bool equal_inexact[VT_PLAN_EQUAL_MAX], lower_inexact, upper_inexact;
};

/* Convert one right-hand side. That it is a bound parameter says nothing of a number: CAST(? AS INTEGER) looks the same, and has an affinity. */
static int convert(sqlite3_value *in, enum vt_affinity affinity, struct vt_value *out, bool *inexact) {
    *inexact = !vt_compare_is_exact(sqlite3_value_type(in), affinity);
    return vt_affinity_compare(in, affinity, out);
}

/* A text from a column of numeric affinity makes SQLite read the key's texts as numbers where they look like it, and a number is below every text.
 * Such texts begin with a space, a sign, a point or a digit: all below ':'. Literals, and parameters (a cast to a number gives no text), are safe. */
static int convert_upper(const struct vt_plan *plan, sqlite3_value *in, enum vt_affinity affinity, struct vt_value *out, bool *inexact) {
    int rc = convert(in, affinity, out, inexact);
    bool reads_texts = affinity == VT_AFFINITY_TEXT || affinity == VT_AFFINITY_BLOB;
    if (rc != SQLITE_OK || plan->upper_plain || !reads_texts || sqlite3_value_type(in) != SQLITE_TEXT || sqlite3_value_frombind(in) != 0) return rc;
    if (out->type == SQLITE_TEXT && (out->size == 0 || out->bytes[0] < ':')) *out = vt_value_bytes(SQLITE_TEXT, ":", 1);
    return SQLITE_OK;
}

/* All but the list. *nothing: one of them is NULL, which equals and exceeds nothing. */
static int convert_all(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value **in, struct plan_values *out, bool *nothing) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    int rc = SQLITE_OK, arg = 0;
    out->texts = NULL;
    out->lower_inexact = out->upper_inexact = false;
    *nothing = false;
    for (int i = 0; i < vt_plan_arg_count(plan) && !*nothing; i++) {
        bool counts = i != plan->list_at && (!plan->nulls || i >= plan->equal_count);
        *nothing = counts && sqlite3_value_type(in[i]) == SQLITE_NULL;
    }
    if (*nothing) return SQLITE_OK;
    for (; arg < plan->equal_count && rc == SQLITE_OK; arg++) {
        out->equal_inexact[arg] = false;
        if (arg != plan->list_at) rc = convert(in[arg], key_affinity(schema, &key[arg]), &out->equal[arg], &out->equal_inexact[arg]);
    }
    if (plan->lower != 0 && rc == SQLITE_OK) rc = convert(in[arg++], key_affinity(schema, &key[plan->equal_count]), &out->lower, &out->lower_inexact);
    if (plan->upper != 0 && rc == SQLITE_OK) rc = convert_upper(plan, in[arg], key_affinity(schema, &key[plan->equal_count]), &out->upper, &out->upper_inexact);
    return rc;
}

/* ---- carrying out: ranges --------------------------------------------------------------------------------------- */

void vt_ranges_release(struct vt_ranges *ranges) {
    for (int i = 0; i < ranges->capacity; i++) {
        vt_bytes_release(&ranges->range[i].low);
        vt_bytes_release(&ranges->range[i].high);
    }
    sqlite3_free(ranges->range);
    *ranges = (struct vt_ranges){0};
}

/* There is one such key at most, and its bytes are known. */
static bool is_point(const struct vt_schema *schema, int index, const struct vt_key_query *query) {
    int key_count;
    (void)vt_plan_key(schema, index, &key_count);
    if (query->equal_count == key_count) return true;
    if (index == VT_PLAN_PRIMARY || !schema->indexes[index].unique || query->equal_count != schema->indexes[index].column_count) return false;
    for (int i = 0; i < query->equal_count; i++) {
        if (query->equal[i].type == SQLITE_NULL) return false;
    }
    return true;
}

static int add_range(const struct vt_schema *schema, int index, const struct vt_key_query *query, struct vt_ranges *ranges) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, index, &key_count);
    if (ranges->count == ranges->capacity) {
        int capacity = ranges->capacity == 0 ? 2 : 2 * ranges->capacity;
        struct vt_range *grown = sqlite3_realloc64(ranges->range, (size_t)capacity * sizeof *grown);
        if (grown == NULL) return SQLITE_NOMEM;
        memset(grown + ranges->capacity, 0, (size_t)(capacity - ranges->capacity) * sizeof *grown);
        ranges->range = grown;
        ranges->capacity = capacity;
    }
    struct vt_range *range = &ranges->range[ranges->count];
    bool empty = false;
    int rc = vt_key_range(key, key_count, query, &range->low, &range->has_low, &range->high, &range->has_high, &empty);
    range->point = is_point(schema, index, query);
    if (rc == SQLITE_OK && !empty) ranges->count++;
    return rc;
}

/* Key column `column` is compared for equality with a number, and texts may equal it. */
static int add_widened(const struct vt_schema *schema, int index, const struct plan_values *values, int column, struct vt_ranges *ranges) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, index, &key_count);
    int rc = SQLITE_OK;
    if (key_affinity(schema, &key[column]) == VT_AFFINITY_BLOB) {
        struct vt_key_query number = {.equal = values->equal, .equal_count = column + 1};
        rc = add_range(schema, index, &number, ranges);
    }
    struct vt_key_query texts = {.equal = values->equal, .equal_count = column, .types = VT_TYPES_TEXT};
    return rc == SQLITE_OK ? add_range(schema, index, &texts, ranges) : rc;
}

/* The bounds of the column after the equal ones; a bound that is a number leaves the texts to SQLite. */
static int add_bounded(const struct vt_schema *schema, const struct vt_plan *plan, const struct plan_values *values, struct vt_ranges *ranges) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    struct vt_key_query query = {.equal = values->equal, .equal_count = plan->equal_count};
    if (plan->lower != 0) query.lower = (struct vt_bound){.value = &values->lower, .inclusive = plan->lower == SQLITE_INDEX_CONSTRAINT_GE};
    if (plan->upper != 0) query.upper = (struct vt_bound){.value = &values->upper, .inclusive = plan->upper == SQLITE_INDEX_CONSTRAINT_LE};
    if (!values->lower_inexact && !values->upper_inexact) return add_range(schema, plan->index, &query, ranges);
    if (key_affinity(schema, &key[plan->equal_count]) == VT_AFFINITY_TEXT) {
        if (values->lower_inexact) query.lower.value = NULL;
        if (values->upper_inexact) query.upper.value = NULL;
        if (query.lower.value == NULL && query.upper.value == NULL) query.types = VT_TYPES_NOT_NULL;
        return add_range(schema, plan->index, &query, ranges);
    }
    /* Untyped: above a number are all texts and blobs anyway; below one there may be texts that SQLite reads as smaller numbers. */
    int rc = add_range(schema, plan->index, &query, ranges);
    if (rc != SQLITE_OK || !values->upper_inexact) return rc;
    struct vt_key_query texts = {.equal = values->equal, .equal_count = plan->equal_count, .types = VT_TYPES_TEXT};
    return add_range(schema, plan->index, &texts, ranges);
}

/* What one set of values asks for. */
static int add_values(const struct vt_schema *schema, const struct vt_plan *plan, const struct plan_values *values, struct vt_ranges *ranges) {
    for (int i = 0; i < plan->equal_count; i++) {
        if (values->equal_inexact[i]) return add_widened(schema, plan->index, values, i, ranges);
    }
    return add_bounded(schema, plan, values, ranges);
}

static int add_list(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value *list, struct plan_values *values, struct vt_ranges *ranges) {
    int key_count, at = plan->list_at;
    enum vt_affinity affinity = key_affinity(schema, &vt_plan_key(schema, plan->index, &key_count)[at]);
    sqlite3_value *value = NULL;
    int rc = sqlite3_vtab_in_first(list, &value);
    for (; rc == SQLITE_OK && value != NULL; rc = sqlite3_vtab_in_next(list, &value)) {
        if (sqlite3_value_type(value) == SQLITE_NULL) continue;
        rc = convert(value, affinity, &values->equal[at], &values->equal_inexact[at]);
        if (rc == SQLITE_OK) rc = add_values(schema, plan, values, ranges);
        if (rc != SQLITE_OK) return rc;
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int compare_bytes(const struct vt_bytes *a, const struct vt_bytes *b) {
    size_t common = a->size < b->size ? a->size : b->size;
    int order = common == 0 ? 0 : memcmp(a->data, b->data, common);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static int compare_lows(const void *left, const void *right) {
    const struct vt_range *a = left, *b = right;
    if (!a->has_low || !b->has_low) return (int)a->has_low - (int)b->has_low;
    return compare_bytes(&a->low, &b->low);
}

static void swap(struct vt_range *a, struct vt_range *b) {
    struct vt_range kept = *a;
    *a = *b;
    *b = kept;
}

/* Into key order, and no key twice. */
static void tidy(struct vt_ranges *ranges) {
    if (ranges->count < 2) return;
    qsort(ranges->range, (size_t)ranges->count, sizeof *ranges->range, compare_lows);
    int last = 0;
    for (int i = 1; i < ranges->count; i++) {
        struct vt_range *before = &ranges->range[last], *range = &ranges->range[i];
        if (before->has_high && compare_bytes(&before->high, &range->low) <= 0) {
            if (++last != i) swap(&ranges->range[last], range);
        } else if (before->has_high && (!range->has_high || compare_bytes(&range->high, &before->high) > 0)) {
            /* They overlap: one range from the low of the first to the high of the second. */
            struct vt_bytes high = before->high;
            before->high = range->high;
            before->has_high = range->has_high;
            before->point = false;
            range->high = high;
        }
    }
    ranges->count = last + 1;
}

/* Put the one text that equals it in the place of number `column`, if there is one; several leave it to be widened. */
static int resolve_one(const struct vt_schema *schema, int index, int column, sqlite3_value *number, vt_resolve_fn resolve, void *arg,
                       struct plan_values *values, struct vt_ranges *ranges, int *count) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, index, &key_count);
    struct vt_bytes *text = &values->texts[column];
    ranges->count = 0;
    int rc = add_widened(schema, index, values, column, ranges);
    if (rc == SQLITE_OK) rc = resolve(arg, ranges, key[column].column, number, text, count);
    ranges->count = 0;
    if (rc != SQLITE_OK || *count != 1) return rc;
    values->equal[column] = vt_value_bytes(SQLITE_TEXT, text->data, text->size);
    values->equal_inexact[column] = false;
    return SQLITE_OK;
}

/* The columns that must have one value each. *nothing: one of them has none. */
static int resolve_all(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value **in, vt_resolve_fn resolve, void *arg,
                       struct plan_values *values, struct vt_ranges *ranges, bool *nothing) {
    int end = plan->list_at < 0 ? plan->equal_count : plan->list_at;
    for (int i = 0; i < end && !*nothing; i++) {
        if (!values->equal_inexact[i]) continue;
        if (values->texts == NULL) {
            values->texts = sqlite3_malloc64((size_t)plan->equal_count * sizeof *values->texts);
            if (values->texts == NULL) return SQLITE_NOMEM;
            memset(values->texts, 0, (size_t)plan->equal_count * sizeof *values->texts);
        }
        int count = 0;
        int rc = resolve_one(schema, plan->index, i, in[i], resolve, arg, values, ranges, &count);
        if (rc != SQLITE_OK) return rc;
        *nothing = count == 0;
    }
    return SQLITE_OK;
}

int vt_plan_ranges(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value **values, vt_resolve_fn resolve, void *arg,
                   struct vt_ranges *ranges) {
    ranges->count = 0;
    struct plan_values converted;
    bool nothing;
    int rc = convert_all(schema, plan, values, &converted, &nothing);
    if (rc == SQLITE_OK && !nothing && plan->single && resolve != NULL)
        rc = resolve_all(schema, plan, values, resolve, arg, &converted, ranges, &nothing);
    if (rc == SQLITE_OK && !nothing) {
        if (plan->list_at < 0) rc = add_values(schema, plan, &converted, ranges);
        if (plan->list_at >= 0) rc = add_list(schema, plan, values[plan->list_at], &converted, ranges);
        tidy(ranges);
    }
    for (int i = 0; converted.texts != NULL && i < plan->equal_count; i++) vt_bytes_release(&converted.texts[i]);
    sqlite3_free(converted.texts);
    return rc;
}
