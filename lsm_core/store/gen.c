#include "gen.h"

#include "../codec/coding.h"
#include "budget.h"

#include <stdlib.h>

struct lsm_gen *lsm_gen_new(uint64_t start) {
    struct lsm_gen *gen = lsm_calloc(1, sizeof *gen);
    if (gen == NULL) return NULL;
    atomic_store_explicit(&gen->refs, 1, memory_order_relaxed);
    gen->start = gen->end = start;
    return gen;
}

int lsm_gen_new_files(struct lsm_version_set *set, const struct lsm_edit *edit, uint64_t position, struct lsm_gen **out, struct lsm_error *err) {
    *out = NULL;
    struct lsm_gen *gen = lsm_gen_new(position);
    if (gen == NULL) return lsm_fail_nomem(err, sizeof *gen);
    int status = lsm_version_set_make(set, edit, &gen->files, err);
    if (status != LSM_OK) {
        lsm_free(gen);
        return status;
    }
    gen->set = set;
    *out = gen;
    return LSM_OK;
}

struct others {
    struct lsm_gen *const *gens;
    size_t count;
};

static bool make_obsolete(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    const struct others *others = arg;
    (void)level;
    (void)run;
    for (size_t i = 0; i < others->count; i++)
        if (lsm_version_find(others->gens[i]->files, meta) != NULL) return true;
    atomic_store_explicit(&meta->obsolete, true, memory_order_release);
    return true;
}

void lsm_gen_abandon(struct lsm_gen *gen, struct lsm_gen *const *others, size_t count) {
    struct others kept = {.gens = others, .count = count};
    lsm_version_each(gen->files, make_obsolete, &kept);
}

void lsm_gen_ref(struct lsm_gen *gen) { (void)atomic_fetch_add_explicit(&gen->refs, 1, memory_order_relaxed); }

void lsm_gen_unref(struct lsm_gen *gen) {
    if (gen == NULL || atomic_fetch_sub_explicit(&gen->refs, 1, memory_order_acq_rel) != 1) return;
    lsm_budget_charge(-(int64_t)gen->charged);
    if (gen->files != NULL) lsm_version_set_unref(gen->set, gen->files);
    for (size_t b = 0; b < LSM_GEN_BUCKETS; b++) {
        struct lsm_gen_tree *node = atomic_load_explicit(&gen->buckets[b], memory_order_relaxed);
        while (node != NULL) {
            struct lsm_gen_tree *next = node->next;
            lsm_memtable_free(node->memtable);
            lsm_free(node);
            node = next;
        }
    }
    lsm_free(gen);
}

struct lsm_memtable *lsm_gen_find(const struct lsm_gen *gen, uint32_t tree) {
    /* Acquire pairs with the release in lsm_gen_open(): the node is whole. */
    const struct lsm_gen_tree *node = atomic_load_explicit(&gen->buckets[tree % LSM_GEN_BUCKETS], memory_order_acquire);
    while (node != NULL && node->tree != tree) node = node->next;
    return node == NULL ? NULL : node->memtable;
}

struct lsm_memtable *lsm_gen_open(struct lsm_gen *gen, uint32_t tree, const struct lsm_gen *older) {
    struct lsm_memtable *found = lsm_gen_find(gen, tree);
    if (found != NULL) return found;
    uint8_t tree_bytes[LSM_TREE_BYTES];
    lsm_store_be32(tree_bytes, tree);
    struct lsm_slice shared = lsm_slice_of(tree_bytes, sizeof tree_bytes);
    const struct lsm_memtable *before = older == NULL ? NULL : lsm_gen_find(older, tree);
    if (before != NULL && lsm_memtable_shared(before).size > shared.size) shared = lsm_memtable_shared(before);
    struct lsm_gen_tree *node = lsm_calloc(1, sizeof *node);
    if (node == NULL) return NULL;
    node->tree = tree;
    node->memtable = lsm_memtable_new(shared);
    if (node->memtable == NULL) {
        lsm_free(node);
        return NULL;
    }
    struct lsm_gen_tree *_Atomic *bucket = &gen->buckets[tree % LSM_GEN_BUCKETS];
    node->next = atomic_load_explicit(bucket, memory_order_relaxed);
    atomic_store_explicit(bucket, node, memory_order_release);
    gen->trees++;
    return node->memtable;
}

size_t lsm_gen_bytes(const struct lsm_gen *gen) {
    size_t bytes = sizeof *gen;
    for (size_t b = 0; b < LSM_GEN_BUCKETS; b++)
        for (const struct lsm_gen_tree *node = atomic_load_explicit(&gen->buckets[b], memory_order_acquire); node != NULL; node = node->next)
            bytes += lsm_memtable_bytes(node->memtable);
    return bytes;
}

static int by_tree(const void *a, const void *b) {
    uint32_t left = (*(struct lsm_gen_tree *const *)a)->tree, right = (*(struct lsm_gen_tree *const *)b)->tree;
    return left < right ? -1 : left > right;
}

struct lsm_gen_tree **lsm_gen_sorted(const struct lsm_gen *gen) {
    struct lsm_gen_tree **list = lsm_calloc(gen->trees, sizeof(struct lsm_gen_tree *));
    if (list == NULL) return NULL;
    size_t count = 0;
    for (size_t b = 0; b < LSM_GEN_BUCKETS; b++)
        for (struct lsm_gen_tree *node = atomic_load_explicit(&gen->buckets[b], memory_order_acquire); node != NULL; node = node->next)
            list[count++] = node;
    qsort(list, count, sizeof(struct lsm_gen_tree *), by_tree);
    return list;
}
