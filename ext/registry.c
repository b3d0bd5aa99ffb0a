#include "registry.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum shared_state { SHARED_OPENING, SHARED_OPEN, SHARED_CLOSING };

struct vt_shared {
    /* Immutable once listed. */
    struct lsm_env *env;
    char *dir;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    pid_t pid;
    struct lsm_store *store; /* set before SHARED_OPEN */
    /* Guarded by registry_mutex. */
    struct vt_shared *next;
    enum shared_state state;
    int refs;
    bool fits; /* with this file: */
    uint64_t device, inode;
    /* Atomic. */
    atomic_bool garbage_due;
};

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t registry_changed = PTHREAD_COND_INITIALIZER;
static struct vt_shared *registry; /* guarded by registry_mutex */
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

/* The child of a fork must find the lock free. It is never held for long, so neither does fork() wait. */
static void before_fork(void) { pthread_mutex_lock(&registry_mutex); }
static void after_fork(void) { pthread_mutex_unlock(&registry_mutex); }
static void watch_forks(void) { pthread_atfork(before_fork, after_fork, after_fork); }

static struct vt_shared *find(const struct lsm_env *env, const char *dir) {
    pid_t self = getpid();
    for (struct vt_shared *s = registry; s != NULL; s = s->next) {
        if (s->pid == self && s->env == env && strcmp(s->dir, dir) == 0) return s;
    }
    return NULL;
}

static void unlist(struct vt_shared *shared) {
    struct vt_shared **link = &registry;
    while (*link != NULL && *link != shared) link = &(*link)->next;
    if (*link != NULL) *link = shared->next;
}

static void shared_free(struct vt_shared *shared) {
    if (shared == NULL) return; /* LCOV_EXCL_BR_LINE: settled ones only */
    free(shared->dir);
    free(shared);
}

static struct vt_shared *shared_new(const struct lsm_options *options) {
    struct vt_shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL) return NULL; /* LCOV_EXCL_BR_LINE: memory of the C library, which no test takes away */
    shared->dir = strdup(options->dir);
    if (shared->dir == NULL) { /* LCOV_EXCL_BR_LINE: likewise */
        free(shared);
        return NULL;
    }
    shared->env = options->env;
    memcpy(shared->store_id, options->store_id, LSM_STORE_ID_BYTES);
    shared->pid = getpid();
    shared->state = SHARED_OPENING;
    shared->refs = 1;
    atomic_init(&shared->garbage_due, true);
    return shared;
}

static void fill_error(struct lsm_error *err, int status, const char *text) {
    if (err == NULL) return; /* LCOV_EXCL_BR_LINE: all callers have one */
    memset(err, 0, sizeof *err);
    err->code = status;
    strncpy(err->text, text, sizeof err->text - 1);
}

/* The entry for the directory of `fresh`, opened or being opened by somebody else, or `fresh` itself, listed now. NULL: the id differs. */
static struct vt_shared *find_or_list(struct vt_shared *fresh) {
    pthread_mutex_lock(&registry_mutex);
    struct vt_shared *found = find(fresh->env, fresh->dir);
    while (found != NULL && found->state != SHARED_OPEN) {
        pthread_cond_wait(&registry_changed, &registry_mutex);
        found = find(fresh->env, fresh->dir);
    }
    if (found == NULL) {
        fresh->next = registry;
        registry = found = fresh;
    } else if (memcmp(found->store_id, fresh->store_id, LSM_STORE_ID_BYTES) == 0) {
        found->refs++;
    } else {
        found = NULL;
    }
    pthread_mutex_unlock(&registry_mutex);
    return found;
}

static void settle(struct vt_shared *fresh, int status) {
    pthread_mutex_lock(&registry_mutex);
    fresh->state = SHARED_OPEN;
    if (status != LSM_OK) unlist(fresh);
    pthread_cond_broadcast(&registry_changed);
    pthread_mutex_unlock(&registry_mutex);
}

int vt_registry_acquire(const struct lsm_options *options, bool single, struct vt_shared **shared, struct lsm_error *err) {
    *shared = NULL;
    pthread_once(&registry_once, watch_forks);
    struct vt_shared *fresh = shared_new(options);
    if (fresh == NULL) { /* LCOV_EXCL_BR_LINE: likewise */
        fill_error(err, LSM_NOMEM, "out of memory");
        return LSM_NOMEM;
    }
    struct vt_shared *found = single ? fresh : find_or_list(fresh);
    int status = LSM_OK;
    if (found == NULL) {
        status = LSM_MISMATCH;
        fill_error(err, status, "this directory's store is open under another id");
    } else if (found == fresh) {
        status = lsm_store_open(options, &fresh->store, err);
        settle(fresh, status);
    }
    if (status == LSM_OK) *shared = found;
    if (status == LSM_OK && found != fresh) lsm_store_allow_map(found->store, options->map_bytes);
    if (status != LSM_OK || found != fresh) shared_free(fresh);
    return status;
}

void vt_registry_release(struct vt_shared *shared) {
    if (shared == NULL) return;
    pthread_mutex_lock(&registry_mutex);
    bool last = --shared->refs == 0;
    if (last) shared->state = SHARED_CLOSING;
    pthread_mutex_unlock(&registry_mutex);
    if (!last) return;
    /* Below FULL the last commits may not be durable if this fails; whoever closes a connection cannot be told. */
    (void)lsm_store_close(shared->store, NULL);
    pthread_mutex_lock(&registry_mutex);
    unlist(shared);
    pthread_cond_broadcast(&registry_changed);
    pthread_mutex_unlock(&registry_mutex);
    shared_free(shared);
}

struct lsm_store *vt_shared_store(const struct vt_shared *shared) {
    return shared->store;
}

bool vt_shared_garbage_due(const struct vt_shared *shared) { return atomic_load_explicit(&shared->garbage_due, memory_order_relaxed); }

void vt_shared_garbage_set(struct vt_shared *shared, bool due) { atomic_store_explicit(&shared->garbage_due, due, memory_order_relaxed); }

bool vt_shared_fits(struct vt_shared *shared, uint64_t device, uint64_t inode) {
    pthread_mutex_lock(&registry_mutex);
    bool fits = shared->fits && shared->device == device && shared->inode == inode;
    pthread_mutex_unlock(&registry_mutex);
    return fits;
}

void vt_shared_set_fits(struct vt_shared *shared, uint64_t device, uint64_t inode) {
    pthread_mutex_lock(&registry_mutex);
    shared->fits = true;
    shared->device = device;
    shared->inode = inode;
    pthread_mutex_unlock(&registry_mutex);
}
