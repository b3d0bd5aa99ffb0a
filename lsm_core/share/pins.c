/* Pins and builds: what processes need, and therefore which files may go.
 *
 * Why a pin holds. All accesses named here are sequentially consistent, so there is one order of them. The pinner counts himself onto a place that
 * stands for his version, then loads the present version and finds it unchanged. The remover knows that version `removed` is there: he stored or
 * loaded it; then he loads the places. If the pinner found an older version, his load comes before the store of `removed`, hence his count comes
 * before the remover's loads: it is seen. The same with `building` in place of pins and next_file in place of the version.
 *
 * A place changes its version only from count 0, which it leaves by a compare-and-swap to PIN_MOVES: so whoever counts himself on, sees no
 * PIN_MOVES and then finds his version there, has it there until he counts himself off. It may be the present version that is taken from the place:
 * by who wants the version before, was late, and will find that out in a moment.
 */
#include "page.h"

#define RELAXED memory_order_relaxed
#define ACQUIRE memory_order_acquire
#define RELEASE memory_order_release
#define SEQ_CST memory_order_seq_cst

enum { PLACE_FLOOR = LSM_SHARE_PINS, STAMP_TICKS = 1 << 20 /* less than a millisecond, or some on processors that count slowly */ };

/* ---- pins ---------------------------------------------------------------------------------------------------------------------------- */

/* The clock costs as much as all the rest of a pin: so the place's time is not told again a moment after it was, as the processor's counter shows. */
static LSM_RARE bool stamp(struct lsm_share *share, uint8_t place) {
    atomic_store_explicit(&share->stamped_ticks, lsm_cpu_ticks(), RELAXED);
    atomic_store_explicit(&share->own->since_us[place], lsm_env_now_us(share->env), RELAXED);
    return true;
}

static inline bool is_stamped(struct lsm_share *share) {
    uint64_t ticks = lsm_cpu_ticks();
    /* LCOV_EXCL_BR_LINE: 0 only on processors without a counter */
    return ticks != 0 && ticks - atomic_load_explicit(&share->stamped_ticks, RELAXED) < STAMP_TICKS;
}

/* Count a pin onto a place, if it stands for the version. before: how many there were. */
static inline bool count_on(struct lsm_share *share, struct page_pin *at, uint64_t version, uint64_t *before) {
    (void)share;
    if (atomic_load_explicit(&at->version, RELAXED) != version) return false;
    SHARE_POINT(share, "pin");
    *before = atomic_fetch_add_explicit(&at->count, 1, SEQ_CST);
    if ((*before & PIN_MOVES) == 0 && atomic_load_explicit(&at->version, ACQUIRE) == version) return true;
    (void)atomic_fetch_sub_explicit(&at->count, 1, RELAXED); /* nothing was read under it */
    return false;
}

static bool pin_place(struct lsm_share *share, uint8_t place, uint64_t version) {
    uint64_t before;
    /* LCOV_EXCL_BR_LINE: stamp() says yes */
    return count_on(share, &share->own->pins[place], version, &before) && (before != 0 || stamp(share, place));
}

/* Give a place that nobody counts on to the version, and count a pin onto it. Locks: needs mu. */
static bool pin_move(struct lsm_share *share, uint8_t place, uint64_t version) {
    struct page_slot *slot = share->own;
    struct page_pin *at = &slot->pins[place];
    uint64_t nobody = 0;
    if (!atomic_compare_exchange_strong_explicit(&at->count, &nobody, PIN_MOVES, ACQUIRE, RELAXED)) return false;
    (void)stamp(share, place);
    SHARE_POINT(share, "pin new version");
    atomic_store_explicit(&at->version, version, SEQ_CST);
    /* From moving to one pin; who came by meanwhile counts himself off again. Release: acquired by who counts himself on. */
    (void)atomic_fetch_sub_explicit(&at->count, PIN_MOVES - 1, SEQ_CST);
    return true;
}

