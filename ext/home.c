#include "home.h"

#include <string.h>

#include "decide.h"
#include "shadow.h"

/* ---- stores that nobody names ----------------------------------------------------------------------------------- */

static bool settle(struct vt_space *space) {
    char *message = NULL;
    int rc = vt_decide_settle(space, &message);
    sqlite3_free(message);
    return rc == SQLITE_OK;
}

/* A DROP of the last table that waits for the word of the database, which names no table: it is done. A pending transaction of another kind may have
 * been decided by a newer file. */
static bool is_last_drop(struct lsm_store *store) {
    static const uint8_t by_absence[LSM_TOKEN_BYTES];
    uint8_t token[LSM_TOKEN_BYTES];
    return lsm_store_pending(store, token) != LSM_PENDING_NONE && memcmp(token, by_absence, sizeof token) == 0;
}

static bool is_empty(struct lsm_store *store) {
    struct lsm_tree_info *trees = NULL;
    size_t count = 0;
    int status = lsm_store_trees(store, &trees, &count, NULL);
    lsm_free(trees);
    return status == LSM_OK && count == 0;
}

/* Have this store open if it holds nothing, and if the CREATE that died in it, if any, can be ended for good; whatever is wrong with it, there are others. */
static bool open_if_empty(struct vt_space *space, const char *name) {
    uint8_t store_id[LSM_STORE_ID_BYTES];
    char *message = NULL;
    if (!vt_hex_read(name, strlen(name), store_id, sizeof store_id)) return false;
    int rc = vt_space_open(space, store_id, VT_OPEN_CREATE, &message);
    sqlite3_free(message);
    if (rc != SQLITE_OK || (is_last_drop(space->store) && !settle(space))) return false;
    return is_empty(space->store) && settle(space);
}

/* A CREATE that a crash has undone leaves its store behind, and so does the last DROP: it is used again. One with trees is left alone: the database
 * file may be an old copy, put back. Called under the file's write lock, so nobody else is making or taking one. */
static int adopt_store(struct vt_space *space, bool *adopted, char **message) {
    struct vt_place place;
    char **names = NULL;
    size_t count = 0;
    *adopted = false;
    int rc = vt_place_find(space->connection->db, space->schema, &place, message);
    if (rc != SQLITE_OK) return rc;
    char *dir = vt_place_stores(&place);
    if (dir == NULL) rc = SQLITE_NOMEM;
    /* If the directory cannot be read, so be it. */
    struct lsm_env *env = place.environment == NULL ? NULL : place.environment->env;
    if (rc == SQLITE_OK && !place.memory && lsm_dir_list(env, dir, &names, &count, NULL) != LSM_OK) count = 0;
    for (size_t i = 0; i < count && rc == SQLITE_OK && !*adopted; i++) *adopted = open_if_empty(space, names[i]);
    lsm_free(names);
    sqlite3_free(dir);
    vt_place_release(&place);
    return rc;
}

static int make_store(struct vt_space *space, char **message) {
    uint8_t store_id[LSM_STORE_ID_BYTES];
    bool adopted;
    int rc = adopt_store(space, &adopted, message);
    if (rc != SQLITE_OK || adopted) return rc;
    sqlite3_randomness(LSM_STORE_ID_BYTES, store_id);
    return vt_space_open(space, store_id, VT_OPEN_CREATE, message);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int vt_home_open(struct vt_space *space, enum vt_open_mode mode, char **message) {
    if (space->store != NULL && space->bound > 0) return SQLITE_OK;
    if (sqlite3_txn_state(space->connection->db, space->schema) < 0) return vt_fail(message, SQLITE_ERROR, "unknown database %s", space->schema);
    struct vt_shadow_list list;
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    if (rc == SQLITE_OK && list.count > 0) {
        rc = vt_space_open(space, list.entries[0].shadow.store_id, VT_OPEN_EXISTING, message);
    } else if (rc == SQLITE_OK && space->store != NULL) {
        /* A CREATE was rolled back, or the last table was dropped: the store stays in use. */
        vt_shared_garbage_set(space->shared, true);
    } else if (rc == SQLITE_OK && mode == VT_OPEN_CREATE) {
        rc = make_store(space, message);
    }
    vt_shadow_list_release(&list);
    return rc;
}
