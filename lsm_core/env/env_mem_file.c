#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "env_mem_private.h"
#include "os_error.h"

enum { WINDOW_BYTES = 8192, PAGE_BYTES = 4096 };

void lsm_mem_close(struct lsm_file *base) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct mem_file *file = lsm_mem_file_of(base);
    lsm_mutex_lock(&mem->mu);
    lsm_mem_unmap(file);
    if (file->epoch == mem->epoch) {
        lsm_mem_drop_locks(file->node, file);
        if (!file->killed) file->node->handles--;
        lsm_mem_node_unuse(&mem->disk, file->node);
    }
    if (file->next != NULL) file->next->prev = file->prev;
    if (file->prev != NULL)
        file->prev->next = file->next;
    else
        mem->files = file->next;
    lsm_mem_process_of(base->env)->open_files--;
    lsm_mutex_unlock(&mem->mu);
    lsm_free(file->copy);
    lsm_free(base->path);
    lsm_free(file);
}

/* ---- data ----------------------------------------------------------------------------------------------------- */

static int transfer_fail(struct lsm_error *err, int os_errno, bool writing, const char *verb, const struct lsm_env_op *op) {
    char action[96];
    (void)snprintf(action, sizeof action, "%s %llu bytes at offset %llu", verb, (unsigned long long)op->size, (unsigned long long)op->offset);
    return lsm_os_fail(err, os_errno, writing, action, op->path);
}

/* How much of a growth by `wanted` bytes the space allows. */
static uint64_t space_for(const struct mem_env *mem, uint64_t wanted) {
    uint64_t used = 0;
    if (mem->space == UINT64_MAX) return wanted;
    for (size_t i = 0; i < mem->disk.node_count; i++) {
        const struct mem_node *node = mem->disk.nodes[i];
        if (node->places[MEM_NOW].dir != NULL || node->handles > 0) used += node->now.size;
    }
    uint64_t left = used < mem->space ? mem->space - used : 0;
    return wanted < left ? wanted : left;
}

static bool is_stuck(const struct mem_node *node, const struct mem_change *change) {
    return change->kind == LSM_ENV_WRITE && change->offset < node->stuck_end && change->offset + change->size > node->stuck_low;
}

/* Change the content and, in a strict environment, note the change. LSM_NOMEM: neither. */
static int change_file(struct mem_env *mem, struct mem_node *node, struct mem_change change, const void *bytes) {
    bool noted = mem->strict && !is_stuck(node, &change);
    if (noted) {
        struct mem_change *changes = lsm_mem_grow(node->changes, &node->change_capacity, node->change_count + 1, sizeof *changes);
        if (changes == NULL) return LSM_NOMEM;
        node->changes = changes;
        if (bytes != NULL) change.bytes = lsm_malloc((size_t)change.size);
        if (bytes != NULL && change.bytes == NULL) return LSM_NOMEM;
        if (bytes != NULL) memcpy(change.bytes, bytes, (size_t)change.size);
    }
    int status =
        bytes != NULL ? lsm_mem_content_write(&node->now, change.offset, bytes, (size_t)change.size) : lsm_mem_change_apply(&change, &node->now);
    if (status != LSM_OK)
        lsm_free(change.bytes);
    else if (noted)
        node->changes[node->change_count++] = change;
    return status;
}

/* 0 or errno: whether the file may be changed up to offset + size. */
static int check_writable(const struct mem_file *file, uint64_t offset, uint64_t size) {
    if (!file->writable) return EBADF;
    return offset > MEM_CONTENT_BYTES_MAX || size > MEM_CONTENT_BYTES_MAX - offset ? EFBIG : 0;
}

/* As env_posix_window.c does: what is behind the store becomes zeros, in what is mapped next. Zeros are not noted where there are zeros. */
static int open_window(struct mem_env *mem, struct mem_file *file, const struct lsm_env_op *op) {
    static const uint8_t zeros[WINDOW_BYTES];
    uint8_t there[WINDOW_BYTES];
    uint64_t end = op->offset + op->size, left = file->node->now.size - op->offset;
    if (op->offset >= file->window_low && end <= file->window_end) return LSM_OK;
    size_t bytes = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
    assert(bytes >= op->size); /* the caller has looked: it lies in the file, and is small */
    file->window_low = op->offset;
    file->window_end = op->offset + bytes;
    /* LCOV_EXCL_BR_LINE: so much is in the file */
    if (lsm_mem_content_read(&file->node->now, op->offset, there, bytes) == bytes && memcmp(there, zeros, bytes) == 0) return LSM_OK;
    struct mem_change fill = {.number = op->number, .kind = LSM_ENV_WRITE, .offset = op->offset, .size = bytes};
    return change_file(mem, file->node, fill, zeros);
}

