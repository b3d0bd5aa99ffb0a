/* Views and point reads: from the newest source to the oldest, until one knows. */
#include "../sst/sst.h"
#include "store.h"

int lsm_view_open(struct lsm_store *store, struct lsm_txn *txn, struct lsm_view **out, struct lsm_error *err) {
    *out = NULL;
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) return status;
    struct lsm_view *view = lsm_malloc(sizeof *view);
    if (view == NULL) return lsm_fail_nomem(err, sizeof *view);
    view->store = store;
    view->of_txn = txn != NULL;
    if (txn != NULL) {
        view->state = lsm_txn_state(txn);
        lsm_state_ref(view->state);
        lsm_share_pin_copy(store->share, lsm_txn_pin(txn), &view->pin);
        view->position = lsm_txn_position(txn);
    } else {
        status = lsm_store_use_state(store, &view->state, &view->pin, &view->position, err);
    }
    if (status != LSM_OK) {
        lsm_free(view);
        return status;
    }
    (void)atomic_fetch_add_explicit(&store->pinned_views, 1, memory_order_relaxed);
    *out = view;
    return LSM_OK;
}

void lsm_view_close(struct lsm_view *view) {
    if (view == NULL || lsm_store_guard(view->store, NULL) != LSM_OK) return;
    (void)atomic_fetch_sub_explicit(&view->store->pinned_views, 1, memory_order_relaxed);
    lsm_store_unuse_state(view->store, view->state, &view->pin);
    lsm_free(view);
}

bool lsm_view_renew(struct lsm_view *view, const struct lsm_txn *txn) {
    if (view->state != lsm_txn_state(txn)) return false;
    view->position = lsm_txn_position(txn);
    return true;
}

uint64_t lsm_view_position(const struct lsm_view *view) { return view->position; }

/* ---- point reads ------------------------------------------------------------------------------------------------------- */

/* What a source says of a key. */
enum answer { ANSWER_NONE, ANSWER_PUT, ANSWER_GONE };

/* Sequence of the newest visible range delete over key in a memtable; 0: none. */
static uint64_t range_over(const struct lsm_memtable *mt, struct lsm_slice key, uint64_t position) {
    for (const struct lsm_mem_range *range = lsm_memtable_ranges(mt, position); range != NULL; range = lsm_memtable_range_next(range))
        if (lsm_slice_compare(range->low, key) <= 0 && lsm_slice_compare(key, range->high) < 0) return range->sequence + 1;
    return 0;
}

/* writer: this is the active memtable of the thread's own transaction; the place found is kept for the change that may follow. */
static enum answer ask_memtable(struct lsm_memtable *mt, bool writer, struct lsm_slice key, uint64_t position, struct lsm_value *value) {
    struct lsm_mem_hit hit;
    bool found = writer ? lsm_memtable_get_writer(mt, key, position, &hit) : lsm_memtable_get(mt, key, position, &hit);
    uint64_t range = range_over(mt, key, position);
    if (!found || hit.sequence + 1 <= range) return range != 0 ? ANSWER_GONE : ANSWER_NONE;
    if (hit.kind != LSM_KIND_PUT) return ANSWER_GONE;
    if (value != NULL) value->bytes = hit.value;
    return ANSWER_PUT;
}

/* Is the key in a range tombstone of this file? */
static bool file_range_over(const struct lsm_sst *sst, struct lsm_slice key) {
    size_t count = 0;
    const struct lsm_sst_range *ranges = lsm_sst_ranges(sst, &count);
    for (size_t i = 0; i < count; i++)
        if (lsm_slice_compare(ranges[i].low, key) <= 0 && lsm_slice_compare(key, ranges[i].high) < 0) return true;
    return false;
}

/* What keeps a value where it is: the block it lies in; and of lsm_txn_get() (passing), whose transaction may move on to another state before the value
 * is released, the state. */
static void pin_value(const struct lsm_view *view, bool passing, struct lsm_value *value, const struct lsm_sst_pin *table) {
    if (table->entry != NULL) *value = (struct lsm_value){.bytes = table->value, .cache = table->cache, .block = table->entry};
    if (!passing) return;
    lsm_state_ref(view->state);
    value->state = view->state;
}

/* A key that is looked for. */
struct question {
    const struct lsm_view *view;
    uint32_t tree;
    struct lsm_slice key; /* full */
    uint64_t hash;        /* of it, once `hashed` */
    bool hashed;
    bool wants_value;
    struct lsm_sst_pin pin;     /* the value found in a table */
    struct lsm_value in_memory; /* ... or in a memtable */
};

enum { MANY_GENS = 5 }; /* fewer are asked one after the other */

