/* A second process that looks on while the first commits, or is killed in the middle of it: at every operation of the first one on the disk. And a third one,
 * after both are dead. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../support/ledger.h"
#include "../support/machine.h"

enum { TRANSACTIONS = 5, OPERATIONS_MAX = 2000 };

static const struct ledger_plan plans[] = {
    {.name = "mixed", .tables = {"main.o", "main.l"}},
    {.name = "lsm-only", .tables = {"main.l", "main.l2"}},
    {.name = "ddl", .tables = {"main.o", "main.l"}, .ddl = LEDGER_TABLES_COME_AND_GO},
};
static const char *const journals[] = {"delete", "persist", "wal"};
enum { PLANS = 3, JOURNALS = 3 };

/* One run: the first process works, the second one is there. */
static struct {
    const struct ledger_plan *plan;
    const char *journal, *sync;
    struct lsm_env *disk;
    struct machine *machine;
    struct process *first, *second;
    sqlite3 *db, *other;
    int begun, acknowledged;
    uint64_t operations, kill_at;
    bool looking;
    unsigned looks, held_off;
} run;

static void must(sqlite3 *db, int rc, const char *what) {
    if (rc != SQLITE_OK)
        fail_msg("%s %s, operation %llu: %s: %d %s", run.journal, run.plan->name, (unsigned long long)run.operations, what,
                 sqlite3_extended_errcode(db), sqlite3_errmsg(db));
}

static sqlite3 *connect(struct process *process, const char *sync) {
    sqlite3 *db = NULL;
    must(db, process_open(process, LEDGER_MAIN, &db), "opening");
    must(db, ledger_configure(run.plan, db, run.journal, sync), "configuring");
    return db;
}

static void start(const struct ledger_plan *plan, const char *journal, const char *sync) {
    memset(&run, 0, sizeof run);
    run.plan = plan;
    run.journal = journal;
    run.sync = sync;
    run.disk = lsm_env_mem_new_strict();
    run.machine = machine_new(run.disk);
    run.first = process_new(run.machine);
    run.second = process_new(run.machine);
    run.db = connect(run.first, sync);
    must(run.db, ledger_create(plan, run.db), "making the tables");
    run.other = connect(run.second, "extra");
    struct ledger_found found;
    ledger_read(plan, run.other, &found);
    if (found.text[0] != '\0') fail_msg("%s", found.text);
}

static void end(void) {
    if (run.db != NULL) (void)sqlite3_close(run.db);
    if (run.other != NULL) assert_int_equal(sqlite3_close(run.other), SQLITE_OK);
    process_free(run.first);
    process_free(run.second);
    machine_free(run.machine);
    lsm_env_mem_free(run.disk);
}

/* Until the process is killed. What SQLite says after that nobody hears. */
static void work(void) {
    for (int k = 1; k <= TRANSACTIONS && (run.kill_at == 0 || run.operations < run.kill_at); k++) {
        run.begun = k;
        int rc = ledger_transact(run.plan, run.db, k, 0);
        if (run.kill_at != 0 && run.operations >= run.kill_at) return;
        must(run.db, rc, "transaction");
        run.acknowledged = k;
    }
}

/* The same number in all tables, within the limits; that number. */
static int expect_agreement(const struct ledger_found *found, int least, int most) {
    if (found->text[0] != '\0') fail_msg("%s %s, operation %llu: %s", run.journal, run.plan->name, (unsigned long long)run.operations, found->text);
    if (found->count[0] != found->count[1] || found->count[0] < least || found->count[0] > most)
        fail_msg("%s %s, operation %llu: %d and %d transactions; it must be %d to %d", run.journal, run.plan->name,
                 (unsigned long long)run.operations, found->count[0], found->count[1], least, most);
    return found->count[0];
}

/* ---- looking on ------------------------------------------------------------------------------------------------------------------ */

static void look_on(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    (void)op;
    struct ledger_found found;
    if (run.looking) return;
    run.looking = true;
    run.operations++;
    must(run.other, sqlite3_exec(run.other, "BEGIN", NULL, NULL, NULL), "BEGIN");
    ledger_read(run.plan, run.other, &found);
    must(run.other, sqlite3_exec(run.other, "COMMIT", NULL, NULL, NULL), "COMMIT");
    run.looks++;
    if (found.code == SQLITE_BUSY)
        run.held_off++; /* a rollback journal keeps readers off while it commits */
    else
        (void)expect_agreement(&found, run.acknowledged, run.begun);
    run.looking = false;
}

