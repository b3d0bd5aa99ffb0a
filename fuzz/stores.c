#include "stores.h"

#include "../lsm_core/codec/hash.h"

#define MUST(step) must(step, #step)
static struct lsm_error err;
static void must(int status, const char *step) { FUZZ_CHECK(status == LSM_OK, "%s: %s: %s", step, lsm_status_name(status), err.text); }

struct lsm_options stores_options(struct lsm_env *env) {
    struct lsm_options options;
    lsm_options_init(&options);
    options.env = env;
    options.dir = "s";
    options.store_id = fuzz_store_id;
    options.threads = 0;
    options.block_bytes = 512;
    options.write_buffer_bytes = 65536;
    options.cache_bytes = 1u << 20;
    options.exclusive = true;
    return options;
}

/* ---- making them --------------------------------------------------------------------------------------------------- */

static struct lsm_slice text(const char *characters) { return lsm_slice_of(characters, strlen(characters)); }

static struct lsm_slice numbered(char buffer[32], const char *what, unsigned n) {
    (void)snprintf(buffer, 32, "%s%03u", what, n);
    return text(buffer);
}

static void put_rows(struct lsm_txn *txn, uint32_t tree, unsigned from, unsigned to) {
    char key[32], value[32];
    for (unsigned n = from; n < to; n++) MUST(lsm_txn_put(txn, tree, numbered(key, "key", n), numbered(value, "value of ", n), &err));
}

static struct lsm_txn *begin(struct lsm_store *store) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    return txn;
}

static void commit(struct lsm_txn *txn, enum lsm_sync sync, enum lsm_decider decider) {
    uint8_t token[LSM_TOKEN_BYTES];
    MUST(lsm_txn_prepare(txn, sync, decider, decider == LSM_DECIDES_ITSELF ? NULL : token, &err));
    lsm_txn_commit(txn, true);
}

/* Every kind of record and operation. */
static void write_some(struct lsm_store *store, struct lsm_tree_info trees[3]) {
    struct lsm_txn *txn = begin(store);
    for (int i = 0; i < 3; i++) MUST(lsm_txn_tree_create(txn, &trees[i], &err));
    put_rows(txn, trees[0].tree, 0, 4);
    commit(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF);
    txn = begin(store);
    put_rows(txn, trees[1].tree, 2, 5);
    commit(txn, LSM_SYNC_FULL, LSM_DECIDED_BY_TOKEN);
    txn = begin(store);
    put_rows(txn, trees[2].tree, 0, 2);
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err));
    MUST(lsm_txn_rollback(txn, &err)); /* an ABORT */
    txn = begin(store);
    MUST(lsm_txn_delete(txn, trees[0].tree, text("key001"), &err));
    MUST(lsm_txn_delete_range(txn, trees[1].tree, text("key003"), text("key005"), &err));
    MUST(lsm_txn_tree_drop(txn, trees[2].tree, &err));
    put_rows(txn, trees[0].tree, 9, 11);
    commit(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF);
}

static struct lsm_store *open_new(struct lsm_env *env) {
    struct lsm_options options = stores_options(env);
    struct lsm_store *store = NULL;
    options.create = true;
    MUST(lsm_store_open(&options, &store, &err));
    return store;
}

void stores_make(struct lsm_env *env, bool flushed) {
    struct lsm_store *store = open_new(env);
    struct lsm_tree_info trees[3];
    write_some(store, trees);
    if (flushed) {
        MUST(lsm_store_compact(store, NULL, NULL, &err));
        struct lsm_txn *txn = begin(store);
        put_rows(txn, trees[0].tree, 20, 60);
        put_rows(txn, trees[1].tree, 0, 3);
        MUST(lsm_txn_delete(txn, trees[0].tree, text("key009"), &err));
        MUST(lsm_txn_delete_range(txn, trees[0].tree, text("key000"), text("key002"), &err));
        commit(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF);
        MUST(lsm_store_flush(store, NULL, NULL, &err));
        txn = begin(store);
        put_rows(txn, trees[1].tree, 7, 8);
        commit(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF);
    }
    MUST(lsm_store_close(store, &err));
}

void stores_emit(struct lsm_env *env, const char *ending, fuzz_emit_fn emit, void *arg) {
    struct lsm_names names = {0};
    MUST(lsm_env_list(env, "s", &names, &err));
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.names[i]), bytes_count = 0;
        if (ending != NULL && (size < strlen(ending) || strcmp(names.names[i] + size - strlen(ending), ending) != 0)) continue;
        char path[80];
        uint8_t *bytes = NULL;
        (void)snprintf(path, sizeof path, "s/%s", names.names[i]);
        MUST(lsm_env_mem_read_file(env, path, &bytes, &bytes_count));
        emit(arg, bytes, bytes_count);
        lsm_free(bytes);
    }
    lsm_names_free(&names);
}

/* ---- reading them -------------------------------------------------------------------------------------------------- */

/* What was read: how many rows, and a sum that does not depend on their order. */
struct sum {
    size_t rows;
    uint64_t hash;
};

static void add_row(struct sum *sum, uint32_t tree, struct lsm_slice key, struct lsm_slice value) {
    sum->rows++;
    sum->hash += lsm_hash(value.data, value.size, lsm_hash(key.data, key.size, tree));
}

