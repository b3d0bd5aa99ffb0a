/* What becomes of the engine's errors and of SQLite's on their way to the user. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "../../ext/error.h"

/* Hosts decide by these codes: what to repeat, what to give up. */
static void each_status_of_the_engine_has_its_code(void **unused) {
    (void)unused;
    static const int codes[][2] = {
        {LSM_OK, SQLITE_OK},
        {LSM_NOMEM, SQLITE_NOMEM},
        {LSM_FULL, SQLITE_FULL},
        {LSM_CORRUPT, SQLITE_CORRUPT_VTAB},
        {LSM_BUSY, SQLITE_BUSY},
        {LSM_BUSY_SNAPSHOT, SQLITE_BUSY_SNAPSHOT},
        {LSM_NOTFOUND, SQLITE_CORRUPT_VTAB},
        {LSM_MISUSE, SQLITE_MISUSE},
        {LSM_READONLY, SQLITE_READONLY},
        {LSM_TOOBIG, SQLITE_TOOBIG},
        {LSM_UNSUPPORTED, SQLITE_CANTOPEN},
        {LSM_MISMATCH, SQLITE_CORRUPT_VTAB},
        {LSM_INTERRUPTED, SQLITE_INTERRUPT},
        {LSM_UNDECIDED, SQLITE_BUSY},
        {LSM_IO, SQLITE_IOERR},
        {-1000, SQLITE_ERROR},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) assert_int_equal(vt_error_code(codes[i][0]), codes[i][1]);
}

static void an_error_without_words_of_its_own_has_the_name_of_its_status(void **unused) {
    (void)unused;
    char *message = NULL;
    struct lsm_error err;
    vt_error_clear(&err);
    assert_int_equal(vt_fail_engine(&message, LSM_BUSY, &err), SQLITE_BUSY);
    assert_string_equal(message, "LSM_BUSY");
    assert_int_equal(vt_fail_engine(&message, LSM_MISMATCH, NULL), SQLITE_CORRUPT_VTAB); /* in the place of the first */
    assert_string_equal(message, "LSM_MISMATCH");
    strcpy(err.text, "what happened");
    assert_int_equal(vt_fail_engine(&message, LSM_IO, &err), SQLITE_IOERR);
    assert_string_equal(message, "what happened");
    assert_int_equal(vt_fail_engine(NULL, LSM_IO, &err), SQLITE_IOERR);
    assert_int_equal(vt_fail_engine(&message, LSM_NOMEM, &err), SQLITE_NOMEM); /* nothing is written where there is no memory */
    assert_string_equal(message, "what happened");
    sqlite3_free(message);
}

/* SQLite undoes more than the statement after these, so a statement of ours within another one must not be forgiven them. */
static void what_makes_sqlite_roll_back_is_known(void **unused) {
    (void)unused;
    static const int undone[] = {SQLITE_NOMEM, SQLITE_IOERR, SQLITE_IOERR_NOMEM, SQLITE_IOERR_READ, SQLITE_FULL, SQLITE_INTERRUPT};
    static const int kept[] = {SQLITE_OK, SQLITE_ERROR, SQLITE_BUSY, SQLITE_CORRUPT_VTAB, SQLITE_CONSTRAINT_UNIQUE, SQLITE_NOTFOUND, SQLITE_READONLY};
    for (size_t i = 0; i < sizeof undone / sizeof undone[0]; i++) assert_true(vt_error_undoes(undone[i]));
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) assert_false(vt_error_undoes(kept[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_of_the_engine_has_its_code),
        cmocka_unit_test(an_error_without_words_of_its_own_has_the_name_of_its_status),
        cmocka_unit_test(what_makes_sqlite_roll_back_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
