#include "side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "md5.h"

/* What SQLite refuses for every virtual table; docs/sql.md has the list. */
static const char *const refusals[] = {"cannot create triggers on virtual tables", "no such trigger", "UPSERT not implemented for virtual table"};

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static bool run_quietly(sqlite3 *db, const char *sql) {
    char *message = NULL;
    bool ok = sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK;
    if (!ok) fprintf(stderr, "%s: %s\n", sql, message == NULL ? "?" : message);
    sqlite3_free(message);
    return ok;
}

static bool connect(struct side *side) {
    char *message = NULL, path[4096] = ":memory:";
    if (side->habits->folder != NULL) snprintf(path, sizeof path, "%s/%s.db", side->habits->folder, side->lsm ? "lsm" : "ordinary");
    bool ok = sqlite3_open(path, &side->db) == SQLITE_OK;
    if (ok && side->lsm) {
        sqlite3_enable_load_extension(side->db, 1);
        ok = sqlite3_load_extension(side->db, side->habits->extension, NULL, &message) == SQLITE_OK;
    }
    if (!ok) fprintf(stderr, "%s: %s\n", path, message != NULL ? message : sqlite3_errmsg(side->db));
    sqlite3_free(message);
    return ok && (side->habits->folder == NULL || run_quietly(side->db, "PRAGMA journal_mode = WAL"));
}

static bool has_function(sqlite3 *db, const char *name) {
    sqlite3_stmt *statement = NULL;
    bool has = false;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM pragma_function_list WHERE name = ?", -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        has = sqlite3_step(statement) == SQLITE_ROW;
    }
    sqlite3_finalize(statement);
    return has;
}

static bool takes(sqlite3 *db, const char *sql) {
    bool ok = sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    if (ok) ok = run_quietly(db, "DROP TABLE temp.probe");
    return ok;
}

bool side_open(struct side *side, const struct habits *habits, const struct script *script, bool lsm) {
    memset(side, 0, sizeof *side);
    side->habits = habits;
    side->lsm = lsm;
    if (!connect(side)) return false;
    side->indexes.available = lsm && has_function(side->db, "lsm_create_index");
    side->indexes.declarable = lsm && !side->indexes.available && takes(side->db, "CREATE VIRTUAL TABLE temp.probe USING lsm(a, INDEX i (a))");
    side->indexes.script = script;
    return true;
}

void side_close(struct side *side) {
    indexes_release(&side->indexes);
    sqlite3_close(side->db);
    while (side->labels != NULL) {
        struct label *gone = side->labels;
        side->labels = gone->next;
        free(gone);
    }
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

/* A query's values as the corpus writes them. */
struct values {
    char **at;
    size_t count, room;
    size_t columns;
};

static void values_release(struct values *values) {
    for (size_t i = 0; i < values->count; i++) sqlite3_free(values->at[i]);
    free(values->at);
}

static char *format_text(const char *text) {
    if (text == NULL || text[0] == '\0') return sqlite3_mprintf("(empty)");
    char *copy = sqlite3_mprintf("%s", text);
    for (char *at = copy; at != NULL && *at != '\0'; at++) {
        if (*at < ' ' || *at > '~') *at = '@';
    }
    return copy;
}

static char *format_value(sqlite3_stmt *statement, int column, char type) {
    if (sqlite3_column_type(statement, column) == SQLITE_NULL) return sqlite3_mprintf("NULL");
    if (type == 'I') return sqlite3_mprintf("%lld", sqlite3_column_int64(statement, column));
    if (type == 'R') return sqlite3_mprintf("%.3f", sqlite3_column_double(statement, column));
    return format_text((const char *)sqlite3_column_text(statement, column));
}

static void add_value(struct values *values, char *value) {
    if (value == NULL) abort();
    if (values->count == values->room) {
        values->room = values->room == 0 ? 64 : 2 * values->room;
        char **grown = realloc(values->at, values->room * sizeof *grown);
        if (grown == NULL) abort();
        values->at = grown;
    }
    values->at[values->count++] = value;
}

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

/* One row with its types. Reals are rounded: sums depend on the order in which they are made. */
static uint64_t row_print(sqlite3_stmt *statement) {
    uint64_t hash = 0xcbf29ce484222325u;
    char text[40];
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        unsigned char type = (unsigned char)sqlite3_column_type(statement, i);
        hash = mix(hash, &type, 1);
        if (type == SQLITE_FLOAT) {
            snprintf(text, sizeof text, "%.9g", sqlite3_column_double(statement, i));
            hash = mix(hash, text, strlen(text));
        } else if (type != SQLITE_NULL) {
            const void *bytes = sqlite3_column_blob(statement, i);
            hash = mix(hash, bytes, (size_t)sqlite3_column_bytes(statement, i));
        }
    }
    hash ^= hash >> 29;
    return hash * 0xbf58476d1ce4e5b9u;
}

