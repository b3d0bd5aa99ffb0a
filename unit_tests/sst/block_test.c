#include "table_kit.h"

#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/sst/block.h"

/* Encode all rows into one block. */
static void encode(const struct kit_rows *rows, struct lsm_buf *out) {
    struct lsm_block_item *items = lsm_calloc(rows->count + 1, sizeof *items);
    struct lsm_slice first = rows->count == 0 ? (struct lsm_slice){0} : lsm_buf_slice(&rows->rows[0].key);
    for (size_t i = 0; i < rows->count; i++) {
        struct lsm_slice key = lsm_buf_slice(&rows->rows[i].key);
        size_t common = lsm_slice_common(first, key);
        items[i] = (struct lsm_block_item){.common = common, .kind = rows->rows[i].kind, .value = lsm_buf_slice(&rows->rows[i].value)};
        if (key.size > common) items[i].tail = lsm_slice_of(key.data + common, key.size - common);
    }
    assert_int_equal(lsm_block_encode(first, items, rows->count, out), LSM_OK);
    assert_int_equal(lsm_buf_reserve(out, LSM_BLOCK_SLACK), LSM_OK);
    lsm_free(items);
}

static void a_block_gives_back_its_entries_and_finds_them(void **state) {
    (void)state;
    uint64_t random = kit_seed(__func__);
    for (int shape = 0; shape < KIT_SHAPES; shape++)
        for (size_t round = 0; round < 30; round++) {
            struct kit_rows rows = {0};
            struct lsm_buf out = {0}, key = {0};
            struct lsm_block block;
            uint8_t probe[4096];
            kit_random_rows(&rows, &random, (enum kit_shape)shape, kit_below(&random, round < 15 ? 10 : 200), round % 10 == 0 ? 70000 : 200);
            encode(&rows, &out);
            assert_null(lsm_block_open(&block, lsm_buf_slice(&out)));
            assert_int_equal(block.count, rows.count);
            for (size_t i = 0; i < rows.count; i++) {
                struct lsm_block_entry entry = lsm_block_entry(&block, i);
                bool exact;
                assert_int_equal(lsm_block_key_copy(&block, i, &key), LSM_OK);
                assert_true(lsm_slice_equal(lsm_buf_slice(&key), lsm_buf_slice(&rows.rows[i].key)));
                assert_true(entry.kind == rows.rows[i].kind && lsm_slice_equal(entry.value, lsm_buf_slice(&rows.rows[i].value)));
                assert_true(lsm_block_seek(&block, lsm_buf_slice(&key), &exact) == i && exact);
            }
            for (size_t n = 0; n < 300; n++) {
                struct lsm_slice sought = lsm_slice_of(probe, kit_key(&random, (enum kit_shape)kit_below(&random, KIT_SHAPES), probe));
                size_t at = kit_lower_bound(&rows, sought);
                bool exact, there = at < rows.count && lsm_slice_equal(lsm_buf_slice(&rows.rows[at].key), sought);
                assert_int_equal(lsm_block_seek(&block, sought, &exact), at);
                assert_int_equal(exact, there);
            }
            lsm_buf_free(&out);
            lsm_buf_free(&key);
            kit_free(&rows);
        }
}

static void noise_is_refused_or_harmless(void **state) {
    (void)state;
    uint64_t random = kit_seed(__func__);
    size_t accepted = 0;
    struct kit_rows rows = {0};
    struct lsm_buf good = {0}, key = {0};
    kit_random_rows(&rows, &random, KIT_NESTED, 12, 20);
    encode(&rows, &good);
    for (size_t n = 0; n < 300000; n++) {
        bool mutate = n % 2 == 0; /* else plain noise that looks small */
        size_t size = mutate ? good.size : kit_below(&random, 80);
        uint8_t *bytes = malloc(size + LSM_BLOCK_SLACK); /* exact, so that ASan sees the end */
        struct lsm_block block;
        for (size_t i = 0; i < size; i++) bytes[i] = mutate ? good.data[i] : (uint8_t)(kit_below(&random, 3) == 0 ? kit_random(&random) & 0x1f : 0);
        memset(bytes + size, 0, LSM_BLOCK_SLACK);
        for (size_t k = mutate ? 1 + kit_below(&random, 3) : 0; k > 0; k--) bytes[kit_below(&random, size)] = (uint8_t)kit_random(&random);
        if (lsm_block_open(&block, lsm_slice_of(bytes, size)) == NULL) {
            bool exact;
            accepted++;
            for (size_t i = 0; i < block.count; i++) {
                struct lsm_block_entry entry = lsm_block_entry(&block, i);
                assert_true(entry.value.data + entry.value.size <= bytes + size);
                assert_int_equal(lsm_block_key_copy(&block, i, &key), LSM_OK);
                assert_true(lsm_block_seek(&block, lsm_buf_slice(&key), &exact) <= block.count);
            }
        }
        free(bytes);
    }
    printf("accepted: %zu\n", accepted);
    assert_true(accepted > 100);
    lsm_buf_free(&good);
    lsm_buf_free(&key);
    kit_free(&rows);
}

