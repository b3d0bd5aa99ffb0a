/* machine_private.h: shared by machine.c (processes) and disk_vfs.c (SQLite's VFS on them). */
#ifndef TEST_MACHINE_PRIVATE_H
#define TEST_MACHINE_PRIVATE_H

#include "../../ext/environment.h"
#include "machine.h"

enum { SHM_LOCKS = 8, SHM_REGIONS_MAX = 64 };

struct disk_file;

/* What open files with one name share. */
struct machine_node {
    struct machine_node *next;
    char *path;
    struct disk_file *files;        /* open on it */
    void *regions[SHM_REGIONS_MAX]; /* the WAL-index */
    int region_bytes;
    int shm_users;
};

struct machine {
    struct lsm_env *disk;
    struct machine_node *nodes;
    int processes;
};

struct process {
    struct machine *machine;
    struct lsm_env *env;
    struct disk_file *sqlite_files; /* open ones */
    struct vt_environment environment;
    sqlite3_vfs vfs;
    sqlite3_vfs *real_vfs; /* has SQLite's temporary files: they do not survive anything */
    char name[32];
    struct process *next;
};

/* disk_vfs.c */
void disk_vfs_init(struct process *process); /* fills process->vfs */
void disk_vfs_drop_locks(struct process *process);

#endif
