/* The log when the power goes or the disk fails: what was synced is there, the rest is a prefix, and nobody calls that damage.
 *
 * A little store of its own drives the log as the real one will: it rolls, syncs what it must before it claims it, and after a failed
 * sync goes on in a new generation that begins where the last synced record ended.
 */
#include "wal_kit.h"

enum { FAILED_MAX = 64 };

struct mini {
    struct lsm_env *env;
    struct lsm_wal_writer *writer;
    uint64_t random, generation, unsynced_generation; /* the oldest that may not be durable */
    bool off;                                         /* do not sync at rolls */
    struct kit_model model;                           /* in the log, in order */
    struct kit_record failed[FAILED_MAX];             /* appends in the place behind the last one of the model, the last of them at work */
    size_t failed_count;
    size_t acked;     /* records of the model promised to survive */
    uint64_t durable; /* the position promised */
    uint64_t states, errors;
};

static struct lsm_error err;
static struct mini mini;

/* ---- recovery ---- */

/* The one of the failed appends that the record may be. */
static const struct kit_record *any_failed(const struct lsm_wal_record *record) {
    for (size_t i = 0; i < mini.failed_count; i++) {
        const struct kit_record *failed = &mini.failed[i];
        if (failed->kind == record->kind && failed->payload_bytes == record->payload.size &&
            memcmp(failed->payload, record->payload.data, failed->payload_bytes) == 0)
            return failed;
    }
    return NULL;
}

/* What failed may be there until something else stands in its place, and never afterwards. */
static void check_record(const struct lsm_wal_record *record, size_t i) {
    assert_true(i <= mini.model.count);
    const struct kit_record *expected = i < mini.model.count ? &mini.model.records[i] : any_failed(record);
    assert_non_null(expected);
    assert_int_equal(record->kind, expected->kind);
    assert_int_equal(record->payload.size, expected->payload_bytes);
    if (expected->payload_bytes > 0) assert_memory_equal(record->payload.data, expected->payload, expected->payload_bytes);
    if (i < mini.model.count) assert_int_equal(record->position, expected->position);
}

/* Read one generation; returns false if the log ends in it. */
static bool recover_generation(struct lsm_env *env, uint64_t generation, uint64_t known_synced, uint64_t *end, uint64_t *check, size_t *count) {
    struct lsm_wal_reader *reader = NULL, *next = NULL;
    struct lsm_wal_record record;
    int status = lsm_wal_reader_open(env, KIT_DIR, kit_id, generation, &reader, &err);
    if (status == LSM_NOTFOUND || (status == LSM_OK && reader == NULL)) return false;
    kit_ok(status, &err);
    if (generation > 1 && (lsm_wal_reader_start(reader) != *end || lsm_wal_reader_prev_check(reader) != *check)) {
        lsm_wal_reader_close(reader); /* what came before it is lost */
        return false;
    }
    /* The next generation says where this one stops to count. */
    uint64_t limit = UINT64_MAX;
    status = lsm_wal_reader_open(env, KIT_DIR, kit_id, generation + 1, &next, &err);
    if (status == LSM_OK && next != NULL)
        limit = lsm_wal_reader_start(next);
    else if (status != LSM_NOTFOUND)
        kit_ok(status, &err);
    lsm_wal_reader_close(next);

    while (lsm_wal_reader_end(reader) < limit) {
        status = lsm_wal_reader_next(reader, known_synced, &record, &err);
        if (status == LSM_NOTFOUND) break;
        kit_ok(status, &err);
        check_record(&record, *count);
        (*count)++;
    }
    *end = lsm_wal_reader_end(reader);
    *check = lsm_wal_reader_check(reader);
    lsm_wal_reader_close(reader);
    return *end == limit;
}

static void check_disk(struct lsm_env *env) {
    for (int known = 0; known <= 1; known++) {
        uint64_t end = 0, check = 0, generation = 1;
        size_t count = 0;
        while (recover_generation(env, generation, known ? mini.durable : 0, &end, &check, &count)) generation++;
        assert_true(count >= mini.acked);
    }
    mini.states++;
}

static void check_crashes(struct lsm_env *env, uint64_t random_states) {
    for (uint64_t i = 0; i < 3 + random_states; i++) {
        enum lsm_crash_mode mode = i == 0 ? LSM_CRASH_LOSE : i == 1 ? LSM_CRASH_KEEP : i == 2 ? LSM_CRASH_TORN : LSM_CRASH_RANDOM;
        struct lsm_env *crashed = lsm_env_mem_clone_crashed(env, mode, kit_random(&mini.random));
        assert_non_null(crashed);
        check_disk(crashed);
        lsm_env_mem_free(crashed);
    }
}

