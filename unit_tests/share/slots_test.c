/* Slots, pins, builds and the deletion rule. */
#include "fixture.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../../lsm_core/env/sync.h"

/* ---- pins and deletion -------------------------------------------------------------------------------- */

static void a_pin_keeps_what_its_version_names_and_nothing_else(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *reader = fixture_open(fixture, 0), *remover = fixture_open(fixture, 1);
    struct lsm_share_pin pin;
    fixture_set_version(remover, 20);
    assert_true(lsm_share_pin(reader, 20, &pin));
    fixture_set_version(remover, 30);
    fixture_set_version(remover, 40);
    assert_false(lsm_share_may_remove(remover, 10, 30)); /* in 20 */
    assert_false(lsm_share_may_remove(remover, 20, 30));
    assert_false(lsm_share_may_remove(remover, 0, 30)); /* perhaps in 20 */
    assert_true(lsm_share_may_remove(remover, 10, 20)); /* gone before 20 */
    assert_true(lsm_share_may_remove(remover, 30, 40)); /* came after 20 */
    assert_false(lsm_share_may_remove(reader, 20, 30)); /* our own pins count */
    lsm_share_unpin(reader, &pin);
    assert_true(pin.version == 0);
    assert_true(lsm_share_may_remove(remover, 0, 40));
}

static void what_no_published_version_has_dropped_may_not_be_removed(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *share = fixture_open(fixture, 0);
    assert_false(lsm_share_may_remove(share, 5, 11));
    fixture_set_version(share, 11);
    assert_true(lsm_share_may_remove(share, 5, 11));
}

static void only_the_present_version_can_be_pinned(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    struct lsm_share_pin pin = {.version = 99};
    fixture_set_version(b, 20);
    assert_false(lsm_share_pin(a, 10, &pin));
    assert_true(pin.version == 0);
    assert_true(lsm_share_may_remove(b, 10, 20));
    lsm_share_unpin(a, &pin);
    assert_true(lsm_share_pin(a, 20, &pin));
    lsm_share_unpin(a, &pin);
}

/* At the moment between a pin's store and the second look at the version, the version moves on. */
static void move_on(void *arg, struct lsm_share *share, const char *what) {
    struct lsm_share *remover = arg;
    static int looks;
    if (share == remover || strcmp(what, "version?") != 0 || ++looks % 2 != 0) return;
    fixture_set_version(remover, lsm_share_version(remover) + 1);
}

static void a_pin_that_came_too_late_is_taken_back(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *reader = fixture_open(fixture, 0), *remover = fixture_open(fixture, 1);
    struct lsm_share_pin pin;
    lsm_share_on_point(move_on, remover);
    bool pinned = lsm_share_pin(reader, 10, &pin);
    lsm_share_on_point(NULL, NULL);
    assert_false(pinned);
    assert_true(lsm_share_version(remover) == 11);
    assert_true(lsm_share_may_remove(remover, 0, 11));
}

/* Another thread of the reader, at the named step of the first one. */
struct second_thread {
    struct lsm_share *share;
    const char *step;
    uint64_t version;
    bool keeps, pinned, done;
    struct lsm_share_pin pin;
};

static void pin_meanwhile(void *arg, struct lsm_share *share, const char *what) {
    struct second_thread *second = arg;
    if (share != second->share || strcmp(what, second->step) != 0 || second->done) return;
    second->done = true;
    second->pinned = lsm_share_pin(share, second->version, &second->pin);
    if (!second->keeps) lsm_share_unpin(share, &second->pin);
}

/* One thread moves a place to the new version, which takes it away from the old one; another is just about to count itself onto that. */
static void a_place_that_is_being_moved_takes_no_pin_of_its_old_version(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *reader = fixture_open(fixture, 0), *remover = fixture_open(fixture, 1);
    struct second_thread second = {.share = reader, .step = "pin new version", .version = 10, .keeps = true};
    struct lsm_share_pin pin;
    assert_true(lsm_share_pin(reader, 10, &pin));
    lsm_share_unpin(reader, &pin);
    fixture_set_version(remover, 20);
    lsm_share_on_point(pin_meanwhile, &second);
    bool pinned = lsm_share_pin(reader, 20, &pin);
    lsm_share_on_point(NULL, NULL);
    assert_true(pinned && second.done && !second.pinned && second.pin.version == 0);
    fixture_set_version(remover, 30);
    assert_true(lsm_share_may_remove(remover, 10, 20));
    assert_false(lsm_share_may_remove(remover, 20, 30)); /* what was counted off was not the first one's */
    lsm_share_unpin(reader, &pin);
    assert_true(lsm_share_may_remove(remover, 0, 30));
}

