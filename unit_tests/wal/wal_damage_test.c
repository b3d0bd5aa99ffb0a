/* The log when its bytes are not what was written: cut, flipped, stale, foreign, newer, hostile. */
#include "wal_kit.h"

#include "../../lsm_core/codec/hash.h"

static struct kit_model model;
static struct lsm_error err;

/* A trimmed log of small records, synced after those in the set; returns its bytes. */
static uint8_t *small_log(struct lsm_env *env, size_t records, unsigned synced_set, size_t *size) {
    uint64_t random = 7;
    uint8_t *bytes = NULL;
    struct lsm_wal_writer *writer = NULL;
    kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 800, 33, false, &writer, &err), &err);
    for (size_t i = 0; i < records; i++) {
        kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, (size_t)kit_below(&random, 60), &err), &err);
        if ((synced_set >> i & 1) != 0) kit_ok(lsm_wal_writer_sync(writer, &err), &err);
    }
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    kit_read_file(env, LSM_FILE_WAL, 1, &bytes, size);
    return bytes;
}

/* The record whose bytes hold the place in the file. */
static size_t record_at(size_t place) {
    size_t i = 0;
    while (model.records[i].end - 800 + LSM_WAL_HEADER_BYTES <= place) i++;
    return i;
}

/* Is position durable by what records other than `not` and before `limit` tell? */
static bool witnessed(uint64_t position, size_t not, size_t limit) {
    for (size_t i = 0; i < limit && i < model.count; i++) {
        if (i != not &&model.records[i].synced > position) return true;
    }
    return false;
}

