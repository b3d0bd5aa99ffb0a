#include "version.h"

#include <stdlib.h>

/* ---- building: collect all files with their places, sort, cut into runs ------------------------------------------ */

struct placed {
    int level;
    uint64_t run;
    struct lsm_file_meta *meta;
};

struct placed_list {
    struct placed *items;
    size_t count;
};

static bool is_removed(const struct lsm_edit *edit, uint64_t number) {
    for (size_t i = 0; i < edit->removed_count; i++)
        if (edit->removed[i] == number) return true;
    return false;
}

static bool is_added(const struct lsm_edit *edit, uint64_t number) {
    for (size_t i = 0; i < edit->added_count; i++)
        if (edit->added[i].meta->number == number) return true;
    return false;
}

static int collect_run(const struct lsm_run *run, int level, const struct lsm_edit *edit, struct placed_list *list, size_t *removed,
                       struct lsm_error *err) {
    for (size_t i = 0; i < run->count; i++) {
        uint64_t number = run->files[i]->number;
        if (is_removed(edit, number)) {
            (*removed)++;
            continue;
        }
        if (is_added(edit, number))
            return lsm_fail(err, LSM_CORRUPT, "manifest: an edit adds table file %llu, which is in the store", (unsigned long long)number);
        list->items[list->count++] = (struct placed){.level = level, .run = run->number, .meta = run->files[i]};
    }
    return LSM_OK;
}

/* Everything that stays, then everything that comes. */
static int collect(const struct lsm_version *base, const struct lsm_edit *edit, struct placed_list *list, struct lsm_error *err) {
    size_t most = edit->added_count + (base == NULL || edit->full ? 0 : base->files);
    size_t removed = 0;
    list->items = lsm_calloc(most, sizeof *list->items);
    if (list->items == NULL) return lsm_fail_nomem(err, most * sizeof *list->items);
    int status = LSM_OK;
    if (base != NULL && !edit->full) {
        for (size_t r = 0; r < base->level0_count && status == LSM_OK; r++) status = collect_run(&base->level0[r], 0, edit, list, &removed, err);
        for (int level = 1; level < LSM_LEVELS && status == LSM_OK; level++)
            status = collect_run(&base->levels[level], level, edit, list, &removed, err);
    }
    if (status != LSM_OK) return status;
    if (removed != edit->removed_count) return lsm_fail(err, LSM_CORRUPT, "manifest: an edit removes a table file that is not in the store");
    for (size_t i = 0; i < edit->added_count; i++) {
        const struct lsm_edit_file *added = &edit->added[i];
        list->items[list->count++] = (struct placed){.level = added->level, .run = added->level == 0 ? added->run : 0, .meta = added->meta};
    }
    return LSM_OK;
}

/* By level, then newest run first, then key. */
static int placed_order(const void *a_void, const void *b_void) {
    const struct placed *a = a_void, *b = b_void;
    if (a->level != b->level) return a->level < b->level ? -1 : 1;
    if (a->run != b->run) return a->run > b->run ? -1 : 1;
    int order = lsm_slice_compare(lsm_buf_slice(&a->meta->smallest), lsm_buf_slice(&b->meta->smallest));
    if (order != 0) return order;
    return lsm_slice_compare(lsm_buf_slice(&a->meta->largest), lsm_buf_slice(&b->meta->largest));
}

static int fill_run(struct lsm_run *run, const struct placed *items, size_t count, struct lsm_error *err) {
    run->files = lsm_calloc(count, sizeof(struct lsm_file_meta *));
    if (run->files == NULL) return lsm_fail_nomem(err, count * sizeof(struct lsm_file_meta *));
    run->number = items[0].run;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && !lsm_file_meta_precedes(items[i - 1].meta, items[i].meta))
            return lsm_fail(err, LSM_CORRUPT, "manifest: table files %llu and %llu of level %d overlap",
                            (unsigned long long)items[i - 1].meta->number, (unsigned long long)items[i].meta->number, items[i].level);
        lsm_file_meta_ref(items[i].meta);
        run->files[run->count++] = items[i].meta;
        run->bytes += items[i].meta->bytes;
    }
    return LSM_OK;
}

static int fill(struct lsm_version *version, const struct placed_list *list, struct lsm_error *err) {
    size_t runs0 = 0;
    for (size_t i = 0; i < list->count && list->items[i].level == 0; i++)
        if (i == 0 || list->items[i].run != list->items[i - 1].run) runs0++;
    version->level0 = lsm_calloc(runs0, sizeof *version->level0);
    if (version->level0 == NULL) return lsm_fail_nomem(err, runs0 * sizeof *version->level0);
    size_t end = 0;
    for (size_t i = 0; i < list->count; i = end) {
        const struct placed *head = &list->items[i];
        for (end = i + 1; end < list->count && list->items[end].level == head->level && list->items[end].run == head->run;) end++;
        struct lsm_run *run = head->level == 0 ? &version->level0[version->level0_count++] : &version->levels[head->level];
        int status = fill_run(run, head, end - i, err);
        if (status != LSM_OK) return status;
        version->bytes += run->bytes;
        version->files += run->count;
    }
    return LSM_OK;
}

