#include "row_codec.h"

/* Types in the header, after SQLite's record format, which reserves 10 and 11 for internal use. */
enum {
    SERIAL_NULL = 0,
    SERIAL_INT1 = 1, /* 1, 2, 3, 4, 6, 8 bytes, big-endian two's complement */
    SERIAL_INT8 = 6,
    SERIAL_REAL = 7,
    SERIAL_ZERO = 8,
    SERIAL_ONE = 9,
    SERIAL_KEY = 10, /* the value is in the key */
    SERIAL_RESERVED = 11,
    SERIAL_BLOB = 12 /* 12 + 2 * size; text: one more */
};

#define VARINT_BYTES_MAX 10
#define NO_SIZE          UINT64_MAX

static const uint8_t int_sizes[] = {0, 1, 2, 3, 4, 6, 8};

/* ---- varints: LEB128, shortest form --------------------------------------------------------------------------- */

static size_t store_varint(uint8_t *p, uint64_t v) {
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    return n;
}

static size_t varint_size(uint64_t v) {
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

/* Returns what is behind it; NULL if it does not end before `end` or is not in its shortest form. */
static VT_APART const uint8_t *load_long_varint(const uint8_t *p, const uint8_t *end, uint64_t *out) {
    uint64_t v = 0;
    for (unsigned shift = 0; p < end && shift < 7 * VARINT_BYTES_MAX; shift += 7) {
        uint8_t byte = *p++;
        if (shift == 63 && byte > 1) return NULL;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte >= 0x80) continue;
        *out = v;
        return byte != 0 || shift == 0 ? p : NULL;
    }
    return NULL;
}

static inline const uint8_t *load_varint(const uint8_t *p, const uint8_t *end, uint64_t *out) {
    if (p < end && p[0] < 0x80) {
        *out = p[0];
        return p + 1;
    }
    if (end - p >= 2 && p[1] != 0 && p[1] < 0x80) {
        *out = (uint64_t)(p[0] & 0x7f) | (uint64_t)p[1] << 7;
        return p + 2;
    }
    uint64_t value = 0; /* a copy: what the caller has can stay in a register */
    p = load_long_varint(p, end, &value);
    *out = value;
    return p;
}

static inline uint64_t from_be(uint64_t v) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap64(v);
#else
    return v;
#endif
}

/* ---- encoding ------------------------------------------------------------------------------------------------- */

static uint64_t serial_of_int(int64_t v) {
    if (v == 0) return SERIAL_ZERO;
    if (v == 1) return SERIAL_ONE;
    uint64_t magnitude = v < 0 ? ~(uint64_t)v : (uint64_t)v;
    for (uint64_t serial = SERIAL_INT1; serial < SERIAL_INT8; serial++) {
        if (magnitude >> (8 * int_sizes[serial] - 1) == 0) return serial;
    }
    return SERIAL_INT8;
}

#define REAL_AS_INT_MAX 140737488355327.0 /* what 6 bytes hold; more would be no shorter than the real itself */

/* In a REAL column a whole number is stored as an integer, as SQLite does; the reader, who knows the column, turns it back. */
static bool is_shorter_as_int(const struct vt_column *column, double r) {
    return column->affinity == VT_AFFINITY_REAL && r >= -REAL_AS_INT_MAX && r <= REAL_AS_INT_MAX && (double)(int64_t)r == r;
}

static bool is_in_key(const struct vt_schema *schema, int i, const struct vt_value *value) {
    const struct vt_column *column = &schema->columns[i];
    if (column->key_index < 0 || schema->kind != VT_KIND_CLUSTERED) return false; /* LCOV_EXCL_BR_LINE: only clustered tables have key columns */
    /* Equal numbers have equal keys, but in a REAL column there is nothing to confuse: all of them are reals. */
    if (column->affinity == VT_AFFINITY_REAL && value->type == SQLITE_FLOAT) return true;
    return vt_key_keeps(value, &schema->key[column->key_index], column->key_index == schema->key_count - 1);
}

