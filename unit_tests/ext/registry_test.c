/* The list of the stores that a process has open: one for each directory and environment, whoever asks; a child of fork() has none of them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../ext/registry.h"
#include "../../lsm_core/env/env_mem.h"
#include "../support/scratch.h"

static const uint8_t ids[2][LSM_STORE_ID_BYTES] = {"one store's id.", "another one's."};
static struct lsm_env *env;
static struct lsm_error err;

static int set_up(void **unused) {
    (void)unused;
    env = lsm_env_mem_new();
    return env == NULL;
}

static int tear_down(void **unused) {
    (void)unused;
    lsm_env_mem_free(env);
    return 0;
}

static int acquire(const char *dir, int id, bool create, bool single, struct vt_shared **shared) {
    struct lsm_options options;
    lsm_options_init(&options);
    options.env = env;
    options.dir = dir;
    options.threads = 0;
    options.store_id = ids[id];
    options.create = create;
    memset(&err, 0, sizeof err);
    return vt_registry_acquire(&options, single, shared, &err);
}

static void who_asks_for_an_open_store_gets_it(void **unused) {
    (void)unused;
    struct vt_shared *first, *second, *other;
    assert_int_equal(acquire("/one", 0, true, false, &first), LSM_OK);
    assert_int_equal(acquire("/one", 0, false, false, &second), LSM_OK);
    assert_int_equal(acquire("/two", 1, true, false, &other), LSM_OK);
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, other);
    vt_registry_release(first);
    assert_string_equal(lsm_store_dir(vt_shared_store(second)), "/one"); /* still open */
    vt_registry_release(second);
    vt_registry_release(other);
    vt_registry_release(NULL);
}

static void a_directory_is_open_under_one_id_only(void **unused) {
    (void)unused;
    struct vt_shared *first, *second;
    assert_int_equal(acquire("/one", 0, true, false, &first), LSM_OK);
    assert_int_equal(acquire("/one", 1, true, false, &second), LSM_MISMATCH);
    assert_null(second);
    assert_int_equal(err.code, LSM_MISMATCH);
    assert_string_equal(err.text, "this directory's store is open under another id");
    vt_registry_release(first);
}

/* And may be opened after it. */
static void what_could_not_be_opened_is_not_listed(void **unused) {
    (void)unused;
    struct vt_shared *shared;
    assert_int_equal(acquire("/one", 0, false, false, &shared), LSM_NOTFOUND);
    assert_null(shared);
    assert_int_equal(acquire("/one", 0, true, false, &shared), LSM_OK);
    vt_registry_release(shared);
}

static void a_store_fits_the_file_that_it_was_found_to_fit(void **unused) {
    (void)unused;
    struct vt_shared *shared;
    assert_int_equal(acquire("/one", 0, true, false, &shared), LSM_OK);
    assert_false(vt_shared_fits(shared, 1, 2));
    vt_shared_set_fits(shared, 1, 2);
    assert_true(vt_shared_fits(shared, 1, 2));
    assert_false(vt_shared_fits(shared, 3, 2)); /* a file put in its place, on another device */
    assert_false(vt_shared_fits(shared, 1, 3));
    vt_registry_release(shared);
}

/* The child finds its parent's store under the name that it opens itself, and must not take it: neither its threads nor its locks are the child's. */
static void the_child_of_a_fork_opens_the_store_anew(void **unused) {
    (void)unused;
    struct vt_shared *parents, *childs = NULL;
    struct lsm_env *memory = env;
    scratch_make();
    const char *dir = scratch_path("store");
    env = NULL;
    assert_int_equal(acquire(dir, 0, true, false, &parents), LSM_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool own = acquire(dir, 0, false, false, &childs) == LSM_OK && childs != parents;
        vt_registry_release(childs);
        _exit(own ? 0 : 1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    vt_registry_release(parents);
    env = memory;
    scratch_remove();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_asks_for_an_open_store_gets_it),       TEST(a_directory_is_open_under_one_id_only),
        TEST(what_could_not_be_opened_is_not_listed),   TEST(a_store_fits_the_file_that_it_was_found_to_fit),
        TEST(the_child_of_a_fork_opens_the_store_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
