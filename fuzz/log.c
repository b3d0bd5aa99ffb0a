/* A log file. It is read record by record, each payload is taken apart and put together again, and then a store recovers from it.
 *
 * Promised: reading ends; what the records say can be said again in the same bytes; a store that opens over it has the same rows however they are read, takes a
 * row more, and opens again with both.
 */
#include "stores.h"

#include "../lsm_core/codec/batch.h"
#include "../lsm_core/version/runs.h"
#include "../lsm_core/wal/chain.h"
#include "../lsm_core/wal/wal.h"

enum { LOG_BYTES_MAX = 16384, LOG_NUMBER = 1 };
#define LOG_PATH "s/00000001.wal"

static void check_batch(struct lsm_slice bytes) {
    struct lsm_batch_reader reader = {.batch = bytes};
    struct lsm_buf again = {0};
    struct lsm_op op;
    size_t steps = 0;
    int status;
    FUZZ_CHECK(lsm_buf_reserve(&again, 3 * bytes.size + 64) == LSM_OK, "no memory");
    while ((status = lsm_batch_next(&reader, &op)) == LSM_OK) {
        FUZZ_CHECK(++steps <= bytes.size, "a batch without end");
        lsm_batch_add(&again, &op);
        FUZZ_CHECK(again.size == reader.at && memcmp(again.data, bytes.data, again.size) == 0, "an operation at %zu is not what it was", op.offset);
    }
    FUZZ_CHECK(status == LSM_CORRUPT || again.size == bytes.size, "a batch ends at %zu of %zu", again.size, bytes.size);
    lsm_buf_free(&again);
}

static void check_runs(struct lsm_slice bytes) {
    struct lsm_runs runs;
    struct lsm_buf again = {0};
    struct lsm_error err = {0};
    if (lsm_runs_decode(bytes, &runs, &err) != LSM_OK) {
        FUZZ_CHECK(err.text[0] != 0, "no words");
        return;
    }
    check_batch(runs.batch);
    FUZZ_CHECK(lsm_runs_encode(&runs, &again) == LSM_OK, "no memory");
    FUZZ_CHECK(again.size == bytes.size && memcmp(again.data, bytes.data, bytes.size) == 0, "RUNS is not what it was");
    lsm_buf_free(&again);
    lsm_runs_release(&runs);
}

static void check_payload(const struct lsm_wal_record *record) {
    struct lsm_slice payload = record->payload;
    switch (record->kind) {
    case LSM_WAL_TXN: check_batch(payload); break;
    case LSM_WAL_PREPARE:
        if (payload.size >= LSM_TOKEN_BYTES) check_batch(lsm_slice_of(payload.data + LSM_TOKEN_BYTES, payload.size - LSM_TOKEN_BYTES));
        break;
    case LSM_WAL_RUNS: check_runs(payload); break;
    case LSM_WAL_COMMIT:
    case LSM_WAL_ABORT:
    case LSM_WAL_ROLL: break;
    }
}

/* To the end, then once more up to what was found: the same. */
static void check_reader(struct lsm_env *env, size_t size) {
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    struct lsm_error err = {0};
    size_t records = 0, again = 0;
    int status = lsm_wal_reader_open(env, "s", fuzz_store_id, LOG_NUMBER, &reader, &err);
    if (status != LSM_OK || reader == NULL) {
        FUZZ_CHECK(status == LSM_OK || err.text[0] != 0, "no words");
        return;
    }
    while ((status = lsm_wal_reader_next(reader, 0, &record, &err)) == LSM_OK) {
        FUZZ_CHECK(++records <= size / LSM_WAL_RECORD_HEADER_BYTES, "a log without end");
        check_payload(&record);
    }
    FUZZ_CHECK(status == LSM_NOTFOUND || err.text[0] != 0, "no words");
    uint64_t end = lsm_wal_reader_end(reader), check = lsm_wal_reader_check(reader);
    lsm_wal_reader_close(reader);

    FUZZ_CHECK(lsm_wal_reader_open(env, "s", fuzz_store_id, LOG_NUMBER, &reader, &err) == LSM_OK, "%s", err.text);
    while (lsm_wal_reader_next_below(reader, end, &record, &err) == LSM_OK) again++;
    FUZZ_CHECK(again == records && lsm_wal_reader_end(reader) == end && lsm_wal_reader_check(reader) == check, "%zu records, then %zu", records,
               again);
    lsm_wal_reader_close(reader);
}

