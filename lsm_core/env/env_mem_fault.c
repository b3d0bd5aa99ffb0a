#include <assert.h>
#include <errno.h>

#include "env_mem_private.h"
#include "os_error.h"

uint64_t lsm_mem_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- admission ------------------------------------------------------------------------------------------------ */

/* Counts the operation and tells whether the fault strikes it. */
static bool fault_strikes(struct mem_env *mem, enum lsm_env_op_kind kind, const char *path) {
    struct lsm_env_fault *fault = &mem->fault;
    if (fault->at == 0 || (fault->ops & (unsigned)kind) == 0) return false;
    if (fault->among != NULL && strstr(path, fault->among) == NULL) return false;
    if (fault->at > 1) {
        fault->at--;
        return false;
    }
    if (!fault->sticky) fault->at = 0;
    mem->faults++;
    return true;
}

int lsm_mem_admit(struct lsm_env *env, struct lsm_env_op *op, const struct mem_file *file, const char *action, struct lsm_error *err) {
    struct mem_env *mem = lsm_mem_of(env);
    bool mutating = ((unsigned)op->kind & LSM_ENV_MUTATING) != 0;
    mem->fault_struck = false;
    if (lsm_mem_process_of(env)->killed) return lsm_fail(err, LSM_IO, "%s: cannot %s: the (simulated) process is dead", op->path, action);
    if (mutating) mem->ops++;
    if (file != NULL && file->epoch != mem->epoch)
        return lsm_fail(err, LSM_IO, "%s: cannot %s: it was opened before the (simulated) power cut", op->path, action);
    /* Numbered by ops, not by admitted ones, so that the cut falls in spite of dead files' calls. */
    if (mem->cut_at != 0 && mem->ops >= mem->cut_at) {
        int status = lsm_fail(err, LSM_IO, "%s: cannot %s: the (simulated) power is cut", op->path, action);
        if (err != NULL) err->os_errno = EIO;
        return status;
    }
    if (mutating) op->number = mem->ops;
    if (!fault_strikes(mem, op->kind, op->path)) return LSM_OK;
    mem->fault_struck = true;
    return lsm_os_fail(err, mem->fault.os_errno, mutating, action, op->path);
}

void lsm_env_mem_fail_at(struct lsm_env *env, const struct lsm_env_fault *fault) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    mem->fault = fault != NULL ? *fault : (struct lsm_env_fault){0};
    if (mem->fault.ops == 0) mem->fault.ops = LSM_ENV_MUTATING;
    if (mem->fault.os_errno == 0) mem->fault.os_errno = EIO;
    lsm_mutex_unlock(&mem->mu);
}

void lsm_env_mem_cut_at(struct lsm_env *env, uint64_t n) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    mem->cut_at = n == 0 ? 0 : mem->ops + n;
    lsm_mutex_unlock(&mem->mu);
}

void lsm_env_mem_set_space(struct lsm_env *env, uint64_t bytes) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    mem->space = bytes;
    lsm_mutex_unlock(&mem->mu);
}

void lsm_env_mem_set_clock(struct lsm_env *env, uint64_t now_us) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    mem->clock_us = now_us;
    lsm_mutex_unlock(&mem->mu);
}

void lsm_env_mem_on_op(struct lsm_env *env, lsm_env_op_fn fn, void *arg) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    mem->on_op = fn;
    mem->on_op_arg = arg;
    lsm_mutex_unlock(&mem->mu);
}

uint64_t lsm_env_mem_ops(struct lsm_env *env) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    uint64_t ops = mem->ops;
    lsm_mutex_unlock(&mem->mu);
    return ops;
}

uint64_t lsm_env_mem_faults(struct lsm_env *env) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    uint64_t faults = mem->faults;
    lsm_mutex_unlock(&mem->mu);
    return faults;
}

/* ---- what a crash does to one change ---------------------------------------------------------------------------- */

enum { WORD_BYTES = 8 };

