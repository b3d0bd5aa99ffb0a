/* Who does not want to be told: a session of everything that lsm.h offers, by two processes, in which each operation on files or allocation fails once, or for good, run twice: with a
 * struct lsm_error and with NULL in its place. Both get the same statuses, one by one, and the first a description of each that is one. LSM_FAULTS=1 strikes every point; N every
 * N-th; 3 if it does not say. */
#include <stdio.h>
#include <stdlib.h>

#include "api_kit.h"

enum { STEPS_MAX = 200, POINTS_MAX = 20000, ROWS = 120 };

static struct session {
    struct lsm_env *env, *second_env;
    struct lsm_error *err; /* NULL: nobody is told */
    struct lsm_error told;
    int statuses[STEPS_MAX];
    const char *names[STEPS_MAX];
    int count;
} session;

/* A step that fails ends what depends on it, not the session. */
static bool went(int status, const char *name) {
    assert_true(session.count < STEPS_MAX);
    session.names[session.count] = name;
    session.statuses[session.count++] = status;
    if (session.err != NULL && status != LSM_OK && status != LSM_NOTFOUND && (session.told.code != status || session.told.text[0] == '\0'))
        fail_msg("%s: %s, and told is %d '%s'", name, lsm_status_name(status), session.told.code, session.told.text);
    session.told.code = LSM_OK;
    session.told.text[0] = '\0';
    return status == LSM_OK;
}
#define WENT(step) went(step, #step)

static const uint8_t id[LSM_STORE_ID_BYTES] = "untold-teststore";

static struct lsm_store *open_as(struct lsm_env *env) {
    struct lsm_options options;
    struct lsm_store *store = NULL;
    lsm_options_init(&options);
    options.env = env;
    options.dir = "db-lsm/store";
    options.store_id = id;
    options.create = true;
    options.write_buffer_bytes = 65536;
    options.cache_bytes = 1 << 20;
    options.file_bytes = 65536;
    options.block_bytes = 1024;
    options.threads = 0;
    return WENT(lsm_store_open(&options, &store, session.err)) ? store : NULL;
}

static struct lsm_slice key_of(unsigned i) {
    static char bytes[16];
    (void)snprintf(bytes, sizeof bytes, "key%06u", i * 7919 % 1000);
    return text(bytes);
}

/* rows: with 2000 bytes each; many are more than memory. */
static uint32_t write_rows(struct lsm_store *store, uint32_t tree, unsigned rows, enum lsm_decider decider, bool take_back) {
    static char value[2000];
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info made = {.tree = tree};
    uint8_t token[LSM_TOKEN_BYTES];
    memset(value, 'v', sizeof value);
    if (!WENT(lsm_txn_begin(store, UINT64_MAX, 0, &txn, session.err))) return 0;
    bool ok = tree != 0 || WENT(lsm_txn_tree_create(txn, &made, session.err));
    uint64_t mark = lsm_txn_mark(txn);
    int status = LSM_OK;
    for (unsigned i = 0; ok && i < rows && status == LSM_OK; i++)
        status = lsm_txn_put(txn, made.tree, key_of(i), lsm_slice_of(value, sizeof value), session.err);
    ok = ok && went(status, "lsm_txn_put") && WENT(lsm_txn_delete_range(txn, made.tree, text("key000100"), text("key000120"), session.err));
    struct lsm_value found = {0};
    if (ok) (void)WENT(lsm_txn_get(txn, made.tree, key_of(3), &found, session.err));
    lsm_value_release(&found);
    if (ok && take_back) ok = WENT(lsm_txn_rollback_to(txn, mark, session.err)) && WENT(lsm_txn_delete(txn, made.tree, key_of(1), session.err));
    ok = ok && WENT(lsm_txn_prepare(txn, LSM_SYNC_FULL, decider, token, session.err));
    if (ok && decider == LSM_DECIDES_ITSELF)
        lsm_txn_commit(txn, true);
    else
        (void)WENT(lsm_txn_rollback(txn, session.err));
    return ok ? made.tree : 0;
}

static void read_rows(struct lsm_store *store, uint32_t tree) {
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    struct lsm_value value = {0};
    struct lsm_slice high = text("key000500");
    if (!WENT(lsm_view_open(store, NULL, &view, session.err))) return;
    (void)WENT(lsm_view_get(view, tree, key_of(5), &value, session.err));
    lsm_value_release(&value);
    if (WENT(lsm_cursor_open(view, tree, NULL, &high, &cursor, session.err))) {
        bool ok = WENT(lsm_cursor_first(cursor, session.err));
        for (int i = 0; i < 30 && ok && lsm_cursor_valid(cursor); i++) ok = WENT(lsm_cursor_next(cursor, session.err));
        ok = ok && WENT(lsm_cursor_rebound(cursor, NULL, NULL, session.err)) && WENT(lsm_cursor_last(cursor, session.err));
        for (int i = 0; i < 30 && ok && lsm_cursor_valid(cursor); i++) ok = WENT(lsm_cursor_prev(cursor, session.err));
        if (ok) (void)WENT(lsm_cursor_seek(cursor, text("key000333"), session.err));
    }
    lsm_cursor_close(cursor);
    lsm_view_close(view);
}

