/* fixture.h: several processes of one store, as far as share/ goes, on one disk in memory. */
#ifndef TEST_SHARE_FIXTURE_H
#define TEST_SHARE_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "../../lsm_core/env/env_mem.h"
#include "../../lsm_core/share/share.h"

#define FIXTURE_DIR  "store"
#define FIXTURE_LOCK FIXTURE_DIR "/LOCK"
#define FIXTURE_SHM  FIXTURE_DIR "/SHM"

enum { FIXTURE_PROCESSES = 130 };

struct fixture_process {
    struct lsm_env *env;
    struct lsm_share *share;
    struct lsm_error err;
};

struct fixture {
    struct lsm_env *disk;
    struct fixture_process process[FIXTURE_PROCESSES];
};

static const uint8_t fixture_id[LSM_STORE_ID_BYTES] = "store of tests!";

static inline struct lsm_share_options fixture_options(struct fixture *fixture, int process) {
    static const struct lsm_env_perm perm = {.mode = 0600, .uid = -1, .gid = -1};
    struct fixture_process *p = &fixture->process[process];
    if (p->env == NULL) p->env = lsm_env_mem_process(fixture->disk);
    assert_non_null(p->env);
    return (struct lsm_share_options){
        .env = p->env, .dir = FIXTURE_DIR, .perm = &perm, .store_id = fixture_id, .process_name = "test", .timeout_us = 20000};
}

static inline int fixture_set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.disk = lsm_env_mem_new()};
    if (fixture.disk == NULL) return -1;
    lsm_env_mem_set_clock(fixture.disk, 1000000);
    *state = &fixture;
    return lsm_env_mkdir(fixture.disk, FIXTURE_DIR, NULL, NULL);
}

/* Join with these options; what comes of it. */
static inline int fixture_join_with(struct fixture *fixture, int process, const struct lsm_share_options *options) {
    struct fixture_process *p = &fixture->process[process];
    p->err = (struct lsm_error){0};
    int status = lsm_share_join(options, &p->share, &p->err);
    assert_true((status == LSM_OK) == (p->share != NULL));
    return status;
}

static inline int fixture_join(struct fixture *fixture, int process) {
    struct lsm_share_options options = fixture_options(fixture, process);
    return fixture_join_with(fixture, process, &options);
}

static inline struct lsm_share *fixture_open(struct fixture *fixture, int process) {
    struct fixture_process *p = &fixture->process[process];
    int status = fixture_join(fixture, process);
    if (status == LSM_OK && lsm_share_is_first(p->share)) {
        lsm_share_raise_next_file(p->share, 1);
        lsm_share_set_version(p->share, 10);
    }
    if (status == LSM_OK) status = lsm_share_ready(p->share, &p->err);
    if (status != LSM_OK) fail_msg("process %d: %s", process, p->err.text);
    return p->share;
}

static inline void fixture_close(struct fixture *fixture, int process) {
    struct fixture_process *p = &fixture->process[process];
    lsm_share_free(p->share);
    p->share = NULL;
}

/* Killed, its memory given back, and a new process in its place. */
static inline void fixture_kill(struct fixture *fixture, int process) {
    struct fixture_process *p = &fixture->process[process];
    lsm_env_mem_kill(p->env);
    fixture_close(fixture, process);
    lsm_env_mem_free(p->env);
    p->env = NULL;
}

static inline int fixture_tear_down(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < FIXTURE_PROCESSES; i++) fixture_close(fixture, i);
    for (int i = 0; i < FIXTURE_PROCESSES; i++) lsm_env_mem_free(fixture->process[i].env);
    lsm_env_mem_free(fixture->disk);
    return lsm_mem_live() == 0 ? 0 : -1;
}

/* With MANIFEST held, as a manifest append does. */
static inline void fixture_set_version(struct lsm_share *share, uint64_t version) {
    struct lsm_error err = {0};
    if (lsm_share_lock(share, LSM_SHARE_MANIFEST, 0, &err) != LSM_OK) fail_msg("%s", err.text);
    lsm_share_set_version(share, version);
    lsm_share_unlock(share, LSM_SHARE_MANIFEST);
}

#endif