/* By key what the cursor stands on; false after an error, which is allowed. */
static bool get_agrees(struct lsm_view *view, uint32_t tree, const struct lsm_cursor *cursor) {
    struct lsm_value value = {0};
    int status = lsm_view_get(view, tree, lsm_cursor_key(cursor), &value, &err);
    FUZZ_CHECK(status != LSM_NOTFOUND, "a row of the cursor is not found by its key");
    if (status == LSM_OK) FUZZ_CHECK(lsm_slice_equal(value.bytes, lsm_cursor_value(cursor)), "a row has two values");
    lsm_value_release(&value);
    return status == LSM_OK;
}

static int walk(struct lsm_view *view, uint32_t tree, bool forward, size_t rows_max, struct sum *sum) {
    struct lsm_cursor *cursor = NULL;
    struct lsm_buf before = {0};
    int status = lsm_cursor_open(view, tree, NULL, NULL, &cursor, &err);
    if (status == LSM_OK) status = forward ? lsm_cursor_first(cursor, &err) : lsm_cursor_last(cursor, &err);
    for (size_t n = 0; status == LSM_OK && lsm_cursor_valid(cursor); n++) {
        FUZZ_CHECK(n < rows_max, "more than %zu rows", rows_max);
        struct lsm_slice key = lsm_cursor_key(cursor);
        int order = n == 0 ? 0 : lsm_slice_compare(lsm_buf_slice(&before), key);
        FUZZ_CHECK(n == 0 || (forward ? order < 0 : order > 0), "rows are out of order");
        MUST(lsm_buf_set(&before, key));
        add_row(sum, tree, key, lsm_cursor_value(cursor));
        if (!get_agrees(view, tree, cursor)) status = err.code;
        if (status == LSM_OK) status = forward ? lsm_cursor_next(cursor, &err) : lsm_cursor_prev(cursor, &err);
    }
    lsm_buf_free(&before);
    lsm_cursor_close(cursor);
    return status;
}

static int read_all(struct lsm_store *store, size_t rows_max, struct sum *sum) {
    struct lsm_tree_info *trees = NULL;
    struct lsm_view *view = NULL;
    size_t count = 0;
    *sum = (struct sum){0};
    int status = lsm_store_trees(store, &trees, &count, &err);
    if (status == LSM_OK) status = lsm_view_open(store, NULL, &view, &err);
    for (size_t i = 0; i < count && status == LSM_OK; i++) {
        struct sum forward = {0}, backward = {0};
        status = walk(view, trees[i].tree, true, rows_max, &forward);
        if (status == LSM_OK) status = walk(view, trees[i].tree, false, rows_max, &backward);
        if (status == LSM_OK) FUZZ_CHECK(forward.hash == backward.hash, "forwards %zu rows, backwards %zu", forward.rows, backward.rows);
        sum->rows += forward.rows;
        sum->hash += forward.hash;
    }
    if (view != NULL) lsm_view_close(view);
    lsm_free(trees);
    return status;
}

/* One more row, in the first tree. (A new tree could be one that a hostile log has rows of already.) */
static int write_row(struct lsm_store *store, struct sum *sum) {
    struct lsm_tree_info *trees = NULL;
    struct lsm_txn *txn = NULL;
    struct lsm_slice key = text("a row more"), value = text("its value");
    size_t count = 0;
    int status = lsm_store_trees(store, &trees, &count, &err);
    uint32_t tree = count == 0 ? 0 : trees[0].tree;
    lsm_free(trees);
    if (status != LSM_OK || count == 0) return status;
    status = lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err);
    if (status == LSM_OK) status = lsm_txn_get(txn, tree, key, NULL, &err);
    bool is_new = status == LSM_NOTFOUND;
    if (is_new) status = lsm_txn_put(txn, tree, key, value, &err);
    if (status == LSM_OK) status = lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err);
    if (status == LSM_OK) {
        lsm_txn_commit(txn, true);
        if (is_new) add_row(sum, tree, key, value);
    } else if (txn != NULL && lsm_txn_rollback(txn, NULL) != LSM_OK) {
        status = LSM_IO;
    }
    return status;
}

int stores_read(struct lsm_env *env, size_t rows_max) {
    struct lsm_options options = stores_options(env);
    struct lsm_store *store = NULL;
    struct sum first = {0}, again = {0};
    err = (struct lsm_error){0};
    int status = lsm_store_open(&options, &store, &err);
    if (status == LSM_OK) status = read_all(store, rows_max, &first);
    if (status == LSM_OK) status = write_row(store, &first);
    int closed = lsm_store_close(store, status == LSM_OK ? &err : NULL);
    if (status == LSM_OK) status = closed;
    if (status != LSM_OK) {
        FUZZ_CHECK(err.text[0] != 0, "%s without a word", lsm_status_name(status));
        return status;
    }
    status = lsm_store_open(&options, &store, &err);
    FUZZ_CHECK(status == LSM_OK, "it was opened, written and closed, and now: %s", err.text);
    status = read_all(store, rows_max + 1, &again);
    /* A hostile log may name table files that are not there; the new tree then lies where they say that they have keys. */
    bool excused = status == LSM_CORRUPT && strstr(err.text, ".sst: missing") != NULL;
    if (excused) {
        (void)lsm_store_close(store, NULL);
        return status;
    }
    FUZZ_CHECK(status == LSM_OK, "it was read, written and closed, and now: %s", err.text);
    FUZZ_CHECK(first.rows == again.rows && first.hash == again.hash, "%zu rows before closing, %zu after", first.rows, again.rows);
    (void)lsm_store_close(store, NULL);
    return LSM_OK;
}
