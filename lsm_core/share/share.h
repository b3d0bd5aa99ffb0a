/* share.h: what the processes that have one store open agree on: who is first and last, who writes, who pins which table files.
 *
 * The truth of a store is its log and its manifest. All that is here can be lost and built anew: byte locks on the file LOCK, which the kernel
 * drops when their owner dies, and one page of numbers in the file SHM, mapped by everybody (format.md describes both). Each opener of
 * the store is called a process here, though one program may open a store twice.
 *
 *   life of a process    lsm_share_join() -> first: recover; else: load and tail -> lsm_share_ready() -> ... -> lsm_share_leave() ->
 *                        last: closing work -> lsm_share_free()
 *   exclusive            somebody wants it, or the file system cannot share: PRESENT is held exclusively for life, the page is a private
 *                        block of memory, locks cost nothing; the same code runs
 *   detached             read-only media: no file is touched, no lock taken
 *
 * The page holds 64-bit numbers. What a function promises about order is said with it: "release" and "acquire" pair up per number,
 * pins and `version` are sequentially consistent, because a pin is stored and then the version looked at, while a remover stores the
 * version and then looks at the pins: one of them must see the other.
 * Threads: every function may be called by any thread, if nothing else is said. Byte locks exclude processes, never the threads of one: the
 * store has a mutex or a flag of its own above each, and taking one twice is a mistake (asserted).
 * Cost: what is marked "cheap" is a few atomic operations, no system call.
 */
#ifndef LSM_SHARE_SHARE_H
#define LSM_SHARE_SHARE_H

#include "../env/env.h"

/* Bytes of LOCK; WRITER is a word of the page instead, which a dead process's slot gives back. PRESENT is the byte that releases which could not share held exclusively: they and we keep each other out. */
enum lsm_share_lock {
    LSM_SHARE_PRESENT = 0,  /* shared for life; exclusive: while the first one recovers, the last one closes, or for life */
    LSM_SHARE_OPEN = 1,     /* exclusive while joining and leaving */
    LSM_SHARE_WRITER = 2,   /* exclusive, as the rest: a write transaction */
    LSM_SHARE_MANIFEST = 3, /* one append to the manifest */
    LSM_SHARE_FLUSH = 4,    /* memtables -> table files */
    LSM_SHARE_MERGE = 5,
    LSM_SHARE_SWEEP = 6, /* removing files nobody needs */
    LSM_SHARE_LOCKS = 7,
    LSM_SHARE_SLOT_0 = 16 /* byte 16 + i: slot i is owned by a living process */
};

enum {
    LSM_SHARE_SLOTS = 120, /* processes at once */
    LSM_SHARE_PINS = 8,    /* versions one process pins at once; more are pinned as "this one and all later" */
    LSM_SHARE_NAME_BYTES = 64
};

struct lsm_share;

/* ---- joining and leaving -------------------------------------------------------------------------------------------- */

struct lsm_share_options {
    struct lsm_env *env;
    const char *dir;                 /* exists; copied */
    const struct lsm_env_perm *perm; /* of LOCK and SHM; copied */
    const uint8_t *store_id;         /* LSM_STORE_ID_BYTES; copied */
    const char *process_name;        /* for messages; may be NULL */
    bool exclusive;                  /* let nobody else in */
    bool detached;                   /* no LOCK, no SHM: a private page */
    uint64_t timeout_us;             /* how long to wait for others that open or close */
};

/* Enter. On success OPEN is held until lsm_share_ready(), and a slot is ours.
 *   lsm_share_is_first(): nobody else is there and nobody can come: recover, repair, clean, and fill the page by the functions below (all
 *     numbers are 0). Otherwise the page is live, others work on, and nothing may be repaired.
 * LSM_BUSY: held exclusively (by whom and why is said), all slots taken, somebody stuck in opening, SHM missing, stale, foreign or of another
 * layout while others are there, LOCK deleted or replaced under living processes. On error nothing is held and *share is NULL. */
int lsm_share_join(const struct lsm_share_options *options, struct lsm_share **share, struct lsm_error *err) LSM_MUST_CHECK;
bool lsm_share_is_first(const struct lsm_share *share);
/* Of the first one: the version that stood in the page that those before it have left, 0 if there is no telling. They had published it, so the manifest was durable
 * up to there; but nobody answers for these bytes, so it is a hint. An opening that fails leaves it as it was. */
