#include "shadow.h"

#include <string.h>

#include "hex.h"
#include "sql.h"

#define TOKEN_HEX_BYTES (2 * LSM_TOKEN_BYTES)
#define TOKEN_ROW       5 /* rowid of the token */

int vt_shadow_create(sqlite3 *db, const char *schema, const char *table, const struct vt_shadow *shadow, char **message) {
    char id[VT_STORE_HEX_BYTES + 1], nonce[VT_NONCE_HEX_BYTES + 1];
    vt_hex_write(shadow->store_id, LSM_STORE_ID_BYTES, id);
    vt_nonce_write(shadow->tree.nonce, nonce);
    sqlite3_int64 rowid = sqlite3_last_insert_rowid(db);
    int rc = vt_sql_run(db, message,
                        sqlite3_mprintf("CREATE TABLE \"%w\".\"%w_" VT_SHADOW_SUFFIX "\"(id INTEGER PRIMARY KEY, key TEXT, value);"
                                        "INSERT INTO \"%w\".\"%w_" VT_SHADOW_SUFFIX
                                        "\" VALUES(1,'format',%d),(2,'store',%Q),(3,'tree',%u),(4,'nonce',%Q),(%d,'token','%032d')",
                                        schema, table, schema, table, VT_SHADOW_FORMAT, id, shadow->tree.tree, nonce, TOKEN_ROW, 0));
    sqlite3_set_last_insert_rowid(db, rowid);
    return rc;
}

int vt_shadow_drop(sqlite3 *db, const char *schema, const char *table, char **message) {
    return vt_sql_run(db, message, sqlite3_mprintf("DROP TABLE IF EXISTS \"%w\".\"%w_" VT_SHADOW_SUFFIX "\"", schema, table));
}

int vt_shadow_rename(sqlite3 *db, const char *schema, const char *table, const char *new_table, char **message) {
    return vt_sql_run(
        db, message,
        sqlite3_mprintf("ALTER TABLE \"%w\".\"%w_" VT_SHADOW_SUFFIX "\" RENAME TO \"%w_" VT_SHADOW_SUFFIX "\"", schema, table, new_table));
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

enum { SEEN_FORMAT = 1, SEEN_STORE = 2, SEEN_TREE = 4, SEEN_NONCE = 8, SEEN_TOKEN = 16, SEEN_ALL = 31 };

/* One row into *shadow; the bit of what it held, 0 if it is of no interest or not what it should be. */
static int take_row(sqlite3_stmt *statement, struct vt_shadow *shadow, int64_t *format) {
    const char *key = (const char *)sqlite3_column_text(statement, 0);
    if (key == NULL) return 0;
    int type = sqlite3_column_type(statement, 1);
    if (strcmp(key, "format") == 0 && type == SQLITE_INTEGER) {
        *format = sqlite3_column_int64(statement, 1);
        return SEEN_FORMAT;
    }
    if (strcmp(key, "tree") == 0 && type == SQLITE_INTEGER) {
        int64_t tree = sqlite3_column_int64(statement, 1);
        if (tree < 1 || tree > UINT32_MAX) return 0;
        shadow->tree.tree = (uint32_t)tree;
        return SEEN_TREE;
    }
    if (type != SQLITE_TEXT) return 0;
    const char *text = (const char *)sqlite3_column_text(statement, 1);
    size_t size = (size_t)sqlite3_column_bytes(statement, 1);
    if (text == NULL) return 0;
    if (strcmp(key, "store") == 0) return vt_hex_read(text, size, shadow->store_id, LSM_STORE_ID_BYTES) ? SEEN_STORE : 0;
    if (strcmp(key, "token") == 0) return vt_hex_read(text, size, shadow->token, LSM_TOKEN_BYTES) ? SEEN_TOKEN : 0;
    if (strcmp(key, "nonce") == 0) return vt_nonce_read(text, size, &shadow->tree.nonce) ? SEEN_NONCE : 0;
    return 0;
}

/* What the rows said, all of it. */
static int judge(const char *schema, const char *shadow_table, int seen, int64_t format, char **message) {
    if ((seen & SEEN_FORMAT) != 0 && format > VT_SHADOW_FORMAT) {
        return vt_fail(message, SQLITE_CANTOPEN, "this LSM table was made by a newer release of the extension (format %lld; this one, %s, knows %d)",
                       (long long)format, LSM_VERSION, VT_SHADOW_FORMAT);
    }
    if (seen == 0) return vt_fail(message, SQLITE_NOTFOUND, "the shadow table %s.%s is empty", schema, shadow_table);
    if (seen == SEEN_ALL && format == VT_SHADOW_FORMAT) return SQLITE_OK;
    return vt_fail(message, SQLITE_CORRUPT_VTAB, "the shadow table %s.%s is damaged: it does not say which %s", schema, shadow_table,
                   (seen | SEEN_TOKEN) == SEEN_ALL && format == VT_SHADOW_FORMAT ? "transaction was the last one" : "store and tree hold the rows");
}

/* Reads the table called `shadow_table`. SQLITE_NOTFOUND: it has none of our rows. catalogue may be NULL. */
static int read_named(sqlite3 *db, const char *schema, const char *shadow_table, struct vt_shadow *shadow, struct vt_catalogue *catalogue,
                      char **message) {
    char *sql = sqlite3_mprintf("SELECT key, value FROM \"%w\".\"%w\"", schema, shadow_table);
    if (sql == NULL) return SQLITE_NOMEM;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_NO_VTAB, &statement, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_ERROR) {
        return vt_fail(message, SQLITE_CORRUPT_VTAB, "cannot read the shadow table %s.%s: %s", schema, shadow_table, sqlite3_errmsg(db));
    }
    if (rc != SQLITE_OK) return vt_fail_sqlite(message, rc, db);
    int seen = 0, taken = SQLITE_OK;
    int64_t format = 0;
    memset(shadow, 0, sizeof *shadow);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        int found = take_row(statement, shadow, &format);
        const char *key = (const char *)sqlite3_column_text(statement, 0);
        if (catalogue != NULL && taken == SQLITE_OK && found == 0 && key != NULL)
            taken = vt_catalogue_take(catalogue, key, (const char *)sqlite3_column_text(statement, 1));
        seen |= found;
    }
    rc = rc == SQLITE_DONE ? judge(schema, shadow_table, seen, format, message) : vt_fail_sqlite(message, rc, db);
    sqlite3_finalize(statement);
    if (rc != SQLITE_OK || taken != SQLITE_CORRUPT_VTAB) return rc == SQLITE_OK ? taken : rc;
    return vt_fail(message, taken, "the shadow table %s.%s is damaged: what it says of an index cannot be understood", schema, shadow_table);
}

