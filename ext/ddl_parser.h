/* ddl_parser.h: the state of the parser of table definitions, and its words and errors. Private to ddl.c and ddl_constraint.c.
 *
 * A parsing function returns false after failing; the first failure counts. The token at hand is `token`, the text behind it `next`.
 */
#ifndef VT_DDL_PARSER_H
#define VT_DDL_PARSER_H

#include "ddl_token.h"

/* A PRIMARY KEY clause, or the columns of an index, until all columns are known. */
struct key_clause {
    bool given, in_column; /* in_column: written in a column definition, where INTEGER PRIMARY KEY DESC is no rowid */
    bool autoincrement;
    int conflict;
    int count, capacity;
    struct vt_key_column *columns;
};

/* UNIQUE or INDEX, until the key is known. */
struct index_clause {
    char *name; /* NULL: none given */
    bool unique;
    struct key_clause key;
    int named_count; /* settled: the columns with repetitions */
    struct vt_key_column *named;
};

struct parser {
    sqlite3 *db;
    struct vt_schema *schema;
    int column_max;
    int column_capacity;
    struct key_clause key;
    int key_place; /* index clauses before PRIMARY KEY */
    int index_count, index_capacity;
    struct index_clause *indexes;
    int place;                  /* of the constraint that is being settled; odd: PRIMARY KEY */
    struct vt_token constraint; /* the name behind CONSTRAINT, for the next CHECK; VT_TOKEN_END: none */
    int check_capacity;
    bool constraints_begun; /* a table constraint was seen: no more columns */
    /* Where the parser stands. */
    int argument; /* counted from 1; 0: there are none */
    const char *next;
    struct vt_token token;
    /* How it failed. */
    int rc;
    char *message;
};

static inline void advance(struct parser *p) {
    p->token = vt_token_scan(p->next);
    p->next = p->token.start + p->token.size;
}

static inline struct vt_token peek(const struct parser *p) { return vt_token_scan(p->next); }

/* ---- errors --------------------------------------------------------------------------------------------------- */

#define NEAR_BYTES_MAX 40

static inline bool fail_nomem(struct parser *p) {
    if (p->rc == SQLITE_OK) p->rc = SQLITE_NOMEM; /* LCOV_EXCL_BR_LINE: the first failure ends it */
    return false;
}

/* The token as it is shown in messages: not too long, no half characters. */
static inline int shown_size(const struct vt_token *token) {
    size_t size = token->size;
    if (size > NEAR_BYTES_MAX) {
        size = NEAR_BYTES_MAX;
        while (size > 1 && ((unsigned char)token->start[size] & 0xc0) == 0x80) size--;
    }
    return (int)size;
}

/* Fail at a token. Takes `reason` (NULL: out of memory). Always false, so that it can be returned. */
static inline bool fail_at(struct parser *p, struct vt_token token, char *reason) {
    if (reason == NULL) return fail_nomem(p);
    if (p->rc == SQLITE_OK) { /* LCOV_EXCL_BR_LINE: the first failure ends it */
        char *place = p->argument == 0 ? sqlite3_mprintf("")
                                       : sqlite3_mprintf(token.kind == VT_TOKEN_END ? " of argument %d" : "in argument %d, ", p->argument);
        p->message = place == NULL                ? NULL
                     : token.kind == VT_TOKEN_END ? sqlite3_mprintf("at the end%s: %s", place, reason)
                                                  : sqlite3_mprintf("%snear \"%.*s\": %s", place, shown_size(&token), token.start, reason);
        sqlite3_free(place);
        p->rc = p->message == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
    }
    sqlite3_free(reason);
    return false;
}

static inline bool fail(struct parser *p, const char *reason) { return fail_at(p, p->token, sqlite3_mprintf("%s", reason)); }

/* Fail over the whole, or over a column: no place to point at. */
static inline bool fail_whole(struct parser *p, char *message) {
    if (message == NULL) return fail_nomem(p);
    if (p->rc != SQLITE_OK) { /* LCOV_EXCL_BR_LINE: the first failure ends it */
        sqlite3_free(message);
        return false;
    }
    p->rc = SQLITE_ERROR;
    p->message = message;
    return false;
}

static inline bool fail_syntax(struct parser *p) {
    if (p->token.kind == VT_TOKEN_BAD) return fail(p, "unfinished or malformed token");
    return fail(p, p->token.kind == VT_TOKEN_END ? "incomplete definition" : "syntax error");
}

/* ---- words and names ------------------------------------------------------------------------------------------ */

static inline bool at_word(const struct parser *p, const char *word) { return vt_token_is(&p->token, word); }
static inline bool at_punct(const struct parser *p, char c) { return p->token.kind == VT_TOKEN_PUNCT && *p->token.start == c; }

static inline bool accept_word(struct parser *p, const char *word) {
    if (!at_word(p, word)) return false;
    advance(p);
    return true;
}

static inline bool expect_word(struct parser *p, const char *word) {
    if (accept_word(p, word)) return true;
    return p->token.kind == VT_TOKEN_BAD ? fail_syntax(p) : fail_at(p, p->token, sqlite3_mprintf("%s is missing here", word));
}

static inline bool expect_punct(struct parser *p, char c) {
    if (at_punct(p, c)) {
        advance(p);
        return true;
    }
    return p->token.kind == VT_TOKEN_BAD ? fail_syntax(p) : fail_at(p, p->token, sqlite3_mprintf("\"%c\" is missing here", c));
}

/* The name at the token, which is passed; NULL after failing. The caller frees it. */
static inline char *take_name(struct parser *p) {
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

#endif
