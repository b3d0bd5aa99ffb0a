/* unique.h: what a row that is written must be the only one in: its key, and the columns of UNIQUE indexes; and what is done if it is not.
 *
 * Everything here looks and changes nothing: a conflict is either an error, or a row that is to be replaced. All in the table's transaction; errors have
 * their words in the table's zErrMsg. Of one connection: its thread.
 */
#ifndef VT_UNIQUE_H
#define VT_UNIQUE_H

#include "ddl_constraint.h"
#include "entries.h"
#include "plan.h"

/* What happens when a constraint of a row fails. Also for those that are not about uniqueness. */
struct vt_conflict {
    int statement;   /* the statement's OR clause; 0 if it has none */
    bool rolls_back; /* the constraint that failed was declared ON CONFLICT ROLLBACK, and the statement says nothing */
};
/* SQLITE_ABORT, SQLITE_REPLACE and so on; declared: the ON CONFLICT clause of the constraint, or 0. */
int vt_conflict_resolution(const struct vt_conflict *conflict, int declared);
/* This constraint fails. SQLite does what the statement says; what the declaration says is left to us. */
void vt_conflict_note(struct vt_conflict *conflict, int declared);

/* Rows that are in the way and to be replaced, each once. Begins as {0}. */
struct vt_victims {
    int count;
    struct vt_bytes keys[VT_INDEXES_MAX + 1];
};
void vt_victims_release(struct vt_victims *victims);

/* What a write has to keep unique, in the order in which SQLite looks: numbers in vt_schema.indexes, and VT_PLAN_PRIMARY. order has room for
 * VT_INDEXES_MAX + 1; how many there are is returned. rowid_last: a rowid that replaces is looked at last, as all else that replaces. */
int vt_unique_order(const struct vt_schema *schema, bool rowid_last, int *order);

/* The row of table->key. SQLITE_OK: there is none, or it is among the victims; SQLITE_CONSTRAINT_PRIMARYKEY or SQLITE_CONSTRAINT_ROWID in SQLite's words,
 * noted. victims may be NULL if the resolution is not SQLITE_REPLACE. */
int vt_unique_check_key(struct vt_table *table, struct vt_conflict *conflict, struct vt_victims *victims) LSM_MUST_CHECK;
/* The same for unique index i: SQLITE_CONSTRAINT_UNIQUE. row: the new row; old: the row before the update, or NULL. */
int vt_unique_check_index(struct vt_table *table, int i, struct vt_conflict *conflict, const struct vt_indexed_row *row,
                          const struct vt_indexed_row *old, struct vt_victims *victims) LSM_MUST_CHECK;

#endif
