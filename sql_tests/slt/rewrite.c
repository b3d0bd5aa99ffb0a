#include "rewrite.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ------------------------------------------------------------------------------------------------------ */

static const char *past_space(const char *at) {
    for (;;) {
        while (isspace((unsigned char)*at)) at++;
        if (at[0] == '-' && at[1] == '-') {
            while (*at != '\0' && *at != '\n') at++;
        } else if (at[0] == '/' && at[1] == '*') {
            const char *end = strstr(at + 2, "*/");
            at = end == NULL ? at + strlen(at) : end + 2;
        } else {
            return at;
        }
    }
}

/* Steps over a keyword if it stands there. */
static bool take(const char **at, const char *word) {
    const char *from = past_space(*at);
    size_t length = strlen(word);
    if (sqlite3_strnicmp(from, word, (int)length) != 0) return false;
    if (isalnum((unsigned char)from[length]) || from[length] == '_') return false;
    *at = from + length;
    return true;
}

/* A name as it is written, quotes included; the caller frees it. NULL: there is none. */
static char *take_name(const char **at) {
    const char *from = past_space(*at), *to = from;
    if (*from == '"' || *from == '`' || *from == '[') {
        char end = *from == '[' ? ']' : *from;
        for (to++; *to != '\0' && (*to != end || (to[1] == end && end != ']')); to++) to += *to == end;
        if (*to != '\0') to++;
    } else {
        while (isalnum((unsigned char)*to) || *to == '_' || *to == '$' || (unsigned char)*to >= 0x80) to++;
    }
    *at = to;
    return to == from ? NULL : strndup(from, (size_t)(to - from));
}

/* The closing parenthesis that belongs to the opening one at `at`. */
static const char *closing(const char *at) {
    int depth = 0;
    for (; *at != '\0'; at++) {
        if (*at == '\'' || *at == '"') {
            const char *end = strchr(at + 1, *at);
            if (end == NULL) break;
            at = end;
        } else if (*at == '(') {
            depth++;
        } else if (*at == ')' && --depth == 0) {
            return at;
        }
    }
    return NULL;
}

/* ---- indexes ---------------------------------------------------------------------------------------------------- */

static struct index_name **find(struct indexes *indexes, const char *name) {
    struct index_name **at = &indexes->first;
    while (*at != NULL && sqlite3_stricmp((*at)->index, name) != 0) at = &(*at)->next;
    return at;
}

static void forget(struct index_name **at) {
    struct index_name *gone = *at;
    *at = gone->next;
    free(gone->index);
    free(gone->table);
    free(gone);
}

static void forget_table(struct indexes *indexes, const char *table) {
    for (struct index_name **at = &indexes->first; *at != NULL;) {
        if (sqlite3_stricmp((*at)->table, table) == 0)
            forget(at);
        else
            at = &(*at)->next;
    }
}

/* CREATE [UNIQUE] INDEX, taken apart. */
struct statement {
    char *name, *table; /* NULL if it is something else */
    const char *terms;  /* what stands in the parentheses */
    int length;         /* of terms */
    bool unique, lenient;
};

static void statement_release(struct statement *statement) {
    free(statement->name);
    free(statement->table);
    *statement = (struct statement){0};
}

/* False: it is not one, or has a WHERE. */
static bool parse_index(const char *at, struct statement *out) {
    *out = (struct statement){0};
    if (!take(&at, "CREATE")) return false;
    out->unique = take(&at, "UNIQUE");
    if (!take(&at, "INDEX")) return false;
    out->lenient = take(&at, "IF") && take(&at, "NOT") && take(&at, "EXISTS");
    out->name = take_name(&at);
    out->table = take(&at, "ON") ? take_name(&at) : NULL;
    at = past_space(at);
    const char *end = *at == '(' ? closing(at) : NULL;
    if (out->name == NULL || out->table == NULL || end == NULL || toupper((unsigned char)*past_space(end + 1)) == 'W') {
        statement_release(out);
        return false;
    }
    out->terms = at + 1;
    out->length = (int)(end - at - 1);
    return true;
}

static enum rewritten create_index(struct indexes *indexes, const char *sql, char **out) {
    struct statement statement;
    if (!parse_index(sql, &statement)) return REWRITE_NONE;
    bool lenient = statement.lenient;
    if (*find(indexes, statement.name) != NULL) {
        statement_release(&statement);
        return lenient ? REWRITE_SKIP : REWRITE_NONE;
    }
    if (indexes->available) {
        *out = sqlite3_mprintf("SELECT lsm_create_index(%Q, %Q, %.*Q%s)", statement.table, statement.name, statement.length, statement.terms,
                               statement.unique ? ", 1" : "");
    }
    struct index_name *entry = calloc(1, sizeof *entry);
    if (entry == NULL) abort();
    *entry = (struct index_name){.next = indexes->first, .index = statement.name, .table = statement.table};
    indexes->first = entry;
    if (indexes->available) return REWRITE_CHANGED;
    indexes->skipped++;
    return indexes->declarable ? REWRITE_DECLARED : REWRITE_SKIP;
}