int vt_shadow_read(sqlite3 *db, const char *schema, const char *table, struct vt_shadow *shadow, struct vt_catalogue *catalogue, char **message) {
    char *name = sqlite3_mprintf("%s_" VT_SHADOW_SUFFIX, table);
    if (name == NULL) return SQLITE_NOMEM;
    int rc = read_named(db, schema, name, shadow, catalogue, message);
    sqlite3_free(name);
    return rc == SQLITE_NOTFOUND ? SQLITE_CORRUPT_VTAB : rc;
}

/* Tables that could be shadow tables: the name ends right and the columns are there. */
static const char list_sql[] =
    "SELECT name FROM \"%w\".sqlite_schema AS m WHERE type = 'table' AND rootpage > 0 AND name LIKE '%%!_" VT_SHADOW_SUFFIX "' ESCAPE '!'"
    " AND (SELECT count(*) FROM pragma_table_info(m.name, %Q) WHERE name IN ('key', 'value')) = 2";

static int list_push(struct vt_shadow_list *list, const char *table, const struct vt_shadow *shadow) {
    if (list->count == list->capacity) {
        int capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        struct vt_shadow_entry *grown = sqlite3_realloc64(list->entries, (size_t)capacity * sizeof *grown);
        if (grown == NULL) return SQLITE_NOMEM;
        list->entries = grown;
        list->capacity = capacity;
    }
    struct vt_shadow_entry *entry = &list->entries[list->count];
    entry->shadow = *shadow;
    entry->table = sqlite3_mprintf("%s", table);
    if (entry->table == NULL) return SQLITE_NOMEM;
    list->count++;
    return SQLITE_OK;
}

