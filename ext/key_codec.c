#include "key_codec.h"

/* The first byte of a column: its class, and for integers also sign and length. Their order is SQLite's. All of them, and their
 * complements, lie in 0x01 .. 0xfe: 0x00 and 0xff are free to mean "before" and "after everything else" behind a column. */
enum {
    TAG_NULL = 0x10,
    TAG_BELOW = 0x16,    /* a real below int64: 8 bytes */
    TAG_NEGATIVE = 0x1f, /* minus the number of bytes of ~v: 0x17 .. 0x1f */
    TAG_POSITIVE = 0x20, /* plus the number of bytes of v: 0x20 .. 0x28 */
    TAG_ABOVE = 0x29,    /* a real above int64: 8 bytes */
    TAG_TEXT = VT_KEY_TEXT,
    TAG_BLOB = VT_KEY_BLOB
};

#define MARK_FRACTION 0xff /* behind an integer: plus a fraction, 8 bytes */
#define MARK_WHOLE    0x00 /* behind an integer of a descending column: no fraction (complemented, a fraction sorts before anything else) */
#define ESCAPE        0x00 /* in text and blob: 00 00 is the end, 00 ff a zero byte */
#define ESCAPE_END    0x00
#define ESCAPE_ZERO   0xff
#define REAL_BYTES    8
#define TWO_63        9223372036854775808.0

/* Limit of a row's key; one less than the engine's so that a cut bound may be one byte longer than any key. */
#define ROW_KEY_BYTES_MAX (LSM_KEY_BYTES_MAX - 1)

const struct vt_key_column vt_rowid_key[1] = {{.column = -1, .collation = VT_COLLATE_BINARY, .desc = false}};

/* ---- numbers -------------------------------------------------------------------------------------------------- */

static size_t bytes_of(uint64_t v) { return v == 0 ? 0 : (size_t)(71 - __builtin_clzll(v)) / 8; }

static void store_be(uint8_t *out, uint64_t v, size_t size) {
    for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
}

static uint64_t load_be(const uint8_t *p, size_t size) {
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++) v = v << 8 | p[i];
    return v;
}

static uint64_t bits_of(double r) {
    uint64_t bits;
    memcpy(&bits, &r, sizeof bits);
    return bits;
}

static double real_of(uint64_t bits) {
    double r;
    memcpy(&r, &bits, sizeof r);
    return r;
}

/* v >= 0: tag, then v in as few bytes as hold it. v < 0: the same of ~v, complemented, so that more bytes sort lower. */
size_t vt_key_put_int64(uint8_t *out, int64_t value) {
    uint64_t bits = (uint64_t)value, magnitude = value < 0 ? ~bits : bits;
    size_t size = bytes_of(magnitude);
    out[0] = (uint8_t)(value < 0 ? TAG_NEGATIVE - size : TAG_POSITIVE + size);
    store_be(out + 1, bits, size);
    return 1 + size;
}

static bool is_integer_tag(uint8_t tag) { return tag >= TAG_NEGATIVE - 8 && tag <= TAG_POSITIVE + 8; }
static size_t integer_size(uint8_t tag) { return tag <= TAG_NEGATIVE ? (size_t)(TAG_NEGATIVE - tag) : (size_t)(tag - TAG_POSITIVE); }

/* The integer behind a tag; false if it was not written in the fewest bytes (or not within int64). */
static bool integer_of(uint8_t tag, const uint8_t *p, int64_t *value) {
    size_t size = integer_size(tag);
    uint64_t bits = load_be(p, size);
    if (tag <= TAG_NEGATIVE && size < 8) bits |= UINT64_MAX << (8 * size);
    uint64_t magnitude = tag <= TAG_NEGATIVE ? ~bits : bits;
    memcpy(value, &bits, sizeof bits);
    return bytes_of(magnitude) == size && magnitude >> 63 == 0;
}

bool vt_key_get_int64(struct lsm_slice key, int64_t *value) {
    if (key.size == 0 || !is_integer_tag(key.data[0]) || key.size != 1 + integer_size(key.data[0])) return false;
    return integer_of(key.data[0], key.data + 1, value);
}

