/* store.h: the machine. One struct, its fields grouped by what guards them; the verbs live in one file each.
 *
 *   open.c        open, close, recovery                 background.c  worker threads, pacing, kept errors
 *   txn*.c        transactions (txn.h)                  flush.c       memtables -> table files
 *   pending.c     transactions the database decides
 *   view.c        views, point reads, estimates         merge.c       levels -> levels, dropped trees
 *   cursor.c      ordered reads                         check.c       verify every byte
 *   state.c       what a view pins                      trees.c       which trees there are
 *   gen.c         generations                           gen_iter.c    the rows of one in memory
 *   writer.c      the log, sealing                      apply.c       operations -> generations
 *   budget.c      the memory of the process             stats.c       reports
 *   recover.c     the log at opening                    replay.c      what its records do
 *   follow.c      catching up with other processes      shared.c      joining them, sharing the work, removing files
 *   spill.c       a transaction's rows -> table files, runs of them -> one
 *   reserve.c     disk space held back for deleting
 *
 * Lock order: writer (a flag under mu) -> WRITER (among processes) -> claims on work (flags under mu) -> FLUSH, MERGE -> follow_mu -> the version set's
 * append_mu -> MANIFEST -> manifest_mu -> mu -> the version set's mu. Nothing blocks while mu is held.
 */
#ifndef LSM_STORE_STORE_H
#define LSM_STORE_STORE_H

#include "../codec/batch.h"
#include "../compact/policy.h"
#include "../env/sync.h"
#include "../share/share.h"
#include "../version/version_set.h"
#include "../wal/wal.h"
#include "follow.h"
#include "gen.h"
#include "replay.h"

enum { LSM_THREADS_MAX = 2, LSM_GENS_MAX = 16 /* in memory at once: rolling is refused then */ };

/* What a view stands on. Immutable, shared by reference: changes make a new one. */
struct lsm_state {
    _Atomic int refs;
    struct lsm_store *store;
    struct lsm_version *version; /* one reference */
    size_t gens_count;
    struct lsm_gen *gens[]; /* newest first, one reference each; [0] is the active one, in memory always */
};

/* A tree and how far its making and dropping have come. */
struct lsm_store_tree {
    struct lsm_tree_info info;
    uint64_t created_at, dropped_at; /* positions of the commits; dropped_at UINT64_MAX: alive */
    bool in_manifest;
};

/* What background work there is, most urgent first. */
enum lsm_work { LSM_WORK_FLUSH, LSM_WORK_MERGE, LSM_WORK_KINDS };

/* An error of background work, kept until the same work succeeds. */
struct lsm_trouble {
    int status;
    struct lsm_error error;
    uint64_t retry_at_us, delay_us; /* monotonic clock; how long the last wait was */
};

/* What it takes to seal the active generation. Everything that may fail is got first. */
struct lsm_seal {
    struct lsm_gen *gen;   /* to be sealed; borrowed */
    struct lsm_gen *files; /* to stand above it: the rows of a RUNS record; NULL: none */
    struct lsm_gen *fresh; /* the active one to be */
    struct lsm_state *spare;
    struct lsm_old_log *old;
    bool installed; /* the three before belong to the store's state */
};

/* A PREPARE, or RUNS with a token, with neither COMMIT nor ABORT behind it: the last record of the log. */
struct lsm_pending_txn {
    enum lsm_pending state; /* under mu; also in store->pending_state */
    struct lsm_txn *owner;  /* the transaction that prepared it, until it ends; NULL: found in the log, or committed without `durable` */
    uint8_t token[LSM_TOKEN_BYTES];
    uint64_t position, end; /* of the record */
    uint64_t base;          /* its rows have the sequences base + offset in the batch */
    struct lsm_slice batch; /* the owner's, or held */
    struct lsm_buf held;
    struct lsm_gen *gen; /* the batch's rows are in it: the active one until it is sealed */
    bool seals;          /* RUNS: visible when the seal is installed, and nothing of it is flushed before it is settled */
    struct lsm_seal seal;
};

