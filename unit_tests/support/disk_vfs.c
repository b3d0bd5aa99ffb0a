/* SQLite's VFS on a simulated disk.
 *
 * As SQLite's own for Unix, where it matters to a crash: a journal or WAL that was opened with SQLITE_OPEN_CREATE has its directory synced with
 * its first sync; xDelete syncs the directory when asked; an empty file does not "exist"; xSync is a real one, whatever its flags; files are not
 * preallocated.
 *
 * What the disk promises (xDeviceCharacteristics): powersafe overwrite, as env_mem's crash states change no byte that no write touched: a torn
 * sector holds in each byte what it held before or what was written. Nothing is atomic, not even 512 bytes together with a file's size; appends
 * are not safe (the file may have grown and hold garbage); nothing is in order. That is what SQLite assumes of a Unix file system.
 *
 * Temporary files are none of the disk's business: SQLite's default VFS keeps them.
 */
#include "machine_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct disk_file {
    sqlite3_file base; /* first: SQLite's pointer is ours */
    struct process *process;
    struct machine_node *node;
    struct lsm_file *file;
    struct disk_file *next_on_node, *next_of_process;
    int lock;      /* SQLITE_LOCK_... */
    bool sync_dir; /* with the next sync */
    bool delete_on_close, maps;
    unsigned shared, exclusive; /* locks of the WAL-index, a bit each */
};

static struct disk_file *file_of(sqlite3_file *file) { return (struct disk_file *)(void *)file; }
static struct process *process_of(sqlite3_vfs *vfs) { return vfs->pAppData; }

static int code(int status, int otherwise) {
    if (status == LSM_OK) return SQLITE_OK;
    if (status == LSM_NOMEM) return SQLITE_NOMEM;
    return status == LSM_FULL ? SQLITE_FULL : otherwise;
}

/* ---- nodes ---------------------------------------------------------------------------------------------------------------- */

static struct machine_node *node_of(struct machine *machine, const char *path) {
    struct machine_node *node = machine->nodes;
    while (node != NULL && strcmp(node->path, path) != 0) node = node->next;
    if (node != NULL) return node;
    node = calloc(1, sizeof *node);
    if (node == NULL || (node->path = strdup(path)) == NULL) abort();
    node->next = machine->nodes;
    machine->nodes = node;
    return node;
}

static int sync_parent(struct process *process, const char *path) {
    char parent[512];
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    if (size >= sizeof parent) return SQLITE_CANTOPEN;
    memcpy(parent, slash == NULL ? "." : path, size);
    parent[size] = '\0';
    return code(lsm_env_sync_dir(process->env, parent, NULL), SQLITE_IOERR_DIR_FSYNC);
}

/* ---- bytes ---------------------------------------------------------------------------------------------------------------- */

static int f_read(sqlite3_file *base, void *bytes, int size, sqlite3_int64 offset) {
    size_t got = 0;
    if (lsm_file_read_at(file_of(base)->file, (uint64_t)offset, bytes, (size_t)size, &got, NULL) != LSM_OK) return SQLITE_IOERR_READ;
    if (got == (size_t)size) return SQLITE_OK;
    memset((char *)bytes + got, 0, (size_t)size - got);
    return SQLITE_IOERR_SHORT_READ;
}

static int f_write(sqlite3_file *base, const void *bytes, int size, sqlite3_int64 offset) {
    return code(lsm_file_write_at(file_of(base)->file, (uint64_t)offset, bytes, (size_t)size, NULL), SQLITE_IOERR_WRITE);
}

static int f_truncate(sqlite3_file *base, sqlite3_int64 size) {
    return code(lsm_file_truncate(file_of(base)->file, (uint64_t)size, NULL), SQLITE_IOERR_TRUNCATE);
}