int lsm_version_apply(const struct lsm_version *base, const struct lsm_edit *edit, struct lsm_version **out, struct lsm_error *err) {
    struct placed_list list = {0};
    struct lsm_version *version = NULL;
    *out = NULL;
    int status = collect(base, edit, &list, err);
    if (status != LSM_OK) goto out;
    if (list.count > 1) qsort(list.items, list.count, sizeof *list.items, placed_order);
    version = lsm_calloc(1, sizeof *version);
    if (version == NULL) {
        status = lsm_fail_nomem(err, sizeof *version);
        goto out;
    }
    atomic_store_explicit(&version->refs, 1, memory_order_relaxed);
    status = fill(version, &list, err);
    if (status != LSM_OK) goto out;
    *out = version;
    version = NULL;
out:
    if (version != NULL) lsm_version_destroy(version);
    lsm_free(list.items);
    return status;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

void lsm_version_ref(struct lsm_version *version) { (void)atomic_fetch_add_explicit(&version->refs, 1, memory_order_relaxed); }

bool lsm_version_unref(struct lsm_version *version) {
    /* Release our reads of the version; the last one acquires everybody's before it destroys. */
    return atomic_fetch_sub_explicit(&version->refs, 1, memory_order_acq_rel) == 1;
}

static void release_run(struct lsm_run *run) {
    for (size_t i = 0; i < run->count; i++) lsm_file_meta_unref(run->files[i]);
    lsm_free(run->files);
}

void lsm_version_destroy(struct lsm_version *version) {
    for (size_t r = 0; r < version->level0_count; r++) release_run(&version->level0[r]);
    /* A run that fill() did not finish is among them: its count says how far it got. */
    for (int level = 1; level < LSM_LEVELS; level++) release_run(&version->levels[level]);
    lsm_free(version->level0);
    lsm_free(version);
}

/* ---- comparing ------------------------------------------------------------------------------------------------------ */

static bool same_files(const struct lsm_run *a, const struct lsm_run *b) {
    if (a->number != b->number || a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->files[i]->number != b->files[i]->number) return false;
    return true;
}

bool lsm_version_only_flushed(const struct lsm_version *base, const struct lsm_version *now) {
    if (now->level0_count < base->level0_count) return false;
    size_t newer = now->level0_count - base->level0_count;
    for (size_t r = 0; r < base->level0_count; r++)
        if (!same_files(&base->level0[r], &now->level0[newer + r])) return false;
    for (int level = 1; level < LSM_LEVELS; level++)
        if (!same_files(&base->levels[level], &now->levels[level])) return false;
    return true;
}

static struct lsm_file_meta *find_in_run(const struct lsm_run *run, const struct lsm_file_meta *meta) {
    size_t at = lsm_run_find(run, lsm_buf_slice(&meta->smallest));
    return at < run->count && run->files[at]->number == meta->number ? run->files[at] : NULL;
}

struct lsm_file_meta *lsm_version_find(const struct lsm_version *version, const struct lsm_file_meta *meta) {
    struct lsm_file_meta *found = NULL;
    for (size_t r = 0; r < version->level0_count && found == NULL; r++) found = find_in_run(&version->level0[r], meta);
    for (int level = 1; level < LSM_LEVELS && found == NULL; level++) found = find_in_run(&version->levels[level], meta);
    return found;
}

/* ---- looking up ----------------------------------------------------------------------------------------------------- */

size_t lsm_run_find(const struct lsm_run *run, struct lsm_slice key) {
    size_t low = 0, high = run->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct lsm_file_meta *meta = run->files[middle];
        int order = lsm_slice_compare(lsm_buf_slice(&meta->largest), key);
        if (order < 0 || (order == 0 && meta->largest_exclusive))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct lsm_file_meta *lsm_run_file(const struct lsm_run *run, struct lsm_slice key) {
    size_t at = lsm_run_find(run, key);
    if (at == run->count || lsm_slice_compare(key, lsm_buf_slice(&run->files[at]->smallest)) < 0) return NULL;
    return run->files[at];
}

bool lsm_run_overlaps(const struct lsm_run *a, const struct lsm_run *b) {
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        if (lsm_file_meta_precedes(a->files[i], b->files[j]))
            i++;
        else if (lsm_file_meta_precedes(b->files[j], a->files[i]))
            j++;
        else
            return true;
    }
    return false;
}

void lsm_version_each(const struct lsm_version *version, bool (*fn)(void *arg, int level, size_t run, struct lsm_file_meta *meta), void *arg) {
    for (size_t r = 0; r < version->level0_count; r++)
        for (size_t i = 0; i < version->level0[r].count; i++)
            if (!fn(arg, 0, r, version->level0[r].files[i])) return;
    for (int level = 1; level < LSM_LEVELS; level++)
        for (size_t i = 0; i < version->levels[level].count; i++)
            if (!fn(arg, level, 0, version->levels[level].files[i])) return;
}
