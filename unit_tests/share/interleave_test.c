/* The sharing protocol in every order that a few preemptions, kills and stops can make of its steps.
 *
 * A small store stands in for the real one: `manifest` is what a manifest file would hold (which table files each version names, the last one perhaps
 * not announced yet because its author died), `log` a file of numbered records, table files are empty files. Locks, page, slots, pins and files are
 * real.
 *
 * LSM_INTERLEAVE=n: n events where it is 2 otherwise, n - 1 where it is 1 (`make interleave`).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../lsm_core/env/filename.h"
#include "../../lsm_core/share/share.h"
#include "../support/interleave.h"

enum { VERSIONS = 48, RECORD = 8, PLENTY_US = 60000 };
#define DIR "store"

static const uint8_t store_id[LSM_STORE_ID_BYTES] = "interleaved";
static const struct lsm_env_perm perm = {.mode = 0600, .uid = -1, .gid = -1};

typedef void (*script_fn)(int process);

static struct world {
    script_fn scripts[INTERLEAVE_PROCESSES];
    unsigned opened; /* mask of processes whose scripts find the store open */
    bool dead_one;   /* a process has died and left a slot with a pin and a build */
    struct lsm_env *disk;
    struct lsm_env *env[INTERLEAVE_PROCESSES];
    struct lsm_share *share[INTERLEAVE_PROCESSES];
    struct lsm_env *dead_env;
    struct lsm_share *dead_share;
    /* What the manifest holds: version v names the files of bit mask named[v]. */
    uint64_t manifest, named[VERSIONS];
    /* What must hold. */
    int writer, manifest_writer, recovering;  /* the process inside, -1: none */
    unsigned present;                         /* mask of those that have joined and not left */
    uint64_t building[INTERLEAVE_PROCESSES];  /* mask of files made and not named yet */
    uint64_t acked;                           /* the log is acknowledged up to here */
    uint64_t published[INTERLEAVE_PROCESSES]; /* as last seen */
    uint64_t pinned[INTERLEAVE_PROCESSES];    /* version pinned for sure, 0: none */
} world;

static bool alive(int p) { return !interleave_killed(p); }

/* May this status come up in the life of a process that lives: only if somebody was stopped, and it waited for him in vain. */
static bool went_well(int p, int status, const struct lsm_error *err, const char *what) {
    bool excused = status == LSM_BUSY && interleave_stopped();
    INTERLEAVE_CHECK(p, status == LSM_OK || excused, "%s: %s", what, err->text);
    return status == LSM_OK && alive(p);
}

static char *path_of(enum lsm_file_type type, uint64_t number) {
    char *path = lsm_file_path(DIR, type, number);
    if (path == NULL) abort();
    return path;
}

static bool file_is_there(struct lsm_env *env, uint64_t number) {
    char *path = path_of(LSM_FILE_TABLE, number);
    bool exists = false;
    int status = lsm_env_exists(env, path, &exists, NULL);
    lsm_free(path);
    return status == LSM_OK && exists;
}

static bool make_file(struct lsm_env *env, uint64_t number) {
    struct lsm_file *file = NULL;
    char *path = path_of(LSM_FILE_TABLE, number);
    int status = lsm_env_open(env, path, LSM_OPEN_WRITE | LSM_OPEN_CREATE | LSM_OPEN_EXCL, NULL, &file, NULL);
    lsm_file_close(file);
    lsm_free(path);
    return status == LSM_OK;
}

/* ---- the log -------------------------------------------------------------------------------- */

static struct lsm_file *open_log(struct lsm_env *env) {
    struct lsm_file *file = NULL;
    char *path = path_of(LSM_FILE_WAL, 1);
    int status = lsm_env_open(env, path, LSM_OPEN_READ | LSM_OPEN_WRITE | LSM_OPEN_CREATE, NULL, &file, NULL);
    lsm_free(path);
    return status == LSM_OK ? file : NULL;
}

/* Where whole records end, from a position on. */
static uint64_t scan_log(struct lsm_file *log, uint64_t from) {
    uint64_t record = 0;
    size_t got;
    while (lsm_file_read_at(log, from, &record, RECORD, &got, NULL) == LSM_OK && got == RECORD && record == from + 1) from += RECORD;
    return from;
}

