/* gen.h: a generation: what lies between the table files of the version and the present, in pieces of growing age.
 *
 * Either one memtable per tree, filled from one or more consecutive log files (one writer adds trees; readers find them without locks), or the
 * table files of one transaction that was larger than memory ("file generation"): runs, newest first, which the next flush hands to the manifest as
 * they are. Shared by reference.
 */
#ifndef LSM_STORE_GEN_H
#define LSM_STORE_GEN_H

#include "../compact/ranges.h"
#include "../mem/memtable.h"
#include "../version/version_set.h"

#include <stdatomic.h>

enum { LSM_GEN_BUCKETS = 64 };

struct lsm_gen_tree {
    uint32_t tree;
    struct lsm_memtable *memtable;
    struct lsm_gen_tree *next; /* in its bucket; older */
};

struct lsm_gen {
    _Atomic int refs;
    struct lsm_gen_tree *_Atomic buckets[LSM_GEN_BUCKETS];

    /* Immutable. */
    struct lsm_version *files;   /* of a file generation: level 0 is its runs, the other levels are empty; else NULL */
    struct lsm_version_set *set; /* where they are found; NULL like files */

    /* Writer only until sealed, then immutable. */
    uint64_t first_log, last_log; /* log files whose records it holds; 0: none yet */
    uint64_t start, end;          /* log positions [start, end) */
    size_t trees;
    size_t charged;                 /* bytes told to the budget when it was sealed */
    bool has_token;                 /* a transaction in it was decided by the database */
    uint8_t token[LSM_TOKEN_BYTES]; /* the last one's */
    uint64_t unmeasured;            /* bytes committed since its size was last looked at */
};

struct lsm_gen *lsm_gen_new(uint64_t start); /* NULL: out of memory. One reference. */
/* A file generation of the files that an edit adds (all at level 0), which ends at a position of the log. LSM_CORRUPT: files of a run overlap. */
int lsm_gen_new_files(struct lsm_version_set *set, const struct lsm_edit *edit, uint64_t position, struct lsm_gen **gen,
                      struct lsm_error *err) LSM_MUST_CHECK;
/* Its files are to go with the last reference, but for those that other file generations have as well: the transaction that made them is rolled
 * back, or has put others in their place. */
void lsm_gen_abandon(struct lsm_gen *gen, struct lsm_gen *const *others, size_t count);
void lsm_gen_ref(struct lsm_gen *gen);
void lsm_gen_unref(struct lsm_gen *gen); /* NULL is allowed */

/* The tree's memtable or NULL. Any thread. */
struct lsm_memtable *lsm_gen_find(const struct lsm_gen *gen, uint32_t tree);
/* The same, made if missing. older: the generation before, for a hint on the keys' shape; may be NULL. Writer only. NULL: out of memory. */
struct lsm_memtable *lsm_gen_open(struct lsm_gen *gen, uint32_t tree, const struct lsm_gen *older);
/* Bytes of all memtables; files take none. Any thread. */
size_t lsm_gen_bytes(const struct lsm_gen *gen);
/* All trees, ascending, in a new array of gen->trees entries. Needs: sealed, or the writer. NULL: out of memory. */
struct lsm_gen_tree **lsm_gen_sorted(const struct lsm_gen *gen);

/* ---- gen_iter.c: the rows of a generation in memory, tree after tree, as the source of a job ---- */

/* Goes forward only: first() and next() are all a job asks for. */
struct lsm_gen_iter {
    struct lsm_iter base;
    struct lsm_gen_tree **trees;
    size_t count, at;
    uint64_t from, to, sequence; /* sequence: of the current entry, from <= sequence < to */
    struct lsm_memtable_iter table;
};
/* Of each key the newest version below `to`, if that is not older than `from`. Needs: sealed, or the writer. LSM_NOMEM leaves nothing to release. */
int lsm_gen_iter_init(struct lsm_gen_iter *iter, const struct lsm_gen *gen, uint64_t from, uint64_t to) LSM_MUST_CHECK;
/* The range deletes of the same interval, as source `source`. Their keys live as long as the generation. */
int lsm_gen_add_ranges(const struct lsm_gen *gen, uint64_t from, uint64_t to, uint32_t source, struct lsm_ranges *ranges) LSM_MUST_CHECK;

#endif
