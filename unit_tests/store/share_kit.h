/* share_kit.h: what the tests of several processes with one store share: three of them over one disk in memory, one tree, and what is done and asked in
 * every test. Header only: each test file is a program of its own. One thread, if a test does not say otherwise.
 */
#ifndef TEST_SHARE_KIT_H
#define TEST_SHARE_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/env/filename.h"
#include "../../lsm_core/store/store.h"

/* Runs a test with all three in the store. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "share-unit-tests";
static struct lsm_error err;

enum { PROCESSES = 3 };

static struct {
    struct lsm_env *disk, *envs[PROCESSES];
    struct lsm_options options;
    struct lsm_store *stores[PROCESSES];
    uint32_t tree;
} world;

#define MUST(step) must(step, #step)
static inline void must(int status, const char *step) {
    if (status != LSM_OK) fail_msg("%s: %s: %s", step, lsm_status_name(status), err.text);
}

static inline int open_store(int i) {
    struct lsm_options options = world.options;
    if (world.envs[i] == NULL) world.envs[i] = lsm_env_mem_process(world.disk);
    assert_non_null(world.envs[i]);
    options.env = world.envs[i];
    return lsm_store_open(&options, &world.stores[i], &err);
}

static inline void close_store(int i) {
    struct lsm_store *store = world.stores[i];
    world.stores[i] = NULL;
    MUST(lsm_store_close(store, &err));
}

/* It does nothing any more, and its memory is given back. */
static inline void bury(int i) {
    if (!lsm_env_mem_is_killed(world.envs[i])) lsm_env_mem_kill(world.envs[i]);
    (void)lsm_store_close(world.stores[i], NULL);
    lsm_env_mem_free(world.envs[i]);
    world.stores[i] = NULL;
    world.envs[i] = NULL;
}

static inline struct lsm_txn *begin(int i) {
    struct lsm_txn *txn = NULL;
    MUST(lsm_txn_begin(world.stores[i], UINT64_MAX, 0, &txn, &err));
    return txn;
}

static inline void put(struct lsm_txn *txn, const char *key, const char *value) {
    MUST(lsm_txn_put(txn, world.tree, lsm_slice_of(key, strlen(key)), lsm_slice_of(value, strlen(value)), &err));
}

