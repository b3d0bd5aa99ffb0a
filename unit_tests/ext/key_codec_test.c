/* Keys against SQLite itself: the order of the bytes is the order of the values, a range of bytes is what a WHERE clause selects. */
#include <math.h>

#include "../../ext/key_codec.h"
#include "database.h"

/* ---- values --------------------------------------------------------------------------------------------------- */

#define TEXT_MAX 24

struct holder {
    struct vt_value value;
    uint8_t bytes[TEXT_MAX];
};

static double some_real(void) {
    static const double special[] = {0.0,
                                     -0.0,
                                     0.5,
                                     -0.5,
                                     1.5,
                                     -1.5,
                                     5e-324,
                                     -5e-324,
                                     0.1,
                                     -0.1,
                                     1e300,
                                     -1e300,
                                     255.5,
                                     256.5,
                                     -256.5,
                                     4503599627370495.5,
                                     -4503599627370495.5,
                                     9223372036854775808.0,
                                     -9223372036854775808.0,
                                     9223372036854774784.0,
                                     -9223372036854777856.0};
    double r;
    uint64_t bits;
    switch (below(6)) {
    case 0: return special[below(sizeof special / sizeof *special)];
    case 1: return below(2) ? INFINITY : -INFINITY;
    case 2: return (double)((int64_t)below(40) - 20) / 4;
    case 3: return (double)((UINT64_C(1) << 53) + below(9) - 4) * (below(2) ? 1 : -1);
    case 4: return ldexp((double)((int64_t)below(9) - 4), (int)below(66) - 4) + (double)below(3) / 2;
    default:
        do {
            bits = rnd();
            memcpy(&r, &bits, sizeof r);
        } while (isnan(r));
        return r;
    }
}

static int64_t some_int(void) {
    switch (below(6)) {
    case 0: return (int64_t)below(12) - 6;
    case 1: return (int64_t)((UINT64_C(1) << 53) + below(9) - 4) * (below(2) ? 1 : -1);
    case 2: return INT64_MAX - (int64_t)below(3);
    case 3: return INT64_MIN + (int64_t)below(3);
    case 4: return ((int64_t)(UINT64_C(1) << below(63)) - (int64_t)below(3)) * (below(2) ? 1 : -1);
    default: return (int64_t)rnd() >> below(64);
    }
}

/* Short bytes over a small alphabet, so that equal prefixes, zero bytes, blanks and both cases meet. */
static void some_bytes(struct holder *h, int type) {
    static const uint8_t alphabet[] = {0, 0, 1, ' ', ' ', 'a', 'A', 'b', 'B', '[', '_', 'z', 'Z', '{', 0x7f, 0xc3, 0xfe, 0xff};
    size_t n = below(7);
    for (size_t i = 0; i < n; i++) h->bytes[i] = alphabet[below(sizeof alphabet)];
    h->value = vt_value_bytes(type, h->bytes, n);
}

static void some_value(struct holder *h) {
    switch (below(9)) {
    case 0: h->value = vt_value_null(); break;
    case 1:
    case 2: h->value = vt_value_int(some_int()); break;
    case 3:
    case 4: h->value = vt_value_real(some_real()); break;
    case 5: some_bytes(h, SQLITE_BLOB); break;
    default: some_bytes(h, SQLITE_TEXT); break;
    }
}

static void bind(sqlite3_stmt *s, int at, const struct vt_value *v) {
    switch (v->type) {
    case SQLITE_INTEGER: sqlite3_bind_int64(s, at, v->i); break;
    case SQLITE_FLOAT: sqlite3_bind_double(s, at, v->r); break;
    case SQLITE_TEXT: sqlite3_bind_text(s, at, (const char *)v->bytes, (int)v->size, SQLITE_TRANSIENT); break;
    case SQLITE_BLOB: sqlite3_bind_blob(s, at, v->bytes, (int)v->size, SQLITE_TRANSIENT); break;
    default: sqlite3_bind_null(s, at); break;
    }
}

