/* memtable.c: versions, range deletes and the iterator, on top of the index.
 *
 * Everything a reader follows is a chain with an atomic head: the index's entries, an entry's versions, the range deletes. The writer completes a
 * piece and then stores the head with release; readers load the head with acquire and skip what is not below their position. What
 * undo takes off a chain stays whole, for readers that stand on it; no later position shows it.
 */
#include "memtable.h"

#include <assert.h>

#define INLINE_ENTRY_BYTES_MAX ((size_t)4096) /* a larger key gets an allocation of its own, so that offsets inside one stay within a chunk */

struct lsm_memtable {
    struct lsm_arena arena;
    struct lsm_skiplist list;
    _Atomic(const struct lsm_mem_range *) ranges; /* stored by the writer */
};

struct lsm_memtable *lsm_memtable_new(struct lsm_slice shared) {
    struct lsm_memtable *mt = lsm_malloc(sizeof *mt);
    if (mt == NULL) return NULL;
    lsm_arena_init(&mt->arena);
    atomic_init(&mt->ranges, NULL);
    if (lsm_skiplist_init(&mt->list, &mt->arena, shared) == LSM_OK) return mt;
    lsm_memtable_free(mt);
    return NULL;
}

void lsm_memtable_free(struct lsm_memtable *mt) {
    if (mt == NULL) return;
    lsm_arena_release(&mt->arena);
    lsm_free(mt);
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

static size_t round_up(size_t bytes) { return (bytes + LSM_ARENA_UNIT_BYTES - 1) / LSM_ARENA_UNIT_BYTES * LSM_ARENA_UNIT_BYTES; }

static void fill_version(struct mem_version *version, enum lsm_kind kind, struct lsm_slice value, uint64_t sequence, uint32_t older) {
    version->sequence = sequence;
    version->older = older;
    version->size_kind = (uint32_t)value.size << 1 | (kind == LSM_KIND_DELETE);
    if (value.size != 0) memcpy(version->value, value.data, value.size);
}

/* A version behind an existing entry. */
static int push_version(struct lsm_memtable *mt, struct mem_entry *entry, enum lsm_kind kind, struct lsm_slice value, uint64_t sequence) {
    uint32_t offset, older = atomic_load_explicit(&entry->newest, memory_order_relaxed);
    assert(older == 0 || mem_version_at(&mt->arena, older)->sequence < sequence);
    struct mem_version *version = lsm_arena_alloc(&mt->arena, LSM_ARENA_DATA, sizeof *version + value.size, &offset);
    if (version == NULL) return LSM_NOMEM;
    fill_version(version, kind, value, sequence, older);
    atomic_store_explicit(&entry->newest, offset, memory_order_release);
    return LSM_OK;
}

/* Room for an entry and its first version; normally one piece, so that a lookup finds both in one place. */
static struct mem_entry *new_entry(struct lsm_memtable *mt, size_t key_bytes, size_t value_bytes, uint32_t *entry_offset, uint32_t *version_offset) {
    size_t entry_bytes = round_up(sizeof(struct mem_entry) + key_bytes), version_bytes = sizeof(struct mem_version) + value_bytes;
    if (entry_bytes <= INLINE_ENTRY_BYTES_MAX) {
        struct mem_entry *entry = lsm_arena_alloc(&mt->arena, LSM_ARENA_DATA, entry_bytes + version_bytes, entry_offset);
        if (entry != NULL) *version_offset = *entry_offset + (uint32_t)(entry_bytes / LSM_ARENA_UNIT_BYTES);
        return entry;
    }
    if (lsm_arena_alloc(&mt->arena, LSM_ARENA_DATA, version_bytes, version_offset) == NULL) return NULL;
    return lsm_arena_alloc(&mt->arena, LSM_ARENA_DATA, entry_bytes, entry_offset);
}

/* The key was just sought and not found. */
static int add_entry(struct lsm_memtable *mt, enum lsm_kind kind, struct lsm_slice key, struct lsm_slice value, uint64_t sequence) {
    struct lsm_arena_mark mark = lsm_arena_mark(&mt->arena);
    uint32_t entry_offset, version_offset;
    struct mem_entry *entry = new_entry(mt, key.size, value.size, &entry_offset, &version_offset);
    if (entry != NULL) {
        entry->key_bytes = (uint32_t)key.size;
        if (key.size != 0) memcpy(entry->key, key.data, key.size);
        fill_version(mem_version_at(&mt->arena, version_offset), kind, value, sequence, 0);
        atomic_init(&entry->newest, version_offset);
        if (lsm_skiplist_insert(&mt->list, entry_offset) == LSM_OK) return LSM_OK;
    }
    lsm_arena_rewind(&mt->arena, &mark);
    return LSM_NOMEM;
}

int lsm_memtable_put(struct lsm_memtable *mt, enum lsm_kind kind, struct lsm_slice key, struct lsm_slice value, uint64_t sequence) {
    if (key.size > LSM_KEY_BYTES_MAX + LSM_TREE_BYTES || value.size > LSM_VALUE_BYTES_MAX) return LSM_TOOBIG;
    if (kind == LSM_KIND_DELETE) value = lsm_slice_of(NULL, 0);
    struct mem_entry *entry = lsm_skiplist_locate(&mt->list, key);
    if (entry != NULL) return push_version(mt, entry, kind, value, sequence);
    return add_entry(mt, kind, key, value, sequence);
}

void lsm_memtable_undo(struct lsm_memtable *mt, struct lsm_slice key, uint64_t from) {
    struct mem_entry *entry = lsm_skiplist_locate(&mt->list, key);
    if (entry == NULL) return;
    uint32_t offset = atomic_load_explicit(&entry->newest, memory_order_relaxed);
    while (offset != 0 && mem_version_at(&mt->arena, offset)->sequence >= from) offset = mem_version_at(&mt->arena, offset)->older;
    atomic_store_explicit(&entry->newest, offset, memory_order_release);
}

/* The entry's newest version below the position, or NULL. */
static const struct mem_version *visible_version(const struct lsm_memtable *mt, const struct mem_entry *entry, uint64_t position) {
    uint32_t offset = atomic_load_explicit(&entry->newest, memory_order_acquire);
    while (offset != 0) {
        const struct mem_version *version = mem_version_at(&mt->arena, offset);
        if (version->sequence < position) return version;
        offset = version->older;
    }
    return NULL;
}

static enum lsm_kind version_kind(const struct mem_version *version) { return (version->size_kind & 1) != 0 ? LSM_KIND_DELETE : LSM_KIND_PUT; }

static struct lsm_slice version_value(const struct mem_version *version) { return lsm_slice_of(version->value, version->size_kind >> 1); }

static bool fill_hit(const struct lsm_memtable *mt, const struct mem_entry *entry, uint64_t position, struct lsm_mem_hit *hit) {
    const struct mem_version *version = entry == NULL ? NULL : visible_version(mt, entry, position);
    if (version == NULL) return false;
    *hit = (struct lsm_mem_hit){.kind = version_kind(version), .sequence = version->sequence, .value = version_value(version)};
    return true;
}

bool lsm_memtable_get(const struct lsm_memtable *mt, struct lsm_slice key, uint64_t position, struct lsm_mem_hit *hit) {
    return fill_hit(mt, lsm_skiplist_find(&mt->list, key), position, hit);
}

bool lsm_memtable_get_writer(struct lsm_memtable *mt, struct lsm_slice key, uint64_t position, struct lsm_mem_hit *hit) {
    return fill_hit(mt, lsm_skiplist_locate(&mt->list, key), position, hit);
}

/* ---- range deletes -------------------------------------------------------------------------------------------- */

int lsm_memtable_delete_range(struct lsm_memtable *mt, struct lsm_slice low, struct lsm_slice high, uint64_t sequence) {
    size_t key_bytes_max = LSM_KEY_BYTES_MAX + LSM_TREE_BYTES;
    if (low.size > key_bytes_max || high.size > key_bytes_max) return LSM_TOOBIG;
    const struct lsm_mem_range *older = atomic_load_explicit(&mt->ranges, memory_order_relaxed);
    assert(older == NULL || older->sequence < sequence);
    struct lsm_mem_range *range = lsm_arena_alloc(&mt->arena, LSM_ARENA_DATA, sizeof *range + low.size + high.size, NULL);
    if (range == NULL) return LSM_NOMEM;
    uint8_t *bytes = (uint8_t *)(range + 1);
    if (low.size != 0) memcpy(bytes, low.data, low.size);
    if (high.size != 0) memcpy(bytes + low.size, high.data, high.size);
    *range = (struct lsm_mem_range){
        .older = older, .low = lsm_slice_of(bytes, low.size), .high = lsm_slice_of(bytes + low.size, high.size), .sequence = sequence};
    atomic_store_explicit(&mt->ranges, range, memory_order_release);
    return LSM_OK;
}

void lsm_memtable_undo_ranges(struct lsm_memtable *mt, uint64_t from) {
    const struct lsm_mem_range *range = atomic_load_explicit(&mt->ranges, memory_order_relaxed);
    while (range != NULL && range->sequence >= from) range = range->older;
    atomic_store_explicit(&mt->ranges, range, memory_order_release);
}

const struct lsm_mem_range *lsm_memtable_ranges(const struct lsm_memtable *mt, uint64_t position) {
    const struct lsm_mem_range *range = atomic_load_explicit(&mt->ranges, memory_order_acquire);
    while (range != NULL && range->sequence >= position) range = range->older;
    return range;
}

const struct lsm_mem_range *lsm_memtable_range_next(const struct lsm_mem_range *range) { return range->older; }

/* ---- figures -------------------------------------------------------------------------------------------------- */

size_t lsm_memtable_bytes(const struct lsm_memtable *mt) { return sizeof *mt + lsm_arena_bytes(&mt->arena); }

size_t lsm_memtable_keys(const struct lsm_memtable *mt) { return atomic_load_explicit(&mt->list.keys, memory_order_relaxed); }

size_t lsm_memtable_estimate(const struct lsm_memtable *mt, const struct lsm_slice *low, const struct lsm_slice *high) {
    return lsm_skiplist_estimate(&mt->list, low, high);
}

struct lsm_slice lsm_memtable_shared(const struct lsm_memtable *mt) {
    return lsm_skiplist_common(&mt->list);
}

const char *lsm_memtable_check(const struct lsm_memtable *mt) {
    struct lsm_skiplist_place place;
    const char *broken = lsm_skiplist_check(&mt->list);
    const struct mem_entry *entry = lsm_skiplist_first(&mt->list, &place);
    for (; broken == NULL && entry != NULL; entry = lsm_skiplist_next(&mt->list, &place)) {
        uint32_t offset = atomic_load_explicit(&entry->newest, memory_order_relaxed);
        uint64_t newer = UINT64_MAX;
        while (offset != 0 && mem_version_at(&mt->arena, offset)->sequence < newer) {
            newer = mem_version_at(&mt->arena, offset)->sequence;
            offset = mem_version_at(&mt->arena, offset)->older;
        }
        if (offset != 0) broken = "versions are not newest first";
    }
    return broken;
}

/* ---- iterator ------------------------------------------------------------------------------------------------- */

static struct lsm_memtable_iter *self(struct lsm_iter *iter) { return (struct lsm_memtable_iter *)iter; }

/* From this entry on in one direction, stop at the first that has something visible. */
static void settle(struct lsm_memtable_iter *it, const struct mem_entry *entry, bool forward) {
    const struct lsm_memtable *mt = it->mt;
    const struct mem_version *version = NULL;
    while (entry != NULL && (version = visible_version(mt, entry, it->position)) == NULL) {
        entry = forward ? lsm_skiplist_next(&mt->list, &it->place) : lsm_skiplist_prev(&mt->list, &it->place);
    }
    it->base.valid = entry != NULL;
    if (entry == NULL || version == NULL) return;
    it->base.kind = version_kind(version);
    it->base.key = mem_entry_key(entry);
    it->base.value = version_value(version);
    it->sequence = version->sequence;
}

static void iter_first(struct lsm_iter *iter) {
    struct lsm_memtable_iter *it = self(iter);
    settle(it, lsm_skiplist_first(&it->mt->list, &it->place), true);
}

static void iter_last(struct lsm_iter *iter) {
    struct lsm_memtable_iter *it = self(iter);
    settle(it, lsm_skiplist_last(&it->mt->list, &it->place), false);
}

static void iter_seek(struct lsm_iter *iter, struct lsm_slice key) {
    struct lsm_memtable_iter *it = self(iter);
    settle(it, lsm_skiplist_seek(&it->mt->list, key, false, &it->place), true);
}

static void iter_seek_before(struct lsm_iter *iter, struct lsm_slice key) {
    struct lsm_memtable_iter *it = self(iter);
    settle(it, lsm_skiplist_seek(&it->mt->list, key, true, &it->place), false);
}

static void iter_next(struct lsm_iter *iter) {
    struct lsm_memtable_iter *it = self(iter);
    assert(iter->valid);
    settle(it, lsm_skiplist_next(&it->mt->list, &it->place), true);
}

static void iter_prev(struct lsm_iter *iter) {
    struct lsm_memtable_iter *it = self(iter);
    assert(iter->valid);
    settle(it, lsm_skiplist_prev(&it->mt->list, &it->place), false);
}

static void iter_release(struct lsm_iter *iter) { iter->valid = false; }

static const struct lsm_iter_ops memtable_iter_ops = {
    .first = iter_first,
    .last = iter_last,
    .seek = iter_seek,
    .seek_before = iter_seek_before,
    .next = iter_next,
    .prev = iter_prev,
    .release = iter_release,
};

void lsm_memtable_iter_init(struct lsm_memtable_iter *iter, const struct lsm_memtable *mt, uint64_t position) {
    iter->base.ops = &memtable_iter_ops;
    iter->base.valid = false;
    iter->base.status = LSM_OK;
    iter->base.err.code = LSM_OK;
    iter->base.err.text[0] = '\0';
    iter->mt = mt;
    iter->position = position;
}
