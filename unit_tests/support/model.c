#include "model.h"

#include <stdio.h>
#include <string.h>

static char difference[600];

uint64_t model_next(struct model_random *random) {
    uint64_t x = random->state == 0 ? 88172645463325252u : random->state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    random->state = x;
    return x * 2685821657736338717u;
}

uint64_t model_below(struct model_random *random, uint64_t limit) { return (model_next(random) >> 11) % limit; }

struct lsm_slice model_key(unsigned key) {
    static struct {
        uint8_t bytes[40];
        size_t size;
    } keys[MODEL_KEYS];
    if (keys[MODEL_KEYS - 1].size == 0) {
        /* Groups of 4: "a", "a" 00, "a" 00 00, "a" then a long tail. The very first key is empty. */
        for (unsigned i = 0; i < MODEL_KEYS; i++) {
            int size = i == 0 ? 0 : snprintf((char *)keys[i].bytes, sizeof keys[i].bytes, "key%04u", i / 4);
            keys[i].size = (size_t)size;
            if (i == 0) continue;
            for (unsigned zero = 0; zero < i % 4 && i % 4 != 3; zero++) keys[i].bytes[keys[i].size++] = 0;
            if (i % 4 != 3) continue;
            memset(keys[i].bytes + keys[i].size, 'z', 20);
            keys[i].size += 20;
        }
    }
    return (struct lsm_slice){.data = keys[key].bytes, .size = keys[key].size};
}

struct lsm_slice model_value(uint32_t value, uint8_t *buffer) {
    size_t size = value % 7 == 0 ? 0 : value % 5 == 0 ? (size_t)(value * 2654435761u >> 8) % MODEL_VALUE_BYTES_MAX : 20 + value % 200;
    if (size != 0 && size < 8) size = 8;
    for (size_t i = 0; i < size; i++) buffer[i] = (uint8_t)(value + i / 3);
    if (size != 0) memcpy(buffer, &value, sizeof value);
    /* An empty value says nothing: numbers divisible by 7 are told apart by being written with their number in the first bytes. */
    if (size == 0) {
        memcpy(buffer, &value, sizeof value);
        size = sizeof value;
    }
    return (struct lsm_slice){.data = buffer, .size = size};
}

/* The number of a value's bytes, 0 if they are not whole. */
static uint32_t number_of(struct lsm_slice bytes) {
    static uint8_t buffer[MODEL_VALUE_BYTES_MAX];
    uint32_t value;
    if (bytes.size < sizeof value) return 0;
    memcpy(&value, bytes.data, sizeof value);
    struct lsm_slice whole = model_value(value, buffer);
    return whole.size == bytes.size && memcmp(whole.data, bytes.data, bytes.size) == 0 ? value : 0;
}

static int key_number(struct lsm_slice bytes) {
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        struct lsm_slice want = model_key(key);
        if (want.size == bytes.size && (bytes.size == 0 || memcmp(want.data, bytes.data, bytes.size) == 0)) return (int)key;
    }
    return -1;
}

const char *model_read(struct model *model, struct lsm_view *view, uint32_t tree) {
    struct lsm_cursor *cursor = NULL;
    struct lsm_error err = {0};
    const char *wrong = NULL;
    int last = -1;
    memset(model, 0, sizeof *model);
    int status = lsm_cursor_open(view, tree, NULL, NULL, &cursor, &err);
    if (status == LSM_OK) status = lsm_cursor_first(cursor, &err);
    while (status == LSM_OK && lsm_cursor_valid(cursor) && wrong == NULL) {
        int key = key_number(lsm_cursor_key(cursor));
        uint32_t value = number_of(lsm_cursor_value(cursor));
        if (key < 0)
            wrong = "a key that was never written";
        else if (value == 0)
            wrong = "a value that is not whole";
        else if (key <= last)
            wrong = "keys out of order";
        else
            model->values[last = key] = value;
        status = lsm_cursor_next(cursor, &err);
    }
    lsm_cursor_close(cursor);
    if (status == LSM_OK) return wrong;
    (void)snprintf(difference, sizeof difference, "scan failed: %s", err.text);
    return difference;
}

static const char *get_differs(const struct model *model, struct lsm_view *view, uint32_t tree) {
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        struct lsm_value value = {0};
        struct lsm_error err = {0};
        int status = lsm_view_get(view, tree, model_key(key), &value, &err);
        uint32_t found = status == LSM_OK ? number_of(value.bytes) : 0;
        lsm_value_release(&value);
        bool right = model->values[key] == found && (status == LSM_OK || (status == LSM_NOTFOUND && model->values[key] == 0));
        if (right) continue;
        (void)snprintf(difference, sizeof difference, "get of key %u: want value %u, got %u, status %d %s", key, model->values[key], found, status,
                       err.text);
        return difference;
    }
    return NULL;
}

static const char *backward_differs(const struct model *model, struct lsm_view *view, uint32_t tree) {
    struct lsm_cursor *cursor = NULL;
    struct lsm_error err = {0};
    int status = lsm_cursor_open(view, tree, NULL, NULL, &cursor, &err);
    if (status == LSM_OK) status = lsm_cursor_last(cursor, &err);
    for (int key = MODEL_KEYS - 1; key >= 0 && status == LSM_OK; key--) {
        if (model->values[key] == 0) continue;
        if (!lsm_cursor_valid(cursor) || key_number(lsm_cursor_key(cursor)) != key || number_of(lsm_cursor_value(cursor)) != model->values[key]) {
            (void)snprintf(difference, sizeof difference, "scan down: key %d with value %u is not there", key, model->values[key]);
            lsm_cursor_close(cursor);
            return difference;
        }
        status = lsm_cursor_prev(cursor, &err);
    }
    bool more = status == LSM_OK && lsm_cursor_valid(cursor);
    lsm_cursor_close(cursor);
    if (status == LSM_OK) return more ? "scan down: more than there should be" : NULL;
    (void)snprintf(difference, sizeof difference, "scan down failed: %s", err.text);
    return difference;
}

const char *model_differs(const struct model *model, struct lsm_view *view, uint32_t tree) {
    struct model found;
    const char *wrong = model_read(&found, view, tree);
    if (wrong != NULL) return wrong;
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        if (found.values[key] == model->values[key]) continue;
        (void)snprintf(difference, sizeof difference, "scan up: key %u: want value %u, found %u", key, model->values[key], found.values[key]);
        return difference;
    }
    wrong = get_differs(model, view, tree);
    return wrong != NULL ? wrong : backward_differs(model, view, tree);
}
