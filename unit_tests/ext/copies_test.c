/* Database files that are copied while they are in use, or put back without their store or with an older one. On a simulated machine
 * (support/machine.h), so that the copies can be made between any two operations on the disk. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../lsm_core/base/base.h"
#include "../support/ledger.h"
#include "../support/machine.h"
#include "../support/sql.h"

enum { TRANSACTIONS = 4 };

static const struct ledger_plan plan = {.name = "mixed", .tables = {"main.o", "main.l"}, .begins = true};
static const char *const journals[] = {"delete", "persist", "wal"};
enum { JOURNALS = 3 };

static const char *journal; /* of the case at hand */

/* ---- a machine and its files --------------------------------------------------------------------------------------------------- */

static struct computer computer_on(struct lsm_env *disk) {
    struct computer computer = {.disk = disk, .machine = machine_new(disk)};
    computer.process = process_new(computer.machine);
    assert_non_null(computer.process);
    return computer;
}

static void must(sqlite3 *db, int rc, const char *what) {
    if (rc != SQLITE_OK) fail_msg("%s: %s: %d %s", journal, what, sqlite3_extended_errcode(db), sqlite3_errmsg(db));
}

static sqlite3 *connect(struct computer *computer, const char *path) {
    sqlite3 *db = NULL;
    must(db, process_open(computer->process, path, &db), "opening");
    must(db, ledger_configure(&plan, db, journal, "full"), "configuring");
    return db;
}

static void copy_file(struct lsm_env *from, const char *path, struct lsm_env *to, const char *new_path) {
    uint8_t *bytes;
    size_t size;
    if (lsm_env_mem_read_file(from, path, &bytes, &size) != LSM_OK) return;
    assert_int_equal(lsm_env_mem_write_file(to, new_path, bytes, size), LSM_OK);
    lsm_free(bytes);
}

/* The stores of a database: directories of files. */
static void copy_stores(struct lsm_env *from, const char *dir, struct lsm_env *to, const char *new_dir) {
    struct lsm_names stores, files;
    char store[200], path[300], new_path[300];
    if (lsm_env_list(from, dir, &stores, NULL) != LSM_OK) return;
    for (size_t i = 0; i < stores.count; i++) {
        (void)snprintf(store, sizeof store, "%s/%s", dir, stores.names[i]);
        assert_int_equal(lsm_env_list(from, store, &files, NULL), LSM_OK);
        for (size_t k = 0; k < files.count; k++) {
            (void)snprintf(path, sizeof path, "%s/%s", store, files.names[k]);
            (void)snprintf(new_path, sizeof new_path, "%s/%s/%s", new_dir, stores.names[i], files.names[k]);
            copy_file(from, path, to, new_path);
        }
        lsm_names_free(&files);
    }
    lsm_names_free(&stores);
}

static void copy_database(struct lsm_env *from, struct lsm_env *to, const char *name) {
    static const char *const suffixes[] = {"", "-journal", "-wal"};
    for (size_t i = 0; i < 3; i++) {
        char path[60], new_path[60];
        (void)snprintf(path, sizeof path, "/app.db%s", suffixes[i]);
        (void)snprintf(new_path, sizeof new_path, "/%s%s", name, suffixes[i]);
        copy_file(from, path, to, new_path);
    }
}

static void remove_all(struct lsm_env *disk, const char *dir) {
    struct lsm_names names;
    if (lsm_env_list(disk, dir, &names, NULL) != LSM_OK) return;
    for (size_t i = 0; i < names.count; i++) {
        char path[300];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names.names[i]);
        if (lsm_env_unlink(disk, path, NULL) != LSM_OK) remove_all(disk, path);
    }
    lsm_names_free(&names);
    assert_int_equal(lsm_env_rmdir(disk, dir, NULL), LSM_OK);
}

static bool exists(struct lsm_env *disk, const char *path) {
    bool found = false;
    assert_int_equal(lsm_env_exists(disk, path, &found, NULL), LSM_OK);
    return found;
}

