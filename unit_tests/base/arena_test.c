/* arena_test.c: offsets, chunks, rewinding, running out of memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "../../lsm_core/base/arena.h"

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void an_untouched_arena_holds_no_memory(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_arena arena;
    lsm_arena_init(&arena);
    assert_int_equal(lsm_arena_bytes(&arena), 0);
    assert_int_equal(lsm_mem_live(), live);
    lsm_arena_release(&arena);
}

struct piece {
    uint8_t *memory;
    uint32_t offset;
    size_t bytes;
    uint8_t mark;
};

static size_t random_bytes(void) {
    uint64_t kind = next_random() % 100;
    if (kind < 80) return (size_t)(next_random() % 300);
    if (kind < 98) return (size_t)(next_random() % 20000);
    return (size_t)(next_random() % 3000000);
}

static void every_piece_is_found_again_by_its_offset_and_overlaps_no_other(void **state) {
    (void)state;
    enum { PIECES = 6000 };
    static struct piece pieces[PIECES];
    struct lsm_arena arena;
    lsm_arena_init(&arena);
    size_t asked = 0;
    for (size_t i = 0; i < PIECES; i++) {
        struct piece *piece = &pieces[i];
        piece->bytes = random_bytes();
        piece->mark = (uint8_t)i;
        piece->memory = lsm_arena_alloc(&arena, i % 3 == 0 ? LSM_ARENA_INDEX : LSM_ARENA_DATA, piece->bytes, &piece->offset);
        assert_non_null(piece->memory);
        assert_int_not_equal(piece->offset, 0);
        assert_int_equal((uintptr_t)piece->memory % LSM_ARENA_UNIT_BYTES, 0);
        memset(piece->memory, piece->mark, piece->bytes);
        asked += piece->bytes;
    }
    for (size_t i = 0; i < PIECES; i++) {
        const struct piece *piece = &pieces[i];
        assert_ptr_equal(lsm_arena_at(&arena, piece->offset), piece->memory);
        size_t reach = piece->bytes < 65536 ? piece->bytes : 65536;
        for (size_t n = 0; n + 8 < reach; n += 8) {
            if (lsm_arena_at(&arena, piece->offset + (uint32_t)(n / 8)) != piece->memory + n) fail_msg("piece %zu, byte %zu", i, n);
        }
        for (size_t n = 0; n < piece->bytes; n++) {
            if (piece->memory[n] != piece->mark) fail_msg("piece %zu was overwritten at %zu", i, n);
        }
    }
    assert_true(lsm_arena_bytes(&arena) >= asked);
    assert_true(lsm_arena_bytes(&arena) < asked + asked / 3);
    lsm_arena_release(&arena);
}

static void a_few_small_pieces_take_one_page(void **state) {
    (void)state;
    struct lsm_arena arena;
    lsm_arena_init(&arena);
    for (int i = 0; i < 20; i++) assert_non_null(lsm_arena_alloc(&arena, i % 2 == 0 ? LSM_ARENA_DATA : LSM_ARENA_INDEX, 150, NULL));
    assert_int_equal(lsm_arena_bytes(&arena), 4096);
    lsm_arena_release(&arena);
}

static void a_big_piece_gets_a_chunk_of_its_size_and_leaves_the_current_one_in_use(void **state) {
    (void)state;
    struct lsm_arena arena;
    lsm_arena_init(&arena);
    uint8_t *before = lsm_arena_alloc(&arena, LSM_ARENA_DATA, 16, NULL);
    size_t bytes = lsm_arena_bytes(&arena);
    uint32_t offset;
    uint8_t *big = lsm_arena_alloc(&arena, LSM_ARENA_DATA, (size_t)40 << 20, &offset);
    assert_non_null(big);
    big[((size_t)40 << 20) - 1] = 1;
    assert_ptr_equal(lsm_arena_at(&arena, offset), big);
    assert_int_equal(lsm_arena_bytes(&arena), bytes + ((size_t)40 << 20));
    assert_ptr_equal(lsm_arena_alloc(&arena, LSM_ARENA_DATA, 16, NULL), before + 16);
    lsm_arena_release(&arena);
}

static void an_absurd_size_is_refused(void **state) {
    (void)state;
    struct lsm_arena arena;
    lsm_arena_init(&arena);
    assert_null(lsm_arena_alloc(&arena, LSM_ARENA_DATA, SIZE_MAX, NULL));
    assert_null(lsm_arena_alloc(&arena, LSM_ARENA_DATA, SIZE_MAX - 6, NULL));
    assert_int_equal(lsm_arena_bytes(&arena), 0);
    lsm_arena_release(&arena);
}

static void a_rewind_frees_what_came_after_the_mark_and_nothing_else(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    struct lsm_arena arena;
    lsm_arena_init(&arena);
    uint32_t kept_offset;
    uint8_t *kept = lsm_arena_alloc(&arena, LSM_ARENA_DATA, 1000, &kept_offset);
    memset(kept, 7, 1000);
    for (int round = 0; round < 50; round++) {
        struct lsm_arena_mark mark = lsm_arena_mark(&arena);
        size_t bytes = lsm_arena_bytes(&arena);
        int64_t live_then = lsm_mem_live();
        uint8_t *first = lsm_arena_alloc(&arena, LSM_ARENA_DATA, 64, NULL);
        assert_non_null(first);
        for (int i = 0; i < round * 6; i++) assert_non_null(lsm_arena_alloc(&arena, (enum lsm_arena_lane)(i % 2), 3000, NULL));
        lsm_arena_rewind(&arena, &mark);
        assert_int_equal(lsm_arena_bytes(&arena), bytes);
        assert_int_equal(lsm_mem_live(), live_then);
        assert_ptr_equal(lsm_arena_alloc(&arena, LSM_ARENA_DATA, 8, NULL), first);
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(kept[i], 7);
    assert_ptr_equal(lsm_arena_at(&arena, kept_offset), kept);
    lsm_arena_release(&arena);
    assert_int_equal(lsm_mem_live(), live);
    assert_int_equal(lsm_arena_bytes(&arena), 0);
}

/* Does this system give memory before it is used? */
static bool can_prefault(void) {
#ifdef MADV_POPULATE_WRITE
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    bool can = madvise(memory, page, MADV_POPULATE_WRITE) == 0;
    assert_int_equal(munmap(memory, page), 0);
    return can;
#else
    return false;
#endif
}

