/* Processes on one disk in memory: their locks, and the memory they map. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "env_mem_private.h"
#include "os_error.h"

/* ---- locks ---------------------------------------------------------------------------------------------------- */

void lsm_mem_drop_locks(struct mem_node *node, const struct mem_file *owner) {
    size_t left = 0;
    for (size_t i = 0; i < node->lock_count; i++)
        if (node->locks[i].owner != owner) node->locks[left++] = node->locks[i];
    node->lock_count = left;
}

static bool lock_conflicts(const struct mem_node *node, const struct mem_file *owner, uint64_t byte, bool exclusive) {
    for (size_t i = 0; i < node->lock_count; i++) {
        const struct mem_lock *held = &node->locks[i];
        if (held->byte == byte && held->owner != owner && (exclusive || held->exclusive)) return true;
    }
    return false;
}

/* Replaces what the owner holds on that byte. */
static int lock_set(struct mem_node *node, const struct mem_file *owner, uint64_t byte, enum lsm_lock lock) {
    size_t i = 0;
    while (i < node->lock_count && (node->locks[i].owner != owner || node->locks[i].byte != byte)) i++;
    bool held = i < node->lock_count;
    if (lock == LSM_UNLOCK) {
        if (held) node->locks[i] = node->locks[--node->lock_count];
        return LSM_OK;
    }
    if (!held) {
        struct mem_lock *locks = lsm_mem_grow(node->locks, &node->lock_capacity, node->lock_count + 1, sizeof *locks);
        if (locks == NULL) return LSM_NOMEM;
        node->locks = locks;
        node->lock_count++;
    }
    node->locks[i] = (struct mem_lock){.owner = owner, .byte = byte, .exclusive = lock == LSM_LOCK_EXCLUSIVE};
    return LSM_OK;
}

int lsm_mem_lock(struct lsm_file *base, uint64_t byte, enum lsm_lock lock, struct lsm_error *err) {
    struct mem_file *file = lsm_mem_file_of(base);
    struct lsm_env_op op = {.kind = LSM_ENV_LOCK, .path = base->path, .offset = byte};
    bool exclusive = lock == LSM_LOCK_EXCLUSIVE;
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, file, "lock file", err);
    if (status != LSM_OK) return lsm_mem_leave(lsm_mem_of(base->env), &op, status);
    if (file->node->is_dir) byte = 0;
    if (exclusive && !file->writable && !file->node->is_dir)
        status = lsm_os_fail(err, EBADF, false, "lock file", base->path);
    else if (lock != LSM_UNLOCK && lock_conflicts(file->node, file, byte, exclusive))
        status = lsm_fail(err, LSM_BUSY, "%s: byte %llu is locked by somebody else", base->path, (unsigned long long)byte);
    else if (lock_set(file->node, file, byte, lock) != LSM_OK)
        status = lsm_mem_fail_nomem(err);
    return lsm_mem_leave(lsm_mem_of(base->env), &op, status);
}

int lsm_mem_locked(struct lsm_file *base, uint64_t byte, bool *locked, struct lsm_error *err) {
    struct mem_file *file = lsm_mem_file_of(base);
    struct lsm_env_op op = {.kind = LSM_ENV_LOCK, .path = base->path, .offset = byte};
    *locked = false;
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, file, "look at lock of file", err);
    if (status == LSM_OK) *locked = lock_conflicts(file->node, file, byte, true);
    return lsm_mem_leave(lsm_mem_of(base->env), &op, status);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Mapped by the operating system, each open at its own address: a killed process can be cut off from the others by the same means. */
static int share_node(struct mem_node *node, size_t size) {
    if (node->shared_fd == 0) {
        uint8_t part[4096];
        int fd = memfd_create("lsm", MFD_CLOEXEC);
        if (fd < 0) return errno;
        for (uint64_t at = 0; at < node->now.size; at += sizeof part) {
            size_t got = lsm_mem_content_read(&node->now, at, part, sizeof part);
            if (pwrite(fd, part, got, (off_t)at) != (ssize_t)got) {
                (void)close(fd);
                return EIO;
            }
        }
        node->shared_fd = fd + 1;
    }
    off_t end = lseek(node->shared_fd - 1, 0, SEEK_END);
    if (end >= 0 && end < (off_t)size && ftruncate(node->shared_fd - 1, (off_t)size) != 0) return errno;
    return end < 0 ? errno : 0;
}

