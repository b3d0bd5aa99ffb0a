#include "env_mem_content.h"

#include <assert.h>
#include <stdatomic.h>

#define CHUNK_BYTES ((size_t)8192) /* small enough that a crash state costs little, large enough that the pointers do */

struct mem_chunk {
    _Atomic uint32_t refs;
    uint8_t bytes[CHUNK_BYTES];
};

/* Acquire and release: who finds himself alone with a chunk comes after all that others did with it. */
static void chunk_unref(struct mem_chunk *chunk) {
    if (chunk != NULL && atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) == 1) lsm_free(chunk);
}

static struct mem_chunk *chunk_new(void) {
    struct mem_chunk *chunk = lsm_malloc(sizeof *chunk);
    if (chunk != NULL) atomic_init(&chunk->refs, 1);
    return chunk;
}

/* Drop the chunks from index `keep` on. */
static void drop_chunks(struct mem_content *content, size_t keep) {
    for (size_t i = keep; i < content->count; i++) chunk_unref(content->chunks[i]);
    if (content->count > keep) content->count = keep;
}

void lsm_mem_content_release(struct mem_content *content) {
    drop_chunks(content, 0);
    lsm_free(content->chunks);
    *content = (struct mem_content){0};
}

int lsm_mem_content_copy(struct mem_content *to, const struct mem_content *from) {
    struct mem_content copy = {.size = from->size};
    if (from->count > 0) {
        copy.chunks = lsm_malloc(from->count * sizeof(struct mem_chunk *));
        if (copy.chunks == NULL) return LSM_NOMEM;
        copy.count = copy.capacity = from->count;
        for (size_t i = 0; i < from->count; i++) {
            copy.chunks[i] = from->chunks[i];
            if (copy.chunks[i] != NULL) (void)atomic_fetch_add_explicit(&copy.chunks[i]->refs, 1, memory_order_relaxed);
        }
    }
    lsm_mem_content_release(to);
    *to = copy;
    return LSM_OK;
}

static int reserve_chunks(struct mem_content *content, size_t count) {
    if (count <= content->count) return LSM_OK;
    if (count > content->capacity) {
        size_t capacity = content->capacity < 4 ? 4 : content->capacity * 2;
        while (capacity < count) capacity *= 2;
        struct mem_chunk **chunks = lsm_realloc(content->chunks, capacity * sizeof(struct mem_chunk *));
        if (chunks == NULL) return LSM_NOMEM;
        content->chunks = chunks;
        content->capacity = capacity;
    }
    while (content->count < count) content->chunks[content->count++] = NULL;
    return LSM_OK;
}

/* Make the chunk ours alone; it reads as before, so that running out of memory half way through a write changes nothing. */
static int own_chunk(struct mem_content *content, size_t index) {
    struct mem_chunk *old = content->chunks[index];
    if (old != NULL && atomic_load_explicit(&old->refs, memory_order_acquire) == 1) return LSM_OK;
    struct mem_chunk *chunk = chunk_new();
    if (chunk == NULL) return LSM_NOMEM;
    if (old != NULL)
        memcpy(chunk->bytes, old->bytes, CHUNK_BYTES);
    else
        memset(chunk->bytes, 0, CHUNK_BYTES);
    content->chunks[index] = chunk;
    chunk_unref(old);
    return LSM_OK;
}

int lsm_mem_content_write(struct mem_content *content, uint64_t offset, const void *bytes, size_t size) {
    const uint8_t *from = bytes;
    uint64_t end = offset + size;
    assert(end >= offset && end <= MEM_CONTENT_BYTES_MAX);
    if (size == 0) return LSM_OK;
    size_t first = (size_t)(offset / CHUNK_BYTES), last = (size_t)((end - 1) / CHUNK_BYTES);
    int status = reserve_chunks(content, last + 1);
    for (size_t i = first; status == LSM_OK && i <= last; i++) status = own_chunk(content, i);
    if (status != LSM_OK) return status;
    for (uint64_t at = offset; at < end;) {
        size_t within = (size_t)(at % CHUNK_BYTES), part = CHUNK_BYTES - within;
        if (part > end - at) part = (size_t)(end - at);
        memcpy(content->chunks[at / CHUNK_BYTES]->bytes + within, from, part);
        from += part;
        at += part;
    }
    if (end > content->size) content->size = end;
    return LSM_OK;
}

int lsm_mem_content_truncate(struct mem_content *content, uint64_t size) {
    assert(size <= MEM_CONTENT_BYTES_MAX);
    if (size < content->size) {
        size_t keep = (size_t)((size + CHUNK_BYTES - 1) / CHUNK_BYTES), within = (size_t)(size % CHUNK_BYTES);
        if (within != 0 && keep <= content->count && content->chunks[keep - 1] != NULL) {
            int status = own_chunk(content, keep - 1);
            if (status != LSM_OK) return status;
            memset(content->chunks[keep - 1]->bytes + within, 0, CHUNK_BYTES - within);
        }
        drop_chunks(content, keep);
    }
    content->size = size;
    return LSM_OK;
}

size_t lsm_mem_content_read(const struct mem_content *content, uint64_t offset, void *bytes, size_t size) {
    uint8_t *to = bytes;
    if (offset >= content->size) return 0;
    if (size > content->size - offset) size = (size_t)(content->size - offset);
    uint64_t end = offset + size;
    for (uint64_t at = offset; at < end;) {
        size_t index = (size_t)(at / CHUNK_BYTES), within = (size_t)(at % CHUNK_BYTES), part = CHUNK_BYTES - within;
        if (part > end - at) part = (size_t)(end - at);
        const struct mem_chunk *chunk = index < content->count ? content->chunks[index] : NULL;
        if (chunk != NULL)
            memcpy(to, chunk->bytes + within, part);
        else
            memset(to, 0, part);
        to += part;
        at += part;
    }
    return size;
}

int lsm_mem_content_copy_range(struct mem_content *to, const struct mem_content *from, uint64_t offset, uint64_t size) {
    uint8_t part[4096];
    while (size > 0) {
        size_t got = lsm_mem_content_read(from, offset, part, size < sizeof part ? (size_t)size : sizeof part);
        if (got == 0) return LSM_OK;
        int status = lsm_mem_content_write(to, offset, part, got);
        if (status != LSM_OK) return status;
        offset += got;
        size -= got;
    }
    return LSM_OK;
}
