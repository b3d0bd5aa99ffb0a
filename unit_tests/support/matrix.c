#include "matrix.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "given.h"

enum {
    DEEP_EVERY = 16,
    BAD_SHOWN = 8,
    WRITE_BUFFER_BYTES = 65536 /* the least, so that large transactions are too large */
};

struct matrix matrix;

/* How the crashes of a cell are spread over its operations. */
static struct {
    const struct matrix_job *job;
    uint64_t digests[2][LEDGER_TRANSACTIONS_MAX]; /* of each file after each transaction */
    bool count_only;
    double per_operation, credit;
    uint64_t seed, crashes;
    unsigned turn;
} spread;

/* ---- what is promised ----------------------------------------------------------------------------------------------------------- */

static const char *const journals[] = {"delete", "truncate", "persist", "wal"};
static const char *const syncs[] = {"off", "normal", "full", "extra"};

static struct matrix_promise promise_of(enum matrix_journal journal, enum matrix_sync sync, bool power) {
    /* Several files: a super-journal binds rollback journals together, but not at OFF, nor, when the power goes, where their ends are not synced;
     * nothing binds WALs. */
    struct matrix_promise promise = {.files_agree = journal != MATRIX_WAL && sync > (power ? MATRIX_NORMAL : MATRIX_OFF)};
    if (!power) return promise;
    if (sync <= MATRIX_NORMAL) promise.lost_max = LEDGER_TRANSACTIONS_MAX;
    /* The journal ends a transaction by being removed, which is durable at EXTRA only. */
    if (sync == MATRIX_FULL && journal == MATRIX_DELETE) promise.lost_max = 1;
    /* At NORMAL a journal is synced once, the number of its pages together with them: a disk that reorders can break that (pragma.html: "a very
     * small chance"). */
    promise.sqlite_may_break = sync == MATRIX_OFF || (sync == MATRIX_NORMAL && journal != MATRIX_WAL);
    promise.may_refuse = sync == MATRIX_OFF;
    return promise;
}

const char *matrix_sync_name(void) { return syncs[matrix.sync]; }

/* ---- crashes ---------------------------------------------------------------------------------------------------------------------- */

static const char *const crash_names[] = {"lose", "keep", "torn", "random", "kill", "kill while writing"};
enum { KILL = 4, KILL_WRITING };

/* One crash, to be told when it goes wrong. */
struct crash {
    uint64_t operation;
    int mode; /* enum lsm_crash_mode or KILL */
    uint64_t seed;
};

static void bad(const struct crash *crash, const char *what) {
    if (matrix.counts.bad++ < BAD_SHOWN)
        print_message("BAD: %s: operation %llu, %s, seed %llu, %d acknowledged, %d begun:\n  %s\n", matrix.name, (unsigned long long)crash->operation,
                      crash_names[crash->mode], (unsigned long long)crash->seed, matrix.acknowledged, matrix.begun, what);
}

static struct lsm_env *clone(struct lsm_env *disk, const struct crash *crash) {
    struct lsm_env *left = crash->mode >= KILL ? lsm_env_mem_clone_killed(disk, crash->mode == KILL_WRITING)
                                               : lsm_env_mem_clone_crashed(disk, (enum lsm_crash_mode)crash->mode, crash->seed);
    assert_non_null(left);
    return left;
}

/* A kill in the middle of a write: of ours only. SQLite relies on a page to be written or not. */
static int crash_mode(unsigned turn, const struct lsm_env_op *op) {
    static const int turns[] = {LSM_CRASH_RANDOM, LSM_CRASH_LOSE, LSM_CRASH_RANDOM, LSM_CRASH_TORN, LSM_CRASH_RANDOM, LSM_CRASH_KEEP};
    if (matrix.power) return turns[turn % 6];
    return op->kind == LSM_ENV_WRITE && strstr(op->path, "-lsm/") != NULL && turn % 2 == 0 ? KILL_WRITING : KILL;
}

/* ---- sessions ----------------------------------------------------------------------------------------------------------------------- */

