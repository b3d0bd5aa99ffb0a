#include "sqlite_memory.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../ext/sqlite_api.h"

static sqlite3_mem_methods real;
static int64_t left; /* allocations to the one that fails; 0: none does */
static bool all_later, failed;

static bool fails(void) {
    if (left == 0 || --left > 0) return false;
    left = all_later ? 1 : 0;
    failed = true;
    return true;
}

static void *failing_malloc(int n) { return fails() ? NULL : real.xMalloc(n); }
static void *failing_realloc(void *p, int n) { return fails() ? NULL : real.xRealloc(p, n); }

void sqlite_memory_take(void) {
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
    sqlite3_mem_methods memory = real;
    memory.xMalloc = failing_malloc;
    memory.xRealloc = failing_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
}

void sqlite_memory_fail_after(int64_t n, bool sticky) {
    left = n;
    all_later = sticky;
    if (n > 0) failed = false;
}

bool sqlite_memory_failed(void) { return failed; }
