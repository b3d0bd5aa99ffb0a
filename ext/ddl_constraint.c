#include "ddl_constraint.h"

/* ---- what is refused ------------------------------------------------------------------------------------------ */

/* Parts of CREATE TABLE that are known and not supported, by the word they begin with. */
static const struct {
    const char *word, *reason;
} refused[] = {
    {"UNIQUE", "UNIQUE is not built yet; the only unique columns are those of PRIMARY KEY"},
    {"INDEX", "secondary indexes are not built yet; make the columns to search by the first ones of PRIMARY KEY"},
    {"FOREIGN", "foreign keys are not supported, because SQLite does not enforce them on virtual tables"},
    {"REFERENCES", "foreign keys are not supported, because SQLite does not enforce them on virtual tables"},
    {"AUTOINCREMENT", "AUTOINCREMENT belongs behind INTEGER PRIMARY KEY"},
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
bool vt_ddl_fail_unexpected(struct parser *p) {
    const char *reason = refusal(&p->token);
    return reason == NULL ? fail_syntax(p) : fail(p, reason);
}

/* ---- clauses --------------------------------------------------------------------------------------------------- */

/* [ON CONFLICT what] */
bool vt_ddl_parse_conflict(struct parser *p, int *conflict) {
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
bool vt_ddl_parse_collation(struct parser *p, enum vt_collation *collation) {
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
bool vt_ddl_parse_column_key(struct parser *p, int i) {
    if (!begin_key(p, true)) return false;
    advance(p);
    if (!expect_word(p, "KEY")) return false;
    struct vt_key_column column = {.column = i};
    if (accept_word(p, "DESC")) {
        column.desc = true;
    } else {
        accept_word(p, "ASC");
    }
    if (!vt_ddl_parse_conflict(p, &p->key.conflict) || !add_key_column(p, column)) return false; /* its collation may follow: settle_key() */
    p->key.autoincrement = accept_word(p, "AUTOINCREMENT");
    return true;
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
        if (!vt_ddl_parse_collation(p, &column.collation)) return false;
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
bool vt_ddl_parse_table_key(struct parser *p) {
    if (!begin_key(p, false)) return false;
    advance(p);
    if (!expect_word(p, "KEY") || !expect_punct(p, '(')) return false;
    for (;;) {
        if (!parse_key_column(p)) return false;
        if (!at_punct(p, ',')) break;
        advance(p);
    }
    p->key.autoincrement = accept_word(p, "AUTOINCREMENT");
    if (p->token.kind == VT_TOKEN_PUNCT && !at_punct(p, ')')) return fail(p, EXPRESSION_IN_KEY);
    if (refusal(&p->token) != NULL) return vt_ddl_fail_unexpected(p);
    return expect_punct(p, ')') && vt_ddl_parse_conflict(p, &p->key.conflict);
}

/* ---- CHECK ----------------------------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* What SQLite calls a CHECK without a name in its messages: the text between the parentheses, or what stands in quotes if it begins with one. */
static char *shown_name(const char *text) {
    if (strchr("\"'`[", text[0]) == NULL || text[0] == '\0') return sqlite3_mprintf("%s", text);
    return vt_token_unquoted(vt_token_scan(text));
}

static bool add_check(struct parser *p, const char *start, const char *end) {
    struct vt_schema *schema = p->schema;
    if (schema->check_count == p->check_capacity) {
        int capacity = p->check_capacity == 0 ? 4 : p->check_capacity * 2;
        struct vt_check *grown = sqlite3_realloc64(schema->checks, (sqlite3_uint64)capacity * sizeof *grown);
        if (grown == NULL) return fail_nomem(p);
        schema->checks = grown;
        p->check_capacity = capacity;
    }
    while (start < end && is_blank(*start)) start++;
    while (start < end && is_blank(end[-1])) end--;
    struct vt_check *check = &schema->checks[schema->check_count++];
    check->text = sqlite3_mprintf("%.*s", (int)(end - start), start);
    check->name = check->text == NULL ? NULL : p->constraint.kind != VT_TOKEN_END ? vt_token_unquoted(p->constraint) : shown_name(check->text);
    return check->name != NULL || fail_nomem(p);
}

/* SQLite itself judges the expression, when checks.c hands it over. Here it only ends at its closing parenthesis. */
bool vt_ddl_parse_check(struct parser *p) {
    advance(p);
    if (!at_punct(p, '(')) return expect_punct(p, '(');
    const char *start = p->next;
    struct vt_token first = peek(p);
    int depth = 1;
    while (depth > 0) {
        advance(p);
        if (p->token.kind == VT_TOKEN_END || p->token.kind == VT_TOKEN_BAD) return fail_syntax(p);
        depth += at_punct(p, '(') - at_punct(p, ')');
    }
    if (p->token.start == first.start) return fail_syntax(p);
    const char *end = p->token.start;
    advance(p);
    return add_check(p, start, end);
}

bool vt_ddl_parse_constraint_name(struct parser *p) {
    advance(p);
    p->constraint = p->token;
    char *name = take_name(p);
    sqlite3_free(name);
    return name != NULL;
}
