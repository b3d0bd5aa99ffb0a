/* skiplist_read.c: searching and walking, by any number of threads beside the inserter. Invariants: skiplist_node.h. */
#include "skiplist_node.h"

#define ESTIMATE_STEPS_ENOUGH 16  /* links of one level between the bounds: their number is then right to about a quarter */
#define ESTIMATE_STEPS_MAX    512 /* a concurrent insert may hide the end of the walk */

/* The node that covers the wanted key, from any node of that height that begins by it, downwards. */
static const struct lsm_skiplist_node *descend(const struct lsm_skiplist *list, const struct lsm_skiplist_root *root, const struct wanted *want) {
    const struct lsm_skiplist_node *node = root_head(root), *next;
    for (unsigned level = atomic_load_explicit(&root->levels, memory_order_relaxed); level-- > 0;) {
        while ((next = node_step(list, node, level, want)) != NULL) node = next;
    }
    return node;
}

const struct mem_entry *lsm_skiplist_find(const struct lsm_skiplist *list, struct lsm_slice key) {
    const struct lsm_skiplist_root *root = list_root(list);
    struct wanted want = wanted_of(root, key);
    const struct lsm_skiplist_node *node = descend(list, root, &want);
    uint64_t slots = node_slots(node);
    bool equal;
    unsigned rank = node_rank(list, node, slots, &want, &equal);
    return equal ? node_entry(list, node, slots, rank) : NULL;
}

static void prefetch_entry(const struct lsm_skiplist *list, uint32_t offset) {
    const uint8_t *entry = lsm_arena_at(list->arena, offset);
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 48); /* the version behind a short key */
}

static void prefetch_node(const struct lsm_skiplist_node *node) {
    const uint8_t *bytes = (const uint8_t *)node;
    if (node == NULL) return;
    __builtin_prefetch(bytes - sizeof(struct lsm_skiplist_link));
    __builtin_prefetch(bytes + 64);
    __builtin_prefetch(bytes + 128);
    __builtin_prefetch(bytes + 192);
}

static struct lsm_skiplist_node *node_prev(const struct lsm_skiplist_node *node) { return atomic_load_explicit(&node->prev, memory_order_acquire); }

static struct lsm_skiplist_node *neighbour(const struct lsm_skiplist_node *node, bool forward) {
    return forward ? node_next(node, 0) : node_prev(node);
}

/* Entries lie in the order they came, so a walk meets a new cache line with each. Asked for together they cost little more than one:
 * those of the node ahead when a walk enters a node, and the rest of the node it starts in. */
static void prefetch_ahead(const struct lsm_skiplist *list, const struct lsm_skiplist_place *place, bool forward) {
    const struct lsm_skiplist_node *ahead = neighbour(place->node, forward);
    if (ahead == NULL) return;
    for (unsigned i = 0, count = slots_count(node_slots(ahead)); i < count; i++) prefetch_entry(list, ahead->entry[i]);
    prefetch_node(neighbour(ahead, forward));
}

static void start_walk(const struct lsm_skiplist *list, struct lsm_skiplist_place *place, bool forward) {
    unsigned end = forward ? slots_count(place->slots) : place->rank + 1;
    prefetch_node(neighbour(place->node, forward));
    for (unsigned rank = forward ? place->rank : 0; rank < end; rank++) prefetch_entry(list, place->node->entry[slots_at(place->slots, rank)]);
    place->walking = true;
}

/* The first entry of the node, or of the first one behind it that has any (only an empty list's head has none). */
static const struct mem_entry *enter_forward(const struct lsm_skiplist *list, const struct lsm_skiplist_node *node,
                                             struct lsm_skiplist_place *place) {
    for (; node != NULL; node = node_next(node, 0)) {
        uint64_t slots = node_slots(node);
        if (slots_count(slots) == 0) continue;
        *place = (struct lsm_skiplist_place){.node = node, .slots = slots, .rank = 0};
        return node_entry(list, node, slots, 0);
    }
    place->node = NULL;
    return NULL;
}

static const struct mem_entry *enter_backward(const struct lsm_skiplist *list, const struct lsm_skiplist_node *node,
                                              struct lsm_skiplist_place *place) {
    for (; node != NULL; node = node_prev(node)) {
        uint64_t slots = node_slots(node);
        unsigned count = slots_count(slots);
        if (count == 0) continue;
        *place = (struct lsm_skiplist_place){.node = node, .slots = slots, .rank = count - 1};
        return node_entry(list, node, slots, count - 1);
    }
    place->node = NULL;
    return NULL;
}

const struct mem_entry *lsm_skiplist_seek(const struct lsm_skiplist *list, struct lsm_slice key, bool before, struct lsm_skiplist_place *place) {
    const struct lsm_skiplist_root *root = list_root(list);
    struct wanted want = wanted_of(root, key);
    const struct lsm_skiplist_node *node = descend(list, root, &want);
    uint64_t slots = node_slots(node);
    bool equal;
    unsigned rank = node_rank(list, node, slots, &want, &equal);
    if (before && rank == 0) return enter_backward(list, node_prev(node), place);
    if (!before && rank == slots_count(slots)) return enter_forward(list, node_next(node, 0), place);
    if (before) rank--;
    *place = (struct lsm_skiplist_place){.node = node, .slots = slots, .rank = rank};
    return node_entry(list, node, slots, rank);
}

