#include "plan.h"

#include <stdlib.h>
#include <string.h>

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
    for (int i = 0; i < vt_plan_walk_args(plan) && !*nothing; i++) {
        bool counts = i >= plan->equal_count ? plan->lower != SQLITE_INDEX_CONSTRAINT_ISNOTNULL : !plan->nulls && !vt_plan_is_list(plan, i);
        *nothing = counts && sqlite3_value_type(in[i]) == SQLITE_NULL;
    }
    if (*nothing) return SQLITE_OK;
    for (; arg < plan->equal_count && rc == SQLITE_OK; arg++) {
        out->equal_inexact[arg] = false;
        if (!vt_plan_is_list(plan, arg)) rc = convert(in[arg], vt_plan_affinity(schema, &key[arg]), &out->equal[arg], &out->equal_inexact[arg]);
    }
    if (plan->lower == SQLITE_INDEX_CONSTRAINT_ISNOTNULL)
        arg++;
    else if (plan->lower != 0 && rc == SQLITE_OK)
        rc = convert(in[arg++], vt_plan_affinity(schema, &key[plan->equal_count]), &out->lower, &out->lower_inexact);
    if (plan->upper != 0 && rc == SQLITE_OK)
        rc = convert_upper(plan, in[arg], vt_plan_affinity(schema, &key[plan->equal_count]), &out->upper, &out->upper_inexact);
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

static int make_room(struct vt_ranges *ranges) {
    if (ranges->count < ranges->capacity) return SQLITE_OK;
    int capacity = ranges->capacity == 0 ? 2 : 2 * ranges->capacity;
    struct vt_range *grown = sqlite3_realloc64(ranges->range, (size_t)capacity * sizeof *grown);
    if (grown == NULL) return SQLITE_NOMEM;
    memset(grown + ranges->capacity, 0, (size_t)(capacity - ranges->capacity) * sizeof *grown);
    ranges->range = grown;
    ranges->capacity = capacity;
    return SQLITE_OK;
}

