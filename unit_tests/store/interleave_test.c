/* Whole stores in several processes, in every order that a few preemptions, kills and stops can make of their steps.
 *
 * Transaction k writes k into the rows "a" and "b" and makes the row of number k: every view must hold a = b = the number of rows, no fewer than were
 * acknowledged before it was opened, and no fewer than the view before it in the same process.
 *
 * LSM_INTERLEAVE=n: n events instead of 1, and of the schedules with n one in LSM_INTERLEAVE_SAMPLE (default 50) (`make interleave`).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../lsm_core/base/base.h"
#include "../support/interleave.h"

#define DIR "db-lsm/store"
enum { BUSY_MS = 100, RUNS_BEFORE = 3, ROWS_MAX = 64 };

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "interleaved";

typedef void (*script_fn)(int process);

static struct world {
    script_fn scripts[INTERLEAVE_PROCESSES];
    bool by_token;   /* a database decides the transactions */
    unsigned opened; /* mask of processes whose scripts find the store open */
    enum lsm_sync sync;
    struct lsm_env *base; /* what every run begins with */
    uint32_t tree;
    uint64_t rows_before;
    struct lsm_env *disk;
    struct lsm_env *env[INTERLEAVE_PROCESSES];
    struct lsm_store *store[INTERLEAVE_PROCESSES];
    uint64_t acked, tried;
    /* The database that decides transactions: its write lock, and the tokens it has. */
    int main_owner;
    uint8_t tokens[ROWS_MAX][LSM_TOKEN_BYTES];
    size_t tokens_count;
    uint64_t seen[INTERLEAVE_PROCESSES];
} world;

static bool alive(int p) { return p >= INTERLEAVE_PROCESSES || !interleave_killed(p); }

/* BUSY (INTERRUPTED) may come up only if somebody was stopped, and this one waited for him in vain. */
static bool went_well(int p, int status, const struct lsm_error *err, const char *what) {
    bool excused = (status == LSM_BUSY || status == LSM_INTERRUPTED) && interleave_stopped();
    if (alive(p) && status != LSM_OK && !excused) interleave_fail("process %d, %s: %d %s", p, what, status, err->text);
    return status == LSM_OK && alive(p);
}

#define CHECK(p, condition, ...)                                                                                                                     \
    do {                                                                                                                                             \
        if (alive(p) && !(condition)) interleave_fail(__VA_ARGS__);                                                                                  \
    } while (0)

static struct lsm_options options_of(struct lsm_env *env) {
    struct lsm_options options;
    lsm_options_init(&options);
    options.env = env;
    options.dir = DIR;
    options.store_id = store_id;
    options.create = true;
    options.write_buffer_bytes = 65536;
    options.cache_bytes = 1 << 20;
    options.file_bytes = 65536;
    options.block_bytes = 1024;
    options.compression = LSM_COMPRESS_NONE;
    options.threads = 0;
    return options;
}

/* ---- what processes do -------------------------------------------------------------------------------- */

static struct lsm_slice row_key(uint64_t k, char text[16]) {
    (void)snprintf(text, 16, "row %06llu", (unsigned long long)k);
    return lsm_slice_of(text, strlen(text));
}

static uint64_t number_in(const struct lsm_value *value) {
    uint64_t number = 0;
    if (value->bytes.size == sizeof number) memcpy(&number, value->bytes.data, sizeof number);
    return number;
}

static int put_number(struct lsm_txn *txn, struct lsm_slice key, uint64_t number, struct lsm_error *err) {
    return lsm_txn_put(txn, world.tree, key, lsm_slice_of(&number, sizeof number), err);
}

static const struct lsm_slice key_a = {.data = (const uint8_t *)"a", .size = 1}, key_b = {.data = (const uint8_t *)"b", .size = 1};

static int write_rows(struct lsm_txn *txn, uint64_t *k, struct lsm_error *err) {
    struct lsm_value value = {0};
    char text[16];
    int status = lsm_txn_get(txn, world.tree, key_a, &value, err);
    *k = status == LSM_OK ? number_in(&value) + 1 : 1;
    lsm_value_release(&value);
    if (status != LSM_OK && status != LSM_NOTFOUND) return status;
    status = put_number(txn, key_a, *k, err);
    if (status == LSM_OK) status = put_number(txn, row_key(*k, text), *k, err);
    return status == LSM_OK ? put_number(txn, key_b, *k, err) : status;
}

