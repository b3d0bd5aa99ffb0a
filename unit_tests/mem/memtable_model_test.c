/* memtable_model_test.c: the memtable against a sorted array of keys and versions. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../lsm_core/mem/memtable.h"

#define KEY_BYTES_MAX   12000
#define RANGES_MAX      400
#define VALUE_BYTES_MAX 70000

static uint64_t random_state;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t limit) { return (size_t)(next_random() % limit); }

static void seed_random(void) {
    const char *given = getenv("TEST_SEED");
    random_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + 1;
    print_message("TEST_SEED=%llu\n", (unsigned long long)random_state);
}

/* ---- the oracle ----------------------------------------------------------------------------------------------- */

struct model_version {
    uint64_t sequence;
    enum lsm_kind kind;
};

struct model_key {
    uint8_t *key;
    size_t size;
    struct model_version *versions; /* oldest first */
    size_t count, capacity;
};

struct model {
    struct model_key *keys;
    size_t count, capacity;
    struct {
        uint8_t low[8], high[8];
        size_t low_bytes, high_bytes;
        uint64_t sequence;
    } ranges[RANGES_MAX];
    size_t range_count;
};

static struct lsm_slice model_slice(const struct model_key *key) { return lsm_slice_of(key->key, key->size); }

static size_t model_rank(const struct model *model, struct lsm_slice key) {
    size_t low = 0, high = model->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (lsm_slice_compare(model_slice(&model->keys[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct model_key *model_find(const struct model *model, struct lsm_slice key) {
    size_t rank = model_rank(model, key);
    if (rank == model->count || !lsm_slice_equal(model_slice(&model->keys[rank]), key)) return NULL;
    return &model->keys[rank];
}

static void *grown(void *array, size_t *capacity, size_t count, size_t each) {
    if (count < *capacity) return array;
    *capacity = *capacity == 0 ? 4 : *capacity * 2;
    array = realloc(array, *capacity * each);
    assert_non_null(array);
    return array;
}

static void model_put(struct model *model, enum lsm_kind kind, struct lsm_slice key, uint64_t sequence) {
    struct model_key *found = model_find(model, key);
    if (found == NULL) {
        size_t rank = model_rank(model, key);
        model->keys = grown(model->keys, &model->capacity, model->count, sizeof *model->keys);
        memmove(model->keys + rank + 1, model->keys + rank, (model->count - rank) * sizeof *model->keys);
        model->count++;
        found = &model->keys[rank];
        *found = (struct model_key){.key = malloc(key.size + 1), .size = key.size};
        assert_non_null(found->key);
        if (key.size != 0) memcpy(found->key, key.data, key.size);
    }
    found->versions = grown(found->versions, &found->capacity, found->count, sizeof *found->versions);
    found->versions[found->count++] = (struct model_version){.sequence = sequence, .kind = kind};
}

static void model_undo(struct model *model, struct lsm_slice key, uint64_t from) {
    struct model_key *found = model_find(model, key);
    while (found != NULL && found->count > 0 && found->versions[found->count - 1].sequence >= from) found->count--;
}

static const struct model_version *model_visible(const struct model_key *key, uint64_t position) {
    for (size_t i = key->count; i-- > 0;) {
        if (key->versions[i].sequence < position) return &key->versions[i];
    }
    return NULL;
}

static void model_free(struct model *model) {
    for (size_t i = 0; i < model->count; i++) {
        free(model->keys[i].key);
        free(model->keys[i].versions);
    }
    free(model->keys);
    free(model);
}

/* The value written at a sequence follows from it. */
static size_t value_bytes(uint64_t sequence) {
    if (sequence % 701 == 0) return (size_t)(sequence % VALUE_BYTES_MAX);
    return (size_t)(sequence * 7 % 120);
}

static struct lsm_slice make_value(uint64_t sequence) {
    static uint8_t bytes[VALUE_BYTES_MAX];
    size_t size = value_bytes(sequence);
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(sequence + i * 13);
    return lsm_slice_of(bytes, size);
}

static void check_value(struct lsm_slice value, enum lsm_kind kind, const struct model_version *want) {
    assert_int_equal(kind, want->kind);
    if (kind == LSM_KIND_DELETE) {
        assert_int_equal(value.size, 0);
        return;
    }
    struct lsm_slice expected = make_value(want->sequence);
    assert_int_equal(value.size, expected.size);
    if (value.size != 0) assert_memory_equal(value.data, expected.data, value.size);
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

static void check_get(const struct lsm_memtable *mt, const struct model *model, struct lsm_slice key, uint64_t position) {
    const struct model_key *known = model_find(model, key);
    const struct model_version *want = known == NULL ? NULL : model_visible(known, position);
    struct lsm_mem_hit hit;
    bool found = lsm_memtable_get(mt, key, position, &hit);
    assert_int_equal(found, want != NULL);
    if (!found || want == NULL) return;
    assert_int_equal(hit.sequence, want->sequence);
    check_value(hit.value, hit.kind, want);
}

/* The model's first visible key at or after rank, or before rank downwards; SIZE_MAX if none. */
static size_t visible_from(const struct model *model, size_t rank, uint64_t position) {
    for (; rank < model->count; rank++) {
        if (model_visible(&model->keys[rank], position) != NULL) return rank;
    }
    return SIZE_MAX;
}

static size_t visible_before(const struct model *model, size_t rank, uint64_t position) {
    while (rank-- > 0) {
        if (model_visible(&model->keys[rank], position) != NULL) return rank;
    }
    return SIZE_MAX;
}

static void check_iter(const struct lsm_memtable_iter *it, const struct model *model, size_t rank) {
    assert_int_equal(it->base.valid, rank != SIZE_MAX);
    assert_int_equal(it->base.status, LSM_OK);
    if (rank == SIZE_MAX) return;
    const struct model_version *want = model_visible(&model->keys[rank], it->position);
    assert_non_null(want);
    assert_true(lsm_slice_equal(it->base.key, model_slice(&model->keys[rank])));
    assert_int_equal(it->sequence, want->sequence);
    check_value(it->base.value, it->base.kind, want);
}

static void check_walks(const struct lsm_memtable *mt, const struct model *model, uint64_t position) {
    struct lsm_memtable_iter it;
    lsm_memtable_iter_init(&it, mt, position);
    size_t rank = visible_from(model, 0, position);
    for (lsm_iter_first(&it.base);; lsm_iter_next(&it.base)) {
        check_iter(&it, model, rank);
        if (rank == SIZE_MAX) break;
        rank = visible_from(model, rank + 1, position);
    }
    rank = visible_before(model, model->count, position);
    for (lsm_iter_last(&it.base);; lsm_iter_prev(&it.base)) {
        check_iter(&it, model, rank);
        if (rank == SIZE_MAX) break;
        rank = visible_before(model, rank, position);
    }
    lsm_iter_release(&it.base);
}

static void check_ranges(const struct lsm_memtable *mt, const struct model *model, uint64_t position) {
    const struct lsm_mem_range *range = lsm_memtable_ranges(mt, position);
    for (size_t i = model->range_count; i-- > 0;) {
        if (model->ranges[i].sequence >= position) continue;
        assert_non_null(range);
        assert_int_equal(range->sequence, model->ranges[i].sequence);
        assert_true(lsm_slice_equal(range->low, lsm_slice_of(model->ranges[i].low, model->ranges[i].low_bytes)));
        assert_true(lsm_slice_equal(range->high, lsm_slice_of(model->ranges[i].high, model->ranges[i].high_bytes)));
        range = lsm_memtable_range_next(range);
    }
    assert_null(range);
}

/* ---- kinds of keys -------------------------------------------------------------------------------------------- */

enum key_family { KEYS_TINY, KEYS_ASCENDING, KEYS_DECIMAL, KEYS_BINARY, KEYS_LONG, KEYS_CLUSTERS, KEY_FAMILIES };

struct key_source {
    enum key_family family;
    uint64_t ascending;
    uint8_t bytes[KEY_BYTES_MAX];
};

static struct lsm_slice decimal_key(struct key_source *source, const char *prefix, uint64_t number) {
    int size = snprintf((char *)source->bytes, sizeof source->bytes, "%s%016llu", prefix, (unsigned long long)number);
    return lsm_slice_of(source->bytes, (size_t)size);
}

static struct lsm_slice make_key(struct key_source *source) {
    uint8_t *bytes = source->bytes;
    static const uint8_t alphabet[] = {0x00, 'a', 0xff};
    static const char *const clusters[] = {"\x01\x01", "\x01\x01user:", "\x01\x01user:9", "\x7f", "\x01\x01zz"};
    size_t size;
    switch (source->family) {
    case KEYS_TINY: /* prefixes of each other, the empty key, zero and 0xff bytes */
        size = below(8);
        for (size_t i = 0; i < size; i++) bytes[i] = alphabet[below(3)];
        return lsm_slice_of(size == 0 && below(2) == 0 ? NULL : bytes, size);
    case KEYS_ASCENDING: return decimal_key(source, "\x01\x01\x01\x01user", source->ascending++);
    case KEYS_DECIMAL: return decimal_key(source, "\x01\x01\x01\x01", next_random() % 100000);
    case KEYS_BINARY:
        memset(bytes, 0, 4);
        for (size_t i = 0; i < 3; i++) bytes[4 + i] = (uint8_t)below(i == 0 ? 3 : 256);
        return lsm_slice_of(bytes, 4 + below(4));
    case KEYS_LONG:
        size = KEY_BYTES_MAX - 2000 + below(2000);
        memset(bytes, 'x', size);
        bytes[below(10) == 0 ? below(size) : size - 1 - below(8)] = (uint8_t)below(256);
        return lsm_slice_of(bytes, size);
    case KEYS_CLUSTERS: return decimal_key(source, clusters[below(5)], next_random() % 3000);
    case KEY_FAMILIES: break;
    }
    return lsm_slice_of(NULL, 0);
}

/* ---- random histories ----------------------------------------------------------------------------------------- */

#define POSITIONS_MAX 6

struct history {
    struct lsm_memtable *mt;
    struct model *model;
    struct key_source source;
    uint64_t sequence;                 /* of the next change */
    uint64_t positions[POSITIONS_MAX]; /* that somebody might read at, ascending; all at or below the current mark */
    size_t position_count;
};

static void change_once(struct history *h) {
    struct lsm_slice key = make_key(&h->source);
    if (h->model->count > 0 && below(3) == 0) key = model_slice(&h->model->keys[below(h->model->count)]);
    enum lsm_kind kind = below(5) == 0 ? LSM_KIND_DELETE : LSM_KIND_PUT;
    uint64_t sequence = h->sequence;
    h->sequence += 1 + below(3);
    if (below(40) == 0 && h->model->range_count < RANGES_MAX) {
        size_t i = h->model->range_count++;
        h->model->ranges[i].sequence = sequence;
        h->model->ranges[i].low_bytes = below(9);
        h->model->ranges[i].high_bytes = below(9);
        memset(h->model->ranges[i].low, (int)below(256), 8);
        memset(h->model->ranges[i].high, (int)below(256), 8);
        assert_int_equal(LSM_OK, lsm_memtable_delete_range(h->mt, lsm_slice_of(h->model->ranges[i].low, h->model->ranges[i].low_bytes),
                                                           lsm_slice_of(h->model->ranges[i].high, h->model->ranges[i].high_bytes), sequence));
        return;
    }
    if (below(4) == 0) { /* as an insert that first asks */
        struct lsm_mem_hit hit;
        const struct model_key *known = model_find(h->model, key);
        const struct model_version *want = known == NULL ? NULL : model_visible(known, UINT64_MAX);
        assert_int_equal(lsm_memtable_get_writer(h->mt, key, UINT64_MAX, &hit), want != NULL);
        if (want != NULL) check_value(hit.value, hit.kind, want);
    }
    assert_int_equal(LSM_OK, lsm_memtable_put(h->mt, kind, key, make_value(sequence), sequence));
    model_put(h->model, kind, key, sequence);
}

/* Take back everything since a mark, in any order of keys. */
static void undo_to(struct history *h, uint64_t mark) {
    for (size_t i = 0; i < h->model->count; i++) {
        struct model_key *key = &h->model->keys[i];
        if (key->count == 0 || key->versions[key->count - 1].sequence < mark) continue;
        lsm_memtable_undo(h->mt, model_slice(key), mark);
        model_undo(h->model, model_slice(key), mark);
    }
    struct lsm_slice stranger = make_key(&h->source);
    lsm_memtable_undo(h->mt, stranger, mark);
    model_undo(h->model, stranger, mark);
    lsm_memtable_undo_ranges(h->mt, mark);
    while (h->model->range_count > 0 && h->model->ranges[h->model->range_count - 1].sequence >= mark) h->model->range_count--;
    h->sequence = mark; /* sequences may be given again */
}

static void transact(struct history *h) {
    uint64_t mark = h->sequence;
    size_t changes = below(below(4) == 0 ? 200 : 20);
    for (size_t i = 0; i < changes; i++) change_once(h);
    if (below(4) == 0) undo_to(h, mark);
    if (h->position_count < POSITIONS_MAX)
        h->positions[h->position_count++] = h->sequence;
    else
        h->positions[below(POSITIONS_MAX)] = h->sequence;
}

static void wander(const struct history *h, uint64_t position) {
    struct lsm_memtable_iter it;
    struct key_source source = h->source;
    lsm_memtable_iter_init(&it, h->mt, position);
    size_t rank = SIZE_MAX;
    for (int i = 0; i < 60; i++) {
        struct lsm_slice key = make_key(&source);
        size_t choice = below(10);
        if (h->model->count > 0 && below(2) == 0) key = model_slice(&h->model->keys[below(h->model->count)]);
        if (choice == 0) {
            lsm_iter_seek(&it.base, key);
            rank = visible_from(h->model, model_rank(h->model, key), position);
        } else if (choice == 1) {
            lsm_iter_seek_before(&it.base, key);
            rank = visible_before(h->model, model_rank(h->model, key), position);
        } else if (rank != SIZE_MAX && choice < 6) {
            lsm_iter_next(&it.base);
            rank = visible_from(h->model, rank + 1, position);
        } else if (rank != SIZE_MAX) {
            lsm_iter_prev(&it.base);
            rank = visible_before(h->model, rank, position);
        }
        check_iter(&it, h->model, rank);
    }
}

static void check_history(const struct history *h) {
    const char *broken = lsm_memtable_check(h->mt);
    if (broken != NULL) fail_msg("%s", broken);
    assert_int_equal(lsm_memtable_keys(h->mt), h->model->count);
    struct lsm_slice shared = lsm_memtable_shared(h->mt), first = {0}, last = {0};
    if (h->model->count > 0) {
        first = model_slice(&h->model->keys[0]);
        last = model_slice(&h->model->keys[h->model->count - 1]);
    }
    assert_true(lsm_slice_equal(shared, lsm_slice_of(first.data, lsm_slice_common(first, last))));
    for (size_t i = 0; i < h->position_count + 1; i++) {
        uint64_t position = i < h->position_count ? h->positions[i] : UINT64_MAX;
        check_walks(h->mt, h->model, position);
        check_ranges(h->mt, h->model, position);
        wander(h, position);
        struct key_source source = h->source;
        for (int n = 0; n < 50; n++) check_get(h->mt, h->model, make_key(&source), position);
        for (size_t n = 0; n < h->model->count; n++) check_get(h->mt, h->model, model_slice(&h->model->keys[n]), position);
    }
}

static void live_through(enum key_family family, struct lsm_slice hint, int transactions) {
    int64_t live = lsm_mem_live();
    struct history *h = calloc(1, sizeof *h);
    assert_non_null(h);
    h->model = calloc(1, sizeof *h->model);
    assert_non_null(h->model);
    h->source.family = family;
    h->sequence = 1;
    h->mt = lsm_memtable_new(hint);
    assert_non_null(h->mt);
    check_history(h);
    for (int i = 0; i < transactions; i++) {
        transact(h);
        if (below(12) == 0 || i + 1 == transactions) check_history(h);
    }
    lsm_memtable_free(h->mt);
    model_free(h->model);
    free(h);
    assert_int_equal(lsm_mem_live(), live);
}

static void random_histories_agree_with_a_sorted_array_whatever_the_hint(void **state) {
    (void)state;
    seed_random();
    static const char *const hints[] = {"",  "\x01\x01\x01\x01",    "\x01\x01\x01\x01user000000000", "\x01\x01user:", "zzzzzzzzzzzzzz", "x",
                                        "a", "\xff\xff\xff\xff\xff"};
    for (int family = 0; family < KEY_FAMILIES; family++) {
        for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
            live_through((enum key_family)family, lsm_slice_of(hints[i], strlen(hints[i])), family == KEYS_LONG ? 12 : 40);
        }
    }
}

static void a_long_history_agrees_with_a_sorted_array(void **state) {
    (void)state;
    seed_random();
    live_through(KEYS_DECIMAL, lsm_slice_of("\x01\x01\x01\x01", 4), 220);
    live_through(KEYS_CLUSTERS, lsm_slice_of("\x01\x01", 2), 220);
}

/* ---- no memory ------------------------------------------------------------------------------------------------ */

/* Runs one history with the n-th allocation failing; a change that fails is made again. A rebuild that found no memory does not show,
 * it only must not harm. */
static void survive(int64_t n, bool sticky) {
    int64_t live = lsm_mem_live();
    struct model *model = calloc(1, sizeof *model);
    struct key_source *source = calloc(1, sizeof *source);
    assert_non_null(model);
    assert_non_null(source);
    lsm_mem_fail_after(n, sticky);
    struct lsm_memtable *mt = lsm_memtable_new(lsm_slice_of(NULL, 0));
    if (mt == NULL) {
        lsm_mem_fail_after(0, false);
        mt = lsm_memtable_new(lsm_slice_of(NULL, 0));
        assert_non_null(mt);
    }
    random_state = 12345;
    for (uint64_t sequence = 1; sequence <= 900; sequence++) {
        source->family = sequence % 50 == 0 ? KEYS_LONG : sequence % 2 == 0 ? KEYS_ASCENDING : KEYS_CLUSTERS;
        struct lsm_slice key = make_key(source);
        bool range = sequence % 30 == 0;
        size_t bytes = lsm_memtable_bytes(mt);
        int status =
            range ? lsm_memtable_delete_range(mt, key, key, sequence) : lsm_memtable_put(mt, LSM_KIND_PUT, key, make_value(sequence), sequence);
        if (status != LSM_OK) {
            assert_int_equal(status, LSM_NOMEM);
            assert_true(lsm_memtable_bytes(mt) - bytes <= sizeof(struct lsm_arena_leaf));
            assert_null(lsm_memtable_check(mt));
            check_walks(mt, model, UINT64_MAX);
            lsm_mem_fail_after(0, false);
            if (range)
                assert_int_equal(LSM_OK, lsm_memtable_delete_range(mt, key, key, sequence));
            else
                assert_int_equal(LSM_OK, lsm_memtable_put(mt, LSM_KIND_PUT, key, make_value(sequence), sequence));
        }
        if (!range) model_put(model, LSM_KIND_PUT, key, sequence);
    }
    lsm_mem_fail_after(0, false);
    assert_null(lsm_memtable_check(mt));
    check_walks(mt, model, UINT64_MAX);
    lsm_memtable_free(mt);
    model_free(model);
    free(source);
    assert_int_equal(lsm_mem_live(), live);
}

static void a_change_that_finds_no_memory_leaves_the_table_as_it_was(void **state) {
    (void)state;
    uint64_t before = lsm_mem_calls();
    survive(INT64_MAX, false);
    int64_t calls = (int64_t)(lsm_mem_calls() - before);
    assert_true(calls > 30);
    for (int64_t n = 1; n <= calls; n++) {
        survive(n, false);
        survive(n, true);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories_agree_with_a_sorted_array_whatever_the_hint),
        cmocka_unit_test(a_long_history_agrees_with_a_sorted_array),
        cmocka_unit_test(a_change_that_finds_no_memory_leaves_the_table_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
