/* report.h: a small table in memory: what an introspection table shows, collected at once when a query starts. */
#ifndef VT_REPORT_H
#define VT_REPORT_H

#include "error.h"

struct vt_cell {
    int type; /* SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT, SQLITE_NULL */
    int64_t i;
    double r;
    char *text; /* owned */
};

struct vt_report {
    int column_count;
    size_t cell_count, capacity; /* row after row */
    struct vt_cell *cells;
    bool nomem; /* something could not be added: adding goes on without effect */
};

void vt_report_reset(struct vt_report *report, int column_count);
void vt_report_release(struct vt_report *report);
/* The next cell, row by row. */
void vt_report_int(struct vt_report *report, int64_t value);
void vt_report_real(struct vt_report *report, double value);
void vt_report_text(struct vt_report *report, const char *text); /* NULL: SQL NULL */
static inline size_t vt_report_rows(const struct vt_report *report) { return report->cell_count / (size_t)report->column_count; }
void vt_report_result(const struct vt_report *report, size_t row, int column, sqlite3_context *context);

#endif
