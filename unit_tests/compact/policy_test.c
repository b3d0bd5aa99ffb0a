/* The policy: golden shapes, targets, and the runs of one transaction. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/compact/policy.h"

static const struct lsm_policy_options options = {.level0_runs = 4, .base_bytes = 400, .ratio = 10};

/* ---- shapes as text --------------------------------------------------------------------------------------------- */

enum { ITEMS_MAX = 64 };

struct drawn {
    struct lsm_shape shape;
    struct lsm_shape_run runs[ITEMS_MAX];
    struct lsm_shape_file files[LSM_LEVELS][ITEMS_MAX];
};

/* "0: 100 100  5: 300/900 200t 50r": bytes of runs and files, /bytes overlapped below (else none), t: mostly tombstones, r: has a range
 * tombstone. Each file has 100 entries. */
static void draw(const char *text, struct drawn *drawn) {
    int level = -1;
    memset(drawn, 0, sizeof *drawn);
    drawn->shape.level0 = drawn->runs;
    for (int i = 1; i < LSM_LEVELS; i++) drawn->shape.levels[i].files = drawn->files[i];
    for (const char *p = text; *p != '\0';) {
        if (*p == ' ') {
            p++;
            continue;
        }
        char *end;
        uint64_t number = strtoull(p, &end, 10);
        assert_true(end != p);
        p = end;
        if (*p == ':') {
            level = (int)number;
            p++;
        } else if (level == 0) {
            drawn->runs[drawn->shape.level0_count++].bytes = number;
        } else {
            struct lsm_shape_level *at = &drawn->shape.levels[level];
            struct lsm_shape_file *file = &at->files[at->count++];
            *file = (struct lsm_shape_file){.bytes = number, .entries = 100};
            at->bytes += number;
            if (*p == '/') file->overlap_bytes = strtoull(p + 1, &end, 10), p = end;
            if (*p == 't') file->tombstones = 51, p++;
            if (*p == 'r') file->range_tombstones = 1, p++;
        }
    }
}

static void describe(const struct lsm_plan *plan, char *text, size_t bytes) {
    switch (plan->kind) {
    case LSM_PLAN_NONE: (void)snprintf(text, bytes, "none"); break;
    case LSM_PLAN_LEVEL0: (void)snprintf(text, bytes, "runs %zu+%zu to %d", plan->first, plan->count, plan->to); break;
    case LSM_PLAN_NEIGHBOURS: (void)snprintf(text, bytes, "files %zu+%zu of %d", plan->first, plan->count, plan->from); break;
    case LSM_PLAN_FILE: (void)snprintf(text, bytes, "file %zu of %d to %d", plan->first, plan->from, plan->to); break;
    }
}

