/* recover.h: from files to a running store. */
#ifndef LSM_STORE_RECOVER_H
#define LSM_STORE_RECOVER_H

#include "store.h"

/* Replay the log behind the manifest's position into the first generation, and leave the store's log fields ready for the first append.
 * Needs: version set recovered, one empty generation, nobody else about. */
int lsm_recover_log(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* LSM_CORRUPT if the manifest has lost its end: those who had the store open before have left word of more of it, and there is a table file of ours that only what is
 * missing can have named. Needs: the log replayed. */
int lsm_recover_check_manifest(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;
/* Remove what nobody names: log files outside [first needed, last used], tables and manifests that are not current, temporary files. Files
 * that carry no name of ours stay. What cannot be removed stays too: it does no harm. An error only if files of the log's end are gone, and perhaps not for good. */
int lsm_recover_clean(struct lsm_store *store, struct lsm_error *err) LSM_MUST_CHECK;

#endif
