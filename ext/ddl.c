#include "ddl.h"

#include "ddl_token.h"

/* ---- the parser's state ----------------------------------------------------------------------------------------- */

/* A PRIMARY KEY clause, until all columns are known. */
struct key_clause {
    bool given, in_column; /* in_column: written in a column definition, where INTEGER PRIMARY KEY DESC is no rowid */
    int conflict;
    int count;
    struct vt_key_column *columns;
};

struct parser {
    sqlite3 *db;
    struct vt_schema *schema;
    int column_max;
    int column_capacity, key_capacity;
    struct key_clause key;
    bool constraints_begun; /* a table constraint was seen: no more columns */
    /* Where the parser stands. */
    int argument; /* counted from 1 */
    const char *next;
    struct vt_token token;
    /* How it failed. */
    int rc;
    char *message;
};

static void advance(struct parser *p) {
    p->token = vt_token_scan(p->next);
    p->next = p->token.start + p->token.size;
}

static struct vt_token peek(const struct parser *p) { return vt_token_scan(p->next); }

/* ---- errors --------------------------------------------------------------------------------------------------- */

#define NEAR_BYTES_MAX 40

static bool fail_nomem(struct parser *p) {
    if (p->rc == SQLITE_OK) p->rc = SQLITE_NOMEM;
    return false;
}

/* The token as it is shown in messages: not too long, no half characters. */
static int shown_size(const struct vt_token *token) {
    size_t size = token->size;
    if (size > NEAR_BYTES_MAX) {
        size = NEAR_BYTES_MAX;
        while (size > 1 && ((unsigned char)token->start[size] & 0xc0) == 0x80) size--;
    }
    return (int)size;
}

/* Fail at a token. Takes `reason` (NULL: out of memory). Always false, so that it can be returned. */
static bool fail_at(struct parser *p, struct vt_token token, char *reason) {
    if (reason == NULL) return fail_nomem(p);
    if (p->rc == SQLITE_OK) {
        p->message = token.kind == VT_TOKEN_END
                         ? sqlite3_mprintf("at the end of argument %d: %s", p->argument, reason)
                         : sqlite3_mprintf("in argument %d, near \"%.*s\": %s", p->argument, shown_size(&token), token.start, reason);
        p->rc = p->message == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
    }
    sqlite3_free(reason);
    return false;
}

static bool fail(struct parser *p, const char *reason) { return fail_at(p, p->token, sqlite3_mprintf("%s", reason)); }

/* Fail over the whole, or over a column: no place to point at. */
static bool fail_whole(struct parser *p, char *message) {
    if (message == NULL) return fail_nomem(p);
    if (p->rc != SQLITE_OK) {
        sqlite3_free(message);
        return false;
    }
    p->rc = SQLITE_ERROR;
    p->message = message;
    return false;
}

static bool fail_syntax(struct parser *p) {
    if (p->token.kind == VT_TOKEN_BAD) return fail(p, "unfinished or malformed token");
    return fail(p, p->token.kind == VT_TOKEN_END ? "incomplete definition" : "syntax error");
}

/* ---- words and names ------------------------------------------------------------------------------------------ */

static bool at_word(const struct parser *p, const char *word) { return vt_token_is(&p->token, word); }
static bool at_punct(const struct parser *p, char c) { return p->token.kind == VT_TOKEN_PUNCT && *p->token.start == c; }

static bool accept_word(struct parser *p, const char *word) {
    if (!at_word(p, word)) return false;
    advance(p);
    return true;
}

static bool expect_word(struct parser *p, const char *word) {
    if (accept_word(p, word)) return true;
    return p->token.kind == VT_TOKEN_BAD ? fail_syntax(p) : fail_at(p, p->token, sqlite3_mprintf("%s is missing here", word));
}

static bool expect_punct(struct parser *p, char c) {
    if (at_punct(p, c)) {
        advance(p);
        return true;
    }
    return p->token.kind == VT_TOKEN_BAD ? fail_syntax(p) : fail_at(p, p->token, sqlite3_mprintf("\"%c\" is missing here", c));
}

/* The name at the token, which is passed; NULL after failing. The caller frees it. */
static char *take_name(struct parser *p) {
    if (!vt_token_is_name(&p->token)) {
        if (p->token.kind == VT_TOKEN_ID) {
            fail(p, "a reserved word; put it in double quotes to use it as a name");
        } else {
            fail_syntax(p);
        }
        return NULL;
    }
    char *name = vt_token_unquoted(p->token);
    if (name == NULL) fail_nomem(p);
    advance(p);
    return name;
}

