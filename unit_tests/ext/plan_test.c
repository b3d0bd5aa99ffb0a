/* Plans: what is chosen for which constraints, that it survives the way through idxNum, and that it reads in words. */
#include "../../ext/plan.h"
#include "schemas.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
enum {
    EQ = SQLITE_INDEX_CONSTRAINT_EQ,
    IS = SQLITE_INDEX_CONSTRAINT_IS,
    GT = SQLITE_INDEX_CONSTRAINT_GT,
    GE = SQLITE_INDEX_CONSTRAINT_GE,
    LT = SQLITE_INDEX_CONSTRAINT_LT,
    LE = SQLITE_INDEX_CONSTRAINT_LE
};

static struct vt_term term(int column, int op) {
    return (struct vt_term){.column = column, .op = op, .usable = true, .collates = true, .collation = VT_COLLATE_BINARY};
}

static int at_index = VT_PLAN_PRIMARY;

static void choose(struct vt_schema *schema, const struct vt_term *terms, int term_count, struct vt_plan *plan) {
    struct vt_question question = {.terms = terms, .term_count = term_count};
    vt_plan_choose(schema, at_index, &question, plan);
}

/* The plan in words, also after a way through idxNum. */
static void expect(struct vt_schema *schema, const struct vt_term *terms, int term_count, const struct vt_order_term *orders, int order_count,
                   const char *words, bool ordered) {
    struct vt_plan plan, again;
    struct vt_question question = {.terms = terms, .term_count = term_count, .orders = orders, .order_count = order_count};
    vt_plan_choose(schema, at_index, &question, &plan);
    char *text = vt_plan_text(schema, &plan);
    assert_string_equal(text, words);
    sqlite3_free(text);
    assert_int_equal(plan.ordered, ordered);
    assert_true(vt_plan_read(schema, vt_plan_write(&plan), &again));
    text = vt_plan_text(schema, &again);
    assert_string_equal(text, words);
    sqlite3_free(text);
    assert_int_equal(again.ordered, plan.ordered);
    assert_int_equal(again.single, plan.single);
    assert_int_equal(again.unique, plan.unique);
    assert_int_equal(again.lists, plan.lists);
    assert_int_equal(vt_plan_arg_count(&again), vt_plan_arg_count(&plan));
}

static void equality_on_a_prefix_and_then_a_range(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("device TEXT|ts INTEGER|part INTEGER|v|PRIMARY KEY(device, ts, part)");
    struct vt_term terms[] = {term(1, GT), term(0, EQ), term(1, LE)};
    expect(schema, terms, 3, NULL, 0, "key (device=? AND ts>? AND ts<=?)", false);
    expect(schema, terms, 2, NULL, 0, "key (device=? AND ts>?)", false);
    expect(schema, terms, 1, NULL, 0, "key", false); /* no equality on what comes before */
    struct vt_term all[] = {term(0, EQ), term(2, IS), term(1, EQ), term(3, EQ)};
    expect(schema, all, 4, NULL, 0, "key (device=? AND ts=? AND part=?)", false);
    vt_schema_free(schema);
}

static void the_rowid_and_its_column_are_one(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("id INTEGER PRIMARY KEY|v");
    struct vt_term rowid[] = {term(-1, EQ)}, column[] = {term(0, EQ)}, both[] = {term(0, GE), term(-1, LT)};
    struct vt_plan plan;
    expect(schema, rowid, 1, NULL, 0, "key (id=?)", false);
    expect(schema, column, 1, NULL, 0, "key (id=?)", false);
    expect(schema, both, 2, NULL, 0, "key (id>=? AND id<?)", false);
    choose(schema, column, 1, &plan);
    assert_true(plan.unique);
    assert_true(plan.omit[0]);
    vt_schema_free(schema);
    schema = table("a|b");
    expect(schema, rowid, 1, NULL, 0, "key (rowid=?)", false);
    vt_schema_free(schema);
}

