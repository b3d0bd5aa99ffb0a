/* Versions: edits applied in memory, what does not fit refused, lookup against plain search. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/version/version.h"

static struct lsm_error err;

/* Keys are "\0\0\0\1" and one letter; high 0: the range ends, exclusively, at the end of the tree. */
static struct lsm_file_meta *meta_of(uint64_t number, char low, char high, bool exclusive) {
    struct lsm_file_meta *meta = lsm_file_meta_new();
    assert_non_null(meta);
    uint8_t key[5] = {0, 0, 0, 1, (uint8_t)low};
    meta->number = number;
    meta->bytes = 100 + number;
    assert_int_equal(lsm_buf_set(&meta->smallest, lsm_slice_of(key, 5)), LSM_OK);
    key[4] = (uint8_t)high;
    if (high == 0) key[3] = 2;
    assert_int_equal(lsm_buf_set(&meta->largest, lsm_slice_of(key, high == 0 ? 4 : 5)), LSM_OK);
    meta->largest_exclusive = exclusive || high == 0;
    return meta;
}

static void add(struct lsm_edit *edit, int level, uint64_t run, uint64_t number, const char *range) {
    struct lsm_file_meta *meta = meta_of(number, range[0], range[1], range[1] != 0 && range[2] == ')');
    assert_int_equal(lsm_edit_add_file(edit, level, run, meta), LSM_OK);
    lsm_file_meta_unref(meta);
}

/* Apply and forget the edit. */
static int apply(const struct lsm_version *base, struct lsm_edit *edit, struct lsm_version **version) {
    err = (struct lsm_error){0};
    int status = lsm_version_apply(base, edit, version, &err);
    if (status != LSM_OK) assert_null(*version);
    if (status != LSM_OK) assert_int_equal(err.code, status);
    lsm_edit_release(edit);
    return status;
}

static void destroy(struct lsm_version *version) {
    assert_true(lsm_version_unref(version));
    lsm_version_destroy(version);
}

struct text {
    char text[1000];
    size_t length;
};

static bool describe_one(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct text *out = arg;
    out->length += (size_t)snprintf(out->text + out->length, sizeof out->text - out->length, "%d.%zu:%d ", level, run, (int)meta->number);
    return true;
}

static void expect(const struct lsm_version *version, const char *files) {
    struct text out = {0};
    lsm_version_each(version, describe_one, &out);
    assert_string_equal(out.text, files);
    uint64_t bytes = 0;
    size_t count = 0;
    for (size_t r = 0; r < version->level0_count; r++) bytes += version->level0[r].bytes, count += version->level0[r].count;
    for (int level = 1; level < LSM_LEVELS; level++) bytes += version->levels[level].bytes, count += version->levels[level].count;
    assert_true(bytes == version->bytes);
    assert_int_equal(count, version->files);
}

static struct lsm_version *some_version(void) {
    struct lsm_version *version;
    struct lsm_edit edit = {0};
    add(&edit, 2, 0, 20, "fh");
    add(&edit, 0, 5, 11, "mp"); /* of one run, given in the wrong order */
    add(&edit, 0, 5, 10, "ac");
    add(&edit, 0, 9, 12, "az");
    add(&edit, 2, 0, 21, "ac");
    add(&edit, 6, 0, 30, "bx");
    assert_int_equal(apply(NULL, &edit, &version), LSM_OK);
    return version;
}

static void files_are_ordered_by_age_then_by_key(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_version *version = some_version();
    expect(version, "0.0:12 0.1:10 0.1:11 2.0:21 2.0:20 6.0:30 ");
    assert_int_equal(version->level0_count, 2);
    assert_int_equal(version->level0[0].number, 9);
    assert_int_equal(version->level0[1].number, 5);
    destroy(version);
    struct lsm_edit nothing = {0};
    assert_int_equal(apply(NULL, &nothing, &version), LSM_OK);
    expect(version, "");
    destroy(version);
    assert_int_equal(lsm_mem_live(), live);
}

static void an_edit_changes_what_it_names_and_nothing_else(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_version *base = some_version(), *next, *last;
    struct lsm_edit edit = {0};
    assert_int_equal(lsm_edit_remove_file(&edit, 10), LSM_OK);
    assert_int_equal(lsm_edit_remove_file(&edit, 20), LSM_OK);
    assert_int_equal(lsm_edit_remove_file(&edit, 12), LSM_OK);
    add(&edit, 1, 0, 40, "az");
    add(&edit, 2, 0, 41, "fg");
    add(&edit, 0, 12, 42, "aa");
    assert_int_equal(apply(base, &edit, &next), LSM_OK);
    expect(next, "0.0:42 0.1:11 1.0:40 2.0:21 2.0:41 6.0:30 ");
    expect(base, "0.0:12 0.1:10 0.1:11 2.0:21 2.0:20 6.0:30 ");
    edit = (struct lsm_edit){.full = true}; /* everything anew */
    add(&edit, 3, 0, 50, "ab");
    assert_int_equal(apply(next, &edit, &last), LSM_OK);
    expect(last, "3.0:50 ");
    destroy(base); /* in any order */
    destroy(last);
    expect(next, "0.0:42 0.1:11 1.0:40 2.0:21 2.0:41 6.0:30 ");
    destroy(next);
    assert_int_equal(lsm_mem_live(), live);
}

