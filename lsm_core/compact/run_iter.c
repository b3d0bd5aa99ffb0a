/* Concatenation of a run's files, which do not overlap. A file without entries (range tombstones only) is passed over. */
#include "../codec/coding.h"
#include "job.h"

static void close_table(struct lsm_run_iter *run) {
    if (run->open) lsm_iter_release(&run->table.base);
    run->open = false;
}

/* Stand in file `at` without a position. False: it cannot be opened, status says why. */
static bool open_table(struct lsm_run_iter *run, size_t at) {
    if (run->open && run->at == at) return true;
    struct lsm_sst *sst = NULL;
    run->base.status = lsm_version_set_table(run->set, run->files[at], &sst, &run->base.err);
    run->base.valid = false;
    if (run->base.status != LSM_OK) {
        close_table(run);
        return false;
    }
    if (run->open)
        lsm_sst_iter_move(&run->table, sst);
    else
        lsm_sst_iter_init(&run->table, sst, run->fill_cache);
    if (run->window_most != 0) run->table.window_most = run->window_most;
    run->at = at;
    run->open = true;
    return true;
}

/* Copy the table iterator's place; true if it stands on an entry (or on one beyond the only tree wanted) or has failed: nothing more to
 * look for. */
static bool show(struct lsm_run_iter *run) {
    const struct lsm_iter *table = &run->table.base;
    run->base.valid = table->valid && (run->tree == 0 || lsm_load_be32(table->key.data) == run->tree);
    run->base.status = table->status;
    if (table->valid) {
        run->base.kind = table->kind;
        run->base.key = table->key;
        run->base.value = table->value;
        return true;
    }
    if (table->status != LSM_OK) run->base.err = table->err;
    return table->status != LSM_OK;
}

static void at_end(struct lsm_run_iter *run) {
    run->base.valid = false;
    run->base.status = LSM_OK;
}

/* The first entry of the first file from `at` on that has one. */
static void go_forward(struct lsm_run_iter *run, size_t at) {
    for (; at < run->count; at++) {
        if (!open_table(run, at)) return;
        lsm_iter_first(&run->table.base);
        if (show(run)) return;
    }
    at_end(run);
}

/* The last entry of the last file before `end` that has one. */
static void go_backward(struct lsm_run_iter *run, size_t end) {
    while (end-- > 0) {
        if (!open_table(run, end)) return;
        lsm_iter_last(&run->table.base);
        if (show(run)) return;
    }
    at_end(run);
}

static size_t find(const struct lsm_run_iter *run, struct lsm_slice key) {
    size_t low = 0, high = run->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lsm_slice_compare(lsm_buf_slice(&run->files[middle]->largest), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void run_first(struct lsm_iter *iter) { go_forward((struct lsm_run_iter *)iter, 0); }

static void run_last(struct lsm_iter *iter) {
    struct lsm_run_iter *run = (struct lsm_run_iter *)iter;
    go_backward(run, run->count);
}

static void run_seek(struct lsm_iter *iter, struct lsm_slice key) {
    struct lsm_run_iter *run = (struct lsm_run_iter *)iter;
    size_t at = find(run, key);
    if (at == run->count) {
        at_end(run);
        return;
    }
    if (!open_table(run, at)) return;
    lsm_iter_seek(&run->table.base, key);
    if (!show(run)) go_forward(run, at + 1);
}

static void run_seek_before(struct lsm_iter *iter, struct lsm_slice key) {
    struct lsm_run_iter *run = (struct lsm_run_iter *)iter;
    size_t at = find(run, key);
    if (at < run->count) {
        if (!open_table(run, at)) return;
        lsm_iter_seek_before(&run->table.base, key);
        if (show(run)) return;
    }
    go_backward(run, at);
}

static void run_next(struct lsm_iter *iter) {
    struct lsm_run_iter *run = (struct lsm_run_iter *)iter;
    lsm_iter_next(&run->table.base);
    if (!show(run)) go_forward(run, run->at + 1);
}

static void run_prev(struct lsm_iter *iter) {
    struct lsm_run_iter *run = (struct lsm_run_iter *)iter;
    lsm_iter_prev(&run->table.base);
    if (!show(run)) go_backward(run, run->at);
}

static void run_release(struct lsm_iter *iter) { close_table((struct lsm_run_iter *)iter); }

void lsm_run_iter_init(struct lsm_run_iter *iter, struct lsm_version_set *set, struct lsm_file_meta *const *files, size_t count, bool fill_cache) {
    static const struct lsm_iter_ops ops = {.first = run_first,
                                            .last = run_last,
                                            .seek = run_seek,
                                            .seek_before = run_seek_before,
                                            .next = run_next,
                                            .prev = run_prev,
                                            .release = run_release};
    memset(iter, 0, sizeof *iter);
    iter->base.ops = &ops;
    iter->set = set;
    iter->files = files;
    iter->count = count;
    iter->fill_cache = fill_cache;
}
