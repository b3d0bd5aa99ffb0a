#include "catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "shadow.h"
#include "sql.h"

void vt_catalogue_release(struct vt_catalogue *catalogue) {
    for (int i = 0; i < catalogue->count; i++) {
        sqlite3_free(catalogue->entries[i].key);
        sqlite3_free(catalogue->entries[i].definition);
    }
    sqlite3_free(catalogue->entries);
    *catalogue = (struct vt_catalogue){0};
}

/* `<tree> <nonce>[ definition]` */
static bool parse_value(const char *text, struct lsm_tree_info *tree, const char **definition) {
    uint64_t number = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && p - text < 10; p++) number = number * 10 + (uint64_t)(*p - '0');
    if (p == text || *p != ' ' || number == 0 || number > UINT32_MAX) return false;
    if (strlen(p + 1) < VT_NONCE_HEX_BYTES || !vt_nonce_read(p + 1, VT_NONCE_HEX_BYTES, &tree->nonce)) return false;
    tree->tree = (uint32_t)number;
    *definition = p + 1 + VT_NONCE_HEX_BYTES;
    return **definition == '\0' || **definition == ' ';
}

static int add_entry(struct vt_catalogue *catalogue, const char *key, const char *value) {
    if (catalogue->count == catalogue->capacity) {
        int capacity = catalogue->capacity == 0 ? 4 : 2 * catalogue->capacity;
        struct vt_catalogue_entry *grown = sqlite3_realloc64(catalogue->entries, (size_t)capacity * sizeof *grown);
        if (grown == NULL) return SQLITE_NOMEM;
        catalogue->entries = grown;
        catalogue->capacity = capacity;
    }
    struct vt_catalogue_entry entry = {0};
    const char *definition;
    if (!parse_value(value, &entry.tree, &definition)) return SQLITE_CORRUPT_VTAB;
    entry.key = sqlite3_mprintf("%s", key);
    entry.definition = sqlite3_mprintf("%s", definition);
    catalogue->entries[catalogue->count++] = entry;
    return entry.key == NULL || entry.definition == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

int vt_catalogue_take(struct vt_catalogue *catalogue, const char *key, const char *value) {
    if (strcmp(key, VT_CATALOGUE_SEQUENCE) != 0 && strncmp(key, VT_CATALOGUE_INDEX, strlen(VT_CATALOGUE_INDEX)) != 0) return SQLITE_OK;
    if (value == NULL) return SQLITE_CORRUPT_VTAB;
    int rc = add_entry(catalogue, key, value);
    if (rc != SQLITE_OK) return rc;
    for (int i = catalogue->count - 1; i > 0 && catalogue->entries[i - 1].tree.tree > catalogue->entries[i].tree.tree; i--) {
        struct vt_catalogue_entry later = catalogue->entries[i - 1];
        catalogue->entries[i - 1] = catalogue->entries[i];
        catalogue->entries[i] = later;
    }
    return SQLITE_OK;
}

const struct vt_catalogue_entry *vt_catalogue_find(const struct vt_catalogue *catalogue, const char *kind, const char *name) {
    size_t size = strlen(kind);
    for (int i = 0; i < catalogue->count; i++) {
        const struct vt_catalogue_entry *entry = &catalogue->entries[i];
        if (strncmp(entry->key, kind, size) == 0 && sqlite3_stricmp(entry->key + size, name) == 0) return entry;
    }
    return NULL;
}

int vt_catalogue_add(sqlite3 *db, const char *schema, const char *table, const char *kind, const char *name, struct lsm_tree_info tree,
                     const char *definition, char **message) {
    char nonce[VT_NONCE_HEX_BYTES + 1];
    vt_nonce_write(tree.nonce, nonce);
    sqlite3_int64 rowid = sqlite3_last_insert_rowid(db);
    int rc = vt_sql_run(db, message,
                        sqlite3_mprintf("INSERT INTO \"%w\".\"%w_" VT_SHADOW_SUFFIX "\"(key, value) VALUES('%q%q', '%u %s%q')", schema, table, kind,
                                        name, tree.tree, nonce, definition));
    sqlite3_set_last_insert_rowid(db, rowid);
    return rc;
}

int vt_catalogue_remove(sqlite3 *db, const char *schema, const char *table, const char *kind, const char *name, char **message) {
    return vt_sql_run(db, message,
                      sqlite3_mprintf("DELETE FROM \"%w\".\"%w_" VT_SHADOW_SUFFIX "\" WHERE key = '%q%q' COLLATE nocase", schema, table, kind, name));
}
