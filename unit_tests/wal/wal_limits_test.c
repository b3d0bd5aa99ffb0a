/* What the log refuses: positions and sizes that cannot be, files that are not the ones read before, reads that fail wherever a record is looked for. */
#include "wal_kit.h"

#include <dlfcn.h>
#include <pthread.h>

#include "../../lsm_core/codec/hash.h"

static struct kit_model model;
static struct lsm_error err;

/* In place of the C library's. */
static bool mutexes_fail;
int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *how) {
    union {
        void *address;
        __typeof__(pthread_mutex_init) *function;
    } own = {.address = dlsym(RTLD_NEXT, "pthread_mutex_init")};
    return mutexes_fail ? EAGAIN : own.function(mutex, how);
}

static int set_up(void **state) {
    *state = kit_env();
    return 0;
}

static int tear_down(void **state) {
    lsm_env_mem_free(*state);
    kit_model_clear(&model);
    return lsm_mem_live() == 0 ? 0 : -1;
}

/* A log of some records from position 80 on, closed as it is. */
static void make_log(struct lsm_env *env, size_t records, bool synced) {
    uint64_t random = 3;
    struct lsm_wal_writer *writer = NULL;
    kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 80, 0, false, &writer, &err), &err);
    for (size_t i = 0; i < records; i++) kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 20 + i, &err), &err);
    if (synced) kit_ok(lsm_wal_writer_sync(writer, &err), &err);
    if (synced) kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 30, &err), &err); /* which says so */
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
}

/* ---- writing -------------------------------------------------------------------------------- */

static void a_log_that_cannot_begin_there_or_now_is_not_begun(void **state) {
    struct lsm_wal_writer *writer = NULL;
    const uint64_t starts[] = {1, LSM_WAL_ALIGN - 1, (uint64_t)1 << 63, UINT64_MAX / LSM_WAL_ALIGN * LSM_WAL_ALIGN};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        assert_int_equal(lsm_wal_writer_create(*state, KIT_DIR, &kit_perm, kit_id, 1, starts[i], 0, false, &writer, &err), LSM_MISUSE);
        assert_null(writer);
    }
    mutexes_fail = true;
    assert_int_equal(lsm_wal_writer_create(*state, KIT_DIR, &kit_perm, kit_id, 1, 80, 0, false, &writer, &err), LSM_NOMEM);
    mutexes_fail = false;
    assert_null(writer);
    uint64_t size;
    assert_int_equal(lsm_env_mem_file_size(*state, KIT_DIR "/00000001.wal", &size), LSM_NOTFOUND);
}

static int attach(struct lsm_env *env, const uint8_t *id, uint64_t generation, uint64_t start, uint64_t end, uint64_t synced,
                  struct lsm_wal_writer **writer) {
    return lsm_wal_writer_attach(env, KIT_DIR, id, generation, start, end, 0, synced, writer, &err);
}

static void only_the_log_that_was_read_is_written_on(void **state) {
    struct lsm_wal_writer *writer = NULL;
    uint8_t *bytes;
    size_t size;
    make_log(*state, 3, false);
    uint64_t end = model.records[2].end;
    kit_read_file(*state, LSM_FILE_WAL, 1, &bytes, &size);
    kit_write_file(*state, LSM_FILE_WAL, 2, bytes, size);
    static const struct {
        const uint8_t *id;
        uint64_t generation, start;
    } others[] = {{kit_id, 2, 80}, {kit_id, 1, 88}, {kit_other_id, 1, 80}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(attach(*state, others[i].id, others[i].generation, others[i].start, end, 0, &writer), LSM_CORRUPT);
        assert_non_null(strstr(err.text, "the header is not the one read before"));
    }
    const uint64_t ends[] = {72, end - 1, end + LSM_WAL_ALIGN};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        assert_int_equal(attach(*state, kit_id, 1, 80, ends[i], 0, &writer), LSM_MISUSE);
        assert_non_null(strstr(err.text, "start a new generation"));
    }
    bytes[20] ^= 1;
    kit_write_file(*state, LSM_FILE_WAL, 1, bytes, size);
    assert_int_equal(attach(*state, kit_id, 1, 80, end, 0, &writer), LSM_CORRUPT);
    assert_null(writer);
    lsm_free(bytes);
}

