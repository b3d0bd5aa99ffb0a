#include "batch.h"

#include <assert.h>

enum { SELECT_SHORT = 0x80 /* or-ed with a tree below it: a whole SELECT, which nearly every record of one row has */ };

static void add_bytes(struct lsm_buf *batch, struct lsm_slice bytes) {
    batch->size += lsm_store_varint(batch->data + batch->size, bytes.size);
    if (bytes.size != 0) memcpy(batch->data + batch->size, bytes.data, bytes.size);
    batch->size += bytes.size;
}

static void add_u32(struct lsm_buf *batch, uint32_t v) {
    lsm_store_u32(batch->data + batch->size, v);
    batch->size += 4;
}

void lsm_batch_add(struct lsm_buf *batch, const struct lsm_op *op) {
    assert(batch->capacity - batch->size >= lsm_op_bytes_max(op->key.size, op->value.size) - 5);
    if (op->kind == LSM_OP_SELECT && op->tree < SELECT_SHORT) {
        batch->data[batch->size++] = (uint8_t)(SELECT_SHORT | op->tree);
        return;
    }
    batch->data[batch->size++] = (uint8_t)op->kind;
    switch (op->kind) { /* LCOV_EXCL_BR_LINE: the compiler's default */
    case LSM_OP_SELECT:
    case LSM_OP_TREE_DROP: add_u32(batch, op->tree); break;
    case LSM_OP_PUT:
    case LSM_OP_DELETE_RANGE:
        add_bytes(batch, op->key);
        add_bytes(batch, op->value);
        break;
    case LSM_OP_DELETE: add_bytes(batch, op->key); break;
    case LSM_OP_TREE_CREATE:
        add_u32(batch, op->tree);
        lsm_store_u64(batch->data + batch->size, op->nonce);
        batch->size += 8;
        break;
    }
}

static bool is_tree(uint32_t tree) { return tree != 0 && tree <= LSM_TREE_MAX; }

/* Reads the operands of op->kind; false for a kind unknown, a tree that cannot be or one that is not selected. */
static bool read_operands(struct lsm_batch_reader *reader, struct lsm_decoder *d, struct lsm_op *op) {
    op->tree = reader->tree;
    switch (op->kind) { /* LCOV_EXCL_BR_LINE: the compiler's default */
    case LSM_OP_SELECT: op->tree = reader->tree = lsm_get_u32(d); return (op->tree >= SELECT_SHORT && is_tree(op->tree)) || d->failed;
    case LSM_OP_PUT:
        op->key = lsm_get_bytes(d, LSM_KEY_BYTES_MAX);
        op->value = lsm_get_bytes(d, LSM_VALUE_BYTES_MAX);
        return op->tree != 0;
    case LSM_OP_DELETE: op->key = lsm_get_bytes(d, LSM_KEY_BYTES_MAX); return op->tree != 0;
    case LSM_OP_DELETE_RANGE:
        op->key = lsm_get_bytes(d, LSM_KEY_BYTES_MAX);
        op->value = lsm_get_bytes(d, LSM_KEY_BYTES_MAX);
        return op->tree != 0;
    case LSM_OP_TREE_CREATE:
        op->tree = lsm_get_u32(d);
        op->nonce = lsm_get_u64(d);
        return is_tree(op->tree) || d->failed;
    case LSM_OP_TREE_DROP: op->tree = lsm_get_u32(d); return is_tree(op->tree) || d->failed;
    }
    return false;
}

int lsm_batch_next(struct lsm_batch_reader *reader, struct lsm_op *op) {
    if (reader->at == reader->batch.size) return LSM_NOTFOUND;
    const uint8_t *start = reader->batch.data + reader->at;
    struct lsm_decoder d = lsm_decoder_of(lsm_slice_of(start, reader->batch.size - reader->at));
    *op = (struct lsm_op){.offset = reader->at};
    uint8_t kind = lsm_get_u8(&d);
    if (kind > SELECT_SHORT) {
        op->kind = LSM_OP_SELECT;
        op->tree = reader->tree = kind & (SELECT_SHORT - 1u);
        reader->at++;
        return LSM_OK;
    }
    if (kind < LSM_OP_SELECT || kind > LSM_OP_TREE_DROP) return LSM_CORRUPT;
    op->kind = (enum lsm_op_kind)kind;
    if (!read_operands(reader, &d, op) || d.failed) return LSM_CORRUPT;
    reader->at += (size_t)(d.p - start);
    return LSM_OK;
}