/* A log file that is no longer written but may not be durable yet. */
struct lsm_old_log {
    struct lsm_old_log *next; /* newer */
    struct lsm_wal_writer *writer;
};

/* A log file, in which positions from `start` on are. */
struct lsm_log_span {
    uint64_t number, start;
};
enum { LSM_SPANS_MAX = 64 };

/* What was last seen of another process at work. */
struct lsm_beat {
    uint64_t beats, seen_at_us; /* seen_at_us 0: nobody was */
};

struct lsm_store {
    /* Immutable after open. */
    struct lsm_env *env;
    char *dir;
    struct lsm_options options; /* dir, store_id and process_name in it are not used */
    struct lsm_env_perm perm;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    uint32_t fork_epoch;
    struct lsm_share *share;                /* what is agreed on with other processes */
    struct lsm_version_share version_share; /* the same for the version set */
    bool alone;                             /* there are none, and none can come: nothing is followed or pinned */
    struct lsm_cache *cache;
    int threads_count;
    struct lsm_thread threads[LSM_THREADS_MAX];

    struct lsm_version_set set; /* has its own locks */

    /* Writer only: whoever set writer_active. `log` changes under mu too, so that others may read it there. */
    struct lsm_wal_writer *log;  /* NULL until the first append after open or roll */
    uint64_t next_log;           /* number of the next generation's file */
    uint64_t log_end, log_check; /* of the last record, while log is NULL */
    uint64_t log_synced;         /* position known durable, while log is NULL */
    struct {                     /* a file that ends cleanly and can be gone on with; number 0: none */
        uint64_t number, start;
    } resume;
    uint32_t next_tree;
    bool log_is_lent;          /* it has taken of the reserve: it is sealed soon, so that a flush gives that back */
    struct lsm_txn *spent_txn; /* one that has ended, for the next: with its buffers, if they are not large; NULL: none */

    /* Guarded by follow_mu, but for the flags; nobody reads on in the log while `writing`. */
    struct lsm_mutex follow_mu;
    struct lsm_replay replay;          /* how far the log was read, or was written here */
    bool replay_lags;                  /* what was written here since is not counted yet; the writer's, while `writing` */
    struct lsm_wal_reader *log_reader; /* of the file that replay stands in; NULL: to be opened */
    _Atomic bool writing;              /* the writer of this process is the only one that writes to the log, and knows all that is in it */
    _Atomic bool following;            /* whoever has follow_mu may be reading on, having found nobody writing (follow.c) */

    /* Guarded by mu. */
    struct lsm_mutex mu;
    struct lsm_cond writer_free; /* writer_active became false */
    struct lsm_cond work;        /* something for the workers; also their timer */
    struct lsm_cond done;        /* a flush or merge ended, well or not */
    bool writer_active;
    struct lsm_state *state;
    struct lsm_store_tree *trees; /* ascending by id */
    size_t trees_count, trees_capacity;
    struct lsm_old_log *old_logs; /* oldest first */
    struct lsm_pending_txn pending;
    bool has_token;                           /* a transaction was decided by the database */
    uint8_t token[LSM_TOKEN_BYTES];           /* the last committed one's */
    bool normal_commits;                      /* something was committed at LSM_SYNC_NORMAL since the last sync */
    _Atomic bool sync_overdue;                /* the once-a-second sync could not be made: commits at NORMAL make it themselves */
    uint64_t inline_sync_us;                  /* without threads: when the next sync at NORMAL is due */
    uint64_t applied;                         /* as lsm_store_applied() has it; versions that cover more of the log do not fit the generations */
    struct lsm_log_span spans[LSM_SPANS_MAX]; /* log files that may not be durable, ascending */
    size_t spans_count;
    struct lsm_beat beats[LSM_WORK_KINDS];
    uint64_t wait_until_us[LSM_WORK_KINDS];    /* another process is at it, or may want to be */
    bool flushing, merging, syncing, sweeping; /* somebody is at it: a worker or a caller */
    bool sweep_wanted;                         /* a process died, or left: there may be files that nobody names */
    uint64_t sweep_at_us;                      /* not before: somebody alive needs what is left */
    uint64_t look_at_us;                       /* when to look for the dead again */
    bool shape_changed;                        /* since a merge was last looked for */
    bool drop_wanted;                          /* a tree was dropped: its files can go */
    bool closing;
    struct lsm_trouble trouble[LSM_WORK_KINDS];
    uint64_t flush_rate;           /* bytes per second of recent flushes, for pacing */
    struct lsm_error failed_error; /* what `failed` means */
    char stall_reason[64];

