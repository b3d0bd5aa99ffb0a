/* skiplist.h: the ordered index of a memtable: a skip list whose nodes hold up to 15 entries each.
 *
 * It orders entries (entry.h) by their keys with memcmp, shorter first on a tie, and never loses one again. One thread inserts; any number of
 * threads read at the same time without locks. What a reader is promised: it meets every entry whose insertion it knows
 * of (through an acquire load or a lock) from the moment it positions itself, and perhaps later ones.
 *
 * A key is compared by 8 of its bytes, those behind a prefix that the list believes all keys to share; only ties look at the key
 * itself. Any belief is correct; a bad one is slow, and the list corrects it as it grows.
 */
#ifndef LSM_MEM_SKIPLIST_H
#define LSM_MEM_SKIPLIST_H

#include "entry.h"

#define LSM_SKIPLIST_SLOTS  15
#define LSM_SKIPLIST_LEVELS 12 /* 4^12 nodes */

struct lsm_skiplist_node;
struct lsm_skiplist_root;

struct lsm_skiplist {
    /* Immutable after init. */
    struct lsm_arena *arena;

    /* Atomic: stored by the inserter. */
    _Atomic(struct lsm_skiplist_root *) root;
    _Atomic size_t keys, nodes;

    /* Inserter only: the finger. path[i] is the last node of level i that begins at or before the key last located. */
    struct lsm_skiplist_node *path[LSM_SKIPLIST_LEVELS];
    uint64_t prefix; /* of that key */
    unsigned rank;   /* where it is, or belongs, in path[0] */
    bool outside;    /* it does not begin with the shared bytes */

    /* Inserter only: upkeep. */
    uint64_t random;
    size_t outsiders;  /* keys that do not begin with the shared bytes */
    size_t retry_keys; /* no rebuild below this many keys: the last one found no memory */
};

/* Where a reader stands. Private to it; may be copied. */
struct lsm_skiplist_place {
    const struct lsm_skiplist_node *node; /* NULL: before the first or behind the last */
    uint64_t slots;                       /* the node's order when the reader came to it */
    unsigned rank;
    bool walking; /* it has moved from where it was set: what lies ahead is worth fetching */
};

/* shared: as for lsm_memtable_new(); copied. LSM_OK or LSM_NOMEM. The list has nothing to release but the arena. */
int lsm_skiplist_init(struct lsm_skiplist *list, struct lsm_arena *arena, struct lsm_slice shared) LSM_MUST_CHECK;

/* Inserter only. The key's entry or NULL; the finger stays there. Cheap when near the place last located. */
struct mem_entry *lsm_skiplist_locate(struct lsm_skiplist *list, struct lsm_slice key);
/* Inserter only; right after lsm_skiplist_locate() of this key returned NULL. The entry is complete and becomes visible here.
 * LSM_NOMEM: nothing has changed, the arena may be rewound. */
int lsm_skiplist_insert(struct lsm_skiplist *list, uint32_t entry) LSM_MUST_CHECK;

/* Readers. */
const struct mem_entry *lsm_skiplist_find(const struct lsm_skiplist *list, struct lsm_slice key);
/* These set *place and return its entry, NULL at either end. before: the last entry < key; otherwise the first >= key. */
const struct mem_entry *lsm_skiplist_seek(const struct lsm_skiplist *list, struct lsm_slice key, bool before, struct lsm_skiplist_place *place);
const struct mem_entry *lsm_skiplist_first(const struct lsm_skiplist *list, struct lsm_skiplist_place *place);
const struct mem_entry *lsm_skiplist_last(const struct lsm_skiplist *list, struct lsm_skiplist_place *place);
/* Needs: the place has an entry. */
const struct mem_entry *lsm_skiplist_next(const struct lsm_skiplist *list, struct lsm_skiplist_place *place);
const struct mem_entry *lsm_skiplist_prev(const struct lsm_skiplist *list, struct lsm_skiplist_place *place);

/* About how many entries are in [low, high); NULL is open. Exact for small ranges. */
size_t lsm_skiplist_estimate(const struct lsm_skiplist *list, const struct lsm_slice *low, const struct lsm_slice *high);
/* Inserter only. Longest prefix of all keys; lives as long as the arena. */
struct lsm_slice lsm_skiplist_common(const struct lsm_skiplist *list);

/* Inserter only, for tests: walks everything; NULL if all is well, or the invariant that is broken. */
const char *lsm_skiplist_check(const struct lsm_skiplist *list);

#endif
