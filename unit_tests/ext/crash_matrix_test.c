/* The crash matrix: SQLite's files and the stores on one simulated disk, and the power goes, or every process is killed, at each operation on it.
 *
 *   journal modes DELETE, TRUNCATE, PERSIST, WAL  x  synchronous OFF, NORMAL, FULL, EXTRA  x  plans (ledger.h)  x  kill, power cut
 *
 * After each operation of a plan's transactions, recoveries included, the disk is cloned as the crash could leave it, and a fresh process opens the
 * database there. It must find, by what the modes promise (struct promise):
 *   - the same number of transactions in every table of a file, ordinary or LSM, and in every file where SQLite itself promises that;
 *   - no fewer than were acknowledged, no more than were begun;
 *   - both checkers content, the database writable, and what it writes there after another crash or a close;
 *   - no file that does not belong there.
 * Some of the crashed disks lose power once more while they are being recovered.
 *
 * LSM_MATRIX=N: N states for each cell (`make matrix`); without it a sample for `make check`. LSM_MATRIX_CELL=word: only cells with the word in their
 * name ("wal full mixed power"). LSM_TEST_SEED varies the random crashes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/ledger.h"
#include "../support/machine.h"

enum { TRANSACTIONS = 9, QUICK_STATES = 30, DEEP_EVERY = 16, BAD_SHOWN = 8 };

/* ---- what is promised ----------------------------------------------------------------------------------------------------------- */

static const char *const journals[] = {"delete", "truncate", "persist", "wal"};
static const char *const syncs[] = {"off", "normal", "full", "extra"};
enum journal { DELETE, TRUNCATE, PERSIST, WAL, JOURNALS };
enum sync { OFF, NORMAL, FULL, EXTRA, SYNCS };

struct promise {
    bool files_agree;       /* all files hold the same number of transactions */
    int lost_max;           /* of the acknowledged transactions, how many may be gone */
    bool sqlite_may_break;  /* SQLite itself promises nothing about its files */
    bool may_refuse;        /* the store may be found ahead of or behind its database, and then says so */
};

static struct promise promise_of(enum journal journal, enum sync sync, bool power) {
    /* Several files: a super-journal binds rollback journals together, but not at OFF; nothing binds WALs. */
    struct promise promise = {.files_agree = journal != WAL && sync != OFF};
    if (!power) return promise;
    if (sync <= NORMAL) promise.lost_max = LEDGER_TRANSACTIONS_MAX;
    /* The journal ends a transaction by being removed, which is durable at EXTRA only. */
    if (sync == FULL && journal == DELETE) promise.lost_max = 1;
    /* At NORMAL a journal is synced once, the number of its pages together with them: a disk that reorders can break that (pragma.html: "a very small chance"). */
    promise.sqlite_may_break = sync == OFF || (sync == NORMAL && journal != WAL);
    promise.may_refuse = sync == OFF;
    return promise;
}

/* ---- plans -------------------------------------------------------------------------------------------------------------------------- */

static const struct ledger_plan plans[] = {
    {.name = "ordinary", .tables = {"main.o"}},
    {.name = "lsm-only", .tables = {"main.l", "main.l2"}},
    {.name = "mixed", .tables = {"main.o", "main.l"}},
    {.name = "attached", .tables = {"main.l", "aux.o"}, .attached = true},
    {.name = "attached-both", .tables = {"main.o", "main.l", "aux.o", "aux.l"}, .attached = true},
    {.name = "ddl", .tables = {"main.l", "main.o"}, .ddl = LEDGER_TABLES_COME_AND_GO},
    {.name = "last-table", .tables = {"main.o"}, .ddl = LEDGER_LAST_TABLE},
};
enum { PLANS = sizeof plans / sizeof plans[0] };

/* ---- the run ------------------------------------------------------------------------------------------------------------------------ */

struct counts {
    uint64_t operations, states, deep, refused, broken, bad;
};

static struct {
    const struct ledger_plan *plan;
    enum journal journal;
    enum sync sync;
    bool power;
    struct promise promise;
    char name[80];
    struct lsm_env *disk;
    int acknowledged, begun;    /* transactions */
    bool count_only;
    double per_operation, credit;
    uint64_t seed;
    unsigned turn;
    struct counts counts;
} run;

