/* Several sets over one manifest, as several processes have them: following, appending in turn, what the dead and the failed leave behind. */
#include "../wal/wal_kit.h"

#include "../../lsm_core/version/version_set.h"

static struct lsm_error err;

/* ---- what the processes agree on, as plain numbers ----------------------------------------------------------------- */

struct page {
    uint64_t version, next_file;
    bool locked, mute; /* mute: publishing is lost: the process dies right before */
    uint64_t needed;   /* a version that somebody pins; 0: none */
};

static int page_lock(void *arg, struct lsm_error *e) {
    struct page *page = arg;
    (void)e;
    assert_false(page->locked);
    page->locked = true;
    return LSM_OK;
}
static void page_unlock(void *arg) {
    struct page *page = arg;
    assert_true(page->locked);
    page->locked = false;
}
static uint64_t page_version(void *arg) { return ((struct page *)arg)->version; }
static void page_publish(void *arg, uint64_t version) {
    struct page *page = arg;
    assert_true(page->locked || page->version == 0);
    if (page->mute) return;
    assert_true(version > page->version);
    page->version = version;
}
static uint64_t page_next(void *arg) { return ((struct page *)arg)->next_file++; }
static uint64_t page_peek(void *arg) { return ((struct page *)arg)->next_file; }
static void page_raise(void *arg, uint64_t least) {
    struct page *page = arg;
    if (page->next_file < least) page->next_file = least;
}
static bool page_may_remove(void *arg, uint64_t added_at, uint64_t removed_at) {
    const struct page *page = arg;
    return page->needed == 0 || page->needed < added_at || page->needed >= removed_at;
}

enum { SETS = 3 };

struct fixture {
    struct lsm_env *env;
    struct page page;
    struct lsm_version_share share;
    struct lsm_version_set sets[SETS];
};

static void begin(struct fixture *f) {
    memset(f, 0, sizeof *f);
    f->env = kit_env();
    f->page.next_file = 1;
    f->share = (struct lsm_version_share){.arg = &f->page,
                                          .lock = page_lock,
                                          .unlock = page_unlock,
                                          .version = page_version,
                                          .publish = page_publish,
                                          .next_file = page_next,
                                          .peek_next_file = page_peek,
                                          .raise_next_file = page_raise,
                                          .may_remove = page_may_remove};
    for (size_t i = 0; i < SETS; i++) {
        assert_int_equal(lsm_version_set_init(&f->sets[i], f->env, KIT_DIR, &kit_perm, kit_id, NULL), LSM_OK);
        f->sets[i].share = &f->share;
    }
    kit_ok(lsm_version_set_create(&f->sets[0], &err), &err);
    for (size_t i = 1; i < SETS; i++) kit_ok(lsm_version_set_catch_up(&f->sets[i], f->page.version, &err), &err);
}

static void end(struct fixture *f) {
    for (size_t i = 0; i < SETS; i++) lsm_version_set_release(&f->sets[i]);
    lsm_env_mem_free(f->env);
}

static struct lsm_file_meta *meta_of(struct fixture *f, uint64_t number) {
    struct lsm_file_meta *meta = lsm_file_meta_new();
    uint8_t key[8] = {0, 0, 0, 1};
    assert_non_null(meta);
    meta->number = number;
    meta->bytes = 5;
    meta->log_high = 8;
    lsm_store_be32(key + 4, (uint32_t)number * 2);
    assert_int_equal(lsm_buf_set(&meta->smallest, lsm_slice_of(key, 8)), LSM_OK);
    lsm_store_be32(key + 4, (uint32_t)number * 2 + 1);
    assert_int_equal(lsm_buf_set(&meta->largest, lsm_slice_of(key, 8)), LSM_OK);
    kit_write_file(f->env, LSM_FILE_TABLE, number, (const uint8_t *)"table", 5);
    return meta;
}

static bool on_disk(struct fixture *f, enum lsm_file_type type, uint64_t number) {
    char path[64];
    uint64_t size;
    kit_path(type, number, path, sizeof path);
    return lsm_env_mem_file_size(f->env, path, &size) == LSM_OK;
}

