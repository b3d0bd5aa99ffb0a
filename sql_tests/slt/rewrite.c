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
        if (sqlite3_stricmp((*at)->table, table) == 0) forget(at);
        else at = &(*at)->next;
    }
}

static enum rewritten create_index(struct indexes *indexes, const char *at, bool unique, char **out) {
    bool lenient = take(&at, "IF") && take(&at, "NOT") && take(&at, "EXISTS");
    char *name = take_name(&at), *table = take(&at, "ON") ? take_name(&at) : NULL;
    at = past_space(at);
    const char *end = *at == '(' ? closing(at) : NULL;
    struct index_name *entry = NULL;
    enum rewritten result = REWRITE_NONE;
    if (name == NULL || table == NULL || end == NULL || *past_space(end + 1) == 'W') goto out;
    if (*find(indexes, name) != NULL) {
        result = lenient ? REWRITE_SKIP : REWRITE_NONE;
        goto out;
    }
    if (indexes->available) {
        *out = sqlite3_mprintf("SELECT lsm_create_index(%Q, %Q, %.*Q%s)", table, name, (int)(end - at - 1), at + 1, unique ? ", 1" : "");
    } else {
        indexes->skipped++;
    }
    result = indexes->available ? REWRITE_CHANGED : REWRITE_SKIP;
    entry = calloc(1, sizeof *entry);
    if (entry == NULL) abort();
    *entry = (struct index_name){.next = indexes->first, .index = name, .table = table};
    indexes->first = entry;
    name = table = NULL;
out:
    free(name);
    free(table);
    return result;
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
static enum rewritten create_table(const char *at, char **out) {
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
    *out = sqlite3_mprintf("CREATE VIRTUAL TABLE %s%.*s USING lsm%.*s", lenient ? "IF NOT EXISTS " : "", name_length, name, (int)(end - at + 1), at);
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
        if (take(&at, "TABLE")) return create_table(at, out);
        bool unique = take(&at, "UNIQUE");
        if (take(&at, "INDEX")) return create_index(indexes, at, unique, out);
    } else if (take(&at, "DROP")) {
        if (take(&at, "INDEX")) return drop_index(indexes, at, out);
        if (take(&at, "TABLE")) drop_table(indexes, at);
    } else if (take(&at, "REINDEX")) {
        return reindex(indexes, at);
    }
    return REWRITE_NONE;
}
