/* Several processes with one store, in one program: random transactions of theirs against one plain array. Whoever looks sees what was committed last,
 * whoever did it; processes come, go, and are killed at any operation. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/env/env_mem.h"
#include "../support/model.h"

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "share-model-test";

enum { PROCESSES = 4, VIEWS = 2, HISTORY = 6000 };

struct process {
    struct lsm_env *env; /* NULL: not started */
    struct lsm_store *store;
    struct {
        struct lsm_view *view;
        struct model model;
    } views[VIEWS];
};

struct run {
    struct lsm_env *disk;
    struct lsm_options options;
    struct process processes[PROCESSES];
    struct model_random random;
    uint32_t tree, next_value;
    int threads;
    struct model committed;
    struct model perhaps; /* of a transaction whose process was killed in its commit */
    bool in_doubt;
    uint8_t tokens[HISTORY][LSM_TOKEN_BYTES]; /* of the transactions that the database committed */
    size_t tokens_count;
    struct model history[HISTORY]; /* after each commit */
    size_t commits, durable;
    struct {
        unsigned commits, rollbacks, flushes, compactions, joins, leaves, kills, crashes, old_views, busy, large;
    } counts;
};

static void must(int status, const struct lsm_error *err) {
    if (status != LSM_OK) fail_msg("%s: %s", lsm_status_name(status), err->text);
}

static unsigned below(struct run *run, unsigned limit) { return (unsigned)model_below(&run->random, limit); }

static bool is_dead(const struct process *process) { return lsm_env_mem_is_killed(process->env); }

/* A step of a process that may be killed in it: what fails then is no failure. */
static bool went(struct process *process, int status, const struct lsm_error *err) {
    if (is_dead(process)) return false;
    must(status, err);
    return true;
}

/* ---- processes ------------------------------------------------------------------------------------------------------- */

static void join(struct run *run, struct process *process) {
    struct lsm_error err = {0};
    struct lsm_options options = run->options;
    process->env = lsm_env_mem_process(run->disk);
    assert_non_null(process->env);
    options.env = process->env;
    options.threads = below(run, 2) == 0 ? 0 : run->threads;
    options.map_bytes = below(run, 2) == 0 ? 0 : UINT64_MAX;
    must(lsm_store_open(&options, &process->store, &err), &err);
    run->counts.joins++;
}

static void drop_view(struct run *run, struct process *process, size_t i) {
    if (process->views[i].view == NULL) return;
    const char *wrong = is_dead(process) ? NULL : model_differs(&process->views[i].model, process->views[i].view, run->tree);
    if (wrong != NULL && !is_dead(process)) fail_msg("an old view: %s", wrong);
    lsm_view_close(process->views[i].view);
    process->views[i].view = NULL;
    run->counts.old_views++;
}

static void drop_views(struct run *run, struct process *process) {
    for (size_t i = 0; i < VIEWS; i++) drop_view(run, process, i);
}

/* What a dead process had in memory is given back; it changes nothing any more. */
static void bury(struct run *run, struct process *process) {
    drop_views(run, process);
    (void)lsm_store_close(process->store, NULL);
    lsm_env_mem_free(process->env);
    *process = (struct process){0};
    run->counts.kills++;
}

static void leave(struct run *run, struct process *process) {
    struct lsm_error err = {0};
    drop_views(run, process);
    must(lsm_store_close(process->store, &err), &err);
    lsm_env_mem_free(process->env);
    *process = (struct process){0};
    run->counts.leaves++;
}

/* What the database says of a transaction that waits: it has the tokens of those that were committed there. */
static void settle(struct run *run, struct process *process) {
    uint8_t token[LSM_TOKEN_BYTES];
    struct lsm_error err = {0};
    if (lsm_store_pending(process->store, token) == LSM_PENDING_NONE) return;
    enum lsm_decision decision = LSM_DECISION_ABORT;
    for (size_t i = 0; i < run->tokens_count; i++)
        if (memcmp(token, run->tokens[i], sizeof token) == 0) decision = LSM_DECISION_COMMIT;
    must(lsm_store_settle(process->store, token, decision, 1000, &err), &err);
}