static void readers_of_another_process_see_all_of_a_transaction_or_nothing(void **state) {
    (void)state;
    for (int i = 0; i < PLANS * JOURNALS; i++) {
        start(&plans[i / JOURNALS], journals[i % JOURNALS], "full");
        lsm_env_mem_on_op(run.disk, look_on, NULL);
        work();
        lsm_env_mem_on_op(run.disk, NULL, NULL);
        assert_true(run.looks > TRANSACTIONS && (strcmp(run.journal, "wal") != 0 || run.held_off == 0));
        end();
    }
}

/* By turns in a transaction that has read, in one that has not, and in none. */
static void check_on(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    (void)op;
    struct ledger_found found;
    char text[LEDGER_TEXT];
    if (run.looking) return;
    run.looking = true;
    bool in_transaction = ++run.operations % 3 != 0;
    if (in_transaction) must(run.other, sqlite3_exec(run.other, "BEGIN", NULL, NULL, NULL), "BEGIN");
    if (run.operations % 3 == 1) ledger_read(run.plan, run.other, &found);
    ledger_check(run.plan, run.other, text);
    int rc = sqlite3_errcode(run.other);
    if (in_transaction) must(run.other, sqlite3_exec(run.other, "COMMIT", NULL, NULL, NULL), "COMMIT");
    run.looks++;
    if (rc == SQLITE_BUSY)
        run.held_off++;
    else if (strcmp(text, "ok") != 0)
        fail_msg("%s %s, operation %llu: %s", run.journal, run.plan->name, (unsigned long long)run.operations, text);
    run.looking = false;
}

static void a_check_in_another_process_finds_nothing_while_tables_come_and_go(void **state) {
    (void)state;
    for (int i = 0; i < JOURNALS; i++) {
        start(&plans[PLANS - 1], journals[i], "full");
        lsm_env_mem_on_op(run.disk, check_on, NULL);
        work();
        lsm_env_mem_on_op(run.disk, NULL, NULL);
        assert_true(run.looks > TRANSACTIONS && (strcmp(run.journal, "wal") != 0 || run.held_off == 0));
        end();
    }
}

/* A process that has never used the store reads an older state of the database than the present one, and cannot see the present: its n-th operation on the
 * database's files fails, once. That is an error of its own, and no word against the database. False: there was no n-th. */
static bool read_older_state(uint64_t n, const char *change, const char *sql, int expected) {
    struct lsm_env_fault fault = {.at = n, .ops = LSM_ENV_OPEN | LSM_ENV_READ, .among = LEDGER_MAIN, .os_errno = EMFILE};
    start(&plans[0], "wal", "full");
    struct process *third = process_new(run.machine);
    sqlite3 *db = connect(third, "full");
    must(db, sqlite3_exec(db, "BEGIN; SELECT count(*) FROM o", NULL, NULL, NULL), "BEGIN");
    must(run.db, sqlite3_exec(run.db, change, NULL, NULL, NULL), change);
    uint64_t faults = lsm_env_mem_faults(run.disk);
    lsm_env_mem_fail_at(run.disk, &fault);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    lsm_env_mem_fail_at(run.disk, NULL);
    bool struck = lsm_env_mem_faults(run.disk) != faults;
    if (rc != expected && (!struck || rc == SQLITE_CORRUPT_VTAB || strlen(sqlite3_errmsg(db)) < 10))
        fail_msg("%s: %llu: %d %s", sql, (unsigned long long)n, rc, sqlite3_errmsg(db));
    if (sqlite3_get_autocommit(db) == 0) assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), expected);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    process_free(third);
    end();
    return struck;
}

