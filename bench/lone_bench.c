/* lone_bench: the instructions that a lone process spends because others might come: each kind of work in a store that is shared and in one that this process
 * has for itself, counted by callgrind (skipped where there is none). A run of N less a run of none, divided by N, cancels what happens once.
 *
 * 1. The engine's calls, without threads.
 * 2. Prepared statements in SQL. SQLite itself works the same way on both sides: PRAGMA locking_mode = EXCLUSIVE stands only while the store is opened.
 * With --engine or --sql the program is one of its own helpers.
 */
#include <unistd.h>

#include "kit.h"

#define PREFILLED     2000
#define ROWS_OF_RANGE 100

static struct {
    const char *extension, *self;
    char dir[256];
    int quick;
} opt = {"./lsm", NULL, "", 0};

struct work {
    const char *name;
    uint64_t count, quick_count; /* a multiple of the rows of a transaction */
};

/* ---- the engine ----------------------------------------------------------------------------------------------- */

enum engine_work { COMMIT_1, COMMIT_10, VIEW, LOOKUP, ENGINE_WORKS };
static const struct work engine_works[ENGINE_WORKS] = {{"a commit of one row", 10000, 200},
                                                       {"a commit of ten rows", 2000, 200},
                                                       {"open and close a view", 10000, 200},
                                                       {"the same, with a lookup of one key", 10000, 200}};

static int engine(bool exclusive, enum engine_work work, uint64_t count) {
    uint32_t tree;
    char dir[300];
    (void)snprintf(dir, sizeof dir, "%s/store", opt.dir);
    struct lsm_store *store = open_store(dir, exclusive, 0, PREFILLED, &tree); /* no threads: their turns are not reproducible */
    uint64_t rows = work == COMMIT_1 ? 1 : 10;
    for (uint64_t i = 0; i < count && work <= COMMIT_10; i++) put_rows(store, tree, PREFILLED + i * rows, rows);
    if (work > COMMIT_10) look_up(store, tree, PREFILLED, count, work == LOOKUP);
    close_store(store, dir);
    return 0;
}

/* ---- SQL ------------------------------------------------------------------------------------------------------ */

enum sql_work { INSERT_NORMAL, INSERT_FULL, INSERT_1000, SELECT_ONE, SELECT_RANGE, TRANSACTION, SQL_WORKS };
static const struct work sql_works[SQL_WORKS] = {{"autocommit INSERT, NORMAL", 2000, 100},
                                                 {"autocommit INSERT, FULL", 500, 100},
                                                 {"INSERT, 1000 in a transaction, NORMAL", 10000, 1000},
                                                 {"SELECT by key", 5000, 100},
                                                 {"SELECT of a range of 100 rows", 500, 100},
                                                 {"BEGIN, SELECT by key, COMMIT", 2000, 100}};