/* ---- the little store ---- */

static void mini_start(uint64_t random, bool off) {
    memset(&mini, 0, sizeof mini);
    mini.env = kit_env();
    mini.random = random;
    mini.off = off;
    mini.unsynced_generation = 1;
}

static void forget_failed(void) {
    while (mini.failed_count > 0) free(mini.failed[--mini.failed_count].payload);
}

static void mini_stop(void) {
    forget_failed();
    kit_model_clear(&mini.model);
    lsm_env_mem_free(mini.env);
}

static void note_synced(void) {
    mini.acked = mini.model.count;
    mini.durable = lsm_wal_writer_synced(mini.writer);
    mini.unsynced_generation = mini.generation;
}

static int create(uint64_t start, uint64_t prev) {
    struct lsm_wal_writer *writer = NULL;
    int status = lsm_wal_writer_create(mini.env, KIT_DIR, &kit_perm, kit_id, mini.generation + 1, start, prev, !mini.off, &writer, &err);
    if (status != LSM_OK) return status;
    mini.generation++;
    mini.writer = writer;
    return LSM_OK;
}

static int append_bytes(enum lsm_wal_kind kind, const uint8_t *payload, size_t bytes) {
    struct lsm_wal_record told;
    assert_true(mini.failed_count < FAILED_MAX);
    struct kit_record *tried = &mini.failed[mini.failed_count++];
    *tried = (struct kit_record){.kind = kind, .payload = malloc(bytes + 1), .payload_bytes = bytes};
    assert_non_null(tried->payload);
    if (bytes > 0) memcpy(tried->payload, payload, bytes);
    uint64_t end = lsm_wal_writer_end(mini.writer);
    int status = lsm_wal_writer_append(mini.writer, kind, 1, lsm_slice_of(payload, bytes), lsm_slice_of(NULL, 0), &told, &err);
    if (status == LSM_OK) {
        kit_model_add(&mini.model, &told, payload, bytes);
        forget_failed();
    } else {
        assert_int_equal(lsm_wal_writer_end(mini.writer), end);
    }
    return status;
}

static int append(enum lsm_wal_kind kind, size_t bytes) {
    static uint8_t payload[1200000];
    assert_true(bytes <= sizeof payload);
    for (size_t i = 0; i < bytes; i++) payload[i] = (uint8_t)kit_random(&mini.random);
    return append_bytes(kind, payload, bytes);
}

static int sync_all(void) {
    for (uint64_t g = mini.unsynced_generation; g < mini.generation; g++) {
        int status = lsm_wal_sync_generation(mini.env, KIT_DIR, g, &err);
        if (status != LSM_OK) return status;
        mini.unsynced_generation = g + 1;
    }
    int status = lsm_wal_writer_sync(mini.writer, &err);
    if (status == LSM_OK) note_synced();
    return status;
}

static int roll(void) {
    int status = append(LSM_WAL_ROLL, 0);
    if (status == LSM_OK && !mini.off) status = sync_all();
    if (status != LSM_OK) return status;
    uint64_t end = lsm_wal_writer_end(mini.writer), check = lsm_wal_writer_check(mini.writer);
    struct lsm_wal_writer *old = mini.writer;
    status = create(end, check);
    if (status != LSM_OK) return status;
    return lsm_wal_writer_close(old, kit_below(&mini.random, 2) == 0, &err);
}

/* One step of a random life. */
static int step(void) {
    uint64_t what = kit_below(&mini.random, 24);
    if (what < 4) return sync_all();
    if (what == 4) return roll();
    if (what == 5) return lsm_wal_writer_reserve(mini.writer, kit_below(&mini.random, 100000), &err);
    if (what == 6) return append(LSM_WAL_TXN, (size_t)kit_below(&mini.random, 12000));
    if (what == 7 && kit_below(&mini.random, 20) == 0) return append(LSM_WAL_TXN, 1100000);
    return append(LSM_WAL_TXN, (size_t)kit_below(&mini.random, 900));
}

/* ---- tests ---- */

static void on_op(void *arg, const struct lsm_env_op *op) {
    (void)op;
    check_crashes(mini.env, *(const uint64_t *)arg);
}

