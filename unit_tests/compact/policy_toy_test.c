/* The policy in charge of a toy store that does what it is told, for a thousand flushes. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/compact/policy.h"

enum { MEMTABLE_ROWS = 128, ROW_BYTES = 100, FILE_ROWS = 128, KEYS_MAX = 1 << 18 };

struct row {
    uint32_t key, version;
    bool deleted;
};

struct toy_file {
    struct row *rows;
    size_t count;
};

struct toy_run {
    struct toy_file *files;
    size_t count;
};

struct toy {
    struct toy_run level0[64]; /* newest first */
    size_t level0_count;
    struct toy_run levels[LSM_LEVELS];
    struct row truth[KEYS_MAX]; /* newest row of each key; version 0: none */
    uint32_t version;
    struct lsm_policy_options options;
    uint64_t flushed, written, plans, moves;
    size_t level0_most;
};

static uint64_t run_rows(const struct toy_run *run) {
    uint64_t rows = 0;
    for (size_t i = 0; i < run->count; i++) rows += run->files[i].count;
    return rows;
}

static struct row *last_row(const struct toy_file *file) { return &file->rows[file->count - 1]; }

/* Files of a run that share keys with [low, high]. */
static void overlap(const struct toy_run *run, uint32_t low, uint32_t high, size_t *first, size_t *end) {
    size_t a = 0, b = run->count;
    while (a < b) {
        size_t middle = (a + b) / 2;
        if (last_row(&run->files[middle])->key < low)
            a = middle + 1;
        else
            b = middle;
    }
    *first = a;
    while (a < run->count && run->files[a].rows[0].key <= high) a++;
    *end = a;
}

static struct row *find_row(const struct toy_run *run, uint32_t key) {
    size_t first, end;
    overlap(run, key, key, &first, &end);
    for (size_t i = 0; first < end && i < run->files[first].count; i++)
        if (run->files[first].rows[i].key == key) return &run->files[first].rows[i];
    return NULL;
}

static void append_file(struct toy_run *run, struct toy_file file) {
    run->files = realloc(run->files, (run->count + 1) * sizeof *run->files);
    assert_non_null(run->files);
    run->files[run->count++] = file;
}

/* Cut rows into files. Owns rows. */
static struct toy_run run_of(struct row *rows, size_t count) {
    struct toy_run run = {0};
    for (size_t at = 0; at < count; at += FILE_ROWS) {
        struct toy_file file = {.count = count - at < FILE_ROWS ? count - at : FILE_ROWS};
        file.rows = malloc(file.count * sizeof *file.rows);
        assert_non_null(file.rows);
        memcpy(file.rows, rows + at, file.count * sizeof *file.rows);
        append_file(&run, file);
    }
    free(rows);
    return run;
}

static void free_run(struct toy_run *run) {
    for (size_t i = 0; i < run->count; i++) free(run->files[i].rows);
    free(run->files);
    *run = (struct toy_run){0};
}

/* Two sorted arrays into one; newer rows win. Owns both. */
static struct row *merge_rows(struct row *newer, size_t *newer_count, const struct row *older, size_t older_count) {
    struct row *out = malloc((*newer_count + older_count + 1) * sizeof *out);
    size_t a = 0, b = 0, count = 0;
    assert_non_null(out);
    while (a < *newer_count || b < older_count) {
        bool take_newer = b == older_count || (a < *newer_count && newer[a].key <= older[b].key);
        if (take_newer && b < older_count && newer[a].key == older[b].key) b++;
        out[count++] = take_newer ? newer[a++] : older[b++];
    }
    free(newer);
    *newer_count = count;
    return out;
}

static struct row *add_run(struct row *rows, size_t *count, const struct toy_run *run, size_t first, size_t end) {
    struct toy_run part = {.files = run->files + first, .count = end - first};
    size_t more = (size_t)run_rows(&part), at = 0;
    struct row *older = malloc((more + 1) * sizeof *older);
    assert_non_null(older);
    for (size_t i = first; i < end; i++) {
        memcpy(older + at, run->files[i].rows, run->files[i].count * sizeof *older);
        at += run->files[i].count;
    }
    rows = merge_rows(rows, count, older, more);
    free(older);
    return rows;
}

