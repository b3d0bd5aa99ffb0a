#include "best_index.h"

#include "index.h"
#include "plan.h"
#include "samples.h"
#include "table.h"

/* SQLite's planner counts about 3 per row of a b-tree scan, and the logarithm of the rows per seek (where.c); the same units here, so that a
 * join of LSM and ordinary tables is planned as if they were all ordinary. */
#define COST_PER_ROW 3.0
/* Rows a bound is thought to leave when its value is not known: SQLite's own guess. */
#define BOUND_SHARE 0.25

/* Values an IN is thought to have. */
#define LIST_VALUES 8.0

/* What SQLite itself checks leaves out rows, too. How many is unknown; the same guesses as where.c makes for ordinary tables, or joins would begin with the wrong table. */
#define CHECKED_SHARE       0.933 /* of any condition */
#define CHECKED_EQUAL_SHARE 0.25  /* at most, of the table's rows, where one is an equality */
#define CHECKED_FLAG_SHARE  0.5   /* the same where it is one with -1, 0 or 1 */
/* Until LIMIT has its rows, so many are read for one that all conditions let through: rather too many, as a walk in vain to the end of an index is worse than a sort. */
#define LIMIT_PER_EQUAL 64.0
#define LIMIT_PER_OTHER 4.0

#define LIMIT_ROWS      100.0  /* what a LIMIT is thought to be if its value is not known */
#define INDEX_SHARE     0.7    /* the cost of reading an entry of an index, of that of a row */
#define LOOKUP_ROWS_MIN 8.0    /* shorter walks behind an equality are walked each time */
#define LOOKUP_ROWS     20.0   /* what is thought to be found in a lookup: as SQLite thinks of its automatic indexes */
#define LOOKUP_USES     1000.0 /* how often a lookup is thought to be used: its making costs as much as some walks */
#define PASS_ROWS       8.0    /* rows alike that are stepped over before the next ones are searched for (cursor_distinct.c) */
#define SORT_PER_ROW    0.3    /* the cost of sorting a row, per doubling of their number */

/* What sqlite3_vtab_distinct() says: 1, for GROUP BY, asks for rows that are alike to stand together; of 2, and 3, which wants them in order, one of those alike
 * will do. Releases before this one say 1 also where an ORDER BY relies on the order. */
#define DISTINCT_GROUPED   1
#define DISTINCT_ANY_ORDER 2
#define GROUPED_SINCE      3053004

/* Releases before show a table IS NOT NULL also where it stands in the ON of a LEFT JOIN to the right of the table, whose rows it must not leave out. */
#define NOT_NULL_SINCE 3053004

static int rhs_type(sqlite3_index_info *info, int i) {
    if (!vt_sqlite_at_least(3038000)) return 0; /* LCOV_EXCL_BR_LINE: no SQLite tested is so old */
    sqlite3_value *value = NULL;
    if (sqlite3_vtab_rhs_value(info, i, &value) != SQLITE_OK || value == NULL) return 0; /* LCOV_EXCL_BR_LINE: it is OK only with a value */
    return sqlite3_value_type(value);
}

/* Of the columns of a row value, (b, a) IN (SELECT ...), SQLite says one by one that they equal something, each under the collation of the first, and not that it is a
 * list. It comes with each row of the list and then checks only if the row found is in it: rows that another collation takes for equal would be found once for each of
 * them. Such a term looks like an equality under a collation that is not its column's, behind one under that of its own column. */
static bool may_be_of_a_row_value(const struct vt_schema *schema, const struct vt_term *terms, int at) {
    const struct vt_term *term = &terms[at];
    if (term->op != SQLITE_INDEX_CONSTRAINT_EQ || !term->collates || term->list || term->rhs_type != 0) return false;
    if (term->column < 0 || term->column >= schema->column_count || schema->columns[term->column].collation == term->collation) return false;
    for (int i = 0; i < at; i++) {
        const struct vt_term *first = &terms[i];
        if (!first->usable || first->op != SQLITE_INDEX_CONSTRAINT_EQ || first->list || first->rhs_type != 0 || first->column == term->column)
            continue;
        if (first->column < 0 || first->column >= schema->column_count || first->collation != term->collation) continue;
        if (schema->columns[first->column].collation == first->collation) return true;
    }
    return false;
}