/* More versions than places: everything from the oldest of them on is pinned, until the last of them is not. Locks: needs mu. */
static void pin_floor(struct lsm_share *share, uint64_t version) {
    struct page_slot *slot = share->own;
    if (share->overflow.count == 0) atomic_store_explicit(&slot->floor_since_us, lsm_env_now_us(share->env), RELAXED);
    /* LCOV_EXCL_BR_LINE: an older version comes second only if two threads pin at once */
    if (share->overflow.count == 0 || version < share->overflow.value) {
        share->overflow.value = version;
        SHARE_POINT(share, "pin floor");
        atomic_store_explicit(&slot->floor, version, SEQ_CST);
    }
    share->overflow.count++;
    atomic_store_explicit(&slot->floor_count, share->overflow.count, RELAXED);
}

/* Where the version is pinned, once more, now. */
static uint8_t pin_somewhere(struct lsm_share *share, uint64_t version) {
    uint8_t place = 0;
    SHARE_POINT(share, "pin elsewhere");
    lsm_mutex_lock(&share->mu);
    while (place < LSM_SHARE_PINS && !pin_place(share, place, version)) place++;
    if (place == LSM_SHARE_PINS)
        for (place = 0; place < LSM_SHARE_PINS && !pin_move(share, place, version);) place++;
    if (place == PLACE_FLOOR) pin_floor(share, version);
    lsm_mutex_unlock(&share->mu);
    return place;
}

/* Where the last pin was counted it cannot be, or not yet. */
static LSM_RARE bool pin_elsewhere(struct lsm_share *share, uint64_t version, struct lsm_share_pin *pin) {
    *pin = (struct lsm_share_pin){0};
    if (lsm_share_version(share) != version) return false;
    uint8_t place = pin_somewhere(share, version);
    if (place != PLACE_FLOOR) {
        atomic_store_explicit(&share->stamped_ticks, 0, RELAXED); /* the other place's time says nothing of this one */
        atomic_store_explicit(&share->last_place, place, RELAXED);
    }
    *pin = (struct lsm_share_pin){.version = version, .place = place};
    if (lsm_share_version(share) == version) return true;
    lsm_share_unpin(share, pin);
    return false;
}

bool lsm_share_pin(struct lsm_share *share, uint64_t version, struct lsm_share_pin *pin) {
    assert(version != 0 && share->claimed);
    uint8_t place = atomic_load_explicit(&share->last_place, RELAXED);
    struct page_pin *at = &share->own->pins[place];
    uint64_t before;
    if (!count_on(share, at, version, &before)) return pin_elsewhere(share, version, pin);
    pin->version = version;
    pin->place = place;
    SHARE_POINT(share, "version?");
    /* LCOV_EXCL_BR_LINE: stamp() says yes */
    if (atomic_load_explicit(&share->page->version, SEQ_CST) == version) return before != 0 || is_stamped(share) || stamp(share, place);
    (void)atomic_fetch_sub_explicit(&at->count, 1, RELAXED); /* nothing was read under it */
    pin->version = 0;
    return false;
}

void lsm_share_pin_copy(struct lsm_share *share, const struct lsm_share_pin *from, struct lsm_share_pin *pin) {
    *pin = *from;
    if (from->version == 0) return;
    if (from->place != PLACE_FLOOR) {
        uint64_t before = atomic_fetch_add_explicit(&share->own->pins[from->place].count, 1, RELAXED); /* it is not 0, and stays so */
        assert(before != 0 && (before & PIN_MOVES) == 0);
        (void)before;
        return;
    }
    lsm_mutex_lock(&share->mu);
    assert(share->overflow.count > 0);
    pin_floor(share, from->version);
    lsm_mutex_unlock(&share->mu);
}

static LSM_RARE void unpin_floor(struct lsm_share *share) {
    struct page_slot *slot = share->own;
    lsm_mutex_lock(&share->mu);
    assert(share->overflow.count > 0);
    share->overflow.count--;
    atomic_store_explicit(&slot->floor_count, share->overflow.count, RELAXED);
    if (share->overflow.count == 0) atomic_store_explicit(&slot->floor, 0, RELEASE);
    lsm_mutex_unlock(&share->mu);
}