/* CURRENT and manifest of a store that has never been written to. */
static struct file {
    uint8_t *bytes;
    size_t size;
    char path[64];
} empty[2];

static void make_empty(void) {
    struct lsm_env *env = fuzz_disk();
    struct lsm_options options = stores_options(env);
    struct lsm_store *store = NULL;
    struct lsm_error err = {0};
    struct lsm_names names = {0};
    options.create = true;
    FUZZ_CHECK(lsm_store_open(&options, &store, &err) == LSM_OK, "%s", err.text);
    (void)lsm_store_close(store, NULL);
    FUZZ_CHECK(lsm_env_list(env, "s", &names, &err) == LSM_OK, "%s", err.text);
    for (size_t i = 0, n = 0; i < names.count && n < 2; i++) {
        uint8_t *bytes = NULL;
        if (strcmp(names.names[i], "CURRENT") != 0 && strncmp(names.names[i], "MANIFEST-", 9) != 0) continue;
        (void)snprintf(empty[n].path, sizeof empty[n].path, "s/%s", names.names[i]);
        FUZZ_CHECK(lsm_env_mem_read_file(env, empty[n].path, &bytes, &empty[n].size) == LSM_OK, "%s", empty[n].path);
        /* Kept to the end, so not of the memory that is counted. */
        empty[n].bytes = malloc(empty[n].size);
        FUZZ_CHECK(empty[n].bytes != NULL, "no memory");
        memcpy(empty[n].bytes, bytes, empty[n].size);
        lsm_free(bytes);
        n++;
    }
    lsm_names_free(&names);
    lsm_env_mem_free(env);
}

static void run(const uint8_t *bytes, size_t size) {
    if (empty[0].bytes == NULL) make_empty();
    struct lsm_env *env = fuzz_disk();
    for (int i = 0; i < 2; i++) fuzz_write(env, empty[i].path, empty[i].bytes, empty[i].size);
    fuzz_write(env, LOG_PATH, bytes, size);
    check_reader(env, size);
    (void)stores_read(env, size + 1);
    lsm_env_mem_free(env);
}

static size_t mend(uint8_t *bytes, size_t size, size_t room, uint64_t choice) {
    (void)room;
    return fuzz_mend_chain(&lsm_chain_log, LOG_NUMBER, bytes, size, choice);
}

/* RUNS that names one table file, decided by itself or by a token. */
static void put_runs(struct lsm_buf *out, bool has_token) {
    struct lsm_runs runs = {.has_token = has_token, .token = {[7] = 44}, .batch = lsm_slice_of("\x81\2\1a\1x", 6), .edit = {.next_file = 9}};
    struct lsm_file_meta *meta = lsm_file_meta_new();
    FUZZ_CHECK(meta != NULL, "no memory");
    meta->number = 5;
    meta->bytes = 1234;
    meta->entries = 10;
    meta->tombstones = 2;
    int status = lsm_buf_append(&meta->smallest, "\0\0\0\1a", 5);
    if (status == LSM_OK) status = lsm_buf_append(&meta->largest, "\0\0\0\1z", 5);
    if (status == LSM_OK) status = lsm_edit_add_file(&runs.edit, 0, 1, meta);
    if (status == LSM_OK) status = lsm_runs_encode(&runs, out);
    FUZZ_CHECK(status == LSM_OK, "no memory");
    lsm_file_meta_unref(meta);
    lsm_runs_release(&runs);
}

