#ifndef SLT_MD5_H
#define SLT_MD5_H

#include <stddef.h>
#include <stdint.h>

/* MD5 (RFC 1321): the corpus states long results by it. */
struct md5 {
    uint32_t state[4];
    uint64_t length; /* bytes so far */
    unsigned char block[64];
};

void md5_init(struct md5 *md5);
void md5_add(struct md5 *md5, const void *data, size_t size);

/* Ends the digest: 32 hexadecimal digits and a NUL. */
void md5_hex(struct md5 *md5, char hex[33]);

#endif
