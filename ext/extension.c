/* extension.c: the entry points, and nothing else that is visible from outside. */
#include "connection.h"
#include "functions.h"
#include "introspect.h"
#include "module.h"

#include <pthread.h>

#if defined(__GNUC__)
#define VT_EXPORT __attribute__((visibility("default")))
#else
#define VT_EXPORT
#endif

VT_EXPORT int sqlite3_lsm_init(sqlite3 *db, char **message, const sqlite3_api_routines *api);

static int register_all(sqlite3 *db) {
    /* Held until the end, so that the object outlives whatever fails on the way. */
    struct vt_connection *connection = vt_connection_ref(db);
    if (connection == NULL) return SQLITE_NOMEM;
    int rc = vt_module_register(connection);
    if (rc == SQLITE_OK) rc = vt_functions_register(connection);
    if (rc == SQLITE_OK) rc = vt_introspect_register(connection);
    vt_connection_unref(connection);
    return rc;
}

#ifdef SQLITE_CORE

int sqlite3_lsm_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
    (void)message;
    (void)api;
    return register_all(db);
}

#else

VT_EXPORT int sqlite3_modlsm_init(sqlite3 *db, char **message, const sqlite3_api_routines *api);
VT_EXPORT int sqlite3_extension_init(sqlite3 *db, char **message, const sqlite3_api_routines *api);

const sqlite3_api_routines *vt_sqlite_api;

/* Take the routines of the process's SQLite; false if they are another SQLite's. Once set they are never changed. */
static bool take_api(const sqlite3_api_routines *api) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    if (vt_sqlite_api == NULL) vt_sqlite_api = api;
    bool same = vt_sqlite_api == api;
    pthread_mutex_unlock(&mutex);
    return same;
}

/* Returns SQLITE_OK rather than SQLITE_OK_LOAD_PERMANENTLY, which makes sqlite3_auto_extension() skip the extensions after this one; the
 * library is linked to stay loaded. Until the routines are taken, only `api` itself may be used. */
int sqlite3_lsm_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
    if (api->libversion_number() < VT_SQLITE_OLDEST) { /* LCOV_EXCL_BR_LINE: no SQLite tested is so old */
        *message = api->mprintf("lsm needs SQLite 3.34 or newer; this is %s", api->libversion());
        return SQLITE_ERROR;
    }
    if (!take_api(api)) {
        *message =
            api->mprintf("lsm is already loaded into another SQLite library of this process (this one is %s): one copy of the extension serves one "
                         "library; load a second copy, from a file of another name, into this one, for other databases",
                         api->libversion());
        return SQLITE_ERROR;
    }
    return register_all(db);
}

int sqlite3_modlsm_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) { return sqlite3_lsm_init(db, message, api); }

int sqlite3_extension_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) { return sqlite3_lsm_init(db, message, api); }

#endif
