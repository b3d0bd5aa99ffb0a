/* RocksDB through its C interface: full filters, the rest as it comes. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

static rocksdb_t *db;
static rocksdb_options_t *options;
static rocksdb_block_based_table_options_t *table;
static rocksdb_cache_t *cache;
static rocksdb_writebatch_t *batch;
static rocksdb_writeoptions_t *loose, *synced;
static rocksdb_readoptions_t *reading;

struct reader {
    char unused;
};

static void check(char *error, const char *what) {
    if (error != NULL) engine_die(what, error);
}

const char *engine_name(void) { return "rocksdb"; }

void engine_describe(char *out, size_t size) { (void)snprintf(out, size, "RocksDB %s", BENCH_PEER_VERSION); }

void engine_open(const struct engine_settings *settings) {
    char *error = NULL;
    options = rocksdb_options_create();
    table = rocksdb_block_based_options_create();
    cache = rocksdb_cache_create_lru(settings->cache_bytes);
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_write_buffer_size(options, settings->write_buffer_bytes);
    rocksdb_options_set_max_background_jobs(options, settings->threads);
    rocksdb_options_set_allow_mmap_reads(options, settings->map_bytes != 0);
    rocksdb_options_set_compression(options, settings->compress ? rocksdb_lz4_compression : rocksdb_no_compression);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(settings->filter_bits));
    rocksdb_options_set_block_based_table_factory(options, table);
    db = rocksdb_open(options, settings->dir, &error);
    check(error, "open");
    batch = rocksdb_writebatch_create();
    loose = rocksdb_writeoptions_create();
    synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(synced, 1);
    reading = rocksdb_readoptions_create();
}

void engine_close(void) {
    rocksdb_readoptions_destroy(reading);
    rocksdb_writeoptions_destroy(synced);
    rocksdb_writeoptions_destroy(loose);
    rocksdb_writebatch_destroy(batch);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
    rocksdb_block_based_options_destroy(table);
    rocksdb_cache_destroy(cache);
}

void engine_begin(void) { rocksdb_writebatch_clear(batch); }

void engine_put(struct bytes key, struct bytes value) { rocksdb_writebatch_put(batch, key.data, key.size, value.data, value.size); }

void engine_delete(struct bytes key) { rocksdb_writebatch_delete(batch, key.data, key.size); }

void engine_commit(bool sync) {
    char *error = NULL;
    rocksdb_write(db, sync ? synced : loose, batch, &error);
    check(error, "write");
}

bool engine_settle(void) {
    rocksdb_compact_range(db, NULL, 0, NULL, 0);
    return true;
}

struct reader *reader_open(void) {
    static struct reader only;
    return &only;
}

void reader_renew(struct reader *reader) { (void)reader; }
void reader_close(struct reader *reader) { (void)reader; }

bool reader_get(struct reader *reader, struct bytes key, size_t *value_bytes) {
    char *error = NULL;
    rocksdb_pinnableslice_t *value = rocksdb_get_pinned(db, reading, key.data, key.size, &error);
    (void)reader;
    check(error, "get");
    if (value == NULL) return false;
    (void)rocksdb_pinnableslice_value(value, value_bytes);
    rocksdb_pinnableslice_destroy(value);
    return true;
}

static rocksdb_iterator_t *iterator_of(struct walker *walker) { return (rocksdb_iterator_t *)walker; }

struct walker *walker_open(struct reader *reader) {
    (void)reader;
    return (struct walker *)rocksdb_create_iterator(db, reading);
}

void walker_close(struct walker *walker) { rocksdb_iter_destroy(iterator_of(walker)); }
void walker_first(struct walker *walker) { rocksdb_iter_seek_to_first(iterator_of(walker)); }
void walker_last(struct walker *walker) { rocksdb_iter_seek_to_last(iterator_of(walker)); }
void walker_seek(struct walker *walker, struct bytes key) { rocksdb_iter_seek(iterator_of(walker), key.data, key.size); }
void walker_next(struct walker *walker) { rocksdb_iter_next(iterator_of(walker)); }
void walker_prev(struct walker *walker) { rocksdb_iter_prev(iterator_of(walker)); }
bool walker_valid(struct walker *walker) { return rocksdb_iter_valid(iterator_of(walker)); }

struct bytes walker_key(struct walker *walker) {
    struct bytes key;
    key.data = rocksdb_iter_key(iterator_of(walker), &key.size);
    return key;
}

struct bytes walker_value(struct walker *walker) {
    struct bytes value;
    value.data = rocksdb_iter_value(iterator_of(walker), &value.size);
    return value;
}