static bool real_is_int64(double r) { return r >= -TWO_63 && r < TWO_63 && (double)(int64_t)r == r; }

#define NUMBER_BYTES_MAX (VT_KEY_INT64_BYTES_MAX + 1 + REAL_BYTES)

/* A real is an integer if it equals one. Otherwise it is the integer below it plus a fraction, which is kept exactly: above zero as the
 * bits of r - floor(r); below zero that difference might not be representable, so it is ~bits of trunc(r) - r. */
static size_t put_real(uint8_t *out, double r) {
    if (real_is_int64(r)) return vt_key_put_int64(out, (int64_t)r);
    size_t size = 1;
    uint64_t bits;
    if (r >= TWO_63) {
        out[0] = TAG_ABOVE;
        bits = bits_of(r);
    } else if (r < -TWO_63) {
        out[0] = TAG_BELOW;
        bits = ~bits_of(-r);
    } else {
        int64_t whole = (int64_t)r;
        bits = r > 0 ? bits_of(r - (double)whole) : ~bits_of((double)whole - r);
        size = vt_key_put_int64(out, r > 0 ? whole : whole - 1);
        out[size++] = MARK_FRACTION;
    }
    store_be(out + size, bits, REAL_BYTES);
    return size + REAL_BYTES;
}

static int append_number(struct vt_bytes *out, const struct vt_value *value, bool close) {
    int rc = vt_bytes_reserve(out, NUMBER_BYTES_MAX + 1);
    if (rc != SQLITE_OK) return rc;
    bool whole = value->type == SQLITE_INTEGER || real_is_int64(value->r);
    uint8_t *at = out->data + out->size;
    size_t size = value->type == SQLITE_INTEGER ? vt_key_put_int64(at, value->i) : put_real(at, value->r);
    if (whole && close) at[size++] = MARK_WHOLE;
    out->size += size;
    return SQLITE_OK;
}

/* ---- text and blob -------------------------------------------------------------------------------------------- */

static size_t trimmed(const uint8_t *p, size_t size) {
    while (size > 0 && p[size - 1] == ' ') size--;
    return size;
}

static int append_end(struct vt_bytes *out, bool raw) {
    static const uint8_t end[2] = {ESCAPE, ESCAPE_END};
    return raw ? SQLITE_OK : vt_bytes_append(out, end, sizeof end);
}

/* The bytes in their own order. raw: up to the end of the key; otherwise with zero bytes escaped and an end mark. */
static int append_binary(struct vt_bytes *out, const uint8_t *p, size_t size, bool raw) {
    if (raw) return vt_bytes_append(out, p, size);
    int rc = vt_bytes_reserve(out, size + 2);
    const uint8_t *end = p + size;
    while (rc == SQLITE_OK) {
        const uint8_t *zero = p < end ? memchr(p, 0, (size_t)(end - p)) : NULL;
        if (zero == NULL) break;
        rc = vt_bytes_append(out, p, (size_t)(zero - p) + 1);
        if (rc == SQLITE_OK) rc = vt_bytes_put(out, ESCAPE_ZERO);
        p = zero + 1;
    }
    if (rc == SQLITE_OK) rc = vt_bytes_append(out, p, (size_t)(end - p));
    return rc == SQLITE_OK ? append_end(out, false) : rc;
}

/* SQLite's NOCASE folds A-Z, and stops at a zero byte: of two texts equal up to there the longer one is greater. So what
 * decides is the folded text up to its first zero byte, then, behind an escape, the whole length. */
static int append_nocase(struct vt_bytes *out, const uint8_t *p, size_t size, bool raw) {
    const uint8_t *zero = size == 0 ? NULL : memchr(p, 0, size);
    size_t head = zero == NULL ? size : (size_t)(zero - p);
    int rc = vt_bytes_reserve(out, head + 2 + VT_KEY_INT64_BYTES_MAX);
    if (rc != SQLITE_OK) return rc;
    uint8_t *at = out->data + out->size;
    for (size_t i = 0; i < head; i++) at[i] = p[i] >= 'A' && p[i] <= 'Z' ? (uint8_t)(p[i] + 32) : p[i];
    out->size += head;
    if (zero == NULL) return append_end(out, raw);
    at += head;
    at[0] = ESCAPE;
    at[1] = ESCAPE_ZERO;
    out->size += 2 + vt_key_put_int64(at + 2, (int64_t)size);
    return SQLITE_OK;
}

