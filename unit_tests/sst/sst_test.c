#include "table_kit.h"

#include "../../lsm_core/env/sync.h"

/* ---- fixtures ------------------------------------------------------------------------------------------------- */

struct table {
    struct lsm_env *env;
    struct lsm_cache *cache;
    struct kit_rows rows;
    struct lsm_file_meta *meta;
    struct lsm_sst *sst;
};

static void table_open(struct table *table, const struct lsm_sst_options *options, size_t cache_bytes) {
    table->env = lsm_env_mem_new();
    table->cache = cache_bytes == 0 ? NULL : lsm_cache_new(cache_bytes);
    table->meta = kit_write(table->env, KIT_PATH, 7, &table->rows, options);
    table->sst = kit_open(table->env, KIT_PATH, table->meta, table->cache);
}

static void table_close(struct table *table) {
    lsm_file_meta_unref(table->meta);
    lsm_cache_free(table->cache);
    lsm_env_mem_free(table->env);
    kit_free(&table->rows);
}

/* ---- checks against the oracle -------------------------------------------------------------------------------- */

static void check_get(const struct table *table, struct lsm_slice key) {
    struct lsm_error err = {0};
    struct lsm_sst_pin pin = {0};
    enum lsm_kind kind;
    size_t i = kit_lower_bound(&table->rows, key);
    bool there = i < table->rows.count && lsm_slice_equal(lsm_buf_slice(&table->rows.rows[i].key), key);
    assert_int_equal(lsm_sst_get(table->sst, key, &kind, &pin, &err), there ? LSM_OK : LSM_NOTFOUND);
    if (there) {
        assert_int_equal(kind, table->rows.rows[i].kind);
        assert_true(lsm_slice_equal(pin.value, lsm_buf_slice(&table->rows.rows[i].value)));
        assert_true(lsm_sst_may_contain(table->sst, lsm_sst_key_hash(key)));
        assert_int_equal(lsm_sst_get(table->sst, key, &kind, NULL, NULL), LSM_OK);
    }
    lsm_sst_pin_release(&pin);
    lsm_sst_pin_release(&pin);
}

static void check_walks(const struct table *table, bool fill_cache) {
    struct lsm_sst_iter iter;
    lsm_sst_iter_init(&iter, table->sst, fill_cache);
    lsm_iter_first(&iter.base);
    for (size_t i = 0; i < table->rows.count; i++) {
        assert_true(kit_iter_is(&iter.base, &table->rows, i));
        lsm_iter_next(&iter.base);
    }
    assert_true(kit_iter_is(&iter.base, &table->rows, SIZE_MAX));
    lsm_iter_last(&iter.base);
    for (size_t i = table->rows.count; i-- > 0;) {
        assert_true(kit_iter_is(&iter.base, &table->rows, i));
        lsm_iter_prev(&iter.base);
    }
    assert_true(kit_iter_is(&iter.base, &table->rows, SIZE_MAX));
    lsm_iter_release(&iter.base);
}

/* A key that is in the table, or next to one, or any. */
static size_t probe_key(const struct table *table, uint64_t *random, enum kit_shape shape, uint8_t key[4096]) {
    if (table->rows.count == 0 || kit_below(random, 3) == 0) return kit_below(random, 50) == 0 ? 0 : kit_key(random, shape, key);
    const struct lsm_buf *row = &table->rows.rows[kit_below(random, table->rows.count)].key;
    size_t size = row->size < 4095 ? row->size : 4095;
    if (size == 0) return 0;
    memcpy(key, row->data, size);
    switch (kit_below(random, 4)) {
    case 0: key[size++] = 0; break;
    case 1: size -= size > 0; break;
    case 2: key[size - 1]++; break;
    default: break;
    }
    return size;
}

/* Seeks in both directions and a few steps from where they lead. */
static void check_seeks(const struct table *table, uint64_t *random, enum kit_shape shape, bool fill_cache, size_t probes) {
    struct lsm_sst_iter iter;
    uint8_t key[4096];
    lsm_sst_iter_init(&iter, table->sst, fill_cache);
    for (size_t n = 0; n < probes; n++) {
        struct lsm_slice probe = lsm_slice_of(key, probe_key(table, random, shape, key));
        size_t at = kit_lower_bound(&table->rows, probe);
        check_get(table, probe);
        if (kit_below(random, 2) == 0) {
            lsm_iter_seek(&iter.base, probe);
        } else {
            lsm_iter_seek_before(&iter.base, probe);
            at--;
        }
        assert_true(kit_iter_is(&iter.base, &table->rows, at));
        for (size_t steps = kit_below(random, 30); iter.base.valid && steps > 0; steps--) {
            bool forward = kit_below(random, 3) != 0;
            if (forward)
                lsm_iter_next(&iter.base);
            else
                lsm_iter_prev(&iter.base);
            at += forward ? 1 : SIZE_MAX;
            assert_true(kit_iter_is(&iter.base, &table->rows, at));
        }
    }
    lsm_iter_release(&iter.base);
}

