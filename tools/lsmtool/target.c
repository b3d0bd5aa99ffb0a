/* Which store is meant, and being alone with it. */
#include "tool.h"

#include <sys/stat.h>

#include "../../ext/place.h"
#include "../../lsm_core/share/share.h"

enum { NOTE_OFFSET = 512, NOTE_BYTES = 120 }; /* in LOCK: who opened the store last (docs/format.md) */

static bool is_directory(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* ---- a directory ------------------------------------------------------------------------------------------------------- */

/* The id is what CURRENT says, or the directory's name. */
static int identify_dir(struct tool_target *target) {
    uint64_t number;
    if (lsm_manifest_named(lsm_env_posix(), target->dir, &number, target->store_id, NULL) == LSM_OK) return TOOL_OK;
    size_t size = strlen(target->dir);
    while (size > 1 && target->dir[size - 1] == '/') target->dir[--size] = 0;
    const char *name = strrchr(target->dir, '/') == NULL ? target->dir : strrchr(target->dir, '/') + 1;
    if (vt_hex_read(name, strlen(name), target->store_id, sizeof target->store_id)) return TOOL_OK;
    return tool_fail(TOOL_CANNOT, "%s: no store: there is no CURRENT that can be read, and the name is not that of a store", target->dir);
}

/* ---- a database -------------------------------------------------------------------------------------------------------- */

/* True if SQLite has nothing to add to the database file from the file with that suffix beside it. */
static bool is_empty(const char *path, const char *suffix) {
    struct stat info;
    char *beside = tool_got(sqlite3_mprintf("%s%s", path, suffix));
    bool empty = stat(beside, &info) != 0 || info.st_size == 0;
    sqlite3_free(beside);
    return empty;
}

/* The URI that has SQLite believe that nobody changes the file. */
static char *immutable_uri(const char *path) {
    char *whole = tool_got(realpath(path, NULL)), *uri = tool_got(sqlite3_mprintf("file:"));
    for (const char *c = whole; *c != 0; c++) uri = tool_got(sqlite3_mprintf(strchr("%?#", *c) == NULL ? "%z%c" : "%z%%%02X", uri, *c));
    free(whole);
    return tool_got(sqlite3_mprintf("%z?immutable=1", uri));
}

/* To read a file in WAL mode SQLite makes two files beside it. Where it cannot, as on a read-only medium, the file is enough if it was closed. */
static int open_readable(struct tool_target *target, const char *path) {
    int rc = sqlite3_open_v2(path, &target->db, SQLITE_OPEN_READONLY, NULL);
    if (rc != SQLITE_OK) return rc;
    rc = sqlite3_exec(target->db, "SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL);
    if ((rc & 0xff) != SQLITE_CANTOPEN || !is_empty(path, "-wal") || !is_empty(path, "-journal")) return SQLITE_OK;
    sqlite3_close(target->db);
    char *uri = immutable_uri(path);
    rc = sqlite3_open_v2(uri, &target->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    sqlite3_free(uri);
    return rc;
}

static int open_database(struct tool_target *target, const char *path) {
    struct vt_place place;
    char *message = NULL;
    if (open_readable(target, path) != SQLITE_OK)
        return tool_fail(TOOL_CANNOT, "%s: %s", path, target->db == NULL ? "out of memory" : sqlite3_errmsg(target->db));
    if (!tool_tables_read(target)) return TOOL_CANNOT;
    if (target->tables_count == 0) return tool_fail(TOOL_CANNOT, "%s: there is no LSM table in this database", path);
    if (vt_place_find(target->db, "main", &place, &message) != SQLITE_OK) return tool_fail(TOOL_CANNOT, "%s", message == NULL ? path : message);
    memcpy(target->store_id, target->tables[0].shadow.store_id, sizeof target->store_id);
    char *dir = tool_got(vt_place_dir(&place, target->store_id));
    target->dir = tool_got(lsm_strdup(dir));
    target->database = tool_got(lsm_strdup(place.file));
    sqlite3_free(dir);
    vt_place_release(&place);
    if (!is_directory(target->dir)) return tool_fail(TOOL_CANNOT, "%s: the store that %s names is not there", target->dir, path);
    return TOOL_OK;
}

/* ---- being alone --------------------------------------------------------------------------------------------------------- */

static int keep_others_out(struct tool_target *target) {
    struct lsm_error err = {0};
    char *path = tool_got(lsm_file_path(target->dir, LSM_FILE_LOCK, 0)), note[NOTE_BYTES + 1] = {0};
    size_t got = 0;
    int status = lsm_env_open(lsm_env_posix(), path, LSM_OPEN_READ | LSM_OPEN_WRITE, NULL, &target->lock, &err);
    lsm_free(path);
    if (status == LSM_NOTFOUND) return TOOL_OK; /* who opens a store makes it */
    if (status == LSM_READONLY) {
        (void)tool_fail(0, "note: no lock can be taken in %s; that no process has the store open is taken for granted", target->dir);
        return TOOL_OK;
    }
    if (status == LSM_OK) status = lsm_file_lock(target->lock, LSM_SHARE_PRESENT, LSM_LOCK_EXCLUSIVE, &err);
    if (status == LSM_OK) return TOOL_OK;
    if (status != LSM_BUSY) return tool_fail(TOOL_CANNOT, "%s", err.text);
    if (lsm_file_read_at(target->lock, NOTE_OFFSET, note, NOTE_BYTES, &got, NULL) != LSM_OK || note[0] == 0)
        (void)snprintf(note, sizeof note, "a process");
    return tool_fail(TOOL_CANNOT, "%s: the store is in use (last opened by %s): close the database everywhere first, or ask SELECT lsm_check() there",
                     target->dir, note);
}

int tool_open(const char *path, struct tool_target *target) {
    *target = (struct tool_target){0};
    int code;
    if (is_directory(path)) {
        target->dir = tool_got(lsm_strdup(path));
        code = identify_dir(target);
    } else {
        code = open_database(target, path);
    }
    if (code == TOOL_OK) code = keep_others_out(target);
    if (code != TOOL_OK) tool_close(target);
    return code;
}

void tool_close(struct tool_target *target) {
    lsm_file_close(target->lock);
    tool_tables_release(target);
    sqlite3_close(target->db);
    lsm_free(target->database);
    lsm_free(target->dir);
    *target = (struct tool_target){0};
}

/* ---- names ----------------------------------------------------------------------------------------------------------------- */

const struct tool_table *tool_table_of(const struct tool_target *target, uint32_t tree, int *index) {
    for (size_t i = 0; i < target->tables_count; i++) {
        const struct tool_table *table = &target->tables[i];
        *index = -1;
        if (table->shadow.tree.tree == tree) return table;
        for (int k = 0; table->schema != NULL && k < table->schema->index_count; k++) {
            *index = k;
            if (table->schema->indexes[k].tree.tree == tree) return table;
        }
    }
    return NULL;
}

const char *tool_tree_name(const struct tool_target *target, uint32_t tree) {
    static char text[300];
    int index;
    const struct tool_table *table = tool_table_of(target, tree, &index);
    (void)snprintf(text, sizeof text, "tree %" PRIu32, tree);
    if (table != NULL && index < 0) (void)snprintf(text, sizeof text, "table %s", table->name);
    if (table != NULL && index >= 0) (void)snprintf(text, sizeof text, "index %s of table %s", table->schema->indexes[index].name, table->name);
    for (size_t i = 0; table == NULL && i < target->tables_count; i++) {
        const struct vt_catalogue_entry *entry = vt_catalogue_find(&target->tables[i].catalogue, VT_CATALOGUE_SEQUENCE, "");
        if (entry != NULL && entry->tree.tree == tree) (void)snprintf(text, sizeof text, "numbers of table %s", target->tables[i].name);
    }
    return text;
}

const char *tool_key_text(const struct tool_target *target, struct lsm_slice key) {
    static char text[400];
    enum { SHOWN = 24 };
    if (key.size < LSM_TREE_BYTES) return "the beginning";
    uint32_t tree = (uint32_t)key.data[0] << 24 | (uint32_t)key.data[1] << 16 | (uint32_t)key.data[2] << 8 | key.data[3];
    int at = snprintf(text, sizeof text, "%s key ", tool_tree_name(target, tree)), index;
    const struct tool_table *table = tool_table_of(target, tree, &index);
    int64_t rowid;
    struct lsm_slice own = lsm_slice_of(key.data + LSM_TREE_BYTES, key.size - LSM_TREE_BYTES);
    if (table != NULL && index < 0 && table->schema != NULL && table->schema->kind == VT_KIND_ROWID && vt_key_get_int64(own, &rowid)) {
        (void)snprintf(text + at, sizeof text - (size_t)at, "%" PRId64, rowid);
        return text;
    }
    if (own.size == 0) (void)snprintf(text + at, sizeof text - (size_t)at, "(first)");
    for (size_t i = 0; i < own.size && i < SHOWN; i++) at += snprintf(text + at, sizeof text - (size_t)at, "%02x", own.data[i]);
    if (own.size > SHOWN) (void)snprintf(text + at, sizeof text - (size_t)at, "...");
    return text;
}
