/* What a power cut leaves of the strict file system. */
#include "env_mem_kit.h"

#define SEEDS 400

static void unsynced_data_is_lost_or_kept(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 100, true);
    write_ok(file, 0, 'b', 200);
    struct lsm_env *lost = crashed(env, LSM_CRASH_LOSE, 1), *kept = crashed(env, LSM_CRASH_KEEP, 1);
    expect_file(lost, "f", 'a', 100);
    expect_file(kept, "f", 'b', 200);
    expect_file(env, "f", 'b', 200);
    lsm_env_mem_free(lost);
    lsm_env_mem_free(kept);
    lsm_file_close(file);
}

static void a_synced_file_without_directory_sync_has_no_name(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = open_ok(env, "f", RW_CREATE);
    write_ok(file, 0, 'a', 100);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    struct lsm_env *lost = crashed(env, LSM_CRASH_LOSE, 1);
    assert_false(exists(lost, "f"));
    lsm_env_mem_free(lost);
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    lost = crashed(env, LSM_CRASH_LOSE, 1);
    expect_file(lost, "f", 'a', 100);
    lsm_env_mem_free(lost);
    lsm_file_close(file);
}

static void a_synced_directory_does_not_make_data_durable(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 100, false);
    struct lsm_env *lost = crashed(env, LSM_CRASH_LOSE, 1);
    expect_file(lost, "f", 0, 0);
    lsm_env_mem_free(lost);
    lsm_file_close(file);
}

static void a_directory_is_gone_with_all_in_it_until_its_parent_is_synced(void **state) {
    struct lsm_env *env = *state;
    assert_int_equal(lsm_env_mkdir(env, "d", NULL, NULL), LSM_OK);
    struct lsm_file *file = open_ok(env, "d/f", RW_CREATE);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    assert_int_equal(lsm_env_sync_dir(env, "d", NULL), LSM_OK);
    struct lsm_env *lost = crashed(env, LSM_CRASH_LOSE, 1);
    assert_false(exists(lost, "d"));
    lsm_env_mem_free(lost);
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    lost = crashed(env, LSM_CRASH_LOSE, 1);
    assert_true(exists(lost, "d/f"));
    lsm_env_mem_free(lost);
    lsm_file_close(file);
    assert_int_equal(lsm_env_unlink(env, "d/f", NULL), LSM_OK);
    assert_int_equal(lsm_env_rmdir(env, "d", NULL), LSM_OK);
    lost = crashed(env, LSM_CRASH_LOSE, 1);
    assert_true(exists(lost, "d/f"));
    lsm_env_mem_free(lost);
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    lost = crashed(env, LSM_CRASH_LOSE, 1);
    assert_false(exists(lost, "d"));
    lsm_env_mem_free(lost);
}

static void an_unsynced_rename_is_all_or_nothing(void **state) {
    struct lsm_env *env = *state;
    int olds = 0, news = 0;
    lsm_file_close(file_with(env, "CURRENT", 'a', 10, true));
    lsm_file_close(file_with(env, "new", 'b', 20, true));
    assert_int_equal(lsm_env_rename(env, "new", "CURRENT", NULL), LSM_OK);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct lsm_env *left = crashed(env, LSM_CRASH_RANDOM, seed);
        size_t size;
        int byte = first_byte(left, "CURRENT", &size);
        assert_true((byte == 'a' && size == 10 && exists(left, "new")) || (byte == 'b' && size == 20 && !exists(left, "new")));
        olds += byte == 'a';
        news += byte == 'b';
        lsm_env_mem_free(left);
    }
    assert_true(olds > SEEDS / 10 && news > SEEDS / 10);
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    struct lsm_env *left = crashed(env, LSM_CRASH_LOSE, 1);
    expect_file(left, "CURRENT", 'b', 20);
    assert_false(exists(left, "new"));
    lsm_env_mem_free(left);
}

