#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../lsm_core/cache/cache.h"
#include "../../lsm_core/env/sync.h"

struct thing {
    struct lsm_cache_entry entry;
    uint64_t owner, offset;
    unsigned magic;
};

#define ALIVE 0xa11e0u

static void thing_free(struct lsm_cache_entry *entry) {
    struct thing *thing = (struct thing *)entry;
    assert_int_equal(thing->magic, ALIVE);
    thing->magic = 0;
    lsm_free(thing);
}

static struct thing *put(struct lsm_cache *cache, uint64_t owner, uint64_t offset, size_t charge) {
    struct thing *thing = lsm_calloc(1, sizeof *thing);
    assert_non_null(thing);
    *thing = (struct thing){.owner = owner, .offset = offset, .magic = ALIVE};
    return (struct thing *)lsm_cache_insert(cache, owner, offset, charge, thing_free, &thing->entry);
}

static struct thing *find(struct lsm_cache *cache, uint64_t owner, uint64_t offset) { return (struct thing *)lsm_cache_lookup(cache, owner, offset); }

static bool has(struct lsm_cache *cache, uint64_t owner, uint64_t offset) {
    struct thing *thing = find(cache, owner, offset);
    if (thing != NULL) lsm_cache_unpin(cache, &thing->entry);
    return thing != NULL;
}

static size_t bytes_of(struct lsm_cache *cache) {
    struct lsm_cache_stats stats;
    lsm_cache_stats(cache, &stats);
    return stats.bytes;
}

static void what_is_put_in_is_found_by_owner_and_offset(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(1000000);
    for (uint64_t i = 0; i < 3000; i++) lsm_cache_unpin(cache, &put(cache, i % 3, i / 3, 10)->entry);
    for (uint64_t i = 0; i < 3000; i++) {
        struct thing *thing = find(cache, i % 3, i / 3);
        assert_true(thing != NULL && thing->owner == i % 3 && thing->offset == i / 3);
        lsm_cache_unpin(cache, &thing->entry);
    }
    assert_false(has(cache, 3, 0));
    assert_false(has(cache, 0, 1000));
    struct lsm_cache_stats stats;
    lsm_cache_stats(cache, &stats);
    assert_int_equal(stats.hits, 3000);
    assert_int_equal(stats.misses, 2);
    assert_int_equal(stats.bytes, 30000);
    lsm_cache_free(cache);
}

static void the_bound_holds_and_the_unused_goes_first(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(10000);
    for (uint64_t i = 0; i < 50; i++) lsm_cache_unpin(cache, &put(cache, 1, i, 100)->entry);
    for (uint64_t i = 50; i < 1000; i++) {
        for (uint64_t hot = 0; hot < 50; hot++) assert_true(has(cache, 1, hot));
        lsm_cache_unpin(cache, &put(cache, 1, i, 100)->entry);
        assert_true(bytes_of(cache) <= 10000);
    }
    lsm_cache_free(cache);
}

static void pinned_entries_stay_and_go_over_the_bound(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(1000);
    struct thing *pinned[30];
    for (uint64_t i = 0; i < 30; i++) pinned[i] = put(cache, 1, i, 100);
    assert_int_equal(bytes_of(cache), 3000);
    for (uint64_t i = 0; i < 30; i++) {
        assert_int_equal(pinned[i]->magic, ALIVE);
        assert_true(has(cache, 1, i));
    }
    for (uint64_t i = 0; i < 30; i++) lsm_cache_unpin(cache, &pinned[i]->entry);
    assert_true(bytes_of(cache) <= 1000);
    lsm_cache_free(cache);
}

static void an_entry_larger_than_the_cache_pushes_nothing_out(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(1000);
    for (uint64_t i = 0; i < 10; i++) lsm_cache_unpin(cache, &put(cache, 1, i, 100)->entry);
    struct thing *big = put(cache, 1, 99, 5000);
    assert_int_equal(big->magic, ALIVE);
    lsm_cache_unpin(cache, &big->entry);
    assert_false(has(cache, 1, 99));
    for (uint64_t i = 0; i < 10; i++) assert_true(has(cache, 1, i));
    lsm_cache_free(cache);
}

static void the_first_of_two_equal_entries_wins(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(1000);
    struct thing *first = put(cache, 1, 5, 100), *second = put(cache, 1, 5, 100);
    assert_ptr_equal(first, second);
    lsm_cache_unpin(cache, &first->entry);
    lsm_cache_unpin(cache, &second->entry);
    assert_int_equal(bytes_of(cache), 100);
    lsm_cache_free(cache);
}