static void an_older_state_that_cannot_be_held_against_the_present_is_no_damage(void **state) {
    (void)state;
    static const char both[] = "BEGIN; INSERT INTO o VALUES (1000, 1); INSERT INTO l VALUES (1000, 1); COMMIT";
    static const char gone[] = "BEGIN; INSERT INTO o VALUES (1000, 1); DROP TABLE l; COMMIT; SELECT lsm_compact()";
    for (uint64_t n = 1; read_older_state(n, both, "SELECT count(*) FROM l", SQLITE_OK); n++) assert_true(n < OPERATIONS_MAX);
    for (uint64_t n = 1; read_older_state(n, gone, "SELECT count(*) FROM l", SQLITE_BUSY_SNAPSHOT); n++) assert_true(n < OPERATIONS_MAX);
}

/* ---- a death ------------------------------------------------------------------------------------------------------------------------ */

static void kill_first(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    (void)op;
    if (++run.operations == run.kill_at) process_kill(run.first);
}

/* The power goes: what the survivor has committed builds on what the other one has written, and that is durable with it. */
static void expect_durable(int count) {
    struct ledger_found found;
    struct lsm_env *disk = lsm_env_mem_clone_crashed(run.disk, LSM_CRASH_LOSE, 1);
    struct machine *machine = machine_new(disk);
    struct process *process = process_new(machine);
    sqlite3 *db = connect(process, "full");
    ledger_read(run.plan, db, &found);
    (void)expect_agreement(&found, count, count);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    process_free(process);
    machine_free(machine);
    lsm_env_mem_free(disk);
}

/* Readers see what was published; writers end what was going on first, one way or the other. */
static void survive(bool read_first) {
    struct ledger_found found;
    char text[LEDGER_TEXT];
    int count = run.acknowledged;
    if (read_first) {
        ledger_read(run.plan, run.other, &found);
        count = expect_agreement(&found, run.acknowledged, run.begun);
    }
    must(run.other, sqlite3_exec(run.other, "BEGIN IMMEDIATE", NULL, NULL, NULL), "BEGIN");
    ledger_read(run.plan, run.other, &found);
    count = expect_agreement(&found, count, run.begun);
    must(run.other, sqlite3_exec(run.other, "COMMIT", NULL, NULL, NULL), "COMMIT");
    must(run.other, ledger_transact(run.plan, run.other, count + 1, 1), "the survivor's transaction");
    ledger_read(run.plan, run.other, &found);
    (void)expect_agreement(&found, count + 1, count + 1);
    if (strcmp(run.sync, "off") != 0) expect_durable(count + 1);
    ledger_check(run.plan, run.other, text);
    assert_string_equal(text, "ok");
}

/* The first process dies after its n-th operation; the second one, which was there all along, takes over. False: it had no n-th. */
static bool kill_after(uint64_t n, const struct ledger_plan *plan, const char *journal, const char *sync) {
    start(plan, journal, sync);
    run.kill_at = n;
    lsm_env_mem_on_op(run.disk, kill_first, NULL);
    work();
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    bool killed = run.operations >= n;
    if (killed) survive(n % 2 == 0);
    end();
    return killed;
}

static void a_survivor_settles_what_a_killed_process_left(void **state) {
    (void)state;
    static const char *const syncs[] = {"off", "normal", "full"};
    for (int i = 0; i < PLANS * JOURNALS; i++)
        for (uint64_t n = 1; kill_after(n, &plans[i / JOURNALS], journals[i % JOURNALS], syncs[n % 3]); n++) assert_true(n < OPERATIONS_MAX);
}

/* It does not do without the last transaction. False: the first process had no n-th operation. */
static bool flush_after(uint64_t n, const char *journal, const char *flush) {
    struct ledger_found found;
    start(&plans[0], journal, "full");
    run.kill_at = n;
    lsm_env_mem_on_op(run.disk, kill_first, NULL);
    work();
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    bool killed = run.operations >= n;
    if (killed) {
        must(run.other, sqlite3_exec(run.other, flush, NULL, NULL, NULL), flush);
        ledger_read(run.plan, run.other, &found);
        (void)expect_agreement(&found, run.acknowledged, run.begun);
    }
    end();
    return killed;
}

static void a_flush_settles_what_a_killed_process_left(void **state) {
    (void)state;
    for (int i = 0; i < JOURNALS; i++)
        for (uint64_t n = 1; flush_after(n, journals[i], n % 2 == 0 ? "SELECT lsm_flush()" : "SELECT lsm_compact()"); n++)
            assert_true(n < OPERATIONS_MAX);
}

