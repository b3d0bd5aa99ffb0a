/* env_mem.h: the file system in memory: databases without a file run on the plain one, crash and fault tests on the strict one.
 *
 * The strict one keeps apart what programs see and what a disk would hold. Syncing a file makes its data and size durable, not its
 * name; syncing a directory makes creations, renames and removals in it durable, not the data of the files. Whatever is not synced
 * may be lost, kept or torn by a crash (enum lsm_crash_mode). The plain one keeps no such books: sync does nothing there, a crash
 * loses nothing.
 *
 * Paths: "a/b", "/a/b" and "./a//b" are the same file. The root directory exists and is durable; all else must be made.
 * Threads: every function may be called at any time from any thread. A crash waits for the call under way, then fails the rest.
 */
#ifndef LSM_ENV_ENV_MEM_H
#define LSM_ENV_ENV_MEM_H

#include "env.h"

/* A file system with unsynced state. NULL if out of memory. lsm_env_mem_free() releases it when every file is closed. */
struct lsm_env *lsm_env_mem_new_strict(void);

/* ---- operations ----------------------------------------------------------------------------------------------- */

enum lsm_env_op_kind {
    LSM_ENV_CREATE = 1, /* an open that creates */
    LSM_ENV_WRITE = 2,
    LSM_ENV_SYNC = 4,
    LSM_ENV_TRUNCATE = 8,
    LSM_ENV_ALLOCATE = 16,
    LSM_ENV_RENAME = 32,
    LSM_ENV_UNLINK = 64,
    LSM_ENV_MKDIR = 128, /* one that creates */
    LSM_ENV_RMDIR = 256,
    LSM_ENV_SYNC_DIR = 512,
    LSM_ENV_OPEN = 1024, /* of what is there; from here on: not numbered */
    LSM_ENV_READ = 2048, /* read_at and size */
    LSM_ENV_LIST = 4096, /* list and exists */
    LSM_ENV_LOCK = 8192, /* lock and locked */
    LSM_ENV_MAP = 16384,
    LSM_ENV_SLEEP = 32768 /* never fails; for lsm_env_mem_before_op() */
};
#define LSM_ENV_MUTATING 1023u
#define LSM_ENV_ALL      32767u

/* Mutating operations tried so far, failed ones included. The next one gets this number plus 1. */
uint64_t lsm_env_mem_ops(struct lsm_env *env);

struct lsm_env_op {
    uint64_t number;
    enum lsm_env_op_kind kind;
    const char *path;     /* as the caller wrote it; of a file: as it was opened */
    const char *new_path; /* of a rename, else NULL */
    uint64_t offset;      /* write, allocate; truncate: the new size */
    uint64_t size;        /* write, allocate */
    const void *bytes;    /* write */
    int status;           /* how it ended */
};
/* Called after each mutating operation, until the power is cut. No other operation of this env runs meanwhile; the callee may use this
 * env, e.g. clone a crash from it. NULL: off. */
typedef void (*lsm_env_op_fn)(void *arg, const struct lsm_env_op *op);
void lsm_env_mem_on_op(struct lsm_env *env, lsm_env_op_fn fn, void *arg);

/* ---- faults --------------------------------------------------------------------------------------------------- */

struct lsm_env_fault {
    uint64_t at;       /* the at-th operation from now among `ops` fails; 1 is the next */
    unsigned ops;      /* enum lsm_env_op_kind, or-ed; 0: LSM_ENV_MUTATING */
    const char *among; /* only operations on paths that contain this; NULL: on all. Must live as long as the fault */
    int os_errno;      /* EIO, ENOSPC, EMFILE, ...; 0: EIO */
    bool sticky;       /* all later ones of `ops` fail too, until the fault is cleared */
    bool short_write;  /* a failing write leaves the first half of its bytes in the file */
    bool keep_on_sync; /* a failing sync: true: everything reached the disk in spite; false: what was unsynced never will, though it can
                          be read until the next crash */
};
/* Copied. NULL clears it. One fault at a time. */
void lsm_env_mem_fail_at(struct lsm_env *env, const struct lsm_env_fault *fault);
/* How many operations failed by that means since the env was made. A loop over `at` ends when it stays the same. */
uint64_t lsm_env_mem_faults(struct lsm_env *env);