static void see_published(int p) {
    uint64_t published = lsm_share_published(world.share[p]);
    INTERLEAVE_CHECK(p, published >= world.published[p], "published went back from %llu to %llu", (unsigned long long)world.published[p],
                     (unsigned long long)published);
    if (alive(p)) world.published[p] = published;
}

/* A transaction, by whoever holds WRITER. */
static void append(int p, struct lsm_file *log) {
    struct lsm_share *share = world.share[p];
    struct lsm_share_end end = lsm_share_log_end(share);
    if (end.died) {
        end.position = scan_log(log, lsm_share_published(share));
        lsm_share_append_end(share, end.position);
        lsm_share_publish(share, end.position);
    }
    uint64_t record = end.position + 1, known = scan_log(log, 0);
    INTERLEAVE_CHECK(p, known == end.position, "the log ends at %llu, the page says %llu", (unsigned long long)known,
                     (unsigned long long)end.position);
    lsm_share_append_begin(share);
    if (lsm_file_write_at(log, end.position, &record, RECORD, NULL) != LSM_OK) return;
    lsm_share_append_end(share, end.position + RECORD);
    lsm_share_publish(share, end.position + RECORD);
    if (alive(p)) world.acked = end.position + RECORD;
}

static void write_once(int p) {
    struct lsm_share *share = world.share[p];
    struct lsm_error err = {0};
    struct lsm_file *log = open_log(world.env[p]);
    int status = log == NULL ? LSM_IO : lsm_share_lock(share, LSM_SHARE_WRITER, PLENTY_US, &err);
    if (went_well(p, status, &err, "the writer's lock")) {
        INTERLEAVE_CHECK(p, world.writer < 0 || !alive(world.writer), "two writers at once");
        world.writer = p;
        append(p, log);
        if (alive(p)) world.writer = -1;
    }
    if (status == LSM_OK) lsm_share_unlock(share, LSM_SHARE_WRITER);
    see_published(p);
    lsm_file_close(log);
}

/* ---- table files -------------------------------------------------------------------------------- */

/* A look at the manifest: the step at which another one may come in between. */
static void step(int p) {
    bool exists;
    if (lsm_env_exists(world.env[p], DIR "/MANIFEST", &exists, NULL) != LSM_OK) return;
}

/* One record: the files of `add` come, those of `remove` go. False: nothing was written. */
static bool append_edit(int p, uint64_t add, uint64_t remove) {
    struct lsm_share *share = world.share[p];
    struct lsm_error err = {0};
    bool written = false;
    if (!went_well(p, lsm_share_lock(share, LSM_SHARE_MANIFEST, PLENTY_US, &err), &err, "the manifest's lock")) return false;
    INTERLEAVE_CHECK(p, world.manifest_writer < 0 || !alive(world.manifest_writer), "two at the manifest at once");
    world.manifest_writer = p;
    step(p);
    if (lsm_share_version(share) < world.manifest) lsm_share_set_version(share, world.manifest); /* its author died before he could say so */
    step(p);
    if (alive(p) && world.manifest + 1 < VERSIONS) {
        world.named[world.manifest + 1] = (world.named[world.manifest] | add) & ~remove;
        world.manifest++;
        world.building[p] &= ~add;
        written = true;
    }
    uint64_t version = world.manifest;
    step(p); /* the sync */
    if (written) lsm_share_set_version(share, version);
    if (alive(p)) world.manifest_writer = -1;
    lsm_share_unlock(share, LSM_SHARE_MANIFEST);
    return written && alive(p);
}

static void unlink_file(int p, uint64_t number) {
    char *path = path_of(LSM_FILE_TABLE, number);
    int status = lsm_env_unlink(world.env[p], path, NULL);
    lsm_free(path);
    if (status != LSM_OK) return;
    for (int q = 0; q < INTERLEAVE_PROCESSES; q++) {
        if (world.env[q] == NULL || !alive(q)) continue;
        INTERLEAVE_CHECK(p, (world.building[q] >> number & 1) == 0, "process %d removed file %llu, which %d is making", p, (unsigned long long)number,
                         q);
        INTERLEAVE_CHECK(p, world.pinned[q] == 0 || (world.named[world.pinned[q]] >> number & 1) == 0,
                         "process %d removed file %llu, which %d has pinned with version %llu", p, (unsigned long long)number, q,
                         (unsigned long long)world.pinned[q]);
    }
    INTERLEAVE_CHECK(p, (world.named[world.manifest] >> number & 1) == 0, "process %d removed file %llu of the present version", p,
                     (unsigned long long)number);
}

