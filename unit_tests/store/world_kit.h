/* world_kit.h: one store with its model (../support/world.h) as several tests of the store begin and end with it. Header only: each test file is a program of its own. */
#ifndef TEST_WORLD_KIT_H
#define TEST_WORLD_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../support/world.h"

static struct world world;

#define MUST(step) must(step, #step)
static inline void must(int status, const char *step) {
    if (status != LSM_OK) fail_msg("%s: %s: %s", step, lsm_status_name(status), world.err.text);
}

/* After world_init() and whatever its options should be: open, with trees in the first slots. */
static inline void open_with_trees(int trees) {
    assert_non_null(world.env);
    MUST(world_open(&world));
    MUST(world_begin(&world));
    for (int slot = 0; slot < trees; slot++) MUST(world_create(&world, slot));
    MUST(world_commit(&world, LSM_SYNC_FULL));
}

static inline void finish(void) {
    MUST(world_close(&world));
    lsm_env_mem_free(world.env);
}

#endif
