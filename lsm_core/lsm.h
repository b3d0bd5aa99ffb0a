/* lsm.h: the whole public contract of the storage engine.
 *
 * An LSM store is a directory holding one log, one keyspace and many trees. A tree is an ordered map of byte strings,
 * compared with memcmp, shorter first on a tie. One writer at a time; any number of readers, which never wait.
 *
 * Status: every function that can fail returns LSM_OK (0) or a negative enum lsm_status, and explains itself in the
 * struct lsm_error it is given (which may be NULL). Ignoring a status is a compile error.
 * Threads: a store may be used by many threads. A transaction, a view and an iterator belong to one thread at a time.
 * Fork: a handle opened before fork() is refused in the child with LSM_MISUSE; the child touches no file.
 */
#ifndef LSM_H
#define LSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LSM_VERSION "0.1.0"

#if defined(__GNUC__)
#define LSM_MUST_CHECK        __attribute__((warn_unused_result))
#define LSM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define LSM_MUST_CHECK
#define LSM_PRINTF(fmt, args)
#endif

/* ---- status --------------------------------------------------------------------------------------------------- */

enum lsm_status {
    LSM_OK = 0,
    LSM_NOMEM = -1,         /* out of memory; the call had no effect */
    LSM_IO = -2,            /* the operating system failed an operation */
    LSM_FULL = -3,          /* no space left, quota or file size limit; heals when space returns */
    LSM_CORRUPT = -4,       /* bytes read back are not the bytes written */
    LSM_BUSY = -5,          /* somebody else holds what is needed; try again */
    LSM_BUSY_SNAPSHOT = -6, /* the transaction's view is older than the newest commit */
    LSM_NOTFOUND = -7,      /* no such file, tree or key */
    LSM_MISUSE = -8,        /* the caller broke the contract (also: a handle used after fork) */
    LSM_READONLY = -9,      /* the store was opened for reading only, or turned read-only after an error */
    LSM_TOOBIG = -10,       /* a key, value or transaction over its documented limit */
    LSM_UNSUPPORTED = -11,  /* written by a newer release, or by a feature this one does not have */
    LSM_MISMATCH = -12,     /* the store is not the one that was asked for */
    LSM_INTERRUPTED = -13,  /* stopped at the caller's wish */
    LSM_UNDECIDED = -14     /* a transaction that its database decides waits to be settled: lsm_store_settle(), then again */
};

/* A message for people: what happened, to which file and offset, what to do. Owned by the caller; no allocation. */
struct lsm_error {
    int code;       /* enum lsm_status of the failure described, LSM_OK if none */
    int os_errno;   /* errno of the failed system call, 0 if none */
    char text[496]; /* UTF-8, NUL-terminated, cut to fit */
};

/* The constant name of a status, e.g. "LSM_CORRUPT"; never NULL. */
const char *lsm_status_name(int status);

/* ---- values --------------------------------------------------------------------------------------------------- */

/* Borrowed bytes. data may be NULL when size is 0. */
struct lsm_slice {
    const uint8_t *data;
    size_t size;
};

#define LSM_KEY_BYTES_MAX   ((size_t)0x00ffffff) /* 16 MiB - 1: what one key may hold, tree prefix not counted */
#define LSM_VALUE_BYTES_MAX ((size_t)0x7fff0000) /* just under 2 GiB: SQLite's own largest record fits */

/* ---- environment ---------------------------------------------------------------------------------------------- */

/* Everything that touches the outside; env/env.h is its contract. */
struct lsm_env;

/* The real operating system. Static, needs no release. */
struct lsm_env *lsm_env_posix(void);

/* A new file system in memory, for databases without a file and for tests (env/env_mem.h cuts it and makes it fail).
 * NULL if out of memory. Release with lsm_env_mem_free() when no store uses it. */
struct lsm_env *lsm_env_mem_new(void);
void lsm_env_mem_free(struct lsm_env *env);

/* ---- store ---------------------------------------------------------------------------------------------------- */

#define LSM_STORE_ID_BYTES 16

enum lsm_sync {
    LSM_SYNC_OFF = 0,    /* no sync at all: a power cut may lose recent commits */
    LSM_SYNC_NORMAL = 1, /* sync about once a second; what is flushed is durable too */
    LSM_SYNC_FULL = 2    /* sync at every commit, before it is acknowledged */
};