static void drop_tombstones(const struct toy *toy, struct row *rows, size_t *count, int to, size_t older_runs) {
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        bool below = false;
        size_t first, end;
        for (size_t r = toy->level0_count - older_runs; r < toy->level0_count; r++) {
            overlap(&toy->level0[r], rows[i].key, rows[i].key, &first, &end);
            below |= first < end;
        }
        for (int level = to + 1; rows[i].deleted && level < LSM_LEVELS && !below; level++) {
            overlap(&toy->levels[level], rows[i].key, rows[i].key, &first, &end);
            below |= first < end;
        }
        if (!rows[i].deleted || below) rows[kept++] = rows[i];
    }
    *count = kept;
}

/* Replace files [first, end) of a run. */
static void splice(struct toy_run *run, size_t first, size_t end, struct toy_run *with) {
    struct toy_run out = {0};
    for (size_t i = 0; i < first; i++) append_file(&out, run->files[i]);
    for (size_t i = 0; i < with->count; i++) append_file(&out, with->files[i]);
    for (size_t i = end; i < run->count; i++) append_file(&out, run->files[i]);
    free(run->files);
    free(with->files);
    *run = out;
}

static void free_files(struct toy_run *run, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) free(run->files[i].rows);
}

/* Move rows (what was read from the inputs) into level `to`, with what lies there. inputs: to be freed by the caller. */
static void into_level(struct toy *toy, struct row *rows, size_t count, int to) {
    struct toy_run *target = &toy->levels[to];
    size_t first = 0, end = 0;
    if (count != 0) overlap(target, rows[0].key, rows[count - 1].key, &first, &end);
    rows = add_run(rows, &count, target, first, end);
    drop_tombstones(toy, rows, &count, to, 0);
    toy->written += count;
    struct toy_run made = run_of(rows, count);
    free_files(target, first, end);
    splice(target, first, end, &made);
}

static void do_level0(struct toy *toy, const struct lsm_plan *plan) {
    struct row *rows = NULL;
    size_t count = 0, after = plan->first + plan->count;
    assert_true(plan->from == 0 && plan->count >= 1 && after <= toy->level0_count);
    /* Only neighbours in age: what goes down must leave nothing older behind in level 0, nor pass a level in use. */
    if (plan->to != 0)
        assert_int_equal(after, toy->level0_count);
    else
        assert_true(plan->count >= 2);
    for (int level = 1; level < plan->to; level++) assert_int_equal(toy->levels[level].count, 0);
    bool disjoint = true;
    for (size_t r = plan->first; r < after; r++) {
        struct toy_run *run = &toy->level0[r];
        size_t before = count;
        if (rows != NULL && count != 0 && run->count != 0) disjoint &= last_row(&run->files[run->count - 1])->key < rows[0].key;
        rows = add_run(rows, &count, run, 0, run->count);
        disjoint &= count == before + run_rows(run);
        free_run(run);
    }
    toy->level0_count = plan->first;
    if (plan->to == 0) {
        drop_tombstones(toy, rows, &count, 0, 0);
        toy->written += count;
        toy->level0[toy->level0_count++] = run_of(rows, count);
        return;
    }
    uint64_t before = toy->written;
    size_t first, end;
    overlap(&toy->levels[plan->to], rows[0].key, rows[count - 1].key, &first, &end);
    disjoint &= first == end;
    into_level(toy, rows, count, plan->to);
    if (disjoint) toy->written = before, toy->moves++;
}

static void do_file(struct toy *toy, const struct lsm_plan *plan) {
    struct toy_run *from = &toy->levels[plan->from];
    assert_true(plan->from >= 1 && plan->to == plan->from + 1 && plan->to < LSM_LEVELS && plan->count == 1 && plan->first < from->count);
    struct toy_file file = from->files[plan->first];
    struct toy_run nothing = {0};
    splice(from, plan->first, plan->first + 1, &nothing);
    size_t first, end;
    overlap(&toy->levels[plan->to], file.rows[0].key, last_row(&file)->key, &first, &end);
    uint64_t before = toy->written;
    into_level(toy, file.rows, file.count, plan->to);
    if (first == end) toy->written = before, toy->moves++;
}