static int append_text(struct vt_bytes *out, const struct vt_value *value, enum vt_collation collation, bool raw) {
    switch (collation) { /* LCOV_EXCL_BR_LINE: no other values */
    case VT_COLLATE_NOCASE: return append_nocase(out, value->bytes, value->size, raw);
    case VT_COLLATE_RTRIM: return append_binary(out, value->bytes, trimmed(value->bytes, value->size), raw);
    case VT_COLLATE_BINARY: break;
    }
    return append_binary(out, value->bytes, value->size, raw);
}

/* ---- making keys ---------------------------------------------------------------------------------------------- */

static int append_ascending(struct vt_bytes *out, const struct vt_value *value, const struct vt_key_column *column, bool last) {
    bool raw = last && !column->desc;
    int rc;
    switch (value->type) {
    case SQLITE_INTEGER: return append_number(out, value, column->desc);
    case SQLITE_FLOAT:
        if (value->r != value->r) break; /* LCOV_EXCL_BR_LINE: SQLite has no NaN */
        return append_number(out, value, column->desc);
    case SQLITE_TEXT: rc = vt_bytes_put(out, TAG_TEXT); return rc == SQLITE_OK ? append_text(out, value, column->collation, raw) : rc;
    case SQLITE_BLOB: rc = vt_bytes_put(out, TAG_BLOB); return rc == SQLITE_OK ? append_binary(out, value->bytes, value->size, raw) : rc;
    default: break;
    }
    return vt_bytes_put(out, TAG_NULL);
}

int vt_key_append(struct vt_bytes *out, const struct vt_value *value, const struct vt_key_column *column, bool last) {
    size_t start = out->size;
    int rc = append_ascending(out, value, column, last);
    if (rc != SQLITE_OK) {
        out->size = start;
        return rc;
    }
    if (column->desc) {
        for (size_t i = start; i < out->size; i++) out->data[i] = (uint8_t)~out->data[i];
    }
    return SQLITE_OK;
}

int vt_key_encode_row(const struct vt_schema *schema, const struct vt_value *values, struct vt_bytes *out) {
    size_t start = out->size;
    int rc = SQLITE_OK;
    for (int i = 0; i < schema->key_count && rc == SQLITE_OK; i++) {
        rc = vt_key_append(out, &values[schema->key[i].column], &schema->key[i], i == schema->key_count - 1);
        if (rc == SQLITE_OK && out->size - start > ROW_KEY_BYTES_MAX) rc = SQLITE_TOOBIG;
    }
    if (rc != SQLITE_OK) out->size = start;
    return rc;
}

/* ---- bounds --------------------------------------------------------------------------------------------------- */

int vt_key_after(struct vt_bytes *out, bool full) { return vt_bytes_put(out, full ? 0x00 : 0xff); }

/* The prefix, followed by one byte. */
static int edge(struct vt_bytes *out, const struct vt_bytes *prefix, int byte) {
    int rc = vt_bytes_set(out, vt_bytes_slice(prefix));
    return rc == SQLITE_OK ? vt_bytes_put(out, (uint8_t)byte) : rc;
}

/* The edge of a value: right before it, or right after it and all that is equal. */
static int value_edge(struct vt_bytes *out, const struct vt_bytes *prefix, const struct vt_value *value, const struct vt_key_column *column,
                      bool last, bool after) {
    int rc = vt_bytes_set(out, vt_bytes_slice(prefix));
    if (rc == SQLITE_OK) rc = vt_key_append(out, value, column, last);
    return rc == SQLITE_OK && after ? vt_key_after(out, last) : rc;
}

static int compare(const struct vt_bytes *a, const struct vt_bytes *b) {
    size_t common = a->size < b->size ? a->size : b->size;
    int order = common == 0 ? 0 : memcmp(a->data, b->data, common); /* LCOV_EXCL_BR_LINE: keys begin with a tag */
    if (order != 0) return order;
    return a->size < b->size ? -1 : a->size > b->size;
}

