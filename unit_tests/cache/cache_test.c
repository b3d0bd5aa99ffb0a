#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../lsm_core/cache/cache.h"
#include "../../lsm_core/env/sync.h"

/* Entries of 128 bytes, unless a test says so: sizes count in steps of 64. */
struct thing {
    struct lsm_cache_entry entry;
    uint64_t number;
    unsigned magic;
};

#define ALIVE 0xa11e0u
#define BYTES 128u
#define SLOTS 5000

static struct lsm_cache_slot slots[SLOTS];

static struct thing *thing_new(struct lsm_cache *cache, uint64_t number, size_t bytes) {
    struct thing *thing = (struct thing *)lsm_cache_entry_new(cache, bytes);
    assert_non_null(thing);
    thing->number = number;
    thing->magic = ALIVE;
    return thing;
}

static struct thing *put(struct lsm_cache *cache, uint64_t number, size_t bytes) {
    return (struct thing *)lsm_cache_insert(cache, &slots[number], &thing_new(cache, number, bytes)->entry);
}

static void put_loosely(struct lsm_cache *cache, uint64_t number) { lsm_cache_unpin(cache, &put(cache, number, BYTES)->entry); }

static struct thing *find(struct lsm_cache *cache, uint64_t number) { return (struct thing *)lsm_cache_pin(cache, &slots[number]); }

static bool has(struct lsm_cache *cache, uint64_t number) {
    struct thing *thing = find(cache, number);
    if (thing != NULL) {
        assert_int_equal(thing->magic, ALIVE);
        assert_int_equal(thing->number, number);
        lsm_cache_unpin(cache, &thing->entry);
    }
    return thing != NULL;
}

static size_t bytes_of(struct lsm_cache *cache) {
    struct lsm_cache_stats stats;
    lsm_cache_stats(cache, &stats);
    return stats.bytes;
}

static void end(struct lsm_cache *cache) {
    for (size_t i = 0; i < SLOTS; i++) lsm_cache_erase(cache, &slots[i]);
    assert_int_equal(bytes_of(cache), 0);
    lsm_cache_free(cache);
    assert_int_equal(lsm_mem_live(), 0);
}

static void what_is_put_in_is_found_in_its_slot(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(1000000);
    for (uint64_t i = 0; i < 3000; i++) put_loosely(cache, i);
    for (uint64_t i = 0; i < 3000; i++) assert_true(has(cache, i));
    assert_false(has(cache, 3000));
    assert_false(has(cache, 4999));
    struct lsm_cache_stats stats;
    lsm_cache_stats(cache, &stats);
    assert_int_equal(stats.hits, 3000);
    assert_int_equal(stats.misses, 2);
    assert_int_equal(stats.bytes, 3000 * BYTES);
    assert_int_equal(lsm_cache_room(cache), 1000000 - 3000 * BYTES);
    end(cache);
}

static void the_bound_holds_and_the_unused_goes_first(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(100 * BYTES);
    for (uint64_t i = 0; i < 50; i++) put_loosely(cache, i);
    for (uint64_t i = 50; i < 1000; i++) {
        for (uint64_t hot = 0; hot < 50; hot++) assert_true(has(cache, hot));
        put_loosely(cache, i);
        assert_true(bytes_of(cache) <= 100 * BYTES);
    }
    end(cache);
}

/* The hand goes round: nothing is pushed out before what was there longer, give or take that each of the shards has a hand of its own. */
static void the_youngest_do_not_go_first(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(1000 * BYTES);
    uint64_t young = 0;
    for (uint64_t i = 0; i < 4000; i++) put_loosely(cache, i);
    for (uint64_t i = 3500; i < 4000; i++) young += has(cache, i);
    assert_true(young > 400);
    end(cache);
}

static void pinned_entries_stay_and_go_over_the_bound(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(10 * BYTES);
    struct thing *pinned[30];
    for (uint64_t i = 0; i < 30; i++) pinned[i] = put(cache, i, BYTES);
    assert_int_equal(bytes_of(cache), 30 * BYTES);
    assert_int_equal(lsm_cache_room(cache), 0);
    for (uint64_t i = 0; i < 30; i++) {
        lsm_cache_erase(cache, &slots[i]);
        assert_true(has(cache, i));
    }
    for (uint64_t i = 0; i < 30; i++) lsm_cache_unpin(cache, &pinned[i]->entry);
    assert_true(bytes_of(cache) <= 10 * BYTES);
    end(cache);
}

