/* Directories of the real file system are made and synced when it is said so: the C library's fsync() is replaced by one that tells. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../ext/place.h"
#include "../support/scratch.h"

static unsigned syncs, interruptions; /* how many calls are to be interrupted first */
static ino_t synced;
int fsync(int fd) {
    struct stat st;
    if (interruptions > 0) {
        interruptions--;
        errno = EINTR;
        return -1;
    }
    syncs++;
    synced = fstat(fd, &st) == 0 ? st.st_ino : 0;
    return (int)syscall(SYS_fsync, fd);
}

static char file[160], stores[170];
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
    (void)snprintf(stores, sizeof stores, "%s-lsm", file);
    place = (struct vt_place){.file = file, .mode = 0640, .uid = -1, .gid = -1};
    syncs = interruptions = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    scratch_remove();
    return 0;
}

static void what_changes_beside_the_database_is_synced_in_the_kernel(void **state) {
    (void)state;
    interruptions = 2;
    assert_int_equal(vt_place_sync(&place, NULL), SQLITE_OK);
    assert_true(syncs == 1 && synced == inode_of(scratch_folder()));
}

static void the_directory_of_the_stores_is_made_durably_and_once(void **state) {
    (void)state;
    assert_int_equal(vt_place_prepare(&place, NULL), SQLITE_OK);
    assert_true(syncs == 1 && synced == inode_of(scratch_folder()));
    struct stat st;
    assert_int_equal(stat(stores, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    assert_int_equal(vt_place_prepare(&place, NULL), SQLITE_OK);
    assert_int_equal(syncs, 1);
}

static void a_directory_that_cannot_be_synced_is_named(void **state) {
    (void)state;
    char *message = NULL;
    (void)snprintf(file, sizeof file, "/nowhere-at-all/test.db");
    assert_int_equal(vt_place_sync(&place, &message), SQLITE_IOERR_DIR_FSYNC);
    assert_string_equal(message, "cannot sync the directory /nowhere-at-all: No such file or directory");
    assert_int_equal(vt_place_prepare(&place, &message), SQLITE_CANTOPEN);
    assert_non_null(strstr(message, "cannot create the directory /nowhere-at-all/test.db-lsm"));
    sqlite3_free(message);
}

static void what_is_in_the_place_of_the_directory_is_named(void **state) {
    (void)state;
    char *message = NULL;
    FILE *other = fopen(stores, "w");
    assert_non_null(other);
    assert_int_equal(fclose(other), 0);
    assert_int_equal(vt_place_prepare(&place, &message), SQLITE_CANTOPEN);
    assert_true(strncmp(message, stores, strlen(stores)) == 0 && strstr(message, "is in the way: it is no directory") != NULL);
    /* A link to nothing. */
    assert_int_equal(unlink(stores), 0);
    assert_int_equal(symlink("nothing", stores), 0);
    assert_int_equal(vt_place_prepare(&place, &message), SQLITE_CANTOPEN);
    assert_non_null(strstr(message, "move it elsewhere"));
    assert_int_equal(unlink(stores), 0);
    assert_int_equal(vt_place_prepare(&place, &message), SQLITE_OK);
    sqlite3_free(message);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_changes_beside_the_database_is_synced_in_the_kernel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_directory_of_the_stores_is_made_durably_and_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_synced_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_in_the_place_of_the_directory_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