/* Keys are at most ROW_KEY_BYTES_MAX long, so a bound cut one byte behind that has the same keys on either side. */
static void cut(struct vt_bytes *bound) {
    if (bound->size > ROW_KEY_BYTES_MAX + 1) bound->size = ROW_KEY_BYTES_MAX + 1;
}

/* Bounds of the classes of values, in key order: first byte at or after which they begin and end; 0: the prefix's own bound. */
static void class_edges(enum vt_types types, bool desc, int *low, int *high) {
    *low = *high = 0;
    if (types == VT_TYPES_NOT_NULL) {
        if (desc)
            *high = 0xff - TAG_NULL;
        else
            *low = TAG_NULL + 1;
    } else if (types == VT_TYPES_TEXT) {
        *low = desc ? 0xff - TAG_TEXT : TAG_TEXT;
        *high = *low + 1;
    }
}

/* Narrow low .. high by what is asked of the column behind the prefix. */
static int narrow_behind(const struct vt_bytes *prefix, const struct vt_key_column *column, bool last, const struct vt_key_query *query,
                         struct vt_bytes *low, bool *has_low, struct vt_bytes *high, bool *has_high) {
    bool bounded = query->lower.value != NULL || query->upper.value != NULL;
    int low_tag, high_tag;
    class_edges(query->types == VT_TYPES_ALL && bounded ? VT_TYPES_NOT_NULL : query->types, column->desc, &low_tag, &high_tag);
    int rc = SQLITE_OK;
    if (low_tag != 0) {
        rc = edge(low, prefix, low_tag);
        *has_low = true;
    }
    if (rc == SQLITE_OK && high_tag != 0) {
        rc = edge(high, prefix, high_tag);
        *has_high = true;
    }
    const struct vt_bound *first = column->desc ? &query->upper : &query->lower, *second = column->desc ? &query->lower : &query->upper;
    struct vt_bytes bound = {0};
    if (rc == SQLITE_OK && first->value != NULL) {
        rc = value_edge(&bound, prefix, first->value, column, last, !first->inclusive);
        if (rc == SQLITE_OK && (!*has_low || compare(&bound, low) > 0)) rc = vt_bytes_set(low, vt_bytes_slice(&bound));
        *has_low = true;
    }
    if (rc == SQLITE_OK && second->value != NULL) {
        rc = value_edge(&bound, prefix, second->value, column, last, second->inclusive);
        if (rc == SQLITE_OK && (!*has_high || compare(&bound, high) < 0)) rc = vt_bytes_set(high, vt_bytes_slice(&bound));
        *has_high = true;
    }
    vt_bytes_release(&bound);
    return rc;
}

/* The same, the prefix being in low. */
static int narrow(const struct vt_key_column *column, bool last, const struct vt_key_query *query, struct vt_bytes *low, bool *has_low,
                  struct vt_bytes *high, bool *has_high) {
    if (query->lower.value == NULL && query->upper.value == NULL && query->types == VT_TYPES_ALL) return SQLITE_OK;
    struct vt_bytes prefix = {0};
    int rc = vt_bytes_set(&prefix, vt_bytes_slice(low));
    if (rc == SQLITE_OK) rc = narrow_behind(&prefix, column, last, query, low, has_low, high, has_high);
    vt_bytes_release(&prefix);
    return rc;
}

int vt_key_range(const struct vt_key_column *columns, int column_count, const struct vt_key_query *query, struct vt_bytes *low, bool *has_low,
                 struct vt_bytes *high, bool *has_high, bool *empty) {
    int n = query->equal_count;
    *has_low = *has_high = n > 0;
    *empty = (query->lower.value != NULL && query->lower.value->type == SQLITE_NULL) ||
             (query->upper.value != NULL && query->upper.value->type == SQLITE_NULL);
    vt_bytes_reset(low);
    vt_bytes_reset(high);
    if (*empty) return SQLITE_OK;
    int rc = SQLITE_OK;
    for (int i = 0; i < n && rc == SQLITE_OK; i++) rc = vt_key_append(low, &query->equal[i], &columns[i], i == column_count - 1);
    if (rc == SQLITE_OK && n > 0) rc = vt_bytes_set(high, vt_bytes_slice(low));
    if (rc == SQLITE_OK && n > 0) rc = vt_key_after(high, n == column_count);
    if (rc == SQLITE_OK && n < column_count) rc = narrow(&columns[n], n == column_count - 1, query, low, has_low, high, has_high);
    cut(low);
    cut(high);
    *empty = rc == SQLITE_OK && *has_low && *has_high && compare(low, high) >= 0;
    return rc;
}

