#include "compress.h"

#include <limits.h>
#include <lz4.h>
#include <stdatomic.h>
#include <zstd.h>

#define ZSTD_LEVEL   3
#define SAVING_SHARE 8u /* keep the compressed form if it is smaller by 1/8 */

/* zstd's decompression state is 100 KiB and more: a few are kept for the whole process. The libraries allocate with malloc,
 * outside of lsm_malloc; there is no stable interface to change that. */
#define DECOMPRESSORS 4u
static ZSTD_DCtx *_Atomic decompressors[DECOMPRESSORS];

static ZSTD_DCtx *decompressor_take(void) {
    for (unsigned i = 0; i < DECOMPRESSORS; i++) {
        ZSTD_DCtx *context = atomic_exchange_explicit(&decompressors[i], NULL, memory_order_acquire);
        if (context != NULL) return context;
    }
    return ZSTD_createDCtx();
}

static void decompressor_put(ZSTD_DCtx *context) {
    for (unsigned i = 0; i < DECOMPRESSORS; i++) { /* LCOV_EXCL_BR_LINE: more threads unpack in the same moment */
        ZSTD_DCtx *empty = NULL;
        if (atomic_compare_exchange_strong_explicit(&decompressors[i], &empty, context, memory_order_release, memory_order_relaxed)) return;
    }
    (void)ZSTD_freeDCtx(context);
}

void lsm_compressor_release(struct lsm_compressor *compressor) {
    (void)ZSTD_freeCCtx(compressor->zstd);
    compressor->zstd = NULL;
}

/* Compress into [dest, dest + room); 0: does not fit, or the library declines. */
static size_t compress_into(struct lsm_compressor *compressor, enum lsm_compression compression, struct lsm_slice raw, uint8_t *dest, size_t room) {
    if (compression == LSM_COMPRESS_LZ4) {
        if (raw.size > LZ4_MAX_INPUT_SIZE || room > INT_MAX) return 0; /* LCOV_EXCL_BR_LINE: no block is so large */
        return (size_t)LZ4_compress_default((const char *)raw.data, (char *)dest, (int)raw.size, (int)room);
    }
    size_t size = ZSTD_compressCCtx(compressor->zstd, dest, room, raw.data, raw.size, ZSTD_LEVEL);
    return ZSTD_isError(size) ? 0 : size;
}

int lsm_compress(struct lsm_compressor *compressor, enum lsm_compression compression, struct lsm_slice raw, struct lsm_buf *out, bool *saved) {
    *saved = false;
    size_t room = raw.size - raw.size / SAVING_SHARE - (raw.size >= SAVING_SHARE ? 0 : 1);
    if (compression == LSM_COMPRESS_NONE || raw.size < 2) return LSM_OK;
    if (compression == LSM_COMPRESS_ZSTD && compressor->zstd == NULL) {
        compressor->zstd = ZSTD_createCCtx();
        if (compressor->zstd == NULL) return LSM_NOMEM;
    }
    int status = lsm_buf_reserve(out, room);
    if (status != LSM_OK) return status;
    size_t size = compress_into(compressor, compression, raw, out->data + out->size, room);
    *saved = size != 0;
    out->size += size;
    return LSM_OK;
}

int lsm_decompress(enum lsm_compression compression, struct lsm_slice stored, uint8_t *raw, size_t raw_bytes) {
    if (compression == LSM_COMPRESS_LZ4) {
        if (stored.size > INT_MAX || raw_bytes > INT_MAX) return LSM_CORRUPT; /* LCOV_EXCL_BR_LINE: no block is so large */
        int size = LZ4_decompress_safe((const char *)stored.data, (char *)raw, (int)stored.size, (int)raw_bytes);
        return size >= 0 && (size_t)size == raw_bytes ? LSM_OK : LSM_CORRUPT;
    }
    if (compression != LSM_COMPRESS_ZSTD) return LSM_CORRUPT;
    ZSTD_DCtx *context = decompressor_take();
    if (context == NULL) return LSM_NOMEM;
    size_t size = ZSTD_decompressDCtx(context, raw, raw_bytes, stored.data, stored.size);
    decompressor_put(context);
    return !ZSTD_isError(size) && size == raw_bytes ? LSM_OK : LSM_CORRUPT;
}
