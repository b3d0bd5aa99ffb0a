#include "ddl_token.h"

/* ---- scanning ------------------------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static bool is_id_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80; }
static bool is_id(char c) { return is_id_start(c) || is_digit(c) || c == '$'; }

static const char *skip_blanks(const char *p) {
    for (;;) {
        if (is_space(*p)) {
            p++;
        } else if (p[0] == '-' && p[1] == '-') {
            while (*p != '\0' && *p != '\n') p++;
        } else if (p[0] == '/' && p[1] == '*') {
            const char *end = strstr(p + 2, "*/");
            p = end == NULL ? p + strlen(p) : end + 2;
        } else {
            return p;
        }
    }
}

/* Behind the closing quote, NULL if there is none. A doubled quote stands for one, but not in [brackets]. */
static const char *skip_quoted(const char *p) {
    char close = *p == '[' ? ']' : *p;
    for (p++; *p != '\0'; p++) {
        if (*p != close) continue;
        if (close == ']' || p[1] != close) return p + 1;
        p++;
    }
    return NULL;
}

static const char *skip_digits(const char *p) {
    while (is_digit(*p)) p++;
    return p;
}

/* Behind the number, NULL if it runs into something that is not part of one. */
static const char *skip_number(const char *p) {
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && is_hex(p[2])) {
        for (p += 2; is_hex(*p); p++) {}
        return is_id(*p) ? NULL : p;
    }
    p = skip_digits(p);
    if (*p == '.') p = skip_digits(p + 1);
    if (*p == 'e' || *p == 'E') {
        const char *exponent = p + 1 + (p[1] == '+' || p[1] == '-');
        if (is_digit(*exponent)) p = skip_digits(exponent);
    }
    return is_id(*p) ? NULL : p;
}

/* Behind x'...', NULL if it is cut off or not an even number of hex digits. */
static const char *skip_blob(const char *p) {
    const char *digits = p + 2, *end = digits;
    while (is_hex(*end)) end++;
    return *end == '\'' && (end - digits) % 2 == 0 ? end + 1 : NULL;
}

struct vt_token vt_token_scan(const char *p) {
    p = skip_blanks(p);
    struct vt_token token = {.kind = VT_TOKEN_PUNCT, .start = p};
    const char *end = p + 1;
    if (*p == '\0') {
        token.kind = VT_TOKEN_END;
        end = p;
    } else if ((*p == 'x' || *p == 'X') && p[1] == '\'') {
        token.kind = VT_TOKEN_BLOB;
        end = skip_blob(p);
    } else if (is_id_start(*p)) {
        token.kind = VT_TOKEN_ID;
        while (is_id(*end)) end++;
    } else if (*p == '"' || *p == '`' || *p == '[') {
        token.kind = VT_TOKEN_ID;
        token.quote = *p;
        end = skip_quoted(p);
    } else if (*p == '\'') {
        token.kind = VT_TOKEN_STRING;
        token.quote = *p;
        end = skip_quoted(p);
    } else if (is_digit(*p) || (*p == '.' && is_digit(p[1]))) {
        token.kind = VT_TOKEN_NUMBER;
        end = skip_number(p);
    }
    if (end == NULL) token.kind = VT_TOKEN_BAD;
    token.size = end == NULL ? strlen(p) : (size_t)(end - p);
    return token;
}

bool vt_token_is_id_byte(char c) { return is_id(c); }

/* ---- words ---------------------------------------------------------------------------------------------------- */

bool vt_token_is(const struct vt_token *token, const char *word) {
    if (token->kind != VT_TOKEN_ID || token->quote != 0 || token->size != strlen(word)) return false;
    return sqlite3_strnicmp(token->start, word, (int)token->size) == 0;
}

/* The keywords SQLite does not take for names unless they are quoted. */
static const char *const reserved_words[] = {
    "ADD",         "ALL",        "ALTER",   "AND",        "AS",         "AUTOINCREMENT", "BETWEEN",  "CASE",    "CHECK",  "COLLATE",
    "COMMIT",      "CONSTRAINT", "CREATE",  "DEFAULT",    "DEFERRABLE", "DELETE",        "DISTINCT", "DROP",    "ELSE",   "ESCAPE",
    "EXCEPT",      "EXISTS",     "FOREIGN", "FROM",       "GROUP",      "HAVING",        "IN",       "INDEX",   "INSERT", "INTERSECT",
    "INTO",        "IS",         "ISNULL",  "JOIN",       "LIMIT",      "NOT",           "NOTHING",  "NOTNULL", "NULL",   "ON",
    "OR",          "ORDER",      "PRIMARY", "REFERENCES", "RETURNING",  "SELECT",        "SET",      "TABLE",   "THEN",   "TO",
    "TRANSACTION", "UNION",      "UNIQUE",  "UPDATE",     "USING",      "VALUES",        "WHEN",     "WHERE",
};

/* Taken for column names, not for type names and defaults. */
static const char *const join_words[] = {"CROSS", "FULL", "INNER", "LEFT", "NATURAL", "OUTER", "RIGHT"};

bool vt_token_is_one_of(const struct vt_token *token, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (vt_token_is(token, words[i])) return true;
    }
    return false;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

bool vt_token_is_reserved(const struct vt_token *token) { return vt_token_is_one_of(token, reserved_words, COUNT(reserved_words)); }

bool vt_token_is_name(const struct vt_token *token) {
    return token->kind == VT_TOKEN_STRING || (token->kind == VT_TOKEN_ID && !vt_token_is_reserved(token));
}

bool vt_token_is_join(const struct vt_token *token) { return vt_token_is_one_of(token, join_words, COUNT(join_words)); }

bool vt_token_is_type_word(const struct vt_token *token) {
    return vt_token_is_name(token) && !vt_token_is_join(token) && !vt_token_is(token, "INDEXED");
}

bool vt_token_names(const struct vt_token *token, const char *name) {
    size_t skip = token->quote != 0;
    for (size_t i = skip; i + skip < token->size; i++, name++) {
        if (sqlite3_strnicmp(token->start + i, name, 1) != 0) return false; /* at the end of the name, too */
        if (skip != 0 && token->quote != '[' && token->start[i] == token->quote) i++;
    }
    return *name == '\0';
}

char *vt_token_unquoted(struct vt_token token) {
    char *text = sqlite3_malloc64(token.size + 1);
    if (text == NULL) return NULL;
    size_t n = 0, skip = token.quote != 0;
    for (size_t i = skip; i + skip < token.size; i++) {
        text[n++] = token.start[i];
        if (token.quote != 0 && token.quote != '[' && token.start[i] == token.quote) i++;
    }
    text[n] = '\0';
    return text;
}