static void commit_once(int p) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    uint64_t k = 0;
    int status = lsm_txn_begin(world.store[p], UINT64_MAX, BUSY_MS, &txn, &err);
    if (!went_well(p, status, &err, "begin")) {
        if (txn != NULL) (void)lsm_txn_rollback(txn, NULL);
        return;
    }
    status = write_rows(txn, &k, &err);
    CHECK(p, k > world.acked, "process %d writes transaction %llu, which was acknowledged before", p, (unsigned long long)k);
    if (alive(p) && k > world.tried) world.tried = k;
    if (status == LSM_OK) status = lsm_txn_prepare(txn, world.sync, LSM_DECIDES_ITSELF, NULL, &err);
    (void)went_well(p, status, &err, "write");
    if (status == LSM_OK) {
        lsm_txn_commit(txn, true);
        if (alive(p)) world.acked = k;
    } else {
        (void)lsm_txn_rollback(txn, NULL);
    }
}

static void rollback_once(int p) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    uint64_t k = 0;
    int status = lsm_txn_begin(world.store[p], UINT64_MAX, BUSY_MS, &txn, &err);
    if (status == LSM_OK) status = write_rows(txn, &k, &err);
    if (alive(p) && k > world.tried) world.tried = k; /* killed between the record and its ABORT, it counts */
    if (status == LSM_OK) status = lsm_txn_prepare(txn, world.sync, LSM_DECIDES_ITSELF, NULL, &err);
    (void)went_well(p, status, &err, "write");
    if (txn != NULL) (void)went_well(p, lsm_txn_rollback(txn, &err), &err, "roll back");
}

/* How many transactions the view holds; they must hang together. */
static uint64_t count_view(int p, struct lsm_view *view) {
    struct lsm_error err = {0};
    struct lsm_value a = {0}, b = {0};
    struct lsm_cursor *cursor = NULL;
    uint64_t rows = 0;
    char text[16];
    struct lsm_slice low = lsm_slice_of("row", 3), high = lsm_slice_of("rox", 3);
    int status_a = lsm_view_get(view, world.tree, key_a, &a, &err), status_b = lsm_view_get(view, world.tree, key_b, &b, &err);
    uint64_t number_a = number_in(&a), number_b = number_in(&b);
    lsm_value_release(&a);
    lsm_value_release(&b);
    (void)went_well(p, status_a, &err, "read a");
    (void)went_well(p, status_b, &err, "read b");
    int status = lsm_cursor_open(view, world.tree, &low, &high, &cursor, &err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &err);
    for (; status == LSM_OK && lsm_cursor_valid(cursor); status = lsm_cursor_next(cursor, &err)) {
        rows++;
        CHECK(p, lsm_slice_equal(lsm_cursor_key(cursor), row_key(rows, text)), "process %d: row %llu is missing", p, (unsigned long long)rows);
    }
    (void)went_well(p, status, &err, "walk");
    lsm_cursor_close(cursor);
    CHECK(p, number_a == number_b && number_a == rows, "process %d: a = %llu, b = %llu, %llu rows", p, (unsigned long long)number_a,
          (unsigned long long)number_b, (unsigned long long)rows);
    return rows;
}

static void read_once(int p) {
    struct lsm_error err = {0};
    struct lsm_view *view = NULL;
    uint64_t acked = world.acked;
    if (went_well(p, lsm_view_open(world.store[p], NULL, &view, &err), &err, "view")) {
        uint64_t rows = count_view(p, view);
        CHECK(p, rows >= acked && rows >= world.seen[p], "process %d sees %llu transactions; %llu were acknowledged, it has seen %llu", p,
              (unsigned long long)rows, (unsigned long long)acked, (unsigned long long)world.seen[p]);
        CHECK(p, rows == count_view(p, view), "process %d: a view changes", p);
        if (alive(p)) world.seen[p] = rows;
    }
    lsm_view_close(view);
}

