/* Runs files of the sqllogictest corpus on ordinary tables and on LSM tables: `slt --extension ./lsm [options] FILE|FOLDER...`
 * A failure counts only if ordinary tables do not fail there too. */
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "side.h"

struct totals {
    long files, queries, statements;
    long ordinary_wrong; /* records that ordinary tables get wrong */
    long lsm_wrong;      /* and those that only LSM tables do */
    long different;      /* right by the corpus, but not the ordinary table's rows and types */
    long skipped, declared, kept, refused;
    double ordinary_seconds, lsm_seconds, ordinary_cpu, lsm_cpu;
};

static struct {
    struct habits habits;
    bool verbose;
    long shown; /* complaints so far */
    char **paths;
    size_t path_count;
} settings;

#define COMPLAINTS_MAX 200

static void complain(const char *path, const struct record *record, const char *what, const struct outcome *outcome) {
    if (settings.shown++ >= COMPLAINTS_MAX) return;
    printf("%s:%d: %s: %s\n    %.400s\n", path, record->line, what, outcome->message == NULL ? "" : outcome->message, record->sql);
}

/* The LSM side's outcome, held against the ordinary one. */
static void compare(const char *path, const struct record *record, const struct outcome *ordinary, const struct outcome *lsm, struct totals *totals) {
    totals->queries += record->kind == RECORD_QUERY;
    totals->statements += record->kind == RECORD_STATEMENT;
    totals->skipped += lsm->verdict == VERDICT_SKIPPED && !lsm->declared;
    totals->declared += lsm->declared;
    totals->kept += lsm->verdict == VERDICT_KEPT;
    totals->refused += lsm->verdict == VERDICT_REFUSED;
    if (ordinary->verdict == VERDICT_WRONG) {
        totals->ordinary_wrong++;
        if (settings.verbose) complain(path, record, "ordinary tables fail too", ordinary);
    } else if (lsm->verdict == VERDICT_KEPT) {
        complain(path, record, "this table stays ordinary", lsm);
    } else if (lsm->verdict == VERDICT_WRONG) {
        totals->lsm_wrong++;
        complain(path, record, "FAIL", lsm);
    } else if (lsm->verdict == VERDICT_RIGHT && (ordinary->rows != lsm->rows || ordinary->fingerprint != lsm->fingerprint) &&
               record->kind == RECORD_QUERY) {
        totals->different++;
        complain(path, record, "DIFFERENT rows or types", lsm);
    }
}

static void add(struct totals *totals, const struct totals *file) {
    totals->files++;
    totals->queries += file->queries;
    totals->statements += file->statements;
    totals->ordinary_wrong += file->ordinary_wrong;
    totals->lsm_wrong += file->lsm_wrong;
    totals->different += file->different;
    totals->skipped += file->skipped;
    totals->declared += file->declared;
    totals->kept += file->kept;
    totals->refused += file->refused;
    totals->ordinary_seconds += file->ordinary_seconds;
    totals->lsm_seconds += file->lsm_seconds;
    totals->ordinary_cpu += file->ordinary_cpu;
    totals->lsm_cpu += file->lsm_cpu;
}

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static void print_totals(const char *name, const struct totals *t) {
    printf("%s: %ld queries, %ld statements, %ld failed, %ld different, %ld fail on ordinary tables too, %ld index statements skipped, "
           "%ld indexes declared with their tables, %ld tables kept ordinary, %ld statements refused by SQLite; %.2f s against %.2f s: ratio %.2f "
           "(processor time %.2f)\n",
           name, t->queries, t->statements, t->lsm_wrong, t->different, t->ordinary_wrong, t->skipped, t->declared, t->kept, t->refused,
           t->lsm_seconds, t->ordinary_seconds, ratio(t->lsm_seconds, t->ordinary_seconds), ratio(t->lsm_cpu, t->ordinary_cpu));
    fflush(stdout);
}

/* A side starts with files that are not there. */
static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info, (void)type, (void)at;
    return remove(path);
}