static void a_name_used_again_shows_one_file_or_the_other(void **state) {
    struct lsm_env *env = *state;
    bool seen[3] = {false};
    lsm_file_close(file_with(env, "f", 'a', 10, true));
    assert_int_equal(lsm_env_unlink(env, "f", NULL), LSM_OK);
    struct lsm_file *file = open_ok(env, "f", RW_CREATE);
    write_ok(file, 0, 'b', 10);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct lsm_env *left = crashed(env, LSM_CRASH_RANDOM, seed);
        size_t size;
        int byte = first_byte(left, "f", &size);
        assert_true(byte == 'a' || byte == 'b' || byte == '-');
        seen[byte == 'a' ? 0 : byte == 'b' ? 1 : 2] = true;
        lsm_env_mem_free(left);
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    lsm_file_close(file);
}

static void a_move_between_directories_never_doubles_or_loses_the_file(void **state) {
    struct lsm_env *env = *state;
    assert_int_equal(lsm_env_mkdir(env, "d", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_mkdir(env, "e", NULL, NULL), LSM_OK);
    lsm_file_close(file_with(env, "d/x", 'a', 10, true));
    assert_int_equal(lsm_env_sync_dir(env, "d", NULL), LSM_OK);
    assert_int_equal(lsm_env_rename(env, "d/x", "d/y", NULL), LSM_OK);
    assert_int_equal(lsm_env_rename(env, "d/y", "e/z", NULL), LSM_OK);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct lsm_env *left = crashed(env, LSM_CRASH_RANDOM, seed);
        assert_int_equal(exists(left, "d/x") + exists(left, "d/y") + exists(left, "e/z"), 1);
        lsm_env_mem_free(left);
    }
    assert_int_equal(lsm_env_sync_dir(env, "e", NULL), LSM_OK); /* brings along what it builds on */
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct lsm_env *left = crashed(env, LSM_CRASH_RANDOM, seed);
        assert_true(!exists(left, "d/x") && !exists(left, "d/y") && exists(left, "e/z"));
        lsm_env_mem_free(left);
    }
}

static void lost_renames_of_directories_make_no_cycles(void **state) {
    struct lsm_env *env = *state;
    assert_int_equal(lsm_env_mem_write_file(env, "a/b/f", "x", 1), LSM_OK);
    assert_int_equal(lsm_env_rename(env, "a/b", "c", NULL), LSM_OK);
    assert_int_equal(lsm_env_rename(env, "a", "c/a", NULL), LSM_OK);
    for (uint64_t seed = 0; seed < SEEDS; seed++) lsm_env_mem_free(crashed(env, LSM_CRASH_RANDOM, seed));
}

static void only_the_last_write_is_torn(void **state) {
    struct lsm_env *env = *state;
    size_t shortest = SIZE_MAX, longest = 0;
    struct lsm_file *file = file_with(env, "f", 'a', 1000, false);
    write_ok(file, 1000, 'b', 20000);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct lsm_env *left = crashed(env, LSM_CRASH_TORN, seed);
        uint8_t *bytes;
        size_t size;
        assert_int_equal(lsm_env_mem_read_file(left, "f", &bytes, &size), LSM_OK);
        assert_true(size >= 1000 && size <= 21000 && (size == 1000 || size == 21000 || size % 512 == 0));
        for (size_t i = 0; i < size; i++) assert_int_equal(bytes[i], i < 1000 ? 'a' : 'b');
        if (size < shortest) shortest = size;
        if (size > longest) longest = size;
        lsm_free(bytes);
        lsm_env_mem_free(left);
    }
    assert_int_equal(shortest, 1000);
    assert_int_equal(longest, 21000);
    lsm_file_close(file);
}

static void random_crashes_tear_and_leave_zeros_and_garbage(void **state) {
    struct lsm_env *env = *state;
    int torn = 0, zeros = 0, garbage = 0;
    struct lsm_file *file = file_with(env, "f", 'a', 4096, true);
    write_ok(file, 4096, 'b', 16384);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct lsm_env *left = crashed(env, LSM_CRASH_RANDOM, seed);
        uint8_t *bytes;
        size_t size;
        bool has_b = false, has_zero = false, has_other = false;
        assert_int_equal(lsm_env_mem_read_file(left, "f", &bytes, &size), LSM_OK);
        assert_true(size >= 4096 && size <= 20480);
        for (size_t i = 0; i < 4096; i++) assert_int_equal(bytes[i], 'a');
        for (size_t i = 4096; i < size; i++) {
            has_b = has_b || bytes[i] == 'b';
            has_zero = has_zero || bytes[i] == 0;
            has_other = has_other || (bytes[i] != 'b' && bytes[i] != 0);
        }
        torn += has_b && (has_zero || size < 20480) && !has_other;
        zeros += has_zero && !has_b && !has_other;
        garbage += has_other;
        lsm_free(bytes);
        lsm_env_mem_free(left);
    }
    assert_true(torn > 0 && zeros > 0 && garbage > 0);
    lsm_file_close(file);
}