static int transactions_in(sqlite3 *db) {
    struct ledger_found found;
    ledger_read(&plan, db, &found);
    if (found.text[0] != '\0') fail_msg("%s: %s", journal, found.text);
    assert_int_equal(found.count[0], found.count[1]);
    return found.count[0];
}

/* ---- copies made between two operations ------------------------------------------------------------------------------------------ */

typedef void (*look_fn)(struct computer *live);

static struct {
    struct computer live;
    look_fn look;
    bool busy; /* looking: what it does itself is not looked at */
    int begun, acknowledged;
    unsigned looks;
} onlooker;

static void after_operation(void *arg, const struct lsm_env_op *op) {
    (void)arg;
    (void)op;
    if (onlooker.busy) return;
    onlooker.busy = true;
    onlooker.look(&onlooker.live);
    onlooker.looks++;
    onlooker.busy = false;
}

/* A few transactions, looked at after each operation. */
static void work_looked_at(look_fn look) {
    for (int i = 0; i < JOURNALS; i++) {
        struct lsm_env *disk = lsm_env_mem_new_strict();
        journal = journals[i];
        onlooker.live = computer_on(disk);
        onlooker.look = look;
        onlooker.live.db = connect(&onlooker.live, "/app.db");
        must(onlooker.live.db, ledger_create(&plan, onlooker.live.db), "making the tables");
        onlooker.begun = onlooker.acknowledged = 0;
        onlooker.looks = 0;
        lsm_env_mem_on_op(disk, after_operation, NULL);
        for (int k = 1; k <= TRANSACTIONS; k++) {
            onlooker.begun = k;
            must(onlooker.live.db, ledger_transact(&plan, onlooker.live.db, k, 0), "transaction");
            onlooker.acknowledged = k;
        }
        lsm_env_mem_on_op(disk, NULL, NULL);
        assert_true(onlooker.looks > TRANSACTIONS);
        assert_int_equal(transactions_in(onlooker.live.db), TRANSACTIONS);
        computer_stop(&onlooker.live);
        lsm_env_mem_free(disk);
    }
}

static void expect_missing(sqlite3 *db, const char *sql) {
    assert_int_equal(sql_run(db, sql), SQLITE_CANTOPEN);
    if (strstr(sqlite3_errmsg(db), "missing") == NULL) fail_msg("%s", sqlite3_errmsg(db));
}

/* The file alone, opened by another process while the original is in use. */
static void look_at_a_copy_without_store(struct computer *live) {
    struct process *other = process_new(live->machine);
    sqlite3 *db = NULL;
    copy_database(live->disk, live->disk, "copy.db");
    must(db, process_open(other, "/copy.db", &db), "opening the copy");
    must(db, sql_run(db, "SELECT count(*) FROM o"), "reading the ordinary table");
    expect_missing(db, "SELECT count(*) FROM l");
    expect_missing(db, "INSERT INTO l VALUES (100, 100)");
    assert_false(exists(live->disk, "/copy.db-lsm"));
    must(db, sql_run(db, "DROP TABLE l; INSERT INTO o VALUES (100, 100)"), "dropping the table");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    process_free(other);
    static const char *const files[] = {"/copy.db", "/copy.db-journal", "/copy.db-wal"};
    for (size_t i = 0; i < 3; i++)
        if (exists(live->disk, files[i])) assert_int_equal(lsm_env_unlink(live->disk, files[i], NULL), LSM_OK);
}

static void a_database_copied_while_its_store_is_in_use_says_that_the_store_is_missing(void **state) {
    (void)state;
    work_looked_at(look_at_a_copy_without_store);
}

