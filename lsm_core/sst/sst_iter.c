/* Walking a table file. Where blocks come from:
 *
 *     in the cache?            -> pinned there
 *     not, and a walk goes on  -> from its third block on the window: one large read over several blocks, larger each time up to WINDOW_BYTES_MAX;
 *                                 the first of them are copied into the cache (with fill_cache), the others used where they lie
 *     not, and a first step or two -> one block is read (into the cache, with fill_cache)
 * A mapped file has no window: blocks are used in the map, or unpacked from it. But a merge reads it, to fail with a message where a map would raise SIGBUS;
 * so it passes over blocks in the cache that only say where they lie in the map.
 */
#include "sst_reader.h"

#define WINDOW_BYTES_FIRST ((size_t)16 * 1024)
#define WINDOW_BYTES_MAX   ((size_t)256 * 1024)
#define WINDOW_GROWTH      4u
#define WALK_BLOCKS_ALONE  2u  /* of a walk's first blocks: a query for a few rows ends there */
#define WALK_BLOCKS_KEPT   32u /* of a walk's first blocks: 128 KiB, what a query for some rows reads */
#define SMALL_TABLE_SHARE  8u  /* a table below this part of the cache may as well lie in it whole */

static struct lsm_sst_iter *self_of(struct lsm_iter *base) { return (struct lsm_sst_iter *)base; }

/* ---- the current block ---------------------------------------------------------------------------------------- */

static void drop_block(struct lsm_sst_iter *iter) {
    lsm_sst_block_release(iter->sst, iter->block, iter->cached);
    iter->block = NULL;
    iter->loaded = false;
}

static void hold_block(struct lsm_sst_iter *iter, struct lsm_sst_block *block, bool cached) {
    iter->block = block;
    iter->cached = cached;
    iter->view = block->block;
}

/* Read the window anew so that it holds block i and as many of those to come as window_want allows. */
static int window_read(struct lsm_sst_iter *iter, size_t i, const struct lsm_sst_handle *handle, struct lsm_error *err) {
    const struct lsm_sst *sst = iter->sst;
    uint64_t low = handle->offset, high = lsm_sst_handle_end(handle), before;
    for (size_t j = i + 1; iter->forward && j < lsm_sst_block_count(sst); j++) {
        struct lsm_sst_handle next = lsm_sst_handle_of(sst, j, &before);
        if (lsm_sst_handle_end(&next) - low > iter->window_want) break;
        high = lsm_sst_handle_end(&next);
    }
    for (size_t j = i; !iter->forward && j > 0; j--) {
        struct lsm_sst_handle previous = lsm_sst_handle_of(sst, j - 1, &before);
        if (high - previous.offset > iter->window_want) break;
        low = previous.offset;
    }
    size_t size = (size_t)(high - low);
    lsm_buf_reset(&iter->window);
    if (iter->window.capacity > 4 * WINDOW_BYTES_MAX && size <= WINDOW_BYTES_MAX) lsm_buf_free(&iter->window);
    if (lsm_buf_reserve(&iter->window, size) != LSM_OK) return lsm_fail_nomem(err, size);
    int status = lsm_sst_read(&sst->ident, sst->file, low, iter->window.data, size, err);
    if (status != LSM_OK) return status;
    iter->window.size = size;
    iter->window_offset = low;
    return LSM_OK;
}

static bool window_has(const struct lsm_sst_iter *iter, const struct lsm_sst_handle *handle) {
    return handle->offset >= iter->window_offset && lsm_sst_handle_end(handle) <= iter->window_offset + iter->window.size;
}

/* Use a block that lies in the window where it is, or decompressed next to it. */
static int view_stored(struct lsm_sst_iter *iter, size_t i, const struct lsm_sst_handle *handle, const uint8_t *stored, struct lsm_error *err) {
    enum lsm_compression compression;
    const struct lsm_sst *sst = iter->sst;
    int status = lsm_sst_trailer_check(&sst->ident, handle, stored, &compression, err);
    if (status != LSM_OK) return status;
    const uint8_t *payload = stored;
    if (compression != LSM_COMPRESS_NONE) {
        size_t room = (size_t)handle->raw + LSM_BLOCK_SLACK;
        lsm_buf_reset(&iter->raw);
        if (lsm_buf_reserve(&iter->raw, room) != LSM_OK) return lsm_fail_nomem(err, room);
        status = lsm_sst_block_unpack(sst, handle, compression, stored, iter->raw.data, err);
        if (status != LSM_OK) return status;
        payload = iter->raw.data;
    }
    return lsm_sst_block_view(sst, i, handle, lsm_slice_of(payload, (size_t)handle->raw), &iter->view, err);
}

