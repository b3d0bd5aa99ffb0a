#include "env_mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "env_mem_private.h"
#include "os_error.h"

static const struct lsm_env_ops mem_ops;

/* Every call: lsm_mem_enter(), lsm_mem_admit(), the work, lsm_mem_leave(). */
void lsm_mem_enter(struct lsm_env *env, enum lsm_env_op_kind kind, const char *path) {
    struct mem_process *process = lsm_mem_process_of(env);
    if (process->before != NULL) process->before(process->before_arg, env, kind, path);
    lsm_mutex_lock(&process->disk->mu);
    if (process->kill_at > 0 && --process->kill_at == 0) lsm_mem_kill(process->disk, process);
}

int lsm_mem_leave(struct mem_env *mem, struct lsm_env_op *op, int status) {
    op->status = status;
    if (op->number != 0 && mem->on_op != NULL) mem->on_op(mem->on_op_arg, op);
    lsm_mutex_unlock(&mem->mu);
    return status;
}

int lsm_mem_fail_nomem(struct lsm_error *err) { return lsm_fail(err, LSM_NOMEM, "out of memory in the memory file system"); }

/* ---- life ----------------------------------------------------------------------------------------------------- */

struct mem_env *lsm_mem_env_new(bool strict) {
    struct mem_env *mem = lsm_calloc(1, sizeof *mem);
    if (mem == NULL) return NULL;
    mem->self.base.ops = &mem_ops;
    mem->self.disk = mem;
    mem->strict = strict;
    mem->space = UINT64_MAX;
    if (lsm_mem_disk_init(&mem->disk) != LSM_OK) {
        lsm_free(mem);
        return NULL;
    }
    if (lsm_mutex_init_recursive(&mem->mu) != LSM_OK) {
        lsm_mem_disk_release(&mem->disk);
        lsm_free(mem);
        return NULL;
    }
    return mem;
}

struct lsm_env *lsm_env_mem_new(void) {
    struct mem_env *mem = lsm_mem_env_new(false);
    return mem != NULL ? &mem->self.base : NULL;
}

struct lsm_env *lsm_env_mem_new_strict(void) {
    struct mem_env *mem = lsm_mem_env_new(true);
    return mem != NULL ? &mem->self.base : NULL;
}

struct lsm_env *lsm_env_mem_process(struct lsm_env *env) {
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_process *process = lsm_calloc(1, sizeof *process);
    if (process == NULL) return NULL;
    process->base.ops = &mem_ops;
    process->disk = mem;
    lsm_mutex_lock(&mem->mu);
    mem->processes++;
    lsm_mutex_unlock(&mem->mu);
    return &process->base;
}

