/* order.h: watches a store's operations on the disk and says when something was named before it was durable, or removed too early.
 *
 * - a manifest record is written only when every table it names is synced, and so is its directory entry
 * - CURRENT is replaced only by a synced file, naming a manifest whose data and entry are synced; the next operation syncs the directory
 * - a log file goes only when a durable manifest says that it is not needed; a table only when no durable manifest names it
 * - a log is synced only after all logs before it
 * - at LSM_SYNC_FULL no log has unsynced bytes when a commit returns
 */
#ifndef TEST_ORDER_H
#define TEST_ORDER_H

#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/env/filename.h"
#include "../../lsm_core/version/manifest.h"
#include "../../lsm_core/wal/chain.h"

#include <stdio.h>

enum { ORDER_FILES = 600, ORDER_TABLES = 400 };

struct order_file {
    enum lsm_file_type type;
    uint64_t number;
    bool dirty, unnamed; /* bytes not synced; directory entry not synced */
};

/* What a manifest says of tables and logs. */
struct order_state {
    uint64_t tables[ORDER_TABLES];
    size_t count;
    uint64_t log_generation;
};

struct order {
    struct order_file files[ORDER_FILES];
    size_t count;
    struct order_state durable, written;
    bool paused, renamed;
    char wrong[300];
};

static inline void order_init(struct order *order) { memset(order, 0, sizeof *order); }

#define ORDER_WRONG(order, ...)                                                                                                                      \
    do {                                                                                                                                             \
        if ((order)->wrong[0] == 0) (void)snprintf((order)->wrong, sizeof(order)->wrong, __VA_ARGS__);                                               \
    } while (0)

static inline struct order_file *order_file(struct order *order, const char *path) {
    const char *slash = strrchr(path, '/');
    uint64_t number;
    enum lsm_file_type type = lsm_file_parse(slash == NULL ? path : slash + 1, &number);
    for (size_t i = 0; i < order->count; i++)
        if (order->files[i].type == type && order->files[i].number == number) return &order->files[i];
    if (order->count == ORDER_FILES) order->count = 0; /* forgets: a test this long is not written */
    order->files[order->count] = (struct order_file){.type = type, .number = number};
    return &order->files[order->count++];
}

static inline void order_name(struct order_state *state, uint64_t number, bool named) {
    for (size_t i = 0; i < state->count; i++)
        if (state->tables[i] == number) state->tables[i--] = state->tables[--state->count];
    if (named && state->count < ORDER_TABLES) state->tables[state->count++] = number;
}

static inline void order_apply(struct order_state *state, const struct lsm_edit *edit) {
    if (edit->full) state->count = 0;
    for (size_t i = 0; i < edit->removed_count; i++) order_name(state, edit->removed[i], false);
    for (size_t i = 0; i < edit->added_count; i++) order_name(state, edit->added[i].meta->number, true);
    if (edit->log_generation > state->log_generation) state->log_generation = edit->log_generation;
}

static inline void order_manifest_write(struct order *order, const struct lsm_env_op *op) {
    const uint8_t *bytes = op->bytes;
    size_t skip = op->offset == 0 ? LSM_CHAIN_HEADER_BYTES : 0;
    struct lsm_chain_record record = {0};
    struct lsm_edit edit = {0};
    if (op->size < skip + LSM_CHAIN_RECORD_BYTES) return;
    (void)lsm_chain_record_decode(bytes + skip, 0, &record); /* its length is all that matters */
    struct lsm_slice payload = lsm_slice_of(bytes + skip + LSM_CHAIN_RECORD_BYTES, record.length);
    if (lsm_edit_decode(payload, &edit, NULL) != LSM_OK) {
        ORDER_WRONG(order, "%s: a record that does not decode", op->path);
        return;
    }
    for (size_t i = 0; i < edit.added_count; i++)
        for (size_t f = 0; f < order->count; f++) {
            const struct order_file *file = &order->files[f];
            if (file->type != LSM_FILE_TABLE || file->number != edit.added[i].meta->number) continue;
            if (file->dirty || file->unnamed)
                ORDER_WRONG(order, "%s names table %llu before it is durable", op->path, (unsigned long long)file->number);
        }
    order_apply(&order->written, &edit);
    lsm_edit_release(&edit);
}

static inline void order_check_rename(struct order *order, const struct lsm_env_op *op) {
    const struct order_file *temp = order_file(order, op->path);
    if (temp->dirty) ORDER_WRONG(order, "CURRENT replaced by %s, which is not synced", op->path);
    for (size_t f = 0; f < order->count; f++) {
        const struct order_file *file = &order->files[f];
        if (file->type == LSM_FILE_MANIFEST && (file->dirty || file->unnamed))
            ORDER_WRONG(order, "CURRENT replaced before manifest %llu is durable", (unsigned long long)file->number);
    }
    order->renamed = true;
}

