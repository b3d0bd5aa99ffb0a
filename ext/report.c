#include "report.h"

#include <string.h>

void vt_report_release(struct vt_report *report) {
    for (size_t i = 0; i < report->cell_count; i++) sqlite3_free(report->cells[i].text);
    sqlite3_free(report->cells);
    memset(report, 0, sizeof *report);
}

void vt_report_reset(struct vt_report *report, int column_count) {
    vt_report_release(report);
    report->column_count = column_count;
}

static struct vt_cell *add(struct vt_report *report) {
    if (report->nomem) return NULL;
    if (report->cell_count == report->capacity) {
        size_t capacity = report->capacity == 0 ? 64 : 2 * report->capacity;
        struct vt_cell *cells = sqlite3_realloc64(report->cells, capacity * sizeof *cells);
        if (cells == NULL) {
            report->nomem = true;
            return NULL;
        }
        report->cells = cells;
        report->capacity = capacity;
    }
    struct vt_cell *cell = &report->cells[report->cell_count++];
    *cell = (struct vt_cell){.type = SQLITE_NULL};
    return cell;
}

void vt_report_int(struct vt_report *report, int64_t value) {
    struct vt_cell *cell = add(report);
    if (cell == NULL) return;
    cell->type = SQLITE_INTEGER;
    cell->i = value;
}

void vt_report_real(struct vt_report *report, double value) {
    struct vt_cell *cell = add(report);
    if (cell == NULL) return;
    cell->type = SQLITE_FLOAT;
    cell->r = value;
}

void vt_report_text(struct vt_report *report, const char *text) {
    struct vt_cell *cell = add(report);
    if (cell == NULL || text == NULL) return;
    cell->text = sqlite3_mprintf("%s", text);
    if (cell->text == NULL) {
        report->nomem = true;
    } else {
        cell->type = SQLITE_TEXT;
    }
}

void vt_report_result(const struct vt_report *report, size_t row, int column, sqlite3_context *context) {
    const struct vt_cell *cell = &report->cells[row * (size_t)report->column_count + (size_t)column];
    switch (cell->type) {
    case SQLITE_INTEGER: sqlite3_result_int64(context, cell->i); break;
    case SQLITE_FLOAT: sqlite3_result_double(context, cell->r); break;
    case SQLITE_TEXT: sqlite3_result_text(context, cell->text, -1, SQLITE_TRANSIENT); break;
    default: sqlite3_result_null(context);
    }
}
