/* What readers stand on: generations and a version, replaced as a whole. */
#include "store.h"

#include <assert.h>

struct lsm_state *lsm_state_new(struct lsm_store *store, size_t gens) {
    struct lsm_state *state = lsm_calloc(1, sizeof *state + gens * sizeof(struct lsm_gen *));
    if (state == NULL) return NULL;
    atomic_store_explicit(&state->refs, 1, memory_order_relaxed);
    state->store = store;
    return state;
}

void lsm_state_ref(struct lsm_state *state) { (void)atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed); }

void lsm_state_unref(struct lsm_state *state) {
    if (state == NULL || atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < state->gens_count; i++) lsm_gen_unref(state->gens[i]);
    if (state->version != NULL) lsm_version_set_unref(&state->store->set, state->version); /* LCOV_EXCL_BR_LINE: one that was used has a version */
    lsm_free(state);
}

struct lsm_state *lsm_store_ref_state(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    struct lsm_state *state = store->state;
    lsm_state_ref(state);
    lsm_mutex_unlock(&store->mu);
    return state;
}

struct search {
    uint64_t number;
    bool found;
};

static bool is_number(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct search *search = arg;
    (void)level;
    (void)run;
    search->found = meta->number == search->number;
    return !search->found;
}

bool lsm_state_names(const struct lsm_state *state, uint64_t number) {
    struct search search = {.number = number};
    lsm_version_each(state->version, is_number, &search);
    for (size_t i = 0; i < state->gens_count && !search.found; i++) {
        if (state->gens[i]->files != NULL) lsm_version_each(state->gens[i]->files, is_number, &search);
    }
    return search.found;
}

bool lsm_pending_names(struct lsm_store *store, uint64_t number) {
    struct search search = {.number = number};
    lsm_mutex_lock(&store->mu);
    const struct lsm_seal *seal = &store->pending.seal;
    if (seal->files != NULL && !seal->installed) lsm_version_each(seal->files->files, is_number, &search);
    lsm_mutex_unlock(&store->mu);
    return search.found;
}

/* Fill `next` from `old`. Sealed generations that end at or below drop_below are left out: the version has their rows. */
static void fill_state(struct lsm_state *next, const struct lsm_state *old, struct lsm_gen *new_active, struct lsm_gen *files, uint64_t drop_below) {
    if (new_active != NULL) next->gens[next->gens_count++] = new_active;
    if (files != NULL) next->gens[next->gens_count++] = files;
    for (size_t i = 0; i < old->gens_count; i++) {
        bool sealed = new_active != NULL || i > 0;
        if (sealed && old->gens[i]->end <= drop_below) continue;
        lsm_gen_ref(old->gens[i]);
        next->gens[next->gens_count++] = old->gens[i];
    }
}

struct lsm_state *lsm_store_spare(struct lsm_store *store, struct lsm_error *err) {
    /* Only the writer adds generations, up to LSM_GENS_MAX of them; recovery may have found more. */
    lsm_mutex_lock(&store->mu);
    size_t most = store->state->gens_count + 2 > LSM_GENS_MAX ? store->state->gens_count + 2 : LSM_GENS_MAX;
    lsm_mutex_unlock(&store->mu);
    struct lsm_state *spare = lsm_state_new(store, most);
    int status = spare == NULL ? lsm_fail_nomem(err, sizeof *spare) : LSM_OK;
    (void)status;
    return spare;
}

struct lsm_state *lsm_store_swap(struct lsm_store *store, struct lsm_state *spare, struct lsm_gen *new_active, struct lsm_gen *files,
                                 uint64_t drop_below) {
    struct lsm_state *old = store->state;
    assert(files == NULL || new_active != NULL);
    /* A version that covers more of the log than is in memory waits until the log was followed: a view of both would have a hole. */
    struct lsm_version *version = lsm_version_set_ref_current(&store->set);
    uint64_t complete = new_active != NULL ? new_active->start : old->gens[0]->start;
    if (version->log_position > complete && version->log_position > lsm_store_applied(store)) {
        int refs = atomic_fetch_sub_explicit(&version->refs, 1, memory_order_relaxed);
        assert(refs > 1); /* the set has it */
        (void)refs;
        version = old->version;
        lsm_version_ref(version);
    }
    if (version->log_position > drop_below) drop_below = version->log_position;
    if (version->log_position != old->version->log_position) lsm_store_flushed_trees(store, version->log_position);
    fill_state(spare, old, new_active, files, drop_below);
    spare->version = version;
    return lsm_store_replace(store, spare);
}

struct lsm_state *lsm_store_replace(struct lsm_store *store, struct lsm_state *state) {
    struct lsm_state *old = store->state;
    store->state = state;
    store->shape_changed = true;
    atomic_store_explicit(&store->sealed, (int)state->gens_count - 1, memory_order_relaxed);
    atomic_store_explicit(&store->level0_runs, (int)state->version->level0_count, memory_order_relaxed);
    return old;
}

void lsm_store_install(struct lsm_store *store, struct lsm_state *spare, struct lsm_gen *new_active, uint64_t drop_below) {
    lsm_mutex_lock(&store->mu);
    struct lsm_state *old = lsm_store_swap(store, spare, new_active, NULL, drop_below);
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
}
