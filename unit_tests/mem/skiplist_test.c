/* skiplist_test.c: the index from inside: prefixes, hints in links, nodes, rebuilds. What it does as a map is memtable_test.c's. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../lsm_core/mem/skiplist_node.h"

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

struct fixture {
    struct lsm_arena arena;
    struct lsm_skiplist list;
};

static void set_up(struct fixture *f, const char *shared) {
    lsm_arena_init(&f->arena);
    assert_int_equal(LSM_OK, lsm_skiplist_init(&f->list, &f->arena, lsm_slice_of(shared, strlen(shared))));
}

static bool add(struct fixture *f, const char *key) {
    size_t size = strlen(key);
    if (lsm_skiplist_locate(&f->list, lsm_slice_of(key, size)) != NULL) return false;
    uint32_t offset;
    struct mem_entry *entry = lsm_arena_alloc(&f->arena, LSM_ARENA_DATA, sizeof *entry + size, &offset);
    assert_non_null(entry);
    atomic_init(&entry->newest, 0);
    entry->key_bytes = (uint32_t)size;
    memcpy(entry->key, key, size);
    assert_int_equal(LSM_OK, lsm_skiplist_insert(&f->list, offset));
    return true;
}

static void check(const struct fixture *f) {
    const char *broken = lsm_skiplist_check(&f->list);
    if (broken != NULL) fail_msg("%s", broken);
}

static void numbered_key(char key[40], unsigned number) { (void)snprintf(key, 40, "tree%012u", number); }

static bool has(const struct fixture *f, const char *key) {
    const struct mem_entry *entry = lsm_skiplist_find(&f->list, lsm_slice_of(key, strlen(key)));
    if (entry == NULL) return false;
    assert_true(lsm_slice_equal(mem_entry_key(entry), lsm_slice_of(key, strlen(key))));
    return true;
}

static void a_prefix_never_decreases_from_a_key_to_a_greater_one(void **state) {
    (void)state;
    static const uint8_t alphabet[] = {0, 1, 'k', 0xfe, 0xff};
    for (int i = 0; i < 300000; i++) {
        uint8_t a[14], b[14], s[5];
        struct lsm_slice shared = lsm_slice_of(s, next_random() % 5), low, high;
        low = lsm_slice_of(a, next_random() % 14);
        high = lsm_slice_of(b, next_random() % 14);
        for (size_t n = 0; n < sizeof a; n++) a[n] = alphabet[next_random() % 5];
        memcpy(b, a, sizeof b);
        b[next_random() % sizeof b] = alphabet[next_random() % 5];
        b[next_random() % sizeof b] = alphabet[next_random() % 5];
        memcpy(s, a, sizeof s);
        if (next_random() % 2 == 0) s[next_random() % sizeof s] = alphabet[next_random() % 5];
        bool outside_low, outside_high;
        uint64_t prefix_low = key_prefix(shared, low, &outside_low), prefix_high = key_prefix(shared, high, &outside_high);
        int order = lsm_slice_compare(low, high);
        if (order < 0) assert_true(prefix_low <= prefix_high);
        if (order > 0) assert_true(prefix_low >= prefix_high);
        assert_int_equal(outside_low, lsm_slice_common(shared, low) < shared.size);
    }
}

static void the_structure_holds_after_every_insert(void **state) {
    (void)state;
    struct fixture f;
    set_up(&f, "");
    check(&f);
    for (unsigned i = 0; i < 600; i++) {
        char key[40];
        numbered_key(key, i % 3 == 0 ? i : (unsigned)(next_random() % 100000));
        (void)add(&f, key);
        assert_false(add(&f, key));
        check(&f);
    }
    lsm_arena_release(&f.arena);
}

static size_t node_count(const struct fixture *f) {
    size_t count = 0;
    for (const struct lsm_skiplist_node *node = root_head(list_root(&f->list)); node != NULL; node = node_next(node, 0)) count++;
    return count;
}

static void nodes_are_full_after_ascending_inserts_even_into_the_middle(void **state) {
    (void)state;
    struct fixture f;
    char key[40];
    set_up(&f, "tree");
    for (unsigned i = 0; i < 1500; i++) {
        numbered_key(key, i);
        assert_true(add(&f, key));
    }
    assert_int_equal(node_count(&f), 100);
    /* A second run of ascending keys between two old ones, and two runs in turns. */
    for (unsigned i = 0; i < 1500; i++) {
        (void)snprintf(key, sizeof key, "tree%012u-%06u", 700u, i);
        assert_true(add(&f, key));
        (void)snprintf(key, sizeof key, "tree%012u-%06u", 200u, i);
        assert_true(add(&f, key));
    }
    check(&f);
    assert_true(node_count(&f) < 320);
    lsm_arena_release(&f.arena);
}

/* Between two stores of the inserter a reader finds a link's prefix newer, so smaller, than its node; on upper levels it may also miss a node. */
static void stale_prefixes_in_links_mislead_nobody(void **state) {
    (void)state;
    for (int newer = 0; newer < 2; newer++) {
        struct fixture f;
        char key[40];
        set_up(&f, "tree");
        for (unsigned i = 0; i < 20000; i++) {
            numbered_key(key, (i * 7919u) % 20000u * 2);
            assert_true(add(&f, key));
        }
        for (struct lsm_skiplist_node *node = root_head(list_root(&f.list)); node != NULL; node = node_next(node, 0)) {
            for (unsigned level = newer != 0 ? 0 : 1; level < node->height; level++) {
                uint64_t _Atomic *prefix = &node_link_mut(node, level)->prefix;
                uint64_t stale = newer != 0 ? next_random() % (atomic_load(prefix) + 1) : UINT64_MAX;
                atomic_store(prefix, stale);
            }
        }
        for (unsigned i = 0; i < 40000; i += newer != 0 ? 1 : 97) {
            numbered_key(key, i);
            assert_int_equal(has(&f, key), i % 2 == 0);
        }
        lsm_arena_release(&f.arena);
    }
}