static uint64_t serial_of(const struct vt_schema *schema, int i, const struct vt_value *value) {
    if (i == schema->rowid_column) return SERIAL_NULL;
    if (is_in_key(schema, i, value)) return SERIAL_KEY;
    switch (value->type) {
    case SQLITE_INTEGER: return serial_of_int(value->i);
    case SQLITE_FLOAT: return is_shorter_as_int(&schema->columns[i], value->r) ? serial_of_int((int64_t)value->r) : SERIAL_REAL;
    case SQLITE_TEXT: return SERIAL_BLOB + 1 + 2 * (uint64_t)value->size;
    case SQLITE_BLOB: return SERIAL_BLOB + 2 * (uint64_t)value->size;
    default: return SERIAL_NULL;
    }
}

/* The header: its own size, then one type per column. Also adds up the bytes of text and blob that follow it. */
static int put_header(const struct vt_schema *schema, const struct vt_value *values, struct vt_bytes *out, size_t *types_at, uint64_t *body_bytes) {
    size_t start = out->size, prefix = 1;
    int rc = vt_bytes_reserve(out, VARINT_BYTES_MAX * (1 + (size_t)schema->column_count));
    if (rc != SQLITE_OK) return rc;
    uint8_t *types = out->data + start + prefix, *p = types; /* behind the size, if that fits one byte */
    for (int i = 0; i < schema->column_count; i++) {
        uint64_t serial = serial_of(schema, i, &values[i]);
        p += store_varint(p, serial);
        if (serial >= SERIAL_BLOB) *body_bytes += values[i].size;
    }
    size_t size = (size_t)(p - types);
    while (varint_size(prefix + size) > prefix) prefix++;
    if (prefix > 1) memmove(out->data + start + prefix, types, size);
    store_varint(out->data + start, prefix + size);
    out->size = start + prefix + size;
    *types_at = start + prefix;
    return SQLITE_OK;
}

static uint8_t *store_be(uint8_t *p, uint64_t v, size_t size) {
    if (size == 8) {
        v = from_be(v);
        memcpy(p, &v, 8);
    } else {
        for (size_t i = 0; i < size; i++) p[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
    }
    return p + size;
}

/* Returns the place behind the body. */
static uint8_t *put_body(uint8_t *p, uint64_t serial, const struct vt_value *value) {
    if (serial >= SERIAL_BLOB) {
        memcpy(p, value->bytes, value->size);
        return p + value->size;
    }
    if (serial == SERIAL_NULL || serial > SERIAL_REAL) return p;
    if (serial == SERIAL_REAL) {
        uint64_t bits;
        memcpy(&bits, &value->r, sizeof bits);
        return store_be(p, bits, 8);
    }
    return store_be(p, (uint64_t)(value->type == SQLITE_FLOAT ? (int64_t)value->r : value->i), int_sizes[serial]);
}

int vt_row_encode(const struct vt_schema *schema, const struct vt_value *values, struct vt_bytes *out) {
    size_t start = out->size, at = start;
    uint64_t body_bytes = 0;
    int rc = put_header(schema, values, out, &at, &body_bytes);
    if (rc != SQLITE_OK) return rc;
    uint64_t more = body_bytes + 8 * (uint64_t)schema->column_count;
    rc = more + (out->size - start) > LSM_VALUE_BYTES_MAX ? SQLITE_TOOBIG : vt_bytes_reserve(out, (size_t)more);
    if (rc != SQLITE_OK) {
        out->size = start;
        return rc;
    }
    uint8_t *p = out->data + out->size;
    const uint8_t *types = out->data + at, *types_end = p;
    for (int i = 0; i < schema->column_count; i++) {
        uint64_t serial = SERIAL_NULL;
        types = load_varint(types, types_end, &serial); /* written just now */
        p = put_body(p, serial, &values[i]);
    }
    out->size = (size_t)(p - out->data);
    return SQLITE_OK;
}

/* ---- decoding ------------------------------------------------------------------------------------------------- */

/* Put the walk before column 0. A header size of 0 is no record: kept for a later format. */
static VT_APART void rewind_slowly(struct vt_row_reader *reader) {
    uint64_t header = 0;
    const uint8_t *data = reader->record.data, *types = reader->record.size == 0 ? NULL : load_varint(data, data + reader->record.size, &header);
    reader->next_column = 0;
    reader->corrupt = types == NULL || header < (uint64_t)(types - data) || header > reader->record.size;
    reader->types = types;
    reader->types_end = reader->body = reader->corrupt ? types : data + header;
}

/* Most headers say in one byte how long they are. */
static inline void rewind_reader(struct vt_row_reader *reader) {
    const uint8_t *data = reader->record.data;
    if (reader->record.size == 0 || data[0] == 0 || data[0] >= 0x80 || data[0] > reader->record.size) {
        rewind_slowly(reader);
        return;
    }
    reader->next_column = 0;
    reader->corrupt = false;
    reader->types = data + 1;
    reader->types_end = reader->body = data + data[0];
}

/* A type above SERIAL_BLOB says it itself. */
static inline uint64_t serial_size(uint64_t serial) {
    static const uint64_t sizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, NO_SIZE};
    return serial >= SERIAL_BLOB ? (serial - SERIAL_BLOB) / 2 : sizes[serial];
}

