/* Logs whose records verify and chain and make no sense, alone or one behind the other, as a fault in whoever wrote them would leave them: the store is not opened, the message
 * names the log and says what stands there, and with the right bytes in place everything is there. */
#include "api_kit.h"

#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/wal/chain.h"
#include "../../lsm_core/wal/wal.h"

enum { RECORDS_MAX = 3 };

struct written {
    uint8_t kind;
    const char *payload;
    size_t size;
    int names; /* 1: the payload is the position of the record before; 2: of itself; 3: half a position */
};

#define TOKEN "a token, 16 byte"

static const struct {
    const char *words;
    struct written records[RECORDS_MAX];
} logs[] = {
    {"a transaction that does not decode", {{LSM_WAL_TXN, "\x70", 1, 0}}},
    {"a transaction that does not decode", {{LSM_WAL_TXN, "", 0, 0}, {LSM_WAL_TXN, "\x70", 1, 0}}},
    {"a PREPARE without a token", {{LSM_WAL_PREPARE, TOKEN, 15, 0}}},
    {"a transaction that does not decode", {{LSM_WAL_PREPARE, TOKEN "\x70", 17, 0}}},
    {"a transaction that does not decode", {{LSM_WAL_RUNS, "\0", 1, 0}}},
    {"a COMMIT of nothing", {{LSM_WAL_COMMIT, NULL, 8, 2}}},
    {"a COMMIT of nothing", {{LSM_WAL_TXN, "", 0, 0}, {LSM_WAL_COMMIT, NULL, 8, 1}}},
    {"a COMMIT of nothing", {{LSM_WAL_PREPARE, TOKEN, 16, 0}, {LSM_WAL_COMMIT, NULL, 8, 2}}},
    {"a COMMIT of nothing", {{LSM_WAL_PREPARE, TOKEN, 16, 0}, {LSM_WAL_COMMIT, NULL, 4, 3}}},
    {"a COMMIT of nothing", {{LSM_WAL_PREPARE, TOKEN, 16, 0}, {LSM_WAL_COMMIT, NULL, 8, 1}, {LSM_WAL_COMMIT, NULL, 8, 1}}},
    {"an ABORT of nothing", {{LSM_WAL_ABORT, NULL, 8, 2}}},
    {"an ABORT of nothing", {{LSM_WAL_TXN, "", 0, 0}, {LSM_WAL_ABORT, NULL, 8, 2}}},
    {"an ABORT of nothing", {{LSM_WAL_TXN, "", 0, 0}, {LSM_WAL_ABORT, NULL, 8, 1}, {LSM_WAL_ABORT, NULL, 8, 1}}},
    {"a record behind a transaction that nobody has decided", {{LSM_WAL_PREPARE, TOKEN, 16, 0}, {LSM_WAL_TXN, "", 0, 0}}},
    {"a record behind a transaction that nobody has decided", {{LSM_WAL_PREPARE, TOKEN, 16, 0}, {LSM_WAL_ROLL, "", 0, 0}}},
};

/* The same header, and these records. */
static void forge(const uint8_t *header_bytes, const struct written *records, struct lsm_buf *log) {
    struct lsm_chain_header header;
    assert_true(lsm_chain_header_decode(&lsm_chain_log, header_bytes, &header));
    uint64_t seed = lsm_chain_seed(&lsm_chain_log, header.store_id, header.number, header.start), position = header.start, before = header.start;
    uint64_t check = header.prev_check;
    assert_int_equal(lsm_buf_append(log, header_bytes, LSM_CHAIN_HEADER_BYTES), LSM_OK);
    for (size_t i = 0; i < RECORDS_MAX && records[i].kind != 0; i++) {
        struct lsm_chain_record record = {.kind = records[i].kind, .position = position, .prev = check};
        uint8_t named[8];
        lsm_store_u64(named, records[i].names == 2 ? position : before);
        const void *payload = records[i].names == 0 ? (const void *)records[i].payload : named;
        assert_int_equal(lsm_chain_record_put(log, seed, &record, lsm_slice_of(payload, records[i].size), (struct lsm_slice){0}), LSM_OK);
        before = position;
        position = record.end;
        check = record.check;
    }
}

static void records_that_make_no_sense_keep_the_store_from_opening(void **state) {
    (void)state;
    char path[64];
    uint8_t *bytes;
    size_t size;
    MUST(world_write(&world, 0, 5, LSM_SYNC_FULL));
    MUST(world_close(&world));
    find_file(".wal", path);
    assert_int_equal(lsm_env_mem_read_file(world.env, path, &bytes, &size), LSM_OK);
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        struct lsm_buf log = {0};
        struct lsm_store *store = NULL;
        forge(bytes, logs[i].records, &log);
        assert_int_equal(lsm_env_mem_write_file(world.env, path, log.data, log.size), LSM_OK);
        lsm_buf_free(&log);
        int status = lsm_store_open(&world.options, &store, &world.err);
        if (status != LSM_CORRUPT || strstr(world.err.text, logs[i].words) == NULL)
            fail_msg("log %zu: %s: %s", i, lsm_status_name(status), world.err.text);
        assert_null(store);
    }
    assert_int_equal(lsm_env_mem_write_file(world.env, path, bytes, size), LSM_OK);
    lsm_free(bytes);
    MUST(world_open(&world));
    must_be_right();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(records_that_make_no_sense_keep_the_store_from_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
