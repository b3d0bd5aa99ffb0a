/* The bytes of an edit: round trips, an oracle that writes them by hand, and hostile ones. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/version/edit.h"

static struct lsm_error err;

static struct lsm_file_meta *random_meta(uint64_t *random, uint64_t number) {
    struct lsm_file_meta *meta = lsm_file_meta_new();
    assert_non_null(meta);
    uint8_t key[40];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)kit_random(random);
    key[0] = 1; /* smallest begins with 0, largest with 1 */
    meta->number = number;
    meta->bytes = kit_random(random) >> kit_below(random, 64);
    meta->checksum = kit_random(random);
    meta->log_low = kit_random(random) >> (1 + kit_below(random, 63));
    meta->log_high = meta->log_low + (kit_random(random) >> (1 + kit_below(random, 63)));
    meta->tombstones = kit_random(random) >> (1 + kit_below(random, 63));
    meta->entries = meta->tombstones + kit_below(random, 1000);
    meta->range_tombstones = kit_below(random, 100);
    meta->raw_bytes = kit_random(random) >> kit_below(random, 64);
    meta->compression = (uint8_t)kit_below(random, 3);
    meta->largest_exclusive = kit_below(random, 2) == 0;
    assert_int_equal(lsm_buf_set(&meta->largest, lsm_slice_of(key, 4 + (size_t)kit_below(random, 36))), LSM_OK);
    key[0] = 0;
    assert_int_equal(lsm_buf_set(&meta->smallest, lsm_slice_of(key, 4 + (size_t)kit_below(random, 36))), LSM_OK);
    return meta;
}

static void random_edit(uint64_t *random, struct lsm_edit *edit) {
    *edit = (struct lsm_edit){.full = kit_below(random, 3) == 0};
    edit->next_file = kit_random(random) >> kit_below(random, 64);
    edit->log_position = kit_random(random) >> kit_below(random, 64);
    edit->log_generation = kit_random(random) >> kit_below(random, 64);
    edit->next_tree = (uint32_t)kit_random(random);
    edit->time_us = kit_random(random) >> kit_below(random, 64);
    edit->has_token = kit_below(random, 2) == 0;
    if (edit->has_token) memset(edit->token, (int)kit_below(random, 256), sizeof edit->token);
    edit->log_durable = kit_below(random, 2) == 0 ? 0 : kit_random(random) >> kit_below(random, 64);
    uint64_t added = kit_below(random, 8), removed = edit->full ? 0 : kit_below(random, 8), trees = kit_below(random, 8);
    uint64_t dropped = edit->full ? 0 : kit_below(random, 8);
    for (uint64_t i = 0; i < added; i++) {
        struct lsm_file_meta *meta = random_meta(random, 1 + 10 * i + kit_below(random, 10));
        int level = (int)kit_below(random, LSM_LEVELS);
        assert_int_equal(lsm_edit_add_file(edit, level, level == 0 ? kit_random(random) : 0, meta), LSM_OK);
        lsm_file_meta_unref(meta);
    }
    for (uint64_t i = 0; i < removed; i++) assert_int_equal(lsm_edit_remove_file(edit, 100 - 10 * i + kit_below(random, 10)), LSM_OK);
    for (uint64_t i = 0; i < trees; i++) {
        struct lsm_tree_info tree = {.tree = (uint32_t)(1 + 10 * i + kit_below(random, 10)), .nonce = kit_random(random)};
        assert_int_equal(lsm_edit_add_tree(edit, tree), LSM_OK);
    }
    for (uint64_t i = 0; i < dropped; i++) assert_int_equal(lsm_edit_drop_tree(edit, (uint32_t)(LSM_TREE_MAX - 10 * i)), LSM_OK);
}

static void same_meta(const struct lsm_file_meta *a, const struct lsm_file_meta *b) {
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->checksum, b->checksum);
    assert_int_equal(a->log_low, b->log_low);
    assert_int_equal(a->log_high, b->log_high);
    assert_int_equal(a->entries, b->entries);
    assert_int_equal(a->tombstones, b->tombstones);
    assert_int_equal(a->range_tombstones, b->range_tombstones);
    assert_int_equal(a->raw_bytes, b->raw_bytes);
    assert_int_equal(a->compression, b->compression);
    assert_int_equal(a->largest_exclusive, b->largest_exclusive);
    assert_true(lsm_slice_equal(lsm_buf_slice(&a->smallest), lsm_buf_slice(&b->smallest)));
    assert_true(lsm_slice_equal(lsm_buf_slice(&a->largest), lsm_buf_slice(&b->largest)));
}

