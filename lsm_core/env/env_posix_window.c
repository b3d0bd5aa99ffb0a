/* Small writes without a system call: stores into a map of the part of the file that is being filled.
 *
 * A store cannot fail as a call does; it raises SIGBUS. So it is made only where there is nothing left that could fail but what fails for SQLite's own
 * shared memory beside it, too (somebody else cuts the file; the disk cannot give back a page that was pushed out):
 *
 * 1. The window lies within the file, which nobody cuts (contract of write_reserved()).
 * 2. Its blocks are reserved: fallocate() itself says so for every window, whoever made the file, and however it was copied here.
 * 3. The file system never needs another block for one that is reserved: ext4 (an extent of its own, converted in place), tmpfs (the pages themselves). Not
 *    XFS, whose blocks another file may share after a reflink copy: the first store then needs a new one. Not btrfs, ZFS, F2FS and their like, which write
 *    nothing in place; nor overlays and file systems unknown here.
 *
 * Anything else is pwrite(). To readers both are the same: the kernel has one page for the map and for read and write, of all processes. To fdatasync() as well:
 * the first store into a clean page is a fault, which marks the page dirty. That fault is dearer than a pwrite(), so a window is for those who write often
 * between two syncs. And its rest is first filled with zeros in a few calls: the kernel then has it in few large pieces, each of which costs one fault, where
 * each page would have cost one that reads ahead as well (64 instead of 580 ns a record of 176 bytes; Linux 6.18, ext4). These faults are then taken
 * all at once, where the kernel can do that: one commit in seven thousand waits a little longer, instead of one in four hundred for some 10 us.
 */
#include "env_posix_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sync.h"

enum {
    STORE_BYTES_MAX = 8 * 1024, /* a larger write is as cheap by a call: each page of the window begins with a fault */
    FILL_BYTES = 256 * 1024,    /* one call */
    CALLS_FIRST = 8,            /* after so many calls since the last sync a window pays */
    MAGIC_EXT4 = 0xef53,        /* numbers of statfs(2) */
    MAGIC_TMPFS = 0x01021994
};

void lsm_posix_drop_window(struct posix_file *file) {
    /* A child of a fork does not have it: something else may be there. */
    if (file->window != NULL && file->window_epoch == lsm_fork_epoch()) (void)munmap(file->window, file->window_bytes);
    file->window = NULL;
    file->window_bytes = 0;
}

/* Ext2 and ext3 have the number of ext4, but nothing can be reserved there. */
static bool is_kept_promise(int fd) {
    struct statfs fs;
    int rc;
    do rc = fstatfs(fd, &fs);
    while (rc != 0 && errno == EINTR);
    return rc == 0 && ((uint32_t)fs.f_type == MAGIC_EXT4 || (uint32_t)fs.f_type == MAGIC_TMPFS);
}

static bool reserve(int fd, uint64_t offset, size_t size) {
    int rc;
    do rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

/* In large pieces or not at all: what it does is not needed. */
static bool fill_with_zeros(int fd, uint64_t offset, size_t size) {
    static uint8_t zeros[FILL_BYTES]; /* not const: it takes no room in the library */
    while (size != 0) {
        size_t piece = size < sizeof zeros ? size : sizeof zeros;
        ssize_t n;
        do n = pwrite(fd, zeros, piece, (off_t)offset);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)piece) return false;
        offset += piece;
        size -= piece;
    }
    return true;
}

/* Map [low, low + bytes), which is in the file, and of which [low, from) is of worth. NULL: not this one. */
static void *map_window(int fd, uint64_t low, uint64_t from, size_t bytes) {
    if (!is_kept_promise(fd) || !reserve(fd, low, bytes) || !fill_with_zeros(fd, from, bytes - (size_t)(from - low))) return NULL;
    void *window = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)low);
    if (window == MAP_FAILED) return NULL;
    if (madvise(window, bytes, MADV_DONTFORK) != 0) {
        (void)munmap(window, bytes);
        return NULL;
    }
    lsm_prefault((uint8_t *)window + (from - low), bytes - (size_t)(from - low));
    return window;
}

/* A window that begins in the page of `offset`. False: the file ends too early for now, or it gets none. */
static bool open_window(struct posix_file *file, uint64_t offset, size_t size) {
    struct stat st;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), low = offset / page * page;
    lsm_posix_drop_window(file);
    if (fstat(file->fd, &st) != 0 || (uint64_t)st.st_size < low) return false;
    uint64_t pages = ((uint64_t)st.st_size - low) / page * page;
    size_t bytes = pages < LSM_POSIX_WINDOW_BYTES ? (size_t)pages : LSM_POSIX_WINDOW_BYTES;
    if (offset - low + size > bytes) return false;
    file->window = map_window(file->fd, low, offset, bytes);
    file->window_refused = file->window == NULL;
    file->window_offset = low;
    file->window_bytes = bytes;
    file->window_epoch = lsm_fork_epoch();
    return file->window != NULL;
}

static bool is_inside(const struct posix_file *file, uint64_t offset, size_t size) {
    return file->window != NULL && offset >= file->window_offset && offset - file->window_offset <= file->window_bytes &&
           size <= file->window_bytes - (offset - file->window_offset) && file->window_epoch == lsm_fork_epoch();
}

bool lsm_posix_write_window(struct posix_file *file, uint64_t offset, const void *bytes, size_t size) {
    if (file->window_refused || size > STORE_BYTES_MAX) return false;
    unsigned calls = atomic_load_explicit(&file->calls, memory_order_relaxed);
    if (calls < CALLS_FIRST) {
        atomic_store_explicit(&file->calls, calls + 1, memory_order_relaxed);
        return false;
    }
    if (!is_inside(file, offset, size) && !open_window(file, offset, size)) return false;
    memcpy(file->window + (offset - file->window_offset), bytes, size);
    return true;
}
