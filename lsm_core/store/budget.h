/* budget.h: the memory of the process: one block cache for all stores, and what memtables hold counted against it.
 *
 * The cache may have what the most demanding store asked for, as long as no more than one sealed memtable per store waits or is pinned; what
 * sealed memtables hold beyond that (long SELECTs pin them, flushes fall behind) is taken from the cache, down to a quarter of it.
 * Threads: any.
 */
#ifndef LSM_STORE_BUDGET_H
#define LSM_STORE_BUDGET_H

#include "../cache/cache.h"

/* The process's cache, made by the first store. NULL: out of memory. Each call needs its lsm_budget_leave(). */
struct lsm_cache *lsm_budget_join(size_t cache_bytes, size_t write_buffer_bytes);
/* The last one frees the cache. */
void lsm_budget_leave(size_t write_buffer_bytes);
/* A memtable generation was sealed with so many bytes (positive), or one that was is gone (negative). */
void lsm_budget_charge(int64_t bytes);

#endif
