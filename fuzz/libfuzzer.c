/* The target as libFuzzer wants it. */
#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t room);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size <= fuzz_target.size_max) fuzz_run(bytes, size);
    return 0;
}

/* One input in eight is left as the change has made it. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed) {
    uint64_t state = seed;
    if (room > fuzz_target.size_max) room = fuzz_target.size_max;
    if (size > room) size = room;
    size = LLVMFuzzerMutate(bytes, size, room);
    if (fuzz_target.mend == NULL || fuzz_below(&state, 8) == 0) return size;
    return fuzz_target.mend(bytes, size, room, fuzz_random(&state));
}
