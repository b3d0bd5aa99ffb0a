/* Batches: what is added comes back, and bytes of any origin are read without harm. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/codec/batch.h"

enum { OPS_MAX = 200, POOL_BYTES = 400 };

struct made {
    struct lsm_op ops[OPS_MAX];
    size_t count;
    struct lsm_buf batch;
};

static uint8_t pool[POOL_BYTES];

static struct lsm_slice piece(uint64_t *random) {
    size_t size = (size_t)kit_below(random, kit_below(random, 4) == 0 ? 300 : 8), at = (size_t)kit_below(random, POOL_BYTES - size);
    return lsm_slice_of(pool + at, size);
}

static void add(struct made *made, struct lsm_op op) {
    assert_true(made->count < OPS_MAX);
    assert_int_equal(lsm_buf_reserve(&made->batch, lsm_op_bytes_max(op.key.size, op.value.size)), LSM_OK);
    size_t capacity = made->batch.capacity;
    op.offset = made->batch.size;
    made->ops[made->count++] = op;
    op.offset = 12345; /* not looked at */
    lsm_batch_add(&made->batch, &op);
    assert_int_equal(made->batch.capacity, capacity);
    assert_true(made->batch.size <= capacity);
}

static void make(struct made *made, uint64_t *random, size_t count) {
    uint32_t tree = 0;
    *made = (struct made){0};
    while (made->count < count) {
        enum lsm_op_kind kind = (enum lsm_op_kind)(1 + kit_below(random, 6));
        struct lsm_op op = {.kind = kind, .tree = tree};
        bool rows = kind == LSM_OP_PUT || kind == LSM_OP_DELETE || kind == LSM_OP_DELETE_RANGE;
        if (rows && tree == 0) continue;
        if (!rows) op.tree = 1 + (uint32_t)kit_below(random, kit_below(random, 2) == 0 ? 5 : LSM_TREE_MAX);
        if (kind == LSM_OP_SELECT) tree = op.tree;
        if (rows) op.key = piece(random);
        if (kind == LSM_OP_PUT || kind == LSM_OP_DELETE_RANGE) op.value = piece(random);
        if (kind == LSM_OP_TREE_CREATE) op.nonce = kit_random(random);
        add(made, op);
    }
}

static void expect_same(const struct lsm_op *got, const struct lsm_op *expected) {
    assert_int_equal(got->kind, expected->kind);
    assert_int_equal(got->tree, expected->tree);
    assert_int_equal(got->offset, expected->offset);
    assert_true(got->nonce == expected->nonce);
    assert_true(lsm_slice_equal(got->key, expected->key));
    assert_true(lsm_slice_equal(got->value, expected->value));
}

static void what_is_added_comes_back_in_order_with_its_offset(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    for (size_t i = 0; i < sizeof pool; i++) pool[i] = (uint8_t)kit_random(&random);
    for (int round = 0; round < 300; round++) {
        struct made made;
        struct lsm_op op;
        make(&made, &random, (size_t)kit_below(&random, OPS_MAX));
        struct lsm_batch_reader reader = {.batch = lsm_buf_slice(&made.batch)};
        for (size_t i = 0; i < made.count; i++) {
            assert_int_equal(lsm_batch_next(&reader, &op), LSM_OK);
            expect_same(&op, &made.ops[i]);
        }
        assert_int_equal(lsm_batch_next(&reader, &op), LSM_NOTFOUND);
        assert_int_equal(lsm_batch_next(&reader, &op), LSM_NOTFOUND);
        lsm_buf_free(&made.batch);
    }
}

static void operations_have_these_bytes(void **state) {
    (void)state;
    static const uint8_t expected[] = {5,    7,   0,   0, 0,   8,    7, 6, 5,   4, 3, 2,   1,      /* create 7 */
                                       0x87,                                                       /* select 7 */
                                       2,    1,   'k', 2, 'v', 'w',  3, 1, 'd', 4, 1, 'a', 1, 'b', /* put, delete, delete range */
                                       1,    128, 0,   0, 0,   0xff,                               /* select 128, 127 */
                                       6,    4,   3,   2, 1};                                      /* drop */
    struct made made = {0};
    add(&made, (struct lsm_op){.kind = LSM_OP_TREE_CREATE, .tree = 7, .nonce = UINT64_C(0x0102030405060708)});
    add(&made, (struct lsm_op){.kind = LSM_OP_SELECT, .tree = 7});
    add(&made, (struct lsm_op){.kind = LSM_OP_PUT, .key = lsm_slice_of("k", 1), .value = lsm_slice_of("vw", 2)});
    add(&made, (struct lsm_op){.kind = LSM_OP_DELETE, .key = lsm_slice_of("d", 1)});
    add(&made, (struct lsm_op){.kind = LSM_OP_DELETE_RANGE, .key = lsm_slice_of("a", 1), .value = lsm_slice_of("b", 1)});
    add(&made, (struct lsm_op){.kind = LSM_OP_SELECT, .tree = 128});
    add(&made, (struct lsm_op){.kind = LSM_OP_SELECT, .tree = 127});
    add(&made, (struct lsm_op){.kind = LSM_OP_TREE_DROP, .tree = 0x01020304});
    assert_int_equal(made.batch.size, sizeof expected);
    assert_memory_equal(made.batch.data, expected, sizeof expected);
    lsm_buf_free(&made.batch);
}