/* Work by hand waits for another process as long as it is not interrupted: here for twelve simulated seconds, which is too short only if that one is
 * stopped. */
static bool is_impatient(void *arg) {
    const uint64_t *until = arg;
    return lsm_env_monotonic_us(world.disk) > *until;
}

static void flush_once(int p) {
    struct lsm_error err = {0};
    uint64_t until = lsm_env_monotonic_us(world.disk) + 12000000;
    (void)went_well(p, lsm_store_flush(world.store[p], is_impatient, &until, &err), &err, "flush");
}

static void compact_once(int p) {
    struct lsm_error err = {0};
    uint64_t until = lsm_env_monotonic_us(world.disk) + 12000000;
    (void)went_well(p, lsm_store_compact(world.store[p], is_impatient, &until, &err), &err, "compact");
}

static bool open_once(int p) {
    struct lsm_error err = {0};
    struct lsm_options options = options_of(world.env[p]);
    return went_well(p, lsm_store_open(&options, &world.store[p], &err), &err, "open");
}

static void close_once(int p) {
    struct lsm_error err = {0};
    int status = lsm_store_close(world.store[p], &err);
    world.store[p] = NULL;
    (void)went_well(p, status, &err, "close");
}

/* ---- transactions that a database decides ------------------------------------------------ */

static bool is_decided(const uint8_t *token) {
    for (size_t i = 0; i < world.tokens_count; i++)
        if (memcmp(world.tokens[i], token, LSM_TOKEN_BYTES) == 0) return true;
    return false;
}

/* The database's write lock, which dies with its owner. */
static bool lock_main(int p) {
    for (int tries = 0; alive(p) && tries < 200; tries++) {
        if (world.main_owner < 0 || !alive(world.main_owner)) {
            world.main_owner = p;
            return true;
        }
        lsm_env_sleep_us(world.env[p], 1000);
    }
    CHECK(p, interleave_stopped(), "process %d never gets the database's lock", p);
    return false;
}

/* What waits is decided by what the database has; needs its write lock. */
static int settle(struct lsm_store *store, struct lsm_error *err) {
    uint8_t token[LSM_TOKEN_BYTES];
    if (lsm_store_pending(store, token) == LSM_PENDING_NONE) return LSM_OK;
    return lsm_store_settle(store, token, is_decided(token) ? LSM_DECISION_COMMIT : LSM_DECISION_ABORT, BUSY_MS, err);
}

static int begin_settled(int p, struct lsm_txn **txn, struct lsm_error *err) {
    int status = LSM_UNDECIDED;
    for (int tries = 0; status == LSM_UNDECIDED && tries < 5; tries++) {
        status = lsm_txn_begin(world.store[p], UINT64_MAX, BUSY_MS, txn, err);
        if (status == LSM_UNDECIDED && settle(world.store[p], err) != LSM_OK) break;
    }
    return status;
}

static void commit_by_token(int p) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    uint8_t token[LSM_TOKEN_BYTES];
    uint64_t k = 0;
    if (!lock_main(p)) return;
    int status = begin_settled(p, &txn, &err);
    if (status == LSM_OK) status = write_rows(txn, &k, &err);
    if (status == LSM_OK) status = lsm_txn_prepare(txn, world.sync, LSM_DECIDED_BY_TOKEN, token, &err);
    CHECK(p, status != LSM_OK || k > world.acked, "process %d writes transaction %llu, which was acknowledged before", p, (unsigned long long)k);
    if (went_well(p, status, &err, "write")) {
        lsm_env_sleep_us(world.env[p], 1);
        if (alive(p)) {
            memcpy(world.tokens[world.tokens_count++], token, LSM_TOKEN_BYTES); /* the database has committed */
            world.acked = world.tried = k;
        }
        lsm_env_sleep_us(world.env[p], 1);
    }
    if (status == LSM_OK)
        lsm_txn_commit(txn, true);
    else if (txn != NULL)
        (void)lsm_txn_rollback(txn, NULL);
    if (alive(p)) world.main_owner = -1;
}

