#include "world.h"

#include <stdio.h>
#include <string.h>

#include "../../lsm_core/base/base.h"

static const uint8_t world_id[LSM_STORE_ID_BYTES] = "world-test-store";
static char reason[900];

void world_init(struct world *world, struct lsm_env *env, uint64_t seed) {
    memset(world, 0, sizeof *world);
    world->env = env;
    world->random.state = seed;
    lsm_options_init(&world->options);
    world->options.env = env;
    world->options.dir = "db-lsm/store";
    world->options.store_id = world_id;
    world->options.create = true;
    world->options.write_buffer_bytes = 65536;
    world->options.cache_bytes = 1 << 20;
    world->options.file_bytes = 65536;
    world->options.block_bytes = 1024;
    world->options.threads = 0;
    world->commits = world->durable = world->normal = 1;
}

int world_open(struct world *world) {
    int status = lsm_store_open(&world->options, &world->store, &world->err);
    if (status == LSM_OK) world->durable = world->normal = world->commits;
    return status;
}

int world_close(struct world *world) {
    int status = lsm_store_close(world->store, &world->err);
    world->store = NULL;
    if (status == LSM_OK && world->durable < world->normal) world->durable = world->normal;
    return status;
}

/* ---- transactions ---------------------------------------------------------------------------------------------------- */

int world_begin(struct world *world) {
    world->next = world->history[world->commits - 1];
    return lsm_txn_begin(world->store, UINT64_MAX, 0, &world->txn, &world->err);
}

int world_put_bytes(struct world *world, int slot, unsigned key, uint32_t value) {
    uint8_t buffer[MODEL_VALUE_BYTES_MAX]; /* not static: a crash may be tried out while the engine reads it */
    int status = lsm_txn_put(world->txn, world->next.trees[slot].tree, model_key(key), model_value(value, buffer), &world->err);
    if (status == LSM_OK) world->next.rows[slot].values[key] = value;
    return status;
}

int world_put(struct world *world, int slot, unsigned key) { return world_put_bytes(world, slot, key, ++world->next_value); }

int world_delete(struct world *world, int slot, unsigned key) {
    int status = lsm_txn_delete(world->txn, world->next.trees[slot].tree, model_key(key), &world->err);
    if (status == LSM_OK) world->next.rows[slot].values[key] = 0;
    return status;
}

int world_delete_range(struct world *world, int slot, unsigned low, unsigned high) {
    int status = lsm_txn_delete_range(world->txn, world->next.trees[slot].tree, model_key(low), model_key(high), &world->err);
    for (unsigned key = low; status == LSM_OK && key < high; key++) world->next.rows[slot].values[key] = 0;
    return status;
}

int world_create(struct world *world, int slot) {
    struct lsm_tree_info tree;
    int status = lsm_txn_tree_create(world->txn, &tree, &world->err);
    if (status != LSM_OK) return status;
    world->next.trees[slot] = tree;
    memset(&world->next.rows[slot], 0, sizeof world->next.rows[slot]);
    return LSM_OK;
}

int world_drop(struct world *world, int slot) {
    int status = lsm_txn_tree_drop(world->txn, world->next.trees[slot].tree, &world->err);
    if (status != LSM_OK) return status;
    memset(&world->next.trees[slot], 0, sizeof world->next.trees[slot]);
    memset(&world->next.rows[slot], 0, sizeof world->next.rows[slot]);
    return LSM_OK;
}

int world_prepare(struct world *world, enum lsm_sync sync) {
    if (world->extras_count < WORLD_EXTRAS) world->extras[world->extras_count++] = world->next;
    return lsm_txn_prepare(world->txn, sync, LSM_DECIDES_ITSELF, NULL, &world->err);
}

int world_commit(struct world *world, enum lsm_sync sync) {
    int status = world_prepare(world, sync);
    if (status != LSM_OK) {
        struct lsm_error why = world->err;
        (void)world_rollback(world); /* it cannot be told whether what failed is in the file: it stays among the extras */
        world->extras[0] = world->next;
        world->extras_count = 1;
        world->err = why;
        return status;
    }
    bool dirty = lsm_txn_is_dirty(world->txn);
    world->extras_count = 0;
    world->history[world->commits++] = world->next;
    if (sync == LSM_SYNC_FULL && dirty) world->durable = world->commits;
    if (sync != LSM_SYNC_OFF && dirty) world->normal = world->commits;
    lsm_txn_commit(world->txn, true);
    world->txn = NULL;
    return LSM_OK;
}

int world_rollback(struct world *world) {
    int status = lsm_txn_rollback(world->txn, &world->err);
    world->txn = NULL;
    if (status == LSM_OK) world->extras_count = 0;
    return status;
}

int world_flush(struct world *world) {
    int status = lsm_store_flush(world->store, NULL, NULL, &world->err);
    if (status == LSM_OK) world->durable = world->commits;
    return status;
}

int world_compact(struct world *world) {
    int status = lsm_store_compact(world->store, NULL, NULL, &world->err);
    if (status == LSM_OK) world->durable = world->commits;
    return status;
}