/* Three threads: the first one knows version 10 only and is held up on its way to a place for it; the second one pins 20 there and lets go of it; the third one
 * pins 20 while the first one moves the place. */
struct late {
    struct lsm_share *reader, *remover;
    struct lsm_thread third;
    struct lsm_share_pin pin;
    _Atomic int elsewhere; /* how often somebody looked for another place */
    _Atomic bool pinned;
    bool moves;
};

static void pin_as_third(void *arg) {
    struct late *late = arg;
    bool pinned = lsm_share_pin(late->reader, 20, &late->pin);
    atomic_store(&late->pinned, pinned);
}

static void overtake(void *arg, struct lsm_share *share, const char *what) {
    struct late *late = arg;
    struct lsm_share_pin pin;
    if (share != late->reader) return;
    if (strcmp(what, "pin elsewhere") == 0 && atomic_fetch_add(&late->elsewhere, 1) == 0) {
        fixture_set_version(late->remover, 20);
        assert_true(lsm_share_pin(share, 20, &pin));
        lsm_share_unpin(share, &pin);
        late->moves = true;
    } else if (strcmp(what, "pin new version") == 0 && late->moves) {
        late->moves = false;
        int before = atomic_load(&late->elsewhere);
        assert_int_equal(lsm_thread_start(&late->third, "third", pin_as_third, late), LSM_OK);
        while (atomic_load(&late->elsewhere) == before && !atomic_load(&late->pinned)) sched_yield();
    }
}

/* The place stands for the present version when the late one gives it to the version before. */
static void a_place_that_goes_back_to_an_old_version_takes_no_pin_of_the_present_one(void **state) {
    struct fixture *fixture = *state;
    struct late late = {.reader = fixture_open(fixture, 0), .remover = fixture_open(fixture, 1)};
    struct lsm_share_pin pin;
    lsm_share_on_point(overtake, &late);
    bool pinned = lsm_share_pin(late.reader, 10, &pin);
    lsm_thread_join(&late.third);
    lsm_share_on_point(NULL, NULL);
    assert_true(!pinned && atomic_load(&late.pinned));
    fixture_set_version(late.remover, 30);
    assert_false(lsm_share_may_remove(late.remover, 20, 30));
    lsm_share_unpin(late.reader, &late.pin);
    assert_true(lsm_share_may_remove(late.remover, 0, 30));
}

/* Another thread has given the new version a place while the first one was looking for one; its own pin is there still, or is not. */
static void two_threads_that_pin_a_new_version_at_once_share_its_place(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *reader = fixture_open(fixture, 0), *remover = fixture_open(fixture, 1);
    struct lsm_share_pin pin;
    uint64_t version = 10;
    for (int keeps = 0; keeps < 2; keeps++) {
        fixture_set_version(remover, version += 10);
        struct second_thread second = {.share = reader, .step = "version?", .version = version, .keeps = keeps};
        lsm_share_on_point(pin_meanwhile, &second);
        bool pinned = lsm_share_pin(reader, version, &pin);
        lsm_share_on_point(NULL, NULL);
        assert_true(pinned && second.pinned && pin.place < LSM_SHARE_PINS);
        if (keeps) assert_int_equal(second.pin.place, pin.place);
        fixture_set_version(remover, version += 10);
        lsm_share_unpin(reader, &pin);
        assert_true(lsm_share_may_remove(remover, 0, version) == !keeps);
        lsm_share_unpin(reader, &second.pin);
        assert_true(lsm_share_may_remove(remover, 0, version));
    }
}

