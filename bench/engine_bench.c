/* engine_bench: the storage engine without SQL, through lsm.h; the workloads people know from db_bench.
 *
 * One thread; 16-byte keys, 100-byte values (half compressible) unless told otherwise. Each fill starts on an empty store. Reads run on the
 * store that fillrandom and overwrite left behind, after everything has been merged.
 */
#include <errno.h>
#include <unistd.h>

#include "../lsm_core/lsm.h"
#include "measure.h"

#define TREE_VALUE_MAX 65536

struct options {
    const char *dir, *only;
    uint64_t rows, batch;
    size_t value_bytes;
    struct lsm_options store;
    enum lsm_sync sync;
    bool csv, keep;
};

static struct options opt;
static struct lsm_store *store;
static uint32_t tree;
static struct histogram latencies;
static const uint8_t store_id[LSM_STORE_ID_BYTES] = "engine benchmark";

static void check(int status, const struct lsm_error *err, const char *what) {
    if (status == LSM_OK) return;
    (void)fprintf(stderr, "engine_bench: %s: %s: %s\n", what, lsm_status_name(status), err->text);
    exit(2);
}

static struct lsm_slice slice(const void *data, size_t size) { return (struct lsm_slice){.data = data, .size = size}; }

/* ---- the store ------------------------------------------------------------------------------------------------ */

static void remove_store(void) {
    char command[4400];
    (void)snprintf(command, sizeof command, "rm -rf '%.4000s'", opt.dir);
    if (system(command) != 0) exit(2);
}

static void fresh_store(void) {
    struct lsm_error err = {0};
    struct lsm_txn *txn;
    struct lsm_tree_info info;
    if (store != NULL) check(lsm_store_close(store, &err), &err, "close");
    remove_store();
    opt.store.dir = opt.dir;
    opt.store.store_id = store_id;
    opt.store.create = true;
    check(lsm_store_open(&opt.store, &store, &err), &err, "open");
    check(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err), &err, "begin");
    check(lsm_txn_tree_create(txn, &info, &err), &err, "create a tree");
    check(lsm_txn_prepare(txn, LSM_SYNC_FULL, LSM_DECIDES_ITSELF, NULL, &err), &err, "prepare");
    lsm_txn_commit(txn, true);
    tree = info.tree;
}

/* ---- workloads ------------------------------------------------------------------------------------------------ */

struct workload {
    const char *name;
    void (*run)(const struct workload *self);
    bool fresh;     /* starts on an empty store */
    bool scattered; /* keys in random order */
    bool remove;    /* deletes instead of putting */
    bool backward;  /* from the last row to the first */
    bool absent;    /* keys that are not there */
    uint64_t batch; /* rows per commit; 0: opt.batch */
    uint64_t operations;
};

static uint64_t operations_done;

static void write_rows(const struct workload *w) {
    struct lsm_error err = {0};
    struct lsm_txn *txn = NULL;
    char key[KEY_BYTES];
    static char value[TREE_VALUE_MAX];
    uint64_t per_commit = w->batch == 0 ? opt.batch : w->batch;
    for (uint64_t i = 0; i < opt.rows; i++) {
        uint64_t start = now_ns();
        /* a second pass over the same keys is in another order than the first */
        make_key(key, w->fresh || !w->scattered ? i : mix64(i ^ 0x1234) % opt.rows, w->scattered);
        if (txn == NULL) check(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &err), &err, "begin");
        if (w->remove) check(lsm_txn_delete(txn, tree, slice(key, KEY_BYTES), &err), &err, "delete");
        else {
            make_value(value, opt.value_bytes, i);
            check(lsm_txn_put(txn, tree, slice(key, KEY_BYTES), slice(value, opt.value_bytes), &err), &err, "put");
        }
        if ((i + 1) % per_commit == 0 || i + 1 == opt.rows) {
            check(lsm_txn_prepare(txn, opt.sync, LSM_DECIDES_ITSELF, NULL, &err), &err, "prepare");
            lsm_txn_commit(txn, true);
            txn = NULL;
        }
        histogram_add(&latencies, now_ns() - start);
    }
    operations_done = opt.rows;
}

/* Reads are measured on a store at rest: everything in merged table files. */
static void settle(const struct workload *w) {
    (void)w;
    struct lsm_error err = {0};
    check(lsm_store_compact(store, NULL, NULL, &err), &err, "compact");
    operations_done = opt.rows;
}

static void read_rows(const struct workload *w) {
    struct lsm_error err = {0};
    struct lsm_view *view;
    char key[KEY_BYTES];
    uint64_t found = 0;
    check(lsm_view_open(store, NULL, &view, &err), &err, "view");
    for (uint64_t i = 0; i < opt.rows; i++) {
        uint64_t start = now_ns();
        struct lsm_value value = {0};
        make_key(key, mix64(i) % opt.rows + (w->absent ? opt.rows * 3 : 0), 1);
        int status = lsm_view_get(view, tree, slice(key, KEY_BYTES), &value, &err);
        if (status == LSM_OK) found += value.bytes.size == opt.value_bytes;
        else if (status != LSM_NOTFOUND) check(status, &err, "get");
        lsm_value_release(&value);
        histogram_add(&latencies, now_ns() - start);
    }
    lsm_view_close(view);
    operations_done = opt.rows;
    if (found != (w->absent ? 0 : opt.rows)) {
        (void)fprintf(stderr, "engine_bench: %s found %lu of %lu\n", w->name, (unsigned long)found, (unsigned long)opt.rows);
        exit(1);
    }
}