enum lsm_compression { LSM_COMPRESS_NONE = 0, LSM_COMPRESS_LZ4 = 1, LSM_COMPRESS_ZSTD = 2 };

/* How to open a store. Start from lsm_options_init(), which sets every default. */
struct lsm_options {
    struct lsm_env *env;          /* default: lsm_env_posix() */
    const char *dir;              /* the store's directory; required; copied */
    const uint8_t *store_id;      /* LSM_STORE_ID_BYTES the store must carry, or is created with; required */
    bool create;                  /* create the store when there is none; default false: LSM_NOTFOUND */
    unsigned file_mode;           /* permission bits of new files; default 0644, directories add x for each r */
    int64_t owner_uid, owner_gid; /* owner of new files; -1 (default): leave as created */
    size_t
        write_buffer_bytes; /* memtable size at which a generation rolls; a transaction holds half as much again; default 32 MiB, 64 KiB .. 1 GiB */
    size_t cache_bytes;     /* blocks kept in memory; default 64 MiB; shared by all stores of the process: the
                                             largest value asked for wins; pinned and waiting memtables are taken from it */
    uint64_t map_bytes;     /* table files are read through maps of them, up to so many bytes in all; default 0: none (lsm_store_allow_map()) */
    size_t block_bytes;     /* payload of a data block; default 4096, 512 .. 65536 */
    size_t file_bytes;      /* size at which a merge starts a new table file; default 16 MiB */
    uint64_t reserve_bytes; /* the most disk space that is held back, in the file RESERVE, for deleting rows and for flushing when the disk is full
                                             (about half of the log that is not flushed, and 3 % of the table files); default 32 MiB; 0: none */
    enum lsm_compression compression; /* of the older levels; default LSM_COMPRESS_LZ4, as level 0 has it unless this is none */
    int threads;                      /* background threads; default 2; 0: flush and merge inside the writer's calls */
    bool exclusive;                   /* let no other process in; default false: any number may have the store open */
    bool read_only;                   /* touch nothing: the store as it is now, whatever others do to it meanwhile; changes get
                                             LSM_READONLY. Also where nothing can be written; default false */
    const char *process_name;         /* shown to who finds the store locked; may be NULL */
};

void lsm_options_init(struct lsm_options *options);

struct lsm_store;

/* Open or create the store and recover it: replay the manifest, then the log behind the last flush.
 * On success *store is owned by the caller (lsm_store_close). On error *store is NULL and nothing is held.
 * LSM_BUSY: a process has it for itself, or cannot be joined; the message says which and why. LSM_MISMATCH: it carries another id. LSM_CORRUPT, LSM_UNSUPPORTED: see err->text. */
int lsm_store_open(const struct lsm_options *options, struct lsm_store **store, struct lsm_error *err) LSM_MUST_CHECK;

/* Files that are opened from now on may be mapped, up to so many bytes in all, if that is more than was allowed before. A block that is not compressed is then read where it
 * lies in the page cache: no system call, no copy, no memory of our own but some 200 bytes in the cache, which stand for its being verified. What may come of it is the
 * host's to weigh: a read that the disk refuses, and a file that somebody cuts short, are SIGBUS in the process instead of an error that names the file; and what is damaged after
 * it was verified is believed. */
void lsm_store_allow_map(struct lsm_store *store, uint64_t bytes);

/* Stop background work, sync the log as needed for LSM_SYNC_NORMAL, release everything. Every view and transaction must
 * be gone. The store is freed whatever is returned; an error means that the last commits below FULL may not be durable.
 * Does not flush memtables: the log is enough. NULL is allowed. */
int lsm_store_close(struct lsm_store *store, struct lsm_error *err);

/* Reads of the store's identity. The directory string lives as long as the store. */
const char *lsm_store_dir(const struct lsm_store *store);

/* The names in a directory, for who looks for stores there: a new array, in one piece, that the caller frees with lsm_free(). None if the directory is
 * not there. env may be NULL, as in the options. */