static void pins_of_one_version_are_counted(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *reader = fixture_open(fixture, 0), *remover = fixture_open(fixture, 1);
    struct lsm_share_pin a, b, c;
    assert_true(lsm_share_pin(reader, 10, &a));
    assert_true(lsm_share_pin(reader, 10, &b));
    fixture_set_version(remover, 20);
    lsm_share_pin_copy(reader, &a, &c);
    lsm_share_unpin(reader, &a);
    lsm_share_unpin(reader, &b);
    assert_false(lsm_share_may_remove(remover, 0, 20));
    lsm_share_unpin(reader, &c);
    assert_true(lsm_share_may_remove(remover, 0, 20));
    lsm_share_pin_copy(reader, &a, &c); /* of nothing */
    lsm_share_unpin(reader, &c);
}

static void more_pins_than_places_pin_everything_from_the_oldest_of_them_on(void **state) {
    struct fixture *fixture = *state;
    enum { PINS = LSM_SHARE_PINS + 3 };
    struct lsm_share *reader = fixture_open(fixture, 0), *remover = fixture_open(fixture, 1);
    struct lsm_share_pin pins[PINS], copy;
    uint64_t v = 100;
    for (int i = 0; i < PINS; i++, v += 10) {
        fixture_set_version(remover, v);
        assert_true(lsm_share_pin(reader, v, &pins[i]));
    }
    fixture_set_version(remover, v); /* 100 to 170 have places, 180 to 200 have not, 210 is present */
    assert_false(lsm_share_may_remove(remover, 170, 180));
    assert_true(lsm_share_may_remove(remover, 171, 180));
    assert_false(lsm_share_may_remove(remover, 181, 190));
    assert_false(lsm_share_may_remove(remover, 201, 210));
    lsm_share_pin_copy(reader, &pins[9], &copy);
    for (int i = 0; i < PINS; i++) lsm_share_unpin(reader, &pins[i]);
    assert_true(lsm_share_may_remove(remover, 0, 180));
    assert_false(lsm_share_may_remove(remover, 0, 190));
    lsm_share_unpin(reader, &copy);
    assert_true(lsm_share_may_remove(remover, 0, 210));
    assert_true(lsm_share_pin(reader, 210, &copy)); /* the places are free again */
    assert_true(copy.place < LSM_SHARE_PINS);
    lsm_share_unpin(reader, &copy);
}

static void what_the_dead_pinned_may_go_and_their_slots_are_used_again(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *remover = fixture_open(fixture, 1);
    for (int round = 0; round < 300; round++) {
        struct lsm_share *reader = fixture_open(fixture, 0);
        struct lsm_share_pin pin;
        struct lsm_share_build build;
        uint64_t version = lsm_share_version(remover);
        assert_true(lsm_share_pin(reader, version, &pin));
        lsm_share_build_begin(reader, &build);
        uint64_t number = lsm_share_next_file(reader);
        fixture_set_version(remover, version + 1);
        assert_false(lsm_share_may_remove(remover, version, version + 1));
        assert_true(lsm_share_build_bound(remover) <= number);
        lsm_env_mem_kill(fixture->process[0].env);
        if (round % 2 == 0) assert_true(lsm_share_may_remove(remover, version, version + 1));
        assert_true(lsm_share_build_bound(remover) > number);
        assert_true(lsm_share_may_remove(remover, version, version + 1));
        lsm_share_unpin(reader, &pin);
        fixture_kill(fixture, 0);
    }
}

static void a_slot_reused_before_anybody_looked_is_clean(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *remover = fixture_open(fixture, 1), *reader = fixture_open(fixture, 0);
    struct lsm_share_pin pin;
    assert_true(lsm_share_pin(reader, 10, &pin));
    fixture_set_version(remover, 20);
    lsm_env_mem_kill(fixture->process[0].env);
    struct lsm_share *next = fixture_open(fixture, 2);
    assert_true(lsm_share_may_remove(remover, 0, 20));
    assert_true(lsm_share_may_remove(next, 0, 20));
    lsm_share_unpin(reader, &pin); /* by the dead one: changes nothing for anybody */
    assert_true(lsm_share_pin(next, 20, &pin));
    fixture_kill(fixture, 0);
    fixture_set_version(remover, 30);
    assert_false(lsm_share_may_remove(remover, 0, 30));
    lsm_share_unpin(next, &pin);
}

