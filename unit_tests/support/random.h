/* random.h: numbers that are the same for the same seed, everywhere. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stdint.h>

/* The next one of 64 bits after *state, which begins as the seed (splitmix64). */
uint64_t random_next(uint64_t *state);
/* 0 .. limit - 1. */
uint64_t random_below(uint64_t *state, uint64_t limit);

#endif
