/* LMDB: a copy-on-write B+tree in a memory map. It has no write buffer, cache, filters or compression; its file is its memory. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

#define MAP_BYTES ((size_t)64 << 30)

static MDB_env *env;
static MDB_dbi dbi;
static MDB_txn *writing;

struct reader {
    MDB_txn *txn;
};

struct walker {
    MDB_cursor *cursor;
    MDB_val key, value;
    bool valid;
};

static void check(int status, const char *what) {
    if (status != MDB_SUCCESS) engine_die(what, mdb_strerror(status));
}

static MDB_val val(struct bytes bytes) {
    MDB_val out;
    out.mv_size = bytes.size;
    out.mv_data = (void *)(uintptr_t)bytes.data;
    return out;
}

static struct bytes bytes_of(const MDB_val *value) { return (struct bytes){.data = value->mv_data, .size = value->mv_size}; }

const char *engine_name(void) { return "lmdb"; }

void engine_describe(char *out, size_t size) {
    int major, minor, patch;
    (void)mdb_version(&major, &minor, &patch);
    (void)snprintf(out, size, "LMDB %d.%d.%d (B+tree in the page cache: no log, write buffer, cache, filters or compression of its own)", major,
                   minor, patch);
}

void engine_open(const struct engine_settings *settings) {
    MDB_txn *txn;
    check(mdb_env_create(&env), "create");
    check(mdb_env_set_mapsize(env, MAP_BYTES), "map size");
    check(mdb_env_open(env, settings->dir, MDB_NOTLS | (settings->durable ? 0 : MDB_NOSYNC), 0644), "open");
    check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    check(mdb_dbi_open(txn, NULL, 0, &dbi), "dbi");
    check(mdb_txn_commit(txn), "commit");
}

void engine_close(void) { mdb_env_close(env); }

void engine_begin(void) { check(mdb_txn_begin(env, NULL, 0, &writing), "begin"); }

void engine_put(struct bytes key, struct bytes value) {
    MDB_val k = val(key), v = val(value);
    check(mdb_put(writing, dbi, &k, &v, 0), "put");
}

void engine_delete(struct bytes key) {
    MDB_val k = val(key);
    int status = mdb_del(writing, dbi, &k, NULL);
    if (status != MDB_NOTFOUND) check(status, "delete");
}

/* Whether a commit syncs was said when the environment was opened. */
void engine_commit(bool sync) {
    (void)sync;
    check(mdb_txn_commit(writing), "commit");
}

bool engine_settle(void) { return false; }

struct reader *reader_open(void) {
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) engine_die("reader", "out of memory");
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &reader->txn), "begin to read");
    return reader;
}

void reader_renew(struct reader *reader) {
    mdb_txn_reset(reader->txn);
    check(mdb_txn_renew(reader->txn), "renew");
}

void reader_close(struct reader *reader) {
    mdb_txn_abort(reader->txn);
    free(reader);
}

bool reader_get(struct reader *reader, struct bytes key, size_t *value_bytes) {
    MDB_val k = val(key), v;
    int status = mdb_get(reader->txn, dbi, &k, &v);
    if (status == MDB_NOTFOUND) return false;
    check(status, "get");
    *value_bytes = v.mv_size;
    return true;
}

struct walker *walker_open(struct reader *reader) {
    struct walker *walker = calloc(1, sizeof *walker);
    if (walker == NULL) engine_die("walker", "out of memory");
    check(mdb_cursor_open(reader->txn, dbi, &walker->cursor), "cursor");
    return walker;
}

void walker_close(struct walker *walker) {
    mdb_cursor_close(walker->cursor);
    free(walker);
}

static void move(struct walker *walker, MDB_cursor_op op) {
    int status = mdb_cursor_get(walker->cursor, &walker->key, &walker->value, op);
    walker->valid = status == MDB_SUCCESS;
    if (status != MDB_NOTFOUND) check(status, "cursor");
}

void walker_first(struct walker *walker) { move(walker, MDB_FIRST); }
void walker_last(struct walker *walker) { move(walker, MDB_LAST); }

void walker_seek(struct walker *walker, struct bytes key) {
    walker->key = val(key);
    move(walker, MDB_SET_RANGE);
}

void walker_next(struct walker *walker) { move(walker, MDB_NEXT); }
void walker_prev(struct walker *walker) { move(walker, MDB_PREV); }
bool walker_valid(struct walker *walker) { return walker->valid; }
struct bytes walker_key(struct walker *walker) {
    return bytes_of(&walker->key);
}
struct bytes walker_value(struct walker *walker) {
    return bytes_of(&walker->value);
}
