/* hex.h: identities as lower-case hex digits, as they stand in names of directories and in shadow tables. */
#ifndef VT_HEX_H
#define VT_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lsm_core/lsm.h"

#define VT_STORE_HEX_BYTES (2 * LSM_STORE_ID_BYTES)
#define VT_NONCE_HEX_BYTES (2 * sizeof(uint64_t))

/* 2 * size digits and a NUL. */
void vt_hex_write(const uint8_t *bytes, size_t size, char *out);
/* False unless text is exactly 2 * size digits. */
bool vt_hex_read(const char *text, size_t text_size, uint8_t *bytes, size_t size);

/* The nonce of a tree (struct lsm_tree_info), its highest byte first: VT_NONCE_HEX_BYTES digits and a NUL. */
void vt_nonce_write(uint64_t nonce, char *out);
/* False, and *nonce as it was, unless text is exactly that many digits. */
bool vt_nonce_read(const char *text, size_t text_size, uint64_t *nonce);

#endif