/* A reader asks its snapshot of the database. */
static void read_by_token(int p) {
    struct lsm_error err = {0};
    uint8_t token[LSM_TOKEN_BYTES];
    if (lsm_store_pending(world.store[p], token) == LSM_PENDING_UNKNOWN && is_decided(token))
        (void)went_well(p, lsm_store_settle(world.store[p], token, LSM_DECISION_SEEN, 0, &err), &err, "settle");
    read_once(p);
}

static void commit_by_token_and_read(int p) {
    commit_by_token(p);
    read_by_token(p);
    commit_by_token(p);
}

static void read_by_token_twice(int p) {
    read_by_token(p);
    read_by_token(p);
}

/* ---- a run -------------------------------------------------------------------------------- */

/* A store with some runs of level 0 and some rows in the log. */
static void make_base(void) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info tree = {0};
    world.base = world.disk = lsm_env_mem_new_strict();
    assert_non_null(world.base);
    assert_int_equal(lsm_env_mkdir(world.base, "db-lsm", NULL, NULL), LSM_OK);
    lsm_env_mem_set_clock(world.base, 1000000);
    world.env[0] = world.base;
    struct lsm_options options = options_of(world.base);
    if (lsm_store_open(&options, &world.store[0], &err) != LSM_OK) fail_msg("%s", err.text);
    assert_int_equal(lsm_txn_begin(world.store[0], UINT64_MAX, 0, &txn, NULL), LSM_OK);
    assert_int_equal(lsm_txn_tree_create(txn, &tree, NULL), LSM_OK);
    assert_int_equal(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, NULL), LSM_OK);
    lsm_txn_commit(txn, true);
    world.tree = tree.tree;
    for (int i = 0; i < RUNS_BEFORE; i++) {
        commit_once(0);
        flush_once(0);
    }
    commit_once(0);
    assert_int_equal(lsm_store_close(world.store[0], NULL), LSM_OK);
    world.store[0] = NULL;
    world.rows_before = world.acked;
}

static struct lsm_env *begin(void *arg) {
    (void)arg;
    world.disk = lsm_env_mem_clone_killed(world.base, false);
    if (world.disk == NULL) return NULL;
    memset(world.env, 0, sizeof world.env);
    memset(world.store, 0, sizeof world.store);
    memset(world.seen, 0, sizeof world.seen);
    world.acked = world.tried = world.rows_before;
    world.main_owner = -1;
    world.tokens_count = 0;
    return world.disk;
}

static void start(void *arg, int p, struct lsm_env *env) {
    (void)arg;
    world.env[p] = env;
    if ((world.opened >> p & 1) != 0) (void)open_once(p);
}

static void run(void *arg, int p) {
    (void)arg;
    if (world.store[p] != NULL || (world.opened >> p & 1) == 0) world.scripts[p](p);
}

static void found(void *arg, const char *text) {
    (void)arg;
    interleave_fail("afterwards: %s", text);
}

/* Nobody is left: everything acknowledged is there, and nothing that does not belong. */
static void check_afterwards(void) {
    enum { NOBODY = INTERLEAVE_PROCESSES };
    struct lsm_error err = {0};
    struct lsm_options options = options_of(world.disk);
    struct lsm_store *store = NULL;
    struct lsm_view *view = NULL;
    uint64_t problems = 0;
    int status = lsm_store_open(&options, &store, &err);
    if (status == LSM_OK) status = settle(store, &err);
    if (status == LSM_OK) status = lsm_store_check(store, found, NULL, NULL, NULL, &problems, &err);
    if (status == LSM_OK) status = lsm_view_open(store, NULL, &view, &err);
    if (status == LSM_OK) {
        uint64_t rows = count_view(NOBODY, view);
        if (rows < world.acked || rows > world.tried)
            interleave_fail("afterwards there are %llu transactions; %llu were acknowledged, %llu tried", (unsigned long long)rows,
                            (unsigned long long)world.acked, (unsigned long long)world.tried);
    }
    lsm_view_close(view);
    if (status == LSM_OK)
        status = lsm_store_close(store, &err);
    else if (store != NULL)
        (void)lsm_store_close(store, NULL);
    if (status != LSM_OK) interleave_fail("afterwards: %s", err.text);
}