/* Is a block read by this walk worth a place in the cache? */
static bool keeps(const struct lsm_sst_iter *iter, const struct lsm_sst_handle *handle) {
    const struct lsm_sst *sst = iter->sst;
    if (!iter->fill_cache || sst->cache == NULL) return false;
    if (sst->map != NULL && handle->raw == handle->stored) return true; /* it takes next to nothing */
    if (iter->walked < WALK_BLOCKS_KEPT || sst->meta->raw_bytes <= lsm_cache_capacity(sst->cache) / SMALL_TABLE_SHARE) return true;
    return lsm_cache_room(sst->cache) > sst->meta->raw_bytes; /* it pushes nothing out, and the next walk reads and unpacks nothing */
}

static bool is_mapped(const struct lsm_sst_iter *iter) { return iter->sst->map != NULL && iter->fill_cache; }

static struct lsm_sst_block *cached(const struct lsm_sst_iter *iter, size_t i, const struct lsm_sst_handle *handle) {
    bool in_map = iter->sst->map != NULL && handle->raw == handle->stored;
    return in_map && !iter->fill_cache ? NULL : lsm_sst_block_cached(iter->sst, i);
}

/* Block i through the window, or the map. */
static int load_ahead(struct lsm_sst_iter *iter, size_t i, const struct lsm_sst_handle *handle, struct lsm_error *err) {
    bool mapped = is_mapped(iter);
    if (!mapped && !window_has(iter, handle)) {
        int status = window_read(iter, i, handle, err);
        if (status != LSM_OK) return status;
    }
    const uint8_t *stored = mapped ? iter->sst->map + handle->offset : iter->window.data + (handle->offset - iter->window_offset);
    if (!keeps(iter, handle)) return view_stored(iter, i, handle, stored, err);
    struct lsm_sst_block *block = NULL;
    int status = lsm_sst_block_make(iter->sst, i, handle, stored, &block, err);
    if (status == LSM_OK) hold_block(iter, lsm_sst_block_publish(iter->sst, i, block), true);
    return status;
}

static int load_block(struct lsm_sst_iter *iter, size_t i, struct lsm_error *err) {
    uint64_t before;
    struct lsm_sst_handle handle = lsm_sst_handle_of(iter->sst, i, &before);
    struct lsm_sst_block *block = cached(iter, i, &handle);
    bool walking = i == iter->next_miss;
    iter->next_miss = iter->forward ? i + 1 : i - 1; /* from block 0 backwards: none */
    iter->walked = walking ? iter->walked + 1 : 0;
    if (block != NULL) {
        hold_block(iter, block, true);
        return LSM_OK;
    }
    if (is_mapped(iter)) return load_ahead(iter, i, &handle, err);
    if (!window_has(iter, &handle)) {
        size_t grown = iter->window_want == 0 ? WINDOW_BYTES_FIRST : iter->window_want * WINDOW_GROWTH;
        iter->window_want = iter->walked < WALK_BLOCKS_ALONE ? 0 : grown < iter->window_most ? grown : iter->window_most;
    }
    if (iter->window_want != 0 || !iter->fill_cache) return load_ahead(iter, i, &handle, err);
    int status = lsm_sst_block_get(iter->sst, i, &block, err);
    if (status == LSM_OK) hold_block(iter, block, iter->sst->cache != NULL);
    return status;
}

/* Make block i the current one. False: the iterator has failed. */
static bool set_block(struct lsm_sst_iter *iter, size_t i) {
    if (iter->loaded && iter->block_no == i) return true;
    drop_block(iter);
    int status = load_block(iter, i, &iter->base.err);
    lsm_buf_reset(&iter->key);
    size_t room = status == LSM_OK ? lsm_block_key_room(&iter->view) : 0;
    if (status == LSM_OK && lsm_buf_reserve(&iter->key, room) != LSM_OK) status = lsm_fail_nomem(&iter->base.err, room);
    if (status != LSM_OK) {
        drop_block(iter);
        iter->base.status = status;
        return false;
    }
    if (iter->view.shared.size != 0) memcpy(iter->key.data, iter->view.shared.data, iter->view.shared.size);
    iter->block_no = i;
    iter->loaded = true;
    return true;
}

/* ---- the current entry ---------------------------------------------------------------------------------------- */

static void show(struct lsm_sst_iter *iter) {
    struct lsm_block_entry entry = lsm_block_entry(&iter->view, iter->entry_no);
    iter->base.key = lsm_slice_of(iter->key.data, lsm_block_key(&iter->view, iter->entry_no, &entry, iter->key.data));
    iter->base.value = entry.value;
    iter->base.kind = entry.kind;
    iter->base.valid = true;
}

