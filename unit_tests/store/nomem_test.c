/* Every allocation of an operation fails once, and every mutex, condition and thread that opening a store makes: the call says that memory was out, the store holds what was
 * committed before, leaks nothing, and the next try succeeds. fault_test does it at some points of a long session; here each operation is struck everywhere. */
#include <errno.h>
#include <pthread.h>
#include <dlfcn.h>

#include "operations.h"

enum { POINTS_MAX = 20000 };

/* ---- what fails ------------------------------------------------------------------------------------------------------------------ */

/* In place of the C library's: the n-th of them all from now on fails. */
static int64_t inits_left;
static bool init_fails(void) { return inits_left > 0 && --inits_left == 0; }
#define IN_PLACE(name, parameters, arguments)                                                                                                        \
    int name parameters {                                                                                                                            \
        union {                                                                                                                                      \
            void *address;                                                                                                                           \
            __typeof__(name) *function;                                                                                                              \
        } own = {.address = dlsym(RTLD_NEXT, #name)};                                                                                                \
        return init_fails() ? EAGAIN : own.function arguments;                                                                                       \
    }
IN_PLACE(pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *how), (mutex, how))
IN_PLACE(pthread_mutexattr_init, (pthread_mutexattr_t * how), (how))
IN_PLACE(pthread_cond_init, (pthread_cond_t * cond, const pthread_condattr_t *how), (cond, how))
IN_PLACE(pthread_condattr_init, (pthread_condattr_t * how), (how))

enum fault { OF_MEMORY, OF_INITS };

static void arm(enum fault fault, int64_t n) {
    if (fault == OF_MEMORY)
        lsm_mem_fail_after(n, false);
    else
        inits_left = n;
}

/* ---- sweeps ------------------------------------------------------------------------------------------------------------------------ */

/* before: what is done first each time, and not struck; may be NULL. */
static void sweep(const char *name, void (*before)(void), int (*operation)(void), enum fault fault) {
    bool struck = true;
    for (int64_t n = 1; struck; n++) {
        if (before != NULL) before();
        uint64_t calls = lsm_mem_calls();
        arm(fault, n);
        int status = operation();
        struck = fault == OF_MEMORY ? lsm_mem_calls() - calls >= (uint64_t)n : inits_left == 0;
        arm(fault, 0);
        if (status != LSM_OK && (status != LSM_NOMEM || !struck || world.err.code != LSM_NOMEM || world.err.text[0] == '\0'))
            fail_msg("%s, point %lld: %s: %d '%s'", name, (long long)n, lsm_status_name(status), world.err.code, world.err.text);
        if (status != LSM_OK) MUST(operation());
        const char *wrong = world_differs(&world, world.store);
        if (wrong == NULL && other != NULL) wrong = world_differs(&world, other);
        if (wrong != NULL) fail_msg("%s, point %lld: %s", name, (long long)n, wrong);
        forget();
        assert_true(n < POINTS_MAX);
    }
}

#define SWEEP(before, operation) sweep(#operation, before, operation, OF_MEMORY)

static void an_operation_without_memory_changes_nothing(void **state) {
    (void)state;
    furnish();
    SWEEP(NULL, do_transaction);
    SWEEP(NULL, do_prepare);
    SWEEP(NULL, do_read);
    SWEEP(NULL, do_ask);
    SWEEP(NULL, do_names);
    SWEEP(write_a_little, do_flush);
    SWEEP(write_a_little, do_compact);
}

static void a_large_transaction_without_memory_is_undone_whole(void **state) {
    (void)state;
    SWEEP(NULL, do_large_transaction);
}

/* The store is not read-only for that. */
static void a_sync_without_memory_is_made_up_for_a_second_later(void **state) {
    (void)state;
    struct lsm_stats before, after;
    lsm_env_mem_set_clock(world.env, (uint64_t)1 << 60);
    SWEEP(let_a_second_pass, do_sync);
    let_a_second_pass();
    lsm_store_stats(world.store, &before);
    MUST(do_sync());
    lsm_env_sleep_us(world.env, 2000000);
    MUST(do_sync());
    lsm_store_stats(world.store, &after);
    assert_true(after.wal_syncs > before.wal_syncs);
}

static void a_store_without_memory_opens_the_next_time(void **state) {
    (void)state;
    furnish();
    SWEEP(close_first, do_open);
    sweep("do_open", close_first, do_open, OF_INITS);
    MUST(world_close(&world));
    world.options.threads = 2;
    sweep("do_open", close_first, do_open, OF_INITS);
    SWEEP(close_first, do_open);
}

static void who_follows_without_memory_follows_the_next_time(void **state) {
    (void)state;
    other_env = lsm_env_mem_process(world.env);
    SWEEP(write_for_the_other, do_follow);
    SWEEP(write_everything_for_the_other, do_follow);
    SWEEP(write_for_the_other, do_take_over);
    MUST(lsm_store_close(other, &world.err));
    lsm_env_mem_free(other_env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_operation_without_memory_changes_nothing),         TEST(a_large_transaction_without_memory_is_undone_whole),
        TEST(a_sync_without_memory_is_made_up_for_a_second_later), TEST(a_store_without_memory_opens_the_next_time),
        TEST(who_follows_without_memory_follows_the_next_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