static void die_taking_a_slot(void *arg, struct lsm_share *share, const char *what) {
    (void)share;
    if (strcmp(what, "owner") == 0) lsm_env_mem_kill(arg);
}

/* Who takes a dead process's slot and dies before his own name is in it: both may have left files. */
static void a_trace_outlives_who_dies_taking_the_slot(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *share = fixture_open(fixture, 0);
    (void)fixture_open(fixture, 1);
    fixture_kill(fixture, 1);
    struct lsm_share_options options = fixture_options(fixture, 1);
    lsm_share_on_point(die_taking_a_slot, options.env);
    (void)fixture_join_with(fixture, 1, &options);
    lsm_share_on_point(NULL, NULL);
    assert_true(lsm_env_mem_is_killed(options.env));
    fixture_kill(fixture, 1);
    assert_true(lsm_share_find_dead(share));
    assert_false(lsm_share_find_dead(share));
}

static void the_hundred_and_twenty_first_process_is_refused(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < LSM_SHARE_SLOTS; i++) (void)fixture_open(fixture, i);
    assert_int_equal(fixture_join(fixture, LSM_SHARE_SLOTS), LSM_BUSY);
    assert_non_null(strstr(fixture->process[LSM_SHARE_SLOTS].err.text, "120 processes"));
    fixture_kill(fixture, 77);
    (void)fixture_open(fixture, LSM_SHARE_SLOTS);
    assert_int_equal(fixture_join(fixture, 77), LSM_BUSY);
    fixture_close(fixture, 3);
    (void)fixture_open(fixture, 77);
}

/* ---- builds -------------------------------------------------------------------------------- */

static void numbers_in_the_making_bound_what_is_a_leftover(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    struct lsm_share_build x, y, z;
    lsm_share_raise_next_file(a, 50);
    assert_true(lsm_share_build_bound(b) == 50);
    lsm_share_build_begin(a, &x);
    assert_true(lsm_share_next_file(a) == 50 && lsm_share_next_file(b) == 51);
    lsm_share_build_begin(a, &y);
    lsm_share_build_begin(b, &z);
    assert_true(lsm_share_next_file(a) == 52);
    assert_true(lsm_share_build_bound(b) == 50);
    lsm_share_build_end(a, &x);
    assert_true(x.low == 0 && lsm_share_build_bound(b) == 52);
    lsm_share_build_end(a, &x); /* twice is nothing */
    lsm_share_build_end(a, &y);
    assert_true(lsm_share_build_bound(a) == 52);
    lsm_share_build_end(b, &z);
    assert_true(lsm_share_build_bound(a) == 53);
}

/* The first one has not told yet which numbers are taken. */
static void no_file_has_the_number_0(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share_build build;
    assert_int_equal(fixture_join(fixture, 0), LSM_OK);
    struct lsm_share *first = fixture->process[0].share;
    lsm_share_build_begin(first, &build);
    assert_true(build.low == 1);
    lsm_share_raise_next_file(first, 50);
    assert_true(lsm_share_build_bound(first) == 1);
    lsm_share_build_end(first, &build);
    assert_true(lsm_share_build_bound(first) == 50);
}