/* Reads copies that end where they end, so that a read behind the end is seen; every slice must lie inside. Returns the last status. */
static int read_all(const uint8_t *bytes, size_t size, size_t *ops) {
    uint8_t *exact = malloc(size + (size == 0));
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    struct lsm_batch_reader reader = {.batch = lsm_slice_of(exact, size)};
    struct lsm_op op;
    int status;
    size_t at = 0;
    *ops = 0;
    while ((status = lsm_batch_next(&reader, &op)) == LSM_OK) {
        struct lsm_slice const slices[] = {op.key, op.value};
        assert_int_equal(op.offset, at);
        assert_true(reader.at > at && reader.at <= size);
        assert_true(op.tree != 0);
        at = reader.at;
        (*ops)++;
        for (int i = 0; i < 2; i++) assert_true(slices[i].size == 0 || (slices[i].data >= exact && slices[i].data + slices[i].size <= exact + size));
    }
    assert_true(status == LSM_NOTFOUND || status == LSM_CORRUPT);
    if (status == LSM_CORRUPT) assert_int_equal(lsm_batch_next(&reader, &op), LSM_CORRUPT); /* it does not get better by asking again */
    free(exact);
    return status;
}

static void a_batch_cut_anywhere_gives_its_whole_operations(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    for (int round = 0; round < 20; round++) {
        struct made made;
        make(&made, &random, 20);
        for (size_t cut = 0; cut <= made.batch.size; cut++) {
            size_t ops, whole = 0;
            while (whole + 1 < made.count && made.ops[whole + 1].offset <= cut) whole++;
            if (cut == made.batch.size) whole = made.count;
            bool boundary = cut == made.batch.size || cut == made.ops[whole].offset;
            assert_int_equal(read_all(made.batch.data, cut, &ops), boundary ? LSM_NOTFOUND : LSM_CORRUPT);
            assert_int_equal(ops, whole);
        }
        lsm_buf_free(&made.batch);
    }
}

static void changed_bytes_are_read_without_harm(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    size_t ops, corrupt = 0;
    for (int round = 0; round < 3000; round++) {
        struct made made;
        make(&made, &random, 1 + (size_t)kit_below(&random, 20));
        for (uint64_t changes = 1 + kit_below(&random, 4); changes > 0; changes--)
            made.batch.data[kit_below(&random, made.batch.size)] = (uint8_t)(kit_below(&random, 3) == 0 ? 0xff : kit_random(&random));
        corrupt += read_all(made.batch.data, made.batch.size, &ops) == LSM_CORRUPT;
        lsm_buf_free(&made.batch);
    }
    for (int round = 0; round < 20000; round++) { /* no batch at all, but with kinds that exist */
        uint8_t bytes[40];
        size_t size = (size_t)kit_below(&random, sizeof bytes);
        for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(kit_below(&random, 2) == 0 ? kit_below(&random, 8) : kit_random(&random));
        corrupt += read_all(bytes, size, &ops) == LSM_CORRUPT;
    }
    assert_true(corrupt > 1000);
}

static void expect_corrupt(const char *bytes, size_t size) {
    size_t ops;
    assert_int_equal(read_all((const uint8_t *)bytes, size, &ops), LSM_CORRUPT);
}

static void senseless_operations_are_refused(void **state) {
    (void)state;
    for (int kind = 0; kind < 256; kind++) { /* unknown kinds */
        char bytes[14] = {(char)kind, 1, 0, 0, 0};
        if (kind < LSM_OP_SELECT || (kind > LSM_OP_TREE_DROP && kind <= 0x80)) expect_corrupt(bytes, sizeof bytes);
    }
    expect_corrupt("\2\1k\1v", 5); /* no tree is selected */
    expect_corrupt("\3\1k", 3);
    expect_corrupt("\4\1a\1b", 5);
    expect_corrupt("\1\0\0\0\0", 5); /* tree 0 */
    expect_corrupt("\x80", 1);
    expect_corrupt("\1\x7f\0\0\0", 5); /* longer than it should be */
    expect_corrupt("\5\0\0\0\0"
                   "12345678",
                   13);
    expect_corrupt("\6\0\0\0\0", 5);
    expect_corrupt("\1\xff\xff\xff\xff", 5); /* no tree has the last number */
    expect_corrupt("\5\xff\xff\xff\xff"
                   "12345678",
                   13);
    expect_corrupt("\6\xff\xff\xff\xff", 5);
    expect_corrupt("\x81\3\x81\0k", 5);                                  /* an overlong length */
    expect_corrupt("\x81\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\1k", 13); /* a length of UINT64_MAX */
    expect_corrupt("\x81\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\1k\1v", 15);
}

static void a_key_over_the_limit_is_refused(void **state) {
    (void)state;
    static const enum lsm_op_kind kinds[] = {LSM_OP_PUT, LSM_OP_DELETE, LSM_OP_DELETE_RANGE};
    for (size_t k = 0; k < 3; k++)
        for (size_t more = 0; more <= 1; more++) {
            struct made made = {0};
            size_t size = LSM_KEY_BYTES_MAX + more, ops;
            uint8_t *key = calloc(size, 1);
            assert_non_null(key);
            add(&made, (struct lsm_op){.kind = LSM_OP_SELECT, .tree = 1});
            add(&made, (struct lsm_op){.kind = kinds[k], .key = lsm_slice_of(key, size)});
            assert_int_equal(read_all(made.batch.data, made.batch.size, &ops), more == 0 ? LSM_NOTFOUND : LSM_CORRUPT);
            free(key);
            lsm_buf_free(&made.batch);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_comes_back_in_order_with_its_offset),
        cmocka_unit_test(operations_have_these_bytes),
        cmocka_unit_test(a_batch_cut_anywhere_gives_its_whole_operations),
        cmocka_unit_test(changed_bytes_are_read_without_harm),
        cmocka_unit_test(senseless_operations_are_refused),
        cmocka_unit_test(a_key_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
