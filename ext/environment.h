/* environment.h: stores outside the operating system's file system.
 *
 * A program that has the extension linked in and keeps databases in a VFS of its own may say in which environment of the engine their stores live.
 * Nobody else needs this: without it, every store lies beside its database file.
 */
#ifndef VT_ENVIRONMENT_H
#define VT_ENVIRONMENT_H

#include "../lsm_core/lsm.h"

struct vt_environment {
    struct lsm_env *env;       /* where `<database file>-lsm` is; connections share a store if they share its env and directory */
    int threads;               /* as in struct lsm_options */
    size_t write_buffer_bytes; /* likewise; 0: its default */
    bool (*sync_directory)(struct lsm_env *env, const char *file); /* makes the entries of the directory `file` is in durable; NULL: nothing to do */
};

/* The environment for databases of the VFS with this name; NULL: the operating system's. What it returns must live as long as the connection. */
typedef const struct vt_environment *(*vt_environment_fn)(const char *vfs);

/* NULL: off, as at first. Threads: to be called before the first connection is opened. */
void vt_environment_ask(vt_environment_fn fn);

const struct vt_environment *vt_environment_of(const char *vfs);

#endif
