/* Errors, memory with its hooks for tests, growable bytes, slices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>

#include "../../lsm_core/base/base.h"
#include "../../lsm_core/env/sync.h"

/* ---- errors ----------------------------------------------------------------------------------------------------- */

static void every_status_has_its_own_name(void **state) {
    (void)state;
    for (int a = LSM_UNDECIDED; a <= LSM_OK; a++) {
        assert_int_equal(strncmp(lsm_status_name(a), "LSM_", 4), 0);
        assert_string_not_equal(lsm_status_name(a), "LSM_UNKNOWN");
        for (int b = LSM_UNDECIDED; b < a; b++) assert_string_not_equal(lsm_status_name(a), lsm_status_name(b));
    }
    assert_string_equal(lsm_status_name(LSM_OK), "LSM_OK");
    assert_string_equal(lsm_status_name(LSM_CORRUPT), "LSM_CORRUPT");
    assert_string_equal(lsm_status_name(LSM_UNDECIDED), "LSM_UNDECIDED");
    static const int strangers[] = {1, 2, INT_MAX, INT_MIN, INT_MIN + 1, LSM_UNDECIDED - 1};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) assert_string_equal(lsm_status_name(strangers[i]), "LSM_UNKNOWN");
}

static void a_failure_fills_the_error_and_returns_its_status(void **state) {
    (void)state;
    struct lsm_error err = {.os_errno = 5};
    assert_int_equal(lsm_fail(&err, LSM_CORRUPT, "%s: offset %d", "a.sst", 17), LSM_CORRUPT);
    assert_int_equal(err.code, LSM_CORRUPT);
    assert_int_equal(err.os_errno, 0);
    assert_string_equal(err.text, "a.sst: offset 17");
    assert_int_equal(lsm_fail(NULL, LSM_BUSY, "nobody listens %d", 1), LSM_BUSY);
    assert_int_equal(lsm_fail_nomem(&err, 123), LSM_NOMEM);
    assert_int_equal(err.code, LSM_NOMEM);
    assert_non_null(strstr(err.text, "123"));
    assert_int_equal(lsm_fail_nomem(NULL, 123), LSM_NOMEM);
}

