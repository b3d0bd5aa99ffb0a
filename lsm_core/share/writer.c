/* WRITER: a word of the page, because a lone process shall not pay for a lock that nobody else wants. Who stands in it writes; that he lives is
 * proved by the byte lock of his slot, as for pins.
 *
 *   free -> ours         one compare-and-swap
 *   somebody's -> free   his store; or, if he is dead, whoever holds his slot's byte (lsm_slot_is_dead(), or the next owner of the slot)
 *   somebody's           WRITER_WAITED is set in it before a wait, so that he wakes one who waits. That one takes the word with the bit set, because
 *                        he does not know whether he was the only one. A waiter that died costs one wake that nobody hears.
 *
 * A wake is a hint: each wait has an end, after which the owner's life is looked at again.
 */
#include "page.h"

#define RELAXED memory_order_relaxed
#define ACQUIRE memory_order_acquire
#define RELEASE memory_order_release

#define WRITER_WAITED ((uint32_t)1 << 31)

static const uint64_t nap_first_us = 1000, nap_max_us = 100000; /* how soon a dead owner is noticed */

/* Acquire: all that the last writer did. */
static bool take_free(struct lsm_share *share, uint32_t waited) {
    uint32_t nobody = 0;
    SHARE_POINT(share, "take writer");
    return atomic_compare_exchange_strong_explicit(&share->page->writer, &nobody, (uint32_t)(share->slot + 1) | waited, ACQUIRE, RELAXED);
}

uint64_t lsm_writer_owner(struct lsm_share *share) { return atomic_load_explicit(&share->page->writer, RELAXED) & ~WRITER_WAITED; }

/* Nobody has ever stored what stands there: the bit without an owner, a slot that does not exist, or this process, which does not write. So the page is
 * damaged, and it is free. */
static bool take_damaged(struct lsm_share *share) {
    uint32_t seen = atomic_load_explicit(&share->page->writer, RELAXED), owner = seen & ~WRITER_WAITED;
    /* LCOV_EXCL_BR_LINE: 0 if it was given back since the try before */
    if (seen == 0 || (owner != 0 && owner <= LSM_SHARE_SLOTS && owner != (uint32_t)(share->slot + 1))) return false;
    return atomic_compare_exchange_strong_explicit(&share->page->writer, &seen, (uint32_t)(share->slot + 1) | WRITER_WAITED, ACQUIRE, RELAXED);
}

/* Somebody has it. */
static LSM_RARE bool take_later(struct lsm_share *share, uint64_t timeout_us) {
    uint64_t now = 0, until = 0, nap_us = nap_first_us;
    uint32_t waited = 0;
    do {
        if (take_damaged(share)) return true;
        uint64_t owner = lsm_writer_owner(share);
        if (owner == 0 || lsm_slot_is_dead(share, owner - 1)) continue; /* LCOV_EXCL_BR_LINE: the same */
        if (timeout_us == 0) return false;
        now = lsm_env_monotonic_us(share->env);
        if (until == 0) until = timeout_us > UINT64_MAX - now ? UINT64_MAX : now + timeout_us;
        if (now >= until) return false;
        waited = WRITER_WAITED;
        uint32_t seen = (uint32_t)owner;
        SHARE_POINT(share, "wait for writer");
        if (!atomic_compare_exchange_strong_explicit(&share->page->writer, &seen, seen | waited, RELAXED, RELAXED) &&
            seen != ((uint32_t)owner | waited))
            continue;
        lsm_env_wait_word(share->env, &share->page->writer, (uint32_t)owner | waited, until - now < nap_us ? until - now : nap_us);
        nap_us = nap_us * 2 < nap_max_us ? nap_us * 2 : nap_max_us;
    } while (!take_free(share, waited));
    return true;
}

bool lsm_writer_take(struct lsm_share *share, uint64_t timeout_us) { return take_free(share, 0) || take_later(share, timeout_us); }

void lsm_writer_give(struct lsm_share *share) {
    SHARE_POINT(share, "give writer");
    uint32_t was = atomic_exchange_explicit(&share->page->writer, 0, RELEASE);
    assert((was & ~WRITER_WAITED) == share->slot + 1);
    if ((was & WRITER_WAITED) != 0) lsm_env_wake_word(share->env, &share->page->writer);
}

void lsm_writer_clear(struct lsm_share *share, size_t slot) {
    uint32_t seen = atomic_load_explicit(&share->page->writer, RELAXED);
    if ((seen & ~WRITER_WAITED) != slot + 1) return;
    /* Only somebody who waits can be in between: he sets his bit. */
    /* LCOV_EXCL_BR_LINE: somebody sets his bit between the load and this */
    while (!atomic_compare_exchange_strong_explicit(&share->page->writer, &seen, 0, RELEASE, RELAXED) && (seen & ~WRITER_WAITED) == slot + 1)
        continue;
    if ((seen & WRITER_WAITED) != 0) lsm_env_wake_word(share->env, &share->page->writer);
}

/* ---- a transaction ------------------------------------------------------------------------------------------------------------------- */

int lsm_share_begin_write(struct lsm_share *share, uint64_t timeout_us, struct lsm_share_end *end, uint64_t *published, struct lsm_error *err) {
    int status = lsm_share_lock(share, LSM_SHARE_WRITER, timeout_us, err);
    if (status != LSM_OK) return status;
    *end = page_log_end(share);
    *published = page_published(share);
    return LSM_OK;
}

/* First what is visible, then that the writer is done: who finds WRITER free and the page complete need not search. */
void lsm_share_end_write(struct lsm_share *share, uint64_t published, uint64_t end) {
    page_publish(share, published);
    page_append_end(share, end);
    atomic_store_explicit(&share->held[LSM_SHARE_WRITER], false, RELAXED);
    if (share->exclusive == NULL) lsm_writer_give(share);
}
