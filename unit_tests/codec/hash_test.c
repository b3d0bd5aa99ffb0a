/* The hash is part of the file formats: its values must never change. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/codec/hash.h"

/* Any bytes, always the same. */
static void fill(uint8_t *bytes, size_t size) {
    uint64_t random = 42;
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)kit_random(&random);
}

static void these_values_are_written_in_files(void **state) {
    (void)state;
    static const struct {
        size_t size;
        uint64_t seed, hash;
    } expected[] = {{0, UINT64_C(0x0), UINT64_C(0x2d06800538d394c2)},
                    {1, UINT64_C(0x1), UINT64_C(0x6f87cf10913e375d)},
                    {3, UINT64_C(0x123456789abcdef), UINT64_C(0x58d19550610c212d)},
                    {4, UINT64_C(0x0), UINT64_C(0x3be7d51a7f2f7b0f)},
                    {8, UINT64_C(0x1), UINT64_C(0x00e2081340b3551b)},
                    {9, UINT64_C(0x123456789abcdef), UINT64_C(0x32ca1a4ee1a8b957)},
                    {16, UINT64_C(0x0), UINT64_C(0xb570867f759f7b06)},
                    {17, UINT64_C(0x1), UINT64_C(0x4505d90f6b695ff5)},
                    {64, UINT64_C(0x123456789abcdef), UINT64_C(0x65b76fed540c9f0b)},
                    {128, UINT64_C(0x0), UINT64_C(0x93e7230b34a7f9a9)},
                    {129, UINT64_C(0x1), UINT64_C(0xae9ef58a514d6a9f)},
                    {240, UINT64_C(0x123456789abcdef), UINT64_C(0x2ab62918623f9d84)},
                    {241, UINT64_C(0x0), UINT64_C(0xb5812b2f86570bea)},
                    {512, UINT64_C(0x1), UINT64_C(0x966d65c0f7a7b63d)},
                    {1000, UINT64_C(0x123456789abcdef), UINT64_C(0xc08da25c391a2052)}};
    uint8_t bytes[1000];
    fill(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(lsm_hash(bytes, expected[i].size, expected[i].seed) == expected[i].hash);
    assert_true(lsm_hash(NULL, 0, 0) == UINT64_C(0x2d06800538d394c2)); /* as published for XXH3 of nothing */
}

static void pieces_hash_like_the_whole_wherever_they_are_cut(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    uint8_t bytes[3000];
    fill(bytes, sizeof bytes);
    for (int round = 0; round < 500; round++) {
        size_t size = (size_t)kit_below(&random, sizeof bytes + 1), at = 0;
        uint64_t seed = kit_below(&random, 2) == 0 ? 0 : kit_random(&random);
        struct lsm_hasher *hasher = lsm_hasher_new(seed);
        assert_non_null(hasher);
        while (at < size) {
            size_t piece = (size_t)kit_below(&random, kit_below(&random, 2) == 0 ? 20 : 700);
            if (piece > size - at) piece = size - at;
            lsm_hasher_add(hasher, bytes + at, piece);
            at += piece;
            if (kit_below(&random, 10) == 0) assert_true(lsm_hasher_digest(hasher) == lsm_hash(bytes, at, seed)); /* and goes on */
        }
        lsm_hasher_add(hasher, NULL, 0);
        assert_true(lsm_hasher_digest(hasher) == lsm_hash(bytes, size, seed));
        lsm_hasher_free(hasher);
    }
}

static void every_bit_of_the_input_and_the_seed_matters(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 3, 4, 8, 9, 16, 17, 100, 128, 129, 240, 241, 400};
    uint8_t bytes[400];
    fill(bytes, sizeof bytes);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint64_t whole = lsm_hash(bytes, sizes[s], 7);
        for (size_t bit = 0; bit < 8 * sizes[s]; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_true(lsm_hash(bytes, sizes[s], 7) != whole);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (unsigned bit = 0; bit < 64; bit++) assert_true(lsm_hash(bytes, sizes[s], 7 ^ UINT64_C(1) << bit) != whole);
    }
}

static void a_hasher_that_gets_no_memory_is_none(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    lsm_mem_fail_after(1, false);
    assert_null(lsm_hasher_new(0));
    lsm_mem_fail_after(0, false);
    lsm_hasher_free(NULL);
    lsm_hasher_free(lsm_hasher_new(1));
    assert_int_equal(lsm_mem_live(), live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(these_values_are_written_in_files),
        cmocka_unit_test(pieces_hash_like_the_whole_wherever_they_are_cut),
        cmocka_unit_test(every_bit_of_the_input_and_the_seed_matters),
        cmocka_unit_test(a_hasher_that_gets_no_memory_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
