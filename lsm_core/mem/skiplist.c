/* skiplist.c: the inserter's side: the finger, splits, and rebuilds with a better shared prefix. Invariants: skiplist_node.h. */
#include "skiplist_node.h"

#include <assert.h>

#define SLOTS_IN_ORDER UINT64_C(0xEDCBA98765432100) /* rank r in slot r; or in the count */
#define CUT_HALF       ((SLOTS + 1) / 2)

#define TREND_KEYS_FIRST  64 /* when the shared bytes are first looked at, and how soon again: later they only get fewer */
#define TREND_KEYS_FACTOR 16
#define TREND_KEYS_LAST   16384
#define LONGER_BYTES_MIN  2  /* prefix bytes that must be wasted before a rebuild gets them back */
#define OUTSIDERS_MIN     32 /* keys outside the shared prefix, which cost a full comparison each, that are not worth a rebuild, ... */
#define OUTSIDERS_SHARE   8  /* ... plus one key in this many: so rebuilds cost each insert a constant at most */

static void store_link(struct lsm_skiplist_node *node, unsigned level, struct lsm_skiplist_node *next) {
    struct lsm_skiplist_link *link = node_link_mut(node, level);
    if (next != NULL) atomic_store_explicit(&link->prefix, next->low_prefix, memory_order_relaxed);
    atomic_store_explicit(&link->node, next, memory_order_release);
}

static uint64_t slots_in_order(unsigned count) {
    return (count == SLOTS ? SLOTS_IN_ORDER : SLOTS_IN_ORDER & ((UINT64_C(1) << (4 * (count + 1))) - 1)) | count;
}

/* The order with one more entry, in the next free slot, at this rank. */
static uint64_t slots_with(uint64_t slots, unsigned rank) {
    unsigned count = slots_count(slots), shift = 4 * (rank + 1);
    uint64_t below = slots & ((UINT64_C(1) << shift) - 1), above = (slots >> shift << shift) << 4;
    return (below | (uint64_t)count << shift | above) + 1;
}

/* Links and slots are empty. NULL: out of memory. */
static struct lsm_skiplist_node *new_node(struct lsm_skiplist *list, unsigned height) {
    size_t links_bytes = height * sizeof(struct lsm_skiplist_link);
    uint8_t *memory = lsm_arena_alloc(list->arena, LSM_ARENA_INDEX, links_bytes + sizeof(struct lsm_skiplist_node), NULL);
    if (memory == NULL) return NULL;
    struct lsm_skiplist_node *node = (void *)(memory + links_bytes);
    node->low_prefix = 0;
    node->low_entry = 0;
    node->height = height;
    atomic_init(&node->prev, NULL);
    atomic_init(&node->slots, 0);
    for (unsigned i = 0; i < height; i++) {
        atomic_init(&node_link_mut(node, i)->prefix, 0);
        atomic_init(&node_link_mut(node, i)->node, NULL);
    }
    return node;
}

/* Each level has a quarter of the nodes of the one below. The generator is xorshift64*. */
static unsigned random_height(struct lsm_skiplist *list) {
    list->random ^= list->random >> 12;
    list->random ^= list->random << 25;
    list->random ^= list->random >> 27;
    uint64_t bits = list->random * UINT64_C(0x2545F4914F6CDD1D) >> 32;
    unsigned height = 1;
    while (height < LEVELS && (bits & 3) == 0) { /* LCOV_EXCL_BR_LINE: one node in 16 million */
        height++;
        bits >>= 2;
    }
    return height;
}

/* A root for the shared bytes (not copied) without a list. */
static struct lsm_skiplist_root *new_root(struct lsm_skiplist *list, struct lsm_slice shared) {
    struct lsm_skiplist_root *root = lsm_arena_alloc(list->arena, LSM_ARENA_INDEX, sizeof *root, NULL);
    if (root == NULL) return NULL;
    root->shared = shared;
    atomic_init(&root->head, NULL);
    atomic_init(&root->levels, 1);
    return root;
}

static void publish_root(struct lsm_skiplist *list, struct lsm_skiplist_root *root) {
    struct lsm_skiplist_node *head = atomic_load_explicit(&root->head, memory_order_relaxed);
    for (unsigned i = 0; i < LEVELS; i++) list->path[i] = head;
    atomic_store_explicit(&list->root, root, memory_order_release);
}