static void whenever_the_power_goes_the_log_is_a_prefix_with_all_that_was_synced(void **state) {
    (void)state;
    uint64_t random = kit_seed(), random_states = 5, states = 0;
    for (int round = 0; round < 20; round++) {
        mini_start(kit_random(&random), round % 3 == 2);
        lsm_env_mem_on_op(mini.env, on_op, &random_states);
        kit_ok(create(0, 0), &err);
        for (int i = 0; i < 40; i++) kit_ok(step(), &err);
        kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
        lsm_env_mem_on_op(mini.env, NULL, NULL);
        states += mini.states;
        mini_stop();
    }
    print_message("%llu crash states\n", (unsigned long long)states);
}

/* After a failed sync nothing more goes into the file; what was not promised yet is written again behind what was. */
static int go_on_in_a_new_generation(void) {
    assert_int_equal(lsm_wal_writer_sync(mini.writer, &err), LSM_IO);
    assert_non_null(strstr(err.text, "not used any more"));
    uint64_t end = lsm_wal_writer_end(mini.writer);
    assert_int_equal(lsm_wal_writer_append(mini.writer, LSM_WAL_TXN, 1, lsm_slice_of("x", 1), lsm_slice_of(NULL, 0), NULL, &err), LSM_IO);
    assert_int_equal(lsm_wal_writer_reserve(mini.writer, 1, &err), LSM_IO);
    assert_int_equal(lsm_wal_writer_end(mini.writer), end);

    uint64_t check = mini.acked == 0 ? 0 : mini.model.records[mini.acked - 1].check;
    struct lsm_wal_writer *old = mini.writer;
    int status = create(mini.durable, check);
    if (status != LSM_OK) return status;
    kit_ok(lsm_wal_writer_close(old, true, &err), &err);
    struct kit_record again[KIT_RECORDS_MAX];
    size_t count = mini.model.count - mini.acked;
    memcpy(again, mini.model.records + mini.acked, count * sizeof again[0]);
    mini.model.count = mini.acked;
    for (size_t i = 0; i < count; i++) {
        enum lsm_wal_kind kind = again[i].kind == LSM_WAL_ROLL ? LSM_WAL_TXN : again[i].kind;
        if (status == LSM_OK) status = append_bytes(kind, again[i].payload, again[i].payload_bytes);
        free(again[i].payload);
    }
    return status;
}

/* The at-th operation fails; the life goes on as far as it can; then the power goes. */
static bool one_faulty_life(uint64_t seed, const struct lsm_env_fault *fault) {
    mini_start(seed, false);
    lsm_env_mem_fail_at(mini.env, fault);
    int status = create(0, 0);
    for (int i = 0; i < 2 && status != LSM_OK; i++) status = create(0, 0);
    bool struck = true;
    if (status == LSM_OK) {
        for (int i = 0; i < 25; i++) {
            status = step();
            if (status == LSM_OK) continue;
            mini.errors++;
            assert_int_equal(status, err.code);
            if (mini.model.count > 0 && mini.model.records[mini.model.count - 1].kind == LSM_WAL_ROLL) break; /* the roll was not finished */
            if (lsm_wal_writer_poisoned(mini.writer) && go_on_in_a_new_generation() != LSM_OK) break;
        }
        check_crashes(mini.env, 3);
        struck = lsm_env_mem_faults(mini.env) > 0;
        int ignored = lsm_wal_writer_close(mini.writer, true, NULL);
        (void)ignored;
    }
    check_crashes(mini.env, 3);
    return struck;
}

static void whichever_operation_fails_what_was_acknowledged_stays(void **state) {
    (void)state;
    uint64_t random = kit_seed(), lives = 0, states = 0, errors = 0;
    for (int round = 0; round < 4; round++) {
        uint64_t seed = kit_random(&random);
        for (unsigned variant = 0; variant < KIT_FAULTS; variant++) {
            bool more = true;
            for (uint64_t at = 1; more; at++) {
                struct lsm_env_fault fault = kit_fault(at, variant);
                more = one_faulty_life(seed, &fault);
                lives++;
                states += mini.states;
                errors += mini.errors;
                mini_stop();
            }
        }
    }
    print_message("%llu lives, %llu errors, %llu crash states\n", (unsigned long long)lives, (unsigned long long)errors, (unsigned long long)states);
}

/* One that is durable. */
static void mini_start_with_a_record(uint64_t random) {
    mini_start(random, false);
    kit_ok(create(0, 0), &err);
    kit_ok(append(LSM_WAL_TXN, 100), &err);
    kit_ok(sync_all(), &err);
}