/* Write what fits and, if a fault has struck, leaves half: the caller hears of a failure then. */
static int write_file(struct mem_env *mem, struct mem_file *file, const struct lsm_env_op *op, bool reserved, struct lsm_error *err) {
    int error = check_writable(file, op->offset, op->size);
    if (error != 0) return transfer_fail(err, error, true, "write", op);
    uint64_t end = op->offset + op->size, growth = end > file->node->now.size ? end - file->node->now.size : 0;
    uint64_t missing = growth - space_for(mem, growth);
    uint64_t landing = missing < op->size ? op->size - missing : 0;
    /* What lies in the file, and is small, would be stored into a map of it. */
    bool mapped = reserved && mem->strict && growth == 0 && op->size <= WINDOW_BYTES;
    struct mem_change change = {.number = op->number, .kind = LSM_ENV_WRITE, .offset = op->offset, .size = landing, .mapped = mapped};
    if (mapped && open_window(mem, file, op) != LSM_OK) return lsm_mem_fail_nomem(err);
    if (landing > 0 && change_file(mem, file->node, change, op->bytes) != LSM_OK) return lsm_mem_fail_nomem(err);
    return missing == 0 ? LSM_OK : transfer_fail(err, ENOSPC, true, "write", op);
}

static int write_to(struct lsm_file *base, uint64_t offset, const void *bytes, size_t size, bool reserved, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct mem_file *file = lsm_mem_file_of(base);
    struct lsm_env_op op = {.kind = LSM_ENV_WRITE, .path = base->path, .offset = offset, .size = size, .bytes = bytes};
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, file, "write file", err);
    if (status == LSM_OK)
        status = write_file(mem, file, &op, reserved, err);
    else if (mem->fault_struck && mem->fault.short_write) {
        struct lsm_env_op half = op;
        half.size = size / 2;
        (void)write_file(mem, file, &half, reserved, NULL); /* the failure has been told already */
    }
    return lsm_mem_leave(mem, &op, status);
}

int lsm_mem_write_at(struct lsm_file *base, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err) {
    return write_to(base, offset, bytes, size, false, err);
}

int lsm_mem_write_reserved(struct lsm_file *base, uint64_t offset, const void *bytes, size_t size, struct lsm_error *err) {
    return write_to(base, offset, bytes, size, true, err);
}

int lsm_mem_read_at(struct lsm_file *base, uint64_t offset, void *bytes, size_t size, size_t *got, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct lsm_env_op op = {.kind = LSM_ENV_READ, .path = base->path, .offset = offset, .size = size};
    *got = 0;
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, lsm_mem_file_of(base), "read file", err);
    if (status == LSM_OK) *got = lsm_mem_content_read(&lsm_mem_file_of(base)->node->now, offset, bytes, size);
    return lsm_mem_leave(mem, &op, status);
}

/* From the first to the last write that is not synced, in whole pages. */
static void stick(struct mem_node *node) {
    for (size_t i = 0; i < node->change_count; i++) {
        const struct mem_change *change = &node->changes[i];
        uint64_t low = change->offset / PAGE_BYTES * PAGE_BYTES, end = (change->offset + change->size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
        if (change->kind != LSM_ENV_WRITE || change->size == 0) continue;
        bool first = node->stuck_end == 0;
        if (first || low < node->stuck_low) node->stuck_low = low;
        if (first || end > node->stuck_end) node->stuck_end = end;
    }
}

/* A failed sync leaves the pages clean in the cache: what they hold is never written, whoever syncs again. On ext4 not even what is written over them: where the
 * blocks were new, the pages pass for written once, and the blocks for never written, until the pages are out of the cache. */
static void sync_failed(struct mem_env *mem, struct mem_file *file) {
    file->poisoned = true;
    if (mem->fault.keep_on_sync && lsm_mem_changes_settle(file->node) == LSM_OK) return;
    stick(file->node);
    lsm_mem_changes_drop(file->node, file->node->change_count);
}

void lsm_mem_forget(struct lsm_file *base, uint64_t offset, uint64_t size) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct mem_file *file = lsm_mem_file_of(base);
    lsm_mutex_lock(&mem->mu);
    if (file->epoch == mem->epoch) {
        struct mem_node *node = file->node;
        uint64_t end = offset + size;
        if (offset <= node->stuck_low && end > node->stuck_low) node->stuck_low = end < node->stuck_end ? end : node->stuck_end;
        if (end >= node->stuck_end && offset < node->stuck_end) node->stuck_end = offset > node->stuck_low ? offset : node->stuck_low;
        if (node->stuck_low == node->stuck_end) node->stuck_low = node->stuck_end = 0;
    }
    lsm_mutex_unlock(&mem->mu);
}

