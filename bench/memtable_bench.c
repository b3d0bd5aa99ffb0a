/* memtable_bench.c: nanoseconds per operation of the memtable alone, in thread CPU time, minimum of several rounds.
 * Usage: memtable_bench [keys] [rounds] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lsm_core/codec/coding.h"
#include "../lsm_core/mem/memtable.h"

#define KEY_BYTES   (LSM_TREE_BYTES + 16)
#define VALUE_BYTES 100
#define HEX_SPREAD  UINT64_C(0x9E3779B97F4A7C15)

enum { INSERT_RANDOM, GET_RANDOM, GET_MISS, SCAN, SCAN_BACK, SEEK_10, OVERWRITE, INSERT_ASCENDING, SCAN_ASCENDING, INSERT_AFTER_GET, STEPS };
static const char *const step_names[STEPS] = {"insert random",     "get hit",         "get miss",  "scan",
                                              "scan backward",     "seek + 10",       "overwrite", "insert ascending",
                                              "scan of ascending", "insert after get"};

static double now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* 16 decimal digits behind the tree id. */
static void make_key(uint8_t *key, uint64_t number) {
    lsm_store_be32(key, 7);
    for (int i = KEY_BYTES - 1; i >= LSM_TREE_BYTES; i--) {
        key[i] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

static void die(const char *what) {
    (void)fprintf(stderr, "memtable_bench: %s\n", what);
    exit(1);
}

struct bench {
    uint8_t *keys, *probes, *ascending; /* KEY_BYTES each; probes: the keys in another order */
    size_t count;
    double best[STEPS];
    uint64_t sum; /* keeps the compiler honest */
};

static struct lsm_slice key_at(const uint8_t *keys, size_t i) { return lsm_slice_of(keys + i * KEY_BYTES, KEY_BYTES); }

static void put(struct lsm_memtable *mt, struct lsm_slice key, uint64_t sequence) {
    static const uint8_t value[VALUE_BYTES] = {1, 2, 3};
    if (lsm_memtable_put(mt, LSM_KIND_PUT, key, lsm_slice_of(value, sizeof value), sequence) != LSM_OK) die("put failed");
}

static void note(struct bench *b, int step, double begin, size_t operations) {
    double each = (now_ns() - begin) / (double)operations;
    if (b->best[step] == 0 || each < b->best[step]) b->best[step] = each;
}

static void time_gets(struct bench *b, const struct lsm_memtable *mt) {
    struct lsm_mem_hit hit;
    double begin = now_ns();
    for (size_t i = 0; i < b->count; i++) {
        if (!lsm_memtable_get(mt, key_at(b->probes, i), UINT64_MAX, &hit)) die("a key is missing");
        b->sum += hit.value.data[0];
    }
    note(b, GET_RANDOM, begin, b->count);
    begin = now_ns();
    for (size_t i = 0; i < b->count; i++) {
        uint8_t key[KEY_BYTES + 1];
        memcpy(key, b->probes + i * KEY_BYTES, KEY_BYTES);
        key[KEY_BYTES] = 0;
        b->sum += lsm_memtable_get(mt, lsm_slice_of(key, sizeof key), UINT64_MAX, &hit);
    }
    note(b, GET_MISS, begin, b->count);
}

static void time_scans(struct bench *b, const struct lsm_memtable *mt) {
    struct lsm_memtable_iter it;
    size_t seen = 0;
    lsm_memtable_iter_init(&it, mt, UINT64_MAX);
    double begin = now_ns();
    for (lsm_iter_first(&it.base); it.base.valid; lsm_iter_next(&it.base), seen++) b->sum += it.base.key.data[15] + it.base.value.size;
    note(b, SCAN, begin, b->count);
    begin = now_ns();
    for (lsm_iter_last(&it.base); it.base.valid; lsm_iter_prev(&it.base), seen++) b->sum += it.base.key.data[15] + it.base.value.size;
    note(b, SCAN_BACK, begin, b->count);
    if (seen != 2 * b->count) die("a scan missed something");
    begin = now_ns();
    for (size_t i = 0; i < b->count / 10; i++) {
        lsm_iter_seek(&it.base, key_at(b->probes, i));
        for (int n = 0; n < 10 && it.base.valid; n++) {
            b->sum += it.base.key.data[15] + it.base.value.size;
            lsm_iter_next(&it.base);
        }
    }
    note(b, SEEK_10, begin, b->count / 10);
}

static struct lsm_memtable *new_table(void) {
    static const uint8_t tree[LSM_TREE_BYTES] = {0, 0, 0, 7};
    struct lsm_memtable *mt = lsm_memtable_new(lsm_slice_of(tree, sizeof tree));
    if (mt == NULL) die("out of memory");
    return mt;
}

static void run(struct bench *b) {
    struct lsm_memtable *mt = new_table();
    double begin = now_ns();
    for (size_t i = 0; i < b->count; i++) put(mt, key_at(b->keys, i), i + 1);
    note(b, INSERT_RANDOM, begin, b->count);
    time_gets(b, mt);
    time_scans(b, mt);
    begin = now_ns();
    for (size_t i = 0; i < b->count / 4; i++) put(mt, key_at(b->probes, i), b->count + i + 1);
    note(b, OVERWRITE, begin, b->count / 4);
    double bytes_random = (double)lsm_memtable_bytes(mt);
    lsm_memtable_free(mt);

    mt = new_table();
    begin = now_ns();
    for (size_t i = 0; i < b->count; i++) put(mt, key_at(b->ascending, i), i + 1);
    note(b, INSERT_ASCENDING, begin, b->count);
    struct lsm_memtable_iter it;
    lsm_memtable_iter_init(&it, mt, UINT64_MAX);
    begin = now_ns();
    for (lsm_iter_first(&it.base); it.base.valid; lsm_iter_next(&it.base)) b->sum += it.base.key.data[15] + it.base.value.size;
    note(b, SCAN_ASCENDING, begin, b->count);
    double bytes_ascending = (double)lsm_memtable_bytes(mt);
    lsm_memtable_free(mt);

    mt = new_table();
    begin = now_ns();
    for (size_t i = 0; i < b->count; i++) {
        struct lsm_mem_hit hit;
        if (lsm_memtable_get_writer(mt, key_at(b->keys, i), UINT64_MAX, &hit)) die("a key appeared early");
        put(mt, key_at(b->keys, i), i + 1);
    }
    note(b, INSERT_AFTER_GET, begin, b->count);
    lsm_memtable_free(mt);
    (void)printf("bytes per row: random (with a quarter overwritten) %.1f, ascending %.1f\n", bytes_random / (double)b->count,
                 bytes_ascending / (double)b->count);
}

int main(int argc, char **argv) {
    struct bench b = {.count = argc > 1 ? strtoull(argv[1], NULL, 10) : 400000};
    int rounds = argc > 2 ? atoi(argv[2]) : 3;
    uint64_t random = HEX_SPREAD;
    b.keys = malloc(b.count * KEY_BYTES);
    b.probes = malloc(b.count * KEY_BYTES);
    b.ascending = malloc(b.count * KEY_BYTES);
    if (b.count < 10 || b.keys == NULL || b.probes == NULL || b.ascending == NULL) die("bad arguments or out of memory");
    for (size_t i = 0; i < b.count; i++) {
        make_key(b.keys + i * KEY_BYTES, next_random(&random) % UINT64_C(10000000000000000));
        make_key(b.ascending + i * KEY_BYTES, i);
    }
    memcpy(b.probes, b.keys, b.count * KEY_BYTES);
    for (size_t i = b.count - 1; i > 0; i--) {
        uint8_t spare[KEY_BYTES];
        size_t j = next_random(&random) % (i + 1);
        memcpy(spare, b.probes + i * KEY_BYTES, KEY_BYTES);
        memcpy(b.probes + i * KEY_BYTES, b.probes + j * KEY_BYTES, KEY_BYTES);
        memcpy(b.probes + j * KEY_BYTES, spare, KEY_BYTES);
    }
    for (int i = 0; i < rounds; i++) run(&b);
    for (int i = 0; i < STEPS; i++) (void)printf("%-18s %8.1f ns\n", step_names[i], b.best[i]);
    (void)printf("(%zu keys, checksum %llu)\n", b.count, (unsigned long long)b.sum);
    free(b.keys);
    free(b.probes);
    free(b.ascending);
    return 0;
}
