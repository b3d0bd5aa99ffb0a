/* env.h: the vtable through which every file, directory, lock, clock and sleep of the engine goes.
 *
 * Paths are UTF-8 with '/' separators. Every failing call fills err with the path, the operation and the reason, and returns:
 * LSM_NOTFOUND (ENOENT), LSM_FULL (ENOSPC, EDQUOT, EFBIG), LSM_BUSY (lock held elsewhere), LSM_NOMEM, LSM_READONLY (EROFS, EACCES, EPERM on a
 * write), else LSM_IO. EINTR and short transfers are retried inside; a call either does all it was asked to or fails.
 * Threads: an env and its files may be used by many threads at once; two calls on one file may overlap.
 */
#ifndef LSM_ENV_ENV_H
#define LSM_ENV_ENV_H

#include "../base/base.h"

/* Permission bits and owner of what is created; -1 leaves the owner alone. A directory adds x wherever mode has r. */
struct lsm_env_perm {
    unsigned mode;
    int64_t uid, gid;
};

enum lsm_open_flag {
    LSM_OPEN_READ = 1,
    LSM_OPEN_WRITE = 2,  /* implies READ */
    LSM_OPEN_CREATE = 4, /* create if missing */
    LSM_OPEN_EXCL = 8,   /* with CREATE: fail (LSM_IO, EEXIST) if there already */
    LSM_OPEN_DIR = 16    /* alone: a directory, for lock(), same_file() and close() only; it is locked as a whole, whatever the byte */
};

/* What lsm_file_forget() works in: the largest piece in which Linux keeps a file in memory, and of which it cannot let go by halves. */
enum { LSM_FORGET_BYTES = 2 * 1024 * 1024 };

enum lsm_lock { LSM_UNLOCK = 0, LSM_LOCK_SHARED = 1, LSM_LOCK_EXCLUSIVE = 2 };

struct lsm_file; /* one open file; owned by who opened it */

/* A directory listing: names without path, "." and ".." left out, in no order. */
struct lsm_names {
    char **names;
    size_t count;
};
void lsm_names_free(struct lsm_names *names);

struct lsm_env_ops {
    int (*open)(struct lsm_env *env, const char *path, unsigned flags, const struct lsm_env_perm *perm, struct lsm_file **file,
                struct lsm_error *err);
    int (*rename)(struct lsm_env *env, const char *from, const char *to, struct lsm_error *err); /* replaces `to` */
    int (*unlink)(struct lsm_env *env, const char *path, struct lsm_error *err);
    int (*mkdir)(struct lsm_env *env, const char *path, const struct lsm_env_perm *perm, struct lsm_error *err); /* OK if there already */
    int (*rmdir)(struct lsm_env *env, const char *path, struct lsm_error *err);
    int (*list)(struct lsm_env *env, const char *path, struct lsm_names *names, struct lsm_error *err);
    int (*sync_dir)(struct lsm_env *env, const char *path, struct lsm_error *err); /* makes entries of the directory durable */
    int (*exists)(struct lsm_env *env, const char *path, bool *exists, struct lsm_error *err);
    uint64_t (*now_us)(struct lsm_env *env);       /* wall clock, since 1970; may jump */
    uint64_t (*monotonic_us)(struct lsm_env *env); /* never goes back */
    void (*sleep_us)(struct lsm_env *env, uint64_t us);
    /* Sleep while `word`, in memory that lsm_file_map() gave, is `seen`: until somebody wakes one who waits at it, the time is over, or for no reason. */
    void (*wait_word)(struct lsm_env *env, _Atomic uint32_t *word, uint32_t seen, uint64_t us);
    void (*wake_word)(struct lsm_env *env, _Atomic uint32_t *word); /* one, of all processes; nobody may be there */
    int (*random)(struct lsm_env *env, void *bytes, size_t size, struct lsm_error *err);
    /* Can processes share files below the directory: locks and mapped memory that all of them see? *why: NULL if so, else the name of the file
     * system that cannot, e.g. "NFS" (static). */
    int (*can_share)(struct lsm_env *env, const char *path, const char **why, struct lsm_error *err);
    /* Files. Transfers are whole or fail; read_at alone may return less, at the end of the file (*got). */
    int (*read_at)(struct lsm_file *file, uint64_t offset, void *bytes, size_t size, size_t *got, struct lsm_error *err);
    int (*write_at)(struct lsm_file *file, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err);
    /* The same as write_at(), for many small writes one behind the other into what allocate() has reserved: may be a store into a map of the file, without a
     * system call, where such a store cannot fail. What is in the file behind such a write may become zeros. Not beside another one of this open, nor beside
     * truncate(); nobody cuts the file meanwhile, in another process neither. */
    int (*write_reserved)(struct lsm_file *file, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err);
    int (*sync)(struct lsm_file *file,
                struct lsm_error *err); /* data and size durable (fdatasync). After a failure the file is poisoned: every later sync fails too. */
    /* Let go of the system's own copy of these bytes (offset and size multiples of LSM_FORGET_BYTES), as far as it passes for written: the next read is the
     * disk's. For who has these bytes and is about to write them again, else what a failed sync has left there is lost. Whole or not at all, and nobody hears which. */
    void (*forget)(struct lsm_file *file, uint64_t offset, uint64_t size);
    int (*truncate)(struct lsm_file *file, uint64_t size, struct lsm_error *err);
    int (*allocate)(struct lsm_file *file, uint64_t offset, uint64_t size,
                    struct lsm_error *err); /* reserve blocks, grow with zeros; where the file system cannot, write zeros */
    int (*size)(struct lsm_file *file, uint64_t *size, struct lsm_error *err);
    /* One byte of the file, without waiting. Excludes every other open of the file, in this process too; dies with the process, and in the child
     * of a fork. Shared takes a file opened for reading, exclusive one for writing. Between shared and exclusive it changes in one step: nobody
     * gets in between, and an exclusive that is refused leaves the shared one; but not for a directory, which may be lost by that. */
    int (*lock)(struct lsm_file *file, uint64_t byte, enum lsm_lock lock, struct lsm_error *err);
    /* Does another open of the file hold the byte, shared or exclusively? Our own lock is not seen. */
    int (*locked)(struct lsm_file *file, uint64_t byte, bool *locked, struct lsm_error *err);
    /* The first `size` bytes (a multiple of 4096) as memory that everybody who maps the file shares, until the file is closed; once per open, not
     * after a fork. The file must be as long and never be cut: allocate() first. What a crash leaves of it is not defined, nor what read_at and
     * write_at make of it. */
    int (*map)(struct lsm_file *file, size_t size, void **bytes, struct lsm_error *err);
    /* The first `size` bytes as memory to be read, until the file is closed, in the child of a fork too; once per open. Nobody may change or cut them. What the
     * disk does not give back later raises SIGBUS where it is read, so does what somebody cuts off. */
    int (*map_read)(struct lsm_file *file, size_t size, const void **bytes, struct lsm_error *err);
    /* Does the file's path still lead to this very file? False if it was removed or replaced. */
    int (*same_file)(struct lsm_file *file, bool *same, struct lsm_error *err);
    void (*close)(struct lsm_file *file);
};

