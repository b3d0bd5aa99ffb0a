#include "value_hash.h"

/* Any odd numbers with well-spread bits serve. */
#define SPREAD_A    0x9e3779b97f4a7c15u
#define SPREAD_B    0xd6e8feb86659fd93u
#define KIND_NULL   1u
#define KIND_NUMBER 2u
#define KIND_TEXT   3u
#define KIND_BLOB   4u
#define TWO_63      9223372036854775808.0

void vt_hasher_release(struct vt_hasher *hasher) {
    sqlite3_finalize(hasher->number);
    hasher->number = NULL;
}

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * SPREAD_A;
    hash = (hash ^ hash >> 32) * SPREAD_B;
    return hash ^ hash >> 29;
}

static uint64_t hash_number(uint64_t hash, const struct vt_value *value) {
    uint64_t bits = 0;
    if (value->type == SQLITE_INTEGER) {
        bits = (uint64_t)value->i;
    } else if (value->r >= -TWO_63 && value->r < TWO_63 && (double)(int64_t)value->r == value->r) {
        bits = (uint64_t)(int64_t)value->r;
    } else {
        memcpy(&bits, &value->r, sizeof bits);
    }
    return mix(mix(hash, KIND_NUMBER), bits);
}

static uint64_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? c + 32u : c; }

static uint64_t hash_folded(uint64_t hash, const uint8_t *text, size_t size) {
    uint64_t word = size;
    for (size_t i = 0; i < size; i++) {
        word = word << 8 | lower(text[i]);
        if (i % 7 == 6) {
            hash = mix(hash, word);
            word = 0;
        }
    }
    return mix(mix(hash, KIND_TEXT), word);
}

uint64_t vt_hash_bytes(const uint8_t *bytes, size_t size) {
    uint64_t hash = mix(KIND_BLOB, size), word = 0;
    for (; size >= sizeof word; bytes += sizeof word, size -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = mix(hash, word);
    }
    for (word = 0; size > 0; size--) word = word << 8 | *bytes++;
    return mix(hash, word);
}

static int cast_to_number(struct vt_hasher *hasher, const uint8_t *text, size_t size, struct vt_value *number) {
    int rc = SQLITE_OK;
    if (hasher->number == NULL) rc = sqlite3_prepare_v2(hasher->db, "SELECT CAST(?1 AS NUMERIC)", -1, &hasher->number, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_text64(hasher->number, 1, (const char *)text, size, SQLITE_STATIC, SQLITE_UTF8);
    if (rc != SQLITE_OK) return rc;
    if (sqlite3_step(hasher->number) == SQLITE_ROW) {
        *number = sqlite3_column_type(hasher->number, 0) == SQLITE_FLOAT ? vt_value_real(sqlite3_column_double(hasher->number, 0))
                                                                         : vt_value_int(sqlite3_column_int64(hasher->number, 0));
    }
    return sqlite3_reset(hasher->number);
}

int vt_hash_value(struct vt_hasher *hasher, const struct vt_value *value, uint64_t *hash) {
    struct vt_value number = {0};
    size_t size = value->size;
    switch (value->type) {
    case SQLITE_NULL: *hash = mix(*hash, KIND_NULL); return SQLITE_OK;
    case SQLITE_BLOB: *hash = mix(*hash, vt_hash_bytes(value->bytes, value->size)); return SQLITE_OK;
    case SQLITE_TEXT: break;
    default: *hash = hash_number(*hash, value); return SQLITE_OK;
    }
    /* What follows a zero byte does not tell texts apart under NOCASE, nor does their length under RTRIM. */
    const uint8_t *zero = size == 0 ? NULL : memchr(value->bytes, 0, size);
    if (zero != NULL) size = (size_t)(zero - value->bytes);
    while (size > 0 && value->bytes[size - 1] == ' ') size--;
    if (vt_text_is_number(value->bytes, size, &number)) {
        int rc = number.type == SQLITE_INTEGER ? SQLITE_OK : cast_to_number(hasher, value->bytes, size, &number);
        if (rc == SQLITE_OK) *hash = hash_number(*hash, &number);
        return rc;
    }
    *hash = hash_folded(*hash, value->bytes, size);
    return SQLITE_OK;
}
