/* fuzz.h: one target for each kind of bytes that somebody else may have written.
 *
 * A target is a program of two makes: with clang and libFuzzer (libfuzzer.c) it looks for new inputs, with any compiler (replay.c) it runs those it is given,
 * the seeds it makes itself, and mutations of them. What a target asks of its input is said at the head of its file; a broken promise is
 * FUZZ_CHECK(), which aborts.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lsm_core/base/base.h"
#include "../lsm_core/env/env_mem.h"

typedef void (*fuzz_emit_fn)(void *arg, const void *bytes, size_t size);

struct fuzz_target {
    const char *name;
    size_t size_max; /* of an input */
    void (*run)(const uint8_t *bytes, size_t size);
    /* Put right what a change of the input has put wrong: checksums, lengths, magic numbers; `choice` is a random number, to leave something as it is
     * now and then. Returns the new size, at most `room`. NULL: there is nothing to mend. */
    size_t (*mend)(uint8_t *bytes, size_t size, size_t room, uint64_t choice);
    void (*seeds)(fuzz_emit_fn emit, void *arg); /* the seed corpus */
};

/* The target of this program. */
extern const struct fuzz_target fuzz_target;

/* Where the input is run, leaks are looked for: the engine's memory is counted before and after. */
void fuzz_run(const uint8_t *bytes, size_t size);

#define FUZZ_CHECK(condition, ...)                                                                                                                   \
    do {                                                                                                                                             \
        if (!(condition)) fuzz_broken(#condition, __FILE__, __LINE__, __VA_ARGS__);                                                                  \
    } while (0)
_Noreturn void fuzz_broken(const char *condition, const char *file, int line, const char *format, ...) LSM_PRINTF(4, 5);

/* ---- what targets share ------------------------------------------------------------------------------------------- */

extern const uint8_t fuzz_store_id[LSM_STORE_ID_BYTES];
extern const struct lsm_env_perm fuzz_perm;

/* Random numbers from a state that the caller keeps. */
uint64_t fuzz_random(uint64_t *state);
static inline size_t fuzz_below(uint64_t *state, size_t limit) { return limit == 0 ? 0 : (size_t)(fuzz_random(state) % limit); }

/* A new plain file system in memory with a clock that stands still, and the directory "s". */
struct lsm_env *fuzz_disk(void);
void fuzz_write(struct lsm_env *env, const char *path, const void *bytes, size_t size);

/* Bytes taken from the front of an input; what is not there any more reads as 0. */
struct fuzz_input {
    const uint8_t *p;
    size_t left;
};
uint8_t fuzz_take8(struct fuzz_input *input);
uint64_t fuzz_take64(struct fuzz_input *input);
struct lsm_slice fuzz_take(struct fuzz_input *input, size_t size); /* as many as there are */

/* A chained file (the log, the manifest) with every record whole: header, positions, links, lengths and checks. */
struct lsm_chain_type;
size_t fuzz_mend_chain(const struct lsm_chain_type *type, uint64_t number, uint8_t *bytes, size_t size, uint64_t choice);

#endif
