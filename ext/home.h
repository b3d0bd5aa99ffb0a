/* home.h: the one store that the LSM tables of a schema share: which it is, and having it open. */
#ifndef VT_HOME_H
#define VT_HOME_H

#include "connection.h"

/* Open the store that the schema's shadow tables name. Where there is none yet, a new one is made (VT_OPEN_CREATE), or space->store is NULL afterwards
 * (VT_OPEN_EXISTING). Reads the schema, so it belongs into a statement. */
int vt_home_open(struct vt_space *space, enum vt_open_mode mode, char **message) LSM_MUST_CHECK;

#endif
