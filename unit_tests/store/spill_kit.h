/* spill_kit.h: what the tests of transactions larger than memory share: a store with small buffers, and much to put. Header only. */
#ifndef TEST_SPILL_KIT_H
#define TEST_SPILL_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/store/store.h"
#include "world_kit.h"

static inline void start(uint64_t seed, int threads) {
    world_init(&world, lsm_env_mem_new_strict(), seed);
    world.options.threads = threads;
    open_with_trees(2);
}

static inline void must_be_right(const char *when) {
    const char *wrong = world_differs(&world, world.store);
    if (wrong != NULL) fail_msg("%s: %s", when, wrong);
}

static inline size_t count_tables(void) {
    struct lsm_names names = {0};
    size_t count = 0;
    MUST(lsm_env_list(world.env, world.options.dir, &names, &world.err));
    for (size_t i = 0; i < names.count; i++) count += strstr(names.names[i], ".sst") != NULL;
    lsm_names_free(&names);
    return count;
}

static inline uint64_t count_merges(void) {
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    return stats.merges;
}

static inline void put_much(int slot, unsigned rounds) {
    while (rounds-- > 0)
        for (unsigned key = 0; key < MODEL_KEYS; key++) MUST(world_put(&world, slot, key));
}

#endif
