#include "plan.h"

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

/* The INTEGER PRIMARY KEY and the rowid are the same thing. */
static int plain_column(const struct vt_schema *schema, int column) {
    return schema->kind == VT_KIND_ROWID && column == schema->rowid_column ? -1 : column;
}

/* ---- choosing ------------------------------------------------------------------------------------------------- */

enum term_use { USE_NONE, USE_EQUAL, USE_LOWER, USE_UPPER, USE_NOT_NULL };

static enum term_use use_of(int op) {
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
    case SQLITE_INDEX_CONSTRAINT_IS:
    case SQLITE_INDEX_CONSTRAINT_ISNULL: return USE_EQUAL;
    case SQLITE_INDEX_CONSTRAINT_GT:
    case SQLITE_INDEX_CONSTRAINT_GE: return USE_LOWER;
    case SQLITE_INDEX_CONSTRAINT_ISNOTNULL: return USE_NOT_NULL;
    case SQLITE_INDEX_CONSTRAINT_LT:
    case SQLITE_INDEX_CONSTRAINT_LE: return USE_UPPER;
    default: /* LIKE, LIMIT, those of versions to come: SQLite's business */ return USE_NONE;
    }
}

/* IS NULL has no collation, and may stand for a column that is in the key twice; but one constraint is one argument of xFilter. */
static bool is_taken(const struct vt_plan *plan, int term) {
    for (int i = 0; i < plan->equal_count; i++) {
        if (plan->terms[i] == term) return true;
    }
    return false;
}