static void what_is_not_understood_or_not_usable_is_left_to_sqlite(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("k TEXT PRIMARY KEY COLLATE NOCASE|v");
    struct vt_term terms[] = {term(0, EQ)};
    expect(schema, terms, 1, NULL, 0, "key", false); /* BINARY on a NOCASE key */
    terms[0].collation = VT_COLLATE_NOCASE;
    expect(schema, terms, 1, NULL, 0, "key (k=?)", false);
    terms[0].usable = false;
    expect(schema, terms, 1, NULL, 0, "key", false);
    terms[0] = term(0, SQLITE_INDEX_CONSTRAINT_LIKE);
    expect(schema, terms, 1, NULL, 0, "key", false);
    terms[0] = term(0, 250);
    expect(schema, terms, 1, NULL, 0, "key", false);
    vt_schema_free(schema);
}

static void order_is_taken_both_ways_and_after_equalities(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INTEGER|b INTEGER|c|PRIMARY KEY(a, b DESC)");
    struct vt_order_term forward[] = {{0, false}, {1, true}}, backward[] = {{0, true}, {1, false}}, mixed[] = {{0, false}, {1, false}};
    struct vt_order_term second[] = {{1, false}}, beyond[] = {{0, false}, {1, true}, {2, true}}, other[] = {{2, false}};
    expect(schema, NULL, 0, forward, 2, "key", true);
    expect(schema, NULL, 0, backward, 2, "key desc", true);
    expect(schema, NULL, 0, mixed, 2, "key", false);
    expect(schema, NULL, 0, second, 1, "key", false);
    expect(schema, NULL, 0, beyond, 3, "key", true); /* nothing is left to order behind the whole key */
    expect(schema, NULL, 0, other, 1, "key", false);
    struct vt_term equal[] = {term(0, EQ)};
    expect(schema, equal, 1, second, 1, "key (a=?) desc", true);
    expect(schema, equal, 1, mixed, 2, "key (a=?) desc", true);
    vt_schema_free(schema);
}

static void a_list_keeps_the_order_of_the_key_only(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INTEGER|b INTEGER|PRIMARY KEY(a, b)");
    struct vt_term terms[] = {term(0, EQ), term(1, EQ)};
    struct vt_order_term first[] = {{0, false}}, second[] = {{1, false}};
    struct vt_plan plan;
    terms[0].list = true;
    expect(schema, terms, 2, first, 1, "key (a IN (?) AND b=?)", true);
    expect(schema, terms, 2, second, 1, "key (a IN (?) AND b=?)", false);
    choose(schema, terms, 2, &plan);
    assert_false(plan.unique);
    terms[0].list = false;
    terms[1].list = true;
    expect(schema, terms, 2, second, 1, "key (a=? AND b IN (?))", true);
    vt_schema_free(schema);
}

static void lists_may_stand_on_several_columns(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INTEGER|b INTEGER|c INTEGER|PRIMARY KEY(a, b, c)");
    struct vt_term terms[] = {term(0, EQ), term(1, EQ), term(2, GT)};
    struct vt_order_term key[] = {{0, false}, {1, false}};
    struct vt_plan plan;
    terms[0].list = terms[1].list = true;
    expect(schema, terms, 3, key, 2, "key (a IN (?) AND b IN (?) AND c>?)", true);
    choose(schema, terms, 3, &plan);
    assert_true(plan.omit[0]);
    assert_false(plan.omit[1]); /* many values are not multiplied: SQLite checks what comes behind the first list */
    assert_false(plan.omit[2]);
    terms[0].list = false;
    terms[2] = term(2, EQ);
    terms[2].list = true;
    expect(schema, terms, 3, key, 2, "key (a=? AND b IN (?) AND c IN (?))", true);
    vt_schema_free(schema);
}

static void not_null_is_a_range_of_an_index(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("id INTEGER PRIMARY KEY|k|n INT|INDEX by_k(k, n)");
    struct vt_term terms[] = {term(1, SQLITE_INDEX_CONSTRAINT_ISNOTNULL), term(1, GT), term(2, SQLITE_INDEX_CONSTRAINT_ISNOTNULL)};
    at_index = 0;
    expect(schema, terms, 1, NULL, 0, "index by_k (k IS NOT NULL)", false);
    expect(schema, terms, 2, NULL, 0, "index by_k (k>?)", false);
    terms[1].op = EQ;
    expect(schema, terms, 3, NULL, 0, "index by_k (k=? AND n IS NOT NULL)", false);
    at_index = VT_PLAN_PRIMARY;
    terms[0].column = 0;
    expect(schema, terms, 1, NULL, 0, "key", false); /* a key has no NULLs */
    vt_schema_free(schema);
}

