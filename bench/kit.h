/* kit.h: what the benchmarks of costs use of SQLite and of the engine. Whatever fails ends the program. */
#ifndef LSM_BENCH_KIT_H
#define LSM_BENCH_KIT_H

#include <errno.h>
#include <sqlite3.h>

#include "../lsm_core/lsm.h"
#include "measure.h"

#define VALUE_BYTES 100

/* ---- SQLite --------------------------------------------------------------------------------------------------- */

static inline void die(sqlite3 *db, const char *what) {
    (void)fprintf(stderr, "%s: %s\n", what, db != NULL ? sqlite3_errmsg(db) : strerror(errno));
    exit(2);
}

static inline void run(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) die(db, sql);
}

static inline sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) die(db, sql);
    return stmt;
}

static inline void step_done(sqlite3 *db, sqlite3_stmt *stmt) {
    if (sqlite3_step(stmt) != SQLITE_DONE) die(db, sqlite3_sql(stmt));
    (void)sqlite3_reset(stmt);
}

static inline void load_extension(sqlite3 *db, const char *extension) {
    char *message = NULL;
    (void)sqlite3_enable_load_extension(db, 1);
    if (sqlite3_load_extension(db, extension, NULL, &message) == SQLITE_OK) return;
    (void)fprintf(stderr, "%s: %s\n", extension, message);
    exit(2);
}

/* Row i of a table (k, v). */
static inline void insert_row(sqlite3 *db, sqlite3_stmt *stmt, uint64_t i) {
    char key[KEY_BYTES], value[VALUE_BYTES];
    make_key(key, i, 1);
    make_value(value, sizeof value, i);
    (void)sqlite3_bind_text(stmt, 1, key, KEY_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 2, value, VALUE_BYTES, SQLITE_STATIC);
    step_done(db, stmt);
}

/* ---- the engine ----------------------------------------------------------------------------------------------- */

static inline void engine_failed(const struct lsm_error *err) {
    (void)fprintf(stderr, "%s\n", err->text);
    exit(2);
}

static inline struct lsm_slice row_key(char key[KEY_BYTES], uint64_t i) {
    make_key(key, i, 1);
    return (struct lsm_slice){(const uint8_t *)key, KEY_BYTES};
}

static inline void put_rows(struct lsm_store *store, uint32_t tree, uint64_t first, uint64_t count) {
    struct lsm_txn *txn;
    struct lsm_error err;
    char key[KEY_BYTES], value[VALUE_BYTES];
    if (lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err) != LSM_OK) engine_failed(&err);
    for (uint64_t i = first; i < first + count; i++) {
        make_value(value, sizeof value, i);
        if (lsm_txn_put(txn, tree, row_key(key, i), (struct lsm_slice){(const uint8_t *)value, sizeof value}, &err) != LSM_OK) engine_failed(&err);
    }
    if (lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err) != LSM_OK) engine_failed(&err);
    lsm_txn_commit(txn, true);
}

/* A new store with a tree of so many rows. */
static inline struct lsm_store *open_store(const char *dir, bool exclusive, int threads, uint64_t rows, uint32_t *tree) {
    static const uint8_t id[LSM_STORE_ID_BYTES] = {1};
    struct lsm_options options;
    struct lsm_store *store;
    struct lsm_txn *txn;
    struct lsm_error err;
    struct lsm_tree_info info;
    lsm_options_init(&options);
    options.dir = dir;
    options.store_id = id;
    options.create = true;
    options.exclusive = exclusive;
    options.threads = threads;
    if (lsm_store_open(&options, &store, &err) != LSM_OK || lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err) != LSM_OK) engine_failed(&err);
    if (lsm_txn_tree_create(txn, &info, &err) != LSM_OK || lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err) != LSM_OK)
        engine_failed(&err);
    lsm_txn_commit(txn, true);
    *tree = info.tree;
    put_rows(store, *tree, 0, rows);
    return store;
}

static inline void close_store(struct lsm_store *store, const char *dir) {
    char command[400];
    (void)lsm_store_close(store, NULL);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0) die(NULL, command);
}

/* `count` views, each with a lookup if `get`. */
static inline void look_up(struct lsm_store *store, uint32_t tree, uint64_t rows, uint64_t count, bool get) {
    struct lsm_view *view;
    struct lsm_error err;
    char key[KEY_BYTES];
    for (uint64_t i = 0; i < count; i++) {
        if (lsm_view_open(store, NULL, &view, &err) != LSM_OK) engine_failed(&err);
        struct lsm_value got = {0};
        if (get && lsm_view_get(view, tree, row_key(key, mix64(i) % rows), &got, &err) != LSM_OK) engine_failed(&err);
        lsm_value_release(&got);
        lsm_view_close(view);
    }
}

#endif
