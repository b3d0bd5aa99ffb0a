/* One thread appends while others sync: what sync reported durable is, and nobody races (meant for TSan, too). */
#include "wal_kit.h"

#include <stdatomic.h>

#include "../../lsm_core/env/sync.h"

enum { APPENDS = 2000, SYNCERS = 2 };

struct shared {
    struct lsm_env *env;
    struct lsm_wal_writer *writer;
    _Atomic bool done;
    _Atomic uint64_t syncs, promised;
    _Atomic int failures;
};

static void append_all(void *arg) {
    struct shared *shared = arg;
    uint64_t random = 1;
    uint8_t payload[3000] = {0};
    for (int i = 0; i < APPENDS; i++) {
        memcpy(payload, &i, sizeof i);
        struct lsm_wal_record told;
        struct lsm_error err = {0};
        size_t bytes = (size_t)kit_below(&random, sizeof payload - 4) + 4;
        if (lsm_wal_writer_append(shared->writer, LSM_WAL_TXN, 1, lsm_slice_of(payload, bytes), lsm_slice_of(NULL, 0), &told, &err) != LSM_OK) {
            atomic_fetch_add(&shared->failures, 1);
            break;
        }
        if (told.synced > told.position) atomic_fetch_add(&shared->failures, 1);
    }
    atomic_store(&shared->done, true);
}

static void sync_often(void *arg) {
    struct shared *shared = arg;
    bool last = false;
    while (!last) {
        struct lsm_error err = {0};
        last = atomic_load(&shared->done);
        uint64_t end = lsm_wal_writer_end(shared->writer);
        int status = lsm_wal_writer_sync(shared->writer, &err);
        if (status != LSM_OK) {
            if (!lsm_wal_writer_poisoned(shared->writer)) atomic_fetch_add(&shared->failures, 1);
            return;
        }
        if (lsm_wal_writer_synced(shared->writer) < end) atomic_fetch_add(&shared->failures, 1);
        uint64_t promised = atomic_load(&shared->promised);
        while (promised < end && !atomic_compare_exchange_weak(&shared->promised, &promised, end)) {}
        atomic_fetch_add(&shared->syncs, 1);
    }
}

static void run(struct shared *shared) {
    struct lsm_error err = {0};
    struct lsm_thread appender, syncers[SYNCERS];
    shared->env = kit_env();
    kit_ok(lsm_wal_writer_create(shared->env, KIT_DIR, &kit_perm, kit_id, 1, 0, 0, false, &shared->writer, &err), &err);
    assert_int_equal(lsm_thread_start(&appender, "append", append_all, shared), LSM_OK);
    for (int i = 0; i < SYNCERS; i++) assert_int_equal(lsm_thread_start(&syncers[i], "sync", sync_often, shared), LSM_OK);
    lsm_thread_join(&appender);
    for (int i = 0; i < SYNCERS; i++) lsm_thread_join(&syncers[i]);
    assert_int_equal(atomic_load(&shared->failures), 0);
}

static uint64_t read_after_crash(struct shared *shared) {
    struct lsm_error err = {0};
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    assert_int_equal(lsm_env_mem_crash(shared->env, LSM_CRASH_LOSE, 1), LSM_OK);
    kit_ok(lsm_wal_reader_open(shared->env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    int status = LSM_OK;
    for (int i = 0; reader != NULL && (status = lsm_wal_reader_next(reader, atomic_load(&shared->promised), &record, &err)) == LSM_OK; i++) {
        assert_memory_equal(record.payload.data, &i, sizeof i);
    }
    uint64_t end = reader == NULL ? 0 : lsm_wal_reader_end(reader);
    if (reader != NULL) assert_int_equal(status, LSM_NOTFOUND);
    lsm_wal_reader_close(reader);
    return end;
}

static void what_sync_promised_beside_appends_survives(void **state) {
    (void)state;
    static struct shared shared;
    struct lsm_error err = {0};
    run(&shared);
    kit_ok(lsm_wal_writer_close(shared.writer, true, &err), &err);
    assert_true(read_after_crash(&shared) >= atomic_load(&shared.promised));
    print_message("%llu syncs beside %d appends\n", (unsigned long long)atomic_load(&shared.syncs), APPENDS);
    lsm_env_mem_free(shared.env);
}

static void a_sync_that_fails_on_another_thread_stops_the_appender(void **state) {
    (void)state;
    static struct shared shared;
    struct lsm_error err = {0};
    struct lsm_thread appender, syncer;
    shared.env = kit_env();
    kit_ok(lsm_wal_writer_create(shared.env, KIT_DIR, &kit_perm, kit_id, 1, 0, 0, true, &shared.writer, &err), &err);
    struct lsm_env_fault fault = {.at = 3, .ops = LSM_ENV_SYNC};
    lsm_env_mem_fail_at(shared.env, &fault);
    assert_int_equal(lsm_thread_start(&appender, "append", append_all, &shared), LSM_OK);
    assert_int_equal(lsm_thread_start(&syncer, "sync", sync_often, &shared), LSM_OK);
    lsm_thread_join(&appender);
    lsm_thread_join(&syncer);
    if (lsm_wal_writer_poisoned(shared.writer)) {
        assert_int_equal(lsm_wal_writer_append(shared.writer, LSM_WAL_TXN, 1, lsm_slice_of("x", 1), lsm_slice_of(NULL, 0), NULL, &err), LSM_IO);
        assert_int_equal(lsm_wal_writer_sync(shared.writer, &err), LSM_IO);
    }
    kit_ok(lsm_wal_writer_close(shared.writer, true, &err), &err);
    assert_true(read_after_crash(&shared) >= atomic_load(&shared.promised));
    lsm_env_mem_free(shared.env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_sync_promised_beside_appends_survives),
        cmocka_unit_test(a_sync_that_fails_on_another_thread_stops_the_appender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