static bool drops(const char *sql, const char *table) {
    const char *at = sql;
    if (!take(&at, "DROP") || !take(&at, "TABLE")) return false;
    if (take(&at, "IF")) take(&at, "EXISTS");
    char *name = take_name(&at);
    bool same = name != NULL && sqlite3_stricmp(name, table) == 0;
    free(name);
    return same;
}

/* The indexes that the script will make on the table, as constraints. Unique ones as plain ones: the script may drop them before equal rows come. */
static char *later_indexes(const struct indexes *indexes, const char *table) {
    sqlite3_str *text = sqlite3_str_new(NULL);
    struct indexes seen = {0};
    for (size_t i = indexes->record + 1; i < indexes->script->count; i++) {
        const struct record *record = &indexes->script->records[i];
        struct statement statement;
        if (record->kind != RECORD_STATEMENT || record->wants_error) continue;
        if (drops(record->sql, table)) break;
        if (!parse_index(record->sql, &statement)) continue;
        if (sqlite3_stricmp(statement.table, table) == 0 && *find(&seen, statement.name) == NULL) {
            sqlite3_str_appendf(text, ", INDEX %s (%.*s)", statement.name, statement.length, statement.terms);
            struct index_name *entry = calloc(1, sizeof *entry);
            if (entry == NULL) abort();
            *entry = (struct index_name){.next = seen.first, .index = statement.name, .table = statement.table};
            seen.first = entry;
            statement = (struct statement){0};
        }
        statement_release(&statement);
    }
    indexes_release(&seen);
    return sqlite3_str_finish(text);
}

static enum rewritten drop_index(struct indexes *indexes, const char *at, char **out) {
    bool lenient = take(&at, "IF") && take(&at, "EXISTS");
    char *name = take_name(&at);
    struct index_name **entry = find(indexes, name == NULL ? "" : name);
    enum rewritten result = lenient ? REWRITE_SKIP : REWRITE_NO_INDEX;
    if (*entry != NULL && indexes->available) {
        *out = sqlite3_mprintf("SELECT lsm_drop_index(%Q, %Q)", (*entry)->table, name);
        result = REWRITE_CHANGED;
    } else if (*entry != NULL) {
        indexes->skipped++;
        result = REWRITE_SKIP;
    }
    if (*entry != NULL) forget(entry);
    free(name);
    return result;
}

static enum rewritten reindex(struct indexes *indexes, const char *at) {
    char *name = take_name(&at);
    bool known = name == NULL || *find(indexes, name) != NULL;
    free(name);
    indexes->skipped += known;
    return known ? REWRITE_SKIP : REWRITE_NO_INDEX;
}

void indexes_release(struct indexes *indexes) {
    while (indexes->first != NULL) forget(&indexes->first);
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

/* CREATE TABLE ... AS SELECT stays an ordinary table, as does one with words behind its parenthesis. */
static enum rewritten create_table(const struct indexes *indexes, const char *at, char **out) {
    bool lenient = take(&at, "IF") && take(&at, "NOT") && take(&at, "EXISTS");
    at = past_space(at);
    const char *name = at;
    free(take_name(&at));
    if (*at == '.') {
        at++;
        free(take_name(&at));
    }
    int name_length = (int)(at - name);
    at = past_space(at);
    const char *end = *at == '(' ? closing(at) : NULL;
    if (end == NULL || (*past_space(end + 1) != '\0' && *past_space(end + 1) != ';')) return REWRITE_NONE;
    char *table = sqlite3_mprintf("%.*s", name_length, name), *more = indexes->declarable ? later_indexes(indexes, table) : NULL;
    *out = sqlite3_mprintf("CREATE VIRTUAL TABLE %s%s USING lsm%.*s%s)", lenient ? "IF NOT EXISTS " : "", table, (int)(end - at), at,
                           more == NULL ? "" : more);
    sqlite3_free(table);
    sqlite3_free(more);
    return REWRITE_CHANGED;
}

static void drop_table(struct indexes *indexes, const char *at) {
    if (take(&at, "IF")) take(&at, "EXISTS");
    char *name = take_name(&at);
    if (name != NULL) forget_table(indexes, name);
    free(name);
}

enum rewritten rewrite(struct indexes *indexes, const char *sql, char **out) {
    const char *at = sql;
    *out = NULL;
    if (take(&at, "CREATE")) {
        if (take(&at, "TABLE")) return create_table(indexes, at, out);
        return create_index(indexes, sql, out);
    } else if (take(&at, "DROP")) {
        if (take(&at, "INDEX")) return drop_index(indexes, at, out);
        if (take(&at, "TABLE")) drop_table(indexes, at);
    } else if (take(&at, "REINDEX")) {
        return reindex(indexes, at);
    }
    return REWRITE_NONE;
}
