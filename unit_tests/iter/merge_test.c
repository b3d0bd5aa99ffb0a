/* The merge against an oracle: the union of its sources, sorted, the newest source's entry for each key. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/iter/merge.h"

/* ---- a source: an array of entries ------------------------------------------------------------------------------ */

enum { KEY_BYTES_MAX = 24, ENTRIES_MAX = 64, SOURCES_MAX = 9, ALL_MAX = ENTRIES_MAX * SOURCES_MAX };

struct entry {
    uint8_t key[KEY_BYTES_MAX];
    size_t key_bytes;
    enum lsm_kind kind;
    uint8_t value[2]; /* source and index: tells every entry from all others */
    uint32_t source;
};

struct source {
    struct lsm_iter base;
    struct entry entries[ENTRIES_MAX];
    size_t count, at;
    uint8_t shown[KEY_BYTES_MAX]; /* the key goes when the iterator moves, as with a real source */
    uint64_t calls, fail_at;      /* 0: never */
};

static struct lsm_slice key_of(const struct entry *entry) { return lsm_slice_of(entry->key, entry->key_bytes); }

/* SIZE_MAX is in front of the first. */
static void stand(struct source *source, size_t at) {
    struct lsm_iter *base = &source->base;
    memset(source->shown, 0xee, sizeof source->shown);
    source->at = at;
    base->status = LSM_OK;
    base->valid = at < source->count;
    if (++source->calls == source->fail_at) {
        base->valid = false;
        base->status = lsm_fail(&base->err, LSM_CORRUPT, "source %d fails", source->entries[0].value[0]);
    }
    if (!base->valid) {
        base->key = lsm_slice_of((const void *)(uintptr_t)1, 77); /* nobody may look */
        return;
    }
    const struct entry *entry = &source->entries[at];
    memcpy(source->shown, entry->key, entry->key_bytes);
    base->key = lsm_slice_of(source->shown, entry->key_bytes);
    base->value = lsm_slice_of(entry->value, entry->kind == LSM_KIND_PUT ? 2 : 0);
    base->kind = entry->kind;
}

static size_t lower_bound(const struct entry *entries, size_t count, struct lsm_slice key) {
    size_t at = 0;
    while (at < count && lsm_slice_compare(key_of(&entries[at]), key) < 0) at++;
    return at;
}

static void source_first(struct lsm_iter *iter) { stand((struct source *)iter, 0); }
static void source_last(struct lsm_iter *iter) { stand((struct source *)iter, ((struct source *)iter)->count - 1); }
static void source_seek(struct lsm_iter *iter, struct lsm_slice key) {
    struct source *source = (struct source *)iter;
    stand(source, lower_bound(source->entries, source->count, key));
}
static void source_seek_before(struct lsm_iter *iter, struct lsm_slice key) {
    struct source *source = (struct source *)iter;
    stand(source, lower_bound(source->entries, source->count, key) - 1);
}
static void source_next(struct lsm_iter *iter) {
    assert_true(iter->valid);
    stand((struct source *)iter, ((struct source *)iter)->at + 1);
}
static void source_prev(struct lsm_iter *iter) {
    assert_true(iter->valid);
    stand((struct source *)iter, ((struct source *)iter)->at - 1);
}
static void source_release(struct lsm_iter *iter) {
    (void)iter;
    fail_msg("the merge releases none of its sources");
}

static const struct lsm_iter_ops source_ops = {.first = source_first,
                                               .last = source_last,
                                               .seek = source_seek,
                                               .seek_before = source_seek_before,
                                               .next = source_next,
                                               .prev = source_prev,
                                               .release = source_release};

/* ---- a world: sources, the merge of them, what it should show --------------------------------------------------- */

struct world {
    struct source sources[SOURCES_MAX];
    struct lsm_iter *iters[SOURCES_MAX];
    size_t count, skip;
    struct entry all[ALL_MAX];
    size_t all_count;
    struct lsm_merge_iter merge;
};