static void a_log_cut_at_any_byte_is_a_prefix_or_damage_as_the_synced_positions_say(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    size_t size = 0, read = 0, places = 0;
    uint8_t *bytes = small_log(env, 12, 1u << 2 | 1u << 6, &size);
    uint64_t synced = model.records[6].end;
    for (size_t cut = 0; cut < size; cut++) {
        kit_write_file(env, LSM_FILE_WAL, 1, bytes, cut);
        int status = kit_read(env, 1, 0, &model, 0, &read), known = kit_read(env, 1, synced, &model, 0, &read);
        places++;
        if (cut < LSM_WAL_HEADER_BYTES) {
            assert_int_equal(status, LSM_NOTFOUND);
            assert_int_equal(read, 0);
            continue;
        }
        size_t whole = record_at(cut);
        assert_int_equal(read, whole);
        assert_int_equal(status, witnessed(model.records[whole].position, whole, whole) ? LSM_CORRUPT : LSM_NOTFOUND);
        assert_int_equal(known, model.records[whole].position < synced ? LSM_CORRUPT : LSM_NOTFOUND);
    }
    print_message("%zu lengths\n", places);
    lsm_free(bytes);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void a_flipped_byte_never_gives_a_wrong_record_and_below_the_synced_position_always_an_error(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    size_t size = 0, read = 0, places = 0;
    uint8_t *bytes = small_log(env, 12, 1u << 2 | 1u << 6, &size);
    for (size_t tail = 0; tail <= 1; tail++) { /* exact, and with a preallocated rest */
        size_t file_bytes = size + tail * 70000;
        uint8_t *file = calloc(1, file_bytes);
        assert_non_null(file);
        memcpy(file, bytes, size);
        for (size_t place = 0; place < size; place++) {
            static const uint8_t flips[] = {0x01, 0x80, 0xff};
            for (size_t f = 0; f < sizeof flips; f++) {
                file[place] ^= flips[f];
                kit_write_file(env, LSM_FILE_WAL, 1, file, file_bytes);
                int status = kit_read(env, 1, 0, &model, 0, &read);
                file[place] ^= flips[f];
                places++;
                if (place < LSM_WAL_HEADER_BYTES) {
                    assert_int_equal(status, LSM_CORRUPT);
                    continue;
                }
                size_t damaged = record_at(place);
                assert_int_equal(read, damaged);
                assert_int_equal(status, witnessed(model.records[damaged].position, damaged, model.count) ? LSM_CORRUPT : LSM_NOTFOUND);
            }
        }
        free(file);
    }
    print_message("%zu flips\n", places);
    lsm_free(bytes);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

/* What is known from elsewhere counts as much as what the file says. */
static void damage_below_the_position_known_to_the_caller_is_reported(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    size_t size = 0, read = 0;
    uint8_t *bytes = small_log(env, 4, 0, &size);
    bytes[size - 1] ^= 1; /* padding or payload of the last record */
    kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
    assert_int_equal(kit_read(env, 1, model.records[3].position, &model, 0, &read), LSM_NOTFOUND);
    assert_int_equal(read, 3);
    assert_int_equal(kit_read(env, 1, model.records[3].position + 1, &model, 0, &read), LSM_CORRUPT);
    assert_int_equal(read, 3);
    lsm_free(bytes);
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

static void what_an_earlier_life_left_behind_is_no_continuation(void **state) {
    (void)state;
    size_t size = 0, read = 0, other_size = 0;
    static struct kit_model earlier;
    /* The same generation of the same store, the same lengths, other bytes: only the chain tells them apart. */
    struct lsm_env *env = kit_env();
    uint8_t *bytes = small_log(env, 6, 0, &size), *other = NULL;
    earlier = model;
    model.count = 0;
    assert_int_equal(lsm_env_mem_write_file(env, KIT_DIR "/00000001.wal", bytes, 0), LSM_OK);
    struct lsm_error ignored = {0};
    kit_ok(lsm_env_unlink(env, KIT_DIR "/00000001.wal", &ignored), &ignored);
    struct lsm_wal_writer *writer = NULL;
    kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 800, 33, false, &writer, &err), &err);
    uint64_t random = 99;
    for (size_t i = 0; i < 3; i++) kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, earlier.records[i].payload_bytes, &err), &err);
    kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
    kit_read_file(env, LSM_FILE_WAL, 1, &other, &other_size);
    for (size_t records = 0; records <= 3; records++) {
        size_t place = LSM_WAL_HEADER_BYTES + (records == 0 ? 0 : (size_t)(model.records[records - 1].end - 800));
        uint8_t *mixed = malloc(size);
        assert_non_null(mixed);
        memcpy(mixed, bytes, size);
        memcpy(mixed, other, place);
        kit_write_file(env, LSM_FILE_WAL, 1, mixed, size);
        assert_int_equal(kit_read(env, 1, 0, records == 0 ? &earlier : &model, 0, &read), LSM_NOTFOUND);
        assert_int_equal(read, records == 0 ? 6 : records);
        free(mixed);
    }
    lsm_free(bytes);
    lsm_free(other);
    kit_model_clear(&model);
    kit_model_clear(&earlier);
    lsm_env_mem_free(env);
}

/* Records of this place in another generation, another store or a manifest carry another seed. */
static void records_of_other_files_never_verify(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    size_t read = 0;
    struct lsm_chain_header header = {.number = 1, .start = 0, .prev_check = 3};
    memcpy(header.store_id, kit_id, sizeof kit_id);
    const uint64_t seeds[] = {lsm_chain_seed(&lsm_chain_log, kit_id, 1, 0), lsm_chain_seed(&lsm_chain_log, kit_id, 2, 0),
                              lsm_chain_seed(&lsm_chain_log, kit_other_id, 1, 0), lsm_chain_seed(&lsm_chain_manifest, kit_id, 1, 0),
                              lsm_chain_seed(&lsm_chain_log, kit_id, 1, LSM_WAL_ALIGN)}; /* the last: of another place */
    for (size_t i = 0; i < 5; i++) {
        struct lsm_buf file = {0};
        uint8_t head[LSM_CHAIN_HEADER_BYTES];
        struct lsm_chain_record record = {.prev = 3, .kind = LSM_WAL_TXN};
        lsm_chain_header_encode(&lsm_chain_log, &header, head);
        assert_int_equal(lsm_buf_append(&file, head, sizeof head), LSM_OK);
        assert_int_equal(lsm_chain_record_put(&file, seeds[i], &record, lsm_slice_of("abc", 3), lsm_slice_of(NULL, 0)), LSM_OK);
        kit_write_file(env, LSM_FILE_WAL, 1, file.data, file.size);
        if (i == 0) {
            struct lsm_wal_record told = {.kind = LSM_WAL_TXN, .end = record.end, .check = record.check};
            kit_model_add(&model, &told, "abc", 3);
        }
        assert_int_equal(kit_read(env, 1, 0, &model, 0, &read), LSM_NOTFOUND);
        assert_int_equal(read, i == 0);
        lsm_buf_free(&file);
    }
    kit_model_clear(&model);
    lsm_env_mem_free(env);
}

