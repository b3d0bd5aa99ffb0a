/* plan.h: what xBestIndex decides and xFilter carries out.
 *
 * A plan is a walk over the table's key, or over an index, in one direction: the first equal_count key columns equal to given values (some of them may be given
 * a whole list, IN), the next one between two bounds, the rest free. It travels from xBestIndex to xFilter in idxNum; idxStr says the same in words, for
 * EXPLAIN QUERY PLAN. A walk that is repeated, as in the inner loop of a join, may look up the rows with certain values in other columns instead (lookups.h),
 * among those only that meet other conditions, too; one for DISTINCT may pass over rows that say nothing new: which columns count there, only idxStr tells.
 *
 * A number compared with a TEXT or untyped key column is a special case: SQLite may have to turn stored texts into numbers ('05' = 5), which no key range
 * can express. Then xFilter widens the range and SQLite checks each row; where the plan rests on there being one value only (`single`), that one is
 * searched for among all texts first.
 */
#ifndef VT_PLAN_H
#define VT_PLAN_H

#include "key_codec.h"

#define VT_PLAN_EQUAL_MAX  60
#define VT_PLAN_LOOKUP_MAX 8
#define VT_PLAN_ONLY_MAX   8
#define VT_PLAN_LISTS      7

/* A constraint as xBestIndex sees it. */
struct vt_term {
    int column; /* -1: rowid */
    int op;     /* SQLITE_INDEX_CONSTRAINT_* */
    bool usable;
    bool collates; /* compares under one of the built-in collations, `collation` */
    enum vt_collation collation;
    int rhs_type; /* type of the right-hand side if it is known already, else 0 */
    bool list;    /* an IN whose values can be had all at once */
};

struct vt_order_term {
    int column;
    bool desc;
};

/* What SQLite asks. */
struct vt_question {
    const struct vt_term *terms;
    int term_count;
    const struct vt_order_term *orders;
    int order_count;
    /* Rows that are alike in all columns the statement looks at need not all be told (DISTINCT): those columns, bit by bit; bit 63 stands for all from there on.
     * 0: every row is wanted. */
    uint64_t distinct;
    bool distinct_ordered; /* but in this order */
    bool grouped;          /* GROUP BY: only what is alike has to stand together, up or down */
};

#define VT_PLAN_PRIMARY  (-1)
#define VT_PLAN_ARGS_MAX (VT_PLAN_EQUAL_MAX + 2 + VT_PLAN_LOOKUP_MAX + VT_PLAN_ONLY_MAX)

struct vt_plan {
    int index;  /* in vt_schema.indexes; VT_PLAN_PRIMARY: the table's own key */
    bool nulls; /* an equal column may be compared with NULL for sameness (IS, IS NULL): then NULLs are read */
    int equal_count;
    unsigned lists;   /* the equal columns with a list of values: bit i for column i < VT_PLAN_LISTS */
    int lower, upper; /* SQLITE_INDEX_CONSTRAINT_GT, _GE, _LT, _LE; 0: none. lower may be _ISNOTNULL, which has a NULL for its value */
    bool desc;        /* walk downwards */
    bool ordered;     /* rows come in the order asked for */
    bool single;      /* at most one row, or the order holds only if the equal columns (before the first list) have one value each */
    bool unique;      /* at most one row */
    bool upper_plain; /* the upper bound is a text literal, so that no affinity but the column's counts */
    int distinct;     /* of rows alike in so many key columns one will do; 0: all are wanted. Never with a lookup */
    int lookup_count;
    struct vt_plan_lookup {
        int column; /* of the table */
        bool nulls; /* IS: NULL is sought like a value */
    } lookup[VT_PLAN_LOOKUP_MAX];
    int only_count; /* conditions on the rows that a lookup need have, with the columns' own collations; 0 without a lookup */
    struct vt_plan_only {
        int column; /* of the table */
        int op;     /* SQLITE_INDEX_CONSTRAINT_*: those of condition.h */
    } only[VT_PLAN_ONLY_MAX];
    /* Known to xBestIndex only. */
    int terms[VT_PLAN_ARGS_MAX]; /* which constraint is argument i of xFilter: equalities, bounds, lookups, conditions */
    bool omit[VT_PLAN_ARGS_MAX]; /* SQLite need not check it again */
};

