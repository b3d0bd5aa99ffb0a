/* skiplist_check.c: the invariants of skiplist_node.h as far as one thread can see them. */
#include "skiplist_node.h"

static struct lsm_slice entry_key(const struct lsm_skiplist *list, uint32_t entry) { return mem_entry_key(mem_entry_at(list->arena, entry)); }

static const char *check_node(const struct lsm_skiplist *list, const struct lsm_skiplist_root *root, const struct lsm_skiplist_node *node) {
    uint64_t slots = node_slots(node);
    unsigned count = slots_count(slots), seen = 0;
    bool outside;
    struct lsm_slice low = node->low_entry == 0 ? lsm_slice_of(NULL, 0) : entry_key(list, node->low_entry);
    if (node->low_entry != 0 && node->low_prefix != key_prefix(root->shared, low, &outside)) return "a low's prefix is not its key's";
    if (node->low_entry == 0 && (node != root_head(root) || node->low_prefix != 0)) return "only the head has no low";
    if (count == 0 && node_next(node, 0) != NULL) return "an empty node in a list that is not empty";
    for (unsigned rank = 0; rank < count; rank++) {
        unsigned slot = slots_at(slots, rank);
        if (slot >= count || (seen & 1u << slot) != 0) return "slots are not a permutation";
        seen |= 1u << slot;
        struct lsm_slice key = entry_key(list, node->entry[slot]);
        if (node->prefix[slot] != key_prefix(root->shared, key, &outside)) return "a prefix is not its key's";
        if (node->low_entry != 0 && lsm_slice_compare(low, key) > 0) return "an entry below the node's low";
        if (rank > 0 && lsm_slice_compare(entry_key(list, node->entry[slots_at(slots, rank - 1)]), key) >= 0) return "entries out of order";
    }
    struct lsm_skiplist_node *next = node_next(node, 0);
    if (next == NULL) return NULL;
    if (atomic_load_explicit(&next->prev, memory_order_relaxed) != node) return "prev is not the node before";
    if (next->low_entry == 0) return "only the head has no low";
    if (lsm_slice_compare(entry_key(list, node->entry[slots_at(slots, count - 1)]), entry_key(list, next->low_entry)) >= 0) {
        return "nodes overlap";
    }
    return NULL;
}

/* Every level must visit exactly the nodes of level 0 that are tall enough. */
static const char *check_level(const struct lsm_skiplist_root *root, unsigned level) {
    const struct lsm_skiplist_node *upper = root_head(root);
    for (const struct lsm_skiplist_node *node = root_head(root); node != NULL; node = node_next(node, 0)) {
        if (node->height <= level) continue;
        if (node != upper) return "a level misses a node or leads to a frozen one";
        upper = node_next(node, level);
        if (upper != NULL && atomic_load_explicit(&node_link(node, level)->prefix, memory_order_relaxed) != upper->low_prefix) {
            return "a link's prefix is not its node's";
        }
        if (upper != NULL && level >= atomic_load_explicit(&root->levels, memory_order_relaxed)) return "a level out of use has a node";
    }
    return upper == NULL ? NULL : "a level goes on behind level 0";
}

const char *lsm_skiplist_check(const struct lsm_skiplist *list) {
    const struct lsm_skiplist_root *root = list_root(list);
    size_t keys = 0, nodes = 0;
    if (root_head(root)->height != LEVELS) return "the head is not of full height";
    if (atomic_load_explicit(&root_head(root)->prev, memory_order_relaxed) != NULL) return "something before the head";
    for (const struct lsm_skiplist_node *node = root_head(root); node != NULL; node = node_next(node, 0)) {
        const char *broken = check_node(list, root, node);
        if (broken != NULL) return broken;
        keys += slots_count(node_slots(node));
        nodes++;
    }
    if (keys != atomic_load_explicit(&list->keys, memory_order_relaxed)) return "the number of keys is wrong";
    if (nodes != atomic_load_explicit(&list->nodes, memory_order_relaxed)) return "the number of nodes is wrong";
    for (unsigned level = 0; level < LEVELS; level++) {
        const char *broken = check_level(root, level);
        if (broken != NULL) return broken;
    }
    return NULL;
}
