/* What lsm_store_check() says of a store that is open while its files change beneath it: it names the file, and everything it finds is in its words. */
#include "api_kit.h"

#include <stdio.h>

#include "../../lsm_core/store/store.h"
#include "../../lsm_core/wal/chain.h"
#include "../../lsm_core/wal/wal.h"

static char said[2000];

static void note(void *arg, const char *what) {
    (void)arg;
    (void)snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", what);
}

static uint64_t check_store(void) {
    uint64_t problems = 0;
    said[0] = '\0';
    MUST(lsm_store_check(world.store, note, NULL, NULL, NULL, &problems, &world.err));
    return problems;
}

/* Exactly one problem, in these words. */
static void must_say(const char *words) {
    uint64_t problems = check_store();
    if (problems != 1 || strstr(said, words) == NULL) fail_msg("%llu problems: %s", (unsigned long long)problems, said);
}

static void a_stranger_among_the_files_is_named(void **state) {
    (void)state;
    char path[64];
    path_of(path, "notes.txt");
    assert_int_equal(check_store(), 0);
    assert_int_equal(lsm_env_mem_write_file(world.env, path, "x", 1), LSM_OK);
    must_say("notes.txt: not a file of the store; move it elsewhere");
    MUST(lsm_env_unlink(world.env, path, &world.err));
    path_of(path, "00000999.sst");
    assert_int_equal(lsm_env_mem_write_file(world.env, path, "x", 1), LSM_OK);
    must_say("00000999.sst: a table file that nothing names");
    /* Not while the worker is about to remove it. */
    world.store->sweeping = true;
    assert_int_equal(check_store(), 0);
    world.store->sweeping = false;
    MUST(lsm_env_unlink(world.env, path, &world.err));
    assert_int_equal(check_store(), 0);
}

static void a_log_file_that_is_gone_is_missed(void **state) {
    (void)state;
    char path[64];
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    find_file(".wal", path);
    MUST(lsm_env_unlink(world.env, path, &world.err));
    must_say("the log on disk ends at position");
    assert_non_null(strstr(said, "flush now"));
    MUST(world_flush(&world));
    assert_int_equal(check_store(), 0);
    must_be_right();
}

/* Another one in its place: it begins elsewhere, or it is not one yet. */
static void a_log_file_that_is_another_one_is_told(void **state) {
    (void)state;
    char path[64];
    uint8_t header[LSM_CHAIN_HEADER_BYTES] = {0};
    struct lsm_chain_header other = {.start = 8};
    uint8_t *bytes;
    size_t size;
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    find_file(".wal", path);
    assert_int_equal(lsm_env_mem_read_file(world.env, path, &bytes, &size), LSM_OK);
    assert_int_equal(lsm_env_mem_write_file(world.env, path, header, sizeof header), LSM_OK);
    must_say("the log on disk ends at position");
    assert_true(lsm_chain_header_decode(&lsm_chain_log, bytes, &other));
    other.start += LSM_WAL_ALIGN;
    lsm_chain_header_encode(&lsm_chain_log, &other, header);
    assert_int_equal(lsm_env_mem_write_file(world.env, path, header, sizeof header), LSM_OK);
    must_say("does not follow its predecessor");
    assert_int_equal(lsm_env_mem_write_file(world.env, path, bytes, size), LSM_OK);
    lsm_free(bytes);
    assert_int_equal(check_store(), 0);
}

/* Somebody died after he had made the file of the next record: that it is there is no problem to whoever commits, nor a finding. */
static void a_log_file_without_a_header_is_passed_by(void **state) {
    (void)state;
    char path[64], name[32];
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    MUST(lsm_store_lock_writer(world.store, 0, &world.err));
    world.store->wait_until_us[LSM_WORK_FLUSH] = UINT64_MAX;
    MUST(lsm_store_roll(world.store, &world.err));
    (void)snprintf(name, sizeof name, "%08llu.wal", (unsigned long long)world.store->next_log);
    lsm_store_unlock_writer(world.store);
    path_of(path, name);
    assert_int_equal(lsm_env_mem_write_file(world.env, path, "", 0), LSM_OK);
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    if (check_store() != 0) fail_msg("%s", said);
    MUST(world_flush(&world));
    must_be_right();
}