static int apply(struct lsm_version_set *set, struct lsm_edit *edit) {
    bool keep;
    int status = lsm_version_set_apply(set, edit, &keep, &err);
    lsm_edit_release(edit);
    return status;
}

/* A flush: one new file in level 0. */
static uint64_t add(struct fixture *f, size_t i, uint64_t position) {
    struct lsm_edit edit = {.log_position = position};
    uint64_t number = lsm_version_set_new_number(&f->sets[i]);
    struct lsm_file_meta *meta = meta_of(f, number);
    assert_int_equal(lsm_edit_add_file(&edit, 0, number, meta), LSM_OK);
    lsm_file_meta_unref(meta);
    kit_ok(apply(&f->sets[i], &edit), &err);
    return number;
}

struct search {
    uint64_t number;
    struct lsm_file_meta *meta;
    int level;
};

static bool is_it(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct search *search = arg;
    (void)run;
    if (meta->number != search->number) return true;
    search->meta = meta;
    search->level = level;
    return false;
}

/* The level the set has the file in; -1: it does not. */
static int level_of(struct lsm_version_set *set, uint64_t number, struct lsm_file_meta **meta) {
    struct search search = {.number = number, .level = -1};
    lsm_version_each(set->current, is_it, &search);
    if (meta != NULL) *meta = search.meta;
    return search.level;
}

static int remove_file(struct fixture *f, size_t i, uint64_t number) {
    struct lsm_edit edit = {0};
    assert_int_equal(lsm_edit_remove_file(&edit, number), LSM_OK);
    return apply(&f->sets[i], &edit);
}

static void catch_up(struct fixture *f, size_t i) { kit_ok(lsm_version_set_catch_up(&f->sets[i], f->page.version, &err), &err); }

/* ---- the tests -------------------------------------------------------------------------------------------------------- */

static void sets_append_in_turn_and_follow_each_other(void **state) {
    (void)state;
    struct fixture f;
    uint64_t numbers[30];
    int64_t live = lsm_mem_live();
    begin(&f);
    for (size_t i = 0; i < 30; i++) {
        numbers[i] = add(&f, i % 2, 8 * i + 8);
        if (i % 7 == 0) catch_up(&f, 2);
    }
    catch_up(&f, 0);
    catch_up(&f, 2);
    for (size_t s = 0; s < SETS; s++) {
        assert_int_equal(f.sets[s].current->id, f.page.version);
        assert_int_equal(f.sets[s].current->files, 30);
        assert_int_equal(f.sets[s].current->log_position, 240);
        for (size_t i = 0; i < 30; i++) assert_int_equal(level_of(&f.sets[s], numbers[i], NULL), 0);
    }
    /* Who asks for what he has, or had, reads nothing. */
    uint64_t before = f.sets[2].edits;
    catch_up(&f, 2);
    kit_ok(lsm_version_set_catch_up(&f.sets[2], 1, &err), &err);
    assert_int_equal(f.sets[2].edits, before);
    end(&f);
    assert_int_equal(lsm_mem_live(), live);
}

static void a_file_has_one_meta_wherever_it_moves(void **state) {
    (void)state;
    struct fixture f;
    struct lsm_file_meta *before = NULL, *after = NULL;
    begin(&f);
    uint64_t number = add(&f, 0, 8);
    catch_up(&f, 1);
    assert_int_equal(level_of(&f.sets[1], number, &before), 0);
    assert_int_equal(before->added_at, f.page.version);
    struct lsm_edit edit = {0};
    struct lsm_file_meta *own = NULL;
    (void)level_of(&f.sets[0], number, &own);
    assert_int_equal(lsm_edit_remove_file(&edit, number), LSM_OK);
    assert_int_equal(lsm_edit_add_file(&edit, 3, 0, own), LSM_OK);
    kit_ok(apply(&f.sets[0], &edit), &err);
    catch_up(&f, 1);
    assert_int_equal(level_of(&f.sets[1], number, &after), 3);
    assert_ptr_equal(before, after);
    assert_false(atomic_load(&after->obsolete));
    end(&f);
}