static int ask_run(struct question *q, const struct lsm_run *run, enum answer *answer, struct lsm_error *err) {
    struct lsm_store *store = q->view->store;
    struct lsm_file_meta *meta = lsm_run_file(run, q->key);
    struct lsm_sst *sst = NULL;
    enum lsm_kind kind = LSM_KIND_PUT;
    if (meta == NULL) return LSM_OK;
    if (!q->hashed) q->hash = lsm_sst_key_hash(q->key);
    q->hashed = true;
    int status = lsm_version_set_table(&store->set, meta, &sst, err);
    if (status != LSM_OK) return status;
    lsm_count_read(store, LSM_COUNT_FILTER_PROBES);
    if (lsm_sst_may_contain(sst, q->hash)) {
        status = lsm_sst_get(sst, q->key, &kind, q->wants_value ? &q->pin : NULL, err);
        if (status == LSM_OK) *answer = kind == LSM_KIND_DELETE ? ANSWER_GONE : ANSWER_PUT;
        if (*answer != ANSWER_PUT) lsm_sst_pin_release(&q->pin);
        if (status != LSM_NOTFOUND) return status;
    } else {
        lsm_count_read(store, LSM_COUNT_FILTER_NEGATIVES);
    }
    if (meta->range_tombstones != 0 && file_range_over(sst, q->key)) *answer = ANSWER_GONE;
    return LSM_OK;
}

static int ask_version(struct question *q, const struct lsm_version *version, enum answer *answer, struct lsm_error *err) {
    int status = LSM_OK;
    for (size_t r = 0; r < version->level0_count && *answer == ANSWER_NONE && status == LSM_OK; r++)
        status = ask_run(q, &version->level0[r], answer, err);
    for (int level = 1; level < LSM_LEVELS && *answer == ANSWER_NONE && status == LSM_OK; level++)
        if (version->levels[level].count != 0) status = ask_run(q, &version->levels[level], answer, err);
    return status;
}

/* The pieces of a large transaction are many, and mostly all are asked: their filters are waited for together, behind the walk through memory. */
static void look_ahead(struct question *q) {
    const struct lsm_state *state = q->view->state;
    q->hash = lsm_sst_key_hash(q->key);
    q->hashed = true;
    for (size_t i = 0; i < state->gens_count; i++) {
        const struct lsm_version *files = state->gens[i]->files;
        for (size_t r = 0; files != NULL && r < files->level0_count; r++) {
            const struct lsm_file_meta *meta = lsm_run_file(&files->level0[r], q->key);
            const struct lsm_sst *sst = meta == NULL ? NULL : atomic_load_explicit(&meta->sst, memory_order_acquire);
            if (sst != NULL) lsm_sst_prefetch(sst, q->hash);
        }
    }
}

/* From the newest to the oldest. */
static int ask_all(struct question *q, enum answer *answer, struct lsm_error *err) {
    const struct lsm_state *state = q->view->state;
    int status = LSM_OK;
    if (state->gens_count >= MANY_GENS) look_ahead(q);
    for (size_t i = 0; i < state->gens_count && *answer == ANSWER_NONE && status == LSM_OK; i++) {
        struct lsm_gen *gen = state->gens[i];
        struct lsm_memtable *mt = gen->files != NULL ? NULL : lsm_gen_find(gen, q->tree);
        if (gen->files != NULL)
            status = ask_version(q, gen->files, answer, err);
        else if (mt != NULL)
            *answer = ask_memtable(mt, q->view->of_txn && i == 0, q->key, q->view->position, q->wants_value ? &q->in_memory : NULL);
    }
    if (*answer == ANSWER_NONE && status == LSM_OK) status = ask_version(q, state->version, answer, err);
    return status;
}

enum { SMALL_KEY_BYTES = 256 };

/* passing: the view is gone when the caller is done. */
static int get(struct lsm_view *view, bool passing, uint32_t tree, struct lsm_slice key, struct lsm_value *value, struct lsm_error *err) {
    uint8_t small[LSM_TREE_BYTES + SMALL_KEY_BYTES];
    uint8_t *full = small;
    enum answer answer = ANSWER_NONE;
    int status = lsm_store_guard(view->store, err);
    if (status != LSM_OK) return status;
    if (key.size > LSM_KEY_BYTES_MAX) return LSM_NOTFOUND; /* too long to be in any store */
    if (key.size > SMALL_KEY_BYTES) {
        full = lsm_malloc(LSM_TREE_BYTES + key.size);
        if (full == NULL) return lsm_fail_nomem(err, key.size);
    }
    lsm_store_be32(full, tree);
    if (key.size != 0) memcpy(full + LSM_TREE_BYTES, key.data, key.size);
    struct question q = {.view = view, .tree = tree, .key = lsm_slice_of(full, LSM_TREE_BYTES + key.size), .wants_value = value != NULL};
    if (value != NULL) lsm_value_release(value);
    status = ask_all(&q, &answer, err);
    if (value != NULL && status == LSM_OK && answer == ANSWER_PUT) {
        *value = q.in_memory;
        pin_value(view, passing, value, &q.pin);
    }
    lsm_count_read(view->store, LSM_COUNT_GETS);
    if (status == LSM_OK && answer == ANSWER_PUT) lsm_count_read(view->store, LSM_COUNT_GET_HITS);
    if (full != small) lsm_free(full);
    if (status != LSM_OK) return status;
    return answer == ANSWER_PUT ? LSM_OK : LSM_NOTFOUND;
}

