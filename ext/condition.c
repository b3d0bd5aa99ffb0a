#include "condition.h"

#define TWO_63 9223372036854775808.0

int vt_condition_right(sqlite3_value *in, int op, enum vt_affinity affinity, struct vt_value *out, bool *never) {
    *out = vt_value_null();
    *never = false;
    if (op == SQLITE_INDEX_CONSTRAINT_ISNULL || op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) return SQLITE_OK;
    *never = op != SQLITE_INDEX_CONSTRAINT_IS && sqlite3_value_type(in) == SQLITE_NULL;
    if (affinity < VT_AFFINITY_NUMERIC) return vt_value_of(in, out); /* it may stay as it is, and may not */
    return vt_affinity_compare(in, affinity, out);
}

static bool is_number(const struct vt_value *value) { return value->type == SQLITE_INTEGER || value->type == SQLITE_FLOAT; }

/* Numbers come before texts, and those before blobs. */
static int rank(const struct vt_value *value) { return is_number(value) ? 0 : value->type == SQLITE_TEXT ? 1 : 2; }

static int compare_integer(int64_t i, double r) {
    if (r < -TWO_63) return 1;
    if (r >= TWO_63) return -1;
    if (i != (int64_t)r) return i < (int64_t)r ? -1 : 1;
    return ((double)i > r) - ((double)i < r);
}

static int compare_numbers(const struct vt_value *a, const struct vt_value *b) {
    if (a->type == SQLITE_INTEGER && b->type == SQLITE_INTEGER) return (a->i > b->i) - (a->i < b->i);
    if (a->type == SQLITE_INTEGER) return compare_integer(a->i, b->r);
    if (b->type == SQLITE_INTEGER) return -compare_integer(b->i, a->r);
    return (a->r > b->r) - (a->r < b->r);
}

static int compare_bytes(const struct vt_value *a, const struct vt_value *b) {
    int order = memcmp(a->bytes, b->bytes, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static int compare_texts(struct vt_value a, struct vt_value b, enum vt_collation collation) {
    if (collation == VT_COLLATE_NOCASE) {
        int order = sqlite3_strnicmp((const char *)a.bytes, (const char *)b.bytes, (int)(a.size < b.size ? a.size : b.size));
        return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
    }
    while (collation == VT_COLLATE_RTRIM && a.size > 0 && a.bytes[a.size - 1] == ' ') a.size--;
    while (collation == VT_COLLATE_RTRIM && b.size > 0 && b.bytes[b.size - 1] == ' ') b.size--;
    return compare_bytes(&a, &b);
}

static bool meets(int order, int op) {
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_LT: return order < 0;
    case SQLITE_INDEX_CONSTRAINT_LE: return order <= 0;
    case SQLITE_INDEX_CONSTRAINT_GT: return order > 0;
    case SQLITE_INDEX_CONSTRAINT_GE: return order >= 0;
    default: return order == 0;
    }
}

/* Beside a column of numbers SQLite reads texts that look like numbers as such, and a number is less than a text: the stored one, if the other side is a text of that
 * column, which is none; the other one, too, if the column is that of a compound SELECT whose first part alone has numbers (SQLite before 3.41). */
static bool meets_read_as_numbers(const struct vt_value *left, const struct vt_value *right, int op) {
    struct vt_value a, b;
    bool left_is = vt_text_is_number(left->bytes, left->size, &a), right_is = vt_text_is_number(right->bytes, right->size, &b);
    if (left_is && right_is) return a.type != SQLITE_INTEGER || b.type != SQLITE_INTEGER || meets(compare_numbers(&a, &b), op);
    return (left_is || right_is) && meets(left_is ? -1 : 1, op);
}

bool vt_condition_may_hold(const struct vt_value *left, int op, const struct vt_value *right, enum vt_affinity affinity,
                           enum vt_collation collation) {
    if (op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) return left->type != SQLITE_NULL;
    if (left->type == SQLITE_NULL || right->type == SQLITE_NULL)
        return left->type == right->type && (op == SQLITE_INDEX_CONSTRAINT_IS || op == SQLITE_INDEX_CONSTRAINT_ISNULL);
    int ranks = rank(left) - rank(right);
    bool settled = affinity >= VT_AFFINITY_NUMERIC; /* both sides are what they are compared as */
    /* Numbers and texts may be turned into one another. */
    if (!settled && ranks != 0 && left->type != SQLITE_BLOB && right->type != SQLITE_BLOB) return true;
    if (ranks != 0) return meets(ranks, op);
    if (is_number(left)) return meets(compare_numbers(left, right), op);
    if (left->type == SQLITE_BLOB) return meets(compare_bytes(left, right), op);
    return meets(compare_texts(*left, *right, collation), op) || (!settled && meets_read_as_numbers(left, right, op));
}
