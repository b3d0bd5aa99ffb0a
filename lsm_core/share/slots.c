/* Slots: who is here, what they pin and build, and therefore which files may go.
 *
 * Why a pin holds. All accesses named here are sequentially consistent, so there is one order of them. The pinner stores the pin, then loads the
 * version and finds it unchanged. The remover knows that version `removed` is there: he stored or loaded it; then he loads the pins. If the pinner
 * found an older version, his load comes before the store of `removed`, hence his pin comes before the remover's loads: it is seen. The same with
 * `building` in place of pins and next_file in place of the version.
 */
#include <stdio.h>
#include <unistd.h>

#include "page.h"

#define RELAXED memory_order_relaxed
#define ACQUIRE memory_order_acquire
#define RELEASE memory_order_release
#define SEQ_CST memory_order_seq_cst

enum { PLACE_FLOOR = LSM_SHARE_PINS };

static struct page_slot *own_slot(struct lsm_share *share) { return &share->page->slot[share->slot]; }

/* ---- claiming ------------------------------------------------------------------------------------------------------------------------ */

/* Needs the slot's byte lock. What others look for when they decide about files goes first, what says that there is somebody last. */
static void slot_clear(struct page_slot *slot) {
    for (size_t i = 0; i < LSM_SHARE_PINS; i++) atomic_store_explicit(&slot->pins[i], 0, RELEASE);
    atomic_store_explicit(&slot->floor, 0, RELEASE);
    atomic_store_explicit(&slot->building, 0, RELEASE);
    atomic_store_explicit(&slot->pinned, 0, RELAXED);
    atomic_store_explicit(&slot->owner, 0, RELEASE); /* acquired by lsm_share_list() */
}

static void slot_fill(struct lsm_share *share, uint64_t owner, const char *name) {
    struct page_slot *slot = own_slot(share);
    uint64_t words[LSM_SHARE_NAME_BYTES / 8] = {0};
    size_t bytes = name == NULL ? 0 : strnlen(name, LSM_SHARE_NAME_BYTES - 1);
    if (bytes > 0) memcpy(words, name, bytes);
    for (size_t i = 0; i < LSM_SHARE_NAME_BYTES / 8; i++) atomic_store_explicit(&slot->name[i], words[i], RELAXED);
    atomic_store_explicit(&slot->pid, (uint64_t)getpid(), RELAXED);
    atomic_store_explicit(&slot->opened_at_us, lsm_env_now_us(share->env), RELAXED);
    SHARE_POINT(share, "owner");
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
                share->claimed = true;
                SHARE_POINT(share, "clear slot");
                slot_clear(own_slot(share));
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
    slot_clear(own_slot(share)); /* before the byte is unlocked: whoever has it then may not be disturbed */
    share->claimed = false;
}

/* Is nobody behind the slot? Then it is clean afterwards. In doubt: somebody is. Our own byte would give way to ourselves. */
static bool slot_is_dead(struct lsm_share *share, size_t i) {
    if (i == share->slot || share->exclusive != NULL) return false;
    lsm_mutex_lock(&share->dead_mu);
    bool dead = lsm_file_lock(share->lock_file, LSM_SHARE_SLOT_0 + i, LSM_LOCK_EXCLUSIVE, NULL) == LSM_OK;
    if (dead) {
        SHARE_POINT(share, "clear dead slot");
        slot_clear(&share->page->slot[i]);
        if (lsm_file_lock(share->lock_file, LSM_SHARE_SLOT_0 + i, LSM_UNLOCK, NULL) != LSM_OK) {
            /* It stays taken until we close: one slot less. */
        }
    }
    lsm_mutex_unlock(&share->dead_mu);
    return dead;
}

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

/* ---- pins ---------------------------------------------------------------------------------------------------------------------------- */

/* Locks: needs mu. */
static void count_pinned(struct lsm_share *share, bool more) {
    share->pinned += more ? 1 : (uint64_t)-1;
    atomic_store_explicit(&own_slot(share)->pinned, share->pinned, RELAXED);
}

/* More versions than places: everything from the oldest of them on is pinned, until the last of them is not. */
static uint8_t pin_floor(struct lsm_share *share, uint64_t version) {
    struct page_slot *slot = own_slot(share);
    if (share->overflow.count == 0) atomic_store_explicit(&slot->floor_since_us, lsm_env_now_us(share->env), RELAXED);
    if (share->overflow.count == 0 || version < share->overflow.value) {
        share->overflow.value = version;
        SHARE_POINT(share, "pin floor");
        atomic_store_explicit(&slot->floor, version, SEQ_CST);
    }
    share->overflow.count++;
    return PLACE_FLOOR;
}

