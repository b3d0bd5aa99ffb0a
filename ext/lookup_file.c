#include "lookup_file.h"

/* Pages in memory, of one file. */
#define CACHE "-4096"

struct vt_lookup_file {
    sqlite3 *db;
    sqlite3_stmt *add;
};

static int fail_file(const struct vt_lookup_file *file, int rc, char **message) {
    if (rc == SQLITE_OK) return SQLITE_OK;
    return vt_fail(message, rc, "the temporary file of a lookup: %s", file->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(file->db));
}

int vt_lookup_file_open(struct vt_lookup_file **out, char **message) {
    *out = NULL;
    struct vt_lookup_file *file = sqlite3_malloc64(sizeof *file);
    if (file == NULL) return SQLITE_NOMEM;
    *file = (struct vt_lookup_file){0};
    int rc = sqlite3_open_v2("", &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    /* It is in nobody's way, and nobody needs it after a crash. */
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(file->db,
                          "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = " CACHE ";"
                          "CREATE TABLE rows(hash INTEGER, number INTEGER, key BLOB, record BLOB, PRIMARY KEY (hash, number)) WITHOUT ROWID; BEGIN",
                          NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(file->db, "INSERT INTO rows VALUES (?1, ?2, ?3, ?4)", -1, &file->add, NULL);
    if (rc != SQLITE_OK) {
        rc = fail_file(file, rc, message);
        vt_lookup_file_close(file);
        return rc;
    }
    *out = file;
    return SQLITE_OK;
}

void vt_lookup_file_close(struct vt_lookup_file *file) {
    if (file == NULL) return;
    sqlite3_finalize(file->add);
    (void)sqlite3_close(file->db);
    sqlite3_free(file);
}

int vt_lookup_file_add(struct vt_lookup_file *file, uint64_t hash, int64_t number, struct lsm_slice key, struct lsm_slice record, char **message) {
    int rc = sqlite3_bind_int64(file->add, 1, (sqlite3_int64)hash);
    if (rc == SQLITE_OK) rc = sqlite3_bind_int64(file->add, 2, number); /* LCOV_EXCL_BR_LINE: binding a number does not fail */
    if (rc == SQLITE_OK) rc = sqlite3_bind_blob64(file->add, 3, key.data, key.size, SQLITE_STATIC); /* LCOV_EXCL_BR_LINE: likewise */
    if (rc == SQLITE_OK) /* LCOV_EXCL_BR_LINE: what is not copied is bound without memory */
        rc = record.data == NULL ? sqlite3_bind_null(file->add, 4) : sqlite3_bind_blob64(file->add, 4, record.data, record.size, SQLITE_STATIC);
    if (rc == SQLITE_OK) (void)sqlite3_step(file->add); /* LCOV_EXCL_BR_LINE: likewise */
    int reset = sqlite3_reset(file->add);
    return fail_file(file, rc == SQLITE_OK ? reset : rc, message); /* LCOV_EXCL_BR_LINE: likewise */
}

int vt_lookup_file_seek(struct vt_lookup_file *file, uint64_t hash, sqlite3_stmt **statement, char **message) {
    int rc = SQLITE_OK;
    if (*statement == NULL) {
        rc = sqlite3_prepare_v2(file->db, "SELECT key, record FROM rows WHERE hash = ?1 ORDER BY number", -1, statement, NULL);
    } else {
        (void)sqlite3_reset(*statement); /* its error, if any, was told */
    }
    if (rc == SQLITE_OK) rc = sqlite3_bind_int64(*statement, 1, (sqlite3_int64)hash);
    return fail_file(file, rc, message);
}

int vt_lookup_file_next(struct vt_lookup_file *file, sqlite3_stmt *statement, bool *on, struct lsm_slice *key, struct lsm_slice *record,
                        char **message) {
    int rc = sqlite3_step(statement);
    *on = rc == SQLITE_ROW;
    *key = *record = (struct lsm_slice){0};
    if (rc == SQLITE_DONE) return SQLITE_OK;
    if (rc != SQLITE_ROW) return fail_file(file, rc, message);
    key->data = sqlite3_column_blob(statement, 0);
    key->size = (size_t)sqlite3_column_bytes(statement, 0);
    static const uint8_t nothing;
    if (sqlite3_column_type(statement, 1) != SQLITE_NULL) {
        record->data = sqlite3_column_blob(statement, 1);
        record->size = (size_t)sqlite3_column_bytes(statement, 1);
        if (record->size == 0) record->data = &nothing;
    }
    return key->data == NULL ? SQLITE_NOMEM : SQLITE_OK;
}