/* Which of the two did the commit of a killed process come to? */
static void resolve(struct run *run, struct process *process) {
    struct lsm_error err = {0};
    struct lsm_view *view = NULL;
    struct lsm_txn *txn = NULL;
    struct model found;
    if (!run->in_doubt) return;
    /* Known when the next writer has looked. */
    int status = lsm_txn_begin(process->store, UINT64_MAX, 1000, &txn, &err);
    if (status == LSM_UNDECIDED)
        settle(run, process);
    else
        must(status, &err);
    if (status == LSM_OK) must(lsm_txn_rollback(txn, &err), &err);
    must(lsm_view_open(process->store, NULL, &view, &err), &err);
    const char *wrong = model_read(&found, view, run->tree);
    if (wrong != NULL) fail_msg("after a kill: %s", wrong);
    lsm_view_close(view);
    run->in_doubt = false;
    if (memcmp(&found, &run->committed, sizeof found) == 0) return;
    if (memcmp(&found, &run->perhaps, sizeof found) != 0) {
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            if (run->committed.values[key] != found.values[key] || run->perhaps.values[key] != found.values[key])
                print_message("  key %u: %u, was %u, to be %u\n", key, found.values[key], run->committed.values[key], run->perhaps.values[key]);
        fail_msg("after a kill: neither what was nor what was to be");
    }
    run->committed = found;
    run->history[run->commits++] = found;
}

static struct process *living(struct run *run) {
    struct process *process = &run->processes[below(run, PROCESSES)];
    if (process->env != NULL && is_dead(process)) bury(run, process);
    if (process->env == NULL) join(run, process);
    resolve(run, process);
    return process;
}

/* ---- steps ------------------------------------------------------------------------------------------------------------- */

static int change(struct run *run, struct lsm_txn *txn, struct model *model) {
    static uint8_t buffer[MODEL_VALUE_BYTES_MAX];
    unsigned key = below(run, MODEL_KEYS), kind = below(run, 40);
    if (kind == 0) {
        unsigned high = key + below(run, 20);
        if (high >= MODEL_KEYS) high = MODEL_KEYS - 1;
        int status = lsm_txn_delete_range(txn, run->tree, model_key(key), model_key(high), NULL);
        for (; key < high && status == LSM_OK; key++) model->values[key] = 0;
        return status;
    }
    uint32_t value = kind < 10 ? 0 : ++run->next_value;
    model->values[key] = value;
    if (value == 0) return lsm_txn_delete(txn, run->tree, model_key(key), NULL);
    return lsm_txn_put(txn, run->tree, model_key(key), model_value(value, buffer), NULL);
}

/* The changes; false: the process died. */
static bool fill(struct run *run, struct process *process, struct lsm_txn *txn, struct model *now) {
    struct lsm_error err = {0};
    bool large = below(run, 40) == 0;
    unsigned changes = large ? 300 : below(run, 12);
    run->counts.large += large;
    struct model saved = *now;
    uint64_t mark = lsm_txn_mark(txn);
    for (unsigned i = 0; i < changes; i++) {
        if (below(run, 60) == 0) {
            if (!went(process, lsm_txn_rollback_to(txn, mark, &err), &err)) return false;
            *now = saved;
        } else if (!went(process, change(run, txn, now), &err)) {
            return false;
        }
    }
    struct lsm_view *view = NULL;
    if (below(run, 8) == 0 && went(process, lsm_view_open(process->store, txn, &view, &err), &err)) {
        const char *wrong = model_differs(now, view, run->tree);
        lsm_view_close(view);
        if (wrong != NULL && !is_dead(process)) fail_msg("the writer's own view: %s", wrong);
    } else {
        lsm_view_close(view);
    }
    return !is_dead(process);
}