static const char *crash_names[] = {"lose", "keep", "torn", "random", "kill"};
enum { KILL = 4 };

/* One crash, to be told when it goes wrong. */
struct crash {
    uint64_t operation;
    int mode; /* enum lsm_crash_mode or KILL */
    uint64_t seed;
};

static void bad(const struct crash *crash, const char *what) {
    if (run.counts.bad++ < BAD_SHOWN)
        print_message("BAD: %s: operation %llu, %s, seed %llu, %d acknowledged, %d begun:\n  %s\n", run.name, (unsigned long long)crash->operation,
                      crash_names[crash->mode], (unsigned long long)crash->seed, run.acknowledged, run.begun, what);
}

/* ---- one crashed disk ------------------------------------------------------------------------------------------------------------------- */

/* A machine with one process and one connection. */
struct session {
    struct machine *machine;
    struct process *process;
    sqlite3 *db;
};

static int session_open(struct session *session, struct lsm_env *disk, const char *sync) {
    session->machine = machine_new(disk);
    session->process = process_new(session->machine);
    session->db = NULL;
    int rc = process_open(session->process, LEDGER_MAIN, &session->db);
    if (rc == SQLITE_OK) rc = ledger_attach(run.plan, session->db);
    if (rc == SQLITE_OK) rc = ledger_configure(run.plan, session->db, journals[run.journal], sync);
    if (rc == SQLITE_OK) rc = sqlite3_exec(session->db, "PRAGMA wal_autocheckpoint = 12", NULL, NULL, NULL);
    return rc;
}

/* As usual, or by death. */
static int session_close(struct session *session, bool kill) {
    if (kill) process_kill(session->process);
    int rc = sqlite3_close(session->db);
    process_free(session->process);
    machine_free(session->machine);
    return rc;
}

enum outcome { GOOD, REFUSED, BROKEN, WRONG };

/* Holds the file, by its first table, as many transactions as may be? NULL or what is wrong. */
static const char *check_counts(const struct ledger_found *found, int least, int most) {
    static char why[200];
    int of_file[2] = {-1, -1};
    for (int i = 0; i < LEDGER_TABLES && run.plan->tables[i] != NULL; i++) {
        int *file = &of_file[ledger_is_aux(run.plan, i)], count = found->count[i];
        if (*file == -1) *file = count;
        if (*file != count) {
            (void)snprintf(why, sizeof why, "%s holds %d transactions, another table of the file %d", run.plan->tables[i], count, *file);
            return why;
        }
        if (count >= least && count <= most) continue;
        (void)snprintf(why, sizeof why, "%s holds %d transactions; it must be %d to %d", run.plan->tables[i], count, least, most);
        return why;
    }
    if (!run.promise.files_agree || of_file[1] == -1 || of_file[0] == of_file[1]) return NULL;
    (void)snprintf(why, sizeof why, "the main file holds %d transactions, the attached one %d", of_file[0], of_file[1]);
    return why;
}

/* Read everything. The reason, unless GOOD, goes to text. */
static enum outcome judge(sqlite3 *db, struct ledger_found *found, int least, int most, char *text) {
    ledger_integrity(run.plan, db, text);
    if (strcmp(text, "ok") != 0) return run.promise.sqlite_may_break ? BROKEN : WRONG;
    ledger_read(run.plan, db, found);
    if (found->text[0] != '\0') {
        (void)snprintf(text, LEDGER_TEXT, "%s", found->text);
        if (found->of_sqlite && run.promise.sqlite_may_break) return BROKEN;
        return found->code != SQLITE_OK && run.promise.may_refuse ? REFUSED : WRONG;
    }
    const char *wrong = check_counts(found, least, most);
    if (wrong != NULL) {
        (void)snprintf(text, LEDGER_TEXT, "%s", wrong);
        return WRONG;
    }
    ledger_check(run.plan, db, text);
    return strcmp(text, "ok") == 0 ? GOOD : WRONG;
}