    /* Atomic. */
    _Atomic int failed;         /* not LSM_OK: the log cannot be trusted, writes get this status until the store is reopened. Set once, under mu */
    _Atomic uint64_t published; /* position up to which commits are visible: stored (release) by the writer, loaded (acquire) by views */
    _Atomic int pending_state;  /* of pending, for a look without the lock */
    _Atomic bool spilling;      /* the present transaction writes table files that nobody names */
    _Atomic size_t own_bytes;   /* what it holds in memory besides the active generation, about */
    _Atomic bool stop;          /* jobs give up */
    _Atomic bool reserve_used;  /* it is to be made whole again, behind the next job */
    _Atomic uint64_t too_full;  /* the memtables up to this position could not be flushed even with all of the reserve; 0: nothing of the kind */
    _Atomic bool sweep_told;    /* a helper thread knows that there are files to remove, and looks again and again */
    _Atomic uint64_t next_sweep_us; /* not before: other processes need what could go */
    _Atomic int pinned_views;
    _Atomic int sealed, level0_runs; /* of the current state, for pacing */
    _Atomic uint64_t counters[32];   /* enum lsm_counter */
};

enum lsm_counter {
    LSM_COUNT_COMMITS,
    LSM_COUNT_ROLLBACKS,
    LSM_COUNT_PUTS,
    LSM_COUNT_DELETES,
    LSM_COUNT_RANGE_DELETES,
    LSM_COUNT_GETS,
    LSM_COUNT_GET_HITS,
    LSM_COUNT_FILTER_PROBES,
    LSM_COUNT_FILTER_NEGATIVES,
    LSM_COUNT_SEEKS,
    LSM_COUNT_WAL_BYTES,
    LSM_COUNT_WAL_SYNCS,
    LSM_COUNT_FLUSHES,
    LSM_COUNT_FLUSH_BYTES,
    LSM_COUNT_MERGES,
    LSM_COUNT_MERGE_READ,
    LSM_COUNT_MERGE_WRITTEN,
    LSM_COUNT_TRIVIAL_MOVES,
    LSM_COUNT_STALL_US,
};

static inline void lsm_count(struct lsm_store *store, enum lsm_counter counter, uint64_t by) {
    (void)atomic_fetch_add_explicit(&store->counters[counter], by, memory_order_relaxed);
}

/* The same for what only the writer counts: cheaper. */
static inline void lsm_count_alone(struct lsm_store *store, enum lsm_counter counter, uint64_t by) {
    uint64_t count = atomic_load_explicit(&store->counters[counter], memory_order_relaxed);
    atomic_store_explicit(&store->counters[counter], count + by, memory_order_relaxed);
}

/* For what is counted at every read: what two threads count at the same moment may be lost. */
static inline void lsm_count_read(struct lsm_store *store, enum lsm_counter counter) { lsm_count_alone(store, counter, 1); }

