#include "job.h"

#include "../codec/coding.h"
#include "../env/filename.h"
#include "../iter/merge.h"
#include "drop.h"

enum {
    CANCEL_EVERY = 256, /* entries between two looks at cancelled() */
    TREE_CUT_SHARE = 8
};

/* The output side of a running job. */
struct output {
    struct lsm_job *job;
    struct lsm_sst_writer *writer; /* NULL between files */
    uint64_t number;
    struct lsm_buf start;     /* first key of the open file; empty for the first one: it reaches down to the smallest key */
    struct lsm_ranges ranges; /* flattened, those worth keeping */
    uint32_t tree;            /* of the last key written */
};

static bool older_may_hold(const struct lsm_job *job, struct lsm_slice key) {
    for (size_t i = 0; i < job->below_count; i++)
        if (lsm_run_file(job->below[i], key) != NULL) return true;
    return false;
}

/* Keep the ranges that hide something below. */
static int keep_ranges(struct output *out, struct lsm_error *err) {
    const struct lsm_job *job = out->job;
    for (size_t i = 0; i < job->ranges.count; i++) {
        const struct lsm_range *range = &job->ranges.items[i];
        bool hides = job->keep_tombstones;
        for (size_t r = 0; r < job->below_count && !hides; r++) {
            const struct lsm_run *run = job->below[r];
            size_t at = lsm_run_find(run, range->low);
            hides = at < run->count && lsm_slice_compare(lsm_buf_slice(&run->files[at]->smallest), range->high) < 0;
        }
        if (hides && lsm_ranges_add(&out->ranges, *range) != LSM_OK) return lsm_fail_nomem(err, sizeof *range);
    }
    lsm_ranges_flatten(&out->ranges);
    return LSM_OK;
}

static int open_file(struct output *out, struct lsm_error *err) {
    struct lsm_version_set *set = out->job->set;
    out->number = lsm_version_set_new_number(set);
    char *path = lsm_file_path(set->dir, LSM_FILE_TABLE, out->number);
    if (path == NULL) return lsm_fail_nomem(err, 0);
    int status = lsm_sst_writer_open(set->env, path, &set->perm, set->store_id, out->number, &out->job->sst, &out->writer, err);
    lsm_free(path);
    return status;
}

/* The parts of the ranges that lie in [start, end); end NULL: no end. */
static int add_ranges(struct output *out, const struct lsm_slice *end, struct lsm_error *err) {
    struct lsm_slice start = lsm_buf_slice(&out->start);
    for (size_t i = 0; i < out->ranges.count; i++) {
        struct lsm_slice low = out->ranges.items[i].low, high = out->ranges.items[i].high;
        if (lsm_slice_compare(low, start) < 0) low = start;
        if (end != NULL && lsm_slice_compare(high, *end) > 0) high = *end;
        if (lsm_slice_compare(low, high) >= 0) continue;
        int status = lsm_sst_writer_add_range(out->writer, low, high, err);
        if (status != LSM_OK) return status;
    }
    return LSM_OK;
}

static int remember_file(struct lsm_job *job, struct lsm_file_meta *meta, struct lsm_error *err) {
    if (job->files_count == job->files_capacity) {
        size_t capacity = job->files_capacity == 0 ? 8 : job->files_capacity * 2;
        struct lsm_file_meta **files = lsm_realloc(job->files, capacity * sizeof(struct lsm_file_meta *));
        if (files == NULL) return lsm_fail_nomem(err, capacity * sizeof(struct lsm_file_meta *));
        job->files = files;
        job->files_capacity = capacity;
    }
    job->files[job->files_count++] = meta;
    return LSM_OK;
}

/* End the open file at key `end` (NULL: the last one). */
static int finish_file(struct output *out, const struct lsm_slice *end, struct lsm_error *err) {
    struct lsm_job *job = out->job;
    struct lsm_file_meta *meta = lsm_file_meta_new();
    if (meta == NULL) return lsm_fail_nomem(err, sizeof *meta);
    int status = add_ranges(out, end, err);
    /* Room for it first: a finished file that nobody remembers would be left behind. */
    if (status == LSM_OK) status = remember_file(job, meta, err);
    if (status != LSM_OK) {
        lsm_file_meta_unref(meta);
        return status;
    }
    meta->number = out->number;
    status = lsm_sst_writer_finish(out->writer, job->log_low, job->log_high, meta, err);
    out->writer = NULL;
    if (status != LSM_OK) {
        job->files_count--;
        lsm_file_meta_unref(meta);
        return status;
    }
    job->bytes_written += meta->bytes;
    if (end != NULL && lsm_buf_set(&out->start, *end) != LSM_OK) return lsm_fail_nomem(err, end->size);
    return LSM_OK;
}

