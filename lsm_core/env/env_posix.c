#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <stdio.h>

#include "env_posix_private.h"
#include "os_error.h"

static const struct lsm_env_ops posix_ops;

static const char *path_or_here(const char *path) { return path[0] == '\0' ? "." : path; }

/* ---- opening -------------------------------------------------------------------------------------------------- */

static int open_retry(const char *path, int flags, mode_t mode) {
    int fd;
    do fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0 || fd > 2) return fd;
    /* The host has closed a standard stream; what anybody prints must not land in our file. */
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return moved;
}

static int open_dir(const char *path) { return open_retry(path_or_here(path), O_RDONLY | O_DIRECTORY, 0); }

/* Open what is there or create it. *created tells which, so that only new files get permissions. -1: errno. */
static int open_or_create(const char *path, int flags, mode_t mode, bool excl, bool *created) {
    for (int round = 0; round < 100; round++) { /* somebody creates and unlinks in turn: not for ever */
        int fd = excl ? -1 : open_retry(path, flags, 0);
        *created = false;
        if (!excl && (fd >= 0 || errno != ENOENT)) return fd;
        fd = open_retry(path, flags | O_CREAT | O_EXCL, mode);
        *created = fd >= 0;
        if (fd >= 0 || excl || errno != EEXIST) return fd;
    }
    return -1;
}

/* The exact mode whatever the umask, which belongs to the host. File systems without owners or modes refuse: what they give is never more
 * than open() asked for. */
static int give_perm(int fd, const struct lsm_env_perm *perm, mode_t mode) {
    if (perm->uid >= 0 || perm->gid >= 0) {
        uid_t uid = perm->uid >= 0 ? (uid_t)perm->uid : (uid_t)-1;
        gid_t gid = perm->gid >= 0 ? (gid_t)perm->gid : (gid_t)-1;
        if (fchown(fd, uid, gid) != 0 && errno != EPERM && errno != EINVAL && errno != EOPNOTSUPP) return -1;
    }
    if (fchmod(fd, mode) != 0 && errno != EPERM && errno != EOPNOTSUPP) return -1;
    return 0;
}

static uint64_t file_size_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
    return (uint64_t)limit.rlim_cur;
}