void lsm_sst_iter_step(struct lsm_sst_iter *iter, bool forward) {
    iter->entry_no += forward ? 1 : (size_t)-1;
    show(iter);
}

/* To the first entry of block i, or to nothing behind the last block. */
static void enter_first(struct lsm_sst_iter *iter, size_t i) {
    iter->base.valid = false;
    iter->forward = true;
    if (i >= lsm_sst_block_count(iter->sst) || !set_block(iter, i)) return;
    iter->entry_no = 0;
    show(iter);
}

/* To the last entry of the block before i, or to nothing. */
static void enter_last_before(struct lsm_sst_iter *iter, size_t i) {
    iter->base.valid = false;
    iter->forward = false;
    if (i == 0 || !set_block(iter, i - 1)) return;
    /* Processors see where a walk upwards is going; downwards the next block is asked for as a whole. */
    if (i > 1 && iter->cached) lsm_cache_prefetch(&iter->sst->slots[i - 2], sizeof(struct lsm_sst_block) + iter->sst->places[i - 2].raw);
    iter->entry_no = iter->view.count - 1; /* the index counts at least one for each block */
    show(iter);
}

/* ---- operations ----------------------------------------------------------------------------------------------- */

static void restart(struct lsm_sst_iter *iter) {
    iter->base.status = LSM_OK;
    iter->base.valid = false;
}

static void op_first(struct lsm_iter *base) {
    restart(self_of(base));
    enter_first(self_of(base), 0);
}

static void op_last(struct lsm_iter *base) {
    restart(self_of(base));
    enter_last_before(self_of(base), lsm_sst_block_count(self_of(base)->sst));
}

/* The block for key becomes current; *at is the first entry >= key in it, its count if there is none. */
static bool locate(struct lsm_sst_iter *iter, struct lsm_slice key, size_t *at) {
    bool exact;
    restart(iter);
    if (lsm_sst_block_count(iter->sst) == 0 || !set_block(iter, lsm_sst_block_for(iter->sst, key))) return false;
    *at = lsm_block_seek(&iter->view, key, &exact);
    return true;
}

static void op_seek(struct lsm_iter *base, struct lsm_slice key) {
    struct lsm_sst_iter *iter = self_of(base);
    size_t at;
    iter->forward = true;
    if (!locate(iter, key, &at)) return;
    if (at == iter->view.count) {
        enter_first(iter, iter->block_no + 1);
        return;
    }
    iter->entry_no = at;
    show(iter);
}

static void op_seek_before(struct lsm_iter *base, struct lsm_slice key) {
    struct lsm_sst_iter *iter = self_of(base);
    size_t at;
    iter->forward = false;
    if (!locate(iter, key, &at)) return;
    if (at == 0) {
        enter_last_before(iter, iter->block_no);
        return;
    }
    iter->entry_no = at - 1;
    show(iter);
}

static void op_next(struct lsm_iter *base) {
    struct lsm_sst_iter *iter = self_of(base);
    if (++iter->entry_no < iter->view.count)
        show(iter);
    else
        enter_first(iter, iter->block_no + 1);
}

static void op_prev(struct lsm_iter *base) {
    struct lsm_sst_iter *iter = self_of(base);
    if (iter->entry_no-- > 0)
        show(iter);
    else
        enter_last_before(iter, iter->block_no);
}

static void op_release(struct lsm_iter *base) {
    struct lsm_sst_iter *iter = self_of(base);
    drop_block(iter);
    lsm_buf_free(&iter->key);
    lsm_buf_free(&iter->raw);
    lsm_buf_free(&iter->window);
    base->valid = false;
}

void lsm_sst_iter_init(struct lsm_sst_iter *iter, struct lsm_sst *sst, bool fill_cache) {
    static const struct lsm_iter_ops ops = {
        .first = op_first, .last = op_last, .seek = op_seek, .seek_before = op_seek_before, .next = op_next, .prev = op_prev, .release = op_release};
    *iter =
        (struct lsm_sst_iter){.base = {.ops = &ops}, .sst = sst, .fill_cache = fill_cache, .next_miss = SIZE_MAX, .window_most = WINDOW_BYTES_MAX};
}

void lsm_sst_iter_move(struct lsm_sst_iter *iter, struct lsm_sst *sst) {
    drop_block(iter);
    restart(iter);
    lsm_buf_reset(&iter->window);
    iter->sst = sst;
    iter->window_want = iter->walked = 0;
    iter->next_miss = SIZE_MAX;
}
