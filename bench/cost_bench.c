/* cost_bench: what commits, views and processes cost, side by side in one run.
 *
 * 1. Commits of one row, of 1000 rows, and of one row in each of two tables, on an ordinary WITHOUT ROWID table and on an LSM table ("mixed": one ordinary
 *    row and one LSM row against two ordinary ones), at synchronous OFF, NORMAL and FULL, in WAL mode. Runs are interleaved, medians compared.
 * 2. One process against four: writers that share the commits among them; one writer with three readers.
 * 3. The nanoseconds of pinning a view, of a point SELECT that pins one, and of the same on an ordinary table.
 * 4. System calls per commit, counted by strace (skipped where there is none): a run of N commits less a run of none, divided by N.
 * With --worker or --driver the program is one of its own helpers.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

#define RUNS_MAX  15
#define PROCESSES 4
#define PREFILLED 20000

enum side { ORDINARY, LSM, MIXED, SIDES };
static const char *const side_names[SIDES] = {"ordinary", "lsm", "mixed"};
enum level { OFF, NORMAL, FULL, LEVELS };
static const char *const level_names[LEVELS] = {"OFF", "NORMAL", "FULL"};
enum shape { AUTOCOMMIT, THOUSAND, TWO_TABLES, SHAPES };
static const char *const shape_names[SHAPES] = {"one row", "1000 rows", "one row in each of two tables"};

static struct {
    const char *extension, *self;
    char dir[256];
    int runs, quick;
} opt = {"./lsm", NULL, "", 5, 0};

/* ---- a database ------------------------------------------------------------------------------------------------ */

static const char *database(enum side side) {
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s.db", opt.dir, side_names[side]);
    return path;
}

static sqlite3 *open_database(enum side side, enum level level) {
    sqlite3 *db = NULL;
    char sql[64];
    if (sqlite3_open(database(side), &db) != SQLITE_OK) die(db, database(side));
    (void)sqlite3_busy_timeout(db, 60000);
    if (side != ORDINARY) load_extension(db, opt.extension);
    run(db, "PRAGMA journal_mode = WAL");
    (void)snprintf(sql, sizeof sql, "PRAGMA synchronous = %s", level_names[level]);
    run(db, sql);
    return db;
}

static void remove_database(enum side side) {
    char command[2400];
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s-wal' '%s-shm' '%s-lsm'", database(side), database(side), database(side), database(side));
    if (system(command) != 0) die(NULL, command);
}

static void create(enum side side) {
    remove_database(side);
    sqlite3 *db = open_database(side, OFF);
    static const char ordinary[] = "CREATE TABLE %s(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID",
                      lsm[] = "CREATE VIRTUAL TABLE %s USING lsm(k TEXT PRIMARY KEY, v TEXT)";
    char sql[128];
    (void)snprintf(sql, sizeof sql, side == ORDINARY ? ordinary : lsm, "t");
    run(db, sql);
    (void)snprintf(sql, sizeof sql, side == LSM ? lsm : ordinary, "u");
    run(db, sql);
    run(db, "BEGIN");
    sqlite3_stmt *insert = prepare(db, "INSERT INTO t VALUES (?1, ?2)");
    for (uint64_t i = 0; i < PREFILLED; i++) insert_row(db, insert, i);
    (void)sqlite3_finalize(insert);
    run(db, "COMMIT");
    run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (sqlite3_close(db) != SQLITE_OK) die(db, "close");
}

/* ---- 1: commits ------------------------------------------------------------------------------------------------ */

/* `count` transactions of that shape; rows from `first` on, so that processes do not meet. */
static uint64_t longest_ns; /* of one row that was a transaction of its own */

static uint64_t commit_many(sqlite3 *db, enum shape shape, uint64_t first, uint64_t count) {
    sqlite3_stmt *t = prepare(db, "INSERT INTO t VALUES (?1, ?2)"), *u = prepare(db, "INSERT INTO u VALUES (?1, ?2)");
    sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *commit = prepare(db, "COMMIT");
    uint64_t start = now_ns(), row = PREFILLED + first;
    for (uint64_t i = 0; i < count; i++) {
        if (shape == AUTOCOMMIT) {
            uint64_t before = now_ns();
            insert_row(db, t, row++);
            if (now_ns() - before > longest_ns) longest_ns = now_ns() - before;
            continue;
        }
        step_done(db, begin);
        for (int n = 0; n < (shape == THOUSAND ? 1000 : 1); n++) insert_row(db, t, row++);
        if (shape == TWO_TABLES) insert_row(db, u, row);
        step_done(db, commit);
    }
    uint64_t took = now_ns() - start;
    sqlite3_stmt *all[] = {t, u, begin, commit};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) (void)sqlite3_finalize(all[i]);
    return took;
}