int lsm_skiplist_init(struct lsm_skiplist *list, struct lsm_arena *arena, struct lsm_slice shared) {
    memset(list, 0, sizeof *list);
    list->arena = arena;
    list->random = UINT64_C(0x9E3779B97F4A7C15);
    atomic_init(&list->root, NULL);
    atomic_init(&list->keys, 0);
    atomic_init(&list->nodes, 1);
    uint8_t *copy = lsm_arena_alloc(arena, LSM_ARENA_DATA, shared.size, NULL);
    if (copy == NULL) return LSM_NOMEM;
    if (shared.size != 0) memcpy(copy, shared.data, shared.size);
    struct lsm_skiplist_root *root = new_root(list, lsm_slice_of(copy, shared.size));
    struct lsm_skiplist_node *head = root == NULL ? NULL : new_node(list, LEVELS);
    if (head == NULL) return LSM_NOMEM;
    atomic_init(&root->head, head);
    publish_root(list, root);
    return LSM_OK;
}

/* ---- the finger ----------------------------------------------------------------------------------------------- */

/* True if the key belongs between this node and the next of the level. Ties are left undecided (false) but on level 0, where
 * ascending keys outside the shared prefix would never use the finger otherwise. */
static bool covers(const struct lsm_skiplist *list, const struct lsm_skiplist_node *node, unsigned level, const struct wanted *want) {
    const struct lsm_skiplist_link *link = node_link(node, level);
    if (level == 0) return node_begins_by(list, node, want) && node_step(list, node, 0, want) == NULL;
    if (node->low_prefix >= want->prefix && node->low_entry != 0) return false;
    return atomic_load_explicit(&link->node, memory_order_relaxed) == NULL ||
           atomic_load_explicit(&link->prefix, memory_order_relaxed) > want->prefix;
}

struct mem_entry *lsm_skiplist_locate(struct lsm_skiplist *list, struct lsm_slice key) {
    struct lsm_skiplist_root *root = list_root(list);
    struct wanted want = wanted_of(root, key);
    unsigned levels = atomic_load_explicit(&root->levels, memory_order_relaxed), level = 0;
    while (level < levels && !covers(list, list->path[level], level, &want)) level++;
    struct lsm_skiplist_node *node = level < levels ? list->path[level] : root_head(root), *next;
    while (level-- > 0) {
        while ((next = node_step(list, node, level, &want)) != NULL) node = next;
        list->path[level] = node;
    }
    uint64_t slots = node_slots(node);
    bool equal;
    list->rank = node_rank(list, node, slots, &want, &equal);
    list->prefix = want.prefix;
    list->outside = want.outside;
    return equal ? mem_entry_at(list->arena, node->entry[slots_at(slots, list->rank)]) : NULL;
}

/* ---- splits --------------------------------------------------------------------------------------------------- */

static void raise_levels(struct lsm_skiplist *list, unsigned height) {
    struct lsm_skiplist_root *root = list_root(list);
    if (height > atomic_load_explicit(&root->levels, memory_order_relaxed)) { atomic_store_explicit(&root->levels, height, memory_order_relaxed); }
}

static void set_low(struct lsm_skiplist_node *node, uint64_t prefix, uint32_t entry) {
    node->low_prefix = prefix;
    node->low_entry = entry;
}

/* Make the node behind (if any) know its new neighbour. */
static void store_prev(struct lsm_skiplist_node *next, struct lsm_skiplist_node *prev) {
    if (next != NULL) atomic_store_explicit(&next->prev, prev, memory_order_release);
}

/* Leave the full node as it is and start another behind it with the new key alone. Nothing moves, so nothing is copied. */
static int append_node(struct lsm_skiplist *list, uint32_t entry) {
    struct lsm_skiplist_node *full = list->path[0], *behind = node_next(full, 0);
    unsigned height = random_height(list);
    struct lsm_skiplist_node *node = new_node(list, height);
    if (node == NULL) return LSM_NOMEM;
    set_low(node, list->prefix, entry);
    node->prefix[0] = list->prefix;
    node->entry[0] = entry;
    atomic_init(&node->slots, slots_in_order(1));
    atomic_init(&node->prev, full);
    for (unsigned i = 0; i < height; i++) store_link(node, i, node_next(list->path[i], i));
    for (unsigned i = 0; i < height; i++) {
        store_link(list->path[i], i, node);
        list->path[i] = node;
    }
    store_prev(behind, node);
    raise_levels(list, height);
    return LSM_OK;
}