int world_write(struct world *world, int slot, unsigned rows, enum lsm_sync sync) {
    int status = world_begin(world);
    if (status != LSM_OK) return status;
    while (rows-- > 0 && status == LSM_OK) {
        unsigned key = (unsigned)model_below(&world->random, MODEL_KEYS), kind = (unsigned)model_below(&world->random, 24);
        unsigned high = key + 12 < MODEL_KEYS ? key + 12 : MODEL_KEYS - 1;
        if (kind == 0)
            status = world_delete_range(world, slot, key, high);
        else if (kind < 4)
            status = world_delete(world, slot, key);
        else
            status = world_put(world, slot, key);
    }
    if (status == LSM_OK) return world_commit(world, sync);
    struct lsm_error why = world->err;
    (void)world_rollback(world);
    world->err = why;
    return status;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

/* The trees and rows of the store in the order of their ids; NULL, or what is wrong. */
static const char *read_store(struct lsm_store *store, struct world_state *found, size_t *count) {
    struct lsm_error err = {0};
    struct lsm_tree_info *trees = NULL;
    struct lsm_view *view = NULL;
    const char *wrong = NULL;
    memset(found, 0, sizeof *found);
    if (lsm_store_trees(store, &trees, count, &err) != LSM_OK || lsm_view_open(store, NULL, &view, &err) != LSM_OK) {
        (void)snprintf(reason, sizeof reason, "no view: %s", err.text);
        wrong = reason;
    }
    if (wrong == NULL && *count > WORLD_TREES) wrong = "more trees than there ever were";
    for (size_t i = 0; wrong == NULL && i < *count; i++) {
        found->trees[i] = trees[i];
        wrong = model_read(&found->rows[i], view, trees[i].tree);
    }
    lsm_view_close(view);
    lsm_free(trees);
    return wrong;
}

static bool is_state(const struct world_state *want, const struct world_state *found, size_t count) {
    size_t trees = 0;
    for (size_t slot = 0; slot < WORLD_TREES; slot++) {
        if (want->trees[slot].tree == 0) continue;
        size_t at = 0;
        while (at < count && (found->trees[at].tree != want->trees[slot].tree || found->trees[at].nonce != want->trees[slot].nonce)) at++;
        if (at == count || memcmp(&found->rows[at], &want->rows[slot], sizeof want->rows[slot]) != 0) return false;
        trees++;
    }
    return trees == count;
}

/* How the found state differs from a wanted one, for the message. */
static void describe(const struct world_state *want, const struct world_state *found, size_t count, char *text, size_t size) {
    int used = snprintf(text, size, "%zu trees", count);
    for (size_t slot = 0; slot < WORLD_TREES; slot++) {
        if (want->trees[slot].tree == 0) continue;
        size_t at = 0;
        while (at < count && found->trees[at].tree != want->trees[slot].tree) at++;
        if (at == count) used += snprintf(text + used, size - (size_t)used, "; tree %u missing", (unsigned)want->trees[slot].tree);
        for (unsigned key = 0; at < count && key < MODEL_KEYS && (size_t)used + 60 < size; key++)
            if (found->rows[at].values[key] != want->rows[slot].values[key])
                used += snprintf(text + used, size - (size_t)used, "; %u/%u: %u not %u", (unsigned)want->trees[slot].tree, key,
                                 (unsigned)found->rows[at].values[key], (unsigned)want->rows[slot].values[key]);
        if ((size_t)used + 60 >= size) return;
    }
}

const char *world_find(const struct world *world, struct lsm_store *store, size_t low, size_t *index) {
    struct world_state found;
    size_t count = 0;
    const char *wrong = read_store(store, &found, &count);
    if (wrong != NULL) return wrong;
    for (size_t i = world->extras_count; i-- > 0;)
        if (is_state(&world->extras[i], &found, count)) {
            *index = world->commits + i;
            return NULL;
        }
    for (size_t i = world->commits; i-- > 0;) {
        if (!is_state(&world->history[i], &found, count)) continue;
        *index = i;
        if (i + 1 >= low) return NULL;
        (void)snprintf(reason, sizeof reason, "the state after commit %zu, but %zu of %zu were durable", i + 1, low, world->commits);
        return reason;
    }
    char how[600];
    describe(&world->history[world->commits - 1], &found, count, how, sizeof how);
    (void)snprintf(reason, sizeof reason, "a state that never was (commits %zu, durable %zu): against the last: %s", world->commits, low, how);
    return reason;
}

void world_rewind(struct world *world, size_t found) {
    if (found >= world->commits) {
        world->history[world->commits] = world->extras[found - world->commits];
        found = world->commits;
    }
    world->commits = found + 1;
    world->durable = world->normal = world->commits;
    world->extras_count = 0;
}

static void first_finding(void *arg, const char *text) {
    char *keep = arg;
    if (keep[0] == 0) (void)snprintf(keep, sizeof reason, "check: %s", text);
}

const char *world_check(struct lsm_store *store) {
    struct lsm_error err = {0};
    uint64_t problems = 0;
    reason[0] = 0;
    int status = lsm_store_check(store, first_finding, reason, NULL, NULL, &problems, &err);
    if (status != LSM_OK) (void)snprintf(reason, sizeof reason, "check failed: %s", err.text);
    return status == LSM_OK && problems == 0 ? NULL : reason;
}

const char *world_differs(const struct world *world, struct lsm_store *store) {
    size_t found = 0;
    const char *wrong = world_find(world, store, world->commits, &found);
    if (wrong == NULL && found >= world->commits) wrong = "a transaction that was not committed";
    return wrong == NULL ? world_check(store) : wrong;
}
