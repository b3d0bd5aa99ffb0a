/* sql_bench: an LSM table against an ordinary WITHOUT ROWID table, through SQL, in one run.
 *
 * Both hold the same rows: random 16-byte text keys and values of 100 bytes. The runs are interleaved (ordinary, LSM, ordinary, ...) on
 * fresh database files and the medians are compared. With --verify every row is read from both, forward and backward, and point and range
 * queries are compared; any difference ends the program with status 1. With --require the targets of the project are demanded as well.
 */
#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

#define RUNS_MAX   15
#define RANGE_ROWS 100

/* LSM1: SQLite's own lsm1 table, gone since 3.47 or so; only its inserts are compared, and only if --lsm1 says where it is. */
enum side { ORDINARY, LSM, SIDES, LSM1 = SIDES, ALL_SIDES };
static const char *const side_names[ALL_SIDES] = {"ordinary", "lsm", "lsm1"};

enum measure { INSERT, INSERT_FIRST, SETTLE, POINT, MISSING, RANGE, FORWARD, BACKWARD, COUNT, UPDATE, DELETE_ROWS, AUTOCOMMIT, MEASURES };
static const char *const measure_names[MEASURES] = {"insert",
                                                    "insert, first tenth",
                                                    "settle (seconds)",
                                                    "point SELECT",
                                                    "point SELECT, absent",
                                                    "100 rows in key order",
                                                    "ordered scan, rows",
                                                    "ordered scan backward, rows",
                                                    "sum(length(v)), rows",
                                                    "update by key",
                                                    "delete by key",
                                                    "insert, autocommit"};

struct options {
    const char *extension, *lsm1, *dir, *synchronous;
    uint64_t rows, per_transaction, points;
    size_t value_bytes;
    int runs, cache_mib, mmap_mib, verify, csv, require, keep;
};

static struct options opt = {"./lsm", NULL, NULL, "NORMAL", 300000, 1000, 100000, 100, 3, 64, 0, 0, 0, 0, 0};
static double results[ALL_SIDES][MEASURES][RUNS_MAX];
static char databases[ALL_SIDES][4200];

static void die(sqlite3 *db, const char *what) {
    (void)fprintf(stderr, "sql_bench: %s: %s\n", what, db != NULL ? sqlite3_errmsg(db) : strerror(errno));
    exit(2);
}

static void run(sqlite3 *db, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK) return;
    (void)fprintf(stderr, "sql_bench: %s: %s\n", sql, message);
    exit(2);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) die(db, sql);
    return stmt;
}

static void one_text(sqlite3 *db, const char *sql, char *out, size_t size) {
    sqlite3_stmt *stmt = prepare(db, sql);
    const char *text = sqlite3_step(stmt) == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    (void)snprintf(out, size, "%s", text == NULL ? sqlite3_errmsg(db) : text);
    (void)sqlite3_finalize(stmt);
}

static sqlite3 *open_database(enum side side) {
    sqlite3 *db = NULL;
    char sql[128], *message = NULL;
    if (sqlite3_open(databases[side], &db) != SQLITE_OK) die(db, databases[side]);
    if (side != ORDINARY) {
        const char *extension = side == LSM ? opt.extension : opt.lsm1;
        (void)sqlite3_enable_load_extension(db, 1);
        if (sqlite3_load_extension(db, extension, NULL, &message) != SQLITE_OK) {
            (void)fprintf(stderr, "sql_bench: %s: %s\n", extension, message);
            exit(2);
        }
    }
    run(db, "PRAGMA journal_mode=WAL");
    (void)snprintf(sql, sizeof sql, "PRAGMA synchronous=%s", opt.synchronous);
    run(db, sql);
    (void)snprintf(sql, sizeof sql, "PRAGMA cache_size=-%d", opt.cache_mib * 1024);
    run(db, sql);
    (void)snprintf(sql, sizeof sql, "PRAGMA mmap_size=%ld", (long)opt.mmap_mib << 20);
    run(db, sql);
    return db;
}

static void note(enum side side, enum measure what, int turn, uint64_t operations, uint64_t ns) {
    results[side][what][turn] = (double)operations * 1e9 / (double)(ns == 0 ? 1 : ns);
}

/* ---- the workloads -------------------------------------------------------------------------------------------- */

static void step_done(sqlite3 *db, sqlite3_stmt *stmt) {
    if (sqlite3_step(stmt) != SQLITE_DONE) die(db, "step");
    (void)sqlite3_reset(stmt);
}

