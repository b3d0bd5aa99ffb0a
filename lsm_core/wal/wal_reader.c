#include "wal.h"

#include "../env/filename.h"
#include "chain.h"

struct lsm_wal_reader {
    struct lsm_chain_reader *chain;
    bool rolled; /* the last record was a ROLL: nothing behind it counts */
};

int lsm_wal_reader_open(struct lsm_env *env, const char *dir, const uint8_t *store_id, uint64_t generation, struct lsm_wal_reader **reader,
                        struct lsm_error *err) {
    *reader = NULL;
    struct lsm_wal_reader *opened = lsm_calloc(1, sizeof *opened);
    char *path = lsm_file_path(dir, LSM_FILE_WAL, generation);
    int status = opened == NULL || path == NULL ? lsm_fail_nomem(err, sizeof *opened) : LSM_OK;
    if (status == LSM_OK) status = lsm_chain_open(env, path, &lsm_chain_log, store_id, generation, &opened->chain, err);
    if (status == LSM_OK && opened->chain != NULL) {
        *reader = opened;
        opened = NULL;
    }
    lsm_wal_reader_close(opened);
    lsm_free(path);
    return status;
}

void lsm_wal_reader_close(struct lsm_wal_reader *reader) {
    if (reader == NULL) return;
    lsm_chain_close(reader->chain);
    lsm_free(reader);
}

static void take(struct lsm_wal_reader *reader, const struct lsm_chain_record *found, struct lsm_wal_record *record) {
    reader->rolled = found->kind == LSM_WAL_ROLL;
    *record = (struct lsm_wal_record){.kind = (enum lsm_wal_kind)found->kind,
                                      .position = found->position,
                                      .end = found->end,
                                      .synced = found->synced,
                                      .time_us = found->time_us,
                                      .check = found->check,
                                      .payload = found->payload};
}

int lsm_wal_reader_next(struct lsm_wal_reader *reader, uint64_t known_synced, struct lsm_wal_record *record, struct lsm_error *err) {
    struct lsm_chain_record found;
    /* What is known synced beyond a ROLL is in the next generation. */
    if (reader->rolled) return LSM_NOTFOUND;
    int status = lsm_chain_next(reader->chain, known_synced, &found, err);
    if (status == LSM_OK) take(reader, &found, record);
    return status;
}

int lsm_wal_reader_next_below(struct lsm_wal_reader *reader, uint64_t limit, struct lsm_wal_record *record, struct lsm_error *err) {
    struct lsm_chain_record found;
    if (reader->rolled) return LSM_NOTFOUND;
    int status = lsm_chain_next_below(reader->chain, limit, &found, err);
    if (status == LSM_OK) take(reader, &found, record);
    return status;
}

void lsm_wal_reader_skip(struct lsm_wal_reader *reader, uint64_t end, uint64_t check) { lsm_chain_skip(reader->chain, end, check); }

bool lsm_wal_reader_rolled(const struct lsm_wal_reader *reader) { return reader->rolled; }

uint64_t lsm_wal_reader_start(const struct lsm_wal_reader *reader) { return lsm_chain_header(reader->chain)->start; }
uint64_t lsm_wal_reader_prev_check(const struct lsm_wal_reader *reader) { return lsm_chain_header(reader->chain)->prev_check; }
uint64_t lsm_wal_reader_end(const struct lsm_wal_reader *reader) { return lsm_chain_end(reader->chain); }
uint64_t lsm_wal_reader_check(const struct lsm_wal_reader *reader) { return lsm_chain_check(reader->chain); }
uint64_t lsm_wal_reader_synced(const struct lsm_wal_reader *reader) { return lsm_chain_synced(reader->chain); }
