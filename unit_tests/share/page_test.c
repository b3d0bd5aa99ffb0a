/* The page is what docs/format.md says: joining processes of other releases rely on it. */
#include "fixture.h"
#include "../../lsm_core/codec/hash.h"

#include <unistd.h>

static const uint8_t *map_page(struct fixture *fixture, struct lsm_file **file) {
    void *bytes;
    assert_int_equal(lsm_env_open(fixture->disk, FIXTURE_SHM, LSM_OPEN_WRITE, NULL, file, NULL), LSM_OK);
    assert_int_equal(lsm_file_map(*file, 40960, &bytes, NULL), LSM_OK);
    return bytes;
}

static uint64_t u64_at(const uint8_t *page, size_t offset) {
    uint64_t number;
    memcpy(&number, page + offset, sizeof number);
    return number;
}

static uint32_t u32_at(const uint8_t *page, size_t offset) {
    uint32_t number;
    memcpy(&number, page + offset, sizeof number);
    return number;
}

static void every_number_stands_where_the_format_says(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *share = fixture_open(fixture, 0);
    struct lsm_file *file;
    struct lsm_share_pin pins[2];
    struct lsm_share_build build;
    uint64_t size;
    const uint8_t *page = map_page(fixture, &file);
    assert_int_equal(lsm_env_mem_file_size(fixture->disk, FIXTURE_SHM, &size), LSM_OK);
    assert_true(size == 40960);
    assert_memory_equal(page, "LSMSHM\r\n", 8);
    assert_true(u32_at(page, 8) == 3 && u32_at(page, 12) == 120 && u64_at(page, 16) == 40960);
    assert_memory_equal(page + 24, fixture_id, sizeof fixture_id);
    lsm_share_publish(share, 101);
    assert_int_equal(lsm_share_lock(share, LSM_SHARE_MANIFEST, 0, NULL), LSM_OK);
    lsm_share_set_version(share, lsm_share_version_id(7, 102));
    lsm_share_unlock(share, LSM_SHARE_MANIFEST);
    assert_int_equal(lsm_share_lock(share, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    lsm_share_append_end(share, 103);
    lsm_share_append_begin(share);
    lsm_share_set_synced(share, 104);
    lsm_share_raise_next_file(share, 105);
    lsm_share_set_undecided(share, 106);
    lsm_share_set_failed(share);
    lsm_share_beat(share, LSM_SHARE_MERGE);
    assert_true(u64_at(page, 64) == 101 && u64_at(page, 128) == ((uint64_t)7 << 36 | 102));
    assert_true(u64_at(page, 136) == lsm_hash(fixture_id, sizeof fixture_id, u64_at(page, 128)));
    assert_true(u64_at(page, 192) == 103 && u64_at(page, 200) == 1 && u64_at(page, 256) == 104 && u64_at(page, 320) == 105);
    assert_true(u64_at(page, 384) == 107 && u64_at(page, 392) == 1 && u64_at(page, 448 + 5 * 8) == 1 && u64_at(page, 512 + 3 * 8) == 1);
    assert_true(u32_at(page, 208) == 1);
    lsm_share_unlock(share, LSM_SHARE_WRITER);
    assert_true(u32_at(page, 208) == 0);
    /* Slot 0. */
    lsm_env_mem_set_clock(fixture->disk, 2000000);
    assert_true(lsm_share_pin(share, lsm_share_version(share), &pins[0]));
    lsm_share_pin_copy(share, &pins[0], &pins[1]);
    lsm_share_build_begin(share, &build);
    assert_true(u64_at(page, 2048) != 0 && u64_at(page, 2048 + 8) == (uint64_t)getpid() && u64_at(page, 2048 + 16) == 1000000);
    assert_true(u64_at(page, 2048 + 24) == 105);
    assert_string_equal((const char *)page + 2048 + 64, "test");
    assert_true(u64_at(page, 2048 + 128) == ((uint64_t)7 << 36 | 102) && u64_at(page, 2048 + 136) == 2 && u64_at(page, 2048 + 256) == 2000000);
    lsm_share_build_end(share, &build);
    for (int i = 0; i < 2; i++) lsm_share_unpin(share, &pins[i]);
    assert_true(u64_at(page, 2048 + 24) == 0 && u64_at(page, 2048 + 136) == 0);
    (void)fixture_open(fixture, 1);
    assert_true(u64_at(page, 2048 + 320) != 0);
    lsm_file_close(file);
}

/* The ninth version at once. */
static void the_floor_stands_where_the_format_says(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *share = fixture_open(fixture, 0);
    struct lsm_file *file;
    struct lsm_share_pin pins[LSM_SHARE_PINS + 1];
    const uint8_t *page = map_page(fixture, &file);
    for (uint64_t v = 0; v <= LSM_SHARE_PINS; v++) {
        fixture_set_version(share, 200 + v);
        assert_true(lsm_share_pin(share, 200 + v, &pins[v]));
    }
    assert_true(u64_at(page, 2048 + 32) == 208 && u64_at(page, 2048 + 40) == 1000000 && u64_at(page, 2048 + 48) == 1);
    assert_true(u64_at(page, 2048 + 128 + 7 * 16) == 207);
    for (int i = 0; i <= LSM_SHARE_PINS; i++) lsm_share_unpin(share, &pins[i]);
    assert_true(u64_at(page, 2048 + 32) == 0 && u64_at(page, 2048 + 48) == 0);
    lsm_file_close(file);
}

static void bytes_of_LOCK_are_locked_as_the_format_says(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *share = fixture_open(fixture, 0);
    struct lsm_file *file;
    bool locked;
    assert_int_equal(lsm_env_open(fixture->disk, FIXTURE_LOCK, LSM_OPEN_WRITE, NULL, &file, NULL), LSM_OK);
    for (uint64_t byte = 0; byte < 136; byte++) {
        assert_int_equal(lsm_file_locked(file, byte, &locked, NULL), LSM_OK);
        assert_true(locked == (byte == 0 || byte == 16));
    }
    for (uint64_t byte = LSM_SHARE_MANIFEST; byte < LSM_SHARE_LOCKS; byte++) {
        assert_int_equal(lsm_share_lock(share, (enum lsm_share_lock)byte, 0, NULL), LSM_OK);
        assert_int_equal(lsm_file_locked(file, byte, &locked, NULL), LSM_OK);
        assert_true(locked);
        lsm_share_unlock(share, (enum lsm_share_lock)byte);
    }
    assert_int_equal(lsm_file_lock(file, 0, LSM_LOCK_SHARED, NULL), LSM_OK); /* PRESENT is shared */
    lsm_file_close(file);
}

/* The word WRITER says what nobody stores: the bit without an owner, or who asks for it himself. It must not keep anybody from writing, nor from giving up. */
static void a_damaged_word_of_the_writer_is_taken(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *share = fixture_open(fixture, 0), *other = fixture_open(fixture, 1);
    struct lsm_file *file;
    uint8_t *page = (uint8_t *)(uintptr_t)map_page(fixture, &file);
    const uint32_t words[] = {(uint32_t)1 << 31, 1, (uint32_t)1 << 31 | 1};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        memcpy(page + 208, &words[i], sizeof words[i]);
        if (i > 0) assert_int_equal(lsm_share_lock(other, LSM_SHARE_WRITER, 0, NULL), LSM_BUSY);
        assert_int_equal(lsm_share_lock(share, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
        assert_int_equal(lsm_share_lock(other, LSM_SHARE_WRITER, 0, NULL), LSM_BUSY);
        lsm_share_unlock(share, LSM_SHARE_WRITER);
        assert_true(u32_at(page, 208) == 0);
        assert_int_equal(lsm_share_lock(other, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
        lsm_share_unlock(other, LSM_SHARE_WRITER);
    }
    lsm_file_close(file);
}

/* A number that no slot has. */
static void a_writer_whose_slot_does_not_exist_has_damaged_the_page_and_is_nobody(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *share = fixture_open(fixture, 0), *other = fixture_open(fixture, 1);
    struct lsm_file *file;
    uint8_t *page = (uint8_t *)(uintptr_t)map_page(fixture, &file);
    const uint32_t waited = (uint32_t)1 << 31, words[] = {LSM_SHARE_SLOTS + 1, (LSM_SHARE_SLOTS + 1) | waited, waited - 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        memcpy(page + 208, &words[i], sizeof words[i]);
        assert_int_equal(lsm_share_lock(share, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
        assert_int_equal(lsm_share_lock(other, LSM_SHARE_WRITER, 0, NULL), LSM_BUSY);
        lsm_share_unlock(share, LSM_SHARE_WRITER);
        assert_true(u32_at(page, 208) == 0);
    }
    lsm_file_close(file);
}

/* What those before have left is believed if its checksum fits. */
static void a_version_without_its_witness_is_not_believed(void **state) {
    struct fixture *fixture = *state;
    for (size_t offset = 128; offset <= 136; offset += 8)
        for (int damaged = 0; damaged < 2; damaged++) {
            struct lsm_file *file;
            (void)fixture_open(fixture, 0);
            uint8_t *page = (uint8_t *)(uintptr_t)map_page(fixture, &file);
            fixture_kill(fixture, 0);
            page[offset] ^= (uint8_t)damaged;
            lsm_file_close(file);
            assert_int_equal(fixture_join(fixture, 0), LSM_OK);
            assert_true(lsm_share_is_first(fixture->process[0].share));
            assert_true(lsm_share_left_version(fixture->process[0].share) == (damaged ? 0 : 10));
            fixture_close(fixture, 0);
        }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_number_stands_where_the_format_says),
        TEST(the_floor_stands_where_the_format_says),
        TEST(bytes_of_LOCK_are_locked_as_the_format_says),
        TEST(a_damaged_word_of_the_writer_is_taken),
        TEST(a_writer_whose_slot_does_not_exist_has_damaged_the_page_and_is_nobody),
        TEST(a_version_without_its_witness_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
