/* Places that are not as usual: a file that is gone, names without a directory, databases in memory, directories that have nothing to sync or another owner, a VFS with an environment of
 * its own. The C library's fsync(), chown() and geteuid() are replaced by ones that tell and fail. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../ext/place.h"
#include "../support/scratch.h"
#include "../support/sql.h"

static unsigned syncs;
static int sync_error; /* what they fail with, if not 0 */
static ino_t synced;
int fsync(int fd) {
    struct stat st;
    syncs++;
    if (sync_error != 0) {
        errno = sync_error;
        return -1;
    }
    synced = fstat(fd, &st) == 0 ? st.st_ino : 0;
    return (int)syscall(SYS_fsync, fd);
}

static uid_t user;
static int owner_error; /* likewise, of chown() */
uid_t geteuid(void) { return user; }
int chown(const char *path, uid_t uid, gid_t gid) {
    errno = owner_error;
    return owner_error != 0 ? -1 : (int)syscall(SYS_chown, path, uid, gid);
}

static char file[80];
static struct vt_place place;

static ino_t inode_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static int set_up(void **state) {
    (void)state;
    scratch_make();
    (void)snprintf(file, sizeof file, "%s", scratch_path("test.db"));
    place = (struct vt_place){.file = file, .mode = 0640, .uid = -1, .gid = -1};
    syncs = 0;
    sync_error = owner_error = 0;
    return 0;
}

/* Nothing else is left. */
static int tear_down(void **state) {
    (void)state;
    (void)rmdir(scratch_path("test.db-lsm"));
    return rmdir(scratch_folder());
}

static bool sync_said; /* of an environment of a program's own */
static bool sync_directory(struct lsm_env *env, const char *of) {
    (void)env;
    assert_string_equal(of, file);
    return sync_said;
}

static void who_has_an_environment_of_its_own_syncs_in_its_way(void **state) {
    (void)state;
    struct vt_environment own = {.sync_directory = NULL};
    char *message = NULL;
    place.environment = &own;
    assert_int_equal(vt_place_sync(&place, NULL), SQLITE_OK); /* nothing to do */
    own.sync_directory = sync_directory;
    sync_said = true;
    assert_int_equal(vt_place_sync(&place, NULL), SQLITE_OK);
    sync_said = false;
    assert_int_equal(vt_place_sync(&place, &message), SQLITE_IOERR_DIR_FSYNC);
    assert_non_null(strstr(message, "cannot sync the directory of "));
    sqlite3_free(message);
    assert_int_equal(vt_place_prepare(&place, NULL), SQLITE_OK); /* the engine makes it */
    place.memory = true;
    assert_int_equal(vt_place_sync(&place, NULL), SQLITE_OK);
    assert_int_equal(syncs, 0);
}

static void a_directory_that_has_nothing_to_sync_is_synced(void **state) {
    (void)state;
    char *message = NULL, words[100];
    (void)snprintf(words, sizeof words, "cannot sync the directory %s", scratch_folder());
    sync_error = EINVAL;
    assert_int_equal(vt_place_sync(&place, NULL), SQLITE_OK);
    sync_error = EIO;
    assert_int_equal(vt_place_sync(&place, &message), SQLITE_IOERR_DIR_FSYNC);
    assert_non_null(strstr(message, words));
    assert_int_equal(syncs, 2);
    sqlite3_free(message);
}

static void a_name_without_a_directory_is_in_the_present_one(void **state) {
    (void)state;
    char before[500], relative[] = "test.db", in_root[] = "/test.db";
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(scratch_folder()), 0);
    place.file = relative;
    assert_int_equal(vt_place_sync(&place, NULL), SQLITE_OK);
    assert_true(synced == inode_of(scratch_folder()));
    place.file = in_root;
    assert_int_equal(vt_place_sync(&place, NULL), SQLITE_OK);
    assert_true(synced == inode_of("/"));
    assert_int_equal(chdir(before), 0);
}

/* Only root can give a directory away; who tries in vain has it all the same. */
static void the_directory_of_the_stores_has_the_owner_of_the_database(void **state) {
    (void)state;
    place.uid = place.gid = 12345;
    owner_error = EPERM;
    assert_int_equal(vt_place_prepare(&place, NULL), SQLITE_OK);
    struct stat st;
    assert_int_equal(stat(scratch_path("test.db-lsm"), &st), 0);
    assert_int_equal(st.st_uid, getuid());
}

static void find(const char *uri, const char *schema, struct vt_place *found, int code, const char *words) {
    char *message = NULL;
    bool real = strcmp(uri, "x.db") == 0;
    const char *path = real ? scratch_path(uri) : uri;
    sqlite3 *db = sql_open(path, SQLITE_OPEN_URI);
    sql_must(db, "CREATE TABLE o(v)");
    if (code != SQLITE_OK) assert_int_equal(unlink(path), 0);
    assert_int_equal(vt_place_find(db, schema, found, &message), code);
    if (code != SQLITE_OK && strstr(message, words) == NULL) fail_msg("%s", message);
    sqlite3_free(message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    if (real && code == SQLITE_OK) assert_int_equal(unlink(path), 0);
}

static void a_place_is_found_by_the_file_of_the_schema(void **state) {
    (void)state;
    struct vt_place found;
    static const char *const in_memory[][2] = {
        {":memory:", "main"}, {"", "main"}, {"x.db", "temp"}, {"x.db", "nowhere"}, {"file:/x?vfs=memdb", "main"}};
    for (size_t i = 0; i < sizeof in_memory / sizeof in_memory[0]; i++) {
        find(in_memory[i][0], in_memory[i][1], &found, SQLITE_OK, "");
        assert_true(found.memory);
        assert_string_equal(found.file, "");
        vt_place_release(&found);
    }
    for (user = 0; user < 2; user++) { /* root, and another one */
        find("x.db", "main", &found, SQLITE_OK, "");
        assert_false(found.memory);
        assert_non_null(strstr(found.file, "/x.db"));
        assert_true(found.inode != 0);
        assert_true((found.uid >= 0) == (user == 0) && (found.gid >= 0) == (user == 0));
        vt_place_release(&found);
    }
    find("x.db", "main", &found, SQLITE_CANTOPEN, "/x.db is not there (No such file or directory): its LSM tables are kept beside it");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_an_environment_of_its_own_syncs_in_its_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_has_nothing_to_sync_is_synced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_without_a_directory_is_in_the_present_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_directory_of_the_stores_has_the_owner_of_the_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_is_found_by_the_file_of_the_schema, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
