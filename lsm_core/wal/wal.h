/* wal.h: the log. One file per generation, records chained by checksum; docs/format.md, "The log", has the bytes.
 *
 * A position is a byte offset in the endless log: generation g covers [start(g), start(g+1)); only record bytes count, file headers do
 * not. A record's place in its file is LSM_WAL_HEADER_BYTES + position - start.
 */
#ifndef LSM_WAL_WAL_H
#define LSM_WAL_WAL_H

#include "../env/env.h"

enum {
    LSM_WAL_HEADER_BYTES = 64,
    LSM_WAL_RECORD_HEADER_BYTES = 24,
    LSM_WAL_ALIGN = 4 /* records are padded with zeros to this */
};

/* Kinds of records. Never renumber. */
enum lsm_wal_kind {
    LSM_WAL_TXN = 1,     /* a whole transaction that decides itself: committed unless the very next record aborts it */
    LSM_WAL_PREPARE = 2, /* a whole transaction that somebody else decides, by the token it begins with (16 bytes) */
    LSM_WAL_COMMIT = 3,  /* payload: u64 position of the PREPARE, or RUNS with a token, right before it */
    LSM_WAL_ABORT = 4,   /* payload: u64 position of the TXN, PREPARE or RUNS right before it */
    LSM_WAL_ROLL = 5,    /* no payload: last record of its generation */
    LSM_WAL_RUNS = 6     /* a transaction whose rows are in table files it names (version/runs.h); else a TXN or PREPARE */
};

struct lsm_wal_record {
    enum lsm_wal_kind kind;
    uint64_t position, end;   /* of the record in the log; end is the position of the next */
    uint64_t synced;          /* position known durable when the record was written */
    uint64_t time_us;         /* commit time, microseconds since 1970; read back, it is up to 262 ms early */
    uint64_t check;           /* its checksum, which the next record's depends on */
    struct lsm_slice payload; /* valid until the next call on the reader */
};

/* Bytes that a record with this payload takes in the log. */
static inline uint64_t lsm_wal_record_bytes(uint64_t payload) {
    return (LSM_WAL_RECORD_HEADER_BYTES + payload + LSM_WAL_ALIGN - 1) / LSM_WAL_ALIGN * LSM_WAL_ALIGN;
}
#define LSM_WAL_PAYLOAD_BYTES_MAX ((uint64_t)0xffff0000)

/* ---- writing -------------------------------------------------------------------------------------------------- */

struct lsm_wal_writer;

/* Start a generation: create its file with its header, position start, chained to prev_check (the check of the last record before,
 * 0 at the very beginning). sync: make header and directory entry durable before returning; the caller has synced everything below start
 * (all generations before), which is known as synced from here on. Without it nothing is, until the first sync of this writer.
 * On error no file is left, except one that was there before (LSM_IO). */
int lsm_wal_writer_create(struct lsm_env *env, const char *dir, const struct lsm_env_perm *perm, const uint8_t *store_id, uint64_t generation,
                          uint64_t start, uint64_t prev_check, bool sync, struct lsm_wal_writer **writer, struct lsm_error *err) LSM_MUST_CHECK;
/* Go on with a generation that an earlier life or another process has written up to `end`: check and synced as it left them. What is preallocated behind the end
 * stays; what else stands there is no record and is overwritten. Needs: nobody else appends meanwhile (nor to advance()). */
int lsm_wal_writer_attach(struct lsm_env *env, const char *dir, const uint8_t *store_id, uint64_t generation, uint64_t start, uint64_t end,
                          uint64_t prev_check, uint64_t synced, struct lsm_wal_writer **writer, struct lsm_error *err) LSM_MUST_CHECK;
/* Others have appended to the file of this writer, up to `end`. */
int lsm_wal_writer_advance(struct lsm_wal_writer *writer, uint64_t end, uint64_t check, uint64_t synced, struct lsm_error *err) LSM_MUST_CHECK;
/* Make sure that `bytes` more can be appended without asking for space (so that an ABORT behind a PREPARE cannot fail for lack of it). */
int lsm_wal_writer_reserve(struct lsm_wal_writer *writer, uint64_t bytes, struct lsm_error *err) LSM_MUST_CHECK;
/* For how many bytes behind the end lsm_wal_writer_reserve() would ask for space now; 0: for none, there is room. */
uint64_t lsm_wal_writer_ahead(const struct lsm_wal_writer *writer, uint64_t bytes);
/* Append one record with one write. payload comes in up to two pieces (second may be empty). On success the writer's end has
 * moved and *record (if not NULL) tells where it is. On error the log ends where it did: what was written is erased, and the next record
 * takes its place; one of the two is synced before anything stands there, so that no crash brings back what has failed. If the file cannot
 * be trusted any more (failed sync) every later call fails: start a new generation. */