static unsigned refused; /* writers */

/* The shadow table that may know how the last transaction ended cannot be read: then nobody who writes takes the transaction for undone, and when the table is whole
 * again all of it is there, or nothing. False: the first process had no n-th operation. */
static bool kill_beside_damage(uint64_t n, const char *journal, const char *damaged_key) {
    struct ledger_found found;
    start(&plans[0], journal, "full");
    run.kill_at = n;
    lsm_env_mem_on_op(run.disk, kill_first, NULL);
    work();
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    bool killed = run.operations >= n;
    if (killed) {
        char *damage = sqlite3_mprintf("CREATE TEMP TABLE kept AS SELECT * FROM l_store; UPDATE l_store SET value = 'x' WHERE key = %Q", damaged_key);
        must(run.other, sqlite3_exec(run.other, damage, NULL, NULL, NULL), "damaging the shadow table");
        sqlite3_free(damage);
        int rc = sqlite3_exec(run.other, "DELETE FROM l WHERE 0", NULL, NULL, NULL);
        if (rc != SQLITE_OK && strstr(sqlite3_errmsg(run.other), "is damaged, and may be the one that says how") != NULL) run.looks++;
        must(run.other, sqlite3_exec(run.other, "DELETE FROM l_store; INSERT INTO l_store SELECT * FROM kept; DROP TABLE kept", NULL, NULL, NULL),
             "mending it");
        ledger_read(run.plan, run.other, &found);
        (void)expect_agreement(&found, run.acknowledged, run.begun);
        refused += run.looks;
        if (run.looks == 0) must(run.other, rc, "writing");
    }
    end();
    return killed;
}

static void nothing_is_settled_beside_a_shadow_table_that_cannot_be_read(void **state) {
    (void)state;
    static const char *const keys[] = {"nonce", "token"};
    for (int i = 0; i < JOURNALS * 2; i++) {
        refused = 0;
        for (uint64_t n = 1; kill_beside_damage(n, journals[i / 2], keys[i % 2]); n++) assert_true(n < OPERATIONS_MAX);
        assert_true(refused > 0);
    }
}

/* ---- all of them die ------------------------------------------------------------------------------------------------------------- */

/* Nobody has the database open any more: whoever comes next recovers SQLite's WAL, and finds there what no process has seen that was alive. It fits to what is
 * in the store, and is worked with. */
static void expect_whole(int least, int most) {
    struct ledger_found found;
    char text[LEDGER_TEXT];
    struct process *process = process_new(run.machine);
    sqlite3 *db = connect(process, "full");
    ledger_read(run.plan, db, &found);
    int count = expect_agreement(&found, least, most);
    must(db, ledger_transact(run.plan, db, count + 1, 2), "the next transaction");
    ledger_read(run.plan, db, &found);
    (void)expect_agreement(&found, count + 1, count + 1);
    ledger_check(run.plan, db, text);
    assert_string_equal(text, "ok");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    process_free(process);
}

/* The power goes, too: what is behind the end of SQLite's WAL may be there, or not, or what was there before. */
static void expect_whole_without_power(int least, int most, uint64_t times) {
    for (uint64_t seed = 0; seed < times; seed++) {
        struct lsm_env *disk = run.disk;
        struct machine *machine = run.machine;
        enum lsm_crash_mode mode = seed == 0 ? LSM_CRASH_LOSE : seed == 1 ? LSM_CRASH_KEEP : LSM_CRASH_RANDOM;
        run.disk = lsm_env_mem_clone_crashed(disk, mode, seed + 100 * run.kill_at);
        run.machine = machine_new(run.disk);
        expect_whole(least, most);
        machine_free(run.machine);
        lsm_env_mem_free(run.disk);
        run.disk = disk;
        run.machine = machine;
    }
}

static void kill_both(void) {
    process_kill(run.first);
    process_kill(run.second);
    (void)sqlite3_close(run.db);
    (void)sqlite3_close(run.other);
    run.db = run.other = NULL;
}

/* The first process dies after its n-th operation. The second one ends what it had begun, in a transaction that writes nothing, or in one that is rolled
 * back, or not at all; and dies, too. */
