/* sync.h: mutexes, conditions, threads and the fork check: thin names over pthreads, errors asserted where POSIX has none. */
#ifndef LSM_ENV_SYNC_H
#define LSM_ENV_SYNC_H

#include "../base/base.h"

#include <pthread.h>

struct lsm_mutex {
    pthread_mutex_t mutex;
};
struct lsm_cond {
    pthread_cond_t cond;
};
struct lsm_thread {
    pthread_t thread;
};

/* For a static mutex, which needs no init and no release. */
#define LSM_MUTEX_STATIC                                                                                                                             \
    { PTHREAD_MUTEX_INITIALIZER }
int lsm_mutex_init(struct lsm_mutex *mutex) LSM_MUST_CHECK;
int lsm_mutex_init_recursive(struct lsm_mutex *mutex) LSM_MUST_CHECK; /* its owner may lock it again; not for use with a condition */
void lsm_mutex_release(struct lsm_mutex *mutex);
void lsm_mutex_lock(struct lsm_mutex *mutex);
void lsm_mutex_unlock(struct lsm_mutex *mutex);

int lsm_cond_init(struct lsm_cond *cond) LSM_MUST_CHECK; /* on the monotonic clock */
void lsm_cond_release(struct lsm_cond *cond);
void lsm_cond_signal(struct lsm_cond *cond);
void lsm_cond_broadcast(struct lsm_cond *cond);
void lsm_cond_wait(struct lsm_cond *cond, struct lsm_mutex *mutex);
/* False if `us` microseconds passed without a signal. */
bool lsm_cond_wait_us(struct lsm_cond *cond, struct lsm_mutex *mutex, uint64_t us);

/* A thread with all signals blocked but those of a fault of its own (SIGSEGV and the like). name: at most 15 bytes are shown by top and gdb.
 * LSM_NOMEM if the system has none to give. */
int lsm_thread_start(struct lsm_thread *thread, const char *name, void (*run)(void *arg), void *arg) LSM_MUST_CHECK;
void lsm_thread_join(struct lsm_thread *thread);

/* A counter of the processor that says how little time has passed: 0 where there is none. It may jump, and differ between processors. */
static inline uint64_t lsm_cpu_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

/* A number that changes in the child of a fork. Remember it at open, compare at use: costs one load. */
uint32_t lsm_fork_epoch(void);

#endif
