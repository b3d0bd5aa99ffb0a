#include "module.h"

#include "best_index.h"
#include "check.h"
#include "cursor.h"
#include "hook.h"
#include "table.h"
#include "write.h"

/* What SQLite 3.44 has added behind the methods that the header may be too old to know. */
struct methods {
    sqlite3_module known;
#if SQLITE_VERSION_NUMBER < 3044000
    int (*xIntegrity)(sqlite3_vtab *vtab, const char *schema, const char *table, int flags, char **problem);
#endif
};

static const struct methods module = {
#if SQLITE_VERSION_NUMBER < 3044000
    .xIntegrity = vt_check_integrity,
#else
    .known.xIntegrity = vt_check_integrity,
#endif
    .known.iVersion = 4,
    .known.xCreate = vt_table_create,
    .known.xConnect = vt_table_connect,
    .known.xBestIndex = vt_best_index,
    .known.xDisconnect = vt_table_disconnect,
    .known.xDestroy = vt_table_destroy,
    .known.xOpen = vt_cursor_open,
    .known.xClose = vt_cursor_close,
    .known.xFilter = vt_cursor_filter,
    .known.xNext = vt_cursor_next,
    .known.xEof = vt_cursor_eof,
    .known.xColumn = vt_cursor_column,
    .known.xRowid = vt_cursor_rowid,
    .known.xUpdate = vt_write_update,
    .known.xBegin = vt_table_begin,
    .known.xSync = vt_table_sync,
    .known.xCommit = vt_table_commit,
    .known.xRollback = vt_table_rollback,
    .known.xRename = vt_table_rename,
    .known.xSavepoint = vt_table_savepoint,
    .known.xRelease = vt_table_release,
    .known.xRollbackTo = vt_table_rollback_to,
    .known.xShadowName = vt_table_shadow_name,
};

int vt_module_add(struct vt_connection *connection, const char *name, const sqlite3_module *methods) {
    struct vt_connection *counted = vt_connection_ref(connection->db);
    if (counted == NULL) return SQLITE_NOMEM;
    return sqlite3_create_module_v2(connection->db, name, methods, counted, vt_connection_unref); /* destroys if it fails, too */
}

int vt_module_register(struct vt_connection *connection) {
    int rc = vt_module_add(connection, "lsm", &module.known);
    if (rc == SQLITE_OK) rc = vt_module_add(connection, VT_HOOK_NAME, &vt_hook_module);
    return rc == SQLITE_OK ? vt_module_add(connection, VT_WATCH_NAME, &vt_watch_module) : rc;
}