/* Is the open file long enough to end before this key? */
static bool is_cut(const struct output *out, uint32_t tree) {
    uint64_t bytes = lsm_sst_writer_bytes(out->writer);
    if (bytes >= out->job->file_bytes) return true;
    uint64_t tree_bytes = out->job->tree_bytes != 0 ? out->job->tree_bytes : out->job->file_bytes / TREE_CUT_SHARE;
    return tree != out->tree && bytes >= tree_bytes;
}

static int write_entry(struct output *out, const struct lsm_iter *entry, struct lsm_error *err) {
    uint32_t tree = lsm_load_be32(entry->key.data);
    int status = LSM_OK;
    if (out->writer != NULL && is_cut(out, tree)) status = finish_file(out, &entry->key, err);
    if (status == LSM_OK && out->writer == NULL) status = open_file(out, err);
    if (status == LSM_OK) status = lsm_sst_writer_add(out->writer, entry->kind, entry->key, entry->value, err);
    out->tree = tree;
    out->job->entries_written++;
    return status;
}

static int copy_entries(struct output *out, struct lsm_merge_iter *merge, struct lsm_error *err) {
    struct lsm_job *job = out->job;
    struct lsm_iter *entry = &merge->base;
    for (lsm_iter_first(entry); entry->valid; lsm_iter_next(entry)) {
        if (job->entries_read++ % CANCEL_EVERY == 0 && job->cancelled != NULL && job->cancelled(job->cancelled_arg))
            return lsm_fail(err, LSM_INTERRUPTED, "interrupted");
        const uint64_t *sequence = job->sequences == NULL ? NULL : job->sequences[merge->source];
        bool covered =
            !lsm_ranges_empty(&job->ranges) && lsm_ranges_cover(&job->ranges, entry->key, merge->source, sequence == NULL ? UINT64_MAX : *sequence);
        bool older = entry->kind != LSM_KIND_PUT && !covered && (job->keep_tombstones || older_may_hold(job, entry->key));
        if (!lsm_drop_keeps(entry->kind, covered, older)) continue;
        int status = write_entry(out, entry, err);
        if (status != LSM_OK) return status;
    }
    if (entry->status != LSM_OK && err != NULL) *err = entry->err;
    return entry->status;
}

/* The last file; one of its own if only range tombstones are left to write. */
static int finish_last(struct output *out, struct lsm_error *err) {
    int status = LSM_OK;
    if (out->writer == NULL && out->ranges.count != 0) status = open_file(out, err);
    if (status == LSM_OK && out->writer != NULL) status = finish_file(out, NULL, err);
    if (status == LSM_OK && out->job->files_count != 0) status = lsm_env_sync_dir(out->job->set->env, out->job->set->dir, err);
    return status;
}

int lsm_job_run(struct lsm_job *job, struct lsm_error *err) {
    struct output out = {.job = job};
    struct lsm_merge_iter merge;
    int status = lsm_merge_iter_init(&merge, job->sources, job->count, 0);
    if (status != LSM_OK) return lsm_fail_nomem(err, 0);
    status = keep_ranges(&out, err);
    if (status == LSM_OK) status = copy_entries(&out, &merge, err);
    if (status == LSM_OK) status = finish_last(&out, err);
    lsm_sst_writer_abandon(out.writer);
    if (status != LSM_OK) lsm_job_discard(job);
    lsm_ranges_release(&out.ranges);
    lsm_buf_free(&out.start);
    lsm_iter_release(&merge.base);
    return status;
}

void lsm_job_discard(struct lsm_job *job) {
    for (size_t i = 0; i < job->files_count; i++) {
        char *path = lsm_file_path(job->set->dir, LSM_FILE_TABLE, job->files[i]->number);
        if (path != NULL && lsm_env_unlink(job->set->env, path, NULL) != LSM_OK) {
            /* Left over until the next open, which removes what the manifest does not name. */
        }
        lsm_free(path);
        lsm_file_meta_unref(job->files[i]);
    }
    job->files_count = 0;
}

void lsm_job_release(struct lsm_job *job) {
    for (size_t i = 0; i < job->files_count; i++) lsm_version_set_unref_file(job->set, job->files[i]);
    lsm_free(job->files);
    lsm_ranges_release(&job->ranges);
    job->files = NULL;
    job->files_count = job->files_capacity = 0;
}

int lsm_job_add_file_ranges(struct lsm_version_set *set, struct lsm_file_meta *const *files, size_t count, uint32_t source, struct lsm_ranges *ranges,
                            struct lsm_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (files[i]->range_tombstones == 0) continue;
        struct lsm_sst *sst = NULL;
        int status = lsm_version_set_table(set, files[i], &sst, err);
        if (status != LSM_OK) return status;
        size_t range_count = 0;
        const struct lsm_sst_range *items = lsm_sst_ranges(sst, &range_count);
        for (size_t r = 0; r < range_count; r++)
            if (lsm_ranges_add(ranges, (struct lsm_range){.low = items[r].low, .high = items[r].high, .source = source}) != LSM_OK)
                return lsm_fail_nomem(err, sizeof(struct lsm_range));
    }
    return LSM_OK;
}
