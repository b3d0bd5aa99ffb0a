#include "filename.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define DIGITS_MIN     8
#define NAME_BYTES_MAX 40 /* "MANIFEST-" and 20 digits, with room */

static const char manifest_prefix[] = "MANIFEST-";

static void name_print(char name[NAME_BYTES_MAX], enum lsm_file_type type, uint64_t number) {
    assert(type != LSM_FILE_OTHER);
    name[0] = '\0';
    switch (type) { /* LCOV_EXCL_BR_LINE: asserted, and the compiler's default */
    case LSM_FILE_CURRENT: (void)snprintf(name, NAME_BYTES_MAX, "CURRENT"); break;
    case LSM_FILE_LOCK: (void)snprintf(name, NAME_BYTES_MAX, "LOCK"); break;
    case LSM_FILE_SHM: (void)snprintf(name, NAME_BYTES_MAX, "SHM"); break;
    case LSM_FILE_RESERVE: (void)snprintf(name, NAME_BYTES_MAX, "RESERVE"); break;
    case LSM_FILE_MANIFEST: (void)snprintf(name, NAME_BYTES_MAX, "%s%0*" PRIu64, manifest_prefix, DIGITS_MIN, number); break;
    case LSM_FILE_WAL: (void)snprintf(name, NAME_BYTES_MAX, "%0*" PRIu64 ".wal", DIGITS_MIN, number); break;
    case LSM_FILE_TABLE: (void)snprintf(name, NAME_BYTES_MAX, "%0*" PRIu64 ".sst", DIGITS_MIN, number); break;
    case LSM_FILE_TEMP: (void)snprintf(name, NAME_BYTES_MAX, "%0*" PRIu64 ".tmp", DIGITS_MIN, number); break;
    case LSM_FILE_OTHER: break;
    }
}

char *lsm_file_path(const char *dir, enum lsm_file_type type, uint64_t number) {
    char name[NAME_BYTES_MAX];
    name_print(name, type, number);
    size_t dir_bytes = strlen(dir), name_bytes = strlen(name);
    char *path = lsm_malloc(dir_bytes + 1 + name_bytes + 1);
    if (path == NULL) return NULL;
    memcpy(path, dir, dir_bytes);
    path[dir_bytes] = '/';
    memcpy(path + dir_bytes + 1, name, name_bytes + 1);
    return path;
}

/* The digits at text, as name_print() writes them, or NULL. Returns what follows them. */
static const char *parse_number(const char *text, uint64_t *number) {
    size_t digits = 0;
    uint64_t value = 0;
    while (text[digits] >= '0' && text[digits] <= '9') {
        uint64_t digit = (uint64_t)(text[digits] - '0');
        if (value > (UINT64_MAX - digit) / 10) return NULL;
        value = value * 10 + digit;
        digits++;
    }
    if (digits < DIGITS_MIN || (digits > DIGITS_MIN && text[0] == '0')) return NULL;
    *number = value;
    return text + digits;
}

enum lsm_file_type lsm_file_parse(const char *name, uint64_t *number) {
    static const struct {
        const char *suffix;
        enum lsm_file_type type;
    } suffixes[] = {{".wal", LSM_FILE_WAL}, {".sst", LSM_FILE_TABLE}, {".tmp", LSM_FILE_TEMP}};
    uint64_t value = 0;
    *number = 0;
    if (strcmp(name, "CURRENT") == 0) return LSM_FILE_CURRENT;
    if (strcmp(name, "LOCK") == 0) return LSM_FILE_LOCK;
    if (strcmp(name, "SHM") == 0) return LSM_FILE_SHM;
    if (strcmp(name, "RESERVE") == 0) return LSM_FILE_RESERVE;
    if (strncmp(name, manifest_prefix, sizeof manifest_prefix - 1) == 0) {
        const char *rest = parse_number(name + sizeof manifest_prefix - 1, &value);
        if (rest == NULL || *rest != '\0') return LSM_FILE_OTHER;
        *number = value;
        return LSM_FILE_MANIFEST;
    }
    const char *rest = parse_number(name, &value);
    if (rest == NULL) return LSM_FILE_OTHER;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (strcmp(rest, suffixes[i].suffix) != 0) continue;
        *number = value;
        return suffixes[i].type;
    }
    return LSM_FILE_OTHER;
}
