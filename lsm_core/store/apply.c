/* Operations of the log or of a transaction, put into a generation in memory and taken back. */
#include "store.h"

int lsm_full_key(struct lsm_buf *out, uint32_t tree, struct lsm_slice key) {
    out->size = 0;
    int status = lsm_buf_reserve(out, LSM_TREE_BYTES + key.size);
    if (status != LSM_OK) return status;
    lsm_store_be32(out->data, tree);
    if (key.size != 0) memcpy(out->data + LSM_TREE_BYTES, key.data, key.size);
    out->size = LSM_TREE_BYTES + key.size;
    return LSM_OK;
}

/* Both ends of a range delete in one buffer: low, then high. */
static int range_keys(struct lsm_buf *out, const struct lsm_op *op, struct lsm_slice *low, struct lsm_slice *high) {
    uint8_t tree_bytes[LSM_TREE_BYTES];
    size_t low_size = LSM_TREE_BYTES + op->key.size;
    int status = lsm_full_key(out, op->tree, op->key);
    lsm_store_be32(tree_bytes, op->kind == LSM_OP_TREE_DROP ? op->tree + 1 : op->tree);
    if (status == LSM_OK) status = lsm_buf_append(out, tree_bytes, sizeof tree_bytes);
    if (status == LSM_OK) status = lsm_buf_append(out, op->value.data, op->value.size);
    if (status != LSM_OK) return status;
    *low = lsm_slice_of(out->data, low_size);
    *high = lsm_slice_of(out->data + low_size, out->size - low_size);
    return LSM_OK;
}

int lsm_gen_apply(struct lsm_gen *gen, const struct lsm_gen *older, const struct lsm_op *op, uint64_t sequence, struct lsm_buf *scratch) {
    struct lsm_slice low, high;
    struct lsm_memtable *mt = NULL;
    if (op->kind == LSM_OP_SELECT || op->kind == LSM_OP_TREE_CREATE) return LSM_OK;
    mt = lsm_gen_open(gen, op->tree, older);
    if (mt == NULL) return LSM_NOMEM;
    if (op->kind == LSM_OP_PUT || op->kind == LSM_OP_DELETE) {
        int status = lsm_full_key(scratch, op->tree, op->key);
        if (status != LSM_OK) return status;
        return lsm_memtable_put(mt, op->kind == LSM_OP_PUT ? LSM_KIND_PUT : LSM_KIND_DELETE, lsm_buf_slice(scratch), op->value, sequence);
    }
    int status = range_keys(scratch, op, &low, &high);
    return status == LSM_OK ? lsm_memtable_delete_range(mt, low, high, sequence) : status;
}

int lsm_gen_undo(struct lsm_gen *gen, struct lsm_slice batch, size_t from, uint64_t base, struct lsm_buf *scratch) {
    struct lsm_batch_reader reader = {.batch = batch, .at = from};
    struct lsm_op op;
    int status;
    while ((status = lsm_batch_next(&reader, &op)) == LSM_OK) {
        if (op.kind == LSM_OP_SELECT || op.kind == LSM_OP_TREE_CREATE) continue;
        struct lsm_memtable *mt = lsm_gen_find(gen, op.tree);
        if (mt == NULL) continue;
        if (op.kind == LSM_OP_DELETE_RANGE || op.kind == LSM_OP_TREE_DROP) {
            lsm_memtable_undo_ranges(mt, base + from);
            continue;
        }
        status = lsm_full_key(scratch, op.tree, op.key);
        if (status != LSM_OK) return status;
        lsm_memtable_undo(mt, lsm_buf_slice(scratch), base + from);
    }
    return status == LSM_NOTFOUND ? LSM_OK : status; /* LCOV_EXCL_BR_LINE: what was applied decodes */
}