static void reserved_ok(struct lsm_file *file, uint64_t offset, int byte, size_t size) {
    uint8_t bytes[64];
    memset(bytes, byte, sizeof bytes);
    assert_int_equal(lsm_file_write_reserved(file, offset, bytes, size, NULL), LSM_OK);
}

/* How often the 64 bytes at 100 of a file, which were 'a' before, are all new, all old, and both, word by word. */
struct tears {
    int whole, none, some;
};

static struct tears count_tears(struct lsm_env *env, const char *path) {
    struct tears tears = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct lsm_env *clone = crashed(env, LSM_CRASH_RANDOM, seed);
        uint8_t *bytes = NULL;
        size_t size = 0;
        int fresh = 0;
        assert_int_equal(lsm_env_mem_read_file(clone, path, &bytes, &size), LSM_OK);
        assert_true(size == 1000 && bytes[99] == 'a');
        for (size_t i = 100; i < 164; i++) {
            assert_true(bytes[i] == 'b' || bytes[i] == 'a');
            assert_true(i % 8 == 0 || i == 100 || bytes[i] == bytes[i - 1]);
            fresh += bytes[i] == 'b';
        }
        tears.whole += fresh == 64;
        tears.none += fresh == 0;
        tears.some += fresh != 0 && fresh != 64;
        lsm_free(bytes);
        lsm_env_mem_free(clone);
    }
    return tears;
}

static void a_store_into_a_map_is_torn_within_its_sector(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 1000, true);
    write_ok(file, 100, 'b', 64);
    struct tears tears = count_tears(env, "f");
    assert_true(tears.whole > 0 && tears.none > 0 && tears.some == 0);
    /* Over the same bytes, which are durable again; a window is open, and not filled a second time. */
    reserved_ok(file, 100, 'a', 64);
    write_ok(file, 164, 'a', 836);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    reserved_ok(file, 100, 'b', 64);
    tears = count_tears(env, "f");
    assert_true(tears.whole > 0 && tears.none > 0 && tears.some > 0);
    /* Synced it is whole. */
    assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    tears = count_tears(env, "f");
    assert_true(tears.none == 0 && tears.some == 0);
    lsm_file_close(file);
}

static void what_is_behind_a_store_into_a_map_becomes_zeros(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 20000, true);
    uint8_t *bytes = NULL;
    size_t size = 0;
    reserved_ok(file, 100, 'b', 64);
    assert_int_equal(lsm_env_mem_read_file(env, "f", &bytes, &size), LSM_OK);
    assert_true(size == 20000 && bytes[99] == 'a' && bytes[100] == 'b' && bytes[163] == 'b' && bytes[164] == 0 && bytes[19999] == 'a');
    lsm_free(bytes);
    lsm_file_close(file);
}

static void a_sector_never_holds_a_later_write_without_the_earlier(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 512, true);
    write_ok(file, 0, 'b', 10);
    write_ok(file, 10, 'c', 10);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct lsm_env *left = crashed(env, LSM_CRASH_RANDOM, seed);
        uint8_t *bytes;
        size_t size;
        assert_int_equal(lsm_env_mem_read_file(left, "f", &bytes, &size), LSM_OK);
        assert_int_equal(size, 512);
        assert_true(bytes[10] != 'c' || bytes[0] == 'b');
        assert_int_equal(bytes[20], 'a');
        lsm_free(bytes);
        lsm_env_mem_free(left);
    }
    lsm_file_close(file);
}