static void a_removed_file_stays_while_any_process_needs_it(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    uint64_t number = add(&f, 0, 8), added = f.page.version;
    catch_up(&f, 1);
    struct lsm_version *view = lsm_version_set_ref_current(&f.sets[1]);
    f.page.needed = added;
    kit_ok(remove_file(&f, 0, number), &err);
    (void)lsm_version_set_sweep(&f.sets[0], SIZE_MAX);
    assert_true(on_disk(&f, LSM_FILE_TABLE, number));
    catch_up(&f, 1);
    (void)lsm_version_set_sweep(&f.sets[1], SIZE_MAX);
    assert_true(on_disk(&f, LSM_FILE_TABLE, number));
    /* Pins of versions before and after do not matter. */
    f.page.needed = added - 1;
    assert_true(page_may_remove(&f.page, added, f.page.version));
    lsm_version_set_unref(&f.sets[1], view);
    f.page.needed = f.page.version;
    (void)lsm_version_set_sweep(&f.sets[0], SIZE_MAX);
    assert_false(on_disk(&f, LSM_FILE_TABLE, number));
    assert_int_equal(atomic_load(&f.sets[0].obsolete_count), 0);
    (void)lsm_version_set_sweep(&f.sets[1], SIZE_MAX); /* it is gone already: no harm */
    assert_int_equal(atomic_load(&f.sets[1].obsolete_count), 0);
    end(&f);
}

static void what_a_dead_process_wrote_and_did_not_publish_is_taken_over_and_made_durable(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    (void)add(&f, 0, 8);
    /* Killed between its write and its sync. */
    struct lsm_env_fault fault = {.at = 1, .ops = LSM_ENV_SYNC};
    struct lsm_edit edit = {.log_position = 16};
    uint64_t number = lsm_version_set_new_number(&f.sets[0]);
    struct lsm_file_meta *meta = meta_of(&f, number);
    assert_int_equal(lsm_edit_add_file(&edit, 0, number, meta), LSM_OK);
    lsm_file_meta_unref(meta);
    lsm_env_mem_fail_at(f.env, &fault);
    assert_int_equal(apply(&f.sets[0], &edit), LSM_IO);
    lsm_env_mem_fail_at(f.env, NULL);
    uint64_t published = f.page.version;
    catch_up(&f, 2);
    assert_int_equal(level_of(&f.sets[2], number, NULL), -1);
    uint64_t next = add(&f, 1, 24);
    assert_int_equal(level_of(&f.sets[1], number, NULL), 0);
    assert_true(f.page.version > published);
    struct lsm_env *crashed = lsm_env_mem_clone_crashed(f.env, LSM_CRASH_LOSE, 1);
    struct lsm_version_set set;
    assert_int_equal(lsm_version_set_init(&set, crashed, KIT_DIR, &kit_perm, kit_id, NULL), LSM_OK);
    kit_ok(lsm_version_set_recover(&set, &err), &err);
    assert_int_equal(set.current->files, 3);
    lsm_version_set_release(&set);
    lsm_env_mem_free(crashed);
    /* Its own writer finds it too, and goes on. */
    (void)add(&f, 0, 32);
    assert_int_equal(level_of(&f.sets[0], number, NULL), 0);
    assert_int_equal(level_of(&f.sets[0], next, NULL), 0);
    assert_int_equal(f.sets[0].current->files, 4);
    end(&f);
}

static void over_a_torn_record_a_new_manifest_is_begun_and_others_follow(void **state) {
    (void)state;
    struct fixture f;
    uint8_t *bytes;
    size_t size;
    begin(&f);
    uint64_t first = add(&f, 0, 8), manifest = f.page.version >> 36;
    kit_read_file(f.env, LSM_FILE_MANIFEST, manifest, &bytes, &size);
    uint8_t *torn = malloc(size + 20);
    assert_non_null(torn);
    memcpy(torn, bytes, size);
    memset(torn + size, 7, 20);
    kit_write_file(f.env, LSM_FILE_MANIFEST, manifest, torn, size + 20);
    free(torn);
    lsm_free(bytes);
    catch_up(&f, 2);
    struct lsm_file_meta *before = NULL, *after = NULL;
    (void)level_of(&f.sets[2], first, &before);
    uint64_t second = add(&f, 1, 16);
    assert_true(f.page.version >> 36 > manifest);
    assert_false(on_disk(&f, LSM_FILE_MANIFEST, manifest));
    catch_up(&f, 2);
    catch_up(&f, 0);
    for (size_t s = 0; s < SETS; s++) {
        assert_int_equal(level_of(&f.sets[s], first, NULL), 0);
        assert_int_equal(level_of(&f.sets[s], second, NULL), 0);
    }
    (void)level_of(&f.sets[2], first, &after);
    assert_ptr_equal(before, after);
    end(&f);
}

