/* One log file written by several writers in turn, and followed by readers that know how far it was published. */
#include "wal_kit.h"

static struct lsm_error err;

static struct kit_model model;

static void append(struct lsm_wal_writer *writer, uint64_t *random, size_t bytes) {
    kit_ok(kit_append(writer, &model, random, LSM_WAL_TXN, bytes, &err), &err);
}

static struct lsm_wal_writer *create(struct lsm_env *env) {
    struct lsm_wal_writer *writer = NULL;
    kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 0, 0, false, &writer, &err), &err);
    return writer;
}

static struct lsm_wal_writer *attach(struct lsm_env *env, const struct lsm_wal_writer *other) {
    struct lsm_wal_writer *writer = NULL;
    kit_ok(lsm_wal_writer_attach(env, KIT_DIR, kit_id, 1, 0, lsm_wal_writer_end(other), lsm_wal_writer_check(other), lsm_wal_writer_synced(other),
                                 &writer, &err),
           &err);
    return writer;
}

static void advance(struct lsm_wal_writer *writer, const struct lsm_wal_writer *other) {
    kit_ok(lsm_wal_writer_advance(writer, lsm_wal_writer_end(other), lsm_wal_writer_check(other), lsm_wal_writer_synced(other), &err), &err);
}

static void expect_all(struct lsm_env *env) {
    size_t read = 0;
    assert_int_equal(kit_read(env, 1, 0, &model, 0, &read), LSM_NOTFOUND);
    assert_int_equal(read, model.count);
}

