#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lsm_core/env/env.h"
#include "../../lsm_core/env/sync.h"

/* In place of the C library's: the one that is named fails. */
static const char *failing;
#define IN_PLACE(name, error, parameters, arguments)                                                                                                 \
    int name parameters {                                                                                                                            \
        union {                                                                                                                                      \
            void *address;                                                                                                                           \
            __typeof__(name) *function;                                                                                                              \
        } own = {.address = dlsym(RTLD_NEXT, #name)};                                                                                                \
        return failing != NULL && strcmp(failing, #name) == 0 ? error : own.function arguments;                                                      \
    }
IN_PLACE(pthread_mutex_init, EAGAIN, (pthread_mutex_t * mutex, const pthread_mutexattr_t *how), (mutex, how))
IN_PLACE(pthread_mutexattr_init, ENOMEM, (pthread_mutexattr_t * how), (how))
IN_PLACE(pthread_cond_init, EAGAIN, (pthread_cond_t * cond, const pthread_condattr_t *how), (cond, how))
IN_PLACE(pthread_condattr_init, ENOMEM, (pthread_condattr_t * how), (how))
IN_PLACE(pthread_create, EAGAIN, (pthread_t * thread, const pthread_attr_t *how, void *(*run)(void *), void *arg), (thread, how, run, arg))

struct shared {
    struct lsm_mutex mutex;
    struct lsm_cond cond;
    uint64_t count;
    bool ready;
    char name[16];
    sigset_t blocked;
};

static void shared_init(struct shared *shared) {
    *shared = (struct shared){0};
    assert_int_equal(lsm_mutex_init(&shared->mutex), LSM_OK);
    assert_int_equal(lsm_cond_init(&shared->cond), LSM_OK);
}

static void shared_release(struct shared *shared) {
    lsm_cond_release(&shared->cond);
    lsm_mutex_release(&shared->mutex);
}

static void count_up(void *arg) {
    struct shared *shared = arg;
    for (int i = 0; i < 20000; i++) {
        lsm_mutex_lock(&shared->mutex);
        shared->count++;
        lsm_mutex_unlock(&shared->mutex);
    }
}

static void a_mutex_keeps_threads_apart(void **state) {
    (void)state;
    struct shared shared;
    struct lsm_thread threads[4];
    shared_init(&shared);
    for (int i = 0; i < 4; i++) assert_int_equal(lsm_thread_start(&threads[i], "count", count_up, &shared), LSM_OK);
    for (int i = 0; i < 4; i++) lsm_thread_join(&threads[i]);
    assert_true(shared.count == 80000);
    shared_release(&shared);
}

static void become_ready(void *arg) {
    struct shared *shared = arg;
    lsm_mutex_lock(&shared->mutex);
    shared->ready = true;
    lsm_cond_broadcast(&shared->cond);
    while (shared->ready) lsm_cond_wait(&shared->cond, &shared->mutex);
    lsm_mutex_unlock(&shared->mutex);
}

static void a_signal_wakes_the_waiting(void **state) {
    (void)state;
    struct shared shared;
    struct lsm_thread thread;
    shared_init(&shared);
    lsm_mutex_lock(&shared.mutex);
    assert_int_equal(lsm_thread_start(&thread, "ready", become_ready, &shared), LSM_OK);
    bool woken = true;
    while (woken && !shared.ready) woken = lsm_cond_wait_us(&shared.cond, &shared.mutex, UINT64_MAX);
    assert_true(woken);
    shared.ready = false;
    lsm_cond_signal(&shared.cond);
    lsm_mutex_unlock(&shared.mutex);
    lsm_thread_join(&thread);
    shared_release(&shared);
}

static void a_wait_ends_when_its_time_is_over(void **state) {
    (void)state;
    struct shared shared;
    shared_init(&shared);
    uint64_t start = lsm_env_monotonic_us(lsm_env_posix());
    lsm_mutex_lock(&shared.mutex);
    while (lsm_cond_wait_us(&shared.cond, &shared.mutex, 20000)) continue;
    assert_false(lsm_cond_wait_us(&shared.cond, &shared.mutex, 0) && lsm_cond_wait_us(&shared.cond, &shared.mutex, 0));
    lsm_mutex_unlock(&shared.mutex);
    assert_true(lsm_env_monotonic_us(lsm_env_posix()) - start >= 20000);
    shared_release(&shared);
}

static void look_at_self(void *arg) {
    struct shared *shared = arg;
    (void)pthread_getname_np(pthread_self(), shared->name, sizeof shared->name);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &shared->blocked);
}

static void threads_have_a_name_and_take_no_signals(void **state) {
    (void)state;
    struct shared shared;
    struct lsm_thread thread;
    sigset_t mine;
    shared_init(&shared);
    assert_int_equal(lsm_thread_start(&thread, "a-name-of-20-bytes-x", look_at_self, &shared), LSM_OK);
    lsm_thread_join(&thread);
    assert_string_equal(shared.name, "a-name-of-20-by");
    const int signals[] = {SIGINT, SIGTERM, SIGALRM, SIGUSR1, SIGCHLD, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) assert_int_equal(sigismember(&shared.blocked, signals[i]), 1);
    assert_int_equal(sigismember(&shared.blocked, SIGSEGV), 0);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_int_equal(sigismember(&mine, SIGUSR1), 0);
    shared_release(&shared);
}

static void a_recursive_mutex_can_be_locked_twice(void **state) {
    (void)state;
    struct lsm_mutex mutex;
    assert_int_equal(lsm_mutex_init_recursive(&mutex), LSM_OK);
    lsm_mutex_lock(&mutex);
    lsm_mutex_lock(&mutex);
    lsm_mutex_unlock(&mutex);
    lsm_mutex_unlock(&mutex);
    lsm_mutex_release(&mutex);
}

static void only_the_child_of_a_fork_sees_another_epoch(void **state) {
    (void)state;
    uint32_t epoch = lsm_fork_epoch();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(lsm_fork_epoch() != epoch ? 0 : 1);
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    assert_int_equal(lsm_fork_epoch(), epoch);
}

static void a_thread_without_memory_is_refused_and_leaks_nothing(void **state) {
    (void)state;
    struct shared shared;
    struct lsm_thread thread;
    int64_t live = lsm_mem_live();
    shared_init(&shared);
    lsm_mem_fail_after(1, false);
    assert_int_equal(lsm_thread_start(&thread, "x", look_at_self, &shared), LSM_NOMEM);
    lsm_mem_fail_after(0, false);
    assert_true(lsm_mem_live() == live);
    shared_release(&shared);
}

static void what_the_system_refuses_is_want_of_memory_and_leaks_nothing(void **state) {
    (void)state;
    struct shared shared;
    struct lsm_mutex mutex;
    struct lsm_cond cond;
    struct lsm_thread thread;
    int64_t live = lsm_mem_live();
    shared_init(&shared);
    failing = "pthread_mutex_init";
    assert_int_equal(lsm_mutex_init(&mutex), LSM_NOMEM);
    assert_int_equal(lsm_mutex_init_recursive(&mutex), LSM_NOMEM);
    failing = "pthread_mutexattr_init";
    assert_int_equal(lsm_mutex_init_recursive(&mutex), LSM_NOMEM);
    failing = "pthread_cond_init";
    assert_int_equal(lsm_cond_init(&cond), LSM_NOMEM);
    failing = "pthread_condattr_init";
    assert_int_equal(lsm_cond_init(&cond), LSM_NOMEM);
    failing = "pthread_create";
    assert_int_equal(lsm_thread_start(&thread, "x", look_at_self, &shared), LSM_NOMEM);
    failing = NULL;
    assert_true(lsm_mem_live() == live);
    sigset_t blocked; /* this thread takes its signals again */
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
    shared_release(&shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_keeps_threads_apart),
        cmocka_unit_test(a_signal_wakes_the_waiting),
        cmocka_unit_test(a_wait_ends_when_its_time_is_over),
        cmocka_unit_test(threads_have_a_name_and_take_no_signals),
        cmocka_unit_test(a_recursive_mutex_can_be_locked_twice),
        cmocka_unit_test(only_the_child_of_a_fork_sees_another_epoch),
        cmocka_unit_test(a_thread_without_memory_is_refused_and_leaks_nothing),
        cmocka_unit_test(what_the_system_refuses_is_want_of_memory_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