static void a_message_too_long_is_cut_and_terminated(void **state) {
    (void)state;
    struct lsm_error err;
    char text[2000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(lsm_fail(&err, LSM_IO, "%s", text), LSM_IO);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static void what_is_allocated_is_counted_until_it_is_freed(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    uint64_t calls = lsm_mem_calls();
    void *a = lsm_malloc(10), *b = lsm_calloc(3, 5), *none = lsm_malloc(0), *no_elements = lsm_calloc(0, 0);
    char *text = lsm_strdup("words");
    assert_true(a != NULL && b != NULL && none != NULL && no_elements != NULL);
    assert_string_equal(text, "words");
    for (size_t i = 0; i < 15; i++) assert_int_equal(((uint8_t *)b)[i], 0);
    assert_int_equal(lsm_mem_live(), live + 5);
    assert_int_equal(lsm_mem_calls(), calls + 5);
    memcpy(a, "0123456789", 10);
    void *grown = lsm_realloc(a, 4000);
    assert_non_null(grown);
    assert_memory_equal(grown, "0123456789", 10);
    grown = lsm_realloc(grown, 0); /* of no bytes, but there */
    assert_non_null(grown);
    lsm_prefault(grown, 1); /* not a page in it: nothing to do */
    void *fresh = lsm_realloc(NULL, 7);
    assert_non_null(fresh);
    assert_int_equal(lsm_mem_live(), live + 6);
    assert_int_equal(lsm_mem_calls(), calls + 8);
    lsm_free(NULL);
    void *const all[] = {grown, b, none, no_elements, text, fresh};
    for (size_t i = 0; i < 6; i++) lsm_free(all[i]);
    assert_int_equal(lsm_mem_live(), live);
}

static void the_nth_allocation_fails_and_no_other(void **state) {
    (void)state;
    for (int64_t n = 1; n <= 6; n++) {
        lsm_mem_fail_after(n, false);
        for (int64_t i = 1; i <= 8; i++) {
            void *memory = i % 3 == 0 ? lsm_calloc(1, 8) : i % 3 == 1 ? lsm_malloc(8) : lsm_realloc(NULL, 8);
            assert_int_equal(memory == NULL, i == n);
            lsm_free(memory);
        }
    }
    lsm_mem_fail_after(0, false);
}

static void a_sticky_failure_lasts_until_it_is_switched_off(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    void *kept = lsm_malloc(8);
    assert_non_null(kept);
    lsm_mem_fail_after(3, true);
    for (int i = 1; i <= 10; i++) {
        void *memory = lsm_malloc(8);
        assert_int_equal(memory == NULL, i >= 3);
        lsm_free(memory);
    }
    assert_null(lsm_realloc(kept, 100)); /* the old piece stays */
    assert_null(lsm_strdup("a"));
    lsm_mem_fail_after(0, false);
    void *again = lsm_malloc(8);
    assert_non_null(again);
    lsm_free(again);
    lsm_free(kept);
    assert_int_equal(lsm_mem_live(), live);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void allocate_and_free(void *arg) {
    uint64_t *failures = arg;
    for (int i = 0; i < ROUNDS; i++) {
        void *memory = lsm_malloc((size_t)(i % 64));
        *failures += memory == NULL;
        lsm_free(memory);
    }
}

static void counts_are_exact_among_threads_and_one_failure_hits_once(void **state) {
    (void)state;
    struct lsm_thread threads[THREADS];
    uint64_t failures[THREADS] = {0}, all = 0, calls = lsm_mem_calls();
    int64_t live = lsm_mem_live();
    lsm_mem_fail_after(THREADS * ROUNDS / 2, false);
    for (int i = 0; i < THREADS; i++) assert_int_equal(lsm_thread_start(&threads[i], "alloc", allocate_and_free, &failures[i]), LSM_OK);
    for (int i = 0; i < THREADS; i++) lsm_thread_join(&threads[i]);
    lsm_mem_fail_after(0, false);
    for (int i = 0; i < THREADS; i++) all += failures[i];
    assert_int_equal(all, 1);
    assert_int_equal(lsm_mem_live(), live);
    assert_true(lsm_mem_calls() - calls >= THREADS * ROUNDS);
}

/* ---- growable bytes --------------------------------------------------------------------------------------------- */

static void a_buffer_keeps_what_is_appended(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_buf buf = {0};
    uint8_t expected[5000];
    size_t size = 0;
    assert_int_equal(lsm_buf_append(&buf, NULL, 0), LSM_OK);
    assert_null(buf.data);
    while (size + 97 < sizeof expected) {
        size_t more = size % 97;
        for (size_t i = 0; i <= more; i++) expected[size + i] = (uint8_t)(size + i * 7);
        assert_int_equal(lsm_buf_append(&buf, expected + size, more + 1), LSM_OK);
        size += more + 1;
        assert_int_equal(buf.size, size);
        assert_true(buf.capacity >= size);
    }
    assert_memory_equal(buf.data, expected, size);
    assert_true(lsm_slice_equal(lsm_buf_slice(&buf), lsm_slice_of(expected, size)));
    const uint8_t *memory = buf.data;
    lsm_buf_reset(&buf);
    assert_int_equal(buf.size, 0);
    assert_int_equal(lsm_buf_set(&buf, lsm_slice_of("abc", 3)), LSM_OK);
    assert_ptr_equal(buf.data, memory);
    assert_memory_equal(buf.data, "abc", 3);
    assert_int_equal(lsm_buf_set(&buf, (struct lsm_slice){0}), LSM_OK);
    assert_int_equal(buf.size, 0);
    lsm_buf_free(&buf);
    assert_true(buf.data == NULL && buf.size == 0 && buf.capacity == 0);
    assert_int_equal(lsm_buf_append(&buf, "x", 1), LSM_OK); /* usable again */
    lsm_buf_free(&buf);
    assert_int_equal(lsm_mem_live(), live);
}

static void a_buffer_reserves_room_without_moving_later(void **state) {
    (void)state;
    struct lsm_buf buf = {0};
    assert_int_equal(lsm_buf_append(&buf, "head", 4), LSM_OK);
    assert_int_equal(lsm_buf_reserve(&buf, 10000), LSM_OK);
    assert_int_equal(buf.size, 4);
    const uint8_t *memory = buf.data;
    uint64_t calls = lsm_mem_calls();
    for (int i = 0; i < 10000; i++) assert_int_equal(lsm_buf_append(&buf, "z", 1), LSM_OK);
    assert_ptr_equal(buf.data, memory);
    assert_int_equal(lsm_mem_calls(), calls);
    lsm_buf_free(&buf);
}

static void a_buffer_that_cannot_grow_stays_as_it_was(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_buf buf = {0};
    uint8_t more[1000] = {0};
    assert_int_equal(lsm_buf_set(&buf, lsm_slice_of("abcdef", 6)), LSM_OK);
    size_t capacity = buf.capacity;
    lsm_mem_fail_after(1, true);
    assert_int_equal(lsm_buf_append(&buf, more, sizeof more), LSM_NOMEM);
    assert_int_equal(lsm_buf_reserve(&buf, sizeof more), LSM_NOMEM);
    assert_int_equal(lsm_buf_set(&buf, lsm_slice_of(more, sizeof more)), LSM_NOMEM);
    assert_int_equal(buf.size, 6);
    assert_int_equal(buf.capacity, capacity);
    assert_memory_equal(buf.data, "abcdef", 6);
    assert_int_equal(lsm_buf_append(&buf, "g", 1), LSM_OK); /* what fits needs no memory */
    lsm_mem_fail_after(0, false);
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX - 7};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) assert_int_equal(lsm_buf_reserve(&buf, sizes[i]), LSM_NOMEM);
    assert_memory_equal(buf.data, "abcdefg", 7);
    lsm_buf_free(&buf);
    assert_int_equal(lsm_mem_live(), live);
}

/* ---- slices ----------------------------------------------------------------------------------------------------- */

static int sign(int x) { return (x > 0) - (x < 0); }

static void slices_order_by_bytes_then_by_length(void **state) {
    (void)state;
    /* Ascending. */
    static const struct lsm_slice list[] = {
        {NULL, 0},
        {(const uint8_t *)"\0", 1},
        {(const uint8_t *)"\0\0", 2},
        {(const uint8_t *)"\0\1", 2},
        {(const uint8_t *)"\1", 1},
        {(const uint8_t *)"a", 1},
        {(const uint8_t *)"a\0", 2},
        {(const uint8_t *)"aa", 2},
        {(const uint8_t *)"ab", 2},
        {(const uint8_t *)"\x7f", 1},
        {(const uint8_t *)"\x80", 1},
        {(const uint8_t *)"\xff", 1},
        {(const uint8_t *)"\xff\xff", 2},
    };
    static const int count = (int)(sizeof list / sizeof list[0]);
    for (int a = 0; a < count; a++)
        for (int b = 0; b < count; b++) {
            assert_int_equal(sign(lsm_slice_compare(list[a], list[b])), sign(a - b));
            assert_int_equal(lsm_slice_equal(list[a], list[b]), a == b);
        }
    assert_true(lsm_slice_equal((struct lsm_slice){0}, lsm_slice_of("", 0)));
    assert_int_equal(lsm_slice_common(list[0], list[5]), 0);
    assert_int_equal(lsm_slice_common(list[5], list[7]), 1);
    assert_int_equal(lsm_slice_common(list[7], list[8]), 1);
    assert_int_equal(lsm_slice_common(list[8], list[8]), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_own_name),
        cmocka_unit_test(a_failure_fills_the_error_and_returns_its_status),
        cmocka_unit_test(a_message_too_long_is_cut_and_terminated),
        cmocka_unit_test(what_is_allocated_is_counted_until_it_is_freed),
        cmocka_unit_test(the_nth_allocation_fails_and_no_other),
        cmocka_unit_test(a_sticky_failure_lasts_until_it_is_switched_off),
        cmocka_unit_test(counts_are_exact_among_threads_and_one_failure_hits_once),
        cmocka_unit_test(a_buffer_keeps_what_is_appended),
        cmocka_unit_test(a_buffer_reserves_room_without_moving_later),
        cmocka_unit_test(a_buffer_that_cannot_grow_stays_as_it_was),
        cmocka_unit_test(slices_order_by_bytes_then_by_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
