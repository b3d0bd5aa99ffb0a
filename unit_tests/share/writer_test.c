/* The locks, and WRITER before all: who has it, who waits, who has died with it. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "../../lsm_core/env/sync.h"

static void a_busy_lock_says_who_has_it_and_is_free_when_he_dies(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    struct lsm_error err = {0};
    for (int lock = LSM_SHARE_WRITER; lock < LSM_SHARE_LOCKS; lock++) assert_int_equal(lsm_share_lock(a, (enum lsm_share_lock)lock, 0, NULL), LSM_OK);
    for (int lock = LSM_SHARE_WRITER; lock < LSM_SHARE_LOCKS; lock++)
        assert_int_equal(lsm_share_lock(b, (enum lsm_share_lock)lock, 3000, lock == LSM_SHARE_WRITER ? &err : NULL), LSM_BUSY);
    assert_non_null(strstr(err.text, "(test) is writing"));
    lsm_share_unlock(a, LSM_SHARE_FLUSH);
    assert_int_equal(lsm_share_lock(b, LSM_SHARE_FLUSH, 0, NULL), LSM_OK);
    lsm_share_unlock(b, LSM_SHARE_FLUSH);
    lsm_share_append_begin(a);
    fixture_kill(fixture, 0);
    assert_int_equal(lsm_share_lock(b, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    assert_true(lsm_share_log_end(b).died);
    lsm_share_append_end(b, 64);
    assert_true(!lsm_share_log_end(b).died && lsm_share_log_end(b).position == 64);
    lsm_share_unlock(b, LSM_SHARE_WRITER);
}

/* Nobody looked in between, and the word still names the slot. */
static void who_takes_the_slot_of_a_dead_writer_does_not_write_for_him(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    assert_int_equal(lsm_share_lock(a, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    lsm_share_append_begin(a);
    fixture_kill(fixture, 0);
    struct lsm_share *c = fixture_open(fixture, 2);
    assert_int_equal(lsm_share_lock(b, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    assert_true(lsm_share_log_end(b).died);
    assert_int_equal(lsm_share_lock(c, LSM_SHARE_WRITER, 0, NULL), LSM_BUSY);
    lsm_share_append_end(b, 64);
    lsm_share_unlock(b, LSM_SHARE_WRITER);
    assert_int_equal(lsm_share_lock(c, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    lsm_share_unlock(c, LSM_SHARE_WRITER);
}

/* Threads that wait for each other in two processes, one of which is killed while it writes. */
struct turns {
    struct lsm_share *share;
    _Atomic int *writing;
    _Atomic bool *go_on;
    uint64_t taken;
};

static void take_turns(void *arg) {
    struct turns *turns = arg;
    while (atomic_load(turns->go_on)) {
        if (lsm_share_lock(turns->share, LSM_SHARE_WRITER, UINT64_MAX, NULL) != LSM_OK) abort();
        if (atomic_fetch_add(turns->writing, 1) != 0) abort();
        turns->taken++;
        if (atomic_fetch_sub(turns->writing, 1) != 1) abort();
        lsm_share_unlock(turns->share, LSM_SHARE_WRITER);
    }
}

static void threads_of_several_processes_write_one_at_a_time(void **state) {
    enum { WRITERS = 3, ENOUGH = 20000 };
    struct fixture *fixture = *state;
    struct lsm_thread threads[WRITERS];
    struct turns turns[WRITERS];
    _Atomic int writing = 0;
    _Atomic bool go_on = true;
    struct lsm_share *dying = fixture_open(fixture, WRITERS);
    assert_int_equal(lsm_share_lock(dying, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    for (int i = 0; i < WRITERS; i++) turns[i] = (struct turns){.share = fixture_open(fixture, i), .writing = &writing, .go_on = &go_on};
    for (int i = 0; i < WRITERS; i++) assert_int_equal(lsm_thread_start(&threads[i], "writer", take_turns, &turns[i]), LSM_OK);
    fixture_kill(fixture, WRITERS);
    struct lsm_share *mine = fixture_open(fixture, WRITERS + 1);
    for (int i = 0; i < ENOUGH; i++) {
        assert_int_equal(lsm_share_lock(mine, LSM_SHARE_WRITER, UINT64_MAX, NULL), LSM_OK);
        assert_true(atomic_fetch_add(&writing, 1) == 0);
        (void)atomic_fetch_sub(&writing, 1);
        lsm_share_unlock(mine, LSM_SHARE_WRITER);
    }
    atomic_store(&go_on, false);
    for (int i = 0; i < WRITERS; i++) lsm_thread_join(&threads[i]);
}

static void waiting_for_a_lock_ends_with_the_timeout(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    assert_int_equal(lsm_share_lock(a, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    uint64_t start = lsm_env_monotonic_us(fixture->disk);
    assert_int_equal(lsm_share_lock(b, LSM_SHARE_WRITER, 250000, NULL), LSM_BUSY);
    uint64_t waited = lsm_env_monotonic_us(fixture->disk) - start;
    assert_true(waited == 250000); /* on the simulated clock */
    lsm_share_unlock(a, LSM_SHARE_WRITER);
}

static void a_transaction_of_one_who_is_alone_publishes_as_any_other(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share_options options = fixture_options(fixture, 0);
    struct lsm_share_end end;
    uint64_t published;
    options.exclusive = true;
    assert_int_equal(fixture_join_with(fixture, 0, &options), LSM_OK);
    struct lsm_share *alone = fixture->process[0].share;
    assert_int_equal(lsm_share_ready(alone, NULL), LSM_OK);
    for (uint64_t position = 64; position <= 128; position += 64) {
        assert_int_equal(lsm_share_begin_write(alone, 0, &end, &published, NULL), LSM_OK);
        assert_true(end.position == position - 64 && !end.died && published == end.position);
        lsm_share_append_begin(alone);
        lsm_share_end_write(alone, position, position);
        assert_true(lsm_share_published(alone) == position && !lsm_share_log_end(alone).died);
    }
}

static void a_transaction_beside_another_ones_does_not_begin(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    struct lsm_share_end end;
    struct lsm_error err = {0};
    uint64_t published;
    assert_int_equal(lsm_share_begin_write(a, 0, &end, &published, NULL), LSM_OK);
    assert_int_equal(lsm_share_begin_write(b, 3000, &end, &published, &err), LSM_BUSY);
    assert_non_null(strstr(err.text, "(test) is writing"));
    lsm_share_append_begin(a);
    lsm_share_end_write(a, 64, 128);
    assert_int_equal(lsm_share_begin_write(b, 0, &end, &published, NULL), LSM_OK);
    assert_true(published == 64 && end.position == 128 && !end.died);
    lsm_share_end_write(b, 128, 128);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_busy_lock_says_who_has_it_and_is_free_when_he_dies),     TEST(who_takes_the_slot_of_a_dead_writer_does_not_write_for_him),
        TEST(threads_of_several_processes_write_one_at_a_time),         TEST(waiting_for_a_lock_ends_with_the_timeout),
        TEST(a_transaction_of_one_who_is_alone_publishes_as_any_other), TEST(a_transaction_beside_another_ones_does_not_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
