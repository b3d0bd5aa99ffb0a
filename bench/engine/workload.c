/* The names, and what only writes or only reads. */
#include "workload.h"

#define POOL_BYTES (1u << 20)
#define SYNC_SHARE 100 /* a durable commit is that much slower */

const struct workload workloads[] = {
    {.name = "fillseq", .run = workload_write, .fresh = true},
    {.name = "fillbatch", .run = workload_write, .fresh = true, .batch = 1000},
    {.name = "fillrandom", .run = workload_write, .fresh = true, .scattered = true},
    {.name = "fillrandbatch", .run = workload_write, .fresh = true, .scattered = true, .batch = 1000},
    {.name = "fillsync", .run = workload_write, .fresh = true, .scattered = true, .sync = true},
    {.name = "settle", .run = workload_settle},
    {.name = "readrandom", .run = workload_get},
    {.name = "readmissing", .run = workload_get, .absent = true},
    {.name = "seekrandom", .run = workload_seek},
    {.name = "scan", .run = workload_scan},
    {.name = "scanback", .run = workload_scan, .backward = true},
    {.name = "overwrite", .run = workload_write, .scattered = true, .pass = 0x1234},
    {.name = "readwhilewriting", .run = workload_get_beside_writer},
    {.name = "deleterandom", .run = workload_write, .scattered = true, .remove = true, .pass = 0x4321},
    {.name = "ycsb-a", .run = workload_mix, .updates = 50},
    {.name = "ycsb-b", .run = workload_mix, .updates = 5},
    {.name = "ycsb-c", .run = workload_mix},
    {.name = "ycsb-d", .run = workload_mix, .inserts = 5, .latest = true},
    {.name = "ycsb-e", .run = workload_mix, .inserts = 5, .scans = 95},
    {.name = "ycsb-f", .run = workload_mix, .read_writes = 50},
};
const size_t workloads_count = sizeof workloads / sizeof workloads[0];

struct bytes workload_value(const struct scale *scale, uint64_t i) {
    static char pool[POOL_BYTES];
    if (pool[0] == '\0')
        for (size_t at = 0; at + 100 <= POOL_BYTES; at += 100) make_value(pool + at, 100, at);
    return (struct bytes){.data = pool + mix64(i) % (POOL_BYTES - scale->value_bytes), .size = scale->value_bytes};
}

/* ---- writes --------------------------------------------------------------------------------------------------- */

/* The latency is that of a commit. */
void workload_write(const struct workload *self, const struct scale *scale, struct result *result) {
    uint64_t rows = self->sync ? scale->rows / SYNC_SHARE + 1 : scale->rows, batch = self->batch != 0 ? self->batch : scale->batch, last = now_ns();
    char room[KEY_BYTES];
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t row = self->pass == 0 ? i : mix64(i ^ self->pass) % rows;
        struct bytes key = workload_key(room, row, self->scattered);
        if (i % batch == 0) engine_begin();
        if (self->remove)
            engine_delete(key);
        else
            engine_put(key, workload_value(scale, i + self->pass));
        if ((i + 1) % batch != 0 && i + 1 != rows) continue;
        engine_commit(self->sync || scale->sync);
        result_lap(result, &last);
    }
    result->operations = rows;
}

void workload_settle(const struct workload *self, const struct scale *scale, struct result *result) {
    (void)self;
    if (engine_settle()) result->operations = scale->rows;
}

/* ---- reads ---------------------------------------------------------------------------------------------------- */

static void expect(const struct workload *self, const char *what, uint64_t got, uint64_t wanted) {
    char text[128];
    if (got == wanted) return;
    (void)snprintf(text, sizeof text, "%lu %s, should be %lu", (unsigned long)got, what, (unsigned long)wanted);
    engine_die(self->name, text);
}

void workload_get(const struct workload *self, const struct scale *scale, struct result *result) {
    struct reader *reader = reader_open();
    char room[KEY_BYTES];
    uint64_t found = 0, last = now_ns();
    for (uint64_t i = 0; i < scale->operations; i++) {
        size_t value_bytes = 0;
        uint64_t row = mix64(i) % scale->rows + (self->absent ? scale->rows * 3 : 0);
        if (reader_get(reader, workload_key(room, row, true), &value_bytes)) found += value_bytes == scale->value_bytes;
        result_lap(result, &last);
    }
    reader_close(reader);
    result->operations = scale->operations;
    expect(self, "rows found", found, self->absent ? 0 : scale->operations);
}

#define SEEK_SHARE 5
#define SEEK_ROWS  10

void workload_seek(const struct workload *self, const struct scale *scale, struct result *result) {
    struct reader *reader = reader_open();
    struct walker *walker = walker_open(reader);
    char room[KEY_BYTES];
    uint64_t seeks = scale->operations / SEEK_SHARE + 1, exact = 0, bytes = 0, last = now_ns();
    for (uint64_t i = 0; i < seeks; i++) {
        struct bytes key = workload_key(room, mix64(i ^ 0x77) % scale->rows, true);
        walker_seek(walker, key);
        exact += walker_valid(walker) && memcmp(walker_key(walker).data, key.data, KEY_BYTES) == 0;
        for (int n = 0; n < SEEK_ROWS && walker_valid(walker); n++) {
            bytes += walker_key(walker).size + walker_value(walker).size;
            walker_next(walker);
        }
        result_lap(result, &last);
    }
    walker_close(walker);
    reader_close(reader);
    result->operations = seeks;
    expect(self, "keys met", exact, seeks);
    if (bytes < seeks * (KEY_BYTES + scale->value_bytes)) expect(self, "bytes", bytes, 0);
}

/* An operation is a row. */
void workload_scan(const struct workload *self, const struct scale *scale, struct result *result) {
    struct reader *reader = reader_open();
    struct walker *walker = walker_open(reader);
    uint64_t bytes = 0;
    if (self->backward)
        walker_last(walker);
    else
        walker_first(walker);
    while (walker_valid(walker)) {
        bytes += walker_key(walker).size + walker_value(walker).size;
        result->operations++;
        if (self->backward)
            walker_prev(walker);
        else
            walker_next(walker);
    }
    walker_close(walker);
    reader_close(reader);
    expect(self, "rows", result->operations, scale->rows);
    expect(self, "bytes", bytes, scale->rows * (KEY_BYTES + scale->value_bytes));
}