static void a_number_against_text_promises_nothing(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("k TEXT|n INTEGER|PRIMARY KEY(k, n)");
    struct vt_term terms[] = {term(0, EQ), term(1, EQ)};
    struct vt_order_term second[] = {{1, false}};
    struct vt_plan plan;
    choose(schema, terms, 2, &plan);
    assert_true(plan.unique); /* not known yet what it is: xFilter sees to it */
    assert_false(plan.omit[0]);
    assert_false(plan.omit[1]); /* could be lost with the first */
    terms[0].rhs_type = SQLITE_INTEGER;
    choose(schema, terms, 2, &plan);
    assert_false(plan.unique);
    expect(schema, terms, 1, second, 1, "key (k=?)", false);
    terms[0].rhs_type = SQLITE_TEXT;
    expect(schema, terms, 1, second, 1, "key (k=?)", true);
    vt_schema_free(schema);
}

static void a_text_or_blob_that_is_known_needs_no_second_look(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("k TEXT|u|PRIMARY KEY(k, u)");
    struct vt_term terms[] = {term(0, EQ), term(1, GE), term(1, LT)};
    struct vt_plan plan;
    for (int i = 0; i < 3; i++) terms[i].rhs_type = SQLITE_TEXT;
    terms[2].rhs_type = SQLITE_BLOB;
    choose(schema, terms, 3, &plan);
    assert_true(plan.omit[0] && plan.omit[1] && plan.omit[2]);
    terms[1].rhs_type = SQLITE_INTEGER; /* may be CAST, whose affinity is a number's */
    choose(schema, terms, 3, &plan);
    assert_true(plan.omit[0] && !plan.omit[1] && !plan.omit[2]);
    terms[0].rhs_type = terms[1].rhs_type = 0; /* not known: a parameter, or a column of numbers */
    choose(schema, terms, 3, &plan);
    assert_false(plan.omit[0] || plan.omit[1] || plan.omit[2]);
    vt_schema_free(schema);
}

static void a_key_with_another_collation_than_its_column_orders_nothing(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("k TEXT|n INTEGER|PRIMARY KEY(k COLLATE NOCASE, n)");
    struct vt_order_term first[] = {{0, false}}, both[] = {{0, false}, {1, false}}, second[] = {{1, false}};
    struct vt_term equal[] = {term(0, EQ)};
    equal[0].collation = VT_COLLATE_NOCASE;
    expect(schema, NULL, 0, first, 1, "key", false);
    expect(schema, equal, 1, both, 2, "key (k=?)", false);
    expect(schema, equal, 1, second, 1, "key (k=?)", true);
    vt_schema_free(schema);
}

static void indexes_are_walked_as_keys_are(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("id INTEGER PRIMARY KEY|kind TEXT|ts INTEGER|v|INDEX by_kind(kind, ts DESC)|UNIQUE(ts)");
    struct vt_term terms[] = {term(1, EQ), term(2, GT), term(0, EQ)};
    struct vt_order_term by_ts[] = {{2, false}}, by_ts_and_rowid[] = {{2, true}, {-1, false}};
    struct vt_plan plan;
    at_index = 0;
    expect(schema, terms, 1, by_ts, 1, "index by_kind (kind=?) desc", true);
    expect(schema, terms, 1, by_ts_and_rowid, 2, "index by_kind (kind=?)", true);
    expect(schema, terms, 2, NULL, 0, "index by_kind (kind=? AND ts>?)", false);
    terms[1].op = EQ;
    expect(schema, terms, 3, NULL, 0, "index by_kind (kind=? AND ts=? AND id=?)", false); /* the row's key stands behind */
    choose(schema, terms, 3, &plan);
    assert_false(plan.unique);
    at_index = 1;
    choose(schema, terms, 3, &plan);
    assert_true(plan.unique);
    expect(schema, terms, 3, by_ts_and_rowid, 2, "index unique_1 (ts=?) desc", true); /* and not in a unique one */
    at_index = VT_PLAN_PRIMARY;
    vt_schema_free(schema);
}

