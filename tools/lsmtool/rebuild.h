/* rebuild.h: indexes of a salvaged store, made anew of its rows: the old ones might know rows that are lost, or miss others. */
#ifndef LSMTOOL_REBUILD_H
#define LSMTOOL_REBUILD_H

#include "tool.h"

/* Is the tree an index that rebuild_indexes() makes, and whose old entries are not wanted? */
bool rebuild_makes(const struct tool_target *target, uint32_t tree);
/* All indexes of the tables whose trees the store in `dir` has. False: it failed, and why was said. */
bool rebuild_indexes(const struct tool_target *target, const char *dir, const struct tool_state *state);

#endif
