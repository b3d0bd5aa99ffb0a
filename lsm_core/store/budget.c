#include "budget.h"

#include "../env/sync.h"

enum { CACHE_SHARE_MIN = 4 }; /* a 4th of the cache stays: below that every read goes to the disk, and flushing gets slower still */

static struct lsm_mutex budget_mu = LSM_MUTEX_STATIC;

/* Guarded by budget_mu. */
static struct lsm_cache *cache; /* NULL while no store is open */
static int stores;
static size_t cache_bytes_asked; /* the most of all that joined since the cache was made */
static int64_t free_bytes;       /* sealed memtables that cost the cache nothing: one per store */
static int64_t sealed_bytes;     /* all sealed memtables that are still in memory */

/* Needs: budget_mu. */
static void adjust(void) {
    if (cache == NULL) return;
    int64_t over = sealed_bytes - free_bytes, asked = (int64_t)cache_bytes_asked;
    int64_t bytes = over <= 0 ? asked : asked - over;
    if (bytes < asked / CACHE_SHARE_MIN) bytes = asked / CACHE_SHARE_MIN;
    if (lsm_cache_capacity(cache) != (size_t)bytes) lsm_cache_set_capacity(cache, (size_t)bytes);
}

struct lsm_cache *lsm_budget_join(size_t cache_bytes, size_t write_buffer_bytes) {
    lsm_mutex_lock(&budget_mu);
    if (cache == NULL) {
        cache = lsm_cache_new(cache_bytes);
        cache_bytes_asked = cache_bytes;
    }
    struct lsm_cache *joined = cache;
    if (joined != NULL) {
        stores++;
        free_bytes += (int64_t)write_buffer_bytes;
        if (cache_bytes > cache_bytes_asked) cache_bytes_asked = cache_bytes;
        adjust();
    }
    lsm_mutex_unlock(&budget_mu);
    return joined;
}

void lsm_budget_leave(size_t write_buffer_bytes) {
    lsm_mutex_lock(&budget_mu);
    free_bytes -= (int64_t)write_buffer_bytes;
    if (--stores == 0) {
        lsm_cache_free(cache);
        cache = NULL;
    }
    adjust();
    lsm_mutex_unlock(&budget_mu);
}

void lsm_budget_charge(int64_t bytes) {
    if (bytes == 0) return;
    lsm_mutex_lock(&budget_mu);
    sealed_bytes += bytes;
    adjust();
    lsm_mutex_unlock(&budget_mu);
}