/* Sizes only: no byte behind them is read. */
static void what_is_larger_than_a_block_is_refused(void **state) {
    (void)state;
    uint8_t bytes[64] = {0};
    struct lsm_block block;
    struct lsm_buf out = {0};
    assert_string_equal(lsm_block_open(&block, lsm_slice_of(bytes, (size_t)LSM_BLOCK_BYTES_MAX + 1)), "the block is too long");
    const struct lsm_slice key = lsm_slice_of("k", 1), large = lsm_slice_of(bytes, (size_t)LSM_BLOCK_BYTES_MAX - 10),
                           half = lsm_slice_of(bytes, (size_t)LSM_BLOCK_BYTES_MAX / 2);
    struct lsm_block_item items[] = {{.common = 1, .value = large}, {.value = half}};
    assert_int_equal(lsm_block_encode(key, items, 1, &out), LSM_TOOBIG); /* with what stands around it */
    items[0] = (struct lsm_block_item){.value = half};
    items[1].value = lsm_slice_of(bytes, (size_t)LSM_BLOCK_BYTES_MAX / 2 + 1);
    assert_int_equal(lsm_block_encode(key, items, 2, &out), LSM_TOOBIG); /* the values alone */
    assert_int_equal(out.size, 0);
}

static void more_shared_bytes_than_keys_have_are_refused(void **state) {
    (void)state;
    size_t size = LSM_BLOCK_HEAD_BYTES + 2 * sizeof(uint32_t) + LSM_BLOCK_KEY_BYTES_MAX + 1;
    uint8_t *bytes = lsm_calloc(1, size + LSM_BLOCK_SLACK);
    struct lsm_block block;
    lsm_store_u32(bytes + 4, (uint32_t)LSM_BLOCK_KEY_BYTES_MAX + 1);
    assert_string_equal(lsm_block_open(&block, lsm_slice_of(bytes, size)), "the shared key bytes overrun the block");
    lsm_free(bytes);
}

/* Whole, but for the order: every search ends, inside. */
static void a_search_in_a_block_out_of_order_ends_inside(void **state) {
    (void)state;
    uint64_t random = kit_seed(__func__);
    for (size_t round = 0; round < 3000; round++) {
        struct kit_rows rows = {0};
        struct lsm_buf out = {0};
        struct lsm_block block;
        size_t count = 3 + kit_below(&random, 12);
        for (size_t i = 0; i < count; i++)
            kit_add(&rows, LSM_KIND_PUT, lsm_slice_of((uint8_t[]){0, 0, 0, (uint8_t)(i + 1), 0, 0, 0, 0, 0}, 9), (struct lsm_slice){0});
        encode(&rows, &out);
        assert_null(lsm_block_open(&block, lsm_buf_slice(&out)));
        uint8_t *column = out.data + (block.column - block.bytes);
        for (size_t i = 0; i < count; i++) column[i * LSM_BLOCK_COLUMN_BYTES + 7] = (uint8_t)kit_below(&random, 4);
        for (uint8_t i = 0; i < 5; i++) {
            bool exact;
            struct lsm_slice sought = lsm_slice_of((uint8_t[]){0, 0, 0, i, 0, 0, 0, 0, 0}, 9);
            assert_true(lsm_block_seek(&block, sought, &exact) <= count);
        }
        lsm_buf_free(&out);
        kit_free(&rows);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_gives_back_its_entries_and_finds_them), cmocka_unit_test(noise_is_refused_or_harmless),
        cmocka_unit_test(what_is_larger_than_a_block_is_refused),        cmocka_unit_test(more_shared_bytes_than_keys_have_are_refused),
        cmocka_unit_test(a_search_in_a_block_out_of_order_ends_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
