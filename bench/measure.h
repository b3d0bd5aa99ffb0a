/* measure.h: what both benchmarks use: a clock, a latency histogram, a generator of reproducible rows, medians. */
#ifndef LSM_BENCH_MEASURE_H
#define LSM_BENCH_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline uint64_t now_ns(void) {
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* ---- latencies ------------------------------------------------------------------------------------------------ */

/* Buckets of 1/32 of a power of two: any quantile within 3 %. */
#define HISTOGRAM_SUB 32u
struct histogram {
    uint64_t count[64 * HISTOGRAM_SUB];
    uint64_t total, max;
};

static inline unsigned histogram_bucket(uint64_t ns) {
    if (ns < HISTOGRAM_SUB) return (unsigned)ns;
    unsigned top = 63u - (unsigned)__builtin_clzll(ns);
    return (top - 4) * HISTOGRAM_SUB + (unsigned)((ns >> (top - 5)) & (HISTOGRAM_SUB - 1));
}

static inline void histogram_add(struct histogram *h, uint64_t ns) {
    h->count[histogram_bucket(ns)]++;
    h->total++;
    if (ns > h->max) h->max = ns;
}

/* The lower end of the bucket that holds the quantile q, in nanoseconds. */
static inline uint64_t histogram_quantile(const struct histogram *h, double q) {
    uint64_t wanted = (uint64_t)(q * (double)h->total), seen = 0;
    for (unsigned b = 0; b < 64 * HISTOGRAM_SUB; b++) {
        seen += h->count[b];
        if (seen <= wanted || h->count[b] == 0) continue;
        if (b < HISTOGRAM_SUB) return b;
        unsigned top = b / HISTOGRAM_SUB + 4;
        return (1ull << top) + ((uint64_t)(b % HISTOGRAM_SUB) << (top - 5));
    }
    return h->max;
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

/* splitmix64 (public domain, Sebastiano Vigna): a bijection, so that different i give different keys. */
static inline uint64_t mix64(uint64_t i) {
    i += 0x9e3779b97f4a7c15u;
    i = (i ^ (i >> 30)) * 0xbf58476d1ce4e5b9u;
    i = (i ^ (i >> 27)) * 0x94d049bb133111ebu;
    return i ^ (i >> 31);
}

#define KEY_BYTES 16
/* Key number i as 16 hexadecimal digits: in order, or scattered. */
static inline void make_key(char key[KEY_BYTES], uint64_t i, int scattered) {
    uint64_t v = scattered ? mix64(i) : i;
    for (int d = KEY_BYTES - 1; d >= 0; d--, v >>= 4) key[d] = "0123456789abcdef"[v & 15];
}

/* A value of row i: the first half random, the second half a repeated byte, so that it compresses to about one half. */
static inline void make_value(char *value, size_t size, uint64_t i) {
    uint64_t v = 0;
    for (size_t at = 0; at < size; at++) {
        if (at >= size / 2)
            value[at] = 'v';
        else {
            if (at % 8 == 0) v = mix64(i * 1000003u + at);
            value[at] = (char)('!' + (v & 63));
            v >>= 8;
        }
    }
}

/* ---- medians -------------------------------------------------------------------------------------------------- */

static inline int order_doubles(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* Sorts the values. */
static inline double median(double *values, size_t count) {
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, order_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* "1,234,567" */
static inline const char *thousands(double v, char out[32]) {
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%.0f", v), o = 0;
    for (int i = 0; i < n && o < 30; i++) {
        out[o++] = digits[i];
        if (digits[i] != '-' && (n - 1 - i) % 3 == 0 && i + 1 < n) out[o++] = ',';
    }
    out[o] = '\0';
    return out;
}

#endif
