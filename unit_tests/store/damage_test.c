/* Damaged files: every byte of every file of a small closed store flipped (of SHM every seventh), cut off at every length (tables, SHM: every seventh), files
 * emptied, zeroed, missing, exchanged.
 *
 * Opening and reading then ends in an error that names the file, or in exactly the right rows. That goes for the end of the newest log too, of which
 * the closing edit of the manifest says how far it was durable; when that edit is the damaged one, the log itself is whole.
 * A check of an open store reports every flip in every live byte.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lsm_core/base/base.h"
#include "../../lsm_core/env/filename.h"
#include "../../lsm_core/store/store.h"
#include "../../lsm_core/version/manifest.h"
#include "../support/world.h"

enum { FILES_MAX = 12 };

static struct world world;
static struct victim {
    char path[64];
    enum lsm_file_type type;
    uint8_t *bytes;
    size_t size;
} victims[FILES_MAX];
static size_t victims_count;
static size_t last_edit; /* where the manifest's last record begins, which only says that the others were whole and how long the log is */

#define MUST(step) must(step, #step)
static void must(int status, const char *step) {
    if (status != LSM_OK) fail_msg("%s: %s: %s", step, lsm_status_name(status), world.err.text);
}

static void add_tree(int slot) {
    MUST(world_begin(&world));
    MUST(world_create(&world, slot));
    MUST(world_put(&world, slot, 0));
    MUST(world_commit(&world, LSM_SYNC_FULL));
}

static int no_edit(void *arg, struct lsm_edit *edit, struct lsm_error *err) {
    (void)arg;
    (void)edit;
    (void)err;
    return LSM_OK;
}

/* Two runs with two trees, range tombstones and tombstones, a compressed one at the bottom, and a log with a few commits. */
static int make_store(void **state) {
    (void)state;
    world_init(&world, lsm_env_mem_new_strict(), 3);
    world.options.block_bytes = 512;
    MUST(world_open(&world));
    add_tree(0);
    add_tree(1);
    for (unsigned i = 0; i < 4; i++) MUST(world_write(&world, (int)i % 2, 12, LSM_SYNC_FULL));
    MUST(world_compact(&world));
    for (unsigned i = 0; i < 2; i++) MUST(world_write(&world, (int)i % 2, 6, LSM_SYNC_FULL));
    MUST(world_begin(&world));
    MUST(world_delete_range(&world, 0, 30, 60));
    MUST(world_put(&world, 0, 50));
    MUST(world_commit(&world, LSM_SYNC_FULL));
    MUST(world_flush(&world));
    for (unsigned i = 0; i < 3; i++) MUST(world_write(&world, 0, 2, LSM_SYNC_FULL));
    MUST(world_close(&world));
    struct lsm_manifest_found found;
    MUST(lsm_manifest_replay(world.env, world.options.dir, NULL, no_edit, NULL, &found, &world.err));
    last_edit = (size_t)found.last;
    return 0;
}

static void list_victims(struct lsm_env *env) {
    struct lsm_names names = {0};
    uint64_t number;
    MUST(lsm_env_list(env, world.options.dir, &names, &world.err));
    victims_count = 0;
    for (size_t i = 0; i < names.count; i++) {
        struct victim *victim = &victims[victims_count++];
        assert_true(victims_count <= FILES_MAX);
        (void)snprintf(victim->path, sizeof victim->path, "%s/%s", world.options.dir, names.names[i]);
        victim->type = lsm_file_parse(names.names[i], &number);
        assert_int_equal(lsm_env_mem_read_file(env, victim->path, &victim->bytes, &victim->size), LSM_OK);
    }
    lsm_names_free(&names);
}

static void drop_victims(void) {
    for (size_t i = 0; i < victims_count; i++) lsm_free(victims[i].bytes);
    victims_count = 0;
}

static int free_store(void **state) {
    (void)state;
    lsm_env_mem_free(world.env);
    return 0;
}

/* ---- what must follow from damage ------------------------------------------------------------------------------------------------ */

struct tally {
    unsigned long long refused, read_errors, right;
};