static void each_shape_gets_its_plan(void **state) {
    (void)state;
    static const struct {
        const char *shape, *plan;
    } golden[] = {
        {"", "none"},
        {"0: 100", "none"},
        {"0: 100 100 100", "none"},
        {"0: 100 100 100 100", "runs 0+4 to 6"},
        {"0: 100 100 100 100 100 100", "runs 0+6 to 6"},
        {"0: 9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9", "runs 0+32 to 6"},
        {"0: 9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9", "runs 0+32 to 0"},     /* one more than one merge reads */
        {"0: 8 9 9 7 9 9 9 9  9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 6", "runs 3+32 to 0"}, /* the smallest neighbours */
        {"0: 9 900 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 9 9 9 9 9 9  9 9 8  6: 9", "runs 3+32 to 0"},
        {"6: 400", "none"},
        {"0: 100 100 100 100  6: 400", "runs 0+4 to 6"}, /* the bottom is not over the base size: it is the base */
        {"0: 100 100 100 100  6: 500", "runs 0+4 to 5"}, /* now it is: a level above begins */
        {"0: 100 100 100 100  6: 5000", "runs 0+4 to 4"},
        {"0: 100 100 100 100  6: 5000000", "runs 0+4 to 1"},
        {"0: 100 100 100 100  6: 5000000000", "runs 0+4 to 1"}, /* there is no level above 1 */
        {"5: 30 20 6: 500", "none"},
        {"5: 30/30 30/10 30/20  6: 500", "file 1 of 5 to 6"}, /* the cheapest to push */
        {"5: 60/100 10/1  6: 500", "file 1 of 5 to 6"},
        {"5: 60/60 10/20  6: 500", "file 0 of 5 to 6"}, /* for its size */
        {"5: 60 60/5  6: 500", "file 0 of 5 to 6"},     /* nothing below: a move */
        {"4: 100 5: 700  6: 5000", "file 0 of 4 to 5"}, /* twice its target against 1.4 times */
        {"4: 60 5: 700  6: 5000", "file 0 of 5 to 6"},
        {"0: 100 100 100 100  5: 55  6: 500", "file 0 of 5 to 6"},  /* 1.1 against 1.0 */
        {"0: 100 100 100 100 100  5: 55  6: 500", "runs 0+5 to 5"}, /* 1.25 */
        {"0: 1 1 1 1  6: 400", "runs 0+4 to 0"},                    /* small against the base: one bigger run */
        {"0: 1 1 1 9  6: 400", "runs 0+3 to 0"},                    /* the last is much larger than those before it together */
        {"0: 1 2 6 18  6: 400", "runs 0+4 to 0"},
        {"0: 1 3 6 18  6: 400", "runs 0+4 to 6"},                 /* no two neighbours of a size */
        {"0: 1 1 1 1 1 1 1 1 1 1 1 1  6: 400", "runs 0+12 to 6"}, /* too many: down, whatever it costs */
        {"0: 33 33 33 33  6: 400", "runs 0+4 to 0"},
        {"0: 34 34 34 34  6: 400", "runs 0+4 to 6"}, /* a third of the base is worth it */
        {"6: 400t", "none"},                         /* nothing to gain at the bottom */
        {"5: 10 10t 6: 500", "file 1 of 5 to 6"},    /* mostly tombstones go down */
        {"5: 10 10r 6: 500", "file 1 of 5 to 6"},
        {"3: 10r 5: 10t 6: 500", "file 0 of 3 to 4"},
        {"0: 100 100 100 100 5: 10t 6: 500", "runs 0+4 to 5"}, /* but not first */
        {"3: 10 6: 400", "file 0 of 3 to 4"},                  /* above the base (the store shrank): such a level empties itself */
        {"4: 10 10 6: 500", "file 0 of 4 to 5"},
        {"0: 100 100 100 100 3: 10 6: 400", "file 0 of 3 to 4"},
        {"0: 100 100 100 100 100 100 100 100 100 3: 10 6: 400", "runs 0+9 to 3"},
        {"1: 10", "file 0 of 1 to 2"},
    };
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct drawn drawn;
        char text[64];
        draw(golden[i].shape, &drawn);
        struct lsm_plan plan = lsm_policy_pick(&drawn.shape, &options);
        describe(&plan, text, sizeof text);
        if (strcmp(text, golden[i].plan) != 0) print_message("shape: %s\n", golden[i].shape);
        assert_string_equal(text, golden[i].plan);
        assert_non_null(plan.reason);
        assert_int_equal(plan.kind == LSM_PLAN_NONE, plan.score < 1);
    }
}

static void very_many_small_files_become_larger_a_few_at_a_time(void **state) {
    (void)state;
    enum { FILES = 500 };
    static struct lsm_shape_file files[FILES];
    struct lsm_policy_options sized = options;
    struct lsm_shape shape = {.levels[6] = {.files = files}};
    sized.file_bytes = 100;
    for (size_t i = 0; i < FILES; i++) files[i] = (struct lsm_shape_file){.bytes = i == 77 ? 1 : 40, .entries = 100};
    shape.levels[6].count = 400;
    assert_int_equal(lsm_policy_pick(&shape, &sized).kind, LSM_PLAN_NONE); /* not very many */
    shape.levels[6].count = FILES;
    struct lsm_plan plan = lsm_policy_pick(&shape, &sized);
    assert_int_equal(plan.kind, LSM_PLAN_NEIGHBOURS);
    assert_int_equal(plan.from, 6);
    assert_int_equal(plan.to, 6);
    assert_int_equal(plan.count, 16);
    assert_true(plan.first <= 77 && 77 < plan.first + plan.count); /* the smallest */
    struct lsm_shape_run run = {.bytes = 20000, .files = FILES};
    struct lsm_shape young = {.level0 = &run, .level0_count = 1};
    plan = lsm_policy_pick(&young, &sized);
    assert_int_equal(plan.kind, LSM_PLAN_LEVEL0); /* down, where that can be done */
    assert_int_equal(plan.count, 1);
    sized.file_bytes = 70; /* the files are no smaller than what would be made of them */
    assert_int_equal(lsm_policy_pick(&shape, &sized).kind, LSM_PLAN_NONE);
}