static void seek_rows(const struct workload *w) {
    (void)w;
    struct lsm_error err = {0};
    struct lsm_view *view;
    struct lsm_cursor *cursor;
    char key[KEY_BYTES];
    check(lsm_view_open(store, NULL, &view, &err), &err, "view");
    check(lsm_cursor_open(view, tree, NULL, NULL, &cursor, &err), &err, "cursor");
    operations_done = opt.rows / 5 + 1;
    for (uint64_t i = 0; i < operations_done; i++) {
        uint64_t start = now_ns();
        make_key(key, mix64(i ^ 0x77) % opt.rows, 1);
        check(lsm_cursor_seek(cursor, slice(key, KEY_BYTES), &err), &err, "seek");
        for (int n = 0; n < 10 && lsm_cursor_valid(cursor); n++) check(lsm_cursor_next(cursor, &err), &err, "next");
        histogram_add(&latencies, now_ns() - start);
    }
    lsm_cursor_close(cursor);
    lsm_view_close(view);
}

static void scan_rows(const struct workload *w) {
    struct lsm_error err = {0};
    struct lsm_view *view;
    struct lsm_cursor *cursor;
    uint64_t rows = 0, bytes = 0;
    check(lsm_view_open(store, NULL, &view, &err), &err, "view");
    check(lsm_cursor_open(view, tree, NULL, NULL, &cursor, &err), &err, "cursor");
    check(w->backward ? lsm_cursor_last(cursor, &err) : lsm_cursor_first(cursor, &err), &err, "first");
    while (lsm_cursor_valid(cursor)) {
        bytes += lsm_cursor_key(cursor).size + lsm_cursor_value(cursor).size;
        rows++;
        check(w->backward ? lsm_cursor_prev(cursor, &err) : lsm_cursor_next(cursor, &err), &err, "next");
    }
    lsm_cursor_close(cursor);
    lsm_view_close(view);
    operations_done = rows;
    if (rows == 0 || bytes != rows * (KEY_BYTES + opt.value_bytes)) {
        (void)fprintf(stderr, "engine_bench: %s: %lu rows, %lu bytes\n", w->name, (unsigned long)rows, (unsigned long)bytes);
        exit(1);
    }
}

static const struct workload workloads[] = {
    {.name = "fillseq", .run = write_rows, .fresh = true},
    {.name = "fillbatch", .run = write_rows, .fresh = true, .batch = 1000},
    {.name = "fillrandbatch", .run = write_rows, .fresh = true, .scattered = true, .batch = 1000},
    {.name = "fillrandom", .run = write_rows, .fresh = true, .scattered = true},
    {.name = "overwrite", .run = write_rows, .scattered = true},
    {.name = "settle", .run = settle},
    {.name = "readrandom", .run = read_rows},
    {.name = "readmissing", .run = read_rows, .absent = true},
    {.name = "seekrandom+10", .run = seek_rows},
    {.name = "scan", .run = scan_rows},
    {.name = "scanback", .run = scan_rows, .backward = true},
    {.name = "deleterandom", .run = write_rows, .scattered = true, .remove = true},
};

static void report(const struct workload *w, uint64_t ns, uint64_t wrote) {
    double rate = (double)operations_done * 1e9 / (double)(ns == 0 ? 1 : ns);
    struct lsm_stats stats;
    lsm_store_stats(store, &stats);
    bool timed = latencies.total != 0; /* a scan is timed as a whole */
    double p50 = (double)histogram_quantile(&latencies, 0.5) / 1e3, p99 = (double)histogram_quantile(&latencies, 0.99) / 1e3,
           p999 = (double)histogram_quantile(&latencies, 0.999) / 1e3, max = (double)latencies.max / 1e3;
    if (opt.csv) {
        (void)printf("%s,%lu,%.0f,", w->name, (unsigned long)operations_done, rate);
        if (timed) (void)printf("%.2f,%.2f,%.2f,%.2f", p50, p99, p999, max);
        else (void)printf(",,,");
        (void)printf(",%lu,%lu,%lu,%lu\n", (unsigned long)wrote, (unsigned long)stats.table_bytes, (unsigned long)stats.flushes, (unsigned long)stats.merges);
        return;
    }
    char number[32];
    (void)printf("%-14s %12s ops/s", w->name, thousands(rate, number));
    if (timed) (void)printf("  p50 %8.2f  p99 %8.2f  p99.9 %9.2f  max %10.1f us", p50, p99, p999, max);
    else (void)printf("%*s", 62, "");
    if (wrote != 0) (void)printf("  wrote %7.1f MB", (double)wrote / 1e6);
    (void)printf("\n");
}