static void remove_files(void) {
    static const char *const names[] = {"ordinary.db", "ordinary.db-wal", "ordinary.db-shm", "lsm.db", "lsm.db-wal", "lsm.db-shm", "lsm.db-lsm"};
    char path[4096];
    for (size_t i = 0; settings.habits.folder != NULL && i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", settings.habits.folder, names[i]);
        nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    }
}

/* All records on one side; the outcomes go to an array. */
static bool run_side(const struct script *script, bool lsm, struct outcome *outcomes, double *seconds, double *cpu) {
    struct side side;
    if (!side_open(&side, &settings.habits, script, lsm)) return false;
    for (size_t i = 0; i < script->count; i++) side_run(&side, i, &outcomes[i]);
    *seconds = side.seconds;
    *cpu = side.cpu_seconds;
    side_close(&side);
    return true;
}

static bool run_file(const char *path, struct totals *totals) {
    struct script script;
    struct totals file = {0};
    bool ok = script_read(&script, path);
    struct outcome *ordinary = calloc(script.count + 1, sizeof *ordinary), *lsm = calloc(script.count + 1, sizeof *lsm);
    if (ordinary == NULL || lsm == NULL) abort();
    remove_files();
    ok = ok && run_side(&script, false, ordinary, &file.ordinary_seconds, &file.ordinary_cpu) &&
         run_side(&script, true, lsm, &file.lsm_seconds, &file.lsm_cpu);
    for (size_t i = 0; i < script.count; i++) {
        if (ok) compare(path, &script.records[i], &ordinary[i], &lsm[i], &file);
        sqlite3_free(ordinary[i].message);
        sqlite3_free(lsm[i].message);
    }
    remove_files();
    if (!ok) {
        file.lsm_wrong++;
        printf("%s: could not be run\n", path);
    }
    if (settings.verbose) print_totals(path, &file);
    add(totals, &file);
    free(ordinary);
    free(lsm);
    script_release(&script);
    return ok;
}

static int collect(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info, (void)at;
    size_t length = strlen(path);
    if (type != FTW_F || length < 5 || strcmp(path + length - 5, ".test") != 0) return 0;
    char **grown = realloc(settings.paths, (settings.path_count + 1) * sizeof *grown);
    if (grown == NULL) abort();
    settings.paths = grown;
    settings.paths[settings.path_count++] = strdup(path);
    return 0;
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int usage(void) {
    fprintf(stderr, "usage: slt --extension PATH [--folder F] [--reopen N] [--flush N] [--compact N] [--verbose] FILE|FOLDER...\n"
                    "--folder: databases in files there, instead of memory; --reopen, --flush, --compact: after every N records\n");
    return 2;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"extension", required_argument, NULL, 'e'},
                                            {"folder", required_argument, NULL, 'd'},
                                            {"reopen", required_argument, NULL, 'r'},
                                            {"flush", required_argument, NULL, 'f'},
                                            {"compact", required_argument, NULL, 'c'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'e': settings.habits.extension = optarg; break;
        case 'd': settings.habits.folder = optarg; break;
        case 'r': settings.habits.reopen = atol(optarg); break;
        case 'f': settings.habits.flush = atol(optarg); break;
        case 'c': settings.habits.compact = atol(optarg); break;
        case 'v': settings.verbose = true; break;
        default: return usage();
        }
    }
    if (settings.habits.extension == NULL || optind == argc || (settings.habits.reopen > 0 && settings.habits.folder == NULL)) return usage();
    for (int i = optind; i < argc; i++) nftw(argv[i], collect, 16, FTW_PHYS);
    if (settings.path_count == 0) return usage();
    qsort(settings.paths, settings.path_count, sizeof *settings.paths, compare_paths);
    struct totals totals = {0};
    for (size_t i = 0; i < settings.path_count; i++) {
        run_file(settings.paths[i], &totals);
        free(settings.paths[i]);
    }
    free(settings.paths);
    printf("SQLite %s, %ld files\n", sqlite3_libversion(), totals.files);
    print_totals("all", &totals);
    return totals.lsm_wrong + totals.different > 0;
}