static void must_name(const struct victim *victim, const struct lsm_error *err, const char *how, size_t at) {
    const char *name = strrchr(victim->path, '/') + 1;
    bool named = strstr(err->text, name) != NULL;
    /* Of files that contradict each other (a log whose end is missing, a manifest that ends before the log begins) the directory is all that
     * can be said. */
    if (!named && victim->type != LSM_FILE_TABLE) named = strstr(err->text, world.options.dir) != NULL;
    if (!named) fail_msg("%s: %s at %zu: the error does not name the file: %s", victim->path, how, at, err->text);
    if (err->code != LSM_CORRUPT && err->code != LSM_UNSUPPORTED && err->code != LSM_MISMATCH)
        fail_msg("%s: %s at %zu: %s: %s", victim->path, how, at, lsm_status_name(err->code), err->text);
}

/* Read every row of a tree both ways and by key: each is right, or the read fails. True if all could be read. */
static bool read_tree(struct lsm_view *view, size_t slot, const struct victim *victim, const char *how, size_t at) {
    const struct world_state *now = &world.history[world.commits - 1];
    uint32_t tree = now->trees[slot].tree;
    struct lsm_error err = {0};
    bool whole = true;
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        uint8_t buffer[MODEL_VALUE_BYTES_MAX];
        struct lsm_value value = {0};
        int status = lsm_view_get(view, tree, model_key(key), &value, &err);
        uint32_t want = now->rows[slot].values[key];
        bool same = status == LSM_OK && want != 0 && lsm_slice_equal(value.bytes, model_value(want, buffer));
        if (status == LSM_OK && !same) fail_msg("%s: %s at %zu: a wrong row", victim->path, how, at);
        if (status == LSM_NOTFOUND && want != 0) fail_msg("%s: %s at %zu: a row is gone without a word", victim->path, how, at);
        lsm_value_release(&value);
        if (status == LSM_OK || status == LSM_NOTFOUND) continue;
        must_name(victim, &err, how, at);
        whole = false;
    }
    const char *wrong = whole ? model_differs(&now->rows[slot], view, tree) : NULL;
    if (wrong != NULL && strstr(wrong, "failed") == NULL) fail_msg("%s: %s at %zu: %s", victim->path, how, at, wrong);
    return whole && wrong == NULL;
}

/* Open the damaged store and read all of it. */
static void open_damaged(struct lsm_env *env, const struct victim *victim, const char *how, size_t at, struct tally *tally) {
    struct lsm_options options = world.options;
    struct lsm_store *store = NULL;
    struct lsm_error err = {0};
    options.env = env;
    if (lsm_store_open(&options, &store, &err) != LSM_OK) {
        must_name(victim, &err, how, at);
        tally->refused++;
        return;
    }
    struct lsm_view *view = NULL;
    MUST(lsm_view_open(store, NULL, &view, &world.err));
    bool whole = read_tree(view, 0, victim, how, at) && read_tree(view, 1, victim, how, at);
    lsm_view_close(view);
    if (whole)
        tally->right++;
    else
        tally->read_errors++;
    /* The opening has cut off the log's end; what lies behind the manifest's end is a torn edit, that will not be appended to. */
    bool dead = victim->type == LSM_FILE_LOCK || victim->type == LSM_FILE_SHM || victim->type == LSM_FILE_WAL ||
                (victim->type == LSM_FILE_MANIFEST && at + 64 > last_edit);
    if (!dead && world_check(store) == NULL) fail_msg("%s: %s at %zu: the check finds nothing", victim->path, how, at);
    (void)lsm_store_close(store, NULL);
}

static struct lsm_env *copy_disk(void) {
    struct lsm_env *env = lsm_env_mem_clone_crashed(world.env, LSM_CRASH_KEEP, 1);
    assert_non_null(env);
    return env;
}

/* Replace the file's content and see. bytes NULL: remove the file. */
static void with_content(const struct victim *victim, const uint8_t *bytes, size_t size, const char *how, size_t at, struct tally *tally) {
    struct lsm_env *env = copy_disk();
    if (bytes == NULL)
        MUST(lsm_env_unlink(env, victim->path, &world.err));
    else
        assert_int_equal(lsm_env_mem_write_file(env, victim->path, bytes, size), LSM_OK);
    open_damaged(env, victim, how, at, tally);
    lsm_env_mem_free(env);
}

static void say(const struct victim *victim, const char *how, const struct tally *tally) {
    print_message("  %-34s %-10s %6zu bytes: %5llu refused, %5llu read errors, %5llu right\n", victim->path, how, victim->size, tally->refused,
                  tally->read_errors, tally->right);
}

