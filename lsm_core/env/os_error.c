#include "os_error.h"

#include <errno.h>

#include "env.h"

static int status_of(int os_errno, bool writing) {
    switch (os_errno) {
    case ENOENT: return LSM_NOTFOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return LSM_FULL;
    case ENOMEM: return LSM_NOMEM;
    case EROFS:
    case EACCES:
    case EPERM: return writing ? LSM_READONLY : LSM_IO;
    default: return LSM_IO;
    }
}

/* What the reader of the message can do about it; empty where the reason says it all. */
static const char *advice_for(int os_errno) {
    switch (os_errno) {
    case ENOSPC: return "; free some space and try again";
    case EDQUOT: return "; the user's disk quota is used up";
    case EFBIG: return "; see the process's file size limit (ulimit -f) and the file system's";
    case EMFILE: return "; raise the process's limit of open files (ulimit -n)";
    case ENFILE: return "; the system's limit of open files is reached (sysctl fs.file-max)";
    case EACCES:
    case EPERM: return "; check owner and permissions of the file and its directory";
    case ELOOP: return "; symbolic links are not followed here";
    case EIO: return "; the disk or its connection fails, see the system log";
    default: return "";
    }
}

int lsm_os_fail(struct lsm_error *err, int os_errno, bool writing, const char *action, const char *path) {
    int status = status_of(os_errno, writing);
    if (err == NULL) return status;
    int saved = errno;
    char buf[128];
    const char *reason = strerror_r(os_errno, buf, sizeof buf); /* the GNU one: may point elsewhere, never NULL */
    status = lsm_fail(err, status, "%s: cannot %s: %s%s", path, action, reason, advice_for(os_errno));
    err->os_errno = os_errno;
    errno = saved;
    return status;
}

bool lsm_os_lacks_descriptor(const struct lsm_error *err) { return err->os_errno == EMFILE || err->os_errno == ENFILE; }

bool lsm_os_lacks_space(const struct lsm_error *err) { return err->os_errno == ENOSPC || err->os_errno == EDQUOT; }

int lsm_os_poisoned(struct lsm_error *err, const char *path) {
    return lsm_fail(err, LSM_IO, "%s: an earlier sync of this file failed and what the disk holds is unknown; write its content to a new file", path);
}

void lsm_names_free(struct lsm_names *names) {
    for (size_t i = 0; i < names->count; i++) lsm_free(names->names[i]);
    lsm_free(names->names);
    *names = (struct lsm_names){0};
}
