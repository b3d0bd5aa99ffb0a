/* A target without libFuzzer: TARGET [--seeds DIR] [--mutations N] [--seed N] [FILE or DIR ...]
 *
 *   (always)        runs the seeds the target makes itself
 *   FILE or DIR     runs these inputs: kept findings, a corpus
 *   --mutations N   then N changed seeds; --seed N makes them others
 *   --seeds DIR     only writes the seeds there
 * Each input has 20 seconds. Ends with "N inputs"; an input that breaks a promise ends the program, and stands in the file named at once before.
 */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEEDS_MAX = 256, SECONDS_MAX = 20 };

static struct lsm_buf seeds[SEEDS_MAX];
static size_t seeds_count;
static unsigned long long inputs;
static const char *write_to, *keep_at;

static void run(const void *bytes, size_t size) {
    /* A copy of exactly this size, so that a sanitizer sees the first byte behind it. */
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    FUZZ_CHECK(copy != NULL, "no memory");
    if (size != 0) memcpy(copy, bytes, size);
    alarm(SECONDS_MAX);
    fuzz_run(copy, size);
    alarm(0);
    free(copy);
    inputs++;
}

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    bool good = file != NULL && fwrite(bytes, 1, size, file) == size;
    if (file != NULL) good &= fclose(file) == 0;
    FUZZ_CHECK(good, "cannot write %s", path);
}

static void take_seed(void *arg, const void *bytes, size_t size) {
    (void)arg;
    FUZZ_CHECK(seeds_count < SEEDS_MAX && size <= fuzz_target.size_max, "seed %zu of %zu bytes", seeds_count, size);
    FUZZ_CHECK(lsm_buf_append(&seeds[seeds_count++], bytes, size) == LSM_OK, "no memory");
}

static void run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file != NULL, "cannot open %s", path);
    uint8_t *bytes = malloc(fuzz_target.size_max + 1);
    FUZZ_CHECK(bytes != NULL, "no memory");
    size_t size = fread(bytes, 1, fuzz_target.size_max + 1, file);
    fclose(file);
    if (getenv("FUZZ_VERBOSE") != NULL) fprintf(stderr, "%s\n", path);
    if (size <= fuzz_target.size_max) run(bytes, size);
    free(bytes);
}

static void run_path(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) return; /* a target without findings has no folder */
    if (!S_ISDIR(info.st_mode)) {
        run_file(path);
        return;
    }
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        run_path(name);
    }
    if (folder != NULL) closedir(folder);
}

/* A change as a fuzzer makes it: bits, bytes, numbers, pieces copied, removed, put in from another seed. */
static size_t change(uint8_t *bytes, size_t size, size_t room, uint64_t *state) {
    static const uint64_t numbers[] = {0, 1, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX};
    const struct lsm_buf *other = &seeds[fuzz_below(state, seeds_count)];
    size_t at = fuzz_below(state, size), piece = 1 + fuzz_below(state, 16), from;
    if (size == 0) return fuzz_below(state, room);
    switch (fuzz_below(state, 7)) {
    case 0: bytes[at] ^= (uint8_t)(1u << fuzz_below(state, 8)); return size;
    case 1: bytes[at] = (uint8_t)fuzz_random(state); return size;
    case 2: {
        uint64_t number = numbers[fuzz_below(state, sizeof numbers / sizeof *numbers)];
        for (size_t i = 0, width = (size_t)1 << fuzz_below(state, 4); i < width && at + i < size; i++) bytes[at + i] = (uint8_t)(number >> 8 * i);
        return size;
    }
    case 3: /* removed */
        if (piece > size - at) piece = size - at;
        memmove(bytes + at, bytes + at + piece, size - at - piece);
        return size - piece;
    case 4: /* doubled */
        if (piece > size - at) piece = size - at;
        if (size + piece > room) return size;
        memmove(bytes + at + piece, bytes + at, size - at);
        return size + piece;
    case 5: /* copied over from elsewhere */
        from = fuzz_below(state, size);
        if (piece > size - at) piece = size - at;
        if (piece > size - from) piece = size - from;
        memmove(bytes + at, bytes + from, piece);
        return size;
    default: /* from another seed */
        if (other->size == 0) return size;
        from = fuzz_below(state, other->size);
        piece = 1 + fuzz_below(state, other->size - from);
        if (piece > room - at) piece = room - at;
        memcpy(bytes + at, other->data + from, piece);
        return at + piece > size ? at + piece : size;
    }
}

static void run_mutations(unsigned long long count, uint64_t seed) {
    size_t room = fuzz_target.size_max;
    uint8_t *bytes = malloc(room + 1);
    FUZZ_CHECK(bytes != NULL, "no memory");
    for (unsigned long long i = 0; i < count && seeds_count != 0; i++) {
        uint64_t state = seed ^ i << 20;
        const struct lsm_buf *from = &seeds[fuzz_below(&state, seeds_count)];
        size_t size = from->size;
        if (size != 0) memcpy(bytes, from->data, size);
        for (size_t n = 1 + fuzz_below(&state, 4); n > 0; n--) size = change(bytes, size, room, &state);
        if (fuzz_target.mend != NULL && fuzz_below(&state, 8) != 0) size = fuzz_target.mend(bytes, size, room, fuzz_random(&state));
        if (keep_at != NULL) write_file(keep_at, bytes, size);
        run(bytes, size);
    }
    free(bytes);
}

int main(int argc, char **argv) {
    unsigned long long mutations = 0, seed = 1;
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--seeds") == 0)
            write_to = argv[at + 1];
        else if (strcmp(argv[at], "--mutations") == 0)
            mutations = strtoull(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--seed") == 0)
            seed = strtoull(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--keep") == 0)
            keep_at = argv[at + 1];
        else
            FUZZ_CHECK(false, "unknown option %s", argv[at]);
    }
    fuzz_target.seeds(take_seed, NULL);
    for (size_t i = 0; i < seeds_count; i++) {
        char path[4096];
        if (write_to == NULL) {
            run(seeds[i].data, seeds[i].size);
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/seed-%02zu", write_to, i);
        write_file(path, seeds[i].data, seeds[i].size);
    }
    for (; write_to == NULL && at < argc; at++) run_path(argv[at]);
    if (write_to == NULL) run_mutations(mutations, seed);
    for (size_t i = 0; i < seeds_count; i++) lsm_buf_free(&seeds[i]);
    printf("%s: %llu inputs, seed %llu\n", fuzz_target.name, inputs, seed);
    return 0;
}