static void a_file_both_removed_and_added_moves(void **state) {
    (void)state;
    struct lsm_version *base = some_version(), *next;
    struct lsm_edit edit = {0};
    struct lsm_file_meta *meta = base->levels[2].files[1];
    assert_int_equal(lsm_edit_remove_file(&edit, meta->number), LSM_OK);
    assert_int_equal(lsm_edit_add_file(&edit, 3, 0, meta), LSM_OK);
    assert_int_equal(apply(base, &edit, &next), LSM_OK);
    expect(next, "0.0:12 0.1:10 0.1:11 2.0:21 3.0:20 6.0:30 ");
    assert_ptr_equal(next->levels[3].files[0], meta);
    assert_int_equal(atomic_load(&meta->refs), 2);
    destroy(base);
    assert_int_equal(atomic_load(&meta->refs), 1);
    destroy(next);
}

/* A file in two places would be removed twice, by an edit that nobody can read. */
static void adding_what_is_there_is_refused(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_version *base = some_version(), *next;
    struct lsm_file_meta *files[] = {base->level0[1].files[1], base->levels[2].files[0], base->levels[6].files[0]};
    for (size_t i = 0; i < 3; i++) {
        struct lsm_edit edit = {0};
        char words[80];
        assert_int_equal(lsm_edit_add_file(&edit, 4, 0, files[i]), LSM_OK);
        (void)snprintf(words, sizeof words, "adds table file %llu, which is in the store", (unsigned long long)files[i]->number);
        edit.full = true; /* in place of all that is there, it may */
        assert_int_equal(lsm_version_apply(base, &edit, &next, NULL), LSM_OK);
        destroy(next);
        edit.full = false;
        assert_int_equal(lsm_version_apply(base, &edit, &next, &err), LSM_CORRUPT);
        assert_non_null(strstr(err.text, words));
        lsm_edit_release(&edit);
    }
    destroy(base);
    assert_int_equal(lsm_mem_live(), live);
}

static void removing_what_is_not_there_is_refused(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_version *base = some_version(), *next;
    struct lsm_edit edit = {0};
    assert_int_equal(lsm_edit_remove_file(&edit, 99), LSM_OK);
    assert_int_equal(apply(base, &edit, &next), LSM_CORRUPT);
    assert_int_equal(lsm_edit_remove_file(&edit, 10), LSM_OK);
    assert_int_equal(lsm_edit_remove_file(&edit, 10), LSM_OK);
    assert_int_equal(apply(base, &edit, &next), LSM_CORRUPT);
    assert_int_equal(lsm_edit_remove_file(&edit, 10), LSM_OK);
    assert_int_equal(apply(NULL, &edit, &next), LSM_CORRUPT);
    expect(base, "0.0:12 0.1:10 0.1:11 2.0:21 2.0:20 6.0:30 ");
    destroy(base);
    assert_int_equal(lsm_mem_live(), live);
}

static int try_beside(int level, uint64_t run, const char *range) {
    struct lsm_version *base = some_version(), *next;
    struct lsm_edit edit = {0};
    add(&edit, level, run, 60, range);
    int status = apply(base, &edit, &next);
    if (status == LSM_OK) destroy(next);
    destroy(base);
    return status;
}

static void overlap_within_a_run_is_refused(void **state) {
    (void)state;
    static const char *const against_ac_and_fh[] = {"aa", "bb", "cc", "cd", "az", "ef", "gg", "hh", "hz", "df", "eg"};
    int64_t live = lsm_mem_live();
    for (size_t i = 0; i < sizeof against_ac_and_fh / sizeof against_ac_and_fh[0]; i++) {
        assert_int_equal(try_beside(2, 0, against_ac_and_fh[i]), LSM_CORRUPT);
        assert_int_equal(try_beside(1, 0, against_ac_and_fh[i]), LSM_OK);
        assert_int_equal(try_beside(0, 7, against_ac_and_fh[i]), LSM_OK); /* runs of level 0 may overlap each other */
    }
    assert_int_equal(try_beside(2, 0, "de"), LSM_OK);
    assert_int_equal(try_beside(2, 0, "iz"), LSM_OK);
    assert_int_equal(try_beside(2, 0, "i\0"), LSM_OK);
    assert_int_equal(try_beside(2, 0, "df)"), LSM_OK); /* ends where the next begins */
    assert_int_equal(try_beside(2, 0, "dg)"), LSM_CORRUPT);
    assert_int_equal(try_beside(2, 0, "cd)"), LSM_CORRUPT);
    assert_int_equal(try_beside(0, 5, "bb"), LSM_CORRUPT);
    assert_int_equal(try_beside(0, 5, "dl"), LSM_OK);
    assert_int_equal(lsm_mem_live(), live);
}