/* A flush and a merge in one: a new file comes, the oldest goes. */
static void build_once(int p) {
    struct lsm_share *share = world.share[p];
    struct lsm_share_build build;
    lsm_share_build_begin(share, &build);
    uint64_t number = lsm_share_next_file(share);
    uint64_t oldest = world.named[world.manifest] & (~world.named[world.manifest] + 1); /* as this process knows it now */
    bool made = number < 64 && make_file(world.env[p], number);
    INTERLEAVE_CHECK(p, made, "file %llu could not be made", (unsigned long long)number);
    if (made && alive(p)) world.building[p] |= (uint64_t)1 << number;
    INTERLEAVE_CHECK(p, file_is_there(world.env[p], number) || !alive(p), "file %llu is gone before it was named", (unsigned long long)number);
    bool written = made && append_edit(p, (uint64_t)1 << number, oldest);
    if (alive(p)) world.building[p] = 0;
    lsm_share_build_end(share, &build);
    if (!written || oldest == 0) return;
    uint64_t gone = (uint64_t)__builtin_ctzll(oldest), added = 1, removed;
    while (added < world.manifest && (world.named[added] & oldest) == 0) added++;
    for (removed = added; removed < world.manifest && (world.named[removed] & oldest) != 0;) removed++;
    if (lsm_share_may_remove(share, added, removed)) unlink_file(p, gone);
}

static void read_once(int p) {
    struct lsm_share *share = world.share[p];
    struct lsm_share_pin pin = {0};
    for (int round = 0; alive(p) && !lsm_share_pin(share, lsm_share_version(share), &pin); round++)
        INTERLEAVE_CHECK(p, round < 20, "no version can be pinned");
    if (alive(p)) world.pinned[p] = pin.version;
    for (int look = 0; look < 2; look++) {
        uint64_t files = pin.version == 0 ? 0 : world.named[pin.version];
        for (; files != 0; files &= files - 1) {
            uint64_t number = (uint64_t)__builtin_ctzll(files);
            INTERLEAVE_CHECK(p, file_is_there(world.env[p], number) || !alive(p), "file %llu of the pinned version %llu is gone",
                             (unsigned long long)number, (unsigned long long)pin.version);
        }
    }
    if (alive(p)) world.pinned[p] = 0;
    lsm_share_unpin(share, &pin);
    see_published(p);
}

/* Leftovers of the dead, and what readers have let go. */
static void sweep_once(int p) {
    struct lsm_share *share = world.share[p];
    struct lsm_names names = {0};
    if (lsm_share_lock(share, LSM_SHARE_SWEEP, 0, NULL) != LSM_OK) return;
    uint64_t bound = lsm_share_build_bound(share), number;
    step(p);
    uint64_t version = world.manifest, named = world.named[version];
    if (lsm_env_list(world.env[p], DIR, &names, NULL) != LSM_OK) names.count = 0;
    for (size_t i = 0; i < names.count; i++)
        if (lsm_file_parse(names.names[i], &number) == LSM_FILE_TABLE && number < bound && (named >> number & 1) == 0 &&
            lsm_share_may_remove(share, 0, version))
            unlink_file(p, number);
    lsm_names_free(&names);
    lsm_share_unlock(share, LSM_SHARE_SWEEP);
}

/* ---- opening and closing -------------------------------------------------------------------------------- */

static unsigned others_present(int p) {
    unsigned others = world.present & ~(1u << p);
    for (int q = 0; q < INTERLEAVE_PROCESSES; q++)
        if (!alive(q)) others &= ~(1u << q);
    return others;
}