/* Where it is pinned now. */
static uint8_t pin_place(struct lsm_share *share, uint64_t version) {
    struct page_slot *slot = own_slot(share);
    int empty = -1;
    for (int i = 0; i < LSM_SHARE_PINS; i++) {
        struct share_count *pin = &share->pins[i];
        if (pin->count > 0 && pin->value == version) {
            pin->count++;
            return (uint8_t)i;
        }
        if (pin->count == 0 && empty < 0) empty = i;
    }
    if (empty < 0) return pin_floor(share, version);
    share->pins[empty] = (struct share_count){.value = version, .count = 1};
    atomic_store_explicit(&slot->since_us[empty], lsm_env_now_us(share->env), RELAXED);
    SHARE_POINT(share, "pin");
    atomic_store_explicit(&slot->pins[empty], version, SEQ_CST);
    return (uint8_t)empty;
}

bool lsm_share_pin(struct lsm_share *share, uint64_t version, struct lsm_share_pin *pin) {
    assert(version != 0 && share->claimed);
    *pin = (struct lsm_share_pin){0};
    if (lsm_share_version(share) != version) return false;
    lsm_mutex_lock(&share->mu);
    pin->version = version;
    pin->place = pin_place(share, version);
    count_pinned(share, true);
    lsm_mutex_unlock(&share->mu);
    if (lsm_share_version(share) == version) return true;
    lsm_share_unpin(share, pin);
    return false;
}

void lsm_share_pin_copy(struct lsm_share *share, const struct lsm_share_pin *from, struct lsm_share_pin *pin) {
    *pin = *from;
    if (from->version == 0) return;
    lsm_mutex_lock(&share->mu);
    struct share_count *counted = from->place == PLACE_FLOOR ? &share->overflow : &share->pins[from->place];
    assert(counted->count > 0);
    counted->count++;
    count_pinned(share, true);
    lsm_mutex_unlock(&share->mu);
}

void lsm_share_unpin(struct lsm_share *share, struct lsm_share_pin *pin) {
    if (pin->version == 0) return;
    struct page_slot *slot = own_slot(share);
    bool is_floor = pin->place == PLACE_FLOOR;
    lsm_mutex_lock(&share->mu);
    struct share_count *counted = is_floor ? &share->overflow : &share->pins[pin->place];
    assert(counted->count > 0);
    if (--counted->count == 0) {
        SHARE_POINT(share, "unpin");
        /* Release: what was read of the files has been read. Acquired by the remover's loads. */
        atomic_store_explicit(is_floor ? &slot->floor : &slot->pins[pin->place], 0, RELEASE);
    }
    count_pinned(share, false);
    lsm_mutex_unlock(&share->mu);
    *pin = (struct lsm_share_pin){0};
}

/* ---- builds -------------------------------------------------------------------------------------------------------------------------- */

/* Tell the others the lowest number a job here may be at. Locks: needs mu. */
static void tell_building(struct lsm_share *share) {
    uint64_t low = 0;
    for (size_t i = 0; i < SHARE_BUILDS; i++)
        if (share->builds[i].count > 0 && (low == 0 || share->builds[i].value < low)) low = share->builds[i].value;
    SHARE_POINT(share, "building");
    atomic_store_explicit(&own_slot(share)->building, low, SEQ_CST);
}

void lsm_share_build_begin(struct lsm_share *share, struct lsm_share_build *build) {
    lsm_mutex_lock(&share->mu);
    struct share_count *place = NULL, *lowest = &share->builds[0];
    uint64_t low = lsm_share_peek_next_file(share);
    if (low == 0) low = 1; /* 0 means none, and is no file's number */
    for (size_t i = 0; i < SHARE_BUILDS; i++) {
        if (share->builds[i].count == 0) place = &share->builds[i];
        else if (share->builds[i].value < lowest->value) lowest = &share->builds[i];
    }
    /* More jobs than places: the one that began first answers for this one too. */
    if (place != NULL) *place = (struct share_count){.value = low, .count = 1};
    else lowest->count++;
    build->low = place != NULL ? low : lowest->value;
    tell_building(share);
    lsm_mutex_unlock(&share->mu);
}