/* The older runs behind a merge within level 0 stay where they are. */
static void keep_older(struct toy *toy, const struct lsm_plan *plan) {
    struct toy_run older[64];
    size_t after = plan->first + plan->count, count = toy->level0_count - after;
    memcpy(older, &toy->level0[after], count * sizeof older[0]);
    toy->level0_count = after;
    do_level0(toy, plan);
    memcpy(&toy->level0[toy->level0_count], older, count * sizeof older[0]);
    toy->level0_count += count;
}

static struct lsm_plan pick(const struct toy *toy) {
    static struct lsm_shape_run runs[64];
    struct lsm_shape shape = {.level0 = runs, .level0_count = toy->level0_count};
    for (size_t r = 0; r < toy->level0_count; r++) runs[r].bytes = run_rows(&toy->level0[r]) * ROW_BYTES;
    for (int level = 1; level < LSM_LEVELS; level++) {
        const struct toy_run *run = &toy->levels[level];
        struct lsm_shape_level *at = &shape.levels[level];
        at->files = calloc(run->count + 1, sizeof *at->files);
        assert_non_null(at->files);
        at->count = run->count;
        at->bytes = run_rows(run) * ROW_BYTES;
        for (size_t i = 0; i < run->count; i++) {
            struct lsm_shape_file *file = &at->files[i];
            *file = (struct lsm_shape_file){.bytes = run->files[i].count * ROW_BYTES, .entries = run->files[i].count};
            for (size_t r = 0; r < run->files[i].count; r++) file->tombstones += run->files[i].rows[r].deleted;
            size_t first, end;
            if (level + 1 == LSM_LEVELS) continue;
            overlap(&toy->levels[level + 1], run->files[i].rows[0].key, last_row(&run->files[i])->key, &first, &end);
            for (; first < end; first++) file->overlap_bytes += toy->levels[level + 1].files[first].count * ROW_BYTES;
        }
    }
    struct lsm_plan plan = lsm_policy_pick(&shape, &toy->options);
    for (int level = 1; level < LSM_LEVELS; level++) free(shape.levels[level].files);
    return plan;
}

/* At most `most` plans; true if nothing is due any more. */
static bool work(struct toy *toy, int most) {
    for (; most > 0; most--) {
        struct lsm_plan plan = pick(toy);
        if (plan.kind == LSM_PLAN_NONE) return true;
        toy->plans++;
        if (plan.kind == LSM_PLAN_FILE)
            do_file(toy, &plan);
        else if (plan.to == 0)
            keep_older(toy, &plan);
        else
            do_level0(toy, &plan);
    }
    return false;
}

static int by_key(const void *a_void, const void *b_void) {
    const struct row *a = a_void, *b = b_void;
    return a->key < b->key ? -1 : a->key > b->key;
}

/* Make one memtable of `rows` keys given by next() and put it in front of level 0. */
static void flush(struct toy *toy, size_t rows_count, uint32_t (*next)(void *arg), void *arg, bool deletes) {
    struct row *rows = malloc(rows_count * sizeof *rows);
    size_t count = 0;
    assert_non_null(rows);
    for (size_t i = 0; i < rows_count; i++) {
        struct row row = {.key = next(arg), .version = ++toy->version, .deleted = deletes};
        assert_true(row.key < KEYS_MAX);
        toy->truth[row.key] = row;
        rows[count++] = row;
    }
    for (size_t i = 0; i < count; i++) rows[i] = toy->truth[rows[i].key]; /* of doubles the last counts */
    qsort(rows, count, sizeof *rows, by_key);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || rows[i].key != rows[kept - 1].key) rows[kept++] = rows[i];
    assert_true(toy->level0_count < 63);
    memmove(&toy->level0[1], &toy->level0[0], toy->level0_count * sizeof toy->level0[0]);
    toy->level0[0] = run_of(rows, kept);
    toy->level0_count++;
    toy->flushed += kept;
    toy->written += kept;
    if (toy->level0_count > toy->level0_most) toy->level0_most = toy->level0_count;
}

static struct toy *new_toy(void) {
    struct toy *toy = calloc(1, sizeof *toy);
    assert_non_null(toy);
    toy->options = (struct lsm_policy_options){.level0_runs = 4, .base_bytes = 4 * MEMTABLE_ROWS * ROW_BYTES, .ratio = 10};
    return toy;
}