/* What the first one does: the numbers from the files, and away with what nobody names. */
static void recover(int p, struct lsm_share *share, struct lsm_env *env) {
    struct lsm_names names = {0};
    struct lsm_file *log = open_log(env);
    uint64_t end = log == NULL ? 0 : scan_log(log, 0), number;
    lsm_file_close(log);
    lsm_share_append_end(share, end);
    lsm_share_publish(share, end);
    lsm_share_set_version(share, world.manifest);
    if (lsm_env_list(env, DIR, &names, NULL) != LSM_OK) names.count = 0;
    lsm_share_raise_next_file(share, 1);
    for (size_t i = 0; i < names.count; i++) {
        if (lsm_file_parse(names.names[i], &number) != LSM_FILE_TABLE) continue;
        lsm_share_raise_next_file(share, number + 1);
        if (p >= 0 && (world.named[world.manifest] >> number & 1) == 0) unlink_file(p, number);
    }
    lsm_names_free(&names);
}

static bool open_once(int p) {
    struct lsm_share_options options = {.env = world.env[p], .dir = DIR, .perm = &perm, .store_id = store_id, .timeout_us = PLENTY_US};
    struct lsm_error err = {0};
    struct lsm_share *share = NULL;
    int status = lsm_share_join(&options, &share, &err);
    world.share[p] = share;
    if (!went_well(p, status, &err, "opening")) return false;
    if (lsm_share_is_first(share)) {
        INTERLEAVE_CHECK(p, others_present(p) == 0, "process %d is the first one, though others (%u) are there", p, others_present(p));
        world.recovering = p;
        world.present |= 1u << p;
        recover(p, share, world.env[p]);
        if (alive(p)) world.recovering = -1;
    } else {
        INTERLEAVE_CHECK(p, world.recovering < 0 || !alive(world.recovering), "process %d is in while another one recovers", p);
        world.present |= 1u << p;
        read_once(p); /* the manifest */
    }
    return went_well(p, lsm_share_ready(share, &err), &err, "opening");
}

static void close_once(int p) {
    if (world.share[p] == NULL) return;
    if (lsm_share_leave(world.share[p], PLENTY_US))
        INTERLEAVE_CHECK(p, others_present(p) == 0, "process %d is the last one, though others are there", p);
    if (alive(p)) world.present &= ~(1u << p);
    lsm_share_free(world.share[p]);
    world.share[p] = NULL;
}

/* ---- a run -------------------------------------------------------------------------------- */

/* A process that dies with a file half made, a version pinned, and writing, before the others start. */
static void leave_a_dead_one(void) {
    struct lsm_share_options options = {.env = world.dead_env, .dir = DIR, .perm = &perm, .store_id = store_id, .timeout_us = PLENTY_US};
    struct lsm_share_build build;
    struct lsm_share_pin pin = {0};
    if (lsm_share_join(&options, &world.dead_share, NULL) != LSM_OK || lsm_share_ready(world.dead_share, NULL) != LSM_OK) abort();
    lsm_share_build_begin(world.dead_share, &build);
    if (!make_file(world.dead_env, lsm_share_next_file(world.dead_share))) abort();
    if (!lsm_share_pin(world.dead_share, lsm_share_version(world.dead_share), &pin)) abort();
    if (lsm_share_lock(world.dead_share, LSM_SHARE_WRITER, 0, NULL) != LSM_OK) abort();
    lsm_share_append_begin(world.dead_share);
    lsm_env_mem_kill(world.dead_env);
    lsm_share_unpin(world.dead_share, &pin);
    lsm_share_unlock(world.dead_share, LSM_SHARE_WRITER);
    lsm_share_free(world.dead_share);
    world.dead_share = NULL;
}

static struct lsm_env *begin(void *arg) {
    (void)arg;
    struct world kept = world;
    memset(&world, 0, sizeof world);
    memcpy(world.scripts, kept.scripts, sizeof world.scripts);
    world.opened = kept.opened;
    world.dead_one = kept.dead_one;
    world.writer = world.manifest_writer = world.recovering = -1;
    world.disk = lsm_env_mem_new();
    world.manifest = 1;
    world.named[1] = 3u << 1; /* files 1 and 2 */
    if (world.disk == NULL) return NULL;
    lsm_env_mem_set_clock(world.disk, 1000000);
    world.dead_env = lsm_env_mem_process(world.disk);
    if (world.dead_env == NULL || lsm_env_mkdir(world.disk, DIR, NULL, NULL) != LSM_OK) abort();
    if (!make_file(world.disk, 1) || !make_file(world.disk, 2)) abort();
    return world.disk;
}