static int list_add(sqlite3 *db, const char *schema, sqlite3_stmt *statement, struct vt_shadow_list *list) {
    const char *name = (const char *)sqlite3_column_text(statement, 0);
    if (name == NULL) return SQLITE_NOMEM;
    struct vt_shadow shadow;
    struct vt_catalogue catalogue = {0};
    int rc = read_named(db, schema, name, &shadow, &catalogue, NULL);
    if (rc == SQLITE_CORRUPT_VTAB || rc == SQLITE_CANTOPEN) list->damaged = true;
    /* Where only the other trees are in doubt, that of the rows and the token are known. */
    if (rc == SQLITE_CORRUPT_VTAB) rc = read_named(db, schema, name, &shadow, NULL, NULL);
    if (rc == SQLITE_OK) rc = list_push(list, name, &shadow);
    for (int i = 0; i < catalogue.count && rc == SQLITE_OK; i++) {
        shadow.tree = catalogue.entries[i].tree;
        rc = list_push(list, name, &shadow);
    }
    vt_catalogue_release(&catalogue);
    return rc == SQLITE_CORRUPT_VTAB || rc == SQLITE_CANTOPEN || rc == SQLITE_NOTFOUND ? SQLITE_OK : rc;
}

void vt_shadow_list_release(struct vt_shadow_list *list) {
    for (int i = 0; i < list->count; i++) sqlite3_free(list->entries[i].table);
    sqlite3_free(list->entries);
    memset(list, 0, sizeof *list);
}

int vt_shadow_list(sqlite3 *db, const char *schema, struct vt_shadow_list *list, char **message) {
    memset(list, 0, sizeof *list);
    char *sql = sqlite3_mprintf(list_sql, schema, schema);
    if (sql == NULL) return SQLITE_NOMEM;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    while (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW) rc = list_add(db, schema, statement, list);
    }
    if (rc == SQLITE_DONE) rc = SQLITE_OK;
    if (rc != SQLITE_OK) rc = vt_fail_sqlite(message, rc, db);
    sqlite3_finalize(statement);
    return rc;
}

/* ---- the token ------------------------------------------------------------------------------------------------ */

/* A routine that SQLite was built without has no address. */
static bool blobs_are_there(void) { return sqlite3_compileoption_used("OMIT_INCRBLOB") == 0; }

/* A handle on the token of this table, if that is what stands there: else slot->blob stays NULL. */
static int open_blob(struct vt_shadow_slot *slot, const char *schema, const char *shadow_table) {
    if (!blobs_are_there()) return SQLITE_OK; /* LCOV_EXCL_BR_LINE: no SQLite tested is without them */
    int rc = sqlite3_blob_open(slot->db, schema, shadow_table, "value", TOKEN_ROW, 1, &slot->blob);
    if (rc == SQLITE_OK && sqlite3_blob_bytes(slot->blob) == TOKEN_HEX_BYTES) return SQLITE_OK;
    if (rc == SQLITE_OK) (void)sqlite3_blob_close(slot->blob);
    slot->blob = NULL;
    return vt_error_undoes(rc) ? rc : SQLITE_OK;
}

int vt_shadow_slot_open(struct vt_shadow_slot *slot, sqlite3 *db, const char *schema, const char *shadow_table, char **message) {
    memset(slot, 0, sizeof *slot);
    slot->db = db;
    struct vt_shadow shadow;
    int rc = open_blob(slot, schema, shadow_table);
    if (rc == SQLITE_OK && slot->blob == NULL) rc = read_named(db, schema, shadow_table, &shadow, NULL, message);
    if (rc == SQLITE_CORRUPT_VTAB || rc == SQLITE_CANTOPEN) return SQLITE_NOTFOUND;
    if (rc != SQLITE_OK || slot->blob != NULL) return rc;
    slot->schema = sqlite3_mprintf("%s", schema);
    slot->table = sqlite3_mprintf("%s", shadow_table);
    return slot->schema == NULL || slot->table == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

int vt_shadow_slot_write(struct vt_shadow_slot *slot, const uint8_t *token, char **message) {
    char hex[TOKEN_HEX_BYTES + 1];
    vt_hex_write(token, LSM_TOKEN_BYTES, hex);
    if (slot->blob == NULL) {
        return vt_sql_run(slot->db, message,
                          sqlite3_mprintf("UPDATE \"%w\".\"%w\" SET value = %Q WHERE key = 'token'", slot->schema, slot->table, hex));
    }
    int rc = sqlite3_blob_write(slot->blob, hex, TOKEN_HEX_BYTES, 0);
    return rc == SQLITE_OK ? rc : vt_fail_sqlite(message, rc, slot->db);
}

void vt_shadow_slot_release(struct vt_shadow_slot *slot) {
    if (slot->blob != NULL) (void)sqlite3_blob_close(slot->blob);
    sqlite3_free(slot->schema);
    sqlite3_free(slot->table);
    memset(slot, 0, sizeof *slot);
}