static inline void commit(struct lsm_txn *txn, enum lsm_sync sync) {
    MUST(lsm_txn_prepare(txn, sync, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

static inline void write_row(int i, const char *key, const char *value) {
    struct lsm_txn *txn = begin(i);
    put(txn, key, value);
    commit(txn, LSM_SYNC_OFF);
}

/* Fills a write buffer or so, and rolls. */
static inline void write_much(int i, unsigned from, unsigned rows) {
    static char value[900];
    memset(value, 'v', sizeof value - 1);
    for (unsigned row = from; row < from + rows; row++) {
        char key[20];
        (void)snprintf(key, sizeof key, "much-%06u", row);
        write_row(i, key, value);
    }
}

static inline bool view_says(struct lsm_view *view, const char *key, const char *value) {
    struct lsm_value found = {0};
    int status = lsm_view_get(view, world.tree, lsm_slice_of(key, strlen(key)), &found, &err);
    bool right = value == NULL ? status == LSM_NOTFOUND
                               : status == LSM_OK && found.bytes.size == strlen(value) && memcmp(found.bytes.data, value, found.bytes.size) == 0;
    if (status != LSM_OK && status != LSM_NOTFOUND) print_message("%s: %s\n", key, err.text);
    lsm_value_release(&found);
    return right;
}

static inline struct lsm_view *look(int i) {
    struct lsm_view *view = NULL;
    MUST(lsm_view_open(world.stores[i], NULL, &view, &err));
    return view;
}

static inline bool says(int i, const char *key, const char *value) {
    struct lsm_view *view = look(i);
    bool right = view_says(view, key, value);
    lsm_view_close(view);
    return right;
}

/* After a power cut right now these keys have these values; a list that ends with NULL. */
static inline void expect_after(enum lsm_crash_mode mode, uint64_t seed, const char *const *rows) {
    struct lsm_env *after = lsm_env_mem_clone_crashed(world.disk, mode, seed);
    struct lsm_options options = world.options;
    struct lsm_store *store = NULL;
    struct lsm_view *view = NULL;
    options.env = after;
    MUST(lsm_store_open(&options, &store, &err));
    MUST(lsm_view_open(store, NULL, &view, &err));
    for (size_t i = 0; rows[i] != NULL; i += 2) assert_true(view_says(view, rows[i], rows[i + 1]));
    lsm_view_close(view);
    MUST(lsm_store_close(store, &err));
    lsm_env_mem_free(after);
}

static inline void expect_durable(const char *const *rows) { expect_after(LSM_CRASH_LOSE, 1, rows); }

static inline unsigned table_files(void) {
    struct lsm_names names = {0};
    unsigned count = 0;
    MUST(lsm_env_list(world.disk, world.options.dir, &names, &err));
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        count += lsm_file_parse(names.names[i], &number) == LSM_FILE_TABLE;
    }
    lsm_names_free(&names);
    return count;
}

static inline unsigned named_files(int i) {
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    MUST(lsm_follow(world.stores[i], &err));
    MUST(lsm_store_files(world.stores[i], &files, &count, &err));
    lsm_free(files);
    return (unsigned)count;
}

static inline int set_up(void **state) {
    (void)state;
    memset(&world, 0, sizeof world);
    world.disk = lsm_env_mem_new_strict();
    assert_non_null(world.disk);
    lsm_options_init(&world.options);
    world.options.dir = "db-lsm/store";
    world.options.store_id = store_id;
    world.options.create = true;
    world.options.threads = 0;
    world.options.write_buffer_bytes = world.options.file_bytes = 65536;
    for (int i = 0; i < PROCESSES; i++) MUST(open_store(i));
    struct lsm_txn *txn = begin(0);
    struct lsm_tree_info tree;
    MUST(lsm_txn_tree_create(txn, &tree, &err));
    commit(txn, LSM_SYNC_FULL);
    world.tree = tree.tree;
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    for (int i = 0; i < PROCESSES; i++)
        if (world.stores[i] != NULL) close_store(i);
    for (int i = 0; i < PROCESSES; i++) lsm_env_mem_free(world.envs[i]);
    lsm_env_mem_free(world.disk);
    return 0;
}

/* From now on nobody flushes by himself: others have to read the log, and do not find a version that makes it superfluous. */
static inline void stop_flushing(void) {
    for (int n = 0; n < PROCESSES; n++)
        if (world.stores[n] != NULL) world.stores[n]->wait_until_us[LSM_WORK_FLUSH] = UINT64_MAX;
}

/* The log goes on in another file, and nobody flushes what is in the one before. */
static inline void roll_without_flush(int i) {
    stop_flushing();
    MUST(lsm_store_lock_writer(world.stores[i], 0, &err));
    MUST(lsm_store_roll(world.stores[i], &err));
    lsm_store_unlock_writer(world.stores[i]);
}

/* More rows than a transaction may keep in memory. */
static inline void put_large(struct lsm_txn *txn) {
    static char value[900];
    memset(value, 'v', sizeof value - 1);
    for (unsigned row = 0; row < 200; row++) {
        char key[20];
        (void)snprintf(key, sizeof key, "large-%06u", row);
        put(txn, key, value);
    }
    put(txn, "large", "x");
}

/* A process is held up at its next operation of this kind on a file of this suffix; what others do meanwhile is done, once. Given to
 * lsm_env_mem_before_op() with while_stopped(). */
struct stop {
    enum lsm_env_op_kind kind;
    const char *suffix;
    void (*meanwhile)(void);
    bool done;
};

static inline void while_stopped(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    struct stop *stop = arg;
    size_t length = path == NULL ? 0 : strlen(path), suffix = strlen(stop->suffix);
    (void)process;
    if (stop->done || kind != stop->kind || length < suffix || strcmp(path + length - suffix, stop->suffix) != 0) return;
    stop->done = true;
    stop->meanwhile();
}

#endif
