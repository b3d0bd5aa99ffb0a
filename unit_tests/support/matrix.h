/* matrix.h: runs work on a ledger (ledger.h) on a simulated machine (machine.h), lets it crash at every operation on the disk, and looks at what is
 * left.
 *
 * One cell is a plan, a journal mode, a level of PRAGMA synchronous, and the kind of crash: every process killed, or the power cut. After each
 * operation the disk is cloned as the crash could leave it, and a fresh process opens the database there. It must find, by what SQLite and the
 * extension promise there:
 *   - the same number of transactions in every table of a file, ordinary or LSM, and in every file where SQLite itself promises that;
 *   - no fewer than were acknowledged, no more than were begun;
 *   - both checkers content, the database writable, and what it writes there after another crash or a close;
 *   - no file that does not belong there.
 * Some of the crashed disks lose power, or their processes, once more while they are being recovered.
 *
 * Where SQLite promises nothing of its files (at OFF, mostly), nothing can be asked of a state in which they are not what they were after some
 * transaction: such states are counted as broken.
 *
 * LSM_MATRIX=N: about N crashes in each cell. LSM_MATRIX_CELL=words: only cells with the words in their name, e.g. "wal full mixed power".
 * LSM_TEST_SEED varies the random crashes. LSM_MATRIX_SHOW=1: every refusal and every file of SQLite's that broke where it may.
 */
#ifndef TEST_MATRIX_H
#define TEST_MATRIX_H

#include "ledger.h"
#include "machine.h"

enum matrix_journal { MATRIX_DELETE, MATRIX_TRUNCATE, MATRIX_PERSIST, MATRIX_WAL, MATRIX_JOURNALS };
enum matrix_sync { MATRIX_OFF, MATRIX_NORMAL, MATRIX_FULL, MATRIX_EXTRA, MATRIX_SYNCS };

/* What whoever finds a crashed disk does first. */
enum matrix_first { MATRIX_READ, MATRIX_WRITE, MATRIX_RENAME, MATRIX_DROP, MATRIX_READ_OR_WRITE };

struct matrix_promise {
    bool files_agree;      /* all files hold the same number of transactions */
    int lost_max;          /* of the acknowledged transactions, how many may be gone */
    bool sqlite_may_break; /* SQLite itself promises nothing about its files */
    bool may_refuse;       /* the store may be found ahead of or behind its database, and then says so */
};

struct matrix_counts {
    uint64_t operations, crashes, deep, refused, broken, bad;
};

/* A machine with one process and one connection. */
struct matrix_session {
    struct machine *machine;
    struct process *process;
    sqlite3 *db;
};

/* The cell at hand. */
struct matrix {
    const struct ledger_plan *plan;
    enum matrix_journal journal;
    enum matrix_sync sync;
    bool power;
    struct matrix_promise promise;
    char name[80];
    struct lsm_env *disk;
    size_t write_buffer_bytes; /* of the stores; 0: the default */
    int begun;                 /* transactions; kept by the work */
    int acknowledged;          /* likewise: matrix_acknowledge() */
    struct matrix_counts counts;
};
extern struct matrix matrix;

/* The work to be crashed: writes transactions 1, 2, ... to the ledger on matrix.disk. Repeats itself exactly. */
typedef void (*matrix_work_fn)(void);

struct matrix_job {
    const struct ledger_plan *plan;
    matrix_work_fn work;
    enum matrix_first first;
    uint64_t crashes;    /* in each cell, if LSM_MATRIX does not say */
    bool no_wal, no_off; /* cells to be left out */
};

/* All cells of the job; adds to *total, and prints a line for each. */
void matrix_run(const struct matrix_job *job, struct matrix_counts *total);
/* The last line, and the verdict. */
void matrix_conclude(const struct matrix_counts *total);

/* For the work: sessions as the cell configures them, and calls that must succeed. */
int matrix_open(struct matrix_session *session, struct lsm_env *disk, const char *sync);
int matrix_connect(struct process *process, const char *sync, sqlite3 **db); /* another connection or process of the machine */
int matrix_close(struct matrix_session *session, bool kill);
void matrix_must(sqlite3 *db, int rc, const char *what);
/* COMMIT of transaction k has returned. */
void matrix_acknowledge(sqlite3 *db, int k);
const char *matrix_sync_name(void);

#endif