enum fate {
    FATE_KEPT,
    FATE_LOST,
    FATE_TORN_END,   /* the first sectors are there */
    FATE_TORN_HOLES, /* some sectors are there */
    FATE_ZEROS,      /* the file has grown, the new part reads as zeros */
    FATE_GARBAGE     /* the same with what was on the disk before */
};

/* How one crash decides; all of it drawn from the seed. */
struct crash {
    enum lsm_crash_mode mode;
    uint64_t random;
    uint64_t sector_bytes;
    unsigned kept_of_8;   /* RANDOM: how likely a change is kept */
    bool in_order;        /* RANDOM: all before torn_number is kept, nothing after it */
    uint64_t torn_number; /* TORN: the last write; RANDOM in order: where the power failed */
};

static uint64_t draw(struct crash *crash, uint64_t below) { return lsm_mem_random(&crash->random) % below; }

static enum fate fate_of(struct crash *crash, uint64_t number) {
    switch (crash->mode) { /* LCOV_EXCL_BR_LINE: the compiler's default */
    case LSM_CRASH_LOSE: return FATE_LOST;
    case LSM_CRASH_KEEP: return FATE_KEPT;
    case LSM_CRASH_TORN: return number == crash->torn_number ? FATE_TORN_END : FATE_KEPT;
    case LSM_CRASH_RANDOM: break;
    }
    if (crash->in_order && number != crash->torn_number) return number < crash->torn_number ? FATE_KEPT : FATE_LOST;
    if (!crash->in_order && draw(crash, 8) < crash->kept_of_8) return FATE_KEPT;
    static const enum fate fates[] = {FATE_LOST, FATE_LOST, FATE_LOST, FATE_TORN_END, FATE_TORN_HOLES, FATE_ZEROS, FATE_GARBAGE};
    return fates[draw(crash, sizeof fates / sizeof fates[0])];
}

/* Names and sizes are changed or not: there is no half. */
static bool is_kept(struct crash *crash, uint64_t number) {
    enum fate fate = fate_of(crash, number);
    /* LCOV_EXCL_BR_LINE: TORN tears only writes, which are none of these */
    if (fate == FATE_KEPT || fate == FATE_LOST || crash->mode == LSM_CRASH_TORN) return fate != FATE_LOST;
    return draw(crash, 2) == 0;
}

/* ---- the data of one file ------------------------------------------------------------------------------------- */

/* Take the sector of the write over as it was right after the write: with what earlier writes, themselves lost, had put there. */
static int keep_sector(struct mem_content *left, const struct mem_content *then, const struct mem_change *write, uint64_t sector, uint64_t bytes) {
    uint64_t write_end = write->offset + write->size, end = sector + bytes;
    if (end < write_end) write_end = end;
    uint64_t limit = write_end > left->size ? write_end : left->size;
    int status = write_end > left->size ? lsm_mem_content_truncate(left, write_end) : LSM_OK;
    if (limit < end) end = limit;
    /* LCOV_EXCL_BR_LINE: a file that grows needs no memory, and each sector has a part of the write */
    return status == LSM_OK && end > sector ? lsm_mem_content_copy_range(left, then, sector, end - sector) : status;
}

static int keep_sectors(struct crash *crash, struct mem_content *left, const struct mem_content *then, const struct mem_change *write,
                        enum fate fate) {
    uint64_t bytes = crash->sector_bytes, first = write->offset / bytes, last = (write->offset + write->size - 1) / bytes;
    uint64_t kept = fate == FATE_TORN_END ? draw(crash, last - first + 2) : last - first + 1;
    int status = LSM_OK;
    for (uint64_t i = 0; status == LSM_OK && i < kept; i++) {
        if (fate == FATE_TORN_HOLES && draw(crash, 2) == 0) continue;
        status = keep_sector(left, then, write, (first + i) * bytes, bytes);
    }
    return status;
}