static int compare_values(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int compare_rows(const void *a, const void *b, void *columns) {
    char *const *left = a, *const *right = b;
    int order = 0;
    for (size_t i = 0; i < *(size_t *)columns && order == 0; i++) order = strcmp(left[i], right[i]);
    return order;
}

static void sort_values(struct values *values, enum record_sort sort) {
    if (sort == SORT_VALUES && values->count > 0) qsort(values->at, values->count, sizeof *values->at, compare_values);
    if (sort == SORT_ROWS && values->columns > 0 && values->count > 0) {
        qsort_r(values->at, values->count / values->columns, values->columns * sizeof *values->at, compare_rows, &values->columns);
    }
}

static void hash_values(const struct values *values, char hex[33]) {
    struct md5 md5;
    md5_init(&md5);
    for (size_t i = 0; i < values->count; i++) {
        md5_add(&md5, values->at[i], strlen(values->at[i]));
        md5_add(&md5, "\n", 1);
    }
    md5_hex(&md5, hex);
}

/* The same as the expected text, which is the values line by line or their number and hash. */
static bool as_wanted(const struct values *values, const char *wanted, const char *hex) {
    char stated[33];
    size_t count;
    if (sscanf(wanted, "%zu values hashing to %32s", &count, stated) == 2) return count == values->count && strcmp(stated, hex) == 0;
    for (size_t i = 0; i < values->count; i++) {
        size_t length = strlen(values->at[i]);
        if (strncmp(wanted, values->at[i], length) != 0) return false;
        wanted += length;
        if (*wanted != (i + 1 < values->count ? '\n' : '\0')) return false;
        wanted += *wanted == '\n';
    }
    return *wanted == '\0';
}

/* Results of one label must be equal. */
static bool as_labelled(struct side *side, const char *name, const char *hex) {
    struct label *label = side->labels;
    while (label != NULL && strcmp(label->name, name) != 0) label = label->next;
    if (label != NULL) return strcmp(label->hex, hex) == 0;
    label = calloc(1, sizeof *label);
    if (label == NULL) abort();
    label->name = name;
    label->next = side->labels;
    memcpy(label->hex, hex, sizeof label->hex);
    side->labels = label;
    return true;
}

/* ---- records ---------------------------------------------------------------------------------------------------- */

static int run_statement(sqlite3 *db, const char *sql, const char **rest, const char *types, struct values *values, struct outcome *outcome) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, rest);
    if (rc != SQLITE_OK || statement == NULL) return rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        outcome->rows++;
        outcome->fingerprint += row_print(statement);
        values->columns = (size_t)sqlite3_column_count(statement);
        for (int i = 0; types != NULL && i < (int)values->columns; i++) {
            add_value(values, format_value(statement, i, i < (int)strlen(types) ? types[i] : 'T'));
        }
    }
    return sqlite3_finalize(statement);
}

/* A table that cannot be an LSM table (yet) stays an ordinary one, and is counted. */
static bool refused_table(const struct side *side, const struct record *record, const char *changed, struct outcome *outcome) {
    if (changed == NULL || outcome->rc == SQLITE_OK || record->wants_error || strncmp(changed, "CREATE VIRTUAL", 14) != 0) return false;
    outcome->verdict = VERDICT_KEPT;
    outcome->message = sqlite3_mprintf("%s", sqlite3_errmsg(side->db));
    return true;
}

