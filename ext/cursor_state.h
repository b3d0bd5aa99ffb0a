/* cursor_state.h: what a cursor is made of, for the files that it is cut into: cursor.c (the walk and its rows), cursor_search.c (numbers compared with texts),
 * cursor_lookup.c (walks that are repeated), cursor_distinct.c (rows that say nothing new), cursor_end.c (transactions that end).
 */
#ifndef VT_CURSOR_STATE_H
#define VT_CURSOR_STATE_H

#include "cursor.h"
#include "loan.h"
#include "lookup.h"
#include "plan.h"
#include "row_codec.h"
#include "table.h"

enum cursor_mode {
    CURSOR_END,     /* no row */
    CURSOR_POINT,   /* on the one row of a point read */
    CURSOR_WALK,    /* on the engine cursor's row */
    CURSOR_FOUND,   /* on `found`, a row of a lookup; if that has no record, it was read: row_read */
    CURSOR_DETACHED /* on a row of a transaction that is committed: `key`, `record` */
};

struct vt_cursor {
    sqlite3_vtab_cursor base;       /* first: SQLite's pointer is ours */
    struct vt_cursor *next, **link; /* in vt_space.cursors */
    enum cursor_mode mode;
    int broken;              /* not SQLITE_OK: what every step returns */
    struct vt_view *view;    /* counted; may be held without a row */
    struct lsm_cursor *walk; /* on `view` and the tree walk_tree */
    uint32_t walk_tree;
    struct lsm_value point; /* of `view` */
    struct vt_plan plan;
    bool plan_known; /* `plan` is of this number and, if that has more to tell, this text */
    int plan_number;
    char *plan_text;
    /* A plan that walks an index: its entries name rows, which are only read when the entry does not have what is asked for. */
    const struct vt_index *index; /* NULL: the rows themselves are walked */
    struct lsm_slice row_key;     /* of the present row, if row_known */
    bool row_known, row_read;
    bool rowid_told;       /* of the present row, which is not like another one then */
    struct lsm_value row;  /* of `view`, if row_read */
    struct vt_bytes entry; /* of a detached row; the columns that rows passed over have in common */
    struct vt_ranges ranges;
    int range_at;
    struct vt_bytes key, record;
    struct vt_row_reader reader; /* of the present row, if reader_ready */
    bool reader_ready;
    struct vt_loan *loans[2];               /* of a point read: the key's column, the hidden one */
    bool updating;                          /* since xFilter: the statement may be an UPDATE, which leaves columns as they are */
    struct vt_found found;                  /* of the last lookup */
    struct vt_bytes walk_name;              /* of the walk that may be looked up (lookups.h) */
    uint64_t stray;                         /* the kind of the last one that was not repeated (lookups.h); 0: none */
    double walked;                          /* rows it has gone through */
    struct vt_value only[VT_PLAN_ONLY_MAX]; /* what the plan's conditions compare with; of type 0: too long, not looked at. Bytes are in only_bytes */
    struct vt_bytes only_bytes;
    unsigned changing; /* the conditions that are known to change (lookups.h) */
};

static inline struct vt_table *vt_cursor_table(const struct vt_cursor *cursor) { return (struct vt_table *)cursor->base.pVtab; }

/* What the engine says, as SQLite's code and message. */
int vt_cursor_fail(struct vt_cursor *cursor, int status, const struct lsm_error *err);
/* The same of a row that cannot be decoded; other codes are left alone. */
int vt_cursor_fail_row(struct vt_cursor *cursor, int rc);

/* ---- cursor.c --------------------------------------------------------------------------------------------------- */

/* What the walk stands on: a row, or an entry of the index. */
struct lsm_slice vt_cursor_entry_key(const struct vt_cursor *cursor);
/* The present row, read if it was not. */
int vt_cursor_row(struct vt_cursor *cursor, struct lsm_slice *key, struct lsm_slice *record) LSM_MUST_CHECK;
/* The walk goes on: nothing is known of the next row. */
void vt_cursor_forget_row(struct vt_cursor *cursor);
/* Let go of everything that was read from the view; the cursor is at its end. */
void vt_cursor_drop_row(struct vt_cursor *cursor);
/* The same, and of the view itself. */
void vt_cursor_drop_view(struct vt_cursor *cursor);
/* Have a view, the one that a statement starting now reads. */
int vt_cursor_take_view(struct vt_cursor *cursor) LSM_MUST_CHECK;
/* Stand on the first row of this range, or at the end. */
int vt_cursor_read_range(struct vt_cursor *cursor, const struct vt_range *range) LSM_MUST_CHECK;
/* Begin the walk: stand on the first row of all ranges, in the plan's direction. */
int vt_cursor_start(struct vt_cursor *cursor) LSM_MUST_CHECK;

/* ---- cursor_search.c -------------------------------------------------------------------------------------------- */

/* A vt_resolve_fn; arg is the cursor. */
int vt_cursor_resolve(void *arg, const struct vt_ranges *ranges, int column, sqlite3_value *number, struct vt_bytes *text, int *count) LSM_MUST_CHECK;

/* ---- cursor_distinct.c ------------------------------------------------------------------------------------------ */

/* To the next row of the range that differs in the plan's distinct columns; the walk is not valid if there is none. */
int vt_cursor_pass_over(struct vt_cursor *cursor) LSM_MUST_CHECK;

/* ---- cursor_lookup.c -------------------------------------------------------------------------------------------- */

/* If the walk of plan and ranges is repeated, stand on the first row with these values instead; *served is false if it is to be walked. place: idxStr as xFilter got it. */
int vt_cursor_look_up(struct vt_cursor *cursor, sqlite3_value **values, const char *place, bool *served) LSM_MUST_CHECK;
/* The rows gone through by a walk that was not repeated are counted. */
void vt_cursor_count_stray(struct vt_cursor *cursor);
/* To the next row of the lookup. */
int vt_cursor_find_next(struct vt_cursor *cursor) LSM_MUST_CHECK;

#endif