/* The size reached the disk, the data did not. Garbage comes in whole sectors: the one with the old end was zeroed behind it. */
static int grow_only(struct crash *crash, struct mem_content *left, const struct mem_change *write, enum fate fate) {
    uint64_t bytes = crash->sector_bytes, end = write->offset + write->size;
    if (end <= left->size) return LSM_OK;
    uint64_t at = (left->size + bytes - 1) / bytes * bytes;
    int status = lsm_mem_content_truncate(left, end);
    if (at < write->offset) at = write->offset / bytes * bytes; /* a hole before the write stays one */
    while (status == LSM_OK && fate == FATE_GARBAGE && at < end) {
        uint64_t garbage[64];
        for (size_t i = 0; i < 64; i++) garbage[i] = lsm_mem_random(&crash->random);
        size_t part = end - at < sizeof garbage ? (size_t)(end - at) : sizeof garbage;
        status = lsm_mem_content_write(left, at, garbage, part);
        at += part;
    }
    return status;
}

/* A page that is mapped can go to the disk in the middle of a store: some words of it are there, the others are as they were (`before`). */
static int keep_words(struct crash *crash, struct mem_content *left, const struct mem_content *then, const struct mem_change *store,
                      const uint8_t *before) {
    struct mem_content middle = {0};
    int status = lsm_mem_content_copy(&middle, then);
    for (uint64_t at = 0, end; status == LSM_OK && at < store->size; at = end) {
        end = at + WORD_BYTES - (store->offset + at) % WORD_BYTES;
        if (end > store->size) end = store->size;
        if (draw(crash, 2) == 0) status = lsm_mem_content_write(&middle, store->offset + at, before + at, (size_t)(end - at));
    }
    if (status == LSM_OK) status = keep_sectors(crash, left, &middle, store, FATE_TORN_HOLES);
    lsm_mem_content_release(&middle);
    return status;
}

/* then: the content as it was right after the change. before: what was there, of a store into a map. */
static int crash_change(struct crash *crash, struct mem_content *left, const struct mem_content *then, const struct mem_change *change,
                        const uint8_t *before) {
    if (change->kind != LSM_ENV_WRITE) return is_kept(crash, change->number) ? lsm_mem_change_apply(change, left) : LSM_OK;
    enum fate fate = fate_of(crash, change->number);
    if (fate == FATE_LOST) return LSM_OK;
    if (fate != FATE_KEPT && before != NULL) return keep_words(crash, left, then, change, before);
    if (fate == FATE_ZEROS || fate == FATE_GARBAGE) return grow_only(crash, left, change, fate);
    return keep_sectors(crash, left, then, change, fate);
}

/* What is left of a file. */
static int crash_data(struct crash *crash, bool strict, const struct mem_node *node, struct mem_content *left) {
    struct mem_content then = {0};
    int status = lsm_mem_content_copy(left, strict ? &node->durable : &node->now);
    if (status != LSM_OK || node->change_count == 0 || crash->mode == LSM_CRASH_LOSE) return status;
    if (crash->mode == LSM_CRASH_KEEP) {
        for (size_t i = 0; status == LSM_OK && i < node->change_count; i++) status = lsm_mem_change_apply(&node->changes[i], left);
        return status;
    }
    status = lsm_mem_content_copy(&then, left);
    for (size_t i = 0; status == LSM_OK && i < node->change_count; i++) {
        const struct mem_change *change = &node->changes[i];
        uint8_t *before = change->mapped ? lsm_malloc((size_t)change->size) : NULL;
        if (change->mapped && before == NULL) status = LSM_NOMEM;
        if (before != NULL) (void)lsm_mem_content_read(&then, change->offset, before, (size_t)change->size);
        if (status == LSM_OK) status = lsm_mem_change_apply(change, &then);
        if (status == LSM_OK) status = crash_change(crash, left, &then, change, before);
        lsm_free(before);
    }
    lsm_mem_content_release(&then);
    return status;
}

