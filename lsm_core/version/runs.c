#include "runs.h"

#include "../codec/coding.h"

enum { DECIDES_ITSELF = 0, DECIDED_BY_DATABASE = 1 }; /* the payload's first byte; never renumber */

void lsm_runs_release(struct lsm_runs *runs) {
    lsm_edit_release(&runs->edit);
    *runs = (struct lsm_runs){0};
}

int lsm_runs_encode(const struct lsm_runs *runs, struct lsm_buf *out) {
    size_t before = out->size;
    int status = lsm_put_u8(out, runs->has_token ? DECIDED_BY_DATABASE : DECIDES_ITSELF);
    if (status == LSM_OK && runs->has_token) status = lsm_buf_append(out, runs->token, sizeof runs->token);
    if (status == LSM_OK) status = lsm_put_bytes(out, runs->batch);
    if (status == LSM_OK) status = lsm_edit_encode(&runs->edit, out);
    if (status != LSM_OK) out->size = before;
    return status;
}

/* Does the edit do nothing but add runs of level 0? */
static const char *what_is_wrong(const struct lsm_edit *edit) {
    if (edit->full || edit->removed_count != 0 || edit->trees_count != 0 || edit->dropped_count != 0 || edit->log_durable != 0 || edit->has_token)
        return "it does more than to name table files";
    if (edit->added_count == 0) return "it names no table file";
    for (size_t i = 0; i < edit->added_count; i++)
        if (edit->added[i].level != 0 || edit->added[i].run == 0) return "a table file that is in no run of level 0";
    return NULL;
}

int lsm_runs_decode(struct lsm_slice bytes, struct lsm_runs *runs, struct lsm_error *err) {
    struct lsm_decoder in = lsm_decoder_of(bytes);
    *runs = (struct lsm_runs){0};
    uint8_t decider = lsm_get_u8(&in);
    if (!in.failed && decider > DECIDED_BY_DATABASE)
        return lsm_fail(err, LSM_UNSUPPORTED, "RUNS record with unknown decider %u; use a newer release", decider);
    runs->has_token = decider == DECIDED_BY_DATABASE;
    struct lsm_slice token = runs->has_token ? lsm_get_fixed(&in, sizeof runs->token) : (struct lsm_slice){0};
    if (token.size != 0) memcpy(runs->token, token.data, token.size);
    runs->batch = lsm_get_bytes(&in, SIZE_MAX);
    if (in.failed) return lsm_fail(err, LSM_CORRUPT, "malformed RUNS record: it ends too early");
    int status = lsm_edit_decode(lsm_slice_of(in.p, lsm_decoder_left(&in)), &runs->edit, err);
    const char *wrong = status == LSM_OK ? what_is_wrong(&runs->edit) : NULL;
    if (wrong != NULL) status = lsm_fail(err, LSM_CORRUPT, "malformed RUNS record: %s", wrong);
    if (status != LSM_OK) lsm_edit_release(&runs->edit);
    return status;
}