/* A log file with one record, everything as given, all checks right. */
static int open_crafted(struct lsm_env *env, uint32_t version, uint32_t flags, const struct lsm_chain_header *header,
                        struct lsm_chain_record *record) {
    struct lsm_buf file = {0};
    uint8_t head[LSM_CHAIN_HEADER_BYTES];
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record read;
    lsm_chain_header_encode(&lsm_chain_log, header, head);
    lsm_store_u32(head + 8, version);
    lsm_store_u32(head + 12, flags);
    lsm_store_u64(head + 56, lsm_hash(head, 56, 0));
    assert_int_equal(lsm_buf_append(&file, head, sizeof head), LSM_OK);
    record->position = header->start;
    assert_int_equal(
        lsm_chain_record_put(&file, lsm_chain_seed(&lsm_chain_log, kit_id, 1, header->start), record, lsm_slice_of("abc", 3), lsm_slice_of(NULL, 0)),
        LSM_OK);
    kit_write_file(env, LSM_FILE_WAL, 1, file.data, file.size);
    lsm_buf_free(&file);
    int status = lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err);
    if (status != LSM_OK) {
        assert_null(reader);
        return status;
    }
    status = lsm_wal_reader_next(reader, 0, &read, &err);
    if (status != LSM_OK) assert_int_equal(lsm_wal_reader_end(reader), header->start);
    lsm_wal_reader_close(reader);
    return status;
}

static void newer_foreign_and_impossible_logs_are_refused(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_chain_header header = {.number = 1, .start = 8};
    struct lsm_chain_record record = {.kind = LSM_WAL_TXN};
    enum { THIS = LSM_CHAIN_VERSION };
    memcpy(header.store_id, kit_id, sizeof kit_id);
    assert_int_equal(open_crafted(env, THIS, 0, &header, &record), LSM_OK);
    assert_int_equal(open_crafted(env, THIS + 1, 0, &header, &record), LSM_UNSUPPORTED);
    assert_non_null(strstr(err.text, "format version 3, this release knows version 2; use a newer release"));
    for (uint32_t older = 0; older < THIS; older++) {
        assert_int_equal(open_crafted(env, older, 0, &header, &record), LSM_UNSUPPORTED);
        assert_non_null(strstr(err.text, "this release knows version 2; use what it was written with, which was no release"));
    }
    assert_int_equal(open_crafted(env, THIS, 1, &header, &record), LSM_UNSUPPORTED);
    header.start = 7;
    assert_int_equal(open_crafted(env, THIS, 0, &header, &record), LSM_CORRUPT);
    header.start = UINT64_MAX - 7;
    assert_int_equal(open_crafted(env, THIS, 0, &header, &record), LSM_CORRUPT);
    header.start = 8;
    header.number = 2;
    assert_int_equal(open_crafted(env, THIS, 0, &header, &record), LSM_CORRUPT);
    header.number = 1;
    memcpy(header.store_id, kit_other_id, sizeof kit_id);
    assert_int_equal(open_crafted(env, THIS, 0, &header, &record), LSM_MISMATCH);
    memcpy(header.store_id, kit_id, sizeof kit_id);

    for (unsigned kind = 0; kind < 256; kind++) {
        record = (struct lsm_chain_record){.kind = (uint8_t)kind};
        assert_int_equal(open_crafted(env, THIS, 0, &header, &record), kind >= 1 && kind <= 6 ? LSM_OK : LSM_UNSUPPORTED);
    }
    /* Durable up to -4, as a distance of 12 from 8. */
    record = (struct lsm_chain_record){.kind = LSM_WAL_TXN, .synced = (uint64_t)-LSM_WAL_ALIGN};
    assert_int_equal(open_crafted(env, THIS, 0, &header, &record), LSM_CORRUPT);
    assert_non_null(strstr(err.text, "claims that something below 0 was synced"));
    lsm_env_mem_free(env);
}