static void a_laggard_loads_whatever_manifest_counts_by_then(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    uint64_t gone = add(&f, 0, 8);
    catch_up(&f, 1);
    catch_up(&f, 2);
    uint64_t old = f.page.version;
    f.sets[0].manifest_bytes_max = 1; /* every edit begins a new one */
    kit_ok(remove_file(&f, 0, gone), &err);
    uint64_t stale = f.page.version;
    uint64_t kept = add(&f, 0, 16);
    assert_true(old >> 36 < stale >> 36 && stale >> 36 < f.page.version >> 36);
    assert_int_equal(lsm_version_set_catch_up(&f.sets[1], stale, &err), LSM_NOTFOUND);
    catch_up(&f, 1);
    assert_int_equal(level_of(&f.sets[1], gone, NULL), -1);
    assert_int_equal(level_of(&f.sets[1], kept, NULL), 0);
    assert_int_equal(atomic_load(&f.sets[1].obsolete_count), 1); /* it saw the file go, though not when */
    f.page.needed = old;
    (void)lsm_version_set_sweep(&f.sets[1], SIZE_MAX);
    assert_true(on_disk(&f, LSM_FILE_TABLE, gone));
    f.page.needed = 0;
    (void)lsm_version_set_sweep(&f.sets[1], SIZE_MAX);
    assert_false(on_disk(&f, LSM_FILE_TABLE, gone));
    /* And appends to it. */
    (void)add(&f, 2, 24);
    assert_int_equal(f.sets[2].current->files, 2);
    end(&f);
}

static void a_new_manifest_that_a_dead_process_did_not_publish_is_taken_over(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    f.sets[0].manifest_bytes_max = 1;
    f.page.mute = true;
    uint64_t number = add(&f, 0, 8);
    f.page.mute = false;
    uint64_t published = f.page.version;
    catch_up(&f, 1);
    assert_int_equal(level_of(&f.sets[1], number, NULL), -1);
    (void)add(&f, 1, 16);
    assert_int_equal(level_of(&f.sets[1], number, NULL), 0);
    assert_true(f.page.version >> 36 > published >> 36);
    catch_up(&f, 2);
    assert_int_equal(f.sets[2].current->files, 2);
    end(&f);
}

static void a_flush_is_overtaken_by_a_flush_and_a_merge_by_anything_else(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    uint64_t a = add(&f, 0, 8), b = add(&f, 0, 16);
    catch_up(&f, 1);
    struct lsm_version *base = lsm_version_set_ref_current(&f.sets[1]);
    struct lsm_edit edit = {.base = base};
    /* Flushes do not hinder a merge. */
    uint64_t c = add(&f, 0, 24);
    assert_int_equal(lsm_edit_remove_file(&edit, a), LSM_OK);
    kit_ok(apply(&f.sets[1], &edit), &err);
    /* A flush made from the same base comes too late. */
    edit = (struct lsm_edit){.base = base, .log_position = 24};
    assert_int_equal(apply(&f.sets[1], &edit), LSM_OVERTAKEN);
    /* A merge made from it as well, even if its sources are there. */
    edit = (struct lsm_edit){.base = base};
    assert_int_equal(lsm_edit_remove_file(&edit, b), LSM_OK);
    assert_int_equal(apply(&f.sets[1], &edit), LSM_OVERTAKEN);
    assert_int_equal(level_of(&f.sets[1], b, NULL), 0);
    lsm_version_set_unref(&f.sets[1], base);
    /* A merge does not hinder a flush. */
    catch_up(&f, 2);
    base = lsm_version_set_ref_current(&f.sets[2]);
    kit_ok(remove_file(&f, 0, c), &err);
    edit = (struct lsm_edit){.base = base, .log_position = 32};
    kit_ok(apply(&f.sets[2], &edit), &err);
    lsm_version_set_unref(&f.sets[2], base);
    end(&f);
}

