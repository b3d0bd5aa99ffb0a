/* env_posix_private.h: an open file of the operating system, for env_posix.c, env_posix_share.c and env_posix_window.c. */
#ifndef LSM_ENV_ENV_POSIX_PRIVATE_H
#define LSM_ENV_ENV_POSIX_PRIVATE_H

#include <stdatomic.h>

#include "env.h"

/* At once. Opening one takes about 50 us, more by calls than by bytes: of rows of a hundred bytes one in six thousand waits for it. */
enum { LSM_POSIX_WINDOW_BYTES = 1024 * 1024 };

struct posix_file {
    struct lsm_file base;
    int fd; /* -1: closed in the child of a fork */
    bool is_dir;
    uint64_t size_limit;   /* writing past it would raise SIGXFSZ in the host: refused before */
    _Atomic bool poisoned; /* a sync failed: the kernel has marked the pages clean, another sync would lie */
    void *mapped;          /* NULL: not */
    size_t mapped_bytes;
    uint32_t mapped_epoch; /* lsm_fork_epoch() then: a child has no such memory */
    /* Of one thread at a time: who calls write_reserved() or truncate(). */
    uint8_t *window; /* a map of the file's bytes from window_offset on; NULL: none */
    uint64_t window_offset;
    size_t window_bytes;
    uint32_t window_epoch;  /* as mapped_epoch */
    bool window_refused;    /* this file is not to be written through a map */
    _Atomic unsigned calls; /* of write_reserved() that were system calls, since the last sync */
    /* Guarded by locked_mu of env_posix_share.c. */
    unsigned forks;         /* lsm_posix_forks() before it was opened */
    _Atomic bool is_listed; /* has taken a lock: to be closed in the child of a fork. Once true it stays so, and may be looked at without */
    struct posix_file *next, *prev;
};

static inline struct posix_file *posix_of(struct lsm_file *file) { return (struct posix_file *)(void *)file; }

/* ---- env_posix_share.c: entries of struct lsm_env_ops ---- */

int lsm_posix_lock(struct lsm_file *base, uint64_t byte, enum lsm_lock lock, struct lsm_error *err);
int lsm_posix_locked(struct lsm_file *base, uint64_t byte, bool *locked, struct lsm_error *err);
int lsm_posix_map(struct lsm_file *base, size_t size, void **bytes, struct lsm_error *err);
int lsm_posix_map_read(struct lsm_file *base, size_t size, const void **bytes, struct lsm_error *err);
int lsm_posix_same_file(struct lsm_file *base, bool *same, struct lsm_error *err);
int lsm_posix_can_share(struct lsm_env *env, const char *path, const char **why, struct lsm_error *err);
void lsm_posix_wait_word(struct lsm_env *env, _Atomic uint32_t *word, uint32_t seen, uint64_t us);
void lsm_posix_wake_word(struct lsm_env *env, _Atomic uint32_t *word);
/* Sync a directory by the descriptor that it is locked with, if it is in this process. *error: 0 or errno of that. */
bool lsm_posix_sync_locked_dir(const char *path, int *error);
/* ---- env_posix_window.c ---- */
/* Write by a store into the file's window, opened if that is safe and worth it. False: nothing was done. Needs: the size limit is not within
 * LSM_POSIX_WINDOW_BYTES behind offset. */
bool lsm_posix_write_window(struct posix_file *file, uint64_t offset, const void *bytes, size_t size);
void lsm_posix_drop_window(struct posix_file *file);

/* ---- env_posix_share.c again ---- */
/* How many forks of this process have begun, from the first file on that was opened. */
unsigned lsm_posix_forks(void);
/* Close the descriptor and what hangs on it. */
void lsm_posix_close_fd(struct posix_file *file);

#endif