/* ---- tests ----------------------------------------------------------------------------------------------------------------------- */

static void a_flipped_byte_is_an_error_or_does_not_matter(void **state) {
    (void)state;
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    list_victims(world.env);
    for (size_t v = 0; v < victims_count; v++) {
        struct victim *victim = &victims[v];
        struct tally tally = {0};
        /* The shared page is made anew by the first who opens: nothing in it is read. */
        size_t step = victim->type == LSM_FILE_SHM ? 7 : 1;
        for (size_t at = 0; at < victim->size; at += step) {
            uint8_t flip = flips[at % 3];
            victim->bytes[at] ^= flip;
            with_content(victim, victim->bytes, victim->size, "flip", at, &tally);
            victim->bytes[at] ^= flip;
        }
        say(victim, "flipped", &tally);
    }
    drop_victims();
}

static void a_file_cut_short_is_an_error(void **state) {
    (void)state;
    list_victims(world.env);
    for (size_t v = 0; v < victims_count; v++) {
        const struct victim *victim = &victims[v];
        struct tally tally = {0};
        size_t step = victim->type == LSM_FILE_TABLE || victim->type == LSM_FILE_SHM ? 7 : 1;
        for (size_t size = 0; size < victim->size; size += step) with_content(victim, victim->bytes, size, "cut", size, &tally);
        say(victim, "cut", &tally);
    }
    drop_victims();
}

static void a_file_of_zeros_or_missing_or_longer_is_an_error(void **state) {
    (void)state;
    list_victims(world.env);
    for (size_t v = 0; v < victims_count; v++) {
        const struct victim *victim = &victims[v];
        struct tally tally = {0};
        bool log = victim->type == LSM_FILE_WAL;
        uint8_t *longer = calloc(1, victim->size + 512);
        assert_non_null(longer);
        with_content(victim, longer, victim->size, "zeros", 0, &tally);
        with_content(victim, NULL, 0, "missing", 0, &tally);
        memcpy(longer, victim->bytes, victim->size);
        if (!log && victim->type != LSM_FILE_LOCK && victim->type != LSM_FILE_SHM) {
            struct tally grown = {0};
            memset(longer + victim->size, 0x5a, 512);
            with_content(victim, longer, victim->size + 512, "longer", victim->size, &grown);
            tally.refused += grown.refused;
            tally.read_errors += grown.read_errors;
            tally.right += grown.right;
        }
        /* Blocks of zeros in the middle. */
        for (size_t at = 0; at + 64 <= victim->size; at += 64) {
            memcpy(longer, victim->bytes, victim->size);
            memset(longer + at, 0, 64);
            with_content(victim, longer, victim->size, "64 zeros", at, &tally);
        }
        free(longer);
        say(victim, "zeroed", &tally);
    }
    drop_victims();
}

static void exchanged_files_are_refused(void **state) {
    (void)state;
    struct tally tally = {0};
    list_victims(world.env);
    for (size_t a = 0; a < victims_count; a++)
        for (size_t b = 0; b < victims_count; b++) {
            if (a == b || victims[a].type == LSM_FILE_LOCK || victims[a].type == LSM_FILE_SHM || victims[b].type == LSM_FILE_SHM) continue;
            with_content(&victims[a], victims[b].bytes, victims[b].size, "exchanged with another", b, &tally);
        }
    print_message("  %llu refused, %llu read errors, %llu right\n", tally.refused, tally.read_errors, tally.right);
    drop_victims();
}