static void run_workload(const struct workload *w) {
    struct lsm_error err = {0};
    if (opt.only != NULL && strstr(opt.only, w->name) == NULL) return;
    if (w->fresh || store == NULL) fresh_store();
    memset(&latencies, 0, sizeof latencies);
    struct lsm_stats before, after;
    lsm_store_stats(store, &before);
    uint64_t start = now_ns();
    w->run(w);
    uint64_t ns = now_ns() - start;
    check(lsm_store_quiesce(store, &err), &err, "background work");
    lsm_store_stats(store, &after);
    report(w, ns, after.wal_bytes + after.flush_bytes + after.merge_bytes_written - before.wal_bytes - before.flush_bytes - before.merge_bytes_written);
}

/* ---- main ----------------------------------------------------------------------------------------------------- */

static const char *value_of(int argc, char **argv, int *i) {
    if (*i + 1 < argc) return argv[++*i];
    (void)fprintf(stderr, "engine_bench: %s wants a value\n", argv[*i]);
    exit(2);
}

static enum lsm_sync parse_sync(const char *word) {
    return strcmp(word, "full") == 0 ? LSM_SYNC_FULL : strcmp(word, "normal") == 0 ? LSM_SYNC_NORMAL : LSM_SYNC_OFF;
}

static enum lsm_compression parse_compression(const char *word) {
    return strcmp(word, "zstd") == 0 ? LSM_COMPRESS_ZSTD : strcmp(word, "lz4") == 0 ? LSM_COMPRESS_LZ4 : LSM_COMPRESS_NONE;
}

static void parse(int argc, char **argv) {
    lsm_options_init(&opt.store);
    opt.rows = 1000000;
    opt.batch = 1;
    opt.value_bytes = 100;
    opt.sync = LSM_SYNC_OFF;
    opt.store.write_buffer_bytes = (size_t)64 << 20;
    opt.store.compression = LSM_COMPRESS_NONE;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--csv") == 0) opt.csv = true;
        else if (strcmp(a, "--keep") == 0) opt.keep = true;
        else if (strcmp(a, "--dir") == 0) opt.dir = value_of(argc, argv, &i);
        else if (strcmp(a, "--only") == 0) opt.only = value_of(argc, argv, &i);
        else if (strcmp(a, "--rows") == 0) opt.rows = strtoull(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(a, "--batch") == 0) opt.batch = strtoull(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(a, "--value-bytes") == 0) opt.value_bytes = strtoull(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(a, "--buffer-mib") == 0) opt.store.write_buffer_bytes = (size_t)strtoull(value_of(argc, argv, &i), NULL, 10) << 20;
        else if (strcmp(a, "--cache-mib") == 0) opt.store.cache_bytes = (size_t)strtoull(value_of(argc, argv, &i), NULL, 10) << 20;
        else if (strcmp(a, "--threads") == 0) opt.store.threads = atoi(value_of(argc, argv, &i));
        else if (strcmp(a, "--sync") == 0) opt.sync = parse_sync(value_of(argc, argv, &i));
        else if (strcmp(a, "--compression") == 0) opt.store.compression = parse_compression(value_of(argc, argv, &i));
        else {
            (void)fprintf(stderr, "usage: engine_bench [--rows N] [--batch N] [--value-bytes N] [--sync off|normal|full] [--compression none|lz4|zstd]\n"
                                  "                    [--buffer-mib N] [--cache-mib N] [--threads N] [--only NAMES] [--dir D] [--csv] [--keep]\n");
            exit(2);
        }
    }
    if (opt.batch < 1 || opt.rows < 1 || opt.value_bytes > TREE_VALUE_MAX) exit(2);
}

int main(int argc, char **argv) {
    static char made[] = "/tmp/lsm-engine-XXXXXX", dir[64];
    static const char *const sync_names[] = {"off", "normal", "full"}, *const compression_names[] = {"none", "lz4", "zstd"};
    parse(argc, argv);
    if (opt.dir == NULL) {
        if (mkdtemp(made) == NULL) return 2;
        (void)snprintf(dir, sizeof dir, "%s/store", made);
        opt.dir = dir;
    }
    if (opt.csv) (void)printf("workload,operations,ops_per_second,p50_us,p99_us,p99.9_us,max_us,bytes_written,bytes_in_tables,flushes,merges\n");
    else
        (void)printf("lsm %s engine; %lu rows, %d-byte keys, %zu-byte values, %lu per commit, sync %s, compression %s, write buffer %zu MiB, cache %zu MiB, "
                     "%d threads\n",
                     LSM_VERSION, (unsigned long)opt.rows, KEY_BYTES, opt.value_bytes, (unsigned long)opt.batch, sync_names[opt.sync],
                     compression_names[opt.store.compression], opt.store.write_buffer_bytes >> 20, opt.store.cache_bytes >> 20, opt.store.threads);
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) run_workload(&workloads[i]);
    struct lsm_error err = {0};
    if (store != NULL) check(lsm_store_close(store, &err), &err, "close");
    if (!opt.keep) remove_store();
    if (opt.dir == dir && !opt.keep) (void)rmdir(made);
    return 0;
}