static enum outcome failed(sqlite3 *db, const char *what, char *text) {
    int code = db == NULL ? SQLITE_NOMEM : sqlite3_extended_errcode(db);
    (void)snprintf(text, LEDGER_TEXT, "%s: %d %s", what, code, db == NULL ? "" : sqlite3_errmsg(db));
    return run.promise.sqlite_may_break && (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) ? BROKEN : WRONG;
}

/* The number of transactions for the next one: files that disagree (where they may) have nothing more to tell. */
static int next_transaction(const struct ledger_found *found) {
    for (int i = 1; i < LEDGER_TABLES && run.plan->tables[i] != NULL; i++)
        if (found->count[i] != found->count[0]) return 0;
    return found->count[0] + 1;
}

/* Only what belongs there is on the disk of a database that was closed. */
static enum outcome check_files(struct lsm_env *disk, char *text) {
    static const char *const allowed[] = {"app.db", "aux.db", "app.db-lsm", "aux.db-lsm"};
    struct lsm_names names;
    enum outcome outcome = GOOD;
    if (lsm_env_list(disk, "/", &names, NULL) != LSM_OK) return WRONG;
    for (size_t i = 0; i < names.count; i++) {
        bool known = run.journal != WAL && run.journal != DELETE && strstr(names.names[i], ".db-journal") != NULL;
        for (size_t k = 0; k < sizeof allowed / sizeof allowed[0]; k++) known |= strcmp(names.names[i], allowed[k]) == 0;
        if (known) continue;
        (void)snprintf(text, LEDGER_TEXT, "the file %s was left over", names.names[i]);
        outcome = WRONG;
    }
    lsm_names_free(&names);
    return outcome;
}