static void start(void *arg, int p, struct lsm_env *env) {
    (void)arg;
    world.env[p] = env;
    if ((world.opened >> p & 1) != 0 && !open_once(p)) abort();
    if (world.dead_one && p == 0) leave_a_dead_one();
}

static void run(void *arg, int p) {
    (void)arg;
    world.scripts[p](p);
}

/* Nothing is lost, nothing is left over. */
static void check_files(struct lsm_env *env) {
    struct lsm_names names = {0};
    uint64_t number, there = 0;
    if (lsm_env_list(env, DIR, &names, NULL) != LSM_OK) names.count = 0;
    for (size_t i = 0; i < names.count; i++)
        if (lsm_file_parse(names.names[i], &number) == LSM_FILE_TABLE) there |= (uint64_t)1 << number;
    lsm_names_free(&names);
    if (there != world.named[world.manifest])
        interleave_fail("the files are %llx, those named %llx", (unsigned long long)there, (unsigned long long)world.named[world.manifest]);
}

/* One that is still there puts everything in order. */
static void check_survivor(int p) {
    struct lsm_share_process *list;
    size_t count;
    write_once(p);
    (void)append_edit(p, 0, 0); /* announces what a dead one has written */
    sweep_once(p);
    check_files(world.env[p]);
    if (lsm_share_build_bound(world.share[p]) != lsm_share_peek_next_file(world.share[p])) interleave_fail("a dead process is still building");
    if (lsm_share_list(world.share[p], &list, &count, NULL) != LSM_OK) abort();
    if (count != 1 + (size_t)__builtin_popcount(others_present(p))) interleave_fail("%zu processes are listed", count);
    lsm_free(list);
}

/* Afterwards the next one finds a store to recover, and all that was acknowledged. */
static void check_next(void) {
    struct lsm_share_options options = {.env = world.disk, .dir = DIR, .perm = &perm, .store_id = store_id, .timeout_us = PLENTY_US};
    struct lsm_error err = {0};
    struct lsm_share *share = NULL;
    if (lsm_share_join(&options, &share, &err) != LSM_OK) {
        interleave_fail("opened again: %s", err.text);
        return;
    }
    if (!lsm_share_is_first(share)) interleave_fail("somebody is still there");
    recover(-1, share, world.disk);
    if (lsm_share_published(share) < world.acked) interleave_fail("records are lost");
    lsm_share_free(share);
}

static void end(void *arg) {
    (void)arg;
    bool survivor = false;
    for (int p = 0; p < INTERLEAVE_PROCESSES && !survivor; p++) {
        survivor = world.share[p] != NULL && alive(p) && (world.present >> p & 1) != 0;
        if (survivor) check_survivor(p);
    }
    for (int p = 0; p < INTERLEAVE_PROCESSES; p++) lsm_share_free(world.share[p]);
    lsm_env_mem_free(world.dead_env);
    check_next();
}

/* ---- scripts -------------------------------------------------------------------------------- */

static void open_and_close(int p) {
    if (open_once(p)) see_published(p);
    close_once(p);
}

static void write_twice(int p) {
    write_once(p);
    write_once(p);
}

static void read_twice(int p) {
    read_once(p);
    read_once(p);
}

static void build_twice(int p) {
    build_once(p);
    build_once(p);
}

static void open_and_read(int p) {
    if (open_once(p)) read_once(p);
    close_once(p);
}

static void open_and_stay(int p) {
    if (open_once(p)) read_once(p);
}

static void open_and_write(int p) {
    if (open_once(p)) write_once(p);
}

static void whole_life(int p) {
    if (open_once(p)) {
        write_once(p);
        build_once(p);
        read_once(p);
        sweep_once(p);
    }
    close_once(p);
}

/* ---- cases -------------------------------------------------------------------------------- */

struct kind_of_case {
    script_fn scripts[INTERLEAVE_PROCESSES];
    unsigned opened;
    bool dead_one;
    int processes, events;
};

