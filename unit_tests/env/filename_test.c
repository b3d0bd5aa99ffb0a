#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../lsm_core/env/filename.h"

static const enum lsm_file_type numbered[] = {LSM_FILE_MANIFEST, LSM_FILE_WAL, LSM_FILE_TABLE, LSM_FILE_TEMP};

static void expect_path(enum lsm_file_type type, uint64_t number, const char *path) {
    char *made = lsm_file_path("a/b", type, number);
    assert_non_null(made);
    assert_string_equal(made, path);
    lsm_free(made);
}

static void names_are_as_documented(void **state) {
    (void)state;
    expect_path(LSM_FILE_CURRENT, 0, "a/b/CURRENT");
    expect_path(LSM_FILE_LOCK, 0, "a/b/LOCK");
    expect_path(LSM_FILE_SHM, 0, "a/b/SHM");
    expect_path(LSM_FILE_MANIFEST, 7, "a/b/MANIFEST-00000007");
    expect_path(LSM_FILE_WAL, 12345678, "a/b/12345678.wal");
    expect_path(LSM_FILE_TABLE, 123456789, "a/b/123456789.sst");
    expect_path(LSM_FILE_TEMP, UINT64_MAX, "a/b/18446744073709551615.tmp");
}

static void every_name_is_parsed_back(void **state) {
    (void)state;
    const uint64_t numbers[] = {0, 1, 9, 99999999, 100000000, UINT64_MAX - 1, UINT64_MAX};
    for (size_t t = 0; t < sizeof numbered / sizeof numbered[0]; t++) {
        for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
            uint64_t number = 1;
            char *path = lsm_file_path("d", numbered[t], numbers[n]);
            assert_non_null(path);
            assert_int_equal(lsm_file_parse(path + 2, &number), numbered[t]);
            assert_true(number == numbers[n]);
            lsm_free(path);
        }
    }
    uint64_t number = 1;
    assert_int_equal(lsm_file_parse("CURRENT", &number), LSM_FILE_CURRENT);
    assert_true(number == 0);
    assert_int_equal(lsm_file_parse("LOCK", &number), LSM_FILE_LOCK);
    assert_int_equal(lsm_file_parse("SHM", &number), LSM_FILE_SHM);
    assert_int_equal(lsm_file_parse("RESERVE", &number), LSM_FILE_RESERVE);
}

static void anything_else_is_other(void **state) {
    (void)state;
    const char *const others[] = {"",
                                  "current",
                                  "CURRENT ",
                                  "CURRENT.tmp",
                                  "MANIFEST-",
                                  "MANIFEST-1",
                                  "MANIFEST-0000001",
                                  "MANIFEST-000000001",
                                  "MANIFEST-00000001x",
                                  "manifest-00000001",
                                  "00000001",
                                  "0000001.wal",
                                  "000000001.wal",
                                  "00000001.WAL",
                                  "00000001.wal ",
                                  "00000001.sstx",
                                  "+0000001.sst",
                                  "-0000001.sst",
                                  " 0000001.sst",
                                  "0x000001.sst",
                                  ".sst",
                                  "18446744073709551616.sst",
                                  "99999999999999999999.sst",
                                  "118446744073709551615.wal",
                                  "LOCKS",
                                  "SH",
                                  "a/00000001.sst",
                                  "00000001.sst/"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        uint64_t number = 99;
        assert_int_equal(lsm_file_parse(others[i], &number), LSM_FILE_OTHER);
        assert_true(number == 0);
    }
}

static void no_memory_gives_no_path(void **state) {
    (void)state;
    lsm_mem_fail_after(1, false);
    assert_null(lsm_file_path("d", LSM_FILE_WAL, 1));
    lsm_mem_fail_after(0, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_as_documented),
        cmocka_unit_test(every_name_is_parsed_back),
        cmocka_unit_test(anything_else_is_other),
        cmocka_unit_test(no_memory_gives_no_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
