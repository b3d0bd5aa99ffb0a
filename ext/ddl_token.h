/* ddl_token.h: the words of CREATE TABLE, as SQLite's own tokenizer cuts them.
 *
 * Tokens borrow from the text they were scanned from.
 */
#ifndef VT_DDL_TOKEN_H
#define VT_DDL_TOKEN_H

#include "schema.h"

enum vt_token_kind {
    VT_TOKEN_END,
    VT_TOKEN_ID,     /* a name or keyword; quote is 0, '"', '`' or '[' */
    VT_TOKEN_STRING, /* '...' */
    VT_TOKEN_NUMBER,
    VT_TOKEN_BLOB,  /* x'...' */
    VT_TOKEN_PUNCT, /* one byte of anything else */
    VT_TOKEN_BAD    /* cut off or malformed */
};

struct vt_token {
    enum vt_token_kind kind;
    char quote;
    const char *start;
    size_t size;
};

/* The first token of a NUL-terminated text, blanks and comments skipped; the rest of the text begins at start + size. A bad token
 * reaches to the end of the text. */
struct vt_token vt_token_scan(const char *p);

/* True for the bytes names are made of. */
bool vt_token_is_id_byte(char c);

/* True if the token is this word, unquoted; words are in capitals, the case of the token does not matter. */
bool vt_token_is(const struct vt_token *token, const char *word);
bool vt_token_is_one_of(const struct vt_token *token, const char *const *words, size_t count);

/* A keyword that is no name unless quoted. */
bool vt_token_is_reserved(const struct vt_token *token);
/* What can name a column. */
bool vt_token_is_name(const struct vt_token *token);
/* LEFT, NATURAL and so on: column names, but neither types nor default texts. */
bool vt_token_is_join(const struct vt_token *token);
/* What can be part of a type's name. */
bool vt_token_is_type_word(const struct vt_token *token);

/* True if the token, a name or a string, is this one without its quotes; the case of ASCII letters does not matter. Allocates nothing. */
bool vt_token_names(const struct vt_token *token, const char *name);
/* A name or string without its quotes, to be freed with sqlite3_free(); NULL if out of memory. */
char *vt_token_unquoted(struct vt_token token);

#endif