static inline void order_check_unlink(struct order *order, const struct order_file *file) {
    if (file->type == LSM_FILE_WAL && file->number >= order->durable.log_generation)
        ORDER_WRONG(order, "log %llu removed, but the durable manifest needs logs from %llu on", (unsigned long long)file->number,
                    (unsigned long long)order->durable.log_generation);
    for (size_t i = 0; file->type == LSM_FILE_TABLE && i < order->durable.count; i++)
        if (order->durable.tables[i] == file->number)
            ORDER_WRONG(order, "table %llu removed, but the durable manifest names it", (unsigned long long)file->number);
}

static inline void order_check_log_sync(struct order *order, const struct order_file *synced) {
    for (size_t f = 0; f < order->count; f++) {
        const struct order_file *file = &order->files[f];
        if (file->type != LSM_FILE_WAL || file->number >= synced->number || file->number < order->durable.log_generation) continue;
        if (file->dirty || file->unnamed)
            ORDER_WRONG(order, "log %llu synced before log %llu", (unsigned long long)synced->number, (unsigned long long)file->number);
    }
}

static inline void order_see(struct order *order, const struct lsm_env_op *op) {
    if (op->status != LSM_OK) return;
    if (order->renamed && op->kind != LSM_ENV_SYNC_DIR) ORDER_WRONG(order, "CURRENT replaced, and the directory not synced before %s", op->path);
    struct order_file *file = op->kind == LSM_ENV_SYNC_DIR || op->kind == LSM_ENV_MKDIR ? NULL : order_file(order, op->path);
    switch (op->kind) {
    case LSM_ENV_CREATE: file->unnamed = true; break;
    case LSM_ENV_WRITE:
        file->dirty = true;
        if (file->type == LSM_FILE_MANIFEST) order_manifest_write(order, op);
        break;
    case LSM_ENV_TRUNCATE: break;
    case LSM_ENV_ALLOCATE: file->dirty = true; break;
    case LSM_ENV_SYNC:
        if (file->type == LSM_FILE_WAL && !order->paused) order_check_log_sync(order, file);
        if (file->type == LSM_FILE_MANIFEST && !file->unnamed) order->durable = order->written;
        file->dirty = false;
        break;
    case LSM_ENV_RENAME: order_check_rename(order, op); break;
    case LSM_ENV_UNLINK:
        if (!order->paused) order_check_unlink(order, file);
        *file = (struct order_file){.type = LSM_FILE_OTHER};
        break;
    case LSM_ENV_SYNC_DIR:
        for (size_t f = 0; f < order->count; f++) order->files[f].unnamed = false;
        if (order->renamed) order->durable = order->written; /* a new manifest counts when CURRENT names it */
        order->renamed = false;
        break;
    case LSM_ENV_MKDIR:
    case LSM_ENV_RMDIR:
    case LSM_ENV_OPEN:
    case LSM_ENV_READ:
    case LSM_ENV_LIST:
    case LSM_ENV_LOCK:
    case LSM_ENV_MAP:
    case LSM_ENV_SLEEP: break;
    }
}

static inline void order_committed(struct order *order) {
    for (size_t f = 0; f < order->count; f++) {
        const struct order_file *file = &order->files[f];
        if (file->type != LSM_FILE_WAL || file->number < order->durable.log_generation) continue;
        if (file->dirty || file->unnamed) ORDER_WRONG(order, "a commit at FULL returned with log %llu not synced", (unsigned long long)file->number);
    }
}

/* While a store is opened, leftovers are removed that this does not judge. */
static inline void order_pause(struct order *order) {
    order->paused = true;
    order->renamed = false;
    order->count = 0;
}

static inline int order_replay(void *arg, struct lsm_edit *edit, struct lsm_error *err) {
    struct order *order = arg;
    (void)err;
    order_apply(&order->written, edit);
    return LSM_OK;
}

/* The store is open: all that it found is durable, and its manifest says what is named. */
static inline void order_resume(struct order *order, struct lsm_env *env, const char *dir) {
    struct lsm_manifest_found found;
    struct lsm_error err = {0};
    order->paused = false;
    order->renamed = false;
    order->count = 0;
    order->written = (struct order_state){0};
    if (lsm_manifest_replay(env, dir, NULL, order_replay, order, &found, &err) != LSM_OK) ORDER_WRONG(order, "%.200s", err.text);
    order->durable = order->written;
}

#endif
