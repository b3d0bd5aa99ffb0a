#include "facts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "catalogue.h"
#include "check.h"
#include "home.h"
#include "shadow.h"

/* The open store of the schema, or NULL in *store if it has none. */
static int open_store(struct vt_connection *connection, const char *schema, struct lsm_store **store, char **message) {
    *store = NULL;
    struct vt_space *space = vt_space_find(connection, schema);
    int rc = space == NULL ? SQLITE_NOMEM : vt_home_open(space, VT_OPEN_EXISTING, message);
    if (rc == SQLITE_OK) *store = space->store;
    return rc;
}

/* ---- lsm_stats ------------------------------------------------------------------------------------------------ */

static void add_stat(struct vt_report *report, const char *name, uint64_t value, const char *unit, const char *meaning) {
    vt_report_text(report, name);
    vt_report_int(report, value > INT64_MAX ? INT64_MAX : (int64_t)value); /* LCOV_EXCL_BR_LINE: no counter gets there */
    vt_report_text(report, unit);
    vt_report_text(report, meaning);
}

static void add_text_stat(struct vt_report *report, const char *name, const char *value, const char *meaning) {
    vt_report_text(report, name);
    vt_report_text(report, value);
    vt_report_text(report, "text");
    vt_report_text(report, meaning);
}

static void add_work(struct vt_report *report, const struct lsm_stats *s) {
    add_stat(report, "commits", s->commits, "count", "transactions committed since the store was opened");
    add_stat(report, "rollbacks", s->rollbacks, "count", "transactions rolled back");
    add_stat(report, "puts", s->puts, "rows", "rows written");
    add_stat(report, "deletes", s->deletes, "rows", "rows deleted one by one");
    add_stat(report, "range_deletes", s->range_deletes, "count", "ranges deleted at once, dropped tables included");
    add_stat(report, "gets", s->gets, "count", "lookups of one key, for uniqueness too");
    add_stat(report, "get_hits", s->get_hits, "count", "of these, found");
    add_stat(report, "filter_probes", s->filter_probes, "count", "table files asked through their filter");
    add_stat(report, "filter_negatives", s->filter_negatives, "count", "of these, spared a read");
    add_stat(report, "seeks", s->seeks, "count", "scans positioned");
    add_stat(report, "cache_hits", s->cache_hits, "blocks", "found in the block cache");
    add_stat(report, "cache_misses", s->cache_misses, "blocks", "read from files");
    add_stat(report, "wal_bytes", s->wal_bytes, "bytes", "written to the log");
    add_stat(report, "wal_syncs", s->wal_syncs, "count", "times the log was synced");
    add_stat(report, "flushes", s->flushes, "count", "generations written to table files");
    add_stat(report, "flush_bytes", s->flush_bytes, "bytes", "written by flushes");
    add_stat(report, "merges", s->merges, "count", "merges of table files");
    add_stat(report, "merge_bytes_read", s->merge_bytes_read, "bytes", "read by merges");
    add_stat(report, "merge_bytes_written", s->merge_bytes_written, "bytes", "written by merges");
    add_stat(report, "trivial_moves", s->trivial_moves, "files", "moved down a level without being rewritten");
    add_stat(report, "stall_us", s->stall_us, "us", "time writers were slowed down");
}

static void add_state(struct vt_report *report, const struct lsm_stats *s) {
    add_stat(report, "memtable_bytes", s->memtable_bytes, "bytes", "rows in memory, not yet flushed");
    add_stat(report, "sealed_memtables", (uint64_t)s->sealed_memtables, "count", "generations waiting for their flush");
    add_stat(report, "cache_bytes", s->cache_bytes, "bytes", "in the block cache");
    add_stat(report, "mapped_bytes", s->mapped_bytes, "bytes", "of table files that are mapped (PRAGMA mmap_size)");
    add_stat(report, "table_bytes", s->table_bytes, "bytes", "table files on disk");
    add_stat(report, "reserve_bytes", s->reserve_bytes, "bytes", "disk space held back for deleting when the disk is full");
    add_stat(report, "wal_bytes_on_disk", s->wal_bytes_on_disk, "bytes", "log files on disk");
    add_stat(report, "level0_runs", (uint64_t)s->level0_runs, "count", "youngest runs, each a place to look");
    add_stat(report, "pinned_views", (uint64_t)s->pinned_views, "count", "views in use, by statements that run");
    add_stat(report, "position", s->position, "bytes", "end of the log, over all generations");
    add_stat(report, "synced_position", s->synced_position, "bytes", "up to here the log is known to be on disk");
    add_stat(report, "generation", s->generation, "number", "newest log file");
    add_stat(report, "version", s->version, "count", "edits applied to the manifest");
    add_text_stat(report, "background_status", lsm_status_name(s->background_status), "state of the background work");
    add_text_stat(report, "background_error", s->background_error[0] == '\0' ? NULL : s->background_error, "why it stopped");
    add_text_stat(report, "stall_reason", s->stall_reason[0] == '\0' ? NULL : s->stall_reason, "why the last write was slowed down");
}