/* What is synced is told up to the end at most, and the end is where the file has bytes. */
static void a_writer_stands_where_the_log_ends(void **state) {
    struct lsm_wal_writer *writer = NULL;
    uint8_t *bytes;
    size_t size;
    make_log(*state, 3, false);
    uint64_t end = model.records[2].end;
    kit_ok(attach(*state, kit_id, 1, 80, end, UINT64_MAX, &writer), &err);
    assert_true(lsm_wal_writer_synced(writer) == end && lsm_wal_writer_end(writer) == end);
    assert_int_equal(lsm_wal_writer_advance(writer, end - LSM_WAL_ALIGN, 0, 0, &err), LSM_MISUSE);
    assert_int_equal(lsm_wal_writer_advance(writer, end + LSM_WAL_ALIGN, 0, 0, &err), LSM_CORRUPT);
    assert_non_null(strstr(err.text, "bytes long, but the log ends at position"));
    assert_true(lsm_wal_writer_end(writer) == end);
    kit_read_file(*state, LSM_FILE_WAL, 1, &bytes, &size);
    lsm_free(bytes);
    assert_int_equal(size, LSM_WAL_HEADER_BYTES + end - 80);
    kit_ok(lsm_wal_writer_close(writer, false, &err), &err);
}

static void what_no_file_could_hold_is_not_reserved(void **state) {
    struct lsm_wal_writer *writer = NULL;
    struct lsm_wal_record record;
    const uint8_t byte = 0;
    kit_ok(lsm_wal_writer_create(*state, KIT_DIR, &kit_perm, kit_id, 1, 80, 0, false, &writer, &err), &err);
    assert_int_equal(lsm_wal_writer_reserve(writer, (uint64_t)INT64_MAX, &err), LSM_TOOBIG);
    /* Sizes only: no byte is read. */
    const struct lsm_slice none = lsm_slice_of(&byte, 0), most = lsm_slice_of(&byte, (size_t)LSM_WAL_PAYLOAD_BYTES_MAX),
                           more = lsm_slice_of(&byte, (size_t)LSM_WAL_PAYLOAD_BYTES_MAX + 1), one = lsm_slice_of(&byte, 1);
    assert_int_equal(lsm_wal_writer_append(writer, LSM_WAL_TXN, 0, more, none, &record, &err), LSM_TOOBIG);
    assert_int_equal(lsm_wal_writer_append(writer, LSM_WAL_TXN, 0, none, more, &record, &err), LSM_TOOBIG);
    assert_int_equal(lsm_wal_writer_append(writer, LSM_WAL_TXN, 0, most, one, &record, &err), LSM_TOOBIG);
    assert_int_equal(lsm_wal_writer_append(writer, LSM_WAL_TXN, 0, one, one, &record, &err), LSM_OK); /* nothing has come of it */
    assert_int_equal(record.position, 80);
    kit_ok(lsm_wal_writer_close(writer, false, &err), &err);
}