static size_t shared_bytes(const struct fixture *f) { return list_root(&f->list)->shared.size; }

static void the_shared_prefix_is_lengthened_early_and_cut_when_keys_leave_it(void **state) {
    (void)state;
    struct fixture f;
    char key[40];
    set_up(&f, "tree");
    for (unsigned i = 0; i < 64; i++) {
        numbered_key(key, i);
        assert_true(add(&f, key));
    }
    assert_int_equal(shared_bytes(&f), 14); /* two digits vary */
    for (unsigned i = 64; i < 2000; i++) {
        numbered_key(key, i);
        assert_true(add(&f, key));
    }
    assert_int_equal(shared_bytes(&f), 12); /* three digits vary, and one is kept in reserve */
    for (unsigned i = 2000; i < 30000; i++) {
        numbered_key(key, i);
        assert_true(add(&f, key));
        if (i == 10000) check(&f);
    }
    assert_int_equal(shared_bytes(&f), 10);
    check(&f);
    for (unsigned i = 0; i < 30000; i++) {
        numbered_key(key, i);
        assert_true(has(&f, key));
    }
    lsm_arena_release(&f.arena);
}

static void a_stray_key_does_not_spoil_the_prefix_of_the_others(void **state) {
    (void)state;
    struct fixture f;
    char key[40];
    set_up(&f, "tree0000");
    assert_true(add(&f, "a"));
    assert_true(add(&f, "z"));
    for (unsigned i = 0; i < 5000; i++) {
        numbered_key(key, i);
        assert_true(add(&f, key));
    }
    assert_int_equal(shared_bytes(&f), 8);
    assert_true(has(&f, "a"));
    assert_true(has(&f, "z"));
    check(&f);
    lsm_arena_release(&f.arena);
}

static void a_rebuild_without_memory_is_put_off(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct fixture f;
    char key[40];
    set_up(&f, "");
    /* The arena's first chunk is used up, so that the rebuild at 64 keys has to ask for memory. */
    for (unsigned i = 0; i < 63; i++) {
        numbered_key(key, i);
        assert_true(add(&f, key));
    }
    numbered_key(key, 63);
    while (f.arena.now.cursor[0].bytes - f.arena.now.cursor[0].used > 600) assert_non_null(lsm_arena_alloc(&f.arena, LSM_ARENA_DATA, 64, NULL));
    size_t used = f.arena.now.cursor[0].bytes;
    lsm_mem_fail_after(1, true);
    assert_true(add(&f, key));
    lsm_mem_fail_after(0, false);
    assert_int_equal(f.arena.now.cursor[0].bytes, used);
    assert_int_equal(shared_bytes(&f), 0);
    assert_true(f.list.retry_keys > 64);
    check(&f);
    for (unsigned i = 64; i < 2000; i++) {
        numbered_key(key, i);
        assert_true(add(&f, key));
    }
    assert_true(shared_bytes(&f) > 8);
    check(&f);
    lsm_arena_release(&f.arena);
    assert_int_equal(lsm_mem_live(), live);
}

static void a_reader_walks_on_over_an_index_that_was_replaced(void **state) {
    (void)state;
    struct fixture f;
    char key[40];
    set_up(&f, "");
    for (unsigned i = 0; i < 60; i++) {
        numbered_key(key, i * 1000);
        assert_true(add(&f, key));
    }
    const struct lsm_skiplist_root *old = list_root(&f.list);
    struct lsm_skiplist_place up, down;
    const struct mem_entry *above = lsm_skiplist_first(&f.list, &up), *under = lsm_skiplist_last(&f.list, &down);
    for (unsigned i = 0; i < 5000; i++) {
        numbered_key(key, (unsigned)(next_random() % 60000) * 10 + 5);
        (void)add(&f, key);
    }
    assert_ptr_not_equal(list_root(&f.list), old);
    unsigned seen_up = 0, seen_down = 0;
    for (; above != NULL; above = lsm_skiplist_next(&f.list, &up)) {
        if (seen_up < 60) numbered_key(key, seen_up * 1000);
        seen_up += memcmp(above->key, key, above->key_bytes) == 0;
    }
    for (; under != NULL; under = lsm_skiplist_prev(&f.list, &down)) {
        if (seen_down < 60) numbered_key(key, (59 - seen_down) * 1000);
        seen_down += memcmp(under->key, key, under->key_bytes) == 0;
    }
    assert_int_equal(seen_up, 60);
    assert_int_equal(seen_down, 60);
    lsm_arena_release(&f.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_never_decreases_from_a_key_to_a_greater_one),
        cmocka_unit_test(the_structure_holds_after_every_insert),
        cmocka_unit_test(nodes_are_full_after_ascending_inserts_even_into_the_middle),
        cmocka_unit_test(stale_prefixes_in_links_mislead_nobody),
        cmocka_unit_test(the_shared_prefix_is_lengthened_early_and_cut_when_keys_leave_it),
        cmocka_unit_test(a_stray_key_does_not_spoil_the_prefix_of_the_others),
        cmocka_unit_test(a_rebuild_without_memory_is_put_off),
        cmocka_unit_test(a_reader_walks_on_over_an_index_that_was_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