/* LSM_MISUSE in a process that inherited the store by fork; touches no lock. */
int lsm_store_guard(const struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- state.c ---- */
struct lsm_state *lsm_state_new(struct lsm_store *store, size_t gens); /* no references filled in; NULL: out of memory */
void lsm_state_ref(struct lsm_state *state);
void lsm_state_unref(struct lsm_state *state);                  /* NULL is allowed. Locks: none of the store's may be held */
struct lsm_state *lsm_store_ref_state(struct lsm_store *store); /* Locks: takes mu */
/* A state to be filled by lsm_store_install(), got beforehand: what is durable must become visible, memory or not. NULL: out of memory. */
struct lsm_state *lsm_store_spare(struct lsm_store *store, struct lsm_error *err);
/* The generations hold all of the log up to here. Locks: needs mu. */
static inline uint64_t lsm_store_applied(const struct lsm_store *store) {
    uint64_t published = atomic_load_explicit(&store->published, memory_order_relaxed);
    return store->applied > published ? store->applied : published;
}
/* Replace the current state by `spare`: new generations on top (NULL: none; their references are handed over), those below without the sealed ones that end
 * at or below drop_below, and the version set's current version. lsm_store_swap() leaves the old state to be released by the caller. Locks: needs mu. */
struct lsm_state *lsm_store_swap(struct lsm_store *store, struct lsm_state *spare, struct lsm_gen *new_active, struct lsm_gen *files,
                                 uint64_t drop_below);
/* Another state altogether, complete; the old one is for the caller to release. Locks: needs mu. */
struct lsm_state *lsm_store_replace(struct lsm_store *store, struct lsm_state *state);
/* The same for one who has nothing else to do meanwhile. Locks: takes mu. */
void lsm_store_install(struct lsm_store *store, struct lsm_state *spare, struct lsm_gen *new_active, uint64_t drop_below);

/* Does the state name this table file, in its version or in a generation? */
bool lsm_state_names(const struct lsm_state *state, uint64_t number);
/* Does a transaction that is not settled, and not visible? Locks: takes mu. */
bool lsm_pending_names(struct lsm_store *store, uint64_t number);

/* ---- trees.c ---- */
struct lsm_store_tree *lsm_store_find_tree(struct lsm_store *store, uint32_t tree);  /* Locks: needs mu */
int lsm_store_reserve_trees(struct lsm_store *store, size_t more) LSM_MUST_CHECK;    /* room for so many more; Locks: takes mu */
void lsm_store_add_tree(struct lsm_store *store, const struct lsm_store_tree *tree); /* needs room; Locks: needs mu */
void lsm_store_flushed_trees(struct lsm_store *store, uint64_t position); /* the manifest knows what became of them up to there; Locks: needs mu */

/* ---- txn.c, apply.c, writer.c ---- */
/* Be the writer, or stop. timeout in microseconds. */
int lsm_store_lock_writer(struct lsm_store *store, uint64_t timeout_us, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_store_unlock_writer(struct lsm_store *store);
/* The present log file, opened if need be. Needs: the writer. */
int lsm_store_open_log(struct lsm_store *store, struct lsm_gen *gen, struct lsm_error *err) LSM_MUST_CHECK;
/* A failure that leaves the log's durable content unknown: nothing more is written until the store is opened again and read from disk. */
void lsm_store_fail_log(struct lsm_store *store, const struct lsm_error *why);
/* COMMIT or ABORT of the transaction whose record is at `position` and the last one. Needs: the writer, an open log with room. */
int lsm_store_append_end(struct lsm_store *store, enum lsm_wal_kind kind, uint64_t position, struct lsm_error *err) LSM_MUST_CHECK;
/* Seal the active generation (if it holds anything) and start another. Needs: the writer, nothing uncommitted. */
int lsm_store_roll(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* Apply one operation of the log or of a transaction to the generation; trees are made and dropped elsewhere, but a drop hides its rows here. */
int lsm_gen_apply(struct lsm_gen *gen, const struct lsm_gen *older, const struct lsm_op *op, uint64_t sequence,
                  struct lsm_buf *scratch) LSM_MUST_CHECK;
/* Undo what the operations of a batch from offset `from` on have put at sequence base + offset. Cannot fail but for damage (LSM_CORRUPT) and
 * memory for a longer key than scratch has held (LSM_NOMEM). */
int lsm_gen_undo(struct lsm_gen *gen, struct lsm_slice batch, size_t from, uint64_t base, struct lsm_buf *scratch) LSM_MUST_CHECK;
/* The memory of store->spent_txn. Needs: nobody else. */
void lsm_txn_release_spent(struct lsm_store *store);
/* What the transaction has written so far lies below this position. */
uint64_t lsm_txn_position(const struct lsm_txn *txn);
/* What it reads from, besides: pinned since it began, or another one since it became large. Borrowed. */
struct lsm_state *lsm_txn_state(const struct lsm_txn *txn);
const struct lsm_share_pin *lsm_txn_pin(const struct lsm_txn *txn);
/* Is that state its own, with parts that the store's does not have? */
/* tree, then key. */
int lsm_full_key(struct lsm_buf *out, uint32_t tree, struct lsm_slice key) LSM_MUST_CHECK;

/* Whom to ask whether long work is to stop. */
struct lsm_asker {
    lsm_interrupt_fn interrupted; /* NULL: nobody */
    void *arg;
};

/* ---- spill.c ---- */
/* Write the rows that a generation in memory has from sequences [from, to) to table files of their own, with every tombstone: *out is a file generation
 * of one run, NULL if there are none. spends: the reserve, if the disk is full. They are durable, and nobody names them: lsm_gen_abandon() if that is to stay so. On error nothing is left. */
int lsm_spill(struct lsm_store *store, const struct lsm_gen *gen, uint64_t from, uint64_t to, bool spends, struct lsm_gen **out,
              struct lsm_error *err) LSM_MUST_CHECK;
/* One file generation of one run in place of several, newest first, with every tombstone. A file that shares no key with a file of another run is
 * passed on as it is: the two generations have it both. On error nothing is left. */
int lsm_fold(struct lsm_store *store, struct lsm_gen *const *gens, size_t count, const struct lsm_asker *asker, struct lsm_gen **out,
             struct lsm_error *err) LSM_MUST_CHECK;

/* Room in the log for a COMMIT or ABORT. */
uint64_t lsm_store_end_room(void);
/* Position behind the last record. Needs: the writer. */
static inline uint64_t lsm_store_writers_end(const struct lsm_store *store) {
    return store->log == NULL ? store->log_end : lsm_wal_writer_end(store->log);
}
/* Everything needed to seal `gen`, the active generation. files is handed over on success only. On error nothing is to be released. Needs: the writer. */
int lsm_seal_init(struct lsm_store *store, struct lsm_gen *gen, struct lsm_gen *files, struct lsm_seal *seal, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_seal_release(struct lsm_seal *seal); /* idempotent; what is installed stays */
/* The new generations stand in the store's state from now on. The old state is for the caller to release. Locks: needs mu. */
struct lsm_state *lsm_seal_install(struct lsm_store *store, struct lsm_seal *seal, uint64_t end);
/* Where they meet, if that has moved since: behind a COMMIT. Locks: needs mu, if they are installed. */
void lsm_seal_set_end(struct lsm_seal *seal, uint64_t end);
/* The log file ends here: what is appended next begins a new one. Needs: the writer. Locks: takes mu. */
void lsm_seal_log(struct lsm_store *store, struct lsm_seal *seal);

/* ---- pending.c ---- */
/* The trees that a batch made and dropped are known from `position` on. Needs: room for the new ones. Locks: needs mu. */
void lsm_store_publish_trees(struct lsm_store *store, struct lsm_slice batch, uint64_t position);
/* A PREPARE is the last record from now on. Locks: takes mu. */
void lsm_pending_set(struct lsm_store *store, const struct lsm_pending_txn *pending);
/* It has its COMMIT or ABORT. Locks: takes mu. */
void lsm_pending_clear(struct lsm_store *store);
/* The same for what this process knows alone. Locks: takes mu. */
void lsm_pending_forget(struct lsm_store *store);
/* Make its rows visible, if they are not. A state, or NULL, is for the caller to release. Locks: needs mu. */
struct lsm_state *lsm_pending_publish(struct lsm_store *store) LSM_MUST_CHECK;

/* ---- shared.c ---- */
/* Join the processes that have the store open; store->share and what depends on it are set. */
int lsm_shared_join(struct lsm_store *store, const char *process_name, struct lsm_error *err) LSM_MUST_CHECK;
/* The first one tells the others what it has found. */
void lsm_shared_fill(struct lsm_store *store);
/* For reading only: everything is opened now, because it may be removed by those who write, and nothing is ever written. */
int lsm_shared_freeze(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* True: we are the last, and nobody comes any more. */
bool lsm_shared_leave(struct lsm_store *store);
/* Flushing and merging are one process's business at a time. LSM_WORK_ELSEWHERE: another one is at it, and alive. */
#define LSM_WORK_ELSEWHERE 2
struct lsm_shared_work {
    enum lsm_work work;
    bool locked;
    struct lsm_share_build build;
};
int lsm_shared_begin_work(struct lsm_store *store, enum lsm_work work, struct lsm_shared_work *shared, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_shared_end_work(struct lsm_store *store, struct lsm_shared_work *shared);
/* A sign of life from flush and merge jobs: is the work to be given up? */
bool lsm_store_cancelled(void *store);
bool lsm_flush_cancelled(void *store);
bool lsm_merge_cancelled(void *store);
/* Remove what no view here and no other process needs any more. Cheap if there is nothing. Locks: none held. */
void lsm_store_sweep(struct lsm_store *store);
/* The same by a helper thread, if the store has one: who writes or reads does not wait for a disk that gives back a merge's input. Locks: none held. */
void lsm_store_sweep_soon(struct lsm_store *store);
/* The same for files that a dead process has left, looked for in the directory. False: not now, because of others. stuck, if not NULL, is told the table
 * files that nobody needs and that cannot be removed. Locks: none held. */
typedef void (*lsm_stuck_fn)(void *arg, const char *name);
bool lsm_shared_sweep_directory(struct lsm_store *store, lsm_stuck_fn stuck, void *arg);
/* There may be such files. Locks: takes mu. */
void lsm_shared_want_sweep(struct lsm_store *store);
/* Has anybody died since the last look? Locks: none held. */
void lsm_shared_look_for_dead(struct lsm_store *store);

/* ---- flush.c, merge.c: one job each; LSM_NOTFOUND if there is nothing to do, LSM_BUSY if another process is at it. Locks: none held ---- */
int lsm_store_flush_job(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
bool lsm_store_flush_is_due(const struct lsm_store *store); /* Locks: needs mu */
/* Of a job that had something to do LSM_NOTFOUND says that a file or the directory is gone: no reason to think that it is done. */
int lsm_job_outcome(int status, struct lsm_error *err) LSM_MUST_CHECK;
/* One flush by whoever asks for it, or a moment's wait for the process that is at it. LSM_OK too if there was nothing to do. Locks: none held */
int lsm_store_flush_turn(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) LSM_MUST_CHECK;
/* How blocks of a level are packed: what is young at small cost, since it is soon merged. */
enum lsm_compression lsm_store_compression(const struct lsm_store *store, int level);
/* For a merge that takes sealed generations along. gens: newest first, the oldest ones of a state.
 * How many nothing holds back, of the oldest ones. Locks: needs mu */
size_t lsm_flush_count_due(const struct lsm_store *store);
/* What the manifest must know before the log forgets these, but for files. LSM_NOMEM. Locks: takes manifest_mu, then mu */
int lsm_flush_edit(struct lsm_store *store, struct lsm_gen *const *gens, size_t count, struct lsm_edit *edit) LSM_MUST_CHECK;
/* The manifest knows it: close and remove the log files behind them. Locks: takes mu */
void lsm_flush_remove_logs(struct lsm_store *store, struct lsm_gen *const *gens, size_t count);
/* Be the writer, waiting for who is, so that the memtables can be sealed. On error there is no lock to give back. Locks: none held */
int lsm_flush_lock_writer(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) LSM_MUST_CHECK;
int lsm_store_merge_job(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* Take out the files that hold nothing but dropped trees. */
int lsm_store_drop_job(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- reserve.c. Locks: takes mu ---- */
/* For who adds rows, before the log takes `more` bytes of the disk: LSM_FULL if that and the reserve are not to be had together. */
int lsm_reserve_keep(struct lsm_store *store, uint64_t more, struct lsm_error *err) LSM_MUST_CHECK;
/* As large as it should be now, or as near to it as the disk allows. */
void lsm_reserve_fit(struct lsm_store *store);
/* The same if a job has taken of it; but no smaller, because it soon should be as large again. */
void lsm_reserve_refill(struct lsm_store *store);
/* The log lacks space, for `why`: let it have some of the reserve. True: so many bytes may be had now. For who adds no rows. Needs: the writer */
bool lsm_reserve_lend(struct lsm_store *store, uint64_t bytes, const struct lsm_error *why);
/* For the manifest and a job's files (struct lsm_spare): all of it, if need be. lsm_reserve_refill() follows when the job is done. */
bool lsm_reserve_find(void *store, uint64_t bytes, const struct lsm_error *why);
uint64_t lsm_reserve_bytes(struct lsm_store *store); /* as it is */

/* ---- background.c ---- */
int lsm_background_start(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_background_stop(struct lsm_store *store);
/* After a commit of `bytes`: tell the workers, slow down if they are behind, or do the work here if there are none. */
void lsm_background_pace(struct lsm_store *store, uint64_t bytes);
/* Flushing fails and memory fills: try again now, and wait a moment for the outcome. Locks: none held. */
void lsm_background_retry(struct lsm_store *store);
/* An outcome that says nothing about whether the work succeeds now (nor does LSM_WORK_ELSEWHERE): what trouble there was, is still there. */
#define LSM_WORK_SAYS_NOTHING LSM_INTERRUPTED
/* Claim a kind of work, waiting for whoever is at it (interrupted, if not NULL, ends the wait); give it back with its outcome. */
int lsm_work_claim(struct lsm_store *store, enum lsm_work work, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_work_done(struct lsm_store *store, enum lsm_work work, int status, const struct lsm_error *err);
/* Claim both kinds of work if nobody is at either; false: somebody is. */
bool lsm_work_try_both(struct lsm_store *store);
/* Sync everything committed so far. Locks: none held. */
int lsm_store_sync_logs(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* Sync what is in log files of others, if anything is. They have to be opened for that, which may fail: so before a record is appended that is to be durable,
 * and would have to be taken back. A sync that has failed turns the store read-only; want of memory or descriptors does not. Needs: the writer. */
int lsm_store_sync_others(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* Turn the store read-only for good. Locks: takes mu. */
void lsm_store_set_failed(struct lsm_store *store, const struct lsm_error *why);
/* LSM_OK, or why nothing is written any more. Locks: takes mu if there is something to say. */
int lsm_store_why_failed(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
static inline LSM_MUST_CHECK int lsm_store_check_failed(struct lsm_store *store, struct lsm_error *err) {
    if (atomic_load_explicit(&store->failed, memory_order_acquire) == LSM_OK && !lsm_share_failed(store->share)) return LSM_OK;
    return lsm_store_why_failed(store, err);
}

/* ---- views (view.c) ---- */
struct lsm_view {
    struct lsm_store *store;
    struct lsm_state *state;
    struct lsm_share_pin pin;
    uint64_t position;
    bool of_txn; /* read by the thread that writes: a lookup leaves the memtable's finger where the change that follows wants it */
};

#endif