/* ---- reading keys --------------------------------------------------------------------------------------------- */

static bool text_keeps(const struct vt_value *value, enum vt_collation collation) {
    switch (collation) { /* LCOV_EXCL_BR_LINE: no other values */
    case VT_COLLATE_RTRIM: return value->size == 0 || value->bytes[value->size - 1] != ' ';
    case VT_COLLATE_NOCASE:
        for (size_t i = 0; i < value->size; i++) {
            if (value->bytes[i] == 0 || (value->bytes[i] >= 'A' && value->bytes[i] <= 'Z')) return false;
        }
        return true;
    case VT_COLLATE_BINARY: break;
    }
    return true;
}

bool vt_key_keeps(const struct vt_value *value, const struct vt_key_column *column, bool last) {
    switch (value->type) {
    case SQLITE_INTEGER: return true;
    case SQLITE_FLOAT: return value->r == value->r && !real_is_int64(value->r); /* LCOV_EXCL_BR_LINE: SQLite has no NaN */
    case SQLITE_TEXT:
        if (!text_keeps(value, column->collation)) return false;
        break;
    case SQLITE_BLOB: break;
    default: return false;
    }
    return !column->desc && (last || value->size == 0 || memchr(value->bytes, 0, value->size) == NULL);
}

/* Walks over a key, column by column; `flip` is 0xff within a descending one. */
struct walk {
    const uint8_t *p, *end;
    uint8_t flip;
};

static size_t left(const struct walk *walk) { return (size_t)(walk->end - walk->p); }

static bool take(struct walk *walk, uint8_t *out, size_t size) {
    if (left(walk) < size) return false;
    for (size_t i = 0; i < size; i++) out[i] = walk->p[i] ^ walk->flip;
    walk->p += size;
    return true;
}

static bool read_fraction(struct walk *walk, int64_t whole, struct vt_value *out) {
    uint8_t bytes[REAL_BYTES];
    if (!take(walk, bytes, sizeof bytes)) return false;
    uint64_t bits = load_be(bytes, sizeof bytes);
    double fraction = real_of(whole >= 0 ? bits : ~bits);
    if (!(fraction > 0 && fraction < 1)) return false;
    *out = vt_value_real(whole >= 0 ? (double)whole + fraction : (double)(whole + 1) - fraction);
    return true;
}

static bool read_integer(struct walk *walk, uint8_t tag, bool close, struct vt_value *out) {
    uint8_t bytes[8];
    int64_t whole;
    if (!take(walk, bytes, integer_size(tag)) || !integer_of(tag, bytes, &whole)) return false;
    *out = vt_value_int(whole);
    if (left(walk) > 0 && (*walk->p ^ walk->flip) == MARK_FRACTION) {
        walk->p++;
        return read_fraction(walk, whole, out);
    }
    uint8_t mark;
    return !close || (take(walk, &mark, 1) && mark == MARK_WHOLE);
}

static bool read_large(struct walk *walk, uint8_t tag, struct vt_value *out) {
    uint8_t bytes[REAL_BYTES];
    if (!take(walk, bytes, sizeof bytes)) return false;
    uint64_t bits = load_be(bytes, sizeof bytes);
    double r = tag == TAG_ABOVE ? real_of(bits) : -real_of(~bits);
    if (tag == TAG_ABOVE ? !(r >= TWO_63) : !(r < -TWO_63)) return false;
    *out = vt_value_real(r);
    return true;
}

