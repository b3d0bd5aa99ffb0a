/* skiplist_node.h: the nodes of the index and how they are searched; shared by skiplist.c (inserter) and skiplist_read.c. Private to mem/.
 *
 *      link[height-1] ... link[1] link[0] | low, prev, slots, prefix[15], entry[15]
 *                                         ^ a pointer to a node points here
 *
 * A node covers the keys from its `low` (its first key at birth; the first node's low is "before everything") to the low of the node
 * behind it. Its links lie in front of it, so that the one a search reads next shares a cache line with the low it has just checked.
 *
 * Invariants, for as long as the arena lives
 *  1. low, height: never change. link[i] leads to nodes of height > i only, in ascending order of low; link[0] chains all live nodes.
 *  2. slots is the node's order: number of entries in the low 4 bits, then 4 bits of slot number per rank. Slots are filled in order
 *     0, 1, 2 ..., each once, before the release store of `slots` that shows it. So what an acquire load of `slots` shows is still.
 *  3. An entry never leaves a node. When a full node must give way, it is copied into two new ones that take its place in the links and in its
 *     neighbours' prev; from then on nobody writes to it ("frozen"): not its slots, not its links, not its prev.
 *  4. So a node that was live at some moment since a reader began has every entry the reader must see within the node's range,
 *     and next to it, behind link[0] and prev, nodes of which the same is true: live ones if it is live, and otherwise the ones
 *     that were live when it froze, which was after the reader began. By induction readers may stand on frozen nodes and walk on from them.
 *  5. A link's prefix is stored before the link's node (release), and its node is loaded (acquire) before its prefix: the prefix is
 *     never older than the node. In one link both only ever go down (nodes come in between; a copy has its original's low). So if the
 *     prefix read is greater than the wanted one, every node that the reader must see here lies beyond; if not, the
 *     node's own low decides.
 *  6. A rebuild makes new nodes with other prefixes for the same entries and freezes the whole old list; readers that stand on it go on there (4).
 *     A prefix is only compared with prefixes of the same root.
 */
#ifndef LSM_MEM_SKIPLIST_NODE_H
#define LSM_MEM_SKIPLIST_NODE_H

#include "skiplist.h"

#define SLOTS  LSM_SKIPLIST_SLOTS
#define LEVELS LSM_SKIPLIST_LEVELS

struct lsm_skiplist_link {
    uint64_t _Atomic prefix; /* of the node's low; nothing if there is no node */
    struct lsm_skiplist_node *_Atomic node;
};

struct lsm_skiplist_node {
    uint64_t low_prefix;
    uint32_t low_entry; /* 0: before every key */
    uint32_t height;
    struct lsm_skiplist_node *_Atomic prev;
    uint64_t _Atomic slots;
    uint64_t prefix[SLOTS];
    uint32_t entry[SLOTS];
};

/* One belief about the shared bytes and the list built on it. */
struct lsm_skiplist_root {
    struct lsm_slice shared;
    struct lsm_skiplist_node *_Atomic head; /* of full height; covers what comes before every other node */
    unsigned _Atomic levels;                /* levels in use; one too low is only slow */
};

static inline const struct lsm_skiplist_link *node_link(const struct lsm_skiplist_node *node, unsigned level) {
    return (const struct lsm_skiplist_link *)(const void *)node - 1 - level;
}

static inline struct lsm_skiplist_link *node_link_mut(struct lsm_skiplist_node *node, unsigned level) {
    return (struct lsm_skiplist_link *)(void *)node - 1 - level;
}

static inline struct lsm_skiplist_node *node_next(const struct lsm_skiplist_node *node, unsigned level) {
    return atomic_load_explicit(&node_link(node, level)->node, memory_order_acquire);
}

static inline uint64_t node_slots(const struct lsm_skiplist_node *node) { return atomic_load_explicit(&node->slots, memory_order_acquire); }
static inline unsigned slots_count(uint64_t slots) { return (unsigned)(slots & 15); }
static inline unsigned slots_at(uint64_t slots, unsigned rank) { return (unsigned)(slots >> (4 * (rank + 1)) & 15); }

