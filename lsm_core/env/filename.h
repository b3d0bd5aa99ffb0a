/* filename.h: the names of a store's files, and back. */
#ifndef LSM_ENV_FILENAME_H
#define LSM_ENV_FILENAME_H

#include "../base/base.h"

enum lsm_file_type {
    LSM_FILE_OTHER,
    LSM_FILE_CURRENT,
    LSM_FILE_MANIFEST,
    LSM_FILE_WAL,
    LSM_FILE_TABLE,
    LSM_FILE_LOCK,
    LSM_FILE_SHM,
    LSM_FILE_RESERVE,
    LSM_FILE_TEMP
};

/* "<dir>/<name>", to be freed with lsm_free(); NULL: out of memory.
 * CURRENT, MANIFEST-<number>, <number>.wal, <number>.sst, LOCK, SHM, RESERVE, and <number>.tmp for what is not finished. Decimal, 8 digits at least. */
char *lsm_file_path(const char *dir, enum lsm_file_type type, uint64_t number);
/* What a name (without directory) stands for; *number is 0 where there is none. Anything not exactly as above is OTHER. */
enum lsm_file_type lsm_file_parse(const char *name, uint64_t *number);

#endif
