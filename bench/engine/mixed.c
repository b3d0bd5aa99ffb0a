/* Reads and writes together: a writer beside a reader, and the workloads of YCSB (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", 2010). */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "workload.h"

#define ZIPF_THETA 0.99 /* YCSB's */
#define SCAN_ROWS  100  /* 1 .. that many */

/* ---- a writer beside a reader --------------------------------------------------------------------------------- */

struct writer {
    const struct scale *scale;
    _Atomic bool stop;
    uint64_t commits;
};

static void *write_on(void *arg) {
    struct writer *writer = arg;
    char room[KEY_BYTES];
    for (uint64_t i = 0; !atomic_load_explicit(&writer->stop, memory_order_relaxed); i++) {
        engine_begin();
        engine_put(workload_key(room, mix64(i ^ 0x9999) % writer->scale->rows, true), workload_value(writer->scale, i));
        engine_commit(false);
        writer->commits++;
    }
    return NULL;
}

/* Every read sees what is committed when it begins. */
void workload_get_beside_writer(const struct workload *self, const struct scale *scale, struct result *result) {
    struct writer writer = {.scale = scale};
    pthread_t thread;
    struct reader *reader = reader_open();
    char room[KEY_BYTES];
    if (pthread_create(&thread, NULL, write_on, &writer) != 0) engine_die(self->name, "no thread");
    uint64_t last = now_ns();
    for (uint64_t i = 0; i < scale->operations; i++) {
        size_t value_bytes = 0;
        reader_renew(reader);
        if (!reader_get(reader, workload_key(room, mix64(i ^ 0x3) % scale->rows, true), &value_bytes)) engine_die(self->name, "a row is missing");
        result_lap(result, &last);
    }
    atomic_store_explicit(&writer.stop, true, memory_order_relaxed);
    (void)pthread_join(thread, NULL);
    reader_close(reader);
    result->operations = scale->operations;
    result->side_operations = writer.commits;
}

/* ---- YCSB ----------------------------------------------------------------------------------------------------- */

/* Zipf-distributed ranks 0 .. items-1 (Gray et al., "Quickly Generating Billion-Record Synthetic Databases", 1994). */
struct zipf {
    uint64_t items;
    double zeta_n, alpha, eta;
};

static void zipf_init(struct zipf *zipf, uint64_t items) {
    double zeta_2 = 1 + pow(0.5, ZIPF_THETA);
    *zipf = (struct zipf){.items = items, .alpha = 1 / (1 - ZIPF_THETA)};
    for (uint64_t i = 1; i <= items; i++) zipf->zeta_n += 1 / pow((double)i, ZIPF_THETA);
    zipf->eta = (1 - pow(2.0 / (double)items, 1 - ZIPF_THETA)) / (1 - zeta_2 / zipf->zeta_n);
}

static uint64_t zipf_next(const struct zipf *zipf, uint64_t random) {
    double u = (double)(random >> 11) / 9007199254740992.0, uz = u * zipf->zeta_n;
    if (uz < 1) return 0;
    if (uz < 1 + pow(0.5, ZIPF_THETA)) return 1;
    uint64_t rank = (uint64_t)((double)zipf->items * pow(zipf->eta * u - zipf->eta + 1, zipf->alpha));
    return rank < zipf->items ? rank : zipf->items - 1;
}

struct mix {
    const struct workload *self;
    const struct scale *scale;
    struct reader *reader;
    uint64_t rows; /* it grows by the inserts */
    uint64_t bytes;
};

static void put(const struct mix *mix, uint64_t row, uint64_t i) {
    char room[KEY_BYTES];
    engine_begin();
    engine_put(workload_key(room, row, true), workload_value(mix->scale, i));
    engine_commit(false);
}

static void get(struct mix *mix, uint64_t row) {
    char room[KEY_BYTES];
    size_t value_bytes = 0;
    reader_renew(mix->reader);
    if (!reader_get(mix->reader, workload_key(room, row, true), &value_bytes)) engine_die(mix->self->name, "a row is missing");
    mix->bytes += value_bytes;
}

static void scan_some(struct mix *mix, uint64_t row, uint64_t rows) {
    char room[KEY_BYTES];
    reader_renew(mix->reader);
    struct walker *walker = walker_open(mix->reader);
    walker_seek(walker, workload_key(room, row, true));
    for (uint64_t n = 0; n < rows && walker_valid(walker); n++) {
        mix->bytes += walker_key(walker).size + walker_value(walker).size;
        walker_next(walker);
    }
    walker_close(walker);
}

void workload_mix(const struct workload *self, const struct scale *scale, struct result *result) {
    static uint64_t rows; /* what earlier mixes have inserted stays */
    struct zipf zipf;
    if (rows == 0) rows = scale->rows;
    struct mix mix = {.self = self, .scale = scale, .reader = reader_open(), .rows = rows};
    zipf_init(&zipf, scale->rows);
    uint64_t last = now_ns();
    for (uint64_t i = 0; i < scale->operations; i++) {
        uint64_t random = mix64(i ^ 0x5eed), die = mix64(random) % 100, rank = zipf_next(&zipf, random);
        uint64_t row = self->latest ? mix.rows - 1 - rank % mix.rows : mix64(rank) % scale->rows;
        if (die < self->updates)
            put(&mix, row, i);
        else if (die < self->updates + self->inserts)
            put(&mix, mix.rows++, i);
        else if (die < self->updates + self->inserts + self->scans)
            scan_some(&mix, row, mix64(random ^ 1) % SCAN_ROWS + 1);
        else {
            get(&mix, row);
            if (die < self->updates + self->inserts + self->scans + self->read_writes) put(&mix, row, i);
        }
        result_lap(result, &last);
    }
    reader_close(mix.reader);
    rows = mix.rows;
    result->operations = scale->operations;
}
