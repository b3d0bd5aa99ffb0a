#include "given.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

uint64_t given_number(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable);
    return text == NULL ? otherwise : strtoull(text, NULL, 0);
}

uint64_t given_stride(const char *variable, uint64_t otherwise) {
    uint64_t n = given_number(variable, otherwise);
    return n < 1 ? 1 : n;
}

uint64_t given_seed(uint64_t otherwise) {
    uint64_t seed = given_number("LSM_TEST_SEED", otherwise);
    print_message("LSM_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}
