/* LevelDB through its C interface. Its background work has one thread whatever is asked for, its iterators see one moment, its gets the present. */
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

static leveldb_t *db;
static leveldb_options_t *options;
static leveldb_cache_t *cache;
static leveldb_filterpolicy_t *filter;
static leveldb_writebatch_t *batch;
static leveldb_writeoptions_t *loose, *synced;
static leveldb_readoptions_t *reading;

struct reader {
    char unused;
};

static void check(char *error, const char *what) {
    if (error != NULL) engine_die(what, error);
}

const char *engine_name(void) { return "leveldb"; }

void engine_describe(char *out, size_t size) {
    (void)snprintf(out, size, "LevelDB %d.%d (one background thread; snappy where lz4 is asked for)", leveldb_major_version(),
                   leveldb_minor_version());
}

void engine_open(const struct engine_settings *settings) {
    char *error = NULL;
    options = leveldb_options_create();
    cache = leveldb_cache_create_lru(settings->cache_bytes);
    filter = leveldb_filterpolicy_create_bloom(settings->filter_bits);
    leveldb_options_set_create_if_missing(options, 1);
    leveldb_options_set_write_buffer_size(options, settings->write_buffer_bytes);
    leveldb_options_set_cache(options, cache);
    leveldb_options_set_filter_policy(options, filter);
    leveldb_options_set_compression(options, settings->compress ? leveldb_snappy_compression : leveldb_no_compression);
    db = leveldb_open(options, settings->dir, &error);
    check(error, "open");
    batch = leveldb_writebatch_create();
    loose = leveldb_writeoptions_create();
    synced = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(synced, 1);
    reading = leveldb_readoptions_create();
}

void engine_close(void) {
    leveldb_readoptions_destroy(reading);
    leveldb_writeoptions_destroy(synced);
    leveldb_writeoptions_destroy(loose);
    leveldb_writebatch_destroy(batch);
    leveldb_close(db);
    leveldb_options_destroy(options);
    leveldb_filterpolicy_destroy(filter);
    leveldb_cache_destroy(cache);
}

void engine_begin(void) { leveldb_writebatch_clear(batch); }

void engine_put(struct bytes key, struct bytes value) { leveldb_writebatch_put(batch, key.data, key.size, value.data, value.size); }

void engine_delete(struct bytes key) { leveldb_writebatch_delete(batch, key.data, key.size); }

void engine_commit(bool sync) {
    char *error = NULL;
    leveldb_write(db, sync ? synced : loose, batch, &error);
    check(error, "write");
}

bool engine_settle(void) {
    leveldb_compact_range(db, NULL, 0, NULL, 0);
    return true;
}

struct reader *reader_open(void) {
    static struct reader only;
    return &only;
}

void reader_renew(struct reader *reader) { (void)reader; }
void reader_close(struct reader *reader) { (void)reader; }

bool reader_get(struct reader *reader, struct bytes key, size_t *value_bytes) {
    char *error = NULL, *value = leveldb_get(db, reading, key.data, key.size, value_bytes, &error);
    (void)reader;
    check(error, "get");
    if (value == NULL) return false;
    leveldb_free(value);
    return true;
}

static leveldb_iterator_t *iterator_of(struct walker *walker) { return (leveldb_iterator_t *)walker; }

struct walker *walker_open(struct reader *reader) {
    (void)reader;
    return (struct walker *)leveldb_create_iterator(db, reading);
}

void walker_close(struct walker *walker) { leveldb_iter_destroy(iterator_of(walker)); }
void walker_first(struct walker *walker) { leveldb_iter_seek_to_first(iterator_of(walker)); }
void walker_last(struct walker *walker) { leveldb_iter_seek_to_last(iterator_of(walker)); }
void walker_seek(struct walker *walker, struct bytes key) { leveldb_iter_seek(iterator_of(walker), key.data, key.size); }
void walker_next(struct walker *walker) { leveldb_iter_next(iterator_of(walker)); }
void walker_prev(struct walker *walker) { leveldb_iter_prev(iterator_of(walker)); }
bool walker_valid(struct walker *walker) { return leveldb_iter_valid(iterator_of(walker)); }

struct bytes walker_key(struct walker *walker) {
    struct bytes key;
    key.data = leveldb_iter_key(iterator_of(walker), &key.size);
    return key;
}

struct bytes walker_value(struct walker *walker) {
    struct bytes value;
    value.data = leveldb_iter_value(iterator_of(walker), &value.size);
    return value;
}