static void try_all(const char *name, const struct kind_of_case *kind) {
    const char *wanted = getenv("LSM_INTERLEAVE");
    int more = wanted == NULL ? 0 : atoi(wanted) - 2;
    struct interleave_case all = {.name = name,
                                  .processes = kind->processes,
                                  .events_max = kind->events + (more > 0 ? more : 0),
                                  .kills = true,
                                  .stops = true,
                                  .begin = begin,
                                  .start = start,
                                  .run = run,
                                  .end = end};
    struct interleave_counts counts;
    if (all.events_max > INTERLEAVE_EVENTS) all.events_max = INTERLEAVE_EVENTS;
    memcpy(world.scripts, kind->scripts, sizeof world.scripts);
    world.opened = kind->opened;
    world.dead_one = kind->dead_one;
    int64_t live = lsm_mem_live();
    const char *wrong = interleave_all(&all, &counts);
    printf("%s: %llu schedules of up to %d events and %u steps: %llu switches, %llu kills, %llu stops\n", name, (unsigned long long)counts.schedules,
           all.events_max, counts.steps_max, (unsigned long long)counts.events[INTERLEAVE_SWITCH], (unsigned long long)counts.events[INTERLEAVE_KILL],
           (unsigned long long)counts.events[INTERLEAVE_STOP]);
    if (wrong != NULL) fail_msg("%s", wrong);
    assert_true(lsm_mem_live() == live);
}

#define CASE(name, ...)                                                                                                                              \
    static void name(void **state) {                                                                                                                 \
        static const struct kind_of_case kind = {__VA_ARGS__};                                                                                       \
        (void)state;                                                                                                                                 \
        try_all(#name, &kind);                                                                                                                       \
    }

CASE(two_that_open_and_close, .scripts = {open_and_close, open_and_close}, .processes = 2, .events = 2)
CASE(three_that_open_and_close, .scripts = {open_and_close, open_and_close, open_and_close}, .processes = 3, .events = 1)
CASE(two_writers, .scripts = {write_twice, write_twice}, .opened = 3, .processes = 2, .events = 2)
CASE(a_writer_and_one_that_opens, .scripts = {write_twice, open_and_close}, .opened = 1, .processes = 2, .events = 2)
CASE(a_reader_and_one_that_builds_and_removes, .scripts = {read_twice, build_twice}, .opened = 3, .processes = 2, .events = 2)
CASE(two_that_build_and_remove, .scripts = {build_twice, build_twice}, .opened = 3, .processes = 2, .events = 2)
CASE(one_that_builds_and_one_that_sweeps, .scripts = {build_once, sweep_once}, .opened = 3, .processes = 2, .events = 2)
CASE(one_that_sweeps_after_the_dead_and_one_that_takes_their_slot, .scripts = {sweep_once, open_and_read}, .opened = 1, .dead_one = true,
     .processes = 2, .events = 2)
CASE(one_that_removes_after_the_dead_and_one_that_takes_their_slot, .scripts = {build_twice, open_and_stay}, .opened = 1, .dead_one = true,
     .processes = 2, .events = 2)
CASE(one_that_writes_after_the_dead_and_one_that_takes_their_slot, .scripts = {write_twice, open_and_write}, .opened = 1, .dead_one = true,
     .processes = 2, .events = 2)
CASE(three_writers, .scripts = {write_once, write_once, write_once}, .opened = 7, .processes = 3, .events = 2)
CASE(two_whole_lives, .scripts = {whole_life, whole_life}, .processes = 2, .events = 1)
CASE(three_whole_lives, .scripts = {whole_life, whole_life, whole_life}, .processes = 3, .events = 1)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_that_open_and_close),
        cmocka_unit_test(three_that_open_and_close),
        cmocka_unit_test(two_writers),
        cmocka_unit_test(a_writer_and_one_that_opens),
        cmocka_unit_test(a_reader_and_one_that_builds_and_removes),
        cmocka_unit_test(two_that_build_and_remove),
        cmocka_unit_test(one_that_builds_and_one_that_sweeps),
        cmocka_unit_test(one_that_sweeps_after_the_dead_and_one_that_takes_their_slot),
        cmocka_unit_test(one_that_removes_after_the_dead_and_one_that_takes_their_slot),
        cmocka_unit_test(one_that_writes_after_the_dead_and_one_that_takes_their_slot),
        cmocka_unit_test(three_writers),
        cmocka_unit_test(two_whole_lives),
        cmocka_unit_test(three_whole_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
