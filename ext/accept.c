#include "accept.h"

#include <string.h>

#include "connection.h"
#include "home.h"

int vt_accept_begin(struct vt_space *space, char **message) {
    struct lsm_tree_info tree;
    int rc = vt_txn_tree_create(space, &tree, message);
    return rc == SQLITE_OK ? vt_txn_tree_drop(space, tree.tree, message) : rc;
}

/* A statement that writes nothing but joins the table to a transaction, which does the rest (txn.c). Any table of the store serves. */
static int run_on(struct vt_space *space, const char *shadow_table, char **message) {
    sqlite3 *db = space->connection->db;
    int name_size = (int)strlen(shadow_table) - (int)strlen("_" VT_SHADOW_SUFFIX);
    char *sql = sqlite3_mprintf("DELETE FROM \"%w\".\"%.*w\" WHERE 0", space->schema, name_size, shadow_table);
    if (sql == NULL) return SQLITE_NOMEM;
    char *text = NULL;
    space->accept = VT_ACCEPT_WANTED;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &text);
    bool done = space->accept == VT_ACCEPT_DONE;
    space->accept = VT_ACCEPT_NOTHING;
    sqlite3_free(sql);
    if (rc == SQLITE_OK && !done) rc = SQLITE_NOTFOUND; /* an ordinary table of that name, or none at all */
    if (rc != SQLITE_OK && rc != SQLITE_NOTFOUND) (void)vt_fail(message, rc, "%s", text != NULL ? text : sqlite3_errstr(rc));
    sqlite3_free(text);
    return rc;
}

/* Tables whose rows the store does not have. */
static int count_missing(const struct vt_space *space, const struct vt_shadow_list *list) {
    int missing = 0;
    for (int i = 0; i < list->count; i++) {
        const char *table = list->entries[i].table;
        bool counted = i > 0 && strcmp(list->entries[i - 1].table, table) == 0;
        if (!counted && lsm_store_tree_check(space->store, list->entries[i].shadow.tree) != LSM_OK) missing++;
    }
    return missing;
}

static int accept_all(struct vt_space *space, int *missing, char **message) {
    struct vt_shadow_list list;
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    if (rc == SQLITE_OK) rc = SQLITE_NOTFOUND;
    for (int i = 0; i < list.count && rc == SQLITE_NOTFOUND; i++) rc = run_on(space, list.entries[i].table, message);
    *missing = count_missing(space, &list);
    vt_shadow_list_release(&list);
    if (rc == SQLITE_NOTFOUND) rc = vt_fail(message, SQLITE_ERROR, "schema %s has no LSM table", space->schema);
    return rc;
}

static char *describe(enum vt_verdict verdict, int missing) {
    char *lost =
        missing == 0 ? sqlite3_mprintf("") : sqlite3_mprintf("; the rows of %d table%s are not there at all: DROP", missing, missing == 1 ? "" : "s");
    if (lost == NULL) return NULL;
    const char *text = verdict == VT_AHEAD
                           ? "accepted: the database is older than the store; rows of LSM tables may be newer than those of ordinary tables"
                           : "accepted: the store is older than the database; rows of LSM tables may be older than those of ordinary tables";
    char *report = sqlite3_mprintf("%s%s", text, lost);
    sqlite3_free(lost);
    return report;
}

int vt_accept(struct vt_connection *connection, const char *schema, char **report, char **message) {
    *report = NULL;
    if (sqlite3_get_autocommit(connection->db) == 0) return vt_fail(message, SQLITE_ERROR, "lsm_accept() is a transaction of its own: COMMIT first");
    struct vt_space *space = vt_space_find(connection, schema);
    int rc = space == NULL ? SQLITE_NOMEM : vt_home_open(space, VT_OPEN_EXISTING, message);
    enum vt_verdict verdict = VT_FITS;
    int missing = 0;
    if (rc == SQLITE_OK && space->store != NULL && !space->place.memory) rc = vt_decide_compare(space, &verdict, message);
    if (rc != SQLITE_OK) return rc;
    if (verdict == VT_FITS || verdict == VT_NOTHING_TO_COMPARE) {
        *report = sqlite3_mprintf("nothing to accept: the database and its LSM tables fit together");
    } else {
        rc = accept_all(space, &missing, message);
        /* What was bound for this transaction only is looked at again. */
        space->serial++;
        space->bound = 0;
        if (rc == SQLITE_OK) *report = describe(verdict, missing);
    }
    return rc == SQLITE_OK && *report == NULL ? SQLITE_NOMEM : rc;
}
