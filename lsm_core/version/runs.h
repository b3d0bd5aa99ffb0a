/* runs.h: the payload of a RUNS record: a transaction whose rows are in table files, which it names. docs/format.md, "Payload of RUNS".
 *
 * Of two rows of one key the one in the newer run counts, and any run is newer than the batch.
 */
#ifndef LSM_VERSION_RUNS_H
#define LSM_VERSION_RUNS_H

#include "edit.h"

struct lsm_runs {
    bool has_token; /* the database decides; else the record itself does */
    uint8_t token[LSM_TOKEN_BYTES];
    struct lsm_slice batch; /* the first rows, and every tree made or dropped; borrowed */
    struct lsm_edit edit;   /* files added at level 0, runs numbered from 1 by age, one at least, and next_file; nothing else counts */
};

void lsm_runs_release(struct lsm_runs *runs); /* leaves it empty */
/* Appends; LSM_NOMEM appends nothing. */
int lsm_runs_encode(const struct lsm_runs *runs, struct lsm_buf *out) LSM_MUST_CHECK;
/* Bytes are not trusted: LSM_CORRUPT, LSM_UNSUPPORTED. The batch is part of the bytes, and what it says is not looked at. On error nothing is to be released. */
int lsm_runs_decode(struct lsm_slice bytes, struct lsm_runs *runs, struct lsm_error *err) LSM_MUST_CHECK;

#endif