int lsm_mem_map(struct lsm_file *base, size_t size, void **bytes, struct lsm_error *err) {
    struct mem_file *file = lsm_mem_file_of(base);
    struct lsm_env_op op = {.kind = LSM_ENV_MAP, .path = base->path, .size = size};
    *bytes = NULL;
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, file, "map file", err);
    if (status != LSM_OK) return lsm_mem_leave(lsm_mem_of(base->env), &op, status);
    if (file->mapped != NULL)
        status = lsm_fail(err, LSM_MISUSE, "%s: this open file is mapped already", base->path);
    else if (!file->writable)
        status = lsm_os_fail(err, EACCES, true, "map file", base->path);
    else if (file->node->now.size < size)
        status = lsm_fail(err, LSM_IO, "%s: cannot map %zu bytes: the file has %llu", base->path, size, (unsigned long long)file->node->now.size);
    int error = status == LSM_OK ? share_node(file->node, size) : 0;
    void *mapped = status == LSM_OK && error == 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->node->shared_fd - 1, 0) : NULL;
    if (mapped == MAP_FAILED) error = errno;
    if (error != 0) status = lsm_os_fail(err, error, true, "map file", base->path);
    if (status == LSM_OK) {
        file->mapped = *bytes = mapped;
        file->mapped_bytes = size;
    }
    return lsm_mem_leave(lsm_mem_of(base->env), &op, status);
}

/* A copy: what is read so never changes. */
int lsm_mem_map_read(struct lsm_file *base, size_t size, const void **bytes, struct lsm_error *err) {
    struct mem_file *file = lsm_mem_file_of(base);
    *bytes = NULL;
    if (file->copy != NULL) return lsm_fail(err, LSM_MISUSE, "%s: this open file is mapped already", base->path);
    void *copy = lsm_malloc(size);
    if (copy == NULL) return lsm_fail_nomem(err, size);
    size_t got = 0;
    int status = lsm_mem_read_at(base, 0, copy, size, &got, err);
    if (status == LSM_OK && got < size) status = lsm_fail(err, LSM_IO, "%s: cannot map %zu bytes: the file has %zu", base->path, size, got);
    if (status == LSM_OK)
        *bytes = file->copy = copy;
    else
        lsm_free(copy);
    return status;
}

void lsm_mem_unmap(struct mem_file *file) {
    if (file->mapped != NULL) (void)munmap(file->mapped, file->mapped_bytes);
    file->mapped = NULL;
}

int lsm_mem_shared_read(const struct mem_node *node, struct mem_content *content) {
    uint8_t part[4096];
    int status = LSM_OK;
    if (node->shared_fd == 0) return LSM_OK;
    for (uint64_t at = 0; at < content->size && status == LSM_OK; at += sizeof part) {
        size_t left = content->size - at < sizeof part ? (size_t)(content->size - at) : sizeof part;
        ssize_t got = pread(node->shared_fd - 1, part, left, (off_t)at);
        if (got > 0) status = lsm_mem_content_write(content, at, part, (size_t)got);
    }
    return status;
}

void lsm_mem_shared_replace(struct mem_node *node, const void *bytes, size_t size) {
    if (node->shared_fd == 0) return;
    ssize_t written = pwrite(node->shared_fd - 1, bytes, size, 0);
    (void)written; /* memory, and as much as is there already */
}

/* A moment on the simulated clock, in which others may run. */
void lsm_mem_wait_word(struct lsm_env *env, _Atomic uint32_t *word, uint32_t seen, uint64_t us) {
    if (atomic_load(word) == seen) lsm_env_sleep_us(env, us);
}