/* Open, check and dress the descriptor; 0 or errno. */
static int open_fd(const char *path, unsigned flags, const struct lsm_env_perm *perm, int *result) {
    struct stat st;
    bool created = false;
    mode_t mode = perm != NULL ? (mode_t)(perm->mode & 0777u) : (mode_t)0644;
    /* O_NONBLOCK: a FIFO in our place must not stop us for ever. */
    int os_flags = O_NOFOLLOW | O_NONBLOCK | ((flags & LSM_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY);
    int fd =
        (flags & LSM_OPEN_CREATE) != 0 ? open_or_create(path, os_flags, mode, (flags & LSM_OPEN_EXCL) != 0, &created) : open_retry(path, os_flags, 0);
    if (fd < 0) return errno;
    int error = 0;
    if (fstat(fd, &st) != 0)
        error = errno;
    else if (!S_ISREG(st.st_mode))
        error = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    if (error == 0 && created && perm != NULL && give_perm(fd, perm, mode) != 0) error = errno;
    if (error != 0) {
        (void)close(fd);
        if (created) (void)unlink(path);
        return error;
    }
    *result = fd;
    return 0;
}

static int posix_open(struct lsm_env *env, const char *path, unsigned flags, const struct lsm_env_perm *perm, struct lsm_file **file,
                      struct lsm_error *err) {
    bool writing = (flags & (LSM_OPEN_WRITE | LSM_OPEN_CREATE)) != 0;
    *file = NULL;
    struct posix_file *made = lsm_calloc(1, sizeof *made);
    if (made == NULL) return lsm_fail_nomem(err, sizeof *made);
    made->base = (struct lsm_file){.ops = &posix_ops, .env = env, .path = lsm_strdup(path)};
    if (made->base.path == NULL) {
        lsm_free(made);
        return lsm_fail_nomem(err, strlen(path) + 1);
    }
    made->forks = lsm_posix_forks();
    made->is_dir = (flags & LSM_OPEN_DIR) != 0;
    if (made->is_dir) made->fd = open_dir(path);
    int error = !made->is_dir ? open_fd(path, flags, perm, &made->fd) : made->fd < 0 ? errno : 0;
    if (error != 0) {
        lsm_free(made->base.path);
        lsm_free(made);
        if (error == EINVAL) return lsm_fail(err, LSM_IO, "%s: cannot open file: this is not a regular file", path);
        return lsm_os_fail(err, error, writing, (flags & LSM_OPEN_CREATE) != 0 ? "open or create file" : "open file", path);
    }
    made->size_limit = file_size_limit();
    *file = &made->base;
    return LSM_OK;
}

static void posix_close(struct lsm_file *base) {
    struct posix_file *file = posix_of(base);
    lsm_posix_drop_window(file);
    lsm_posix_close_fd(file);
    lsm_free(base->path);
    lsm_free(file);
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

/* "read 4096 bytes at offset 12288" */
static int transfer_fail(struct lsm_error *err, int os_errno, bool writing, const char *verb, uint64_t offset, uint64_t size, const char *path) {
    char action[96];
    (void)snprintf(action, sizeof action, "%s %llu bytes at offset %llu", verb, (unsigned long long)size, (unsigned long long)offset);
    return lsm_os_fail(err, os_errno, writing, action, path);
}

/* True if [offset, offset + size) is a range no off_t can name. */
static bool range_too_big(uint64_t offset, uint64_t size) { return offset > INT64_MAX || size > INT64_MAX - offset; }

/* True if the file must not reach that far. The limit may have been raised since. */
static bool over_size_limit(struct posix_file *file, uint64_t offset, uint64_t size) {
    if (range_too_big(offset, size)) return true;
    return offset + size > file->size_limit && offset + size > file_size_limit();
}

static int posix_read_at(struct lsm_file *base, uint64_t offset, void *bytes, size_t size, size_t *got, struct lsm_error *err) {
    uint8_t *to = bytes;
    size_t done = 0;
    *got = 0;
    if (range_too_big(offset, size)) return transfer_fail(err, EINVAL, false, "read", offset, size, base->path);
    while (done < size) {
        ssize_t n = pread(posix_of(base)->fd, to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return transfer_fail(err, errno, false, "read", offset + done, size - done, base->path);
        if (n == 0) break;
        done += (size_t)n;
    }
    *got = done;
    return LSM_OK;
}

static int posix_write_at(struct lsm_file *base, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err) {
    const uint8_t *from = bytes;
    size_t done = 0;
    if (over_size_limit(posix_of(base), offset, size)) return transfer_fail(err, EFBIG, true, "write", offset, size, base->path);
    while (done < size) {
        ssize_t n = pwrite(posix_of(base)->fd, from + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return transfer_fail(err, n < 0 ? errno : EIO, true, "write", offset + done, size - done, base->path);
        done += (size_t)n;
    }
    return LSM_OK;
}

static int posix_write_reserved(struct lsm_file *base, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err) {
    bool limited = over_size_limit(posix_of(base), offset, LSM_POSIX_WINDOW_BYTES);
    if (!limited && lsm_posix_write_window(posix_of(base), offset, bytes, size)) return LSM_OK;
    return posix_write_at(base, offset, bytes, size, err);
}

static int posix_sync(struct lsm_file *base, struct lsm_error *err) {
    struct posix_file *file = posix_of(base);
    int rc;
    atomic_store_explicit(&file->calls, 0, memory_order_relaxed);
    if (atomic_load_explicit(&file->poisoned, memory_order_relaxed)) return lsm_os_poisoned(err, base->path);
    do rc = fdatasync(file->fd);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return LSM_OK;
    int error = errno;
    atomic_store_explicit(&file->poisoned, true, memory_order_relaxed);
    return lsm_os_fail(err, error, true, "sync file", base->path);
}

/* A request, which nobody answers: what is mapped elsewhere stays. What waits to be written would stay, too, as what was put over a failed write does; whether
 * that writing succeeds does not matter to who writes all of it again. */
static void posix_forget(struct lsm_file *base, uint64_t offset, uint64_t size) {
    int fd = posix_of(base)->fd;
    int ignored = sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    ignored = posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
    (void)ignored;
}

static int posix_truncate(struct lsm_file *base, uint64_t size, struct lsm_error *err) {
    int rc;
    lsm_posix_drop_window(posix_of(base)); /* a store behind the new end would raise SIGBUS */
    if (over_size_limit(posix_of(base), size, 0)) return lsm_os_fail(err, EFBIG, true, "set size of file", base->path);
    do rc = ftruncate(posix_of(base)->fd, (off_t)size);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? LSM_OK : lsm_os_fail(err, errno, true, "set size of file", base->path);
}

static int posix_size(struct lsm_file *base, uint64_t *size, struct lsm_error *err) {
    struct stat st;
    if (fstat(posix_of(base)->fd, &st) != 0) return lsm_os_fail(err, errno, false, "get size of file", base->path);
    *size = (uint64_t)st.st_size;
    return LSM_OK;
}

/* Where nothing can be reserved, zeros behind the end of the file are the next best: they fail now, not later. What is already in the file
 * is not touched. */
static int allocate_by_writing(struct lsm_file *base, uint64_t end, struct lsm_error *err) {
    static const uint8_t zeros[65536];
    uint64_t at = 0;
    int status = posix_size(base, &at, err);
    while (status == LSM_OK && at < end) {
        size_t part = end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros;
        status = posix_write_at(base, at, zeros, part, err);
        at += part;
    }
    return status;
}

/* fallocate() itself: glibc's posix_fallocate() emulates it by touching bytes that another thread may be writing. */
static int posix_allocate(struct lsm_file *base, uint64_t offset, uint64_t size, struct lsm_error *err) {
    int rc;
    if (size == 0) return LSM_OK;
    if (over_size_limit(posix_of(base), offset, size)) return transfer_fail(err, EFBIG, true, "reserve", offset, size, base->path);
    do rc = fallocate(posix_of(base)->fd, 0, (off_t)offset, (off_t)size);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return LSM_OK;
    if (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS) return allocate_by_writing(base, offset + size, err);
    return transfer_fail(err, errno, true, "reserve", offset, size, base->path);
}

/* ---- directories ---------------------------------------------------------------------------------------------- */

static int posix_rename(struct lsm_env *env, const char *from, const char *to, struct lsm_error *err) {
    (void)env;
    if (rename(from, to) == 0) return LSM_OK;
    int error = errno;
    char action[256];
    (void)snprintf(action, sizeof action, "rename it to %s", to);
    return lsm_os_fail(err, error, true, action, from);
}

static int posix_unlink(struct lsm_env *env, const char *path, struct lsm_error *err) {
    (void)env;
    return unlink(path) == 0 ? LSM_OK : lsm_os_fail(err, errno, true, "remove file", path);
}

/* A directory's descriptor or -1 and errno. Links are followed: a store may live behind one. */
static int posix_mkdir(struct lsm_env *env, const char *path, const struct lsm_env_perm *perm, struct lsm_error *err) {
    (void)env;
    struct stat st;
    unsigned bits = perm != NULL ? perm->mode & 0777u : 0755u;
    mode_t mode = (mode_t)(bits | ((bits & 0444u) >> 2));
    if (mkdir(path, mode) != 0) {
        int error = errno;
        if (error == EEXIST && stat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode)) return LSM_OK;
            error = ENOTDIR;
        }
        return lsm_os_fail(err, error, true, "make directory", path);
    }
    if (perm == NULL) return LSM_OK;
    int fd = open_dir(path);
    int error = fd < 0 || give_perm(fd, perm, mode) != 0 ? errno : 0;
    if (fd >= 0) (void)close(fd);
    if (error == 0) return LSM_OK;
    (void)rmdir(path);
    return lsm_os_fail(err, error, true, "set permissions of new directory", path);
}

static int posix_rmdir(struct lsm_env *env, const char *path, struct lsm_error *err) {
    (void)env;
    return rmdir(path) == 0 ? LSM_OK : lsm_os_fail(err, errno, true, "remove directory", path);
}

static int names_add(struct lsm_names *names, size_t *capacity, const char *name) {
    if (names->count == *capacity) {
        size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
        char **grown = lsm_realloc(names->names, wanted * sizeof *grown);
        if (grown == NULL) return ENOMEM;
        names->names = grown;
        *capacity = wanted;
    }
    char *copy = lsm_strdup(name);
    if (copy == NULL) return ENOMEM;
    names->names[names->count++] = copy;
    return 0;
}

/* 0 or errno. */
static int read_names(DIR *dir, struct lsm_names *names) {
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) return errno;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        int error = names_add(names, &capacity, entry->d_name);
        if (error != 0) return error;
    }
}