static void same_edit(const struct lsm_edit *a, const struct lsm_edit *b) {
    assert_int_equal(a->full, b->full);
    assert_int_equal(a->next_file, b->next_file);
    assert_int_equal(a->log_position, b->log_position);
    assert_int_equal(a->log_generation, b->log_generation);
    assert_int_equal(a->next_tree, b->next_tree);
    assert_int_equal(a->time_us, b->time_us);
    assert_int_equal(a->log_durable, b->log_durable);
    assert_int_equal(a->has_token, b->has_token);
    assert_memory_equal(a->token, b->token, sizeof a->token);
    assert_int_equal(a->added_count, b->added_count);
    assert_int_equal(a->removed_count, b->removed_count);
    assert_int_equal(a->trees_count, b->trees_count);
    assert_int_equal(a->dropped_count, b->dropped_count);
    for (size_t i = 0; i < a->added_count; i++) {
        assert_int_equal(a->added[i].level, b->added[i].level);
        assert_int_equal(a->added[i].run, b->added[i].run);
        same_meta(a->added[i].meta, b->added[i].meta);
    }
    for (size_t i = 0; i < a->removed_count; i++) assert_int_equal(a->removed[i], b->removed[i]);
    for (size_t i = 0; i < a->trees_count; i++) {
        assert_int_equal(a->trees[i].tree, b->trees[i].tree);
        assert_int_equal(a->trees[i].nonce, b->trees[i].nonce);
    }
    for (size_t i = 0; i < a->dropped_count; i++) assert_int_equal(a->dropped[i], b->dropped[i]);
}

static void an_edit_survives_its_encoding(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    int64_t live = lsm_mem_live();
    for (int round = 0; round < 2000; round++) {
        struct lsm_edit edit, back;
        struct lsm_buf bytes = {0};
        random_edit(&random, &edit);
        assert_int_equal(lsm_buf_append(&bytes, "before", 6), LSM_OK);
        assert_int_equal(lsm_edit_encode(&edit, &bytes), LSM_OK);
        assert_memory_equal(bytes.data, "before", 6);
        kit_ok(lsm_edit_decode(lsm_slice_of(bytes.data + 6, bytes.size - 6), &back, &err), &err);
        same_edit(&edit, &back);
        lsm_edit_release(&edit);
        lsm_edit_release(&back);
        lsm_edit_release(&back); /* empty: nothing happens */
        lsm_buf_free(&bytes);
    }
    assert_int_equal(lsm_mem_live(), live);
}

static int decode(const uint8_t *bytes, size_t size) {
    /* In memory of its own, so that the sanitizer sees a read beyond. */
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    struct lsm_edit edit;
    assert_non_null(copy);
    if (size > 0) memcpy(copy, bytes, size);
    int64_t live = lsm_mem_live();
    int status = lsm_edit_decode(lsm_slice_of(copy, size), &edit, &err);
    if (status != LSM_OK) {
        assert_int_equal(err.code, status);
        assert_int_equal(lsm_mem_live(), live);
    }
    lsm_edit_release(&edit);
    assert_int_equal(lsm_mem_live(), live);
    free(copy);
    return status;
}

static void an_edit_cut_anywhere_is_refused_or_a_whole_shorter_one(void **state) {
    (void)state;
    uint64_t random = kit_seed(), cuts = 0;
    for (int round = 0; round < 200; round++) {
        struct lsm_edit edit, back;
        struct lsm_buf bytes = {0}, again = {0};
        random_edit(&random, &edit);
        assert_int_equal(lsm_edit_encode(&edit, &bytes), LSM_OK);
        for (size_t cut = 0; cut < bytes.size; cut++, cuts++) {
            if (decode(bytes.data, cut) != LSM_OK) continue;
            /* Cut between two fields: what is left must be canonical. */
            lsm_buf_reset(&again);
            kit_ok(lsm_edit_decode(lsm_slice_of(bytes.data, cut), &back, &err), &err);
            assert_int_equal(lsm_edit_encode(&back, &again), LSM_OK);
            assert_int_equal(again.size, cut);
            assert_memory_equal(again.data, bytes.data, cut);
            lsm_edit_release(&back);
        }
        lsm_edit_release(&edit);
        lsm_buf_free(&bytes);
        lsm_buf_free(&again);
    }
    print_message("%llu cuts\n", (unsigned long long)cuts);
}

