/* Slots: who is here, and who is not any more. */
#include <stdio.h>
#include <unistd.h>

#include "page.h"

#define RELAXED memory_order_relaxed
#define ACQUIRE memory_order_acquire
#define RELEASE memory_order_release

/* ---- claiming ------------------------------------------------------------------------------------------------------------------------ */

/* Needs the slot's byte lock. What others look for when they decide about files goes first, what says that there is somebody last, unless a trace is to
 * be left. */
static void slot_clear(struct lsm_share *share, size_t which, bool trace) {
    struct page_slot *slot = &share->page->slot[which];
    for (size_t i = 0; i < LSM_SHARE_PINS; i++) {
        atomic_store_explicit(&slot->pins[i].count, 0, RELEASE);
        atomic_store_explicit(&slot->pins[i].version, 0, RELAXED);
    }
    atomic_store_explicit(&slot->floor, 0, RELEASE);
    atomic_store_explicit(&slot->floor_count, 0, RELAXED);
    atomic_store_explicit(&slot->building, 0, RELEASE);
    lsm_writer_clear(share, which);
    if (!trace) atomic_store_explicit(&slot->owner, 0, RELEASE); /* acquired by lsm_share_list() */
}

static void slot_fill(struct lsm_share *share, uint64_t owner, const char *name) {
    struct page_slot *slot = share->own;
    uint64_t words[LSM_SHARE_NAME_BYTES / 8] = {0};
    size_t bytes = name == NULL ? 0 : strnlen(name, LSM_SHARE_NAME_BYTES - 1);
    if (bytes > 0) memcpy(words, name, bytes);
    for (size_t i = 0; i < LSM_SHARE_NAME_BYTES / 8; i++) atomic_store_explicit(&slot->name[i], words[i], RELAXED);
    atomic_store_explicit(&slot->pid, (uint64_t)getpid(), RELAXED);
    atomic_store_explicit(&slot->opened_at_us, lsm_env_now_us(share->env), RELAXED);
    SHARE_POINT(share, "owner");
    /* LCOV_EXCL_BR_LINE: one number in 2^64 */
    atomic_store_explicit(&slot->owner, owner == 0 ? 1 : owner, RELEASE); /* acquired by lsm_share_list() */
}

int lsm_slot_claim(struct lsm_share *share, const char *name, struct lsm_error *err) {
    uint64_t owner = 0;
    const uint64_t pause_us = 2000;
    int status = lsm_env_random(share->env, &owner, sizeof owner, err);
    /* Somebody who looks whether a slot is dead has its byte for a moment: only who is refused everywhere three times is refused. */
    for (int round = 0; status == LSM_OK && round < 3; round++) {
        for (size_t i = 0; status == LSM_OK && i < LSM_SHARE_SLOTS; i++) {
            status = share->exclusive != NULL ? LSM_OK : lsm_file_lock(share->lock_file, LSM_SHARE_SLOT_0 + i, LSM_LOCK_EXCLUSIVE, err);
            if (status == LSM_OK) {
                share->slot = i;
                share->own = &share->page->slot[i];
                share->claimed = true;
                SHARE_POINT(share, "clear slot");
                if (atomic_load_explicit(&share->own->owner, ACQUIRE) != 0) atomic_store_explicit(&share->found_dead, true, RELAXED);
                slot_clear(share, share->slot, true); /* we may die before our own name is in it */
                slot_fill(share, owner, name);
                return LSM_OK;
            }
            if (status == LSM_BUSY) status = LSM_OK;
        }
        if (status == LSM_OK) lsm_env_sleep_us(share->env, pause_us);
    }
    if (status != LSM_OK) return status;
    return lsm_fail(err, LSM_BUSY, "%s: %d processes have the store open, more cannot: close it in one of them", share->dir, (int)LSM_SHARE_SLOTS);
}

void lsm_slot_release(struct lsm_share *share) {
    if (!share->claimed) return;
    SHARE_POINT(share, "release slot");
    bool trace = share->trace || atomic_load_explicit(&share->found_dead, RELAXED);
    slot_clear(share, share->slot, trace); /* before the byte is unlocked: whoever has it then may not be disturbed */
    share->claimed = false;
}

