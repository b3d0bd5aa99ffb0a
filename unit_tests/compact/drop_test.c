/* The rule against what it is for: a reader sees the same before and after. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/compact/drop.h"

static void the_table_in_the_header_holds(void **state) {
    (void)state;
    for (int older = 0; older <= 1; older++) {
        assert_false(lsm_drop_keeps(LSM_KIND_PUT, true, older));
        assert_false(lsm_drop_keeps(LSM_KIND_DELETE, true, older));
        assert_true(lsm_drop_keeps(LSM_KIND_PUT, false, older));
    }
    assert_true(lsm_drop_keeps(LSM_KIND_DELETE, false, true));
    assert_false(lsm_drop_keeps(LSM_KIND_DELETE, false, false));
}

/* What one source says of one key. */
enum say { NOTHING, PUT, DELETE, RANGE, RANGE_AND_PUT, SAYS };
enum { SOURCES = 4, NOBODY = -1 };

/* Which source's value a reader sees. A range hides older sources only. */
static int visible(const enum say *says, int count) {
    for (int i = 0; i < count; i++) {
        if (says[i] == PUT || says[i] == RANGE_AND_PUT) return i;
        if (says[i] == DELETE || says[i] == RANGE) return NOBODY;
    }
    return NOBODY;
}

/* All histories of one key over four sources; the newest `merged` of them are merged by the rule. Ranges are kept as long as something older
 * may hold the key, which is true if it does and sometimes if it does not. */
static void no_history_reads_differently_after_a_merge(void **state) {
    (void)state;
    size_t histories = 0, dropped = 0;
    for (int history = 0; history < SAYS * SAYS * SAYS * SAYS; history++)
        for (int merged = 1; merged <= SOURCES; merged++)
            for (int guess = 0; guess <= 1; guess++) {
                enum say says[SOURCES], after[SOURCES] = {NOTHING};
                for (int i = 0, rest = history; i < SOURCES; i++, rest /= SAYS) says[i] = (enum say)(rest % SAYS);
                bool below = guess == 1, covered = false, range = false;
                for (int i = merged; i < SOURCES; i++) below |= says[i] == PUT || says[i] == RANGE_AND_PUT;
                int newest = NOBODY;
                for (int i = merged - 1; i >= 0; i--)
                    if (says[i] != NOTHING && says[i] != RANGE) newest = i;
                for (int i = 0; i < merged; i++) {
                    range |= says[i] == RANGE || says[i] == RANGE_AND_PUT;
                    covered |= i < newest && (says[i] == RANGE || says[i] == RANGE_AND_PUT);
                }
                bool put = newest != NOBODY && says[newest] != DELETE;
                bool keeps = newest != NOBODY && lsm_drop_keeps(put ? LSM_KIND_PUT : LSM_KIND_DELETE, covered, below);
                if (keeps)
                    after[0] = put ? (range && below ? RANGE_AND_PUT : PUT) : DELETE;
                else if (range && below)
                    after[0] = RANGE;
                for (int i = merged; i < SOURCES; i++) after[i - merged + 1] = says[i];
                int before = visible(says, SOURCES), now = visible(after, SOURCES - merged + 1);
                int expected = before == NOBODY ? NOBODY : before < merged ? 0 : before - merged + 1;
                assert_int_equal(now, expected);
                if (now == 0) assert_int_equal(newest, before);
                histories++;
                dropped += newest != NOBODY && !keeps;
            }
    assert_int_equal(histories, 5000);
    assert_true(dropped > 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_in_the_header_holds),
        cmocka_unit_test(no_history_reads_differently_after_a_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
