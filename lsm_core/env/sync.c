#include "sync.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

/* POSIX names no error for a correct use of these; a wrong use is ours to find in tests. */
#define MUST_SUCCEED(call)                                                                                                                           \
    do {                                                                                                                                             \
        int rc_ = (call);                                                                                                                            \
        assert(rc_ == 0);                                                                                                                            \
        (void)rc_;                                                                                                                                   \
    } while (0)

/* ---- fork ----------------------------------------------------------------------------------------------------- */

static _Atomic uint32_t fork_epoch;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static int fork_status; /* written in fork_once only */

/* Runs in the child, where only async-signal-safe things are allowed. */
static void fork_in_child(void) { (void)atomic_fetch_add_explicit(&fork_epoch, 1, memory_order_relaxed); }

static void fork_watch(void) { fork_status = pthread_atfork(NULL, NULL, fork_in_child) == 0 ? LSM_OK : LSM_NOMEM; }

/* LSM_NOMEM is for good: whoever opens a store learns that it could not be told from one in a child. */
static int fork_ensure(void) {
    MUST_SUCCEED(pthread_once(&fork_once, fork_watch));
    return fork_status;
}

uint32_t lsm_fork_epoch(void) {
    (void)fork_ensure();
    return atomic_load_explicit(&fork_epoch, memory_order_relaxed);
}

/* ---- mutex ---------------------------------------------------------------------------------------------------- */

int lsm_mutex_init(struct lsm_mutex *mutex) {
    int status = fork_ensure();
    if (status != LSM_OK) return status;
    return pthread_mutex_init(&mutex->mutex, NULL) == 0 ? LSM_OK : LSM_NOMEM;
}

int lsm_mutex_init_recursive(struct lsm_mutex *mutex) {
    pthread_mutexattr_t attr;
    int status = fork_ensure();
    if (status != LSM_OK) return status;
    if (pthread_mutexattr_init(&attr) != 0) return LSM_NOMEM;
    MUST_SUCCEED(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE));
    int rc = pthread_mutex_init(&mutex->mutex, &attr);
    (void)pthread_mutexattr_destroy(&attr);
    return rc == 0 ? LSM_OK : LSM_NOMEM;
}

void lsm_mutex_release(struct lsm_mutex *mutex) { MUST_SUCCEED(pthread_mutex_destroy(&mutex->mutex)); }

void lsm_mutex_lock(struct lsm_mutex *mutex) { MUST_SUCCEED(pthread_mutex_lock(&mutex->mutex)); }

void lsm_mutex_unlock(struct lsm_mutex *mutex) { MUST_SUCCEED(pthread_mutex_unlock(&mutex->mutex)); }

/* ---- condition ------------------------------------------------------------------------------------------------ */

int lsm_cond_init(struct lsm_cond *cond) {
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) return LSM_NOMEM;
    MUST_SUCCEED(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    int rc = pthread_cond_init(&cond->cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc == 0 ? LSM_OK : LSM_NOMEM;
}

void lsm_cond_release(struct lsm_cond *cond) { MUST_SUCCEED(pthread_cond_destroy(&cond->cond)); }

void lsm_cond_signal(struct lsm_cond *cond) { MUST_SUCCEED(pthread_cond_signal(&cond->cond)); }

void lsm_cond_broadcast(struct lsm_cond *cond) { MUST_SUCCEED(pthread_cond_broadcast(&cond->cond)); }

void lsm_cond_wait(struct lsm_cond *cond, struct lsm_mutex *mutex) { MUST_SUCCEED(pthread_cond_wait(&cond->cond, &mutex->mutex)); }

bool lsm_cond_wait_us(struct lsm_cond *cond, struct lsm_mutex *mutex, uint64_t us) {
    const uint64_t us_max = (uint64_t)1000000 * 3600 * 24 * 365; /* a year: for ever, without overflowing time_t */
    struct timespec until;
    if (us > us_max) us = us_max;
    MUST_SUCCEED(clock_gettime(CLOCK_MONOTONIC, &until));
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec += (long)(us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int rc = pthread_cond_timedwait(&cond->cond, &mutex->mutex, &until);
    assert(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

/* ---- thread --------------------------------------------------------------------------------------------------- */

#define THREAD_NAME_BYTES 16 /* what Linux takes, with the NUL */

struct thread_start {
    void (*run)(void *arg);
    void *arg;
    char name[THREAD_NAME_BYTES];
};

static void *thread_main(void *arg) {
    struct thread_start start = *(struct thread_start *)arg;
    lsm_free(arg);
    (void)pthread_setname_np(pthread_self(), start.name); /* a convenience: may fail */
    start.run(start.arg);
    return NULL;
}

/* The host's handlers must not run on our threads. What the processor itself raises cannot be put off: blocked, it would kill the host without
 * its crash handler being asked. */
static void signals_to_block(sigset_t *set) {
    (void)sigfillset(set);
    (void)sigdelset(set, SIGSEGV);
    (void)sigdelset(set, SIGBUS);
    (void)sigdelset(set, SIGFPE);
    (void)sigdelset(set, SIGILL);
    (void)sigdelset(set, SIGTRAP);
}

int lsm_thread_start(struct lsm_thread *thread, const char *name, void (*run)(void *arg), void *arg) {
    sigset_t block, before;
    int status = fork_ensure();
    if (status != LSM_OK) return status;
    struct thread_start *start = lsm_calloc(1, sizeof *start);
    if (start == NULL) return LSM_NOMEM;
    start->run = run;
    start->arg = arg;
    size_t name_bytes = strnlen(name, THREAD_NAME_BYTES - 1);
    memcpy(start->name, name, name_bytes);
    signals_to_block(&block);
    MUST_SUCCEED(pthread_sigmask(SIG_SETMASK, &block, &before)); /* inherited: no moment with them open */
    int rc = pthread_create(&thread->thread, NULL, thread_main, start);
    MUST_SUCCEED(pthread_sigmask(SIG_SETMASK, &before, NULL));
    if (rc == 0) return LSM_OK;
    lsm_free(start);
    return LSM_NOMEM;
}

void lsm_thread_join(struct lsm_thread *thread) { MUST_SUCCEED(pthread_join(thread->thread, NULL)); }
