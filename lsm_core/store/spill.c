/* What a transaction has in memory becomes table files that belong to it alone. */
#include "../compact/job.h"
#include "store.h"

enum { FILTER_BITS_PER_KEY = 10 };

static int write_files(struct lsm_store *store, const struct lsm_gen *gen, uint64_t from, uint64_t to, struct lsm_job *job, struct lsm_error *err) {
    const struct lsm_options *options = &store->options;
    struct lsm_gen_iter rows;
    if (lsm_gen_iter_init(&rows, gen, from, to) != LSM_OK) return lsm_fail_nomem(err, 0);
    struct lsm_iter *source = &rows.base;
    const uint64_t *sequence = &rows.sequence;
    job->set = &store->set;
    job->sources = &source;
    job->sequences = &sequence;
    job->count = 1;
    job->keep_tombstones = true;
    /* Packed as at the bottom: such files move there without being written again. */
    job->sst = (struct lsm_sst_options){.block_bytes = options->block_bytes, .compression = options->compression, .filter_bits_per_key = FILTER_BITS_PER_KEY};
    job->file_bytes = options->file_bytes > options->write_buffer_bytes ? options->file_bytes : options->write_buffer_bytes;
    job->log_low = job->log_high = gen->start;
    int status = lsm_gen_add_ranges(gen, from, to, 0, &job->ranges) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, 0);
    if (status == LSM_OK) status = lsm_job_run(job, err);
    lsm_iter_release(&rows.base);
    return status;
}

int lsm_spill(struct lsm_store *store, const struct lsm_gen *gen, uint64_t from, uint64_t to, struct lsm_gen **out, struct lsm_error *err) {
    struct lsm_job job = {0};
    struct lsm_edit edit = {0};
    *out = NULL;
    int status = write_files(store, gen, from, to, &job, err);
    for (size_t i = 0; i < job.files_count && status == LSM_OK; i++)
        if (lsm_edit_add_file(&edit, 0, 1, job.files[i]) != LSM_OK) status = lsm_fail_nomem(err, 0);
    if (status == LSM_OK && job.files_count != 0) status = lsm_gen_new_files(&store->set, &edit, gen->start, out, err);
    lsm_edit_release(&edit);
    if (status == LSM_OK) lsm_count(store, LSM_COUNT_FLUSH_BYTES, job.bytes_written);
    else lsm_job_discard(&job);
    lsm_job_release(&job);
    return status;
}
