/* samples.h: what the planner knows of a table's rows besides their number: how many are alike, from a look at some of them.
 *
 * Looked at once, and again when the number of rows is (table.h, vt_table_estimate()). Nothing fails: what cannot be looked at is guessed.
 */
#ifndef VT_SAMPLES_H
#define VT_SAMPLES_H

#include "table.h"

/* The tree walked for a plan's index, or VT_PLAN_PRIMARY. */
uint32_t vt_samples_tree(const struct vt_table *table, int index);

/* Rows left by one value for each of the first `count` columns of this key, of `total` rows. */
double vt_samples_equal_rows(struct vt_table *table, int index, int count, double total);

#endif
