#include "connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pragma.h"

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct vt_connection *list; /* guarded by list_mutex */

struct vt_connection *vt_connection_ref(sqlite3 *db) {
    pthread_mutex_lock(&list_mutex);
    struct vt_connection *connection = list;
    while (connection != NULL && connection->db != db) connection = connection->next;
    if (connection == NULL) {
        connection = sqlite3_malloc64(sizeof *connection);
        if (connection != NULL) {
            memset(connection, 0, sizeof *connection);
            connection->db = db;
            connection->next = list;
            list = connection;
        }
    }
    if (connection != NULL) connection->refs++;
    pthread_mutex_unlock(&list_mutex);
    return connection;
}

static void close_store(struct vt_space *space) {
    vt_registry_release(space->shared);
    vt_place_release(&space->place);
    space->shared = NULL;
    space->store = NULL;
    space->serial++;
    space->bound = 0;
}

static void space_free(struct vt_space *space) {
    if (space->store != NULL) {
        vt_txn_rollback(space);
        vt_view_forget(space);
        close_store(space);
    }
    if (space->memory != NULL) lsm_env_mem_free(space->memory);
    sqlite3_free(space->txn.marks);
    sqlite3_free(space->txn.created);
    sqlite3_free(space->synchronous_sql);
    sqlite3_free(space->schema);
    sqlite3_free(space);
}

void vt_connection_unref(void *arg) {
    struct vt_connection *connection = arg;
    pthread_mutex_lock(&list_mutex);
    bool last = --connection->refs == 0;
    if (last) {
        struct vt_connection **link = &list;
        while (*link != connection) link = &(*link)->next;
        *link = connection->next;
    }
    pthread_mutex_unlock(&list_mutex);
    if (!last) return;
    while (connection->spaces != NULL) {
        struct vt_space *space = connection->spaces;
        connection->spaces = space->next;
        space_free(space);
    }
    sqlite3_free(connection);
}

bool vt_space_is_busy(const struct vt_space *space) { return space->txn.state != VT_TXN_IDLE || space->views.open > 0; }

/* SQLite does not say when a database is detached; but then its schema has another file, or none. */
static void close_detached(struct vt_connection *connection) {
    for (struct vt_space *space = connection->spaces; space != NULL; space = space->next) {
        if (space->store == NULL || space->tables > 0 || space->place.memory || vt_space_is_busy(space)) continue;
        const char *file = sqlite3_db_filename(connection->db, space->schema);
        if (file == NULL || strcmp(file, space->place.file) != 0) close_store(space);
    }
}

struct vt_space *vt_space_find(struct vt_connection *connection, const char *schema) {
    close_detached(connection);
    struct vt_space *space = connection->spaces;
    while (space != NULL && sqlite3_stricmp(space->schema, schema) != 0) space = space->next;
    if (space != NULL) return space;
    space = sqlite3_malloc64(sizeof *space);
    if (space == NULL) return NULL;
    memset(space, 0, sizeof *space);
    space->connection = connection;
    space->schema = sqlite3_mprintf("%s", schema);
    /* Without a name it is main's, which takes SQLite less time to understand. */
    space->synchronous_sql = vt_pragma_sql(sqlite3_stricmp(schema, "main") == 0 ? NULL : schema, "synchronous");
    if (space->schema == NULL || space->synchronous_sql == NULL) {
        sqlite3_free(space->schema);
        sqlite3_free(space->synchronous_sql);
        sqlite3_free(space);
        return NULL;
    }
    space->next = connection->spaces;
    connection->spaces = space;
    return space;
}

/* ---- the store ------------------------------------------------------------------------------------------------ */

static int fail_missing(const struct vt_place *place, const char *dir, const struct lsm_error *err, char **message) {
    if (place->memory) {
        return vt_fail(message, SQLITE_CANTOPEN,
                       "the rows of this LSM table are not here: they were kept in memory, by another connection, for a database without a file");
    }
    if (place->environment == NULL && access(dir, F_OK) == 0)
        return vt_fail(message, SQLITE_CANTOPEN,
                       "%s: the store's directory is there, but not complete; restore it from a backup, or save what is whole with lsmtool salvage",
                       err->text);
    return vt_fail(message, SQLITE_CANTOPEN,
                   "the store of this database's LSM tables is missing: there is no %s. The database file was probably copied, moved or "
                   "restored without its \"-lsm\" directory: put that directory beside it under the file's name, or DROP the tables",
                   dir);
}

#define URI_PREFIX       "lsm_"
#define URI_WRITE_BUFFER URI_PREFIX "write_buffer"
enum { WRITE_BUFFER_LEAST = 64 << 10, WRITE_BUFFER_MOST = 1 << 30 };

/* From the URI the database was opened with, e.g. "file:app.db?lsm_write_buffer=65536": of the host, which a schema is not. *bytes stays if it says nothing. */
static int read_uri(const struct vt_space *space, size_t *bytes, char **message) {
    const char *name = sqlite3_db_filename(space->connection->db, space->schema), *key, *text;
    for (int i = 0; name != NULL && (key = sqlite3_uri_key(name, i)) != NULL; i++) { /* LCOV_EXCL_BR_LINE: open databases have one, if only "" */
        if (strncmp(key, URI_PREFIX, strlen(URI_PREFIX)) != 0 || strcmp(key, URI_WRITE_BUFFER) == 0) continue;
        return vt_fail(message, SQLITE_ERROR, "the URI of database %s: there is no parameter %s", space->schema, key);
    }
    text = name == NULL ? NULL : sqlite3_uri_parameter(name, URI_WRITE_BUFFER); /* LCOV_EXCL_BR_LINE: likewise */
    if (text == NULL) return SQLITE_OK;
    size_t digits = strspn(text, "0123456789");
    unsigned long long value = strtoull(text, NULL, 10); /* too large: the greatest */
    if (digits == 0 || text[digits] != '\0' || value < WRITE_BUFFER_LEAST || value > WRITE_BUFFER_MOST) {
        return vt_fail(message, SQLITE_ERROR, "the URI of database %s: %s=%s, but it is a number of bytes, from %d to %d", space->schema,
                       URI_WRITE_BUFFER, text, WRITE_BUFFER_LEAST, WRITE_BUFFER_MOST);
    }
    *bytes = (size_t)value;
    return SQLITE_OK;
}

