/* File generations: table files of one transaction between the memtables, as RUNS records will bring them, read, flushed, given up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/store/store.h"
#include "world_kit.h"

static void start(uint64_t seed) {
    world_init(&world, lsm_env_mem_new_strict(), seed);
    open_with_trees(1);
}

static struct world_state *now(void) { return &world.history[world.commits - 1]; }

static void must_match(const char *when) {
    struct lsm_view *view = NULL;
    MUST(lsm_view_open(world.store, NULL, &view, &world.err));
    const char *wrong = model_differs(&now()->rows[0], view, now()->trees[0].tree);
    if (wrong != NULL) fail_msg("%s: %s", when, wrong);
    lsm_view_close(view);
}

static size_t count_tables(void) {
    struct lsm_names names = {0};
    size_t count = 0;
    MUST(lsm_env_list(world.env, world.options.dir, &names, &world.err));
    for (size_t i = 0; i < names.count; i++) count += strstr(names.names[i], ".sst") != NULL;
    lsm_names_free(&names);
    return count;
}

/* ---- a transaction in a memtable of its own -------------------------------------------------------------------------- */

struct private {
    struct lsm_gen *gen;
    struct lsm_buf scratch;
    uint64_t sequence;
};

static void open_private(struct private *own) {
    *own = (struct private){.gen = lsm_gen_new(world.store->state->gens[0]->end), .sequence = 1};
    assert_non_null(own->gen);
}

static void close_private(struct private *own) {
    lsm_gen_unref(own->gen);
    lsm_buf_free(&own->scratch);
}

static void apply(struct private *own, struct lsm_op op) {
    op.tree = now()->trees[0].tree;
    MUST(lsm_gen_apply(own->gen, NULL, &op, own->sequence++, &own->scratch));
}

static void put(struct private *own, unsigned key) {
    uint8_t buffer[MODEL_VALUE_BYTES_MAX];
    uint32_t value = ++world.next_value;
    apply(own, (struct lsm_op){.kind = LSM_OP_PUT, .key = model_key(key), .value = model_value(value, buffer)});
    now()->rows[0].values[key] = value;
}

static void delete (struct private *own, unsigned key) {
    apply(own, (struct lsm_op){.kind = LSM_OP_DELETE, .key = model_key(key)});
    now()->rows[0].values[key] = 0;
}

static void delete_range(struct private *own, unsigned low, unsigned high) {
    apply(own, (struct lsm_op){.kind = LSM_OP_DELETE_RANGE, .key = model_key(low), .value = model_key(high)});
    for (unsigned key = low; key < high; key++) now()->rows[0].values[key] = 0;
}

static void change_at_random(struct private *own, unsigned rows) {
    while (rows-- > 0) {
        unsigned key = (unsigned)model_below(&world.random, MODEL_KEYS), kind = (unsigned)model_below(&world.random, 12);
        unsigned high = key + 20 < MODEL_KEYS ? key + 20 : MODEL_KEYS - 1;
        if (kind == 0 && key < high)
            delete_range(own, key, high);
        else if (kind < 4)
            delete (own, key);
        else
            put(own, key);
    }
}

/* Put a file generation where a committed transaction's would stand: above all there is, below a new active one. */
static void install(struct lsm_gen *files) {
    struct lsm_store *store = world.store;
    /* It stands for records of the log, which lie behind all that was flushed before. */
    MUST(world_begin(&world));
    MUST(world_put(&world, 0, 0));
    MUST(world_prepare(&world, LSM_SYNC_OFF));
    MUST(world_rollback(&world));
    MUST(lsm_store_lock_writer(store, 0, &world.err));
    MUST(lsm_store_roll(store, &world.err));
    struct lsm_state *spare = lsm_store_spare(store, &world.err);
    struct lsm_gen *fresh = lsm_gen_new(store->state->gens[0]->end);
    assert_non_null(spare);
    assert_non_null(fresh);
    files->start = files->end = fresh->start;
    lsm_mutex_lock(&store->mu);
    struct lsm_state *old = lsm_store_swap(store, spare, fresh, files, 0);
    lsm_mutex_unlock(&store->mu);
    lsm_state_unref(old);
    lsm_store_unlock_writer(store);
}

static struct lsm_gen *spill(struct private *own, uint64_t from, uint64_t to) {
    struct lsm_gen *files = NULL;
    MUST(lsm_spill(world.store, own->gen, from, to, false, &files, &world.err));
    return files;
}

/* ---- tests ------------------------------------------------------------------------------------------------------------- */

static void generations_in_memory_and_in_files_are_read_in_the_order_of_their_age(void **state) {
    (void)state;
    const char *given = getenv("LSM_TEST_SEED");
    uint64_t seed = given == NULL ? 1 : strtoull(given, NULL, 10);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t run = 0; run < 40; run++) {
        start(seed * 1000 + run);
        for (unsigned step = 0; step < 30; step++) {
            unsigned what = (unsigned)model_below(&world.random, 8);
            struct private own;
            if (what < 3) MUST(world_write(&world, 0, 6, LSM_SYNC_OFF));
            if (what == 3) MUST(world_flush(&world));
            if (what == 4) MUST(world_compact(&world));
            if (what >= 5 && world.store->state->gens_count + 3 < LSM_GENS_MAX) {
                open_private(&own);
                change_at_random(&own, 1 + (unsigned)model_below(&world.random, 30));
                uint64_t middle = what == 5 ? 1 + model_below(&world.random, own.sequence) : own.sequence;
                struct lsm_gen *older = spill(&own, 0, middle), *newer = spill(&own, middle, UINT64_MAX);
                if (older != NULL) install(older);
                if (newer != NULL) install(newer);
                close_private(&own);
            }
            char when[40];
            (void)snprintf(when, sizeof when, "run %u, step %u, kind %u", (unsigned)run, step, what);
            must_match(when);
        }
        MUST(world_flush(&world));
        must_match("flushed");
        const char *wrong = world_check(world.store);
        if (wrong != NULL) fail_msg("run %llu: %s", (unsigned long long)run, wrong);
        MUST(world_close(&world));
        MUST(world_open(&world));
        must_match("reopened");
        MUST(world_compact(&world));
        must_match("compacted");
        finish();
    }
}