static void writers_in_turn_make_one_log(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    struct lsm_env *env = kit_env();
    struct lsm_wal_writer *writers[3] = {create(env)}, *last = writers[0];
    for (unsigned i = 0; i < 600; i++) {
        size_t who = (size_t)kit_below(&random, 3);
        if (writers[who] == NULL)
            writers[who] = attach(env, last);
        else if (writers[who] != last)
            advance(writers[who], last);
        for (unsigned more = (unsigned)kit_below(&random, 3); more > 0; more--)
            append(writers[who], &random, (size_t)kit_below(&random, kit_below(&random, 20) == 0 ? 200000 : 300));
        if (kit_below(&random, 10) == 0) kit_ok(lsm_wal_writer_sync(writers[who], &err), &err);
        last = writers[who];
    }
    expect_all(env);
    for (size_t i = 0; i < 3; i++) kit_ok(lsm_wal_writer_close(writers[i], writers[i] == last, &err), &err);
    expect_all(env);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void an_allocation_does_not_clear_what_others_have_appended(void **state) {
    (void)state;
    uint64_t random = 1;
    struct lsm_env *env = kit_env();
    struct lsm_wal_writer *a = create(env);
    append(a, &random, 100);
    struct lsm_wal_writer *b = attach(env, a);
    for (unsigned i = 0; i < 40; i++) append(b, &random, 10000);
    advance(a, b);
    kit_ok(lsm_wal_writer_reserve(a, 1000000, &err), &err);
    append(a, &random, 100);
    expect_all(env);
    assert_int_equal(lsm_wal_writer_advance(a, 8, 0, 0, &err), LSM_MISUSE);
    (void)lsm_wal_writer_close(a, false, NULL);
    (void)lsm_wal_writer_close(b, false, NULL);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void what_a_dead_writer_left_half_written_is_overwritten(void **state) {
    (void)state;
    uint64_t random = 2;
    struct lsm_env *env = kit_env();
    struct lsm_wal_writer *dead = create(env);
    append(dead, &random, 100);
    uint64_t end = lsm_wal_writer_end(dead);
    uint8_t junk[500];
    for (size_t i = 0; i < sizeof junk; i++) junk[i] = (uint8_t)kit_random(&random);
    uint8_t *bytes;
    size_t size;
    kit_read_file(env, LSM_FILE_WAL, 1, &bytes, &size);
    memcpy(bytes + LSM_WAL_HEADER_BYTES + end, junk, sizeof junk);
    kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
    lsm_free(bytes);
    struct lsm_wal_writer *next = attach(env, dead);
    append(next, &random, 30);
    expect_all(env);
    append(next, &random, 1000);
    expect_all(env);
    (void)lsm_wal_writer_close(dead, false, NULL);
    (void)lsm_wal_writer_close(next, false, NULL);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void a_follower_reads_what_was_published_and_nothing_behind_it(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    struct lsm_env *env = kit_env();
    struct lsm_wal_writer *writer = create(env);
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    size_t read = 0;
    kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    assert_int_equal(lsm_wal_reader_next_below(reader, 0, &record, &err), LSM_NOTFOUND);
    for (unsigned i = 0; i < 500; i++) {
        for (unsigned more = (unsigned)kit_below(&random, 5); more > 0; more--)
            append(writer, &random, (size_t)kit_below(&random, kit_below(&random, 20) == 0 ? 300000 : 300));
        /* Published up to some record, or the end. */
        size_t to = model.count == read ? read : read + (size_t)kit_below(&random, model.count - read + 1);
        uint64_t limit = to == 0 ? 0 : model.records[to - 1].end;
        int status;
        while ((status = lsm_wal_reader_next_below(reader, limit, &record, &err)) == LSM_OK) kit_same(&record, &model.records[read++]);
        assert_int_equal(status, LSM_NOTFOUND);
        assert_int_equal(read, to);
        assert_int_equal(lsm_wal_reader_end(reader), limit);
        if (kit_below(&random, 10) == 0 && read < model.count) {
            /* What this process wrote itself is not read. */
            read = model.count;
            lsm_wal_reader_skip(reader, lsm_wal_writer_end(writer), lsm_wal_writer_check(writer));
        }
    }
    kit_ok(lsm_wal_writer_append(writer, LSM_WAL_ROLL, 0, (struct lsm_slice){0}, (struct lsm_slice){0}, NULL, &err), &err);
    uint64_t limit = lsm_wal_writer_end(writer);
    while (read < model.count) {
        kit_ok(lsm_wal_reader_next_below(reader, limit, &record, &err), &err);
        kit_same(&record, &model.records[read++]);
    }
    assert_false(lsm_wal_reader_rolled(reader));
    kit_ok(lsm_wal_reader_next_below(reader, limit, &record, &err), &err);
    assert_true(lsm_wal_reader_rolled(reader));
    assert_int_equal(lsm_wal_reader_next_below(reader, limit + 1000, &record, &err), LSM_NOTFOUND); /* the next file has it */
    lsm_wal_reader_close(reader);
    (void)lsm_wal_writer_close(writer, false, NULL);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void a_published_record_that_is_not_there_is_damage(void **state) {
    (void)state;
    uint64_t random = 3;
    struct lsm_env *env = kit_env();
    struct lsm_wal_writer *writer = create(env);
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    append(writer, &random, 100);
    kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    uint64_t end = lsm_wal_writer_end(writer);
    kit_ok(lsm_wal_reader_next_below(reader, end, &record, &err), &err);
    assert_int_equal(lsm_wal_reader_next_below(reader, end + 64, &record, &err), LSM_CORRUPT);
    /* In the middle of a record nothing is ever published. */
    append(writer, &random, 100);
    assert_int_equal(lsm_wal_reader_next_below(reader, end + 64, &record, &err), LSM_CORRUPT);
    kit_ok(lsm_wal_reader_next_below(reader, lsm_wal_writer_end(writer), &record, &err), &err);
    lsm_wal_reader_close(reader);
    (void)lsm_wal_writer_close(writer, false, NULL);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_in_turn_make_one_log),
        cmocka_unit_test(an_allocation_does_not_clear_what_others_have_appended),
        cmocka_unit_test(what_a_dead_writer_left_half_written_is_overwritten),
        cmocka_unit_test(a_follower_reads_what_was_published_and_nothing_behind_it),
        cmocka_unit_test(a_published_record_that_is_not_there_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
