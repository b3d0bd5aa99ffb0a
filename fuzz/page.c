/* The shared page. The input is a list of changes, 10 bytes each: where (2, in numbers of 8 bytes) and what (8). The first byte of all says when they are
 * made (enum when).
 *
 * Promised: a process that joins, and everything it may ask then, ends with an answer or an error, whatever stands in the page, while another process lives;
 * what it leaves behind can be joined again when all are gone. The same for whole stores: rows that were there are there, or there is an error.
 */
#include "stores.h"

#include "../lsm_core/codec/coding.h"
#include "../lsm_core/share/page.h"

enum { CHANGE_BYTES = 10, PAGE_INPUT_MAX = 1 + 64 * CHANGE_BYTES };
enum when { WHEN_FIRST_IS_IN, WHEN_BOTH_ARE_IN, WHEN_NOBODY_IS_IN, WHEN_STORE_IS_OPEN, WHENS };

static void change_page(struct lsm_share_page *page, struct fuzz_input input) {
    uint8_t *bytes = (uint8_t *)page;
    while (input.left != 0) {
        size_t at = (size_t)(fuzz_take8(&input) | (size_t)fuzz_take8(&input) << 8) % (PAGE_BYTES / 8);
        lsm_store_u64(bytes + at * 8, fuzz_take64(&input));
    }
}

static struct lsm_share_options options_of(struct lsm_env *env) {
    return (struct lsm_share_options){
        .env = env, .dir = "s", .perm = &fuzz_perm, .store_id = fuzz_store_id, .process_name = "fuzz", .timeout_us = 20000};
}

static struct lsm_share *join(struct lsm_env *env) {
    struct lsm_share_options options = options_of(env);
    struct lsm_share *share = NULL;
    struct lsm_error err = {0};
    int status = lsm_share_join(&options, &share, &err);
    FUZZ_CHECK(status == LSM_OK || err.text[0] != 0, "no words");
    if (status == LSM_OK) status = lsm_share_ready(share, &err);
    if (status == LSM_OK) return share;
    lsm_share_free(share);
    return NULL;
}

/* Everything that a store asks of the page. */
static void ask(struct lsm_share *share) {
    struct lsm_share_pin pin = {0}, copy = {0};
    struct lsm_share_build build = {0};
    struct lsm_share_process *processes = NULL;
    size_t count = 0;
    uint64_t version = lsm_share_version(share) >> 1 | 1; /* a store pins what it has loaded: not 0, and not what a page says alone */
    if (lsm_share_pin(share, lsm_share_version(share) | 1, &pin)) lsm_share_unpin(share, &pin);
    if (lsm_share_pin(share, version, &pin)) {
        lsm_share_pin_copy(share, &pin, &copy);
        lsm_share_unpin(share, &copy);
        lsm_share_unpin(share, &pin);
    }
    (void)lsm_share_may_remove(share, 0, version + 1);
    (void)lsm_share_may_remove(share, version, version + 1);
    lsm_share_build_begin(share, &build);
    (void)lsm_share_next_file(share);
    (void)lsm_share_build_bound(share);
    lsm_share_build_end(share, &build);
    for (int lock = LSM_SHARE_WRITER; lock < LSM_SHARE_LOCKS; lock++) {
        if (lsm_share_lock(share, (enum lsm_share_lock)lock, 1000, NULL) != LSM_OK) continue;
        if (lock == LSM_SHARE_WRITER) {
            (void)lsm_share_log_end(share);
            lsm_share_append_begin(share);
            lsm_share_append_end(share, lsm_share_published(share));
        }
        lsm_share_beat(share, (enum lsm_share_lock)lock);
        lsm_share_unlock(share, (enum lsm_share_lock)lock);
    }
    (void)lsm_share_synced(share);
    (void)lsm_share_undecided(share);
    (void)lsm_share_failed(share);
    if (lsm_share_list(share, &processes, &count, NULL) == LSM_OK) FUZZ_CHECK(count <= LSM_SHARE_SLOTS, "%zu processes", count);
    for (size_t i = 0; i < count; i++) FUZZ_CHECK(memchr(processes[i].name, 0, sizeof processes[i].name) != NULL, "a name without end");
    lsm_free(processes);
}

static void run_share(enum when when, struct fuzz_input input) {
    struct lsm_env *disk = fuzz_disk(), *env[2] = {lsm_env_mem_process(disk), lsm_env_mem_process(disk)};
    struct lsm_share *first = join(env[0]), *second = NULL;
    FUZZ_CHECK(first != NULL, "the first one does not get in");
    if (when == WHEN_NOBODY_IS_IN) {
        change_page(first->page, input);
        lsm_share_free(first);
        first = join(env[0]);
        FUZZ_CHECK(first != NULL && lsm_share_is_first(first), "the first one believes a page that nobody keeps");
    }
    if (when == WHEN_FIRST_IS_IN) change_page(first->page, input);
    second = join(env[1]);
    if (when == WHEN_NOBODY_IS_IN) FUZZ_CHECK(second != NULL, "a page made anew is refused");
    if (when == WHEN_BOTH_ARE_IN) change_page(first->page, input);
    if (second != NULL) ask(second);
    ask(first);
    lsm_share_free(second);
    lsm_share_free(first);
    first = join(env[1]);
    FUZZ_CHECK(first != NULL && lsm_share_is_first(first), "nobody gets in when all are gone");
    lsm_share_free(first);
    lsm_env_mem_free(env[0]);
    lsm_env_mem_free(env[1]);
    lsm_env_mem_free(disk);
}