/* Keys share their first `skip` bytes; the rest is short, so that keys are equal, prefixes of each other, or differ behind the 8 bytes that
 * the heap compares first. */
static void random_key(uint64_t *random, size_t skip, struct entry *entry) {
    static const uint8_t shared[4] = {0, 0, 0, 7};
    memcpy(entry->key, shared, skip);
    size_t bytes = (size_t)kit_below(random, 4) == 0 ? (size_t)kit_below(random, 14) : (size_t)kit_below(random, 3);
    entry->key_bytes = skip + bytes;
    uint64_t style = kit_below(random, 3);
    for (size_t i = skip; i < entry->key_bytes; i++) {
        if (style == 0)
            entry->key[i] = (uint8_t)kit_below(random, 3); /* zeros look like padding */
        else if (style == 1)
            entry->key[i] = i < skip + 9 ? 'p' : (uint8_t)('a' + kit_below(random, 3)); /* late differences */
        else
            entry->key[i] = (uint8_t)(kit_below(random, 2) == 0 ? 0xff : kit_random(random));
    }
}

/* Put an entry where it belongs; an equal key stays as it is. */
static void insert(struct entry *entries, size_t *count, const struct entry *entry) {
    size_t at = lower_bound(entries, *count, key_of(entry));
    if (at < *count && lsm_slice_equal(key_of(&entries[at]), key_of(entry))) return;
    memmove(&entries[at + 1], &entries[at], (*count - at) * sizeof *entries);
    entries[at] = *entry;
    (*count)++;
}

static void make_world(struct world *world, uint64_t *random, size_t sources, size_t entries_max) {
    memset(world, 0, sizeof *world);
    world->count = sources;
    world->skip = (size_t)kit_below(random, 5);
    for (size_t s = 0; s < sources; s++) {
        struct source *source = &world->sources[s];
        source->base.ops = &source_ops;
        world->iters[s] = &source->base;
        size_t wanted = (size_t)kit_below(random, entries_max + 1);
        for (size_t i = 0; i < wanted; i++) {
            struct entry entry = {.source = (uint32_t)s, .kind = kit_below(random, 4) == 0 ? LSM_KIND_DELETE : LSM_KIND_PUT};
            random_key(random, world->skip, &entry);
            insert(source->entries, &source->count, &entry);
        }
        for (size_t i = 0; i < source->count; i++) {
            source->entries[i].value[0] = (uint8_t)s;
            source->entries[i].value[1] = (uint8_t)i;
            insert(world->all, &world->all_count, &source->entries[i]); /* from the newest on: the first one stays */
        }
    }
    assert_int_equal(lsm_merge_iter_init(&world->merge, world->iters, sources, kit_below(random, 3) == 0 ? 0 : world->skip), LSM_OK);
}

static void release_world(struct world *world) {
    lsm_iter_release(&world->merge.base);
    lsm_iter_release(&world->merge.base); /* twice does no harm */
}

/* at: index into all; SIZE_MAX or all_count: none. */
static void expect_at(const struct world *world, size_t at) {
    const struct lsm_iter *iter = &world->merge.base;
    assert_int_equal(iter->status, LSM_OK);
    assert_int_equal(iter->valid, at < world->all_count);
    if (!iter->valid) return;
    const struct entry *entry = &world->all[at];
    assert_true(lsm_slice_equal(iter->key, key_of(entry)));
    assert_int_equal(iter->kind, entry->kind);
    assert_int_equal(world->merge.source, entry->source);
    assert_true(lsm_slice_equal(iter->value, lsm_slice_of(entry->value, entry->kind == LSM_KIND_PUT ? 2 : 0)));
}

