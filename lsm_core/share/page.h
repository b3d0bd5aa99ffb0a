/* page.h: the page as it lies in SHM (docs/format.md), and what a process knows of its part in it.
 *
 *   join.c    entering, leaving, byte locks, the holder note        page.c   the page itself and its numbers
 *   slots.c   slots, who lives, reports                             pins.c   pins, builds, the deletion rule
 *   writer.c  the WRITER lock
 */
#ifndef LSM_SHARE_PAGE_H
#define LSM_SHARE_PAGE_H

#include <assert.h>
#include <stdatomic.h>

#include "../env/sync.h"
#include "share.h"

enum {
    PAGE_BYTES = 40960,
    PAGE_LAYOUT = 3,
    PAGE_LINE = 64 /* of a cache: numbers that different processes change stand on different ones */
};
#define PAGE_MAGIC 0x0a0d4d48534d534cu /* "LSMSHM\r\n" */

typedef _Atomic uint64_t page_u64;
typedef _Atomic uint32_t page_u32;
_Static_assert(sizeof(page_u64) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "processes share numbers that the processor changes whole");
_Static_assert(sizeof(page_u32) == 4 && ATOMIC_INT_LOCK_FREE == 2, "the same");

/* A version, and how many pins this process has of it: it is pinned while count is not 0. With PIN_MOVES in count the place is given to another
 * version just now. */
struct page_pin {
    page_u64 version, count;
};
#define PIN_MOVES ((uint64_t)1 << 63)

/* A process. The byte lock of the slot says whether it lives; only its owner, or who holds that lock because the owner is dead, changes it. */
struct page_slot {
    page_u64 owner; /* random, not 0; 0: free */
    page_u64 pid, opened_at_us;
    page_u64 building;              /* numbers from here on may be in the making; 0: none */
    page_u64 floor, floor_since_us; /* every version from this one on is pinned; 0: not */
    page_u64 floor_count;           /* by so many pins, for reports */
    page_u64 unused;
    page_u64 name[LSM_SHARE_NAME_BYTES / 8];
    _Alignas(PAGE_LINE) struct page_pin pins[LSM_SHARE_PINS];
    page_u64 since_us[LSM_SHARE_PINS];
};
_Static_assert(sizeof(struct page_slot) == 320, "as in format.md");

struct lsm_share_page {
    page_u64 magic; /* stored last: before, the page is nothing */
    uint32_t layout, slots;
    uint64_t bytes;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    _Alignas(PAGE_LINE) page_u64 published;
    _Alignas(PAGE_LINE) page_u64 version;
    page_u64 witness; /* vouches for version to who comes after a crash, which may leave anything here */
    _Alignas(PAGE_LINE) page_u64 log_end;
    page_u64 writing; /* slot + 1 of the writer that is appending */
    page_u32 writer;  /* slot + 1 of who holds WRITER; 2^31 is set in it if somebody waits; 0: nobody */
    _Alignas(PAGE_LINE) page_u64 synced;
    _Alignas(PAGE_LINE) page_u64 next_file;
    _Alignas(PAGE_LINE) page_u64 undecided; /* position + 1; 0: none */
    page_u64 failed;
    _Alignas(PAGE_LINE) page_u64 beats[LSM_SHARE_LOCKS];
    _Alignas(PAGE_LINE) page_u64 holders[LSM_SHARE_LOCKS]; /* slot + 1 of who took the lock last, for messages */
    _Alignas(2048) struct page_slot slot[LSM_SHARE_SLOTS];
};
_Static_assert(sizeof(struct lsm_share_page) == PAGE_BYTES, "as in format.md");

/* What is built or pinned without a place here, counted. */
struct share_count {
    uint64_t value, count; /* value means something while count is not 0 */
};

enum { SHARE_BUILDS = 8 };

struct lsm_share {
    /* Immutable after join. */
    struct lsm_env *env;
    char *dir;
    struct lsm_env_perm perm;
    struct lsm_file *lock_file, *shm_file; /* NULL: detached; exclusive */
    struct lsm_file *dir_file;             /* the store's directory, locked as PRESENT is; NULL: detached, or it cannot be */
    struct lsm_share_page *page;
    void *block; /* the memory of a private page */
    size_t slot;
    struct page_slot *own; /* the page's slot of that number */
    bool first;
    bool claimed;                       /* the slot is ours */
    bool trace;                         /* it keeps its owner when we leave */
    _Atomic bool found_dead;            /* the owner before us did not clear our slot himself */
    const char *exclusive;              /* why nobody else can join */
    uint64_t left_version;              /* what the page said before we, the first, made it anew; 0: nothing */
    _Atomic bool held[LSM_SHARE_LOCKS]; /* to catch ourselves taking a lock twice */
    bool ready;