static char *shown(const struct vt_value *v) {
    static char text[4][120];
    static int next;
    char *out = text[next++ & 3];
    int n = 0;
    if (v->type == SQLITE_INTEGER) {
        snprintf(out, sizeof text[0], "%lld", (long long)v->i);
    } else if (v->type == SQLITE_FLOAT) {
        snprintf(out, sizeof text[0], "%.17g", v->r);
    } else if (v->type == SQLITE_NULL) {
        snprintf(out, sizeof text[0], "NULL");
    } else {
        n = snprintf(out, sizeof text[0], "%s'", v->type == SQLITE_TEXT ? "t" : "x");
        for (size_t i = 0; i < v->size; i++) n += snprintf(out + n, sizeof text[0] - (size_t)n, "%02x ", v->bytes[i]);
    }
    return out;
}

static int sign(int order) { return order < 0 ? -1 : order > 0; }

static int compare(struct lsm_slice a, struct lsm_slice b) {
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) return sign(order);
    return a.size < b.size ? -1 : a.size > b.size;
}

/* SQLite's order of two values as a sorter sees them, NULLs first and equal. */
static sqlite3_stmt *order_by[3];
static int sqlite_order(const struct vt_value *a, const struct vt_value *b, enum vt_collation collation) {
    if (a->type == SQLITE_NULL || b->type == SQLITE_NULL) return (a->type != SQLITE_NULL) - (b->type != SQLITE_NULL);
    sqlite3_stmt *s = order_by[collation];
    bind(s, 1, a);
    bind(s, 2, b);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int order = sqlite3_column_int(s, 0);
    sqlite3_reset(s);
    return order;
}

static void prepare_order(void) {
    for (int i = 0; i < 3; i++) {
        char *sql = sqlite3_mprintf("SELECT (?1 > ?2 COLLATE %s) - (?1 < ?2 COLLATE %s)", vt_collation_name((enum vt_collation)i),
                                    vt_collation_name((enum vt_collation)i));
        order_by[i] = prepare(sql);
        sqlite3_free(sql);
    }
}

static void finalize_order(void) {
    for (int i = 0; i < 3; i++) sqlite3_finalize(order_by[i]);
}

/* ---- order ---------------------------------------------------------------------------------------------------- */

/* Half of the second values are neighbours of the first, where mistakes live. */
static void neighbour(struct holder *h, const struct holder *of) {
    *h = *of;
    if (of->value.type == SQLITE_INTEGER) {
        h->value = below(2) ? vt_value_real((double)of->value.i) : vt_value_int(of->value.i + (of->value.i < INT64_MAX && below(2)));
    } else if (of->value.type == SQLITE_FLOAT) {
        double r = below(3) ? nextafter(of->value.r, below(2) ? INFINITY : -INFINITY) : floor(of->value.r);
        h->value = vt_value_real(r);
        if (below(2) && fabs(r) < 9.2e18) h->value = vt_value_int((int64_t)r);
    } else if (of->value.size > 0) {
        h->value.bytes = h->bytes;
        h->bytes[below(of->value.size)] ^= below(2) ? 0x20 : 1;
        if (below(3) == 0) h->value.size--;
    }
}

static void check_pair(const struct vt_value *a, const struct vt_value *b, struct vt_key_column column, bool last, struct vt_bytes *x,
                       struct vt_bytes *y) {
    vt_bytes_reset(x);
    vt_bytes_reset(y);
    assert_int_equal(vt_key_append(x, a, &column, last), SQLITE_OK);
    assert_int_equal(vt_key_append(y, b, &column, last), SQLITE_OK);
    int want = sqlite_order(a, b, column.collation), got = compare(vt_bytes_slice(x), vt_bytes_slice(y));
    if (got != (column.desc ? -want : want)) {
        fail_msg("%s and %s, %s%s%s: keys say %d, SQLite %d", shown(a), shown(b), vt_collation_name(column.collation), column.desc ? " DESC" : "",
                 last ? " last" : "", got, want);
    }
}

static void byte_order_is_sqlites_order(void **unused) {
    (void)unused;
    prepare_order();
    struct vt_bytes x = {0}, y = {0};
    for (int round = 0; round < 150000; round++) {
        struct holder a, b;
        some_value(&a);
        if (below(2))
            neighbour(&b, &a);
        else
            some_value(&b);
        for (int variant = 0; variant < 12; variant++) {
            check_pair(&a.value, &b.value, (struct vt_key_column){.collation = (enum vt_collation)(variant % 3), .desc = variant >= 6},
                       variant / 3 % 2, &x, &y);
        }
    }
    vt_bytes_release(&x);
    vt_bytes_release(&y);
    finalize_order();
}

