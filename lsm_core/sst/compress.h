/* compress.h: lz4 and zstd behind one face, for blocks. */
#ifndef LSM_SST_COMPRESS_H
#define LSM_SST_COMPRESS_H

#include "../base/base.h"

/* What compressing needs from call to call. Zero-initialise. */
struct lsm_compressor {
    void *zstd; /* ZSTD_CCtx, made at first use */
};
void lsm_compressor_release(struct lsm_compressor *compressor);

/* Append the compressed bytes to out if that saves at least an eighth; *saved says so, and out is as before if not. */
int lsm_compress(struct lsm_compressor *compressor, enum lsm_compression compression, struct lsm_slice raw, struct lsm_buf *out,
                 bool *saved) LSM_MUST_CHECK;

/* Fill exactly raw_bytes at raw. LSM_CORRUPT if the bytes are not that many compressed ones; LSM_NOMEM. Threads welcome. */
int lsm_decompress(enum lsm_compression compression, struct lsm_slice stored, uint8_t *raw, size_t raw_bytes) LSM_MUST_CHECK;

#endif
