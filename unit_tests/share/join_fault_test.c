/* Joining while operations, memory and mutexes fail, and while others come and go in the middle of it. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "fixture.h"

/* In place of the C library's: the n-th from now on fails. */
static int inits_left;
int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *how) {
    union {
        void *address;
        __typeof__(pthread_mutex_init) *function;
    } own = {.address = dlsym(RTLD_NEXT, "pthread_mutex_init")};
    return inits_left > 0 && --inits_left == 0 ? EAGAIN : own.function(mutex, how);
}

/* ---- everything fails once -------------------------------------------------------------------------------- */

struct kind {
    bool others;                /* somebody has the store open; else files are left of one who had, or none */
    bool left, exclusive, told; /* told: by a struct lsm_error */
};

static const struct kind kinds[] = {{.told = true},
                                    {.told = false},
                                    {.left = true, .told = true},
                                    {.left = true, .exclusive = true, .told = true},
                                    {.exclusive = true},
                                    {.others = true, .told = true},
                                    {.others = true}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void prepare(struct fixture *fixture, const struct kind *kind) {
    if (kind->others || kind->left) return;
    const char *const paths[] = {FIXTURE_LOCK, FIXTURE_SHM};
    for (int i = 0; i < 2; i++) {
        int status = lsm_env_unlink(fixture->disk, paths[i], NULL);
        assert_true(status == LSM_OK || status == LSM_NOTFOUND);
    }
}

/* Process 1 comes in; what comes of it. A refusal leaves nothing, and says what it is to who wants to know. */
static int join(struct fixture *fixture, const struct kind *kind) {
    struct fixture_process *p = &fixture->process[1];
    struct lsm_share_options options = fixture_options(fixture, 1);
    options.exclusive = kind->exclusive;
    p->err = (struct lsm_error){0};
    int status = lsm_share_join(&options, &p->share, kind->told ? &p->err : NULL);
    assert_true((status == LSM_OK) == (p->share != NULL));
    if (status != LSM_OK && kind->told) assert_true(p->err.code == status && p->err.text[0] != '\0');
    return status;
}

/* As it should be: the next one comes in, and finds who was there before. */
static void check(struct fixture *fixture, const struct kind *kind) {
    fixture_close(fixture, 1);
    struct lsm_share *next = fixture_open(fixture, 2);
    assert_true(lsm_share_is_first(next) == !kind->others);
    assert_int_equal(lsm_share_lock(next, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    lsm_share_unlock(next, LSM_SHARE_WRITER);
    fixture_close(fixture, 2);
}

static void a_failing_operation_lets_the_next_one_in(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < KINDS; i++) {
        uint64_t before, refused = 0, n = 1;
        if (kinds[i].others) (void)fixture_open(fixture, 0);
        do {
            struct lsm_env_fault fault = {.at = n++, .ops = LSM_ENV_ALL};
            prepare(fixture, &kinds[i]);
            before = lsm_env_mem_faults(fixture->disk);
            lsm_env_mem_fail_at(fixture->disk, &fault);
            int status = join(fixture, &kinds[i]);
            lsm_env_mem_fail_at(fixture->disk, NULL);
            if (status != LSM_OK) assert_int_equal(status, LSM_IO);
            refused += status != LSM_OK;
            check(fixture, &kinds[i]);
        } while (lsm_env_mem_faults(fixture->disk) != before);
        assert_true(refused >= 4);
        fixture_close(fixture, 0);
    }
}

static void running_out_of_memory_lets_the_next_one_in(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < KINDS; i++) {
        uint64_t calls, refused = 0;
        int64_t n = 1;
        if (kinds[i].others) (void)fixture_open(fixture, 0);
        (void)fixture_options(fixture, 1); /* makes the process */
        do {
            prepare(fixture, &kinds[i]);
            calls = lsm_mem_calls();
            lsm_mem_fail_after(n++, false);
            int status = join(fixture, &kinds[i]);
            lsm_mem_fail_after(0, false);
            calls = lsm_mem_calls() - calls;
            if (status != LSM_OK) assert_int_equal(status, LSM_NOMEM);
            refused += status != LSM_OK;
            check(fixture, &kinds[i]);
        } while (calls >= (uint64_t)n - 1);
        assert_true(refused >= 8);
        fixture_close(fixture, 0);
    }
}

static void a_mutex_that_cannot_be_had_is_memory_that_cannot(void **state) {
    struct fixture *fixture = *state;
    const struct kind kind = {.told = true};
    (void)fixture_options(fixture, 1);
    int64_t live = lsm_mem_live();
    for (int n = 1; n <= 2; n++) {
        inits_left = n;
        assert_int_equal(join(fixture, &kind), LSM_NOMEM);
        assert_int_equal(inits_left, 0);
        assert_true(lsm_mem_live() == live);
    }
    assert_int_equal(join(fixture, &kind), LSM_OK);
}

/* Neither the bytes of LOCK nor directories can be locked; who is told nothing gets the same status. */
static void where_nothing_can_be_locked_the_first_reason_is_told(void **state) {
    struct fixture *fixture = *state;
    const struct lsm_env_fault nothing = {.at = 1, .ops = LSM_ENV_LOCK, .os_errno = EINVAL, .sticky = true};
    struct kind kind = {.told = true};
    for (int i = 0; i < 2; i++, kind.told = false) {
        lsm_env_mem_fail_at(fixture->disk, &nothing);
        assert_int_equal(join(fixture, &kind), LSM_IO);
        lsm_env_mem_fail_at(fixture->disk, NULL);
        if (kind.told) assert_true(fixture->process[1].err.os_errno == EINVAL && strstr(fixture->process[1].err.text, "LOCK") != NULL);
    }
}

/* The bytes of LOCK cannot be locked, and then memory is out. */
static void who_has_only_the_directory_may_run_out_of_memory(void **state) {
    struct fixture *fixture = *state;
    const struct lsm_env_fault bytes = {.at = 1, .ops = LSM_ENV_LOCK, .os_errno = ENOLCK};
    const struct kind kind = {.told = true};
    uint64_t calls;
    int64_t n = 1;
    do {
        prepare(fixture, &kind);
        (void)fixture_options(fixture, 1);
        lsm_env_mem_fail_at(fixture->disk, &bytes);
        calls = lsm_mem_calls();
        lsm_mem_fail_after(n++, false);
        int status = join(fixture, &kind);
        lsm_mem_fail_after(0, false);
        lsm_env_mem_fail_at(fixture->disk, NULL);
        calls = lsm_mem_calls() - calls;
        assert_true(status == LSM_OK || status == LSM_NOMEM);
        check(fixture, &kind);
    } while (calls >= (uint64_t)n - 1);
}

static void who_touches_no_file_may_run_out_of_memory_too(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share_options options = fixture_options(fixture, 1);
    int status = LSM_NOMEM, refused = -1;
    options.detached = true;
    for (int64_t n = 1; status == LSM_NOMEM; n++, refused++) {
        lsm_mem_fail_after(n, false);
        status = fixture_join_with(fixture, 1, &options);
        lsm_mem_fail_after(0, false);
    }
    assert_int_equal(status, LSM_OK);
    assert_int_equal(refused, 3); /* itself, the directory's name, the page */
}

/* ---- while others come and go -------------------------------------------------------------------------------- */

struct meanwhile {
    struct fixture *fixture;
    enum lsm_env_op_kind kind; /* before the first such operation of process 1, or before each */
    bool each, done;
    void (*happens)(struct fixture *fixture);
};

static void before(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    struct meanwhile *meanwhile = arg;
    (void)process;
    (void)path;
    if (kind != meanwhile->kind || (meanwhile->done && !meanwhile->each)) return;
    meanwhile->done = true;
    meanwhile->happens(meanwhile->fixture);
}

static int join_while(struct meanwhile *meanwhile, uint64_t timeout_us) {
    struct lsm_share_options options = fixture_options(meanwhile->fixture, 1);
    options.timeout_us = timeout_us;
    lsm_env_mem_before_op(options.env, before, meanwhile);
    int status = fixture_join_with(meanwhile->fixture, 1, &options);
    lsm_env_mem_before_op(options.env, NULL, NULL);
    assert_true(meanwhile->done);
    return status;
}

static void first_is_ready(struct fixture *fixture) { assert_int_equal(lsm_share_ready(fixture->process[0].share, NULL), LSM_OK); }

static void an_endless_timeout_is_not_over_at_once(void **state) {
    struct meanwhile meanwhile = {.fixture = *state, .kind = LSM_ENV_SLEEP, .happens = first_is_ready};
    assert_int_equal(fixture_join(*state, 0), LSM_OK);
    assert_int_equal(join_while(&meanwhile, UINT64_MAX), LSM_OK);
    assert_false(lsm_share_is_first(meanwhile.fixture->process[1].share));
}

static void remove_lock(struct fixture *fixture) { assert_int_equal(lsm_env_unlink(fixture->disk, FIXTURE_LOCK, NULL), LSM_OK); }

static void remove_lock_and_go(struct fixture *fixture) {
    remove_lock(fixture);
    fixture_close(fixture, 0);
}

/* Who waits for OPEN in a file that is no LOCK any more must not believe that he has it. */
static void who_waited_at_a_LOCK_that_is_gone_comes_in_by_the_new_one(void **state) {
    struct meanwhile meanwhile = {.fixture = *state, .kind = LSM_ENV_SLEEP, .happens = remove_lock_and_go};
    uint64_t size;
    assert_int_equal(fixture_join(*state, 0), LSM_OK);
    assert_int_equal(join_while(&meanwhile, 20000), LSM_OK);
    assert_true(lsm_share_is_first(meanwhile.fixture->process[1].share));
    assert_int_equal(lsm_env_mem_file_size(meanwhile.fixture->disk, FIXTURE_LOCK, &size), LSM_OK);
    assert_int_equal(fixture_join(*state, 2), LSM_BUSY); /* by the new one, too */
}

static void a_LOCK_that_is_replaced_again_and_again_ends_the_patience(void **state) {
    struct meanwhile meanwhile = {.fixture = *state, .kind = LSM_ENV_LOCK, .each = true, .happens = remove_lock};
    for (uint64_t timeout_us = 0; timeout_us <= 20000; timeout_us += 20000) {
        meanwhile.done = false;
        assert_int_equal(join_while(&meanwhile, timeout_us), LSM_BUSY);
        assert_non_null(strstr(meanwhile.fixture->process[1].err.text, "again and again"));
    }
    assert_true(lsm_share_is_first(fixture_open(*state, 1)));
}

static void who_came_last_is_unknown_if_LOCK_cannot_be_read(void **state) {
    struct fixture *fixture = *state;
    const struct lsm_env_fault unreadable = {.at = 1, .ops = LSM_ENV_READ, .sticky = true};
    assert_int_equal(fixture_join(fixture, 0), LSM_OK);
    lsm_env_mem_fail_at(fixture->disk, &unreadable);
    assert_int_equal(fixture_join(fixture, 1), LSM_BUSY);
    lsm_env_mem_fail_at(fixture->disk, NULL);
    assert_non_null(strstr(fixture->process[1].err.text, "that got in was another process);"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_failing_operation_lets_the_next_one_in),
        TEST(running_out_of_memory_lets_the_next_one_in),
        TEST(a_mutex_that_cannot_be_had_is_memory_that_cannot),
        TEST(where_nothing_can_be_locked_the_first_reason_is_told),
        TEST(who_has_only_the_directory_may_run_out_of_memory),
        TEST(who_touches_no_file_may_run_out_of_memory_too),
        TEST(an_endless_timeout_is_not_over_at_once),
        TEST(who_waited_at_a_LOCK_that_is_gone_comes_in_by_the_new_one),
        TEST(a_LOCK_that_is_replaced_again_and_again_ends_the_patience),
        TEST(who_came_last_is_unknown_if_LOCK_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