/* A store is open in one process when its page is changed; then another one opens it. */
static void run_store(struct fuzz_input input) {
    struct lsm_env *disk = fuzz_disk(), *env[2] = {lsm_env_mem_process(disk), lsm_env_mem_process(disk)};
    struct lsm_options options = stores_options(env[0]);
    struct lsm_store *first = NULL, *second = NULL;
    struct lsm_error err = {0};
    stores_make(disk, true);
    options.exclusive = false;
    FUZZ_CHECK(lsm_store_open(&options, &first, &err) == LSM_OK, "%s", err.text);
    void *page = NULL;
    struct lsm_file *shm = NULL;
    int status = lsm_env_open(disk, "s/SHM", LSM_OPEN_READ | LSM_OPEN_WRITE, NULL, &shm, &err);
    if (status == LSM_OK) status = lsm_file_map(shm, PAGE_BYTES, &page, &err);
    FUZZ_CHECK(status == LSM_OK, "%s", err.text);
    change_page(page, input);
    options.env = env[1];
    status = lsm_store_open(&options, &second, &err);
    FUZZ_CHECK(status == LSM_OK || err.text[0] != 0, "no words");
    if (status == LSM_OK) {
        struct lsm_view *view = NULL;
        struct lsm_value value = {0};
        if (lsm_view_open(second, NULL, &view, &err) == LSM_OK) {
            status = lsm_view_get(view, 1, lsm_slice_of("key030", 6), &value, &err);
            if (status == LSM_OK) FUZZ_CHECK(value.bytes.size == 12 && memcmp(value.bytes.data, "value of 030", 12) == 0, "a wrong row");
            lsm_value_release(&value);
            lsm_view_close(view);
        }
        (void)lsm_store_close(second, NULL);
    }
    (void)lsm_store_close(first, NULL);
    lsm_file_close(shm);
    lsm_env_mem_free(env[0]);
    lsm_env_mem_free(env[1]);
    lsm_env_mem_free(disk);
}

static void run(const uint8_t *bytes, size_t size) {
    struct fuzz_input input = {.p = bytes, .left = size};
    enum when when = (enum when)(fuzz_take8(&input) % WHENS);
    if (when == WHEN_STORE_IS_OPEN)
        run_store(input);
    else
        run_share(when, input);
}

/* Where the numbers are that mean something: most of the page is slots. */
static size_t mend(uint8_t *bytes, size_t size, size_t room, uint64_t choice) {
    static const uint16_t places[] = {0, 1, 2, 3, 4, 8, 16, 24, 25, 32, 40, 48, 49, 56, 60, 61, 64, 66, 68, 69, 70};
    (void)room;
    for (size_t at = 1; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
        uint64_t pick = fuzz_random(&choice);
        uint16_t place = (uint16_t)(bytes[at] | bytes[at + 1] << 8);
        if (pick % 4 == 0) place = places[(pick >> 8) % (sizeof places / sizeof *places)];
        if (pick % 4 == 1) place = (uint16_t)(256 + (pick >> 8) % 4 * 40 + (pick >> 16) % 40); /* the first slots */
        bytes[at] = (uint8_t)place;
        bytes[at + 1] = (uint8_t)(place >> 8);
    }
    return size;
}

static void seeds(fuzz_emit_fn emit, void *arg) {
    static const struct {
        uint16_t place;
        uint64_t number;
    } changes[] = {
        {8, UINT64_MAX},   {16, UINT64_MAX}, {16, 1ull << 36 | 64}, {24, UINT64_MAX}, {25, 121}, {25, 500}, {32, UINT64_MAX}, {40, 0},
        {48, 65},          {49, 1},          {64, UINT64_MAX},      {66, 400},        {256, 1},  {259, 1},  {260, 1},         {262, UINT64_MAX},
        {264, UINT64_MAX}, {272, 5},         {273, 1ull << 63},     {288, 1},         {0, 0},    {1, 2}};
    for (uint8_t when = 0; when < WHENS; when++) {
        uint8_t seed[PAGE_INPUT_MAX] = {when};
        size_t size = 1;
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
            uint8_t one[1 + CHANGE_BYTES] = {when};
            lsm_store_u16(one + 1, changes[i].place);
            lsm_store_u64(one + 3, changes[i].number);
            emit(arg, one, sizeof one);
            if (changes[i].place < 2) continue; /* magic and layout: all is over then */
            memcpy(seed + size, one + 1, CHANGE_BYTES);
            size += CHANGE_BYTES;
        }
        emit(arg, seed, size);
    }
}

const struct fuzz_target fuzz_target = {.name = "page", .size_max = PAGE_INPUT_MAX, .run = run, .mend = mend, .seeds = seeds};