/* ---- what is refused ------------------------------------------------------------------------------------------ */

/* Parts of CREATE TABLE that are known and not supported, by the word they begin with. */
static const struct {
    const char *word, *reason;
} refused[] = {
    {"UNIQUE", "UNIQUE is not built yet; the only unique columns are those of PRIMARY KEY"},
    {"CHECK", "CHECK is not built yet; put the condition into the statements that write, or into a trigger on a view"},
    {"INDEX", "secondary indexes are not built yet; make the columns to search by the first ones of PRIMARY KEY"},
    {"FOREIGN", "foreign keys are not supported, because SQLite does not enforce them on virtual tables"},
    {"REFERENCES", "foreign keys are not supported, because SQLite does not enforce them on virtual tables"},
    {"AUTOINCREMENT", "AUTOINCREMENT is not built yet; INTEGER PRIMARY KEY alone gives each row a new number too, above the largest one present"},
    {"GENERATED", "generated columns are not possible in virtual tables; compute the value in a view"},
    {"AS", "generated columns are not possible in virtual tables; compute the value in a view"},
    {"DEFERRABLE", "foreign keys are not supported, because SQLite does not enforce them on virtual tables"},
};

static const char *refusal(const struct vt_token *token) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (vt_token_is(token, refused[i].word)) return refused[i].reason;
    }
    return NULL;
}

/* The token fits nowhere: say why if it is known. */
static bool fail_unexpected(struct parser *p) {
    const char *reason = refusal(&p->token);
    return reason == NULL ? fail_syntax(p) : fail(p, reason);
}

/* ---- clauses --------------------------------------------------------------------------------------------------- */

/* [ON CONFLICT what] */
static bool parse_conflict(struct parser *p, int *conflict) {
    static const struct {
        const char *word;
        int code;
    } codes[] = {
        {"ROLLBACK", SQLITE_ROLLBACK}, {"IGNORE", SQLITE_IGNORE}, {"FAIL", SQLITE_FAIL}, {"ABORT", SQLITE_ABORT}, {"REPLACE", SQLITE_REPLACE},
    };
    *conflict = 0;
    if (!accept_word(p, "ON")) return true;
    if (!expect_word(p, "CONFLICT")) return false;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (!accept_word(p, codes[i].word)) continue;
        *conflict = codes[i].code;
        return true;
    }
    return p->token.kind == VT_TOKEN_BAD ? fail_syntax(p) : fail(p, "ON CONFLICT takes ROLLBACK, ABORT, FAIL, IGNORE or REPLACE");
}

/* COLLATE was passed; its name follows. */
static bool parse_collation(struct parser *p, enum vt_collation *collation) {
    struct vt_token token = p->token;
    char *name = take_name(p);
    if (name == NULL) return false;
    bool known = vt_collation_of_name(name, collation);
    sqlite3_free(name);
    if (known) return true;
    return fail_at(p, token,
                   sqlite3_mprintf("only the collations BINARY, NOCASE and RTRIM are supported: the order rows are kept in cannot "
                                   "depend on functions of the application"));
}

static bool add_key_column(struct parser *p, struct vt_key_column column) {
    struct key_clause *key = &p->key;
    if (key->count == p->key_capacity) {
        int capacity = p->key_capacity == 0 ? 4 : p->key_capacity * 2;
        struct vt_key_column *grown = sqlite3_realloc64(key->columns, (sqlite3_uint64)capacity * sizeof *grown);
        if (grown == NULL) return fail_nomem(p);
        key->columns = grown;
        p->key_capacity = capacity;
    }
    key->columns[key->count++] = column;
    return true;
}

static bool begin_key(struct parser *p, bool in_column) {
    if (p->key.given) return fail(p, "the table has more than one primary key");
    p->key.given = true;
    p->key.in_column = in_column;
    return true;
}

/* PRIMARY was met in column i's definition. */
static bool parse_column_key(struct parser *p, int i) {
    if (!begin_key(p, true)) return false;
    advance(p);
    if (!expect_word(p, "KEY")) return false;
    struct vt_key_column column = {.column = i};
    if (accept_word(p, "DESC")) {
        column.desc = true;
    } else {
        accept_word(p, "ASC");
    }
    return parse_conflict(p, &p->key.conflict) && add_key_column(p, column); /* its collation may follow: settle_key() */
}