/* The full node's entries and the new one, in order, over two new nodes; the left gets `cut` of them. */
static void deal_entries(const struct lsm_skiplist *list, uint32_t entry, unsigned cut, struct lsm_skiplist_node *left,
                         struct lsm_skiplist_node *right) {
    const struct lsm_skiplist_node *full = list->path[0];
    uint64_t slots = node_slots(full);
    unsigned taken = 0;
    for (unsigned rank = 0; rank <= SLOTS; rank++) {
        struct lsm_skiplist_node *to = rank < cut ? left : right;
        unsigned slot = rank < cut ? rank : rank - cut;
        bool is_new = rank == list->rank;
        unsigned from = is_new ? 0 : slots_at(slots, taken++);
        to->prefix[slot] = is_new ? list->prefix : full->prefix[from];
        to->entry[slot] = is_new ? entry : full->entry[from];
    }
    atomic_init(&left->slots, slots_in_order(cut));
    atomic_init(&right->slots, slots_in_order(SLOTS + 1 - cut));
    set_low(left, full->low_prefix, full->low_entry);
    set_low(right, right->prefix[0], right->entry[0]);
}

/* before[i], for every level of the node: the one whose link leads to it. */
static void find_before(const struct lsm_skiplist *list, const struct lsm_skiplist_node *node, struct lsm_skiplist_node *before[LEVELS]) {
    before[0] = atomic_load_explicit(&node->prev, memory_order_relaxed);
    if (node->height == 1) return;
    /* One level above the node the finger stands before it; the tallest nodes are sought from the head. */
    struct lsm_skiplist_node *at = node->height < LEVELS ? list->path[node->height] : root_head(list_root(list)), *next;
    for (unsigned level = node->height; level-- > 1;) {
        while ((next = node_next(at, level)) != node) at = next;
        before[level] = at;
    }
}

/* Replace the full node by two copies (invariant 3), the left one with `cut` of the 16 entries. */
static int split_node(struct lsm_skiplist *list, uint32_t entry, unsigned cut) {
    struct lsm_skiplist_node *full = list->path[0], *behind = node_next(full, 0), *before[LEVELS];
    struct lsm_skiplist_root *root = list_root(list);
    bool is_head = full == root_head(root);
    unsigned height = random_height(list), tallest = height > full->height ? height : full->height;
    struct lsm_skiplist_node *left = new_node(list, full->height), *right = left == NULL ? NULL : new_node(list, height);
    if (right == NULL) return LSM_NOMEM;
    deal_entries(list, entry, cut, left, right);
    if (!is_head) find_before(list, full, before);
    atomic_init(&left->prev, atomic_load_explicit(&full->prev, memory_order_relaxed));
    atomic_init(&right->prev, left);
    for (unsigned i = 0; i < full->height; i++) {
        store_link(left, i, i < height ? right : node_next(full, i));
        list->path[i] = left;
    }
    for (unsigned i = 0; i < height; i++) store_link(right, i, node_next(i < full->height ? full : list->path[i], i));
    /* Both are complete; now the list learns of them, bottom up. */
    for (unsigned i = 0; i < tallest; i++) {
        if (i >= full->height)
            store_link(list->path[i], i, right);
        else if (!is_head)
            store_link(before[i], i, left);
    }
    if (is_head) atomic_store_explicit(&root->head, left, memory_order_release);
    store_prev(behind, right);
    raise_levels(list, height);
    for (unsigned i = 0; i < height && list->rank >= cut; i++) list->path[i] = right;
    return LSM_OK;
}

/* Make room in a full node. If the key right before the new one is the one that came last, keys are ascending here: then the cut is made behind
 * the new key, so that those to come find the end of a node and go on to fill whole ones. */
static int insert_splitting(struct lsm_skiplist *list, uint64_t slots, uint32_t entry) {
    bool ascending = list->rank > 0 && slots_at(slots, list->rank - 1) == SLOTS - 1;
    if (ascending && list->rank == SLOTS) return append_node(list, entry);
    return split_node(list, entry, ascending ? list->rank + 1 : CUT_HALF);
}

/* ---- rebuilds ------------------------------------------------------------------------------------------------- */

/* A copy of a node with prefixes for other shared bytes. */
static struct lsm_skiplist_node *translate(struct lsm_skiplist *list, struct lsm_slice shared, const struct lsm_skiplist_node *old) {
    struct lsm_skiplist_node *node = new_node(list, old->height);
    if (node == NULL) return NULL;
    uint64_t slots = node_slots(old);
    unsigned count = slots_count(slots);
    bool outside;
    for (unsigned rank = 0; rank < count; rank++) {
        node->entry[rank] = old->entry[slots_at(slots, rank)];
        node->prefix[rank] = key_prefix(shared, mem_entry_key(mem_entry_at(list->arena, node->entry[rank])), &outside);
    }
    atomic_init(&node->slots, slots_in_order(count));
    if (old->low_entry != 0) {
        set_low(node, key_prefix(shared, mem_entry_key(mem_entry_at(list->arena, old->low_entry)), &outside), old->low_entry);
    }
    return node;
}