/* Columns of the key walked: the schema's, or the rowid; an index's and then these. */
const struct vt_key_column *vt_plan_key(const struct vt_schema *schema, int index, int *count);
/* The affinity of one of them. */
static inline enum vt_affinity vt_plan_affinity(const struct vt_schema *schema, const struct vt_key_column *key) {
    return key->column < 0 ? VT_AFFINITY_INTEGER : schema->columns[key->column].affinity;
}
/* How many of them, from the first, can be searched for. */
int vt_plan_seek_count(const struct vt_schema *schema, int index);

/* The best use of the constraints on this index. */
void vt_plan_choose(const struct vt_schema *schema, int index, const struct vt_question *question, struct vt_plan *plan);
/* Add the equalities that the walk does not use, to look up by if the walk is repeated, and the other conditions that it does not use. */
void vt_plan_add_lookup(const struct vt_schema *schema, const struct vt_question *question, struct vt_plan *plan);
/* How many values narrow the walk, and how many xFilter gets. */
static inline int vt_plan_walk_args(const struct vt_plan *plan) { return plan->equal_count + (plan->lower != 0) + (plan->upper != 0); }
static inline int vt_plan_arg_count(const struct vt_plan *plan) { return vt_plan_walk_args(plan) + plan->lookup_count + plan->only_count; }

static inline bool vt_plan_is_list(const struct vt_plan *plan, int column) { return column < VT_PLAN_LISTS && (plan->lists >> column & 1) != 0; }

/* idxNum and back, lookup and distinct aside. Reading is false for numbers no plan has. */
int vt_plan_write(const struct vt_plan *plan);
bool vt_plan_read(const struct vt_schema *schema, int number, struct vt_plan *plan);
/* True if idxStr has more to tell. */
bool vt_plan_has_more(int number);
/* idxStr: `key (device=? AND ts>?) desc`, `index by_kind (kind=?), lookup (value=?) only (size>?)`, `index by_kind, distinct (kind)`; sqlite3_free(). NULL if out of memory. */
char *vt_plan_text(const struct vt_schema *schema, const struct vt_plan *plan);
/* The columns of lookup and its conditions, or of distinct, from the text of the plan that was read from this number. SQLITE_OK, SQLITE_NOMEM; SQLITE_INTERNAL: no such plan. */
int vt_plan_read_more(const struct vt_schema *schema, int number, const char *text, struct vt_plan *plan) LSM_MUST_CHECK;

struct vt_range {
    struct vt_bytes low, high;
    bool has_low, has_high;
    bool point; /* one key: low */
};

/* Key ranges, ascending, not overlapping. */
struct vt_ranges {
    int count, capacity; /* ranges behind count keep their memory */
    struct vt_range *range;
};
void vt_ranges_release(struct vt_ranges *ranges);

/* Find the text among the key columns `column` of the rows in ranges that SQLite holds equal to `number`. *count: 0, 1 or 2 (several; the function may
 * fail instead). text is the caller's to release. */
typedef int (*vt_resolve_fn)(void *arg, const struct vt_ranges *ranges, int column, sqlite3_value *number, struct vt_bytes *text, int *count);

/* If the plan names one key by values that keys compare exactly, which is what most statements ask: *done, and ranges has it (no high), or nothing if a value is
 * NULL. Otherwise vt_plan_ranges() is asked. ranges is reused. */
int vt_plan_point(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value **values, struct vt_ranges *ranges,
                  bool *done) LSM_MUST_CHECK;

/* What the plan reads, given the values. ranges is reused. resolve NULL: ranges are widened only, not right for a `single` plan (for estimates). */
int vt_plan_ranges(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_value **values, vt_resolve_fn resolve, void *arg,
                   struct vt_ranges *ranges) LSM_MUST_CHECK;

#endif