/* Half of the bytes that a ROLL takes are all of it that is not zero. */
static void a_failed_record_that_reached_the_disk_whole_does_not_come_back_in_place_of_the_next_one(void **state) {
    (void)state;
    for (int erased = 0; erased < 2; erased++) {
        mini_start_with_a_record(1);
        struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_WRITE, .os_errno = EIO, .short_write = true, .sticky = !erased};
        lsm_env_mem_fail_at(mini.env, &fault);
        assert_int_equal(append(LSM_WAL_ROLL, 0), LSM_IO);
        assert_false(lsm_wal_writer_poisoned(mini.writer));
        check_crashes(mini.env, 100);
        lsm_env_mem_fail_at(mini.env, NULL);
        for (int i = 0; i < 3; i++) kit_ok(append(LSM_WAL_TXN, 100), &err);
        check_crashes(mini.env, 1000);
        kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
        mini_stop();
    }
}

static const struct lsm_env_fault syncs_fail = {.at = 1, .ops = LSM_ENV_SYNC, .os_errno = EIO, .sticky = true};

static void let_syncs_fail(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    if (op->kind == LSM_ENV_WRITE) lsm_env_mem_fail_at(mini.env, &syncs_fail);
}

/* Then the disk may have it, and nothing may stand behind it. */
static void where_a_failed_record_cannot_be_taken_back_for_good_the_file_ends(void **state) {
    (void)state;
    for (int erased = 0; erased < 2; erased++) {
        mini_start_with_a_record(1);
        struct lsm_env_fault writes_fail = {.at = 1, .ops = LSM_ENV_WRITE, .os_errno = EIO, .sticky = !erased};
        lsm_env_mem_fail_at(mini.env, &writes_fail);
        if (erased) lsm_env_mem_on_op(mini.env, let_syncs_fail, NULL);
        assert_int_equal(append(LSM_WAL_TXN, 100), LSM_IO);
        lsm_env_mem_on_op(mini.env, NULL, NULL);
        assert_true(lsm_wal_writer_poisoned(mini.writer) == erased);
        if (!erased) {
            lsm_env_mem_fail_at(mini.env, &syncs_fail);
            assert_int_equal(append(LSM_WAL_TXN, 100), LSM_IO);
        }
        assert_true(lsm_wal_writer_poisoned(mini.writer));
        lsm_env_mem_fail_at(mini.env, NULL);
        assert_int_equal(append(LSM_WAL_TXN, 100), LSM_IO);
        check_crashes(mini.env, 100);
        kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
        mini_stop();
    }
}

static void a_full_disk_refuses_appends_and_heals_when_space_returns(void **state) {
    (void)state;
    mini_start(1, false);
    kit_ok(create(0, 0), &err);
    kit_ok(append(LSM_WAL_TXN, 100), &err);
    uint64_t size = 0;
    assert_int_equal(lsm_env_mem_file_size(mini.env, KIT_DIR "/00000001.wal", &size), LSM_OK);
    /* What is preallocated is still there to be used, and so are a few bytes less than a whole step. */
    lsm_env_mem_set_space(mini.env, size + 30000);
    kit_ok(append(LSM_WAL_TXN, 60000), &err);
    kit_ok(append(LSM_WAL_TXN, 30000), &err);
    uint64_t end = lsm_wal_writer_end(mini.writer), check = lsm_wal_writer_check(mini.writer);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(append(LSM_WAL_TXN, 10000), LSM_FULL);
        assert_int_equal(err.code, LSM_FULL);
        assert_int_equal(lsm_wal_writer_end(mini.writer), end);
        assert_int_equal(lsm_wal_writer_check(mini.writer), check);
        assert_false(lsm_wal_writer_poisoned(mini.writer));
    }
    check_crashes(mini.env, 10);
    lsm_env_mem_set_space(mini.env, UINT64_MAX);
    kit_ok(append(LSM_WAL_TXN, 10000), &err);
    kit_ok(sync_all(), &err);
    check_crashes(mini.env, 10);
    kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
    mini_stop();
}

