/* engine.h: a key-value engine as the workloads see it. Each adapter (adapter_*.c) implements all of it, and each program links exactly one.
 *
 * One database at a time, in one folder. Keys and values are bytes, keys in memcmp order. One thread writes; any number read, each with a reader of
 * its own. Whatever fails ends the program with a message: a benchmark has nothing to clean up.
 */
#ifndef LSM_BENCH_ENGINE_ENGINE_H
#define LSM_BENCH_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is the same for all engines. An engine without the thing in question ignores the number, and engine_describe() says so. */
struct engine_settings {
    const char *dir;
    size_t write_buffer_bytes, cache_bytes;
    uint64_t map_bytes; /* of table files; LevelDB and LMDB map them in any case */
    int filter_bits;    /* per key */
    int threads;        /* for background work */
    bool compress;      /* lz4, or what the engine has nearest to it */
    bool durable;       /* the store will be asked for durable commits: LMDB has to know when it opens */
    bool reopened;      /* the folder holds the store that engine_close() left */
};

struct bytes {
    const char *data;
    size_t size;
};

const char *engine_name(void);
/* Version, and what differs from equal settings, in one line without commas. */
void engine_describe(char *out, size_t size);

void engine_open(const struct engine_settings *settings); /* the folder is there, and empty if not `reopened` */
void engine_close(void);

/* A commit of some rows: begin, changes, commit. Atomic; durable when it returns if `sync`. */
void engine_begin(void);
void engine_put(struct bytes key, struct bytes value);
void engine_delete(struct bytes key);
void engine_commit(bool sync);

/* Flush and merge everything. False: the engine knows no such thing. */
bool engine_settle(void);

/* What is committed when it is opened or was last renewed; engines that can only read the present do. */
struct reader;
struct reader *reader_open(void);
void reader_renew(struct reader *reader);
void reader_close(struct reader *reader);
/* False: not there. The value's bytes have been made readable, not necessarily copied. */
bool reader_get(struct reader *reader, struct bytes key, size_t *value_bytes);

/* An ordered walk, within the reader's life and not over a renewal. key and value are read of a valid one and live until it moves. */
struct walker;
struct walker *walker_open(struct reader *reader);
void walker_close(struct walker *walker);
void walker_first(struct walker *walker);
void walker_last(struct walker *walker);
void walker_seek(struct walker *walker, struct bytes key);
void walker_next(struct walker *walker);
void walker_prev(struct walker *walker);
bool walker_valid(struct walker *walker);
struct bytes walker_key(struct walker *walker);
struct bytes walker_value(struct walker *walker);

/* For adapters: say what failed and why, and end. */
_Noreturn void engine_die(const char *what, const char *why);

#endif
