/* env_mem_kit.h: what the tests of the strict file system share: files that hold one byte many times, and what a crash leaves of them. */
#ifndef TEST_ENV_MEM_KIT_H
#define TEST_ENV_MEM_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../lsm_core/env/env_mem.h"

#define RW_CREATE (LSM_OPEN_WRITE | LSM_OPEN_CREATE)

static inline int set_up(void **state) {
    *state = lsm_env_mem_new_strict();
    return *state == NULL;
}

static inline int tear_down(void **state) {
    lsm_env_mem_free(*state);
    return lsm_mem_live() == 0 ? 0 : -1;
}

static inline struct lsm_file *open_ok(struct lsm_env *env, const char *path, unsigned flags) {
    struct lsm_file *file;
    struct lsm_error err = {0};
    if (lsm_env_open(env, path, flags, NULL, &file, &err) != LSM_OK) fail_msg("%s", err.text);
    return file;
}

static inline void write_ok(struct lsm_file *file, uint64_t offset, int byte, size_t size) {
    uint8_t *bytes = lsm_malloc(size);
    memset(bytes, byte, size);
    assert_int_equal(lsm_file_write_at(file, offset, bytes, size, NULL), LSM_OK);
    lsm_free(bytes);
}

/* A file of size bytes, its name durable, its data if synced. */
static inline struct lsm_file *file_with(struct lsm_env *env, const char *path, int byte, size_t size, bool synced) {
    struct lsm_file *file = open_ok(env, path, RW_CREATE);
    write_ok(file, 0, byte, size);
    if (synced) assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
    assert_int_equal(lsm_env_sync_dir(env, "/", NULL), LSM_OK);
    return file;
}

static inline struct lsm_env *crashed(struct lsm_env *env, enum lsm_crash_mode mode, uint64_t seed) {
    struct lsm_env *clone = lsm_env_mem_clone_crashed(env, mode, seed);
    assert_non_null(clone);
    return clone;
}

static inline bool exists(struct lsm_env *env, const char *path) {
    bool found;
    assert_int_equal(lsm_env_exists(env, path, &found, NULL), LSM_OK);
    return found;
}

/* The first byte and the size of a file; '-' and 0 if there is none. */
static inline int first_byte(struct lsm_env *env, const char *path, size_t *size) {
    uint8_t *bytes;
    if (lsm_env_mem_read_file(env, path, &bytes, size) != LSM_OK) return '-';
    int byte = *size > 0 ? bytes[0] : 0;
    lsm_free(bytes);
    return byte;
}

static inline void expect_file(struct lsm_env *env, const char *path, int byte, size_t size) {
    size_t found;
    assert_int_equal(first_byte(env, path, &found), byte);
    assert_int_equal(found, size);
}

#endif