/* Rows of three columns: order by columns, not by bytes of neighbours; and a prefix holds exactly its rows. */
static void composite_keys_order_and_prefixes_hold(void **unused) {
    (void)unused;
    prepare_order();
    struct vt_bytes keys[2] = {{0}, {0}}, prefix = {0}, after = {0};
    for (int round = 0; round < 60000; round++) {
        struct vt_key_column columns[3];
        struct holder rows[2][3];
        for (int i = 0; i < 3; i++) {
            columns[i] = (struct vt_key_column){.column = i, .collation = (enum vt_collation)below(3), .desc = below(2)};
            some_value(&rows[0][i]);
            rows[1][i] = rows[0][i];
            if (rows[1][i].value.size > 0) rows[1][i].value.bytes = rows[1][i].bytes;
            uint64_t how = below(3);
            if (how == 0) some_value(&rows[1][i]);
            if (how == 1) neighbour(&rows[1][i], &rows[0][i]);
        }
        int want = 0, equal = 0;
        for (int i = 0; i < 3 && want == 0; i++) {
            want = sqlite_order(&rows[0][i].value, &rows[1][i].value, columns[i].collation) * (columns[i].desc ? -1 : 1);
            equal += want == 0;
        }
        for (int r = 0; r < 2; r++) {
            vt_bytes_reset(&keys[r]);
            for (int i = 0; i < 3; i++) assert_int_equal(vt_key_append(&keys[r], &rows[r][i].value, &columns[i], i == 2), SQLITE_OK);
            assert_int_equal(vt_key_check(columns, 3, vt_bytes_slice(&keys[r])), SQLITE_OK);
        }
        assert_int_equal(compare(vt_bytes_slice(&keys[0]), vt_bytes_slice(&keys[1])), want);
        vt_bytes_reset(&prefix);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(vt_key_append(&prefix, &rows[0][i].value, &columns[i], i == 2), SQLITE_OK);
            assert_int_equal(vt_bytes_set(&after, vt_bytes_slice(&prefix)), SQLITE_OK);
            assert_int_equal(vt_key_after(&after, i == 2), SQLITE_OK);
            bool inside =
                compare(vt_bytes_slice(&keys[1]), vt_bytes_slice(&prefix)) >= 0 && compare(vt_bytes_slice(&keys[1]), vt_bytes_slice(&after)) < 0;
            if (inside != (equal > i)) fail_msg("prefix of %d columns: %s", i + 1, inside ? "holds a stranger" : "misses a row");
        }
    }
    vt_bytes_release(&keys[0]);
    vt_bytes_release(&keys[1]);
    vt_bytes_release(&prefix);
    vt_bytes_release(&after);
    finalize_order();
}

/* ---- ranges --------------------------------------------------------------------------------------------------- */

#define RANGE_ROWS 60

struct range_case {
    struct vt_key_column columns[2];
    int column_count;
    struct vt_bytes keys[RANGE_ROWS];
};

/* The rows whose key is in the range, as a bitmap; the same from SQL must be equal. */
static uint64_t rows_in_range(const struct range_case *c, const struct vt_key_query *query) {
    struct vt_bytes low = {0}, high = {0};
    bool has_low, has_high, empty;
    uint64_t found = 0;
    assert_int_equal(vt_key_range(c->columns, c->column_count, query, &low, &has_low, &high, &has_high, &empty), SQLITE_OK);
    for (int i = 0; i < RANGE_ROWS && !empty; i++) {
        struct lsm_slice key = vt_bytes_slice(&c->keys[i]);
        bool in = (!has_low || compare(key, vt_bytes_slice(&low)) >= 0) && (!has_high || compare(key, vt_bytes_slice(&high)) < 0);
        found |= (uint64_t)in << i;
    }
    vt_bytes_release(&low);
    vt_bytes_release(&high);
    return found;
}

