/* What children that a test forked have reached, counted: they leave by _exit(), which keeps gcov's counters to itself. In the variant cov the linker sends _exit() here
 * (--wrap); in the others nobody calls this. */
#include <stdlib.h>

void __gcov_dump(void) __attribute__((weak));
void __real__exit(int code) __attribute__((weak, noreturn));
void __wrap__exit(int code) __attribute__((noreturn));

void __wrap__exit(int code) {
    if (__gcov_dump != NULL) __gcov_dump();
    if (__real__exit != NULL) __real__exit(code);
    abort();
}