static void insert_rows(sqlite3 *db, enum side side, int turn) {
    sqlite3_stmt *insert = prepare(db, "INSERT INTO t VALUES (?1, ?2)");
    char key[KEY_BYTES], *value = malloc(opt.value_bytes + 1);
    if (value == NULL) die(NULL, "malloc");
    uint64_t start = now_ns(), tenth = opt.rows / 10;
    for (uint64_t i = 0; i < opt.rows; i++) {
        if (i % opt.per_transaction == 0) run(db, "BEGIN");
        make_key(key, i, 1);
        make_value(value, opt.value_bytes, i);
        (void)sqlite3_bind_text(insert, 1, key, KEY_BYTES, SQLITE_STATIC);
        (void)sqlite3_bind_text(insert, 2, value, (int)opt.value_bytes, SQLITE_STATIC);
        step_done(db, insert);
        if ((i + 1) % opt.per_transaction == 0 || i + 1 == opt.rows) run(db, "COMMIT");
        if (i + 1 == tenth) note(side, INSERT_FIRST, turn, tenth, now_ns() - start);
    }
    note(side, INSERT, turn, opt.rows, now_ns() - start);
    (void)sqlite3_finalize(insert);
    free(value);
}

/* What the reads are measured on: a checkpointed log here, flushed and merged files there. */
static void settle(sqlite3 *db, enum side side, int turn) {
    uint64_t start = now_ns();
    if (side == ORDINARY)
        run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    else
        run(db, "SELECT lsm_compact()");
    results[side][SETTLE][turn] = (double)(now_ns() - start) / 1e9;
}

static void points(sqlite3 *db, enum side side, int turn, enum measure what) {
    sqlite3_stmt *select = prepare(db, "SELECT v FROM t WHERE k = ?1");
    char key[KEY_BYTES];
    uint64_t found = 0, start;
    run(db, "BEGIN");
    start = now_ns();
    for (uint64_t i = 0; i < opt.points; i++) {
        make_key(key, mix64(i) % opt.rows + (what == MISSING ? opt.rows * 3 : 0), 1);
        (void)sqlite3_bind_text(select, 1, key, KEY_BYTES, SQLITE_STATIC);
        if (sqlite3_step(select) == SQLITE_ROW) found += (uint64_t)sqlite3_column_bytes(select, 0) == opt.value_bytes;
        (void)sqlite3_reset(select);
    }
    note(side, what, turn, opt.points, now_ns() - start);
    run(db, "COMMIT");
    (void)sqlite3_finalize(select);
    if (found != (what == MISSING ? 0 : opt.points)) {
        (void)fprintf(stderr, "sql_bench: %s: %lu of %lu keys found\n", side_names[side], (unsigned long)found, (unsigned long)opt.points);
        exit(1);
    }
}

static void ranges(sqlite3 *db, enum side side, int turn) {
    sqlite3_stmt *select = prepare(db, "SELECT k, v FROM t WHERE k >= ?1 ORDER BY k LIMIT ?2");
    char key[KEY_BYTES];
    uint64_t start, count = opt.points / 20 + 1;
    run(db, "BEGIN");
    start = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        make_key(key, mix64(i ^ 0x5555) % opt.rows, 1);
        (void)sqlite3_bind_text(select, 1, key, KEY_BYTES, SQLITE_STATIC);
        (void)sqlite3_bind_int(select, 2, RANGE_ROWS);
        while (sqlite3_step(select) == SQLITE_ROW) (void)sqlite3_column_bytes(select, 1);
        (void)sqlite3_reset(select);
    }
    note(side, RANGE, turn, count, now_ns() - start);
    run(db, "COMMIT");
    (void)sqlite3_finalize(select);
}

static void scan(sqlite3 *db, enum side side, int turn, enum measure what, const char *sql) {
    sqlite3_stmt *select = prepare(db, sql);
    uint64_t rows = 0, start = now_ns();
    while (sqlite3_step(select) == SQLITE_ROW) {
        (void)sqlite3_column_bytes(select, sqlite3_column_count(select) - 1);
        rows++;
    }
    note(side, what, turn, what == COUNT ? opt.rows : rows, now_ns() - start);
    (void)sqlite3_finalize(select);
}

static void change(sqlite3 *db, enum side side, int turn, enum measure what, const char *sql) {
    sqlite3_stmt *stmt = prepare(db, sql);
    char key[KEY_BYTES];
    uint64_t start = now_ns(), count = opt.rows / 10;
    for (uint64_t i = 0; i < count; i++) {
        if (i % opt.per_transaction == 0) run(db, "BEGIN");
        make_key(key, what == UPDATE ? mix64(i ^ 0xaaaa) % opt.rows : i * 10, 1);
        (void)sqlite3_bind_text(stmt, 1, key, KEY_BYTES, SQLITE_STATIC);
        step_done(db, stmt);
        if ((i + 1) % opt.per_transaction == 0 || i + 1 == count) run(db, "COMMIT");
    }
    note(side, what, turn, count, now_ns() - start);
    (void)sqlite3_finalize(stmt);
}

