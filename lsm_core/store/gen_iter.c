/* The rows of a generation's memtables, in the order of full keys. */
#include "gen.h"

/* Copy the place in tree `at`, or go on to the next tree that has something. */
static void show(struct lsm_gen_iter *iter) {
    for (;;) {
        while (!iter->table.base.valid && ++iter->at < iter->count) {
            lsm_memtable_iter_init(&iter->table, iter->trees[iter->at]->memtable, iter->to);
            lsm_iter_first(&iter->table.base);
        }
        if (!iter->table.base.valid || iter->table.sequence >= iter->from) break;
        lsm_iter_next(&iter->table.base);
    }
    iter->base.valid = iter->table.base.valid;
    iter->base.kind = iter->table.base.kind;
    iter->base.key = iter->table.base.key;
    iter->base.value = iter->table.base.value;
    iter->sequence = iter->table.sequence;
}

static void gen_first(struct lsm_iter *base) {
    struct lsm_gen_iter *iter = (struct lsm_gen_iter *)base;
    iter->at = SIZE_MAX;
    iter->table.base.valid = false;
    show(iter);
}

static void gen_next(struct lsm_iter *base) {
    struct lsm_gen_iter *iter = (struct lsm_gen_iter *)base;
    lsm_iter_next(&iter->table.base);
    show(iter);
}

static void gen_release(struct lsm_iter *base) { lsm_free(((struct lsm_gen_iter *)base)->trees); }

int lsm_gen_iter_init(struct lsm_gen_iter *iter, const struct lsm_gen *gen, uint64_t from, uint64_t to) {
    static const struct lsm_iter_ops ops = {.first = gen_first, .next = gen_next, .release = gen_release};
    struct lsm_gen_tree **trees = lsm_gen_sorted(gen);
    memset(iter, 0, sizeof *iter);
    if (trees == NULL) return LSM_NOMEM;
    iter->base.ops = &ops;
    iter->trees = trees;
    iter->count = gen->trees;
    iter->from = from;
    iter->to = to;
    return LSM_OK;
}

int lsm_gen_add_ranges(const struct lsm_gen *gen, uint64_t from, uint64_t to, uint32_t source, struct lsm_ranges *ranges) {
    for (size_t b = 0; b < LSM_GEN_BUCKETS; b++) {
        const struct lsm_gen_tree *tree = atomic_load_explicit(&gen->buckets[b], memory_order_acquire);
        for (; tree != NULL; tree = tree->next) {
            const struct lsm_mem_range *range = lsm_memtable_ranges(tree->memtable, to);
            for (; range != NULL && range->sequence >= from; range = lsm_memtable_range_next(range)) {
                struct lsm_range item = {.low = range->low, .high = range->high, .source = source, .sequence = range->sequence};
                if (lsm_ranges_add(ranges, item) != LSM_OK) return LSM_NOMEM;
            }
        }
    }
    return LSM_OK;
}
