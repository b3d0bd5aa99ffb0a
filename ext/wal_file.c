#include "wal_file.h"

#include <string.h>

#include "connection.h"

enum {
    HEADER_BYTES = 32,
    FRAME_HEADER_BYTES = 24,
    INDEX_BYTES = 32768,
    INDEX_HEADER_BYTES = 48,
    INDEX_VERSION = 3007000,
    PAGE_BYTES_LEAST = 512,
    PAGE_BYTES_MOST = 65536
};

/* Big-endian, as everything in the file. */
static uint32_t load_u32(const uint8_t *bytes) { return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]; }

/* The last bit tells the byte order of the checksums. */
static bool is_wal(const uint8_t *header, uint32_t page_bytes) {
    return (load_u32(header) & 0xfffffffeU) == 0x377f0682U && page_bytes >= PAGE_BYTES_LEAST && page_bytes <= PAGE_BYTES_MOST &&
           (page_bytes & (page_bytes - 1)) == 0;
}

static sqlite3_int64 offset_of(const struct vt_wal_file *wal, uint32_t frame) {
    return HEADER_BYTES + ((sqlite3_int64)frame - 1) * (FRAME_HEADER_BYTES + (sqlite3_int64)wal->page_bytes);
}

static int read_at(const struct vt_wal_file *wal, void *bytes, uint32_t size, sqlite3_int64 offset) {
    return wal->log->pMethods->xRead(wal->log, bytes, (int)size, offset);
}

/* A rollback journal is no WAL, nor is a file without a header that SQLite would believe. */
int vt_wal_file_look(struct vt_space *space, struct vt_wal_file *wal, char **message) {
    uint8_t header[HEADER_BYTES];
    sqlite3_int64 size = 0;
    memset(wal, 0, sizeof *wal);
    if (!vt_journal_files(space, &wal->database, &wal->log)) /* LCOV_EXCL_BR_LINE: SQLite answers for every schema that is there */
        return vt_fail(message, SQLITE_IOERR, "the log of the database %s cannot be reached", space->place.file);
    if (wal->log->pMethods == NULL) return SQLITE_OK;
    int rc = wal->log->pMethods->xFileSize(wal->log, &size);
    if (rc == SQLITE_OK && size <= HEADER_BYTES) return SQLITE_OK;
    if (rc == SQLITE_OK) rc = read_at(wal, header, sizeof header, 0);
    if (rc != SQLITE_OK) return vt_fail(message, rc, "the log of the database %s could not be read", space->place.file);
    wal->page_bytes = load_u32(header + 8);
    if (!is_wal(header, wal->page_bytes)) return SQLITE_OK;
    memcpy(wal->salt, header + 16, VT_WAL_SALT_BYTES);
    wal->frames = (uint32_t)((size - HEADER_BYTES) / (FRAME_HEADER_BYTES + (sqlite3_int64)wal->page_bytes));
    return SQLITE_OK;
}

/* Who writes changes both copies of the header, and that is us. A log that begins anew has frame 0 and another salt in the index before it has them in the file. */
int vt_wal_file_committed(const struct vt_wal_file *wal, uint32_t *last) {
    const sqlite3_io_methods *methods = wal->database->pMethods;
    void volatile *memory = NULL;
    uint8_t header[2 * INDEX_HEADER_BYTES];
    uint32_t version;
    if (methods == NULL || methods->iVersion < 2 || methods->xShmMap == NULL) return SQLITE_PROTOCOL;
    int rc = methods->xShmMap(wal->database, 0, INDEX_BYTES, 0, &memory);
    if (rc != SQLITE_OK || memory == NULL) return rc == SQLITE_OK ? SQLITE_PROTOCOL : rc;
    for (size_t i = 0; i < sizeof header; i++) header[i] = ((const volatile uint8_t *)memory)[i];
    memcpy(&version, header, sizeof version);
    memcpy(last, header + 16, sizeof *last);
    bool initialised = header[12] != 0 && version == INDEX_VERSION && memcmp(header, header + INDEX_HEADER_BYTES, INDEX_HEADER_BYTES) == 0;
    bool same = memcmp(header + 32, wal->salt, VT_WAL_SALT_BYTES) == 0 && *last <= wal->frames;
    return initialised && (same || *last == 0) ? SQLITE_OK : SQLITE_PROTOCOL;
}

int vt_wal_file_find(const struct vt_wal_file *wal, const void *bytes, size_t size, uint32_t *frame) {
    uint8_t *page = sqlite3_malloc64(wal->page_bytes);
    if (page == NULL) return SQLITE_NOMEM;
    int rc = SQLITE_NOTFOUND;
    for (*frame = 1; *frame <= wal->frames; ++*frame) {
        rc = read_at(wal, page, wal->page_bytes, offset_of(wal, *frame) + FRAME_HEADER_BYTES);
        if (rc != SQLITE_OK || memmem(page, wal->page_bytes, bytes, size) != NULL) break;
        rc = SQLITE_NOTFOUND;
    }
    sqlite3_free(page);
    return rc;
}

int vt_wal_file_cut(const struct vt_wal_file *wal, uint32_t frame) {
    uint8_t size_of_database[4] = {0};
    while (++frame <= wal->frames) {
        int rc = read_at(wal, size_of_database, sizeof size_of_database, offset_of(wal, frame) + 4);
        if (rc != SQLITE_OK) return rc;
        if (load_u32(size_of_database) != 0) return wal->log->pMethods->xTruncate(wal->log, offset_of(wal, frame));
    }
    return SQLITE_OK;
}