static void autocommit(sqlite3 *db, enum side side, int turn) {
    sqlite3_stmt *insert = prepare(db, "INSERT INTO t VALUES (?1, 'autocommit')");
    char key[KEY_BYTES];
    uint64_t start = now_ns(), count = opt.rows / 30 + 1;
    for (uint64_t i = 0; i < count; i++) {
        make_key(key, opt.rows * 5 + i, 1);
        (void)sqlite3_bind_text(insert, 1, key, KEY_BYTES, SQLITE_STATIC);
        step_done(db, insert);
    }
    note(side, AUTOCOMMIT, turn, count, now_ns() - start);
    (void)sqlite3_finalize(insert);
}

static void remove_database(enum side side) {
    char command[2 * sizeof databases[side] + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s'-*", databases[side], databases[side]);
    if (system(command) != 0) die(NULL, command);
}

static void fill_and_read(enum side side, int turn) {
    remove_database(side);
    sqlite3 *db = open_database(side);
    run(db,
        side == LSM ? "CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v TEXT)" : "CREATE TABLE t(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID");
    insert_rows(db, side, turn);
    settle(db, side, turn);
    points(db, side, turn, POINT);
    points(db, side, turn, MISSING);
    ranges(db, side, turn);
    scan(db, side, turn, FORWARD, "SELECT k, v FROM t ORDER BY k");
    scan(db, side, turn, BACKWARD, "SELECT k, v FROM t ORDER BY k DESC");
    scan(db, side, turn, COUNT, "SELECT sum(length(v)) FROM t");
    (void)sqlite3_close(db);
}

static void fill_lsm1(int turn) {
    remove_database(LSM1);
    sqlite3 *db = open_database(LSM1);
    char sql[4300];
    (void)snprintf(sql, sizeof sql, "CREATE VIRTUAL TABLE t USING lsm1(\"%s-lsm\", k, TEXT, v)", databases[LSM1]);
    run(db, sql);
    insert_rows(db, LSM1, turn);
    (void)sqlite3_close(db);
    remove_database(LSM1);
}

static void modify(enum side side, int turn) {
    sqlite3 *db = open_database(side);
    change(db, side, turn, UPDATE, "UPDATE t SET v = 'changed' || v WHERE k = ?1");
    change(db, side, turn, DELETE_ROWS, "DELETE FROM t WHERE k = ?1");
    autocommit(db, side, turn);
    (void)sqlite3_close(db);
}

/* ---- equal? --------------------------------------------------------------------------------------------------- */

static int compare_statements(sqlite3_stmt *a, sqlite3_stmt *b, uint64_t *rows) {
    for (;;) {
        int ra = sqlite3_step(a), rb = sqlite3_step(b);
        if (ra != rb) return -1;
        if (ra == SQLITE_DONE) return 0;
        if (ra != SQLITE_ROW) return -1;
        for (int c = 0; c < sqlite3_column_count(a); c++) {
            int size = sqlite3_column_bytes(a, c);
            if (sqlite3_column_type(a, c) != sqlite3_column_type(b, c) || size != sqlite3_column_bytes(b, c)) return -1;
            if (size != 0 && memcmp(sqlite3_column_blob(a, c), sqlite3_column_blob(b, c), (size_t)size) != 0) return -1;
        }
        (*rows)++;
    }
}

static int differs(sqlite3 *db[SIDES], const char *sql, uint64_t turns, const char *what) {
    sqlite3_stmt *stmt[SIDES] = {prepare(db[ORDINARY], sql), prepare(db[LSM], sql)};
    uint64_t rows = 0;
    int bad = 0;
    for (uint64_t i = 0; i < turns && !bad; i++) {
        char low[KEY_BYTES], high[KEY_BYTES];
        /* every second key exists */
        make_key(low, mix64(i) % (opt.rows * 2), 1);
        make_key(high, mix64(mix64(i)) % (opt.rows * 2), 1);
        memcpy(high, low, 3); /* a range of about 1/4096 of the table */
        for (int s = 0; s < SIDES; s++) {
            if (sqlite3_bind_parameter_count(stmt[s]) > 0) (void)sqlite3_bind_text(stmt[s], 1, low, KEY_BYTES, SQLITE_TRANSIENT);
            if (sqlite3_bind_parameter_count(stmt[s]) > 1) (void)sqlite3_bind_text(stmt[s], 2, high, KEY_BYTES, SQLITE_TRANSIENT);
        }
        bad = compare_statements(stmt[ORDINARY], stmt[LSM], &rows) != 0;
        for (int s = 0; s < SIDES; s++) (void)sqlite3_reset(stmt[s]);
    }
    (void)fprintf(opt.csv ? stderr : stdout, "%-44s %s (%lu rows in %lu queries)\n", what, bad ? "DIFFERENT" : "equal", (unsigned long)rows,
                  (unsigned long)turns);
    for (int s = 0; s < SIDES; s++) (void)sqlite3_finalize(stmt[s]);
    return bad;
}

static int verify(void) {
    sqlite3 *db[SIDES] = {open_database(ORDINARY), open_database(LSM)};
    int bad = 0;
    char text[256];
    bad |= differs(db, "SELECT count(*) FROM t", 1, "count(*)");
    bad |= differs(db, "SELECT k, v FROM t ORDER BY k", 1, "every row, forward");
    bad |= differs(db, "SELECT k, v FROM t ORDER BY k DESC", 1, "every row, backward");
    bad |= differs(db, "SELECT k, v FROM t WHERE k = ?1", opt.points, "point queries, every second key absent");
    bad |= differs(db, "SELECT k, v FROM t WHERE k >= min(?1, ?2) AND k < max(?1, ?2) ORDER BY k", 2000, "ranges");
    bad |= differs(db, "SELECT k, v FROM t WHERE k > min(?1, ?2) AND k <= max(?1, ?2) ORDER BY k DESC", 2000, "ranges, backward");
    bad |= differs(db, "SELECT k FROM t WHERE k > ?1 ORDER BY k LIMIT 3", 2000, "the next three keys");
    one_text(db[LSM], "SELECT lsm_check()", text, sizeof text);
    (void)fprintf(opt.csv ? stderr : stdout, "%-44s %s\n", "lsm_check()", text);
    if (strcmp(text, "ok") != 0) bad = 1;
    for (int s = 0; s < SIDES; s++) (void)sqlite3_close(db[s]);
    return bad;
}

/* ---- report --------------------------------------------------------------------------------------------------- */

static void report_lsm1(void) {
    double old = median(results[LSM1][INSERT], (size_t)opt.runs), lsm = median(results[LSM][INSERT], (size_t)opt.runs);
    char number[32];
    (void)fprintf(opt.csv ? stderr : stdout, "%-30s %16s %36.2fx\n", "insert, lsm1, and lsm beside it", thousands(old, number), lsm / old);
}

static double ratio(enum measure what) {
    double ordinary = median(results[ORDINARY][what], (size_t)opt.runs), lsm = median(results[LSM][what], (size_t)opt.runs);
    return ordinary <= 0 ? 0 : lsm / ordinary;
}

static void report(void) {
    sqlite3 *db = open_database(LSM);
    char version[128], number[2][32];
    one_text(db, "SELECT lsm_version()", version, sizeof version);
    (void)sqlite3_close(db);
    if (opt.csv)
        (void)printf("case,ordinary,lsm,ratio,rows,per_transaction,value_bytes,runs,synchronous,cache_mib,mmap_mib,sqlite,lsm_version\n");
    else {
        (void)printf("SQLite %s, lsm %s; %lu rows, random 16-byte text keys, %zu-byte values, %lu per transaction;\n", sqlite3_libversion(), version,
                     (unsigned long)opt.rows, opt.value_bytes, (unsigned long)opt.per_transaction);
        (void)printf("journal_mode WAL, synchronous %s, %d MiB cache each, mmap_size %d MiB; medians of %d interleaved runs; per second\n\n",
                     opt.synchronous, opt.cache_mib, opt.mmap_mib, opt.runs);
        (void)printf("%-30s %16s %16s %10s\n", "", "WITHOUT ROWID", "lsm", "ratio");
    }
    for (int m = 0; m < MEASURES; m++) {
        double ordinary = median(results[ORDINARY][m], (size_t)opt.runs), lsm = median(results[LSM][m], (size_t)opt.runs);
        if (ordinary <= 0 && lsm <= 0) continue;
        if (opt.csv) {
            (void)printf("\"%s\",%.3f,%.3f,%.3f,%lu,%lu,%zu,%d,%s,%d,%d,%s,\"%s\"\n", measure_names[m], ordinary, lsm, ratio((enum measure)m),
                         (unsigned long)opt.rows, (unsigned long)opt.per_transaction, opt.value_bytes, opt.runs, opt.synchronous, opt.cache_mib,
                         opt.mmap_mib, sqlite3_libversion(), version);
        } else if (m == SETTLE)
            (void)printf("%-30s %16.2f %16.2f\n", measure_names[m], ordinary, lsm);
        else
            (void)printf("%-30s %16s %16s %9.2fx\n", measure_names[m], thousands(ordinary, number[0]), thousands(lsm, number[1]),
                         ratio((enum measure)m));
    }
}

/* Issue "the spine", point 3. */
static int required(void) {
    const struct {
        enum measure what;
        double least;
    } wanted[] = {{INSERT, 15}, {FORWARD, 1 / 1.5}, {BACKWARD, 1 / 1.5}, {POINT, 1 / 1.5}};
    int bad = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        double got = ratio(wanted[i].what);
        (void)printf("%-30s %6.2fx, wanted at least %.2fx: %s\n", measure_names[wanted[i].what], got, wanted[i].least,
                     got >= wanted[i].least ? "met" : "MISSED");
        if (got < wanted[i].least) bad = 1;
    }
    return bad;
}

