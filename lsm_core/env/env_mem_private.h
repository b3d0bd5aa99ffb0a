/* env_mem_private.h: the shape of the file system in memory, shared by its files:
 *
 *   env_mem.c        the calls of env.h on names, directories and clocks
 *   env_mem_file.c   its calls on open files
 *   env_mem_share.c  processes; locks and mapped memory between them
 *   env_mem_disk.c   nodes, names and the moves between directories
 *   env_mem_fault.c  admission of a call (faults, power cut), crash states, helpers of tests
 *
 * A node is a file or a directory. Nothing has two names, so the tree is not stored in directories: each node says where it is, once for
 * every view of the tree (what programs see, what is durable, and, while a crash is worked out, what it leaves). Lookups walk all nodes:
 * a store has few files, and they stay open.
 *
 *   file data:  durable content + changes not yet synced, in order  ->  content now   (not so after a failed sync: changes are dropped, and what is
 *               written over them is not noted, as on ext4)
 *   names:      durable places  + moves not yet synced, in order    ->  places now
 *
 * Locks: everything is guarded by mem_env.mu.
 */
#ifndef LSM_ENV_ENV_MEM_PRIVATE_H
#define LSM_ENV_ENV_MEM_PRIVATE_H

#include "env_mem.h"
#include "env_mem_content.h"
#include "sync.h"

enum mem_view { MEM_NOW, MEM_DURABLE, MEM_CRASHED, MEM_VIEWS };

struct mem_name; /* immutable, counted, shared between environments */

/* Where a node is; dir NULL: nowhere, name NULL then. */
struct mem_place {
    struct mem_node *dir;
    struct mem_name *name;
};

/* A change of a file's data that is not synced. */
struct mem_change {
    uint64_t number;
    enum lsm_env_op_kind kind; /* write, truncate or allocate */
    uint64_t offset, size;     /* truncate: offset is the new size; allocate: offset + size is the least one */
    uint8_t *bytes;            /* owned; of a write */
    bool mapped;               /* a store into a map: it is there word by word, and any of them may reach the disk without the others */
};

/* A change of a node's place that is not synced: creation, rename or removal. Holds a use of all it names. */
struct mem_move {
    uint64_t number;
    struct mem_node *node;
    struct mem_place from, to;
    bool chosen; /* scratch of lsm_mem_settle() */
};

struct mem_file;

struct mem_lock {
    const struct mem_file *owner;
    uint64_t byte;
    bool exclusive;
};

struct mem_node {
    size_t index;  /* in mem_disk.nodes */
    uint64_t uses; /* open files, moves, places it has and places in it; at 0 it is freed */
    uint64_t handles;
    bool is_dir;
    bool marked; /* scratch of lsm_mem_settle() */
    struct mem_place places[MEM_VIEWS];
    struct mem_content now, durable; /* durable: strict only */
    struct mem_change *changes;
    size_t change_count, change_capacity;
    uint64_t stuck_low,
        stuck_end; /* strict only: what is written there is not noted as a change, and never reaches the disk, until it is forgotten */
    struct mem_lock *locks;
    size_t lock_count, lock_capacity;
    int shared_fd;         /* anonymous file of the operating system that maps of this file share, plus 1; 0: never mapped */
    struct mem_node *twin; /* scratch of a crash: what became of it on the new disk */
};

struct mem_disk {
    struct mem_node **nodes; /* owned, in no order; nodes[0] is the root */
    size_t node_count, node_capacity;
    struct mem_move *moves; /* in order */
    size_t move_count, move_capacity;
};

/* One user of the disk. */
struct mem_process {
    struct lsm_env base;
    struct mem_env *disk;     /* immutable */
    lsm_env_before_fn before; /* with its argument: set while nobody uses the process */
    void *before_arg;
    /* Guarded by disk->mu. */
    uint64_t open_files;
    uint64_t kill_at; /* how many operations more until it is killed instead; 0: never */
    bool killed;
    uint64_t slept_us; /* on the simulated clock since it was killed: passes for itself only */
};