static bool kill_both_after(uint64_t n, unsigned touch, const char *journal, const char *sync, uint64_t times) {
    static const char *const touches[] = {"DELETE FROM main.l WHERE 0", "BEGIN; INSERT INTO main.o VALUES (-1, -1); DELETE FROM main.l; ROLLBACK",
                                          ""};
    start(&plans[0], journal, sync);
    run.kill_at = n;
    lsm_env_mem_on_op(run.disk, kill_first, NULL);
    work();
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    bool killed = run.operations >= n;
    int least = run.acknowledged, most = run.begun;
    if (killed) {
        if (touch == 0 && n % 2 == 0) must(run.other, sqlite3_exec(run.other, "PRAGMA cache_spill = OFF", NULL, NULL, NULL), "cache_spill");
        must(run.other, sqlite3_exec(run.other, touches[touch], NULL, NULL, NULL), "touching the table");
        if (strcmp(sync, "off") != 0)
            expect_whole_without_power(strcmp(sync, "full") != 0 ? 0 : strcmp(journal, "delete") == 0 ? least - 1 : least, most, times);
        kill_both();
        expect_whole(least, most);
    }
    end();
    return killed;
}

static void what_a_survivor_has_settled_stays_so_when_it_dies_too(void **state) {
    (void)state;
    static const char *const syncs[] = {"off", "normal", "full"};
    for (int i = 0; i < JOURNALS; i++)
        for (uint64_t n = 1; kill_both_after(n, n % 3, journals[i], syncs[n / 3 % 3], 3); n++) assert_true(n < OPERATIONS_MAX);
    for (uint64_t n = 1; kill_both_after(n, 1, "wal", "full", 30); n++) assert_true(n < OPERATIONS_MAX);
}

/* ---- a sync that fails ------------------------------------------------------------------------------------------------------------ */

/* Transactions, of which the n-th sync of whatever file fails, once. False: there was no n-th. */
static bool work_without_sync(uint64_t n, const struct ledger_plan *plan, const char *journal, const char *sync) {
    struct lsm_env_fault fault = {.at = n, .ops = LSM_ENV_SYNC | LSM_ENV_SYNC_DIR, .keep_on_sync = true};
    start(plan, journal, sync);
    lsm_env_mem_fail_at(run.disk, &fault);
    int rc = SQLITE_OK;
    for (int k = 1; k <= TRANSACTIONS && rc == SQLITE_OK; k++) {
        run.begun = k;
        rc = ledger_transact(run.plan, run.db, k, 0);
        if (rc == SQLITE_OK)
            run.acknowledged = k;
        else if (sqlite3_get_autocommit(run.db) == 0)
            (void)sqlite3_exec(run.db, "ROLLBACK", NULL, NULL, NULL);
    }
    lsm_env_mem_fail_at(run.disk, NULL);
    run.operations = n;
    return lsm_env_mem_faults(run.disk) != 0;
}

/* The n-th sync of whatever file fails, once: of a log, the database, its journal or WAL; also the one that is to make the database's commit durable
 * before the log says so. The store may be read-only then until all have closed it; nobody sees half a transaction. False: there was no n-th. */
static bool fail_sync(uint64_t n, const struct ledger_plan *plan, const char *journal, const char *sync) {
    struct ledger_found found;
    bool struck = work_without_sync(n, plan, journal, sync);
    ledger_read(run.plan, run.other, &found);
    int count = expect_agreement(&found, run.acknowledged, run.begun);
    ledger_read(run.plan, run.db, &found);
    (void)expect_agreement(&found, count, count);
    assert_int_equal(sqlite3_close(run.db), SQLITE_OK);
    run.db = NULL;
    assert_int_equal(sqlite3_close(run.other), SQLITE_OK);
    run.other = connect(run.second, "extra");
    run.acknowledged = count;
    survive(n % 2 == 0);
    end();
    return struck;
}

/* The same, and then everybody is killed: SQLite may find in its WAL what it said had failed. */
static bool fail_sync_and_kill(uint64_t n, const struct ledger_plan *plan, const char *journal, const char *sync) {
    bool struck = work_without_sync(n, plan, journal, sync);
    /* The log may be read-only until all have closed it. */
    if (n % 2 == 0) (void)sqlite3_exec(run.db, "DELETE FROM main.l WHERE 0", NULL, NULL, NULL);
    kill_both();
    expect_whole(run.acknowledged, run.begun);
    end();
    return struck;
}

