#include "statement.h"

#include <string.h>

#include "ddl_token.h"

enum { TEXT_BYTES_MAX = 65536 /* a longer text takes so long to carry out that reading it does not matter */ };

/* SQLite has judged the text: what cannot be read as a number is one in a way of later versions, 1_000. */
static struct vt_token after(const struct vt_token *token) {
    struct vt_token next = vt_token_scan(token->start + token->size);
    if (next.kind != VT_TOKEN_BAD || *next.start < '.' || *next.start > '9') return next;
    next.kind = VT_TOKEN_NUMBER;
    next.size = 1;
    while (vt_token_is_id_byte(next.start[next.size]) || next.start[next.size] == '.') next.size++;
    return next;
}

static bool is_punct(const struct vt_token *token, char c) { return token->kind == VT_TOKEN_PUNCT && *token->start == c; }

static bool is_name(const struct vt_token *token, const char *name) {
    char *text = vt_token_unquoted(*token);
    bool same = text == NULL || sqlite3_stricmp(text, name) == 0; /* out of memory: better a statement refused */
    sqlite3_free(text);
    return same;
}

/* The next of the words outside of parentheses, from the token on; VT_TOKEN_END if there is none. */
static struct vt_token find_word(struct vt_token token, const char *const *words, size_t count) {
    for (int depth = 0; token.kind != VT_TOKEN_END && token.kind != VT_TOKEN_BAD; token = after(&token)) { /* LCOV_EXCL_BR_LINE: SQLite judged it */
        depth += is_punct(&token, '(') - is_punct(&token, ')');
        if (depth == 0 && vt_token_is_one_of(&token, words, count)) return token;
    }
    return (struct vt_token){.kind = VT_TOKEN_END};
}

static enum vt_returning asked_for(struct vt_token token) {
    static const char *const names[] = {"rowid", "oid", "_rowid_"};
    for (; token.kind != VT_TOKEN_END && token.kind != VT_TOKEN_BAD; token = after(&token)) { /* LCOV_EXCL_BR_LINE: SQLite has judged the text */
        bool word = token.kind == VT_TOKEN_ID || token.kind == VT_TOKEN_STRING;
        for (int i = 0; i < 3 && word; i++) {
            if (is_name(&token, names[i])) return VT_RETURNING_ROWID;
        }
    }
    return VT_RETURNING_VALUES;
}

/* `... INTO [schema.]table ... RETURNING ...`: the token is INTO. */
static enum vt_returning read_returning(struct vt_token token, const char *schema, const char *table) {
    static const char *const returning[] = {"RETURNING"};
    if (token.kind == VT_TOKEN_END) return VT_RETURNING_NOTHING;
    struct vt_token name = after(&token), dot = after(&name);
    if (is_punct(&dot, '.')) {
        if (!is_name(&name, schema)) return VT_RETURNING_NOTHING;
        name = after(&dot);
    }
    if (!is_name(&name, table)) return VT_RETURNING_NOTHING;
    token = find_word(after(&name), returning, 1);
    return token.kind == VT_TOKEN_END ? VT_RETURNING_NOTHING : asked_for(after(&token));
}

/* What the statement does. REPLACE may also be the name of a table in WITH, or a function. */
static struct vt_token find_verb(const char *sql) {
    static const char *const verbs[] = {"INSERT", "REPLACE", "UPDATE"};
    struct vt_token verb = find_word(vt_token_scan(sql), verbs, 3), next;
    while (vt_token_is(&verb, "REPLACE")) {
        next = after(&verb);
        if (vt_token_is(&next, "INTO")) break;
        verb = find_word(next, verbs, 3);
    }
    return verb;
}

/* `[WITH ...] INSERT [OR ABORT] INTO ...`, and the like with REPLACE and UPDATE */
static struct vt_statement_words read_text(const char *sql, const char *schema, const char *table) {
    static const char *const into[] = {"INTO"};
    struct vt_statement_words words = {.returning = VT_RETURNING_NOTHING};
    struct vt_token verb = find_verb(sql);
    if (verb.kind == VT_TOKEN_END) return words;
    struct vt_token or = after(&verb), what = after(& or);
    words.or_abort = vt_token_is(& or, "OR") && vt_token_is(&what, "ABORT");
    if (!vt_token_is(&verb, "UPDATE")) words.returning = read_returning(find_word(or, into, 1), schema, table);
    return words;
}

/* The text itself is compared: a statement may stand where another one was. */
static struct vt_statement_words words_of(struct vt_statement *statement, const char *sql, const char *schema, const char *table) {
    if (statement->text != NULL && strcmp(statement->text, sql) == 0) return statement->words;
    size_t size = strlen(sql) + 1;
    struct vt_statement_words words = read_text(sql, schema, table);
    vt_statement_release(statement);
    statement->text = size > TEXT_BYTES_MAX ? NULL : sqlite3_malloc64(size);
    if (statement->text != NULL) memcpy(statement->text, sql, size); /* without memory it is read each time */
    statement->words = words;
    return words;
}

void vt_statement_find(struct vt_statement *statement, sqlite3 *db, const void *caller, const char *schema, const char *table) {
    int changes = sqlite3_total_changes(db);
    if (caller == statement->caller && changes == statement->changes) return;
    statement->caller = caller;
    statement->changes = changes;
    statement->returning = VT_RETURNING_NOTHING;
    statement->or_abort = false;
    for (sqlite3_stmt *each = sqlite3_next_stmt(db, NULL); each != NULL; each = sqlite3_next_stmt(db, each)) {
        /* One that has made its changes and waits with a row has data; one that runs has not. */
        bool runs = sqlite3_stmt_busy(each) != 0 && sqlite3_data_count(each) == 0;
        const char *sql = runs && sqlite3_stmt_readonly(each) == 0 ? sqlite3_sql(each) : NULL;
        if (sql == NULL) continue;
        struct vt_statement_words words = words_of(statement, sql, schema, table);
        if (words.returning != VT_RETURNING_NOTHING) statement->returning = words.returning;
        statement->or_abort |= words.or_abort;
    }
}

void vt_statement_release(struct vt_statement *statement) {
    sqlite3_free(statement->text);
    statement->text = NULL;
}