/* Large payloads are written in pieces, whichever of the two has the bytes. */
static void a_large_payload_may_be_all_in_one_piece(void **state) {
    enum { BYTES = 5000000 };
    struct lsm_wal_writer *writer = NULL;
    struct lsm_wal_record record;
    size_t read;
    uint8_t *payload = lsm_malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++) payload[i] = (uint8_t)(i * 7 >> 2);
    kit_ok(lsm_wal_writer_create(*state, KIT_DIR, &kit_perm, kit_id, 1, 80, 0, false, &writer, &err), &err);
    const struct lsm_slice all = lsm_slice_of(payload, BYTES), none = lsm_slice_of(payload, 0);
    for (int second = 0; second < 2; second++) {
        kit_ok(lsm_wal_writer_append(writer, LSM_WAL_TXN, 0, second ? none : all, second ? all : none, &record, &err), &err);
        kit_model_add(&model, &record, payload, BYTES);
    }
    kit_ok(lsm_wal_writer_close(writer, false, &err), &err);
    assert_int_equal(kit_read(*state, 1, 0, &model, 0, &read), LSM_NOTFOUND);
    assert_int_equal(read, 2);
    lsm_free(payload);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int read_below(struct lsm_env *env, uint64_t limit, size_t *read) {
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    *read = 0;
    kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    int status;
    while ((status = lsm_wal_reader_next_below(reader, limit, &record, &err)) == LSM_OK) kit_same(&record, &model.records[(*read)++]);
    lsm_wal_reader_close(reader);
    return status;
}

/* A limit is where a record ends; within one it says that something else was published there. */
static void a_record_that_goes_beyond_what_was_published_is_damage(void **state) {
    size_t read;
    make_log(*state, 3, false);
    assert_int_equal(read_below(*state, model.records[1].end, &read), LSM_NOTFOUND);
    assert_int_equal(read, 2);
    assert_int_equal(read_below(*state, model.records[1].end + LSM_WAL_ALIGN, &read), LSM_CORRUPT);
    assert_int_equal(read, 2);
    assert_int_equal(read_below(*state, model.records[2].end + LSM_WAL_ALIGN, &read), LSM_CORRUPT);
    assert_int_equal(read, 3);
    assert_non_null(strstr(err.text, "damaged or missing, though it was published"));
    /* Within its payload: all of it is there, but not below the limit. */
    assert_int_equal(read_below(*state, model.records[2].end - LSM_WAL_ALIGN, &read), LSM_CORRUPT);
    assert_int_equal(read, 2);
}

/* The file is cut between two looks, in the middle of a record of which the beginning has been read: that is the end, and no record. */
static void a_log_that_becomes_shorter_while_it_is_read_ends_there(void **state) {
    struct lsm_env *env = *state;
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_writer *writer = NULL;
    struct lsm_wal_record record;
    struct lsm_file *file;
    uint64_t random = 5;
    kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 80, 0, false, &writer, &err), &err);
    for (size_t i = 0; i < 2; i++) kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, i == 0 ? 100 : 500000, &err), &err);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    kit_ok(lsm_wal_reader_next(reader, 0, &record, &err), &err);
    kit_ok(lsm_env_open(env, KIT_DIR "/00000001.wal", LSM_OPEN_WRITE, NULL, &file, &err), &err);
    kit_ok(lsm_file_truncate(file, 200000, &err), &err);
    assert_int_equal(lsm_wal_reader_next(reader, 0, &record, &err), LSM_NOTFOUND);
    assert_true(lsm_wal_reader_end(reader) == model.records[0].end);
    lsm_wal_reader_close(reader);
    err = (struct lsm_error){0};
    assert_int_equal(lsm_chain_rewrite(file, 0, 200001, &err), LSM_IO);
    assert_non_null(strstr(err.text, "became shorter while it was read"));
    lsm_file_close(file);
}

