/* workload.h: what is measured, in words that know no engine.
 *
 * Rows are numbered 0 .. rows-1. fillseq and fillbatch give row i the key i, all others scattered keys (mix64 of i, as 16 hexadecimal digits); what reads or
 * changes rows expects the scattered ones. Values are pieces of one block of bytes that compresses to about a half.
 */
#ifndef LSM_BENCH_ENGINE_WORKLOAD_H
#define LSM_BENCH_ENGINE_WORKLOAD_H

#include "../measure.h"
#include "engine.h"

struct scale {
    uint64_t rows;
    uint64_t operations; /* of a workload that reads or mixes; a fifth as many seeks */
    uint64_t batch;      /* rows of a commit where a workload does not say */
    size_t value_bytes;
    bool sync;
};

/* What a workload leaves behind: its operations, and how long each took, if that was looked at. */
struct result {
    uint64_t operations; /* 0: the engine knows no such thing, and nothing is reported */
    struct histogram latencies;
    uint64_t side_operations; /* of a thread that worked beside it */
};

struct workload {
    const char *name;
    void (*run)(const struct workload *self, const struct scale *scale, struct result *result);
    bool fresh;     /* starts on an empty store */
    bool scattered; /* keys in random order */
    bool remove;    /* deletes */
    bool backward;  /* from the last row to the first */
    bool absent;    /* asks for keys that are not there */
    bool sync;      /* durable commits, and a hundredth of the rows */
    uint64_t batch; /* rows of a commit; 0: scale.batch */
    uint64_t pass;  /* rows in another order than other passes */
    /* YCSB: of 100 operations so many are */
    unsigned updates, inserts, scans, read_writes;
    bool latest; /* asks for recent rows more often than for old ones */
};

extern const struct workload workloads[];
extern const size_t workloads_count;

void workload_write(const struct workload *self, const struct scale *scale, struct result *result);
void workload_settle(const struct workload *self, const struct scale *scale, struct result *result);
void workload_get(const struct workload *self, const struct scale *scale, struct result *result);
void workload_seek(const struct workload *self, const struct scale *scale, struct result *result);
void workload_scan(const struct workload *self, const struct scale *scale, struct result *result);
void workload_get_beside_writer(const struct workload *self, const struct scale *scale, struct result *result);
void workload_mix(const struct workload *self, const struct scale *scale, struct result *result);

/* Value of row i; lives as long as the program. */
struct bytes workload_value(const struct scale *scale, uint64_t i);
static inline struct bytes workload_key(char room[KEY_BYTES], uint64_t i, bool scattered) {
    make_key(room, i, scattered);
    return (struct bytes){.data = room, .size = KEY_BYTES};
}

/* Latencies with one look at the clock for each operation: what lies between two of them counts, and it is next to nothing. */
static inline void result_lap(struct result *result, uint64_t *last) {
    uint64_t now = now_ns();
    histogram_add(&result->latencies, now - *last);
    *last = now;
}

#endif