static void read_terms(const struct vt_schema *schema, sqlite3_index_info *info, struct vt_term *terms) {
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *constraint = &info->aConstraint[i];
        struct vt_term *term = &terms[i];
        *term = (struct vt_term){.column = constraint->iColumn, .op = constraint->op, .usable = constraint->usable != 0};
        switch (term->op) {
        case SQLITE_INDEX_CONSTRAINT_EQ:
        case SQLITE_INDEX_CONSTRAINT_IS:
        case SQLITE_INDEX_CONSTRAINT_GT:
        case SQLITE_INDEX_CONSTRAINT_GE:
        case SQLITE_INDEX_CONSTRAINT_LT:
        case SQLITE_INDEX_CONSTRAINT_LE:
        case SQLITE_INDEX_CONSTRAINT_ISNULL: break;
        case SQLITE_INDEX_CONSTRAINT_ISNOTNULL: term->usable = term->usable && vt_sqlite_at_least(NOT_NULL_SINCE); break;
        default: term->usable = false; /* the column, collation and value of others may mean something else, or nothing */
        }
        if (!term->usable) continue;
        if (term->op == SQLITE_INDEX_CONSTRAINT_ISNULL || term->op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) { /* there is no right-hand side */
            term->rhs_type = SQLITE_NULL;
            continue;
        }
        const char *collation = sqlite3_vtab_collation(info, i);
        term->collates = collation != NULL && vt_collation_of_name(collation, &term->collation); /* LCOV_EXCL_BR_LINE: SQLite always names one */
        term->rhs_type = rhs_type(info, i);
        term->list = vt_sqlite_at_least(3038000) && sqlite3_vtab_in(info, i, -1) != 0; /* LCOV_EXCL_BR_LINE: no SQLite tested is so old */
        if (may_be_of_a_row_value(schema, terms, i)) term->usable = false;
    }
}

/* Logarithm to base 2, good to a tenth: no need to drag in libm. x >= 1. */
static double rough_log2(double x) {
    double result = 0;
    for (; x >= 2; x /= 2) result += 1;
    return result + (x - 1);
}

/* ---- the price ------------------------------------------------------------------------------------------------ */

/* Rows in the ranges, if every value is known at this time. */
static bool rows_in_ranges(struct vt_table *table, sqlite3_index_info *info, const struct vt_plan *plan, double *rows) {
    sqlite3_value *values[VT_PLAN_ARGS_MAX] = {0};
    int count = vt_plan_walk_args(plan);
    if (count == 0 || plan->lists != 0 || plan->nulls || !vt_sqlite_at_least(3038000)) return false;
    for (int i = 0; i < count; i++) {
        if (i == plan->equal_count && plan->lower == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) continue; /* its value is not looked at */
        if (sqlite3_vtab_rhs_value(info, plan->terms[i], &values[i]) != SQLITE_OK || values[i] == NULL) return false;
    }
    struct vt_ranges ranges = {0};
    struct vt_view *view = NULL;
    bool known = vt_table_bind(table, NULL) == SQLITE_OK && vt_plan_ranges(table->schema, plan, values, NULL, NULL, &ranges) == SQLITE_OK &&
                 vt_view_glance(table->space, &view, NULL) == SQLITE_OK;
    *rows = 0;
    for (int i = 0; known && i < ranges.count; i++) {
        const struct vt_range *range = &ranges.range[i];
        struct lsm_slice low = vt_bytes_slice(&range->low), high = vt_bytes_slice(&range->high);
        struct lsm_estimate estimate = {0};
        lsm_view_estimate(view->engine, vt_samples_tree(table, plan->index), range->has_low ? &low : NULL, range->has_high ? &high : NULL, &estimate);
        *rows += estimate.rows;
    }
    vt_view_unref(table->space, view);
    vt_ranges_release(&ranges);
    return known;
}

static double guess_rows(struct vt_table *table, const struct vt_plan *plan, double total) {
    double rows = total;
    if (plan->equal_count > 0) rows = vt_samples_equal_rows(table, plan->index, plan->equal_count, total);
    if (plan->lower != 0 && plan->lower != SQLITE_INDEX_CONSTRAINT_ISNOTNULL) rows *= BOUND_SHARE;
    if (plan->upper != 0) rows *= BOUND_SHARE;
    for (unsigned lists = plan->lists; lists != 0; lists &= lists - 1) rows *= LIST_VALUES;
    return rows < total ? rows : total;
}

/* The index has all that is asked for. The mask's last bit stands for all columns from there on. */
static bool covers(const struct vt_schema *schema, int index, sqlite3_uint64 used) {
    if (index == VT_PLAN_PRIMARY) return true;
    for (int i = 0; i <= schema->column_count; i++) {
        int bit = i < 63 ? i : 63;
        if ((used >> bit & 1) != 0 && !vt_index_covers(schema, &schema->indexes[index], i)) return false;
    }
    return true;
}

struct price {
    double cost;  /* told to SQLite */
    double whole; /* with the sorting that SQLite adds: what plans are compared by */
    double rows;  /* that are walked */
    double left;  /* of them, when SQLite has checked them: told to SQLite */
};

