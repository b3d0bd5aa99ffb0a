/* The manifest, read without a store. */
#include "tool.h"

#include "../../lsm_core/wal/chain.h"

int tool_state_add_tree(struct tool_state *state, struct lsm_tree_info tree) {
    tool_state_drop_tree(state, tree.tree);
    struct lsm_tree_info *trees = lsm_realloc(state->trees, (state->trees_count + 1) * sizeof *trees);
    if (trees == NULL) return LSM_NOMEM;
    size_t at = state->trees_count++;
    while (at > 0 && trees[at - 1].tree > tree.tree) {
        trees[at] = trees[at - 1];
        at--;
    }
    trees[at] = tree;
    state->trees = trees;
    if (tree.tree >= state->next_tree) state->next_tree = tree.tree + 1;
    return LSM_OK;
}

void tool_state_drop_tree(struct tool_state *state, uint32_t tree) {
    size_t kept = 0;
    for (size_t i = 0; i < state->trees_count; i++)
        if (state->trees[i].tree != tree) state->trees[kept++] = state->trees[i];
    state->trees_count = kept;
}

bool tool_state_has_tree(const struct tool_state *state, uint32_t tree) {
    for (size_t i = 0; i < state->trees_count; i++)
        if (state->trees[i].tree == tree) return true;
    return false;
}

static int apply(void *arg, struct lsm_edit *edit, struct lsm_error *err) {
    struct tool_state *state = arg;
    struct lsm_version *next = NULL;
    int status = lsm_version_apply(state->version, edit, &next, err);
    if (status != LSM_OK) return status;
    if (state->version != NULL && lsm_version_unref(state->version)) lsm_version_destroy(state->version);
    state->version = next;
    if (edit->full) state->trees_count = 0;
    for (size_t i = 0; i < edit->dropped_count; i++) tool_state_drop_tree(state, edit->dropped[i]);
    for (size_t i = 0; i < edit->trees_count && status == LSM_OK; i++) status = tool_state_add_tree(state, edit->trees[i]);
    state->next_file = edit->next_file;
    state->log_position = edit->log_position;
    state->log_generation = edit->log_generation;
    if (edit->next_tree > state->next_tree) state->next_tree = edit->next_tree;
    if (edit->log_durable > state->log_durable) state->log_durable = edit->log_durable;
    if (edit->has_token) {
        state->has_token = true;
        memcpy(state->token, edit->token, sizeof state->token);
    }
    return status;
}

int tool_state_read(const struct tool_target *target, struct tool_state *state, struct lsm_error *err) {
    struct lsm_manifest_found found = {0};
    *state = (struct tool_state){0};
    int status = lsm_manifest_replay(lsm_env_posix(), target->dir, target->store_id, apply, state, &found, err);
    state->number = found.number;
    state->bytes = found.bytes;
    state->torn = found.torn;
    if (status != LSM_OK) tool_state_release(state);
    return status;
}

int tool_state_rescue(const struct tool_target *target, uint64_t number, struct tool_state *state, struct lsm_error *err) {
    struct lsm_chain_reader *reader = NULL;
    struct lsm_chain_record record;
    char *path = tool_got(lsm_file_path(target->dir, LSM_FILE_MANIFEST, number));
    *state = (struct tool_state){.number = number};
    int status = lsm_chain_open(lsm_env_posix(), path, &lsm_chain_manifest, target->store_id, number, &reader, err);
    lsm_free(path);
    if (status == LSM_OK && reader == NULL)
        status = lsm_fail(err, LSM_CORRUPT, "%s/MANIFEST-%08" PRIu64 ": its header was never finished", target->dir, number);
    while (status == LSM_OK) {
        struct lsm_edit edit = {0};
        status = lsm_chain_next(reader, 0, &record, err);
        if (status == LSM_OK) status = lsm_edit_decode(record.payload, &edit, err);
        /* What comes first describes everything, or it is not the first. */
        if (status == LSM_OK && state->version == NULL && !edit.full)
            status = lsm_fail(err, LSM_CORRUPT, "the manifest does not begin with a full record");
        if (status == LSM_OK) status = apply(state, &edit, err);
        if (status == LSM_OK) state->bytes = lsm_chain_end_offset(reader);
        lsm_edit_release(&edit);
    }
    bool whole = status == LSM_NOTFOUND && state->version != NULL && state->bytes == lsm_chain_file_bytes(reader);
    if (status == LSM_NOTFOUND && !whole)
        status = lsm_fail(err, LSM_CORRUPT, "%s/MANIFEST-%08" PRIu64 ": offset %" PRIu64 ": a record is damaged", target->dir, number, state->bytes);
    lsm_chain_close(reader);
    return whole ? LSM_OK : status;
}

void tool_state_release(struct tool_state *state) {
    if (state->version != NULL && lsm_version_unref(state->version)) lsm_version_destroy(state->version);
    lsm_free(state->trees);
    *state = (struct tool_state){0};
}

static int by_number(const void *a, const void *b) {
    uint64_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return left < right ? -1 : left > right;
}

int tool_list(const struct tool_target *target, enum lsm_file_type type, uint64_t **numbers, size_t *count, struct lsm_error *err) {
    struct lsm_names names = {0};
    *numbers = NULL;
    *count = 0;
    int status = lsm_env_list(lsm_env_posix(), target->dir, &names, err);
    if (status != LSM_OK) return status;
    *numbers = tool_got(lsm_calloc(names.count + 1, sizeof **numbers));
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        if (lsm_file_parse(names.names[i], &number) == type) (*numbers)[(*count)++] = number;
    }
    lsm_names_free(&names);
    if (*count > 1) qsort(*numbers, *count, sizeof **numbers, by_number);
    return LSM_OK;
}
