/* A checker that never finds anything proves nothing: each invariant of skiplist_node.h that lsm_skiplist_check() looks at, broken by hand and named. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../lsm_core/mem/skiplist_node.h"

enum { KEYS = 600 };

static struct lsm_arena arena;
static struct lsm_skiplist list;

static void add(unsigned number) {
    char key[40];
    int size = snprintf(key, sizeof key, "tree%06u", number);
    assert_null(lsm_skiplist_locate(&list, lsm_slice_of(key, (size_t)size)));
    uint32_t offset;
    struct mem_entry *entry = lsm_arena_alloc(&arena, LSM_ARENA_DATA, sizeof *entry + (size_t)size, &offset);
    assert_non_null(entry);
    atomic_init(&entry->newest, 0);
    entry->key_bytes = (uint32_t)size;
    memcpy(entry->key, key, (size_t)size);
    assert_int_equal(lsm_skiplist_insert(&list, offset), LSM_OK);
}

static int set_up(void **state) {
    (void)state;
    lsm_arena_init(&arena);
    assert_int_equal(lsm_skiplist_init(&list, &arena, lsm_slice_of("tree", 4)), LSM_OK);
    for (unsigned i = 0; i < KEYS; i++) add(i * 7919 % 100003);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    lsm_arena_release(&arena);
    return 0;
}

static void is_fine(void) {
    const char *broken = lsm_skiplist_check(&list);
    if (broken != NULL) fail_msg("%s", broken);
}

static void must_name(const char *words) {
    const char *broken = lsm_skiplist_check(&list);
    if (broken == NULL) fail_msg("'%s' was not found", words);
    assert_string_equal(broken, words);
}

/* The field has another value for a moment. */
#define BROKEN(type, field, value, words)                                                                                                            \
    do {                                                                                                                                             \
        type kept_ = (field);                                                                                                                        \
        (field) = (value);                                                                                                                           \
        must_name(words);                                                                                                                            \
        (field) = kept_;                                                                                                                             \
        is_fine();                                                                                                                                   \
    } while (0)

/* The entries at two ranks of a node, exchanged in its order. */
static uint64_t swapped(uint64_t slots, unsigned a, unsigned b) {
    uint64_t one = slots_at(slots, a), two = slots_at(slots, b), mask = (uint64_t)15 << (4 * (a + 1)) | (uint64_t)15 << (4 * (b + 1));
    return (slots & ~mask) | two << (4 * (a + 1)) | one << (4 * (b + 1));
}

static void what_is_wrong_with_a_node_is_named(void **state) {
    (void)state;
    struct lsm_skiplist_node *head = root_head(list_root(&list)), *node = node_next(head, 0), *next = node_next(node, 0);
    uint64_t slots = node_slots(node);
    is_fine();
    assert_true(slots_count(slots) > 2);
    BROKEN(uint64_t, node->low_prefix, node->low_prefix + 1, "a low's prefix is not its key's");
    BROKEN(uint64_t, head->low_prefix, 1, "only the head has no low");
    BROKEN(uint64_t, node->prefix[slots_at(slots, 1)], 5, "a prefix is not its key's");
    BROKEN(uint64_t, node->slots, (slots & ~(uint64_t)0xf0) | (slots >> 4 & 0xf0), "slots are not a permutation");
    BROKEN(uint64_t, node->slots, (slots & ~(uint64_t)0xf0) | (uint64_t)slots_count(slots) << 4, "slots are not a permutation");
    BROKEN(uint64_t, node->slots, swapped(slots, 0, 1), "entries out of order");
    BROKEN(uint64_t, node->slots, 0, "an empty node in a list that is not empty");
    BROKEN(struct lsm_skiplist_node *, next->prev, head, "prev is not the node before");
    BROKEN(struct lsm_skiplist_node *, head->prev, node, "something before the head");
    BROKEN(uint32_t, next->low_entry, 0, "only the head has no low");
    BROKEN(uint32_t, head->height, LEVELS - 1, "the head is not of full height");
    /* The low is another key's: the next node's, behind the node's own entries, or one of the node before. */
    struct lsm_skiplist_node kept = {.low_entry = node->low_entry, .low_prefix = node->low_prefix};
    unsigned last = slots_at(node_slots(head), slots_count(node_slots(head)) - 1);
    node->low_entry = next->low_entry;
    node->low_prefix = next->low_prefix;
    must_name("an entry below the node's low");
    node->low_entry = head->entry[last];
    node->low_prefix = head->prefix[last];
    must_name("nodes overlap");
    node->low_entry = kept.low_entry;
    node->low_prefix = kept.low_prefix;
    is_fine();
}

static void what_is_wrong_with_the_levels_and_counts_is_named(void **state) {
    (void)state;
    struct lsm_skiplist_root *root = list_root(&list);
    struct lsm_skiplist_node *head = root_head(root), *tall = node_next(head, 1);
    assert_non_null(tall);
    BROKEN(size_t, list.keys, KEYS + 1, "the number of keys is wrong");
    BROKEN(size_t, list.nodes, 1, "the number of nodes is wrong");
    BROKEN(unsigned, root->levels, 1, "a level out of use has a node");
    BROKEN(uint64_t, node_link_mut(head, 1)->prefix, 1, "a link's prefix is not its node's");
    BROKEN(uint32_t, tall->height, 1, "a level misses a node or leads to a frozen one");
    struct lsm_skiplist_node *last = head;
    while (node_next(last, 1) != NULL) last = node_next(last, 1);
    node_link_mut(last, 1)->prefix = head->low_prefix;
    BROKEN(struct lsm_skiplist_node *, node_link_mut(last, 1)->node, head, "a level goes on behind level 0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_wrong_with_a_node_is_named),
        TEST(what_is_wrong_with_the_levels_and_counts_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