static void nulls_are_looked_for_in_indexes_only(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INTEGER|b INTEGER|PRIMARY KEY(a)|UNIQUE(b)");
    struct vt_term key[] = {term(0, SQLITE_INDEX_CONSTRAINT_ISNULL)}, column[] = {term(1, SQLITE_INDEX_CONSTRAINT_ISNULL)}, same[] = {term(1, IS)};
    struct vt_plan plan;
    expect(schema, key, 1, NULL, 0, "key", false);
    at_index = 0;
    expect(schema, column, 1, NULL, 0, "index unique_1 (b=?)", false);
    choose(schema, column, 1, &plan);
    assert_true(plan.nulls && !plan.unique && plan.omit[0]);
    choose(schema, same, 1, &plan);
    assert_true(plan.nulls && !plan.unique); /* the value may be NULL, and there may be many of them */
    same[0].op = EQ;
    choose(schema, same, 1, &plan);
    assert_true(!plan.nulls && plan.unique);
    at_index = VT_PLAN_PRIMARY;
    vt_schema_free(schema);
}

static void a_column_twice_in_an_index_is_searched_for_once(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INTEGER|b INTEGER|c|PRIMARY KEY(a, b)|INDEX i(b, c)");
    struct vt_term terms[] = {term(1, EQ), term(2, EQ), term(0, EQ)};
    struct vt_order_term by_key[] = {{1, false}, {2, false}, {0, false}, {1, true}};
    at_index = 0;
    expect(schema, terms, 3, NULL, 0, "index i (b=? AND c=? AND a=?)", false);
    expect(schema, NULL, 0, by_key, 4, "index i", true);
    at_index = VT_PLAN_PRIMARY;
    vt_schema_free(schema);
}

static void is_null_serves_one_of_two_columns_that_are_the_same(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("c TEXT|v|PRIMARY KEY(c COLLATE NOCASE)|INDEX i (c)");
    struct vt_term terms[] = {term(0, SQLITE_INDEX_CONSTRAINT_ISNULL), term(0, EQ)};
    at_index = 0;
    expect(schema, terms, 1, NULL, 0, "index i (c=?)", false);
    terms[1].collation = VT_COLLATE_NOCASE;
    expect(schema, terms, 2, NULL, 0, "index i (c=? AND c=?)", false);
    at_index = VT_PLAN_PRIMARY;
    vt_schema_free(schema);
}

static void numbers_of_no_plan_are_refused(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a|b|PRIMARY KEY(a, b)");
    struct vt_plan plan;
    static const int bad[] = {-1, 3, 255, 1 << 6 | 1 << 7, 3 << 8, 3 << 10, 2 | 1 << 8, 1 << 23, 1 | 2 << 16, 1 << 25, 1 << 24 | 1};
    for (int i = 0; i < COUNT(bad); i++) assert_false(vt_plan_read(schema, bad[i], &plan));
    assert_true(vt_plan_read(schema, 0, &plan));
    vt_schema_free(schema);
}

static void every_number_reads_as_a_plan_that_writes_it_or_is_refused(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a|b|c|PRIMARY KEY(a, b, c)");
    for (int number = 0; number < 1 << 20; number++) {
        struct vt_plan plan;
        if (!vt_plan_read(schema, number, &plan)) continue;
        if (vt_plan_has_more(number)) { /* what, only the text tells */
            plan.lookup_count = (number & 1 << 7) != 0 ? 1 : 0;
            plan.distinct = (number & 1 << 6) != 0 ? 1 : 0;
        }
        assert_int_equal(vt_plan_write(&plan), number);
    }
    vt_schema_free(schema);
}

