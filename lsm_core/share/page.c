/* The page and its numbers. */
#include <string.h>

#include "../codec/hash.h"
#include "page.h"

#define RELAXED memory_order_relaxed
#define ACQUIRE memory_order_acquire
#define RELEASE memory_order_release

/* ---- the page ----------------------------------------------------------------------------------------------------------------------- */

int lsm_page_new(struct lsm_share *share, struct lsm_error *err) {
    size_t align = _Alignof(struct lsm_share_page), bytes = sizeof(struct lsm_share_page) + align;
    uint8_t *block = lsm_calloc(1, bytes);
    if (block == NULL) return lsm_fail_nomem(err, bytes);
    share->block = block;
    share->page = (struct lsm_share_page *)(void *)(block + (align - (uintptr_t)block % align) % align);
    return LSM_OK;
}

/* Nobody else looks: who comes finds no magic, and may not come before PRESENT is shared. */
void lsm_page_build(struct lsm_share_page *page, const uint8_t *store_id) {
    atomic_store_explicit(&page->magic, 0, RELEASE);
    memset((uint8_t *)page + sizeof page->magic, 0, sizeof *page - sizeof page->magic);
    page->layout = PAGE_LAYOUT;
    page->slots = LSM_SHARE_SLOTS;
    page->bytes = PAGE_BYTES;
    memcpy(page->store_id, store_id, sizeof page->store_id);
}

const char *lsm_page_refuse(const struct lsm_share_page *page, const uint8_t *store_id) {
    if (atomic_load_explicit(&page->magic, ACQUIRE) != PAGE_MAGIC) return "is not a page of this release or a later one";
    if (page->layout != PAGE_LAYOUT || page->slots != LSM_SHARE_SLOTS || page->bytes != PAGE_BYTES)
        return "was made by another release, in its own way";
    if (memcmp(page->store_id, store_id, sizeof page->store_id) != 0) return "belongs to another store";
    return NULL;
}

static uint64_t witness_of(const struct lsm_share_page *page, uint64_t version) { return lsm_hash(page->store_id, sizeof page->store_id, version); }

uint64_t lsm_page_left_version(const struct lsm_share_page *page, const uint8_t *store_id) {
    uint64_t version = atomic_load_explicit(&page->version, RELAXED);
    if (lsm_page_refuse(page, store_id) != NULL || atomic_load_explicit(&page->witness, RELAXED) != witness_of(page, version)) return 0;
    return version;
}

void lsm_page_leave_version(struct lsm_share_page *page, uint64_t version) {
    page_raise(&page->version, version, memory_order_seq_cst); /* before any look at pins, in the one order of all such accesses */
    /* Who dies in between leaves a version that is not believed. */
    atomic_store_explicit(&page->witness, witness_of(page, atomic_load_explicit(&page->version, RELAXED)), RELAXED);
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------------------- */

void lsm_share_publish(struct lsm_share *share, uint64_t position) { page_publish(share, position); }

uint64_t lsm_share_published(struct lsm_share *share) { return page_published(share); }

void lsm_share_append_begin(struct lsm_share *share) {
    assert(!share->ready || atomic_load(&share->held[LSM_SHARE_WRITER]));
    SHARE_POINT(share, "writing");
    atomic_store_explicit(&share->page->writing, share->slot + 1, RELEASE);
}

void lsm_share_append_end(struct lsm_share *share, uint64_t position) { page_append_end(share, position); }

struct lsm_share_end lsm_share_log_end(struct lsm_share *share) {
    return page_log_end(share);
}

void lsm_share_set_synced(struct lsm_share *share, uint64_t position) {
    SHARE_POINT(share, "synced");
    page_raise(&share->page->synced, position, RELEASE); /* acquired by lsm_share_synced() */
}

uint64_t lsm_share_synced(struct lsm_share *share) {
    SHARE_POINT(share, "synced?");
    return atomic_load_explicit(&share->page->synced, ACQUIRE);
}

void lsm_share_set_undecided(struct lsm_share *share, uint64_t position) {
    assert(!share->ready || atomic_load(&share->held[LSM_SHARE_WRITER]));
    SHARE_POINT(share, "undecided");
    atomic_store_explicit(&share->page->undecided, position + 1, RELEASE); /* UINT64_MAX becomes 0: none; acquired by lsm_share_undecided() */
}

void lsm_share_clear_undecided(struct lsm_share *share, uint64_t position) {
    uint64_t expected = position + 1;
    SHARE_POINT(share, "decided");
    if (expected != 0) (void)atomic_compare_exchange_strong_explicit(&share->page->undecided, &expected, 0, RELEASE, RELAXED);
}

uint64_t lsm_share_undecided(struct lsm_share *share) {
    SHARE_POINT(share, "undecided?");
    return atomic_load_explicit(&share->page->undecided, ACQUIRE) - 1;
}

void lsm_share_set_failed(struct lsm_share *share) {
    SHARE_POINT(share, "failed");
    atomic_store_explicit(&share->page->failed, 1, RELEASE); /* acquired by lsm_share_failed() */
}

bool lsm_share_failed(struct lsm_share *share) {
    SHARE_POINT(share, "failed?");
    return atomic_load_explicit(&share->page->failed, ACQUIRE) != 0;
}

void lsm_share_set_version(struct lsm_share *share, uint64_t version) {
    assert(!share->ready || atomic_load(&share->held[LSM_SHARE_MANIFEST]));
    SHARE_POINT(share, "version");
    lsm_page_leave_version(share->page, version);
}

uint64_t lsm_share_version(struct lsm_share *share) {
    SHARE_POINT(share, "version?");
    return atomic_load_explicit(&share->page->version, memory_order_seq_cst);
}

uint64_t lsm_share_next_file(struct lsm_share *share) {
    SHARE_POINT(share, "next file");
    return atomic_fetch_add_explicit(&share->page->next_file, 1, memory_order_seq_cst); /* after the store of `building` */
}

void lsm_share_raise_next_file(struct lsm_share *share, uint64_t at_least) {
    SHARE_POINT(share, "raise next file");
    page_raise(&share->page->next_file, at_least, memory_order_seq_cst);
}

uint64_t lsm_share_peek_next_file(struct lsm_share *share) {
    SHARE_POINT(share, "next file?");
    return atomic_load_explicit(&share->page->next_file, memory_order_seq_cst);
}

void lsm_share_beat(struct lsm_share *share, enum lsm_share_lock lock) {
    (void)atomic_fetch_add_explicit(&share->page->beats[lock], 1, RELAXED); /* says nothing but that somebody is alive */
}

uint64_t lsm_share_beats(struct lsm_share *share, enum lsm_share_lock lock) { return atomic_load_explicit(&share->page->beats[lock], RELAXED); }

/* ---- tests -------------------------------------------------------------------------------------------------------------------------- */

#ifndef NDEBUG
static lsm_share_point_fn _Atomic point_fn;
static void *_Atomic point_arg;

void lsm_share_on_point(lsm_share_point_fn fn, void *arg) {
    atomic_store(&point_arg, arg);
    atomic_store(&point_fn, fn);
}

void lsm_share_point(struct lsm_share *share, const char *what) {
    lsm_share_point_fn fn = atomic_load_explicit(&point_fn, ACQUIRE);
    if (fn != NULL && share->shm_file != NULL) fn(atomic_load(&point_arg), share, what);
}
#endif