/* Everything that must hold of a crashed disk: read it, write to it, and find that again. */
static enum outcome examine(struct lsm_env *disk, bool writer_first, bool second_crash, char *text) {
    struct session session;
    struct ledger_found found;
    int least = run.acknowledged - run.promise.lost_max, next = 0;
    enum outcome outcome = GOOD;
    if (session_open(&session, disk, "full") != SQLITE_OK) outcome = failed(session.db, "opening", text);
    if (outcome == GOOD && writer_first && sqlite3_exec(session.db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) outcome = failed(session.db, "BEGIN", text);
    if (outcome == GOOD) outcome = judge(session.db, &found, least < 0 ? 0 : least, run.begun, text);
    if (outcome == GOOD && writer_first && sqlite3_exec(session.db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) outcome = failed(session.db, "COMMIT of nothing", text);
    if (outcome == GOOD) next = next_transaction(&found);
    if (next > 0 && ledger_transact(run.plan, session.db, next, 1) != SQLITE_OK) outcome = failed(session.db, "the next transaction", text);
    bool cut = second_crash && run.sync != OFF && run.journal != DELETE;
    if (outcome == GOOD && cut && lsm_env_mem_crash(disk, LSM_CRASH_LOSE, 1) != LSM_OK) outcome = WRONG;
    if (session_close(&session, cut) != SQLITE_OK && outcome == GOOD) outcome = failed(NULL, "closing", text);
    if (next <= 0 || outcome != GOOD) return outcome;
    if (session_open(&session, disk, "full") != SQLITE_OK) outcome = failed(session.db, "opening again", text);
    if (outcome == GOOD) outcome = judge(session.db, &found, next, next, text);
    (void)session_close(&session, false);
    if (outcome == GOOD) outcome = check_files(disk, text);
    return outcome;
}

static void count(enum outcome outcome, const struct crash *crash, const char *text) {
    if (outcome == REFUSED) run.counts.refused++;
    if (outcome == BROKEN) run.counts.broken++;
    if (outcome == WRONG) bad(crash, text);
    if (outcome != GOOD && getenv("LSM_MATRIX_SHOW") != NULL) print_message("  %s: %s\n", run.name, text);
}

static struct lsm_env *clone(struct lsm_env *disk, const struct crash *crash) {
    struct lsm_env *left = crash->mode == KILL ? lsm_env_mem_clone_killed(disk) : lsm_env_mem_clone_crashed(disk, (enum lsm_crash_mode)crash->mode, crash->seed);
    assert_non_null(left);
    return left;
}

static int crash_mode(unsigned turn) {
    static const int turns[] = {LSM_CRASH_RANDOM, LSM_CRASH_LOSE, LSM_CRASH_RANDOM, LSM_CRASH_TORN, LSM_CRASH_RANDOM, LSM_CRASH_KEEP};
    return run.power ? turns[turn % 6] : KILL;
}

struct second {
    struct lsm_env *disk;
    const struct crash *first;
};

/* Again, while the first crash is being recovered from. */
static void crash_again(void *arg, const struct lsm_env_op *op) {
    const struct second *second = arg;
    char text[LEDGER_TEXT], more[LEDGER_TEXT + 60];
    struct crash crash = {.operation = second->first->operation, .mode = crash_mode(run.turn), .seed = second->first->seed + op->number};
    if (run.turn++ % 2 != 0) return;
    struct lsm_env *left = clone(second->disk, &crash);
    enum outcome outcome = examine(left, run.turn % 4 < 2, run.turn % 3 == 0, text);
    (void)snprintf(more, sizeof more, "(after %s) %s", crash_names[second->first->mode], text);
    run.counts.deep++;
    count(outcome, &crash, more);
    lsm_env_mem_free(left);
}

static void examine_deep(struct lsm_env *disk, const struct crash *first) {
    struct second second = {.disk = disk, .first = first};
    struct session session;
    struct ledger_found found;
    char text[LEDGER_TEXT];
    lsm_env_mem_on_op(disk, crash_again, &second);
    int rc = session_open(&session, disk, syncs[run.sync]);
    if (rc == SQLITE_OK && run.turn % 2 == 0) rc = sqlite3_exec(session.db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK) (void)judge(session.db, &found, 0, run.begun, text); /* judged by the others */
    (void)session_close(&session, false);
    lsm_env_mem_on_op(disk, NULL, NULL);
}

static void after_operation(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    run.counts.operations++;
    if (run.count_only) return;
    for (run.credit += run.per_operation; run.credit >= 1; run.credit -= 1) {
        char text[LEDGER_TEXT] = "";
        struct crash crash = {.operation = op->number, .mode = crash_mode(run.turn++), .seed = ++run.seed * 0x9e3779b97f4a7c15u};
        struct lsm_env *left = clone(run.disk, &crash);
        if (++run.counts.states % DEEP_EVERY == 0) {
            examine_deep(left, &crash);
            lsm_env_mem_free(left);
            left = clone(run.disk, &crash);
        }
        count(examine(left, run.turn % 4 < 2, run.turn % 3 == 0, text), &crash, text);
        lsm_env_mem_free(left);
    }
}

/* ---- one cell --------------------------------------------------------------------------------------------------------------------------- */

#define MUST(session, call) must((session)->db, (call), #call)
static void must(sqlite3 *db, int rc, const char *what) {
    if (rc != SQLITE_OK) fail_msg("%s: %s: %d %s", run.name, what, sqlite3_extended_errcode(db), sqlite3_errmsg(db));
}

static void transactions(void) {
    struct session session;
    must(session.db, session_open(&session, run.disk, syncs[run.sync]), "opening");
    for (int k = 1; k <= TRANSACTIONS; k++) {
        run.begun = k;
        MUST(&session, ledger_transact(run.plan, session.db, k, 0));
        run.acknowledged = k;
        if (k == 3) MUST(&session, sqlite3_exec(session.db, "PRAGMA wal_checkpoint", NULL, NULL, NULL));
        if (k == 4 && run.plan->tables[1] != NULL) MUST(&session, sqlite3_exec(session.db, "SELECT lsm_flush()", NULL, NULL, NULL));
        if (k != 6) continue;
        assert_int_equal(session_close(&session, false), SQLITE_OK);
        must(session.db, session_open(&session, run.disk, syncs[run.sync]), "opening again");
    }
    struct ledger_found found;
    ledger_read(run.plan, session.db, &found);
    if (found.text[0] != '\0') fail_msg("%s: without any crash: %s", run.name, found.text);
    assert_int_equal(session_close(&session, false), SQLITE_OK);
}

/* A database with its tables, all of it durable. */
static struct lsm_env *prepare_disk(void) {
    struct lsm_env *disk = lsm_env_mem_new_strict();
    struct session session;
    assert_non_null(disk);
    lsm_env_mem_set_clock(disk, 1000000000000000u);
    must(session.db, session_open(&session, disk, syncs[run.sync]), "opening a new database");
    MUST(&session, ledger_create(run.plan, session.db));
    assert_int_equal(session_close(&session, false), SQLITE_OK);
    struct lsm_env *settled = lsm_env_mem_clone_crashed(disk, LSM_CRASH_KEEP, 1);
    assert_non_null(settled);
    lsm_env_mem_free(disk);
    return settled;
}

static void run_once(bool count_only) {
    (void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, NULL);
    sqlite3_randomness(0, NULL);
    run.count_only = count_only;
    run.acknowledged = run.begun = 0;
    run.disk = prepare_disk();
    lsm_env_mem_on_op(run.disk, after_operation, NULL);
    transactions();
    lsm_env_mem_on_op(run.disk, NULL, NULL);
    lsm_env_mem_free(run.disk);
}

static void run_cell(uint64_t states) {
    run.credit = 0;
    run.counts = (struct counts){0};
    run_once(true);
    run.per_operation = (double)states / (double)run.counts.operations;
    run.counts.operations = 0;
    run_once(false);
}

static uint64_t number_from(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void run_plan(const struct ledger_plan *plan, struct counts *total) {
    uint64_t states = number_from("LSM_MATRIX", QUICK_STATES);
    const char *wanted = getenv("LSM_MATRIX_CELL");
    for (int journal = DELETE; journal < JOURNALS; journal++)
        for (int sync = OFF; sync < SYNCS; sync++)
            for (int power = 0; power <= 1; power++) {
                run.plan = plan;
                run.journal = (enum journal)journal;
                run.sync = (enum sync)sync;
                run.power = power != 0;
                run.promise = promise_of(run.journal, run.sync, run.power);
                (void)snprintf(run.name, sizeof run.name, "%s %s %s %s", journals[journal], syncs[sync], plan->name, power ? "power" : "kill");
                if ((sync == EXTRA && journal != DELETE) || (wanted != NULL && strstr(run.name, wanted) == NULL)) continue;
                run_cell(states);
                print_message("  %-36s %5llu operations %6llu crashes %6llu while recovering %5llu refused %5llu broken %4llu bad\n", run.name,
                              (unsigned long long)run.counts.operations, (unsigned long long)run.counts.states, (unsigned long long)run.counts.deep,
                              (unsigned long long)run.counts.refused, (unsigned long long)run.counts.broken, (unsigned long long)run.counts.bad);
                total->operations += run.counts.operations;
                total->states += run.counts.states;
                total->deep += run.counts.deep;
                total->refused += run.counts.refused;
                total->broken += run.counts.broken;
                total->bad += run.counts.bad;
            }
}

static void run_plans(int first, int last) {
    struct counts total = {0};
    run.seed = number_from("LSM_TEST_SEED", 0) * 1000003;
    print_message("seed %llu\n", (unsigned long long)number_from("LSM_TEST_SEED", 0));
    for (int i = first; i <= last; i++) run_plan(&plans[i], &total);
    print_message("%llu operations, %llu crashes, %llu while recovering, %llu refused, %llu broken files of SQLite where it promises none, %llu bad\n",
                  (unsigned long long)total.operations, (unsigned long long)total.states, (unsigned long long)total.deep, (unsigned long long)total.refused,
                  (unsigned long long)total.broken, (unsigned long long)total.bad);
    assert_int_equal(total.bad, 0);
}

/* If this fails, the disk or the promises are wrong, not the extension. */
static void ordinary_tables_alone_hold_what_sqlite_promises(void **state) {
    (void)state;
    run_plans(0, 0);
}

static void lsm_tables_alone_hold_what_is_promised(void **state) {
    (void)state;
    run_plans(1, 1);
}

static void ordinary_and_lsm_tables_hold_together(void **state) {
    (void)state;
    run_plans(2, PLANS - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_tables_alone_hold_what_sqlite_promises),
        cmocka_unit_test(lsm_tables_alone_hold_what_is_promised),
        cmocka_unit_test(ordinary_and_lsm_tables_hold_together),
    };
    cmocka_set_skip_filter(getenv("LSM_MATRIX") == NULL ? "ordinary_and_lsm*" : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
