/* Memtables that views pin are counted against the block cache, and given back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../lsm_core/cache/cache.h"
#include "../../lsm_core/store/store.h"

enum { PINS = 80, CACHE_BYTES = 1 << 20, VALUE_BYTES = 14000 };

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "budget-test-----";
static struct lsm_error err;

#define MUST(step)                                                                                                                                   \
    do {                                                                                                                                             \
        if ((step) != LSM_OK) fail_msg("%s: %s", #step, err.text);                                                                                   \
    } while (0)

static void write_row(struct lsm_store *store, uint32_t *tree, unsigned n) {
    static uint8_t value[VALUE_BYTES];
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info info;
    char key[16];
    int size = snprintf(key, sizeof key, "%08u", n);
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    if (*tree == 0) {
        MUST(lsm_txn_tree_create(txn, &info, &err));
        *tree = info.tree;
    }
    struct lsm_slice key_slice = {.data = (const uint8_t *)key, .size = (size_t)size}, value_slice = {.data = value, .size = sizeof value};
    MUST(lsm_txn_put(txn, *tree, key_slice, value_slice, &err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
}

static void pinned_memtables_come_out_of_the_cache(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_options options;
    struct lsm_store *store = NULL;
    struct lsm_view *views[PINS];
    uint32_t tree = 0;
    lsm_options_init(&options);
    options.env = env;
    options.dir = "store";
    options.store_id = store_id;
    options.create = true;
    options.threads = 0;
    options.write_buffer_bytes = 65536;
    options.cache_bytes = CACHE_BYTES;
    MUST(lsm_store_open(&options, &store, &err));
    assert_int_equal(lsm_cache_capacity(store->cache), CACHE_BYTES);
    size_t last = CACHE_BYTES;
    for (unsigned i = 0; i < PINS; i++) {
        write_row(store, &tree, i);
        MUST(lsm_view_open(store, NULL, &views[i], &err));
        MUST(lsm_store_flush(store, NULL, NULL, &err));
        assert_true(lsm_cache_capacity(store->cache) <= last);
        last = lsm_cache_capacity(store->cache);
    }
    assert_int_equal(last, CACHE_BYTES / 4); /* 80 memtables of 14 KB are more than the cache: a quarter of it is left */
    for (unsigned i = 0; i < PINS; i++) lsm_view_close(views[i]);
    assert_int_equal(lsm_cache_capacity(store->cache), CACHE_BYTES);
    MUST(lsm_store_close(store, &err));
    lsm_env_mem_free(env);
}

/* The cache is one for the process: the store that asks for most decides, while it is open. */
static void the_largest_cache_that_is_asked_for_is_the_one_of_all(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_options options;
    struct lsm_store *stores[2] = {NULL};
    lsm_options_init(&options);
    options.env = env;
    options.store_id = store_id;
    options.create = true;
    options.threads = 0;
    for (int i = 0; i < 2; i++) {
        options.dir = i == 0 ? "first" : "second";
        options.cache_bytes = CACHE_BYTES << i;
        MUST(lsm_store_open(&options, &stores[i], &err));
        assert_ptr_equal(stores[i]->cache, stores[0]->cache);
        assert_int_equal(lsm_cache_capacity(stores[0]->cache), CACHE_BYTES << i);
    }
    for (int i = 0; i < 2; i++) MUST(lsm_store_close(stores[i], &err));
    lsm_env_mem_free(env);
    assert_int_equal(lsm_mem_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pinned_memtables_come_out_of_the_cache),
        cmocka_unit_test(the_largest_cache_that_is_asked_for_is_the_one_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
