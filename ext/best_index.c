#include "best_index.h"

#include "plan.h"
#include "table.h"

/* SQLite's planner counts about 3 per row of a b-tree scan, and the logarithm of the rows per seek (where.c); the same units here, so that a
 * join of LSM and ordinary tables is planned as if they were all ordinary. */
#define COST_PER_ROW 3.0
/* Rows a bound is thought to leave when its value is not known: SQLite's own guess. */
#define BOUND_SHARE 0.25

/* Values an IN is thought to have. */
#define LIST_VALUES 8.0

static int rhs_type(sqlite3_index_info *info, int i) {
    if (!vt_sqlite_at_least(3038000)) return 0;
    sqlite3_value *value = NULL;
    if (sqlite3_vtab_rhs_value(info, i, &value) != SQLITE_OK || value == NULL) return 0;
    return sqlite3_value_type(value);
}

static void read_terms(sqlite3_index_info *info, struct vt_term *terms) {
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
        case SQLITE_INDEX_CONSTRAINT_LE: break;
        default: term->usable = false; /* the column, collation and value of others may mean something else, or nothing */
        }
        if (!term->usable) continue;
        const char *collation = sqlite3_vtab_collation(info, i);
        term->collates = collation != NULL && vt_collation_of_name(collation, &term->collation);
        term->rhs_type = rhs_type(info, i);
        term->list = vt_sqlite_at_least(3038000) && sqlite3_vtab_in(info, i, -1) != 0;
    }
}

/* Logarithm and power to base 2, good to a tenth: no need to drag in libm. x >= 1. */
static double rough_log2(double x) {
    double result = 0;
    for (; x >= 2; x /= 2) result += 1;
    return result + (x - 1);
}

static double rough_exp2(double x) {
    double result = 1;
    for (; x >= 1; x -= 1) result *= 2;
    return result * (1 + x);
}

/* ---- the price ------------------------------------------------------------------------------------------------ */

/* Rows in the ranges, if every value is known at this time. */
static bool rows_in_ranges(struct vt_table *table, sqlite3_index_info *info, const struct vt_plan *plan, double *rows) {
    sqlite3_value *values[VT_PLAN_EQUAL_MAX + 2];
    int count = vt_plan_arg_count(plan);
    if (count == 0 || plan->list_at >= 0 || !vt_sqlite_at_least(3038000)) return false;
    for (int i = 0; i < count; i++) {
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
        lsm_view_estimate(view->engine, vt_table_tree(table), range->has_low ? &low : NULL, range->has_high ? &high : NULL, &estimate);
        *rows += estimate.rows;
    }
    vt_view_unref(table->space, view);
    vt_ranges_release(&ranges);
    return known;
}

static double guess_rows(const struct vt_schema *schema, const struct vt_plan *plan, double total) {
    int key_count;
    (void)vt_plan_key(schema, &key_count);
    /* Each further column of the key is thought to divide what is left alike. */
    double rows = rough_exp2(rough_log2(total) * (1.0 - (double)plan->equal_count / key_count));
    if (plan->lower != 0) rows *= BOUND_SHARE;
    if (plan->upper != 0) rows *= BOUND_SHARE;
    if (plan->list_at >= 0) rows *= LIST_VALUES;
    return rows < total ? rows : total;
}

static void set_price(struct vt_table *table, sqlite3_index_info *info, const struct vt_plan *plan) {
    double total, rows;
    int sources;
    vt_table_estimate(table, &total, &sources);
    if (plan->unique) {
        rows = 1;
    } else if (!rows_in_ranges(table, info, plan, &rows)) {
        rows = guess_rows(table->schema, plan, total);
    }
    if (rows < 1) rows = 1;
    double seek = rough_log2(total + 1) + (plan->unique ? 0 : sources);
    bool scan = vt_plan_arg_count(plan) == 0;
    info->estimatedCost = scan ? rows * COST_PER_ROW : seek + rows * COST_PER_ROW;
    info->estimatedRows = rows > 1e15 ? (sqlite3_int64)1e15 : (sqlite3_int64)rows;
    if (plan->unique) info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
}

int vt_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    struct vt_table *table = (struct vt_table *)vtab;
    size_t term_count = (size_t)info->nConstraint, order_count = (size_t)info->nOrderBy;
    struct vt_term *terms = sqlite3_malloc64((term_count + 1) * sizeof *terms);
    struct vt_order_term *orders = sqlite3_malloc64((order_count + 1) * sizeof *orders);
    int rc = terms == NULL || orders == NULL ? SQLITE_NOMEM : SQLITE_OK;
    if (rc == SQLITE_OK) {
        read_terms(info, terms);
        for (size_t i = 0; i < order_count; i++) orders[i] = (struct vt_order_term){.column = info->aOrderBy[i].iColumn, .desc = info->aOrderBy[i].desc != 0};
        struct vt_plan plan;
        vt_plan_choose(table->schema, terms, info->nConstraint, orders, info->nOrderBy, &plan);
        for (int i = 0; i < vt_plan_arg_count(&plan); i++) {
            info->aConstraintUsage[plan.terms[i]].argvIndex = i + 1;
            info->aConstraintUsage[plan.terms[i]].omit = plan.omit[i];
        }
        if (plan.list_at >= 0) (void)sqlite3_vtab_in(info, plan.terms[plan.list_at], 1);
        info->orderByConsumed = plan.ordered;
        info->idxNum = vt_plan_write(&plan);
        info->idxStr = vt_plan_text(table->schema, &plan);
        info->needToFreeIdxStr = 1;
        if (info->idxStr == NULL) rc = SQLITE_NOMEM;
        set_price(table, info, &plan);
    }
    sqlite3_free(terms);
    sqlite3_free(orders);
    return rc;
}
