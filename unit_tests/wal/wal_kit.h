/* wal_kit.h: what the tests of the log share: a directory on the strict disk in memory, random bytes, a model of a log.
 * Header only: each test file is a program of its own. */
#ifndef LSM_UNIT_TESTS_WAL_KIT_H
#define LSM_UNIT_TESTS_WAL_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/env/filename.h"
#include "../../lsm_core/wal/chain.h"
#include "../../lsm_core/wal/wal.h"

#define KIT_DIR "db"

static const uint8_t kit_id[LSM_STORE_ID_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t kit_other_id[LSM_STORE_ID_BYTES] = {9, 9, 9, 9};
static const struct lsm_env_perm kit_perm = {.mode = 0644, .uid = -1, .gid = -1};

/* splitmix64 */
static inline uint64_t kit_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t kit_below(uint64_t *state, uint64_t limit) { return kit_random(state) % limit; }

/* Printed, so that a failure can be repeated with LSM_TEST_SEED. */
static inline uint64_t kit_seed(void) {
    const char *given = getenv("LSM_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("LSM_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static inline void kit_ok(int status, const struct lsm_error *err) {
    if (status != LSM_OK) print_message("%s: %s\n", lsm_status_name(status), err->text);
    assert_int_equal(status, LSM_OK);
}

/* An environment with the durable, empty directory KIT_DIR. */
static inline struct lsm_env *kit_env(void) {
    struct lsm_error err = {0};
    struct lsm_env *env = lsm_env_mem_new_strict();
    assert_non_null(env);
    kit_ok(lsm_env_mkdir(env, KIT_DIR, &kit_perm, &err), &err);
    kit_ok(lsm_env_sync_dir(env, "/", &err), &err);
    return env;
}

static inline void kit_path(enum lsm_file_type type, uint64_t number, char *path, size_t bytes) {
    char *made = lsm_file_path(KIT_DIR, type, number);
    assert_non_null(made);
    assert_true(strlen(made) < bytes);
    memcpy(path, made, strlen(made) + 1);
    lsm_free(made);
}

static inline void kit_read_file(struct lsm_env *env, enum lsm_file_type type, uint64_t number, uint8_t **bytes, size_t *size) {
    char path[64];
    kit_path(type, number, path, sizeof path);
    assert_int_equal(lsm_env_mem_read_file(env, path, bytes, size), LSM_OK);
}

static inline void kit_write_file(struct lsm_env *env, enum lsm_file_type type, uint64_t number, const uint8_t *bytes, size_t size) {
    char path[64];
    kit_path(type, number, path, sizeof path);
    assert_int_equal(lsm_env_mem_write_file(env, path, bytes, size), LSM_OK);
}

/* The at-th operation fails, in every way that a failure can take: variants below KIT_FAULTS. */
enum { KIT_FAULTS = 16 };
static inline struct lsm_env_fault kit_fault(uint64_t at, unsigned variant) {
    return (struct lsm_env_fault){.at = at,
                                  .os_errno = (variant & 1) != 0 ? ENOSPC : EIO,
                                  .sticky = (variant & 2) != 0,
                                  .short_write = (variant & 4) != 0,
                                  .keep_on_sync = (variant & 8) != 0};
}

/* ---- the model: what was appended ---- */

struct kit_record {
    enum lsm_wal_kind kind;
    uint64_t time_us, position, end, synced, check;
    uint8_t *payload;
    size_t payload_bytes;
};

#define KIT_TIMES (UINT64_C(1) << 53) /* the times that a record can tell, 285 years */
enum { KIT_RECORDS_MAX = 4096, KIT_TIME_UNIT = 1 << 18 };
struct kit_model {
    struct kit_record records[KIT_RECORDS_MAX];
    size_t count;
};

static inline void kit_model_clear(struct kit_model *model) {
    for (size_t i = 0; i < model->count; i++) free(model->records[i].payload);
    model->count = 0;
}

static inline void kit_model_add(struct kit_model *model, const struct lsm_wal_record *told, const void *payload, size_t payload_bytes) {
    assert_true(model->count < KIT_RECORDS_MAX);
    uint8_t *copy = malloc(payload_bytes + 1);
    assert_non_null(copy);
    if (payload_bytes > 0) memcpy(copy, payload, payload_bytes);
    model->records[model->count++] = (struct kit_record){.kind = told->kind,
                                                         .time_us = told->time_us,
                                                         .position = told->position,
                                                         .end = told->end,
                                                         .synced = told->synced,
                                                         .check = told->check,
                                                         .payload = copy,
                                                         .payload_bytes = payload_bytes};
}

/* Append random bytes, cut anywhere into two pieces, and note them in the model if it worked. */
static inline int kit_append(struct lsm_wal_writer *writer, struct kit_model *model, uint64_t *random, enum lsm_wal_kind kind, size_t payload_bytes,
                             struct lsm_error *err) {
    uint8_t *payload = malloc(payload_bytes + 1);
    assert_non_null(payload);
    for (size_t i = 0; i < payload_bytes; i++) payload[i] = (uint8_t)kit_random(random);
    size_t cut = (size_t)kit_below(random, payload_bytes + 1);
    struct lsm_wal_record told;
    int status = lsm_wal_writer_append(writer, kind, kit_below(random, KIT_TIMES), lsm_slice_of(payload, cut),
                                       lsm_slice_of(payload + cut, payload_bytes - cut), &told, err);
    if (status == LSM_OK) kit_model_add(model, &told, payload, payload_bytes);
    free(payload);
    return status;
}

static inline void kit_same(const struct lsm_wal_record *record, const struct kit_record *expected) {
    assert_int_equal(record->kind, expected->kind);
    assert_int_equal(record->position, expected->position);
    assert_int_equal(record->end, expected->end);
    assert_int_equal(record->synced, expected->synced);
    assert_int_equal(record->time_us, expected->time_us / KIT_TIME_UNIT * KIT_TIME_UNIT);
    assert_int_equal(record->check, expected->check);
    assert_int_equal(record->payload.size, expected->payload_bytes);
    if (expected->payload_bytes > 0) assert_memory_equal(record->payload.data, expected->payload, expected->payload_bytes);
}

/* Read a generation to its end: every record must be the model's next, from `first` on. Returns how reading ended; *read: records read. */
static inline int kit_read(struct lsm_env *env, uint64_t generation, uint64_t known_synced, const struct kit_model *model, size_t first,
                           size_t *read) {
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    struct lsm_error err = {0};
    *read = 0;
    int status = lsm_wal_reader_open(env, KIT_DIR, kit_id, generation, &reader, &err);
    if (status != LSM_OK || reader == NULL) return status == LSM_OK ? LSM_NOTFOUND : status;
    while ((status = lsm_wal_reader_next(reader, known_synced, &record, &err)) == LSM_OK) {
        assert_true(first + *read < model->count);
        kit_same(&record, &model->records[first + *read]);
        (*read)++;
        assert_int_equal(lsm_wal_reader_end(reader), record.end);
        assert_int_equal(lsm_wal_reader_check(reader), record.check);
    }
    if (status != LSM_NOTFOUND) assert_int_equal(err.code, status);
    lsm_wal_reader_close(reader);
    return status;
}

#endif