int lsm_wal_writer_append(struct lsm_wal_writer *writer, enum lsm_wal_kind kind, uint64_t time_us, struct lsm_slice first, struct lsm_slice second,
                          struct lsm_wal_record *record, struct lsm_error *err) LSM_MUST_CHECK;
/* Take the last record back as far as that still goes, when neither a sync nor an ABORT can be had: whoever reads the file from now on does
 * not find it; after a power cut it may be there. The writer is of no use afterwards. */
void lsm_wal_writer_erase(struct lsm_wal_writer *writer, const struct lsm_wal_record *record);
/* Make everything appended so far durable (and the file's directory entry, if create did not). May run on another thread beside appends.
 * The records to come say that everything below is durable: generations before this one must be so already, whoever wrote them. */
int lsm_wal_writer_sync(struct lsm_wal_writer *writer, struct lsm_error *err) LSM_MUST_CHECK;

/* Make a whole generation and its directory entry durable without a writer: what an earlier process may have left unsynced. */
int lsm_wal_sync_generation(struct lsm_env *env, const char *dir, uint64_t generation, struct lsm_error *err) LSM_MUST_CHECK;

uint64_t lsm_wal_writer_generation(const struct lsm_wal_writer *writer);
uint64_t lsm_wal_writer_start(const struct lsm_wal_writer *writer);
uint64_t lsm_wal_writer_end(const struct lsm_wal_writer *writer);    /* position behind the last record; any thread */
uint64_t lsm_wal_writer_synced(const struct lsm_wal_writer *writer); /* position known durable; any thread */
uint64_t lsm_wal_writer_check(const struct lsm_wal_writer *writer);  /* check of the last record (prev_check if none) */
bool lsm_wal_writer_poisoned(const struct lsm_wal_writer *writer);
/* trim: cut the preallocated rest, so that the next opener can resume. Frees the writer whatever is returned. Does not sync. */
int lsm_wal_writer_close(struct lsm_wal_writer *writer, bool trim, struct lsm_error *err);

/* ---- reading: recovery and following what other processes write --------------------------------------------------- */

struct lsm_wal_reader;

/* Open one generation. *reader is NULL with LSM_OK if the file is shorter than a header or its header was never finished (the newest
 * generation after a crash: normal; anything but the newest: the caller says damage). LSM_MISMATCH: another store's file. */
int lsm_wal_reader_open(struct lsm_env *env, const char *dir, const uint8_t *store_id, uint64_t generation, struct lsm_wal_reader **reader,
                        struct lsm_error *err) LSM_MUST_CHECK;
uint64_t lsm_wal_reader_start(const struct lsm_wal_reader *reader);      /* position of the first record */
uint64_t lsm_wal_reader_prev_check(const struct lsm_wal_reader *reader); /* as the header says */
/* The next record: LSM_OK; LSM_NOTFOUND at the end of the log in this file (no record that verifies and chains);
 * LSM_CORRUPT if a record does not verify although known_synced or a valid record further on in this file says that its position was
 * durable; LSM_UNSUPPORTED for a kind this release does not know. */
int lsm_wal_reader_next(struct lsm_wal_reader *reader, uint64_t known_synced, struct lsm_wal_record *record, struct lsm_error *err) LSM_MUST_CHECK;
/* The next record that ends at or below `limit`, a position up to which somebody has published the log: LSM_NOTFOUND if there is none left to
 * read in this file (the limit, or a ROLL), LSM_CORRUPT if the next one does not verify. Never looks behind the limit. */
int lsm_wal_reader_next_below(struct lsm_wal_reader *reader, uint64_t limit, struct lsm_wal_record *record, struct lsm_error *err) LSM_MUST_CHECK;
/* Go on from `end`, known to be the end of a record with this check that is no ROLL: what this process has appended itself. */
void lsm_wal_reader_skip(struct lsm_wal_reader *reader, uint64_t end, uint64_t check);
bool lsm_wal_reader_rolled(const struct lsm_wal_reader *reader);     /* the last record was a ROLL */
uint64_t lsm_wal_reader_end(const struct lsm_wal_reader *reader);    /* position behind the last good record */
uint64_t lsm_wal_reader_check(const struct lsm_wal_reader *reader);  /* check of the last good record, or prev_check */
uint64_t lsm_wal_reader_synced(const struct lsm_wal_reader *reader); /* greatest synced position any good record told */
void lsm_wal_reader_close(struct lsm_wal_reader *reader);            /* NULL is allowed */

#endif