static void transaction(struct run *run, struct process *process) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    struct model now = run->committed;
    if (!went(process, lsm_txn_begin(process->store, UINT64_MAX, 1000, &txn, &err), &err)) {
        if (txn != NULL) (void)lsm_txn_rollback(txn, NULL);
        return;
    }
    bool back = below(run, 6) == 0, alive = fill(run, process, txn, &now);
    enum lsm_sync sync = (enum lsm_sync)below(run, 3);
    bool token = below(run, 4) == 0, dirty = lsm_txn_is_dirty(txn);
    uint8_t bytes[LSM_TOKEN_BYTES];
    if (alive && (!back || below(run, 2) == 0)) {
        run->perhaps = now;
        int status = lsm_txn_prepare(txn, sync, token ? LSM_DECIDED_BY_TOKEN : LSM_DECIDES_ITSELF, bytes, &err);
        if (!went(process, status, &err)) {
            /* Whole in the log or not. One that waits for its database is not the next one's to find: nobody has decided it. */
            run->in_doubt = true;
            alive = false;
        } else if (!back) {
            if (token) memcpy(run->tokens[run->tokens_count++], bytes, sizeof bytes);
            lsm_txn_commit(txn, true);
            run->in_doubt = is_dead(process);
            if (run->in_doubt) return;
            run->committed = now;
            run->history[run->commits++] = now;
            if (sync == LSM_SYNC_FULL && dirty) run->durable = run->commits;
            run->counts.commits++;
            return;
        }
    }
    int status = lsm_txn_rollback(txn, &err);
    if (!is_dead(process)) must(status, &err);
    /* Killed while its ABORT was on the way. */
    if (is_dead(process) && back && alive) run->in_doubt = true;
    run->counts.rollbacks++;
}

static void look(struct run *run, struct process *process) {
    struct lsm_error err = {0};
    struct lsm_view *view = NULL;
    if (!went(process, lsm_view_open(process->store, NULL, &view, &err), &err)) {
        lsm_view_close(view);
        return;
    }
    const char *wrong = model_differs(&run->committed, view, run->tree);
    if (wrong != NULL && !is_dead(process)) fail_msg("a new view: %s", wrong);
    lsm_view_close(view);
}

static void renew_view(struct run *run, struct process *process) {
    struct lsm_error err = {0};
    size_t i = below(run, VIEWS);
    drop_view(run, process, i);
    if (!went(process, lsm_view_open(process->store, NULL, &process->views[i].view, &err), &err)) return;
    process->views[i].model = run->committed;
}

static void say(void *arg, const char *text) {
    (void)arg;
    print_message("  check: %s\n", text);
}

static void check(struct process *process) {
    struct lsm_error err = {0};
    uint64_t problems = 0;
    if (went(process, lsm_store_check(process->store, say, NULL, NULL, NULL, &problems, &err), &err)) assert_int_equal(problems, 0);
}

/* The power goes: all are dead, and what was durable is there. */
static void crash(struct run *run) {
    struct lsm_error err = {0};
    struct model found;
    struct lsm_view *view = NULL;
    must(lsm_env_mem_crash(run->disk, (enum lsm_crash_mode)below(run, 4), model_next(&run->random)), &err);
    for (size_t i = 0; i < PROCESSES; i++) {
        struct process *process = &run->processes[i];
        if (process->env == NULL) continue;
        for (size_t v = 0; v < VIEWS; v++) lsm_view_close(process->views[v].view);
        (void)lsm_store_close(process->store, NULL);
        lsm_env_mem_free(process->env);
        *process = (struct process){0};
    }
    if (run->in_doubt) run->history[run->commits++] = run->perhaps;
    run->in_doubt = false;
    struct process *process = &run->processes[0];
    join(run, process);
    settle(run, process);
    must(lsm_view_open(process->store, NULL, &view, &err), &err);
    const char *wrong = model_read(&found, view, run->tree);
    if (wrong != NULL) fail_msg("after a power cut: %s", wrong);
    lsm_view_close(view);
    size_t at = run->commits;
    while (at >= run->durable && memcmp(&run->history[at - 1], &found, sizeof found) != 0) at--;
    if (at < run->durable) fail_msg("after a power cut: not a state from commit %zu on (of %zu)", run->durable, run->commits);
    run->committed = found;
    run->commits = run->durable = at;
    run->counts.crashes++;
}

