/* Where paths lead in the file system in memory, and what it refuses, with the operating system's own reasons. */
#include "env_mem_kit.h"

#include <errno.h>

static int set_up_plain(void **state) {
    *state = lsm_env_mem_new();
    return *state == NULL;
}

static void paths_lead_where_they_should(void **state) {
    struct lsm_env *env = *state;
    struct lsm_file *file;
    struct lsm_error err = {0};
    bool exists;
    assert_int_equal(lsm_env_mkdir(env, "/a", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_mkdir(env, "a", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_mkdir(env, "a/b/", NULL, NULL), LSM_OK);
    lsm_file_close(open_ok(env, "a/b/c", RW_CREATE));
    lsm_file_close(open_ok(env, "/./a//b/./c", LSM_OPEN_READ));
    assert_int_equal(lsm_env_exists(env, "a/b/c", &exists, NULL), LSM_OK);
    assert_true(exists);
    assert_int_equal(lsm_env_exists(env, "a/b/c/d", &exists, NULL), LSM_OK);
    assert_false(exists);
    assert_int_equal(lsm_env_exists(env, "", &exists, NULL), LSM_OK);
    assert_true(exists);
    assert_int_equal(lsm_env_open(env, "x/y", RW_CREATE, NULL, &file, &err), LSM_NOTFOUND);
    assert_null(file);
    assert_int_equal(err.os_errno, ENOENT);
    assert_non_null(strstr(err.text, "x/y"));
    assert_int_equal(lsm_env_open(env, "a/../a", RW_CREATE, NULL, &file, &err), LSM_IO);
    assert_int_equal(lsm_env_open(env, "a/b/c", RW_CREATE | LSM_OPEN_EXCL, NULL, &file, &err), LSM_IO);
    assert_int_equal(err.os_errno, EEXIST);
    assert_int_equal(lsm_env_open(env, "a/b", LSM_OPEN_READ, NULL, &file, &err), LSM_IO);
    assert_int_equal(err.os_errno, EISDIR);
    assert_int_equal(lsm_env_open(env, "a/b/c/d", RW_CREATE, NULL, &file, &err), LSM_IO);
    assert_int_equal(err.os_errno, ENOTDIR);
    assert_int_equal(lsm_env_mkdir(env, "a/b/c", NULL, &err), LSM_IO);
    assert_int_equal(lsm_env_mkdir(env, "p/q", NULL, &err), LSM_NOTFOUND);
}

/* ---- what is refused -------------------------------------------------------------------------------- */

enum call { UNLINK, RMDIR, MKDIR, RENAME, SYNC_DIR, LIST, EXISTS, OPEN };

static int make_call(struct lsm_env *env, enum call call, const char *path, const char *to, struct lsm_error *err) {
    struct lsm_file *file = NULL;
    struct lsm_names names;
    bool exists;
    int status = LSM_OK;
    *err = (struct lsm_error){0};
    switch (call) {
    case UNLINK: return lsm_env_unlink(env, path, err);
    case RMDIR: return lsm_env_rmdir(env, path, err);
    case MKDIR: return lsm_env_mkdir(env, path, NULL, err);
    case RENAME: return lsm_env_rename(env, path, to, err);
    case SYNC_DIR: return lsm_env_sync_dir(env, path, err);
    case EXISTS: return lsm_env_exists(env, path, &exists, err);
    case LIST:
        status = lsm_env_list(env, path, &names, err);
        lsm_names_free(&names);
        return status;
    case OPEN: status = lsm_env_open(env, path, LSM_OPEN_READ, NULL, &file, err); lsm_file_close(file);
    }
    return status;
}

static void what_is_refused_is_refused_as_everywhere(void **state) {
    struct lsm_env *env = *state;
    static const struct {
        enum call call;
        const char *path, *to;
        int os_errno; /* 0: it is done */
    } cases[] = {
        {UNLINK, "full/..", NULL, EINVAL},   {UNLINK, "nothing", NULL, ENOENT},
        {UNLINK, "empty", NULL, EISDIR},     {UNLINK, "/", NULL, EBUSY},
        {UNLINK, "file/x", NULL, ENOTDIR},   {UNLINK, "nothing/x", NULL, ENOENT},
        {RMDIR, "full/..", NULL, EINVAL},    {RMDIR, "full", NULL, ENOTEMPTY},
        {RMDIR, "file", NULL, ENOTDIR},      {RMDIR, "/", NULL, EBUSY},
        {MKDIR, "file", NULL, ENOTDIR},      {MKDIR, "full/../x", NULL, EINVAL},
        {RENAME, "full/..", "x", EINVAL},    {RENAME, "file", "full/..", EINVAL},
        {RENAME, "nothing", "x", ENOENT},    {RENAME, "file", "nothing/x", ENOENT},
        {RENAME, "/", "x", EBUSY},           {RENAME, "empty", "/", EBUSY},
        {RENAME, "file", "empty", EISDIR},   {RENAME, "empty", "file", ENOTDIR},
        {RENAME, "full", "full/x", EINVAL},  {RENAME, "empty", "full", ENOTEMPTY},
        {RENAME, "full", "full", 0},         {RENAME, "file", "file", 0},
        {SYNC_DIR, "full/..", NULL, EINVAL}, {SYNC_DIR, "nothing", NULL, ENOENT},
        {SYNC_DIR, "file", NULL, ENOTDIR},   {SYNC_DIR, "full", NULL, 0},
        {LIST, "full/..", NULL, EINVAL},     {LIST, "nothing", NULL, ENOENT},
        {LIST, "file", NULL, ENOTDIR},       {LIST, "full", NULL, 0},
        {EXISTS, "full/..", NULL, EINVAL},   {EXISTS, "nothing/x", NULL, 0},
        {OPEN, "full/..", NULL, EINVAL},     {OPEN, "nothing", NULL, ENOENT},
        {RENAME, "full", "empty", 0}, /* an empty one is replaced */
    };
    assert_int_equal(lsm_env_mkdir(env, "empty", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_mkdir(env, "full", NULL, NULL), LSM_OK);
    lsm_file_close(open_ok(env, "full/x", RW_CREATE));
    lsm_file_close(open_ok(env, "file", RW_CREATE));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lsm_error err;
        int status = make_call(env, cases[i].call, cases[i].path, cases[i].to, &err);
        if ((status == LSM_OK) != (cases[i].os_errno == 0) || err.os_errno != cases[i].os_errno || err.code != status)
            fail_msg("case %zu, %s: status %d, errno %d: %s", i, cases[i].path, status, err.os_errno, err.text);
        if (status != LSM_OK) assert_non_null(strstr(err.text, cases[i].path));
    }
    assert_true(exists(env, "empty/x") && !exists(env, "full") && exists(env, "file"));
}

static void names_and_paths_have_an_end(void **state) {
    struct lsm_env *env = *state;
    struct lsm_error err = {0};
    char name[257], deep[2 * 65 + 1];
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    lsm_file_close(open_ok(env, name, RW_CREATE));
    assert_true(exists(env, name));
    name[255] = 'n', name[256] = '\0';
    assert_int_equal(lsm_env_mkdir(env, name, NULL, &err), LSM_IO);
    assert_int_equal(err.os_errno, ENAMETOOLONG);
    for (size_t depth = 1; depth <= 65; depth++) {
        memcpy(deep + 2 * (depth - 1), "d/", 3);
        assert_int_equal(lsm_env_mkdir(env, deep, NULL, &err), depth <= 64 ? LSM_OK : LSM_IO);
    }
    assert_int_equal(err.os_errno, ENAMETOOLONG);
}

/* Their hashes are equal: of two names of one length, and of two that are not. */
static void names_with_one_hash_are_two_names(void **state) {
    struct lsm_env *env = *state;
    static const char *const names[][2] = {{"yiijsv", "ktodoe"}, {"f13459", "file-34536"}};
    for (int i = 0; i < 2; i++) {
        struct lsm_file *file = open_ok(env, names[i][0], RW_CREATE);
        write_ok(file, 0, 'a', 3);
        assert_false(exists(env, names[i][1]));
        lsm_file_close(open_ok(env, names[i][1], RW_CREATE | LSM_OPEN_EXCL));
        expect_file(env, names[i][0], 'a', 3);
        expect_file(env, names[i][1], 0, 0);
        lsm_file_close(file);
    }
}

/* The functions for tests, which know paths, too. */
static void what_a_test_reads_and_writes_has_the_same_paths(void **state) {
    struct lsm_env *env = *state;
    uint8_t *bytes;
    size_t size;
    uint64_t length;
    assert_int_equal(lsm_env_mem_write_file(env, "./a//./b", "xyz", 3), LSM_OK);
    expect_file(env, "a/b", 'x', 3);
    assert_int_equal(lsm_env_mem_write_file(env, "a/b/c", "x", 1), LSM_NOTFOUND);
    assert_int_equal(lsm_env_mem_write_file(env, "a", "x", 1), LSM_NOTFOUND);
    assert_int_equal(lsm_env_mem_write_file(env, "/", "x", 1), LSM_NOTFOUND);
    const char *const nothing[] = {"a/..", "a", "a/c", "a/b/c"};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        assert_int_equal(lsm_env_mem_read_file(env, nothing[i], &bytes, &size), LSM_NOTFOUND);
        assert_int_equal(lsm_env_mem_file_size(env, nothing[i], &length), LSM_NOTFOUND);
    }
}

/* The open file is where it was; its path is not. */
static void a_path_whose_directory_is_gone_does_not_lead_to_the_file(void **state) {
    struct lsm_env *env = *state;
    bool same;
    assert_int_equal(lsm_env_mkdir(env, "d", NULL, NULL), LSM_OK);
    struct lsm_file *file = open_ok(env, "d/f", RW_CREATE);
    assert_int_equal(lsm_file_same(file, &same, NULL), LSM_OK);
    assert_true(same);
    assert_int_equal(lsm_env_rename(env, "d", "e", NULL), LSM_OK);
    assert_int_equal(lsm_file_same(file, &same, NULL), LSM_OK);
    assert_false(same);
    lsm_file_close(file);
}

int main(void) {
#define BOTH(name)                                                                                                                                   \
    {#name " (plain)", name, set_up_plain, tear_down, NULL}, { #name " (strict)", name, set_up, tear_down, NULL }
    const struct CMUnitTest tests[] = {
        BOTH(paths_lead_where_they_should),
        BOTH(what_is_refused_is_refused_as_everywhere),
        BOTH(names_and_paths_have_an_end),
        BOTH(names_with_one_hash_are_two_names),
        BOTH(what_a_test_reads_and_writes_has_the_same_paths),
        BOTH(a_path_whose_directory_is_gone_does_not_lead_to_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