static void check_meta(const struct table *table) {
    uint64_t tombstones = 0, raw = 0, size;
    for (size_t i = 0; i < table->rows.count; i++) {
        tombstones += table->rows.rows[i].kind == LSM_KIND_DELETE;
        raw += table->rows.rows[i].key.size + table->rows.rows[i].value.size;
    }
    assert_int_equal(table->meta->entries, table->rows.count);
    assert_int_equal(table->meta->tombstones, tombstones);
    assert_int_equal(table->meta->raw_bytes, raw);
    assert_int_equal(table->meta->log_low, 100);
    assert_int_equal(table->meta->log_high, 200);
    assert_int_equal(lsm_env_mem_file_size(table->env, KIT_PATH, &size), LSM_OK);
    assert_int_equal(table->meta->bytes, size);
    if (table->rows.count == 0 || table->rows.range_count != 0) return;
    assert_true(lsm_slice_equal(lsm_buf_slice(&table->meta->smallest), lsm_buf_slice(&table->rows.rows[0].key)));
    assert_true(lsm_slice_equal(lsm_buf_slice(&table->meta->largest), lsm_buf_slice(&table->rows.rows[table->rows.count - 1].key)));
}

static void check_verify(const struct table *table) {
    struct lsm_error err = {0};
    if (lsm_sst_verify(table->sst, NULL, NULL, &err) != LSM_OK) fail_msg("%s", err.text);
}

/* ---- tests ---------------------------------------------------------------------------------------------------- */

static void every_shape_block_size_and_compression_reads_back_as_written(void **state) {
    (void)state;
    uint64_t random = kit_seed(__func__);
    static const size_t block_bytes[] = {512, 4096, 65536};
    for (int shape = 0; shape < KIT_SHAPES; shape++)
        for (size_t b = 0; b < 3; b++)
            for (int compression = LSM_COMPRESS_NONE; compression <= LSM_COMPRESS_ZSTD; compression++) {
                struct table table = {0};
                struct lsm_sst_options options = kit_options(block_bytes[b], (enum lsm_compression)compression);
                kit_random_rows(&table.rows, &random, (enum kit_shape)shape, kit_below(&random, shape == KIT_LONG ? 100 : 800), 9000);
                table_open(&table, &options, kit_below(&random, 3) * 30000);
                check_meta(&table);
                for (int fill_cache = 0; fill_cache < 2; fill_cache++) {
                    check_walks(&table, fill_cache != 0);
                    check_seeks(&table, &random, (enum kit_shape)shape, fill_cache != 0, 150);
                }
                check_verify(&table);
                table_close(&table);
            }
}

static void tables_of_zero_and_one_entry_work(void **state) {
    (void)state;
    uint64_t random = 1;
    for (size_t count = 0; count < 2; count++) {
        struct table table = {0};
        struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_LZ4);
        if (count == 1) kit_add(&table.rows, LSM_KIND_PUT, lsm_slice_of("", 0), lsm_slice_of("v", 1)); /* the empty key */
        table_open(&table, &options, 100000);
        check_meta(&table);
        check_walks(&table, true);
        check_seeks(&table, &random, KIT_SHORT, true, 50);
        check_verify(&table);
        double bytes, entries;
        lsm_sst_estimate(table.sst, NULL, NULL, &bytes, &entries);
        assert_true(entries == (double)count && (bytes > 0) == (count > 0));
        table_close(&table);
    }
}

