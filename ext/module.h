/* module.h: the virtual table module "lsm". */
#ifndef VT_MODULE_H
#define VT_MODULE_H

#include "connection.h"

/* Register a module whose pAux is the connection, which is counted. */
int vt_module_add(struct vt_connection *connection, const char *name, const sqlite3_module *module) LSM_MUST_CHECK;
int vt_module_register(struct vt_connection *connection) LSM_MUST_CHECK;

#endif
