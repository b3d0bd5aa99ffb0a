#include "value.h"

/* ---- growable bytes ------------------------------------------------------------------------------------------- */

#define BYTES_MIN 64 /* a first allocation that holds most keys and small rows */

void vt_bytes_release(struct vt_bytes *bytes) {
    sqlite3_free(bytes->data);
    *bytes = (struct vt_bytes){0};
}

int vt_bytes_grow(struct vt_bytes *bytes, size_t more) {
    if (more > SIZE_MAX / 4 || bytes->size > SIZE_MAX / 4) return SQLITE_NOMEM; /* LCOV_EXCL_BR_LINE: SQLite's values are shorter */
    size_t want = bytes->size + more, capacity = bytes->capacity * 2;
    if (capacity < want) capacity = want;
    if (capacity < BYTES_MIN) capacity = BYTES_MIN;
    uint8_t *data = sqlite3_realloc64(bytes->data, capacity);
    if (data == NULL) return SQLITE_NOMEM;
    bytes->data = data;
    bytes->capacity = capacity;
    return SQLITE_OK;
}

int vt_bytes_append(struct vt_bytes *bytes, const void *data, size_t size) {
    int rc = vt_bytes_reserve(bytes, size);
    if (rc != SQLITE_OK) return rc;
    if (size > 0) memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return SQLITE_OK;
}

int vt_bytes_put(struct vt_bytes *bytes, uint8_t byte) {
    int rc = vt_bytes_reserve(bytes, 1);
    if (rc != SQLITE_OK) return rc;
    bytes->data[bytes->size++] = byte;
    return SQLITE_OK;
}

int vt_bytes_set(struct vt_bytes *bytes, struct lsm_slice content) {
    size_t before = bytes->size;
    bytes->size = 0;
    int rc = vt_bytes_append(bytes, content.data, content.size);
    if (rc != SQLITE_OK) bytes->size = before;
    return rc;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

/* sqlite3_value_text() puts a NUL behind the text, and copies it where there is none; as a blob it stays where it is. */
static int text_of(sqlite3_value *in, struct vt_value *out) {
    const void *text = NULL;
    if (vt_sqlite_at_least(3040000) && sqlite3_value_encoding(in) == SQLITE_UTF8) text = sqlite3_value_blob(in);
    if (text == NULL) text = sqlite3_value_text(in); /* also of "", which is no blob */
    if (text == NULL) return SQLITE_NOMEM;
    *out = vt_value_bytes(SQLITE_TEXT, text, (size_t)sqlite3_value_bytes(in));
    return SQLITE_OK;
}

static int blob_of(sqlite3_value *in, struct vt_value *out) {
    /* First the blob (a zeroblob is expanded by this), then its size. */
    const void *blob = sqlite3_value_blob(in);
    size_t size = (size_t)sqlite3_value_bytes(in);
    if (blob == NULL && size > 0) return SQLITE_NOMEM;
    *out = vt_value_bytes(SQLITE_BLOB, blob, size);
    return SQLITE_OK;
}

int vt_value_of(sqlite3_value *in, struct vt_value *out) {
    switch (sqlite3_value_type(in)) {
    case SQLITE_INTEGER: *out = vt_value_int(sqlite3_value_int64(in)); return SQLITE_OK;
    case SQLITE_FLOAT: *out = vt_value_real(sqlite3_value_double(in)); return SQLITE_OK;
    case SQLITE_TEXT: return text_of(in, out);
    case SQLITE_BLOB: return blob_of(in, out);
    default: *out = vt_value_null(); return SQLITE_OK;
    }
}

void vt_value_result(sqlite3_context *context, const struct vt_value *value, sqlite3_destructor_type destructor) {
    switch (value->type) {
    case SQLITE_INTEGER: sqlite3_result_int64(context, value->i); break;
    case SQLITE_FLOAT: sqlite3_result_double(context, value->r); break;
    case SQLITE_TEXT: sqlite3_result_text64(context, (const char *)value->bytes, value->size, destructor, SQLITE_UTF8); break;
    case SQLITE_BLOB: sqlite3_result_blob64(context, value->bytes, value->size, destructor); break;
    default: sqlite3_result_null(context); break;
    }
}

/* ---- affinity ------------------------------------------------------------------------------------------------- */

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

/* SQLite looks for the words from left to right, and a later one overrules an earlier one only where the rules below say so. */
enum vt_affinity vt_affinity_of_type(const char *type) {
    if (type == NULL || type[0] == '\0') return VT_AFFINITY_BLOB;
    enum vt_affinity affinity = VT_AFFINITY_NUMERIC;
    char last[4] = {0, 0, 0, 0};
    for (const char *p = type; *p != '\0'; p++) {
        memmove(last, last + 1, 3);
        last[3] = (char)lower((uint8_t)*p);
        if (memcmp(last + 1, "int", 3) == 0) return VT_AFFINITY_INTEGER;
        if (memcmp(last, "char", 4) == 0 || memcmp(last, "clob", 4) == 0 || memcmp(last, "text", 4) == 0) {
            affinity = VT_AFFINITY_TEXT;
        } else if (memcmp(last, "blob", 4) == 0 && (affinity == VT_AFFINITY_NUMERIC || affinity == VT_AFFINITY_REAL)) {
            affinity = VT_AFFINITY_BLOB;
        } else if (affinity == VT_AFFINITY_NUMERIC &&
                   (memcmp(last, "real", 4) == 0 || memcmp(last, "floa", 4) == 0 || memcmp(last, "doub", 4) == 0)) {
            affinity = VT_AFFINITY_REAL;
        }
    }
    return affinity;
}

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end) {
    while (p < end && is_digit(*p)) p++;
    return p;
}

