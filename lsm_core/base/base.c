#include "base.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Allocation counters. Relaxed: they are statistics and a test hook, they order nothing. */
static _Atomic uint64_t mem_calls;
static _Atomic int64_t mem_live;
static _Atomic int64_t mem_fail_at; /* 0: never */
static _Atomic bool mem_fail_sticky;

const char *lsm_status_name(int status) {
    static const char *const names[] = {"LSM_OK",     "LSM_NOMEM",         "LSM_IO",       "LSM_FULL",        "LSM_CORRUPT",
                                        "LSM_BUSY",   "LSM_BUSY_SNAPSHOT", "LSM_NOTFOUND", "LSM_MISUSE",      "LSM_READONLY",
                                        "LSM_TOOBIG", "LSM_UNSUPPORTED",   "LSM_MISMATCH", "LSM_INTERRUPTED", "LSM_UNDECIDED"};
    if (status > 0 || status <= -(int)(sizeof names / sizeof names[0])) return "LSM_UNKNOWN";
    return names[-status];
}

int lsm_fail(struct lsm_error *err, int status, const char *format, ...) {
    if (err != NULL) {
        va_list args;
        err->code = status;
        err->os_errno = 0;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}

int lsm_fail_nomem(struct lsm_error *err, size_t bytes) { return lsm_fail(err, LSM_NOMEM, "out of memory (%zu bytes wanted)", bytes); }

/* True if this allocation is the one a test wants to fail. */
static bool mem_must_fail(void) {
    (void)atomic_fetch_add_explicit(&mem_calls, 1, memory_order_relaxed);
    if (atomic_load_explicit(&mem_fail_at, memory_order_relaxed) == 0) return false;
    int64_t left = atomic_fetch_sub_explicit(&mem_fail_at, 1, memory_order_relaxed);
    if (left > 1) return false;
    /* The counter must not reach 0 ("off") while failing is sticky. */
    atomic_store_explicit(&mem_fail_at, atomic_load_explicit(&mem_fail_sticky, memory_order_relaxed) ? 1 : 0, memory_order_relaxed);
    return left == 1;
}

void *lsm_malloc(size_t bytes) {
    if (mem_must_fail()) return NULL;
    void *memory = malloc(bytes == 0 ? 1 : bytes);
    if (memory != NULL) (void)atomic_fetch_add_explicit(&mem_live, 1, memory_order_relaxed); /* LCOV_EXCL_BR_LINE: malloc() without memory */
    return memory;
}

void *lsm_calloc(size_t count, size_t bytes) {
    if (mem_must_fail()) return NULL;
    void *memory = calloc(count == 0 ? 1 : count, bytes == 0 ? 1 : bytes);
    if (memory != NULL) (void)atomic_fetch_add_explicit(&mem_live, 1, memory_order_relaxed); /* LCOV_EXCL_BR_LINE: malloc() without memory */
    return memory;
}

void *lsm_realloc(void *memory, size_t bytes) {
    if (memory == NULL) return lsm_malloc(bytes);
    if (mem_must_fail()) return NULL;
    return realloc(memory, bytes == 0 ? 1 : bytes);
}

char *lsm_strdup(const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = lsm_malloc(bytes);
    if (copy != NULL) memcpy(copy, text, bytes);
    return copy;
}

void lsm_free(void *memory) {
    if (memory == NULL) return;
    (void)atomic_fetch_sub_explicit(&mem_live, 1, memory_order_relaxed);
    free(memory);
}

void lsm_prefault(void *memory, size_t bytes) {
#ifdef MADV_POPULATE_WRITE /* Linux 5.14 */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)memory + page - 1) / page * page,
              to = ((uintptr_t)memory + bytes) / page * page;
    if (from < to) (void)madvise((uint8_t *)memory + (from - (uintptr_t)memory), to - from, MADV_POPULATE_WRITE);
#else
    (void)memory;
    (void)bytes;
#endif
}

void lsm_mem_fail_after(int64_t n, bool sticky) {
    atomic_store_explicit(&mem_fail_sticky, sticky, memory_order_relaxed);
    atomic_store_explicit(&mem_fail_at, n, memory_order_relaxed);
}

uint64_t lsm_mem_calls(void) { return atomic_load_explicit(&mem_calls, memory_order_relaxed); }

int64_t lsm_mem_live(void) { return atomic_load_explicit(&mem_live, memory_order_relaxed); }

void lsm_buf_free(struct lsm_buf *buf) {
    lsm_free(buf->data);
    *buf = (struct lsm_buf){0};
}

int lsm_buf_reserve(struct lsm_buf *buf, size_t more) {
    if (more <= buf->capacity - buf->size) return LSM_OK;
    if (more > SIZE_MAX / 2 - buf->size) return LSM_NOMEM;
    size_t capacity = buf->capacity < 64 ? 64 : buf->capacity;
    while (capacity < buf->size + more) capacity += capacity / 2;
    uint8_t *data = lsm_realloc(buf->data, capacity);
    if (data == NULL) return LSM_NOMEM;
    buf->data = data;
    buf->capacity = capacity;
    return LSM_OK;
}

int lsm_buf_append(struct lsm_buf *buf, const void *data, size_t size) {
    if (size == 0) return LSM_OK;
    int status = lsm_buf_reserve(buf, size);
    if (status != LSM_OK) return status;
    memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    return LSM_OK;
}

int lsm_buf_set(struct lsm_buf *buf, struct lsm_slice bytes) {
    int status = bytes.size > buf->size ? lsm_buf_reserve(buf, bytes.size - buf->size) : LSM_OK;
    if (status != LSM_OK) return status;
    buf->size = 0;
    return lsm_buf_append(buf, bytes.data, bytes.size);
}
