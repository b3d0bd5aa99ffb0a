/* Which trees there are: those of the manifest and those of the log behind it. */
#include "store.h"

#include <assert.h>

struct lsm_store_tree *lsm_store_find_tree(struct lsm_store *store, uint32_t tree) {
    size_t low = 0, high = store->trees_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->trees[middle].info.tree < tree)
            low = middle + 1;
        else
            high = middle;
    }
    return low < store->trees_count && store->trees[low].info.tree == tree ? &store->trees[low] : NULL;
}

int lsm_store_reserve_trees(struct lsm_store *store, size_t more) {
    lsm_mutex_lock(&store->mu);
    size_t capacity = store->trees_capacity, wanted = store->trees_count + more;
    lsm_mutex_unlock(&store->mu);
    if (wanted <= capacity) return LSM_OK;
    /* Only the writer adds, so nobody else grows the array meanwhile. */
    capacity = capacity == 0 ? 8 : capacity * 2;
    if (capacity < wanted) capacity = wanted;
    struct lsm_store_tree *trees = lsm_calloc(capacity, sizeof *trees), *old;
    if (trees == NULL) return LSM_NOMEM;
    lsm_mutex_lock(&store->mu);
    old = store->trees;
    if (store->trees_count != 0) memcpy(trees, old, store->trees_count * sizeof *trees);
    store->trees = trees;
    store->trees_capacity = capacity;
    lsm_mutex_unlock(&store->mu);
    lsm_free(old);
    return LSM_OK;
}

void lsm_store_add_tree(struct lsm_store *store, const struct lsm_store_tree *tree) {
    assert(store->trees_count < store->trees_capacity);
    size_t at = store->trees_count++;
    for (; at > 0 && store->trees[at - 1].info.tree > tree->info.tree; at--) store->trees[at] = store->trees[at - 1];
    store->trees[at] = *tree;
}

void lsm_store_flushed_trees(struct lsm_store *store, uint64_t position) {
    size_t kept = 0;
    for (size_t i = 0; i < store->trees_count; i++) {
        struct lsm_store_tree tree = store->trees[i];
        if (tree.created_at <= position) tree.in_manifest = true;
        if (tree.dropped_at > position)
            store->trees[kept++] = tree;
        else
            store->drop_wanted = true; /* files that came with this flush may be its: of a large transaction, perhaps many */
    }
    store->trees_count = kept;
}

int lsm_store_trees(struct lsm_store *store, struct lsm_tree_info **trees, size_t *count, struct lsm_error *err) {
    *trees = NULL;
    *count = 0;
    int status = lsm_store_guard(store, err);
    if (status == LSM_OK) status = lsm_follow_if_behind(store, err);
    if (status != LSM_OK) return status;
    size_t room = 0;
    lsm_mutex_lock(&store->mu);
    while (*trees == NULL || room < store->trees_count) { /* LCOV_EXCL_BR_LINE: another thread makes a tree meanwhile */
        room = store->trees_count;
        lsm_mutex_unlock(&store->mu);
        lsm_free(*trees);
        *trees = lsm_calloc(room, sizeof **trees);
        if (*trees == NULL) return lsm_fail_nomem(err, room * sizeof **trees);
        lsm_mutex_lock(&store->mu);
    }
    for (size_t i = 0; i < store->trees_count; i++)
        if (store->trees[i].dropped_at == UINT64_MAX) (*trees)[(*count)++] = store->trees[i].info;
    lsm_mutex_unlock(&store->mu);
    return LSM_OK;
}

int lsm_store_tree_check(struct lsm_store *store, struct lsm_tree_info tree) {
    int status = lsm_store_guard(store, NULL);
    if (status == LSM_OK) status = lsm_follow_if_behind(store, NULL);
    if (status != LSM_OK) return status;
    lsm_mutex_lock(&store->mu);
    const struct lsm_store_tree *found = lsm_store_find_tree(store, tree.tree);
    if (found == NULL || found->dropped_at != UINT64_MAX)
        status = LSM_NOTFOUND;
    else if (found->info.nonce != tree.nonce)
        status = LSM_MISMATCH;
    lsm_mutex_unlock(&store->mu);
    return status;
}