/* Whatever decodes encodes to the same bytes: there is one encoding of an edit, and no byte is ignored. */
static void hostile_bytes_are_refused_or_canonical(void **state) {
    (void)state;
    uint64_t random = kit_seed(), accepted = 0, refused = 0;
    for (int round = 0; round < 400; round++) {
        struct lsm_edit edit, back;
        struct lsm_buf bytes = {0}, again = {0};
        random_edit(&random, &edit);
        assert_int_equal(lsm_edit_encode(&edit, &bytes), LSM_OK);
        for (int i = 0; i < 200; i++) {
            size_t place = (size_t)kit_below(&random, bytes.size);
            uint8_t old = bytes.data[place];
            bytes.data[place] = kit_below(&random, 2) == 0 ? (uint8_t)kit_random(&random) : (uint8_t)kit_below(&random, 14);
            int status = decode(bytes.data, bytes.size);
            assert_true(status == LSM_OK || status == LSM_CORRUPT || status == LSM_UNSUPPORTED);
            if (status == LSM_OK) {
                lsm_buf_reset(&again);
                kit_ok(lsm_edit_decode(lsm_buf_slice(&bytes), &back, &err), &err);
                assert_int_equal(lsm_edit_encode(&back, &again), LSM_OK);
                assert_true(lsm_slice_equal(lsm_buf_slice(&bytes), lsm_buf_slice(&again)));
                lsm_edit_release(&back);
                accepted++;
            } else {
                refused++;
            }
            if (i % 4 != 3) bytes.data[place] = old; /* some changes pile up */
        }
        lsm_edit_release(&edit);
        lsm_buf_free(&bytes);
        lsm_buf_free(&again);
    }
    print_message("%llu accepted, %llu refused\n", (unsigned long long)accepted, (unsigned long long)refused);
}

/* ---- field by field, written by hand ---- */

#define SCALARS 2, 9, 3, 8, 4, 7, 5, 3, 6, 1
/* tag, level, run, number, bytes, checksum, low, high, entries, tombstones, range tombstones, raw bytes, compression, flags, keys */
#define ADDED(level, run, number, low, high, entries, tombstones, compression, flags, small, large)                                                  \
    7, level, run, number, 50, 1, 2, 3, 4, 5, 6, 7, 8, low, high, entries, tombstones, 0, 90, compression, flags, 4, 0, 0, 0, small, 4, 0, 0, 0, large
#define GOOD_FILE ADDED(1, 0, 5, 1, 2, 3, 1, 2, 1, 1, 2)
#define TREE(id)  9, id, 1, 2, 3, 4, 5, 6, 7, 8

struct crafted {
    const char *what;
    int status;
    size_t size;
    uint8_t bytes[120];
};
#define CRAFTED(text, expected, ...)                                                                                                                 \
    {                                                                                                                                                \
        .what = text, .status = expected, .size = sizeof((uint8_t[]){__VA_ARGS__}), .bytes = { __VA_ARGS__ }                                         \
    }