static void an_entry_larger_than_the_cache_pushes_nothing_out(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(10 * BYTES);
    for (uint64_t i = 0; i < 10; i++) put_loosely(cache, i);
    struct thing *big = put(cache, 99, 5000);
    assert_int_equal(big->magic, ALIVE);
    lsm_cache_unpin(cache, &big->entry);
    assert_false(has(cache, 99));
    for (uint64_t i = 0; i < 10; i++) assert_true(has(cache, i));
    end(cache);
}

static void the_first_of_two_equal_entries_wins(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(10 * BYTES);
    struct thing *first = put(cache, 5, BYTES), *second = put(cache, 5, BYTES);
    assert_ptr_equal(first, second);
    lsm_cache_unpin(cache, &first->entry);
    lsm_cache_unpin(cache, &second->entry);
    assert_int_equal(bytes_of(cache), BYTES);
    end(cache);
}

static void erasing_empties_one_slot(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(100000);
    for (uint64_t i = 0; i < 200; i++) put_loosely(cache, i);
    for (uint64_t i = 0; i < 200; i += 2) lsm_cache_erase(cache, &slots[i]);
    lsm_cache_erase(cache, &slots[0]);
    for (uint64_t i = 0; i < 200; i++) assert_int_equal(has(cache, i), i % 2);
    assert_int_equal(bytes_of(cache), 100 * BYTES);
    end(cache);
}

static void memory_of_what_was_pushed_out_is_used_again(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(100 * BYTES);
    for (uint64_t i = 0; i < 200; i++) put_loosely(cache, i);
    uint64_t live = (uint64_t)lsm_mem_live();
    for (uint64_t i = 200; i < 4000; i++) {
        put_loosely(cache, i);
        assert_true((uint64_t)lsm_mem_live() <= live + 64);
    }
    end(cache);
}

static void the_capacity_can_change(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(0);
    put_loosely(cache, 1);
    assert_false(has(cache, 1));
    lsm_cache_set_capacity(cache, 100 * BYTES);
    assert_int_equal(lsm_cache_capacity(cache), 100 * BYTES);
    for (uint64_t i = 0; i < 100; i++) put_loosely(cache, i);
    assert_int_equal(bytes_of(cache), 100 * BYTES);
    lsm_cache_set_capacity(cache, 30 * BYTES);
    assert_true(bytes_of(cache) <= 30 * BYTES);
    end(cache);
}

static void what_is_held_beside_it_counts_for_half_at_most(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(100 * BYTES);
    for (uint64_t i = 0; i < 100; i++) put_loosely(cache, i);
    assert_int_equal(bytes_of(cache), 100 * BYTES);
    lsm_cache_hold(cache, 20 * BYTES);
    assert_int_equal(bytes_of(cache), 80 * BYTES);
    lsm_cache_hold(cache, 10000 * BYTES);
    assert_int_equal(bytes_of(cache), 50 * BYTES);
    lsm_cache_hold(cache, -10000 * (int64_t)BYTES);
    for (uint64_t i = 100; i < 200; i++) put_loosely(cache, i);
    assert_int_equal(bytes_of(cache), 80 * BYTES);
    lsm_cache_hold(cache, -20 * (int64_t)BYTES);
    for (uint64_t i = 200; i < 300; i++) put_loosely(cache, i);
    assert_int_equal(bytes_of(cache), 100 * BYTES);
    assert_int_equal(lsm_cache_capacity(cache), 100 * BYTES);
    end(cache);
}

static void running_out_of_memory_is_survived(void **state) {
    (void)state;
    for (int64_t n = 1;; n++) {
        lsm_mem_fail_after(n, false);
        struct lsm_cache *cache = lsm_cache_new(100);
        lsm_mem_fail_after(0, false);
        assert_int_equal(lsm_mem_live() == 0, cache == NULL);
        lsm_cache_free(cache);
        if (cache != NULL) break;
    }
    /* What cannot be noted in the books is its user's, and found by nobody else. */
    static struct thing *things[SLOTS];
    struct lsm_cache *cache = lsm_cache_new(10000000);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < SLOTS; i++) things[i] = thing_new(cache, i, BYTES);
    lsm_mem_fail_after(1, true);
    for (uint64_t i = 0; i < SLOTS; i++) {
        assert_ptr_equal(lsm_cache_insert(cache, &slots[i], &things[i]->entry), &things[i]->entry);
        lsm_cache_unpin(cache, &things[i]->entry);
    }
    assert_null(lsm_cache_entry_new(cache, BYTES));
    lsm_mem_fail_after(0, false);
    for (uint64_t i = 0; i < SLOTS; i++) kept += has(cache, i);
    assert_true(kept >= 16 && kept < SLOTS);
    assert_int_equal(bytes_of(cache), kept * BYTES);
    end(cache);
}