static void end(void *arg) {
    (void)arg;
    for (int p = 0; p < INTERLEAVE_PROCESSES; p++) {
        if (world.store[p] == NULL || !alive(p)) continue;
        void (*read)(int) = world.by_token ? read_by_token : read_once, (*commit)(int) = world.by_token ? commit_by_token : commit_once;
        read(p);
        commit(p);
        read(p);
    }
    for (int p = 0; p < INTERLEAVE_PROCESSES; p++)
        if (world.store[p] != NULL) close_once(p);
    check_afterwards();
}

/* ---- scripts -------------------------------------------------------------------------------- */

static void commit_twice(int p) {
    commit_once(p);
    commit_once(p);
}

static void read_twice(int p) {
    read_once(p);
    read_once(p);
}

static void commit_and_read(int p) {
    commit_once(p);
    read_once(p);
}

static void flush_and_commit(int p) {
    flush_once(p);
    commit_once(p);
}

static void compact_and_read(int p) {
    compact_once(p);
    read_once(p);
}

static void roll_back_and_commit(int p) {
    rollback_once(p);
    commit_once(p);
}

/* A view that stays while its own process goes on. */
static void hold_a_view(int p) {
    struct lsm_error err = {0};
    struct lsm_view *view = NULL;
    if (!went_well(p, lsm_view_open(world.store[p], NULL, &view, &err), &err, "view")) {
        lsm_view_close(view);
        return;
    }
    uint64_t rows = count_view(p, view);
    commit_once(p);
    read_once(p);
    CHECK(p, rows == count_view(p, view), "process %d: a view changes", p);
    flush_once(p);
    CHECK(p, rows == count_view(p, view), "process %d: a view changes", p);
    lsm_view_close(view);
}

static void merge_again_and_again(int p) {
    compact_once(p);
    commit_once(p);
    compact_once(p);
}

static void open_commit_and_close(int p) {
    if (open_once(p)) commit_once(p);
    if (world.store[p] != NULL) close_once(p);
}

static void whole_life(int p) {
    if (open_once(p)) {
        commit_once(p);
        flush_once(p);
        compact_once(p);
        commit_and_read(p);
    }
    if (world.store[p] != NULL) close_once(p);
}

static void open_and_read(int p) {
    if (open_once(p)) read_once(p);
}

static void close_at_once(int p) { close_once(p); }

/* ---- cases -------------------------------------------------------------------------------- */

struct kind_of_case {
    script_fn scripts[INTERLEAVE_PROCESSES];
    unsigned opened;
    enum lsm_sync sync;
    int processes;
    bool by_token;
};

static void try_all(const char *name, const struct kind_of_case *kind) {
    const char *events = getenv("LSM_INTERLEAVE"), *sample = getenv("LSM_INTERLEAVE_SAMPLE");
    struct interleave_case all = {.name = name,
                                  .processes = kind->processes,
                                  .events_max = events == NULL ? 1 : atoi(events),
                                  .kills = true,
                                  .stops = true,
                                  .begin = begin,
                                  .start = start,
                                  .run = run,
                                  .end = end};
    struct interleave_counts counts;
    if (all.events_max > 1) all.sample = sample == NULL ? 50 : (uint64_t)atoll(sample);
    if (all.events_max > INTERLEAVE_EVENTS) all.events_max = INTERLEAVE_EVENTS;
    memset(&world, 0, sizeof world);
    make_base();
    memcpy(world.scripts, kind->scripts, sizeof world.scripts);
    world.opened = kind->opened;
    world.sync = kind->sync;
    world.by_token = kind->by_token;
    int64_t live = lsm_mem_live();
    const char *wrong = interleave_all(&all, &counts);
    printf("%s: %llu schedules of up to %d events and %u steps: %llu switches, %llu kills, %llu stops\n", name, (unsigned long long)counts.schedules,
           all.events_max, counts.steps_max, (unsigned long long)counts.events[INTERLEAVE_SWITCH], (unsigned long long)counts.events[INTERLEAVE_KILL],
           (unsigned long long)counts.events[INTERLEAVE_STOP]);
    int64_t live_after = lsm_mem_live();
    lsm_env_mem_free(world.base);
    if (wrong != NULL) fail_msg("%s", wrong);
    assert_true(live_after == live);
}

