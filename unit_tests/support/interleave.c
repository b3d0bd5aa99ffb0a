#include "interleave.h"

#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lsm_core/env/sync.h"
#include "../../lsm_core/share/share.h"

/* What could have happened at a step: the one that ran, and who else was there. */
struct step {
    uint8_t who, others; /* bit mask */
};

struct process {
    struct lsm_thread thread;
    struct lsm_env *env;
    sem_t go;
    bool done, killed, stopped;
};

/* One run. Only who has the turn touches it. */
static struct {
    const struct interleave_case *run;
    struct process process[INTERLEAVE_PROCESSES];
    sem_t over;
    bool quit;
    const struct interleave_event *events;
    int events_count, next_event;
    uint32_t steps_count;
    struct step steps[INTERLEAVE_STEPS];
    bool was_stopped;
    char failure[600];
    struct interleave_counts counts;
} now;

static _Thread_local int self = -1;

bool interleave_killed(int process) { return now.process[process].killed; }

bool interleave_stopped(void) { return now.was_stopped; }

void interleave_fail(const char *format, ...) {
    va_list args;
    if (now.failure[0] != '\0') return;
    va_start(args, format);
    (void)vsnprintf(now.failure, sizeof now.failure, format, args);
    va_end(args);
}

/* ---- taking turns -------------------------------------------------------------------------------- */

/* The next one after `from` that can run; -1: none but, perhaps, itself. */
static int next_after(int from) {
    for (int i = 1; i < now.run->processes; i++) {
        int other = (from + i) % now.run->processes;
        if (!now.process[other].done && !now.process[other].stopped) return other;
    }
    return -1;
}

static void wait_turn(int process) {
    while (sem_wait(&now.process[process].go) != 0) continue;
}

static void hand_over(int from, int to) {
    (void)sem_post(&now.process[to].go);
    wait_turn(from);
}

static void strike(int who, const struct interleave_event *event) {
    int other = -1;
    now.counts.events[event->kind]++;
    switch (event->kind) {
    case INTERLEAVE_SWITCH:
        if (!now.process[event->target].done) other = event->target;
        break;
    case INTERLEAVE_KILL:
        now.process[who].killed = true; /* it runs to its end, without effect on others */
        lsm_env_mem_kill(now.process[who].env);
        break;
    case INTERLEAVE_STOP:
        other = next_after(who);
        now.process[who].stopped = other >= 0;
        now.was_stopped |= other >= 0;
        break;
    case INTERLEAVE_KINDS: break;
    }
    if (other >= 0) hand_over(who, other);
}

/* The one that runs is before an operation or a look at the page. */
static void at_step(bool sleeps) {
    if (self < 0 || now.process[self].killed) return;
    if (now.steps_count >= INTERLEAVE_STEPS) {
        /* Let it end: without a disk nothing can be waited for. */
        interleave_fail("process %d: more than %d steps: somebody waits for ever", self, INTERLEAVE_STEPS);
        now.process[self].killed = true;
        lsm_env_mem_kill(now.process[self].env);
        return;
    }
    uint32_t number = now.steps_count++;
    struct step *step = &now.steps[number];
    *step = (struct step){.who = (uint8_t)self};
    for (int i = 0; i < now.run->processes; i++)
        if (i != self && !now.process[i].done && !now.process[i].stopped) step->others |= (uint8_t)(1 << i);
    if (now.next_event < now.events_count && now.events[now.next_event].step == number) {
        strike(self, &now.events[now.next_event++]);
    } else if (sleeps) {
        int other = next_after(self);
        if (other >= 0) hand_over(self, other);
    }
}

static void before_op(void *arg, struct lsm_env *env, enum lsm_env_op_kind kind, const char *path) {
    (void)arg;
    (void)env;
    (void)path;
    at_step(kind == LSM_ENV_SLEEP);
}

static void on_point(void *arg, struct lsm_share *share, const char *what) {
    (void)arg;
    (void)share;
    (void)what;
    at_step(false);
}

/* Pass the turn on; those who were stopped go on when nobody else is left. */
static void end_turn(int process) {
    now.process[process].done = true;
    int other = next_after(process);
    if (other < 0) {
        for (int i = 0; i < now.run->processes; i++) now.process[i].stopped = false;
        other = next_after(process);
    }
    (void)sem_post(other >= 0 ? &now.process[other].go : &now.over);
}

static void process_main(void *arg) {
    self = *(const int *)arg;
    for (;;) {
        wait_turn(self);
        if (now.quit) return;
        now.run->run(now.run->world, self);
        end_turn(self);
    }
}

/* ---- one schedule -------------------------------------------------------------------------------- */

static const char *describe(const char *what) {
    static char text[1000];
    static const char *const kinds[] = {"switch to", "kill", "stop"};
    int at = snprintf(text, sizeof text, "%s: %s; events:", now.run->name, what);
    for (int i = 0; i < now.events_count && at > 0 && (size_t)at < sizeof text; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, " {%u, %s, %d}", now.events[i].step, kinds[now.events[i].kind], now.events[i].target);
    return text;
}