/* Release throughout: what was read of the files has been read. Acquired by the remover's loads. */
void lsm_share_unpin(struct lsm_share *share, struct lsm_share_pin *pin) {
    if (pin->version == 0) return;
    pin->version = 0;
    SHARE_POINT(share, "unpin");
    if (pin->place == PLACE_FLOOR) {
        unpin_floor(share);
        return;
    }
    uint64_t before = atomic_fetch_sub_explicit(&share->own->pins[pin->place].count, 1, RELEASE);
    assert((before & ~PIN_MOVES) != 0);
    (void)before;
}

/* ---- builds -------------------------------------------------------------------------------------------------------------------------- */

/* Tell the others the lowest number a job here may be at. Locks: needs mu. */
static void tell_building(struct lsm_share *share) {
    uint64_t low = 0;
    for (size_t i = 0; i < SHARE_BUILDS; i++)
        if (share->builds[i].count > 0 && (low == 0 || share->builds[i].value < low)) low = share->builds[i].value;
    SHARE_POINT(share, "building");
    atomic_store_explicit(&share->own->building, low, SEQ_CST);
}

void lsm_share_build_begin(struct lsm_share *share, struct lsm_share_build *build) {
    lsm_mutex_lock(&share->mu);
    struct share_count *place = NULL, *lowest = &share->builds[0];
    uint64_t low = lsm_share_peek_next_file(share);
    if (low == 0) low = 1; /* 0 means none, and is no file's number */
    for (size_t i = 0; i < SHARE_BUILDS; i++) {
        if (share->builds[i].count == 0)
            place = &share->builds[i];
        else if (share->builds[i].value < lowest->value)
            lowest = &share->builds[i];
    }
    /* More jobs than places: the one that began first answers for this one too. */
    if (place != NULL)
        *place = (struct share_count){.value = low, .count = 1};
    else
        lowest->count++;
    build->low = place != NULL ? low : lowest->value;
    tell_building(share);
    lsm_mutex_unlock(&share->mu);
}

void lsm_share_build_end(struct lsm_share *share, struct lsm_share_build *build) {
    if (build->low == 0) return;
    lsm_mutex_lock(&share->mu);
    size_t i = 0;
    /* LCOV_EXCL_BR_LINE: each build has a place, as asserted */
    while (i < SHARE_BUILDS && (share->builds[i].count == 0 || share->builds[i].value != build->low)) i++;
    assert(i < SHARE_BUILDS);
    if (i < SHARE_BUILDS && --share->builds[i].count == 0) tell_building(share); /* LCOV_EXCL_BR_LINE: the same */
    lsm_mutex_unlock(&share->mu);
    build->low = 0;
}

uint64_t lsm_share_build_bound(struct lsm_share *share) {
    uint64_t bound = lsm_share_peek_next_file(share); /* first: who takes a number after this is above the bound */
    SHARE_POINT(share, "building?");
    for (size_t i = 0; i < LSM_SHARE_SLOTS; i++) {
        uint64_t low = atomic_load_explicit(&share->page->slot[i].building, SEQ_CST);
        if (low != 0 && low < bound && !lsm_slot_is_dead(share, i)) bound = low;
    }
    return bound;
}

/* ---- deletion ------------------------------------------------------------------------------------------------------------------------ */

/* Does the slot say that a version from `added` up to, not including, `removed` is pinned? */
static bool slot_pins(const struct page_slot *slot, uint64_t added, uint64_t removed) {
    uint64_t floor = atomic_load_explicit(&slot->floor, SEQ_CST);
    if (floor != 0 && floor < removed) return true;
    for (size_t i = 0; i < LSM_SHARE_PINS; i++) {
        uint64_t version = atomic_load_explicit(&slot->pins[i].version, SEQ_CST);
        if (version >= added && version < removed && version != 0 && atomic_load_explicit(&slot->pins[i].count, SEQ_CST) != 0) return true;
    }
    return false;
}

bool lsm_share_may_remove(struct lsm_share *share, uint64_t added, uint64_t removed) {
    assert(removed != 0 && added <= removed);
    if (lsm_share_version(share) < removed) return false; /* its removal is not published: pins of today's version count */
    SHARE_POINT(share, "pins?");
    for (size_t i = 0; i < LSM_SHARE_SLOTS; i++)
        if (slot_pins(&share->page->slot[i], added, removed) && !lsm_slot_is_dead(share, i)) return false;
    return true;
}