static inline const struct mem_entry *node_entry(const struct lsm_skiplist *list, const struct lsm_skiplist_node *node, uint64_t slots,
                                                 unsigned rank) {
    return mem_entry_at(list->arena, node->entry[slots_at(slots, rank)]);
}

static inline struct lsm_skiplist_root *list_root(const struct lsm_skiplist *list) { return atomic_load_explicit(&list->root, memory_order_acquire); }

static inline struct lsm_skiplist_node *root_head(const struct lsm_skiplist_root *root) {
    return atomic_load_explicit(&root->head, memory_order_acquire);
}

/* The 8 bytes behind the shared ones as a number, padded with zeros; keys that do not begin with the shared bytes go to the end
 * they belong to, 0 or UINT64_MAX. Never decreases from a key to a greater one, so unequal prefixes decide and equal ones say nothing. */
static inline uint64_t key_prefix(struct lsm_slice shared, struct lsm_slice key, bool *outside) {
    size_t common = key.size < shared.size ? key.size : shared.size;
    int order = common == 0 ? 0 : memcmp(key.data, shared.data, common);
    *outside = order != 0 || key.size < shared.size;
    if (*outside) return order > 0 ? UINT64_MAX : 0;
    size_t left = key.size - shared.size;
    uint64_t v = 0;
    if (left >= sizeof v) {
        memcpy(&v, key.data + shared.size, sizeof v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        v = __builtin_bswap64(v);
#endif
        return v;
    }
    for (size_t i = 0; i < left; i++) v |= (uint64_t)key.data[shared.size + i] << (56 - 8 * i);
    return v;
}

/* A key on its way through the list of one root. */
struct wanted {
    struct lsm_slice key;
    uint64_t prefix;
    bool outside;
};

static inline struct wanted wanted_of(const struct lsm_skiplist_root *root, struct lsm_slice key) {
    struct wanted want = {.key = key, .prefix = 0, .outside = false};
    want.prefix = key_prefix(root->shared, key, &want.outside);
    return want;
}

/* True if the node begins at or before the wanted key. */
static inline bool node_begins_by(const struct lsm_skiplist *list, const struct lsm_skiplist_node *node, const struct wanted *want) {
    if (node->low_prefix != want->prefix) return node->low_prefix < want->prefix;
    if (node->low_entry == 0) return true;
    return lsm_slice_compare(mem_entry_key(mem_entry_at(list->arena, node->low_entry)), want->key) <= 0;
}

/* The node behind this one on the level if it begins at or before the wanted key, or NULL (invariant 5). */
static inline struct lsm_skiplist_node *node_step(const struct lsm_skiplist *list, const struct lsm_skiplist_node *node, unsigned level,
                                                  const struct wanted *want) {
    const struct lsm_skiplist_link *link = node_link(node, level);
    struct lsm_skiplist_node *next = atomic_load_explicit(&link->node, memory_order_acquire);
    if (next == NULL || atomic_load_explicit(&link->prefix, memory_order_relaxed) > want->prefix) return NULL;
    return node_begins_by(list, next, want) ? next : NULL;
}

/* Rank of the first of the node's entries that is not before the wanted key; *equal if it is that key's. */
static inline unsigned node_rank(const struct lsm_skiplist *list, const struct lsm_skiplist_node *node, uint64_t slots, const struct wanted *want,
                                 bool *equal) {
    unsigned count = slots_count(slots), rank = 0, ties = 0;
    /* Which slots are smaller does not depend on their order, so no order is looked up until it is needed. */
    for (unsigned i = 0; i < count; i++) {
        rank += node->prefix[i] < want->prefix;
        ties += node->prefix[i] == want->prefix;
    }
    *equal = false;
    for (unsigned end = rank + ties; rank < end;) {
        unsigned middle = (rank + end) / 2;
        int order = lsm_slice_compare(mem_entry_key(node_entry(list, node, slots, middle)), want->key);
        if (order == 0) {
            *equal = true;
            return middle;
        }
        if (order < 0)
            rank = middle + 1;
        else
            end = middle;
    }
    return rank;
}

#endif