static void expect_lookup(struct vt_schema *schema, const struct vt_term *terms, int term_count, const char *words) {
    struct vt_plan plan, again;
    struct vt_question question = {.terms = terms, .term_count = term_count};
    vt_plan_choose(schema, at_index, &question, &plan);
    vt_plan_add_lookup(schema, &question, &plan);
    char *text = vt_plan_text(schema, &plan);
    assert_string_equal(text, words);
    assert_int_equal(vt_plan_has_more(vt_plan_write(&plan)), plan.lookup_count > 0);
    assert_true(vt_plan_read(schema, vt_plan_write(&plan), &again));
    if (plan.lookup_count > 0) assert_int_equal(vt_plan_read_more(schema, vt_plan_write(&plan), text, &again), SQLITE_OK);
    assert_int_equal(again.lookup_count, plan.lookup_count);
    for (int i = 0; i < plan.lookup_count; i++) {
        assert_int_equal(again.lookup[i].column, plan.lookup[i].column);
        assert_int_equal(again.lookup[i].nulls, plan.lookup[i].nulls);
        assert_int_equal(plan.lookup[i].column, terms[plan.terms[vt_plan_walk_args(&plan) + i]].column);
    }
    assert_int_equal(again.only_count, plan.only_count);
    for (int i = 0; i < plan.only_count; i++) {
        const struct vt_term *at = &terms[plan.terms[vt_plan_walk_args(&plan) + plan.lookup_count + i]];
        assert_int_equal(again.only[i].column, at->column);
        assert_int_equal(again.only[i].op, at->op);
        assert_false(plan.omit[vt_plan_walk_args(&plan) + plan.lookup_count + i]);
    }
    assert_int_equal(vt_plan_arg_count(&again), vt_plan_arg_count(&plan));
    sqlite3_free(text);
}

static void equalities_that_the_walk_does_not_use_are_looked_up(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INT|b INT|v|\"w w\"|\"q\"\"=?\"|ab|PRIMARY KEY(a, b)");
    struct vt_term terms[] = {term(2, EQ), term(0, EQ), term(3, IS), term(4, EQ), term(5, EQ), term(1, GT), term(5, LT)};
    expect_lookup(schema, terms, 1, "key, lookup (v=?)");
    expect_lookup(schema, terms, 7, "key (a=? AND b>?), lookup (v=? AND \"w w\" IS ? AND \"q\"\"=?\"=? AND ab=?) only (ab<?)");
    terms[1].usable = terms[2].usable = false;
    terms[3].collates = false;
    expect_lookup(schema, terms, 4, "key, lookup (v=?)");
    terms[0].rhs_type = SQLITE_INTEGER; /* it will not change from one walk to the next */
    expect_lookup(schema, terms, 4, "key");
    terms[4].collates = true;
    expect_lookup(schema, terms, 5, "key, lookup (ab=?) only (v=?)");
    terms[0].collation = VT_COLLATE_NOCASE; /* not the column's */
    expect_lookup(schema, terms, 5, "key, lookup (ab=?)");
    terms[0] = term(1, EQ);
    expect_lookup(schema, terms, 1, "key, lookup (b=?)"); /* the second column of the key alone */
    vt_schema_free(schema);
}

static void conditions_of_all_kinds_go_with_a_lookup(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INT|v|\"w <=? w\"|x|PRIMARY KEY(a)");
    struct vt_term terms[] = {term(1, EQ),
                              term(2, LT),
                              term(2, LE),
                              term(2, GT),
                              term(3, GE),
                              term(3, SQLITE_INDEX_CONSTRAINT_ISNULL),
                              term(2, SQLITE_INDEX_CONSTRAINT_ISNOTNULL),
                              term(3, IS),
                              term(3, LT),
                              term(3, GT),
                              term(3, LE),
                              term(3, GE)};
    terms[7].rhs_type = SQLITE_INTEGER;
    expect_lookup(schema, terms, COUNT(terms),
                  "key, lookup (v=?) only (\"w <=? w\"<? AND \"w <=? w\"<=? AND \"w <=? w\">? AND x>=? AND x IS NULL AND \"w <=? w\" IS NOT NULL AND "
                  "x IS ? AND x<?)");
    terms[0].rhs_type = SQLITE_INTEGER; /* no lookup, no conditions */
    expect_lookup(schema, terms, COUNT(terms), "key");
    vt_schema_free(schema);
}

