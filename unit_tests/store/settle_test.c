/* Compacting by hand takes the memtables along where that saves writing them twice, and lets a writer have his way. */
#include <stdio.h>

#include "../../lsm_core/version/version.h"
#include "api_kit.h"

enum { BOTTOM = LSM_LEVELS - 1, ROWS = 200 };

static struct lsm_stats stats_now(void) {
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    return stats;
}

/* All files stand in the bottom; *rows and *tombstones of them. Returns the number of the first. */
static uint64_t must_be_settled(uint64_t *rows, uint64_t *tombstones) {
    struct lsm_file_info *files = NULL;
    size_t count = 0;
    MUST(lsm_store_files(world.store, &files, &count, &world.err));
    *rows = *tombstones = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(files[i].level, BOTTOM);
        *rows += files[i].rows;
        *tombstones += files[i].tombstones + files[i].range_tombstones;
    }
    uint64_t first = count == 0 ? 0 : files[0].number;
    lsm_free(files);
    return first;
}

static void put_row(uint32_t tree, unsigned number, const char *value) {
    char key[16];
    (void)snprintf(key, sizeof key, "key %06u", number);
    commit_row(tree, text(key), text(value));
}

static void expect_row(uint32_t tree, unsigned number, const char *wanted) {
    char key[16];
    (void)snprintf(key, sizeof key, "key %06u", number);
    struct lsm_view *view = view_of(NULL);
    struct lsm_value value = {0};
    int status = lsm_view_get(view, tree, text(key), &value, &world.err);
    assert_int_equal(status, wanted == NULL ? LSM_NOTFOUND : LSM_OK);
    if (wanted != NULL) assert_true(lsm_slice_equal(value.bytes, text(wanted)));
    lsm_value_release(&value);
    lsm_view_close(view);
}

static void what_is_in_memory_is_written_once(void **state) {
    (void)state;
    uint64_t rows, tombstones;
    uint32_t tree = tree_of(0);
    for (unsigned i = 0; i < ROWS; i++) put_row(tree, i, "old");
    MUST(world_flush(&world));
    for (unsigned i = 0; i < ROWS; i += 2) put_row(tree, i, "new");
    struct lsm_stats before = stats_now();
    MUST(lsm_store_compact(world.store, NULL, NULL, &world.err));
    struct lsm_stats after = stats_now();
    assert_int_equal(after.flush_bytes, before.flush_bytes);
    assert_int_equal(after.flushes, before.flushes + 1);
    assert_int_equal(after.merges, before.merges + 1);
    assert_int_equal(after.sealed_memtables, 0);
    assert_int_equal(after.version, before.version + 1);
    (void)must_be_settled(&rows, &tombstones);
    assert_int_equal(rows, ROWS);
    for (int opened = 0; opened < 2; opened++) {
        for (unsigned i = 0; i < ROWS; i++) expect_row(tree, i, i % 2 == 0 ? "new" : "old");
        MUST(world_close(&world));
        MUST(world_open(&world));
    }
}