void lsm_share_build_end(struct lsm_share *share, struct lsm_share_build *build) {
    if (build->low == 0) return;
    lsm_mutex_lock(&share->mu);
    size_t i = 0;
    while (i < SHARE_BUILDS && (share->builds[i].count == 0 || share->builds[i].value != build->low)) i++;
    assert(i < SHARE_BUILDS);
    if (i < SHARE_BUILDS && --share->builds[i].count == 0) tell_building(share);
    lsm_mutex_unlock(&share->mu);
    build->low = 0;
}

uint64_t lsm_share_build_bound(struct lsm_share *share) {
    uint64_t bound = lsm_share_peek_next_file(share); /* first: who takes a number after this is above the bound */
    SHARE_POINT(share, "building?");
    for (size_t i = 0; i < LSM_SHARE_SLOTS; i++) {
        uint64_t low = atomic_load_explicit(&share->page->slot[i].building, SEQ_CST);
        if (low != 0 && low < bound && !slot_is_dead(share, i)) bound = low;
    }
    return bound;
}

/* ---- deletion ------------------------------------------------------------------------------------------------------------------------ */

/* Does the slot say that a version from `added` up to, not including, `removed` is pinned? */
static bool slot_pins(const struct page_slot *slot, uint64_t added, uint64_t removed) {
    uint64_t floor = atomic_load_explicit(&slot->floor, SEQ_CST);
    if (floor != 0 && floor < removed) return true;
    for (size_t i = 0; i < LSM_SHARE_PINS; i++) {
        uint64_t version = atomic_load_explicit(&slot->pins[i], SEQ_CST);
        if (version != 0 && version >= added && version < removed) return true;
    }
    return false;
}

bool lsm_share_may_remove(struct lsm_share *share, uint64_t added, uint64_t removed) {
    assert(removed != 0 && added <= removed);
    if (lsm_share_version(share) < removed) return false; /* its removal is not published: pins of today's version count */
    SHARE_POINT(share, "pins?");
    for (size_t i = 0; i < LSM_SHARE_SLOTS; i++)
        if (slot_pins(&share->page->slot[i], added, removed) && !slot_is_dead(share, i)) return false;
    return true;
}

/* ---- reports ------------------------------------------------------------------------------------------------------------------------- */

static void list_version(struct lsm_share_process *process, uint64_t version, uint64_t since_us, bool and_later) {
    if (version == 0) return;
    size_t n = process->versions_count++;
    process->versions[n].version = version;
    process->versions[n].since_us = since_us;
    process->versions[n].and_later = and_later;
    if (process->oldest_us == 0 || since_us < process->oldest_us) process->oldest_us = since_us;
}

static void list_slot(struct lsm_share *share, size_t i, struct lsm_share_process *process) {
    const struct page_slot *slot = &share->page->slot[i];
    *process = (struct lsm_share_process){.slot = (int)i, .own = i == share->slot};
    process->pid = atomic_load_explicit(&slot->pid, RELAXED);
    process->opened_at_us = atomic_load_explicit(&slot->opened_at_us, RELAXED);
    process->pinned = atomic_load_explicit(&slot->pinned, RELAXED);
    slot_name(slot, process->name);
    for (size_t k = 0; k < LSM_SHARE_PINS; k++)
        list_version(process, atomic_load_explicit(&slot->pins[k], ACQUIRE), atomic_load_explicit(&slot->since_us[k], RELAXED), false);
    list_version(process, atomic_load_explicit(&slot->floor, ACQUIRE), atomic_load_explicit(&slot->floor_since_us, RELAXED), true);
}

int lsm_share_list(struct lsm_share *share, struct lsm_share_process **processes, size_t *count, struct lsm_error *err) {
    *count = 0;
    *processes = lsm_calloc(LSM_SHARE_SLOTS, sizeof **processes);
    if (*processes == NULL) return lsm_fail_nomem(err, LSM_SHARE_SLOTS * sizeof **processes);
    for (size_t i = 0; i < LSM_SHARE_SLOTS; i++) {
        if (atomic_load_explicit(&share->page->slot[i].owner, ACQUIRE) == 0 || slot_is_dead(share, i)) continue;
        list_slot(share, i, &(*processes)[(*count)++]);
    }
    return LSM_OK;
}