static int add_range(const struct vt_schema *schema, int index, const struct vt_key_query *query, struct vt_ranges *ranges) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, index, &key_count);
    if (make_room(ranges) != SQLITE_OK) return SQLITE_NOMEM;
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
    if (vt_plan_affinity(schema, &key[column]) == VT_AFFINITY_BLOB) {
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
    if (plan->lower == SQLITE_INDEX_CONSTRAINT_ISNOTNULL)
        query.types = VT_TYPES_NOT_NULL;
    else if (plan->lower != 0)
        query.lower = (struct vt_bound){.value = &values->lower, .inclusive = plan->lower == SQLITE_INDEX_CONSTRAINT_GE};
    if (plan->upper != 0) query.upper = (struct vt_bound){.value = &values->upper, .inclusive = plan->upper == SQLITE_INDEX_CONSTRAINT_LE};
    if (!values->lower_inexact && !values->upper_inexact) return add_range(schema, plan->index, &query, ranges);
    if (vt_plan_affinity(schema, &key[plan->equal_count]) == VT_AFFINITY_TEXT) {
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

/* Lists are multiplied with each other up to so many ranges. */
#define PRODUCT_MAX 1024

/* How many values the list has, NULL included. */
static int list_size(sqlite3_value *list, int *size) {
    sqlite3_value *value = NULL;
    int rc = sqlite3_vtab_in_first(list, &value);
    for (*size = 0; rc == SQLITE_OK && value != NULL; rc = sqlite3_vtab_in_next(list, &value)) (*size)++;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The plan without what follows the lists that can be multiplied; the first one always can. SQLite checks the rest (vt_plan_choose()). */
static int cut_lists(const struct vt_plan *plan, sqlite3_value **in, struct vt_plan *cut) {
    double product = 1;
    *cut = *plan;
    for (int i = 0, lists = 0; i < plan->equal_count && (plan->lists & (plan->lists - 1)) != 0; i++) {
        if (!vt_plan_is_list(plan, i)) continue;
        int size = 0, rc = list_size(in[i], &size);
        if (rc != SQLITE_OK) return rc;
        product *= size;
        if (lists++ == 0 || product <= PRODUCT_MAX) continue;
        cut->equal_count = i;
        cut->lists &= (1u << i) - 1;
        cut->lower = cut->upper = 0;
        break;
    }
    return SQLITE_OK;
}

/* Each value of the lists from column `from` on with each of the others. */
static int add_lists(const struct vt_schema *schema, const struct vt_plan *plan, int from, sqlite3_value **in, struct plan_values *values,
                     struct vt_ranges *ranges) {
    int key_count, at = from;
    while (at < plan->equal_count && !vt_plan_is_list(plan, at)) at++;
    if (at == plan->equal_count) return add_values(schema, plan, values, ranges);
    enum vt_affinity affinity = vt_plan_affinity(schema, &vt_plan_key(schema, plan->index, &key_count)[at]);
    sqlite3_value *value = NULL;
    int rc = sqlite3_vtab_in_first(in[at], &value);
    for (; rc == SQLITE_OK && value != NULL; rc = sqlite3_vtab_in_next(in[at], &value)) {
        if (sqlite3_value_type(value) == SQLITE_NULL) continue;
        rc = convert(value, affinity, &values->equal[at], &values->equal_inexact[at]);
        if (rc == SQLITE_OK) rc = add_lists(schema, plan, at + 1, in, values, ranges);
        if (rc != SQLITE_OK) return rc;
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int compare_bytes(const struct vt_bytes *a, const struct vt_bytes *b) {
    size_t common = a->size < b->size ? a->size : b->size;
    int order = common == 0 ? 0 : memcmp(a->data, b->data, common); /* LCOV_EXCL_BR_LINE: keys begin with a tag */
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static int compare_lows(const void *left, const void *right) {
    const struct vt_range *a = left, *b = right;
    if (!a->has_low || !b->has_low) return (int)a->has_low - (int)b->has_low; /* LCOV_EXCL_BR_LINE: ranges of lists have both bounds */
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
        if (before->has_high && compare_bytes(&before->high, &range->low) <= 0) { /* LCOV_EXCL_BR_LINE: ranges of lists have both bounds */
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
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    for (int i = 0; i < plan->equal_count && !vt_plan_is_list(plan, i) && !*nothing; i++) {
        if (!values->equal_inexact[i]) continue;
        /* A number in an untyped column: neither this one nor what follows was built on (vt_plan_choose()), and the number itself may be there. */
        if (vt_plan_affinity(schema, &key[i]) == VT_AFFINITY_BLOB) break;
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

/* Do the equal columns name one key? */
static bool names_key(const struct vt_schema *schema, const struct vt_plan *plan, int key_count) {
    if (plan->lists != 0 || plan->nulls) return false;
    if (plan->equal_count == key_count) return true;
    return plan->index != VT_PLAN_PRIMARY && schema->indexes[plan->index].unique && plan->equal_count == schema->indexes[plan->index].column_count;
}

int vt_plan_point(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value **values, struct vt_ranges *ranges, bool *done) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    *done = false;
    ranges->count = 0;
    if (!names_key(schema, plan, key_count)) return SQLITE_OK;
    if (make_room(ranges) != SQLITE_OK) return SQLITE_NOMEM;
    struct vt_range *range = &ranges->range[0];
    vt_bytes_reset(&range->low);
    for (int i = 0; i < plan->equal_count; i++) {
        struct vt_value value;
        bool inexact;
        int rc = convert(values[i], vt_plan_affinity(schema, &key[i]), &value, &inexact);
        if (rc != SQLITE_OK || inexact) return rc;
        *done = value.type == SQLITE_NULL;
        if (*done) return SQLITE_OK;
        rc = vt_key_append(&range->low, &value, &key[i], i == key_count - 1);
        if (rc != SQLITE_OK) return rc;
    }
    range->has_low = range->point = *done = true;
    range->has_high = false;
    ranges->count = 1;
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
        struct vt_plan cut;
        if (plan->lists == 0) rc = add_values(schema, plan, &converted, ranges);
        if (plan->lists != 0) rc = cut_lists(plan, values, &cut);
        if (plan->lists != 0 && rc == SQLITE_OK) rc = add_lists(schema, &cut, 0, values, &converted, ranges);
        tidy(ranges);
    }
    for (int i = 0; converted.texts != NULL && i < plan->equal_count; i++) vt_bytes_release(&converted.texts[i]);
    sqlite3_free(converted.texts);
    return rc;
}