const struct mem_entry *lsm_skiplist_first(const struct lsm_skiplist *list, struct lsm_skiplist_place *place) {
    return enter_forward(list, root_head(list_root(list)), place);
}

static const struct lsm_skiplist_node *last_node(const struct lsm_skiplist *list) {
    const struct lsm_skiplist_node *node = root_head(list_root(list)), *next;
    for (unsigned level = LEVELS; level-- > 0;) {
        while ((next = node_next(node, level)) != NULL) node = next;
    }
    return node;
}

const struct mem_entry *lsm_skiplist_last(const struct lsm_skiplist *list, struct lsm_skiplist_place *place) {
    return enter_backward(list, last_node(list), place);
}

const struct mem_entry *lsm_skiplist_next(const struct lsm_skiplist *list, struct lsm_skiplist_place *place) {
    if (!place->walking) start_walk(list, place, true);
    if (++place->rank < slots_count(place->slots)) return node_entry(list, place->node, place->slots, place->rank);
    const struct mem_entry *entry = enter_forward(list, node_next(place->node, 0), place);
    if (entry == NULL) return NULL;
    place->walking = true;
    prefetch_ahead(list, place, true);
    return entry;
}

const struct mem_entry *lsm_skiplist_prev(const struct lsm_skiplist *list, struct lsm_skiplist_place *place) {
    if (!place->walking) start_walk(list, place, false);
    if (place->rank > 0) {
        place->rank--;
        return node_entry(list, place->node, place->slots, place->rank);
    }
    const struct mem_entry *entry = enter_backward(list, node_prev(place->node), place);
    if (entry == NULL) return NULL;
    place->walking = true;
    prefetch_ahead(list, place, false);
    return entry;
}

/* ---- estimates ------------------------------------------------------------------------------------------------ */

/* For each level the last node that begins by the key; NULL is the end of everything, or with !to_end its start. */
static void trace(const struct lsm_skiplist *list, const struct lsm_skiplist_root *root, const struct wanted *want, bool to_end,
                  const struct lsm_skiplist_node *path[LEVELS]) {
    const struct lsm_skiplist_node *node = root_head(root), *next;
    for (unsigned level = LEVELS; level-- > 0;) {
        if (want != NULL) {
            while ((next = node_step(list, node, level, want)) != NULL) node = next;
        } else if (to_end) {
            while ((next = node_next(node, level)) != NULL) node = next;
        }
        path[level] = node;
    }
}

/* Entries in [low, high) by walking level 0 from node to node. */
static size_t count_exactly(const struct lsm_skiplist *list, const struct lsm_skiplist_node *from, const struct lsm_skiplist_node *to,
                            const struct wanted *low, const struct wanted *high) {
    bool equal;
    uint64_t slots = node_slots(from), slots_to = node_slots(to);
    size_t before = low == NULL ? 0 : node_rank(list, from, slots, low, &equal);
    size_t upto = high == NULL ? slots_count(slots_to) : node_rank(list, to, slots_to, high, &equal);
    size_t count = 0;
    const struct lsm_skiplist_node *node = from;
    for (int steps = 0; node != to && node != NULL && steps < ESTIMATE_STEPS_MAX; steps++) {
        count += slots_count(node_slots(node));
        node = node_next(node, 0);
    }
    count += upto;
    return count > before ? count - before : 0;
}

size_t lsm_skiplist_estimate(const struct lsm_skiplist *list, const struct lsm_slice *low, const struct lsm_slice *high) {
    const struct lsm_skiplist_root *root = list_root(list);
    struct wanted want_low, want_high;
    const struct lsm_skiplist_node *from[LEVELS], *to[LEVELS];
    if (low != NULL && high != NULL && lsm_slice_compare(*low, *high) >= 0) return 0;
    if (low != NULL) want_low = wanted_of(root, *low);
    if (high != NULL) want_high = wanted_of(root, *high);
    size_t keys = atomic_load_explicit(&list->keys, memory_order_relaxed), nodes = atomic_load_explicit(&list->nodes, memory_order_relaxed);
    if (low == NULL && high == NULL) return keys;
    trace(list, root, low == NULL ? NULL : &want_low, false, from);
    trace(list, root, high == NULL ? NULL : &want_high, true, to);
    for (unsigned level = LEVELS; level-- > 1;) {
        size_t steps = 0;
        for (const struct lsm_skiplist_node *node = from[level]; node != to[level] && steps < ESTIMATE_STEPS_MAX; steps++) {
            node = node_next(node, level);
            if (node == NULL) break;
        }
        if (steps < ESTIMATE_STEPS_ENOUGH) continue;
        size_t estimate = (size_t)((double)(steps << (2 * level)) * (double)keys / (double)(nodes == 0 ? 1 : nodes));
        return estimate < keys ? estimate : keys;
    }
    return count_exactly(list, from[0], to[0], low == NULL ? NULL : &want_low, high == NULL ? NULL : &want_high);
}