static void what_was_reserved_can_be_appended_on_a_full_disk_and_without_memory(void **state) {
    (void)state;
    mini_start(2, false);
    kit_ok(create(0, 0), &err);
    kit_ok(append(LSM_WAL_PREPARE, 200000), &err);
    kit_ok(lsm_wal_writer_reserve(mini.writer, lsm_wal_record_bytes(8) + 100000, &err), &err);
    lsm_env_mem_set_space(mini.env, 0);
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_ALLOCATE, .sticky = true};
    lsm_env_mem_fail_at(mini.env, &fault);
    static const uint8_t bytes[100000 - LSM_WAL_RECORD_HEADER_BYTES] = {1};
    kit_ok(append_bytes(LSM_WAL_ABORT, bytes, 8), &err);
    kit_ok(append_bytes(LSM_WAL_TXN, bytes, sizeof bytes), &err);
    kit_ok(lsm_wal_writer_sync(mini.writer, &err), &err);
    note_synced();
    check_crashes(mini.env, 10);
    kit_ok(lsm_wal_writer_close(mini.writer, false, &err), &err);
    mini_stop();
}

static void a_failed_write_is_overwritten_by_the_next_record(void **state) {
    (void)state;
    for (int variant = 0; variant < 2; variant++) {
        mini_start_with_a_record(3);
        struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_WRITE, .short_write = variant == 1};
        lsm_env_mem_fail_at(mini.env, &fault);
        assert_int_equal(append(LSM_WAL_TXN, 5000), LSM_IO);
        assert_int_equal(lsm_env_mem_faults(mini.env), 1);
        /* Nothing is left that could be taken for the record. */
        uint8_t *bytes = NULL;
        size_t size = 0, place = LSM_WAL_HEADER_BYTES + (size_t)lsm_wal_writer_end(mini.writer);
        kit_read_file(mini.env, LSM_FILE_WAL, 1, &bytes, &size);
        for (size_t i = 0; i < LSM_WAL_RECORD_HEADER_BYTES; i++) assert_int_equal(bytes[place + i], 0);
        lsm_free(bytes);
        check_crashes(mini.env, 10);
        kit_ok(append(LSM_WAL_TXN, 10), &err);
        check_crashes(mini.env, 10);
        kit_ok(sync_all(), &err);
        check_crashes(mini.env, 10);
        assert_int_equal(mini.acked, 3 - 1);
        kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
        mini_stop();
    }
}

/* A large record is written in pieces. Each of them fails once; what they leave lies under the next record, which is a little shorter. */
static void a_large_record_that_failed_leaves_no_trace_in_the_next(void **state) {
    (void)state;
    static uint8_t ones[1500000];
    memset(ones, 0xff, sizeof ones);
    for (uint64_t at = 1; at <= 3; at++) {
        mini_start(6, false);
        kit_ok(create(0, 0), &err);
        kit_ok(lsm_wal_writer_reserve(mini.writer, 2 * sizeof ones, &err), &err);
        struct lsm_env_fault fault = {.at = at, .ops = LSM_ENV_WRITE};
        lsm_env_mem_fail_at(mini.env, &fault);
        assert_int_equal(append_bytes(LSM_WAL_TXN, ones, sizeof ones - 1), LSM_IO);
        check_crashes(mini.env, 3);
        kit_ok(append_bytes(LSM_WAL_TXN, ones, sizeof ones - 7), &err);
        kit_ok(append(LSM_WAL_TXN, 11), &err);
        kit_ok(sync_all(), &err);
        check_crashes(mini.env, 3);
        kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
        mini_stop();
    }
}

static void append_during_sync(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    if (op->kind == LSM_ENV_SYNC) kit_ok(append(LSM_WAL_TXN, 50), &err);
}

static void what_is_appended_during_a_sync_is_not_called_synced(void **state) {
    (void)state;
    mini_start(7, false);
    kit_ok(create(0, 0), &err);
    kit_ok(append(LSM_WAL_TXN, 100), &err);
    uint64_t end = lsm_wal_writer_end(mini.writer);
    lsm_env_mem_on_op(mini.env, append_during_sync, NULL);
    kit_ok(lsm_wal_writer_sync(mini.writer, &err), &err);
    lsm_env_mem_on_op(mini.env, NULL, NULL);
    assert_true(lsm_wal_writer_end(mini.writer) > end);
    assert_int_equal(lsm_wal_writer_synced(mini.writer), end);
    kit_ok(lsm_wal_writer_sync(mini.writer, &err), &err);
    assert_int_equal(lsm_wal_writer_synced(mini.writer), lsm_wal_writer_end(mini.writer));
    kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
    mini_stop();
}