/* The first usable term of this kind on a column of the plan's key, or -1. The table's own key has no NULLs to look for. */
static int find_term(const struct vt_schema *schema, const struct vt_plan *plan, const struct vt_key_column *key, const struct vt_question *question,
                     enum term_use use) {
    for (int i = 0; i < question->term_count; i++) {
        const struct vt_term *term = &question->terms[i];
        if (!term->usable || use_of(term->op) != use || plain_column(schema, term->column) != key->column) continue;
        if (term->op == SQLITE_INDEX_CONSTRAINT_ISNULL || use == USE_NOT_NULL) {
            if (plan->index == VT_PLAN_PRIMARY || key->column < 0 || is_taken(plan, i)) continue;
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

/* The range has exactly what SQLite would let through: a number on the other side, or what has the affinity of one, changes nothing about a column of numbers, and
 * a text or blob that is known now has none. Of a value that comes later that cannot be seen, a parameter's either. */
static bool is_exact(const struct vt_term *term, enum vt_affinity affinity) {
    return affinity >= VT_AFFINITY_NUMERIC || term->rhs_type == SQLITE_TEXT || term->rhs_type == SQLITE_BLOB;
}

/* If a column before this one may have to be widened, this one's constraint would be lost: then SQLite has to check it. */
static void take_term(struct vt_plan *plan, int at, const struct vt_question *question, int term, enum vt_affinity affinity) {
    plan->terms[at] = term;
    plan->omit[at] = is_exact(&question->terms[term], affinity) && (at == 0 || plan->omit[at - 1]);
}

/* All that have the same values in the columns before have the same here: not so where a collation before overlooks a difference. */
static bool comes_before(const struct vt_key_column *key, int at) {
    for (int i = 0; i < at; i++) {
        if (key[i].column == key[at].column && (key[i].collation == key[at].collation || key[i].collation == VT_COLLATE_BINARY)) return true;
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
        while (at < key_count && comes_before(key, at)) at++;
        if (at == key_count) break; /* beyond the whole key nothing is left to order */
        int place = 0;              /* in the key; before `at`: it has one value only, or came before */
        while (place < at && key[place].column != column) place++;
        if (key[place].column != column) return false;
        if (column >= 0 && key[place].collation != schema->columns[column].collation) return false;
        if (place < at) continue;
        bool down = question->orders[i].desc != key[at].desc;
        if (directed && down != *desc && !question->grouped) return false;
        if (!directed) *desc = down;
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
        enum vt_affinity affinity = vt_plan_affinity(schema, &key[at]);
        int at_term = find_term(schema, plan, &key[at], question, USE_EQUAL);
        if (at_term < 0) break;
        const struct vt_term *term = &question->terms[at_term];
        bool listed = plan->lists != 0;
        if (term->list && at < VT_PLAN_LISTS) plan->lists |= 1u << at;
        if (constant == at && !term->list && can_build_on(term, affinity)) constant++;
        if (plan->index != VT_PLAN_PRIMARY && term->op != SQLITE_INDEX_CONSTRAINT_EQ) plan->nulls = true;
        take_term(plan, at, question, at_term, affinity);
        /* Lists of many values are not multiplied with each other: then SQLite has to check. */
        if (listed && term->list) plan->omit[at] = false;
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
    enum vt_affinity affinity = vt_plan_affinity(schema, column);
    int lower = find_term(schema, plan, column, question, USE_LOWER), upper = find_term(schema, plan, column, question, USE_UPPER);
    if (lower < 0 && upper < 0) {
        lower = find_term(schema, plan, column, question, USE_NOT_NULL);
        affinity = VT_AFFINITY_BLOB; /* no harm in SQLite's looking, too */
    }
    if (lower >= 0) {
        plan->lower = question->terms[lower].op;
        take_term(plan, args++, question, lower, affinity);
        /* Below a number there may be texts that SQLite reads as smaller ones: then all texts are walked, those below this bound, too. */
        if (upper >= 0 && !is_exact(&question->terms[upper], affinity)) plan->omit[args - 1] = false;
    }
    if (upper >= 0) {
        plan->upper = question->terms[upper].op;
        plan->upper_plain = question->terms[upper].rhs_type == SQLITE_TEXT;
        take_term(plan, args, question, upper, affinity);
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

/* The place of a column in the key, where its values are kept as they are: alike there, they are the same; or -1. */
static int exact_place(const struct vt_schema *schema, const struct vt_key_column *key, int key_count, int column) {
    for (int i = 0; i < key_count; i++) {
        if (key[i].column != column) continue;
        enum vt_affinity affinity = vt_plan_affinity(schema, &key[i]);
        if (key[i].collation == VT_COLLATE_BINARY && (affinity >= VT_AFFINITY_NUMERIC || affinity == VT_AFFINITY_TEXT)) return i;
    }
    return -1;
}

/* How many columns of the key hold all that the statement looks at, if one row of those alike in them will do, and if there may be several. The rowid shows
 * in no mask: of rows whose rowid is asked for each is told (cursor_distinct.c). */
static int distinct_columns(const struct vt_schema *schema, const struct vt_question *question, const struct vt_plan *plan) {
    int key_count, columns = 0;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    if (plan->unique || (question->distinct_ordered && !plan->ordered) || (question->distinct >> 63) != 0) return 0;
    if (plan->index != VT_PLAN_PRIMARY && schema->indexes[plan->index].unique) key_count = schema->indexes[plan->index].column_count;
    for (int i = 0; i < 63; i++) {
        if ((question->distinct >> i & 1) == 0) continue;
        int place = exact_place(schema, key, key_count, plain_column(schema, i));
        if (place < 0) return 0;
        if (place >= columns) columns = place + 1;
    }
    return columns < key_count ? columns : 0;
}

/* One row is in any order; but several texts may equal a number (cursor_search.c), and then SQLite has to sort them. */
static bool is_one_row(const struct vt_schema *schema, const struct vt_question *question, const struct vt_plan *plan) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    bool one = plan->unique;
    for (int i = 0; i < plan->equal_count && one; i++) one = is_exact(&question->terms[plan->terms[i]], vt_plan_affinity(schema, &key[i]));
    return one;
}

static void choose_order(const struct vt_schema *schema, const struct vt_question *question, int constant, struct vt_plan *plan) {
    plan->ordered = gives_order(schema, plan->index, 0, question, &plan->desc) || is_one_row(schema, question, plan);
    if (plan->ordered || plan->unique || constant == 0) return;
    plan->ordered = gives_order(schema, plan->index, constant, question, &plan->desc);
    if (plan->ordered) plan->single = true;
}

void vt_plan_choose(const struct vt_schema *schema, int index, const struct vt_question *question, struct vt_plan *plan) {
    *plan = (struct vt_plan){.index = index};
    int constant = choose_equal(schema, question, plan);
    choose_bounds(schema, question, plan);
    plan->unique = plan->single = is_unique(schema, plan, constant);
    if (question->order_count > 0) choose_order(schema, question, constant, plan);
    if (question->distinct != 0) plan->distinct = distinct_columns(schema, question, plan);
}

static bool is_walked(const struct vt_plan *plan, int at) {
    for (int i = 0; i < vt_plan_arg_count(plan); i++) {
        if (plan->terms[i] == at) return true;
    }
    return false;
}

/* A value that is known now will not change from one walk to the next: it is a condition like others. */
static bool is_lookup(const struct vt_schema *schema, const struct vt_question *question, const struct vt_plan *plan, int at) {
    const struct vt_term *term = &question->terms[at];
    if (!term->usable || !term->collates || term->list || term->rhs_type != 0) return false;
    if (term->op != SQLITE_INDEX_CONSTRAINT_EQ && term->op != SQLITE_INDEX_CONSTRAINT_IS) return false;
    return plain_column(schema, term->column) >= 0 && term->column < schema->column_count && !is_walked(plan, at);
}

/* A condition that SQLite checks, which a copy of the rows can do once. */
static bool is_only(const struct vt_schema *schema, const struct vt_question *question, const struct vt_plan *plan, int at) {
    const struct vt_term *term = &question->terms[at];
    if (!term->usable || term->list || use_of(term->op) == USE_NONE) return false;
    if (plain_column(schema, term->column) < 0 || term->column >= schema->column_count || is_walked(plan, at)) return false;
    if (term->op == SQLITE_INDEX_CONSTRAINT_ISNULL || term->op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) return true;
    return term->collates && term->collation == schema->columns[term->column].collation;
}

static void add_only(const struct vt_schema *schema, const struct vt_question *question, struct vt_plan *plan) {
    for (int i = 0; i < question->term_count && plan->only_count < VT_PLAN_ONLY_MAX; i++) {
        if (!is_only(schema, question, plan, i)) continue;
        int at = vt_plan_arg_count(plan);
        plan->terms[at] = i;
        plan->omit[at] = false;
        plan->only[plan->only_count++] = (struct vt_plan_only){.column = question->terms[i].column, .op = question->terms[i].op};
    }
}

void vt_plan_add_lookup(const struct vt_schema *schema, const struct vt_question *question, struct vt_plan *plan) {
    for (int i = 0; i < question->term_count && plan->lookup_count < VT_PLAN_LOOKUP_MAX; i++) {
        if (!is_lookup(schema, question, plan, i)) continue;
        int at = vt_plan_arg_count(plan);
        plan->terms[at] = i;
        plan->omit[at] = false;
        plan->lookup[plan->lookup_count++] =
            (struct vt_plan_lookup){.column = question->terms[i].column, .nulls = question->terms[i].op == SQLITE_INDEX_CONSTRAINT_IS};
    }
    if (plan->lookup_count == 0) return;
    add_only(schema, question, plan);
    /* A lookup may be of all rows, not of the ranges alone. */
    for (int i = 0; i < vt_plan_walk_args(plan); i++) plan->omit[i] = false;
}
