#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* SQLite's own VFS for shared databases in memory: it reports a file name although there is no file. */
static const char memory_vfs[] = "memdb";

static const char *vfs_name(sqlite3 *db, const char *schema) {
    sqlite3_vfs *vfs = NULL;
    if (sqlite3_file_control(db, schema, SQLITE_FCNTL_VFS_POINTER, (void *)&vfs) != SQLITE_OK || vfs == NULL || vfs->zName == NULL) return "";
    return vfs->zName;
}

int vt_place_find(sqlite3 *db, const char *schema, struct vt_place *place, char **message) {
    memset(place, 0, sizeof *place);
    place->uid = place->gid = -1;
    place->mode = 0600;
    const char *name = sqlite3_stricmp(schema, "temp") == 0 ? NULL : sqlite3_db_filename(db, schema);
    const char *vfs = vfs_name(db, schema);
    place->memory = name == NULL || name[0] == '\0' || strcmp(vfs, memory_vfs) == 0;
    place->file = sqlite3_mprintf("%s", place->memory ? "" : name);
    if (place->file == NULL) return SQLITE_NOMEM;
    if (!place->memory) place->environment = vt_environment_of(vfs);
    if (place->memory || place->environment != NULL) return SQLITE_OK;

    struct stat info;
    if (stat(place->file, &info) != 0) {
        int rc = vt_fail(message, SQLITE_CANTOPEN, "the database file %s is not there (%s): its LSM tables are kept beside it", place->file,
                         strerror(errno));
        vt_place_release(place);
        return rc;
    }
    place->mode = (unsigned)info.st_mode & 0777U;
    place->device = (uint64_t)info.st_dev;
    place->inode = (uint64_t)info.st_ino;
    if (geteuid() == 0) { /* like SQLite's -wal: only root can give files away, and should */
        place->uid = (int64_t)info.st_uid;
        place->gid = (int64_t)info.st_gid;
    }
    return SQLITE_OK;
}

void vt_place_release(struct vt_place *place) {
    sqlite3_free(place->file);
    place->file = NULL;
}

char *vt_place_stores(const struct vt_place *place) { return sqlite3_mprintf("%s-lsm", place->file); }

char *vt_place_dir(const struct vt_place *place, const uint8_t *store_id) {
    char hex[VT_STORE_HEX_BYTES + 1];
    vt_hex_write(store_id, LSM_STORE_ID_BYTES, hex);
    return place->memory ? sqlite3_mprintf("/%s", hex) : sqlite3_mprintf("%s-lsm/%s", place->file, hex);
}

static int sync_parent(const char *path, char **message) {
    const char *slash = strrchr(path, '/');
    char *parent = slash == NULL ? sqlite3_mprintf(".") : sqlite3_mprintf("%.*s", slash == path ? 1 : (int)(slash - path), path);
    if (parent == NULL) return SQLITE_NOMEM;
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = -1;
    while (fd >= 0 && (failed = fsync(fd)) != 0 && errno == EINTR) {}
    /* EINVAL: file systems that cannot sync a directory have nothing to sync. */
    bool synced = failed == 0 || (fd >= 0 && errno == EINVAL);
    int rc = synced ? SQLITE_OK : vt_fail(message, SQLITE_IOERR_DIR_FSYNC, "cannot sync the directory %s: %s", parent, strerror(errno));
    if (fd >= 0) close(fd);
    sqlite3_free(parent);
    return rc;
}

int vt_place_sync(const struct vt_place *place, char **message) {
    if (place->memory) return SQLITE_OK;
    const struct vt_environment *environment = place->environment;
    if (environment == NULL) return sync_parent(place->file, message);
    if (environment->sync_directory == NULL || environment->sync_directory(environment->env, place->file)) return SQLITE_OK;
    return vt_fail(message, SQLITE_IOERR_DIR_FSYNC, "cannot sync the directory of %s", place->file);
}

int vt_place_prepare(const struct vt_place *place, char **message) {
    if (place->memory || place->environment != NULL) return SQLITE_OK;
    char *dir = vt_place_stores(place);
    if (dir == NULL) return SQLITE_NOMEM;
    struct stat there;
    int rc = SQLITE_OK;
    mode_t mode = (mode_t)(place->mode | ((place->mode & 0444U) >> 2));
    if (mkdir(dir, mode) == 0) {
        /* Against the umask and for root; where it fails the directory still works for who made it. */
        if (chmod(dir, mode) != 0 || (place->uid >= 0 && chown(dir, (uid_t)place->uid, (gid_t)place->gid) != 0)) errno = 0;
        rc = sync_parent(dir, message);
    } else if (errno != EEXIST) {
        rc = vt_fail(message, SQLITE_CANTOPEN, "cannot create the directory %s for the LSM tables: %s", dir, strerror(errno));
    } else if (stat(dir, &there) != 0 || !S_ISDIR(there.st_mode)) {
        rc = vt_fail(message, SQLITE_CANTOPEN,
                     "%s is in the way: it is no directory, and the LSM tables of %s need one of this name; move it elsewhere", dir, place->file);
    }
    sqlite3_free(dir);
    return rc;
}
