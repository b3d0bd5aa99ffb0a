#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct script *script;
    const char *path;
    char *at;     /* the next line */
    int line;     /* its number */
    bool skip;    /* the next record is not for us */
    bool stopped; /* halt */
    size_t room;  /* of script->records */
    size_t size;  /* of the text; an empty string stands there */
};

static bool wrong(const struct reader *r, const char *what) {
    fprintf(stderr, "%s:%d: %s\n", r->path, r->line - 1, what);
    return false;
}

/* The next line, cut off at its end; NULL at the end of the file. */
static char *next_line(struct reader *r) {
    if (*r->at == '\0') return NULL;
    char *line = r->at, *end = strchr(line, '\n');
    r->at = end == NULL ? line + strlen(line) : end + 1;
    if (end != NULL) *end = '\0';
    r->line++;
    return line;
}

/* The lines up to `until`, an empty line or the end of the file, as one string without the last newline. *found: it was `until`. */
static char *next_paragraph(struct reader *r, const char *until, bool *found) {
    char *start = r->at, *line, *end = NULL;
    *found = false;
    while ((line = next_line(r)) != NULL && line[0] != '\0') {
        if (until != NULL && strcmp(line, until) == 0) {
            *found = true;
            break;
        }
        if (end != NULL) *end = '\n';
        end = line + strlen(line);
    }
    return end == NULL ? r->script->text + r->size : start;
}

static void add_record(struct reader *r, const struct record *record) {
    struct script *script = r->script;
    if (script->count == r->room) {
        r->room = r->room == 0 ? 256 : 2 * r->room;
        struct record *grown = realloc(script->records, r->room * sizeof *grown);
        if (grown == NULL) abort();
        script->records = grown;
    }
    script->records[script->count++] = *record;
}

static bool read_record(struct reader *r, char *line) {
    char *save = NULL, *word = strtok_r(line, " \t", &save);
    struct record record = {.line = r->line - 1};
    bool found;
    if (strcmp(word, "statement") == 0) {
        char *how = strtok_r(NULL, " \t", &save);
        if (how == NULL || (strcmp(how, "ok") != 0 && strcmp(how, "error") != 0)) return wrong(r, "statement ok or error is expected");
        record.kind = RECORD_STATEMENT;
        record.wants_error = how[0] == 'e';
        record.sql = next_paragraph(r, NULL, &found);
    } else {
        record.kind = RECORD_QUERY;
        record.types = strtok_r(NULL, " \t", &save);
        char *sort = strtok_r(NULL, " \t", &save);
        record.label = strtok_r(NULL, " \t", &save);
        if (record.types == NULL) return wrong(r, "a query needs the types of its columns");
        if (sort != NULL && strcmp(sort, "rowsort") == 0)
            record.sort = SORT_ROWS;
        else if (sort != NULL && strcmp(sort, "valuesort") == 0)
            record.sort = SORT_VALUES;
        else if (sort != NULL && strcmp(sort, "nosort") != 0)
            return wrong(r, "an unknown sort mode");
        record.sql = next_paragraph(r, "----", &found);
        if (found) record.wanted = next_paragraph(r, NULL, &found);
    }
    bool skip = r->skip;
    r->skip = false;
    if (!skip) add_record(r, &record);
    return true;
}

static bool read_line(struct reader *r, char *line) {
    char copy[64], *save = NULL;
    snprintf(copy, sizeof copy, "%s", line);
    const char *word = strtok_r(copy, " \t", &save);
    if (word == NULL || word[0] == '#') return true;
    if (strcmp(word, "statement") == 0 || strcmp(word, "query") == 0) return read_record(r, line);
    const char *argument = strtok_r(NULL, " \t", &save);
    if (strcmp(word, "onlyif") == 0 || strcmp(word, "skipif") == 0) {
        bool ours = argument != NULL && strcmp(argument, "sqlite") == 0;
        if (ours == (word[0] == 's')) r->skip = true;
        return true;
    }
    if (strcmp(word, "halt") == 0) {
        r->stopped = !r->skip;
        r->skip = false;
        return true;
    }
    /* hash-threshold says when the corpus states a hash; the expected text shows it anyway. */
    return strcmp(word, "hash-threshold") == 0 ? true : wrong(r, "an unknown kind of record");
}

/* Some files have carriage returns. Returns the new length. */
static size_t without_returns(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '\r') *to++ = *from;
    }
    *to = '\0';
    return (size_t)(to - text);
}

bool script_read(struct script *script, const char *path) {
    memset(script, 0, sizeof *script);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        if (file != NULL) fclose(file);
        return false;
    }
    size_t size = (size_t)ftell(file);
    rewind(file);
    script->text = calloc(1, size + 2);
    bool ok = script->text != NULL && fread(script->text, 1, size, file) == size;
    fclose(file);
    if (ok) size = without_returns(script->text);
    struct reader r = {.script = script, .path = path, .at = script->text, .line = 1, .size = size};
    char *line;
    while (ok && !r.stopped && (line = next_line(&r)) != NULL) ok = read_line(&r, line);
    return ok;
}

void script_release(struct script *script) {
    free(script->records);
    free(script->text);
    memset(script, 0, sizeof *script);
}