static double commits[SIDES][LEVELS][SHAPES][RUNS_MAX];

static uint64_t commit_count(enum level level, enum shape shape) {
    uint64_t count = shape == THOUSAND ? 30 : level == FULL ? 1500 : 15000;
    return opt.quick ? count / 15 : count;
}

static void commits_turn(int turn) {
    for (int level = 0; level < LEVELS; level++)
        for (int side = 0; side < SIDES; side++) {
            create((enum side)side);
            sqlite3 *db = open_database((enum side)side, (enum level)level);
            uint64_t first = 0;
            for (int shape = 0; shape < SHAPES; shape++) {
                if (side == MIXED && shape != TWO_TABLES) continue;
                uint64_t count = commit_count((enum level)level, (enum shape)shape);
                commits[side][level][shape][turn] = (double)commit_many(db, (enum shape)shape, first, count) / 1000 / (double)count;
                first += 1000 * count;
            }
            (void)sqlite3_close(db);
            remove_database((enum side)side);
        }
}

static double middle(double *values) { return median(values, (size_t)opt.runs); }

static void report_commits(void) {
    (void)printf(
        "Microseconds per commit (medians of %d interleaved runs), and how many times as fast as on ordinary tables\n\n%-42s %12s %12s %20s\n",
        opt.runs, "", "ordinary", "lsm", "ordinary + lsm");
    for (int level = 0; level < LEVELS; level++)
        for (int shape = 0; shape < SHAPES; shape++) {
            double ordinary = middle(commits[ORDINARY][level][shape]), lsm = middle(commits[LSM][level][shape]);
            (void)printf("%-8s %-33s %12.1f %12.1f %6.2fx", level_names[level], shape_names[shape], ordinary, lsm, ordinary / lsm);
            if (shape == TWO_TABLES)
                (void)printf(" %12.1f %6.2fx", middle(commits[MIXED][level][shape]), ordinary / middle(commits[MIXED][level][shape]));
            (void)printf("\n");
        }
    (void)printf("\n");
}

/* ---- 2: processes ---------------------------------------------------------------------------------------------- */

/* Rows read by key in one second, or commits made; what a helper process does. */
static int worker(const char *job, enum side side, enum level level, uint64_t first, uint64_t count) {
    sqlite3 *db = open_database(side, level);
    if (strcmp(job, "write") == 0) {
        (void)commit_many(db, AUTOCOMMIT, first + count, 20); /* opens the store, which is not asked about here */
        longest_ns = 0;
        double took = (double)commit_many(db, AUTOCOMMIT, first, count) / 1e9;
        (void)printf("%f %f\n", took, (double)longest_ns / 1e9);
    } else {
        sqlite3_stmt *select = prepare(db, "SELECT v FROM t WHERE k = ?1");
        char key[KEY_BYTES];
        uint64_t start = now_ns(), reads = 0;
        for (; now_ns() - start < 1000000000u; reads++) {
            make_key(key, mix64(first + reads) % PREFILLED, 1);
            (void)sqlite3_bind_text(select, 1, key, KEY_BYTES, SQLITE_STATIC);
            if (sqlite3_step(select) != SQLITE_ROW) die(db, "select");
            (void)sqlite3_reset(select);
        }
        (void)printf("%f\n", (double)reads / ((double)(now_ns() - start) / 1e9));
        (void)sqlite3_finalize(select);
    }
    (void)sqlite3_close(db);
    return 0;
}

static FILE *spawn(const char *job, enum side side, enum level level, uint64_t first, uint64_t count) {
    char command[2048];
    (void)snprintf(command, sizeof command, "'%s' --worker %s %d %d %lu %lu '%s' '%s'", opt.self, job, side, level, (unsigned long)first,
                   (unsigned long)count, opt.dir, opt.extension);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL) die(NULL, command);
    return pipe;
}

/* What it printed, or a negative number if it failed; longest: what a writer printed behind it, if that is more. */
static double answer(FILE *pipe, double *longest) {
    double value = -1, more = 0;
    if (fscanf(pipe, "%lf %lf", &value, &more) < 1) value = -1;
    if (more > *longest) *longest = more;
    return pclose(pipe) == 0 ? value : -1;
}

