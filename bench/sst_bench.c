/* sst_bench.c: one table file of 1,000,000 entries (16-byte keys, 100-byte values, half of it compressible): what a get, a seek and
 * a step cost. Usage: sst_bench [directory] [none|lz4|zstd]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lsm_core/env/env.h"
#include "../lsm_core/sst/sst.h"

#define ROWS        1000000u
#define KEY_BYTES   20u /* tree id and 16 bytes */
#define VALUE_BYTES 100u
#define PROBES      1000000u

static const uint8_t store_id[LSM_STORE_ID_BYTES] = {1};

static uint64_t rng_state = 42;

static uint64_t rng(void) {
    uint64_t z = (rng_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Time of this thread only: what else runs on the machine does not count. */
static double now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void report(const char *what, double start, double count) { printf("%-34s %10.1f ns\n", what, (now_ns() - start) / count); }

static void die(const char *what, const struct lsm_error *err) {
    (void)fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

/* Keys in order and spread over the space: the number of the row, scaled, in 16 digits. */
static void make_key(uint8_t key[KEY_BYTES + 1], uint32_t row) {
    memset(key, 0, LSM_TREE_BYTES);
    key[3] = 1;
    (void)snprintf((char *)key + LSM_TREE_BYTES, 17, "%016llu", (unsigned long long)row * 9007199254ull + (row * 2654435761u) % 1000000u);
}

static void build(struct lsm_env *env, const char *path, enum lsm_compression compression, struct lsm_file_meta *meta) {
    struct lsm_sst_options options = {.block_bytes = 4096, .compression = compression, .filter_bits_per_key = 10};
    struct lsm_env_perm perm = {.mode = 0644, .uid = -1, .gid = -1};
    struct lsm_sst_writer *writer;
    struct lsm_error err;
    uint8_t key[KEY_BYTES + 1], value[VALUE_BYTES];
    double start = now_ns();
    int status = lsm_sst_writer_open(env, path, &perm, store_id, 1, &options, &writer, &err);
    if (status != LSM_OK) die("open writer", &err);
    for (uint32_t i = 0; status == LSM_OK && i < ROWS; i++) {
        make_key(key, i);
        for (size_t j = 0; j < VALUE_BYTES; j++) value[j] = j < VALUE_BYTES / 2 ? (uint8_t)rng() : 'c';
        status = lsm_sst_writer_add(writer, LSM_KIND_PUT, lsm_slice_of(key, KEY_BYTES), lsm_slice_of(value, VALUE_BYTES), &err);
    }
    if (status != LSM_OK || lsm_sst_writer_finish(writer, 0, 1, meta, &err) != LSM_OK) die("write", &err);
    report("build, per entry (with its making)", start, ROWS);
    printf("%-34s %10.1f MB\n", "file", (double)meta->bytes / 1e6);
}

static void bench_get(struct lsm_sst *sst, const char *what, bool with_filter, bool missing) {
    struct lsm_error err;
    uint8_t key[KEY_BYTES + 1], (*keys)[KEY_BYTES + 1] = malloc(PROBES * sizeof *keys);
    uint64_t sum = 0;
    if (keys == NULL) return;
    for (uint32_t i = 0; i < PROBES; i++) {
        make_key(key, (uint32_t)(rng() % ROWS));
        if (missing) key[KEY_BYTES - 1]++;
        memcpy(keys[i], key, sizeof key);
    }
    double start = now_ns();
    for (uint32_t i = 0; i < PROBES; i++) {
        struct lsm_slice slice = lsm_slice_of(keys[i], KEY_BYTES);
        struct lsm_sst_pin pin = {0};
        enum lsm_kind kind;
        if (with_filter && !lsm_sst_may_contain(sst, lsm_sst_key_hash(slice))) continue;
        int status = lsm_sst_get(sst, slice, &kind, &pin, &err);
        if (status == LSM_OK)
            sum += pin.value.data[0];
        else if (status != LSM_NOTFOUND)
            die("get", &err);
        lsm_sst_pin_release(&pin);
    }
    report(what, start, PROBES);
    if (sum == 1) printf("\n");
    free(keys);
}

static void bench_seek(struct lsm_sst *sst, bool fill_cache, const char *what) {
    struct lsm_sst_iter iter;
    uint8_t key[KEY_BYTES + 1];
    uint64_t sum = 0;
    uint32_t probes = PROBES / 2;
    lsm_sst_iter_init(&iter, sst, fill_cache);
    double start = now_ns();
    for (uint32_t i = 0; i < probes; i++) {
        make_key(key, (uint32_t)(rng() % (ROWS - 20)));
        lsm_iter_seek(&iter.base, lsm_slice_of(key, KEY_BYTES));
        for (int j = 0; j < 10 && iter.base.valid; j++) {
            sum += iter.base.value.data[0];
            lsm_iter_next(&iter.base);
        }
    }
    report(what, start, probes);
    lsm_iter_release(&iter.base);
    if (sum == 1) printf("\n");
}

static void bench_scan(struct lsm_sst *sst, bool fill_cache, bool backward, const char *what) {
    struct lsm_sst_iter iter;
    uint64_t rows = 0, sum = 0;
    lsm_sst_iter_init(&iter, sst, fill_cache);
    double start = now_ns();
    if (backward)
        lsm_iter_last(&iter.base);
    else
        lsm_iter_first(&iter.base);
    while (iter.base.valid) {
        sum += iter.base.key.data[19] + iter.base.value.size;
        rows++;
        if (backward)
            iter.base.ops->prev(&iter.base);
        else
            iter.base.ops->next(&iter.base);
    }
    report(what, start, ROWS);
    if (iter.base.status != LSM_OK) die("scan", &iter.base.err);
    if (rows != ROWS || sum == 1) die("scan: wrong number of rows", &(struct lsm_error){0});
    lsm_iter_release(&iter.base);
}

int main(int argc, char **argv) {
    struct lsm_env *env = lsm_env_posix();
    struct lsm_file_meta *meta = lsm_file_meta_new();
    struct lsm_cache *cache = lsm_cache_new((size_t)256 << 20);
    struct lsm_sst *sst;
    struct lsm_error err;
    char path[4096];
    enum lsm_compression compression = LSM_COMPRESS_NONE;
    if (argc > 2) compression = strcmp(argv[2], "zstd") == 0 ? LSM_COMPRESS_ZSTD : strcmp(argv[2], "lz4") == 0 ? LSM_COMPRESS_LZ4 : LSM_COMPRESS_NONE;
    (void)snprintf(path, sizeof path, "%s/sst_bench.sst", argc > 1 ? argv[1] : ".");
    if (meta == NULL || cache == NULL) return 1;
    build(env, path, compression, meta);
    double start = now_ns();
    if (lsm_sst_open(env, path, store_id, meta, cache, &sst, &err) != LSM_OK) die("open", &err);
    report("open", start, 1);
    printf("%-34s %10.1f MB\n", "resident", (double)lsm_sst_memory(sst) / 1e6);
    bench_scan(sst, false, false, "scan, not cached");
    bench_scan(sst, false, true, "reverse scan, not cached");
    bench_scan(sst, true, false, "scan that fills the cache");
    bench_scan(sst, true, false, "scan, cached");
    bench_scan(sst, true, true, "reverse scan, cached");
    bench_get(sst, "get, cached", false, false);
    bench_get(sst, "get, cached, filter first", true, false);
    bench_get(sst, "get of a missing key, filter first", true, true);
    bench_seek(sst, true, "seek and 10 steps, cached (+ key)");
    start = now_ns();
    if (lsm_sst_verify(sst, NULL, NULL, &err) != LSM_OK) die("verify", &err);
    report("verify, per entry", start, ROWS);
    lsm_sst_close(sst);
    lsm_file_meta_unref(meta);
    lsm_cache_free(cache);
    if (lsm_env_unlink(env, path, &err) != LSM_OK) die("unlink", &err);
    return 0;
}
