/* Rows: the first byte tells the table, the second what follows: the values of a row, or the length of a key, the key and a record as they might stand in a
 * file.
 *
 * Promised: a row that is written is read again, column by column, in any order; of any bytes each column has an answer, the same in any order; a record that
 * vt_row_check() finds whole can be read whole and written again, and reads the same then.
 */
#include "values.h"

#include "../ext/ddl.h"
#include "../ext/row_codec.h"

enum { ROW_INPUT_MAX = 1024, COLUMNS_MAX = 12 };

static const char *const tables[][COLUMNS_MAX] = {
    {"a", "b TEXT", "c REAL", "d INTEGER"},
    {"id INTEGER PRIMARY KEY", "body TEXT NOT NULL DEFAULT 'x'", "r REAL NOT NULL DEFAULT 1", "n NUMERIC"},
    {"device TEXT COLLATE NOCASE", "ts INTEGER", "kind TEXT", "value REAL", "payload BLOB", "note", "PRIMARY KEY(device, ts DESC)"},
    {"a REAL", "b TEXT COLLATE RTRIM", "c BLOB", "PRIMARY KEY(b, a)"},
    {"a", "b", "c", "PRIMARY KEY(c, c COLLATE NOCASE, a DESC)"},
    {"a BLOB PRIMARY KEY"},
    {"a TEXT", "b TEXT", "PRIMARY KEY(a COLLATE NOCASE DESC, b)"},
};
enum { TABLES = sizeof tables / sizeof *tables };
static struct vt_schema *schemas[TABLES];

static void make_schemas(void) {
    static sqlite3 *db;
    if (db != NULL) return;
    FUZZ_CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK, "no database");
    for (size_t i = 0; i < TABLES; i++) {
        const char *argv[3 + COLUMNS_MAX] = {"lsm", "main", "t"};
        char *message = NULL;
        int count = 3;
        for (size_t j = 0; j < COLUMNS_MAX && tables[i][j] != NULL; j++) argv[count++] = tables[i][j];
        FUZZ_CHECK(vt_ddl_parse(db, count, argv, 2000, &schemas[i], &message) == SQLITE_OK, "%s", message);
    }
}

/* Every column, forwards and backwards: the same. Values of the first walk; how many could be read. */
static int read_row(const struct vt_schema *schema, struct lsm_slice key, struct lsm_slice record, struct vt_value *values) {
    struct vt_row_reader forward, backward;
    int good = 0, rc[COLUMNS_MAX];
    vt_row_reader_init(&forward, schema, key, record);
    for (int i = 0; i < schema->column_count; i++) {
        rc[i] = vt_row_get(&forward, i, &values[i]);
        FUZZ_CHECK(rc[i] == SQLITE_OK || rc[i] == SQLITE_CORRUPT_VTAB, "status %d", rc[i]);
        good += rc[i] == SQLITE_OK;
    }
    for (int i = schema->column_count - 1; i >= 0; i--) {
        struct vt_value again;
        vt_row_reader_init(&backward, schema, key, record);
        int alone = vt_row_get(&backward, i, &again);
        if (alone == SQLITE_OK && rc[i] == SQLITE_OK) FUZZ_CHECK(values_equal(&again, &values[i]), "column %d is read in two ways", i);
        if (good == schema->column_count) FUZZ_CHECK(alone == SQLITE_OK, "column %d cannot be read by itself", i);
    }
    return good;
}

