/* memtable_test.c: what the memtable promises, by example. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../lsm_core/mem/memtable.h"

static struct lsm_slice text(const char *s) { return lsm_slice_of(s, strlen(s)); }

static void put_text(struct lsm_memtable *mt, const char *key, const char *value, uint64_t sequence) {
    assert_int_equal(LSM_OK, lsm_memtable_put(mt, LSM_KIND_PUT, text(key), text(value), sequence));
}

static void a_reader_sees_the_newest_version_below_its_position(void **state) {
    (void)state;
    lsm_memtable_free(NULL);
    struct lsm_memtable *mt = lsm_memtable_new(text("t"));
    struct lsm_mem_hit hit;
    assert_non_null(mt);
    put_text(mt, "t1", "old", 10);
    put_text(mt, "t1", "new", 20);
    assert_int_equal(LSM_OK, lsm_memtable_put(mt, LSM_KIND_DELETE, text("t1"), text("ignored"), 30));
    assert_false(lsm_memtable_get(mt, text("t1"), 10, &hit));
    assert_true(lsm_memtable_get(mt, text("t1"), 11, &hit));
    assert_memory_equal(hit.value.data, "old", 3);
    assert_true(lsm_memtable_get(mt, text("t1"), 20, &hit));
    assert_int_equal(hit.sequence, 10);
    assert_true(lsm_memtable_get(mt, text("t1"), 30, &hit));
    assert_int_equal(hit.sequence, 20);
    assert_true(lsm_memtable_get(mt, text("t1"), 31, &hit));
    assert_int_equal(hit.kind, LSM_KIND_DELETE);
    assert_int_equal(hit.value.size, 0);
    assert_false(lsm_memtable_get(mt, text("t"), 99, &hit));
    assert_false(lsm_memtable_get(mt, text("t11"), 99, &hit));
    lsm_memtable_free(mt);
}

static void a_view_outlives_the_undo_of_what_it_never_saw(void **state) {
    (void)state;
    struct lsm_memtable *mt = lsm_memtable_new(text(""));
    struct lsm_memtable_iter it;
    assert_non_null(mt);
    put_text(mt, "b", "1", 1);
    put_text(mt, "d", "2", 2);
    lsm_memtable_iter_init(&it, mt, 3);
    lsm_iter_first(&it.base);
    put_text(mt, "b", "x", 3);
    put_text(mt, "c", "x", 4);
    put_text(mt, "e", "x", 5);
    lsm_memtable_undo(mt, text("c"), 3);
    lsm_memtable_undo(mt, text("b"), 3);
    lsm_memtable_undo(mt, text("e"), 3);
    put_text(mt, "a", "3", 3);
    lsm_iter_next(&it.base);
    assert_true(it.base.valid);
    assert_memory_equal(it.base.key.data, "d", 1);
    lsm_iter_next(&it.base);
    assert_false(it.base.valid);
    lsm_iter_seek_before(&it.base, text("c"));
    assert_true(it.base.valid);
    assert_memory_equal(it.base.value.data, "1", 1);
    lsm_iter_prev(&it.base);
    assert_false(it.base.valid);
    lsm_memtable_free(mt);
}

static void an_iterator_meets_every_key_of_its_position_while_the_table_grows_under_it(void **state) {
    (void)state;
    enum { KEYS = 2000 };
    struct lsm_memtable *mt = lsm_memtable_new(text(""));
    struct lsm_memtable_iter up, down;
    char key[48];
    assert_non_null(mt);
    uint64_t sequence = 1;
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "%05d5", (i * 7) % KEYS);
        put_text(mt, key, "v", sequence++);
    }
    lsm_memtable_iter_init(&up, mt, sequence);
    lsm_memtable_iter_init(&down, mt, sequence);
    lsm_iter_first(&up.base);
    lsm_iter_last(&down.base);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "%05d5", i);
        assert_true(up.base.valid);
        assert_memory_equal(up.base.key.data, key, 6);
        (void)snprintf(key, sizeof key, "%05d5", KEYS - 1 - i);
        assert_true(down.base.valid);
        assert_memory_equal(down.base.key.data, key, 6);
        /* New neighbours on both sides of both, far more than a node holds, and rebuilds on the way. */
        for (int n = 0; n < 10; n++) {
            int near = n % 2 == 0 ? i : KEYS - 1 - i;
            (void)snprintf(key, sizeof key, "%05d%d%d", near, n, i % 10);
            put_text(mt, key, "w", sequence++);
        }
        lsm_iter_next(&up.base);
        lsm_iter_prev(&down.base);
    }
    assert_false(up.base.valid);
    assert_false(down.base.valid);
    assert_null(lsm_memtable_check(mt));
    lsm_memtable_free(mt);
}