static void a_header_that_was_never_finished_is_no_log_yet(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    uint64_t random = kit_seed();
    struct lsm_wal_reader *reader = NULL;
    uint8_t garbage[8192] = {0};
    assert_int_equal(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), LSM_NOTFOUND);
    for (int i = 0; i < 50; i++) {
        kit_write_file(env, LSM_FILE_WAL, 1, garbage, (size_t)kit_below(&random, sizeof garbage));
        kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
        assert_null(reader);
        for (size_t b = 0; b < sizeof garbage; b++) garbage[b] = (uint8_t)kit_random(&random);
    }
    lsm_env_mem_free(env);
}

/* The header's sector is lost, and the first records with it: a later record still says that this was durable once. */
static void a_lost_header_of_a_synced_log_is_damage(void **state) {
    (void)state;
    struct lsm_wal_reader *reader = NULL;
    for (unsigned synced_set = 0; synced_set <= 4; synced_set += 4) {
        struct lsm_env *env = kit_env();
        size_t size = 0;
        uint8_t *bytes = small_log(env, 20, synced_set, &size);
        assert_true(size > 1024);
        memset(bytes, 0, 512);
        kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
        assert_int_equal(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), synced_set == 0 ? LSM_OK : LSM_CORRUPT);
        assert_null(reader);
        lsm_free(bytes);
        kit_model_clear(&model);
        lsm_env_mem_free(env);
    }
}

/* Nothing is durable, which in a log from 0 on is not the same as "all below 0 is". */
static void a_lost_header_of_the_first_log_is_no_damage_before_its_first_sync(void **state) {
    (void)state;
    for (int synced = 0; synced < 2; synced++) {
        struct lsm_env *env = kit_env();
        struct lsm_wal_writer *writer = NULL;
        struct lsm_wal_reader *reader = NULL;
        uint64_t random = 9;
        uint8_t *bytes = NULL;
        size_t size = 0;
        kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 0, 0, false, &writer, &err), &err);
        for (int i = 0; i < 20; i++) {
            kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 40, &err), &err);
            if (i == 2 && synced) kit_ok(lsm_wal_writer_sync(writer, &err), &err);
        }
        kit_ok(lsm_wal_writer_close(writer, true, &err), &err);
        kit_read_file(env, LSM_FILE_WAL, 1, &bytes, &size);
        memset(bytes, 0, 512);
        kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
        assert_int_equal(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), synced ? LSM_CORRUPT : LSM_OK);
        assert_null(reader);
        lsm_free(bytes);
        kit_model_clear(&model);
        lsm_env_mem_free(env);
    }
}