/* ---- at random ----------------------------------------------------------------------------------------------------------- */

enum { STEPS = 400, MOST = 200 };

/* Every set knows what was published, or something earlier; a failure here and there changes nothing but who wrote it. */
static void at_random_all_sets_agree(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    for (unsigned round = 0; round < 10; round++) {
        struct fixture f;
        uint64_t alive[MOST];
        size_t count = 0;
        uint64_t position = 0;
        begin(&f);
        for (unsigned step = 0; step < STEPS; step++) {
            size_t who = (size_t)kit_below(&random, SETS);
            f.sets[who].manifest_bytes_max = kit_below(&random, 10) == 0 ? 1 : 1 << 20;
            struct lsm_env_fault fault = {.at = 1 + kit_below(&random, 12), .short_write = kit_below(&random, 2) != 0};
            bool faulty = kit_below(&random, 6) == 0;
            struct lsm_edit edit = {0};
            size_t victim = SIZE_MAX;
            uint64_t made = 0;
            if (count == MOST || (count != 0 && kit_below(&random, 2) == 0)) {
                victim = (size_t)kit_below(&random, count);
                assert_int_equal(lsm_edit_remove_file(&edit, alive[victim]), LSM_OK);
            } else {
                made = lsm_version_set_new_number(&f.sets[who]);
                struct lsm_file_meta *meta = meta_of(&f, made);
                assert_int_equal(lsm_edit_add_file(&edit, 0, made, meta), LSM_OK);
                lsm_file_meta_unref(meta);
                edit.log_position = position + 8;
            }
            if (faulty) lsm_env_mem_fail_at(f.env, &fault);
            int status = apply(&f.sets[who], &edit);
            lsm_env_mem_fail_at(f.env, NULL);
            if (status != LSM_OK) {
                /* Whether it happened is known when the next one has looked. */
                assert_true(faulty);
                struct lsm_edit nothing = {0};
                kit_ok(apply(&f.sets[(who + 1) % SETS], &nothing), &err);
                struct lsm_version_set *other = &f.sets[(who + 1) % SETS];
                if (victim != SIZE_MAX && level_of(other, alive[victim], NULL) >= 0) victim = SIZE_MAX;
                if (made != 0 && level_of(other, made, NULL) < 0) made = 0;
            }
            if (victim != SIZE_MAX) alive[victim] = alive[--count];
            if (made != 0) alive[count++] = made, position += 8;
            if (kit_below(&random, 3) == 0) catch_up(&f, (size_t)kit_below(&random, SETS));
            if (kit_below(&random, 5) == 0) (void)lsm_version_set_sweep(&f.sets[kit_below(&random, SETS)], SIZE_MAX);
        }
        for (size_t s = 0; s < SETS; s++) {
            catch_up(&f, s);
            assert_int_equal(f.sets[s].current->files, count);
            for (size_t i = 0; i < count; i++) assert_int_equal(level_of(&f.sets[s], alive[i], NULL), 0);
            (void)lsm_version_set_sweep(&f.sets[s], SIZE_MAX);
        }
        for (size_t i = 0; i < count; i++) assert_true(on_disk(&f, LSM_FILE_TABLE, alive[i]));
        end(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_append_in_turn_and_follow_each_other),
        cmocka_unit_test(a_file_has_one_meta_wherever_it_moves),
        cmocka_unit_test(a_removed_file_stays_while_any_process_needs_it),
        cmocka_unit_test(what_a_dead_process_wrote_and_did_not_publish_is_taken_over_and_made_durable),
        cmocka_unit_test(over_a_torn_record_a_new_manifest_is_begun_and_others_follow),
        cmocka_unit_test(a_laggard_loads_whatever_manifest_counts_by_then),
        cmocka_unit_test(a_new_manifest_that_a_dead_process_did_not_publish_is_taken_over),
        cmocka_unit_test(a_flush_is_overtaken_by_a_flush_and_a_merge_by_anything_else),
        cmocka_unit_test(at_random_all_sets_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