#define CASE(name, ...)                                                                                                                              \
    static void name(void **state) {                                                                                                                 \
        static const struct kind_of_case kind = {__VA_ARGS__};                                                                                       \
        (void)state;                                                                                                                                 \
        try_all(#name, &kind);                                                                                                                       \
    }

CASE(one_that_is_killed, .scripts = {whole_life}, .processes = 1)
CASE(two_that_commit, .scripts = {commit_twice, commit_and_read}, .opened = 3, .processes = 2)
CASE(two_that_commit_durably, .scripts = {commit_once, commit_once}, .opened = 3, .processes = 2, .sync = LSM_SYNC_FULL)
CASE(one_that_commits_and_one_that_reads, .scripts = {commit_twice, read_twice}, .opened = 3, .processes = 2)
CASE(one_that_rolls_back_and_one_that_reads, .scripts = {roll_back_and_commit, read_twice}, .opened = 3, .processes = 2)
CASE(two_whose_commits_a_database_decides, .scripts = {commit_by_token_and_read, commit_by_token_and_read}, .opened = 3, .processes = 2,
     .by_token = true)
CASE(a_database_that_decides_and_a_reader, .scripts = {commit_by_token_and_read, read_by_token_twice}, .opened = 3, .processes = 2, .by_token = true)
CASE(one_that_flushes_and_one_that_reads, .scripts = {flush_and_commit, read_twice}, .opened = 3, .processes = 2)
CASE(one_that_flushes_and_one_that_commits, .scripts = {flush_and_commit, commit_and_read}, .opened = 3, .processes = 2)
CASE(two_that_flush, .scripts = {flush_and_commit, flush_and_commit}, .opened = 3, .processes = 2)
CASE(one_that_merges_and_one_that_reads, .scripts = {compact_and_read, read_twice}, .opened = 3, .processes = 2)
CASE(one_that_merges_and_one_that_flushes, .scripts = {compact_and_read, flush_and_commit}, .opened = 3, .processes = 2)
CASE(two_that_merge, .scripts = {compact_and_read, compact_and_read}, .opened = 3, .processes = 2)
CASE(one_that_holds_a_view_and_one_that_merges, .scripts = {hold_a_view, merge_again_and_again}, .opened = 3, .processes = 2)
CASE(two_that_hold_a_view, .scripts = {hold_a_view, hold_a_view}, .opened = 3, .processes = 2)
CASE(two_that_open_commit_and_close, .scripts = {open_commit_and_close, open_commit_and_close}, .processes = 2)
CASE(one_that_closes_and_one_that_opens, .scripts = {close_at_once, open_and_read}, .opened = 1, .processes = 2)
CASE(one_that_merges_and_one_that_opens, .scripts = {compact_and_read, open_and_read}, .opened = 1, .processes = 2)
CASE(a_writer_a_reader_and_one_that_flushes, .scripts = {commit_once, read_once, flush_once}, .opened = 7, .processes = 3)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_killed),
        cmocka_unit_test(two_that_commit),
        cmocka_unit_test(two_that_commit_durably),
        cmocka_unit_test(one_that_commits_and_one_that_reads),
        cmocka_unit_test(one_that_rolls_back_and_one_that_reads),
        cmocka_unit_test(two_whose_commits_a_database_decides),
        cmocka_unit_test(a_database_that_decides_and_a_reader),
        cmocka_unit_test(one_that_flushes_and_one_that_reads),
        cmocka_unit_test(one_that_flushes_and_one_that_commits),
        cmocka_unit_test(two_that_flush),
        cmocka_unit_test(one_that_merges_and_one_that_reads),
        cmocka_unit_test(one_that_merges_and_one_that_flushes),
        cmocka_unit_test(two_that_merge),
        cmocka_unit_test(one_that_holds_a_view_and_one_that_merges),
        cmocka_unit_test(two_that_hold_a_view),
        cmocka_unit_test(two_that_open_commit_and_close),
        cmocka_unit_test(one_that_closes_and_one_that_opens),
        cmocka_unit_test(one_that_merges_and_one_that_opens),
        cmocka_unit_test(a_writer_a_reader_and_one_that_flushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
