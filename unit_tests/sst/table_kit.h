/* table_kit.h: rows in memory as the oracle, and table files made of them. */
#ifndef TABLE_KIT_H
#define TABLE_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/sst/sst.h"

#define KIT_PATH "/t.sst"
static const uint8_t kit_store_id[LSM_STORE_ID_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct lsm_env_perm kit_perm = {.mode = 0644, .uid = -1, .gid = -1};

/* ---- random numbers ------------------------------------------------------------------------------------------- */

static inline uint64_t kit_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static inline size_t kit_below(uint64_t *state, size_t limit) { return limit == 0 ? 0 : (size_t)(kit_random(state) % limit); }

/* A new seed each run, printed; KIT_SEED in the environment repeats one. */
static inline uint64_t kit_seed(const char *test) {
    const char *given = getenv("KIT_SEED");
    struct timespec now = {0};
    (void)timespec_get(&now, TIME_UTC);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
    printf("%s: seed %llu\n", test, (unsigned long long)seed);
    return seed;
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

struct kit_row {
    enum lsm_kind kind;
    struct lsm_buf key, value;
};

struct kit_rows {
    struct kit_row *rows;
    size_t count, capacity;
    struct lsm_sst_range ranges[8]; /* of static or row memory */
    size_t range_count;
};

static inline void kit_add(struct kit_rows *rows, enum lsm_kind kind, struct lsm_slice key, struct lsm_slice value) {
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity * 2 + 16;
        rows->rows = lsm_realloc(rows->rows, rows->capacity * sizeof *rows->rows);
        assert_non_null(rows->rows);
    }
    struct kit_row *row = &rows->rows[rows->count++];
    *row = (struct kit_row){.kind = kind};
    assert_int_equal(lsm_buf_append(&row->key, key.data, key.size), LSM_OK);
    if (kind == LSM_KIND_PUT) assert_int_equal(lsm_buf_append(&row->value, value.data, value.size), LSM_OK);
}

static inline void kit_add_text(struct kit_rows *rows, const char *key, const char *value) {
    kit_add(rows, value == NULL ? LSM_KIND_DELETE : LSM_KIND_PUT, lsm_slice_of(key, strlen(key)),
            lsm_slice_of(value, value == NULL ? 0 : strlen(value)));
}

static inline int kit_row_compare(const void *a, const void *b) {
    const struct kit_row *left = a, *right = b;
    return lsm_slice_compare(lsm_buf_slice(&left->key), lsm_buf_slice(&right->key));
}

/* Ascending, each key once. */
static inline void kit_sort(struct kit_rows *rows) {
    size_t kept = 0;
    if (rows->count != 0) qsort(rows->rows, rows->count, sizeof *rows->rows, kit_row_compare);
    for (size_t i = 0; i < rows->count; i++) {
        if (kept != 0 && kit_row_compare(&rows->rows[kept - 1], &rows->rows[i]) == 0) {
            lsm_buf_free(&rows->rows[i].key);
            lsm_buf_free(&rows->rows[i].value);
            continue;
        }
        rows->rows[kept++] = rows->rows[i];
    }
    rows->count = kept;
}

static inline void kit_free(struct kit_rows *rows) {
    for (size_t i = 0; i < rows->count; i++) {
        lsm_buf_free(&rows->rows[i].key);
        lsm_buf_free(&rows->rows[i].value);
    }
    lsm_free(rows->rows);
    *rows = (struct kit_rows){0};
}

/* Number of the first row >= key. */
static inline size_t kit_lower_bound(const struct kit_rows *rows, struct lsm_slice key) {
    size_t low = 0, high = rows->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (lsm_slice_compare(lsm_buf_slice(&rows->rows[middle].key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- key shapes ----------------------------------------------------------------------------------------------- */

enum kit_shape { KIT_INTEGERS, KIT_RANDOM, KIT_SHARED, KIT_NESTED, KIT_SHORT, KIT_LONG, KIT_ZEROS, KIT_SHAPES };

static inline size_t kit_key(uint64_t *random, enum kit_shape shape, uint8_t key[4096]) {
    size_t size = LSM_TREE_BYTES;
    memset(key, 0, 4096);
    key[3] = (uint8_t)(shape == KIT_INTEGERS ? 1 : 1 + kit_below(random, 3));
    switch (shape) {
    case KIT_INTEGERS: { /* a tree of small integers, 8 bytes big-endian */
        size_t n = kit_below(random, 5000);
        key[10] = (uint8_t)(n >> 8);
        key[11] = (uint8_t)n;
        return 12;
    }
    case KIT_RANDOM:
        for (size_t n = 16; n > 0; n--) key[size++] = (uint8_t)kit_random(random);
        return size;
    case KIT_SHARED: /* long common parts, differences late */
        memset(key + size, 'p', 200);
        size += 100 + kit_below(random, 100);
        for (size_t n = kit_below(random, 6); n > 0; n--) key[size++] = (uint8_t)kit_below(random, 4);
        return size;
    case KIT_NESTED: /* prefixes of each other, the tree id alone among them */ memset(key + size, 'n', 300); return size + kit_below(random, 300);
    case KIT_SHORT:
        for (size_t n = kit_below(random, 4); n > 0; n--) key[size++] = (uint8_t)kit_below(random, 256);
        return size;
    case KIT_LONG:
        for (size_t n = 1000 + kit_below(random, 2000); n > 0; n--) key[size++] = (uint8_t)(kit_below(random, 20) == 0 ? 'y' : 'x');
        return size;
    case KIT_ZEROS: /* zeros look like the padding of short keys */
        for (size_t n = kit_below(random, 20); n > 0; n--) key[size++] = (uint8_t)(kit_below(random, 10) == 0);
        return size;
    case KIT_SHAPES: break;
    }
    return size;
}

static inline void kit_random_rows(struct kit_rows *rows, uint64_t *random, enum kit_shape shape, size_t count, size_t value_bytes_max) {
    uint8_t key[4096];
    struct lsm_buf value = {0};
    for (size_t i = 0; i < count; i++) {
        size_t key_bytes = kit_key(random, shape, key), value_bytes = kit_below(random, 40) == 0 ? value_bytes_max : kit_below(random, 120);
        if (kit_below(random, 8) == 0) value_bytes = 0;
        lsm_buf_reset(&value);
        assert_int_equal(lsm_buf_reserve(&value, value_bytes + 1), LSM_OK);
        bool dull = kit_below(random, 2) == 0; /* half of the values compress */
        for (size_t j = 0; j < value_bytes; j++) value.data[j] = dull ? (uint8_t)(i & 0xff) : (uint8_t)kit_random(random);
        kit_add(rows, kit_below(random, 6) == 0 ? LSM_KIND_DELETE : LSM_KIND_PUT, lsm_slice_of(key, key_bytes),
                lsm_slice_of(value.data, value_bytes));
    }
    lsm_buf_free(&value);
    kit_sort(rows);
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

static inline struct lsm_sst_options kit_options(size_t block_bytes, enum lsm_compression compression) {
    return (struct lsm_sst_options){.block_bytes = block_bytes, .compression = compression, .filter_bits_per_key = 10};
}

/* Write the rows; the status of the first call that fails, and then there is no file. */
static inline int kit_write_status(struct lsm_env *env, const char *path, uint64_t number, const struct kit_rows *rows,
                                   const struct lsm_sst_options *options, struct lsm_file_meta *meta, struct lsm_error *err) {
    struct lsm_sst_writer *writer;
    int status = lsm_sst_writer_open(env, path, &kit_perm, kit_store_id, number, options, &writer, err);
    if (status != LSM_OK) return status;
    size_t range = 0;
    for (size_t i = 0; status == LSM_OK && i < rows->count; i++) {
        const struct kit_row *row = &rows->rows[i];
        status = lsm_sst_writer_add(writer, row->kind, lsm_buf_slice(&row->key), lsm_buf_slice(&row->value), err);
        if (status == LSM_OK && range < rows->range_count && i % 3 == 0) {
            status = lsm_sst_writer_add_range(writer, rows->ranges[range].low, rows->ranges[range].high, err);
            range++;
        }
    }
    for (; status == LSM_OK && range < rows->range_count; range++)
        status = lsm_sst_writer_add_range(writer, rows->ranges[range].low, rows->ranges[range].high, err);
    if (status == LSM_OK) return lsm_sst_writer_finish(writer, 100, 200, meta, err);
    lsm_sst_writer_abandon(writer);
    return status;
}

static inline struct lsm_file_meta *kit_write(struct lsm_env *env, const char *path, uint64_t number, const struct kit_rows *rows,
                                              const struct lsm_sst_options *options) {
    struct lsm_error err = {0};
    struct lsm_file_meta *meta = lsm_file_meta_new();
    assert_non_null(meta);
    int status = kit_write_status(env, path, number, rows, options, meta, &err);
    if (status != LSM_OK) fail_msg("%s", err.text);
    return meta;
}

/* The reader then belongs to meta and dies with it. */
static inline struct lsm_sst *kit_open(struct lsm_env *env, const char *path, struct lsm_file_meta *meta, struct lsm_cache *cache) {
    struct lsm_error err = {0};
    struct lsm_sst *sst;
    int status = lsm_sst_open(env, path, kit_store_id, meta, cache, &sst, &err);
    if (status != LSM_OK) fail_msg("%s", err.text);
    atomic_store(&meta->sst, sst);
    return sst;
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

static inline bool kit_iter_is(const struct lsm_iter *iter, const struct kit_rows *rows, size_t i) {
    if (iter->status != LSM_OK) return false;
    if (i >= rows->count) return !iter->valid; /* SIZE_MAX, too: in front of the first */
    const struct kit_row *row = &rows->rows[i];
    return iter->valid && iter->kind == row->kind && lsm_slice_equal(iter->key, lsm_buf_slice(&row->key)) &&
           lsm_slice_equal(iter->value, lsm_buf_slice(&row->value));
}

#endif