static void the_same_seed_gives_the_same_state(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 100, true);
    for (int i = 0; i < 20; i++) write_ok(file, (uint64_t)i * 700, 'b' + i, 3000);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct lsm_env *one = crashed(env, LSM_CRASH_RANDOM, seed), *two = crashed(env, LSM_CRASH_RANDOM, seed);
        uint8_t *a, *b;
        size_t a_size, b_size;
        assert_int_equal(lsm_env_mem_read_file(one, "f", &a, &a_size), LSM_OK);
        assert_int_equal(lsm_env_mem_read_file(two, "f", &b, &b_size), LSM_OK);
        assert_int_equal(a_size, b_size);
        assert_memory_equal(a, b, a_size);
        lsm_free(a);
        lsm_free(b);
        lsm_env_mem_free(one);
        lsm_env_mem_free(two);
    }
    lsm_file_close(file);
}

static void after_a_crash_open_files_are_dead_and_locks_are_gone(void **state) {
    struct lsm_env *env = *state;
    struct lsm_error err = {0};
    char byte;
    size_t got;
    uint64_t size;
    struct lsm_file *file = file_with(env, "f", 'a', 100, true);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    lsm_env_mem_cut_at(env, 1);
    assert_int_equal(lsm_file_write_at(file, 0, "x", 1, &err), LSM_IO);
    assert_int_equal(lsm_env_mem_crash(env, LSM_CRASH_LOSE, 1), LSM_OK);
    assert_int_equal(lsm_file_read_at(file, 0, &byte, 1, &got, &err), LSM_IO);
    assert_non_null(strstr(err.text, "power cut"));
    assert_int_equal(lsm_file_write_at(file, 0, "x", 1, NULL), LSM_IO);
    assert_int_equal(lsm_file_sync(file, NULL), LSM_IO);
    assert_int_equal(lsm_file_size(file, &size, NULL), LSM_IO);
    assert_int_equal(lsm_file_truncate(file, 0, NULL), LSM_IO);
    assert_int_equal(lsm_file_allocate(file, 0, 1000, NULL), LSM_IO);
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_SHARED, NULL), LSM_IO);
    struct lsm_file *new = open_ok(env, "f", LSM_OPEN_WRITE);
    assert_int_equal(lsm_file_lock(new, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_file_read_at(new, 0, &byte, 1, &got, NULL), LSM_OK);
    assert_int_equal(byte, 'a');
    lsm_file_close(file);
    assert_int_equal(lsm_file_lock(new, 0, LSM_LOCK_SHARED, NULL), LSM_OK);
    lsm_file_close(new);
}

static void a_clone_and_its_original_do_not_disturb_each_other(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file = file_with(env, "f", 'a', 10000, true);
    struct lsm_env *clone = crashed(env, LSM_CRASH_LOSE, 1);
    struct lsm_file *there = open_ok(clone, "f", LSM_OPEN_WRITE);
    write_ok(there, 0, 'c', 5);
    write_ok(file, 0, 'b', 5);
    expect_file(env, "f", 'b', 10000);
    expect_file(clone, "f", 'c', 10000);
    lsm_file_close(there);
    assert_int_equal(lsm_env_mem_crash(clone, LSM_CRASH_LOSE, 1), LSM_OK); /* what a crash left is durable */
    expect_file(clone, "f", 'a', 10000);
    lsm_env_mem_free(clone);
    lsm_file_close(file);
}

static void what_a_test_writes_is_durable_at_once(void **state) {
    struct lsm_env *env = *state;
    lsm_file_close(file_with(env, "g", 'a', 10, true));
    assert_int_equal(lsm_env_rename(env, "g", "h", NULL), LSM_OK);
    assert_int_equal(lsm_env_rename(env, "h", "f", NULL), LSM_OK);
    assert_int_equal(lsm_env_mem_write_file(env, "f", "b", 1), LSM_OK);
    assert_int_equal(lsm_env_mem_write_file(env, "p/q/r", "c", 1), LSM_OK);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct lsm_env *left = crashed(env, LSM_CRASH_RANDOM, seed);
        expect_file(left, "f", 'b', 1);
        expect_file(left, "p/q/r", 'c', 1);
        assert_false(exists(left, "g") || exists(left, "h"));
        lsm_env_mem_free(left);
    }
}

