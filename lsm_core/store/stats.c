/* Reports: numbers and files, as they are now. */
#include "store.h"

#include <stdio.h>

static uint64_t counter(struct lsm_store *store, enum lsm_counter which) {
    return atomic_load_explicit(&store->counters[which], memory_order_relaxed);
}

static void fill_counters(struct lsm_store *store, struct lsm_stats *stats) {
    stats->commits = counter(store, LSM_COUNT_COMMITS);
    stats->rollbacks = counter(store, LSM_COUNT_ROLLBACKS);
    stats->puts = counter(store, LSM_COUNT_PUTS);
    stats->deletes = counter(store, LSM_COUNT_DELETES);
    stats->range_deletes = counter(store, LSM_COUNT_RANGE_DELETES);
    stats->gets = counter(store, LSM_COUNT_GETS);
    stats->get_hits = counter(store, LSM_COUNT_GET_HITS);
    stats->filter_probes = counter(store, LSM_COUNT_FILTER_PROBES);
    stats->filter_negatives = counter(store, LSM_COUNT_FILTER_NEGATIVES);
    stats->seeks = counter(store, LSM_COUNT_SEEKS);
    stats->wal_bytes = counter(store, LSM_COUNT_WAL_BYTES);
    stats->wal_syncs = counter(store, LSM_COUNT_WAL_SYNCS);
    stats->flushes = counter(store, LSM_COUNT_FLUSHES);
    stats->flush_bytes = counter(store, LSM_COUNT_FLUSH_BYTES);
    stats->merges = counter(store, LSM_COUNT_MERGES);
    stats->merge_bytes_read = counter(store, LSM_COUNT_MERGE_READ);
    stats->merge_bytes_written = counter(store, LSM_COUNT_MERGE_WRITTEN);
    stats->trivial_moves = counter(store, LSM_COUNT_TRIVIAL_MOVES);
    stats->stall_us = counter(store, LSM_COUNT_STALL_US);
}

void lsm_store_stats(struct lsm_store *store, struct lsm_stats *stats) {
    struct lsm_cache_stats cache;
    memset(stats, 0, sizeof *stats);
    if (lsm_store_guard(store, NULL) != LSM_OK) return;
    fill_counters(store, stats);
    stats->reserve_bytes = lsm_reserve_bytes(store);
    lsm_cache_stats(store->cache, &cache);
    stats->cache_hits = cache.hits;
    stats->cache_misses = cache.misses;
    stats->cache_bytes = cache.bytes;
    stats->mapped_bytes = atomic_load_explicit(&store->set.maps.used, memory_order_relaxed);
    struct lsm_state *state = lsm_store_ref_state(store);
    stats->table_bytes = state->version->bytes;
    stats->memtable_bytes = atomic_load_explicit(&store->own_bytes, memory_order_relaxed);
    for (size_t i = 0; i < state->gens_count; i++) {
        stats->memtable_bytes += lsm_gen_bytes(state->gens[i]);
        if (state->gens[i]->files != NULL) stats->table_bytes += state->gens[i]->files->bytes;
    }
    stats->sealed_memtables = (int)state->gens_count - 1;
    stats->level0_runs = (int)state->version->level0_count;
    stats->position = atomic_load_explicit(&store->published, memory_order_acquire);
    lsm_mutex_lock(&store->mu);
    const struct lsm_wal_writer *log = store->log;
    uint64_t start = state->gens[state->gens_count - 1]->start;
    if (log != NULL) {
        stats->synced_position = lsm_wal_writer_synced(log);
        stats->generation = lsm_wal_writer_generation(log);
    }
    stats->wal_bytes_on_disk = stats->position > start ? stats->position - start : 0;
    stats->pinned_views = atomic_load_explicit(&store->pinned_views, memory_order_relaxed);
    for (int work = LSM_WORK_KINDS; work-- > 0;) {
        const struct lsm_trouble *trouble = &store->trouble[work];
        if (trouble->status == LSM_OK) continue;
        stats->background_status = trouble->status;
        (void)snprintf(stats->background_error, sizeof stats->background_error, "%.*s", (int)sizeof stats->background_error - 1, trouble->error.text);
    }
    int failed = atomic_load_explicit(&store->failed, memory_order_relaxed);
    if (failed != LSM_OK) {
        stats->background_status = failed;
        (void)snprintf(stats->background_error, sizeof stats->background_error, "%.*s", (int)sizeof stats->background_error - 1,
                       store->failed_error.text);
    }
    memcpy(stats->stall_reason, store->stall_reason, sizeof stats->stall_reason);
    lsm_mutex_unlock(&store->mu);
    lsm_mutex_lock(&store->set.mu);
    stats->version = store->set.edits;
    lsm_mutex_unlock(&store->set.mu);
    lsm_state_unref(state);
}

struct collect {
    struct lsm_file_info *files;
    size_t count;
};

static bool collect_file(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct collect *collect = arg;
    struct lsm_file_info *info = &collect->files[collect->count++];
    *info = (struct lsm_file_info){.number = meta->number,
                                   .level = level,
                                   .run = (int)run,
                                   .bytes = meta->bytes,
                                   .rows = meta->entries,
                                   .tombstones = meta->tombstones,
                                   .range_tombstones = meta->range_tombstones,
                                   .log_low = meta->log_low,
                                   .log_high = meta->log_high,
                                   .raw_bytes = meta->raw_bytes,
                                   .compression = (enum lsm_compression)meta->compression};
    if (meta->smallest.size >= LSM_TREE_BYTES) info->tree_low = lsm_load_be32(meta->smallest.data);
    if (meta->largest.size >= LSM_TREE_BYTES) info->tree_high = lsm_load_be32(meta->largest.data);
    return true;
}

int lsm_store_files(struct lsm_store *store, struct lsm_file_info **files, size_t *count, struct lsm_error *err) {
    *files = NULL;
    *count = 0;
    int status = lsm_store_guard(store, err);
    if (status != LSM_OK) return status;
    struct lsm_version *version = lsm_version_set_ref_current(&store->set);
    struct collect collect = {.files = lsm_calloc(version->files, sizeof *collect.files)};
    if (collect.files == NULL)
        status = lsm_fail_nomem(err, version->files * sizeof *collect.files);
    else
        lsm_version_each(version, collect_file, &collect);
    lsm_version_set_unref(&store->set, version);
    *files = collect.files;
    *count = collect.count;
    return status;
}
