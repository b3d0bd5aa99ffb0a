/* Memory is full of what waits for a flush, and the disk is slow: the next transaction waits, and that can be interrupted. */
#include "world_kit.h"

#include "../../lsm_core/store/store.h"

static int set_up(void **state) {
    (void)state;
    world_init(&world, lsm_env_mem_new_strict(), 17);
    world.options.threads = 1;
    open_with_trees(1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    finish();
    return 0;
}

/* No flush begins before `until`, as if the one before did not end. */
static void let_flush(uint64_t until) {
    lsm_mutex_lock(&world.store->mu);
    world.store->wait_until_us[LSM_WORK_FLUSH] = until;
    lsm_cond_broadcast(&world.store->work);
    lsm_mutex_unlock(&world.store->mu);
}

static void fill_memory(void) {
    let_flush(UINT64_MAX);
    for (int i = 0; i < 4; i++) {
        MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
        MUST(lsm_store_lock_writer(world.store, 0, &world.err));
        MUST(lsm_store_roll(world.store, &world.err));
        lsm_store_unlock_writer(world.store);
    }
}

static bool at_the_third_time(void *asked) { return ++*(int *)asked == 3; }

static bool never(void *asked) {
    ++*(int *)asked;
    let_flush(0);
    return false;
}

static void waiting_for_room_is_interrupted(void **state) {
    (void)state;
    int asked = 0;
    fill_memory();
    assert_int_equal(lsm_store_await_room(world.store, at_the_third_time, &asked, &world.err), LSM_INTERRUPTED);
    assert_int_equal(asked, 3);
    let_flush(0);
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    const char *wrong = world_differs(&world, world.store);
    if (wrong != NULL) fail_msg("%s", wrong);
}

static void there_is_room_when_the_flush_is_done(void **state) {
    (void)state;
    int asked = 0;
    fill_memory();
    MUST(lsm_store_await_room(world.store, never, &asked, &world.err));
    assert_true(asked > 0);
    asked = 0;
    MUST(lsm_store_await_room(world.store, never, &asked, &world.err));
    assert_int_equal(asked, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waiting_for_room_is_interrupted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_is_room_when_the_flush_is_done, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