static const char *run_schedule(const struct interleave_event *events, int count) {
    const struct interleave_case *run = now.run;
    now.events = events;
    now.events_count = count;
    now.next_event = 0;
    now.steps_count = 0;
    now.was_stopped = false;
    now.failure[0] = '\0';
    struct lsm_env *disk = run->begin(run->world);
    if (disk == NULL) return "no disk";
    for (int i = 0; i < run->processes; i++) {
        struct process *process = &now.process[i];
        process->done = process->killed = process->stopped = false;
        process->env = lsm_env_mem_process(disk);
        if (process->env == NULL) return "no process";
        run->start(run->world, i, process->env);
        lsm_env_mem_before_op(process->env, before_op, NULL);
    }
    lsm_share_on_point(on_point, NULL);
    (void)sem_post(&now.process[0].go);
    while (sem_wait(&now.over) != 0) continue;
    lsm_share_on_point(NULL, NULL);
    for (int i = 0; i < run->processes; i++) lsm_env_mem_before_op(now.process[i].env, NULL, NULL);
    run->end(run->world);
    for (int i = 0; i < run->processes; i++) lsm_env_mem_free(now.process[i].env);
    lsm_env_mem_free(disk);
    now.counts.schedules++;
    now.counts.steps += now.steps_count;
    if (now.steps_count > now.counts.steps_max) now.counts.steps_max = now.steps_count;
    if (now.failure[0] == '\0' && now.next_event < count) interleave_fail("the schedule does not repeat itself");
    return now.failure[0] == '\0' ? NULL : describe(now.failure);
}

/* ---- all of them -------------------------------------------------------------------------------- */

static bool is_sampled(int count) {
    static uint64_t random = 0x9e3779b97f4a7c15u;
    if (count < now.run->events_max || now.run->sample <= 1) return true;
    random = random * 6364136223846793005u + 1442695040888963407u;
    return (random >> 33) % now.run->sample == 0;
}

static const char *extend(struct interleave_event *events, int count, struct step *steps_left, uint32_t steps_room);

/* The schedule with one event more. */
static const char *try_event(struct interleave_event *events, int count, struct interleave_event event, struct step *steps, uint32_t room) {
    events[count] = event;
    return is_sampled(count + 1) ? extend(events, count + 1, steps, room) : NULL;
}

/* Run it, then with each event that can follow the last one. steps: where to keep what could happen, level for level. */
static const char *extend(struct interleave_event *events, int count, struct step *steps, uint32_t room) {
    const char *wrong = run_schedule(events, count);
    uint32_t first = count == 0 ? 0 : events[count - 1].step + 1, end = now.steps_count;
    if (wrong != NULL || count == now.run->events_max) return wrong;
    /* What others do while one is stopped is mostly waiting: nothing follows a stop. */
    if (count > 0 && events[count - 1].kind == INTERLEAVE_STOP) return NULL;
    if (end > room) return "too many steps";
    memcpy(steps, now.steps, end * sizeof *steps);
    for (uint32_t s = first; s < end && wrong == NULL; s++) {
        struct interleave_event event = {.step = s};
        for (int p = 0; p < now.run->processes && wrong == NULL; p++) {
            event.target = p;
            if ((steps[s].others >> p & 1) != 0) wrong = try_event(events, count, event, steps + end, room - end);
        }
        event.target = steps[s].who;
        event.kind = INTERLEAVE_KILL;
        if (wrong == NULL && now.run->kills) wrong = try_event(events, count, event, steps + end, room - end);
        event.kind = INTERLEAVE_STOP;
        if (wrong == NULL && now.run->stops && steps[s].others != 0) wrong = try_event(events, count, event, steps + end, room - end);
    }
    return wrong;
}

static const char *begin_threads(const struct interleave_case *run) {
    static const int numbers[INTERLEAVE_PROCESSES] = {0, 1, 2};
    memset(&now, 0, sizeof now);
    now.run = run;
    if (sem_init(&now.over, 0, 0) != 0) return "no semaphore";
    for (int i = 0; i < run->processes; i++) {
        if (sem_init(&now.process[i].go, 0, 0) != 0) return "no semaphore";
        if (lsm_thread_start(&now.process[i].thread, "process", process_main, (void *)(uintptr_t)&numbers[i]) != LSM_OK) return "no thread";
    }
    return NULL;
}

static void end_threads(void) {
    now.quit = true;
    for (int i = 0; i < now.run->processes; i++) {
        (void)sem_post(&now.process[i].go);
        lsm_thread_join(&now.process[i].thread);
        (void)sem_destroy(&now.process[i].go);
    }
    (void)sem_destroy(&now.over);
    for (int i = 0; i < now.run->processes; i++) now.process[i].killed = false;
    now.was_stopped = false;
}

const char *interleave_all(const struct interleave_case *run, struct interleave_counts *counts) {
    enum { ROOM = INTERLEAVE_STEPS * INTERLEAVE_EVENTS };
    struct interleave_event events[INTERLEAVE_EVENTS];
    struct step *steps = calloc(ROOM, sizeof *steps);
    const char *wrong = steps == NULL ? "no memory" : begin_threads(run);
    if (wrong == NULL) {
        wrong = extend(events, 0, steps, ROOM);
        end_threads();
    }
    free(steps);
    *counts = now.counts;
    return wrong;
}

const char *interleave_one(const struct interleave_case *run, const struct interleave_event *events, int count) {
    const char *wrong = begin_threads(run);
    if (wrong == NULL) {
        wrong = run_schedule(events, count);
        end_threads();
    }
    return wrong;
}