static const struct crafted crafted[] = {
    CRAFTED("the least", LSM_OK, 1, SCALARS),
    CRAFTED("full", LSM_OK, 1, 1, SCALARS),
    CRAFTED("all", LSM_OK, 1, SCALARS, GOOD_FILE, 8, 5, TREE(1), 10, 2),
    CRAFTED("a moved file, a recreated tree", LSM_OK, 1, SCALARS, GOOD_FILE, 8, 5, 8, 6, TREE(1), TREE(2), 10, 1, 10, 2),
    CRAFTED("one key", LSM_OK, 1, SCALARS, ADDED(0, 9, 5, 1, 1, 1, 1, 0, 0, 7, 7)),
    CRAFTED("version 0", LSM_UNSUPPORTED, 0, SCALARS),
    CRAFTED("version 2", LSM_UNSUPPORTED, 2, SCALARS),
    CRAFTED("the log durable up to 5", LSM_OK, 1, SCALARS, 11, 5),
    CRAFTED("durable up to 0", LSM_CORRUPT, 1, SCALARS, 11, 0),
    CRAFTED("durable twice", LSM_CORRUPT, 1, SCALARS, 11, 5, 11, 6),
    CRAFTED("a token cut short", LSM_CORRUPT, 1, SCALARS, 12, 1, 2, 3),
    CRAFTED("unknown tag", LSM_UNSUPPORTED, 1, SCALARS, 13, 1),
    CRAFTED("unknown tag among the first", LSM_UNSUPPORTED, 1, 13, 1, SCALARS),
    CRAFTED("tag 0", LSM_UNSUPPORTED, 1, SCALARS, 0),
    CRAFTED("nothing but a version", LSM_CORRUPT, 1),
    CRAFTED("a scalar missing", LSM_CORRUPT, 1, 2, 9, 3, 8, 5, 3, 6, 1),
    CRAFTED("a scalar double", LSM_CORRUPT, 1, 2, 9, 2, 9, 3, 8, 4, 7, 5, 3, 6, 1),
    CRAFTED("a scalar again at the end", LSM_CORRUPT, 1, SCALARS, 6, 1),
    CRAFTED("full twice", LSM_CORRUPT, 1, 1, 1, SCALARS),
    CRAFTED("full late", LSM_CORRUPT, 1, SCALARS, 1),
    CRAFTED("an overlong varint", LSM_CORRUPT, 1, 2, 0x89, 0, 3, 8, 4, 7, 5, 3, 6, 1),
    CRAFTED("next_tree over 32 bits", LSM_CORRUPT, 1, 2, 9, 3, 8, 4, 7, 5, 0x80, 0x80, 0x80, 0x80, 0x10, 6, 1),
    CRAFTED("level 7", LSM_CORRUPT, 1, SCALARS, ADDED(7, 0, 5, 1, 2, 3, 1, 2, 1, 1, 2)),
    CRAFTED("a run on level 1", LSM_CORRUPT, 1, SCALARS, ADDED(1, 1, 5, 1, 2, 3, 1, 2, 1, 1, 2)),
    CRAFTED("file 0", LSM_CORRUPT, 1, SCALARS, ADDED(1, 0, 0, 1, 2, 3, 1, 2, 1, 1, 2)),
    CRAFTED("low above high", LSM_CORRUPT, 1, SCALARS, ADDED(1, 0, 5, 3, 2, 3, 1, 2, 1, 1, 2)),
    CRAFTED("more tombstones than entries", LSM_CORRUPT, 1, SCALARS, ADDED(1, 0, 5, 1, 2, 3, 4, 2, 1, 1, 2)),
    CRAFTED("compression 3", LSM_UNSUPPORTED, 1, SCALARS, ADDED(1, 0, 5, 1, 2, 3, 1, 3, 1, 1, 2)),
    CRAFTED("a flag", LSM_UNSUPPORTED, 1, SCALARS, ADDED(1, 0, 5, 1, 2, 3, 1, 2, 2, 1, 2)),
    CRAFTED("smallest above largest", LSM_CORRUPT, 1, SCALARS, ADDED(1, 0, 5, 1, 2, 3, 1, 2, 0, 3, 2)),
    CRAFTED("empty range", LSM_CORRUPT, 1, SCALARS, ADDED(1, 0, 5, 1, 2, 3, 1, 2, 1, 2, 2)),
    CRAFTED("a key of 3 bytes", LSM_CORRUPT, 1, SCALARS, 7, 1, 0, 5, 50, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 1, 0, 90, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1),
    CRAFTED("a key over the limit", LSM_CORRUPT, 1, SCALARS, 7, 1, 0, 5, 50, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 1, 0, 90, 0, 0, 0xff, 0xff, 0xff, 0x7f,
            0, 0),
    CRAFTED("a file twice", LSM_CORRUPT, 1, SCALARS, GOOD_FILE, GOOD_FILE),
    CRAFTED("removed 0", LSM_CORRUPT, 1, SCALARS, 8, 0),
    CRAFTED("removed twice", LSM_CORRUPT, 1, SCALARS, 8, 5, 8, 6, 8, 5),
    CRAFTED("tree 0", LSM_CORRUPT, 1, SCALARS, TREE(0)),
    CRAFTED("the tree behind the last one", LSM_CORRUPT, 1, SCALARS, 10, 0xff, 0xff, 0xff, 0xff, 0x0f),
    CRAFTED("tree twice", LSM_CORRUPT, 1, SCALARS, TREE(4), TREE(4)),
    CRAFTED("a tree without nonce", LSM_CORRUPT, 1, SCALARS, 9, 1, 1, 2, 3),
    CRAFTED("dropped twice", LSM_CORRUPT, 1, SCALARS, 10, 4, 10, 4),
    CRAFTED("dropped 0", LSM_CORRUPT, 1, SCALARS, 10, 0),
    CRAFTED("a tree over 32 bits", LSM_CORRUPT, 1, SCALARS, 10, 0x80, 0x80, 0x80, 0x80, 0x10),
    CRAFTED("out of order", LSM_CORRUPT, 1, SCALARS, 8, 5, GOOD_FILE),
    CRAFTED("full and removing", LSM_CORRUPT, 1, 1, SCALARS, 8, 5),
    CRAFTED("full and dropping", LSM_CORRUPT, 1, 1, SCALARS, 10, 5),
};

