#include "cursor_state.h"

#include <string.h>

/* So many rows alike are stepped over before the next ones are looked for: a search costs as much as some steps. */
#define STEPS 8

static int step(struct vt_cursor *cursor) {
    struct lsm_error err;
    vt_error_clear(&err);
    int status = cursor->plan.desc ? lsm_cursor_prev(cursor->walk, &err) : lsm_cursor_next(cursor->walk, &err);
    return vt_cursor_fail(cursor, status, &err);
}

/* Past all keys that begin with what is in `entry`. */
static int search(struct vt_cursor *cursor) {
    const struct vt_range *range = &cursor->ranges.range[cursor->range_at];
    struct lsm_slice low = vt_bytes_slice(&range->low), high = vt_bytes_slice(&range->high);
    bool has_low = range->has_low, has_high = range->has_high;
    int rc = cursor->plan.desc ? SQLITE_OK : vt_key_after(&cursor->entry, false);
    if (rc != SQLITE_OK) return rc;
    if (cursor->plan.desc) {
        high = vt_bytes_slice(&cursor->entry);
        has_high = true;
    } else {
        low = vt_bytes_slice(&cursor->entry);
        has_low = true;
    }
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_cursor_rebound(cursor->walk, has_low ? &low : NULL, has_high ? &high : NULL, &err);
    if (status == LSM_OK) status = cursor->plan.desc ? lsm_cursor_last(cursor->walk, &err) : lsm_cursor_first(cursor->walk, &err);
    return vt_cursor_fail(cursor, status, &err);
}

/* The columns again, and not a number of which the last one is only the beginning (key_codec.h). */
static bool is_alike(const struct vt_cursor *cursor) {
    struct lsm_slice key = lsm_cursor_key(cursor->walk);
    size_t size = cursor->entry.size;
    return key.size >= size && memcmp(key.data, cursor->entry.data, size) == 0 && (key.size == size || ((const uint8_t *)key.data)[size] != 0xff);
}

/* The least integer may have been a real: alike in the key, and not the same (index.c). */
static bool has_least(const struct vt_key_column *columns, int key_count, struct lsm_slice key, int count) {
    struct vt_value value;
    for (int i = 0; i < count; i++) {
        if (vt_key_read(columns, key_count, key, i, &value) == SQLITE_OK && value.type == SQLITE_INTEGER && value.i == INT64_MIN) return true;
    }
    return false;
}

int vt_cursor_pass_over(struct vt_cursor *cursor) {
    int key_count;
    size_t size;
    const struct vt_key_column *columns = vt_plan_key(vt_cursor_table(cursor)->schema, cursor->plan.index, &key_count);
    struct lsm_slice key = lsm_cursor_key(cursor->walk);
    if (!vt_key_prefix(columns, key_count, key, cursor->plan.distinct, &size)) return vt_cursor_fail_row(cursor, SQLITE_CORRUPT_VTAB);
    if (has_least(columns, key_count, key, cursor->plan.distinct)) return step(cursor);
    int rc = vt_bytes_set(&cursor->entry, (struct lsm_slice){.data = key.data, .size = size});
    for (int i = 0; i < STEPS && rc == SQLITE_OK; i++) {
        rc = step(cursor);
        if (rc == SQLITE_OK && (!lsm_cursor_valid(cursor->walk) || !is_alike(cursor))) return SQLITE_OK;
    }
    return rc == SQLITE_OK ? search(cursor) : rc;
}
