/* introspect.h: read-only tables about a schema's store: lsm_stats, lsm_levels, lsm_files, lsm_tables, lsm_check.
 *
 * Eponymous: SELECT * FROM lsm_levels; with a schema other than main: FROM lsm_levels('aux').
 */
#ifndef VT_INTROSPECT_H
#define VT_INTROSPECT_H

#include "connection.h"

int vt_introspect_register(struct vt_connection *connection) LSM_MUST_CHECK;

#endif
