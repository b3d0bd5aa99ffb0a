/* memtable_concurrent_test.c: readers beside the writer. Made for the thread sanitizer, and right without it.
 *
 * What the change at each sequence is follows from the sequence alone, so a reader that has learned of a position can work
 * out what it must see there. Before many commits the writer first makes other changes under the same sequences and rolls them back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../../lsm_core/mem/memtable.h"

#define KEYS            6000u
#define CHANGES         30000u
#define RANGE_EVERY     500u
#define KEY_BYTES       20
#define READERS         3
#define ROUNDS          3
#define COMMIT_PAUSE_NS 200000 /* lets readers of a busy machine start many walks during one history */

static uint64_t salt; /* of the round; changes only while no thread runs */

static uint64_t mix(uint64_t x) {
    x += salt;
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

/* Keys are indexes in order. At first only a few neighbours are used, so that what all keys share shrinks and the index is rebuilt under the
 * readers; a quarter of the changes go upwards, for the ascending path. */
static unsigned key_of_change(uint64_t sequence) {
    uint64_t reach = sequence < 2000 ? 40 + sequence / 4 : KEYS;
    if (sequence % 4 == 0) return (unsigned)(sequence / 4 % reach);
    return (unsigned)(mix(sequence) % reach);
}

static bool is_delete(uint64_t sequence) { return mix(sequence + 77) % 8 == 0; }

static struct lsm_slice key_bytes(char bytes[KEY_BYTES + 1], unsigned index) {
    (void)snprintf(bytes, KEY_BYTES + 1, "tree%015u0", index);
    return lsm_slice_of(bytes, KEY_BYTES);
}

static struct lsm_slice value_of(uint8_t bytes[64], uint64_t sequence) {
    size_t size = 8 + (size_t)(sequence % 50);
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(sequence >> (8 * (i % 8)));
    return lsm_slice_of(bytes, size);
}

struct shared {
    struct lsm_memtable *mt;
    _Atomic uint64_t position; /* published: changes below it are committed */
    _Atomic bool failed;
    _Atomic unsigned checks;
};

struct reader {
    struct shared *shared;
    uint64_t known;        /* changes below it are in newest[] */
    uint64_t newest[KEYS]; /* sequence of a key's newest change, 0: none */
    unsigned ranges;
    uint64_t random;
    bool deep; /* keeps a walk at an old position going while the table moves on */
};

static void complain(struct shared *shared, const char *what, uint64_t position, uint64_t detail) {
    if (!atomic_exchange(&shared->failed, true)) {
        print_error("at position %llu: %s (%llu)\n", (unsigned long long)position, what, (unsigned long long)detail);
    }
}

static void learn(struct reader *r, uint64_t position) {
    for (; r->known < position; r->known++) {
        if (r->known % RANGE_EVERY == 0)
            r->ranges++;
        else
            r->newest[key_of_change(r->known)] = r->known;
    }
}

static bool value_is_right(struct lsm_slice value, enum lsm_kind kind, uint64_t sequence) {
    uint8_t bytes[64];
    if (is_delete(sequence)) return kind == LSM_KIND_DELETE && value.size == 0;
    return kind == LSM_KIND_PUT && lsm_slice_equal(value, value_of(bytes, sequence));
}

static bool iter_is_right(const struct lsm_memtable_iter *it, unsigned index, uint64_t sequence) {
    char bytes[KEY_BYTES + 1];
    return it->base.valid && it->sequence == sequence && lsm_slice_equal(it->base.key, key_bytes(bytes, index)) &&
           value_is_right(it->base.value, it->base.kind, sequence);
}

static void check_gets(struct reader *r, uint64_t position, int count) {
    char bytes[KEY_BYTES + 1];
    for (int i = 0; i < count; i++) {
        struct lsm_mem_hit hit;
        unsigned index = (unsigned)((r->random = mix(r->random + 1)) % KEYS);
        bool found = lsm_memtable_get(r->shared->mt, key_bytes(bytes, index), position, &hit);
        bool right = found == (r->newest[index] != 0);
        if (right && found) right = hit.sequence == r->newest[index] && value_is_right(hit.value, hit.kind, hit.sequence);
        if (!right) complain(r->shared, "a get is wrong, key", position, index);
    }
}

static void check_up(struct reader *r, uint64_t position, unsigned from) {
    struct lsm_memtable_iter it;
    char bytes[KEY_BYTES + 1];
    lsm_memtable_iter_init(&it, r->shared->mt, position);
    lsm_iter_seek(&it.base, key_bytes(bytes, from));
    for (unsigned i = from; i < KEYS; i++) {
        if (r->newest[i] == 0) continue;
        if (!iter_is_right(&it, i, r->newest[i])) {
            complain(r->shared, "the walk up is wrong at key", position, i);
            return;
        }
        lsm_iter_next(&it.base);
    }
    if (it.base.valid) complain(r->shared, "the walk up does not end", position, from);
}

static void check_down(struct reader *r, uint64_t position, unsigned from) {
    struct lsm_memtable_iter it;
    char bytes[KEY_BYTES + 1];
    lsm_memtable_iter_init(&it, r->shared->mt, position);
    if (from >= KEYS)
        lsm_iter_last(&it.base);
    else
        lsm_iter_seek_before(&it.base, key_bytes(bytes, from));
    for (unsigned i = from < KEYS ? from : KEYS; i-- > 0;) {
        if (r->newest[i] == 0) continue;
        if (!iter_is_right(&it, i, r->newest[i])) {
            complain(r->shared, "the walk down is wrong at key", position, i);
            return;
        }
        lsm_iter_prev(&it.base);
    }
    if (it.base.valid) complain(r->shared, "the walk down does not end", position, from);
}

static void check_ranges(struct reader *r, uint64_t position) {
    unsigned count = 0;
    uint64_t newer = position;
    for (const struct lsm_mem_range *range = lsm_memtable_ranges(r->shared->mt, position); range != NULL; range = lsm_memtable_range_next(range)) {
        bool right = range->sequence < newer && range->sequence % RANGE_EVERY == 0 && range->low.size == 5;
        if (!right) complain(r->shared, "a range is wrong", position, range->sequence);
        newer = range->sequence;
        count++;
    }
    if (count != r->ranges) complain(r->shared, "number of ranges", position, count);
}

static void *read_along(void *arg) {
    struct reader *r = arg;
    uint64_t position;
    do {
        position = atomic_load_explicit(&r->shared->position, memory_order_acquire);
        learn(r, position);
        /* A deep reader stays at one position for several rounds. */
        for (int round = 0; round < (r->deep ? 4 : 1); round++) {
            unsigned from = (unsigned)((r->random = mix(r->random + 1)) % KEYS);
            check_gets(r, position, 100);
            check_up(r, position, round == 0 ? 0 : from);
            check_down(r, position, round == 0 ? KEYS : from);
            check_ranges(r, position);
            if (lsm_memtable_estimate(r->shared->mt, NULL, NULL) > 4 * KEYS) complain(r->shared, "an estimate is absurd", position, 0);
            (void)atomic_fetch_add(&r->shared->checks, 1);
        }
    } while (position < CHANGES && !atomic_load(&r->shared->failed));
    return NULL;
}

/* Changes nobody may ever see: known keys with wrong values, and keys that no commit uses. */
static void roll_back_something(struct shared *shared, uint64_t first, uint64_t count) {
    char bytes[KEY_BYTES + 1];
    for (uint64_t sequence = first; sequence < first + count; sequence++) {
        struct lsm_slice key = key_bytes(bytes, (unsigned)(mix(sequence * 31) % KEYS));
        if (sequence % 2 == 0) bytes[KEY_BYTES - 1] = '5';
        int put = lsm_memtable_put(shared->mt, LSM_KIND_PUT, key, lsm_slice_of("undone", 6), sequence);
        if (put != LSM_OK) complain(shared, "a put failed", sequence, 0);
    }
    int status = lsm_memtable_delete_range(shared->mt, lsm_slice_of("undo", 4), lsm_slice_of("undone", 6), first + count);
    if (status != LSM_OK) complain(shared, "a range delete failed", first, 0);
    for (uint64_t sequence = first; sequence < first + count; sequence++) {
        struct lsm_slice key = key_bytes(bytes, (unsigned)(mix(sequence * 31) % KEYS));
        if (sequence % 2 == 0) bytes[KEY_BYTES - 1] = '5';
        lsm_memtable_undo(shared->mt, key, first);
    }
    lsm_memtable_undo_ranges(shared->mt, first);
}

static void write_all(struct shared *shared) {
    char bytes[KEY_BYTES + 1];
    uint8_t value[64];
    uint64_t sequence = 1;
    while (sequence < CHANGES && !atomic_load(&shared->failed)) {
        uint64_t end = sequence + 1 + mix(sequence) % 60;
        if (end > CHANGES) end = CHANGES;
        if (mix(sequence + 5) % 3 == 0) roll_back_something(shared, sequence, end - sequence);
        for (; sequence < end; sequence++) {
            int status;
            if (sequence % RANGE_EVERY == 0) {
                status = lsm_memtable_delete_range(shared->mt, lsm_slice_of("treeA", 5), lsm_slice_of("treeB", 5), sequence);
            } else {
                enum lsm_kind kind = is_delete(sequence) ? LSM_KIND_DELETE : LSM_KIND_PUT;
                status = lsm_memtable_put(shared->mt, kind, key_bytes(bytes, key_of_change(sequence)), value_of(value, sequence), sequence);
            }
            if (status != LSM_OK) complain(shared, "a change failed", sequence, 0);
        }
        atomic_store_explicit(&shared->position, end, memory_order_release);
        (void)nanosleep(&(struct timespec){.tv_nsec = COMMIT_PAUSE_NS}, NULL);
    }
}

static void run_round(void) {
    static struct reader readers[READERS];
    pthread_t threads[READERS];
    struct shared shared = {.mt = lsm_memtable_new(lsm_slice_of("tree", 4))};
    assert_non_null(shared.mt);
    atomic_init(&shared.position, 1);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.shared = &shared, .known = 1, .random = i + 1, .deep = i == 1};
        assert_int_equal(pthread_create(&threads[i], NULL, read_along, &readers[i]), 0);
    }
    write_all(&shared);
    for (unsigned i = 0; i < READERS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_null(lsm_memtable_check(shared.mt));
    assert_false(atomic_load(&shared.failed));
    print_message("%u checks of the whole table beside %u changes\n", atomic_load(&shared.checks), CHANGES);
    lsm_memtable_free(shared.mt);
}

static void readers_see_exactly_their_position_while_the_writer_commits_and_rolls_back(void **state) {
    (void)state;
    for (salt = 0; salt < ROUNDS; salt++) run_round();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_exactly_their_position_while_the_writer_commits_and_rolls_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