static void ask(struct lsm_store *store) {
    struct lsm_tree_info *trees = NULL;
    struct lsm_file_info *files = NULL;
    struct lsm_reader_info *readers = NULL;
    size_t count = 0;
    uint64_t problems = 0;
    (void)WENT(lsm_store_trees(store, &trees, &count, session.err));
    (void)WENT(lsm_store_files(store, &files, &count, session.err));
    (void)WENT(lsm_store_readers(store, &readers, &count, session.err));
    (void)WENT(lsm_store_check(store, NULL, NULL, NULL, NULL, &problems, session.err));
    lsm_free(trees);
    lsm_free(files);
    lsm_free(readers);
}

static void everything(void) {
    struct lsm_store *store = open_as(session.env);
    uint32_t tree = store == NULL ? 0 : write_rows(store, 0, 10, LSM_DECIDES_ITSELF, false);
    struct lsm_store *second = open_as(session.second_env);
    if (tree != 0) (void)write_rows(store, tree, 5, LSM_DECIDED_BY_TOKEN, true);
    if (tree != 0) (void)write_rows(store, tree, ROWS, LSM_DECIDES_ITSELF, true);
    if (tree != 0) (void)write_rows(store, tree, ROWS, LSM_DECIDES_ITSELF, false);
    if (store != NULL) (void)WENT(lsm_store_flush(store, NULL, NULL, session.err));
    if (second != NULL && tree != 0) read_rows(second, tree);
    if (second != NULL && tree != 0) (void)write_rows(second, tree, 20, LSM_DECIDES_ITSELF, false);
    if (store != NULL) (void)WENT(lsm_store_await_writer(store, 0, session.err));
    if (store != NULL) (void)WENT(lsm_store_compact(store, NULL, NULL, session.err));
    if (second != NULL) ask(second);
    if (store != NULL && tree != 0) read_rows(store, tree);
    if (second != NULL) (void)WENT(lsm_store_close(second, session.err));
    if (store != NULL) (void)WENT(lsm_store_close(store, session.err));
}

enum fault { OF_MEMORY, OF_FILES };

/* Was there something left to strike? */
static bool run(struct session *out, bool told, enum fault fault, uint64_t n, bool sticky) {
    memset(&session, 0, sizeof session);
    session.env = lsm_env_mem_new_strict();
    session.second_env = lsm_env_mem_process(session.env);
    session.err = told ? &session.told : NULL;
    lsm_env_mem_set_clock(session.env, (uint64_t)1 << 60);
    struct lsm_env_fault operation = {.at = n, .ops = LSM_ENV_ALL, .sticky = sticky};
    uint64_t calls = lsm_mem_calls();
    if (fault == OF_FILES)
        lsm_env_mem_fail_at(session.env, &operation);
    else
        lsm_mem_fail_after((int64_t)n, sticky);
    everything();
    lsm_mem_fail_after(0, false);
    bool struck = fault == OF_FILES ? lsm_env_mem_faults(session.env) > 0 : lsm_mem_calls() - calls >= n;
    lsm_env_mem_free(session.second_env);
    lsm_env_mem_free(session.env);
    *out = session;
    return struck;
}

static void sweep(enum fault fault, bool sticky) {
    static struct session told, untold;
    const char *text = getenv("LSM_FAULTS");
    uint64_t stride = text == NULL ? 3 : atoi(text) < 1 ? 1 : (uint64_t)atoi(text);
    int64_t live = lsm_mem_live();
    for (uint64_t n = 1; run(&told, true, fault, n, sticky); n += stride) {
        (void)run(&untold, false, fault, n, sticky);
        for (int i = 0; i < told.count || i < untold.count; i++) {
            if (i < told.count && i < untold.count && told.statuses[i] == untold.statuses[i]) continue;
            fail_msg("point %llu, step %d: %s: %d and %s: %d", (unsigned long long)n, i, told.names[i], told.statuses[i], untold.names[i],
                     untold.statuses[i]);
        }
        assert_true(lsm_mem_live() == live);
        assert_true(n < POINTS_MAX);
    }
}

static void files_that_fail_once(void **state) {
    (void)state;
    sweep(OF_FILES, false);
}

static void files_that_fail_for_good(void **state) {
    (void)state;
    sweep(OF_FILES, true);
}

static void allocations_that_fail_once(void **state) {
    (void)state;
    sweep(OF_MEMORY, false);
}

static void allocations_that_fail_for_good(void **state) {
    (void)state;
    sweep(OF_MEMORY, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_fail_once),
        cmocka_unit_test(files_that_fail_for_good),
        cmocka_unit_test(allocations_that_fail_once),
        cmocka_unit_test(allocations_that_fail_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
