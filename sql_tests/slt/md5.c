#include "md5.h"

#include <stdio.h>
#include <string.h>

/* floor(2^32 * |sin(i + 1)|), RFC 1321, 3.4. */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1,
    0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453,
    0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
    0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05,
    0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d,
    0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
static const unsigned shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t mix(unsigned i, uint32_t b, uint32_t c, uint32_t d) {
    if (i < 16) return (b & c) | (~b & d);
    if (i < 32) return (d & b) | (~d & c);
    if (i < 48) return b ^ c ^ d;
    return c ^ (b | ~d);
}

static unsigned word_of(unsigned i) {
    if (i < 16) return i;
    if (i < 32) return (5 * i + 1) % 16;
    if (i < 48) return (3 * i + 5) % 16;
    return 7 * i % 16;
}

static void transform(struct md5 *md5) {
    uint32_t words[16];
    for (unsigned i = 0; i < 16; i++) {
        const unsigned char *at = md5->block + 4 * i;
        words[i] = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    }
    uint32_t a = md5->state[0], b = md5->state[1], c = md5->state[2], d = md5->state[3];
    for (unsigned i = 0; i < 64; i++) {
        uint32_t sum = a + mix(i, b, c, d) + sines[i] + words[word_of(i)];
        unsigned shift = shifts[i / 16][i % 4];
        a = d;
        d = c;
        c = b;
        b += sum << shift | sum >> (32 - shift);
    }
    md5->state[0] += a;
    md5->state[1] += b;
    md5->state[2] += c;
    md5->state[3] += d;
}

void md5_init(struct md5 *md5) {
    memset(md5, 0, sizeof *md5);
    md5->state[0] = 0x67452301;
    md5->state[1] = 0xefcdab89;
    md5->state[2] = 0x98badcfe;
    md5->state[3] = 0x10325476;
}

void md5_add(struct md5 *md5, const void *data, size_t size) {
    const unsigned char *at = data;
    while (size > 0) {
        size_t used = md5->length % 64, take = 64 - used < size ? 64 - used : size;
        memcpy(md5->block + used, at, take);
        md5->length += take;
        at += take;
        size -= take;
        if (used + take == 64) transform(md5);
    }
}

void md5_hex(struct md5 *md5, char hex[33]) {
    uint64_t bits = md5->length * 8;
    unsigned char tail[8];
    for (unsigned i = 0; i < 8; i++) tail[i] = (unsigned char)(bits >> 8 * i);
    md5_add(md5, "\x80", 1);
    while (md5->length % 64 != 56) md5_add(md5, "", 1);
    md5_add(md5, tail, 8);
    for (unsigned i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", md5->state[i / 4] >> 8 * (i % 4) & 0xffu);
}