struct mem_env {
    struct mem_process self; /* the first process: the environment itself */
    bool strict;             /* immutable */
    struct lsm_mutex mu;
    /* Guarded by mu. */
    struct mem_disk disk;
    uint64_t epoch;         /* crashes survived; files of an earlier one are dead */
    struct mem_file *files; /* open ones, of all processes */
    uint64_t processes;     /* besides self */
    const char *unshareable;
    uint64_t ops;
    lsm_env_op_fn on_op;
    void *on_op_arg;
    struct lsm_env_fault fault; /* at: how many more until it strikes; 0: none */
    bool fault_struck;          /* the call under way was failed by it */
    uint64_t faults;
    uint64_t cut_at; /* number of the first operation without power; 0: never */
    uint64_t space;
    uint64_t clock_us, monotonic_us; /* clock_us 0: real time */
    uint64_t random;
};

struct mem_file {
    struct lsm_file base;
    struct mem_node *node; /* dangling if epoch is not the environment's */
    uint64_t epoch;
    bool writable, poisoned;
    bool killed;  /* with its process: no longer an open file */
    void *mapped; /* NULL: not */
    size_t mapped_bytes;
    uint64_t window_low, window_end; /* of what write_reserved() stores into; both 0: none yet */
    void *copy;                      /* what lsm_mem_map_read() gave; NULL: nothing */
    struct mem_file *next, *prev;    /* in mem_env.files */
};

static inline struct mem_process *lsm_mem_process_of(struct lsm_env *env) { return (struct mem_process *)(void *)env; }
static inline struct mem_env *lsm_mem_of(struct lsm_env *env) { return lsm_mem_process_of(env)->disk; }
static inline struct mem_file *lsm_mem_file_of(struct lsm_file *file) { return (struct mem_file *)(void *)file; }

/* ---- env_mem.c ------------------------------------------------------------------------------------------------ */

struct mem_env *lsm_mem_env_new(bool strict); /* NULL: out of memory */

/* Every call begins with this: tell who wants to know before, lock mu, kill the process if it is time. */
void lsm_mem_enter(struct lsm_env *env, enum lsm_env_op_kind kind, const char *path);
/* Then it asks lsm_mem_admit(), does its work and ends with this: tell the listener, unlock, return status. */
int lsm_mem_leave(struct mem_env *mem, struct lsm_env_op *op, int status) LSM_MUST_CHECK;
int lsm_mem_fail_nomem(struct lsm_error *err) LSM_MUST_CHECK;

/* ---- env_mem_file.c: entries of struct lsm_env_ops -------------------------------------------------------------- */

void lsm_mem_close(struct lsm_file *base);
int lsm_mem_write_at(struct lsm_file *base, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err);
int lsm_mem_write_reserved(struct lsm_file *base, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err);
int lsm_mem_read_at(struct lsm_file *base, uint64_t offset, void *bytes, size_t size, size_t *got, struct lsm_error *err);
int lsm_mem_sync(struct lsm_file *base, struct lsm_error *err);
void lsm_mem_forget(struct lsm_file *base, uint64_t offset, uint64_t size);
int lsm_mem_truncate(struct lsm_file *base, uint64_t size, struct lsm_error *err);
int lsm_mem_allocate(struct lsm_file *base, uint64_t offset, uint64_t size, struct lsm_error *err);
int lsm_mem_size(struct lsm_file *base, uint64_t *size, struct lsm_error *err);

/* ---- env_mem_share.c -------------------------------------------------------------------------------------------- */

int lsm_mem_lock(struct lsm_file *base, uint64_t byte, enum lsm_lock lock, struct lsm_error *err);
int lsm_mem_locked(struct lsm_file *base, uint64_t byte, bool *locked, struct lsm_error *err);
int lsm_mem_map(struct lsm_file *base, size_t size, void **bytes, struct lsm_error *err);
int lsm_mem_map_read(struct lsm_file *base, size_t size, const void **bytes, struct lsm_error *err);
void lsm_mem_wait_word(struct lsm_env *env, _Atomic uint32_t *word, uint32_t seen, uint64_t us);
void lsm_mem_wake_word(struct lsm_env *env, _Atomic uint32_t *word);
int lsm_mem_same_file(struct lsm_file *base, bool *same, struct lsm_error *err);
int lsm_mem_can_share(struct lsm_env *env, const char *path, const char **why, struct lsm_error *err);
void lsm_mem_drop_locks(struct mem_node *node, const struct mem_file *owner);
void lsm_mem_unmap(struct mem_file *file);
/* Everything of the process is gone but its memory. Locks: needs mu. */
void lsm_mem_kill(struct mem_env *mem, struct mem_process *process);
/* The file was replaced behind everybody's back: those who map it see that, too. */
void lsm_mem_shared_replace(struct mem_node *node, const void *bytes, size_t size);
/* Bring the content up to what those who map the file have written. */
int lsm_mem_shared_read(const struct mem_node *node, struct mem_content *content) LSM_MUST_CHECK;

