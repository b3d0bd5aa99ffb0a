/* What readers stand on: generations and a version, replaced as a whole. */
#include "store.h"

struct lsm_state *lsm_state_new(struct lsm_store *store, size_t gens) {
    struct lsm_state *state = lsm_calloc(1, sizeof *state + gens * sizeof(struct lsm_gen *));
    if (state == NULL) return NULL;
    atomic_store_explicit(&state->refs, 1, memory_order_relaxed);
    state->store = store;
    return state;
}

void lsm_state_unref(struct lsm_state *state) {
    if (state == NULL || atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < state->gens_count; i++) lsm_gen_unref(state->gens[i]);
    if (state->version != NULL) lsm_version_set_unref(&state->store->set, state->version);
    lsm_free(state);
}

struct lsm_state *lsm_store_ref_state(struct lsm_store *store) {
    lsm_mutex_lock(&store->mu);
    struct lsm_state *state = store->state;
    (void)atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
    lsm_mutex_unlock(&store->mu);
    return state;
}

/* Fill `next` from `old`. Sealed generations that end at or below drop_below are left out: the version has their rows. */
static void fill_state(struct lsm_state *next, const struct lsm_state *old, struct lsm_gen *new_active, uint64_t drop_below) {
    if (new_active != NULL) next->gens[next->gens_count++] = new_active;
    for (size_t i = 0; i < old->gens_count; i++) {
        bool sealed = new_active != NULL || i > 0;
        if (sealed && old->gens[i]->end <= drop_below) continue;
        lsm_gen_ref(old->gens[i]);
        next->gens[next->gens_count++] = old->gens[i];
    }
}

int lsm_store_install(struct lsm_store *store, struct lsm_gen *new_active, uint64_t drop_below, struct lsm_error *err) {
    struct lsm_state *next = NULL;
    size_t room = 0;
    lsm_mutex_lock(&store->mu);
    /* Memory is not taken under the lock: if the list grew meanwhile, once more. */
    while (next == NULL || room < store->state->gens_count + 1) {
        room = store->state->gens_count + 1;
        lsm_mutex_unlock(&store->mu);
        lsm_free(next);
        next = lsm_state_new(store, room);
        if (next == NULL) return lsm_fail_nomem(err, sizeof *next);
        lsm_mutex_lock(&store->mu);
    }
    struct lsm_state *old = store->state;
    fill_state(next, old, new_active, drop_below);
    next->version = lsm_version_set_ref_current(&store->set);
    store->state = next;
    store->shape_changed = true;
    atomic_store_explicit(&store->sealed, (int)next->gens_count - 1, memory_order_relaxed);
    atomic_store_explicit(&store->level0_runs, (int)next->version->level0_count, memory_order_relaxed);
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
    return LSM_OK;
}
