/* batch.h: the changes of one transaction as bytes: the payload of a log record, and the transaction's undo list.
 *
 * A batch is a sequence of operations, each a kind byte and its operands (docs/format.md, "The log"):
 *   SELECT tree(u32)            the tree of the operations that follow; one below 128 is the kind byte itself, 0x80 + tree
 *   PUT key(bytes) value(bytes)
 *   DELETE key(bytes)
 *   DELETE_RANGE low(bytes) high(bytes)
 *   TREE_CREATE tree(u32) nonce(u64)
 *   TREE_DROP tree(u32)
 * Keys come without their tree. The offset of an operation in the batch is unique and growing: the sequence of its row.
 */
#ifndef LSM_CODEC_BATCH_H
#define LSM_CODEC_BATCH_H

#include "coding.h"

/* Never renumber. */
enum lsm_op_kind { LSM_OP_SELECT = 1, LSM_OP_PUT = 2, LSM_OP_DELETE = 3, LSM_OP_DELETE_RANGE = 4, LSM_OP_TREE_CREATE = 5, LSM_OP_TREE_DROP = 6 };

struct lsm_op {
    enum lsm_op_kind kind;
    uint32_t tree;          /* of PUT, DELETE, DELETE_RANGE: the selected one */
    size_t offset;          /* in the batch */
    struct lsm_slice key;   /* low of a range */
    struct lsm_slice value; /* high of a range */
    uint64_t nonce;
};

/* Room that an operation takes at most, a SELECT before it included. */
static inline size_t lsm_op_bytes_max(size_t key, size_t value) { return key + value + 2 * LSM_VARINT_BYTES_MAX + 16; }

/* Append one operation (op->offset and, but for SELECT, op->tree are not looked at). Needs: room reserved. */
void lsm_batch_add(struct lsm_buf *batch, const struct lsm_op *op);

/* Walks a batch. Zero-initialise but for the bytes. */
struct lsm_batch_reader {
    struct lsm_slice batch;
    size_t at;
    uint32_t tree;
};
/* The next operation: LSM_OK, LSM_NOTFOUND at the end, LSM_CORRUPT if the bytes make no sense (unknown kind, no tree selected, a length
 * that does not fit). */
int lsm_batch_next(struct lsm_batch_reader *reader, struct lsm_op *op) LSM_MUST_CHECK;

#endif
