#include "ddl.h"

#include "checks.h"
#include "ddl_constraint.h"

/* ---- defaults -------------------------------------------------------------------------------------------------- */

static bool keep_default(struct parser *p, struct vt_column *column, sqlite3_value *literal) {
    struct vt_value value;
    if (vt_affinity_apply(literal, column->affinity, &value) != SQLITE_OK) return fail_nomem(p);
    if (value.size > 0) { /* only text and blob have one */
        uint8_t *copy = sqlite3_malloc64(value.size);
        if (copy == NULL) return fail_nomem(p);
        memcpy(copy, value.bytes, value.size);
        value.bytes = copy;
    }
    if (column->default_value.size > 0) sqlite3_free((void *)(uintptr_t)column->default_value.bytes);
    column->default_value = value;
    sqlite3_free(column->default_text);
    column->default_text = NULL;
    column->has_default = value.type != SQLITE_NULL;
    return true;
}

/* SQLite evaluates the literal, so that it means what it means everywhere else. Takes `sql`. */
static bool evaluate_default(struct parser *p, struct vt_column *column, struct vt_token token, char *sql) {
    if (sql == NULL) return fail_nomem(p);
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v3(p->db, sql, -1, SQLITE_PREPARE_NO_VTAB, &statement, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    bool ok = false;
    if (rc == SQLITE_ROW) {
        sqlite3_value *literal = sqlite3_value_dup(sqlite3_column_value(statement, 0));
        ok = literal == NULL ? fail_nomem(p) : keep_default(p, column, literal);
        sqlite3_value_free(literal);
    } else if (rc == SQLITE_NOMEM) {
        fail_nomem(p);
    } else {
        fail_at(p, token, sqlite3_mprintf("the default cannot be evaluated: %s", sqlite3_errmsg(p->db)));
    }
    sqlite3_finalize(statement);
    return ok;
}

/* A name stands for its text, TRUE and FALSE for 1 and 0. */
static char *sql_of_word(struct vt_token token) {
    if (vt_token_is(&token, "NULL")) return sqlite3_mprintf("SELECT NULL");
    if (vt_token_is(&token, "TRUE")) return sqlite3_mprintf("SELECT 1");
    if (vt_token_is(&token, "FALSE")) return sqlite3_mprintf("SELECT 0");
    char *text = vt_token_unquoted(token), *sql = text == NULL ? NULL : sqlite3_mprintf("SELECT %Q", text);
    sqlite3_free(text);
    return sql;
}

/* An expression SQLite is to evaluate for each row that needs it; it judges it, too, when defaults.c hands it over. */
static bool keep_expression(struct parser *p, struct vt_column *column, const char *start, const char *end) {
    sqlite3_free(column->default_text);
    column->default_text = sqlite3_mprintf("%.*s", (int)(end - start), start);
    column->has_default = true;
    return column->default_text != NULL || fail_nomem(p); /* LCOV_EXCL_BR_LINE: to fail is false */
}

/* Behind the opening parenthesis: is all there is up to the closing one a literal? */
static bool is_literal_in_parentheses(const struct parser *p) {
    static const char *const constants[] = {"NULL", "TRUE", "FALSE"};
    struct vt_token token = p->token;
    bool sign = token.kind == VT_TOKEN_PUNCT && (*token.start == '-' || *token.start == '+');
    if (sign) token = vt_token_scan(token.start + token.size);
    bool literal = token.kind == VT_TOKEN_NUMBER;
    if (!sign) literal |= token.kind == VT_TOKEN_STRING || token.kind == VT_TOKEN_BLOB || vt_token_is_one_of(&token, constants, 3);
    struct vt_token close = vt_token_scan(token.start + token.size);
    return literal && close.kind == VT_TOKEN_PUNCT && *close.start == ')';
}

/* [+|-] literal, or a name that stands for its text. */
static bool parse_literal(struct parser *p, struct vt_column *column) {
    static const char *const constants[] = {"NULL", "TRUE", "FALSE"};
    const char *sign = at_punct(p, '-') ? "-" : at_punct(p, '+') ? "+" : "";
    if (*sign != '\0') advance(p);
    struct vt_token token = p->token;
    char *sql = NULL;
    if (token.kind == VT_TOKEN_NUMBER || ((token.kind == VT_TOKEN_STRING || token.kind == VT_TOKEN_BLOB) && *sign == '\0')) {
        sql = sqlite3_mprintf("SELECT %s%.*s", sign, (int)token.size, token.start);
    } else if (token.kind == VT_TOKEN_ID && *sign == '\0') {
        if (!vt_token_is_one_of(&token, constants, 3) && !vt_token_is_name(&token)) return fail_syntax(p);
        if (vt_token_is_join(&token)) return fail_syntax(p);
        struct vt_token behind = peek(p);
        if (behind.kind == VT_TOKEN_PUNCT && *behind.start == '(') return fail(p, "an expression as a default stands in parentheses");
        sql = sql_of_word(token);
    } else {
        return token.kind == VT_TOKEN_END || token.kind == VT_TOKEN_BAD ? fail_syntax(p)
                                                                        : fail(p, "an expression as a default stands in parentheses");
    }
    advance(p);
    return evaluate_default(p, column, token, sql);
}

/* DEFAULT was met. `column` has its affinity. */
static bool parse_default(struct parser *p, struct vt_column *column) {
    static const char *const clocks[] = {"CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"};
    advance(p);
    if (vt_token_is_one_of(&p->token, clocks, 3)) {
        struct vt_token clock = p->token;
        advance(p);
        return keep_expression(p, column, clock.start, clock.start + clock.size);
    }
    if (!at_punct(p, '(')) return parse_literal(p, column);
    const char *start = p->next, *end;
    struct parser inside = *p;
    advance(&inside);
    if (is_literal_in_parentheses(&inside)) {
        advance(p);
        return parse_literal(p, column) && expect_punct(p, ')');
    }
    return vt_ddl_skip_parentheses(p, &end) && keep_expression(p, column, start, end);
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

/* SQLite makes a column of a virtual table invisible if its type has this word. */
static bool has_hidden(const char *type) {
    for (const char *p = type; *p != '\0'; p++) {
        bool begins = p == type || !vt_token_is_id_byte(p[-1]);
        if (begins && sqlite3_strnicmp(p, "hidden", 6) == 0 && !vt_token_is_id_byte(p[6])) return true;
    }
    return false;
}

static bool parse_type_sizes(struct parser *p) {
    advance(p);
    for (int i = 0; i < 2; i++) { /* LCOV_EXCL_BR_LINE: the second size ends it */
        if (at_punct(p, '-') || at_punct(p, '+')) advance(p);
        if (p->token.kind != VT_TOKEN_NUMBER) return p->token.kind == VT_TOKEN_BAD ? fail_syntax(p) : fail(p, "a type's size must be a number");
        advance(p);
        if (i == 1 || !at_punct(p, ',')) break;
        advance(p);
    }
    return at_punct(p, ')') || expect_punct(p, ')'); /* the caller passes it */
}

/* The type: words, then one or two sizes in parentheses; kept as it was written. */
static bool parse_type(struct parser *p, struct vt_column *column) {
    struct vt_token first = p->token;
    const char *end = first.start;
    while (vt_token_is_type_word(&p->token)) {
        if (at_word(p, "GENERATED")) return vt_ddl_fail_unexpected(p);
        end = p->next;
        advance(p);
    }
    if (end > first.start && at_punct(p, '(')) {
        if (!parse_type_sizes(p)) return false;
        end = p->next;
        advance(p);
    }
    column->type = sqlite3_mprintf("%.*s", (int)(end - first.start), first.start);
    /* What SQLite makes of '"x" INT' differs from release to release. */
    bool quoted = first.quote != 0 && end > first.start;
    if (quoted && end != first.start + first.size) return fail_at(p, first, sqlite3_mprintf("a quoted type is a single word"));
    char *name = column->type == NULL || !quoted ? NULL : vt_token_unquoted(first);
    if (column->type == NULL || (quoted && name == NULL)) return fail_nomem(p);
    const char *type = quoted ? name : column->type;
    bool any =
        p->schema->strict && sqlite3_stricmp(type, "ANY") == 0; /* stores what it is given; elsewhere ANY is a type like any other, hence NUMERIC */
    column->affinity = any ? VT_AFFINITY_BLOB : vt_affinity_of_type(type);
    sqlite3_free(name);
    if (has_hidden(column->type)) return fail_at(p, first, sqlite3_mprintf("a type with the word HIDDEN would make SQLite hide the column"));
    return true;
}

/* One column constraint; *more is false at the end of the definition. */
static bool parse_column_constraint(struct parser *p, int i, bool *more) {
    struct vt_column *column = &p->schema->columns[i];
    int ignored;
    if (at_word(p, "CONSTRAINT")) return vt_ddl_parse_constraint_name(p);
    if (at_word(p, "CHECK")) return vt_ddl_parse_check(p);
    if (at_word(p, "UNIQUE")) return vt_ddl_parse_column_unique(p, i);
    if (at_word(p, "PRIMARY")) return vt_ddl_parse_column_key(p, i);
    if (at_word(p, "DEFAULT")) return parse_default(p, column);
    if (accept_word(p, "NULL")) return vt_ddl_parse_conflict(p, &ignored);
    if (accept_word(p, "COLLATE")) return vt_ddl_parse_collation(p, &column->collation);
    if (accept_word(p, "NOT")) {
        if (at_word(p, "DEFERRABLE")) return vt_ddl_fail_unexpected(p);
        column->not_null = true;
        return expect_word(p, "NULL") && vt_ddl_parse_conflict(p, &column->not_null_conflict);
    }
    *more = false;
    return p->token.kind == VT_TOKEN_END || vt_ddl_fail_unexpected(p); /* LCOV_EXCL_BR_LINE: to fail is false */
}

/* A new column without a name; NULL after failing. */
static struct vt_column *add_column(struct parser *p) {
    struct vt_schema *schema = p->schema;
    if (schema->column_count >= p->column_max) {
        fail(p, "the table has too many columns");
        return NULL;
    }
    if (schema->column_count == p->column_capacity) {
        int capacity = p->column_capacity == 0 ? 8 : p->column_capacity * 2;
        struct vt_column *grown = sqlite3_realloc64(schema->columns, (sqlite3_uint64)capacity * sizeof *grown);
        if (grown == NULL) {
            fail_nomem(p);
            return NULL;
        }
        schema->columns = grown;
        p->column_capacity = capacity;
    }
    struct vt_column *column = &schema->columns[schema->column_count++];
    *column = (struct vt_column){.default_value = vt_value_null(), .key_index = -1};
    return column;
}

static bool parse_column(struct parser *p) {
    struct vt_token first = p->token;
    p->constraint = (struct vt_token){.kind = VT_TOKEN_END};
    if (p->constraints_begun) return fail(p, "columns come before PRIMARY KEY (...) and other table constraints");
    char *name = take_name(p);
    if (name == NULL) return false;
    if (vt_schema_find(p->schema, name) >= 0) {
        sqlite3_free(name);
        return fail_at(p, first, sqlite3_mprintf("duplicate column name"));
    }
    struct vt_column *column = add_column(p);
    if (column == NULL) {
        sqlite3_free(name);
        return false;
    }
    column->name = name;
    if (!parse_type(p, column)) return false;
    bool more = true;
    while (more) {
        if (!parse_column_constraint(p, p->schema->column_count - 1, &more)) return false;
    }
    return true;
}

/* ---- arguments ------------------------------------------------------------------------------------------------- */

static bool begins_table_constraint(const struct vt_token *token) {
    static const char *const words[] = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "INDEX"};
    return vt_token_is_one_of(token, words, sizeof words / sizeof *words);
}

static bool parse_table_constraints(struct parser *p) {
    p->constraints_begun = true;
    while (p->token.kind != VT_TOKEN_END) {
        if (at_word(p, "CONSTRAINT")) {
            if (!vt_ddl_parse_constraint_name(p)) return false;
        } else if (at_word(p, "PRIMARY")) {
            if (!vt_ddl_parse_table_key(p)) return false;
        } else if (at_word(p, "UNIQUE") || at_word(p, "INDEX")) {
            if (!vt_ddl_parse_table_index(p)) return false;
        } else if (at_word(p, "CHECK")) {
            int ignored; /* by SQLite, too */
            if (!vt_ddl_parse_check(p) || !vt_ddl_parse_conflict(p, &ignored)) return false;
        } else {
            return vt_ddl_fail_unexpected(p);
        }
    }
    return true;
}

static bool refuse_option(struct parser *p) {
    if (at_word(p, "ttl") || at_word(p, "compression")) return fail(p, "this option is not built yet");
    return fail(p, "unknown option; there are none yet");
}

static bool is_strict(const char *argument) {
    struct vt_token word = vt_token_scan(argument);
    return vt_token_is(&word, "STRICT") && vt_token_scan(word.start + word.size).kind == VT_TOKEN_END;
}

/* STRICT alone, WITHOUT ROWID: to CREATE TABLE inside the parentheses these would be columns, which nobody means. */
static bool is_table_option(const struct parser *p) {
    struct vt_token second = peek(p);
    return (at_word(p, "STRICT") && second.kind == VT_TOKEN_END) || (at_word(p, "WITHOUT") && vt_token_is(&second, "ROWID"));
}

static bool parse_strict(struct parser *p) {
    if (p->schema->column_count == 0) return fail(p, "STRICT stands behind the columns; a column of this name needs double quotes");
    p->constraints_begun = true;
    return true;
}

static bool parse_argument(struct parser *p, const char *text) {
    p->next = text;
    /* SQLite's quirk: a name behind the last column is still good for the first table constraint. */
    if (p->constraints_begun) p->constraint = (struct vt_token){.kind = VT_TOKEN_END};
    advance(p);
    struct vt_token second = peek(p);
    if (p->token.kind == VT_TOKEN_END) return fail(p, "an empty argument");
    if (p->token.kind == VT_TOKEN_ID && second.kind == VT_TOKEN_PUNCT && *second.start == '=') return refuse_option(p);
    if (begins_table_constraint(&p->token)) return parse_table_constraints(p);
    if (is_table_option(p)) {
        if (at_word(p, "STRICT")) return parse_strict(p);
        return fail(p, "a PRIMARY KEY other than INTEGER PRIMARY KEY makes a table without rowid; a column of this name needs double quotes");
    }
    return parse_column(p);
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

/* One INTEGER column is the rowid. SQLite's quirk: not if DESC stands in the column definition, but so in PRIMARY KEY (x DESC). */
static bool key_is_rowid(const struct parser *p) {
    const struct key_clause *key = &p->key;
    if (key->count != 1 || (key->in_column && key->columns[0].desc)) return false;
    return sqlite3_stricmp(p->schema->columns[key->columns[0].column].type, "INTEGER") == 0;
}

static bool is_repeated(const struct key_clause *key, int upto, const struct vt_key_column *column) {
    for (int i = 0; i < upto; i++) {
        if (key->columns[i].column == column->column && key->columns[i].collation == column->collation) return true;
    }
    return false;
}

/* "_pk", or with underscores before it until no column is called so. */
static bool name_hidden_column(struct parser *p) {
    struct vt_schema *schema = p->schema;
    char *name = sqlite3_mprintf("_pk");
    while (name != NULL && vt_schema_find(schema, name) >= 0) {
        char *longer = sqlite3_mprintf("_%s", name);
        sqlite3_free(name);
        name = longer;
    }
    schema->hidden_name = name;
    return name != NULL || fail_nomem(p); /* LCOV_EXCL_BR_LINE: to fail is false */
}

static bool settle_clustered(struct parser *p) {
    struct vt_schema *schema = p->schema;
    struct key_clause *key = &p->key;
    int count = 0;
    schema->kind = VT_KIND_CLUSTERED;
    for (int i = 0; i < key->count; i++) {
        struct vt_key_column column = key->columns[i];
        if (is_repeated(key, count, &column)) continue;
        if (schema->columns[column.column].key_index < 0) schema->columns[column.column].key_index = count;
        schema->columns[column.column].not_null = true;
        key->columns[count++] = column;
    }
    schema->key = key->columns;
    schema->key_count = count;
    key->columns = NULL;
    if (count == 1 && schema->key[0].collation == VT_COLLATE_BINARY && !schema->key[0].desc) schema->bytes_column = schema->key[0].column;
    if (schema->column_count >= p->column_max) return fail_whole(p, sqlite3_mprintf("the table has too many columns: its key takes a hidden one"));
    return name_hidden_column(p);
}

static bool settle_key(struct parser *p) {
    struct vt_schema *schema = p->schema;
    struct key_clause *key = &p->key;
    if (!key->given) return true;
    if (key->autoincrement && !key_is_rowid(p)) { return fail_whole(p, sqlite3_mprintf("AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY")); }
    schema->autoincrement = key->autoincrement;
    schema->key_conflict = key->conflict;
    if (key->in_column) key->columns[0].collation = schema->columns[key->columns[0].column].collation;
    if (!key_is_rowid(p)) return settle_clustered(p);
    struct vt_column *column = &schema->columns[key->columns[0].column];
    schema->rowid_column = key->columns[0].column;
    column->not_null = false; /* NULL asks for a new rowid */
    if (!column->has_default) return true;
    return fail_whole(p, sqlite3_mprintf("column \"%s\": an INTEGER PRIMARY KEY takes no DEFAULT, a row without it gets a new number", column->name));
}

/* STRICT knows six types, and one of them must be named. */
static bool settle_strict(struct parser *p) {
    static const struct {
        const char *type;
        enum vt_strict strict;
    } types[] = {{"INT", VT_STRICT_INT},   {"INTEGER", VT_STRICT_INTEGER}, {"REAL", VT_STRICT_REAL},
                 {"TEXT", VT_STRICT_TEXT}, {"BLOB", VT_STRICT_BLOB},       {"ANY", VT_STRICT_ANY}};
    for (int i = 0; i < p->schema->column_count; i++) {
        struct vt_column *column = &p->schema->columns[i];
        if (column->type[0] == '\0') return fail_whole(p, sqlite3_mprintf("missing datatype for column \"%s\": STRICT needs one", column->name));
        char *type = vt_token_unquoted(vt_token_scan(column->type));
        if (type == NULL) return fail_nomem(p);
        bool whole = vt_token_scan(column->type).size == strlen(column->type);
        for (size_t t = 0; t < sizeof types / sizeof *types && whole; t++) {
            if (sqlite3_stricmp(type, types[t].type) == 0) column->strict = types[t].strict;
        }
        sqlite3_free(type);
        if (column->strict == VT_STRICT_NONE) {
            return fail_whole(p, sqlite3_mprintf("unknown datatype for column \"%s\": \"%s\": STRICT knows INT, INTEGER, REAL, TEXT, BLOB and ANY",
                                                 column->name, column->type));
        }
    }
    return true;
}

static bool settle(struct parser *p) {
    struct vt_schema *schema = p->schema;
    if (schema->column_count == 0) {
        return fail_whole(p, sqlite3_mprintf("a table needs at least one column, as in: USING lsm(id INTEGER PRIMARY KEY, name TEXT)"));
    }
    if (!settle_key(p) || (schema->strict && !settle_strict(p))) return false;
    if (!vt_ddl_settle_indexes(p)) return false;
    vt_checks_settle(schema);
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
        schema->default_count += column->default_text != NULL;
        if (!column->has_default || column->not_null) continue;
        return fail_whole(p, sqlite3_mprintf("column \"%s\": DEFAULT needs NOT NULL, because SQLite hands a virtual table the same NULL for a column "
                                             "left out and for one set to NULL",
                                             column->name));
    }
    return true;
}

int vt_ddl_parse(sqlite3 *db, int argc, const char *const *argv, int column_max, struct vt_schema **schema, char **message) {
    struct parser p = {.db = db, .column_max = column_max, .rc = SQLITE_OK};
    *schema = NULL;
    *message = NULL;
    p.schema = vt_schema_new();
    if (p.schema == NULL) return SQLITE_NOMEM;
    bool ok = true;
    for (int i = 3; i < argc; i++) p.schema->strict |= is_strict(argv[i]); /* the columns need to know */
    for (int i = 3; i < argc && ok; i++) {
        p.argument = i - 2;
        ok = parse_argument(&p, argv[i]);
    }
    if (ok && settle(&p)) {
        *schema = p.schema;
    } else {
        vt_schema_free(p.schema);
        *message = p.message;
    }
    vt_ddl_release_indexes(&p);
    sqlite3_free(p.key.columns);
    return p.rc;
}