struct lsm_env {
    const struct lsm_env_ops *ops;
};
/* The first member of every environment's file. path is owned by the file. */
struct lsm_file {
    const struct lsm_env_ops *ops;
    struct lsm_env *env;
    char *path;
};

/* Thin calls, so that use sites read like functions. */
static inline LSM_MUST_CHECK int lsm_env_open(struct lsm_env *env, const char *path, unsigned flags, const struct lsm_env_perm *perm,
                                              struct lsm_file **file, struct lsm_error *err) {
    return env->ops->open(env, path, flags, perm, file, err);
}
static inline LSM_MUST_CHECK int lsm_env_rename(struct lsm_env *env, const char *from, const char *to, struct lsm_error *err) {
    return env->ops->rename(env, from, to, err);
}
static inline LSM_MUST_CHECK int lsm_env_unlink(struct lsm_env *env, const char *path, struct lsm_error *err) {
    return env->ops->unlink(env, path, err);
}
static inline LSM_MUST_CHECK int lsm_env_mkdir(struct lsm_env *env, const char *path, const struct lsm_env_perm *perm, struct lsm_error *err) {
    return env->ops->mkdir(env, path, perm, err);
}
static inline LSM_MUST_CHECK int lsm_env_rmdir(struct lsm_env *env, const char *path, struct lsm_error *err) {
    return env->ops->rmdir(env, path, err);
}
static inline LSM_MUST_CHECK int lsm_env_list(struct lsm_env *env, const char *path, struct lsm_names *names, struct lsm_error *err) {
    return env->ops->list(env, path, names, err);
}
static inline LSM_MUST_CHECK int lsm_env_sync_dir(struct lsm_env *env, const char *path, struct lsm_error *err) {
    return env->ops->sync_dir(env, path, err);
}
static inline LSM_MUST_CHECK int lsm_env_exists(struct lsm_env *env, const char *path, bool *exists, struct lsm_error *err) {
    return env->ops->exists(env, path, exists, err);
}
static inline uint64_t lsm_env_now_us(struct lsm_env *env) { return env->ops->now_us(env); }
static inline uint64_t lsm_env_monotonic_us(struct lsm_env *env) { return env->ops->monotonic_us(env); }
static inline void lsm_env_sleep_us(struct lsm_env *env, uint64_t us) { env->ops->sleep_us(env, us); }
static inline void lsm_env_wait_word(struct lsm_env *env, _Atomic uint32_t *word, uint32_t seen, uint64_t us) {
    env->ops->wait_word(env, word, seen, us);
}
static inline void lsm_env_wake_word(struct lsm_env *env, _Atomic uint32_t *word) { env->ops->wake_word(env, word); }
static inline LSM_MUST_CHECK int lsm_env_random(struct lsm_env *env, void *bytes, size_t size, struct lsm_error *err) {
    return env->ops->random(env, bytes, size, err);
}
static inline LSM_MUST_CHECK int lsm_env_can_share(struct lsm_env *env, const char *path, const char **why, struct lsm_error *err) {
    return env->ops->can_share(env, path, why, err);
}
static inline LSM_MUST_CHECK int lsm_file_read_at(struct lsm_file *file, uint64_t offset, void *bytes, size_t size, size_t *got,
                                                  struct lsm_error *err) {
    return file->ops->read_at(file, offset, bytes, size, got, err);
}
static inline LSM_MUST_CHECK int lsm_file_write_at(struct lsm_file *file, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err) {
    return file->ops->write_at(file, offset, bytes, size, err);
}
/* Who makes room when the disk is full: find() is told how much a write wanted and why it has failed, and says whether it may be made again. NULL: nobody does. */
struct lsm_spare {
    bool (*find)(void *arg, uint64_t bytes, const struct lsm_error *why);
    void *arg;
};
/* lsm_file_write_at(), once more if somebody has made room. spare NULL: nobody does. */
static inline LSM_MUST_CHECK int lsm_file_write_sparing(struct lsm_file *file, uint64_t offset, const void *bytes, size_t size,
                                                        const struct lsm_spare *spare, struct lsm_error *err) {
    struct lsm_error why = {0};
    int status = lsm_file_write_at(file, offset, bytes, size, &why);
    if (status == LSM_FULL && spare != NULL && spare->find != NULL && spare->find(spare->arg, size, &why))
        status = lsm_file_write_at(file, offset, bytes, size, &why);
    if (status != LSM_OK && err != NULL) *err = why;
    return status;
}
static inline LSM_MUST_CHECK int lsm_file_write_reserved(struct lsm_file *file, uint64_t offset, const void *bytes, size_t size,
                                                         struct lsm_error *err) {
    return file->ops->write_reserved(file, offset, bytes, size, err);
}
static inline LSM_MUST_CHECK int lsm_file_sync(struct lsm_file *file, struct lsm_error *err) { return file->ops->sync(file, err); }
static inline void lsm_file_forget(struct lsm_file *file, uint64_t offset, uint64_t size) { file->ops->forget(file, offset, size); }
static inline LSM_MUST_CHECK int lsm_file_truncate(struct lsm_file *file, uint64_t size, struct lsm_error *err) {
    return file->ops->truncate(file, size, err);
}
static inline LSM_MUST_CHECK int lsm_file_allocate(struct lsm_file *file, uint64_t offset, uint64_t size, struct lsm_error *err) {
    return file->ops->allocate(file, offset, size, err);
}
static inline LSM_MUST_CHECK int lsm_file_size(struct lsm_file *file, uint64_t *size, struct lsm_error *err) {
    return file->ops->size(file, size, err);
}
static inline LSM_MUST_CHECK int lsm_file_lock(struct lsm_file *file, uint64_t byte, enum lsm_lock lock, struct lsm_error *err) {
    return file->ops->lock(file, byte, lock, err);
}
static inline LSM_MUST_CHECK int lsm_file_locked(struct lsm_file *file, uint64_t byte, bool *locked, struct lsm_error *err) {
    return file->ops->locked(file, byte, locked, err);
}
static inline LSM_MUST_CHECK int lsm_file_map(struct lsm_file *file, size_t size, void **bytes, struct lsm_error *err) {
    return file->ops->map(file, size, bytes, err);
}
static inline LSM_MUST_CHECK int lsm_file_map_read(struct lsm_file *file, size_t size, const void **bytes, struct lsm_error *err) {
    return file->ops->map_read(file, size, bytes, err);
}
static inline LSM_MUST_CHECK int lsm_file_same(struct lsm_file *file, bool *same, struct lsm_error *err) {
    return file->ops->same_file(file, same, err);
}
static inline void lsm_file_close(struct lsm_file *file) {
    if (file != NULL) file->ops->close(file);
} /* NULL is allowed */

#endif