static void targets_follow_the_bottom(void **state) {
    (void)state;
    static const struct {
        const char *shape;
        int base;
        uint64_t targets[LSM_LEVELS]; /* 0: none */
    } golden[] = {
        {"", 6, {0}},
        {"6: 400", 6, {0}},
        {"6: 401", 5, {[5] = 40}},
        {"6: 4000", 5, {[5] = 400}},
        {"6: 4010", 4, {[5] = 401, [4] = 40}},
        {"6: 40010", 4, {[5] = 4001, [4] = 400}},
        {"6: 40100", 3, {[5] = 4010, [4] = 401, [3] = 40}},
        {"6: 4000000000", 1, {[5] = 400000000, [4] = 40000000, [3] = 4000000, [2] = 400000, [1] = 40000}},
        {"5: 4010 6: 10", 4, {[5] = 401, [4] = 40}}, /* the bottom shrank: the greatest level sets the measure */
        {"0: 9999", 6, {0}},
    };
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct drawn drawn;
        uint64_t targets[LSM_LEVELS];
        int base;
        draw(golden[i].shape, &drawn);
        lsm_policy_targets(&drawn.shape, &options, targets, &base);
        assert_int_equal(base, golden[i].base);
        for (int level = 0; level < LSM_LEVELS; level++)
            assert_true(targets[level] == (golden[i].targets[level] == 0 ? UINT64_MAX : golden[i].targets[level]));
    }
}

/* ---- the runs of one transaction ----------------------------------------------------------------------------------- */

enum { FOLD_ALLOWED = 16 };

/* How many times is each of `pieces` written, on average, if no more than so many runs may be left? */
static double times_written(unsigned pieces, size_t allowed) {
    uint64_t weights[FOLD_ALLOWED + 1], written = 0; /* newest first */
    size_t count = 0;
    for (unsigned i = 0; i < pieces; i++) {
        memmove(&weights[1], weights, count * sizeof *weights);
        weights[0] = 1;
        written++;
        if (++count <= allowed) continue;
        size_t runs = lsm_policy_fold(weights, count);
        assert_true(runs >= 2 && runs <= count);
        uint64_t sum = 0;
        for (size_t r = 0; r < runs; r++) sum += weights[r];
        written += sum;
        memmove(&weights[1], &weights[runs], (count - runs) * sizeof *weights);
        weights[0] = sum;
        count -= runs - 1;
    }
    return (double)written / pieces;
}

static void a_transaction_in_few_runs_is_written_few_times(void **state) {
    (void)state;
    static const struct {
        unsigned pieces;
        double most;
    } wanted[] = {{16, 1}, {17, 2}, {64, 2}, {136, 2}, {254, 2.6}, {500, 3.2}, {816, 4}, {3000, 5}, {20000, 7}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        double times = times_written(wanted[i].pieces, FOLD_ALLOWED);
        print_message("  %u pieces: written %.2f times\n", wanted[i].pieces, times);
        assert_true(times <= wanted[i].most);
    }
    assert_true(times_written(1000, 4) < 20); /* the best there is: 16 */
}

static void no_merge_of_runs_reads_more_than_its_share_of_them(void **state) {
    (void)state;
    uint64_t weights[100];
    for (size_t i = 0; i < 100; i++) weights[i] = 1;
    assert_int_equal(lsm_policy_fold(weights, 100), LSM_FOLD_RUNS_MAX);
    for (size_t i = 0; i < 100; i++) weights[i] = UINT64_MAX >> (i < 50 ? 60 - i : 8); /* from few to astronomically many */
    assert_true(lsm_policy_fold(weights, 100) >= 4);
    assert_int_equal(lsm_policy_fold(&weights[40], 4), 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_shape_gets_its_plan),
        cmocka_unit_test(very_many_small_files_become_larger_a_few_at_a_time),
        cmocka_unit_test(targets_follow_the_bottom),
        cmocka_unit_test(a_transaction_in_few_runs_is_written_few_times),
        cmocka_unit_test(no_merge_of_runs_reads_more_than_its_share_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