#define EXPRESSION_IN_KEY "a key takes columns, not expressions"

/* One column of PRIMARY KEY (...). */
static bool parse_key_column(struct parser *p) {
    struct vt_token token = p->token;
    if (token.kind == VT_TOKEN_NUMBER || token.kind == VT_TOKEN_BLOB || token.kind == VT_TOKEN_PUNCT) return fail(p, EXPRESSION_IN_KEY);
    char *name = take_name(p);
    if (name == NULL) return false;
    struct vt_key_column column = {.column = vt_schema_find(p->schema, name)};
    sqlite3_free(name);
    if (at_punct(p, '(') || at_punct(p, '.')) return fail_at(p, token, sqlite3_mprintf("%s", EXPRESSION_IN_KEY));
    if (column.column < 0) return fail_at(p, token, sqlite3_mprintf("the key names a column that the table does not have"));
    column.collation = p->schema->columns[column.column].collation;
    while (accept_word(p, "COLLATE")) {
        if (!parse_collation(p, &column.collation)) return false;
    }
    if (accept_word(p, "DESC")) {
        column.desc = true;
    } else {
        accept_word(p, "ASC");
    }
    if (at_word(p, "NULLS")) return fail(p, "NULLS FIRST and NULLS LAST are not for keys");
    return add_key_column(p, column);
}

/* PRIMARY was met as a table constraint. */
static bool parse_table_key(struct parser *p) {
    if (!begin_key(p, false)) return false;
    advance(p);
    if (!expect_word(p, "KEY") || !expect_punct(p, '(')) return false;
    for (;;) {
        if (!parse_key_column(p)) return false;
        if (!at_punct(p, ',')) break;
        advance(p);
    }
    if (p->token.kind == VT_TOKEN_PUNCT && !at_punct(p, ')')) return fail(p, EXPRESSION_IN_KEY);
    if (refusal(&p->token) != NULL) return fail_unexpected(p);
    return expect_punct(p, ')') && parse_conflict(p, &p->key.conflict);
}

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

#define EXPRESSION_DEFAULT "a default can only be a literal value; expressions and CURRENT_TIME, CURRENT_DATE, CURRENT_TIMESTAMP are not built yet"

/* DEFAULT was met. `column` has its affinity. */
static bool parse_default(struct parser *p, struct vt_column *column) {
    advance(p);
    bool paren = at_punct(p, '(');
    if (paren) advance(p);
    const char *sign = at_punct(p, '-') ? "-" : at_punct(p, '+') ? "+" : "";
    if (*sign != '\0') advance(p);
    struct vt_token token = p->token;
    char *sql = NULL;
    if (token.kind == VT_TOKEN_NUMBER || ((token.kind == VT_TOKEN_STRING || token.kind == VT_TOKEN_BLOB) && *sign == '\0')) {
        sql = sqlite3_mprintf("SELECT %s%.*s", sign, (int)token.size, token.start);
    } else if (token.kind == VT_TOKEN_ID && *sign == '\0') {
        static const char *const clocks[] = {"CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"};
        static const char *const constants[] = {"NULL", "TRUE", "FALSE"};
        bool current = vt_token_is_one_of(&token, clocks, 3), constant = vt_token_is_one_of(&token, constants, 3);
        if (current || (paren && !constant)) return fail(p, EXPRESSION_DEFAULT);
        if (!constant && !vt_token_is_name(&token)) return fail_syntax(p);
        if (vt_token_is_join(&token)) return fail_syntax(p);
        sql = sql_of_word(token);
    } else {
        return token.kind == VT_TOKEN_END || token.kind == VT_TOKEN_BAD ? fail_syntax(p) : fail(p, EXPRESSION_DEFAULT);
    }
    advance(p);
    if (!evaluate_default(p, column, token, sql)) return false;
    if (!paren) return true;
    if (!at_punct(p, ')') && p->token.kind != VT_TOKEN_END && p->token.kind != VT_TOKEN_BAD) return fail(p, EXPRESSION_DEFAULT);
    return expect_punct(p, ')');
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
    for (int i = 0; i < 2; i++) {
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
        if (at_word(p, "GENERATED")) return fail_unexpected(p);
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
    column->affinity = vt_affinity_of_type(quoted ? name : column->type);
    sqlite3_free(name);
    if (has_hidden(column->type)) return fail_at(p, first, sqlite3_mprintf("a type with the word HIDDEN would make SQLite hide the column"));
    return true;
}

/* One column constraint; *more is false at the end of the definition. */
static bool parse_column_constraint(struct parser *p, int i, bool *more) {
    struct vt_column *column = &p->schema->columns[i];
    int ignored;
    if (accept_word(p, "CONSTRAINT")) {
        char *name = take_name(p);
        sqlite3_free(name);
        return name != NULL;
    }
    if (at_word(p, "PRIMARY")) return parse_column_key(p, i);
    if (at_word(p, "DEFAULT")) return parse_default(p, column);
    if (accept_word(p, "NULL")) return parse_conflict(p, &ignored);
    if (accept_word(p, "COLLATE")) return parse_collation(p, &column->collation);
    if (accept_word(p, "NOT")) {
        if (at_word(p, "DEFERRABLE")) return fail_unexpected(p);
        column->not_null = true;
        return expect_word(p, "NULL") && parse_conflict(p, &column->not_null_conflict);
    }
    *more = false;
    return p->token.kind == VT_TOKEN_END || fail_unexpected(p);
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
        if (accept_word(p, "CONSTRAINT")) {
            char *name = take_name(p);
            sqlite3_free(name);
            if (name == NULL) return false;
        } else if (at_word(p, "PRIMARY")) {
            if (!parse_table_key(p)) return false;
        } else {
            return fail_unexpected(p);
        }
    }
    return true;
}