/* A sync that failed, in a process that is gone: what its pages hold is not on the disk, and on ext4 does not get there by being written again beside them. */
static void what_a_failed_sync_has_left_is_durable_when_it_was_written_again(void **state) {
    struct lsm_env *env = *state;
    struct lsm_wal_writer *writer = NULL;
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    struct lsm_file *file;
    uint64_t random = 5, size;
    kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 80, 0, true, &writer, &err), &err);
    for (size_t i = 0; i < 3; i++) kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, i == 1 ? 5 * 1024 * 1024 : 1000, &err), &err);
    lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_SYNC});
    assert_int_equal(lsm_wal_writer_sync(writer, &err), LSM_IO);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);

    kit_ok(lsm_env_open(env, KIT_DIR "/00000001.wal", LSM_OPEN_WRITE, NULL, &file, &err), &err);
    kit_ok(lsm_file_size(file, &size, &err), &err);
    kit_ok(lsm_chain_rewrite(file, LSM_WAL_HEADER_BYTES, size, &err), &err);
    kit_ok(lsm_file_sync(file, &err), &err);
    lsm_file_close(file);
    kit_ok(lsm_env_mem_crash(env, LSM_CRASH_LOSE, 1), &err);
    kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    for (size_t i = 0; i < 3; i++) kit_ok(lsm_wal_reader_next(reader, 0, &record, &err), &err);
    assert_true(record.end == model.records[2].end);
    lsm_wal_reader_close(reader);
}

/* Reads the log to its end or damage, and looks at what stands there; the first error that is neither. */
static int read_all_ways(struct lsm_env *env, int *outcome) {
    struct lsm_chain_reader *reader = NULL;
    struct lsm_chain_record record;
    bool torn;
    err = (struct lsm_error){0};
    *outcome = lsm_chain_open(env, KIT_DIR "/00000001.wal", &lsm_chain_log, kit_id, 1, &reader, &err);
    if (*outcome != LSM_OK) return *outcome;
    while ((*outcome = lsm_chain_next(reader, 0, &record, &err)) == LSM_OK) continue;
    int status = *outcome == LSM_IO ? LSM_IO : lsm_chain_torn(reader, &record, &torn, &err);
    lsm_chain_close(reader);
    return status;
}

/* Whole; a record lost, with a witness behind it; the header lost: wherever a read fails, that is said, and it is not taken for an end or for damage. */
static void a_read_that_fails_anywhere_is_neither_an_end_nor_damage(void **state) {
    struct lsm_env *env = *state;
    uint8_t *bytes;
    size_t size;
    make_log(env, 4, true);
    kit_read_file(env, LSM_FILE_WAL, 1, &bytes, &size);
    static const struct {
        size_t place; /* of a byte that is damaged; 0: none */
        int outcome;
    } logs[] = {{0, LSM_NOTFOUND}, {LSM_WAL_HEADER_BYTES + 3, LSM_CORRUPT}, {9, LSM_CORRUPT}};
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        int outcome = LSM_OK;
        uint64_t before, n = 1;
        bytes[logs[i].place] ^= logs[i].place != 0;
        kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
        do {
            before = lsm_env_mem_faults(env);
            lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = n++, .ops = LSM_ENV_READ});
            int status = read_all_ways(env, &outcome);
            lsm_env_mem_fail_at(env, NULL);
            if (lsm_env_mem_faults(env) != before) assert_true(status == LSM_IO && err.code == LSM_IO && err.os_errno == EIO);
        } while (lsm_env_mem_faults(env) != before);
        assert_int_equal(outcome, logs[i].outcome);
        assert_true(n > 2);
        bytes[logs[i].place] ^= logs[i].place != 0;
    }
    lsm_free(bytes);
}

/* The last record once more, with a right checksum, saying that so much was durable. */
static void claim(uint8_t *witness, uint64_t synced) {
    const struct kit_record *last = &model.records[model.count - 1];
    struct lsm_chain_record record = {.kind = LSM_WAL_TXN, .position = last->position, .synced = synced};
    struct lsm_buf put = {0};
    uint64_t seed = lsm_chain_seed(&lsm_chain_log, kit_id, 1, 80);
    assert_int_equal(lsm_chain_record_put(&put, seed, &record, lsm_slice_of(last->payload, last->payload_bytes), (struct lsm_slice){0}), LSM_OK);
    assert_int_equal(put.size, last->end - last->position);
    memcpy(witness, put.data, put.size);
    lsm_buf_free(&put);
}