/* ---- env_mem_disk.c ------------------------------------------------------------------------------------------- */

/* Room for `needed` items; returns the array, perhaps elsewhere, or NULL: out of memory, nothing changed. */
void *lsm_mem_grow(void *array, size_t *capacity, size_t needed, size_t item_bytes);

int lsm_mem_disk_init(struct mem_disk *disk) LSM_MUST_CHECK; /* with a root */
void lsm_mem_disk_release(struct mem_disk *disk);            /* open files and all */
/* The same files, synced or not, in a new disk; handles and locks stay behind. LSM_NOMEM: *copy is released. */
int lsm_mem_disk_copy(const struct mem_disk *disk, struct mem_disk *copy) LSM_MUST_CHECK;

struct mem_name *lsm_mem_name_new(const char *text, size_t size);
void lsm_mem_name_unref(struct mem_name *name); /* NULL is allowed */
const char *lsm_mem_name_text(const struct mem_name *name);

struct mem_node *lsm_mem_node_new(struct mem_disk *disk, bool is_dir); /* without uses */
void lsm_mem_node_use(struct mem_node *node);
void lsm_mem_node_unuse(struct mem_disk *disk, struct mem_node *node);

/* The node at the place in the view, NULL if there is none. */
struct mem_node *lsm_mem_find(const struct mem_disk *disk, enum mem_view view, const struct mem_node *dir, const char *name, size_t size);
/* True if the node is reached from the root in the view. */
bool lsm_mem_reachable(const struct mem_disk *disk, enum mem_view view, const struct mem_node *node);
bool lsm_mem_dir_is_empty(const struct mem_disk *disk, const struct mem_node *dir); /* now */
/* Put the node there in the view, where nobody is. A place without dir: the node is nowhere. */
void lsm_mem_place(struct mem_disk *disk, enum mem_view view, struct mem_node *node, struct mem_place place);
/* The same; who was there is nowhere then. */
void lsm_mem_put(struct mem_disk *disk, enum mem_view view, struct mem_node *node, struct mem_place place);

/* What a path leads to now: its directory and last name, and the node there or NULL. The root has no dir. 0 or errno. */
struct mem_path {
    struct mem_node *dir, *node;
    const char *name; /* in the path */
    size_t name_size;
};
int lsm_mem_resolve(const struct mem_disk *disk, const char *path, struct mem_path *found);

/* Note a move that has not been synced. LSM_NOMEM: nothing changed. */
int lsm_mem_note_move(struct mem_disk *disk, uint64_t number, struct mem_node *node, struct mem_place to) LSM_MUST_CHECK;
/* Make durable every move in, into and out of dir and every move of node (either may be NULL), and what these moves build on. */
void lsm_mem_settle(struct mem_disk *disk, const struct mem_node *dir, const struct mem_node *node);

/* The change as it alters a content. */
int lsm_mem_change_apply(const struct mem_change *change, struct mem_content *content) LSM_MUST_CHECK;
/* Forget the first `count` changes. */
void lsm_mem_changes_drop(struct mem_node *node, size_t count);
/* Make all changes durable. LSM_NOMEM: some are not and stay noted. */
int lsm_mem_changes_settle(struct mem_node *node) LSM_MUST_CHECK;

/* ---- env_mem_fault.c ------------------------------------------------------------------------------------------ */

/* Number the operation if it is a mutating one, and decide whether it may go on. file may be NULL. action: as for lsm_os_fail(). */
int lsm_mem_admit(struct lsm_env *env, struct lsm_env_op *op, const struct mem_file *file, const char *action, struct lsm_error *err) LSM_MUST_CHECK;
/* splitmix64: a new number from the state. */
uint64_t lsm_mem_random(uint64_t *state);

#endif