int lsm_dir_list(struct lsm_env *env, const char *dir, char ***names, size_t *count, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- trees ---------------------------------------------------------------------------------------------------- */

/* Trees exist from their creation record to their drop record, both of which belong to transactions. */
struct lsm_tree_info {
    uint32_t tree;  /* id, from 1 */
    uint64_t nonce; /* random number given at creation: tells a tree from another that got the same id */
};

/* The committed trees, ascending by id, in a new array the caller frees with lsm_free(). */
int lsm_store_trees(struct lsm_store *store, struct lsm_tree_info **trees, size_t *count, struct lsm_error *err) LSM_MUST_CHECK;
/* LSM_OK if the tree exists with this nonce, LSM_NOTFOUND if the id is unknown, LSM_MISMATCH if the nonce differs. */
int lsm_store_tree_check(struct lsm_store *store, struct lsm_tree_info tree) LSM_MUST_CHECK;

/* ---- write transactions --------------------------------------------------------------------------------------- */

struct lsm_txn;
/* Return true to stop; called at least every few milliseconds of long work. */
typedef bool (*lsm_interrupt_fn)(void *arg);

/* Wait for a flush if memory is full of what waits for one, as lsm_txn_begin() does, but end with LSM_INTERRUPTED when it is asked for. */
int lsm_store_await_room(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) LSM_MUST_CHECK;

/* Somebody else is about to write to the same disk so that much can be deleted here, a database that drops a table: if the disk is full, let him have a quarter of
 * a MiB of the reserve, and begin no flush or merge for a second. Waits for those at work, half a second at most. */
void lsm_store_make_way(struct lsm_store *store);

/* Become the one writer. Waits for a flush, however long it takes, while memory is full of what waits for one. Waits at most busy_timeout_ms for a predecessor, then LSM_BUSY.
 * snapshot_position, if not UINT64_MAX, is lsm_view_position() of the view the transaction's reads are based on:
 * LSM_BUSY_SNAPSHOT if something was committed after it; LSM_UNDECIDED if a pending transaction must be settled first. */
int lsm_txn_begin(struct lsm_store *store, uint64_t snapshot_position, int busy_timeout_ms, struct lsm_txn **txn,
                  struct lsm_error *err) LSM_MUST_CHECK;

/* Changes. Rows go into memory, invisible to others; past a quarter of the write buffer, into table files of the transaction's own each time half of the
 * write buffer is full, so a transaction may be as large as the disk. On error the transaction is as before the call. Any of them may fail on I/O or for lack
 * of space: for the sake of those files, and because after lsm_txn_prepare() the first change makes an abort record durable. */
int lsm_txn_put(struct lsm_txn *txn, uint32_t tree, struct lsm_slice key, struct lsm_slice value, struct lsm_error *err) LSM_MUST_CHECK;
int lsm_txn_delete(struct lsm_txn *txn, uint32_t tree, struct lsm_slice key, struct lsm_error *err) LSM_MUST_CHECK;
/* Delete every key with low <= key < high. */
int lsm_txn_delete_range(struct lsm_txn *txn, uint32_t tree, struct lsm_slice low, struct lsm_slice high, struct lsm_error *err) LSM_MUST_CHECK;
/* To be asked while a change of rows takes long, because it merges what the transaction has written: it fails with LSM_INTERRUPTED then. NULL: nobody is asked. */
void lsm_txn_set_interrupt(struct lsm_txn *txn, lsm_interrupt_fn interrupted, void *arg);
/* A new empty tree. *tree is its id and nonce. */
int lsm_txn_tree_create(struct lsm_txn *txn, struct lsm_tree_info *tree, struct lsm_error *err) LSM_MUST_CHECK;
/* Remove the tree and all its keys at the cost of one record. Unknown trees: LSM_NOTFOUND. */
int lsm_txn_tree_drop(struct lsm_txn *txn, uint32_t tree, struct lsm_error *err) LSM_MUST_CHECK;

/* A place to roll back to: everything done before it stays. Valid until the transaction ends, rolls back past it or releases it. A large transaction
 * keeps what is between two marks apart: release what is not needed any more. */
uint64_t lsm_txn_mark(struct lsm_txn *txn);
/* Forget this mark and later ones; what was done since stays. */
void lsm_txn_release(struct lsm_txn *txn, uint64_t mark);
/* Undo everything since the mark. Fails only where the changes do, for the sake of an earlier prepare. Views of the transaction
 * opened after the mark must not be read any more (lsm_view_open() again). */
int lsm_txn_rollback_to(struct lsm_txn *txn, uint64_t mark, struct lsm_error *err) LSM_MUST_CHECK;
/* True if there is anything to commit. */
bool lsm_txn_is_dirty(const struct lsm_txn *txn);

/* Who says, after a crash, whether a prepared transaction was committed. */
enum lsm_decider {
    LSM_DECIDES_ITSELF = 0,    /* its record being there whole does */
    LSM_DECIDED_BY_TOKEN = 1,  /* the database: it is if the token is found there */
    LSM_DECIDED_BY_ABSENCE = 2 /* the database: it is if nothing there names the store any more */
};
#define LSM_TOKEN_BYTES 16 /* 8 bytes position of the record, big-endian, then 8 random ones; of ABSENCE: all zero */

/* Everything that can fail in a commit: appends the log record and, at LSM_SYNC_FULL, syncs it; with another decider at LSM_SYNC_NORMAL too, because the
 * database must not know a token that the log may lose. token (may be NULL if the transaction decides itself): filled in. May be called again,
 * with or without more changes in between; the token is then another one. On error the transaction is open and unprepared. */
int lsm_txn_prepare(struct lsm_txn *txn, enum lsm_sync sync, enum lsm_decider decider, uint8_t *token, struct lsm_error *err) LSM_MUST_CHECK;
/* Publish a prepared (or clean) transaction and free it. Cannot fail. durable: what decided it is as durable as it ever gets, so the log may go on
 * behind it; otherwise it is visible, but stays the last record until lsm_store_settle(). Not looked at if it decides itself. */
void lsm_txn_commit(struct lsm_txn *txn, bool durable);
/* Undo everything and free the transaction, whatever is returned. An error says that a prepared transaction could not be
 * aborted on disk; the store then refuses writes until it is reopened. */
int lsm_txn_rollback(struct lsm_txn *txn, struct lsm_error *err);
/* Free a prepared transaction that the database decides, without saying what became of it: nobody can tell yet. As if its process had died: nobody sees it
 * unless the database is found to have it, and who writes next settles it. */
void lsm_txn_leave(struct lsm_txn *txn);

/* ---- transactions that the database decides ------------------------------------------------------------------- */

/* A prepared transaction whose process died between lsm_txn_prepare() and lsm_txn_commit(), or is there right now, or was left, or
 * was committed without `durable`.
 * There is one at most, and nothing is written behind it. */
enum lsm_pending {
    LSM_PENDING_NONE = 0,
    LSM_PENDING_UNKNOWN,  /* not visible; readers may ask the database */
    LSM_PENDING_COMMITTED /* visible; only writers have to settle it */
};
/* Which; token (LSM_TOKEN_BYTES, may be NULL) is filled in unless there is none. One atomic load when there is none. */
enum lsm_pending lsm_store_pending(struct lsm_store *store, uint8_t *token);

enum lsm_decision {
    LSM_DECISION_SEEN,   /* some snapshot of the database has the token: that is final. Makes it visible and writes nothing: for readers */
    LSM_DECISION_COMMIT, /* the same, and as durable as it gets: COMMIT is written. Under the database's write lock */
    LSM_DECISION_ABORT   /* the database does not have it. Under its write lock, or it might still come */
};
/* Settle the pending transaction with this token; LSM_OK if it is settled already. COMMIT and ABORT wait at most busy_timeout_ms for the writer (LSM_BUSY). */
int lsm_store_settle(struct lsm_store *store, const uint8_t *token, enum lsm_decision decision, int busy_timeout_ms,
                     struct lsm_error *err) LSM_MUST_CHECK;

/* The token of the last committed transaction that had one. False: none, or the last one was decided by absence. */
bool lsm_store_last_token(struct lsm_store *store, uint8_t *token);
/* Wait, at most timeout_ms, until nobody writes: what a predecessor has committed in the database is visible here then. LSM_BUSY. */
int lsm_store_await_writer(struct lsm_store *store, int timeout_ms, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- views and reads ------------------------------------------------------------------------------------------ */

struct lsm_view;

/* Pin what is committed now; with txn (of this store) also everything that txn has written up to now, nothing later.
 * Costs no I/O. Every view is closed before its store and before its txn ends; a transaction's belongs to the thread that txn belongs to. */
int lsm_view_open(struct lsm_store *store, struct lsm_txn *txn, struct lsm_view **view, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_view_close(struct lsm_view *view);
/* Let a view of this transaction, through which nobody reads just now, see all that was written since: cheaper than another one. False: it cannot, and is
 * as it was. */
bool lsm_view_renew(struct lsm_view *view, const struct lsm_txn *txn);
/* The position up to which commits are visible; a later commit has a greater one. */
uint64_t lsm_view_position(const struct lsm_view *view);

/* A value kept alive by what it was read from. Zero-initialise; release when done (idempotent). */
struct lsm_value {
    struct lsm_slice bytes;      /* valid until lsm_value_release() or the view is closed */
    void *cache, *block, *state; /* private */
};
void lsm_value_release(struct lsm_value *value);

/* The value of a key, LSM_NOTFOUND if there is none. value may be NULL to ask for existence only. */
int lsm_view_get(struct lsm_view *view, uint32_t tree, struct lsm_slice key, struct lsm_value *value, struct lsm_error *err) LSM_MUST_CHECK;

/* The same as the transaction sees it now, its own changes included: what a uniqueness check asks. Cheaper than a view, and a change of
 * the same key right after it does not search again. The value lives until it is released, which is before the transaction ends. */
int lsm_txn_get(struct lsm_txn *txn, uint32_t tree, struct lsm_slice key, struct lsm_value *value, struct lsm_error *err) LSM_MUST_CHECK;

struct lsm_cursor;

/* An ordered walk over the keys of one tree with low <= key < high; a NULL bound is open. Bounds are copied. Unpositioned at
 * first. Closed before its view. */
int lsm_cursor_open(struct lsm_view *view, uint32_t tree, const struct lsm_slice *low, const struct lsm_slice *high, struct lsm_cursor **cursor,
                    struct lsm_error *err) LSM_MUST_CHECK;
void lsm_cursor_close(struct lsm_cursor *cursor);
/* New bounds on the same tree and view; leaves the cursor unpositioned. Cheaper than opening another. */
int lsm_cursor_rebound(struct lsm_cursor *cursor, const struct lsm_slice *low, const struct lsm_slice *high, struct lsm_error *err) LSM_MUST_CHECK;
/* Positioning. Past either end the cursor is invalid and the status LSM_OK. After an error it is invalid. */
int lsm_cursor_first(struct lsm_cursor *cursor, struct lsm_error *err) LSM_MUST_CHECK;
int lsm_cursor_last(struct lsm_cursor *cursor, struct lsm_error *err) LSM_MUST_CHECK;
int lsm_cursor_seek(struct lsm_cursor *cursor, struct lsm_slice key, struct lsm_error *err) LSM_MUST_CHECK; /* first >= key */
int lsm_cursor_next(struct lsm_cursor *cursor, struct lsm_error *err) LSM_MUST_CHECK;
int lsm_cursor_prev(struct lsm_cursor *cursor, struct lsm_error *err) LSM_MUST_CHECK;
bool lsm_cursor_valid(const struct lsm_cursor *cursor);
/* Of a valid cursor; the bytes live until it moves or closes. The key comes without its tree. */
struct lsm_slice lsm_cursor_key(const struct lsm_cursor *cursor);
struct lsm_slice lsm_cursor_value(const struct lsm_cursor *cursor);

/* About how much lies in [low, high): from block indexes and memtable counts, no data is read. */
struct lsm_estimate {
    double rows;
    double bytes;
    int sources; /* runs and memtables a lookup has to consider */
};
void lsm_view_estimate(struct lsm_view *view, uint32_t tree, const struct lsm_slice *low, const struct lsm_slice *high,
                       struct lsm_estimate *estimate);

/* ---- maintenance ---------------------------------------------------------------------------------------------- */

/* Write every committed memtable to table files and wait for it. Waits up to 10 seconds for a running transaction to end, then LSM_BUSY (always,
 * therefore, in the thread that holds it). */
int lsm_store_flush(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) LSM_MUST_CHECK;
/* Flush, then merge everything into one bottom run, dropping what nobody can see; waits. */
int lsm_store_compact(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err) LSM_MUST_CHECK;
/* Wait until no background work is due; returns the kept background error, if any. For tests and benchmarks. */
int lsm_store_quiesce(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;

/* One finding of a check. text says what, where, and what to do. */
typedef void (*lsm_check_fn)(void *arg, const char *text);
/* Read and verify every byte of the store: log, manifest, every table file (checksums, order, counts, filters, ranges, levels),
 * and that no file is missing or left over. Calls found() for each problem and goes on. Returns LSM_OK if the check itself ran,
 * whatever it found; *problems counts the findings. */
int lsm_store_check(struct lsm_store *store, lsm_check_fn found, void *found_arg, lsm_interrupt_fn interrupted, void *arg, uint64_t *problems,
                    struct lsm_error *err) LSM_MUST_CHECK;

/* One table file, for reports. */
struct lsm_file_info {
    uint64_t number;
    int level; /* 0 youngest */
    int run;   /* within level 0: 0 is the newest */
    uint64_t bytes;
    uint64_t rows; /* entries, tombstones included */
    uint64_t tombstones;
    uint64_t range_tombstones;
    uint64_t log_low, log_high;   /* positions of the log the file's run came from */
    uint64_t raw_bytes;           /* keys and values before compression */
    uint32_t tree_low, tree_high; /* trees of its first and last key */
    enum lsm_compression compression;
};
int lsm_store_files(struct lsm_store *store, struct lsm_file_info **files, size_t *count, struct lsm_error *err) LSM_MUST_CHECK;

/* Counters since the store was opened; cheap enough to be always on: of reads, what two threads count at the same moment may be lost. */
struct lsm_stats {
    uint64_t commits, rollbacks, puts, deletes, range_deletes;
    uint64_t gets, get_hits, filter_probes, filter_negatives;
    uint64_t seeks;
    uint64_t wal_bytes, wal_syncs;
    uint64_t flushes, flush_bytes;
    uint64_t merges, merge_bytes_read, merge_bytes_written, trivial_moves;
    uint64_t stall_us; /* time writers were slowed down */
    uint64_t cache_hits, cache_misses, cache_bytes;
    uint64_t mapped_bytes;   /* of table files */
    uint64_t memtable_bytes; /* all generations still in memory */
    uint64_t table_bytes, wal_bytes_on_disk;
    uint64_t reserve_bytes; /* held back for deleting on a full disk */
    uint64_t position, synced_position;
    uint64_t generation; /* number of the newest log file */
    uint64_t version;    /* edits applied to the manifest */
    int sealed_memtables, level0_runs, pinned_views;
    int background_status; /* the kept error of background work, LSM_OK if none */
    char background_error[256];
    char stall_reason[64]; /* why the last write was slowed down, empty if never */
};
void lsm_store_stats(struct lsm_store *store, struct lsm_stats *stats);

/* ---- processes ------------------------------------------------------------------------------------------------- */

enum lsm_mode {
    LSM_MODE_SHARED,    /* other processes may have the store open, too */
    LSM_MODE_EXCLUSIVE, /* none can: it was asked for, or the file system cannot share */
    LSM_MODE_READ_ONLY  /* the store as it was when it was opened; no other process knows of this one */
};
/* *why (may be NULL): the reason, static; empty if shared. */
enum lsm_mode lsm_store_mode(const struct lsm_store *store, const char **why);

/* A process that has the store open, and what it keeps. */
struct lsm_reader_info {
    uint64_t pid; /* as it was told; perhaps another container's */
    bool own;     /* it is this one */
    char name[64];
    uint64_t opened_at_us;   /* wall clock */
    uint64_t views;          /* views, transactions and jobs */
    int versions;            /* different ones that they stand on, ... */
    int old_versions;        /* ... and how many of them are not the present one: they keep files */
    uint64_t oldest_view_us; /* how long the oldest of these versions has been in use; 0: none is */
};
/* In a new array the caller frees with lsm_free(). */
int lsm_store_readers(struct lsm_store *store, struct lsm_reader_info **readers, size_t *count, struct lsm_error *err) LSM_MUST_CHECK;

/* Release memory handed out by this interface. NULL is allowed. */
void lsm_free(void *memory);

#endif
