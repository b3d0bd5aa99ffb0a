/* What a transaction has in memory becomes table files that belong to it alone, and several runs of such files become one. */
#include "../compact/job.h"
#include "store.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FILTER_BITS_PER_KEY = 10,
    FILES_AIMED_AT = 256,        /* of one run, however large it gets */
    TREE_SHARE = 32,             /* of the write buffer: so much of a tree is worth files of its own. What is in order there is not written again
                                    for the sake of another tree, of an index, where it is not */
    WINDOW_BYTES_MIN = 16 << 10, /* what a run is read through while it is merged: with less, every block would be a read */
    WINDOW_BYTES_MAX = 256 << 10
};

/* Packed as at the bottom: such files move there without being written again. */
static struct lsm_sst_options packed(const struct lsm_options *options) {
    return (struct lsm_sst_options){
        .block_bytes = options->block_bytes, .compression = options->compression, .filter_bits_per_key = FILTER_BITS_PER_KEY};
}

static void init_job(struct lsm_store *store, uint64_t bytes, uint64_t position, struct lsm_job *job) {
    const struct lsm_options *options = &store->options;
    *job = (struct lsm_job){.set = &store->set, .keep_tombstones = true, .sst = packed(options), .log_low = position, .log_high = position};
    job->file_bytes = options->file_bytes > options->write_buffer_bytes ? options->file_bytes : options->write_buffer_bytes;
    job->tree_bytes = options->write_buffer_bytes / TREE_SHARE;
    if (job->file_bytes < bytes / FILES_AIMED_AT) job->file_bytes = bytes / FILES_AIMED_AT;
}

/* ---- memory -> files ---------------------------------------------------------------------------------------------------------- */

static int write_files(const struct lsm_gen *gen, uint64_t from, uint64_t to, struct lsm_job *job, struct lsm_error *err) {
    struct lsm_gen_iter rows;
    if (lsm_gen_iter_init(&rows, gen, from, to) != LSM_OK) return lsm_fail_nomem(err, 0);
    struct lsm_iter *source = &rows.base;
    const uint64_t *sequence = &rows.sequence;
    job->sources = &source;
    job->sequences = &sequence;
    job->count = 1;
    int status = lsm_gen_add_ranges(gen, from, to, 0, &job->ranges) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, 0);
    if (status == LSM_OK) status = lsm_job_run(job, err);
    lsm_iter_release(&rows.base);
    return status;
}

int lsm_spill(struct lsm_store *store, const struct lsm_gen *gen, uint64_t from, uint64_t to, bool spends, struct lsm_gen **out,
              struct lsm_error *err) {
    struct lsm_job job;
    struct lsm_edit edit = {0};
    *out = NULL;
    init_job(store, 0, gen->start, &job);
    if (spends) job.sst.spare = store->set.spare;
    int status = write_files(gen, from, to, &job, err);
    for (size_t i = 0; i < job.files_count && status == LSM_OK; i++)
        if (lsm_edit_add_file(&edit, 0, 1, job.files[i]) != LSM_OK) status = lsm_fail_nomem(err, 0);
    if (status == LSM_OK && job.files_count != 0) status = lsm_gen_new_files(&store->set, &edit, gen->start, out, err);
    lsm_edit_release(&edit);
    if (status == LSM_OK)
        lsm_count(store, LSM_COUNT_FLUSH_BYTES, job.bytes_written);
    else
        lsm_job_discard(&job);
    lsm_job_release(&job);
    return status;
}

/* ---- several runs -> one ------------------------------------------------------------------------------------------------------- */

/* A file of the runs that become one. */
struct part {
    struct lsm_file_meta *meta;
    size_t source; /* which run: 0 is the newest */
};

struct fold {
    struct lsm_store *store;
    size_t runs;
    struct part *parts; /* by first key */
    size_t parts_count;
    struct lsm_edit edit; /* the new run */
    struct lsm_job job;   /* one for all knots: it has every file written */

    /* Room for the knot at hand. */
    struct lsm_file_meta **files; /* run by run */
    struct lsm_run_iter *iters;
    struct lsm_iter **sources;
};

static int by_first_key(const void *a_void, const void *b_void) {
    const struct part *a = a_void, *b = b_void;
    return lsm_slice_compare(lsm_buf_slice(&a->meta->smallest), lsm_buf_slice(&b->meta->smallest));
}

static const struct lsm_run *run_of(const struct lsm_gen *gen) { return &gen->files->level0[0]; }

static int init_fold(struct lsm_store *store, struct lsm_gen *const *gens, size_t count, struct fold *fold) {
    uint64_t bytes = 0;
    size_t files = 0;
    *fold = (struct fold){.store = store, .runs = count};
    for (size_t i = 0; i < count; i++) {
        assert(gens[i]->files->level0_count == 1);
        files += run_of(gens[i])->count;
        bytes += run_of(gens[i])->bytes;
    }
    init_job(store, bytes, gens[0]->start, &fold->job);
    fold->parts = lsm_calloc(files, sizeof *fold->parts);
    fold->files = lsm_calloc(files, sizeof(struct lsm_file_meta *));
    fold->iters = lsm_calloc(count, sizeof *fold->iters);
    fold->sources = lsm_calloc(count, sizeof(struct lsm_iter *));
    if (fold->parts == NULL || fold->files == NULL || fold->iters == NULL || fold->sources == NULL) return LSM_NOMEM;
    for (size_t i = 0; i < count; i++)
        for (size_t f = 0; f < run_of(gens[i])->count; f++)
            fold->parts[fold->parts_count++] = (struct part){.meta = run_of(gens[i])->files[f], .source = i};
    qsort(fold->parts, fold->parts_count, sizeof *fold->parts, by_first_key);
    return LSM_OK;
}