static void a_sync_that_fails_and_then_a_kill_leave_no_half_of_a_transaction(void **state) {
    (void)state;
    static const char *const modes[][2] = {{"delete", "full"}, {"truncate", "normal"}, {"persist", "full"}, {"wal", "normal"}, {"wal", "full"}};
    for (size_t i = 0; i < PLANS * (sizeof modes / sizeof modes[0]); i++)
        for (uint64_t n = 1; fail_sync_and_kill(n, &plans[i % PLANS], modes[i / PLANS][0], modes[i / PLANS][1]); n++) assert_true(n < OPERATIONS_MAX);
}

static void a_sync_that_fails_leaves_no_half_of_a_transaction(void **state) {
    (void)state;
    static const char *const modes[][2] = {{"delete", "full"},  {"delete", "extra"}, {"truncate", "normal"}, {"truncate", "full"},
                                           {"persist", "full"}, {"wal", "normal"},   {"wal", "full"}};
    for (size_t i = 0; i < PLANS * (sizeof modes / sizeof modes[0]); i++)
        for (uint64_t n = 1; fail_sync(n, &plans[i % PLANS], modes[i / PLANS][0], modes[i / PLANS][1]); n++) assert_true(n < OPERATIONS_MAX);
}

/* ---- waiting for the one before -------------------------------------------------------------------------------------------------- */

static struct {
    int asked;                 /* by SQLite, in the present attempt */
    int file_held, store_held; /* attempts that ended in SQLITE_BUSY: the handler was asked, or not */
} waiting;

static int give_up(void *arg, int times) {
    (void)arg;
    (void)times;
    waiting.asked++;
    return 0;
}

static void try_to_write(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    (void)op;
    if (run.looking || waiting.store_held > 0) return;
    run.looking = true;
    waiting.asked = 0;
    int rc = sqlite3_exec(run.other, "BEGIN IMMEDIATE; INSERT INTO l VALUES (-1, 'late')", NULL, NULL, NULL);
    if (rc == SQLITE_BUSY && waiting.asked > 0) waiting.file_held++;
    if (rc == SQLITE_BUSY && waiting.asked == 0) waiting.store_held++;
    (void)sqlite3_exec(run.other, "ROLLBACK", NULL, NULL, NULL);
    run.looking = false;
}

/* docs/sql.md, "What is different": SQLite asks a busy handler, and gives us no way to. */
static void a_busy_handler_is_asked_for_the_database_file_and_not_for_the_store(void **state) {
    (void)state;
    memset(&waiting, 0, sizeof waiting);
    start(&plans[1], "wal", "full");
    (void)sqlite3_busy_handler(run.other, give_up, NULL);
    lsm_env_mem_on_op(run.disk, try_to_write, NULL);
    work();
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    assert_true(waiting.file_held > 0);
    assert_int_equal(waiting.store_held, 1);
    assert_int_equal(run.acknowledged, TRANSACTIONS);
    end();
}

/* Who looks on works within an operation of the one looked at, which holds the simulated disk's lock: a cycle of locks that no real disk makes. */
#ifdef __SANITIZE_THREAD__
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "detect_deadlocks=0"; }
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_of_another_process_see_all_of_a_transaction_or_nothing),
        cmocka_unit_test(a_check_in_another_process_finds_nothing_while_tables_come_and_go),
        cmocka_unit_test(an_older_state_that_cannot_be_held_against_the_present_is_no_damage),
        cmocka_unit_test(a_survivor_settles_what_a_killed_process_left),
        cmocka_unit_test(a_flush_settles_what_a_killed_process_left),
        cmocka_unit_test(nothing_is_settled_beside_a_shadow_table_that_cannot_be_read),
        cmocka_unit_test(what_a_survivor_has_settled_stays_so_when_it_dies_too),
        cmocka_unit_test(a_sync_that_fails_leaves_no_half_of_a_transaction),
        cmocka_unit_test(a_sync_that_fails_and_then_a_kill_leave_no_half_of_a_transaction),
        cmocka_unit_test(a_busy_handler_is_asked_for_the_database_file_and_not_for_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
