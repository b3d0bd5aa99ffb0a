/* edit.h: one change of the store's shape, as the manifest records it. */
#ifndef LSM_VERSION_EDIT_H
#define LSM_VERSION_EDIT_H

#include "file_meta.h"

enum { LSM_LEVELS = 7 }; /* 0: runs that may overlap, newest first; 1 .. 6: one run each */

struct lsm_edit_file {
    int level;
    uint64_t run;               /* level 0: files of one run share it; a newer run has a greater one. Other levels: 0 */
    struct lsm_file_meta *meta; /* one reference held */
    bool lent;                  /* not encoded: somebody else has the file, and keeps it if the edit fails */
};

struct lsm_version;

/* Zero-initialise. Owns its arrays. */
struct lsm_edit {
    const struct lsm_version *base; /* borrowed, not stored: what the edit was worked out from; NULL: it fits whatever is there */
    bool full;                      /* describes everything: forget what came before */
    uint64_t next_file;             /* smallest file number never used */
    uint64_t log_position;          /* everything below is in table files */
    uint64_t log_generation;        /* first generation still needed; older log files can go */
    uint32_t next_tree;             /* smallest tree id never used, as far as flushed */
    uint64_t time_us;               /* when; for reports only */
    uint64_t log_durable;           /* the log is durable up to here and may not end before; 0: nothing said */
    bool has_token;
    uint8_t token[LSM_TOKEN_BYTES]; /* of the last transaction below log_position that the database decided; zeros: by absence */

    struct lsm_edit_file *added;
    size_t added_count, added_capacity;
    uint64_t *removed; /* file numbers; a file both removed and added has moved level */
    size_t removed_count, removed_capacity;
    struct lsm_tree_info *trees; /* created (of a full record: all) */
    size_t trees_count, trees_capacity;
    uint32_t *dropped; /* trees gone */
    size_t dropped_count, dropped_capacity;
};

void lsm_edit_release(struct lsm_edit *edit);                                                                     /* leaves it empty */
int lsm_edit_add_file(struct lsm_edit *edit, int level, uint64_t run, struct lsm_file_meta *meta) LSM_MUST_CHECK; /* takes a reference of its own */
int lsm_edit_remove_file(struct lsm_edit *edit, uint64_t number) LSM_MUST_CHECK;
int lsm_edit_add_tree(struct lsm_edit *edit, struct lsm_tree_info tree) LSM_MUST_CHECK;
int lsm_edit_drop_tree(struct lsm_edit *edit, uint32_t tree) LSM_MUST_CHECK;

int lsm_edit_encode(const struct lsm_edit *edit, struct lsm_buf *out) LSM_MUST_CHECK; /* appends */
/* Bytes are not trusted: LSM_CORRUPT on anything malformed (levels, lengths, ranges, smallest > largest, trailing bytes). */
int lsm_edit_decode(struct lsm_slice bytes, struct lsm_edit *edit, struct lsm_error *err) LSM_MUST_CHECK;

#endif