static int f_sync(sqlite3_file *base, int flags) {
    struct disk_file *file = file_of(base);
    (void)flags;
    int rc = code(lsm_file_sync(file->file, NULL), SQLITE_IOERR_FSYNC);
    if (rc != SQLITE_OK || !file->sync_dir) return rc;
    file->sync_dir = false;
    return sync_parent(file->process, file->node->path);
}

static int f_size(sqlite3_file *base, sqlite3_int64 *size) {
    uint64_t bytes = 0;
    int status = lsm_file_size(file_of(base)->file, &bytes, NULL);
    *size = (sqlite3_int64)bytes;
    return code(status, SQLITE_IOERR_FSTAT);
}

/* ---- locks of the database file -------------------------------------------------------------------------------------------- */

/* The highest lock of the others. */
static int others_lock(const struct disk_file *file) {
    int highest = SQLITE_LOCK_NONE;
    for (const struct disk_file *other = file->node->files; other != NULL; other = other->next_on_node)
        if (other != file && other->lock > highest) highest = other->lock;
    return highest;
}

static int f_lock(sqlite3_file *base, int wanted) {
    struct disk_file *file = file_of(base);
    int others = others_lock(file);
    if (lsm_env_mem_is_killed(file->process->env)) return SQLITE_IOERR_LOCK;
    if (wanted <= file->lock) return SQLITE_OK;
    if (wanted == SQLITE_LOCK_SHARED && others >= SQLITE_LOCK_PENDING) return SQLITE_BUSY;
    if (wanted == SQLITE_LOCK_RESERVED && others >= SQLITE_LOCK_RESERVED) return SQLITE_BUSY;
    if (wanted == SQLITE_LOCK_EXCLUSIVE) {
        if (others >= SQLITE_LOCK_RESERVED) return SQLITE_BUSY;
        file->lock = SQLITE_LOCK_PENDING; /* no new readers; stays if the old ones are still there */
        if (others >= SQLITE_LOCK_SHARED) return SQLITE_BUSY;
    }
    file->lock = wanted;
    return SQLITE_OK;
}

static int f_unlock(sqlite3_file *base, int wanted) {
    struct disk_file *file = file_of(base);
    if (file->lock > wanted) file->lock = wanted;
    return SQLITE_OK;
}

static int f_check_reserved(sqlite3_file *base, int *reserved) {
    struct disk_file *file = file_of(base);
    *reserved = file->lock >= SQLITE_LOCK_RESERVED || others_lock(file) >= SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
}

/* ---- the WAL-index --------------------------------------------------------------------------------------------------------- */

static int f_shm_map(sqlite3_file *base, int region, int bytes, int extend, void volatile **memory) {
    struct disk_file *file = file_of(base);
    struct machine_node *node = file->node;
    *memory = NULL;
    if (lsm_env_mem_is_killed(file->process->env)) return SQLITE_IOERR_SHMMAP;
    if (region >= SHM_REGIONS_MAX || (node->region_bytes != 0 && node->region_bytes != bytes)) return SQLITE_IOERR_SHMSIZE;
    if (!file->maps) {
        file->maps = true;
        node->shm_users++;
    }
    node->region_bytes = bytes;
    if (node->regions[region] == NULL && extend) {
        node->regions[region] = calloc(1, (size_t)bytes);
        if (node->regions[region] == NULL) return SQLITE_NOMEM;
    }
    *memory = node->regions[region];
    return SQLITE_OK;
}

static int f_shm_lock(sqlite3_file *base, int first, int count, int flags) {
    struct disk_file *file = file_of(base);
    unsigned mask = ((1u << count) - 1) << first, shared = 0, exclusive = 0;
    assert(first >= 0 && count >= 1 && first + count <= SHM_LOCKS);
    if (lsm_env_mem_is_killed(file->process->env)) return SQLITE_IOERR_SHMLOCK;
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
        file->shared &= ~mask;
        file->exclusive &= ~mask;
        return SQLITE_OK;
    }
    for (const struct disk_file *other = file->node->files; other != NULL; other = other->next_on_node) {
        if (other == file) continue;
        shared |= other->shared;
        exclusive |= other->exclusive;
    }
    if ((exclusive & mask) != 0 || ((flags & SQLITE_SHM_EXCLUSIVE) != 0 && (shared & mask) != 0)) return SQLITE_BUSY;
    if ((flags & SQLITE_SHM_EXCLUSIVE) != 0)
        file->exclusive |= mask;
    else
        file->shared |= mask;
    return SQLITE_OK;
}

