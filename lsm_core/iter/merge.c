/* A binary heap over the sources that stand on an entry, keyed by (key, age).
 *
 * Invariants between calls, while valid:
 * 1. heap[0] is the current entry; base.key, base.value, base.kind are copies of its source's fields.
 * 2. Every source stands on its first entry at or beyond the current key in the direction of travel, or has run out.
 * 3. So sources with the same key as the current one are still standing on it: next() moves them too.
 */
#include "merge.h"

#include "../codec/coding.h"

/* 8 bytes from `skip` on, as a number that orders like them; short keys are padded with zeros (ties are compared whole). */
static uint64_t prefix_of(struct lsm_slice key, size_t skip) {
    if (key.size >= skip + 8) return lsm_load_be64(key.data + skip);
    uint8_t bytes[8] = {0};
    if (key.size > skip) memcpy(bytes, key.data + skip, key.size - skip);
    return lsm_load_be64(bytes);
}

/* Orders keys alone: <0, 0, >0 in byte order. */
static int key_order(const struct lsm_merge_item *a, const struct lsm_merge_item *b) {
    if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
    return lsm_slice_compare(a->iter->key, b->iter->key);
}

/* True if a comes before b in the direction of travel; the newer source first on a tie. */
static bool before(const struct lsm_merge_iter *merge, const struct lsm_merge_item *a, const struct lsm_merge_item *b) {
    int order = key_order(a, b);
    if (order == 0) return a->source < b->source;
    return merge->backward ? order > 0 : order < 0;
}

static void sift_down(struct lsm_merge_iter *merge, size_t at) {
    struct lsm_merge_item item = merge->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= merge->live) break;
        if (child + 1 < merge->live && before(merge, &merge->heap[child + 1], &merge->heap[child])) child++;
        if (!before(merge, &merge->heap[child], &item)) break;
        merge->heap[at] = merge->heap[child];
        at = child;
    }
    merge->heap[at] = item;
}

static void fail(struct lsm_merge_iter *merge, const struct lsm_iter *source) {
    merge->base.valid = false;
    merge->base.status = source->status;
    merge->base.err = source->err;
}

/* Show heap[0], or the end. */
static void show(struct lsm_merge_iter *merge) {
    merge->base.valid = merge->live != 0;
    if (!merge->base.valid) return;
    const struct lsm_iter *top = merge->heap[0].iter;
    merge->base.kind = top->kind;
    merge->base.key = top->key;
    merge->base.value = top->value;
    merge->source = merge->heap[0].source;
}

/* Take up the sources where they stand now. */
static void build(struct lsm_merge_iter *merge) {
    merge->base.status = LSM_OK;
    merge->live = 0;
    for (size_t i = 0; i < merge->count; i++) {
        struct lsm_iter *source = merge->sources[i];
        if (source->valid)
            merge->heap[merge->live++] =
                (struct lsm_merge_item){.prefix = prefix_of(source->key, merge->skip), .iter = source, .source = (uint32_t)i};
        else if (source->status != LSM_OK) {
            fail(merge, source);
            return;
        }
    }
    for (size_t i = merge->live / 2; i-- > 0;) sift_down(merge, i);
    show(merge);
}

/* Move the source at heap place `at` one on and restore the heap. False: it failed. */
static bool advance(struct lsm_merge_iter *merge, size_t at) {
    struct lsm_iter *source = merge->heap[at].iter;
    if (merge->backward)
        lsm_iter_prev(source);
    else
        lsm_iter_next(source);
    if (source->valid) {
        merge->heap[at].prefix = prefix_of(source->key, merge->skip);
    } else {
        if (source->status != LSM_OK) {
            fail(merge, source);
            return false;
        }
        merge->heap[at] = merge->heap[--merge->live];
        if (at >= merge->live) return true;
    }
    sift_down(merge, at);
    return true;
}

/* Leave the current key behind: its older versions first (invariant 3), so that its bytes are there to compare with, then itself. */
static void step(struct lsm_merge_iter *merge) {
    while (merge->live > 1) {
        size_t second = merge->live > 2 && before(merge, &merge->heap[2], &merge->heap[1]) ? 2 : 1;
        if (key_order(&merge->heap[second], &merge->heap[0]) != 0) break;
        if (!advance(merge, second)) return;
    }
    if (advance(merge, 0)) show(merge);
}

