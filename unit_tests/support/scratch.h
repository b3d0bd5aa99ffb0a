/* scratch.h: a folder of the test's own on the real disk; one at a time. */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

/* A new, empty one; fails the test if there can be none. */
void scratch_make(void);
/* It and all that is in it. */
void scratch_remove(void);
/* Without a slash at the end; the same text until the next scratch_make(). */
const char *scratch_folder(void);
/* The path of `name` in it; valid until the same thread's fourth call after this one. */
const char *scratch_path(const char *name);

#endif
