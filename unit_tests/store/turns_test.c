/* Real processes that take turns at writing one log, at NORMAL and OFF, and are killed with -9: every commit that was told is there, whole, in the order
 * of the turns, and nothing that was rolled back. Large bursts without a sync, so that the log is written through maps of it where the file system lets
 * it (env_posix_window.c): each process has a map of its own, and those of the others go stale when it has written.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../lsm_core/base/base.h"
#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/env/env.h"
#include "../../lsm_core/lsm.h"

enum {
    WRITERS = 3,
    KILLS = 40,
    LOOKS = 8 /* so often all are killed at once, and everything is looked at */,
    ROW_BYTES_MAX = 20000,
    GONE_MAX = 4096
};

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "taking-turns-id.";

/* Seen by all. */
static struct {
    _Atomic uint64_t told; /* rows up to this one were committed, and the caller knows */
    _Atomic bool wrong;
    _Atomic uint64_t gone[GONE_MAX]; /* keys of rows that were rolled back, and the caller knows */
    _Atomic unsigned gone_count;
} * board;

static char top[64], dir[96];
static uint32_t tree;

static uint64_t next(uint64_t *random) {
    uint64_t z = (*random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* What row n holds: mostly little, now and then more than is stored through a map, or than one has. */
static struct lsm_slice content(uint64_t n, uint8_t *bytes) {
    uint64_t random = n, kind = next(&random) % 100;
    size_t size = kind == 0 ? next(&random) % ROW_BYTES_MAX : kind < 5 ? next(&random) % 9000 : next(&random) % 200;
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(next(&random) | 1); /* never what a hole holds */
    return lsm_slice_of(bytes, size);
}

static struct lsm_slice key_of(uint64_t n, uint8_t *bytes) {
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(n >> (56 - 8 * i));
    return lsm_slice_of(bytes, 8);
}

/* ---- a writer, in a process of its own ------------------------------------------------------------------------------------------- */

static void check(bool right, const char *what, const struct lsm_error *err) {
    if (right) return;
    atomic_store(&board->wrong, true);
    (void)fprintf(stderr, "process %ld: %s: %s\n", (long)getpid(), what, err->text[0] == 0 ? "not as it was written" : err->text);
    _exit(1);
}

static void check_row(struct lsm_txn *txn, uint64_t n) {
    uint8_t key[8], wanted[ROW_BYTES_MAX];
    char what[48];
    struct lsm_error err = {0};
    struct lsm_value value = {0};
    int status = lsm_txn_get(txn, tree, key_of(n, key), &value, &err);
    (void)snprintf(what, sizeof what, "row %" PRIu64, n);
    check(status == LSM_OK && lsm_slice_equal(value.bytes, content(n, wanted)), what, &err);
    lsm_value_release(&value);
}

/* How many rows there are: row 0 says it. */
static uint64_t count_rows(struct lsm_txn *txn) {
    uint8_t key[8];
    struct lsm_error err = {0};
    struct lsm_value value = {0};
    int status = lsm_txn_get(txn, tree, key_of(0, key), &value, &err);
    if (status == LSM_NOTFOUND) return 0;
    check(status == LSM_OK && value.bytes.size == 8, "row 0", &err);
    uint64_t count = lsm_load_u64(value.bytes.data);
    lsm_value_release(&value);
    return count;
}

static void check_gone(struct lsm_txn *txn, unsigned i) {
    uint8_t key[8];
    struct lsm_error err = {0};
    int status = lsm_txn_get(txn, tree, key_of(atomic_load(&board->gone[i]), key), NULL, &err);
    check(status == LSM_NOTFOUND, "a row that was rolled back", &err);
}

static void put_row(struct lsm_txn *txn, uint64_t n, bool right) {
    uint8_t key[8], bytes[ROW_BYTES_MAX], number[8];
    struct lsm_error err = {0};
    struct lsm_slice value = content(right ? n : n + 1, bytes);
    lsm_store_u64(number, n);
    check(lsm_txn_put(txn, tree, key_of(n, key), value, &err) == LSM_OK, "put", &err);
    check(lsm_txn_put(txn, tree, key_of(0, key), lsm_slice_of(number, sizeof number), &err) == LSM_OK, "put", &err);
}

/* Taken back before its record is written, or after: then it is committed if it is killed in between, and its rows are right. */
static void roll_back(struct lsm_txn *txn, bool prepared, uint64_t *random) {
    uint8_t key[8];
    struct lsm_error err = {0};
    uint64_t gone = next(random) | (uint64_t)1 << 63;
    check(lsm_txn_put(txn, tree, key_of(gone, key), lsm_slice_of("gone", 4), &err) == LSM_OK, "put", &err);
    if (prepared) check(lsm_txn_prepare(txn, LSM_SYNC_NORMAL, LSM_DECIDES_ITSELF, NULL, &err) == LSM_OK, "prepare", &err);
    check(lsm_txn_rollback(txn, &err) == LSM_OK, "rollback", &err);
    unsigned at = atomic_load(&board->gone_count);
    if (at == GONE_MAX) return;
    atomic_store(&board->gone[at], gone); /* two at once may keep one: no matter */
    atomic_store(&board->gone_count, at + 1);
}

/* One transaction: a row more, or one that is taken back. */
static void write_row(struct lsm_store *store, uint64_t *random) {
    struct lsm_txn *txn = NULL;
    struct lsm_error err = {0};
    uint64_t chance = next(random) % 1000;
    check(lsm_txn_begin(store, UINT64_MAX, 60000, &txn, &err) == LSM_OK, "begin", &err);
    uint64_t count = count_rows(txn);
    unsigned gone = atomic_load(&board->gone_count);
    check(count >= atomic_load(&board->told), "rows that were told are gone", &err);
    if (count != 0) check_row(txn, count);
    if (count != 0 && chance % 8 == 0) check_row(txn, 1 + next(random) % count);
    if (gone != 0 && chance % 8 == 1) check_gone(txn, gone - 1);
    put_row(txn, count + 1, chance >= 10);
    if (chance < 20) {
        roll_back(txn, chance >= 10, random);
        return;
    }
    enum lsm_sync sync = chance == 999 ? LSM_SYNC_FULL : chance % 2 == 0 ? LSM_SYNC_NORMAL : LSM_SYNC_OFF;
    check(lsm_txn_prepare(txn, sync, LSM_DECIDES_ITSELF, NULL, &err) == LSM_OK, "prepare", &err);
    lsm_txn_commit(txn, true);
    /* The next one may have told its own by now. */
    uint64_t told = atomic_load(&board->told);
    while (told < count + 1 && !atomic_compare_exchange_weak(&board->told, &told, count + 1)) continue;
}

static void finding(void *arg, const char *text) {
    (void)arg;
    (void)fprintf(stderr, "%s\n", text);
}

static void look_beside_others(struct lsm_store *store) {
    struct lsm_error err = {0};
    uint64_t problems = 0;
    check(lsm_store_check(store, finding, NULL, NULL, NULL, &problems, &err) == LSM_OK && problems == 0, "a check beside others that write", &err);
}

static _Noreturn void writer(const struct lsm_options *options, uint64_t random) {
    struct lsm_error err = {0};
    struct lsm_store *store = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
    check(lsm_store_open(options, &store, &err) == LSM_OK, "open", &err);
    for (;;) {
        for (uint64_t burst = 1 + next(&random) % 200; burst > 0; burst--) write_row(store, &random);
        if (next(&random) % 50 == 0) {
            int status = lsm_store_flush(store, NULL, NULL, &err);
            check(status == LSM_OK || status == LSM_BUSY, "flush", &err);
        }
        if (next(&random) % 50 == 0) look_beside_others(store);
        if (next(&random) % 40 == 0) {
            check(lsm_store_close(store, &err) == LSM_OK, "close", &err);
            check(lsm_store_open(options, &store, &err) == LSM_OK, "open again", &err);
        }
        (void)usleep((useconds_t)(next(&random) % 1000));
    }
}

/* ---- who starts and kills them, and looks -------------------------------------------------------------------------------------------- */

#define MUST(call) must(call, &err, #call)
static void must(int status, const struct lsm_error *err, const char *what) {
    if (status != LSM_OK) fail_msg("%s: %s: %s", what, lsm_status_name(status), err->text);
}

static void make_store(struct lsm_options *options) {
    struct lsm_error err = {0};
    struct lsm_store *store = NULL;
    struct lsm_txn *txn = NULL;
    struct lsm_tree_info made;
    MUST(lsm_store_open(options, &store, &err));
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    MUST(lsm_txn_tree_create(txn, &made, &err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err));
    lsm_txn_commit(txn, true);
    MUST(lsm_store_close(store, &err));
    tree = made.tree;
}

/* Nobody is in: all rows, and lsm_store_check(). */
static void look(const struct lsm_options *options) {
    struct lsm_error err = {0};
    struct lsm_store *store = NULL;
    struct lsm_txn *txn = NULL;
    uint64_t problems = 0;
    struct lsm_options mine = *options;
    mine.threads = 0; /* there are children to come */
    MUST(lsm_store_open(&mine, &store, &err));
    MUST(lsm_store_check(store, finding, NULL, NULL, NULL, &problems, &err));
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err));
    uint64_t count = count_rows(txn);
    for (uint64_t n = 1; n <= count; n++) check_row(txn, n);
    for (unsigned i = 0; i < atomic_load(&board->gone_count); i++) check_gone(txn, i);
    uint8_t key[8];
    assert_int_equal(lsm_txn_get(txn, tree, key_of(count + 1, key), NULL, &err), LSM_NOTFOUND);
    MUST(lsm_txn_rollback(txn, &err));
    MUST(lsm_store_close(store, &err));
    assert_true(problems == 0);
    assert_true(count >= atomic_load(&board->told));
}