static void entries_larger_than_a_block_get_blocks_of_their_own(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_ZSTD);
    size_t big = 3 * 1024 * 1024;
    uint64_t random = 5;
    uint8_t *bytes = lsm_malloc(LSM_KEY_BYTES_MAX + LSM_TREE_BYTES);
    assert_non_null(bytes);
    for (size_t i = 0; i < big; i++) bytes[i] = (uint8_t)kit_random(&random);
    kit_add_text(&table.rows, "aaaa-small", "1");
    kit_add(&table.rows, LSM_KIND_PUT, lsm_slice_of("aaab-big value", 14), lsm_slice_of(bytes, big));
    kit_add_text(&table.rows, "aaab-small", "2");
    kit_add_text(&table.rows, "aaab-small", NULL);
    memset(bytes, 'k', LSM_KEY_BYTES_MAX + LSM_TREE_BYTES);
    kit_add(&table.rows, LSM_KIND_PUT, lsm_slice_of(bytes, LSM_KEY_BYTES_MAX + LSM_TREE_BYTES - 1), lsm_slice_of("long key", 8));
    kit_add(&table.rows, LSM_KIND_DELETE, lsm_slice_of(bytes, LSM_KEY_BYTES_MAX + LSM_TREE_BYTES), lsm_slice_of("", 0)); /* the longest there is */
    kit_add_text(&table.rows, "zzzz", "");
    kit_sort(&table.rows);
    table_open(&table, &options, 1000000);
    check_meta(&table);
    check_walks(&table, true);
    check_walks(&table, false);
    for (size_t i = 0; i < table.rows.count; i++) check_get(&table, lsm_buf_slice(&table.rows.rows[i].key));
    check_verify(&table);
    lsm_free(bytes);
    table_close(&table);
}

static void a_key_or_value_over_the_limit_is_refused(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    struct lsm_sst_writer *writer;
    struct lsm_error err = {0};
    size_t size = LSM_KEY_BYTES_MAX + LSM_TREE_BYTES + 1;
    uint8_t *key = lsm_calloc(size, 1);
    assert_int_equal(lsm_sst_writer_open(env, KIT_PATH, &kit_perm, kit_store_id, 1, &options, &writer, &err), LSM_OK);
    assert_int_equal(lsm_sst_writer_add(writer, LSM_KIND_DELETE, lsm_slice_of(key, size), lsm_slice_of("", 0), &err), LSM_TOOBIG);
    assert_int_equal(lsm_sst_writer_add(writer, LSM_KIND_PUT, lsm_slice_of(key, 4), lsm_slice_of(key, LSM_VALUE_BYTES_MAX + 1), &err), LSM_TOOBIG);
    assert_true(lsm_sst_writer_empty(writer));
    lsm_sst_writer_abandon(writer);
    lsm_free(key);
    lsm_env_mem_free(env);
}

static void range_tombstones_come_back_and_widen_the_key_range(void **state) {
    (void)state;
    for (int with_rows = 0; with_rows < 2; with_rows++) {
        struct table table = {0};
        struct lsm_sst_options options = kit_options(512, LSM_COMPRESS_NONE);
        if (with_rows) {
            kit_add_text(&table.rows, "bbbb", "1");
            kit_add_text(&table.rows, "gggg", "2");
        }
        static const char *const pairs[] = {"aaaa", "aaaz", "aaaz", "cccc", "dddd", "dddd-", "ffff", "kkkk"};
        for (size_t i = 0; i < 4; i++)
            table.rows.ranges[table.rows.range_count++] = (struct lsm_sst_range){.low = lsm_slice_of(pairs[2 * i], strlen(pairs[2 * i])),
                                                                                 .high = lsm_slice_of(pairs[2 * i + 1], strlen(pairs[2 * i + 1]))};
        table_open(&table, &options, 0);
        size_t count;
        const struct lsm_sst_range *ranges = lsm_sst_ranges(table.sst, &count);
        assert_int_equal(count, 4);
        assert_int_equal(table.meta->range_tombstones, 4);
        for (size_t i = 0; i < count; i++) {
            assert_true(lsm_slice_equal(ranges[i].low, table.rows.ranges[i].low));
            assert_true(lsm_slice_equal(ranges[i].high, table.rows.ranges[i].high));
        }
        assert_memory_equal(table.meta->smallest.data, "aaaa", 4);
        assert_memory_equal(table.meta->largest.data, "kkkk", 4);
        assert_true(table.meta->largest_exclusive);
        check_walks(&table, true);
        check_verify(&table);
        table_close(&table);
    }
}

