#include "home.h"

#include <string.h>

#include "shadow.h"

int vt_home_open(struct vt_space *space, enum vt_open_mode mode, char **message) {
    if (space->store != NULL && space->bound > 0) return SQLITE_OK;
    struct vt_shadow_list list;
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    if (rc == SQLITE_OK && list.count > 0) {
        rc = vt_space_open(space, list.shadows[0].store_id, VT_OPEN_EXISTING, message);
    } else if (rc == SQLITE_OK && space->store != NULL) {
        /* A CREATE was rolled back, or the last table was dropped: the store stays in use. */
        vt_shared_garbage_set(space->shared, true);
    } else if (rc == SQLITE_OK && mode == VT_OPEN_CREATE) {
        uint8_t store_id[LSM_STORE_ID_BYTES];
        sqlite3_randomness(LSM_STORE_ID_BYTES, store_id);
        rc = vt_space_open(space, store_id, VT_OPEN_CREATE, message);
    }
    sqlite3_free(list.shadows);
    return rc;
}