    struct lsm_mutex mu; /* guards: */
    struct share_count overflow;
    struct share_count builds[SHARE_BUILDS];

    _Atomic uint64_t stamped_ticks; /* of the processor, when last_place's time was told */
    _Atomic uint8_t last_place;     /* where the last pin was counted: most likely the next one is of the same version */

    struct lsm_mutex dead_mu; /* one thread at a time looks whether a slot's owner is dead: the byte lock does not tell two threads apart */
};

/* ---- page.c ---- */
int lsm_page_new(struct lsm_share *share, struct lsm_error *err) LSM_MUST_CHECK; /* a private block as page */
void lsm_page_build(struct lsm_share_page *page, const uint8_t *store_id);       /* all zero, and no magic yet */
/* What the page said of the version, or 0 if nothing vouches for it. For who is the first. */
uint64_t lsm_page_left_version(const struct lsm_share_page *page, const uint8_t *store_id);
/* Say it, to who comes next. Nobody else may be doing so. */
void lsm_page_leave_version(struct lsm_share_page *page, uint64_t version);
/* NULL if it is the store's page, of our layout; else what is wrong with it. */
const char *lsm_page_refuse(const struct lsm_share_page *page, const uint8_t *store_id);

/* ---- slots.c ---- */
int lsm_slot_claim(struct lsm_share *share, const char *name, struct lsm_error *err) LSM_MUST_CHECK; /* needs OPEN */
void lsm_slot_release(struct lsm_share *share);
/* Is nobody behind the slot? Then it is clean afterwards, but for its owner: see lsm_share_find_dead(). In doubt: somebody is. */
bool lsm_slot_is_dead(struct lsm_share *share, size_t i) LSM_MUST_CHECK;
/* Who holds the lock, as "process 12 (sqlite3)". */
void lsm_slot_describe(const struct lsm_share *share, uint64_t slot_plus_1, char *text, size_t size);

/* ---- writer.c: WRITER of a page that is shared ---- */
bool lsm_writer_take(struct lsm_share *share, uint64_t timeout_us) LSM_MUST_CHECK; /* false: the time is over */
void lsm_writer_give(struct lsm_share *share);
void lsm_writer_clear(struct lsm_share *share, size_t slot); /* its owner is dead, or does not write: it is not his any more. Needs the slot's byte */
uint64_t lsm_writer_owner(struct lsm_share *share);          /* slot + 1; 0: nobody */

/* ---- numbers that every transaction needs ---- */

/* Store it if it is greater. */
static inline void page_raise(page_u64 *number, uint64_t value, memory_order order) {
    uint64_t seen = atomic_load_explicit(number, memory_order_relaxed);
    /* LCOV_EXCL_BR_LINE: another one raises it in the same moment */
    while (seen < value && !atomic_compare_exchange_weak_explicit(number, &seen, value, order, memory_order_relaxed)) continue;
}

static inline void page_publish(struct lsm_share *share, uint64_t position) {
    SHARE_POINT(share, "publish");
    page_raise(&share->page->published, position, memory_order_release); /* acquired by page_published() */
}

static inline uint64_t page_published(struct lsm_share *share) {
    SHARE_POINT(share, "published?");
    return atomic_load_explicit(&share->page->published, memory_order_acquire);
}

static inline void page_append_end(struct lsm_share *share, uint64_t position) {
    assert(!share->ready || atomic_load(&share->held[LSM_SHARE_WRITER]));
    SHARE_POINT(share, "log end");
    atomic_store_explicit(&share->page->log_end, position, memory_order_release);
    SHARE_POINT(share, "written");
    atomic_store_explicit(&share->page->writing, 0, memory_order_release); /* both acquired by page_log_end() */
}

static inline struct lsm_share_end page_log_end(struct lsm_share *share) {
    SHARE_POINT(share, "log end?");
    bool died = atomic_load_explicit(&share->page->writing, memory_order_acquire) != 0;
    return (struct lsm_share_end){.position = atomic_load_explicit(&share->page->log_end, memory_order_acquire), .died = died};
}

#endif