static uint64_t load_be_signed(struct lsm_slice bytes) {
    uint64_t v = bytes.data[0] >= 0x80 ? UINT64_MAX : 0;
    if (bytes.size == 8) {
        memcpy(&v, bytes.data, 8);
        return from_be(v);
    }
    for (size_t i = 0; i < bytes.size; i++) v = v << 8 | bytes.data[i];
    return v;
}

static int value_of_serial(const struct vt_row_reader *reader, int i, uint64_t serial, struct lsm_slice bytes, struct vt_value *out) {
    const struct vt_schema *schema = reader->schema;
    if (serial >= SERIAL_BLOB) {
        *out = vt_value_bytes(serial & 1 ? SQLITE_TEXT : SQLITE_BLOB, bytes.data, bytes.size);
    } else if (serial == SERIAL_KEY) {
        int index = schema->columns[i].key_index;
        if (index < 0 || schema->kind != VT_KIND_CLUSTERED) return SQLITE_CORRUPT_VTAB; /* LCOV_EXCL_BR_LINE: clustered tables only */
        return vt_key_read(schema->key, schema->key_count, reader->key, index, out);
    } else if (serial == SERIAL_NULL) {
        *out = vt_value_null();
    } else if (serial >= SERIAL_ZERO) {
        *out = vt_value_int(serial == SERIAL_ONE);
    } else {
        uint64_t bits = load_be_signed(bytes);
        int64_t v;
        double r;
        memcpy(&v, &bits, sizeof v);
        memcpy(&r, &bits, sizeof r);
        *out = serial != SERIAL_REAL ? vt_value_int(v) : r != r ? vt_value_null() : vt_value_real(r);
    }
    return SQLITE_OK;
}

/* Find column i: its serial type and its bytes. *serial is SERIAL_RESERVED for a column younger than the row. Within its callers, what it finds stays in registers. */
static inline __attribute__((always_inline)) int find_stored(struct vt_row_reader *reader, int i, uint64_t *serial, struct lsm_slice *bytes) {
    if (i < reader->next_column) rewind_reader(reader); /* or it has not begun */
    if (reader->corrupt) return SQLITE_CORRUPT_VTAB;
    const uint8_t *types = reader->types, *types_end = reader->types_end, *body = reader->body;
    const uint8_t *end = reader->record.data + reader->record.size;
    uint64_t type = SERIAL_RESERVED, size = 0;
    int next = reader->next_column;
    for (; next <= i && types < types_end; next++) {
        body += size;
        types = load_varint(types, types_end, &type);
        size = serial_size(type);
        if (types == NULL || size > (uint64_t)(end - body)) {
            reader->corrupt = true;
            return SQLITE_CORRUPT_VTAB;
        }
    }
    *serial = next > i ? type : SERIAL_RESERVED;
    *bytes = (struct lsm_slice){.data = body, .size = next > i ? (size_t)size : 0};
    reader->types = types;
    reader->body = body + size;
    reader->next_column = next;
    return SQLITE_OK;
}

/* The value of what find_stored() found. */
static int value_found(const struct vt_row_reader *reader, int i, uint64_t serial, struct lsm_slice bytes, struct vt_value *out) {
    if (serial == SERIAL_RESERVED) {
        *out = reader->schema->columns[i].default_value;
        return SQLITE_OK;
    }
    int rc = value_of_serial(reader, i, serial, bytes, out);
    if (rc == SQLITE_OK && out->type == SQLITE_INTEGER && reader->schema->columns[i].affinity == VT_AFFINITY_REAL) {
        *out = vt_value_real((double)out->i);
    }
    return rc;
}