/* Commits per second of `writers` processes together; reads per second of each of `readers`; the longest commit. Negative: somebody was refused. */
static double together(enum side side, enum level level, int writers, int readers, double *reads, double *longest) {
    FILE *pipes[2 * PROCESSES];
    uint64_t count = (level == FULL ? 2000u : 40000u) / (opt.quick ? 20u : 1u);
    create(side);
    for (int i = 0; i < writers; i++) pipes[i] = spawn("write", side, level, (uint64_t)i * 1000000, count / (uint64_t)writers);
    for (int i = 0; i < readers; i++) pipes[writers + i] = spawn("read", side, level, (uint64_t)i * 1000, 0);
    double worst = 0, sum = 0, wait = 0;
    for (int i = 0; i < writers; i++) {
        double took = answer(pipes[i], &wait);
        worst = took < 0 || worst < 0 ? -1 : took > worst ? took : worst;
    }
    for (int i = 0; i < readers; i++) {
        double rate = answer(pipes[writers + i], &wait);
        sum = rate < 0 || sum < 0 ? -1 : sum + rate;
    }
    if (longest != NULL) *longest = 1000 * wait;
    if (reads != NULL) *reads = sum < 0 || readers == 0 ? sum : sum / readers;
    remove_database(side);
    return worst <= 0 ? -1 : (double)(count - count % (uint64_t)writers) / worst;
}

enum crowd { ALONE, FOUR_WRITERS, WRITER_AND_READERS, CROWDS };
static double crowd_writes[2][LEVELS][CROWDS][RUNS_MAX], crowd_waits[2][LEVELS][RUNS_MAX], crowd_reads[2][CROWDS][RUNS_MAX];

static void processes_turn(int turn) {
    for (int side = 0; side < 2; side++)
        for (int level = NORMAL; level <= FULL; level++) {
            crowd_writes[side][level][ALONE][turn] = together((enum side)side, (enum level)level, 1, 0, NULL, NULL);
            crowd_writes[side][level][FOUR_WRITERS][turn] =
                together((enum side)side, (enum level)level, PROCESSES, 0, NULL, &crowd_waits[side][level][turn]);
            if (level == FULL) continue;
            crowd_writes[side][level][WRITER_AND_READERS][turn] =
                together((enum side)side, NORMAL, 1, PROCESSES - 1, &crowd_reads[side][WRITER_AND_READERS][turn], NULL);
            (void)together((enum side)side, NORMAL, 1, 1, &crowd_reads[side][ALONE][turn], NULL);
        }
}

static void report_line(const char *name, double *ordinary, double *lsm) {
    double a = middle(ordinary), b = middle(lsm);
    char number[2][32];
    if (b < 0)
        (void)printf("%-58s %12s %12s\n", name, thousands(a, number[0]), "refused");
    else
        (void)printf("%-58s %12s %12s %6.2fx\n", name, thousands(a, number[0]), thousands(b, number[1]), b / a);
}

static void report_processes(void) {
    (void)printf("Per second, all processes together: commits of one row; of each reader: point SELECTs\n\n%-58s %12s %12s\n", "", "ordinary", "lsm");
    report_line("NORMAL  one process writes", crowd_writes[0][NORMAL][ALONE], crowd_writes[1][NORMAL][ALONE]);
    report_line("NORMAL  four processes write", crowd_writes[0][NORMAL][FOUR_WRITERS], crowd_writes[1][NORMAL][FOUR_WRITERS]);
    report_line("NORMAL  four processes write: longest commit, ms", crowd_waits[0][NORMAL], crowd_waits[1][NORMAL]);
    report_line("FULL    one process writes", crowd_writes[0][FULL][ALONE], crowd_writes[1][FULL][ALONE]);
    report_line("FULL    four processes write", crowd_writes[0][FULL][FOUR_WRITERS], crowd_writes[1][FULL][FOUR_WRITERS]);
    report_line("FULL    four processes write: longest commit, ms", crowd_waits[0][FULL], crowd_waits[1][FULL]);
    report_line("NORMAL  one writes, three read: commits", crowd_writes[0][NORMAL][WRITER_AND_READERS], crowd_writes[1][NORMAL][WRITER_AND_READERS]);
    report_line("NORMAL  one writes, three read: SELECTs of each", crowd_reads[0][WRITER_AND_READERS], crowd_reads[1][WRITER_AND_READERS]);
    report_line("NORMAL  one writes, one reads: SELECTs", crowd_reads[0][ALONE], crowd_reads[1][ALONE]);
    (void)printf("\n");
}