/* The first whole page of what begins here. */
static bool is_there(uint8_t *memory) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), skip = (page - (uintptr_t)memory % page) % page;
    unsigned char resident = 0;
    assert_int_equal(mincore(memory + skip, page, &resident), 0);
    return (resident & 1) != 0;
}

/* Two arenas at once, so that the second does not get memory that the first has used. */
static void large_chunks_are_filled_without_a_fault_for_each_page(void **state) {
    (void)state;
    size_t piece_bytes = 2 * (size_t)sysconf(_SC_PAGESIZE), pieces = ((size_t)32 << 20) / piece_bytes;
    struct lsm_arena arenas[2];
    for (int a = 0; a < 2; a++) {
        size_t missing = 0;
        lsm_arena_init(&arenas[a]);
        for (size_t i = 0; i < pieces; i++) {
            uint8_t *piece = lsm_arena_alloc(&arenas[a], LSM_ARENA_DATA, piece_bytes, NULL);
            assert_non_null(piece);
            missing += !is_there(piece);
            memset(piece, 1, piece_bytes);
        }
        if (can_prefault()) assert_true(missing < pieces / 16);
    }
    for (int a = 0; a < 2; a++) lsm_arena_release(&arenas[a]);
}

static void running_out_of_memory_changes_nothing(void **state) {
    (void)state;
    int64_t live = lsm_mem_live();
    for (int64_t n = 1; n < 200; n++) {
        struct lsm_arena arena;
        lsm_arena_init(&arena);
        lsm_mem_fail_after(n, false);
        int failures = 0;
        for (int i = 0; i < 120; i++) {
            /* Big pieces, so that the table of chunks needs more leaves soon. */
            size_t bytes = lsm_arena_bytes(&arena);
            int64_t held = lsm_mem_live();
            if (lsm_arena_alloc(&arena, LSM_ARENA_DATA, 200000, NULL) != NULL) continue;
            failures++;
            /* A new leaf of the table may stay. */
            assert_true(lsm_arena_bytes(&arena) - bytes <= sizeof(struct lsm_arena_leaf));
            assert_true(lsm_mem_live() - held <= 1);
        }
        lsm_mem_fail_after(0, false);
        lsm_arena_release(&arena);
        assert_int_equal(lsm_mem_live(), live);
        if (failures == 0) return;
        assert_int_equal(failures, 1);
    }
    fail_msg("there was always one more allocation to fail");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_untouched_arena_holds_no_memory),
        cmocka_unit_test(every_piece_is_found_again_by_its_offset_and_overlaps_no_other),
        cmocka_unit_test(a_few_small_pieces_take_one_page),
        cmocka_unit_test(a_big_piece_gets_a_chunk_of_its_size_and_leaves_the_current_one_in_use),
        cmocka_unit_test(an_absurd_size_is_refused),
        cmocka_unit_test(a_rewind_frees_what_came_after_the_mark_and_nothing_else),
        cmocka_unit_test(large_chunks_are_filled_without_a_fault_for_each_page),
        cmocka_unit_test(running_out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