int matrix_connect(struct process *process, const char *sync, sqlite3 **db) {
    int rc = process_open(process, LEDGER_MAIN, db);
    if (rc == SQLITE_OK) rc = ledger_attach(matrix.plan, *db);
    if (rc == SQLITE_OK) rc = ledger_configure(matrix.plan, *db, journals[matrix.journal], sync);
    return rc == SQLITE_OK ? sqlite3_exec(*db, "PRAGMA wal_autocheckpoint = 12", NULL, NULL, NULL) : rc;
}

int matrix_open(struct matrix_session *session, struct lsm_env *disk, const char *sync) {
    session->machine = machine_new(disk);
    session->process = process_new(session->machine);
    session->db = NULL;
    assert_non_null(session->process);
    process_set_write_buffer(session->process, matrix.write_buffer_bytes);
    return matrix_connect(session->process, sync, &session->db);
}

/* As usual, or by death. */
int matrix_close(struct matrix_session *session, bool kill) {
    if (kill) process_kill(session->process);
    int rc = sqlite3_close(session->db);
    process_free(session->process);
    machine_free(session->machine);
    return rc;
}

void matrix_must(sqlite3 *db, int rc, const char *what) {
    if (rc != SQLITE_OK) fail_msg("%s: %s: %d %s", matrix.name, what, sqlite3_extended_errcode(db), sqlite3_errmsg(db));
}

/* The work is done twice, and the second time nothing is different. */
void matrix_acknowledge(sqlite3 *db, int k) {
    for (int file = 0; file <= matrix.plan->attached; file++) {
        uint64_t digest = ledger_digest(db, file == 0 ? "main" : "aux");
        if (spread.count_only)
            spread.digests[file][k] = digest;
        else
            assert_int_equal(digest, spread.digests[file][k]);
    }
    matrix.acknowledged = k;
}

static bool was_ever_so(sqlite3 *db) {
    for (int file = 0; file <= matrix.plan->attached; file++) {
        uint64_t digest = ledger_digest(db, file == 0 ? "main" : "aux");
        int k = 0;
        while (k <= matrix.begun && spread.digests[file][k] != digest) k++;
        if (k > matrix.begun) return false;
    }
    return true;
}

/* ---- one crashed disk --------------------------------------------------------------------------------------------------------------- */

enum outcome { GOOD, REFUSED, BROKEN, WRONG };

/* A look at a crashed disk. */
struct look {
    struct matrix_session session;
    struct ledger_plan plan; /* as matrix.plan, without a table that was dropped */
    struct ledger_found found;
    char text[LEDGER_TEXT]; /* why not GOOD */
};

/* Does each file hold, by all its tables, as many transactions as may be? */
static enum outcome check_counts(struct look *look, int least, int most) {
    int of_file[2] = {-1, -1};
    for (int i = 0; i < LEDGER_TABLES && look->plan.tables[i] != NULL; i++) {
        int *file = &of_file[ledger_is_aux(&look->plan, i)], count = look->found.count[i];
        if (*file == -1) *file = count;
        if (*file == count && count >= least && count <= most) continue;
        (void)snprintf(look->text, sizeof look->text, "%s holds %d transactions, the first table of the file %d; it must be %d to %d",
                       look->plan.tables[i], count, *file, least, most);
        return WRONG;
    }
    if (!matrix.promise.files_agree || of_file[1] == -1 || of_file[0] == of_file[1]) return GOOD;
    (void)snprintf(look->text, sizeof look->text, "the main file holds %d transactions, the attached one %d", of_file[0], of_file[1]);
    return WRONG;
}

