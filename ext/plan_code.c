#include "plan.h"

#include <string.h>

/* bits 0-5 equal_count, 6 distinct, 7 a lookup, 8-9 lower, 10-11 upper (0 none, 1 with the bound itself, 2 without, 3 IS NOT NULL), 12 desc, 13 ordered, 14 single, 15 unique,
 * 16-22 lists, 23 upper_plain, 24 nulls, 25-30 index + 1 */
enum {
    EQUAL_BITS = 0x3f,
    DISTINCT_BIT = 1 << 6,
    LOOKUP_BIT = 1 << 7,
    LOWER_AT = 8,
    LOWER_NOT_NULL = 3,
    UPPER_AT = 10,
    DESC_BIT = 1 << 12,
    ORDERED_BIT = 1 << 13,
    SINGLE_BIT = 1 << 14,
    UNIQUE_BIT = 1 << 15,
    LIST_AT = 16,
    LIST_BITS = 0x7f,
    UPPER_PLAIN_BIT = 1 << 23,
    NULLS_BIT = 1 << 24,
    INDEX_AT = 25,
    INDEX_BITS = 0x3f
};

static int bound_code(int op, int inclusive_op) { return op == 0 ? 0 : op == inclusive_op ? 1 : 2; }

int vt_plan_write(const struct vt_plan *plan) {
    int number = plan->equal_count;
    int lower = plan->lower == SQLITE_INDEX_CONSTRAINT_ISNOTNULL ? LOWER_NOT_NULL : bound_code(plan->lower, SQLITE_INDEX_CONSTRAINT_GE);
    number |= lower << LOWER_AT;
    number |= bound_code(plan->upper, SQLITE_INDEX_CONSTRAINT_LE) << UPPER_AT;
    if (plan->desc) number |= DESC_BIT;
    if (plan->ordered) number |= ORDERED_BIT;
    if (plan->single) number |= SINGLE_BIT;
    if (plan->unique) number |= UNIQUE_BIT;
    if (plan->upper_plain) number |= UPPER_PLAIN_BIT;
    if (plan->nulls) number |= NULLS_BIT;
    if (plan->distinct > 0) number |= DISTINCT_BIT;
    if (plan->lookup_count > 0) number |= LOOKUP_BIT;
    number |= (int)(plan->lists & LIST_BITS) << LIST_AT;
    number |= (plan->index + 1) << INDEX_AT;
    return number;
}

bool vt_plan_read(const struct vt_schema *schema, int number, struct vt_plan *plan) {
    static const int lower_ops[] = {0, SQLITE_INDEX_CONSTRAINT_GE, SQLITE_INDEX_CONSTRAINT_GT, SQLITE_INDEX_CONSTRAINT_ISNOTNULL};
    static const int upper_ops[] = {0, SQLITE_INDEX_CONSTRAINT_LE, SQLITE_INDEX_CONSTRAINT_LT};
    *plan = (struct vt_plan){0};
    if (number < 0 || (number & (DISTINCT_BIT | LOOKUP_BIT)) == (DISTINCT_BIT | LOOKUP_BIT)) return false;
    plan->index = (number >> INDEX_AT & INDEX_BITS) - 1;
    if (plan->index >= schema->index_count) return false;
    int seek_count = vt_plan_seek_count(schema, plan->index);
    int lower = number >> LOWER_AT & 3, upper = number >> UPPER_AT & 3;
    plan->equal_count = number & EQUAL_BITS;
    if (upper > 2 || plan->equal_count > seek_count || plan->equal_count > VT_PLAN_EQUAL_MAX) return false;
    if (plan->equal_count == seek_count && (lower != 0 || upper != 0)) return false;
    plan->nulls = (number & NULLS_BIT) != 0;
    if (plan->nulls && (plan->index == VT_PLAN_PRIMARY || plan->equal_count == 0)) return false;
    plan->lists = (unsigned)(number >> LIST_AT & LIST_BITS);
    if (plan->equal_count < VT_PLAN_LISTS && plan->lists >> plan->equal_count != 0) return false;
    if (lower == LOWER_NOT_NULL && (upper != 0 || plan->index == VT_PLAN_PRIMARY)) return false;
    plan->lower = lower_ops[lower];
    plan->upper = upper_ops[upper];
    plan->desc = (number & DESC_BIT) != 0;
    plan->ordered = (number & ORDERED_BIT) != 0;
    plan->single = (number & SINGLE_BIT) != 0;
    plan->unique = (number & UNIQUE_BIT) != 0;
    plan->upper_plain = (number & UPPER_PLAIN_BIT) != 0;
    return plan->upper != 0 || !plan->upper_plain;
}

