/* A transaction whose pieces become fewer just when memory is out, at each allocation of the row that starts it: the row is refused or taken, the pieces stay many or become few, and no row is lost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/store/txn.h"
#include "world_kit.h"

enum {
    BUFFER_BYTES = 64 << 10,
    VALUE_BYTES = 1500,
    ROWS_MAX = 4000,
    SPILL_CALLS = 60 /* allocations that no row but one that writes a piece makes */
};

static struct lsm_slice key_of(unsigned number, char buffer[16]) {
    int size = snprintf(buffer, 16, "%010u", number);
    return (struct lsm_slice){.data = (const uint8_t *)buffer, .size = (size_t)size};
}

/* In order, or in one that is none: pieces that are passed on, and pieces that are merged. */
static unsigned number_of(unsigned i, bool scattered) { return scattered ? (unsigned)((uint64_t)i * 70001 % 99991) : i; }

static int put_row(unsigned i, bool scattered) {
    char key[16];
    uint8_t value[VALUE_BYTES];
    struct model_random random = {.state = i + 1};
    for (size_t at = 0; at < sizeof value; at++) value[at] = (uint8_t)(model_next(&random) >> 20);
    return lsm_txn_put(world.txn, world.next.trees[0].tree, key_of(number_of(i, scattered), key), lsm_slice_of(value, sizeof value), &world.err);
}

static void must_have(unsigned rows, bool scattered) {
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    unsigned count = 0;
    MUST(lsm_view_open(world.store, world.txn, &view, &world.err));
    MUST(lsm_cursor_open(view, world.next.trees[0].tree, NULL, NULL, &cursor, &world.err));
    MUST(lsm_cursor_first(cursor, &world.err));
    for (; lsm_cursor_valid(cursor); count++) MUST(lsm_cursor_next(cursor, &world.err));
    assert_int_equal(count, rows);
    lsm_cursor_close(cursor);
    for (unsigned i = 0; i < rows; i += 41) {
        char key[16];
        struct lsm_value value = {0};
        MUST(lsm_view_get(view, world.next.trees[0].tree, key_of(number_of(i, scattered), key), &value, &world.err));
        struct model_random random = {.state = i + 1};
        assert_true(value.bytes.size == VALUE_BYTES && value.bytes.data[0] == (uint8_t)(model_next(&random) >> 20));
        lsm_value_release(&value);
    }
    lsm_view_close(view);
}

/* How many rows are put before the one by which pieces become fewer, and how much that one allocates. */
static unsigned find_brim(bool scattered, int64_t *calls) {
    unsigned i = 0;
    size_t pieces = 0;
    MUST(world_begin(&world));
    for (; i < ROWS_MAX; i++) {
        uint64_t before = lsm_mem_calls();
        MUST(put_row(i, scattered));
        *calls = (int64_t)(lsm_mem_calls() - before);
        if (*calls > SPILL_CALLS && pieces > 0 && world.txn->pieces_count <= pieces) break; /* one more, and yet not more */
        pieces = world.txn->pieces_count;
    }
    assert_true(i < ROWS_MAX);
    MUST(world_rollback(&world));
    return i;
}

static void fold_without_memory(bool scattered) {
    int64_t calls = 0;
    unsigned brim = find_brim(scattered, &calls), refused = 0, many = 0, tried = 0;
    int64_t step = getenv("LSM_NOMEM") != NULL || calls < 300 ? 1 : 1 + calls / 300;
    for (int64_t n = 1; n <= calls; n += step, tried++) {
        MUST(world_begin(&world));
        for (unsigned i = 0; i < brim; i++) MUST(put_row(i, scattered));
        size_t pieces = world.txn->pieces_count;
        world.err = (struct lsm_error){0};
        lsm_mem_fail_after(n, false);
        int status = put_row(brim, scattered);
        lsm_mem_fail_after(0, false);
        assert_true(status == LSM_OK || (status == LSM_NOMEM && world.err.code == LSM_NOMEM));
        refused += status != LSM_OK;
        many += status == LSM_OK && world.txn->pieces_count > pieces;
        if (status != LSM_OK) MUST(put_row(brim, scattered));
        if (tried % 8 == 0) must_have(brim + 1, scattered);
        MUST(world_rollback(&world));
    }
    printf("%s: %u tries, %u refused, %u times the pieces stayed\n", scattered ? "scattered" : "in order", tried, refused, many);
    assert_true(refused > 0);
}

static void start(void) {
    world_init(&world, lsm_env_mem_new(), 1);
    world.options.write_buffer_bytes = BUFFER_BYTES;
    open_with_trees(1);
}

/* Nothing is left over, and the transaction that had no trouble is committed whole. */
static void finish_whole(bool scattered) {
    unsigned rows = 500;
    MUST(world_begin(&world));
    for (unsigned i = 0; i < rows; i++) MUST(put_row(i, scattered));
    MUST(world_commit(&world, LSM_SYNC_FULL));
    must_have(rows, scattered);
    MUST(world_close(&world));
    lsm_env_mem_free(world.env);
    assert_int_equal(lsm_mem_live(), 0);
}

static void pieces_that_are_to_be_merged_without_memory_stay_or_become_few(void **state) {
    (void)state;
    start();
    fold_without_memory(true);
    finish_whole(true);
}

static void pieces_that_are_to_be_passed_on_without_memory_stay_or_become_few(void **state) {
    (void)state;
    start();
    fold_without_memory(false);
    finish_whole(false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_that_are_to_be_merged_without_memory_stay_or_become_few),
        cmocka_unit_test(pieces_that_are_to_be_passed_on_without_memory_stay_or_become_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
