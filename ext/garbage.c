#include "garbage.h"

#include <string.h>

#include "connection.h"
#include "shadow.h"

static bool is_named(const struct vt_space *space, struct lsm_tree_info tree, const struct vt_shadow_list *list) {
    for (int i = 0; i < list->count; i++) {
        /* A shadow row of a foreign store, too, protects the tree if it names it: being wrong on this side only costs space. */
        if (list->entries[i].shadow.tree.tree == tree.tree && list->entries[i].shadow.tree.nonce == tree.nonce) return true;
    }
    return vt_txn_made_tree(space, tree);
}

int vt_garbage_collect(struct vt_space *space, char **message) {
    sqlite3 *db = space->connection->db;
    if (!vt_shared_garbage_due(space->shared) || sqlite3_get_autocommit(db) == 0) return SQLITE_OK;
    struct lsm_tree_info *trees = NULL;
    size_t tree_count = 0;
    /* Before looking: what another connection asks for from now on is not lost. */
    vt_shared_garbage_set(space->shared, false);
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_store_trees(space->store, &trees, &tree_count, &err);
    if (status != LSM_OK) {
        vt_shared_garbage_set(space->shared, true);
        return vt_fail_engine(message, status, &err);
    }
    struct vt_shadow_list list = {0};
    int rc = SQLITE_OK;
    int listed = tree_count == 0 ? SQLITE_OK : vt_shadow_list(db, space->schema, &list, message);
    if (vt_error_undoes(listed)) rc = listed;
    /* If it cannot be told: another time. */
    if (listed != SQLITE_OK || list.damaged) goto out;
    bool durable = false;
    for (size_t i = 0; i < tree_count && rc == SQLITE_OK; i++) {
        if (is_named(space, trees[i], &list)) continue;
        /* The DROP that left it may be a commit that a power cut can take back: then the table would be there without its rows. */
        if (!durable && vt_decide_make_durable(space, NULL) != SQLITE_OK) goto out;
        durable = true;
        rc = vt_txn_tree_drop(space, trees[i].tree, message);
    }
    if (rc == SQLITE_OK) space->txn.collected = true;
out:
    if (!space->txn.collected) vt_shared_garbage_set(space->shared, true);
    vt_shadow_list_release(&list);
    lsm_free(trees);
    return rc;
}