void lsm_env_mem_free(struct lsm_env *env) {
    if (env == NULL) return;
    struct mem_process *process = lsm_mem_process_of(env);
    struct mem_env *mem = process->disk;
    assert(process->open_files == 0);
    if (process != &mem->self) {
        lsm_mutex_lock(&mem->mu);
        mem->processes--;
        lsm_mutex_unlock(&mem->mu);
        lsm_free(process);
        return;
    }
    assert(mem->processes == 0);
    lsm_mem_disk_release(&mem->disk);
    lsm_mutex_release(&mem->mu);
    lsm_free(mem);
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* A new node where the path says; LSM_NOMEM leaves nothing behind. */
static int make_node(struct mem_env *mem, uint64_t number, const struct mem_path *at, bool is_dir, struct mem_node **made) {
    struct mem_place place = {.dir = at->dir, .name = lsm_mem_name_new(at->name, at->name_size)};
    if (place.name == NULL) return LSM_NOMEM;
    struct mem_node *node = lsm_mem_node_new(&mem->disk, is_dir);
    int status = LSM_NOMEM;
    if (node != NULL) {
        lsm_mem_node_use(node); /* until it is placed */
        status = mem->strict ? lsm_mem_note_move(&mem->disk, number, node, place) : LSM_OK;
        if (status == LSM_OK) lsm_mem_put(&mem->disk, MEM_NOW, node, place);
        lsm_mem_node_unuse(&mem->disk, node);
    }
    lsm_mem_name_unref(place.name);
    *made = status == LSM_OK ? node : NULL;
    return status;
}

/* Move the node, or with a place without dir remove it. */
static int move_node(struct mem_env *mem, uint64_t number, struct mem_node *node, struct mem_place to) {
    int status = mem->strict ? lsm_mem_note_move(&mem->disk, number, node, to) : LSM_OK;
    if (status == LSM_OK) lsm_mem_put(&mem->disk, MEM_NOW, node, to);
    return status;
}

static int remove_path(struct mem_env *mem, const struct lsm_env_op *op, const char *action, struct lsm_error *err) {
    struct mem_path at;
    bool want_dir = op->kind == LSM_ENV_RMDIR;
    int error = lsm_mem_resolve(&mem->disk, op->path, &at);
    if (error == 0 && at.node == NULL)
        error = ENOENT;
    else if (error == 0 && at.dir == NULL)
        error = EBUSY;
    else if (error == 0 && at.node->is_dir != want_dir)
        error = want_dir ? ENOTDIR : EISDIR;
    else if (error == 0 && want_dir && !lsm_mem_dir_is_empty(&mem->disk, at.node))
        error = ENOTEMPTY;
    if (error != 0) return lsm_os_fail(err, error, true, action, op->path);
    return move_node(mem, op->number, at.node, (struct mem_place){0}) == LSM_OK ? LSM_OK : lsm_mem_fail_nomem(err);
}

static int mem_unlink(struct lsm_env *env, const char *path, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    struct lsm_env_op op = {.kind = LSM_ENV_UNLINK, .path = path};
    lsm_mem_enter(env, op.kind, path);
    int status = lsm_mem_admit(env, &op, NULL, "remove file", err);
    if (status == LSM_OK) status = remove_path(mem, &op, "remove file", err);
    return lsm_mem_leave(mem, &op, status);
}

static int mem_rmdir(struct lsm_env *env, const char *path, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    struct lsm_env_op op = {.kind = LSM_ENV_RMDIR, .path = path};
    lsm_mem_enter(env, op.kind, path);
    int status = lsm_mem_admit(env, &op, NULL, "remove directory", err);
    if (status == LSM_OK) status = remove_path(mem, &op, "remove directory", err);
    return lsm_mem_leave(mem, &op, status);
}

static int mem_mkdir(struct lsm_env *env, const char *path, const struct lsm_env_perm *perm, struct lsm_error *err) {
    (void)perm;
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_path at;
    struct mem_node *made;
    lsm_mem_enter(env, LSM_ENV_MKDIR, path);
    int error = lsm_mem_resolve(&mem->disk, path, &at);
    if (error == 0 && at.node != NULL && !at.node->is_dir) error = ENOTDIR;
    bool there = error == 0 && at.node != NULL;
    struct lsm_env_op op = {.kind = there ? LSM_ENV_LIST : LSM_ENV_MKDIR, .path = path};
    int status = lsm_mem_admit(env, &op, NULL, "make directory", err);
    if (status == LSM_OK && error != 0)
        status = lsm_os_fail(err, error, true, "make directory", path);
    else if (status == LSM_OK && !there)
        status = make_node(mem, op.number, &at, true, &made) == LSM_OK ? LSM_OK : lsm_mem_fail_nomem(err);
    return lsm_mem_leave(mem, &op, status);
}

/* True if dir is node or lies below it. */
static bool lies_below(const struct mem_node *dir, const struct mem_node *node) {
    while (dir != NULL && dir != node) dir = dir->places[MEM_NOW].dir;
    return dir != NULL;
}

/* 0 or errno: what rename(2) says. */
static int check_rename(const struct mem_disk *disk, const struct mem_path *from, const struct mem_path *to) {
    if (from->node == NULL) return ENOENT;
    if (from->dir == NULL || to->dir == NULL) return EBUSY;
    if (from->node->is_dir && lies_below(to->dir, from->node)) return EINVAL;
    if (to->node == NULL) return 0;
    if (from->node->is_dir != to->node->is_dir) return to->node->is_dir ? EISDIR : ENOTDIR;
    return to->node->is_dir && to->node != from->node && !lsm_mem_dir_is_empty(disk, to->node) ? ENOTEMPTY : 0;
}

static int rename_path(struct mem_env *mem, const struct lsm_env_op *op, const char *action, struct lsm_error *err) {
    struct mem_path from, to;
    int error = lsm_mem_resolve(&mem->disk, op->path, &from);
    if (error == 0) error = lsm_mem_resolve(&mem->disk, op->new_path, &to);
    if (error == 0) error = check_rename(&mem->disk, &from, &to);
    if (error != 0) return lsm_os_fail(err, error, true, action, op->path);
    if (from.node == to.node) return LSM_OK;
    struct mem_place place = {.dir = to.dir, .name = lsm_mem_name_new(to.name, to.name_size)};
    if (place.name == NULL) return lsm_mem_fail_nomem(err);
    int status = move_node(mem, op->number, from.node, place);
    lsm_mem_name_unref(place.name);
    return status == LSM_OK ? LSM_OK : lsm_mem_fail_nomem(err);
}

static int mem_rename(struct lsm_env *env, const char *from, const char *to, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    struct lsm_env_op op = {.kind = LSM_ENV_RENAME, .path = from, .new_path = to};
    char action[256];
    (void)snprintf(action, sizeof action, "rename it to %s", to);
    lsm_mem_enter(env, op.kind, from);
    int status = lsm_mem_admit(env, &op, NULL, action, err);
    if (status == LSM_OK) status = rename_path(mem, &op, action, err);
    return lsm_mem_leave(mem, &op, status);
}

static int sync_dir_path(struct mem_env *mem, const char *path, struct lsm_error *err) {
    struct mem_path at;
    int error = lsm_mem_resolve(&mem->disk, path, &at);
    if (error == 0 && at.node == NULL) error = ENOENT;
    if (error == 0 && !at.node->is_dir) error = ENOTDIR;
    if (error != 0) return lsm_os_fail(err, error, true, "sync directory", path);
    lsm_mem_settle(&mem->disk, at.node, NULL);
    return LSM_OK;
}

static int mem_sync_dir(struct lsm_env *env, const char *path, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    struct lsm_env_op op = {.kind = LSM_ENV_SYNC_DIR, .path = path};
    lsm_mem_enter(env, op.kind, path);
    int status = lsm_mem_admit(env, &op, NULL, "sync directory", err);
    if (status == LSM_OK) status = sync_dir_path(mem, path, err);
    return lsm_mem_leave(mem, &op, status);
}

static int mem_exists(struct lsm_env *env, const char *path, bool *exists, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_path at = {0};
    struct lsm_env_op op = {.kind = LSM_ENV_LIST, .path = path};
    *exists = false;
    lsm_mem_enter(env, op.kind, path);
    int status = lsm_mem_admit(env, &op, NULL, "look for file", err);
    int error = status == LSM_OK ? lsm_mem_resolve(&mem->disk, path, &at) : 0;
    if (error != 0 && error != ENOENT && error != ENOTDIR)
        status = lsm_os_fail(err, error, false, "look for file", path);
    else
        *exists = status == LSM_OK && error == 0 && at.node != NULL;
    return lsm_mem_leave(mem, &op, status);
}

static int list_dir(const struct mem_disk *disk, const struct mem_node *dir, struct lsm_names *names) {
    size_t capacity = 0;
    for (size_t i = 0; i < disk->node_count; i++) {
        const struct mem_place *place = &disk->nodes[i]->places[MEM_NOW];
        if (place->dir != dir) continue;
        char **grown = lsm_mem_grow(names->names, &capacity, names->count + 1, sizeof *grown);
        if (grown == NULL) return LSM_NOMEM;
        names->names = grown;
        grown[names->count] = lsm_strdup(lsm_mem_name_text(place->name));
        if (grown[names->count] == NULL) return LSM_NOMEM;
        names->count++;
    }
    return LSM_OK;
}

static int mem_list(struct lsm_env *env, const char *path, struct lsm_names *names, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_path at;
    struct lsm_env_op op = {.kind = LSM_ENV_LIST, .path = path};
    *names = (struct lsm_names){0};
    lsm_mem_enter(env, op.kind, path);
    int status = lsm_mem_admit(env, &op, NULL, "list directory", err);
    if (status != LSM_OK) return lsm_mem_leave(mem, &op, status);
    int error = lsm_mem_resolve(&mem->disk, path, &at);
    if (error == 0 && at.node == NULL) error = ENOENT;
    if (error == 0 && !at.node->is_dir) error = ENOTDIR;
    if (error != 0) return lsm_mem_leave(mem, &op, lsm_os_fail(err, error, false, "list directory", path));
    if (list_dir(&mem->disk, at.node, names) != LSM_OK) {
        lsm_names_free(names);
        status = lsm_mem_fail_nomem(err);
    }
    return lsm_mem_leave(mem, &op, status);
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

static struct mem_file *file_new(struct lsm_env *env, const char *path, unsigned flags) {
    struct mem_file *file = lsm_calloc(1, sizeof *file);
    if (file == NULL) return NULL;
    file->base = (struct lsm_file){.ops = &mem_ops, .env = env, .path = lsm_strdup(path)};
    file->epoch = lsm_mem_of(env)->epoch;
    file->writable = (flags & LSM_OPEN_WRITE) != 0;
    if (file->base.path != NULL) return file;
    lsm_free(file);
    return NULL;
}

static int open_node(struct lsm_env *env, const struct lsm_env_op *op, struct mem_path *at, unsigned flags, struct mem_file **opened) {
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_file *file = file_new(env, op->path, flags);
    if (file == NULL) return LSM_NOMEM;
    if (op->kind == LSM_ENV_CREATE && make_node(mem, op->number, at, false, &at->node) != LSM_OK) {
        lsm_free(file->base.path);
        lsm_free(file);
        return LSM_NOMEM;
    }
    file->node = at->node;
    file->node->handles++;
    lsm_mem_node_use(file->node);
    lsm_mem_process_of(env)->open_files++;
    file->next = mem->files;
    if (file->next != NULL) file->next->prev = file;
    mem->files = file;
    *opened = file;
    return LSM_OK;
}

static int mem_open(struct lsm_env *env, const char *path, unsigned flags, const struct lsm_env_perm *perm, struct lsm_file **file,
                    struct lsm_error *err) {
    (void)perm;
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_path at;
    struct mem_file *opened = NULL;
    bool creating = (flags & LSM_OPEN_CREATE) != 0, writing = (flags & (LSM_OPEN_WRITE | LSM_OPEN_CREATE)) != 0;
    const char *action = creating ? "open or create file" : "open file";
    *file = NULL;
    lsm_mem_enter(env, LSM_ENV_OPEN, path);
    int error = lsm_mem_resolve(&mem->disk, path, &at);
    struct lsm_env_op op = {.kind = error == 0 && at.node == NULL && creating ? LSM_ENV_CREATE : LSM_ENV_OPEN, .path = path};
    if (error == 0 && at.node == NULL && !creating)
        error = ENOENT;
    else if (error == 0 && at.node != NULL && creating && (flags & LSM_OPEN_EXCL) != 0)
        error = EEXIST;
    else if (error == 0 && at.node != NULL && at.node->is_dir != ((flags & LSM_OPEN_DIR) != 0))
        error = at.node->is_dir ? EISDIR : ENOTDIR;
    int status = lsm_mem_admit(env, &op, NULL, action, err);
    if (status == LSM_OK && error != 0)
        status = lsm_os_fail(err, error, writing, action, path);
    else if (status == LSM_OK && open_node(env, &op, &at, flags, &opened) != LSM_OK)
        status = lsm_mem_fail_nomem(err);
    if (opened != NULL) *file = &opened->base;
    return lsm_mem_leave(mem, &op, status);
}

/* ---- time and chance ------------------------------------------------------------------------------------------ */

static uint64_t mem_now_us(struct lsm_env *env) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    uint64_t now = mem->clock_us;
    lsm_mutex_unlock(&mem->mu);
    return now != 0 ? now : lsm_env_now_us(lsm_env_posix());
}

static uint64_t mem_monotonic_us(struct lsm_env *env) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    uint64_t now = mem->clock_us != 0 ? mem->clock_us : lsm_env_monotonic_us(lsm_env_posix());
    if (now > mem->monotonic_us) mem->monotonic_us = now;
    now = mem->monotonic_us + lsm_mem_process_of(env)->slept_us;
    lsm_mutex_unlock(&mem->mu);
    return now;
}