/* ---- the whole disk ------------------------------------------------------------------------------------------- */

static struct crash crash_begin(const struct mem_disk *disk, enum lsm_crash_mode mode, uint64_t seed) {
    struct crash crash = {.mode = mode, .random = seed};
    static const unsigned likely[] = {1, 4, 7};
    uint64_t first = UINT64_MAX, last = 0, last_write = 0;
    for (size_t i = 0; i < disk->node_count; i++) {
        const struct mem_node *node = disk->nodes[i];
        for (size_t k = 0; k < node->change_count; k++) {
            uint64_t number = node->changes[k].number;
            if (number < first) first = number;
            if (number > last) last = number;
            if (node->changes[k].kind == LSM_ENV_WRITE && number > last_write) last_write = number;
        }
    }
    for (size_t i = 0; i < disk->move_count; i++) {
        if (disk->moves[i].number < first) first = disk->moves[i].number;
        if (disk->moves[i].number > last) last = disk->moves[i].number;
    }
    crash.sector_bytes = draw(&crash, 2) == 0 ? 512 : 4096;
    crash.kept_of_8 = likely[draw(&crash, 3)];
    crash.in_order = mode == LSM_CRASH_RANDOM && draw(&crash, 4) == 0;
    crash.torn_number = mode == LSM_CRASH_TORN ? last_write : 0;
    if (crash.in_order && first <= last) crash.torn_number = first + draw(&crash, last - first + 1);
    return crash;
}

/* Work out MEM_CRASHED: the durable places and those moves that are kept. */
static void crash_places(struct crash *crash, bool strict, struct mem_disk *disk) {
    for (size_t i = 1; i < disk->node_count; i++) {
        struct mem_node *node = disk->nodes[i];
        lsm_mem_place(disk, MEM_CRASHED, node, node->places[strict ? MEM_DURABLE : MEM_NOW]);
    }
    for (size_t i = 0; i < disk->move_count; i++)
        if (is_kept(crash, disk->moves[i].number)) lsm_mem_put(disk, MEM_CRASHED, disk->moves[i].node, disk->moves[i].to);
}

/* No node dies here: what has a place after the crash is durable or in a move. */
static void forget_places(struct mem_disk *disk) {
    for (size_t i = 1; i < disk->node_count; i++) lsm_mem_place(disk, MEM_CRASHED, disk->nodes[i], (struct mem_place){0});
}

static int crash_node(struct crash *crash, bool strict, const struct mem_node *node, struct mem_node *twin) {
    if (node->is_dir) return LSM_OK;
    int status = crash_data(crash, strict, node, &twin->now);
    return status == LSM_OK && strict ? lsm_mem_content_copy(&twin->durable, &twin->now) : status;
}

static int build_disk(struct crash *crash, bool strict, const struct mem_disk *old, struct mem_disk *fresh) {
    int status = lsm_mem_disk_init(fresh);
    if (status != LSM_OK) return status;
    old->nodes[0]->twin = fresh->nodes[0];
    for (size_t i = 1; status == LSM_OK && i < old->node_count; i++) {
        struct mem_node *node = old->nodes[i];
        node->twin = NULL;
        if (!lsm_mem_reachable(old, MEM_CRASHED, node)) continue;
        node->twin = lsm_mem_node_new(fresh, node->is_dir);
        status = node->twin != NULL ? crash_node(crash, strict, node, node->twin) : LSM_NOMEM;
    }
    for (size_t i = 1; status == LSM_OK && i < old->node_count; i++) {
        const struct mem_node *node = old->nodes[i];
        if (node->twin == NULL) continue;
        struct mem_place place = {.dir = node->places[MEM_CRASHED].dir->twin, .name = node->places[MEM_CRASHED].name};
        lsm_mem_place(fresh, MEM_NOW, node->twin, place);
        if (strict) lsm_mem_place(fresh, MEM_DURABLE, node->twin, place);
    }
    if (status != LSM_OK) lsm_mem_disk_release(fresh);
    return status;
}

