#include "ddl_constraint.h"

#include "ddl.h"

/* ---- what is refused ------------------------------------------------------------------------------------------ */

/* Parts of CREATE TABLE that are known and not supported, by the word they begin with. */
static const struct {
    const char *word, *reason;
} refused[] = {
    {"INDEX", "INDEX name (columns) stands behind the columns, by itself"},
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

static bool add_key_column(struct parser *p, struct key_clause *key, struct vt_key_column column) {
    if (key->count == key->capacity) {
        int capacity = key->capacity == 0 ? 4 : key->capacity * 2;
        struct vt_key_column *grown = sqlite3_realloc64(key->columns, (sqlite3_uint64)capacity * sizeof *grown);
        if (grown == NULL) return fail_nomem(p);
        key->columns = grown;
        key->capacity = capacity;
    }
    key->columns[key->count++] = column;
    return true;
}

static bool begin_key(struct parser *p, bool in_column) {
    if (p->key.given) return fail(p, "the table has more than one primary key");
    p->key.given = true;
    p->key.in_column = in_column;
    p->key_place = p->index_count;
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
    if (!vt_ddl_parse_conflict(p, &p->key.conflict) || !add_key_column(p, &p->key, column)) return false; /* its collation may follow: settle_key() */
    p->key.autoincrement = accept_word(p, "AUTOINCREMENT");
    return true;
}

#define EXPRESSION_IN_KEY "a key takes columns, not expressions"

/* One column of PRIMARY KEY (...) and the like. */
static bool parse_key_column(struct parser *p, struct key_clause *key) {
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
    return add_key_column(p, key, column);
}

bool vt_ddl_parse_key_columns(struct parser *p, struct key_clause *key) {
    for (;;) {
        if (!parse_key_column(p, key)) return false;
        if (!at_punct(p, ',')) return true;
        advance(p);
    }
}

/* PRIMARY was met as a table constraint. */
bool vt_ddl_parse_table_key(struct parser *p) {
    if (!begin_key(p, false)) return false;
    advance(p);
    if (!expect_word(p, "KEY") || !expect_punct(p, '(')) return false;
    if (!vt_ddl_parse_key_columns(p, &p->key)) return false;
    p->key.autoincrement = accept_word(p, "AUTOINCREMENT");
    return vt_ddl_end_key_columns(p) && vt_ddl_parse_conflict(p, &p->key.conflict);
}

/* ---- UNIQUE and INDEX ---------------------------------------------------------------------------------------------- */

bool vt_ddl_end_key_columns(struct parser *p) {
    if (p->token.kind == VT_TOKEN_PUNCT && !at_punct(p, ')')) return fail(p, EXPRESSION_IN_KEY);
    if (refusal(&p->token) != NULL) return vt_ddl_fail_unexpected(p);
    return expect_punct(p, ')');
}

static struct index_clause *add_index(struct parser *p) {
    if (p->index_count == p->index_capacity) {
        int capacity = p->index_capacity == 0 ? 4 : p->index_capacity * 2;
        struct index_clause *grown = sqlite3_realloc64(p->indexes, (sqlite3_uint64)capacity * sizeof *grown);
        if (grown == NULL) {
            fail_nomem(p);
            return NULL;
        }
        p->indexes = grown;
        p->index_capacity = capacity;
    }
    struct index_clause *clause = &p->indexes[p->index_count++];
    *clause = (struct index_clause){.unique = true};
    return clause;
}

/* Its name, if CONSTRAINT gave one. */
static bool name_constraint(struct parser *p, struct index_clause *clause) {
    if (p->constraint.kind == VT_TOKEN_END) return true;
    clause->name = vt_token_unquoted(p->constraint);
    return clause->name != NULL || fail_nomem(p); /* LCOV_EXCL_BR_LINE: to fail is false */
}

bool vt_ddl_parse_column_unique(struct parser *p, int i) {
    advance(p);
    struct index_clause *clause = add_index(p);
    if (clause == NULL) return false;
    clause->key.in_column = true; /* its collation may follow */
    struct vt_key_column column = {.column = i};
    return name_constraint(p, clause) && add_key_column(p, &clause->key, column) && vt_ddl_parse_conflict(p, &clause->key.conflict);
}

bool vt_ddl_parse_table_index(struct parser *p) {
    struct index_clause *clause = add_index(p);
    if (clause == NULL) return false;
    clause->unique = at_word(p, "UNIQUE");
    advance(p);
    if (clause->unique && !name_constraint(p, clause)) return false;
    if (!clause->unique) {
        if (at_punct(p, '(')) return fail(p, "an index has a name: INDEX name (columns)");
        clause->name = take_name(p);
        if (clause->name == NULL) return false;
    }
    if (!expect_punct(p, '(') || !vt_ddl_parse_key_columns(p, &clause->key) || !vt_ddl_end_key_columns(p)) return false;
    if (at_word(p, "WHERE")) return fail(p, "an index is over all rows; partial indexes are not built yet");
    return !clause->unique || vt_ddl_parse_conflict(p, &clause->key.conflict);
}

static bool same_columns(const struct vt_key_column *a, int a_count, const struct vt_key_column *b, int b_count) {
    bool same = a_count == b_count;
    for (int i = 0; i < a_count && same; i++) same = a[i].column == b[i].column && a[i].collation == b[i].collation;
    return same;
}

#define CONFLICTING "conflicting ON CONFLICT clauses specified"

/* Two constraints of one meaning, as SQLite merges them. */
static bool merge_conflict(struct parser *p, int *into, int *place, int conflict) {
    if (*into != 0 && conflict != 0 && *into != conflict) return fail_whole(p, sqlite3_mprintf(CONFLICTING));
    if (*into == 0 && conflict != 0) *place = p->place;
    if (*into == 0) *into = conflict;
    return true;
}

/* Moves the columns to `named`, and leaves those without repetitions. */
static bool name_columns(struct parser *p, struct index_clause *clause) {
    const struct vt_schema *schema = p->schema;
    struct key_clause *key = &clause->key;
    struct vt_key_column *columns = sqlite3_malloc64(((sqlite3_uint64)key->count + 1) * sizeof *columns);
    int count = 0;
    if (columns == NULL) return fail_nomem(p);
    for (int i = 0; i < key->count; i++) {
        struct vt_key_column *column = &key->columns[i];
        if (key->in_column) column->collation = schema->columns[column->column].collation;
        /* The INTEGER PRIMARY KEY is the rowid. */
        if (schema->kind == VT_KIND_ROWID && column->column == schema->rowid_column)
            *column = (struct vt_key_column){.column = -1, .desc = column->desc};
        bool repeated = false;
        for (int k = 0; k < count && !repeated; k++) repeated = columns[k].column == column->column && columns[k].collation == column->collation;
        if (!repeated) columns[count++] = *column;
    }
    clause->named = key->columns;
    clause->named_count = key->count;
    key->columns = columns;
    key->count = count;
    return true;
}

/* *done: it says nothing that is not said already. */
static bool merge_index(struct parser *p, struct index_clause *clause, bool *done) {
    struct vt_schema *schema = p->schema;
    struct key_clause *key = &clause->key;
    *done = true;
    /* SQLite compares the columns as they were named, repetitions included; the key's may have gone. */
    bool key_as_named = schema->kind == VT_KIND_CLUSTERED && p->key.count == schema->key_count;
    if (key_as_named && same_columns(schema->key, schema->key_count, clause->named, clause->named_count)) {
        return merge_conflict(p, &schema->key_conflict, &schema->key_conflict_place, key->conflict);
    }
    /* The rowid is unique without it. But where the key replaces, SQLite asks this constraint first. */
    bool first = schema->key_conflict == SQLITE_REPLACE && key->conflict != SQLITE_REPLACE;
    if (schema->kind == VT_KIND_ROWID && key->count == 1 && key->columns[0].column < 0 && !first) return true;
    for (int i = 0; i < schema->index_count; i++) {
        struct vt_index *index = &schema->indexes[i];
        if (index->unique && same_columns(index->named, index->named_count, clause->named, clause->named_count)) {
            return merge_conflict(p, &index->conflict, &index->conflict_place, key->conflict);
        }
    }
    *done = false;
    return true;
}

bool vt_ddl_settle_index(struct parser *p, struct index_clause *clause) {
    struct vt_schema *schema = p->schema;
    bool done = false;
    if (!name_columns(p, clause)) return false;
    if (clause->unique && !merge_index(p, clause, &done)) return false;
    if (done) return true;
    if (schema->index_count >= VT_INDEXES_MAX) return fail_whole(p, sqlite3_mprintf("a table has at most %d indexes", VT_INDEXES_MAX));
    for (int n = 1; clause->name == NULL || (clause->unique && vt_index_find(schema, clause->name) >= 0); n++) {
        sqlite3_free(clause->name);
        clause->name = sqlite3_mprintf("unique_%d", n);
        if (clause->name == NULL) return fail_nomem(p);
    }
    if (vt_index_find(schema, clause->name) >= 0) return fail_whole(p, sqlite3_mprintf("index %s already exists", clause->name));
    struct vt_index *index = vt_index_add(schema, clause->name, clause->key.columns, clause->key.count, clause->named, clause->named_count);
    clause->name = NULL;
    clause->key.columns = clause->named = NULL;
    if (index == NULL) return fail_nomem(p);
    index->unique = clause->unique;
    index->conflict = clause->key.conflict;
    index->conflict_place = p->place;
    return true;
}

bool vt_ddl_settle_indexes(struct parser *p) {
    p->schema->key_conflict_place = 2 * p->key_place + 1;
    for (int i = 0; i < p->index_count; i++) {
        p->place = 2 * (i + 1);
        if (i == p->key_place) p->schema->key_place = p->schema->index_count;
        if (!vt_ddl_settle_index(p, &p->indexes[i])) return false;
    }
    if (p->key_place >= p->index_count) p->schema->key_place = p->schema->index_count;
    p->schema->declared_index_count = p->schema->index_count;
    return true;
}

void vt_ddl_release_indexes(struct parser *p) {
    for (int i = 0; i < p->index_count; i++) {
        sqlite3_free(p->indexes[i].name);
        sqlite3_free(p->indexes[i].key.columns);
        sqlite3_free(p->indexes[i].named);
    }
    sqlite3_free(p->indexes);
    p->indexes = NULL;
    p->index_count = 0;
}

int vt_ddl_add_index(struct vt_schema *schema, const char *name, const char *definition, char **message) {
    struct parser p = {.schema = schema, .next = definition, .rc = SQLITE_OK};
    advance(&p);
    struct index_clause *clause = add_index(&p);
    if (clause == NULL) return SQLITE_NOMEM;
    clause->unique = accept_word(&p, "UNIQUE");
    clause->name = sqlite3_mprintf("%s", name);
    bool ok = clause->name != NULL || fail_nomem(&p), paren = ok && at_punct(&p, '(');
    if (paren) advance(&p);
    if (ok) ok = vt_ddl_parse_key_columns(&p, &clause->key) && (!paren || vt_ddl_end_key_columns(&p));
    if (ok && p.token.kind != VT_TOKEN_END) ok = p.token.kind == VT_TOKEN_PUNCT ? fail(&p, EXPRESSION_IN_KEY) : fail_syntax(&p);
    if (ok && vt_index_find(schema, name) >= 0) ok = fail_whole(&p, sqlite3_mprintf("index %s already exists", name));
    if (ok) {
        bool unique = clause->unique;
        clause->unique = false; /* one that says what is said already is made all the same, as CREATE UNIQUE INDEX does */
        ok = vt_ddl_settle_index(&p, clause);
        if (ok) schema->indexes[schema->index_count - 1].unique = unique;
    }
    vt_ddl_release_indexes(&p);
    if (message != NULL) {
        *message = p.message;
    } else {
        sqlite3_free(p.message);
    }
    return p.rc;
}

/* ---- CHECK ----------------------------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* What SQLite calls a CHECK without a name in its messages: the text between the parentheses, or what stands in quotes if it begins with one. */
static char *shown_name(const char *text) {
    if (strchr("\"'`[", text[0]) == NULL || text[0] == '\0') return sqlite3_mprintf("%s", text); /* LCOV_EXCL_BR_LINE: a CHECK is not empty */
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
    while (start < end && is_blank(*start)) start++; /* LCOV_EXCL_BR_LINE: a CHECK is not blank */
    while (start < end && is_blank(end[-1])) end--;  /* LCOV_EXCL_BR_LINE: likewise */
    struct vt_check *check = &schema->checks[schema->check_count++];
    check->text = sqlite3_mprintf("%.*s", (int)(end - start), start);
    check->name = check->text == NULL ? NULL : p->constraint.kind != VT_TOKEN_END ? vt_token_unquoted(p->constraint) : shown_name(check->text);
    return check->name != NULL || fail_nomem(p); /* LCOV_EXCL_BR_LINE: to fail is false */
}

bool vt_ddl_skip_parentheses(struct parser *p, const char **end) {
    if (!at_punct(p, '(')) return expect_punct(p, '(');
    struct vt_token first = peek(p);
    int depth = 1;
    while (depth > 0) {
        advance(p);
        if (p->token.kind == VT_TOKEN_END || p->token.kind == VT_TOKEN_BAD) return fail_syntax(p);
        depth += at_punct(p, '(') - at_punct(p, ')');
    }
    if (p->token.start == first.start) return fail_syntax(p);
    *end = p->token.start;
    advance(p);
    return true;
}

/* SQLite itself judges the expression, when checks.c hands it over. Here it only ends at its closing parenthesis. */
bool vt_ddl_parse_check(struct parser *p) {
    advance(p);
    const char *start = p->next, *end;
    return vt_ddl_skip_parentheses(p, &end) && add_check(p, start, end);
}

bool vt_ddl_parse_constraint_name(struct parser *p) {
    advance(p);
    p->constraint = p->token;
    char *name = take_name(p);
    sqlite3_free(name);
    return name != NULL;
}
