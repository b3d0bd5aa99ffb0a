/* functions.h: the scalar functions lsm_version(), lsm_flush(), lsm_compact() and lsm_check(). */
#ifndef VT_FUNCTIONS_H
#define VT_FUNCTIONS_H

#include "connection.h"

int vt_functions_register(struct vt_connection *connection) LSM_MUST_CHECK;

#endif