static void each_world(void (*check)(struct world *world, uint64_t *random), int rounds) {
    uint64_t random = kit_seed();
    int64_t live = lsm_mem_live();
    static struct world world;
    for (int round = 0; round < rounds; round++) {
        size_t sources = (size_t)kit_below(&random, SOURCES_MAX + 1);
        size_t entries = (size_t)kit_below(&random, kit_below(&random, 2) == 0 ? 4 : ENTRIES_MAX);
        make_world(&world, &random, sources, entries);
        check(&world, &random);
        release_world(&world);
    }
    assert_int_equal(lsm_mem_live(), live);
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void check_walks(struct world *world, uint64_t *random) {
    struct lsm_iter *iter = &world->merge.base;
    (void)random;
    assert_false(iter->valid);
    lsm_iter_first(iter);
    for (size_t at = 0; at < world->all_count; at++, lsm_iter_next(iter)) expect_at(world, at);
    expect_at(world, world->all_count);
    lsm_iter_last(iter);
    for (size_t at = world->all_count; at-- > 0; lsm_iter_prev(iter)) expect_at(world, at);
    expect_at(world, SIZE_MAX);
}

static void forward_and_backward_every_key_is_shown_once_from_its_newest_source(void **state) {
    (void)state;
    each_world(check_walks, 500);
}

static void check_turns(struct world *world, uint64_t *random) {
    struct lsm_iter *iter = &world->merge.base;
    (void)random;
    for (size_t at = 0; at < world->all_count; at++) {
        lsm_iter_seek(iter, key_of(&world->all[at])); /* going forward */
        expect_at(world, at);
        lsm_iter_prev(iter);
        expect_at(world, at - 1);
        if (at > 0) {
            lsm_iter_next(iter);
            expect_at(world, at);
            lsm_iter_prev(iter);
            expect_at(world, at - 1);
        }
        lsm_iter_last(iter); /* going backward */
        for (size_t back = world->all_count - 1; back > at; back--) lsm_iter_prev(iter);
        expect_at(world, at);
        lsm_iter_next(iter);
        expect_at(world, at + 1);
    }
}

static void it_can_turn_round_at_every_position(void **state) {
    (void)state;
    each_world(check_turns, 200);
}

static void check_seeks(struct world *world, uint64_t *random) {
    struct lsm_iter *iter = &world->merge.base;
    for (int i = 0; i < 60; i++) {
        struct entry wanted;
        random_key(random, world->skip, &wanted);
        if (world->all_count != 0 && kit_below(random, 3) == 0) wanted = world->all[kit_below(random, world->all_count)];
        size_t at = lower_bound(world->all, world->all_count, key_of(&wanted));
        lsm_iter_seek(iter, key_of(&wanted));
        expect_at(world, at);
        lsm_iter_seek_before(iter, key_of(&wanted));
        expect_at(world, at - 1);
        if (at - 1 < world->all_count) lsm_iter_next(iter);
        if (at - 1 < world->all_count) expect_at(world, at);
    }
}

static void seeks_find_the_first_at_and_the_last_before(void **state) {
    (void)state;
    each_world(check_seeks, 300);
}

static void check_wander(struct world *world, uint64_t *random) {
    struct lsm_iter *iter = &world->merge.base;
    size_t at = SIZE_MAX;
    for (int i = 0; i < 400; i++) {
        uint64_t move = kit_below(random, 20);
        struct entry wanted;
        random_key(random, world->skip, &wanted);
        size_t found = lower_bound(world->all, world->all_count, key_of(&wanted));
        if (move == 0)
            lsm_iter_first(iter), at = 0;
        else if (move == 1)
            lsm_iter_last(iter), at = world->all_count - 1;
        else if (move == 2)
            lsm_iter_seek(iter, key_of(&wanted)), at = found;
        else if (move == 3)
            lsm_iter_seek_before(iter, key_of(&wanted)), at = found - 1;
        else if (!iter->valid)
            continue;
        else if (move < 12)
            lsm_iter_next(iter), at++;
        else
            lsm_iter_prev(iter), at--;
        expect_at(world, at);
    }
}

static void any_sequence_of_moves_agrees_with_the_oracle(void **state) {
    (void)state;
    each_world(check_wander, 400);
}

static uint64_t calls_of(const struct world *world) {
    uint64_t calls = 0;
    for (size_t s = 0; s < world->count; s++) calls += world->sources[s].calls;
    return calls;
}

/* Forward to the middle, back to the front, and a seek. False: it failed on the way. */
static bool tour(struct world *world) {
    struct lsm_iter *iter = &world->merge.base;
    size_t at = 0, middle = world->all_count / 2;
    for (lsm_iter_first(iter); iter->valid && at < middle; lsm_iter_next(iter)) expect_at(world, at++);
    for (; iter->valid; lsm_iter_prev(iter)) expect_at(world, at--);
    if (iter->status != LSM_OK) return false;
    lsm_iter_seek_before(iter, key_of(&world->all[middle]));
    if (iter->valid) lsm_iter_next(iter);
    if (iter->status != LSM_OK) return false;
    lsm_iter_last(iter);
    return iter->status == LSM_OK;
}

/* Each source fails at each of its calls: the merge says so at once, never shows anything wrong, and is well again when the source is. */
static void check_failures(struct world *world, uint64_t *random) {
    (void)random;
    if (world->all_count == 0) return;
    uint64_t failures = 0;
    for (size_t s = 0; s < world->count; s++)
        for (uint64_t n = 1;; n++) {
            struct source *source = &world->sources[s];
            source->calls = 0;
            source->fail_at = n;
            bool whole = tour(world);
            bool reached = source->calls >= n;
            source->fail_at = 0;
            assert_int_equal(whole, !reached);
            if (whole) break;
            failures++;
            assert_int_equal(source->calls, n); /* it is not asked again */
            assert_int_equal(world->merge.base.status, LSM_CORRUPT);
            assert_false(world->merge.base.valid);
            assert_int_equal(world->merge.base.err.code, LSM_CORRUPT);
            assert_non_null(strstr(world->merge.base.err.text, "fails"));
            assert_true(tour(world));
        }
    assert_true(failures > 0 && calls_of(world) > 0);
}

static void a_source_that_fails_fails_the_merge_until_the_next_positioning(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    static struct world world;
    for (int round = 0; round < 60; round++) {
        make_world(&world, &random, 1 + (size_t)kit_below(&random, 4), 12);
        check_failures(&world, &random);
        release_world(&world);
    }
}

static void out_of_memory_is_told_and_passes(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    static struct world world;
    int64_t live = lsm_mem_live();
    do make_world(&world, &random, 3, 20), lsm_iter_release(&world.merge.base);
    while (world.all_count < 3);
    lsm_mem_fail_after(1, false);
    assert_int_equal(lsm_merge_iter_init(&world.merge, world.iters, world.count, 0), LSM_NOMEM);
    assert_int_equal(lsm_mem_live(), live);
    lsm_mem_fail_after(0, false);
    assert_int_equal(lsm_merge_iter_init(&world.merge, world.iters, world.count, 0), LSM_OK);
    struct lsm_iter *iter = &world.merge.base;
    lsm_iter_first(iter);
    lsm_iter_next(iter);
    lsm_mem_fail_after(1, true);
    lsm_iter_prev(iter); /* keeps the key to turn round */
    assert_false(iter->valid);
    assert_int_equal(iter->status, LSM_NOMEM);
    assert_int_equal(iter->err.code, LSM_NOMEM);
    lsm_iter_first(iter); /* needs none */
    expect_at(&world, 0);
    lsm_mem_fail_after(0, false);
    lsm_iter_next(iter);
    lsm_iter_prev(iter);
    expect_at(&world, 0);
    release_world(&world);
    assert_int_equal(lsm_mem_live(), live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_and_backward_every_key_is_shown_once_from_its_newest_source),
        cmocka_unit_test(it_can_turn_round_at_every_position),
        cmocka_unit_test(seeks_find_the_first_at_and_the_last_before),
        cmocka_unit_test(any_sequence_of_moves_agrees_with_the_oracle),
        cmocka_unit_test(a_source_that_fails_fails_the_merge_until_the_next_positioning),
        cmocka_unit_test(out_of_memory_is_told_and_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
