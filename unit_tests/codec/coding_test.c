/* Integers in bytes and the bounded decoder. */
#include "../wal/wal_kit.h"

static uint64_t edges[64 * 3 + 2];
static size_t edges_count;

/* Around every power of two. */
static int make_edges(void **state) {
    (void)state;
    edges[edges_count++] = 0;
    for (unsigned bit = 0; bit < 64; bit++)
        for (int more = -1; more <= 1; more++) edges[edges_count++] = (UINT64_C(1) << bit) + (uint64_t)(int64_t)more;
    edges[edges_count++] = UINT64_MAX;
    return 0;
}

static struct lsm_decoder decoder(const void *bytes, size_t size) { return lsm_decoder_of(lsm_slice_of(bytes, size)); }

static void fixed_integers_have_these_bytes(void **state) {
    (void)state;
    uint8_t p[8];
    lsm_store_u16(p, 0x0102);
    assert_memory_equal(p, "\x02\x01", 2);
    lsm_store_u32(p, 0x01020304);
    assert_memory_equal(p, "\x04\x03\x02\x01", 4);
    lsm_store_u64(p, UINT64_C(0x0102030405060708));
    assert_memory_equal(p, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_true(lsm_load_be64(p) == UINT64_C(0x0807060504030201));
    lsm_store_be32(p, 0x01020304);
    assert_memory_equal(p, "\x01\x02\x03\x04", 4);
}

static void every_integer_comes_back(void **state) {
    (void)state;
    struct lsm_buf buf = {0};
    uint8_t p[LSM_VARINT_BYTES_MAX];
    for (size_t i = 0; i < edges_count; i++) {
        uint64_t v = edges[i];
        size_t bytes = 1;
        for (uint64_t rest = v >> 7; rest != 0; rest >>= 7) bytes++;
        assert_int_equal(lsm_store_varint(p, v), bytes);
        lsm_store_be32(p, (uint32_t)v);
        assert_int_equal(lsm_load_be32(p), (uint32_t)v);
        lsm_buf_reset(&buf);
        assert_int_equal(lsm_put_u8(&buf, (uint8_t)v), LSM_OK);
        assert_int_equal(lsm_put_u16(&buf, (uint16_t)v), LSM_OK);
        assert_int_equal(lsm_put_u32(&buf, (uint32_t)v), LSM_OK);
        assert_int_equal(lsm_put_u64(&buf, v), LSM_OK);
        assert_int_equal(lsm_put_varint(&buf, v), LSM_OK);
        assert_int_equal(buf.size, 15 + bytes);
        struct lsm_decoder d = decoder(buf.data, buf.size);
        assert_int_equal(lsm_get_u8(&d), (uint8_t)v);
        assert_int_equal(lsm_get_u16(&d), (uint16_t)v);
        assert_int_equal(lsm_get_u32(&d), (uint32_t)v);
        assert_true(lsm_get_u64(&d) == v);
        assert_true(lsm_get_varint(&d) == v);
        assert_false(d.failed);
        assert_int_equal(lsm_decoder_left(&d), 0);
    }
    lsm_buf_free(&buf);
}

static void a_varint_cut_short_fails_at_every_length(void **state) {
    (void)state;
    uint8_t p[LSM_VARINT_BYTES_MAX];
    for (size_t i = 0; i < edges_count; i++) {
        size_t bytes = lsm_store_varint(p, edges[i]);
        for (size_t cut = 0; cut < bytes; cut++) {
            uint8_t *exact = malloc(cut + 1); /* so that a read behind the end is seen */
            assert_non_null(exact);
            memcpy(exact, p, cut);
            struct lsm_decoder d = decoder(exact, cut);
            assert_int_equal(lsm_get_varint(&d), 0);
            assert_true(d.failed);
            free(exact);
        }
    }
}

static void an_overlong_varint_is_refused(void **state) {
    (void)state;
    uint8_t p[LSM_VARINT_BYTES_MAX + 4];
    for (size_t i = 0; i < edges_count; i++) {
        size_t bytes = lsm_store_varint(p, edges[i]);
        for (size_t more = 1; bytes + more <= sizeof p; more++) { /* the same number with zeros above */
            p[bytes + more - 2] |= 0x80;
            p[bytes + more - 1] = 0;
            struct lsm_decoder d = decoder(p, bytes + more);
            assert_int_equal(lsm_get_varint(&d), 0);
            assert_true(d.failed);
        }
    }
}

static void a_varint_over_64_bits_is_refused(void **state) {
    (void)state;
    static const uint8_t greatest[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    struct lsm_decoder d = decoder(greatest, sizeof greatest);
    assert_true(lsm_get_varint(&d) == UINT64_MAX);
    for (unsigned last = 2; last < 256; last++) {
        uint8_t p[12] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, (uint8_t)last, 0x01, 0x01};
        d = decoder(p, sizeof p);
        assert_int_equal(lsm_get_varint(&d), 0);
        assert_true(d.failed);
    }
}

/* Whatever decodes, encodes to the bytes it was read from. */
static void any_bytes_are_the_only_encoding_of_what_they_say_or_nothing(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    size_t good = 0;
    for (int round = 0; round < 200000; round++) {
        uint8_t p[12], again[LSM_VARINT_BYTES_MAX];
        for (size_t i = 0; i < sizeof p; i++) p[i] = (uint8_t)(kit_random(&random) & (kit_below(&random, 3) == 0 ? 0x81 : 0xff));
        struct lsm_decoder d = decoder(p, sizeof p);
        uint64_t v = lsm_get_varint(&d);
        if (d.failed) continue;
        size_t bytes = (size_t)(d.p - p);
        good++;
        assert_int_equal(lsm_store_varint(again, v), bytes);
        assert_memory_equal(again, p, bytes);
    }
    assert_true(good > 1000);
}

static void bytes_come_back_and_lengths_are_not_believed(void **state) {
    (void)state;
    struct lsm_buf buf = {0};
    uint8_t text[300];
    memset(text, 'q', sizeof text);
    assert_int_equal(lsm_put_bytes(&buf, (struct lsm_slice){0}), LSM_OK);
    assert_int_equal(lsm_put_bytes(&buf, lsm_slice_of(text, sizeof text)), LSM_OK);
    assert_int_equal(lsm_put_bytes(&buf, lsm_slice_of("tail", 4)), LSM_OK);
    struct lsm_decoder d = decoder(buf.data, buf.size);
    assert_int_equal(lsm_get_bytes(&d, 0).size, 0);
    assert_true(lsm_slice_equal(lsm_get_bytes(&d, sizeof text), lsm_slice_of(text, sizeof text)));
    assert_true(lsm_slice_equal(lsm_get_bytes(&d, 4), lsm_slice_of("tail", 4)));
    assert_true(!d.failed && lsm_decoder_left(&d) == 0);
    d = decoder(buf.data, buf.size);
    assert_int_equal(lsm_get_bytes(&d, 10).size, 0);
    assert_int_equal(lsm_get_bytes(&d, sizeof text - 1).size, 0); /* over what the caller allows */
    assert_true(d.failed);
    for (size_t i = 0; i < edges_count; i++) { /* lengths beyond the end, SIZE_MAX among them */
        lsm_buf_reset(&buf);
        assert_int_equal(lsm_put_varint(&buf, edges[i]), LSM_OK);
        assert_int_equal(lsm_buf_append(&buf, text, 2), LSM_OK);
        d = decoder(buf.data, buf.size);
        struct lsm_slice got = lsm_get_bytes(&d, SIZE_MAX);
        assert_int_equal(d.failed, edges[i] > 2);
        assert_int_equal(got.size, edges[i] > 2 ? 0 : edges[i]);
    }
    lsm_buf_free(&buf);
}

static void an_error_sticks_and_nothing_moves_any_more(void **state) {
    (void)state;
    static const uint8_t p[32] = {1, 2, 3};
    struct lsm_decoder d = decoder(p, sizeof p);
    assert_int_equal(lsm_get_fixed(&d, sizeof p + 1).size, 0);
    assert_true(d.failed);
    const uint8_t *at = d.p;
    assert_int_equal(lsm_get_u8(&d), 0);
    assert_int_equal(lsm_get_u16(&d), 0);
    assert_int_equal(lsm_get_u32(&d), 0);
    assert_true(lsm_get_u64(&d) == 0);
    assert_true(lsm_get_varint(&d) == 0);
    assert_int_equal(lsm_get_fixed(&d, 0).size, 0);
    assert_null(lsm_get_fixed(&d, 1).data);
    assert_null(lsm_get_bytes(&d, 10).data);
    assert_int_equal(lsm_decoder_left(&d), 0);
    assert_ptr_equal(d.p, at);
    assert_true(d.failed);
    struct lsm_decoder none = lsm_decoder_of((struct lsm_slice){0});
    assert_int_equal(lsm_decoder_left(&none), 0);
    assert_int_equal(lsm_get_fixed(&none, 0).size, 0);
    assert_false(none.failed);
    assert_int_equal(lsm_get_u8(&none), 0);
    assert_true(none.failed);
}

static void fixed_reads_stop_at_the_end(void **state) {
    (void)state;
    for (size_t size = 0; size <= 8; size++) {
        uint8_t *exact = calloc(size + 1, 1);
        assert_non_null(exact);
        struct lsm_decoder a = decoder(exact, size), b = a, c = a, e = a;
        (void)lsm_get_u8(&a);
        (void)lsm_get_u16(&b);
        (void)lsm_get_u32(&c);
        (void)lsm_get_u64(&e);
        assert_int_equal(a.failed, size < 1);
        assert_int_equal(b.failed, size < 2);
        assert_int_equal(c.failed, size < 4);
        assert_int_equal(e.failed, size < 8);
        free(exact);
    }
}

static void out_of_memory_appends_nothing(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_buf buf = {0};
    uint8_t big[200] = {0};
    lsm_mem_fail_after(1, true);
    assert_int_equal(lsm_put_u8(&buf, 1), LSM_NOMEM);
    assert_int_equal(lsm_put_u16(&buf, 1), LSM_NOMEM);
    assert_int_equal(lsm_put_u32(&buf, 1), LSM_NOMEM);
    assert_int_equal(lsm_put_u64(&buf, 1), LSM_NOMEM);
    assert_int_equal(lsm_put_varint(&buf, 1), LSM_NOMEM);
    lsm_mem_fail_after(0, false);
    assert_int_equal(lsm_put_u8(&buf, 1), LSM_OK);
    lsm_mem_fail_after(1, true);
    assert_int_equal(lsm_put_bytes(&buf, lsm_slice_of(big, sizeof big)), LSM_NOMEM);
    lsm_mem_fail_after(0, false);
    assert_int_equal(buf.size, 1);
    lsm_buf_free(&buf);
    assert_int_equal(lsm_mem_live(), live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_integers_have_these_bytes),
        cmocka_unit_test(every_integer_comes_back),
        cmocka_unit_test(a_varint_cut_short_fails_at_every_length),
        cmocka_unit_test(an_overlong_varint_is_refused),
        cmocka_unit_test(a_varint_over_64_bits_is_refused),
        cmocka_unit_test(any_bytes_are_the_only_encoding_of_what_they_say_or_nothing),
        cmocka_unit_test(bytes_come_back_and_lengths_are_not_believed),
        cmocka_unit_test(an_error_sticks_and_nothing_moves_any_more),
        cmocka_unit_test(fixed_reads_stop_at_the_end),
        cmocka_unit_test(out_of_memory_appends_nothing),
    };
    return cmocka_run_group_tests(tests, make_edges, NULL);
}