static void after_a_failed_sync_the_file_is_never_touched_again(void **state) {
    (void)state;
    for (int named = 0; named <= 1; named++) { /* the file's sync fails, or its directory's */
        mini_start(8, true);
        kit_ok(create(0, 0), &err);
        kit_ok(append(LSM_WAL_TXN, 100), &err);
        struct lsm_env_fault fault = {.at = 1, .ops = named ? LSM_ENV_SYNC_DIR : LSM_ENV_SYNC, .keep_on_sync = true};
        lsm_env_mem_fail_at(mini.env, &fault);
        assert_int_equal(lsm_wal_writer_sync(mini.writer, &err), LSM_IO);
        assert_true(lsm_wal_writer_poisoned(mini.writer));
        assert_int_equal(lsm_wal_writer_synced(mini.writer), 0);
        uint64_t ops = lsm_env_mem_ops(mini.env);
        assert_int_equal(lsm_wal_writer_append(mini.writer, LSM_WAL_TXN, 1, lsm_slice_of("x", 1), lsm_slice_of(NULL, 0), NULL, &err), LSM_IO);
        assert_int_equal(lsm_wal_writer_reserve(mini.writer, 1000000, &err), LSM_IO);
        assert_int_equal(lsm_wal_writer_sync(mini.writer, &err), LSM_IO);
        assert_int_equal(lsm_env_mem_ops(mini.env), ops);
        kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
        assert_int_equal(lsm_env_mem_ops(mini.env), ops);
        mini_stop();
    }
}

static void a_failed_create_leaves_no_file(void **state) {
    (void)state;
    for (uint64_t at = 1; at <= 4; at++) { /* create, write, sync, directory sync */
        mini_start(4, false);
        struct lsm_env_fault fault = {.at = at};
        lsm_env_mem_fail_at(mini.env, &fault);
        assert_int_equal(create(0, 0), LSM_IO);
        assert_null(mini.writer);
        struct lsm_names names = {0};
        kit_ok(lsm_env_list(mini.env, KIT_DIR, &names, &err), &err);
        assert_int_equal(names.count, 0);
        lsm_names_free(&names);
        mini_stop();
    }
}

/* Whoever created the file at OFF did not sync its name; the one who goes on with it does. */
static void a_resumed_log_makes_its_name_durable_at_the_first_sync(void **state) {
    (void)state;
    mini_start(5, true);
    kit_ok(create(0, 0), &err);
    kit_ok(append(LSM_WAL_TXN, 100), &err);
    uint64_t end = lsm_wal_writer_end(mini.writer), check = lsm_wal_writer_check(mini.writer);
    kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
    kit_ok(lsm_wal_writer_attach(mini.env, KIT_DIR, kit_id, 1, 0, end, check, 0, &mini.writer, &err), &err);
    check_crashes(mini.env, 20);
    /* A directory that cannot even be opened has lost nothing: the next sync does it. */
    lsm_env_mem_fail_at(mini.env, &(struct lsm_env_fault){.at = 1, .ops = LSM_ENV_SYNC_DIR, .os_errno = EMFILE});
    assert_int_equal(sync_all(), LSM_IO);
    lsm_env_mem_fail_at(mini.env, NULL);
    assert_false(lsm_wal_writer_poisoned(mini.writer));
    check_crashes(mini.env, 20);
    kit_ok(sync_all(), &err);
    check_crashes(mini.env, 20);
    uint64_t ops = lsm_env_mem_ops(mini.env);
    kit_ok(sync_all(), &err); /* nothing new: costs nothing */
    assert_int_equal(lsm_env_mem_ops(mini.env), ops);
    kit_ok(lsm_wal_writer_close(mini.writer, true, &err), &err);
    mini_stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whenever_the_power_goes_the_log_is_a_prefix_with_all_that_was_synced),
        cmocka_unit_test(whichever_operation_fails_what_was_acknowledged_stays),
        cmocka_unit_test(a_failed_record_that_reached_the_disk_whole_does_not_come_back_in_place_of_the_next_one),
        cmocka_unit_test(where_a_failed_record_cannot_be_taken_back_for_good_the_file_ends),
        cmocka_unit_test(a_full_disk_refuses_appends_and_heals_when_space_returns),
        cmocka_unit_test(what_was_reserved_can_be_appended_on_a_full_disk_and_without_memory),
        cmocka_unit_test(a_failed_write_is_overwritten_by_the_next_record),
        cmocka_unit_test(a_large_record_that_failed_leaves_no_trace_in_the_next),
        cmocka_unit_test(what_is_appended_during_a_sync_is_not_called_synced),
        cmocka_unit_test(after_a_failed_sync_the_file_is_never_touched_again),
        cmocka_unit_test(a_failed_create_leaves_no_file),
        cmocka_unit_test(a_resumed_log_makes_its_name_durable_at_the_first_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
