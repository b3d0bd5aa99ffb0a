/* iter.h: what every ordered source of entries looks like from outside: memtable, table file, level, merge.
 *
 * Keys are full keys (tree id first). An iterator is valid (standing on an entry) or not. The fields of a valid iterator may be
 * read without a call; key and value live until the iterator moves or is released. A failure makes it invalid and stays in
 * status and err until the next positioning. Entries may be tombstones. One thread at a time.
 */
#ifndef LSM_ITER_ITER_H
#define LSM_ITER_ITER_H

#include "../base/base.h"

struct lsm_iter;

struct lsm_iter_ops {
    void (*first)(struct lsm_iter *iter);
    void (*last)(struct lsm_iter *iter);
    void (*seek)(struct lsm_iter *iter, struct lsm_slice key);        /* first entry >= key */
    void (*seek_before)(struct lsm_iter *iter, struct lsm_slice key); /* last entry < key */
    void (*next)(struct lsm_iter *iter);                              /* needs: valid */
    void (*prev)(struct lsm_iter *iter);                              /* needs: valid */
    void (*release)(struct lsm_iter *iter);                           /* what the iterator holds; the struct itself belongs to its owner */
};

/* First member of every iterator. */
struct lsm_iter {
    const struct lsm_iter_ops *ops;
    bool valid;
    enum lsm_kind kind;
    struct lsm_slice key, value; /* value is empty for a tombstone */
    int status;                  /* LSM_OK or why it is invalid */
    struct lsm_error err;        /* the words to status */
};

static inline void lsm_iter_first(struct lsm_iter *iter) { iter->ops->first(iter); }
static inline void lsm_iter_last(struct lsm_iter *iter) { iter->ops->last(iter); }
static inline void lsm_iter_seek(struct lsm_iter *iter, struct lsm_slice key) { iter->ops->seek(iter, key); }
static inline void lsm_iter_seek_before(struct lsm_iter *iter, struct lsm_slice key) { iter->ops->seek_before(iter, key); }
static inline void lsm_iter_next(struct lsm_iter *iter) { iter->ops->next(iter); }
static inline void lsm_iter_prev(struct lsm_iter *iter) { iter->ops->prev(iter); }
static inline void lsm_iter_release(struct lsm_iter *iter) {
    if (iter->ops != NULL) iter->ops->release(iter);
}

#endif
