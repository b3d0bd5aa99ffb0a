/* usage.h: what this process has used so far, as the kernel counts it. */
#ifndef LSM_BENCH_ENGINE_USAGE_H
#define LSM_BENCH_ENGINE_USAGE_H

#include <stdint.h>

struct usage {
    uint64_t cpu_ns;                  /* all threads, user and system */
    uint64_t read_bytes, write_bytes; /* from and to the disk; written pages count when they become dirty */
    uint64_t asked_bytes;             /* handed to write() and its kin; at least write_bytes, for what is written through maps */
};

void usage_now(struct usage *usage);
/* Largest resident size since the last reset, in bytes. */
uint64_t usage_peak(void);
void usage_reset_peak(void);
/* Space that the files of a folder take on disk. */
uint64_t usage_space(const char *dir);
/* Puts the files of a folder that nobody has open onto the disk and out of the system's page cache; ends the program if that fails. */
void usage_evict(const char *dir);
/* Wait until this process has neither computed nor written for a quarter of a second: background work is done. */
void usage_wait_quiet(void);

#endif