/* Escaped bytes. If they stand in the key as they are, out points at them; otherwise (escapes, complement) *plain is false. */
static bool read_escaped(struct walk *walk, bool nocase, struct vt_value *out, bool *plain) {
    const uint8_t *start = walk->p;
    *plain = walk->flip == 0;
    for (;;) {
        const uint8_t *escape = left(walk) == 0 ? NULL : memchr(walk->p, ESCAPE ^ walk->flip, left(walk));
        if (escape == NULL || walk->end - escape < 2) return false;
        uint8_t kind = escape[1] ^ walk->flip;
        walk->p = escape + 2;
        if (kind == ESCAPE_END) {
            *out = vt_value_bytes(out->type, start, (size_t)(escape - start));
            return true;
        }
        *plain = false;
        if (kind != ESCAPE_ZERO) return false;
        uint8_t tag, bytes[8];
        if (nocase) return take(walk, &tag, 1) && is_integer_tag(tag) && take(walk, bytes, integer_size(tag));
    }
}

static bool read_bytes(struct walk *walk, const struct vt_key_column *column, bool last, struct vt_value *out, bool *plain) {
    bool nocase = out->type == SQLITE_TEXT && column->collation == VT_COLLATE_NOCASE;
    if (!last || column->desc) return read_escaped(walk, nocase, out, plain);
    *out = vt_value_bytes(out->type, walk->p, left(walk));
    walk->p = walk->end;
    *plain = !nocase || out->size == 0 || memchr(out->bytes, 0, out->size) == NULL;
    return true;
}

static bool read_column(struct walk *walk, const struct vt_key_column *column, bool last, struct vt_value *out, bool *plain) {
    uint8_t tag;
    walk->flip = column->desc ? 0xff : 0;
    *plain = true;
    if (!take(walk, &tag, 1)) return false;
    if (is_integer_tag(tag)) return read_integer(walk, tag, column->desc, out);
    switch (tag) {
    case TAG_NULL: *out = vt_value_null(); return true;
    case TAG_BELOW:
    case TAG_ABOVE: return read_large(walk, tag, out);
    case TAG_TEXT:
    case TAG_BLOB: *out = vt_value_bytes(tag == TAG_TEXT ? SQLITE_TEXT : SQLITE_BLOB, NULL, 0); return read_bytes(walk, column, last, out, plain);
    default: return false;
    }
}

/* Walk over the columns up to `index`; the last one's value is left in *out. */
static bool read_columns(const struct vt_key_column *columns, int column_count, struct lsm_slice key, int index, struct vt_value *out, bool *plain) {
    static const uint8_t nothing;
    const uint8_t *p = key.size == 0 ? &nothing : key.data;
    struct walk walk = {.p = p, .end = p + key.size};
    for (int i = 0; i <= index; i++) {
        if (!read_column(&walk, &columns[i], i == column_count - 1, out, plain)) return false;
    }
    return index < column_count - 1 || walk.p == walk.end;
}

int vt_key_read(const struct vt_key_column *columns, int column_count, struct lsm_slice key, int index, struct vt_value *out) {
    bool plain = false;
    struct vt_value value = vt_value_null();
    if (!read_columns(columns, column_count, key, index, &value, &plain) || !plain) return SQLITE_CORRUPT_VTAB;
    *out = value;
    return SQLITE_OK;
}

bool vt_key_prefix(const struct vt_key_column *columns, int column_count, struct lsm_slice key, int count, size_t *bytes) {
    if (key.size == 0) return false;
    struct walk walk = {.p = key.data, .end = key.data + key.size};
    struct vt_value value = vt_value_null();
    bool plain;
    for (int i = 0; i < count; i++) {
        if (!read_column(&walk, &columns[i], i == column_count - 1, &value, &plain)) return false;
    }
    *bytes = (size_t)(walk.p - key.data);
    return true;
}

int vt_key_check(const struct vt_key_column *columns, int column_count, struct lsm_slice key) {
    bool plain = false;
    struct vt_value value = vt_value_null();
    if (key.size > ROW_KEY_BYTES_MAX) return SQLITE_CORRUPT_VTAB;
    return read_columns(columns, column_count, key, column_count - 1, &value, &plain) ? SQLITE_OK : SQLITE_CORRUPT_VTAB;
}