/* ---- 3: views -------------------------------------------------------------------------------------------------- */

static double pin_ns[RUNS_MAX], get_ns[RUNS_MAX], select_ns[2][RUNS_MAX];

/* The engine's own calls. */
static void views_turn(int turn) {
    uint32_t tree;
    char dir[300];
    (void)snprintf(dir, sizeof dir, "%s/store", opt.dir);
    struct lsm_store *store = open_store(dir, false, 2, PREFILLED, &tree);
    uint64_t count = opt.quick ? 10000 : 1000000, start = now_ns();
    look_up(store, tree, PREFILLED, count, false);
    pin_ns[turn] = (double)(now_ns() - start) / (double)count;
    start = now_ns();
    look_up(store, tree, PREFILLED, count, true);
    get_ns[turn] = (double)(now_ns() - start) / (double)count;
    close_store(store, dir);
}

static void selects_turn(int turn) {
    for (int side = 0; side < 2; side++) {
        create((enum side)side);
        sqlite3 *db = open_database((enum side)side, NORMAL);
        sqlite3_stmt *select = prepare(db, "SELECT v FROM t WHERE k = ?1");
        char key[KEY_BYTES];
        uint64_t count = opt.quick ? 10000 : 200000, start = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            make_key(key, mix64(i) % PREFILLED, 1);
            (void)sqlite3_bind_text(select, 1, key, KEY_BYTES, SQLITE_STATIC);
            if (sqlite3_step(select) != SQLITE_ROW) die(db, "select");
            (void)sqlite3_reset(select);
        }
        select_ns[side][turn] = (double)(now_ns() - start) / (double)count;
        (void)sqlite3_finalize(select);
        (void)sqlite3_close(db);
        remove_database((enum side)side);
    }
}

static void report_views(void) {
    (void)printf("Nanoseconds\n\n%-58s %12.0f\n", "open and close a view (engine)", middle(pin_ns));
    (void)printf("%-58s %12.0f\n", "the same, with a lookup of one key", middle(get_ns));
    (void)printf("%-58s %12.0f\n", "point SELECT in a statement of its own, ordinary table", middle(select_ns[ORDINARY]));
    (void)printf("%-58s %12.0f\n\n", "point SELECT in a statement of its own, LSM table", middle(select_ns[LSM]));
}

/* ---- 4: system calls ------------------------------------------------------------------------------------------- */

#define CALLS_MAX 64
struct calls {
    char name[CALLS_MAX][32];
    double count[CALLS_MAX];
    int used;
};

static void add_call(struct calls *calls, const char *name, double count) {
    int i = 0;
    while (i < calls->used && strcmp(calls->name[i], name) != 0) i++;
    if (i == CALLS_MAX) return;
    if (i == calls->used) {
        (void)snprintf(calls->name[calls->used++], sizeof calls->name[0], "%s", name);
        calls->count[i] = 0;
    }
    calls->count[i] += count;
}

/* The table that strace -c writes: ... calls [errors] name. False if there is no strace, or it may not. */
static bool count_calls(enum side side, enum level level, enum shape shape, uint64_t commits_wanted, double factor, struct calls *calls) {
    char command[2048], line[256];
    create(side);
    (void)snprintf(command, sizeof command, "strace -f -c -o '%s/calls' '%s' --driver %d %d %d %lu '%s' '%s' >'%s/driver' 2>&1", opt.dir, opt.self,
                   side, level, shape, (unsigned long)commits_wanted, opt.dir, opt.extension, opt.dir);
    int rc = system(command);
    remove_database(side);
    (void)snprintf(command, sizeof command, "%s/calls", opt.dir);
    FILE *table = rc == 0 ? fopen(command, "r") : NULL;
    if (table == NULL) return false;
    while (fgets(line, sizeof line, table) != NULL) {
        char *words[8], *next = NULL;
        int count = 0;
        for (char *word = strtok_r(line, " \n", &next); word != NULL && count < 8; word = strtok_r(NULL, " \n", &next)) words[count++] = word;
        if (count >= 5 && words[0][0] >= '0' && words[0][0] <= '9' && strcmp(words[count - 1], "total") != 0)
            add_call(calls, words[count - 1], factor * strtod(words[3], NULL));
    }
    (void)fclose(table);
    return true;
}

static int driver(enum side side, enum level level, enum shape shape, uint64_t count) {
    sqlite3 *db = open_database(side, level);
    (void)commit_many(db, shape, 1000000, 10); /* what happens once */
    (void)commit_many(db, shape, 0, count);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}