/* One record may hold several statements; those of an LSM side are rewritten one by one. */
static void run_all(struct side *side, const struct record *record, struct values *values, struct outcome *outcome) {
    const char *at = record->sql;
    while (outcome->rc == SQLITE_OK && *at != '\0' && outcome->verdict == VERDICT_RIGHT) {
        char *changed = NULL;
        const char *rest = NULL;
        enum rewritten how = side->lsm ? rewrite(&side->indexes, at, &changed) : REWRITE_NONE;
        if (how == REWRITE_SKIP || how == REWRITE_DECLARED || how == REWRITE_NO_INDEX) {
            outcome->rc = how == REWRITE_NO_INDEX ? SQLITE_ERROR : SQLITE_OK;
            outcome->declared = how == REWRITE_DECLARED;
            if (how == REWRITE_SKIP) outcome->verdict = VERDICT_SKIPPED;
            if (how == REWRITE_NO_INDEX) outcome->message = sqlite3_mprintf("no such index");
            break;
        }
        outcome->rc = run_statement(side->db, changed == NULL ? at : changed, &rest, record->types, values, outcome);
        if (refused_table(side, record, changed, outcome)) outcome->rc = sqlite3_exec(side->db, at, NULL, NULL, NULL);
        sqlite3_free(changed);
        if (changed != NULL) rest = strchr(at, ';') == NULL ? "" : strchr(at, ';') + 1;
        if (outcome->rc != SQLITE_OK) outcome->message = sqlite3_mprintf("%s", sqlite3_errmsg(side->db));
        at = rest == NULL ? "" : rest;
    }
}

static void judge(struct side *side, const struct record *record, struct values *values, struct outcome *outcome) {
    if (outcome->verdict != VERDICT_RIGHT) return;
    for (size_t i = 0; side->lsm && !record->wants_error && outcome->message != NULL && i < sizeof refusals / sizeof *refusals; i++) {
        if (strstr(outcome->message, refusals[i]) != NULL) outcome->verdict = VERDICT_REFUSED;
    }
    if (outcome->verdict != VERDICT_RIGHT) return;
    if (record->wants_error) {
        if (outcome->rc != SQLITE_OK) return;
        outcome->message = sqlite3_mprintf("an error is expected");
    } else if (outcome->rc == SQLITE_OK) {
        if (record->kind == RECORD_STATEMENT) return;
        char hex[33];
        sort_values(values, record->sort);
        hash_values(values, hex);
        bool labelled = record->label == NULL || as_labelled(side, record->label, hex);
        if (labelled && (record->wanted == NULL || as_wanted(values, record->wanted, hex))) return;
        outcome->message = labelled ? sqlite3_mprintf("%lld values hashing to %s; expected: %.200s", (long long)values->count, hex, record->wanted)
                                    : sqlite3_mprintf("not what another query of label %s gave", record->label);
    }
    outcome->verdict = VERDICT_WRONG;
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool due(long every, long records) { return every > 0 && records % every == 0; }

/* Now and then: other places to read from. */
static bool upkeep(struct side *side) {
    const struct habits *habits = side->habits;
    long n = ++side->records;
    bool ok = true;
    if (side->lsm && due(habits->flush, n)) ok = run_quietly(side->db, "SELECT lsm_flush()");
    if (side->lsm && ok && due(habits->compact, n)) ok = run_quietly(side->db, "SELECT lsm_compact()");
    if (ok && due(habits->reopen, n) && sqlite3_get_autocommit(side->db)) {
        sqlite3_close(side->db);
        ok = connect(side);
    }
    return ok;
}

void side_run(struct side *side, size_t at, struct outcome *outcome) {
    const struct record *record = &side->indexes.script->records[at];
    struct values values = {0};
    side->indexes.record = at;
    memset(outcome, 0, sizeof *outcome);
    double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    run_all(side, record, &values, outcome);
    bool kept = upkeep(side);
    side->seconds += now(CLOCK_MONOTONIC) - wall;
    side->cpu_seconds += now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    judge(side, record, &values, outcome);
    if (!kept) {
        outcome->verdict = VERDICT_WRONG;
        sqlite3_free(outcome->message);
        outcome->message = sqlite3_mprintf("flushing, compacting or reopening failed");
    }
    values_release(&values);
}
