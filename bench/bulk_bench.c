/* bulk_bench: one INSERT ... SELECT that is many times larger than memory, and the ways in which such a transaction can end.
 *
 * For sorted and for random keys: how long it takes, the most memory that the process ever held, what it wrote to disk, and whether all is there afterwards.
 * Then ROLLBACK TO and ROLLBACK in the middle, and kill -9 in the middle: the space must be back. Each step is a process of its own, so that its peak is its
 * own. Ends with status 1 if a step misses its bound: --rss-mib; bytes written: 1.1 times the table for sorted keys, 2.7 times for random ones.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define MIB                  (1024.0 * 1024.0)
#define DEFAULT_WRITE_BUFFER ((size_t)32 << 20)
#define SMALL_DIR_BYTES      ((uint64_t)256 * 1024) /* a store without rows: manifest, empty log */

struct options {
    const char *extension, *dir;
    uint64_t rows;
    size_t value_bytes;
    size_t write_buffer; /* bytes; 0: the library's default */
    double rss_mib;
    const char *order; /* "sorted", "random" or "both" */
    bool ordinary;     /* the same INSERT into an ordinary table, too */
};

static struct options opt = {"./lsm", NULL, 20000000, 112, 0, 200, "both", false};
static char database[4096], store_dir[4200];

static void fail(const char *what, const char *why) {
    (void)fprintf(stderr, "bulk_bench: %s: %s\n", what, why);
    exit(2);
}

/* ---- measuring ------------------------------------------------------------------------------------------------ */

/* A number behind `name` in a file of /proc/self. */
static uint64_t proc_number(const char *file, const char *name) {
    char line[256];
    uint64_t value = 0;
    FILE *in = fopen(file, "r");
    if (in == NULL) return 0;
    while (fgets(line, sizeof line, in) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) value = strtoull(line + strlen(name), NULL, 10);
    (void)fclose(in);
    return value;
}

static double peak_mib(void) { return (double)proc_number("/proc/self/status", "VmHWM:") / 1024.0; }

/* Of the processor, all threads. */
static double cpu_seconds(void) {
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint64_t written_bytes(void) { return proc_number("/proc/self/io", "wchar:"); }

/* What the files below a directory hold, preallocated space included. */
static uint64_t dir_bytes(const char *path) {
    uint64_t sum = 0;
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char below[8192];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (lstat(below, &info) != 0) continue;
        sum += S_ISDIR(info.st_mode) ? dir_bytes(below) : (uint64_t)info.st_blocks * 512;
    }
    if (dir != NULL) (void)closedir(dir);
    return sum;
}

static void remove_dir(const char *path) {
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char below[8192];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (lstat(below, &info) != 0) continue;
        if (S_ISDIR(info.st_mode))
            remove_dir(below);
        else
            (void)unlink(below);
    }
    if (dir != NULL) (void)closedir(dir);
    (void)rmdir(path);
}

static void remove_database(void) {
    char path[4200];
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", database, tails[i]);
        (void)unlink(path);
    }
    remove_dir(store_dir);
}

/* ---- SQL ------------------------------------------------------------------------------------------------------ */

/* Positive, scattered over the numbers, and different for different i: multiplying by an odd number loses nothing. */
static int64_t scattered(int64_t i) { return (int64_t)(((uint64_t)i * 0x9e3779b97f4a7c15u) & 0x7fffffffffffffffu); }

static void sql_scattered(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    sqlite3_result_int64(context, scattered(sqlite3_value_int64(argv[0])));
}

static void sql_value(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static char value[4096];
    (void)argc;
    make_value(value, opt.value_bytes, (uint64_t)sqlite3_value_int64(argv[0]));
    sqlite3_result_text(context, value, (int)opt.value_bytes, SQLITE_STATIC);
}

static void run(sqlite3 *db, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail(sql, message);
}

static sqlite3 *open_database_with(const char *table) {
    sqlite3 *db = NULL;
    char *message = NULL;
    char uri[4400];
    (void)snprintf(uri, sizeof uri, "file:%s?lsm_write_buffer=%zu", database, opt.write_buffer);
    if (opt.write_buffer == 0) (void)snprintf(uri, sizeof uri, "file:%s", database);
    if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
        fail(database, sqlite3_errmsg(db));
    (void)sqlite3_enable_load_extension(db, 1);
    if (sqlite3_load_extension(db, opt.extension, NULL, &message) != SQLITE_OK) fail(opt.extension, message);
    (void)sqlite3_create_function(db, "scattered", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sql_scattered, NULL, NULL);
    (void)sqlite3_create_function(db, "payload", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sql_value, NULL, NULL);
    run(db, "PRAGMA journal_mode=WAL");
    run(db, table);
    return db;
}