static bool refuse_option(struct parser *p) {
    if (at_word(p, "ttl") || at_word(p, "compression")) return fail(p, "this option is not built yet");
    return fail(p, "unknown option; there are none yet");
}

/* STRICT alone, WITHOUT ROWID: to CREATE TABLE inside the parentheses these would be columns, which nobody means. */
static bool is_table_option(const struct parser *p) {
    struct vt_token second = peek(p);
    return (at_word(p, "STRICT") && second.kind == VT_TOKEN_END) || (at_word(p, "WITHOUT") && vt_token_is(&second, "ROWID"));
}

static bool parse_argument(struct parser *p, const char *text) {
    p->next = text;
    advance(p);
    struct vt_token second = peek(p);
    if (p->token.kind == VT_TOKEN_END) return fail(p, "an empty argument");
    if (p->token.kind == VT_TOKEN_ID && second.kind == VT_TOKEN_PUNCT && *second.start == '=') return refuse_option(p);
    if (begins_table_constraint(&p->token)) return parse_table_constraints(p);
    if (is_table_option(p)) {
        if (at_word(p, "STRICT")) return fail(p, "STRICT is not built yet; a column of this name needs double quotes");
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
    return name != NULL || fail_nomem(p);
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
    if (schema->column_count >= p->column_max) return fail_whole(p, sqlite3_mprintf("the table has too many columns: its key takes a hidden one"));
    return name_hidden_column(p);
}

static bool settle_key(struct parser *p) {
    struct vt_schema *schema = p->schema;
    struct key_clause *key = &p->key;
    if (!key->given) return true;
    schema->key_conflict = key->conflict;
    if (key->in_column) key->columns[0].collation = schema->columns[key->columns[0].column].collation;
    if (!key_is_rowid(p)) return settle_clustered(p);
    struct vt_column *column = &schema->columns[key->columns[0].column];
    schema->rowid_column = key->columns[0].column;
    column->not_null = false; /* NULL asks for a new rowid */
    if (!column->has_default) return true;
    return fail_whole(p, sqlite3_mprintf("column \"%s\": an INTEGER PRIMARY KEY takes no DEFAULT, a row without it gets a new number", column->name));
}

static bool settle(struct parser *p) {
    struct vt_schema *schema = p->schema;
    if (schema->column_count == 0) {
        return fail_whole(p, sqlite3_mprintf("a table needs at least one column, as in: USING lsm(id INTEGER PRIMARY KEY, name TEXT)"));
    }
    if (!settle_key(p)) return false;
    for (int i = 0; i < schema->column_count; i++) {
        const struct vt_column *column = &schema->columns[i];
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
    sqlite3_free(p.key.columns);
    return p.rc;
}