static const char *mode_name(enum lsm_mode mode) {
    switch (mode) {
    case LSM_MODE_SHARED: return "shared";
    case LSM_MODE_EXCLUSIVE: return "exclusive";
    case LSM_MODE_READ_ONLY: return "read only";
    }
    return "unknown";
}

/* Who may use the store, and who does. */
static int add_sharing(struct vt_report *report, struct lsm_store *store, char **message) {
    struct lsm_reader_info *readers;
    size_t count;
    const char *why = NULL;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_store_readers(store, &readers, &count, &err);
    if (status != LSM_OK) return vt_fail_engine(message, status, &err);
    lsm_free(readers);
    add_text_stat(report, "mode", mode_name(lsm_store_mode(store, &why)), "whether other processes can use the store at the same time");
    add_text_stat(report, "mode_reason", why == NULL || why[0] == '\0' ? NULL : why, "why they cannot");
    add_stat(report, "processes", count, "count", "processes that have the store open, this one included");
    return SQLITE_OK;
}

static int collect_stats(struct vt_connection *connection, const char *schema, struct vt_report *report, char **message) {
    struct lsm_store *store;
    int rc = open_store(connection, schema, &store, message);
    if (rc != SQLITE_OK || store == NULL) return rc;
    struct lsm_stats stats;
    memset(&stats, 0, sizeof stats);
    lsm_store_stats(store, &stats);
    add_text_stat(report, "directory", lsm_store_dir(store), "where the store is");
    rc = add_sharing(report, store, message);
    if (rc != SQLITE_OK) return rc;
    add_work(report, &stats);
    add_state(report, &stats);
    return SQLITE_OK;
}

/* ---- lsm_files and lsm_levels --------------------------------------------------------------------------------- */

static const char *compression_name(enum lsm_compression compression) {
    switch (compression) {
    case LSM_COMPRESS_NONE: return "none";
    case LSM_COMPRESS_LZ4: return "lz4";
    case LSM_COMPRESS_ZSTD: return "zstd";
    }
    return "unknown";
}

static void add_file(struct vt_report *report, const struct lsm_file_info *file) {
    vt_report_int(report, (int64_t)file->number);
    vt_report_int(report, file->level);
    vt_report_int(report, file->run);
    vt_report_int(report, (int64_t)file->rows);
    vt_report_int(report, (int64_t)file->tombstones);
    vt_report_int(report, (int64_t)file->range_tombstones);
    vt_report_int(report, (int64_t)file->bytes);
    vt_report_int(report, (int64_t)file->raw_bytes);
    vt_report_text(report, compression_name(file->compression));
    vt_report_int(report, file->tree_low);
    vt_report_int(report, file->tree_high);
    vt_report_int(report, (int64_t)file->log_low);
    vt_report_int(report, (int64_t)file->log_high);
}

static int list_files(struct vt_connection *connection, const char *schema, struct lsm_file_info **files, size_t *count, char **message) {
    *files = NULL;
    *count = 0;
    struct lsm_store *store;
    int rc = open_store(connection, schema, &store, message);
    if (rc != SQLITE_OK || store == NULL) return rc;
    struct lsm_error err;
    vt_error_clear(&err);
    return vt_fail_engine(message, lsm_store_files(store, files, count, &err), &err);
}

static int collect_files(struct vt_connection *connection, const char *schema, struct vt_report *report, char **message) {
    struct lsm_file_info *files;
    size_t count;
    int rc = list_files(connection, schema, &files, &count, message);
    if (rc != SQLITE_OK) return rc;
    for (size_t i = 0; i < count; i++) add_file(report, &files[i]);
    lsm_free(files);
    return SQLITE_OK;
}

static void add_level(struct vt_report *report, int level, const struct lsm_file_info *files, size_t count) {
    int64_t file_count = 0, rows = 0, tombstones = 0, bytes = 0, raw_bytes = 0;
    int runs = 0;
    for (size_t i = 0; i < count; i++) {
        if (files[i].level != level) continue;
        file_count++;
        rows += (int64_t)files[i].rows;
        tombstones += (int64_t)files[i].tombstones;
        bytes += (int64_t)files[i].bytes;
        raw_bytes += (int64_t)files[i].raw_bytes;
        if (files[i].run + 1 > runs) runs = files[i].run + 1;
    }
    if (file_count == 0) return;
    vt_report_int(report, level);
    vt_report_int(report, level == 0 ? runs : 1);
    vt_report_int(report, file_count);
    vt_report_int(report, rows);
    vt_report_int(report, tombstones);
    vt_report_int(report, bytes);
    vt_report_int(report, raw_bytes);
}

