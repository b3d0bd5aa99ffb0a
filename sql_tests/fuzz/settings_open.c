/* settings_open.c: the extension for tests that answers do not depend on the engine's settings: build/<variant>/settings.so, lsm.so with lsm_store_open() wrapped.
 *
 * LSM_SETTINGS=block_bytes=512,compression=0,... says what each store is opened with, beyond what SQL can say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/lsm.h"

int __real_lsm_store_open(const struct lsm_options *options, struct lsm_store **store, struct lsm_error *err);
int __wrap_lsm_store_open(const struct lsm_options *options, struct lsm_store **store, struct lsm_error *err);

/* A test with a setting that is not there would test nothing. */
static void set(struct lsm_options *options, const char *name, size_t length, unsigned long value) {
    if (strncmp(name, "block_bytes", length) == 0)
        options->block_bytes = value;
    else if (strncmp(name, "file_bytes", length) == 0)
        options->file_bytes = value;
    else if (strncmp(name, "cache_bytes", length) == 0)
        options->cache_bytes = value;
    else if (strncmp(name, "threads", length) == 0)
        options->threads = (int)value;
    else if (strncmp(name, "compression", length) == 0)
        options->compression = (enum lsm_compression)value;
    else {
        fprintf(stderr, "LSM_SETTINGS: there is no %s\n", name);
        abort();
    }
}

int __wrap_lsm_store_open(const struct lsm_options *options, struct lsm_store **store, struct lsm_error *err) {
    struct lsm_options changed = *options;
    for (const char *at = getenv("LSM_SETTINGS"); at != NULL && *at != '\0'; at += strcspn(at, ","), at += *at == ',') {
        size_t length = strcspn(at, "=,");
        set(&changed, at, length, at[length] == '=' ? strtoul(at + length + 1, NULL, 10) : 0);
    }
    return __real_lsm_store_open(&changed, store, err);
}