/* Write the row; read it back: the same values. */
static void write_row(const struct vt_schema *schema, const struct vt_value *values) {
    struct vt_bytes key = {0}, record = {0};
    struct vt_value again[COLUMNS_MAX];
    int rc = SQLITE_OK;
    if (schema->kind == VT_KIND_CLUSTERED) {
        rc = vt_key_encode_row(schema, values, &key);
    } else {
        uint8_t rowid[VT_KEY_INT64_BYTES_MAX];
        int64_t number = schema->rowid_column >= 0 && values[schema->rowid_column].type == SQLITE_INTEGER ? values[schema->rowid_column].i : 7;
        rc = vt_bytes_append(&key, rowid, vt_key_put_int64(rowid, number));
    }
    if (rc == SQLITE_OK) rc = vt_row_encode(schema, values, &record);
    FUZZ_CHECK(rc == SQLITE_OK, "status %d", rc);
    FUZZ_CHECK(vt_row_check(schema, vt_bytes_slice(&key), vt_bytes_slice(&record)) == SQLITE_OK, "a row just made is not whole");
    FUZZ_CHECK(read_row(schema, vt_bytes_slice(&key), vt_bytes_slice(&record), again) == schema->column_count, "a row just made cannot be read");
    for (int i = 0; i < schema->column_count; i++)
        if (i != schema->rowid_column) FUZZ_CHECK(values_equal(&again[i], &values[i]), "column %d", i);
    vt_bytes_release(&key);
    vt_bytes_release(&record);
}

static void check_hostile(const struct vt_schema *schema, struct fuzz_input *input) {
    struct vt_value values[COLUMNS_MAX];
    struct lsm_slice key = fuzz_take(input, fuzz_take8(input)), record = lsm_slice_of(input->p, input->left);
    bool whole = vt_row_check(schema, key, record) == SQLITE_OK;
    int good = read_row(schema, key, record, values);
    if (!whole) return;
    FUZZ_CHECK(good == schema->column_count, "a whole row has columns that cannot be read");
    /* What may not be NULL may still be so in a hostile record. */
    for (int i = 0; i < schema->column_count; i++)
        if (schema->columns[i].not_null && values[i].type == SQLITE_NULL) return;
    write_row(schema, values);
}

static void run(const uint8_t *bytes, size_t size) {
    struct fuzz_input input = {.p = bytes, .left = size};
    make_schemas();
    const struct vt_schema *schema = schemas[fuzz_take8(&input) % TABLES];
    if (fuzz_take8(&input) % 2 != 0) {
        check_hostile(schema, &input);
        return;
    }
    struct vt_value values[COLUMNS_MAX];
    for (int i = 0; i < schema->column_count; i++) {
        values[i] = values_fit(values_take(&input), schema->columns[i].affinity);
        if (i == schema->rowid_column && values[i].type != SQLITE_INTEGER) values[i] = vt_value_int(1);
        if (schema->columns[i].not_null && values[i].type == SQLITE_NULL) values[i] = values_fit(vt_value_int(3), schema->columns[i].affinity);
    }
    write_row(schema, values);
}

static void seeds(fuzz_emit_fn emit, void *arg) {
    static const uint8_t values[] = {1, 5, 4, 3, 'A', 'b', ' ', 2, 1, 2, 3, 4, 5, 6, 7, 8, 3, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 5, 2, 0, 0xff, 0, 0};
    static const uint8_t record[] = {9,    0x30, 'p',  '1', 0,   0,   0xdd, 0xfe, 0xd3, 0xff, 0x07, 0x11, 0x0a,
                                     0x13, 0x01, 0x10, 0,   'P', '1', 'm',  'i',  'n',  0x15, 0xca, 0xfe};
    for (uint8_t table = 0; table < TABLES; table++)
        for (size_t from = 0; from < 8; from += 2) {
            uint8_t seed[2 + sizeof values] = {table, 0};
            memcpy(seed + 2, values + from, sizeof values - from);
            emit(arg, seed, sizeof seed - from);
        }
    uint8_t seed[2 + sizeof record] = {2, 1};
    memcpy(seed + 2, record, sizeof record);
    emit(arg, seed, sizeof seed);
    for (uint8_t type = 0; type < 16; type++) {
        uint8_t plain[] = {type % 2, 1, 2, 0x21, 5, 5, type, 8, (uint8_t)(type + 3), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
        emit(arg, plain, sizeof plain);
    }
}

const struct fuzz_target fuzz_target = {.name = "row", .size_max = ROW_INPUT_MAX, .run = run, .seeds = seeds};