/* ---- threads -------------------------------------------------------------------------------------------------- */

struct worker {
    struct lsm_thread thread;
    struct lsm_cache *cache;
    uint64_t random;
    uint64_t found;
};

static void work(void *arg) {
    struct worker *worker = arg;
    for (int n = 0; n < 60000; n++) {
        worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
        uint64_t number = (worker->random >> 33) % 500;
        struct thing *thing = find(worker->cache, number);
        if (thing != NULL)
            worker->found++;
        else
            thing = put(worker->cache, number, 64 + number % 200);
        assert_true(thing->magic == ALIVE && thing->number == number);
        if (n % 1000 == 0) lsm_cache_set_capacity(worker->cache, 5000 + (worker->random >> 40) % 40000);
        if (n % 77 == 0) lsm_cache_erase(worker->cache, &slots[(number + 1) % 500]);
        assert_true(thing->magic == ALIVE && thing->number == number);
        lsm_cache_unpin(worker->cache, &thing->entry);
    }
}

static void threads_share_it(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(40000);
    struct worker workers[4] = {0};
    for (uint64_t i = 0; i < 4; i++) {
        workers[i].cache = cache;
        workers[i].random = i + 1;
        assert_int_equal(lsm_thread_start(&workers[i].thread, "cache-test", work, &workers[i]), LSM_OK);
    }
    for (size_t i = 0; i < 4; i++) {
        lsm_thread_join(&workers[i].thread);
        assert_true(workers[i].found > 1000);
    }
    assert_true(bytes_of(cache) <= lsm_cache_capacity(cache));
    end(cache);
}

/* Table files that are opened, read and closed while other threads' blocks push theirs out. */
static void come_and_go(void *arg) {
    enum { OWN = 16 };
    struct worker *worker = arg;
    for (uint64_t round = 0; round < 2000; round++) {
        struct lsm_cache_slot *own = lsm_calloc(OWN, sizeof *own);
        for (uint64_t i = 0; i < OWN; i++) {
            struct thing *thing = thing_new(worker->cache, i, BYTES);
            lsm_cache_unpin(worker->cache, lsm_cache_insert(worker->cache, &own[i], &thing->entry));
        }
        for (uint64_t i = 0; i < OWN; i++) {
            lsm_cache_erase(worker->cache, &own[i]);
            if (atomic_load(&own[i].entry) == NULL) worker->found++;
        }
        memset(own, 0xff, OWN * sizeof *own);
        lsm_free(own);
    }
}

/* Nobody looks at a slot that was erased: the hand may have been emptying it at that moment. */
static void slots_go_while_the_hand_goes_round(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(20 * (size_t)BYTES);
    struct worker workers[4] = {0};
    for (uint64_t i = 0; i < 4; i++) {
        workers[i].cache = cache;
        assert_int_equal(lsm_thread_start(&workers[i].thread, "cache-test", come_and_go, &workers[i]), LSM_OK);
    }
    for (size_t i = 0; i < 4; i++) {
        lsm_thread_join(&workers[i].thread);
        assert_int_equal(workers[i].found, 2000 * 16);
    }
    assert_int_equal(bytes_of(cache), 0);
    lsm_cache_free(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_in_is_found_in_its_slot),
        cmocka_unit_test(the_bound_holds_and_the_unused_goes_first),
        cmocka_unit_test(the_youngest_do_not_go_first),
        cmocka_unit_test(pinned_entries_stay_and_go_over_the_bound),
        cmocka_unit_test(an_entry_larger_than_the_cache_pushes_nothing_out),
        cmocka_unit_test(the_first_of_two_equal_entries_wins),
        cmocka_unit_test(erasing_empties_one_slot),
        cmocka_unit_test(memory_of_what_was_pushed_out_is_used_again),
        cmocka_unit_test(the_capacity_can_change),
        cmocka_unit_test(what_is_held_beside_it_counts_for_half_at_most),
        cmocka_unit_test(running_out_of_memory_is_survived),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(slots_go_while_the_hand_goes_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