static void more_jobs_than_places_are_answered_for_by_the_first(void **state) {
    struct fixture *fixture = *state;
    enum { JOBS = 12 };
    struct lsm_share *share = fixture_open(fixture, 0);
    struct lsm_share_build builds[JOBS];
    uint64_t first = lsm_share_peek_next_file(share);
    for (int i = 0; i < JOBS; i++) {
        lsm_share_build_begin(share, &builds[i]);
        (void)lsm_share_next_file(share);
    }
    for (int i = 0; i < JOBS - 1; i++) {
        lsm_share_build_end(share, &builds[i]);
        assert_true(lsm_share_build_bound(share) == first);
    }
    lsm_share_build_end(share, &builds[JOBS - 1]);
    assert_true(lsm_share_build_bound(share) == first + JOBS);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void an_undecided_transaction_is_forgotten_by_its_own_position_only(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    assert_true(lsm_share_undecided(a) == UINT64_MAX);
    lsm_share_clear_undecided(b, UINT64_MAX);
    assert_int_equal(lsm_share_lock(a, LSM_SHARE_WRITER, 0, NULL), LSM_OK);
    lsm_share_set_undecided(a, 0);
    assert_true(lsm_share_undecided(b) == 0);
    lsm_share_clear_undecided(b, 8);
    assert_true(lsm_share_undecided(a) == 0);
    lsm_share_set_undecided(a, 800);
    lsm_share_clear_undecided(b, 0);
    assert_true(lsm_share_undecided(b) == 800);
    lsm_share_clear_undecided(b, 800);
    assert_true(lsm_share_undecided(a) == UINT64_MAX);
    lsm_share_set_undecided(a, 900);
    lsm_share_set_undecided(a, UINT64_MAX);
    assert_true(lsm_share_undecided(b) == UINT64_MAX);
    lsm_share_unlock(a, LSM_SHARE_WRITER);
    assert_false(lsm_share_failed(b));
    lsm_share_set_failed(a);
    assert_true(lsm_share_failed(b));
    uint64_t beats = lsm_share_beats(b, LSM_SHARE_MERGE);
    lsm_share_beat(a, LSM_SHARE_MERGE);
    assert_true(lsm_share_beats(b, LSM_SHARE_MERGE) == beats + 1 && lsm_share_beats(b, LSM_SHARE_FLUSH) == 0);
}

static void versions_numbers_and_positions_never_go_back(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *share = fixture_open(fixture, 0);
    assert_true(lsm_share_version_id(2, 0) > lsm_share_version_id(1, ((uint64_t)1 << 36) - 1));
    fixture_set_version(share, 30);
    fixture_set_version(share, 20);
    assert_true(lsm_share_version(share) == 30);
    lsm_share_raise_next_file(share, 9);
    lsm_share_raise_next_file(share, 4);
    assert_true(lsm_share_peek_next_file(share) == 9);
    lsm_share_set_synced(share, 7);
    lsm_share_set_synced(share, 6);
    assert_true(lsm_share_synced(share) == 7);
}

/* ---- reports -------------------------------------------------------------------------------- */

static void the_list_shows_who_lives_and_what_they_pin_since_when(void **state) {
    struct fixture *fixture = *state;
    struct lsm_share *a = fixture_open(fixture, 0), *b = fixture_open(fixture, 1);
    struct lsm_share_pin pins[3];
    struct lsm_share_process *list;
    size_t count;
    (void)fixture_open(fixture, 2);
    lsm_env_mem_set_clock(fixture->disk, 5000000);
    assert_true(lsm_share_pin(b, 10, &pins[0]));
    lsm_env_mem_set_clock(fixture->disk, 6000000);
    assert_true(lsm_share_pin(b, 10, &pins[1]));
    fixture_set_version(a, 20);
    assert_true(lsm_share_pin(b, 20, &pins[2]));
    fixture_kill(fixture, 2);
    assert_int_equal(lsm_share_list(a, &list, &count, NULL), LSM_OK);
    assert_int_equal(count, 2);
    assert_true(list[0].own && list[0].pinned == 0 && list[0].versions_count == 0 && list[0].oldest_us == 0);
    assert_true(!list[1].own && list[1].pinned == 3 && list[1].versions_count == 2 && list[1].oldest_us == 5000000);
    assert_true(list[1].versions[0].version == 10 && list[1].versions[1].version == 20 && list[1].versions[1].since_us == 6000000);
    assert_false(list[1].versions[1].and_later);
    assert_string_equal(list[1].name, "test");
    assert_true(list[1].pid != 0 && list[1].opened_at_us >= 1000000 && list[1].opened_at_us < 5000000);
    lsm_free(list);
    for (int i = 0; i < 3; i++) lsm_share_unpin(b, &pins[i]);
    lsm_mem_fail_after(1, false);
    assert_int_equal(lsm_share_list(a, &list, &count, NULL), LSM_NOMEM);
    lsm_mem_fail_after(0, false);
}

/* ---- threads -------------------------------------------------------------------------------- */

/* Two processes of two threads each pin, a third one removes: a file that a pin keeps must be there until the pin goes. Files are flags:
 * alive[v] is the file that version v brought and version v + 1 dropped. */
enum { STRESS_VERSIONS = 3000 };

struct stress {
    struct lsm_share *share;
    _Atomic bool *alive;
    bool removes;
    uint64_t pinned, lost;
};

static void stress_read(struct stress *stress) {
    struct lsm_share_pin pin;
    uint64_t version;
    while ((version = lsm_share_version(stress->share)) < STRESS_VERSIONS) {
        if (!lsm_share_pin(stress->share, version, &pin)) continue;
        stress->pinned++;
        for (int look = 0; look < 20; look++)
            if (!stress->alive[version]) stress->lost++;
        lsm_share_unpin(stress->share, &pin);
    }
}

static void stress_remove(struct stress *stress) {
    uint64_t lowest = 10;
    for (uint64_t version = 10; version < STRESS_VERSIONS; version++) {
        stress->alive[version + 1] = true;
        fixture_set_version(stress->share, version + 1);
        for (uint64_t v = lowest; v <= version; v++)
            if (stress->alive[v] && lsm_share_may_remove(stress->share, v, v + 1)) stress->alive[v] = false;
        while (lowest <= version && !stress->alive[lowest]) lowest++;
    }
}

static void stress_run(void *arg) {
    struct stress *stress = arg;
    if (stress->removes)
        stress_remove(stress);
    else
        stress_read(stress);
}

static void threads_of_several_processes_never_lose_what_they_pin(void **state) {
    struct fixture *fixture = *state;
    static _Atomic bool alive[STRESS_VERSIONS + 2];
    struct lsm_thread threads[5];
    struct stress stress[5];
    uint64_t pinned = 0;
    for (size_t v = 0; v <= STRESS_VERSIONS; v++) alive[v] = v == 10;
    struct lsm_share *shares[3] = {fixture_open(fixture, 0), fixture_open(fixture, 1), fixture_open(fixture, 2)};
    for (int i = 0; i < 5; i++) {
        stress[i] = (struct stress){.share = shares[i / 2], .alive = alive, .removes = i == 4};
        assert_int_equal(lsm_thread_start(&threads[i], "stress", stress_run, &stress[i]), LSM_OK);
    }
    for (int i = 0; i < 5; i++) lsm_thread_join(&threads[i]);
    for (int i = 0; i < 5; i++) {
        assert_true(stress[i].lost == 0);
        pinned += stress[i].pinned;
    }
    printf("%llu pins of %d versions\n", (unsigned long long)pinned, STRESS_VERSIONS);
    assert_true(lsm_share_may_remove(shares[0], 0, STRESS_VERSIONS));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pin_keeps_what_its_version_names_and_nothing_else),
        TEST(what_no_published_version_has_dropped_may_not_be_removed),
        TEST(only_the_present_version_can_be_pinned),
        TEST(a_pin_that_came_too_late_is_taken_back),
        TEST(a_place_that_is_being_moved_takes_no_pin_of_its_old_version),
        TEST(a_place_that_goes_back_to_an_old_version_takes_no_pin_of_the_present_one),
        TEST(two_threads_that_pin_a_new_version_at_once_share_its_place),
        TEST(pins_of_one_version_are_counted),
        TEST(more_pins_than_places_pin_everything_from_the_oldest_of_them_on),
        TEST(what_the_dead_pinned_may_go_and_their_slots_are_used_again),
        TEST(a_slot_reused_before_anybody_looked_is_clean),
        TEST(a_trace_outlives_who_dies_taking_the_slot),
        TEST(the_hundred_and_twenty_first_process_is_refused),
        TEST(numbers_in_the_making_bound_what_is_a_leftover),
        TEST(no_file_has_the_number_0),
        TEST(more_jobs_than_places_are_answered_for_by_the_first),
        TEST(an_undecided_transaction_is_forgotten_by_its_own_position_only),
        TEST(versions_numbers_and_positions_never_go_back),
        TEST(the_list_shows_who_lives_and_what_they_pin_since_when),
        TEST(threads_of_several_processes_never_lose_what_they_pin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
