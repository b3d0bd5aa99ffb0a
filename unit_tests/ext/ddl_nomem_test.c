/* Each allocation of reading a declaration fails once, of those that are refused, too: it is read or refused as it is otherwise, or memory was out; and nothing is left behind. */
#include "../../ext/ddl.h"
#include "../support/sqlite_memory.h"
#include "database.h"

enum { ARGUMENTS_MAX = 16, POINTS_MAX = 2000 };

/* Arguments apart by bars. */
static const char *const declarations[] = {
    "a|b TEXT NOT NULL DEFAULT 'x'|c NUMERIC NOT NULL DEFAULT (-5)|d NOT NULL DEFAULT x'0102'|e NOT NULL DEFAULT TRUE|f NOT NULL DEFAULT word|"
    "g NOT NULL DEFAULT (abs(-1))|h NOT NULL DEFAULT \"quoted\"|i DEFAULT NULL|j NOT NULL DEFAULT 0X1F|k NOT NULL DEFAULT (+5)",
    "a \"some type\"|b [INT]|\"hidden name\" INTEGER PRIMARY KEY DESC|`c` CHAR(5, -2) NOT NULL ON CONFLICT REPLACE DEFAULT (1 + 2)",
    "_pk|a TEXT COLLATE NOCASE|PRIMARY KEY (a DESC, _pk)|CHECK (a > 'x')|CONSTRAINT \"named\" CHECK (  a < 'y'  )|CHECK (\"_pk\")",
    "a UNIQUE|b CONSTRAINT u UNIQUE|c CONSTRAINT \"v w\" UNIQUE ON CONFLICT REPLACE|CONSTRAINT x UNIQUE (a, b)|INDEX i (c DESC)|INDEX \"j k\" (a "
    "COLLATE NOCASE, c)",
    "a INT|b ANY|c \"TEXT\" NOT NULL|STRICT",
    "id INTEGER PRIMARY KEY AUTOINCREMENT|a NOT NULL DEFAULT CURRENT_TIMESTAMP",
    /* Refused. */
    "",
    "a|b|a",
    "a DEFAULT 7",
    "a NOT NULL DEFAULT -'5'",
    "a NOT NULL DEFAULT 0xg",
    "a|\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9 [ INT",
    "a|[x\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9] "
    "INT|UNIQUE "
    "(y\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9)",
    "a|UNIQUE (a REFERENCES b)",
    "a DEFAULT (SELECT 1",
    "a DEFAULT 'text",
    "a DEFAULT 0x12345678901234567890",
    "a COLLATE nothing",
    "a CHECK (b",
    "a|a_name_longer_than_what_is_shown_of_it_in_a_message_is_cut_somewhere nonsense (",
    "a|INDEX (a)",
    "a|INDEX i (a + 1)",
    "a|UNIQUE (a.b)",
    "a|UNIQUE (z)",
    "a|CONSTRAINT x UNIQUE (a) ON CONFLICT",
    "a PRIMARY KEY|b PRIMARY KEY",
    "a UNIQUE ON CONFLICT FAIL|UNIQUE (a) ON CONFLICT IGNORE",
    "a|STRICT",
    "a WRONG|STRICT",
    "\"a\" \"two\" words",
    "a REFERENCES t",
    "a|compression=zstd",
    "a VARCHAR(x)",
    "a INTEGER PRIMARY KEY|WITHOUT ROWID",
};

static int parse(const char *text, struct vt_schema **schema, char **message) {
    const char *argv[ARGUMENTS_MAX] = {"lsm", "main", "t"};
    static char copy[600];
    int argc = 3;
    assert_true(strlen(text) < sizeof copy);
    strcpy(copy, text);
    for (char *part = strtok(copy, "|"); part != NULL; part = strtok(NULL, "|")) argv[argc++] = part;
    *schema = NULL;
    *message = NULL;
    return vt_ddl_parse(db, argc, argv, 2000, schema, message);
}