int lsm_mem_sync(struct lsm_file *base, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct mem_file *file = lsm_mem_file_of(base);
    struct lsm_env_op op = {.kind = LSM_ENV_SYNC, .path = base->path};
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, file, "sync file", err);
    if (status != LSM_OK && mem->fault_struck)
        sync_failed(mem, file);
    else if (status == LSM_OK && file->poisoned)
        status = lsm_os_poisoned(err, base->path);
    else if (status == LSM_OK && lsm_mem_changes_settle(file->node) != LSM_OK)
        status = lsm_mem_fail_nomem(err);
    return lsm_mem_leave(mem, &op, status);
}

/* Truncate and allocate: new_size is what the file has afterwards. */
static int resize(struct mem_env *mem, struct mem_file *file, const struct lsm_env_op *op, uint64_t new_size, struct lsm_error *err) {
    const char *verb = op->kind == LSM_ENV_ALLOCATE ? "reserve" : "set size, not";
    uint64_t old_size = file->node->now.size, growth = new_size > old_size ? new_size - old_size : 0;
    if (space_for(mem, growth) < growth) return transfer_fail(err, ENOSPC, true, verb, op);
    if (new_size == old_size) return LSM_OK;
    struct mem_change change = {.number = op->number, .kind = op->kind, .offset = op->offset, .size = op->size};
    if (change_file(mem, file->node, change, NULL) != LSM_OK) return lsm_mem_fail_nomem(err);
    if (new_size <= file->node->stuck_low) file->node->stuck_low = file->node->stuck_end = 0;
    return LSM_OK;
}

int lsm_mem_truncate(struct lsm_file *base, uint64_t size, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct lsm_env_op op = {.kind = LSM_ENV_TRUNCATE, .path = base->path, .offset = size};
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, lsm_mem_file_of(base), "set size of file", err);
    int error = status == LSM_OK ? check_writable(lsm_mem_file_of(base), size, 0) : 0;
    if (error != 0)
        status = lsm_os_fail(err, error, true, "set size of file", base->path);
    else if (status == LSM_OK)
        status = resize(mem, lsm_mem_file_of(base), &op, size, err);
    return lsm_mem_leave(mem, &op, status);
}

int lsm_mem_allocate(struct lsm_file *base, uint64_t offset, uint64_t size, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct lsm_env_op op = {.kind = LSM_ENV_ALLOCATE, .path = base->path, .offset = offset, .size = size};
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, lsm_mem_file_of(base), "reserve space in file", err);
    int error = status == LSM_OK ? check_writable(lsm_mem_file_of(base), offset, size) : 0;
    if (error != 0)
        status = transfer_fail(err, error, true, "reserve", &op);
    else if (status == LSM_OK && size > 0) {
        uint64_t old_size = lsm_mem_file_of(base)->node->now.size, end = offset + size;
        status = resize(mem, lsm_mem_file_of(base), &op, end > old_size ? end : old_size, err);
    }
    return lsm_mem_leave(mem, &op, status);
}

int lsm_mem_size(struct lsm_file *base, uint64_t *size, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(base->env);
    struct lsm_env_op op = {.kind = LSM_ENV_READ, .path = base->path};
    lsm_mem_enter(base->env, op.kind, base->path);
    int status = lsm_mem_admit(base->env, &op, lsm_mem_file_of(base), "get size of file", err);
    if (status == LSM_OK) *size = lsm_mem_file_of(base)->node->now.size;
    return lsm_mem_leave(mem, &op, status);
}