static pid_t start(const struct lsm_options *options, uint64_t random) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) writer(options, random);
    return child;
}

static void end(pid_t child) {
    int how = 0;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    if (!WIFSIGNALED(how) || WTERMSIG(how) != SIGKILL) fail_msg("a writer ended by itself: %x", (unsigned)how);
}

/* Until some rows more are told, or something is wrong. */
static void wait_for_rows(uint64_t rows) {
    uint64_t until = atomic_load(&board->told) + rows;
    while (atomic_load(&board->told) < until && !atomic_load(&board->wrong)) {
        int how = 0;
        (void)usleep(500);
        if (waitpid(-1, &how, WNOHANG) > 0) fail_msg("a writer ended by itself: %x", (unsigned)how);
    }
    assert_false(atomic_load(&board->wrong));
}

static void take_turns(const char *where, size_t write_buffer_bytes) {
    const char *given = getenv("LSM_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL), random = seed;
    pid_t writers[WRITERS];
    char command[128];
    if (access(where, W_OK) != 0) skip();
    (void)snprintf(top, sizeof top, "%s/lsm-turns-XXXXXX", where);
    assert_non_null(mkdtemp(top));
    (void)snprintf(dir, sizeof dir, "%s/store", top);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(board != MAP_FAILED);
    struct lsm_options options;
    lsm_options_init(&options);
    options.dir = dir;
    options.store_id = store_id;
    options.create = true;
    options.write_buffer_bytes = write_buffer_bytes;
    options.threads = 0;
    make_store(&options);
    options.threads = 2;
    for (size_t i = 0; i < WRITERS; i++) writers[i] = start(&options, next(&random));
    for (int n = 1; n <= KILLS; n++) {
        wait_for_rows(next(&random) % 1500);
        bool all = n % (KILLS / LOOKS) == 0;
        size_t one = next(&random) % WRITERS;
        for (size_t i = 0; i < WRITERS; i++)
            if (all || i == one) end(writers[i]);
        if (all) look(&options);
        if (n == KILLS) break;
        options.map_bytes = next(&random) % 2 == 0 ? 0 : UINT64_MAX;
        for (size_t i = 0; i < WRITERS; i++)
            if (all || i == one) writers[i] = start(&options, next(&random));
    }
    print_message("  LSM_TEST_SEED=%" PRIu64 ": %" PRIu64 " rows\n", seed, atomic_load(&board->told));
    (void)munmap(board, sizeof *board);
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    assert_int_equal(system(command), 0);
}

static void in_long_logs(void **state) {
    (void)state;
    take_turns("/tmp", 8 << 20);
}

static void in_logs_that_are_soon_full(void **state) {
    (void)state;
    take_turns("/tmp", 64 << 10);
}

static void in_memory_of_the_system(void **state) {
    (void)state;
    take_turns("/dev/shm", 2 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_long_logs),
        cmocka_unit_test(in_logs_that_are_soon_full),
        cmocka_unit_test(in_memory_of_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