static void a_range_that_ends_at_the_last_key_leaves_it_inclusive(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(512, LSM_COMPRESS_NONE);
    kit_add_text(&table.rows, "bbbb", "1");
    table.rows.ranges[table.rows.range_count++] = (struct lsm_sst_range){.low = lsm_slice_of("bb", 2), .high = lsm_slice_of("bbbb", 4)};
    table_open(&table, &options, 0);
    assert_false(table.meta->largest_exclusive);
    assert_int_equal(table.meta->smallest.size, 2);
    assert_int_equal(table.meta->largest.size, 4);
    table_close(&table);
}

static void the_filter_lets_under_two_percent_of_strangers_through(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    uint8_t key[12] = {0, 0, 0, 1};
    for (uint32_t i = 0; i < 20000; i++) {
        for (size_t j = 0; j < 4; j++) key[8 + j] = (uint8_t)(i >> (24 - 8 * j));
        kit_add(&table.rows, LSM_KIND_PUT, lsm_slice_of(key, sizeof key), lsm_slice_of("v", 1));
    }
    table_open(&table, &options, 0);
    size_t passed = 0, probes = 200000;
    for (uint32_t i = 0; i < probes; i++) {
        uint32_t n = 1000000 + i;
        for (size_t j = 0; j < 4; j++) key[8 + j] = (uint8_t)(n >> (24 - 8 * j));
        passed += lsm_sst_may_contain(table.sst, lsm_sst_key_hash(lsm_slice_of(key, sizeof key)));
    }
    printf("false positives: %.2f %%\n", 100.0 * (double)passed / (double)probes);
    assert_true(passed < probes / 50);
    table_close(&table);
}

static void without_a_filter_every_key_may_be_there(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    options.filter_bits_per_key = 0;
    kit_add_text(&table.rows, "bbbb", "1");
    table_open(&table, &options, 0);
    assert_true(lsm_sst_may_contain(table.sst, 12345));
    check_verify(&table);
    table_close(&table);
}

static void compression_pays_on_dull_data_and_is_dropped_on_noise(void **state) {
    (void)state;
    uint64_t bytes[2][3];
    for (int noise = 0; noise < 2; noise++)
        for (int compression = 0; compression < 3; compression++) {
            struct table table = {0};
            struct lsm_sst_options options = kit_options(4096, (enum lsm_compression)compression);
            uint64_t random = 9;
            uint8_t key[8] = {0, 0, 0, 1}, value[100];
            for (uint32_t i = 0; i < 3000; i++) {
                key[6] = (uint8_t)(i >> 8);
                key[7] = (uint8_t)i;
                for (size_t j = 0; j < sizeof value; j++) value[j] = noise ? (uint8_t)kit_random(&random) : 'd';
                kit_add(&table.rows, LSM_KIND_PUT, lsm_slice_of(key, sizeof key), lsm_slice_of(value, sizeof value));
            }
            table_open(&table, &options, 0);
            check_walks(&table, false);
            bytes[noise][compression] = table.meta->bytes;
            table_close(&table);
        }
    assert_true(bytes[0][1] < bytes[0][0] / 3 && bytes[0][2] < bytes[0][0] / 3);
    assert_true(bytes[1][1] >= bytes[1][0] * 9 / 10 && bytes[1][1] <= bytes[1][0]);
}

static void estimates_are_exact_over_all_and_near_over_parts(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    uint8_t key[12] = {0, 0, 0, 1}, value[100] = {0};
    for (uint32_t i = 0; i < 10000; i++) {
        key[10] = (uint8_t)(i >> 8);
        key[11] = (uint8_t)i;
        kit_add(&table.rows, LSM_KIND_PUT, lsm_slice_of(key, sizeof key), lsm_slice_of(value, sizeof value));
    }
    table_open(&table, &options, 0);
    double bytes, entries;
    lsm_sst_estimate(table.sst, NULL, NULL, &bytes, &entries);
    assert_true(entries > 9999.5 && entries < 10000.5);
    assert_true(bytes > 1000000 && bytes < (double)table.meta->bytes);
    for (size_t low = 0; low < 9000; low += 777)
        for (size_t width = 1; low + width < 10000; width = width * 3 + 1) {
            struct lsm_slice a = lsm_buf_slice(&table.rows.rows[low].key), b = lsm_buf_slice(&table.rows.rows[low + width].key);
            lsm_sst_estimate(table.sst, &a, &b, &bytes, &entries);
            assert_true(entries >= 0 && entries > (double)width - 45 && entries < (double)width + 45);
        }
    struct lsm_slice high = lsm_slice_of("\0\0\0\2", 4), first = lsm_buf_slice(&table.rows.rows[0].key),
                     second = lsm_buf_slice(&table.rows.rows[1].key);
    lsm_sst_estimate(table.sst, &high, NULL, &bytes, &entries);
    assert_true(entries == 0 && bytes == 0);
    lsm_sst_estimate(table.sst, &second, &first, &bytes, &entries);
    assert_true(entries == 0 && bytes == 0);
    lsm_sst_estimate(table.sst, NULL, &second, &bytes, &entries);
    assert_true(entries > 0 && entries < 45);
    table_close(&table);
}