/* check: with lsm_check(), which also flushes what is in memory. */
static enum outcome judge(struct look *look, int least, int most, bool check) {
    sqlite3 *db = look->session.db;
    ledger_integrity(&look->plan, db, look->text);
    if (strcmp(look->text, "ok") != 0) return matrix.promise.sqlite_may_break ? BROKEN : WRONG;
    ledger_read(&look->plan, db, &look->found);
    if (look->found.text[0] != '\0') {
        (void)snprintf(look->text, sizeof look->text, "%s", look->found.text);
        if (look->found.of_sqlite && matrix.promise.sqlite_may_break) return BROKEN;
        return look->found.code != SQLITE_OK && matrix.promise.may_refuse ? REFUSED : WRONG;
    }
    if (check_counts(look, least, most) != GOOD) return WRONG;
    if (!check) return GOOD;
    ledger_check(&look->plan, db, look->text);
    return strcmp(look->text, "ok") == 0 ? GOOD : WRONG;
}

static enum outcome failed(struct look *look, const char *what) {
    sqlite3 *db = look->session.db;
    int code = sqlite3_extended_errcode(db);
    (void)snprintf(look->text, sizeof look->text, "%s: %d %.600s", what, code, sqlite3_errmsg(db));
    if (matrix.promise.sqlite_may_break && (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)) return BROKEN;
    return matrix.promise.may_refuse && (code == SQLITE_CORRUPT_VTAB || code == SQLITE_CANTOPEN) ? REFUSED : WRONG;
}

static enum outcome do_sql(struct look *look, const char *sql) {
    return sqlite3_exec(look->session.db, sql, NULL, NULL, NULL) == SQLITE_OK ? GOOD : failed(look, sql);
}

static int last_lsm_table(const struct look *look) {
    int last = -1;
    for (int i = 0; i < LEDGER_TABLES && look->plan.tables[i] != NULL; i++)
        if (ledger_is_lsm(&look->plan, i)) last = i;
    return last;
}

