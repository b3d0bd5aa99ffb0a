/* os_error.h: from errno to a status and a sentence; the same for every environment. */
#ifndef LSM_ENV_OS_ERROR_H
#define LSM_ENV_OS_ERROR_H

#include "../base/base.h"

/* Fill err with "<path>: cannot <action>: <reason>" and os_errno, return the status env.h promises for it. writing: the call was to
 * change something, so that EACCES, EPERM and EROFS mean LSM_READONLY. Leaves errno alone. */
int lsm_os_fail(struct lsm_error *err, int os_errno, bool writing, const char *action, const char *path) LSM_MUST_CHECK;

/* Did that call fail because no file could be opened any more? Then nothing was asked of the disk, and it may be made again. */
bool lsm_os_lacks_descriptor(const struct lsm_error *err);

/* Was there no space left, on the disk or of the user's quota? LSM_FULL may be a limit on the size of one file, too, which no other file's end helps. */
bool lsm_os_lacks_space(const struct lsm_error *err);

/* What every sync after a failed one says: LSM_IO. */
int lsm_os_poisoned(struct lsm_error *err, const char *path) LSM_MUST_CHECK;

#endif