static void an_iterator_keeps_its_block_when_the_cache_is_tiny(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(512, LSM_COMPRESS_LZ4);
    uint64_t random = kit_seed(__func__);
    kit_random_rows(&table.rows, &random, KIT_RANDOM, 500, 1000);
    table_open(&table, &options, 2000);
    struct lsm_sst_iter iters[8];
    size_t at[8];
    for (size_t i = 0; i < 8; i++) {
        lsm_sst_iter_init(&iters[i], table.sst, true);
        at[i] = i * 50;
        lsm_iter_seek(&iters[i].base, lsm_buf_slice(&table.rows.rows[at[i]].key));
    }
    for (size_t n = 0; n < 3000; n++) {
        size_t i = kit_below(&random, 8);
        assert_true(kit_iter_is(&iters[i].base, &table.rows, at[i]));
        if (at[i] + 1 == table.rows.count) {
            lsm_iter_first(&iters[i].base);
            at[i] = 0;
            continue;
        }
        lsm_iter_next(&iters[i].base);
        at[i]++;
    }
    for (size_t i = 0; i < 8; i++) lsm_iter_release(&iters[i].base);
    table_close(&table);
}

static void identify_tells_our_files_from_others(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    struct lsm_error err = {0};
    uint8_t other_id[LSM_STORE_ID_BYTES] = {99};
    kit_add_text(&table.rows, "bbbb", "1");
    table_open(&table, &options, 0);
    assert_int_equal(lsm_sst_identify(table.env, KIT_PATH, kit_store_id, 7, &err), LSM_OK);
    assert_int_equal(lsm_sst_identify(table.env, KIT_PATH, other_id, 7, &err), LSM_MISMATCH);
    assert_int_equal(lsm_sst_identify(table.env, KIT_PATH, kit_store_id, 8, &err), LSM_MISMATCH);
    assert_int_equal(lsm_env_mem_write_file(table.env, "/other", "hello", 5), LSM_OK);
    assert_int_equal(lsm_sst_identify(table.env, "/other", kit_store_id, 7, &err), LSM_CORRUPT);
    assert_int_equal(lsm_sst_identify(table.env, "/none", kit_store_id, 7, &err), LSM_NOTFOUND);
    table_close(&table);
}

static bool stop_after(void *arg) {
    int *left = arg;
    return (*left)-- == 0;
}

static void verify_stops_at_the_callers_wish(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    kit_add_text(&table.rows, "bbbb", "1");
    table_open(&table, &options, 0);
    for (int after = 0; after < 2; after++) { /* as bytes, and block by block */
        int left = after;
        assert_int_equal(lsm_sst_verify(table.sst, stop_after, &left, NULL), LSM_INTERRUPTED);
    }
    int enough = 2;
    assert_int_equal(lsm_sst_verify(table.sst, stop_after, &enough, NULL), LSM_OK);
    assert_int_equal(enough, 0); /* asked so often */
    table_close(&table);
}

static void the_writer_guesses_its_size_well(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_sst_options options = kit_options(4096, LSM_COMPRESS_NONE);
    struct lsm_sst_writer *writer;
    struct lsm_file_meta *meta = lsm_file_meta_new();
    uint8_t key[20] = {0, 0, 0, 1}, value[100] = {0};
    uint64_t before = 0;
    assert_int_equal(lsm_sst_writer_open(env, KIT_PATH, &kit_perm, kit_store_id, 1, &options, &writer, NULL), LSM_OK);
    assert_true(lsm_sst_writer_empty(writer));
    for (uint32_t i = 0; i < 10000; i++) {
        key[18] = (uint8_t)(i >> 8);
        key[19] = (uint8_t)i;
        assert_int_equal(lsm_sst_writer_add(writer, LSM_KIND_PUT, lsm_slice_of(key, sizeof key), lsm_slice_of(value, sizeof value), NULL), LSM_OK);
        before = lsm_sst_writer_bytes(writer);
    }
    assert_int_equal(lsm_sst_writer_finish(writer, 0, 1, meta, NULL), LSM_OK);
    assert_true(before > meta->bytes * 9 / 10 && before < meta->bytes * 11 / 10);
    lsm_file_meta_unref(meta);
    lsm_env_mem_free(env);
}