static void step(struct run *run) {
    struct lsm_error err = {0};
    struct process *process = living(run);
    unsigned what = below(run, 200);
    settle(run, process);
    bool killed = what < 6;
    if (killed) lsm_env_mem_kill_at(process->env, 1 + below(run, below(run, 2) == 0 ? 10 : 120));
    if (what < 130) {
        transaction(run, process);
        if (killed && !is_dead(process)) lsm_env_mem_kill(process->env);
    } else if (what < 150) {
        look(run, process);
    } else if (what < 164) {
        renew_view(run, process);
    } else if (what < 172) {
        if (!went(process, lsm_store_flush(process->store, NULL, NULL, &err), &err)) return;
        run->counts.flushes++;
        run->durable = run->commits;
    } else if (what < 175) {
        if (!went(process, lsm_store_compact(process->store, NULL, NULL, &err), &err)) return;
        run->counts.compactions++;
        run->durable = run->commits;
    } else if (what < 178) {
        check(process);
    } else if (what < 180) {
        lsm_env_mem_kill(process->env); /* at rest */
        bury(run, process);
    } else if (what < 188) {
        leave(run, process);
    } else if (what < 190) {
        crash(run);
    } else if (what < 193) {
        /* Killed in the middle of a flush or merge. */
        lsm_env_mem_kill_at(process->env, 1 + below(run, 60));
        (void)!(what == 190 ? lsm_store_compact(process->store, NULL, NULL, NULL) : lsm_store_flush(process->store, NULL, NULL, NULL));
        if (!is_dead(process)) lsm_env_mem_kill(process->env);
    } else {
        look(run, process);
    }
}

static void run_model(uint64_t seed, int threads, unsigned steps) {
    struct run *run = calloc(1, sizeof *run);
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info tree;
    assert_non_null(run);
    run->random.state = seed * 7919 + 1;
    run->threads = threads;
    run->disk = lsm_env_mem_new_strict();
    lsm_options_init(&run->options);
    run->options.dir = "db-lsm/store";
    run->options.store_id = store_id;
    run->options.create = true;
    run->options.write_buffer_bytes = 65536;
    run->options.file_bytes = 65536;
    run->options.block_bytes = (size_t)512 << below(run, 4);
    print_message("seed %llu, threads %d\n", (unsigned long long)seed, threads);
    struct process *first = &run->processes[0];
    join(run, first);
    must(lsm_txn_begin(first->store, UINT64_MAX, 0, &txn, &err), &err);
    must(lsm_txn_tree_create(txn, &tree, &err), &err);
    must(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), &err);
    lsm_txn_commit(txn, true);
    run->tree = tree.tree;
    run->history[run->commits++] = run->committed;
    run->durable = run->commits;
    while (steps-- > 0 && run->commits < HISTORY - 2) step(run);
    for (size_t i = 0; i < PROCESSES; i++) {
        struct process *process = &run->processes[i];
        if (process->env == NULL) continue;
        if (is_dead(process))
            bury(run, process);
        else
            leave(run, process);
    }
    struct process *last = &run->processes[0];
    join(run, last);
    settle(run, last);
    resolve(run, last);
    look(run, last);
    check(last);
    leave(run, last);
    lsm_env_mem_free(run->disk);
    print_message("  %u commits (%u large), %u rollbacks, %u old views, %u flushes, %u compactions, %u joined, %u left, %u killed, %u power cuts\n",
                  run->counts.commits, run->counts.large, run->counts.rollbacks, run->counts.old_views, run->counts.flushes, run->counts.compactions,
                  run->counts.joins, run->counts.leaves, run->counts.kills, run->counts.crashes);
    free(run);
}

/* LSM_TEST_SEED repeats one run, LSM_TEST_RUNS asks for more of them, LSM_TEST_STEPS for longer ones. */
static void the_processes_agree(int threads) {
    const char *seed = getenv("LSM_TEST_SEED"), *runs = getenv("LSM_TEST_RUNS"), *steps = getenv("LSM_TEST_STEPS");
    uint64_t first = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    uint64_t count = seed != NULL ? 1 : runs == NULL ? 6 : strtoull(runs, NULL, 10);
    for (uint64_t i = 0; i < count; i++) run_model(first + i, threads, steps == NULL ? 500 : (unsigned)strtoul(steps, NULL, 10));
}

/* Histories that have found something: in the first two a COMMIT found the log file of a dead process in the place of its own; in the third a power cut took the
 * header of a log file whose records told that it was durable. */
static void what_was_found_once_is_not_found_again(void **state) {
    (void)state;
    run_model(3900128, 0, 500);
    run_model(3900592, 0, 500);
    run_model(503946, 0, 500);
}

static void processes_agree_without_threads(void **state) {
    (void)state;
    the_processes_agree(0);
}

static void processes_agree_with_threads(void **state) {
    (void)state;
    the_processes_agree(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_found_once_is_not_found_again),
        cmocka_unit_test(processes_agree_without_threads),
        cmocka_unit_test(processes_agree_with_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