/* True if SQLite would take the whole text for a number. Only the syntax: the value comes from SQLite. */
static bool looks_numeric(const uint8_t *p, const uint8_t *end) {
    while (p < end && is_space(*p)) p++;
    if (p < end && (*p == '+' || *p == '-')) p++;
    const uint8_t *digits = p;
    p = skip_digits(p, end);
    size_t count = (size_t)(p - digits);
    if (p < end && *p == '.') {
        const uint8_t *fraction = ++p;
        p = skip_digits(p, end);
        count += (size_t)(p - fraction);
    }
    if (count == 0) return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        const uint8_t *exponent = p;
        p = skip_digits(p, end);
        if (p == exponent) return false;
    }
    while (p < end && is_space(*p)) p++;
    return p == end;
}

#define PLAIN_DIGITS_MAX 18 /* any number of so many digits fits int64 */

/* [+-]?[0-9]{1,18}: what imported text mostly is. */
static bool plain_integer(const uint8_t *p, const uint8_t *end, int64_t *value) {
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end || end - p > PLAIN_DIGITS_MAX) return false;
    int64_t n = 0;
    for (; p < end; p++) {
        if (!is_digit(*p)) return false;
        n = n * 10 + (*p - '0');
    }
    *value = negative ? -n : n;
    return true;
}

bool vt_text_is_number(const uint8_t *text, size_t size, struct vt_value *number) {
    int64_t plain = 0;
    *number = vt_value_null();
    if (plain_integer(text, text + size, &plain)) *number = vt_value_int(plain);
    return number->type == SQLITE_INTEGER || looks_numeric(text, text + size);
}

/* The digits and the sign only, of a text that looks numeric: within int64? */
static bool is_int64(const uint8_t *p, const uint8_t *end) {
    static const char greatest[] = "9223372036854775807", lowest[] = "9223372036854775808";
    while (is_space(*p)) p++;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+') p++;
    while (p < end && *p == '0') p++;
    const uint8_t *digits = p;
    p = skip_digits(p, end);
    if (p < end && !is_space(*p)) return false;
    size_t count = (size_t)(p - digits), most = sizeof greatest - 1;
    return count < most || (count == most && memcmp(digits, negative ? lowest : greatest, most) <= 0);
}

/* A text that SQLite takes for a number becomes that number; others stay. The number comes from SQLite. Not through sqlite3_value_numeric_type(): that changes
 * the original, a register that other parts of the statement may still want as text, and newer versions read the connection of their argument, which a
 * copy does not have. */
static int number_from_text(sqlite3_value *in, struct vt_value *out) {
    int rc = text_of(in, out);
    if (rc != SQLITE_OK) return rc;
    int64_t plain;
    const uint8_t *end = out->bytes + out->size;
    if (plain_integer(out->bytes, end, &plain)) {
        *out = vt_value_int(plain);
    } else if (looks_numeric(out->bytes, end)) {
        *out = is_int64(out->bytes, end) ? vt_value_int(sqlite3_value_int64(in)) : vt_value_real(sqlite3_value_double(in));
    }
    return SQLITE_OK;
}

#define TWO_63 9223372036854775808.0

/* INTEGER and NUMERIC columns hold a double as an integer if that loses nothing; SQLite leaves out both ends of int64. */
static void integer_from_real(struct vt_value *value) {
    if (value->type != SQLITE_FLOAT || value->r <= -TWO_63 || value->r >= TWO_63) return;
    int64_t i = (int64_t)value->r;
    if ((double)i == value->r) *value = vt_value_int(i);
}

static void real_from_number(struct vt_value *value) {
    if (value->type == SQLITE_INTEGER) *value = vt_value_real((double)value->i);
    if (value->type == SQLITE_FLOAT) value->r += 0.0; /* -0.0 is stored as integer 0, hence comes back as 0.0 */
}

int vt_affinity_apply(sqlite3_value *in, enum vt_affinity affinity, struct vt_value *out) {
    int type = sqlite3_value_type(in);
    if (affinity == VT_AFFINITY_TEXT && (type == SQLITE_INTEGER || type == SQLITE_FLOAT)) return text_of(in, out);
    if (affinity < VT_AFFINITY_NUMERIC || type == SQLITE_NULL || type == SQLITE_BLOB) return vt_value_of(in, out);
    int rc = type == SQLITE_TEXT ? number_from_text(in, out) : vt_value_of(in, out);
    if (rc != SQLITE_OK) return rc;
    if (affinity == VT_AFFINITY_REAL) {
        real_from_number(out);
    } else {
        integer_from_real(out);
    }
    return SQLITE_OK;
}

int vt_affinity_compare(sqlite3_value *in, enum vt_affinity affinity, struct vt_value *out) {
    return vt_affinity_apply(in, affinity == VT_AFFINITY_REAL ? VT_AFFINITY_NUMERIC : affinity, out);
}

/* ---- collation ------------------------------------------------------------------------------------------------ */

static const char *const collation_names[] = {"BINARY", "NOCASE", "RTRIM"};

bool vt_collation_of_name(const char *name, enum vt_collation *collation) {
    for (int i = 0; i < 3; i++) {
        if (sqlite3_stricmp(name, collation_names[i]) != 0) continue;
        *collation = (enum vt_collation)i;
        return true;
    }
    return false;
}

const char *vt_collation_name(enum vt_collation collation) { return collation_names[collation]; }
