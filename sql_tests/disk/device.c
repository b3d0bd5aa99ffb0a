/*
 * device FILE IMAGE LOG: a disk that remembers. Mounts itself over the existing file FILE (the raw protocol of <linux/fuse.h>, so that no library is needed), serves
 * IMAGE there, and appends each write and each flush to LOG before it is answered: what stands in LOG when a call returns happened before that. A loop device over FILE
 * makes a block device of it, on which a real file system can be mounted.
 *
 * A record of LOG is struct record, native byte order; a write's bytes follow it.
 *
 * Commands on stdin, one a line, each answered by "ok": "writes N" lets the next N writes fail with EIO, "flushes N" the next N flushes (both: -1 for all from now on),
 * "heal" ends that. A failed write changes nothing. Ends with stdin, or when FILE is unmounted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE_BYTES_MAX = 1 << 20, REQUEST_BYTES_MAX = WRITE_BYTES_MAX + 4096, PAGE_BYTES = 4096 };

enum kind { KIND_WRITE, KIND_FLUSH, KIND_FAILED_WRITE, KIND_FAILED_FLUSH };

struct record {
    uint32_t kind;
    uint32_t bytes; /* of a write; 0 otherwise */
    uint64_t offset;
};

struct device {
    int fuse, image, log;
    uint64_t size;
    long failing_writes, failing_flushes; /* how many are still to fail; -1: all */
};