/* A condition that the walk does not see to. */
static bool is_checked_by_sqlite(const sqlite3_index_info *info, const struct vt_plan *plan, int at) {
    int op = info->aConstraint[at].op;
    if (!info->aConstraint[at].usable || op == SQLITE_INDEX_CONSTRAINT_LIMIT || op == SQLITE_INDEX_CONSTRAINT_OFFSET) return false;
    for (int i = 0; i < vt_plan_walk_args(plan); i++) {
        if (plan->terms[i] == at) return false;
    }
    return true;
}

static bool is_equality(const sqlite3_index_info *info, int at) {
    return info->aConstraint[at].op == SQLITE_INDEX_CONSTRAINT_EQ || info->aConstraint[at].op == SQLITE_INDEX_CONSTRAINT_IS;
}

static bool is_flag(sqlite3_index_info *info, int at) {
    sqlite3_value *value = NULL;
    if (rhs_type(info, at) != SQLITE_INTEGER || sqlite3_vtab_rhs_value(info, at, &value) != SQLITE_OK || value == NULL) return false;
    return sqlite3_value_int64(value) >= -1 && sqlite3_value_int64(value) <= 1;
}

static double rows_left(sqlite3_index_info *info, const struct vt_plan *plan, double rows, double total) {
    double most = 1;
    for (int i = 0; i < info->nConstraint; i++) {
        if (!is_checked_by_sqlite(info, plan, i)) continue;
        rows *= CHECKED_SHARE;
        double share = !is_equality(info, i) ? 1 : is_flag(info, i) ? CHECKED_FLAG_SHARE : CHECKED_EQUAL_SHARE;
        if (share < most) most = share;
    }
    if (rows > total * most) rows = total * most;
    return rows < 1 ? 1 : rows;
}

/* After how many of `rows` SQLite will have what LIMIT asks for. */
static double rows_read(sqlite3_index_info *info, const struct vt_plan *plan, double rows) {
    double limit = -1, each = 1;
    if (!vt_sqlite_at_least(3038000) || (info->nOrderBy > 0 && !plan->ordered)) return rows; /* LCOV_EXCL_BR_LINE: no SQLite tested is so old */
    for (int i = 0; i < info->nConstraint; i++) {
        sqlite3_value *value = NULL;
        int op = info->aConstraint[i].op;
        if (is_checked_by_sqlite(info, plan, i)) each *= is_equality(info, i) ? LIMIT_PER_EQUAL : LIMIT_PER_OTHER;
        if (op != SQLITE_INDEX_CONSTRAINT_LIMIT && op != SQLITE_INDEX_CONSTRAINT_OFFSET) continue;
        bool known = sqlite3_vtab_rhs_value(info, i, &value) == SQLITE_OK && value != NULL; /* LCOV_EXCL_BR_LINE: it is OK only with a value */
        double count = known ? sqlite3_value_double(value) : LIMIT_ROWS;
        if (op == SQLITE_INDEX_CONSTRAINT_LIMIT && count < 0) return rows; /* LCOV_EXCL_BR_LINE: SQLite tells no negative one */
        if (count > 0) limit = (limit < 0 ? 0 : limit) + count;
    }
    return limit >= 0 && limit * each < rows ? limit * each : rows;
}

static struct price price_of(struct vt_table *table, sqlite3_index_info *info, const struct vt_plan *plan) {
    double total, rows;
    int sources;
    vt_table_estimate(table, &total, &sources);
    if (plan->unique) {
        rows = 1;
    } else if (!rows_in_ranges(table, info, plan, &rows)) {
        rows = guess_rows(table, plan, total);
    }
    if (rows < 1) rows = 1;
    double seek = rough_log2(total + 1), per_row = COST_PER_ROW;
    bool scan = vt_plan_walk_args(plan) == 0, point = plan->unique && plan->index == VT_PLAN_PRIMARY;
    if (!point) seek += sources;
    if (!covers(table->schema, plan->index, info->colUsed)) per_row += rough_log2(total + 1) / 2 + sources;
    /* An entry of an index is shorter than a row. */
    else if (plan->index != VT_PLAN_PRIMARY)
        per_row *= INDEX_SHARE;
    if (plan->distinct > 0) {
        double alike = vt_samples_equal_rows(table, plan->index, plan->distinct, total);
        rows = rows > alike ? rows / alike : 1;
        per_row = alike > PASS_ROWS ? seek + PASS_ROWS * per_row : alike * per_row;
    }
    double read = rows_read(info, plan, rows);
    struct price price = {.cost = scan ? read * per_row : seek + read * per_row, .rows = rows};
    price.left = plan->unique ? 1 : rows_left(info, plan, rows, total);
    price.whole = price.cost;
    if (info->nOrderBy > 0 && !plan->ordered) price.whole += rows * rough_log2(rows + 1) * SORT_PER_ROW;
    return price;
}