/* Our own byte would give way to ourselves. trace: for whoever will look for what the dead one has left. */
static bool clear_if_dead(struct lsm_share *share, size_t i, bool trace) {
    /* LCOV_EXCL_BR_LINE: a page of our own has no other slot */
    if (i == share->slot || share->exclusive != NULL || i >= LSM_SHARE_SLOTS) return false;
    lsm_mutex_lock(&share->dead_mu);
    bool dead = lsm_file_lock(share->lock_file, LSM_SHARE_SLOT_0 + i, LSM_LOCK_EXCLUSIVE, NULL) == LSM_OK;
    if (dead) {
        SHARE_POINT(share, "clear dead slot");
        slot_clear(share, i, trace);
        if (lsm_file_lock(share->lock_file, LSM_SHARE_SLOT_0 + i, LSM_UNLOCK, NULL) != LSM_OK) { /* It stays taken until we close: one slot less. */
        }
    }
    lsm_mutex_unlock(&share->dead_mu);
    return dead;
}

bool lsm_slot_is_dead(struct lsm_share *share, size_t i) { return clear_if_dead(share, i, true); }

bool lsm_share_find_dead(struct lsm_share *share) {
    bool found = atomic_exchange_explicit(&share->found_dead, false, RELAXED);
    for (size_t i = 0; i < LSM_SHARE_SLOTS; i++)
        if (atomic_load_explicit(&share->page->slot[i].owner, ACQUIRE) != 0 && clear_if_dead(share, i, false)) found = true;
    return found;
}

void lsm_share_leave_trace(struct lsm_share *share) { share->trace = true; }

static void slot_name(const struct page_slot *slot, char name[LSM_SHARE_NAME_BYTES]) {
    uint64_t words[LSM_SHARE_NAME_BYTES / 8];
    for (size_t i = 0; i < LSM_SHARE_NAME_BYTES / 8; i++) words[i] = atomic_load_explicit(&slot->name[i], RELAXED);
    memcpy(name, words, LSM_SHARE_NAME_BYTES);
    name[LSM_SHARE_NAME_BYTES - 1] = '\0';
}

void lsm_slot_describe(const struct lsm_share *share, uint64_t slot_plus_1, char *text, size_t size) {
    char name[LSM_SHARE_NAME_BYTES];
    if (slot_plus_1 == 0 || slot_plus_1 > LSM_SHARE_SLOTS) {
        (void)snprintf(text, size, "another process");
        return;
    }
    const struct page_slot *slot = &share->page->slot[slot_plus_1 - 1];
    slot_name(slot, name);
    unsigned long long pid = atomic_load_explicit(&slot->pid, RELAXED);
    (void)snprintf(text, size, "process %llu (%s)", pid, name[0] == '\0' ? "unnamed" : name);
}

/* ---- reports ------------------------------------------------------------------------------------------------------------------------- */

static void list_version(struct lsm_share_process *process, uint64_t version, uint64_t count, uint64_t since_us, bool and_later) {
    if (version == 0 || count == 0) return;
    size_t n = process->versions_count++;
    process->versions[n].version = version;
    process->versions[n].since_us = since_us;
    process->versions[n].and_later = and_later;
    process->pinned += count;
    if (process->oldest_us == 0 || since_us < process->oldest_us) process->oldest_us = since_us;
}

static void list_slot(struct lsm_share *share, size_t i, struct lsm_share_process *process) {
    const struct page_slot *slot = &share->page->slot[i];
    *process = (struct lsm_share_process){.slot = (int)i, .own = i == share->slot};
    process->pid = atomic_load_explicit(&slot->pid, RELAXED);
    process->opened_at_us = atomic_load_explicit(&slot->opened_at_us, RELAXED);
    slot_name(slot, process->name);
    for (size_t k = 0; k < LSM_SHARE_PINS; k++) {
        uint64_t count = atomic_load_explicit(&slot->pins[k].count, ACQUIRE) & ~PIN_MOVES,
                 version = atomic_load_explicit(&slot->pins[k].version, ACQUIRE);
        list_version(process, version, count, atomic_load_explicit(&slot->since_us[k], RELAXED), false);
    }
    uint64_t floor = atomic_load_explicit(&slot->floor, ACQUIRE), floor_count = atomic_load_explicit(&slot->floor_count, RELAXED);
    list_version(process, floor, floor_count, atomic_load_explicit(&slot->floor_since_us, RELAXED), true);
}

int lsm_share_list(struct lsm_share *share, struct lsm_share_process **processes, size_t *count, struct lsm_error *err) {
    *count = 0;
    *processes = lsm_calloc(LSM_SHARE_SLOTS, sizeof **processes);
    if (*processes == NULL) return lsm_fail_nomem(err, LSM_SHARE_SLOTS * sizeof **processes);
    for (size_t i = 0; i < LSM_SHARE_SLOTS; i++) {
        if (atomic_load_explicit(&share->page->slot[i].owner, ACQUIRE) == 0 || lsm_slot_is_dead(share, i)) continue;
        list_slot(share, i, &(*processes)[(*count)++]);
    }
    return LSM_OK;
}
