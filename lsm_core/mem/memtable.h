/* memtable.h: the rows of one tree written in one generation, in memory, ordered, with their history.
 *
 * One inserter at a time (the store's writer); any number of readers at the same time, without locks. A key holds a chain of
 * versions, newest first; each carries its sequence, a position of the log: a reader at position P sees the newest version with
 * sequence < P. Uncommitted versions have sequences at or above every published position, so nobody but their own transaction
 * sees them; undoing them takes them off the chain. Memory is never reused before the whole memtable goes, so a reader may
 * stand on anything.
 *
 * Publication: a reader that learned of position P through an acquire load (or a lock) sees every version below P whole.
 */
#ifndef LSM_MEM_MEMTABLE_H
#define LSM_MEM_MEMTABLE_H

#include "../iter/iter.h"
#include "skiplist.h"

struct lsm_memtable;

/* An empty memtable. shared: bytes that most keys are expected to begin with (at least the tree id); only a hint for the key-prefix
 * column, any key is allowed. NULL: out of memory. */
struct lsm_memtable *lsm_memtable_new(struct lsm_slice shared);
void lsm_memtable_free(struct lsm_memtable *mt);

/* Writer only. sequence is greater than every one given before, except those undone. LSM_NOMEM and LSM_TOOBIG
 * (key or value over its limit in lsm.h) leave the table as it was. key is a full key; key and value are copied. */
int lsm_memtable_put(struct lsm_memtable *mt, enum lsm_kind kind, struct lsm_slice key, struct lsm_slice value, uint64_t sequence) LSM_MUST_CHECK;
/* Writer only. Take off the key's chain every version with sequence >= from. Unknown keys are no error. */
void lsm_memtable_undo(struct lsm_memtable *mt, struct lsm_slice key, uint64_t from);
/* Writer only. Everything in [low, high) older than sequence is deleted, here and in older sources. */
int lsm_memtable_delete_range(struct lsm_memtable *mt, struct lsm_slice low, struct lsm_slice high, uint64_t sequence) LSM_MUST_CHECK;
/* Writer only. Forget range deletes with sequence >= from. */
void lsm_memtable_undo_ranges(struct lsm_memtable *mt, uint64_t from);

/* What a point lookup found; the value lives as long as the memtable. */
struct lsm_mem_hit {
    enum lsm_kind kind;
    uint64_t sequence;
    struct lsm_slice value;
};
/* The newest version of key below position, range deletes NOT considered. False if there is none. */
bool lsm_memtable_get(const struct lsm_memtable *mt, struct lsm_slice key, uint64_t position, struct lsm_mem_hit *hit);
/* Writer only. The same; a put or undo of this key that follows does not search again. */
bool lsm_memtable_get_writer(struct lsm_memtable *mt, struct lsm_slice key, uint64_t position, struct lsm_mem_hit *hit);

/* Range deletes visible below a position, newest first; NULL at the end. Slices live as long as the memtable. */
struct lsm_mem_range {
    const struct lsm_mem_range *older; /* private: use lsm_memtable_range_next() */
    struct lsm_slice low, high;
    uint64_t sequence;
};
const struct lsm_mem_range *lsm_memtable_ranges(const struct lsm_memtable *mt, uint64_t position);
const struct lsm_mem_range *lsm_memtable_range_next(const struct lsm_mem_range *range);

/* Any thread; exact for the writer, near enough for others. */
size_t lsm_memtable_bytes(const struct lsm_memtable *mt); /* all memory it holds */
size_t lsm_memtable_keys(const struct lsm_memtable *mt);  /* distinct keys, undone ones included */
/* About how many keys are in [low, high); NULL bounds are open. Cheap: walks upper levels only. */
size_t lsm_memtable_estimate(const struct lsm_memtable *mt, const struct lsm_slice *low, const struct lsm_slice *high);
/* Longest prefix shared by all keys now in it (empty table: empty), a hint for the next generation's memtable. Writer only. */
struct lsm_slice lsm_memtable_shared(const struct lsm_memtable *mt);
/* Writer only, for tests: walks everything; NULL if all is well, or what is broken. */
const char *lsm_memtable_check(const struct lsm_memtable *mt);

/* Entries visible below a position, one per key, tombstones included, range deletes NOT applied. */
struct lsm_memtable_iter {
    struct lsm_iter base;
    const struct lsm_memtable *mt;
    uint64_t position;
    uint64_t sequence;               /* of the current entry */
    struct lsm_skiplist_place place; /* private */
};
/* No memory is taken; releasing is a no-op. The memtable must outlive it. */
void lsm_memtable_iter_init(struct lsm_memtable_iter *iter, const struct lsm_memtable *mt, uint64_t position);

#endif