bool vt_plan_has_more(int number) { return (number & (DISTINCT_BIT | LOOKUP_BIT)) != 0; }

static const char *key_name(const struct vt_schema *schema, const struct vt_key_column *key) {
    int column = key->column < 0 ? schema->rowid_column : key->column;
    return column < 0 ? "rowid" : schema->columns[column].name;
}

static bool is_word(const char *name) {
    if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9')) return false;
    for (const char *c = name; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!letter && *c != '_' && (*c < '0' || *c > '9')) return false;
    }
    return true;
}

static void append_walk(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_str *text) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    const char *between = " (";
    if (plan->index == VT_PLAN_PRIMARY) {
        sqlite3_str_appendall(text, "key");
    } else {
        sqlite3_str_appendf(text, "index %s", schema->indexes[plan->index].name);
    }
    for (int i = 0; i < plan->equal_count; i++) {
        sqlite3_str_appendf(text, vt_plan_is_list(plan, i) ? "%s%s IN (?)" : "%s%s=?", between, key_name(schema, &key[i]));
        between = " AND ";
    }
    if (plan->lower == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) {
        sqlite3_str_appendf(text, "%s%s IS NOT NULL", between, key_name(schema, &key[plan->equal_count]));
    } else if (plan->lower != 0) {
        sqlite3_str_appendf(text, "%s%s>%s?", between, key_name(schema, &key[plan->equal_count]),
                            plan->lower == SQLITE_INDEX_CONSTRAINT_GE ? "=" : "");
        between = " AND ";
    }
    if (plan->upper != 0) {
        sqlite3_str_appendf(text, "%s%s<%s?", between, key_name(schema, &key[plan->equal_count]),
                            plan->upper == SQLITE_INDEX_CONSTRAINT_LE ? "=" : "");
    }
    if (vt_plan_walk_args(plan) > 0) sqlite3_str_appendall(text, ")");
    if (plan->desc) sqlite3_str_appendall(text, " desc");
}

/* What a lookup's conditions look like. */
static const struct {
    int op;
    const char *words;
} only_words[] = {
    {SQLITE_INDEX_CONSTRAINT_EQ, "=?"},           {SQLITE_INDEX_CONSTRAINT_IS, " IS ?"},
    {SQLITE_INDEX_CONSTRAINT_LE, "<=?"},          {SQLITE_INDEX_CONSTRAINT_LT, "<?"},
    {SQLITE_INDEX_CONSTRAINT_GE, ">=?"},          {SQLITE_INDEX_CONSTRAINT_GT, ">?"},
    {SQLITE_INDEX_CONSTRAINT_ISNULL, " IS NULL"}, {SQLITE_INDEX_CONSTRAINT_ISNOTNULL, " IS NOT NULL"},
};
#define ONLY_WORDS ((int)(sizeof only_words / sizeof *only_words))

/* A name that is no word is quoted, so that the text can be read back. */
static void append_name(const struct vt_schema *schema, int column, const char *before, sqlite3_str *text) {
    const char *name = schema->columns[column].name;
    sqlite3_str_appendf(text, is_word(name) ? "%s%s" : "%s\"%w\"", before, name);
}

static void append_lookup(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_str *text) {
    for (int i = 0; i < plan->lookup_count; i++) {
        append_name(schema, plan->lookup[i].column, i == 0 ? ", lookup (" : " AND ", text);
        sqlite3_str_appendall(text, plan->lookup[i].nulls ? " IS ?" : "=?");
    }
    if (plan->lookup_count > 0) sqlite3_str_appendall(text, ")");
    for (int i = 0; i < plan->only_count; i++) {
        append_name(schema, plan->only[i].column, i == 0 ? " only (" : " AND ", text);
        for (int k = 0; k < ONLY_WORDS; k++) {
            if (only_words[k].op == plan->only[i].op) sqlite3_str_appendall(text, only_words[k].words);
        }
    }
    if (plan->only_count > 0) sqlite3_str_appendall(text, ")");
}

