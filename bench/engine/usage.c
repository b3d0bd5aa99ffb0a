#include "usage.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUIET_CHECKS   5
#define QUIET_SLEEP_US 50000
#define QUIET_CPU_NS   1000000u /* a timer may tick meanwhile */

void usage_now(struct usage *usage) {
    struct timespec cpu;
    char line[128];
    *usage = (struct usage){0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    usage->cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
    FILE *file = fopen("/proc/self/io", "r");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "read_bytes: %" SCNu64, &usage->read_bytes);
        (void)sscanf(line, "write_bytes: %" SCNu64, &usage->write_bytes);
        (void)sscanf(line, "wchar: %" SCNu64, &usage->asked_bytes);
    }
    (void)fclose(file);
}

uint64_t usage_peak(void) {
    char line[128];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) (void)sscanf(line, "VmHWM: %" SCNu64, &kib);
    (void)fclose(file);
    return kib * 1024;
}

void usage_reset_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file == NULL) return;
    (void)fputs("5", file);
    (void)fclose(file);
}

static uint64_t space;

static int add_file(const char *path, const struct stat *about, int type, struct FTW *ftw) {
    (void)path;
    (void)ftw;
    if (type == FTW_F) space += (uint64_t)about->st_blocks * 512;
    return 0;
}

uint64_t usage_space(const char *dir) {
    space = 0;
    (void)nftw(dir, add_file, 8, FTW_PHYS);
    return space;
}

static int evict_file(const char *path, const struct stat *about, int type, struct FTW *ftw) {
    (void)about;
    (void)ftw;
    if (type != FTW_F) return 0;
    int fd = open(path, O_RDWR);
    if (fd < 0) return -1;
    int failed = fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0;
    (void)close(fd);
    return failed ? -1 : 0;
}

void usage_evict(const char *dir) {
    if (nftw(dir, evict_file, 8, FTW_PHYS) != 0) {
        perror(dir);
        exit(2);
    }
}

void usage_wait_quiet(void) {
    struct usage before, now;
    usage_now(&before);
    for (int quiet = 0; quiet < QUIET_CHECKS;) {
        (void)usleep(QUIET_SLEEP_US);
        usage_now(&now);
        quiet = now.cpu_ns - before.cpu_ns < QUIET_CPU_NS && now.asked_bytes == before.asked_bytes ? quiet + 1 : 0;
        before = now;
    }
}