static void each_rule_of_the_format_is_enforced(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof crafted / sizeof crafted[0]; i++) {
        int status = decode(crafted[i].bytes, crafted[i].size);
        if (status != crafted[i].status) print_message("%s: %s: %s\n", crafted[i].what, lsm_status_name(status), err.text);
        assert_int_equal(status, crafted[i].status);
    }
    assert_int_equal(decode(NULL, 0), LSM_CORRUPT);
}

static void many_files_and_trees_are_checked_for_doubles_quickly(void **state) {
    (void)state;
    struct lsm_edit edit = {0}, back;
    struct lsm_buf bytes = {0};
    for (uint64_t i = 0; i < 200000; i++) assert_int_equal(lsm_edit_remove_file(&edit, i * 7919 % 200003 + 1), LSM_OK);
    assert_int_equal(lsm_edit_encode(&edit, &bytes), LSM_OK);
    kit_ok(lsm_edit_decode(lsm_buf_slice(&bytes), &back, &err), &err);
    same_edit(&edit, &back);
    lsm_edit_release(&back);
    assert_int_equal(lsm_edit_remove_file(&edit, edit.removed[77]), LSM_OK);
    lsm_buf_reset(&bytes);
    assert_int_equal(lsm_edit_encode(&edit, &bytes), LSM_OK);
    assert_int_equal(lsm_edit_decode(lsm_buf_slice(&bytes), &back, &err), LSM_CORRUPT);
    lsm_edit_release(&edit);
    lsm_buf_free(&bytes);
}

static void running_out_of_memory_leaves_edits_as_they_were(void **state) {
    (void)state;
    uint64_t random = 5;
    struct lsm_edit edit = {0}, back;
    struct lsm_buf bytes = {0};
    int64_t live = lsm_mem_live();
    do {
        lsm_edit_release(&edit);
        random_edit(&random, &edit);
    } while (edit.full || edit.added_count < 5 || edit.removed_count < 5 || edit.trees_count < 5 || edit.dropped_count < 5);
    int failures = 0;
    for (int64_t n = 1;; n++) {
        lsm_mem_fail_after(n, false);
        int status = lsm_edit_encode(&edit, &bytes);
        if (status == LSM_OK) status = lsm_edit_decode(lsm_buf_slice(&bytes), &back, &err);
        lsm_mem_fail_after(0, false);
        if (status == LSM_OK) break;
        assert_int_equal(status, LSM_NOMEM);
        if (bytes.size > 0) assert_int_equal(err.code, LSM_NOMEM);
        lsm_buf_free(&bytes);
        failures++;
    }
    same_edit(&edit, &back);
    assert_true(failures > 20);
    lsm_edit_release(&edit);
    lsm_edit_release(&back);
    lsm_buf_free(&bytes);
    assert_int_equal(lsm_mem_live(), live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_survives_its_encoding),
        cmocka_unit_test(an_edit_cut_anywhere_is_refused_or_a_whole_shorter_one),
        cmocka_unit_test(hostile_bytes_are_refused_or_canonical),
        cmocka_unit_test(each_rule_of_the_format_is_enforced),
        cmocka_unit_test(many_files_and_trees_are_checked_for_doubles_quickly),
        cmocka_unit_test(running_out_of_memory_leaves_edits_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