static void f_shm_barrier(sqlite3_file *base) { (void)base; }

/* The last one takes the memory along: the next one to come finds zeros and recovers the WAL-index, as after SQLite's deletion of the -shm file. */
static int f_shm_unmap(sqlite3_file *base, int delete_file) {
    struct disk_file *file = file_of(base);
    struct machine_node *node = file->node;
    (void)delete_file;
    if (!file->maps) return SQLITE_OK;
    file->maps = false;
    file->shared = file->exclusive = 0;
    if (--node->shm_users > 0) return SQLITE_OK;
    for (int i = 0; i < SHM_REGIONS_MAX; i++) {
        free(node->regions[i]);
        node->regions[i] = NULL;
    }
    node->region_bytes = 0;
    return SQLITE_OK;
}

void disk_vfs_drop_locks(struct process *process) {
    for (struct disk_file *file = process->sqlite_files; file != NULL; file = file->next_of_process) {
        file->lock = SQLITE_LOCK_NONE;
        file->shared = file->exclusive = 0;
    }
}

/* ---- other things about a file ----------------------------------------------------------------------------------------------- */

static int f_control(sqlite3_file *base, int op, void *arg) {
    if (op == SQLITE_FCNTL_LOCKSTATE) {
        *(int *)arg = file_of(base)->lock;
        return SQLITE_OK;
    }
    return SQLITE_NOTFOUND;
}

static int f_sector_size(sqlite3_file *base) {
    (void)base;
    return 4096;
}

static int f_characteristics(sqlite3_file *base) {
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int f_close(sqlite3_file *base) {
    struct disk_file *file = file_of(base), **link;
    (void)f_shm_unmap(base, 0);
    for (link = &file->node->files; *link != file;) link = &(*link)->next_on_node;
    *link = file->next_on_node;
    for (link = &file->process->sqlite_files; *link != file;) link = &(*link)->next_of_process;
    *link = file->next_of_process;
    lsm_file_close(file->file);
    if (file->delete_on_close && lsm_env_unlink(file->process->env, file->node->path, NULL) != LSM_OK) return SQLITE_IOERR_DELETE;
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_check_reserved,
    .xFileControl = f_control,
    .xSectorSize = f_sector_size,
    .xDeviceCharacteristics = f_characteristics,
    .xShmMap = f_shm_map,
    .xShmLock = f_shm_lock,
    .xShmBarrier = f_shm_barrier,
    .xShmUnmap = f_shm_unmap,
};

/* ---- the VFS --------------------------------------------------------------------------------------------------------------------- */

static unsigned open_flags(int flags) {
    unsigned wanted = LSM_OPEN_READ;
    if ((flags & SQLITE_OPEN_READWRITE) != 0) wanted |= LSM_OPEN_WRITE;
    if ((flags & SQLITE_OPEN_CREATE) != 0) wanted |= LSM_OPEN_CREATE;
    if ((flags & SQLITE_OPEN_EXCLUSIVE) != 0) wanted |= LSM_OPEN_EXCL;
    return wanted;
}

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *flags_out) {
    const int temporary = SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TRANSIENT_DB | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_SUBJOURNAL;
    const int journal = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL;
    struct process *process = process_of(vfs);
    if (name == NULL || (flags & temporary) != 0) return process->real_vfs->xOpen(process->real_vfs, name, base, flags, flags_out);
    struct disk_file *file = file_of(base);
    memset(file, 0, sizeof *file);
    int status = lsm_env_open(process->env, name, open_flags(flags), NULL, &file->file, NULL);
    if (status != LSM_OK) return code(status, SQLITE_CANTOPEN);
    file->base.pMethods = &methods;
    file->process = process;
    file->sync_dir = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & journal) != 0;
    file->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    file->node = node_of(process->machine, name);
    file->next_on_node = file->node->files;
    file->node->files = file;
    file->next_of_process = process->sqlite_files;
    process->sqlite_files = file;
    if (flags_out != NULL) *flags_out = flags;
    return SQLITE_OK;
}