static void a_plain_file_system_loses_nothing(void **state) {
    (void)state;
    struct lsm_env *env = lsm_env_mem_new();
    struct lsm_file *file = open_ok(env, "f", RW_CREATE);
    write_ok(file, 0, 'a', 100);
    struct lsm_env *left = crashed(env, LSM_CRASH_LOSE, 1);
    expect_file(left, "f", 'a', 100);
    lsm_env_mem_free(left);
    lsm_file_close(file);
    lsm_env_mem_free(env);
}

static void a_kill_loses_nothing_and_makes_nothing_durable(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *synced = file_with(env, "f", 'a', 100, true);
    lsm_file_close(file_with(env, "h", 'd', 10, true));
    write_ok(synced, 0, 'b', 200);
    struct lsm_file *fresh = open_ok(env, "g", RW_CREATE);
    write_ok(fresh, 0, 'c', 10);
    assert_int_equal(lsm_file_lock(fresh, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    assert_int_equal(lsm_env_unlink(env, "h", NULL), LSM_OK);

    struct lsm_env *killed = lsm_env_mem_clone_killed(env, false);
    assert_non_null(killed);
    expect_file(killed, "f", 'b', 200);
    expect_file(killed, "g", 'c', 10);
    assert_false(exists(killed, "h"));
    struct lsm_env *cut = crashed(killed, LSM_CRASH_LOSE, 1);
    expect_file(cut, "f", 'a', 100);
    assert_false(exists(cut, "g"));
    expect_file(cut, "h", 'd', 10);
    lsm_env_mem_free(cut);

    struct lsm_file *again = open_ok(killed, "g", LSM_OPEN_WRITE);
    assert_int_equal(lsm_file_lock(again, 0, LSM_LOCK_EXCLUSIVE, NULL), LSM_OK);
    write_ok(again, 0, 'e', 10);
    assert_int_equal(lsm_file_sync(again, NULL), LSM_OK);
    assert_int_equal(lsm_env_sync_dir(killed, "/", NULL), LSM_OK);
    lsm_file_close(again);
    cut = crashed(killed, LSM_CRASH_LOSE, 1);
    expect_file(cut, "f", 'a', 100);
    expect_file(cut, "g", 'e', 10);
    assert_false(exists(cut, "h"));
    lsm_env_mem_free(cut);
    lsm_env_mem_free(killed);

    killed = lsm_env_mem_clone_killed(env, true); /* in the middle of the ten bytes of g */
    assert_non_null(killed);
    expect_file(killed, "f", 'b', 200);
    expect_file(killed, "g", 'c', 5);
    lsm_env_mem_free(killed);
    expect_file(env, "g", 'c', 10);
    lsm_file_close(synced);
    lsm_file_close(fresh);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(unsynced_data_is_lost_or_kept),
        TEST(a_synced_file_without_directory_sync_has_no_name),
        TEST(a_synced_directory_does_not_make_data_durable),
        TEST(a_directory_is_gone_with_all_in_it_until_its_parent_is_synced),
        TEST(an_unsynced_rename_is_all_or_nothing),
        TEST(a_name_used_again_shows_one_file_or_the_other),
        TEST(a_move_between_directories_never_doubles_or_loses_the_file),
        TEST(lost_renames_of_directories_make_no_cycles),
        TEST(only_the_last_write_is_torn),
        TEST(random_crashes_tear_and_leave_zeros_and_garbage),
        TEST(a_store_into_a_map_is_torn_within_its_sector),
        TEST(what_is_behind_a_store_into_a_map_becomes_zeros),
        TEST(a_sector_never_holds_a_later_write_without_the_earlier),
        TEST(the_same_seed_gives_the_same_state),
        TEST(after_a_crash_open_files_are_dead_and_locks_are_gone),
        TEST(a_clone_and_its_original_do_not_disturb_each_other),
        TEST(a_kill_loses_nothing_and_makes_nothing_durable),
        TEST(what_a_test_writes_is_durable_at_once),
        TEST(a_plain_file_system_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