/* What a schema says, as far as SQLite and the rows are concerned. */
static char *told(const struct vt_schema *schema) {
    sqlite3_str *text = sqlite3_str_new(NULL);
    char *declared = vt_schema_declare(schema);
    sqlite3_str_appendf(text, "%s", declared);
    sqlite3_free(declared);
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
        sqlite3_str_appendf(text, ";%s %s %d %d %d %d %s %d %d", column->name, column->type, column->affinity, column->collation, column->not_null,
                            column->has_default, column->default_text == NULL ? "" : column->default_text, column->default_value.type,
                            column->strict);
    }
    for (int i = 0; i < schema->index_count; i++)
        sqlite3_str_appendf(text, ";%s %d %d", schema->indexes[i].name, schema->indexes[i].unique, schema->indexes[i].column_count);
    for (int i = 0; i < schema->check_count; i++) sqlite3_str_appendf(text, ";%s (%s)", schema->checks[i].name, schema->checks[i].text);
    return sqlite3_str_finish(text);
}

static void strike_all(const char *text, const char *wanted, int code, sqlite3_int64 used) {
    for (int64_t n = 1;; n++) {
        struct vt_schema *schema;
        char *message;
        assert_true(n < POINTS_MAX);
        sqlite_memory_fail_after(n, false);
        int rc = parse(text, &schema, &message);
        bool struck = sqlite_memory_failed();
        sqlite_memory_fail_after(0, false);
        if (rc != SQLITE_NOMEM || !struck) {
            assert_int_equal(rc, code);
            char *got = rc == SQLITE_OK ? told(schema) : message;
            if (strcmp(got, wanted) != 0) fail_msg("%s: allocation %d: '%s', not '%s'", text, (int)n, got, wanted);
            sqlite3_free(got);
        } else {
            assert_null(schema);
            sqlite3_free(message);
        }
        vt_schema_free(schema);
        if (sqlite3_memory_used() != used) fail_msg("%s: allocation %d: %d bytes more", text, (int)n, (int)(sqlite3_memory_used() - used));
        if (!struck) return;
    }
}

static void a_declaration_is_read_or_refused_the_same_or_memory_was_out(void **unused) {
    (void)unused;
    int refused = 0;
    for (size_t i = 0; i < sizeof declarations / sizeof declarations[0]; i++) {
        struct vt_schema *schema;
        char *message;
        int code = parse(declarations[i], &schema, &message);
        vt_schema_free(schema);
        sqlite3_free(message);
        sqlite3_int64 used = sqlite3_memory_used(); /* the second time, with what SQLite keeps */
        assert_int_equal(parse(declarations[i], &schema, &message), code);
        char *wanted = code == SQLITE_OK ? told(schema) : message;
        vt_schema_free(schema);
        refused += code != SQLITE_OK;
        sqlite3_int64 kept = sqlite3_memory_used() - used;
        strike_all(declarations[i], wanted, code, used + kept);
        sqlite3_free(wanted);
    }
    assert_int_equal(refused, (int)(sizeof declarations / sizeof declarations[0]) - 6);
}

/* The definition of an index that was added is read anew by each connection. */
static void an_added_index_too(void **unused) {
    (void)unused;
    static const char *const definitions[] = {" (a, \"b c\" DESC)", " UNIQUE a COLLATE NOCASE", " (a", " a + 1", " nothing", " a) (",
                                              " UNIQUE (a) x"};
    for (size_t i = 0; i < sizeof definitions / sizeof definitions[0]; i++) {
        struct vt_schema *schema;
        char *message, *wanted = NULL;
        assert_int_equal(parse("a|b c|\"b c\"", &schema, &message), SQLITE_OK);
        int code = vt_ddl_add_index(schema, "added", definitions[i], &wanted), count = schema->index_count;
        vt_schema_free(schema);
        assert_int_equal(code, i < 2 ? SQLITE_OK : SQLITE_ERROR);
        for (bool struck = true; struck;) {
            static int64_t n;
            assert_int_equal(parse("a|b c|\"b c\"", &schema, &message), SQLITE_OK);
            sqlite_memory_fail_after(++n, false);
            int rc = vt_ddl_add_index(schema, "added", definitions[i], &message);
            struck = sqlite_memory_failed();
            sqlite_memory_fail_after(0, false);
            if (rc != SQLITE_NOMEM) {
                assert_int_equal(rc, code);
                assert_int_equal(schema->index_count, count);
                if (wanted != NULL) assert_string_equal(message, wanted);
            } else {
                assert_true(struck);
                assert_int_equal(schema->index_count, 0);
            }
            sqlite3_free(message);
            vt_schema_free(schema);
            if (!struck) n = 0;
        }
        sqlite3_free(wanted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declaration_is_read_or_refused_the_same_or_memory_was_out),
        cmocka_unit_test(an_added_index_too),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, open_plain, close_database);
}