/* PRAGMA locking_mode = EXCLUSIVE before the first use keeps other processes out of the store as it does out of the database file. */
static bool wants_exclusive(const struct vt_space *space) {
    char *sql = sqlite3_mprintf("PRAGMA \"%w\".locking_mode", space->schema);
    sqlite3_stmt *statement = NULL;
    bool exclusive = false;
    if (sql != NULL && sqlite3_prepare_v2(space->connection->db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *mode = (const char *)sqlite3_column_text(statement, 0);
        exclusive = mode != NULL && sqlite3_stricmp(mode, "exclusive") == 0; /* LCOV_EXCL_BR_LINE: no memory is needed for this text */
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return exclusive;
}

/* Whoever maps the database file (PRAGMA mmap_size) maps as much of the table files, on the same terms. */
static uint64_t map_bytes(const struct vt_space *space) {
    char *text = vt_pragma_text(space->connection->db, space->schema, "mmap_size");
    long long bytes = text == NULL ? 0 : strtoll(text, NULL, 10);
    sqlite3_free(text);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

/* Where the store is, whose its files are, how it is used. */
static void fill_options(const struct vt_space *space, const struct vt_place *place, const char *dir, struct lsm_options *options) {
    lsm_options_init(options);
    if (place->environment != NULL) {
        options->env = place->environment->env;
        options->threads = place->environment->threads;
        if (place->environment->write_buffer_bytes != 0) options->write_buffer_bytes = place->environment->write_buffer_bytes;
    }
    options->dir = dir;
    options->file_mode = place->mode;
    options->owner_uid = place->uid;
    options->owner_gid = place->gid;
    options->process_name = program_invocation_short_name;
    if (sqlite3_threadsafe() == 0) options->threads = 0; /* LCOV_EXCL_BR_LINE: a SQLite built without threads */
    options->exclusive = place->memory;
    if (place->memory) return;
    options->exclusive = wants_exclusive(space);
    options->map_bytes = map_bytes(space);
    if (place->environment != NULL) return;
    /* A connection that may not write is no reason not to share: it sees what others commit. Without the right to write there is no sharing. */
    options->read_only = sqlite3_db_readonly(space->connection->db, space->schema) == 1 && access(dir, F_OK) == 0 && access(dir, W_OK) != 0;
}

static int open_at(struct vt_space *space, struct vt_place *place, const char *dir, const uint8_t *store_id, enum vt_open_mode mode, char **message) {
    struct lsm_options options;
    fill_options(space, place, dir, &options);
    int rc = read_uri(space, &options.write_buffer_bytes, message);
    if (rc == SQLITE_OK && mode == VT_OPEN_CREATE) rc = vt_place_prepare(place, message);
    if (rc != SQLITE_OK) return rc;
    if (place->memory && space->memory == NULL) {
        space->memory = lsm_env_mem_new();
        if (space->memory == NULL) return SQLITE_NOMEM;
    }
    if (place->memory) options.env = space->memory;
    if (place->memory) options.reserve_bytes = 0;
    options.store_id = store_id;
    options.create = mode == VT_OPEN_CREATE;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = vt_registry_acquire(&options, place->memory, &space->shared, &err);
    if (status == LSM_NOTFOUND) return fail_missing(place, dir, &err, message);
    if (status == LSM_MISMATCH || (status == LSM_IO && (err.os_errno == EACCES || err.os_errno == EPERM)))
        return vt_fail(message, SQLITE_CANTOPEN, "%s", err.text);
    return vt_fail_engine(message, status, &err);
}

int vt_space_open(struct vt_space *space, const uint8_t *store_id, enum vt_open_mode mode, char **message) {
    if (space->store != NULL && memcmp(space->store_id, store_id, LSM_STORE_ID_BYTES) == 0) return SQLITE_OK;
    if (space->store != NULL && vt_space_is_busy(space)) {
        return vt_fail(message, SQLITE_CORRUPT_VTAB, "the LSM tables of schema %s name different stores", space->schema);
    }
    struct vt_place place;
    int rc = vt_place_find(space->connection->db, space->schema, &place, message);
    if (rc != SQLITE_OK) return rc;
    if (space->store != NULL) close_store(space);
    char *dir = vt_place_dir(&place, store_id);
    if (dir == NULL) rc = SQLITE_NOMEM;
    if (rc == SQLITE_OK) rc = open_at(space, &place, dir, store_id, mode, message);
    if (rc == SQLITE_OK) {
        space->store = vt_shared_store(space->shared);
        space->place = place;
        memcpy(space->store_id, store_id, LSM_STORE_ID_BYTES);
        space->serial++;
        place.file = NULL;
    }
    sqlite3_free(dir);
    vt_place_release(&place);
    return rc;
}