/* Every key reads as its newest row. */
static void check_truth(const struct toy *toy) {
    for (uint32_t key = 0; key < KEYS_MAX; key++) {
        const struct row *found = NULL;
        for (size_t r = 0; r < toy->level0_count && found == NULL; r++) found = find_row(&toy->level0[r], key);
        for (int level = 1; level < LSM_LEVELS && found == NULL; level++) found = find_row(&toy->levels[level], key);
        bool gone = toy->truth[key].version == 0 || toy->truth[key].deleted;
        assert_int_equal(found == NULL || found->deleted, gone);
        if (!gone) assert_int_equal(found->version, toy->truth[key].version);
    }
}

static double amplification(const struct toy *toy) { return (double)toy->written / (double)toy->flushed; }

static void report(const struct toy *toy, const char *what) {
    uint64_t rows = 0, live = 0;
    for (size_t r = 0; r < toy->level0_count; r++) rows += run_rows(&toy->level0[r]);
    for (uint32_t key = 0; key < KEYS_MAX; key++) live += toy->truth[key].version != 0 && !toy->truth[key].deleted;
    print_message("%s: written %.2f times, %llu plans, %llu moves, level 0 at most %zu runs, rows stored / live %llu / %llu, levels", what,
                  amplification(toy), (unsigned long long)toy->plans, (unsigned long long)toy->moves, toy->level0_most,
                  (unsigned long long)(rows + run_rows(&toy->levels[1]) + run_rows(&toy->levels[2]) + run_rows(&toy->levels[3]) +
                                       run_rows(&toy->levels[4]) + run_rows(&toy->levels[5]) + run_rows(&toy->levels[6])),
                  (unsigned long long)live);
    for (int level = 1; level < LSM_LEVELS; level++) print_message(" %llu", (unsigned long long)run_rows(&toy->levels[level]));
    print_message("\n");
}

static void free_toy(struct toy *toy) {
    for (size_t r = 0; r < toy->level0_count; r++) free_run(&toy->level0[r]);
    for (int level = 1; level < LSM_LEVELS; level++) free_run(&toy->levels[level]);
    free(toy);
}

struct keys {
    uint64_t random;
    uint32_t next, range;
};

static uint32_t random_key(void *arg) {
    struct keys *keys = arg;
    return (uint32_t)kit_below(&keys->random, keys->range);
}

static uint32_t next_key(void *arg) { return ((struct keys *)arg)->next++; }

enum { FLUSHES = 1000, SETTLED = 100000 };

/* Flush and let all that is due be done. Returns the most plans after one flush. */
static void grow(struct toy *toy, int flushes, uint32_t (*next)(void *), struct keys *keys, bool deletes) {
    for (int i = 0; i < flushes; i++) {
        flush(toy, MEMTABLE_ROWS, next, keys, deletes);
        assert_true(work(toy, SETTLED)); /* it comes to an end */
        assert_true(toy->level0_count < toy->options.level0_runs);
    }
}

static void random_keys_for_a_thousand_flushes(void **state) {
    (void)state;
    struct keys keys = {.random = kit_seed(), .range = KEYS_MAX};
    struct toy *toy = new_toy();
    grow(toy, FLUSHES, random_key, &keys, false);
    report(toy, "random keys");
    check_truth(toy);
    assert_true(amplification(toy) < 20);
    free_toy(toy);
}

static void ascending_keys_for_a_thousand_flushes_are_moved_not_copied(void **state) {
    (void)state;
    struct keys keys = {0};
    struct toy *toy = new_toy();
    grow(toy, FLUSHES, next_key, &keys, false);
    report(toy, "ascending keys");
    check_truth(toy);
    assert_true(amplification(toy) < 1.01);
    free_toy(toy);
}

static void overwriting_few_keys_keeps_the_store_small(void **state) {
    (void)state;
    struct keys keys = {.random = kit_seed(), .range = 20 * MEMTABLE_ROWS};
    struct toy *toy = new_toy();
    uint64_t rows = 0;
    grow(toy, FLUSHES, random_key, &keys, false);
    report(toy, "few keys");
    check_truth(toy);
    for (int level = 1; level < LSM_LEVELS; level++) rows += run_rows(&toy->levels[level]);
    assert_true(rows < 2 * keys.range);
    assert_true(amplification(toy) < 20);
    free_toy(toy);
}

