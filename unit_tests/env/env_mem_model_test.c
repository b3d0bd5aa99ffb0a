/* Random operations on the strict file system, and what crashes leave of it, against a model: four names in one directory; for every file what it holds,
 * what was synced, and for each byte all it has been since. */
#include "env_mem_kit.h"

#include <stdlib.h>
#include <time.h>

#define NAMES      4
#define FILES      64
#define FILE_BYTES 9000

struct model_file {
    uint8_t now[FILE_BYTES], durable[FILE_BYTES];
    uint8_t was[FILE_BYTES][32]; /* bit set: this byte has held that value since the last sync */
    size_t size, durable_size, size_min, size_max;
};

struct model {
    struct lsm_env *env;
    uint64_t random;
    int file_count;
    int now[NAMES], durable[NAMES]; /* file at the name, -1: none */
    bool was[NAMES][FILES + 1];     /* since the last directory sync; [FILES]: none */
    struct model_file files[FILES];
};

static uint64_t draw(struct model *model, uint64_t below) {
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (model->random >> 33) % below;
}

static void path_of(int name, char path[8]) { memcpy(path, (const char[]){'d', '/', (char)('0' + name), 0}, 4); }

static void note(struct model_file *file, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) file->was[i][file->now[i] / 8] |= (uint8_t)(1u << file->now[i] % 8);
    if (file->size < file->size_min) file->size_min = file->size;
    if (file->size > file->size_max) file->size_max = file->size;
}

static void model_sync(struct model_file *file) {
    memcpy(file->durable, file->now, sizeof file->now);
    memset(file->was, 0, sizeof file->was);
    file->durable_size = file->size_min = file->size_max = file->size;
    note(file, 0, FILE_BYTES);
}

static void model_set(struct model *model, int name, int file) {
    model->now[name] = file;
    model->was[name][file < 0 ? FILES : file] = true;
}

static void model_sync_dir(struct model *model) {
    memset(model->was, 0, sizeof model->was);
    for (int name = 0; name < NAMES; name++) {
        model->durable[name] = model->now[name];
        model_set(model, name, model->now[name]);
    }
}

static void step_data(struct model *model, struct lsm_file *file, struct model_file *data) {
    uint8_t bytes[FILE_BYTES];
    size_t offset = (size_t)draw(model, FILE_BYTES), size = (size_t)draw(model, FILE_BYTES - offset + 1);
    switch (draw(model, 8)) {
    case 0:
        assert_int_equal(lsm_file_truncate(file, offset, NULL), LSM_OK);
        if (offset < data->size) memset(data->now + offset, 0, data->size - offset);
        data->size = offset;
        note(data, offset, FILE_BYTES);
        break;
    case 1:
        assert_int_equal(lsm_file_allocate(file, offset, size, NULL), LSM_OK);
        if (size > 0 && offset + size > data->size) data->size = offset + size;
        note(data, 0, 0);
        break;
    case 2:
    case 3:
        assert_int_equal(lsm_file_sync(file, NULL), LSM_OK);
        model_sync(data);
        break;
    default:
        if (size > 2000) size = 2000;
        memset(bytes, (int)draw(model, 256), size);
        assert_int_equal(lsm_file_write_at(file, offset, bytes, size, NULL), LSM_OK);
        memcpy(data->now + offset, bytes, size);
        if (size > 0 && offset + size > data->size) data->size = offset + size;
        note(data, offset, offset + size);
    }
}

