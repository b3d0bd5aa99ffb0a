/* The pieces of a transaction larger than memory stay few: how many a read asks, what that costs in bytes written, what is passed on unwritten, what
 * marks and views keep, and what happens when there is no space for it. */
#include <stdio.h>
#include <string.h>

#include "../../lsm_core/store/txn.h"
#include "world_kit.h"

enum { ROWS = 100000, VALUE_BYTES = 100, PIECES_MOST = 16 };

static struct {
    uint64_t table_bytes; /* written to table files */
    size_t most_pieces;
} seen;

static void see(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    if (op->kind == LSM_ENV_WRITE && strstr(op->path, ".sst") != NULL) seen.table_bytes += op->size;
}

static void start(size_t write_buffer_bytes) {
    world_init(&world, lsm_env_mem_new_strict(), 1);
    world.options.write_buffer_bytes = write_buffer_bytes;
    open_with_trees(2);
    memset(&seen, 0, sizeof seen);
    lsm_env_mem_on_op(world.env, see, NULL);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

/* Each number below ROWS once, in an order that is none. */
static unsigned scattered(unsigned i) { return (unsigned)((uint64_t)i * 70001 % ROWS); }

static struct lsm_slice key_of(unsigned number, char buffer[16]) {
    int size = snprintf(buffer, 16, "%010u", number);
    return (struct lsm_slice){.data = (const uint8_t *)buffer, .size = (size_t)size};
}

/* Bytes that compression gains nothing on. */
static struct lsm_slice value_of(unsigned number, uint8_t buffer[VALUE_BYTES]) {
    struct model_random random = {.state = number * 2654435761u + 1};
    for (size_t i = 0; i < VALUE_BYTES; i++) buffer[i] = (uint8_t)(model_next(&random) >> 20);
    return (struct lsm_slice){.data = buffer, .size = VALUE_BYTES};
}

static void put_row(int slot, unsigned number) {
    char key[16];
    uint8_t value[VALUE_BYTES];
    MUST(lsm_txn_put(world.txn, world.next.trees[slot].tree, key_of(number, key), value_of(number, value), &world.err));
    if (world.txn->pieces_count > seen.most_pieces) seen.most_pieces = world.txn->pieces_count;
}

static void must_have(int slot, unsigned number, bool there) {
    char key[16];
    uint8_t bytes[VALUE_BYTES];
    struct lsm_value value = {0};
    struct lsm_slice want = value_of(number, bytes);
    int status = lsm_txn_get(world.txn, world.next.trees[slot].tree, key_of(number, key), &value, &world.err);
    assert_int_equal(status, there ? LSM_OK : LSM_NOTFOUND);
    if (!there) return;
    assert_int_equal(value.bytes.size, want.size);
    assert_memory_equal(value.bytes.data, want.data, want.size);
    lsm_value_release(&value);
}

static uint64_t piece_bytes(void) {
    uint64_t sum = 0;
    for (size_t i = 0; i < world.txn->pieces_count; i++) sum += world.txn->pieces[i].files->files->bytes;
    return sum;
}

static struct lsm_stats stats(void) {
    struct lsm_stats stats;
    lsm_store_stats(world.store, &stats);
    return stats;
}

static size_t count_tables(void) {
    struct lsm_names names = {0};
    size_t count = 0;
    MUST(lsm_env_list(world.env, world.options.dir, &names, &world.err));
    for (size_t i = 0; i < names.count; i++) count += strstr(names.names[i], ".sst") != NULL;
    lsm_names_free(&names);
    return count;
}

static size_t count_files(void) {
    size_t sum = 0;
    for (size_t i = 0; i < world.txn->pieces_count; i++) sum += world.txn->pieces[i].files->files->files;
    return sum;
}

/* A scan of a tree as the transaction sees it: so many rows, ascending. */
static void must_scan(int slot, unsigned rows) {
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    unsigned count = 0;
    MUST(lsm_view_open(world.store, world.txn, &view, &world.err));
    MUST(lsm_cursor_open(view, world.next.trees[slot].tree, NULL, NULL, &cursor, &world.err));
    MUST(lsm_cursor_first(cursor, &world.err));
    for (; lsm_cursor_valid(cursor); count++) MUST(lsm_cursor_next(cursor, &world.err));
    assert_int_equal(count, rows);
    lsm_cursor_close(cursor);
    lsm_view_close(view);
}

/* ---- how many, and at what price ------------------------------------------------------------------------------------------- */

static void rows_in_any_order_are_written_about_twice_and_few_pieces_are_asked(void **state) {
    (void)state;
    start(256 << 10);
    MUST(world_begin(&world));
    for (unsigned i = 0; i < ROWS; i++) put_row(0, scattered(i));
    uint64_t weight = 0;
    for (size_t i = 0; i < world.txn->pieces_count; i++) weight += world.txn->pieces[i].weight;
    double times = (double)seen.table_bytes / (double)piece_bytes();
    struct lsm_stats before = stats();
    for (unsigned i = 0; i < ROWS; i += 7) must_have(0, i, true);
    struct lsm_stats after = stats();
    double asked = (double)(after.filter_probes - before.filter_probes) / (double)(after.gets - before.gets);
    print_message("  %llu pieces written, %zu at most at once; each byte written %.2f times; a lookup asks %.1f\n", (unsigned long long)weight,
                  seen.most_pieces, times, asked);
    assert_true(weight > 60 && weight < 136);
    assert_true(seen.most_pieces <= PIECES_MOST);
    assert_true(world.txn->pieces_count <= PIECES_MOST);
    assert_true(times < 2.1);
    assert_true(asked <= PIECES_MOST);
    must_scan(0, ROWS);
    assert_int_equal(count_tables(), count_files()); /* nothing is left of what they were made from */
    MUST(world_rollback(&world));
    assert_int_equal(count_tables(), 0);
    finish();
}

static void rows_in_order_are_one_piece_and_written_once(void **state) {
    (void)state;
    for (int down = 0; down < 2; down++) {
        start(256 << 10);
        MUST(world_begin(&world));
        for (unsigned i = 0; i < ROWS; i++) put_row(0, down == 1 ? ROWS - 1 - i : i);
        assert_int_equal(seen.most_pieces, 1);
        assert_true(count_files() > 20);
        assert_true((double)seen.table_bytes < 1.01 * (double)piece_bytes());
        assert_int_equal(stats().merges, 0);
        for (unsigned i = 0; i < ROWS; i += 77) must_have(0, i, true);
        must_scan(0, ROWS);
        MUST(world_rollback(&world));
        assert_int_equal(count_tables(), 0);
        finish();
    }
}

/* Each is an open file when the table is read. */
static void very_many_files_become_fewer_after_the_commit(void **state) {
    (void)state;
    start(64 << 10);
    MUST(world_begin(&world));
    for (unsigned i = 0; i < 3 * ROWS; i++) put_row(0, i);
    size_t loaded = count_files();
    assert_int_equal(world.txn->pieces_count, 1);
    MUST(lsm_txn_prepare(world.txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(world.txn, true);
    world.txn = NULL;
    MUST(lsm_store_flush(world.store, NULL, NULL, &world.err));
    MUST(lsm_store_quiesce(world.store, &world.err));
    print_message("  %zu files, %zu in the end\n", loaded, world.store->state->version->files);
    assert_true(loaded > 600);
    assert_true(world.store->state->version->files < 520);
    MUST(lsm_txn_begin(world.store, UINT64_MAX, 0, &world.txn, &world.err));
    must_scan(0, 3 * ROWS);
    MUST(lsm_txn_rollback(world.txn, &world.err));
    world.txn = NULL;
    const char *wrong = world_check(world.store);
    if (wrong != NULL) fail_msg("%s", wrong);
    MUST(lsm_store_close(world.store, &world.err));
    lsm_env_mem_free(world.env);
}

/* A table loaded in the order of its key, with an index whose order is another: only the index is written again. */
static void what_is_in_order_in_one_tree_is_passed_on_when_another_is_merged(void **state) {
    (void)state;
    start(256 << 10);
    MUST(world_begin(&world));
    for (unsigned i = 0; i < ROWS / 2; i++) {
        put_row(0, i);
        put_row(1, scattered(2 * i));
    }
    double times = (double)seen.table_bytes / (double)piece_bytes();
    print_message("  %zu pieces at most at once; each byte written %.2f times\n", seen.most_pieces, times);
    assert_true(stats().merges > 2);
    assert_true(seen.most_pieces <= PIECES_MOST);
    assert_true(times < 1.6);
    must_scan(0, ROWS / 2);
    must_scan(1, ROWS / 2);
    MUST(world_commit(&world, LSM_SYNC_FULL));
    finish();
}

/* ---- marks ----------------------------------------------------------------------------------------------------------------- */

/* As a row and its index entries are written: taken and released, two hundred times between two spills. */
static void marks_that_are_released_at_once_cut_nothing(void **state) {
    (void)state;
    start(256 << 10);
    MUST(world_begin(&world));
    for (unsigned i = 0; i < ROWS / 2; i++) {
        uint64_t mark = lsm_txn_mark(world.txn);
        put_row(0, scattered(2 * i));
        put_row(1, scattered(2 * i + 1));
        lsm_txn_release(world.txn, mark);
    }
    uint64_t weight = 0;
    for (size_t i = 0; i < world.txn->pieces_count; i++) weight += world.txn->pieces[i].weight;
    double times = (double)seen.table_bytes / (double)piece_bytes();
    print_message("  %llu pieces written, %zu at most at once; each byte written %.2f times\n", (unsigned long long)weight, seen.most_pieces, times);
    assert_true(weight < 80);
    assert_true(seen.most_pieces <= PIECES_MOST);
    assert_true(times < 2.1);
    MUST(world_rollback(&world));
    finish();
}

static void pieces_are_not_merged_over_a_mark_until_it_is_released(void **state) {
    (void)state;
    enum { PART = 20000, PARTS = 3 };
    uint64_t marks[PARTS];
    start(256 << 10);
    MUST(world_begin(&world));
    for (unsigned part = 0; part < PARTS; part++) {
        marks[part] = lsm_txn_mark(world.txn);
        for (unsigned i = 0; i < PART; i++) put_row(0, scattered(part * PART + i));
    }
    /* To the last mark, and on: what was written behind it is gone, files and rows. */
    MUST(lsm_txn_rollback_to(world.txn, marks[2], &world.err));
    assert_int_equal(count_tables(), count_files());
    must_scan(0, 2 * PART);
    for (unsigned i = 0; i < PARTS * PART; i += 97) must_have(0, scattered(i), i < 2 * PART);
    for (unsigned i = 0; i < PART; i++) put_row(0, scattered(2 * PART + i));
    MUST(lsm_txn_rollback_to(world.txn, marks[1], &world.err));
    assert_int_equal(count_tables(), count_files());
    must_scan(0, PART);
    for (unsigned i = 0; i < 2 * PART; i++) put_row(0, scattered(PART + i));
    lsm_txn_release(world.txn, marks[0]);
    /* No mark is left: all of it may become few. */
    for (unsigned i = 0; i < PART; i++) put_row(0, scattered(3 * PART + i));
    assert_true(world.txn->pieces_count <= PIECES_MOST);
    must_scan(0, 4 * PART);
    assert_int_equal(count_tables(), count_files());
    MUST(world_commit(&world, LSM_SYNC_FULL));
    finish();
}

static void with_many_marks_open_each_keeps_one_piece_and_none_is_written_over_and_over(void **state) {
    (void)state;
    enum { PARTS = 40 };
    uint64_t first = 0;
    start(256 << 10);
    MUST(world_begin(&world));
    for (unsigned part = 0; part < PARTS; part++) {
        uint64_t mark = lsm_txn_mark(world.txn);
        if (part == 0) first = mark;
        for (unsigned i = 0; i < ROWS / PARTS; i++) put_row(0, scattered(part * (ROWS / PARTS) + i));
    }
    double times = (double)seen.table_bytes / (double)piece_bytes();
    print_message("  %d marks: %zu pieces, each byte written %.2f times\n", PARTS, world.txn->pieces_count, times);
    assert_true(times < 2.1);
    assert_true(world.txn->pieces_count <= PARTS + PIECES_MOST);
    lsm_txn_release(world.txn, first);
    for (unsigned i = 0; i < 5000; i++) put_row(1, scattered(i));
    assert_true(world.txn->pieces_count <= PIECES_MOST);
    must_scan(0, ROWS);
    MUST(world_commit(&world, LSM_SYNC_FULL));
    finish();
}

/* ---- who still reads the old pieces ------------------------------------------------------------------------------------------ */

static void a_cursor_reads_on_in_pieces_that_are_merged_meanwhile(void **state) {
    (void)state;
    enum { BEFORE = 20000 };
    struct lsm_view *view = NULL;
    struct lsm_cursor *cursor = NULL;
    unsigned count = 0;
    start(256 << 10);
    MUST(world_begin(&world));
    for (unsigned i = 0; i < BEFORE; i++) put_row(0, scattered(i));
    MUST(lsm_view_open(world.store, world.txn, &view, &world.err));
    MUST(lsm_cursor_open(view, world.next.trees[0].tree, NULL, NULL, &cursor, &world.err));
    MUST(lsm_cursor_first(cursor, &world.err));
    uint64_t merges = stats().merges;
    for (; lsm_cursor_valid(cursor); count++) {
        for (unsigned i = 0; i < 2; i++) put_row(0, scattered(BEFORE + 2 * count + i));
        MUST(lsm_cursor_next(cursor, &world.err));
    }
    assert_int_equal(count, BEFORE);
    assert_true(stats().merges > merges + 1);
    assert_true(count_tables() > count_files());
    lsm_cursor_close(cursor);
    lsm_view_close(view);
    assert_int_equal(count_tables(), count_files());
    MUST(world_rollback(&world));
    assert_int_equal(count_tables(), 0);
    finish();
}

/* ---- deletions --------------------------------------------------------------------------------------------------------------- */

static void deletions_and_ranges_hide_what_is_older_through_every_merge(void **state) {
    (void)state;
    char low[16], high[16];
    start(256 << 10);
    MUST(world_begin(&world));
    for (unsigned i = 0; i < ROWS / 2; i++) put_row(0, scattered(i));
    MUST(world_commit(&world, LSM_SYNC_FULL));
    MUST(world_begin(&world));
    for (unsigned i = 0; i < ROWS / 2; i++) {
        char key[16];
        if (i % 1000 == 0) {
            unsigned at = i / 1000 * 100;
            MUST(lsm_txn_delete_range(world.txn, world.next.trees[0].tree, key_of(at, low), key_of(at + 50, high), &world.err));
        }
        MUST(lsm_txn_delete(world.txn, world.next.trees[0].tree, key_of(scattered(i), key), &world.err));
        put_row(1, scattered(i));
    }
    assert_true(stats().merges > 1);
    must_scan(0, 0);
    must_scan(1, ROWS / 2);
    MUST(world_commit(&world, LSM_SYNC_FULL));
    MUST(world_begin(&world));
    must_scan(0, 0);
    must_scan(1, ROWS / 2);
    MUST(world_rollback(&world));
    MUST(world_compact(&world));
    const char *wrong = world_check(world.store);
    if (wrong != NULL) fail_msg("%s", wrong);
    finish();
}

/* ---- no space ---------------------------------------------------------------------------------------------------------------- */

static uint64_t tables_bytes(void) {
    struct lsm_names names = {0};
    uint64_t sum = 0;
    MUST(lsm_env_list(world.env, world.options.dir, &names, &world.err));
    for (size_t i = 0; i < names.count; i++) {
        char path[200];
        struct lsm_file *file = NULL;
        uint64_t size = 0;
        (void)snprintf(path, sizeof path, "%s/%s", world.options.dir, names.names[i]);
        if (lsm_env_open(world.env, path, LSM_OPEN_READ, NULL, &file, &world.err) != LSM_OK) continue;
        MUST(lsm_file_size(file, &size, &world.err));
        lsm_file_close(file);
        sum += size;
    }
    lsm_names_free(&names);
    return sum;
}

static void without_space_for_a_merge_the_pieces_stay_and_the_transaction_goes_on(void **state) {
    (void)state;
    enum { LOADED = 40000 };
    start(256 << 10);
    MUST(world_begin(&world));
    /* Room for what is written, and not for half a merge beside it. */
    for (unsigned i = 0; i < LOADED; i++) {
        put_row(0, scattered(i));
        if (i % 100 == 0) lsm_env_mem_set_space(world.env, tables_bytes() + (600 << 10));
    }
    print_message("  %zu pieces\n", world.txn->pieces_count);
    assert_int_equal(stats().merges, 0);
    assert_true(world.txn->pieces_count > PIECES_MOST);
    assert_int_equal(count_tables(), count_files());
    must_scan(0, LOADED);
    lsm_env_mem_set_space(world.env, UINT64_MAX);
    for (unsigned i = LOADED; i < ROWS; i++) put_row(0, scattered(i));
    assert_true(stats().merges > 0);
    must_scan(0, ROWS);
    MUST(world_commit(&world, LSM_SYNC_FULL));
    MUST(lsm_store_quiesce(world.store, &world.err));
    const char *wrong = world_check(world.store);
    if (wrong != NULL) fail_msg("%s", wrong);
    finish();
}

/* ---- interrupts -------------------------------------------------------------------------------------------------------------- */

static bool always(void *arg) {
    (*(unsigned *)arg)++;
    return true;
}

static void a_merge_that_is_interrupted_leaves_the_pieces_and_rows_as_they_were(void **state) {
    (void)state;
    unsigned asked = 0, rows = 0;
    char key[16];
    uint8_t value[VALUE_BYTES];
    start(256 << 10);
    MUST(world_begin(&world));
    put_row(1, 7);
    uint64_t mark = lsm_txn_mark(world.txn);
    lsm_txn_set_interrupt(world.txn, always, &asked);
    int status = LSM_OK;
    for (; status == LSM_OK && rows < ROWS; rows += status == LSM_OK)
        status = lsm_txn_put(world.txn, world.next.trees[0].tree, key_of(scattered(rows), key), value_of(scattered(rows), value), &world.err);
    assert_int_equal(status, LSM_INTERRUPTED);
    assert_string_equal(world.err.text, "interrupted");
    assert_int_equal(asked, 1);
    assert_int_equal(count_tables(), count_files());
    must_scan(0, rows);
    lsm_txn_set_interrupt(world.txn, NULL, NULL);
    for (; rows < ROWS / 2; rows++) put_row(0, scattered(rows));
    assert_true(world.txn->pieces_count <= PIECES_MOST + 1); /* the first row is a piece of its own, before the mark */
    must_scan(0, ROWS / 2);
    MUST(lsm_txn_rollback_to(world.txn, mark, &world.err));
    must_scan(0, 0);
    must_have(1, 7, true);
    MUST(world_rollback(&world));
    finish();
}

/* What a commit writes is not merged: it could be interrupted there, and that would roll everything back. */
static void a_commit_is_not_interrupted(void **state) {
    (void)state;
    unsigned asked = 0;
    start(256 << 10);
    MUST(world_begin(&world));
    for (unsigned i = 0; world.txn->pieces_count < PIECES_MOST; i++) put_row(0, scattered(i));
    put_row(0, scattered(ROWS - 1));
    lsm_txn_set_interrupt(world.txn, always, &asked);
    MUST(lsm_txn_prepare(world.txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &world.err));
    assert_int_equal(world.txn->pieces_count, PIECES_MOST + 1);
    assert_int_equal(asked, 0);
    MUST(world_rollback(&world));
    finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_any_order_are_written_about_twice_and_few_pieces_are_asked),
        cmocka_unit_test(rows_in_order_are_one_piece_and_written_once),
        cmocka_unit_test(very_many_files_become_fewer_after_the_commit),
        cmocka_unit_test(what_is_in_order_in_one_tree_is_passed_on_when_another_is_merged),
        cmocka_unit_test(marks_that_are_released_at_once_cut_nothing),
        cmocka_unit_test(pieces_are_not_merged_over_a_mark_until_it_is_released),
        cmocka_unit_test(with_many_marks_open_each_keeps_one_piece_and_none_is_written_over_and_over),
        cmocka_unit_test(a_cursor_reads_on_in_pieces_that_are_merged_meanwhile),
        cmocka_unit_test(deletions_and_ranges_hide_what_is_older_through_every_merge),
        cmocka_unit_test(without_space_for_a_merge_the_pieces_stay_and_the_transaction_goes_on),
        cmocka_unit_test(a_merge_that_is_interrupted_leaves_the_pieces_and_rows_as_they_were),
        cmocka_unit_test(a_commit_is_not_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
