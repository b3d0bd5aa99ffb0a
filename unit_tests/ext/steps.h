/* steps.h: the database of a test (database.h) on a simulated computer (machine.h), and the step of a statement that fails, once: an operation on files, or an allocation. Header
 * only, as database.h is. */
#ifndef TEST_STEPS_H
#define TEST_STEPS_H

#include "../../lsm_core/base/base.h"
#include "../support/machine.h"
#include "../support/sqlite_memory.h"
#include "database.h"

/* ---- the computer ------------------------------------------------------------------------------------------------------------------ */

static struct computer computer; /* its connection is db */

static inline void begin(struct lsm_env *disk) {
    assert_non_null(disk);
    assert_int_equal(computer_start(&computer, disk), SQLITE_OK);
    db = computer.db;
}

/* Of the disk, too. */
static inline void end(void) {
    computer_stop(&computer);
    lsm_env_mem_free(computer.disk);
}

/* Another process of the machine takes the place of this one, which may have been killed. */
static inline void come_next(void) {
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    process_free(computer.process);
    computer.process = process_new(computer.machine);
    assert_non_null(computer.process);
    assert_int_equal(process_open(computer.process, MACHINE_DATABASE, &computer.db), SQLITE_OK);
    db = computer.db;
}

/* ---- the step ---------------------------------------------------------------------------------------------------------------------- */

enum kind { OPERATION, OF_SQLITE, OF_THE_ENGINE, KINDS }; /* where there is no computer: the allocations only */

/* The n-th one from now on fails. SQLite's allocations: after sqlite_memory_take(). */
static uint64_t calls_before;
static inline void arm(enum kind kind, uint64_t n) {
    struct lsm_env_fault fault = {.at = n, .ops = LSM_ENV_ALL};
    calls_before = lsm_mem_calls();
    if (kind == OPERATION) lsm_env_mem_fail_at(computer.disk, &fault);
    if (kind == OF_SQLITE) sqlite_memory_fail_after((int64_t)n, false);
    if (kind == OF_THE_ENGINE) lsm_mem_fail_after((int64_t)n, false);
}

/* None fails any more. Was there an n-th? On a disk where nothing had failed before. */
static inline bool disarm(enum kind kind, uint64_t n) {
    bool engines = lsm_mem_calls() - calls_before >= n;
    if (kind == OPERATION) lsm_env_mem_fail_at(computer.disk, NULL);
    sqlite_memory_fail_after(0, false);
    lsm_mem_fail_after(0, false);
    return kind == OPERATION ? lsm_env_mem_faults(computer.disk) > 0 : kind == OF_SQLITE ? sqlite_memory_failed() : engines;
}

#endif