/* A record is lost. Whoever says behind it that it was durable makes that damage; who says something impossible says nothing. */
static void who_claims_what_cannot_be_is_no_witness(void **state) {
    struct lsm_env *env = *state;
    uint8_t *bytes;
    size_t size, read;
    make_log(env, 3, true);
    kit_read_file(env, LSM_FILE_WAL, 1, &bytes, &size);
    uint8_t *first = bytes + LSM_WAL_HEADER_BYTES, *witness = first + (model.records[3].position - 80);
    const uint64_t position = model.records[3].position;
    for (int wrong = 0; wrong < 4; wrong++) {
        lsm_store_u32(first + 12, wrong == 1 ? UINT32_MAX : 21);          /* its length: more than records have, or wrong */
        claim(witness, wrong == 3 ? (uint64_t)-LSM_WAL_ALIGN : position); /* below 0 */
        if (wrong == 2) lsm_store_u32(witness + 12, UINT32_MAX);
        kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
        assert_int_equal(kit_read(env, 1, 0, &model, 0, &read), wrong < 2 ? LSM_CORRUPT : LSM_NOTFOUND);
        assert_int_equal(read, 0);
    }
    lsm_free(bytes);
}

/* The header does not verify. What stands behind it tells whether it ever did: nothing, a record that is too long, a whole one, one that cannot be read. */
static void a_damaged_header_is_judged_by_what_is_behind_it(void **state) {
    struct lsm_env *env = *state;
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_writer *writer = NULL;
    uint64_t random = 5;
    uint8_t *bytes, length[4];
    size_t size;
    kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 80, 0, false, &writer, &err), &err);
    kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 500000, &err), &err);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    kit_read_file(env, LSM_FILE_WAL, 1, &bytes, &size);
    bytes[LSM_WAL_HEADER_BYTES - 1] ^= 1;
    kit_write_file(env, LSM_FILE_WAL, 1, bytes, LSM_WAL_HEADER_BYTES);
    assert_int_equal(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), LSM_OK);
    assert_null(reader);
    memcpy(length, bytes + LSM_WAL_HEADER_BYTES + 12, sizeof length);
    memset(bytes + LSM_WAL_HEADER_BYTES + 12, 0xff, sizeof length);
    kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
    assert_int_equal(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), LSM_OK);
    assert_null(reader);
    memcpy(bytes + LSM_WAL_HEADER_BYTES + 12, length, sizeof length);
    kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
    uint64_t before, n = 1;
    int status;
    do {
        before = lsm_env_mem_faults(env);
        lsm_env_mem_fail_at(env, &(struct lsm_env_fault){.at = n++, .ops = LSM_ENV_READ});
        status = lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err);
        lsm_env_mem_fail_at(env, NULL);
        if (lsm_env_mem_faults(env) != before) assert_int_equal(status, LSM_IO);
        assert_null(reader);
    } while (lsm_env_mem_faults(env) != before);
    assert_int_equal(status, LSM_CORRUPT);
    assert_non_null(strstr(err.text, "header is damaged, but valid records are behind it"));
    assert_true(n > 3);
    lsm_free(bytes);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_log_that_cannot_begin_there_or_now_is_not_begun),
        TEST(only_the_log_that_was_read_is_written_on),
        TEST(a_writer_stands_where_the_log_ends),
        TEST(what_no_file_could_hold_is_not_reserved),
        TEST(a_large_payload_may_be_all_in_one_piece),
        TEST(a_record_that_goes_beyond_what_was_published_is_damage),
        TEST(a_log_that_becomes_shorter_while_it_is_read_ends_there),
        TEST(what_a_failed_sync_has_left_is_durable_when_it_was_written_again),
        TEST(who_claims_what_cannot_be_is_no_witness),
        TEST(a_damaged_header_is_judged_by_what_is_behind_it),
        TEST(a_read_that_fails_anywhere_is_neither_an_end_nor_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
