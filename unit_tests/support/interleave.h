/* interleave.h: runs several simulated processes of one program in every order that a few preemptions, kills and stops can make.
 *
 * Each process is a thread with an environment of lsm_env_mem_process(). Only one runs at a time. Before every operation on its environment, and
 * before every access to the shared page (lsm_share_on_point), the one that runs is at a numbered step; there the schedule may say: go on with
 * another one, be killed, be stopped until all others are done. A process that sleeps lets another one run; nothing else is left to chance, so a
 * schedule can be run again.
 *
 *   interleave_all()   every schedule with up to events_max events, of which a stop is the last: none, then one at each step, and so on
 *
 * What is checked by a process while it runs says INTERLEAVE_CHECK(), which does nothing in one that was killed: what it thinks does not matter.
 */
#ifndef TEST_INTERLEAVE_H
#define TEST_INTERLEAVE_H

#include "../../lsm_core/env/env_mem.h"

enum { INTERLEAVE_PROCESSES = 3, INTERLEAVE_EVENTS = 4, INTERLEAVE_STEPS = 20000 };

enum interleave_kind { INTERLEAVE_SWITCH, INTERLEAVE_KILL, INTERLEAVE_STOP, INTERLEAVE_KINDS };

struct interleave_event {
    uint32_t step;
    enum interleave_kind kind;
    int target; /* of a switch */
};

struct interleave_case {
    const char *name;
    int processes;
    int events_max;
    bool kills, stops; /* besides switches */
    uint64_t sample;   /* run about one in so many of the schedules with events_max events; 0 and 1: all */
    void *world;
    struct lsm_env *(*begin)(void *world);                        /* a new disk, of which the processes are made */
    void (*start)(void *world, int process, struct lsm_env *env); /* before any of them runs, in the order of their numbers; not scheduled */
    void (*run)(void *world, int process);                        /* scheduled */
    void (*end)(void *world);                                     /* all have ended: last checks, close everything; not scheduled */
};

struct interleave_counts {
    uint64_t schedules, steps;
    uint64_t events[INTERLEAVE_KINDS]; /* that struck */
    uint32_t steps_max;
};

/* NULL, or what failed and in which schedule (static). */
const char *interleave_all(const struct interleave_case *run, struct interleave_counts *counts);
/* One schedule again. */
const char *interleave_one(const struct interleave_case *run, const struct interleave_event *events, int count);

/* ---- for begin, start, run and end ---- */

bool interleave_killed(int process);
/* Was any process stopped in this run: then others may have waited in vain. */
bool interleave_stopped(void);
/* Note the first failure; the run goes on. */
void interleave_fail(const char *format, ...) LSM_PRINTF(1, 2);
#define INTERLEAVE_CHECK(process, condition, ...)                                                                                                    \
    do {                                                                                                                                             \
        if (!interleave_killed(process) && !(condition)) interleave_fail(__VA_ARGS__);                                                               \
    } while (0)

#endif