static void dropping_an_owner_leaves_the_others(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(100000);
    uint64_t a = lsm_cache_owner_new(cache), b = lsm_cache_owner_new(cache);
    assert_int_not_equal(a, b);
    for (uint64_t i = 0; i < 100; i++) {
        lsm_cache_unpin(cache, &put(cache, a, i, 10)->entry);
        lsm_cache_unpin(cache, &put(cache, b, i, 10)->entry);
    }
    lsm_cache_erase(cache, b, 7);
    lsm_cache_erase(cache, b, 7);
    lsm_cache_owner_drop(cache, a);
    for (uint64_t i = 0; i < 100; i++) {
        assert_false(has(cache, a, i));
        assert_int_equal(has(cache, b, i), i != 7);
    }
    assert_int_equal(bytes_of(cache), 990);
    lsm_cache_free(cache);
}

static void the_capacity_can_change(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(0);
    lsm_cache_unpin(cache, &put(cache, 1, 1, 10)->entry);
    assert_false(has(cache, 1, 1));
    lsm_cache_set_capacity(cache, 1000);
    assert_int_equal(lsm_cache_capacity(cache), 1000);
    for (uint64_t i = 0; i < 100; i++) lsm_cache_unpin(cache, &put(cache, 1, i, 10)->entry);
    assert_int_equal(bytes_of(cache), 1000);
    lsm_cache_set_capacity(cache, 300);
    assert_true(bytes_of(cache) <= 300);
    lsm_cache_free(cache);
}

static void what_is_held_beside_it_counts_for_half_at_most(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(1000);
    for (uint64_t i = 0; i < 100; i++) lsm_cache_unpin(cache, &put(cache, 1, i, 10)->entry);
    assert_int_equal(bytes_of(cache), 1000);
    lsm_cache_hold(cache, 200);
    assert_int_equal(bytes_of(cache), 800);
    lsm_cache_hold(cache, 100000);
    assert_int_equal(bytes_of(cache), 500);
    lsm_cache_hold(cache, -100000);
    for (uint64_t i = 100; i < 200; i++) lsm_cache_unpin(cache, &put(cache, 1, i, 10)->entry);
    assert_int_equal(bytes_of(cache), 800);
    lsm_cache_hold(cache, -200);
    for (uint64_t i = 200; i < 300; i++) lsm_cache_unpin(cache, &put(cache, 1, i, 10)->entry);
    assert_int_equal(bytes_of(cache), 1000);
    assert_int_equal(lsm_cache_capacity(cache), 1000);
    lsm_cache_free(cache);
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
    /* A table that cannot grow still works. */
    struct lsm_cache *cache = lsm_cache_new(1000000);
    struct thing *things[5000];
    for (uint64_t i = 0; i < 5000; i++) {
        things[i] = lsm_calloc(1, sizeof *things[i]);
        *things[i] = (struct thing){.magic = ALIVE};
    }
    lsm_mem_fail_after(1, true);
    for (uint64_t i = 0; i < 5000; i++) lsm_cache_unpin(cache, lsm_cache_insert(cache, 1, i, 1, thing_free, &things[i]->entry));
    lsm_mem_fail_after(0, false);
    for (uint64_t i = 0; i < 5000; i++) assert_true(has(cache, 1, i));
    lsm_cache_free(cache);
    assert_int_equal(lsm_mem_live(), 0);
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
        uint64_t offset = (worker->random >> 33) % 500;
        struct thing *thing = find(worker->cache, 1, offset);
        if (thing != NULL)
            worker->found++;
        else
            thing = put(worker->cache, 1, offset, 50 + offset % 100);
        assert_true(thing->magic == ALIVE && thing->offset == offset);
        if (n % 1000 == 0) lsm_cache_set_capacity(worker->cache, 5000 + (worker->random >> 40) % 20000);
        if (n % 777 == 0) lsm_cache_erase(worker->cache, 1, offset + 1);
        lsm_cache_unpin(worker->cache, &thing->entry);
    }
}

static void threads_share_it(void **state) {
    (void)state;
    struct lsm_cache *cache = lsm_cache_new(20000);
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
    lsm_cache_free(cache);
    assert_int_equal(lsm_mem_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_in_is_found_by_owner_and_offset),
        cmocka_unit_test(the_bound_holds_and_the_unused_goes_first),
        cmocka_unit_test(pinned_entries_stay_and_go_over_the_bound),
        cmocka_unit_test(an_entry_larger_than_the_cache_pushes_nothing_out),
        cmocka_unit_test(the_first_of_two_equal_entries_wins),
        cmocka_unit_test(dropping_an_owner_leaves_the_others),
        cmocka_unit_test(the_capacity_can_change),
        cmocka_unit_test(what_is_held_beside_it_counts_for_half_at_most),
        cmocka_unit_test(running_out_of_memory_is_survived),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