static int posix_list(struct lsm_env *env, const char *path, struct lsm_names *names, struct lsm_error *err) {
    (void)env;
    *names = (struct lsm_names){0};
    int fd = open_dir(path);
    if (fd < 0) return lsm_os_fail(err, errno, false, "list directory", path);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int error = errno;
        (void)close(fd);
        return lsm_os_fail(err, error, false, "list directory", path);
    }
    int error = read_names(dir, names);
    (void)closedir(dir);
    if (error == 0) return LSM_OK;
    lsm_names_free(names);
    return lsm_os_fail(err, error, false, "list directory", path);
}

static int posix_sync_dir(struct lsm_env *env, const char *path, struct lsm_error *err) {
    (void)env;
    int rc, error = 0;
    int fd = open_dir(path);
    if (fd < 0) error = errno;
    /* A commit that waits for it must not fail, and take the log with it, for want of a descriptor that somebody has. */
    if ((error == EMFILE || error == ENFILE) && lsm_posix_sync_locked_dir(path, &error))
        fd = -1;
    else if (fd < 0)
        return lsm_os_fail(err, error, true, "sync directory", path);
    if (fd >= 0) {
        do rc = fsync(fd);
        while (rc != 0 && errno == EINTR);
        if (rc != 0) error = errno;
        (void)close(fd);
    }
    /* EINVAL: a file system that has no such thing as an unsynced directory. */
    return error == 0 || error == EINVAL ? LSM_OK : lsm_os_fail(err, error, true, "sync directory", path);
}