static void a_text_of_no_lookup_is_refused(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INT|b INT|v|PRIMARY KEY(a, b)");
    static const char *const bad[] = {"",
                                      "key",
                                      "key, lookup ()",
                                      "key, lookup (x=?)",
                                      "key, lookup (v=?",
                                      "key, lookup (v<?)",
                                      "key (a=?), lookup (v=?)",
                                      "key, lookup (v=?) ",
                                      "key, lookup (v=? AND )",
                                      "key, lookup (v=? AND v=? AND v=? AND v=? AND v=? AND v=? AND v=? AND v=? AND v=?)",
                                      "key, lookup (\"v=?)",
                                      "key, lookup (v=?) only ()",
                                      "key, lookup (v=?) only (b)",
                                      "key, lookup (v=?) only (b<?",
                                      "key, lookup (v=?) only (b<? AND )",
                                      "key, lookup (v=?) only (b<>?)",
                                      "key, lookup (v=?) only (b<? AND b<? AND b<? AND b<? AND b<? AND b<? AND b<? AND b<? AND b<?)",
                                      "key only (b<?)"};
    struct vt_plan plan;
    assert_true(vt_plan_read(schema, 0, &plan));
    for (int i = 0; i < COUNT(bad); i++) assert_int_equal(vt_plan_read_more(schema, 1 << 7, bad[i], &plan), SQLITE_INTERNAL);
    assert_int_equal(vt_plan_read_more(schema, 1 << 7, "key, lookup (v=? AND b IS ?)", &plan), SQLITE_OK);
    vt_schema_free(schema);
}

/* For DISTINCT over these columns, in any order. */
static void expect_distinct(struct vt_schema *schema, const struct vt_term *terms, int term_count, uint64_t columns, int distinct,
                            const char *words) {
    struct vt_plan plan, again;
    struct vt_question question = {.terms = terms, .term_count = term_count, .distinct = columns};
    vt_plan_choose(schema, at_index, &question, &plan);
    char *text = vt_plan_text(schema, &plan);
    assert_string_equal(text, words);
    assert_int_equal(plan.distinct, distinct);
    assert_true(vt_plan_read(schema, vt_plan_write(&plan), &again));
    assert_int_equal(vt_plan_has_more(vt_plan_write(&plan)), distinct > 0);
    if (distinct > 0) assert_int_equal(vt_plan_read_more(schema, vt_plan_write(&plan), text, &again), SQLITE_OK);
    assert_int_equal(again.distinct, distinct);
    sqlite3_free(text);
}

static void rows_alike_in_all_that_is_looked_at_are_passed_over(void **unused) {
    (void)unused;
    struct vt_schema *schema =
        table("a INT|b TEXT|c INT|d TEXT COLLATE NOCASE|e|PRIMARY KEY(a, b DESC, c, d)|INDEX i (b, a)|UNIQUE (c, a)|INDEX k (d)|INDEX l (e)");
    struct vt_term terms[] = {term(1, EQ), term(0, EQ)};
    expect_distinct(schema, NULL, 0, 1, 1, "key, distinct (a)");
    expect_distinct(schema, NULL, 0, 3, 2, "key, distinct (a, b)");
    expect_distinct(schema, NULL, 0, 2, 2, "key, distinct (a, b)"); /* b alone comes again with the next a */
    expect_distinct(schema, NULL, 0, 4, 3, "key, distinct (a, b, c)");
    expect_distinct(schema, terms, 2, 7, 3, "key (a=? AND b=?), distinct (a, b, c)");
    expect_distinct(schema, NULL, 0, 8, 0, "key");      /* 'x' and 'X' are alike in the key, but not the same */
    expect_distinct(schema, NULL, 0, 1 | 16, 0, "key"); /* e is in no key */
    expect_distinct(schema, NULL, 0, 1 | UINT64_C(1) << 63, 0, "key");
    at_index = 0;
    expect_distinct(schema, NULL, 0, 3, 2, "index i, distinct (b, a)");
    expect_distinct(schema, terms, 1, 2, 1, "index i (b=?), distinct (b)");
    at_index = 1;
    expect_distinct(schema, NULL, 0, 4, 1, "index unique_1, distinct (c)");
    expect_distinct(schema, NULL, 0, 5, 0, "index unique_1"); /* there is one row of each, but for NULLs */
    at_index = 2;
    expect_distinct(schema, NULL, 0, 8, 0, "index k");
    at_index = 3;
    expect_distinct(schema, NULL, 0, 16, 0, "index l"); /* 1 and 1.0 */
    at_index = VT_PLAN_PRIMARY;
    struct vt_plan plan;
    assert_true(vt_plan_read(schema, 1 << 6, &plan));
    assert_int_equal(vt_plan_read_more(schema, 1 << 6, "key, distinct (b)", &plan), SQLITE_INTERNAL);
    assert_int_equal(vt_plan_read_more(schema, 1 << 6, "key, distinct (a, b, c, d)", &plan), SQLITE_INTERNAL);
    vt_schema_free(schema);
}