/* File and store, copied at one moment: whole, and nobody minds the other. */
static void look_at_a_copy_with_store(struct computer *live) {
    struct process *other = process_new(live->machine);
    sqlite3 *db = NULL;
    copy_database(live->disk, live->disk, "copy.db");
    copy_stores(live->disk, "/app.db-lsm", live->disk, "/copy.db-lsm");
    must(db, process_open(other, "/copy.db", &db), "opening the copy");
    int count = transactions_in(db);
    assert_in_range(count, onlooker.acknowledged, onlooker.begun);
    must(db, ledger_transact(&plan, db, count + 1, 1), "writing to the copy");
    assert_int_equal(transactions_in(db), count + 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    process_free(other);
    static const char *const files[] = {"/copy.db", "/copy.db-journal", "/copy.db-wal"};
    for (size_t i = 0; i < 3; i++)
        if (exists(live->disk, files[i])) assert_int_equal(lsm_env_unlink(live->disk, files[i], NULL), LSM_OK);
    remove_all(live->disk, "/copy.db-lsm");
}

static void a_copy_of_file_and_store_at_one_moment_is_a_database_of_its_own(void **state) {
    (void)state;
    work_looked_at(look_at_a_copy_with_store);
}

/* ---- file and store of different times ---------------------------------------------------------------------------------------------- */

/* What was on the disk after k transactions and a close. */
static void save(struct lsm_env *disk, struct lsm_env *backup) {
    copy_database(disk, backup, "app.db");
    copy_stores(disk, "/app.db-lsm", backup, "/app.db-lsm");
}

static void make_backups(struct lsm_env **backups, bool flush) {
    struct lsm_env *disk = lsm_env_mem_new_strict();
    for (int k = 0; k <= TRANSACTIONS; k++) {
        struct computer computer = computer_on(disk);
        computer.db = connect(&computer, "/app.db");
        if (k == 0)
            must(computer.db, ledger_create(&plan, computer.db), "making the tables");
        else
            must(computer.db, ledger_transact(&plan, computer.db, k, 0), "transaction");
        if (flush) must(computer.db, sql_run(computer.db, "SELECT lsm_flush()"), "flush");
        computer_stop(&computer);
        backups[k] = lsm_env_mem_new_strict();
        save(disk, backups[k]);
    }
    lsm_env_mem_free(disk);
}

static void expect_refusal(sqlite3 *db, const char *sql, const char *older) {
    int rc = sql_run(db, sql);
    if (rc == SQLITE_OK) fail_msg("%s: %s: no error although the %s is older", journal, sql, older);
    if (strstr(sqlite3_errmsg(db), "older") == NULL) fail_msg("%s: %s: %d %s", journal, sql, rc, sqlite3_errmsg(db));
}

/* Whoever says so gets both as they are, and goes on from there. */
static void accept(struct lsm_env *disk, int file, int store) {
    struct ledger_found found;
    for (int turn = 0; turn < 2; turn++) {
        struct computer computer = computer_on(disk);
        computer.db = connect(&computer, "/app.db");
        if (turn == 0) must(computer.db, sql_run(computer.db, "SELECT lsm_accept('main')"), "accepting");
        ledger_read(&plan, computer.db, &found);
        if (found.text[0] != '\0') fail_msg("%s: %s", journal, found.text);
        assert_int_equal(found.count[0], file);
        assert_int_equal(found.count[1], store);
        must(computer.db, sql_run(computer.db, "BEGIN; INSERT INTO o VALUES (100, 100); INSERT INTO l VALUES (100, 100); COMMIT"), "writing");
        must(computer.db, sql_run(computer.db, "BEGIN; DELETE FROM o WHERE n = 100; DELETE FROM l WHERE n = 100; COMMIT"), "writing");
        computer_stop(&computer);
    }
}

/* The file after `file` transactions with the store after `store`. */
static void restore(struct lsm_env **backups, int file, int store) {
    struct lsm_env *disk = lsm_env_mem_new_strict();
    copy_database(backups[file], disk, "app.db");
    copy_stores(backups[store], "/app.db-lsm", disk, "/app.db-lsm");
    struct computer computer = computer_on(disk);
    computer.db = connect(&computer, "/app.db");
    const char *older = file < store ? "database" : "store";
    if (file == store) {
        assert_int_equal(transactions_in(computer.db), file);
    } else {
        expect_refusal(computer.db, "SELECT count(*) FROM l", older);
        expect_refusal(computer.db, "INSERT INTO l VALUES (100, 100)", older);
        expect_refusal(computer.db, "BEGIN; INSERT INTO o VALUES (100, 100); INSERT INTO l VALUES (100, 100)", older);
        must(computer.db, sql_run(computer.db, "ROLLBACK"), "rolling back");
        computer_stop(&computer);
        /* Nothing is lost by having tried: with the right file or store beside it, everything is there. */
        copy_database(backups[store], disk, "app.db");
        computer = computer_on(disk);
        computer.db = connect(&computer, "/app.db");
        assert_int_equal(transactions_in(computer.db), store);
        copy_database(backups[file], disk, "app.db");
    }
    computer_stop(&computer);
    if (file != store) accept(disk, file, store);
    lsm_env_mem_free(disk);
}

static void an_older_file_or_store_is_told_and_not_served(void **state) {
    (void)state;
    for (int i = 0; i < 2 * JOURNALS; i++) {
        struct lsm_env *backups[TRANSACTIONS + 1];
        journal = journals[i % JOURNALS];
        make_backups(backups, i >= JOURNALS);
        for (int file = 0; file <= TRANSACTIONS; file++)
            for (int store = 0; store <= TRANSACTIONS; store++) restore(backups, file, store);
        for (int k = 0; k <= TRANSACTIONS; k++) lsm_env_mem_free(backups[k]);
    }
}

/* ---- stores without tables ---------------------------------------------------------------------------------------------------------- */

static size_t stores_on(struct lsm_env *disk) {
    struct lsm_names names;
    assert_int_equal(lsm_env_list(disk, "/app.db-lsm", &names, NULL), LSM_OK);
    size_t count = names.count;
    lsm_names_free(&names);
    return count;
}

static void do_and_shut(struct lsm_env *disk, const char *sql) {
    struct computer computer = computer_on(disk);
    computer.db = connect(&computer, "/app.db");
    must(computer.db, sql_run(computer.db, sql), sql);
    computer_stop(&computer);
}

static void a_store_whose_last_table_is_gone_is_used_again(void **state) {
    (void)state;
    struct lsm_env *disk = lsm_env_mem_new_strict();
    journal = "wal";
    for (int i = 0; i < 3; i++) {
        do_and_shut(disk, "CREATE VIRTUAL TABLE l USING lsm(n INTEGER PRIMARY KEY, v); INSERT INTO l VALUES (1, 1)");
        do_and_shut(disk, "DROP TABLE l");
    }
    assert_int_equal(stores_on(disk), 1);
    lsm_env_mem_free(disk);
}

/* Its tables are those of a newer file, which may come back. */
static void a_store_with_rows_is_left_to_the_file_that_knows_it(void **state) {
    (void)state;
    struct lsm_env *disk = lsm_env_mem_new_strict(), *before = lsm_env_mem_new_strict(), *after = lsm_env_mem_new_strict();
    journal = "wal";
    do_and_shut(disk, "CREATE TABLE o(n INTEGER PRIMARY KEY, v)");
    copy_database(disk, before, "app.db");
    do_and_shut(disk, "CREATE VIRTUAL TABLE l USING lsm(n INTEGER PRIMARY KEY, v); INSERT INTO l VALUES (1, 1)");
    copy_database(disk, after, "app.db");
    copy_database(before, disk, "app.db");
    do_and_shut(disk, "CREATE VIRTUAL TABLE x USING lsm(n INTEGER PRIMARY KEY, v); INSERT INTO x VALUES (1, 1)");
    assert_int_equal(stores_on(disk), 2);
    copy_database(after, disk, "app.db");
    struct computer computer = computer_on(disk);
    computer.db = connect(&computer, "/app.db");
    must(computer.db, sql_run(computer.db, "UPDATE l SET v = 2 WHERE n = 1"), "the row");
    assert_int_equal(sqlite3_changes(computer.db), 1);
    computer_stop(&computer);
    lsm_env_mem_free(disk);
    lsm_env_mem_free(before);
    lsm_env_mem_free(after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_copied_while_its_store_is_in_use_says_that_the_store_is_missing),
        cmocka_unit_test(a_copy_of_file_and_store_at_one_moment_is_a_database_of_its_own),
        cmocka_unit_test(an_older_file_or_store_is_told_and_not_served),
        cmocka_unit_test(a_store_whose_last_table_is_gone_is_used_again),
        cmocka_unit_test(a_store_with_rows_is_left_to_the_file_that_knows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
