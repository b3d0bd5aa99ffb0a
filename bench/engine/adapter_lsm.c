/* Our own engine, through lsm.h. */
#include <stdio.h>
#include <stdlib.h>

#include "../../lsm_core/lsm.h"
#include "engine.h"

static struct lsm_store *store;
static struct lsm_txn *txn;
static uint32_t tree;

struct reader {
    struct lsm_view *view;
};

static void check(int status, const struct lsm_error *err, const char *what) {
    if (status != LSM_OK) engine_die(what, err->text);
}

static struct lsm_slice slice(struct bytes bytes) { return (struct lsm_slice){.data = (const uint8_t *)bytes.data, .size = bytes.size}; }

const char *engine_name(void) { return "lsm"; }

void engine_describe(char *out, size_t size) { (void)snprintf(out, size, "lsm %s", LSM_VERSION); }

void engine_open(const struct engine_settings *settings) {
    static const uint8_t store_id[LSM_STORE_ID_BYTES] = "engine benchmark";
    struct lsm_error err;
    struct lsm_options options;
    struct lsm_tree_info info;
    lsm_options_init(&options);
    options.dir = settings->dir;
    options.store_id = store_id;
    options.create = !settings->reopened;
    options.write_buffer_bytes = settings->write_buffer_bytes;
    options.cache_bytes = settings->cache_bytes;
    options.map_bytes = settings->map_bytes;
    options.threads = settings->threads;
    options.compression = settings->compress ? LSM_COMPRESS_LZ4 : LSM_COMPRESS_NONE;
    check(lsm_store_open(&options, &store, &err), &err, "open");
    if (settings->reopened) return;
    check(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err), &err, "begin");
    check(lsm_txn_tree_create(txn, &info, &err), &err, "create a tree");
    check(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), &err, "prepare");
    lsm_txn_commit(txn, true);
    tree = info.tree;
}

void engine_close(void) {
    struct lsm_error err;
    check(lsm_store_close(store, &err), &err, "close");
}

void engine_begin(void) {
    struct lsm_error err;
    check(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err), &err, "begin");
}

void engine_put(struct bytes key, struct bytes value) {
    struct lsm_error err;
    check(lsm_txn_put(txn, tree, slice(key), slice(value), &err), &err, "put");
}

void engine_delete(struct bytes key) {
    struct lsm_error err;
    check(lsm_txn_delete(txn, tree, slice(key), &err), &err, "delete");
}

void engine_commit(bool sync) {
    struct lsm_error err;
    check(lsm_txn_prepare(txn, sync ? LSM_SYNC_FULL : LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err), &err, "prepare");
    lsm_txn_commit(txn, true);
}

bool engine_settle(void) {
    struct lsm_error err;
    check(lsm_store_compact(store, NULL, NULL, &err), &err, "compact");
    return true;
}

struct reader *reader_open(void) {
    struct lsm_error err;
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) engine_die("reader", "out of memory");
    check(lsm_view_open(store, NULL, &reader->view, &err), &err, "view");
    return reader;
}

void reader_renew(struct reader *reader) {
    struct lsm_error err;
    lsm_view_close(reader->view);
    check(lsm_view_open(store, NULL, &reader->view, &err), &err, "view");
}

void reader_close(struct reader *reader) {
    lsm_view_close(reader->view);
    free(reader);
}

bool reader_get(struct reader *reader, struct bytes key, size_t *value_bytes) {
    struct lsm_error err;
    struct lsm_value value = {0};
    int status = lsm_view_get(reader->view, tree, slice(key), &value, &err);
    if (status == LSM_NOTFOUND) return false;
    check(status, &err, "get");
    *value_bytes = value.bytes.size;
    lsm_value_release(&value);
    return true;
}

static struct lsm_cursor *cursor_of(struct walker *walker) { return (struct lsm_cursor *)walker; }

struct walker *walker_open(struct reader *reader) {
    struct lsm_error err;
    struct lsm_cursor *cursor;
    check(lsm_cursor_open(reader->view, tree, NULL, NULL, &cursor, &err), &err, "cursor");
    return (struct walker *)cursor;
}

void walker_close(struct walker *walker) { lsm_cursor_close(cursor_of(walker)); }

void walker_first(struct walker *walker) {
    struct lsm_error err;
    check(lsm_cursor_first(cursor_of(walker), &err), &err, "first");
}

void walker_last(struct walker *walker) {
    struct lsm_error err;
    check(lsm_cursor_last(cursor_of(walker), &err), &err, "last");
}

void walker_seek(struct walker *walker, struct bytes key) {
    struct lsm_error err;
    check(lsm_cursor_seek(cursor_of(walker), slice(key), &err), &err, "seek");
}

void walker_next(struct walker *walker) {
    struct lsm_error err;
    check(lsm_cursor_next(cursor_of(walker), &err), &err, "next");
}

void walker_prev(struct walker *walker) {
    struct lsm_error err;
    check(lsm_cursor_prev(cursor_of(walker), &err), &err, "prev");
}

bool walker_valid(struct walker *walker) { return lsm_cursor_valid(cursor_of(walker)); }

static struct bytes bytes_of(struct lsm_slice slice) { return (struct bytes){.data = (const char *)slice.data, .size = slice.size}; }

struct bytes walker_key(struct walker *walker) {
    return bytes_of(lsm_cursor_key(cursor_of(walker)));
}
struct bytes walker_value(struct walker *walker) {
    return bytes_of(lsm_cursor_value(cursor_of(walker)));
}
