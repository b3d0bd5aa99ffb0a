/* table_file.h: one table file of which anything may be damaged or missing: its whole blocks, and what keys the others may have held.
 *
 * The index tells where the blocks are and what keys they hold. If it is damaged, the blocks are looked for: their trailers verify only in their place.
 */
#ifndef LSMTOOL_TABLE_FILE_H
#define LSMTOOL_TABLE_FILE_H

#include "../../lsm_core/sst/sst_format.h"
#include "../../lsm_core/sst/sst_reader.h"
#include "tool.h"

/* Keys that may be hidden, or deleted: low <= key < high, or <= if inclusive. */
struct key_range {
    struct lsm_buf low, high;
    bool inclusive;
};
struct key_ranges { /* ascending, not overlapping */
    struct key_range *items;
    size_t count;
};
void key_ranges_add(struct key_ranges *ranges, struct lsm_slice low, struct lsm_slice high, bool inclusive);
bool key_ranges_cover(const struct key_ranges *ranges, struct lsm_slice key);
void key_ranges_release(struct key_ranges *ranges);

struct table_file {
    const struct lsm_file_meta *meta; /* borrowed */
    struct lsm_sst_ident ident;
    char *path;
    uint8_t *bytes; /* of the file, LSM_BLOCK_SLACK zeros behind them */
    size_t size;
    struct lsm_sst_handle *blocks; /* the whole data blocks, in order */
    size_t blocks_count;

    bool has_filter;
    struct lsm_filter filter;
    uint8_t *filter_memory; /* aligned copy */

    struct key_ranges lost;    /* keys that may have had an entry here */
    struct key_ranges deletes; /* its range tombstones */
    bool deletes_unknown;      /* it had some that cannot be read */
};

/* Called for each thing that is damaged: what, and where in the file. */
typedef void (*table_file_found_fn)(void *arg, const struct table_file *file, uint64_t offset, const char *what, const struct key_range *range);

/* Read and sort out. found may be NULL. meta must outlive the file. */
void table_file_open(struct table_file *file, const struct tool_target *target, const struct lsm_file_meta *meta, table_file_found_fn found,
                     void *arg);
void table_file_release(struct table_file *file);

/* May the file have had an entry of this key that cannot be read now? */
bool table_file_may_hide(const struct table_file *file, struct lsm_slice key);

/* The payload of whole block i into `payload`, LSM_BLOCK_SLACK bytes behind it, and a view of it. False if it does not unpack after all. */
bool table_file_block(const struct table_file *file, size_t i, struct lsm_buf *payload, struct lsm_block *view);

/* All of a file, in new memory with LSM_BLOCK_SLACK zeros behind it, sectors that cannot be read as zeros: they will not verify. Its size, SIZE_MAX if there is no
 * such file. */
size_t table_file_read(const char *path, uint8_t **bytes);

/* What a manifest would say of the file, from the file's own properties; NULL if they are damaged. lsm_file_meta_unref(). */
struct lsm_file_meta *table_file_describe(const struct tool_target *target, uint64_t number);

#endif
