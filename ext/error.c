#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int vt_error_code(int status) {
    switch ((enum lsm_status)status) {
    case LSM_OK: return SQLITE_OK;
    case LSM_NOMEM: return SQLITE_NOMEM;
    case LSM_IO: return SQLITE_IOERR;
    case LSM_FULL: return SQLITE_FULL;
    case LSM_CORRUPT: return SQLITE_CORRUPT_VTAB;
    case LSM_BUSY: return SQLITE_BUSY;
    case LSM_BUSY_SNAPSHOT: return SQLITE_BUSY_SNAPSHOT;
    case LSM_NOTFOUND: return SQLITE_CORRUPT_VTAB;
    case LSM_MISUSE: return SQLITE_MISUSE;
    case LSM_READONLY: return SQLITE_READONLY;
    case LSM_TOOBIG: return SQLITE_TOOBIG;
    case LSM_UNSUPPORTED: return SQLITE_CANTOPEN;
    case LSM_MISMATCH: return SQLITE_CORRUPT_VTAB;
    case LSM_INTERRUPTED: return SQLITE_INTERRUPT;
    case LSM_UNDECIDED: return SQLITE_BUSY;
    }
    return SQLITE_ERROR;
}

int vt_fail(char **message, int rc, const char *format, ...) {
    if (message == NULL) return rc;
    /* Not sqlite3_vmprintf(): its format language is not the one the compiler checks. */
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    char *text = size < 0 ? NULL : sqlite3_malloc64((size_t)size + 1); /* LCOV_EXCL_BR_LINE: no format of ours fails */
    if (text != NULL) (void)vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    va_end(args);
    sqlite3_free(*message);
    *message = text;
    return rc;
}

int vt_fail_engine(char **message, int status, const struct lsm_error *err) {
    if (status == LSM_OK) return SQLITE_OK;
    int rc = vt_error_code(status);
    if (rc == SQLITE_NOMEM) return rc;
    const char *text = err != NULL && err->text[0] != '\0' ? err->text : lsm_status_name(status);
    return vt_fail(message, rc, "%s", text);
}

bool vt_error_undoes(int rc) {
    int primary = rc & 0xff;
    return primary == SQLITE_NOMEM || primary == SQLITE_IOERR || primary == SQLITE_FULL || primary == SQLITE_INTERRUPT;
}

int vt_fail_sqlite(char **message, int rc, sqlite3 *db) {
    if (rc == SQLITE_NOMEM) return rc;
    return vt_fail(message, rc, "%s", sqlite3_errmsg(db));
}