static int collect_levels(struct vt_connection *connection, const char *schema, struct vt_report *report, char **message) {
    struct lsm_file_info *files;
    size_t count;
    int rc = list_files(connection, schema, &files, &count, message);
    if (rc != SQLITE_OK) return rc;
    int deepest = -1;
    for (size_t i = 0; i < count; i++) deepest = files[i].level > deepest ? files[i].level : deepest;
    for (int level = 0; level <= deepest; level++) add_level(report, level, files, count);
    lsm_free(files);
    return SQLITE_OK;
}

/* ---- lsm_tables ----------------------------------------------------------------------------------------------- */

/* part: NULL for the rows, or an index. */
static void add_tree(struct vt_report *report, const char *name, const char *part, struct lsm_view *view, uint32_t tree) {
    struct lsm_estimate estimate = {0};
    lsm_view_estimate(view, tree, NULL, NULL, &estimate);
    vt_report_text(report, name);
    vt_report_int(report, tree);
    vt_report_int(report, (int64_t)estimate.rows);
    vt_report_int(report, (int64_t)estimate.bytes);
    vt_report_text(report, part);
}

/* The committed tree with this number is taken out of the list. */
static bool take_tree(struct lsm_tree_info *trees, size_t count, struct lsm_tree_info tree) {
    for (size_t i = 0; i < count; i++) {
        if (trees[i].tree != tree.tree || trees[i].nonce != tree.nonce) continue;
        trees[i].tree = 0;
        return true;
    }
    return false;
}

/* The table's other trees. */
static void add_parts(const struct vt_catalogue *catalogue, const char *name, struct lsm_view *view, struct lsm_tree_info *trees, size_t count,
                      struct vt_report *report) {
    for (int i = 0; i < catalogue->count; i++) {
        const struct vt_catalogue_entry *entry = &catalogue->entries[i];
        bool index = strncmp(entry->key, VT_CATALOGUE_INDEX, strlen(VT_CATALOGUE_INDEX)) == 0;
        if (take_tree(trees, count, entry->tree))
            add_tree(report, name, index ? entry->key + strlen(VT_CATALOGUE_INDEX) : entry->key, view, entry->tree.tree);
    }
}

/* The table's trees; of one that is damaged what can be told. */
static int add_table(struct vt_space *space, const char *name, struct lsm_view *view, struct lsm_tree_info *trees, size_t count,
                     struct vt_report *report) {
    sqlite3 *db = space->connection->db;
    struct vt_shadow shadow;
    struct vt_catalogue catalogue = {0};
    int rc = vt_shadow_read(db, space->schema, name, &shadow, &catalogue, NULL);
    bool torn = rc == SQLITE_CORRUPT_VTAB && vt_shadow_read(db, space->schema, name, &shadow, NULL, NULL) == SQLITE_OK;
    if ((rc == SQLITE_OK || torn) && take_tree(trees, count, shadow.tree)) add_tree(report, name, NULL, view, shadow.tree.tree);
    if (rc == SQLITE_OK) add_parts(&catalogue, name, view, trees, count, report);
    vt_catalogue_release(&catalogue);
    return rc == SQLITE_NOMEM ? rc : SQLITE_OK;
}

