#include "samples.h"

#include "plan.h"

#define SAMPLES    4    /* groups of equal entries looked at, at either end of a key */
#define COUNT_MAX  128  /* smaller groups are counted: an estimate knows no less than the blocks of each run, which are some hundred entries */
#define GUESS_ROWS 10.0 /* as SQLite thinks without ANALYZE */

uint32_t vt_samples_tree(const struct vt_table *table, int index) {
    return index == VT_PLAN_PRIMARY ? vt_table_tree(table) : table->schema->indexes[index].tree.tree;
}

/* The range of the entries that agree with this one in their first `count` columns. */
static int range_alike(const struct vt_key_column *key, int key_count, struct lsm_slice entry, int count, struct vt_bytes *low,
                       struct vt_bytes *high) {
    size_t size;
    if (!vt_key_prefix(key, key_count, entry, count, &size)) return SQLITE_CORRUPT_VTAB;
    int rc = vt_bytes_set(low, (struct lsm_slice){.data = entry.data, .size = size});
    if (rc == SQLITE_OK) rc = vt_bytes_set(high, vt_bytes_slice(low));
    return rc == SQLITE_OK ? vt_key_after(high, false) : rc;
}

/* To the first entry of the next group, upwards from the first one and then downwards from the last one. */
static int next_group(struct lsm_cursor *cursor, int sample, const struct vt_bytes *low, const struct vt_bytes *high) {
    struct lsm_slice below = vt_bytes_slice(low), behind = vt_bytes_slice(high);
    int status = LSM_OK;
    if (sample > 0) status = lsm_cursor_rebound(cursor, sample < SAMPLES ? &behind : NULL, sample > SAMPLES ? &below : NULL, NULL);
    if (status != LSM_OK) return status;
    return sample < SAMPLES ? lsm_cursor_first(cursor, NULL) : lsm_cursor_last(cursor, NULL);
}

/* The entries of a group, if they are no more than COUNT_MAX; else COUNT_MAX. */
static int count_group(struct lsm_cursor *cursor, const struct lsm_slice *from, const struct lsm_slice *to, double *rows) {
    int status = lsm_cursor_rebound(cursor, from, to, NULL);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, NULL);
    for (*rows = 0; status == LSM_OK && lsm_cursor_valid(cursor) && *rows < COUNT_MAX; *rows += 1) status = lsm_cursor_next(cursor, NULL);
    return status;
}

/* Entries that agree with a few in their first `count` columns, on average: with the first ones of the key and with the last ones. 0: it cannot be said. */
static double sample(const struct vt_table *table, int index, int count, struct lsm_view *view) {
    struct vt_bytes low = {0}, high = {0};
    struct lsm_cursor *cursor = NULL;
    double sum = 0;
    int key_count, samples = 0, rc = SQLITE_OK;
    const struct vt_key_column *key = vt_plan_key(table->schema, index, &key_count);
    uint32_t tree = vt_samples_tree(table, index);
    int status = lsm_cursor_open(view, tree, NULL, NULL, &cursor, NULL);
    for (int i = 0; i < 2 * SAMPLES && rc == SQLITE_OK && status == LSM_OK; i++) {
        status = next_group(cursor, i, &low, &high);
        if (status != LSM_OK || !lsm_cursor_valid(cursor)) continue;
        rc = range_alike(key, key_count, lsm_cursor_key(cursor), count, &low, &high);
        if (rc != SQLITE_OK) continue;
        struct lsm_slice from = vt_bytes_slice(&low), to = vt_bytes_slice(&high);
        struct lsm_estimate estimate = {0};
        double rows = 0;
        status = count_group(cursor, &from, &to, &rows);
        if (rows >= COUNT_MAX) lsm_view_estimate(view, tree, &from, &to, &estimate);
        sum += estimate.rows > rows ? estimate.rows : rows;
        samples++;
    }
    lsm_cursor_close(cursor);
    vt_bytes_release(&low);
    vt_bytes_release(&high);
    if (status != LSM_OK || rc != SQLITE_OK) return 0;
    return samples == 0 ? 1 : sum / samples;
}

double vt_samples_equal_rows(struct vt_table *table, int index, int count, double total) {
    struct vt_schema *schema = table->schema;
    int key_count;
    (void)vt_plan_key(schema, index, &key_count);
    int alone = index != VT_PLAN_PRIMARY && schema->indexes[index].unique ? schema->indexes[index].column_count : key_count;
    if (count >= alone) return 1;
    int columns = count < VT_INDEX_SAMPLED ? count : VT_INDEX_SAMPLED;
    double *known = index == VT_PLAN_PRIMARY ? &schema->equal.rows[columns - 1] : &schema->indexes[index].equal.rows[columns - 1];
    struct vt_view *view = NULL;
    if (*known == 0 && vt_table_bind(table, NULL) == SQLITE_OK && vt_view_glance(table->space, &view, NULL) == SQLITE_OK) {
        *known = sample(table, index, columns, view->engine);
        if (*known == 0) *known = GUESS_ROWS;
        vt_view_unref(table->space, view);
    }
    double rows = *known == 0 ? GUESS_ROWS : *known;
    return rows < total ? rows : total;
}
