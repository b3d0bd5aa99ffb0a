/* gen.h: a generation in memory: one memtable per tree, filled from one or more consecutive log files.
 *
 * One writer adds trees; readers find them without locks. Shared by reference.
 */
#ifndef LSM_STORE_GEN_H
#define LSM_STORE_GEN_H

#include "../mem/memtable.h"

#include <stdatomic.h>

enum { LSM_GEN_BUCKETS = 64 };

struct lsm_gen_tree {
    uint32_t tree;
    struct lsm_memtable *memtable;
    struct lsm_gen_tree *next;            /* in its bucket; older */
};

struct lsm_gen {
    _Atomic int refs;
    struct lsm_gen_tree *_Atomic buckets[LSM_GEN_BUCKETS];

    /* Writer only until sealed, then immutable. */
    uint64_t first_log, last_log;         /* log files whose records it holds; 0: none yet */
    uint64_t start, end;                  /* log positions [start, end) */
    size_t trees;
    size_t charged;                       /* bytes told to the budget when it was sealed */
    bool has_token;                       /* a transaction in it was decided by the database */
    uint8_t token[LSM_TOKEN_BYTES];       /* the last one's */
    uint64_t unmeasured;                  /* bytes committed since its size was last looked at */
};

struct lsm_gen *lsm_gen_new(uint64_t start); /* NULL: out of memory. One reference. */
void lsm_gen_ref(struct lsm_gen *gen);
void lsm_gen_unref(struct lsm_gen *gen);     /* NULL is allowed */

/* The tree's memtable or NULL. Any thread. */
struct lsm_memtable *lsm_gen_find(const struct lsm_gen *gen, uint32_t tree);
/* The same, made if missing. older: the generation before, for a hint on the keys' shape; may be NULL. Writer only. NULL: out of memory. */
struct lsm_memtable *lsm_gen_open(struct lsm_gen *gen, uint32_t tree, const struct lsm_gen *older);
/* Bytes of all memtables. Any thread. */
size_t lsm_gen_bytes(const struct lsm_gen *gen);
/* All trees, ascending, in a new array of gen->trees entries. Needs: sealed, or the writer. NULL: out of memory. */
struct lsm_gen_tree **lsm_gen_sorted(const struct lsm_gen *gen);

#endif
