/* sys_calls.h: the C library's calls that env_posix makes, defined here in its place, so that a test can have one fail. Header only, for a program of its own; one thread. */
#ifndef TEST_SYS_CALLS_H
#define TEST_SYS_CALLS_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static struct {
    struct {
        const char *call; /* this one fails; NULL: none */
        int error;        /* its errno; 0: a transfer ends with nothing done */
        unsigned times;   /* so many of them fail, beginning with the next */
        unsigned seen;    /* how often it was called since */
        unsigned spared;  /* so many of these succeed, before any fails */
    } fault[2];
    long fs_type;    /* what statfs() says; 0: the truth */
    int64_t slept_s; /* how long nanosleep() was told to sleep last */
} sys;

static inline void sys_heal(void) { memset(sys.fault, 0, sizeof sys.fault); }

static inline void sys_fail_too(const char *call, int error, unsigned times) {
    sys.fault[1].call = call;
    sys.fault[1].error = error;
    sys.fault[1].times = times;
    sys.fault[1].seen = sys.fault[1].spared = 0;
}

/* The call fails so often, beginning with the next; no other one does. */
static inline void sys_fail(const char *call, int error, unsigned times) {
    sys_fail_too(call, error, times);
    sys.fault[0] = sys.fault[1];
    sys.fault[1].call = NULL;
}

/* How often the call that fails was made since it was chosen. */
static inline unsigned sys_seen(void) { return sys.fault[0].seen; }

static inline bool sys_strikes(const char *call) {
    for (int i = 0; i < 2; i++) {
        if (sys.fault[i].call == NULL || strcmp(sys.fault[i].call, call) != 0) continue;
        errno = sys.fault[i].error;
        unsigned call_number = sys.fault[i].seen++;
        return call_number >= sys.fault[i].spared && call_number - sys.fault[i].spared < sys.fault[i].times;
    }
    return false;
}

/* The C library's own is own.function(). */
#define SYS_OWN(name)                                                                                                                                \
    union {                                                                                                                                          \
        void *address;                                                                                                                               \
        __typeof__(name) *function;                                                                                                                  \
    } own = {.address = dlsym(RTLD_NEXT, #name)}
#define SYS_CALL(name, parameters, arguments)                                                                                                        \
    int name parameters {                                                                                                                            \
        SYS_OWN(name);                                                                                                                               \
        return sys_strikes(#name) ? -1 : own.function arguments;                                                                                     \
    }
#define SYS_TRANSFER(name, parameters, arguments)                                                                                                    \
    ssize_t name parameters {                                                                                                                        \
        SYS_OWN(name);                                                                                                                               \
        return !sys_strikes(#name) ? own.function arguments : errno == 0 ? 0 : -1;                                                                   \
    }

SYS_TRANSFER(pread, (int fd, void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
SYS_TRANSFER(pwrite, (int fd, const void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
SYS_TRANSFER(getrandom, (void *bytes, size_t size, unsigned flags), (bytes, size, flags))
SYS_CALL(fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
SYS_CALL(fchmod, (int fd, mode_t mode), (fd, mode))
SYS_CALL(fstat, (int fd, struct stat *st), (fd, st))
SYS_CALL(stat, (const char *path, struct stat *st), (path, st))
SYS_CALL(lstat, (const char *path, struct stat *st), (path, st))
SYS_CALL(fdatasync, (int fd), (fd))
SYS_CALL(fsync, (int fd), (fd))
SYS_CALL(ftruncate, (int fd, off_t size), (fd, size))
SYS_CALL(fallocate, (int fd, int mode, off_t offset, off_t size), (fd, mode, offset, size))
SYS_CALL(posix_fadvise, (int fd, off_t offset, off_t size, int advice), (fd, offset, size, advice))
SYS_CALL(sync_file_range, (int fd, off_t offset, off_t size, unsigned flags), (fd, offset, size, flags))
SYS_CALL(dup3, (int from, int to, int flags), (from, to, flags))
SYS_CALL(flock, (int fd, int how), (fd, how))
SYS_CALL(madvise, (void *memory, size_t size, int advice), (memory, size, advice))

int nanosleep(const struct timespec *time, struct timespec *left) {
    SYS_OWN(nanosleep);
    sys.slept_s = time->tv_sec;
    return sys_strikes("nanosleep") ? -1 : own.function(time, left);
}

/* It is linked in statically, and this is what it calls. */
int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
    extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
    return sys_strikes("pthread_atfork") ? ENOMEM : __register_atfork(prepare, parent, child, NULL);
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) {
    SYS_OWN(getrlimit);
    return sys_strikes("getrlimit") ? -1 : own.function(resource, limit);
}

int statfs(const char *path, struct statfs *fs) {
    SYS_OWN(statfs);
    int rc = sys_strikes("statfs") ? -1 : own.function(path, fs);
    if (sys.fs_type != 0) fs->f_type = sys.fs_type;
    return rc;
}

int fstatfs(int fd, struct statfs *fs) {
    SYS_OWN(fstatfs);
    int rc = sys_strikes("fstatfs") ? -1 : own.function(fd, fs);
    if (sys.fs_type != 0) fs->f_type = sys.fs_type;
    return rc;
}

int open(const char *path, int flags, ...) {
    SYS_OWN(open);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (sys_strikes((flags & O_CREAT) != 0 ? "create" : "open")) return -1;
    return own.function(path, flags, mode);
}

int fcntl(int fd, int command, ...) {
    SYS_OWN(fcntl);
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return sys_strikes("fcntl") ? -1 : own.function(fd, command, argument);
}

void *mmap(void *memory, size_t size, int protection, int flags, int fd, off_t offset) {
    SYS_OWN(mmap);
    return sys_strikes("mmap") ? MAP_FAILED : own.function(memory, size, protection, flags, fd, offset);
}

DIR *fdopendir(int fd) {
    SYS_OWN(fdopendir);
    return sys_strikes("fdopendir") ? NULL : own.function(fd);
}

struct dirent *readdir(DIR *dir) {
    SYS_OWN(readdir);
    return sys_strikes("readdir") ? NULL : own.function(dir);
}

#endif