/* From the n-th mutating operation from now on (1 is the next) everything fails, reads too: the power is gone. 0 switches it off. */
void lsm_env_mem_cut_at(struct lsm_env *env, uint64_t n);

/* The sizes of all files together cannot grow over this; UINT64_MAX (default): no limit. A write over it leaves what fits. */
void lsm_env_mem_set_space(struct lsm_env *env, uint64_t bytes);

/* Both clocks stand at now_us; sleeping moves them. 0: real time again. (The monotonic one only ever moves forward.) */
void lsm_env_mem_set_clock(struct lsm_env *env, uint64_t now_us);

/* ---- processes -------------------------------------------------------------------------------------------------- */

/* Another process on the same disk: an environment of its own over env's files, names, locks, mapped memory, clock, faults and numbers. To be
 * released with lsm_env_mem_free() when its files are closed, before env is. NULL: out of memory. All functions of this header take a process for
 * its disk but these four. */
struct lsm_env *lsm_env_mem_process(struct lsm_env *env);
/* Kill it, with kill -9: its locks are gone at once, every later call of it fails, and what it still writes into mapped memory nobody else sees.
 * Files are still to be closed, to give their memory back. */
void lsm_env_mem_kill(struct lsm_env *process);
/* Kill it instead of its n-th operation from now, of any kind (enum lsm_env_op_kind); 1 is the next. 0 switches it off. */
void lsm_env_mem_kill_at(struct lsm_env *process, uint64_t n);
bool lsm_env_mem_is_killed(struct lsm_env *process);
/* Called before each operation of the process, of any kind, without locks: the callee may wait for another thread, kill the process, or
 * note what comes. NULL: off. Set while nobody uses the process. */
typedef void (*lsm_env_before_fn)(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path);
void lsm_env_mem_before_op(struct lsm_env *process, lsm_env_before_fn fn, void *arg);

/* What can_share says from now on: NULL (default) that it can. Static. */
void lsm_env_mem_set_unshareable(struct lsm_env *env, const char *why);

/* ---- crashes -------------------------------------------------------------------------------------------------- */

enum lsm_crash_mode {
    LSM_CRASH_LOSE,  /* nothing unsynced is left */
    LSM_CRASH_KEEP,  /* everything is left */
    LSM_CRASH_TORN,  /* everything but the end of the last unsynced write */
    LSM_CRASH_RANDOM /* each unsynced change and directory operation on its own: kept, lost, torn at sectors of 512 or 4096 bytes, or the file
                        grown but the data not written: zeros or garbage. A sector never holds what it did not hold at some time; in the middle of a
                        write_reserved() that does not grow the file, some words of it. */
};
/* Make it what the disk could hold if the power failed now; the same seed gives the same. Open files are dead (all calls fail, close them),
 * locks gone, fault and cut cleared; space, clock and numbers go on. LSM_NOMEM: nothing happened. */
int lsm_env_mem_crash(struct lsm_env *env, enum lsm_crash_mode mode, uint64_t seed) LSM_MUST_CHECK;
/* The same as a new strict env, while this one goes on; the content is shared until written. Op callback not copied. NULL: out of memory. */
struct lsm_env *lsm_env_mem_clone_crashed(struct lsm_env *env, enum lsm_crash_mode mode, uint64_t seed);
/* A clone in which every program was killed but the power stayed on: nothing is lost, nothing is open or locked, and what was not synced still is
 * not. writing: it happened in the middle of the last write that is not synced, which has put there only the first half of its bytes. NULL: out of memory. */
struct lsm_env *lsm_env_mem_clone_killed(struct lsm_env *env, bool writing);

/* ---- looking and damaging: past all faults and cuts, numbered by nothing ---------------------------------------- */

/* The content as programs see it, to be freed with lsm_free(). LSM_NOTFOUND, LSM_NOMEM. */
int lsm_env_mem_read_file(struct lsm_env *env, const char *path, uint8_t **bytes, size_t *size) LSM_MUST_CHECK;
/* Replace or create, as if written long ago and synced with all directories above it. Open files see it. */
int lsm_env_mem_write_file(struct lsm_env *env, const char *path, const void *bytes, size_t size) LSM_MUST_CHECK;
int lsm_env_mem_file_size(struct lsm_env *env, const char *path, uint64_t *size) LSM_MUST_CHECK;

#endif