static sqlite3 *open_database(void) { return open_database_with("CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm(k INTEGER PRIMARY KEY, v TEXT)"); }

static void insert(sqlite3 *db, uint64_t from, uint64_t to, int random) {
    char sql[400];
    (void)snprintf(
        sql, sizeof sql,
        "WITH RECURSIVE c(i) AS (VALUES(%llu) UNION ALL SELECT i + 1 FROM c WHERE i + 1 < %llu) INSERT INTO t SELECT %s, payload(i) FROM c",
        (unsigned long long)from, (unsigned long long)to, random ? "scattered(i)" : "i");
    run(db, sql);
}

static void expect(sqlite3 *db, const char *sql, const char *want) {
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW) fail(sql, sqlite3_errmsg(db));
    const char *got = (const char *)sqlite3_column_text(stmt, 0);
    if (got == NULL || strcmp(got, want) != 0) fail(sql, got == NULL ? "NULL" : got);
    (void)sqlite3_finalize(stmt);
}

static void close_database(sqlite3 *db) {
    if (sqlite3_close(db) != SQLITE_OK) fail("close", sqlite3_errmsg(db));
}

/* ---- the steps, each in a process of its own -------------------------------------------------------------------- */

static int check_peak(void) {
    double peak = peak_mib();
    (void)printf(", %.0f MiB resident at most%s\n", peak, peak <= opt.rss_mib ? "" : ": TOO MUCH");
    return peak <= opt.rss_mib ? 0 : 1;
}

static int step_insert(int random) {
    uint64_t start = now_ns();
    sqlite3 *db = open_database();
    run(db, "BEGIN");
    insert(db, 0, opt.rows, random);
    double inserted = (double)(now_ns() - start) / 1e9;
    run(db, "COMMIT");
    double committed = (double)(now_ns() - start) / 1e9;
    uint64_t written = written_bytes(), held = dir_bytes(store_dir);
    (void)printf("  insert %s: %.1f s (%.1f of the processor), commit %.2f s, %.0f rows a second, %.0f MiB written, %.0f MiB in the store",
                 random ? "random" : "sorted", inserted, cpu_seconds(), committed - inserted, (double)opt.rows / committed, (double)written / MIB,
                 (double)held / MIB);
    int missed = check_peak();
    /* Besides: the first rows go to the log. */
    double most = (random ? 2.7 : 1.1) * (double)held + (double)(opt.write_buffer == 0 ? DEFAULT_WRITE_BUFFER : opt.write_buffer) / 2 + MIB;
    if ((double)written > most) {
        (void)printf("  written more often than %s: TOO MUCH\n", random ? "2.7 times" : "once");
        missed = 1;
    }
    start = now_ns();
    close_database(db);
    (void)printf("  close: %.1f s\n", (double)(now_ns() - start) / 1e9);
    return missed;
}

/* Beside an ordinary table without a rowid, with SQLite's defaults. */
static int step_ordinary(int random) {
    uint64_t start = now_ns();
    sqlite3 *db = open_database_with("CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v TEXT) WITHOUT ROWID");
    run(db, "BEGIN");
    insert(db, 0, opt.rows, random);
    run(db, "COMMIT");
    (void)printf("  ordinary table %s: %.1f s (%.1f of the processor), %.0f MiB written, %.0f MiB resident at most\n", random ? "random" : "sorted",
                 (double)(now_ns() - start) / 1e9, cpu_seconds(), (double)written_bytes() / MIB, peak_mib());
    close_database(db);
    return 0;
}

static int step_verify(int random) {
    char want[80], sql[200];
    uint64_t start = now_ns();
    sqlite3 *db = open_database();
    (void)snprintf(want, sizeof want, "%llu", (unsigned long long)opt.rows);
    expect(db, "SELECT count(*) FROM t", want);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM (SELECT k, lag(k) OVER (ORDER BY k) AS p FROM t) WHERE p >= k");
    expect(db, sql, "0");
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t row = i * (opt.rows / 1000);
        (void)snprintf(sql, sizeof sql, "SELECT v = payload(%llu) FROM t WHERE k = %s(%llu)", (unsigned long long)row, random ? "scattered" : "",
                       (unsigned long long)row);
        expect(db, sql, "1");
    }
    expect(db, "SELECT lsm_check()", "ok");
    (void)printf("  read back and checked: %.1f s", (double)(now_ns() - start) / 1e9);
    int missed = check_peak();
    close_database(db);
    return missed;
}