static void mem_sleep_us(struct lsm_env *env, uint64_t us) {
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_process *process = lsm_mem_process_of(env);
    const uint64_t strict_us_max = 100; /* tests wait for threads, not for time */
    lsm_mem_enter(env, LSM_ENV_SLEEP, "");
    bool fake = mem->clock_us != 0;
    if (fake) *(process->killed ? &process->slept_us : &mem->clock_us) += us;
    lsm_mutex_unlock(&mem->mu);
    if (fake && process->before != NULL) return; /* who is told of every step decides who runs meanwhile */
    if ((fake || mem->strict) && us > strict_us_max) us = strict_us_max;
    lsm_env_sleep_us(lsm_env_posix(), us);
}

/* A strict environment repeats itself: the same run gives the same bytes. */
static int mem_random(struct lsm_env *env, void *bytes, size_t size, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    uint8_t *to = bytes;
    if (!mem->strict) return lsm_env_random(lsm_env_posix(), bytes, size, err);
    lsm_mutex_lock(&mem->mu);
    for (size_t i = 0; i < size; i++) to[i] = (uint8_t)(lsm_mem_random(&mem->random) >> 32);
    lsm_mutex_unlock(&mem->mu);
    return LSM_OK;
}

static const struct lsm_env_ops mem_ops = {
    .open = mem_open,
    .rename = mem_rename,
    .unlink = mem_unlink,
    .mkdir = mem_mkdir,
    .rmdir = mem_rmdir,
    .list = mem_list,
    .sync_dir = mem_sync_dir,
    .exists = mem_exists,
    .now_us = mem_now_us,
    .monotonic_us = mem_monotonic_us,
    .sleep_us = mem_sleep_us,
    .random = mem_random,
    .can_share = lsm_mem_can_share,
    .read_at = lsm_mem_read_at,
    .write_at = lsm_mem_write_at,
    .write_reserved = lsm_mem_write_reserved,
    .sync = lsm_mem_sync,
    .forget = lsm_mem_forget,
    .truncate = lsm_mem_truncate,
    .allocate = lsm_mem_allocate,
    .size = lsm_mem_size,
    .lock = lsm_mem_lock,
    .locked = lsm_mem_locked,
    .map = lsm_mem_map,
    .map_read = lsm_mem_map_read,
    .wait_word = lsm_mem_wait_word,
    .wake_word = lsm_mem_wake_word,
    .same_file = lsm_mem_same_file,
    .close = lsm_mem_close,
};
