/* given.h: what the environment's variables say about a run. */
#ifndef TEST_GIVEN_H
#define TEST_GIVEN_H

#include <stdint.h>

/* The number that the variable says, or `otherwise`. */
uint64_t given_number(const char *variable, uint64_t otherwise);

/* The same as a distance between points: 1 at least. */
uint64_t given_stride(const char *variable, uint64_t otherwise);

/* What LSM_TEST_SEED says, or `otherwise`; printed, so that the run can be repeated. */
uint64_t given_seed(uint64_t otherwise);

#endif