static int step_undo(int random) {
    uint64_t part = opt.rows / 10;
    sqlite3 *db = open_database();
    run(db, "BEGIN");
    insert(db, 0, part, random);
    uint64_t before = dir_bytes(store_dir);
    run(db, "SAVEPOINT s");
    insert(db, part, 2 * part, random);
    uint64_t most = dir_bytes(store_dir);
    run(db, "ROLLBACK TO s");
    uint64_t back = dir_bytes(store_dir);
    insert(db, part, part + part / 10, random);
    run(db, "ROLLBACK");
    uint64_t end = dir_bytes(store_dir);
    expect(db, "SELECT count(*) FROM t", "0");
    (void)printf("  ROLLBACK TO: %.0f MiB before the savepoint, %.0f before, %.0f after; ROLLBACK: %.1f MiB", (double)before / MIB,
                 (double)most / MIB, (double)back / MIB, (double)end / MIB);
    int missed = check_peak();
    /* What was in memory at the savepoint has been written since. */
    if (back > before + (uint64_t)(40 * MIB) || end > (uint64_t)(70 * MIB)) missed = 1;
    close_database(db);
    if (dir_bytes(store_dir) > SMALL_DIR_BYTES + (uint64_t)(70 * MIB)) missed = 1;
    return missed;
}

/* Never gets to an end by itself. */
static int step_be_killed(int random) {
    sqlite3 *db = open_database();
    run(db, "BEGIN");
    insert(db, 0, opt.rows, random);
    (void)pause();
    return 0;
}

static int step_after_kill(int random) {
    (void)random;
    uint64_t before = dir_bytes(store_dir);
    sqlite3 *db = open_database();
    expect(db, "SELECT count(*) FROM t", "0");
    expect(db, "SELECT lsm_check()", "ok");
    uint64_t after = dir_bytes(store_dir);
    (void)printf("  kill -9: %.0f MiB left behind, %.1f MiB after the next open\n", (double)before / MIB, (double)after / MIB);
    close_database(db);
    return after > (uint64_t)(70 * MIB) || before < (uint64_t)(opt.rows * opt.value_bytes / 100);
}

/* kill_at: bytes in the store at which the process is killed; 0: never. */
static int in_process(int (*step)(int), int random, uint64_t kill_at) {
    (void)fflush(stdout);
    pid_t child = fork();
    int status = 0;
    if (child < 0) fail("fork", strerror(errno));
    if (child == 0) {
        int missed = step(random);
        (void)fflush(stdout);
        _exit(missed);
    }
    while (kill_at != 0 && dir_bytes(store_dir) < kill_at) (void)usleep(20000);
    if (kill_at != 0) (void)kill(child, SIGKILL);
    if (waitpid(child, &status, 0) != child) fail("wait", strerror(errno));
    if (kill_at != 0) return 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) fail("step", "ended badly");
    return WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    int missed = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--extension") == 0)
            opt.extension = argv[i + 1];
        else if (strcmp(argv[i], "--dir") == 0)
            opt.dir = argv[i + 1];
        else if (strcmp(argv[i], "--rows") == 0)
            opt.rows = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--value-bytes") == 0)
            opt.value_bytes = (size_t)strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--write-buffer") == 0)
            opt.write_buffer = (size_t)strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--order") == 0)
            opt.order = argv[i + 1];
        else if (strcmp(argv[i], "--ordinary") == 0)
            opt.ordinary = strcmp(argv[i + 1], "yes") == 0;
        else if (strcmp(argv[i], "--rss-mib") == 0)
            opt.rss_mib = strtod(argv[i + 1], NULL);
        else
            fail(argv[i], "not an option; there are --extension --dir --rows --value-bytes --write-buffer --rss-mib --order sorted|random|both "
                          "--ordinary yes|no");
    }
    if (opt.rows < 10000 || opt.value_bytes < 8 || opt.value_bytes > 4096) fail("options", "rows from 10000, values of 8 to 4096 bytes");
    (void)snprintf(database, sizeof database, "%s/bulk-%ld.db", opt.dir == NULL ? "." : opt.dir, (long)getpid());
    (void)snprintf(store_dir, sizeof store_dir, "%s-lsm", database);
    (void)printf("%llu rows of %zu bytes in one transaction\n", (unsigned long long)opt.rows, opt.value_bytes + 8);
    for (int random = 0; random < 2; random++) {
        if (strcmp(opt.order, random ? "sorted" : "random") == 0) continue;
        if (opt.ordinary) (void)in_process(step_ordinary, random, 0);
        remove_database();
        missed |= in_process(step_insert, random, 0);
        missed |= in_process(step_verify, random, 0);
        remove_database();
        missed |= in_process(step_undo, random, 0);
        remove_database();
        (void)in_process(step_be_killed, random, opt.rows * opt.value_bytes / 20);
        missed |= in_process(step_after_kill, random, 0);
        remove_database();
    }
    (void)printf(missed ? "a bound was missed\n" : "all bounds kept\n");
    return missed;
}
