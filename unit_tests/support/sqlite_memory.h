/* sqlite_memory.h: SQLite's memory, which runs out when a test says so; lsm_mem_fail_after() does the same to the engine's. One thread at a time. */
#ifndef TEST_SQLITE_MEMORY_H
#define TEST_SQLITE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Before SQLite is used for the first time. Without lookaside, too: most of it would never ask. Fails the test if SQLite does not allow it. */
void sqlite_memory_take(void);

/* The n-th allocation from now on fails, once or (sticky) with all that follow; 0: none. */
void sqlite_memory_fail_after(int64_t n, bool sticky);

/* Has one failed since failures were last asked for? */
bool sqlite_memory_failed(void);

#endif