static int v_delete(sqlite3_vfs *vfs, const char *name, int sync_dir) {
    struct process *process = process_of(vfs);
    int status = lsm_env_unlink(process->env, name, NULL);
    if (status == LSM_NOTFOUND) return SQLITE_IOERR_DELETE_NOENT;
    if (status != LSM_OK) return SQLITE_IOERR_DELETE;
    return sync_dir != 0 ? sync_parent(process, name) : SQLITE_OK;
}

static int v_access(sqlite3_vfs *vfs, const char *name, int flags, int *result) {
    struct process *process = process_of(vfs);
    struct lsm_file *file = NULL;
    uint64_t size = 0;
    bool exists = false;
    *result = 0;
    if (lsm_env_exists(process->env, name, &exists, NULL) != LSM_OK) return SQLITE_IOERR_ACCESS;
    if (!exists) return SQLITE_OK;
    *result = 1;
    if (flags != SQLITE_ACCESS_EXISTS) return SQLITE_OK;
    if (lsm_env_open(process->env, name, LSM_OPEN_READ, NULL, &file, NULL) != LSM_OK) return SQLITE_OK; /* a directory */
    *result = lsm_file_size(file, &size, NULL) != LSM_OK || size > 0;
    lsm_file_close(file);
    return SQLITE_OK;
}

static int v_full_path(sqlite3_vfs *vfs, const char *name, int size, char *full) {
    (void)vfs;
    sqlite3_snprintf(size, full, "%s%s", name[0] == '/' ? "" : "/", name);
    return SQLITE_OK;
}

static int v_randomness(sqlite3_vfs *vfs, int size, char *bytes) {
    return lsm_env_random(process_of(vfs)->env, bytes, (size_t)size, NULL) == LSM_OK ? size : 0;
}

static int v_sleep(sqlite3_vfs *vfs, int us) {
    lsm_env_sleep_us(process_of(vfs)->env, (uint64_t)us);
    return us;
}

static int v_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ms) {
    const sqlite3_int64 unix_epoch_ms = 210866760000000; /* Julian day 2440587.5 */
    *ms = unix_epoch_ms + (sqlite3_int64)(lsm_env_now_us(process_of(vfs)->env) / 1000);
    return SQLITE_OK;
}

static int v_time(sqlite3_vfs *vfs, double *day) {
    sqlite3_int64 ms;
    int rc = v_time_ms(vfs, &ms);
    *day = (double)ms / 86400000.0;
    return rc;
}

static int v_last_error(sqlite3_vfs *vfs, int size, char *text) {
    (void)vfs;
    (void)size;
    (void)text;
    return 0;
}

void disk_vfs_init(struct process *process) {
    process->real_vfs = sqlite3_vfs_find(NULL);
    int file_bytes = (int)sizeof(struct disk_file);
    process->vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = process->real_vfs->szOsFile > file_bytes ? process->real_vfs->szOsFile : file_bytes,
        .mxPathname = 400,
        .zName = process->name,
        .pAppData = process,
        .xOpen = v_open,
        .xDelete = v_delete,
        .xAccess = v_access,
        .xFullPathname = v_full_path,
        .xRandomness = v_randomness,
        .xSleep = v_sleep,
        .xCurrentTime = v_time,
        .xGetLastError = v_last_error,
        .xCurrentTimeInt64 = v_time_ms,
    };
}
