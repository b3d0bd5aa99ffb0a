/* cursor.h: reading the rows of one table: xOpen to xRowid.
 *
 * A cursor reads one view (view.h) from xFilter on. When the transaction ends under a cursor that reads its rows, the cursor is detached on COMMIT
 * (it keeps its row, and goes on from there in what is committed) and broken on ROLLBACK, and on ROLLBACK TO if it started
 * after the savepoint (its next step is SQLITE_ABORT_ROLLBACK).
 */
#ifndef VT_CURSOR_H
#define VT_CURSOR_H

#include "sqlite_api.h"

#include <stdbool.h>
#include <stdint.h>

struct vt_cursor;
struct vt_table;

int vt_cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor);
int vt_cursor_close(sqlite3_vtab_cursor *cursor);
int vt_cursor_filter(sqlite3_vtab_cursor *cursor, int plan, const char *text, int argc, sqlite3_value **argv);
int vt_cursor_next(sqlite3_vtab_cursor *cursor);
int vt_cursor_eof(sqlite3_vtab_cursor *cursor);
int vt_cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column);
int vt_cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid);

/* For table.c, before a table goes: its spare cursor. */
void vt_cursor_free_spare(struct vt_table *table);

/* For txn.c. The next open cursor of the space, or NULL. */
struct vt_cursor *vt_cursor_after(const struct vt_cursor *cursor);
/* True if it reads this table. */
bool vt_cursor_is_of(const struct vt_cursor *cursor, const sqlite3_vtab *vtab);
/* Let go of the transaction's view but keep the row. Other views are not touched. Cannot fail: out of memory shows at the next step. */
void vt_cursor_detach(struct vt_cursor *cursor);
/* Let go of a transaction's view opened after tick, and fail from now on. */
void vt_cursor_break(struct vt_cursor *cursor, uint64_t tick);

#endif