static int get_stored(struct vt_row_reader *reader, int i, struct vt_value *out) {
    uint64_t serial;
    struct lsm_slice bytes = {0};
    int rc = find_stored(reader, i, &serial, &bytes);
    return rc == SQLITE_OK ? value_found(reader, i, serial, bytes, out) : rc;
}

int vt_row_get(struct vt_row_reader *reader, int i, struct vt_value *out) {
    const struct vt_schema *schema = reader->schema;
    if (i < 0 || i > schema->column_count) return SQLITE_MISUSE;
    if (i == schema->column_count) {
        *out = schema->kind == VT_KIND_CLUSTERED ? vt_value_bytes(SQLITE_BLOB, reader->key.data, reader->key.size) : vt_value_null();
        return SQLITE_OK;
    }
    if (i == schema->rowid_column) {
        int64_t rowid;
        if (!vt_key_get_int64(reader->key, &rowid)) return SQLITE_CORRUPT_VTAB;
        *out = vt_value_int(rowid);
        return SQLITE_OK;
    }
    return get_stored(reader, i, out);
}

/* Text or a blob, straight from where it lies; most of what a scan hands over. */
static inline void result_bytes(bool text, struct lsm_slice bytes, sqlite3_context *context, sqlite3_destructor_type destructor) {
    const char *data = bytes.size == 0 ? "" : (const char *)bytes.data;
    if (text)
        sqlite3_result_text64(context, data, bytes.size, destructor, SQLITE_UTF8);
    else
        sqlite3_result_blob64(context, data, bytes.size, destructor);
}

/* Any column but one that stands in the key byte for byte. */
static VT_APART int result_other(struct vt_row_reader *reader, int i, sqlite3_context *context, sqlite3_destructor_type destructor) {
    const struct vt_schema *schema = reader->schema;
    struct vt_value value;
    uint64_t serial;
    struct lsm_slice bytes;
    int rc;
    if (i >= 0 && i < schema->column_count && i != schema->rowid_column) {
        rc = find_stored(reader, i, &serial, &bytes);
        if (rc == SQLITE_OK && serial >= SERIAL_BLOB) {
            result_bytes((serial & 1) != 0, bytes, context, destructor);
            return SQLITE_OK;
        }
        if (rc == SQLITE_OK) rc = value_found(reader, i, serial, bytes, &value);
    } else {
        rc = vt_row_get(reader, i, &value);
    }
    if (rc == SQLITE_OK) vt_value_result(context, &value, destructor);
    return rc;
}

int vt_row_result(struct vt_row_reader *reader, int i, sqlite3_context *context, sqlite3_destructor_type destructor) {
    bool text;
    struct lsm_slice bytes;
    if (i != reader->schema->bytes_column || !vt_key_only_bytes(reader->key, &text, &bytes)) return result_other(reader, i, context, destructor);
    result_bytes(text, bytes, context, destructor);
    return SQLITE_OK;
}

/* ---- checking ------------------------------------------------------------------------------------------------- */

static int check_key(const struct vt_schema *schema, struct lsm_slice key) {
    int64_t rowid;
    if (schema->kind == VT_KIND_ROWID) return vt_key_get_int64(key, &rowid) ? SQLITE_OK : SQLITE_CORRUPT_VTAB;
    return vt_key_check(schema->key, schema->key_count, key);
}

int vt_row_check(const struct vt_schema *schema, struct lsm_slice key, struct lsm_slice record) {
    struct vt_row_reader reader;
    struct vt_value value;
    int rc = check_key(schema, key);
    vt_row_reader_init(&reader, schema, key, record);
    for (int i = 0; i < schema->column_count && rc == SQLITE_OK; i++) rc = get_stored(&reader, i, &value);
    if (rc != SQLITE_OK) return rc;
    return reader.types == reader.types_end && reader.body == record.data + record.size ? SQLITE_OK : SQLITE_CORRUPT_VTAB;
}
