/* stores.h: small stores on a disk in memory: to take seeds from, and to be opened over what a target has put there. */
#ifndef FUZZ_STORES_H
#define FUZZ_STORES_H

#include "fuzz.h"

/* Options of a store in the directory "s", without threads, so that a run can be repeated. */
struct lsm_options stores_options(struct lsm_env *env);

/* A store with two trees, every kind of operation in its log, tombstones and range tombstones; `flushed`: table files on two levels too. Closed. */
void stores_make(struct lsm_env *env, bool flushed);

/* Open what is in "s" and read everything, forwards, backwards and by key: each must end, agree with the others and be in order; then write a row, close, open
 * again: the same rows and that one. An error is as good, if it has words; it is returned. rows_max: more cannot be there. */
int stores_read(struct lsm_env *env, size_t rows_max);

/* Give each file of "s" with this ending (NULL: any) to emit(). */
void stores_emit(struct lsm_env *env, const char *ending, fuzz_emit_fn emit, void *arg);

#endif