static void step(struct model *model) {
    char path[8], to[8];
    int name = (int)draw(model, NAMES), other = (int)draw(model, NAMES);
    path_of(name, path);
    path_of(other, to);
    uint64_t what = draw(model, 16);
    if (what == 0) {
        assert_int_equal(lsm_env_sync_dir(model->env, "d", NULL), LSM_OK);
        model_sync_dir(model);
    } else if (model->now[name] < 0) {
        if (model->file_count == FILES) return;
        lsm_file_close(open_ok(model->env, path, RW_CREATE | LSM_OPEN_EXCL));
        model_sync(&model->files[model->file_count]);
        model_set(model, name, model->file_count++);
    } else if (what == 1) {
        assert_int_equal(lsm_env_unlink(model->env, path, NULL), LSM_OK);
        model_set(model, name, -1);
    } else if (what == 2 && name != other) {
        assert_int_equal(lsm_env_rename(model->env, path, to, NULL), LSM_OK);
        model_set(model, other, model->now[name]);
        model_set(model, name, -1);
    } else {
        struct lsm_file *file = open_ok(model->env, path, LSM_OPEN_WRITE);
        step_data(model, file, &model->files[model->now[name]]);
        lsm_file_close(file);
    }
}

/* True if a crash may leave this of the file. Where it may have grown since the sync, there may be anything. */
static bool may_be(const struct model_file *file, const uint8_t *bytes, size_t size) {
    if (size < file->size_min || size > file->size_max) return false;
    for (size_t i = 0; i < size && i < file->size_min; i++)
        if ((file->was[i][bytes[i] / 8] & 1u << bytes[i] % 8) == 0) return false;
    return true;
}

static void check_random(const struct model *model, struct lsm_env *left) {
    for (int name = 0; name < NAMES; name++) {
        char path[8];
        uint8_t *bytes;
        size_t size;
        path_of(name, path);
        bool ok = false;
        if (lsm_env_mem_read_file(left, path, &bytes, &size) != LSM_OK) ok = model->was[name][FILES];
        for (int f = 0; bytes != NULL && f < model->file_count; f++) ok = ok || (model->was[name][f] && may_be(&model->files[f], bytes, size));
        lsm_free(bytes);
        assert_true(ok);
    }
}

static void check_exact(const struct model *model, struct lsm_env *left, bool kept) {
    for (int name = 0; name < NAMES; name++) {
        char path[8];
        uint8_t *bytes;
        size_t size;
        path_of(name, path);
        int status = lsm_env_mem_read_file(left, path, &bytes, &size), f = kept ? model->now[name] : model->durable[name];
        assert_int_equal(status, f < 0 ? LSM_NOTFOUND : LSM_OK);
        if (f < 0) continue;
        const struct model_file *file = &model->files[f];
        assert_int_equal(size, kept ? file->size : file->durable_size);
        assert_memory_equal(bytes, kept ? file->now : file->durable, size);
        lsm_free(bytes);
    }
}

static void every_crash_leaves_what_the_model_allows(void **state) {
    uint64_t seed = (uint64_t)time(NULL);
    const char *wanted = getenv("LSM_TEST_SEED");
    if (wanted != NULL) seed = strtoull(wanted, NULL, 10);
    print_message("seed %llu (LSM_TEST_SEED sets it)\n", (unsigned long long)seed);
    struct model *model = lsm_calloc(1, sizeof *model);
    assert_non_null(model);
    model->env = *state;
    model->random = seed;
    assert_int_equal(lsm_env_mkdir(model->env, "d", NULL, NULL), LSM_OK);
    assert_int_equal(lsm_env_sync_dir(model->env, "/", NULL), LSM_OK);
    for (int name = 0; name < NAMES; name++) model->now[name] = -1;
    model_sync_dir(model);
    for (int round = 0; round < 600; round++) {
        step(model);
        struct lsm_env *kept = crashed(model->env, LSM_CRASH_KEEP, seed), *lost = crashed(model->env, LSM_CRASH_LOSE, seed);
        check_exact(model, kept, true);
        check_exact(model, lost, false);
        lsm_env_mem_free(kept);
        lsm_env_mem_free(lost);
        for (uint64_t i = 0; i < 4; i++) {
            struct lsm_env *left = crashed(model->env, i == 0 ? LSM_CRASH_TORN : LSM_CRASH_RANDOM, draw(model, UINT32_MAX));
            check_random(model, left);
            lsm_env_mem_free(left);
        }
    }
    lsm_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_crash_leaves_what_the_model_allows, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