static void append_distinct(const struct vt_schema *schema, const struct vt_plan *plan, sqlite3_str *text) {
    int key_count;
    const struct vt_key_column *key = vt_plan_key(schema, plan->index, &key_count);
    for (int i = 0; i < plan->distinct; i++) sqlite3_str_appendf(text, "%s%s", i == 0 ? ", distinct (" : ", ", key_name(schema, &key[i]));
    if (plan->distinct > 0) sqlite3_str_appendall(text, ")");
}

char *vt_plan_text(const struct vt_schema *schema, const struct vt_plan *plan) {
    sqlite3_str *text = sqlite3_str_new(NULL);
    append_walk(schema, plan, text);
    append_distinct(schema, plan, text);
    append_lookup(schema, plan, text);
    return sqlite3_str_finish(text);
}

/* ---- idxStr and back ---------------------------------------------------------------------------------------------- */

static bool take(const char **at, const char *word) {
    size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0) return false;
    *at += length;
    return true;
}

/* The column named here, or -1. */
static int take_column(const struct vt_schema *schema, const char **at) {
    for (int i = 0; i < schema->column_count; i++) {
        const char *name = schema->columns[i].name, *end = *at;
        bool word = is_word(name), found = word ? take(&end, name) : *end++ == '"';
        for (const char *c = name; !word && found && *c != '\0'; c++) found = *end++ == *c && (*c != '"' || *end++ == '"');
        if (!word && found) found = *end++ == '"';
        if (!found || *end == '\0' || strchr("= <>", *end) == NULL) continue;
        *at = end;
        return i;
    }
    return -1;
}

/* As many columns as make this text. */
static int read_distinct(const struct vt_schema *schema, const char *text, struct vt_plan *plan) {
    int key_count;
    (void)vt_plan_key(schema, plan->index, &key_count);
    for (plan->distinct = 1; plan->distinct < key_count; plan->distinct++) {
        char *same = vt_plan_text(schema, plan);
        if (same == NULL) return SQLITE_NOMEM;
        bool found = strcmp(same, text) == 0;
        sqlite3_free(same);
        if (found) return SQLITE_OK;
    }
    return SQLITE_INTERNAL;
}

static int read_only_rows(const struct vt_schema *schema, const char *at, struct vt_plan *plan) {
    for (bool good = true; good && plan->only_count < VT_PLAN_ONLY_MAX; good = take(&at, " AND ")) {
        struct vt_plan_only *only = &plan->only[plan->only_count++];
        only->column = take_column(schema, &at);
        int words = 0;
        while (words < ONLY_WORDS && !take(&at, only_words[words].words)) words++;
        if (only->column < 0 || words == ONLY_WORDS) return SQLITE_INTERNAL;
        only->op = only_words[words].op;
        if (strcmp(at, ")") == 0) return SQLITE_OK;
    }
    return SQLITE_INTERNAL;
}

static int read_lookup(const struct vt_schema *schema, const char *text, struct vt_plan *plan) {
    sqlite3_str *walk = sqlite3_str_new(NULL);
    append_walk(schema, plan, walk);
    char *before = sqlite3_str_finish(walk);
    if (before == NULL) return SQLITE_NOMEM;
    const char *at = text;
    bool good = take(&at, before) && take(&at, ", lookup (");
    sqlite3_free(before);
    plan->lookup_count = plan->only_count = 0;
    while (good && plan->lookup_count < VT_PLAN_LOOKUP_MAX) {
        struct vt_plan_lookup *lookup = &plan->lookup[plan->lookup_count++];
        lookup->column = take_column(schema, &at);
        lookup->nulls = take(&at, " IS ?");
        good = lookup->column >= 0 && (lookup->nulls || take(&at, "=?"));
        if (good && strcmp(at, ")") == 0) return SQLITE_OK;
        if (good && take(&at, ") only (")) return read_only_rows(schema, at, plan);
        good = good && take(&at, " AND ");
    }
    return SQLITE_INTERNAL;
}

int vt_plan_read_more(const struct vt_schema *schema, int number, const char *text, struct vt_plan *plan) {
    return (number & LOOKUP_BIT) != 0 ? read_lookup(schema, text, plan) : read_distinct(schema, text, plan);
}
