/* best_index.h: xBestIndex: SQLite's question put into plan.h's terms, and the answer's price. */
#ifndef VT_BEST_INDEX_H
#define VT_BEST_INDEX_H

#include "sqlite_api.h"

int vt_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info);

#endif
