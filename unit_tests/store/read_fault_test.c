/* Every reading operation on files fails once, while a store is opened, asked, merged, and followed: the call says what failed, the store holds what was committed before, leaks
 * nothing, and the next try succeeds. fault_test and share_fault_test do it to what writes. LSM_FAULTS=1 strikes every operation, N every N-th; 5 if it does not say. */
#include <stdlib.h>

#include "operations.h"

enum { POINTS_MAX = 20000 };

static uint64_t stride(void) {
    const char *text = getenv("LSM_FAULTS");
    int n = text == NULL ? 5 : atoi(text);
    return n < 1 ? 1 : (uint64_t)n;
}

/* before: what is done first each time, and not struck. */
static void sweep(const char *name, void (*before)(void), int (*operation)(void)) {
    static uint64_t sweeps;
    bool struck = true;
    for (uint64_t n = 1 + sweeps++ % stride(); struck; n += stride()) {
        before();
        uint64_t faults = lsm_env_mem_faults(world.env);
        struct lsm_env_fault fault = {.at = n, .ops = LSM_ENV_OPEN | LSM_ENV_READ | LSM_ENV_LIST | LSM_ENV_MAP};
        lsm_env_mem_fail_at(world.env, &fault);
        int status = operation();
        lsm_env_mem_fail_at(world.env, NULL);
        struck = lsm_env_mem_faults(world.env) != faults;
        if (status != LSM_OK && (status != LSM_IO || !struck || world.err.code != LSM_IO || strstr(world.err.text, "/") == NULL))
            fail_msg("%s, operation %llu: %s: %d '%s'", name, (unsigned long long)n, lsm_status_name(status), world.err.code, world.err.text);
        if (status != LSM_OK) MUST(operation());
        const char *wrong = world_differs(&world, world.store);
        if (wrong == NULL && other != NULL) wrong = world_differs(&world, other);
        if (wrong != NULL) fail_msg("%s, operation %llu: %s", name, (unsigned long long)n, wrong);
        forget();
        assert_true(n < POINTS_MAX);
    }
}

#define SWEEP(before, operation) sweep(#operation, before, operation)

/* A store that has read nothing yet. */
static void open_first(void) {
    close_first();
    MUST(world_open(&world));
}

static void write_and_open_first(void) {
    write_a_little();
    open_first();
}

static void opening_and_reading(void **state) {
    (void)state;
    furnish();
    SWEEP(close_first, do_open);
    SWEEP(open_first, do_read);
    SWEEP(open_first, do_transaction);
    SWEEP(open_first, do_names);
}

static void flushing_and_merging(void **state) {
    (void)state;
    furnish();
    SWEEP(write_and_open_first, do_flush);
    SWEEP(write_and_open_first, do_compact);
    SWEEP(open_first, do_large_transaction);
}

static void following(void **state) {
    (void)state;
    other_env = lsm_env_mem_process(world.env);
    SWEEP(write_for_the_other, do_follow);
    SWEEP(write_everything_for_the_other, do_follow);
    SWEEP(write_everything_for_the_other, do_take_over);
    MUST(lsm_store_close(other, &world.err));
    lsm_env_mem_free(other_env);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(opening_and_reading), TEST(flushing_and_merging), TEST(following)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