static const char *value_of(int argc, char **argv, int *i) {
    if (*i + 1 < argc) return argv[++*i];
    (void)fprintf(stderr, "sql_bench: %s wants a value\n", argv[*i]);
    exit(2);
}

static void parse(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--verify") == 0)
            opt.verify = 1;
        else if (strcmp(a, "--csv") == 0)
            opt.csv = 1;
        else if (strcmp(a, "--require") == 0)
            opt.require = 1;
        else if (strcmp(a, "--keep") == 0)
            opt.keep = 1;
        else if (strcmp(a, "--extension") == 0)
            opt.extension = value_of(argc, argv, &i);
        else if (strcmp(a, "--lsm1") == 0)
            opt.lsm1 = value_of(argc, argv, &i);
        else if (strcmp(a, "--dir") == 0)
            opt.dir = value_of(argc, argv, &i);
        else if (strcmp(a, "--synchronous") == 0)
            opt.synchronous = value_of(argc, argv, &i);
        else if (strcmp(a, "--rows") == 0)
            opt.rows = strtoull(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(a, "--points") == 0)
            opt.points = strtoull(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(a, "--per-transaction") == 0)
            opt.per_transaction = strtoull(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(a, "--value-bytes") == 0)
            opt.value_bytes = strtoull(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(a, "--runs") == 0)
            opt.runs = atoi(value_of(argc, argv, &i));
        else if (strcmp(a, "--cache-mib") == 0)
            opt.cache_mib = atoi(value_of(argc, argv, &i));
        else if (strcmp(a, "--mmap-mib") == 0)
            opt.mmap_mib = atoi(value_of(argc, argv, &i));
        else {
            (void)fprintf(stderr,
                          "usage: sql_bench [--extension ./lsm] [--lsm1 build/peers/lsm1/lib/lsm1] [--rows N] [--runs N] [--per-transaction N] "
                          "[--points N] [--value-bytes N]\n"
                          "                 [--synchronous OFF|NORMAL|FULL] [--cache-mib N] [--mmap-mib N] [--dir D] [--verify] [--require] [--csv] "
                          "[--keep]\n");
            exit(2);
        }
    }
    if (opt.runs < 1 || opt.runs > RUNS_MAX || opt.rows < 1000 || opt.per_transaction < 1) {
        (void)fprintf(stderr, "sql_bench: 1 to %d runs, at least 1000 rows, at least 1 row per transaction\n", RUNS_MAX);
        exit(2);
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    char made[] = "/tmp/lsm-bench-XXXXXX";
    if (opt.dir == NULL && mkdtemp(made) == NULL) die(NULL, made);
    const char *dir = opt.dir == NULL ? made : opt.dir;
    for (int s = 0; s < ALL_SIDES; s++) (void)snprintf(databases[s], sizeof databases[s], "%.4000s/%s.db", dir, side_names[s]);
    int bad = 0;
    for (int turn = 0; turn < opt.runs; turn++) {
        for (int s = 0; s < SIDES; s++) fill_and_read((enum side)s, turn);
        if (opt.lsm1 != NULL) fill_lsm1(turn);
        if (opt.verify && turn + 1 == opt.runs) bad |= verify();
        for (int s = 0; s < SIDES; s++) modify((enum side)s, turn);
        if (opt.verify && turn + 1 == opt.runs) bad |= verify();
    }
    report();
    if (opt.lsm1 != NULL) report_lsm1();
    if (opt.require) bad |= required();
    if (!opt.keep)
        for (int s = 0; s < SIDES; s++) remove_database((enum side)s);
    if (opt.dir == NULL && !opt.keep) (void)rmdir(made);
    return bad;
}
