/* env_mem_content.h: the bytes of one file in memory, in chunks shared until written. Holes cost nothing and read as zeros.
 *
 * Threads: one content belongs to one thread at a time; contents that share chunks may be used by different ones.
 */
#ifndef LSM_ENV_ENV_MEM_CONTENT_H
#define LSM_ENV_ENV_MEM_CONTENT_H

#include "../base/base.h"

#define MEM_CONTENT_BYTES_MAX ((uint64_t)1 << 40)

struct mem_chunk;

/* Zero-initialise. Bytes of a chunk behind size are zero. */
struct mem_content {
    struct mem_chunk **chunks; /* NULL: a hole */
    size_t count, capacity;
    uint64_t size;
};

void lsm_mem_content_release(struct mem_content *content); /* leaves it empty and usable */
/* to: empty or of no interest, it is replaced. LSM_NOMEM: as before. */
int lsm_mem_content_copy(struct mem_content *to, const struct mem_content *from) LSM_MUST_CHECK;
/* offset + size at most MEM_CONTENT_BYTES_MAX. LSM_NOMEM: as before. */
int lsm_mem_content_write(struct mem_content *content, uint64_t offset, const void *bytes, size_t size) LSM_MUST_CHECK;
int lsm_mem_content_truncate(struct mem_content *content, uint64_t size) LSM_MUST_CHECK;
/* Returns how many bytes there are. */
size_t lsm_mem_content_read(const struct mem_content *content, uint64_t offset, void *bytes, size_t size);
/* Make to's bytes [offset, offset + size) those of from; behind from's end they stay. */
int lsm_mem_content_copy_range(struct mem_content *to, const struct mem_content *from, uint64_t offset, uint64_t size) LSM_MUST_CHECK;

#endif