static void rows_are_passed_over_only_in_the_order_that_is_asked_for(void **unused) {
    (void)unused;
    struct vt_schema *schema = table("a INT|b TEXT|c INT|PRIMARY KEY(a, b, c)");
    struct vt_order_term down[] = {{0, true}}, mixed[] = {{0, true}, {1, false}};
    struct vt_question question = {.orders = down, .order_count = 1, .distinct = 1, .distinct_ordered = true};
    struct vt_plan plan;
    vt_plan_choose(schema, VT_PLAN_PRIMARY, &question, &plan);
    assert_true(plan.ordered && plan.desc);
    assert_int_equal(plan.distinct, 1);
    question = (struct vt_question){.orders = mixed, .order_count = 2, .distinct = 3, .distinct_ordered = true};
    vt_plan_choose(schema, VT_PLAN_PRIMARY, &question, &plan);
    assert_false(plan.ordered);
    assert_int_equal(plan.distinct, 0);
    question = (struct vt_question){.orders = mixed, .order_count = 2, .grouped = true};
    vt_plan_choose(schema, VT_PLAN_PRIMARY, &question, &plan);
    assert_true(plan.ordered && plan.desc);
    vt_schema_free(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_on_a_prefix_and_then_a_range),
        cmocka_unit_test(the_rowid_and_its_column_are_one),
        cmocka_unit_test(what_is_not_understood_or_not_usable_is_left_to_sqlite),
        cmocka_unit_test(order_is_taken_both_ways_and_after_equalities),
        cmocka_unit_test(a_list_keeps_the_order_of_the_key_only),
        cmocka_unit_test(lists_may_stand_on_several_columns),
        cmocka_unit_test(not_null_is_a_range_of_an_index),
        cmocka_unit_test(a_number_against_text_promises_nothing),
        cmocka_unit_test(a_text_or_blob_that_is_known_needs_no_second_look),
        cmocka_unit_test(a_key_with_another_collation_than_its_column_orders_nothing),
        cmocka_unit_test(indexes_are_walked_as_keys_are),
        cmocka_unit_test(nulls_are_looked_for_in_indexes_only),
        cmocka_unit_test(a_column_twice_in_an_index_is_searched_for_once),
        cmocka_unit_test(equalities_that_the_walk_does_not_use_are_looked_up),
        cmocka_unit_test(conditions_of_all_kinds_go_with_a_lookup),
        cmocka_unit_test(a_text_of_no_lookup_is_refused),
        cmocka_unit_test(rows_alike_in_all_that_is_looked_at_are_passed_over),
        cmocka_unit_test(rows_are_passed_over_only_in_the_order_that_is_asked_for),
        cmocka_unit_test(is_null_serves_one_of_two_columns_that_are_the_same),
        cmocka_unit_test(numbers_of_no_plan_are_refused),
        cmocka_unit_test(every_number_reads_as_a_plan_that_writes_it_or_is_refused),
    };
    return cmocka_run_group_tests(tests, open_plain, close_database);
}
