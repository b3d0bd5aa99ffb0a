/* A manifest, or CURRENT: the first byte says which, the rest is the file.
 *
 * Promised: reading ends; an edit that is understood can be written again in the same bytes; the versions made of the edits hold together; a store that opens
 * over it keeps what stores_read() promises. Of the table files named, none is there but those of a real store.
 */
#include "stores.h"

#include "../lsm_core/version/manifest.h"
#include "../lsm_core/version/version.h"
#include "../lsm_core/wal/chain.h"

enum { MANIFEST_BYTES_MAX = 8192, MANIFEST_NUMBER = 3, IS_CURRENT = 1 };
#define CURRENT_OF_IT "MANIFEST-00000003 000102030405060708090a0b0c0d0e0f 9af6f5a34dfc0658\n"

struct replay {
    struct lsm_version *version;
    size_t edits, edits_max;
    uint64_t files;
};

static bool count_file(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    struct replay *replay = arg;
    FUZZ_CHECK(level >= 0 && level < LSM_LEVELS && (level == 0 || run == 0), "level %d, run %zu", level, run);
    FUZZ_CHECK(lsm_slice_compare(lsm_buf_slice(&meta->smallest), lsm_buf_slice(&meta->largest)) <= 0, "a file whose keys end before they begin");
    replay->files++;
    return true;
}

static int apply(void *arg, struct lsm_edit *edit, struct lsm_error *err) {
    struct replay *replay = arg;
    struct lsm_version *next = NULL;
    FUZZ_CHECK(++replay->edits <= replay->edits_max, "a manifest without end");
    int status = lsm_version_apply(replay->version, edit, &next, err);
    if (status != LSM_OK) return status;
    if (replay->version != NULL && lsm_version_unref(replay->version)) lsm_version_destroy(replay->version);
    replay->version = next;
    replay->files = 0;
    lsm_version_each(next, count_file, replay);
    FUZZ_CHECK(replay->files == next->files, "%llu files, %zu counted", (unsigned long long)replay->files, next->files);
    return LSM_OK;
}

/* Every record that verifies, as an edit and back. */
static void check_edits(struct lsm_env *env) {
    struct lsm_chain_reader *reader = NULL;
    struct lsm_chain_record record;
    struct lsm_buf again = {0};
    if (lsm_chain_open(env, "s/MANIFEST-00000003", &lsm_chain_manifest, fuzz_store_id, MANIFEST_NUMBER, &reader, NULL) != LSM_OK) return;
    while (reader != NULL && lsm_chain_next(reader, 0, &record, NULL) == LSM_OK) {
        struct lsm_edit edit = {0};
        struct lsm_error err = {0};
        int status = lsm_edit_decode(record.payload, &edit, &err);
        FUZZ_CHECK(status == LSM_OK || err.text[0] != 0, "no words");
        if (status == LSM_OK) {
            lsm_buf_reset(&again);
            FUZZ_CHECK(lsm_edit_encode(&edit, &again) == LSM_OK, "no memory");
            FUZZ_CHECK(lsm_slice_equal(lsm_buf_slice(&again), record.payload), "an edit at %llu is not what it was",
                       (unsigned long long)record.position);
        }
        lsm_edit_release(&edit);
    }
    lsm_buf_free(&again);
    lsm_chain_close(reader);
}

static void run(const uint8_t *bytes, size_t size) {
    struct lsm_env *env = fuzz_disk();
    struct replay replay = {.edits_max = size / LSM_CHAIN_RECORD_BYTES + 1};
    struct lsm_manifest_found found = {0};
    struct lsm_error err = {0};
    bool is_current = size != 0 && bytes[0] == IS_CURRENT;
    if (size != 0) {
        bytes++;
        size--;
    }
    if (is_current) {
        fuzz_write(env, "s/CURRENT", bytes, size);
        uint64_t number;
        uint8_t id[LSM_STORE_ID_BYTES];
        if (lsm_manifest_named(env, "s", &number, id, &err) == LSM_OK) {
            char line[128];
            int wanted = snprintf(line, sizeof line, "MANIFEST-%08llu ", (unsigned long long)number);
            FUZZ_CHECK(size > (size_t)wanted && memcmp(line, bytes, (size_t)wanted) == 0, "CURRENT is understood as manifest %llu",
                       (unsigned long long)number);
        }
    } else {
        fuzz_write(env, "s/CURRENT", CURRENT_OF_IT, strlen(CURRENT_OF_IT));
        fuzz_write(env, "s/MANIFEST-00000003", bytes, size);
        check_edits(env);
    }
    int status = lsm_manifest_replay(env, "s", fuzz_store_id, apply, &replay, &found, &err);
    FUZZ_CHECK(status == LSM_OK || err.text[0] != 0, "no words");
    if (status == LSM_OK) FUZZ_CHECK(found.bytes <= size && replay.edits != 0, "%llu bytes found in %zu", (unsigned long long)found.bytes, size);
    if (replay.version != NULL && lsm_version_unref(replay.version)) lsm_version_destroy(replay.version);
    (void)stores_read(env, size + 1);
    lsm_env_mem_free(env);
}

static size_t mend(uint8_t *bytes, size_t size, size_t room, uint64_t choice) {
    (void)room;
    if (size == 0 || bytes[0] == IS_CURRENT) return size;
    uint8_t *file = bytes + 1;
    /* Start and first link are 0 here, and what is said to be synced is the record's own position: as it is known by the reader to be. */
    if (size > LSM_CHAIN_HEADER_BYTES && choice % 16 != 1) memset(file + 40, 0, 16);
    (void)fuzz_mend_chain(&lsm_chain_manifest, MANIFEST_NUMBER, file, size - 1, choice);
    return size;
}

struct emitter {
    fuzz_emit_fn emit;
    void *arg;
};

/* Whatever number it has: mended to be MANIFEST_NUMBER's. */
static void emit_manifest(void *arg, const void *bytes, size_t size) {
    const struct emitter *emitter = arg;
    uint8_t seed[MANIFEST_BYTES_MAX] = {0};
    if (size < LSM_CHAIN_HEADER_BYTES || size > sizeof seed - 1 || memcmp(bytes, lsm_chain_manifest.magic, 8) != 0) return;
    memcpy(seed + 1, bytes, size);
    emitter->emit(emitter->arg, seed, mend(seed, size + 1, sizeof seed, 1 << 4 | 2));
}

static void seeds(fuzz_emit_fn emit, void *arg) {
    struct emitter emitter = {.emit = emit, .arg = arg};
    for (int flushed = 0; flushed < 2; flushed++) {
        struct lsm_env *env = fuzz_disk();
        stores_make(env, flushed != 0);
        stores_emit(env, NULL, emit_manifest, &emitter);
        lsm_env_mem_free(env);
    }
    static const char current[] = "\1" CURRENT_OF_IT;
    emit(arg, current, sizeof current - 1);
}

const struct fuzz_target fuzz_target = {.name = "manifest", .size_max = MANIFEST_BYTES_MAX, .run = run, .mend = mend, .seeds = seeds};
