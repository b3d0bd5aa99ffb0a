/* Range tombstones against plain marks on a small line of keys. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/compact/ranges.h"

enum { KEYS = 40, SOURCES = 4, RANGES_MAX = 30 };

static uint8_t bytes[KEYS + 1];

static int number_keys(void **state) {
    (void)state;
    for (int i = 0; i <= KEYS; i++) bytes[i] = (uint8_t)(i * 3);
    return 0;
}

static struct lsm_slice key(int i) { return lsm_slice_of(&bytes[i], 1); }

static void add(struct lsm_ranges *ranges, int low, int high, uint32_t source, uint64_t sequence) {
    assert_int_equal(lsm_ranges_add(ranges, (struct lsm_range){.low = key(low), .high = key(high), .source = source, .sequence = sequence}), LSM_OK);
}

static void a_range_hides_what_is_older_only(void **state) {
    (void)state;
    struct lsm_ranges ranges = {0};
    assert_true(lsm_ranges_empty(&ranges));
    assert_false(lsm_ranges_cover(&ranges, key(5), 9, 0));
    add(&ranges, 5, 8, 1, 100);
    assert_false(lsm_ranges_empty(&ranges));
    assert_true(lsm_ranges_cover(&ranges, key(5), 2, 0));          /* low is in */
    assert_true(lsm_ranges_cover(&ranges, key(7), 2, UINT64_MAX)); /* an older source, whatever the sequence */
    assert_false(lsm_ranges_cover(&ranges, key(8), 2, 0));         /* high is not */
    assert_false(lsm_ranges_cover(&ranges, key(4), 2, 0));
    assert_false(lsm_ranges_cover(&ranges, key(5), 0, 0)); /* a newer source */
    assert_true(lsm_ranges_cover(&ranges, key(5), 1, 99)); /* its own: by sequence */
    assert_false(lsm_ranges_cover(&ranges, key(5), 1, 100));
    assert_false(lsm_ranges_cover(&ranges, key(5), 1, 101));
    assert_false(lsm_ranges_cover(&ranges, key(5), 1, UINT64_MAX)); /* an entry of a table file */
    struct lsm_slice longer = lsm_slice_of((const uint8_t[]){15, 0}, 2);
    assert_true(lsm_ranges_cover(&ranges, longer, 2, 0));
    lsm_ranges_release(&ranges);
    assert_true(lsm_ranges_empty(&ranges));
}

struct plain {
    int low, high;
    uint32_t source;
    uint64_t sequence;
};

static size_t random_ranges(uint64_t *random, struct lsm_ranges *ranges, struct plain *plain) {
    size_t count = (size_t)kit_below(random, RANGES_MAX);
    int longest = 1 + (int)kit_below(random, KEYS);
    for (size_t i = 0; i < count; i++) {
        int low = (int)kit_below(random, KEYS), high = low + 1 + (int)kit_below(random, (uint64_t)longest);
        plain[i] = (struct plain){low, high > KEYS ? KEYS : high, (uint32_t)kit_below(random, SOURCES), kit_below(random, 10)};
        add(ranges, plain[i].low, plain[i].high, plain[i].source, plain[i].sequence);
    }
    return count;
}

static void cover_agrees_with_plain_marks(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    for (int round = 0; round < 300; round++) {
        struct lsm_ranges ranges = {0};
        struct plain plain[RANGES_MAX];
        size_t count = random_ranges(&random, &ranges, plain);
        for (int k = 0; k < KEYS; k++)
            for (uint32_t source = 0; source < SOURCES; source++)
                for (uint64_t sequence = 0; sequence < 11; sequence++) {
                    bool hidden = false;
                    for (size_t i = 0; i < count; i++) {
                        if (k < plain[i].low || k >= plain[i].high) continue;
                        hidden |= plain[i].source < source || (plain[i].source == source && plain[i].sequence > sequence);
                    }
                    assert_int_equal(lsm_ranges_cover(&ranges, key(k), source, sequence), hidden);
                }
        lsm_ranges_release(&ranges);
    }
}

static void flattening_leaves_ascending_pieces_with_gaps_and_the_same_keys(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    for (int round = 0; round < 2000; round++) {
        struct lsm_ranges ranges = {0};
        struct plain plain[RANGES_MAX];
        bool in[KEYS] = {false};
        size_t count = random_ranges(&random, &ranges, plain), pieces = 0;
        for (size_t i = 0; i < count; i++)
            for (int k = plain[i].low; k < plain[i].high; k++) in[k] = true;
        for (int k = 0; k < KEYS; k++) pieces += in[k] && (k == 0 || !in[k - 1]);
        for (int twice = 0; twice < 2; twice++) {
            lsm_ranges_flatten(&ranges);
            assert_int_equal(ranges.count, pieces); /* what touches is one */
            for (size_t i = 0; i < pieces; i++) {
                assert_true(lsm_slice_compare(ranges.items[i].low, ranges.items[i].high) < 0);
                if (i > 0) assert_true(lsm_slice_compare(ranges.items[i - 1].high, ranges.items[i].low) < 0);
            }
            for (int k = 0; k < KEYS; k++) {
                bool found = false;
                for (size_t i = 0; i < pieces; i++)
                    found |= lsm_slice_compare(ranges.items[i].low, key(k)) <= 0 && lsm_slice_compare(key(k), ranges.items[i].high) < 0;
                assert_int_equal(found, in[k]);
            }
        }
        lsm_ranges_release(&ranges);
    }
}

static void out_of_memory_adds_nothing(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_ranges ranges = {0};
    struct lsm_range range = {.low = key(1), .high = key(2)};
    size_t failures = 0;
    for (size_t i = 0; i < 100; i++) {
        lsm_mem_fail_after(1, false);
        int status = lsm_ranges_add(&ranges, range);
        lsm_mem_fail_after(0, false);
        failures += status != LSM_OK;
        if (status == LSM_OK) continue;
        assert_int_equal(status, LSM_NOMEM);
        assert_int_equal(ranges.count, i);
        assert_int_equal(lsm_ranges_add(&ranges, range), LSM_OK);
    }
    assert_true(failures >= 4);
    assert_int_equal(ranges.count, 100);
    lsm_ranges_release(&ranges);
    assert_int_equal(lsm_mem_live(), live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_hides_what_is_older_only),
        cmocka_unit_test(cover_agrees_with_plain_marks),
        cmocka_unit_test(flattening_leaves_ascending_pieces_with_gaps_and_the_same_keys),
        cmocka_unit_test(out_of_memory_adds_nothing),
    };
    return cmocka_run_group_tests(tests, number_keys, NULL);
}