static void one_range(const struct range_case *c) {
    struct holder values[3];
    struct vt_value equal[2];
    for (int i = 0; i < 3; i++) some_value(&values[i]);
    uint64_t from_row = below(RANGE_ROWS);
    int n = (int)below((uint64_t)c->column_count + 1);
    sqlite3_stmt *pick = prepare("SELECT k0, k1 FROM t WHERE id = ?1");
    sqlite3_bind_int64(pick, 1, (int64_t)from_row);
    assert_int_equal(sqlite3_step(pick), SQLITE_ROW);
    for (int i = 0; i < 2; i++) assert_int_equal(vt_value_of(sqlite3_column_value(pick, i), &equal[i]), SQLITE_OK);
    struct vt_key_query query = {.equal = equal, .equal_count = n, .types = (enum vt_types)below(3)};
    char *sql = sqlite3_mprintf("SELECT id FROM t WHERE 1");
    for (int i = 0; i < n; i++) sql = sqlite3_mprintf("%z AND k%d IS ?%d", sql, i, i + 1);
    if (n < c->column_count) {
        if (below(2)) values[1].value = equal[n];
        if (below(2)) query.lower = (struct vt_bound){.value = &values[1].value, .inclusive = below(2)};
        if (below(2)) query.upper = (struct vt_bound){.value = &values[2].value, .inclusive = below(2)};
        if (query.lower.value != NULL) sql = sqlite3_mprintf("%z AND k%d %s ?3", sql, n, query.lower.inclusive ? ">=" : ">");
        if (query.upper.value != NULL) sql = sqlite3_mprintf("%z AND k%d %s ?4", sql, n, query.upper.inclusive ? "<=" : "<");
        if (query.types == VT_TYPES_NOT_NULL) sql = sqlite3_mprintf("%z AND k%d IS NOT NULL", sql, n);
        if (query.types == VT_TYPES_TEXT) sql = sqlite3_mprintf("%z AND typeof(k%d) = 'text'", sql, n);
    }
    sqlite3_stmt *s = prepare(sql);
    for (int i = 0; i < n; i++) bind(s, i + 1, &equal[i]);
    if (n < c->column_count && query.lower.value != NULL) bind(s, 3, query.lower.value);
    if (n < c->column_count && query.upper.value != NULL) bind(s, 4, query.upper.value);
    uint64_t want = 0, got = rows_in_range(c, &query);
    while (sqlite3_step(s) == SQLITE_ROW) want |= UINT64_C(1) << sqlite3_column_int(s, 0);
    if (want != got)
        fail_msg("%s [%s %s | %s %s]: %llx, SQLite %llx", sql, shown(&equal[0]), shown(&equal[1]), shown(&values[1].value), shown(&values[2].value),
                 (unsigned long long)got, (unsigned long long)want);
    sqlite3_finalize(s);
    sqlite3_finalize(pick);
    sqlite3_free(sql);
}

static void ranges_select_what_the_where_clause_selects(void **unused) {
    (void)unused;
    for (int round = 0; round < 150; round++) {
        struct range_case c = {.column_count = 1 + (int)below(2)};
        for (int i = 0; i < 2; i++) c.columns[i] = (struct vt_key_column){.column = i, .collation = (enum vt_collation)below(3), .desc = below(2)};
        char *sql = sqlite3_mprintf("CREATE TABLE t(id INTEGER PRIMARY KEY, k0 COLLATE %s, k1 COLLATE %s)", vt_collation_name(c.columns[0].collation),
                                    vt_collation_name(c.columns[1].collation));
        must(sql);
        sqlite3_free(sql);
        sqlite3_stmt *insert = prepare("INSERT INTO t VALUES(?1, ?2, ?3)");
        struct holder row[2];
        for (int i = 0; i < 2; i++) some_value(&row[i]);
        for (int id = 0; id < RANGE_ROWS; id++) {
            if (id == 0 || below(3) == 0) some_value(&row[0]);
            some_value(&row[1]);
            sqlite3_bind_int(insert, 1, id);
            for (int i = 0; i < 2; i++) bind(insert, i + 2, &row[i].value);
            assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
            sqlite3_reset(insert);
            for (int i = 0; i < c.column_count; i++) {
                assert_int_equal(vt_key_append(&c.keys[id], &row[i].value, &c.columns[i], i == c.column_count - 1), SQLITE_OK);
            }
        }
        sqlite3_finalize(insert);
        for (int i = 0; i < 150; i++) one_range(&c);
        for (int id = 0; id < RANGE_ROWS; id++) vt_bytes_release(&c.keys[id]);
        must("DROP TABLE t");
    }
}