static void keys_and_values_of_the_greatest_sizes_are_kept_and_greater_ones_refused(void **state) {
    (void)state;
    struct lsm_memtable *mt = lsm_memtable_new(text(""));
    size_t key_bytes = LSM_KEY_BYTES_MAX + LSM_TREE_BYTES, big = (size_t)48 << 20;
    uint8_t *bytes = calloc(1, big);
    struct lsm_mem_hit hit;
    assert_non_null(mt);
    assert_non_null(bytes);
    bytes[big - 1] = 9;
    for (uint8_t i = 0; i < 3; i++) {
        bytes[0] = i;
        assert_int_equal(LSM_OK, lsm_memtable_put(mt, LSM_KIND_PUT, lsm_slice_of(bytes, key_bytes), lsm_slice_of(bytes, i == 1 ? big : 5), 1u + i));
    }
    assert_int_equal(LSM_TOOBIG, lsm_memtable_put(mt, LSM_KIND_PUT, lsm_slice_of(bytes, key_bytes + 1), lsm_slice_of(bytes, 1), 9));
    assert_int_equal(LSM_TOOBIG, lsm_memtable_put(mt, LSM_KIND_PUT, lsm_slice_of(bytes, 1), lsm_slice_of(bytes, LSM_VALUE_BYTES_MAX + 1), 9));
    assert_int_equal(LSM_TOOBIG, lsm_memtable_delete_range(mt, lsm_slice_of(bytes, 1), lsm_slice_of(bytes, key_bytes + 1), 9));
    assert_int_equal(LSM_TOOBIG, lsm_memtable_delete_range(mt, lsm_slice_of(bytes, key_bytes + 1), lsm_slice_of(bytes, 1), 9));
    assert_int_equal(lsm_memtable_keys(mt), 3);
    for (uint8_t i = 0; i < 3; i++) {
        bytes[0] = i;
        assert_true(lsm_memtable_get(mt, lsm_slice_of(bytes, key_bytes), 9, &hit));
        assert_int_equal(hit.sequence, 1 + i);
        assert_int_equal(hit.value.size, i == 1 ? big : 5);
        assert_int_equal(hit.value.data[0], i);
        if (i == 1) assert_int_equal(hit.value.data[big - 1], 9);
    }
    assert_true(lsm_memtable_bytes(mt) >= 3 * key_bytes + big);
    free(bytes);
    lsm_memtable_free(mt);
}

static void a_table_of_a_few_rows_is_small(void **state) {
    (void)state;
    struct lsm_memtable *mt = lsm_memtable_new(text("t"));
    assert_non_null(mt);
    for (int i = 0; i < 10; i++) {
        char key[48];
        (void)snprintf(key, sizeof key, "t%05d", i);
        put_text(mt, key, "0123456789012345678901234567890123456789", (uint64_t)i + 1);
    }
    assert_true(lsm_memtable_bytes(mt) <= 6500);
    lsm_memtable_free(mt);
}

static void ascending_keys_fill_their_nodes(void **state) {
    (void)state;
    struct lsm_memtable *ascending = lsm_memtable_new(text("")), *shuffled = lsm_memtable_new(text(""));
    assert_non_null(ascending);
    assert_non_null(shuffled);
    for (unsigned i = 0; i < 100000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "user%016u", i);
        put_text(ascending, key, "", i + 1);
        (void)snprintf(key, sizeof key, "user%016u", (i * 7919u) % 100000u);
        put_text(shuffled, key, "", i + 1);
    }
    assert_null(lsm_memtable_check(ascending));
    assert_null(lsm_memtable_check(shuffled));
    assert_true(lsm_memtable_bytes(ascending) < lsm_memtable_bytes(shuffled));
    /* 28 bytes of entry, 16 of version, 20 of a full node; the rest is slack of chunks and rebuilt indexes. */
    assert_true(lsm_memtable_bytes(ascending) < (size_t)100000 * 80);
    lsm_memtable_free(ascending);
    lsm_memtable_free(shuffled);
}

static void estimates_are_exact_for_small_ranges_and_near_for_large_ones(void **state) {
    (void)state;
    enum { KEYS = 50000 };
    struct lsm_memtable *mt = lsm_memtable_new(text(""));
    char low[48], high[48];
    assert_non_null(mt);
    struct lsm_slice a = text("a");
    assert_int_equal(lsm_memtable_estimate(mt, NULL, NULL), 0);
    assert_int_equal(lsm_memtable_estimate(mt, &a, NULL), 0);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(low, sizeof low, "%08u", (i * 7919u) % KEYS);
        put_text(mt, low, "", i + 1);
    }
    static const unsigned sizes[] = {0, 1, 2, 15, 60, 500, 3000, 20000, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (unsigned from = 0; from + sizes[i] < KEYS; from += 1231) {
            (void)snprintf(low, sizeof low, "%08u", from);
            (void)snprintf(high, sizeof high, "%08u", from + sizes[i]);
            struct lsm_slice from_key = text(low), to_key = text(high);
            size_t estimate = lsm_memtable_estimate(mt, &from_key, &to_key);
            if (sizes[i] <= 60) assert_int_equal(estimate, sizes[i]);
            assert_true(estimate * 3 >= sizes[i] && estimate <= (size_t)sizes[i] * 3);
            if (sizes[i] == 500) assert_int_equal(lsm_memtable_estimate(mt, &to_key, &from_key), 0);
        }
    }
    assert_int_equal(lsm_memtable_estimate(mt, NULL, NULL), KEYS);
    struct lsm_slice end = text("00000007");
    assert_int_equal(lsm_memtable_estimate(mt, NULL, &end), 7);
    end = text("00049990");
    assert_int_equal(lsm_memtable_estimate(mt, &end, NULL), 10);
    lsm_memtable_free(mt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_sees_the_newest_version_below_its_position),
        cmocka_unit_test(a_view_outlives_the_undo_of_what_it_never_saw),
        cmocka_unit_test(an_iterator_meets_every_key_of_its_position_while_the_table_grows_under_it),
        cmocka_unit_test(keys_and_values_of_the_greatest_sizes_are_kept_and_greater_ones_refused),
        cmocka_unit_test(a_table_of_a_few_rows_is_small),
        cmocka_unit_test(ascending_keys_fill_their_nodes),
        cmocka_unit_test(estimates_are_exact_for_small_ranges_and_near_for_large_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