static bool report_calls_of(enum side side, enum level level, enum shape shape) {
    uint64_t count = opt.quick ? 50 : 500;
    struct calls calls = {.used = 0};
    if (!count_calls(side, level, shape, count, 1.0 / (double)count, &calls) || !count_calls(side, level, shape, 0, -1.0 / (double)count, &calls))
        return false;
    double total = 0;
    for (int i = 0; i < calls.used; i++) total += calls.count[i] < 0 ? 0 : calls.count[i];
    (void)printf("%-9s %-7s %-30s %6.1f ", side_names[side], level_names[level], shape_names[shape], total);
    for (int i = 0; i < calls.used; i++)
        if (calls.count[i] >= 0.05) (void)printf(" %s %.1f", calls.name[i], calls.count[i]);
    (void)printf("\n");
    return true;
}

static void report_calls(void) {
    (void)printf("System calls per commit, all threads\n\n");
    static const struct {
        enum side side;
        enum shape shape;
    } wanted[] = {{LSM, AUTOCOMMIT}, {ORDINARY, AUTOCOMMIT}, {LSM, TWO_TABLES}, {MIXED, TWO_TABLES}, {ORDINARY, TWO_TABLES}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        for (int level = 0; level < LEVELS; level++)
            if (!report_calls_of(wanted[i].side, (enum level)level, wanted[i].shape)) {
                (void)printf("strace is not there, or may not trace here: skipped\n");
                return;
            }
}

/* ---- main ------------------------------------------------------------------------------------------------------ */

static int number(const char *text) { return (int)strtol(text, NULL, 10); }

static int help(void) {
    (void)fprintf(stderr, "usage: cost_bench [--extension ./lsm] [--runs N] [--dir D] [--quick] [commits|processes|views|calls]...\n");
    return 2;
}

static bool wanted(int argc, char **argv, const char *part) {
    bool any = false;
    for (int i = 1; i < argc; i++) {
        static const char *const parts[] = {"commits", "processes", "views", "calls"};
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) any |= strcmp(argv[i], parts[p]) == 0;
        if (strcmp(argv[i], part) == 0) return true;
    }
    return !any;
}

int main(int argc, char **argv) {
    if (argc == 9 && strcmp(argv[1], "--worker") == 0) {
        (void)snprintf(opt.dir, sizeof opt.dir, "%s", argv[7]);
        opt.extension = argv[8];
        return worker(argv[2], (enum side)number(argv[3]), (enum level)number(argv[4]), strtoull(argv[5], NULL, 10), strtoull(argv[6], NULL, 10));
    }
    if (argc == 8 && strcmp(argv[1], "--driver") == 0) {
        (void)snprintf(opt.dir, sizeof opt.dir, "%s", argv[6]);
        opt.extension = argv[7];
        return driver((enum side)number(argv[2]), (enum level)number(argv[3]), (enum shape)number(argv[4]), strtoull(argv[5], NULL, 10));
    }
    opt.self = argv[0];
    bool made = true;
    (void)snprintf(opt.dir, sizeof opt.dir, "/tmp/lsm-cost-XXXXXX");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            opt.quick = 1;
        else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
            opt.runs = number(argv[++i]);
        else if (strcmp(argv[i], "--extension") == 0 && i + 1 < argc)
            opt.extension = argv[++i];
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
            (void)snprintf(opt.dir, sizeof opt.dir, "%s", argv[++i]);
            made = false;
        } else if (argv[i][0] == '-')
            return help();
    }
    if (opt.runs < 1 || opt.runs > RUNS_MAX) return help();
    if (made && mkdtemp(opt.dir) == NULL) die(NULL, opt.dir);
    bool c = wanted(argc, argv, "commits"), p = wanted(argc, argv, "processes"), v = wanted(argc, argv, "views");
    (void)printf("SQLite %s, lsm %s; journal_mode WAL; random 16-byte text keys, %d-byte values, %d rows before\n\n", sqlite3_libversion(),
                 LSM_VERSION, VALUE_BYTES, PREFILLED);
    for (int turn = 0; turn < opt.runs; turn++) {
        if (c) commits_turn(turn);
        if (p) processes_turn(turn);
        if (v) views_turn(turn);
        if (v) selects_turn(turn);
    }
    if (c) report_commits();
    if (p) report_processes();
    if (v) report_views();
    if (wanted(argc, argv, "calls")) report_calls();
    char command[400];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", opt.dir);
    if (made && system(command) != 0) die(NULL, command);
    return 0;
}