static int crash_disk(struct mem_env *mem, enum lsm_crash_mode mode, uint64_t seed, struct mem_disk *fresh) {
    struct crash crash = crash_begin(&mem->disk, mode, seed);
    crash_places(&crash, mem->strict, &mem->disk);
    int status = build_disk(&crash, mem->strict, &mem->disk, fresh);
    forget_places(&mem->disk);
    return status;
}

int lsm_env_mem_crash(struct lsm_env *env, enum lsm_crash_mode mode, uint64_t seed) {
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_disk fresh;
    lsm_mutex_lock(&mem->mu);
    int status = crash_disk(mem, mode, seed, &fresh);
    if (status == LSM_OK) {
        lsm_mem_disk_release(&mem->disk);
        mem->disk = fresh;
        mem->epoch++;
        mem->fault = (struct lsm_env_fault){0};
        mem->cut_at = 0;
    }
    lsm_mutex_unlock(&mem->mu);
    return status;
}

/* A new environment on the fresh disk, which it owns, whatever is returned. */
static struct lsm_env *clone_on(struct mem_env *mem, struct mem_disk *fresh) {
    struct mem_env *clone = lsm_mem_env_new(mem->strict);
    if (clone == NULL) {
        lsm_mem_disk_release(fresh);
        return NULL;
    }
    clone->ops = mem->ops;
    clone->space = mem->space;
    clone->clock_us = mem->clock_us;
    clone->monotonic_us = mem->monotonic_us;
    clone->random = mem->random;
    lsm_mem_disk_release(&clone->disk);
    clone->disk = *fresh;
    return &clone->self.base;
}

struct lsm_env *lsm_env_mem_clone_crashed(struct lsm_env *env, enum lsm_crash_mode mode, uint64_t seed) {
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_disk fresh;
    lsm_mutex_lock(&mem->mu);
    struct lsm_env *clone = crash_disk(mem, mode, seed, &fresh) == LSM_OK ? clone_on(mem, &fresh) : NULL;
    lsm_mutex_unlock(&mem->mu);
    return clone;
}

static int halve_last_write(struct mem_disk *disk) {
    struct mem_node *last = NULL;
    for (size_t i = 0; i < disk->node_count; i++) {
        struct mem_node *node = disk->nodes[i];
        if (node->change_count == 0 || node->changes[node->change_count - 1].kind != LSM_ENV_WRITE) continue;
        if (last == NULL || last->changes[last->change_count - 1].number < node->changes[node->change_count - 1].number) last = node;
    }
    if (last == NULL) return LSM_OK;
    last->changes[last->change_count - 1].size /= 2;
    int status = lsm_mem_content_copy(&last->now, &last->durable);
    for (size_t i = 0; i < last->change_count && status == LSM_OK; i++) status = lsm_mem_change_apply(&last->changes[i], &last->now);
    return status;
}

struct lsm_env *lsm_env_mem_clone_killed(struct lsm_env *env, bool writing) {
    struct mem_env *mem = lsm_mem_of(env);
    struct mem_disk fresh;
    lsm_mutex_lock(&mem->mu);
    int status = lsm_mem_disk_copy(&mem->disk, &fresh);
    if (status == LSM_OK && writing) {
        status = halve_last_write(&fresh);
        if (status != LSM_OK) lsm_mem_disk_release(&fresh);
    }
    struct lsm_env *clone = status == LSM_OK ? clone_on(mem, &fresh) : NULL;
    lsm_mutex_unlock(&mem->mu);
    return clone;
}

/* ---- looking and damaging ------------------------------------------------------------------------------------- */

static struct mem_node *file_at(const struct mem_disk *disk, const char *path) {
    struct mem_path at;
    int error = lsm_mem_resolve(disk, path, &at);
    return error == 0 && at.node != NULL && !at.node->is_dir ? at.node : NULL;
}