void lsm_mem_wake_word(struct lsm_env *env, _Atomic uint32_t *word) {
    (void)env;
    (void)word;
}

/* ---- places ---------------------------------------------------------------------------------------------------- */

int lsm_mem_same_file(struct lsm_file *base, bool *same, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct mem_file *file = lsm_mem_file_of(base);
    struct mem_path at = {0};
    struct lsm_env_op op = {.kind = LSM_ENV_LIST, .path = base->path};
    *same = false;
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, file, "look at file", err);
    if (status == LSM_OK) *same = lsm_mem_resolve(&mem->disk, base->path, &at) == 0 && at.node == file->node;
    return lsm_mem_leave(mem, &op, status);
}

int lsm_mem_can_share(struct lsm_env *env, const char *path, const char **why, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    struct lsm_env_op op = {.kind = LSM_ENV_LIST, .path = path};
    *why = NULL;
    lsm_mem_enter(env, op.kind, path);
    int status = lsm_mem_admit(env, &op, NULL, "look at the file system of directory", err);
    if (status == LSM_OK) *why = mem->unshareable;
    return lsm_mem_leave(mem, &op, status);
}

void lsm_env_mem_set_unshareable(struct lsm_env *env, const char *why) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    mem->unshareable = why;
    lsm_mutex_unlock(&mem->mu);
}

/* ---- processes ------------------------------------------------------------------------------------------------- */

/* The same bytes at the same place, as of now, for nobody else. Atomic for a thread that is just using them. */
static void cut_off(struct mem_file *file) {
    if (file->mapped == NULL) return;
    /* The call itself: ThreadSanitizer would take the library's for a write of all these bytes. */
    long at_once = syscall(SYS_mmap, file->mapped, file->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file->node->shared_fd - 1, 0);
    void *own = at_once < 0 ? MAP_FAILED : file->mapped; /* LCOV_EXCL_BR_LINE: the kernel has no memory for its tables */
    /* LCOV_EXCL_BR_LINE: the same */
    if (own == MAP_FAILED) lsm_mem_unmap(file); /* its next look at the page ends the test program: better than a wrong result */
    /* A page is its own from the first write on. */
    /* LCOV_EXCL_BR_LINE: the same */
    for (size_t at = 0; own != MAP_FAILED && at < file->mapped_bytes; at += 4096) (void)atomic_fetch_or((_Atomic uint8_t *)own + at, 0);
}

void lsm_mem_kill(struct mem_env *mem, struct mem_process *process) {
    if (process->killed) return;
    process->killed = true;
    for (struct mem_file *file = mem->files; file != NULL; file = file->next) {
        if (file->base.env != &process->base || file->epoch != mem->epoch) continue;
        cut_off(file);
        lsm_mem_drop_locks(file->node, file);
        file->node->handles--;
        file->killed = true;
    }
}

void lsm_env_mem_kill(struct lsm_env *process) {
    struct mem_env *mem = lsm_mem_of(process);
    lsm_mutex_lock(&mem->mu);
    lsm_mem_kill(mem, lsm_mem_process_of(process));
    lsm_mutex_unlock(&mem->mu);
}

void lsm_env_mem_kill_at(struct lsm_env *process, uint64_t n) {
    struct mem_env *mem = lsm_mem_of(process);
    lsm_mutex_lock(&mem->mu);
    lsm_mem_process_of(process)->kill_at = n;
    lsm_mutex_unlock(&mem->mu);
}

bool lsm_env_mem_is_killed(struct lsm_env *process) {
    struct mem_env *mem = lsm_mem_of(process);
    lsm_mutex_lock(&mem->mu);
    bool killed = lsm_mem_process_of(process)->killed;
    lsm_mutex_unlock(&mem->mu);
    return killed;
}

void lsm_env_mem_before_op(struct lsm_env *process, lsm_env_before_fn fn, void *arg) {
    lsm_mem_process_of(process)->before = fn;
    lsm_mem_process_of(process)->before_arg = arg;
}