/* With no log behind it to contradict, a damaged last edit must not pass for one that was being written: its tables would be removed. */
static void a_damaged_last_edit_is_refused_after_a_close(void **state) {
    (void)state;
    for (int killed = 0; killed < 2; killed++) {
        struct lsm_env *env = copy_disk();
        struct lsm_options options = world.options;
        struct lsm_store *store = NULL;
        unsigned refused = 0, right = 0;
        options.env = env;
        MUST(lsm_store_open(&options, &store, &world.err));
        MUST(lsm_store_flush(store, NULL, NULL, &world.err));
        if (killed) {
            MUST(lsm_env_mem_crash(env, LSM_CRASH_KEEP, 1));
            (void)lsm_store_close(store, NULL);
            MUST(lsm_store_open(&options, &store, &world.err));
        }
        MUST(lsm_store_close(store, &world.err));
        list_victims(env);
        for (size_t v = 0; v < victims_count; v++) {
            struct victim *victim = &victims[v];
            for (size_t at = 0; victim->type == LSM_FILE_MANIFEST && at < victim->size; at++) {
                struct lsm_env *damaged = lsm_env_mem_clone_crashed(env, LSM_CRASH_KEEP, 1);
                assert_non_null(damaged);
                options.env = damaged;
                victim->bytes[at] ^= 0x40;
                assert_int_equal(lsm_env_mem_write_file(damaged, victim->path, victim->bytes, victim->size), LSM_OK);
                victim->bytes[at] ^= 0x40;
                int status = lsm_store_open(&options, &store, &world.err);
                if (status != LSM_OK) must_name(victim, &world.err, "flip", at);
                const char *wrong = status == LSM_OK ? world_differs(&world, store) : NULL;
                if (wrong != NULL) fail_msg("%s: flip at %zu: %s", victim->path, at, wrong);
                if (status == LSM_OK) (void)lsm_store_close(store, NULL);
                refused += status != LSM_OK;
                right += status == LSM_OK;
                lsm_env_mem_free(damaged);
            }
        }
        drop_victims();
        lsm_env_mem_free(env);
        print_message("  %u refused, %u right\n", refused, right);
        assert_true(refused > right);
    }
}

/* The store is open, with a log that is being written; what is flipped beneath it is found. */
static void a_check_of_an_open_store_finds_every_flip(void **state) {
    (void)state;
    struct lsm_env *env = copy_disk();
    struct lsm_options options = world.options;
    struct lsm_txn *txn = NULL;
    struct lsm_store *store = NULL;
    unsigned long long flips = 0, dead = 0;
    options.env = env;
    MUST(lsm_store_open(&options, &store, &world.err));
    MUST(lsm_txn_begin(store, UINT64_MAX, 0, &txn, &world.err));
    MUST(lsm_txn_put(txn, world.history[world.commits - 1].trees[0].tree, model_key(5), model_key(6), &world.err));
    MUST(lsm_txn_prepare(txn, LSM_SYNC_OFF, LSM_DECIDES_ITSELF, NULL, &world.err));
    lsm_txn_commit(txn, true);
    assert_null(world_check(store));
    size_t log_end = LSM_WAL_HEADER_BYTES + (size_t)(lsm_wal_writer_end(store->log) - lsm_wal_writer_start(store->log));
    list_victims(env);
    for (size_t v = 0; v < victims_count; v++) {
        struct victim *victim = &victims[v];
        if (victim->type == LSM_FILE_LOCK || victim->type == LSM_FILE_SHM) continue; /* a note for messages; built anew by the first opener */
        for (size_t at = 0; at < victim->size; at++) {
            bool live = victim->type != LSM_FILE_WAL || at < log_end; /* behind it: reserved */
            if (!live && at > log_end + 200) break;
            victim->bytes[at] ^= 0x10;
            assert_int_equal(lsm_env_mem_write_file(env, victim->path, victim->bytes, victim->size), LSM_OK);
            const char *finding = world_check(store);
            if (live && finding == NULL) fail_msg("%s: byte %zu: not found", victim->path, at);
            if (live && strstr(finding, world.options.dir) == NULL) fail_msg("%s: byte %zu: %s", victim->path, at, finding);
            flips += live;
            dead += !live;
            victim->bytes[at] ^= 0x10;
        }
        assert_int_equal(lsm_env_mem_write_file(env, victim->path, victim->bytes, victim->size), LSM_OK);
    }
    drop_victims();
    const char *finding = world_check(store);
    if (finding != NULL) fail_msg("%s", finding);
    print_message("  %llu flips found, %llu in reserved space of the log not looked for\n", flips, dead);
    MUST(lsm_store_close(store, &world.err));
    lsm_env_mem_free(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_byte_is_an_error_or_does_not_matter),    cmocka_unit_test(a_file_cut_short_is_an_error),
        cmocka_unit_test(a_file_of_zeros_or_missing_or_longer_is_an_error), cmocka_unit_test(exchanged_files_are_refused),
        cmocka_unit_test(a_damaged_last_edit_is_refused_after_a_close),     cmocka_unit_test(a_check_of_an_open_store_finds_every_flip),
    };
    return cmocka_run_group_tests(tests, make_store, free_store);
}