/* For what has no answer but the end: the file system above then gets EIO for everything. */
static void die(const char *what) {
    fprintf(stderr, "device: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void answer(struct device *device, const struct fuse_in_header *in, int error, const void *body, size_t bytes) {
    struct fuse_out_header out = {.len = (uint32_t)(sizeof out + bytes), .error = -error, .unique = in->unique};
    struct iovec parts[2] = {{&out, sizeof out}, {(void *)(uintptr_t)body, bytes}};
    if (writev(device->fuse, parts, bytes > 0 ? 2 : 1) < 0 && errno != ENOENT) die("answering");
}

static void note(struct device *device, enum kind kind, uint64_t offset, const void *bytes, uint32_t count) {
    struct record record = {.kind = kind, .bytes = count, .offset = offset};
    struct iovec parts[2] = {{&record, sizeof record}, {(void *)(uintptr_t)bytes, count}};
    if (writev(device->log, parts, count > 0 ? 2 : 1) != (ssize_t)(sizeof record + count)) die("writing the log");
}

static bool fails(long *left) {
    if (*left == 0) return false;
    if (*left > 0) --*left;
    return true;
}

static void say_attributes(struct device *device, const struct fuse_in_header *in) {
    struct fuse_attr_out out = {.attr_valid = 3600};
    out.attr.ino = FUSE_ROOT_ID;
    out.attr.size = device->size;
    out.attr.blocks = device->size / 512;
    out.attr.mode = S_IFREG | 0600;
    out.attr.nlink = 1;
    out.attr.blksize = PAGE_BYTES;
    answer(device, in, 0, &out, sizeof out);
}

static void start(struct device *device, const struct fuse_in_header *in, const struct fuse_init_in *asked) {
    struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
    out.max_readahead = asked->max_readahead;
    out.flags = asked->flags & (FUSE_BIG_WRITES | FUSE_MAX_PAGES);
    out.max_write = WRITE_BYTES_MAX;
    out.max_pages = WRITE_BYTES_MAX / PAGE_BYTES;
    out.max_background = 16;
    out.congestion_threshold = 12;
    out.time_gran = 1;
    answer(device, in, 0, &out, sizeof out);
}

static void read_image(struct device *device, const struct fuse_in_header *in, const struct fuse_read_in *asked) {
    static char bytes[WRITE_BYTES_MAX];
    size_t wanted = asked->size < sizeof bytes ? asked->size : sizeof bytes;
    ssize_t got = pread(device->image, bytes, wanted, (off_t)asked->offset);
    if (got < 0)
        answer(device, in, EIO, NULL, 0);
    else
        answer(device, in, 0, bytes, (size_t)got);
}

static void write_image(struct device *device, const struct fuse_in_header *in, const struct fuse_write_in *asked) {
    struct fuse_write_out out = {.size = asked->size};
    if (fails(&device->failing_writes)) {
        note(device, KIND_FAILED_WRITE, asked->offset, NULL, 0);
        answer(device, in, EIO, NULL, 0);
        return;
    }
    note(device, KIND_WRITE, asked->offset, asked + 1, asked->size);
    if (pwrite(device->image, asked + 1, asked->size, (off_t)asked->offset) != (ssize_t)asked->size) die("writing the image");
    answer(device, in, 0, &out, sizeof out);
}

static void flush(struct device *device, const struct fuse_in_header *in) {
    bool failing = fails(&device->failing_flushes);
    note(device, failing ? KIND_FAILED_FLUSH : KIND_FLUSH, 0, NULL, 0);
    answer(device, in, failing ? EIO : 0, NULL, 0);
}

static void serve(struct device *device, const struct fuse_in_header *in) {
    const void *body = in + 1;
    struct fuse_open_out opened = {.open_flags = FOPEN_DIRECT_IO}; /* nothing is kept above us */
    struct fuse_statfs_out numbers = {.st = {.bsize = PAGE_BYTES, .frsize = PAGE_BYTES, .namelen = 255}};
    switch (in->opcode) {
    case FUSE_INIT: start(device, in, body); return;
    case FUSE_GETATTR:
    case FUSE_SETATTR: say_attributes(device, in); return;
    case FUSE_OPEN: answer(device, in, 0, &opened, sizeof opened); return;
    case FUSE_READ: read_image(device, in, body); return;
    case FUSE_WRITE: write_image(device, in, body); return;
    case FUSE_FSYNC: flush(device, in); return;
    case FUSE_STATFS: answer(device, in, 0, &numbers, sizeof numbers); return;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_DESTROY: answer(device, in, 0, NULL, 0); return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: return; /* these have no answer */
    default: answer(device, in, ENOSYS, NULL, 0); return;
    }
}

/* False at the end of stdin. */
static bool obey(struct device *device) {
    char line[64];
    if (fgets(line, sizeof line, stdin) == NULL) return false;
    if (sscanf(line, "writes %ld", &device->failing_writes) != 1 && sscanf(line, "flushes %ld", &device->failing_flushes) != 1) {
        if (strcmp(line, "heal\n") != 0) return false;
        device->failing_writes = device->failing_flushes = 0;
    }
    puts("ok");
    return true;
}

static void open_all(struct device *device, char **names) {
    struct stat stat;
    char options[64];
    device->image = open(names[2], O_RDWR | O_CLOEXEC);
    if (device->image < 0 || fstat(device->image, &stat) != 0) die(names[2]);
    device->size = (uint64_t)stat.st_size;
    device->log = open(names[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (device->log < 0) die(names[3]);
    device->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device->fuse < 0) die("/dev/fuse");
    snprintf(options, sizeof options, "fd=%d,rootmode=100000,user_id=0,group_id=0", device->fuse);
    if (mount("lsm-test-device", names[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0) die("mounting");
}

int main(int count, char **names) {
    static _Alignas(8) char request[REQUEST_BYTES_MAX];
    struct device device = {0};
    if (count != 4) return 2;
    setvbuf(stdin, NULL, _IONBF, 0); /* poll() must see what has not been read */
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_all(&device, names);
    puts("ok");
    for (;;) {
        struct pollfd polled[2] = {{.fd = device.fuse, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
        if (poll(polled, 2, -1) < 0 && errno != EINTR) die("poll");
        if (polled[1].revents != 0 && !obey(&device)) return 0;
        if (polled[0].revents == 0) continue;
        ssize_t got = read(device.fuse, request, sizeof request);
        if (got < 0 && errno == ENODEV) return 0; /* unmounted */
        if (got < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) die("reading a request");
        if (got > 0) serve(&device, (const struct fuse_in_header *)(const void *)request);
    }
}
