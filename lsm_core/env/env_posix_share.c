/* Files between processes: byte locks, shared memory, and what a fork must not inherit. */
#include "env_posix_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "os_error.h"
#include "sync.h"

/* ---- fork -------------------------------------------------------------------------------------------------------------------------- */

/* A lock belongs to the open file description, which a child of fork() shares: it would outlive the parent's death in the child, who does not know
 * of it. So the child closes every descriptor that has ever locked something. One that was opened before a fork and first locks after it is opened again then: a
 * child may have the old one. */
static struct lsm_mutex locked_mu = LSM_MUTEX_STATIC;
static struct posix_file *locked_files; /* guarded by locked_mu */
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static int watch_status;       /* written in watch_once only */
static _Atomic unsigned forks; /* begun; changed under locked_mu */

static void before_fork(void) {
    lsm_mutex_lock(&locked_mu);
    (void)atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void after_fork(void) { lsm_mutex_unlock(&locked_mu); }

/* Only async-signal-safe calls: other threads' locks are as they were. */
static void in_child(void) {
    for (struct posix_file *file = locked_files; file != NULL; file = file->next) {
        (void)close(file->fd);
        file->fd = -1;
        file->is_listed = false;
    }
    locked_files = NULL;
    lsm_mutex_unlock(&locked_mu);
}

static void watch_forks(void) { watch_status = pthread_atfork(before_fork, after_fork, in_child) == 0 ? LSM_OK : LSM_NOMEM; }

unsigned lsm_posix_forks(void) {
    (void)pthread_once(&watch_once, watch_forks);
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

/* The same file by another open, under the same number: other threads may be using it. */
static int reopen(struct posix_file *file) {
    struct stat old, fresh;
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (fcntl(file->fd, F_GETFL) & O_ACCMODE) | (file->is_dir ? O_DIRECTORY : 0), fd;
    do fd = open(file->base.path, flags);
    while (fd < 0 && errno == EINTR);
    /* LCOV_EXCL_BR_LINE: another device would have to be mounted there */
    bool same = fd >= 0 && fstat(file->fd, &old) == 0 && fstat(fd, &fresh) == 0 && old.st_dev == fresh.st_dev && old.st_ino == fresh.st_ino;
    int status = same && dup3(fd, file->fd, O_CLOEXEC) == file->fd ? LSM_OK : LSM_IO;
    if (fd >= 0) (void)close(fd);
    if (status == LSM_OK) file->forks = atomic_load_explicit(&forks, memory_order_relaxed);
    return status;
}

static int list_file(struct posix_file *file, struct lsm_error *err) {
    if (atomic_load_explicit(&file->is_listed, memory_order_relaxed)) return LSM_OK;
    if (watch_status != LSM_OK) return lsm_fail_nomem(err, 0);
    int status = LSM_OK;
    lsm_mutex_lock(&locked_mu);
    if (file->forks != atomic_load_explicit(&forks, memory_order_relaxed)) status = reopen(file);
    if (status == LSM_OK && !file->is_listed) { /* LCOV_EXCL_BR_LINE: another thread has listed it since the look above */
        atomic_store_explicit(&file->is_listed, true, memory_order_relaxed);
        file->prev = NULL;
        file->next = locked_files;
        if (file->next != NULL) file->next->prev = file;
        locked_files = file;
    }
    lsm_mutex_unlock(&locked_mu);
    if (status == LSM_OK) return LSM_OK;
    return lsm_fail(err, LSM_IO, "%s: opened before a fork, and cannot be opened again to be locked; try again", file->base.path);
}

/* Not retried on EINTR: Linux has closed it all the same. */
void lsm_posix_close_fd(struct posix_file *file) {
    if (file->mapped != NULL && file->mapped_epoch == lsm_fork_epoch()) (void)munmap(file->mapped, file->mapped_bytes);
    lsm_mutex_lock(&locked_mu);
    bool was_listed = file->is_listed;
    if (was_listed) {
        if (file->next != NULL) file->next->prev = file->prev;
        if (file->prev != NULL)
            file->prev->next = file->next;
        else
            locked_files = file->next;
        /* LCOV_EXCL_BR_LINE: what is listed is open */
        if (file->fd >= 0) (void)close(file->fd); /* under the mutex: a fork sees it listed and open, or neither */
    }
    lsm_mutex_unlock(&locked_mu);
    if (!was_listed && file->fd >= 0) (void)close(file->fd);
}

bool lsm_posix_sync_locked_dir(const char *path, int *error) {
    lsm_mutex_lock(&locked_mu); /* it is not closed meanwhile */
    struct posix_file *file = locked_files;
    while (file != NULL && (!file->is_dir || strcmp(file->base.path, path) != 0)) file = file->next;
    int rc = 0;
    if (file != NULL) {
        do rc = fsync(file->fd);
        while (rc != 0 && errno == EINTR);
        *error = rc == 0 ? 0 : errno;
    }
    lsm_mutex_unlock(&locked_mu);
    return file != NULL;
}

/* ---- locks ------------------------------------------------------------------------------------------------------------------------- */

/* True if off_t cannot name the byte. */
static bool byte_too_big(uint64_t byte) { return byte >= INT64_MAX; }

/* A directory cannot be opened for writing, as an exclusive lock of its bytes would ask for. */
static int lock_dir(int fd, enum lsm_lock lock) {
    return flock(fd, (lock == LSM_UNLOCK ? LOCK_UN : lock == LSM_LOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB);
}

/* Locks of the open file description: other opens in this process conflict, and closing another descriptor drops nothing. */
int lsm_posix_lock(struct lsm_file *base, uint64_t byte, enum lsm_lock lock, struct lsm_error *err) {
    int rc;
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1, .l_pid = 0};
    if (byte_too_big(byte)) return lsm_os_fail(err, EINVAL, false, "lock file", base->path);
    if (lock == LSM_LOCK_SHARED) range.l_type = F_RDLCK;
    if (lock == LSM_LOCK_EXCLUSIVE) range.l_type = F_WRLCK;
    int listed = lock == LSM_UNLOCK ? LSM_OK : list_file(posix_of(base), err);
    if (listed != LSM_OK) return listed;
    do rc = posix_of(base)->is_dir ? lock_dir(posix_of(base)->fd, lock) : fcntl(posix_of(base)->fd, F_OFD_SETLK, &range);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return LSM_OK;
    if (errno != EAGAIN && errno != EACCES) return lsm_os_fail(err, errno, false, "lock file", base->path);
    int error = errno;
    int status = lsm_fail(err, LSM_BUSY, "%s: byte %llu is locked by somebody else", base->path, (unsigned long long)byte);
    if (err != NULL) err->os_errno = error;
    return status;
}

int lsm_posix_locked(struct lsm_file *base, uint64_t byte, bool *locked, struct lsm_error *err) {
    int rc;
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1, .l_pid = 0};
    *locked = false;
    if (byte_too_big(byte)) return lsm_os_fail(err, EINVAL, false, "look at lock of file", base->path);
    do rc = fcntl(posix_of(base)->fd, F_OFD_GETLK, &range);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) return lsm_os_fail(err, errno, false, "look at lock of file", base->path);
    *locked = range.l_type != F_UNLCK;
    return LSM_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------------------------ */

/* What may be written is kept from the child of a fork. What is only read may stay: the child could be in the midst of reading it. */
static int map_file(struct lsm_file *base, size_t size, bool writing, void **bytes, struct lsm_error *err) {
    struct posix_file *file = posix_of(base);
    struct stat st;
    *bytes = NULL;
    if (file->mapped != NULL) return lsm_fail(err, LSM_MISUSE, "%s: this open file is mapped already", base->path);
    if (fstat(file->fd, &st) != 0) return lsm_os_fail(err, errno, false, "map file", base->path);
    if ((uint64_t)st.st_size < size) /* what is behind the end would raise SIGBUS */
        return lsm_fail(err, LSM_IO, "%s: cannot map %zu bytes: the file has %lld", base->path, size, (long long)st.st_size);
    void *mapped = mmap(NULL, size, writing ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file->fd, 0);
    if (mapped == MAP_FAILED) return lsm_os_fail(err, errno, writing, "map file", base->path);
    if (writing && madvise(mapped, size, MADV_DONTFORK) != 0) {
        int error = errno;
        (void)munmap(mapped, size);
        return lsm_os_fail(err, error, true, "keep the map of file from forks", base->path);
    }
    file->mapped = mapped;
    file->mapped_bytes = size;
    file->mapped_epoch = lsm_fork_epoch();
    *bytes = mapped;
    return LSM_OK;
}

int lsm_posix_map(struct lsm_file *base, size_t size, void **bytes, struct lsm_error *err) { return map_file(base, size, true, bytes, err); }

int lsm_posix_map_read(struct lsm_file *base, size_t size, const void **bytes, struct lsm_error *err) {
    void *mapped = NULL;
    int status = map_file(base, size, false, &mapped, err);
    *bytes = mapped;
    return status;
}

/* Not FUTEX_PRIVATE: the word is known by its place in the file. */
void lsm_posix_wait_word(struct lsm_env *env, _Atomic uint32_t *word, uint32_t seen, uint64_t us) {
    (void)env;
    struct timespec time = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    (void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &time, NULL, 0); /* whatever ends it, the caller looks again */
}

void lsm_posix_wake_word(struct lsm_env *env, _Atomic uint32_t *word) {
    (void)env;
    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- places ------------------------------------------------------------------------------------------------------------------------ */

int lsm_posix_same_file(struct lsm_file *base, bool *same, struct lsm_error *err) {
    struct stat open_st, path_st;
    *same = false;
    if (fstat(posix_of(base)->fd, &open_st) != 0) return lsm_os_fail(err, errno, false, "look at open file", base->path);
    /* A directory may be reached by a link, a file of ours never is one. */
    if ((posix_of(base)->is_dir ? stat(base->path, &path_st) : lstat(base->path, &path_st)) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return LSM_OK;
        return lsm_os_fail(err, errno, false, "look at file", base->path);
    }
    *same = open_st.st_dev == path_st.st_dev && open_st.st_ino == path_st.st_ino;
    return LSM_OK;
}

/* File systems of which another machine may have the same directory, or whose maps are not one memory, by the numbers of statfs(2). */
static const struct {
    uint32_t magic;
    const char *name;
} unshareable[] = {
    {0x00006969, "NFS"},    {0x0000517b, "SMB"},  {0xfe534d42, "SMB"},    {0xff534d42, "CIFS"},     {0x01021997, "9p"},     {0x65735546, "FUSE"},
    {0x00c36400, "CephFS"}, {0x5346414f, "AFS"},  {0x6b414653, "AFS"},    {0x73757245, "Coda"},     {0x0bd00bd0, "Lustre"}, {0x7461636f, "OCFS2"},
    {0x01161970, "GFS2"},   {0x47504653, "GPFS"}, {0x19830326, "BeeGFS"}, {0x20030528, "OrangeFS"}, {0x786f4256, "vboxsf"}, {0x0000564c, "NCP"},
};

int lsm_posix_can_share(struct lsm_env *env, const char *path, const char **why, struct lsm_error *err) {
    (void)env;
    struct statfs fs;
    int rc;
    *why = NULL;
    do rc = statfs(path[0] == '\0' ? "." : path, &fs);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) return lsm_os_fail(err, errno, false, "look at the file system of directory", path);
    for (size_t i = 0; i < sizeof unshareable / sizeof unshareable[0]; i++)
        if (unshareable[i].magic == (uint32_t)fs.f_type) *why = unshareable[i].name;
    return LSM_OK;
}