/* The price of a walk if it is one of many. It must say that it finds fewer rows than all, of small tables, too: who joins many of them would else put those first that
 * nothing binds to the others, and multiply them. */
static struct price price_of_lookup(struct vt_table *table, struct price walk) {
    double total;
    int sources;
    vt_table_estimate(table, &total, &sources);
    struct price price = {.rows = walk.left < LOOKUP_ROWS ? walk.left : LOOKUP_ROWS};
    price.left = price.rows;
    price.cost = price.whole = rough_log2(total + 1) + price.rows * COST_PER_ROW + walk.cost / LOOKUP_USES;
    return price;
}

/* ---- the answer ------------------------------------------------------------------------------------------------ */

static int answer(struct vt_table *table, sqlite3_index_info *info, const struct vt_plan *plan, const struct price *price) {
    for (int i = 0; i < vt_plan_arg_count(plan); i++) {
        info->aConstraintUsage[plan->terms[i]].argvIndex = i + 1;
        info->aConstraintUsage[plan->terms[i]].omit = plan->omit[i];
    }
    for (int i = 0; i < plan->equal_count; i++) {
        if (vt_plan_is_list(plan, i)) (void)sqlite3_vtab_in(info, plan->terms[i], 1);
    }
    info->orderByConsumed = plan->ordered;
    info->idxNum = vt_plan_write(plan);
    info->idxStr = vt_plan_text(table->schema, plan);
    info->needToFreeIdxStr = 1;
    info->estimatedCost = price->cost;
    info->estimatedRows = price->left > 1e15 ? (sqlite3_int64)1e15 : (sqlite3_int64)price->left; /* LCOV_EXCL_BR_LINE: no store has so many rows */
    if (plan->unique) info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
    return info->idxStr == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/* Of all ways to walk, the cheapest; the table's own key if they are alike. */
static int choose(struct vt_table *table, sqlite3_index_info *info, const struct vt_question *question) {
    struct vt_plan best;
    vt_plan_choose(table->schema, VT_PLAN_PRIMARY, question, &best);
    /* The trees of the indexes, and the indexes added to the table, are known when it is bound. If it cannot be bound, running the statement will say why. */
    int index_count = vt_table_bind(table, NULL) == SQLITE_OK ? table->schema->index_count : 0;
    struct price lowest = price_of(table, info, &best);
    for (int i = 0; i < index_count; i++) {
        struct vt_plan plan;
        vt_plan_choose(table->schema, i, question, &plan);
        /* Who asks for no order gets that of the key, as from an ordinary table with NOT INDEXED, which SQLite does not tell us of. To count rows any will do. */
        if (vt_plan_walk_args(&plan) == 0 && !plan.ordered && plan.distinct == 0 && info->colUsed != 0) continue;
        struct price price = price_of(table, info, &plan);
        if (price.whole >= lowest.whole) continue;
        best = plan;
        lowest = price;
    }
    /* It is not known here whether the walk will be repeated. If not, it is walked as if this were not there. */
    double fewest = vt_plan_walk_args(&best) == 0 ? 1 : LOOKUP_ROWS_MIN;
    if (lowest.rows > fewest && best.distinct == 0) vt_plan_add_lookup(table->schema, question, &best);
    if (best.lookup_count > 0) lowest = price_of_lookup(table, lowest);
    return answer(table, info, &best, &lowest);
}

int vt_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    struct vt_table *table = (struct vt_table *)vtab;
    size_t term_count = (size_t)info->nConstraint, order_count = (size_t)info->nOrderBy;
    struct vt_term *terms = sqlite3_malloc64((term_count + 1) * sizeof *terms);
    struct vt_order_term *orders = sqlite3_malloc64((order_count + 1) * sizeof *orders);
    int rc = terms == NULL || orders == NULL ? SQLITE_NOMEM : SQLITE_OK;
    if (rc == SQLITE_OK) {
        read_terms(table->schema, info, terms);
        for (size_t i = 0; i < order_count; i++)
            orders[i] = (struct vt_order_term){.column = info->aOrderBy[i].iColumn, .desc = info->aOrderBy[i].desc != 0};
        struct vt_question question = {.terms = terms, .term_count = info->nConstraint, .orders = orders, .order_count = info->nOrderBy};
        int distinct = vt_sqlite_at_least(3038000) ? sqlite3_vtab_distinct(info) : 0; /* LCOV_EXCL_BR_LINE: no SQLite tested is so old */
        if (distinct >= DISTINCT_ANY_ORDER) question.distinct = info->colUsed;
        question.grouped = distinct == DISTINCT_GROUPED && vt_sqlite_at_least(GROUPED_SINCE);
        question.distinct_ordered = distinct != DISTINCT_ANY_ORDER;
        rc = choose(table, info, &question);
    }
    sqlite3_free(terms);
    sqlite3_free(orders);
    return rc;
}
