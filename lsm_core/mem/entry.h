/* entry.h: how a key and its versions lie in the memtable's arena. Private to mem/.
 *
 *      entry:   newest | key size | key bytes ...      (8-byte aligned, padded)
 *      version: sequence | older | size and kind | value bytes ...
 *
 * Everything but `newest` is written before the piece is published and never changes.
 */
#ifndef LSM_MEM_ENTRY_H
#define LSM_MEM_ENTRY_H

#include "../base/arena.h"

struct mem_entry {
    _Atomic uint32_t newest; /* offset of the newest version, 0: none */
    uint32_t key_bytes;
    uint8_t key[];
};

struct mem_version {
    uint64_t sequence;
    uint32_t older;     /* offset of the version before, 0: none */
    uint32_t size_kind; /* value bytes * 2 + (1 if a tombstone) */
    uint8_t value[];
};

static inline struct mem_entry *mem_entry_at(const struct lsm_arena *arena, uint32_t offset) { return lsm_arena_at(arena, offset); }
static inline struct mem_version *mem_version_at(const struct lsm_arena *arena, uint32_t offset) { return lsm_arena_at(arena, offset); }

static inline struct lsm_slice mem_entry_key(const struct mem_entry *entry) { return lsm_slice_of(entry->key, entry->key_bytes); }

#endif
