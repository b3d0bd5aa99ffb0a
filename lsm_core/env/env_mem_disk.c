#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "env_mem_private.h"

#define NAME_BYTES_MAX ((size_t)255)
#define DEPTH_MAX      64 /* of directories; also ends the walk round a cycle that lost renames can leave */

void *lsm_mem_grow(void *array, size_t *capacity, size_t needed, size_t item_bytes) {
    if (needed <= *capacity) return array;
    size_t wanted = *capacity < 8 ? 8 : *capacity * 2;
    while (wanted < needed) wanted *= 2;
    void *grown = lsm_realloc(array, wanted * item_bytes);
    if (grown != NULL) *capacity = wanted;
    return grown;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

struct mem_name {
    _Atomic uint32_t refs;
    uint32_t hash;
    size_t size;
    char text[];
};

static uint32_t name_hash(const char *text, size_t size) {
    uint32_t hash = 2166136261u; /* FNV-1a, to spare most comparisons */
    for (size_t i = 0; i < size; i++) hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash;
}

struct mem_name *lsm_mem_name_new(const char *text, size_t size) {
    struct mem_name *name = lsm_malloc(sizeof *name + size + 1);
    if (name == NULL) return NULL;
    atomic_init(&name->refs, 1);
    name->hash = name_hash(text, size);
    name->size = size;
    memcpy(name->text, text, size);
    name->text[size] = '\0';
    return name;
}

static void name_ref(struct mem_name *name) {
    /* LCOV_EXCL_BR_LINE: a place in a directory has a name */
    if (name != NULL) (void)atomic_fetch_add_explicit(&name->refs, 1, memory_order_relaxed);
}

void lsm_mem_name_unref(struct mem_name *name) {
    if (name != NULL && atomic_fetch_sub_explicit(&name->refs, 1, memory_order_acq_rel) == 1) lsm_free(name);
}

const char *lsm_mem_name_text(const struct mem_name *name) { return name->text; }

/* ---- nodes ---------------------------------------------------------------------------------------------------- */

struct mem_node *lsm_mem_node_new(struct mem_disk *disk, bool is_dir) {
    struct mem_node **nodes = lsm_mem_grow(disk->nodes, &disk->node_capacity, disk->node_count + 1, sizeof *nodes);
    if (nodes == NULL) return NULL;
    disk->nodes = nodes;
    struct mem_node *node = lsm_calloc(1, sizeof *node);
    if (node == NULL) return NULL;
    node->is_dir = is_dir;
    node->index = disk->node_count;
    disk->nodes[disk->node_count++] = node;
    return node;
}

void lsm_mem_node_use(struct mem_node *node) { node->uses++; }

/* Frees the memory and nothing else: the table and other nodes may still point here. */
static void node_free(struct mem_node *node) {
    lsm_mem_changes_drop(node, node->change_count);
    lsm_mem_content_release(&node->now);
    lsm_mem_content_release(&node->durable);
    for (int view = 0; view < MEM_VIEWS; view++) lsm_mem_name_unref(node->places[view].name);
    lsm_free(node->changes);
    lsm_free(node->locks);
    if (node->shared_fd != 0) (void)close(node->shared_fd - 1);
    lsm_free(node);
}

void lsm_mem_node_unuse(struct mem_disk *disk, struct mem_node *node) {
    assert(node->uses > 0);
    if (--node->uses > 0) return;
    struct mem_node *last = disk->nodes[--disk->node_count];
    disk->nodes[node->index] = last;
    last->index = node->index;
    node_free(node);
}

int lsm_mem_disk_init(struct mem_disk *disk) {
    *disk = (struct mem_disk){0};
    struct mem_node *root = lsm_mem_node_new(disk, true);
    if (root == NULL) {
        lsm_mem_disk_release(disk);
        return LSM_NOMEM;
    }
    lsm_mem_node_use(root);
    return LSM_OK;
}

void lsm_mem_disk_release(struct mem_disk *disk) {
    for (size_t i = 0; i < disk->move_count; i++) {
        lsm_mem_name_unref(disk->moves[i].from.name);
        lsm_mem_name_unref(disk->moves[i].to.name);
    }
    for (size_t i = 0; i < disk->node_count; i++) node_free(disk->nodes[i]);
    lsm_free(disk->moves);
    lsm_free(disk->nodes);
    *disk = (struct mem_disk){0};
}

/* ---- places --------------------------------------------------------------------------------------------------- */

struct mem_node *lsm_mem_find(const struct mem_disk *disk, enum mem_view view, const struct mem_node *dir, const char *name, size_t size) {
    uint32_t hash = name_hash(name, size);
    for (size_t i = 0; i < disk->node_count; i++) {
        const struct mem_place *place = &disk->nodes[i]->places[view];
        /* LCOV_EXCL_BR_LINE: nobody looks for a name in no directory */
        if (place->dir != dir || dir == NULL || place->name->hash != hash || place->name->size != size) continue;
        if (memcmp(place->name->text, name, size) == 0) return disk->nodes[i];
    }
    return NULL;
}

bool lsm_mem_reachable(const struct mem_disk *disk, enum mem_view view, const struct mem_node *node) {
    for (int depth = 0; depth <= DEPTH_MAX; depth++) {
        if (node == disk->nodes[0]) return true;
        node = node->places[view].dir;
        if (node == NULL) return false;
    }
    return false;
}

bool lsm_mem_dir_is_empty(const struct mem_disk *disk, const struct mem_node *dir) {
    for (size_t i = 0; i < disk->node_count; i++)
        if (disk->nodes[i]->places[MEM_NOW].dir == dir) return false;
    return true;
}

static void place_use(struct mem_place place) {
    if (place.dir == NULL) return;
    lsm_mem_node_use(place.dir);
    name_ref(place.name);
}

static void place_unuse(struct mem_disk *disk, struct mem_place place) {
    if (place.dir == NULL) return;
    lsm_mem_name_unref(place.name);
    lsm_mem_node_unuse(disk, place.dir);
}

/* A place counts as a use of its own node, too. The new one is taken before the old one is given up: they may share. */
void lsm_mem_place(struct mem_disk *disk, enum mem_view view, struct mem_node *node, struct mem_place place) {
    struct mem_place old = node->places[view];
    place_use(place);
    if (place.dir != NULL) lsm_mem_node_use(node);
    node->places[view] = place;
    place_unuse(disk, old);
    if (old.dir != NULL) lsm_mem_node_unuse(disk, node);
}

void lsm_mem_put(struct mem_disk *disk, enum mem_view view, struct mem_node *node, struct mem_place place) {
    if (place.dir != NULL) {
        struct mem_node *there = lsm_mem_find(disk, view, place.dir, place.name->text, place.name->size);
        if (there != NULL && there != node) lsm_mem_place(disk, view, there, (struct mem_place){0});
    }
    lsm_mem_place(disk, view, node, place);
}

int lsm_mem_resolve(const struct mem_disk *disk, const char *path, struct mem_path *found) {
    *found = (struct mem_path){.node = disk->nodes[0]};
    for (int depth = 0;; path += found->name_size) {
        while (path[0] == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0'))) path++;
        if (path[0] == '\0') return 0;
        if (found->node == NULL) return ENOENT;
        if (!found->node->is_dir) return ENOTDIR;
        found->dir = found->node;
        found->name = path;
        found->name_size = strcspn(path, "/");
        if (found->name_size > NAME_BYTES_MAX || ++depth > DEPTH_MAX) return ENAMETOOLONG;
        if (found->name_size == 2 && memcmp(path, "..", 2) == 0) return EINVAL;
        found->node = lsm_mem_find(disk, MEM_NOW, found->dir, found->name, found->name_size);
    }
}

/* ---- moves ---------------------------------------------------------------------------------------------------- */

int lsm_mem_note_move(struct mem_disk *disk, uint64_t number, struct mem_node *node, struct mem_place to) {
    struct mem_move *moves = lsm_mem_grow(disk->moves, &disk->move_capacity, disk->move_count + 1, sizeof *moves);
    if (moves == NULL) return LSM_NOMEM;
    disk->moves = moves;
    struct mem_move *move = &moves[disk->move_count++];
    *move = (struct mem_move){.number = number, .node = node, .from = node->places[MEM_NOW], .to = to};
    lsm_mem_node_use(node);
    place_use(move->from);
    place_use(move->to);
    return LSM_OK;
}

/* From the last to the first, so that a chosen move brings along the earlier ones of its node. */
static void choose_moves(struct mem_disk *disk, const struct mem_node *dir, const struct mem_node *node) {
    for (size_t i = 0; i < disk->move_count; i++) disk->moves[i].node->marked = false;
    for (size_t i = disk->move_count; i-- > 0;) {
        struct mem_move *move = &disk->moves[i];
        move->chosen = (dir != NULL && (move->from.dir == dir || move->to.dir == dir)) || move->node == node || move->node->marked;
        if (move->chosen) move->node->marked = true;
    }
}

void lsm_mem_settle(struct mem_disk *disk, const struct mem_node *dir, const struct mem_node *node) {
    size_t left = 0;
    choose_moves(disk, dir, node);
    for (size_t i = 0; i < disk->move_count; i++) {
        struct mem_move move = disk->moves[i];
        if (!move.chosen) {
            disk->moves[left++] = move;
            continue;
        }
        lsm_mem_put(disk, MEM_DURABLE, move.node, move.to);
        place_unuse(disk, move.from);
        place_unuse(disk, move.to);
        lsm_mem_node_unuse(disk, move.node);
    }
    disk->move_count = left;
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

int lsm_mem_change_apply(const struct mem_change *change, struct mem_content *content) {
    if (change->kind == LSM_ENV_WRITE) return lsm_mem_content_write(content, change->offset, change->bytes, (size_t)change->size);
    if (change->kind == LSM_ENV_TRUNCATE) return lsm_mem_content_truncate(content, change->offset);
    uint64_t end = change->offset + change->size;
    return end > content->size ? lsm_mem_content_truncate(content, end) : LSM_OK;
}

void lsm_mem_changes_drop(struct mem_node *node, size_t count) {
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) lsm_free(node->changes[i].bytes);
    node->change_count -= count;
    memmove(node->changes, node->changes + count, node->change_count * sizeof *node->changes);
}

int lsm_mem_changes_settle(struct mem_node *node) {
    size_t done = 0;
    int status = LSM_OK;
    while (status == LSM_OK && done < node->change_count) {
        status = lsm_mem_change_apply(&node->changes[done], &node->durable);
        if (status == LSM_OK) done++;
    }
    lsm_mem_changes_drop(node, done);
    return status;
}

/* ---- copies --------------------------------------------------------------------------------------------------- */

static int copy_changes(const struct mem_node *node, struct mem_node *twin) {
    twin->stuck_low = node->stuck_low;
    twin->stuck_end = node->stuck_end;
    if (node->change_count == 0) return LSM_OK;
    struct mem_change *changes = lsm_mem_grow(NULL, &twin->change_capacity, node->change_count, sizeof *changes);
    if (changes == NULL) return LSM_NOMEM;
    twin->changes = changes;
    for (size_t i = 0; i < node->change_count; i++) {
        struct mem_change change = node->changes[i];
        if (change.bytes != NULL) {
            change.bytes = lsm_malloc((size_t)change.size);
            if (change.bytes == NULL) return LSM_NOMEM;
            memcpy(change.bytes, node->changes[i].bytes, (size_t)change.size);
        }
        changes[twin->change_count++] = change;
    }
    return LSM_OK;
}

static int copy_node(struct mem_node *node, struct mem_disk *copy) {
    node->twin = lsm_mem_node_new(copy, node->is_dir);
    if (node->twin == NULL) return LSM_NOMEM;
    int status = lsm_mem_content_copy(&node->twin->now, &node->now);
    if (status == LSM_OK) status = lsm_mem_content_copy(&node->twin->durable, &node->durable);
    if (status == LSM_OK) status = lsm_mem_shared_read(node, &node->twin->now);
    return status == LSM_OK ? copy_changes(node, node->twin) : status;
}

static struct mem_place twin_place(struct mem_place place) {
    return (struct mem_place){.dir = place.dir == NULL ? NULL : place.dir->twin, .name = place.name};
}

static int copy_moves(const struct mem_disk *disk, struct mem_disk *copy) {
    if (disk->move_count == 0) return LSM_OK;
    copy->moves = lsm_mem_grow(NULL, &copy->move_capacity, disk->move_count, sizeof *copy->moves);
    if (copy->moves == NULL) return LSM_NOMEM;
    for (size_t i = 0; i < disk->move_count; i++) {
        const struct mem_move *move = &disk->moves[i];
        struct mem_move twin = {.number = move->number, .node = move->node->twin, .from = twin_place(move->from), .to = twin_place(move->to)};
        lsm_mem_node_use(twin.node);
        place_use(twin.from);
        place_use(twin.to);
        copy->moves[copy->move_count++] = twin;
    }
    return LSM_OK;
}

/* A file that is open but nowhere any more comes along as a node without uses: releasing the disk frees it. */
int lsm_mem_disk_copy(const struct mem_disk *disk, struct mem_disk *copy) {
    int status = lsm_mem_disk_init(copy);
    if (status != LSM_OK) return status;
    disk->nodes[0]->twin = copy->nodes[0];
    for (size_t i = 1; i < disk->node_count && status == LSM_OK; i++) status = copy_node(disk->nodes[i], copy);
    for (size_t i = 1; i < disk->node_count && status == LSM_OK; i++) {
        const struct mem_node *node = disk->nodes[i];
        lsm_mem_place(copy, MEM_NOW, node->twin, twin_place(node->places[MEM_NOW]));
        lsm_mem_place(copy, MEM_DURABLE, node->twin, twin_place(node->places[MEM_DURABLE]));
    }
    if (status == LSM_OK) status = copy_moves(disk, copy);
    if (status != LSM_OK) lsm_mem_disk_release(copy);
    return status;
}