uint64_t lsm_share_left_version(const struct lsm_share *share);
/* NULL if others may join, else why nobody can (static), e.g. "NFS cannot be shared by processes". Cheap. */
const char *lsm_share_exclusive(const struct lsm_share *share);
/* The store can be used: the first one lets others in; OPEN is released. On error lsm_share_free() is what is left to do. */
int lsm_share_ready(struct lsm_share *share, struct lsm_error *err) LSM_MUST_CHECK;
/* Begin to leave: nothing may be pinned or being built. Waits for OPEN; true: we are the last, nobody comes in until lsm_share_free(), and closing
 * work may be done. False: others are there, or OPEN could not be had within the timeout: just go. */
bool lsm_share_leave(struct lsm_share *share, uint64_t timeout_us);
/* Give up the slot and all locks, close the files. At any stage; NULL is allowed. */
void lsm_share_free(struct lsm_share *share);
/* LSM_READONLY if another process may think that it is alone, because LOCK was deleted or replaced and so was SHM, if we have one: nobody who is in
 * may write then (lsm_share_failed()). Two system calls. lsm_share_lock(MANIFEST) asks by itself. */
int lsm_share_check_place(struct lsm_share *share, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- locks ---------------------------------------------------------------------------------------------------------- */

/* WRITER to SWEEP. Polled for up to timeout_us (0: tried once), then LSM_BUSY, with the holder's name. MANIFEST: as lsm_share_check_place() too. */
int lsm_share_lock(struct lsm_share *share, enum lsm_share_lock lock, uint64_t timeout_us, struct lsm_error *err) LSM_MUST_CHECK;
void lsm_share_unlock(struct lsm_share *share, enum lsm_share_lock lock);
/* FLUSH or MERGE: its owner says that it is getting on; whoever waits compares two looks. Cheap. */
void lsm_share_beat(struct lsm_share *share, enum lsm_share_lock lock);
uint64_t lsm_share_beats(struct lsm_share *share, enum lsm_share_lock lock);

/* ---- the numbers (all cheap) ---------------------------------------------------------------------------------------- */

/* Position up to which commits are visible. Only grows: a smaller one is ignored. Release / acquire: who sees it, finds the records in the log. */
void lsm_share_publish(struct lsm_share *share, uint64_t position);
uint64_t lsm_share_published(struct lsm_share *share);

/* The log's end. Needs WRITER. Around everything a writer appends: begin; append; end(the new end). If `died` is said, a writer died between begin
 * and end, and what stands in the log from `position` on is to be looked at; whoever has done so calls end() himself. Release / acquire. */
struct lsm_share_end {
    uint64_t position;
    bool died;
};
/* In one step, for who is to be quick: WRITER, and what the page says then. */
int lsm_share_begin_write(struct lsm_share *share, uint64_t timeout_us, struct lsm_share_end *end, uint64_t *published,
                          struct lsm_error *err) LSM_MUST_CHECK;
/* Publish up to `published`, end(end), and give WRITER back. */
void lsm_share_end_write(struct lsm_share *share, uint64_t published, uint64_t end);
void lsm_share_append_begin(struct lsm_share *share);
void lsm_share_append_end(struct lsm_share *share, uint64_t position);
struct lsm_share_end lsm_share_log_end(struct lsm_share *share);

/* Every log file is durable below this. Only grows. Release / acquire. */
void lsm_share_set_synced(struct lsm_share *share, uint64_t position);
uint64_t lsm_share_synced(struct lsm_share *share);

/* Position of a PREPARE that nobody has decided; UINT64_MAX: none. Set with WRITER held; cleared, if it still is this one, by whoever learns the
 * decision. Release / acquire. */
void lsm_share_set_undecided(struct lsm_share *share, uint64_t position);
void lsm_share_clear_undecided(struct lsm_share *share, uint64_t position);
uint64_t lsm_share_undecided(struct lsm_share *share);

/* A write or sync of the log failed: nobody writes until all have closed. Release / acquire. */
void lsm_share_set_failed(struct lsm_share *share);
bool lsm_share_failed(struct lsm_share *share);

/* The present version: manifest number and how many bytes of that manifest count. A later version is a greater number, none is 0. Only grows; set
 * with MANIFEST held, after the record is durable. Sequentially consistent with pins. */
static inline uint64_t lsm_share_version_id(uint64_t manifest, uint64_t bytes) { return manifest << 36 | bytes; }
static inline uint64_t lsm_share_version_manifest(uint64_t version) { return version >> 36; }
static inline uint64_t lsm_share_version_bytes(uint64_t version) { return version & (((uint64_t)1 << 36) - 1); }
void lsm_share_set_version(struct lsm_share *share, uint64_t version);
uint64_t lsm_share_version(struct lsm_share *share);

/* ---- pins ----------------------------------------------------------------------------------------------------------- */

/* Where a pin is kept: as good as the version it is for. Zero-initialise. */
struct lsm_share_pin {
    uint64_t version; /* 0: pins nothing */
    uint8_t place;    /* private */
};

/* Pin `version` if it is still the present one: until unpinned, no process removes a table file it names. False: nothing is pinned, the version
 * has moved on: catch up and try again. Counted: the first pin of a version in a process tells the others, the last one takes it back. Cheap. To
 * load a manifest safely: pin lsm_share_version() until that succeeds, load as far as the pin says, keep the pin until the view or job is done. */
bool lsm_share_pin(struct lsm_share *share, uint64_t version, struct lsm_share_pin *pin);
/* The same version again, which need not be the present one any more: *from is held meanwhile. */
void lsm_share_pin_copy(struct lsm_share *share, const struct lsm_share_pin *from, struct lsm_share_pin *pin);
/* *pin is zero afterwards. One that is zero is left alone. */
void lsm_share_unpin(struct lsm_share *share, struct lsm_share_pin *pin);

/* ---- numbers of files, and who may remove what ---------------------------------------------------------------------- */

/* Whoever makes table files says so first: no number handed out from now on is taken for a dead process's leftover until the end. One per job. */
struct lsm_share_build {
    uint64_t low; /* 0: none; the job's numbers are not below */
};
void lsm_share_build_begin(struct lsm_share *share, struct lsm_share_build *build);
void lsm_share_build_end(struct lsm_share *share, struct lsm_share_build *build); /* the files are named by the manifest or a log record, or gone */
/* A number for a new file (table or manifest), nobody else's; table files: only between begin and end. */
uint64_t lsm_share_next_file(struct lsm_share *share);
/* Numbers below this are taken. */
void lsm_share_raise_next_file(struct lsm_share *share, uint64_t at_least);
uint64_t lsm_share_peek_next_file(struct lsm_share *share);

/* Files with a smaller number are not being made by anybody alive. Then look at the manifest, the log and the directory, in this order of calls: a
 * file below the bound that is in none of the former is a dead process's. Dead processes' slots are cleared on the way (system calls only then). */
uint64_t lsm_share_build_bound(struct lsm_share *share);
/* The deletion rule: may a table file be unlinked that version `added` (0: unknown) brought and version `removed` (not 0, published) does not name
 * any more? True if no living process pins a version from `added` up to, not including, `removed`. What is true stays true. */
bool lsm_share_may_remove(struct lsm_share *share, uint64_t added, uint64_t removed);

/* Has a process died, or left a trace, since this was last asked here? Its slot is cleared; what else it has left is to be looked for. Looks at the byte
 * of each slot but ours that has an owner: a system call each. */
bool lsm_share_find_dead(struct lsm_share *share);
/* Whoever finds our slot when we have left shall take us for dead: there are files that we could not remove yet. */
void lsm_share_leave_trace(struct lsm_share *share);

/* ---- reports -------------------------------------------------------------------------------------------------------- */

struct lsm_share_process {
    int slot;
    bool own;
    uint64_t pid; /* as it was told; perhaps another container's */
    char name[LSM_SHARE_NAME_BYTES];
    uint64_t opened_at_us; /* wall clock */
    uint64_t pinned;       /* pins: views and jobs */
    uint64_t oldest_us;    /* since when the oldest of these versions is pinned; 0: none */
    size_t versions_count;
    struct {
        uint64_t version, since_us;
        bool and_later; /* and every version after it */
    } versions[LSM_SHARE_PINS + 1];
};
/* The living processes, a copy without guarantee of one moment; to be freed with lsm_free(). */
int lsm_share_list(struct lsm_share *share, struct lsm_share_process **processes, size_t *count, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

#ifndef NDEBUG
/* Called before each access to the page that others may see, with what it is ("pin", "version?", ...; a question mark: a read), and where the store is
 * between two steps that a thread of the same process may come between. NULL: off. Not for use while threads run that do not expect it. */
typedef void (*lsm_share_point_fn)(void *arg, struct lsm_share *share, const char *what);
void lsm_share_on_point(lsm_share_point_fn fn, void *arg);
void lsm_share_point(struct lsm_share *share, const char *what);
#define SHARE_POINT(share, what) lsm_share_point(share, what)
#else
#define SHARE_POINT(share, what) ((void)0)
#endif

#endif
