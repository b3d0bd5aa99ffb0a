/* chain.h: files of chained records, the one format behind log and manifest. docs/format.md, "The log", has the bytes.
 *
 * Record at position p stands at offset LSM_CHAIN_HEADER_BYTES + p - start. The check of each verifies only at its place and, but for its lower half,
 * only behind the record before.
 */
#ifndef LSM_WAL_CHAIN_H
#define LSM_WAL_CHAIN_H

#include "../env/env.h"

enum {
    LSM_CHAIN_HEADER_BYTES = 64,
    LSM_CHAIN_RECORD_BYTES = 24, /* before the payload */
    LSM_CHAIN_ALIGN = 4,
    LSM_CHAIN_VERSION = 2,
    LSM_CHAIN_TIME_UNIT_US = 1 << 18 /* what the time of a record is told in */
};
#define LSM_CHAIN_PAYLOAD_BYTES_MAX ((uint64_t)0xffff0000)

/* What tells one user of the format from another. Static. */
struct lsm_chain_type {
    const char *name; /* for messages */
    uint8_t magic[8];
    uint32_t kinds; /* bit k: records of kind k are known */
};
extern const struct lsm_chain_type lsm_chain_log, lsm_chain_manifest;

/* ---- the bytes ------------------------------------------------------------------------------------------------- */

struct lsm_chain_header {
    uint32_t version, flags;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    uint64_t number;     /* generation, or the manifest's */
    uint64_t start;      /* position of the first record */
    uint64_t prev_check; /* what the first record repeats */
};

struct lsm_chain_record {
    uint64_t check, position;
    uint64_t prev;    /* check of the record before; not in the bytes but by what it does to the check */
    uint64_t synced;  /* told as a distance from the position; one of 2 GiB or more is not told, which reads as 0 */
    uint64_t time_us; /* read: rounded down to LSM_CHAIN_TIME_UNIT_US */
    uint32_t length;  /* of the payload */
    uint8_t kind;
    uint64_t end;             /* position of the next record */
    struct lsm_slice payload; /* valid until the next call on the reader */
};

/* Bytes that a record with this payload takes. payload <= LSM_CHAIN_PAYLOAD_BYTES_MAX. */
static inline uint64_t lsm_chain_record_bytes(uint64_t payload) {
    return (LSM_CHAIN_RECORD_BYTES + payload + LSM_CHAIN_ALIGN - 1) / LSM_CHAIN_ALIGN * LSM_CHAIN_ALIGN;
}

/* Of a file whose first record stands at `start`; what it gives to its records is lsm_chain_place(). */
uint64_t lsm_chain_seed(const struct lsm_chain_type *type, const uint8_t *store_id, uint64_t number, uint64_t start);
/* Seed of the record at `position`: of its place in the file, whatever the start. */
uint64_t lsm_chain_place(uint64_t seed, uint64_t position);
/* Version and flags of the struct are ignored: it writes this release's. */
void lsm_chain_header_encode(const struct lsm_chain_type *type, const struct lsm_chain_header *header, uint8_t *bytes);
/* False if magic or check do not verify. Whether version, flags, id and number please is the caller's question. */
bool lsm_chain_header_decode(const struct lsm_chain_type *type, const uint8_t *bytes, struct lsm_chain_header *header);
/* All of the record's header but its check, which is lsm_chain_check_of(hash of the header behind the check and of the payload, prev). */
void lsm_chain_record_encode(const struct lsm_chain_record *record, uint64_t place, uint8_t *bytes);
uint64_t lsm_chain_check_of(uint64_t hash, uint64_t prev);
/* Fills all but prev, end and payload; record->position is the caller's. False: these bytes were not written for this place. Trust nothing before the
 * check is verified. synced is UINT64_MAX if it would be below 0. */
bool lsm_chain_record_decode(const uint8_t *bytes, uint64_t place, struct lsm_chain_record *record);
/* Does the whole record verify at its place, without the one before it? By the half of its check that does not depend on that. bytes: header and payload. */
bool lsm_chain_record_stands(const uint8_t *bytes, uint64_t place, const struct lsm_chain_record *record);
/* Append the whole record to `out`, check computed (also into record->check and end). LSM_NOMEM changes nothing. */
int lsm_chain_record_put(struct lsm_buf *out, uint64_t seed, struct lsm_chain_record *record, struct lsm_slice first,
                         struct lsm_slice second) LSM_MUST_CHECK;

/* Write the file's bytes [from, to) once more, the same, before they are synced and built upon: after a sync that failed, in whatever process, the
 * system may hold bytes it will never write, and say nothing at the next sync. */
int lsm_chain_rewrite(struct lsm_file *file, uint64_t from, uint64_t to, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- reading --------------------------------------------------------------------------------------------------- */

struct lsm_chain_reader;

/* *reader is NULL with LSM_OK if the header was never finished. LSM_MISMATCH: another store's; LSM_CORRUPT: it was whole once, or it is
 * another number's; LSM_UNSUPPORTED: a newer release's; LSM_NOTFOUND: no such file. */
int lsm_chain_open(struct lsm_env *env, const char *path, const struct lsm_chain_type *type, const uint8_t *store_id, uint64_t number,
                   struct lsm_chain_reader **reader, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_chain_close(struct lsm_chain_reader *reader); /* NULL is allowed */

/* The next record; LSM_NOTFOUND at the end of the chain; LSM_CORRUPT if the place of the next record was durable once (the header's
 * "Where the log ends"); LSM_UNSUPPORTED for an unknown kind or flag. After any error the reader stands where it stood and the
 * call may be repeated: it looks at the file anew, so a tail that grows is followed. */
int lsm_chain_next(struct lsm_chain_reader *reader, uint64_t known_synced, struct lsm_chain_record *record, struct lsm_error *err) LSM_MUST_CHECK;

/* The next record that ends at or below `limit`, a position up to which somebody has published the chain: LSM_NOTFOUND if the reader is there, LSM_CORRUPT
 * if the record does not verify. Looks at nothing behind the limit, so following a file that grows costs what is new. */
int lsm_chain_next_below(struct lsm_chain_reader *reader, uint64_t limit, struct lsm_chain_record *record, struct lsm_error *err) LSM_MUST_CHECK;
/* Go on from `end`, known to be the end of a record with this check. */
void lsm_chain_skip(struct lsm_chain_reader *reader, uint64_t end, uint64_t check);

const struct lsm_chain_header *lsm_chain_header(const struct lsm_chain_reader *reader);
uint64_t lsm_chain_end(const struct lsm_chain_reader *reader);        /* position behind the last good record */
uint64_t lsm_chain_end_offset(const struct lsm_chain_reader *reader); /* the same as a place in the file */
uint64_t lsm_chain_check(const struct lsm_chain_reader *reader);      /* of the last good record, or prev_check */
uint64_t lsm_chain_synced(const struct lsm_chain_reader *reader);     /* greatest that any good record told */
uint64_t lsm_chain_file_bytes(const struct lsm_chain_reader *reader); /* size when last looked at */
/* At the end: the header of what stands there, if it continues the chain so far as its own fields say (its check does not verify). */
int lsm_chain_torn(struct lsm_chain_reader *reader, struct lsm_chain_record *record, bool *torn, struct lsm_error *err) LSM_MUST_CHECK;

#endif
