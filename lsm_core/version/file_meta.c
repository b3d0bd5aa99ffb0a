#include "file_meta.h"

#include "../sst/sst.h"

#include <assert.h>

struct lsm_file_meta *lsm_file_meta_new(void) {
    struct lsm_file_meta *meta = lsm_calloc(1, sizeof *meta);
    if (meta != NULL) atomic_init(&meta->refs, 1);
    return meta;
}

void lsm_file_meta_ref(struct lsm_file_meta *meta) {
    int before = atomic_fetch_add_explicit(&meta->refs, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

void lsm_file_meta_unref(struct lsm_file_meta *meta) {
    if (meta == NULL) return;
    /* Release: what this holder did comes before the free; acquire: what all the others did does, too. */
    int before = atomic_fetch_sub_explicit(&meta->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before != 1) return;
    lsm_sst_close(atomic_load_explicit(&meta->sst, memory_order_relaxed));
    lsm_buf_free(&meta->smallest);
    lsm_buf_free(&meta->largest);
    lsm_free(meta);
}

bool lsm_file_meta_overlaps(const struct lsm_file_meta *meta, const struct lsm_slice *low, const struct lsm_slice *high) {
    if (low != NULL) {
        int order = lsm_slice_compare(*low, lsm_buf_slice(&meta->largest));
        if (order > 0 || (order == 0 && meta->largest_exclusive)) return false;
    }
    return high == NULL || lsm_slice_compare(*high, lsm_buf_slice(&meta->smallest)) >= 0;
}

bool lsm_file_meta_precedes(const struct lsm_file_meta *a, const struct lsm_file_meta *b) {
    int order = lsm_slice_compare(lsm_buf_slice(&a->largest), lsm_buf_slice(&b->smallest));
    return order < 0 || (order == 0 && a->largest_exclusive);
}