static void tiny_flushes_do_not_rewrite_the_base_each_time(void **state) {
    (void)state;
    struct keys keys = {.random = kit_seed(), .range = KEYS_MAX};
    struct toy *toy = new_toy();
    grow(toy, 50, random_key, &keys, false);
    uint64_t written = toy->written, flushed = toy->flushed;
    for (int i = 0; i < FLUSHES; i++) {
        flush(toy, 4, random_key, &keys, false);
        assert_true(work(toy, SETTLED));
        assert_true(toy->level0_count <= 3 * toy->options.level0_runs);
    }
    double each = (double)(toy->written - written) / (double)(toy->flushed - flushed);
    print_message("tiny flushes: written %.2f times, level 0 at most %zu runs\n", each, toy->level0_most);
    check_truth(toy);
    assert_true(each < 60);
    free_toy(toy);
}

static void a_slow_helper_falls_behind_but_catches_up(void **state) {
    (void)state;
    struct keys keys = {.random = kit_seed(), .range = KEYS_MAX};
    struct toy *toy = new_toy();
    for (int i = 0; i < 300; i++) {
        flush(toy, MEMTABLE_ROWS, random_key, &keys, false);
        (void)work(toy, 1);                              /* not all that is due */
        if (toy->level0_count > 20) (void)work(toy, 40); /* the writer is slowed down */
    }
    report(toy, "slow helper");
    assert_true(toy->level0_most > 4 && toy->level0_most < 40);
    assert_true(work(toy, SETTLED));
    assert_true(toy->level0_count < toy->options.level0_runs);
    report(toy, "then settled");
    check_truth(toy);
    free_toy(toy);
}

static void a_store_emptied_and_filled_again_costs_no_more_than_the_first_time(void **state) {
    (void)state;
    struct keys keys = {.random = kit_seed(), .range = KEYS_MAX};
    struct toy *toy = new_toy();
    grow(toy, 400, random_key, &keys, false);
    double first = amplification(toy);
    report(toy, "filled");
    toy->written = toy->flushed = 0;
    keys.next = 0;
    grow(toy, KEYS_MAX / MEMTABLE_ROWS, next_key, &keys, true); /* delete every key there is */
    report(toy, "emptied");
    check_truth(toy);
    uint64_t rows = 0;
    for (int level = 1; level < LSM_LEVELS; level++) rows += run_rows(&toy->levels[level]);
    assert_true(rows < 20 * MEMTABLE_ROWS);
    toy->written = toy->flushed = 0;
    grow(toy, 400, random_key, &keys, false);
    report(toy, "filled again");
    check_truth(toy);
    assert_true(amplification(toy) < first + 2);
    free_toy(toy);
}

/* When the trees that filled the bottom are dropped, a file of another tree may be left in a level that the store is now too small for. */
static void what_is_left_high_up_does_not_stay_in_the_way(void **state) {
    (void)state;
    uint64_t seed = kit_seed();
    double written[2] = {0};
    for (int left = 0; left <= 1; left++) {
        struct keys keys = {.random = seed, .range = KEYS_MAX};
        struct toy *toy = new_toy();
        flush(toy, MEMTABLE_ROWS, random_key, &keys, false);
        if (left == 1) toy->levels[2] = toy->level0[0], toy->level0_count = 0;
        grow(toy, 400, random_key, &keys, false);
        report(toy, left == 0 ? "nothing left" : "a file left in level 2");
        check_truth(toy);
        assert_int_equal(toy->levels[2].count, 0);
        written[left] = amplification(toy);
        free_toy(toy);
    }
    assert_true(written[1] < written[0] + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_keys_for_a_thousand_flushes),
        cmocka_unit_test(ascending_keys_for_a_thousand_flushes_are_moved_not_copied),
        cmocka_unit_test(overwriting_few_keys_keeps_the_store_small),
        cmocka_unit_test(tiny_flushes_do_not_rewrite_the_base_each_time),
        cmocka_unit_test(a_slow_helper_falls_behind_but_catches_up),
        cmocka_unit_test(a_store_emptied_and_filled_again_costs_no_more_than_the_first_time),
        cmocka_unit_test(what_is_left_high_up_does_not_stay_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