static sqlite3 *open_database(const char *extension, bool exclusive, bool full) {
    sqlite3 *db = NULL;
    char path[300];
    (void)snprintf(path, sizeof path, "%s/lone.db", opt.dir);
    if (sqlite3_open(path, &db) != SQLITE_OK) die(db, path);
    load_extension(db, extension);
    run(db, "PRAGMA journal_mode = WAL");
    run(db, "SELECT count(*) FROM sqlite_schema"); /* SQLite has its shared memory from here on */
    if (exclusive) run(db, "PRAGMA locking_mode = EXCLUSIVE");
    run(db, "CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v TEXT)");
    run(db, "PRAGMA locking_mode = NORMAL; SELECT count(*) FROM sqlite_schema");
    run(db, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    return db;
}

static void insert_rows(sqlite3 *db, uint64_t first, uint64_t count, uint64_t rows_of_transaction) {
    sqlite3_stmt *insert = prepare(db, "INSERT INTO t VALUES (?1, ?2)"), *begin = prepare(db, "BEGIN"), *commit = prepare(db, "COMMIT");
    for (uint64_t i = 0; i < count; i++) {
        if (rows_of_transaction > 1 && i % rows_of_transaction == 0) step_done(db, begin);
        insert_row(db, insert, first + i);
        if (rows_of_transaction > 1 && i % rows_of_transaction == rows_of_transaction - 1) step_done(db, commit);
    }
    (void)sqlite3_finalize(insert);
    (void)sqlite3_finalize(begin);
    (void)sqlite3_finalize(commit);
}

static void select_rows(sqlite3 *db, enum sql_work work, uint64_t count) {
    sqlite3_stmt *begin = prepare(db, "BEGIN"), *commit = prepare(db, "COMMIT");
    sqlite3_stmt *select = prepare(db, work == SELECT_RANGE ? "SELECT v FROM t WHERE k >= ?1 LIMIT 100" : "SELECT v FROM t WHERE k = ?1");
    for (uint64_t i = 0; i < count; i++) {
        char key[KEY_BYTES];
        make_key(key, mix64(i) % PREFILLED, 1);
        if (work == SELECT_RANGE) key[0] = "0123456"[i % 7]; /* rows enough behind it */
        if (work == TRANSACTION) step_done(db, begin);
        (void)sqlite3_bind_text(select, 1, key, KEY_BYTES, SQLITE_STATIC);
        int rows = 0;
        while (sqlite3_step(select) == SQLITE_ROW) rows++;
        if (sqlite3_reset(select) != SQLITE_OK || rows != (work == SELECT_RANGE ? ROWS_OF_RANGE : 1)) die(db, "select");
        if (work == TRANSACTION) step_done(db, commit);
    }
    (void)sqlite3_finalize(select);
    (void)sqlite3_finalize(begin);
    (void)sqlite3_finalize(commit);
}

static int sql(bool exclusive, enum sql_work work, uint64_t count, const char *extension) {
    sqlite3 *db = open_database(extension, exclusive, work == INSERT_FULL);
    insert_rows(db, 0, PREFILLED, PREFILLED);
    if (work <= INSERT_1000)
        insert_rows(db, PREFILLED, count, work == INSERT_1000 ? 1000 : 1);
    else
        select_rows(db, work, count);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}

/* ---- counting ------------------------------------------------------------------------------------------------- */

/* What callgrind counts; negative if it cannot. */
static double instructions(const char *kind, bool exclusive, int work, uint64_t count) {
    char command[2048], line[512];
    double found = -1;
    (void)snprintf(command, sizeof command,
                   "rm -rf '%s'/store '%s'/lone.db* && valgrind --tool=callgrind --callgrind-out-file=/dev/null '%s' --%s %d %d %lu '%s' '%s' 2>&1",
                   opt.dir, opt.dir, opt.self, kind, exclusive, work, (unsigned long)count, opt.dir, opt.extension);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL) return -1;
    while (fgets(line, sizeof line, pipe) != NULL) {
        const char *text = strstr(line, "Collected : ");
        if (text != NULL) found = strtod(text + strlen("Collected : "), NULL);
    }
    return pclose(pipe) == 0 ? found : -1;
}

static void report(const char *kind, const struct work *works, int count) {
    for (int i = 0; i < count; i++) {
        uint64_t times = opt.quick ? works[i].quick_count : works[i].count;
        double cost[2];
        for (int exclusive = 0; exclusive < 2; exclusive++) {
            double none = instructions(kind, exclusive, i, 0), all = instructions(kind, exclusive, i, times);
            if (none < 0 || all < 0) {
                (void)printf("%-42s valgrind is not there, or the work failed: skipped\n", works[i].name);
                return;
            }
            cost[exclusive] = (all - none) / (double)times;
        }
        (void)printf("%-42s %12.0f %12.0f %+7.2f %%\n", works[i].name, cost[1], cost[0], 100 * (cost[0] / cost[1] - 1));
        (void)fflush(stdout);
    }
}

/* ---- main ----------------------------------------------------------------------------------------------------- */

static int number(const char *text) { return (int)strtol(text, NULL, 10); }

int main(int argc, char **argv) {
    if (argc == 7 && (strcmp(argv[1], "--engine") == 0 || strcmp(argv[1], "--sql") == 0)) {
        bool exclusive = number(argv[2]) != 0;
        (void)snprintf(opt.dir, sizeof opt.dir, "%s", argv[5]);
        if (strcmp(argv[1], "--engine") == 0) return engine(exclusive, (enum engine_work)number(argv[3]), strtoull(argv[4], NULL, 10));
        return sql(exclusive, (enum sql_work)number(argv[3]), strtoull(argv[4], NULL, 10), argv[6]);
    }
    opt.self = argv[0];
    (void)snprintf(opt.dir, sizeof opt.dir, "/tmp/lsm-lone-XXXXXX");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            opt.quick = 1;
        else if (strcmp(argv[i], "--extension") == 0 && i + 1 < argc)
            opt.extension = argv[++i];
        else {
            (void)fprintf(stderr, "usage: lone_bench [--extension ./lsm] [--quick]\n");
            return 2;
        }
    }
    if (mkdtemp(opt.dir) == NULL) die(NULL, opt.dir);
    (void)printf("Instructions of a lone process, counted by callgrind\n\n%-42s %12s %12s\n", "", "exclusive", "shared");
    report("engine", engine_works, ENGINE_WORKS);
    report("sql", sql_works, SQL_WORKS);
    char command[400];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", opt.dir);
    if (system(command) != 0) die(NULL, command);
    return 0;
}
