#include "guess.h"

#include "../../lsm_core/codec/hash.h"
#include "../../lsm_core/wal/chain.h"

/* What the edits say that verify by themselves. */
struct named {
    struct lsm_file_meta **files; /* added and not removed, one reference each */
    size_t count;
    uint64_t *removed;
    size_t removed_count;
};

static void release_named(struct named *named) {
    for (size_t i = 0; i < named->count; i++) lsm_file_meta_unref(named->files[i]);
    lsm_free(named->files);
    lsm_free(named->removed);
}

static bool is_removed(const struct named *named, uint64_t number) {
    for (size_t i = 0; i < named->removed_count; i++)
        if (named->removed[i] == number) return true;
    return false;
}

static struct lsm_file_meta *find_named(const struct named *named, uint64_t number) {
    for (size_t i = 0; i < named->count; i++)
        if (named->files[i]->number == number) return named->files[i];
    return NULL;
}

/* A file removed and added by one edit has moved. */
static void take_edit(struct named *named, const struct lsm_edit *edit) {
    for (size_t i = 0; i < edit->removed_count; i++) {
        bool moved = false;
        for (size_t k = 0; k < edit->added_count; k++) moved |= edit->added[k].meta->number == edit->removed[i];
        if (moved) continue;
        named->removed = tool_got(lsm_realloc(named->removed, (named->removed_count + 1) * sizeof *named->removed));
        named->removed[named->removed_count++] = edit->removed[i];
    }
    for (size_t i = 0; i < edit->added_count; i++) {
        if (find_named(named, edit->added[i].meta->number) != NULL) continue;
        named->files = tool_got(lsm_realloc(named->files, (named->count + 1) * sizeof(struct lsm_file_meta *)));
        lsm_file_meta_ref(edit->added[i].meta);
        named->files[named->count++] = edit->added[i].meta;
    }
}

/* Every place of the manifest where a record verifies. */
static void read_named(const struct tool_target *target, uint64_t number, struct named *named) {
    uint8_t *bytes = NULL;
    char *path = tool_got(lsm_file_path(target->dir, LSM_FILE_MANIFEST, number));
    size_t size = table_file_read(path, &bytes);
    uint64_t seed = lsm_chain_seed(&lsm_chain_manifest, target->store_id, number, 0);
    lsm_free(path);
    for (size_t at = LSM_CHAIN_HEADER_BYTES; size != SIZE_MAX && at + LSM_CHAIN_RECORD_BYTES <= size; at += LSM_CHAIN_ALIGN) {
        struct lsm_chain_record record = {.position = at - LSM_CHAIN_HEADER_BYTES};
        struct lsm_edit edit = {0};
        uint64_t place = lsm_chain_place(seed, record.position);
        if (!lsm_chain_record_decode(bytes + at, place, &record) || record.length > size - at - LSM_CHAIN_RECORD_BYTES) continue;
        if (!lsm_chain_record_stands(bytes + at, place, &record)) continue;
        if (lsm_edit_decode(lsm_slice_of(bytes + at + LSM_CHAIN_RECORD_BYTES, record.length), &edit, NULL) == LSM_OK) take_edit(named, &edit);
        lsm_edit_release(&edit);
    }
    lsm_free(bytes);
}

static bool keys_meet(const struct lsm_file_meta *a, const struct lsm_file_meta *b) {
    return lsm_slice_compare(lsm_buf_slice(&a->smallest), lsm_buf_slice(&b->largest)) <= 0 &&
           lsm_slice_compare(lsm_buf_slice(&b->smallest), lsm_buf_slice(&a->largest)) <= 0;
}

static void add_unsure(struct sources *sources, struct lsm_slice low, struct lsm_slice high) {
    sources->unsure = tool_got(lsm_realloc(sources->unsure, (sources->unsure_count + 1) * sizeof *sources->unsure));
    struct key_range *range = &sources->unsure[sources->unsure_count++];
    *range = (struct key_range){.inclusive = true};
    tool_set(&range->low, low);
    tool_set(&range->high, high);
    printf("      from %s\n", tool_key_text(sources->target, low));
    printf("      to   %s\n", tool_key_text(sources->target, high));
}

/* Files come from stretches of the log: where these do not meet, the later one is newer; where they do, it is not known which counts. */
static void compare_files(struct sources *sources, const struct lsm_file_meta *a, const struct lsm_file_meta *b) {
    bool apart = a->log_high <= b->log_low || b->log_high <= a->log_low;
    if (lsm_file_meta_is_spilled(a) && lsm_file_meta_is_spilled(b) && a->log_low == b->log_low) apart = false; /* of one transaction */
    if (apart || !keys_meet(a, b)) return;
    const struct lsm_buf *low = lsm_slice_compare(lsm_buf_slice(&a->smallest), lsm_buf_slice(&b->smallest)) > 0 ? &a->smallest : &b->smallest;
    const struct lsm_buf *high = lsm_slice_compare(lsm_buf_slice(&a->largest), lsm_buf_slice(&b->largest)) < 0 ? &a->largest : &b->largest;
    sources_lose(sources, "%08" PRIu64 ".sst and %08" PRIu64 ".sst: without a manifest it is not known which is newer", a->number, b->number);
    add_unsure(sources, lsm_buf_slice(low), lsm_buf_slice(high));
}

