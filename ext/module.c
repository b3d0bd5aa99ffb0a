#include "module.h"

#include "best_index.h"
#include "cursor.h"
#include "hook.h"
#include "table.h"
#include "write.h"

static const sqlite3_module module = {
    .iVersion = 3,
    .xCreate = vt_table_create,
    .xConnect = vt_table_connect,
    .xBestIndex = vt_best_index,
    .xDisconnect = vt_table_disconnect,
    .xDestroy = vt_table_destroy,
    .xOpen = vt_cursor_open,
    .xClose = vt_cursor_close,
    .xFilter = vt_cursor_filter,
    .xNext = vt_cursor_next,
    .xEof = vt_cursor_eof,
    .xColumn = vt_cursor_column,
    .xRowid = vt_cursor_rowid,
    .xUpdate = vt_write_update,
    .xBegin = vt_table_begin,
    .xSync = vt_table_sync,
    .xCommit = vt_table_commit,
    .xRollback = vt_table_rollback,
    .xRename = vt_table_rename,
    .xSavepoint = vt_table_savepoint,
    .xRelease = vt_table_release,
    .xRollbackTo = vt_table_rollback_to,
    .xShadowName = vt_table_shadow_name,
};

int vt_module_add(struct vt_connection *connection, const char *name, const sqlite3_module *methods) {
    struct vt_connection *counted = vt_connection_ref(connection->db);
    if (counted == NULL) return SQLITE_NOMEM;
    return sqlite3_create_module_v2(connection->db, name, methods, counted, vt_connection_unref); /* destroys if it fails, too */
}

int vt_module_register(struct vt_connection *connection) {
    int rc = vt_module_add(connection, "lsm", &module);
    if (rc == SQLITE_OK) rc = vt_module_add(connection, VT_HOOK_NAME, &vt_hook_module);
    return rc == SQLITE_OK ? vt_module_add(connection, VT_WATCH_NAME, &vt_watch_module) : rc;
}