/* A record; where it begins is its kind's business. */
static void put_record(struct lsm_buf *out, struct lsm_chain_header *header, enum lsm_wal_kind kind, struct lsm_slice payload) {
    struct lsm_chain_record record = {.position = header->start, .prev = header->prev_check, .time_us = 1000000, .kind = (uint8_t)kind};
    uint64_t seed = lsm_chain_seed(&lsm_chain_log, fuzz_store_id, LOG_NUMBER, 0);
    FUZZ_CHECK(lsm_chain_record_put(out, seed, &record, payload, (struct lsm_slice){0}) == LSM_OK, "no memory");
    header->start = record.end;
    header->prev_check = record.check;
}

static void begin_log(struct lsm_buf *out, struct lsm_chain_header *header) {
    *header = (struct lsm_chain_header){.number = LOG_NUMBER};
    memcpy(header->store_id, fuzz_store_id, sizeof header->store_id);
    FUZZ_CHECK(lsm_buf_reserve(out, LSM_CHAIN_HEADER_BYTES) == LSM_OK, "no memory");
    lsm_chain_header_encode(&lsm_chain_log, header, out->data);
    out->size = LSM_CHAIN_HEADER_BYTES;
}

/* A tree is made in a transaction, and then comes what ends a log: a record of this kind, with or without its decision. */
static void emit_ending(enum lsm_wal_kind kind, struct lsm_slice payload, enum lsm_wal_kind decision, fuzz_emit_fn emit, void *arg) {
    static const uint8_t make_tree[] = {5, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x81, 2, 1, 'b', 1, 'y'};
    struct lsm_buf log = {0};
    struct lsm_chain_header at;
    uint8_t position[8] = {0};
    begin_log(&log, &at);
    put_record(&log, &at, LSM_WAL_TXN, lsm_slice_of(make_tree, sizeof make_tree));
    for (size_t i = 0; i < 8; i++) position[i] = (uint8_t)(at.start >> 8 * i);
    put_record(&log, &at, kind, payload);
    if (decision == LSM_WAL_COMMIT || decision == LSM_WAL_ABORT) put_record(&log, &at, decision, lsm_slice_of(position, sizeof position));
    emit(arg, log.data, log.size);
    lsm_buf_free(&log);
}

static void seeds(fuzz_emit_fn emit, void *arg) {
    for (int flushed = 0; flushed < 2; flushed++) {
        struct lsm_env *env = fuzz_disk();
        stores_make(env, flushed != 0);
        stores_emit(env, ".wal", emit, arg);
        lsm_env_mem_free(env);
    }
    static const uint8_t prepared[] = {0, 0, 0, 0, 0, 0, 0, 44, 1, 2, 3, 4, 5, 6, 7, 8, 0x81, 2, 1, 'a', 1, 'x', 4, 1, 'b', 1, 'c'};
    static const enum lsm_wal_kind decisions[] = {LSM_WAL_ROLL, LSM_WAL_COMMIT, LSM_WAL_ABORT};
    for (size_t i = 0; i < 3; i++) {
        emit_ending(LSM_WAL_PREPARE, lsm_slice_of(prepared, sizeof prepared), decisions[i], emit, arg);
        for (int has_token = 0; has_token < 2; has_token++) {
            struct lsm_buf runs = {0};
            put_runs(&runs, has_token != 0);
            emit_ending(LSM_WAL_RUNS, lsm_buf_slice(&runs), decisions[i], emit, arg);
            lsm_buf_free(&runs);
        }
    }
    emit_ending(LSM_WAL_ROLL, (struct lsm_slice){0}, LSM_WAL_ROLL, emit, arg);
}

const struct fuzz_target fuzz_target = {.name = "log", .size_max = LOG_BYTES_MAX, .run = run, .mend = mend, .seeds = seeds};