static void release_fold(struct fold *fold) {
    lsm_edit_release(&fold->edit);
    lsm_job_release(&fold->job);
    lsm_free(fold->parts);
    lsm_free(fold->files);
    lsm_free(fold->iters);
    lsm_free(fold->sources);
}

/* The parts from `first` on that hang together by the keys they cover: [first, end). */
static size_t end_of_knot(const struct fold *fold, size_t first) {
    const struct lsm_file_meta *last = fold->parts[first].meta; /* reaches furthest */
    size_t end = first + 1;
    for (; end < fold->parts_count && !lsm_file_meta_precedes(last, fold->parts[end].meta); end++) {
        const struct lsm_file_meta *meta = fold->parts[end].meta;
        int order = lsm_slice_compare(lsm_buf_slice(&meta->largest), lsm_buf_slice(&last->largest));
        if (order > 0 || (order == 0 && !meta->largest_exclusive)) last = meta;
    }
    return end;
}

/* Let the job read the files of a knot. */
static int open_knot(struct fold *fold, size_t first, size_t end, struct lsm_error *err) {
    struct lsm_job *job = &fold->job;
    size_t window = fold->store->options.write_buffer_bytes / 2 / fold->runs, used = 0;
    int status = LSM_OK;
    job->sources = fold->sources;
    job->count = 0;
    for (size_t source = 0; source < fold->runs && status == LSM_OK; source++) {
        struct lsm_file_meta **files = &fold->files[used];
        size_t count = 0;
        for (size_t i = first; i < end; i++)
            if (fold->parts[i].source == source) files[count++] = fold->parts[i].meta;
        if (count == 0) continue;
        struct lsm_run_iter *iter = &fold->iters[job->count];
        lsm_run_iter_init(iter, &fold->store->set, files, count, false);
        iter->window_most = window < WINDOW_BYTES_MIN ? WINDOW_BYTES_MIN : window > WINDOW_BYTES_MAX ? WINDOW_BYTES_MAX : window;
        status = lsm_job_add_file_ranges(&fold->store->set, files, count, (uint32_t)job->count, &job->ranges, err);
        fold->sources[job->count++] = &iter->base;
        used += count;
    }
    return status;
}

/* The files of one knot become new ones. On error every file written is gone. */
static int merge_knot(struct fold *fold, size_t first, size_t end, struct lsm_error *err) {
    struct lsm_job *job = &fold->job;
    size_t before = job->files_count;
    int status = open_knot(fold, first, end, err);
    if (status == LSM_OK) status = lsm_job_run(job, err);
    for (size_t i = 0; i < job->count; i++) lsm_iter_release(fold->sources[i]);
    lsm_ranges_release(&job->ranges);
    for (size_t i = first; i < end; i++) lsm_count(fold->store, LSM_COUNT_MERGE_READ, fold->parts[i].meta->bytes);
    for (size_t i = before; i < job->files_count && status == LSM_OK; i++)
        if (lsm_edit_add_file(&fold->edit, 0, 1, job->files[i]) != LSM_OK) status = lsm_fail_nomem(err, 0);
    return status;
}

static int fold_all(struct fold *fold, struct lsm_error *err) {
    int status = LSM_OK;
    for (size_t first = 0, end; first < fold->parts_count && status == LSM_OK; first = end) {
        end = end_of_knot(fold, first);
        if (end - first > 1)
            status = merge_knot(fold, first, end, err);
        else if (lsm_edit_add_file(&fold->edit, 0, 1, fold->parts[first].meta) != LSM_OK)
            status = lsm_fail_nomem(err, 0);
    }
    return status;
}

int lsm_fold(struct lsm_store *store, struct lsm_gen *const *gens, size_t count, const struct lsm_asker *asker, struct lsm_gen **out,
             struct lsm_error *err) {
    struct fold fold;
    *out = NULL;
    int status = init_fold(store, gens, count, &fold) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, 0);
    fold.job.cancelled = asker->interrupted;
    fold.job.cancelled_arg = asker->arg;
    if (status == LSM_OK) status = fold_all(&fold, err);
    if (status == LSM_OK) status = lsm_gen_new_files(&store->set, &fold.edit, gens[0]->start, out, err);
    if (status != LSM_OK) lsm_job_discard(&fold.job);
    if (status == LSM_OK && fold.job.files_count != 0) {
        lsm_count(store, LSM_COUNT_MERGES, 1);
        lsm_count(store, LSM_COUNT_MERGE_WRITTEN, fold.job.bytes_written);
    }
    release_fold(&fold);
    return status;
}