static void what_was_durable_is_told_exactly_up_to_2_gib_back_and_farther_not_at_all(void **state) {
    (void)state;
    const uint64_t gib = UINT64_C(1) << 30, position = 5 * gib;
    const struct {
        uint64_t synced, told;
    } cases[] = {{position, position},
                 {position - 4, position - 4},
                 {position - gib, position - gib},
                 {position - 2 * gib + 8, position - 2 * gib + 8},
                 {position - 2 * gib + 4, 0},
                 {position - 2 * gib, 0},
                 {position - 4 * gib, 0},
                 {4, 0},
                 {0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[LSM_CHAIN_RECORD_BYTES];
        struct lsm_chain_record put = {.position = position, .synced = cases[i].synced, .time_us = LSM_CHAIN_TIME_UNIT_US, .kind = LSM_WAL_TXN},
                                got = {.position = position};
        lsm_chain_record_encode(&put, 77, bytes);
        assert_true(lsm_chain_record_decode(bytes, 77, &got));
        assert_int_equal(got.synced, cases[i].told);
        assert_int_equal(got.time_us, put.time_us);
        assert_false(lsm_chain_record_decode(bytes, 77 + (UINT64_C(1) << 40), &got));
    }
}

/* The search reads in chunks: a witness is found wherever it lies in them, and whatever lies between. */
static void a_witness_is_found_across_the_borders_of_the_search(void **state) {
    (void)state;
    uint64_t random = 8;
    for (size_t shift = 0; shift <= 128; shift += LSM_WAL_ALIGN) {
        struct lsm_env *env = kit_env();
        struct lsm_wal_writer *writer = NULL;
        uint8_t *bytes = NULL;
        size_t size = 0, read = 0;
        kit_ok(lsm_wal_writer_create(env, KIT_DIR, &kit_perm, kit_id, 1, 0, 0, false, &writer, &err), &err);
        kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 16, &err), &err);
        kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 2 * 65536 - LSM_WAL_RECORD_HEADER_BYTES - 64 - 64 + shift, &err), &err);
        kit_ok(lsm_wal_writer_sync(writer, &err), &err);
        kit_ok(kit_append(writer, &model, &random, LSM_WAL_TXN, 5, &err), &err);
        kit_ok(lsm_wal_writer_close(writer, shift % 16 == 0, &err), &err);
        kit_read_file(env, LSM_FILE_WAL, 1, &bytes, &size);
        bytes[LSM_WAL_HEADER_BYTES] ^= 1;
        bytes[LSM_WAL_HEADER_BYTES + (size_t)model.records[1].position] ^= 1;
        kit_write_file(env, LSM_FILE_WAL, 1, bytes, size);
        assert_int_equal(kit_read(env, 1, 0, &model, 0, &read), LSM_CORRUPT);
        assert_int_equal(read, 0);
        lsm_free(bytes);
        kit_model_clear(&model);
        lsm_env_mem_free(env);
    }
}

/* Many places claim to be a long record that was synced: reading ends soon, with an error, and in bounded memory. */
static void a_file_full_of_claims_does_not_keep_the_reader_busy(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_chain_header header = {.number = 1};
    size_t bytes = 1024 * 1024;
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    uint8_t *file = calloc(1, bytes);
    assert_non_null(file);
    memcpy(header.store_id, kit_id, sizeof kit_id);
    lsm_chain_header_encode(&lsm_chain_log, &header, file);
    uint64_t seed = lsm_chain_seed(&lsm_chain_log, kit_id, 1, 0);
    for (size_t place = LSM_CHAIN_HEADER_BYTES; place + 2 * LSM_CHAIN_RECORD_BYTES <= bytes; place += LSM_CHAIN_RECORD_BYTES) {
        struct lsm_chain_record claim = {
            .position = place - 64, .synced = place - 64, .kind = LSM_WAL_TXN, .length = (uint32_t)(bytes - place - LSM_CHAIN_RECORD_BYTES)};
        lsm_chain_record_encode(&claim, lsm_chain_place(seed, claim.position), file + place);
    }
    lsm_store_u32(file + 64 + 12, 0x7ffffff0); /* the first one even reaches beyond the file */
    kit_write_file(env, LSM_FILE_WAL, 1, file, bytes);
    kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    clock_t begin = clock();
    assert_int_equal(lsm_wal_reader_next(reader, 0, &record, &err), LSM_CORRUPT);
    print_message("1 MiB of claims: %.1f ms\n", 1000.0 * (double)(clock() - begin) / CLOCKS_PER_SEC);
    lsm_wal_reader_close(reader);
    free(file);
    lsm_env_mem_free(env);
}