static void deletes_in_memory_meet_the_rows_in_files(void **state) {
    (void)state;
    uint64_t rows, tombstones;
    uint32_t tree = tree_of(0);
    struct lsm_txn *txn = NULL;
    for (unsigned i = 0; i < ROWS; i++) put_row(tree, i, "row");
    MUST(world_flush(&world));
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_delete(txn, tree, text("key 000007"), &world.err));
    MUST(lsm_txn_delete_range(txn, tree, text("key 000100"), text("key 000150"), &world.err));
    MUST(lsm_txn_put(txn, tree, text("key 000120"), text("again"), &world.err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
    MUST(lsm_store_compact(world.store, NULL, NULL, &world.err));
    assert_int_equal(stats_now().flushes, 2);
    (void)must_be_settled(&rows, &tombstones);
    assert_int_equal(rows, ROWS - 1 - 50 + 1);
    assert_int_equal(tombstones, 0);
    expect_row(tree, 7, NULL);
    expect_row(tree, 119, NULL);
    expect_row(tree, 120, "again");
}

static void files_in_front_of_what_is_in_memory_are_not_written_again(void **state) {
    (void)state;
    uint64_t rows, tombstones;
    uint32_t tree = tree_of(0);
    for (unsigned i = 0; i < ROWS; i++) put_row(tree, i, "first");
    MUST(lsm_store_compact(world.store, NULL, NULL, &world.err));
    uint64_t first = must_be_settled(&rows, &tombstones), written = stats_now().merge_bytes_written;
    for (unsigned i = 0; i < ROWS; i++) put_row(tree, ROWS + i, "second");
    MUST(lsm_store_compact(world.store, NULL, NULL, &world.err));
    assert_int_equal(must_be_settled(&rows, &tombstones), first);
    assert_int_equal(rows, 2 * ROWS);
    assert_int_equal(stats_now().merge_bytes_written, written);
    /* One row among them, and they are. */
    put_row(tree, 17, "third");
    MUST(lsm_store_compact(world.store, NULL, NULL, &world.err));
    assert_int_not_equal(must_be_settled(&rows, &tombstones), first);
    expect_row(tree, 17, "third");
    expect_row(tree, 18, "first");
}

/* A flushed run has lz4, and is written again on its way to a bottom that has not: then it is written once, with all others. */
static void where_the_bottom_is_packed_otherwise_nothing_is_flushed_first(void **state) {
    (void)state;
    uint64_t rows, tombstones;
    uint32_t tree = tree_of(0);
    MUST(world_close(&world));
    world.options.compression = LSM_COMPRESS_ZSTD;
    MUST(world_open(&world));
    for (unsigned i = 0; i < ROWS; i++) put_row(tree, i, "first");
    MUST(lsm_store_compact(world.store, NULL, NULL, &world.err));
    for (unsigned i = 0; i < ROWS; i++) put_row(tree, ROWS + i, "second");
    uint64_t flushed = stats_now().flush_bytes;
    MUST(lsm_store_compact(world.store, NULL, NULL, &world.err));
    assert_int_equal(stats_now().flush_bytes, flushed);
    (void)must_be_settled(&rows, &tombstones);
    assert_int_equal(rows, 2 * ROWS);
    expect_row(tree, 17, "first");
    expect_row(tree, ROWS + 17, "second");
}

/* Asked whether to go on, somebody fills a memtable. */
struct busy_writer {
    uint32_t tree;
    unsigned asked;
};

static bool write_meanwhile(void *arg) {
    struct busy_writer *writer = arg;
    char value[1024];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    if (writer->asked++ == 0)
        for (unsigned i = 0; i < 2 * world.options.write_buffer_bytes / sizeof value; i++) put_row(writer->tree, 1000 + i, value);
    return false;
}

static void a_writer_who_fills_a_memtable_meanwhile_does_not_wait(void **state) {
    (void)state;
    struct busy_writer writer = {.tree = tree_of(0)};
    for (unsigned i = 0; i < ROWS; i++) put_row(writer.tree, i, "old");
    MUST(world_flush(&world));
    for (unsigned i = 0; i < 2 * ROWS; i++) put_row(writer.tree, i, "new"); /* more than are read between two questions */
    struct lsm_stats before = stats_now();
    MUST(lsm_store_compact(world.store, write_meanwhile, &writer, &world.err));
    assert_true(writer.asked > 0);
    assert_true(stats_now().flush_bytes > before.flush_bytes);
    for (unsigned i = 0; i < 2 * ROWS; i++) expect_row(writer.tree, i, "new");
    expect_row(writer.tree, 999, NULL);
    struct lsm_view *view = view_of(NULL);
    struct lsm_value value = {0};
    MUST(lsm_view_get(view, writer.tree, text("key 001000"), &value, &world.err));
    assert_int_equal(value.bytes.size, 1023);
    lsm_value_release(&value);
    lsm_view_close(view);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_in_memory_is_written_once),
        TEST(deletes_in_memory_meet_the_rows_in_files),
        TEST(files_in_front_of_what_is_in_memory_are_not_written_again),
        TEST(where_the_bottom_is_packed_otherwise_nothing_is_flushed_first),
        TEST(a_writer_who_fills_a_memtable_meanwhile_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