static int by_log(const void *a_void, const void *b_void) {
    const struct source *a = a_void, *b = b_void;
    const struct lsm_file_meta *left = a->files[0], *right = b->files[0];
    if (left->log_high != right->log_high) return left->log_high < right->log_high ? -1 : 1;
    return left->log_low < right->log_low ? -1
                                          : left->log_low > right->log_low; /* a transaction's own file begins where what was there before it ends */
}

/* A file that should be there and is not may have been replaced by an edit that is lost, if one is there that no edit names, made from its stretch of the log. */
static bool is_replaced(const struct sources *sources, const struct named *named, const struct lsm_file_meta *missing) {
    for (size_t i = 0; i < sources->count; i++) {
        const struct lsm_file_meta *meta = sources->items[i].files[0];
        if (find_named(named, meta->number) == NULL && meta->log_low <= missing->log_low && meta->log_high >= missing->log_high) return true;
    }
    return false;
}

static void miss_files(struct sources *sources, const struct named *named, const uint64_t *numbers, size_t count) {
    for (size_t i = 0; i < named->count; i++) {
        const struct lsm_file_meta *meta = named->files[i];
        bool there = is_removed(named, meta->number);
        for (size_t k = 0; k < count; k++) there |= numbers[k] == meta->number;
        if (there || is_replaced(sources, named, meta)) continue;
        sources_lose(sources, "%08" PRIu64 ".sst: the file is missing", meta->number);
        add_unsure(sources, lsm_buf_slice(&meta->smallest), lsm_buf_slice(&meta->largest));
    }
}

static void take_file(struct sources *sources, const struct named *named, struct lsm_file_meta *meta) {
    if (meta->log_high > sources->state.log_position) sources->state.log_position = meta->log_high;
    if (lsm_file_meta_is_spilled(meta) && find_named(named, meta->number) == NULL) {
        sources_lose(sources, "%08" PRIu64 ".sst: a transaction's own file; without a manifest it is not known whether that was committed",
                     meta->number);
        add_unsure(sources, lsm_buf_slice(&meta->smallest), lsm_buf_slice(&meta->largest));
        return;
    }
    for (size_t k = 0; k < sources->count; k++) compare_files(sources, sources->items[k].files[0], meta);
    source_add_file(sources_add(sources), meta);
}

/* Each file is a source of its own. One that nothing describes may have held anything. */
static bool take_files(struct sources *sources, const struct named *named) {
    uint64_t *numbers = NULL;
    size_t count = 0;
    bool good = tool_list(sources->target, LSM_FILE_TABLE, &numbers, &count, NULL) == LSM_OK;
    for (size_t i = 0; i < count && good; i++) {
        struct lsm_file_meta *meta = find_named(named, numbers[i]);
        if (is_removed(named, numbers[i])) continue;
        if (meta != NULL)
            lsm_file_meta_ref(meta);
        else
            meta = table_file_describe(sources->target, numbers[i]);
        good = meta != NULL;
        if (!good)
            sources_lose(sources, "%s/%08" PRIu64 ".sst: its end is damaged, and nothing else says what it held or how old it is",
                         sources->target->dir, numbers[i]);
        if (good) take_file(sources, named, meta);
        if (good) lsm_file_meta_unref(meta);
    }
    if (good) miss_files(sources, named, numbers, count);
    if (good && sources->count > 1) qsort(sources->items, sources->count, sizeof *sources->items, by_log);
    lsm_free(numbers);
    return good;
}

/* The trees are those that the database knows. A token of a place in the log that is covered is of a transaction that is. */
static void take_tables(struct sources *sources) {
    const struct tool_target *target = sources->target;
    struct tool_state *state = &sources->state;
    for (size_t i = 0; i < target->tables_count; i++) {
        const struct tool_table *table = &target->tables[i];
        const uint8_t *token = table->shadow.token;
        uint64_t position = 0;
        int status = tool_state_add_tree(state, table->shadow.tree);
        for (int k = 0; k < table->catalogue.count && status == LSM_OK; k++) status = tool_state_add_tree(state, table->catalogue.entries[k].tree);
        if (status != LSM_OK) (void)tool_got(NULL);
        for (size_t k = 0; k < 8; k++) position = position << 8 | token[k];
        if (position >= state->log_position || memcmp(token, state->token, LSM_TOKEN_BYTES) <= 0) continue;
        state->has_token = true;
        memcpy(state->token, token, LSM_TOKEN_BYTES);
    }
}

bool guess_sources(struct sources *sources, uint64_t manifest) {
    struct named named = {0};
    if (sources->target->database == NULL) return false;
    if (manifest != 0) read_named(sources->target, manifest, &named);
    bool good = take_files(sources, &named);
    if (good)
        take_tables(sources);
    else
        sources_forget(sources);
    if (good) printf("from what the table files say of themselves; whether one of them is missing is not known for sure\n");
    release_named(&named);
    return good;
}