static void rowids_are_searched_by_any_number_or_text(void **unused) {
    (void)unused;
    must("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    sqlite3_stmt *insert = prepare("INSERT OR IGNORE INTO t VALUES(?1)");
    for (int i = 0; i < 400; i++) {
        sqlite3_bind_int64(insert, 1, some_int());
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    static const char *const operators[] = {"=", "<", "<=", ">", ">="};
    for (int round = 0; round < 3000; round++) {
        struct holder h;
        some_value(&h);
        int op = (int)below(5);
        struct vt_key_query query = {.equal = &h.value, .equal_count = op == 0};
        if (op == 1 || op == 2) query.upper = (struct vt_bound){.value = &h.value, .inclusive = op == 2};
        if (op == 3 || op == 4) query.lower = (struct vt_bound){.value = &h.value, .inclusive = op == 4};
        struct vt_bytes low = {0}, high = {0};
        bool has_low, has_high, empty;
        assert_int_equal(vt_key_range(vt_rowid_key, 1, &query, &low, &has_low, &high, &has_high, &empty), SQLITE_OK);
        char *sql = sqlite3_mprintf("SELECT id, id %s ?1 FROM t", operators[op]);
        sqlite3_stmt *s = prepare(sql);
        bind(s, 1, &h.value);
        while (sqlite3_step(s) == SQLITE_ROW) {
            uint8_t bytes[VT_KEY_INT64_BYTES_MAX];
            struct lsm_slice key = {.data = bytes, .size = vt_key_put_int64(bytes, sqlite3_column_int64(s, 0))};
            bool in = !empty && (!has_low || compare(key, vt_bytes_slice(&low)) >= 0) && (!has_high || compare(key, vt_bytes_slice(&high)) < 0);
            if (in != sqlite3_column_int(s, 1)) fail_msg("rowid %lld %s %s", (long long)sqlite3_column_int64(s, 0), operators[op], shown(&h.value));
        }
        sqlite3_finalize(s);
        sqlite3_free(sql);
        vt_bytes_release(&low);
        vt_bytes_release(&high);
    }
    must("DROP TABLE t");
}

static void a_bound_longer_than_any_key_is_cut(void **unused) {
    (void)unused;
    size_t size = LSM_KEY_BYTES_MAX + 100;
    uint8_t *text = sqlite3_malloc64(size);
    assert_non_null(text);
    memset(text, 'x', size);
    struct vt_value value = vt_value_bytes(SQLITE_TEXT, text, size);
    struct vt_key_column column = {.column = 0};
    struct vt_key_query query = {.equal = &value, .equal_count = 1};
    struct vt_bytes low = {0}, high = {0};
    bool has_low, has_high, empty;
    assert_int_equal(vt_key_range(&column, 1, &query, &low, &has_low, &high, &has_high, &empty), SQLITE_OK);
    assert_true(empty);
    query = (struct vt_key_query){.lower = {.value = &value, .inclusive = true}};
    assert_int_equal(vt_key_range(&column, 1, &query, &low, &has_low, &high, &has_high, &empty), SQLITE_OK);
    assert_true(has_low && !has_high && !empty);
    assert_true(low.size <= LSM_KEY_BYTES_MAX);
    struct vt_schema schema = {.kind = VT_KIND_CLUSTERED, .key_count = 1, .key = &column};
    assert_int_equal(vt_key_encode_row(&schema, &value, &high), SQLITE_TOOBIG);
    value.size = LSM_KEY_BYTES_MAX - 2;
    vt_bytes_reset(&high);
    assert_int_equal(vt_key_encode_row(&schema, &value, &high), SQLITE_OK);
    assert_true(compare(vt_bytes_slice(&high), vt_bytes_slice(&low)) < 0);
    vt_bytes_release(&low);
    vt_bytes_release(&high);
    sqlite3_free(text);
}

/* ---- reading back ---------------------------------------------------------------------------------------------- */

static void what_a_key_keeps_is_read_back_exactly(void **unused) {
    (void)unused;
    int kept = 0;
    struct vt_bytes key = {0};
    for (int round = 0; round < 200000; round++) {
        struct vt_key_column columns[4];
        struct holder h[4];
        int count = 1 + (int)below(4);
        vt_bytes_reset(&key);
        for (int i = 0; i < count; i++) {
            columns[i] = (struct vt_key_column){.column = i, .collation = (enum vt_collation)below(3), .desc = below(2)};
            some_value(&h[i]);
            assert_int_equal(vt_key_append(&key, &h[i].value, &columns[i], i == count - 1), SQLITE_OK);
        }
        for (int i = 0; i < count; i++) {
            struct vt_value *v = &h[i].value, out;
            int rc = vt_key_read(columns, count, vt_bytes_slice(&key), i, &out);
            if (!vt_key_keeps(v, &columns[i], i == count - 1)) continue;
            kept++;
            bool same = rc == SQLITE_OK && out.type == v->type && out.i == v->i && memcmp(&out.r, &v->r, sizeof out.r) == 0 && out.size == v->size;
            if (!same || (out.size > 0 && memcmp(out.bytes, v->bytes, out.size) != 0))
                fail_msg("%s comes back as %s (%d)", shown(v), shown(&out), rc);
        }
    }
    assert_true(kept > 100000);
    vt_bytes_release(&key);
}

static void damaged_keys_are_refused_or_read_within_bounds(void **unused) {
    (void)unused;
    struct vt_bytes key = {0};
    for (int round = 0; round < 200000; round++) {
        struct vt_key_column columns[3];
        int count = 1 + (int)below(3);
        vt_bytes_reset(&key);
        for (int i = 0; i < count; i++) {
            struct holder h;
            columns[i] = (struct vt_key_column){.column = i, .collation = (enum vt_collation)below(3), .desc = below(2)};
            some_value(&h);
            assert_int_equal(vt_key_append(&key, &h.value, &columns[i], i == count - 1), SQLITE_OK);
        }
        size_t size = below(4) == 0 ? below(key.size + 1) : key.size;
        uint8_t *exact = malloc(size == 0 ? 1 : size);
        assert_non_null(exact);
        memcpy(exact, key.data, size);
        for (uint64_t flips = below(4); flips > 0 && size > 0; flips--)
            exact[below(size)] = below(2) ? (uint8_t)rnd() : (uint8_t)(below(2) ? 0xff : 0);
        struct lsm_slice slice = {.data = exact, .size = size};
        uint64_t sum = 0;
        for (int i = 0; i < count; i++) {
            struct vt_value out;
            if (vt_key_read(columns, count, slice, i, &out) != SQLITE_OK) continue;
            for (size_t b = 0; b < out.size; b++) sum += out.bytes[b];
        }
        int64_t rowid;
        sum += vt_key_get_int64(slice, &rowid) + (uint64_t)vt_key_check(columns, count, slice);
        assert_true(sum < UINT64_MAX);
        free(exact);
    }
    vt_bytes_release(&key);
}

static void rowids_have_one_form(void **unused) {
    (void)unused;
    uint8_t bytes[VT_KEY_INT64_BYTES_MAX];
    for (int round = 0; round < 300000; round++) {
        int64_t v = some_int(), back;
        struct lsm_slice key = {.data = bytes, .size = vt_key_put_int64(bytes, v)};
        assert_true(key.size <= VT_KEY_INT64_BYTES_MAX && vt_key_get_int64(key, &back) && back == v);
        key.size--;
        assert_false(vt_key_get_int64(key, &back));
    }
    static const uint8_t overlong[] = {0x22, 0x00, 0x07}, negative[] = {0x1e, 0xff}, beyond[] = {0x28, 0x80, 0, 0, 0, 0, 0, 0, 0};
    int64_t back;
    assert_false(vt_key_get_int64((struct lsm_slice){.data = overlong, .size = 3}, &back));
    assert_false(vt_key_get_int64((struct lsm_slice){.data = negative, .size = 2}, &back));
    assert_false(vt_key_get_int64((struct lsm_slice){.data = beyond, .size = 9}, &back));
    assert_false(vt_key_get_int64((struct lsm_slice){0}, &back));
}

/* ---- the format ------------------------------------------------------------------------------------------------ */

static void expect_key(const struct vt_value *value, enum vt_collation collation, bool desc, bool last, const char *hex) {
    struct vt_bytes key = {0};
    struct vt_key_column column = {.collation = collation, .desc = desc};
    assert_int_equal(vt_key_append(&key, value, &column, last), SQLITE_OK);
    char text[100] = "";
    for (size_t i = 0; i < key.size; i++) snprintf(text + 3 * i, 4, "%02x ", key.data[i]);
    if (key.size > 0) text[3 * key.size - 1] = '\0';
    assert_string_equal(text, hex);
    vt_bytes_release(&key);
}

/* The examples of docs/format.md, "Keys and rows". */
static void the_format_is_as_written_down(void **unused) {
    (void)unused;
    struct vt_value null = vt_value_null(), zero = vt_value_int(0), minus = vt_value_int(-1), n300 = vt_value_int(300), m300 = vt_value_int(-300);
    struct vt_value half = vt_value_real(2.5), mhalf = vt_value_real(-2.5), big = vt_value_real(1e19), one = vt_value_real(1.0),
                    low = vt_value_real(-1e19);
    struct vt_value text = vt_value_bytes(SQLITE_TEXT, "Ab", 2), nul = vt_value_bytes(SQLITE_TEXT, "A\0b", 3),
                    blob = vt_value_bytes(SQLITE_BLOB, "\0\xff", 2);
    struct vt_value blank = vt_value_bytes(SQLITE_TEXT, "A  ", 3), empty = vt_value_bytes(SQLITE_TEXT, "", 0), max = vt_value_int(INT64_MAX);
    expect_key(&null, VT_COLLATE_BINARY, false, true, "10");
    expect_key(&null, VT_COLLATE_BINARY, true, true, "ef");
    expect_key(&zero, VT_COLLATE_BINARY, false, true, "20");
    expect_key(&minus, VT_COLLATE_BINARY, false, true, "1f");
    expect_key(&n300, VT_COLLATE_BINARY, false, true, "22 01 2c");
    expect_key(&m300, VT_COLLATE_BINARY, false, true, "1d fe d4");
    expect_key(&max, VT_COLLATE_BINARY, false, true, "28 7f ff ff ff ff ff ff ff");
    expect_key(&n300, VT_COLLATE_BINARY, true, true, "dd fe d3 ff");
    expect_key(&one, VT_COLLATE_BINARY, false, true, "21 01");
    expect_key(&half, VT_COLLATE_BINARY, false, true, "21 02 ff 3f e0 00 00 00 00 00 00");
    expect_key(&mhalf, VT_COLLATE_BINARY, false, true, "1e fd ff c0 1f ff ff ff ff ff ff");
    expect_key(&half, VT_COLLATE_BINARY, true, true, "de fd 00 c0 1f ff ff ff ff ff ff");
    expect_key(&big, VT_COLLATE_BINARY, false, true, "29 43 e1 58 e4 60 91 3d 00");
    expect_key(&low, VT_COLLATE_BINARY, false, true, "16 bc 1e a7 1b 9f 6e c2 ff");
    expect_key(&text, VT_COLLATE_BINARY, false, true, "30 41 62");
    expect_key(&text, VT_COLLATE_BINARY, false, false, "30 41 62 00 00");
    expect_key(&text, VT_COLLATE_BINARY, true, true, "cf be 9d ff ff");
    expect_key(&text, VT_COLLATE_NOCASE, false, true, "30 61 62");
    expect_key(&blank, VT_COLLATE_RTRIM, false, true, "30 41");
    expect_key(&empty, VT_COLLATE_BINARY, false, true, "30");
    expect_key(&nul, VT_COLLATE_BINARY, false, true, "30 41 00 62");
    expect_key(&nul, VT_COLLATE_BINARY, false, false, "30 41 00 ff 62 00 00");
    expect_key(&nul, VT_COLLATE_NOCASE, false, false, "30 61 00 ff 21 03");
    expect_key(&blob, VT_COLLATE_BINARY, false, false, "40 00 ff ff 00 00");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format_is_as_written_down),
        cmocka_unit_test(byte_order_is_sqlites_order),
        cmocka_unit_test(composite_keys_order_and_prefixes_hold),
        cmocka_unit_test(ranges_select_what_the_where_clause_selects),
        cmocka_unit_test(rowids_are_searched_by_any_number_or_text),
        cmocka_unit_test(a_bound_longer_than_any_key_is_cut),
        cmocka_unit_test(what_a_key_keeps_is_read_back_exactly),
        cmocka_unit_test(damaged_keys_are_refused_or_read_within_bounds),
        cmocka_unit_test(rowids_have_one_form),
    };
    return cmocka_run_group_tests(tests, open_with_chance, close_database);
}
