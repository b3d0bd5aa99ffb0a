/* replay.h: the log as other processes, or an earlier life, have written it, record by record into the store's generations.
 *
 * Recovery (recover.c) reads to the end of the log, following (follow.c) up to a position that others have published: both hand the records to one struct, so
 * that every process has the same rows in the same generations: one is sealed where a log file ends, and nowhere else. A RUNS ends its file; its table
 * files become a generation between the one before and the one behind.
 * A transaction is applied when it is read and taken back if the next record is its ABORT. A PREPARE without COMMIT or ABORT is the last record, and waits.
 *
 * Threads: one at a time, who is also the only one to add to the active generation.
 */
#ifndef LSM_STORE_REPLAY_H
#define LSM_STORE_REPLAY_H

#include "../base/base.h"
#include "../wal/wal.h"

struct lsm_gen;
struct lsm_store;

struct lsm_replay {
    struct lsm_store *store;
    uint64_t position, check; /* behind the last record read; check 0: not known, the manifest's position */
    uint64_t number, start;   /* the log file that it stands in, and where that begins; 0: none yet */
    bool ended;               /* the record was the last one of its file */
    uint64_t synced;          /* greatest position that any record knew to be durable */

    /* The last transaction, as long as its end may follow. */
    struct lsm_buf batch;
    uint64_t txn_position, txn_end; /* txn_end 0: none */
    uint64_t txn_base;              /* its rows have the sequences base + offset in the batch */
    bool undecided;                 /* it is a PREPARE, or a RUNS with a token */
    bool runs;                      /* its record is RUNS: its file ends with it, or with its COMMIT */
    struct lsm_gen *files;          /* of a RUNS; NULL when the store has them: in its state or with the pending transaction */
    uint8_t token[LSM_TOKEN_BYTES];

    struct lsm_buf scratch;
    bool broken;    /* memory ran out in the middle of taking something back: the generations must be built anew */
    bool unsettled; /* records were read since lsm_replay_settle() succeeded: a transaction may wait that nobody knows of */
};

void lsm_replay_init(struct lsm_replay *replay, struct lsm_store *store); /* at the start of the active generation, which is empty */
void lsm_replay_release(struct lsm_replay *replay);
/* The log is read anew from `position` on, into a fresh active generation. */
void lsm_replay_restart(struct lsm_replay *replay, uint64_t position);
/* This process has written the log up to `end` itself. Needs: everything before was read. Locks: needs mu. */
void lsm_replay_written(struct lsm_replay *replay, uint64_t end, uint64_t check);

/* Take in one record, which begins at replay->position. On error nothing has changed (or `broken` is set). */
int lsm_replay_record(struct lsm_replay *replay, const struct lsm_wal_record *record, struct lsm_error *err) LSM_MUST_CHECK;
/* The next record will come from this file, which begins at replay->position: what the one before has filled is sealed. */
int lsm_replay_enter_file(struct lsm_replay *replay, uint64_t number, struct lsm_error *err) LSM_MUST_CHECK;
/* Everything below `visible` is committed: make the last transaction's trees and token known if it is, or keep it as the pending one if it is a PREPARE
 * that waits. */
int lsm_replay_settle(struct lsm_replay *replay, uint64_t visible, struct lsm_error *err) LSM_MUST_CHECK;

#endif