static void a_spill_takes_the_versions_of_its_interval_only(void **state) {
    (void)state;
    start(2);
    struct private own;
    open_private(&own);
    put(&own, 1);
    put(&own, 2);
    put(&own, 3);
    struct model first = now()->rows[0];
    uint64_t mark = own.sequence;
    put(&own, 2);
    delete (&own, 3);
    delete (&own, 50); /* was never there as far as is known here: the tombstone stays */
    struct lsm_gen *older = spill(&own, 0, mark), *newer = spill(&own, mark, UINT64_MAX), *none = spill(&own, own.sequence, UINT64_MAX);
    assert_null(none);
    const struct lsm_file_meta *meta = newer->files->level0[0].files[0];
    assert_int_equal(meta->entries, 3);
    assert_int_equal(meta->tombstones, 2);
    assert_int_equal(meta->compression, world.options.compression);
    struct model both = now()->rows[0];
    now()->rows[0] = first;
    install(older);
    must_match("the older half");
    now()->rows[0] = both;
    install(newer);
    must_match("both halves");
    close_private(&own);
    finish();
}

static void a_flush_adopts_files_as_they_are(void **state) {
    (void)state;
    start(3);
    struct private own;
    open_private(&own);
    change_at_random(&own, 40);
    struct lsm_gen *files = spill(&own, 0, UINT64_MAX);
    uint64_t number = files->files->level0[0].files[0]->number;
    install(files);
    MUST(world_write(&world, 0, 5, LSM_SYNC_OFF));
    MUST(world_flush(&world));
    assert_int_equal(world.store->state->gens_count, 1);
    assert_int_equal(world.store->state->version->level0_count, 2);
    assert_int_equal(world.store->state->version->level0[1].files[0]->number, number);
    must_match("adopted");
    close_private(&own);
    finish();
}

static void files_that_are_given_up_go_with_their_last_reader(void **state) {
    (void)state;
    start(4);
    struct private own;
    open_private(&own);
    change_at_random(&own, 40);
    struct model before = now()->rows[0];
    struct lsm_gen *files = spill(&own, 0, UINT64_MAX);
    assert_int_equal(count_tables(), 1);
    lsm_gen_ref(files);
    lsm_gen_abandon(files, NULL, 0);
    lsm_gen_unref(files);
    assert_int_equal(count_tables(), 1);
    lsm_gen_unref(files);
    assert_int_equal(count_tables(), 0);
    now()->rows[0] = before;
    close_private(&own);
    finish();
}

/* What a failed edit may have named is removed when a new manifest stands, but not what somebody still has. */
static void files_survive_a_flush_whose_edit_failed(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        start(5);
        struct private own;
        for (unsigned i = 0; i < 3; i++) {
            MUST(world_write(&world, 0, 30, LSM_SYNC_OFF));
            MUST(world_flush(&world));
        }
        open_private(&own);
        change_at_random(&own, 40);
        install(spill(&own, 0, UINT64_MAX));
        close_private(&own);
        struct lsm_env_fault fault = {.ops = LSM_ENV_SYNC, .at = 1, .keep_on_sync = true};
        lsm_env_mem_fail_at(world.env, &fault);
        assert_int_not_equal(lsm_store_flush(world.store, NULL, NULL, &world.err), LSM_OK);
        lsm_env_mem_fail_at(world.env, NULL);
        must_match("after the failure");
        /* Another edit comes first: that of a merge. */
        if (way == 1) MUST(lsm_store_compact(world.store, NULL, NULL, &world.err));
        must_match("after a merge");
        MUST(world_flush(&world));
        must_match("after another flush");
        MUST(world_flush(&world));
        if (way == 2) MUST(world_compact(&world));
        MUST(world_close(&world));
        MUST(world_open(&world));
        must_match("reopened");
        const char *wrong = world_check(world.store);
        if (wrong != NULL) fail_msg("way %d: %s", way, wrong);
        finish();
    }
}

static void an_estimate_counts_files_of_generations(void **state) {
    (void)state;
    start(6);
    struct private own;
    struct lsm_view *view = NULL;
    struct lsm_estimate estimate;
    open_private(&own);
    for (unsigned key = 0; key < MODEL_KEYS; key++) put(&own, key);
    install(spill(&own, 0, UINT64_MAX));
    MUST(lsm_view_open(world.store, NULL, &view, &world.err));
    lsm_view_estimate(view, now()->trees[0].tree, NULL, NULL, &estimate);
    assert_true(estimate.rows > MODEL_KEYS / 2 && estimate.rows < 2 * MODEL_KEYS);
    assert_true(estimate.bytes > 0);
    lsm_view_close(view);
    const char *wrong = world_check(world.store);
    if (wrong != NULL) fail_msg("%s", wrong);
    close_private(&own);
    finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generations_in_memory_and_in_files_are_read_in_the_order_of_their_age),
        cmocka_unit_test(a_spill_takes_the_versions_of_its_interval_only),
        cmocka_unit_test(a_flush_adopts_files_as_they_are),
        cmocka_unit_test(files_that_are_given_up_go_with_their_last_reader),
        cmocka_unit_test(files_survive_a_flush_whose_edit_failed),
        cmocka_unit_test(an_estimate_counts_files_of_generations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
