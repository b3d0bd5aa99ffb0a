/* Keys. The first byte tells the columns of the key, the second what follows: the values of two rows, or a key as it might stand in a file.
 *
 * Promised: the bytes of two keys compare as their values do; a key is well formed, is as long as its columns, gives back what it is said to keep, and lies in
 * a range exactly if its value does. Any bytes: an answer.
 */
#include "values.h"

#include "../ext/key_codec.h"

enum { KEY_INPUT_MAX = 512, COLUMNS_MAX = 3 };

struct columns {
    struct vt_key_column column[COLUMNS_MAX];
    int count;
};

/* ---- the order of values, told another way -------------------------------------------------------------------------- */

static int rank_of(const struct vt_value *value) {
    switch (value->type) {
    case SQLITE_NULL: return 0;
    case SQLITE_INTEGER:
    case SQLITE_FLOAT: return 1;
    case SQLITE_TEXT: return 2;
    default: return 3;
    }
}

/* An integer and a real, without rounding either. */
static int compare_mixed(int64_t i, double r) {
    if (r >= 9223372036854775808.0) return -1;
    if (r < -9223372036854775808.0) return 1;
    int64_t whole = (int64_t)r;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = r - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

static int compare_numbers(const struct vt_value *a, const struct vt_value *b) {
    if (a->type == SQLITE_INTEGER && b->type == SQLITE_INTEGER) return a->i < b->i ? -1 : a->i > b->i;
    if (a->type == SQLITE_FLOAT && b->type == SQLITE_FLOAT) return a->r < b->r ? -1 : a->r > b->r;
    return a->type == SQLITE_INTEGER ? compare_mixed(a->i, b->r) : -compare_mixed(b->i, a->r);
}

static uint8_t folded(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

static size_t trimmed(const struct vt_value *value) {
    size_t size = value->size;
    while (size > 0 && value->bytes[size - 1] == ' ') size--;
    return size;
}

static int compare_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
    return lsm_slice_compare(lsm_slice_of(a, a_size), lsm_slice_of(b, b_size));
}

static int compare_texts(const struct vt_value *a, const struct vt_value *b, enum vt_collation collation) {
    if (collation == VT_COLLATE_RTRIM) return compare_bytes(a->bytes, trimmed(a), b->bytes, trimmed(b));
    if (collation == VT_COLLATE_BINARY) return compare_bytes(a->bytes, a->size, b->bytes, b->size);
    /* sqlite3_strnicmp() stops at a zero byte; then the lengths decide. */
    for (size_t i = 0; i < a->size && i < b->size; i++) {
        int order = folded(a->bytes[i]) - folded(b->bytes[i]);
        if (order != 0) return order;
        if (a->bytes[i] == 0) break;
    }
    return a->size < b->size ? -1 : a->size > b->size;
}

static int compare_values(const struct vt_value *a, const struct vt_value *b, enum vt_collation collation) {
    int left = rank_of(a), right = rank_of(b);
    if (left != right) return left - right;
    if (left == 0) return 0;
    if (left == 1) return compare_numbers(a, b);
    return left == 2 ? compare_texts(a, b, collation) : compare_bytes(a->bytes, a->size, b->bytes, b->size);
}

/* ---- what is asked --------------------------------------------------------------------------------------------------- */

static void encode(const struct columns *columns, const struct vt_value *values, struct vt_bytes *key) {
    for (int i = 0; i < columns->count; i++)
        FUZZ_CHECK(vt_key_append(key, &values[i], &columns->column[i], i == columns->count - 1) == SQLITE_OK, "column %d", i);
}

static void check_key(const struct columns *columns, const struct vt_value *values, struct lsm_slice key) {
    size_t before = 0, bytes = 0;
    FUZZ_CHECK(vt_key_check(columns->column, columns->count, key) == SQLITE_OK, "not well formed");
    for (int i = 0; i < columns->count; i++) {
        bool last = i == columns->count - 1;
        FUZZ_CHECK(vt_key_prefix(columns->column, columns->count, key, i + 1, &bytes) && bytes > before, "column %d has no length", i);
        before = bytes;
        if (!vt_key_keeps(&values[i], &columns->column[i], last)) continue;
        struct vt_value again;
        FUZZ_CHECK(vt_key_read(columns->column, columns->count, key, i, &again) == SQLITE_OK, "column %d is not kept", i);
        /* A whole real comes back as the integer it is stored as. */
        FUZZ_CHECK(values_equal(&again, &values[i]) || (values[i].type == SQLITE_FLOAT && compare_numbers(&again, &values[i]) == 0), "column %d", i);
    }
    FUZZ_CHECK(bytes == key.size, "%zu bytes of %zu", bytes, key.size);
}

/* Is the second row within the bounds that the first one gives, for keys as for values? */
static void check_range(const struct columns *columns, const struct vt_value *a, const struct vt_value *b, struct lsm_slice key, uint8_t what) {
    struct vt_bytes low = {0}, high = {0};
    bool has_low, has_high, empty;
    int equal = what % columns->count;
    const struct vt_key_column *column = &columns->column[equal];
    struct vt_key_query query = {.equal = a, .equal_count = equal};
    bool inclusive = what & 8, wanted = true;
    for (int i = 0; i < equal; i++) wanted &= compare_values(&a[i], &b[i], columns->column[i].collation) == 0;
    int order = compare_values(&b[equal], &a[equal], column->collation);
    if (what & 16) {
        query.lower = (struct vt_bound){.value = &a[equal], .inclusive = inclusive};
        wanted &= order > 0 || (inclusive && order == 0);
    } else {
        query.upper = (struct vt_bound){.value = &a[equal], .inclusive = inclusive};
        wanted &= order < 0 || (inclusive && order == 0);
    }
    wanted &= a[equal].type != SQLITE_NULL && b[equal].type != SQLITE_NULL;
    FUZZ_CHECK(vt_key_range(columns->column, columns->count, &query, &low, &has_low, &high, &has_high, &empty) == SQLITE_OK, "no memory");
    bool is_in =
        !empty && (!has_low || lsm_slice_compare(vt_bytes_slice(&low), key) <= 0) && (!has_high || lsm_slice_compare(key, vt_bytes_slice(&high)) < 0);
    FUZZ_CHECK(is_in == wanted, "a range of %s %d columns: %d, wanted %d", what & 16 ? "lower" : "upper", equal, is_in, wanted);
    vt_bytes_release(&low);
    vt_bytes_release(&high);
}

static void check_rows(const struct columns *columns, struct fuzz_input *input) {
    struct vt_value a[COLUMNS_MAX], b[COLUMNS_MAX];
    struct vt_bytes key_a = {0}, key_b = {0};
    uint8_t what = fuzz_take8(input);
    for (int i = 0; i < columns->count; i++) a[i] = values_take(input);
    for (int i = 0; i < columns->count; i++) b[i] = values_take(input);
    encode(columns, a, &key_a);
    encode(columns, b, &key_b);
    int order = 0;
    for (int i = 0; i < columns->count && order == 0; i++) {
        order = compare_values(&a[i], &b[i], columns->column[i].collation);
        if (columns->column[i].desc) order = -order;
    }
    int bytes = lsm_slice_compare(vt_bytes_slice(&key_a), vt_bytes_slice(&key_b));
    FUZZ_CHECK((bytes < 0) == (order < 0) && (bytes > 0) == (order > 0), "the values compare %d, the keys %d", order, bytes);
    check_key(columns, a, vt_bytes_slice(&key_a));
    check_key(columns, b, vt_bytes_slice(&key_b));
    check_range(columns, a, b, vt_bytes_slice(&key_b), what);
    vt_bytes_release(&key_a);
    vt_bytes_release(&key_b);
}

static void check_hostile(const struct columns *columns, struct lsm_slice key) {
    size_t bytes = 0, before = 0;
    struct vt_value value;
    int64_t rowid;
    bool whole = vt_key_check(columns->column, columns->count, key) == SQLITE_OK;
    for (int i = 0; i < columns->count; i++) {
        int rc = vt_key_read(columns->column, columns->count, key, i, &value);
        FUZZ_CHECK(rc == SQLITE_OK || rc == SQLITE_CORRUPT_VTAB, "status %d", rc);
        bool good = vt_key_prefix(columns->column, columns->count, key, i + 1, &bytes);
        FUZZ_CHECK(good || !whole, "a key is well formed, its column %d is not", i);
        if (good) FUZZ_CHECK(bytes <= key.size && bytes >= before, "column %d ends at %zu of %zu", i, bytes, key.size);
        if (good) before = bytes;
    }
    if (vt_key_get_int64(key, &rowid)) {
        uint8_t again[VT_KEY_INT64_BYTES_MAX];
        FUZZ_CHECK(vt_key_put_int64(again, rowid) == key.size && memcmp(again, key.data, key.size) == 0, "a rowid is not what it was");
    }
}

static void run(const uint8_t *bytes, size_t size) {
    struct fuzz_input input = {.p = bytes, .left = size};
    struct columns columns = {0};
    uint8_t shape = fuzz_take8(&input), what = fuzz_take8(&input);
    columns.count = 1 + shape % COLUMNS_MAX;
    for (int i = 0; i < columns.count; i++) {
        uint8_t bits = i == 0 ? (uint8_t)(shape >> 2) : (uint8_t)(shape >> (i + 3));
        columns.column[i] = (struct vt_key_column){.column = i, .collation = (enum vt_collation)(bits % 3), .desc = bits & 4};
    }
    if (what % 2 == 0)
        check_rows(&columns, &input);
    else
        check_hostile(&columns, lsm_slice_of(input.p, input.left));
}

static void seeds(fuzz_emit_fn emit, void *arg) {
    static const uint8_t rows[][24] = {{1, 5, 1, 250},
                                       {2, 0, 0, 0, 0, 0, 0, 0, 0x80, 3, 0, 0, 0, 0, 0, 0, 0xe0, 0xc3},
                                       {3, 0, 0, 0, 0, 0, 0, 0x04, 0xc0, 1, 253},
                                       {4, 3, 'A', 'b', ' ', 4, 2, 'a', 'b'},
                                       {5, 3, 0, 0xff, 0, 5, 2, 0, 0xff},
                                       {4, 4, 'a', 0, 'B', ' ', 0, 0},
                                       {2, 1, 0, 0, 0, 0, 0, 0x20, 0, 3, 1, 0, 0, 0, 0, 0, 0x40, 0x43}};
    for (unsigned shape = 0; shape < 64; shape += 5)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            uint8_t seed[3 + 2 * sizeof *rows] = {(uint8_t)(shape + i), 0, (uint8_t)(shape * 3)};
            memcpy(seed + 3, rows[i], sizeof *rows);
            memcpy(seed + 3 + sizeof *rows, rows[(i + shape) % 7], sizeof *rows);
            emit(arg, seed, sizeof seed);
        }
    static const uint8_t keys[][24] = {{0, 1, 0x30, 'p', '1', 0, 0, 0xdd, 0xfe, 0xd3, 0xff},
                                       {2, 1, 0x21, 2, 0xff, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0},
                                       {4, 1, 0x30, 0x61, 0, 0xff, 0x21, 3}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) emit(arg, keys[i], sizeof *keys);
}

const struct fuzz_target fuzz_target = {.name = "key", .size_max = KEY_INPUT_MAX, .run = run, .seeds = seeds};