int lsm_env_mem_read_file(struct lsm_env *env, const char *path, uint8_t **bytes, size_t *size) {
    struct mem_env *mem = lsm_mem_of(env);
    int status = LSM_NOTFOUND;
    *bytes = NULL;
    *size = 0;
    lsm_mutex_lock(&mem->mu);
    const struct mem_node *node = file_at(&mem->disk, path);
    if (node != NULL) {
        *bytes = lsm_malloc((size_t)node->now.size);
        status = *bytes != NULL ? LSM_OK : LSM_NOMEM;
    }
    if (status == LSM_OK) *size = lsm_mem_content_read(&node->now, 0, *bytes, (size_t)node->now.size);
    lsm_mutex_unlock(&mem->mu);
    return status;
}

int lsm_env_mem_file_size(struct lsm_env *env, const char *path, uint64_t *size) {
    struct mem_env *mem = lsm_mem_of(env);
    lsm_mutex_lock(&mem->mu);
    const struct mem_node *node = file_at(&mem->disk, path);
    *size = node != NULL ? node->now.size : 0;
    lsm_mutex_unlock(&mem->mu);
    return node != NULL ? LSM_OK : LSM_NOTFOUND;
}

/* The node called `size` bytes of name in dir, durable, made if missing. */
static int durable_child(struct mem_env *mem, struct mem_node *dir, const char *name, size_t size, bool is_dir, struct mem_node **child) {
    struct mem_node *node = lsm_mem_find(&mem->disk, MEM_NOW, dir, name, size);
    if (node == NULL) {
        struct mem_place place = {.dir = dir, .name = lsm_mem_name_new(name, size)};
        node = place.name != NULL ? lsm_mem_node_new(&mem->disk, is_dir) : NULL;
        if (node != NULL) lsm_mem_put(&mem->disk, MEM_NOW, node, place);
        lsm_mem_name_unref(place.name);
        if (node == NULL) return LSM_NOMEM;
    }
    if (node->is_dir != is_dir) return LSM_NOTFOUND;
    if (mem->strict) {
        lsm_mem_settle(&mem->disk, NULL, node);
        lsm_mem_put(&mem->disk, MEM_DURABLE, node, node->places[MEM_NOW]);
    }
    *child = node;
    return LSM_OK;
}

static int replace_content(struct mem_env *mem, struct mem_node *node, const void *bytes, size_t size) {
    struct mem_content content = {0}, durable = {0};
    int status = lsm_mem_content_write(&content, 0, bytes, size);
    if (status == LSM_OK && mem->strict) status = lsm_mem_content_copy(&durable, &content);
    if (status != LSM_OK) {
        lsm_mem_content_release(&content);
        return status;
    }
    lsm_mem_changes_drop(node, node->change_count);
    lsm_mem_content_release(&node->now);
    lsm_mem_content_release(&node->durable);
    node->now = content;
    node->durable = durable;
    lsm_mem_shared_replace(node, bytes, size);
    return LSM_OK;
}

int lsm_env_mem_write_file(struct lsm_env *env, const char *path, const void *bytes, size_t size) {
    struct mem_env *mem = lsm_mem_of(env);
    int status = LSM_OK;
    lsm_mutex_lock(&mem->mu);
    struct mem_node *node = mem->disk.nodes[0];
    for (path += strspn(path, "/"); status == LSM_OK && *path != '\0';) {
        size_t part = strcspn(path, "/"), gap = strspn(path + part, "/");
        bool is_dir = gap > 0;
        if (part != 1 || path[0] != '.') status = durable_child(mem, node, path, part, is_dir, &node);
        path += part + gap;
    }
    if (status == LSM_OK) status = node->is_dir ? LSM_NOTFOUND : replace_content(mem, node, bytes, size);
    lsm_mutex_unlock(&mem->mu);
    return status;
}