static int posix_exists(struct lsm_env *env, const char *path, bool *exists, struct lsm_error *err) {
    (void)env;
    struct stat st;
    *exists = lstat(path_or_here(path), &st) == 0;
    if (*exists || errno == ENOENT || errno == ENOTDIR) return LSM_OK;
    return lsm_os_fail(err, errno, false, "look for file", path);
}

/* ---- time and chance ------------------------------------------------------------------------------------------ */

static uint64_t clock_us(clockid_t clock) {
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* cannot fail for these clocks */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t posix_now_us(struct lsm_env *env) {
    (void)env;
    return clock_us(CLOCK_REALTIME);
}

static uint64_t posix_monotonic_us(struct lsm_env *env) {
    (void)env;
    return clock_us(CLOCK_MONOTONIC);
}

static void posix_sleep_us(struct lsm_env *env, uint64_t us) {
    (void)env;
    uint64_t us_max = (uint64_t)1000000 * 3600 * 24;
    if (us > us_max) us = us_max;
    struct timespec left = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

static int posix_random(struct lsm_env *env, void *bytes, size_t size, struct lsm_error *err) {
    (void)env;
    uint8_t *to = bytes;
    while (size > 0) {
        ssize_t n = getrandom(to, size, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return lsm_os_fail(err, n < 0 ? errno : EIO, false, "get random bytes", "getrandom");
        to += n;
        size -= (size_t)n;
    }
    return LSM_OK;
}

static const struct lsm_env_ops posix_ops = {
    .open = posix_open,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .list = posix_list,
    .sync_dir = posix_sync_dir,
    .exists = posix_exists,
    .now_us = posix_now_us,
    .monotonic_us = posix_monotonic_us,
    .sleep_us = posix_sleep_us,
    .random = posix_random,
    .can_share = lsm_posix_can_share,
    .read_at = posix_read_at,
    .write_at = posix_write_at,
    .write_reserved = posix_write_reserved,
    .sync = posix_sync,
    .forget = posix_forget,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .size = posix_size,
    .lock = lsm_posix_lock,
    .locked = lsm_posix_locked,
    .map = lsm_posix_map,
    .map_read = lsm_posix_map_read,
    .wait_word = lsm_posix_wait_word,
    .wake_word = lsm_posix_wake_word,
    .same_file = lsm_posix_same_file,
    .close = posix_close,
};

struct lsm_env *lsm_env_posix(void) {
    static struct lsm_env env = {.ops = &posix_ops};
    return &env;
}