/* Turn round: put every source on its first entry at or beyond the current key in the new direction. */
static bool turn(struct lsm_merge_iter *merge, bool backward) {
    merge->backward = backward;
    int status = lsm_buf_set(&merge->key, merge->base.key);
    if (status != LSM_OK) {
        merge->base.valid = false;
        merge->base.status = lsm_fail_nomem(&merge->base.err, merge->base.key.size);
        return false;
    }
    struct lsm_slice key = lsm_buf_slice(&merge->key);
    for (size_t i = 0; i < merge->count; i++) {
        struct lsm_iter *source = merge->sources[i];
        lsm_iter_seek(source, key);
        bool here = source->valid && lsm_slice_equal(source->key, key);
        if (backward && !here && (source->valid || source->status == LSM_OK)) lsm_iter_seek_before(source, key);
    }
    build(merge);
    return merge->base.valid;
}

static void merge_first(struct lsm_iter *iter) {
    struct lsm_merge_iter *merge = (struct lsm_merge_iter *)iter;
    merge->backward = false;
    for (size_t i = 0; i < merge->count; i++) lsm_iter_first(merge->sources[i]);
    build(merge);
}

static void merge_last(struct lsm_iter *iter) {
    struct lsm_merge_iter *merge = (struct lsm_merge_iter *)iter;
    merge->backward = true;
    for (size_t i = 0; i < merge->count; i++) lsm_iter_last(merge->sources[i]);
    build(merge);
}

static void merge_seek(struct lsm_iter *iter, struct lsm_slice key) {
    struct lsm_merge_iter *merge = (struct lsm_merge_iter *)iter;
    merge->backward = false;
    for (size_t i = 0; i < merge->count; i++) lsm_iter_seek(merge->sources[i], key);
    build(merge);
}

static void merge_seek_before(struct lsm_iter *iter, struct lsm_slice key) {
    struct lsm_merge_iter *merge = (struct lsm_merge_iter *)iter;
    merge->backward = true;
    for (size_t i = 0; i < merge->count; i++) lsm_iter_seek_before(merge->sources[i], key);
    build(merge);
}

/* With one source left there is nothing to compare: most scans of a settled store. It has moved on. */
static inline void show_alone(struct lsm_merge_iter *merge, const struct lsm_iter *source) {
    merge->base.valid = source->valid;
    if (source->valid) {
        merge->base.kind = source->kind;
        merge->base.key = source->key;
        merge->base.value = source->value;
        return;
    }
    merge->live = 0;
    if (source->status != LSM_OK) fail(merge, source);
}

static void merge_next(struct lsm_iter *iter) {
    struct lsm_merge_iter *merge = (struct lsm_merge_iter *)iter;
    if (merge->backward && !turn(merge, false)) return;
    if (merge->live == 1) {
        lsm_iter_next(merge->heap[0].iter);
        show_alone(merge, merge->heap[0].iter);
    } else {
        step(merge);
    }
}

static void merge_prev(struct lsm_iter *iter) {
    struct lsm_merge_iter *merge = (struct lsm_merge_iter *)iter;
    if (!merge->backward && !turn(merge, true)) return;
    if (merge->live == 1) {
        lsm_iter_prev(merge->heap[0].iter);
        show_alone(merge, merge->heap[0].iter);
    } else {
        step(merge);
    }
}

static void merge_release(struct lsm_iter *iter) {
    struct lsm_merge_iter *merge = (struct lsm_merge_iter *)iter;
    lsm_free(merge->heap);
    lsm_buf_free(&merge->key);
    merge->heap = NULL;
    merge->base.valid = false;
}

int lsm_merge_iter_init(struct lsm_merge_iter *merge, struct lsm_iter **sources, size_t count, size_t skip) {
    static const struct lsm_iter_ops ops = {.first = merge_first,
                                            .last = merge_last,
                                            .seek = merge_seek,
                                            .seek_before = merge_seek_before,
                                            .next = merge_next,
                                            .prev = merge_prev,
                                            .release = merge_release};
    *merge = (struct lsm_merge_iter){.base.ops = &ops, .sources = sources, .count = count, .skip = skip};
    merge->heap = lsm_calloc(count, sizeof *merge->heap);
    if (merge->heap == NULL) return LSM_NOMEM;
    return LSM_OK;
}
