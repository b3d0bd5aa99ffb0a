#include "scratch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

void scratch_make(void) {
    strcpy(folder, "/tmp/lsm-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

void scratch_remove(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

const char *scratch_folder(void) { return folder; }

const char *scratch_path(const char *name) {
    static _Thread_local char paths[4][160];
    static _Thread_local unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}