struct reader {
    struct lsm_thread thread;
    const struct table *table;
    uint64_t random;
};

static void read_much(void *arg) {
    struct reader *reader = arg;
    for (int n = 0; n < 10; n++) check_seeks(reader->table, &reader->random, KIT_RANDOM, n % 2 == 0, 100);
    check_walks(reader->table, true);
}

/* What an iterator keeps of one table (block, window, place) must not show up in the next one. */
static void one_iterator_walks_one_table_after_another(void **state) {
    (void)state;
    struct table tables[2] = {0};
    uint64_t random = kit_seed(__func__);
    struct lsm_sst_iter iter;
    for (size_t t = 0; t < 2; t++) {
        struct lsm_sst_options options = kit_options(512, t == 0 ? LSM_COMPRESS_NONE : LSM_COMPRESS_LZ4);
        kit_random_rows(&tables[t].rows, &random, KIT_RANDOM, 600, 200);
        table_open(&tables[t], &options, t * 20000);
    }
    lsm_sst_iter_init(&iter, tables[0].sst, true);
    for (size_t turn = 0; turn < 400; turn++) {
        const struct table *table = &tables[turn % 2];
        size_t at = kit_below(&random, table->rows.count), steps = kit_below(&random, 100);
        if (turn != 0) lsm_sst_iter_move(&iter, table->sst);
        assert_false(iter.base.valid);
        lsm_iter_seek(&iter.base, lsm_buf_slice(&table->rows.rows[at].key));
        assert_true(kit_iter_is(&iter.base, &table->rows, at));
        for (size_t n = 0; n < steps && iter.base.valid; n++) {
            lsm_iter_next(&iter.base);
            assert_true(kit_iter_is(&iter.base, &table->rows, ++at));
        }
    }
    lsm_iter_release(&iter.base);
    for (size_t t = 0; t < 2; t++) table_close(&tables[t]);
}

static void threads_read_one_table_through_a_tiny_cache(void **state) {
    (void)state;
    struct table table = {0};
    struct lsm_sst_options options = kit_options(512, LSM_COMPRESS_ZSTD);
    struct reader readers[3] = {0};
    uint64_t random = kit_seed(__func__);
    kit_random_rows(&table.rows, &random, KIT_RANDOM, 1000, 3000);
    table_open(&table, &options, 10000);
    for (size_t i = 0; i < 3; i++) {
        readers[i].table = &table;
        readers[i].random = random + i;
        assert_int_equal(lsm_thread_start(&readers[i].thread, "reader", read_much, &readers[i]), LSM_OK);
    }
    for (size_t i = 0; i < 3; i++) lsm_thread_join(&readers[i].thread);
    table_close(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_block_size_and_compression_reads_back_as_written),
        cmocka_unit_test(tables_of_zero_and_one_entry_work),
        cmocka_unit_test(entries_larger_than_a_block_get_blocks_of_their_own),
        cmocka_unit_test(a_key_or_value_over_the_limit_is_refused),
        cmocka_unit_test(range_tombstones_come_back_and_widen_the_key_range),
        cmocka_unit_test(a_range_that_ends_at_the_last_key_leaves_it_inclusive),
        cmocka_unit_test(the_filter_lets_under_two_percent_of_strangers_through),
        cmocka_unit_test(without_a_filter_every_key_may_be_there),
        cmocka_unit_test(compression_pays_on_dull_data_and_is_dropped_on_noise),
        cmocka_unit_test(estimates_are_exact_over_all_and_near_over_parts),
        cmocka_unit_test(an_iterator_keeps_its_block_when_the_cache_is_tiny),
        cmocka_unit_test(one_iterator_walks_one_table_after_another),
        cmocka_unit_test(identify_tells_our_files_from_others),
        cmocka_unit_test(verify_stops_at_the_callers_wish),
        cmocka_unit_test(the_writer_guesses_its_size_well),
        cmocka_unit_test(threads_read_one_table_through_a_tiny_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
