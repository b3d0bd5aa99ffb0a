/* base.h: status, memory, byte buffers and slices: what every layer above uses. */
#ifndef LSM_BASE_BASE_H
#define LSM_BASE_BASE_H

#include <string.h>

#include "../lsm.h"

/* A function for what seldom happens: kept out of its callers, so that these stay short. */
#define LSM_RARE __attribute__((noinline, cold))

/* ---- errors --------------------------------------------------------------------------------------------------- */

/* Fill err (if not NULL) and return status, so that `return lsm_fail(err, LSM_CORRUPT, "%s: ...", path);` reads well. */
int lsm_fail(struct lsm_error *err, int status, const char *format, ...) LSM_PRINTF(3, 4) LSM_MUST_CHECK;
/* The same for running out of memory: names what was wanted. */
int lsm_fail_nomem(struct lsm_error *err, size_t bytes) LSM_MUST_CHECK;

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* The engine's only callers of malloc. NULL if out of memory; tests make the N-th call fail. lsm_free() is in lsm.h. */
void *lsm_malloc(size_t bytes) __attribute__((malloc, alloc_size(1)));
void *lsm_calloc(size_t count, size_t bytes);
void *lsm_realloc(void *memory, size_t bytes);
/* NULL-terminated copy. */
char *lsm_strdup(const char *text);
/* Memory that will be written soon, page after page: have all its whole pages given by the system now, in one call, and not in a fault for each. A hint:
 * nothing changes in the bytes, and where it fails all is as without it. */
void lsm_prefault(void *memory, size_t bytes);

/* Tests: the n-th allocation from now fails (1 is the next), and with sticky every later one. 0 switches it off. */
void lsm_mem_fail_after(int64_t n, bool sticky);
/* Allocations made since the process started, and those not yet freed. Kept exactly; threads welcome. */
uint64_t lsm_mem_calls(void);
int64_t lsm_mem_live(void);

/* ---- slices --------------------------------------------------------------------------------------------------- */

static inline struct lsm_slice lsm_slice_of(const void *data, size_t size) { return (struct lsm_slice){.data = data, .size = size}; }

/* memcmp order, the shorter first on a tie: <0, 0, >0. */
static inline int lsm_slice_compare(struct lsm_slice a, struct lsm_slice b) {
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

static inline bool lsm_slice_equal(struct lsm_slice a, struct lsm_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Length of the longest common prefix. */
static inline size_t lsm_slice_common(struct lsm_slice a, struct lsm_slice b) {
    size_t limit = a.size < b.size ? a.size : b.size, i = 0;
    while (i < limit && a.data[i] == b.data[i]) i++;
    return i;
}

/* ---- growable bytes ------------------------------------------------------------------------------------------- */

/* Owns data. Zero-initialise. Appending either succeeds or returns LSM_NOMEM and changes nothing. */
struct lsm_buf {
    uint8_t *data;
    size_t size, capacity;
};

void lsm_buf_free(struct lsm_buf *buf);                               /* leaves it empty and usable */
int lsm_buf_reserve(struct lsm_buf *buf, size_t more) LSM_MUST_CHECK; /* room for `more` bytes behind size */
int lsm_buf_append(struct lsm_buf *buf, const void *data, size_t size) LSM_MUST_CHECK;
int lsm_buf_set(struct lsm_buf *buf, struct lsm_slice bytes) LSM_MUST_CHECK; /* replaces the content */
static inline void lsm_buf_reset(struct lsm_buf *buf) { buf->size = 0; }     /* keeps the memory */
static inline struct lsm_slice lsm_buf_slice(const struct lsm_buf *buf) { return lsm_slice_of(buf->data, buf->size); }

/* ---- entries -------------------------------------------------------------------------------------------------- */

/* What is known of a key in one source. Stored in table files and memtables: never renumber. */
enum lsm_kind {
    LSM_KIND_PUT = 1,   /* the key has this value */
    LSM_KIND_DELETE = 2 /* tombstone: the key is not there, whatever older sources say */
};

/* A key inside the engine is the tree id, 4 bytes big-endian, followed by the caller's bytes ("full key"). */
#define LSM_TREE_BYTES 4
/* Trees are 1 .. this: the number behind one bounds its keys from above, and is the next tree's. */
#define LSM_TREE_MAX (UINT32_MAX - 1)

#endif