/* A record whose checksum is right and whose rows make no sense, of each kind that has rows. */
static void a_record_that_does_not_decode_is_told(void **state) {
    (void)state;
    static const struct {
        uint8_t kind;
        const char *payload;
        size_t size;
    } records[] = {
        {LSM_WAL_TXN, "\x70", 1}, {LSM_WAL_PREPARE, "short", 5}, {LSM_WAL_PREPARE, "sixteen bytes, so\xff", 18}, {LSM_WAL_RUNS, "\xff", 1}};
    char path[64];
    uint8_t *bytes;
    size_t size;
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    find_file(".wal", path);
    assert_int_equal(lsm_env_mem_read_file(world.env, path, &bytes, &size), LSM_OK);
    struct lsm_chain_header header;
    assert_true(lsm_chain_header_decode(&lsm_chain_log, bytes, &header));
    uint64_t seed = lsm_chain_seed(&lsm_chain_log, header.store_id, header.number, header.start);
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct lsm_buf log = {0};
        struct lsm_chain_record record = {.kind = records[i].kind, .position = header.start, .prev = header.prev_check};
        assert_int_equal(lsm_buf_append(&log, bytes, LSM_CHAIN_HEADER_BYTES), LSM_OK);
        assert_int_equal(lsm_chain_record_put(&log, seed, &record, lsm_slice_of(records[i].payload, records[i].size), (struct lsm_slice){0}), LSM_OK);
        assert_int_equal(lsm_env_mem_write_file(world.env, path, log.data, log.size), LSM_OK);
        if (check_store() != 2) fail_msg("record %zu: %s", i, said); /* and what is behind it is gone */
        assert_non_null(strstr(said, "a transaction that does not decode"));
        lsm_buf_free(&log);
    }
    assert_int_equal(lsm_env_mem_write_file(world.env, path, bytes, size), LSM_OK);
    lsm_free(bytes);
    assert_int_equal(check_store(), 0);
}

/* Set back to what it was before a flush, whose log is gone: the next edit writes all that is known anew, and nothing is lost. */
static void a_manifest_that_was_set_back_is_written_anew(void **state) {
    (void)state;
    char path[64];
    uint8_t *before;
    size_t size;
    path_of(path, "MANIFEST-00000001");
    assert_int_equal(lsm_env_mem_read_file(world.env, path, &before, &size), LSM_OK);
    MUST(world_write(&world, 0, 50, LSM_SYNC_OFF));
    MUST(world_flush(&world));
    assert_int_equal(check_store(), 0);
    assert_int_equal(lsm_env_mem_write_file(world.env, path, before, size), LSM_OK);
    lsm_free(before);
    must_say("it was set back while the store is open; the next flush or merge writes it anew");
    MUST(world_write(&world, 0, 50, LSM_SYNC_OFF));
    MUST(world_flush(&world));
    assert_int_equal(check_store(), 0);
    MUST(world_close(&world));
    MUST(world_open(&world));
    must_be_right();
}

static void put_file(const char *name, const uint8_t *bytes, size_t size) {
    char path[64];
    path_of(path, name);
    assert_int_equal(lsm_env_mem_write_file(world.env, path, bytes, size), LSM_OK);
}

/* With CURRENT: nothing is read from the old one, nor removed for its sake, and nothing is written beside it. */
static void a_current_that_was_set_back_is_refused(void **state) {
    (void)state;
    char path[64];
    uint8_t *current, *manifest, *now;
    size_t current_size, manifest_size, size;
    path_of(path, "CURRENT");
    assert_int_equal(lsm_env_mem_read_file(world.env, path, &current, &current_size), LSM_OK);
    path_of(path, "MANIFEST-00000001");
    assert_int_equal(lsm_env_mem_read_file(world.env, path, &manifest, &manifest_size), LSM_OK);
    MUST(world_write(&world, 0, 50, LSM_SYNC_OFF));
    world.store->set.manifest_bytes_max = 1; /* the next edit begins a new one */
    MUST(world_flush(&world));
    assert_int_equal(check_store(), 0);
    path_of(path, "CURRENT");
    assert_int_equal(lsm_env_mem_read_file(world.env, path, &now, &size), LSM_OK);
    assert_memory_not_equal(now, current, size);
    put_file("CURRENT", current, current_size);
    put_file("MANIFEST-00000001", manifest, manifest_size);
    must_say("CURRENT: names MANIFEST-00000001, but");
    MUST(world_write(&world, 0, 50, LSM_SYNC_OFF));
    assert_int_equal(lsm_store_flush(world.store, NULL, NULL, &world.err), LSM_CORRUPT);
    put_file("CURRENT", now, size);
    MUST(world_flush(&world));
    assert_int_equal(check_store(), 0);
    must_be_right();
    lsm_free(now);
    lsm_free(manifest);
    lsm_free(current);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_log_file_without_a_header_is_passed_by), TEST(a_stranger_among_the_files_is_named),
        TEST(a_log_file_that_is_gone_is_missed),        TEST(a_log_file_that_is_another_one_is_told),
        TEST(a_record_that_does_not_decode_is_told),    TEST(a_manifest_that_was_set_back_is_written_anew),
        TEST(a_current_that_was_set_back_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