/* There and back, unless an earlier crash has left it on the way. */
static enum outcome rename_table(struct look *look) {
    const char *table = look->plan.tables[last_lsm_table(look)], *bare = strchr(table, '.') + 1;
    char sql[200];
    bool away = sqlite3_table_column_metadata(look->session.db, "main", "lx", NULL, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
    (void)snprintf(sql, sizeof sql, "ALTER TABLE %s RENAME TO lx", table);
    enum outcome outcome = away ? GOOD : do_sql(look, sql);
    (void)snprintf(sql, sizeof sql, "ALTER TABLE lx RENAME TO %s", bare);
    return outcome == GOOD ? do_sql(look, sql) : outcome;
}

static enum outcome drop_table(struct look *look) {
    int last = last_lsm_table(look);
    char sql[200];
    (void)snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS %s", look->plan.tables[last]);
    for (int i = last; i < LEDGER_TABLES; i++) look->plan.tables[i] = i + 1 < LEDGER_TABLES ? look->plan.tables[i + 1] : NULL;
    return do_sql(look, sql);
}

static enum outcome look_first(struct look *look, enum matrix_first first) {
    switch (first) {
    case MATRIX_WRITE: return do_sql(look, "BEGIN IMMEDIATE");
    case MATRIX_RENAME: return rename_table(look);
    case MATRIX_DROP: return drop_table(look);
    case MATRIX_READ:
    case MATRIX_READ_OR_WRITE: break;
    }
    return GOOD;
}

/* The number of the transaction to write next; 0: files disagree (where they may), and there is nothing more to learn. */
static int next_transaction(const struct look *look) {
    for (int i = 1; i < LEDGER_TABLES && look->plan.tables[i] != NULL; i++)
        if (look->found.count[i] != look->found.count[0]) return 0;
    return look->found.count[0] + 1;
}

/* One store for each file, if any. (Except where the last table of an attached file was dropped: its rows go with the next statement that writes there,
 * and until then nobody can tell whether a newer file names them. docs/sql.md) */
static enum outcome check_stores(struct look *look, struct lsm_env *disk, const char *dir) {
    struct lsm_names names;
    if (lsm_env_list(disk, dir, &names, NULL) != LSM_OK) return GOOD;
    size_t stores = names.count;
    lsm_names_free(&names);
    if (stores <= 1 || (matrix.plan->ddl == LEDGER_LAST_TABLE && matrix.plan->attached)) return GOOD;
    (void)snprintf(look->text, sizeof look->text, "%zu stores in %s", stores, dir);
    return WRONG;
}

/* Only what belongs there is on the disk of a database that was closed. */
static enum outcome check_files(struct look *look, struct lsm_env *disk) {
    static const char *const allowed[] = {"app.db", "aux.db", "app.db-lsm", "aux.db-lsm"};
    struct lsm_names names;
    enum outcome outcome = GOOD;
    if (lsm_env_list(disk, "/", &names, NULL) != LSM_OK) return WRONG;
    for (size_t i = 0; i < names.count; i++) {
        bool known = matrix.journal != MATRIX_WAL && matrix.journal != MATRIX_DELETE && strstr(names.names[i], ".db-journal") != NULL;
        for (size_t k = 0; k < sizeof allowed / sizeof allowed[0]; k++) known |= strcmp(names.names[i], allowed[k]) == 0;
        known |= strstr(names.names[i], ".db-mj") != NULL; /* SQLite leaves super-journals behind */
        if (known) continue;
        (void)snprintf(look->text, sizeof look->text, "the file %s was left over", names.names[i]);
        outcome = WRONG;
    }
    lsm_names_free(&names);
    if (outcome == GOOD) outcome = check_stores(look, disk, LEDGER_MAIN "-lsm");
    return outcome == GOOD ? check_stores(look, disk, LEDGER_AUX "-lsm") : outcome;
}

/* Open, read, and write one more transaction, whose number goes to *next; 0: none was written. */
static enum outcome read_and_write(struct look *look, struct lsm_env *disk, enum matrix_first first, bool check, int *next) {
    int least = matrix.acknowledged - matrix.promise.lost_max;
    *next = 0;
    if (matrix_open(&look->session, disk, "full") != SQLITE_OK) return failed(look, "opening");
    if (matrix.promise.sqlite_may_break && !was_ever_so(look->session.db)) {
        (void)snprintf(look->text, sizeof look->text, "SQLite's file is in a state that never was");
        return BROKEN;
    }
    enum outcome outcome = look_first(look, first);
    if (outcome == GOOD) outcome = judge(look, least < 0 ? 0 : least, matrix.begun, check);
    if (outcome == GOOD && first == MATRIX_WRITE) outcome = do_sql(look, "COMMIT");
    if (outcome != GOOD) return outcome;
    *next = next_transaction(look);
    if (*next > 0 && ledger_transact(&look->plan, look->session.db, *next, 1) != SQLITE_OK) outcome = failed(look, "the next transaction");
    return outcome;
}

/* Everything that must hold of a crashed disk. cut: the power goes a second time, after the next transaction. */
static enum outcome examine(struct look *look, struct lsm_env *disk, enum matrix_first first, bool cut) {
    int next;
    look->plan = *matrix.plan;
    /* What was written at OFF before, and never synced, no later FULL makes good; at DELETE one transaction may go. */
    cut = cut && matrix.sync != MATRIX_OFF && matrix.journal != MATRIX_DELETE;
    enum outcome outcome = read_and_write(look, disk, first, !cut, &next);
    if (outcome == GOOD && cut && lsm_env_mem_crash(disk, LSM_CRASH_LOSE, 1) != LSM_OK) outcome = WRONG;
    if (matrix_close(&look->session, cut) != SQLITE_OK && outcome == GOOD) {
        (void)snprintf(look->text, sizeof look->text, "closing failed");
        outcome = WRONG;
    }
    if (next <= 0 || outcome != GOOD) return outcome;
    if (matrix_open(&look->session, disk, "full") != SQLITE_OK) outcome = failed(look, "opening again");
    if (outcome == GOOD) outcome = judge(look, next, next, true);
    (void)matrix_close(&look->session, false);
    return outcome == GOOD && !matrix.promise.may_refuse ? check_files(look, disk) : outcome;
}

static enum matrix_first first_of(unsigned turn) {
    if (spread.job->first != MATRIX_READ_OR_WRITE) return spread.job->first;
    return turn % 4 < 2 ? MATRIX_WRITE : MATRIX_READ;
}

static void examine_and_count(struct lsm_env *disk, const struct crash *crash, const char *when) {
    struct look look;
    enum outcome outcome = examine(&look, disk, first_of(spread.turn), spread.turn % 3 == 0);
    char text[LEDGER_TEXT + 60];
    if (outcome == GOOD) return;
    (void)snprintf(text, sizeof text, "%s%s", when, look.text);
    if (outcome == REFUSED) matrix.counts.refused++;
    if (outcome == BROKEN) matrix.counts.broken++;
    if (outcome == WRONG)
        bad(crash, text);
    else if (getenv("LSM_MATRIX_SHOW") != NULL)
        print_message("  %s: %s\n", matrix.name, text);
}

/* ---- crashes during recovery ---------------------------------------------------------------------------------------------------------- */

struct second {
    struct lsm_env *disk;
    const struct crash *first;
};

static void crash_again(void *arg, const struct lsm_env_op *op) {
    const struct second *second = arg;
    char when[60];
    struct crash crash = {.operation = second->first->operation, .mode = crash_mode(spread.turn, op), .seed = second->first->seed + op->number};
    if (spread.turn++ % 2 != 0) return;
    struct lsm_env *left = clone(second->disk, &crash);
    (void)snprintf(when, sizeof when, "(after %s, operation %llu of the recovery) ", crash_names[second->first->mode],
                   (unsigned long long)op->number);
    matrix.counts.deep++;
    examine_and_count(left, &crash, when);
    lsm_env_mem_free(left);
}

/* What is found here is judged by the others. */
static void recover_with_crashes(struct lsm_env *disk, const struct crash *first) {
    struct second second = {.disk = disk, .first = first};
    struct look look = {.plan = *matrix.plan};
    lsm_env_mem_on_op(disk, crash_again, &second);
    if (matrix_open(&look.session, disk, syncs[matrix.sync]) == SQLITE_OK && look_first(&look, first_of(spread.turn)) == GOOD)
        (void)judge(&look, 0, matrix.begun, spread.turn % 4 == 0);
    (void)matrix_close(&look.session, false);
    lsm_env_mem_on_op(disk, NULL, NULL);
}

static void after_operation(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    matrix.counts.operations++;
    if (spread.count_only) return;
    (void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SAVE); /* SQLite's random numbers are the work's */
    for (spread.credit += spread.per_operation; spread.credit >= 1; spread.credit -= 1) {
        struct crash crash = {.operation = op->number, .mode = crash_mode(spread.turn, op), .seed = ++spread.seed * 0x9e3779b97f4a7c15u};
        struct lsm_env *left = clone(matrix.disk, &crash);
        spread.turn++;
        matrix.counts.crashes++;
        if (++spread.crashes % DEEP_EVERY == 0) {
            recover_with_crashes(left, &crash);
            lsm_env_mem_free(left);
            left = clone(matrix.disk, &crash);
        }
        examine_and_count(left, &crash, "");
        lsm_env_mem_free(left);
    }
    (void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_RESTORE);
}

/* ---- cells ------------------------------------------------------------------------------------------------------------------------------ */

/* A database with its tables, all of it durable. */
static struct lsm_env *prepare_disk(void) {
    struct lsm_env *disk = lsm_env_mem_new_strict();
    struct matrix_session session;
    assert_non_null(disk);
    lsm_env_mem_set_clock(disk, 1000000000000000u);
    int rc = matrix_open(&session, disk, syncs[matrix.sync]);
    matrix_must(session.db, rc, "opening a new database");
    matrix_must(session.db, ledger_create(matrix.plan, session.db), "making the tables");
    matrix_acknowledge(session.db, 0);
    assert_int_equal(matrix_close(&session, false), SQLITE_OK);
    struct lsm_env *settled = lsm_env_mem_clone_crashed(disk, LSM_CRASH_KEEP, 1);
    assert_non_null(settled);
    lsm_env_mem_free(disk);
    return settled;
}

static void run_once(bool count_only) {
    struct matrix_session session;
    (void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, NULL);
    sqlite3_randomness(0, NULL);
    spread.count_only = count_only;
    matrix.acknowledged = matrix.begun = 0;
    matrix.disk = prepare_disk();
    lsm_env_mem_on_op(matrix.disk, after_operation, NULL);
    spread.job->work();
    lsm_env_mem_on_op(matrix.disk, NULL, NULL);
    struct look look = {.plan = *matrix.plan};
    int rc = matrix_open(&look.session, matrix.disk, syncs[matrix.sync]);
    matrix_must(look.session.db, rc, "opening at the end");
    if (judge(&look, matrix.acknowledged, matrix.acknowledged, true) != GOOD) fail_msg("%s: without any crash: %s", matrix.name, look.text);
    session = look.session;
    assert_int_equal(matrix_close(&session, false), SQLITE_OK);
    lsm_env_mem_free(matrix.disk);
}

static void add(struct matrix_counts *total, const struct matrix_counts *counts) {
    total->operations += counts->operations;
    total->crashes += counts->crashes;
    total->deep += counts->deep;
    total->refused += counts->refused;
    total->broken += counts->broken;
    total->bad += counts->bad;
}

static void print_counts(const char *name, const struct matrix_counts *counts) {
    print_message("  %-40s %5llu operations %6llu crashes %6llu while recovering %5llu refused %5llu broken %4llu bad\n", name,
                  (unsigned long long)counts->operations, (unsigned long long)counts->crashes, (unsigned long long)counts->deep,
                  (unsigned long long)counts->refused, (unsigned long long)counts->broken, (unsigned long long)counts->bad);
}

static bool is_wanted(const struct matrix_job *job) {
    const char *words = getenv("LSM_MATRIX_CELL");
    if (matrix.sync == MATRIX_EXTRA && matrix.journal != MATRIX_DELETE) return false; /* the same as FULL there */
    if ((job->no_wal && matrix.journal == MATRIX_WAL) || (job->no_off && matrix.sync == MATRIX_OFF)) return false;
    return words == NULL || strstr(matrix.name, words) != NULL;
}

static void run_cell(enum matrix_journal journal, enum matrix_sync sync, bool power, struct matrix_counts *total) {
    const struct matrix_job *job = spread.job;
    matrix = (struct matrix){.plan = job->plan, .journal = journal, .sync = sync, .power = power};
    matrix.promise = promise_of(journal, sync, power);
    matrix.write_buffer_bytes = job->plan->rows > 0 ? WRITE_BUFFER_BYTES : 0;
    (void)snprintf(matrix.name, sizeof matrix.name, "%s %s %s %s", journals[journal], syncs[sync], job->plan->name, power ? "power" : "kill");
    if (!is_wanted(job)) return;
    run_once(true);
    spread.credit = 0;
    spread.per_operation = (double)given_number("LSM_MATRIX", job->crashes) / (double)matrix.counts.operations;
    matrix.counts.operations = 0;
    run_once(false);
    print_counts(matrix.name, &matrix.counts);
    add(total, &matrix.counts);
}

void matrix_run(const struct matrix_job *job, struct matrix_counts *total) {
    spread.job = job;
    spread.seed = given_number("LSM_TEST_SEED", 0) * 1000003;
    for (int i = 0; i < MATRIX_JOURNALS * MATRIX_SYNCS; i++) {
        run_cell((enum matrix_journal)(i / MATRIX_SYNCS), (enum matrix_sync)(i % MATRIX_SYNCS), false, total);
        run_cell((enum matrix_journal)(i / MATRIX_SYNCS), (enum matrix_sync)(i % MATRIX_SYNCS), true, total);
    }
}

void matrix_conclude(const struct matrix_counts *total) {
    print_message("seed %llu; broken: files of SQLite where it promises none\n", (unsigned long long)given_number("LSM_TEST_SEED", 0));
    print_counts("all", total);
    assert_int_equal(total->bad, 0);
}