static int add_named(struct vt_space *space, struct lsm_view *view, struct lsm_tree_info *trees, size_t count, struct vt_report *report) {
    char *sql =
        sqlite3_mprintf("SELECT substr(name, 1, length(name) - length('_" VT_SHADOW_SUFFIX "')) FROM \"%w\".sqlite_schema WHERE type = 'table'"
                        " AND rootpage > 0 AND name LIKE '%%!_" VT_SHADOW_SUFFIX "' ESCAPE '!' ORDER BY 1",
                        space->schema);
    if (sql == NULL) return SQLITE_NOMEM;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(space->connection->db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        rc = name == NULL ? SQLITE_NOMEM : add_table(space, name, view, trees, count, report);
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int collect_tables(struct vt_connection *connection, const char *schema, struct vt_report *report, char **message) {
    struct lsm_store *store;
    struct vt_view *view = NULL;
    struct lsm_tree_info *trees = NULL;
    size_t count = 0;
    int rc = open_store(connection, schema, &store, message);
    if (rc != SQLITE_OK || store == NULL) return rc;
    struct vt_space *space = vt_space_find(connection, schema);
    if (space == NULL) return SQLITE_NOMEM; /* LCOV_EXCL_BR_LINE: open_store() has made it */
    struct lsm_error err;
    vt_error_clear(&err);
    rc = vt_fail_engine(message, lsm_store_trees(store, &trees, &count, &err), &err);
    if (rc == SQLITE_OK) rc = vt_view_acquire(space, &view, message);
    if (rc == SQLITE_OK) rc = add_named(space, view->engine, trees, count, report);
    for (size_t i = 0; i < count && rc == SQLITE_OK; i++) {
        if (trees[i].tree != 0) add_tree(report, NULL, NULL, view->engine, trees[i].tree); /* garbage: collected some day */
    }
    vt_view_unref(space, view);
    lsm_free(trees);
    return rc;
}

/* ---- lsm_readers ---------------------------------------------------------------------------------------------- */

/* A time as SQLite's datetime() writes it, with milliseconds; NULL if it is 0. */
static void report_time(struct vt_report *report, uint64_t us) {
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    char day[32], text[48];
    if (us == 0 || gmtime_r(&seconds, &parts) == NULL || strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        vt_report_text(report, NULL);
        return;
    }
    (void)snprintf(text, sizeof text, "%s.%03u", day, (unsigned)(us / 1000 % 1000));
    vt_report_text(report, text);
}

static void add_reader(struct vt_report *report, const struct lsm_reader_info *reader) {
    vt_report_int(report, (int64_t)reader->pid);
    vt_report_text(report, reader->name);
    vt_report_int(report, reader->own);
    report_time(report, reader->opened_at_us);
    vt_report_int(report, (int64_t)reader->views);
    vt_report_int(report, reader->versions);
    vt_report_int(report, reader->old_versions);
    if (reader->oldest_view_us == 0)
        vt_report_text(report, NULL);
    else
        vt_report_real(report, (double)reader->oldest_view_us / 1e6);
}

static int collect_readers(struct vt_connection *connection, const char *schema, struct vt_report *report, char **message) {
    struct lsm_store *store;
    int rc = open_store(connection, schema, &store, message);
    if (rc != SQLITE_OK || store == NULL) return rc;
    struct lsm_reader_info *readers;
    size_t count;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_store_readers(store, &readers, &count, &err);
    if (status != LSM_OK) return vt_fail_engine(message, status, &err);
    for (size_t i = 0; i < count; i++) add_reader(report, &readers[i]);
    lsm_free(readers);
    return SQLITE_OK;
}

/* ---- lsm_check ------------------------------------------------------------------------------------------------ */

static void add_problem(void *arg, const char *text) { vt_report_text(arg, text); }

static int collect_problems(struct vt_connection *connection, const char *schema, struct vt_report *report, char **message) {
    return vt_check_schema(connection, schema, add_problem, report, message);
}

/* ---- the list ------------------------------------------------------------------------------------------------- */

static const struct vt_facts all[] = {
    {"lsm_stats", "name TEXT, value, unit TEXT, meaning TEXT", 4, collect_stats},
    {"lsm_levels", "level INTEGER, runs INTEGER, files INTEGER, rows INTEGER, tombstones INTEGER, bytes INTEGER, raw_bytes INTEGER", 7,
     collect_levels},
    {"lsm_files",
     "number INTEGER, level INTEGER, run INTEGER, rows INTEGER, tombstones INTEGER, range_tombstones INTEGER, bytes INTEGER, raw_bytes INTEGER,"
     " compression TEXT, tree_low INTEGER, tree_high INTEGER, log_low INTEGER, log_high INTEGER",
     13, collect_files},
    {"lsm_readers", "pid INTEGER, process TEXT, own INTEGER, opened TEXT, views INTEGER, versions INTEGER, old_versions INTEGER, oldest_seconds REAL",
     8, collect_readers},
    {"lsm_tables", "name TEXT, tree INTEGER, rows INTEGER, bytes INTEGER, part TEXT", 5, collect_tables},
    {"lsm_check", "problem TEXT", 1, collect_problems},
};

const struct vt_facts *vt_facts_at(int i) { return i >= 0 && i < (int)(sizeof all / sizeof all[0]) ? &all[i] : NULL; }

const struct vt_facts *vt_facts_find(const char *name) {
    for (int i = 0; vt_facts_at(i) != NULL; i++) { /* LCOV_EXCL_BR_LINE: SQLite asks for registered names */
        if (sqlite3_stricmp(all[i].name, name) == 0) return &all[i];
    }
    return NULL;
}