int lsm_view_get(struct lsm_view *view, uint32_t tree, struct lsm_slice key, struct lsm_value *value, struct lsm_error *err) {
    return get(view, false, tree, key, value, err);
}

int lsm_txn_get(struct lsm_txn *txn, uint32_t tree, struct lsm_slice key, struct lsm_value *value, struct lsm_error *err) {
    struct lsm_state *state = lsm_txn_state(txn);
    struct lsm_view now = {.store = state->store, .state = state, .position = lsm_txn_position(txn), .of_txn = true};
    return get(&now, true, tree, key, value, err);
}

void lsm_value_release(struct lsm_value *value) {
    struct lsm_sst_pin table = {.cache = value->cache, .entry = value->block};
    if (value->block != NULL) lsm_sst_pin_release(&table);
    lsm_state_unref(value->state);
    *value = (struct lsm_value){0};
}

/* ---- estimates ------------------------------------------------------------------------------------------------------------ */

static void estimate_run(const struct lsm_view *view, const struct lsm_run *run, const struct lsm_slice *low, const struct lsm_slice *high,
                         struct lsm_estimate *sum) {
    bool any = false;
    size_t at = low == NULL ? 0 : lsm_run_find(run, *low); /* LCOV_EXCL_BR_LINE: lsm_view_estimate() tells both bounds */
    for (; at < run->count; at++) {
        struct lsm_file_meta *meta = run->files[at];
        struct lsm_sst *sst = NULL;
        double bytes = 0, entries = 0;
        /* LCOV_EXCL_BR_LINE: the same */
        if (high != NULL && lsm_slice_compare(lsm_buf_slice(&meta->smallest), *high) >= 0) break;
        if (lsm_version_set_table(&view->store->set, meta, &sst, NULL) != LSM_OK) continue; /* who reads it will say why */
        lsm_sst_estimate(sst, low, high, &bytes, &entries);
        sum->bytes += bytes;
        sum->rows += entries;
        any = true;
    }
    sum->sources += any;
}

static void estimate_memtable(const struct lsm_memtable *mt, const struct lsm_slice *low, const struct lsm_slice *high, struct lsm_estimate *sum) {
    size_t keys = lsm_memtable_estimate(mt, low, high), all = lsm_memtable_keys(mt);
    sum->rows += (double)keys;
    if (all != 0) sum->bytes += (double)lsm_memtable_bytes(mt) * (double)keys / (double)all;
    sum->sources++;
}

static void estimate_version(const struct lsm_view *view, const struct lsm_version *version, const struct lsm_slice *low,
                             const struct lsm_slice *high, struct lsm_estimate *sum) {
    for (size_t r = 0; r < version->level0_count; r++) estimate_run(view, &version->level0[r], low, high, sum);
    for (int level = 1; level < LSM_LEVELS; level++)
        if (version->levels[level].count != 0) estimate_run(view, &version->levels[level], low, high, sum);
}

void lsm_view_estimate(struct lsm_view *view, uint32_t tree, const struct lsm_slice *low, const struct lsm_slice *high,
                       struct lsm_estimate *estimate) {
    struct lsm_buf low_key = {0}, high_key = {0};
    *estimate = (struct lsm_estimate){0};
    if (lsm_store_guard(view->store, NULL) != LSM_OK) return;
    int status = lsm_full_key(&low_key, tree, low == NULL ? (struct lsm_slice){0} : *low);
    if (status == LSM_OK) status = high == NULL ? lsm_full_key(&high_key, tree + 1, (struct lsm_slice){0}) : lsm_full_key(&high_key, tree, *high);
    if (status == LSM_OK) {
        struct lsm_slice from = lsm_buf_slice(&low_key), to = lsm_buf_slice(&high_key);
        for (size_t i = 0; i < view->state->gens_count; i++) {
            const struct lsm_gen *gen = view->state->gens[i];
            const struct lsm_memtable *mt = gen->files != NULL ? NULL : lsm_gen_find(gen, tree);
            if (gen->files != NULL)
                estimate_version(view, gen->files, &from, &to, estimate);
            else if (mt != NULL)
                estimate_memtable(mt, &from, &to, estimate);
        }
        estimate_version(view, view->state->version, &from, &to, estimate);
    }
    lsm_buf_free(&low_key);
    lsm_buf_free(&high_key);
}
