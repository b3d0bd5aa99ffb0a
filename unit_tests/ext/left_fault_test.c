/* A process died between SQLite's commit and its own, and files of the store cannot be opened or read for a moment, or for long: whoever comes then is told so, or sees all of
 * the transaction; he never sees half of it, nor draws the conclusion that database and store do not belong together. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../support/machine.h"
#include "../support/sql.h"

static struct process *dying;

/* It would say in the store's log that it has committed: its second write there. */
static void kill_at_end(void *arg, struct lsm_env *process, enum lsm_env_op_kind kind, const char *path) {
    unsigned *writes = arg;
    size_t length = path == NULL ? 0 : strlen(path);
    (void)process;
    if (kind != LSM_ENV_WRITE || length < 4 || strcmp(path + length - 4, ".wal") != 0) return;
    if (++*writes == 2) process_kill(dying);
}

static sqlite3 *connect(struct process *process, const char *first) {
    sqlite3 *db = NULL;
    assert_int_equal(process_open(process, MACHINE_DATABASE, &db), SQLITE_OK);
    sql_must(db, first);
    return db;
}

struct plan {
    const char *journal, *sql;
    bool is_new; /* who looks has not had the store open before */
    struct lsm_env_fault fault;
};

static void die(const struct plan *plan) {
    unsigned writes = 0;
    sqlite3 *db = connect(dying, plan->journal);
    lsm_env_mem_before_op(process_env(dying), kill_at_end, &writes);
    (void)sqlite3_exec(db, "BEGIN; INSERT INTO o VALUES (1); INSERT INTO l VALUES (1); COMMIT", NULL, NULL, NULL);
    assert_true(writes >= 2);
    (void)sqlite3_close(db);
}

/* False: so many operations were not made. */
static bool look(const struct plan *plan, uint64_t n) {
    struct lsm_env *disk = lsm_env_mem_new_strict();
    struct machine *machine = machine_new(disk);
    struct process *looking = process_new(machine), *third = process_new(machine);
    struct lsm_env_fault fault = plan->fault;
    char seen[100] = "";
    dying = process_new(machine);
    fault.at = n;
    sqlite3 *there = connect(third, plan->journal); /* so what is found is not simply recovered */
    sql_must(there, "CREATE TABLE o(k); CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY); INSERT INTO o VALUES (0); INSERT INTO l VALUES (0)");
    sqlite3 *db = connect(looking, plan->is_new ? "SELECT * FROM o" : "SELECT * FROM o, l");
    die(plan);
    lsm_env_mem_fail_at(disk, &fault);
    int rc = sql_dump(db, plan->sql, seen, sizeof seen);
    bool hit = lsm_env_mem_faults(disk) > 0;
    lsm_env_mem_fail_at(disk, NULL);
    bool wrong = rc == SQLITE_OK ? seen[0] != '\0' && strcmp(seen, "2 ") != 0 : !hit || strstr(sqlite3_errmsg(db), "older than") != NULL;
    if (wrong) fail_msg("%s; %s, operation %llu: %d %s: %s", plan->journal, plan->sql, (unsigned long long)n, rc, sqlite3_errmsg(db), seen);
    if (rc != SQLITE_OK) sql_must(db, plan->sql);
    assert_string_equal(sql_rows(db, "SELECT count(*) FROM o JOIN l USING (k)"), "2");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(sqlite3_close(there), SQLITE_OK);
    process_free(looking);
    process_free(third);
    process_free(dying);
    machine_free(machine);
    lsm_env_mem_free(disk);
    return hit;
}

static void look_in_vain(unsigned ops, int os_errno) {
    static const char *const statements[] = {"SELECT count(*) FROM l JOIN o USING (k)", "INSERT INTO l VALUES (77)"};
    static const char *const journals[] = {"PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE"};
    for (int i = 0; i < 16; i++) {
        struct plan plan = {.journal = journals[i & 1], .sql = statements[i >> 1 & 1], .is_new = (i & 4) != 0};
        plan.fault = (struct lsm_env_fault){.ops = ops, .os_errno = os_errno, .sticky = (i & 8) != 0, .among = "lsm"};
        for (uint64_t n = 1; look(&plan, n); n++) {}
    }
}

static void a_file_that_cannot_be_opened_says_nothing_of_the_transaction(void **state) {
    (void)state;
    look_in_vain(LSM_ENV_OPEN, EMFILE);
}

static void a_file_that_cannot_be_read_says_nothing_of_the_transaction(void **state) {
    (void)state;
    look_in_vain(LSM_ENV_READ, EIO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_cannot_be_opened_says_nothing_of_the_transaction),
        cmocka_unit_test(a_file_that_cannot_be_read_says_nothing_of_the_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