/* What a torn tail leaves behind the end may look like the header of a record. Only one that verifies proves that the end was not the end. */
static void a_claim_that_does_not_verify_is_no_witness(void **state) {
    (void)state;
    struct lsm_env *env = kit_env();
    struct lsm_chain_header header = {.number = 1};
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    uint8_t file[1024] = {0};
    memcpy(header.store_id, kit_id, sizeof kit_id);
    lsm_chain_header_encode(&lsm_chain_log, &header, file);
    struct lsm_chain_record claim = {.position = 256, .synced = 200, .kind = LSM_WAL_TXN, .length = 40};
    lsm_chain_record_encode(&claim, lsm_chain_place(lsm_chain_seed(&lsm_chain_log, kit_id, 1, 0), 256), file + LSM_CHAIN_HEADER_BYTES + 256);
    kit_write_file(env, LSM_FILE_WAL, 1, file, sizeof file);
    kit_ok(lsm_wal_reader_open(env, KIT_DIR, kit_id, 1, &reader, &err), &err);
    assert_int_equal(lsm_wal_reader_next(reader, 0, &record, &err), LSM_NOTFOUND);
    lsm_wal_reader_close(reader);
    lsm_env_mem_free(env);
}

/* Random damage to random logs: a prefix, or an error. */
static void random_damage_gives_a_prefix_or_an_error(void **state) {
    (void)state;
    uint64_t random = kit_seed();
    size_t corrupt = 0, ends = 0;
    for (int round = 0; round < 30; round++) {
        struct lsm_env *env = kit_env();
        size_t size = 0, read = 0;
        uint8_t *bytes = small_log(env, 25, (unsigned)kit_random(&random) & 0x1ffffff, &size);
        for (int i = 0; i < 60; i++) {
            uint8_t *file = malloc(size);
            assert_non_null(file);
            memcpy(file, bytes, size);
            size_t from = (size_t)kit_below(&random, size), length = (size_t)kit_below(&random, size - from) + 1;
            for (size_t p = from; p < from + length; p++) file[p] = (uint8_t)(i % 3 == 0 ? 0 : kit_random(&random));
            kit_write_file(env, LSM_FILE_WAL, 1, file, size);
            int status = kit_read(env, 1, 0, &model, 0, &read); /* compares every record */
            assert_true(status == LSM_NOTFOUND || status == LSM_CORRUPT || (status == LSM_UNSUPPORTED && from < LSM_WAL_HEADER_BYTES));
            if (from >= LSM_WAL_HEADER_BYTES) {
                size_t first = record_at(from),
                       behind = from + length < size ? record_at(from + length + LSM_WAL_RECORD_HEADER_BYTES < size ? from + length : size - 1) + 1
                                                     : model.count;
                assert_true(read >= first);
                uint64_t place = read < model.count ? model.records[read].position : UINT64_MAX;
                for (size_t r = behind; r < model.count; r++) {
                    if (model.records[r].synced > place) assert_int_equal(status, LSM_CORRUPT);
                }
            }
            if (status == LSM_CORRUPT) corrupt++;
            if (status == LSM_NOTFOUND) ends++;
            free(file);
        }
        lsm_free(bytes);
        kit_model_clear(&model);
        lsm_env_mem_free(env);
    }
    print_message("%zu ends, %zu damages\n", ends, corrupt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_cut_at_any_byte_is_a_prefix_or_damage_as_the_synced_positions_say),
        cmocka_unit_test(a_flipped_byte_never_gives_a_wrong_record_and_below_the_synced_position_always_an_error),
        cmocka_unit_test(damage_below_the_position_known_to_the_caller_is_reported),
        cmocka_unit_test(what_an_earlier_life_left_behind_is_no_continuation),
        cmocka_unit_test(records_of_other_files_never_verify),
        cmocka_unit_test(newer_foreign_and_impossible_logs_are_refused),
        cmocka_unit_test(a_header_that_was_never_finished_is_no_log_yet),
        cmocka_unit_test(a_lost_header_of_a_synced_log_is_damage),
        cmocka_unit_test(a_lost_header_of_the_first_log_is_no_damage_before_its_first_sync),
        cmocka_unit_test(what_was_durable_is_told_exactly_up_to_2_gib_back_and_farther_not_at_all),
        cmocka_unit_test(a_witness_is_found_across_the_borders_of_the_search),
        cmocka_unit_test(a_claim_that_does_not_verify_is_no_witness),
        cmocka_unit_test(a_file_full_of_claims_does_not_keep_the_reader_busy),
        cmocka_unit_test(random_damage_gives_a_prefix_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
