#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../lsm_core/version/file_meta.h"

static struct lsm_file_meta *meta_of(const char *smallest, const char *largest, bool exclusive) {
    struct lsm_file_meta *meta = lsm_file_meta_new();
    assert_non_null(meta);
    assert_int_equal(lsm_buf_append(&meta->smallest, smallest, strlen(smallest)), LSM_OK);
    assert_int_equal(lsm_buf_append(&meta->largest, largest, strlen(largest)), LSM_OK);
    meta->largest_exclusive = exclusive;
    return meta;
}

static bool overlaps(const struct lsm_file_meta *meta, const char *low, const char *high) {
    struct lsm_slice a = lsm_slice_of(low, low == NULL ? 0 : strlen(low)), b = lsm_slice_of(high, high == NULL ? 0 : strlen(high));
    return lsm_file_meta_overlaps(meta, low == NULL ? NULL : &a, high == NULL ? NULL : &b);
}

static void a_range_overlaps_if_it_touches_smallest_to_largest(void **state) {
    (void)state;
    struct lsm_file_meta *meta = meta_of("d", "m", false);
    assert_true(overlaps(meta, NULL, NULL));
    assert_true(overlaps(meta, "a", "d") && overlaps(meta, "m", "z") && overlaps(meta, "e", "f") && overlaps(meta, "a", "z"));
    assert_true(overlaps(meta, NULL, "d") && overlaps(meta, "m", NULL));
    assert_false(overlaps(meta, "a", "c") || overlaps(meta, "ma", "z") || overlaps(meta, NULL, "c") || overlaps(meta, "n", NULL));
    lsm_file_meta_unref(meta);
}

static void an_exclusive_end_is_not_part_of_the_file(void **state) {
    (void)state;
    struct lsm_file_meta *meta = meta_of("d", "m", true);
    assert_true(overlaps(meta, "lzz", "m"));
    assert_false(overlaps(meta, "m", "z") || overlaps(meta, "m", NULL));
    lsm_file_meta_unref(meta);
}

static void the_last_reference_frees(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_file_meta *meta = meta_of("a", "b", false);
    lsm_file_meta_ref(meta);
    lsm_file_meta_unref(meta);
    assert_int_equal(meta->smallest.size, 1);
    lsm_file_meta_unref(meta);
    assert_int_equal(lsm_mem_live(), live);
    lsm_mem_fail_after(1, false);
    assert_null(lsm_file_meta_new());
    lsm_mem_fail_after(0, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_overlaps_if_it_touches_smallest_to_largest),
        cmocka_unit_test(an_exclusive_end_is_not_part_of_the_file),
        cmocka_unit_test(the_last_reference_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