static void out_of_memory_changes_nothing(void **state) {
    (void)state;
    struct lsm_version *base = some_version(), *next = NULL;
    int64_t live = lsm_mem_live();
    int failures = 0;
    for (int64_t n = 1;; n++) {
        struct lsm_edit edit = {0};
        assert_int_equal(lsm_edit_remove_file(&edit, 10), LSM_OK);
        add(&edit, 4, 0, 70, "az");
        lsm_mem_fail_after(n, false);
        int status = apply(base, &edit, &next);
        lsm_mem_fail_after(0, false);
        if (status == LSM_OK) break;
        assert_int_equal(status, LSM_NOMEM);
        assert_int_equal(lsm_mem_live(), live);
        failures++;
    }
    assert_true(failures >= 6);
    destroy(next);
    assert_int_equal(lsm_mem_live(), live);
    destroy(base);
}

static void references_are_counted(void **state) {
    (void)state;
    struct lsm_version *version = some_version();
    lsm_version_ref(version);
    lsm_version_ref(version);
    assert_false(lsm_version_unref(version));
    assert_false(lsm_version_unref(version));
    destroy(version);
}

static bool stop_after(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    int *left = arg;
    (void)level, (void)run, (void)meta;
    return --*left > 0;
}

static void each_stops_when_told(void **state) {
    (void)state;
    struct lsm_version *version = some_version();
    for (int stop = 1; stop <= 6; stop++) {
        int left = stop;
        lsm_version_each(version, stop_after, &left);
        assert_int_equal(left, 0);
    }
    destroy(version);
}

/* The slow way. */
static bool may_hold(const struct lsm_file_meta *meta, struct lsm_slice key) {
    int order = lsm_slice_compare(key, lsm_buf_slice(&meta->largest));
    return lsm_slice_compare(lsm_buf_slice(&meta->smallest), key) <= 0 && (order < 0 || (order == 0 && !meta->largest_exclusive));
}

static void a_key_is_found_in_the_only_file_that_may_hold_it(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    for (int round = 0; round < 300; round++) {
        struct lsm_edit edit = {0};
        struct lsm_version *version;
        uint64_t number = 1;
        for (int c = 1 + (int)kit_below(&random, 8); c < 110; number++) { /* gaps, single keys, files that touch */
            int end = c + (int)kit_below(&random, 9);
            bool exclusive = end > c && kit_below(&random, 2) == 0;
            char range[4] = {(char)c, (char)end, exclusive ? ')' : '\0'};
            add(&edit, 1, 0, number, range);
            c = end + (exclusive ? 0 : 1) + (int)kit_below(&random, 2) * (int)kit_below(&random, 9);
        }
        assert_int_equal(apply(NULL, &edit, &version), LSM_OK);
        const struct lsm_run *run = &version->levels[1];
        for (int c = 0; c < 128; c++)
            for (size_t size = 4; size <= 6; size++) {
                uint8_t bytes[6] = {0, 0, 0, 1, (uint8_t)c, 0};
                struct lsm_slice key = lsm_slice_of(bytes, size);
                struct lsm_file_meta *holder = NULL;
                size_t first = 0;
                for (size_t i = 0; i < run->count; i++) {
                    if (may_hold(run->files[i], key)) holder = run->files[i];
                    int order = lsm_slice_compare(lsm_buf_slice(&run->files[i]->largest), key);
                    first += order < 0 || (order == 0 && run->files[i]->largest_exclusive);
                }
                assert_int_equal(lsm_run_find(run, key), first);
                assert_ptr_equal(lsm_run_file(run, key), holder);
            }
        destroy(version);
    }
    struct lsm_run empty = {0};
    assert_int_equal(lsm_run_find(&empty, lsm_slice_of("a", 1)), 0);
    assert_null(lsm_run_file(&empty, lsm_slice_of("a", 1)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_ordered_by_age_then_by_key),
        cmocka_unit_test(an_edit_changes_what_it_names_and_nothing_else),
        cmocka_unit_test(a_file_both_removed_and_added_moves),
        cmocka_unit_test(adding_what_is_there_is_refused),
        cmocka_unit_test(removing_what_is_not_there_is_refused),
        cmocka_unit_test(overlap_within_a_run_is_refused),
        cmocka_unit_test(out_of_memory_changes_nothing),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(each_stops_when_told),
        cmocka_unit_test(a_key_is_found_in_the_only_file_that_may_hold_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