/* The same list over again on other shared bytes, which all keys have. NULL: out of memory. */
static struct lsm_skiplist_root *translate_list(struct lsm_skiplist *list, struct lsm_slice shared) {
    const struct lsm_skiplist_root *old_root = list_root(list);
    struct lsm_skiplist_root *root = new_root(list, shared);
    struct lsm_skiplist_node *tail[LEVELS], *prev = NULL;
    if (root == NULL) return NULL;
    for (const struct lsm_skiplist_node *old = root_head(old_root); old != NULL; old = node_next(old, 0)) {
        struct lsm_skiplist_node *node = translate(list, shared, old);
        if (node == NULL) return NULL;
        atomic_init(&node->prev, prev);
        if (prev == NULL) atomic_init(&root->head, node);
        for (unsigned i = 0; i < node->height; i++) {
            if (prev != NULL) store_link(tail[i], i, node);
            tail[i] = node;
        }
        prev = node;
    }
    atomic_init(&root->levels, atomic_load_explicit(&old_root->levels, memory_order_relaxed));
    return root;
}

/* Whether the prefixes have become worth replacing, asked once per new key.
 *
 * The bytes that all keys share only get fewer while keys come. So at a few early sizes, when it is cheap, too short a belief is
 * lengthened. Later it can only be too long: keys outside it pile up, and the more there are of them, the sooner. Then it is cut to what is
 * really shared and one byte less, as ascending numbers soon outgrow the next digit too (but never into the tree's id). */
static void adapt(struct lsm_skiplist *list, size_t keys) {
    bool shrink = list->outsiders > OUTSIDERS_MIN + keys / OUTSIDERS_SHARE, grow = false;
    for (size_t at = TREND_KEYS_FIRST; at <= TREND_KEYS_LAST; at *= TREND_KEYS_FACTOR) grow = grow || keys == at;
    if ((!shrink && !grow) || keys < list->retry_keys) return;
    size_t now = list_root(list)->shared.size;
    struct lsm_slice shared = lsm_skiplist_common(list);
    if (!shrink && shared.size < now + LONGER_BYTES_MIN) return;
    if (shrink && shared.size < now && shared.size > LSM_TREE_BYTES) shared.size--;
    struct lsm_arena_mark mark = lsm_arena_mark(list->arena);
    struct lsm_skiplist_root *root = translate_list(list, shared);
    if (root == NULL) {
        lsm_arena_rewind(list->arena, &mark);
        list->retry_keys = keys * 2;
        return;
    }
    list->outsiders = 0;
    publish_root(list, root);
}

/* ---- insert --------------------------------------------------------------------------------------------------- */

int lsm_skiplist_insert(struct lsm_skiplist *list, uint32_t entry) {
    struct lsm_skiplist_node *node = list->path[0];
    uint64_t slots = atomic_load_explicit(&node->slots, memory_order_relaxed);
    unsigned count = slots_count(slots);
    if (count < SLOTS) {
        node->prefix[count] = list->prefix;
        node->entry[count] = entry;
        atomic_store_explicit(&node->slots, slots_with(slots, list->rank), memory_order_release);
    } else {
        int status = insert_splitting(list, slots, entry);
        if (status != LSM_OK) return status;
        (void)atomic_fetch_add_explicit(&list->nodes, 1, memory_order_relaxed);
    }
    size_t keys = atomic_load_explicit(&list->keys, memory_order_relaxed) + 1;
    atomic_store_explicit(&list->keys, keys, memory_order_relaxed);
    list->outsiders += list->outside;
    adapt(list, keys);
    return LSM_OK;
}

struct lsm_slice lsm_skiplist_common(const struct lsm_skiplist *list) {
    struct lsm_skiplist_place place;
    const struct mem_entry *first = lsm_skiplist_first(list, &place), *last = lsm_skiplist_last(list, &place);
    if (first == NULL || last == NULL) return lsm_slice_of(NULL, 0);
    struct lsm_slice low = mem_entry_key(first);
    return lsm_slice_of(low.data, lsm_slice_common(low, mem_entry_key(last)));
}
